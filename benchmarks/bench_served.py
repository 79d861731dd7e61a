"""What a room of visitors feels of one server, as a Markdown table (`make bench-served`).

`predspace serve` on the demo. Light clients do what a page does: they get the page, open a websocket where the page has
one, get the numbers, ask for what was measured ahead, and then send the questions of a choice a second, with no browser
around them. One real browser measures what a visitor feels meanwhile. `--before PATH` is a checkout of an older version
that has the stage, measured in the same way before this one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import sync_playwright
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from benchmarks.bench_ui import HIDE, INSPECT, PATIENCE, SIZE, WATCH, row, served
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories import demo_path, open_trajectories

HERE = Path(__file__).resolve().parents[1]
N_GETS = 500  # plain requests of the page
STAYS = (20, 40)  # seconds that a visitor stays, who comes and goes
EVERY = 10  # seconds between two looks at the memory
GIVES_UP = 300  # seconds
PULL = ({"msgid": "1", "msgtype": "PULL-DOC-REQ"}, {}, {})


# -- what visitors choose ----------------------------------------------------------------------------------------------

DS = open_trajectories(demo_path())
FIRST = ExplorerState(DS).defaults()
RUNS = list(dict.fromkeys(DS["run"].values.tolist()))
EPOCHS = sorted(set(DS["epoch"].values.tolist()))
Question = dict[str, Any]


def view(name: str, **choices: Any) -> Question:
    """The question of a card, as the stage sends it: all that it depends on."""
    depends = {
        "comparison": ("compared", "seeds", "epochs", "where", "progress_metric", "samples"),
        "matrix": ("curves", "seeds", "epochs", "where", "progress_metric", "matrix_of", "matrix_by", "samples"),
        "inspector": ("selected", "sample", "samples"),
    }[name]
    return {"kind": "view", "view": name, "choices": {each: choices.get(each, FIRST[each]) for each in depends}}


def of_a_class(draw: random.Random) -> list[Question]:
    samples = {"classes": [draw.choice(DS["class"].values.tolist())]}
    return [{"kind": "samples", "choices": {"samples": samples}}, view("comparison", samples=samples)]


#: By what is chosen, the questions that the stage sends one after the other; each draws from all that could be chosen.
CHOICES: dict[str, Callable[[random.Random], list[Question]]] = {
    "a curve hidden, a colour, the time, axes, a pair of curves": lambda draw: [],
    "a checkpoint clicked": lambda draw: [view("inspector", selected=[draw.randrange(DS.sizes["checkpoint"])])],
    "a second one: why": lambda draw: [view("inspector", selected=draw.sample(range(DS.sizes["checkpoint"]), 2))],
    "an image clicked": lambda draw: [
        view("inspector", selected=draw.sample(range(DS.sizes["checkpoint"]), 2), sample=draw.randrange(400))
    ],
    "two runs compared": lambda draw: [view("comparison", compared=draw.sample(RUNS, 2))],
    "a seed hidden": lambda draw: [
        view(
            "comparison",
            seeds=sorted(draw.sample(FIRST["seeds"], 4)),
            compared=draw.sample(FIRST["curves"], 2),
        )
    ],
    "epochs up to": lambda draw: [view("comparison", epochs=[0, draw.choice(EPOCHS[8:])])],
    "a curve hidden in the matrix": lambda draw: [
        view("matrix", curves=sorted(draw.sample(FIRST["curves"], 12), key=FIRST["curves"].index))
    ],
    "a class of samples": of_a_class,
}
#: Of a hundred choices of a visitor, so many are of each kind.
MIX = dict(zip(CHOICES, (60, 15, 7, 4, 4, 4, 3, 2, 1), strict=True))


# -- a visitor ---------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What all visitors met with: seconds by what they did, and errors."""

    took: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            self.errors.append(f"{what}: {type(error).__name__}: {error}")
        self.took[what].append(time.perf_counter() - start)


class Visitor:
    """A page without a browser."""

    def __init__(self, address: str, seen: Seen) -> None:
        self.address, self.seen = address, seen
        self._http = AsyncHTTPClient()
        self._headers = {"X-Stage": f"{id(self):x}"}
        self._socket: WebSocketClientConnection | None = None
        self._numbers = ""
        self.has_come = False

    async def fetch(self, path: str, question: Any = None) -> bytes:
        body = {} if question is None else {"method": "POST", "body": json.dumps(question), "headers": self._headers}
        request = HTTPRequest(self.address + path, request_timeout=GIVES_UP, connect_timeout=GIVES_UP, **body)
        answer = await self._http.fetch(request)
        problem = json.loads(answer.headers.get("X-Stage-Answer", "{}")).get("error")
        if problem and not problem.startswith("choose two") and "progress" not in problem:
            raise RuntimeError(problem)
        return answer.body

    async def come(self) -> None:
        """Open the page, until it has its numbers."""
        page = (await self.fetch("")).decode()
        token = re.search(r'"token":"([^"]+)"', page)
        if token:
            url = f"ws{self.address.removeprefix('http')}ws"
            headers = {"Origin": self.address.rstrip("/")}
            request = HTTPRequest(url, headers=headers, connect_timeout=GIVES_UP)
            self._socket = await websocket_connect(request, subprotocols=["bokeh", token[1]])
            for _ in range(3):
                await self._socket.read_message()
            for part in PULL:
                await self._socket.write_message(json.dumps(part))
            for _ in range(3):
                await self._socket.read_message()
        found = re.search(r"stage-data/[\w.%-]+", page)
        self._numbers = found[0] if found else "stage-data/digits"
        await self.fetch(self._numbers)
        self.has_come = True

    async def choose(self, what: str, draw: random.Random) -> None:
        """Make a choice; what it needs of the server is there when this ends."""
        questions = CHOICES[what](draw)
        with self.seen.timed(what):
            for question in questions:
                await self.fetch(self._numbers, question)

    async def ask_ahead(self) -> None:
        await self.fetch(self._numbers, {"kind": "ahead"})

    def leave(self) -> None:
        if self._socket is not None:
            self._socket.close()


async def visit(address: str, seen: Seen, seconds: float, number: int, weights: dict[str, int]) -> None:
    """Come, choose once a second, never two at a time, and leave."""
    draw, visitor = random.Random(number), Visitor(address, seen)
    await asyncio.sleep(draw.random())
    with seen.timed("come"):
        await visitor.come()
    if not visitor.has_come:  # the error is counted
        return
    with seen.timed("ahead"):
        await visitor.ask_ahead()
    names = list(weights)
    start = time.perf_counter()
    while (now := time.perf_counter() - start) < seconds:
        [what] = draw.choices(names, list(weights.values()))
        await visitor.choose(what, draw)
        await asyncio.sleep(max(0.0, now + 1 - (time.perf_counter() - start)))
    visitor.leave()


# -- phases ------------------------------------------------------------------------------------------------------------


async def room(address: str, n_visitors: int, seconds: float, weights: dict[str, int]) -> Seen:
    """So many visitors at the same time."""
    seen = Seen()
    await asyncio.gather(*(visit(address, seen, seconds, number, weights) for number in range(n_visitors)))
    return seen


async def come_and_go(address: str, n_visitors: int, minutes: float) -> Seen:
    """Visitors who stay for half a minute; whoever leaves is followed by another one."""
    seen, end = Seen(), time.perf_counter() + 60 * minutes

    async def chair(number: int) -> None:
        draw = random.Random(number)
        while time.perf_counter() < end:
            await visit(address, seen, draw.uniform(*STAYS), draw.randrange(10**6), MIX)

    await asyncio.gather(*map(chair, range(n_visitors)))
    return seen


async def plain_gets(address: str, n: int) -> Seen:
    """Requests of the page by something that is no browser."""
    seen, http = Seen(), AsyncHTTPClient()
    for start in range(0, n, 20):
        with seen.timed("20 plain requests"):
            await asyncio.gather(*(http.fetch(address, request_timeout=GIVES_UP) for _ in range(min(20, n - start))))
    return seen


class Memory:
    """Looks at the memory of a server and of all processes that it started, in the background."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self.seen, self._ended = process, [], threading.Event()  # type: ignore[var-annotated]
        threading.Thread(target=self._look, daemon=True).start()

    def now(self) -> float:
        """Megabytes; pages that processes share count once."""
        everyone = [self._process, *self._process.children(recursive=True)]
        return sum(one.memory_full_info().pss for one in everyone) / 1e6

    def processor(self) -> float:
        times = [one.cpu_times() for one in (self._process, *self._process.children(recursive=True))]
        return sum(time.user + time.system for time in times)

    def _look(self) -> None:
        while not self._ended.wait(EVERY):
            try:
                self.seen.append((time.perf_counter(), self.now()))
            except psutil.Error:
                return

    def end(self) -> None:
        self._ended.set()


# -- one real browser --------------------------------------------------------------------------------------------------


def browse(address: str, seconds: float) -> None:
    """Print, as JSON, what a visitor with a browser feels: milliseconds of each page, curve hidden and click."""
    felt: dict[str, list[float]] = defaultdict(list)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    end = time.perf_counter() + seconds
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        number = 0
        while time.perf_counter() < end:
            context = browser.new_context(viewport=SIZE)
            context.add_init_script(WATCH)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            page.wait_for_function("window.marks.first")
            felt["first picture"].append(page.evaluate("marks.first"))
            page.evaluate("predspace.stages[0].whenDrawn()")
            for _ in range(3):
                number += 1
                felt["a curve hidden"].append(page.evaluate(HIDE, {"number": number % 13, "follow": False})["picture"])
                page.wait_for_timeout(500)
                felt["inspector"].append(page.evaluate(INSPECT, [97 * number % 1950]))
                page.wait_for_timeout(500)
            context.close()
        browser.close()
    print(json.dumps(felt))


@contextmanager
def visitor_with_a_browser(address: str, seconds: float) -> Iterator[dict[str, list[float]]]:
    """What a browser in a process of its own finds while this goes on."""
    felt: dict[str, list[float]] = {}
    command = [sys.executable, "-m", "benchmarks.bench_served", "--browse", address, "--seconds", str(seconds)]
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen(command, stdout=file, cwd=HERE)
        yield felt
        process.wait()
        file.seek(0)
        felt |= json.loads(file.read() or "{}")


# -- the table ---------------------------------------------------------------------------------------------------------


def ms(seconds: list[float]) -> str:
    """Median and 95th percentile."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    return f"{1000 * statistics.median(ordered):.0f}; {1000 * ordered[int(0.95 * (len(ordered) - 1))]:.0f} ms"


def measure(name: str, package: Path, options: argparse.Namespace) -> None:
    """All rows of one version."""
    arguments = ["--num-procs", str(options.num_procs)] if options.num_procs > 1 else []
    start = time.perf_counter()
    with served(*arguments, package=package) as (address, process):
        memory = Memory(process)
        asyncio.run(until_prepared(address))
        row(name, "until all is measured ahead", f"{time.perf_counter() - start:.0f} s; {memory.now():.0f} MB")
        wanted = options.only or ["room", "asking", "plain", "going"]
        n, seconds = options.sessions, options.seconds
        if "room" in wanted:
            before, load = memory.processor(), os.getloadavg()[0]
            with visitor_with_a_browser(address, seconds) as felt:
                seen = asyncio.run(room(address, n, seconds, MIX))
            tell(name, f"{n} sessions, {seconds:.0f} s", seen, memory.processor() - before, load)
            for what, values in felt.items():
                row(name, f"a browser meanwhile: {what}", ms([value / 1000 for value in values]))
        if "asking" in wanted:
            before, load = memory.processor(), os.getloadavg()[0]
            asking = {what: share for what, share in MIX.items() if what != next(iter(MIX))}
            seen = asyncio.run(room(address, n, seconds, asking))
            tell(name, f"{n} sessions whose every choice asks the server", seen, memory.processor() - before, load)
        if "plain" in wanted:
            first, before = memory.now(), memory.processor()
            seen = asyncio.run(plain_gets(address, N_GETS))
            after, used = memory.now(), memory.processor() - before
            time.sleep(60)
            text = f"{first:.0f}, {after:.0f}, {memory.now():.0f} MB; {1000 * used / N_GETS:.0f} ms"
            what = f"{N_GETS} plain requests: memory before, after, a minute later; processor time of each"
            row(name, what, f"{text}; {len(seen.errors)} errors")
        if "going" in wanted and options.minutes:
            memory.seen.clear()
            first = memory.now()
            seen = asyncio.run(come_and_go(address, n, options.minutes))
            each = [f"{value:.0f}" for _, value in memory.seen[5 :: 60 // EVERY]]
            what = f"{len(seen.took['come'])} sessions that come and go: memory at first and each minute"
            row(name, what, f"{first:.0f}, {', '.join(each)} MB; {len(seen.errors)} errors")
        memory.end()


async def until_prepared(address: str) -> None:
    visitor = Visitor(address, Seen())
    await visitor.come()
    await visitor.ask_ahead()
    visitor.leave()


def tell(name: str, what: str, seen: Seen, used: float, load: float) -> None:
    choices = {kind: seen.took[kind] for kind in CHOICES if kind in seen.took}
    every = [seconds for took in choices.values() for seconds in took]
    asked = [seconds for kind, took in choices.items() if kind != next(iter(CHOICES)) for seconds in took]
    row(name, f"{what}: errors", f"{len(seen.errors)} of {len(every)} choices (load {load:.1f} at first)")
    for error in sorted(set(seen.errors))[:3]:
        print(f"<!-- {error} -->")
    row(name, f"{what}: until the page can draw", ms(seen.took["come"]))
    row(name, f"{what}: until a choice has what it needs", ms(every))
    if len(asked) < len(every):
        row(name, f"{what}: of those {len(asked)} that ask the server", ms(asked))
    for kind, took in choices.items():
        if kind != next(iter(CHOICES)):
            row(name, f"- {kind} ({len(took)})", ms(took))
    row(name, f"{what}: processor time a choice", f"{1000 * used / max(1, len(every)):.0f} ms")


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--before", type=Path, help="a checkout of an older version")
    options.add_argument("--sessions", type=int, default=40)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--minutes", type=float, default=10, help="for which sessions come and go; 0 leaves it out")
    options.add_argument("--num-procs", type=int, default=1)
    options.add_argument("--only", nargs="*", default=[], help="room, asking, plain, going")
    options.add_argument("--no-now", action="store_true", help="measure the older version alone")
    options.add_argument("--browse", help=argparse.SUPPRESS)
    wanted = options.parse_args()
    if wanted.browse:
        browse(wanted.browse, wanted.seconds)
        return
    AsyncHTTPClient.configure("tornado.simple_httpclient.SimpleAsyncHTTPClient", max_clients=1000)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the beginning; median; 95th percentile\n")
    print("| version | what | measured |\n| --- | --- | --- |")
    if wanted.before:
        measure("before", wanted.before.resolve(), wanted)
    if not wanted.no_now:
        measure("now", HERE, wanted)


if __name__ == "__main__":
    main()
