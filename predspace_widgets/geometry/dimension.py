"""How many dimensions a picture has, by the eigenvalues of InPCA: how evenly they share, how fast they decay, and how
many are larger than those of a null.

Eigenvalues of sloppy models decay geometrically, each axis shorter than the one before by about the same factor
(Transtrum, Machta and Sethna, PRE 2011; Quinn et al., PNAS 2019): their logarithms lie on a line.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.geometry.floor import p_value
from predspace_widgets.geometry.probabilities import Array


class Sloppiness(NamedTuple):
    """Result of `sloppiness`.

    Attributes
    ----------
    decades_per_axis : float
        Powers of ten by which eigenvalues fall from an axis to the next: minus the slope of the line.
    decades : float
        Powers of ten between the first and the last of them.
    residual : float
        Root mean square of what the line misses, in powers of ten. Small beside `decades` where the decay is geometric.
    n_axes : int
        Eigenvalues that the line is fitted to.
    """

    decades_per_axis: float
    decades: float
    residual: float
    n_axes: int


def participation_ratio(eigenvalues: ArrayLike) -> Array:
    """Effective number of axes, (sum_i lambda_i)^2 / sum_i lambda_i^2: n where n axes share equally, 1 of a single one.

    Eigenvalues keep their signs, so that this is ``(tr W)^2 / |W|_F^2``, for which no spectrum is needed. Imaginary
    axes take from the sum what they take from distances: where they carry weight this is no number of dimensions, and
    the ratio of magnitudes, `participation_ratio(abs(eigenvalues))`, is another one.

    Parameters
    ----------
    eigenvalues : array, shape (..., T)
        Signed; all of them, for what is left out counts as 0.

    Returns
    -------
    array, shape (...)
        From 0 to T; 0 where all points coincide.

    Raises
    ------
    ValueError
        No eigenvalue, or one that is not finite.

    Examples
    --------
    >>> float(participation_ratio([2.0, 2.0, 0.0])), float(participation_ratio([4.0, 1.0, -1.0]).round(3))
    (2.0, 0.889)
    """
    shares = _over_largest(_check(eigenvalues))
    total = np.square(shares).sum(axis=-1)
    ratio = np.divide(np.square(shares.sum(axis=-1)), total, out=np.zeros_like(total), where=total > 0)
    return np.asarray(ratio)


def stress_of_axes(eigenvalues: ArrayLike) -> Array:
    """Explained stress of the first 1, 2, ... axes, 1 - sqrt(1 - sum_{i<=k} lambda_i^2 / sum_i lambda_i^2).

    Parameters
    ----------
    eigenvalues : array, shape (..., T)
        All of them, by magnitude, the largest first.

    Returns
    -------
    array, shape (..., T)
        1 where all points coincide.

    Raises
    ------
    ValueError
        No eigenvalue, or one that is not finite.

    Examples
    --------
    >>> stress_of_axes([4.0, -3.0]).round(3)
    array([0.4, 1. ])
    """
    values = _check(eigenvalues)
    squares = np.square(_over_largest(values))
    left = np.flip(np.cumsum(np.flip(squares, axis=-1), axis=-1), axis=-1)  # of each axis and all after it
    after = np.concatenate([left[..., 1:], np.zeros_like(left[..., :1])], axis=-1)
    total = left[..., :1]
    return np.asarray(1 - np.sqrt(np.divide(after, total, out=np.zeros_like(after), where=total > 0)))


def sloppiness(eigenvalues: ArrayLike, n_axes: int = 50) -> Sloppiness:
    """How fast the magnitudes of eigenvalues decay: a line through their logarithms, by least squares.

    Parameters
    ----------
    eigenvalues : array, shape (T,)
        Signed or not, in any order.
    n_axes : int
        Only the largest so many count; of these, zeros are left out.

    Returns
    -------
    Sloppiness
        NaN where fewer than two eigenvalues are not 0.

    Raises
    ------
    ValueError
        Fewer than two axes, no eigenvalue, or one that is not finite.

    Examples
    --------
    >>> fit = sloppiness([100.0, -10.0, 1.0, 0.1])
    >>> round(fit.decades_per_axis, 6), round(fit.decades, 6), abs(fit.residual) < 1e-12, fit.n_axes
    (1.0, 3.0, True, 4)
    """
    if n_axes < 2:
        raise ValueError(f"a decay needs n_axes of at least 2, got {n_axes}")
    magnitudes = np.sort(np.abs(_check(eigenvalues)), axis=None)[::-1][:n_axes]
    logs = np.log10(magnitudes[magnitudes > 0])
    if len(logs) < 2:
        return Sloppiness(np.nan, np.nan, np.nan, len(logs))
    axes = np.arange(len(logs))
    slope, start = np.polyfit(axes, logs, 1)
    residual = np.sqrt(np.mean(np.square(logs - (start + slope * axes))))
    return Sloppiness(float(-slope), float(logs[0] - logs[-1]), float(residual), len(logs))


def p_of_axes(eigenvalues: ArrayLike, draws: ArrayLike) -> Array:
    """Of each axis, the share of the draws of a null, and of the axis itself, that are as large in magnitude.

    Parameters
    ----------
    eigenvalues : array, shape (k,)
        By magnitude, the largest first.
    draws : array, shape (n_draws, k)
        The same of each draw of a null.

    Returns
    -------
    array, shape (k,)
        At least 1 / (1 + n_draws).

    Raises
    ------
    ValueError
        The numbers of axes differ, there is no draw, or a value is not finite.

    Examples
    --------
    >>> p_of_axes([9.0, -3.0, 1.0], [[5.0, 4.0, 2.0], [6.0, -2.0, 2.0], [5.0, 1.0, 1.5]])
    array([0.25, 0.5 , 1.  ])
    """
    values, of_null = np.abs(_check(eigenvalues)), np.abs(_check(draws))
    if values.ndim != 1 or of_null.shape[1:] != values.shape:
        raise ValueError(f"eigenvalues and draws do not fit: their shapes are {values.shape} and {of_null.shape}")
    return np.array([p_value([value, *axis]) for value, axis in zip(values, of_null.T, strict=True)])


def axes_above_null(p: ArrayLike, level: float = 0.05) -> int:
    """How many of the first axes are larger than those of a null: all before the first that is not.

    This is Horn's parallel analysis (Psychometrika 1965). Later axes do not count, whatever their p: what the first
    axes of a null do not hold is left to its later ones, and the other way round.

    Parameters
    ----------
    p : array, shape (k,)
        From `p_of_axes`.
    level : float
        The largest p of an axis that counts.

    Returns
    -------
    int

    Examples
    --------
    >>> axes_above_null([0.05, 0.05, 0.3, 0.05])
    2
    """
    is_above = np.asarray(p, dtype=np.float64) <= level * (1 + 1e-9)
    return int(np.logical_and.accumulate(is_above).sum())


def _over_largest(values: Array) -> Array:
    """Eigenvalues (..., T) over the magnitude of the largest: squares of tiny ones would vanish."""
    largest = np.abs(values).max(axis=-1, keepdims=True)
    return np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)


def _check(eigenvalues: ArrayLike) -> Array:
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim == 0 or values.size == 0:
        raise ValueError(f"expected one eigenvalue or more along the last axis, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("eigenvalues must be finite")
    return values
