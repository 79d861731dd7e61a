"""Files and folders that take the place of others: the old one or the new one is there at any moment, and complete.

What is new is written into a hidden folder beside its place, brought to the disk (fsync) and moved by one rename. A
folder cannot be renamed onto another; Linux exchanges the two at once (renameat2), on most file systems. Where the
system does not, there is a moment between two renames: what is found missing after it is put in place when the same
path is saved or opened next. The hidden folder holds a lock, which the system takes from a process however that ends:
so the next save removes what killed ones left, and never what another process is writing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = "lock"
_OLD = "old"
_HERE = -100  # AT_FDCWD, RENAME_EXCHANGE: as Linux has them
_EXCHANGE = 2
_NOT_HAD = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
_IN_THE_WAY = {errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write what shall be at a path: it is moved there when the context ends, unless by an error.

    Parameters
    ----------
    path : path
        Of a file or a folder, which may be there. A link is replaced, not what it leads to.

    Yields
    ------
    pathlib.Path
        Of the same name, in a hidden folder beside the path that is removed in the end, whatever happens.

    Raises
    ------
    OSError
        It cannot be written or moved, for example for lack of space; what was at the path is there still.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/text") as new:
    ...         _ = new.write_text("whole")
    ...     [(file.name, file.read_text()) for file in Path(folder).iterdir()]
    [('text', 'whole')]
    """
    where = Path(os.path.abspath(path))
    where.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(where)
    try:
        folder, lock = _hidden_folder(where)
        try:
            yield folder / where.name
            _bring_to_disk(folder / where.name)
            _move(folder / where.name, where)
            _sync(where.parent)
        finally:
            _remove(folder)
            lock.release()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        kept = "what was there is there still" if os.path.lexists(where) else "nothing is there"
        raise OSError(error.errno, f"no space left on the disk to write {where}: {kept}; make room for it") from error


def clear_leftovers(path: str | os.PathLike[str]) -> None:
    """Remove what killed processes left beside a path, and put in place what one of them had taken half away."""
    where = Path(os.path.abspath(path))
    ours = re.compile(rf"\.{re.escape(where.name)}\.saving-[0-9a-f]{{8}}")
    with suppress(OSError):
        for folder in [entry for entry in os.scandir(where.parent) if ours.fullmatch(entry.name)]:
            if folder.is_dir(follow_symlinks=False):
                _clear(Path(folder.path), where)


def clear_partial(store: str | os.PathLike[str], older_than: float = 0.0) -> None:
    """Remove files that Zarr had half written, in a store on a disk, when a process was killed.

    Parameters
    ----------
    store : path
    older_than : float
        Seconds: where nothing says whether another process is writing one just now.
    """
    with suppress(OSError):
        for file in Path(store).rglob("*.*.partial"):
            if file.stat().st_mtime <= time.time() - older_than:
                file.unlink(missing_ok=True)


def _clear(folder: Path, where: Path) -> None:
    """Remove a hidden folder whose process is gone."""
    if not (folder / _LOCK).exists():  # its process has just begun, or was killed then, or when it was about to end
        with suppress(OSError):
            folder.rmdir()
        return
    lock = FileLock(folder / _LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return
    try:
        new = folder / where.name
        if (folder / _OLD).exists() and new.exists() and not os.path.lexists(where):
            new.rename(where)  # it was complete
        _remove(folder)
    finally:
        lock.release()


def _hidden_folder(where: Path) -> tuple[Path, FileLock]:
    """A new folder beside a path, and the lock in it that this process holds."""
    while True:
        folder = where.with_name(f".{where.name}.saving-{secrets.token_hex(4)}")
        folder.mkdir(mode=0o700)
        lock = FileLock(folder / _LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
            if (folder / _LOCK).exists():
                return folder, lock
        except (Timeout, FileNotFoundError):
            pass  # another process took the folder for one that was left
        except BaseException:
            _remove(folder)
            raise
        lock.release()


def _move(new: Path, where: Path) -> None:
    """Put a file or a folder in its place."""
    while True:
        try:
            os.replace(new, where)
            return
        except OSError as error:
            if error.errno not in _IN_THE_WAY:  # a folder is there, or a file where a folder shall be
                raise
        with suppress(FileNotFoundError):  # another process has just taken it away
            if not _exchange(new, where):
                _swap(new, where)
            return


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths at once; False where the system or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_HAD:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def _swap(new: Path, where: Path) -> None:
    """Exchange two paths by renames, with a moment between them that `_clear` knows how to end."""
    old = new.with_name(_OLD)
    os.rename(where, old)
    try:
        os.rename(new, where)
    except BaseException:
        os.rename(old, where)
        raise
    os.rename(old, new)  # no more what `_clear` would look for


def _bring_to_disk(path: Path) -> None:
    """Let the system write a file, or a folder with all in it, to the disk now."""
    paths = [path]
    if path.is_dir():
        paths = [Path(root, name) for root, _, files in os.walk(path) for name in [*files, ""]]
    with ThreadPoolExecutor(8) as pool:  # each waits for the disk
        for _ in pool.map(_sync, paths):
            pass


def _sync(path: Path) -> None:
    if os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NOT_HAD:  # some file systems do not do it to folders
            raise
    finally:
        os.close(number)


def _remove(folder: Path) -> None:
    """Remove a hidden folder, the lock last; again while a thread that was cut short writes its last file."""
    for seconds in (0.0, 0.05, 0.2, 1.0):
        time.sleep(seconds)
        with suppress(OSError):
            for entry in folder.iterdir():
                if entry.name == _LOCK:
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink()
            if [entry.name for entry in folder.iterdir()] in ([_LOCK], []):
                (folder / _LOCK).unlink(missing_ok=True)
                folder.rmdir()
                return
