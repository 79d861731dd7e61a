"""Trials of writers: killed at a random moment, or before a random operation on a file; and on a full disk."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.torture.children import Ended, Result, in_child
from tests.torture.judging import BAD, Values, told
from tests.torture.writers import NOTHING, Writer

SECONDS = 120.0
#: After which no process that a killed writer had started may be there.
SECONDS_OF_ORPHANS = 20.0
#: What Python tells of before it asks the operating system for it.
_OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "shutil.rmtree")
_DRAWN_NAMES = re.compile(r"[0-9a-f]{32}|(?<=-)[a-z0-9_]{8}(?=$|/)")


@dataclass(frozen=True)
class Rehearsed:
    """A writer, and what comes of it when nothing stops it.

    Attributes
    ----------
    writer : Writer
    old, new : Values
        What is at the path before and after.
    files : list of str
        All that then lies in the folder.
    seconds : float
    n_operations : int
        On files.
    n_bytes : int
        That it needs on a disk, at most.
    """

    writer: Writer
    old: Values
    new: Values
    files: list[str]
    seconds: float
    n_operations: int
    n_bytes: int


def rehearse(writer: Writer, place: Path) -> Rehearsed:
    """Let a writer write without a kill."""
    folder = place / "rehearsal"
    _begin(writer, folder)
    old = NOTHING if writer.partial_is_fine else writer.state(folder)  # whose reading writes it
    counted = place / "operations"
    counted.write_bytes(b"")
    ended = in_child(partial(_write, writer, folder, count_in=counted), seconds=5 * SECONDS)
    n_operations = counted.stat().st_size
    if ended.outcome != "equal" or not (n_operations or writer.is_slow):
        raise AssertionError(f"{writer.name}, not stopped: {ended.outcome} {ended.message}, {n_operations} operations")
    new = writer.state(folder)
    n_bytes = sum(file.stat().st_size + 4096 for file in folder.rglob("*"))
    return Rehearsed(writer, old, new, files_in(folder), ended.seconds, n_operations, 2 * n_bytes)


def _begin(writer: Writer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if writer.before is not None:
        writer.before(folder)


def files_in(folder: Path) -> list[str]:
    """All paths in a folder; parts of names that are drawn at random are left out."""
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return [_DRAWN_NAMES.sub("#", path) for path in paths]


def _write(
    writer: Writer, folder: Path, count_in: Path | None = None, kill_at: int | None = None, by: int = 0
) -> Result:
    """What a child does: write; and end itself before an operation on a file in the folder, or count them."""
    note = None if count_in is None else os.open(count_in, os.O_WRONLY | os.O_APPEND)
    seen = 0

    def see(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event not in _OPERATIONS:
            return
        is_relative = event in ("os.remove", "os.rmdir") and arguments[-1] != -1  # to a folder that is open
        if not is_relative and not str(arguments[0]).startswith(str(folder)):
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        seen += 1
        if note is not None:
            os.write(note, b".")
        if seen == kill_at:
            os.kill(os.getpid(), by)

    if count_in is not None or kill_at is not None:
        sys.addaudithook(see)
    try:
        writer.write(folder)
    except (ValueError, OSError) as error:
        return told(error)
    return "equal", ""


def try_kill(one: Rehearsed, place: Path, rng: np.random.Generator) -> tuple[str, Ended]:
    """Kill a writer once, look at what is there, let it go on, and look again.

    Parameters
    ----------
    one : Rehearsed
    place : path
        An empty folder to work in.
    rng : numpy.random.Generator
        Which signal comes when follows from it.

    Returns
    -------
    tuple
        How it was killed, and the worst of how the steps ended.
    """
    writer, folder = one.writer, place / "folder"
    _begin(writer, folder)
    by = [signal.SIGKILL, signal.SIGTERM][int(rng.integers(2))]
    if rng.random() < 0.5 and not writer.is_slow:
        kill_at = int(rng.integers(1, one.n_operations + 1))
        said = f"{by.name} before operation {kill_at} of {one.n_operations}"
        stopped = in_child(partial(_write, writer, folder, kill_at=kill_at, by=by), seconds=SECONDS)
        if stopped.outcome == "crash" and stopped.message == by.name:
            stopped = replace(stopped, outcome="killed")
    else:
        delay = float(rng.random() * 1.1 * one.seconds)
        said = f"{by.name} after {delay:.3f} of {one.seconds:.3f} s"
        alone_after = SECONDS_OF_ORPHANS if writer.is_slow else 0.0
        function = partial(_write, writer, folder)
        stopped = in_child(function, seconds=SECONDS, kill=(delay, by), alone_after=alone_after)
    return said, _worst(stopped, lambda: _go_on(one, folder))


def _go_on(one: Rehearsed, folder: Path) -> Iterator[tuple[str, Ended]]:
    """What is there after a stop, and after the same call."""
    writer = one.writer
    yield "after the stop", in_child(partial(writer.check_stopped, folder, one.old, one.new), seconds=SECONDS)
    _age(folder)
    again = in_child(partial(_write, writer, folder), seconds=SECONDS)
    if again.outcome == "error":
        again = replace(again, outcome="unclear", message=f"refuses to go on: {again.message}")
    yield "again", again
    yield "after that", in_child(partial(writer.check_finished, folder, one.new), seconds=SECONDS)
    left = sorted({*files_in(folder)} ^ {*one.files})
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        yield "at the end", replace(again, outcome="litter", message=f"{left[0]}{more}")


def _age(folder: Path) -> None:
    """Let files that were half written be two hours old.

    Where several processes may write at the same time, nothing but its age tells whether a file is being written.
    """
    for file in folder.rglob("*.partial"):
        os.utime(file, (time.time() - 7200,) * 2)


def _worst(first: Ended, steps: Callable[[], Iterator[tuple[str, Ended]]]) -> Ended:
    """How a trial ended: as the first step that ended badly, else as the first."""
    if first.outcome in BAD:
        return first
    for what, ended in steps():
        if ended.outcome in BAD:
            return replace(ended, message=f"{what}: {ended.message}")
    # Whether a kill came in time or too late, old or new is there.
    return replace(first, outcome="error" if first.outcome == "error" else "equal")


# -- full disks --------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(where: Path, n_bytes: int) -> Iterator[None]:
    """A disk in memory, of so many bytes, while the context lasts.

    Raises
    ------
    OSError
        None can be mounted here.
    """
    where.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(where))
    try:
        yield
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(where)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "--lazy", str(where)], check=True, capture_output=True)


def _mount(*arguments: str) -> None:
    try:
        subprocess.run(["mount", *arguments], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise OSError(f"no disk can be mounted: {getattr(error, 'stderr', None) or error}") from error


def try_disk(one: Rehearsed, place: Path, rng: np.random.Generator) -> tuple[str, Ended]:
    """Let a writer write to a disk that is full, or nearly so; then give it room, and let it go on.

    Parameters and what it gives are those of `try_kill`.
    """
    roomy = 2**26
    folder = place / "folder"
    with small_disk(folder, roomy):
        _begin(one.writer, folder)
        before = files_in(folder)
        used = roomy - shutil.disk_usage(folder).free
        room = int(rng.random() * one.n_bytes) // 4096 * 4096
        # 0 would be no limit.
        _mount("-o", f"remount,size={max(used + room, 4096)}", str(folder))
        said = f"on a disk with {room} bytes left, of {one.n_bytes}"
        full = in_child(partial(_write, one.writer, folder), seconds=SECONDS)
        left = sorted({*files_in(folder)} - {*before, *one.files})
        left = [name for name in left if not (one.writer.keeps and name.startswith(one.writer.keeps))]
        if full.outcome == "error" and left and not one.writer.partial_is_fine:
            full = replace(full, outcome="litter", message=f"{left[0]} (it ended as {full.outcome} {full.message})")

        def steps() -> Iterator[tuple[str, Ended]]:
            check = partial(one.writer.check_stopped, folder, one.old, one.new)
            yield "while it is full", in_child(check, seconds=SECONDS)
            _mount("-o", f"remount,size={roomy}", str(folder))
            yield from _go_on(one, folder)

        return said, _worst(full, steps)
