// A plotly figure of marks; the twin of views/marks.py.
import { placesByName } from "./tables.js";

// What kind of thing colours the checkpoints, beside the choices: attributes of runs are known with the dataset only.
export function withColoring(choices, about) {
  const numbers = about.attributes[choices.color_by]?.numbers;
  return { ...choices, coloring: choices.color_by === "curve" ? "curve" : numbers === null ? "text" : "number" };
}

export const applies = (when, choices) => Object.entries(when).every(([name, values]) => values.includes(choices[name]));

// Of a view of checkpoints. With onlyOver, what moves with the time alone.
export function fill(view, tables, choices, onlyOver = false) {
  const texts = textsOf(choices);
  choices = withColoring(choices, tables.data.about);
  const data = [];
  const labels = {};
  for (const mark of view.marks) {
    if (!applies(mark.when, choices) || (onlyOver && !mark.over)) continue;
    const table = tables.get(mark.table);
    const place = Object.fromEntries(Object.entries(mark.place).map(([to, column]) => [to, formatted(column, texts)]));
    for (const [curve, members] of membersOf(table, mark.each)) {
      const tokens = tokensOf(tables.data.about.curves[curve]);
      if (mark.kind === "label") {
        const where = "z" in place ? "scene" : "";
        (labels[where] ??= []).push(...annotations(mark, table, place, members, tokens));
      } else {
        data.push(trace(mark, table, place, texts, curve, members, described(mark.trace, texts, tokens, tables)));
      }
    }
  }
  if (onlyOver) return { data, annotations: Object.values(labels).flat() };
  const { layout } = view.layouts.find(({ when }) => applies(when, choices));
  const filled = described(layout, texts, {}, tables);
  for (const [where, list] of Object.entries(labels)) (where ? filled[where] : filled).annotations = list;
  return { data, layout: filled };
}

export function textsOf(choices) {
  const { color_by: by } = choices;
  const columns = { curve: "curve", accuracy: "accuracy", epoch: "log epoch", progress: `progress ${choices.progress_metric}` };
  return { ...choices, color: Object.hasOwn(columns, by) ? columns[by] : `attribute ${by}` };
}

export const formatted = (text, texts) => text.replace(/\{(\w+)\}/g, (_, name) => texts[name]);

function membersOf(table, each) {
  const all = Array.from(table.rows, (_, place) => place);
  if (!each || table.curve === null) return all.length ? [[-1, all]] : [];
  return [...placesByName(table.curve)].sort(([one], [other]) => one - other);
}

function tokensOf(curve) {
  if (!curve) return {};
  const { color, faint, pale, dash, name } = curve;
  return { "@color": color, "@faint": faint, "@pale": pale, "@dash": dash, "@name": name };
}

function described(part, texts, tokens, tables) {
  if (typeof part === "string") return tokens[part] ?? part;
  if (Array.isArray(part)) return part.map((value) => described(value, texts, tokens, tables));
  if (part === null || typeof part !== "object") return part;
  const { column, ...rest } = part;
  const filled = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, described(value, texts, tokens, tables)]));
  if (column === undefined) return filled;
  const info = tables.info(formatted(column, texts));
  if ("colorscale" in part) {
    const title = { ...filled.colorbar.title, text: info.title };
    const { colorscale = filled.colorscale, low: cmin, high: cmax } = info;
    return { ...filled, colorbar: { ...filled.colorbar, ...info.ticks, title }, colorscale, cmin, cmax };
  }
  const range = info.range ? { range: info.range } : {};
  return { ...filled, ...info.ticks, ...range, title: { ...filled.title, text: info.title } };
}

function trace(mark, table, place, texts, curve, members, filled) {
  const order = table.line ? withGaps(members, table.line) : members;
  const picked = (name, gap) => {
    const values = table.column(name);
    const left = typeof values[0] === "string" ? values.at(-1) : gap; // of names, NaN would be one more
    return order.map((member) => (member < 0 ? left : values[member]));
  };
  let columns = Object.fromEntries(Object.entries(place).map(([to, name]) => [to, picked(name, NaN)]));
  if (mark.kind === "band") {
    const { x, low, high } = columns;
    columns = { x: [...x, ...x.toReversed()], y: [...high, ...low.toReversed()] };
  }
  for (const [to, values] of Object.entries(columns)) {
    const path = to.split(".");
    const name = path.pop();
    path.reduce((target, key) => target[key], filled)[name] = values;
  }
  if (mark.hover.length) {
    const hover = mark.hover.map((name) => picked(formatted(name, texts), 0));
    filled.customdata = order.map((_, n) => hover.map((values) => values[n]));
  }
  const rows = order.map((member) => (member < 0 ? -1 : table.rows[member]));
  filled.meta = { role: mark.role, curve, rows, over: mark.over };
  return filled;
}

function withGaps(members, line) {
  const lines = placesByName(members.map((member) => line[member]));
  return [...lines.values()].flatMap((places) => [...places.map((place) => members[place]), -1]);
}

function annotations(mark, table, place, members, tokens) {
  const at = Object.entries(place).filter(([to]) => to !== "text");
  return members.map((member) => ({
    ...described(mark.trace, {}, tokens, null),
    text: String(place.text ? table.column(place.text)[member] : mark.trace.text),
    ...Object.fromEntries(at.map(([to, name]) => [to, table.column(name)[member]])),
    name: mark.role,
  }));
}
