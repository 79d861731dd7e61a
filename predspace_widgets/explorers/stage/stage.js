// The stage: cards with views, the list of curves, the time, and what links them. It knows no view by name.
import { Chart } from "./chart.js";
import { Choices, fromQuery, same, toQuery } from "./choices.js";
import { curveList, el, epochRange, seedList, select, timeBar } from "./controls.js";
import { applies, fill, formatted, textsOf } from "./fill.js";
import { startLive, withLater } from "./live.js";
import { unpack } from "./packing.js";
import { Pictures } from "./picture.js";
import { Scene } from "./scene.js";
import { header, cardMenu } from "./sharing.js";
import { Tables, chosenRows, general } from "./tables.js";
import { inLargerType, themeOf, themed } from "./theme.js";
import { turnOver } from "./turning.js";

// Choices that change no figure, or only what is drawn above it.
const LIGHT = ["time", "pinned", "camera", "selected"];
const MANY = 40; // selected checkpoints have small dots
const STAYS = 8000; // milliseconds that a notice is seen
const QUIET = 250; // milliseconds until the host and the address hear of what goes on changing

const soon = () => new Promise((done) => setTimeout(done));
const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

// host: payload(), choices, plotly(), ask(kind, request), save(choices) if it can, tell(choices), on(listener of choices),
// address (whether that of the page is ours), live (whether new checkpoints may come, and a listener to that) if they can.
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
    Object.assign(this, { root, host, data, shows: [], lit: null, generation: 0, answers: new Map() });
    this.choices = new Choices(data.about);
    this.pictures = new Pictures(data);
    const address = host.address ? fromQuery(location.search) : {};
    this.problems = this.choices.set({ ...host.choices, ...address });
    this.choices.listeners.push((changed, from) => this.react(changed, from));
    this.learn(data.about.ahead);
    this.build();
    host.on((settings) => this.choices.set({ ...this.choices.defaults, ...settings }, "host"));
    this.drawn = this.draw();
    if (!Object.keys(data.about.ahead).length) this.drawn.then(() => this.askAhead());
    if (Object.keys(address).length && this.problems.length < Object.keys(address).length) this.tell();
  }

  destroy() {
    const { stages } = globalThis.predspace;
    stages.splice(0, stages.length, ...stages.filter((face) => face !== this.known));
    this.live?.end();
    for (const card of this.cards) card.destroy();
  }

  // New checkpoints are there.
  grown(hasNewNames) {
    const { about } = this.data;
    this.choices.renew(about);
    const summary = this.body.querySelector("header .summary");
    if (summary) summary.textContent = summary.title = about.summary;
    if (hasNewNames) this.body.querySelector("aside").replaceChildren(curveList(this), seedList(this), epochRange(this));
    this.show();
    this.drawn = this.draw();
  }

  // All numbers are other ones now.
  replace(data) {
    for (const card of this.cards) card.destroy();
    Object.assign(this, { data, shows: [], lit: null, lastPicture: null, pending: null, answers: new Map(), problems: [] });
    this.choices.renew(data.about);
    this.pictures = new Pictures(data);
    this.learn(data.about.ahead);
    this.build();
    this.live.place();
    this.drawn = this.draw();
    if (!Object.keys(data.about.ahead).length) this.drawn.then(() => this.askAhead());
  }

  // Results that were measured ahead answer for the choices that they are of.
  learn(ahead) {
    for (const [view, results] of Object.entries(ahead)) {
      for (const { choices, drawing } of results) this.answers.set(this.keyOf(this.view(view), choices), drawing);
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
    this.cards = about.views.map((view, place) => new Card(this, view, place === 0));
    const [first, ...others] = this.cards;
    const below = others.slice(0, 2);
    const right = others.slice(2);
    const column = (name, cards) => (cards.length ? el("div", { className: name }, ...cards.map((card) => card.node)) : null);
    this.body = el(
      "div",
      { className: "stage" },
      header(this),
      el("aside", {}, curveList(this), seedList(this), epochRange(this)),
      el("main", {}, el("div", { className: "middle" }, first.node, column("below", below)), column("right", right)),
      this.notice,
      this.tip,
    );
    this.root.replaceChildren(this.body);
    first.message.after(timeBar(this));
    this.retheme();
    if (!this.drawn) matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.retheme());
    this.body.addEventListener("keydown", (event) => this.key(event));
    if (this.problems.length) this.say(`${this.problems.join(" ")} The rest of the address is applied.`, true);
    this.show();
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
    if (changed.every((name) => LIGHT.includes(name))) this.drawOver(changed);
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
      await frame();
    } while (seen !== this.drawn);
  }

  // All cards, the first at once and the others as soon as the page has answered; only the newest choices count.
  async draw(changed = null) {
    const mine = ++this.generation;
    this.tables = null;
    for (const card of this.cards) {
      if (mine !== this.generation) return;
      if (changed && !card.dependsOn(changed)) continue;
      await card.draw(() => mine === this.generation);
      await (card === this.cards[0] ? frame() : soon());
    }
    if (mine === this.generation) this.drawOver(["pinned"]);
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
    this.tables ??= new Tables(this.data, now, chosenRows(this.data, now), () => this.pictures.of(now));
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
    if (hit?.row >= 0) this.set({ selected: [hit.row] });
    else if (hit?.curve >= 0) this.pin(this.data.about.curves[hit.curve].label);
    else if (this.choices.now.selected.length) this.set({ selected: [] });
  }

  litCurves() {
    const pinned = this.choices.now.pinned.map((label) => this.numberOf(label));
    return new Set(this.lit === null ? pinned : [this.lit, ...pinned]);
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
    if (view.kind === "results") return this.answers.get(this.keyOf(view)) ?? { message: "not measured yet" };
    try {
      const tables = this.tablesNow();
      const figure = fill(view, tables, this.choices.now);
      const caption = [view.how_to_read, ...view.facts.map((fact) => tables.fact(fact))].filter(Boolean).join(" ");
      return { figure, caption, message: "" };
    } catch (error) {
      if (error.needs || error.constructor !== Error) throw error;
      return { figure: null, caption: view.how_to_read, message: error.message };
    }
  }

  // The numbers of a view in plain arrays, by column.
  result(name) {
    const view = this.view(name);
    if (view.kind === "results") return this.answers.get(this.keyOf(view))?.table ?? null;
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
      result.task = table.curve.map((curve) => about.curves[curve].task);
      result.method = table.curve.map((curve) => about.curves[curve].method);
    }
    if (result.row) result.seed = rows.map((row) => arrays.seed[row]);
    for (const column of view.columns) result[formatted(column, texts)] = Array.from(table.column(formatted(column, texts)));
    if (view.columns.some((column) => column.startsWith("inpca "))) {
      const { eigenvalues, together, rows: all } = tables.picture;
      const columns = eigenvalues.map((_, n) => tables.picture.column(n + 1));
      Object.assign(result, { eigenvalue: eigenvalues, explained_stress: together });
      result.embedding = Array.from(all, (_, place) => columns.map((column) => column[place]));
    }
    return result;
  }

  keyOf(view, choices = {}) {
    return `${view.name} ${JSON.stringify(view.depends.map((name) => this.measuredAs(name, choices[name] ?? this.choices.now[name])))}`;
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

// The scene tells where it was hit inside of it; a tip needs to know where on the page.
function onPage(handlers, drawing) {
  const moved = (hit) => {
    const { left, top } = drawing.getBoundingClientRect();
    return hit && { ...hit, row: hit.row ?? -1, curve: hit.curve ?? -1, x: hit.x + left, y: hit.y + top };
  };
  return { ...handlers, hover: (hit) => handlers.hover(moved(hit)) };
}

const onBase = (trace) => (trace.meta.over ? { ...trace, meta: { ...trace.meta, over: false } } : trace);

// To so many digits that nobody sees the rest, and the address stays short.
function rounded(camera) {
  const parts = (part) => Object.fromEntries(Object.entries(part).map(([axis, value]) => [axis, Number(value.toFixed(3))]));
  return Object.fromEntries(Object.entries(camera).map(([name, part]) => [name, parts(part)]));
}

// What moves with the time is drawn above the rest, by drawOver.
function withoutMoving({ data, layout }) {
  const scene = { ...layout.scene, annotations: [] };
  return { data: data.filter((trace) => !trace.meta?.over), layout: { ...layout, scene } };
}

// One view: its header, its drawing, how to read it.
class Card {
  constructor(stage, view, isLarge) {
    Object.assign(this, { stage, view });
    this.hasPicture = view.marks?.some(({ place }) => Object.values(place).some((column) => column.startsWith("inpca ")));
    this.title = el("h2", { textContent: view.title });
    this.share = el("span", { className: "share" });
    this.drawing = el("div", { className: "drawing" });
    this.message = el("p", { className: "message", hidden: true });
    this.caption = el("p", { className: "caption", textContent: view.how_to_read, title: view.how_to_read });
    const controls = view.controls.map((control) => select(stage, control));
    if (view.marks?.some((mark) => mark.place.z)) controls.push(this.dragging());
    const own = el("div", { className: "choices" }, ...controls);
    const close = el("button", { className: "close", textContent: "×", title: "back (Escape)", onclick: () => this.enlarge(false) });
    const head = el("div", { className: "head" }, this.title, this.share, own, cardMenu(stage, this), close);
    this.node = el(
      "article",
      { className: isLarge ? "card large" : "card", "data-view": view.name },
      head,
      this.drawing,
      this.message,
      this.caption,
    );
    this.caption.addEventListener("click", () => this.caption.classList.toggle("open"));
    this.handlers = {
      hover: (hit) => stage.hover(hit),
      click: (hit) => stage.click(hit),
      doubleClick: (hit) => hit?.curve >= 0 && stage.isolate(stage.data.about.curves[hit.curve].label),
      select: (rows) => stage.set({ selected: rows }),
      camera: (camera, moving) => moving || stage.set({ camera: rounded(camera) }),
    };
    this.sized = new ResizeObserver(() => this.chart?.resize());
    this.sized.observe(this.drawing);
  }

  destroy() {
    this.sized.disconnect();
    this.chart?.destroy?.();
  }

  // What dragging does in two dimensions: a box and a lasso select.
  dragging() {
    const tools = { zoom: "zoom", pan: "move", select: "box", lasso: "lasso" };
    const list = el("select", { "aria-label": "drag", title: "what dragging does", "data-control": "drag" });
    for (const [value, textContent] of Object.entries(tools)) list.append(el("option", { value, textContent }));
    list.addEventListener("change", () => {
      this.chart.tool = list.value;
      this.chart.resize();
    });
    this.stage.shows.push(() => (list.hidden = this.stage.choices.now.dimensions === "3-D"));
    this.tool = list;
    return list;
  }

  dependsOn(changed) {
    if (this.view.kind === "checkpoints") return true;
    return changed.some((name) => this.view.depends.includes(name));
  }

  // Alone over the whole stage, in larger type; once more, as it was.
  enlarge(on = !this.node.classList.contains("whole")) {
    if (on === this.node.classList.contains("whole")) return;
    this.node.classList.toggle("whole", on);
    this.stage.drawn = this.stage.draw();
  }

  async draw(isNewest) {
    const { stage, view } = this;
    try {
      const before = stage.lastPicture;
      const drawing = view.kind === "checkpoints" ? this.filled() : await this.answered(isNewest);
      if (this.hasPicture && drawing?.figure) await this.turn(before, isNewest);
      if (!drawing || !isNewest()) return;
      if (drawing.message) throw new Error(drawing.message);
      this.figure = drawing.figure;
      this.caption.textContent = this.caption.title = drawing.caption;
      this.say("");
      await this.put(drawing.figure, isNewest);
    } catch (error) {
      if (!isNewest()) return;
      if (error.needs) return this.fetch(error.needs, isNewest);
      if (error.constructor !== Error) console.error(error); // a defect, and not what a choice or a host may cause
      this.say(error.message);
    }
  }

  // Where the axes are fitted anew, the picture turns over into the next one.
  async turn(before, isNewest) {
    const { stage, view } = this;
    const { picture } = stage.tables;
    stage.lastPicture = picture;
    if (!before || !this.chart || before.about === picture.about || before.choices.dimensions !== picture.choices.dimensions) return;
    const { dimensions, horizontal, vertical } = stage.choices.now;
    const axes = dimensions === "2-D" ? [horizontal, vertical] : [1, 2, 3];
    const show = async (between) => {
      const tables = new Tables(stage.data, stage.choices.now, between.rows, () => between);
      const { data, layout } = fill(view, tables, stage.choices.now);
      if (this.kind === "scene") this.chart.over([], []);
      await this.put({ data: this.kind === "scene" ? data.map(onBase) : data, layout }, isNewest);
    };
    await turnOver(before, picture, axes, show, isNewest);
  }

  filled() {
    const { stage, view } = this;
    const drawing = stage.drawing(view.name);
    if (drawing.figure && view.marks.some((mark) => mark.place.z)) {
      const { together } = stage.tables.picture;
      const isInSpace = stage.choices.now.dimensions === "3-D";
      this.share.textContent = isInSpace ? `${Math.round(together[Math.min(3, together.length) - 1] * 100)}% of stress` : "";
    }
    return drawing;
  }

  async answered(isNewest) {
    const { stage, view } = this;
    const key = stage.keyOf(view);
    if (!stage.answers.has(key)) {
      this.say("measuring …");
      const choices = Object.fromEntries(view.depends.map((name) => [name, stage.choices.now[name]]));
      const answer = await stage.ask(view.name, { kind: "view", view: view.name, choices }, isNewest);
      if (answer === null) return null;
      stage.answers.set(key, answer);
    }
    return stage.answers.get(key);
  }

  // What is not there yet is asked for; the card waits with what it shows.
  async fetch(what, isNewest) {
    const { stage } = this;
    this.node.classList.add("waiting");
    try {
      if (what === "picture") {
        const choices = stage.pictures.dependsOn(stage.choices.now);
        const key = stage.pictures.key(choices);
        stage.pending ??= new Map();
        if (!stage.pending.has(key)) stage.pending.set(key, stage.host.ask("picture", { kind: "picture", choices }));
        const answer = await stage.pending.get(key);
        stage.pending.delete(key);
        if (answer) stage.pictures.keep(stage.pictures.answers, key, answer);
        else return;
      } else {
        Object.assign(stage.data.arrays, (await stage.host.ask(what, { kind: "quantity", name: what })).arrays);
        withLater(stage.data, what);
      }
      if (isNewest()) await this.draw(isNewest);
    } catch (error) {
      if (isNewest()) this.say(error.message);
    } finally {
      this.node.classList.remove("waiting");
    }
  }

  say(text) {
    if (text) this.share.textContent = "";
    this.message.textContent = text;
    this.message.hidden = !text;
    this.drawing.classList.toggle("empty", Boolean(text));
  }

  // A figure in space is drawn by us, all others by plotly.
  async put(figure, isNewest) {
    const kind = figure.layout.scene ? "scene" : "chart";
    const plotly = kind === "chart" ? await this.stage.host.plotly() : null;
    if (!isNewest()) return;
    if (this.kind !== kind) {
      this.chart?.destroy?.();
      this.drawing.replaceChildren();
      this.kind = kind;
      this.chart = kind === "scene" ? new Scene(this.drawing, onPage(this.handlers, this.drawing)) : new Chart(this.drawing, plotly, this.handlers);
      this.chart.tool = this.tool?.value;
    }
    const { camera } = this.stage.choices.now;
    if (kind === "scene" && camera) figure.layout.scene.camera = camera;
    const shown = this.shown(figure);
    await this.chart.draw(kind === "scene" ? withoutMoving(shown) : shown, this.stage.theme);
  }

  // A figure, or a part of one, in the colours of the theme and in the type of this card.
  shown(part) {
    const colored = themed(part, this.stage.theme);
    return this.node.classList.contains("whole") ? inLargerType(colored) : colored;
  }

  // What is above the figure: what moves with the time, what is lit, what is selected.
  drawOver(changed) {
    const { stage, view } = this;
    if (!this.chart || !this.message.hidden) return;
    if (changed.includes("camera") && this.kind === "scene" && stage.choices.now.camera) this.chart.camera = stage.choices.now.camera;
    let moving = { data: [], annotations: [] };
    let lit = [];
    if (view.kind === "checkpoints" && stage.tables) {
      moving = fill(view, stage.tables, stage.choices.now, true);
      lit = [...this.litTraces(moving.data), ...this.selectedTraces()];
    }
    const { data, annotations } = this.shown(moving);
    const above = themed(lit, stage.theme);
    const ofCurves = this.figure?.data.some((trace) => trace.meta?.curve >= 0);
    const dimmed = ofCurves && (stage.litCurves().size > 0 || stage.choices.now.selected.length > 0);
    if (this.kind === "scene") {
      this.chart.over([...this.faded(data), ...above], this.named(annotations));
      this.chart.dim(dimmed ? 0.3 : 1);
    } else {
      this.chart.moving = { data: this.faded(data), annotations: this.named(annotations) };
      this.chart.light(above, this.cursors(), dimmed);
      if (changed.includes("selected") && !stage.choices.now.selected.length) this.chart.forget();
    }
  }

  // While curves are lit, the others are pale.
  faded(traces) {
    const lit = this.stage.litCurves();
    if (!lit.size) return traces;
    return traces.filter((trace) => !(trace.meta?.curve >= 0) || trace.meta.role === "mean" || lit.has(trace.meta.curve)).map((trace) =>
      trace.meta?.curve >= 0 && !lit.has(trace.meta.curve)
        ? { ...trace, line: { ...trace.line, color: this.stage.theme.grid, width: trace.line.width / 2 } }
        : trace,
    );
  }

  // While curves are lit, their names alone.
  named(annotations) {
    const lit = this.stage.litCurves();
    const names = new Set([...lit].map((curve) => this.stage.data.about.curves[curve].short));
    return lit.size ? annotations.filter(({ name, text }) => name !== "label" || names.has(text)) : annotations;
  }

  litTraces(moving) {
    const lit = this.stage.litCurves();
    const traces = [...(this.figure?.data ?? []).filter((trace) => !trace.meta?.over), ...moving];
    return traces
      .filter((trace) => lit.has(trace.meta?.curve) && !trace.fill)
      .map((trace) => {
        if (trace.type === "bar") return { ...trace, marker: { color: this.colorOf(trace) } };
        if (!trace.line || !trace.mode.includes("lines")) return trace;
        return { ...trace, line: { ...trace.line, color: this.colorOf(trace), width: trace.line.width + 1 }, casing: trace.meta.role === "mean" };
      });
  }

  colorOf(trace) {
    return this.stage.data.about.curves[trace.meta.curve].color;
  }

  // Dots at the selected checkpoints, wherever a view shows what they have.
  selectedTraces() {
    const { stage, view } = this;
    const selected = new Set([...stage.choices.now.selected, ...(stage.litRow >= 0 ? [stage.litRow] : [])]);
    if (!selected.size) return [];
    const texts = textsOf(stage.choices.now);
    const seen = new Set();
    return view.marks.flatMap((mark) => {
      const onRuns = mark.table === "runs";
      const from = ["checkpoints", "means", "past"].includes(mark.table) ? "checkpoints" : onRuns ? "runs" : null;
      const panel = mark.trace.xaxis ?? "";
      if (!from || mark.kind !== "trace" || seen.has(panel) || !applies(mark.when, stage.choices.now)) return [];
      const table = stage.tables.get(from);
      const { run } = stage.data.arrays;
      const runs = new Set([...selected].map((row) => run[row]));
      const places = Array.from(table.rows, (row, n) => ((onRuns ? runs.has(run[row]) : selected.has(row)) ? n : -1)).filter((n) => n >= 0);
      seen.add(panel);
      const at = Object.entries(mark.place).filter(([to]) => "xyz".includes(to));
      const columns = at.map(([to, name]) => [to, places.map((n) => table.column(formatted(name, texts))[n])]);
      const { type, xaxis, yaxis } = mark.trace;
      const marker = { color: places.map((n) => stage.data.about.curves[table.curve[n]].color), size: places.length > MANY ? 5 : 10, line: { color: stage.theme.ink, width: 1.5 } };
      return [{ type, ...(xaxis ? { xaxis, yaxis } : {}), mode: "markers", marker, ...Object.fromEntries(columns), meta: { rows: places.map((n) => table.rows[n]) } }];
    });
  }

  // Lines at the moment of the time bar, where an axis knows it.
  cursors() {
    const { stage } = this;
    const { now } = stage.choices;
    const list = this.figure?.layout.meta?.cursors ?? [];
    return list.flatMap(({ axis, at, of }) => {
      const name = formatted(at, textsOf(now));
      const clock = { epoch: "log epoch", step: "step", progress: `progress ${now.progress_metric}` }[now.time_by];
      if (name === clock && now.time !== null) {
        const { unit } = stage.data.about.clocks.epoch;
        return [{ axis, value: name === "log epoch" ? Math.log1p(now.time / unit) : now.time }];
      }
      if (now.time === null || of !== "compared" || !stage.tables) return [];
      const heads = stage.tables.get("heads");
      const wanted = now.compared.map((label) => stage.numberOf(label));
      return heads.curve.flatMap((curve, n) =>
        wanted.includes(curve) ? [{ axis, value: heads.column(name)[n], color: stage.data.about.curves[curve].color }] : [],
      );
    });
  }
}
