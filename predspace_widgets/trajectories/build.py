"""Make a trajectories dataset from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from dask.base import is_dask_collection
from numpy.typing import ArrayLike

from predspace_widgets.trajectories.attributes import attribute_columns, texts_of
from predspace_widgets.trajectories.schema import SCHEMA_VERSION, is_int64, validate
from predspace_widgets.trajectories.selection import places_by_name


def make_trajectories(
    probs: ArrayLike,
    label: ArrayLike,
    *,
    task: str | Sequence[str],
    epoch: ArrayLike,
    seed: int | ArrayLike = 0,
    method: str | Sequence[str] = "supervised",
    run: str | Sequence[str] | None = None,
    step: ArrayLike | None = None,
    sample: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    image: ArrayLike | None = None,
    subset: ArrayLike | None = None,
    metrics: Mapping[str, ArrayLike] | None = None,
    attrs: Mapping[str, Any] | None = None,
    title: str = "",
    source: str = "",
    recipe: str | None = None,
    created_by: str | None = None,
    check_values: bool = True,
) -> xr.Dataset:
    """A trajectories dataset of your own predictions.

    Parameters
    ----------
    probs : array, shape (T, N, C)
        Predicted probabilities of T checkpoints (of all runs, one run after the other, in order of training) on the
        same N samples. A dask array stays lazy, and is read a block of samples at a time to check it.
    label : array of int, shape (N,)
        Index of the true class of each sample.
    task, method, seed, epoch : a value for all checkpoints, or T of them
        What the network was trained on, how, with which seed, and for how many epochs.
    run : str or T of them, optional
        Unique name of each training. By default "task/method/seed", and after it the `attrs`: "even/sgd/0/width=8".
    step : array of int, shape (T,), optional
        Optimiser steps. By default the number of the checkpoint within its run.
    sample, classes : N ids and C names, optional
        By default numbers.
    image : array of uint8, shape (N, rows, columns[, channels]), optional
        Thumbnails.
    subset : N names, optional
        Which of several sets each sample is from, such as "train" and "test": for `of_samples(subset="train")`.
    metrics : mapping of str to array of shape (T,), optional
        For example {"accuracy": ..., "loss": ...} on these samples.
    attrs : mapping of str to a value for all checkpoints, or T of them, optional
        Attributes of the runs, which colours, choices and curves can go by: {"architecture": "cnn", "rate": 0.1}.
        Text, numbers, true or false, the same along a run; see `predspace_widgets.trajectories.attributes`.
    title, source, recipe, created_by : str
        Stored with the dataset: what it is, where it came from, how it was made and by what.
    check_values : bool
        Read every probability to check it; needless where that was done before.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    TrajectoriesError
        Naming every problem.
    ValueError
        Lengths that do not fit together, a seed or a step that is no whole number of 64 bits, an attribute that
        cannot be stored.

    Examples
    --------
    >>> ds = make_trajectories([[[0.5, 0.5]], [[0.1, 0.9]]], label=[1], task="coin", epoch=[0, 1])
    >>> ds.sizes["checkpoint"], str(ds.run.values[0])
    (2, 'coin/supervised/0')
    """
    values: Any = probs if is_dask_collection(probs) else np.asarray(probs)  # (T, N, C)
    if values.ndim != 3:
        raise ValueError(f"probs must have shape (checkpoints, samples, classes), got {values.shape}")
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    n_checkpoints, n_samples, n_classes = values.shape

    columns = {
        "task": _column(task, n_checkpoints, "task", str),
        "method": _column(method, n_checkpoints, "method", str),
        "seed": _column(seed, n_checkpoints, "seed", np.int64),
        "epoch": _column(epoch, n_checkpoints, "epoch", np.float64),
    }
    attributes = attribute_columns(attrs or {}, n_checkpoints)
    if run is None:
        named = [[f"{name}={text}" for text in texts_of(column)] for name, column in attributes.items()]
        names = zip(columns["task"], columns["method"], columns["seed"], *named, strict=True)
        run = ["/".join(map(str, name)) for name in names]
    columns["run"] = _column(run, n_checkpoints, "run", str)
    if step is None:
        step = _count_within(columns["run"])
    columns["step"] = _column(step, n_checkpoints, "step", np.int64)

    data: dict[str, Any] = {"probs": (("checkpoint", "sample", "class"), values)}
    for name, metric in (metrics or {}).items():
        data[name] = ("checkpoint", _column(metric, n_checkpoints, name, np.float64))
    if image is not None:
        pictures = np.asarray(image)
        data["image"] = (("sample", "row", "column", "channel")[: pictures.ndim], pictures)
    ds = xr.Dataset(
        data,
        coords={
            **{name: ("checkpoint", column) for name, column in (columns | attributes).items()},
            "label": ("sample", _column(label, n_samples, "label", None)),
            "sample": _names(sample, n_samples, "sample"),
            "class": _names(classes, n_classes, "classes"),
            **({} if subset is None else {"subset": ("sample", _names(_texts(subset), n_samples, "subset"))}),
        },
        attrs={
            "schema_version": SCHEMA_VERSION,
            "title": title,
            "source": source,
            "created_by": created_by or f"predspace_widgets {version('predspace_widgets')}",
            **({"recipe": recipe} if recipe is not None else {}),
        },
    )
    validate(ds, values=check_values)
    return ds


def _column(values: Any, length: int, name: str, dtype: Any) -> np.ndarray:
    if dtype is str:
        given = _texts(values)
    else:
        given = np.asarray(values)
        if dtype is np.int64:
            _check_int64(given, name)
        given = given.astype(dtype) if dtype else given
    column = np.repeat(given, length) if given.ndim == 0 else given
    if column.shape != (length,):
        raise ValueError(f"{name} must be one value or {length} of them, got shape {column.shape}")
    return column


def _check_int64(values: np.ndarray, name: str) -> None:
    """Raise ValueError for numbers that a cast to int64 would round or wrap."""
    if values.dtype.kind not in "fuO":
        return
    bad = [value for value in values.ravel().tolist() if not is_int64(value)]
    if bad:
        raise ValueError(f"{name} must hold whole numbers of 64 bits, got {bad[0]!r}")


def _texts(values: Any) -> np.ndarray:
    """Names as text of fixed length, or as they were given if numpy would drop NULs: validation then finds these."""
    given = np.asarray(values, dtype=object)
    if any(str(value).endswith("\0") for value in given.ravel().tolist()):
        return given
    return given.astype(str)


def _names(values: Any, length: int, name: str) -> np.ndarray:
    if values is None:
        return np.arange(length)
    given = np.asarray(values)
    names = _texts(values) if given.dtype.kind == "U" else given
    if names.shape != (length,):
        raise ValueError(f"{name} must name each of the {length}, got shape {names.shape}")
    return names


def _count_within(runs: np.ndarray) -> np.ndarray:
    """0, 1, 2, ... within each run."""
    steps = np.empty(len(runs), dtype=np.int64)
    for rows in places_by_name(runs).values():
        steps[rows] = np.arange(len(rows))
    return steps
