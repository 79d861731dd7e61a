"""What both hosts do: choices back and forth, and answers to a stage's questions, the newest only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.sharing import one_file
from predspace_widgets.explorers.stage.stage import plotly_script
from predspace_widgets.explorers.state import ExplorerState

_log = logging.getLogger(__name__)
Send = Callable[[dict[str, Any], bytes | None], None]


class Answers:
    """The Python side of one stage.

    Parameters
    ----------
    session : Session
    state : ExplorerState
    """

    def __init__(self, session: Session, state: ExplorerState) -> None:
        self._session, self._state = session, state
        self._newest: dict[Any, int] = {}
        self._working = threading.Lock()  # one measurement at a time: what has become stale meanwhile is left out

    def settings(self) -> dict[str, Any]:
        """The choices that differ from the first ones, with what is selected."""
        return self._state.settings() | ({"selected": self._state.selected} if self._state.selected else {})

    def choose(self, settings: Any) -> None:
        """Set what was chosen on the stage; what cannot be is left out, since it is not trusted."""
        if isinstance(settings, Mapping) and settings != self.settings():
            self._state.apply({**self._state.defaults(), **settings})

    def answer(self, request: Any, send: Send) -> None:
        """Answer a question of the stage; an error is an answer too."""
        if not isinstance(request, Mapping) or not isinstance(request.get("number"), int):
            return
        number, kind = request["number"], tuple(str(request.get(name))[:80] for name in ("kind", "view"))
        self._newest[kind] = max(number, self._newest.get(kind, 0))
        try:
            if request.get("kind") == "ahead":  # may take long, and holds nobody up
                message, content = self._answer(request)
            else:
                with self._working:
                    if number < self._newest[kind]:
                        return
                    message, content = self._answer(request)
        except ValueError as error:
            message, content = {"error": str(error)}, None
        except Exception as error:
            _log.exception("a question of the stage failed: %r", kind)
            message, content = (
                {"error": f"this failed ({type(error).__name__}: {error}); the log has the details"},
                None,
            )
        send({**message, "number": number}, content)

    def _answer(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes | None]:
        kind = request.get("kind")
        if kind == "payload":
            return {"bytes": True}, self._session.payload()
        if kind == "plotly":
            return {"bytes": True}, plotly_script()
        if kind == "save":
            choices = ExplorerState(self._session.analysis)
            choices.apply(request.get("choices"))
            return {"bytes": True}, one_file(self._session, choices.settings()).encode()
        answer = self._session.answer(request, self._state)
        if answer.content is not None:
            return {"packed": answer.packed, "bytes": not answer.packed}, answer.content
        return {"answer": answer.plain}, None
