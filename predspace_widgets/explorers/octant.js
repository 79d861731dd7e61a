// The octant: predictions of one image among three classes are points on an eighth of the unit sphere, since the
// squares of their coordinates, the square roots of the probabilities, add up to 1. Two of them can be moved.

const SVG = "http://www.w3.org/2000/svg";
const NAMES = ["first", "second"];
const THIRD = 1 / Math.sqrt(3);
const STEP = 0.02; // of a press of an arrow key, in radii
const BY_KEY = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// -- the mathematics of predspace_widgets.geometry, of one sample -------------------------------------------------------

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const normalised = (point) => point.map((value) => value / Math.sqrt(dot(point, point)));
const rootsOf = (probabilities) => normalised(probabilities.map((value) => Math.sqrt(Math.max(value, 0))));
const squares = (roots) => roots.map((root) => root * root);

// 1 - b = |a - b|^2 / 2 keeps its digits where both are close.
function compare(first, second) {
  const apart = first.map((root, c) => root - second[c]);
  const deficit = Math.min(dot(apart, apart) / 2, 1);
  const overlap = deficit < 0.5 ? 1 - deficit : dot(first, second);
  return { overlap, bhattacharyya: Math.abs(deficit < 0.5 ? Math.log1p(-deficit) : Math.log(overlap)), angle: 2 * Math.asin(Math.sqrt(deficit / 2)) };
}

function geodesic(from, to, t) {
  const { angle } = compare(from, to);
  if (angle < 1e-7) return from;
  return from.map((root, c) => (Math.sin((1 - t) * angle) * root + Math.sin(t * angle) * to[c]) / Math.sin(angle));
}

// The point of the straight line between the probabilities, on the sphere.
const mixture = (from, to, t) => rootsOf(from.map((root, c) => (1 - t) * root ** 2 + t * to[c] ** 2));

// The overlap with the geodesic from ignorance to truth is A cos(t g) + B sin(t g), largest at tan(t g) = B / A.
function progress(point, truth) {
  const [A, end, g] = [dot(point, [THIRD, THIRD, THIRD]), point[truth], Math.acos(THIRD)];
  return Math.min(1, Math.max(0, Math.atan2((end - A * Math.cos(g)) / Math.sin(g), A) / g));
}

// -- the picture: the sphere seen from ignorance, the truth on top ------------------------------------------------------

class View {
  constructor(truth) {
    this.up = [0, 1, 2].map((c) => (c === truth ? 2 : -1) / Math.sqrt(6));
    this.right = [0, 1, 2].map((c) => [0, -1, 1][(c - truth + 3) % 3] / Math.SQRT2);
  }

  place(point) {
    return [dot(point, this.right), -dot(point, this.up)];
  }

  // The point of the octant at a place, or beside one outside.
  lift([x, y]) {
    const depth = Math.sqrt(Math.max(0, 1 - x * x - y * y)) * THIRD;
    return normalised([0, 1, 2].map((c) => Math.max(0, x * this.right[c] - y * this.up[c] + depth)));
  }

  line(at, steps = 48) {
    const places = Array.from({ length: steps + 1 }, (_, k) => this.place(at(k / steps)));
    return "M" + places.map((place) => place.map((value) => value.toFixed(4)).join(" ")).join("L");
  }
}

function make(kind, attributes = {}, ...children) {
  const isDrawn = ["svg", "g", "path", "circle", "rect", "text"].includes(kind);
  const element = isDrawn ? document.createElementNS(SVG, kind) : document.createElement(kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const short = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);
const percent = (value) => `${(100 * value).toFixed(1)}%`;

// Lines on which one class has the same probability: circles around its corner.
function contours(view) {
  const lines = [];
  for (let c = 0; c < 3; c += 1) {
    for (const share of [0, 0.25, 0.5, 0.75]) {
      const at = (t) => [0, 1, 2].map((k) => Math.sqrt(k === c ? share : (1 - share) * (k === (c + 1) % 3 ? t : 1 - t)));
      const round = (t) => at(Math.sin((t * Math.PI) / 2) ** 2);
      lines.push(make("path", { d: view.line(round), class: share ? "contour" : "edge" }));
    }
  }
  return lines;
}

function corners(view, classes, truth) {
  return classes.map((name, c) => {
    const [x, y] = view.place([0, 1, 2].map((k) => Number(k === c)));
    const look = { x, y: c === truth ? y - 0.1 : y + 0.17, class: "corner" };
    return make("text", look, c === truth ? `★ ${short(name)}, the truth` : short(name));
  });
}

// Predictions one after the other, such as those of a training.
function trail(view, path) {
  if (!path.length) return [];
  const places = path.map((probabilities) => view.place(rootsOf(probabilities)));
  const dots = places.map(([cx, cy]) => make("circle", { cx, cy, r: 0.016, class: "step" }));
  return [make("path", { d: `M${places.map((place) => place.join(" ")).join("L")}`, class: "trail" }), ...dots];
}

class Octant {
  constructor(root, model) {
    Object.assign(this, { root, model, classes: model.get("classes"), points: {} });
    this.truth = this.classes.indexOf(model.get("truth"));
    this.view = new View(this.truth);
    this.take();
    this.build();
    this.draw();
    this.listen = () => {
      this.take();
      this.draw();
    };
    for (const name of NAMES) model.on?.(`change:${name}`, this.listen);
  }

  destroy() {
    for (const name of NAMES) this.model.off?.(`change:${name}`, this.listen);
  }

  take() {
    for (const name of NAMES) this.points[name] = rootsOf(this.model.get(name));
  }

  move(name, point) {
    this.points[name] = point;
    this.model.set(name, squares(point));
    this.model.save_changes();
    this.draw();
  }

  build() {
    const truth = [0, 1, 2].map((c) => Number(c === this.truth));
    const path = this.view.line((t) => geodesic([THIRD, THIRD, THIRD], truth, t));
    this.paths = { mixture: make("path", { class: "mixture" }), geodesic: make("path", { class: "geodesic" }) };
    this.ticks = [0, 1, 2, 3, 4, 5].map((n) => make("circle", { r: 0.014, class: n < 3 ? "tick" : "hollow tick" }));
    this.handles = Object.fromEntries(NAMES.map((name) => [name, this.handle(name)]));
    const label = `Predictions of one image among ${this.classes.join(", ")}: an eighth of a sphere`;
    this.drawing = make(
      "svg",
      { viewBox: "-1.02 -1.02 2.04 1.75", role: "group", "aria-label": label },
      ...contours(this.view),
      make("path", { d: path, class: "to-truth" }),
      make("circle", { r: 0.022, class: "ignorance" }),
      ...corners(this.view, this.classes, this.truth),
      ...trail(this.view, this.model.get("path")),
      ...Object.values(this.paths),
      ...this.ticks,
      ...Object.values(this.handles),
    );
    this.root.replaceChildren(make("div", { class: "picture" }, this.drawing, legend(this.model.get("path").length)), this.side());
  }

  handle(name) {
    const shape = name === "first" ? ["circle", { r: 0.055 }] : ["rect", { x: -0.05, y: -0.05, width: 0.1, height: 0.1, transform: "rotate(45)" }];
    const look = { tabindex: 0, role: "slider", class: `handle ${name}`, "aria-valuemin": 0, "aria-valuemax": 100 };
    const touched = make("circle", { r: 0.11, class: "touched" });
    const handle = make("g", look, touched, make(shape[0], { ...shape[1], class: "shape" }), make("text", { y: 0.026 }, name === "first" ? "1" : "2"));
    handle.setAttribute("aria-label", `${name} prediction: arrow keys move it, Home is ignorance, End the truth`);
    handle.addEventListener("keydown", (event) => this.press(name, event));
    // A finger on it does not scroll the page: touch-action does nothing inside of an SVG.
    handle.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.focus();
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener("pointermove", (event) => {
      if (handle.hasPointerCapture(event.pointerId)) this.move(name, this.view.lift(this.placeOf(event)));
    });
    return handle;
  }

  placeOf(event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.drawing.getScreenCTM().inverse());
    return [x, y];
  }

  press(name, event) {
    const way = BY_KEY[event.key];
    const corner = [0, 1, 2].map((c) => Number(c === this.truth));
    const end = { Home: [THIRD, THIRD, THIRD], End: corner }[event.key];
    if (!way && !end) return;
    event.preventDefault();
    event.stopPropagation(); // arrow keys of a notebook go to the next cell
    const step = event.shiftKey ? 5 * STEP : STEP;
    const [x, y] = this.view.place(this.points[name]);
    this.move(name, end ?? this.view.lift([x + step * way[0], y + step * way[1]]));
  }

  // Beside the picture: probabilities as bars, and what is measured.
  side() {
    this.cells = {};
    const rows = this.classes.map((name, c) => {
      const cells = NAMES.map((which) => {
        const bar = make("div", { class: `bar ${which}` });
        const number = make("span");
        this.cells[`${which} ${c}`] = { bar, number };
        return make("td", {}, bar, number);
      });
      return make("tr", {}, make("th", { scope: "row" }, c === this.truth ? `★ ${short(name)}` : short(name)), ...cells);
    });
    const head = make("tr", {}, make("th", { scope: "col" }, "class"), ...["● 1 first", "◆ 2 second"].map((name) => make("th", { scope: "col" }, name)));
    this.numbers = Object.fromEntries(MEASURED.map(([name]) => [name, make("dd", { "data-number": name })]));
    const list = MEASURED.flatMap(([name, text]) => [make("dt", {}, text), this.numbers[name]]);
    const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
    return make("div", { class: "side" }, table, make("dl", {}, ...list));
  }

  draw() {
    const { first, second } = this.points;
    const ways = { geodesic, mixture };
    for (const [name, path] of Object.entries(this.paths)) path.setAttribute("d", this.view.line((t) => ways[name](first, second, t)));
    this.ticks.forEach((tick, n) => {
      const [cx, cy] = this.view.place((n < 3 ? geodesic : mixture)(first, second, ((n % 3) + 1) / 4));
      Object.entries({ cx, cy }).forEach(([name, value]) => tick.setAttribute(name, value));
    });
    for (const name of NAMES) this.drawPrediction(name, squares(this.points[name]));
    const apart = compare(first, second);
    const shares = { "progress of first": progress(first, this.truth), "progress of second": progress(second, this.truth) };
    for (const [name, value] of Object.entries({ ...apart, ...shares })) {
      this.numbers[name].dataset.value = value;
      this.numbers[name].textContent = value === Infinity ? "∞" : value.toFixed(3);
    }
    this.numbers.angle.textContent += ` (${((apart.angle * 180) / Math.PI).toFixed(1)}°)`;
  }

  drawPrediction(name, probabilities) {
    const [x, y] = this.view.place(this.points[name]);
    const handle = this.handles[name];
    handle.setAttribute("transform", `translate(${x} ${y})`);
    handle.setAttribute("aria-valuenow", (100 * probabilities[this.truth]).toFixed(1));
    handle.setAttribute("aria-valuetext", this.classes.map((one, c) => `${one} ${percent(probabilities[c])}`).join(", "));
    probabilities.forEach((value, c) => {
      const { bar, number } = this.cells[`${name} ${c}`];
      bar.style.width = `${(50 * value).toFixed(1)}%`;
      number.textContent = value.toFixed(3);
      number.dataset.value = value;
    });
  }
}

const MEASURED = [
  ["overlap", "overlap b = Σ √(p q)"],
  ["bhattacharyya", "d_B = −log b"],
  ["angle", "d_G = arccos b"],
  ["progress of first", "progress of 1"],
  ["progress of second", "progress of 2"],
];

function legend(nSteps) {
  const lines = [
    ["━", "geodesic between 1 and 2, quarters marked"],
    ["╍", "straight mixture of both, quarters marked"],
    ["●", "ignorance, and the geodesic from it to the truth"],
    ["", "thin lines: one class at 25%, 50% and 75%"],
  ];
  if (nSteps) lines.push(["○", `${nSteps} predictions one after the other`]);
  return make("ul", { class: "legend" }, ...lines.map(([mark, text]) => make("li", {}, make("b", { "aria-hidden": "true" }, mark), ` ${text}`)));
}

function mount(parent, model) {
  const root = make("div", { class: "predspace-octant" });
  parent.append(root);
  return new Octant(root, model);
}

// anywidget calls this.
function render({ model, el }) {
  const octant = mount(el, model);
  el.firstChild.dataset.live = model.get("still"); // still pictures of this name give way
  return () => octant.destroy();
}

// A page without Python: its values are kept here.
export function open(parent, values) {
  mount(parent, { get: (name) => values[name], set: (name, value) => (values[name] = value), save_changes() {} });
}

export default { render };
