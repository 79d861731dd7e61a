"""A real Chromium, and servers for it to look at. Every request must stay on this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.jupyter import NO_INTERNET, Notebook, write

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


#: Files that take longest come first, so that no worker begins one when the others are done (`make test`).
_LONGEST = ("test_course.py", "test_docs.py", "test_notebook.py", "test_live.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: _LONGEST.index(item.path.name) if item.path.name in _LONGEST else len(_LONGEST))


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
    """A page that fails its test if it asks another host for something, breaks its policy, or a script of it fails."""
    with opened(browser) as page:
        yield page


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[Page]:
    """What `page` is, for as long as the caller wants it.

    Parameters
    ----------
    options
        Of the context, such as `color_scheme="dark"`.
    """
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    foreign: list[str] = []
    failures: list[str] = []
    forbidden: list[str] = []
    page.on("request", lambda request: None if _is_local(request.url) else foreign.append(request.url))
    # A script of Notebook 7 itself fails whenever it starts; ours are no files of its server.
    theirs = "/static/notebook/"
    page.on("pageerror", lambda error: None if theirs in (error.stack or "") else failures.append(str(error)))
    page.on("console", lambda said: forbidden.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    context.close()
    assert foreign == [], "the page asked other hosts"
    assert failures == [], "scripts of the page failed"
    assert forbidden == [], "the page does what its content security policy forbids"


class Servers:
    """Starts commands that serve, each on a port of its own, and ends them."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __call__(
        self, *arguments: str, path: str = "/", module: bool = True, environment: dict[str, str] | None = None
    ) -> str:
        """Start a command that serves on the port PORT of its arguments; the address once it answers.

        Parameters
        ----------
        arguments
            A module and its arguments, or those of Python itself where `module` is False.
        path
            Of the page that is to answer.
        environment
            Variables besides those that are set.
        """
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        log = self._folder() / "log.txt"
        variables = os.environ | (environment or {})
        parts = [part.replace("PORT", str(port)) for part in arguments]
        command = [sys.executable, *(["-m"] if module else []), *parts]
        address = f"http://localhost:{port}{path}"
        with log.open("wb") as sink:
            process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, cwd=log.parent, env=variables)
        self._running[address] = process
        for _ in range(600):
            try:
                with urllib.request.urlopen(address, timeout=60):
                    return address
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert process.poll() is None, f"the server ended:\n{log.read_text()}"
                time.sleep(0.1)
        raise AssertionError(f"no answer from {address}:\n{log.read_text()}")

    def stop(self, address: str) -> None:
        """End the server of an address, at once."""
        process = self._running.pop(address)
        process.kill()
        process.wait(timeout=20)

    def stop_all(self) -> None:
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(timeout=_PATIENCE / 1000)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Start a command that serves on the port PORT of its arguments; the address once it answers."""
    servers = Servers(lambda: tmp_path_factory.mktemp("server"))
    yield servers
    servers.stop_all()


class Jupyter(NamedTuple):
    """A server of notebooks, for JupyterLab and Notebook 7, and the folder that it serves."""

    address: str
    folder: Path


@pytest.fixture(scope="session")
def jupyter(start: Servers, tmp_path_factory: pytest.TempPathFactory) -> Jupyter:
    """One for all tests, without token, whose kernels have no internet."""
    folder, ipython = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("ipython")
    startup = ipython / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "no_internet.py").write_text(NO_INTERNET)
    options = ["--no-browser", "--allow-root", "--ServerApp.port=PORT", "--IdentityProvider.token="]
    options += [f"--ServerApp.root_dir={folder}", "--ServerApp.disable_check_xsrf=True"]
    options += [f"--{app}.expose_app_in_browser=True" for app in ("LabApp", "JupyterNotebookApp")]
    address = start("notebook", *options, path="/lab", environment={"IPYTHONDIR": str(ipython)})
    return Jupyter(address.removesuffix("/lab"), folder)


@pytest.fixture
def open_notebook(page: Page, jupyter: Jupyter) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook, a path or cells, in the page; its kernel ends with the test."""

    def open_(what: Path | tuple[str, ...], face: str = "lab") -> Notebook:
        path = write(jupyter.folder, *what) if isinstance(what, tuple) else what
        if path.parent != jupyter.folder:
            path = Path(shutil.copy(path, jupyter.folder))
        notebooks.append(Notebook(page, jupyter.address, path, face))
        return notebooks[-1]

    notebooks: list[Notebook] = []
    page.on("dialog", lambda dialog: dialog.accept())  # whether to leave what is not saved
    yield open_
    for notebook in notebooks[-1:]:
        notebook.end()


def _is_local(url: str) -> bool:
    parts = urlparse(url)
    return parts.scheme in ("data", "blob", "about", "file") or parts.hostname in ("localhost", "127.0.0.1")


def fingers(page: Page) -> Callable[..., None]:
    """A function that puts fingers on a touch screen, moves or lifts them: of an event's kind and of places (x, y)."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: Any) -> None:
        points = [{"x": float(x), "y": float(y), "id": number} for number, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    return touch


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


class Stage:
    """A stage of a page, as scripts see it: `predspace.stages`."""

    def __init__(self, page: Page, number: int = 0) -> None:
        self.page, self._number = page, number
        page.wait_for_function("(n) => globalThis.predspace?.stages.length > n", arg=number, timeout=_PATIENCE)
        self.drawn()

    def read(self, expression: str, argument: Any = None) -> Any:
        """What a JavaScript expression of `stage` and `argument` tells; a promise is waited for."""
        # As text: playwright's own way to send a value is slow for long lists, and does not know -0.
        code = f"async ([n, argument]) => JSON.stringify(await ((stage) => {expression})(predspace.stages[n]) ?? null)"
        return json.loads(self.page.evaluate(code, [self._number, argument]))

    def drawn(self) -> Stage:
        """Wait until all that was asked for is drawn."""
        self.read("stage.whenDrawn()")
        return self

    def set(self, **choices: Any) -> list[str]:
        """Choose, and wait until it is drawn; what cannot be chosen."""
        problems: list[str] = self.read("stage.set(argument)", choices)
        self.drawn()
        return problems

    @property
    def state(self) -> dict[str, Any]:
        return dict(self.read("stage.state"))

    def result(self, view: str = "inpca") -> dict[str, Any]:
        """Columns of a view by name."""
        return dict(self.read("stage.result(argument)", view))

    def wait(self, condition: str, argument: Any = None) -> None:
        """Until a JavaScript expression of `stage` and `argument` is true."""
        code = f"([n, argument]) => ((stage) => {condition})(predspace.stages[n])"
        self.page.wait_for_function(code, arg=[self._number, argument], timeout=_PATIENCE)

    def shown(self, view: str) -> bool:
        """Whether a card has ink: a canvas or a plotly chart that is not empty, and no message."""
        card = self.page.locator(f"[data-view={view}]").nth(self._number)
        return bool(card.evaluate(_HAS_INK)) and card.locator(".message").is_hidden()


# Of all canvases and charts of a card: is anything drawn there?
_HAS_INK = """
(card) => [...card.querySelectorAll("canvas")].some((canvas) => {
  if (!canvas.width || !canvas.height) return false;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, n) => n % 4 === 3 && value > 0);
}) || [...card.querySelectorAll(".main-svg .trace path, .main-svg .point path")]
  .some((path) => path.getTotalLength() > 0) || card.querySelector(".heatmaplayer image") !== null
"""
