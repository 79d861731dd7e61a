"""Write what a reader checks: a checksum in every chunk, all chunks, and the checksums of a dataset as a whole."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec

from predspace_widgets.trajectories.checksums import LISTED, Checksums, Chunks, are_in_chunks, name_of_chunks
from predspace_widgets.trajectories.trailer import add_trailer

#: Setting of Zarr: chunks of fill values are written too, so that one that is not there is missing.
ALL_CHUNKS = {"array.write_empty_chunks": True}
#: The same as options of `xarray.Dataset.to_zarr`.
TO_ZARR: Mapping[str, Any] = {"write_empty_chunks": True, "zarr_format": 3, "consolidated": False}
#: The attribute that says where the checksums of a NetCDF file are.
AT_THE_END = {LISTED: "at the end of the file"}
#: How Zarr makes small variables small, with the checksum of each chunk last.
COMPRESSORS = (ZstdCodec(level=0), Crc32cCodec())


def with_checksums(ready: xr.Dataset, kind: str) -> dict[Hashable, dict[str, Any]]:
    """Encodings for xarray that let every chunk of numbers have a checksum, and of text too in Zarr."""
    if kind != ".nc":
        return {name: {"compressors": COMPRESSORS} | _bit_by_bit(ready[name]) for name in ready.variables}
    encoding: dict[Hashable, dict[str, Any]] = {}
    for name, variable in ready.variables.items():
        encoding[name] = _bit_by_bit(ready[name])
        if variable.dtype != object and variable.size:  # texts lie elsewhere; the checksums of the dataset find damage
            encoding[name] |= {"fletcher32": True, "chunksizes": variable.shape}
    return encoding


def _bit_by_bit(variable: xr.DataArray) -> dict[str, Any]:
    """Without a value that stands for missing ones: no number is exchanged for another."""
    return {"_FillValue": None} if are_in_chunks(variable.dims, variable.dtype) else {}


def watched(ready: xr.Dataset) -> tuple[xr.Dataset, dict[str, Chunks]]:
    """A dataset whose large variables note the checksums of their chunks while they are written, and these notes."""
    chunks = {}
    for name, variable in ready.data_vars.items():
        if are_in_chunks(variable.dims, variable.dtype):
            chunks[str(name)] = noted = Chunks(variable.data.chunksize, variable.shape)
            ready = ready.assign({name: variable.copy(data=noted.watch(variable.data))})
    return ready, chunks


def add_to_zarr(directory: Path, written: xr.Dataset, chunks: Mapping[str, Chunks], growing: int = 0) -> None:
    """Add the checksums of a dataset that was written to a Zarr directory.

    Where checkpoints are appended, one chunk is to hold the checksums of so many of them.
    """
    group = zarr.open_group(directory, mode="r+", zarr_format=3)
    for name, noted in chunks.items():
        dims, shape = noted.dims(name), noted.checksums.shape
        if growing and written[name].dims[0] == "checkpoint":
            dims, shape = ("checkpoint", *dims[1:]), (growing, *shape[1:])
        with zarr.config.set(ALL_CHUNKS):
            group.create_array(
                name_of_chunks(name),
                data=noted.checksums,
                chunks=shape,
                compressors=COMPRESSORS,
                dimension_names=dims,
            )
    group.attrs.update(Checksums.of(written, chunks).as_attributes())


def add_to_netcdf(path: Path, written: xr.Dataset, chunks: Mapping[str, Chunks]) -> None:
    """Add the checksums of a dataset that was written to a NetCDF file with `AT_THE_END` among its attributes."""
    sums = {name: noted.checksums.tolist() for name, noted in chunks.items()}
    add_trailer(path, {"attributes": Checksums.of(written, chunks).as_attributes(), "checksums_of_chunks": sums})
