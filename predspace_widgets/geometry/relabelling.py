"""Two groups of runs compared by one number a run: p by relabelling, and over a family by Holm's correction.

If it makes no difference which group a run is of, every way to label the runs is as likely as the given one. So p is
exact whatever the distribution of the numbers is, as long as all ways can be counted.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.geometry.floor import Relabellings, n_relabellings, p_value, relabellings
from predspace_widgets.geometry.probabilities import Array

#: Of one number a run, so many relabellings are all tried: ten runs against ten.
MOST_OF_NUMBERS = 100_000

# Of the numbers compared: differences so much smaller are rounding.
_ROUNDING = 1e-12


class RelabelledDifference(NamedTuple):
    """Result of `relabelled_difference`.

    Attributes
    ----------
    difference : float
        Mean of the first group less that of the second.
    p_value : float
        Share of relabellings, the given one among them, whose means are at least as far apart.
    smallest_p : float
        The smallest there can be: 1 over the number of relabellings that are tried.
    exact : bool
        Whether all relabellings were tried.
    """

    difference: float
    p_value: float
    smallest_p: float
    exact: bool


def relabelled_difference(
    first: ArrayLike, second: ArrayLike, seed: int = 0, most: int = MOST_OF_NUMBERS
) -> RelabelledDifference:
    """Difference of the means of two groups, and its two-sided p by relabelling runs.

    Parameters
    ----------
    first, second : arrays, shapes (n,) and (m,)
        One number a run.
    seed : int
        Of the relabellings that are drawn.
    most : int
        So many relabellings are all tried; of more, this many are drawn.

    Returns
    -------
    RelabelledDifference
        Its p is NaN where both groups have one run: nothing says what chance makes then.

    Raises
    ------
    ValueError
        A group is empty, or a number is not finite.

    Examples
    --------
    >>> relabelled_difference([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    RelabelledDifference(difference=-3.0, p_value=0.1, smallest_p=0.1, exact=True)
    """
    groups = [np.asarray(group, dtype=np.float64) for group in (first, second)]
    for name, group in zip(("first", "second"), groups, strict=True):
        if group.ndim != 1 or not len(group) or not np.isfinite(group).all():
            raise ValueError(f"the {name} group must be finite numbers, one a run, got {group}")
    n, m = map(len, groups)
    difference = float(groups[0].mean() - groups[1].mean())
    if n == m == 1:
        return RelabelledDifference(difference, math.nan, 1.0, True)
    values, (is_first, exact) = np.concatenate(groups), _relabellings(n, m, seed, most)
    apart = np.abs(np.where(is_first, 1 / n, -1 / m) @ values)  # (S,)
    # Relabellings that are as far apart may seem nearer by rounding.
    apart[0] = max(apart[0] - _ROUNDING * np.abs(values).max(), 0.0)
    return RelabelledDifference(difference, p_value(apart), 1 / len(is_first), exact)


@lru_cache(maxsize=8)  # all pairs of a family have a few sizes
def _relabellings(n: int, m: int, seed: int, most: int) -> Relabellings:
    return relabellings(n, m, seed, most)


def holm(p_values: ArrayLike) -> Array:
    """p-values of a family after Holm's correction: where one is at most a, some true null is below a with chance a.

    Step-down, from the smallest p: that of rank k of n (from 1) is multiplied by n - k + 1, is at least what the one
    before became, and at most 1 (Holm 1979). It holds whatever the tests have in common.

    Parameters
    ----------
    p_values : array
        Of any shape. NaN stays NaN and does not count in the family.

    Returns
    -------
    array
        Of the same shape.

    Raises
    ------
    ValueError
        A p-value outside [0, 1].

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, 0.005])
    array([0.03, 0.06, 0.06, 0.02])
    """
    values = np.asarray(p_values, dtype=np.float64)
    known = np.isfinite(values)
    if (values[~np.isnan(values)] < 0).any() or (values[~np.isnan(values)] > 1).any():
        raise ValueError(f"p-values must lie in [0, 1], got {values}")
    family = values[known]
    order = np.argsort(family)
    adjusted = np.empty_like(family)
    adjusted[order] = np.minimum(np.maximum.accumulate(family[order] * np.arange(len(family), 0, -1)), 1.0)
    result = np.full(values.shape, np.nan)
    result[known] = adjusted
    return result


def runs_needed(n_pairs: int = 1, level: float = 0.05, most: int = MOST_OF_NUMBERS) -> int | None:
    """With how many runs a group something can be decided in a family of so many pairs, after Holm's correction.

    Parameters
    ----------
    n_pairs : int
        At least 1.
    level : float
        p at most so large counts as decided; in (0, 1).
    most : int
        Relabellings that are tried.

    Returns
    -------
    int or None
        The smallest k such that k runs against k can give a p of level / n_pairs; None where so few relabellings never
        give it.

    Raises
    ------
    ValueError
        No pair, or another level.

    Examples
    --------
    >>> runs_needed(), runs_needed(n_pairs=78)
    (4, 7)
    """
    if n_pairs < 1 or not 0 < level < 1:
        raise ValueError(f"n_pairs must be at least 1 and level in (0, 1), got {n_pairs} and {level}")
    if n_pairs > level * most:
        return None
    return next(k for k in itertools.count(2) if n_pairs <= level * n_relabellings(k, k))
