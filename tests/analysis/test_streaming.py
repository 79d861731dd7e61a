"""Predictions that need not fit in memory: the same results block by block, kept for as long as they are true."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import numpy as np
import psutil
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, measurements
from predspace_widgets.analysis.large import blocks as blocks_module
from predspace_widgets.analysis.large import kept
from predspace_widgets.geometry import pairwise
from predspace_widgets.trajectories import TrajectoriesError, open_trajectories, save_trajectories, storage
from predspace_widgets.trajectories.appending import append_checkpoints
from predspace_widgets.trajectories.source import StoreChangedError
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import KINDS

TRAININGS = random_trajectories(n_seeds=1, n_checkpoints=6)  # 18 checkpoints, 30 samples, 5 classes
N_BLOCKS = 8  # of four samples at most
METRICS = ("bhattacharyya", "great_circle", "symmetric_kl", "euclidean")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples to a chunk on disk, two chunks to a block, and nothing fits in memory."""
    monkeypatch.setattr(storage, "_CHUNK_BYTES", 18 * 5 * 8 * 2)
    monkeypatch.setattr(storage, "_BLOCK_BYTES", 18 * 5 * 4 * 5)
    monkeypatch.setattr(storage, "_LEAST_OF_A_CHECKPOINT", 1)
    monkeypatch.setattr(measurements, "_IN_MEMORY", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_trajectories(TRAININGS, tmp_path / "trainings.zarr")


@contextmanager
def happening_after(n_blocks: int, blocks: list[int], event: Callable[[], object]) -> Iterator[None]:
    """Something happens when so many blocks are computed."""
    with pytest.MonkeyPatch.context() as patch:
        counted: Callable[..., Any] = measurements.pairwise  # type: ignore[attr-defined]

        def computing(*args: Any, **options: Any) -> Any:
            if len(blocks) == n_blocks:
                event()
            return counted(*args, **options)

        patch.setattr(measurements, "pairwise", computing)
        yield


def stop() -> None:
    raise KeyboardInterrupt


def distances(path: Path, **options: Any) -> np.ndarray:
    found: np.ndarray = open_trajectories(path).predspace.distances(**options).values
    return found


def expected(ds: xr.Dataset = TRAININGS) -> np.ndarray:
    return pairwise(ds["probs"].values)


def results_of(path: Path) -> Path:
    return Path(f"{path}.results")


def another_version() -> xr.Dataset:
    ds = TRAININGS.copy(deep=True)
    ds["probs"][3, 7] = np.roll(ds["probs"][3, 7], 1)
    return ds


# -- the same numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_result_is_that_of_predictions_in_memory(kind: str, tmp_path: Path) -> None:
    opened = Analysis(open_trajectories(save_trajectories(TRAININGS, tmp_path / f"some{kind}")))
    in_memory = Analysis(TRAININGS)
    for metric in METRICS:
        np.testing.assert_allclose(opened.distances(metric), in_memory.distances(metric), rtol=1e-6, atol=5e-7)
    for metric in ("bhattacharyya", "great_circle"):
        np.testing.assert_allclose(opened.progress(metric), in_memory.progress(metric), atol=1e-6)
    np.testing.assert_allclose(opened.measured.tube_distance(), in_memory.measured.tube_distance(), atol=1e-6)
    for name in ("accuracy", "step_lengths", "geodesic_distances"):
        ours, theirs = getattr(opened.measured, name)(), getattr(in_memory.measured, name)()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=5e-7, err_msg=name)
    compared = opened.comparison("red", "blue"), in_memory.comparison("red", "blue")
    np.testing.assert_allclose(compared[0].distance, compared[1].distance, rtol=1e-4)
    assert compared[0].attrs["d_traj"] == pytest.approx(compared[1].attrs["d_traj"], rel=1e-4)


def test_no_more_than_a_block_is_read_at_a_time(path: Path, blocks: list[int]) -> None:
    distances(path)
    assert sorted(blocks) == [2] + [4] * (N_BLOCKS - 1)


def test_few_predictions_are_one_block(path: Path, blocks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "_IN_MEMORY", 2**20)
    np.testing.assert_array_equal(distances(path), expected(open_trajectories(path)))
    assert blocks == [30]
    assert not results_of(path).exists()


@pytest.mark.parametrize("chunks", [{"checkpoint": 5}, {"sample": 7}, {"checkpoint": 1, "sample": 30}])
def test_chunks_of_any_size(chunks: dict[str, int]) -> None:
    np.testing.assert_allclose(TRAININGS.chunk(chunks).predspace.distances(), expected(), rtol=1e-6, atol=5e-7)


def test_chunks_that_split_the_classes() -> None:
    with pytest.raises(ValueError, match=r"split the classes of a sample: use ds.chunk\(\{'class': -1\}\) first"):
        TRAININGS.chunk({"class": 2}).predspace.distances()


def test_a_choice_of_checkpoints_of_an_opened_dataset(path: Path) -> None:
    chosen = open_trajectories(path).predspace.select(tasks=["green"])
    np.testing.assert_allclose(chosen.predspace.distances(), expected()[6:12, 6:12], rtol=1e-6, atol=5e-7)
    with pytest.raises(ValueError, match="keep=True needs a dataset as it was opened from disk"):
        chosen.predspace.distances(keep=True)


def test_distances_that_do_not_fit_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3 * 8 * 18**2 - 1))
    with pytest.raises(MemoryError, match=r"between 18 checkpoints need .* save_distances"):
        distances(path)


def test_a_device_that_is_not_there(path: Path) -> None:
    with pytest.raises(RuntimeError, match="torch sees no CUDA"):
        distances(path, device="cuda:99")
    with pytest.raises(RuntimeError, match="no device 'gpu': choose 'cpu' or 'cuda'"):
        distances(path, device="gpu")


# -- kept -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_computed_is_read_when_the_dataset_is_opened_again(
    kind: str, tmp_path: Path, blocks: list[int]
) -> None:
    path = save_trajectories(TRAININGS, tmp_path / f"some{kind}")
    first = open_trajectories(path)
    first.predspace.analysis.prepare()
    n_computed = len(blocks)
    again = open_trajectories(path)
    again.predspace.analysis.prepare()
    assert len(blocks) == n_computed
    assert n_computed == 2 * N_BLOCKS  # among the checkpoints, and to the geodesic
    np.testing.assert_array_equal(again.predspace.distances(), first.predspace.distances())
    np.testing.assert_array_equal(again.predspace.progress(), first.predspace.progress())


def test_a_computation_that_was_stopped_goes_on(path: Path, blocks: list[int]) -> None:
    with happening_after(5, blocks, stop), pytest.raises(KeyboardInterrupt):
        distances(path)
    found = distances(path)
    assert N_BLOCKS <= len(blocks) <= N_BLOCKS + 1  # at most the block under way is computed again
    np.testing.assert_allclose(found, expected(), rtol=1e-6, atol=5e-7)


def test_parts_that_would_be_too_large_are_not_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them fit, over several blocks each, or none."""
    size = 18 * 17 // 2
    for part_bytes, n_parts in ((3 * 8 * size, 3), (2 * 8 * size - 1, 0)):
        monkeypatch.setattr(blocks_module, "_PARTS_BYTES", part_bytes)
        np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)
        files = list(results_of(path).glob(f"*/distances-bhattacharyya.*-parts-of-{N_BLOCKS}-blocks/c/*/0"))
        assert len(files) == n_parts
        shutil.rmtree(results_of(path))


def test_other_predictions_have_other_results(path: Path) -> None:
    before = distances(path)
    save_trajectories(another_version(), path)
    after = distances(path)
    np.testing.assert_allclose(after, expected(another_version()), rtol=1e-6, atol=5e-7)
    assert np.abs(after - before).max() > 1e-3
    folders = [entry for entry in results_of(path).iterdir() if entry.is_dir()]
    assert len(folders) == 1  # what is true no more is deleted
    save_trajectories(TRAININGS, path)
    np.testing.assert_allclose(distances(path), before, rtol=1e-6, atol=5e-7)


def test_results_that_follow_from_labels_change_with_them(path: Path) -> None:
    before = open_trajectories(path).predspace.progress().values
    ds = TRAININGS.assign_coords(label=("sample", (TRAININGS["label"].values + 1) % 5))
    save_trajectories(ds, path)
    after = open_trajectories(path).predspace.progress().values
    assert np.abs(after - before).max() > 0.01


def chunk_files(path: Path) -> list[Path]:
    return sorted(file for file in (path / "probs" / "c").rglob("*") if file.is_file())


def swap_in_place(one: Path, other: Path) -> None:
    """Exchange the content of two files, with the times that they had: the sizes and names stay too."""
    contents, times = [file.read_bytes() for file in (one, other)], [os.stat(file) for file in (one, other)]
    for file, content, time in zip((one, other), contents[::-1], times, strict=True):
        file.write_bytes(content)
        os.utime(file, ns=(time.st_atime_ns, time.st_mtime_ns))


def test_files_changed_behind_our_back_with_their_times_set_back(path: Path) -> None:
    """Samples that change places change no distance, and no checksum of a chunk: that of the dataset finds them."""
    distances(path)
    swap_in_place(*chunk_files(path)[:2])
    with pytest.raises(TrajectoriesError, match="'probs' of samples 0 to 1 does not fit its checksum"):
        distances(path)


def test_a_dataset_that_changed_since_it_was_opened(path: Path) -> None:
    opened = open_trajectories(path)
    save_trajectories(another_version(), path)
    with pytest.raises(StoreChangedError, match="has changed since it was opened: open it again"):
        opened.predspace.distances()
    np.testing.assert_allclose(distances(path), expected(another_version()), rtol=1e-6, atol=5e-7)


def test_a_dataset_that_changes_while_it_is_read(path: Path, blocks: list[int], tmp_path: Path) -> None:
    """Nothing of the mixture is believed, not even when the first content is back."""
    with (
        happening_after(3, blocks, lambda: save_trajectories(another_version(), path)),
        pytest.raises(StoreChangedError),
    ):
        distances(path)
    save_trajectories(TRAININGS, path)
    np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)


def test_a_relative_path_and_another_working_directory(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    opened = open_trajectories(f"{path.name}/")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_allclose(opened.predspace.distances(), expected(), rtol=1e-6, atol=5e-7)
    assert results_of(path).exists()


def test_what_lies_beside_the_chunks_is_no_matter(path: Path, blocks: list[int]) -> None:
    distances(path)
    (path / "probs" / "c" / ".DS_Store").write_text("a file browser was here")
    distances(path)
    assert len(blocks) == N_BLOCKS


@pytest.mark.parametrize("in_memory", [0, 2**20])
def test_nothing_is_measured_on_other_predictions_than_were_opened(
    path: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether results are kept or not, and predictions read at once or in blocks."""
    monkeypatch.setattr(measurements, "_IN_MEMORY", in_memory)
    opened = open_trajectories(path)
    save_trajectories(another_version(), path)
    for measure in (
        lambda: opened.predspace.distances(keep=False),
        opened.predspace.progress,
        opened.predspace.riemann_length,
        lambda: opened.predspace.trajectory_distance("red", "blue"),
        lambda: opened.predspace.save_distances(path.parent / "distances.zarr"),
    ):
        with pytest.raises(StoreChangedError):
            measure()


def test_what_others_put_beside_the_results_stays(path: Path) -> None:
    results_of(path).mkdir()
    (results_of(path) / "notes.txt").write_text("mine")
    (results_of(path) / "plots").mkdir()
    distances(path)
    save_trajectories(another_version(), path)
    distances(path)
    assert (results_of(path) / "notes.txt").read_text() == "mine"
    assert (results_of(path) / "plots").exists()


def test_results_that_vanish_while_they_are_computed(path: Path, blocks: list[int]) -> None:
    """Another process deletes them because its labels are others; what is computed is not lost by it."""

    def delete() -> None:
        for folder in results_of(path).iterdir():
            shutil.rmtree(folder, ignore_errors=True)

    with happening_after(4, blocks, delete):
        for _ in range(2):
            np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)


def test_a_full_disk_costs_no_result(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.Results, "write", full)
    np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)
    with pytest.raises(OSError, match="No space left"):
        distances(path, keep=True)


def test_other_metadata_are_other_predictions(path: Path) -> None:
    """The same bytes read in another way."""
    opened = open_trajectories(path)
    metadata = path / "probs" / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"little"', '"big"'))
    with pytest.raises(StoreChangedError):
        opened.predspace.distances()


def test_variables_that_are_set_anew_are_measured_anew(path: Path) -> None:
    ds = open_trajectories(path)
    before = ds.predspace.progress().values
    ds["label"] = ("sample", (ds["label"].values + 1) % 5)
    assert np.abs(ds.predspace.progress().values - before).max() > 0.01
    ds["probs"] = another_version()["probs"]
    np.testing.assert_allclose(ds.predspace.distances(), expected(another_version()), rtol=1e-6, atol=5e-7)


def test_blocks_of_other_sizes_share_no_parts(path: Path, blocks: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Three blocks of other samples: what was computed of a part of the first is no part of the second."""
    monkeypatch.setattr(storage, "_BLOCK_BYTES", 18 * 5 * 4 * 15)  # 14, 14, 2
    with happening_after(2, blocks, stop), pytest.raises(KeyboardInterrupt):
        distances(path)
    monkeypatch.setattr(storage, "_BLOCK_BYTES", 18 * 5 * 4 * 13)  # 12, 12, 6
    np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)


def test_a_single_checkpoint(tmp_path: Path) -> None:
    path = save_trajectories(TRAININGS.isel(checkpoint=[3]), tmp_path / "one.zarr")
    for _ in range(2):
        np.testing.assert_array_equal(distances(path, keep=True), [[0.0]])


def test_a_copy_takes_its_results_along(path: Path, tmp_path: Path, blocks: list[int]) -> None:
    """Other files with other times, but the same bytes."""
    found = distances(path)
    copy = tmp_path / "copy.zarr"
    shutil.copytree(path, copy, copy_function=shutil.copyfile)
    shutil.copytree(results_of(path), results_of(copy), copy_function=shutil.copyfile)
    np.testing.assert_array_equal(distances(copy), found)
    assert len(blocks) == N_BLOCKS


@pytest.mark.parametrize("name", ["distances-bhattacharyya", f"distances-bhattacharyya.*-parts-of-{N_BLOCKS}-blocks"])
@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:40] + b"x" + content[41:]])
def test_damaged_results_are_computed_again(path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    found = distances(path)
    folder = next(entry for entry in results_of(path).iterdir() if entry.is_dir())
    if name != "distances-bhattacharyya":
        shutil.rmtree(folder / "distances-bhattacharyya")
    (file,) = folder.glob(f"{name}/c/0/0")
    file.write_bytes(damage(file.read_bytes()))
    for _ in range(2):
        np.testing.assert_allclose(distances(path), found, rtol=1e-14)


def test_a_part_in_the_place_of_another_is_computed_again(path: Path) -> None:
    found = distances(path)
    folder = next(entry for entry in results_of(path).iterdir() if entry.is_dir())
    shutil.rmtree(folder / "distances-bhattacharyya")
    (parts,) = folder.glob(f"distances-bhattacharyya.*-parts-of-{N_BLOCKS}-blocks")
    shutil.copyfile(parts / "c" / "1" / "0", parts / "c" / "0" / "0")
    np.testing.assert_allclose(distances(path), found, rtol=1e-14)


@pytest.mark.parametrize(
    "name", ["content.json", "*/distances-bhattacharyya/zarr.json", "*/distances-bhattacharyya/c/0/0"]
)
def test_a_pipe_in_the_place_of_a_result(name: str, path: Path) -> None:
    """It would be waited for."""
    found = distances(path)
    (file,) = results_of(path).glob(name)
    file.unlink()
    os.mkfifo(file)
    np.testing.assert_allclose(distances(path), found, rtol=1e-14)


def test_what_was_half_written_is_removed_when_it_is_old(path: Path) -> None:
    distances(path)
    (folder,) = (entry for entry in results_of(path).iterdir() if entry.is_dir())
    old, new = (folder / f"0.{name}.partial" for name in ("old", "new"))
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    distances(path)
    assert [old.exists(), new.exists()] == [False, True]


def test_a_damaged_note_of_the_content(path: Path) -> None:
    found = distances(path)
    (results_of(path) / "content.json").write_text("{")
    np.testing.assert_array_equal(distances(path), found)


@pytest.mark.parametrize("keep", [None, True])
def test_where_results_cannot_be_kept(path: Path, keep: bool | None, caplog: pytest.LogCaptureFixture) -> None:
    """By default they are computed all the same."""
    results_of(path).write_text("a file is in the way")
    if keep:
        with pytest.raises(OSError, match="results"):
            distances(path, keep=True)
    else:
        np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)
        assert "results are not kept" in caplog.text


def test_too_little_disk_for_results(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda where: SimpleNamespace(free=8 * 18 * 17 // 2 - 1))
    with pytest.raises(OSError, match="GB are free: make room, or keep=False computes distances without keeping"):
        distances(path, keep=True)
    np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)


def test_nothing_is_kept_where_it_is_not_wanted(path: Path) -> None:
    distances(path, keep=False)
    assert not results_of(path).exists()


def test_results_that_are_larger_than_the_predictions_are_not_kept(tmp_path: Path) -> None:
    path = save_trajectories(TRAININGS.isel(sample=slice(2)), tmp_path / "few.zarr")
    distances(path)
    assert not list(results_of(path).glob("*/distances*"))
    distances(path, keep=True)
    assert list(results_of(path).glob("*/distances*"))


def test_small_results_are_kept_where_it_is_wanted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "_IN_MEMORY", 2**20)
    distances(path, keep=True)
    assert results_of(path).exists()


def test_a_recording_that_grows(tmp_path: Path) -> None:
    """What was opened before stays as it was; what is opened after has its own results."""
    path = tmp_path / "growing.zarr"
    append_checkpoints(TRAININGS.isel(checkpoint=slice(10)), path)
    before = open_trajectories(path)
    append_checkpoints(TRAININGS.isel(checkpoint=slice(10, 18)), path)
    np.testing.assert_allclose(before.predspace.distances(), expected()[:10, :10], rtol=1e-6, atol=5e-7)
    np.testing.assert_allclose(distances(path), expected(), rtol=1e-6, atol=5e-7)


def test_object_storage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system of fsspec; results are kept there too."""
    memory = fsspec.filesystem("memory")
    memory.put(str(path), "/bucket/trainings.zarr", recursive=True)
    url = "memory://bucket/trainings.zarr"
    found = open_trajectories(url).predspace.distances()
    np.testing.assert_allclose(found, expected(), rtol=1e-6, atol=5e-7)
    assert memory.exists("/bucket/trainings.zarr.results")
    monkeypatch.setattr(measurements, "pairwise", None)
    np.testing.assert_array_equal(open_trajectories(url).predspace.distances(), found)
    memory.rm("/bucket", recursive=True)
    with pytest.raises(FileNotFoundError, match="no dataset at memory://bucket"):
        open_trajectories(url)


def test_the_version_is_part_of_what_results_depend_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distances(path)
    names = {entry.name for entry in results_of(path).iterdir()}
    monkeypatch.setattr(kept, "_VERSION", kept._VERSION + 1)
    distances(path)
    assert len(names & {entry.name for entry in results_of(path).iterdir()}) == 1  # the note of the content


def test_distances_that_were_computed_before_are_kept_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The matrix is held once in memory, whatever was asked for first."""
    path = save_trajectories(TRAININGS, tmp_path / "trainings.zarr")
    analysis = Analysis(open_trajectories(path))
    first = analysis.distances().values
    monkeypatch.setattr(measurements, "pairwise", None)  # nothing is computed anew
    assert analysis.distances(keep=True).values is first
    again = Analysis(open_trajectories(path)).distances(keep=True)
    np.testing.assert_array_equal(again, first)
