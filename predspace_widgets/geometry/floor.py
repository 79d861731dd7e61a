"""What chance between seeds makes of a comparison of two curves: its floor, and p by relabelling runs.

Seeds of one training differ by chance alone. Nothing that they differ by can count as a difference of two trainings,
and two means over seeds are nearer to each other than two seeds are: so the floor is that of the same statistic, on the
same range of progress, of means over as many seeds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry.curves import TrajectoryDistance, common_grid, reindex
from predspace_widgets.geometry.probabilities import Array

#: So many relabellings are all tried; of more, this many are drawn.
MOST_RELABELLINGS = 1000


def seed_floor(U: Sequence[ArrayLike], progress_u: Sequence[ArrayLike], n_points: int = 51) -> TrajectoryDistance:
    """How far the seeds of one curve are apart at equal progress: each against the mean of all others, averaged.

    Parameters
    ----------
    U : list of arrays, each of shape (T_i, N, C)
        At least two runs.
    progress_u : list of arrays, each of shape (T_i,)
    n_points : int
        Number of grid points over the range of progress that all runs cover.

    Returns
    -------
    TrajectoryDistance

    Raises
    ------
    ValueError
        Fewer than two runs, no common range of progress, or fewer than two grid points.

    Examples
    --------
    >>> from predspace_widgets.geometry import geodesic, ignorance, truth
    >>> run = geodesic(ignorance(2, 3), truth([0, 2], 3), [0.0, 0.5, 1.0])
    >>> seed_floor([run, run], [[0.0, 0.5, 1.0]] * 2).distance
    0.0
    """
    if len(U) < 2:
        raise ValueError(f"the floor between seeds needs at least two runs, got {len(U)}")
    grid = common_grid(progress_u, n_points)
    points = np.stack([reindex(run, values, grid) for run, values in zip(U, progress_u, strict=True)])  # (R, K, N, C)
    return TrajectoryDistance.along(grid, one_against_others(points))


def one_against_others(points: Array) -> Array:
    """d_B of each run to the mean of all others, averaged over the runs.

    Parameters
    ----------
    points : array, shape (R, ..., N, C)
        Probabilities of R runs, at least two.

    Returns
    -------
    array, shape (...)
    """
    one = np.eye(len(points), dtype=bool)
    return np.asarray(between_means(points, one, ~one).mean(axis=0))


def matched_floor(U: Array, V: Array, n_first: int | None = None, n_second: int | None = None) -> Array | None:
    """What d_B between the mean of n runs and the mean of m others would be if chance alone made it.

    d_B of one run to the mean of k - 1 others grows with the variance s of a single run as s (1 + 1/(k - 1)), that of
    the two means as s_U/n + s_V/m: each side's s is measured on its own runs, or taken from the other side where it has
    one run only. This holds where runs are near enough for d_B to be quadratic; two curves of one task, simulated, are
    at 1.0 times this floor within a few per cent.

    Parameters
    ----------
    U, V : arrays, shapes (n, ..., N, C) and (m, ..., N, C)
        Probabilities of the runs of either side.
    n_first, n_second : int, optional
        Numbers of runs that the sides average, where these are not all of U and of V: of one run alone, what chance
        makes is measured on all runs of its curve.

    Returns
    -------
    array, shape (...), or None
        None where neither side has two runs: nothing says what chance makes then.

    Examples
    --------
    >>> runs = np.array([[[0.5, 0.5]], [[0.6, 0.4]]])
    >>> float((matched_floor(runs, runs) / one_against_others(runs)).round(3))  # (1/2 + 1/2) / (1 + 1/1)
    0.5
    """
    variances = [one_against_others(runs) / (1 + 1 / (len(runs) - 1)) if len(runs) > 1 else None for runs in (U, V)]
    known = [variance for variance in variances if variance is not None]
    if not known:
        return None
    of_u, of_v = (known[0] if variance is None else variance for variance in variances)
    return of_u / (n_first or len(U)) + of_v / (n_second or len(V))


def of_both_sides(values: ArrayLike) -> tuple[Array, Array]:
    """What is known of either side of all pairs of M curves, (M, M) each: a side without its own takes the other's.

    Parameters
    ----------
    values : array, shape (M,)
        Of each curve what chance makes of its runs, NaN where it has one run.

    Examples
    --------
    >>> first, second = of_both_sides([1.0, np.nan])
    >>> first.tolist(), second.tolist()
    ([[1.0, 1.0], [1.0, nan]], [[1.0, 1.0], [1.0, nan]])
    """
    first, second = np.meshgrid(values, values, indexing="ij")
    return np.where(np.isnan(first), second, first), np.where(np.isnan(second), first, second)


class Relabellings(NamedTuple):
    """Result of `relabellings`.

    Attributes
    ----------
    is_first : array of bool, shape (S, n + m)
        Which runs are on the first side; the given labels come first.
    exact : bool
        Whether these are all the ways that differ.
    """

    is_first: NDArray[np.bool_]
    exact: bool


def n_relabellings(n_first: int, n_second: int) -> int:
    """In how many ways that differ n + m runs split into n and m.

    Examples
    --------
    >>> n_relabellings(5, 5), n_relabellings(12, 12)
    (126, 1352078)
    """
    return math.comb(n_first + n_second, n_first) // (1 + (n_first == n_second))


def relabellings(n_first: int, n_second: int, seed: int = 0, most: int = MOST_RELABELLINGS) -> Relabellings:
    """Ways to split n + m runs into n and m: all of them if they can be counted, else some drawn at random.

    Where n equals m a split and its mirror image give the same distance, and one of the two is left out.

    Parameters
    ----------
    n_first, n_second : int
        At least 1.
    seed : int
        Of the draws.
    most : int
        So many are all tried; of more, this many are drawn.

    Returns
    -------
    Relabellings

    Examples
    --------
    >>> [len(relabellings(n, m).is_first) for n, m in ((1, 1), (1, 3), (3, 3), (5, 5))]
    [1, 4, 10, 126]
    """
    n_runs, mirrored = n_first + n_second, n_first == n_second
    given = np.arange(n_runs) < n_first
    if n_relabellings(n_first, n_second) <= most:
        chosen = itertools.combinations(range(n_runs), n_first)  # the given one comes first
        splits = [members for members in chosen if not mirrored or members[0] == 0]
        is_first = np.zeros((len(splits), n_runs), dtype=bool)
        np.put_along_axis(is_first, np.array(splits), True, axis=1)
        return Relabellings(is_first, True)
    random = np.random.default_rng(seed)
    drawn = [random.permutation(given) for _ in range(most - 1)]
    return Relabellings(np.stack([given, *drawn]), False)


def relabelled_distances(points: Array, is_first: NDArray[np.bool_]) -> Array:
    """d_B between the means of the two sides, for each way to split the runs.

    Parameters
    ----------
    points : array, shape (R, K, N, C)
        Probabilities of all runs.
    is_first : array of bool, shape (S, R)
        From `relabellings`.

    Returns
    -------
    array, shape (S, K)
    """
    return between_means(points, is_first, ~is_first)


def p_value(statistics: ArrayLike) -> float:
    """Share of relabellings, the given labels among them, with a statistic as large as the given labels'.

    Parameters
    ----------
    statistics : array, shape (S,)
        The given labels' first.

    Examples
    --------
    >>> p_value([3.0, 1.0, 2.0, 3.0])
    0.5
    """
    values = np.asarray(statistics, dtype=np.float64)
    # Relabellings that mirror each other differ by rounding.
    return float(np.mean(values >= values[0] * (1 - 1e-9)))


def between_means(points: Array, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Array:
    """d_B (S, ...) between the means of some and of some other runs (S, R), of probabilities (R, ..., N, C)."""
    from predspace_widgets.geometry import kernel  # late: numba takes a while to import

    # Others are summed rather than subtracted from the sum of all, which would lose the digits of small probabilities.
    weights = (sides / sides.sum(axis=1, keepdims=True) for sides in (first, second))  # (S, R)
    flat = points.reshape(len(points), -1, *points.shape[-2:])  # (R, K, N, C)
    return kernel.distances_of_means(flat, *weights).reshape(len(first), *points.shape[1:-2])
