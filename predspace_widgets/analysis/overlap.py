"""Are tasks that share classes near each other? The overlap of class sets, and a permutation test of two matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from predspace_widgets.geometry.probabilities import Array


def class_overlap(task_classes: Mapping[str, Collection[str]]) -> xr.DataArray:
    """Jaccard index of the class sets of tasks: the share of the classes of either that both have.

    Parameters
    ----------
    task_classes : mapping of task to class names

    Returns
    -------
    xarray.DataArray
        (task, other), 1 on the diagonal.

    Raises
    ------
    ValueError
        A task without a class.

    Examples
    --------
    >>> class_overlap({"low": "01", "even": "02"}).values.round(3)
    array([[1.   , 0.333],
           [0.333, 1.   ]])
    """
    sets = {task: set(classes) for task, classes in task_classes.items()}
    for task, classes in sets.items():
        if not classes:
            raise ValueError(f"task {task!r} has no class")
    shares = [[len(a & b) / len(a | b) for b in sets.values()] for a in sets.values()]
    return xr.DataArray(
        shares, dims=("task", "other"), coords={"task": list(sets), "other": list(sets)}, name="overlap"
    )


class MantelTest(NamedTuple):
    """Result of `mantel_test`.

    Attributes
    ----------
    correlation : float
        Spearman's, of the entries above the diagonal.
    p_value : float
        Share of relabellings, the identity among them, with a correlation as large.
    n_permutations : int
        How many relabellings were looked at.
    exact : bool
        Whether these were all there are.
    """

    correlation: float
    p_value: float
    n_permutations: int
    exact: bool


def mantel_test(first: ArrayLike, second: ArrayLike, n_permutations: int = 10_000, seed: int = 0) -> MantelTest:
    """Whether two matrices of the same things rise together, by permuting the names of the things in one of them.

    The entries of such a matrix are not independent (each thing is in many pairs), so no p-value of a correlation
    holds; relabelling keeps that dependence (Mantel, Cancer Research 1967; ranks as Dietz, Systematic Zoology 1983).
    One-sided: small p-values say that large entries go with large ones.

    Parameters
    ----------
    first, second : array, shape (K, K)
        Symmetric; the diagonal does not count.
    n_permutations : int
        Random relabellings, if there are more than this; otherwise each is tried once and the test is exact.
    seed : int
        Of the random relabellings.

    Returns
    -------
    MantelTest

    Raises
    ------
    ValueError
        The matrices are not square, not symmetric, not finite off the diagonal, of different or fewer than three
        things, or all entries of one are equal.

    Examples
    --------
    >>> distances = [[0, 1, 4], [1, 0, 2], [4, 2, 0]]
    >>> mantel_test(distances, distances).p_value  # of the 6 orders only the given one fits as well
    0.16666666666666666
    """
    ranks, other = _ranks(first), _ranks(second)
    if ranks.shape != other.shape:
        raise ValueError(f"the matrices are of different things: shapes {ranks.shape} and {other.shape}")
    n_things = len(ranks)
    exact = math.factorial(n_things) <= n_permutations
    above = np.triu_indices(n_things, 1)
    measured = float((ranks[above] * other[above]).sum())
    n_tried = n_reached = 0
    for order in _all_orders(n_things) if exact else _random_orders(n_things, n_permutations, seed):
        shuffled = other[np.ix_(order, order)]
        n_tried += 1
        n_reached += bool((ranks[above] * shuffled[above]).sum() >= measured - 1e-12)
    return MantelTest(measured, n_reached / n_tried, n_tried, exact)


def _all_orders(n_things: int) -> Iterator[NDArray[np.int64]]:
    return (np.array(order) for order in itertools.permutations(range(n_things)))


def _random_orders(n_things: int, count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """The identity, then random orders."""
    random = np.random.default_rng(seed)
    yield np.arange(n_things)
    yield from (random.permutation(n_things) for _ in range(count - 1))


def _ranks(matrix: ArrayLike) -> Array:
    """The matrix with the ranks of its entries above the diagonal, standardised to mean 0 and sum of squares 1."""
    values = np.array(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or len(values) < 3:
        raise ValueError(f"the matrices must be square, of at least three things, got shape {values.shape}")
    np.fill_diagonal(values, 0.0)
    if not np.all(np.isfinite(values)) or not np.allclose(values, values.T):
        raise ValueError("the matrices must be symmetric and finite off the diagonal")
    above = np.triu_indices(len(values), 1)
    ranks = rankdata(values[above])
    ranks -= ranks.mean()
    norm = np.sqrt(np.square(ranks).sum())
    if norm == 0:
        raise ValueError("all entries of a matrix are equal: nothing can rise with them")
    standardised = np.zeros_like(values)
    standardised[above] = ranks / norm
    return standardised + standardised.T
