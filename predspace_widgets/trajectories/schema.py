"""What a trajectories dataset is, and every way in which one can fail to be.

One row a checkpoint; runs may differ in length. README.md beside this file has the table of names.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE
from predspace_widgets.trajectories.selection import rows_of_runs

SCHEMA_VERSION = "1"

#: Coordinates that name a checkpoint.
CHECKPOINT_COORDS = ("run", "task", "method", "seed", "epoch", "step")

_EXPECTED_DIMS = {
    "probs": ("checkpoint", "sample", "class"),
    "label": ("sample",),
    "embedding": ("checkpoint", "component"),
    "eigenvalue": ("component",),
    "image": ("sample", "row", "column"),
    **dict.fromkeys(CHECKPOINT_COORDS, ("checkpoint",)),
}
_NUMERIC = ("seed", "epoch", "step")
_SHOWN = 3  # values named in one problem; the rest are counted


class TrajectoriesError(ValueError):
    """A dataset is no valid trajectories dataset.

    Attributes
    ----------
    problems : list of str
        Everything that is wrong, one sentence each: the variable, the checkpoint and the sample.
    """

    def __init__(self, problems: list[str], what: str = "this dataset") -> None:
        self.problems = problems
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{what} is not a valid trajectories dataset:{lines}")


class NoPredictionsError(ValueError):
    """The dataset holds an embedding but no predictions, so this cannot be measured on it."""

    def __init__(self) -> None:
        super().__init__("this dataset holds an embedding but no predictions: this needs predictions")


def validate(ds: xr.Dataset, *, values: bool = True) -> None:
    """Raise TrajectoriesError, naming every problem at once, unless `ds` is a valid trajectories dataset.

    Parameters
    ----------
    ds : xarray.Dataset
    values : bool
        Also read every probability (a block of samples at a time).

    Raises
    ------
    TrajectoriesError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> validate(geodesic_run())
    """
    problems = find_problems(ds, values=values)
    if problems:
        raise TrajectoriesError(problems)


def find_problems(ds: xr.Dataset, *, values: bool = True) -> list[str]:
    """Every problem of a dataset as one sentence each; an empty list for a valid one (see `validate`)."""
    faulty = {name: problem for name in _known(ds) if (problem := _problem_of_variable(ds, name))}
    sound = {str(name) for name in ds.variables if name not in faulty}
    problems = [
        *_dataset_problems(ds),
        *faulty.values(),
        *_checkpoint_problems(ds, sound),
        *_sample_problems(ds, sound),
    ]
    if values and "probs" in sound:
        problems += _probability_problems(ds)
    return problems


def describe_checkpoint(ds: xr.Dataset, index: int) -> str:
    """How messages name a checkpoint.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> describe_checkpoint(geodesic_run(), 0)
    "checkpoint 0 (run 'geodesic/synthetic/0', epoch 0)"
    """
    names = []
    if "run" in ds.variables and ds["run"].dims == ("checkpoint",):
        names.append(f"run {str(ds['run'].values[index])!r}")
    if _problem_of_variable(ds, "epoch") is None:
        names.append(f"epoch {float(ds['epoch'].values[index]):g}")
    return f"checkpoint {index}" + (f" ({', '.join(names)})" if names else "")


def _known(ds: xr.Dataset) -> list[str]:
    """Names of the variables that a dataset like this must have, and of those that it may have."""
    needed = list(CHECKPOINT_COORDS)
    if "probs" in ds or "embedding" not in ds:
        needed += ["probs"]
    if "probs" in ds:
        needed += ["label"]
    if "embedding" in ds:
        needed += ["embedding", "eigenvalue"]
    return needed + [name for name in ("label", "image") if name in ds.variables and name not in needed]


def _problem_of_variable(ds: xr.Dataset, name: str) -> str | None:
    """What is wrong with the form of one variable."""
    dims = _EXPECTED_DIMS[name]
    if name not in ds.variables:
        instead = ", and there is no 'embedding' instead" if name == "probs" else ""
        return f"variable {name!r} ({', '.join(dims)}) is missing{instead}"
    variable = ds[name]
    if name == "image":
        fits = variable.dims in (dims, (*dims, "channel")) and variable.dtype == np.uint8
        return None if fits else "'image' must be uint8 with dimensions (sample, row, column[, channel])"
    if variable.dims != dims:
        return f"{name!r} must have dimensions ({', '.join(dims)}), has ({', '.join(map(str, variable.dims))})"
    if name in ("probs", "embedding", "eigenvalue") and not np.issubdtype(variable.dtype, np.floating):
        return f"{name!r} must hold floating-point numbers, holds {variable.dtype}"
    if name in _NUMERIC and not np.issubdtype(variable.dtype, np.number):
        return f"{name!r} must hold numbers, holds {variable.dtype}"
    if name == "label" and not np.issubdtype(variable.dtype, np.integer):
        return f"'label' must hold whole numbers (the index of the true class), holds {variable.dtype}"
    return None


def _dataset_problems(ds: xr.Dataset) -> Iterator[str]:
    for name in ("checkpoint", "sample", "class"):
        if name in ds.sizes and ds.sizes[name] == 0:
            yield f"dimension {name!r} is empty"
    version = ds.attrs.get("schema_version", SCHEMA_VERSION)
    if str(version) != SCHEMA_VERSION:
        yield f"schema_version is {version!r}, this package reads {SCHEMA_VERSION!r}: update predspace_widgets"


def _checkpoint_problems(ds: xr.Dataset, sound: set[str]) -> Iterator[str]:
    for name in _NUMERIC:
        if name not in sound:
            continue
        bad = np.flatnonzero(~np.isfinite(ds[name].values.astype(np.float64)))
        if bad.size:
            yield f"{name!r} is not finite at {_listed((describe_checkpoint(ds, int(i)) for i in bad), bad.size)}"
    if "run" not in sound:
        return
    columns = {name: ds[name].values for name in ("task", "method", "seed") if name in sound}
    steps = ds["step"].values if "step" in sound else None
    for run, rows in rows_of_runs(ds).items():
        for name, column in columns.items():
            different = dict.fromkeys(map(str, column[rows]))
            if len(different) > 1:
                yield f"run {run!r} has more than one {name}: {', '.join(different)}"
        if steps is not None:
            yield from _step_problems(ds, rows, steps)


def _step_problems(ds: xr.Dataset, rows: NDArray[np.intp], steps: NDArray[Any]) -> Iterator[str]:
    """Steps that do not rise along the checkpoints of a run."""
    before, after = steps[rows[:-1]], steps[rows[1:]]
    doubled = rows[1:][before == after]
    if doubled.size:
        places = (f"{describe_checkpoint(ds, int(row))}, step {steps[row]}" for row in doubled)
        yield f"duplicate checkpoints: {_listed(places, doubled.size)}"
    backwards = rows[1:][before > after]
    if backwards.size:
        places = (describe_checkpoint(ds, int(row)) for row in backwards)
        yield f"'step' falls within a run at {_listed(places, backwards.size)}"


def _sample_problems(ds: xr.Dataset, sound: set[str]) -> Iterator[str]:
    for name in ("sample", "class"):
        if name in ds.coords:
            doubled = _doubled(ds[name].values)
            if doubled:
                names = _listed((repr(str(value)) for value in doubled), len(doubled))
                yield f"{name!r} names must be unique, these are not: {names}"
    if {"probs", "label"} <= sound:
        labels, n_classes = ds["label"].values, ds.sizes["class"]
        bad = np.flatnonzero((labels < 0) | (labels >= n_classes))
        if bad.size:
            places = (f"sample {_sample_name(ds, int(i))} has {labels[i]}" for i in bad)
            yield f"'label' must lie in [0, {n_classes}): {_listed(places, bad.size)}"


def _probability_problems(ds: xr.Dataset) -> list[str]:
    """NaN, negative values and bad row sums, read a block of samples at a time."""
    counts: Counter[str] = Counter()
    named: dict[str, list[str]] = {}  # the first places only: of wrong input, every row may be one
    for start, block in sample_blocks(ds["probs"]):
        values = block.astype(np.promote_types(block.dtype, np.float32), copy=False)  # (T, n, C)
        finite = np.isfinite(values).all(axis=-1)  # (T, n)
        negative = (values < 0).any(axis=-1)
        with np.errstate(invalid="ignore"):  # NaN is looked for by itself
            off = np.abs(values.sum(axis=-1, dtype=np.float64) - 1)
        checks = {
            "'probs' is not finite (NaN or infinity)": ~finite,
            "'probs' is negative": finite & negative,
            "rows of 'probs' do not sum to 1": finite & ~negative & (off > ROW_SUM_TOLERANCE),
        }
        for problem, bad in checks.items():
            if not bad.any():
                continue
            counts[problem] += int(np.count_nonzero(bad))
            named.setdefault(problem, []).extend(
                f"{describe_checkpoint(ds, checkpoint)}, sample {_sample_name(ds, start + sample)}"
                for checkpoint, sample in np.argwhere(bad)[:_SHOWN].tolist()
            )
    return [f"{problem} at {_listed(places, counts[problem])}" for problem, places in named.items()]


def sample_blocks(probs: xr.DataArray) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs of (first sample, probabilities of a block of samples), following the chunks of a lazy array.

    Read in this process, whatever cluster there is.
    """
    sizes = probs.chunksizes.get("sample") or (probs.sizes["sample"],)
    start = 0
    for size in sizes:
        yield start, probs.isel(sample=slice(start, start + size)).compute(scheduler="threads").values
        start += size


def _sample_name(ds: xr.Dataset, index: int) -> Hashable:
    return str(ds["sample"].values[index]) if "sample" in ds.coords else str(index)


def _doubled(values: np.ndarray) -> list[Hashable]:
    unique, counts = np.unique(values.astype(str), return_counts=True)
    return list(unique[counts > 1])


def _listed(names: Iterable[str], count: int) -> str:
    """The first of so many names; the others are not even made."""
    more = count - _SHOWN
    return "; ".join(itertools.islice(names, _SHOWN)) + (f"; and {more} more" if more > 0 else "")
