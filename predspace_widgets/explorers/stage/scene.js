/** The picture in three dimensions, drawn on 2-D canvases from the plotly dict of `explorer.figure()`: no WebGL. */

import {INK_FONT, SvgContext, boxesOverlap, colorParts, dashOf, drawCircle, drawDots, drawLabels, fillWithOutline} from "./ink.js";
import {drawLines, drawStar, drawText, isDark, legible, mixColors, placeLabels, shortenText, textWidth} from "./ink.js";

/** plotly's meaning: the eye looks at the centre from so far. */
export const SCENE_CAMERA = {eye: {x: 1.05, y: -1.75, z: 0.8}, center: {x: 0.05, y: 0, z: -0.16}, up: {x: 0, y: 0, z: 1}};
const HOME_DISTANCE = Math.hypot(1, 1.75, 0.96);
const STEEPEST = 1.5;
/** Pixels around the box, for numbers and titles. */
const SCENE_MARGIN = {left: 46, right: 38, top: 12, bottom: 26};
/** Pixels from the pointer to what it means. */
const REACH = 12;
/** plotly's 3-D lines are half as wide as they say. */
const LINE_SCALE = 0.5;
const TICK_FONT = `10px ${INK_FONT}`;
const TITLE_FONT = `12px ${INK_FONT}`;
const AXES = ["x", "y", "z"];
const CIVIDIS =
  "00204c 002a66 00346e 273f6c 3c4a6b 4c556b 5b5f6d 686a70 757575 838178 928c78 a19876 b0a572 c0b16d d1bf66 e1cc5c f3db4f ffe945"
    .split(" ").map((color, k) => [k / 17, `#${color}`]);
const THEME = {ink: "#1f2933", muted: "#6b7785", grid: "#e4e8ee", page: "#ffffff"};

// -- what a figure says -----------------------------------------------------------------------------------------------

const ENTITIES = {amp: "&", lt: "<", gt: ">", "#37": "%", "#36": "$"};

/** The name that Python's `plain` wrote for plotly, letter by letter. */
export function decodePlain(text) {
  return String(text ?? "").replace(/&(amp|lt|gt|#37|#36);/g, (_, entity) => ENTITIES[entity]);
}

const roleOf = (trace) => trace.meta?.role ?? trace.meta;
const isOver = ({meta, name, x}) => meta?.layer === "over" || (!Array.isArray(x) && String(name).startsWith("over"));
const isStar = ({marker, text}) => marker?.symbol === "star" || text?.[0] === "★";
const isFront = (trace) => isStar(trace) || ["ignorance", "truth"].includes(roleOf(trace));
const hasMode = (trace, mode) => (trace.mode ?? "lines+markers").includes(mode);
const toNumbers = (values) => (ArrayBuffer.isView(values) ? values : Float64Array.from(values ?? [], (v) => v ?? NaN));

/** The traces that are seen, with numbers for their points: null is a gap. */
function readTraces(traces) {
  const seen = (traces ?? []).filter(({type, visible}) => type === "scatter3d" && (visible ?? true) === true);
  return seen.map((trace) => {
    const points = AXES.map((letter) => toNumbers(trace[letter]));
    return {trace, points, alone: hasMode(trace, "lines") ? lonePoints(points) : []};
  });
}

/** Points of a line between two gaps, which no line shows. */
function lonePoints([xs, ys, zs]) {
  const gap = (k) => Number.isNaN(xs[k] + ys[k] + zs[k]) || !(k >= 0 && k < xs.length);
  return Array.from(xs.keys()).filter((k) => !gap(k) && gap(k - 1) && gap(k + 1));
}

/** A colour of a plotly scale, a name or a list of [share, colour]. */
export function scaleColor(share, scale = CIVIDIS) {
  const stops = Array.isArray(scale) ? scale : CIVIDIS;
  const next = Math.max(1, stops.findIndex(([at], k) => at >= share || k === stops.length - 1));
  const [[from, one], [to, two]] = [stops[next - 1], stops[next]];
  return mixColors(two, one, Math.min(1, Math.max(0, (share - from) / (to - from || 1))));
}

/** The colour of each point of a trace with markers, as a function of its place. */
function markerColors({marker = {}, line}, paint) {
  const {color, colorscale, cmin, cmax} = {color: line?.color ?? THEME.ink, ...marker};
  if (typeof color === "string") return () => paint(color);
  const values = toNumbers(color);
  const [low, high] = [cmin, cmax].map((bound, k) => bound ?? values.reduce((one, two) => Math[k ? "max" : "min"](one, two)));
  const palette = Array.from({length: 64}, (_, k) => paint(scaleColor(k / 63, colorscale)));
  const places = values.map((value) => Math.round(Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * 63));
  return (k) => palette[places[k]] ?? paint("#999999");
}

// -- the box and the camera -------------------------------------------------------------------------------------------

/** Ranges of the axes and the world's unit: equal scales, the geometric mean of the sides is 1. */
function sceneBox(read, layout = {}) {
  const ranges = AXES.map((letter, axis) => {
    if (layout[`${letter}axis`]?.range) return layout[`${letter}axis`].range.map(Number).sort((one, two) => one - two);
    let [low, high] = [Infinity, -Infinity];
    for (const {points} of read) {
      for (const value of points[axis]) {
        if (value < low && value > -Infinity) low = value;
        if (value > high && value < Infinity) high = value;
      }
    }
    return [low, high];
  });
  const empty = ranges.some(([low, high]) => !(low <= high));
  const known = ranges.map(([low, high]) => (low <= high ? [low, high] : [0, 1]));
  const longest = Math.max(...known.map(([low, high]) => high - low)) || 1;
  const middle = known.map(([low, high]) => (low + high) / 2);
  const half = known.map(([low, high]) => 0.5 * Math.max(high - low, 0.04 * longest) * (1 + 1 / 16));
  const unit = 1 / Math.cbrt(8 * half[0] * half[1] * half[2]);
  return {empty, middle, unit, half, low: middle.map((at, k) => at - half[k]), high: middle.map((at, k) => at + half[k])};
}

/** plotly's camera as turn, rise, zoom and pan; z stays up. */
function readCamera(camera) {
  const {eye, center} = {...SCENE_CAMERA, ...camera};
  const arm = AXES.map((letter) => (eye[letter] ?? 0) - (center[letter] ?? 0));
  const distance = Math.hypot(...arm) || HOME_DISTANCE;
  const rise = Math.min(STEEPEST, Math.max(-STEEPEST, Math.asin(arm[2] / distance)));
  const pan = AXES.map((letter) => (center[letter] ?? 0) - SCENE_CAMERA.center[letter]);
  return {turn: Math.atan2(arm[1], arm[0]), rise, zoom: HOME_DISTANCE / distance, pan};
}

function directionsOf({turn, rise}) {
  const [ct, st, cr, sr] = [Math.cos(turn), Math.sin(turn), Math.cos(rise), Math.sin(rise)];
  return {right: [-st, ct, 0], up: [-ct * sr, -st * sr, cr], toward: [ct * cr, st * cr, sr]};
}

const along = (one, two) => one[0] * two[0] + one[1] * two[1] + one[2] * two[2];
const boxCorners = ({half, unit}) =>
  [0, 1, 2, 3, 4, 5, 6, 7].map((k) => half.map((side, axis) => side * unit * (k & (1 << axis) ? 1 : -1)));

/** How large the box may be drawn, seen in a direction, and the middle of what is seen of it. */
function fitBox(box, directions, far, width, height) {
  const seen = boxCorners(box).map((corner) => {
    const near = far / (far - along(directions.toward, corner));
    return [near * along(directions.right, corner), near * along(directions.up, corner)];
  });
  const [[left, right], [bottom, top]] = [0, 1].map((k) => [
    Math.min(...seen.map((point) => point[k])),
    Math.max(...seen.map((point) => point[k])),
  ]);
  const wide = Math.max(20, width - SCENE_MARGIN.left - SCENE_MARGIN.right) / (right - left);
  const tall = Math.max(20, height - SCENE_MARGIN.top - SCENE_MARGIN.bottom) / (top - bottom);
  return {scale: Math.min(wide, tall), middle: [(left + right) / 2, (bottom + top) / 2]};
}

/** From data to pixels: as large as fits from the home camera, smaller where the box would not fit from here. */
function sceneView(box, camera, home, width, height) {
  const directions = directionsOf(camera);
  const far = Math.max(3.2, 2.2 * Math.hypot(...box.half) * box.unit);
  const [here, there] = [directions, directionsOf(home)].map((seen) => fitBox(box, seen, far, width, height));
  const scale = Math.min(here.scale, there.scale) * camera.zoom;
  const pan = [along(directions.right, camera.pan), along(directions.up, camera.pan)];
  const at = [
    (SCENE_MARGIN.left + width - SCENE_MARGIN.right) / 2 - scale * (here.middle[0] + pan[0]),
    (SCENE_MARGIN.top + height - SCENE_MARGIN.bottom) / 2 + scale * (here.middle[1] + pan[1]),
  ];
  return {...directions, box, far, scale, at, width, height};
}

/** Pixels [x0, y0, ...] and the distances to the eye of points given as [xs, ys, zs]. */
function projectPoints([xs, ys, zs], {right, up, toward, box, far, scale, at}) {
  const [pixels, depths] = [new Float32Array(2 * xs.length), new Float32Array(xs.length)];
  const {middle, unit} = box;
  for (let k = 0; k < xs.length; k++) {
    const [x, y, z] = [(xs[k] - middle[0]) * unit, (ys[k] - middle[1]) * unit, (zs[k] - middle[2]) * unit];
    depths[k] = far - (toward[0] * x + toward[1] * y + toward[2] * z);
    const near = (scale * far) / depths[k];
    pixels[2 * k] = at[0] + near * (right[0] * x + right[1] * y);
    pixels[2 * k + 1] = at[1] - near * (up[0] * x + up[1] * y + up[2] * z);
  }
  return {pixels, depths};
}

function projectPoint(view, point) {
  const {pixels, depths} = projectPoints(point.map((value) => [value ?? NaN]), view);
  return [pixels[0], pixels[1], depths[0]];
}

// -- grid, numbers and titles -----------------------------------------------------------------------------------------

/** Round numbers inside a range, about so many, and their texts. */
function niceTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= 0.7 * rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step);
  const values = Array.from({length: Math.max(0, Math.floor(high / step) - first + 1)}, (_, k) => (first + k) * step);
  const short = (value) => (digits > 4 || step >= 1e5 ? value.toExponential(1) : value.toFixed(digits));
  return values.map((value) => ({value, text: (value ? short(value) : "0").replace("-", "−")}));
}

/** A box with the four sides of a text of this size around a point. */
const textBox = (x, y, width, height) => ({left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2});

function boxInside(box, width, height) {
  const right = Math.max(3 - box.left, 0) + Math.min(width - 3 - box.right, 0);
  const down = Math.max(3 - box.top, 0) + Math.min(height - 3 - box.bottom, 0);
  return {left: box.left + right, right: box.right + right, top: box.top + down, bottom: box.bottom + down};
}

/** The outer edge along an axis, where its numbers stand: the lower one, of z the left one. */
function outerEdge(axis, view, back) {
  const {low, high, middle} = view.box;
  const [one, two] = [0, 1, 2].filter((other) => other !== axis);
  const front = (other) => (back[other] === low[other] ? high[other] : low[other]);
  const edges = [[front(one), back[two]], [back[one], front(two)]].map(([a, b]) =>
    [low[axis], middle[axis], high[axis]].map((value) => {
      const point = [];
      [point[axis], point[one], point[two]] = [value, a, b];
      return {point, pixel: projectPoint(view, point)};
    }),
  );
  const score = ([, {pixel}]) => (axis === 2 ? -pixel[0] : pixel[1]);
  const [from, half, to] = score(edges[0]) >= score(edges[1]) ? edges[0] : edges[1];
  const length = Math.hypot(to.pixel[0] - from.pixel[0], to.pixel[1] - from.pixel[1]);
  const ahead = [0, 1].map((k) => (to.pixel[k] - from.pixel[k]) / (length || 1));
  const center = projectPoint(view, middle);
  const normal = [ahead[1], -ahead[0]];
  const outward = normal[0] * (half.pixel[0] - center[0]) + normal[1] * (half.pixel[1] - center[1]) < 0 ? -1 : 1;
  return {axis, point: half.point, pixel: half.pixel, length, ahead, out: normal.map((part) => part * outward)};
}

/** Grid lines of the three faces behind, as one list of pixels with gaps. */
function gridLines(view, back, ticks) {
  const {low, high} = view.box;
  const lines = [[], [], []];
  for (const face of [0, 1, 2]) {
    for (const axis of [0, 1, 2].filter((other) => other !== face)) {
      const across = 3 - face - axis;
      for (const value of [low[axis], ...ticks[axis].map((tick) => tick.value), high[axis]]) {
        for (const end of [low[across], high[across], NaN]) {
          lines[face].push(back[face]);
          lines[axis].push(value);
          lines[across].push(end);
        }
      }
    }
  }
  return projectPoints(lines, view).pixels;
}

/** Where the numbers of an edge stand; only every second, third ... where there is no room for all. */
function placeNumbers(edge, view, ticks, ctx) {
  const widest = Math.max(0, ...ticks.map(({text}) => textWidth(ctx, text, TICK_FONT)));
  const room = Math.abs(edge.ahead[0]) * (widest + 8) + Math.abs(edge.ahead[1]) * 14;
  const gap = edge.length / (view.box.high[edge.axis] - view.box.low[edge.axis]);
  const stride = ticks.length > 1 ? Math.ceil(room / (gap * (ticks[1].value - ticks[0].value))) : 1;
  edge.room = 7 + Math.abs(edge.out[0]) * widest + Math.abs(edge.out[1]) * 10;
  return ticks.filter((_, k) => k % stride === 0).map(({value, text}) => {
    const [x, y] = projectPoint(view, edge.point.map((at, axis) => (axis === edge.axis ? value : at)));
    const width = textWidth(ctx, text, TICK_FONT);
    const away = 6 + (Math.abs(edge.out[0]) * width + Math.abs(edge.out[1]) * 10) / 2;
    return {text, ...textBox(x + edge.out[0] * away, y + edge.out[1] * away, width + 2, 11)};
  });
}

/** Where a title stands: along its edge, inside the canvas, never over another title. */
function placeTitle(edge, text, others, view, ctx) {
  const shown = shortenText(text, 40);
  const width = textWidth(ctx, shown, TITLE_FONT);
  let angle = edge.length > 50 ? Math.atan2(edge.ahead[1], edge.ahead[0]) : 0;
  if (angle > Math.PI / 2) angle -= Math.PI;
  if (angle <= -Math.PI / 2 + 0.01) angle += Math.PI;
  if (Math.abs(angle) > 1.2) angle = -Math.PI / 2; // upright: slightly off it looks like a mistake
  const [cos, sin] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
  const size = [width * cos + 14 * sin, width * sin + 14 * cos];
  const tries = [0, -0.2, 0.2, -0.4, 0.4].flatMap((slide) => [0, 16, 32].map((away) => [slide * edge.length, edge.room + 10 + away]));
  for (const [slide, away] of tries) {
    const [x, y] = [0, 1].map((k) => edge.pixel[k] + edge.ahead[k] * slide + edge.out[k] * away);
    const box = boxInside(textBox(x, y, ...size), view.width, view.height);
    if (!others.some((other) => boxesOverlap(box, other))) return {text: shown, angle, width, ...box};
  }
  const row = view.height - 10 - 15 * others.length;
  return {text: shown, angle: 0, width, ...boxInside(textBox(view.width / 2, row, width, 14), view.width, view.height)};
}

/** Whether a number's box touches the (turned) letters of a title. */
function touchesTitle(box, title) {
  const [dx, dy] = [box.left + box.right - title.left - title.right, box.top + box.bottom - title.top - title.bottom].map((d) => d / 2);
  const [cos, sin] = [Math.cos(title.angle), Math.sin(title.angle)];
  const [wide, tall] = [box.right - box.left, box.bottom - box.top];
  const within = (d, room, a, b) => Math.abs(d) < room + (Math.abs(a) * wide + Math.abs(b) * tall) / 2;
  return within(dx * cos + dy * sin, title.width / 2, cos, sin) && within(dy * cos - dx * sin, 7, sin, cos);
}

/** Everything of the empty box: lines, numbers and titles. */
function sceneGrid(view, layout, ctx) {
  const {box} = view;
  const back = [0, 1, 2].map((axis) => (view.toward[axis] > 0 ? box.low : box.high)[axis]);
  const longest = Math.max(...box.half);
  const most = Math.min(5, view.width / 110); // fewer where there is little room
  const ticks = [0, 1, 2].map((axis) =>
    box.empty ? [] : niceTicks(box.low[axis], box.high[axis], Math.max(3, Math.round((most * box.half[axis]) / longest))),
  );
  const edges = [0, 1, 2].map((axis) => outerEdge(axis, view, back));
  const placed = edges.map((edge, axis) => (edge.length > 30 ? placeNumbers(edge, view, ticks[axis], ctx) : ((edge.room = 6), [])));
  const titles = [];
  for (const axis of [2, 0, 1]) {
    const {title} = layout?.[`${AXES[axis]}axis`] ?? {};
    const text = decodePlain(title?.text ?? title);
    if (text) titles.push(placeTitle(edges[axis], text, titles, view, ctx));
  }
  const numbers = [];
  for (const number of placed.flat()) {
    const inside = number.left >= 0 && number.top >= 0 && number.right <= view.width && number.bottom <= view.height;
    if (!inside || titles.some((title) => touchesTitle(number, title))) continue;
    if (!numbers.some((other) => boxesOverlap(number, other))) numbers.push(number);
  }
  return {lines: gridLines(view, back, ticks), numbers, titles};
}

// -- painting ---------------------------------------------------------------------------------------------------------

function paintGrid(ctx, {lines, numbers, titles}, {grid, muted, page}) {
  drawLines(ctx, lines, {color: grid, width: 1});
  const middle = ({left, right, top, bottom}) => [(left + right) / 2, (top + bottom) / 2];
  for (const number of numbers) drawText(ctx, number.text, ...middle(number), {font: TICK_FONT, color: muted, halo: page});
  for (const title of titles) {
    drawText(ctx, title.text, ...middle(title), {font: TITLE_FONT, color: muted, halo: page, angle: title.angle});
  }
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
  for (let k = from + 1; k <= to; k++) ctx.lineTo(pixels[2 * k], pixels[2 * k + 1]);
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
    return {width, parts, color, lengths: parts.length ? lengthsAlong(pixels) : null, cased: width > 2 && !parts.length};
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
  for (const {trace, pixels} of drawn) {
    const {color, width = 2, dash} = trace.line ?? {};
    const alpha = trace.opacity ?? 1;
    if (hasMode(trace, "lines")) {
      drawLines(ctx, pixels, {color: paint(color), width: width * LINE_SCALE, dash, alpha, casing: dash && dash !== "solid" ? null : page});
    }
    if (!hasMode(trace, "markers")) continue;
    const colorAt = markerColors(trace, paint);
    const size = trace.marker?.size ?? 6;
    drawDots(ctx, pixels, {color: Array.from({length: pixels.length / 2}, (_, k) => colorAt(k)), size, outline: size >= 5 ? page : null, alpha});
  }
}

/** Ignorance and truth, in front of everything. */
function paintFront(ctx, drawn, paint, page) {
  for (const {trace, pixels} of drawn) {
    const color = paint(trace.textfont?.color ?? trace.marker?.color, 1, roleOf(trace));
    const size = isStar(trace) ? Math.min(22, Math.max(14, trace.marker?.symbol === "star" ? trace.marker.size ?? 18 : 18)) : (trace.marker?.size ?? 7) + 2;
    for (let k = 0; k < pixels.length; k += 2) {
      if (!Number.isNaN(pixels[k])) (isStar(trace) ? drawStar : drawCircle)(ctx, pixels[k], pixels[k + 1], {color, size, outline: page});
    }
  }
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
    this.element = document.createElement("div");
    this.element.style.cssText = "position:relative;width:100%;height:100%;overflow:hidden";
    [this.lower, this.upper] = ["base", "over"].map((name) => {
      const canvas = document.createElement("canvas");
      canvas.className = `scene-${name}`;
      canvas.style.cssText = "position:absolute;left:0;top:0;width:100%;height:100%;touch-action:none;outline-offset:-2px";
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

  /** What a screen reader says. */
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
    this.base = read.filter(({trace}) => !isOver(trace));
    this.above = read.filter(({trace}) => isOver(trace));
    this.notes = {base: notes.filter((note) => !isOver(note)), over: notes.filter(isOver)};
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
    const [width, height, ratio] = [this.element.clientWidth, this.element.clientHeight, window.devicePixelRatio || 1];
    const size = [width, height, ratio].join();
    if (size === this.size) return;
    this.size = size;
    for (const canvas of [this.lower, this.upper]) [canvas.width, canvas.height] = [width * ratio, height * ratio].map(Math.round);
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
      if (trace.meta?.rows === undefined && trace.meta?.curve === undefined) continue;
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
    const frame = {view, grid: sceneGrid(view, this.layout, ctx), base: drawn.filter(({trace}) => !isFront(trace))};
    frame.front = drawn.filter(({trace}) => isFront(trace));
    frame.obstacles = [...frame.grid.numbers, ...frame.grid.titles];
    frame.obstacles.push(...frame.front.map(({pixels}) => textBox(pixels[0], pixels[1], 18, 18)));
    frame.labels = this.#labels(this.notes.base, view, frame.obstacles);
    this.#frameOver(frame);
    return frame;
  }

  #frameOver(frame) {
    frame.over = this.above.map((read) => ({...read, ...projectPoints(read.points, frame.view)}));
    frame.overLabels = this.#labels(this.notes.over, frame.view, [...frame.obstacles, ...frame.labels]);
  }

  #labels(notes, view, obstacles) {
    const labels = notes.map((note) => {
      const [x, y] = projectPoint(view, AXES.map((letter) => note[letter]));
      const {color = this.colors.ink, size = 12, weight} = note.font ?? {};
      const font = `${weight ? `${weight} ` : ""}${size}px ${INK_FONT}`;
      const name = String(note.name ?? "").replace(/^over:?/, "");
      const shown = legible(color, this.colors.page, 3.5);
      return {x, y, text: decodePlain(note.text), color: shown, font, name, priority: note.priority ?? size, anchor: note.anchor};
    });
    return placeLabels(labels, view.width, view.height, obstacles, this.upper.getContext("2d"));
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
      paintGrid(ctx, frame.grid, this.colors);
      paintLines(ctx, frame.base.filter(({trace}) => hasMode(trace, "lines")), paint, page);
      paintDots(ctx, frame.base.filter(({trace, alone}) => hasMode(trace, "markers") || alone.length), paint, page);
      drawLabels(ctx, frame.labels, {halo: page});
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
  "+": {zoom: 1.15}, "=": {zoom: 1.15}, "-": {zoom: 1 / 1.15}, 0: {home: true},
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
  }

  down(event) {
    this.scene.upper.focus({preventScroll: true});
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
    if (event.type === "pointerup" && event.button === 0) this.scene.handlers.click?.(this.scene.pick(event.offsetX, event.offsetY));
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
    const {width, height, right, up, scale} = frame.view;
    const [dx, dy] = [at[0] - (SCENE_MARGIN.left + width - SCENE_MARGIN.right) / 2, at[1] - (SCENE_MARGIN.top + height - SCENE_MARGIN.bottom) / 2];
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
