"""Blocks: means over the samples of predictions that need not fit in memory, computed here or on a cluster.

A block is some samples of all checkpoints. `Measurements` computes every mean over samples (distances, accuracy,
lengths of steps) by `mean_over_samples`. Predictions in memory (up to 256 MB) are one block. Larger ones are lazy: each
block is read, gives its share of the mean, and is dropped. Dask maps the blocks and adds the shares as a tree, on the
workers of the active `distributed.Client`, or else in this process, one block after the other, each on all threads of
`geometry.engine`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from importlib import metadata
from typing import Any, TypeVar

import dask.array as da
import numpy as np
import xarray as xr
from dask.diagnostics import ProgressBar
from numpy.typing import NDArray

from predspace_widgets.analysis.large.kept import Results
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.source import StoreChangedError

#: What is computed of a block: from its predictions (T, n, C) and the slice of samples that it holds.
OfBlock = Callable[[NDArray[Any], slice], Array]

# A result is kept on disk in so many parts, in fewer if they are large. A computation that is stopped loses the parts
# that are being computed, one for each worker.
_PARTS = 32
_PARTS_BYTES = 2**30
_ADDED_AT_ONCE = 2  # shares; the fewer are added at once, the fewer are in memory
_SHOWN_AFTER = 3.0  # seconds; shorter work needs no progress bar
_MOST_THREADS = 8  # each of which holds predictions of its own
_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


def mean_over_samples(
    probs: xr.DataArray,
    of_block: OfBlock,
    shape: tuple[int, ...],
    name: str = "",
    results: Results | None = None,
    show_progress: bool = True,
) -> Array:
    """The mean over all samples of what a function gives as the mean over those of a block.

    Parameters
    ----------
    probs : xarray.DataArray (checkpoint, sample, class)
        In memory, where it is a single block, or lazy.
    of_block : function
        See `OfBlock`; it must be picklable where workers compute.
    shape : tuple of int
        Of what it gives.
    name : str
        Of the mean, in `results`.
    results : Results, optional
        Where sums over several blocks are kept; those that are there already are not computed again.
    show_progress : bool

    Returns
    -------
    array of the given shape, float64

    Raises
    ------
    ValueError
        Chunks split the classes of a sample, which belong together.
    OSError
        A worker lacks this package, or has another version of it; shares cannot be kept.
    """
    if probs.chunks is None:
        return of_block(probs.values, slice(0, probs.sizes["sample"]))
    lazy = whole_rows(probs)
    size = int(np.prod(shape))
    shares = da.map_blocks(
        _share_of_block,
        lazy,
        of_block,
        dtype=np.float64,
        chunks=((size,), (1,) * lazy.numblocks[1], (1,)),
        meta=np.empty((0, 0, 0)),
    )  # (size, block, 1)
    if results is None:
        total = _compute(_added(shares), show_progress)
    else:
        edges = hashlib.blake2b(repr(lazy.chunks[1]).encode(), digest_size=4).hexdigest()
        total = _kept_sum(shares, f"{name}.{edges}", results, show_progress)
    return total.reshape(shape)


def of_each_sample(probs: xr.DataArray, of_block: OfBlock, n_values: int, show_progress: bool = True) -> Array:
    """What a function gives for each checkpoint and sample of a block, (T, n, n_values), for all samples.

    Parameters, errors : see `mean_over_samples`.

    Returns
    -------
    array, shape (T, N, n_values), float64
    """
    if probs.chunks is None:
        return of_block(probs.values, slice(0, probs.sizes["sample"]))
    lazy = whole_rows(probs)
    chunks = (lazy.chunks[0], lazy.chunks[1], (n_values,))
    values = da.map_blocks(_call, lazy, of_block, dtype=np.float64, chunks=chunks, meta=np.empty((0, 0, 0)))
    return _compute(values, show_progress)


def in_slices(block: NDArray[Any], samples: slice, of_block: OfBlock, n_samples: int) -> Array:
    """The mean that a function gives of a block, computed on `n_samples` samples at a time to need less memory."""
    n = block.shape[1]
    if n <= n_samples:
        return of_block(block, samples)
    starts = range(0, n, n_samples)
    parts = (
        min(n_samples, n - k)
        / n
        * of_block(block[:, k : k + n_samples], slice(samples.start + k, samples.start + min(k + n_samples, n)))
        for k in starts
    )
    return np.asarray(sum(parts))


def in_threads(tasks: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """Results of tasks that hold no lock of Python for long, on the threads that a task of ours may use."""
    n_threads = min(threads_of_a_task() or os.cpu_count() or 1, _MOST_THREADS, len(tasks))
    if n_threads < 2:
        return [task() for task in tasks]
    pool = ThreadPoolExecutor(n_threads)
    try:
        return list(pool.map(lambda task: task(), tasks))
    finally:
        pool.shutdown(cancel_futures=True)


def threads_of_a_task() -> int | None:
    """Threads that the engine may use: 1 in a task of a cluster, whose workers fill the cores; else None, all."""
    if "distributed" in sys.modules:
        from distributed import get_worker

        try:
            get_worker()
        except ValueError:
            return None
        return 1
    return None


def active_client() -> Any:
    """The `distributed.Client` that computations go to, or None."""
    if "distributed" not in sys.modules:  # importing it takes a second, and without it there is no client
        return None
    from distributed import Client

    try:
        client = Client.current()
    except ValueError:
        return None
    return None if client.asynchronous else client  # an asynchronous client cannot be waited for here


def check_workers(client: Any) -> None:
    """Raise OSError, naming them, unless all workers of a client have this version of this package."""
    package = __name__.partition(".")[0].replace("_", "-")
    here = metadata.version(package)
    versions = client.run(metadata.version, package, on_error="return")
    for worker, version in versions.items():
        if version != here:
            has = "has no" if isinstance(version, Exception) else f"has version {version} of"
            raise OSError(f"the worker {worker} {has} {package}: install version {here} there, as it is here")


def whole_rows(probs: xr.DataArray) -> da.Array:
    """The lazy array with whole checkpoints and classes in every block."""
    lazy: da.Array = probs.transpose("checkpoint", "sample", "class").data
    if lazy.numblocks[2] > 1:
        raise ValueError("the chunks of probs split the classes of a sample: use ds.chunk({'class': -1}) first")
    return lazy if lazy.numblocks[0] == 1 else lazy.rechunk({0: -1})


def _call(block: NDArray[Any], of_block: OfBlock, block_info: Any = None) -> Array:
    start, stop = block_info[0]["array-location"][1]
    return of_block(block, slice(start, stop))


def _share_of_block(block: NDArray[Any], of_block: OfBlock, block_info: Any = None) -> Array:
    share = block.shape[1] / block_info[0]["shape"][1]
    return share * _call(block, of_block, block_info).reshape(-1, 1, 1)


def _added(shares: da.Array) -> da.Array:
    return shares.sum(axis=1, split_every=_ADDED_AT_ONCE)  # (size, block, 1) -> (size, 1)


def _kept_sum(shares: da.Array, name: str, results: Results, show_progress: bool) -> Array:
    """The sum of the shares of all blocks, in parts of several blocks: each is read from disk, or computed and kept."""
    size, n_blocks = shares.shape[0], shares.shape[1]
    n_parts = min(n_blocks, _PARTS, _PARTS_BYTES // max(8 * size, 1))
    if n_parts < 2:  # the caller keeps the sum itself
        return _compute(_added(shares), show_progress)
    edges = [n_blocks * k // n_parts for k in range(n_parts + 1)]
    name = f"{name}.{n_parts}-parts-of-{n_blocks}-blocks"
    total, missing = np.zeros((size, 1)), []
    for number in range(n_parts):
        kept = results.part(name, number)  # (size,)
        if kept is not None:
            total += kept[:, None]
            continue
        part: Any = _added(shares[:, edges[number] : edges[number + 1]])  # (size, 1)
        missing.append(part.map_blocks(_write, results, name, number, n_parts, dtype=np.float64, meta=np.empty((0, 0))))
    if missing:
        total += _compute(_added(da.stack(missing, axis=1)), show_progress)
    return total


def _write(part: Array, results: Results, name: str, number: int, n_parts: int) -> Array:
    try:
        results.write(name, part.ravel(), number, n_parts)
    except StoreChangedError:
        raise
    except OSError as error:  # a full disk must not lose what is computed
        _log.warning("a part of a result is not kept: %s", error)
    return part


def _compute(lazy: da.Array, show_progress: bool) -> Array:
    client = active_client()
    if client is None:
        bar = ProgressBar(minimum=_SHOWN_AFTER) if show_progress else nullcontext()
        with bar:
            return np.asarray(lazy.compute(scheduler="synchronous"))
    check_workers(client)
    from distributed import progress, wait

    future = client.compute(lazy)
    try:
        if show_progress:
            with suppress(TimeoutError):
                wait(future, timeout=_SHOWN_AFTER)
            if not future.done():
                progress(future, notebook=False)
        return np.asarray(future.result())
    except BaseException:
        future.cancel()
        raise
