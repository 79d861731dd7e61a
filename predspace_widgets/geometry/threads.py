"""Threads of our own, beside which matrix products keep to one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numba
from threadpoolctl import threadpool_limits

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_lock = threading.Lock()
_n_inside = 0
_limits: threadpool_limits | None = None


def n_threads_or_all(threads: int | None) -> int:
    """As many threads as are asked for, or one for each core that this process may use (NUMBA_NUM_THREADS)."""
    return threads or int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


@contextmanager
def blas_on_one_thread() -> Iterator[None]:
    """Matrix products on one thread each, for tasks on threads of ours: those of products would wait for each other."""
    # The number is one for the whole process: the first to come sets it, the last to go sets it back.
    global _n_inside, _limits
    with _lock:
        if not _n_inside:
            _limits = threadpool_limits(1, user_api="blas")
        _n_inside += 1
    try:
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if not _n_inside and _limits is not None:
                _limits.restore_original_limits()
                _limits = None


def map_threads(work: Callable[[_Task], _Result], tasks: Sequence[_Task], n_threads: int) -> list[_Result]:
    """Results of all tasks, done by a pool of threads, in each of which matrix products run on one thread."""
    if n_threads == 1 or len(tasks) < 2:
        return [work(task) for task in tasks]
    with blas_on_one_thread():
        pool = ThreadPoolExecutor(n_threads)
        try:
            return list(pool.map(work, tasks))
        finally:
            pool.shutdown(cancel_futures=True)
