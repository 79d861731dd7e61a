"""Published and foreign data as trajectories datasets: pictures, prediction stores, plain arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import xarray as xr

from predspace_widgets.trajectories.importers.arrays import read_arrays
from predspace_widgets.trajectories.importers.files import SUFFIXES
from predspace_widgets.trajectories.importers.prediction_store import is_prediction_store, read_prediction_store
from predspace_widgets.trajectories.importers.published import read_picture
from predspace_widgets.trajectories.importers.report import REPORT, Report, numbers_of, report_of
from predspace_widgets.trajectories.schema import SCHEMA_VERSION, validate

__all__ = ["REPORT", "Report", "import_trajectories", "numbers_of", "report_of"]


@dataclass(frozen=True)
class _Kind:
    """One kind of data that can be imported.

    Attributes
    ----------
    name : str
        How messages call it.
    read : callable
        Makes a dataset of a path and a report to write to, and of the options that were given.
    options : tuple of str
        Which of the options of `import_trajectories` it takes.
    """

    name: str
    read: Callable[..., xr.Dataset]
    options: tuple[str, ...]


_PICTURE = _Kind("a published picture", read_picture, ("tasks", "epochs", "seeds", "method", "signs", "max_bytes"))
_STORE = _Kind(
    "a prediction store",
    read_prediction_store,
    ("epochs", "method", "labels", "classes", "runs", "row_tolerance"),
)
_ARRAYS = _Kind(
    "an array of predictions",
    read_arrays,
    ("array", "labels", "logits", "row_tolerance", "runs", "tasks", "seeds", "epochs", "method"),
)


def import_trajectories(
    src: str | os.PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    epochs: Sequence[float] | str | None = None,
    seeds: Sequence[int] | None = None,
    method: str | None = None,
    signs: str | None = None,
    max_bytes: int | None = None,
    array: str | None = None,
    labels: str | os.PathLike[str] | None = None,
    logits: bool | None = None,
    row_tolerance: float | None = None,
    runs: str | os.PathLike[str] | None = None,
    classes: str | os.PathLike[str] | None = None,
    title: str | None = None,
) -> xr.Dataset:
    """A trajectories dataset of data that were published or made by other software.

    What kind of data it is follows from what lies at `src`. What the data leave open is asked for by an error that
    names the option, or assumed and said in the report, as is all that was odd: the attribute "import_report", a line
    each.

    Parameters
    ----------
    src : path
        A pickle of a published picture (.pkl): see `read_picture`. A folder with `preds_<seed>.h5`, or with a folder of
        such for each task: see `read_prediction_store`. A .npy, .npz, .h5, .pt or .safetensors file with probabilities
        or logits: see `read_arrays`. Of predictions every row is read once to check it.
    tasks : sequence of str, optional
        What the networks were trained on, in the order of the data, where these do not name it.
    epochs : sequence of float, "checkpoints" or "paper", optional
        The epoch of each checkpoint of a run, or that they are the numbers of the checkpoints; see `read_picture`. Of
        predictions also those of the paper's 61 checkpoints.
    seeds : sequence of int, optional
        Numbers of the seeds, in the order of the data. By default 0, 1, 2, ...
    method : str, optional
        How the networks were trained. By default "supervised".
    signs : {"flags", "signed"}, optional
        Of pictures: where the signs of the eigenvalues are, if the data do not tell.
    max_bytes : int, optional
        Of pictures: a larger file is refused before it is read. By default 128 MiB.
    array : str, optional
        Of a file of several arrays: the name of that of the predictions.
    labels : str or path, optional
        File of the true labels, or name of the array in `src` that holds them.
    logits : bool, optional
        Whether an array holds logits. By default it must hold probabilities.
    row_tolerance : float, optional
        How far from 1 the sum of a row of probabilities may be, before it is divided by it.
    runs : path, optional
        CSV or YAML of the runs: task, method, seed, epoch, step, run, and attributes.
    classes : path, optional
        Of a prediction store: the folder with <task>.json, {"labels": [...]}, of the classes of each task.
    title : str, optional
        By default the name of the file.

    Returns
    -------
    xarray.Dataset
        Predictions are lazy; `save_trajectories` writes them a block at a time.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    TrajectoriesError, ValueError
        It is none of these, it is damaged or contradicts itself, or an option is needed or does not fit.

    Examples
    --------
    >>> import_trajectories("notes.txt")
    Traceback (most recent call last):
        ...
    FileNotFoundError: there is nothing at notes.txt
    """
    path = Path(src).expanduser()
    kind = _kind_of(path)
    options: dict[str, Any] = {
        "tasks": tasks,
        "epochs": epochs,
        "seeds": seeds,
        "method": method,
        "signs": signs,
        "max_bytes": max_bytes,
        "array": array,
        "labels": labels,
        "logits": logits,
        "row_tolerance": row_tolerance,
        "runs": runs,
        "classes": classes,
    }
    given = {name: value for name, value in options.items() if value is not None}
    _check_options(given, kind)
    report = Report()
    ds = kind.read(path, report, **given)
    attrs = {
        "schema_version": SCHEMA_VERSION,
        "title": path.stem,
        "source": f"{kind.name}, imported from {path.name}",
        "created_by": f"predspace_widgets {version('predspace_widgets')}: import",
    }
    ds = ds.assign_attrs(attrs | ds.attrs | ({"title": title} if title else {}) | {REPORT: report.lines})
    validate(ds, values="probs" not in ds)  # predictions are read when they are saved, which checks them
    return ds


def _kind_of(path: Path) -> _Kind:
    """Which kind of data lies at a path."""
    if not path.exists():
        raise FileNotFoundError(f"there is nothing at {path}")
    if path.is_file() and path.suffix in (".pkl", ".pickle"):
        return _PICTURE
    if path.is_file() and path.suffix in SUFFIXES:
        return _ARRAYS
    if path.is_dir() and is_prediction_store(path):
        return _STORE
    raise ValueError(
        f"{path} is nothing that can be imported: a published picture ends in .pkl, a file of arrays in "
        f"{', '.join(SUFFIXES)}, and a prediction store is a folder with preds_<seed>.h5"
    )


def _check_options(given: Mapping[str, Any], kind: _Kind) -> None:
    for name in given:
        if name not in kind.options:
            takers = [other.name for other in (_PICTURE, _STORE, _ARRAYS) if name in other.options]
            raise ValueError(
                f"{name} means nothing for {kind.name}, but for {' and '.join(takers)}: this takes "
                f"{', '.join(kind.options)} and title"
            )
