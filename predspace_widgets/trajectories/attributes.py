"""Attributes of runs: architecture, optimiser, learning rate, or whatever else a training was given.

They are coordinates along checkpoints, each constant within a run, that hold text or numbers. Where a run has none,
there is "" or NaN. Choices, colours and curves can go by them; a value is then named by its text, "cnn" or "0.1".
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

#: Coordinates that name a checkpoint.
CHECKPOINT_COORDS = ("run", "task", "method", "seed", "epoch", "step")
#: The coordinate that says which dataset a checkpoint came from, where several were joined.
SOURCE = "source"

# Names that mean something else in a dataset, or in what is measured on it.
_TAKEN = (
    *(
        *CHECKPOINT_COORDS,
        SOURCE,
        "probs",
        "log_probs",
        "label",
        "sample",
        "class",
        "subset",
        "checkpoint",
        "embedding",
    ),
    *(
        "eigenvalue",
        "spectrum",
        "axis",
        "component",
        "image",
        "row",
        "column",
        "channel",
        "curve",
        "progress",
        "accuracy",
        "loss",
    ),
)


@dataclass(frozen=True)
class Attribute:
    """The values of an attribute.

    Attributes
    ----------
    values : list of str
        Each once: numbers from the lowest on, text in the order of the dataset; "" for none.
    codes : array of int, shape (T,)
        Place in `values` of each checkpoint's.
    numbers : array, shape (n_values,), or None
        The values as numbers, NaN for none; None where they are text.
    """

    values: list[str]
    codes: NDArray[np.intp]
    numbers: NDArray[np.float64] | None


def attributes_of(ds: xr.Dataset) -> list[str]:
    """Names of the attributes of runs: coordinates along checkpoints besides those that name a checkpoint.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> attributes_of(geodesic_run().assign_coords(architecture=("checkpoint", ["cnn"] * 5)))
    ['architecture']
    """
    return [
        str(name)
        for name, column in ds.coords.items()
        if column.dims == ("checkpoint",) and name not in (*CHECKPOINT_COORDS, "checkpoint")
    ]


def attribute(ds: xr.Dataset, name: str) -> Attribute:
    """The values of an attribute of runs.

    Raises
    ------
    ValueError
        There is no such attribute; the message names those there are.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> attribute(geodesic_run(2).assign_coords(rate=("checkpoint", [0.1, 0.01])), "rate").values
    ['0.01', '0.1']
    """
    check_known_attribute(ds, name)
    column = ds[name].values
    texts = texts_of(column)
    first = {text: row for row, text in reversed(list(enumerate(texts)))}
    values, numbers = list(dict.fromkeys(texts)), None
    if column.dtype.kind in "iuf":
        values.sort(key=lambda text: (text == "", column[first[text]]))
        numbers = np.array([column[first[text]] for text in values], dtype=np.float64)
    places = {text: place for place, text in enumerate(values)}
    return Attribute(values, np.array([places[text] for text in texts], dtype=np.intp), numbers)


def check_known_attribute(ds: xr.Dataset, name: str) -> None:
    """Raise ValueError, naming those there are, unless a dataset has an attribute of this name."""
    known = attributes_of(ds)
    if name not in known:
        there = f"; it has {', '.join(known)}" if known else ", which has none"
        raise ValueError(f"no attribute {name!r} of runs in this dataset{there}")


def texts_of(values: NDArray[Any]) -> list[str]:
    """Values as people read them: numbers as short as they can be, "" for NaN.

    Examples
    --------
    >>> texts_of(np.array([0.1, 3.0, np.nan])), texts_of(np.array(["cnn"]))
    (['0.1', '3', ''], ['cnn'])
    """
    return [text_of(value) for value in values.tolist()]


def text_of(value: Any) -> str:
    """A value as people read it; see `texts_of`.

    Examples
    --------
    >>> text_of(0.001), text_of(True), text_of(None)
    ('0.001', 'True', '')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value != value:
        return ""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def attribute_columns(attrs: Mapping[str, Any], length: int) -> dict[str, NDArray[Any]]:
    """Columns (T,) of attributes that are given as a value for all checkpoints, or T of them.

    Numbers become float64, so that NaN can stand where a run has none; true and false become text.

    Raises
    ------
    ValueError
        A name that means something else or is no Python name, or values that are neither text nor numbers.

    Examples
    --------
    >>> attribute_columns({"architecture": "cnn", "rate": [0.1, 0.2]}, 2)
    {'architecture': array(['cnn', 'cnn'], dtype='<U3'), 'rate': array([0.1, 0.2])}
    """
    if not isinstance(attrs, Mapping):
        raise ValueError(f"attrs must be a mapping of names to values, got {attrs!r}")
    columns = {}
    for name, given in attrs.items():
        if name in _TAKEN:
            raise ValueError(f"an attribute of runs cannot be named {name!r}: trajectories use this name")
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"an attribute of runs must have a Python name, such as learning_rate, not {name!r}")
        values = np.asarray(given)
        if values.dtype.kind == "b" or (values.dtype.kind == "O" and all(_is_text(part) for part in values.ravel())):
            values = values.astype(str)
        if values.dtype.kind not in "Uiuf":
            raise ValueError(f"the attribute {name!r} must be a text, a number, true or false, got {given!r}")
        column = np.repeat(values, length) if values.ndim == 0 else values
        if column.shape != (length,):
            raise ValueError(f"the attribute {name!r} must be one value or {length} of them, got shape {column.shape}")
        columns[name] = column if column.dtype.kind == "U" else column.astype(np.float64)
    return columns


def of_one_run(attrs: Mapping[str, Any] | None) -> dict[str, str | float]:
    """The attributes of a single run, as they are stored.

    Raises
    ------
    ValueError
        See `attribute_columns`; or several values of one.

    Examples
    --------
    >>> of_one_run({"architecture": "cnn", "augmented": True, "width": 8})
    {'architecture': 'cnn', 'augmented': 'True', 'width': 8.0}
    """
    columns = attribute_columns({} if attrs is None else attrs, 1)
    for name, value in (attrs or {}).items():
        if np.ndim(value):
            raise ValueError(f"a run has one value of the attribute {name!r}, got {value!r}")
    return {name: column.tolist()[0] for name, column in columns.items()}


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bool)
