"""What all views share: their list, what they depend on, and that data is never markup."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS, View
from predspace_widgets.views.comparison import comparison_figure
from predspace_widgets.views.style import plain
from predspace_widgets.views.view import colors_of, styles_of

NAMES = ("<script>window.hacked=1</script>", '"><img src=x onerror=window.hacked=1>', "%{x} $y$", "<b>bold</b>")

#: The result of the comparison is made by hand, see test_comparison.
MEASURED_HERE = [view for view in VIEWS.values() if view.name != "comparison"]


def choices(**changed: Any) -> SimpleNamespace:
    default = {
        "selection": Selection(),
        "tasks": ["red"],
        "methods": ["supervised"],
        "seeds": [0],
        "epochs": (0.0, 1.0),
        "dimensions": "3-D",
        "horizontal": 1,
        "vertical": 2,
        "color_by": "task",
        "progress_metric": "bhattacharyya",
        "first": "red",
        "second": "blue",
    }
    return SimpleNamespace(**default | changed)


def test_the_views_in_their_order() -> None:
    assert list(VIEWS) == ["inpca", "stress", "progress", "comparison", "lengths"]
    assert all(view.name == name for name, view in VIEWS.items())


def test_the_picture_depends_on_what_it_shows() -> None:
    seen = VIEWS["inpca"].seen
    metric, axis = {"progress_metric": "great_circle"}, {"horizontal": 3}
    assert seen(choices()) == seen(choices(**metric)) == seen(choices(**axis))
    assert seen(choices(color_by="progress")) != seen(choices(color_by="progress", **metric))
    assert seen(choices(dimensions="2-D")) != seen(choices(dimensions="2-D", **axis))
    for change in ({"tasks": []}, {"seeds": [1]}, {"epochs": (0.0, 0.5)}, {"color_by": "epoch"}):
        assert seen(choices()) != seen(choices(**change))


def test_what_was_seen_stays_when_a_list_is_changed_in_place() -> None:
    chosen = choices()
    before = VIEWS["lengths"].seen(chosen)
    chosen.tasks.append("blue")
    assert VIEWS["lengths"].seen(chosen) != before


@pytest.mark.parametrize("view", MEASURED_HERE, ids=lambda view: view.name)
def test_a_view_reads_no_choice_that_it_does_not_name(view: View) -> None:
    """Its figure is the same for all values of the others."""
    analysis = Analysis(random_trajectories(n_checkpoints=3))
    for color_by in ("task", "progress"):
        for dimensions in ("2-D", "3-D"):
            shown = {"color_by": color_by, "dimensions": dimensions}
            named = view.depends(choices(**shown))
            others = {
                "horizontal": 3,
                "vertical": 4,
                "progress_metric": "great_circle",
                "first": "blue",
                "second": "red",
            }
            changed = {name: value for name, value in others.items() if name not in named}
            one, other = (view.draw(analysis, choices(**shown, **change)) for change in ({}, changed))
            assert go.Figure(one.figure) == go.Figure(other.figure)


def test_styles_depend_on_the_whole_dataset() -> None:
    """Not on what is chosen; more than 13 curves are told apart by dashes."""
    tasks, methods = tuple(f"task {number}" for number in range(5)), ("supervised", "simclr", "barlow twins")
    ds = random_trajectories(tasks, n_seeds=1, n_checkpoints=2, n_samples=4, methods=methods)
    analysis = Analysis(ds)
    styles, meaning = styles_of(analysis)
    assert list(styles) == analysis.curve_names
    assert meaning == "A colour is a task, a dash a method."
    chosen = choices(selection=Selection(tasks=("task 3",)))
    for name in ("inpca", "progress"):
        lines = [trace for trace in VIEWS[name].draw(analysis, chosen).figure["data"] if trace["meta"] == "mean"]
        assert len(lines) == 3
        for line in lines:
            style = styles[line["name"]]
            assert (line["line"]["color"], line["line"]["dash"]) == (style.color, style.dash)
    assert VIEWS["inpca"].draw(analysis, chosen).caption.endswith(meaning)
    assert [len(colors) for colors in colors_of(analysis, "task").values()] == [1] * 5
    assert [len(colors) for colors in colors_of(analysis, "method").values()] == [5] * 3


# -- nothing in a dataset is markup -----------------------------------------------------------------------------------


def hostile() -> Analysis:
    return Analysis(random_trajectories(NAMES[:2], n_checkpoints=3, methods=NAMES[2:]))


def strings(value: Any) -> list[str]:
    """All texts in a figure."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in strings(part)]
    if isinstance(value, list | tuple | np.ndarray) and not (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("color_by", ["task", "epoch", "progress", "accuracy"])
@pytest.mark.parametrize("dimensions", ["2-D", "3-D"])
def test_names_reach_figures_as_plain_text_and_never_a_template(color_by: str, dimensions: str) -> None:
    analysis = hostile()
    chosen = choices(color_by=color_by, dimensions=dimensions)
    figures = [view.draw(analysis, chosen).figure for view in MEASURED_HERE]
    assert all(figures)
    texts = strings(figures)
    assert any("&lt;script&gt;" in text for text in texts)
    for name in NAMES:
        assert not any(name in text for text in texts), name
    templates = [trace.get("hovertemplate", "") for figure in figures for trace in figure["data"]]
    assert not any("hacked" in template or "bold" in template for template in templates)
    for figure in figures:
        json.loads(go.Figure(figure).to_json())


def test_names_of_compared_curves_too() -> None:
    about = {"n_first": 1, "n_second": 1, "d_traj": 0.1, "mean_distance": 0.1, "progress_range": (0.0, 1.0)}
    comparison = xr.Dataset(
        {"distance": ("progress", [0.0, 0.1])},
        coords={"progress": [0.0, 1.0]},
        attrs={"first": NAMES[0], "second": NAMES[2], **about},
    )
    figure = comparison_figure(comparison)
    texts = strings(figure)
    assert f"{plain(NAMES[0])} | {plain(NAMES[2])}" in texts
    assert not any(name in text for name in NAMES for text in texts)
