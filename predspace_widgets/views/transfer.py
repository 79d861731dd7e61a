"""What does training on one task teach of the classes of another?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.classes import transfer
from predspace_widgets.trajectories.schema import NoPredictionsError
from predspace_widgets.trajectories.selection import EmptySelectionError
from predspace_widgets.views.marks import Figure
from predspace_widgets.views.style import axis, color_bar, common_layout, names_on_axis, plain
from predspace_widgets.views.view import ResultView

_LETTERS = 14  # of a name
# Losses are as far from white as gains, and the colour-blind tell the two apart.
_COLORS = [[0.0, "#B35806"], [0.5, "#F7F7F7"], [1.0, "#2166AC"]]
# Of numbers in cells, whose colours are the same by day and by night: these stay, too.
_ON_LIGHT, _ON_DARK = "rgb(0, 0, 0)", "rgb(255, 255, 255)"
_DARK = 0.9  # of the scale: beyond it white stands out more
_MOST_LEVEL = 3  # columns whose names stand level; of more, upright


def transfer_figure(taught: xr.Dataset) -> Figure:
    """Draw what each curve gains over untrained networks, within the classes of each task.

    Parameters
    ----------
    taught : xarray.Dataset
        From `predspace_widgets.analysis.classes.transfer`.

    Returns
    -------
    dict
        A plotly figure.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> taught = random_trajectories().predspace.transfer({"red": ["class 0", "class 1"]})
    >>> transfer_figure(taught)["data"][0]["z"].shape
    (3, 1)
    """
    gain, made = taught["gain"].values, taught["progress"].values
    columns = taught["classes"].values.tolist()
    largest = float(np.abs(gain).max(initial=0.0)) or 1.0
    cells = [[(i, j) for j in range(len(columns))] for i in range(len(gain))]
    heat = {
        "type": "heatmap",
        "z": gain,
        "zmin": -largest,
        "zmax": largest,
        "colorscale": _COLORS,
        "xgap": 1,
        "ygap": 1,
        "colorbar": color_bar("gain in progress"),
        "hovertext": [[_said(taught, i, j) for i, j in row] for row in cells],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "name": "gain",
        "meta": {"role": "transfer"},
    }
    # Dark where plotly's own choice for heat maps is, at half of a colour, hard to read.
    pairs = [pair for row in cells for pair in row]
    numbers = {
        "type": "scatter",
        "mode": "text",
        "x": [j for _, j in pairs],
        "y": [i for i, _ in pairs],
        "text": [f"{made[pair]:.2f}" for pair in pairs],
        "textfont": {"size": 10, "color": [_ON_DARK if abs(gain[p]) > _DARK * largest else _ON_LIGHT for p in pairs]},
        "hoverinfo": "skip",
        "name": "progress",
        "meta": {"role": "progress"},
    }
    names, roomier = names_on_axis(taught["curve"].values.tolist(), _LETTERS)
    untrained = [f"<br>({value:.2f})" for value in taught["untrained"].values]
    above, roomier_above = names_on_axis(columns, _LETTERS, after=untrained)
    layout = common_layout(
        xaxis=axis("", **_ticks(above), side="top", tickangle=0 if len(columns) <= _MOST_LEVEL else -90),
        yaxis=axis("", **_ticks(names), autorange="reversed"),
        margin={"l": 62, "r": 8, "t": 34, "b": 6},
        meta={"row_height": 12, "names": {"x": roomier_above, "y": roomier}},
    )
    return {"data": [heat, numbers], "layout": layout}


def _ticks(names: list[str]) -> dict[str, Any]:
    ticks: dict[str, Any] = {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
    return ticks | {"tickfont": {"size": 10}, "showgrid": False}


def _said(taught: xr.Dataset, row: int, column: int) -> str:
    """What the tip says of a cell."""
    cell = taught.isel(curve=row, classes=column)
    seen = float(cell["seen"])
    lines = [
        f"{plain(cell['curve'].item())}, on the classes of {plain(cell['classes'].item())}",
        f"progress {float(cell['progress']):.3f}, untrained at best {float(cell['untrained']):.3f}",
    ]
    if np.isfinite(seen):
        lines.append(f"trained on {seen * float(cell['n_classes']):.0f} of {int(cell['n_classes'])} of them")
    return "<br>".join(lines)


def _measure(analysis: Analysis, choices: Any) -> xr.Dataset:
    try:
        return transfer(analysis, selection=choices.selection, metric=choices.progress_metric)
    except (EmptySelectionError, NoPredictionsError):
        raise
    except ValueError as error:
        raise ValueError(f"{error} (in Python: ds.predspace.transfer(task_classes))") from error


def _numbers(taught: xr.Dataset) -> pd.DataFrame:
    """A row a curve and set of classes."""
    return taught.to_dataframe().reset_index()


def _summary(taught: xr.Dataset) -> str:
    gain = taught["gain"].values
    (best, on), (worst, there) = (np.unravel_index(int(place), gain.shape) for place in (gain.argmax(), gain.argmin()))
    curves, classes = taught["curve"].values, taught["classes"].values
    return (
        f"Gain in progress over untrained networks: most for “{curves[best]}” on the classes of “{classes[on]}”, "
        f"{gain[best, on]:+.2f}; least for “{curves[worst]}” on those of “{classes[there]}”, {gain[worst, there]:+.2f}."
    )


VIEW = ResultView(
    name="transfer",
    place=44,
    deck="right top",
    tab="Transfer",
    title="Transfer",
    how_to_read=(
        "Row: what was trained on; column: the classes of a task. In a cell the progress on these classes alone; its "
        "colour: how much more (blue) or less than untrained networks at their best temperature, in brackets."
    ),
    depends=("curves", "seeds", "epochs", "where", "progress_metric"),
    measure=_measure,
    figure=lambda taught, analysis, choices: transfer_figure(taught),
    numbers=_numbers,
    notes=lambda taught: f"Mean of seeds; of {taught.attrs['n_untrained']} untrained networks.",
    summary=_summary,
    ahead=lambda analysis, choices: [({}, _ahead(analysis, choices))],
)


def _ahead(analysis: Analysis, choices: Any) -> xr.Dataset | str:
    try:
        return _measure(analysis, choices)
    except ValueError as error:
        return str(error)
