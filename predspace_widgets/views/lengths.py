"""Riemann lengths of the runs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from predspace_widgets.views.style import axis, faint, new_figure

TITLE = "Riemann length"
_MOST_NAMES = 8  # more do not fit below each other: colours and hovering tell them
HOW_TO_READ = "How long the way was. Bar: mean of seeds; dots: runs. {schedule}"


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


def lengths_figure(lengths: pd.DataFrame, colors: Mapping[str, str]) -> go.Figure:
    """Draw the length of each run, and the mean over the seeds of each curve.

    Parameters
    ----------
    lengths : pandas.DataFrame
        From `Analysis.riemann_lengths`.
    colors : mapping of curve name to colour

    Returns
    -------
    plotly.graph_objects.Figure
    """
    names = axis("", type="category", autorange="reversed", showgrid=False, tickmode="linear", dtick=1)
    n_curves = lengths["curve"].nunique()
    figure = new_figure(
        xaxis=axis("Riemann length", rangemode="tozero"),
        yaxis=names | {"tickfont": {"size": 12}, "showticklabels": n_curves <= _MOST_NAMES},
        bargap=0.35,
        margin={"l": 62 if n_curves <= _MOST_NAMES else 14, "r": 14, "t": 0, "b": 40},
    )
    for curve, table in lengths.groupby("curve", sort=False):
        color = colors[str(curve)]
        figure.add_trace(
            go.Bar(
                x=[table["length"].mean()],
                y=[curve],
                orientation="h",
                marker={"color": faint(color, 0.35)},
                name=str(curve),
                hovertemplate=f"<b>{curve}</b><br>mean %{{x:.3g}}<extra></extra>",
                meta="mean",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=table["length"],
                y=[curve] * len(table),
                mode="markers",
                marker={"color": color, "size": 8, "line": {"color": "white", "width": 1}},
                name=str(curve),
                customdata=table["seed"],
                hovertemplate=f"<b>{curve}</b>, seed %{{customdata}}<br>%{{x:.3g}}<extra></extra>",
                meta="seeds",
            )
        )
    return figure
