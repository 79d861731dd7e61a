"""What chance between seeds makes of a comparison: the matched floor, and p by relabelling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.geometry import bhattacharyya
from predspace_widgets.geometry.floor import (
    MOST_RELABELLINGS,
    matched_floor,
    one_against_others,
    p_value,
    relabelled_distances,
    relabellings,
)
from predspace_widgets.geometry.probabilities import FLOOR
from tests.geometry.strategies import points, shapes


def seeds_of_one_task(generator: np.random.Generator, n_runs: int, spread: float) -> np.ndarray:
    """Runs (R, N, C) that differ by chance alone."""
    centre = 2 * generator.normal(size=(100, 5))
    logits = centre + spread * generator.normal(size=(n_runs, 100, 5))
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (2, 5), (1, 3)])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_two_curves_of_one_task_are_at_the_floor(n: int, m: int, spread: float) -> None:
    """Line / floor is 1 on average over 200 draws: the floor is the null of the line above it."""
    generator = np.random.default_rng(0)
    lines, floors = [], []
    for _ in range(200):
        runs = seeds_of_one_task(generator, n + m, spread)
        first, second = runs[:n], runs[n:]
        lines.append(float(bhattacharyya(first.mean(axis=0), second.mean(axis=0))))
        floors.append(float(matched_floor(first, second)))  # type: ignore[arg-type]
    assert np.mean(np.array(lines) / floors) == pytest.approx(1, abs=0.05)
    assert np.mean(lines) / np.mean(floors) == pytest.approx(1, abs=0.05)


@given(st.data())
def test_the_formula(data: st.DataObject) -> None:
    shape = data.draw(shapes)
    n, m = data.draw(st.integers(2, 4)), data.draw(st.integers(2, 4))
    U, V = data.draw(points(n, shape)), data.draw(points(m, shape))
    expected = 0.0
    for runs in (U, V):
        k = len(runs)
        apart = [bhattacharyya(runs[i], np.delete(runs, i, axis=0).mean(axis=0)) for i in range(k)]
        np.testing.assert_allclose(one_against_others(runs), np.mean(apart), rtol=1e-6, atol=1e-9)
        expected += np.mean(apart) / (1 + 1 / (k - 1)) / k
    np.testing.assert_allclose(matched_floor(U, V), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(matched_floor(U, V), matched_floor(V, U), rtol=1e-9, atol=1e-12)


def test_a_single_run_takes_the_spread_of_the_other_side() -> None:
    runs = seeds_of_one_task(np.random.default_rng(0), 4, 0.5)
    one, three = runs[:1], runs[1:]
    variance = one_against_others(three) / (1 + 1 / 2)
    np.testing.assert_allclose(matched_floor(one, three), variance * (1 / 1 + 1 / 3), rtol=1e-12)
    assert matched_floor(one, three[:1]) is None


def test_seeds_that_coincide_have_no_floor() -> None:
    run = seeds_of_one_task(np.random.default_rng(0), 1, 0.5)
    assert float(matched_floor(np.repeat(run, 3, axis=0), run)) == pytest.approx(0, abs=1e-15)  # type: ignore[arg-type]


@given(st.integers(1, 5), st.integers(1, 5))
def test_every_split_once_the_given_one_first(n: int, m: int) -> None:
    is_first, exact = relabellings(n, m)
    assert exact
    assert is_first[0].tolist() == [True] * n + [False] * m
    assert (is_first.sum(axis=1) == n).all()
    splits = {frozenset((frozenset(np.flatnonzero(row)), frozenset(np.flatnonzero(~row)))) for row in is_first}
    assert len(splits) == len(is_first) == math.comb(n + m, n) // (2 if n == m else 1)


def test_too_many_splits_are_drawn() -> None:
    is_first, exact = relabellings(8, 9)
    assert not exact
    assert len(is_first) == MOST_RELABELLINGS
    assert is_first[0].tolist() == [True] * 8 + [False] * 9
    assert (is_first.sum(axis=1) == 8).all()
    assert len(np.unique(is_first, axis=0)) > 900
    np.testing.assert_array_equal(is_first, relabellings(8, 9).is_first)
    assert not np.array_equal(is_first, relabellings(8, 9, seed=1).is_first)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 2), (6, 6), (6, 7), (12, 13)])
def test_relabelled_distances_of_few_and_of_many_runs(n: int, m: int) -> None:
    """However many runs a loop takes at a time, and however many relabellings."""
    generator = np.random.default_rng(0)
    runs = generator.dirichlet(np.full(3, 0.1), (n + m, 2, 4))  # (R, K, N, C), some probabilities near 0
    is_first = relabellings(n, m).is_first
    distances = relabelled_distances(runs, is_first)
    assert distances.shape == (len(is_first), 2)
    for row, chosen in zip(distances, is_first, strict=True):
        expected = bhattacharyya(runs[chosen].mean(axis=0), runs[~chosen].mean(axis=0))
        np.testing.assert_allclose(row, expected, rtol=1e-12, atol=1e-15)


def test_means_without_a_common_class_are_at_the_floor() -> None:
    runs = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])[:, None]  # (R, K, N, C)
    distances = relabelled_distances(runs, relabellings(1, 1).is_first)
    np.testing.assert_allclose(distances, -math.log(FLOOR) / 2, rtol=1e-6)


def test_relabelled_distances_are_those_of_means() -> None:
    generator = np.random.default_rng(0)
    runs = np.stack([seeds_of_one_task(generator, 5, 0.5) for _ in range(3)], axis=1)  # (R, K, N, C)
    is_first = relabellings(2, 3).is_first
    distances = relabelled_distances(runs, is_first)
    assert distances.shape == (10, 3)
    for row, members in zip(distances, itertools.combinations(range(5), 2), strict=True):
        others = np.delete(runs, members, axis=0)
        np.testing.assert_allclose(row, bhattacharyya(runs[list(members)].mean(axis=0), others.mean(axis=0)), rtol=1e-9)


def test_p_of_a_difference_and_of_none() -> None:
    generator = np.random.default_rng(0)
    runs = seeds_of_one_task(generator, 6, 0.3)
    other = runs.copy()
    other[3:] = other[3:, :, ::-1]
    is_first = relabellings(3, 3).is_first
    assert p_value(relabelled_distances(other[:, None], is_first)[:, 0]) == 1 / 10
    ps = []
    for _ in range(200):
        null = seeds_of_one_task(generator, 6, 0.3)
        ps.append(p_value(relabelled_distances(null[:, None], is_first)[:, 0]))
    # Under the null every one of the ten values is as likely: P(p <= 0.2) is 0.2, give or take 4 standard deviations.
    assert abs(np.mean(np.array(ps) <= 0.2 + 1e-9) - 0.2) < 4 * math.sqrt(0.2 * 0.8 / 200)
