"""A function in a process of its own, forked from this one: limits on its time and memory, and a kill on demand.

What this process has imported and computed, the child has too, so that a trial costs a fork and not ten seconds of
imports.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NoReturn

import dask.threaded
import psutil

#: A function's outcome in a word, and what more there is to say.
Result = tuple[str, str]

_POLL_SECONDS = 0.01
_MOST_SAID = 600  # characters


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes
    ----------
    outcome : str
        What the function returned first; "unclear" for an exception, "crash" for a signal, "hang" or "memory" where
        it went beyond a limit, "killed" as it was told to be. Of another program that the function has started in its
        place, exit code 0 is "equal", 2 is "error", others are "unclear".
    message : str
    seconds : float
    peak : int
        The most memory that it had at a time, in bytes, with what it shares with this process.
    """

    outcome: str
    message: str
    seconds: float
    peak: int


def in_child(
    function: Callable[[], Result],
    *,
    seconds: float = 60.0,
    most_bytes: float = float("inf"),
    kill: tuple[float, signal.Signals] | None = None,
    alone_after: float = 0.0,
) -> Ended:
    """Run a function in a child, and end the processes that it leaves behind.

    Parameters
    ----------
    function : function of nothing
        Gives an outcome and a message.
    seconds : float
        After which the child counts as hanging, and is killed.
    most_bytes : float
        Of memory, with what it shares with this process.
    kill : (seconds, signal), optional
        Which signal to send to it, and when.
    alone_after : float
        So many seconds after its end no process that it has started may be there.
    """
    reading, writing = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_the_child(function, writing)
    os.close(writing)
    try:
        ended = _watch(pid, start, seconds, most_bytes, kill)
        with os.fdopen(reading, "rb") as pipe:
            reading = -1
            said = b"" if ended.outcome in ("killed", "hang", "memory") else pipe.read()
    finally:
        if reading >= 0:
            os.close(reading)
        is_left = _end_group(pid, alone_after)
    if is_left and alone_after:
        return replace(ended, outcome="litter", message=f"processes are left after {alone_after:.0f} s")
    if not said:  # another program in its place
        return ended
    outcome, message = json.loads(said)
    return replace(ended, outcome=outcome, message=message)


def _end_group(group: int, seconds: float) -> bool:
    """Wait for the processes of a group to end, then kill those that are left; whether there were any."""
    end = time.monotonic() + seconds
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.1)
        os.killpg(group, signal.SIGKILL)
        return True
    return False


def _watch(
    pid: int, start: float, seconds: float, most_bytes: float, kill: tuple[float, signal.Signals] | None
) -> Ended:
    """Wait for a child; end it where it goes beyond a limit."""
    process = psutil.Process(pid)
    handle = os.pidfd_open(pid)
    verdict, peak = "", 0
    try:
        while True:
            now = time.monotonic() - start
            wait = _POLL_SECONDS if kill is None else min(_POLL_SECONDS, max(kill[0] - now, 0.0))
            if select.select([handle], [], [], wait)[0]:
                break
            now = time.monotonic() - start
            if kill is not None and now >= kill[0]:
                os.kill(pid, kill[1])
                kill, verdict = None, "killed"
            with suppress(psutil.Error):
                peak = max(peak, process.memory_info().rss)
            if peak > most_bytes or now > seconds:
                verdict = "memory" if peak > most_bytes else "hang"
                os.kill(pid, signal.SIGKILL)
                break
    finally:
        os.close(handle)
    _, status, usage = os.wait4(pid, 0)
    peak = max(peak, usage.ru_maxrss * 1024)
    took = time.monotonic() - start
    code = os.waitstatus_to_exitcode(status)
    if verdict == "killed" and code == 0:
        verdict = ""  # it was ready before
    if not verdict and peak > most_bytes:
        verdict = "memory"
    if not verdict:
        verdict = {0: "equal", 2: "error"}.get(code, "crash" if code < 0 else "unclear")
    more = signal.Signals(-code).name if code < 0 else f"exit code {code}" if code else ""
    message = {"memory": f"{peak / 1e6:.0f} MB", "hang": f"{took:.0f} s"}.get(verdict, more)
    return Ended(verdict, message, took, peak)


def _be_the_child(function: Callable[[], Result], pipe: int) -> NoReturn:
    """Run the function, tell its result through the pipe, end."""
    try:
        gc.disable()  # it would touch, and so copy, all memory that the two share
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        faulthandler.disable()  # pytest enables it, with a stderr of its own
        # Threads do not come along through a fork. zarr, fsspec and concurrent.futures begin anew by themselves.
        dask.threaded.default_pool = None
        dask.threaded.pools.clear()
        try:
            result = function()
        except BaseException as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_SAID]
            result = ("unclear", f"{text} ({os.path.basename(where.filename)}:{where.lineno})")
        os.write(pipe, json.dumps([result[0], result[1][:_MOST_SAID]]).encode())
    finally:
        os._exit(0)
