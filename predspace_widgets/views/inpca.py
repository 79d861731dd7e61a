"""Which networks predict alike? The InPCA picture: every run a line, in three dimensions or any two axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.trajectories.selection import places_by_name, rows_of_runs
from predspace_widgets.views.style import (
    COLOR_SCALE,
    FONT,
    GRID,
    INK,
    MUTED,
    EpochScale,
    Style,
    axis,
    common_layout,
    percent,
    plain,
    tint,
)
from predspace_widgets.views.thinning import ordinal, thin
from predspace_widgets.views.view import CHECKPOINTS, Choices, Figure, View

#: Axes that a picture is computed with: what the explained stress shows, and what any two axes are chosen from.
N_AXES = 5
#: What colours can mean.
COLORINGS = ("task", "epoch", "progress", "accuracy")

# -- what is measured -------------------------------------------------------------------------------------------------


def picture_of(analysis: Analysis, choices: Choices) -> xr.Dataset:
    """The InPCA picture of the chosen checkpoints; see `Analysis.picture`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from predspace_widgets.trajectories import Selection
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> choices = SimpleNamespace(selection=Selection(seeds=(0,)))
    >>> picture_of(analysis_of(random_trajectories()), choices).sizes["component"]
    5
    """
    return analysis.picture(choices.selection, N_AXES)


def axes_of(choices: Choices) -> tuple[int, ...]:
    """The axes to draw.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> axes_of(SimpleNamespace(dimensions="2-D", horizontal=1, vertical=3))
    (1, 3)
    """
    return (1, 2, 3) if choices.dimensions == "3-D" else (choices.horizontal, choices.vertical)


def values_of(analysis: Analysis, choices: Choices) -> xr.DataArray | None:
    """What colours all checkpoints of a dataset along a scale, (checkpoint,); None where a colour is a curve.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> values_of(analysis_of(geodesic_run(3)), SimpleNamespace(color_by="epoch")).values
    array([0. , 0.5, 1. ])
    """
    if choices.color_by == "epoch":
        return analysis.ds["epoch"].rename("epoch")
    if choices.color_by == "progress":
        return analysis.progress(choices.progress_metric)
    if choices.color_by == "accuracy":
        return analysis.accuracy()
    return None


class _Measured(NamedTuple):
    picture: xr.Dataset
    values: xr.DataArray | None


def _measure(analysis: Analysis, choices: Choices) -> _Measured:
    return _Measured(picture_of(analysis, choices), values_of(analysis, choices))


def _depends(choices: Choices) -> list[str]:
    names = [*CHECKPOINTS, "dimensions", "color_by"]
    if choices.dimensions == "2-D":
        names += ["horizontal", "vertical"]
    if choices.color_by == "progress":
        names += ["progress_metric"]
    return names


# -- how to read it ---------------------------------------------------------------------------------------------------


def is_published(picture: xr.Dataset) -> bool:
    """Whether a picture was published without predictions, so that nothing can be measured or projected anew."""
    return "geodesic" not in picture


def notes(picture: xr.Dataset, meaning: str = "") -> str:
    """What the marks of a picture are, what its drawing leaves out, and what its axes come from.

    Parameters
    ----------
    picture : xarray.Dataset
        From `Analysis.picture`; its attribute `landmarks` is the number of checkpoints that the axes come from.
    meaning : str
        What colours and dashes mean, see `curve_styles`.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> notes(random_trajectories().predspace.inpca())
    '● knows nothing (all classes equally likely), ★ knows every label; dashed: the shortest path.'
    """
    if is_published(picture):
        sentences = ["The axes and the stress are those of the whole published set, whatever is chosen."]
    else:
        sentences = ["● knows nothing (all classes equally likely), ★ knows every label; dashed: the shortest path."]
    if meaning:
        sentences.append(meaning)
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


# -- how it is drawn --------------------------------------------------------------------------------------------------


def inpca_figure(
    picture: xr.Dataset,
    styles: Mapping[str, Style],
    axes: Sequence[int] = (1, 2, 3),
    values: xr.DataArray | None = None,
) -> Figure:
    """Draw a picture; of very many checkpoints only every k-th of each run, which `notes` tells (see `thin`).

    Parameters
    ----------
    picture : xarray.Dataset
        From `Analysis.picture`.
    styles : mapping of curve name to style
    axes : two or three numbers of axes, from 1
        Three for a 3-D picture.
    values : xarray.DataArray (checkpoint,), optional
        Colours the checkpoints of all runs along a scale, instead of one colour a curve; its name is the scale's title.

    Returns
    -------
    dict
        A plotly figure.

    Raises
    ------
    ValueError
        The picture has no such axis.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> picture = random_trajectories(tasks=("red",)).predspace.inpca()
    >>> figure = inpca_figure(picture, {"red": Style("#0072B2")})
    >>> [trace["meta"] for trace in figure["data"]]
    ['runs', 'mean', 'geodesic', 'ignorance', 'truth']
    """
    unknown = [number for number in axes if number not in picture["component"].values]
    if unknown or len(axes) not in (2, 3):
        raise ValueError(f"this picture has axes 1 to {picture.sizes['component']}; cannot draw {tuple(axes)}")
    checkpoints, _ = thin(picture["run"].values)
    mean_points, _ = thin(picture["mean_curve"].values)
    drawn = picture.isel(checkpoint=checkpoints, mean_point=mean_points)
    muted = values is not None
    data = [
        _runs(drawn, rows, plain(curve), GRID if muted else tint(styles[curve].color, 0.5), axes)
        for curve, rows in places_by_name(drawn["curve"].values).items()
    ]
    if values is not None:
        data.append(_colored_checkpoints(drawn, picture, values, axes))
    data += [
        _mean(drawn, rows, plain(curve), styles[curve], axes, muted)
        for curve, rows in places_by_name(drawn["mean_curve"].values).items()
    ]
    if not is_published(picture):
        data += _references(picture, axes)
    return {"data": data, "layout": _layout([_axis_title(picture, number) for number in axes])}


_LEGEND = {"orientation": "h", "x": 0, "y": 1, "yanchor": "top", "font": {"size": 13}, "bgcolor": "rgba(0, 0, 0, 0)"}


def _layout(titles: Sequence[str]) -> dict[str, Any]:
    """The layout of a picture whose two or three axes have these titles."""
    if len(titles) == 3:
        return common_layout(
            showlegend=True, legend=_LEGEND, margin={"l": 0, "r": 0, "t": 0, "b": 0}, scene=_scene(titles)
        )
    return common_layout(
        showlegend=True,
        legend={**_LEGEND, "yanchor": "bottom"},
        margin={"l": 66, "r": 12, "t": 30, "b": 50},
        xaxis=axis(titles[0]),
        yaxis=axis(titles[1], scaleanchor="x", scaleratio=1),  # distances look as long in both directions
    )


def _scatter(points: np.ndarray, **options: Any) -> dict[str, Any]:
    """A trace through points (n, 2) or (n, 3); rows of NaN are gaps."""
    kind = "scatter3d" if points.shape[1] == 3 else "scatter"
    return {"type": kind, **dict(zip("xyz", points.T.copy(), strict=False)), **options}


def _pick(picture: xr.Dataset, variable: str, axes: Sequence[int]) -> np.ndarray:
    return picture[variable].sel(component=list(axes)).values


def _runs(drawn: xr.Dataset, rows: NDArray[np.intp], name: str, color: str, axes: Sequence[int]) -> dict[str, Any]:
    """All runs of a curve, in one trace with gaps between them."""
    points = np.vstack([_pick(drawn, "embedding", axes), np.full((1, len(axes)), np.nan)])
    columns = np.stack([drawn["seed"].values, drawn["epoch"].values], axis=1)  # (n, 2)
    columns = np.vstack([columns, np.zeros((1, 2))])  # of a gap, which is never hovered; JSON knows no NaN
    gap = -1  # the last point, which is none
    order = np.concatenate([np.append(run, gap) for run in rows_of_runs(drawn, rows).values()])
    return _scatter(
        points[order],
        mode="lines",
        line={"color": color, "width": 2 if len(axes) == 3 else 1.5},
        name=name,
        showlegend=False,
        customdata=columns[order],
        hovertemplate=("<b>%{fullData.name}</b><br>seed %{customdata[0]}, epoch %{customdata[1]:.3g}<extra></extra>"),
        meta="runs",
    )


def _mean(
    drawn: xr.Dataset, rows: NDArray[np.intp], name: str, style: Style, axes: Sequence[int], muted: bool
) -> dict[str, Any]:
    """The mean over seeds of a curve; muted beside checkpoints that have colours of their own."""
    width = (3 if muted else 7) if len(axes) == 3 else (1.5 if muted else 4)
    return _scatter(
        _pick(drawn, "mean", axes)[rows],
        mode="lines",
        line={"color": style.color, "width": width, "dash": style.dash},
        name=name,
        showlegend=False,  # the choices beside the picture carry the colours
        customdata=drawn["mean_epoch"].values[rows],
        hovertemplate="<b>%{fullData.name}</b>, mean of seeds<br>epoch %{customdata:.3g}<extra></extra>",
        meta="mean",
    )


def _colored_checkpoints(
    drawn: xr.Dataset, picture: xr.Dataset, values: xr.DataArray, axes: Sequence[int]
) -> dict[str, Any]:
    """The drawn checkpoints of a picture, on a scale of colours from the lowest to the highest value of all."""
    title = str(values.name)
    shown, everywhere = (values.values[which["row"].values] for which in (drawn, picture))
    color, span, ticks = shown, everywhere[np.isfinite(everywhere)], {}
    if title == "epoch":
        scale = EpochScale(everywhere)
        color, span = scale(shown), scale(span)
        ticks = {"tickmode": "array", "tickvals": scale.tickvals, "ticktext": scale.ticktext}
    bounds = {"cmin": float(span.min()), "cmax": float(span.max())} if span.size else {}
    columns = np.stack([drawn["seed"].values, drawn["epoch"].values, shown], axis=1)  # (n, 3)
    names = {curve: plain(curve) for curve in places_by_name(drawn["curve"].values)}
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
        text=[names[curve] for curve in drawn["curve"].values.tolist()],
        customdata=_without_nan(columns),
        hovertemplate=(
            "<b>%{text}</b><br>seed %{customdata[0]}, epoch %{customdata[1]:.3g}<br>"
            "%{fullData.name} %{customdata[2]:.3g}<extra></extra>"
        ),
        meta="values",
    )


def _without_nan(values: NDArray[Any]) -> NDArray[Any]:
    """Values for JSON, which knows no NaN: None instead."""
    missing = np.isnan(values)
    if missing.any():
        values = values.astype(object)
        values[missing] = None
    return values


def _references(picture: xr.Dataset, axes: Sequence[int]) -> list[dict[str, Any]]:
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


VIEW = View(
    name="inpca",
    title="InPCA picture",
    how_to_read=(
        "A point is a network at a checkpoint; near means predicting alike. Thin lines: runs; thick: mean of seeds."
    ),
    depends=_depends,
    measure=_measure,
    figure=lambda measured, styles, choices: inpca_figure(measured.picture, styles, axes_of(choices), measured.values),
    notes=lambda measured, meaning: notes(measured.picture, meaning),
)
