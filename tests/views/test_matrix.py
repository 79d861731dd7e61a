"""The matrix of all pairs as a heat map: its order, its diagonal, its dots, and what a click on a cell chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import geodesic_run, random_trajectories
from predspace_widgets.views import VIEWS, ResultView
from predspace_widgets.views.matrix import matrix_figure
from tests.trajectories.samples import embedding_only
from tests.views.conftest import figure_of, traces


def heat(figure: dict[str, Any]) -> dict[str, Any]:
    [trace] = traces(figure, "matrix")
    return trace


def test_cells_are_the_distances_in_the_order_of_the_tree(analysis: Analysis) -> None:
    differ = analysis.ds.predspace.matrix()
    names = differ["curve"].values[differ["order"]].tolist()
    ordered = differ.sel(curve=names, other=names)
    z = heat(figure_of(analysis, "matrix"))["z"]
    off = ~np.eye(len(names), dtype=bool)
    np.testing.assert_allclose(z[off], ordered.distance.values[off], rtol=1e-9)
    np.testing.assert_array_equal(z.diagonal(), ordered.floor.values.diagonal())
    assert figure_of(analysis, "matrix")["layout"]["yaxis"]["ticktext"] == [
        f"{name} {n + 1}" for n, name in enumerate(names)
    ]


def test_a_click_chooses_the_pair_of_the_cell(analysis: Analysis) -> None:
    for by in ("curve", "run"):
        differ = analysis.ds.predspace.matrix(of="end", by=by)
        names = differ["other"].values[differ["order"]].tolist()
        choose = heat(figure_of(analysis, "matrix", matrix_of="end", matrix_by=by))["meta"]["choose"]
        for i, row in enumerate(choose):
            assert row == [{"compared": [names[i], names[j]]} if i != j else {} for j in range(len(names))]


def test_dots_are_where_distances_are_within_the_floor() -> None:
    differ = random_trajectories(n_checkpoints=4).predspace.matrix(of="end")
    differ["within_floor"][:] = np.eye(3, dtype=bool)
    differ["within_floor"][0, 2] = differ["within_floor"][2, 0] = True
    [dots] = traces(matrix_figure(differ), "within")
    place = {name: differ["order"].values.tolist().index(name) for name in (0, 2)}
    assert sorted(zip(dots["x"].tolist(), dots["y"].tolist(), strict=True)) == sorted(
        [(place[0], place[2]), (place[2], place[0])]
    )


def test_who_is_not_compared_has_no_cell() -> None:
    ds = random_trajectories(n_checkpoints=4)
    differ = ds.predspace.matrix(of="end")
    differ["compared"][1] = False
    differ["distance"][1, :] = differ["distance"][:, 1] = np.nan
    figure = matrix_figure(differ)
    assert heat(figure)["z"].shape == (2, 2)
    assert "green" not in str(figure["layout"]["yaxis"]["ticktext"])


def test_many_runs_are_named_by_their_curve() -> None:
    ds = random_trajectories(n_seeds=10, n_checkpoints=2)
    names = figure_of(ds, "matrix", matrix_of="end", matrix_by="run")["layout"]["yaxis"]["ticktext"]
    assert sorted(names) == ["blue", "green", "red"]


def test_of_many_curves_names_stand_apart_all_along() -> None:
    ds = random_trajectories(tuple(f"a task of many, number {n}" for n in range(60)), 1, 2, 3)
    axis = figure_of(ds, "matrix", matrix_of="end")["layout"]["yaxis"]
    places = sorted(axis["tickvals"])
    assert 13 <= len(places) <= 26
    assert np.diff(places).min() >= 60 / 26
    assert (places[0], places[-1] > 55) == (0, True)


def test_names_that_are_cut_are_whole_where_there_is_room() -> None:
    long = "a task whose name is longer than any card"
    layout = figure_of(random_trajectories(("red", long), n_checkpoints=3), "matrix", matrix_of="end")["layout"]
    names = layout["meta"]["names"]["y"]
    assert not any(long in name for name in layout["yaxis"]["ticktext"])
    assert any(long in name for name in names[-1])
    assert max(map(len, layout["yaxis"]["ticktext"])) < max(map(len, names[0])) < max(map(len, names[-1]))


def test_dots_are_smaller_than_the_cells_of_a_small_card() -> None:
    sizes = []
    for n_seeds in (2, 20):
        [dots] = traces(
            figure_of(
                random_trajectories(n_seeds=n_seeds, n_checkpoints=2), "matrix", matrix_of="end", matrix_by="run"
            ),
            "within",
        )
        sizes.append(dots["marker"]["size"])
    assert sizes == [7, 2.5]


def test_it_says_what_is_compared_over_which_range(analysis: Analysis) -> None:
    view = VIEWS["matrix"]
    drawing = view.compose(analysis, ExplorerState(analysis))
    assert "Compared over progress 0." in drawing.caption
    assert "bounded by the start of" in drawing.caption
    assert drawing.table is not None
    assert drawing.table[["first", "second"]].values.tolist() == [["red", "green"], ["red", "blue"], ["green", "blue"]]
    of_ends = view.compose(analysis, ExplorerState(analysis, matrix_of="end"))
    assert "Compared at the end." in of_ends.caption


def test_the_tip_tells_p_and_what_becomes_of_it_in_the_family() -> None:
    figure = matrix_figure(random_trajectories(n_seeds=3, n_checkpoints=3).predspace.matrix(of="end"))
    assert heat(figure)["text"][0][1].endswith("p = 0.1, after Holm's correction 0.3")
    assert "p = " not in heat(figure)["text"][0][0]


def test_names_are_no_markup() -> None:
    ds = random_trajectories(("<b>red</b>", "blue"), n_checkpoints=3)
    figure = figure_of(ds, "matrix", matrix_of="end")
    assert "<b>red" not in str(heat(figure)["text"]) + str(figure["layout"])
    assert "&lt;b&gt;red" in str(heat(figure)["text"])


def test_what_cannot_be_drawn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(ds: xr.Dataset, **choices: Any) -> str:
        return VIEWS["matrix"].draw(analysis_of(ds), ExplorerState(ds, **choices)).message

    assert "only one curve is chosen" in said(geodesic_run())
    assert "predictions" in said(embedding_only())
    assert "no curve is chosen" in said(random_trajectories(), curves=[])
    monkeypatch.setattr("predspace_widgets.views.matrix.MOST_MEMBERS", 2)
    assert "3 curves are chosen" in said(random_trajectories())


def test_all_ways_to_compare_are_measured_ahead(analysis: Analysis) -> None:
    view = VIEWS["matrix"]
    assert isinstance(view, ResultView)
    assert view.ahead is not None
    choices = [choices for choices, _ in view.ahead(analysis, ExplorerState(analysis))]
    assert len(choices) == 6
    assert {tuple(choice) for choice in choices} == {("matrix_of", "matrix_by")}
