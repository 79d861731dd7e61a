/** Drawing on any 2-D context: lines, dots, labels that do not overlap; and a context that writes SVG. */

export const INK_FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif";
const DASH_PARTS = {
  dash: [3, 2.2], dot: [1, 1.4], dashdot: [3, 1.6, 1, 1.6], longdash: [5, 2.6], longdashdot: [5, 2, 1, 2],
};
/** Of more labels than these, some may be left out. */
const MANY_LABELS = 25;
/** Letters of a name that are drawn. */
const LABEL_LETTERS = 28;

// -- colours ----------------------------------------------------------------------------------------------------------

let inkCanvas;
const inkColors = new Map();
const inkWidths = new Map();

/** A context that only measures text and reads colours. */
function inkMeasure() {
  return (inkCanvas ??= document.createElement("canvas").getContext("2d"));
}

/** Any colour of a style sheet as [red, green, blue] from 0 to 255. */
export function colorParts(color) {
  if (!inkColors.has(color)) {
    const ctx = inkMeasure();
    ctx.fillStyle = "#888888"; // what stays where the browser cannot read the colour
    ctx.fillStyle = color;
    const read = ctx.fillStyle; // "#rrggbb", or "rgba(...)" where it is not opaque
    const hexadecimal = () => [1, 3, 5].map((k) => parseInt(read.slice(k, k + 2), 16));
    inkColors.set(color, read[0] === "#" ? hexadecimal() : read.match(/[\d.]+/g).slice(0, 3).map(Number));
  }
  return inkColors.get(color);
}

/** A share of one colour, the rest of another: on its page it looks like an opacity, but lines have clean joints. */
export function mixColors(color, other, share) {
  const [one, two] = [colorParts(color), colorParts(other)];
  const mixed = one.map((part, k) => Math.round(share * part + (1 - share) * two[k]));
  return "#" + mixed.map((part) => part.toString(16).padStart(2, "0")).join("");
}

function inkLuminance(color) {
  const [red, green, blue] = colorParts(color).map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

export function isDark(color) {
  return inkLuminance(color) < 0.2;
}

/** A colour, moved away from the page's until their contrast (as WCAG defines it) suffices. */
export function legible(color, page, contrast) {
  const ground = inkLuminance(page) + 0.05;
  for (let share = 1; share > 0.3; share -= 0.1) {
    const mixed = mixColors(color, isDark(page) ? "#ffffff" : "#000000", share);
    const light = inkLuminance(mixed) + 0.05;
    if (Math.max(light, ground) / Math.min(light, ground) >= contrast) return mixed;
  }
  return isDark(page) ? "#ffffff" : "#000000";
}

// -- marks ------------------------------------------------------------------------------------------------------------

/** The dash of a plotly name, in pixels. */
export function dashOf(name, width) {
  return (DASH_PARTS[name] ?? []).map((part) => part * Math.max(width, 2));
}

function tracePath(ctx, points) {
  ctx.beginPath();
  for (let k = 0, pen = 0; k < points.length; k += 2) {
    const [x, y] = [points[k], points[k + 1]];
    if (Number.isNaN(x) || Number.isNaN(y)) pen = 0;
    else if (pen++) ctx.lineTo(x, y);
    else {
      ctx.moveTo(x, y);
      const isAlone = !(points[k + 2] - points[k + 3] < Infinity) || (points[k + 2] === x && points[k + 3] === y);
      if (isAlone) ctx.lineTo(x + 0.01, y); // a point, or several at one place, is a dot, not nothing
    }
  }
}

/** Draw a polyline [x0, y0, x1, y1, ...] with gaps at NaN; casing: the colour of a wider line below it. */
export function drawLines(ctx, points, {color, width = 2, dash = "solid", alpha = 1, casing = null}) {
  tracePath(ctx, points);
  const parts = dashOf(dash, width);
  ctx.lineJoin = "round";
  ctx.lineCap = parts.length ? "butt" : "round";
  ctx.globalAlpha = alpha;
  ctx.lineDashOffset = 0;
  ctx.setLineDash([]);
  if (casing) {
    ctx.strokeStyle = casing;
    ctx.lineWidth = width + 3;
    ctx.stroke();
  }
  ctx.setLineDash(parts);
  ctx.strokeStyle = color;
  ctx.lineWidth = width;
  ctx.stroke();
  ctx.setLineDash([]);
  ctx.globalAlpha = 1;
}

export function fillWithOutline(ctx, color, outline, width) {
  if (outline) {
    ctx.strokeStyle = outline;
    ctx.lineWidth = 2 * width; // half of it lies below the mark
    ctx.lineJoin = "round";
    ctx.stroke();
  }
  ctx.fillStyle = color;
  ctx.fill();
}

export function drawCircle(ctx, x, y, {color, size = 8, outline = null}) {
  ctx.beginPath();
  ctx.arc(x, y, size / 2, 0, 2 * Math.PI);
  fillWithOutline(ctx, color, outline, 1.25);
}

export function drawStar(ctx, x, y, {color, size = 18, outline = null}) {
  ctx.beginPath();
  for (let k = 0; k < 10; k++) {
    const [angle, reach] = [(Math.PI * k) / 5 - Math.PI / 2, (size / 2) * (k % 2 ? 0.42 : 1)];
    ctx[k ? "lineTo" : "moveTo"](x + reach * Math.cos(angle), y + reach * Math.sin(angle));
  }
  ctx.closePath();
  fillWithOutline(ctx, color, outline, 1.5);
}

/** Draw dots at [x0, y0, x1, y1, ...], NaN left out; color: of all, or a list of one for each. */
export function drawDots(ctx, points, {color, size = 6, outline = null, alpha = 1}) {
  ctx.globalAlpha = alpha;
  for (let k = 0; k < points.length; k += 2) {
    if (Number.isNaN(points[k]) || Number.isNaN(points[k + 1])) continue;
    drawCircle(ctx, points[k], points[k + 1], {color: typeof color === "string" ? color : color[k / 2], size, outline});
  }
  ctx.globalAlpha = 1;
}

// -- labels -----------------------------------------------------------------------------------------------------------

/** A text of at most so many letters: its beginning and its end, where names differ. */
export function shortenText(text, most = LABEL_LETTERS) {
  const letters = Array.from(String(text).slice(0, 2000));
  const end = Math.floor((most - 1) / 2);
  if (letters.length <= most) return letters.join("");
  return [...letters.slice(0, most - 1 - end), "…", ...letters.slice(-end)].join("");
}

/** How much larger than its own pixels an element is on the page. */
export const zoomOf = (node) => node.getBoundingClientRect().width / node.offsetWidth || 1;

export function fontSize(font) {
  return parseFloat(/([\d.]+)px/.exec(font)?.[1] ?? "12");
}

export function textWidth(ctx, text, font) {
  const key = `${font}|${text}`;
  if (!inkWidths.has(key)) {
    if (inkWidths.size > 5000) inkWidths.clear();
    ctx.font = font;
    inkWidths.set(key, ctx.measureText(text).width);
  }
  return inkWidths.get(key);
}

export function boxesOverlap(one, two) {
  return one.left < two.right && two.left < one.right && one.top < two.bottom && two.top < one.bottom;
}

/** Around a point: how far a label keeps from it, and in which of 12 directions. */
const LABEL_GAPS = [6, 13, 22, 34, 48, 64, 84];
/** How far from its point a label goes so as to lie on no line. */
const FARTHEST_LABEL = 170;
const LABEL_DIRECTIONS = Array.from({length: 12}, (_, k) => [Math.cos((Math.PI * k) / 6), Math.sin((Math.PI * k) / 6)]);
const LABEL_SIDES = {right: [9, 0], left: [-9, 0], above: [0, -9], below: [0, 9]};

/** The nearest free place beside a point, outwards from the middle of all: [left, top, direction] or null. */
function placeBeside(label, width, height, isFree, [outX, outY]) {
  const rated = LABEL_DIRECTIONS.map(([dx, dy], k) => {
    const stays = k === label.direction ? 2 : 0; // what moves shall not jump from side to side
    return [dx * outX + dy * outY + 0.35 * Math.abs(dx) + stays, dx, dy, k];
  });
  rated.sort((one, two) => two[0] - one[0]);
  for (const gap of LABEL_GAPS) {
    for (const [, dx, dy, direction] of rated) {
      const left = label.x + dx * (gap + width / 2) - width / 2;
      const top = label.y + dy * (gap + height / 2) - height / 2;
      if (isFree(left, top)) return [left, top, direction];
    }
  }
  return null;
}

/** The free place of the whole canvas that is nearest to a point, no farther from it than `most`. */
function placeAnywhere(label, width, height, isFree, canvasWidth, canvasHeight, most = Infinity) {
  let [best, least] = [null, most];
  for (let top = 2; top + height <= canvasHeight - 2; top += height / 2) {
    for (let left = 2; left + width <= canvasWidth - 2; left += 16) {
      const distance = Math.hypot(left + width / 2 - label.x, top + height / 2 - label.y);
      if (distance < least && isFree(left, top)) [best, least] = [[left, top], distance];
    }
  }
  return best;
}

/** Whether a box of this size overlaps none of the boxes [left, top, right, bottom, left, ...], as a function. */
function clearOf(boxes, width, height) {
  return (left, top) => {
    for (let k = 0; k < boxes.length; k += 4) {
      if (left >= boxes[k + 2] || boxes[k] >= left + width) continue;
      if (top < boxes[k + 3] && boxes[k + 1] < top + height) return false;
    }
    return true;
  };
}

/** Pixels of a cell of an `inkMap`. */
const INK_CELL = 6;

/** Where lines run: `add` takes the pixels of one, `isClear` tells whether a box is clear of all of them. */
export function inkMap(width, height) {
  const [wide, tall] = [Math.ceil(width / INK_CELL), Math.ceil(height / INK_CELL)];
  const cells = new Uint8Array(wide * tall);
  const cellOf = (value, most) => Math.min(most - 1, Math.max(0, Math.floor(value / INK_CELL)));
  const mark = (x, y) => x >= 0 && y >= 0 && x < width && y < height && (cells[cellOf(y, tall) * wide + cellOf(x, wide)] = 1);
  const add = (pixels) => {
    for (let k = 0; k + 3 < pixels.length; k += 2) {
      const [x, y, dx, dy] = [pixels[k], pixels[k + 1], pixels[k + 2] - pixels[k], pixels[k + 3] - pixels[k + 1]];
      const steps = Math.min(1000, Math.ceil((2 * Math.max(Math.abs(dx), Math.abs(dy))) / INK_CELL));
      for (let step = 0; step <= steps; step++) mark(x + (dx * step) / (steps || 1), y + (dy * step) / (steps || 1));
    }
  };
  const isClear = (left, top, right, bottom) => {
    const [from, to] = [cellOf(left, wide), cellOf(right, wide)];
    for (let row = cellOf(top, tall); row <= cellOf(bottom, tall); row++) {
      if (cells.subarray(row * wide + from, row * wide + to + 1).includes(1)) return false;
    }
    return true;
  };
  return {add, isClear};
}

/**
 * Places near their points for labels {x, y, text, color, font, priority, anchor}, so that none overlaps another or
 * an obstacle {left, top, right, bottom} and all lie inside the canvas. anchor: the side to try first (right, left,
 * above, below); direction: where the label stood before, of those returned. ink: an `inkMap` of lines that labels keep
 * off, if there is room elsewhere. Returned: the labels with their box, in order of priority; `text` shortened, `full`
 * as it was.
 */
export function placeLabels(labels, width, height, obstacles = [], ctx = inkMeasure(), ink = null) {
  const shown = labels.filter(({x, y}) => x >= 0 && y >= 0 && x <= width && y <= height);
  const middle = [0, 1].map((k) => shown.reduce((sum, {x, y}) => sum + (k ? y : x), 0) / Math.max(1, shown.length));
  const avoided = obstacles.flatMap(({left, top, right, bottom}) => [left, top, right, bottom]);
  for (const {x, y} of shown) avoided.push(x - 4, y - 4, x + 4, y + 4);
  const [letters, placed] = [[], []];
  const ranked = shown.map((label, place) => ({label, place}));
  ranked.sort((one, two) => (two.label.priority ?? 0) - (one.label.priority ?? 0) || one.place - two.place);
  for (const {label} of ranked) {
    const [text, font] = [shortenText(label.text), label.font ?? `12px ${INK_FONT}`];
    const [wide, tall] = [textWidth(ctx, text, font) + 4, Math.ceil(1.25 * fontSize(font))];
    const [apart, around] = [clearOf(letters, wide, tall), clearOf(avoided, wide, tall)];
    const inside = (left, top) => left >= 2 && top >= 2 && left + wide <= width - 2 && top + tall <= height - 2;
    const free = (left, top) => inside(left, top) && apart(left, top) && around(left, top);
    const away = [label.x - middle[0], label.y - middle[1]];
    const length = Math.hypot(...away) || 1;
    const outwards = LABEL_SIDES[label.anchor] ?? away.map((part) => part / length);
    const offLines = (left, top) => free(left, top) && ink.isClear(left, top, left + wide, top + tall);
    let at = ink && placeBeside(label, wide, tall, offLines, outwards);
    if (ink && !at && shown.length <= MANY_LABELS) at = placeAnywhere(label, wide, tall, offLines, width, height, FARTHEST_LABEL);
    at ??= placeBeside(label, wide, tall, free, outwards);
    if (!at && shown.length <= MANY_LABELS) {
      at = placeAnywhere(label, wide, tall, free, width, height);
      at ??= placeAnywhere(label, wide, tall, apart, width, height);
    }
    if (!at) continue;
    const box = {left: at[0], top: at[1], right: at[0] + wide, bottom: at[1] + tall};
    letters.push(box.left, box.top, box.right, box.bottom);
    placed.push({...label, ...box, text, font, full: String(label.text), direction: at[2]});
  }
  return placed;
}

/** Draw labels that have places: a leader line where the text stands off its point, a halo of the page's colour. */
export function drawLabels(ctx, placed, {halo}) {
  for (const {x, y, left, right, top, bottom, color} of placed) {
    const [toX, toY] = [Math.min(Math.max(x, left), right), Math.min(Math.max(y, top), bottom)];
    if (Math.hypot(toX - x, toY - y) < 14) continue;
    drawLines(ctx, [x, y, toX, toY], {color, width: 0.75, alpha: 0.6});
  }
  for (const {text, font, color, left, right, top, bottom} of placed) {
    drawText(ctx, text, (left + right) / 2, (top + bottom) / 2, {font, color, halo});
  }
}

/** Draw one centred text, turned by an angle. */
export function drawText(ctx, text, x, y, {font, color, halo, angle = 0}) {
  ctx.save();
  ctx.translate(x, y);
  if (angle) ctx.rotate(angle);
  Object.assign(ctx, {font, textAlign: "center", fillStyle: color});
  const down = 0.35 * fontSize(font); // from the middle of the letters to their base line
  if (halo) {
    Object.assign(ctx, {lineJoin: "round", lineWidth: 3.5, strokeStyle: halo});
    ctx.strokeText(text, 0, down);
  }
  ctx.fillText(text, 0, down);
  ctx.restore();
}

// -- vector graphics --------------------------------------------------------------------------------------------------

const SVG_STATE = {
  ...{strokeStyle: "#000", fillStyle: "#000", lineWidth: 1, lineCap: "butt", lineJoin: "miter", lineDashOffset: 0},
  ...{globalAlpha: 1, font: "10px sans-serif", textAlign: "start", dash: "", moved: ""},
};

/** What XML reads as this text, letter by letter; letters that XML does not know are left out. */
export function escapeXml(text) {
  const known = String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu, "");
  return known.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

const svgNumber = (value) => String(Math.round(value * 100) / 100);

/** The part of a canvas' 2-D context that this module uses; it writes SVG. `body`: the marks without the document. */
export class SvgContext {
  constructor(width, height, background = null) {
    Object.assign(this, SVG_STATE, {width, height, background, marks: [], path: "", kept: []});
  }
  save() {
    this.kept.push(Object.fromEntries(Object.keys(SVG_STATE).map((name) => [name, this[name]])));
  }
  restore() {
    Object.assign(this, this.kept.pop());
  }
  translate(x, y) {
    this.moved += ` translate(${svgNumber(x)} ${svgNumber(y)})`;
  }
  rotate(angle) {
    this.moved += ` rotate(${svgNumber((angle * 180) / Math.PI)})`;
  }
  setLineDash(parts) {
    this.dash = parts.map(svgNumber).join(" ");
  }
  measureText(text) {
    const ctx = inkMeasure();
    ctx.font = this.font;
    return ctx.measureText(text);
  }
  beginPath() {
    this.path = "";
  }
  moveTo(x, y) {
    this.path += `M${svgNumber(x)} ${svgNumber(y)}`;
  }
  lineTo(x, y) {
    this.path += `L${svgNumber(x)} ${svgNumber(y)}`;
  }
  closePath() {
    this.path += "Z";
  }
  /** A whole circle; arcs of a part are not needed here. */
  arc(x, y, radius) {
    const [from, to, r] = [svgNumber(x - radius), svgNumber(x + radius), svgNumber(radius)];
    const half = (end) => `A${r} ${r} 0 1 1 ${end} ${svgNumber(y)}`;
    this.path += `M${from} ${svgNumber(y)}${half(to)}${half(from)}Z`;
  }
  fill() {
    this.#write("path", {d: this.path, fill: this.fillStyle});
  }
  stroke() {
    this.#write("path", {d: this.path, ...this.#pen()});
  }
  fillText(text, x, y) {
    this.#write("text", {...this.#letters(x, y), fill: this.fillStyle}, text);
  }
  strokeText(text, x, y) {
    this.#write("text", {...this.#letters(x, y), ...this.#pen()}, text);
  }
  get body() {
    return this.marks.join("\n");
  }
  toString(body = this.body) {
    const size = `width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}"`;
    const page = this.background ? `<rect width="100%" height="100%" fill="${escapeXml(this.background)}"/>\n` : "";
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>\n${page}${body}\n</svg>\n`;
  }
  #pen() {
    const dash = this.dash && {"stroke-dasharray": this.dash, "stroke-dashoffset": svgNumber(this.lineDashOffset)};
    const ends = {"stroke-linecap": this.lineCap, "stroke-linejoin": this.lineJoin};
    return {fill: "none", stroke: this.strokeStyle, "stroke-width": svgNumber(this.lineWidth), ...ends, ...dash};
  }
  #letters(x, y) {
    const [, weight, size, family] = /^(?:(\S+) )?([\d.]+px) (.*)$/.exec(this.font);
    const anchor = {center: "middle", right: "end"}[this.textAlign] ?? "start";
    const font = {"font-family": family, "font-size": size, ...(weight && {"font-weight": weight})};
    return {x: svgNumber(x), y: svgNumber(y), "text-anchor": anchor, ...font};
  }
  #write(tag, attributes, text = "") {
    if (this.globalAlpha < 1) attributes.opacity = svgNumber(this.globalAlpha);
    if (this.moved) attributes.transform = this.moved.trim();
    const written = Object.entries(attributes).map(([name, value]) => `${name}="${escapeXml(value)}"`);
    this.marks.push(`<${tag} ${written.join(" ")}>${escapeXml(text)}</${tag}>`);
  }
}
