"""Tiles: all pairwise distances, written to a Zarr directory on disk, where a T x T matrix does not fit in memory.

Only `ds.predspace.save_distances` uses this: pictures of so many checkpoints need no T x T matrix, since landmarks
give their axes. The matrix is computed in strips of rows, each by `blocks`, and stored in square tiles.
"""

from __future__ import annotations

import os
import uuid
import zlib
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import dask.array as da
import fsspec
import numpy as np
import xarray as xr
import zarr
from dask.base import tokenize
from numpy.typing import NDArray
from rich.progress import track

from predspace_widgets.analysis.large.blocks import mean_over_samples
from predspace_widgets.analysis.large.kept import check_room
from predspace_widgets.analysis.measurements import distances_of_block
from predspace_widgets.geometry.distance import Metric, check_metric
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS
from predspace_widgets.trajectories.checksums import DOES_NOT_FIT, DamagedError
from predspace_widgets.trajectories.limits import check_files
from predspace_widgets.trajectories.replacing import clear_partial, replacing
from predspace_widgets.trajectories.schema import check_predictions
from predspace_widgets.trajectories.sealing import COMPRESSORS
from predspace_widgets.trajectories.source import digest_of, is_local, source_of

# A strip of rows of the matrix has up to this size; a few strips are in memory at a time.
_STRIP_BYTES = 2**29
_VERSION = 1


class _Matrix(NamedTuple):
    """The arrays of a matrix of T checkpoints in tiles of as many rows as its strips."""

    distance: Any  # (T, T)
    done: Any  # (strips,): which are complete
    checksums: Any  # (strips, strips), of the tiles; None in a matrix of an earlier version


def save_distances(
    ds: xr.Dataset,
    path: str | os.PathLike[str],
    metric: Metric = "bhattacharyya",
    device: str = "cpu",
    show_progress: bool = True,
) -> xr.DataArray:
    """Write all distances to a Zarr directory, strip by strip; see `PredspaceAccessor.save_distances`.

    For every strip all predictions are read. Distances are symmetric, so its tiles are written on both sides of the
    diagonal. A strip is then noted as done, and the same call after a stop computes only strips that are not.
    """
    check_metric(metric)
    where = os.path.expanduser(os.fspath(path).rstrip("/"))
    if not where.endswith(".zarr"):
        raise ValueError(f"distances are written to a directory whose name ends in .zarr, not to {where}")
    check_predictions(ds)
    probs = ds["probs"].transpose("checkpoint", "sample", "class")
    n_points = len(probs)
    stored = source_of(ds["probs"])
    source = None if stored is None else stored.source
    if stored is not None:
        stored.source.check_unchanged()
        probs = probs if stored.are_logarithms else stored.values
    height = int(np.clip(_STRIP_BYTES // (8 * n_points), 1, n_points))
    content = tokenize(digest_of(source) if source else ds["probs"].variable.data, metric, height, _VERSION)
    array, done, sums = _begin(ds, where, content, metric, height)
    missing = np.flatnonzero(~done[:])
    for strip in track(missing.tolist(), "distances", disable=not show_progress or len(missing) < 2, transient=True):
        start = strip * height
        rows = np.arange(start, min(start + height, n_points))
        columns = np.arange(start, n_points)
        of_block = partial(distances_of_block, rows=rows, columns=columns, metric=metric, device=device)
        values = mean_over_samples(probs, of_block, (len(rows), n_points - start), show_progress=False)
        square = values[:, : len(rows)]  # the tile on the diagonal; its two halves are rounded differently
        square[:] = (square + square.T) / 2
        np.fill_diagonal(square, 0.0)
        array[start : start + len(rows), start:] = values
        array[start:, start : start + len(rows)] = values.T
        if sums is not None:
            tiles = np.array_split(values.astype(np.float32), np.arange(height, n_points - start, height), axis=1)
            others = [_checksum(tile.T, content, strip + k, strip) for k, tile in enumerate(tiles)]
            sums[strip, strip:] = [_checksum(tile, content, strip, strip + k) for k, tile in enumerate(tiles)]
            sums[strip:, strip] = others
        if source is not None:
            source.check_unchanged()
        done[strip] = True
    lazy = da.from_array(array, chunks=(height, height), name=f"distances-{tokenize(where, content, uuid.uuid4())}")
    if sums is not None:
        meta = np.empty((0, 0), np.float32)
        lazy = lazy.map_blocks(_checked, sums[...], where, content, dtype=np.float32, meta=meta)
    coords = {name: ("checkpoint", ds[name].values) for name in CHECKPOINT_COORDS}
    return xr.DataArray(lazy, coords, ("checkpoint", "other"), "distance")


def _checked(
    tile: NDArray[np.float32], sums: NDArray[np.uint32], where: str, content: str, block_id: tuple[int, int] = (0, 0)
) -> NDArray[np.float32]:
    """A tile as it was written."""
    if _checksum(tile, content, *block_id) != sums[block_id]:
        raise DamagedError([f"tile {block_id} of 'distance' {DOES_NOT_FIT}"], where)
    return tile


def _checksum(tile: NDArray[np.float32], content: str, row: int, column: int) -> int:
    """Of the values of a tile, of what they are distances of, and of its place."""
    return zlib.crc32(np.ascontiguousarray(tile).data, zlib.crc32(f"{content} {row} {column}".encode()))


def _begin(ds: xr.Dataset, where: str, content: str, metric: str, height: int) -> _Matrix:
    """Where these distances are: in a new matrix, or in the one that an earlier call has begun."""
    n_points = ds.sizes["checkpoint"]
    files, root = fsspec.url_to_fs(where)
    if files.exists(root):
        matrix = _matrix_of(where, content, n_points)
        if matrix is None:
            raise ValueError(
                f"{where} is there and holds no distances of these predictions: delete it or choose another name"
            )
        if is_local(where):
            clear_partial(root, older_than=3600)
        return matrix
    check_room(where, 4 * n_points**2, "take a picture by landmarks, which needs no T x T matrix")
    coords = {name: ("checkpoint", ds[name].values.astype(object)) for name in CHECKPOINT_COORDS}
    n_strips = -(-n_points // height)
    empty = da.full((n_points, n_points), np.nan, chunks=(height, height), dtype=np.float32)
    ready = xr.Dataset(
        {
            "distance": (("checkpoint", "other"), empty),
            "done": ("strip", np.zeros(n_strips, dtype=bool)),
            "checksums": (("strip", "other_strip"), np.zeros((n_strips, n_strips), np.uint32)),
        },
        coords=coords,
        attrs={"metric": metric},
    )
    encoding = {name: {"compressors": COMPRESSORS} for name in ready.variables}
    # On a disk it is there when it is complete; in object storage what is unfinished has no content.
    with replacing(root) if is_local(where) else nullcontext(where) as new:
        ready.to_zarr(new, mode="w-", compute=False, encoding=encoding, zarr_format=3, consolidated=False)
        zarr.open_group(new, mode="r+", zarr_format=3).attrs["content"] = content
    begun = _matrix_of(where, content, n_points)
    if begun is None:
        raise OSError(f"{where} has changed while distances were begun there")
    return begun


def _matrix_of(where: str, content: str, n_points: int) -> _Matrix | None:
    """The arrays of these distances; None where there are none, those of others, or damaged ones."""
    try:
        if is_local(where):
            check_files(where)
        group = zarr.open_group(where, mode="r+", zarr_format=3)
        matrix = _Matrix(group["distance"], group["done"], group.get("checksums"))
        n_strips = -(-n_points // matrix.distance.chunks[0])
        fits = (
            group.attrs["content"] == content
            and matrix.distance.shape == (n_points, n_points)
            and matrix.done.shape == (n_strips,)
            and (matrix.checksums is None or matrix.checksums.shape == (n_strips, n_strips))
        )
    except Exception:  # the libraries that read a damaged or foreign one may raise anything
        return None
    return matrix if fits else None
