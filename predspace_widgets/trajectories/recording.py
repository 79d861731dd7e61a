"""Whether a dataset is being recorded at this moment, for other processes to see: a sign beside it, and its lock.

The operating system takes a lock from a process that ends, however it ends. So a recording that was killed is told
apart from one that was closed, and both from one that is slow. It needs a local disk.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

#: What is known of a recording: it goes on, it was closed, its process is gone.
Recording = Literal["recording", "ended", "killed"]

_ENDED = "ended"
_SIGN = ".sign"


class SignOfLife:
    """What a process that records holds until it has recorded all.

    Several may record into one dataset at the same time. Whoever begins must hold the lock of the dataset, since signs
    of processes that are gone are removed then. What cannot be written is left out: a recording goes on without.

    Parameters
    ----------
    path : path
        Of the dataset.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "mine.zarr"
    ...     sign = SignOfLife(path)
    ...     seen = [recording_at(path)]
    ...     for act in (sign.begin, sign.end):
    ...         act()
    ...         seen.append(recording_at(path))
    >>> seen
    [None, 'recording', 'ended']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = _folder_of(path)
        self._lock: FileLock | None = None
        self._process = 0

    def begin(self) -> None:
        """Show that this process records, if it does not already."""
        if self._lock is not None:
            return
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            for sign in _signs(self._folder):
                if not _is_held(sign):
                    sign.unlink(missing_ok=True)
                    _lock_of(sign).unlink(missing_ok=True)
            sign = self._folder / f"{uuid.uuid4().hex}{_SIGN}"
            # Not of one thread: whoever closes the recording may be another one.
            lock = FileLock(_lock_of(sign), thread_local=False)
            lock.acquire(timeout=0)
            sign.touch()
            self._lock, self._process = lock, os.getpid()

    def end(self) -> None:
        """Show that this process has recorded all."""
        lock, self._lock = self._lock, None
        if lock is None or self._process != os.getpid():  # a copy of the process ends, by fork: we go on
            return
        with suppress(OSError):
            (self._folder / _ENDED).touch()
            file = Path(lock.lock_file)
            file.with_suffix(_SIGN).unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        lock.release()


def recording_at(path: str | os.PathLike[str]) -> Recording | None:
    """Whether a dataset is being recorded.

    Parameters
    ----------
    path : path
        Of the dataset, on a local disk.

    Returns
    -------
    {"recording", "ended", "killed"} or None
        "killed" where a process that recorded is gone without having closed its recording, and none goes on. None
        where nothing is known: nobody has recorded, or a version of this package that left no sign.
    """
    folder = _folder_of(path)
    try:
        signs = _signs(folder)
        if any(_is_held(sign) for sign in signs):
            return "recording"
        if any(sign.exists() for sign in signs):  # one that ends meanwhile removes its own
            return "killed"
        return "ended" if (folder / _ENDED).exists() else None
    except OSError:
        return None


def _folder_of(path: str | os.PathLike[str]) -> Path:
    where = Path(path)
    return where.with_name(f".{where.name}.recording")


def _signs(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SIGN}"))


def _lock_of(sign: Path) -> Path:
    """A file of its own: whoever looks whether it is locked makes it anew where it was just removed."""
    return sign.with_suffix(".lock")


def _is_held(sign: Path) -> bool:
    """Whether a process holds its lock. Whoever else looks at the same time holds it for a moment: hence twice."""
    lock = _lock_of(sign)
    if not lock.exists():
        return False
    for seconds in (0.0, 0.05):
        try:
            with FileLock(lock, timeout=seconds, thread_local=False):
                return False
        except Timeout:
            continue
    return True
