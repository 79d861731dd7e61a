// The numbers behind a figure as a table, in a dialog: the very ones that Python's explorer.data(view) gives.
import { el } from "./controls.js";
import { decodePlain } from "./space.js";
import { freshId } from "./tabs.js";
import { count, general } from "./tables.js";

const MOST_ROWS = 200;
const DIGITS = 6;

// Columns of a result that have one number a row; what is one number an axis, or an array a row, is left to Python.
export function columnsOf(result) {
  if (!result) throw new Error("there are no numbers yet");
  return Object.keys(result).filter((name) => !["embedding", "eigenvalue", "explained_stress"].includes(name) || !result.embedding);
}

// Of each checkpoint the short name of its curve, beside the long names that tell it.
function withCurve(stage, result) {
  if (!result?.row) return result;
  const { curve } = stage.data.arrays;
  return { ...result, curve: Array.from(result.row, (row) => decodePlain(stage.data.about.curves[curve[row]].short)) };
}

// What names a row and is short comes first, what is long comes last.
function inReadingOrder(names) {
  if (!names.includes("row")) return names;
  const [first, last] = [["curve", "seed", "epoch"], ["row", "run"]];
  const between = names.filter((name) => ![...first, ...last].includes(name));
  return [...first.filter((name) => names.includes(name)), ...between, ...last];
}

// save: writes all rows as a CSV file.
export function openNumbers(stage, card, save) {
  const { view } = card;
  const result = withCurve(stage, stage.result(view.name));
  const names = inReadingOrder(columnsOf(result));
  const n = result[names[0]].length;
  const shown = Math.min(n, MOST_ROWS);
  const id = freshId("numbers");
  const dialog = el("dialog", { className: "numbers", "aria-labelledby": id });
  const look = (row) => {
    dialog.close();
    stage.set({ selected: [row] });
  };
  const canLook = Boolean(result.row) && stage.cards.some((other) => other.view.deck === "selected");
  const head = el("tr", {}, ...names.map((name) => el("th", { scope: "col", textContent: name })), canLook ? el("th", { scope: "col", textContent: "look" }) : null);
  const rows = Array.from({ length: shown }, (_, place) => rowOf(result, names, place, canLook ? look : null));
  const table = el("table", {}, el("caption", { textContent: card.summary }), el("thead", {}, head), el("tbody", {}, ...rows));
  const more = n > shown ? `The first ${count(shown)} of ${count(n)} rows, to ${DIGITS} digits; the CSV file has all.` : `${count(n)} rows, to ${DIGITS} digits.`;
  const bar = el(
    "div",
    { className: "heading" },
    el("h2", { id, textContent: `${view.title}: numbers` }),
    el("button", { textContent: "CSV", title: "save all rows, with all digits", onclick: save }),
    el("button", { textContent: "Close", onclick: () => dialog.close() }),
  );
  dialog.append(bar, el("p", { className: "words", textContent: more }), el("div", { className: "scrolls", role: "region", "aria-labelledby": id, tabIndex: 0 }, table));
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // Escape closes the dialog, and no more
  dialog.addEventListener("close", () => dialog.remove());
  stage.body.append(dialog);
  dialog.showModal(); // where it closes, the browser gives the focus back
  return dialog;
}

function rowOf(result, names, place, look) {
  const cells = names.map((name, column) => {
    const text = cellText(result[name][place]);
    return column ? el("td", { textContent: text }) : el("th", { scope: "row", textContent: text });
  });
  if (look) {
    const label = `look into ${result.run[place]}, row ${result.row[place]}`;
    cells.push(el("td", {}, el("button", { className: "link", textContent: "look", "aria-label": label, onclick: () => look(result.row[place]) })));
  }
  return el("tr", {}, ...cells);
}

function cellText(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  return typeof value === "number" ? general(value, DIGITS) : String(value);
}
