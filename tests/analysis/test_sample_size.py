"""How many samples are enough: equal to fitting each choice of samples by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
        assert float(change.sel(quantity="stress")) == pytest.approx(np.sqrt(np.mean((np.array(parts) - of_all) ** 2)))
        differences = []
        for order in orders:
            some = TRAININGS.isel(sample=np.sort(order[:n])).predspace
            differ = some.matrix(progress_range=whole.attrs["progress_range"], with_p=False)
            differences.append((differ["distance"] - whole["distance"]).values[pairs])
        of_draws = np.nanmean(np.square(differences), axis=1)  # a pair may share no range in a draw
        expected = np.sqrt(of_draws.mean() / np.mean(whole["distance"].values[pairs] ** 2))
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
        ({"n_draws": 1}, "at least two"),
        ({"selection": Selection(seeds=(0,))}, "no chosen curve has two seeds"),
    ],
)
def test_what_cannot_be_tried_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TRAININGS.predspace.samples_needed(**options)
