"""What does not fit in memory, measured: `make bench-large` (see README.md for what it needs and takes).

Each measurement is a process of its own, whose peak memory counts.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
from rich.console import Console
from rich.table import Table

from predspace_widgets.trajectories import make_trajectories, open_trajectories, save_trajectories

# 4 GB of predictions as float16.
T, N, C = 2_000, 10_000, 100
RUNS = 40


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
    forget(path)
    stopped = measure("distances", path, stop_after=first["seconds"] / 2)
    add("stopped half-way", stopped, "by Ctrl-C")
    add("the rest", measure("distances", path))
    forget(path)
    cluster = measure("cluster", path)
    add("4 workers of 1 thread", cluster, f"{cluster['seconds'] / first['seconds']:.2f} times one process of 4 threads")
    console.print(table)


def measure(task: str, path: Path, stop_after: float | None = None) -> dict[str, Any]:
    """Do a task in a process of its own: what it found, its seconds and its peak memory in GB."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, task, str(path)], stdout=subprocess.PIPE, text=True)
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
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({"seconds": seconds, "peak": peak} | found), flush=True)


def write(path: Path) -> dict[str, Any]:
    """Sharpening predictions, made block by block."""
    direction = np.random.default_rng(0).standard_normal((N, C), dtype=np.float32)
    sharpness = np.tile(np.linspace(0, 4, T // RUNS, dtype=np.float32), RUNS)

    def block(block_info: Any = None) -> np.ndarray:
        start, stop = block_info[None]["array-location"][1]
        random = np.random.default_rng(start)
        logits = sharpness[:, None, None] * (
            direction[start:stop] + np.float32(0.3) * random.standard_normal((T, stop - start, C), dtype=np.float32)
        )
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


def cluster(path: Path) -> dict[str, Any]:
    """The same on processes of one thread each; their start does not count."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=":0") as workers, Client(workers) as client:
        client.run(lambda: __import__("predspace_widgets.geometry.engine"))
        start = time.perf_counter()
        found = distances(path)
        return found | {"seconds": time.perf_counter() - start}


def error(path: Path, sample: list[list[float]]) -> float:
    """Largest difference from the plain formula in float64."""
    probs = open_trajectories(path)["probs"].values[:20].astype(np.float64)
    roots = np.sqrt(probs / probs.sum(axis=-1, keepdims=True)).transpose(1, 0, 2)
    exact = -np.log(np.minimum(roots @ roots.transpose(0, 2, 1), 1)).mean(axis=0)
    return float(np.abs(exact - sample).max())


def forget(path: Path) -> None:
    """Delete what is kept of the data."""
    import shutil

    shutil.rmtree(f"{path}.results", ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        report(lambda: globals()[sys.argv[1]](Path(sys.argv[2])))
    else:
        main(Path(sys.argv[1]) if len(sys.argv) == 2 else Path(tempfile.gettempdir()))
