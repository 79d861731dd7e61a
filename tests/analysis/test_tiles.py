"""All distances on disk: the same numbers, whatever the tiles, and a call that was stopped goes on."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from predspace_widgets.analysis.large import tiles
from predspace_widgets.geometry import pairwise
from predspace_widgets.trajectories import open_trajectories, save_trajectories
from predspace_widgets.trajectories.checksums import DamagedError
from predspace_widgets.trajectories.testing import random_trajectories

TRAININGS = random_trajectories(n_seeds=1, n_checkpoints=6)  # 18 checkpoints
STRIPS_OF_5 = 8 * 18 * 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "distances.zarr"


@pytest.fixture
def strips(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the strips that are computed, four of them in all."""
    monkeypatch.setattr(tiles, "_STRIP_BYTES", STRIPS_OF_5)
    computed: list[tuple[int, ...]] = []
    real = tiles.mean_over_samples

    def counted(probs: Any, of_block: Any, shape: tuple[int, ...], **options: Any) -> np.ndarray:
        computed.append(shape)
        return real(probs, of_block, shape, **options)

    monkeypatch.setattr(tiles, "mean_over_samples", counted)
    return computed


@pytest.mark.parametrize(
    ("metric", "strip_bytes"),
    [
        ("bhattacharyya", 1),
        *((metric, STRIPS_OF_5) for metric in ("bhattacharyya", "great_circle", "symmetric_kl", "euclidean")),
        ("bhattacharyya", 2**20),
    ],
)
def test_the_distances_are_those_in_memory(
    metric: Any, strip_bytes: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles of one checkpoint, of five, and a single one."""
    monkeypatch.setattr(tiles, "_STRIP_BYTES", strip_bytes)
    found = TRAININGS.predspace.save_distances(path, metric, show_progress=False)
    assert found.dims == ("checkpoint", "other")
    assert found.chunks is not None
    assert found["run"].values.tolist() == TRAININGS["run"].values.tolist()
    np.testing.assert_allclose(found, pairwise(TRAININGS["probs"].values, metric=metric), rtol=1e-6, atol=5e-7)
    np.testing.assert_array_equal(found, found.T)


def test_every_strip_is_computed_once(path: Path, strips: list[tuple[int, ...]]) -> None:
    TRAININGS.predspace.save_distances(path)
    assert strips == [(5, 18), (5, 13), (5, 8), (3, 3)]
    TRAININGS.predspace.save_distances(path)
    assert len(strips) == 4


def test_a_call_that_was_stopped_goes_on(
    tmp_path: Path, path: Path, strips: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a dataset that is opened anew."""
    stored = save_trajectories(TRAININGS, tmp_path / "trainings.zarr")
    counted = tiles.mean_over_samples

    def stopping(*args: Any, **options: Any) -> np.ndarray:
        if len(strips) == 2:
            raise KeyboardInterrupt
        return counted(*args, **options)

    monkeypatch.setattr(tiles, "mean_over_samples", stopping)
    with pytest.raises(KeyboardInterrupt):
        open_trajectories(stored).predspace.save_distances(path)
    monkeypatch.setattr(tiles, "mean_over_samples", counted)
    found = open_trajectories(stored).predspace.save_distances(path)
    assert len(strips) == 4
    np.testing.assert_allclose(found, pairwise(TRAININGS["probs"].values), rtol=1e-6, atol=5e-7)


def other_predictions() -> xr.Dataset:
    return TRAININGS.isel(checkpoint=slice(1, None))


@pytest.mark.parametrize("what", ["other predictions", "another metric", "a dataset", "a file", "half a beginning"])
def test_something_else_is_there(what: str, path: Path) -> None:
    if what in ("other predictions", "another metric"):
        ds = other_predictions() if what == "other predictions" else TRAININGS
        ds.predspace.save_distances(path, "great_circle")
    elif what == "a dataset":
        save_trajectories(TRAININGS, path)
    elif what == "a file":
        path.write_text("text")
    else:
        TRAININGS.predspace.save_distances(path)
        del zarr.open_group(path, mode="r+").attrs["content"]
    before = sorted(file.name for file in path.rglob("*"))
    with pytest.raises(ValueError, match="holds no distances of these predictions: delete it or choose another name"):
        TRAININGS.predspace.save_distances(path)
    assert sorted(file.name for file in path.rglob("*")) == before


def other_distances(path: Path) -> Path:
    """Of other predictions, beside these."""
    other = path.with_name("other.zarr")
    random_trajectories(n_seeds=1, n_checkpoints=6, seed=1).predspace.save_distances(other)
    return other


@pytest.mark.parametrize(
    "damage",
    [
        lambda chunk, path: chunk.unlink(),
        lambda chunk, path: shutil.copyfile(chunk.with_name("2"), chunk),
        lambda chunk, path: shutil.copyfile(other_distances(path) / chunk.relative_to(path), chunk),
    ],
    ids=["missing", "of another place", "of other predictions"],
)
def test_a_tile_that_is_not_the_one_that_was_written(
    damage: Callable[[Path, Path], object], path: Path, strips: list[tuple[int, ...]]
) -> None:
    TRAININGS.predspace.save_distances(path)
    damage(path / "distance" / "c" / "0" / "1", path)
    found = TRAININGS.predspace.save_distances(path)
    np.testing.assert_allclose(found[5:], pairwise(TRAININGS["probs"].values)[5:], rtol=1e-6, atol=5e-7)
    with pytest.raises(DamagedError, match=r"tile \(0, 1\) of 'distance' does not fit its checksum"):
        found.load()


@pytest.mark.parametrize("name", ["zarr.json", "done/zarr.json", "distance/c/0/0"])
def test_a_pipe_in_the_place_of_a_file(name: str, path: Path) -> None:
    """It would be waited for."""
    TRAININGS.predspace.save_distances(path)
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(ValueError, match="holds no distances of these predictions"):
        TRAININGS.predspace.save_distances(path)


def test_distances_of_an_earlier_version_have_no_checksums(path: Path, strips: list[tuple[int, ...]]) -> None:
    whole = TRAININGS.predspace.save_distances(path).load()
    shutil.rmtree(path / "checksums")
    zarr.open_group(path, mode="r+")["done"][2] = False
    np.testing.assert_array_equal(TRAININGS.predspace.save_distances(path), whole)


def test_another_ending(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a directory whose name ends in .zarr, not to .*distances.nc"):
        TRAININGS.predspace.save_distances(tmp_path / "distances.nc")


def test_an_unknown_metric(path: Path) -> None:
    with pytest.raises(ValueError, match="unknown metric 'euclid'"):
        TRAININGS.predspace.save_distances(path, "euclid")
    assert not path.exists()


def test_too_little_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda where: SimpleNamespace(free=4 * 18**2 - 1))
    with pytest.raises(OSError, match="GB are free: make room, or take a picture by landmarks"):
        TRAININGS.predspace.save_distances(path)
    assert not path.exists()


def save_tiles(data: Path, path: Path, kill_at: int) -> None:
    """Save distances in a process that is killed at its n-th file, before it is at its place."""
    tiles._STRIP_BYTES = STRIPS_OF_5
    replace, n_files = Path.replace, 0

    def replace_or_die(self: Path, target: Path) -> Path:
        nonlocal n_files
        n_files += 1
        if n_files == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    Path.replace = replace_or_die  # type: ignore[method-assign, assignment]
    open_trajectories(data).predspace.save_distances(path, show_progress=False)


def test_a_call_goes_on_wherever_one_was_killed(path: Path, strips: list[tuple[int, ...]]) -> None:
    data = save_trajectories(TRAININGS, path.with_name("data.zarr"))
    whole = open_trajectories(data).predspace.save_distances(path.with_name("whole.zarr"), show_progress=False).values
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["predspace_widgets.analysis", "tests.analysis.test_tiles"])
    for kill_at in (1, 9, 16, 22):  # while it sets up, in a tile, when one is noted as done
        process = forks.Process(target=save_tiles, args=(data, path, kill_at), daemon=True)
        process.start()
        process.join(300)
        assert process.exitcode == -signal.SIGKILL
        found = open_trajectories(data).predspace.save_distances(path, show_progress=False)
        np.testing.assert_array_equal(found, whole)
        assert not list(path.parent.glob(".distances*"))
        shutil.rmtree(path)
