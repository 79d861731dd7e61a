// The lecture: one card fills the screen, in type for the back row. Scenes are settings with a sentence each; without
// scenes the card is there with its controls.
import { el, swatch, timeAt } from "./controls.js";
import { wantsStillness } from "./motion.js";
import { download } from "./sharing.js";
import { themed } from "./theme.js";

// A page of this size is shown enlarged: its smallest letters have 26 pixels on a screen of 1920 by 1080, and 18 on one
// of 1280 by 720.
const PAGE = { width: 960, height: 540 };
const LEAST_ZOOM = 1.4;
export const LEAST_LETTERS = 13;
const LONGEST_TEXT = 400; // explorers/scenes.py: LONGEST
const MOST_NAMES = 14; // of curves, below the title of a card

const FIELDS = "input:not([type=range]), textarea, select, [contenteditable]";

export class Lecture {
  constructor(stage) {
    Object.assign(this, { stage, scenes: [...(stage.whole.about.scenes ?? [])], at: 0, card: null });
    this.gone = new AbortController();
    const { signal } = this.gone;
    // On a page of its own keys are meant for the stage wherever the focus is.
    if (stage.host.address) document.addEventListener("keydown", (event) => event.target === document.body && this.key(event), { signal });
    stage.root.addEventListener("fullscreenchange", () => stage.root.getRootNode().fullscreenElement || this.leave(), { signal });
  }

  destroy() {
    this.gone.abort();
    this.sized?.disconnect();
  }

  get on() {
    return this.card !== null;
  }

  // Whether scenes say what is chosen: nobody else need be told.
  get leads() {
    return this.on && this.scenes.length > 0;
  }

  // What it adds to a page that is built; a lecture that was on before goes on there.
  build() {
    const button = (textContent, name, title, onclick) => el("button", { textContent, title, onclick, "aria-label": name, "data-control": name });
    this.title = el("h1");
    this.count = el("output");
    this.back = button("‹", "scene back", "the scene before (←, Page Up)", () => this.go(this.at - 1));
    this.next = button("›", "scene next", "the next scene (→, space, Page Down)", () => this.go(this.at + 1));
    const leave = button("×", "leave the lecture", "back to the page (Escape)", () => this.leave());
    const steps = el("nav", { "aria-label": "scenes" }, this.back, this.count, this.next, leave);
    this.say = el("p", { role: "status" });
    this.names = el("p", { className: "names" });
    return el("section", { className: "lecture" }, this.title, steps, this.say);
  }

  built() {
    const { body } = this.stage;
    body.addEventListener("keydown", (event) => this.key(event), { capture: true });
    // After a click the keys are for the scenes again, not for the button, the slider or the picture.
    body.addEventListener("pointerup", () => {
      const { activeElement } = body.getRootNode();
      if (this.leads && activeElement?.matches("button, input, canvas")) this.hear();
    });
    this.sized?.disconnect();
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(body);
    if (this.on) this.begin(this.stage.cards.find(({ view }) => view.name === this.card.view.name));
  }

  resize() {
    const { clientWidth, clientHeight } = this.stage.body;
    const zoom = this.on ? Math.max(LEAST_ZOOM, Math.min(clientWidth / PAGE.width, clientHeight / PAGE.height)) : LEAST_ZOOM;
    this.stage.body.style.setProperty("--zoom", zoom.toFixed(3));
  }

  // -- keys ---------------------------------------------------------------------------------------------------------

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.composedPath()[0];
    if (target.closest?.("dialog, details[open]")) return; // what is open closes first
    const act = target.matches?.(FIELDS) ? null : this.actOf(event, target);
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  // What a key does. A slider keeps its keys, a picture Home, and a button its space; with Shift, arrows turn the picture.
  actOf({ key, shiftKey }, target) {
    const is = (selector) => target.matches?.(selector);
    if (key === "p" || key === "P") return () => this.toggle();
    if (!this.on) return null;
    if (key === "Escape") return () => this.leave();
    if (!this.leads) return null;
    if (shiftKey) return key.startsWith("Arrow") && !is("canvas, input") ? () => this.turn(key) : null;
    if (key === "PageDown" || (key === "ArrowRight" && !is("input")) || (key === " " && !is("button, summary"))) return () => this.go(this.at + 1);
    if (key === "PageUp" || (key === "ArrowLeft" && !is("input"))) return () => this.go(this.at - 1);
    if (["Home", "End"].includes(key) && !is("canvas, input")) return () => this.go(key === "Home" ? 0 : this.scenes.length - 1);
    return /^[1-9]$/.test(key) && key <= this.scenes.length ? () => this.go(Number(key) - 1) : null;
  }

  turn(key) {
    this.card.drawing.querySelector("canvas[tabindex]")?.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey: true }));
  }

  // -- on and off ---------------------------------------------------------------------------------------------------

  toggle() {
    if (this.on) return this.leave();
    this.enter();
    this.hear();
  }

  // What had the focus is hidden now, or keeps keys for itself; outside the stage keys are those of the notebook.
  hear() {
    this.stage.body.focus({ preventScroll: true });
  }

  // Fills the screen where the browser lets it, else the page, or its place in a notebook.
  enter() {
    const { stage } = this;
    if (this.on || !stage.cards.length) return;
    this.before = this.scenes.length ? stage.choices.settings() : null;
    // At the start of a page nobody has pressed anything yet, and the browser would refuse it.
    if (navigator.userActivation?.isActive ?? true) stage.root.requestFullscreen?.().catch(() => {});
    this.begin(stage.cards.find(({ node }) => node.classList.contains("whole")) ?? stage.cards[0]);
  }

  begin(card) {
    const { stage } = this;
    stage.body.classList.add("presenting");
    stage.body.classList.toggle("scenes", this.scenes.length > 0);
    this.alone(card);
    this.resize();
    if (this.scenes.length) this.go(this.at);
    else this.draw();
  }

  leave() {
    const { stage, before } = this;
    if (!this.on) return;
    if (this.leads) stage.pause();
    const root = stage.root.getRootNode();
    if (root.fullscreenElement) document.exitFullscreen();
    stage.body.classList.remove("presenting", "scenes");
    for (const { node } of stage.cards) node.classList.remove("whole");
    this.card = null;
    this.resize();
    if (before) stage.set({ ...stage.choices.defaults, ...before });
    this.draw();
  }

  // -- scenes -------------------------------------------------------------------------------------------------------

  go(at) {
    const { stage } = this;
    const scene = this.scenes[at];
    if (!scene) return;
    this.at = at;
    stage.pause();
    this.alone(stage.cards.find(({ view }) => view.name === scene.view) ?? stage.cards[0]);
    const problems = stage.choices.set({ ...stage.choices.defaults, ...scene.settings }, "scene");
    const plays = scene.play && !wantsStillness(); // else it stands at its end
    if (plays) stage.choices.set({ time: timeAt(stage.choices, 0) }, "scene");
    this.title.textContent = scene.title;
    this.say.textContent = scene.say;
    this.count.textContent = `${at + 1} / ${this.scenes.length}`;
    this.back.disabled = at === 0;
    this.next.disabled = at === this.scenes.length - 1;
    stage.say(problems.join(" "), problems.length > 0);
    stage.light(null);
    this.draw();
    if (plays) stage.whenDrawn().then(() => this.leads && this.scenes[this.at] === scene && stage.play());
  }

  alone(card) {
    for (const one of this.stage.cards) one.node.classList.toggle("whole", one === card);
    this.card = card;
  }

  draw() {
    const { stage } = this;
    this.names.remove();
    stage.show();
    stage.drawn = stage.draw();
    if (this.on) stage.whenDrawn().then(() => this.name());
  }

  // What is seen nowhere else while lists and controls are hidden: what a result is of, and which colour is which curve.
  name() {
    if (!this.on) return;
    const names = this.card.view.kind !== "results" ? this.curves() : this.leads ? this.chosen() : [];
    this.names.replaceChildren(...names.map((name) => el("span", {}, ...name)));
    if (names.length && names.length <= MOST_NAMES) this.card.drawing.parentElement.before(this.names);
  }

  // What the controls of the card say.
  chosen() {
    const lists = [...this.card.node.querySelectorAll(".choices select")];
    const shown = lists.filter((list) => !list.hidden && list.value >= 0);
    const texts = (isSide) => shown.filter((list) => isSide === list.dataset.control.startsWith("compared")).map((list) => list.selectedOptions[0].textContent);
    return [texts(true).join(" against "), ...texts(false)].filter(Boolean).map((text) => [text]);
  }

  // The curves of a drawing that does not name them itself.
  curves() {
    const { stage, card } = this;
    if (card.view.marks.some(({ kind }) => kind === "label") || card.figure?.layout.yaxis?.ticktext) return [];
    const lines = (card.figure?.data ?? []).filter(({ type, meta }) => type !== "bar" && meta?.curve >= 0);
    const curves = [...new Set(lines.map(({ meta }) => meta.curve))].map((number) => stage.data.about.curves[number]);
    return curves.map((curve) => [swatch({ ...curve, color: themed(curve.color, stage.theme) }), curve.label]);
  }

  // -- scenes that are made by clicking -----------------------------------------------------------------------------

  // Asks for the sentence of a new scene, which shows a card as it is now.
  ask(card) {
    const { stage } = this;
    const settings = stage.choices.settings();
    const done = (text) => {
      stage.say(text);
      card.node.querySelector(".menu summary").focus(); // where it was asked from
    };
    const onkeydown = (event) => event.key === "Escape" && (event.stopPropagation(), done(""));
    const area = el("textarea", { rows: 3, maxLength: LONGEST_TEXT, onkeydown, "aria-label": "what is to be said", "data-control": "say" });
    const add = () => {
      const say = area.value.trim();
      if (!say) return area.focus();
      this.scenes.push({ title: "", say, view: card.view.name, settings, play: false });
      done(`This is scene ${this.scenes.length}. P begins the lecture; Share keeps the scenes as a file.`);
    };
    stage.say("What is to be said here?", true);
    stage.notice.classList.remove("urgent");
    const button = (textContent, name, onclick) => el("button", { textContent, "data-control": name, onclick, onkeydown });
    stage.notice.append(area, button("Add this scene", "add scene", add), button("Cancel", "cancel scene", () => done("")));
    area.focus();
  }

  save() {
    const { stage, scenes } = this;
    if (!scenes.length) return stage.say("There are no scenes yet: the menu ⋯ of a card adds what it shows.");
    download(toYaml(scenes), "scenes.yaml");
    stage.say("Saved: predspace serve DATA --present --scenes scenes.yaml shows them.");
  }
}

// -- the file -------------------------------------------------------------------------------------------------------

// Scenes as YAML, a line a setting. What is between quotes is JSON, which YAML reads; a power of ten needs a point there.
export function toYaml(scenes) {
  const lines = scenes.map(({ title, say, view, settings, play }) => {
    const chosen = Object.entries(settings).map(([name, value]) => `    ${name}: ${inline(value)}`);
    return [
      `- say: ${inline(say)}`,
      ...(title ? [`  title: ${inline(title)}`] : []),
      `  view: ${view}`,
      ...(chosen.length ? ["  settings:", ...chosen] : []),
      ...(play ? ["  play: true"] : []),
    ].join("\n");
  });
  return `${lines.join("\n\n")}\n`;
}

function inline(value) {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (value !== null && typeof value === "object") return `{${Object.entries(value).map(([name, member]) => `${inline(name)}: ${inline(member)}`).join(", ")}}`;
  if (typeof value === "number") return String(value).replace(/^(-?\d+)(e.*)$/, "$1.0$2");
  const escaped = (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(typeof value === "string" ? value.toWellFormed() : value).replace(/[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g, escaped);
}
