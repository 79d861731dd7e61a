"""The comparison of two curves, drawn from a result made by hand."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS, ResultView
from predspace_widgets.views.comparison import comparison_figure

GRID = np.linspace(0.1, 0.7, 7)


def result(floor: bool = True, **attrs: Any) -> xr.Dataset:
    distance = np.sin(np.pi * (GRID - 0.1) / 0.6)
    about = {"first": "all", "second": "odd", "n_first": 3, "n_second": 3, "d_traj": 0.381, "mean_distance": 0.635}
    about |= {"progress_range": (0.1, 0.7)}
    variables = {"distance": ("progress", distance)}
    if floor:
        variables["floor"] = ("progress", distance / 4)
        about |= {"floor_mean_distance": 0.159, "p_value": 0.1, "smallest_p": 0.1, "p_is_exact": 1}
    return xr.Dataset(variables, coords={"progress": GRID}, attrs=about | attrs)


def drawn(comparison: xr.Dataset) -> dict[str, Any]:
    """The traces by their role, as plotly's own classes check them."""
    return {trace.meta: trace for trace in go.Figure(comparison_figure(comparison)).data}


def test_the_line_and_one_floor_on_the_same_range() -> None:
    comparison = result()
    traces = drawn(comparison)
    assert list(traces) == ["distance", "floor"]
    for name, trace in traces.items():
        np.testing.assert_array_equal(trace.x, GRID)
        np.testing.assert_array_equal(trace.y, comparison[name].values)
    assert traces["floor"].line.dash == "dot"
    assert traces["distance"].line.dash is None


def said(comparison: xr.Dataset) -> str:
    """What the caption says of the numbers."""
    view = VIEWS["comparison"]
    assert isinstance(view, ResultView)
    return view.notes(comparison)


def test_it_says_how_high_over_which_range_and_the_area() -> None:
    assert said(result()).startswith("Mean 0.635 over progress 0.10 to 0.70, d_traj 0.381; ")
    assert set(drawn(result())["distance"].text) == {"all | odd"}
    written = [note["text"] for note in comparison_figure(result())["layout"]["annotations"]]
    assert written == ["mean 0.635 over 0.10 to 0.70<br>dotted: chance between seeds 0.159"]


@pytest.mark.parametrize(
    ("n_first", "n_second", "words"),
    [(3, 3, "means of 3 and 3 runs"), (4, 2, "means of 4 and 2 runs"), (1, 3, "one run and a mean of 3 runs")],
)
def test_the_floor_says_what_it_is_of(n_first: int, n_second: int, words: str) -> None:
    sentence = said(result(n_first=n_first, n_second=n_second))
    assert f"chance between seeds, for {words}: 0.159; p = 0.10" in sentence


@pytest.mark.parametrize(
    ("p", "smallest", "text"),
    [
        (0.1, 0.1, "p = 0.10, the smallest 3 + 3 runs can give."),
        (0.1, 0.1 + 1e-15, "p = 0.10, the smallest 3 + 3 runs can give."),
        (0.3, 0.1, "p = 0.30."),
        (0.012, 0.001, "p = 0.012."),
    ],
)
def test_p_says_where_it_can_be_no_smaller(p: float, smallest: float, text: str) -> None:
    assert said(result(p_value=p, smallest_p=smallest)).split("; ")[-1] == text


def test_p_says_where_not_all_relabellings_were_tried() -> None:
    assert said(result(p_value=0.02, smallest_p=0.001, p_is_exact=0)).endswith("p = 0.02 (of 1,000 relabellings).")


def test_without_a_second_seed_there_is_no_floor_and_no_p() -> None:
    alone = result(floor=False, n_first=1, n_second=1)
    assert list(drawn(alone)) == ["distance"]
    assert said(alone).endswith("d_traj 0.381; one run each: no floor.")
    assert "chance" not in comparison_figure(alone)["layout"]["annotations"][0]["text"]


def test_two_curves_that_predict_alike_have_an_axis_too() -> None:
    flat = result(floor=False)
    flat["distance"] = 0 * flat["distance"]
    low, high = comparison_figure(flat)["layout"]["yaxis"]["range"]
    assert (low, high) == (0, 1)


def test_both_lines_leave_room_for_what_is_written() -> None:
    high_floor = result()
    high_floor["floor"] = 3 * high_floor["distance"]
    for comparison in (result(), high_floor):
        highest = max(float(comparison[name].max()) for name in ("distance", "floor"))
        assert comparison_figure(comparison)["layout"]["yaxis"]["range"][1] >= 1.3 * highest


def test_how_to_read_names_the_dotted_line_and_p() -> None:
    assert "Dotted" in VIEWS["comparison"].how_to_read
    assert "p:" in VIEWS["comparison"].how_to_read


def test_all_pairs_ahead_are_what_each_is() -> None:
    ds = random_trajectories(n_seeds=3, n_checkpoints=6)
    analysis = Analysis(ds.isel(checkpoint=np.flatnonzero((ds["task"] != "green") | (ds["seed"] < 2))))
    view = VIEWS["comparison"]
    assert isinstance(view, ResultView)
    assert view.ahead is not None
    state = ExplorerState(analysis)
    ahead = view.ahead(analysis, state)
    assert sorted(tuple(choices["compared"]) for choices, _ in ahead) == sorted(permutations(analysis.curve_names, 2))
    for choices, compared in ahead:
        alone = analysis.comparison(*choices["compared"])
        xr.testing.assert_allclose(compared, alone)
        for name in ("first", "second", "n_first", "n_second"):
            assert compared.attrs[name] == alone.attrs[name], name


@pytest.mark.parametrize(("n_curves", "n_pairs"), [(1, 0), (17, 0)])
def test_nothing_ahead_of_one_curve_or_of_very_many(n_curves: int, n_pairs: int) -> None:
    analysis = Analysis(random_trajectories(tuple(f"task {k}" for k in range(n_curves)), 1, 2, 2))
    view = VIEWS["comparison"]
    assert isinstance(view, ResultView)
    assert view.ahead is not None
    assert len(view.ahead(analysis, ExplorerState(analysis))) == n_pairs


def test_a_curve_is_not_compared_with_itself(analysis: Analysis) -> None:
    drawing = VIEWS["comparison"].draw(analysis, ExplorerState(analysis, compared=["red", "red"]))
    assert drawing.figure is None
    assert "red" in drawing.message


# -- more than two -----------------------------------------------------------------------------------------------------


def test_the_first_is_compared_with_each_of_the_others() -> None:
    analysis = Analysis(random_trajectories(n_seeds=3, n_checkpoints=6))
    others = ["blue", "green", "red/supervised/1"]
    drawing = VIEWS["comparison"].compose(analysis, ExplorerState(analysis, compared=["red", *others]))
    assert drawing.figure is not None
    assert len(go.Figure(drawing.figure).data) == 6
    lines = [trace for trace in drawing.figure["data"] if trace["meta"] == "distance"]
    floors = [trace for trace in drawing.figure["data"] if trace["meta"] == "floor"]
    for line, floor, other in zip(lines, floors, others, strict=True):
        compared = analysis.comparison("red", other)
        np.testing.assert_array_equal(line["y"], compared["distance"].values)
        np.testing.assert_array_equal(floor["y"], compared["floor"].values)
        assert line["line"]["color"] == floor["line"]["color"]
        assert floor["line"]["dash"] == "dot"
        assert f"{other}: Mean {compared.attrs['mean_distance']:.3f}" in drawing.caption
    assert len({line["line"]["color"] for line in lines}) == 3
    assert drawing.table is not None
    assert drawing.table["second"].unique().tolist() == others


def test_seeds_of_one_curve_are_told_apart() -> None:
    analysis = Analysis(random_trajectories(n_seeds=3, n_checkpoints=4))
    compared = ["blue", "red/supervised/0", "red/supervised/1"]
    figure = VIEWS["comparison"].compose(analysis, ExplorerState(analysis, compared=compared)).figure
    assert figure is not None
    lines = [trace["line"] for trace in figure["data"] if trace["meta"] == "distance"]
    assert len({line["color"] for line in lines}) == 1
    assert len({line["dash"] for line in lines}) == 2


def test_who_cannot_be_compared_is_said_and_the_rest_drawn() -> None:
    analysis = Analysis(random_trajectories(n_seeds=3, n_checkpoints=4))
    drawing = VIEWS["comparison"].compose(analysis, ExplorerState(analysis, compared=["red", "red", "blue"]))
    assert drawing.figure is not None
    assert len(drawing.figure["data"]) == 2
    assert "red: choose two different curves to compare" in drawing.caption


@pytest.mark.parametrize(("n_seeds", "more"), [(2, "; two of its runs can be compared"), (1, "")])
def test_one_curve_has_nothing_to_be_compared_with(n_seeds: int, more: str) -> None:
    analysis = Analysis(random_trajectories(("t2",), n_seeds=n_seeds, n_checkpoints=3))
    message = VIEWS["comparison"].draw(analysis, ExplorerState(analysis)).message
    assert message == f"there is one curve only, 't2': nothing to compare it with{more}"
