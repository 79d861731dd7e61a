// Following what goes on: new checkpoints on axes that stay, how it stands with the recording, new axes.
import { el } from "./controls.js";
import { unpack } from "./packing.js";
import { menuKey } from "./sharing.js";

const EVERY = 1000; // milliseconds between two questions
const LONGER = 4000; // and after one that nobody answered
export const NEW_DISTANCES = "new distances"; // from each new checkpoint to all that the axes may be fitted on

const waited = (time) => new Promise((done) => setTimeout(done, time));

export function startLive(stage) {
  const { live } = stage.host;
  stage.live = new Live(stage);
  if (stage.data.about.live || live?.now()) stage.live.start();
  live?.on(() => stage.live.start());
  live?.news?.((news) => stage.live.hear(news));
}

class Live {
  constructor(stage) {
    Object.assign(this, { stage, known: 0, isPaused: false, isStarted: false, hasEnded: false });
    this.dot = el("span", { className: "dot" });
    this.text = el("span", { className: "text", textContent: "following …" });
    this.note = el("span", { className: "note", hidden: true });
    this.pause = el("button", { "data-control": "pause following", onclick: () => this.setPaused(!this.isPaused) });
    this.refit = el("button", {
      textContent: "Fit axes anew",
      title: "fit the axes to all checkpoints; until then the new ones are projected into them, and comparisons leave them out",
      "data-control": "refit",
      hidden: true,
      onclick: () => this.fitAnew(),
    });
    this.training = stage.data.about.can_train ? new Training(stage) : null;
    this.node = el(
      "span",
      { className: "live", "data-control": "live" },
      ...[this.dot, this.text, this.note, this.refit, this.pause, this.training?.node ?? null],
    );
    this.setPaused(false);
  }

  get generation() {
    return this.stage.whole.about.generation;
  }

  // In the header of the page, which is made anew with the page.
  place() {
    if (this.isStarted) this.stage.body.querySelector("header .space")?.before(this.node);
  }

  async start() {
    if (this.isStarted) return;
    this.isStarted = true;
    this.place();
    while (!this.hasEnded) {
      const answered = this.isPaused || document.hidden || (await this.step());
      await waited(answered ? EVERY : LONGER);
    }
  }

  end() {
    this.hasEnded = true;
  }

  setPaused(isPaused) {
    this.isPaused = isPaused;
    this.pause.textContent = isPaused ? "▶" : "❚❚";
    this.pause.title = isPaused ? "go on following" : "stop following for a while";
    this.pause.setAttribute("aria-label", this.pause.title);
    this.node.classList.toggle("paused", isPaused);
    if (isPaused) this.text.textContent = `paused · ${this.text.textContent}`;
    else this.text.textContent = this.text.textContent.replace(/^paused · /, "");
  }

  request(kind) {
    return { kind, since: this.known, generation: this.generation };
  }

  async step() {
    try {
      const news = await this.stage.host.ask("news", this.request("news"));
      if (news && !this.isPaused && !this.hasEnded) await this.take(news);
      return true;
    } catch (error) {
      if (error.constructor !== Error) console.error(error);
      this.show([{ state: "problem", text: error.message }]);
      return false;
    }
  }

  // What Python tells unasked: all news since the axes were fitted, of which some may be known.
  hear({ about, arrays }) {
    const { known } = this;
    if (about.generation !== this.generation || about.n_new <= known || this.isPaused || this.hasEnded) return null;
    const unknown = Object.entries(arrays).map(([name, values]) => [name, rowsFrom(values, known)]);
    return this.take({ about: { ...about, first: known }, arrays: Object.fromEntries(unknown) });
  }

  async take({ about, arrays }) {
    if (about.generation !== this.generation) return this.reload();
    this.show(about.sources);
    this.training?.show(about.training);
    this.note.hidden = !about.note;
    this.note.textContent = this.note.title = about.note;
    this.refit.hidden = !about.can_refit || !about.n_new;
    if (about.n_new === this.known) return;
    if (about.first !== this.known) return this.reload();
    this.known = about.n_new;
    const before = this.stage.whole.about;
    const names = [before.curves.length, before.seeds.length].join();
    grow(this.stage.whole, about, arrays);
    this.stage.grown(names !== [before.curves.length, before.seeds.length].join());
    await this.stage.whenDrawn(); // a page that draws slowly asks less often
  }

  show(sources) {
    this.dot.hidden = this.text.hidden = this.pause.hidden = !sources.length;
    this.text.textContent = this.text.title = sources.map(({ text }) => text).join(" · ");
    const order = ["problem", "killed", "recording", "slow", "waiting", "ended"];
    this.dot.dataset.state = order.find((state) => sources.some((source) => source.state === state)) ?? "unknown";
    this.node.dataset.state = this.dot.dataset.state;
  }

  async fitAnew() {
    this.refit.disabled = true;
    try {
      const news = await this.stage.host.ask("refit", this.request("refit"));
      if (news && news.about.generation !== this.generation) await this.reload();
    } catch (error) {
      this.stage.say(error.message);
    } finally {
      this.refit.disabled = false;
    }
  }

  // The numbers are other ones now: all is drawn from them, with the same choices.
  async reload() {
    const data = await unpack(await this.stage.host.ask("payload", { kind: "payload" }));
    this.known = 0;
    this.refit.hidden = this.note.hidden = true;
    this.stage.replace(data);
    await this.stage.whenDrawn();
  }
}

// A training that is started from the page: what, how far, how long still, and its end.
class Training {
  constructor(stage) {
    this.stage = stage;
    this.what = el("select", { "aria-label": "what to train", "data-control": "train what" });
    this.seed = el("input", { type: "number", min: 0, step: 1, "aria-label": "seed", "data-control": "train seed" });
    this.what.addEventListener("change", () => (this.seed.value = this.offers[this.what.value].seed));
    this.begin = el("button", { textContent: "Start", "data-control": "train start", onclick: () => this.act("start") });
    this.stop = el("button", { textContent: "Stop", "data-control": "train stop", onclick: () => this.act("stop"), hidden: true });
    this.done = el("progress", { max: 1, value: 0, hidden: true });
    this.text = el("span", { className: "text", "data-control": "train state" });
    const choices = el("div", { className: "items train" }, this.what, el("label", {}, "seed ", this.seed), this.begin);
    const summary = el("summary", { textContent: "Train …", title: "train a network of a recipe; its checkpoints appear here" });
    this.menu = el("details", { className: "menu", "data-control": "train" }, summary, choices);
    this.menu.addEventListener("toggle", () => this.menu.open && this.act("offers"));
    this.menu.addEventListener("keydown", (event) => menuKey(this.menu, event));
    this.node = el("span", { className: "live" }, this.menu, this.done, this.text, this.stop);
  }

  async act(act) {
    try {
      const { recipe, task, method } = (act === "start" && this.offers?.[this.what.value]) || {};
      const answer = await this.stage.host.ask("training", { kind: "training", act, recipe, task, method, seed: this.seed.valueAsNumber });
      if (act === "offers" && answer) this.offer(answer);
      else this.show(answer);
      if (act === "start") this.menu.open = false;
    } catch (error) {
      if (act === "offers") this.begin.disabled = true;
      this.stage.say(error.message);
    }
  }

  offer(offers) {
    const chosen = this.what.value;
    this.offers = offers;
    this.what.replaceChildren(...offers.map(({ task, method }, n) => el("option", { value: n, textContent: `${task} · ${method}` })));
    if (chosen) this.what.value = chosen;
    if (!offers.length) this.stage.say("No recipe that is here has the samples and classes of this dataset.");
    else this.seed.value = offers[this.what.value].seed;
    this.begin.disabled = !offers.length;
  }

  show(state) {
    if (!state) return;
    const isTraining = state.state === "training";
    this.stop.hidden = this.done.hidden = !isTraining;
    this.menu.hidden = isTraining || state.state === "stopping";
    this.done.value = state.share;
    const left = state.seconds_left === null ? "" : `, ${Math.ceil(state.seconds_left)} s left`;
    this.text.textContent = this.text.title = `${state.state} ${state.run}${isTraining ? left : ""}`;
  }
}

/**
 * New checkpoints as further rows of what was sent. Only those that were there are ever fitted to.
 *
 * @param {object} data What `unpack` gave of the payload.
 * @param {object} about Of the news: all curves, runs and seeds that are new, the scale of all epochs.
 * @param {object} arrays What each new checkpoint has.
 */
export function grow(data, about, arrays) {
  const there = data.about;
  data.later ??= {}; // of all new ones, what the page was not sent of the others
  data.first ??= there.defaults; // before anything came
  data.names ??= { curves: there.curves.length, runs: there.runs.length };
  for (const [name, values] of Object.entries(arrays)) {
    const isThere = data.arrays[name] || name === NEW_DISTANCES;
    const into = isThere ? data.arrays : data.later;
    into[name] = joined(into[name], values);
  }
  there.curves.splice(data.names.curves, Infinity, ...about.curves);
  there.runs.splice(data.names.runs, Infinity, ...about.runs);
  Object.assign(there, { summary: about.summary, seeds: about.seeds, info: { ...there.info, ...about.info } });
  there.epochs = [...new Set(data.arrays.epoch)].sort((one, other) => one - other);
  for (const name of ["epoch", "step"]) {
    const clock = there.clocks[name];
    for (const value of arrays[name]) {
      clock.low = Math.min(clock.low, value);
      clock.high = Math.max(clock.high, value);
    }
  }
  there.defaults = {
    ...there.defaults,
    curves: there.curves.map(({ label }) => label),
    seeds: [...there.seeds],
    epochs: [there.epochs[0], there.epochs.at(-1)],
  };
  if (there.everything) delete there.everything.extents;
}

// What was asked for afterwards is of the checkpoints that were there: the later ones behind it.
export function withLater(data, name) {
  if (!data.later?.[name]) return;
  const later = data.later[name];
  if (data.arrays[name].length + later.length === data.arrays.curve.length) data.arrays[name] = joined(data.arrays[name], later);
}

function rowsFrom(values, start) {
  const [length, ...others] = values.shape;
  const rows = values.subarray((start * values.length) / length);
  rows.shape = [length - start, ...others];
  return rows;
}

function joined(first, second) {
  if (!first) return second;
  const whole = new first.constructor(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  whole.shape = [first.shape[0] + second.shape[0], ...first.shape.slice(1)];
  return whole;
}
