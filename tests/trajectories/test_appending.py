"""Checkpoints appended to a Zarr directory: valid after every call and at any moment of it, at the cost of the new."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr

from predspace_widgets.trajectories import (
    NoPredictionsError,
    TrajectoriesError,
    open_trajectories,
    save_trajectories,
    storage,
)
from predspace_widgets.trajectories.appending import append_checkpoints, array_of, open_grown
from predspace_widgets.trajectories.schema import predictions_name
from predspace_widgets.trajectories.source import StoreChangedError, source_of
from tests.trajectories.samples import embedding_only, two_runs


def one_by_one(ds: xr.Dataset, path: Path) -> Path:
    for index in range(ds.sizes["checkpoint"]):
        append_checkpoints(ds.isel(checkpoint=[index]), path)
    return path


def files(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


class Disk:
    """A disk on which one write fails, or all from that one on: then nothing can be tidied up, as after a kill."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.lasting = False

    def fail_after(self, n_writes: int | None, lasting: bool = True) -> None:
        self.left, self.lasting = n_writes, lasting

    def check(self) -> None:
        if self.left is None:
            return
        if self.left <= 0:
            if not self.lasting:
                self.left = None
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= 1


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    failing, written = Disk(), zarr.storage._local._put

    def put(*args: Any, **options: Any) -> int:
        failing.check()
        return written(*args, **options)

    monkeypatch.setattr(zarr.storage._local, "_put", put)
    return failing


def test_appended_one_by_one_it_is_the_dataset_itself(tmp_path: Path) -> None:
    path = one_by_one(two_runs(), tmp_path / "grown.zarr")
    whole = save_trajectories(two_runs(), tmp_path / "whole.zarr")
    with open_trajectories(path) as found, open_trajectories(whole) as expected:
        xr.testing.assert_identical(found.compute(), expected.compute())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["grown.zarr", "whole.zarr"]


def test_it_is_valid_after_every_call_and_an_opened_one_stays_as_it_was(tmp_path: Path) -> None:
    path, ds = tmp_path / "grown.zarr", two_runs()
    opened = []
    for index in range(ds.sizes["checkpoint"]):
        append_checkpoints(ds.isel(checkpoint=[index]), path)
        opened.append(open_trajectories(path))
    for index, found in enumerate(opened):
        expected = ds.isel(checkpoint=slice(index + 1))
        xr.testing.assert_equal(found.drop_vars("probs").compute(), expected.drop_vars("probs"))
        np.testing.assert_allclose(found["probs"].values, expected["probs"].values, atol=1e-6)
    with xr.open_zarr(path) as plain:  # readers that know nothing of this package
        assert plain.sizes["checkpoint"] == ds.sizes["checkpoint"]


def test_an_append_leaves_the_probabilities_before_untouched(tmp_path: Path) -> None:
    path = one_by_one(two_runs().isel(checkpoint=slice(3)), tmp_path / "grown.zarr")
    before = {file: (path / file).stat().st_mtime_ns for file in files(path) if file.startswith("probs/c/")}
    append_checkpoints(two_runs().isel(checkpoint=[3]), path)
    after = {file: (path / file).stat().st_mtime_ns for file in files(path) if file.startswith("probs/c/")}
    assert len(before) == 3
    assert len(after) == 4
    assert before.items() <= after.items()


def test_saving_packs_all_checkpoints_of_a_block_of_samples_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_CHUNK_BYTES", 3 * 3 * 8)  # three samples of one checkpoint
    path = one_by_one(two_runs(), tmp_path / "grown.zarr")
    assert open_grown(path)["probs"].chunks == (1, 3, 3)  # type: ignore[union-attr]
    monkeypatch.setattr(storage, "_CHUNK_BYTES", 7 * 2 * 3 * 8)
    with open_trajectories(path) as found:
        saved = save_trajectories(found, tmp_path / "saved.zarr")
    assert zarr.open_group(saved, mode="r")["probs"].chunks == (7, 2, 3)  # type: ignore[union-attr]
    with open_trajectories(saved) as again, open_trajectories(path) as found:
        xr.testing.assert_allclose(again.compute(), found.compute())


def test_metrics_that_come_and_go_are_nan_where_there_are_none(tmp_path: Path) -> None:
    path, ds = tmp_path / "grown.zarr", two_runs()
    start = ds.isel(checkpoint=[0])
    append_checkpoints(start, path)
    append_checkpoints(ds.isel(checkpoint=[1]).assign(extra=("checkpoint", [0.5])), path)
    append_checkpoints(ds.isel(checkpoint=[2]).drop_vars("loss"), path)
    with open_trajectories(path) as found:
        np.testing.assert_array_equal(found["extra"].values, [np.nan, 0.5, np.nan])
        np.testing.assert_array_equal(found["loss"].values, [*ds["loss"].values[:2], np.nan])


@pytest.mark.parametrize("lasting", [False, True])
def test_wherever_it_fails_everything_before_stays_valid(lasting: bool, disk: Disk, tmp_path: Path) -> None:
    ds = two_runs()
    extra = ds.isel(checkpoint=[2]).assign(extra=("checkpoint", [0.5]))
    path = one_by_one(ds.isel(checkpoint=slice(2)), tmp_path / "grown.zarr")
    n_writes = 0
    while True:
        disk.fail_after(n_writes, lasting)
        with suppress(OSError):
            append_checkpoints(extra, path)
            break
        disk.fail_after(None)
        with open_trajectories(path) as found:
            assert found.sizes["checkpoint"] == 2
            assert "extra" not in found
        n_writes += 1
    assert n_writes > 10  # it failed at each of them
    disk.fail_after(None)
    append_checkpoints(ds.isel(checkpoint=[3]), path)
    wanted = one_by_one(ds.isel(checkpoint=slice(4)), tmp_path / "wanted.zarr")
    with open_trajectories(path) as found, open_trajectories(wanted) as expected:
        xr.testing.assert_identical(found.drop_vars("extra").compute(), expected.compute())
        np.testing.assert_array_equal(found["extra"].values, [np.nan, np.nan, 0.5, np.nan])


def test_a_first_checkpoint_that_cannot_be_written_leaves_nothing(disk: Disk, tmp_path: Path) -> None:
    disk.fail_after(5)
    with pytest.raises(OSError, match="no space"):
        append_checkpoints(two_runs(), tmp_path / "grown.zarr")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_valid_is_not_written(tmp_path: Path) -> None:
    path = one_by_one(two_runs().isel(checkpoint=slice(2)), tmp_path / "grown.zarr")
    before = files(path)
    bad = two_runs().isel(checkpoint=[2])
    bad["probs"].values[0, 1] = np.nan
    with pytest.raises(TrajectoriesError, match="sample s1"):
        append_checkpoints(bad, path)
    assert files(path) == before


@pytest.mark.parametrize("write", [lambda path: save_trajectories(two_runs(), path), lambda path: path.mkdir()])
def test_only_what_grew_can_grow(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "some.zarr"
    write(path)
    before = files(path)
    with pytest.raises(ValueError, match=r"some\.zarr is there but was not recorded .*: record into a new path"):
        append_checkpoints(two_runs(), path)
    assert files(path) == before


def test_another_ending(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"to a \.zarr directory only"):
        append_checkpoints(two_runs(), tmp_path / "some.zarr.zip")


# -- in which form ----------------------------------------------------------------------------------------------------


def test_the_first_call_decides_the_form(tmp_path: Path) -> None:
    path, ds = tmp_path / "grown.zarr", two_runs()
    append_checkpoints(ds.isel(checkpoint=slice(2)), path, store="log_probs", dtype="float16")
    append_checkpoints(ds.isel(checkpoint=slice(2, 4)), path)
    append_checkpoints(ds.isel(checkpoint=slice(4, 7)), path, store="log_probs", dtype="float16")
    group = open_grown(path)
    assert predictions_name(group) == "log_probs"
    assert array_of(group, "log_probs").dtype == np.float16
    whole = save_trajectories(ds, tmp_path / "whole.zarr", store="log_probs")
    with open_trajectories(path) as found, open_trajectories(whole) as expected:
        xr.testing.assert_identical(found.compute(), expected.compute())
        packed = save_trajectories(found, tmp_path / "packed.zarr")
    np.testing.assert_array_equal(array_of(group, "log_probs")[...], zarr.open_group(packed)["log_probs"][...])


@pytest.mark.parametrize(("there", "other"), [("probs", "log_probs"), ("log_probs", "probs")])
def test_another_form_or_other_numbers_are_refused(there: Any, other: Any, tmp_path: Path) -> None:
    path, ds = tmp_path / "grown.zarr", two_runs()
    append_checkpoints(ds.isel(checkpoint=[0]), path, store=there, dtype="float16")
    before = files(path)
    with pytest.raises(ValueError, match=rf"was begun with store='{there}', .*: leave store out, or"):
        append_checkpoints(ds.isel(checkpoint=[1]), path, store=other)
    with pytest.raises(ValueError, match=r"was begun with dtype='float16', .* with dtype='float64'"):
        append_checkpoints(ds.isel(checkpoint=[1]), path, dtype="float64")
    with pytest.raises(NoPredictionsError):
        append_checkpoints(embedding_only(), path)
    assert files(path) == before


@pytest.mark.parametrize("store", ["probs", "log_probs"])
def test_an_opened_recording_stays_as_it_was_while_it_grows(store: Any, tmp_path: Path) -> None:
    path, ds = tmp_path / "grown.zarr", two_runs()
    append_checkpoints(ds.isel(checkpoint=slice(3)), path, store=store)
    with open_trajectories(path) as opened:
        append_checkpoints(ds.isel(checkpoint=[3]), path)
        stored = source_of(opened["probs"])
        assert stored is not None
        stored.source.check_unchanged()
        next(file for file in (path / store / "c" / "1").rglob("*") if file.is_file()).touch()
        with pytest.raises(StoreChangedError):
            stored.source.check_unchanged()


def test_a_group_that_was_just_opened_is_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, ds = tmp_path / "grown.zarr", two_runs()
    append_checkpoints(ds.isel(checkpoint=[0]), path)
    opened: list[str] = []

    def counted(name: str, wrapped: Any) -> Any:
        return lambda *args, **options: (opened.append(name), wrapped(*args, **options))[1]

    for name in ("open_consolidated", "open_group"):
        monkeypatch.setattr(zarr, name, counted(name, getattr(zarr, name)))
    group = open_grown(path)
    append_checkpoints(ds.isel(checkpoint=[1]), path, group=group)
    assert opened == ["open_consolidated", "open_group"]  # to look at, and to write
    with open_trajectories(path) as found:
        assert found.sizes["checkpoint"] == 2


def test_a_saved_copy_of_a_grown_directory_is_read_without_a_list(tmp_path: Path) -> None:
    path = one_by_one(embedding_only().isel(checkpoint=[0]), tmp_path / "embedding.zarr")
    with open_trajectories(path) as found:
        assert found.sizes["checkpoint"] == 1
