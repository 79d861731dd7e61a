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
      const { curves, seeds, epochs } = this.now;
      this.now.frozen = this.now.axes_fitted_on === "frozen" ? structuredClone({ curves, seeds, epochs }) : null;
      changed.push("frozen");
    }
    if (changed.length) for (const listen of this.listeners) listen(changed, from);
    return problems;
  }

  // Those that differ from the defaults.
  settings() {
    const kept = Object.keys(this.defaults).filter((name) => !same(this.now[name], this.defaults[name]));
    return Object.fromEntries(kept.map((name) => [name, this.now[name]]));
  }

  // Those of them that an address, code and a file keep: what is selected is for a look.
  lasting() {
    const { selected, ...settings } = this.settings();
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
    if (name === "epochs") return isRange(value) ? value : refuse("epochs: a first and a last number are needed.");
    if (name === "time") return value === null || Number.isFinite(value) ? value : refuse("time: a number is needed.");
    if (name === "camera") return value === null || isCamera(value) ? value : refuse("camera: numbers are needed.");
    if (name === "frozen") return value === null || this.isSelection(value) ? value : refuse("frozen: no such choice.");
    return value;
  }

  options(name) {
    const { curves, seeds, options } = this.about;
    if (["curves", "pinned"].includes(name)) return curves.map((curve) => curve.label);
    if (name === "compared") return [...curves.map((curve) => curve.label), ...this.about.runs];
    return name === "seeds" ? seeds : options[name];
  }

  isSelection(value) {
    const { curves, seeds, epochs } = value ?? {};
    const within = (list, name) => Array.isArray(list) && list.every((item) => this.options(name).includes(item));
    return within(curves, "curves") && within(seeds, "seeds") && isRange(epochs);
  }
}

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
