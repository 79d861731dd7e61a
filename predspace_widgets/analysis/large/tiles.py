"""Tiles: all pairwise distances, written to a Zarr directory on disk, where a T x T matrix does not fit in memory.

Only `ds.predspace.save_distances` uses this: pictures of so many checkpoints need no T x T matrix, since landmarks
give their axes. The matrix is computed in strips of rows, each by `blocks`, and stored in square tiles.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial
from typing import Any

import dask.array as da
import fsspec
import numpy as np
import xarray as xr
import zarr
from dask.base import tokenize
from rich.progress import track

from predspace_widgets.analysis.large.blocks import mean_over_samples
from predspace_widgets.analysis.large.kept import check_room
from predspace_widgets.analysis.measurements import distances_of_block
from predspace_widgets.geometry.distance import Metric, check_metric
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS
from predspace_widgets.trajectories.replacing import clear_partial, replacing
from predspace_widgets.trajectories.schema import check_predictions
from predspace_widgets.trajectories.sealing import COMPRESSORS
from predspace_widgets.trajectories.source import digest_of, is_local, source_of

# A strip of rows of the matrix has up to this size; a few strips are in memory at a time.
_STRIP_BYTES = 2**29
_VERSION = 1


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
    group = _begin(ds, where, content, metric, height)
    array: Any = group["distance"]
    done: Any = group["done"]
    missing = np.flatnonzero(~done[:])
    for strip in track(missing, "distances", disable=not show_progress or len(missing) < 2, transient=True):
        start = int(strip) * height
        rows = np.arange(start, min(start + height, n_points))
        columns = np.arange(start, n_points)
        of_block = partial(distances_of_block, rows=rows, columns=columns, metric=metric, device=device)
        values = mean_over_samples(probs, of_block, (len(rows), n_points - start), show_progress=False)
        square = values[:, : len(rows)]  # the tile on the diagonal; its two halves are rounded differently
        square[:] = (square + square.T) / 2
        np.fill_diagonal(square, 0.0)
        array[start : start + len(rows), start:] = values
        array[start:, start : start + len(rows)] = values.T
        if source is not None:
            source.check_unchanged()
        done[int(strip)] = True
    distances = xr.open_zarr(where, zarr_format=3, consolidated=False)["distance"]
    return distances.assign_coords({name: ("checkpoint", ds[name].values) for name in CHECKPOINT_COORDS})


def _begin(ds: xr.Dataset, where: str, content: str, metric: str, height: int) -> zarr.Group:
    """The Zarr group of these distances: a new one, or the one that an earlier call has begun."""
    n_points = ds.sizes["checkpoint"]
    files, root = fsspec.url_to_fs(where)
    if files.exists(root):
        try:
            group = zarr.open_group(where, mode="r+", zarr_format=3)
        except (OSError, ValueError):
            group = None
        if group is None or group.attrs.get("content") != content:
            raise ValueError(
                f"{where} is there and holds no distances of these predictions: delete it or choose another name"
            )
        if is_local(where):
            clear_partial(root, older_than=3600)
        return group
    check_room(where, 4 * n_points**2, "take a picture by landmarks, which needs no T x T matrix")
    coords = {name: ("checkpoint", ds[name].values.astype(object)) for name in CHECKPOINT_COORDS}
    empty = da.full((n_points, n_points), np.nan, chunks=(height, height), dtype=np.float32)
    matrix = xr.Dataset(
        {"distance": (("checkpoint", "other"), empty), "done": ("strip", np.zeros(-(-n_points // height), dtype=bool))},
        coords=coords,
        attrs={"metric": metric},
    )
    encoding = {name: {"compressors": COMPRESSORS} for name in matrix.variables}
    # On a disk it is there when it is complete; in object storage what is unfinished has no content.
    with replacing(root) if is_local(where) else nullcontext(where) as new:
        matrix.to_zarr(new, mode="w-", compute=False, encoding=encoding, zarr_format=3, consolidated=False)
        zarr.open_group(new, mode="r+", zarr_format=3).attrs["content"] = content
    return zarr.open_group(where, mode="r+", zarr_format=3)
