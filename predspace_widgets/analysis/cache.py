"""Results in memory: each is computed once, and who needs another one does not wait for it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Cache:
    """Results by their keys, shared by threads.

    A result that is there is returned at once, whatever else is being computed. One that is being computed is waited
    for, not computed again.

    Parameters
    ----------
    most : int, optional
        The most results to hold: the least recently used go first. By default all are held.
    most_bytes : int, optional
        The most bytes that they may have together, of those that say so (`nbytes`). The newest always stays.

    Examples
    --------
    >>> cache = Cache(most=1)
    >>> cache.get("one", lambda: 1), cache.get("one", lambda: 2), len(cache)
    (1, 1, 1)
    """

    def __init__(self, most: int | None = None, most_bytes: int | None = None) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._results: OrderedDict[Hashable, Future[Any]] = OrderedDict()
        self._lock = threading.Lock()  # held for looking up, never while something is computed

    def __len__(self) -> int:
        return len(self._results)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._results

    def get(self, key: Hashable, compute: Callable[[], _Result]) -> _Result:
        """The result of a key, computed where it is not there; an error of `compute` is raised and not kept."""
        while True:
            with self._lock:
                result = self._results.get(key)
                is_new = result is None
                if result is None:
                    result = self._results[key] = Future()
                self._results.move_to_end(key)
            if is_new:
                self._fill(key, result, compute)
            try:
                value: _Result = result.result()
                return value
            except CancelledError:  # the thread that computed it was interrupted
                continue

    def _fill(self, key: Hashable, result: Future[Any], compute: Callable[[], Any]) -> None:
        try:
            result.set_result(compute())
        except Exception as error:
            self._drop(key, result)
            result.set_exception(error)
        except BaseException:  # Ctrl-C is not for those who wait: they compute it themselves
            self._drop(key, result)
            result.cancel()
            raise
        else:
            self._make_room()

    def _drop(self, key: Hashable, result: Future[Any]) -> None:
        with self._lock:
            if self._results.get(key) is result:
                del self._results[key]

    def _make_room(self) -> None:
        with self._lock:
            while len(self._results) > 1 and self._is_too_much():
                self._results.popitem(last=False)

    def _is_too_much(self) -> bool:
        if self._most is not None and len(self._results) > self._most:
            return True
        if self._most_bytes is None:
            return False
        done = (future.result() for future in self._results.values() if future.done() and not future.exception())
        return sum(getattr(result, "nbytes", 0) for result in done) > self._most_bytes
