"""What is measured before anyone asks, in a folder on disk: one process measures it, all others read it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock
from numpy.typing import NDArray

from predspace_widgets.explorers.stage.packing import pack, unpack
from predspace_widgets.trajectories.source import digest_of, source_of

_log = logging.getLogger(__name__)
_CHECKSUM = hashlib.sha256
_Numbers = tuple[dict[str, NDArray[Any]], dict[str, Any] | None]


class Prepared:
    """Results of one dataset in a folder that processes share.

    A file is named by what its content follows from: the bytes of the dataset, this package, the views. It begins with
    a checksum, is written whole or not at all, and is computed again where it is damaged.

    Parameters
    ----------
    folder : path
        It is made where it is not there. Whoever can write to it decides what visitors see.
    ds : xarray.Dataset
    views : sequence of str
        Names of the views that have results.

    Raises
    ------
    OSError
        The folder cannot be made.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for number in (1, 2):
    ...         prepared = Prepared(folder, random_trajectories(), ["comparison"])
    ...         print(prepared.ahead(lambda: {"comparison": number}))
    {'comparison': 1}
    {'comparison': 1}
    """

    def __init__(self, folder: str | os.PathLike[str], ds: xr.Dataset, views: Sequence[str]) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.blake2b(_digest_of(ds).encode(), digest_size=16)
        digest.update(json.dumps([_package(), list(views)]).encode())
        self._name = digest.hexdigest()

    def numbers(self, make: Callable[[], _Numbers]) -> _Numbers:
        """What every checkpoint has; see `Session.payload`."""

        def packed() -> bytes:
            arrays, everything = make()
            return pack({"everything": everything}, arrays)

        about, arrays = unpack(self._get("numbers", packed))
        return arrays, about["everything"]

    def ahead(self, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Results that are measured ahead."""
        return dict(json.loads(self._get("ahead", lambda: json.dumps(make()).encode())))

    def _get(self, what: str, make: Callable[[], bytes]) -> bytes:
        path = self._folder / f"{self._name}.{what}"
        with FileLock(f"{path}.lock"):  # who comes meanwhile waits for it; a process that ends lets go of it
            there = _read(path)
            if there is None:
                there = make()
                _write(path, there)
            return there


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    size = _CHECKSUM().digest_size
    if _CHECKSUM(content[size:]).digest() == content[:size]:
        return content[size:]
    _log.warning("%s is damaged and is made again", path)
    return None


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, while nobody else does; where it cannot be written, it is not shared."""
    partial = path.with_name(f".{path.name}")
    try:
        partial.write_bytes(_CHECKSUM(content).digest() + content)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        _log.warning("%s cannot be written, others measure it again: %s", path, error)


def _digest_of(ds: xr.Dataset) -> str:
    """Of all that a dataset holds."""
    stored = source_of(ds["probs"]) if "probs" in ds else None
    digest = hashlib.blake2b(json.dumps(ds.attrs, sort_keys=True, default=str).encode())
    for name in sorted(map(str, ds.variables)):
        if name == "probs" and stored is not None:
            digest.update(digest_of(stored.source).encode())
            continue
        values = np.asarray(ds[name].values)
        text = values.dtype.kind in "OTSU"
        content = json.dumps(values.astype(str).tolist()).encode() if text else np.ascontiguousarray(values).tobytes()
        digest.update(f"{name} {ds[name].dims} {values.shape} {'text' if text else values.dtype}".encode() + content)
    return digest.hexdigest()


@cache
def _package() -> str:
    """The version of this package, and of its code, which changes more often."""
    digest = hashlib.blake2b(version("predspace_widgets").encode(), digest_size=16)
    for name, content in sorted(_modules(files("predspace_widgets"))):
        digest.update(name.encode() + content)
    return digest.hexdigest()


def _modules(folder: Traversable) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += [(f"{entry.name}/{name}", content) for name, content in _modules(entry)]
        elif entry.name.endswith(".py"):
            found.append((entry.name, entry.read_bytes()))
    return found
