"""Kept results: what was measured on a large dataset, in a folder on disk beside it, valid while its predictions are.

`Measurements` keeps results of predictions larger than 256 MB here, and looks here before it computes. Results of
smaller ones are held in memory alone (`analysis.cache`); what is kept of each class is in `by_class`. Beside DATA lies
a folder DATA.results. In it is a folder whose name is the digest of the stored bytes of the predictions and of what
else the results depend on (labels, runs). Other predictions give another name, so results of predictions that were
replaced are never used. Deleting DATA.results loses only time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import stat
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.limits import check_file
from predspace_widgets.trajectories.replacing import clear_partial
from predspace_widgets.trajectories.source import Source, digest_of, is_local

SUFFIX = ".results"
_DIGESTS = "content.json"
_FOLDER_NAME = re.compile("[0-9a-f]{20}")
# To be raised when the code gives other results for the same predictions: the name of the folder changes with it.
_VERSION = 4
_log = logging.getLogger(__name__)


class Results:
    """Arrays kept beside a dataset, in parts that are written one by one, by any process.

    A part is one file with a checksum, written whole or not at all. One that is damaged, or in the place of another,
    counts as missing.

    Parameters
    ----------
    source : Source
    depends_on : list of arrays
        What the results depend on beside the predictions: labels, runs.

    Raises
    ------
    StoreChangedError
    OSError
        Nothing can be written there.
    """

    def __init__(self, source: Source, depends_on: Sequence[Array]) -> None:
        self.source = source
        folder = source.url.rstrip("/") + SUFFIX
        digest = hashlib.blake2b(_content(source, folder).encode(), digest_size=10)
        digest.update(repr((_VERSION, [values.tolist() for values in depends_on])).encode())
        self.url = f"{folder}/{digest.hexdigest()}"
        _forget_others(self.url)
        if is_local(self.url):
            clear_partial(fsspec.url_to_fs(self.url)[1], older_than=3600)

    def part(self, name: str, number: int = 0) -> Array | None:
        """A part of an array, or None if it is missing or damaged."""
        if not self.has(name, number):
            return None
        try:
            read: Array = np.asarray(zarr.open_array(f"{self.url}/{name}", mode="r")[number])
            values, seal = read[:-1], read[-1]
            if seal != _seal(name, number, values):  # NaN, the fill value, where nothing was written
                raise OSError("it is not whole, or belongs to another place")
        except Exception as error:  # the libraries that read a damaged file may raise any error
            _log.warning("%s cannot be read and is computed again: %s", f"{self.url}/{name}", error)
            return None
        return values

    def has(self, name: str, number: int = 0) -> bool:
        """Whether a part was written."""
        return all(_is_file_of(self.url, f"{name}/{file}") for file in ("zarr.json", f"c/{number}/0"))

    def begin(self, name: str, n_parts: int, size: int, dtype: str = "float64") -> None:
        """Make an array (n_parts, size) ready to be written.

        Raises
        ------
        OSError
            The disk has too little room for it, or it cannot be written.
        """
        there: Any = None
        with suppress(Exception):  # no array, or a damaged one, which may raise any error
            if _is_file_of(self.url, f"{name}/zarr.json"):
                there = zarr.open_array(f"{self.url}/{name}", mode="r").shape
        if there == (n_parts, size + 1):
            return
        check_room(
            self.url,
            np.dtype(dtype).itemsize * n_parts * size,
            "keep=False computes distances without keeping anything",
        )
        zarr.create_array(
            f"{self.url}/{name}",
            shape=(n_parts, size + 1),
            chunks=(1, size + 1),
            dtype=dtype,
            fill_value=np.nan,
            compressors=[BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"), Crc32cCodec()],
            overwrite=True,
        )

    def write(self, name: str, values: Array, number: int = 0, n_parts: int = 1) -> None:
        """Write a part, if the dataset is still the one that it was computed from.

        Raises
        ------
        StoreChangedError
        OSError
        """
        self.source.check_unchanged()
        # Again: a process that opened the dataset with other labels deletes this folder (`_forget_others`).
        self.begin(name, n_parts, len(values))
        self.put(name, values, number)

    def put(self, name: str, values: Array | NDArray[np.float32], number: int = 0) -> None:
        """Write a part of an array that was begun, for a caller who looks after the dataset and the folder.

        Raises
        ------
        OSError
        """
        try:
            array: Any = zarr.open_array(f"{self.url}/{name}", mode="r+")
        except FileNotFoundError as error:
            raise OSError(f"{self.url}/{name} was deleted") from error
        part = np.empty(len(values) + 1, array.dtype)
        part[:-1] = values
        part[-1] = _seal(name, number, part[:-1])
        array[number] = part


def _is_file_of(url: str, name: str) -> bool:
    """Whether a file is in a folder: itself, and no pipe, device or link out of it, which may never end."""
    files, root = fsspec.url_to_fs(url)
    if not is_local(url):
        return bool(files.exists(f"{root}/{name}"))
    try:
        return stat.S_ISREG(check_file(f"{root}/{name}", os.path.realpath(root)).st_mode)
    except OSError:
        return False


def _seal(name: str, number: int, values: NDArray[Any]) -> int:
    """What the last number of a part is: it goes with the values and their place, and float32 holds it exactly."""
    return zlib.crc32(np.ascontiguousarray(values).data, zlib.crc32(f"{name} {number}".encode())) & 0xFFFFFF


def check_room(url: str, n_bytes: int, otherwise: str) -> None:
    """Raise OSError if a local disk has no room for so many bytes; `otherwise` says what else can be done."""
    if not is_local(url):
        return  # object storage does not tell how much room it has
    _, root = fsspec.url_to_fs(url)
    there = Path(root)
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < n_bytes:
        raise OSError(
            f"{root} needs {n_bytes / 1e9:.2f} GB of disk and {free / 1e9:.2f} GB are free: make room, or {otherwise}"
        )


def _forget_others(url: str) -> None:
    """Delete what was kept of other predictions, or with other labels, at the same path."""
    files, root = fsspec.url_to_fs(url)
    folder, name = os.path.split(root)
    if files.exists(folder):
        for other in files.ls(folder, detail=False):
            other_name = os.path.basename(str(other).rstrip("/"))
            if other_name != name and _FOLDER_NAME.fullmatch(other_name):  # only folders that `Results` made
                files.rm(other, recursive=True)


def _content(source: Source, folder: str) -> str:
    """Digest of the stored bytes of the predictions, noted in a file: while their signature stays it is read there."""
    files, root = fsspec.url_to_fs(folder)
    noted = f"{root}/{_DIGESTS}"
    if _is_file_of(folder, _DIGESTS):
        with suppress(ValueError, KeyError, TypeError), files.open(noted, "rt") as file:  # a damaged note is ignored
            remembered = json.load(file)
            if remembered["signature"] == source.signature:
                return str(remembered["digest"])
    digest = digest_of(source)
    source.check_unchanged()
    files.makedirs(root, exist_ok=True)
    with files.transaction, files.open(noted, "wt") as file:  # whole or not at all
        json.dump({"signature": source.signature, "digest": digest}, file)
    return digest
