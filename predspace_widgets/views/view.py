"""What a view is: what it measures, how it is drawn, how to read it, and the choices that it depends on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from predspace_widgets.analysis import Analysis
from predspace_widgets.trajectories import Selection
from predspace_widgets.views.style import Style, curve_styles

#: The choices behind `Choices.selection`.
CHECKPOINTS = ("tasks", "methods", "seeds", "epochs")

#: A plotly figure as a plain dict, `{"data": [...], "layout": {...}}`: plotly's own classes check every value, slowly.
Figure = dict[str, Any]
_log = logging.getLogger(__name__)


class Choices(Protocol):
    """What a user has chosen."""

    @property
    def selection(self) -> Selection:
        """The chosen checkpoints."""

    @property
    def dimensions(self) -> str:
        """ "3-D" or "2-D": the first three axes of the picture, or two chosen ones."""

    @property
    def horizontal(self) -> int:
        """The InPCA axis drawn to the right in two dimensions."""

    @property
    def vertical(self) -> int:
        """The InPCA axis drawn upwards in two dimensions."""

    @property
    def color_by(self) -> str:
        """What colours mean in the picture, one of `inpca.COLORINGS`."""

    @property
    def progress_metric(self) -> Any:
        """The distance that geometric progress minimises."""

    @property
    def first(self) -> str:
        """One of the two curves that are compared."""

    @property
    def second(self) -> str:
        """The other one."""


@dataclass(frozen=True)
class Drawing:
    """A view at one moment: a figure with a sentence on how to read it, or a message why there is none."""

    figure: Figure | None
    caption: str
    message: str = ""


@dataclass(frozen=True)
class View:
    """One view of a dataset.

    Attributes
    ----------
    name, title, how_to_read : str
    depends : function from choices to names of choices
        Those that the view depends on while these are chosen: it is drawn again where one of them changes.
    measure : function from analysis and choices to a result
    figure : function from the result, the style of each curve and the choices to a figure
    notes : function from the result, and the meaning of the styles, to what the caption says after `how_to_read`
    """

    name: str
    title: str
    how_to_read: str
    depends: Callable[[Choices], Sequence[str]]
    measure: Callable[[Analysis, Choices], Any]
    figure: Callable[[Any, Mapping[str, Style], Choices], Figure]
    notes: Callable[[Any, str], str] = lambda result, meaning: ""

    def seen(self, choices: Choices) -> dict[str, Any]:
        """The choices that the view depends on, with their values: while these stay, so does the drawing."""
        values = {name: getattr(choices, name) for name in self.depends(choices)}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

    def compose(self, analysis: Analysis, choices: Choices) -> tuple[Figure, str]:
        """The figure and its caption; a ValueError says which choices leave nothing to draw."""
        result = self.measure(analysis, choices)
        styles, meaning = styles_of(analysis)
        return self.figure(result, styles, choices), f"{self.how_to_read} {self.notes(result, meaning)}".strip()

    def draw(self, analysis: Analysis, choices: Choices) -> Drawing:
        """Draw the view; what a user can cause becomes a message, and so does a defect, which is also logged."""
        try:
            return Drawing(*self.compose(analysis, choices))
        except ValueError as error:
            return Drawing(None, self.how_to_read, str(error))
        except Exception as error:
            _log.exception("the view %r failed", self.name)
            message = f"This view failed ({type(error).__name__}: {error}). The log has the details."
            return Drawing(None, self.how_to_read, message)


def styles_of(analysis: Analysis) -> tuple[dict[str, Style], str]:
    """The style of each curve of a dataset by the curve's name, and what styles mean; see `curve_styles`.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> styles_of(analysis_of(random_trajectories(tasks=("red",))))
    ({'red': Style(color='#0072B2', dash='solid')}, '')
    """
    styles, meaning = curve_styles(analysis.curve_pairs)
    return dict(zip(analysis.curve_names, styles, strict=True)), meaning


def colors_of(analysis: Analysis, column: str) -> dict[str, list[str]]:
    """Colours of the curves of each task, or of each method.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> colors_of(analysis_of(random_trajectories(tasks=("red", "blue"))), "method")
    {'supervised': ['#0072B2', '#D55E00']}
    """
    place = ("task", "method").index(column)
    pairs = analysis.curve_pairs
    colors: dict[str, dict[str, None]] = {}
    for pair, style in zip(pairs, curve_styles(pairs)[0], strict=True):
        colors.setdefault(pair[place], {})[style.color] = None
    return {value: list(seen) for value, seen in colors.items()}
