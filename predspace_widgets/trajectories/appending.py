"""Trajectories that grow on disk: checkpoints added to a Zarr directory that is a valid dataset after each of them."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore

from predspace_widgets.trajectories.checksums import (
    Checksums,
    Chunks,
    are_in_chunks,
    name_of_chunks,
    of_form,
    of_values,
)
from predspace_widgets.trajectories.replacing import replacing
from predspace_widgets.trajectories.schema import check_predictions, predictions_name, validate
from predspace_widgets.trajectories.sealing import ALL_CHUNKS, COMPRESSORS, TO_ZARR, add_to_zarr, with_checksums
from predspace_widgets.trajectories.storage import (
    Store,
    StoredDtype,
    as_read,
    check_path,
    chunk_sizes,
    form_on_disk,
    with_stored,
    with_text,
)

# Many checkpoints share a file of a variable that has one number a checkpoint: few files to read, little to rewrite.
_CHECKPOINTS_PER_CHUNK = 1024


def append_checkpoints(
    ds: xr.Dataset,
    path: str | os.PathLike[str],
    *,
    store: Store | None = None,
    dtype: StoredDtype | None = None,
    group: zarr.Group | None = None,
) -> None:
    """Add checkpoints to a Zarr directory, at the cost of these alone; the first ones create it.

    The directory is a valid dataset after every call, and one that another process opened before stays as it was.
    One file holds a block of samples of one checkpoint; `save_trajectories` packs all checkpoints together.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories of the same samples and classes, which this function validates. Metrics and attributes of runs may
        be others: NaN, or "" of text, stands where there are none.
    path : path
        Ends in .zarr. One process at a time may append: hold a lock where several might.
    store, dtype : optional
        In which form and numbers the first call stores predictions, see `save_trajectories`; later calls follow it.
    group : zarr.Group, optional
        What `open_grown(path)` gave, for a caller that has just looked at it: it is not opened again.

    Raises
    ------
    TrajectoriesError
        The dataset is not valid; nothing is written.
    ValueError
        Another ending, a directory that was not made by this function, one that stores predictions in another form
        or other numbers than these, or text under a name that has numbers there.
    OSError
        It cannot be written, for example for lack of space; what is there stays valid.

    Examples
    --------
    >>> import tempfile
    >>> import predspace_widgets as pw
    >>> from predspace_widgets.trajectories.testing import constant_run, geodesic_run
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for run in (geodesic_run(), constant_run()):
    ...         append_checkpoints(run, Path(folder) / "both.zarr")
    ...     pw.open_trajectories(Path(folder) / "both.zarr").sizes["checkpoint"]
    9
    """
    where = Path(path)
    if check_path(where) != ".zarr":
        raise ValueError(f"checkpoints can be appended to a .zarr directory only, not to {path}")
    validate(ds)
    if group is None and where.exists():
        group = open_grown(where)
    ready = with_text(ds.drop_encoding(), "U", object)
    if group is None:
        if "probs" in ds:
            ready = with_stored(ready, ds["probs"], *form_on_disk(ds["probs"], dtype, store))
        _begin(ready, where)
        return
    check_predictions(ds)  # what grows has them
    ready = with_stored(ready, ds["probs"], *_form_of(group, dtype, store, where))
    growing = zarr.open_group(where, mode="r+", use_consolidated=False)
    checksums = Checksums.read(group.attrs)
    try:
        _cut_to_listed(growing, group)  # an append that was killed may have left more
        with zarr.config.set(ALL_CHUNKS):
            _extend(growing, ready, checksums)
        _list_arrays(where, checksums)
    except BaseException:
        with suppress(Exception):  # readers ignore what is not listed, and the next append cuts it off
            _cut_to_listed(growing, open_grown(where))  # as it is listed now: the list may have been replaced already
        raise


def open_grown(path: str | os.PathLike[str]) -> zarr.Group:
    """The arrays of a directory that `append_checkpoints` made, as after its last complete call.

    `predspace_widgets.trajectories.schema.predictions_name(group)` says which of them holds the predictions.

    Raises
    ------
    ValueError
        It was made in another way.
    """
    try:
        group = zarr.open_consolidated(Path(path), mode="r", zarr_format=3)
        name = predictions_name(group)
        grown = {name, "run", "epoch", "step"} <= {*group.array_keys()} and array_of(group, name).chunks[0] == 1
    except (ValueError, OSError):
        grown = False
    if not grown:
        raise ValueError(f"{path} is there but was not recorded checkpoint by checkpoint: record into a new path")
    return group


def read_checkpoints(group: zarr.Group, rows: slice) -> xr.Dataset:
    """Some checkpoints of what `open_grown` gave, in memory, at the cost of these alone.

    Parameters
    ----------
    group : zarr.Group
    rows : slice
        Of its checkpoints.

    Returns
    -------
    xarray.Dataset
        `probs` (checkpoint, sample, class), float32 or wider, and every variable that has one value a checkpoint.
    """
    values: dict[str, Any] = {}
    for name, array in group.arrays():
        if _grows(array) and array.ndim == 1:
            column = np.asarray(array[rows])
            values[name] = ("checkpoint", column.astype(object) if column.dtype.kind == "T" else column)
    name = predictions_name(group)
    stored = np.asarray(array_of(group, name)[rows])  # (n, N, C)
    return xr.Dataset({**values, "probs": (("checkpoint", "sample", "class"), as_read(stored, name))})


def _form_of(group: zarr.Group, dtype: DTypeLike | None, store: str | None, where: Path) -> tuple[str, np.dtype[Any]]:
    """In which form and numbers a directory stores predictions, which are those that are asked for, if any are."""
    form = predictions_name(group)
    numbers = np.dtype(array_of(group, form).dtype)
    for what, wanted, there in (("store", store, form), ("dtype", dtype and np.dtype(dtype).name, numbers.name)):
        if wanted not in (None, there):
            raise ValueError(
                f"{where} was begun with {what}={there!r}, which all of its checkpoints share: leave {what} out, or "
                f"record into another path with {what}={wanted!r}"
            )
    return form, numbers


def _begin(ready: xr.Dataset, where: Path) -> None:
    """A new directory, at its place when it is complete."""
    encoding, chunks = with_checksums(ready, ".zarr"), {}
    for name, variable in ready.variables.items():
        if variable.dims == ("checkpoint",):
            encoding[name]["chunks"] = (_CHECKPOINTS_PER_CHUNK,)
        elif are_in_chunks(variable.dims, variable.dtype):
            shape = tuple(chunk_sizes(ready[name].isel(checkpoint=slice(1), missing_dims="ignore")).values())
            encoding[name]["chunks"] = shape
            chunks[str(name)] = Chunks(shape, variable.shape).add(variable.values)
    if predictions_name(ready) in ready:
        # Fast rather than small, because a training waits for it.
        codecs = [BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), Crc32cCodec()]
        encoding[predictions_name(ready)]["compressors"] = codecs
    with replacing(where) as new:
        ready.to_zarr(new, mode="w", encoding=encoding, **TO_ZARR)
        add_to_zarr(new, ready, chunks, growing=_CHECKPOINTS_PER_CHUNK)
        _list_arrays(new)


def _extend(group: zarr.Group, ready: xr.Dataset, checksums: Checksums | None) -> None:
    """Write the values of new checkpoints behind those that are there, and carry on their checksums."""
    n_new, n_before = ready.sizes["checkpoint"], array_of(group, "run").shape[0]
    growing = {name for name, array in group.arrays() if _grows(array)}
    new = {str(name): variable.values for name, variable in ready.variables.items() if "checkpoint" in variable.dims}
    for name in new.keys() - growing:  # a metric or an attribute that the checkpoints before do not have
        _add_column(group, name, new[name].dtype == object, name in ready.coords)
        if checksums is not None:
            filled = np.full(n_before, array_of(group, name).fill_value)
            checksums.variables[name] = of_values(filled, of_form(ready[name], name in ready.coords))
    values: dict[str, NDArray[Any]] = {}
    for name in sorted((growing - {*map(name_of_chunks, growing)}) | new.keys()):
        array = array_of(group, name)
        values[name] = new[name] if name in new else np.full((n_new, *array.shape[1:]), array.fill_value)
        if name in new and (new[name].dtype == object) != (np.dtype(array.dtype).kind not in "iuf"):
            before, now = ("numbers", "text") if new[name].dtype == object else ("text", "numbers")
            raise ValueError(f"{name!r} holds {before} in the checkpoints before, not {now}: call it by another name")
    shapes = {} if checksums is None else checksums.shapes
    for name in values.keys() & shapes.keys():
        values[name_of_chunks(name)] = Chunks(shapes[name], values[name].shape).add(values[name]).checksums
    for name, several in values.items():
        array = array_of(group, name)
        array.resize((n_before + n_new, *array.shape[1:]))
        array[n_before:] = several
        if checksums is not None:
            checksums.carry_on(name, several)


def _add_column(group: zarr.Group, name: str, is_text: bool, is_coordinate: bool) -> None:
    """Add an array of one value a checkpoint, none of them known."""
    group.create_array(
        name,
        shape=array_of(group, "run").shape,
        chunks=(_CHECKPOINTS_PER_CHUNK,),
        dtype=str if is_text else np.float64,
        fill_value="" if is_text else np.nan,
        dimension_names=("checkpoint",),
        compressors=COMPRESSORS,
    )
    if is_coordinate:  # as xarray notes it
        noted = array_of(group, predictions_name(group)).attrs
        noted["coordinates"] = " ".join(sorted({*str(noted.get("coordinates", "")).split(), name}))


def _list_arrays(where: Path, checksums: Checksums | None = None) -> None:
    """Note the shapes of all arrays, and checksums, in the one file that readers go by: it is replaced as a whole."""
    listed = json.loads((where / "zarr.json").read_bytes())
    arrays = {file.parent.name: json.loads(file.read_bytes()) for file in sorted(where.glob("*/zarr.json"))}
    listed["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": arrays}
    if checksums is not None:
        listed["attributes"] |= checksums.as_attributes()
    content = default_buffer_prototype().buffer.from_bytes(json.dumps(listed, indent=2).encode())
    sync(LocalStore(where).set("zarr.json", content))


def _cut_to_listed(growing: zarr.Group, listed: zarr.Group) -> None:
    """Remove arrays and checkpoints that are not listed, which no reader sees."""
    shapes = {name: array.shape for name, array in listed.arrays()}
    for name, array in list(growing.arrays()):
        if name not in shapes:
            del growing[name]
        elif array.shape != shapes[name]:
            array.resize(shapes[name])


def array_of(group: zarr.Group, name: str) -> Any:
    """An array of a group by its name."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array


def _grows(array: zarr.Array[Any]) -> bool:
    return "checkpoint" in (getattr(array.metadata, "dimension_names", None) or ())
