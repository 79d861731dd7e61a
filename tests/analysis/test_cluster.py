"""On the workers of a Dask cluster: the same results, and clear errors."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from predspace_widgets.analysis import Analysis
from predspace_widgets.geometry import pairwise
from predspace_widgets.trajectories import open_trajectories, save_trajectories, storage
from predspace_widgets.trajectories.testing import random_trajectories

TRAININGS = random_trajectories(n_seeds=1, n_checkpoints=6)  # 18 checkpoints, 30 samples, 5 classes


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two worker processes of one thread each."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as workers:
        yield workers


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as connected:
        yield connected


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(storage, "_CHUNK_BYTES", 18 * 5 * 8)
    monkeypatch.setattr(storage, "_BLOCK_BYTES", 18 * 5 * 4)
    monkeypatch.setattr(storage, "_LEAST_OF_A_CHECKPOINT", 1)
    return save_trajectories(TRAININGS, tmp_path / "trainings.zarr")  # 30 blocks


def expected() -> np.ndarray:
    return pairwise(TRAININGS["probs"].values)


def test_the_same_results(client: Client, path: Path) -> None:
    ours, theirs = Analysis(open_trajectories(path)), Analysis(TRAININGS)
    for metric in ("bhattacharyya", "great_circle", "symmetric_kl"):
        np.testing.assert_allclose(ours.distances(metric), theirs.distances(metric), rtol=1e-6, atol=5e-7)
    np.testing.assert_allclose(ours.progress(), theirs.progress(), atol=1e-6)
    found, wanted = ours.comparison("red", "blue"), theirs.comparison("red", "blue")
    np.testing.assert_allclose(found.distance, wanted.distance, rtol=1e-4)


def test_the_workers_compute(client: Client, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not this process, whose own function is broken here; each of their tasks on one thread."""
    wanted = expected()
    monkeypatch.setattr("predspace_widgets.geometry.engine.pairwise", None)
    np.testing.assert_allclose(open_trajectories(path).predspace.distances(), wanted, rtol=1e-6, atol=5e-7)

    def threads() -> int:
        from predspace_widgets.analysis.large.blocks import threads_of_a_task

        return threads_of_a_task() or 0

    assert client.submit(threads).result() == 1


def test_results_are_kept_by_the_workers(cluster: LocalCluster, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(cluster):
        first = open_trajectories(path).predspace.distances(keep=True)
    monkeypatch.setattr("predspace_widgets.geometry.engine.pairwise", None)
    np.testing.assert_array_equal(open_trajectories(path).predspace.distances(keep=True), first)


def test_distances_on_disk(client: Client, path: Path, tmp_path: Path) -> None:
    found = open_trajectories(path).predspace.save_distances(tmp_path / "distances.zarr", show_progress=False)
    np.testing.assert_allclose(found, expected(), rtol=1e-6, atol=5e-7)


def test_a_worker_that_is_killed_costs_time_only(client: Client, path: Path) -> None:
    opened = open_trajectories(path)
    slowly = opened["probs"].data.map_blocks(lambda block: time.sleep(0.1) or block, dtype=np.float32)
    ds = opened.assign(probs=opened["probs"].copy(data=slowly))
    victim = next(iter(client.run(os.getpid).values()))
    killer = threading.Timer(1.0, os.kill, (victim, signal.SIGKILL))
    killer.start()
    start = time.monotonic()
    found = ds.predspace.distances(show_progress=False)
    killer.join()
    assert time.monotonic() - start > 1.0  # it was still at work
    np.testing.assert_allclose(found, expected(), rtol=1e-6, atol=5e-7)


@pytest.mark.parametrize(
    ("found", "message"), [(metadata.PackageNotFoundError("predspace-widgets"), "has no"), ("0.0.1", "version 0.0")]
)
def test_a_worker_without_this_package(found: Any, message: str, client: Client, path: Path) -> None:
    """Every worker is asked for its version before it gets work."""

    def pretend(found: Any) -> None:
        from importlib import metadata

        metadata.real_version = metadata.version

        def version(distribution_name: str) -> str:
            if distribution_name != "predspace-widgets":
                return metadata.real_version(distribution_name)
            if isinstance(found, Exception):
                raise found
            return found

        metadata.version = version

    def undo() -> None:
        from importlib import metadata

        metadata.version = metadata.real_version

    client.run(pretend, found)
    try:
        with pytest.raises(OSError, match=rf"worker tcp://.* {message}.* predspace-widgets: install version"):
            open_trajectories(path).predspace.distances(show_progress=False)
    finally:
        client.run(undo)
