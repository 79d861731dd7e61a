"""Great circles between predictions, and how far along the one from ignorance to truth a network has come."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry.distance import angles
from predspace_widgets.geometry.probabilities import (
    FLOOR,
    ROW_SUM_TOLERANCE,
    Array,
    as_probabilities,
    check_same_space,
)

ProgressMetric = Literal["bhattacharyya", "great_circle"]

#: Below this angle (radians) the two ends of a great circle are one point.
COINCIDE = 1e-7
# Probabilities that are worked on at a time: few to hold a copy of, many to search at once.
_BLOCK = 2**21


def geodesic(P: ArrayLike, Q: ArrayLike, t: ArrayLike) -> Array:
    """Points on the geodesic from P to Q: sample by sample, the great circle between the square roots.

    sqrt(P^t_n) = [sin((1-t) g_n) sqrt(P_n) + sin(t g_n) sqrt(Q_n)] / sin(g_n), with g_n the angle between them
    (Ramesh et al. 2023, arXiv:2210.17011; slerp). Where g_n is 0 it stays at P_n.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.
    t : float or array, shape (K,)
        Where on the geodesic, in [0, 1]: 0 is P, 1 is Q.

    Returns
    -------
    array, shape (..., N, C), or (K, ..., N, C) for K values of t
        Probabilities; the distance d_G from P is t times that from P to Q.

    Raises
    ------
    ValueError
        P or Q are no probabilities or differ in samples or classes; t outside [0, 1].

    Examples
    --------
    >>> geodesic([[1.0, 0.0]], [[0.0, 1.0]], 0.5).round(6)
    array([[0.5, 0.5]])
    """
    times = np.asarray(t, dtype=np.float64)
    if times.ndim > 1 or not np.all((times >= 0) & (times <= 1)):
        raise ValueError(f"t must be a number or a list of numbers in [0, 1], got {t!r}")
    p, q = as_probabilities(P, "P"), as_probabilities(Q, "Q")
    check_same_space(p.shape, q.shape)
    return great_circle_points(p, q, times.reshape(times.shape + (1,) * max(p.ndim, q.ndim)))


def great_circle_points(p: Array, q: Array, times: Array) -> Array:
    """`geodesic` of probabilities that were read already, at times that broadcast with their (..., N, C)."""
    root_p, root_q = np.sqrt(p), np.sqrt(q)
    half_chord = np.sqrt(np.square(root_p - root_q).sum(axis=-1, keepdims=True)) / 2  # (..., N, 1)
    angle = 2 * np.arcsin(np.minimum(half_chord, np.sqrt(0.5)))
    apart = angle > COINCIDE
    sine = np.sin(np.where(apart, angle, 1.0))
    weight_p = np.where(apart, np.sin((1 - times) * angle) / sine, 1.0)
    weight_q = np.where(apart, np.sin(times * angle) / sine, 0.0)
    points = np.square(weight_p * root_p + weight_q * root_q)
    points /= points.sum(axis=-1, keepdims=True)  # (K, ..., N, C); rounding only
    return points


def progress(P: ArrayLike, start: ArrayLike, end: ArrayLike, metric: ProgressMetric = "bhattacharyya") -> Array:
    """Geometric progress: where on the geodesic from `start` to `end` the point nearest to P lies.

    The argmin over t in [0, 1] of d(P, P^t), P^t the geodesic. The talk minimises d_G, the published code d_B; a mean
    angle behaves like a median and calls a confident network finished long before it is right, so d_B is the default.

    Only three overlaps of each sample matter (P with start, P with end, start with end), so the search costs O(N) an
    evaluation and checkpoint whatever C is. Both distances are convex in t (no two predictions are more than pi/2
    apart), so the root of the derivative is found by bisection, for all checkpoints at once.

    Parameters
    ----------
    P : array, shape (..., N, C)
        Probabilities of the checkpoints.
    start, end : array, shape (N, C)
        The ends of the geodesic, usually `ignorance` and `truth`.
    metric : {"bhattacharyya", "great_circle"}
        The distance that is minimised.

    Returns
    -------
    array, shape (...)
        In [0, 1], to about 1e-9. 0 where start and end coincide.

    Raises
    ------
    ValueError
        P, start or end are no probabilities or differ in samples or classes; unknown metric.

    Examples
    --------
    >>> from predspace_widgets.geometry import ignorance, truth
    >>> P_0, P_star = ignorance(2, 3), truth([0, 2], n_classes=3)
    >>> progress(geodesic(P_0, P_star, [0.25, 0.75]), P_0, P_star).round(6)
    array([0.25, 0.75])
    """
    check_progress_metric(metric)
    return progress_and_distance(P, start, end, metric)[0]


def distance_to_geodesic(P: ArrayLike, start: ArrayLike, end: ArrayLike) -> Array:
    """d_B from P to the nearest point of the geodesic from `start` to `end`: how far a training strays from it.

    The minimum over t in [0, 1] of d_B(P, P^t), at the t that `progress` finds (Ramesh et al. 2023: trainings lie in a
    tube around the geodesic).

    Parameters
    ----------
    P, start, end : arrays
        See `progress`, for the errors too.

    Returns
    -------
    array, shape (...)

    Examples
    --------
    >>> from predspace_widgets.geometry import ignorance, truth
    >>> P_0, P_star = ignorance(2, 3), truth([0, 2], n_classes=3)
    >>> distance_to_geodesic(geodesic(P_0, P_star, [0.25, 0.75]), P_0, P_star).round(6)
    array([0., 0.])
    """
    return progress_and_distance(P, start, end, "bhattacharyya")[1]


def progress_and_distance(
    P: ArrayLike, start: ArrayLike, end: ArrayLike, metric: ProgressMetric
) -> tuple[Array, Array]:
    """`progress`, and d_B to the point there, in one pass."""
    values = np.asarray(P)
    root_start, root_end = np.sqrt(as_probabilities(start, "start")), np.sqrt(as_probabilities(end, "end"))
    for root in (root_start, root_end):
        check_same_space(values.shape, root.shape)
    angle = angles(start, end)  # (N,)

    def of_block(checkpoints: NDArray[Any]) -> Array:  # (t, N, C)
        return along_geodesic(*overlaps_with_ends(checkpoints, root_start, root_end), angle, metric)

    flat = values.reshape(-1, *root_start.shape)  # (T, N, C)
    length = max(1, _BLOCK // root_start.size)
    nearest = [of_block(flat[k : k + length]) for k in range(0, len(flat), length)]
    found = np.concatenate([np.empty((2, 0)), *nearest], axis=1)
    return found[0].reshape(values.shape[:-2]), found[1].reshape(values.shape[:-2])


def along_geodesic(with_start: Array, with_end: Array, angle: Array, metric: ProgressMetric) -> Array:
    """Where the nearest points lie, and d_B to them, (2, T); see `nearest_by_overlaps`."""
    nearest = nearest_by_overlaps(with_start, with_end, angle, metric)
    return np.stack([nearest, distance_by_overlaps(with_start, with_end, angle, nearest)])


def check_progress_metric(metric: str) -> None:
    """Raise ValueError, naming the known ones, unless `metric` is one of `progress`."""
    if metric not in get_args(ProgressMetric):
        raise ValueError(f"unknown metric of progress {metric!r}: choose 'bhattacharyya' or 'great_circle'")


def overlaps_with_ends(P: NDArray[Any], root_start: Array, root_end: Array) -> tuple[Array, Array]:
    """Overlaps (t, N) of probabilities (t, N, C) with both ends, given by their roots (N, C), read in one pass."""
    from predspace_widgets.geometry import kernel  # late: numba takes most of a second to import

    if P.dtype not in (np.float32, np.float64):
        P = P.astype(np.float32 if P.dtype == np.float16 else np.float64)
    with_start, with_end = np.empty(P.shape[:2]), np.empty(P.shape[:2])
    ends_and_result = root_start, root_end, ROW_SUM_TOLERANCE, with_start, with_end
    if not kernel.overlaps_with_two(np.ascontiguousarray(P), *ends_and_result):
        kernel.overlaps_with_two(as_probabilities(P), *ends_and_result)  # which says what is wrong, or sums otherwise
    return with_start, with_end


def nearest_by_overlaps(with_start: Array, with_end: Array, angle: Array, metric: ProgressMetric) -> Array:
    """Where on geodesics the nearest points lie, (T,): by overlaps (T, N) with the ends, which are an angle apart."""
    cosine_part, sine_part, angle = _parts(with_start, with_end, angle)
    low, high = np.zeros(len(with_start)), np.ones(len(with_start))
    for _ in range(30):  # 2**-30 is 1e-9
        middle = (low + high) / 2
        turn = middle[:, None] * angle  # (T, N)
        cosine, sine = np.cos(turn), np.sin(turn)
        overlap = cosine_part * cosine + sine_part * sine
        slope = angle * (sine_part * cosine - cosine_part * sine)
        if metric == "bhattacharyya":
            nearer = (slope / np.maximum(overlap, FLOOR)).sum(axis=-1) > 0
        else:
            nearer = (slope / np.sqrt(np.maximum(1 - overlap**2, FLOOR**2))).sum(axis=-1) > 0
        low, high = np.where(nearer, middle, low), np.where(nearer, high, middle)
    return np.where(high == 1.0, 1.0, np.where(low == 0.0, 0.0, (low + high) / 2))


def distance_by_overlaps(with_start: Array, with_end: Array, angle: Array, t: Array) -> Array:
    """d_B from points to those of geodesics at t, (T,): by overlaps (T, N) with the ends, which are an angle apart."""
    cosine_part, sine_part, angle = _parts(with_start, with_end, angle)
    turn = t[:, None] * angle  # (T, N)
    overlap = np.clip(cosine_part * np.cos(turn) + sine_part * np.sin(turn), FLOOR, 1.0)
    return np.asarray(-np.log(overlap).mean(axis=-1))


def _parts(with_start: Array, with_end: Array, angle: Array) -> tuple[Array, Array, Array]:
    """The overlap of P with P^t is cosine_part * cos(t g) + sine_part * sin(t g); and the angles g, one if all are."""
    if np.ptp(angle) < COINCIDE**2:
        angle = angle[:1]  # as from ignorance to truth: one sine and cosine serve all samples
    apart = angle > COINCIDE
    sine_part = np.where(apart, with_end - with_start * np.cos(angle), 0.0) / np.where(apart, np.sin(angle), 1.0)
    return with_start, sine_part, angle
