// The rows that marks are drawn from; the twin of views/tables.py, in the same order and with the same names.
import { outlinesOf } from "./ellipses.js";

const SPECTRUM_INK = "#1f2933"; // style.py: INK
const OUTLINE = { 2: 49, 3: 33 }; // points of an outline
const SPREAD = "spread of mean inpca "; // of a checkpoint: the error bar of its mean over seeds, on an axis
const FAR = 2; // tables.py
const ASCENDING = (one, other) => one - other;

// Rows (Int32Array) of the checkpoints that are chosen; an error says which choice left none.
export function chosenRows(data, { curves, seeds, epochs, where = {} }) {
  if (!curves.length) throw new Error("no curve is chosen: choose at least one");
  if (!seeds.length) throw new Error("no seed is chosen: choose at least one");
  const shown = new Set(data.about.curves.flatMap((curve, place) => (curves.includes(curve.label) ? [place] : [])));
  const wanted = new Set(seeds);
  const names = Object.keys(where);
  const limits = names.map((name) => limitOf(data, name, where[name]));
  const { curve, seed, epoch } = data.arrays;
  const inside = (row) => epoch[row] >= epochs[0] && epoch[row] <= epochs[1];
  const of = [];
  let known = false;
  for (let row = 0; row < curve.length; row++) {
    if (!shown.has(curve[row]) || !wanted.has(seed[row]) || !limits.every((limit) => limit(row))) continue;
    known = true;
    if (inside(row)) of.push(row);
  }
  const what = names.length ? `task, method, seed, curve and ${names.join(", ")}` : "task, method, seed and curve";
  if (!known) throw new Error(`no checkpoint has this combination of ${what}`);
  if (!of.length) throw new Error(`no checkpoint is chosen between epoch ${general(epochs[0])} and ${general(epochs[1])}`);
  return Int32Array.from(of);
}

// Whether a row has one of some values of an attribute.
function limitOf(data, name, wanted) {
  if (!wanted.length) throw new Error(`no ${name} is chosen: choose at least one`);
  const { values } = data.about.attributes[name];
  const places = new Set(wanted.map((value) => values.indexOf(value)));
  const codes = data.arrays[`attribute ${name}`];
  return (row) => places.has(codes[row]);
}

// Every k-th point of each line, always with its first and last, such that at most so many are left.
export function thin(lines, most) {
  const members = [...placesByName(lines).values()];
  const left = (k) => members.reduce((sum, places) => sum + 1 + Math.ceil((places.length - 1) / k), 0);
  let [low, high] = [1, Math.max(1, ...members.map((places) => places.length - 1))];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (left(middle) <= most) high = middle;
    else low = middle + 1;
  }
  const drawn = members.flatMap((places) => places.filter((_, n) => n % low === 0 || n === places.length - 1));
  return { drawn: drawn.sort(ASCENDING), k: low };
}

export function placesByName(names) {
  const places = new Map();
  names.forEach((name, place) => (places.has(name) ? places.get(name).push(place) : places.set(name, [place])));
  return places;
}

export class Tables {
  // data: what was sent; rows: the chosen ones; pictureOf(): their picture, see picture.js, for those who ask for it;
  // bars: what error bars are drawn from, if it is there.
  constructor(data, choices, rows, pictureOf, bars = null) {
    Object.assign(this, { data, choices, rows, pictureOf, bars, known: {}, sums: {} });
    this.curve = Array.from(this.rows, (row) => data.arrays.curve[row]);
    this.run = Array.from(this.rows, (row) => data.arrays.run[row]);
  }

  get picture() {
    return (this.known.picture ??= this.pictureOf());
  }

  get(name) {
    const makers = {
      checkpoints: () => this.checkpoints(),
      means: () => this.means(),
      past: () => this.past(),
      heads: () => this.heads(),
      runs: () => this.runs(),
      curves: () => this.curves(),
      beyond: () => this.beyond(),
      axes: () => this.axes(),
      spectrum: () => this.spectrum(),
      ellipses: () => this.ellipses(2),
      ellipsoids: () => this.ellipses(3),
      "stress band": () => this.stressBand(),
      "spectrum band": () => this.spectrumBand(),
      geodesic: () => this.geodesic(0),
      ignorance: () => this.geodesic(0, 1),
      truth: () => this.geodesic(-1),
    };
    return (this.known[name] ??= makers[name]());
  }

  info(column) {
    if (column.startsWith("inpca ")) {
      const number = Number(column.slice(6));
      return { title: this.picture.title(number), range: this.picture.extent(number) };
    }
    if (column === "place") {
      const names = this.shown().map((curve) => this.data.about.curves[curve].short);
      const ticks = { tickmode: "array", tickvals: names.map((_, place) => place), ticktext: names };
      return { title: "", ticks, range: [names.length - 0.5, -0.5] };
    }
    const info = this.data.about.info[column] ?? { title: column };
    return column === "length" && this.reach() ? { ...info, range: [0, this.reach()] } : info;
  }

  // Where the axis of lengths ends when a few runs went much farther than most; 0: it has room for all.
  reach() {
    const lengths = Float64Array.from(this.get("runs").column("length")).sort();
    const within = lengths.filter((length) => length <= FAR * lengths[Math.ceil(0.75 * lengths.length) - 1]);
    return within.length < lengths.length ? 1.25 * within.at(-1) : 0;
  }

  shown() {
    return [...new Set(this.curve)].sort(ASCENDING);
  }

  // A column of the chosen checkpoints.
  quantity(name) {
    if (name.startsWith("inpca ")) return this.picture.column(Number(name.slice(6)));
    if (name.startsWith(SPREAD)) return this.spreadOfMean(Number(name.slice(SPREAD.length)));
    const values = this.data.arrays[name];
    if (name.startsWith("attribute ")) {
      const { numbers } = this.data.about.attributes[name.slice(10)];
      return Array.from(this.rows, (row) => (numbers ? numbers[values[row]] ?? NaN : values[row]));
    }
    if (!values) {
      if (this.data.about.published) throw new Error("this dataset holds an embedding but no predictions: this needs predictions");
      throw Object.assign(new Error(`${name} is not measured yet`), { needs: name });
    }
    return Array.from(this.rows, (row) => values[row]);
  }

  // Of each chosen checkpoint, the error bar on an axis of the mean over seeds at its curve and step.
  spreadOfMean(number) {
    const { curve, step, of } = this.bars.spreads;
    const spreads = new Map(of.map((own, n) => [`${curve[n]} ${step[n]}`, own]));
    const own = this.quantity("step").map((at, n) => spreads.get(`${this.curve[n]} ${at}`));
    return own.map((some) => (some ? (some[number - 1] ?? 0) : NaN));
  }

  checkpoints() {
    const { drawn } = (this.thinned ??= thin(this.run, this.data.about.most_drawn));
    const of = (values) => drawn.map((place) => values[place]);
    return table((name) => of(this.quantity(name)), of(this.curve), of(this.rows), of(this.run));
  }

  // Places of the chosen checkpoints, grouped by curve and step.
  groups() {
    if (this.grouped) return this.grouped;
    const steps = this.quantity("step");
    const order = steps.map((_, place) => place).sort((a, b) => this.curve[a] - this.curve[b] || steps[a] - steps[b] || a - b);
    const groups = [];
    order.forEach((place, n) => {
      const before = order[n - 1];
      const fresh = n === 0 || this.curve[place] !== this.curve[before] || steps[place] !== steps[before];
      if (fresh) groups.push([place]);
      else groups.at(-1).push(place);
    });
    return (this.grouped = groups);
  }

  meanColumn(name) {
    return (this.sums[name] ??= this.overSeeds(name));
  }

  overSeeds(name) {
    const groups = this.groups();
    if (name === "n_seeds") return groups.map((places) => places.length);
    const [which, rest] = [name.slice(0, name.indexOf(" ")), name.slice(name.indexOf(" ") + 1)];
    if (which === "low" || which === "high") {
      const values = this.quantity(rest);
      const better = which === "low" ? Math.min : Math.max;
      return groups.map((places) => places.reduce((best, place) => better(best, values[place]), values[places[0]]));
    }
    const values = this.quantity(name);
    return groups.map((places) => places.reduce((sum, place) => sum + values[place], 0) / places.length);
  }

  means() {
    const curves = this.groups().map((places) => this.curve[places[0]]);
    const { drawn } = (this.thinnedMeans ??= thin(curves, this.data.about.most_drawn));
    return table((name) => drawn.map((place) => this.meanColumn(name)[place]), drawn.map((place) => curves[place]));
  }

  // The means up to the time, and where each curve is then: points before and after, and the way between.
  moments() {
    if (this.passed) return this.passed;
    const { time } = this.choices;
    const moments = { before: [], after: [], way: [], last: [] };
    for (const points of placesByName(this.get("means").curve).values()) {
      let [count, way] = [points.length, 0];
      if (time !== null) {
        const clock = this.clock(points);
        count = clock.filter((reached) => reached <= time).length;
        if (count > 0 && count < points.length) way = (time - clock[count - 1]) / (clock[count] - clock[count - 1]);
      }
      const last = points[Math.max(0, count - 1)];
      const head = way > 0 ? points[Math.min(count, points.length - 1)] : last;
      moments.before.push(...points.slice(0, count), last);
      moments.after.push(...points.slice(0, count), head);
      moments.way.push(...Array(count).fill(0), way);
      moments.last.push(moments.before.length - 1);
    }
    return (this.passed = moments);
  }

  clock(points) {
    const { time_by, progress_metric } = this.choices;
    const values = this.get("means").column(time_by === "progress" ? `progress ${progress_metric}` : time_by);
    if (time_by !== "progress") return points.map((point) => values[point]);
    let reached = -Infinity;
    return points.map((point) => (reached = Math.max(reached, values[point])));
  }

  past() {
    const { before, after, way } = this.moments();
    return this.between(before, after, way);
  }

  heads() {
    const { before, after, way, last } = this.moments();
    return this.between(...[before, after, way].map((column) => last.map((place) => column[place])));
  }

  between(before, after, way) {
    const means = this.get("means");
    const curve = before.map((place) => means.curve[place]);
    return table((name) => {
      if (name === "curve name") return curve.map((number) => this.data.about.curves[number].name);
      if (name === "curve short name") return curve.map((number) => this.data.about.curves[number].short);
      const values = means.column(name);
      return way.map((share, n) => values[before[n]] * (1 - share) + values[after[n]] * share);
    }, curve);
  }

  runs() {
    const members = [...placesByName(this.run).values()].sort((a, b) => this.curve[a[0]] - this.curve[b[0]] || a[0] - b[0]);
    const shown = this.shown();
    const first = members.map((places) => places[0]);
    const last = members.map((places) => places.at(-1));
    const column = (name) => {
      if (name === "length") {
        const steps = this.quantity("step length"); // the first chosen checkpoint starts the way
        return members.map((places) => places.slice(1).reduce((sum, place) => sum + steps[place], 0));
      }
      if (name === "n_checkpoints") return members.map((places) => places.length);
      if (name === "place") return first.map((place) => shown.indexOf(this.curve[place]));
      if (name === "last step") return last.map((place) => this.quantity("step")[place]);
      return first.map((place) => this.quantity(name === "first step" ? "step" : name)[place]);
    };
    return table(column, first.map((place) => this.curve[place]), last.map((place) => this.rows[place]));
  }

  curves() {
    const runs = this.get("runs");
    const groups = [...placesByName(runs.curve).values()];
    const column = (name) => {
      if (name === "place") return groups.map((_, place) => place);
      if (name === "n_runs") return groups.map((places) => places.length);
      const values = runs.column(name);
      return groups.map((places) => places.reduce((sum, place) => sum + values[place], 0) / places.length);
    };
    return table(column, groups.map((places) => runs.curve[places[0]]));
  }

  // Curves with a run whose length is past the axis, and the longest.
  beyond() {
    const [runs, reach, shown] = [this.get("runs"), this.reach(), this.shown()];
    const longest = new Map();
    runs.column("length").forEach((length, n) => {
      if (reach && length > reach) longest.set(runs.curve[n], Math.max(length, longest.get(runs.curve[n]) ?? 0));
    });
    const curves = [...longest.keys()];
    const columns = {
      reach: curves.map(() => reach),
      place: curves.map((curve) => shown.indexOf(curve)),
      text: curves.map((curve) => `→ ${longest.get(curve).toFixed(1)}`),
    };
    return table((name) => columns[name], curves);
  }

  axes() {
    const { own, together, eigenvalues } = this.picture;
    const columns = {
      axis: own.map((_, n) => n + 1),
      name: own.map((_, n) => `${n + 1}${eigenvalues[n] < 0 ? " i" : ""}`),
      eigenvalue: eigenvalues,
      stress: own,
      before: together.map((sum, n) => sum - own[n]),
      cumulative: together,
      top: together.map((sum, n) => Math.max(sum, this.bars?.stress.high[n] ?? 0)),
      percent: together.map(percent),
    };
    for (const [name, band] of Object.entries(this.bars ? { cumulative: this.bars.stress, magnitude: this.bars.magnitude } : {})) {
      for (const end of ["low", "high"]) columns[`${name} ${end}`] = band[end].slice(0, own.length);
    }
    return ofAxes(columns);
  }

  // All axes that are known, but those with the eigenvalue 0, which a logarithm does not have.
  spectrum() {
    const all = this.picture.spectrum;
    const axes = all.map((_, n) => n).filter((n) => all[n] !== 0);
    const columns = {
      axis: axes.map((n) => n + 1),
      magnitude: axes.map((n) => Math.abs(all[n])),
      fill: axes.map((n) => (all[n] < 0 ? "white" : SPECTRUM_INK)),
      sign: axes.map((n) => (all[n] < 0 ? "i" : "")),
    };
    return ofAxes(columns);
  }

  // Outlines of error bars, of some means, on d axes: "outline 1 3 2" is on the second of the axes 1 and 3.
  ellipses(d) {
    if (!this.bars) return empty();
    const steps = this.quantity("step");
    const means = new Map(this.groups().map(([first], place) => [`${this.curve[first]} ${steps[first]}`, place]));
    const placeOf = (n) => means.get(`${this.bars.curve[n]} ${this.bars.step[n]}`);
    const drawn = this.bars.curve.map((_, n) => n).filter((n) => placeOf(n) !== undefined);
    const outlines = {}; // by their axes
    const outlinesOn = (axes) => {
      const covariance = (n) => axes.map((i) => axes.map((j) => this.bars.covariance[n][i - 1]?.[j - 1] ?? 0));
      return drawn.map((n) => outlinesOf(covariance(n), OUTLINE[d], this.bars.radii[d - 2]));
    };
    const column = (name) => {
      const axes = name.split(" ").slice(1).map(Number);
      const number = axes.pop() - 1;
      outlines[axes] ??= outlinesOn(axes);
      const centres = this.meanColumn(`inpca ${axes[number]}`);
      return outlines[axes].flatMap((some, k) => some.flat().map((point) => centres[placeOf(drawn[k])] + point[number]));
    };
    const count = (d * (d - 1)) / 2;
    const line = Array.from({ length: drawn.length * count * OUTLINE[d] }, (_, n) => Math.floor(n / OUTLINE[d]));
    const curve = line.map((outline) => this.bars.curve[drawn[Math.floor(outline / count)]]);
    return table(column, curve, undefined, line);
  }

  // From where to where draws have the explained stress of the first axes: two rows each.
  stressBand() {
    if (!this.bars) return empty();
    const [low, high] = ["low", "high"].map((end) => this.bars.stress[end].slice(0, this.data.about.n_axes));
    const names = this.get("axes").column("name");
    const line = low.flatMap((_, n) => [n, n]);
    const columns = { end: low.flatMap((start, n) => [start, high[n]]), name: line.map((n) => names[n]) };
    return table((name) => columns[name], null, line.map(() => -1), line);
  }

  // From where to where draws have the magnitude of each eigenvalue; of a logarithm nothing is below 0.
  spectrumBand() {
    if (!this.bars) return empty();
    const { low, high } = this.bars.magnitude;
    const axes = low.map((_, n) => n).filter((n) => low[n] > 0);
    return ofAxes({ axis: axes.map((n) => n + 1), low: axes.map((n) => low[n]), high: axes.map((n) => high[n]) });
  }

  geodesic(...which) {
    const column = (name) => this.picture.geodesic(Number(name.slice(6))).slice(...which);
    return table(column, null, column("inpca 1").map(() => -1));
  }

  // -- sentences ----------------------------------------------------------------------------------------------------

  fact(name) {
    const { about } = this.data;
    const facts = {
      meaning: () => about.meaning,
      references: () => about.references,
      ellipses: () => this.bars?.sentences[this.choices.dimensions === "3-D" ? "space" : "plane"] ?? "",
      draws: () => this.bars?.sentences.draws ?? "",
      bands: () => this.bars?.sentences.spectrum ?? "",
      fitted: () => this.picture.fitted(),
      landmarks: () => this.picture.fromLandmarks(),
      thinned: () => this.thinning(),
      schedule: () => this.schedule(),
      beyond: () => (this.reach() ? "→: the longest run there, past the axis." : ""),
    };
    return facts[name]();
  }

  thinning() {
    this.get("checkpoints");
    this.get("means");
    const sentences = [];
    const all = count(this.rows.length);
    const { drawn, k } = this.thinned;
    if (k > 1) {
      sentences.push(
        `Drawn: every ${ordinal(k)} checkpoint of each run, with its first and last ` +
          `(${count(drawn.length)} of ${all}); everything is computed from all of them.`,
      );
    }
    const means = this.thinnedMeans;
    if (means.k > 1) {
      const of = `${count(means.drawn.length)} of ${count(this.groups().length)}`;
      sentences.push(`Of the means: every ${ordinal(means.k)} point (${of}).`);
    }
    return sentences.join(" ");
  }

  schedule() {
    const runs = this.get("runs");
    const [counts, first, last] = ["n_checkpoints", "first step", "last step"].map(runs.column);
    if ([counts, first, last].some((column) => new Set(column).size > 1)) {
      return `Schedules differ (${Math.min(...counts)} to ${Math.max(...counts)} checkpoints): lengths do not compare.`;
    }
    if (counts[0] === 1) return `1 checkpoint a run, step ${first[0]}: no way yet.`;
    return `${counts[0]} checkpoints a run, steps ${first[0]} to ${last[0]}.`;
  }
}

function table(compute, curve, rows = curve.map(() => -1), line = null) {
  const known = {};
  return { column: (name) => (known[name] ??= compute(name)), curve, rows, line };
}

const empty = () => table(() => [], null, []);

// A table of axes, which are of no curve and no checkpoint.
const ofAxes = (columns) => table((name) => columns[name], null, Object.values(columns)[0].map(() => -1));

// -- words and numbers, as Python writes them -----------------------------------------------------------------------

export const count = (number) => number.toLocaleString("en-US");

export function percent(share) {
  return share >= 0.095 || share === 0 ? `${Math.round(share * 100)}%` : `${(share * 100).toFixed(1)}%`;
}

// A number with so many digits that count, without zeros at its end: Python's ":g".
export function general(number, digits = 6) {
  return String(Number(number.toPrecision(digits)));
}

export function ordinal(number) {
  const ending = [11, 12, 13].includes(number % 100) ? "th" : ({ 1: "st", 2: "nd", 3: "rd" }[number % 10] ?? "th");
  return `${number}${ending}`;
}
