// Keeping and sharing: the header of the page, the menu of a card, pictures, numbers, code, one file, a film.
import { toPython, toQuery } from "./choices.js";
import { el } from "./controls.js";
import { columnsOf, openNumbers } from "./numbers.js";

export function header(stage) {
  const { about } = stage.data;
  const theme = el("button", {
    textContent: "◐",
    title: "light or dark, at first as the system has it",
    "aria-label": "light or dark",
    "data-control": "theme",
    onclick: () => {
      stage.retheme(stage.wanted === "system" ? (stage.theme.dark ? "light" : "dark") : "system");
      theme.title = `colours: ${stage.wanted}`;
    },
  });
  const present = el("button", {
    textContent: "Present",
    title: "a lecture: one card fills the screen (P begins it, Escape ends it)",
    "data-control": "present",
    onclick: () => stage.lecture.toggle(),
  });
  const others = about.others?.length
    ? el(
        "select",
        {
          "aria-label": "dataset",
          "data-control": "dataset",
          className: "name",
          onchange: (event) => location.assign(event.target.value),
        },
        ...about.others.map(({ title, address, current }) => el("option", { value: address, textContent: title, selected: current })),
      )
    : el("span", { className: "name", textContent: about.title, title: about.title });
  return el(
    "header",
    {},
    el(stage.host.address ? "h1" : "b", { className: "mark", textContent: "predspace" }),
    others,
    el("span", { className: "summary", textContent: about.summary, title: about.summary }),
    el("span", { className: "space" }),
    menu("Share", "share", shareItems(stage)),
    present,
    theme,
  );
}

// Buttons under a summary; a native disclosure, so the keyboard has it too.
function menu(text, name, items) {
  const body = el("div", { className: "items" });
  const details = el(
    "details",
    { className: "menu", "data-control": name },
    el("summary", { textContent: text, "aria-label": name, title: name }),
    body,
  );
  for (const [label, act] of items.filter(Boolean)) {
    const button = el("button", { textContent: label });
    button.addEventListener("click", () => {
      details.open = false;
      details.querySelector("summary").focus(); // before a dialog opens, which gives the focus back to it
      act();
    });
    body.append(button);
  }
  details.addEventListener("keydown", (event) => menuKey(details, event));
  details.addEventListener("focusout", (event) => {
    if (!details.contains(event.relatedTarget)) details.open = false;
  });
  return details;
}

// Escape closes it, and nothing else, and gives the focus back; arrows go from item to item.
export function menuKey(details, event) {
  if (!details.open) return;
  const summary = details.querySelector("summary");
  const items = [...details.querySelectorAll(".items button")];
  const place = items.indexOf(details.getRootNode().activeElement);
  if (event.key === "Escape") {
    details.open = false;
    summary.focus();
    event.stopPropagation();
  } else if (["ArrowDown", "ArrowUp"].includes(event.key) && !event.target.closest("select, input")) {
    event.preventDefault();
    items.at((place + (event.key === "ArrowDown" ? 1 : place < 0 ? 0 : -1)) % items.length).focus();
  }
}

function shareItems(stage) {
  return [
    stage.host.address && ["Copy link", () => copy(stage, linkOf(stage), "the link")],
    ["Copy as Python", () => copy(stage, codeOf(stage, stage.cards[0].view.name), "the Python lines")],
    stage.host.save && ["Save as one file", () => saveFile(stage)],
    ["Download scenes (YAML)", () => stage.lecture.save()],
    canRecord() && ["Record a film of play", () => film(stage)],
  ];
}

export function cardMenu(stage, card) {
  const name = card.view.name;
  const saveNumbers = () => attempt(stage, () => download(csv(stage.result(name)), `${fileName(stage, name)}.csv`));
  return menu("⋯", `${name} menu`, [
    ["Table", () => attempt(stage, () => openNumbers(stage, card, saveNumbers))],
    ["Picture (PNG)", () => attempt(stage, async () => download(await png(card), `${fileName(stage, name)}.png`))],
    ["Drawing (SVG)", () => attempt(stage, async () => download(await svg(card), `${fileName(stage, name)}.svg`))],
    ["Numbers (CSV)", saveNumbers],
    ["Copy as Python", () => copy(stage, codeOf(stage, name), "the Python lines")],
    ["Add as a scene", () => stage.lecture.ask(card)],
    ["Larger / smaller", () => card.enlarge()],
  ]);
}

async function attempt(stage, act) {
  try {
    await act();
  } catch (error) {
    stage.say(`This cannot be done: ${error.message}`, true);
  }
}

export const codeOf = (stage, view) => toPython(stage.data.about.source, stage.choices.lasting(), view);

function linkOf(stage) {
  const query = toQuery(stage.choices.lasting());
  return `${location.origin}${location.pathname}${query ? `?${query}` : ""}`;
}

async function copy(stage, text, what) {
  try {
    await navigator.clipboard.writeText(text);
    stage.say(`Copied: ${what}.`);
  } catch {
    // Without permission, or outside of a secure page: the text is shown, to be copied by hand.
    const area = el("textarea", { value: text, readOnly: true, rows: 6, "aria-label": what });
    stage.notice.replaceChildren(`Copy ${what}: `, area);
    stage.notice.hidden = false;
    area.select();
  }
}

// -- files ----------------------------------------------------------------------------------------------------------

// The dataset's title, the view and what is shown, in letters that every file system takes.
function fileName(stage, view) {
  const { about } = stage.data;
  const { curves, epochs } = stage.choices.now;
  const parts = [about.title, view];
  if (curves.length < about.curves.length) parts.push(curves.length === 1 ? curves[0] : `${curves.length} curves`);
  if (String(epochs) !== String(stage.choices.defaults.epochs)) parts.push(`epochs ${epochs.join(" to ")}`);
  return parts.join(" ").replace(/[^\p{L}\p{N}.]+/gu, "-").replace(/^[-.]+|-+$/g, "").slice(0, 120);
}

export function download(content, name) {
  const blob = content instanceof Blob ? content : new Blob([content], { type: "text/plain;charset=utf-8" });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const SCALE = 2;

async function png(card) {
  if (card.kind === "scene") return card.chart.png(SCALE);
  return (await fetch(await image(card, "png"))).blob();
}

async function svg(card) {
  const { clientWidth: width, clientHeight: height } = card.drawing;
  if (card.kind === "scene") return new Blob([card.chart.svg(width, height)], { type: "image/svg+xml" });
  return new Blob([decodeURIComponent((await image(card, "svg")).replace(/^data:image\/svg\+xml,/, ""))], { type: "image/svg+xml" });
}

// By plotly, everything in the light of day; room to the right for names at the ends of curves.
async function image(card, format) {
  if (!card.figure) throw new Error("there is no picture");
  const { clientWidth: width, clientHeight: height } = card.drawing;
  const plotly = await card.stage.host.plotly();
  return plotly.toImage({ data: card.figure.data, layout: card.figure.layout }, { format, width, height, scale: format === "png" ? SCALE : 1 });
}

// One line a row; what is one number an axis, or an array a row, has its own columns or is left to Python.
export function csv(result) {
  const names = columnsOf(result);
  const cell = (value) => {
    const text = value === null || Number.isNaN(value) ? "" : String(value);
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // spreadsheets run formulas
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = result[names[0]].map((_, n) => names.map((name) => cell(result[name][n])).join(","));
  return [names.map(cell).join(","), ...lines, ""].join("\r\n");
}

async function saveFile(stage) {
  stage.say("Writing one file …");
  await attempt(stage, async () => {
    const bytes = await stage.host.save(stage.choices.lasting(), stage.lecture.scenes);
    download(new Blob([bytes], { type: "text/html" }), `${fileName(stage, "explorer")}.html`);
    stage.say("Saved: one file that works from a disk, without Python and without a network.");
  });
}

// -- a film ---------------------------------------------------------------------------------------------------------

const canRecord = () => typeof MediaRecorder === "function" && MediaRecorder.isTypeSupported("video/webm");

async function film(stage) {
  const card = stage.cards[0];
  if (card.kind !== "scene") return stage.say("A film needs the picture in 3-D.");
  const recorder = new MediaRecorder(card.chart.stream().captureStream(30), { mimeType: "video/webm" });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  recorder.onstop = () => {
    card.chart.stopStream?.();
    download(new Blob(parts, { type: "video/webm" }), `${fileName(stage, "play")}.webm`);
    stage.say("Saved: a film of play.");
  };
  stage.say("Recording: play runs once from the beginning to the end.");
  stage.set({ time: null });
  recorder.start();
  stage.play(true); // a film was asked for, whatever else may move
  while (stage.isPlaying()) await new Promise((done) => setTimeout(done, 100));
  await new Promise((done) => setTimeout(done, 500)); // the last picture stays for a moment
  recorder.stop();
}
