"""How differently do two curves predict when they have come equally far?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.trajectories.schema import NoPredictionsError
from predspace_widgets.views.marks import Figure
from predspace_widgets.views.style import (
    DASHES,
    INK,
    MUTED,
    Style,
    axis,
    common_layout,
    curve_styles,
    plain,
    short_names,
)
from predspace_widgets.views.view import Control, ResultView


def comparison_figure(comparison: xr.Dataset) -> Figure:
    """Draw the curve d_B(t) between two curves, and what chance between seeds makes of it.

    Parameters
    ----------
    comparison : xarray.Dataset
        From `Analysis.comparison`.

    Returns
    -------
    dict
        A plotly figure.

    Examples
    --------
    >>> comparison = xr.Dataset(
    ...     {"distance": ("progress", [0.0, 0.2, 0.0])},
    ...     coords={"progress": [0.1, 0.5, 0.9]},
    ...     attrs={"first": "all", "second": "odd", "n_first": 1, "n_second": 1, "d_traj": 0.08,
    ...            "mean_distance": 0.1, "progress_range": (0.1, 0.9)},
    ... )
    >>> comparison_figure(comparison)["data"][0]["name"]
    'distance'
    """
    grid, distance, about = comparison["progress"].values, comparison["distance"].values, comparison.attrs
    pair = f"{plain(about['first'])} | {plain(about['second'])}"
    mean, (low, high) = about["mean_distance"], about["progress_range"]
    line = {
        "type": "scatter",
        "x": grid,
        "y": distance,
        "mode": "lines",
        "line": {"color": INK, "width": 3},
        "fill": "tozeroy",
        "fillcolor": "rgba(31, 41, 51, 0.08)",
        "name": "distance",
        "text": [pair] * len(grid),
        "hovertemplate": "%{text}<br>at progress %{x:.2f}: %{y:.3f}<extra></extra>",
        "meta": "distance",
    }
    data, highest = [line], float(distance.max())
    written = [f"mean {mean:.3f} over {low:.2f} to {high:.2f}"]
    if "floor" in comparison:
        data.append(_floor(comparison))
        highest = max(highest, float(comparison["floor"].max()))
        written.append(f"dotted: chance between seeds {about['floor_mean_distance']:.3f}")
    layout = common_layout(
        xaxis=axis("progress from ignorance to truth", range=[0, 1]),
        yaxis=axis("Bhattacharyya<br>distance", range=[0, 1.6 * highest or 1.0]),  # room for what is written
        # At the time that is shown: the progress of either curve, or the one that time is counted in.
        meta={"cursors": [{"axis": "x", "at": "progress {progress_metric}", "of": "compared"}]},
        annotations=[_written("<br>".join(written))],
    )
    return {"data": data, "layout": layout}


def _written(text: str) -> dict[str, Any]:
    """A text in the upper left corner."""
    place = {"xref": "paper", "yref": "paper", "x": 0.02, "y": 1.0, "xanchor": "left", "yanchor": "top"}
    return {"text": text, "font": {"size": 12}, "align": "left", "showarrow": False, **place}


def _floor(comparison: xr.Dataset) -> dict[str, Any]:
    return {
        "type": "scatter",
        "x": comparison["progress"].values,
        "y": comparison["floor"].values,
        "mode": "lines",
        "line": {"color": MUTED, "width": 3, "dash": "dot"},
        "name": "chance between seeds",
        "hovertemplate": "chance between seeds<br>at progress %{x:.2f}: %{y:.3f}<extra></extra>",
        "meta": "floor",
    }


def _notes(comparison: xr.Dataset) -> str:
    """The numbers of a comparison in a sentence."""
    about = comparison.attrs
    low, high = about["progress_range"]
    text = f"Mean {about['mean_distance']:.3f} over progress {low:.2f} to {high:.2f}, d_traj {about['d_traj']:.3f}"
    if "floor" not in comparison:
        return f"{text}; one run each: no floor."
    means = _means(about["n_first"], about["n_second"])
    text = f"{text}; chance between seeds, for {means}: {about['floor_mean_distance']:.3f}"
    return f"{text}; {_p_value(comparison)}." if "p_value" in about else f"{text}."


def _means(first: int, second: int) -> str:
    """How many runs each side averages, in words."""
    if max(first, second) == 1:
        return "one run and another"
    if min(first, second) == 1:
        return f"one run and a mean of {max(first, second)} runs"
    return f"means of {first} and {second} runs"


def _p_value(comparison: xr.Dataset) -> str:
    """The p of a comparison, whether so few runs can give a smaller one, and whether all relabellings were tried."""
    about = comparison.attrs
    p, smallest = about["p_value"], about["smallest_p"]
    text = f"p = {p:.2f}" if p >= 0.095 else f"p = {p:.2g}"
    if not about["p_is_exact"]:
        text += f" (of {1 / smallest:,.0f} relabellings)"
    elif math.isclose(p, smallest):
        text += f", the smallest {about['n_first']} + {about['n_second']} runs can give"
    return text


def comparisons_figure(comparisons: Sequence[xr.Dataset], styles: Sequence[Style]) -> Figure:
    """Draw d_B(t) between a reference and each of several others, each with its own floor, dotted and thin.

    Parameters
    ----------
    comparisons : sequence of xarray.Dataset
        From `Analysis.comparison`, with the same first side.
    styles : sequence of Style
        Of the others. Those of one colour are told apart by dashes.

    Returns
    -------
    dict
        A plotly figure.
    """
    data: list[dict[str, Any]] = []
    written, highest, seen = [], 0.0, [style.color for style in styles]
    names = short_names([comparison.attrs["second"] for comparison in comparisons], _LETTERS)
    for number, (comparison, style) in enumerate(zip(comparisons, styles, strict=True)):
        about, grid = comparison.attrs, comparison["progress"].values
        name = plain(names[number])
        dash = DASHES[seen[:number].count(style.color) % len(DASHES)]
        line = {
            "type": "scatter",
            "x": grid,
            "y": comparison["distance"].values,
            "mode": "lines",
            "line": {"color": style.color, "width": 2.5, "dash": dash},
            "name": name,
            "text": [f"{plain(about['first'])} | {plain(about['second'])}"] * len(grid),
            "hovertemplate": "%{text}<br>at progress %{x:.2f}: %{y:.3f}<extra></extra>",
            "meta": "distance",
        }
        data.append(line)
        highest = max(highest, float(comparison["distance"].max()))
        text = f"{about['mean_distance']:.3f}"
        if "floor" in comparison:
            floor = _floor(comparison)
            data.append({**floor, "line": {"color": style.color, "width": 1, "dash": "dot"}})
            highest = max(highest, float(comparison["floor"].max()))
            text += f" (chance {about['floor_mean_distance']:.3f})"
        written.append(f'<span style="color:{style.color}">{name}</span>: {text}{_short_p(about)}')
    room = 1.25 + 0.2 * len(written)
    layout = common_layout(
        xaxis=axis("progress from ignorance to truth", range=[0, 1]),
        yaxis=axis("Bhattacharyya<br>distance", range=[0, room * highest or 1.0]),  # room for what is written
        meta={"cursors": [{"axis": "x", "at": "progress {progress_metric}", "of": "compared"}]},
        annotations=[_written("<br>".join(written))],
    )
    return {"data": data, "layout": layout}


def _short_p(about: Mapping[str, Any]) -> str:
    return f", p {about['p_value']:.2g}" if "p_value" in about else ""


@dataclass(frozen=True)
class Several:
    """A reference compared with several others: those that can be, and why the rest cannot."""

    comparisons: list[xr.Dataset]
    problems: list[str]


def _measure(analysis: Analysis, choices: Any) -> xr.Dataset | Several:
    first, *others = choices.compared
    if others == [first] and analysis.curve_names == [first]:
        n_runs = len(set(analysis.ds["run"].values.tolist()))
        more = "; two of its runs can be compared" if n_runs > 1 else ""
        raise ValueError(f"there is one curve only, {first!r}: nothing to compare it with{more}")

    def compared(other: str) -> xr.Dataset:
        return analysis.comparison(first, other, choices.selection, choices.progress_metric)

    if len(others) == 1:
        return compared(others[0])
    several = Several([], [])
    for other in others:
        try:
            several.comparisons.append(compared(other))
        except NoPredictionsError:
            raise
        except ValueError as error:
            several.problems.append(f"{other}: {error}.")
    if not several.comparisons:
        raise ValueError(" ".join(several.problems))
    return several


def _figure(result: xr.Dataset | Several, analysis: Analysis, choices: Any) -> Figure:
    if isinstance(result, xr.Dataset):
        return comparison_figure(result)
    styles = curve_styles(analysis.curve_pairs)[0]
    places = [analysis.curve_of(comparison.attrs["second"]) for comparison in result.comparisons]
    return comparisons_figure(result.comparisons, [styles[place] for place in places])


def _numbers(result: xr.Dataset | Several) -> pd.DataFrame:
    if isinstance(result, xr.Dataset):
        return result.to_dataframe().reset_index()
    tables = [
        comparison.to_dataframe().reset_index().assign(second=comparison.attrs["second"])
        for comparison in result.comparisons
    ]
    return pd.concat(tables, ignore_index=True)


def _said(result: xr.Dataset | Several) -> str:
    if isinstance(result, xr.Dataset):
        return _notes(result)
    first = result.comparisons[0].attrs["first"]
    sentences = [f"{comparison.attrs['second']}: {_notes(comparison)}" for comparison in result.comparisons]
    return " ".join([f"Compared with {first}.", *sentences, *result.problems])


def _summary(result: xr.Dataset | Several) -> str:
    comparisons = [result] if isinstance(result, xr.Dataset) else result.comparisons
    parts = [f"from “{about['second']}” {_written_mean(about)}" for about in (one.attrs for one in comparisons)]
    return f"Distance of “{comparisons[0].attrs['first']}” at equal progress, on average: {'; '.join(parts)}."


def _written_mean(about: Mapping[str, Any]) -> str:
    floor = about.get("floor_mean_distance")
    chance = "" if floor is None else f", where chance between seeds makes {floor:.3f}"
    return f"{about['mean_distance']:.3f}{chance}"


def _ahead(analysis: Analysis, choices: Any) -> list[tuple[dict[str, Any], Any]]:
    """All pairs of curves, as they are compared while nothing else is chosen."""
    names = analysis.curve_names
    if len(names) > MOST_AHEAD:
        return []
    results: list[tuple[dict[str, Any], Any]] = []
    for (one, other), result in analysis.comparisons(choices.selection, choices.progress_metric).items():
        pair = [names[one], names[other]]
        results.append(({"compared": pair}, result))
        results.append(({"compared": pair[::-1]}, result if isinstance(result, str) else _turned(result)))
    return results


def _turned(comparison: xr.Dataset) -> xr.Dataset:
    """The same comparison with its sides in the other order."""
    about = comparison.attrs
    sides = {"first": about["second"], "second": about["first"]}
    return comparison.assign_attrs(sides, n_first=about["n_second"], n_second=about["n_first"])


_LETTERS = 20  # of a name that is written

#: Pairs of so many curves are compared before anyone asks.
MOST_AHEAD = 16

#: What is compared: the first with each of the others, of which there need be one only.
SIDES = tuple(
    Control("compared", side, "curves", place=place, optional=place > 1)
    for place, side in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"))
)

VIEW = ResultView(
    name="comparison",
    place=30,
    deck="below right",
    title="At equal progress",
    how_to_read=(
        "Distance where both have come equally far. Dotted: what chance between seeds makes; p: share of random splits "
        "of the runs that differ as much."
    ),
    controls=SIDES,
    depends=("compared", "seeds", "epochs", "where", "progress_metric"),
    measure=_measure,
    figure=_figure,
    numbers=_numbers,
    notes=_said,
    summary=_summary,
    ahead=_ahead,
)
