"""How much of the distances each axis of a picture explains."""

from __future__ import annotations

import plotly.graph_objects as go
import xarray as xr

from predspace_widgets.views.style import INK, axis, faint, new_figure, percent

TITLE = "Explained stress"
HOW_TO_READ = "How much of all distances the first 1, 2, 3, … axes explain together."


def stress_figure(picture: xr.Dataset) -> go.Figure:
    """Draw the explained stress: a bar an axis on top of those before it, with the sum written beside it.

    Parameters
    ----------
    picture : xarray.Dataset
        From `Analysis.picture`.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    cumulative, own = picture["explained_stress"].values, picture["axis_stress"].values
    imaginary = picture["eigenvalue"].values < 0
    names = [
        f"{number}" + (" i" if is_imaginary else "")
        for number, is_imaginary in zip(picture["component"].values, imaginary, strict=True)
    ]
    figure = new_figure(
        barmode="stack",
        bargap=0.25,
        margin={"l": 40, "r": 8, "t": 20, "b": 40},
        xaxis=axis("number of InPCA axes", type="category", showgrid=False),
        yaxis=axis("", tickformat=".0%", range=[0, 1.0], nticks=3),
    )
    before = {"color": faint(INK, 0.18)}
    figure.add_trace(go.Bar(x=names, y=cumulative - own, marker=before, hoverinfo="skip", name="axes before"))
    figure.add_trace(
        go.Bar(
            x=names,
            y=own,
            marker={"color": INK},
            text=[percent(share) for share in cumulative],
            textposition="outside",
            cliponaxis=False,
            name="this axis",
            hovertemplate="axis %{x}: %{y:.1%} of stress<extra></extra>",
        )
    )
    return figure
