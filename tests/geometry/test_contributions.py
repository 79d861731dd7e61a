"""A distance split by sample: the parts make the whole, however they are grouped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.geometry import FLOOR, bhattacharyya, contributions, truth
from predspace_widgets.geometry.contributions import n_for_share, sums_by_group, sums_by_pair, true_probabilities
from tests.geometry import plain
from tests.geometry.strategies import labelled_spaces, points

values_and_groups = st.lists(st.tuples(st.floats(0, 100), st.integers(0, 3), st.integers(0, 3)), min_size=1)


@given(pair=points(count=2))
def test_their_mean_is_the_distance(pair: np.ndarray) -> None:
    """Also of rows that storage has rounded, so that they do not quite sum to 1."""
    for dtype in (np.float16, np.float32, np.float64):
        P, Q = pair.astype(dtype)
        parts = contributions(P, Q)
        assert parts.shape == P.shape[:1]
        assert abs(parts.mean() - bhattacharyya(P, Q)) < 1e-12


@given(pair=points(count=2))
def test_each_equals_the_plain_formula(pair: np.ndarray) -> None:
    expected = [-np.log(max(plain.overlap(p, q), FLOOR)) for p, q in zip(*pair, strict=True)]
    np.testing.assert_allclose(contributions(*pair), expected, rtol=1e-7, atol=1e-13)


@given(pair=points(count=2))
def test_they_are_symmetric_and_zero_where_predictions_coincide(pair: np.ndarray) -> None:
    P, Q = pair
    np.testing.assert_array_equal(contributions(P, Q), contributions(Q, P))
    for dtype in (np.float16, np.float32, np.float64):
        np.testing.assert_array_equal(contributions(P.astype(dtype), P.astype(dtype)), 0)
        assert not np.signbit(contributions(P.astype(dtype), P.astype(dtype))).any()


@given(three=points(count=3, shape=(2, 4)))
def test_leading_dimensions_broadcast(three: np.ndarray) -> None:
    together = contributions(three[:, None], three[None])  # (3, 3, N)
    assert together.shape == (3, 3, 2)
    for i in range(3):
        for j in range(3):
            np.testing.assert_array_equal(together[i, j], contributions(three[i], three[j]))
    np.testing.assert_array_equal(contributions(three, three[0]), together[:, 0])


@given(space=labelled_spaces())
def test_the_overlap_with_the_truth_is_the_root_of_the_true_probability(space: tuple[np.ndarray, int]) -> None:
    labels, n_classes = space
    P = np.random.default_rng(0).dirichlet(np.ones(n_classes), size=len(labels))
    expected = contributions(P, truth(labels, n_classes))
    np.testing.assert_allclose(-np.log(np.sqrt(true_probabilities(P, labels))), expected, atol=1e-12)
    np.testing.assert_allclose(true_probabilities(1.001 * P, labels), true_probabilities(P, labels))


def test_many_samples_are_shared_among_threads() -> None:
    random = np.random.default_rng(0)
    P, Q = random.dirichlet(np.ones(3), size=(2, 1_000_001)).astype(np.float32)
    parts = contributions(P, Q)
    some = [0, 1, 500_000, 999_999, 1_000_000]
    np.testing.assert_array_equal(parts[some], contributions(P[some], Q[some]))
    assert abs(parts.mean() - bhattacharyya(P, Q)) < 1e-12


@pytest.mark.parametrize(
    ("Q", "message"),
    [
        ([[0.5, 0.6]], "rows of Q must sum to 1"),
        ([[-0.5, 1.5]], "Q holds negative values"),
        ([[np.nan, 1.0]], "Q holds values that are not finite"),
        ([[0.2, 0.3, 0.5]], "different prediction spaces"),
        ([0.5, 0.5], "different prediction spaces"),
    ],
)
def test_bad_input(Q: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contributions([[0.5, 0.5]], Q)  # type: ignore[arg-type]


def test_a_single_row_is_no_point() -> None:
    with pytest.raises(ValueError, match="P must have shape"):
        contributions([0.5, 0.5], [0.5, 0.5])


@given(drawn=values_and_groups)
def test_groups_and_pairs_of_groups_make_the_whole(drawn: list[tuple[float, int, int]]) -> None:
    values, first, second = (np.array(column) for column in zip(*drawn, strict=True))
    by_group, by_pair = sums_by_group(values, first, 5), sums_by_pair(values, first, second, 5)
    assert (by_group.shape, by_pair.shape) == ((5,), (5, 5))
    np.testing.assert_allclose(by_group, [values[first == k].sum() for k in range(5)], atol=1e-9)
    np.testing.assert_allclose(by_pair.sum(axis=1), by_group, atol=1e-9)
    np.testing.assert_allclose(by_pair.sum(axis=0), sums_by_group(values, second, 5), atol=1e-9)


@given(drawn=values_and_groups, share=st.floats(0.01, 1))
def test_so_many_make_a_share_and_one_less_does_not(drawn: list[tuple[float, int, int]], share: float) -> None:
    values = np.array([value for value, _, _ in drawn])
    n = n_for_share(values, share)
    largest = np.sort(values)[::-1]
    if not values.any():
        assert n == 0
        return
    assert 1 <= n <= len(values)
    assert largest[:n].sum() >= share * values.sum() * (1 - 1e-12)
    assert largest[: n - 1].sum() < share * values.sum() * (1 + 1e-12)
