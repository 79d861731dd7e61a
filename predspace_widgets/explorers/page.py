"""The stage as a component of a Panel page, and the server of pages."""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import panel as pn
import param
import xarray as xr
from bokeh.server.server import Server
from panel.custom import JSComponent
from tornado.web import HTTPError, RedirectHandler, RequestHandler

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.access import LONGEST_QUESTION, Access, PageHandler
from predspace_widgets.explorers.hosting import Answers
from predspace_widgets.explorers.live import follow_source
from predspace_widgets.explorers.questions import Desk, desks
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.stage.stage import module, style
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.explorers.trainings import Trainings, allow_training

if TYPE_CHECKING:
    from bokeh.document import Document

_log = logging.getLogger(__name__)
_ASSETS = "stage-assets"
# What else is at the root of the server.
_NO_NAMES = {"", ".", "..", "login", "logout", "favicon.ico", "stage-data", _ASSETS}


class StageComponent(JSComponent):
    """The stage, to stand in any Panel page.

    Parameters
    ----------
    session : Session
    state : ExplorerState
        Its choices, both ways.
    options : what Panel's components have
    """

    choices = param.Dict(default={}, doc="What is chosen, as far as it differs from the first choices.")
    live = param.Boolean(default=False, doc="Whether new checkpoints may come.")

    _esm = module()
    _stylesheets: ClassVar[list[str]] = [style(), ":host, .predspace { height: 100%; min-height: 560px; }"]

    def __init__(self, session: Session, state: ExplorerState, **options: Any) -> None:
        self._answers = Answers(session, state)
        options = {"sizing_mode": "stretch_both", "min_height": 560, **options}
        super().__init__(choices=self._answers.settings(), **options)
        self.param.watch(self._to_state, "choices")
        state.param.watch(self._from_state, list(state.choices()))
        document = pn.state.curdoc
        self._answers.follow(lambda: self._begin_following(document))

    def _begin_following(self, document: Document | None) -> None:
        _in_turn(document, lambda: setattr(self, "live", True))

    def _to_state(self, event: Any) -> None:
        self._answers.choose(event.new)

    def _from_state(self, *_: Any) -> None:
        self.choices = self._answers.settings()

    def _handle_msg(self, data: Any) -> None:
        document = pn.state.curdoc
        # In a thread: other visitors are served meanwhile.
        threading.Thread(target=self._answer, args=(data, document), daemon=True).start()

    def _answer(self, data: Any, document: Document | None) -> None:
        def send(message: dict[str, Any], content: bytes | None) -> None:
            whole = message if content is None else {**message, "content": content}
            _in_turn(document, lambda: self._send_msg(whole))

        self._answers.answer(data, send)


def _in_turn(document: Document | None, act: Callable[[], None]) -> None:
    """Do something with a component when it is its document's turn; at once in a notebook, which has no such turns."""
    if document is None or document.session_context is None:
        act()
    else:
        document.add_next_tick_callback(act)


def make_server(
    datasets: Mapping[str, xr.Dataset],
    port: int = 5006,
    address: str = "localhost",
    trainings: Trainings | None = None,
    access: Access | None = None,
    prefix: str = "",
    cache: str | os.PathLike[str] | None = None,
    sockets: Sequence[socket.socket] = (),
    scenes: Sequence[Mapping[str, Any]] = (),
    present: bool = False,
) -> Server:
    """A server of explorers, one page a dataset, that holds its port and waits to be started.

    Parameters
    ----------
    datasets : mapping of name to xarray.Dataset
        The first is also the page at "/"; each has its own at "/name", the name quoted as addresses quote it.
    port, address : where to listen
    trainings : Trainings, optional
        What starts trainings for whoever sees a page; by default nobody can.
    access : Access, optional
        How it can be reached; by default under the names of `address`, without a login.
    prefix : str
        Path under which all addresses are, for a proxy that passes it on.
    cache : path, optional
        Folder for what is measured before anyone asks, which servers share; see `prepared`.
    sockets : sequence of socket
        Serve these, which other processes serve too; see `processes`. What is recorded is not followed then: each
        process would have its own axes.
    scenes : sequence of dict
        What a lecture on the first dataset goes through, see `scenes_of`.
    present : bool
        Whether its page opens as a lecture.

    Returns
    -------
    panel.io.server.Server
        Its `run_until_shutdown` serves until the process is told to end.

    Raises
    ------
    OSError
        The port is taken; the message names it.
    ValueError
        A dataset has the name of something else that is served.
    """
    for name in _NO_NAMES.intersection(datasets):
        raise ValueError(f"no page can be at {name!r}: give the dataset another name")
    sessions = {name: Session(Analysis(ds), cache=cache) for name, ds in datasets.items()}
    first = next(iter(sessions.values()))
    first.scenes, first.presents = list(map(dict, scenes)), present
    for session in sessions.values():
        if not sockets:
            follow_source(session)
        if trainings is not None and session.analysis.has_predictions:
            allow_training(session, trainings)
    titles = {f"/{quote(name, safe='')}": name for name in sessions}
    for name, session in sessions.items():
        if len(sessions) > 1:
            session.about["others"] = [
                {"title": title, "address": f".{path}", "current": title == name} for path, title in titles.items()
            ]
    named = [("/", next(iter(sessions))), *titles.items()]
    pages = [
        (re.escape(path), _Page, {"name": name, "title": str(sessions[name].about["title"])}) for path, name in named
    ]
    access = access or Access(address)
    try:
        server = pn.serve(
            {},
            port=0 if sockets else port,
            address="localhost" if sockets else address,
            prefix=prefix,
            show=False,
            start=False,
            title="predspace",
            verbose=False,
            static_dirs={_ASSETS: str(files("plotly").joinpath("package_data"))},
            extra_patterns=[
                *pages,
                (r"/stage-data/(.*)", _Numbers, {"desks": desks(sessions)}),
                (rf"/{_ASSETS}/page\.(js|css)", _Asset),
                *([("", RedirectHandler, {"url": f"/{prefix.strip('/')}/"})] if prefix.strip("/") else []),
            ],
            **access.options(),
        )
    except OSError as error:
        raise OSError(error.errno, f"port {port} of {address} cannot be used: {error.strerror or error}") from error
    if sockets:
        server._http.stop()  # of the port that Bokeh has taken
        server._http.add_sockets(sockets)
        server._port = port
    access.guard(server)
    # The first visitor finds the costly results at hand, or waits for those under way.
    threading.Thread(target=_prepare, args=(sessions,), daemon=True).start()
    return server


class _Numbers(RequestHandler):
    """The numbers of a dataset, which the page of it fetches, and answers to its questions."""

    def initialize(self, desks: Mapping[str, Desk]) -> None:
        self._desks = desks

    async def get(self, name: str) -> None:
        """What a stage is sent first."""
        desk = self._desk(name)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "no-cache")  # asked for again, but sent only where it has changed
        self.write(await desk.payload())

    async def post(self, name: str) -> None:
        """An answer; the header says what kind it is."""
        desk = self._desk(name)
        if len(self.request.body) > LONGEST_QUESTION:
            raise HTTPError(413)
        visitor = str(self.request.headers.get("X-Stage") or self.request.remote_ip)[:40]
        try:
            reply = await desk.reply(self.request.body, visitor)
        except (ValueError, RecursionError):
            raise HTTPError(400) from None
        self.set_header("X-Stage-Answer", reply.kind)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", reply.content_type)
        if reply.compressed is not None and "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.write(reply.compressed)
        else:
            self.write(reply.content)

    def _desk(self, name: str) -> Desk:
        desk = self._desks.get(name)  # tornado has unquoted it
        if desk is None:
            raise HTTPError(404)
        return desk


class _Page(PageHandler):
    """The page of a dataset, the same for everybody: what a visitor chooses is in his browser alone."""

    def initialize(self, name: str, title: str) -> None:
        self._name, self._title = name, title

    def get(self) -> None:
        # All addresses are relative: a proxy may have put them under some path.
        numbers = f"stage-data/{quote(self._name, safe='')}"
        self.write(_PAGE.format(title=escape(self._title), numbers=escape(numbers), assets=_ASSETS))


class _Asset(RequestHandler):
    """The stage as a script, and its style sheet."""

    def get(self, name: str) -> None:
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Content-Type", {"js": "text/javascript", "css": "text/css"}[name])
        self.write(module() + _BEGIN if name == "js" else _AROUND + style())


_BEGIN = 'served(document.getElementById("page"));\n'
_AROUND = """html, body { margin: 0; height: 100%; overflow-x: hidden; background: #f3f5f8; }
@media (prefers-color-scheme: dark) { html, body { background: #0f131a; } }
#page { height: 100vh; min-height: 560px; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title} · predspace</title>
<link rel="stylesheet" href="{assets}/page.css">
<link rel="preload" as="script" href="{assets}/plotly.min.js">
<div id="page" data-numbers="{numbers}" data-plotly="{assets}/plotly.min.js"></div>
<noscript>This page draws its pictures by a script, which this browser does not run.</noscript>
<script type="module" src="{assets}/page.js"></script>
</html>
"""


def _prepare(sessions: Mapping[str, Session]) -> None:
    """Measure what all visitors need; what fails in one dataset is logged, and the others go on."""
    for name, session in sessions.items():
        try:
            session.payload()
            session.ahead()
        except Exception:
            _log.exception("preparing the dataset %r failed", name)
