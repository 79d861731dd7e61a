"""A curve is a task and a method; its label follows from the two alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import predspace_widgets as pw
from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.groups import Curves, label_of
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import meeting_runs, random_trajectories

BOTH = random_trajectories(tasks=("red", "blue"), n_seeds=1, n_checkpoints=2, methods=("supervised", "sgd"))
names = st.text(st.sampled_from("ab ·'\\\""), min_size=1, max_size=6) | st.sampled_from(["supervised", "a · b"])


def test_a_curve_is_named_by_its_task_and_method() -> None:
    analysis = Analysis(BOTH)
    assert analysis.curve_names == ["red", "red · sgd", "blue", "blue · sgd"]
    assert analysis.curve_pairs == [(task, method) for task in ("red", "blue") for method in ("supervised", "sgd")]
    assert analysis.curves.tolist() == [name for name in analysis.curve_names for _ in range(2)]


def test_a_label_does_not_depend_on_what_else_is_there() -> None:
    for method in ("supervised", "sgd"):
        part = BOTH.predspace.select(methods=method)
        assert Curves(part).labels == [label_of(*pair) for pair in Curves(part).pairs]
        assert set(Curves(part).labels) <= set(Curves(BOTH).labels)


@given(st.tuples(names, names), st.tuples(names, names))
def test_two_curves_never_share_a_label(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert (label_of(*first) == label_of(*second)) == (first == second)


@given(st.data(), st.integers(1, 2))
def test_nor_do_those_that_more_tells_apart(data: st.DataObject, n_further: int) -> None:
    keys = st.tuples(names, names, *[names | st.just("")] * n_further)
    first, second = data.draw(keys), data.draw(keys)
    assert (label_of(*first) == label_of(*second)) == (first == second)


def joined() -> xr.Dataset:
    return pw.join([BOTH.predspace.select(tasks="red"), BOTH], names=["mine", "theirs"])


def test_curves_of_several_sources_are_different_curves() -> None:
    ds = joined()
    curves = Curves(ds)
    assert curves.coordinates == ("task", "method", "source")
    assert curves.labels == [
        *("red @ mine", "red · sgd @ mine", "red @ theirs", "red · sgd @ theirs"),
        *("blue @ theirs", "blue · sgd @ theirs"),
    ]
    for place, (label, key) in enumerate(zip(curves.labels, curves.pairs, strict=True)):
        assert curves.find(label) == curves.find(key) == place
    assert curves.find("blue") == curves.find(("blue", "supervised")) == 4
    assert curves.find("blue · sgd") == 5
    with pytest.raises(ValueError, match="'red' has several curves, name one of them: red @ mine, red @ theirs"):
        curves.find("red")
    with pytest.raises(ValueError, match=r"\('red', 'sgd'\) has several curves, name one of them: red · sgd @ m"):
        curves.find(("red", "sgd"))
    # Of one source the labels are plain.
    assert Curves(ds.isel(checkpoint=ds["source"].values == "mine")).labels == ["red", "red · sgd"]


def test_a_selection_names_curves_of_one_source_or_of_all() -> None:
    ds = joined()
    mine = Selection(curves=(("red", "sgd", "mine"),)).rows(ds)
    assert mine.tolist() == [2, 3]
    assert Selection(curves=(("red", "sgd"),)).rows(ds).tolist() == [2, 3, 6, 7]
    with pytest.raises(ValueError, match="no curve 'red' by 'sgd' of 'yours' in this dataset; it has 'red' by 'super"):
        Selection(curves=(("red", "sgd", "yours"),)).rows(ds)


def test_curves_by_attributes() -> None:
    ds = BOTH.assign_coords(
        width=("checkpoint", np.repeat([4.0, 8.0, np.nan, 0.5], 2)), network=("checkpoint", ["cnn"] * 8)
    )
    by = ds.predspace.curves_by("width", "network")
    assert by.predspace.analysis.curve_names == ["red @ 4", "red · sgd @ 8", "blue", "blue · sgd @ 0.5"]
    assert by.predspace.curves_by().predspace.analysis.curve_names == ds.predspace.analysis.curve_names
    assert "curves_by" not in ds.attrs
    ds.predspace.analysis  # noqa: B018
    ds.attrs["curves_by"] = "width"
    assert ds.predspace.analysis.curve_names == by.predspace.analysis.curve_names
    with pytest.raises(ValueError, match="no attribute 'wide' of runs in this dataset; it has width, network"):
        ds.predspace.curves_by("wide")
    with pytest.raises(ValueError, match="no attribute 'wide' of runs in this dataset, which has none"):
        BOTH.predspace.curves_by("wide")


def test_sources_can_be_compared() -> None:
    ds = random_trajectories(tasks=("red", "blue"), n_seeds=2)
    both = pw.join([ds, ds], names=["a", "b"])
    compared = both.predspace.trajectory_distance("red @ a", "red @ b")
    assert compared.attrs["d_traj"] == pytest.approx(0, abs=1e-6)
    expected = ds.predspace.trajectory_distance("red", "blue")
    across = both.predspace.trajectory_distance("red @ a", ("blue", "supervised", "b"))
    assert across.attrs["d_traj"] == pytest.approx(expected.attrs["d_traj"], rel=1e-6)


def test_a_curve_is_found_by_label_by_pair_and_by_a_task_with_one_method() -> None:
    curves = Curves(BOTH)
    assert curves.find("red · sgd") == curves.find(("red", "sgd")) == 1
    assert curves.find("red") == 0
    assert Curves(meeting_runs()).find("right") == 1
    with pytest.raises(ValueError, match="no curve 'mauve' in this dataset; it has red, red · sgd, blue, blue · sgd"):
        curves.find("mauve")
    with pytest.raises(ValueError, match=r"no curve \('red', 'adam'\)"):
        curves.find(("red", "adam"))


def test_a_task_with_several_methods_is_ambiguous() -> None:
    curves = Curves(random_trajectories(tasks=("red",), n_seeds=1, methods=("adam", "sgd")))
    with pytest.raises(ValueError, match="the task 'red' has several curves, name one of them: red · adam, red · sgd"):
        curves.find("red")
