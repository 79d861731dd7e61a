// A plotly chart with a layer above it, on which what moves is drawn: the time, what is lit, what is selected.
import { drawDots, drawLabels, drawLines, drawStar, inkMap, placeLabels, textWidth, zoomOf } from "./ink.js";
import { decodePlain } from "./space.js";

const NEAR = 14; // pixels from the pointer to what it means
const CONFIG = { displaylogo: false, responsive: false, displayModeBar: false };

export class Chart {
  constructor(root, plotly, handlers) {
    Object.assign(this, { root, plotly, handlers, curveNames: [], moving: { data: [], annotations: [] }, extra: [] });
    this.plot = root.appendChild(document.createElement("div"));
    this.plot.className = "plot";
    this.plot.setAttribute("role", "img");
    this.above = root.appendChild(document.createElement("canvas"));
    this.above.className = "above";
    this.gone = new AbortController();
    const on = (name, act, capture = false) => root.addEventListener(name, act, { capture, signal: this.gone.signal });
    on("pointermove", (event) => this.hover(event));
    on("pointerleave", () => handlers.hover(null));
    on("pointerdown", (event) => (this.pressed = [event.clientX, event.clientY]), true);
    on("click", (event) => this.release(event), true); // where the pointer goes up plotly has a cover
    on("pointerup", (event) => event.pointerType === "touch" && this.release(event), true); // plotly lets no tap be a click
  }

  async draw(figure, theme) {
    this.figure = figure;
    this.theme = theme;
    const { width, height } = this.size();
    if (!width || !height) return; // drawn once there is room
    const scrolls = height > this.root.clientHeight;
    if (scrolls) this.plot.tabIndex = 0; // so that keys can scroll it
    else this.plot.removeAttribute("tabindex");
    const own = figure.data.some((trace) => trace.meta?.rows); // marks are hit by us, not by plotly
    this.own = own;
    let data = figure.data.filter((trace) => !trace.meta?.over);
    const annotations = own ? [] : figure.layout.annotations;
    const layout = { ...figure.layout, annotations, width, height, hovermode: own ? false : "closest" };
    if (scrolls) { // what the bars are measured by is seen before anything is scrolled
      layout.xaxis = { ...layout.xaxis, side: "top" };
      layout.margin = { ...layout.margin, b: 8 };
      const len = (0.9 * this.root.clientHeight) / height; // scales, too, with their titles
      data = data.map((trace) => (trace.colorbar ? { ...trace, colorbar: { ...trace.colorbar, len, y: 1, yanchor: "top" } } : trace));
    }
    this.roomy(layout, width, height);
    if (this.tool) layout.dragmode = this.tool;
    await this.plotly.react(this.plot, data, layout, CONFIG);
    adoptStyles(this.root);
    this.listen();
    this.moving = {
      data: figure.data.filter((trace) => trace.meta?.over),
      annotations: own ? (figure.layout.annotations ?? []) : [],
    };
    this.paint();
  }

  // Names along axes with as many letters as there is room for; what is cut still is whole below the pointer.
  roomy(layout, width, height) {
    this.whole = new Map(this.curveNames);
    const ctx = this.above.getContext("2d");
    const level = layout.meta?.names?.y ? 0.74 * width - 90 : 0.8 * width; // beside names and a scale of colours
    for (const [letter, kinds] of Object.entries(layout.meta?.names ?? {})) {
      const axis = layout[`${letter}axis`];
      const isLevel = letter === "x" && axis.tickangle === 0;
      const room = letter === "y" ? 0.26 * width : isLevel ? level / axis.tickvals.length - 4 : 0.26 * height;
      const font = `${axis.tickfont.size}px ${layout.font.family}`;
      const fits = (texts) => texts.every((text) => text.split("<br>").every((line) => textWidth(ctx, decodePlain(line), font) <= room));
      const ticktext = kinds.findLast(fits) ?? axis.ticktext;
      layout[`${letter}axis`] = { ...axis, ticktext };
      ticktext.forEach((text, n) => this.whole.set(text, kinds.at(-1)[n]));
    }
  }

  // The whole name of a tick below the pointer, of which a part is seen.
  cut({ clientX: x, clientY: y }) {
    const ticks = [...this.plot.querySelectorAll(".xtick text, .ytick text")];
    const hit = ticks.find((tick) => {
      const box = tick.getBoundingClientRect();
      return x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    });
    const text = hit?.dataset.unformatted;
    const whole = this.whole.get(text) ?? text;
    return whole === text ? "" : decodePlain(whole.split("<br>")[0]);
  }

  // What a screen reader speaks of.
  get spoken() {
    return this.plot;
  }

  // What is drawn above all: traces of what is lit or selected, and lines of the time.
  light(traces, cursors, dimmed) {
    this.extra = traces;
    this.cursors = cursors;
    this.root.classList.toggle("dim", dimmed);
    this.paint();
  }

  // The box or the lasso that selected something goes when nothing is selected any more.
  forget() {
    if (this.plot._fullLayout?.selections?.length) this.plotly.relayout(this.plot, { selections: [] });
  }

  destroy() {
    this.gone.abort();
    if (this.plot._fullLayout) this.plotly.purge(this.plot);
    this.plot.remove();
    this.above.remove();
  }

  async resize() {
    if (this.figure) await this.draw(this.figure, this.theme);
  }

  size() {
    const { meta, yaxis } = this.figure?.layout ?? {};
    const least = meta?.row_height ? meta.row_height * yaxis.tickvals.length + 50 : 0; // names stay apart: it scrolls
    return { width: this.root.clientWidth, height: Math.max(this.root.clientHeight, least) };
  }

  listen() {
    if (this.listening) return;
    this.listening = true;
    this.plot.on("plotly_relayout", () => this.paint());
    this.plot.on("plotly_relayouting", () => this.paint());
    this.plot.on("plotly_selected", (event) => event && this.handlers.select?.(this.rowsInside(event)));
    this.plot.on("plotly_click", (event) => this.choose(event.points[0]));
    this.plot.on("plotly_deselect", () => this.handlers.select?.([]));
  }

  // -- the layer above ----------------------------------------------------------------------------------------------

  paint() {
    const full = this.plot._fullLayout;
    if (!full || !this.theme) return;
    const { width, height } = this.size();
    const ratio = (window.devicePixelRatio || 1) * zoomOf(this.root);
    this.above.width = width * ratio;
    this.above.height = height * ratio;
    Object.assign(this.above.style, { width: `${width}px`, height: `${height}px` });
    const ctx = this.above.getContext("2d");
    ctx.scale(ratio, ratio);
    for (const { axis, value, color } of this.cursors ?? []) this.cursor(ctx, axis, value, color);
    for (const trace of [...this.moving.data, ...this.extra]) this.inside(ctx, trace, () => this.trace(ctx, trace));
    const labels = this.moving.annotations.map((label) => {
      const [x, y] = this.pixel(label, label.x, label.y);
      return { x, y, text: decodePlain(label.text), color: label.font.color, font: `${label.font.size}px ${full.font.family}` };
    });
    const visible = labels.filter(({ x, y }) => Number.isFinite(x + y));
    const ink = inkMap(width, height);
    if (visible.length) for (const trace of this.lines()) ink.add(this.pixels(trace));
    drawLabels(ctx, placeLabels(visible, width, height, this.edges(), ctx, ink), { halo: this.theme.page });
  }

  // Where numbers and titles of axes are, below and at the left, and a scale of colours at the right.
  edges() {
    const { xaxis, yaxis, width, height } = this.plot._fullLayout;
    const right = xaxis._offset + xaxis._length;
    const hasScale = this.plot.querySelector(".infolayer .colorbar");
    return [
      ...(hasScale ? [{ left: right, top: 0, right: width, bottom: height }] : []),
      { left: 0, top: 0, right: xaxis._offset, bottom: height },
      { left: 0, top: yaxis._offset + yaxis._length, right: width, bottom: height },
    ];
  }

  // What labels keep off.
  lines() {
    return [...this.figure.data, ...this.moving.data].filter(({ type, mode, fill }) => type !== "bar" && !fill && mode?.includes("lines"));
  }

  axes(trace) {
    const full = this.plot._fullLayout;
    const named = (letter) => full[(trace[`${letter}axis`] ?? letter).replace(letter, `${letter}axis`)];
    return [named("x"), named("y")];
  }

  pixel(trace, x, y) {
    const [across, up] = this.axes(trace);
    return [across._offset + across.d2p(x), up._offset + up.d2p(y)];
  }

  pixels(trace) {
    const [across, up] = this.axes(trace);
    const points = new Float64Array(2 * trace.x.length);
    for (let n = 0; n < trace.x.length; n++) {
      points[2 * n] = across._offset + across.d2p(trace.x[n]);
      points[2 * n + 1] = up._offset + up.d2p(trace.y[n]);
    }
    return points;
  }

  inside(ctx, trace, draw) {
    const [across, up] = this.axes(trace);
    ctx.save();
    ctx.beginPath();
    ctx.rect(across._offset - 8, up._offset - 8, across._length + 16, up._length + 16);
    ctx.clip();
    draw();
    ctx.restore();
  }

  trace(ctx, trace) {
    if (trace.type === "bar") {
      ctx.fillStyle = trace.marker.color;
      for (const { left, top, width, height } of this.bars(trace)) ctx.fillRect(left, top, width, height);
      return;
    }
    const points = this.pixels(trace);
    if (trace.mode.includes("lines")) {
      drawLines(ctx, points, { ...trace.line, casing: trace.casing ? this.theme.page : undefined });
    }
    if (trace.mode.includes("markers")) {
      const { color, size, symbol, line } = trace.marker;
      if (symbol === "star") drawStar(ctx, points[0], points[1], { color, size, outline: this.theme.page });
      else drawDots(ctx, points, { color, size, outline: line?.color });
    }
  }

  bars(trace) {
    const [across, up] = this.axes(trace);
    const thickness = 1 - (this.figure.layout.bargap ?? 0.2);
    return trace.x.map((x, n) => {
      const y = trace.y[n];
      if (trace.orientation === "h") {
        const [start, end] = [across.d2p(0), across.d2p(x)];
        const [one, other] = [up.d2p(y - thickness / 2), up.d2p(y + thickness / 2)];
        return box(across._offset + start, up._offset + one, across._offset + end, up._offset + other);
      }
      const middle = across._offset + across.d2p(x);
      const half = (thickness * across._length) / (2 * new Set(trace.x).size);
      return box(middle - half, up._offset + up.d2p(0), middle + half, up._offset + up.d2p(y));
    });
  }

  cursor(ctx, axis, value, color) {
    const { xaxis, yaxis } = this.plot._fullLayout;
    const [[left, right], [top, bottom]] = [xaxis, yaxis].map((one) => [one._offset, one._offset + one._length]);
    const at = axis === "x" ? xaxis._offset + xaxis.d2p(value) : yaxis._offset + yaxis.d2p(value);
    const [from, to] = axis === "x" ? [left, right] : [top, bottom];
    if (!(at >= from && at <= to)) return;
    const line = axis === "x" ? [at, top, at, bottom] : [left, at, right, at];
    drawLines(ctx, line, { color: color ?? this.theme.ink, width: 1.2, dash: "dash" });
  }

  // -- the pointer --------------------------------------------------------------------------------------------------

  hover(event) {
    if (event.buttons || !this.plot._fullLayout) return;
    this.plot.title = this.cut(event);
    if (!this.own) return;
    this.handlers.hover(this.pick(event));
  }

  // A trace may say what is chosen where one of its points, or of its cells (row, column), is clicked.
  choose({ data, pointNumber, pointIndex }) {
    const place = pointIndex ?? pointNumber;
    const choices = [place].flat().reduce((part, n) => part?.[n], data.meta?.choose);
    if (choices) this.handlers.choose?.(choices);
  }

  release(event) {
    if (!this.own) return;
    const [x, y] = this.pressed ?? [];
    this.pressed = null;
    if (Math.hypot(event.clientX - x, event.clientY - y) < 4) this.handlers.click(this.pick(event));
  }

  pick({ clientX, clientY }) {
    const bounds = this.root.getBoundingClientRect();
    const zoom = zoomOf(this.root);
    const [x, y] = [(clientX - bounds.left) / zoom, (clientY - bounds.top) / zoom + this.root.scrollTop];
    let nearest = null;
    let reach = NEAR;
    for (const trace of [...this.figure.data, ...this.moving.data]) {
      if (!(trace.meta?.curve >= 0 || trace.meta?.rows?.some((row) => row >= 0))) continue;
      if (trace.fill) continue; // a band: its line is there too
      if (trace.type === "bar") {
        const inside = this.bars(trace).some((bar) => y >= bar.top && y <= bar.top + bar.height && x <= bar.left + bar.width);
        if (inside && !nearest) nearest = { curve: trace.meta.curve, row: -1, x: clientX, y: clientY };
        continue;
      }
      const points = this.pixels(trace);
      for (let n = 0; n < trace.x.length; n++) {
        const distance = Math.hypot(points[2 * n] - x, points[2 * n + 1] - y);
        if (!(distance < reach)) continue;
        reach = distance;
        const row = trace.meta.rows[n];
        nearest = { curve: trace.meta.curve, row, trace, point: n, x: clientX, y: clientY };
      }
    }
    return nearest;
  }

  // Rows of the checkpoints inside a box or a lasso.
  rowsInside(event) {
    const rows = new Set();
    for (const trace of this.figure.data) {
      if (!["runs", "values"].includes(trace.meta?.role)) continue;
      const [x, y] = [trace.xaxis ?? "x", trace.yaxis ?? "y"];
      const { range, lassoPoints } = event;
      const corners = range?.[x] ? rectangle(range[x], range[y]) : lassoPoints?.[x] && zipped(lassoPoints[x], lassoPoints[y]);
      if (!corners) continue;
      trace.meta.rows.forEach((row, n) => row >= 0 && isInside(corners, trace.x[n], trace.y[n]) && rows.add(row));
    }
    return [...rows].sort((one, other) => one - other);
  }
}

function box(left, top, right, bottom) {
  return { left: Math.min(left, right), top: Math.min(top, bottom), width: Math.abs(right - left), height: Math.abs(bottom - top) };
}

const zipped = (x, y) => x.map((value, n) => [value, y[n]]);
const rectangle = ([left, right], [low, high]) => [[left, low], [right, low], [right, high], [left, high]];

function isInside(corners, x, y) {
  let inside = false;
  corners.forEach(([x1, y1], n) => {
    const [x0, y0] = corners.at(n - 1);
    if (y1 > y !== y0 > y && x < ((x0 - x1) * (y - y1)) / (y0 - y1) + x1) inside = !inside;
  });
  return inside;
}

// plotly puts its style sheet into the head, which shadow trees do not see.
function adoptStyles(node) {
  const root = node.getRootNode();
  if (!(root instanceof ShadowRoot) || root.predspaceStyles) return;
  const rules = [...document.querySelectorAll("style[id^='plotly.js-style']")].flatMap((style) => [...style.sheet.cssRules]);
  const sheet = new CSSStyleSheet();
  for (const rule of rules) sheet.insertRule(rule.cssText, sheet.cssRules.length);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];
  root.predspaceStyles = true;
}
