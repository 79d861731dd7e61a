"""Trajectories as curves: length, points at equal progress, distance of two of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets import geometry
from tests.geometry import plain
from tests.geometry.strategies import labelled_spaces, points, seeds

# ---------------------------------------------------------------------------------------------------------------------
# Riemann length
# ---------------------------------------------------------------------------------------------------------------------


@given(P=points(count=4))
def test_length_equals_the_plain_formula(P: np.ndarray) -> None:
    """The plain formula loses steps below 1e-8, and the overlap of every sample is rounded."""
    assert geometry.riemann_length(P) == pytest.approx(plain.riemann_length(P.tolist()), rel=1e-7, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [2, 3, 10, 100, 1000])
def test_a_trajectory_that_stays_at_ignorance_has_length_zero(dtype: type, n_classes: int) -> None:
    """Exactly; the published script, which takes probabilities for roots, gives 12.88 for C = 100."""
    P = np.full((4, 5, n_classes), 1 / n_classes, dtype=dtype)
    assert geometry.riemann_length(P) == 0.0


@given(P=points(), n_checkpoints=st.integers(1, 5))
def test_a_constant_trajectory_has_length_zero(P: np.ndarray, n_checkpoints: int) -> None:
    """Wherever it stays, and for however long."""
    assert geometry.riemann_length([P] * n_checkpoints) == 0.0


@given(size=st.integers(1, 9), seed=seeds)
def test_the_length_of_tiny_steps_keeps_its_digits(size: int, seed: int) -> None:
    """Against 60 decimal digits; in float32, or as 1 - b, a step of 1e-9 has no length at all."""
    rng = np.random.default_rng(seed)
    P = [rng.dirichlet(np.full(4, 5.0), 3)]
    for _ in range(3):
        step = P[-1] * (1 + 10.0**-size * rng.choice([-1, 1], P[-1].shape) * rng.uniform(0.5, 1, P[-1].shape))
        P.append(step / step.sum(axis=-1, keepdims=True))
    exact = 2 * sum(math.sqrt(plain.exact_bhattacharyya(a.tolist(), b.tolist())) for a, b in itertools.pairwise(P))
    # A root carries an error of 1e-16, a step of 1e-9 therefore one of about 1e-7 of itself.
    assert geometry.riemann_length(P) == pytest.approx(exact, rel=1e-12, abs=5e-15)


@pytest.mark.parametrize("steps", [1, 10, 1000, 30000])
def test_length_of_an_ever_finer_geodesic(steps: int) -> None:
    """Analytic for every number of steps: 2K sqrt(mean(-log cos(g_n / K))), which tends to sqrt(2 mean(g_n^2))."""
    start = np.array([[0.5, 0.5, 0.0], [0.2, 0.2, 0.6]])
    end = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])
    g = geometry.angles(start, end)
    length = geometry.riemann_length(geometry.geodesic(start, end, np.linspace(0, 1, steps + 1)))
    assert length == pytest.approx(2 * steps * math.sqrt(np.mean(-np.log1p(-(np.sin(g / steps) ** 2)) / 2)), rel=1e-9)
    assert length == pytest.approx(math.sqrt(2 * np.mean(g**2)), rel=0.1 / steps**2 + 1e-7)


@given(ends=points(count=2), steps=st.integers(1, 50))
def test_length_by_angles_of_a_geodesic_is_exact(ends: np.ndarray, steps: int) -> None:
    """sqrt(2) times the root mean square angle, in one step or in many: the Fisher length / sqrt(2)."""
    P = geometry.geodesic(*ends, np.linspace(0, 1, steps + 1))
    expected = math.sqrt(2 * np.mean(geometry.angles(*ends) ** 2))
    # Rounding of a root, 1e-16, is what an angle may be off by, at each step; below 1e-7 a geodesic stays where it is.
    assert geometry.riemann_length(P, method="angle") == pytest.approx(expected, rel=1e-9, abs=3e-7)


def small_circles(steps: int, radii: np.ndarray) -> np.ndarray:
    """Trajectory (T, N, 3) on the sphere of roots: a quarter of the circle around (1, 0, 0) of each sample's radius."""
    turn = np.linspace(0, math.pi / 2, steps + 1)[:, None]  # (T, 1)
    roots = [np.cos(radii) * np.ones_like(turn), np.sin(radii) * np.cos(turn), np.sin(radii) * np.sin(turn)]
    return np.square(np.stack(roots, axis=-1))


@pytest.mark.parametrize("radii", [[0.4], [0.9], [1.3], [0.3, 0.8, 1.4]])
@pytest.mark.parametrize("method", ["bhattacharyya", "angle"])
def test_both_lengths_of_small_circles_tend_to_fisher_length_by_root_2(method: str, radii: list[float]) -> None:
    """At second order: with x the turn of a step, r the radius of a sample, s = sin(r) and c = cos(r).

    An angle g has sin(g / 2) = s sin(x / 2), so g^2 = s^2 x^2 (1 - c^2 x^2 / 12): the shortcut, always from below. And
    2 d_B = g^2 + g^4 / 6: from above, unless the shortcut matters more, as it does on narrow circles.
    """
    s2, c2 = np.sin(radii) ** 2, np.cos(radii) ** 2
    limit = 2 * (math.pi / 2) * math.sqrt(s2.mean()) / math.sqrt(2)  # a Fisher length is twice that of the roots
    order_2 = -(s2 * c2).mean() / (24 * s2.mean())
    if method == "bhattacharyya":
        order_2 += (s2**2).mean() / (12 * s2.mean())
    errors = []
    for steps in (16, 32, 64):
        length = geometry.riemann_length(small_circles(steps, np.array(radii)), method=method)
        errors.append(length / limit - 1)
        x = math.pi / 2 / steps
        assert errors[-1] == pytest.approx(order_2 * x**2, rel=3 * x**2 + 1e-4)
    assert np.all(np.sign(errors) == np.sign(order_2))
    assert method == "bhattacharyya" or max(errors) < 0
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, rtol=0.02)  # half the step, a quarter of it


def test_the_limit_of_lengths_is_the_fisher_length_by_root_2() -> None:
    """The Fisher length from its definition, (1/N) sum dP^2 / P, by derivatives of the path in closed form."""
    radii = np.array([0.3, 0.8, 1.4])
    turn = (np.arange(2000) + 0.5) / 2000 * math.pi / 2
    s2 = np.sin(radii)[:, None] ** 2
    p, slope = (
        np.stack(parts)
        for parts in (
            (s2 * np.cos(turn) ** 2, s2 * np.sin(turn) ** 2),
            (-s2 * np.sin(2 * turn), s2 * np.sin(2 * turn)),
        )
    )  # (2, N, K); the probability of the first class stays as it is
    fisher = np.sqrt((slope**2 / p).sum(axis=0).mean(axis=0)).mean() * math.pi / 2
    for method in ("bhattacharyya", "angle"):
        length = geometry.riemann_length(small_circles(512, radii), method=method)
        assert length == pytest.approx(fisher / math.sqrt(2), rel=1e-5)


def test_a_jump_between_classes_is_inflated_by_one_method_only() -> None:
    """-log of the floor is 20.7; the angle of a quarter circle is what it is."""
    P = np.stack([geometry.truth([0], 2), geometry.truth([1], 2)])
    assert geometry.riemann_length(P) == pytest.approx(2 * math.sqrt(-math.log(1e-9)), rel=1e-6)
    assert geometry.riemann_length(P, method="angle") == pytest.approx(math.pi / math.sqrt(2), rel=1e-12)


def test_an_unknown_method_of_length_is_an_error_that_names_both() -> None:
    """Before anything is computed."""
    with pytest.raises(ValueError, match="'fisher': choose 'bhattacharyya' or 'angle'"):
        geometry.riemann_length(np.full((2, 1, 2), 0.5), method="fisher")  # type: ignore[arg-type]


@given(P=points(count=4), seed=seeds)
def test_length_does_not_depend_on_order_or_direction(P: np.ndarray, seed: int) -> None:
    """Samples and classes in any order, and the way back is as long."""
    rng = np.random.default_rng(seed)
    shuffled = P[:, rng.permutation(P.shape[1])][:, :, rng.permutation(P.shape[2])]
    expected = geometry.riemann_length(P)
    # Rows that differ in order only are rounded differently: roots by 1e-16.
    assert geometry.riemann_length(shuffled) == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert geometry.riemann_length(P[::-1]) == pytest.approx(expected, rel=1e-14)


@given(P=points(count=5))
def test_lengths_add_up(P: np.ndarray) -> None:
    """Of the parts before and after a checkpoint; a checkpoint that repeats adds nothing."""
    parts = geometry.riemann_length(P[:3]) + geometry.riemann_length(P[2:])
    assert geometry.riemann_length(P) == pytest.approx(parts, rel=1e-14)
    assert geometry.riemann_length(np.insert(P, 2, P[2], axis=0)) == pytest.approx(parts, rel=1e-14)


def test_length_of_float16_is_close() -> None:
    """Renormalised on read: stored rows cost 1e-3 of the length, not more."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.full(10, 0.5), (6, 100))
    assert geometry.riemann_length(P.astype(np.float16)) == pytest.approx(geometry.riemann_length(P), rel=1e-3)


@pytest.mark.parametrize("convert", [list, np.ndarray.tolist, torch.from_numpy])
def test_length_reads_lists_and_tensors(convert) -> None:
    """A list of checkpoints is a trajectory."""
    P = np.random.default_rng(0).dirichlet(np.ones(3), (4, 2))
    assert geometry.riemann_length(convert(P)) == pytest.approx(geometry.riemann_length(P), rel=1e-14)


@pytest.mark.parametrize("P", [np.empty((0, 2, 3)), np.full((2, 2), 0.5), np.full((1, 1, 2, 2), 0.5), 0.5])
def test_length_of_no_trajectory_is_an_error(P) -> None:
    """Other shapes, or no checkpoint."""
    with pytest.raises(ValueError, match=r"shape \(checkpoints, samples, classes\)"):
        geometry.riemann_length(P)


@pytest.mark.parametrize("n_checkpoints", [1, 2, 3])
def test_length_of_logits_is_an_error(n_checkpoints: int) -> None:
    """However many checkpoints there are."""
    with pytest.raises(ValueError, match="logits"):
        geometry.riemann_length([[[3.0, -2.0]]] * n_checkpoints)


# ---------------------------------------------------------------------------------------------------------------------
# Reindexing
# ---------------------------------------------------------------------------------------------------------------------

levels = st.lists(st.integers(0, 8), min_size=1, max_size=7).map(lambda values: np.array(values) / 8)


@given(progress=levels)
def test_records_rise_above_everything_before(progress: np.ndarray) -> None:
    """By definition; ties are no records, the first always is one."""
    expected = [k for k in range(len(progress)) if all(progress[j] < progress[k] for j in range(k))]
    assert geometry.progress_records(progress).tolist() == expected
    assert expected[0] == 0


@pytest.mark.parametrize("progress", [[], [0.1, math.nan], [0.1, math.inf], [[0.1, 0.2]], 0.5])
def test_records_of_anything_else_are_errors(progress) -> None:
    """A list of finite numbers is wanted."""
    with pytest.raises(ValueError, match="list of finite numbers"):
        geometry.progress_records(progress)


@st.composite
def trajectories(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, N, C) with any progress (T,): falls, ties and repeated checkpoints included."""
    progress = draw(levels)
    return draw(points(count=len(progress))), progress


@given(run=trajectories(), share=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_reindex_equals_the_plain_definition(run: tuple[np.ndarray, np.ndarray], share: list[float]) -> None:
    """The first checkpoint whose progress exceeds t, and the furthest before it."""
    P, progress = run
    low, high = progress[0], progress.max()
    grid = [min(low + s * (high - low), high) for s in share]
    expected = np.reshape(plain.reindex(P.tolist(), progress.tolist(), grid), (len(grid), *P.shape[1:]))
    np.testing.assert_allclose(geometry.reindex(P, progress, grid), expected, rtol=0, atol=1e-6)


@given(run=trajectories())
def test_reindex_passes_through_the_records(run: tuple[np.ndarray, np.ndarray]) -> None:
    """At their progress it gives the checkpoints themselves; at ties the first."""
    P, progress = run
    records = geometry.progress_records(progress)
    read = geometry.reindex(P, progress, progress[records])
    np.testing.assert_allclose(read, P[records], rtol=1e-12, atol=2e-7)
    np.testing.assert_allclose(read[:-1], P[records[:-1]], rtol=1e-14, atol=1e-300)


@given(run=trajectories(), seed=seeds)
def test_reindex_uses_the_running_maximum(run: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """Checkpoints that are no records may predict anything."""
    P, progress = run
    records = geometry.progress_records(progress)
    other = np.random.default_rng(seed).dirichlet(np.ones(P.shape[2]), P.shape[:2])
    other[records] = P[records]
    grid = np.linspace(progress[0], progress.max(), 5)
    read = geometry.reindex(P, progress, grid)
    np.testing.assert_array_equal(geometry.reindex(other, progress, grid), read)
    np.testing.assert_array_equal(geometry.reindex(P[records], progress[records], grid), read)


@given(space=labelled_spaces(), inner=st.lists(st.floats(0.01, 0.99), max_size=4), seed=seeds)
def test_reindex_of_a_geodesic_is_the_geodesic(space: tuple[np.ndarray, int], inner: list[float], seed: int) -> None:
    """Wherever its checkpoints lie."""
    labels, n_classes = space
    ends = geometry.ignorance(len(labels), n_classes), geometry.truth(labels, n_classes)
    progress = np.sort([0.0, *inner, 1.0])
    grid = np.random.default_rng(seed).uniform(0, 1, 4)
    read = geometry.reindex(geometry.geodesic(*ends, progress), progress, grid)
    np.testing.assert_allclose(read, geometry.geodesic(*ends, grid), rtol=0, atol=1e-6)


def test_reindex_of_a_run_that_falls_back() -> None:
    """By hand: 0.1, 0.5, 0.3 (skipped), 0.5 (a tie, skipped), 0.9."""
    rng = np.random.default_rng(0)
    P = rng.dirichlet(np.ones(3), (5, 4))
    read = geometry.reindex(P, [0.1, 0.5, 0.3, 0.5, 0.9], [0.1, 0.3, 0.5, 0.8, 0.9])
    expected = [
        P[0],
        geometry.geodesic(P[0], P[1], 0.5),
        P[1],
        geometry.geodesic(P[1], P[4], 0.75),
        P[4],
    ]
    np.testing.assert_allclose(read, expected, rtol=0, atol=1e-12)


def test_reindex_passes_through_records_that_almost_coincide() -> None:
    """Nearer than the angle below which a geodesic stays where it is: each is still read at its own progress."""
    first = np.array([[0.3, 0.7]])
    second = first + np.array([[1e-9, -1e-9]])
    read = geometry.reindex([first, second, [[0.5, 0.5]]], [0.1, 0.2, 0.3], [0.1, 0.2])
    np.testing.assert_allclose(read, [first, second], rtol=0, atol=1e-15)


def test_reindex_of_a_single_level() -> None:
    """A run that never gets further has one point, the first; nothing else can be asked of it."""
    P = np.random.default_rng(0).dirichlet(np.ones(3), (3, 4))
    read = geometry.reindex(P, [0.4, 0.4, 0.2], [0.4, 0.4])
    np.testing.assert_allclose(read, [P[0], P[0]], rtol=1e-14)
    with pytest.raises(ValueError, match="not extrapolated"):
        geometry.reindex(P, [0.4, 0.4, 0.2], [0.3])


def test_reindex_at_no_place_is_empty() -> None:
    """As for geodesic."""
    P = np.random.default_rng(0).dirichlet(np.ones(3), (3, 4))
    assert geometry.reindex(P, [0.1, 0.2, 0.3], []).shape == (0, 4, 3)


@pytest.mark.parametrize(
    "grid", [[0.0999], [0.8001], [0.2, 0.9], [0.0, 0.2], [math.nan], [0.2, math.nan], 0.2, [[0.2]]]
)
def test_reindex_never_extrapolates(grid) -> None:
    """Before the first checkpoint or beyond the furthest (here not the last) is an error that says the range."""
    P = np.random.default_rng(0).dirichlet(np.ones(3), (3, 4))
    with pytest.raises(ValueError, match=r"between 0\.1 and 0\.8.*not extrapolated"):
        geometry.reindex(P, [0.1, 0.8, 0.5], grid)


@pytest.mark.parametrize(("n_progress", "ndim"), [(2, 3), (4, 3), (4, 2)])
def test_reindex_wants_one_progress_a_checkpoint(n_progress: int, ndim: int) -> None:
    """The message says which shapes were met."""
    P = np.full((3, 4, 2)[-ndim:], 0.5)
    with pytest.raises(ValueError, match="one progress a checkpoint"):
        geometry.reindex(P, np.linspace(0, 1, n_progress), [0.5])


# ---------------------------------------------------------------------------------------------------------------------
# Distance of two trajectories
# ---------------------------------------------------------------------------------------------------------------------


def run_like(seed: int, lengths: int = 5, low: float = 0.0, high: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A random run (T, 3, 4) and a progress (T,) with a fall in it."""
    rng = np.random.default_rng(seed)
    progress = np.linspace(low, high, lengths)
    progress[1:-1] = rng.permutation(progress[1:-1])
    return rng.dirichlet(np.ones(4), (lengths, 3)), progress


@given(seed=seeds)
def test_a_trajectory_is_at_distance_zero_from_itself(seed: int) -> None:
    """Exactly, all along the curve; also the mean of several runs, also float16."""
    runs, progress = zip(*(run_like(seed + k) for k in range(2)), strict=True)
    for dtype in (np.float16, np.float64):
        same = [run.astype(dtype) for run in runs]
        result = geometry.trajectory_distance(same, same, progress, progress, n_points=7)
        assert result.distance == 0.0
        np.testing.assert_array_equal(result.curve, np.zeros(7))


@given(seed=seeds, n_points=st.integers(2, 9))
def test_distance_equals_the_plain_definition(seed: int, n_points: int) -> None:
    """Two runs against three, of unequal lengths and ranges: grid, curve and integral."""
    U, progress_u = zip(run_like(seed, 5), run_like(seed + 1, 6, 0.1, 0.9), strict=True)
    V, progress_v = zip(*(run_like(seed + k, 2 + k, 0.05, 0.8 + 0.05 * k) for k in (2, 3, 4)), strict=True)
    result = geometry.trajectory_distance(U, V, progress_u, progress_v, n_points)
    distance, grid, curve = plain.trajectory_distance(
        *([run.tolist() for run in runs] for runs in (U, V, progress_u, progress_v)), n_points
    )
    np.testing.assert_allclose(result.grid, grid, rtol=1e-14)
    np.testing.assert_allclose(result.curve, curve, rtol=1e-9, atol=1e-12)
    assert result.distance == pytest.approx(distance, rel=1e-9)


@given(seed=seeds)
def test_distance_is_symmetric(seed: int) -> None:
    """Grid and curve too."""
    (U, t_u), (V, t_v) = run_like(seed), run_like(seed + 1, 6, 0.1, 0.9)
    there = geometry.trajectory_distance([U], [V], [t_u], [t_v])
    back = geometry.trajectory_distance([V], [U], [t_v], [t_u])
    assert there.distance == back.distance > 0
    np.testing.assert_array_equal(there.grid, back.grid)
    np.testing.assert_array_equal(there.curve, back.curve)


def test_the_common_range_is_reported() -> None:
    """From the latest start to the earliest furthest point, to the last digit; by default at 51 values.

    A run that ends before its furthest point, and one that falls back behind its start.
    """
    (U, _), (V, _) = run_like(0, 3), run_like(1, 3)
    result = geometry.trajectory_distance([U], [V], [[0.1, 0.7, 0.3]], [[0.2, 0.05, 1.0]])
    assert (result.grid[0], result.grid[-1]) == (0.2, 0.7)
    np.testing.assert_allclose(np.diff(result.grid), 0.01, rtol=1e-9)
    assert result.curve.shape == result.grid.shape == (51,)
    assert result.distance == pytest.approx(np.trapezoid(result.curve, result.grid), rel=1e-14)


def test_every_run_narrows_the_common_range() -> None:
    """Not only the first of either side."""
    (U, t), (late, t_late), (short, t_short) = run_like(0), run_like(1, 5, 0.3, 1.0), run_like(2, 5, 0.0, 0.6)
    result = geometry.trajectory_distance([U, late], [U, short], [t, t_late], [t, t_short])
    assert (result.grid[0], result.grid[-1]) == (0.3, 0.6)


def test_distance_of_two_known_curves() -> None:
    """One sample on two great circles from one point: cos of the angle between them is known, and so the integral."""
    t = np.linspace(0, 1, 11)
    start = [[0.0, 0.0, 1.0]]
    U, V = (geometry.geodesic(start, [end], t) for end in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    result = geometry.trajectory_distance([U], [V], [0.5 * t], [0.5 * t], n_points=26)
    np.testing.assert_allclose(result.curve[:-1], -2 * np.log(np.cos(result.grid[:-1] * math.pi)), rtol=0, atol=1e-9)
    assert result.curve[-1] == pytest.approx(-math.log(1e-9), abs=1e-6)


def test_runs_are_averaged_before_the_distance() -> None:
    """Two seeds that lie left and right of a third average to it: their mean is nearer than either."""
    t = np.array([0.0, 1.0])
    middle = np.array([[[0.5, 0.5]], [[0.5, 0.5]]])
    left, right = np.array([[[0.3, 0.7]], [[0.3, 0.7]]]), np.array([[[0.7, 0.3]], [[0.7, 0.3]]])
    assert geometry.trajectory_distance([left], [middle], [t], [t]).distance > 0.01
    assert geometry.trajectory_distance([left, right], [middle], [t, t], [t]).distance == pytest.approx(0, abs=1e-15)
    assert geometry.trajectory_distance([left, left, right], [middle], [t] * 3, [t]).distance > 1e-3


def test_order_of_seeds_does_not_matter() -> None:
    """On either side."""
    runs, progress = zip(*(run_like(k) for k in range(4)), strict=True)
    one = geometry.trajectory_distance(runs[:2], runs[2:], progress[:2], progress[2:])
    other = geometry.trajectory_distance(runs[1::-1], runs[:1:-1], progress[1::-1], progress[:1:-1])
    assert one.distance == pytest.approx(other.distance, rel=1e-14)


@pytest.mark.parametrize(("high", "low"), [(0.4, 0.5), (0.5, 0.5)])
def test_no_common_range_is_an_error(high: float, low: float) -> None:
    """Nor is a range of one point one; the message names both ends."""
    (U, t_u), (V, t_v) = run_like(0, 4, 0.0, high), run_like(1, 4, low, 1.0)
    with pytest.raises(ValueError, match=rf"no range of progress: {low} is where .* starts, {high} .* ends"):
        geometry.trajectory_distance([U], [V], [t_u], [t_v])


def test_distance_refuses_what_it_cannot_compare() -> None:
    """No run, too few points, lists that do not match, progress that is none, another space."""
    U, t = run_like(0)
    with pytest.raises(ValueError, match="at least one run"):
        geometry.trajectory_distance([], [U], [], [t])
    with pytest.raises(ValueError, match="at least one run"):
        geometry.trajectory_distance([U], [], [t], [])
    with pytest.raises(ValueError, match="progress must be given for each run, of 1 and 1 there is that of 0 and 1"):
        geometry.trajectory_distance([U], [U], [], [t])
    with pytest.raises(ValueError, match="n_points must be at least 2, got 1"):
        geometry.trajectory_distance([U], [U], [t], [t], n_points=1)
    with pytest.raises(ValueError, match="of 2 and 1 there is that of 1 and 1"):
        geometry.trajectory_distance([U, U], [U], [t], [t])
    with pytest.raises(ValueError, match="one progress a checkpoint"):
        geometry.trajectory_distance([U], [U], [t], [t[:-1]])
    with pytest.raises(ValueError, match=r"no range|finite"):
        geometry.trajectory_distance([U], [U], [t], [np.full_like(t, math.nan)])
    with pytest.raises(ValueError, match="different prediction spaces"):
        geometry.trajectory_distance([U], [U[:, :2]], [t], [t])
