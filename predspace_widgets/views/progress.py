"""How far has each curve come at each epoch?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from predspace_widgets.analysis import Analysis
from predspace_widgets.views.style import EpochScale, Style, axis, common_layout, faint, plain
from predspace_widgets.views.view import CHECKPOINTS, Choices, Figure, View


def progress_figure(curves: pd.DataFrame, styles: Mapping[str, Style]) -> Figure:
    """Draw the progress of each curve over epochs.

    Parameters
    ----------
    curves : pandas.DataFrame
        From `Analysis.progress_curves`.
    styles : mapping of curve name to style

    Returns
    -------
    dict
        A plotly figure.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> curves = analysis_of(random_trajectories(tasks=("red",))).progress_curves()
    >>> [trace["meta"] for trace in progress_figure(curves, {"red": Style("#0072B2")})["data"]]
    ['band', 'mean']
    """
    scale = EpochScale(curves["epoch"].to_numpy())
    data = []
    for curve, table in curves.groupby("curve", sort=False):
        style, name = styles[str(curve)], plain(curve)
        epoch, low, high = (table[column].to_numpy() for column in ("epoch", "low", "high"))
        band = {
            "type": "scatter",
            "x": scale(np.concatenate([epoch, epoch[::-1]])),
            "y": np.concatenate([high, low[::-1]]),
            "mode": "lines",
            "fill": "toself",
            "fillcolor": faint(style.color, 0.18),
            "line": {"width": 0},
            "hoverinfo": "skip",
            "name": name,
            "meta": "band",
        }
        mean = {
            "type": "scatter",
            "x": scale(epoch),
            "y": table["mean"].to_numpy(),
            "mode": "lines",
            "line": {"color": style.color, "width": 3, "dash": style.dash},
            "name": name,
            "customdata": table[["epoch", "low", "high", "n_seeds"]].to_numpy(dtype=float),
            "hovertemplate": (
                "<b>%{fullData.name}</b><br>epoch %{customdata[0]:.3g}: %{y:.3f}<br>"
                "%{customdata[1]:.3f} to %{customdata[2]:.3f} over %{customdata[3]} seeds<extra></extra>"
            ),
            "meta": "mean",
        }
        data += [band, mean]
    layout = common_layout(
        xaxis=axis("epoch (logarithmic)", tickmode="array", tickvals=scale.tickvals, ticktext=scale.ticktext),
        yaxis=axis("progress from<br>ignorance to truth", range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1]),
    )
    return {"data": data, "layout": layout}


def _measure(analysis: Analysis, choices: Choices) -> pd.DataFrame:
    return analysis.progress_curves(choices.selection, choices.progress_metric)


VIEW = View(
    name="progress",
    title="Progress along training",
    how_to_read=(
        "Where on the shortest path from ignorance (0) to truth (1) the nearest point lies. Line: mean of seeds; "
        "band: lowest to highest."
    ),
    depends=lambda choices: (*CHECKPOINTS, "progress_metric"),
    measure=_measure,
    figure=lambda curves, styles, choices: progress_figure(curves, styles),
)
