"""Rows of predictions in files: checked in one pass, and read a block of samples of all runs at a time."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.diagnostics import ProgressBar
from numpy.typing import NDArray

from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE
from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.logarithms import from_logarithms

# A block of samples of all runs, as it is given; several threads hold one each.
_BLOCK_BYTES = 256 * 2**20
# What the check reads at a time, at least one piece of the file.
_PART_BYTES = 32 * 2**20
_MOST_AT_ONCE = 4  # threads of the check
_ROWS_BYTES = 16 * 2**20  # of float64 that is computed with at a time
_PIECES_READ = 8  # times that a piece of a file is read before the report says so


@dataclass(frozen=True)
class RunRows:
    """Predictions of one run in a file.

    Attributes
    ----------
    name : str
        How messages call it.
    shape : tuple of int
        (T, N, C).
    dtype : numpy.dtype
    pieces : tuple of int
        Checkpoints and samples that lie together in the file, and are best read together.
    read : callable
        Gives (t, n, C) of a slice of the checkpoints and one of the samples.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    pieces: tuple[int, int]
    read: Callable[[slice, slice], NDArray[Any]]


def rounding_tolerance(n_classes: int) -> float:
    """How far from 1 the sum of a row can be that was rounded to 4 decimals, and then to float16.

    Each of C probabilities is off by up to C * 0.5e-4 in all; float16 adds 2**-11 of their sum, and 2**-25 for each
    number below its normal ones.

    Examples
    --------
    >>> round(rounding_tolerance(1000), 4), round(rounding_tolerance(10), 4)
    (0.0505, 0.001)
    """
    by_decimals = n_classes * 0.5e-4
    return by_decimals + 2.0**-11 * (1 + by_decimals) + n_classes * 2.0**-25


@dataclass(frozen=True)
class RowReader:
    """How rows of a file become probabilities.

    Attributes
    ----------
    logits : bool
        Whether they go through a softmax; probabilities are divided by their sum.
    tolerance : float
        How far the sum of a row of probabilities may be from 1.
    hint : str
        What else a row can be that is no probabilities; see `arrays.py`.
    """

    logits: bool = False
    tolerance: float = ROW_SUM_TOLERANCE
    hint: str = ""

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Of the probabilities: as stored, at least float32 for logits."""
        return np.promote_types(stored, np.float32) if self.logits else stored.newbyteorder("=")

    def problems(self, rows: NDArray[np.float64]) -> Iterator[tuple[str, Any]]:
        """What rows (n, C) must not be, and which of them (n,) are."""
        if self.logits:
            # Minus infinity is the logit of a class that is ruled out.
            yield "a logit is NaN or infinite", (np.isnan(rows) | np.isposinf(rows)).any(axis=-1)
            yield "every logit is minus infinity", np.isneginf(rows).all(axis=-1)
            return
        yield "a probability is NaN or infinite", ~np.isfinite(rows).all(axis=-1)
        yield f"a probability is negative{self.hint}", (rows < 0).any(axis=-1)
        yield "all probabilities are 0", (rows == 0).all(axis=-1)

    def probabilities(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Probabilities (..., C) of rows that have no problem."""
        if self.logits:
            return from_logarithms(rows, self.dtype(rows.dtype))
        values = rows.astype(np.promote_types(rows.dtype, np.float32))
        values /= values.sum(axis=-1, keepdims=True, dtype=np.float64)
        return values.astype(self.dtype(rows.dtype), copy=False)


@dataclass(frozen=True)
class Checked:
    """What the check of a run found.

    Attributes
    ----------
    digest : str
        Of its rows as they are stored; the same for the same shape and bytes.
    worst : float
        Largest distance of the sum of a row from 1, before it is corrected.
    n_right : int
        Samples whose most probable class at the last checkpoint is their label.
    looks_like_probs : bool
        No row is negative, and all sum to 1.
    """

    digest: str
    worst: float
    n_right: int
    looks_like_probs: bool


@dataclass(frozen=True)
class _Seen:
    """The same of a part of a run, with the place of its worst row and the number of those beyond the tolerance."""

    digest: bytes
    worst: float
    place: tuple[int, int]
    n_beyond: int
    n_right: int
    nonnegative: bool


def check_rows(runs: Sequence[RunRows], reader: RowReader, label: NDArray[Any]) -> list[Checked]:
    """Read every row once, in the order of the files, with a progress bar.

    Parameters
    ----------
    runs : sequence of RunRows
        All with N samples and C classes.
    reader : RowReader
    label : array of int, shape (N,)

    Raises
    ------
    ValueError
        A row is no probabilities, or no logits; the message names run, checkpoint and sample.
    """
    plan = {run.shape: list(_parts(run)) for run in reversed(runs)}  # one for each shape, so that digests compare
    lazy = [[dask.delayed(_look)(run, reader, label, *part) for part in plan[run.shape]] for run in runs]
    with ProgressBar(minimum=3, out=sys.stderr):
        seen: list[list[_Seen]] = dask.compute(lazy, scheduler="threads", num_workers=_MOST_AT_ONCE)[0]
    _check_tolerance(runs, reader, seen)
    return [
        Checked(
            hashlib.blake2b(b"".join(part.digest for part in parts), digest_size=16).hexdigest() + str(run.shape),
            max(part.worst for part in parts),
            sum(part.n_right for part in parts),
            all(part.nonnegative for part in parts) and max(part.worst for part in parts) <= ROW_SUM_TOLERANCE,
        )
        for run, parts in zip(runs, seen, strict=True)
    ]


def _parts(run: RunRows) -> Iterator[tuple[slice, slice]]:
    """Slices of checkpoints and samples that cover a run, of whole pieces of its file each."""
    n_samples = run.shape[1]
    at_once, together = run.pieces
    size = min(max(1, _most_rows(run) // (at_once * together)) * together, n_samples)
    for checkpoints in _checkpoints_at_once(run, size):
        for start in range(0, n_samples, size):
            yield checkpoints, slice(start, min(start + size, n_samples))


def _checkpoints_at_once(run: RunRows, n_samples: int) -> Iterator[slice]:
    """Slices of checkpoints of so many samples each, of whole pieces of the file."""
    size = max(1, _most_rows(run) // (n_samples * run.pieces[0])) * run.pieces[0]
    for first in range(0, run.shape[0], size):
        yield slice(first, min(first + size, run.shape[0]))


def _most_rows(run: RunRows) -> int:
    return max(1, _PART_BYTES // (run.shape[2] * run.dtype.itemsize))


def _look(run: RunRows, reader: RowReader, label: NDArray[Any], checkpoints: slice, samples: slice) -> _Seen:
    block = run.read(checkpoints, samples)  # (t, n, C)
    digest = hashlib.blake2b(np.ascontiguousarray(block).view(np.uint8).data, digest_size=16).digest()
    worst, place, n_beyond, nonnegative = -1.0, (0, 0), 0, True
    step = max(1, _ROWS_BYTES // (8 * run.shape[2]))
    for row, values in enumerate(block, start=checkpoints.start):
        for start in range(0, len(values), step):
            rows = values[start : start + step].astype(np.float64)  # (n, C)
            first = samples.start + start
            for problem, bad in reader.problems(rows):
                if bad.any():
                    raise ValueError(f"{_place(run, row, first + int(bad.argmax()))}: {problem}")
            with np.errstate(invalid="ignore"):  # logits may be -inf
                off = np.abs(rows.sum(axis=-1) - 1)  # (n,)
            nonnegative &= bool((rows >= 0).all())
            n_beyond += int(np.count_nonzero(off > reader.tolerance))
            if off.max() > worst:
                worst, place = float(off.max()), (row, first + int(off.argmax()))
    n_right = 0
    if checkpoints.stop == run.shape[0]:
        n_right = int(np.count_nonzero(block[-1].argmax(axis=-1) == label[samples]))
    return _Seen(digest, worst, place, n_beyond, n_right, nonnegative)


def _check_tolerance(runs: Sequence[RunRows], reader: RowReader, seen: list[list[_Seen]]) -> None:
    """Raise ValueError, naming the worst row of all, if one is farther from 1 than the tolerance."""
    n_beyond = sum(part.n_beyond for parts in seen for part in parts)
    if reader.logits or not n_beyond:
        return
    run, part = max(
        ((run, part) for run, parts in zip(runs, seen, strict=True) for part in parts), key=lambda pair: pair[1].worst
    )
    n_rows = sum(math.prod(run.shape[:2]) for run in runs)
    raise ValueError(
        f"{n_beyond:,} of {n_rows:,} rows miss the sum 1 by more than --row-tolerance {reader.tolerance:.4g}; the "
        f"worst is {_place(run, *part.place)}, by {part.worst:.4g}{reader.hint}"
    )


def _place(run: RunRows, checkpoint: int, sample: int) -> str:
    return f"{run.name}, checkpoint {checkpoint}, sample {sample}"


# -- reading ----------------------------------------------------------------------------------------------------------


def lazy_rows(runs: Sequence[RunRows], reader: RowReader, report: Report) -> da.Array:
    """Probabilities of all runs, one after the other, as a lazy array (T, N, C) of blocks of samples.

    A block holds all checkpoints of its samples, as blocks of a dataset do, and starts where a piece of the file does
    or within one: as few pieces as can be are read twice.
    """
    n_checkpoints = sum(run.shape[0] for run in runs)
    _, n_samples, n_classes = runs[0].shape
    dtype = np.result_type(*(reader.dtype(run.dtype) for run in runs))
    most = max(1, _BLOCK_BYTES // (n_checkpoints * n_classes * dtype.itemsize))
    together = max(run.pieces[1] for run in runs)
    sizes = tuple(_block_sizes(n_samples, together, most))
    times = -(-min(together, n_samples) // most)
    if times > _PIECES_READ:
        report.note(
            f"the files keep {together:,} samples together, and a block of all runs has {most:,}: each piece was "
            f"read {times:,} times"
        )
    chunks = ((n_checkpoints,), sizes, (n_classes,))
    read = partial(_read_block, tuple(runs), reader)
    return da.map_blocks(read, chunks=chunks, dtype=dtype, meta=np.empty((0, 0, 0), dtype))


def _block_sizes(n_samples: int, together: int, most: int) -> Iterator[int]:
    """Numbers of samples of blocks: several pieces of a file, or equal parts of one."""
    whole = max(1, most // together) * together
    for start in range(0, n_samples, whole):
        left = min(whole, n_samples - start)
        n_parts = -(-left // most)
        yield from (left * (part + 1) // n_parts - left * part // n_parts for part in range(n_parts))


def _read_block(runs: tuple[RunRows, ...], reader: RowReader, block_info: Any = None) -> NDArray[Any]:
    [(_, n_checkpoints), (start, stop), (_, n_classes)] = block_info[None]["array-location"]
    block = np.empty((n_checkpoints, stop - start, n_classes), block_info[None]["dtype"])
    row = 0
    for run in runs:
        for checkpoints in _checkpoints_at_once(run, stop - start):  # besides the block, little is in memory
            rows = run.read(checkpoints, slice(start, stop))  # (t, n, C)
            block[row + checkpoints.start : row + checkpoints.stop] = reader.probabilities(rows)
        row += run.shape[0]
    return block
