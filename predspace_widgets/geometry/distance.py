"""Distances between points of prediction space, and the engine that fills a matrix of them.

Square roots of probabilities are points on a product of spheres; the overlap of two predictions of one sample is the
cosine of the angle between them. Definitions as in Ramesh et al. (ICML 2023, arXiv:2210.17011) and Mao et al. (PNAS
2024, arXiv:2305.01604): means over samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike

from predspace_widgets.geometry.probabilities import Array, as_probabilities, check_rows

#: The smallest overlap that any formula sees. Two predictions of a sample that share no class have overlap 0 and an
#: infinite Bhattacharyya distance; with this floor it is 20.7. The only floor of the package; `symmetric_kl` puts it
#: under probabilities.
FLOOR = 1e-9

Metric = Literal["bhattacharyya", "great_circle", "symmetric_kl"]

_Task = TypeVar("_Task")


def check_metric(metric: str) -> None:
    """Raise ValueError, naming the known ones, unless `metric` is a distance of this module."""
    if metric not in get_args(Metric):
        raise ValueError(f"unknown metric {metric!r}: choose one of {', '.join(get_args(Metric))}")


def overlaps(P: ArrayLike, Q: ArrayLike) -> Array:
    """Bhattacharyya coefficient of each sample, b_n = sum_c sqrt(P_nc Q_nc).

    Computed as 1 - |sqrt(P_n) - sqrt(Q_n)|^2 / 2, which keeps its digits where P and Q are close.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.

    Returns
    -------
    array, shape (..., N)
        In [0, 1].

    Raises
    ------
    ValueError
        P or Q are no probabilities (see `as_probabilities`), or differ in samples or classes.

    Examples
    --------
    >>> overlaps([[0.5, 0.5]], [[1.0, 0.0]]).round(4)
    array([0.7071])
    """
    return 1 - _overlap_deficits(P, Q)


def bhattacharyya(P: ArrayLike, Q: ArrayLike) -> Array:
    """Bhattacharyya distance, d_B = -(1/N) sum_n log max(b_n, FLOOR), in nats.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.

    Returns
    -------
    array, shape (...)
        In [0, -log FLOOR]; 0 only where P equals Q. Not a metric: the triangle inequality does not hold.

    Raises
    ------
    ValueError
        P or Q are no probabilities, or differ in samples or classes.

    Examples
    --------
    >>> float(bhattacharyya([[0.5, 0.5]], [[1.0, 0.0]]).round(6))  # -log(1 / sqrt(2))
    0.346574
    """
    return -np.log1p(-np.minimum(_overlap_deficits(P, Q), 1 - FLOOR)).mean(axis=-1) + 0.0  # (..., N) -> (...)


def great_circle(P: ArrayLike, Q: ArrayLike) -> Array:
    """Great-circle (geodesic) distance, d_G = (1/N) sum_n arccos(b_n), in radians.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.

    Returns
    -------
    array, shape (...)
        In [0, pi/2]. A metric.

    Raises
    ------
    ValueError
        P or Q are no probabilities, or differ in samples or classes.

    Examples
    --------
    >>> float(great_circle([[0.5, 0.5]], [[1.0, 0.0]]).round(6))  # pi / 4
    0.785398
    """
    return angles(P, Q).mean(axis=-1)  # (..., N) -> (...)


def symmetric_kl(P: ArrayLike, Q: ArrayLike) -> Array:
    """Symmetrised Kullback-Leibler divergence, d_J = (1/2N) sum_nc (P_nc - Q_nc)(log P_nc - log Q_nc), in nats.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities, raised to FLOOR where they are smaller; the leading dimensions broadcast.

    Returns
    -------
    array, shape (...)

    Raises
    ------
    ValueError
        P or Q are no probabilities, or differ in samples or classes.

    Examples
    --------
    >>> float(symmetric_kl([[0.5, 0.5]], [[0.25, 0.75]]).round(6))
    0.137327
    """
    p, q = (np.maximum(values, FLOOR) for values in _read_pair(P, Q))
    return ((p - q) * (np.log(p) - np.log(q))).sum(axis=-1).mean(axis=-1) / 2  # (..., N, C) -> (...)


def angles(P: ArrayLike, Q: ArrayLike) -> Array:
    """Angle arccos(b_n) between the predictions of each sample, shape (..., N), in radians (see `great_circle`)."""
    # arccos(1 - x) = 2 arcsin(sqrt(x / 2)) keeps its digits where the angle is small.
    return 2 * np.arcsin(np.sqrt(_overlap_deficits(P, Q) / 2))


def _overlap_deficits(P: ArrayLike, Q: ArrayLike) -> Array:
    """1 - b_n, shape (..., N), in [0, 1]."""
    p, q = _read_pair(P, Q)
    return np.minimum(np.square(np.sqrt(p) - np.sqrt(q)).sum(axis=-1) / 2, 1.0)


def _read_pair(P: ArrayLike, Q: ArrayLike) -> tuple[Array, Array]:
    p, q = as_probabilities(P, "P"), as_probabilities(Q, "Q")
    _check_same_space(p.shape, q.shape)
    return p, q


def _check_same_space(p_shape: tuple[int, ...], q_shape: tuple[int, ...]) -> None:
    if p_shape[-2:] != q_shape[-2:]:
        raise ValueError(
            "P and Q lie in different prediction spaces: (samples, classes) are "
            f"{tuple(p_shape[-2:])} and {tuple(q_shape[-2:])}"
        )


# -- the pairwise engine: tiles of checkpoints x blocks of samples, on the CPU or a GPU ------------------------------

# Each tile of checkpoints against another is one task of a pool of threads, in which torch itself runs on one thread.
# Letting torch share each operation among its threads is no faster on an idle machine and, where something else runs
# beside, tens of times slower: every operation then waits for a thread that waits for a core.
_TILE = 160
_GPU_TILE = 2048
# Overlaps held at a time by a thread, 6 MB in float32: operations long enough for threads not to wait for the
# interpreter, which starts one at a time, and blocks small enough for a shared cache.
_BLOCK_ELEMENTS = 64 * _TILE**2


def pairwise(
    P: ArrayLike,
    Q: ArrayLike | None = None,
    metric: Metric = "bhattacharyya",
    *,
    dtype: Literal["float32", "float64"] | None = None,
    device: str = "cpu",
) -> Array:
    """Matrix of distances between all checkpoints of P, or from those of P to those of Q.

    Parameters
    ----------
    P : array, shape (T, N, C)
        Probabilities of T checkpoints. float16 and float32 are read tile by tile, never copied whole to float64.
    Q : array, shape (S, N, C), optional
        Probabilities in the same prediction space. Left out, distances are within P, and only half are computed.
    metric : {"bhattacharyya", "great_circle", "symmetric_kl"}
        Which distance; see the functions of these names.
    dtype : {"float32", "float64"}, optional
        Precision of the arithmetic. By default float32 for "bhattacharyya", whose error is then about 1e-7, and
        float64 for the others: an arc cosine near 1 and a difference of logarithms lose too many digits in float32.
    device : str
        Where torch computes: "cpu" (all threads of `torch.get_num_threads`) or "cuda".

    Returns
    -------
    array, shape (T, T) or (T, S), float64
        Symmetric with a zero diagonal where Q is left out.

    Raises
    ------
    ValueError
        P or Q are not (T, N, C) probabilities or differ in samples or classes; unknown metric.
    RuntimeError
        The device is not there.

    Examples
    --------
    >>> P = [[[0.5, 0.5]], [[1.0, 0.0]]]
    >>> pairwise(P).round(4)
    array([[0.    , 0.3466],
           [0.3466, 0.    ]])
    """
    check_metric(metric)
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(f"device {device!r} is not there: torch sees no CUDA on this machine; use device='cpu'")
    single = dtype == "float32" if dtype else metric == "bhattacharyya"
    work = torch.float32 if single else torch.float64
    p = _as_checkpoints(P, "P")
    q = p if Q is None else _as_checkpoints(Q, "Q")
    _check_same_space(p.shape, q.shape)

    within = Q is None
    distances = np.zeros((p.shape[0], q.shape[0]))
    sum_over_samples = {
        "bhattacharyya": _sum_log_overlaps,
        "great_circle": _sum_angles,
        "symmetric_kl": _sum_kl,
    }[metric]
    rows, columns = _tiles(p.shape[0], device), _tiles(q.shape[0], device)
    column_points = [_read_tile(q[tile], "Q", metric, work, device) for tile in columns]
    # Within P rows and columns are the same tiles, and half of the pairs of them are enough.
    row_points = column_points if within else [_read_tile(p[tile], "P", metric, work, device) for tile in rows]

    def fill(pair: tuple[int, int]) -> None:
        i, j = pair
        sums = sum_over_samples(row_points[i], column_points[j]).double().cpu().numpy()  # (t, s)
        distances[rows[i], columns[j]] = sums
        if within:
            distances[columns[j], rows[i]] = sums.T

    pairs = [(i, j) for i in range(len(rows)) for j in range(i if within else 0, len(columns))]
    _for_each(fill, pairs, n_threads=torch.get_num_threads() if device == "cpu" else 1)
    distances /= p.shape[1]
    np.maximum(distances, 0.0, out=distances)  # rounding makes distances of about -1e-8 of coinciding points
    if within:
        np.fill_diagonal(distances, 0.0)
    return distances


def _for_each(work: Callable[[_Task], None], tasks: Sequence[_Task], n_threads: int) -> None:
    """Do all tasks on a pool of threads, in each of which torch runs on one thread."""
    if n_threads == 1 or len(tasks) < 2:
        for task in tasks:
            work(task)
        return
    pool = ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        for _ in pool.map(work, tasks):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)  # the matrix library has one number for all threads


def _as_checkpoints(predictions: ArrayLike, name: str) -> torch.Tensor:
    values = predictions if isinstance(predictions, torch.Tensor) else torch.from_numpy(_plain(predictions))
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError(f"{name} must have shape (checkpoints, samples, classes), got {tuple(values.shape)}")
    return values.detach()


def _plain(predictions: ArrayLike) -> np.ndarray:
    values = np.asarray(predictions)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    return values if values.flags.writeable else values.copy()


def _tiles(n_checkpoints: int, device: str) -> list[slice]:
    """Slices of about equal length, so that no thread waits for a last large one."""
    largest = _TILE if device == "cpu" else _GPU_TILE
    n_tiles = -(-n_checkpoints // largest)
    edges = [n_checkpoints * k // n_tiles for k in range(n_tiles + 1)] if n_tiles else [0]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _read_tile(predictions: torch.Tensor, name: str, metric: str, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Probabilities (t, N, C) of a tile, renormalised, as the engine wants them: sample first, roots where needed."""
    values = predictions.to(device=device, dtype=dtype)  # (t, N, C)
    sums = values.sum(dim=-1, keepdim=True)
    check_rows(float(values.amin()), float((sums - 1).abs().amax()), name)
    values = values / sums
    values = values.clamp_(min=FLOOR) if metric == "symmetric_kl" else values.sqrt_()
    return values.transpose(0, 1).contiguous()  # (N, t, C)


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
    while len(factors) % 2 == 0:
        if smallest**2 < tiny:
            smallest = float(factors.amin())  # the bound is used up: look
            if smallest**2 < tiny:
                break
        half = len(factors) // 2
        factors = factors[:half].mul_(factors[half:])
        smallest **= 2
    return factors.log_().sum(dim=0)


def _sum_angles(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """sum_n arccos(b_n) of two tiles of roots, shape (t, s)."""
    total = torch.zeros(p.shape[1], q.shape[1], dtype=torch.float64, device=p.device)
    for overlap in _overlap_blocks(p, q):
        total += overlap.clamp_(max=1.0).arccos_().sum(dim=0)
    return total


def _sum_kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """sum_nc (p - q)(log p - log q) / 2 of two tiles of floored probabilities, shape (t, s), by matrix products."""
    p, q = p.transpose(0, 1).flatten(1), q.transpose(0, 1).flatten(1)  # (t, N * C), (s, N * C)
    log_p, log_q = p.log(), q.log()
    own = (p * log_p).sum(1)[:, None] + (q * log_q).sum(1)[None, :]  # (t, s)
    return (own - p @ log_q.T - log_p @ q.T) / 2
