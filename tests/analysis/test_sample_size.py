"""How many samples are enough: equal to fitting each choice of samples by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import analysis_of
from predspace_widgets.analysis.sample_size import QUANTITIES, samples_needed
from predspace_widgets.geometry import InPCA
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import random_trajectories

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=5, n_samples=60, n_classes=4)


def test_it_equals_fitting_each_choice_by_itself() -> None:
    needed = TRAININGS.predspace.samples_needed([20, 40], n_draws=3, n_components=2, seed=5)
    generator = np.random.default_rng(5)
    orders = [generator.permutation(60) for _ in range(3)]
    P, whole = TRAININGS["probs"].values, TRAININGS.predspace.matrix(with_p=False)
    of_all = InPCA(2).fit(P).explained_stress_[-1]
    pairs = np.triu_indices(3, 1)
    for n in (20, 40):
        parts = [InPCA(2).fit(P[:, order[:n]]).explained_stress_[-1] for order in orders]
        np.testing.assert_allclose(needed["explained_stress"].sel(n_samples=n), parts, atol=1e-6)
        change = needed["change"].sel(n_samples=n)
        off = np.sqrt(np.mean((np.array(parts) - of_all) ** 2) / (1 - n / 60))
        assert float(change.sel(quantity="stress")) == pytest.approx(off, rel=1e-4)
        differences = []
        for order in orders:
            some = TRAININGS.isel(sample=np.sort(order[:n])).predspace
            differ = some.matrix(progress_range=whole.attrs["progress_range"], with_p=False)
            differences.append((differ["distance"] - whole["distance"]).values[pairs])
        of_draws = np.nanmean(np.square(differences), axis=1)  # a pair may share no range in a draw
        expected = np.sqrt(of_draws.mean() / (1 - n / 60) / np.mean(whole["distance"].values[pairs] ** 2))
        assert float(change.sel(quantity="distances")) == pytest.approx(expected, rel=1e-6)


def test_what_seeds_change_is_the_jackknife_of_distances() -> None:
    needed = TRAININGS.predspace.samples_needed([30], n_draws=2)
    whole = TRAININGS.predspace.matrix(with_p=False)
    pairs = np.triu_indices(3, 1)
    without = [
        TRAININGS.predspace.matrix(
            selection=Selection(seeds=seeds), progress_range=whole.attrs["progress_range"], with_p=False
        )["distance"].values[pairs]
        for seeds in ((1, 2), (0, 2), (0, 1))
    ]
    squared_errors = 2 / 3 * np.square(without - np.mean(without, axis=0)).sum(axis=0)
    expected = np.sqrt(squared_errors.mean() / np.mean(whole["distance"].values[pairs] ** 2))
    assert float(needed["change_by_seeds"].sel(quantity="distances")) == pytest.approx(expected, rel=1e-9)


def test_enough_is_where_all_larger_numbers_are_within_the_seeds() -> None:
    needed = TRAININGS.predspace.samples_needed([5, 10, 30, 59], n_draws=4)
    assert (needed["change"].isel(n_samples=-1) < needed["change"].isel(n_samples=0)).all()
    for name in QUANTITIES:
        of_one = needed.sel(quantity=name)
        small = (of_one["change"] <= of_one["change_by_seeds"]).values
        enough = float(of_one["enough"])
        if np.isnan(enough):
            assert not small[-1]
        else:
            place = needed["n_samples"].values.tolist().index(enough)
            assert small[place:].all()
            assert place == 0 or not small[place - 1]


def test_what_is_off_does_not_depend_on_how_many_samples_there_are() -> None:
    """A part is nearer to the whole than to ever more samples: that is taken into account."""
    trainings = random_trajectories(n_seeds=2, n_checkpoints=4, n_samples=400, n_classes=4)
    of_all = trainings.predspace.samples_needed([40, 80], n_draws=40)["change"]
    of_few = trainings.isel(sample=slice(100)).predspace.samples_needed([40, 80], n_draws=40)["change"]
    ratio = (of_few / of_all).sel(quantity=["coordinates", "stress"])
    assert ((ratio > 0.6) & (ratio < 1.6)).all(), ratio


def test_identical_runs_tell_nothing_of_distances() -> None:
    one = TRAININGS.predspace.select(tasks="red", seeds=[0])
    parts = [
        one.assign_coords(
            {
                name: ("checkpoint", [value] * 5)
                for name, value in (("run", run), ("task", run[0]), ("seed", int(run[1])))
            }
        )
        for run in ("a0", "a1", "b0", "b1")
    ]
    needed = xr.concat(parts, "checkpoint").predspace.samples_needed([10, 20], n_draws=2)
    assert "distances" not in needed.attrs["says"]


def test_one_curve_has_no_distances() -> None:
    needed = samples_needed(analysis_of(TRAININGS), Selection(tasks=("red",)), [20], 2)
    assert np.isnan(needed["change"].sel(quantity="distances")).all()
    assert "distances" not in needed.attrs["says"]
    assert np.isfinite(needed["change"].sel(quantity=["stress", "coordinates"])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [1]}, r"from 2 to 59 \(there are 60\): 1"),
        ({"sizes": [60, 20]}, ": 60"),
        ({"sizes": [2.5]}, ": 2.5"),
        ({"sizes": []}, ": none"),
        ({"sizes": 60}, ": 60"),
        ({"n_draws": 1}, "at least two"),
        ({"selection": Selection(seeds=(0,))}, "no chosen curve has two seeds"),
    ],
)
def test_what_cannot_be_tried_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TRAININGS.predspace.samples_needed(**options)
