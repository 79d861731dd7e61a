"""What a trajectories dataset is, and every way in which one can fail to be.

One row a checkpoint; runs may differ in length. README.md beside this file has the table of names.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator

import numpy as np
import xarray as xr

from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE

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
            yield f"{name!r} is not finite at {_listed([describe_checkpoint(ds, int(i)) for i in bad])}"
    if "run" not in sound:
        return
    runs = ds["run"].values.astype(str)
    for run in dict.fromkeys(runs.tolist()):
        rows = np.flatnonzero(runs == run).tolist()
        for name in ("task", "method", "seed"):
            different = dict.fromkeys(map(str, ds[name].values[rows])) if name in sound else {}
            if len(different) > 1:
                yield f"run {run!r} has more than one {name}: {', '.join(different)}"
        if "step" in sound:
            yield from _step_problems(ds, rows)


def _step_problems(ds: xr.Dataset, rows: list[int]) -> Iterator[str]:
    """Steps that do not rise along the checkpoints of a run."""
    steps = ds["step"].values
    doubled = [b for a, b in itertools.pairwise(rows) if steps[a] == steps[b]]
    if doubled:
        places = [f"{describe_checkpoint(ds, row)}, step {steps[row]}" for row in doubled]
        yield f"duplicate checkpoints: {_listed(places)}"
    backwards = [b for a, b in itertools.pairwise(rows) if steps[a] > steps[b]]
    if backwards:
        yield f"'step' falls within a run at {_listed([describe_checkpoint(ds, row) for row in backwards])}"


def _sample_problems(ds: xr.Dataset, sound: set[str]) -> Iterator[str]:
    for name in ("sample", "class"):
        if name in ds.coords:
            doubled = _doubled(ds[name].values)
            if doubled:
                yield f"{name!r} names must be unique, these are not: {_listed([repr(str(v)) for v in doubled])}"
    if {"probs", "label"} <= sound:
        labels, n_classes = ds["label"].values, ds.sizes["class"]
        bad = np.flatnonzero((labels < 0) | (labels >= n_classes))
        if bad.size:
            yield (
                f"'label' must lie in [0, {n_classes}): "
                f"{_listed([f'sample {_sample_name(ds, int(i))} has {labels[i]}' for i in bad])}"
            )


def _probability_problems(ds: xr.Dataset) -> list[str]:
    """NaN, negative values and bad row sums, read a block of samples at a time."""
    found: dict[str, list[str]] = {}
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
            for checkpoint, sample in np.argwhere(bad).tolist():
                where = f"{describe_checkpoint(ds, checkpoint)}, sample {_sample_name(ds, start + sample)}"
                found.setdefault(problem, []).append(where)
    return [f"{problem} at {_listed(places)}" for problem, places in found.items()]


def sample_blocks(probs: xr.DataArray) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs of (first sample, probabilities of a block of samples), following the chunks of a lazy array."""
    sizes = probs.chunksizes.get("sample") or (probs.sizes["sample"],)
    start = 0
    for size in sizes:
        yield start, probs.isel(sample=slice(start, start + size)).values
        start += size


def _sample_name(ds: xr.Dataset, index: int) -> Hashable:
    return str(ds["sample"].values[index]) if "sample" in ds.coords else str(index)


def _doubled(values: np.ndarray) -> list[Hashable]:
    unique, counts = np.unique(values.astype(str), return_counts=True)
    return list(unique[counts > 1])


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return "; ".join(names[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
