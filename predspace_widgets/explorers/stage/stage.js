// The stage: cards with views, the list of curves, the time, and what links them. It knows no view by name.
import { ErrorBars } from "./bars.js";
import { Card } from "./card.js";
import { Choices, fromQuery, same, toQuery } from "./choices.js";
import { attributes, curveList, el, epochRange, sampleList, seedList, timeBar } from "./controls.js";
import { applies, fill, formatted, textsOf } from "./fill.js";
import { Lecture } from "./lecture.js";
import { NEW_DISTANCES, startLive } from "./live.js";
import { unpack } from "./packing.js";
import { Pictures } from "./picture.js";
import { header } from "./sharing.js";
import { summaryOf } from "./summary.js";
import { Tables, chosenRows, general } from "./tables.js";
import { themeOf, themed } from "./theme.js";

// Choices that change no figure, or only what is drawn above it.
const LIGHT = ["time", "pinned", "camera", "selected", "sample", "tabs"];
const DECIDE = ["tabs", "selected"]; // which cards are seen
const SIDES = { below: ["below left", "below right"], right: ["right top", "right bottom", "selected"] };
const STAYS = 8000; // milliseconds that a notice is seen
const MOST_KEPT_SAMPLES = 4; // choices of samples
const MOST_ANSWERS = 100;
const QUIET = 250; // milliseconds until the host and the address hear of what goes on changing

// What a view of results depends on: the samples that are looked at change all of them.
const dependsOf = (view) => [...view.depends, "samples"];

const soon = () => new Promise((done) => setTimeout(done));
const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

// host: payload(), choices, plotly(), ask(kind, request), save(choices, scenes) if it can, tell(choices), on(listener of
// choices), address (whether that of the page is ours), live (whether new checkpoints may come, and listeners to that and
// to news that come unasked) if they can.
export async function mount(root, host) {
  const bytes = await host.payload();
  const stage = new Stage(root, host, await unpack(bytes));
  const registry = (globalThis.predspace ??= { stages: [] });
  registry.stages.push((stage.known = stage.face()));
  startLive(stage);
  return stage;
}

class Stage {
  constructor(root, host, data) {
    Object.assign(this, { root, host, data, shows: [], lit: null, generation: 0, ahead: new Map(), answers: new Map(), whole: data, ofSamples: new Map() });
    this.choices = new Choices(data.about);
    this.pictures = new Pictures(data);
    this.bars = new ErrorBars(this);
    const address = host.address ? fromQuery(location.search) : {};
    this.problems = this.choices.set({ ...host.choices, ...address });
    this.choices.listeners.push((changed, from) => this.react(changed, from));
    this.learn(data.about.ahead);
    this.bars.learn(data.about.bars);
    this.lecture = new Lecture(this);
    this.build();
    host.on((settings) => this.choices.set({ ...this.choices.defaults, ...settings }, "host"));
    this.begin();
    if (Object.keys(address).length && this.problems.length < Object.keys(address).length) this.tell();
    if (data.about.present) this.lecture.enter();
  }

  destroy() {
    const { stages } = globalThis.predspace;
    stages.splice(0, stages.length, ...stages.filter((face) => face !== this.known));
    this.live?.end();
    this.lecture.destroy();
    for (const card of this.cards) card.destroy();
  }

  // New checkpoints are there.
  grown(hasNewNames) {
    const { about } = this.whole;
    this.choices.renew(about);
    const summary = this.body.querySelector("header .summary");
    if (summary) summary.textContent = summary.title = about.summary;
    if (hasNewNames) this.body.querySelector("aside").replaceChildren(...this.lists());
    this.show();
    this.drawn = this.draw();
  }

  // All numbers are other ones now.
  replace(data) {
    for (const card of this.cards) card.destroy();
    Object.assign(this, { data, shows: [], lit: null, lastPicture: null, pending: null, problems: [] });
    Object.assign(this, { whole: data, ahead: new Map(), answers: new Map(), ofSamples: new Map() });
    this.choices.renew(data.about);
    this.pictures = new Pictures(data);
    this.bars = new ErrorBars(this);
    this.learn(data.about.ahead);
    this.build();
    this.live.place();
    this.begin();
  }

  // Draws everything, and asks for what was measured ahead where it was not sent along.
  begin() {
    this.drawn = this.draw();
    if (!Object.keys(this.data.about.ahead).length) this.drawn.then(() => this.askAhead());
  }

  // Results that were measured ahead answer for the choices that they are of.
  learn(ahead) {
    for (const [view, results] of Object.entries(ahead)) {
      for (const { choices, drawing } of results) this.ahead.set(this.keyOf(this.view(view), choices), drawing);
    }
  }

  async askAhead() {
    try {
      this.learn(await this.host.ask("ahead", { kind: "ahead" }));
    } catch (error) {
      console.info(error.message); // each is asked for when it is wanted
    }
  }

  // What scripts and tests see of a stage.
  face() {
    const stage = this;
    return {
      get state() {
        return structuredClone(stage.choices.now);
      },
      set: (choices) => stage.set(choices),
      result: (view) => stage.result(view),
      drawing: (view) => stage.drawing(view),
      whenDrawn: () => stage.whenDrawn(),
      play: () => stage.play(),
      pause: () => stage.pause(),
    };
  }

  numberOf(label) {
    return this.data.about.curves.findIndex((curve) => curve.label === label);
  }

  view(name) {
    const view = this.data.about.views.find((one) => one.name === name);
    if (!view) throw new Error(`no view “${name}”; there are ${this.data.about.views.map((one) => one.name).join(", ")}`);
    return view;
  }

  // -- what is on the page ------------------------------------------------------------------------------------------

  build() {
    const { about } = this.data;
    this.tip = el("div", { className: "tip", hidden: true });
    this.notice = el("div", { className: "notice", hidden: true, role: "status" });
    const decks = Map.groupBy(about.views.slice(1), (view) => view.deck);
    this.cards = about.views.map((view, place) => new Card(this, view, place ? decks.get(view.deck) : null));
    const [first, ...others] = this.cards;
    const column = (side) => {
      const cards = SIDES[side].flatMap((deck) => others.filter(({ view }) => view.deck === deck));
      return cards.length ? el("div", { className: side }, ...cards.map((card) => card.node)) : null;
    };
    this.body = el(
      "div",
      { className: this.host.address ? "stage page" : "stage", tabIndex: -1, "data-lm-suppress-shortcuts": "true" }, // JupyterLab's keys
      header(this),
      this.lecture.build(),
      el("aside", { "aria-label": "what is shown" }, ...this.lists()),
      el("main", {}, el("div", { className: "middle" }, first.node, column("below")), column("right")),
      this.notice,
      this.tip,
    );
    this.root.replaceChildren(this.body);
    first.message.after(timeBar(this));
    this.retheme();
    if (!this.drawn) matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.retheme());
    this.body.addEventListener("keydown", (event) => this.key(event));
    if (this.problems.length) this.say(`${this.problems.join(" ")} The rest of the address is applied.`, true);
    this.lecture.built();
    this.show();
  }

  lists() {
    const lists = [curveList(this), seedList(this), attributes(this), epochRange(this), sampleList(this)];
    return lists.filter((list) => list !== null);
  }

  show() {
    for (const show of this.shows) show();
  }

  say(text, urgent = false) {
    clearTimeout(this.silence);
    if (!urgent) this.silence = setTimeout(() => (this.notice.hidden = true), STAYS);
    this.notice.textContent = text;
    this.notice.hidden = !text;
    this.notice.classList.toggle("urgent", urgent);
  }

  retheme(name = this.wanted ?? "system") {
    this.wanted = name;
    const dark = name === "dark" || (name === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    this.body.classList.toggle("dark", dark);
    this.theme = themeOf(dark);
    for (const row of this.body.querySelectorAll("[data-curve] .swatch path")) {
      const curve = this.data.about.curves.find(({ label }) => label === row.closest("[data-curve]").dataset.curve);
      row.setAttribute("stroke", themed(curve.color, this.theme));
    }
    if (this.drawn) this.drawn = this.draw();
  }

  key(event) {
    if (event.key === "Escape") {
      for (const card of this.cards) card.enlarge(false);
      this.set({ selected: [], pinned: [] });
    }
  }

  // -- choices ------------------------------------------------------------------------------------------------------

  set(choices, from = "user") {
    const problems = this.choices.set(choices, from);
    if (problems.length) this.say(problems.join(" "));
    return problems;
  }

  react(changed, from) {
    if (this.data.about.published && changed.includes("axes_fitted_on")) return;
    this.show();
    if (changed.every((name) => LIGHT.includes(name))) this.drawLight(changed);
    else this.drawn = this.draw(changed);
    if (from !== "host" && from !== "play") this.settle();
  }

  // Tells the host and the address, once it is quiet.
  settle() {
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell(), QUIET);
  }

  tell() {
    clearTimeout(this.telling);
    if (this.lecture.leads) return;
    this.host.tell(this.choices.settings());
    if (this.host.address) {
      const query = toQuery(this.choices.lasting());
      history.replaceState(null, "", query ? `?${query}` : location.pathname);
    }
  }

  pin(label) {
    const { pinned } = this.choices.now;
    this.set({ pinned: pinned.includes(label) ? pinned.filter((other) => other !== label) : [...pinned, label] });
  }

  // Shows one curve alone; once more, all of them.
  isolate(label) {
    const alone = this.choices.now.curves.length === 1 && this.choices.now.curves[0] === label;
    const all = this.data.about.curves.map((curve) => curve.label);
    this.set({ curves: alone ? all : [label], pinned: this.choices.now.pinned.filter((other) => other !== label) });
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  async whenDrawn() {
    let seen;
    do {
      seen = this.drawn;
      await seen;
      await this.bars.waiting;
      await frame();
    } while (seen !== this.drawn);
  }

  // All cards, the first at once and the others as soon as the page has answered; only the newest choices count.
  async draw(changed = null) {
    const mine = ++this.generation;
    if (this.keyOfSamples() === (this.data.key ?? "null")) this.tables = null; // else once the numbers are there
    for (const card of this.cards) card.isStale ||= !changed || card.dependsOn(changed);
    await this.drawStale(mine);
  }

  // Choices that change no picture move what is above it; they may change a result, or which cards are seen.
  drawLight(changed) {
    const due = this.cards.filter(({ view }) => view.kind === "results").filter((card) => card.dependsOn(changed));
    for (const card of due) card.isStale = true;
    this.drawOver(changed);
    if (due.length || changed.some((name) => DECIDE.includes(name))) this.drawn = this.drawStale(++this.generation);
  }

  // Cards that cannot be seen wait until they can.
  async drawStale(mine) {
    const isNewest = () => mine === this.generation;
    if (!(await this.exchange(isNewest))) return;
    for (const card of this.cards) card.node.classList.toggle("waiting", card.isUnknown());
    for (const card of this.cards) {
      if (!isNewest()) return;
      if (!card.isStale || !card.isSeen()) continue;
      await card.draw(isNewest);
      if (isNewest()) card.isStale = false;
      if (isNewest()) card.node.classList.remove("waiting");
      await (card === this.cards[0] ? frame() : soon());
    }
    if (isNewest()) this.drawOver(["pinned"]);
    if (isNewest()) this.bars.update();
  }

  // The numbers of the samples that are looked at take the place of those before; false where they are wanted no more.
  async exchange(isNewest) {
    const { samples } = this.choices.now;
    const key = this.keyOfSamples();
    if (key === (this.data.key ?? "null")) {
      this.body.classList.remove("exchanging");
      return true;
    }
    try {
      if (samples && !this.ofSamples.has(key)) {
        this.body.classList.add("exchanging");
        const answer = await this.host.ask("samples", { kind: "samples", choices: { samples } });
        if (!answer) return false;
        if (this.ofSamples.size >= MOST_KEPT_SAMPLES) this.ofSamples.delete(this.ofSamples.keys().next().value);
        this.ofSamples.set(key, this.withNumbers(answer, key));
      }
    } catch (error) {
      if (!isNewest()) return false;
      this.choices.now.samples = this.data.key ? JSON.parse(this.data.key) : null; // they stay what they were
      this.say(error.message, true);
      this.show();
      this.settle();
      return true;
    } finally {
      if (isNewest()) this.body.classList.remove("exchanging");
    }
    if (!isNewest()) return false;
    this.data = samples ? this.ofSamples.get(key) : this.whole;
    this.tables = null;
    this.pictures = new Pictures(this.data);
    this.lastPicture = null;
    this.show();
    return true;
  }

  keyOfSamples() {
    return JSON.stringify(this.choices.now.samples);
  }

  withNumbers({ about, arrays }, key) {
    const { whole } = this;
    const n = whole.about.n_checkpoints; // those that are measured: others may have come
    const first = (values) => (values.length > n ? values.subarray(0, n) : values);
    const others = Object.entries(whole.arrays).filter(([name]) => !about.replaces.includes(name) && name !== NEW_DISTANCES);
    const without = Object.fromEntries(others.map(([name, values]) => [name, first(values)]));
    return { key, about: { ...whole.about, ...about }, arrays: { ...without, ...arrays } };
  }

  drawOver(changed) {
    const moved = changed.includes("time") || changed.includes("time_by");
    if (moved && this.tables) {
      this.tables.choices = this.choices.now;
      for (const name of ["past", "heads"]) delete this.tables.known[name];
      delete this.tables.passed;
    }
    for (const card of this.cards) card.drawOver(changed);
  }

  // The tables of the present choices; an error says why there are none.
  tablesNow() {
    const { now } = this.choices;
    this.tables ??= new Tables(this.data, now, chosenRows(this.data, now), () => this.pictures.of(now), this.bars.now());
    return this.tables;
  }

  // -- what is lit --------------------------------------------------------------------------------------------------

  light(curve, row = -1) {
    if (this.lit === curve && this.litRow === row) return;
    this.lit = curve;
    this.litRow = row;
    this.show();
    for (const card of this.cards) card.drawOver(["pinned"]);
  }

  hover(hit) {
    this.tip.hidden = !hit;
    if (hit) this.describe(hit);
    this.light(hit && hit.curve >= 0 ? hit.curve : null, hit?.row ?? -1);
  }

  click(hit) {
    const { selected } = this.choices.now;
    // A second checkpoint is looked at beside the first; a third takes the place of the second.
    if (hit?.row >= 0) this.set({ selected: [1, 2].includes(selected.length) && selected[0] !== hit.row ? [selected[0], hit.row] : [hit.row] });
    else if (hit?.curve >= 0) this.pin(this.data.about.curves[hit.curve].label);
    else if (this.choices.now.selected.length) this.set({ selected: [] });
  }

  // A hidden curve lights nothing: there would be nothing to see but what is pale.
  litCurves() {
    const { curves, pinned } = this.choices.now;
    const lit = [...(this.lit === null ? [] : [this.data.about.curves[this.lit].label]), ...pinned];
    return new Set(lit.filter((label) => curves.includes(label)).map((label) => this.numberOf(label)));
  }

  describe({ curve, row, x, y }) {
    const { about, arrays } = this.data;
    const name = curve >= 0 ? about.curves[curve].label : row >= 0 ? about.curves[arrays.curve[row]].label : "";
    const lines = row >= 0 ? this.checkpointLines(row) : ["mean of seeds"];
    this.tip.replaceChildren(el("b", { textContent: name }), ...lines.map((text) => el("div", { textContent: text })));
    const bounds = this.body.getBoundingClientRect();
    const [left, top] = [x - bounds.left + 14, y - bounds.top + 14];
    this.tip.style.left = `${Math.max(4, Math.min(left, bounds.width - this.tip.offsetWidth - 6))}px`;
    this.tip.style.top = `${Math.max(4, top + this.tip.offsetHeight > bounds.height ? top - this.tip.offsetHeight - 28 : top)}px`;
  }

  checkpointLines(row) {
    const { arrays } = this.data;
    const metric = `progress ${this.choices.now.progress_metric}`;
    const lines = [`seed ${arrays.seed[row]} · epoch ${general(arrays.epoch[row], 3)} · step ${arrays.step[row]}`];
    const shares = [["progress", arrays[metric]], ["accuracy", arrays.accuracy]];
    const known = shares.filter(([, values]) => values).map(([name, values]) => `${name} ${values[row].toFixed(3)}`);
    if (known.length) lines.push(known.join(" · "));
    const { attributes } = this.data.about;
    const named = Object.entries(attributes).map(([name, { values }]) => [name, values[arrays[`attribute ${name}`][row]]]);
    const given = named.filter(([, value]) => value);
    if (given.length) lines.push(given.map((pair) => pair.join(" ")).join(" · "));
    const intervals = this.intervals(row);
    return intervals ? [...lines, intervals] : lines;
  }

  // Squared intervals, axis by axis with their signs, from a checkpoint to the selected one or to truth.
  intervals(row) {
    const picture = this.tables?.known.picture; // where one is drawn
    const place = picture?.rows.indexOf(row) ?? -1;
    if (place < 0) return "";
    const selected = this.choices.now.selected.find((other) => other !== row && picture.rows.includes(other));
    const other = (k) => (selected === undefined ? picture.geodesic(k).at(-1) : picture.column(k)[picture.rows.indexOf(selected)]);
    if (other(1) === undefined) return "";
    const parts = picture.eigenvalues.slice(0, 3).map((value, n) => {
      const interval = Math.sign(value) * (picture.column(n + 1)[place] - other(n + 1)) ** 2;
      return `${interval < 0 ? "−" : "+"}${Math.abs(interval).toFixed(3)}${value < 0 ? " (imaginary)" : ""}`;
    });
    return `squared interval to ${selected === undefined ? "truth" : "the selected"}, by axis: ${parts.join(", ")}`;
  }

  // -- results ------------------------------------------------------------------------------------------------------

  // Of a view for the present choices: its figure and its caption, or a message why there is none.
  drawing(name) {
    const view = this.view(name);
    if (view.kind === "results") return this.answerOf(view) ?? { message: "not measured yet" };
    try {
      const tables = this.tablesNow();
      const figure = fill(view, tables, this.choices.now);
      const read = view.readings.find(({ when }) => applies(when, this.choices.now))?.text ?? view.how_to_read;
      const facts = view.facts.map((fact) => tables.fact(fact));
      // What is true of a published picture alone comes first, where captions are cut.
      const whole = view.facts.includes("fitted") && this.data.about.published;
      const caption = [whole, read, ...facts.filter((fact) => fact !== whole)].filter(Boolean).join(" ");
      const summary = summaryOf(view.summary, tables, this.choices.now, textsOf(this.choices.now));
      return { figure, caption, summary, message: "" };
    } catch (error) {
      if (error.needs || error.constructor !== Error) throw error;
      return { figure: null, caption: view.how_to_read, summary: "", message: error.message };
    }
  }

  // The numbers of a view in plain arrays, by column.
  result(name) {
    const view = this.view(name);
    if (view.kind === "results") return this.answerOf(view)?.table ?? null;
    const tables = this.tablesNow();
    const table = tables.get(view.table);
    const texts = textsOf(this.choices.now);
    const { about, arrays } = this.data;
    const result = {};
    const rows = Array.from(table.rows);
    if (rows.length && rows.every((row) => row >= 0)) {
      result.row = rows;
      result.run = rows.map((row) => about.runs[arrays.run[row]]);
    }
    if (table.curve) {
      for (const name of about.curve_coordinates) result[name] = table.curve.map((curve) => about.curves[curve].apart[name]);
    }
    if (result.row) result.seed = rows.map((row) => arrays.seed[row]);
    for (const column of [...view.columns, ...(tables.bars ? view.columns_of_bars : [])]) result[formatted(column, texts)] = Array.from(table.column(formatted(column, texts)));
    if (view.columns.some((column) => column.startsWith("inpca "))) {
      const { eigenvalues, together, rows: all } = tables.picture;
      const columns = eigenvalues.slice(0, tables.picture.k).map((_, n) => tables.picture.column(n + 1));
      Object.assign(result, { eigenvalue: eigenvalues, explained_stress: together });
      result.embedding = Array.from(all, (_, place) => columns.map((column) => column[place]));
    }
    return result;
  }

  // What is known of a view of results for the present choices.
  answerOf(view) {
    const key = this.keyOf(view);
    return this.ahead.get(key) ?? this.answers.get(key);
  }

  remember(key, drawing) {
    this.answers.set(key, drawing);
    if (this.answers.size > MOST_ANSWERS) this.answers.delete(this.answers.keys().next().value);
  }

  keyOf(view, choices = {}) {
    return `${view.name} ${JSON.stringify(dependsOf(view).map((name) => this.measuredAs(name, (name in choices ? choices : this.choices.now)[name] ?? null)))}`;
  }

  // What Python is sent to measure what a view shows.
  choicesOf(view) {
    return Object.fromEntries(dependsOf(view).map((name) => [name, this.choices.now[name]]));
  }

  // Results are of the checkpoints that were there at first: whoever chooses everything means these.
  measuredAs(name, value) {
    if (!["curves", "seeds", "epochs"].includes(name)) return value;
    const first = this.data.first ?? this.data.about.defaults;
    return same(value, first[name]) || same(value, this.choices.defaults[name]) ? "everything" : value;
  }

  // Asks Python for what only predictions can tell; only the newest request of each kind is answered.
  async ask(kind, request, isNewest) {
    const answer = await this.host.ask(kind, request);
    return isNewest() ? answer : null;
  }
}
