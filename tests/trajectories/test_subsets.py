"""Samples of several sets in one dataset: `subset` says which, and is kept, chosen by and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.trajectories import Samples, TrajectoriesError
from predspace_widgets.trajectories.samples import subsets_of
from predspace_widgets.trajectories.testing import random_trajectories

SUBSETS = ["train" if place % 3 else "test" for place in range(40)]
TRAININGS = random_trajectories(n_seeds=2, n_checkpoints=4, n_samples=40).assign_coords(subset=("sample", SUBSETS))


def test_a_subset_is_the_dataset_of_its_samples() -> None:
    part = TRAININGS.predspace.of_samples(subset="test")
    assert part["sample"].values.tolist() == list(range(0, 40, 3))
    expected = TRAININGS.isel(sample=slice(0, None, 3))
    np.testing.assert_array_equal(part["probs"], expected["probs"])
    assert part.attrs["title"] == "synthetic trainings: 14 test samples"
    np.testing.assert_allclose(part.predspace.progress(), expected.predspace.progress())
    np.testing.assert_allclose(part.predspace.distances(), expected.predspace.distances(), atol=1e-12)


def test_subsets_and_classes_and_samples_together() -> None:
    labels = TRAININGS["label"].values
    inside = np.flatnonzero((labels == 2) & (np.array(SUBSETS) == "train"))
    part = TRAININGS.predspace.of_samples(classes="class 2", subset="train")
    assert part["sample"].values.tolist() == inside.tolist()
    assert (
        Samples(classes=("class 2",), subset="train").describe(TRAININGS) == f"{len(inside)} train samples of class 2"
    )
    assert TRAININGS.predspace.of_samples(samples=[1, 2, 3], subset="train")["sample"].values.tolist() == [1, 2]
    among = TRAININGS.predspace.of_samples(among=["class 1", "class 2"], subset="test")
    assert (
        among["sample"].values.tolist()
        == np.flatnonzero(np.isin(labels, [1, 2]) & (np.array(SUBSETS) == "test")).tolist()
    )
    # One subset after the other leaves none.
    with pytest.raises(ValueError, match="no subset 'train' in this dataset; it has test"):
        TRAININGS.predspace.of_samples(subset="test").predspace.of_samples(subset="train")


@pytest.mark.parametrize("kind", [".zarr", ".zarr.zip", ".nc"])
def test_subsets_are_kept_on_disk_and_chosen_lazily(kind: str, tmp_path: Path) -> None:
    path = pw.save_trajectories(TRAININGS, tmp_path / f"some{kind}")
    with pw.open_trajectories(path) as opened:
        assert opened["subset"].values.tolist() == SUBSETS
        assert subsets_of(opened) == ["test", "train"]
        part = Samples(subset="train").apply(opened)
        assert part["probs"].chunks is not None
        np.testing.assert_allclose(part["probs"], Samples(subset="train").apply(TRAININGS)["probs"], atol=1e-6)


def test_subsets_of_arrays() -> None:
    ds = pw.make_trajectories([[[0.5, 0.5]] * 2], label=[0, 1], task="coin", epoch=[0], subset=["train", "test"])
    assert subsets_of(ds) == ["train", "test"]
    with pytest.raises(ValueError, match="subset must name each of the 2"):
        pw.make_trajectories([[[0.5, 0.5]] * 2], label=[0, 1], task="coin", epoch=[0], subset=["train"])


@pytest.mark.parametrize(
    ("subset", "message"),
    [
        (("sample", range(40)), "'subset' must be a coordinate of text"),
        (("class", list("abcde")), r"'subset' must have dimensions \(sample\), has \(class\)"),
        (("checkpoint", 24 * ["train"]), r"'subset' must have dimensions \(sample\), has \(checkpoint\)"),
    ],
)
def test_other_subsets_are_no_dataset(subset: Any, message: str) -> None:
    with pytest.raises(TrajectoriesError, match=message):
        pw.validate(TRAININGS.assign_coords(subset=subset))


def test_a_dataset_without_subsets_says_so() -> None:
    ds = random_trajectories()
    assert subsets_of(ds) == []
    with pytest.raises(ValueError, match="no subset 'train' in this dataset; its samples have no coordinate 'subset'"):
        ds.predspace.of_samples(subset="train")
    with pytest.raises(ValueError, match="no subset 'validation' in this dataset; it has test, train"):
        TRAININGS.predspace.of_samples(subset="validation")
    with pytest.raises(ValueError, match="no sample is left: 1 were chosen, of the subset test"):
        TRAININGS.predspace.of_samples(samples=[1], subset="test")


def joined(*parts: xr.Dataset) -> xr.Dataset:
    return pw.join(parts, names=["mine", "theirs"], samples="common")


def test_subsets_go_with_the_samples_where_datasets_are_joined() -> None:
    few = TRAININGS.isel(sample=[7, 3, 0])
    assert joined(TRAININGS, few)["subset"].values.tolist() == ["test", "test", "train"]
    assert joined(TRAININGS.drop_vars("subset"), few)["subset"].values.tolist() == ["test", "test", "train"]
    other = few.assign_coords(subset=("sample", ["train", "train", "test"]))
    message = "1 of 3 samples are of another subset, first: sample 3 is of 'test' in 'mine' and of 'train' in 'theirs'"
    with pytest.raises(ValueError, match=message):
        joined(TRAININGS, other)
