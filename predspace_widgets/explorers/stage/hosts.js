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

// Of each kind one question is on its way and one waits, the newest: those between are answered by null.
function newestOnly(send) {
  const kinds = new Map();
  const start = (kind, job) => {
    kinds.set(kind, { next: null });
    send(job.request).then(job.done, job.fail).finally(() => {
      const { next } = kinds.get(kind);
      kinds.delete(kind);
      if (next) start(kind, next);
    });
  };
  return (kind, request) =>
    new Promise((done, fail) => {
      const job = { request, done, fail };
      const busy = kinds.get(kind);
      if (!busy) return start(kind, job);
      busy.next?.done(null);
      busy.next = job;
    });
}

const LOST = "This needs Python, and the connection is lost. What the browser can do goes on.";

const BUSY = "A cell is running, and Python hears nothing meanwhile: what the browser cannot do waits for its end.";
const HEARD = 2000; // milliseconds within which a kernel hears a question if no cell keeps it busy

const newName = () => Math.random().toString(36).slice(2);

// Questions by message: they have numbers, so that answers find them. Stages that show one explorer hear all answers, and
// each knows its own by its name.
class Mail {
  constructor(post, isOpen) {
    Object.assign(this, { post, isOpen, onUnheard: () => {}, waiting: new Map(), unheard: new Set(), stage: newName(), number: 0 });
  }

  send(request) {
    const number = ++this.number;
    return new Promise((done, fail) => {
      if (!this.isOpen()) return fail(new Error(LOST));
      this.waiting.set(number, { done, fail });
      this.unheard.add(number);
      setTimeout(() => this.unheard.has(number) && this.onUnheard(true), HEARD);
      this.post({ ...request, number, stage: this.stage });
    });
  }

  async hear(message, content) {
    if (message.stage !== this.stage) return;
    this.unheard.delete(message.heard ?? message.number);
    if (!this.unheard.size) this.onUnheard(false);
    if (message.heard) return;
    const waiting = this.waiting.get(message.number);
    this.waiting.delete(message.number);
    if (message.error) waiting?.fail(new Error(message.error));
    else waiting?.done(await answered(message, content));
  }
}

// Questions by HTTP: a server that was away is there again for the next one. It gives each page its turn.
function byHttp(address) {
  const headers = { "X-Stage": newName() };
  return async (request) => {
    let response;
    try {
      response = await fetch(address, { method: "POST", body: JSON.stringify(request), headers });
    } catch {
      throw new Error(LOST);
    }
    if (!response.ok) throw new Error(`Python could not answer (${response.status}): load the page again.`);
    const message = JSON.parse(response.headers.get("X-Stage-Answer") ?? "{}");
    if (message.error) throw new Error(message.error);
    const isPlain = !message.packed && !message.bytes;
    return isPlain ? response.json() : answered(message, await response.arrayBuffer());
  };
}

const bytesOf = (value) =>
  ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value);

// What Python answers: numbers are packed, files are bytes, all else is plain.
async function answered(message, content) {
  if (message.packed) return unpack(bytesOf(content));
  return message.bytes ? bytesOf(content) : message.answer;
}

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
  Object.assign(root.style, { height: model.get("height"), overflow: "auto" }); // cards may need more, one below another
  const mail = new Mail((message) => model.send(message), () => model.comm_live ?? true);
  mail.onUnheard = noticeBefore(root, BUSY);
  const ask = newestOnly((request) => mail.send(request));
  model.on("msg:custom", (message, buffers) => mail.hear(message, buffers?.[0]));
  const stage = await mount(root, {
    payload: async () => bytesOf(model.get("payload")),
    get choices() {
      return model.get("choices"); // Python may have chosen while the numbers came
    },
    plotly: plotlyOnce(async () => (await plotlyOfLab()) ?? plotlyFrom(await ask("plotly", { kind: "plotly" }))),
    ask,
    save: (choices, scenes) => ask("save", { kind: "save", choices, scenes }),
    tell: (choices) => {
      model.set("choices", choices);
      model.save_changes();
    },
    on: (listen) => model.on("change:choices", () => listen(model.get("choices"))),
    live: {
      now: () => model.get("live"),
      on: (listen) => model.on("change:live", listen),
      news: (listen) => {
        const told = async () => model.get("news")?.byteLength && listen(await unpack(bytesOf(model.get("news"))));
        model.on("change:news", told);
        told();
      },
    },
    address: false,
  });
  root.dataset.live = model.get("still"); // still pictures of this name give way
  return stage;
}

// A sentence above the stage, which is spoken when it is shown.
function noticeBefore(root, text) {
  const notice = document.createElement("p");
  notice.role = "status";
  notice.style.cssText = "margin: 0; background: #fff4e8; color: #7c2d12; font: 13px sans-serif; text-align: center";
  root.before(notice);
  return (isShown) => (notice.textContent = isShown ? text : "");
}

// A component of somebody's Panel page.
async function inPanel(model, root) {
  root.style.height = "100%";
  const mail = new Mail((message) => model.send_msg(message), isConnected);
  model.on("msg:custom", (event) => {
    const message = event.data ?? event;
    mail.hear(message, message.content);
  });
  const ask = newestOnly((request) => mail.send(request));
  return mount(root, {
    payload: () => ask("payload", { kind: "payload" }),
    get choices() {
      return model.choices;
    },
    plotly: plotlyOnce(async () => plotlyFrom(await ask("plotly", { kind: "plotly" }))),
    ask,
    save: (choices, scenes) => ask("save", { kind: "save", choices, scenes }),
    tell: (choices) => {
      model.choices = choices;
    },
    on: (listen) => model.on("choices", () => listen(model.choices)),
    live: { now: () => model.live, on: (listen) => model.on("live", listen) },
    address: false,
  });
}

// The served page has its numbers and its answers by HTTP, and tells nobody what is chosen: it stands in the address.
export async function served(root) {
  const { numbers, plotly } = root.dataset;
  const ask = newestOnly(byHttp(numbers));
  const payload = async () => {
    const response = await fetch(numbers);
    if (!response.ok) throw new Error(`the server answers ${response.status}`);
    return bytesOf(await response.arrayBuffer());
  };
  const host = { payload, ask, choices: {}, tell: () => {}, on: () => {}, address: true };
  host.plotly = plotlyOnce(() => plotlyFromUrl(plotly));
  host.save = (choices, scenes) => ask("save", { kind: "save", choices, scenes });
  await mount(root, host).catch((error) => {
    console.error(error);
    root.textContent = `The explorer could not start: ${error.message}`;
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
    live: {
      now: () => false,
      on: () => {},
      news: async (listen) => text("predspace-news") && listen(await unpack(bytes("predspace-news"))), // when it was saved
    },
    address: true,
  });
}
