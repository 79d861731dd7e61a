"""Progress along training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from predspace_widgets.views.style import EpochScale, axis, faint, new_figure

TITLE = "Progress along training"
HOW_TO_READ = (
    "Where on the shortest path from ignorance (0) to truth (1) the nearest point lies. Line: mean of seeds; band: "
    "lowest to highest."
)


def progress_figure(curves: pd.DataFrame, colors: Mapping[str, str]) -> go.Figure:
    """Draw the progress of each curve over epochs.

    Parameters
    ----------
    curves : pandas.DataFrame
        From `Analysis.progress_curves`.
    colors : mapping of curve name to colour

    Returns
    -------
    plotly.graph_objects.Figure
    """
    scale = EpochScale(curves["epoch"].to_numpy())
    figure = new_figure(
        xaxis=axis("epoch (logarithmic)", tickmode="array", tickvals=scale.tickvals, ticktext=scale.ticktext),
        yaxis=axis("progress from<br>ignorance to truth", range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1]),
    )
    for curve, table in curves.groupby("curve", sort=False):
        color = colors[str(curve)]
        outline = np.concatenate([table["high"], table["low"][::-1]])
        figure.add_trace(
            go.Scatter(
                x=scale(np.concatenate([table["epoch"], table["epoch"][::-1]])),
                y=outline,
                fill="toself",
                fillcolor=faint(color, 0.18),
                line={"width": 0},
                hoverinfo="skip",
                name=str(curve),
                meta="band",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=scale(table["epoch"].to_numpy()),
                y=table["mean"],
                mode="lines",
                line={"color": color, "width": 3},
                name=str(curve),
                customdata=table[["epoch", "low", "high", "n_seeds"]],
                hovertemplate=(
                    f"<b>{curve}</b><br>epoch %{{customdata[0]:.3g}}: %{{y:.3f}}<br>"
                    "%{customdata[1]:.3f} to %{customdata[2]:.3f} over %{customdata[3]} seeds<extra></extra>"
                ),
                meta="mean",
            )
        )
    return figure
