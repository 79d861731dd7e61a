"""The engine of `pairwise`: tiles of checkpoints against each other, on the threads of a CPU or on a GPU.

Two tiles of not too many classes are compared by the compiled loop of `kernel`; everything else is matrix products in
torch, one block of samples after the other.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from predspace_widgets.geometry import kernel
from predspace_widgets.geometry.probabilities import FLOOR, Array, check_rows, check_same_space

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_ONE_AT_A_TIME = threading.Lock()

# Each tile of checkpoints against another is one task of a pool of threads, in which torch itself runs on one thread.
# Letting torch share each operation among its threads is no faster on an idle machine and, where something else runs
# beside, tens of times slower: every operation then waits for a thread that waits for a core.
_TILE = 160
_GPU_TILE = 2048
_SMALL_TILE = 64  # with fewer checkpoints the loops of a tile are short
# Overlaps held at a time by a thread, 6 MB in float32: operations long enough for threads not to wait for the
# interpreter, which starts one at a time, and blocks small enough for a shared cache.
_BLOCK_ELEMENTS = 64 * _TILE**2
# Roots held at a time, of all checkpoints and as many samples as fit: 1 GB in float32.
_ROOT_ELEMENTS = 2**28
_FEW = 4  # below so many, a product saves less than it costs to start it
# In units of the last digit, what sums of n terms were off by, for 2 to 3,000 classes and 1 to 100 samples, was at most
# this much and n / 6 in float64, sqrt(n) in float32; in the compiled loop, whose sums are short, no more than this.
_FEW_DIGITS = 4


def pairwise(
    P: ArrayLike, Q: ArrayLike | None, metric: str, dtype: str | None, device: str, threads: int | None = None
) -> Array:
    """See `predspace_widgets.geometry.pairwise`."""
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(f"device {device!r} is not there: torch sees no CUDA on this machine; use device='cpu'")
    single = dtype == "float32" if dtype else metric == "bhattacharyya"
    work = torch.float32 if single else torch.float64
    p = _as_checkpoints(P, "P")
    q = p if Q is None else _as_checkpoints(Q, "Q")
    check_same_space(p.shape, q.shape)

    within = Q is None
    n_threads = (threads or torch.get_num_threads()) if device == "cpu" else 1
    n_samples = max(1, _ROOT_ELEMENTS // max(1, p.shape[2] * (len(p) + (0 if within else len(q)))))
    distances = np.empty((len(p), len(q)))
    for start in range(0, p.shape[1], n_samples):
        samples = slice(start, start + n_samples)
        _add_sums(
            distances, start == 0, p[:, samples], None if within else q[:, samples], metric, work, device, n_threads
        )
    distances /= p.shape[1]
    # Points that coincide are 0 apart, whatever rounding makes of that.
    distances[distances < _smallest(metric, work, device, *p.shape[1:])] = 0.0
    if within:
        np.fill_diagonal(distances, 0.0)
    return distances


def _smallest(metric: str, dtype: torch.dtype, device: str, n_samples: int, n_classes: int) -> float:
    """Below this, a distance may be what rounding makes of points that coincide."""
    if _is_for_kernel(metric, dtype, device, n_classes):
        return torch.finfo(dtype).eps * _FEW_DIGITS
    if metric == "symmetric_kl":
        return -math.log(FLOOR) * _rounding(dtype, n_samples * n_classes)
    if metric == "euclidean":
        return 2 * _rounding(dtype, n_samples * n_classes)
    return 0.0 if metric == "great_circle" else _rounding(dtype, n_classes)  # `_sum_angles` looks at each sample


def _rounding(dtype: torch.dtype, n_terms: int) -> float:
    """What rounding may make of a sum, relative to the size of its terms together."""
    return torch.finfo(dtype).eps * (_FEW_DIGITS + (math.sqrt(n_terms) if dtype == torch.float32 else n_terms / 4))


def _add_sums(
    to: Array,
    is_first: bool,
    p: torch.Tensor,
    q: torch.Tensor | None,
    metric: str,
    dtype: torch.dtype,
    device: str,
    n_threads: int,
) -> None:
    """Add to a matrix (T, S) what the metric sums over some samples, of predictions (T, n, C) and (S, n, C).

    The first of them are what it is set to: most often they are all.
    """
    read, sum_over_samples, largest = _choose(metric, dtype, device, n_classes=p.shape[2])
    rows, columns = (_tiles(len(points), largest, n_threads) for points in (p, p if q is None else q))
    # Within P rows and columns are the same tiles, and half of the pairs of them are enough.
    row_points = map_threads(lambda tile: read(p[tile], "P"), rows, n_threads)
    column_points = row_points if q is None else map_threads(lambda tile: read(q[tile], "Q"), columns, n_threads)

    def add(pair: tuple[int, int]) -> None:
        i, j = pair
        sums = sum_over_samples(row_points[i], column_points[j])  # (t, s), or more where tiles were filled up
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


def _choose(
    metric: str, dtype: torch.dtype, device: str, n_classes: int
) -> tuple[Callable[[torch.Tensor, str], Any], Callable[[Any, Any], Array], int]:
    """How a tile is read, what is summed over the samples of two tiles read, and the largest tile."""
    if _is_for_kernel(metric, dtype, device, n_classes):
        return _read_for_kernel, kernel.sum_log_overlaps, kernel.TILE

    def read(predictions: torch.Tensor, name: str) -> torch.Tensor:
        return _read(predictions, name, metric, dtype, device)

    sums = {
        "bhattacharyya": _sum_log_overlaps,
        "great_circle": _sum_angles,
        "symmetric_kl": _sum_kl,
        "euclidean": _sum_squares,
    }[metric]
    return read, lambda p, q: sums(p, q).double().cpu().numpy(), _TILE if device == "cpu" else _GPU_TILE


def _is_for_kernel(metric: str, dtype: torch.dtype, device: str, n_classes: int) -> bool:
    return (metric, dtype, device) == ("bhattacharyya", torch.float32, "cpu") and n_classes <= kernel.MOST_CLASSES


def map_threads(work: Callable[[_Task], _Result], tasks: Sequence[_Task], n_threads: int) -> list[_Result]:
    """Results of all tasks, done by a pool of threads, in each of which torch runs on one thread."""
    if n_threads == 1 or len(tasks) < 2:
        return [work(task) for task in tasks]
    # The number of torch's threads is one for the whole process: two calls at a time would restore each other's.
    with _ONE_AT_A_TIME:
        before = torch.get_num_threads()
        pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
        try:
            return list(pool.map(work, tasks))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(before)


def read_roots(P: ArrayLike) -> torch.Tensor:
    """Square roots of probabilities (T, N, C), sample first and in float32: (N, T, C)."""
    return _read(_as_checkpoints(P, "P"), "P", "bhattacharyya", torch.float32, "cpu")


def _as_checkpoints(predictions: ArrayLike, name: str) -> torch.Tensor:
    values = predictions if isinstance(predictions, torch.Tensor) else torch.from_numpy(_plain(predictions))
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError(f"{name} must have shape (checkpoints, samples, classes), got {tuple(values.shape)}")
    return values.detach()


def _plain(predictions: ArrayLike) -> np.ndarray:
    """An array of a kind that torch takes: of numbers in this machine's order, writeable, no view backwards."""
    values = np.asarray(predictions)
    if values.dtype not in (np.float16, np.float32, np.float64):
        values = values.astype(np.float64)
    plain = values.dtype.isnative and values.flags.writeable and min(values.strides, default=0) >= 0
    return values if plain else values.astype(values.dtype.newbyteorder("="))


def _tiles(n_checkpoints: int, largest: int, n_threads: int) -> list[slice]:
    """Slices of about equal length, as many for each thread unless that makes them small: no thread waits long."""
    n_tiles = -(-n_checkpoints // largest)
    for_all = -(-n_tiles // n_threads) * n_threads
    if n_checkpoints >= for_all * _SMALL_TILE:
        n_tiles = for_all
    edges = [n_checkpoints * k // n_tiles for k in range(n_tiles + 1)] if n_tiles else [0]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _read(predictions: torch.Tensor, name: str, metric: str, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Probabilities (t, N, C) of a tile as matrix products want them: sample first, roots where needed."""
    values = _renormalised(predictions.to(device=device, dtype=dtype), name)  # (t, N, C)
    values = values.clamp_(min=FLOOR) if metric == "symmetric_kl" else values.sqrt_()
    return values.transpose(0, 1).contiguous()  # (N, t, C)


def _read_for_kernel(predictions: torch.Tensor, name: str) -> kernel.Tile:
    """Probabilities (t, N, C) of a tile as the compiled loop wants them."""
    return kernel.pack(_renormalised(predictions.cpu().float(), name).sqrt_().numpy())


def _renormalised(values: torch.Tensor, name: str) -> torch.Tensor:
    """A new tensor whose rows sum to 1, once they are known to be probabilities."""
    sums = values.sum(dim=-1, keepdim=True)
    check_rows(float(values.amin()), float((sums - 1).abs().amax()), name)
    return values / sums


def _overlap_blocks(p: torch.Tensor, q: torch.Tensor) -> Iterator[torch.Tensor]:
    """Overlaps (n, t, s) of two tiles of roots (N, t, C) and (N, s, C), n samples at a time, in one reused buffer."""
    n_samples, t, s = p.shape[0], p.shape[1], q.shape[1]
    block = max(1, min(n_samples, _BLOCK_ELEMENTS // (t * s)))
    buffer = torch.empty(block * t * s, dtype=p.dtype, device=p.device)
    for start in range(0, n_samples, block):
        n = min(block, n_samples - start)
        overlap = buffer[: n * t * s].view(n, t, s)
        yield torch.bmm(p[start : start + n], q[start : start + n].transpose(1, 2), out=overlap)


def _sum_log_overlaps(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """-sum_n log max(b_n, FLOOR) of two tiles of roots, shape (t, s)."""
    total = torch.zeros(p.shape[1], q.shape[1], dtype=torch.float64, device=p.device)
    for overlap in _overlap_blocks(p, q):
        total -= _log_product(overlap.clamp_(min=FLOOR))
    return total


def _log_product(factors: torch.Tensor) -> torch.Tensor:
    """Sum of log over the first dimension, of factors in [FLOOR, 1] that are overwritten.

    A logarithm costs as much as ten products, so halves are multiplied together first, for as long as the smallest
    product that can come out is a normal number.
    """
    tiny = torch.finfo(factors.dtype).tiny
    smallest = FLOOR
    while len(factors) > _FEW:
        half, is_odd = divmod(len(factors), 2)
        if smallest ** (2 + is_odd) < tiny:
            smallest = float(factors.amin())  # the bound is used up: look
            if smallest ** (2 + is_odd) < tiny:
                break
        products = factors[:half].mul_(factors[half : 2 * half])
        if is_odd:
            products[0].mul_(factors[-1])
        factors = products
        smallest **= 2 + is_odd
    return factors.log_().sum(dim=0)


def _sum_angles(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """sum_n arccos(b_n) of two tiles of roots, shape (t, s); an angle that may be rounding counts as 0."""
    smallest = math.sqrt(2 * _rounding(p.dtype, p.shape[2]))
    total = torch.zeros(p.shape[1], q.shape[1], dtype=torch.float64, device=p.device)
    for overlap in _overlap_blocks(p, q):
        total += torch.threshold_(overlap.clamp_(max=1.0).arccos_(), smallest, 0.0).sum(dim=0)
    return total


def _sum_kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """sum_nc (p - q)(log p - log q) / 2 of two tiles of floored probabilities, shape (t, s), by matrix products."""
    p, q = p.transpose(0, 1).flatten(1), q.transpose(0, 1).flatten(1)  # (t, N * C), (s, N * C)
    log_p, log_q = p.log(), q.log()
    own = (p * log_p).sum(1)[:, None] + (q * log_q).sum(1)[None, :]  # (t, s)
    return (own - p @ log_q.T - log_p @ q.T) / 2


def _sum_squares(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """sum_nc (sqrt(p) - sqrt(q))^2 of two tiles of roots, shape (t, s), by one matrix product: all rows have norm 1."""
    return 2 * (len(p) - torch.tensordot(p, q, dims=([0, 2], [0, 2])))
