"""Open what lies on disk: within limits, small variables read and checked, large ones checked when they are read."""

from __future__ import annotations

import asyncio
import atexit
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import h5py
import numpy as np
import xarray as xr
import zarr
from rich.progress import track
from zarr.core import sync as zarr_sync

from predspace_widgets.trajectories.checked import CheckedArray, unreadable_reason
from predspace_widgets.trajectories.checksums import LISTED, Checksums, are_in_chunks, problems_of, split
from predspace_widgets.trajectories.limits import GuardedStore, check_file, check_netcdf
from predspace_widgets.trajectories.sealing import AT_THE_END
from predspace_widgets.trajectories.trailer import read_trailer

# What is no array is no harm, or missed by the checksums of the dataset.
warnings.filterwarnings("ignore", "Object at .* is not recognized as a component of a Zarr hierarchy")


async def _cancel_reads() -> None:
    reads = asyncio.all_tasks() - {asyncio.current_task()}
    for read in reads:
        read.cancel()
    await asyncio.gather(*reads, return_exceptions=True)


@atexit.register  # after Zarr did, so it runs before Zarr closes its loop
def _end_reads() -> None:
    """Cancel what Zarr still reads: where a chunk is damaged, it raises and lets reads of others go on.

    Closing the loop meanwhile, as Zarr does at the end of the process, would complain of each of them.
    """
    if zarr_sync.loop[0] is not None:
        zarr_sync.sync(_cancel_reads())


@dataclass(frozen=True)
class Opened:
    """A dataset as it lies on disk.

    Attributes
    ----------
    ds : xarray.Dataset
        Without its checksums. Small variables are in memory; those that cannot be read are left out.
    large : dict of str to CheckedArray
        What the large variables of `ds` are to be read by.
    problems : list of str
        What is damaged, as far as that is known before the large ones are read, a sentence each.
    has_checksums : bool
        Whether it has, as all but those of earlier versions.
    """

    ds: xr.Dataset
    large: dict[str, CheckedArray]
    problems: list[str]
    has_checksums: bool


def open_checked(path: str, kind: str, max_bytes: int) -> Opened:
    """Open what lies at a path. A file that cannot be opened at all can make any error.

    Parameters
    ----------
    path : str
        Absolute, or an address.
    kind : {".zarr", ".zarr.zip", ".nc"}
    max_bytes : int
        See `predspace_widgets.trajectories.limits`.
    """
    if kind == ".nc":
        check_file(path)
        trailer = read_trailer(path, max_bytes) or {}
        ds, unreadable = _open_netcdf(path, max_bytes)
        if not trailer and ds.attrs.get(LISTED) == AT_THE_END[LISTED]:
            raise ValueError(
                "its end is not where it was written: the file is longer or shorter, or its end is damaged"
            )
        store, checksums = None, Checksums.read(ds.attrs | trailer.get("attributes", {}))
    else:
        store, trailer = GuardedStore.at(path, kind, max_bytes), {}
        ds, unreadable = _open_zarr(store)
        unreadable |= {name: [f"{name!r} cannot be read: {problem}"] for name, problem in store.damaged.items()}
        checksums = Checksums.read(ds.attrs)
        store.is_complete = checksums is not None
    whole, not_read = _with_small_in_memory(ds, path)
    unreadable |= not_read
    rest, chunks = split(whole)
    chunks |= {name: np.array(sums, np.uint32) for name, sums in trailer.get("checksums_of_chunks", {}).items()}
    large = {}
    for name, variable in rest.variables.items():
        if are_in_chunks(variable.dims, variable.dtype):
            large[str(name)] = _checked(str(name), variable, checksums, chunks, path)
    problems = [problem for several in unreadable.values() for problem in several]
    if checksums is not None:
        problems += problems_of(rest, checksums, chunks, unreadable)
        problems += [problem for array in large.values() for problem in _missing(array, store)]
    return Opened(rest, large, problems, checksums is not None)


def find_damage(path: str, kind: str, max_bytes: int, show_progress: bool) -> tuple[list[str], str]:
    """Read everything that lies at a path: what is damaged, a sentence each, and what was found of it."""
    opened = open_checked(path, kind, max_bytes)
    problems, n_chunks = dict.fromkeys(opened.problems), 0
    for name, array in sorted(opened.large.items()):  # zarr lists them as they come
        for chunk in track(array.chunks(), f"reading {name}", disable=not show_progress, transient=True):
            problems |= dict.fromkeys(array.problems_of(chunk))
            n_chunks += 1
    what = f"{len(opened.ds.variables)} variables, {n_chunks:,} chunks of the large ones"
    if opened.has_checksums:
        return [*problems], f"{what}, and the attributes fit their checksums"
    return [*problems], f"{what} can be read; there are no checksums, it was written by an earlier version"


def _missing(array: CheckedArray, store: GuardedStore | None) -> Iterator[str]:
    """Chunks of a large variable that are not there, as far as it costs little to know."""
    keys = None if store is None else store.keys(array.name)
    return iter(()) if keys is None else array.missing(keys)


def _open_zarr(store: GuardedStore) -> tuple[xr.Dataset, dict[str, list[str]]]:
    # An append replaces the list of arrays as a whole, so the list alone is right while checkpoints are appended.
    group = zarr.open_group(store, mode="r", zarr_format=3)
    store.expect(group)
    listed = group.metadata.consolidated_metadata is not None
    read = partial(xr.open_dataset, engine="zarr", chunks=None, cache=False, consolidated=listed, zarr_format=3)

    def arrays() -> Iterator[tuple[str, Any]]:
        return ((name, array) for name, array in group.arrays() if array.ndim == 1)

    return _open_readable(partial(read, store), arrays)


def _open_netcdf(path: str, max_bytes: int) -> tuple[xr.Dataset, dict[str, list[str]]]:
    check_netcdf(path, max_bytes)

    def arrays() -> Iterator[tuple[str, Any]]:
        with h5py.File(path, "r") as file:
            yield from ((name, array) for name, array in file.items() if getattr(array, "ndim", 0) == 1)

    return _open_readable(partial(xr.open_dataset, path, engine="h5netcdf", chunks=None, cache=False), arrays)


def _open_readable(
    read: Callable[..., xr.Dataset], arrays: Callable[[], Iterator[tuple[str, Any]]]
) -> tuple[xr.Dataset, dict[str, list[str]]]:
    """The dataset; without arrays that xarray reads at once, the ids of samples and classes, if they are damaged."""
    try:
        return read(), {}
    except Exception:  # the libraries that read a damaged file may raise any error
        unreadable = {name: [problem] for name, array in arrays() if (problem := unreadable_reason(name, array))}
        if not unreadable:
            raise
        return read(drop_variables=[*unreadable]), unreadable


def _with_small_in_memory(ds: xr.Dataset, path: str) -> tuple[xr.Dataset, dict[str, list[str]]]:
    """The dataset with its small variables in memory, and what is wrong with those that cannot be read."""
    read, unreadable = {}, {}
    for name, variable in ds.variables.items():
        if are_in_chunks(variable.dims, variable.dtype) or isinstance(variable, xr.IndexVariable):
            continue
        array = CheckedArray(variable, str(name), _shape_of_chunks(variable), None, path)
        values, problems = array.read()
        if problems:
            unreadable[str(name)] = problems
        else:
            read[name] = variable.copy(data=values)
    readable = ds.drop_vars(unreadable)
    with_coords = readable.assign_coords({name: variable for name, variable in read.items() if name in ds.coords})
    return with_coords.assign({name: variable for name, variable in read.items() if name not in ds.coords}), unreadable


def _checked(
    name: str, variable: xr.Variable, checksums: Checksums | None, chunks: dict[str, Any], path: str
) -> CheckedArray:
    """Without checksums of chunks, which may be damaged themselves, what is read cannot be checked."""
    shape = checksums.shapes.get(name) if checksums is not None else None
    if shape is None or name not in chunks or len(shape) != variable.ndim:
        return CheckedArray(variable, name, _shape_of_chunks(variable), None, path)
    return CheckedArray(variable, name, shape, chunks[name], path)


def _shape_of_chunks(variable: xr.Variable) -> tuple[int, ...]:
    sizes = variable.encoding.get("preferred_chunks") or {}
    return tuple(max(1, sizes.get(dim, whole)) for dim, whole in variable.sizes.items())
