"""What a file may need, checked before it is given: a file from a stranger can ask for more than a machine has.

Small variables (coordinates, labels, metrics) are in memory once a dataset is open, predictions and images are read a
block at a time. So what is limited is how much the small ones may need together, and how much one chunk of the others;
not how large a dataset is. Sizes are those that a file declares; what a chunk unpacks to is compared with these.
"""

from __future__ import annotations

import json
import math
import os
import stat
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import h5py
import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, VLenUTF8Codec, ZstdCodec
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from predspace_widgets.trajectories.checked import reason_of
from predspace_widgets.trajectories.checksums import MISSING, are_in_chunks

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

#: Bytes that the variables which are read on opening may need together, and a chunk of any other.
MAX_BYTES = 2**30
# A list of arrays, or the attributes of all of them, may have this share of it.
_SHARE_OF_METADATA = 64
_SHARE_OF_TEXT = 16  # in NetCDF, which may take four times the memory
# Dask needs a kilobyte for each block. Reading a chunk takes a tenth of a millisecond, however small it is.
_BYTES_OF_A_BLOCK = 2**12
_BYTES_OF_A_CHUNK = 2**14
_BYTES_OF_A_TEXT = 2**10  # what the texts of a variable may have on average
_ROOM = 2**16  # what a chunk may have beside its content
_COMPRESSORS = (BloscCodec, GzipCodec, ZstdCodec)
_CODECS = (BytesCodec, VLenUTF8Codec, TransposeCodec, Crc32cCodec, *_COMPRESSORS)


class TooLargeError(ValueError):
    """A file, or what is in it, is larger than is allowed."""

    def __init__(self, what: str, n_bytes: float, allowed: float) -> None:
        super().__init__(
            f"{what} has {_megabytes(n_bytes)}, {_megabytes(allowed)} are allowed: if you trust the file, allow more "
            "with max_bytes (--max-size)"
        )


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"


def check_file(path: str, root: str | None = None) -> os.stat_result:
    """Raise OSError for what is no file or directory, and for a link to what lies outside of `root`."""
    found, name = os.stat(path), os.path.relpath(path, root) if root is not None else path
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(f"{name} is no file but a device, a pipe or a socket")
    if root is not None and not f"{os.path.realpath(path)}/".startswith(f"{root}/"):
        raise OSError(f"{name} is a link to what lies outside of the dataset")
    return found


def check_files(directory: str) -> None:
    """Raise OSError unless all that lies in a directory are files and directories of its own, as `check_file` does."""
    check_file(directory)
    root = os.path.realpath(directory)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            with suppress(FileNotFoundError):  # another process may be writing
                check_file(os.path.join(folder, name), root)


class GuardedStore(WrapperStore[Store]):
    """A Zarr store that gives nothing larger than it may be, nothing that is no file, and nothing from elsewhere.

    Parameters
    ----------
    store : zarr.abc.store.Store
    max_bytes : int

    Attributes
    ----------
    is_complete : bool
        Whether all chunks must be there: without it, Zarr fills in those that are missing.
    damaged : dict of str to str
        Arrays whose metadata were read and are damaged, and how: they are left out, so that the others can be read.
    """

    def __init__(self, store: Store, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(store)
        self.max_bytes, self.is_complete = max_bytes, False
        self._root = os.path.realpath(store.root) if isinstance(store, LocalStore) else None
        self.damaged: dict[str, str] = {}
        self._chunks: dict[str, _Chunk] = {}

    @classmethod
    def at(cls, path: str, kind: str, max_bytes: int) -> Self:
        """The store at a path or an address."""
        if "://" in path:
            return cls(FsspecStore.from_url(path, read_only=True), max_bytes)
        check_file(path)
        return cls(ZipStore(path, mode="r") if kind == ".zarr.zip" else LocalStore(path, read_only=True), max_bytes)

    def expect(self, group: zarr.Group) -> None:
        """Check what the arrays of a group declare, and let chunks be no larger than this.

        Raises
        ------
        ValueError
            They may need more memory than is allowed (TooLargeError), or are stored in a way that is not read here.
        """
        small = Small(self.max_bytes)
        for name, array in group.arrays():
            dims = getattr(array.metadata, "dimension_names", None) or ()
            is_text = np.dtype(array.dtype).kind in "OT"
            chunk = _Chunk(array.chunks, 16 if is_text else array.dtype.itemsize, is_text, _compressors(name, array))
            check_large(f"a chunk of {name!r}", chunk.n_bytes, self.max_bytes)
            n_chunks = math.prod(-(-n // k) for n, k in zip(array.shape, array.chunks, strict=True))
            if are_in_chunks(dims, array.dtype):
                check_blocks(name, n_chunks if name == "image" else array.nbytes / 2**26, self.max_bytes)
            else:
                small.add(math.prod(array.shape) * chunk.item_size, n_chunks)
            self._chunks[name] = chunk

    def keys(self, name: str) -> set[str] | None:
        """Of the chunks of an array that are there; None where to list them costs time."""
        if isinstance(self._store, ZipStore):
            return {*self._store._zf.namelist()}
        if self._root is None:
            return None
        below = os.walk(os.path.join(self._root, name))
        return {os.path.relpath(os.path.join(folder, file), self._root) for folder, _, files in below for file in files}

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """What lies at a key; see `WrapperStore`."""
        is_metadata = key.rpartition("/")[2] == "zarr.json"
        chunk = None if is_metadata else self._chunks.get(key.partition("/")[0])
        allowed = self.max_bytes // _SHARE_OF_METADATA if chunk is None else min(self.max_bytes, chunk.most_bytes)
        size = self._size(key)
        check_large(key, size or 0, allowed)
        content = await self._content(key, prototype, byte_range, size)
        if is_metadata and (problem := _problem_of_metadata(key, content)):
            if key == "zarr.json":
                raise ValueError(f"{problem}, without which nothing else can be read")
            self.damaged[key.rpartition("/")[0]] = problem
            return None
        if content is None and self.is_complete and chunk is not None:
            raise FileNotFoundError(MISSING)
        if content is not None and chunk is not None:
            check_large(f"{key}, unpacked,", chunk.unpacked(content), allowed)
            if chunk.is_text:
                await chunk.check_texts(content, prototype)
        return content

    def _size(self, key: str) -> int | None:
        """Of a local file or a part of a zip; None where there is none, or where it is not known without reading."""
        try:
            if self._root is not None:
                return check_file(os.path.join(self._root, key), self._root).st_size
            return self._store._zf.getinfo(key).file_size if isinstance(self._store, ZipStore) else None
        except (FileNotFoundError, NotADirectoryError, KeyError):
            return None

    async def _content(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None, size: int | None
    ) -> Buffer | None:
        if not isinstance(self._store, ZipStore) or byte_range is not None or size is None:
            return await super().get(key, prototype, byte_range)
        with self._store._lock, self._store._zf.open(key) as file:
            return prototype.buffer.from_bytes(file.read(size))  # no more, whatever it unpacks to


@dataclass(frozen=True)
class _Chunk:
    """What a chunk of an array holds, as its metadata declare."""

    shape: tuple[int, ...]
    item_size: int
    is_text: bool
    compressors: tuple[Any, ...]

    @property
    def n_bytes(self) -> int:
        return math.prod(self.shape) * self.item_size

    @property
    def most_bytes(self) -> int:
        """Of the chunk as it is stored; what cannot be compressed becomes a little larger."""
        n_bytes = math.prod(self.shape) * _BYTES_OF_A_TEXT if self.is_text else self.n_bytes
        return n_bytes + n_bytes // 8 + _ROOM

    def unpacked(self, content: Buffer) -> int:
        """How large it becomes, as its first bytes say."""
        head = content[:18].to_bytes().ljust(18, b"\0")
        for codec in self.compressors:
            if isinstance(codec, BloscCodec):
                return int(struct.unpack_from("<I", head, 4)[0])
            if isinstance(codec, ZstdCodec):
                return _unpacked_by_zstd(head)
            if isinstance(codec, GzipCodec):  # whose first bytes do not say it
                return len(zlib.decompressobj(wbits=31).decompress(content.to_bytes(), self.most_bytes + 1))
        return len(content)

    async def check_texts(self, content: Buffer, prototype: BufferPrototype) -> None:
        """Raise ValueError if a chunk of text says that it holds another number of texts: room for them is made."""
        for codec in reversed(self.compressors):
            (content,) = await codec.decode([(content, SimpleNamespace(prototype=prototype))])
        if content.to_bytes()[:4] != struct.pack("<I", math.prod(self.shape)):
            raise ValueError("it holds another number of texts than it should")


class Small:
    """The sum of what the small variables of a dataset need, which are read on opening.

    Parameters
    ----------
    max_bytes : int
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._n_bytes, self._n_chunks = max_bytes, 0, 0

    def add(self, n_bytes: int, n_chunks: int) -> None:
        """Raise TooLargeError if this one is too much."""
        self._n_bytes, self._n_chunks = self._n_bytes + n_bytes, self._n_chunks + n_chunks
        check_large("what is read on opening", self._n_bytes, self._max_bytes)
        check_large("what is read on opening, in so many chunks,", self._n_chunks * _BYTES_OF_A_CHUNK, self._max_bytes)


def check_large(what: str, n_bytes: float, allowed: float) -> None:
    """Raise TooLargeError for more bytes than are allowed."""
    if n_bytes > allowed:
        raise TooLargeError(what, n_bytes, allowed)


def check_blocks(name: str, n_blocks: float, max_bytes: int) -> None:
    """Raise TooLargeError for a variable of so many blocks that a list of them is too large."""
    check_large(f"the list of the blocks of {name!r}", n_blocks * _BYTES_OF_A_BLOCK, max_bytes)


def _compressors(name: str, array: zarr.Array[Any]) -> tuple[Any, ...]:
    """The codecs that act on bytes, of an array whose codecs are all known."""
    codecs = array.metadata.codecs  # type: ignore[union-attr]  # of the format 3, the only one that is opened
    for codec in codecs:
        if not isinstance(codec, _CODECS):
            raise ValueError(f"{name!r} is stored with the codec {type(codec).__name__}, which is not read here")
    compressors = tuple(codec for codec in codecs if isinstance(codec, (*_COMPRESSORS, Crc32cCodec)))
    if sum(isinstance(codec, _COMPRESSORS) for codec in compressors) > 1:
        raise ValueError(f"{name!r} is compressed more than once, which is not read here")
    return compressors


def _problem_of_metadata(key: str, content: Buffer | None) -> str | None:
    if content is None:  # others may be missing: not all that lies in a folder is an array
        return f"{key} is missing" if key == "zarr.json" else None
    try:
        found = json.loads(content.to_bytes())
    except (ValueError, RecursionError):
        return f"{key} is damaged"
    if not isinstance(found, dict) or found.get("node_type") not in ("array", "group"):
        return f"{key} is damaged"
    if found["node_type"] == "array":
        try:
            ArrayV3Metadata.from_dict(found)
        except Exception as error:  # of any kind, for values that Zarr does not expect
            return f"{key} is damaged: {reason_of(error)}"
    return None


def _unpacked_by_zstd(head: bytes) -> int:
    """What the header of a Zstandard frame says (RFC 8878, 3.1.1.1)."""
    descriptor = head[4]
    is_single, size = bool(descriptor & 0x20), descriptor >> 6
    if size == 0 and not is_single:
        raise ValueError("it does not say how large it is unpacked")
    start = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
    n_bytes = (1, 2, 4, 8)[size]
    return int.from_bytes(head[start : start + n_bytes], "little") + (256 if size == 1 else 0)


def check_netcdf(path: str, max_bytes: int) -> None:
    """Check what the variables of a NetCDF file declare, before any is read.

    Raises
    ------
    ValueError
        They may need more memory than is allowed (TooLargeError), or lie in another file.
    """
    with h5py.File(path, "r") as file:
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name!r} is a link, maybe to what lies outside of the file")
        variables = {name: variable for name, variable in file.items() if isinstance(variable, h5py.Dataset)}
        besides = os.path.getsize(path) - sum(variable.id.get_storage_size() for variable in variables.values())
        check_large("all besides its numbers, which is text and attributes,", besides, max_bytes // _SHARE_OF_TEXT)
        small = Small(max_bytes)
        for name, variable in variables.items():
            if variable.is_virtual or variable.external:
                raise ValueError(f"{name!r} lies in another file")
            _check_variable(name, variable, small, max_bytes)


def _check_variable(name: str, variable: h5py.Dataset, small: Small, max_bytes: int) -> None:
    chunks = variable.chunks or ()  # without, any part of it can be read by itself
    item_size = variable.dtype.itemsize
    if chunks:
        check_large(f"a chunk of {name!r}", math.prod(chunks) * item_size, max_bytes)
    n_chunks = math.prod(-(-n // k) for n, k in zip(variable.shape, chunks, strict=True)) if chunks else 1
    n_bytes = math.prod(variable.shape) * item_size
    # Dimensions have no names yet. Of all variables only predictions and images have as many.
    if len(variable.shape) >= 3:
        check_blocks(name, n_chunks if name == "image" else n_bytes / 2**26, max_bytes)
    elif "This is a netCDF dimension but not" not in str(variable.attrs.get("NAME")):
        small.add(n_bytes, n_chunks)
