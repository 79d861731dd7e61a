// What is chosen: one plain object. Whoever changes it calls set; whoever draws listens.

export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

const MOST_COMPARED = 6; // comparison.py: SIDES

export class Choices {
  constructor(about) {
    this.about = about;
    this.defaults = about.defaults;
    this.now = structuredClone(about.defaults);
    this.listeners = [];
  }

  // Applies what is possible, tells the listeners once which choices changed, and returns a sentence for each of the
  // others. "from" names who asks: a host need not be told what it said itself.
  set(changes, from = "user") {
    const problems = [];
    const changed = [];
    const axes = { horizontal: this.now.horizontal, vertical: this.now.vertical };
    for (const [name, wanted] of Object.entries(changes)) {
      const value = this.admitted(name, wanted, problems);
      if (value === undefined || same(value, this.now[name])) continue;
      this.now[name] = value;
      changed.push(name);
    }
    if (this.now.horizontal === this.now.vertical) { // one is set to the other: they change places
      const [one, other] = changed.includes("horizontal") ? ["horizontal", "vertical"] : ["vertical", "horizontal"];
      this.now[other] = axes[one];
      changed.push(other);
    }
    if (changed.includes("axes_fitted_on") && !("frozen" in changes)) {
      const { curves, seeds, epochs, where } = this.now;
      const shown = Object.keys(where).length ? { curves, seeds, epochs, where } : { curves, seeds, epochs };
      this.now.frozen = this.now.axes_fitted_on === "frozen" ? structuredClone(shown) : null;
      changed.push("frozen");
    }
    if (changed.length) for (const listen of this.listeners) listen(changed, from);
    return problems;
  }

  // There is more, or other things, to choose from: who sees everything goes on seeing everything, other choices stay.
  renew(about) {
    const { epochs } = this.defaults;
    const kept = this.settings();
    if (kept.epochs) kept.epochs = kept.epochs.map((end, n) => (end === epochs[n] ? about.defaults.epochs[n] : end));
    Object.assign(this, { about, defaults: about.defaults, now: structuredClone(about.defaults) });
    const { listeners } = this;
    this.listeners = [];
    this.set(kept);
    this.listeners = listeners;
  }

  // Those that differ from the defaults.
  settings() {
    const kept = Object.keys(this.defaults).filter((name) => !same(this.now[name], this.defaults[name]));
    return Object.fromEntries(kept.map((name) => [name, this.now[name]]));
  }

  // Those of them that an address, code and a file keep: what is selected is for a look.
  lasting() {
    const { selected, sample, ...settings } = this.settings();
    return settings;
  }

  admitted(name, value, problems) {
    const refuse = (sentence) => void problems.push(sentence.slice(0, 200));
    if (!Object.hasOwn(this.defaults, name)) return refuse(`There is no choice “${name}”.`);
    const known = this.options(name);
    if (known && Array.isArray(this.defaults[name])) {
      const list = Array.isArray(value) ? value : [value];
      const unknown = list.filter((item) => !known.includes(item));
      if (unknown.length) refuse(`${name}: this dataset has no “${unknown[0]}”.`);
      const members = list.filter((item) => known.includes(item));
      if (name === "compared") {
        if (unknown.length) return undefined;
        const enough = members.length >= 2 && members.length <= MOST_COMPARED;
        return enough ? members : refuse(`compared: 2 to ${MOST_COMPARED} curves or runs are needed.`);
      }
      if (unknown.length && !members.length) return undefined;
      return known.filter((item) => members.includes(item)); // in the order of the dataset
    }
    if (known) return known.includes(value) ? value : refuse(`${name} cannot be “${value}”; it is one of ${known.join(", ")}.`);
    if (name === "where") return this.whereOf(value, refuse);
    if (name === "epochs") return isRange(value) ? value : refuse("epochs: a first and a last number are needed.");
    if (name === "time") return value === null || Number.isFinite(value) ? value : refuse("time: a number is needed.");
    if (name === "camera") return value === null || isCamera(value) ? value : refuse("camera: numbers are needed.");
    if (name === "selected") return this.areCheckpoints(value) ? value : refuse("selected: this dataset has no such checkpoint.");
    if (name === "samples") return value === null ? null : (this.readSamples(value) ?? refuse("samples: no such choice."));
    if (name === "sample") return value === null || this.isSample(value) ? value : refuse("sample: this dataset has no such sample.");
    if (name === "tabs") return isListOfTexts(value) ? value : refuse("tabs: names of views are needed.");
    if (name === "frozen") return value === null || this.isSelection(value) ? value : refuse("frozen: no such choice.");
    return value;
  }

  options(name) {
    const { curves, seeds, options } = this.about;
    if (["curves", "pinned"].includes(name)) return curves.map((curve) => curve.label);
    if (name === "compared") return [...curves.map((curve) => curve.label), ...this.about.runs];
    return name === "seeds" ? seeds : options[name];
  }

  // Those that came later are not counted in what is known of the dataset.
  areCheckpoints(value) {
    const most = this.about.live ? Infinity : this.about.n_checkpoints;
    return Array.isArray(value) && value.every((row) => Number.isInteger(row) && row >= 0 && row < most);
  }

  isSample(value) {
    return Number.isInteger(value) && value >= 0 && value < this.about.n_samples;
  }

  // Samples of some classes, at some places, or predicted among some classes, each in the order of the dataset.
  readSamples(value) {
    if (value === null || typeof value !== "object" || !Object.keys(value).length) return undefined;
    const { classes } = this.about;
    const named = (least) => (list) => list.length >= least && list.every((name) => classes.includes(name)) && classes.filter((name) => list.includes(name));
    const readers = {
      classes: named(1),
      rows: (list) => list.length > 0 && list.every((row) => this.isSample(row)) && [...new Set(list)].sort((one, other) => one - other),
      among: named(2),
    };
    if (!Object.keys(value).every((name) => Object.hasOwn(readers, name) && Array.isArray(value[name]))) return undefined;
    const parts = Object.keys(readers).filter((name) => name in value).map((name) => [name, readers[name](value[name])]);
    return parts.every(([, list]) => list) ? Object.fromEntries(parts) : undefined;
  }

  // Values of attributes in the order of the dataset; an attribute of which all count is left out.
  whereOf(value, refuse) {
    const { attributes } = this.about;
    if (value === null || typeof value !== "object" || Array.isArray(value)) return refuse("where: attributes with values are needed.");
    const chosen = {};
    for (const [name, wanted] of Object.entries(value)) {
      if (!Object.hasOwn(attributes, name)) {
        refuse(`where: this dataset has no attribute “${name}”.`);
        continue;
      }
      const { values } = attributes[name];
      const list = (Array.isArray(wanted) ? wanted : [wanted]).map((item) => (item === null ? "" : item === true ? "True" : item === false ? "False" : String(item)));
      const unknown = list.find((item) => !values.includes(item));
      if (unknown !== undefined) refuse(`${name}: this dataset has no “${unknown}”.`);
      if (!list.length || list.some((item) => values.includes(item))) chosen[name] = list;
    }
    if (Object.keys(value).length && !Object.keys(chosen).length) return undefined;
    const ordered = Object.keys(attributes).filter((name) => Object.hasOwn(chosen, name));
    const limits = ordered.map((name) => [name, attributes[name].values.filter((item) => chosen[name].includes(item))]);
    return Object.fromEntries(limits.filter(([name, list]) => list.length < attributes[name].values.length));
  }

  isSelection(value) {
    const { curves, seeds, epochs, where = {} } = value ?? {};
    const within = (list, name) => Array.isArray(list) && list.every((item) => this.options(name).includes(item));
    return within(curves, "curves") && within(seeds, "seeds") && isRange(epochs) && same(this.whereOf(where, () => {}), where);
  }
}

const isListOfTexts = (value) => Array.isArray(value) && value.every((text) => typeof text === "string");

function isRange(value) {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isFinite) && value[0] <= value[1];
}

function isCamera(value) {
  return ["eye", "center", "up"].every((part) => ["x", "y", "z"].every((axis) => Number.isFinite(value?.[part]?.[axis])));
}

// -- the address: texts as they are, all else as JSON ---------------------------------------------------------------

export function toQuery(settings) {
  const text = (value) => (typeof value === "string" && !isJson(value) ? value : JSON.stringify(value));
  const encoded = (part) => encodeURIComponent(part.toWellFormed()).replaceAll("%2C", ",").replaceAll("%3A", ":");
  return Object.entries(settings).map(([name, value]) => `${encoded(name)}=${encoded(text(value))}`).join("&");
}

export function fromQuery(text) {
  const read = (value) => (isJson(value) ? JSON.parse(value) : value);
  return Object.fromEntries([...new URLSearchParams(text)].map(([name, value]) => [name, read(value)]));
}

function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

// -- Python ---------------------------------------------------------------------------------------------------------

// Lines that run and make the figure that is seen. A JSON text is a Python text too, once no half of a pair is left.
export function toPython(source, settings, view) {
  const literal = (value) => {
    if (value === null) return "None";
    if (typeof value === "string") return JSON.stringify(value.toWellFormed());
    if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
    if (typeof value === "object") {
      return `{${Object.entries(value).map(([key, item]) => `${literal(key)}: ${literal(item)}`).join(", ")}}`;
    }
    return typeof value === "boolean" ? (value ? "True" : "False") : String(value);
  };
  const chosen = Object.entries(settings).map(([name, value]) => `, ${name}=${literal(value)}`);
  return [
    "import predspace_widgets as pw",
    "",
    source === null ? "ds = pw.demo()" : `ds = pw.open_trajectories(${literal(source)})`,
    `explorer = pw.Explorer(ds${chosen.join("")})`,
    `explorer.figure(${literal(view)})`,
    "",
  ].join("\n");
}
