"""How fast the explorer is in a browser, step by step, as a Markdown table (`make bench-ui`).

Chromium with software rendering, on the demo dataset served by `predspace serve`; medians of `--repeats`. `--before
PATH` is a checkout of an older version of this package, of which what it has too is measured in the same run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from predspace_widgets.training.recorder import Recorder
from predspace_widgets.trajectories import demo_path, open_trajectories, save_trajectories
from predspace_widgets.trajectories.appending import append_checkpoints
from predspace_widgets.trajectories.testing import random_trajectories

HERE = Path(__file__).resolve().parents[1]
SIZE = {"width": 1280, "height": 720}
N_PAGES, SECONDS = 40, 10
PATIENCE = 180_000  # milliseconds

#: In the page, before its scripts: notes when the first picture is there, and when all cards are.
WATCH = """
window.marks = {};
const watch = () => {
  const [stage] = globalThis.predspace?.stages ?? [];
  if (stage) {
    const find = (node) => node.querySelector(".stage") ??
      [...node.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
    const body = find(document);
    const drawn = [...(body?.querySelectorAll("[data-view]") ?? [])]
      .filter((card) => card.querySelector(card.classList.contains("large") ? ".drawing canvas" : ".main-svg"));
    if (drawn.length) marks.first ??= performance.now();
    if (body && drawn.length === body.querySelectorAll("[data-view]").length) marks.all ??= performance.now();
  }
  if (marks.all === undefined) requestAnimationFrame(watch);
};
requestAnimationFrame(watch);
"""
WATCH_BEFORE = """
window.marks = {};
const watch = () => {
  let drawn = 0;
  const find = (node) => {
    if (node._fullLayout && node.data?.length) drawn += 1;
    if (node.shadowRoot) find(node.shadowRoot);
    for (const child of node.children ?? []) find(child);
  };
  if (document.documentElement) find(document.documentElement);
  if (drawn) marks.first ??= performance.now();
  if (drawn === 5) marks.all ??= performance.now();
  if (marks.all === undefined) setTimeout(watch, 20);
};
watch();
"""
#: Milliseconds from a click on the eye of a curve until what it changes is drawn and on the screen.
HIDE = """
async ({ number, follow }) => {
  const [stage] = predspace.stages;
  const find = (node) => node.querySelector(".stage") ??
    [...node.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
  const eye = find(document).querySelectorAll("[data-curve] .eye")[number];
  const canvas = find(document).querySelector(".large canvas");
  const paint = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const context = canvas.getContext("2d");
  const clear = context.clearRect;
  const start = performance.now();
  let first = null;
  context.clearRect = function (...all) { first ??= performance.now() - start; return clear.apply(this, all); };
  eye.click();
  if (!follow) { while (first === null) await paint(); await paint(); }
  const picture = performance.now() - start;
  await stage.whenDrawn();
  const all = performance.now() - start;
  delete context.clearRect;
  return { first, picture, all };
}
"""
HOVER = """
async (number) => {
  const find = (node) => node.querySelector(".stage") ??
    [...node.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
  const row = find(document).querySelectorAll("[data-curve]")[number];
  const paint = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const start = performance.now();
  row.dispatchEvent(new MouseEvent("mouseenter"));
  const script = performance.now() - start; // all cards are drawn within the event
  await paint();
  const shown = performance.now() - start;
  row.dispatchEvent(new MouseEvent("mouseleave"));
  await paint();
  return { script, shown };
}
"""
PLAY = """
async () => {
  const [stage] = predspace.stages;
  await stage.whenDrawn();
  stage.set({ time: 0 });
  let last = null;
  const start = performance.now();
  let frames = 0;
  stage.play();
  while (performance.now() - start < 4000) {
    await new Promise((done) => requestAnimationFrame(done));
    const { time } = stage.state;
    if (time !== last) frames += 1;
    last = time;
  }
  const seconds = (performance.now() - start) / 1000;
  stage.pause();
  return frames / seconds;
}
"""
FOUR = """
async () => {
  const [stage] = predspace.stages;
  const { curves } = stage.state;
  for (let n = 1; n <= 4; n++) {
    stage.set({ curves: curves.slice(n) });
    await new Promise((done) => setTimeout(done, 37));
  }
  const clicked = performance.now();
  await stage.whenDrawn();
  const drawn = performance.now() - clicked;
  const right = stage.state.curves.length === curves.length - 4;
  stage.set({ curves });
  await stage.whenDrawn();
  return { drawn, right };
}
"""
#: Milliseconds from a choice of checkpoints, as a click makes it, until the inspector shows their samples.
INSPECT = """
async (rows) => {
  const [stage] = predspace.stages;
  await stage.whenDrawn();
  const start = performance.now();
  stage.set({ selected: rows });
  await stage.whenDrawn();
  return performance.now() - start;
}
"""
#: A choice that only Python can answer, and the longest time for which the page did not answer meanwhile.
PAUSE = """
async (choices) => {
  const [stage] = predspace.stages;
  await stage.whenDrawn();
  let longest = 0;
  let before = performance.now();
  const tick = () => {
    const now = performance.now();
    longest = Math.max(longest, now - before);
    before = now;
  };
  const ticking = setInterval(tick, 5);
  const start = performance.now();
  stage.set(choices);
  await stage.whenDrawn();
  const drawn = performance.now() - start;
  clearInterval(ticking);
  tick();
  return { drawn, longest };
}
"""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--before", type=Path, help="a checkout of an older version")
    options.add_argument("--pages", type=int, default=N_PAGES)
    options.add_argument("--only", nargs="*", default=[], help="names of rows")
    wanted = options.parse_args()
    parts: dict[str, Callable[[Browser, argparse.Namespace], None]] = {
        "demo": demo_rows,
        "inspect": inspect_rows,
        "before": before_rows,
        "large": large_rows,
        "pages": pages_row,
        "live": live_row,
    }
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f} at the beginning, medians of {wanted.repeats}\n")
    print("| from | to | measured |\n| --- | --- | --- |")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name, part in parts.items():
            if not wanted.only or name in wanted.only:
                part(browser, wanted)
        browser.close()


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


@contextmanager
def served(*arguments: str, package: Path = HERE) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a server, and its process."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "predspace_widgets", "serve", *arguments, "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(package)}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=package
    )
    address = f"http://localhost:{port}/"
    try:
        for _ in range(1200):
            try:
                urllib.request.urlopen(address, timeout=120).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def open_page(browser: Browser, address: str) -> Page:
    """A page in which all is drawn, and what is measured ahead has come."""
    page = browser.new_page(viewport=SIZE, bypass_csp=True)
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.wait_for_function("globalThis.predspace?.stages.length")
    page.evaluate("predspace.stages[0].whenDrawn()")
    page.wait_for_timeout(3000)
    return page


def loads(browser: Browser, address: str, script: str, repeats: int) -> list[dict[str, float]]:
    """When the first picture and all views were drawn, of a page that is opened again and again in new contexts."""
    found = []
    for _ in range(repeats + 1):
        context = browser.new_context(viewport=SIZE, bypass_csp=True)
        context.add_init_script(script)
        page = context.new_page()
        page.goto(address, timeout=PATIENCE)
        page.wait_for_function("window.marks.all", timeout=PATIENCE)
        found.append(page.evaluate("marks"))
        context.close()
    return found[1:]  # the first finds the server cold


def median(values: list[dict[str, float]], name: str) -> float:
    return statistics.median(value[name] for value in values)


def demo_rows(browser: Browser, wanted: argparse.Namespace) -> None:
    """What is measured on the demo dataset."""
    n = wanted.repeats
    with served() as (address, _):
        open_page(browser, address).close()
        found = loads(browser, address, WATCH, n)
        row(
            "page asked for", "first picture; all views", f"{median(found, 'first'):.0f}; {median(found, 'all'):.0f} ms"
        )
        page = open_page(browser, address)
        for fitted, name in (("everything", "axes on everything"), ("shown", "axes follow")):
            page.evaluate("(on) => predspace.stages[0].set({ axes_fitted_on: on })", fitted)
            page.evaluate("predspace.stages[0].whenDrawn()")
            found = []
            for k in range(n):
                found.append(page.evaluate(HIDE, {"number": k % 13, "follow": fitted == "shown"}))
                page.evaluate(HIDE, {"number": k % 13, "follow": True})  # shown again
            first, picture, every = (median(found, part) for part in ("first", "picture", "all"))
            if fitted == "everything":
                row(f"a curve hidden, {name}", "picture; all views drawn", f"{picture:.0f}; {every:.0f} ms")
            else:
                to = "first moving picture; the movement over and all views drawn"
                row(f"a curve hidden, {name}", to, f"{first:.0f}; {every:.0f} ms")
        page.evaluate("predspace.stages[0].set({ axes_fitted_on: 'everything' })")
        page.evaluate("predspace.stages[0].whenDrawn()")
        found = [page.evaluate(HOVER, k % 13) for k in range(n)]
        row("hover on a curve", "lit in every view", f"{median(found, 'shown'):.0f} ms")
        row("play, 1,170 points", "frames a second", f"{statistics.median(page.evaluate(PLAY) for _ in range(5)):.0f}")
        four = [page.evaluate(FOUR) for _ in range(n)]
        right = sum(one["right"] for one in four)
        row("four clicks in 150 ms", "the last is drawn", f"{right} of {n}, {median(four, 'drawn'):.0f} ms after it")
        page.close()


def inspect_rows(browser: Browser, wanted: argparse.Namespace) -> None:
    """Clicks on checkpoints of the demo dataset, none of them twice."""
    with served() as (address, _):
        page = open_page(browser, address)
        page.evaluate(INSPECT, [1])
        one = [page.evaluate(INSPECT, [30 * n + 29]) for n in range(1, wanted.repeats + 1)]
        two = [page.evaluate(INSPECT, [29, 30 * n + 28]) for n in range(1, wanted.repeats + 1)]
        row("click on a checkpoint", "inspector filled", f"{statistics.median(one):.0f} ms")
        row("click on a second one", "why the two differ", f"{statistics.median(two):.0f} ms")
        page.close()


def before_rows(browser: Browser, wanted: argparse.Namespace) -> None:
    """The same of an older version, where it has it."""
    if wanted.before is None:
        return
    with served(package=wanted.before) as (address, _):
        found = loads(browser, address, WATCH_BEFORE, wanted.repeats)
        times = f"{median(found, 'first'):.0f}; {median(found, 'all'):.0f} ms"
        row("before: page asked for", "first picture; all views", times)
        page = browser.new_page(viewport=SIZE, bypass_csp=True)
        page.add_init_script(WATCH_BEFORE)
        page.goto(address, timeout=PATIENCE)
        page.wait_for_function("window.marks.all", timeout=PATIENCE)
        page.wait_for_timeout(3000)
        tick = page.locator(".choose-tasks label").nth(1)
        found = []
        for _ in range(2 * wanted.repeats):
            page.evaluate(
                """() => {
                  const below = (node) => [...(node.shadowRoot ? [node.shadowRoot] : []), ...(node.children ?? [])];
                  const found = (node) => node._fullLayout && node.data?.length;
                  const find = (node) => (found(node) ? node : below(node).map(find).find(Boolean));
                  const plot = find(document.documentElement);
                  window.start = null;
                  window.took = null;
                  const before = plot.data.length;
                  const clicked = () => (start ??= performance.now());
                  document.addEventListener("click", clicked, { capture: true, once: true });
                  const watch = () => {
                    if (start !== null && plot.data.length !== before) return (window.took = performance.now() - start);
                    setTimeout(watch, 5);
                  };
                  watch();
                }"""
            )
            tick.click()
            page.wait_for_function("window.took !== null", timeout=PATIENCE)
            found.append({"took": page.evaluate("took")})
            page.wait_for_timeout(1000)
        row("before: a task unticked or ticked", "data of the picture changed", f"{median(found, 'took'):.0f} ms")
        page.close()


def large(folder: Path, n_checkpoints: int = 20_000, n_samples: int = 100) -> Path:
    """A dataset of 20,000 checkpoints on disk, of 20 curves with 10 runs of 100."""
    n_runs = 200
    each = n_checkpoints // n_runs
    tasks = tuple(f"task {n}" for n in range(20))
    ds = random_trajectories(tasks, n_seeds=10, n_checkpoints=each, n_samples=n_samples)
    assert ds.sizes["checkpoint"] == n_checkpoints
    return save_trajectories(ds, folder / "large.zarr")


def large_rows(browser: Browser, wanted: argparse.Namespace) -> None:
    """Of 20,000 checkpoints, whose pictures Python computes."""
    with tempfile.TemporaryDirectory() as folder, served(str(large(Path(folder)))) as (address, _):
        page = open_page(browser, address)
        curves = page.evaluate("predspace.stages[0].state.curves")
        n = max(3, wanted.repeats // 4)
        row("play, 20,000 points", "frames a second", f"{statistics.median(page.evaluate(PLAY) for _ in range(5)):.1f}")
        for fitted, what in (("everything", "axes on everything"), ("shown", "axes follow")):
            page.evaluate(PAUSE, {"axes_fitted_on": fitted, "curves": curves, "time": None})
            found = [page.evaluate(PAUSE, {"curves": curves[:k] + curves[k + 1 :]}) for k in range(n)]
            times = f"{median(found, 'drawn'):.0f} ms; {median(found, 'longest'):.0f} ms"
            row(f"20,000 checkpoints, a choice, {what}", "all drawn; longest pause of the page", times)
        page.close()


def pages_row(browser: Browser, wanted: argparse.Namespace) -> None:
    """Many pages that choose once a second: what the server's processor does for a choice."""
    with served() as (address, process):
        context = browser.new_context(viewport={"width": 400, "height": 300}, bypass_csp=True)
        pages = []
        for _ in range(wanted.pages):
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            page.wait_for_function("globalThis.predspace?.stages.length")
            pages.append(page)
        for _ in range(60):  # until all that is prepared at first is over
            if seconds_of(process, 1) < 0.03:
                break
        idle = seconds_of(process, 5) / 5
        choose = """() => {
          const [stage] = predspace.stages;
          const { curves } = stage.state;
          window.chosen = 0;
          window.choosing = setInterval(() => {
            stage.set({ curves: curves.filter((_, n) => n !== chosen % curves.length) });
            chosen += 1;
          }, 1000);
        }"""
        for page in pages:
            page.evaluate(choose)
        before = sum(page.evaluate("chosen") for page in pages)
        used = seconds_of(process, SECONDS)
        chosen = sum(page.evaluate("chosen") for page in pages) - before
        context.close()
        each = f"{1000 * used / chosen:.1f} ms ({chosen} choices; without any {1000 * idle:.0f} ms a second)"
        row(f"{wanted.pages} pages that choose once a second", "server's processor time a choice", each)


def live_row(browser: Browser, wanted: argparse.Namespace) -> None:
    """From a checkpoint that is recorded, among as many as the demo has, until the page has drawn it."""
    demo = open_trajectories(demo_path())
    probs = demo["probs"].values
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "mine.zarr"
        append_checkpoints(demo.drop_vars("image"), store)
        with served(str(store)) as (address, _):
            page = open_page(browser, address)
            names = {"labels": "label", "classes": "class", "sample_ids": "sample"}
            recorder = Recorder(store, task="new", **{to: demo[name].values for to, name in names.items()})
            random, found = np.random.default_rng(0), []
            for n in range(wanted.repeats):
                time.sleep(random.uniform(1, 2))  # the page asks once a second: at any moment of it
                recorder.record(probs[n], epoch=n, step=n)
                start = time.perf_counter()
                page.wait_for_function(
                    "(n) => predspace.stages[0].result('inpca').row.length === n", arg=len(probs) + n + 1, polling=20
                )
                page.evaluate("predspace.stages[0].whenDrawn()")
                found.append(1000 * (time.perf_counter() - start))
            times = f"{statistics.median(found):.0f} ms; {max(found):.0f} ms"
            row("a checkpoint recorded by another process, among 1,950", "drawn on the page: median; longest", times)
            page.close()


def seconds_of(process: psutil.Process, wait: float) -> float:
    """Processor time that a process uses while we wait."""
    before = process.cpu_times()
    time.sleep(wait)
    after = process.cpu_times()
    return (after.user - before.user) + (after.system - before.system)


if __name__ == "__main__":
    main()
