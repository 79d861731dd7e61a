"""Checksums of a dataset on disk: of its attributes, of each variable, and of each chunk of those that are read lazily.

They are of values as they are read, not of bytes as they lie there. So they are the same for Zarr and NetCDF, and they
find what the checksums of single chunks (Zarr's CRC32C, HDF5's Fletcher32) cannot: two chunks or variables that were
swapped, a chunk that is missing and would be read as fill values, metadata that gives the bytes another meaning.

Two attributes of the dataset hold them: one is text that lists them, the other is the checksum of this text. One
without the other is damage; a dataset of an earlier version has neither. The checksums of chunks are an array beside
the others. A checksum is a CRC-32 that can be carried on, so that a dataset that grows needs only what is new.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

LISTED, OF_LIST = "checksums", "checksum_of_checksums"
_OF_CHUNKS = "checksums_of_"
DOES_NOT_FIT = "does not fit its checksum"
MISSING = "it is missing"


class DamagedError(OSError):
    """What is read from a dataset on disk is not what was written.

    Attributes
    ----------
    places : list of str
        Each variable and the place in it, one sentence each.
    """

    def __init__(self, places: Sequence[str], where: str) -> None:
        self.places, self.where = [*places], where
        more = f" (and {len(places) - 1} more: predspace info --verify names all)" if len(places) > 1 else ""
        super().__init__(f"{where} is damaged: {places[0]}{more}")

    def __reduce__(self) -> Any:  # a worker of a cluster sends it
        return type(self), (self.places, self.where)


@dataclass(frozen=True)
class Checksums:
    """The checksums of a dataset.

    Attributes
    ----------
    attributes : int
        Of the attributes of the dataset.
    variables : dict of str to int
        Of each variable: its form, then its values, or the checksums of its chunks.
    shapes : dict of str to tuple of int
        Of the chunks of the variables whose chunks have checksums.
    """

    attributes: int
    variables: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, ds: xr.Dataset, chunks: Mapping[str, Chunks]) -> Self:
        """Of a dataset as it is written, and of its chunks, whose checksums were taken while they were written."""
        checksums = cls(of_attributes(ds.attrs))
        for key, variable in ds.variables.items():
            name, values, form = str(key), None, of_form(variable, key in ds.coords)
            if name in chunks:
                checksums.shapes[name], values = chunks[name].shape, chunks[name].checksums
                form = of_values(np.array(chunks[name].shape), form)
            checksums.variables[name] = of_values(variable.values if values is None else values, form)
        return checksums

    @classmethod
    def read(cls, attrs: Mapping[Any, Any]) -> Self | None:
        """What the attributes of a dataset list; None in a dataset of an earlier version.

        Raises
        ------
        ValueError
            The list is damaged, or a part of it is missing.
        """
        if LISTED not in attrs and OF_LIST not in attrs:
            return None
        text = str(attrs.get(LISTED, ""))
        if str(attrs.get(OF_LIST)) != _hexadecimal(zlib.crc32(text.encode())):
            raise ValueError("the list of checksums among its attributes is damaged")
        content = json.loads(text)
        return cls(
            int(content["attributes"], 16),
            {name: int(value, 16) for name, value in content["variables"].items()},
            {name: tuple(shape) for name, shape in content["chunks"].items()},
        )

    def carry_on(self, name: str, values: NDArray[Any]) -> None:
        """Take in values, or checksums of chunks, that were written behind those of a variable that grows."""
        name = name.removeprefix(_OF_CHUNKS)
        if name not in self.shapes or values.dtype == np.uint32:
            self.variables[name] = of_values(values, self.variables[name])

    def as_attributes(self) -> dict[str, str]:
        """The two attributes."""
        content = {
            "attributes": _hexadecimal(self.attributes),
            "variables": {name: _hexadecimal(value) for name, value in sorted(self.variables.items())},
            "chunks": {name: list(shape) for name, shape in sorted(self.shapes.items())},
        }
        text = json.dumps(content, separators=(",", ":"))
        return {LISTED: text, OF_LIST: _hexadecimal(zlib.crc32(text.encode()))}


def split(ds: xr.Dataset) -> tuple[xr.Dataset, dict[str, NDArray[np.uint32]]]:
    """A dataset as it was read without its checksums, and the checksums of the chunks of each large variable."""
    arrays = {str(name): ds.variables[name].values for name in ds.variables if str(name).startswith(_OF_CHUNKS)}
    attrs = {name: value for name, value in ds.attrs.items() if name not in (LISTED, OF_LIST)}
    chunks = {name.removeprefix(_OF_CHUNKS): array for name, array in arrays.items()}
    return ds.drop_vars(arrays).drop_attrs(deep=False).assign_attrs(attrs), chunks


def name_of_chunks(name: str) -> str:
    """The name of the array that holds the checksums of the chunks of a variable."""
    return _OF_CHUNKS + name


def are_in_chunks(dims: Sequence[Hashable | None], dtype: Any) -> bool:
    """Whether a variable is read lazily and has a checksum for each chunk: predictions and images are so large."""
    return "sample" in dims and len(dims) > 1 and np.dtype(dtype).kind in "fiub"


class Chunks:
    """The checksums of the chunks of an array, taken while it is written.

    Parameters
    ----------
    shape : tuple of int
        Of a chunk.
    whole : tuple of int
        Of the array.
    """

    def __init__(self, shape: tuple[int, ...], whole: tuple[int, ...]) -> None:
        self.shape = shape
        self.checksums = np.zeros(number_of_chunks(whole, shape), dtype=np.uint32)

    def watch(self, lazy: da.Array) -> da.Array:
        """The same array, whose blocks are chunks, which notes the checksum of each block that is computed."""
        return da.map_blocks(self._note, lazy, dtype=lazy.dtype, meta=np.empty((0,) * lazy.ndim, lazy.dtype))

    def _note(self, block: NDArray[Any], block_info: Any = None) -> NDArray[Any]:
        self.checksums[tuple(block_info[0]["chunk-location"])] = of_chunk(block)
        return block

    def dims(self, name: str) -> tuple[str, ...]:
        """Of the array of these checksums of a variable."""
        return tuple(f"{name}_chunk_{axis}" for axis in range(self.checksums.ndim))

    def add(self, values: NDArray[Any]) -> Self:
        """Note the checksums of an array in memory."""
        for place in np.ndindex(self.checksums.shape):
            within = tuple(slice(k * size, (k + 1) * size) for k, size in zip(place, self.shape, strict=True))
            self.checksums[place] = of_chunk(values[within])
        return self


def of_values(values: Any, start: int = 0) -> int:
    """The checksum of an array, or of what a checksum `start` is of and then this array.

    Examples
    --------
    >>> of_values(np.array([1.0, 2.0])) == of_values(np.array([2.0]), of_values(np.array([1.0])))
    True
    """
    values = np.asarray(values)
    if values.dtype.kind in "OTU":
        return zlib.crc32("".join(f"{value}\0" for value in values.ravel().tolist()).encode(), start)
    if values.dtype.kind == "f":  # there are many NaN, and NetCDF gives back one of them
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
    return of_chunk(values, start)


def of_chunk(values: NDArray[Any], start: int = 0) -> int:
    """The same for a chunk of numbers, bit by bit."""
    return zlib.crc32(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).view(np.uint8).data, start)


def of_form(variable: xr.Variable | xr.DataArray, is_coordinate: bool) -> int:
    """The checksum of what a variable is, apart from its values and from how many there are."""
    kind = "text" if variable.dtype.kind in "OTU" else variable.dtype.name
    attrs = {str(name): _plain(value) for name, value in variable.attrs.items()}
    form = [[*map(str, variable.dims)], list(variable.shape[1:]), kind, is_coordinate, attrs]
    return zlib.crc32(json.dumps(form, sort_keys=True).encode())


def of_attributes(attrs: Mapping[Any, Any]) -> int:
    """The checksum of the attributes of a dataset."""
    plain = {str(name): _plain(value) for name, value in attrs.items() if name not in (LISTED, OF_LIST)}
    return zlib.crc32(json.dumps(plain, sort_keys=True).encode())


def problems_of(
    ds: xr.Dataset, checksums: Checksums, chunks: Mapping[str, NDArray[np.uint32]], unreadable: Collection[str]
) -> list[str]:
    """What of a dataset does not fit its checksums, a sentence each.

    Parameters
    ----------
    ds : xarray.Dataset
        Its small variables in memory; of the others `chunks` has the checksums.
    checksums : Checksums
    chunks : mapping of str to array of uint32
    unreadable : names
        Of variables that are not in `ds` for another reason.
    """
    problems = []
    if of_attributes(ds.attrs) != checksums.attributes:
        problems.append("the attributes of the dataset are not those that were written")
    names = {str(name) for name in ds.variables}
    for name in sorted(checksums.variables.keys() - names - {*unreadable}):
        problems.append(f"variable {name!r} is missing")
    for name in sorted(names - checksums.variables.keys()):
        problems.append(f"variable {name!r} was not written with the others")
    for name in sorted(names & checksums.variables.keys()):
        variable = ds.variables[name]
        form = of_form(variable, name in ds.coords)
        values: Any = variable.values if name not in checksums.shapes else chunks.get(name)
        if name in checksums.shapes:
            shape = checksums.shapes[name]
            form = of_values(np.array(shape), form)
            if values is None or values.shape != number_of_chunks(variable.shape, shape):
                if name_of_chunks(name) not in unreadable:
                    problems.append(f"the checksums of the chunks of {name!r} are missing")
                continue
        if of_values(values, form) != checksums.variables[name]:
            problems.append(f"{name!r} {DOES_NOT_FIT}")
    return problems


def number_of_chunks(whole: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """How many chunks of a shape an array has along each dimension."""
    return tuple(-(-n // max(size, 1)) for n, size in zip(whole, shape, strict=True))


def _hexadecimal(checksum: int) -> str:
    return f"{checksum:08x}"


def _plain(value: Any) -> Any:
    """An attribute as JSON, the same for what is written and for what Zarr or NetCDF gives back for it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):  # NetCDF gives back one value for a list of one
        return _plain(value[0]) if len(value) == 1 else [_plain(item) for item in value]
    if isinstance(value, bool):
        return int(value)
    return value if isinstance(value, str | int | float) or value is None else str(value)
