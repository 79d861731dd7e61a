"""SIGTERM, by which systems end processes, as an exception: all that is open is closed, as with Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: What shells report of a process that SIGTERM has ended.
EXIT_CODE = 128 + signal.SIGTERM


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """While the context lasts, SIGTERM raises SystemExit in the main thread, with exit code 143.

    Once: what it begins to close is not cut short by the next one. Nothing changes in another thread, or where the
    program has a handler of its own.

    Examples
    --------
    >>> import os
    >>> try:
    ...     with ended_by_sigterm():
    ...         os.kill(os.getpid(), signal.SIGTERM)
    ... except SystemExit as end:
    ...     end.code
    143
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(*_: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(EXIT_CODE)
