"""NetCDF files, written so that a full disk is an error: HDF5 crashes the process when a write of its own fails."""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import dask
import xarray as xr
from dask.callbacks import Callback


class _File(io.FileIO):
    """What HDF5 writes to. It is told of no error: the first one is noted, and what follows is held in memory.

    That is little, since `write_netcdf` computes nothing more then; and HDF5, which reads some of what it wrote before
    it closes a file, finds it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None
        self._unwritten: list[tuple[int, memoryview]] = []  # where, and what: the latest last

    def write(self, data: Any) -> int:
        content, place, done = memoryview(bytes(data)), self.tell(), 0
        try:
            while done < len(content) and self._error is None:
                done += super().write(content[done:])
        except OSError as error:
            self._error = error
        if done < len(content):
            self._unwritten.append((place, content))
        return len(content)

    def readinto(self, buffer: Any) -> int:
        view, place = memoryview(buffer).cast("B"), self.tell()
        there = super().readinto(view) or 0
        for start, content in self._unwritten:
            first, last = max(start, place), min(start + len(content), place + len(view))
            if first < last:
                view[first - place : last - place] = content[first - start : last - start]
                there = max(there, last - place)
        return there

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def check(self, *_: Any) -> None:
        """Raise the error that was noted."""
        if self._error is not None:
            raise self._error


def write_netcdf(ds: xr.Dataset, path: Path, encoding: Mapping[Hashable, dict[str, Any]]) -> None:
    """Write a dataset to a new NetCDF file.

    Parameters
    ----------
    ds : xarray.Dataset
    path : path
    encoding : mapping
        See `xarray.Dataset.to_netcdf`.

    Raises
    ------
    OSError
        It cannot be written, for example for lack of space.
    """
    with _File(path) as file:
        # Nothing more is computed once the disk is full. Other processes could not write to this file.
        try:
            with Callback(pretask=file.check), dask.config.set(scheduler="threads"):
                ds.to_netcdf(file, engine="h5netcdf", encoding=encoding)
        finally:
            file.check()  # also instead of what HDF5 makes of it
