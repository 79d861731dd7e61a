"""The explorer in Python: choices, figures, numbers, and errors that help."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from tests.views.conftest import with_recipe


@pytest.fixture(scope="module")
def ds() -> xr.Dataset:
    return with_recipe(random_trajectories(n_checkpoints=4))


@pytest.mark.parametrize("name", VIEWS)
def test_a_figure_of_each_view_is_that_of_the_view(ds: xr.Dataset, name: str) -> None:
    explorer = Explorer(ds, curves=["red", "blue"], dimensions="2-D", selected=[0, 9])
    drawing = VIEWS[name].compose(explorer.session.analysis, explorer.state)
    figure = explorer.figure(name)
    assert isinstance(figure, go.Figure)
    assert figure == go.Figure(drawing.figure)
    assert explorer.data(name).equals(drawing.table)


def test_the_first_view_is_drawn_unless_another_is_named(ds: xr.Dataset) -> None:
    explorer = Explorer(ds)
    assert explorer.figure() == explorer.figure("inpca")
    assert explorer.data().equals(explorer.data("inpca"))


def test_a_choice_changes_the_next_figure(ds: xr.Dataset) -> None:
    explorer = Explorer(ds)
    explorer.state.tasks = ["red"]
    assert {trace.name for trace in explorer.figure("lengths").data} == {"red"}
    explorer.state.curves = []
    with pytest.raises(ValueError, match="no curve is chosen"):
        explorer.figure()
    with pytest.raises(ValueError, match="no curve is chosen"):
        explorer.data("lengths")


def test_settings_make_the_same_explorer(ds: xr.Dataset) -> None:
    explorer = Explorer(ds, tasks=["red", "green"], seeds=1, time=3, color_by="epoch", axes_fitted_on="frozen")
    again = Explorer(ds, **explorer.settings())
    assert again.state.choices() == explorer.state.choices()
    assert again.figure() == explorer.figure()
    assert Explorer(ds).settings() == {}


def test_code_runs_and_makes_this_very_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ds: xr.Dataset) -> None:
    monkeypatch.chdir(tmp_path)
    pw.save_trajectories(ds, "some.zarr")
    explorer = Explorer(pw.open_trajectories("some.zarr"), curves=["green"], dimensions="2-D", vertical=3)
    code = explorer.code()
    *lines, last = code.splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    assert eval(last, names) == explorer.figure()
    assert explorer.code("lengths").endswith("explorer.figure('lengths')")


def test_code_tells_nothing_of_the_rest_of_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pw.save_trajectories(random_trajectories(n_checkpoints=2), tmp_path / "secret" / "some.zarr")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "pw.open_trajectories('some.zarr')" in Explorer(pw.open_trajectories(path)).code()
    monkeypatch.chdir(tmp_path)
    assert "pw.open_trajectories('secret/some.zarr')" in Explorer(pw.open_trajectories(path)).code()
    assert "pw.demo()" in Explorer(pw.demo()).code()
    in_memory = Explorer(random_trajectories(n_checkpoints=2)).code()
    ast.parse(in_memory)


def test_what_is_selected_on_the_stage_comes_back(ds: xr.Dataset) -> None:
    explorer = Explorer(ds)
    assert explorer.selection == []
    with pytest.raises(ValueError, match="no checkpoint is selected: click one"):
        explorer.selected()
    explorer.state.selected = [7, 2]
    assert explorer.selection == [7, 2]
    xr.testing.assert_identical(explorer.selected(), ds.isel(checkpoint=[7, 2]))
    explorer.selection.append(1)
    assert explorer.selection == [7, 2]
    assert explorer.settings() == {}  # of this look only


def test_two_explorers_share_a_state(ds: xr.Dataset) -> None:
    one = Explorer(ds, dimensions="2-D")
    other = Explorer(ds, state=one.state, views=["lengths"], time=2.0)
    assert other.state is one.state
    assert one.settings() == {"dimensions": "2-D", "time": 2.0}
    with pytest.raises(ValueError, match="this state is of another dataset"):
        Explorer(random_trajectories(), state=one.state)


def test_explorers_of_one_dataset_measure_once(ds: xr.Dataset) -> None:
    assert Explorer(ds).session.analysis is Explorer(ds).session.analysis is ds.predspace.analysis


def test_views_are_chosen_and_ordered(ds: xr.Dataset) -> None:
    explorer = Explorer(ds, views=["lengths", VIEWS["inpca"]])
    assert [view["name"] for view in explorer.session.about["views"]] == ["lengths", "inpca"]
    assert len(explorer.figure("stress").data) == 2  # for Python all are there


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda ds: Explorer(ds, views=["inpcs"]), ValueError, "no view 'inpcs', did you mean 'inpca'"),
        (lambda ds: Explorer(ds).figure("length"), ValueError, "did you mean 'lengths'. an explorer has inpca, progr"),
        (lambda ds: Explorer(ds).data("zebra"), ValueError, "no view 'zebra'; an explorer has inpca, progress"),
        (lambda ds: Explorer(ds).code("zebra"), ValueError, "no view 'zebra'"),
        (lambda ds: Explorer(ds, task="red"), TypeError, "no choice 'task', did you mean 'tasks'"),
        (lambda ds: Explorer(ds, color="epoch"), TypeError, "did you mean 'color_by'.; an explorer has curves, seeds"),
        (lambda ds: Explorer(ds, tasks=["mauve"]), ValueError, "no task 'mauve' in this dataset; it has red, green, b"),
        (lambda ds: Explorer(ds, color_by="mood"), ValueError, "color_by must be 'curve', 'epoch'"),
        (lambda ds: Explorer(ds["probs"].values), TypeError, "not a ndarray: see pw.make_trajectories"),
        (lambda ds: Explorer("mine.zarr"), TypeError, "not a str: see pw.open_trajectories"),
        (lambda ds: setattr(Explorer(ds), "color_by", "epoch"), AttributeError, r"explorer.state.color_by = \.\.\."),
        (lambda ds: setattr(Explorer(ds), "tasks", "red"), AttributeError, r"explorer.state.tasks = \.\.\."),
        (lambda ds: setattr(Explorer(ds).state, "color", "epoch"), AttributeError, "'color', did you mean 'color_by'"),
        (lambda ds: pickle.dumps(Explorer(ds)), TypeError, "an explorer is not copied or pickled"),
        (lambda ds: Explorer({"a": ds}), TypeError, "an explorer shows a trajectories dataset, not a dict"),
        (lambda ds: Explorer(xr.Dataset()), ValueError, "variable 'run' .* is missing"),
    ],
)
def test_what_cannot_be_is_an_error_that_helps(ds: xr.Dataset, use: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        use(ds)


def test_saving_writes_the_file_that_it_returns(ds: xr.Dataset, tmp_path: Path) -> None:
    path = Explorer(ds, dimensions="2-D").save(str(tmp_path / "one.html"))
    assert path == tmp_path / "one.html"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    Explorer(ds).save(path)
    assert path.read_text(encoding="utf-8") != text


def test_the_package_offers_what_comes_late() -> None:
    offered = dir(pw)
    assert {"Explorer", "Recorder", "InPCA", "demo"} <= set(offered)
    assert not {"Any", "TYPE_CHECKING", "annotations"} & set(offered)
    assert all(hasattr(pw, name) for name in offered)


def test_a_state_that_was_made_before(ds: xr.Dataset) -> None:
    state = ExplorerState(ds, tasks="red")
    assert np.unique(Explorer(ds, state=state).data()["task"]).tolist() == ["red"]


def test_an_explorer_of_several_datasets_joins_them(ds: xr.Dataset) -> None:
    explorer = Explorer([ds, ds.isel(sample=slice(None, None, -1))], color_by="curve", selected=[0, 9])
    first, second = "synthetic trainings 1", "synthetic trainings 2"
    assert explorer.session.about["title"] == f"{first} + {second}"
    assert explorer.state.curves[:2] == [f"red @ {first}", f"green @ {first}"]
    assert [curve["apart"]["source"] for curve in explorer.session.about["curves"]] == [first] * 3 + [second] * 3
    explorer.state.curves = [f"red @ {first}", f"red @ {second}"]
    table = explorer.data("inpca")
    assert table["source"].tolist() == [first] * 8 + [second] * 8
    one, other = (table[table["source"] == name].reset_index() for name in (first, second))
    np.testing.assert_allclose(one["inpca 1"], other["inpca 1"], atol=1e-5)
    for view in VIEWS:
        explorer.figure(view)
    assert explorer.state.tasks == ["red"]
    explorer.state.tasks = ["blue"]
    assert explorer.state.curves == [f"blue @ {first}", f"blue @ {second}"]
    with pytest.raises(ValueError, match="share no sample"):
        Explorer([ds, ds.assign_coords(sample=np.arange(100, 130))])
    with pytest.raises(TypeError, match="not of str"):
        Explorer(["a.zarr"])  # type: ignore[list-item]
