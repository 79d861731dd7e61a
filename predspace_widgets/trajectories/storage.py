"""Trajectories on disk: Zarr (a directory, or one .zarr.zip file to ship) and NetCDF for exchange."""

from __future__ import annotations

import os
import tempfile
import uuid
import zipfile
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal

import fsspec
import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec

from predspace_widgets.trajectories.schema import TrajectoriesError, find_problems, validate
from predspace_widgets.trajectories.source import Source, note_source

# Blocks of samples are about this large on disk; each holds all checkpoints.
_CHUNK_BYTES = 4 * 2**20
# Blocks of samples that are read at a time are up to this large in memory: several of those on disk. But with very many
# checkpoints, of which a block gives results as large as itself, at least so many probabilities of each.
_BLOCK_BYTES = 64 * 2**20
_LEAST_OF_A_CHECKPOINT = 1024
# Datasets up to this size have every value checked on opening; larger ones when they are used.
_CHECK_BYTES = 2**30
_SUFFIXES = (".zarr.zip", ".zarr", ".nc")


def open_trajectories(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a trajectories dataset, lazily and validated.

    Rows of `probs` are renormalised on reading, in float32 or wider, because float16 storage rounds small
    probabilities to 0. The structure is always checked, and so are the values of a dataset of up to 1 GiB.

    Parameters
    ----------
    path : path or address
        A .zarr directory, a .zarr.zip file or a NetCDF .nc file; or the address of a Zarr directory in object storage,
        such as "s3://bucket/mine.zarr", for which fsspec needs its package (s3fs, gcsfs, ...).

    Returns
    -------
    xarray.Dataset
        Backed by dask arrays; nothing else is read.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    TrajectoriesError
        It is no trajectories dataset; every problem is named.

    Examples
    --------
    >>> import predspace_widgets as pw
    >>> sorted(pw.demo().sizes)
    ['checkpoint', 'class', 'column', 'row', 'sample']
    """
    where = os.path.expanduser(os.fspath(path).rstrip("/"))
    kind = check_path(where)
    if "://" in where and kind != ".zarr":
        raise ValueError(f"{where}: of object storage only .zarr directories can be opened")
    files, root = fsspec.url_to_fs(where)
    if not files.exists(root):
        raise FileNotFoundError(f"there is no dataset at {where}")
    try:
        # Read later, maybe from another working directory or by another process.
        raw, source = _open(where if "://" in where else os.path.abspath(where), kind)
        problems = find_problems(raw, values=raw.nbytes <= _CHECK_BYTES)
    except Exception as error:  # a damaged or foreign file can make each of the libraries that read it raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TrajectoriesError([f"it cannot be read as {kind}: {reason}"], where) from error
    if problems:
        raw.close()
        raise TrajectoriesError(problems, where)
    if "probs" not in raw:
        return raw
    ds = raw.assign(probs=_renormalise(raw["probs"]))
    note_source(ds["probs"], source, raw["probs"])
    return ds


def save_trajectories(
    ds: xr.Dataset, path: str | os.PathLike[str], dtype: Literal["float16", "float32", "float64"] | None = None
) -> Path:
    """Write a trajectories dataset, whole or not at all.

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.
    path : path
        Ends in .zarr.zip, .zarr or .nc. What is there is replaced when the new one is complete.
    dtype : {"float16", "float32", "float64"}, optional
        How `probs` are stored: by default as they were read from disk, else as they are. NetCDF has no float16 and
        takes float32 instead. Rows that were read from float16 were renormalised, and are rounded once more.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    TrajectoriesError
        The dataset is not valid; nothing is written.
    ValueError
        Another ending.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import constant_run
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_trajectories(constant_run(), Path(folder) / "constant.zarr.zip").name
    'constant.zarr.zip'
    """
    where = Path(path)
    kind = check_path(where)
    validate(ds)
    ready, encoding = _prepare(ds, kind, dtype)
    where.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where.parent, prefix=f".{where.name}-") as folder:
        written = Path(folder) / f"new{kind}"
        if kind == ".nc":
            ready.to_netcdf(written, engine="h5netcdf", encoding=encoding)
        else:
            store = Path(folder) / "store.zarr"
            ready.to_zarr(store, mode="w", encoding=encoding, zarr_format=3, consolidated=False)
            written = store if kind == ".zarr" else _zip(store, written)
        _replace(where, written, Path(folder) / "old")
    return where


def _replace(where: Path, new: Path, aside: Path) -> None:
    """Move a new file or directory to its place; what was there goes aside, and comes back if that fails."""
    there = where.exists()
    if there:
        where.replace(aside)
    try:
        new.replace(where)
    except BaseException:
        if there:
            aside.replace(where)
        raise


def check_path(path: str | os.PathLike[str]) -> str:
    """Which of the endings .zarr.zip, .zarr and .nc a path has.

    Raises
    ------
    ValueError
        None of them.

    Examples
    --------
    >>> check_path("runs/mine.zarr.zip")
    '.zarr.zip'
    """
    for suffix in _SUFFIXES:
        if os.fspath(path).endswith(suffix):
            return suffix
    raise ValueError(f"{path} must end in one of {', '.join(_SUFFIXES)}")


def _open(path: str, kind: str) -> tuple[xr.Dataset, Source]:
    if kind == ".nc":
        ds = xr.open_dataset(path, engine="h5netcdf", chunks=None, cache=False)
    else:
        store: Any = zarr.storage.ZipStore(path, mode="r") if kind == ".zarr.zip" else path
        # While checkpoints are appended, the list of arrays alone is right at any time.
        metadata = zarr.open_group(store, mode="r", zarr_format=3).metadata
        listed = metadata.consolidated_metadata is not None
        ds = xr.open_dataset(store, engine="zarr", chunks=None, cache=False, consolidated=listed, zarr_format=3)
    n_rows = 0
    if "probs" in ds and ds["probs"].ndim:
        n_rows = -(-len(ds["probs"]) // _sizes_on_disk(ds["probs"])[ds["probs"].dims[0]])
    source = Source.now(path, n_rows)
    ds = with_text(ds, "OT", object, str)
    lazy = {
        # Dask goes by names: those of the predictions are the same whenever the same files are opened.
        name: variable.chunk(
            _blocks(variable),
            name_prefix=f"stored-{name}-",
            token=f"{path} {source.signature}" if name == "probs" else uuid.uuid4().hex,
        )
        for name, variable in ds.data_vars.items()
        if variable.dtype.kind != "U"
    }
    return ds.assign(lazy), source


def _sizes_on_disk(variable: xr.DataArray) -> dict[Hashable, int]:
    return variable.encoding.get("preferred_chunks") or dict(variable.sizes)


def _blocks(variable: xr.DataArray) -> dict[Hashable, int]:
    """Sizes of the blocks that are read at a time: those on disk; of predictions several, with all checkpoints."""
    sizes = _sizes_on_disk(variable)
    if variable.name != "probs" or "sample" not in sizes:
        return sizes
    whole = dict(variable.sizes)
    of_a_sample = variable.size // max(whole["sample"], 1)  # probabilities
    of_a_checkpoint = of_a_sample // max(whole.get("checkpoint", 1), 1)
    wanted = max(_BLOCK_BYTES // max(4 * of_a_sample, 1), _LEAST_OF_A_CHECKPOINT // max(of_a_checkpoint, 1))
    on_disk = sizes["sample"]
    return {**whole, "sample": max(1, wanted // on_disk) * on_disk}


def with_text(ds: xr.Dataset, kinds: str, *dtypes: type) -> xr.Dataset:
    """The dataset with its text in another form, and all coordinates at hand: what names things is small."""
    changed = {name: column.compute() for name, column in ds.coords.items()}
    for name, variable in ds.variables.items():
        if variable.dtype.kind in kinds:
            values = variable.values
            for dtype in dtypes:
                values = values.astype(dtype)
            changed[str(name)] = ds[name].copy(data=values)
    return ds.assign_coords({name: changed[name] for name in ds.coords}).assign(
        {name: column for name, column in changed.items() if name not in ds.coords}
    )


def _renormalise(stored: xr.DataArray) -> xr.DataArray:
    dtype = np.promote_types(stored.dtype, np.float32)
    lazy = stored.data.map_blocks(_normal_rows, dtype, dtype=dtype, meta=np.empty((0, 0, 0), dtype))
    probs = stored.copy(data=lazy)
    probs.encoding = {"dtype": stored.dtype}
    return probs


def _normal_rows(probs: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    values = probs.astype(dtype)
    values /= values.sum(axis=-1, keepdims=True)
    return values


def _prepare(ds: xr.Dataset, kind: str, dtype: str | None) -> tuple[xr.Dataset, dict[Hashable, dict[str, Any]]]:
    """The dataset without the encodings that it was read with, and the encodings to write it with."""
    # Text of any length: Zarr has no settled form for numpy's fixed-length text.
    ready = with_text(ds.drop_encoding(), "U", object)
    if "probs" in ds:
        stored = np.dtype(dtype or ds["probs"].encoding.get("dtype", ds["probs"].dtype))
        ready["probs"] = ready["probs"].astype(np.promote_types(stored, np.float32) if kind == ".nc" else stored)

    encoding: dict[Hashable, dict[str, Any]] = {}
    codec = BloscCodec(cname="zstd", clevel=9, shuffle="bitshuffle")
    for name, variable in ready.data_vars.items():
        if variable.dtype == object:
            continue  # text, at hand
        sizes = chunk_sizes(variable)
        ready[name] = variable.chunk(sizes)
        shape = tuple(sizes.values())
        encoding[name] = {"chunksizes": shape} if kind == ".nc" else {"chunks": shape}
    if "probs" in ds:
        encoding["probs"] |= {"zlib": True, "shuffle": True} if kind == ".nc" else {"compressors": [codec]}
    return ready, encoding


def chunk_sizes(variable: xr.DataArray) -> dict[Hashable, int]:
    """Blocks of samples of a handy size, whole in every other dimension."""
    sizes = dict(variable.sizes)
    if "sample" in sizes:
        bytes_per_sample = variable.nbytes // sizes["sample"]
        sizes["sample"] = int(np.clip(_CHUNK_BYTES // max(bytes_per_sample, 1), 1, sizes["sample"]))
    return sizes


def _zip(store: Path, target: Path) -> Path:
    """One file of a Zarr directory: stored without further compression, the same bytes for the same content."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(store.rglob("*")):
            if file.is_file():
                archive.writestr(zipfile.ZipInfo(file.relative_to(store).as_posix()), file.read_bytes())
    return target
