"""Trajectories that grow on disk: checkpoints added to a Zarr directory that is a valid dataset after each of them."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec

from predspace_widgets.trajectories.schema import validate
from predspace_widgets.trajectories.storage import check_path, chunk_sizes, with_text

# Many checkpoints share a file of a variable that has one number a checkpoint: few files to read, little to rewrite.
_CHECKPOINTS_PER_CHUNK = 1024


def append_checkpoints(ds: xr.Dataset, path: str | os.PathLike[str]) -> None:
    """Add checkpoints to a Zarr directory, at the cost of these alone; the first ones create it.

    The directory is a valid dataset after every call, and one that another process opened before stays as it was.
    One file holds a block of samples of one checkpoint; `save_trajectories` packs all checkpoints together.

    Parameters
    ----------
    ds : xarray.Dataset
        Valid trajectories of the same samples and classes. Metrics may be others: NaN stands where there are none.
    path : path
        Ends in .zarr. One process at a time may append: hold a lock where several might.

    Raises
    ------
    TrajectoriesError
        The dataset is not valid; nothing is written.
    ValueError
        Another ending, or a directory that was not made by this function.
    OSError
        It cannot be written, for example for lack of space; what is there stays valid.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import constant_run, geodesic_run
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for run in (geodesic_run(), constant_run()):
    ...         append_checkpoints(run, Path(folder) / "both.zarr")
    ...     open_trajectories(Path(folder) / "both.zarr").sizes["checkpoint"]
    9
    """
    where = Path(path)
    if check_path(where) != ".zarr":
        raise ValueError(f"checkpoints can be appended to a .zarr directory only, not to {path}")
    validate(ds)
    ready = with_text(ds.drop_encoding(), "U", object)
    if not where.exists():
        _begin(ready, where)
        return
    open_grown(where)
    try:
        _cut_to_listed(where)  # what an append that was killed has left
        _extend(zarr.open_group(where, mode="r+", use_consolidated=False), ready)
        _list_arrays(where)
    except BaseException:
        with suppress(Exception):  # whatever is not listed is ignored, and cut off by the next append
            _cut_to_listed(where)
        raise


def open_grown(path: str | os.PathLike[str]) -> zarr.Group:
    """The arrays of a directory that `append_checkpoints` made, as after its last complete call.

    Raises
    ------
    ValueError
        It was made in another way.
    """
    try:
        group = zarr.open_consolidated(Path(path), mode="r", zarr_format=3)
        grown = {"probs", "run", "epoch", "step"} <= {*group.array_keys()} and array_of(group, "probs").chunks[0] == 1
    except (ValueError, OSError):
        grown = False
    if not grown:
        raise ValueError(f"{path} is there but was not recorded checkpoint by checkpoint: record into a new path")
    return group


def _begin(ready: xr.Dataset, where: Path) -> None:
    """A new directory, at its place when it is complete."""
    encoding: dict[Hashable, dict[str, Any]] = {}
    for name, variable in ready.variables.items():
        if variable.dims == ("checkpoint",):
            encoding[name] = {"chunks": (_CHECKPOINTS_PER_CHUNK,)}
        elif name == "image":
            encoding[name] = {"chunks": tuple(chunk_sizes(ready["image"]).values())}
    if "probs" in ready:
        sizes = chunk_sizes(ready["probs"].isel(checkpoint=slice(1)))
        # Fast rather than small: a training waits for it.
        codec = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
        encoding["probs"] = {"chunks": tuple(sizes.values()), "compressors": [codec]}
    where.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where.parent, prefix=f".{where.name}-") as folder:
        store = Path(folder) / "store.zarr"
        ready.to_zarr(store, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
        _list_arrays(store)
        store.replace(where)


def _extend(group: zarr.Group, ready: xr.Dataset) -> None:
    """Write the values of new checkpoints behind those that are there."""
    n_new, n_before = ready.sizes["checkpoint"], array_of(group, "run").shape[0]
    growing = {name for name, array in group.arrays() if _grows(array)}
    new = {str(name): variable for name, variable in ready.variables.items() if "checkpoint" in variable.dims}
    for name in new.keys() - growing:  # a metric that the checkpoints before do not have
        group.create_array(
            name,
            shape=(n_before,),
            chunks=(_CHECKPOINTS_PER_CHUNK,),
            dtype=np.float64,
            fill_value=np.nan,
            dimension_names=("checkpoint",),
        )
    for name in sorted(growing | new.keys()):
        array = array_of(group, name)
        array.resize((n_before + n_new, *array.shape[1:]))
        array[n_before:] = new[name].values if name in new else array.fill_value


def _list_arrays(where: Path) -> None:
    """Note the shapes of all arrays in the one file that readers go by: it is replaced as a whole."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata")  # no part of the Zarr format 3 yet
        zarr.consolidate_metadata(where, zarr_format=3)


def _cut_to_listed(where: Path) -> None:
    """Remove what no reader goes by."""
    listed = {name: array.shape for name, array in zarr.open_consolidated(where, mode="r").arrays()}
    group = zarr.open_group(where, mode="r+", use_consolidated=False)
    for name, array in list(group.arrays()):
        if name not in listed:
            del group[name]
        elif array.shape != listed[name]:
            array.resize(listed[name])


def array_of(group: zarr.Group, name: str) -> Any:
    """An array of a group by its name."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _grows(array: zarr.Array[Any]) -> bool:
    return "checkpoint" in (getattr(array.metadata, "dimension_names", None) or ())
