"""Attributes of runs: given, checked, stored, grown, and chosen by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import predspace_widgets as pw
from predspace_widgets.trajectories import Selection, find_problems
from predspace_widgets.trajectories.appending import append_checkpoints
from predspace_widgets.trajectories.attributes import attribute, attributes_of, texts_of
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import KINDS, names, random_probs


def with_attrs(**attrs: Any) -> xr.Dataset:
    """Four runs of a checkpoint each, on 5 samples of 3 classes."""
    return pw.make_trajectories(
        random_probs(4, 5, 3), [0, 1, 2, 0, 1], task="t", seed=[0, 1, 2, 3], epoch=[0, 0, 0, 0], attrs=attrs
    )


def test_they_become_coordinates_and_name_the_run() -> None:
    ds = with_attrs(network=["cnn", "cnn", "mlp", "mlp"], rate=[0.1, 0.01, 0.1, np.nan], augmented=True)
    assert attributes_of(ds) == ["network", "rate", "augmented"]
    assert ds["run"].values.tolist()[:2] == [
        "t/supervised/0/network=cnn/rate=0.1/augmented=True",
        "t/supervised/1/network=cnn/rate=0.01/augmented=True",
    ]
    assert ds["rate"].dtype == np.float64
    known = attribute(ds, "rate")
    assert (known.values, known.codes.tolist()) == (["0.01", "0.1", ""], [1, 0, 1, 2])
    np.testing.assert_array_equal(known.numbers, [0.01, 0.1, np.nan])
    assert attribute(ds, "network").numbers is None


def test_runs_that_only_an_attribute_tells_apart() -> None:
    ds = pw.make_trajectories(
        random_probs(4, 5, 3), [0, 1, 2, 0, 1], task="t", epoch=[0, 1, 0, 1], attrs={"width": [4, 4, 8, 8]}
    )
    assert len(set(ds["run"].values.tolist())) == 2
    assert ds["step"].values.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({"epoch": 1}, "cannot be named 'epoch': trajectories use this name"),
        ({"source": "mine"}, "cannot be named 'source'"),
        ({"a b": 1}, "must have a Python name, such as learning_rate, not 'a b'"),
        ({"class_": 1, "class": 1}, "cannot be named 'class'"),
        ({"lambda": 1}, "must have a Python name"),
        ({"x": None}, "the attribute 'x' must be a text, a number, true or false, got None"),
        ({"x": {}}, "the attribute 'x' must be a text"),
        ({"x": 1j}, "the attribute 'x' must be a text"),
        ({"x": [1, 2]}, "the attribute 'x' must be one value or 4 of them, got shape \\(2,\\)"),
        ([1], "attrs must be a mapping of names to values"),
    ],
)
def test_what_cannot_be_an_attribute(attrs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pw.make_trajectories(
            random_probs(4, 5, 3), [0, 1, 2, 0, 1], task="t", seed=range(4), epoch=[0] * 4, attrs=attrs
        )


def test_the_schema_names_the_attribute_and_the_run() -> None:
    ds = random_trajectories(tasks=("red",), n_checkpoints=2)
    wrong = ds.assign_coords(network=("checkpoint", ["cnn", "cnn", "cnn", "mlp"]))
    assert find_problems(wrong) == [
        "'network' must be the same along a run, as attributes of runs are: run 'red/supervised/1' has 'cnn'; 'mlp'"
    ]
    times = ds.assign_coords(when=("checkpoint", np.zeros(4, dtype="datetime64[s]")))
    assert find_problems(times) == ["'when' must hold text or numbers, as attributes of runs do, holds datetime64[s]"]
    odd = ds.assign_coords(network=("checkpoint", np.array(["a\0"] * 4, dtype=object)))
    assert "'network' ends in a NUL character" in find_problems(odd)[0]
    assert find_problems(ds.assign_coords(width=("checkpoint", [1, 1, 2, 2]), rate=("checkpoint", [np.nan] * 4))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_stored(tmp_path: Path, kind: str) -> None:
    ds = with_attrs(network=["cnn", "", "mlp", "été"], rate=[0.1, 0.01, 0.1, np.nan])
    again = pw.open_trajectories(pw.save_trajectories(ds, tmp_path / f"with{kind}"))
    assert set(attributes_of(again)) == {"network", "rate"}
    for name in ("network", "rate"):
        np.testing.assert_array_equal(again[name].values, ds[name].values)


def test_what_grows_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "grown.zarr"
    ds = with_attrs(network="cnn", rate=0.1)
    plain = ds.drop_vars(["network", "rate"])
    other = ds.drop_vars("rate").assign_coords(depth=("checkpoint", [3.0, 4, 5, 6]))
    for seed, part in enumerate((plain, ds, other)):
        runs = [f"{run} {seed}" for run in part["run"].values]
        append_checkpoints(part.assign_coords(run=("checkpoint", runs)), path)
    grown = pw.open_trajectories(path)
    assert set(attributes_of(grown)) == {"network", "rate", "depth"}
    assert texts_of(grown["network"].values) == [""] * 4 + ["cnn"] * 8
    assert texts_of(grown["rate"].values) == [""] * 4 + ["0.1"] * 4 + [""] * 4
    assert texts_of(grown["depth"].values) == [""] * 8 + ["3", "4", "5", "6"]
    for name, values in (("network", 3.0), ("rate", "fast")):
        wrong = ds.assign_coords({name: ("checkpoint", [values] * 4), "run": ("checkpoint", [*"abcd"])})
        with pytest.raises(
            ValueError, match=f"'{name}' holds .* in the checkpoints before, not .*: call it by another"
        ):
            append_checkpoints(wrong, path)
    assert pw.open_trajectories(path).identical(grown)


def test_a_selection_goes_by_them() -> None:
    ds = with_attrs(
        network=["cnn", "cnn", "mlp", ""], rate=[0.1, 0.01, 0.1, np.nan], augmented=[True, False, True, True]
    )
    select = ds.predspace.select
    assert select(network="cnn")["seed"].values.tolist() == [0, 1]
    assert select(network=["mlp", ""])["seed"].values.tolist() == [2, 3]
    assert select(where={"rate": 0.1}, network="mlp")["seed"].values.tolist() == [2]
    assert select(rate=["0.01", None])["seed"].values.tolist() == [1, 3]
    assert select(augmented=False)["seed"].values.tolist() == [1]
    assert select(seeds=[0, 2], rate=np.float64(0.1))["seed"].values.tolist() == [0, 2]
    assert Selection(where=(("network", ("mlp",)),), seeds=(2,)).rows(ds).tolist() == [2]
    for bad, message in (
        ({"where": {"net": 1}}, "no attribute 'net' of runs in this dataset; it has network, rate, augmented"),
        ({"network": "rnn"}, "no network 'rnn' in this dataset; it has cnn, mlp"),
        ({"network": []}, "no network is chosen: choose at least one"),
        ({"network": "cnn", "seeds": [2]}, "combination of task, method, seed, curve and network"),
    ):
        with pytest.raises(ValueError, match=message):
            select(**bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no attribute 'net' of runs in this dataset, which has none"):
        random_trajectories().predspace.select(net="cnn")


@given(st.lists(names, min_size=4, max_size=4) | st.lists(st.floats(), min_size=4, max_size=4))
def test_each_value_chooses_its_checkpoints(values: list[Any]) -> None:
    ds = with_attrs(x=values)
    known = attribute(ds, "x")
    assert len(set(known.values)) == len(known.values)
    chosen = [Selection(where=(("x", (value,)),)).rows(ds).tolist() for value in known.values]
    assert sorted(row for rows in chosen for row in rows) == [0, 1, 2, 3]
    for value, rows in zip(known.values, chosen, strict=True):
        assert {texts_of(ds["x"].values)[row] for row in rows} == {value}
    if known.numbers is not None:
        finite = known.numbers[~np.isnan(known.numbers)]
        assert (np.diff(finite) >= 0).all()
