"""Which differ? All pairs of curves or runs as a heat map, each beside what chance between seeds makes of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.common_range import By, Of
from predspace_widgets.analysis.matrix import matrix
from predspace_widgets.analysis.outliers import outliers
from predspace_widgets.views.marks import Figure
from predspace_widgets.views.style import COLOR_SCALE, axis, color_bar, common_layout, names_on_axis, plain
from predspace_widgets.views.view import Control, ResultView

#: More of them are no picture that anybody reads.
MOST_MEMBERS = 200
#: Of so many curves, and so many runs, the matrix is measured before anyone asks.
MOST_AHEAD, MOST_RUNS_AHEAD = 16, 80

_WHITE, _BLACK = "rgb(255, 255, 255)", "rgb(0, 0, 0)"  # by night, too: cells have the same colours then
_LETTERS = 16  # of a name
_MOST_NAMED = 26  # rows that have a name each; of more, each group of neighbours of one curve has one
_MOST_OUTLIERS = 3  # that the caption names
_MOST_WRITTEN = 7  # rows whose cells hold their numbers

OF = Control(
    "matrix_of", "compared", (("progress", "at equal progress"), ("end", "at the end"), ("step", "at equal step"))
)
BY = Control("matrix_by", "what is compared", (("curve", "curves"), ("run", "runs")))


def matrix_figure(differ: xr.Dataset) -> Figure:
    """Draw a matrix of distances in the order of its tree, the floor on the diagonal, a dot at what lies within it.

    Parameters
    ----------
    differ : xarray.Dataset
        From `predspace_widgets.analysis.matrix.matrix`.

    Returns
    -------
    dict
        A plotly figure. The heat map's `meta["choose"]` holds, for each of its cells, the choices that a click makes.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> figure = matrix_figure(random_trajectories().predspace.matrix(of="end"))
    >>> figure["data"][0]["meta"]["choose"][0][1]
    {'compared': ['blue', 'red']}
    """
    order = _drawn(differ)
    labels = differ["other"].values[order].tolist()
    distance, floor = (differ[name].values[np.ix_(order, order)] for name in ("distance", "floor"))
    z = distance.copy()
    np.fill_diagonal(z, floor.diagonal())
    pairs = [[(row, column) for column in range(len(order))] for row in range(len(order))]
    heat = {
        "type": "heatmap",
        "z": z,
        "zmin": 0.0,
        "zmax": float(np.nanmax(z, initial=0.0)) or 1.0,
        **({"xgap": 1, "ygap": 1} if len(order) <= _MOST_NAMED else {}),
        "colorscale": COLOR_SCALE,
        "reversescale": True,
        "colorbar": color_bar("mean distance"),
        "text": [[_said(differ, order, *pair) for pair in row] for row in pairs],
        "hovertemplate": "%{text}<extra></extra>",
        "name": "distance",
        "meta": {
            "role": "matrix",
            "choose": [[{"compared": [labels[i], labels[j]]} if i != j else {} for i, j in row] for row in pairs],
        },
    }
    if len(order) <= _MOST_WRITTEN:
        heat["texttemplate"] = "%{z:.3f}"
    within = np.argwhere(differ["within_floor"].values[np.ix_(order, order)] & ~np.eye(len(order), dtype=bool))
    size = float(np.clip(150 / len(order), 2, 7)) if len(order) else 7.0  # smaller than a cell of a small card
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": within[:, 1],
        "y": within[:, 0],
        "marker": {"color": _WHITE, "size": size, "line": {"color": _BLACK, "width": 1 if size > 4 else 0.5}},
        "hoverinfo": "skip",
        "name": "within what chance makes",
        "meta": {"role": "within"},
    }
    return {"data": [heat, dots], "layout": _layout(differ, order)}


def _drawn(differ: xr.Dataset) -> NDArray[np.intp]:
    """Those that are compared, in their order."""
    order = differ["order"].values
    return np.asarray(order[differ["compared"].values[order]])


def _layout(differ: xr.Dataset, order: NDArray[np.intp]) -> dict[str, Any]:
    if len(order) <= _MOST_NAMED:
        places, numbers = [float(n) for n in range(len(order))], [str(n + 1) for n in range(len(order))]
        after = [f" {number}" for number in numbers]
        names, roomier = names_on_axis(differ["other"].values[order].tolist(), _LETTERS, after=after)
    else:
        curves = differ["curve"].values[order].tolist()
        groups = [list(group) for _, group in itertools.groupby(range(len(order)), key=curves.__getitem__)]
        groups = _apart(groups, len(order) / _MOST_NAMED)
        places = [_middle(group) for group in groups]
        known = list(dict.fromkeys(curves))
        all_names = names_on_axis(known, _LETTERS)
        at = [known.index(curves[group[0]]) for group in groups]
        names, *roomier = ([some[place] for place in at] for some in (all_names[0], *all_names[1]))
        numbers = [""] * len(groups)
    stride = -(-len(numbers) // 9)  # in a small card, where all would touch
    few = [number if n % stride == 0 else "" for n, number in enumerate(numbers)]
    ticks: dict[str, Any] = {"tickmode": "array", "tickvals": places, "showgrid": False}
    ticks |= {"tickfont": {"size": 11}, "range": [-0.5, len(order) - 0.5]}
    return common_layout(
        xaxis=axis("", **ticks, ticktext=few, side="top", tickangle=0),
        yaxis=axis("", **{**ticks, "range": ticks["range"][::-1]}, ticktext=names),
        margin={"l": 62, "r": 8, "t": 18, "b": 6},
        meta={"row_height": 14, "names": {"x": [numbers], "y": roomier}},
    )


def _middle(group: list[int]) -> float:
    return sum(group) / len(group)


def _apart(groups: list[list[int]], least: float) -> list[list[int]]:
    """Groups of rows, the largest first, whose middles are so many rows apart, so that their names are."""
    kept: list[list[int]] = []
    for group in sorted(groups, key=len, reverse=True):
        if all(abs(_middle(group) - _middle(other)) >= least for other in kept):
            kept.append(group)
    return kept


def _said(differ: xr.Dataset, order: NDArray[np.intp], row: int, column: int) -> str:
    """What the tip says of a cell."""
    i, j = order[row], order[column]
    first, second = (plain(differ["other"].values[k]) for k in (i, j))
    floor = f"{differ['floor'].values[i, j]:.3f}" if np.isfinite(differ["floor"].values[i, j]) else "not known"
    if i == j:
        return f"{first}<br>chance between seeds: {floor}"
    lines = [f"{first} | {second}", f"{differ['distance'].values[i, j]:.3f}, chance between seeds {floor}"]
    if "p_value" in differ and np.isfinite(differ["p_value"].values[i, j]):
        p, corrected = (differ[name].values[i, j] for name in ("p_value", "p_holm"))
        lines.append(f"p = {p:.2g}, after Holm's correction {corrected:.2g}")
    return "<br>".join(lines)


@dataclass(frozen=True)
class Differ:
    """All pairs, and the runs that are far from their own curve."""

    matrix: xr.Dataset
    outliers: pd.DataFrame


def _numbers(result: Differ) -> pd.DataFrame:
    """A row a pair, and one for each outlier and the others of its curve."""
    table, far = _pairs(result.matrix), result.outliers
    if not len(far):
        return table
    others = [f"the other seeds of {curve}" for curve in far["curve"]]
    rows = pd.DataFrame({"first": far["run"], "second": others, "distance": far["to_others"]})
    return pd.concat([table, rows.assign(floor=far["among_others"])], ignore_index=True)


def _pairs(differ: xr.Dataset) -> pd.DataFrame:
    labels = differ["other"].values
    i, j = np.triu_indices(len(labels), 1)
    table = pd.DataFrame({"first": labels[i], "second": labels[j]})
    for name in ("distance", "floor", "p_value", "p_holm", "within_floor"):
        if name in differ:
            table[name] = differ[name].values[i, j]
    return table


def _notes(result: Differ) -> str:
    differ, far = result.matrix, result.outliers
    within = differ["within_floor"].values[np.triu_indices(differ.sizes["other"], 1)].sum()
    sentences = [differ.attrs["note"]]
    if within:
        sentences.append(f"{within} {'pair lies' if within == 1 else 'pairs lie'} within what chance makes.")
    if len(far):
        named = [f"{run} ({ratio:.1f} times)" for run, ratio in far[["run", "ratio"]].head(_MOST_OUTLIERS).to_numpy()]
        more = f" and {len(far) - len(named)} more" if len(far) > len(named) else ""
        sentences.append(f"Further from their curve than its other seeds are: {', '.join(named)}{more}.")
    return " ".join(sentences)


def _summary(result: Differ) -> str:
    table = _pairs(result.matrix).dropna(subset="distance").sort_values("distance", kind="stable")
    if not len(table):
        return result.matrix.attrs["note"]
    (near, far), n = (table.iloc[place] for place in (0, -1)), len(table)
    alike = f"“{near['first']}” and “{near['second']}” are most alike, {near['distance']:.3f} apart"
    if n == 1:
        return f"1 pair; {alike}."
    return f"{n:,} pairs; {alike}; “{far['first']}” and “{far['second']}” least, {far['distance']:.3f} apart."


def _measure(analysis: Analysis, choices: Any) -> Differ:
    return _measured(analysis, choices, choices.matrix_of, choices.matrix_by)


def _measured(analysis: Analysis, choices: Any, of: Of, by: By) -> Differ:
    rows = choices.selection.rows(analysis.ds)
    n = len(np.unique(analysis.curve_numbers[rows] if by == "curve" else analysis.ds["run"].values[rows]))
    if n > MOST_MEMBERS:
        raise ValueError(f"{n} {by}s are chosen: a matrix of up to {MOST_MEMBERS} can be read, choose fewer")
    chosen, metric = choices.selection, choices.progress_metric
    differ = matrix(analysis, of, by, chosen, metric=metric, with_p=False)  # p: where a pair is compared
    at: Literal["progress", "end"] = "end" if of == "end" else "progress"
    key = ("outliers", rows.tobytes(), at, metric)
    return Differ(differ, analysis.once(key, lambda: outliers(analysis, at, selection=chosen, metric=metric)))


def _ahead(analysis: Analysis, choices: Any) -> list[tuple[dict[str, Any], Any]]:
    """All that can be compared in the first choice of curves, where they are few."""
    n_curves, n_runs = len(analysis.curve_names), len(np.unique(analysis.ds["run"].values))
    few = {"curve": 2 <= n_curves <= MOST_AHEAD, "run": 2 <= n_runs <= MOST_RUNS_AHEAD and n_curves <= MOST_AHEAD}
    results: list[tuple[dict[str, Any], Any]] = []
    for of, by in itertools.product(get_args(Of), get_args(By)):
        if not few[by]:
            continue
        try:
            result: Any = _measured(analysis, choices, of, by)
        except ValueError as error:
            result = str(error)
        results.append(({"matrix_of": of, "matrix_by": by}, result))
    return results


VIEW = ResultView(
    name="matrix",
    place=42,
    deck="right top",
    tab="All pairs",
    title="Which differ",
    how_to_read=(
        "Mean distance of each pair. White dot: no more than chance between seeds makes on average, which is on the "
        "diagonal. Neighbours are alike."
    ),
    controls=(OF, BY),
    depends=("curves", "seeds", "epochs", "where", "progress_metric", "matrix_of", "matrix_by"),
    measure=_measure,
    figure=lambda differ, analysis, choices: matrix_figure(differ.matrix),
    numbers=_numbers,
    notes=_notes,
    summary=_summary,
    ahead=_ahead,
)
