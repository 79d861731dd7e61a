"""One sentence on what a figure shows, from the numbers that it is drawn from; stage/summary.js is its twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.trajectories.schema import NoPredictionsError
from predspace_widgets.views.marks import When, applies, texts_of
from predspace_widgets.views.style import percent
from predspace_widgets.views.tables import Tables


@dataclass(frozen=True)
class Clause:
    """A part of the sentence: a text with places for what is read from a table.

    Attributes
    ----------
    text : str
        Without a table `{curves}` and `{runs}` stand for how many are shown. With one, `{value}` or `{percent}` stands
        for the number that is read, and `{curve}` for whose it is; `{choice}` for the value of a choice.
    table, column : str
        What is read; see `Tables`.
    rows : tuple of str
        Numbers of rows, the first is 1, whose sum is read: of a table of axes. They may name choices.
    take : {"highest", "lowest", "highest end", "lowest end"}
        Without `rows`: which row is read, of all or of the last ones of each curve. The first of equals.
    when : mapping of choice to values
        Said only where each of these choices has one of these values.
    """

    text: str
    table: str = ""
    column: str = ""
    rows: tuple[str, ...] = ()
    take: str = "highest"
    when: When = field(default_factory=dict)


#: How much is shown.
COUNTS = Clause("{curves} of {runs}")


def summarise(clauses: Sequence[Clause], tables: Tables, choices: Mapping[str, Any]) -> str:
    """The sentence of some clauses; what needs predictions is left out where there are none.

    Parameters
    ----------
    clauses : sequence of Clause
    tables : Tables
        Of the present choices.
    choices : mapping
        Values of the choices that texts and `when` name.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories import Selection
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> shown = SimpleNamespace(selection=Selection(), fitted_on=None, time=None)
    >>> tables = Tables(analysis_of(random_trajectories()), shown)
    >>> longest = Clause("the way of “{curve}” is the longest", "curves", "length")
    >>> summarise([COUNTS, longest], tables, {"color_by": "curve", "progress_metric": "bhattacharyya"})
    '3 curves of 6 runs; the way of “green” is the longest.'
    """
    texts = texts_of(choices)
    said = [_said(clause, tables, texts) for clause in clauses if applies(clause.when, choices)]
    sentence = "; ".join(filter(None, said))
    return f"{sentence}." if sentence else ""


def _said(clause: Clause, tables: Tables, texts: Mapping[str, Any]) -> str:
    try:
        return clause.text.format_map({**texts, **_facts(clause, tables, texts)})
    except (NoPredictionsError, _Nothing):
        return ""


class _Nothing(ValueError):
    """No row has a number."""


def _facts(clause: Clause, tables: Tables, texts: Mapping[str, Any]) -> dict[str, str]:
    if not clause.table:
        n_curves, n_runs = len(np.unique(tables.curve)), len(tables.runs_shown)
        return {"curves": _plural(n_curves, "curve"), "runs": _plural(n_runs, "run")}
    table = tables[clause.table]
    values = table.column(clause.column.format_map(texts))
    if clause.rows:
        places = [int(row.format_map(texts)) - 1 for row in clause.rows]
        value = float(sum(values[place] for place in places if place < len(values)))
        return {"value": f"{value:.3g}", "percent": percent(value)}
    assert table.curve is not None  # rows of no curve are read by their numbers
    place = _place_of_extreme(table.curve, values, clause.take)
    curve = tables.analysis.curve_names[int(table.curve[place])]
    return {"curve": curve, "value": f"{values[place]:.3g}", "percent": percent(float(values[place]))}


def _place_of_extreme(curve: NDArray[Any], values: NDArray[Any], take: str) -> int:
    considered = np.isfinite(values)
    if take.endswith("end"):
        considered &= np.append(curve[1:] != curve[:-1], True)
    if not considered.any():
        raise _Nothing("there is nothing to tell")
    ends = np.where(considered, values, -np.inf if take.startswith("highest") else np.inf)
    return int(ends.argmax() if take.startswith("highest") else ends.argmin())


def _plural(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
