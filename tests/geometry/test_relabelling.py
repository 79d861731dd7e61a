"""Two groups of numbers: p by relabelling that holds what it says, Holm's correction, what so few runs can decide."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import permutation_test

from predspace_widgets.geometry.relabelling import holm, relabelled_difference, runs_needed

SIZES = [(3, 3), (2, 4), (1, 5), (4, 4)]
numbers = st.floats(-10, 10).map(lambda value: round(value, 3))
ps = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.01, 0.02, 0.5])), min_size=1, max_size=12)


def plain_p(first: list[float], second: list[float]) -> float:
    """Share of all splits whose means are as far apart, without leaving out mirror images."""
    values, n = [*first, *second], len(first)
    apart = abs(np.mean(first) - np.mean(second))
    splits = list(itertools.combinations(range(len(values)), n))
    count = 0
    for members in splits:
        one = [values[k] for k in members]
        other = [values[k] for k in range(len(values)) if k not in members]
        count += abs(np.mean(one) - np.mean(other)) >= apart - 1e-9
    return count / len(splits)


@given(st.lists(numbers, min_size=1, max_size=4), st.lists(numbers, min_size=2, max_size=4))
def test_it_is_the_share_of_all_splits_and_symmetric_in_the_groups(first: list[float], second: list[float]) -> None:
    tested, turned = relabelled_difference(first, second), relabelled_difference(second, first)
    assert tested.p_value == pytest.approx(plain_p(first, second), abs=1e-12)
    assert tested.exact
    assert tested.smallest_p <= tested.p_value <= 1
    assert turned.p_value == tested.p_value
    assert turned.difference == -tested.difference


def test_it_equals_scipys() -> None:
    generator = np.random.default_rng(0)
    for n, m in ((3, 3), (2, 4), (4, 4)):
        first, second = generator.normal(size=n), generator.normal(0.5, size=m)

        def statistic(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
            return np.abs(one.mean(axis=axis) - other.mean(axis=axis))

        theirs = permutation_test((first, second), statistic, n_resamples=np.inf, alternative="greater")
        assert relabelled_difference(first, second).p_value == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_groups_that_part_altogether_have_the_smallest_p(n: int, m: int) -> None:
    tested = relabelled_difference(np.arange(n), 100 + np.arange(m))
    assert tested.p_value == tested.smallest_p == pytest.approx((1 + (n == m)) / math.comb(n + m, n))


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_under_the_null_p_is_at_most_a_with_chance_a(n: int, m: int) -> None:
    """Of numbers that are skewed, too: 4,000 draws, each level within 4 standard errors of what it can be."""
    generator = np.random.default_rng(1)
    drawn = np.exp(generator.normal(size=(4000, n + m)))
    p = np.array([relabelled_difference(values[:n], values[n:]).p_value for values in drawn])
    smallest = (1 + (n == m)) / math.comb(n + m, n)
    for level in (0.05, 0.1, 0.2, 0.4, 0.7):
        exact = math.floor(level / smallest + 1e-9) * smallest  # what a p of so few steps can be at most
        assert np.mean(p <= level + 1e-9) == pytest.approx(exact, abs=4 * math.sqrt(level * (1 - level) / 4000))


def test_after_holm_a_family_of_nulls_is_wrong_with_chance_a_at_most() -> None:
    """Four groups that do not differ, all six pairs; and with one that does, pairs of the others."""
    generator = np.random.default_rng(2)
    pairs = list(itertools.combinations(range(4), 2))
    wrong = np.zeros(2)
    plain = 0
    for _ in range(1000):
        groups = generator.normal(size=(4, 5))
        for place, shift in enumerate((0.0, 20.0)):
            groups[3] += shift
            p = np.array([relabelled_difference(groups[i], groups[j]).p_value for i, j in pairs])
            null = np.array([shift == 0 or 3 not in pair for pair in pairs])
            wrong[place] += (holm(p)[null] <= 0.05).any()
            plain += shift == 0 and bool((p <= 0.05).any())
    assert (wrong / 1000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)).all()
    assert plain / 1000 > 0.15  # so often without the correction


def test_numbers_that_do_not_differ_have_p_1() -> None:
    assert relabelled_difference([0.1] * 3, [0.1] * 4).p_value == 1
    assert relabelled_difference([0.1 + 0.2, 0.3, 0.3], [0.3, 0.3, 0.3]).p_value == 1  # but for rounding


def test_one_run_against_one_has_no_p() -> None:
    tested = relabelled_difference([1.0], [2.0])
    assert math.isnan(tested.p_value)
    assert (tested.difference, tested.smallest_p, tested.exact) == (-1.0, 1.0, True)


def test_too_many_relabellings_are_drawn() -> None:
    values = np.random.default_rng(3).normal(size=(2, 7))
    values[1] += 0.8
    exact = relabelled_difference(*values)
    one, again, other = (relabelled_difference(*values, seed=seed, most=500) for seed in (0, 0, 1))
    assert exact.exact
    assert not one.exact
    assert one.smallest_p == 1 / 500
    assert one == again != other
    assert one.p_value == pytest.approx(exact.p_value, abs=4 * math.sqrt(exact.p_value / 500))


@pytest.mark.parametrize("wrong", [[], [math.nan], [[1.0]], [math.inf, 1.0]])
def test_groups_are_finite_numbers(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="the first group must be finite numbers, one a run"):
        relabelled_difference(wrong, [1.0])
    with pytest.raises(ValueError, match="the second group must be finite numbers, one a run"):
        relabelled_difference([1.0], wrong)


# -- Holm --------------------------------------------------------------------------------------------------------------


@given(ps)
def test_holm_is_the_plain_loop(values: list[float]) -> None:
    expected, so_far = [math.nan] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda k: values[k])):
        so_far = max(so_far, min(1.0, (len(values) - rank) * values[place]))
        expected[place] = so_far
    np.testing.assert_allclose(holm(values), expected, rtol=1e-12)


@given(ps, st.floats(0.001, 0.5))
def test_holm_decides_as_the_step_down_procedure_does(values: list[float], level: float) -> None:
    """Go from the smallest on while p <= level / (number that are left)."""
    adjusted, left = holm(values), len(values)
    decided = np.zeros(len(values), dtype=bool)
    for place in np.argsort(values, kind="stable"):
        if values[place] * left > level:
            break
        decided[place], left = True, left - 1
    np.testing.assert_array_equal(adjusted <= level, decided)


@given(ps)
def test_holm_is_between_p_and_bonferronis(values: list[float]) -> None:
    adjusted = holm(values)
    assert (adjusted >= values).all()
    assert (adjusted <= np.minimum(1, len(values) * np.array(values)) + 1e-15).all()
    assert (np.diff(adjusted[np.argsort(values, kind="stable")]) >= 0).all()


def test_holm_of_a_known_example() -> None:
    """From R: p.adjust(c(.01, .02, .03, .04, .05), "holm")."""
    np.testing.assert_allclose(holm([0.01, 0.02, 0.03, 0.04, 0.05]), [0.05, 0.08, 0.09, 0.09, 0.09], rtol=1e-12)


def test_holm_leaves_out_what_has_no_p() -> None:
    np.testing.assert_array_equal(holm([[0.01, math.nan], [0.5, 0.03]]), [[0.03, math.nan], [0.5, 0.06]])
    assert holm([]).shape == (0,)
    for wrong in (-0.1, 1.1, math.inf):
        with pytest.raises(ValueError, match=r"p-values must lie in \[0, 1\]"):
            holm([0.5, wrong])


# -- how many runs are enough ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_pairs", [1, 2, 6, 78])
def test_so_many_runs_decide_and_one_fewer_do_not(n_pairs: int) -> None:
    k = runs_needed(n_pairs)
    assert k is not None
    best = {runs: relabelled_difference(np.arange(runs), 100 + np.arange(runs)).p_value for runs in (k - 1, k)}
    assert holm([best[k]] * n_pairs).max() <= 0.05 < holm([best[k - 1]] * n_pairs).min()


def test_so_few_relabellings_never_decide() -> None:
    assert runs_needed(78, most=1000) is None
    assert runs_needed(50, most=1000) is not None
    for wrong in ({"n_pairs": 0}, {"level": 0.0}, {"level": 1.0}):
        with pytest.raises(ValueError, match="n_pairs must be at least 1 and level in"):
            runs_needed(**wrong)
