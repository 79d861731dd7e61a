// Blocks: what a card shows that is more than one figure; views/blocks.py says what they hold. Texts are always texts.
import { Chart } from "./chart.js";
import { el } from "./controls.js";

const MAKERS = { facts: factsBlock, links: linksBlock, text: textBlock, figure: figureBlock, samples: samplesBlock };

export class Blocks {
  constructor(root, plotly, stage) {
    Object.assign(this, { root, plotly, stage, charts: [] });
    this.body = root.appendChild(el("div", { className: "blocks", role: "group" }));
  }

  async draw(blocks, theme) {
    this.destroyCharts();
    this.body.replaceChildren(...blocks.map((block) => MAKERS[block.kind](block, this)));
    this.theme = theme;
    await Promise.all(this.charts.map(({ chart, figure }) => chart.draw(figure, theme)));
  }

  get spoken() {
    return this.body;
  }

  resize() {
    for (const { chart } of this.charts) chart.resize();
  }

  // A figure is drawn once it has its place on the page.
  later(node, figure, title) {
    const silent = { hover() {}, click() {}, choose: (choices) => this.stage.set(choices) };
    const chart = new Chart(node, this.plotly, silent);
    chart.spoken.setAttribute("aria-label", title);
    this.charts.push({ chart, figure });
  }

  destroyCharts() {
    for (const { chart } of this.charts) chart.destroy();
    this.charts = [];
  }

  destroy() {
    this.destroyCharts();
    this.body.remove();
  }
}

function block(title, ...children) {
  return el("section", { className: "block" }, title ? el("h3", { textContent: title }) : null, ...children);
}

function linkList(links, blocks) {
  const buttons = links.map(({ text, choices }) =>
    el("button", { className: "link", textContent: text, onclick: () => blocks.stage.set(choices) }),
  );
  return links.length ? el("div", { className: "links" }, ...buttons) : null;
}

function factsBlock({ title, rows, links }, blocks) {
  const cells = rows.flatMap(([name, value]) => [el("dt", { textContent: name }), el("dd", { textContent: value, title: value })]);
  return block(title, linkList(links, blocks), el("dl", {}, ...cells));
}

function linksBlock({ title, links }, blocks) {
  return block(title, linkList(links, blocks));
}

function textBlock({ text }) {
  return el("p", { className: "block words", textContent: text });
}

function figureBlock({ title, figure, height }, blocks) {
  const node = el("div", { className: "small drawing" });
  node.style.height = `${height}px`;
  blocks.later(node, figure, title);
  return block(title, node);
}

function samplesBlock({ title, samples, sides }, blocks) {
  const key = sides.length > 1 ? [el("p", { className: "sides" }, ...sides.map((side, n) => el("span", { className: `side${n}`, textContent: side })))] : [];
  return block(title, ...key, el("div", { className: "samples" }, ...samples.map((sample) => sampleTile(sample, blocks))));
}

function sampleTile({ name, note, image, bars, choices }, blocks) {
  const { now } = blocks.stage.choices;
  const chosen = Object.entries(choices).every(([choice, value]) => JSON.stringify(now[choice]) === JSON.stringify(value));
  const said = bars.map(([label, ...shares]) => `${label}: ${shares.map((share) => share.toFixed(3)).join(" and ")}`);
  const rows = bars.map(([label, ...shares], n) =>
    el(
      "span",
      { className: "bar", title: said[n] },
      el("span", { className: "label", textContent: label }),
      el("span", { className: "track" }, ...shares.map((share, n) => filledBar(share, n))),
    ),
  );
  return el(
    "button",
    {
      className: "sample",
      "aria-pressed": chosen,
      "aria-label": [name, note, ...said].join("; "), // bars are not spoken
      title: `${name}: ${note}`,
      onclick: () => blocks.stage.set(choices),
    },
    image ? picture(image) : null,
    el("span", { className: "words" }, el("span", { className: "name", textContent: name }), el("span", { className: "note", textContent: note }), ...rows),
  );
}

function filledBar(share, n) {
  const bar = el("span", { className: `fill side${n}` });
  bar.style.width = `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
  return bar;
}

// Pixels on a canvas: grey, or red, green and blue, with or without an opacity.
function picture({ shape: [height, width, channels], pixels }) {
  const canvas = el("canvas", { width, height, className: "thumbnail", "aria-hidden": true });
  const values = Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0));
  const data = new ImageData(width, height);
  for (let n = 0; n < width * height; n++) {
    const at = n * channels;
    const [red, green, blue] = channels < 3 ? [values[at], values[at], values[at]] : values.subarray(at, at + 3);
    data.data.set([red, green, blue, channels === 4 ? values[at + 3] : 255], 4 * n);
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}
