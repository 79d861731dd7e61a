"""Where predictions on disk came from, whether they are still the same, and the checksum of what is stored."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import Any, Self

import dask
import fsspec
import numpy as np
import xarray as xr
from dask.diagnostics import ProgressBar

from predspace_widgets.trajectories.limits import check_file
from predspace_widgets.trajectories.logarithms import SMALLEST

_NOTE = "stored_predictions"
_CHUNK_ROW = re.compile(r"c/(\d+)/")
_BATCHES = 64  # of files that are read side by side


class StoreChangedError(OSError):
    """The files of a dataset are not those that it was opened from."""

    def __init__(self, url: str) -> None:
        super().__init__(f"{url} has changed since it was opened: open it again")


@dataclass(frozen=True)
class Source:
    """Where the predictions of a dataset came from.

    Attributes
    ----------
    url : str
        Path or address of the dataset.
    signature : str
        Of its files' names, sizes and times when it was opened: another one, other content.
    n_rows : int
        Rows of chunks that were there when it was opened; a recording may add some.
    predictions : {"probs", "log_probs"}
        Name of the predictions there.
    """

    url: str
    signature: str
    n_rows: int
    predictions: str = "probs"

    @classmethod
    def now(cls, url: str, n_rows: int, predictions: str = "probs") -> Self:
        """The source as it is at this moment."""
        return cls(url, _signature(url, n_rows, predictions), n_rows, predictions)

    def check_unchanged(self) -> None:
        """Raise StoreChangedError unless the files are still those that were opened."""
        try:
            now = Source.now(self.url, self.n_rows, self.predictions)
        except FileNotFoundError as error:
            raise StoreChangedError(self.url) from error
        if now != self:
            raise StoreChangedError(self.url)


@dataclass(frozen=True)
class StoredPredictions:
    """What lies on disk behind predictions that were opened lazily.

    Attributes
    ----------
    source : Source
    values : xarray.DataArray (checkpoint, sample, class)
        As they are stored, lazily: `probs`, whose rows need not sum to 1, or `log_probs`.
    name : str
        Of the lazy array of probabilities that was made of them. Whatever is derived from it has another name, and is
        not what is stored.
    """

    source: Source
    values: xr.DataArray
    name: str

    @property
    def are_logarithms(self) -> bool:
        return self.values.name == "log_probs"


def note_source(probs: xr.DataArray, source: Source, values: xr.DataArray) -> None:
    """Let predictions that were opened lazily know where they came from, and what is stored there.

    The note lies in their `encoding`, where xarray keeps how a variable was read: it survives what leaves the
    variable alone, such as other attributes or metrics of the dataset.
    """
    probs.encoding[_NOTE] = StoredPredictions(source, values, probs.data.name)


def source_of(probs: xr.DataArray) -> StoredPredictions | None:
    """Where predictions came from, and how they are stored there.

    None for those in memory, and for a choice or a change of those of a file.
    """
    noted = probs.encoding.get(_NOTE)
    known = isinstance(noted, StoredPredictions) and getattr(probs.data, "name", None) == noted.name
    return noted if known else None


def zero_of(probs: xr.DataArray) -> float:
    """What stands for a probability of 0 among these predictions: a number below what they were rounded to.

    Those that were read from logarithms were rounded by float32 alone; others, wherever they are now, may have been
    stored in float16.

    Examples
    --------
    >>> zero_of(xr.DataArray([1.0, 0.0])) == SMALLEST
    True
    """
    from_logarithms = probs.encoding.get("store") == "log_probs"
    return float(np.finfo(np.float32).smallest_subnormal) if from_logarithms else SMALLEST


def _files(url: str, n_rows: int, predictions: str) -> dict[str, dict[str, Any]]:
    """What the file system knows of each file of the predictions, by its name."""
    files, root = fsspec.url_to_fs(url)
    if not url.rstrip("/").endswith(".zarr"):
        return {"": files.info(root)}
    files_there = files.find(f"{root.rstrip('/')}/{predictions}", detail=True)
    named = {str(path).rpartition(f"/{predictions}/")[2]: info for path, info in files_there.items()}
    chosen = {}
    for name in sorted(named):
        row = _CHUNK_ROW.match(name)
        is_other = name == "zarr.json" or ".partial" in name or os.path.basename(name).startswith(".")
        if not is_other and (row is None or int(row[1]) < n_rows):
            chosen[name] = named[name]
    for name, info in chosen.items():
        if info["type"] not in ("file", "directory"):
            raise OSError(f"{predictions}/{name} is no file but a device, a pipe or a socket")
    return chosen


def _metadata(url: str, predictions: str) -> str:
    """How the bytes of a Zarr directory's predictions are to be read; its length may grow."""
    if not url.rstrip("/").endswith(".zarr"):
        return ""
    files, root = fsspec.url_to_fs(url)
    if is_local(url):
        check_file(f"{root}/{predictions}/zarr.json", os.path.realpath(root))
    metadata = json.loads(files.cat_file(f"{root.rstrip('/')}/{predictions}/zarr.json"))
    metadata["shape"] = metadata["shape"][1:]
    if predictions != "probs":  # the same bytes mean something else; results kept of `probs` stay valid
        metadata["predictions"] = predictions
    return json.dumps(metadata, sort_keys=True)


def _signature(url: str, n_rows: int, predictions: str) -> str:
    files = _files(url, n_rows, predictions)
    known = {name: {key: info[key] for key in sorted(info) if key != "nlink"} for name, info in files.items()}
    metadata = _metadata(url, predictions) if files else ""
    return hashlib.blake2b(repr((known, metadata)).encode(), digest_size=16).hexdigest()


def digest_of(source: Source) -> str:
    """Digest of the stored bytes of the predictions, and of how they are read."""
    if not is_local(source.url):
        return source.signature  # it holds the checksums of the object storage; to read everything again costs money
    files = _files(source.url, source.n_rows, source.predictions)
    batches = np.array_split(np.array([info["name"] for info in files.values()]), max(1, min(_BATCHES, len(files))))
    lazy = [dask.delayed(_digest_of)(batch.tolist()) for batch in batches]
    with ProgressBar(minimum=3):
        digests = dask.compute(*lazy, scheduler="threads")
    content = (list(files), digests, _metadata(source.url, source.predictions))
    return hashlib.blake2b(repr(content).encode(), digest_size=16).hexdigest()


def _digest_of(paths: list[str]) -> list[str]:
    digests = []
    for path in paths:
        with open(path, "rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


def is_local(url: str) -> bool:
    """Whether a path or address is on a disk of this machine."""
    protocol = fsspec.url_to_fs(url)[0].protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)
