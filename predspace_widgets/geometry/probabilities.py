"""Points of prediction space: arrays of probabilities, ignorance and truth; the one floor.

Every function of this package that takes predictions reads them through `as_probabilities`, so that logits, NaN and
unnormalised rows are errors everywhere and float16 rounding is undone everywhere, in one way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: The smallest overlap that any formula sees. Two predictions of a sample that share no class have overlap 0 and an
#: infinite Bhattacharyya distance; with this floor it is 20.7. The only floor of the package; `symmetric_kl` puts it
#: under probabilities.
FLOOR = 1e-9

#: How far the sum of a row may be from 1. float16 rounds each probability by up to 2**-11 of itself.
ROW_SUM_TOLERANCE = 2e-3


def as_probabilities(predictions: ArrayLike, name: str = "P") -> Array:
    """Predictions as float64 probabilities whose rows sum to 1.

    Parameters
    ----------
    predictions : array, shape (..., N, C)
        Predicted probabilities of N samples over C classes. Rows may miss 1 by `ROW_SUM_TOLERANCE`, which is what
        float16 storage does to them, and are divided by their sum.
    name : str
        What error messages call the array.

    Returns
    -------
    array, shape (..., N, C), float64
        A new array, each row on the simplex.

    Raises
    ------
    ValueError
        Fewer than two dimensions, no sample or no class, a value that is not finite or negative, or a row that does
        not sum to 1 (logits, or square roots of probabilities).

    Examples
    --------
    >>> as_probabilities([[0.25, 0.75]]).sum()
    np.float64(1.0)
    """
    values = np.asarray(predictions).astype(np.float64)  # (..., N, C); a copy
    if values.ndim < 2 or 0 in values.shape[-2:]:
        raise ValueError(f"{name} must have shape (..., samples, classes), none of them 0, got {values.shape}")
    with np.errstate(invalid="ignore"):  # infinities are looked for below
        sums = values.sum(axis=-1, keepdims=True)  # (..., N, 1)
    check_rows(float(values.min(initial=0.0)), float(np.abs(sums - 1).max(initial=0.0)), name)
    values /= sums
    return values


def check_rows(smallest: float, sum_error: float, name: str) -> None:
    """Raise ValueError if the smallest value or the largest error of a row sum shows no probabilities."""
    if not (np.isfinite(smallest) and np.isfinite(sum_error)):
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity)")
    if smallest < 0:
        raise ValueError(f"{name} holds negative values (smallest {smallest:.3g}): pass probabilities, not logits")
    if sum_error > ROW_SUM_TOLERANCE:
        raise ValueError(
            f"rows of {name} must sum to 1, one misses it by {sum_error:.3g}: pass probabilities, not logits or roots"
        )


def check_same_space(p_shape: tuple[int, ...], q_shape: tuple[int, ...]) -> None:
    """Raise ValueError if points of two shapes (..., N, C) differ in samples or classes."""
    if p_shape[-2:] != q_shape[-2:]:
        raise ValueError(
            "P and Q lie in different prediction spaces: (samples, classes) are "
            f"{tuple(p_shape[-2:])} and {tuple(q_shape[-2:])}"
        )


def ignorance(n_samples: int, n_classes: int) -> Array:
    """The point P_0 at which nothing is known: every row uniform.

    Parameters
    ----------
    n_samples, n_classes : int
        N and C.

    Returns
    -------
    array, shape (N, C)

    Examples
    --------
    >>> ignorance(1, 4)
    array([[0.25, 0.25, 0.25, 0.25]])
    """
    return np.full((n_samples, n_classes), 1.0 / n_classes)


def truth(labels: ArrayLike, n_classes: int) -> Array:
    """The point P_* at which everything is known: every row one-hot at the true class.

    Parameters
    ----------
    labels : array of int, shape (N,)
        Index of the true class of each sample.
    n_classes : int
        C.

    Returns
    -------
    array, shape (N, C)

    Raises
    ------
    ValueError
        A label is no whole number in [0, C).

    Examples
    --------
    >>> truth([1, 0], n_classes=3)
    array([[0., 1., 0.],
           [1., 0., 0.]])
    """
    index = np.asarray(labels)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(f"labels must be a list of whole numbers, got shape {index.shape} of {index.dtype}")
    if index.size and (index.min() < 0 or index.max() >= n_classes):
        raise ValueError(f"labels must lie in [0, {n_classes}), got {index.min()} to {index.max()}")
    return np.eye(n_classes)[index]  # (N, C)
