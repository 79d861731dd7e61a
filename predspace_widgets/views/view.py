"""What a view is: what it asks, which controls it has, how it is drawn, how to read it.

There are two kinds. A view of checkpoints declares marks: Python and the stage make the same figure of them, for any
choice. A view of results measures what needs predictions, for the choices that it names, and makes a figure of that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from predspace_widgets.analysis import Analysis
from predspace_widgets.views.blocks import Block
from predspace_widgets.views.marks import Figure, Mark, When, applies, fill, texts_of
from predspace_widgets.views.style import curve_styles
from predspace_widgets.views.summary import COUNTS, Clause, summarise
from predspace_widgets.views.tables import Tables, published_note

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Control:
    """A choice with its options, which the stage draws in the header of a card.

    Attributes
    ----------
    choice : str
        Its name in the state.
    label : str
        What it is called.
    options : tuple of (value, text), or "curves", "axes" or "colorings"
        What there is to choose from: the curves of the dataset, and where it is a member of a list its runs too; the
        axes of the picture; what colours can mean.
    when : mapping of choice to values
        Shown only where each of these choices has one of these values.
    place : int, optional
        Which member of a choice that is a list.
    optional : bool
        Whether a list need not have this member: the first place behind its end adds one.
    prefix : str
        What is written before each option, where the options alone would not say what they are.
    """

    choice: str
    label: str
    options: tuple[tuple[Any, str], ...] | str
    when: When = field(default_factory=dict)
    place: int | None = None
    prefix: str = ""
    optional: bool = False


PROGRESS_METRIC = Control(
    "progress_metric", "progress by", (("bhattacharyya", "Bhattacharyya"), ("great_circle", "great circle"))
)


#: Where cards stand on the stage; those of one deck are tabs. "selected" covers the right, while it has something.
DECKS = ("below left", "below right", "right top", "right bottom", "selected")


@dataclass(frozen=True)
class Drawing:
    """A view at one moment: a figure, a sentence on how to read it and its numbers, or a message why there is none.

    Where there are `blocks`, the stage shows them and not the figure: see `blocks.py`. `summary` is what somebody who
    does not see the figure is told.
    """

    figure: Figure | None
    caption: str
    message: str = ""
    table: pd.DataFrame | None = None
    blocks: Sequence[Block] | None = None
    summary: str = ""


@dataclass(frozen=True)
class View:
    """What both kinds of view have.

    Attributes
    ----------
    name, title, how_to_read : str
    controls : tuple of Control
        Its own, besides those that all views share.
    place : int
        Where it comes among all views; the first is the large one.
    deck : str
        Where its card stands, one of `DECKS`.
    tab : str
        What it is called on a tab, where the title is too long.
    needs_predictions : bool
        Whether it has nothing to show of a published picture, which comes without.
    """

    name: str
    title: str
    how_to_read: str
    controls: tuple[Control, ...] = ()
    place: int = 100
    deck: str = "right bottom"
    tab: str = ""
    needs_predictions: bool = False

    def compose(self, analysis: Analysis, choices: Any) -> Drawing:
        """The drawing for some choices; a ValueError says why there is none."""
        raise NotImplementedError

    def draw(self, analysis: Analysis, choices: Any) -> Drawing:
        """The drawing; what a user can cause becomes a message, and so does a defect, which is also logged."""
        try:
            return self.compose(analysis, choices)
        except ValueError as error:
            return Drawing(None, self.how_to_read, str(error))
        except Exception as error:
            _log.exception("the view %r failed", self.name)
            message = f"This view failed ({type(error).__name__}: {error}). The log has the details."
            return Drawing(None, self.how_to_read, message)

    def describe(self) -> dict[str, Any]:
        """The view as plain data, for the stage."""
        return {
            "name": self.name,
            "title": self.title,
            "how_to_read": self.how_to_read,
            "deck": self.deck,
            "tab": self.tab or self.title,
            "controls": [asdict(control) for control in self.controls],
        }


@dataclass(frozen=True)
class CheckpointView(View):
    """A view whose marks are drawn from what every checkpoint has.

    Attributes
    ----------
    marks : tuple of Mark
    layouts : tuple of (when, layout)
        The layout is the first whose choices apply.
    table : str
        Whose rows are the numbers of the view; one of `Tables`.
    columns : tuple of str
        Their columns.
    columns_of_bars : tuple of str
        Those that there are besides, where there are error bars.
    facts : tuple of str
        Sentences of the caption, by their names in `Tables.fact`.
    readings : tuple of (when, str)
        What stands in the place of `how_to_read` where its choices apply.
    summary : tuple of Clause
        What is said of the figure to those who do not see it.
    """

    marks: tuple[Mark, ...] = ()
    layouts: tuple[tuple[When, Mapping[str, Any]], ...] = ()
    table: str = "checkpoints"
    columns: tuple[str, ...] = ()
    columns_of_bars: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    readings: tuple[tuple[When, str], ...] = ()
    summary: tuple[Clause, ...] = (COUNTS,)

    def compose(self, analysis: Analysis, choices: Any) -> Drawing:
        """The drawing; see `View.compose`."""
        tables, values = Tables(analysis, choices), choices.choices()
        layout = next(layout for when, layout in self.layouts if applies(when, values))
        figure = fill(self.marks, layout, tables, curve_styles(analysis.curve_pairs)[0], values)
        read = next((text for when, text in self.readings if applies(when, values)), self.how_to_read)
        facts = [tables.fact(name) for name in self.facts]
        whole = [published_note(analysis)] if "fitted" in self.facts and not analysis.has_predictions else []
        # What is true of a published picture alone comes first, where captions are cut.
        sentences = [*whole, read, *(fact for fact in facts if fact not in whole)]
        caption, summary = " ".join(filter(None, sentences)), summarise(self.summary, tables, values)
        return Drawing(figure, caption, table=self._numbers(tables, texts_of(values)), summary=summary)

    def _numbers(self, tables: Tables, texts: Mapping[str, Any]) -> pd.DataFrame:
        table, ds = tables[self.table], tables.analysis.ds
        named: dict[str, Any] = {}
        if table.curve is not None:
            pairs = [tables.analysis.curve_pairs[curve] for curve in table.curve]
            coordinates = tables.analysis.curve_coordinates
            named = {name: [pair[part] for pair in pairs] for part, name in enumerate(coordinates)}
        if len(table.rows) and (table.rows >= 0).all():
            named = {"row": table.rows, "run": ds["run"].values[table.rows], **named}
            named["seed"] = ds["seed"].values[table.rows]
        bars = self.columns_of_bars if self.columns_of_bars and tables.bars is not None else ()
        columns = [name.format_map(texts) for name in (*self.columns, *bars)]
        return pd.DataFrame({**named, **{name: table.column(name) for name in columns}})

    def describe(self) -> dict[str, Any]:
        """The view as plain data; see `View.describe`."""
        return super().describe() | {
            "kind": "checkpoints",
            "marks": [asdict(mark) for mark in self.marks],
            "layouts": [{"when": when, "layout": layout} for when, layout in self.layouts],
            "table": self.table,
            "columns": self.columns,
            "columns_of_bars": self.columns_of_bars,
            "facts": self.facts,
            "readings": [{"when": when, "text": text} for when, text in self.readings],
            "summary": [asdict(clause) for clause in self.summary],
        }


@dataclass(frozen=True)
class ResultView(View):
    """A view of what is measured on predictions.

    Attributes
    ----------
    depends : tuple of str
        The choices that the result depends on: all others change nothing.
    measure : function from analysis and choices to a result
    figure : function from the result, the analysis and the choices to a figure
    numbers : function from the result to a table
    notes : function from the result to what the caption says after `how_to_read`
    summary : function from the result to one sentence for those who do not see the figure, optional
        Without it these are the notes.
    blocks : function from the result, the analysis and the choices to blocks, optional
        What the stage shows in place of the figure.
    ahead : function from analysis and choices to dicts of choices and results, optional
        What is measured before anyone asks, for all choices that a user may make of it.
    """

    needs_predictions: bool = True

    depends: tuple[str, ...] = ()
    measure: Callable[[Analysis, Any], Any] = lambda analysis, choices: None
    figure: Callable[[Any, Analysis, Any], Figure] = lambda result, analysis, choices: {"data": [], "layout": {}}
    numbers: Callable[[Any], pd.DataFrame] = lambda result: pd.DataFrame()
    notes: Callable[[Any], str] = lambda result: ""
    summary: Callable[[Any], str] | None = None
    blocks: Callable[[Any, Analysis, Any], Sequence[Block]] | None = None
    ahead: Callable[[Analysis, Any], Sequence[tuple[dict[str, Any], Any]]] | None = None

    def compose(self, analysis: Analysis, choices: Any) -> Drawing:
        """The drawing; see `View.compose`."""
        return self.drawing(self.measure(analysis, choices), analysis, choices)

    def drawing(self, result: Any, analysis: Analysis, choices: Any) -> Drawing:
        """The drawing of a result."""
        notes = self.notes(result)
        caption = f"{self.how_to_read} {notes}".strip()
        summary = (notes if self.summary is None else self.summary(result)) or f"{self.title}."
        blocks = None if self.blocks is None else self.blocks(result, analysis, choices)
        figure = self.figure(result, analysis, choices)
        return Drawing(figure, caption, table=self.numbers(result), blocks=blocks, summary=summary)

    def describe(self) -> dict[str, Any]:
        """The view as plain data; see `View.describe`."""
        return super().describe() | {"kind": "results", "depends": self.depends}
