/** Where everything of a 3-D picture lies: what a plotly figure says, the box, the camera, the grid and its numbers. */

import {INK_FONT, boxesOverlap, mixColors, shortenText, textWidth} from "./ink.js";

/** plotly's meaning: the eye looks at the centre from so far. */
export const SCENE_CAMERA = {
  eye: {x: 1.05, y: -1.75, z: 0.8},
  center: {x: 0.05, y: 0, z: -0.16},
  up: {x: 0, y: 0, z: 1},
};
export const HOME_DISTANCE = Math.hypot(1, 1.75, 0.96);
export const STEEPEST = 1.5;
/** Pixels around the box, for numbers and titles. */
const SCENE_MARGIN = {left: 46, right: 38, top: 12, bottom: 26};
/** Of numbers and titles, in letters of at least so many pixels. */
export function gridFonts(least = 0) {
  const [tick, title] = [10, 12].map((size) => Math.max(size, least));
  return {tick: `${tick}px ${INK_FONT}`, title: `${title}px ${INK_FONT}`, room: tick / 10};
}
export const AXES = ["x", "y", "z"];
const CIVIDIS = [
  ..."00204c 002a66 00346e 273f6c 3c4a6b 4c556b 5b5f6d 686a70 757575".split(" "),
  ..."838178 928c78 a19876 b0a572 c0b16d d1bf66 e1cc5c f3db4f ffe945".split(" "),
].map((color, k) => [k / 17, `#${color}`]);

// -- what a figure says -----------------------------------------------------------------------------------------------

const ENTITIES = {amp: "&", lt: "<", gt: ">", "#37": "%", "#36": "$"};

/** The name that Python's `plain` wrote for plotly, letter by letter. */
export function decodePlain(text) {
  return String(text ?? "").replace(/&(amp|lt|gt|#37|#36);/g, (_, entity) => ENTITIES[entity]);
}

export const roleOf = (trace) => trace.meta?.role ?? trace.meta;
export const isOver = (trace) => trace.meta?.layer === "over";
export const isOverNote = (note) => /^over(?![a-z0-9])/i.test(note.name ?? ""); // "over: odd", but not "overfitted"
export const isStar = ({marker, text}) => marker?.symbol === "star" || text?.[0] === "★";
export const isFront = (trace) => isStar(trace) || ["ignorance", "truth"].includes(roleOf(trace));
export const isEllipsoid = (trace) => roleOf(trace) === "ellipse";
export const hasMode = (trace, mode) => (trace.mode ?? "lines+markers").includes(mode);
const toNumbers = (values) => (ArrayBuffer.isView(values) ? values : Float64Array.from(values ?? [], (v) => v ?? NaN));

/** The traces that are seen, with numbers for their points: null is a gap. */
export function readTraces(traces) {
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
export function markerColors({marker = {}, line}, paint) {
  const {color, colorscale, cmin, cmax} = {color: line?.color ?? "#999999", ...marker};
  if (typeof color === "string") return () => paint(color);
  if (typeof color[0] === "string") return (k) => paint(color[k]);
  const values = toNumbers(color);
  const known = values.filter((value) => !Number.isNaN(value));
  const low = cmin ?? known.reduce((one, two) => Math.min(one, two), Infinity);
  const high = cmax ?? known.reduce((one, two) => Math.max(one, two), -Infinity);
  const palette = Array.from({length: 64}, (_, k) => paint(scaleColor(k / 63, colorscale)));
  const place = (value) => Math.round(Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * 63);
  return (k) => palette[place(values[k])] ?? paint("#999999"); // a value that is missing has no place
}

// -- the box and the camera -------------------------------------------------------------------------------------------

/** Ranges of the axes and the world's unit: equal scales, the geometric mean of the sides is 1. */
export function sceneBox(read, layout = {}) {
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
  const [low, high] = [-1, 1].map((sign) => middle.map((at, k) => at + sign * half[k]));
  return {empty, middle, unit, half, low, high};
}

/** plotly's camera as turn, rise, zoom and pan; z stays up. */
export function readCamera(camera) {
  const {eye, center} = {...SCENE_CAMERA, ...camera};
  const arm = AXES.map((letter) => (eye[letter] ?? 0) - (center[letter] ?? 0));
  const distance = Math.hypot(...arm) || HOME_DISTANCE;
  const rise = Math.min(STEEPEST, Math.max(-STEEPEST, Math.asin(arm[2] / distance)));
  const pan = AXES.map((letter) => (center[letter] ?? 0) - SCENE_CAMERA.center[letter]);
  return {turn: Math.atan2(arm[1], arm[0]), rise, zoom: HOME_DISTANCE / distance, pan};
}

export function directionsOf({turn, rise}) {
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
export function sceneView(box, camera, home, width, height) {
  const directions = directionsOf(camera);
  const far = Math.max(3.2, 2.2 * Math.hypot(...box.half) * box.unit);
  const [here, there] = [directions, directionsOf(home)].map((seen) => fitBox(box, seen, far, width, height));
  const scale = Math.min(here.scale, there.scale) * camera.zoom;
  const pan = [along(directions.right, camera.pan), along(directions.up, camera.pan)];
  const {left, right, top, bottom} = SCENE_MARGIN;
  const focus = [(left + width - right) / 2, (top + height - bottom) / 2];
  const at = [focus[0] - scale * (here.middle[0] + pan[0]), focus[1] + scale * (here.middle[1] + pan[1])];
  return {...directions, box, far, scale, at, focus, width, height};
}

/** Pixels [x0, y0, ...] and the distances to the eye of points given as [xs, ys, zs]. */
export function projectPoints([xs, ys, zs], {right, up, toward, box, far, scale, at}) {
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

export function projectPoint(view, point) {
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
export function textBox(x, y, width, height) {
  return {left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2};
}

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
function placeNumbers(edge, view, ticks, ctx, fonts) {
  const widest = Math.max(0, ...ticks.map(({text}) => textWidth(ctx, text, fonts.tick)));
  const room = Math.abs(edge.ahead[0]) * (widest + 8) + Math.abs(edge.ahead[1]) * 14 * fonts.room;
  const gap = edge.length / (view.box.high[edge.axis] - view.box.low[edge.axis]);
  const stride = ticks.length > 1 ? Math.ceil(room / (gap * (ticks[1].value - ticks[0].value))) : 1;
  edge.room = 7 + Math.abs(edge.out[0]) * widest + Math.abs(edge.out[1]) * 10 * fonts.room;
  return ticks.filter((_, k) => k % stride === 0).map(({value, text}) => {
    const [x, y] = projectPoint(view, edge.point.map((at, axis) => (axis === edge.axis ? value : at)));
    const width = textWidth(ctx, text, fonts.tick);
    const away = 6 + (Math.abs(edge.out[0]) * width + Math.abs(edge.out[1]) * 10 * fonts.room) / 2;
    return {text, ...textBox(x + edge.out[0] * away, y + edge.out[1] * away, width + 2, 11 * fonts.room)};
  });
}

/** Where a title stands: along its edge, inside the canvas, never over another title. */
function placeTitle(edge, text, others, view, ctx, fonts) {
  const shown = shortenText(text, 40);
  const width = textWidth(ctx, shown, fonts.title);
  let angle = edge.length > 50 ? Math.atan2(edge.ahead[1], edge.ahead[0]) : 0;
  if (angle > Math.PI / 2) angle -= Math.PI;
  if (angle <= -Math.PI / 2 + 0.01) angle += Math.PI;
  if (Math.abs(angle) > 1.2) angle = -Math.PI / 2; // upright: slightly off it looks like a mistake
  const [cos, sin] = [Math.abs(Math.cos(angle)), Math.abs(Math.sin(angle))];
  const size = [width * cos + 14 * sin, width * sin + 14 * cos];
  const tries = [0, -0.2, 0.2, -0.4, 0.4].flatMap((slide) => [10, 26, 42].map((away) => [slide, away]));
  for (const [slide, away] of tries) {
    const [ahead, out] = [slide * edge.length, edge.room + away];
    const [x, y] = [0, 1].map((k) => edge.pixel[k] + edge.ahead[k] * ahead + edge.out[k] * out);
    const box = boxInside(textBox(x, y, ...size), view.width, view.height);
    if (!others.some((other) => boxesOverlap(box, other))) return {text: shown, angle, width, ...box};
  }
  const row = view.height - 10 - 15 * others.length;
  return {text: shown, angle: 0, width, ...boxInside(textBox(view.width / 2, row, width, 14), view.width, view.height)};
}

/** Whether a number's box touches the (turned) letters of a title. */
function touchesTitle(box, title) {
  const dx = (box.left + box.right - title.left - title.right) / 2;
  const dy = (box.top + box.bottom - title.top - title.bottom) / 2;
  const [cos, sin] = [Math.cos(title.angle), Math.sin(title.angle)];
  const [wide, tall] = [box.right - box.left, box.bottom - box.top];
  const within = (d, room, a, b) => Math.abs(d) < room + (Math.abs(a) * wide + Math.abs(b) * tall) / 2;
  return within(dx * cos + dy * sin, title.width / 2, cos, sin) && within(dy * cos - dx * sin, 7, sin, cos);
}

/** Everything of the empty box: lines, numbers and titles. */
export function sceneGrid(view, layout, ctx, fonts) {
  const {box} = view;
  const back = [0, 1, 2].map((axis) => (view.toward[axis] > 0 ? box.low : box.high)[axis]);
  const longest = Math.max(...box.half);
  const most = Math.min(5, view.width / 110); // fewer where there is little room
  const ticks = [0, 1, 2].map((axis) => {
    const count = Math.max(3, Math.round((most * box.half[axis]) / longest));
    return box.empty ? [] : niceTicks(box.low[axis], box.high[axis], count);
  });
  const edges = [0, 1, 2].map((axis) => outerEdge(axis, view, back));
  const placed = edges.map((edge, axis) => placeNumbers(edge, view, edge.length > 30 ? ticks[axis] : [], ctx, fonts));
  const titles = [];
  for (const axis of [2, 0, 1]) {
    const {title} = layout?.[`${AXES[axis]}axis`] ?? {};
    const text = decodePlain(title?.text ?? title);
    if (text) titles.push(placeTitle(edges[axis], text, titles, view, ctx, fonts));
  }
  const numbers = [];
  for (const number of placed.flat()) {
    const inside = number.left >= 0 && number.top >= 0 && number.right <= view.width && number.bottom <= view.height;
    if (!inside || titles.some((title) => touchesTitle(number, title))) continue;
    if (!numbers.some((other) => boxesOverlap(number, other))) numbers.push(number);
  }
  return {lines: gridLines(view, back, ticks), numbers, titles};
}
