"""How long was the way of each run?"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from predspace_widgets.analysis import Analysis
from predspace_widgets.views.style import Style, axis, common_layout, faint, plain
from predspace_widgets.views.view import CHECKPOINTS, Choices, Figure, View

_MOST_NAMES = 8  # more do not fit below each other: colours and hovering tell them


def schedule(lengths: pd.DataFrame) -> str:
    """One sentence on the checkpoints that the lengths were summed over: lengths compare on equal schedules only.

    Parameters
    ----------
    lengths : pandas.DataFrame
        From `Analysis.riemann_lengths`.

    Examples
    --------
    >>> schedule(pd.DataFrame({"n_checkpoints": [30, 30], "first_step": [0, 0], "last_step": [300, 300]}))
    '30 checkpoints a run, steps 0 to 300.'
    """
    shared = lengths[["n_checkpoints", "first_step", "last_step"]].drop_duplicates()
    if len(shared) > 1:
        counts = lengths["n_checkpoints"]
        return f"Schedules differ ({counts.min()} to {counts.max()} checkpoints): lengths do not compare."
    count, first, last = shared.iloc[0]
    return f"{count:.0f} checkpoints a run, steps {first:.0f} to {last:.0f}."


def lengths_figure(lengths: pd.DataFrame, styles: Mapping[str, Style]) -> Figure:
    """Draw the length of each run, and the mean over the seeds of each curve.

    Parameters
    ----------
    lengths : pandas.DataFrame
        From `Analysis.riemann_lengths`.
    styles : mapping of curve name to style

    Returns
    -------
    dict
        A plotly figure.

    Examples
    --------
    >>> lengths = pd.DataFrame({"curve": ["all", "all"], "seed": [0, 1], "length": [2.0, 3.0]})
    >>> lengths_figure(lengths, {"all": Style("#0072B2")})["data"][0]["x"]
    [2.5]
    """
    data = []
    for curve, table in lengths.groupby("curve", sort=False):
        color, name = styles[str(curve)].color, plain(curve)
        mean = {
            "type": "bar",
            "x": [float(table["length"].mean())],
            "y": [name],
            "orientation": "h",
            "marker": {"color": faint(color, 0.35)},
            "name": name,
            "hovertemplate": "<b>%{fullData.name}</b><br>mean %{x:.3g}<extra></extra>",
            "meta": "mean",
        }
        seeds = {
            "type": "scatter",
            "x": table["length"].to_numpy(),
            "y": [name] * len(table),
            "mode": "markers",
            "marker": {"color": color, "size": 8, "line": {"color": "white", "width": 1}},
            "name": name,
            "customdata": table["seed"].to_numpy(),
            "hovertemplate": "<b>%{fullData.name}</b>, seed %{customdata}<br>%{x:.3g}<extra></extra>",
            "meta": "seeds",
        }
        data += [mean, seeds]
    named = lengths["curve"].nunique() <= _MOST_NAMES
    names = axis("", type="category", autorange="reversed", showgrid=False, tickmode="linear", dtick=1)
    layout = common_layout(
        xaxis=axis("Riemann length", rangemode="tozero"),
        yaxis=names | {"tickfont": {"size": 12}, "showticklabels": named},
        bargap=0.35,
        margin={"l": 62 if named else 14, "r": 14, "t": 0, "b": 40},
    )
    return {"data": data, "layout": layout}


def _measure(analysis: Analysis, choices: Choices) -> pd.DataFrame:
    return analysis.riemann_lengths(choices.selection)


VIEW = View(
    name="lengths",
    title="Riemann length",
    how_to_read="How long the way was. Bar: mean of seeds; dots: runs.",
    depends=lambda choices: CHECKPOINTS,
    measure=_measure,
    figure=lambda lengths, styles, choices: lengths_figure(lengths, styles),
    notes=lambda lengths, meaning: schedule(lengths),
)
