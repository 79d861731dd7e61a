"""Whether what was read is what was there: outcomes, and values that are compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tests.torture.children import Result

#: What a file gives when it is read: arrays, datasets, texts, by name.
Values = Mapping[str, Any]

#: Every outcome of a trial, and what it means.
OUTCOMES = {
    "equal": "the values of the undamaged file, or (kills, disks) old or new, whole, and it goes on",
    "error": "refused in a line: ValueError or OSError, which the command prints and ends with exit code 2",
    "other": "a text file or foreign data, which have no checksum, that say something else",
    "different": "other values without a word",
    "unclear": "any other exception: a traceback",
    "crash": "ended by a signal",
    "hang": "not ready in time",
    "memory": "more memory than the limit",
    "litter": "files left over, or touched outside the folder",
}
#: Those that must not be.
BAD = ("different", "unclear", "crash", "hang", "memory", "litter")

_LONGEST_LINE = 5000


def judge(read: Callable[[Path], Values], path: Path, expected: Values, is_guarded: bool = True) -> Result:
    """Read a file and compare what it holds; exceptions of other kinds than users may see go on to the caller."""
    try:
        values = read(path)
    except (ValueError, OSError) as error:
        return told(error)
    found = difference(values, expected)
    if found:
        return ("different" if is_guarded else "other"), found
    return "equal", ""


def told(error: Exception) -> Result:
    """What the command says of an error."""
    lines = getattr(error, "problems", None) or [" ".join(str(error).split()) or type(error).__name__]
    if max(map(len, lines)) > _LONGEST_LINE:
        return "unclear", f"an error of {max(map(len, lines))} characters: {lines[0]}"
    return "error", lines[0]


def difference(values: Values, expected: Values) -> str:
    """The names of what differs; "" where nothing does."""
    if values.keys() != expected.keys():
        return f"{sorted(values)} instead of {sorted(expected)}"
    return ", ".join(name for name in expected if not _same(values[name], expected[name]))


def _same(value: Any, expected: Any) -> bool:
    if isinstance(expected, xr.Dataset):
        return bool(isinstance(value, xr.Dataset) and value.identical(expected))
    if isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        return np.shape(value) == expected.shape and np.allclose(value, expected, 1e-5, 1e-6, equal_nan=True)
    if isinstance(expected, np.ndarray):
        return np.array_equal(value, expected)
    return bool(value == expected)
