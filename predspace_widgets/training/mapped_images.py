"""Images of a folder, decoded once into one file beside it, which all processes read through the same memory."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps

from predspace_widgets.trajectories.replacing import replacing

_FOLDER = ".predspace"
_AT_A_TIME = 1024  # images that are decoded and held in memory
_VERSION = 1  # to be raised when the same files give other pixels


class MappedImages:
    """Some rows of an array on disk, of which only those that are asked for are read.

    Parameters
    ----------
    pixels : array of uint8, shape (N, rows, columns, 3)
        Mapped into memory: what one process has read, all others find there.
    rows : array of int, shape (n,), optional
        Which images; by default all.

    Examples
    --------
    >>> images = MappedImages(np.zeros((9, 4, 4, 3), dtype=np.uint8)).take([2, 3, 5])
    >>> images.shape, images[:2].shape
    ((3, 4, 4, 3), (2, 4, 4, 3))
    """

    def __init__(self, pixels: NDArray[np.uint8], rows: NDArray[np.intp] | None = None) -> None:
        self._pixels = pixels
        self._rows = np.arange(len(pixels)) if rows is None else rows
        self.shape = (len(self._rows), *pixels.shape[1:])
        self.dtype, self.ndim = pixels.dtype, pixels.ndim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        images, within = (index[0], index[1:]) if isinstance(index, tuple) else (index, ())
        chosen = self._pixels[self._rows[images]]
        return np.asarray(chosen[(slice(None), *within)] if within else chosen)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:].astype(dtype or self.dtype, copy=False)

    def take(self, index: ArrayLike) -> MappedImages:
        """The images at some positions, still on disk."""
        return MappedImages(self._pixels, self._rows[np.asarray(index, dtype=np.intp)])


def decoded(paths: Sequence[str], size: int, root: Path, name: str) -> MappedImages:
    """Image files as squares of one size, decoded now unless they were before.

    They lie in the folder .predspace in that of the images; where that cannot be written, in the user's cache. A file
    whose name, size or time has changed lets all be decoded again, and what was decoded before is deleted.

    Parameters
    ----------
    paths : sequence of str
        Image files in `root`.
    size : int
        Rows and columns: the largest square at the centre of each image, resized.
    root : path
    name : str
        What these images are called, for the name of the file.

    Returns
    -------
    MappedImages
        Of shape (N, size, size, 3).

    Raises
    ------
    ValueError
        An image cannot be read; it is named.
    OSError
        The disk has too little room for all of them.
    """
    folder = _folder_for(root)
    start = f"{name}-{size}px"
    file = folder / f"{start}-{_signature(paths, size, root)}.npy"
    pixels = _mapped(file, len(paths), size)
    if pixels is None:
        with FileLock(folder / f"{start}.lock"):  # one process decodes, others wait for it
            pixels = _mapped(file, len(paths), size)
            if pixels is None:
                _write(file, paths, size)
                pixels = _mapped(file, len(paths), size)
                for other in folder.glob(f"{start}-*.npy"):
                    if other != file:
                        other.unlink(missing_ok=True)
    assert pixels is not None
    return MappedImages(pixels)


def _folder_for(root: Path) -> Path:
    """Where the decoded images of a folder are kept."""
    beside = root / _FOLDER
    try:
        beside.mkdir(exist_ok=True)
        if os.access(beside, os.W_OK):
            return beside
    except OSError:
        pass
    place = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    cache = Path(os.environ.get("PREDSPACE_DATA") or "~/.cache/predspace_widgets").expanduser() / "decoded" / place
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _signature(paths: Sequence[str], size: int, root: Path) -> str:
    """Of the names, sizes and times of image files."""
    digest = hashlib.sha256(repr((_VERSION, size)).encode())
    for path in paths:
        known = os.stat(path)
        digest.update(repr((os.path.relpath(path, root), known.st_size, known.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]


def _mapped(file: Path, n_images: int, size: int) -> NDArray[np.uint8] | None:
    """The pixels of a file, not read yet; None where it is not there or not whole."""
    try:
        pixels = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    right = pixels.shape == (n_images, size, size, 3) and pixels.dtype == np.uint8
    return pixels if right else None


def _write(file: Path, paths: Sequence[str], size: int) -> None:
    """Decode images into a file, some at a time: a write that fails is an error, in mapped memory it were a signal."""
    n_bytes = len(paths) * size * size * 3
    free = shutil.disk_usage(file.parent).free
    if free < n_bytes:
        raise OSError(
            f"the {len(paths)} images take {n_bytes / 1e9:.2f} GB when they are decoded, and {free / 1e9:.2f} GB are "
            f"free in {file.parent}: make room, or choose a smaller image_size or n_train"
        )
    with replacing(file) as new, open(new, "wb") as out, ThreadPoolExecutor() as pool:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), size, size, 3)}
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, len(paths), _AT_A_TIME):
            # PIL decodes outside the interpreter's lock.
            for square in pool.map(lambda path: _square(path, size), paths[start : start + _AT_A_TIME]):
                out.write(square.tobytes())


def _square(path: str, size: int) -> NDArray[np.uint8]:
    """An image file as (size, size, 3): the largest square at its centre, resized."""
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError) as error:  # PIL reports a broken PNG as a syntax error
        raise ValueError(f"{path} cannot be read: {error}") from error
