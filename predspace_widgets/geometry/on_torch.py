"""Tiles of checkpoints against each other on a device of torch, such as a GPU: matrix products, as on a CPU."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry import on_cpu
from predspace_widgets.geometry.on_cpu import Way, rounding, smallest_distance
from predspace_widgets.geometry.probabilities import FLOOR, Array, check_rows

#: Checkpoints in a tile, at most.
TILE = 2048


def check_device(device: str) -> None:
    """Raise RuntimeError if a device is not there."""
    try:
        torch.device(device)
    except RuntimeError:
        raise RuntimeError(f"no device {device!r}: choose 'cpu' or 'cuda'") from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(f"device {device!r} is not there: torch sees no CUDA on this machine; use device='cpu'")


def way(metric: str, dtype: np.dtype[Any], n_samples: int, n_classes: int, device: str) -> Way:
    """Matrix products on a device; see `on_cpu.way`."""
    sums = {
        "bhattacharyya": _sum_log_overlaps,
        "great_circle": _sum_angles,
        "symmetric_kl": _sum_kl,
        "euclidean": _sum_squares,
    }[metric]

    def sum_over_samples(p: torch.Tensor, q: torch.Tensor) -> Array:
        return sums(p, q).double().cpu().numpy()

    smallest = smallest_distance(metric, dtype, n_samples, n_classes)
    work = torch.float32 if dtype == np.float32 else torch.float64
    return Way(partial(_read, metric=metric, dtype=work, device=device), sum_over_samples, TILE, smallest)


def as_checkpoints(predictions: ArrayLike, name: str) -> torch.Tensor:
    """Predictions (T, N, C) of whatever kind as a tensor, where they are."""
    values = predictions if isinstance(predictions, torch.Tensor) else torch.from_numpy(_plain(predictions))
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError(f"{name} must have shape (checkpoints, samples, classes), got {tuple(values.shape)}")
    return values.detach()


def _plain(predictions: ArrayLike) -> NDArray[Any]:
    """An array of a kind that torch takes: of numbers in this machine's order, writeable, no view backwards."""
    values = np.asarray(predictions)
    if values.dtype not in (np.float16, np.float32, np.float64):
        values = values.astype(np.float64)
    plain = values.dtype.isnative and values.flags.writeable and min(values.strides, default=0) >= 0
    return values if plain else values.astype(values.dtype.newbyteorder("="))


def _read(predictions: torch.Tensor, name: str, metric: str, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Probabilities (t, N, C) of a tile as matrix products want them: sample first, roots where needed."""
    values = _renormalised(predictions.to(device=device, dtype=dtype), name)  # (t, N, C)
    values = values.clamp_(min=FLOOR) if metric == "symmetric_kl" else values.sqrt_()
    return values.transpose(0, 1).contiguous()  # (N, t, C)


def _renormalised(values: torch.Tensor, name: str) -> torch.Tensor:
    """A new tensor whose rows sum to 1, once they are known to be probabilities."""
    sums = values.sum(dim=-1, keepdim=True)
    check_rows(float(values.amin()), float((sums - 1).abs().amax()), name)
    return values / sums


def _overlap_blocks(p: torch.Tensor, q: torch.Tensor) -> Iterator[torch.Tensor]:
    """Overlaps (n, t, s) of two tiles of roots (N, t, C) and (N, s, C), n samples at a time, in one reused buffer."""
    n_samples, t, s = p.shape[0], p.shape[1], q.shape[1]
    block = max(1, min(n_samples, on_cpu.BLOCK_ELEMENTS // (t * s)))
    buffer = torch.empty(block * t * s, dtype=p.dtype, device=p.device)
    for start in range(0, n_samples, block):
        n = min(block, n_samples - start)
        overlap = buffer[: n * t * s].view(n, t, s)
        yield torch.bmm(p[start : start + n], q[start : start + n].transpose(1, 2), out=overlap)


def _sum_log_overlaps(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """-sum_n log max(b_n, FLOOR) of two tiles of roots, shape (t, s)."""
    total = torch.zeros(p.shape[1], q.shape[1], dtype=torch.float64, device=p.device)
    for overlap in _overlap_blocks(p, q):
        products = on_cpu.few_products(overlap.clamp_(min=FLOOR), torch.finfo(overlap.dtype).tiny)
        total -= products.log_().sum(dim=0)
    return total


def _sum_angles(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """sum_n arccos(b_n) of two tiles of roots, shape (t, s); an angle that may be rounding counts as 0."""
    single = p.dtype == torch.float32
    smallest = math.sqrt(2 * rounding(np.dtype(np.float32 if single else np.float64), p.shape[2]))
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
