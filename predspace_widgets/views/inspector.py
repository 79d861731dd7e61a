"""What is this checkpoint, and which images hold it back? Why do these two differ?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.inspection import checkpoint, why
from predspace_widgets.analysis.one_sample import probabilities_along
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.samples import class_names
from predspace_widgets.views import blocks
from predspace_widgets.views.blocks import Block
from predspace_widgets.views.marks import Figure
from predspace_widgets.views.style import (
    GRID,
    INK,
    MUTED,
    PALETTE,
    EpochScale,
    axis,
    common_layout,
    percent,
    plain,
    short,
)
from predspace_widgets.views.view import ResultView

#: Samples that are shown with their images.
N_SHOWN = 12
# Confusions of more classes are a list of the most frequent ones.
_MOST_CLASSES = 30
_MOST_PAIRS = 8
# Classes of a strip of probabilities that are told apart, besides the true one.
_TOLD_APART = 5
_ERRORS = "#D55E00"


# -- measured ----------------------------------------------------------------------------------------------------------


def _measure(analysis: Analysis, choices: Any) -> dict[str, Any]:
    """What is selected: `first` and `second`, each a checkpoint, and `why` where there are two."""
    rows = choices.selected
    if not rows:
        raise ValueError("click a checkpoint in a picture; a second one to see why the two differ")
    if len(rows) > 2:
        raise ValueError(f"{len(rows):,} checkpoints are selected: click one of them, and then a second")
    result: dict[str, Any] = {
        name: checkpoint(analysis, row) for name, row in zip(("first", "second"), rows, strict=False)
    }
    if len(rows) == 2:
        result["why"] = why(analysis, *rows)
    place = _place_of(analysis, choices)
    if place is not None:
        for name, row in zip(("first", "second"), rows, strict=False):
            result[f"strip of {name}"] = probabilities_along(analysis, row, place)
    return result


def _place_of(analysis: Analysis, choices: Any) -> int | None:
    """Place, among the samples that count, of the one that is looked at."""
    if choices.sample is None:
        return None
    name = choices.analysis.ds["sample"].values[choices.sample]
    places = np.flatnonzero(analysis.ds["sample"].values == name)
    return int(places[0]) if len(places) else None


# -- drawn -------------------------------------------------------------------------------------------------------------


def _figure(result: Mapping[str, Any], analysis: Analysis, choices: Any) -> Figure:
    """The share of each class in what is looked at."""
    if "why" in result:
        return _shares(result["why"])
    return _confusion(result["first"]) or _shares(result["first"])


def _blocks(result: Mapping[str, Any], analysis: Analysis, choices: Any) -> list[Block]:
    return _of_pair(result, analysis, choices) if "why" in result else _of_one(result, analysis, choices)


def _of_one(result: Mapping[str, Any], analysis: Analysis, choices: Any) -> list[Block]:
    about = result["first"]
    shown = [
        blocks.facts(_name(about), _facts(about)),
        *_strips(result, analysis),
        _samples(about, analysis, choices, "What holds it back: furthest from their label", ["it"]),
    ]
    confusion = _confusion(about)
    if confusion is not None:
        shown.append(blocks.figure(_title_of_errors(about), confusion, 220))
    elif _pairs(about):
        shown.append(blocks.facts(_title_of_errors(about), _pairs(about)))
    return shown


def _of_pair(result: Mapping[str, Any], analysis: Analysis, choices: Any) -> list[Block]:
    pair, sides = result["why"], [result["first"], result["second"]]
    names = [f"{letter}: {_name(side)}" for letter, side in zip("AB", sides, strict=True)]
    n_half, n_samples = int(pair.attrs["n_for_half"]), pair.sizes["sample"]
    rows = [
        *zip("AB", map(_name, sides), strict=True),
        ("distance", f"{pair.attrs['distance']:.4g}"),
        *((f"{letter}, accuracy", f"{side.attrs['accuracy']:.3f}") for letter, side in zip("AB", sides, strict=True)),
        ("half of it", f"{n_half:,} of {n_samples:,} samples make it"),
    ]
    first, second = ([row] for row in choices.selected)
    on: list[blocks.Link] = [("A alone", {"selected": first}), ("B alone", {"selected": second})]
    shown = [blocks.facts("Why these two differ", rows, on)]
    if not pair.attrs["distance"]:
        return [*shown, blocks.text("They predict the same on every sample.")]
    places = _places_in_whole(pair, choices)
    half = {"samples": {"rows": sorted(places[pair["order"].values[:n_half]].tolist())}}
    shown += [
        blocks.figure("Share of each true class in it", _shares(pair), 120),
        blocks.links("", [(f"the geometry of these {n_half:,} samples only", half)]),
        *_strips(result, analysis),
        _samples(pair, analysis, choices, "The samples that differ most", names),
    ]
    return shown


def _name(about: xr.Dataset) -> str:
    facts = about.attrs
    return f"{facts['run']}, epoch {facts['epoch']:.3g}"


def _facts(about: xr.Dataset) -> list[tuple[str, str]]:
    facts = about.attrs
    rows = [
        ("epoch, step", f"{facts['epoch']:.4g}, {facts['step']:,}"),
        ("accuracy, loss", f"{facts['accuracy']:.3f}, {facts['loss']:.3g}"),
        ("progress", f"{facts['progress']:.3f}"),
        ("to truth", f"{facts['to_truth']:.4g}"),
        ("to ignorance", f"{facts['to_ignorance']:.4g}"),
    ]
    if "nearest_run" in facts:
        rows.append(("nearest other run", f"{facts['nearest_run']}, {facts['nearest_distance']:.4g}"))
    if "n_became_right" in facts:
        rows.append(
            ("since the one before", f"{facts['n_became_right']} became right, {facts['n_became_wrong']} wrong")
        )
    return rows


def _shares(about: xr.Dataset) -> Figure:
    """A bar for each true class; a click looks at its samples alone."""
    names = about["class"].values.astype(str).tolist()
    shares = _shares_of_classes(about)
    bars = {
        "type": "bar",
        "x": [plain(short(name, 12)) for name in names],
        "y": shares,
        "marker": {"color": INK},
        "hovertemplate": "%{x}: %{y:.1%}<extra>click: these samples only</extra>",
        "meta": {"role": "shares", "choose": [{"samples": {"classes": [name]}} for name in names]},
    }
    layout = common_layout(
        xaxis=axis("", type="category", dtick=1, showgrid=False) | {"tickfont": {"size": 11}},
        yaxis=axis("", tickformat=".0%", rangemode="tozero", nticks=4),
        margin={"l": 40, "r": 6, "t": 6, "b": 24},
        bargap=0.2,
    )
    return {"data": [bars], "layout": layout}


def _shares_of_classes(about: xr.Dataset) -> Array:
    if "share_of_class" in about:
        return np.asarray(about["share_of_class"].values)
    values = about["contribution"].values
    return np.bincount(about["label"].values, values, about.sizes["class"]) / (values.sum() or 1.0)


def _confusion(about: xr.Dataset) -> Figure | None:
    """Errors by true and predicted class; None where there are too many classes to be seen."""
    if about.sizes["class"] > _MOST_CLASSES:
        return None
    names = about["class"].values.astype(str).tolist()
    counts = about["confusion"].values.astype(float)
    np.fill_diagonal(counts, 0)
    shown = [plain(short(name, 12)) for name in names]
    cells = {
        "type": "heatmap",
        "x": shown,
        "y": shown,
        "z": [[value or None for value in row] for row in counts.tolist()],
        "colorscale": [[0, "white"], [1, _ERRORS]],
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "zmin": 0,
        "texttemplate": "%{z:d}" if about.sizes["class"] <= 12 else "",
        "textfont": {"size": 10},
        "hovertemplate": "%{y} taken for %{x}: %{z}<extra>click: all samples of %{y}</extra>",
        "meta": {"role": "confusion", "choose": [[{"samples": {"classes": [name]}}] * len(names) for name in names]},
    }
    layout = common_layout(
        xaxis=axis("taken for", type="category", dtick=1, tickangle=0) | {"tickfont": {"size": 10}},
        yaxis=axis("true", type="category", dtick=1, autorange="reversed") | {"tickfont": {"size": 10}},
        margin={"l": 40, "r": 6, "t": 4, "b": 36},
    )
    return {"data": [cells], "layout": layout}


def _title_of_errors(about: xr.Dataset) -> str:
    counts = about["confusion"].values
    n_errors = int(counts.sum() - np.trace(counts))
    return f"{n_errors:,} errors of {int(counts.sum()):,}" if n_errors else "No errors"


def _pairs(about: xr.Dataset) -> list[tuple[str, str]]:
    """The most frequent confusions."""
    counts, names = about["confusion"].values.copy(), about["class"].values.astype(str)
    np.fill_diagonal(counts, 0)
    order = np.argsort(counts, axis=None)[::-1][:_MOST_PAIRS]
    places = [np.unravel_index(place, counts.shape) for place in order]
    return [(f"{names[i]} taken for {names[j]}", str(counts[i, j])) for i, j in places if counts[i, j]]


# -- samples -----------------------------------------------------------------------------------------------------------


def _samples(about: xr.Dataset, analysis: Analysis, choices: Any, title: str, sides: Sequence[str]) -> Block:
    """Those that contribute most, with what is predicted of them."""
    order = about["order"].values[:N_SHOWN]
    names, ids = class_names(analysis.ds), about["sample"].values
    total = float(about["contribution"].sum()) or 1.0
    probs = [about[name].values for name in ("probs", "probs_first", "probs_second") if name in about]
    labels, contributions = about["label"].values, about["contribution"].values
    places = _places_in_whole(about, choices)
    images = None
    if "image" in analysis.ds:  # all of them in one reading
        images = analysis.ds["image"].transpose("sample", ...).isel(sample=order).values
    tiles = []
    for number, place in enumerate(order.tolist()):
        label = int(labels[place])
        tiles.append(
            {
                "name": f"{names[label]} ({ids[place]})",
                "note": f"{percent(float(contributions[place]) / total)} of it",
                "image": None if images is None else blocks.thumbnail(images[number]),
                "bars": _bars([side[place] for side in probs], label, names),
                "choices": {"sample": int(places[place])},
            }
        )
    return blocks.samples(title, tiles, sides)


def _bars(rows: Sequence[Array], label: int, names: Sequence[str]) -> list[list[Any]]:
    """The true class and what each side predicts first, with the probabilities of all sides."""
    shown = dict.fromkeys([label, *(int(row.argmax()) for row in rows)])
    if len(shown) == 1:  # all are right: what comes next
        shown[int(np.argsort(rows[0])[-2])] = None
    return [[names[index], *(round(float(row[index]), 4) for row in rows)] for index in shown]


def _places_in_whole(about: xr.Dataset, choices: Any) -> NDArray[np.intp]:
    """Places of samples in the whole dataset, (n,)."""
    whole, own = choices.analysis.ds["sample"].values, about["sample"].values
    if len(whole) == len(own):
        return np.arange(len(own))
    places = {name: place for place, name in enumerate(whole.tolist())}
    return np.array([places[name] for name in own.tolist()], dtype=np.intp)


def _strips(result: Mapping[str, Any], analysis: Analysis) -> list[Block]:
    """What is predicted of one sample along the training of each side."""
    shown = []
    for letter, name in (("A", "first"), ("B", "second")):
        strip = result.get(f"strip of {name}")
        if strip is None:
            continue
        side = f"{letter}: " if "why" in result else ""
        about = result[name].attrs
        title = f"{side}sample {strip.attrs['sample']} along {about['run']}; line: this checkpoint"
        shown.append(blocks.figure(title, _strip(strip, analysis, about["epoch"]), 130))
    return shown


def _strip(strip: xr.DataArray, analysis: Analysis, epoch: float) -> Figure:
    """Probabilities on each other, the true class lowest."""
    names, label = class_names(analysis.ds), int(strip.attrs["label"])
    probs, scale = strip.values, EpochScale(analysis.ds["epoch"].values)  # (K, C)
    others = [int(index) for index in np.argsort(probs.max(axis=0))[::-1] if index != label][:_TOLD_APART]
    rest = 1 - probs[:, [label, *others]].sum(axis=1)
    layers = [(names[label], INK, probs[:, label])]
    layers += [(names[index], PALETTE[n % len(PALETTE)], probs[:, index]) for n, index in enumerate(others)]
    layers.append(("all others", GRID, np.maximum(rest, 0)))
    x = scale(strip["epoch"].values)
    data = [
        {
            "type": "scatter",
            "x": x,
            "y": values,
            "mode": "lines",
            "stackgroup": "one",
            "line": {"width": 0.5, "color": color},
            "fillcolor": color,
            "name": plain(short(name, 12)),
            "customdata": strip["epoch"].values,
            "hovertemplate": "%{y:.3f} at epoch %{customdata:.3g}",
            "meta": "layer",
        }
        for name, color, values in layers
    ]
    line = {"type": "line", "x0": float(scale(np.array(epoch))), "x1": float(scale(np.array(epoch))), "y0": 0, "y1": 1}
    layout = common_layout(
        xaxis=axis("", tickmode="array", tickvals=scale.tickvals, ticktext=scale.ticktext, showgrid=False),
        yaxis=axis("", range=[0, 1], nticks=3, tickformat=".0%"),
        margin={"l": 40, "r": 6, "t": 4, "b": 22},
        shapes=[line | {"line": {"color": MUTED, "width": 2, "dash": "dash"}}],
        showlegend=True,
        legend={"font": {"size": 10}, "tracegroupgap": 0},
    )
    return {"data": data, "layout": layout}


# -- numbers -----------------------------------------------------------------------------------------------------------


def _numbers(result: Mapping[str, Any]) -> pd.DataFrame:
    """A row a sample: its contribution, and what each side predicts of it."""
    about = result.get("why", result["first"])
    names = about["class"].values.astype(str)
    columns: dict[str, Any] = {
        "sample": about["sample"].values,
        "label": names[about["label"].values],
        "contribution": about["contribution"].values,
    }
    for name in ("probs", "probs_first", "probs_second"):
        if name in about:
            columns[name.replace("probs", "predicted")] = names[about[name].values.argmax(axis=-1)]
    return pd.DataFrame(columns).iloc[about["order"].values].reset_index(drop=True)


def _summary(result: Mapping[str, Any]) -> str:
    first = result["first"]
    if "why" in result:
        pair = result["why"].attrs
        half = f"{int(pair['n_for_half']):,} of {result['why'].sizes['sample']:,} samples make half of it"
        return f"{_name(first)} and {_name(result['second'])} are {pair['distance']:.3g} apart; {half}."
    facts = first.attrs
    measured = f"accuracy {facts['accuracy']:.3f}, progress {facts['progress']:.3f}"
    return f"{_name(first)}: {measured}; {_title_of_errors(first).lower()}."


VIEW = ResultView(
    name="inspector",
    place=60,
    deck="selected",
    title="Selected",
    how_to_read="Distances are means over samples: every sample and class has its share. Click an image or a class.",
    depends=("selected", "sample"),
    measure=_measure,
    figure=_figure,
    numbers=_numbers,
    summary=_summary,
    blocks=_blocks,
)
