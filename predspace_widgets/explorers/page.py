"""The stage as a component of a Panel page, and the server of pages."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

import panel as pn
import param
import xarray as xr
from bokeh.server.server import Server
from panel.custom import JSComponent
from tornado.web import HTTPError, RequestHandler

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.access import LONGEST_QUESTION, Access, nonce_of
from predspace_widgets.explorers.hosting import Answers, answer_to
from predspace_widgets.explorers.live import follow_source
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.stage.stage import module, style
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.explorers.trainings import Trainings, allow_training

if TYPE_CHECKING:
    from bokeh.document import Document

_log = logging.getLogger(__name__)
_PLOTLY = "stage-assets"
# What else is at the root of the server.
_NO_NAMES = {"", ".", "..", "ws", "login", "logout", "static", "favicon.ico", "stage-data", _PLOTLY}


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
    data_address = param.String(
        default="", doc="Where a page of our own finds numbers and answers; else they are sent."
    )
    live = param.Boolean(default=False, doc="Whether new checkpoints may come.")
    plotly_address = param.String(default="", doc="Where the page finds plotly.js; by default it is sent.")

    _esm = module()
    _stylesheets: ClassVar[list[str]] = [style(), ":host, .predspace { height: 100%; min-height: 560px; }"]

    def __init__(self, session: Session, state: ExplorerState, **options: Any) -> None:
        self._answers = Answers(session, state)
        options = {"sizing_mode": "stretch_both", "min_height": 560, **options}
        super().__init__(choices=self._answers.settings(), **options)
        self.param.watch(self._to_state, "choices")
        state.param.watch(self._from_state, list(state.choices()))
        if not self.data_address:  # a page of our own asks for itself
            document = pn.state.curdoc
            self._answers.follow(lambda: self._begin_following(document))

    def _begin_following(self, document: Document | None) -> None:
        if document is None:
            self.live = True
        else:
            document.add_next_tick_callback(lambda: setattr(self, "live", True))

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
            if document is None:
                self._send_msg(whole)
            else:
                document.add_next_tick_callback(lambda: self._send_msg(whole))

        self._answers.answer(data, send)


def make_server(
    datasets: Mapping[str, xr.Dataset],
    port: int = 5006,
    address: str = "localhost",
    trainings: Trainings | None = None,
    access: Access | None = None,
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

    Returns
    -------
    panel.io.server.Server
        Its `run_until_shutdown` serves until the process is told to end.

    Raises
    ------
    OSError
        The port is taken; the message names it.
    ValueError
        A dataset has the name of another page.
    """
    for name in _NO_NAMES.intersection(datasets):
        raise ValueError(f"no page can be at {name!r}: give the dataset another name")
    sessions = {name: Session(Analysis(ds)) for name, ds in datasets.items()}
    for session in sessions.values():
        follow_source(session)
        if trainings is not None and session.analysis.has_predictions:
            allow_training(session, trainings)
    titles = {f"/{quote(name, safe='')}": name for name in sessions}
    for name, session in sessions.items():
        if len(sessions) > 1:
            session.about["others"] = [
                {"title": title, "address": path, "current": title == name} for path, title in titles.items()
            ]
    first = next(iter(sessions))
    pages = {path: _page_of(sessions[name], path) for path, name in titles.items()}
    access = access or Access(address)
    try:
        server = pn.serve(
            {"/": _page_of(sessions[first], f"/{quote(first, safe='')}"), **pages},
            port=port,
            address=address,
            show=False,
            start=False,
            title="predspace",
            verbose=False,
            static_dirs={_PLOTLY: str(files("plotly").joinpath("package_data"))},
            extra_patterns=[(r"/stage-data/(.*)", _Numbers, {"sessions": sessions})],
            **access.options(),
        )
    except OSError as error:
        raise OSError(error.errno, f"port {port} of {address} cannot be used: {error.strerror or error}") from error
    access.guard(server)
    # The first visitor finds the costly results at hand, or waits for those under way.
    threading.Thread(target=_prepare, args=(sessions,), daemon=True).start()
    return server


class _Numbers(RequestHandler):
    """The numbers of a dataset, which the page of it fetches, and answers to its questions."""

    def initialize(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = sessions

    async def get(self, name: str) -> None:
        """What a stage is sent first."""
        session = self._session(name)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "no-cache")  # asked for again, but sent only where it has changed
        self.write(await asyncio.to_thread(session.payload))

    async def post(self, name: str) -> None:
        """An answer; the header says what kind it is."""
        session = self._session(name)
        if len(self.request.body) > LONGEST_QUESTION:
            raise HTTPError(413)
        try:
            question = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise HTTPError(400) from None
        message, content = await asyncio.to_thread(answer_to, question, session, ExplorerState(session.analysis))
        plain = message.pop("answer", None)
        self.set_header("X-Stage-Answer", json.dumps(message))
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "application/json" if content is None else "application/octet-stream")
        self.write(json.dumps(plain) if content is None else content)

    def _session(self, name: str) -> Session:
        session = self._sessions.get(name)  # tornado has unquoted it
        if session is None:
            raise HTTPError(404)
        return session


def _page_of(session: Session, path: str) -> Callable[[], Any]:
    title = str(session.about["title"])

    def page() -> Any:
        component = StageComponent(
            session,
            ExplorerState(session.analysis),
            data_address=f"stage-data{path}",
            plotly_address=f"{_PLOTLY}/plotly.min.js",
        )
        template = pn.Template(_TEMPLATE)
        template.add_panel("stage", component)
        template.add_variable("page_title", f"{title} · predspace")
        context: Any = pn.state.curdoc and pn.state.curdoc.session_context
        template.add_variable("nonce", nonce_of(context.request) if context else "")
        return template

    return page


_TEMPLATE = """
{% extends base %}
{% block title %}{{ page_title | e }}{% endblock %}
{% set own = '<script nonce="' ~ nonce ~ '"' %}
{% block js_resources %}{{ bokeh_js | replace("<script", own) }}{% endblock %}
{% block postamble %}
<link rel="preload" as="script" nonce="{{ nonce }}" href="stage-assets/plotly.min.js">
<style>html, body { margin: 0; height: 100%; overflow-x: hidden; background: #f3f5f8; }
@media (prefers-color-scheme: dark) { html, body { background: #0f131a; } }
#page { height: 100vh; display: flex; } #page > * { flex: 1; }</style>
{% endblock %}
{% block inner_body %}
<div id="page">{{ embed(roots.stage) }}</div>
{{ plot_script | replace("<script", own) }}
{% endblock %}
"""


def _prepare(sessions: Mapping[str, Session]) -> None:
    """Measure what all visitors need; what fails in one dataset is logged, and the others go on."""
    for name, session in sessions.items():
        try:
            session.payload()
            session.ahead()
        except Exception:
            _log.exception("preparing the dataset %r failed", name)
