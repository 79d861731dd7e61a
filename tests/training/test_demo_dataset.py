"""The dataset that ships: data/digits.zarr.zip is what its recipe says."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.training import METHODS, load_images, load_recipe, parse_recipe, plan_runs, split_images
from predspace_widgets.trajectories import demo_path, open_trajectories


@pytest.fixture(scope="module")
def demo() -> xr.Dataset:
    return open_trajectories(demo_path())


def test_size_on_disk() -> None:
    assert demo_path().stat().st_size <= 15 * 10**6


def test_runs(demo: xr.Dataset) -> None:
    recipe = load_recipe("digits")
    assert list(dict.fromkeys(demo["task"].values)) == [task.name for task in recipe.tasks]
    assert len(recipe.tasks) == 7
    assert list(dict.fromkeys(demo["run"].values)) == [run.name for run in plan_runs(recipe)]
    assert {plan.method for plan in recipe.methods} == set(METHODS)
    assert sorted(set(demo["seed"].values)) == [0, 1, 2]
    assert demo.sizes["class"] == 10
    assert demo.sizes["checkpoint"] == 39 * 30
    for _, run in demo.groupby("run"):
        assert run["step"].values.tolist() == list(recipe.checkpoints.steps(300))
    assert "diverged" not in demo.attrs


def test_recipe_is_the_one_that_ships(demo: xr.Dataset) -> None:
    assert parse_recipe(demo.attrs["recipe"], "digits") == load_recipe("digits")
    for name in ("title", "source", "created_by"):
        assert demo.attrs[name]


def test_evaluation_samples_are_held_out(demo: xr.Dataset) -> None:
    settings = load_recipe("digits").dataset
    train, evaluation = split_images(load_images("digits"), settings.n_train, settings.split_seed)
    assert demo.sizes["sample"] == 697
    np.testing.assert_array_equal(demo["sample"], evaluation.sample_ids)
    np.testing.assert_array_equal(demo["label"], evaluation.labels)
    np.testing.assert_array_equal(demo["image"], evaluation.images)
    assert not set(demo["sample"].values) & set(train.sample_ids)


def test_metrics_fit_the_stored_predictions(demo: xr.Dataset) -> None:
    late = demo.isel(checkpoint=demo["step"].values >= 100)
    accuracy = (late["probs"].values.argmax(axis=2) == late["label"].values).mean(axis=1)
    np.testing.assert_allclose(accuracy, late["accuracy"], atol=0.005)  # float16 makes a tie now and then
    of_truth = late["probs"].isel({"class": late["label"]}).values  # (T, N)
    np.testing.assert_allclose(-np.log(of_truth.clip(1e-7)).mean(axis=1), late["loss"], atol=0.05)


def test_training_on_all_digits_reaches_the_truth(demo: xr.Dataset) -> None:
    last = demo.isel(checkpoint=(demo["step"] == 300).values & (demo["task"] == "all digits").values)
    supervised = last.isel(checkpoint=(last["method"] == "supervised").values)
    assert (supervised["accuracy"] > 0.97).all()
    assert (last["accuracy"] > 0.9).all()
    is_untrained = (demo["step"] == 0).values & ~demo["method"].str.startswith("fine-tuning").values
    start = demo.isel(checkpoint=is_untrained)
    assert np.abs(start["loss"] - np.log(10)).max() < 0.5
