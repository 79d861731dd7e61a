// One sentence on what a figure shows; the twin of views/summary.py, word for word.
import { applies, formatted } from "./fill.js";
import { count, general, percent } from "./tables.js";

// clauses: of the view; tables: of the present choices; texts: of these.
export function summaryOf(clauses, tables, choices, texts) {
  const said = clauses.filter(({ when }) => applies(when, choices)).map((clause) => clauseOf(clause, tables, texts));
  const sentence = said.filter(Boolean).join("; ");
  return sentence && `${sentence}.`;
}

function clauseOf(clause, tables, texts) {
  try {
    return formatted(clause.text, { ...texts, ...factsOf(clause, tables, texts) });
  } catch (error) {
    if (error.needs || error.constructor === Error) return ""; // not measured, or no predictions
    throw error;
  }
}

function factsOf({ table: name, column, rows, take }, tables, texts) {
  if (!name) return { curves: plural(tables.shown().length, "curve"), runs: plural(new Set(tables.run).size, "run") };
  const table = tables.get(name);
  const values = table.column(formatted(column, texts));
  if (rows.length) {
    const value = rows.map((row) => values[Number(formatted(row, texts)) - 1] ?? 0).reduce((sum, one) => sum + one, 0);
    return { value: general(value, 3), percent: percent(value) };
  }
  const place = placeOfExtreme(table.curve, values, take);
  return { curve: tables.data.about.curves[table.curve[place]].label, value: general(values[place], 3), percent: percent(values[place]) };
}

// Where a column is highest or lowest: of all rows, or of the last one of each curve; the first of equals.
function placeOfExtreme(curve, values, take) {
  const places = values.map((_, place) => place).filter((place) => Number.isFinite(values[place]));
  const considered = take.endsWith("end") ? places.filter((place) => curve[place + 1] !== curve[place]) : places;
  if (!considered.length) throw new Error("there is nothing to tell");
  const isBetter = take.startsWith("highest") ? (one, other) => one > other : (one, other) => one < other;
  return considered.reduce((best, place) => (isBetter(values[place], values[best]) ? place : best));
}

const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
