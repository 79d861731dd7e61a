"""Numbers at several temperatures of imprinting: those of each dataset by itself, and whose order changes."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.analysis import temperature_band as module
from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.trajectories import NoPredictionsError, Selection, at_temperature, make_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import embedding_only

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=5, n_samples=25).assign_attrs(imprint_temperature=0.03)
TEMPERATURES = [0.01, 0.03, 0.09]


def crossing() -> xr.Dataset:
    """Two tasks: "right" is right of all samples, all but unsure; "sure" is sure of all, and wrong of one in five."""
    labels = np.arange(20) % 2
    chosen = np.stack([labels, np.where(np.arange(20) % 5, labels, 1 - labels)])  # (task, N)
    strength = np.array([[0.5, 0.51], [3.0, 3.01]])  # (task, seed)
    logits = strength[..., None, None] * np.eye(2)[chosen][:, None]  # (task, seed, N, C)
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    tasks, seeds = ["right", "right", "sure", "sure"], [0, 1, 0, 1]
    ds = make_trajectories(probs.reshape(4, 20, 2), labels, task=tasks, seed=seeds, epoch=[0.0] * 4)
    return ds.assign_attrs(imprint_temperature=0.03)


@pytest.mark.parametrize(
    "options",
    [
        {"of": "end_progress"},
        {"of": "length"},
        {"of": "mean_distance", "reference": "red", "at": "end"},
        {"of": "mean_distance", "reference": "red", "n_points": 5},
        {"of": "transfer", "classes": ["class 1", "class 2"]},
    ],
)
def test_each_temperature_is_what_its_dataset_gives(options: dict[str, str]) -> None:
    band = TRAININGS.predspace.temperature_band(temperatures=TEMPERATURES, **options)
    for temperature in TEMPERATURES:
        plain = at_temperature(TRAININGS, temperature).predspace.compare(**options)
        here = band.sel(temperature=temperature, curve=plain.curve.values)
        for name in ("mean", "sd", "n_runs"):
            np.testing.assert_allclose(here[name], plain[name], rtol=1e-12)
    xr.testing.assert_equal(band.low, band["mean"].min("temperature").rename("low"))
    xr.testing.assert_equal(band.high, band["mean"].max("temperature").rename("high"))


def test_at_the_recorded_temperature_it_is_the_plain_number() -> None:
    """To float32's rounding, in which the re-tempered predictions of a dataset in float32 are."""
    band = TRAININGS.predspace.temperature_band("length", TEMPERATURES)
    np.testing.assert_allclose(
        band["mean"].sel(temperature=0.03), TRAININGS.predspace.compare("length")["mean"], rtol=1e-5
    )
    stress = TRAININGS.predspace.temperature_band("stress", TEMPERATURES, n_components=2)
    plain = TRAININGS.predspace.inpca(n_components=2).explained_stress
    np.testing.assert_allclose(stress.explained_stress.sel(temperature=0.03), plain, rtol=1e-5)
    assert stress.component.values.tolist() == plain.component.values.tolist()
    assert band.attrs["recorded_temperature"] == 0.03


def test_of_the_demo_temperature_decides_where_self_supervised_runs_end() -> None:
    """As the review of the numbers found it: .88, .70 and .28 for Barlow Twins."""
    selection = Selection(tasks=("all digits",), methods=("simclr", "barlow-twins"))
    band = pw.demo().predspace.temperature_band(temperatures=TEMPERATURES, selection=selection)
    barlow = band["mean"].sel(curve="all digits · barlow-twins")
    np.testing.assert_allclose(barlow, [0.88, 0.70, 0.28], atol=0.01)
    assert bool(band.flips.sel(curve="all digits · barlow-twins", other="all digits · simclr"))


def test_the_order_that_changes_is_named() -> None:
    band = crossing().predspace.temperature_band(temperatures=[0.003, 0.03])
    assert band["rank"].values.tolist() == [[1, 2], [2, 1]]
    assert band.flips.values.tolist() == [[False, True], [True, False]]
    assert band.attrs["says"].startswith(
        "1 of 1 orders change between temperatures .003 and .03: right is above sure at .003 ("
    )
    assert ") and below at .03 (" in band.attrs["says"]


def test_an_order_that_does_not_change_is_none() -> None:
    band = TRAININGS.predspace.temperature_band(temperatures=[0.029, 0.031])
    assert not band.flips.any()
    assert band.attrs["says"] == "No order changes between temperatures .029 and .031."
    assert band["rank"].values.tolist() == [[1, 2, 3]] * 2


def test_rounding_is_no_order() -> None:
    means = np.array([[0.7, 0.7 + 1e-15, 0.2], [0.7 + 1e-15, 0.7, 0.9]])  # (temperature, group)
    depth = module._depth_of_flips(means)
    np.testing.assert_allclose(depth, [[0, 0, 0.2], [0, 0, 0.2], [0.2, 0.2, 0]], atol=1e-12)
    assert depth[0, 1] == 0


def test_a_temperature_at_which_a_group_has_no_number_is_passed_over() -> None:
    depth = module._depth_of_flips(np.array([[0.7, 0.5], [np.nan, 0.9], [0.4, 0.5]]))
    assert depth[0, 1] == depth[1, 0] == pytest.approx(0.1)


def test_the_range_of_each_temperature_is_told() -> None:
    band = TRAININGS.predspace.temperature_band("mean_distance", [0.01, 0.09], reference="red", n_points=5)
    for temperature in (0.01, 0.09):
        plain = at_temperature(TRAININGS, temperature).predspace.compare("mean_distance", reference="red", n_points=5)
        here = band.sel(temperature=temperature)
        assert (float(here.progress_low), float(here.progress_high)) == plain.attrs["progress_range"]
    assert band.attrs["note"].endswith("Compared over the range that most runs cover at each temperature.")
    one_range = TRAININGS.predspace.temperature_band(
        "mean_distance", [0.01, 0.09], reference="red", n_points=5, progress_range=(0.05, 0.1)
    )
    assert one_range.attrs["note"].endswith("Compared over progress 0.05 to 0.10.")


def test_one_temperature_is_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Analysis]] = []
    alive: list[int] = []

    def counted(ds: xr.Dataset) -> Analysis:
        gc.collect()
        alive.append(sum(ref() is not None for ref in made))
        analysis = Analysis(ds)
        made.append(weakref.ref(analysis))
        return analysis

    monkeypatch.setattr(module, "Analysis", counted)
    TRAININGS.predspace.temperature_band("length", [0.01, 0.02, 0.03, 0.04])
    TRAININGS.predspace.temperature_band("stress", [0.01, 0.02, 0.03, 0.04])
    assert max(alive) == 0


@pytest.mark.parametrize(
    ("ds", "options", "message"),
    [
        (TRAININGS, {"temperatures": [0.03]}, "at least two different temperatures, all positive"),
        (TRAININGS, {"temperatures": [0.03, 0.03]}, "at least two different temperatures"),
        (TRAININGS, {"temperatures": [0.0, 0.03]}, "all positive"),
        (TRAININGS, {"of": "speed"}, "of must be one of end_progress"),
        (TRAININGS, {"by": "width"}, "runs are grouped by one of curve, task, method, not by 'width'"),
        (TRAININGS, {"of": "stress", "n_components": 46}, "n_components=46 of 45 checkpoints"),
        (random_trajectories(), {}, "no recipe that says at which temperature"),
        (
            random_trajectories().assign_attrs(recipe="imprint: {scale: raw}"),
            {"of": "stress"},
            "imprinted with scale 'raw', without a temperature",
        ),
    ],
)
def test_errors_say_what_to_do(ds: xr.Dataset, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ds.predspace.temperature_band(**options)


def test_there_must_be_predictions() -> None:
    for of in ("end_progress", "stress"):
        with pytest.raises(NoPredictionsError):
            embedding_only().assign_attrs(imprint_temperature=0.03).predspace.temperature_band(of)
