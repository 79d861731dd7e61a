"""Explained stress, and that of runs which share their ends and what a null keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from predspace_widgets.analysis.nulls import NULLS, explained_stress, p_of_stress, stress_of_nulls
from predspace_widgets.geometry import ignorance, pairwise, progress, riemann_length, truth
from predspace_widgets.trajectories.testing import random_trajectories

# 3 tasks x 3 seeds x 6 checkpoints on 20 samples and 4 classes.
TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=6, n_samples=20, n_classes=4)
RUN, LABELS = TRAININGS["probs"].values[:6], TRAININGS["label"].values
each_null = pytest.mark.parametrize("shuffle", NULLS.values(), ids=NULLS)


@each_null
def test_a_null_keeps_ignorance_truth_and_all_distances_within_the_run(shuffle: Any) -> None:
    shuffled = shuffle(RUN, LABELS, np.random.default_rng(0))
    assert not np.allclose(shuffled, RUN)
    np.testing.assert_allclose(pairwise(shuffled, dtype="float64"), pairwise(RUN, dtype="float64"), atol=1e-12)
    assert riemann_length(shuffled) == pytest.approx(riemann_length(RUN), rel=1e-12)
    for end in (ignorance(20, 4), truth(LABELS, 4)):
        np.testing.assert_array_equal(shuffle(end[None], LABELS, np.random.default_rng(0))[0], end)
    ends = ignorance(20, 4), truth(LABELS, 4)
    np.testing.assert_allclose(progress(shuffled, *ends), progress(RUN, *ends), atol=1e-9)


def test_each_null_keeps_what_it_is_said_to_keep() -> None:
    samples, wrong = (shuffle(RUN, LABELS, np.random.default_rng(0)) for shuffle in NULLS.values())
    for label in range(4):
        of_class, kept = RUN[:, label == LABELS].mean(axis=1), samples[:, label == LABELS].mean(axis=1)
        np.testing.assert_allclose(kept, of_class, rtol=1e-12)
        assert np.abs(wrong[:, label == LABELS].mean(axis=1) - of_class).max() > 1e-2
    true = np.arange(20), LABELS
    np.testing.assert_array_equal(wrong[:, *true], RUN[:, *true])
    assert np.abs(samples[:, *true] - RUN[:, *true]).max() > 1e-2


@each_null
def test_a_null_moves_every_run_elsewhere(shuffle: Any) -> None:
    generator = np.random.default_rng(0)
    first, second = (shuffle(RUN, LABELS, generator) for _ in range(2))
    assert (np.diag(pairwise(first, second))[1:4] > 1e-3).all()  # it starts in ignorance and ends near the truth
    np.testing.assert_array_equal(first, shuffle(RUN, LABELS, np.random.default_rng(0)))


def test_wrong_classes_go_anywhere_but_to_the_true_one() -> None:
    probs = np.tile([0.4, 0.3, 0.2, 0.1], (1, 3000, 1))  # true class 0
    shuffled = NULLS["wrong classes"](probs, np.zeros(3000, dtype=int), np.random.default_rng(0))[0]
    assert (shuffled[:, 0] == 0.4).all()
    # Each wrong class at each place a third of the time, give or take 5 standard deviations.
    np.testing.assert_allclose((shuffled[:, 1:] == 0.3).mean(axis=0), 1 / 3, atol=5 * 0.0087)


def test_explained_stress_of_all_and_of_each_seed() -> None:
    table = explained_stress(TRAININGS, n_axes=2).set_index("seed")
    assert table["n_runs"].to_dict() == {"all": 9, "0": 3, "1": 3, "2": 3}
    for name, ds in (("all", TRAININGS), ("1", TRAININGS.predspace.select(seeds=[1]))):
        picture = ds.predspace.inpca(2)
        assert table.loc[name, "explained_stress"] == pytest.approx(float(picture["explained_stress"][-1]), abs=1e-6)
        assert table.loc[name, "n_imaginary"] == (picture["eigenvalue"] < 0).sum()
        assert table.loc[name, "n_checkpoints"] == ds.sizes["checkpoint"]


def test_runs_that_share_nothing_need_more_axes() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=10, n_samples=60)
    nulls = stress_of_nulls(ds, n_draws=3)
    measured = explained_stress(ds)["explained_stress"][0]
    assert nulls.groupby("shuffled").size().to_dict() == dict.fromkeys(NULLS, 3)
    assert (nulls["explained_stress"] < measured - 0.02).all()
    assert nulls["explained_stress"].nunique() == 6
    assert stress_of_nulls(ds, n_draws=3).equals(nulls)
    assert not stress_of_nulls(ds, n_draws=3, seed=1).equals(nulls)
    assert p_of_stress(measured, nulls).to_dict() == dict.fromkeys(NULLS, 1 / 4)
    assert p_of_stress(0.0, nulls).to_dict() == dict.fromkeys(NULLS, 1.0)
