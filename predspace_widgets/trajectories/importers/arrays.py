"""Arrays of predictions that anybody may have stored: .npy .npz .h5 .pt .safetensors, of one run or of several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE
from predspace_widgets.trajectories.importers.files import StoredArray, arrays_in
from predspace_widgets.trajectories.importers.predictions import dataset_of, labels_in, labels_of, rows_of
from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.importers.rows import RowReader
from predspace_widgets.trajectories.importers.runs import checkpoint_columns, read_runs, rows_of_runs

_SHOWN = 20  # arrays that an error lists


def read_arrays(
    path: Path,
    report: Report,
    *,
    array: str | None = None,
    labels: str | Path | None = None,
    logits: bool | None = None,
    row_tolerance: float | None = None,
    runs: str | Path | None = None,
    tasks: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    epochs: Sequence[float] | str | None = None,
    method: str | None = None,
) -> xr.Dataset:
    """The dataset of an array of predictions, lazy; every row is read once to check it.

    Parameters
    ----------
    path : path
        A .npy, .npz, .h5, .pt or .safetensors file. The array has shape (T, N, C), or (runs, T, N, C).
    report : Report
    array : str, optional
        Its name in the file; needed where there are several of three or four dimensions.
    labels : str or path, optional
        A file of the true labels, (N,) whole numbers, or the name of such an array in `path`. By default the only
        array there that can be it.
    logits : bool, optional
        Whether the numbers are logits; their softmax is taken. By default they are probabilities, and it is an error if
        they are not.
    row_tolerance : float, optional
        How far the sum of a row of probabilities may be from 1, before it is divided by it; by default 0.002, which is
        what float16 needs.
    runs : path, optional
        CSV or YAML with a row for each run, or for each checkpoint of all runs: task, method, seed, epoch, step, run;
        other columns are attributes of the runs.
    tasks, seeds : sequence, optional
        One for each run, or one for all, where `runs` does not name them. A single run has seed 0 by default.
    epochs : sequence of float, "checkpoints" or "paper", optional
        See `checkpoint_columns`.
    method : str, optional
        How the networks were trained, unless `runs` says it. By default "supervised".

    Raises
    ------
    FileNotFoundError, ValueError
        The file is damaged or holds no such array; a row is no probabilities; or an option is needed. The message names
        the array, or run, checkpoint and sample.
    """
    stored = arrays_in(path)
    chosen = _choose(stored, array, path)
    n_samples, n_classes = chosen.shape[-2:]
    missing: list[str] = []
    label = _labels(stored, labels, n_samples, n_classes, path, report, missing)
    lengths = [chosen.shape[-3]] * (chosen.shape[0] if len(chosen.shape) == 4 else 1)
    rows = None if runs is None else rows_of_runs(read_runs(Path(runs).expanduser()), lengths, str(runs))
    named = {str(name) for name in rows[0][0]} if rows else set()
    given: dict[str, Sequence[Any]] = {}
    if method is not None:
        given["method"] = [method] * len(lengths)
    if tasks is not None:
        given["task"] = _for_each(tasks, len(lengths), "--tasks")
        report.note(f"tasks, as --tasks says: {', '.join(tasks)}")
    if seeds is not None:
        given["seed"] = _for_each(seeds, len(lengths), "--seeds")
        report.note(f"seeds, as --seeds says: {', '.join(map(str, seeds))}")
    elif len(lengths) == 1 and "seed" not in named:
        given["seed"] = [0]
        report.note("seed: 0 is assumed (--seeds gives another)")
    columns = checkpoint_columns(lengths, given, rows, epochs, report, str(runs or "--runs"), missing)
    if logits and row_tolerance is not None:
        raise ValueError("--row-tolerance means nothing for logits")
    hint = "" if logits is False else ": give --logits if these are logits"
    tolerance = ROW_SUM_TOLERANCE if row_tolerance is None else row_tolerance
    reader = RowReader(bool(logits), tolerance, hint)
    name = " ".join(filter(None, [path.name, chosen.name]))
    if len(chosen.shape) == 3:
        parts = [rows_of(chosen, name)]
    else:
        parts = [rows_of(chosen, f"{name}, run {run}", run) for run in range(len(lengths))]
    return dataset_of(parts, reader, label, columns, report)


def _choose(stored: Sequence[StoredArray], name: str | None, path: Path) -> StoredArray:
    """The array of predictions: by its name, or the only one of three or four dimensions."""
    fitting = [one for one in stored if len(one.shape) in (3, 4) and one.dtype.kind == "f" and one.dtype.itemsize <= 8]
    if name is not None:
        fitting = [one for one in stored if one.name == name]
    if len(fitting) != 1:
        problem = f"has no array {name!r}" if name is not None else "leaves open which array: --array names it"
        if name is None and not fitting:
            problem = "has no floating-point array of shape (T, N, C) or (runs, T, N, C)"
        listed = "; ".join(map(str, stored[:_SHOWN])) or "nothing"
        raise ValueError(f"{path} {problem}. It holds {listed}" + ("; ..." if len(stored) > _SHOWN else ""))
    [chosen] = fitting
    if len(chosen.shape) not in (3, 4) or chosen.dtype.kind != "f" or chosen.dtype.itemsize > 8 or 0 in chosen.shape:
        raise ValueError(
            f"{path}: {chosen} must be floating-point of up to 64 bits, (T, N, C) or (runs, T, N, C), and not empty"
        )
    return chosen


def _labels(
    stored: Sequence[StoredArray],
    given: str | Path | None,
    n_samples: int,
    n_classes: int,
    path: Path,
    report: Report,
    missing: list[str],
) -> NDArray[np.int64]:
    """The true labels; none, and a sentence more in `missing`, where an option must say which these are."""
    fitting = [one for one in stored if one.dtype.kind in "iu" and one.shape == (n_samples,)]
    if given is not None:
        inside = [one for one in stored if one.name == str(given)]
        if not inside or Path(given).exists():
            return labels_in(Path(given).expanduser(), n_samples, n_classes)
        fitting = inside
    elif len(fitting) != 1:
        names = " or ".join(repr(one.name) for one in fitting)
        problem = f"the labels can be {names}" if fitting else f"there are no labels of {n_samples:,} samples in {path}"
        missing.append(f"{problem}: --labels must name a file, or an array in {path.name}")
        return np.empty(0, dtype=np.int64)
    else:
        report.note(f"labels: array {fitting[0].name!r} of {path.name}")
    return labels_of(fitting[0], n_samples, n_classes, f"{path.name} {fitting[0].name}")


def _for_each(values: Sequence[Any], n_runs: int, option: str) -> Sequence[Any]:
    if len(values) not in (1, n_runs):
        raise ValueError(f"{option} names {len(values)}, there are {n_runs} runs: name each, or one for all")
    return list(values) * n_runs if len(values) == 1 else values
