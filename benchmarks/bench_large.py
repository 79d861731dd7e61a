"""What does not fit in memory, measured: `make bench-large` (see README.md for what it needs and takes).

Each measurement is a process of its own, whose peak memory counts.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from rich.console import Console
from rich.table import Table

from predspace_widgets.analysis import analysis_of
from predspace_widgets.geometry import InPCA, explained_stress, pairwise
from predspace_widgets.trajectories import Samples, make_trajectories, open_trajectories, save_trajectories

# 4 GB of predictions as float16.
T, N, C = 2_000, 10_000, 100
RUNS = 40
# The picture by landmarks: runs of a family with few parameters, 3 GB as float16.
FAMILY = (2_500, 60, 1_000, 10)  # runs, checkpoints of each, samples, classes
LANDMARKS = 1_500
COMPARED = 3_000


def main(folder: Path) -> None:
    """Measure and print; the data is made in a folder and stays there."""
    console = Console(width=120)
    path = folder / f"sharpening-{T}-{N}-{C}.zarr"
    if not path.exists():
        console.print(f"writing {path}")
        measure("write", path)
    table = Table(title=f"T={T}, N={N}, C={C}: {T * N * C * 2 / 1e9:.0f} GB as float16")
    for column in ("work", "seconds", "peak memory, GB", ""):
        table.add_column(column, justify="left" if column in ("work", "") else "right")

    def add(work: str, found: dict[str, Any], note: str = "") -> None:
        table.add_row(work, f"{found['seconds']:.1f}", f"{found['peak']:.2f}", note)

    forget(path)
    first = measure("distances", path)
    add("all distances", first, f"largest error {error(path, first['sample']):.1e}, of 20 checkpoints")
    add("opened again", measure("distances", path), "kept on disk")
    add(
        "a class: all that the explorer shows", measure("of_class", path), "from what the first pass kept of each class"
    )
    add("a class, read from the predictions", measure("read_class", path), "its distances, without what was kept")
    forget(path)
    add("all distances, nothing kept", measure("unkept", path), "what keeping costs is the difference to the first row")
    stopped = measure("distances", path, stop_after=first["seconds"] / 2)
    add("stopped half-way", stopped, "by Ctrl-C")
    add("the rest", measure("distances", path))
    forget(path)
    cluster = measure("cluster", path)
    ratio = cluster["seconds"] / first["seconds"]
    add("4 workers of 1 thread", cluster, f"{ratio:.2f} times one process of 4 threads; memory of a worker")
    console.print(table)
    console.print(landmarks_table(measure("landmarks", path)))


def landmarks_table(found: dict[str, Any]) -> Table:
    """The picture of very many checkpoints, axis by axis."""
    runs, checkpoints, n_samples, n_classes = FAMILY
    table = Table(
        title=f"InPCA(landmarks={LANDMARKS:,}) of T={runs * checkpoints:,}, N={n_samples:,}, C={n_classes}: "
        f"{found['seconds']:.0f} s, peak memory {found['peak']:.1f} GB (3 GB of it predictions)"
    )
    columns = {
        "axis": range(1, 1 + len(found["correlation"])),
        f"correlation with the exact picture of {COMPARED:,} others": found["correlation"],
        "of its axes, turned alike": found["turned"],
        "stress of held-out points": found["held_out"],
        f"of the {COMPARED:,}, by landmarks": found["stress"],
        "exact": found["exact_stress"],
    }
    for name in columns:
        table.add_column(name, justify="right")
    for row in zip(*columns.values(), strict=True):
        table.add_row(str(row[0]), *(f"{value:.4f}" for value in row[1:]))
    return table


def measure(task: str, path: Path, stop_after: float | None = None) -> dict[str, Any]:
    """Do a task in a process of its own: what it found, its seconds and its peak memory in GB."""
    start = time.perf_counter()
    quiet = None if stop_after is None else subprocess.DEVNULL  # a stopped one tells where it was
    command = [sys.executable, __file__, task, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True)
    if stop_after is not None:
        time.sleep(stop_after)
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    lines = out.strip().splitlines()
    if process.returncode and stop_after is None:
        raise RuntimeError(f"{task} failed")
    found: dict[str, Any] = json.loads(lines[-1]) if process.returncode == 0 else {}
    return {"seconds": time.perf_counter() - start, "peak": float("nan")} | found


def report(task: Callable[[], dict[str, Any]]) -> None:
    """In the process of a task: print what it found as the last line."""
    start = time.perf_counter()
    found = task()
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak": peak_memory()} | found), flush=True)


def peak_memory() -> float:
    """Of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def write(path: Path) -> dict[str, Any]:
    """Sharpening predictions, made block by block."""
    direction = np.random.default_rng(0).standard_normal((N, C), dtype=np.float32)
    sharpness = np.tile(np.linspace(0, 4, T // RUNS, dtype=np.float32), RUNS)
    noise = np.float32(0.3) * np.random.default_rng(1).standard_normal(2**22, dtype=np.float32)  # a pool to draw from

    def block(block_info: Any = None) -> np.ndarray:
        start, stop = block_info[None]["array-location"][1]
        size = (stop - start) * C
        first = np.random.default_rng(start).integers(len(noise) - size, size=T)
        drawn = np.stack([noise[k : k + size] for k in first]).reshape(T, -1, C)
        logits = sharpness[:, None, None] * (direction[start:stop] + drawn)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return (weights / weights.sum(axis=-1, keepdims=True)).astype(np.float16)

    probs = da.map_blocks(block, chunks=((T,), (50,) * (N // 50), (C,)), dtype=np.float16, meta=np.empty((0,) * 3))
    ds = make_trajectories(
        probs,
        direction.argmax(axis=-1),
        task=[f"task {index // (T // RUNS)}" for index in range(T)],
        epoch=np.tile(np.arange(T // RUNS), RUNS),
    )
    save_trajectories(ds, path, dtype="float16")
    return {}


def distances(path: Path) -> dict[str, Any]:
    """All distances, streamed; those of the first checkpoints come back."""
    found = open_trajectories(path).predspace.distances().values
    return {"sample": found[:20, :20].tolist()}


def unkept(path: Path) -> dict[str, Any]:
    """All distances, streamed, with nothing written."""
    open_trajectories(path).predspace.distances(keep=False)
    return {}


def of_class(path: Path) -> dict[str, Any]:
    """Distances, picture, progress, accuracy and lengths of one class, once those of all samples are on disk."""
    analysis = analysis_of(open_trajectories(path))
    analysis.prepare()
    start = time.perf_counter()
    part = analysis.of_samples(Samples(classes=("3",)))
    part.prepare()
    part.picture()
    part.accuracy()
    part.riemann_lengths()
    return {"seconds": time.perf_counter() - start}


def read_class(path: Path) -> dict[str, Any]:
    """Distances of one class as of a dataset of its own."""
    analysis_of(Samples(classes=("3",)).apply(open_trajectories(path))).distances()
    return {}


def cluster(path: Path) -> dict[str, Any]:
    """The same on processes of one thread each; their start does not count."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=":0") as workers, Client(workers) as client:
        client.run(lambda: __import__("predspace_widgets.geometry.engine"))
        start = time.perf_counter()
        found = distances(path)
        seconds = time.perf_counter() - start
        return found | {"seconds": seconds, "peak": max(client.run(peak_memory).values())}


def landmarks(_: Path) -> dict[str, Any]:
    """A picture by landmarks, compared with the exact one of other checkpoints."""
    P = family()
    start = time.perf_counter()
    model = InPCA(5, landmarks=LANDMARKS).fit(P)
    seconds = time.perf_counter() - start
    peak = peak_memory()

    random = np.random.default_rng(1)
    others = np.sort(random.choice(np.setdiff1d(np.arange(len(P)), model.landmarks_), COMPARED, replace=False))
    D = pairwise(P[others])
    exact = InPCA(5, metric="precomputed").fit(D)
    ours = model.embedding_[others]
    return {
        "seconds": seconds,
        "peak": peak,
        "correlation": correlations(ours, exact.embedding_),
        "turned": correlations(turned(ours, model.signature_), exact.embedding_),
        "held_out": model.held_out_stress_.tolist(),
        "stress": explained_stress(ours, model.signature_, D).tolist(),
        "exact_stress": exact.explained_stress_.tolist(),
    }


def correlations(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """Of each axis, whatever its sign."""
    return [float(abs(np.corrcoef(a, b)[0, 1])) for a, b in zip(ours.T, theirs.T, strict=True)]


def turned(X: np.ndarray, signature: np.ndarray) -> np.ndarray:
    """Coordinates of some points turned to the axes of these alone: what is left is no matter of which points count."""
    intervals = (np.square(X[:, None] - X[None]) * signature).sum(axis=-1)
    coordinates: np.ndarray = InPCA(X.shape[1], metric="precomputed").fit(intervals).embedding_
    return coordinates


def family(seed: int = 0) -> np.ndarray:
    """Probabilities (T, N, C) as float16 of runs that differ in few parameters.

    How sharp they end, how fast, which of four labellings they learn and how much of each, and how they bend.
    """
    runs, checkpoints, n_samples, n_classes = FAMILY
    random = np.random.default_rng(seed)
    labels = random.integers(n_classes, size=(4, n_samples))
    labels[1:] = np.where(random.random((3, n_samples)) < 0.5, labels[1:], labels[0])
    goals = np.eye(n_classes, dtype=np.float32)[labels]  # (4, N, C)
    bends = random.standard_normal((2, n_samples, n_classes), dtype=np.float32)
    t = np.linspace(0, 1, checkpoints, dtype=np.float32)[:, None, None]
    P = np.empty((runs, checkpoints, n_samples, n_classes), dtype=np.float16)
    for run in P:
        sharpness, rate = random.uniform(3, 9), random.uniform(2, 6)
        goal = np.tensordot(random.dirichlet([1, 0.4, 0.4, 0.4]).astype(np.float32), goals, 1)
        bend = np.tensordot(random.normal(0, 2, 2).astype(np.float32), bends, 1)
        noise = random.standard_normal((1, n_samples, n_classes), dtype=np.float32)
        rise = (1 - np.exp(-rate * t)) / (1 - np.exp(-rate))
        logits = sharpness * rise * goal + t * (1 - t) * bend + np.float32(0.1) * t * noise
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        run[:] = weights / weights.sum(axis=-1, keepdims=True)
    return P.reshape(-1, n_samples, n_classes)


def error(path: Path, sample: list[list[float]]) -> float:
    """Largest difference from the plain formula in float64."""
    probs = open_trajectories(path)["probs"].isel(checkpoint=slice(20)).values.astype(np.float64)
    roots = np.sqrt(probs / probs.sum(axis=-1, keepdims=True)).transpose(1, 0, 2)
    exact = -np.log(np.minimum(roots @ roots.transpose(0, 2, 1), 1)).mean(axis=0)
    return float(np.abs(exact - sample).max())


def forget(path: Path) -> None:
    """Delete what is kept of the data."""
    shutil.rmtree(f"{path}.results", ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        report(lambda: globals()[sys.argv[1]](Path(sys.argv[2])))
    else:
        main(Path(sys.argv[1]) if len(sys.argv) == 2 else Path(tempfile.gettempdir()))
