"""Attributes of runs that a recorder or a recipe gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import predspace_widgets as pw
from predspace_widgets.training import parse_recipe, record_recipe

RECIPE = """
dataset: {name: digits, n_train: 1100}
network: {width: 4}
checkpoints: {count: 3, dense: 2}
tasks: {three: {classes: [0, 1, 2], attrs: {n_digits: 3}}, two: {classes: [0, 1]}}
methods:
  supervised: {steps: 4, attrs: {note: plain, decay: 1.0e-3}}
  bare: {method: supervised, steps: 4}
seeds: [0]
"""


def record(path: Path, **options: Any) -> pw.Recorder:
    with pw.Recorder(path, labels=[0, 1, 1], task="pets", **options) as recorder:
        for epoch in range(2):
            recorder.record(epoch * np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]]), epoch=epoch)
    return recorder


def test_a_recorder_gives_them_to_its_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.zarr"
    record(path)
    assert record(path, attrs={"network": "cnn", "rate": 0.1}).run == "pets/supervised/0/network=cnn/rate=0.1"
    record(path, attrs={"rate": 0.01, "augmented": True})
    ds = pw.open_trajectories(path)
    assert ds["network"].values.tolist() == ["", "", "cnn", "cnn", "", ""]
    np.testing.assert_array_equal(ds["rate"].values, [np.nan, np.nan, 0.1, 0.1, 0.01, 0.01])
    assert ds["augmented"].values.tolist() == [""] * 4 + ["True"] * 2
    assert ds.predspace.select(network="cnn").sizes["checkpoint"] == 2


def test_a_run_with_attributes_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "mine.zarr"
    record(path, attrs={"rate": 0.1})
    with pytest.raises(ValueError, match=r"holds run 'pets/supervised/0/rate=0.1' already"):
        pw.Recorder(path, labels=[0, 1, 1], task="pets", attrs={"rate": 0.1})
    again = pw.Recorder(path, labels=[0, 1, 1], task="pets", attrs={"rate": 0.1}, resume=True)
    assert again.last_epoch == 1


def test_what_a_recorder_refuses(tmp_path: Path) -> None:
    path = tmp_path / "mine.zarr"
    for attrs, message in (
        ({"rate": [0.1, 0.2]}, "the attribute 'rate' must be one value|a run has one value of the attribute 'rate'"),
        ({"rate": [0.1]}, r"a run has one value of the attribute 'rate', got \[0.1\]"),
        ({"step": 1}, "cannot be named 'step'"),
    ):
        with pytest.raises(ValueError, match=message):
            record(path, attrs=attrs)
    assert not path.exists()
    with pw.Recorder(path, labels=[0, 1], task="t", attrs={"rate": 0.1}) as recorder:
        with pytest.raises(ValueError, match="'rate' is an attribute of the run: give the metric another name"):
            recorder.record(np.eye(2), epoch=0, rate=3.0)
        recorder.record(np.eye(2), epoch=0)
    record(tmp_path / "text.zarr", attrs={"rate": "fast"})
    with pytest.raises(ValueError, match="'rate' holds text in the checkpoints before, not numbers"):
        record(tmp_path / "text.zarr", attrs={"rate": 0.1})
    assert pw.open_trajectories(tmp_path / "text.zarr").sizes["checkpoint"] == 2


def test_a_recipe_gives_them_to_its_runs() -> None:
    recipe = parse_recipe(RECIPE, "few")
    assert parse_recipe(recipe.to_yaml(), "few") == recipe
    ds = record_recipe(recipe)
    first = ~ds["run"].to_series().duplicated().to_numpy()
    assert ds["run"].values[first].tolist() == ["three/supervised/0", "two/supervised/0", "three/bare/0", "two/bare/0"]
    np.testing.assert_array_equal(ds["n_digits"].values[first], [3, np.nan, 3, np.nan])
    np.testing.assert_array_equal(ds["decay"].values[first], [1e-3, 1e-3, np.nan, np.nan])
    assert ds["note"].values[first].tolist() == ["plain", "plain", "", ""]


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ("{epoch: 3}", "tasks, three: an attribute of runs cannot be named 'epoch'"),
        ("{a: [1]}", r"tasks, three: a run has one value of the attribute 'a', got \[1\]"),
        ("3", "tasks, three: attrs must be a mapping of names to values, got 3"),
    ],
)
def test_what_a_recipe_cannot_give(attrs: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_recipe(RECIPE.replace("{n_digits: 3}", attrs), "few")
