"""Where predictions on disk came from, whether they are still those, and the checksum of what is stored."""

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
    """

    url: str
    signature: str
    n_rows: int

    @classmethod
    def now(cls, url: str, n_rows: int) -> Self:
        """The source as it is at this moment."""
        return cls(url, _signature(url, _files(url, n_rows)), n_rows)

    def check_unchanged(self) -> None:
        """Raise StoreChangedError unless the files are still those that were opened."""
        if Source.now(self.url, self.n_rows) != self:
            raise StoreChangedError(self.url)


def note_source(probs: xr.DataArray, source: Source, stored: xr.DataArray) -> None:
    """Let predictions that were opened lazily know where they came from, and what is stored there."""
    probs.encoding["source_of_results"] = source, stored, probs.data.name


def source_of(probs: xr.DataArray) -> tuple[Source, xr.DataArray] | None:
    """Where predictions came from, and how they are stored there: as float16, not normalised, quicker to read.

    None for those in memory, and for a choice or a change of those of a file.
    """
    noted = probs.encoding.get("source_of_results")
    # Whatever is derived from a lazy array has another name.
    return noted[:2] if noted is not None and getattr(probs.data, "name", None) == noted[2] else None


def _files(url: str, n_rows: int) -> dict[str, dict[str, Any]]:
    """What the file system knows of each file of the predictions, by its name."""
    files, root = fsspec.url_to_fs(url)
    if not url.rstrip("/").endswith(".zarr"):
        return {"": files.info(root)}
    found = files.find(f"{root.rstrip('/')}/probs", detail=True)
    named = {str(path).rpartition("/probs/")[2]: info for path, info in found.items()}
    chosen = {}
    for name in sorted(named):
        row = _CHUNK_ROW.match(name)
        is_other = name == "zarr.json" or ".partial" in name or os.path.basename(name).startswith(".")
        if not is_other and (row is None or int(row[1]) < n_rows):
            chosen[name] = named[name]
    return chosen


def _metadata(url: str) -> str:
    """How the bytes of a Zarr directory's predictions are to be read; its length may grow."""
    if not url.rstrip("/").endswith(".zarr"):
        return ""
    files, root = fsspec.url_to_fs(url)
    told = json.loads(files.cat_file(f"{root.rstrip('/')}/probs/zarr.json"))
    told["shape"] = told["shape"][1:]
    return json.dumps(told, sort_keys=True)


def _signature(url: str, files: dict[str, dict[str, Any]]) -> str:
    told = {name: {key: info[key] for key in sorted(info) if key != "nlink"} for name, info in files.items()}
    metadata = _metadata(url) if files else ""
    return hashlib.blake2b(repr((told, metadata)).encode(), digest_size=16).hexdigest()


def digest_of(source: Source) -> str:
    """Digest of the stored bytes of the predictions, and of how they are read."""
    if not is_local(source.url):
        return source.signature  # which holds the checksums that object storage keeps; reading all of it costs
    files = _files(source.url, source.n_rows)
    batches = np.array_split(np.array([info["name"] for info in files.values()]), max(1, min(_BATCHES, len(files))))
    found = [dask.delayed(_digest_of)(batch.tolist()) for batch in batches]
    with ProgressBar(minimum=3):
        digests = dask.compute(*found, scheduler="threads")
    told = (list(files), digests, _metadata(source.url))
    return hashlib.blake2b(repr(told).encode(), digest_size=16).hexdigest()


def _digest_of(paths: list[str]) -> list[str]:
    digests = []
    for path in paths:
        with open(path, "rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests


def is_local(url: str) -> bool:
    protocol = fsspec.url_to_fs(url)[0].protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)
