"""A real Chromium, and servers for it to look at. Every request must stay on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

_Reading = TypeVar("_Reading")

# Milliseconds until a page that does not answer counts as broken: a busy machine draws slowly, and waiting for what
# comes costs no more than it takes.
_PATIENCE = 120_000
expect.set_options(timeout=_PATIENCE)

REPOSITORY = Path(__file__).resolve().parents[2]
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("PREDSPACE_REQUIRE_BROWSER"):
            pytest.fail("no Chromium is installed, and PREDSPACE_REQUIRE_BROWSER asks for one")
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails its test if it asks another host for something, or if a script of it fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(_PATIENCE)
    opened = context.new_page()
    foreign: list[str] = []
    failures: list[str] = []
    opened.on("request", lambda request: None if _is_local(request.url) else foreign.append(request.url))
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    context.close()
    assert foreign == [], "the page asked other hosts"
    assert failures == [], "scripts of the page failed"


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start a command that serves on the port PORT of its arguments; the address once it answers."""
    running: list[subprocess.Popen[bytes]] = []

    def launch(*arguments: str, path: str = "/") -> str:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        log = tmp_path_factory.mktemp("server") / "log.txt"
        command = [sys.executable, "-m", *(part.replace("PORT", str(port)) for part in arguments)]
        with log.open("wb") as sink:
            running.append(subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, cwd=log.parent))
        address = f"http://localhost:{port}{path}"
        for _ in range(600):
            try:
                with urllib.request.urlopen(address, timeout=60):
                    return address
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert running[-1].poll() is None, f"the server ended:\n{log.read_text()}"
                time.sleep(0.1)
        raise AssertionError(f"no answer from {address}:\n{log.read_text()}")

    yield launch
    for process in running:
        process.terminate()
    for process in running:
        process.wait(timeout=20)


def _is_local(url: str) -> bool:
    parts = urlparse(url)
    return parts.scheme in ("data", "blob", "about") or parts.hostname in ("localhost", "127.0.0.1")


#: In the page: the plots below a CSS selector, through shadow trees, once they are drawn.
PLOTS = """
(selector) => {
  const roots = [];
  const walk = (node) => {
    if (node.matches?.(selector)) roots.push(node);
    if (node.shadowRoot) walk(node.shadowRoot);
    for (const child of node.children ?? []) walk(child);
  };
  walk(document.documentElement);
  const plots = [];
  const find = (node) => {
    if (node.classList?.contains('js-plotly-plot')) plots.push(node);
    if (node.shadowRoot) find(node.shadowRoot);
    for (const child of node.children ?? []) find(child);
  };
  roots.forEach(find);
  return plots.filter((plot) => plot._fullLayout && plot.data?.length);
}
"""


def at_rest(page: Page, read: Callable[[], _Reading], while_ms: float = 500, timeout_ms: float = _PATIENCE) -> _Reading:
    """What is read of a page once two successive readings, a while apart, are the same."""
    before = read()
    for _ in range(int(timeout_ms / while_ms)):
        page.wait_for_timeout(while_ms)
        now = read()
        if now == before:
            return now
        before = now
    raise AssertionError(f"the page does not come to rest: {before}")


class Plots:
    """Reads the plotly figures below a CSS selector of a page."""

    def __init__(self, page: Page, selector: str) -> None:
        self._page, self._selector = page, selector

    def read(self, expression: str) -> list:
        """A JavaScript expression of `plot`, for each plot."""
        return self._page.evaluate(f"(selector) => ({PLOTS})(selector).map((plot) => {expression})", self._selector)

    def runs(self) -> dict[str, int]:
        """Number of checkpoints that the runs of the first plot, the picture, show, by curve."""
        count = "[trace.name, Array.from(trace.x).filter((x) => x !== null && !Number.isNaN(x)).length]"
        return dict(self.read(f"plot.data.filter((trace) => trace.meta === 'runs').map((trace) => {count})")[0])

    def at_rest(self, expression: str) -> Any:
        """A JavaScript expression of the first plot, `plot`, once it stays the same."""
        return at_rest(self._page, lambda: self.read(expression)[0])

    def wait(self, condition: str, timeout: float = _PATIENCE) -> None:
        """Until a JavaScript expression of `plots` is true."""
        self._page.wait_for_function(
            f"(selector) => {{ const plots = ({PLOTS})(selector); return {condition}; }}",
            arg=self._selector,
            timeout=timeout,
        )
