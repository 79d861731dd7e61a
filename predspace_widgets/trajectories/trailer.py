"""A checksum at the end of a NetCDF file, of all that lies between the chunks: header, names, attributes, texts.

HDF5 trusts most of these bytes, and one wrong bit can send it anywhere. They are checked before it opens the file. The
end of the file is behind what HDF5 knows of, and no other program minds it. What lies in chunks is checked when it is
read.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import h5py

from predspace_widgets.trajectories.limits import MAX_BYTES, check_large

_END = struct.Struct("<QI8s")  # bytes of the text before it, their checksum, and what this is
_NAME = b"predspac"
_PIECE = 2**20


def add_trailer(path: Path) -> None:
    """Add it to a file that is written and closed."""
    with h5py.File(path, "r") as file:
        chunks = sorted(place for variable in file.values() if variable.chunks for place in _places(variable))
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        content = {"size": size, "chunks": chunks, "checksum": _checksum(file, size, chunks)}
        text = json.dumps(content, separators=(",", ":")).encode()
        file.seek(size)
        file.write(text + _END.pack(len(text), zlib.crc32(text), _NAME))


def check_trailer(path: str, max_bytes: int = MAX_BYTES) -> bool:
    """Whether a file has it.

    Raises
    ------
    ValueError
        It does not fit the file.
    """
    with open(path, "rb") as file:
        whole = file.seek(0, os.SEEK_END)
        if whole < _END.size:
            return False
        file.seek(whole - _END.size)
        length, checksum, name = _END.unpack(file.read(_END.size))
        if name != _NAME:
            return False
        check_large("the list at its end", length, max_bytes)
        file.seek(max(0, whole - _END.size - length))
        text = file.read(length)
        if zlib.crc32(text) != checksum:
            raise ValueError("the list of chunks at its end is damaged")
        content = json.loads(text)
        size, chunks = content["size"], [(int(start), int(n)) for start, n in content["chunks"]]
        if size + length + _END.size != whole or _checksum(file, size, chunks) != content["checksum"]:
            raise ValueError("its header, names, attributes or texts are damaged")
    return True


def _places(variable: h5py.Dataset) -> list[tuple[int, int]]:
    """Where the chunks of a variable lie, and how long they are."""
    places: list[tuple[int, int]] = []
    variable.id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
    return places


def _checksum(file: BinaryIO, size: int, chunks: list[tuple[int, int]]) -> int:
    """Of what lies between the chunks."""
    checksum = start = 0
    for place, n_bytes in [*chunks, (size, 0)]:
        file.seek(start)
        for k in range(start, place, _PIECE):
            checksum = zlib.crc32(file.read(min(_PIECE, place - k)), checksum)
        start = max(start, place + n_bytes)
    return checksum
