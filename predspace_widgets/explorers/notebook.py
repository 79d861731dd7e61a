"""The stage as a notebook widget: JupyterLab, Notebook, VS Code, Colab, marimo."""

from __future__ import annotations

import threading
from html import escape
from typing import TYPE_CHECKING, Any

from predspace_widgets.explorers.hosting import Answers
from predspace_widgets.explorers.stage.stage import module, style

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise ImportError(
        'the explorer in a notebook needs anywidget: pip install "predspace-widgets[notebook]"'
    ) from error

if TYPE_CHECKING:
    from predspace_widgets.explorers.explorer import Explorer


class StageWidget(anywidget.AnyWidget):
    """The stage of an explorer.

    Parameters
    ----------
    explorer : Explorer
    """

    _esm = module()
    _css = style()
    choices = traitlets.Dict().tag(sync=True)
    payload = traitlets.Bytes().tag(sync=True)
    height = traitlets.Unicode().tag(sync=True)

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._answers = Answers(explorer.session, explorer.state)
        super().__init__(choices=self._answers.settings(), payload=explorer.session.payload(), height=explorer.height)
        self.observe(self._to_state, "choices")
        explorer.state.param.watch(self._from_state, list(explorer.state.choices()))
        self.on_msg(self._on_message)

    def _to_state(self, change: Any) -> None:
        self._answers.choose(change.new)

    def _from_state(self, *_: Any) -> None:
        self.choices = self._answers.settings()

    def _on_message(self, _: Any, message: Any, buffers: Any) -> None:
        # In a thread: the kernel goes on, and of several questions of one kind the newest is answered.
        threading.Thread(target=self._answers.answer, args=(message, self._send), daemon=True).start()

    def _send(self, message: dict[str, Any], content: bytes | None) -> None:
        self.send(message, None if content is None else [content])

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = self._still()  # what stays where no widget can be shown
        return bundle

    def _still(self) -> str:
        """The first view as a picture: lines of SVG, without a script."""
        from predspace_widgets.explorers.sharing import still

        explorer = self._explorer
        title = escape(str(explorer.session.about["title"]))
        return f"<p><b>{title}</b>: run this cell for the explorer.</p>{still(explorer)}"
