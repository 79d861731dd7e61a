"""Trajectories on disk: Zarr (a directory, or one .zarr.zip file to ship) and NetCDF for exchange."""

from __future__ import annotations

import os
import uuid
import zipfile
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import dask
import fsspec
import numpy as np
import xarray as xr
from dask.system import CPU_COUNT
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import BloscCodec, Crc32cCodec, TransposeCodec

from predspace_widgets.trajectories.checked import reason_of
from predspace_widgets.trajectories.checksums import DamagedError
from predspace_widgets.trajectories.divergence import NAMES, diverged
from predspace_widgets.trajectories.lazy import map_rows
from predspace_widgets.trajectories.limits import MAX_BYTES
from predspace_widgets.trajectories.logarithms import from_logarithms, to_logarithms
from predspace_widgets.trajectories.netcdf import write_netcdf
from predspace_widgets.trajectories.opening import find_damage, open_checked
from predspace_widgets.trajectories.replacing import clear_leftovers, replacing
from predspace_widgets.trajectories.schema import (
    PREDICTIONS,
    TrajectoriesError,
    find_problems,
    predictions_name,
    validate,
)
from predspace_widgets.trajectories.sealing import (
    AT_THE_END,
    TO_ZARR,
    add_to_netcdf,
    add_to_zarr,
    watched,
    with_checksums,
)
from predspace_widgets.trajectories.source import Source, is_local, note_source, source_of

#: How predictions lie on disk: as probabilities, or as their logarithms.
Store = Literal["probs", "log_probs"]
#: In which numbers.
StoredDtype = Literal["float16", "float32", "float64"]

# Blocks of samples are about this large on disk; each holds all checkpoints.
_CHUNK_BYTES = 4 * 2**20
# A block that is read at a time holds several of those on disk, up to this size in memory. With very many checkpoints
# a block gives results as large as itself, so it holds at least so many probabilities of each checkpoint.
_BLOCK_BYTES = 64 * 2**20
_LEAST_OF_A_CHECKPOINT = 1024
# Datasets up to this size have every value checked on opening; larger ones when they are used.
_CHECK_BYTES = 2**30
_SUFFIXES = (".zarr.zip", ".zarr", ".nc")


def open_trajectories(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> xr.Dataset:
    """Open a trajectories dataset, lazily and validated.

    Predictions are `probs` in memory, in float32 or wider, with rows that sum to 1: probabilities are divided by their
    sum when they are read, because float16 rounds them, and logarithms (`log_probs` on disk) go through a softmax. The
    structure is always checked, and so are the values of a dataset of up to 1 GiB.

    Parameters
    ----------
    path : path or address
        A .zarr directory, a .zarr.zip file or a NetCDF .nc file; or the address of a Zarr directory in object storage,
        such as "s3://bucket/mine.zarr", for which fsspec needs its package (s3fs, gcsfs, ...).
    max_bytes : int
        What may be in memory once it is open: coordinates, labels, metrics; and what a chunk of predictions or images
        may need. A dataset that declares more, which may be a trap, is refused. How large it is makes no difference.

    Returns
    -------
    xarray.Dataset
        Predictions and images are dask arrays, the rest is in memory. Reading a chunk that is damaged or missing raises
        `DamagedError`, which names the variable and the place.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    TrajectoriesError
        It is no trajectories dataset, or damaged; every problem is named.

    Examples
    --------
    >>> import predspace_widgets as pw
    >>> sorted(pw.demo().sizes)
    ['checkpoint', 'class', 'column', 'row', 'sample']
    """
    where, kind = _place_of(path)
    with _errors_of_reading(where, kind):
        raw, source, problems = _open(where, kind, max_bytes)
        problems = problems or find_problems(raw, values=raw.nbytes <= _CHECK_BYTES, on_disk=True)
    if problems:
        raw.close()
        raise TrajectoriesError(problems, where)
    name = predictions_name(raw)
    if name not in raw:
        return raw
    ds = raw.drop_vars(name).assign(probs=_read(raw[name]))
    note_source(ds["probs"], source, raw[name])
    return ds


def verify_trajectories(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES, show_progress: bool = True) -> str:
    """Read all of a dataset on disk and compare it with its checksums.

    Parameters
    ----------
    path, max_bytes
        See `open_trajectories`.
    show_progress : bool

    Returns
    -------
    str
        What was read, in a sentence; also whether there were checksums, which earlier versions did not write.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    TrajectoriesError
        It is damaged: every variable and place is named, or it cannot be read at all.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import constant_run
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     verify_trajectories(save_trajectories(constant_run(), Path(folder) / "a.zarr"), show_progress=False)
    '10 variables, 1 chunks of the large ones, and the attributes fit their checksums'
    """
    where, kind = _place_of(path)
    with _errors_of_reading(where, kind):
        problems, found = find_damage(where, kind, max_bytes, show_progress)
    if problems:
        raise TrajectoriesError(problems, where)
    return found


def _place_of(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Where a dataset is, and of which kind. Dask reads later, maybe in another directory: the path is absolute."""
    where = os.path.expanduser(os.fspath(path).rstrip("/"))
    kind = check_path(where)
    if "://" in where and kind != ".zarr":
        raise ValueError(f"{where}: of object storage only .zarr directories can be opened")
    files, root = fsspec.url_to_fs(where)
    if not files.exists(root) and is_local(where):
        clear_leftovers(root)  # which may put it there
    if not files.exists(root):
        raise FileNotFoundError(f"there is no dataset at {where}")
    return where if "://" in where else os.path.abspath(where), kind


@contextmanager
def _errors_of_reading(where: str, kind: str) -> Iterator[None]:
    try:
        yield
    except DamagedError as error:
        raise TrajectoriesError(error.places, where) from error
    except Exception as error:  # a damaged or foreign file can make each of the libraries that read it raise anything
        raise TrajectoriesError([f"it cannot be read as {kind}: {reason_of(error)}"], where) from error


def save_trajectories(
    ds: xr.Dataset, path: str | os.PathLike[str], dtype: StoredDtype | None = None, store: Store | None = None
) -> Path:
    """Write a trajectories dataset, whole or not at all.

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.
    path : path
        Ends in .zarr.zip, .zarr or .nc. What is there is replaced when the new one is complete and on the disk, at
        once (see `predspace_widgets.trajectories.replacing`).
    dtype : {"float16", "float32", "float64"}, optional
        In which numbers predictions are stored: by default in those that they were read from on disk in the same form,
        else probabilities as they are and logarithms in float16. NetCDF has no float16 and takes float32 instead.
    store : {"probs", "log_probs"}, optional
        In which form: as probabilities, or as their logarithms relative to the largest of each row. By default the
        form that they were read from, "probs" for those made in memory. float16 rounds a probability below 6e-8 to 0,
        its logarithm by 1 in 2,000: with "log_probs" a symmetrised KL does not hang on the floor, and imprinted
        predictions can be read at another temperature.

    Returns
    -------
    pathlib.Path
        Opened and saved again in the same form, predictions stay the same bit for bit.

    Raises
    ------
    TrajectoriesError
        The dataset is not valid; nothing is written.
    ValueError
        Another ending, an unknown form, or numbers that are not floating-point.
    OSError
        It cannot be written, for example for lack of space; what was there is there still.

    Examples
    --------
    >>> import tempfile
    >>> from predspace_widgets.trajectories.testing import constant_run
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_trajectories(constant_run(), Path(folder) / "constant.zarr.zip").name
    'constant.zarr.zip'
    """
    where = Path(path)
    kind = check_path(where)
    validate(ds)
    ready, encoding = _prepare(ds, kind, dtype, store)
    ready, chunks = watched(ready)
    # Threads of its own, which have ended before what they were writing is removed; in this process, whatever cluster
    # there is, since checksums of chunks are taken while they are written.
    with (
        replacing(where) as new,
        ThreadPoolExecutor(dask.config.get("num_workers", None) or CPU_COUNT) as pool,
        dask.config.set(scheduler="threads", pool=pool),
    ):
        if kind == ".nc":
            write_netcdf(ready.assign_attrs(AT_THE_END), new, encoding)
            add_to_netcdf(new, ready, chunks)
            return where
        folder = new if kind == ".zarr" else new.with_name("store.zarr")
        ready.to_zarr(folder, mode="w", encoding=encoding, **TO_ZARR)
        add_to_zarr(folder, ready, chunks)
        if kind == ".zarr.zip":
            _zip(folder, new)
    return where


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


def _open(path: str, kind: str, max_bytes: int) -> tuple[xr.Dataset, Source, list[str]]:
    opened = open_checked(path, kind, max_bytes)
    ds = opened.ds
    predictions, n_rows = predictions_name(ds), 0
    if predictions in ds and ds[predictions].ndim:
        stored = ds[predictions]
        n_rows = -(-len(stored) // _sizes_on_disk(stored)[stored.dims[0]])
    source = Source.now(path, n_rows, predictions)
    lazy = {}
    for name, array in opened.large.items():
        # Dask knows arrays by name. The name of the predictions follows from their files, so that workers and processes
        # that open the same files mean the same array.
        token = f"{path} {source.signature}" if name == predictions else uuid.uuid4().hex
        lazy[name] = ds[name].copy(data=array.lazy(_blocks(ds[name]), token))
    if NAMES in ds.attrs:
        ds.attrs[NAMES] = list(diverged(ds))
    return with_text(ds.assign(lazy), "OT", object, str), source, opened.problems


def _sizes_on_disk(variable: xr.DataArray) -> dict[Hashable, int]:
    return variable.encoding.get("preferred_chunks") or dict(variable.sizes)


def _blocks(variable: xr.DataArray) -> dict[Hashable, int]:
    """Sizes of the blocks that are read at a time: as on disk; for predictions several of these, all checkpoints."""
    sizes = _sizes_on_disk(variable)
    if variable.name not in PREDICTIONS or "sample" not in sizes:
        return sizes
    whole = dict(variable.sizes)
    of_a_sample = variable.size // max(whole["sample"], 1)  # probabilities
    of_a_checkpoint = of_a_sample // max(whole.get("checkpoint", 1), 1)
    wanted = max(_BLOCK_BYTES // max(4 * of_a_sample, 1), _LEAST_OF_A_CHECKPOINT // max(of_a_checkpoint, 1))
    on_disk = sizes["sample"]
    return {**whole, "sample": max(1, wanted // on_disk) * on_disk}


def with_text(ds: xr.Dataset, kinds: str, *dtypes: type) -> xr.Dataset:
    """The dataset with its text in another form, and all coordinates in memory, where they are small."""
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


def _read(stored: xr.DataArray) -> xr.DataArray:
    """Probabilities whose rows sum to 1, lazily, from how they are stored."""
    read = _reader_of(str(stored.name))
    probs = map_rows(stored, read, np.promote_types(stored.dtype, np.float32)).rename("probs")
    probs.encoding = {"dtype": stored.dtype, "store": stored.name}  # what `save_trajectories` keeps by default
    return probs


def as_read(stored: NDArray[Any], name: str) -> NDArray[Any]:
    """Probabilities whose rows sum to 1, from an array as it is stored by a name of predictions.

    Examples
    --------
    >>> as_read(np.array([[1.0, 3.0]], dtype=np.float16), "probs")
    array([[0.25, 0.75]], dtype=float32)
    """
    return _reader_of(name)(stored, np.promote_types(stored.dtype, np.float32))


def _reader_of(name: str) -> Callable[[NDArray[Any], DTypeLike], NDArray[Any]]:
    return from_logarithms if name == "log_probs" else _normal_rows


def _normal_rows(probs: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    values = probs.astype(dtype)
    values /= values.sum(axis=-1, keepdims=True)
    return values


def form_on_disk(probs: xr.DataArray, dtype: DTypeLike | None, store: str | None) -> tuple[str, np.dtype[Any]]:
    """In which form and numbers predictions are to be stored; see `save_trajectories`.

    Examples
    --------
    >>> form_on_disk(xr.DataArray([0.5]), None, "log_probs")
    ('log_probs', dtype('float16'))
    """
    read_as = probs.encoding.get("store", "probs")
    form = store or read_as
    if form not in PREDICTIONS:
        raise ValueError(f"store must be one of {', '.join(map(repr, PREDICTIONS))}, got {store!r}")
    if dtype is None and form == read_as:
        dtype = probs.encoding.get("dtype", probs.dtype)
    elif dtype is None:
        dtype = probs.dtype if form == "probs" else np.float16
    if np.dtype(dtype).kind != "f":
        raise ValueError(f"dtype must be float16, float32 or float64, got {dtype!r}")
    return form, np.dtype(dtype)


def with_stored(ready: xr.Dataset, probs: xr.DataArray, form: str, dtype: np.dtype[Any]) -> xr.Dataset:
    """A dataset in which predictions stand as they are to be stored, lazy ones lazily, in the place of its `probs`."""
    stored = _as_stored(probs, form, dtype).drop_encoding()
    return ready.drop_vars("probs").assign({form: stored.drop_vars(stored.coords)})


def _as_stored(probs: xr.DataArray, form: str, dtype: np.dtype[Any]) -> xr.DataArray:
    known = source_of(probs)
    if known is not None and known.values.name == form:
        before = known.values.dtype
        # Probabilities in wider numbers are normalised, which those on disk are not.
        if before == dtype or (known.are_logarithms and np.can_cast(before, dtype)):
            return probs.copy(data=known.values.data.astype(dtype))
    if form == "probs":
        return probs.astype(dtype)
    zero_of = probs.encoding.get("dtype") if probs.encoding.get("store") == "probs" else None
    return map_rows(probs, partial(to_logarithms, zero_of=zero_of), dtype)


def _prepare(
    ds: xr.Dataset, kind: str, dtype: str | None, store: str | None
) -> tuple[xr.Dataset, dict[Hashable, dict[str, Any]]]:
    """The dataset without the encodings that it was read with, and the encodings to write it with."""
    # Text of any length: Zarr has no settled form for numpy's fixed-length text.
    ready = with_text(ds.drop_encoding(), "U", object)
    form = ""
    if "probs" in ds:
        form, numbers = form_on_disk(ds["probs"], dtype, store)
        numbers = np.promote_types(numbers, np.float32) if kind == ".nc" else numbers
        ready = with_stored(ready, ds["probs"], form, numbers)

    encoding = with_checksums(ready, kind)
    for name, variable in ready.data_vars.items():
        if variable.dtype == object:
            continue  # text, which is in memory already
        sizes = chunk_sizes(variable)
        ready[name] = variable.chunk(sizes)
        encoding[name]["chunksizes" if kind == ".nc" else "chunks"] = tuple(sizes.values())
    if form:
        encoding[form] |= {"zlib": True, "shuffle": True} if kind == ".nc" else _codecs(form)
    return ready, encoding


def _codecs(form: str) -> dict[str, Any]:
    """How predictions are made small on disk."""
    if form == "probs":
        return {"compressors": [BloscCodec(cname="zstd", clevel=9, shuffle="bitshuffle"), Crc32cCodec()]}
    # Logarithms of one class of one sample hardly change from checkpoint to checkpoint: side by side they need a sixth
    # less than in the order of `probs`.
    side_by_side = TransposeCodec(order=(1, 2, 0))  # (sample, class, checkpoint)
    codecs = [BloscCodec(cname="zstd", clevel=9, shuffle="shuffle"), Crc32cCodec()]
    return {"filters": [side_by_side], "compressors": codecs}


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
