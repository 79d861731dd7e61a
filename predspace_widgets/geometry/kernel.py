"""The innermost loop of `pairwise`, compiled by numba: overlaps of all pairs of two tiles, and their log product.

A Bhattacharyya distance is a mean of logarithms, hence one logarithm of a product. The overlaps are multiplied where
they arise, in the registers of the processor, and never written: with few classes, writing them would be most of the
work. Products are kept as mantissa and exponent, so that none underflows, and one logarithm a pair is taken at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from predspace_widgets.geometry.distance import FLOOR

#: A tile of checkpoints, packed: (N', C', t').
Tile = NDArray[np.float32]

#: Checkpoints in a tile. What the innermost loop reads over and over, `_CLASSES` x TILE numbers, fits a core's cache.
TILE = 384
#: With more classes the sums are so long that a matrix product, tuned for each processor, is as fast or faster.
MOST_CLASSES = 200

# Samples whose overlaps are multiplied before the exponent is taken off: FLOOR**4 is a normal number in float32.
_GROUP = 4
_ROWS = 4  # checkpoints that share what is read of the others
_VECTOR = 16  # float32 values in the widest register: columns are a multiple, so that no loop has a slow tail
_CLASSES = 10  # of a loop at most: compilers unroll no more
_FLOOR = np.float32(FLOOR)
_LOG_2 = math.log(2.0)

# "contract" lets a multiplication and an addition be one instruction; nothing else is reordered.
_compile: Callable[[Any], Any] = numba.njit(nogil=True, cache=True, fastmath={"contract"})


def pack(roots: NDArray[np.float32]) -> Tile:
    """Roots of probabilities (t, N, C) as `sum_log_overlaps` wants them: (N', C', t'), filled up to whole loops.

    A class that is added has probability 0. A sample that is added has overlap 1 with itself, whose logarithm is 0.
    What is added to the checkpoints is cut off again.
    """
    n_checkpoints, n_samples, n_classes = roots.shape
    shape = (_up(n_samples, _GROUP), _up(n_classes, _n_loops(n_classes)), _up(n_checkpoints, _VECTOR))
    packed = np.zeros(shape, dtype=np.float32)  # (N', C', t')
    packed[:n_samples, :n_classes, :n_checkpoints] = roots.transpose(1, 2, 0)
    packed[n_samples:, 0] = 1
    return packed


def sum_log_overlaps(p: Tile, q: Tile) -> NDArray[np.float64]:
    """-sum_n log max(b_n, FLOOR) of two packed tiles, shape (t', s')."""
    sums = np.empty((p.shape[2], q.shape[2]))
    n_classes = p.shape[1]
    # The length of a tuple is known when the loop is compiled, so that it is unrolled for just as many classes.
    _sum_log_overlaps(p, q, sums, (0,) * (n_classes // _n_loops(n_classes)))
    return sums


def _n_loops(n_classes: int) -> int:
    return -(-n_classes // _CLASSES)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step


@_compile
def _sum_log_overlaps(p, q, sums, classes):  # type: ignore[no-untyped-def]
    n_samples, n_classes, n_rows = p.shape
    n_columns = q.shape[2]
    mantissa = np.ones((n_rows, n_columns), np.float32)
    exponent = np.zeros((n_rows, n_columns), np.int32)
    bits = mantissa.view(np.int32)
    overlap = np.zeros((_ROWS, _GROUP, n_columns), np.float32)
    left = np.empty((_ROWS, len(classes)), np.float32)
    for group in range(0, n_samples, _GROUP):
        for row in range(0, n_rows, _ROWS):
            for n in range(_GROUP):
                for c in range(0, n_classes, len(classes)):
                    for k in range(len(classes)):
                        for r in range(_ROWS):
                            left[r, k] = p[group + n, c + k, row + r]
                    _add_products(
                        left[0], left[1], left[2], left[3], q[group + n, c:], c > 0, classes,
                        overlap[0, n], overlap[1, n], overlap[2, n], overlap[3, n],
                    )  # fmt: skip
            for r in range(_ROWS):
                _multiply(mantissa[row + r], overlap[r, 0], overlap[r, 1], overlap[r, 2], overlap[r, 3])
                _take_exponent(bits[row + r], exponent[row + r])
    for row in range(n_rows):
        for column in range(n_columns):
            sums[row, column] = -(math.log(mantissa[row, column]) + exponent[row, column] * _LOG_2)


@_compile
def _add_products(a, b, c, d, q, has_part, classes, to_a, to_b, to_c, to_d):  # type: ignore[no-untyped-def]
    """Set `to_a` to sum_k a[k] q[k], and so on, or add it where `to_a` holds a part of the sum already.

    Four rows by name, since only then the compiler keeps all of them in registers.
    """
    for s in range(to_a.shape[0]):
        sum_a = sum_b = sum_c = sum_d = np.float32(0)  # from 0 for each loop: rounding grows with the terms in a row
        for k in range(len(classes)):
            value = q[k, s]
            sum_a += a[k] * value
            sum_b += b[k] * value
            sum_c += c[k] * value
            sum_d += d[k] * value
        to_a[s] = to_a[s] + sum_a if has_part else sum_a
        to_b[s] = to_b[s] + sum_b if has_part else sum_b
        to_c[s] = to_c[s] + sum_c if has_part else sum_c
        to_d[s] = to_d[s] + sum_d if has_part else sum_d


@_compile
def _multiply(product, a, b, c, d):  # type: ignore[no-untyped-def]
    for s in range(product.shape[0]):
        ab = max(a[s], _FLOOR) * max(b[s], _FLOOR)
        cd = max(c[s], _FLOOR) * max(d[s], _FLOOR)
        product[s] *= ab * cd


@_compile
def _take_exponent(bits, exponent):  # type: ignore[no-untyped-def]
    """Move the exponents of positive float32 numbers, given by their bits, to a count of their own."""
    for s in range(bits.shape[0]):
        exponent[s] += (bits[s] >> 23) - 127
        bits[s] = (bits[s] & 0x7FFFFF) | 0x3F800000
