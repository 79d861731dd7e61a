"""The second dataset that ships: data/sweep.zarr.zip is what its recipe and data/README.md say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.training import load_recipe, parse_recipe, plan_runs
from predspace_widgets.training.run import load_data
from predspace_widgets.trajectories import demo_path, open_trajectories

README = (Path(__file__).resolve().parents[2] / "data" / "README.md").read_text(encoding="utf-8").partition("# sweep")[2]
FACTORS = ("architecture", "optimizer", "augmentation", "learning_rate", "batch_size", "weight_decay", "initialization")
ARCHITECTURES = ("cnn-4", "cnn-8", "cnn-16", "mlp", "resnet")


@pytest.fixture(scope="module")
def sweep() -> xr.Dataset:
    return pw.demo("sweep")


def test_size_on_disk() -> None:
    size = demo_path("sweep").stat().st_size
    assert size <= 12 * 10**6
    assert f"{size / 1e6:.1f} MB" in README


def test_other_names_of_demos_are_refused() -> None:
    with pytest.raises(ValueError, match="no dataset 'swep' ships with this package; these do: digits, sweep"):
        pw.demo("swep")  # type: ignore[arg-type]


def test_runs_are_those_of_the_recipe(sweep: xr.Dataset) -> None:
    recipe = load_recipe("sweep")
    assert parse_recipe(sweep.attrs["recipe"], "sweep") == recipe
    runs = plan_runs(recipe)
    assert list(dict.fromkeys(sweep["run"].values)) == [run.name for run in runs]
    assert len(runs) == 168
    assert {tuple(run["step"].values) for _, run in sweep.groupby("run")} == {recipe.checkpoints.steps(200)}
    assert set(sweep.attrs["curves_by"]) == set(FACTORS)
    assert "diverged" not in sweep.attrs
    assert sweep["probs"].encoding["store"] == "log_probs"


def test_every_factor_is_compared_where_all_others_are_equal(sweep: xr.Dataset) -> None:
    """Three seeds on both sides, for each pair of values of a factor, in at least three settings of the others."""
    table = sweep.coords.to_dataset()[[*FACTORS, "seed"]].to_dataframe().drop_duplicates()
    for factor in FACTORS:
        others = [name for name in FACTORS if name not in (factor, "learning_rate" if factor == "optimizer" else "")]
        groups = [group for _, group in table.groupby(others) if group[factor].nunique() > 1]
        assert len(groups) >= 3, factor
        assert all((group.groupby(factor)["seed"].nunique() == 3).all() for group in groups)


def test_samples_are_training_and_test_images(sweep: xr.Dataset) -> None:
    train, evaluation = load_data(load_recipe("sweep"))
    np.testing.assert_array_equal(sweep["sample"], evaluation.sample_ids)
    np.testing.assert_array_equal(sweep["label"], evaluation.labels)
    np.testing.assert_array_equal(sweep["image"], evaluation.images)
    assert np.array_equal(sweep["subset"], np.repeat(["train", "test"], [100, 200]))
    held_out = set(pw.demo()["sample"].values.tolist())
    is_test = (sweep["subset"] == "test").values
    assert set(sweep["sample"].values[is_test].tolist()) <= held_out
    assert set(sweep["sample"].values[~is_test].tolist()) <= set(train.sample_ids.tolist()) - held_out


def test_metrics_fit_the_stored_predictions(sweep: xr.Dataset) -> None:
    for subset in ("train", "test"):
        part = sweep.predspace.of_samples(subset=subset)
        right = part["probs"].values.argmax(axis=2) == part["label"].values  # (T, N)
        np.testing.assert_allclose(right.mean(axis=1), sweep[f"{subset}_accuracy"], atol=2.5 / part.sizes["sample"])
        of_truth = part["probs"].values[:, np.arange(right.shape[1]), part["label"].values]
        np.testing.assert_allclose(-np.log(of_truth).mean(axis=1), sweep[f"{subset}_loss"], rtol=2**-10)


def test_a_run_starts_near_ignorance_or_at_the_corner_of_its_seed(sweep: xr.Dataset) -> None:
    """Of training images: those that start at a corner are far from ignorance, and nearer to those of their seed."""
    starts = sweep.isel(checkpoint=(sweep["step"] == 0).values).predspace.of_samples(subset="train")
    is_corner = (starts["initialization"] == "corner").values
    loss = starts["train_loss"].values
    assert (np.abs(loss[~is_corner] - np.log(10)) < 0.05).all()
    assert (starts["train_accuracy"].values[is_corner] < 0.25).all()
    corners = starts.isel(checkpoint=is_corner)
    distances, seeds = corners.predspace.distances().values, corners["seed"].values
    same = seeds[:, None] == seeds[None, :]
    assert distances[same & ~np.eye(len(seeds), dtype=bool)].max() < distances[~same].min()


def test_it_is_joined_with_the_first_on_common_samples(sweep: xr.Dataset) -> None:
    both = pw.join([pw.demo(), sweep], samples="common", names=["digits", "sweep"])
    assert both.sizes["sample"] == 200
    assert set(both["subset"].values) == {"test"}
    assert both.sizes["checkpoint"] == 1950 + sweep.sizes["checkpoint"]
