"""Great circles, and progress along the one from ignorance to truth."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets import geometry
from tests.geometry import plain
from tests.geometry.strategies import fractions, labelled_spaces, points, rows, seeds

PROGRESS_METRICS = ["bhattacharyya", "great_circle"]
# Where the ends of a sample's great circle are closer than this, the sample stays at the first end.
COINCIDE = 1e-7

every_metric = pytest.mark.parametrize("metric", PROGRESS_METRICS)


@given(pair=points(count=2), t=fractions)
def test_geodesic_equals_the_plain_formula(pair: np.ndarray, t: float) -> None:
    """Sample by sample."""
    P, Q = pair
    expected = plain.geodesic(P.tolist(), Q.tolist(), t)
    np.testing.assert_allclose(geometry.geodesic(P, Q, t), expected, rtol=0, atol=1e-6)
    far = geometry.angles(P, Q) > 1e-3  # where the plain arc cosine has its digits
    np.testing.assert_allclose(geometry.geodesic(P, Q, t)[far], np.array(expected)[far], rtol=0, atol=1e-12)


@given(pair=points(count=2), t=st.lists(fractions, max_size=4))
def test_geodesic_stays_on_the_simplex(pair: np.ndarray, t: list[float]) -> None:
    """Rows of every point are probabilities."""
    path = geometry.geodesic(*pair, t)
    assert path.shape == (len(t), *pair.shape[1:])
    assert np.all(path >= 0)
    np.testing.assert_allclose(path.sum(axis=-1), 1.0, rtol=0, atol=1e-15)


@given(pair=points(count=2))
def test_geodesic_starts_at_p_and_ends_at_q(pair: np.ndarray) -> None:
    """t = 0 and t = 1."""
    P, Q = pair
    start, end = geometry.geodesic(P, Q, [0.0, 1.0])
    np.testing.assert_allclose(start, P, rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(end, Q, rtol=0, atol=2 * COINCIDE)
    apart = geometry.angles(P, Q) > COINCIDE
    np.testing.assert_allclose(end[apart], Q[apart], rtol=1e-14, atol=1e-300)


@given(pair=points(count=2), t=fractions)
def test_geodesic_has_constant_speed(pair: np.ndarray, t: float) -> None:
    """d_G(P, P^t) = t d_G(P, Q), for each sample and for their mean."""
    P, Q = pair
    between, angles = geometry.geodesic(P, Q, t), geometry.angles(P, Q)
    apart = angles > COINCIDE
    np.testing.assert_allclose(geometry.angles(P, between)[apart], t * angles[apart], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(geometry.angles(between, Q)[apart], (1 - t) * angles[apart], rtol=1e-12, atol=1e-14)
    assert float(geometry.great_circle(P, between)) == pytest.approx(t * angles.mean(), rel=1e-12, abs=COINCIDE)


@given(pair=points(count=2), t=fractions)
def test_geodesic_is_the_same_both_ways(pair: np.ndarray, t: float) -> None:
    """P^t from P to Q is Q^(1-t) from Q to P."""
    P, Q = pair
    np.testing.assert_allclose(
        geometry.geodesic(P, Q, t), geometry.geodesic(Q, P, 1 - t), rtol=1e-12, atol=2 * COINCIDE
    )


@given(pair=points(count=2), s=fractions, t=fractions)
def test_part_of_a_geodesic_is_a_geodesic(pair: np.ndarray, s: float, t: float) -> None:
    """From P to P^s, the point at t is P^(st)."""
    P, Q = pair
    part = geometry.geodesic(P, geometry.geodesic(P, Q, s), t)
    np.testing.assert_allclose(part, geometry.geodesic(P, Q, s * t), rtol=0, atol=2 * COINCIDE)


@pytest.mark.parametrize("size", [0.0, 1e-16, 1e-12, 1e-8, 0.9e-7, 1.1e-7, 1e-6])
def test_geodesic_between_points_that_almost_coincide(size: float) -> None:
    """g -> 0: no division by zero, and nowhere further away than the ends are."""
    P = np.array([[0.3, 0.7], [0.5, 0.5]])
    Q = P + size * np.array([[1.0, -1.0], [0.0, 0.0]])
    path = geometry.geodesic(P, Q, np.linspace(0, 1, 7))
    assert np.abs(path - P).max() <= size + 1e-15
    np.testing.assert_array_equal(path[:, 1], np.broadcast_to(P[1], (7, 2)))
    if size > 3e-7:
        np.testing.assert_allclose(path[3, 0], (P[0] + Q[0]) / 2, rtol=0, atol=size**2)


def test_geodesic_from_certainty_to_certainty_is_a_quarter_circle() -> None:
    """g = pi/2: cos^2 and sin^2 of t pi/2; a third class stays at 0."""
    t = np.linspace(0, 1, 5)
    path = geometry.geodesic([[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]], t)[:, 0]  # (K, C)
    expected = np.stack([np.cos(t * math.pi / 2) ** 2, 0 * t, np.sin(t * math.pi / 2) ** 2], axis=-1)
    np.testing.assert_allclose(path, expected, rtol=0, atol=1e-15)


def test_shapes_of_a_geodesic_broadcast() -> None:
    """A number of t adds no dimension, a list adds one in front; leading dimensions of P and Q broadcast."""
    rng = np.random.default_rng(0)
    P, Q = rng.dirichlet(np.ones(3), (2, 1, 5)), rng.dirichlet(np.ones(3), (4, 5))
    assert geometry.geodesic(P[0, 0], Q[0], 0.5).shape == (5, 3)
    assert geometry.geodesic(P[0, 0], Q[0], []).shape == (0, 5, 3)
    path = geometry.geodesic(P, Q, [0.2, 0.5, 0.9])
    assert path.shape == (3, 2, 4, 5, 3)
    for k, t in enumerate([0.2, 0.5, 0.9]):
        np.testing.assert_allclose(path[k, 1, 2], geometry.geodesic(P[1, 0], Q[2], t), rtol=1e-14)
    np.testing.assert_allclose(geometry.geodesic(P[0, 0], Q, [0.2, 0.5, 0.9]), path[:, 0], rtol=1e-14)


@pytest.mark.parametrize("t", [-0.01, 1.01, math.nan, [0.5, 2.0], [0.5, math.nan], [[0.1, 0.2]]])
def test_other_t_is_an_error(t) -> None:
    """Never extrapolated."""
    with pytest.raises(ValueError, match=r"t must be a number or a list of numbers in \[0, 1\]"):
        geometry.geodesic(geometry.ignorance(2, 3), geometry.truth([0, 1], 3), t)


def test_geodesic_to_another_space_is_an_error() -> None:
    """Samples or classes differ."""
    with pytest.raises(ValueError, match="different prediction spaces"):
        geometry.geodesic(geometry.ignorance(2, 3), geometry.ignorance(2, 4), 0.5)
    with pytest.raises(ValueError, match="must sum to 1"):
        geometry.geodesic(geometry.ignorance(2, 3), np.ones((2, 3)), 0.5)


# ---------------------------------------------------------------------------------------------------------------------
# Progress
# ---------------------------------------------------------------------------------------------------------------------


@every_metric
@given(space=labelled_spaces(), t=fractions)
def test_progress_of_a_point_of_the_geodesic_is_where_it_is(
    metric: str, space: tuple[np.ndarray, int], t: float
) -> None:
    """From ignorance to truth."""
    labels, n_classes = space
    P_0, P_star = geometry.ignorance(len(labels), n_classes), geometry.truth(labels, n_classes)
    assert float(geometry.progress(geometry.geodesic(P_0, P_star, t), P_0, P_star, metric)) == pytest.approx(
        t, abs=2e-9
    )


@every_metric
@given(ends=points(count=2), t=fractions)
def test_progress_between_any_two_points(metric: str, ends: np.ndarray, t: float) -> None:
    """Any ends will do, if they are a little apart."""
    start, end = ends[0], (ends[1] + np.eye(ends.shape[-1])[0]) / 2
    if geometry.great_circle(start, end) > 1e-2:
        P = geometry.geodesic(start, end, t)
        assert float(geometry.progress(P, start, end, metric)) == pytest.approx(t, abs=1e-8)


@every_metric
@pytest.mark.parametrize("n_classes", [2, 10, 1000])
def test_progress_at_the_ends_is_exact(metric: str, n_classes: int) -> None:
    """Ignorance has come nowhere and truth is there: 0 and 1, not nearly."""
    P_0, P_star = geometry.ignorance(20, n_classes), geometry.truth([0, 1] * 10, n_classes)
    np.testing.assert_array_equal(geometry.progress([P_0, P_star], P_0, P_star, metric), [0.0, 1.0])


@st.composite
def off_the_geodesic(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Any P, ignorance and truth of one space."""
    labels, n_classes = draw(labelled_spaces())
    P = np.stack([draw(rows(n_classes)) for _ in labels])
    return P, geometry.ignorance(len(labels), n_classes), geometry.truth(labels, n_classes)


@every_metric
@given(case=off_the_geodesic())
def test_progress_is_the_nearest_point_of_the_whole_geodesic(
    metric: str, case: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    """Of points off the geodesic too, where it is the search over all N x C probabilities that counts."""
    P, P_0, P_star = case
    found = float(geometry.progress(P, P_0, P_star, metric))
    nearest, minimum = plain.progress(P.tolist(), P_0.tolist(), P_star.tolist(), metric)
    here = plain.METRICS[metric](P.tolist(), plain.geodesic(P_0.tolist(), P_star.tolist(), found))
    assert 0 <= found <= 1
    assert here <= minimum + 5e-8
    if metric == "bhattacharyya":  # strictly convex: one minimum; the mean angle can be flat between two samples
        assert found == pytest.approx(nearest, abs=1e-5)


@every_metric
@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_progress_of_random_points_between_random_ends(metric: str, spread: float) -> None:
    """Many samples, neither ignorance nor truth at the ends."""
    rng = np.random.default_rng(0)
    start, end, *everyone = rng.dirichlet(np.full(4, spread), (5, 30))
    found = geometry.progress(everyone, start, end, metric)
    for P, t in zip(everyone, found, strict=True):
        nearest, minimum = plain.progress(P.tolist(), start.tolist(), end.tolist(), metric)
        assert plain.METRICS[metric](P.tolist(), plain.geodesic(start.tolist(), end.tolist(), t)) <= minimum + 1e-9
        assert t == pytest.approx(nearest, abs=1e-5)
    assert np.all((found > 0.1) & (found < 0.9))


@every_metric
def test_progress_where_two_points_are_equally_near(metric: str) -> None:
    """Two samples at different places of the same great circle: the mean angle is flat between them."""
    P_0, P_star = geometry.ignorance(2, 3), geometry.truth([0, 0], 3)
    P = geometry.geodesic(P_0, P_star, [0.2, 0.7])[[0, 1], [0, 1]]  # (2, 3)
    found = float(geometry.progress(P, P_0, P_star, metric))
    assert 0.2 - 1e-6 <= found <= 0.7 + 1e-6
    if metric == "bhattacharyya":
        assert found == pytest.approx(0.45, abs=1e-8)


@pytest.mark.parametrize("n_classes", [2, 5, 10])
@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.24, 0.26, 0.5, 0.9, 0.99, 1.0])
def test_progress_of_a_network_that_is_always_certain(n_classes: int, accuracy: float) -> None:
    """Certain and right on a share a of the samples.

    The derivatives of both distances vanish where it can be written down: d_B is nearest at the angle arccos(sqrt(a))
    from the truth; d_G jumps to the truth at a = 1 / (1 + sqrt(C - 1)).
    """
    n_right = round(100 * accuracy)
    P = geometry.truth([0] * n_right + [1] * (100 - n_right), n_classes)
    ends = geometry.ignorance(100, n_classes), geometry.truth([0] * 100, n_classes)
    expected = max(1 - math.acos(math.sqrt(accuracy)) / math.acos(math.sqrt(1 / n_classes)), 0.0)
    assert float(geometry.progress(P, *ends, "bhattacharyya")) == pytest.approx(expected, abs=1e-8)
    threshold = 1 / (1 + math.sqrt(n_classes - 1))
    if accuracy > threshold:
        assert float(geometry.progress(P, *ends, "great_circle")) == pytest.approx(1.0, abs=5e-8)
    elif accuracy < threshold:
        assert float(geometry.progress(P, *ends, "great_circle")) < 0.9


def test_progress_by_default_minimises_bhattacharyya() -> None:
    """The two metrics disagree about a certain network."""
    ends = geometry.ignorance(10, 10), geometry.truth([0] * 10, 10)
    P = geometry.truth([0] * 4 + [1] * 6, 10)
    assert geometry.progress(P, *ends) == geometry.progress(P, *ends, "bhattacharyya") < 0.5
    assert geometry.progress(P, *ends, "great_circle") > 0.999


@every_metric
def test_progress_is_zero_where_the_ends_coincide(metric: str) -> None:
    """With one class ignorance is the truth; every value is as near, the first is reported."""
    P = np.ones((3, 2, 1))
    np.testing.assert_array_equal(geometry.progress(P, P[0], P[0], metric), np.zeros(3))
    P = np.random.default_rng(0).dirichlet(np.ones(3), (3, 2))
    np.testing.assert_array_equal(geometry.progress(P, P[0], P[0], metric), np.zeros(3))


@every_metric
def test_progress_where_a_sample_shares_no_class_with_the_geodesic(metric: str) -> None:
    """It is equally far from every point and has no say; without any other sample the first point is reported."""
    start, end, aside = np.eye(3)[:, None]  # (1, C) each
    between = geometry.geodesic(start, end, 0.3)
    ends = np.concatenate([start, start]), np.concatenate([end, end])  # (N, C)
    P = np.concatenate([between, aside])
    assert float(geometry.progress(P, *ends, metric)) == pytest.approx(0.3, abs=1e-6)
    assert float(geometry.progress(aside, start, end, metric)) == 0.0


@every_metric
@given(case=off_the_geodesic(), seed=seeds)
def test_order_of_samples_and_classes_does_not_matter_to_progress(
    metric: str, case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int
) -> None:
    """The same permutation of P and both ends; where the minimum is flat any of its points will do."""
    rng = np.random.default_rng(seed)
    samples, classes = rng.permutation(case[0].shape[0]), rng.permutation(case[0].shape[1])
    P, P_0, P_star = (point[samples][:, classes] for point in case)
    found, before = float(geometry.progress(P, P_0, P_star, metric)), float(geometry.progress(*case, metric))
    if metric == "bhattacharyya":
        assert found == pytest.approx(before, abs=1e-7)
    distance = getattr(geometry, metric)
    reached = [float(distance(P, geometry.geodesic(P_0, P_star, t))) for t in (found, before)]
    assert reached[0] == pytest.approx(reached[1], abs=1e-7)


@every_metric
def test_shape_of_progress(metric: str) -> None:
    """One value a checkpoint, whatever the leading dimensions; each is found on its own."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(3), (2, 4, 5))
    ends = geometry.ignorance(5, 3), geometry.truth([0, 1, 2, 1, 0], 3)
    found = geometry.progress(P, *ends, metric)
    assert found.shape == (2, 4)
    assert found[1, 2] == geometry.progress(P[1, 2], *ends, metric)
    assert geometry.progress(P[:0], *ends, metric).shape == (0, 4)


@every_metric
def test_progress_of_float16_is_that_of_the_rounded_point(metric: str) -> None:
    """Half the digits in, the same place out."""
    ends = geometry.ignorance(50, 10), geometry.truth(np.arange(50) % 10, 10)
    t = np.linspace(0, 1, 11)
    P = geometry.geodesic(*ends, t).astype(np.float16)
    np.testing.assert_allclose(geometry.progress(P, *ends, metric), t, rtol=0, atol=2e-3)


def test_progress_refuses_what_it_cannot_read() -> None:
    """Unknown metrics (the Kullback-Leibler divergence is none of them), other spaces, other values."""
    ends = geometry.ignorance(2, 3), geometry.truth([0, 1], 3)
    with pytest.raises(ValueError, match="'symmetric_kl': choose 'bhattacharyya' or 'great_circle'"):
        geometry.progress(ends[0], *ends, metric="symmetric_kl")
    with pytest.raises(ValueError, match="different prediction spaces"):
        geometry.progress(geometry.ignorance(2, 4), *ends)
    with pytest.raises(ValueError, match="different prediction spaces"):
        geometry.progress(ends[0], ends[0], geometry.truth([0, 1, 2], 3))
    with pytest.raises(ValueError, match="negative"):
        geometry.progress([[2.0, -1.0, 0.0], [0.0, 1.0, 0.0]], *ends)


@pytest.mark.parametrize(("bad", "name"), [(0, "P"), (1, "start"), (2, "end")])
def test_progress_says_which_of_its_arguments_is_no_probabilities(bad: int, name: str) -> None:
    """The two ends are not called P and Q."""
    arguments = [np.full((4, 3, 2), 0.5), np.full((3, 2), 0.5), np.eye(2)[[0, 1, 0]]]
    arguments[bad] = 2 * arguments[bad]
    with pytest.raises(ValueError, match=f"rows of {name} must sum to 1"):
        geometry.progress(*arguments)


def test_progress_of_many_checkpoints_is_that_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks change nothing, whatever the dimensions before the samples."""
    P = np.random.default_rng(0).dirichlet(np.ones(4), (3, 5, 6))
    start, end = geometry.ignorance(6, 4), geometry.truth([0, 1, 2, 3, 0, 1], 4)
    each = [[float(geometry.progress(point, start, end)) for point in row] for row in P]
    for block in (1, 24, 50, 10**6):
        monkeypatch.setattr(sys.modules["predspace_widgets.geometry.geodesic"], "_BLOCK", block)
        np.testing.assert_array_equal(geometry.progress(P, start, end), each)
    assert geometry.progress(P[:0], start, end).shape == (0, 5)


KINDS = {
    "list": np.ndarray.tolist,
    "objects": lambda P: P.astype(object),
    "big-endian": lambda P: P.astype(">f8"),
    "fortran order": np.asfortranarray,
    "reversed view": lambda P: P[::-1].copy()[::-1],
    "extended precision": lambda P: P.astype(np.longdouble),
    "float32": lambda P: P.astype(np.float32),
    "float16": lambda P: P.astype(np.float16),
}


@every_metric
@pytest.mark.parametrize("kind", KINDS)
def test_progress_reads_any_array(metric: str, kind: str) -> None:
    """As `as_probabilities` reads it, and without writing into it."""
    P = np.random.default_rng(0).dirichlet(np.ones(4), (5, 6))
    given = KINDS[kind](P)
    before = np.array(given)
    if isinstance(given, np.ndarray):
        given.flags.writeable = False
    ends = geometry.ignorance(6, 4), geometry.truth([0, 1, 2, 3, 0, 1], 4)
    found = geometry.progress(given, *ends, metric)
    np.testing.assert_allclose(found, geometry.progress(geometry.as_probabilities(given), *ends, metric), atol=2e-9)
    np.testing.assert_array_equal(np.array(given), before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("where", [(0, 0), (8, 3)])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 1.0], "not finite"),
        ([1.0, np.nan], "not finite"),
        ([np.inf, 0.0], "not finite"),
        ([np.inf, -np.inf], "not finite"),
        ([1.001, -0.001], "negative values.*logits"),
        ([0.6, 0.5], "must sum to 1, one misses it by 0.1"),
        ([0.5, 0.497], "must sum to 1, one misses it by 0.00"),
        ([0.0, 0.0], "must sum to 1, one misses it by 1"),
    ],
)
def test_progress_finds_a_row_of_other_values(
    monkeypatch: pytest.MonkeyPatch, dtype: type, where: tuple[int, int], row: list[float], message: str
) -> None:
    """Anywhere, in the words of `as_probabilities`."""
    monkeypatch.setattr(sys.modules["predspace_widgets.geometry.geodesic"], "_BLOCK", 20)
    P = np.random.default_rng(0).dirichlet(np.ones(2), (9, 4)).astype(dtype)
    P[where] = row
    with pytest.raises(ValueError, match=f"P.*{message}"):
        geometry.progress(P, geometry.ignorance(4, 2), geometry.truth([0, 1, 0, 1], 2))


@every_metric
def test_progress_of_rows_that_miss_1_is_that_of_the_renormalised(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the sum is too large in one order of its terms and not in the other."""
    P = np.random.default_rng(0).dirichlet(np.ones(4), (5, 6))
    ends = geometry.ignorance(6, 4), geometry.truth([0, 1, 2, 3, 0, 1], 4)
    expected = geometry.progress(P, *ends, metric)
    np.testing.assert_allclose(geometry.progress(P * (1 + 1.9e-3), *ends, metric), expected, rtol=0, atol=2e-9)
    monkeypatch.setattr(sys.modules["predspace_widgets.geometry.geodesic"], "ROW_SUM_TOLERANCE", 1e-12)
    np.testing.assert_allclose(geometry.progress(P * (1 + 1.9e-3), *ends, metric), expected, rtol=0, atol=2e-9)


def test_numba_is_imported_only_where_it_is_needed() -> None:
    """The package, and geodesics, are there without it."""
    code = """
import sys, predspace_widgets as pw
pw.geometry.geodesic([[0.5, 0.5]], [[1.0, 0.0]], 0.5)
assert "numba" not in sys.modules
pw.geometry.progress([[0.5, 0.5]], [[0.5, 0.5]], [[1.0, 0.0]])
assert "numba" in sys.modules
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# -- the distance to the geodesic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_distance_to_the_geodesic_is_that_to_its_nearest_point(seed: int) -> None:
    random = np.random.default_rng(seed)
    P = random.dirichlet(np.full(4, 0.3), (3, 7))
    ends = geometry.ignorance(7, 4), geometry.truth(random.integers(4, size=7), 4)
    there = geometry.geodesic(*ends, geometry.progress(P, *ends))
    np.testing.assert_allclose(geometry.distance_to_geodesic(P, *ends), geometry.bhattacharyya(P, there), rtol=1e-9)
    line = geometry.geodesic(*ends, np.linspace(0, 1, 101))  # (point, N, C)
    assert (
        geometry.distance_to_geodesic(P, *ends)[:, None] <= geometry.bhattacharyya(P[:, None], line[None]) + 1e-12
    ).all()


def test_points_of_the_geodesic_have_no_distance_to_it() -> None:
    ends = geometry.ignorance(5, 3), geometry.truth([0, 1, 2, 0, 1], 3)
    distances = geometry.distance_to_geodesic(geometry.geodesic(*ends, np.linspace(0, 1, 9)), *ends)
    np.testing.assert_allclose(distances, 0, atol=1e-12)
    assert (distances >= 0).all()


def test_beyond_floor_the_distance_is_that_of_the_floor() -> None:
    wrong = geometry.truth([1], 2)[None]
    assert geometry.distance_to_geodesic(wrong, geometry.truth([0], 2), geometry.truth([0], 2)) == pytest.approx(
        [-np.log(geometry.FLOOR)]
    )
