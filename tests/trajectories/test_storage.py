"""Files: what is saved comes back, lazily and whole or not at all; what is no dataset is said to be none."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.array
import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from dask.callbacks import Callback
from hypothesis import example, given, settings

from predspace_widgets.trajectories import (
    TrajectoriesError,
    make_trajectories,
    open_trajectories,
    save_trajectories,
    storage,
)
from predspace_widgets.trajectories.source import Source, StoreChangedError, digest_of, source_of
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import KINDS, datasets, embedding_only, random_probs, two_runs

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of `two_runs` of each kind, to read only."""
    folder = tmp_path_factory.mktemp("saved")
    return {kind: save_trajectories(two_runs(), folder / f"saved{kind}") for kind in KINDS}


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder of its own for each example that hypothesis draws."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def normalised(probs: np.ndarray) -> np.ndarray:
    wide = probs.astype(np.promote_types(probs.dtype, np.float32))
    return wide / wide.sum(axis=-1, keepdims=True)


def assert_same(found: xr.Dataset, expected: xr.Dataset) -> None:
    """Equal in values, kinds of values, names, attributes; probabilities but for the normalisation of their rows."""
    rest = expected.drop_vars("probs", errors="ignore")
    xr.testing.assert_identical(found.drop_vars("probs", errors="ignore"), rest)
    for name in rest.variables:
        kinds = found[name].dtype.kind, rest[name].dtype.kind
        assert kinds[0] == kinds[1], (name, kinds)
        assert kinds[0] == "U" or found[name].dtype == rest[name].dtype, name
    assert ("probs" in found) == ("probs" in expected)
    if "probs" in expected:
        assert found["probs"].dims == expected["probs"].dims
        assert found["probs"].attrs == expected["probs"].attrs
        wanted = normalised(expected["probs"].values)
        assert found["probs"].dtype == wanted.dtype
        np.testing.assert_allclose(found["probs"].values, wanted, rtol=4 * np.finfo(wanted.dtype).eps)


def stored_probs(path: Path, name: str = "probs") -> np.ndarray:
    """The numbers of the predictions as they lie in a file."""
    if path.name.endswith(".nc"):
        with h5py.File(path) as file:
            return file[name][...]
    store = zarr.storage.ZipStore(path, mode="r") if path.name.endswith(".zip") else path
    return zarr.open_group(store, mode="r")[name][...]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def content(folder: Path) -> dict[str, str]:
    """Every file below a folder, and the digest of its bytes."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): digest(file.read_bytes()) for file in files}


class CountTasks(Callback):
    """The dask tasks that compute `probs`, while it is active."""

    def __init__(self) -> None:
        super().__init__(pretask=lambda key, graph, state: self.tasks.extend([key] if "probs" in str(key) else []))
        self.tasks: list[Any] = []


# -- there and back ---------------------------------------------------------------------------------------------------


@each_kind
@settings(max_examples=10)
@given(ds=datasets())
@example(ds=two_runs())
@example(ds=embedding_only())
def test_what_is_saved_comes_back(kind: str, ds: xr.Dataset) -> None:
    before = ds.copy(deep=True)
    with a_folder() as folder:
        path = save_trajectories(ds, folder / f"some{kind}")
        assert path == folder / f"some{kind}"
        with open_trajectories(path) as found:
            assert_same(found, before)
    xr.testing.assert_identical(ds, before)  # saving changes nothing in memory


@settings(max_examples=2)
@given(ds=datasets())
@example(
    ds=two_runs().assign(embedding=(("checkpoint", "component"), np.ones((7, 1))), eigenvalue=("component", [2.0]))
)
def test_from_one_format_to_the_next(ds: xr.Dataset) -> None:
    with a_folder() as folder:
        path = save_trajectories(ds, folder / "0.nc")
        for number, kind in enumerate((".zarr", ".zarr.zip", ".nc"), start=1):
            with open_trajectories(path) as opened:
                path = save_trajectories(opened, folder / f"{number}{kind}")
        with open_trajectories(path) as found:
            assert_same(found, ds)


@each_kind
def test_attributes_of_variables_come_back(kind: str, tmp_path: Path) -> None:
    ds = two_runs()
    ds["loss"].attrs = {"units": "nats", "sinks": 1}
    ds["probs"].attrs = {"temperature": 0.5, "who": "é"}
    ds["epoch"].attrs = {"long_name": "epochs of training"}
    assert_same(open_trajectories(save_trajectories(ds, tmp_path / f"some{kind}")), ds)


@each_kind
def test_a_path_may_be_text_and_its_folder_may_be_missing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / f"two.runs{kind}"
    assert save_trajectories(two_runs(), str(path)) == path
    assert_same(open_trajectories(str(path)), two_runs())


@each_kind
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_precision_on_disk_can_be_chosen(kind: str, dtype: Any, tmp_path: Path) -> None:
    path = save_trajectories(two_runs(), tmp_path / f"some{kind}", dtype=dtype)
    stored = stored_probs(path)
    assert stored.dtype == ("float32" if (kind, dtype) == (".nc", "float16") else dtype)
    np.testing.assert_array_equal(stored, two_runs()["probs"].values.astype(stored.dtype))
    opened = open_trajectories(path)
    assert opened["probs"].dtype == ("float64" if dtype == "float64" else "float32")
    # and it is kept by a second save
    assert stored_probs(save_trajectories(opened, tmp_path / f"again{kind}")).dtype == stored.dtype


def test_a_float16_dataset_becomes_float32_in_netcdf(tmp_path: Path) -> None:
    opened = open_trajectories(save_trajectories(two_runs("float16"), tmp_path / "half.zarr"))
    assert opened["probs"].encoding["dtype"] == "float16"
    assert stored_probs(save_trajectories(opened, tmp_path / "single.nc")).dtype == "float32"


@pytest.mark.parametrize("n_classes", [2, 10, 300])
def test_float16_rows_are_normalised_on_reading(n_classes: int, tmp_path: Path) -> None:
    probs = random_probs(20, 30, n_classes, sharpness=0.1).astype(np.float16)
    assert np.abs(probs.astype(np.float64).sum(axis=-1) - 1).max() > 1e-5 or n_classes == 2
    ds = make_trajectories(probs, np.zeros(30, dtype=int), task="any", epoch=np.arange(20))
    path = save_trajectories(ds, tmp_path / "half.zarr.zip")
    np.testing.assert_array_equal(stored_probs(path), probs)
    found = open_trajectories(path)["probs"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.values.sum(axis=-1, dtype=np.float64), 1, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.values, normalised(probs), rtol=1e-6)


@each_kind
def test_text_beside_the_coordinates_comes_back(kind: str, tmp_path: Path) -> None:
    ds = two_runs().reset_coords("run").assign(device=("checkpoint", ["cpu", "gpu", "é", "", "任务", "cpu", "a\nb"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error", zarr.errors.UnstableSpecificationWarning)  # numpy's fixed-length text
        path = save_trajectories(ds, tmp_path / f"some{kind}")
    assert_same(open_trajectories(path), ds)


@each_kind
def test_recordings_that_were_opened_and_put_together_can_be_saved(kind: str, tmp_path: Path) -> None:
    parts = [
        random_trajectories(tasks=(task,), n_seeds=1, n_checkpoints=length)
        for task, length in (("a", 3), ("b", 4), ("c", 5))
    ]
    opened = [open_trajectories(save_trajectories(part, tmp_path / f"{n}{kind}")) for n, part in enumerate(parts)]
    together = xr.concat(opened, "checkpoint", join="override", combine_attrs="override")
    path = save_trajectories(together, tmp_path / f"all{kind}")
    assert_same(open_trajectories(path), together.compute())


@each_kind
def test_a_choice_of_checkpoints_and_samples_can_be_saved(kind: str, tmp_path: Path) -> None:
    opened = open_trajectories(save_trajectories(two_runs(), tmp_path / f"all{kind}"))
    some = opened.predspace.select(epochs=(0.5, 1)).isel(sample=[4, 0])
    assert_same(open_trajectories(save_trajectories(some, tmp_path / f"some{kind}")), some.compute())


# -- as logarithms ----------------------------------------------------------------------------------------------------


def sure() -> xr.Dataset:
    """Predictions down to exp(-500), some of them equal and some 0."""
    random = np.random.default_rng(4)
    weights = np.exp(-random.choice([0, 1e-5, 0.3, 4, 30, 80, 110, 500], size=(4, 6, 3)))
    weights[:, :, 1] *= random.choice([0, 1], size=(4, 6))
    weights[..., 0] += 1e-300
    probs = weights / weights.sum(axis=-1, keepdims=True)
    return make_trajectories(probs, [0, 1, 2, 0, 1, 2], task="any", epoch=range(4), metrics={"loss": np.ones(4)})


@each_kind
def test_logarithms_are_opened_as_probabilities(kind: str, tmp_path: Path) -> None:
    ds = two_runs().assign_attrs(recipe="x")
    ds["probs"].attrs = {"who": "é"}
    path = save_trajectories(ds, tmp_path / f"some{kind}", store="log_probs")
    stored = stored_probs(path, "log_probs")
    assert stored.dtype == ("float32" if kind == ".nc" else "float16")
    np.testing.assert_array_equal(stored.max(axis=-1), 0)
    with open_trajectories(path) as found:
        assert list(found.data_vars) == [name for name in found.data_vars if name != "log_probs"]
        xr.testing.assert_identical(found.drop_vars("probs").compute(), ds.drop_vars("probs"))
        assert found["probs"].chunks is not None
        assert found["probs"].dtype == "float32"
        assert found["probs"].attrs == ds["probs"].attrs
        np.testing.assert_allclose(found["probs"], ds["probs"], rtol=5e-3)
        np.testing.assert_allclose(found["probs"].sum("class"), 1, rtol=0, atol=1e-6)


@each_kind
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_opened_is_saved_bit_for_bit(kind: str, dtype: Any, tmp_path: Path) -> None:
    for store in ("probs", "log_probs"):
        ds = sure() if store == "log_probs" else two_runs()
        path = save_trajectories(ds, tmp_path / f"{store}{kind}", store=store, dtype=dtype)
        before = stored_probs(path, store)
        with open_trajectories(path) as opened:
            changed = opened.assign_attrs(title="again").drop_vars("loss")
            again = stored_probs(save_trajectories(changed, tmp_path / f"again-{store}{kind}"), store)
        assert (again.dtype, again.tobytes()) == (before.dtype, before.tobytes())


def test_a_choice_of_what_is_opened_keeps_its_form_and_its_bits(tmp_path: Path) -> None:
    path = save_trajectories(sure(), tmp_path / "some.zarr", store="log_probs")
    before = stored_probs(path, "log_probs")
    with open_trajectories(path) as opened:
        chosen = save_trajectories(opened.isel(checkpoint=[1, 3]), tmp_path / "chosen.zarr")
        loaded = save_trajectories(opened.compute(), tmp_path / "loaded.zarr.zip")
    again = stored_probs(loaded, "log_probs")
    known = before > -87  # float32 knows
    assert 0.5 < known.mean() < 1
    np.testing.assert_array_equal(again[known], before[known])
    np.testing.assert_array_equal(stored_probs(chosen, "log_probs")[known[[1, 3]]], before[[1, 3]][known[[1, 3]]])


def test_logarithms_survive_a_wider_file(tmp_path: Path) -> None:
    before = stored_probs(first := save_trajectories(sure(), tmp_path / "first.zarr", store="log_probs"), "log_probs")
    with open_trajectories(first) as opened:
        second = save_trajectories(opened, tmp_path / "second.nc")
        np.testing.assert_array_equal(stored_probs(second, "log_probs"), before)
        third = save_trajectories(opened, tmp_path / "third.zarr", dtype="float64")
        np.testing.assert_array_equal(stored_probs(third, "log_probs"), before)


@each_kind
def test_the_form_can_be_changed(kind: str, tmp_path: Path) -> None:
    path = save_trajectories(two_runs(), tmp_path / f"0{kind}", store="log_probs")
    for number, (store, dtype) in enumerate([("probs", "float32"), ("log_probs", None), ("probs", "float64")], 1):
        with open_trajectories(path) as opened:
            path = save_trajectories(opened, tmp_path / f"{number}{kind}", store=store, dtype=dtype)
        expected = dtype or ("float32" if kind == ".nc" else "float16")
        assert stored_probs(path, store).dtype == expected
    np.testing.assert_allclose(open_trajectories(path)["probs"], two_runs()["probs"], rtol=5e-3)


def test_a_zero_of_float16_is_its_smallest_number(tmp_path: Path) -> None:
    probs = np.array([[[1, 0]]], dtype=np.float16)
    ds = make_trajectories(probs, [0], task="any", epoch=[0])
    direct = save_trajectories(ds, tmp_path / "direct.zarr", store="log_probs", dtype="float32")
    with open_trajectories(save_trajectories(ds, tmp_path / "half.zarr")) as opened:  # as float32, in memory
        detour = save_trajectories(opened, tmp_path / "detour.zarr", store="log_probs", dtype="float32")
    for path in (direct, detour):
        assert stored_probs(path, "log_probs")[0, 0, 1] == np.log(2.0**-24).astype(np.float32)


def test_an_unknown_form_or_numbers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="store must be one of 'probs', 'log_probs', got 'logits'"):
        save_trajectories(two_runs(), tmp_path / "some.zarr", store="logits")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype must be float16, float32 or float64, got 'int8'"):
        save_trajectories(two_runs(), tmp_path / "some.zarr", dtype="int8")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@each_kind
def test_problems_are_named_for_what_lies_on_disk(kind: str, tmp_path: Path) -> None:
    logs = np.log(two_runs()["probs"])
    both = write_anything(two_runs().assign(log_probs=logs), tmp_path / f"both{kind}")
    with pytest.raises(TrajectoriesError) as raised:
        open_trajectories(both)
    assert any("there are both 'probs' and 'log_probs'" in problem for problem in raised.value.problems)
    logs.values[5, 4, 0] = np.nan
    damaged = write_anything(two_runs().drop_vars("probs").assign(log_probs=logs), tmp_path / f"nan{kind}")
    with pytest.raises(TrajectoriesError) as raised:
        open_trajectories(damaged)
    place = "checkpoint 5 (run 'B', epoch 0.5), sample s4"
    assert raised.value.problems == [f"'log_probs' is not finite (NaN or infinity) at {place}"]
    neither = write_anything(two_runs().drop_vars("probs"), tmp_path / f"neither{kind}")
    with pytest.raises(TrajectoriesError, match=r"variable 'probs' or 'log_probs' .* is missing"):
        open_trajectories(neither)


def test_logarithms_of_another_program_need_no_largest_of_zero(tmp_path: Path) -> None:
    ds = two_runs().drop_vars("probs").assign(log_probs=np.log(two_runs()["probs"]) - 40)
    with open_trajectories(write_anything(ds, tmp_path / "some.zarr")) as found:
        np.testing.assert_allclose(found["probs"], two_runs()["probs"], rtol=1e-6)


@each_kind
def test_what_is_stored_is_known_behind_what_is_opened(kind: str, tmp_path: Path) -> None:
    for store in ("probs", "log_probs"):
        path = save_trajectories(two_runs(), tmp_path / f"{store}{kind}", store=store)
        with open_trajectories(path) as opened:
            stored = source_of(opened["probs"])
            assert stored is not None
            assert stored.are_logarithms == (store == "log_probs")
            np.testing.assert_array_equal(stored.values.values, stored_probs(path, store))
            assert (stored.source.url, stored.source.predictions) == (str(path), store)
            stored.source.check_unchanged()
            for derived in (opened["probs"].compute(), opened["probs"][1:], opened["probs"] * 1, two_runs()["probs"]):
                assert source_of(derived) is None
            # and so is any change of it
            digest_before = digest_of(stored.source)
            save_trajectories(two_runs().isel(checkpoint=slice(5)), path, store=store)
            with pytest.raises(StoreChangedError):
                stored.source.check_unchanged()
            assert digest_of(stored.source) != digest_before


def test_the_same_bytes_in_another_form_have_another_digest(tmp_path: Path) -> None:
    path = save_trajectories(two_runs(), tmp_path / "some.zarr", store="log_probs")
    with open_trajectories(path) as opened:
        stored = source_of(opened["probs"])
    assert stored is not None
    before = digest_of(stored.source)
    (path / "log_probs").rename(path / "probs")
    renamed = Source.now(str(path), stored.source.n_rows)
    assert digest_of(renamed) != before
    assert renamed.signature != stored.source.signature


def test_measurements_of_logarithms_are_those_of_their_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from predspace_widgets.analysis import measurements

    path = save_trajectories(random_trajectories(n_samples=50), tmp_path / "some.zarr", store="log_probs")
    with open_trajectories(path) as opened:
        in_memory = opened.compute()
        monkeypatch.setattr(measurements, "_IN_MEMORY", 0)
        face, expected = opened.predspace, in_memory.predspace
        np.testing.assert_allclose(face.distances(keep=False), expected.distances(), rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(face.progress(), expected.progress(), atol=1e-6)
        on_disk = face.save_distances(tmp_path / "distances.zarr")
        np.testing.assert_allclose(on_disk, expected.distances(), rtol=1e-4, atol=1e-7)


# -- lazily -----------------------------------------------------------------------------------------------------------


@each_kind
def test_above_the_check_size_opening_computes_no_probabilities(
    kind: str, saved: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved[kind]
    with CountTasks() as checking:
        open_trajectories(path)
    assert checking.tasks  # the count counts

    monkeypatch.setattr(storage, "_CHECK_BYTES", 0)
    with CountTasks() as opening:
        ds = open_trajectories(path)
    assert opening.tasks == []
    assert ds["probs"].chunks is not None
    assert ds["image"].chunks is not None
    with CountTasks() as using:
        ds["probs"].sum().compute()
    assert using.tasks


@each_kind
def test_coordinates_are_at_hand_as_plain_text_and_numbers(kind: str, saved: dict[str, Path]) -> None:
    ds = open_trajectories(saved[kind])
    for name, column in ds.coords.items():
        assert column.chunks is None
        assert column.dtype.kind == two_runs()[name].dtype.kind


@each_kind
def test_structure_is_checked_above_the_check_size_too(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_anything(two_runs().assign_coords(step=("checkpoint", np.zeros(7))), tmp_path / f"some{kind}")
    monkeypatch.setattr(storage, "_CHECK_BYTES", 0)
    with pytest.raises(TrajectoriesError, match="duplicate checkpoints"):
        open_trajectories(path)


@each_kind
@pytest.mark.parametrize("n_chunk_bytes", [1, 7 * 3 * 8 * 3 - 1, 2**22])
def test_a_block_of_samples_holds_all_checkpoints(
    kind: str, n_chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_CHUNK_BYTES", n_chunk_bytes)
    ds = two_runs().chunk(checkpoint=2)
    path = save_trajectories(ds, tmp_path / f"some{kind}")
    n_samples = {1: 1, 7 * 3 * 8 * 3 - 1: 2, 2**22: 5}[n_chunk_bytes]
    if kind == ".nc":
        with h5py.File(path) as file:
            chunks = {name: file[name].chunks for name in ("probs", "image", "loss")}
    else:
        store = zarr.storage.ZipStore(path, mode="r") if kind == ".zarr.zip" else path
        group = zarr.open_group(store, mode="r")
        chunks = {name: group[name].chunks for name in ("probs", "image", "loss")}
    assert chunks == {"probs": (7, n_samples, 3), "image": (1 if n_chunk_bytes == 1 else 5, 2, 3), "loss": (7,)}
    # A block in memory is of whole blocks on disk, as many as fit; 7 x 3 float32 numbers are 84 bytes a sample.
    two = min(max(n_samples, 2), 5)
    for block_bytes, least, expected in ((1, 1, n_samples), (84 * 2, 1, two), (1, 6, two), (2**20, 1, 5)):
        monkeypatch.setattr(storage, "_BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(storage, "_LEAST_OF_A_CHECKPOINT", least)
        opened = open_trajectories(path)
        chunks_in_memory = opened["probs"].chunks
        assert chunks_in_memory is not None
        assert (chunks_in_memory[0], chunks_in_memory[2]) == ((7,), (3,))
        assert max(chunks_in_memory[1]) == expected
        assert_same(opened, two_runs())


# -- whole or not at all ----------------------------------------------------------------------------------------------


def fail_in_the_middle(ds: xr.Dataset, path: Path, monkeypatch: pytest.MonkeyPatch) -> xr.Dataset:
    """A dataset whose last block cannot be written, after its values were found to be valid."""
    checked: list[int] = []

    def read(block: np.ndarray) -> np.ndarray:
        if len(checked) >= 5:
            raise OSError("no space left on device")
        checked.append(1)
        return block

    blocks = dask.array.from_array(ds["probs"].values, chunks=(7, 1, 3)).map_blocks(read, meta=np.empty((0, 0, 0)))
    return ds.assign(probs=(("checkpoint", "sample", "class"), blocks))


def fail_at_the_end(ds: xr.Dataset, path: Path, monkeypatch: pytest.MonkeyPatch) -> xr.Dataset:
    """The new file is complete, but cannot take the place of the old one (once)."""
    failed: list[str] = []

    def failing(move: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Any, target: Any, *rest: Any, **options: Any) -> None:
            if Path(target) == path and not failed:
                failed.append(str(target))
                raise OSError("no space left on device")
            move(source, target, *rest, **options)

        return moved

    monkeypatch.setattr(os, "replace", failing(os.replace))
    monkeypatch.setattr(os, "rename", failing(os.rename))
    return ds


def fail_while_zipping(ds: xr.Dataset, path: Path, monkeypatch: pytest.MonkeyPatch) -> xr.Dataset:
    def writestr(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", writestr)
    return ds


@pytest.mark.parametrize("there", [True, False], ids=["over an old file", "anew"])
@pytest.mark.parametrize(
    ("kind", "fail"),
    [
        *((kind, fail) for kind in KINDS for fail in (fail_in_the_middle, fail_at_the_end)),
        (".zarr.zip", fail_while_zipping),
    ],
)
def test_a_failed_save_leaves_everything_as_it_was(
    kind: str,
    fail: Callable[[xr.Dataset, Path, pytest.MonkeyPatch], xr.Dataset],
    there: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / f"some{kind}"
    if there:
        save_trajectories(two_runs(), path)
    before = content(tmp_path)
    ds = fail(two_runs().assign_attrs(title="new"), path, monkeypatch)
    with pytest.raises(OSError, match="no space left"):
        save_trajectories(ds, path)
    assert content(tmp_path) == before
    assert list(tmp_path.iterdir()) == ([path] if there else [])


@each_kind
def test_an_invalid_dataset_is_not_written(kind: str, tmp_path: Path) -> None:
    path = save_trajectories(two_runs(), tmp_path / f"some{kind}")
    before = content(tmp_path)
    bad = two_runs()
    bad["probs"].values[2, 1] = [0.9, 0.9, 0.9]
    with pytest.raises(TrajectoriesError, match=r"checkpoint 2 .*sample s1"):
        save_trajectories(bad, path)
    with pytest.raises(TrajectoriesError):
        save_trajectories(bad, tmp_path / "folder" / f"new{kind}")
    assert content(tmp_path) == before
    assert list(tmp_path.iterdir()) == [path]


@each_kind
def test_a_save_leaves_no_temporary_files(kind: str, tmp_path: Path) -> None:
    path = save_trajectories(two_runs(), tmp_path / f"some{kind}")
    save_trajectories(two_runs(), path)
    assert list(tmp_path.iterdir()) == [path]


@each_kind
def test_what_is_there_is_replaced_whole(kind: str, tmp_path: Path) -> None:
    path = save_trajectories(two_runs(), tmp_path / f"some{kind}")
    save_trajectories(embedding_only(), path)
    assert_same(open_trajectories(path), embedding_only())


@each_kind
def test_a_file_of_something_else_is_replaced(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"some{kind}"
    path.write_text("something else")
    save_trajectories(two_runs(), path)
    assert_same(open_trajectories(path), two_runs())


@each_kind
@pytest.mark.parametrize("changed", [False, True])
def test_an_opened_dataset_can_be_saved_over_itself(kind: str, changed: bool, tmp_path: Path) -> None:
    path = save_trajectories(two_runs(), tmp_path / f"some{kind}")
    opened = open_trajectories(path)
    ds = opened.assign_attrs(title="again").isel(checkpoint=slice(4)) if changed else opened
    expected = ds.compute()
    save_trajectories(ds, path)
    assert_same(open_trajectories(path), expected)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(name: str, ds: xr.Dataset) -> str:
        return digest(save_trajectories(ds, tmp_path / name / "some.zarr.zip").read_bytes())

    first = written("one", two_runs())
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("time.localtime", lambda *_: (2033, 5, 18, 3, 33, 20, 2, 138, 0))
    assert written("two", two_runs()) == first
    assert written("three", two_runs().assign_attrs(title="other")) != first


def test_how_the_content_lies_in_memory_makes_no_difference(tmp_path: Path) -> None:
    whole = save_trajectories(two_runs(), tmp_path / "whole.zarr.zip")
    blocks = save_trajectories(two_runs().chunk(sample=2, checkpoint=3), tmp_path / "blocks.zarr.zip")
    assert digest(blocks.read_bytes()) == digest(whole.read_bytes())


def test_a_zip_unpacks_to_the_directory_of_the_same_name(saved: dict[str, Path]) -> None:
    with zipfile.ZipFile(saved[".zarr.zip"]) as archive:
        assert archive.testzip() is None
        files = {name: digest(archive.read(name)) for name in archive.namelist()}
    assert files == content(saved[".zarr"])


# -- what is no dataset -----------------------------------------------------------------------------------------------


def write_anything(ds: xr.Dataset, path: Path) -> Path:
    """Write a dataset that need not be valid."""
    if path.name.endswith(".nc"):
        ds.to_netcdf(path, engine="h5netcdf")
        return path
    folder = path.parent / f"{path.name}-folder" if path.name.endswith(".zip") else path
    text = {name: column.astype(object) for name, column in ds.coords.items() if column.dtype.kind == "U"}
    ds.assign_coords(text).to_zarr(folder, zarr_format=3, consolidated=False)
    if folder != path:
        storage._zip(folder, path)
        shutil.rmtree(folder)
    return path


@each_kind
def test_a_missing_path(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"there is no dataset at .*none\{kind}"):
        open_trajectories(tmp_path / "nowhere" / f"none{kind}")


@pytest.mark.parametrize("name", ["some.h5", "some.zip", "some", "some.zarr.bak", "some.nc.txt"])
def test_another_ending(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ValueError, match=r"must end in one of \.zarr\.zip, \.zarr, \.nc"):
        open_trajectories(tmp_path / name)
    with pytest.raises(ValueError, match=r"must end in one of \.zarr\.zip, \.zarr, \.nc"):
        save_trajectories(two_runs(), tmp_path / name)
    assert (tmp_path / name).read_text() == "x"


def text_file(path: Path) -> None:
    path.write_text("epoch,accuracy\n0,0.1\n")


def empty_file(path: Path) -> None:
    path.touch()


def empty_folder(path: Path) -> None:
    path.mkdir()


def folder_of_text(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("x")


def zip_of_text(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "x")


def zip_of(*metadata: str) -> Callable[[Path], None]:
    """A Zarr whose only file is wrong."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for text in metadata:
                archive.writestr("zarr.json", text)

    return write


def folder_of(metadata: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.mkdir()
        (path / "zarr.json").write_text(metadata)

    return write


def older_zarr(path: Path) -> None:
    zarr.save_array(str(path), np.zeros(3), zarr_format=2)


def one_array(path: Path) -> None:
    zarr.save_array(str(path), np.zeros(3), zarr_format=3)


def arrays_without_dimensions(path: Path) -> None:
    zarr.open_group(str(path), mode="w").create_array("probs", shape=(3,), dtype="f8")


def hdf5_without_dimensions(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["probs"] = np.zeros((2, 3, 4))


NOT_JSON = ["", "{", "null", "3", "[]", '"x"', '{"zarr_format": 3, "node_type": "array"}']


@pytest.mark.parametrize(
    ("name", "write"),
    [
        *((f"some{kind}", write) for kind in KINDS for write in (text_file, empty_file, empty_folder, folder_of_text)),
        ("some.zarr.zip", zip_of_text),
        ("some.zarr.zip", zip_of()),
        *(("some.zarr.zip", zip_of(text)) for text in NOT_JSON),
        *(("some.zarr", folder_of(text)) for text in NOT_JSON),
        ("some.zarr", zip_of_text),
        ("some.zarr", older_zarr),
        ("some.zarr", one_array),
        ("some.zarr", arrays_without_dimensions),
        ("some.nc", hdf5_without_dimensions),
        ("some.nc", zip_of_text),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5netcdf closing what it never opened
@pytest.mark.filterwarnings("ignore:.*phony_dims:UserWarning")
def test_a_file_that_is_no_dataset(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / name
    write(path)
    with pytest.raises(TrajectoriesError) as raised:
        open_trajectories(path)
    assert str(path) in str(raised.value).splitlines()[0]
    assert raised.value.problems
    assert all(problem.strip() and "\n" not in problem for problem in raised.value.problems)


@each_kind
def test_a_dataset_of_something_else(kind: str, tmp_path: Path) -> None:
    path = write_anything(xr.Dataset({"temperature": ("time", [1.0, 2.0])}), tmp_path / f"some{kind}")
    with pytest.raises(TrajectoriesError) as raised:
        open_trajectories(path)
    assert len(raised.value.problems) == 7
    assert str(path) in str(raised.value)


@each_kind
def test_every_problem_of_a_file_is_named(kind: str, tmp_path: Path) -> None:
    ds = two_runs().assign_coords(label=("sample", [0, 1, 7, 0, 1]))
    ds["probs"].values[[0, 5], [1, 4]] = [[np.nan, 0.5, 0.5], [1.5, -0.5, 0]]
    path = write_anything(ds, tmp_path / f"some{kind}")
    with pytest.raises(TrajectoriesError) as raised:
        open_trajectories(path)
    assert raised.value.problems == [
        "'label' must lie in [0, 3): sample s2 has 7",
        "'probs' is not finite (NaN or infinity) at checkpoint 0 (run 'A', epoch 0), sample s1",
        "'probs' is negative (logits need a softmax first) at checkpoint 5 (run 'B', epoch 0.5), sample s4",
    ]


@pytest.mark.parametrize("kind", [".zarr.zip", ".nc"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_truncated_file(kind: str, share: float, saved: dict[str, Path], tmp_path: Path) -> None:
    whole = saved[kind].read_bytes()
    cut = tmp_path / f"cut{kind}"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(TrajectoriesError, match=r"cannot be read as"):
        open_trajectories(cut)


@pytest.mark.parametrize("variable", ["probs", "epoch", "run"])
@pytest.mark.parametrize("damage", [lambda data: data[:-6] + b"damage", lambda data: b""], ids=["changed", "emptied"])
def test_a_damaged_part_of_a_zarr_directory(
    variable: str, damage: Callable[[bytes], bytes], saved: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "some.zarr"
    shutil.copytree(saved[".zarr"], path)
    for file in (path / variable / "c").rglob("*"):
        if file.is_file():
            file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(TrajectoriesError):
        open_trajectories(path)


@pytest.mark.parametrize("member", ["probs/c/0/0/0", "run/c/0", "zarr.json"])
@pytest.mark.parametrize("part", ["content", "method", "encryption"])
def test_a_damaged_part_of_a_zip(member: str, part: str, saved: dict[str, Path], tmp_path: Path) -> None:
    data = bytearray(saved[".zarr.zip"].read_bytes())
    with zipfile.ZipFile(saved[".zarr.zip"]) as archive:
        start = archive.getinfo(member).header_offset
        listing = data.index(b"PK\x01\x02", archive.start_dir)
        while data[listing + 46 : listing + 46 + len(member)] != member.encode():
            listing = data.index(b"PK\x01\x02", listing + 1)
    place, change = {
        "content": (start + 30 + len(member), 0x55),  # its checksum is wrong then
        "method": (listing + 10, 0x60),  # of compression, one that nobody knows
        "encryption": (listing + 8, 0x01),  # needs a password
    }[part]
    data[place] ^= change
    path = tmp_path / "damaged.zarr.zip"
    path.write_bytes(data)
    with pytest.raises(TrajectoriesError):
        open_trajectories(path)


def test_a_damaged_part_of_a_netcdf_file(saved: dict[str, Path], tmp_path: Path) -> None:
    with h5py.File(saved[".nc"]) as file:
        place = file["probs"].id.get_chunk_info(0).byte_offset
    data = bytearray(saved[".nc"].read_bytes())
    data[place : place + 8] = b"damaged!"
    path = tmp_path / "damaged.nc"
    path.write_bytes(data)
    with pytest.raises(TrajectoriesError):
        open_trajectories(path)


# -- the demo ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["data", "predspace_widgets/data"])
def test_the_demo_is_found_in_the_repository_and_in_the_package(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = sys.modules["predspace_widgets.trajectories.demo"]  # the package holds the function of the same name
    monkeypatch.setattr(demo, "_PACKAGE", tmp_path / "predspace_widgets")
    with pytest.raises(FileNotFoundError, match="make demo-data"):
        demo.demo()
    path = save_trajectories(two_runs(), tmp_path / place / "digits.zarr.zip")
    assert demo.demo_path() == path
    assert_same(demo.demo(), two_runs())
