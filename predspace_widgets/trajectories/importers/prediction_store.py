"""The prediction store of the paper's authors: a folder for each task, with a file of predictions for each seed.

Each `preds_<seed>.h5` holds a dataset `data`, float16 of shape (T, N, C), rounded to 4 or 5 decimals and packed by LZ4.
`imagenet_val_labels.npy` lies with them, above, or in a folder `labels` there. Which classes a task has, a JSON file of
its name says: {"labels": [0, 3, ...]}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import xarray as xr

from predspace_widgets.trajectories.importers.files import arrays_in
from predspace_widgets.trajectories.importers.predictions import dataset_of, labels_in, rows_of
from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.importers.rows import RowReader, RunRows, rounding_tolerance
from predspace_widgets.trajectories.importers.runs import Row, checkpoint_columns, name_of, read_runs
from predspace_widgets.trajectories.text_files import load_json, read_text, shown

#: Where the authors' store has the true labels of ImageNet's validation set.
LABELS = "imagenet_val_labels.npy"

_FILE = re.compile(r"preds_(\d{1,18})\.h5")
_DATASET = "data"


@dataclass(frozen=True)
class _Run:
    """A file of the store."""

    task: str
    seed: int
    rows: RunRows


def is_prediction_store(folder: Path) -> bool:
    """Whether a folder, or one in it, has files of predictions."""
    return any(True for _ in folder.glob("preds_*.h5")) or any(True for _ in folder.glob("*/preds_*.h5"))


def read_prediction_store(
    path: Path,
    report: Report,
    *,
    epochs: Sequence[float] | str | None = None,
    method: str | None = None,
    labels: str | Path | None = None,
    classes: str | Path | None = None,
    runs: str | Path | None = None,
    row_tolerance: float | None = None,
) -> xr.Dataset:
    """The dataset of a prediction store, lazy; every row is read once to check it.

    Parameters
    ----------
    path : path
        The folder of a task, which names it, or a folder of several such.
    report : Report
    epochs : sequence of float, "checkpoints" or "paper", optional
        See `checkpoint_columns`. Needed, unless `runs` has them.
    method : str, optional
        How the networks were trained, unless `runs` says it. By default "supervised".
    labels : path, optional
        File of the true labels, (N,) whole numbers. By default `imagenet_val_labels.npy` in `path`, in the folder above
        it, in a folder `labels` in one of them, or with the predictions of a task.
    classes : path, optional
        Folder with the lists of classes of the tasks, <task>.json. By default `path`, a folder `classes` in it, or the
        folders of the tasks.
    runs : path, optional
        CSV or YAML with `task`, `seed`, and what else is known of each run, or of each checkpoint.
    row_tolerance : float, optional
        How far the sum of a row may be from 1, before it is divided by it. By default as far as rounding to 4 decimals
        and to float16 can take it, see `rounding_tolerance`: 0.051 for 1,000 classes.

    Raises
    ------
    FileNotFoundError, ValueError
        A file is missing, damaged, or does not fit the others; a row is no probabilities; or an option is needed. The
        message names the file, or run, checkpoint and sample.
    """
    found = [_open(file, path) for file in _files(path, report)]
    _check_shapes(found)
    n_samples, n_classes = found[0].rows.shape[1:]
    label = labels_in(Path(labels or _labels_beside(path, found)).expanduser(), n_samples, n_classes)
    table = None if runs is None else _rows_of(read_runs(Path(runs).expanduser()), found, str(runs))
    given: dict[str, Sequence[Any]] = {
        "task": [run.task for run in found],
        "seed": [run.seed for run in found],
    }
    if method is not None:
        given["method"] = [method] * len(found)
    lengths = [run.rows.shape[0] for run in found]
    columns = checkpoint_columns(lengths, given, table, epochs, report, str(runs))
    tolerance = rounding_tolerance(n_classes) if row_tolerance is None else row_tolerance
    why = "as --row-tolerance says" if row_tolerance is not None else "as rounding to 4 decimals and float16 needs"
    report.note(f"rows may miss the sum 1 by {tolerance:.4g}, {why}")
    recipe = _recipe(_class_lists(path, classes, found, n_classes, report))
    reader = RowReader(tolerance=tolerance)
    return dataset_of([run.rows for run in found], reader, label, columns, report, recipe=recipe)


# -- files ------------------------------------------------------------------------------------------------------------


def _files(path: Path, report: Report) -> list[Path]:
    """Files of predictions, by task and number of the seed."""
    files = sorted([*path.glob("preds_*.h5"), *path.glob("*/preds_*.h5")])
    inside = path.resolve()
    for file in files:
        if not _FILE.fullmatch(file.name):
            raise ValueError(f"{file}: the name must be preds_<seed>.h5, with a number of the seed")
        if not file.resolve().is_relative_to(inside):
            raise ValueError(f"{file} is a link out of {path}: copy what it links to")
    if any(file.parent == path for file in files) and any(file.parent != path for file in files):
        raise ValueError(f"{path} and folders in it have files of predictions: name the folder of a task, or of all")
    others = [file for pattern in ("reindex_preds_*.h5", "*/reindex_preds_*.h5") for file in path.glob(pattern)]
    if others:
        report.note(f"not read: {len(others)} files reindex_preds_*.h5, of reindexed trajectories")
    return sorted(files, key=lambda file: (file.parent.name, _seed_of(file)))


def _seed_of(file: Path) -> int:
    return int(file.stem.removeprefix("preds_"))


def _open(file: Path, path: Path) -> _Run:
    array = next((array for array in arrays_in(file) if array.name == _DATASET), None)
    if array is None:
        raise ValueError(f"{file} has no dataset {_DATASET!r}")
    if len(array.shape) != 3 or array.dtype.kind != "f" or 0 in array.shape:
        raise ValueError(f"{file}: {array} must be floating-point of shape (checkpoints, samples, classes)")
    task, seed = file.absolute().parent.name, _seed_of(file)
    name = f"{file.relative_to(path.parent)} (task {task}, seed {seed})"
    return _Run(task, seed, rows_of(array, name))


def _check_shapes(found: Sequence[_Run]) -> None:
    """Raise ValueError, naming two files, unless all have the same samples and classes; and no run is there twice."""
    first = found[0].rows
    for run in found[1:]:
        if run.rows.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"{first.name} has {first.shape[1]:,} samples and {first.shape[2]:,} classes, {run.rows.name} has "
                f"{run.rows.shape[1]:,} and {run.rows.shape[2]:,}"
            )
    for one, other in pairwise(found):
        if (one.task, one.seed) == (other.task, other.seed):
            raise ValueError(f"{one.rows.name} and {other.rows.name} are the same run")


def _labels_beside(path: Path, found: Sequence[_Run]) -> Path:
    """The file of the true labels that lies with the predictions, or above."""
    folders = [path.absolute(), path.absolute().parent]
    of_tasks = [path / run.task for run in found]
    places = [folder / LABELS for one in folders for folder in (one, one / "labels")]
    there = [place for place in (*places, *(folder / LABELS for folder in of_tasks)) if place.exists()]
    if not there:
        raise ValueError(f"there is no {LABELS} in {path} or above it: --labels must name the file of the true labels")
    return there[0]


# -- what is known of runs and tasks ----------------------------------------------------------------------------------


def _rows_of(rows: Sequence[Row], found: Sequence[_Run], where: str) -> list[Sequence[Row]]:
    """The rows of a table for each run, by its task and seed, without these."""
    if not {"task", "seed"} <= rows[0].keys():
        raise ValueError(f"{where} must have the columns task and seed, which say what run a row is of")
    by_run: dict[tuple[str, Any], list[Row]] = {}
    for row in rows:
        rest = {name: value for name, value in row.items() if name not in ("task", "seed")}
        by_run.setdefault((name_of(row["task"]), row["seed"]), []).append(rest)
    listed: list[Sequence[Row]] = []
    for run in found:
        if (run.task, run.seed) not in by_run:
            raise ValueError(f"{where} has no row of task {run.task!r} and seed {run.seed}")
        listed.append(by_run[run.task, run.seed])
        if len(listed[-1]) not in (1, run.rows.shape[0]):
            raise ValueError(
                f"{where} has {len(listed[-1])} rows of {run.rows.name}: one, or one for each of "
                f"{run.rows.shape[0]} checkpoints, is needed"
            )
    unknown = by_run.keys() - {(run.task, run.seed) for run in found}
    if unknown:
        task, seed = min(unknown, key=str)
        raise ValueError(f"{where} has a row of task {shown(task)} and seed {shown(seed)}, of which there is no file")
    return listed


def _class_lists(
    path: Path, classes: str | Path | None, found: Sequence[_Run], n_classes: int, report: Report
) -> dict[str, list[int]]:
    """The classes of each task that has a list of them."""
    lists, missing = {}, []
    for task in dict.fromkeys(run.task for run in found):
        folders = [path, path / "classes", path / task] if classes is None else [Path(classes).expanduser()]
        there = [folder / f"{task}.json" for folder in folders if (folder / f"{task}.json").exists()]
        if there:
            lists[task] = _read_class_list(there[0], n_classes)
        else:
            missing.append(task)
    if missing and classes is not None:
        raise FileNotFoundError(f"there is no list of classes {Path(classes) / missing[0]}.json")
    if missing:
        report.note(f"no list of classes of {', '.join(missing)}: --classes names a folder of <task>.json")
    return lists


def _read_class_list(file: Path, n_classes: int) -> list[int]:
    try:
        content = load_json(read_text(file))
    except ValueError as error:
        raise ValueError(f"list of classes {file}: {error}") from None
    listed = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(type(entry) is int and 0 <= entry < n_classes for entry in listed):
        raise ValueError(f'list of classes {file}: it must be {{"labels": [...]}} of numbers from 0 to {n_classes - 1}')
    if len(set(listed)) != len(listed) or len(listed) < 2:
        raise ValueError(f"list of classes {file}: it must name two classes or more, none twice")
    return sorted(listed)


def _recipe(lists: dict[str, list[int]]) -> str | None:
    """What the dataset stores of the classes of tasks, as a recipe does; no temperature of the imprint is known."""
    if not lists:
        return None
    tasks = {task: {"classes": [str(place) for place in listed]} for task, listed in lists.items()}
    return json.dumps({"imprint": {"temperature": "unknown"}, "tasks": tasks})
