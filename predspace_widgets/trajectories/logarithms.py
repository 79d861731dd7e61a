"""Predictions as logarithms: float16 holds them to within a percent, however small, and without zeros."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

#: What stands for a probability that float16 rounded to 0: half of its smallest number.
SMALLEST = 2.0**-25

# float16 logarithms are multiples of this. Probabilities in float32 know the logarithm of their ratio to within
# 2.7e-7, so that rounding finds the same multiple again: what is opened and saved stays the same bit for bit.
_STEP = 2.0**-20


def to_logarithms(probs: NDArray[Any], dtype: DTypeLike, zero_of: DTypeLike | None = None) -> NDArray[Any]:
    """Logarithms of probabilities relative to the largest of their row, as they are stored.

    The largest is exactly 0 then, and the digits of float16, which are fine near 0, go to the classes that compete
    with it. The constant that a row loses vanishes in the softmax on reading. With l the exact logarithms, float16
    makes errors of up to 2**-11 abs(l) + 2**-21, so a probability p is read as p * exp(e) with
    abs(e) <= 2**-11 abs(l) + 2**-21 + log(sum of p * exp(2**-11 abs(l) + 2**-21) over its row) and the rounding of
    float32.

    Parameters
    ----------
    probs : array, shape (..., C)
    dtype : float16, float32 or float64
        Of the logarithms.
    zero_of : dtype, optional
        What the probabilities were rounded to before; by default that of the array. A zero means a number too small
        for this type, and no logarithm is finite at 0, so the type's smallest positive number stands for it.

    Returns
    -------
    array, shape (..., C)
        Finite, none positive, 0 at the most probable class.

    Examples
    --------
    >>> to_logarithms(np.array([[0.5, 0.25, 0.25]]), "float32").round(3)
    array([[ 0.   , -0.693, -0.693]], dtype=float32)
    """
    smallest = float(np.finfo(np.dtype(zero_of or probs.dtype)).smallest_subnormal)
    values = np.log(np.maximum(probs, smallest), dtype=np.float64)  # (..., C)
    values -= values.max(axis=-1, keepdims=True)
    if np.dtype(dtype) == np.float16:
        values = np.round(values / _STEP) * _STEP
    values += 0.0  # -0.0 becomes 0.0: equal numbers are equal bytes
    return values.astype(dtype)


def from_logarithms(logs: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Probabilities from their logarithms, whatever constant each row has lost: the softmax.

    Parameters
    ----------
    logs : array, shape (..., C)
    dtype : float32 or float64

    Returns
    -------
    array, shape (..., C)
        A new array, each row on the simplex.

    Examples
    --------
    >>> from_logarithms(np.log([[1.0, 3.0]]), "float64").round(6)
    array([[0.25, 0.75]])
    """
    values = logs.astype(dtype)  # (..., C), a copy
    values -= values.max(axis=-1, keepdims=True)
    np.exp(values, out=values)
    values /= values.sum(axis=-1, keepdims=True)
    return values


def without_zeros(probs: NDArray[Any], smallest: float = SMALLEST) -> NDArray[Any]:
    """Probabilities with each zero raised to a small number, or to the smallest other one of its row if that is less.

    No order changes, and neither does what is positive: float32 knows probabilities far below what float16 does.

    Parameters
    ----------
    probs : array, shape (..., C), float32 or float64
    smallest : float
        What stands for a zero; see `predspace_widgets.trajectories.source.zero_of`.

    Returns
    -------
    array, shape (..., C)
        Its rows are not normalised.

    Examples
    --------
    >>> bool(without_zeros(np.array([[1.0, 0.0]]))[0, 1] == SMALLEST)
    True
    >>> without_zeros(np.array([[1.0, 1e-20, 0.0]]))
    array([[1.e+00, 1.e-20, 1.e-20]])
    """
    positive = probs > 0
    if positive.all():
        return probs
    others = np.where(positive, probs, np.inf).min(axis=-1, keepdims=True)  # (..., 1)
    raised: NDArray[Any] = np.where(positive, probs, np.minimum(others, smallest))
    return raised
