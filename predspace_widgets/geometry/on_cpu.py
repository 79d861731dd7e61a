"""Tiles of checkpoints against each other on a CPU: the compiled loop of `kernel`, or matrix products in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry import kernel
from predspace_widgets.geometry.probabilities import FLOOR, Array, check_rows

Floats = NDArray[np.floating]

#: Checkpoints in a tile, at most.
TILE = 160
# Overlaps held at a time by a thread, 6 MB in float32: operations long enough for threads not to wait for the
# interpreter, which starts one at a time, and blocks small enough for a shared cache.
BLOCK_ELEMENTS = 64 * 160**2
_CLASSES = 128  # summed at a time: rounding, mostly of one sign, grows with the length of a sum
_AT_ONCE = 4  # samples, whose products of `_CLASSES` are added while they are in a cache
_FEW = 4  # below so many, a product saves less than it costs to start it
# In units of the last digit, what sums of n terms were off by, for 2 to 3,000 classes and 1 to 100 samples, was at most
# this much and n / 6 in float64, sqrt(n) in float32; in the compiled loop, whose sums are short, no more than this.
_FEW_DIGITS = 4


class Way(NamedTuple):
    """How distances come about on a device.

    Attributes
    ----------
    read : callable
        (predictions (t, N, C), what to call them in errors) -> a tile as the sums want it.
    sum_over_samples : callable
        (tile, tile) -> what the metric sums over samples, (t, s), or more where tiles were filled up.
    largest : int
        Checkpoints in a tile, at most.
    smallest : float
        Below this, a distance may be what rounding makes of points that coincide.
    """

    read: Callable[[Any, str], Any]
    sum_over_samples: Callable[[Any, Any], Array]
    largest: int
    smallest: float


def way(metric: str, dtype: np.dtype[Any], n_samples: int, n_classes: int) -> Way:
    """The compiled loop for Bhattacharyya distances of not too many classes, else matrix products."""
    if metric == "bhattacharyya" and dtype == np.float32 and n_classes <= kernel.MOST_CLASSES:
        return Way(_read_for_kernel, kernel.sum_log_overlaps, kernel.TILE, np.finfo(dtype).eps * _FEW_DIGITS)
    sums = {
        "bhattacharyya": _sum_log_overlaps,
        "great_circle": _sum_angles,
        "symmetric_kl": _sum_kl,
        "euclidean": _sum_squares,
    }
    smallest = smallest_distance(metric, dtype, n_samples, n_classes)
    return Way(partial(read, metric=metric, dtype=dtype), sums[metric], TILE, smallest)


def smallest_distance(metric: str, dtype: np.dtype[Any], n_samples: int, n_classes: int) -> float:
    """See `Way`; of matrix products."""
    if metric == "symmetric_kl":
        return -math.log(FLOOR) * rounding(dtype, n_samples * n_classes)
    if metric == "euclidean":
        return 2 * rounding(dtype, n_samples * n_classes)
    return 0.0 if metric == "great_circle" else rounding(dtype, n_classes)  # angles are looked at one by one


def rounding(dtype: np.dtype[Any], n_terms: int) -> float:
    """What rounding may make of a sum, relative to the size of its terms together."""
    return float(np.finfo(dtype).eps) * (_FEW_DIGITS + (math.sqrt(n_terms) if dtype == np.float32 else n_terms / 4))


def as_checkpoints(predictions: ArrayLike, name: str) -> Floats:
    """Predictions (T, N, C) of whatever kind as an array of floating point numbers, a copy only where it must be."""
    given: Any = predictions
    if hasattr(given, "detach"):  # a tensor of torch
        given = given.detach().cpu()
        given = given.float() if "bfloat" in str(given.dtype) else given
    values = np.asarray(given)
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError(f"{name} must have shape (checkpoints, samples, classes), got {values.shape}")
    return values if values.dtype in (np.float16, np.float32, np.float64) else values.astype(np.float64)


def read(predictions: Floats, name: str, metric: str, dtype: np.dtype[Any]) -> Floats:
    """Probabilities (t, N, C) of a tile as matrix products want them: sample first, roots where needed."""
    values = _renormalised(predictions, name, dtype)  # (t, N, C)
    values = np.maximum(values, FLOOR, out=values) if metric == "symmetric_kl" else np.sqrt(values, out=values)
    return np.ascontiguousarray(values.transpose(1, 0, 2))  # (N, t, C)


def read_roots(P: ArrayLike) -> NDArray[np.float32]:
    """Square roots of probabilities (T, N, C), sample first and in float32: (N, T, C)."""
    return read(as_checkpoints(P, "P"), "P", "bhattacharyya", np.dtype(np.float32)).astype(np.float32, copy=False)


def _read_for_kernel(predictions: Floats, name: str) -> kernel.Tile:
    """Probabilities (t, N, C) of a tile as the compiled loop wants them."""
    values = _renormalised(predictions, name, np.dtype(np.float32))
    return kernel.pack(np.sqrt(values, out=values))


def _renormalised(predictions: Floats, name: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A new array whose rows sum to 1, once they are known to be probabilities."""
    with np.errstate(invalid="ignore", over="ignore"):  # infinities are looked for below
        values = predictions.astype(dtype, order="C")  # a copy
        sums = np.einsum("tnc->tn", values, dtype=np.float64)[..., None]  # quicker than `sum` where rows are short
    check_rows(float(values.min()), float(np.abs(sums - 1).max()), name)
    return np.divide(values, sums.astype(dtype), out=values)


def _overlap_blocks(p: NDArray[Any], q: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Overlaps (n, t, s) of two tiles of roots (N, t, C) and (N, s, C), n samples at a time, in one reused buffer."""
    n_samples, t, s = p.shape[0], p.shape[1], q.shape[1]
    block = max(1, min(n_samples, BLOCK_ELEMENTS // (t * s)))
    buffer, product = np.empty((block, t, s), dtype=p.dtype), np.empty((_AT_ONCE, t, s), dtype=p.dtype)
    for start in range(0, n_samples, block):
        overlaps = buffer[: n_samples - start]
        for k in range(0, len(overlaps), _AT_ONCE):
            overlap = overlaps[k : k + _AT_ONCE]
            few = slice(start + k, start + k + len(overlap))
            left, right = p[few], q[few].transpose(0, 2, 1)
            np.matmul(left[:, :, :_CLASSES], right[:, :_CLASSES], out=overlap)
            for c in range(_CLASSES, p.shape[2], _CLASSES):
                part = slice(c, c + _CLASSES)
                overlap += np.matmul(left[:, :, part], right[:, part], out=product[: len(overlap)])
        yield overlaps


def _sum_log_overlaps(p: NDArray[Any], q: NDArray[Any]) -> Array:
    """-sum_n log max(b_n, FLOOR) of two tiles of roots, shape (t, s)."""
    total = np.zeros((p.shape[1], q.shape[1]))
    for overlap in _overlap_blocks(p, q):
        products = few_products(np.maximum(overlap, FLOOR, out=overlap), np.finfo(overlap.dtype).tiny)
        total -= np.log(products, out=products).sum(axis=0, dtype=np.float64)
    return total


def few_products(factors: Any, tiny: float) -> Any:
    """Products (n, t, s), with n small, that have the logarithm of all factors (N, t, s), which are overwritten.

    A logarithm costs as much as ten products, so halves are multiplied together first, for as long as the smallest
    product that can come out is a normal number.

    Parameters
    ----------
    factors : array, or tensor of torch
        In [FLOOR, 1].
    tiny : float
        The smallest normal number of their kind.
    """
    smallest = FLOOR
    while len(factors) > _FEW:
        half, is_odd = divmod(len(factors), 2)
        if smallest ** (2 + is_odd) < tiny:
            smallest = float(factors.min())  # the bound is used up: look
            if smallest ** (2 + is_odd) < tiny:
                break
        products = factors[:half]
        products *= factors[half : 2 * half]
        if is_odd:
            products[0] *= factors[-1]
        factors = products
        smallest **= 2 + is_odd
    return factors


def _sum_angles(p: NDArray[Any], q: NDArray[Any]) -> Array:
    """sum_n arccos(b_n) of two tiles of roots, shape (t, s); an angle that may be rounding counts as 0."""
    smallest = math.sqrt(2 * rounding(p.dtype, p.shape[2]))
    total = np.zeros((p.shape[1], q.shape[1]))
    for overlap in _overlap_blocks(p, q):
        angles = np.arccos(np.minimum(overlap, 1.0, out=overlap), out=overlap)
        angles[angles <= smallest] = 0.0
        total += angles.sum(axis=0, dtype=np.float64)
    return total


def _sum_kl(p: NDArray[Any], q: NDArray[Any]) -> Array:
    """sum_nc (p - q)(log p - log q) / 2 of two tiles of floored probabilities, shape (t, s), by matrix products."""
    p, q = _rows(p), _rows(q)  # (t, N * C), (s, N * C)
    log_p, log_q = np.log(p), np.log(q)
    own = (p * log_p).sum(axis=1)[:, None] + (q * log_q).sum(axis=1)[None, :]  # (t, s)
    return ((own - p @ log_q.T - log_p @ q.T) / 2).astype(np.float64)


def _sum_squares(p: NDArray[Any], q: NDArray[Any]) -> Array:
    """sum_nc (sqrt(p) - sqrt(q))^2 of two tiles of roots, shape (t, s), by one matrix product: all rows have norm 1."""
    return (2 * (len(p) - _rows(p) @ _rows(q).T)).astype(np.float64)


def _rows(tile: NDArray[Any]) -> NDArray[Any]:
    """A tile (N, t, C) as a matrix (t, N * C)."""
    return tile.transpose(1, 0, 2).reshape(tile.shape[1], -1)
