// Native controls. Each shows a choice and sets it; all are told when the choices change.
import { wantsStillness } from "./motion.js";
import { decodePlain } from "./space.js";
import { general } from "./tables.js";

// An element with properties and children; texts are always text.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

const MOST_CHIPS = 12; // more values are a list to select from
const MOST_CLASSES = 20;
const MANY_CURVES = 20; // beside which the attributes of runs are folded
const WIDEST_CHOICE = 28; // of a curve that is to be chosen

// A choice of one of several values; of a choice that is a list, the member at a place. A place that is optional adds a
// member, and takes it away.
export function select(stage, { choice, label, options, when, place, prefix = "", optional = false }) {
  const { choices } = stage;
  const offered = choices.about.offered[choice];
  const known = optionsOf(choices.about, options).filter(([value]) => offered?.includes(value) ?? true);
  const isDecided = known.length < 2 && offered;
  const list = el("select", { "aria-label": label, title: label, "data-control": place === null ? choice : `${choice} ${place + 1}` });
  const add = (text, value) => list.append(el("option", { value, textContent: text }));
  if (optional) add("+ curve", -1);
  known.forEach(([, text], number) => add(prefix + text, number));
  const current = () => (place === null ? choices.now[choice] : choices.now[choice][place]);
  list.addEventListener("change", () => {
    const value = known[Number(list.value)]?.[0];
    const now = choices.now[choice];
    if (place === null) stage.set({ [choice]: value });
    else if (value === undefined) stage.set({ [choice]: now.toSpliced(place, 1) });
    else stage.set({ [choice]: place < now.length ? now.with(place, value) : [...now, value] });
  });
  const show = () => {
    const value = current();
    let number = known.findIndex(([one]) => one === value);
    if (number < 0 && value !== undefined) { // such as one of very many runs
      number = known.push([value, String(value)]) - 1;
      add(prefix + value, number);
    }
    list.value = number;
    if (optional) list.options[0].textContent = value === undefined ? "+ curve" : "− none";
    const beyond = optional && place > choices.now[choice].length;
    list.hidden = isDecided || beyond || !Object.entries(when).every(([name, values]) => values.includes(choices.now[name]));
  };
  stage.shows.push(show);
  return list;
}

function optionsOf(about, options) {
  if (options === "curves") return about.curves.map(({ label, short }) => [label, label.length > WIDEST_CHOICE ? decodePlain(short) : label]);
  if (options === "colorings") return about.options.color_by.map((name) => [name, name]);
  if (options === "axes") return Array.from({ length: about.n_axes }, (_, n) => [n + 1, String(n + 1)]);
  return options;
}

// -- which curves ---------------------------------------------------------------------------------------------------

export function curveList(stage) {
  const { choices } = stage;
  const { curves } = choices.about;
  const tasks = Map.groupBy(curves, (curve) => curve.task);
  const all = (shown) => () => stage.set({ curves: shown ? curves.map(({ label }) => label) : [] });
  const heading = el(
    "div",
    { className: "heading" },
    el("h2", { textContent: "Curves" }),
    el("button", { className: "link", textContent: "all", onclick: all(true), "data-control": "all curves" }),
    "·",
    el("button", { className: "link", textContent: "none", onclick: all(false), "data-control": "no curves" }),
  );
  const rows = [...tasks].flatMap(([task, members]) => {
    if (members.length === 1) return [curveRow(stage, members[0], members[0].label, false)];
    return [taskRow(stage, task, members), ...members.map((curve) => curveRow(stage, curve, curve.within, true))];
  });
  return el("section", { className: "curves" }, heading, el("div", { className: "rows", role: "group", "aria-label": "curves" }, ...rows));
}

function taskRow(stage, task, members) {
  const labels = members.map(({ label }) => label);
  const name = el("span", { className: "name", textContent: task, title: task });
  return el("div", { className: "row task", "data-task": task }, name, eye(stage, labels, `all of ${task}`));
}

function curveRow(stage, curve, text, indented) {
  const { choices } = stage;
  const { label } = curve;
  const number = choices.about.curves.indexOf(curve);
  const pin = el(
    "button",
    {
      className: "pin",
      title: `${label}\nclick: keep it lit · double click, or Shift: show it alone`,
      onclick: (event) => (event.shiftKey ? stage.isolate(label) : stage.pin(label)),
      ondblclick: () => stage.isolate(label),
      onfocus: () => stage.light(number),
      onblur: () => stage.light(null),
    },
    swatch(curve),
    el("span", { className: "name", textContent: text }),
  );
  const row = el(
    "div",
    {
      className: indented ? "row within" : "row",
      "data-curve": label,
      onmouseenter: () => stage.light(number),
      onmouseleave: () => stage.light(null),
    },
    pin,
    eye(stage, [label], label),
  );
  stage.shows.push(() => {
    row.classList.toggle("hidden", !choices.now.curves.includes(label));
    row.classList.toggle("lit", stage.lit === number);
    pin.setAttribute("aria-pressed", choices.now.pinned.includes(label));
  });
  return row;
}

export function swatch({ color, dash }) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  line.setAttribute("class", "swatch");
  line.setAttribute("aria-hidden", "true");
  line.setAttribute("viewBox", "0 0 18 8");
  const path = line.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  const dashes = { solid: "", dash: "5 3", dot: "2 2", dashdot: "5 2 1 2", longdash: "8 3", longdashdot: "8 2 2 2" };
  for (const [name, value] of Object.entries({ d: "M1 4H17", stroke: color, "stroke-dasharray": dashes[dash] })) {
    path.setAttribute(name, value);
  }
  return line;
}

// Hides and shows curves.
function eye(stage, labels, what) {
  const { choices } = stage;
  const shown = () => labels.filter((label) => choices.now.curves.includes(label)).length;
  const button = el("button", {
    className: "eye",
    onclick: () => {
      const others = choices.now.curves.filter((label) => !labels.includes(label));
      stage.set({ curves: shown() ? others : [...others, ...labels] });
    },
  });
  stage.shows.push(() => {
    button.textContent = shown() ? "◉" : "○";
    button.setAttribute("aria-label", `${shown() ? "hide" : "show"} ${what}`); // says how it stands: no aria-pressed
    button.title = button.getAttribute("aria-label");
  });
  return button;
}

// -- which seeds and epochs -----------------------------------------------------------------------------------------

export function seedList(stage) {
  const { choices } = stage;
  const { seeds } = choices.about;
  const entries = seeds.map((seed) => ({ value: seed, text: seed, label: `seed ${seed}` }));
  const read = () => choices.now.seeds;
  return chipList(stage, { title: "Seeds", control: "seeds", entries, read, write: (some) => stage.set({ seeds: some }) });
}

// The attributes of runs; where there are many curves they are folded, as these need the room.
export function attributes(stage) {
  const { choices } = stage;
  const lists = attributeLists(stage);
  const node = el("div", { className: "attributes" }, ...lists);
  if (choices.about.curves.length <= MANY_CURVES || !lists.length) return node;
  const title = el("summary", { "data-control": "attributes" });
  stage.shows.push(() => {
    const chosen = Object.entries(choices.now.where).filter(([name, values]) => values.length < choices.about.attributes[name]?.values.length);
    title.textContent = chosen.length ? `Attributes · of ${chosen.map(([name]) => name).join(", ")} some` : `Attributes (${lists.length})`;
  });
  return el("details", { className: "folded" }, title, node);
}

// Of each attribute of runs that tells some apart, its values.
function attributeLists(stage) {
  const { choices } = stage;
  const several = Object.entries(choices.about.attributes).filter(([, { values }]) => values.length > 1);
  return several.map(([name, { values }]) => {
    const entries = values.map((value) => ({ value, text: value || "none", label: `${name} ${value || "none"}` }));
    const read = () => choices.now.where[name] ?? values;
    const write = (some) => stage.set({ where: { ...choices.now.where, [name]: some } });
    return chipList(stage, { title: name, control: `where ${name}`, entries, read, write });
  });
}

// A list to choose several of: chips, or of many values a list to select from.
function chipList(stage, { title, control, entries, read, write }) {
  const toggled = (value) => (read().includes(value) ? read().filter((other) => other !== value) : [...read(), value]);
  const chip = ({ value, text, label }) => {
    const button = el("button", { className: "chip", textContent: text, onclick: () => write(toggled(value)) });
    button.setAttribute("aria-label", label);
    stage.shows.push(() => button.setAttribute("aria-pressed", read().includes(value)));
    return button;
  };
  const many = () => {
    const options = entries.map(({ value, text }) => el("option", { value, textContent: text }));
    const list = el("select", { multiple: true, size: 6, "aria-label": control }, ...options);
    list.addEventListener("change", () => write([...list.selectedOptions].map(({ index }) => entries[index].value)));
    stage.shows.push(() => {
      for (const option of list.options) option.selected = read().includes(entries[option.index].value);
    });
    return list;
  };
  const body = entries.length > MOST_CHIPS ? [many()] : entries.map(chip);
  return el("section", { className: "seeds", role: "group", "aria-label": title, "data-control": control }, el("h2", { textContent: title }), ...body);
}

// Which samples count: all, those of some classes, or all that are predicted among some classes. What else is chosen, such
// as single images, is named, with a way back.
export function sampleList(stage) {
  const { choices } = stage;
  const { classes, n_samples: count, published } = choices.about;
  if (published || !count) return null;
  const ways = { all: "all", classes: "of classes", among: "among classes", rows: "chosen ones" };
  const way = el("select", { "aria-label": "samples", title: "which samples count", "data-control": "samples by" });
  for (const [value, textContent] of Object.entries(ways)) way.append(el("option", { value, textContent }));
  const wayNow = () => Object.keys(choices.now.samples ?? { all: true })[0];
  const chosen = () => choices.now.samples?.[way.value] ?? [];
  const choose = (names) => stage.set({ samples: names.length < (way.value === "among" ? 2 : 1) ? null : { [way.value]: names } });
  const list = el("div", { className: "classes", role: "group", "aria-label": "classes" }, ...classChoices(classes, chosen, choose));
  way.addEventListener("change", () => {
    if (way.value === "all") stage.set({ samples: null });
    else if (chosen().length === 0 && choices.now.samples) stage.set({ samples: null });
    show();
  });
  const back = el("button", { className: "link", textContent: "all again", "data-control": "all samples", onclick: () => stage.set({ samples: null }) });
  const words = el("div", { className: "words" });
  const show = () => {
    list.hidden = way.value === "all" || way.value === "rows";
    back.hidden = !choices.now.samples;
    words.textContent = stage.data.about.samples ?? `all ${count.toLocaleString("en")}`;
    words.title = words.textContent;
    for (const shown of list.children) shown.update();
  };
  stage.shows.push(() => {
    const now = wayNow();
    if (now !== "all" || way.value === "rows") way.value = now;
    way.querySelector("[value=rows]").hidden = now !== "rows"; // these are chosen elsewhere
    show();
  });
  const heading = el("div", { className: "heading" }, el("h2", { textContent: "Samples" }), back);
  return el("section", { className: "samples-chosen", "data-control": "samples" }, heading, words, way, list);
}

// A chip a class; of many classes a list to select from.
function classChoices(classes, chosen, choose) {
  if (classes.length > MOST_CLASSES) {
    const list = el("select", { multiple: true, size: 6, "aria-label": "classes" }, ...classes.map((name) => el("option", { value: name, textContent: name })));
    list.addEventListener("change", () => choose([...list.selectedOptions].map(({ value }) => value)));
    list.update = () => [...list.options].forEach((option) => (option.selected = chosen().includes(option.value)));
    return [list];
  }
  const pending = new Set(); // among one class nothing can be predicted: the first waits for a second
  return classes.map((name) => {
    const button = el("button", { className: "chip", textContent: name, "data-class": name });
    button.setAttribute("aria-label", `class ${name}`);
    button.addEventListener("click", () => {
      const names = new Set([...chosen(), ...pending]);
      if (!names.delete(name)) names.add(name);
      pending.clear();
      if (names.size === 1) pending.add([...names][0]);
      choose(classes.filter((one) => names.has(one)));
      button.parentElement?.childNodes.forEach((other) => other.update());
    });
    button.update = () => {
      if (chosen().length) pending.clear();
      button.setAttribute("aria-pressed", chosen().includes(name) || pending.has(name));
    };
    return button;
  });
}

// Two handles over the recorded epochs, which are dense in the beginning.
export function epochRange(stage) {
  const { choices } = stage;
  const epochsNow = () => choices.about.epochs; // there may be more, later
  const title = el("h2");
  const handle = (which) => {
    const input = el("input", { type: "range", min: 0, step: 1, "aria-label": `${which} epoch` });
    input.addEventListener("input", () => {
      const [from, to] = [Math.min(first.valueAsNumber, end.valueAsNumber), Math.max(first.valueAsNumber, end.valueAsNumber)];
      stage.set({ epochs: [epochsNow()[from], epochsNow()[to]] });
    });
    return input;
  };
  const [first, end] = [handle("first"), handle("last")];
  const track = el("div", { className: "track" });
  stage.shows.push(() => {
    const epochs = epochsNow();
    const last = epochs.length - 1;
    const hasGrown = Number(first.max) !== last;
    for (const input of [first, end]) Object.assign(input, { max: last, disabled: !last });
    const [low, high] = choices.now.epochs;
    const from = Math.max(0, epochs.findIndex((epoch) => epoch >= low));
    const to = Math.max(from, epochs.findLastIndex((epoch) => epoch <= high));
    title.textContent = `Epochs ${general(low, 3)} to ${general(high, 3)}`;
    for (const [input, place] of [[first, from], [end, to]]) {
      if (hasGrown || (document.activeElement !== input && input.getRootNode().activeElement !== input)) input.value = place;
      input.setAttribute("aria-valuetext", `epoch ${general(epochs[place], 3)}`);
    }
    track.style.setProperty("--from", last ? from / last : 0);
    track.style.setProperty("--to", last ? to / last : 1);
  });
  return el("section", { className: "epochs", "data-control": "epochs" }, title, el("div", { className: "range" }, track, first, end));
}

// -- the time -------------------------------------------------------------------------------------------------------

const TICKS = 1000;
const SECONDS = 8; // of a play from the beginning to the end, at speed 1

export function timeBar(stage) {
  const { choices } = stage;
  let playing = null;
  let speed = 1;
  const play = el("button", { className: "play", "data-control": "play", onclick: () => (playing ? pause() : wantsStillness() ? jump() : start()) });
  const slider = el("input", { type: "range", min: 0, max: TICKS, step: 1, "aria-label": "time", "data-control": "time" });
  const readout = el("output", { className: "now", "aria-live": "off" }); // while it plays it would never be silent
  const by = select(stage, {
    choice: "time_by",
    label: "time by",
    options: [["epoch", "by epoch"], ["step", "by step"], ["progress", "by progress"]],
    when: {},
    place: null,
  });
  by.addEventListener("change", () => stage.set({ time: null }));
  const speeds = el("select", { "aria-label": "speed", title: "speed", "data-control": "speed" });
  for (const factor of [0.5, 1, 2, 4]) speeds.append(el("option", { value: factor, textContent: `${factor}×` }));
  speeds.value = 1;
  speeds.addEventListener("change", () => (speed = Number(speeds.value)));

  const place = () => (choices.now.time === null ? 1 : placeOf(choices, choices.now.time));
  const show = (share, from) => stage.set({ time: share >= 1 ? null : timeAt(choices, share) }, from);
  slider.addEventListener("input", () => {
    pause();
    show(slider.valueAsNumber / TICKS);
  });

  // For those who want no motion: to the end, and from there to the beginning.
  function jump() {
    show(place() >= 1 ? 0 : 1);
  }

  function start(moves = !wantsStillness()) {
    if (!moves) return show(1);
    let share = place() >= 1 ? 0 : place();
    let before = performance.now();
    playing = {};
    const mine = playing;
    const step = (now) => {
      if (playing !== mine) return;
      share = Math.min(1, share + ((now - before) / 1000 / SECONDS) * speed);
      before = now;
      show(share, "play");
      if (share >= 1) return pause();
      requestAnimationFrame(step);
    };
    show(share, "play");
    requestAnimationFrame(step);
    paint();
  }

  function pause() {
    if (!playing) return;
    playing = null;
    stage.settle();
    paint();
  }

  function paint() {
    play.textContent = playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", playing ? "pause" : wantsStillness() ? "to the end, or back to the beginning" : "play");
    if (Math.abs(slider.valueAsNumber / TICKS - place()) > 0.5 / TICKS) slider.value = place() * TICKS;
    readout.textContent = nowText(choices);
    slider.setAttribute("aria-valuetext", readout.textContent);
  }
  stage.shows.push(paint);
  Object.assign(stage, { play: start, pause, isPlaying: () => playing !== null });
  return el("div", { className: "time" }, play, readout, slider, by, speeds);
}

// Epochs and steps are logarithmic along the bar: much happens in the first of them.
function scaleOf({ about, now }) {
  return about.clocks[now.time_by];
}

export function timeAt(choices, share) {
  const { unit, low, high } = scaleOf(choices);
  if (unit === null) return low + share * (high - low);
  const [from, to] = [Math.log1p(low / unit), Math.log1p(high / unit)];
  return unit * Math.expm1(from + share * (to - from));
}

export function placeOf(choices, time) {
  const { unit, low, high } = scaleOf(choices);
  const at = (value) => (unit === null ? value : Math.log1p(value / unit));
  return high > low ? Math.min(1, Math.max(0, (at(time) - at(low)) / (at(high) - at(low)))) : 1;
}

function nowText(choices) {
  const { time, time_by: by } = choices.now;
  const { high } = scaleOf(choices);
  const value = time ?? high;
  const text = by === "step" ? String(Math.round(value)) : general(value, 3);
  return `${by} ${text}`;
}
