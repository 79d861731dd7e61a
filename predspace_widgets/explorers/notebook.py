"""The stage as a notebook widget: JupyterLab, Notebook, VS Code, Colab, marimo."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from html import escape
from typing import Any

import traitlets

from predspace_widgets.explorers.hosting import Answers
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.stage.stage import module, style
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.explorers.still import LastingWidget, still

# Bytes of news that are sent unasked, all of them each time: more would be held up with all other output.
_MOST_UNASKED = 2**16


class StageWidget(LastingWidget):
    """The stage.

    Parameters
    ----------
    session : Session
    state : ExplorerState
        Its choices, both ways.
    height : str
        As CSS writes lengths.
    """

    _esm = module()
    _css = style()
    choices = traitlets.Dict().tag(sync=True)
    payload = traitlets.Bytes().tag(sync=True)
    height = traitlets.Unicode().tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)  # whether new checkpoints may come
    news = traitlets.Bytes().tag(sync=True)  # these, unasked, while they are few

    def __init__(self, session: Session, state: ExplorerState, height: str = "720px") -> None:
        self._session, self._state = session, state
        self._answers = Answers(session, state)
        super().__init__(choices=self._answers.settings(), payload=session.payload(), height=height)
        self.observe(self._to_state, "choices")
        state.param.watch(self._from_state, list(state.choices()))
        self.on_msg(self._on_message)
        self._answers.follow(self._begin_following)

    def _to_state(self, change: Any) -> None:
        self._answers.choose(change.new)

    def _from_state(self, *_: Any) -> None:
        self.choices = self._answers.settings()

    def _begin_following(self) -> None:
        self.live = True
        if self._session.news is not None:
            self._session.news.listeners.add(self._tell_news)
            self._tell_news()  # of what came before this was shown

    def _tell_news(self) -> None:
        # While a cell runs, most kernels hear no question: a cell that waits for a training would freeze its picture.
        news = self._session.news_so_far()
        if len(news) <= _MOST_UNASKED:
            self.news = news

    def _on_message(self, _: Any, message: Any, buffers: Any) -> None:
        if isinstance(message, Mapping):  # at once: where this does not come, the page says that a cell is running
            self.send({"heard": message.get("number"), "stage": message.get("stage")})
        # In a thread: the kernel goes on, and of several questions of one kind the newest is answered.
        threading.Thread(target=self._answers.answer, args=(message, self._reply), daemon=True).start()

    def _reply(self, message: dict[str, Any], content: bytes | None) -> None:
        self.send(message, None if content is None else [content])

    def _still(self) -> str:
        """The picture as lines of SVG, without a script."""
        title = escape(str(self._session.about["title"]))
        return f"<p><b>{title}</b>: run this cell for the explorer.</p>{still(self._session.analysis, self._state)}"
