"""The InPCA picture: every run a line, in three dimensions or any two axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.trajectories.selection import places_by_name, rows_of_runs
from predspace_widgets.views.style import (
    COLOR_SCALE,
    FONT,
    GRID,
    INK,
    MUTED,
    EpochScale,
    axis,
    new_figure,
    percent,
    tint,
)
from predspace_widgets.views.thinning import ordinal, thin

TITLE = "InPCA picture"
HOW_TO_READ = (
    "A point is a network at a checkpoint; near means predicting alike. Thin lines: runs; thick: mean of seeds. "
    "● knows nothing (all classes equally likely), ★ knows every label; dashed: the shortest path. {notes}"
)


def notes(picture: xr.Dataset) -> str:
    """What a drawing of a picture leaves out, and what its axes come from where that is not all; empty if neither.

    Parameters
    ----------
    picture : xarray.Dataset
        From `Analysis.picture`; its attribute `landmarks` is the number of checkpoints that the axes come from.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> notes(random_trajectories().predspace.inpca())
    ''
    """
    sentences = []
    if "landmarks" in picture.attrs:
        count = picture.attrs["landmarks"]
        sentences.append(f"The axes come from {count:,} landmark checkpoints; the rest are projected.")
    drawn, k = thin(picture["run"].values)
    if k > 1:
        sentences.append(
            f"Drawn: every {ordinal(k)} checkpoint of each run, with its first and last "
            f"({len(drawn):,} of {picture.sizes['checkpoint']:,}); everything is computed from all of them."
        )
    drawn, k = thin(picture["mean_curve"].values)
    if k > 1:
        sentences.append(f"Of the means: every {ordinal(k)} point ({len(drawn):,} of {picture.sizes['mean_point']:,}).")
    return " ".join(sentences)


def inpca_figure(
    picture: xr.Dataset,
    colors: Mapping[str, str],
    axes: Sequence[int] = (1, 2, 3),
    values: xr.DataArray | None = None,
) -> go.Figure:
    """Draw a picture; of very many checkpoints only every k-th of each run, which `notes` tells (see `thin`).

    Parameters
    ----------
    picture : xarray.Dataset
        From `Analysis.picture`.
    colors : mapping of curve name to colour
    axes : two or three numbers of axes, from 1
        Three for a 3-D picture.
    values : xarray.DataArray (checkpoint,), optional
        Colours the checkpoints of all runs along a scale, instead of one colour a curve; its name is the scale's title.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        The picture has no such axis.
    """
    unknown = [number for number in axes if number not in picture["component"].values]
    if unknown or len(axes) not in (2, 3):
        raise ValueError(f"this picture has axes 1 to {picture.sizes['component']}; cannot draw {tuple(axes)}")
    figure = new_figure(showlegend=True, legend=_LEGEND, margin={"l": 0, "r": 0, "t": 0, "b": 0})
    checkpoints, _ = thin(picture["run"].values)
    mean_points, _ = thin(picture["mean_curve"].values)
    drawn = picture.isel(checkpoint=checkpoints, mean_point=mean_points)
    for curve, rows in places_by_name(drawn["curve"].values).items():
        figure.add_trace(_runs(drawn, rows, curve, colors[curve], axes, muted=values is not None))
    if values is not None:
        figure.add_trace(_colored_checkpoints(drawn, picture, values, axes))
    for curve, rows in places_by_name(drawn["mean_curve"].values).items():
        figure.add_trace(_mean(drawn, rows, curve, colors[curve], axes, muted=values is not None))
    if "geodesic" in picture:
        figure.add_traces(_references(picture, axes))
    titles = [_axis_title(picture, number) for number in axes]
    if len(axes) == 3:
        figure.update_layout(scene=_scene(titles))
    else:
        scale = {"scaleanchor": "x", "scaleratio": 1}  # distances look as long in both directions
        figure.update_layout(
            xaxis=axis(titles[0]),
            yaxis=axis(titles[1], **scale),
            margin={"l": 66, "r": 12, "t": 30, "b": 50},
            legend={**_LEGEND, "yanchor": "bottom"},
        )
    return figure


_LEGEND = {"orientation": "h", "x": 0, "y": 1, "yanchor": "top", "font": {"size": 13}, "bgcolor": "rgba(0, 0, 0, 0)"}


def _scatter(points: np.ndarray, **options: Any) -> go.Scatter | go.Scatter3d:
    """A trace through points (n, 2) or (n, 3); rows of NaN are gaps."""
    x, y, *z = points.T
    if z:
        return go.Scatter3d(x=x, y=y, z=z[0], **options)
    return go.Scatter(x=x, y=y, **options)


def _pick(picture: xr.Dataset, variable: str, axes: Sequence[int]) -> np.ndarray:
    return picture[variable].sel(component=list(axes)).values


def _runs(
    drawn: xr.Dataset, rows: NDArray[np.intp], curve: str, color: str, axes: Sequence[int], muted: bool
) -> go.Scatter | go.Scatter3d:
    """All runs of a curve, in one trace with gaps between them."""
    points = np.vstack([_pick(drawn, "embedding", axes), np.full((1, len(axes)), np.nan)])
    gap = -1  # the last point, which is none
    order = np.concatenate([np.append(run, gap) for run in rows_of_runs(drawn, rows).values()])
    names = zip(order, drawn["seed"].values[order].tolist(), drawn["epoch"].values[order].tolist(), strict=True)
    return _scatter(
        points[order],
        mode="lines",
        line={"color": GRID if muted else tint(color, 0.5), "width": 2 if len(axes) == 3 else 1.5},
        name=curve,
        showlegend=False,
        customdata=[[None, None] if row == gap else [seed, epoch] for row, seed, epoch in names],
        hovertemplate=f"<b>{curve}</b><br>seed %{{customdata[0]}}, epoch %{{customdata[1]:.3g}}<extra></extra>",
        meta="runs",
    )


def _mean(
    drawn: xr.Dataset, rows: NDArray[np.intp], curve: str, color: str, axes: Sequence[int], muted: bool
) -> go.Scatter | go.Scatter3d:
    return _scatter(
        _pick(drawn, "mean", axes)[rows],
        mode="lines",
        line={"color": color, "width": (3 if muted else 7) if len(axes) == 3 else (1.5 if muted else 4)},
        name=curve,
        showlegend=False,  # the choices beside the picture carry the colours
        customdata=drawn["mean_epoch"].values[rows],
        hovertemplate=f"<b>{curve}</b>, mean of seeds<br>epoch %{{customdata:.3g}}<extra></extra>",
        meta="mean",
    )


def _colored_checkpoints(
    drawn: xr.Dataset, picture: xr.Dataset, values: xr.DataArray, axes: Sequence[int]
) -> go.Scatter | go.Scatter3d:
    """The drawn checkpoints of a picture, on a scale of colours from the lowest to the highest value of all."""
    title = str(values.name)
    shown, everywhere = (values.values[which["row"].values] for which in (drawn, picture))
    color, span, ticks = shown, everywhere[np.isfinite(everywhere)], {}
    if title == "epoch":
        scale = EpochScale(everywhere)
        color, span = scale(shown), scale(span)
        ticks = {"tickmode": "array", "tickvals": scale.tickvals, "ticktext": scale.ticktext}
    bounds = {"cmin": span.min(), "cmax": span.max()} if span.size else {}
    return _scatter(
        _pick(drawn, "embedding", axes),
        mode="markers",
        marker={
            "size": 4 if len(axes) == 3 else 6,
            "color": color,
            "colorscale": COLOR_SCALE,
            **bounds,
            "colorbar": {
                "title": {"text": title, "side": "top"},
                "thickness": 12,
                "len": 0.7,
                "outlinewidth": 0,
                **ticks,
            },
        },
        name=title,
        showlegend=False,
        customdata=np.stack([drawn["curve"].values, drawn["seed"].values, drawn["epoch"].values, shown], axis=1),
        hovertemplate=(
            "<b>%{customdata[0]}</b><br>seed %{customdata[1]}, epoch %{customdata[2]:.3g}<br>"
            f"{title} %{{customdata[3]:.3g}}<extra></extra>"
        ),
        meta="values",
    )


def _references(picture: xr.Dataset, axes: Sequence[int]) -> list[go.Scatter | go.Scatter3d]:
    """Ignorance, truth and the geodesic between them, projected into the picture."""
    line = _pick(picture, "geodesic", axes)
    three_d = len(axes) == 3
    # 3-D traces know no star: there it is a letter, and the legend shows the letter of the name.
    star: dict[str, Any] = {"mode": "markers", "marker": {"symbol": "star", "size": 20, "color": INK}}
    if three_d:
        text = {"text": ["★"], "textfont": {"size": 36, "color": INK, "family": FONT}}
        star = {"mode": "markers+text", "marker": {"size": 1, "opacity": 0}, "textposition": "middle center", **text}
    return [
        _scatter(
            line,
            mode="lines",
            line={"color": MUTED, "width": 4 if three_d else 2, "dash": "dash"},
            name="geodesic (shortest path)",
            hoverinfo="skip",
            meta="geodesic",
        ),
        _scatter(
            line[:1],
            mode="markers",
            marker={"symbol": "circle", "size": 7 if three_d else 12, "color": INK},
            name="ignorance P₀",
            hovertemplate="<b>ignorance</b><extra></extra>",
            meta="ignorance",
        ),
        _scatter(
            line[-1:],
            name="★ truth P*" if three_d else "truth P*",
            hovertemplate="<b>truth</b><extra></extra>",
            meta="truth",
            **star,
        ),
    ]


def _axis_title(picture: xr.Dataset, number: int) -> str:
    component = picture.sel(component=number)
    imaginary = " (imaginary)" if float(component["eigenvalue"]) < 0 else ""
    return f"InPCA {number}{imaginary}, {percent(float(component['axis_stress']))} of stress"


def _scene(titles: Sequence[str]) -> dict[str, Any]:
    axes = {
        f"{letter}axis": {
            "title": {"text": title, "font": {"size": 14}},
            "tickfont": {"size": 11, "color": MUTED},
            "nticks": 5,
            "gridcolor": GRID,
            "zeroline": False,
            "showbackground": False,
            "showspikes": False,
        }
        for letter, title in zip("xyz", titles, strict=True)
    }
    camera = {"eye": {"x": 1.05, "y": -1.75, "z": 0.8}, "center": {"x": 0.05, "y": 0, "z": -0.16}}
    return {**axes, "aspectmode": "data", "camera": camera, "uirevision": "keep", "dragmode": "turntable"}
