"""The Bhattacharyya mean: where its gradient vanishes, against a general minimiser, and in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from predspace_widgets.geometry import bhattacharyya, bhattacharyya_mean, geodesic, mean_prediction, overlaps
from tests.geometry.strategies import points, seeds


def cost(P: np.ndarray, q: np.ndarray, weights: np.ndarray) -> float:
    return float(np.average(bhattacharyya(P, q), axis=0, weights=weights))


def random_points(count: int, n_samples: int, n_classes: int, seed: int, sharp: float = 3.0) -> np.ndarray:
    logits = sharp * np.random.default_rng(seed).normal(size=(count, n_samples, n_classes))
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


@given(P=points(count=5), seed=seeds)
def test_it_is_the_fixed_point(P: np.ndarray, seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(5))
    q = bhattacharyya_mean(P, weights)
    towards = ((weights[:, None] / overlaps(P, q))[..., None] * np.sqrt(P)).sum(axis=0)  # (N, C)
    np.testing.assert_allclose(towards, np.sqrt(q), rtol=0, atol=1e-8)
    np.testing.assert_allclose(q.sum(axis=-1), 1, rtol=0, atol=1e-12)


@given(P=points(count=4), other=points(count=3), share=st.floats(0.0, 1.0))
def test_nothing_is_nearer(P: np.ndarray, other: np.ndarray, share: float) -> None:
    if other.shape[1:] != P.shape[1:]:
        other = P[:3][::-1]
    q = bhattacharyya_mean(P)
    for point in (*other, P.mean(axis=0), *geodesic(q, other[0], [share / 100, share])):
        assert cost(P, q, np.ones(4)) <= cost(P, point, np.ones(4)) + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_a_general_minimiser_finds(seed: int) -> None:
    P, weights = random_points(4, 1, 3, seed), np.array([0.1, 0.2, 0.3, 0.4])

    def of_logits(logits: np.ndarray) -> float:
        p = np.exp(logits - logits.max())
        return cost(P, (p / p.sum())[None], weights)

    found = minimize(of_logits, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15})
    q = bhattacharyya_mean(P, weights)
    assert cost(P, q, weights) <= found.fun + 1e-14
    np.testing.assert_allclose(q[0], np.exp(found.x) / np.exp(found.x).sum(), rtol=0, atol=1e-6)


@given(P=points(count=2))
def test_the_mean_of_two_is_halfway_on_their_geodesic(P: np.ndarray) -> None:
    np.testing.assert_allclose(bhattacharyya_mean(P), geodesic(P[0], P[1], 0.5), rtol=0, atol=1e-8)


@given(P=points())
def test_the_mean_of_equal_points_is_the_point(P: np.ndarray) -> None:
    np.testing.assert_allclose(bhattacharyya_mean(np.stack([P] * 3)), P, rtol=0, atol=1e-12)


def test_order_does_not_matter_and_a_weight_counts_repetitions() -> None:
    P = random_points(5, 6, 4, 0)
    q = bhattacharyya_mean(P)
    np.testing.assert_allclose(bhattacharyya_mean(P[[3, 1, 4, 0, 2]]), q, rtol=0, atol=1e-10)
    weighted = bhattacharyya_mean(P[:3], [2, 1, 3])
    np.testing.assert_allclose(weighted, bhattacharyya_mean(P[[0, 0, 1, 2, 2, 2]]), rtol=0, atol=1e-10)
    np.testing.assert_allclose(bhattacharyya_mean(P, [0, 0, 0, 0, 7.0]), P[4], rtol=0, atol=1e-12)


def test_points_of_trajectories_are_averaged_place_by_place() -> None:
    P = random_points(12, 5, 4, 1).reshape(3, 4, 5, 4)
    for kind in ("arithmetic", "bhattacharyya"):
        together = mean_prediction(P, kind)
        apart = np.stack([mean_prediction(P[:, k], kind) for k in range(4)])
        np.testing.assert_allclose(together, apart, rtol=0, atol=1e-14)


def test_of_points_that_share_no_class_it_is_the_arithmetic_mean() -> None:
    """Where a step to the fixed point's right-hand side swings for ever."""
    weights = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(bhattacharyya_mean(np.eye(3)[:, None], weights), weights[None], rtol=0, atol=1e-12)


def test_the_arithmetic_mean_is_that_of_probabilities() -> None:
    P = random_points(3, 5, 4, 1)
    np.testing.assert_allclose(mean_prediction(P, weights=[1, 2, 1]), (P[0] + 2 * P[1] + P[2]) / 4, rtol=1e-14)


@pytest.mark.parametrize(
    ("P", "weights", "message"),
    [
        (np.full((2, 2), 0.5), None, "needs points"),
        (np.empty((0, 1, 2)), None, "at least one"),
        (np.full((3, 1, 2), 0.5), [1, 2], "3 points need as many weights"),
        (np.full((2, 1, 2), 0.5), [1, -1], "none negative"),
        (np.full((2, 1, 2), 0.5), [0, 0], "above 0"),
        (np.full((2, 1, 2), 0.5), [np.nan, 1], "finite"),
        (np.full((2, 1, 2), 0.6), None, "sum to 1"),
    ],
)
def test_wrong_input(P: np.ndarray, weights: list[float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bhattacharyya_mean(P, weights)


def test_a_mean_that_is_not_found_is_said_with_its_sample() -> None:
    P = np.array([[[1.0, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.0, 1.0]]])  # the first sample is one point
    with pytest.raises(RuntimeError, match=r"of sample 1 is not found within 2 iterations: its gradient is 0\.0"):
        bhattacharyya_mean(P, max_iterations=2)
    bhattacharyya_mean(P)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown mean 'geometric': choose one of arithmetic, bhattacharyya"):
        mean_prediction(np.full((2, 1, 2), 0.5), "geometric")  # type: ignore[arg-type]
