// Error bars: Python measures them in the background, while the picture stays as it is without them.

// What they depend on, as a view of results says it.
const BARS = { name: "error bars", depends: ["uncertainty", "curves", "seeds", "epochs", "where", "axes_fitted_on", "frozen"] };
const STILL = 300; // milliseconds without another choice until they are asked for

export class ErrorBars {
  constructor(stage) {
    Object.assign(this, { stage, asked: null, waiting: null });
  }

  // Those that a file was saved with.
  learn(saved = []) {
    const { stage } = this;
    for (const { choices, bars } of saved) stage.ahead.set(stage.keyOf(BARS, choices), bars);
  }

  get areWanted() {
    return this.stage.choices.now.uncertainty !== "none";
  }

  // Those of the present choices; null where there are none yet.
  now() {
    return this.areWanted ? (this.stage.answerOf(BARS) ?? null) : null;
  }

  // Ask for what is wanted and not there; only the newest choices count.
  update() {
    const { stage } = this;
    const key = this.areWanted && !this.now() ? stage.keyOf(BARS) : null;
    if (key === this.asked) return;
    this.asked = key;
    this.say(key ? "error bars: being computed …" : "");
    if (key) this.waiting = this.ask(key);
  }

  async ask(key) {
    const { stage } = this;
    await new Promise((done) => setTimeout(done, STILL));
    if (key !== this.asked) return;
    try {
      const answer = await stage.host.ask(BARS.name, { kind: "error bars", choices: stage.choicesOf(BARS) });
      if (!answer || stage.bars !== this) return; // all numbers are other ones now
      stage.remember(key, answer);
      if (key === this.asked) this.show();
    } catch (error) {
      if (key === this.asked && stage.bars === this) this.say(`no error bars: ${error.message}`);
    }
  }

  cards() {
    return this.stage.cards.filter(({ view }) => view.marks?.some(({ when }) => when.uncertainty));
  }

  say(text) {
    for (const card of this.cards()) {
      card.note.textContent = text;
      card.note.hidden = !text;
    }
  }

  show() {
    const { stage } = this;
    stage.tables = null;
    for (const card of this.cards()) card.isStale = true;
    stage.drawn = stage.drawStale(++stage.generation);
  }
}
