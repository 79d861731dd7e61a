"""What imported predictions have in common: true labels, repeated runs, and the dataset that is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.trajectories.build import make_trajectories
from predspace_widgets.trajectories.importers.files import StoredArray, arrays_in
from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.importers.rows import Checked, RowReader, RunRows, check_rows, lazy_rows
from predspace_widgets.trajectories.schema import note_checked

# How far above chance the labels must be predicted, in standard deviations of guessing.
_ABOVE_CHANCE = 5


def labels_of(array: StoredArray, n_samples: int, n_classes: int, where: str) -> NDArray[np.int64]:
    """The true labels (N,) that an array in a file holds.

    Raises
    ------
    ValueError
        They are no whole numbers, not as many as there are samples, or name classes that are not there.
    """
    if array.dtype.kind not in "iu" or array.shape != (n_samples,):
        raise ValueError(
            f"the labels in {where} must be {n_samples:,} whole numbers, one for each sample; there is {array}: "
            "--labels names another file"
        )
    label = array.open()((slice(None),)).astype(np.int64)
    bad = np.flatnonzero((label < 0) | (label >= n_classes))
    if bad.size:
        raise ValueError(
            f"the labels in {where} must lie in [0, {n_classes:,}), that of sample {bad[0]} is {label[bad[0]]}"
        )
    return label


def labels_in(path: Path, n_samples: int, n_classes: int) -> NDArray[np.int64]:
    """The true labels (N,) in a file of their own, which holds no other array of one dimension.

    Raises
    ------
    FileNotFoundError, ValueError
        See `arrays_in` and `labels_of`.
    """
    arrays = [array for array in arrays_in(path) if len(array.shape) == 1]
    if len(arrays) != 1:
        raise ValueError(f"{path} must hold one array of labels, ({n_samples},), it holds {len(arrays)} that may be it")
    return labels_of(arrays[0], n_samples, n_classes, str(path))


def rows_of(array: StoredArray, name: str, run: int | None = None) -> RunRows:
    """The rows of an array (T, N, C), or of one run of an array (runs, T, N, C)."""
    read = partial(_read_rows, array.open(), array.file, _state(array.file), () if run is None else (run,))
    checkpoints, samples, n_classes = array.shape[-3:]
    together = (array.pieces[-3], array.pieces[-2])
    return RunRows(name, (checkpoints, samples, n_classes), array.dtype, together, read)


def _state(file: Path) -> tuple[int, ...]:
    known = file.stat()
    return known.st_ino, known.st_size, known.st_mtime_ns


def _read_rows(
    read: Any, file: Path, state: tuple[int, ...], run: tuple[int, ...], checkpoints: slice, samples: slice
) -> NDArray[Any]:
    if _state(file) != state:  # what is checked must be what is read
        raise ValueError(f"{file} has changed since it was opened: import it again")
    rows: NDArray[Any] = read((*run, checkpoints, samples, slice(None)))
    return rows


def dataset_of(
    runs: Sequence[RunRows],
    reader: RowReader,
    label: NDArray[np.int64],
    columns: Mapping[str, Any],
    report: Report,
    *,
    recipe: str | None = None,
) -> xr.Dataset:
    """The lazy dataset of runs whose every row has been read once to check it.

    Parameters
    ----------
    runs : sequence of RunRows
        All with N samples and C classes.
    reader : RowReader
    label : array of int, shape (N,)
    columns : mapping
        See `checkpoint_columns`.
    report : Report
        Is told the largest correction of a row, which runs repeat others and are left out, and whether the labels are
        predicted no better than by guessing.
    recipe : str, optional
        Stored with the dataset; see `predspace_widgets.trajectories.samples.classes_of_tasks`.

    Raises
    ------
    ValueError
        A row is no probabilities; or files of two tasks are the same.
    TrajectoriesError
        The columns contradict each other.
    """
    checked = check_rows(runs, reader, label)
    kept = _without_repeated(runs, columns, checked, report)
    chosen = np.repeat(kept, [run.shape[0] for run in runs])
    columns = {name: _only(column, chosen) for name, column in columns.items()}
    left = [run for run, keep in zip(runs, kept, strict=True) if keep]
    _note_rows([one for one, keep in zip(checked, kept, strict=True) if keep], reader, len(label), runs[0], report)
    probs = lazy_rows(left, reader, report)
    ds = make_trajectories(probs, label, **columns, recipe=recipe, check_values=False)
    note_checked(ds["probs"])
    ds.attrs = {name: value for name, value in ds.attrs.items() if name in ("schema_version", "recipe")}
    return ds


def _only(column: Any, chosen: NDArray[np.bool_]) -> Any:
    if isinstance(column, Mapping):
        return {name: _only(values, chosen) for name, values in column.items()}
    return [value for value, keep in zip(column, chosen, strict=True) if keep]


def _without_repeated(
    runs: Sequence[RunRows], columns: Mapping[str, Any], checked: Sequence[Checked], report: Report
) -> list[bool]:
    """Which runs are kept: all but those whose rows are the same as those of an earlier one of their task."""
    starts = np.cumsum([0, *(run.shape[0] for run in runs)])[:-1]
    tasks = [(columns["task"][start], columns["method"][start]) for start in starts.tolist()]
    first: dict[str, int] = {}
    kept = []
    for number, one in enumerate(checked):
        other = first.setdefault(one.digest, number)
        kept.append(other == number)
        if other != number and tasks[other] != tasks[number]:
            raise ValueError(
                f"{runs[number].name} and {runs[other].name} hold the same predictions: leave out the one that is wrong"
            )
        if other != number:
            report.note(f"{runs[number].name} repeats {runs[other].name}: dropped")
    return kept


def _note_rows(checked: Sequence[Checked], reader: RowReader, n_samples: int, run: RunRows, report: Report) -> None:
    if not reader.logits:
        worst = max(one.worst for one in checked)
        report.note(f"rows are divided by their sum; the one farthest from 1 missed it by {worst:.4g}")
    elif all(one.looks_like_probs for one in checked):
        report.note("read as logits, though no number is negative and every row sums to 1, as probabilities do")
    n_classes = run.shape[2]
    by_chance = n_samples / n_classes
    if max(one.n_right for one in checked) <= by_chance + _ABOVE_CHANCE * np.sqrt(by_chance):
        report.note(
            "no run predicts the labels better than chance at its end: are labels and predictions in the same order?"
        )
