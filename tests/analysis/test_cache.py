"""Results in memory: once each, and never behind another one."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from predspace_widgets.analysis.cache import Cache


def test_a_result_that_is_there_does_not_wait_for_another() -> None:
    cache, go_on, has_begun = Cache(), threading.Event(), threading.Event()
    cache.get("quick", lambda: 1)

    def slow() -> int:
        has_begun.set()
        assert go_on.wait(30)
        return 2

    thread = threading.Thread(target=cache.get, args=("slow", slow))
    thread.start()
    assert has_begun.wait(30)
    try:
        assert cache.get("quick", lambda: 0) == 1
        assert cache.get("new", lambda: 3) == 3  # nor does one that is to be computed
    finally:
        go_on.set()
        thread.join()
    assert cache.get("slow", lambda: 0) == 2


def test_a_result_under_way_is_computed_once() -> None:
    cache, calls, start, results = Cache(), [], threading.Barrier(8), []

    def compute() -> object:
        calls.append(1)
        threading.Event().wait(0.05)  # lets the others in
        return object()

    def ask() -> None:
        start.wait()
        results.append(cache.get("key", compute))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(set(map(id, results))) == 1


def test_an_error_is_raised_and_not_kept() -> None:
    cache = Cache()
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 // 0)
    assert len(cache) == 0
    assert cache.get("key", lambda: 5) == 5


def test_who_waits_for_an_interrupted_one_computes_it() -> None:
    cache, has_begun, results = Cache(), threading.Event(), []

    def interrupted() -> int:
        has_begun.set()
        threading.Event().wait(0.1)  # until the other one waits
        raise KeyboardInterrupt

    def ask() -> None:
        with pytest.raises(KeyboardInterrupt):
            cache.get("key", interrupted)

    thread = threading.Thread(target=ask)
    thread.start()
    assert has_begun.wait(30)
    results.append(cache.get("key", lambda: 7))
    thread.join()
    assert results == [7]


def test_the_least_recently_used_goes_first() -> None:
    cache = Cache(most=2)
    for key in ("a", "b"):
        cache.get(key, lambda: 1)
    cache.get("a", lambda: 0)
    cache.get("c", lambda: 1)
    assert len(cache) == 2
    assert cache.get("a", lambda: 0) == 1
    assert cache.get("b", lambda: 0) == 0


def test_large_results_make_room_too() -> None:
    cache = Cache(most_bytes=1000)
    for key in range(5):
        cache.get(key, lambda: np.zeros(50))  # 400 bytes
    assert len(cache) == 2
    cache.get("large", lambda: np.zeros(500))
    assert len(cache) == 1  # the newest stays, whatever its size


def test_results_may_need_each_other() -> None:
    cache = Cache()
    assert cache.get("sum", lambda: cache.get("one", lambda: 1) + cache.get("one", lambda: 0)) == 2
