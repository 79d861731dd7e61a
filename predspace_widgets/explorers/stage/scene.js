/** The picture in three dimensions, drawn on 2-D canvases from the plotly dict of `explorer.figure()`: no WebGL. */

import {INK_FONT, SvgContext, dashOf, drawCircle, drawDots, drawLabels, drawLines, drawStar} from "./ink.js";
import {drawText, fillWithOutline, inkMap, isDark, legible, mixColors, placeLabels, zoomOf} from "./ink.js";
import {AXES, HOME_DISTANCE, SCENE_CAMERA, STEEPEST, decodePlain, gridFonts} from "./space.js";
import {directionsOf, hasMode, isEllipsoid, isFront, isOver, isOverNote, isStar, markerColors} from "./space.js";
import {projectPoint, projectPoints, readCamera, readTraces, roleOf, sceneBox, sceneGrid, sceneView, textBox} from "./space.js";

/** Pixels from the pointer to what it means. */
const REACH = 12;
/** plotly's 3-D lines are half as wide as they say. */
const LINE_SCALE = 0.5;
const THEME = {ink: "#1f2933", muted: "#6b7785", grid: "#e4e8ee", page: "#ffffff"};

// -- painting ---------------------------------------------------------------------------------------------------------

function paintGrid(ctx, {lines, numbers, titles}, fonts, {grid, muted, page}) {
  drawLines(ctx, lines, {color: grid, width: 1});
  const write = ({text, left, right, top, bottom, angle}, font) =>
    drawText(ctx, text, (left + right) / 2, (top + bottom) / 2, {font, color: muted, halo: page, angle});
  for (const number of numbers) write(number, fonts.tick);
  for (const title of titles) write(title, fonts.title);
}

/** Layers of depth of everything that is drawn, 0 the farthest: many of a little, few of much, to draw it at once. */
function depthLayers(drawn) {
  let [count, near, far] = [0, Infinity, -Infinity];
  for (const {depths} of drawn) {
    count += depths.length;
    for (const depth of depths) {
      if (depth < near) near = depth;
      if (depth > far) far = depth;
    }
  }
  const layers = count < 6000 ? 24 : 6;
  const step = (layers - 0.01) / (far - near || 1);
  return {layers, layerOf: (depth) => Math.floor((far - depth) * step)};
}

/** The places of keys in rising order, equal ones in their own. */
function orderOfKeys(keys, most) {
  const [starts, order] = [new Uint32Array(most + 1), new Uint32Array(keys.length)];
  for (const key of keys) starts[key + 1]++;
  for (let k = 1; k <= most; k++) starts[k] += starts[k - 1];
  for (let k = 0; k < keys.length; k++) order[starts[keys[k]]++] = k;
  return order;
}

/** Pieces of lines, farthest first: layers of depth, in each layer style by style. */
function sortPieces(drawn) {
  const {layers, layerOf} = depthLayers(drawn);
  const [keys, items, places] = [[], [], []];
  drawn.forEach(({depths}, item) => {
    for (let k = 0; k + 1 < depths.length; k++) {
      const depth = (depths[k] + depths[k + 1]) / 2;
      if (Number.isNaN(depth)) continue;
      keys.push(layerOf(depth) * drawn.length + item);
      items.push(item);
      places.push(k);
    }
  });
  return {order: orderOfKeys(keys, layers * drawn.length), keys, items, places};
}

/** Add pieces [from, to] of a line to the path; with a stub into its neighbours the joints of thick lines are whole. */
function pathOfChain(ctx, pixels, from, to, stub) {
  const toward = (k, next) => {
    const [dx, dy] = [pixels[2 * next] - pixels[2 * k], pixels[2 * next + 1] - pixels[2 * k + 1]];
    const share = Math.min(1, stub / (Math.hypot(dx, dy) || 1));
    return [pixels[2 * k] + share * dx, pixels[2 * k + 1] + share * dy];
  };
  const joined = (k) => k >= 0 && 2 * k < pixels.length && !Number.isNaN(pixels[2 * k] + pixels[2 * k + 1]);
  const before = stub && joined(from - 1);
  if (before) ctx.moveTo(...toward(from, from - 1));
  ctx[before ? "lineTo" : "moveTo"](pixels[2 * from], pixels[2 * from + 1]);
  for (let k = from + 1; k <= to; k++) {
    const stays = pixels[2 * k] === pixels[2 * k - 2] && pixels[2 * k + 1] === pixels[2 * k - 1];
    ctx.lineTo(pixels[2 * k] + (stays ? 0.01 : 0), pixels[2 * k + 1]); // a piece of no length is a dot, not nothing
  }
  if (stub && joined(to + 1)) ctx.lineTo(...toward(to, to + 1));
}

/** Lengths of a line up to each point, from its last gap, so that dashes go on from piece to piece. */
function lengthsAlong(pixels) {
  const lengths = new Float32Array(pixels.length / 2);
  for (let k = 1; k < lengths.length; k++) {
    const step = Math.hypot(pixels[2 * k] - pixels[2 * k - 2], pixels[2 * k + 1] - pixels[2 * k - 1]);
    lengths[k] = Number.isNaN(step) ? 0 : lengths[k - 1] + step;
  }
  return lengths;
}

/** All lines of the base, the nearest on top; thick ones have a casing, which tells what crosses in front. */
function paintLines(ctx, drawn, paint, page) {
  const {order, keys, items, places} = sortPieces(drawn);
  const styles = drawn.map(({trace, pixels}) => {
    const width = (trace.line?.width ?? 2) * LINE_SCALE;
    const parts = dashOf(trace.line?.dash, width);
    const color = paint(trace.line?.color ?? trace.marker?.color, trace.opacity, roleOf(trace));
    const lengths = parts.length ? lengthsAlong(pixels) : null;
    return {width, parts, color, lengths, cased: width > 2 && !lengths};
  });
  ctx.lineJoin = "round";
  for (let at = 0; at < order.length; ) {
    const item = items[order[at]];
    const [{pixels}, {width, parts, color, lengths, cased}] = [drawn[item], styles[item]];
    const chains = [];
    for (const key = keys[order[at]]; at < order.length && keys[order[at]] === key; at++) {
      const k = places[order[at]];
      if (chains.length && chains.at(-1)[1] === k) chains.at(-1)[1] = k + 1;
      else chains.push([k, k + 1]);
    }
    const stroke = (some, strokeStyle, lineWidth, lineCap, stub) => {
      Object.assign(ctx, {strokeStyle, lineWidth, lineCap});
      ctx.beginPath();
      for (const [from, to] of some) pathOfChain(ctx, pixels, from, to, stub);
      ctx.stroke();
    };
    ctx.setLineDash(parts);
    if (cased) stroke(chains, page, width + 2.5, "butt", 0);
    if (!lengths) stroke(chains, color, width, "round", cased ? width + 1 : 0);
    else {
      for (const chain of chains) {
        ctx.lineDashOffset = lengths[chain[0]];
        stroke([chain], color, width, "butt", 0);
      }
    }
  }
  ctx.setLineDash([]);
  ctx.lineDashOffset = 0;
}

/** The points of each ellipsoid of a trace, which are three outlines, each closed and with a gap behind it. */
function ellipsoidsOf(pixels) {
  const [regions, count] = [[], pixels.length / 2];
  for (let k = 0, outlines = 0, points = []; k < count; k++) {
    if (!Number.isNaN(pixels[2 * k])) points.push([pixels[2 * k], pixels[2 * k + 1]]);
    else {
      points.pop(); // the last is the first again
      if (++outlines % 3 === 0) regions.push(points.splice(0));
    }
  }
  return regions;
}

/** What is seen of ellipsoids, pale within a thin line: the squares of their half axes add up to those of the ellipse. */
function paintEllipsoids(ctx, drawn, paint) {
  for (const {trace, pixels} of drawn) {
    const color = paint(trace.line.color);
    for (const points of ellipsoidsOf(pixels)) {
      const sum = (of) => points.reduce((total, point) => total + of(point), 0) / points.length;
      const [x, y] = [sum((point) => point[0]), sum((point) => point[1])];
      // Half of the square of each half axis is its mean along an outline, and it is in two of the three.
      const [xx, yy] = [3 * sum((point) => (point[0] - x) ** 2), 3 * sum((point) => (point[1] - y) ** 2)];
      const xy = 3 * sum((point) => (point[0] - x) * (point[1] - y));
      const wide = Math.sqrt(xx) || 1e-9;
      const [slant, tall] = [xy / wide, Math.sqrt(Math.max(0, yy - (xy / wide) ** 2))];
      ctx.beginPath();
      for (let k = 0; k < 48; k++) {
        const [cosine, sine] = [Math.cos((Math.PI * k) / 24), Math.sin((Math.PI * k) / 24)];
        ctx[k ? "lineTo" : "moveTo"](x + wide * cosine, y + slant * cosine + tall * sine);
      }
      ctx.closePath();
      Object.assign(ctx, {fillStyle: color, strokeStyle: color, lineWidth: LINE_SCALE * trace.line.width, globalAlpha: 0.2});
      ctx.fill();
      ctx.globalAlpha = 1;
      ctx.stroke();
    }
  }
}

/** Dots of one style by layers of depth: one path for each style in each layer. */
function paintDots(ctx, drawn, paint, page) {
  const {layers, layerOf} = depthLayers(drawn);
  const [styles, keys, dots, known] = [[], [], [], new Map()];
  const styleOf = (color, size) => {
    const name = `${color} ${size}`;
    if (!known.has(name)) known.set(name, styles.push({color, size}) - 1);
    return known.get(name);
  };
  for (const {trace, pixels, depths, alone} of drawn) {
    const markers = hasMode(trace, "markers");
    const size = markers ? (trace.marker?.size ?? 6) : Math.max(3, 2 * LINE_SCALE * (trace.line?.width ?? 2));
    const tinted = (color) => paint(color, (trace.opacity ?? 1) * (trace.marker?.opacity ?? 1), roleOf(trace));
    const colorAt = markers ? markerColors(trace, tinted) : () => tinted(trace.line?.color);
    for (const k of markers ? depths.keys() : alone) {
      if (Number.isNaN(depths[k])) continue;
      keys.push([layerOf(depths[k]), styleOf(colorAt(k), size)]);
      dots.push(pixels[2 * k], pixels[2 * k + 1]);
    }
  }
  const ranks = keys.map(([layer, style]) => layer * styles.length + style);
  const order = orderOfKeys(ranks, layers * styles.length);
  for (let at = 0; at < order.length; ) {
    const rank = ranks[order[at]];
    const {color, size} = styles[rank % styles.length];
    ctx.beginPath();
    for (; at < order.length && ranks[order[at]] === rank; at++) {
      const [x, y] = [dots[2 * order[at]], dots[2 * order[at] + 1]];
      ctx.moveTo(x + size / 2, y);
      ctx.arc(x, y, size / 2, 0, 2 * Math.PI);
    }
    fillWithOutline(ctx, color, size >= 5 ? page : null, 1.25);
  }
}

/** Traces that lie over everything, in their order. */
function paintOver(ctx, drawn, paint, page) {
  paintEllipsoids(ctx, drawn.filter(({trace}) => isEllipsoid(trace)), paint);
  for (const {trace, pixels} of drawn.filter(({trace}) => !isEllipsoid(trace))) {
    const {color, width = 2, dash} = trace.line ?? {};
    const alpha = trace.opacity ?? 1;
    if (hasMode(trace, "lines")) {
      const casing = (dash && dash !== "solid") || width * LINE_SCALE <= 2 ? null : page; // it would cover what is small
      drawLines(ctx, pixels, {color: paint(color), width: width * LINE_SCALE, dash, alpha, casing});
    }
    if (!hasMode(trace, "markers")) continue;
    const colors = Array.from({length: pixels.length / 2}, (_, k) => k).map(markerColors(trace, paint));
    const size = trace.marker?.size ?? 6;
    drawDots(ctx, pixels, {color: colors, size, outline: size >= 5 ? page : null, alpha});
  }
}

/** Ignorance and truth, in front of everything. */
function paintFront(ctx, drawn, paint, page) {
  for (const {trace, pixels} of drawn) {
    const {symbol, size: wanted} = trace.marker ?? {};
    const star = isStar(trace);
    const size = star ? Math.min(22, Math.max(14, symbol === "star" && wanted ? wanted : 18)) : (wanted ?? 7) + 2;
    const color = paint(trace.textfont?.color ?? trace.marker?.color, 1, roleOf(trace));
    for (let k = 0; k < pixels.length; k += 2) {
      if (Number.isNaN(pixels[k])) continue;
      (star ? drawStar : drawCircle)(ctx, pixels[k], pixels[k + 1], {color, size, outline: page});
    }
  }
}

/** What the colours along a scale mean: the scale at the right, with its ticks and its title. */
function paintScale(ctx, {colorscale, cmin, cmax, colorbar}, {width, height}, {tick: font, room}, {ink, muted}) {
  const [x, top, length, parts] = [width - 52 * room, 0.16 * height + 14, 0.55 * height, 64];
  const yOf = (value) => top + length * (1 - (value - cmin) / (cmax - cmin || 1));
  for (let part = 0; part < parts; part++) {
    const [from, to] = [part, part + 1].map((k) => top + length * (1 - k / parts));
    drawLines(ctx, [x, from + 0.5, x, to], {color: scaleColor((part + 0.5) / parts, colorscale), width: 10});
  }
  const {tickvals = [cmin, (cmin + cmax) / 2, cmax], ticktext = tickvals, title} = colorbar;
  const ticks = tickvals.map((value, k) => ({y: yOf(value), text: String(ticktext[k])}));
  for (const {y, text} of ticks) {
    const wide = textWidth(ctx, text, font);
    if (y >= top - 1 && y <= top + length + 1) drawText(ctx, text, x + 9 + wide / 2, y, {font, color: muted});
  }
  const lines = String(title?.text ?? "").split("<br>").reverse();
  lines.forEach((line, k) => {
    const wide = textWidth(ctx, line, font);
    drawText(ctx, decodePlain(line), width - 4 - wide / 2, top - 12 - 12 * room * k, {font, color: ink});
  });
}

// -- the scene --------------------------------------------------------------------------------------------------------

/** A 3-D picture below `root`; handlers: camera(camera, moving), hover(hit), click(hit), doubleClick(hit). */
export class Scene {
  constructor(root, handlers = {}) {
    this.handlers = handlers;
    this.colors = THEME;
    this.layout = {};
    this.base = this.above = [];
    this.notes = {base: [], over: []};
    this.home = this.eye = readCamera(SCENE_CAMERA);
    this.faded = 1;
    this.letters = 0; // pixels that they have at least
    this.sides = new Map();
    this.element = document.createElement("div");
    this.element.style.cssText = "position:relative;width:100%;height:100%;overflow:hidden";
    [this.lower, this.upper] = ["base", "over"].map((name) => {
      const canvas = document.createElement("canvas");
      canvas.className = `scene-${name}`;
      canvas.style.cssText = "position:absolute;left:0;top:0;width:100%;height:100%;touch-action:none";
      canvas.style.outlineOffset = "-2px"; // the ring of the focus lies inside, where it is seen
      return this.element.appendChild(canvas);
    });
    this.lower.setAttribute("aria-hidden", "true");
    this.upper.setAttribute("role", "img");
    this.upper.tabIndex = 0;
    this.label = "Picture in three dimensions";
    root.append(this.element);
    this.hand = new SceneHand(this);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
    this.resize();
  }

  /** What a screen reader speaks of, and what it says. */
  get spoken() {
    return this.upper;
  }
  set label(text) {
    this.upper.setAttribute("aria-label", text);
  }

  /** plotly's camera of what is shown. */
  get camera() {
    const {turn, rise, zoom, pan} = this.eye;
    const center = AXES.map((letter, k) => SCENE_CAMERA.center[letter] + pan[k]);
    const eye = directionsOf({turn, rise}).toward.map((part, k) => center[k] + (part * HOME_DISTANCE) / zoom);
    const named = (point) => Object.fromEntries(AXES.map((letter, k) => [letter, point[k]]));
    return {eye: named(eye), center: named(center), up: {...SCENE_CAMERA.up}};
  }
  set camera(camera) {
    this.eye = readCamera(camera);
    this.refresh();
  }

  /** Colours {ink, muted, grid, page} for everything that the figure does not colour. */
  set theme(theme) {
    this.colors = {...THEME, ...theme};
    this.refresh();
  }

  /** Draw a plotly figure; a camera that the user moved stays, until a figure comes with another one. */
  draw(figure, theme) {
    if (theme) this.colors = {...THEME, ...theme};
    this.layout = figure.layout?.scene ?? {};
    const read = readTraces(figure.data);
    const notes = this.layout.annotations ?? [];
    this.box = sceneBox(read, this.layout);
    this.sides.clear(); // the same figure gives the same picture, whatever was drawn before
    this.base = read.filter(({trace}) => !isOver(trace));
    this.above = read.filter(({trace}) => isOver(trace));
    this.notes = {base: notes.filter((note) => !isOverNote(note)), over: notes.filter(isOverNote)};
    const camera = JSON.stringify(this.layout.camera ?? null);
    if (camera !== this.given) this.home = this.eye = readCamera(this.layout.camera);
    this.given = camera;
    this.refresh();
  }

  /** Replace what lies over the picture, and draw nothing else. */
  over(traces, annotations = []) {
    this.above = readTraces(traces);
    this.notes.over = annotations;
    if (!this.frame) return;
    this.#frameOver(this.frame);
    this.#paint(["over"]);
  }

  /** Fade the base layer to an opacity, while something over it is lit. */
  dim(factor = 1) {
    this.faded = factor;
    this.lower.style.opacity = factor;
    this.#compose();
  }

  /** Fit the canvases to the element; called by itself when its size changes. */
  resize() {
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    const ratio = (window.devicePixelRatio || 1) * zoomOf(this.element);
    const size = [width, height, ratio].join();
    if (size === this.size) return;
    this.size = size;
    for (const canvas of [this.lower, this.upper]) {
      [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    }
    this.refresh();
  }

  /** Project and draw everything anew. */
  refresh() {
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    this.element.style.background = this.colors.page;
    this.frame = this.box && width && height ? this.#frameOf(width, height) : null;
    this.#paint(["base", "over"]);
  }

  /** Where a point of data is: pixels, and its distance to the eye. */
  project(x, y, z) {
    return this.frame ? projectPoint(this.frame.view, [x, y, z]) : [NaN, NaN, NaN];
  }

  /** The curve or checkpoint that is drawn nearest to a pixel, within reach; of a line, its nearer end. */
  pick(x, y) {
    let [best, least] = [null, REACH * REACH];
    for (const {trace, pixels} of this.frame ? [...this.frame.over, ...this.frame.base] : []) {
      if ((trace.meta?.rows === undefined && trace.meta?.curve === undefined) || isEllipsoid(trace)) continue;
      const lines = hasMode(trace, "lines");
      for (let k = 0; k < pixels.length; k += 2) {
        const [dx, dy] = [x - pixels[k], y - pixels[k + 1]];
        const own = dx * dx + dy * dy;
        if (own < least) [best, least] = [{trace, point: k / 2}, own];
        if (!lines || Number.isNaN(own)) continue;
        const [ax, ay] = [pixels[k + 2] - pixels[k], pixels[k + 3] - pixels[k + 1]];
        const share = (dx * ax + dy * ay) / (ax * ax + ay * ay);
        if (!(share > 0 && share < 1)) continue;
        const aside = (dx - share * ax) ** 2 + (dy - share * ay) ** 2;
        if (aside < least) [best, least] = [{trace, point: k / 2 + (share > 0.5 ? 1 : 0)}, aside];
      }
    }
    if (!best) return null;
    const {pixels} = [...this.frame.over, ...this.frame.base].find(({trace}) => trace === best.trace);
    const {curve, rows} = best.trace.meta;
    return {...best, x: pixels[2 * best.point], y: pixels[2 * best.point + 1], curve, row: rows?.[best.point]};
  }

  /** The whole picture as an SVG document. */
  svg(width = this.element.clientWidth, height = this.element.clientHeight) {
    const whole = new SvgContext(width, height, this.colors.page);
    if (!this.box) return whole.toString();
    const frame = this.#frameOf(width, height);
    const [base, over] = ["base", "over"].map((layer) => {
      const ctx = new SvgContext(width, height);
      this.#paintLayer(ctx, layer, frame);
      return ctx.body;
    });
    return whole.toString(`<g opacity="${Number(this.faded)}">\n${base}\n</g>\n<g>\n${over}\n</g>`);
  }

  /** The whole picture as a PNG, so many times larger than on the page. */
  async png(scale = 2) {
    const canvas = document.createElement("canvas");
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    [canvas.width, canvas.height] = [Math.max(1, width * scale), Math.max(1, height * scale)];
    const copies = ["base", "over"].map((layer) => {
      const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height});
      const ctx = copy.getContext("2d");
      ctx.scale(scale, scale);
      if (this.frame) this.#paintLayer(ctx, layer, this.frame);
      return copy;
    });
    this.#composeInto(canvas, copies);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  /** A canvas that shows both layers, at each frame from now on: what a recorder films. `stream(false)` ends it. */
  stream(on = true) {
    this.film = on ? (this.film ?? document.createElement("canvas")) : null;
    this.#compose();
    return this.film;
  }

  destroy() {
    this.observer.disconnect();
    this.hand.destroy();
    this.element.remove();
    this.film = this.frame = this.box = null;
  }

  // - how a frame is made -

  #frameOf(width, height) {
    const view = sceneView(this.box, this.eye, this.home, width, height);
    const ctx = this.upper.getContext("2d");
    const drawn = this.base.map((read) => ({...read, ...projectPoints(read.points, view)}));
    const fonts = gridFonts(this.letters);
    const frame = {view, fonts, grid: sceneGrid(view, this.layout, ctx, fonts), base: drawn.filter(({trace}) => !isFront(trace))};
    frame.front = drawn.filter(({trace}) => isFront(trace));
    frame.obstacles = [...frame.grid.numbers, ...frame.grid.titles];
    frame.obstacles.push(...frame.front.map(({pixels}) => textBox(pixels[0], pixels[1], 18, 18)));
    frame.labels = this.#labels(this.notes.base, view, frame.obstacles);
    this.#frameOver(frame);
    return frame;
  }

  #frameOver(frame) {
    frame.over = this.above.map((read) => ({...read, ...projectPoints(read.points, frame.view)}));
    const ink = inkMap(frame.view.width, frame.view.height);
    for (const {trace, pixels} of [...frame.base, ...frame.over]) if (hasMode(trace, "lines")) ink.add(pixels);
    frame.overLabels = this.#labels(this.notes.over, frame.view, [...frame.obstacles, ...frame.labels], frame.labels, ink);
  }

  /** Labels with their places; one stays on its side of its point while the picture moves. */
  #labels(notes, view, obstacles, fixed = [], ink = null) {
    const labels = notes.map((note) => {
      const [x, y] = projectPoint(view, AXES.map((letter) => note[letter]));
      const {color = this.colors.ink, size = 12, weight} = note.font ?? {};
      const [text, name] = [decodePlain(note.text), String(note.name ?? "")];
      const font = `${weight ? `${weight} ` : ""}${size}px ${INK_FONT}`;
      const asked = {priority: note.priority ?? size, anchor: note.anchor, direction: this.sides.get(text)};
      return {x, y, text, name, font, color: legible(color, this.colors.page, 3.5), ...asked};
    });
    const near = (one, two) => Math.hypot(one.x - two.x, one.y - two.y) < 1;
    const twin = (label) => fixed.find((other) => other.full === label.text && near(other, label));
    const twins = labels.filter(twin).map((label) => ({...twin(label), font: label.font, color: label.color}));
    const free = labels.filter((label) => !twin(label));
    const placed = placeLabels(free, view.width, view.height, obstacles, this.upper.getContext("2d"), ink);
    for (const {full, direction} of placed) this.sides.set(full, direction);
    return [...twins, ...placed];
  }

  /** A colour of the figure on this page: readable on a dark one, pale where it is not opaque. */
  #paintOf() {
    const {ink, muted, page} = this.colors;
    const own = {ignorance: ink, truth: ink, geodesic: muted};
    const [known, contrast] = [new Map(), isDark(page) ? 3 : 1];
    return (color = ink, opacity = 1, role = "") => {
      const key = `${color} ${opacity} ${role}`;
      if (!known.has(key)) known.set(key, mixColors(own[role] ?? legible(color, page, contrast), page, opacity ?? 1));
      return known.get(key);
    };
  }

  #paintLayer(ctx, layer, frame) {
    const [paint, page] = [this.#paintOf(), this.colors.page];
    if (layer === "base") {
      paintGrid(ctx, frame.grid, frame.fonts, this.colors);
      const lines = frame.base.filter(({trace}) => hasMode(trace, "lines") && !isEllipsoid(trace));
      paintLines(ctx, lines, paint, page);
      paintEllipsoids(ctx, frame.base.filter(({trace}) => isEllipsoid(trace)), paint);
      paintDots(ctx, frame.base.filter(({trace, alone}) => hasMode(trace, "markers") || alone.length), paint, page);
      drawLabels(ctx, frame.labels, {halo: page});
      const scaled = frame.base.find(({trace}) => trace.marker?.colorbar);
      if (scaled) paintScale(ctx, scaled.trace.marker, frame.view, frame.fonts, this.colors);
    } else {
      paintOver(ctx, frame.over, paint, page);
      paintFront(ctx, frame.front, paint, page);
      drawLabels(ctx, frame.overLabels, {halo: page});
    }
  }

  #paint(layers) {
    for (const layer of layers) {
      const canvas = layer === "base" ? this.lower : this.upper;
      const ctx = canvas.getContext("2d");
      ctx.setTransform(1, 0, 0, 1, 0, 0);
      ctx.clearRect(0, 0, canvas.width, canvas.height);
      if (!this.frame) continue;
      ctx.setTransform(canvas.width / this.frame.view.width, 0, 0, canvas.height / this.frame.view.height, 0, 0);
      this.#paintLayer(ctx, layer, this.frame);
    }
    this.#compose();
  }

  #compose() {
    if (!this.film) return;
    if (this.film.width !== this.lower.width) this.film.width = this.lower.width;
    if (this.film.height !== this.lower.height) this.film.height = this.lower.height;
    this.#composeInto(this.film, [this.lower, this.upper]);
  }

  #composeInto(canvas, [base, over]) {
    if (!base.width || !base.height) return;
    const ctx = canvas.getContext("2d");
    Object.assign(ctx, {globalAlpha: 1, fillStyle: this.colors.page});
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    ctx.globalAlpha = this.faded;
    ctx.drawImage(base, 0, 0);
    ctx.globalAlpha = 1;
    ctx.drawImage(over, 0, 0);
  }
}

// -- hands ------------------------------------------------------------------------------------------------------------

const SCENE_KEYS = {
  ArrowLeft: {turn: 0.1}, ArrowRight: {turn: -0.1}, ArrowUp: {rise: -0.1}, ArrowDown: {rise: 0.1},
  "+": {zoom: 1.15}, "=": {zoom: 1.15}, "-": {zoom: 1 / 1.15}, Home: {home: true},
};

/** Pointers, wheel and keys of a scene: they turn it (z stays up), move it and make it larger. */
class SceneHand {
  constructor(scene) {
    this.scene = scene;
    this.pointers = new Map();
    this.found = null;
    this.ends = new AbortController();
    const {signal} = this.ends;
    const on = (name, act, options) => scene.upper.addEventListener(name, act.bind(this), {signal, ...options});
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.up);
    on("pointerleave", () => this.hover(null));
    on("dblclick", (event) => scene.handlers.doubleClick?.(scene.pick(event.offsetX, event.offsetY)));
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", this.wheel, {passive: false});
    on("keydown", this.key);
    for (const name of ["keydown", "blur"]) on(name, () => (scene.upper.style.outline = ""));
  }

  down(event) {
    this.scene.upper.focus({preventScroll: true});
    this.scene.upper.style.outline = "none"; // browsers ring what a script focuses: only keys need it
    this.scene.upper.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.start = this.pointers.size === 1 ? [event.offsetX, event.offsetY] : null; // two fingers are no click
    this.pans = event.shiftKey || event.button > 0;
    if (event.button === 1) event.preventDefault(); // no scrolling by the middle button
  }

  move(event) {
    const at = [event.offsetX, event.offsetY];
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.look(at);
    if (this.start && Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) < 4) return;
    this.start = null;
    this.hover(null); // nothing is lit while it turns
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, at);
    const [dx, dy] = [at[0] - before[0], at[1] - before[1]];
    if (other) {
      const apart = (point) => Math.max(10, Math.hypot(point[0] - other[0], point[1] - other[1]));
      this.shift(dx / 2, dy / 2);
      this.zoom(apart(at) / apart(before), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    } else if (this.pans) this.shift(dx, dy);
    else this.rotate(-0.008 * dx, 0.008 * dy);
    this.moved();
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size) return;
    if (!this.start) return this.ended();
    this.start = null;
    if (event.type !== "pointerup" || event.button !== 0) return;
    this.scene.handlers.click?.(this.scene.pick(event.offsetX, event.offsetY));
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 100][event.deltaMode];
    this.zoom(Math.exp(-0.0015 * Math.min(300, Math.max(-300, pixels))), [event.offsetX, event.offsetY]);
    this.moved();
    this.endSoon();
  }

  key(event) {
    const change = SCENE_KEYS[event.key];
    if (!change || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (change.home) this.scene.eye = this.scene.home;
    else if (change.zoom) this.zoom(change.zoom);
    else this.rotate(change.turn ?? 0, change.rise ?? 0);
    this.moved();
    this.endSoon();
  }

  rotate(turn, rise) {
    const {eye} = this.scene;
    this.scene.eye = {...eye, turn: eye.turn + turn, rise: Math.min(STEEPEST, Math.max(-STEEPEST, eye.rise + rise))};
  }

  /** Move the picture by pixels. */
  shift(dx, dy) {
    const {eye, frame} = this.scene;
    if (!frame) return;
    const {right, up, scale} = frame.view;
    this.scene.eye = {...eye, pan: eye.pan.map((part, k) => part - (right[k] * dx - up[k] * dy) / scale)};
  }

  /** Larger by a factor; what is below the pixel stays there. */
  zoom(factor, at) {
    const {eye, frame} = this.scene;
    const zoom = Math.min(20, Math.max(0.25, eye.zoom * factor));
    const back = 1 - eye.zoom / zoom;
    this.scene.eye = {...eye, zoom};
    if (!at || !frame) return;
    const {focus, right, up, scale} = frame.view;
    const [dx, dy] = [at[0] - focus[0], at[1] - focus[1]];
    this.scene.eye.pan = eye.pan.map((part, k) => part + (back * (right[k] * dx - up[k] * dy)) / scale);
  }

  /** Draw once a frame, however often the hand moves, and tell. */
  moved() {
    this.moving ??= requestAnimationFrame(() => {
      this.moving = undefined;
      this.scene.refresh();
      this.scene.handlers.camera?.(this.scene.camera, true);
    });
  }

  ended() {
    cancelAnimationFrame(this.moving);
    this.moving = undefined;
    this.scene.refresh();
    this.scene.handlers.camera?.(this.scene.camera, false);
  }

  endSoon() {
    clearTimeout(this.ending);
    this.ending = setTimeout(() => this.ended(), 200);
  }

  /** What is below the pointer, once a frame. */
  look(at) {
    this.looked = at;
    this.looking ??= requestAnimationFrame(() => {
      this.looking = undefined;
      if (this.looked) this.hover(this.scene.pick(...this.looked));
    });
  }

  /** Tell what is below the pointer, if it is something else than before: lighting it must not tell again. */
  hover(hit) {
    if (!hit) this.looked = null;
    const found = hit && [hit.curve, hit.row, hit.point].join("|");
    if (found === this.found) return;
    this.found = found;
    this.scene.upper.style.cursor = hit ? "pointer" : "grab";
    this.scene.handlers.hover?.(hit);
  }

  destroy() {
    this.ends.abort();
    cancelAnimationFrame(this.moving);
    cancelAnimationFrame(this.looking);
    clearTimeout(this.ending);
  }
}
