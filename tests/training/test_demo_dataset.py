"""The dataset that ships: data/digits.zarr.zip is what its recipe and data/README.md say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from predspace_widgets.analysis import analysis_of
from predspace_widgets.training import METHODS, load_images, load_recipe, parse_recipe, plan_runs, split_images
from predspace_widgets.trajectories import Selection, demo_path, open_trajectories

README = (Path(__file__).resolve().parents[2] / "data" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def demo() -> xr.Dataset:
    return open_trajectories(demo_path())


def test_size_on_disk() -> None:
    size = demo_path().stat().st_size
    assert size <= 18.5 * 10**6
    assert f"{size / 1e6:.1f} MB." in README


def test_stored_as_logarithms(demo: xr.Dataset) -> None:
    assert demo["probs"].encoding["store"] == "log_probs"
    assert demo["probs"].encoding["dtype"] == np.float16
    assert (demo["probs"].values > 0).all()


def test_runs(demo: xr.Dataset) -> None:
    recipe = load_recipe("digits")
    assert list(dict.fromkeys(demo["task"].values)) == [task.name for task in recipe.tasks]
    assert len(recipe.tasks) == 7
    assert list(dict.fromkeys(demo["run"].values)) == [run.name for run in plan_runs(recipe)]
    assert {plan.method for plan in recipe.methods} == set(METHODS)
    assert sorted(set(demo["seed"].values)) == [0, 1, 2, 3, 4]
    assert demo.sizes["class"] == 10
    assert demo.sizes["checkpoint"] == 65 * 30
    for _, run in demo.groupby("run"):
        assert run["step"].values.tolist() == list(recipe.checkpoints.steps(300))
    assert "diverged" not in demo.attrs


def test_recipe_is_the_one_that_ships(demo: xr.Dataset) -> None:
    assert load_recipe("digits").store == "log_probs"
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
    probs, label = demo["probs"].values.astype(np.float64), demo["label"].values  # (T, N, C), (N,)
    accuracy = (probs.argmax(axis=2) == label).mean(axis=1)
    late = demo["step"].values >= 100
    np.testing.assert_array_equal(accuracy[late], demo["accuracy"].values[late])
    np.testing.assert_allclose(accuracy, demo["accuracy"], atol=1.5 / 697)  # float16 makes a tie near ignorance
    of_truth = probs[:, np.arange(len(label)), label]  # (T, N)
    np.testing.assert_allclose(-np.log(of_truth).mean(axis=1), demo["loss"], rtol=2**-11)


def test_training_on_all_digits_reaches_the_truth(demo: xr.Dataset) -> None:
    last = demo.isel(checkpoint=(demo["step"] == 300).values & (demo["task"] == "all digits").values)
    supervised = last.isel(checkpoint=(last["method"] == "supervised").values)
    assert (supervised["accuracy"] > 0.97).all()
    assert (last["accuracy"] > 0.9).all()
    is_untrained = (demo["step"] == 0).values & ~demo["method"].str.startswith("fine-tuning").values
    start = demo.isel(checkpoint=is_untrained)
    assert np.abs(start["loss"] - np.log(10)).max() < 0.5


# -- the numbers of data/README.md ------------------------------------------------------------------------------------


def table(first_cell: str) -> list[list[str]]:
    """Cells of the rows, below their heading, of the table whose heading begins so."""
    found = re.search(rf"^\| {first_cell} \|.*\n\|[ |-]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    assert found is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


def test_table_of_trainings(demo: xr.Dataset) -> None:
    analysis = analysis_of(demo)
    columns = {name: demo[name].values for name in ("task", "method", "seed", "step", "accuracy")}
    checkpoints = pd.DataFrame({**columns, "progress": analysis.progress().values})
    key = ["task", "method", "seed"]
    start, end = (checkpoints[checkpoints["step"] == step].set_index(key) for step in (0, 300))
    runs = end.assign(start=start["accuracy"], length=analysis.riemann_lengths().set_index(key)["length"])
    curves = runs.groupby(level=["task", "method"], sort=False)
    rows = table("task")
    assert [(task, method) for task, method, *_ in rows] == list(curves.groups)
    for task, method, *cells in rows:
        of_curve = curves.get_group((task, method))
        assert len(of_curve) == 5
        for cell, name, rounding in zip(
            cells, ["start", "accuracy", "progress", "length"], [6e-4] * 3 + [6e-3], strict=True
        ):
            written = [float(number) for number in cell.split(" ± ")]
            assert written == pytest.approx([of_curve[name].mean(), of_curve[name].std()], abs=rounding), (task, name)


def test_greatest_fall_of_progress(demo: xr.Dataset) -> None:
    progress = analysis_of(demo).progress().to_series().set_axis(demo["run"].values)
    fall = (progress.groupby(level=0).cummax() - progress).max()
    found = re.search(r"by at most (\S+) below what was\s+reached before", README)
    assert found is not None
    assert float(found[1]) == pytest.approx(fall, abs=6e-4)


@pytest.mark.parametrize(("row", "seeds"), [("all", None), ("seeds 0 to 2", (0, 1, 2))])
def test_explained_stress(demo: xr.Dataset, row: str, seeds: tuple[int, ...] | None) -> None:
    picture = analysis_of(demo).picture(Selection(seeds=seeds), n_components=5)
    written = {name: [float(cell) for cell in cells] for name, *cells in table("axes")}
    assert written[f"explained stress, {row}"] == pytest.approx(picture["explained_stress"].values, abs=6e-4)
    assert (picture["eigenvalue"] > 0).all()
