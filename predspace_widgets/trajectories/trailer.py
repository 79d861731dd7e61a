"""Checksums at the end of a NetCDF file: those of the dataset, and one of all that lies between the chunks.

That is the header, names, attributes and texts. HDF5 trusts most of these bytes, and one wrong bit can send it
anywhere, so they are checked before it opens the file. The end of the file is behind what HDF5 knows of: no other
program minds it. What lies in chunks is checked when it is read.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py

from predspace_widgets.trajectories.limits import MAX_BYTES, check_large

_END = struct.Struct("<QI8s")  # bytes of the text before it, their checksum, and what this is
_NAME = b"predspac"
_PIECE = 2**20


def add_trailer(path: Path, content: Mapping[str, Any]) -> None:
    """Add it to a file that is written and closed, with content of any kind that JSON can hold."""
    with h5py.File(path, "r") as variables:
        chunks = sorted(place for variable in variables.values() if variable.chunks for place in _places(variable))
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        known = {**content, "size": size, "chunks": chunks, "checksum": _checksum(file, size, chunks)}
        text = json.dumps(known, separators=(",", ":")).encode()
        file.seek(size)
        file.write(text + _END.pack(len(text), zlib.crc32(text), _NAME))


def read_trailer(path: str, max_bytes: int = MAX_BYTES) -> dict[str, Any] | None:
    """What a file has at its end, which fits the file; None if it has nothing there.

    Raises
    ------
    ValueError
        The file is damaged.
    """
    with open(path, "rb") as file:
        whole = file.seek(0, os.SEEK_END)
        if whole < _END.size:
            return None
        file.seek(whole - _END.size)
        length, checksum, name = _END.unpack(file.read(_END.size))
        if name != _NAME:
            return None
        check_large("what it holds at its end", length, max_bytes // 4)  # JSON takes some times its size
        file.seek(max(0, whole - _END.size - length))
        text = file.read(length)
        if zlib.crc32(text) != checksum:
            raise ValueError("the checksums at its end are damaged")
        content: dict[str, Any] = json.loads(text)
        size = content["size"]
        if size + length + _END.size != whole or _checksum(file, size, content["chunks"]) != content["checksum"]:
            raise ValueError("its header, names, attributes or texts are damaged, and the rest is not read")
    return content


def _places(variable: h5py.Dataset) -> list[tuple[int, int]]:
    """Where the chunks of a variable lie, and how long they are."""
    places: list[tuple[int, int]] = []
    variable.id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
    return places


def _checksum(file: BinaryIO, size: int, chunks: Sequence[Sequence[int]]) -> int:
    """Of what lies between the chunks."""
    checksum = start = 0
    for place, n_bytes in [*chunks, (size, 0)]:
        file.seek(start)
        for k in range(start, place, _PIECE):
            checksum = zlib.crc32(file.read(min(_PIECE, place - k)), checksum)
        start = max(start, place + n_bytes)
    return checksum
