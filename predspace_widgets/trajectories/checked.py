"""Arrays on disk, read lazily and checked: what cannot be read, or is not what was written, is named with its place."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize
from numpy.typing import NDArray

from predspace_widgets.trajectories.checksums import DOES_NOT_FIT, MISSING, DamagedError, number_of_chunks, of_chunk

_LONGEST_REASON = 1000  # characters


class CheckedArray:
    """A variable on disk, for `dask.array.from_array`: indexing reads whole chunks and checks them.

    Parameters
    ----------
    variable : xarray.Variable
        Lazy, as xarray opened it.
    name : str
    shape_of_chunks : tuple of int
    checksums : array of uint32, optional
        One a chunk. Those of a dataset of an earlier version have none, and can only fail to be read.
    where : str
        Path of the dataset.
    """

    def __init__(
        self,
        variable: xr.Variable,
        name: str,
        shape_of_chunks: Sequence[int],
        checksums: NDArray[np.uint32] | None,
        where: str,
    ) -> None:
        self.variable, self.name, self.where = variable, name, where
        self.shape_of_chunks, self.checksums = tuple(shape_of_chunks), checksums
        self.shape, self.dtype, self.ndim = variable.shape, variable.dtype, variable.ndim

    def __getitem__(self, index: Any) -> NDArray[Any]:
        keys = index if isinstance(index, tuple) else (index,)
        keys += (slice(None),) * (self.ndim - len(keys))
        # Without checksums there is nothing that needs a whole chunk.
        sizes = (1,) * self.ndim if self.checksums is None else self.shape_of_chunks
        parts = [_Part.of(key, size, whole) for key, size, whole in zip(keys, sizes, self.shape, strict=True)]
        values, problems = self._read(parts)
        if problems:
            raise DamagedError(problems, self.where)
        for axis, part in enumerate(parts):
            values = values[(slice(None),) * axis + (part.within,)]
        scalars = tuple(axis for axis, key in enumerate(keys) if isinstance(key, int | np.integer))
        return values.squeeze(scalars) if scalars else values

    def lazy(self, chunks: Mapping[Hashable, int], token: str) -> da.Array:
        """A dask array in blocks of these sizes, which are whole chunks; its name follows from the token."""
        sizes = tuple(chunks[dim] for dim in self.variable.dims)
        name = f"stored-{self.name}-{tokenize(token, sizes)}"
        return da.from_array(self, sizes, name=name, meta=np.empty((0,) * self.ndim, self.dtype))

    def read(self) -> tuple[NDArray[Any], list[str]]:
        """The whole array, and what is wrong with it, a sentence each."""
        try:
            return self.variable.values, []
        except MemoryError:
            raise
        except Exception as error:  # the libraries that read a damaged file may raise any error
            problems = [problem for chunk in self.chunks() for problem in self.problems_of(chunk)]
            return np.empty(0), problems or [f"{self.name!r} cannot be read: {reason_of(error)}"]

    def chunks(self) -> list[tuple[int, ...]]:
        """The number of each chunk, along each dimension."""
        return [*np.ndindex(number_of_chunks(self.shape, self.shape_of_chunks))]

    def problems_of(self, chunk: Sequence[int]) -> list[str]:
        """What is wrong with a chunk, in a sentence."""
        return self._read(self._parts(chunk))[1]

    def missing(self, keys: Collection[str]) -> Iterator[str]:
        """Which chunks are not among those that are there in a Zarr store, a sentence each."""
        for chunk in self.chunks():
            if f"{self.name}/c/{'/'.join(map(str, chunk))}" not in keys:
                yield self._sentence(self._parts(chunk), f"cannot be read: {MISSING}")

    def _read(self, parts: Sequence[_Part]) -> tuple[NDArray[Any], list[str]]:
        """Values of whole chunks, and what is wrong with them."""
        try:
            values = self.variable[tuple(part.needed for part in parts)].values
        except MemoryError:
            raise
        except Exception as error:  # the libraries that read a damaged file may raise any error
            problems: list[str] = []
            if self.checksums is not None and any(len(part.chunks) > 1 for part in parts):
                chunks = itertools.product(*(part.chunks for part in parts))
                problems = [problem for chunk in chunks for problem in self.problems_of(chunk)]
            return np.empty(0), problems or [self._sentence(parts, f"cannot be read: {reason_of(error)}")]
        return values, [] if self.checksums is None else [*self._wrong(values, parts, self.checksums)]

    def _wrong(self, values: NDArray[Any], parts: Sequence[_Part], checksums: NDArray[np.uint32]) -> Iterator[str]:
        for place in np.ndindex(*(len(part.chunks) for part in parts)):
            chunk = tuple(part.chunks[k] for part, k in zip(parts, place, strict=True))
            # All chunks are whole, but for the last one of the array, which is the last one here too.
            within = tuple(slice(k * n, (k + 1) * n) for k, n in zip(place, self.shape_of_chunks, strict=True))
            if of_chunk(values[within]) != checksums[chunk]:
                yield self._sentence(self._parts(chunk), DOES_NOT_FIT)

    def _parts(self, chunk: Sequence[int]) -> list[_Part]:
        """A single chunk."""
        sizes = zip(chunk, self.shape_of_chunks, self.shape, strict=True)
        return [_Part(slice(k * n, min((k + 1) * n, whole)), [k], slice(None)) for k, n, whole in sizes]

    def _sentence(self, parts: Sequence[_Part], what: str) -> str:
        return f"{self.name!r}{self._place(parts)} {what}"

    def _place(self, parts: Sequence[_Part]) -> str:
        """In words, without the dimensions that are there as a whole."""
        named = []
        for dim, whole, part in zip(self.variable.dims, self.shape, parts, strict=True):
            rows = np.arange(whole)[part.needed]
            if rows.size < whole:
                named.append(f"{dim} {rows[0]}" if rows.size == 1 else f"{dim}s {rows[0]} to {rows[-1]}")
        return f" of {', '.join(named)}" if named else ""


class _Part(NamedTuple):
    """What is read along one dimension."""

    needed: slice | NDArray[np.intp]  # of all chunks that are needed
    chunks: list[int]
    within: slice | NDArray[np.intp]  # what is wanted of what is read

    @classmethod
    def of(cls, key: Any, size: int, whole: int) -> _Part:
        """What `key` needs of a dimension that is stored in chunks of a size."""
        wanted = np.atleast_1d(np.arange(whole)[key])
        chunks = np.unique(wanted // size)
        if not chunks.size:
            return cls(slice(0, 0), [], slice(None))
        if chunks[-1] - chunks[0] == len(chunks) - 1:  # side by side
            index: slice | NDArray[np.intp] = slice(int(chunks[0]) * size, min((int(chunks[-1]) + 1) * size, whole))
            within = wanted - int(chunks[0]) * size
        else:
            index = np.concatenate([np.arange(k * size, min((k + 1) * size, whole)) for k in chunks])
            within = np.searchsorted(index, wanted)
        if (np.diff(within) == 1).all():
            return cls(index, chunks.tolist(), slice(int(within[0]), int(within[-1]) + 1))
        return cls(index, chunks.tolist(), within)


def unreadable_reason(name: str, array: Any) -> str | None:
    """What is wrong with an array of Zarr or h5py that cannot be read."""
    try:
        array[...]
    except Exception as error:  # the libraries that read a damaged file may raise any error
        return f"{name!r} cannot be read: {reason_of(error)}"
    return None


def reason_of(error: Exception) -> str:
    """The first line of what an error says, which may quote what is in the file."""
    lines = str(error).strip().splitlines()
    if lines and lines[0].startswith("Stored and computed checksum do not match"):  # Zarr's CRC32C
        return f"it {DOES_NOT_FIT}"
    return lines[0][:_LONGEST_REASON] if lines else type(error).__name__
