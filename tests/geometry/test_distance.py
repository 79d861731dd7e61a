"""Distances between two points: each formula, its identities and its corners."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets import geometry
from tests.geometry import plain
from tests.geometry.strategies import points, seeds

DISTANCES = {
    "bhattacharyya": geometry.bhattacharyya,
    "great_circle": geometry.great_circle,
    "symmetric_kl": geometry.symmetric_kl,
    "euclidean": geometry.euclidean,
}
# The arc cosine of the plain formula loses half of the digits near overlap 1; the others lose none.
PLAIN_ERROR = {"bhattacharyya": 1e-13, "great_circle": 5e-8, "symmetric_kl": 1e-13, "euclidean": 1e-14}

every_distance = pytest.mark.parametrize("metric", DISTANCES)


@every_distance
@given(pair=points(count=2))
def test_equals_the_plain_formula(metric: str, pair: np.ndarray) -> None:
    """Also the floors, of overlaps and of probabilities."""
    P, Q = pair
    expected = plain.METRICS[metric](P.tolist(), Q.tolist())
    assert float(DISTANCES[metric](P, Q)) == pytest.approx(expected, rel=1e-7, abs=PLAIN_ERROR[metric])


@given(pair=points(count=2))
def test_overlaps_and_angles_equal_the_plain_formula(pair: np.ndarray) -> None:
    """One of each a sample; overlaps lie in [0, 1]."""
    P, Q = pair
    b = geometry.overlaps(P, Q)
    np.testing.assert_allclose(b, [plain.overlap(p, q) for p, q in zip(P, Q, strict=True)], rtol=0, atol=1e-15)
    assert np.all((b >= 0) & (b <= 1))
    expected = [plain.angle(p, q) for p, q in zip(P, Q, strict=True)]
    np.testing.assert_allclose(geometry.angles(P, Q), expected, rtol=1e-12, atol=5e-8)


@every_distance
@given(P=points())
def test_a_point_is_at_distance_zero_from_itself(metric: str, P: np.ndarray) -> None:
    """Exactly zero, and not minus zero; also of rows that float16 has rounded."""
    for dtype in (np.float16, np.float32, np.float64):
        distance = float(DISTANCES[metric](P.astype(dtype), P.astype(dtype)))
        assert distance == 0.0
        assert math.copysign(1.0, distance) == 1.0


@every_distance
@given(pair=points(count=2))
def test_is_symmetric_and_not_negative(metric: str, pair: np.ndarray) -> None:
    """To the last digit."""
    P, Q = pair
    assert DISTANCES[metric](P, Q) == DISTANCES[metric](Q, P) >= 0


@given(pair=points(count=2, shape=(1, 4)))
def test_bhattacharyya_of_one_sample_is_minus_log_overlap(pair: np.ndarray) -> None:
    """N = 1."""
    b = max(float(geometry.overlaps(*pair)[0]), geometry.FLOOR)
    assert float(geometry.bhattacharyya(*pair)) == pytest.approx(-math.log(b), rel=1e-7, abs=1e-15)


@every_distance
@given(pair=points(count=2))
def test_is_the_mean_over_samples(metric: str, pair: np.ndarray) -> None:
    """Of the distances of single samples."""
    P, Q = pair
    single = [float(DISTANCES[metric](P[n : n + 1], Q[n : n + 1])) for n in range(len(P))]
    assert float(DISTANCES[metric](P, Q)) == pytest.approx(np.mean(single), rel=1e-12, abs=1e-300)


@given(trio=points(count=3))
def test_great_circle_is_a_metric(trio: np.ndarray) -> None:
    """No detour is shorter, and the bound of a quarter of a circle holds."""
    P, Q, R = trio
    direct = geometry.great_circle(P, R)
    assert direct <= geometry.great_circle(P, Q) + geometry.great_circle(Q, R) + 1e-12
    assert direct <= math.pi / 2 + 1e-15


def test_bhattacharyya_is_not_a_metric() -> None:
    """From one certainty to another it is shorter through doubt."""
    P, doubt, R = [[1.0, 0.0]], [[0.5, 0.5]], [[0.0, 1.0]]
    assert geometry.bhattacharyya(P, R) > 10 * (geometry.bhattacharyya(P, doubt) + geometry.bhattacharyya(doubt, R))


@given(theta=st.floats(0, math.pi / 2), step=st.floats(1e-12, 1.0))
def test_great_circle_of_two_classes_is_the_difference_of_angles(theta: float, step: float) -> None:
    """(cos^2, sin^2) is a point of the quarter circle; small angles keep their digits."""
    other = min(theta + step, math.pi / 2)
    P, Q = ([[math.cos(angle) ** 2, math.sin(angle) ** 2]] for angle in (theta, other))
    assert float(geometry.great_circle(P, Q)) == pytest.approx(other - theta, rel=1e-9, abs=1e-15)


@given(P=points(), size=st.integers(1, 8), seed=seeds)
def test_tiny_distances_keep_their_digits(P: np.ndarray, size: int, seed: int) -> None:
    """d_B of neighbouring checkpoints against 60 decimal digits; 1 - b would have lost all of them at 1e-8."""
    rng = np.random.default_rng(seed)
    P = (P + 0.1) / (P + 0.1).sum(axis=-1, keepdims=True)
    Q = P * (1 + 10.0**-size * rng.choice([-1.0, 1.0], P.shape) * rng.uniform(0.5, 1, P.shape))
    Q = Q / Q.sum(axis=-1, keepdims=True)
    exact = plain.exact_bhattacharyya(P.tolist(), Q.tolist())
    # Roots carry errors of about 1e-16; where they differ by d, the square of that has errors of about d * 1e-16.
    allowed = 1e-13 * exact + 1e-15 * math.sqrt(exact)
    assert abs(float(geometry.bhattacharyya(P, Q)) - exact) <= allowed


@pytest.mark.parametrize("n_samples", [1, 7])
@pytest.mark.parametrize("n_classes", [2, 100])
def test_disjoint_certainties_are_held_by_the_floor(n_samples: int, n_classes: int) -> None:
    """d_B is -log of the one floor, and the angle a quarter of a circle."""
    P = geometry.truth([0] * n_samples, n_classes)
    Q = geometry.truth([n_classes - 1] * n_samples, n_classes)
    assert geometry.FLOOR == 1e-9
    assert float(geometry.bhattacharyya(P, Q)) == pytest.approx(-math.log(1e-9), abs=1e-6)
    assert float(geometry.great_circle(P, Q)) == pytest.approx(math.pi / 2, abs=1e-12)
    assert float(geometry.symmetric_kl(P, Q)) == pytest.approx((1 - 1e-9) * -math.log(1e-9), rel=1e-12)


def test_overlaps_without_a_common_class_are_not_negative() -> None:
    """Where rounding makes the squared distance of two roots more than 2."""
    rng = np.random.default_rng(0)
    P, Q = np.zeros((2, 500, 8))
    P[:, :4], Q[:, 4:] = rng.dirichlet(np.ones(4), (2, 500))
    assert np.square(np.sqrt(P) - np.sqrt(Q)).sum(axis=-1).max() > 2
    overlaps = geometry.overlaps(P, Q)
    assert np.all((overlaps >= 0) & (overlaps < 1e-15))
    assert np.all(geometry.angles(P, Q) <= math.pi / 2 + 1e-15)


@pytest.mark.parametrize(("overlap", "floored"), [(1e-8, 1e-8), (2e-9, 2e-9), (0.5e-9, 1e-9), (1e-12, 1e-9)])
def test_the_floor_binds_below_itself_only(overlap: float, floored: float) -> None:
    """Overlaps above 1e-9 count as they are."""
    P, Q = [[1.0, 0.0]], [[overlap**2, 1 - overlap**2]]
    assert float(geometry.bhattacharyya(P, Q)) == pytest.approx(-math.log(floored), abs=1e-6)


@every_distance
@given(pair=points(count=2), seed=seeds)
def test_order_of_samples_and_classes_does_not_matter(metric: str, pair: np.ndarray, seed: int) -> None:
    """The same permutation on both sides."""
    rng = np.random.default_rng(seed)
    P, Q = pair[:, rng.permutation(pair.shape[1])][:, :, rng.permutation(pair.shape[2])]
    # Sums in another order: 1e-16 of terms that are 20 at most.
    expected = float(DISTANCES[metric](*pair))
    assert float(DISTANCES[metric](P, Q)) == pytest.approx(expected, rel=1e-7, abs=1e-15)


@every_distance
def test_leading_dimensions_broadcast(metric: str) -> None:
    """(T, 1, N, C) and (S, N, C) give (T, S)."""
    rng = np.random.default_rng(0)
    P, Q = rng.dirichlet(np.ones(3), (4, 1, 5)), rng.dirichlet(np.ones(3), (2, 5))
    distances = DISTANCES[metric](P, Q)
    assert distances.shape == (4, 2)
    for i in range(4):
        for j in range(2):
            assert distances[i, j] == pytest.approx(float(DISTANCES[metric](P[i, 0], Q[j])), rel=1e-14)
    assert np.shape(DISTANCES[metric](P[0, 0], Q[0])) == ()


@every_distance
@pytest.mark.parametrize("other", [(5, 3), (4, 2)])
def test_other_spaces_are_errors(metric: str, other: tuple[int, int]) -> None:
    """Another number of samples or classes; numpy would broadcast one sample or refuse without a word on why."""
    P = geometry.ignorance(4, 3)
    with pytest.raises(ValueError, match="different prediction spaces"):
        DISTANCES[metric](P, geometry.ignorance(*other))
    with pytest.raises(ValueError, match="different prediction spaces"):
        DISTANCES[metric](P, geometry.ignorance(1, 3))
