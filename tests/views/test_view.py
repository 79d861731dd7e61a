"""What all views share: their list, that they are plain data, and that names are never markup."""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.session import as_plain
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS, CheckpointView, ResultView, View
from predspace_widgets.views.comparison import comparison_figure
from predspace_widgets.views.marks import COLORING_KINDS, applies
from predspace_widgets.views.style import curve_styles, plain
from tests.views.conftest import figure_of, traces, with_recipe

NAMES = ("<script>window.hacked=1</script>", '"><img src=x onerror=window.hacked=1>', "%{x} $y$", "<b>bold</b>")
OF_RESULTS = [view for view in VIEWS.values() if isinstance(view, ResultView)]


def test_the_views_in_their_order() -> None:
    order = ["inpca", "progress", "comparison", "lengths", "matrix", "transfer", "tube", "stress", "inspector"]
    assert list(VIEWS) == order
    assert all(view.name == name for name, view in VIEWS.items())


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_what_the_stage_is_told_of_a_view_is_json(view: View) -> None:
    told = json.loads(json.dumps(view.describe(), allow_nan=False))
    assert (told["name"], told["title"], told["how_to_read"]) == (view.name, view.title, view.how_to_read)
    assert [control["choice"] for control in told["controls"]] == [control.choice for control in view.controls]
    if isinstance(view, CheckpointView):
        assert told["kind"] == "checkpoints"
        assert len(told["marks"]) == len(view.marks)
        assert [mark["place"] for mark in told["marks"]] == [dict(mark.place) for mark in view.marks]


def choices_named_by(view: CheckpointView) -> set[str]:
    return {name for part in (*view.marks, *view.controls) for name in part.when} | {
        name for when, _ in view.layouts for name in when
    }


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: view.name)
def test_views_name_choices_and_values_that_there_are(view: View, analysis: Analysis) -> None:
    state = ExplorerState(analysis)
    for control in view.controls:
        assert control.choice in state.choices()
        if not isinstance(control.options, str):
            for value, _ in control.options:
                state.read_strictly(control.choice, value)
    for name in choices_named_by(view) if isinstance(view, CheckpointView) else ():
        assert name in {*state.choices(), "coloring"}
    for part in (*view.marks, *view.controls) if isinstance(view, CheckpointView) else view.controls:
        for name, values in part.when.items():
            for value in values:
                assert value in COLORING_KINDS if name == "coloring" else state.read_strictly(name, value) == value


@pytest.mark.parametrize("view", OF_RESULTS, ids=lambda view: view.name)
def test_a_result_depends_on_what_it_names_and_nothing_else(view: ResultView, analysis: Analysis) -> None:
    analysis = analysis_of(analysis.ds.assign_coords(width=("checkpoint", analysis.ds["seed"].values)))
    start = {"selected": [0, 9]}
    first = _drawn(view, analysis, **start)
    others: dict[str, Any] = {
        "curves": ["red", "blue"],
        "dimensions": "2-D",
        "color_by": "epoch",
        "time": 3.0,
        "pinned": ["red"],
        "axes_fitted_on": "shown",
        "horizontal": 4,
        "compared": ["red", "blue"],
        "seeds": [0],
        "epochs": [0, 8],
        "where": {"width": [1]},
        "progress_metric": "great_circle",
        "matrix_of": "end",
        "matrix_by": "run",
        "spectrum": "eigenvalues",
        "uncertainty": "samples",
        "selected": [1, 9],
        "sample": 3,
    }

    assert set(view.depends) <= set(others)
    for name, value in others.items():
        assert (_drawn(view, analysis, **start | {name: value}) != first) == (name in view.depends), name


def _drawn(view: ResultView, analysis: Analysis, **choices: Any) -> Any:
    drawing = view.draw(analysis, ExplorerState(analysis, **choices))
    return as_plain([drawing.figure, drawing.blocks])


def test_a_mark_applies_where_all_its_choices_do() -> None:
    when = {"dimensions": ("2-D", "pairs"), "color_by": ("curve",)}
    assert applies(when, {"dimensions": "pairs", "color_by": "curve"})
    assert not applies(when, {"dimensions": "pairs", "color_by": "epoch"})
    assert applies({}, {})


def test_a_defect_is_a_message_and_in_the_log(analysis: Analysis, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("by nothing")

    view = ResultView("broken", "Broken", "How to read.", measure=fail)
    with caplog.at_level(logging.ERROR):
        drawing = view.draw(analysis, ExplorerState(analysis))
    assert drawing.figure is None
    assert drawing.message == "This view failed (ZeroDivisionError: by nothing). The log has the details."
    assert "the view 'broken' failed" in caplog.text


def test_styles_depend_on_the_whole_dataset() -> None:
    """Not on what is chosen; more than 13 curves are told apart by dashes."""
    tasks, methods = tuple(f"task {number}" for number in range(5)), ("supervised", "simclr", "barlow twins")
    analysis = Analysis(random_trajectories(tasks, n_seeds=1, n_checkpoints=2, n_samples=4, methods=methods))
    styles, meaning = curve_styles(analysis.curve_pairs)
    assert meaning == "A colour is a task, a dash a method."
    for name in ("inpca", "progress"):
        lines = traces(figure_of(analysis, name, tasks="task 3"), "mean")
        assert [line["meta"]["curve"] for line in lines] == [9, 10, 11]
        for line in lines:
            style = styles[line["meta"]["curve"]]
            assert (line["line"]["color"], line["line"]["dash"]) == (style.color, style.dash)
    assert meaning in VIEWS["inpca"].draw(analysis, ExplorerState(analysis, tasks="task 3")).caption


# -- a panel is one file ----------------------------------------------------------------------------------------------

A_PANEL = '''
"""How accurate is each network at each step?"""

from predspace_widgets.views.marks import COLORING_KINDS, Mark
from predspace_widgets.views.style import axis, common_layout
from predspace_widgets.views.view import CheckpointView

VIEW = CheckpointView(
    name="accuracy",
    title="Accuracy",
    how_to_read="A line is a run.",
    marks=(
        Mark(
            role="runs",
            table="checkpoints",
            place={"x": "step", "y": "accuracy"},
            trace={"type": "scatter", "mode": "lines", "line": {"color": "@color"}, "name": "@name"},
        ),
    ),
    layouts=(({}, common_layout(xaxis=axis("", column="step"), yaxis=axis("", column="accuracy"))),),
    columns=("step", "accuracy"),
)
'''


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    path: Path = tmp_path_factory.mktemp("panels") / "accuracy.py"
    path.write_text(A_PANEL)
    spec = importlib.util.spec_from_file_location("accuracy", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_panel_that_is_added_is_one_file(panel: ModuleType) -> None:
    ds = random_trajectories(n_checkpoints=4)
    explorer = Explorer(ds, views=["inpca", panel.VIEW], curves=["green"])
    figure = explorer.figure("accuracy")
    [line] = figure.data
    assert line.name == "green"
    rows = np.flatnonzero(ds["task"].values == "green")
    np.testing.assert_array_equal(np.asarray(line.y)[[0, 1, 2, 3, 5, 6, 7, 8]], ds["accuracy"].values[rows])
    assert figure.layout.yaxis.title.text == "accuracy"
    table = explorer.data("accuracy")
    assert table["row"].tolist() == rows.tolist()
    np.testing.assert_array_equal(table["accuracy"], ds["accuracy"].values[rows])
    assert explorer.code("accuracy").endswith("explorer.figure('accuracy')")


def test_its_marks_travel_with_the_payload(panel: ModuleType) -> None:
    explorer = Explorer(random_trajectories(n_checkpoints=2), views=["stress", panel.VIEW])
    about, _ = unpack(gzip.decompress(explorer.session.payload()))
    assert [view["name"] for view in about["views"]] == ["stress", "accuracy"]
    assert about["views"][1] == json.loads(json.dumps(panel.VIEW.describe()))


# -- nothing in a dataset is markup -----------------------------------------------------------------------------------


def hostile() -> Analysis:
    return Analysis(with_recipe(random_trajectories(NAMES[:2], n_checkpoints=3, methods=NAMES[2:])))


def strings(value: Any) -> list[str]:
    """All texts in a figure that may be drawn: `meta` holds what a click chooses."""
    if isinstance(value, dict):
        return [text for name, part in value.items() if name != "meta" for text in strings(part)]
    if isinstance(value, list | tuple | np.ndarray) and not (
        isinstance(value, np.ndarray) and value.dtype.kind in "fi"
    ):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("color_by", ["curve", "epoch", "progress", "accuracy"])
@pytest.mark.parametrize("dimensions", ["2-D", "3-D", "pairs"])
def test_names_reach_figures_as_plain_text_and_never_a_template(color_by: str, dimensions: str) -> None:
    analysis = hostile()
    choices = {"color_by": color_by, "dimensions": dimensions, "selected": [0, 9], "sample": 0}
    figures = [figure_of(analysis, view.name, **choices) for view in VIEWS.values()]
    texts = strings(figures)
    assert any("&lt;script&gt;" in text for text in texts)
    assert not any(name in text for name in NAMES for text in texts)
    templates = [trace.get("hovertemplate", "") for figure in figures for trace in figure["data"]]
    assert not any("hacked" in template or "bold" in template for template in templates)
    for figure in figures:
        json.loads(go.Figure(figure).to_json())


def test_captions_name_no_curve() -> None:
    """But that of the matrix, which says what bounds its range: the stage sets captions as text."""
    analysis = hostile()
    views = [view for view in VIEWS.values() if view.name != "matrix"]
    captions = [view.draw(analysis, ExplorerState(analysis)).caption for view in views]
    assert not any(name in caption for name in NAMES for caption in captions)


def test_names_of_compared_curves_are_plain_text_too() -> None:
    about = {"n_first": 1, "n_second": 1, "d_traj": 0.1, "mean_distance": 0.1, "progress_range": (0.0, 1.0)}
    comparison = xr.Dataset(
        {"distance": ("progress", [0.0, 0.1])},
        coords={"progress": [0.0, 1.0]},
        attrs={"first": NAMES[0], "second": NAMES[2], **about},
    )
    texts = strings(comparison_figure(comparison))
    assert f"{plain(NAMES[0])} | {plain(NAMES[2])}" in texts
    assert not any(name in text for name in NAMES for text in texts)


def test_tokens_and_choices_in_names_are_letters() -> None:
    """A name that looks like what marks are filled with stays itself."""
    names = ("@color", "{color_by}", "@name")
    figure = figure_of(random_trajectories(names, n_checkpoints=2), dimensions="2-D")
    assert [trace["name"] for trace in traces(figure, "runs")] == list(names)
    labels = [note["text"] for note in figure["layout"]["annotations"] if note["name"] == "label"]
    assert labels == list(names)
