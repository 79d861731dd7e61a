"""The engine of `pairwise`: tiles of checkpoints against each other, on the threads of a CPU or on a GPU.

What is done with two tiles is in `on_cpu`, and for other devices in `on_torch`.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.extras import needs
from predspace_widgets.geometry import on_cpu
from predspace_widgets.geometry.on_cpu import Way
from predspace_widgets.geometry.probabilities import Array, check_same_space
from predspace_widgets.geometry.threads import map_threads, n_threads_or_all

# Each tile of checkpoints against another is one task of a pool of threads, in which matrix products run on one thread.
# Letting these share each operation among their threads is no faster on an idle machine and, where something else runs
# beside, tens of times slower: every operation then waits for a thread that waits for a core.
_SMALL_TILE = 64  # with fewer checkpoints the loops of a tile are short
# Roots held at a time, of all checkpoints and as many samples as fit: 1 GB in float32.
_ROOT_ELEMENTS = 2**28


def pairwise(
    P: ArrayLike, Q: ArrayLike | None, metric: str, dtype: str | None, device: str, threads: int | None = None
) -> Array:
    """See `predspace_widgets.geometry.pairwise`."""
    work = np.dtype(dtype or ("float32" if metric == "bhattacharyya" else "float64"))
    if str(device) == "cpu":
        as_checkpoints, way_of, n_threads = on_cpu.as_checkpoints, on_cpu.way, n_threads_or_all(threads)
    else:
        as_checkpoints, way_of = _on_torch(str(device))
        n_threads = 1
    p = as_checkpoints(P, "P")
    q = p if Q is None else as_checkpoints(Q, "Q")
    check_same_space(tuple(p.shape), tuple(q.shape))

    within = Q is None
    way = way_of(metric, work, *p.shape[1:])
    n_samples = max(1, _ROOT_ELEMENTS // max(1, p.shape[2] * (len(p) + (0 if within else len(q)))))
    distances = np.empty((len(p), len(q)))
    for start in range(0, p.shape[1], n_samples):
        samples = slice(start, start + n_samples)
        _add_sums(distances, start == 0, p[:, samples], None if within else q[:, samples], way, n_threads)
    distances /= p.shape[1]
    # Points that coincide are 0 apart, whatever rounding makes of that.
    distances[distances < way.smallest] = 0.0
    if within:
        np.fill_diagonal(distances, 0.0)
    return distances


def _on_torch(device: str) -> tuple[Any, Any]:
    """How predictions are read for a device of torch, and the way there."""
    with needs(f"device {device!r}"):
        from predspace_widgets.geometry import on_torch
    on_torch.check_device(device)
    return on_torch.as_checkpoints, partial(on_torch.way, device=device)


def _add_sums(to: Array, is_first: bool, p: Any, q: Any | None, way: Way, n_threads: int) -> None:
    """Add to a matrix (T, S) what the metric sums over some samples, of predictions (T, n, C) and (S, n, C).

    The first of them are what it is set to: most often they are all.
    """
    rows, columns = (_tiles(len(points), way.largest, n_threads) for points in (p, p if q is None else q))
    # Within P rows and columns are the same tiles, and half of the pairs of them are enough.
    row_points = map_threads(lambda tile: way.read(p[tile], "P"), rows, n_threads)
    column_points = row_points if q is None else map_threads(lambda tile: way.read(q[tile], "Q"), columns, n_threads)

    def add(pair: tuple[int, int]) -> None:
        i, j = pair
        sums = way.sum_over_samples(row_points[i], column_points[j])  # (t, s), or more where tiles were filled up
        sums = sums[: rows[i].stop - rows[i].start, : columns[j].stop - columns[j].start]  # (t, s)
        if q is None and i == j:
            sums = (sums + sums.T) / 2  # the two halves of a matrix product are rounded differently
        if not is_first:
            sums += to[rows[i], columns[j]]
        to[rows[i], columns[j]] = sums
        if q is None and i != j:
            to[columns[j], rows[i]] = sums.T

    pairs = [(i, j) for i in range(len(rows)) for j in range(i if q is None else 0, len(columns))]
    pairs.sort(key=lambda pair: q is None and pair[0] == pair[1])  # the halves last, when threads run out of work
    map_threads(add, pairs, n_threads)


def _tiles(n_checkpoints: int, largest: int, n_threads: int) -> list[slice]:
    """Slices of about equal length, as many for each thread unless that makes them small: no thread waits long."""
    n_tiles = -(-n_checkpoints // largest)
    for_all = -(-n_tiles // n_threads) * n_threads
    if n_checkpoints >= for_all * _SMALL_TILE:
        n_tiles = for_all
    edges = [n_checkpoints * k // n_tiles for k in range(n_tiles + 1)] if n_tiles else [0]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]
