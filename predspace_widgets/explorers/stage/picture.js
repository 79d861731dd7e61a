// The picture of a choice: coordinates of the chosen checkpoints, on axes that are fitted where the choice says.
import { fitAxes, project } from "./inpca.js";
import { squareOf } from "./packing.js";
import { chosenRows, count, percent } from "./tables.js";

const MOST_KEPT = 8; // frames
const ROOM = 0.03; // of the extent of an axis, at either end
const ALL_NEW = "the axes have less than two checkpoints to be fitted on: new ones count once the axes are fitted anew";
const TOO_FEW = "only one checkpoint is chosen: a picture needs at least two";

function frozenRows(data, frozen) {
  try {
    return chosenRows(data, frozen);
  } catch (error) {
    throw new Error(`the axes have nothing to be fitted on: ${error.message}`);
  }
}

export class Pictures {
  constructor(data) {
    this.data = data;
    this.frames = new Map(); // by what they were fitted on
    this.answers = new Map(); // what was asked of Python, by the choices that it depends on
  }

  of(choices) {
    const { data } = this;
    const rows = chosenRows(data, choices);
    const { published, everything } = data.about;
    if (!published && data.about.n_checkpoints < 2) throw new Error(TOO_FEW);
    if (published || choices.axes_fitted_on === "everything") {
      return new Picture(data, rows, rows, data.arrays.everything, data.arrays.geodesic, everything, choices);
    }
    const chosen = choices.axes_fitted_on === "shown" ? rows : frozenRows(data, choices.frozen);
    const fitted = chosen.filter((row) => row < data.about.n_checkpoints); // those that came later are projected
    if (fitted.length < 2) throw new Error(fitted.length < chosen.length ? ALL_NEW : TOO_FEW);
    if (!data.arrays.distances) {
      const answer = this.answers.get(this.key(choices));
      if (!answer) throw Object.assign(new Error("the picture is asked for"), { needs: "picture" });
      const places = rows.some((row) => row >= data.about.n_checkpoints) ? placesOfKnown(rows, data.about.n_checkpoints) : null;
      return new Picture(data, rows, places, answer.arrays.embedding, answer.arrays.geodesic, answer.about, choices);
    }
    const frame = this.frame(fitted);
    const inside = rows.every((row) => frame.places.has(row));
    if (!inside) this.projectAll(frame);
    const places = inside ? rows.map((row) => frame.places.get(row)) : rows;
    const coordinates = inside ? frame.axes.coordinates : frame.all;
    const picture = new Picture(data, rows, places, coordinates, frame.geodesic, frame.about, choices);
    return Object.assign(picture, { fittedCoordinates: frame.axes.coordinates, projected: !inside });
  }

  // The choices that a picture depends on.
  dependsOn({ curves, seeds, epochs, where, axes_fitted_on, frozen }) {
    return { curves, seeds, epochs, where, axes_fitted_on, frozen };
  }

  key(choices) {
    return JSON.stringify(this.dependsOn(choices));
  }

  keep(map, key, value) {
    map.set(key, value);
    if (map.size > MOST_KEPT) map.delete(map.keys().next().value);
    return value;
  }

  frame(fitted) {
    const key = fitted.join();
    if (this.frames.has(key)) return this.frames.get(key);
    const { arrays, about } = this.data;
    const T = about.n_checkpoints;
    this.square ??= squareOf(arrays.distances, T);
    const rounding = arrays.distances instanceof Float32Array ? 2 ** -25 : undefined;
    const reference = arrays.everything.subarray(0, T * arrays.everything.shape[1]); // without those that came later
    const axes = fitAxes(this.square, T, fitted, about.n_spectrum, reference, rounding);
    const own = axes.stress.map((sum, n) => sum - (n ? axes.stress[n - 1] : 0));
    return this.keep(this.frames, key, {
      axes,
      places: new Map(Array.from(fitted, (row, place) => [row, place])),
      geodesic: shaped(project(axes, arrays["geodesic distances"], T), axes.k),
      about: { eigenvalues: axes.eigenvalues, explained_stress: axes.stress, axis_stress: own, fitted_on: fitted.length },
    });
  }

  // Coordinates of all checkpoints: of the fitted as they were fitted, of the rest projected.
  projectAll(frame) {
    const later = this.data.arrays["new distances"] ?? [];
    if (frame.all && frame.later === later.length) return;
    frame.later = later.length;
    const { axes, places } = frame;
    const T = this.data.about.n_checkpoints;
    const all = new Float32Array((T + later.length / T) * axes.k);
    all.set(project(axes, this.square, T));
    if (later.length) all.set(project(axes, later, T), T * axes.k);
    for (const [row, place] of places) {
      for (let k = 0; k < axes.k; k++) all[row * axes.k + k] = axes.coordinates[place * axes.k + k];
    }
    frame.all = shaped(all, axes.k);
  }
}

// Where Python's coordinates of rows stand that it knows; of those that came later it has none.
function placesOfKnown(rows, T) {
  let place = 0;
  return Array.from(rows, (row) => (row < T ? place++ : NaN));
}

const shaped = (values, k) => Object.assign(values, { shape: [values.length / k, k] });

class Picture {
  // places: where the coordinates of each row stand; null where they stand in the order of the rows.
  constructor(data, rows, places, coordinates, line, about, choices) {
    Object.assign(this, { data, rows, places, coordinates, line, about, choices: { ...choices } });
    this.fittedCoordinates = coordinates;
    this.k = coordinates.shape?.[1] ?? about.eigenvalues.length;
    this.spectrum = Array.from(about.eigenvalues);
    this.eigenvalues = this.spectrum.slice(0, data.about.n_axes);
    this.together = Array.from(about.explained_stress).slice(0, data.about.n_axes);
    this.own = Array.from(about.axis_stress).slice(0, data.about.n_axes);
  }

  // Coordinates on an axis, from 1; 0 on one that so few points do not have.
  column(number) {
    if (number > this.k) return Array(this.rows.length).fill(0);
    return Array.from(this.rows, (_, n) => this.coordinates[(this.places ? this.places[n] : n) * this.k + number - 1]);
  }

  // What some axes add to the explained stress, as their titles have it: of the first ones, what they explain together.
  explainedBy(axes) {
    return axes.reduce((sum, number) => sum + (this.own[number - 1] ?? 0), 0);
  }

  geodesic(number) {
    if (!this.line) return [];
    const n = this.line.length / this.k;
    return Array.from({ length: n }, (_, point) => (number > this.k ? 0 : this.line[point * this.k + number - 1]));
  }

  // From where to where an axis is drawn: all that it was fitted on and all that is shown, with some room.
  extent(number) {
    const extents = (this.about.extents ??= {}); // of what was fitted: the same for all choices
    const fitted = (extents[number] ??= this.extentOfFitted(number));
    const shown = this.places === null || this.projected ? this.column(number) : [];
    const [low, high] = [Math.min, Math.max].map((pick, end) => shown.reduce((one, other) => pick(one, other), fitted[end]));
    const room = ROOM * (high - low) || ROOM;
    return [low - room, high + room];
  }

  extentOfFitted(number) {
    const coordinates = this.fittedCoordinates;
    let [low, high] = [Infinity, -Infinity];
    const add = (value) => ([low, high] = [Math.min(low, value), Math.max(high, value)]);
    if (number > this.k) add(0);
    else for (let at = number - 1; at < coordinates.length; at += this.k) add(coordinates[at]);
    this.geodesic(number).forEach(add);
    return [low, high];
  }

  title(number) {
    if (number > this.eigenvalues.length) return `InPCA ${number} · 0%`;
    const imaginary = this.eigenvalues[number - 1] < 0 ? " (imaginary)" : "";
    return `InPCA ${number}${imaginary} · ${percent(this.own[number - 1])}`;
  }

  fitted() {
    if (this.data.about.published) {
      return this.data.about.published;
    }
    const n = count(this.about.fitted_on);
    const what = {
      everything: `everything, ${n} checkpoints`,
      shown: `the ${n} checkpoints shown`,
      frozen: `the ${n} checkpoints shown when they were frozen`,
    };
    return `Axes fitted on ${what[this.choices.axes_fitted_on]}.`;
  }

  fromLandmarks() {
    const { landmarks } = this.about;
    return landmarks ? `They come from ${count(landmarks)} landmark checkpoints; the rest are projected.` : "";
  }
}
