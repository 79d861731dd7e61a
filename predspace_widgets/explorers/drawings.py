"""The views of an explorer, the same on every face: what each draws, and when it is drawn again."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.views import comparison, inpca, lengths, progress, stress

_CHECKPOINTS = ("tasks", "methods", "seeds", "epochs")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drawing:
    """A view at one moment: a figure with a sentence on how to read it, or a message why there is none."""

    figure: go.Figure | None
    caption: str
    message: str = ""


@dataclass(frozen=True)
class View:
    """One view of the explorer.

    Attributes
    ----------
    name, title, how_to_read : str
        `how_to_read` may have places that `details` fills.
    depends : tuple of str
        The parameters of the state that it is drawn again for.
    figure : function from state to plotly figure
    details : function from state to the places of `how_to_read`
    """

    name: str
    title: str
    how_to_read: str
    depends: tuple[str, ...]
    figure: Callable[[ExplorerState], go.Figure]
    details: Callable[[ExplorerState], dict[str, str]] = lambda state: {}

    @property
    def caption(self) -> str:
        """`how_to_read` while there is nothing to say of the figure: a page that holds it has its final layout."""
        return re.sub(r"\{\w+\}", "…", self.how_to_read)

    def draw(self, state: ExplorerState) -> Drawing:
        """The view of a state; what a user can cause becomes a message, and so does a defect, which is also logged."""
        try:
            return Drawing(self.figure(state), self.how_to_read.format(**self.details(state)).strip())
        except ValueError as error:
            return Drawing(None, self.caption, str(error))
        except Exception as error:
            _log.exception("the view %r failed", self.name)
            return Drawing(
                None, self.caption, f"This view failed ({type(error).__name__}: {error}). The log has the details."
            )


def _picture(state: ExplorerState) -> go.Figure:
    return inpca.inpca_figure(state.picture(), state.colors, state.axes, state.values())


def _notes(state: ExplorerState) -> dict[str, str]:
    return {"notes": inpca.notes(state.picture())}


def _stress(state: ExplorerState) -> go.Figure:
    return stress.stress_figure(state.picture())


def _progress(state: ExplorerState) -> go.Figure:
    curves = state.analysis.progress_curves(state.selection, state.progress_metric)
    return progress.progress_figure(curves, state.colors)


def _comparison(state: ExplorerState) -> go.Figure:
    result = state.analysis.comparison(state.first, state.second, state.selection, state.progress_metric)
    return comparison.comparison_figure(result, state.colors)


def _lengths(state: ExplorerState) -> go.Figure:
    return lengths.lengths_figure(state.analysis.riemann_lengths(state.selection), state.colors)


def _schedule(state: ExplorerState) -> dict[str, str]:
    return {"schedule": lengths.schedule(state.analysis.riemann_lengths(state.selection))}


PICTURE = View(
    "inpca",
    inpca.TITLE,
    inpca.HOW_TO_READ,
    (*_CHECKPOINTS, "dimensions", "horizontal", "vertical", "color_by", "progress_metric"),
    _picture,
    _notes,
)
STRESS = View("stress", stress.TITLE, stress.HOW_TO_READ, _CHECKPOINTS, _stress)
PROGRESS = View("progress", progress.TITLE, progress.HOW_TO_READ, (*_CHECKPOINTS, "progress_metric"), _progress)
COMPARISON = View(
    "comparison",
    comparison.TITLE,
    comparison.HOW_TO_READ,
    ("first", "second", "seeds", "epochs", "progress_metric"),
    _comparison,
)
LENGTHS = View("lengths", lengths.TITLE, lengths.HOW_TO_READ, _CHECKPOINTS, _lengths, _schedule)
