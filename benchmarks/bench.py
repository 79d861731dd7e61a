"""The benchmark table: each row is measured, with what it is compared with, in one run (`make bench`).

Predictions are seeded and real-looking: softmax of logits that sharpen along a trajectory, never zeros.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import scipy.linalg
import scipy.optimize
import torch
import xarray as xr
from rich.console import Console
from rich.table import Table

from predspace_widgets import demo
from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.analysis.matrix import matrix
from predspace_widgets.analysis.uncertainty import bootstrap, draw_samples
from predspace_widgets.geometry import InPCA, contributions, geodesic, ignorance, pairwise, progress, truth
from predspace_widgets.geometry.on_cpu import way
from predspace_widgets.trajectories import Selection, make_trajectories
from predspace_widgets.trajectories.selection import rows_of_runs

SIZES = ((1830, 500, 10), (1830, 1000, 100), (1830, 200, 1000))
BLOCK = 50  # samples: the plain formulas on all of them at once would need 27 GB
PEAK_SIZE = 4096


def main() -> None:
    """Measure and print."""
    title = f"{numba.config.NUMBA_NUM_THREADS} threads, torch {torch.__version__}, numpy {np.__version__}"
    console = Console(width=120)
    console.print(pairwise_table(title))
    table = Table(title=title)
    for column in ("work", "ours", "compared with", "", "ratio", "largest error"):
        table.add_column(column, justify="left" if column in ("work", "compared with") else "right")
    measured = (contributions_row, progress_row, inpca_row, selection_row, matrix_row, bootstrap_row, import_row)
    for row in measured:
        table.add_row(*row())
    console.print(table)


def pairwise_table(title: str) -> Table:
    """Distances, against the plain formulas and the peak of this machine's matrix product."""
    peak = peak_rate()
    table = Table(title=f"{title}; a product of {PEAK_SIZE}^2 matrices: {peak / 1e9:.0f}e9 multiply-adds/s")
    for column in ("pairwise", "ours", "plain torch", "ratio", "plain numpy", "ratio", "of peak", "largest error"):
        table.add_column(column, justify="left" if column == "pairwise" else "right")
    for T, N, C in SIZES:
        P = sharpening_predictions(T, N, C)
        pairwise(P[:20])  # what is compiled at the first call
        seconds, ours = best_of(5, lambda P=P: pairwise(P))
        torch_seconds, _ = best_of(1, lambda P=P: plain_torch(P))
        numpy_seconds, exact = best_of(1, lambda P=P: plain_numpy(P))
        # What rounding may make of points that coincide is 0: with 1,000 classes that is more.
        within = max(1e-6, way("bhattacharyya", np.dtype(np.float32), N, C).smallest)
        np.testing.assert_allclose(ours, exact, rtol=0, atol=within)
        table.add_row(
            f"T={T}, N={N}, C={C}",
            f"{seconds:.3f} s",
            f"{torch_seconds:.2f} s",
            f"{torch_seconds / seconds:.1f}x",
            f"{numpy_seconds:.1f} s",
            f"{numpy_seconds / seconds:.0f}x",
            f"{T**2 / 2 * N * C / seconds / peak:.2f}",
            f"{np.abs(ours - exact).max():.1e}",
        )
    return table


def contributions_row() -> tuple[str, ...]:
    """Contributions of all samples to one distance, against the plain formula."""
    N, C = 50_000, 1_000
    P, Q = sharpening_predictions(2, N, C)
    contributions(P[:10], Q[:10])  # what is compiled at the first call
    seconds, ours = best_of(5, lambda: contributions(P, Q))
    numpy_seconds, exact = best_of(3, lambda: plain_contributions(P, Q))
    error = np.abs(ours - exact).max()
    assert error < 1e-12, error
    ratio = f"{numpy_seconds / seconds:.0f}x"
    return (
        f"contributions N={N:,}, C={C:,}",
        f"{1000 * seconds:.0f} ms",
        "plain numpy (float64)",
        f"{numpy_seconds:.1f} s",
        ratio,
        f"{error:.1e}",
    )


def plain_contributions(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """-log of the overlaps of normalised rows, in float64."""
    p, q = (values.astype(np.float64) for values in (P, Q))
    overlaps = np.sqrt(p / p.sum(axis=-1, keepdims=True) * (q / q.sum(axis=-1, keepdims=True))).sum(axis=-1)
    values: np.ndarray = -np.log(overlaps)
    return values


def progress_row() -> tuple[str, ...]:
    """Progress, against a bounded search on the whole geodesic, checkpoint by checkpoint."""
    T, N, C = 200, 5000, 100
    P = sharpening_predictions(T, N, C)
    start, end = ignorance(N, C), truth(P[-1].argmax(axis=-1), C)
    few = np.linspace(0, T - 1, 4).astype(int)  # a search takes so long that four checkpoints must do

    def search() -> np.ndarray:
        return np.array([search_progress(P[index], start, end) for index in few])

    seconds, ours = best_of(3, lambda: progress(P, start, end))
    search_seconds, searched = best_of(1, search)
    error = np.abs(ours[few] - searched).max()
    assert error < 1e-5, error
    search_seconds *= T / len(few)
    return (
        f"progress T={T}, N={N}, C={C}",
        f"{seconds:.2f} s",
        f"scipy's bounded search (of {len(few)})",
        f"{search_seconds:.0f} s",
        f"{search_seconds / seconds:.0f}x",
        f"{error:.1e}",
    )


def matrix_row() -> tuple[str, ...]:
    """All pairs of the curves of the demo, three seeds each, against the plain formulas at the same 51 values."""
    analysis, chosen = analysis_of(demo()), Selection(seeds=(0, 1, 2))
    reached = analysis.measured.progress()

    def ours() -> xr.Dataset:
        fresh = Analysis(analysis.ds)  # what is kept of the predictions and their progress stays, the result does not
        fresh.measured = analysis.measured
        return matrix(fresh, selection=chosen, with_p=False)

    ours()  # what is compiled at the first call
    seconds, differ = best_of(3, ours)
    grid = np.linspace(*differ.attrs["progress_range"], 51)
    probs, runs = analysis.measured.probs().values, rows_of_runs(analysis.ds, chosen.rows(analysis.ds))
    labels = differ["curve"].values[differ["compared"].values].tolist()

    def plainly() -> np.ndarray:
        means = [
            np.mean([plain_reindex(probs[rows], reached[rows], grid) for rows in of_curve], axis=0)
            for of_curve in ([rows for rows in runs.values() if analysis.curves[rows[0]] == label] for label in labels)
        ]
        roots = np.sqrt(np.stack(means))  # (M, K, N, C)
        heights = [[-np.log(np.einsum("knc,knc->kn", p, q)).mean(axis=1) for q in roots] for p in roots]
        return np.trapezoid(heights, grid, axis=-1) / (grid[-1] - grid[0])

    plain_seconds, expected = best_of(1, plainly)
    error = float(np.abs(differ.distance.sel(curve=labels, other=labels) - expected).max())
    assert error < 1e-9, error
    return (
        f"matrix of {len(labels)} curves, {len(runs)} runs",
        f"{seconds:.2f} s",
        "plain numpy",
        f"{plain_seconds:.1f} s",
        f"{plain_seconds / seconds:.0f}x",
        f"{error:.1e}",
    )


def bootstrap_row() -> tuple[str, ...]:
    """Error bars of the demo's picture, 200 draws of its samples, against fitting draws from scratch."""
    analysis = analysis_of(demo())
    analysis.prepare()
    probs = analysis.measured.probs().values
    bootstrap(analysis, n_draws=2)  # what is compiled or read at the first call
    seconds, picture = best_of(1, lambda: bootstrap(analysis, n_draws=200))
    weights = draw_samples(probs.shape[1], 200, np.random.default_rng(0))[:3]
    times = np.rint(weights * probs.shape[1]).astype(int)

    def from_scratch() -> list[InPCA]:
        return [InPCA(3).fit(np.repeat(probs, of_draw, axis=1)) for of_draw in times]

    plain_seconds, fits = best_of(1, from_scratch)
    expected = np.stack([fit.eigenvalues_ for fit in fits])
    error = float(np.abs(picture["drawn_eigenvalue"].values[:3] / expected - 1).max())
    assert error < 1e-6, error
    refitting = plain_seconds / 3 * 200
    return (
        "InPCA of the demo with error bars, 200 draws",
        f"{seconds:.1f} s",
        "3 draws from scratch, times 200 / 3",
        f"{refitting:.0f} s",
        f"{refitting / seconds:.0f}x",
        f"{error:.1e}",
    )


def import_row() -> tuple[str, ...]:
    """The import of the package, against that of xarray, which is imported when it is used, in new processes by turns.

    And both, for whoever goes on to a dataset: what the package adds to xarray.
    """
    timed = "import time; began = time.perf_counter(); import {}; print(time.perf_counter() - began)"

    def seconds_of(modules: str) -> float:
        return float(
            subprocess.run([sys.executable, "-c", timed.format(modules)], capture_output=True, check=True).stdout
        )

    imported = ("predspace_widgets", "xarray", "predspace_widgets, xarray")
    by_turns = [[seconds_of(modules) for modules in imported] for _ in range(7)]
    seconds, alone, both = (min(times) for times in zip(*by_turns, strict=True))
    return (
        f"import predspace_widgets ({both:.2f} s with xarray)",
        f"{seconds:.3f} s",
        "import xarray",
        f"{alone:.2f} s",
        f"{alone / seconds:.0f}x",
        "",
    )


def plain_reindex(run: np.ndarray, reached: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Points (K, N, C) of a run at values of progress, on great circles between its records, one value at a time."""
    records = np.flatnonzero(reached > np.concatenate([[-np.inf], np.maximum.accumulate(reached)[:-1]]))
    points = []
    for value in grid:
        after = min(int(np.searchsorted(reached[records], value, side="right")), len(records) - 1)
        one, other = records[after - 1], records[after]
        part = (value - reached[one]) / (reached[other] - reached[one])
        points.append(geodesic(run[one], run[other], float(part)))
    return np.stack(points)


def search_progress(P: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """The nearest point of the geodesic by scipy's bounded minimisation of the plain formula."""
    roots = np.sqrt(P.astype(np.float64))

    def distance(t: float) -> float:
        return float(-np.log((roots * np.sqrt(geodesic(start, end, t))).sum(axis=-1)).mean())

    result = scipy.optimize.minimize_scalar(distance, bounds=(0, 1), method="bounded", options={"xatol": 1e-7})
    return float(result.x)


def inpca_row() -> tuple[str, ...]:
    """InPCA of given distances, against all eigenvalues and eigenvectors."""
    D = pairwise(sharpening_predictions(2000, 100, 10))
    seconds, model = best_of(5, lambda: InPCA(10, metric="precomputed").fit(D))
    full_seconds, exact = best_of(2, lambda: full_inpca(D))
    error = picture_error(model.embedding_[:, :3], exact)
    assert error < 1e-4, error
    ratio = f"{full_seconds / seconds:.1f}x"
    return "InPCA T=2000, 10 axes", f"{seconds:.3f} s", "full eigh", f"{full_seconds:.2f} s", ratio, f"{error:.1e}"


def full_inpca(D: np.ndarray) -> np.ndarray:
    """The first three coordinates, from all eigenvalues and eigenvectors."""
    W = -0.5 * (D - D.mean(axis=0) - D.mean(axis=1)[:, None] + D.mean())
    eigenvalues, vectors = scipy.linalg.eigh(W)
    order = np.argsort(-np.abs(eigenvalues))[:3]
    coordinates: np.ndarray = np.sqrt(np.abs(eigenvalues[order])) * vectors[:, order]
    return coordinates


def picture_error(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest difference of coordinates whose axes have any sign, as a share of the largest coordinate."""
    return float(np.abs(found * np.sign((found * exact).sum(axis=0)) - exact).max() / np.abs(exact).max())


def selection_row() -> tuple[str, ...]:
    """New coordinates of a changed selection, with the signs of the whole picture; distances are there already."""
    runs, checkpoints = 40, 50
    P = sharpening_predictions(runs * checkpoints, 100, 10)
    ds = make_trajectories(
        P,
        P[-1].argmax(axis=-1),
        task=[f"task {index // checkpoints}" for index in range(len(P))],
        epoch=np.tile(np.arange(checkpoints), runs),
    )
    analysis = Analysis(ds)
    analysis.prepare()
    tasks = [f"task {number}" for number in range(runs)]
    analysis.picture(Selection(tasks=tuple(tasks[:30])))
    seconds = []
    for first in range(1, 8):
        start = time.perf_counter()
        picture = analysis.picture(Selection(tasks=tuple(tasks[first : first + 30])))
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    exact = full_inpca(pairwise(P[picture["row"].values], dtype="float64"))
    error = picture_error(picture["embedding"].values, exact)
    assert error < 1e-4, error
    milliseconds, ratio = f"{1000 * median:.0f} ms", f"{0.06 / median:.1f}x"
    return "1,500 of 2,000 chosen anew", milliseconds, "at most", "60 ms", ratio, f"{error:.1e}"


def sharpening_predictions(n_checkpoints: int, n_samples: int, n_classes: int, seed: int = 0) -> np.ndarray:
    """Probabilities (T, N, C) of a network that gets surer, in float32."""
    random = np.random.default_rng(seed)
    direction = random.standard_normal((n_samples, n_classes), dtype=np.float32)
    P = np.empty((n_checkpoints, n_samples, n_classes), dtype=np.float32)
    for checkpoint, sharpness in zip(P, np.linspace(0, 4, n_checkpoints, dtype=np.float32), strict=True):
        noise = random.standard_normal((n_samples, n_classes), dtype=np.float32)
        logits = sharpness * (direction + np.float32(0.3) * noise)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        checkpoint[:] = weights / weights.sum(axis=-1, keepdims=True)
    return P


def plain_numpy(P: np.ndarray) -> np.ndarray:
    """-log(sqrt(P) @ sqrt(P)') in float64, summed over samples and divided by their number."""
    total = np.zeros((len(P), len(P)))
    for start in range(0, P.shape[1], BLOCK):
        block = P[:, start : start + BLOCK].astype(np.float64)
        roots = np.sqrt(block / block.sum(axis=-1, keepdims=True)).transpose(1, 0, 2)  # (n, T, C)
        total += -np.log(roots @ roots.transpose(0, 2, 1)).sum(axis=0)  # (n, T, T) -> (T, T)
    return total / P.shape[1]


def plain_torch(P: np.ndarray) -> torch.Tensor:
    """The same in torch and float32: bmm, log, sum over samples."""
    values = torch.from_numpy(P)
    roots = (values / values.sum(dim=-1, keepdim=True)).sqrt().transpose(0, 1)  # (N, T, C)
    total = torch.zeros(len(P), len(P))
    for block in roots.split(BLOCK):
        total -= torch.bmm(block, block.transpose(1, 2)).log().sum(dim=0)
    return total / P.shape[1]


def peak_rate() -> float:
    """Multiply-adds a second of a large product of float32 matrices."""
    matrix = torch.rand(PEAK_SIZE, PEAK_SIZE)
    seconds, _ = best_of(4, lambda: matrix @ matrix)
    return PEAK_SIZE**3 / seconds


def best_of(repeats: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Shortest time of some repeats, in seconds, and the result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


if __name__ == "__main__":
    main()
