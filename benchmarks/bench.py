"""The benchmark table: each row is measured, with what it is compared with, in one run (`make bench`).

Predictions are seeded and real-looking: softmax of logits that sharpen along a trajectory, never zeros.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from predspace_widgets.geometry import pairwise

T, N, C = 1830, 500, 10
NUMPY_BLOCK = 50  # samples: the plain formula on all of them at once would need 27 GB


def main() -> None:
    """Measure and print."""
    P = sharpening_predictions(T, N, C)
    ours_seconds, ours = best_of(3, lambda: pairwise(P))
    numpy_seconds, exact = best_of(1, lambda: plain_numpy(P))
    error = np.abs(ours - exact).max()
    np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-6)

    table = Table(title=f"{torch.get_num_threads()} threads, torch {torch.__version__}, numpy {np.__version__}")
    for column in ("work", "ours", "plain numpy", "ratio", "largest error"):
        table.add_column(column, justify="left" if column == "work" else "right")
    table.add_row(
        f"pairwise T={T}, N={N}, C={C}",
        f"{ours_seconds:.3f} s",
        f"{numpy_seconds:.2f} s",
        f"{numpy_seconds / ours_seconds:.0f}x",
        f"{error:.1e}",
    )
    Console(width=110).print(table)


def sharpening_predictions(n_checkpoints: int, n_samples: int, n_classes: int, seed: int = 0) -> np.ndarray:
    """Probabilities (T, N, C) of a network that gets surer, in float32."""
    random = np.random.default_rng(seed)
    direction = random.normal(size=(n_samples, n_classes))
    sharpness = np.linspace(0, 4, n_checkpoints)[:, None, None]
    logits = sharpness * (direction + 0.3 * random.normal(size=(n_checkpoints, n_samples, n_classes)))
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float32)


def plain_numpy(P: np.ndarray) -> np.ndarray:
    """-log(sqrt(P) @ sqrt(P)') in float64, summed over samples and divided by their number."""
    P = P.astype(np.float64)
    roots = np.sqrt(P / P.sum(axis=-1, keepdims=True)).transpose(1, 0, 2)  # (N, T, C)
    total = np.zeros((len(P), len(P)))
    for start in range(0, len(roots), NUMPY_BLOCK):
        block = roots[start : start + NUMPY_BLOCK]
        total += -np.log(block @ block.transpose(0, 2, 1)).sum(axis=0)  # (n, T, T) -> (T, T)
    return total / len(roots)


def best_of(repeats: int, work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Shortest time of some repeats, in seconds, and the result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


if __name__ == "__main__":
    main()
