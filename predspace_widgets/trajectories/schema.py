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
    problems = [*_structure_problems(ds)]
    if problems:
        return problems  # what follows reads the variables
    problems += [*_checkpoint_problems(ds), *_sample_problems(ds)]
    if values and "probs" in ds:
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
    return f"checkpoint {index} (run {str(ds['run'].values[index])!r}, epoch {float(ds['epoch'].values[index]):g})"


def _structure_problems(ds: xr.Dataset) -> Iterator[str]:
    if "probs" not in ds and "embedding" not in ds:
        yield "variable 'probs' (checkpoint, sample, class) is missing, and there is no 'embedding' instead"
    needed = list(CHECKPOINT_COORDS)
    if "probs" in ds:
        needed += ["label"]
    if "embedding" in ds:
        needed += ["eigenvalue"]
    for name in needed:
        if name not in ds.variables:
            yield f"variable {name!r} ({', '.join(_EXPECTED_DIMS[name])}) is missing"
    for name, dims in _EXPECTED_DIMS.items():
        if name in ds.variables and ds[name].dims != dims:
            yield f"{name!r} must have dimensions ({', '.join(dims)}), has ({', '.join(map(str, ds[name].dims))})"
    for name in ("probs", "embedding", "eigenvalue"):
        if name in ds and not np.issubdtype(ds[name].dtype, np.floating):
            yield f"{name!r} must hold floating-point numbers, holds {ds[name].dtype}"
    for name in _NUMERIC:
        if name in ds.variables and not np.issubdtype(ds[name].dtype, np.number):
            yield f"{name!r} must hold numbers, holds {ds[name].dtype}"
    if "label" in ds.variables and not np.issubdtype(ds["label"].dtype, np.integer):
        yield f"'label' must hold whole numbers (the index of the true class), holds {ds['label'].dtype}"
    if "image" in ds and (ds["image"].dims[:3] != ("sample", "row", "column") or ds["image"].dtype != np.uint8):
        yield "'image' must be uint8 with dimensions (sample, row, column[, channel])"
    for name in ("checkpoint", "sample", "class"):
        if name in ds.sizes and ds.sizes[name] == 0:
            yield f"dimension {name!r} is empty"
    version = ds.attrs.get("schema_version", SCHEMA_VERSION)
    if str(version) != SCHEMA_VERSION:
        yield f"schema_version is {version!r}, this package reads {SCHEMA_VERSION!r}: update predspace_widgets"


def _checkpoint_problems(ds: xr.Dataset) -> Iterator[str]:
    for name in _NUMERIC:
        bad = np.flatnonzero(~np.isfinite(ds[name].values.astype(np.float64)))
        if bad.size:
            yield f"{name!r} is not finite at {_listed([describe_checkpoint(ds, int(i)) for i in bad])}"
    runs = ds["run"].values.astype(str)
    steps = ds["step"].values
    for run in dict.fromkeys(runs):
        rows = np.flatnonzero(runs == run)
        for name in ("task", "method", "seed"):
            different = dict.fromkeys(map(str, ds[name].values[rows]))
            if len(different) > 1:
                yield f"run {run!r} has more than one {name}: {', '.join(different)}"
        doubled = [int(b) for a, b in itertools.pairwise(rows) if steps[a] == steps[b]]
        if doubled:
            places = [f"{describe_checkpoint(ds, i)}, step {steps[i]}" for i in doubled]
            yield f"duplicate checkpoints: {_listed(places)}"
        backwards = [int(b) for a, b in itertools.pairwise(rows) if steps[a] > steps[b]]
        if backwards:
            yield f"'step' falls within a run at {_listed([describe_checkpoint(ds, i) for i in backwards])}"


def _sample_problems(ds: xr.Dataset) -> Iterator[str]:
    for name in ("sample", "class"):
        if name in ds.coords:
            doubled = _doubled(ds[name].values)
            if doubled:
                yield f"{name!r} names must be unique, these are not: {_listed([repr(str(v)) for v in doubled])}"
    if "probs" in ds:
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
        values = np.asarray(block, dtype=np.float32)  # (T, n, C)
        finite = np.isfinite(values).all(axis=-1)  # (T, n)
        negative = (values < 0).any(axis=-1)
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
