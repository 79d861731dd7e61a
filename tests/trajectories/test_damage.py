"""Files that cannot lie: what is read of a damaged dataset is what was written, or an error that names the place."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from predspace_widgets.analysis.large.tiles import save_distances
from predspace_widgets.explorers.hosting import answer_to
from predspace_widgets.trajectories import (
    DamagedError,
    TrajectoriesError,
    demo_path,
    open_trajectories,
    save_trajectories,
    storage,
    verify_trajectories,
)
from predspace_widgets.trajectories.appending import append_checkpoints
from predspace_widgets.trajectories.testing import random_trajectories

# Zarr warns of folders that are no arrays; here it is an error of ours.
pytestmark = pytest.mark.filterwarnings("ignore:Object at")

KINDS = (".zarr", ".zarr.zip", ".nc", "grown.zarr")


def small() -> xr.Dataset:
    """A dataset that has one of everything."""
    ds = random_trajectories(tasks=("red", "green"), n_seeds=1, n_checkpoints=3, n_samples=8, n_classes=3)
    ds = ds.assign_coords(architecture=("checkpoint", ["cnn"] * 3 + ["mlp"] * 3))
    images = np.random.default_rng(0).integers(1, 255, (8, 2, 2)).astype(np.uint8)
    return ds.assign(loss=("checkpoint", np.r_[np.nan, np.arange(5.0)]), image=(("sample", "row", "column"), images))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A dataset of each kind, in several chunks, to read only."""
    folder = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "_CHUNK_BYTES", 200)
        paths = {kind: save_trajectories(small(), folder / f"saved{kind}", dtype="float32") for kind in KINDS[:3]}
        paths[KINDS[3]] = folder / KINDS[3]
        for first in (0, 2, 4):
            append_checkpoints(small().isel(checkpoint=slice(first, first + 2)), paths[KINDS[3]], dtype="float32")
    return paths


def copied(path: Path, folder: Path) -> Path:
    copy = folder / path.name
    return Path(shutil.copytree(path, copy) if path.is_dir() else shutil.copy(path, copy))


def parts(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def read(path: Path) -> xr.Dataset:
    with open_trajectories(path) as ds:
        return ds.compute()


# -- anything, anywhere -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(place=st.data())
def test_a_damaged_byte_is_never_read_as_something_else(
    kind: str, files: dict[str, Path], place: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = copied(files[kind], Path(folder))
        file = place.draw(st.sampled_from(parts(path)), label="file")
        content = bytearray(file.read_bytes())
        where = place.draw(st.integers(0, len(content) - 1), label="byte")
        length = place.draw(st.sampled_from([1, 1, 8, 64]), label="length")
        change = place.draw(st.integers(0, 255), label="change")
        content[where : where + length] = bytes(byte ^ change for byte in content[where : where + length])
        file.write_bytes(content)
        with suppress(TrajectoriesError, DamagedError):
            xr.testing.assert_identical(read(path), read(files[kind]))


@pytest.mark.parametrize("kind", [".zarr", "grown.zarr"])
def test_any_file_that_goes_is_missed(kind: str, files: dict[str, Path], tmp_path: Path) -> None:
    expected = read(files[kind])
    for number, file in enumerate(parts(files[kind])):
        path = copied(files[kind], tmp_path / str(number))
        (path / file.relative_to(files[kind])).unlink()
        with suppress(TrajectoriesError, DamagedError):
            xr.testing.assert_identical(read(path), expected)  # a recording is read by its list of arrays
            assert kind == "grown.zarr"
            assert file.name == "zarr.json"


@pytest.mark.parametrize("kind", [".zarr", "grown.zarr"])
def test_files_that_change_places_are_noticed(kind: str, files: dict[str, Path], tmp_path: Path) -> None:
    expected, path = read(files[kind]), copied(files[kind], tmp_path)
    there = parts(path)
    chunks = [file for file in there if file.name != "zarr.json"]
    for one, other in zip(chunks, [*chunks[1:], chunks[0]], strict=True):
        before = one.read_bytes(), other.read_bytes()
        one.write_bytes(before[1])
        other.write_bytes(before[0])
        with suppress(TrajectoriesError, DamagedError):
            xr.testing.assert_identical(read(path), expected)  # such as two chunks of the same content
        one.write_bytes(before[0])
        other.write_bytes(before[1])


# -- what is said -----------------------------------------------------------------------------------------------------


def change_json(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def act(file: Path) -> None:
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return act


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def swap(other: str) -> Callable[[Path], None]:
    def act(file: Path) -> None:
        aside, second = file.with_name("aside"), file.parents[len(Path(other).parts) - 1] / other
        file.rename(aside)
        second.rename(file)
        aside.rename(second)

    return act


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def link_to(target: str) -> Callable[[Path], None]:
    def act(file: Path) -> None:
        outside = file.parents[3] / "outside" if target == "outside" else Path(target)
        if target == "outside":
            file.rename(outside)
        file.unlink(missing_ok=True)
        file.symlink_to(outside)

    return act


DAMAGE: list[tuple[str, str, Callable[[Path], None], str]] = [
    ("a deleted chunk", "label/c/0", Path.unlink, "'label' cannot be read: it is missing"),
    ("a deleted column", "seed/c/0", Path.unlink, "'seed' cannot be read: it is missing"),
    ("a deleted metric", "accuracy/c/0", Path.unlink, "'accuracy' cannot be read: it is missing"),
    ("a deleted block", "probs/c/0/1/0", Path.unlink, "'probs' of samples 2 to 3 cannot be read: it is missing"),
    ("a flip in a metric", "accuracy/c/0", flip, "'accuracy' cannot be read: it does not fit its checksum"),
    ("a flip in a name", "class/c/0", flip, "'class' cannot be read: it does not fit its checksum"),
    ("a flip in a block", "probs/c/0/3/0", flip, "'probs' of samples 6 to 7 cannot be read: it does not fit"),
    ("a flip in an image", "image/c/0/0/0", flip, "'image' cannot be read: it does not fit its checksum"),
    ("two columns", "seed/c/0", swap("step/c/0"), "'seed' does not fit its checksum"),
    ("two blocks", "probs/c/0/0/0", swap("1/0"), "'probs' of samples 0 to 1 does not fit its checksum"),
    ("a variable that goes", "loss", shutil.rmtree, "variable 'loss' is missing"),
    ("a new title", "zarr.json", change_json(lambda root: root["attributes"].update(title="?")), "attributes of the d"),
    (
        "no list of checksums",
        "zarr.json",
        change_json(lambda root: root["attributes"].pop("checksums")),
        "the list of checksums among its attributes is damaged",
    ),
    (
        "other numbers",
        "seed/zarr.json",
        change_json(lambda array: array.update(data_type="uint64")),
        "'seed' does not fit its checksum",
    ),
    ("a pipe for a chunk", "probs/c/0/0/0", pipe, "no file but a device, a pipe or a socket"),
    ("a pipe for a column", "seed/c/0", pipe, "no file but a device, a pipe or a socket"),
    ("an endless chunk", "run/c/0", link_to("/dev/zero"), "no file but a device, a pipe or a socket"),
    ("a link out", "seed/c/0", link_to("outside"), "seed/c/0 is a link to what lies outside"),
]


@pytest.mark.parametrize(("file", "act", "says"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_what_is_damaged_is_named(
    file: str, act: Callable[[Path], None], says: str, files: dict[str, Path], tmp_path: Path
) -> None:
    path = copied(files[".zarr"], tmp_path)
    act(path / file)
    for look in (read, verify_trajectories):
        with pytest.raises((TrajectoriesError, DamagedError), match=re.escape(says)):
            look(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda name, content: None if name == "seed/c/0" else content, "'seed' cannot be read: it is missing"),
        (lambda name, content: None if name == "image/zarr.json" else content, "variable 'image' is missing"),
    ],
)
def test_entries_that_miss_in_a_zip_are_named(
    change: Callable[[str, bytes], bytes | None], says: str, files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "less.zarr.zip"
    with zipfile.ZipFile(files[".zarr.zip"]) as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            content = change(name, before.read(name))
            if content is not None:
                after.writestr(name, content)
    with pytest.raises(TrajectoriesError, match=re.escape(says)):
        open_trajectories(path)


def test_all_that_is_damaged_is_named_at_once(files: dict[str, Path], tmp_path: Path) -> None:
    path = copied(files[".zarr"], tmp_path)
    for file in ("run/c/0", "sample/c/0", "probs/c/0/1/0", "probs/c/0/3/0", "image/c/0/0/0"):
        flip(path / file)
    with pytest.raises(TrajectoriesError) as caught:
        verify_trajectories(path)
    named = [re.sub(" cannot be read.*", "", problem) for problem in caught.value.problems]
    assert named == ["'sample'", "'run'", "'image'", "'probs' of samples 2 to 3", "'probs' of samples 6 to 7"]


def test_damaged_metadata_are_named_in_words(files: dict[str, Path], tmp_path: Path) -> None:
    whole = files[".zarr"]
    for number, (act, says) in enumerate(METADATA):
        path = copied(whole, tmp_path / str(number))
        flip(path / "seed/c/0")
        act(path / "image" / "zarr.json")
        flip(path / "probs/c/0/1/0")
        with pytest.raises(TrajectoriesError) as caught:
            verify_trajectories(path, show_progress=False)
        named = [re.sub(" cannot be read: it does not.*", "", problem) for problem in caught.value.problems]
        assert sorted(named)[1:] == ["'probs' of samples 2 to 3", "'seed'"]
        assert re.match(says, sorted(named)[0])
        path = copied(whole, tmp_path / f"root {number}")
        act(path / "zarr.json")
        with pytest.raises(TrajectoriesError, match=r": zarr.json is damaged, without which nothing else"):
            open_trajectories(path)
    (path / "zarr.json").unlink()
    with pytest.raises(TrajectoriesError, match=r": zarr.json is missing, without which nothing else"):
        open_trajectories(path)


METADATA: list[tuple[Callable[[Path], None], str]] = [
    (
        lambda file: Path.write_bytes(file, b'{"zarr_format": \xb1'),
        r"'image' cannot be read: image/zarr.json is damaged$",
    ),
    (lambda file: Path.write_bytes(file, b""), r"'image' cannot be read: image/zarr.json is damaged$"),
    (lambda file: Path.write_bytes(file, b"{}"), r"'image' cannot be read: image/zarr.json is damaged$"),
    (
        change_json(lambda array: array.update(node_type="?")),
        r"'image' cannot be read: image/zarr.json is damaged$",
    ),
]


def test_metadata_that_zarr_does_not_know_are_named(files: dict[str, Path], tmp_path: Path) -> None:
    path = copied(files[".zarr"], tmp_path)
    change_json(lambda array: array.update(data_type="uint9"))(path / "image" / "zarr.json")
    with pytest.raises(TrajectoriesError, match=r"- 'image' cannot be read: image/zarr.json is damaged: .*uint9"):
        open_trajectories(path)


def test_a_longer_or_shorter_netcdf_file_is_said_to_be(files: dict[str, Path], tmp_path: Path) -> None:
    content = files[".nc"].read_bytes()
    for changed in (content + b"8 bytes.", content[:-8]):
        (tmp_path / "a.nc").write_bytes(changed)
        with pytest.raises(TrajectoriesError, match="the file is longer or shorter"):
            open_trajectories(tmp_path / "a.nc")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sound_is_said_to_be(kind: str, files: dict[str, Path]) -> None:
    assert "fit their checksums" in verify_trajectories(files[kind], show_progress=False)


def test_damage_that_is_found_late_is_named_where_it_is_met(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_CHECK_BYTES", 0)  # as of a large dataset
    path = copied(files[".zarr"], tmp_path)
    flip(path / "probs/c/0/3/0")
    with open_trajectories(path) as ds:
        for use in (ds["probs"].compute, ds["probs"][2, 6].compute, ds.predspace.distances):
            with pytest.raises(DamagedError) as caught:
                use()
            assert str(caught.value) == (
                f"{path} is damaged: 'probs' of samples 6 to 7 cannot be read: it does not fit its checksum"
            )


def test_a_page_says_what_is_damaged() -> None:
    class Session:
        def answer(self, *_: Any) -> None:
            raise DamagedError(["'probs' of samples 6 to 7 is missing"], "mine.zarr")

    session: Any = Session()
    state: Any = None
    assert answer_to({"kind": "view"}, session, state)[0] == {
        "error": "mine.zarr is damaged: 'probs' of samples 6 to 7 is missing"
    }


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(pick=st.data())
def test_any_part_is_the_same_part(kind: str, files: dict[str, Path], pick: st.DataObject) -> None:
    with open_trajectories(files[kind]) as ds:
        whole = ds["probs"].values
        of = [st.integers(0, n - 1) | st.lists(st.integers(0, n - 1), min_size=1) | st.slices(n) for n in whole.shape]
        keys = [pick.draw(one) for one in of]
        found = ds["probs"].isel(dict(zip(ds["probs"].dims, keys, strict=True))).values
    for axis, key in reversed([*enumerate(keys)]):
        whole = whole[(slice(None),) * axis + (key,)]
    np.testing.assert_array_equal(found, whole)


# -- every chunk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".zarr", "grown.zarr"])
def test_every_chunk_has_a_checksum_and_is_there(kind: str, files: dict[str, Path], tmp_path: Path) -> None:
    path = copied(files[kind], tmp_path)
    if kind == "grown.zarr":
        later = small().isel(checkpoint=[5]).assign_coords(epoch=("checkpoint", [99.0]), step=("checkpoint", [99]))
        append_checkpoints(later.assign(late=("checkpoint", [np.nan])), path)
        assert "late" in read(path)
    group = zarr.open_group(path, mode="r", use_consolidated=False)
    for name, array in group.arrays():
        assert [type(codec).__name__ for codec in array.metadata.codecs][-1] == "Crc32cCodec", name
        assert array.nchunks_initialized == array.nchunks, name


def test_tiles_have_checksums(tmp_path: Path) -> None:
    save_distances(small(), tmp_path / "d.zarr", show_progress=False)
    for name, array in zarr.open_group(tmp_path / "d.zarr", mode="r").arrays():
        assert [type(codec).__name__ for codec in array.metadata.codecs][-1] == "Crc32cCodec", name
    flip(tmp_path / "d.zarr" / "distance" / "c" / "0" / "0")
    with pytest.raises(ValueError, match="checksum"):
        xr.open_zarr(tmp_path / "d.zarr", consolidated=False)["distance"].compute()


def test_a_dataset_of_an_earlier_version_is_read_and_can_grow(tmp_path: Path) -> None:
    assert "there are no checksums" in verify_trajectories(demo_path(), show_progress=False)
    path, first, second = tmp_path / "old.zarr", small().isel(checkpoint=[0]), small().isel(checkpoint=[1])
    append_checkpoints(first, path)
    root = json.loads((path / "zarr.json").read_text())
    del root["attributes"]["checksums"], root["attributes"]["checksum_of_checksums"]
    del root["consolidated_metadata"]["metadata"]["checksums_of_probs"]
    shutil.rmtree(path / "checksums_of_probs")
    (path / "zarr.json").write_text(json.dumps(root))
    append_checkpoints(second, path)
    assert read(path).sizes["checkpoint"] == 2
    assert "there are no checksums" in verify_trajectories(path, show_progress=False)


def test_checksums_are_nothing_that_a_reader_sees(files: dict[str, Path]) -> None:
    for path in files.values():
        ds = read(path)
        assert not [name for name in [*ds.variables, *ds.attrs, *ds.dims] if "checksum" in str(name)]
