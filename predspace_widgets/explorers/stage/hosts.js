// Where the stage lives: a notebook widget, a component of a Panel page, or one file. All speak the same few words.
import { mount } from "./stage.js";
import { unpack } from "./packing.js";

// plotly.js comes once a page, whoever asks first.
const PLOTLY = Symbol.for("predspace.plotly");

function plotlyOnce(load) {
  return () => (globalThis[PLOTLY] ??= globalThis.Plotly?.react ? Promise.resolve(globalThis.Plotly) : load());
}

async function plotlyFrom(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return plotlyFromText(await new Response(stream).text());
}

function plotlyFromText(text) {
  return plotlyFromUrl(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
}

function plotlyFromUrl(address) {
  return new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => done(globalThis.Plotly);
    script.onerror = () => fail(new Error("plotly.js could not be loaded: only the 3-D picture can be drawn"));
    document.head.append(script);
  });
}

// JupyterLab's own extension has plotly.js; its inner structure may change, so whatever fails falls through.
async function plotlyOfLab() {
  const extension = globalThis._JUPYTERLAB?.["jupyterlab-plotly"];
  if (!extension) return null;
  try {
    const { RenderedPlotly } = (await extension.get("./mimeExtension"))();
    if (!RenderedPlotly.Plotly) {
      const figure = { data: { data: [], layout: {} }, metadata: {}, setData() {} };
      const once = new RenderedPlotly({ mimeType: "application/vnd.plotly.v1+json" });
      await once.renderModel({ ...figure, data: { "application/vnd.plotly.v1+json": { data: [], layout: {} } } });
      once.dispose?.();
    }
    const plotly = RenderedPlotly.Plotly ?? (await RenderedPlotly.loadingPlotly);
    return plotly?.react ? plotly : (plotly?.default ?? null);
  } catch {
    return null;
  }
}

// Questions have numbers, so that answers find them; of each kind only the newest is waited for.
class Line {
  constructor(send) {
    Object.assign(this, { send, waiting: new Map(), newest: new Map(), listeners: [], number: 0 });
  }

  ask(kind, request) {
    const before = this.newest.get(kind);
    if (before !== undefined && kind !== "plotly") this.waiting.delete(before);
    const number = ++this.number;
    this.newest.set(kind, number);
    return new Promise((done, fail) => {
      this.waiting.set(number, { done, fail });
      if (!this.send({ ...request, number })) {
        this.waiting.delete(number);
        fail(new Error("This needs Python, and the connection is lost. What the browser can do goes on."));
      }
    });
  }

  // message: {number, error} or {number} with an answer, or something that was not asked for.
  async hear(message, answer) {
    if (message.number === undefined) return this.listeners.forEach((listen) => listen(message));
    const waiting = this.waiting.get(message.number);
    this.waiting.delete(message.number);
    if (message.error) waiting?.fail(new Error(message.error));
    else waiting?.done(await answer());
  }
}

const bytesOf = (value) =>
  ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);

// What Python answers: numbers are packed, all else is plain.
const answered = async (message, content) => (message.packed ? unpack(bytesOf(content)) : message.bytes ? bytesOf(content) : message.answer);

// anywidget and Panel call the same function.
export async function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "predspace";
  const isPanel = typeof model.send_msg === "function";
  if (isPanel) el?.append?.(root);
  else el.append(root);
  const started = isPanel ? inPanel(model, root) : inNotebook(model, root);
  started.catch((error) => {
    console.error(error);
    root.textContent = `The explorer could not start: ${error.message}`;
  });
  if (isPanel) return root;
  const stage = await started;
  return () => stage?.destroy();
}

async function inNotebook(model, root) {
  root.style.height = model.get("height");
  const line = new Line((message) => {
    try {
      model.send(message);
      return Boolean(model.comm_live ?? true);
    } catch {
      return false;
    }
  });
  model.on("msg:custom", (message, buffers) => line.hear(message, () => answered(message, buffers?.[0])));
  model.on("change:choices", () => {
    line.listeners.forEach((listen) => listen({ kind: "choices", choices: model.get("choices") }));
  });
  return mount(root, {
    payload: async () => bytesOf(model.get("payload")),
    choices: model.get("choices"),
    plotly: plotlyOnce(async () => (await plotlyOfLab()) ?? plotlyFrom(await line.ask("plotly", { kind: "plotly" }))),
    ask: (kind, request) => line.ask(kind, request),
    save: async (choices) => new TextDecoder().decode(await line.ask("save", { kind: "save", choices })),
    tell: ({ choices }) => {
      model.set("choices", choices);
      model.save_changes();
    },
    on: (listen) => line.listeners.push(listen),
    address: false,
  });
}

async function inPanel(model, root) {
  root.style.height = "100%";
  const line = new Line((message) => {
    model.send_msg(message);
    return isConnected();
  });
  model.on("msg:custom", (event) => {
    const message = event.data ?? event;
    line.hear(message, () => answered(message, message.content));
  });
  model.on("choices", () => {
    line.listeners.forEach((listen) => listen({ kind: "choices", choices: model.choices }));
  });
  const { address } = model;
  const load = async () => (model.plotly_address ? plotlyFromUrl(model.plotly_address) : plotlyFrom(await line.ask("plotly", { kind: "plotly" })));
  return mount(root, {
    payload: async () => {
      if (model.data_address) return bytesOf(await (await fetch(model.data_address)).arrayBuffer());
      return line.ask("payload", { kind: "payload" });
    },
    choices: model.choices,
    plotly: plotlyOnce(load),
    ask: (kind, request) => line.ask(kind, request),
    save: async (choices) => new TextDecoder().decode(await line.ask("save", { kind: "save", choices })),
    tell: ({ choices }) => (model.choices = choices),
    on: (listen) => line.listeners.push(listen),
    address,
  });
}

function isConnected() {
  const documents = globalThis.Bokeh?.documents ?? [];
  const sockets = documents.map((one) => one.session?._connection?.socket).filter(Boolean);
  return !sockets.length || sockets.some((socket) => socket.readyState === WebSocket.OPEN);
}

// The page itself holds everything: numbers and plotly.js as base64, choices as JSON.
export async function open(root) {
  const text = (id) => document.getElementById(id).textContent;
  const bytes = (id) => Uint8Array.from(atob(text(id)), (letter) => letter.charCodeAt(0));
  const alone = "This needs the predictions, which this file does not hold: open the dataset in Python.";
  return mount(root, {
    payload: async () => bytes("predspace-payload"),
    choices: JSON.parse(text("predspace-choices")),
    plotly: plotlyOnce(() => plotlyFrom(bytes("predspace-plotly"))),
    ask: async () => Promise.reject(new Error(alone)),
    tell: () => {},
    on: () => {},
    address: true,
  });
}
