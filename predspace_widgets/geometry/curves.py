"""Trajectories as curves: their length, their points at equal progress, the distance between two of them.

A trajectory is the sequence P_1 .. P_T of one training. Definitions as in Ramesh et al. (ICML 2023,
arXiv:2210.17011).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.geometry.distance import angles, bhattacharyya
from predspace_widgets.geometry.geodesic import COINCIDE
from predspace_widgets.geometry.probabilities import Array, as_probabilities

LengthMethod = Literal["bhattacharyya", "angle"]


def riemann_length(P: ArrayLike, method: LengthMethod = "bhattacharyya") -> float:
    """Riemann length of a trajectory, L = 2 sum_t sqrt(d_B(P_t, P_{t+1})).

    The discrete form of 2 * integral of sqrt(d_B(P(t), P(t+dt))) of Ramesh et al. (2023); in float64 and by log1p,
    since d_B of neighbouring checkpoints is tiny. Under refinement it tends to the Fisher length / sqrt(2), the Fisher
    length being the integral of sqrt((1/N) sum_nc dP_nc^2 / P_nc); the error falls with the square of the steps. Coarse
    steps inflate it, for d_B = -log cos(angle) is more than angle^2 / 2: a sample that jumps from one class to another
    adds up to 9.1 where its angle adds 2.2. `method="angle"` is sqrt(2) sum_t sqrt((1/N) sum_n angle_n(P_t,
    P_{t+1})^2): it tends to the same, is exact on a geodesic, and never more than any curve through the checkpoints.

    Either grows with the number of noisy checkpoints: compare lengths on equal schedules only.

    Parameters
    ----------
    P : array, shape (T, N, C)
        Probabilities of the checkpoints in order of training.
    method : {"bhattacharyya", "angle"}
        Which of the two sums.

    Returns
    -------
    float
        0 for a constant trajectory and for a single checkpoint.

    Raises
    ------
    ValueError
        P is no (T, N, C) array of probabilities, or holds no checkpoint; unknown method.

    Examples
    --------
    >>> riemann_length([[[0.5, 0.5]], [[0.5, 0.5]]])
    0.0
    >>> round(riemann_length([[[1.0, 0.0]], [[0.0, 1.0]]], method="angle"), 6)  # sqrt(2) pi / 2
    2.221441
    """
    check_length_method(method)
    shape = np.shape(P)
    if len(shape) != 3 or shape[0] == 0:
        raise ValueError(f"P must have shape (checkpoints, samples, classes) with a checkpoint in it, got {shape}")
    points = P if hasattr(P, "__getitem__") else np.asarray(P)
    # A pair at a time: no copy of the whole trajectory. A single checkpoint is compared with itself.
    pairs = ((points[k], points[min(k + 1, shape[0] - 1)]) for k in range(max(shape[0] - 1, 1)))
    return float(sum(np.sqrt(squared_step_lengths(*pair, method)) for pair in pairs))


def squared_step_lengths(P: ArrayLike, Q: ArrayLike, method: LengthMethod = "bhattacharyya") -> Array:
    """Squares of the Riemann lengths of steps from P to Q, (..., N, C) -> (...): they are means over samples."""
    if method == "angle":
        return 2 * np.square(angles(P, Q)).mean(axis=-1)
    return 4 * bhattacharyya(P, Q)


def check_length_method(method: str) -> None:
    """Raise ValueError, naming the known ones, unless `method` is one of `riemann_length`."""
    if method not in get_args(LengthMethod):
        raise ValueError(f"unknown method of a length {method!r}: choose 'bhattacharyya' or 'angle'")


def progress_records(progress: ArrayLike) -> np.ndarray:
    """Indices of the checkpoints that reach further than every one before them.

    Progress falls now and then along training; these are the checkpoints at which its running maximum rises, and the
    only ones that a reindexed trajectory passes through.

    Parameters
    ----------
    progress : array, shape (T,)
        Geometric progress of each checkpoint in order of training.

    Returns
    -------
    array of int, shape (R,)
        Starts with 0.

    Raises
    ------
    ValueError
        Progress is not a list of finite numbers.

    Examples
    --------
    >>> progress_records([0.1, 0.3, 0.2, 0.3, 0.5])
    array([0, 1, 4])
    """
    values = np.asarray(progress, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.all(np.isfinite(values)):
        raise ValueError("progress must be a list of finite numbers, one a checkpoint")
    highest_before = np.concatenate([[-np.inf], np.maximum.accumulate(values)[:-1]])
    return np.flatnonzero(values > highest_before)


def reindex(P: ArrayLike, progress: ArrayLike, grid: ArrayLike) -> Array:
    """Predictions of a trajectory at given values of progress.

    Each is the great-circle interpolation between the two neighbouring checkpoints in progress, on the running
    maximum of progress (the first checkpoint whose progress exceeds the value, and the record before it).

    Parameters
    ----------
    P : array, shape (T, N, C)
        Probabilities of the checkpoints in order of training.
    progress : array, shape (T,)
        Their progress (see `predspace_widgets.geometry.progress`).
    grid : array, shape (K,)
        Values of progress to read the trajectory at.

    Returns
    -------
    array, shape (K, N, C)

    Raises
    ------
    ValueError
        A value of the grid lies outside the range that the trajectory covers (it is never extrapolated), or shapes do
        not fit.

    Examples
    --------
    >>> from predspace_widgets.geometry import ignorance, truth
    >>> P = [ignorance(1, 2), truth([0], 2)]
    >>> reindex(P, [0.0, 1.0], [0.5]).round(4)
    array([[[0.8536, 0.1464]]])
    """
    points = as_probabilities(P)  # (T, N, C)
    values, at = np.asarray(progress, dtype=np.float64), np.asarray(grid, dtype=np.float64)
    if points.ndim != 3 or values.shape != points.shape[:1]:
        raise ValueError(f"P must be (T, N, C) with one progress a checkpoint, got {points.shape} and {values.shape}")
    records = progress_records(values)
    reached = values[records]  # strictly rising
    if at.ndim != 1 or not np.all((at >= reached[0]) & (at <= reached[-1])):
        raise ValueError(
            f"the grid must be a list of numbers between {reached[0]:.6g} and {reached[-1]:.6g}, the progress that "
            "the trajectory covers; it is not extrapolated"
        )
    # The first checkpoint whose progress exceeds the value; at the very end the last one, from the one before it.
    after = np.minimum(np.searchsorted(reached, at, side="right"), len(reached) - 1)
    before = np.maximum(after - 1, 0)
    gap = reached[after] - reached[before]
    part = np.divide(at - reached[before], gap, out=np.zeros_like(at), where=gap > 0)
    from predspace_widgets.geometry import kernel  # late: numba takes a while to import

    passed, place = np.unique([records[before], records[after]], return_inverse=True)
    roots = np.sqrt(points[passed])
    return np.asarray(kernel.between_neighbours(roots, *place.reshape(2, -1), part, COINCIDE))  # (K, N, C)


class TrajectoryDistance(NamedTuple):
    """Result of `trajectory_distance`.

    Attributes
    ----------
    distance : float
        d_traj, the integral of `curve` over `grid`.
    grid : array, shape (K,)
        Values of progress; the first and the last are the range that both trajectories cover.
    curve : array, shape (K,)
        d_B between the two trajectories at equal progress.
    """

    distance: float
    grid: Array
    curve: Array

    @classmethod
    def along(cls, grid: Array, curve: Array) -> Self:
        """The result of a curve over a grid."""
        return cls(float(np.trapezoid(curve, grid)), grid, curve)


def trajectory_distance(
    U: Sequence[ArrayLike],
    V: Sequence[ArrayLike],
    progress_u: Sequence[ArrayLike],
    progress_v: Sequence[ArrayLike],
    n_points: int = 51,
) -> TrajectoryDistance:
    """Distance of two trajectories, d_traj = integral over progress t of d_B(P_u(t), P_v(t)).

    Over the range of progress that all runs cover; that range is part of the result, since a short one flatters. Of
    several runs (seeds) the reindexed predictions are averaged first; averaging shrinks d_B, so compare with the
    distance between seeds of one task.

    Parameters
    ----------
    U, V : list of arrays, each of shape (T_i, N, C)
        The runs of either side; one run is a list of one.
    progress_u, progress_v : list of arrays, each of shape (T_i,)
        Progress of their checkpoints.
    n_points : int
        Number of grid points over the common range.

    Returns
    -------
    TrajectoryDistance

    Raises
    ------
    ValueError
        No run on a side, no common range of progress, or fewer than two grid points.

    Examples
    --------
    >>> from predspace_widgets.geometry import geodesic, ignorance, truth
    >>> P_0 = ignorance(2, 3)
    >>> run = geodesic(P_0, truth([0, 2], 3), [0.0, 0.5, 1.0])
    >>> trajectory_distance([run], [run], [[0.0, 0.5, 1.0]], [[0.0, 0.5, 1.0]]).distance
    0.0
    """
    if len(U) == 0 or len(V) == 0:
        raise ValueError("each side needs at least one run")
    if (len(U), len(V)) != (len(progress_u), len(progress_v)):
        raise ValueError(
            f"progress must be given for each run, of {len(U)} and {len(V)} there is that of {len(progress_u)} and "
            f"{len(progress_v)}"
        )
    grid = common_grid([*progress_u, *progress_v], n_points)
    mean_u = _mean_at(U, progress_u, grid)
    mean_v = _mean_at(V, progress_v, grid)
    curve = bhattacharyya(mean_u, mean_v)  # (K,)
    return TrajectoryDistance.along(grid, curve)


def common_grid(
    progress: Sequence[ArrayLike], n_points: int, progress_range: tuple[float, float] | None = None
) -> Array:
    """Equally spaced values of progress over the range that all of some runs cover, or over a given part of it.

    Parameters
    ----------
    progress : list of arrays, each of shape (T_i,)
    n_points : int
    progress_range : pair of float, optional
        First and last value.

    Returns
    -------
    array, shape (n_points,)

    Raises
    ------
    ValueError
        No common range, one that does not cover the given one, or fewer than two points.
    """
    if n_points < 2:
        raise ValueError(f"n_points must be at least 2, got {n_points}")
    reached = [np.asarray(values, dtype=np.float64) for values in progress]
    low, high = max(values[0] for values in reached), min(values.max() for values in reached)
    if not low < high:
        raise ValueError(
            f"the runs share no range of progress: {low:.3g} is where the last starts, {high:.3g} the first ends"
        )
    if progress_range is None:
        return np.linspace(low, high, n_points)
    if np.shape(progress_range) != (2,):
        raise ValueError(f"progress_range must be two numbers, first and last, not {progress_range!r}")
    first, last = progress_range
    if not low <= first < last <= high:
        raise ValueError(
            f"progress from {first:.6g} to {last:.6g} is not within {low:.6g} to {high:.6g}, which all runs cover"
        )
    return np.linspace(first, last, n_points)


def _mean_at(runs: Sequence[ArrayLike], progress: Sequence[ArrayLike], grid: Array) -> Array:
    """Mean over runs of their predictions at the grid's values of progress, shape (K, N, C)."""
    total = sum(reindex(run, values, grid) for run, values in zip(runs, progress, strict=True))
    return np.asarray(total) / len(runs)
