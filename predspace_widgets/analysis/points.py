"""Single points of prediction space: predictions of one checkpoint, between two of a run, or a mean over runs.

Of predictions on disk only the wanted checkpoints are held, up to a number of bytes, and they are read block by block.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from predspace_widgets.analysis.cache import Cache
from predspace_widgets.analysis.measurements import Measurements
from predspace_widgets.geometry.curves import progress_records, reindex
from predspace_widgets.geometry.probabilities import Array, as_probabilities
from predspace_widgets.trajectories.logarithms import from_logarithms
from predspace_widgets.trajectories.source import source_of

# Points that are held together. The newest always stays, so that a larger one is held alone.
_MOST_BYTES = 2**29
# A mean, or a point between checkpoints, is held in float64 up to so many bytes and in float32 beyond.
_MOST_EXACT_BYTES = 2**27


@dataclass(frozen=True)
class Place:
    """Where a run is read: at a checkpoint, or at a value of progress between two of its checkpoints.

    Attributes
    ----------
    rows : tuple of int
        One row of the dataset, or two.
    progress : tuple of float
        Of two rows: the progress of each.
    at : float, optional
        Of two rows: the value of progress that is read.
    """

    rows: tuple[int, ...]
    progress: tuple[float, ...] = ()
    at: float | None = None

    def read(self, values: Mapping[int, NDArray[Any]]) -> Array:
        """Predictions (n, C) there, from those of its rows (n, C)."""
        if self.at is None:
            return as_probabilities(values[self.rows[0]])
        return reindex(np.stack([values[row] for row in self.rows]), self.progress, [self.at])[0]


@dataclass(frozen=True)
class Point:
    """A point of prediction space: the mean of the predictions of one or several runs.

    Attributes
    ----------
    name : str
        What it is, for people.
    places : tuple of Place
        One a run.
    """

    name: str
    places: tuple[Place, ...]

    @property
    def is_checkpoint(self) -> bool:
        """Whether it is a row of the dataset as it is."""
        return len(self.places) == 1 and self.places[0].at is None

    @property
    def rows(self) -> list[int]:
        """All rows that it is made of."""
        return [row for place in self.places for row in place.rows]

    def read(self, values: Mapping[int, NDArray[Any]]) -> NDArray[Any]:
        """Its predictions (n, C), from those of its rows (n, C)."""
        if self.is_checkpoint:
            return values[self.rows[0]]
        total = sum(place.read(values) for place in self.places)
        return np.asarray(total) / len(self.places)


def place_at_progress(rows: NDArray[np.intp], reached: Array, at: float) -> Place:
    """Where a run reaches a value of progress, as `predspace_widgets.geometry.reindex` has it.

    Parameters
    ----------
    rows : array of int, shape (t,)
        Rows of the checkpoints of the run, in order of training.
    reached : array, shape (t,)
        Their progress.
    at : float

    Raises
    ------
    ValueError
        The run does not reach it, or starts beyond it.
    """
    records = progress_records(reached)
    values = reached[records]  # strictly rising
    if not values[0] <= at <= values[-1]:
        raise ValueError(f"progress {at:g} is not within {values[0]:.3g} to {values[-1]:.3g}")
    after = min(int(np.searchsorted(values, at, side="right")), len(values) - 1)
    pair = [max(after - 1, 0), after]
    if pair[0] == pair[1]:
        return Place((int(rows[records[0]]),))
    return Place(tuple(rows[records[pair]].tolist()), tuple(values[pair].tolist()), float(at))


class Points:
    """Predictions of single points of a dataset, read when they are asked for and kept up to 512 MB.

    Parameters
    ----------
    measured : Measurements
    """

    def __init__(self, measured: Measurements) -> None:
        self._measured = measured
        self._cache = Cache(most_bytes=_MOST_BYTES)

    def read(self, *points: Point) -> list[NDArray[Any]]:
        """Predictions of some points, each (N, C), read-only: those on disk in one pass over them.

        Rows of checkpoints are as the dataset has them, in float32 or wider. Means, and points between checkpoints, are
        computed in float64 and held so up to 128 MB, in float32 beyond.

        Raises
        ------
        NoPredictionsError
        StoreChangedError
        """
        probs = self._measured.probs()
        if probs.chunks is None:
            values = probs.values
            return [_locked(_normal(point.read({row: values[row] for row in point.rows}))) for point in points]
        missing = {point.places: point for point in points if point.places not in self._cache}
        fresh = self._read(list(missing.values())) if missing else {}

        def of(point: Point) -> NDArray[Any]:
            return fresh[point.places] if point.places in fresh else self._read([point])[point.places]

        return [self._cache.get(point.places, partial(of, point)) for point in points]

    def _read(self, points: Sequence[Point]) -> dict[tuple[Place, ...], NDArray[Any]]:
        """Points by their places, from disk: block by block, of which only the wanted rows stay."""
        probs = self._measured.ds["probs"].transpose("checkpoint", "sample", "class")
        rows = sorted({row for point in points for row in point.rows})
        results = {point.places: np.empty(probs.shape[1:], _dtype(point, probs)) for point in points}

        def fill() -> None:
            for samples, block in _blocks(probs, rows):
                values = dict(zip(rows, block, strict=True))
                for point in points:
                    results[point.places][samples] = point.read(values)

        self._measured.unchanged(fill)
        return {places: _locked(values) for places, values in results.items()}


def _dtype(point: Point, probs: xr.DataArray) -> DTypeLike:
    stored = np.promote_types(probs.dtype, np.float32)
    if point.is_checkpoint:
        return stored
    n_bytes = 8 * probs.sizes["sample"] * probs.sizes["class"]
    return np.float64 if n_bytes <= _MOST_EXACT_BYTES else stored


def _blocks(probs: xr.DataArray, rows: list[int]) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Slices of samples and the predictions (row, n, C) of some rows for them, from disk."""
    stored = source_of(probs)
    # As they are stored, for only of that the rows are cut out before anything is made of them.
    raw = probs if stored is None else stored.values
    on_disk = raw.encoding.get("preferred_chunks", {}).get("checkpoint", 1 if stored else len(raw))
    groups = [list(group) for _, group in itertools.groupby(rows, lambda row: row // on_disk)]  # of one file each
    start = 0
    for size in raw.chunksizes["sample"]:
        samples = slice(start, start + size)
        block = np.concatenate([_few_rows(raw, group, samples) for group in groups])
        if stored is not None and stored.are_logarithms:
            block = from_logarithms(block, probs.dtype)
        elif stored is not None:
            block = block.astype(probs.dtype)
            block /= block.sum(axis=-1, keepdims=True)
        yield samples, block
        start += size


def _few_rows(raw: xr.DataArray, rows: list[int], samples: slice) -> NDArray[Any]:
    """Some rows (row, n, C) of a lazy array: of a slice of checkpoints dask reads no files but those that hold it."""
    between = raw.isel(checkpoint=slice(rows[0], rows[-1] + 1), sample=samples).compute(scheduler="threads")
    few: NDArray[Any] = between.values[[row - rows[0] for row in rows]]
    return few


def _normal(values: NDArray[Any]) -> NDArray[Any]:
    """Predictions of a dataset made in memory, which may be float16; others stay as they are, without a copy."""
    return as_probabilities(values).astype(np.float32) if values.dtype == np.float16 else values


def _locked(values: NDArray[Any]) -> NDArray[Any]:
    """The same values, which nobody can change: they are the dataset's own, or are kept for who asks next."""
    view = values.view()
    view.flags.writeable = False
    return view
