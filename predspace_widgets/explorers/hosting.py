"""What both hosts do: choices back and forth, and answers to a stage's questions, the newest only."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from predspace_widgets.explorers.scenes import scenes_of
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.sharing import one_file
from predspace_widgets.explorers.stage.stage import plotly_script
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.explorers.trainings import answer_training
from predspace_widgets.extras import MissingExtraError
from predspace_widgets.trajectories import DamagedError

_log = logging.getLogger(__name__)
# What may take long, or must not wait for what takes long.
_HOLDS_NOBODY_UP = ("ahead", "news", "refit", "payload", "training", "error bars")
Send = Callable[[dict[str, Any], bytes | None], None]


class Answers:
    """The Python side of one widget, or component: of the stages that show it, each has its own questions.

    Parameters
    ----------
    session : Session
    state : ExplorerState
    """

    def __init__(self, session: Session, state: ExplorerState) -> None:
        self._session, self._state = session, state
        self._newest: dict[Any, int] = {}
        self._working = threading.Lock()  # one measurement at a time: what has become stale meanwhile is left out
        self._listens = False
        self._tell: Callable[[], None] = lambda: None

    def follow(self, tell: Callable[[], None]) -> None:
        """Let the state grow with what its session follows, and call `tell` once it follows something."""
        self._tell = tell
        self._session.on_follow.add(self._begin)
        self._begin()

    def _begin(self) -> None:
        news = self._session.news
        if news is not None and not self._listens:
            self._listens = True
            news.listeners.add(self._grow)
            self._grow()
            self._tell()

    def _grow(self) -> None:
        session, news = self._session, self._session.news
        if news is not None:
            self._state.grow(session.analysis, news.new_curves, news.seeds, news.epochs, news.n_new)

    def settings(self) -> dict[str, Any]:
        """The choices that differ from the first ones, with what is looked at."""
        return self._state.settings(looked_at=True)

    def choose(self, settings: Any) -> None:
        """Set what was chosen on the stage; what cannot be is left out, since it is not trusted."""
        if isinstance(settings, Mapping) and settings != self.settings():
            self._state.apply({**self._state.defaults(), **settings})

    def answer(self, request: Any, send: Send) -> None:
        """Answer a question of the stage; an error is an answer too."""
        if not isinstance(request, Mapping) or not isinstance(request.get("number"), int):
            return
        number, stage = request["number"], str(request.get("stage", ""))[:80]
        kind = stage, *(str(request.get(name))[:80] for name in ("kind", "view"))
        self._newest[kind] = max(number, self._newest.get(kind, 0))
        if request.get("kind") in _HOLDS_NOBODY_UP:
            message, content = answer_to(request, self._session, self._state)
        else:
            with self._working:
                if number < self._newest[kind]:
                    return
                message, content = answer_to(request, self._session, self._state)
        send({**message, "number": number, "stage": stage}, content)


def answer_to(
    request: Any, session: Session, state: ExplorerState | None = None
) -> tuple[dict[str, Any], bytes | None]:
    """The answer to a question of a stage: a message, and bytes if it says so; an error is a message too.

    Parameters
    ----------
    request : anything
        It is not trusted; see `Session.answer`. Of the kinds "payload", "plotly" and "save" the answers are bytes.
    session : Session
    state : ExplorerState, optional
        What is chosen on the stage, as far as the question does not say it.
    """
    if not isinstance(request, Mapping):
        return {"error": "a question has a kind"}, None
    kind = request.get("kind")
    try:
        if kind == "payload":
            return {"bytes": True}, session.payload()
        if kind == "plotly":
            return {"bytes": True}, plotly_script()
        if kind == "save":
            choices = ExplorerState(session.analysis)
            choices.apply(request.get("choices"))
            given = request.get("scenes")
            scenes = scenes_of(given, session.analysis, session.views) if isinstance(given, list) and given else []
            return {"bytes": True}, one_file(session, choices.settings(), scenes).encode()
        if kind == "training":
            return {"answer": answer_training(request, session)}, None
        answer = session.answer(request, state)
    except (ValueError, DamagedError, MissingExtraError) as error:
        return {"error": str(error)}, None
    except Exception as error:
        _log.exception("a question of the stage failed: %.80r", kind)
        return {"error": f"This failed ({type(error).__name__}: {error}); the log has the details."}, None
    if answer.content is not None:
        return {"packed": answer.packed, "bytes": not answer.packed}, answer.content
    return {"answer": answer.plain}, None
