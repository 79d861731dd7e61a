"""How much each sample contributes to a Bhattacharyya distance, which is a mean over samples and so splits exactly."""

from __future__ import annotations

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry.distance import minus_log_overlaps
from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE, Array, as_probabilities, check_same_space

# Probabilities from which on the samples are shared among threads, of which more than so many only wait for memory.
_FOR_THREADS = 2**21
_MOST_THREADS = 8


def contributions(P: ArrayLike, Q: ArrayLike) -> Array:
    """Contribution of each sample to the Bhattacharyya distance, -log max(b_n, FLOOR), in nats.

    Their mean over samples is d_B(P, Q); see `predspace_widgets.geometry.bhattacharyya`.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast. float32 is read as it is, never copied whole to float64.

    Returns
    -------
    array, shape (..., N)
        In [0, -log FLOOR]; 0 where the predictions of a sample coincide.

    Raises
    ------
    ValueError
        P or Q are no probabilities (see `as_probabilities`), or differ in samples or classes.

    Examples
    --------
    >>> contributions([[0.5, 0.5], [0.5, 0.5]], [[1.0, 0.0], [0.5, 0.5]]).round(6)
    array([0.346574, 0.      ])
    """
    return minus_log_overlaps(deficits(P, Q))


def deficits(P: ArrayLike, Q: ArrayLike) -> Array:
    """1 - b_n of the overlaps of two predictions, (..., N, C) -> (..., N): all that distances need of them."""
    p, q = _as_floats(P), _as_floats(Q)
    check_same_space(p.shape, q.shape)
    if p.ndim < 2 or q.ndim < 2 or 0 in p.shape[-2:]:
        as_probabilities(p, "P")  # which says what is wrong
        as_probabilities(q, "Q")
    leading = np.broadcast_shapes(p.shape[:-2], q.shape[:-2])
    result = np.empty((*leading, p.shape[-2]))
    for place in np.ndindex(leading):
        of_p, of_q = (values[_in_broadcast(place, values.shape[:-2])] for values in (p, q))  # (N, C)
        _fill_deficits(np.ascontiguousarray(of_p), np.ascontiguousarray(of_q), result[place])
    return result


def true_probabilities(P: ArrayLike, labels: ArrayLike) -> Array:
    """Probability of the true class of each sample; its square root is the overlap with the truth.

    Parameters
    ----------
    P : array, shape (..., N, C)
        Probabilities, divided by the sum of their row.
    labels : array of int, shape (N,)

    Returns
    -------
    array, shape (..., N)

    Examples
    --------
    >>> true_probabilities([[0.25, 0.75]], [0])
    array([0.25])
    """
    values, index = np.asarray(P), np.asarray(labels)
    of_true = values[..., np.arange(len(index)), index].astype(np.float64)  # (..., N)
    return np.asarray(of_true / values.sum(axis=-1, dtype=np.float64))


def sums_by_group(values: ArrayLike, groups: ArrayLike, n_groups: int) -> Array:
    """Sum of values (N,) over each of some groups, (n_groups,); 0 of a group without a value.

    Parameters
    ----------
    values : array, shape (N,)
    groups : array of int, shape (N,)
        The group of each value, such as the true class of a sample.
    n_groups : int

    Examples
    --------
    >>> sums_by_group([1.0, 2.0, 4.0], [0, 2, 0], 3)
    array([5., 0., 2.])
    """
    weights = np.asarray(values, dtype=np.float64)
    return np.bincount(np.asarray(groups), weights, minlength=n_groups).astype(np.float64)


def sums_by_pair(values: ArrayLike, first: ArrayLike, second: ArrayLike, n_groups: int) -> Array:
    """Sum of values (N,) over each pair of groups, such as (true, predicted) class, (n_groups, n_groups).

    Examples
    --------
    >>> sums_by_pair([1.0, 2.0, 4.0], [0, 1, 0], [1, 1, 1], 2)
    array([[0., 5.],
           [0., 2.]])
    """
    pairs = np.asarray(first).astype(np.intp) * n_groups + np.asarray(second)
    return sums_by_group(values, pairs, n_groups**2).reshape(n_groups, n_groups)


def n_for_share(values: ArrayLike, share: float = 0.5) -> int:
    """How many of some values, the largest first, make up a share of their sum; 0 where all are 0.

    Parameters
    ----------
    values : array, shape (N,)
        None negative.
    share : float
        In (0, 1].

    Examples
    --------
    >>> n_for_share([1.0, 5.0, 2.0, 1.0]), n_for_share([0.0, 0.0])
    (1, 0)
    """
    reached = np.cumsum(np.sort(np.asarray(values, dtype=np.float64))[::-1])
    total = reached[-1] if len(reached) else 0.0
    return int(np.searchsorted(reached, share * total)) + 1 if total > 0 else 0


def _as_floats(predictions: ArrayLike) -> NDArray[Any]:
    """Predictions as the compiled loop reads them: float32 and float64 as they are."""
    values = np.asarray(predictions)
    if values.dtype in (np.float32, np.float64):
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return values.astype(np.float32 if values.dtype == np.float16 else np.float64)


def _in_broadcast(place: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Where an array of leading dimensions `shape` has what broadcasts to a place."""
    own = place[len(place) - len(shape) :]
    return tuple(0 if size == 1 else index for index, size in zip(own, shape, strict=True))


def _fill_deficits(p: NDArray[Any], q: NDArray[Any], to: Array) -> None:
    """Write 1 - b_n of probabilities (N, C) to an array (N,)."""
    from predspace_widgets.geometry import kernel  # late: numba takes most of a second to import

    def fill(samples: slice) -> bool:
        filled: bool = kernel.deficits_of_overlaps(p[samples], q[samples], ROW_SUM_TOLERANCE, to[samples])
        return filled

    n_threads = min(os.cpu_count() or 1, _MOST_THREADS) if p.size > _FOR_THREADS else 1
    edges = [len(p) * k // n_threads for k in range(n_threads + 1)]
    slices = [slice(*pair) for pair in itertools.pairwise(edges)]
    if n_threads == 1:
        is_filled = fill(slices[0])
    else:
        with ThreadPoolExecutor(n_threads) as pool:
            is_filled = all(pool.map(fill, slices))
    if not is_filled:  # what is wrong, or else the sums of rows are just off by rounding
        first, second = as_probabilities(p, "P"), as_probabilities(q, "Q")
        to[:] = np.minimum(np.square(np.sqrt(first) - np.sqrt(second)).sum(axis=-1) / 2, 1.0)
