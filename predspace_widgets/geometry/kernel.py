"""The innermost loops, compiled by numba: of `pairwise`, the log product of the overlaps of all pairs of two tiles; of
`progress`, the overlaps with two ends; of `contributions`, the overlaps of each sample; of runs at equal progress, the
points between checkpoints and all distances; of relabellings, the distances between means of runs; the steps of
`bhattacharyya_mean` and of `discrete_frechet`.

A Bhattacharyya distance is a mean of logarithms, hence one logarithm of a product. The overlaps are multiplied where
they arise, in the registers of the processor, and never written: with few classes, writing them would be most of the
work. Products are kept as mantissa and exponent, so that none underflows, and one logarithm a pair is taken at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from predspace_widgets.geometry.probabilities import FLOOR

#: A tile of checkpoints, packed: (N, C', t').
Tile = NDArray[np.float32]

#: With more classes the sums are so long that a matrix product, tuned for each processor, is as fast or faster.
MOST_CLASSES = 200

_ROWS = 4  # checkpoints that share what is read of the others
_VECTOR = 16  # float32 values in the widest register: columns are a multiple, so that no loop has a slow tail
_CLASSES = 10  # of a loop at most: compilers unroll no more
# Overlaps are scaled by 2**15, which rounds nothing, so that they lie in [3e-5, 3e4] and that products of eight of
# them are normal numbers in float32; only then the exponent is taken off.
_GROUP = 8
_SCALE_BITS = 15
_SCALE = np.float32(2**_SCALE_BITS)
_SCALED_FLOOR = np.float32(FLOOR) * _SCALE
_LOG_2 = math.log(2.0)
_FACTORS = 30  # overlaps, each FLOOR or more, whose product is a normal number in float64
_PAIRS = 128  # of means at a time, so that their weights stay in a core's first cache
_RUNS = 12  # of a loop at most

# "contract" lets a multiplication and an addition be one instruction; nothing else is reordered.
_compile: Callable[[Any], Any] = numba.njit(nogil=True, cache=True, fastmath={"contract"})


def pack(roots: NDArray[np.float32]) -> Tile:
    """Roots of probabilities (t, N, C) as `sum_log_overlaps` wants them: (N, C', t'), filled up to whole loops.

    A class that is added has probability 0. What is added to the checkpoints is cut off again.
    """
    n_checkpoints, n_samples, n_classes = roots.shape
    shape = (n_samples, _up(n_classes, _n_loops(n_classes)), _up(n_checkpoints, _VECTOR))
    packed = np.zeros(shape, dtype=np.float32)  # (N, C', t')
    packed[:, :n_classes, :n_checkpoints] = roots.transpose(1, 2, 0)
    return packed


def sum_log_overlaps(p: Tile, q: Tile) -> NDArray[np.float64]:
    """-sum_n log max(b_n, FLOOR) of two packed tiles, shape (t', s').

    Of a tile with itself only the half below the diagonal is computed, and mirrored.
    """
    n_classes = p.shape[1]
    # The length of a tuple is known when the loop is compiled, so that it is unrolled for just as many classes.
    sums: NDArray[np.float64] = _sum_log_overlaps(p, q, p is q, (0,) * (n_classes // _n_loops(n_classes)))
    return sums


def _n_loops(n_classes: int) -> int:
    return -(-n_classes // _CLASSES)


def _cache_size(file: Path = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")) -> int:
    """Bytes of a core's second cache, as Linux tells them ("1024K"), or a cautious guess."""
    try:
        return int(file.read_text().strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        return 2**19


def _largest_tile(cache: int) -> int:
    """Checkpoints in a tile whose pairs, a mantissa and an exponent each, fill twice the cache.

    They are read in order, so that half of them arrive ahead; more would wait, and fewer make the loops short.
    """
    return max(_VECTOR, math.isqrt(2 * cache // 8) // _VECTOR * _VECTOR)


#: Checkpoints in a tile, at most.
TILE = _largest_tile(_cache_size())


@_compile
def _up(size: int, step: int) -> int:
    return -(-size // step) * step


@_compile
def _sum_log_overlaps(p, q, is_same, classes):  # type: ignore[no-untyped-def]
    n_samples, n_classes, n_rows = p.shape
    n_columns = q.shape[2]
    n_loops = n_classes // len(classes)
    mantissa = np.ones((n_rows, n_columns), np.float32)
    exponent = np.zeros((n_rows, n_columns), np.int32)
    bits = mantissa.view(np.int32)
    part = np.zeros((_ROWS, n_columns), np.float32)
    left = np.empty((_GROUP, n_loops, _ROWS * len(classes)), np.float32)
    for start in range(0, n_samples, _GROUP):
        stop = min(start + _GROUP, n_samples)
        for row in range(0, n_rows, _ROWS):
            last = _up(row + _ROWS, _VECTOR) if is_same else n_columns  # columns up to this one are wanted
            for n in range(stop - start):
                for c in range(n_classes):
                    loop, k = divmod(c, len(classes))
                    for r in range(_ROWS):
                        left[n, loop, r * len(classes) + k] = p[start + n, c, row + r] * _SCALE
            _multiply_group(
                left[: stop - start], q[start:stop], classes, part,
                mantissa[row][:last], mantissa[row + 1][:last], mantissa[row + 2][:last], mantissa[row + 3][:last],
            )  # fmt: skip
            for r in range(row, row + _ROWS):
                _take_exponent(bits[r][:last], exponent[r][:last])
    sums = np.empty((n_rows, n_columns))
    for row in range(n_rows):
        for column in range(row + 1 if is_same else n_columns):
            log = math.log(mantissa[row, column]) + (exponent[row, column] - n_samples * _SCALE_BITS) * _LOG_2
            sums[row, column] = -log
            if is_same:
                sums[column, row] = -log
    return sums


@_compile
def _multiply_group(left, q, classes, part, a, b, c, d):  # type: ignore[no-untyped-def]
    """Multiply the products of four rows by the overlaps of a group of samples, `left` (n, loops, 4 x classes)."""
    n_loops, n_columns = left.shape[1], a.shape[0]
    part_a, part_b, part_c, part_d = part[0][:n_columns], part[1][:n_columns], part[2][:n_columns], part[3][:n_columns]
    for n in range(left.shape[0]):
        if n_loops == 1:
            _multiply_overlaps(left[n, 0], q[n], classes, a, b, c, d)
        else:
            part[:] = 0
            for loop in range(n_loops):
                some = q[n, loop * len(classes) :]
                _add_products(left[n, loop], some, classes, part_a, part_b, part_c, part_d)
            _multiply_floored(part_a, part_b, part_c, part_d, a, b, c, d)


# Four rows by name, since only then the compiler keeps all of them in registers. The arrays that a function is given
# are counted one by one at each call: few of them, for calls are short.


@_compile
def _multiply_overlaps(left, q, classes, to_a, to_b, to_c, to_d):  # type: ignore[no-untyped-def]
    """Multiply `to_a` by the overlaps of a row whose classes are few enough for one loop, and so on."""
    n = len(classes)
    for s in range(to_a.shape[0]):
        a = b = c = d = np.float32(0)
        for k in range(len(classes)):
            value = q[k, s]
            a += left[k] * value
            b += left[n + k] * value
            c += left[2 * n + k] * value
            d += left[3 * n + k] * value
        to_a[s] *= max(a, _SCALED_FLOOR)
        to_b[s] *= max(b, _SCALED_FLOOR)
        to_c[s] *= max(c, _SCALED_FLOOR)
        to_d[s] *= max(d, _SCALED_FLOOR)


@_compile
def _add_products(left, q, classes, to_a, to_b, to_c, to_d):  # type: ignore[no-untyped-def]
    """Add some classes' part of the overlaps. It is summed from 0: rounding grows with the terms in a row."""
    n = len(classes)
    for s in range(to_a.shape[0]):
        a = b = c = d = np.float32(0)
        for k in range(len(classes)):
            value = q[k, s]
            a += left[k] * value
            b += left[n + k] * value
            c += left[2 * n + k] * value
            d += left[3 * n + k] * value
        to_a[s] += a
        to_b[s] += b
        to_c[s] += c
        to_d[s] += d


@_compile
def _multiply_floored(a, b, c, d, to_a, to_b, to_c, to_d):  # type: ignore[no-untyped-def]
    for s in range(to_a.shape[0]):
        to_a[s] *= max(a[s], _SCALED_FLOOR)
        to_b[s] *= max(b[s], _SCALED_FLOOR)
        to_c[s] *= max(c[s], _SCALED_FLOOR)
        to_d[s] *= max(d[s], _SCALED_FLOOR)


@_compile
def _take_exponent(bits, exponent):  # type: ignore[no-untyped-def]
    """Move the exponents of positive float32 numbers, given by their bits, to a count of their own."""
    for s in range(bits.shape[0]):
        exponent[s] += (bits[s] >> 23) - 127
        bits[s] = (bits[s] & 0x7FFFFF) | 0x3F800000


# "reassoc" lets several terms of a sum be added at a time.
@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def overlaps_with_two(P, root_start, root_end, tolerance, with_start, with_end):  # type: ignore[no-untyped-def]
    """Overlaps (t, N) of probabilities (t, N, C) with two points, given by roots (N, C), in one pass.

    False, with the overlaps unfinished, if a row holds what is no probability or misses the sum of 1 by more than the
    tolerance: a root is no number then, or the sum is none or wrong.
    """
    for t in range(P.shape[0]):
        for n in range(P.shape[1]):
            total = start = end = 0.0
            for c in range(P.shape[2]):
                value = np.float64(P[t, n, c])
                root = math.sqrt(value)
                total += value
                start += root * root_start[n, c]
                end += root * root_end[n, c]
            if not (abs(total - 1) <= tolerance and start == start and end == end):
                return False
            scale = math.sqrt(total)
            with_start[t, n] = start / scale
            with_end[t, n] = end / scale
    return True


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def deficits_of_overlaps(P, Q, tolerance, deficits):  # type: ignore[no-untyped-def]
    """1 - b_n (N,) of probabilities (N, C) and (N, C), as half the squared difference of their normalised roots.

    False, with the deficits unfinished, if a row holds what is no probability or misses the sum of 1 by more than the
    tolerance.
    """
    for n in range(P.shape[0]):
        p_sum = q_sum = 0.0
        for c in range(P.shape[1]):
            p_sum += np.float64(P[n, c])
            q_sum += np.float64(Q[n, c])
        if not (abs(p_sum - 1) <= tolerance and abs(q_sum - 1) <= tolerance):
            return False
        p_scale, q_scale, total = 1 / p_sum, 1 / q_sum, 0.0
        for c in range(P.shape[1]):  # the row is still in the first cache
            difference = math.sqrt(np.float64(P[n, c]) * p_scale) - math.sqrt(np.float64(Q[n, c]) * q_scale)
            total += difference * difference
        if total != total:
            return False
        deficits[n] = min(total / 2, 1.0)
    return True


@_compile
def between_neighbours(roots, before, after, part, coincide):  # type: ignore[no-untyped-def]
    """Points (K, N, C) of great circles between checkpoints: part of the way from `before` to `after`, (K,) each.

    Of roots of probabilities (T, N, C); where the angle is below `coincide`, the point is that before. This is
    `geodesic.great_circle_points`, sample by sample, so that nothing but the points is written.
    """
    n_samples, n_classes = roots.shape[1:]
    points = np.empty((len(part), n_samples, n_classes))
    for k in range(len(part)):
        for n in range(n_samples):
            p, q, point = roots[before[k], n], roots[after[k], n], points[k, n]
            chord = 0.0
            for c in range(n_classes):
                chord += (p[c] - q[c]) ** 2
            angle = 2 * math.asin(min(math.sqrt(chord) / 2, math.sqrt(0.5)))
            of_p, of_q = 1.0, 0.0
            if angle > coincide:
                sine = math.sin(angle)
                of_p, of_q = math.sin((1 - part[k]) * angle) / sine, math.sin(part[k] * angle) / sine
            total = 0.0
            for c in range(n_classes):
                root = of_p * p[c] + of_q * q[c]
                point[c] = root * root
                total += point[c]
            for c in range(n_classes):  # rounding only
                point[c] /= total
    return points


@_compile
def mean_distances(roots, weights):  # type: ignore[no-untyped-def]
    """Sums over K of weighted d_B between all pairs of R points, (R, R) above the diagonal, of roots (K, N, C, R)."""
    n_points, n_samples, n_classes, n_runs = roots.shape
    total, product, overlap = np.zeros((n_runs, n_runs)), np.ones((n_runs, n_runs)), np.empty(n_runs)
    for k in range(n_points):
        for n in range(n_samples):
            is_last = n == n_samples - 1 or n % _FACTORS == _FACTORS - 1
            for row in range(n_runs):
                overlap[row + 1 :] = 0
                for c in range(n_classes):
                    value, others = roots[k, n, c, row], roots[k, n, c]
                    for column in range(row + 1, n_runs):
                        overlap[column] += value * others[column]
                to = product[row]
                for column in range(row + 1, n_runs):
                    to[column] *= min(max(overlap[column], FLOOR), 1.0)
                if is_last:
                    for column in range(row + 1, n_runs):
                        total[row, column] -= weights[k] * math.log(to[column])
                    to[row + 1 :] = 1
    return total / n_samples


def distances_of_means(
    points: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """d_B (S, K) between two means of probabilities (R, K, N, C) of runs, for S pairs of weights (S, R) of the runs.

    The means are never written: with many pairs of them, writing them would be most of the work.
    """
    n_runs = len(points)
    n_loops = -(-n_runs // _RUNS)
    in_loop = _up(-(-n_runs // n_loops), 2)  # an even number: few lengths to compile for
    filled = ((0, 0), (0, n_loops * in_loop - n_runs))  # runs that are added have no weight
    distances = np.empty((len(first), points.shape[1]))
    for start in range(0, len(first), _PAIRS):
        pairs = slice(start, start + _PAIRS)
        weights = [np.ascontiguousarray(np.pad(sides[pairs], filled).T) for sides in (first, second)]  # (R', s)
        # The length of a tuple is known when the loop is compiled, so that it is unrolled.
        _distances_of_means(np.ascontiguousarray(points), *weights, (0,) * in_loop, distances[pairs])
    return distances


@_compile
def _distances_of_means(points, first, second, runs, distances):  # type: ignore[no-untyped-def]
    n_runs, n_points, n_samples, n_classes = points.shape
    n_filled, n_pairs = first.shape
    last = n_filled - len(runs)
    one, other, deficit, total = np.zeros(n_pairs), np.zeros(n_pairs), np.empty(n_pairs), np.empty(n_pairs)
    values = np.zeros(n_filled)
    for k in range(n_points):
        total[:] = 0
        for n in range(n_samples):
            deficit[:] = 0
            for c in range(n_classes):
                for run in range(n_runs):
                    values[run] = points[run, k, n, c]
                if last > 0:
                    one[:] = 0
                    other[:] = 0
                for start in range(0, last, len(runs)):
                    _add_weighted(values[start:], first[start:], second[start:], runs, one, other)
                _add_squares(values[last:], first[last:], second[last:], runs, one, other, deficit)
            for s in range(n_pairs):
                total[s] -= math.log1p(-min(deficit[s] / 2, 1 - FLOOR))
        for s in range(n_pairs):
            distances[s, k] = total[s] / n_samples


@_compile
def _add_weighted(values, first, second, runs, one, other):  # type: ignore[no-untyped-def]
    """Add what some runs are to two means."""
    for s in range(one.shape[0]):
        a = b = 0.0
        for run in range(len(runs)):
            a += first[run, s] * values[run]
            b += second[run, s] * values[run]
        one[s] += a
        other[s] += b


@_compile
def _add_squares(values, first, second, runs, one, other, to):  # type: ignore[no-untyped-def]
    """Add the squared difference of the roots of two means, once the last runs are added to them."""
    for s in range(to.shape[0]):
        a, b = one[s], other[s]
        for run in range(len(runs)):
            a += first[run, s] * values[run]
            b += second[run, s] * values[run]
        difference = math.sqrt(a) - math.sqrt(b)
        to[s] += difference * difference


@_compile
def mean_of_roots(roots, weights, tolerance, max_iterations):  # type: ignore[no-untyped-def]
    """Roots (S, C) of the Bhattacharyya means of M points, by their roots (M, S, C), and their gradients' lengths (S,).

    See `predspace_widgets.geometry.bhattacharyya_mean`, whose steps these are, from the arithmetic mean.
    """
    n_points, n_samples, n_classes = roots.shape
    mean, left = np.zeros((n_samples, n_classes)), np.empty(n_samples)
    towards = np.empty(n_classes)
    for n in range(n_samples):
        root = mean[n]
        for m in range(n_points):
            for c in range(n_classes):
                root[c] += weights[m] * roots[m, n, c] ** 2
        for c in range(n_classes):
            root[c] = math.sqrt(root[c])
        for iteration in range(max_iterations + 1):
            towards[:] = 0
            for m in range(n_points):
                overlap = 0.0
                for c in range(n_classes):
                    overlap += roots[m, n, c] * root[c]
                for c in range(n_classes):
                    towards[c] += weights[m] / overlap * roots[m, n, c]
            square = 0.0
            for c in range(n_classes):
                square += (towards[c] - root[c]) ** 2
            left[n] = math.sqrt(square)
            if left[n] <= tolerance or iteration == max_iterations:
                break
            total = 0.0
            for c in range(n_classes):
                root[c] = math.sqrt(root[c] * towards[c])
                total += root[c] ** 2
            for c in range(n_classes):  # which sums to 1 but for rounding
                root[c] /= math.sqrt(total)
    return mean, left


@_compile
def longest_leash(distances):  # type: ignore[no-untyped-def]
    """The discrete Frechet distance from distances (n, m): of each cell, what it takes to come there."""
    taken = np.empty(distances.shape[1])
    for i in range(distances.shape[0]):
        before = np.inf  # of the cell one row and one column before
        for j in range(distances.shape[1]):
            here = before
            if i > 0:
                here = min(here, taken[j])
                before = taken[j]
            if j > 0:
                here = min(here, taken[j - 1])
            taken[j] = distances[i, j] if i == 0 and j == 0 else max(distances[i, j], here)
    return taken[-1]


@_compile
def distances_of_each_sample(roots, weights):  # type: ignore[no-untyped-def]
    """Sums over K of weighted -log overlaps of all pairs of R points, (R (R - 1) / 2, N), of roots (K, N, C, R)."""
    n_points, n_samples, n_classes, n_runs = roots.shape
    total, overlap = np.zeros((n_runs * (n_runs - 1) // 2, n_samples)), np.empty(n_runs)
    for n in range(n_samples):
        for k in range(n_points):
            pair = 0
            for row in range(n_runs):
                overlap[row + 1 :] = 0
                for c in range(n_classes):
                    value, others = roots[k, n, c, row], roots[k, n, c]
                    for column in range(row + 1, n_runs):
                        overlap[column] += value * others[column]
                for column in range(row + 1, n_runs):
                    total[pair, n] -= weights[k] * math.log(min(max(overlap[column], FLOOR), 1.0))
                    pair += 1
    return total
