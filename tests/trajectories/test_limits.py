"""Files that ask for more than they may need: refused in a line, before anything of that size is made."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numcodecs
import numpy as np
import pytest

from predspace_widgets.trajectories import TrajectoriesError, open_trajectories, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories

GIGABYTE = 2**30
COLUMNS = ("run", "task", "method", "seed", "epoch", "step", "accuracy")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small dataset of each kind, to read only."""
    folder = tmp_path_factory.mktemp("sound")
    for kind in (".zarr", ".zarr.zip", ".nc"):
        save_trajectories(random_trajectories(n_checkpoints=3, n_samples=8), folder / f"sound{kind}")
    return folder


def declare(name: str, shape: Any = None, chunks: Any = None) -> Callable[[Path], None]:
    """Other sizes in the metadata of an array."""

    def act(path: Path) -> None:
        file = path / name / "zarr.json"
        array = json.loads(file.read_text())
        array["shape"] = shape or array["shape"]
        array["chunk_grid"]["configuration"]["chunk_shape"] = (
            chunks or array["chunk_grid"]["configuration"]["chunk_shape"]
        )
        file.write_text(json.dumps(array))

    return act


def columns(**sizes: Any) -> Callable[[Path], None]:
    return lambda path: [declare(name, **sizes)(path) for name in COLUMNS] and None


def write(name: str, content: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda path: (path / name).write_bytes(content()) and None


def without_checksums(*acts: Callable[[Path], None]) -> Callable[[Path], None]:
    """As of another program: a checksum of the chunk would find out first."""

    def act(path: Path) -> None:
        for file in path.glob("*/zarr.json"):
            array = json.loads(file.read_text())
            array["codecs"] = [codec for codec in array["codecs"] if codec["name"] != "crc32c"]
            file.write_text(json.dumps(array))
        for one in acts:
            one(path)

    return act


def sparse(name: str) -> Callable[[Path], None]:
    return lambda path: os.truncate(path / name, 2 * GIGABYTE)


DIRECTORIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "petabytes": (declare("probs", shape=[10**6, 10**6, 1000]), "the list of the blocks of 'probs'"),
    "long columns": (columns(shape=[10**12]), "what is read on opening"),
    "many chunks": (columns(shape=[10**7], chunks=[1]), "what is read on opening, in so many chunks"),
    "a chunk of 100 GB": (declare("probs", chunks=[10**5, 10**5, 5]), "a chunk of 'probs'"),
    "a Blosc bomb": (
        write("probs/c/0/0/0", lambda: numcodecs.Blosc().encode(np.zeros(GIGABYTE, np.uint8))),
        "'probs' cannot be read: probs/c/0/0/0 has 4.4 MB",
    ),
    "a Zstandard bomb": (
        write("seed/c/0", lambda: numcodecs.Zstd().encode(np.zeros(GIGABYTE, np.uint8))),
        "'seed' cannot be read: seed/c/0, unpacked, has 1,073.7 MB",
    ),
    "a bomb of text": (
        write("run/c/0", lambda: numcodecs.Zstd().encode(np.zeros(GIGABYTE, np.uint8))),
        "'run' cannot be read: run/c/0, unpacked, has 1,073.7 MB",
    ),
    "two billion texts": (
        without_checksums(write("run/c/0", lambda: numcodecs.Zstd().encode(struct.pack("<I", 2**31) + bytes(99)))),
        "'run' cannot be read: it holds another number of texts than it should",
    ),
    "a large chunk": (sparse("seed/c/0"), "'seed' cannot be read: seed/c/0 has 2,147.5 MB"),
    "large attributes": (sparse("zarr.json"), "zarr.json has 2,147.5 MB"),
    "deep attributes": (write("zarr.json", lambda: b"[" * 100_000), "zarr.json is damaged"),
}


def netcdf(path: Path, sizes: dict[str, int], chunks: tuple[int, ...]) -> None:
    with h5netcdf.File(path, "w") as file:
        file.dimensions = sizes
        for name in COLUMNS:
            file.create_variable(name, ("checkpoint",), "i8", chunks=(1000,))
        file.create_variable("probs", ("checkpoint", "sample", "class"), "f4", chunks=chunks)


def external(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("label", shape=(10,), dtype="u1", external=[("/etc/hostname", 0, 10)])


def linked(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["label"] = h5py.ExternalLink("sound.nc", "label")


def many_attributes(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["title"] = np.zeros(2**28, np.uint8)


def zipped(name: str, content: bytes, says: int | None = None) -> Callable[[Path], None]:
    """A zip one entry of which unpacks to a lot, and may say that it does not."""

    def act(path: Path) -> None:
        with zipfile.ZipFile(path.with_name("sound.zarr.zip")) as before, zipfile.ZipFile(path, "w") as after:
            for entry in before.namelist():
                large = entry == name
                kind = zipfile.ZIP_DEFLATED if large else zipfile.ZIP_STORED
                after.writestr(entry, content if large else before.read(entry), compress_type=kind)
        if says is not None:
            size, lie = (struct.pack("<I", n) for n in (len(content), says))
            path.write_bytes(path.read_bytes().replace(size, lie))

    return act


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe.nc": (os.mkfifo, "pipe.nc is no file but a device, a pipe or a socket"),
    "pipe.zarr.zip": (os.mkfifo, "pipe.zarr.zip is no file but"),
    "pipe.zarr": (os.mkfifo, "pipe.zarr is no file but"),
    "endless.nc": (lambda path: path.symlink_to("/dev/zero"), "endless.nc is no file but"),
    "endless.zarr.zip": (lambda path: path.symlink_to("/dev/zero"), "endless.zarr.zip is no file but"),
    "bomb.zarr.zip": (zipped("probs/c/0/0/0", bytes(GIGABYTE // 4)), "'probs' cannot be read: probs/c/0/0/0 has"),
    "root.zarr.zip": (zipped("zarr.json", b"[" * (GIGABYTE // 4)), "zarr.json has 268.4 MB"),
    "liar.zarr.zip": (zipped("probs/c/0/0/0", bytes(GIGABYTE // 4 + 0x0ABCDEF), 200), "'probs' cannot be read: Bad"),
    "long.nc": (lambda path: netcdf(path, {"checkpoint": 10**12, "sample": 3, "class": 3}, (1, 3, 3)), "on opening"),
    "chunk.nc": (
        lambda path: netcdf(path, {"checkpoint": 1000, "sample": 1000, "class": 1000}, (900, 900, 900)),
        "a chunk of 'probs' has 2,916.0 MB",
    ),
    "attributes.nc": (many_attributes, "all besides its numbers"),
    "external.nc": (external, "'label' lies in another file"),
    "linked.nc": (linked, "'label' is a link"),
}


def test_what_is_too_large_is_refused_in_little_memory(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    expected = {}
    for number, (act, says) in enumerate(DIRECTORIES.values()):
        path = Path(shutil.copytree(tmp_path / "sound.zarr", tmp_path / f"{number}.zarr"))
        act(path)
        expected[str(path)] = says
    for name, (act, says) in FILES.items():
        act(tmp_path / name)
        expected[str(tmp_path / name)] = says
    program = """
import json, resource, sys
from predspace_widgets.trajectories import open_trajectories
said = {}
for path in sys.argv[1:]:
    try:
        open_trajectories(path).compute()
        said[path] = "nothing"
    except (ValueError, OSError) as error:
        said[path] = str(error)
print(json.dumps([said, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""
    # A process of its own that another one starts: a child counts the memory of its parent as its own.
    shell = ["/bin/sh", "-c", '"$@" & wait $!', "sh", sys.executable, "-c", program, *expected]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=300, check=True)
    said, kilobytes = json.loads(done.stdout)
    for path, says in expected.items():
        assert says in said[path], path
    assert kilobytes < 300_000


def test_an_option_allows_more(sound: Path) -> None:
    for kind in (".zarr", ".zarr.zip", ".nc"):
        with pytest.raises(TrajectoriesError, match="allow more with max_bytes"):
            open_trajectories(sound / f"sound{kind}", max_bytes=100)
        open_trajectories(sound / f"sound{kind}", max_bytes=10**6)
