// A card: one view with its header, its drawing and how to read it.
import { Blocks } from "./blocks.js";
import { Chart } from "./chart.js";
import { el, select } from "./controls.js";
import { applies, fill, formatted, textsOf, withColoring } from "./fill.js";
import { zoomOf } from "./ink.js";
import { LEAST_LETTERS } from "./lecture.js";
import { withLater } from "./live.js";
import { Scene } from "./scene.js";
import { cardMenu } from "./sharing.js";
import { Tables } from "./tables.js";
import { freshId, tabList } from "./tabs.js";
import { readable, themed } from "./theme.js";
import { turnOver } from "./turning.js";

const MANY = 40; // selected checkpoints have small dots

const onBase = (trace) => (trace.meta.over ? { ...trace, meta: { ...trace.meta, over: false } } : trace);

// The scene tells where it was hit inside of it; a tip needs to know where on the page.
function onPage(handlers, drawing) {
  const moved = (hit) => {
    const { left, top } = drawing.getBoundingClientRect();
    const zoom = zoomOf(drawing);
    return hit && { ...hit, row: hit.row ?? -1, curve: hit.curve ?? -1, x: zoom * hit.x + left, y: zoom * hit.y + top };
  };
  return { ...handlers, hover: (hit) => handlers.hover(moved(hit)) };
}

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

export class Card {
  // deck: the views that stand at the same place, as tabs; null for the large one.
  constructor(stage, view, deck) {
    Object.assign(this, { stage, view, deck, isStale: true, summary: "", panelId: freshId("panel") });
    this.hasPicture = view.marks?.some(({ place }) => Object.values(place).some((column) => column.startsWith("inpca ")));
    this.title = el("h2");
    this.share = el("span", { className: "share" });
    this.drawing = el("div", { className: "drawing" });
    this.message = el("p", { className: "message", hidden: true });
    this.note = el("span", { className: "note", hidden: true, role: "status" }); // of a drawing that stays
    this.words = el("span", { textContent: view.how_to_read });
    const open = () => this.more.setAttribute("aria-expanded", this.caption.classList.toggle("open"));
    this.caption = el("p", { id: freshId("caption"), className: "caption", title: view.how_to_read, onclick: open }, this.note, this.words);
    const about = { "aria-label": `more on how to read ${view.title}`, "aria-expanded": false, "aria-controls": this.caption.id };
    this.more = el("button", { className: "link more", textContent: "more", hidden: true, onclick: open, ...about });
    this.keys = el("span", { id: freshId("keys"), hidden: true, textContent: "Arrow keys turn it, plus and minus zoom, Home shows it as it was." });
    const controls = view.controls.map((control) => select(stage, control));
    if (view.marks?.some((mark) => mark.place.z)) controls.push(this.dragging());
    const own = el("div", { className: "choices" }, ...controls);
    const close = el("button", { className: "close", textContent: "×", title: "back (Escape)", onclick: () => this.enlarge(false) });
    const leave = () => stage.set({ selected: [], sample: null });
    const away = el("button", { className: "link away", textContent: "×", "aria-label": "close", title: "nothing selected (Escape)", onclick: leave });
    const hasTabs = deck?.length > 1;
    this.title.id = freshId("title");
    const head = el("div", { className: "head" }, hasTabs ? tabList(this, this.title) : this.title, this.share, own, cardMenu(stage, this), view.deck === "selected" ? away : null, close);
    const parts = [el("div", { className: "frame" }, this.drawing), this.message, el("div", { className: "foot" }, this.caption, this.more), this.keys];
    this.node = el(
      "article",
      { "aria-labelledby": this.title.id, className: deck ? "card" : "card large", "data-view": view.name },
      head,
      ...(hasTabs ? [el("div", { className: "panel", role: "tabpanel", id: this.panelId, "aria-labelledby": this.title.id }, ...parts)] : parts),
    );
    this.handlers = {
      hover: (hit) => stage.hover(hit),
      click: (hit) => stage.click(hit),
      doubleClick: (hit) => hit?.curve >= 0 && stage.isolate(stage.data.about.curves[hit.curve].label),
      select: (rows) => stage.set({ selected: rows }),
      choose: (choices) => stage.set(choices),
      camera: (camera, moving) => moving || stage.set({ camera: rounded(camera) }),
    };
    stage.shows.push(() => this.show());
    this.sized = new ResizeObserver(() => {
      this.chart?.resize();
      this.offerMore();
    });
    this.sized.observe(this.drawing);
  }

  destroy() {
    this.sized.disconnect();
    this.chart?.destroy?.();
  }

  // A caption that is cut has a way to the rest of it.
  offerMore() {
    const { caption } = this;
    this.more.hidden = !caption.classList.contains("open") && caption.scrollHeight <= caption.clientHeight + 1;
  }

  // What a screen reader says of the figure.
  tell(summary) {
    this.summary = summary || this.view.title;
    const { spoken } = this.chart;
    spoken.setAttribute("aria-label", this.summary);
    spoken.setAttribute("aria-describedby", this.kind === "scene" ? `${this.keys.id} ${this.caption.id}` : this.caption.id);
  }

  names() {
    return (this.deck ?? [this.view]).map(({ name }) => name);
  }

  // Whether it can be seen: in front of its deck, and no checkpoint or pair that is selected in its place. Those inside of a
  // box or a lasso are for other cards, and for Python.
  isSeen() {
    const { lecture, choices } = this.stage;
    const { now } = choices;
    if (lecture.on) return lecture.card === this;
    if (!this.deck) return true;
    const covers = [1, 2].includes(now.selected.length) && this.stage.cards.some(({ view }) => view.deck === "selected");
    if (this.view.deck === "selected") return covers;
    if (covers && this.view.deck.startsWith("right")) return false;
    const names = this.names();
    return this.view.name === (names.find((name) => now.tabs.includes(name)) ?? names[0]);
  }

  show() {
    this.node.hidden = !this.isSeen();
    const { samples, n_of_samples: count } = this.stage.data.about;
    this.title.textContent = samples ? `${this.view.title} · ${count} sample${count === 1 ? "" : "s"}` : this.view.title;
    this.title.title = samples ? `${this.view.title}: ${samples}` : this.view.title;
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
    return changed.includes("samples") || changed.some((name) => this.view.depends.includes(name));
  }

  // Whether it shows what is not of the present choices, and cannot be known yet.
  isUnknown() {
    return this.isStale && this.view.kind === "results" && !this.stage.answerOf(this.view);
  }

  // Alone over the whole stage, in larger type; once more, as it was.
  enlarge(on = !this.node.classList.contains("whole")) {
    if (this.stage.lecture.on) return this.stage.lecture.leave();
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
      this.words.textContent = this.caption.title = drawing.caption;
      this.say("");
      this.offerMore();
      await (drawing.blocks ? this.putBlocks(drawing.blocks, isNewest) : this.put(drawing.figure, isNewest));
      if (isNewest()) this.tell(drawing.summary);
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
      const { dimensions, horizontal, vertical } = stage.choices.now;
      const explained = stage.tables.picture.explainedBy(dimensions === "2-D" ? [horizontal, vertical] : [1, 2, 3]);
      const whose = stage.data.about.published ? "the whole set’s stress" : "stress";
      this.share.textContent = this.share.title = `${Math.round(explained * 100)}% of ${whose}`;
    }
    return drawing;
  }

  async answered(isNewest) {
    const { stage, view } = this;
    const known = stage.answerOf(view);
    if (known) return known;
    const key = stage.keyOf(view);
    this.node.classList.add("waiting");
    if (!this.figure) this.say("measuring …");
    try {
      const answer = await stage.ask(view.name, { kind: "view", view: view.name, choices: stage.choicesOf(view) }, isNewest);
      if (answer) stage.remember(key, answer);
      return answer;
    } finally {
      this.node.classList.remove("waiting");
    }
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
        const { data } = stage;
        const { samples } = stage.choices.now;
        const answer = await stage.host.ask(what, { kind: "quantity", name: what, choices: { samples } });
        if (answer) Object.assign(data.arrays, answer.arrays);
        if (answer) withLater(data, what);
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

  async putBlocks(blocks, isNewest) {
    const plotly = await this.stage.host.plotly();
    if (!isNewest()) return;
    this.become("blocks", () => new Blocks(this.drawing, plotly, this.stage));
    await this.chart.draw(this.shown(blocks), this.stage.theme);
  }

  become(kind, make) {
    if (this.kind === kind) return;
    this.chart?.destroy?.();
    this.drawing.replaceChildren();
    this.kind = kind;
    this.chart = make();
  }

  // A figure in space is drawn by us, all others by plotly.
  async put(figure, isNewest) {
    const kind = figure.layout.scene ? "scene" : "chart";
    const plotly = kind === "chart" ? await this.stage.host.plotly() : null;
    if (!isNewest()) return;
    this.become(kind, () =>
      kind === "scene" ? new Scene(this.drawing, onPage(this.handlers, this.drawing)) : new Chart(this.drawing, plotly, this.handlers),
    );
    this.chart.tool = this.tool?.value;
    this.chart.curveNames = this.stage.data.about.curves.map(({ short, name }) => [short, name]);
    this.chart.letters = this.stage.lecture.on ? LEAST_LETTERS : 0;
    const { camera } = this.stage.choices.now;
    if (kind === "scene" && camera) figure.layout.scene.camera = camera;
    const shown = this.shown(figure);
    await this.chart.draw(kind === "scene" ? withoutMoving(shown) : shown, this.stage.theme);
  }

  // A figure, or a part of one, in the colours of the theme, and in a lecture with letters for the back row.
  shown(part) {
    const { lecture, theme } = this.stage;
    return themed(lecture.on ? readable(part, LEAST_LETTERS) : part, theme);
  }

  // What is above the figure: what moves with the time, what is lit, what is selected.
  drawOver(changed) {
    const { stage, view } = this;
    if (!this.chart || !this.message.hidden || this.node.hidden || this.kind === "blocks") return;
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
      .filter((trace) => lit.has(trace.meta?.curve) && !(trace.fill && !trace.line.width))
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
      if (!from || mark.kind !== "trace" || seen.has(panel) || !applies(mark.when, withColoring(stage.choices.now, stage.data.about))) return [];
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
