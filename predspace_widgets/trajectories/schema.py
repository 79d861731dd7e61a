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
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS, attributes_of, texts_of
from predspace_widgets.trajectories.selection import rows_of_runs

SCHEMA_VERSION = "1"

#: Names of the predictions: probabilities, in memory always and on disk mostly, or their logarithms, on disk only.
PREDICTIONS = ("probs", "log_probs")

_EXPECTED_DIMS = {
    **dict.fromkeys(PREDICTIONS, ("checkpoint", "sample", "class")),
    "label": ("sample",),
    "subset": ("sample",),
    "embedding": ("checkpoint", "component"),
    "eigenvalue": ("component",),
    "spectrum": ("axis",),
    "image": ("sample", "row", "column"),
    **dict.fromkeys(CHECKPOINT_COORDS, ("checkpoint",)),
}
_FLOATING = (*PREDICTIONS, "embedding", "eigenvalue", "spectrum")
_NUMERIC = ("seed", "epoch", "step")
_NAMES = ("run", "task", "method", "sample", "class", "subset")
# How far the sum of squared coordinates may be from the eigenvalue of its axis, relative to it: float16 rounds each
# coordinate by up to 2**-11 of itself, and published numbers are rounded to some decimals.
_SQUARE_SUM_TOLERANCE = 5e-3
_CENTRED = 1e-6  # the mean of coordinates that count as centred, relative to their root mean square
_CHECKED = "checked_predictions"
_SHOWN = 3  # values named in one problem; the rest are counted


class TrajectoriesError(ValueError):
    """A dataset is no valid trajectories dataset.

    Attributes
    ----------
    problems : list of str
        Everything that is wrong, one sentence each: the variable, the checkpoint and the sample.
    what : str
        The dataset, such as where it is.
    """

    def __init__(self, problems: list[str], what: str = "this dataset") -> None:
        self.problems, self.what = problems, what
        lines = "".join(f"\n  - {problem}" for problem in problems)
        super().__init__(f"{what} is not a valid trajectories dataset:{lines}")


class NoPredictionsError(ValueError):
    """The dataset holds an embedding but no predictions, so this cannot be measured on it."""

    def __init__(self) -> None:
        super().__init__("this dataset holds an embedding but no predictions: this needs predictions")


def check_predictions(ds: xr.Dataset) -> None:
    """Raise NoPredictionsError unless a dataset holds predictions."""
    if "probs" not in ds:
        raise NoPredictionsError


def predictions_name(names: Any) -> str:
    """What the predictions are called in a Zarr group, a dataset as it lies on disk, or a list of names.

    Examples
    --------
    >>> predictions_name(["run", "log_probs"]), predictions_name(["run", "probs"])
    ('log_probs', 'probs')
    """
    return "log_probs" if "log_probs" in names and "probs" not in names else "probs"


def validate(ds: xr.Dataset, *, values: bool = True) -> None:
    """Raise TrajectoriesError, naming every problem at once, unless `ds` is a valid trajectories dataset.

    Parameters
    ----------
    ds : xarray.Dataset
    values : bool
        Also read every probability (a block of samples at a time) and every coordinate of an embedding.

    Raises
    ------
    TrajectoriesError
        Squared coordinates of an embedding must add up to the absolute eigenvalues; those of a choice of checkpoints,
        which are not centred, may add up to less.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> validate(geodesic_run())
    """
    problems = find_problems(ds, values=values)
    if problems:
        raise TrajectoriesError(problems)


def find_problems(ds: xr.Dataset, *, values: bool = True, on_disk: bool = False) -> list[str]:
    """Every problem of a dataset as one sentence each; an empty list for a valid one (see `validate`).

    Parameters
    ----------
    ds : xarray.Dataset
    values : bool
        See `validate`.
    on_disk : bool
        Whether this is how it lies on disk, where `log_probs` may stand in the place of `probs`.
    """
    names = [name for name in ("run", "sample", "class") if name in ds.variables and ds[name].dtype.kind == "T"]
    if names:  # numpy makes no plain text of it
        return [f"{', '.join(names)}: text as xr.open_zarr reads it, open the dataset with pw.open_trajectories"]
    predictions = predictions_name(ds) if on_disk else "probs"
    names = _known(ds, predictions)
    faulty = {name: problem for name in names if (problem := _problem_of_variable(ds, name))}
    if predictions not in ds and predictions in faulty:
        one_of = "variable 'probs' or 'log_probs'" if on_disk else "variable 'probs'"
        dims = ", ".join(_EXPECTED_DIMS[predictions])
        faulty[predictions] = f"{one_of} ({dims}) is missing, and there is no 'embedding' instead"
    sound = {str(name) for name in ds.variables if name not in faulty}
    problems = [
        *_dataset_problems(ds, on_disk),
        *faulty.values(),
        *_name_problems(ds),
        *_attribute_problems(ds, sound),
        *_checkpoint_problems(ds, sound),
        *_sample_problems(ds, sound, predictions),
    ]
    if values:
        problems += _embedding_problems(ds, sound & {*names})
        problems += _spectrum_problems(ds, sound & {*names})
    if values and predictions in sound & {*names} and not _is_checked(ds[predictions]):
        problems += _prediction_problems(ds, predictions)
    return problems


def note_checked(probs: xr.DataArray) -> None:
    """Let lazy predictions know that each of their values has been checked, so that none is read for that again.

    The note lies in their `encoding`, as that of `predspace_widgets.trajectories.source.note_source` does.
    """
    probs.encoding[_CHECKED] = probs.data.name


def _is_checked(probs: xr.DataArray) -> bool:
    return _CHECKED in probs.encoding and probs.encoding[_CHECKED] == getattr(probs.data, "name", None)


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


def _known(ds: xr.Dataset, predictions: str) -> list[str]:
    """Names of the variables that a dataset like this must have, and of those that it may have."""
    needed = list(CHECKPOINT_COORDS)
    if predictions in ds or "embedding" not in ds:
        needed += [predictions]
    if predictions in ds:
        needed += ["label"]
    if "embedding" in ds:
        needed += ["embedding", "eigenvalue"]
    return needed + [
        name for name in ("label", "image", "spectrum", "subset") if name in ds.variables and name not in needed
    ]


def _problem_of_variable(ds: xr.Dataset, name: str) -> str | None:
    """What is wrong with the form of one variable."""
    dims = _EXPECTED_DIMS[name]
    if name not in ds.variables:
        return f"variable {name!r} ({', '.join(dims)}) is missing"
    variable = ds[name]
    if name == "image":
        fits = variable.dims in (dims, (*dims, "channel")) and variable.dtype == np.uint8
        return None if fits else "'image' must be uint8 with dimensions (sample, row, column[, channel])"
    if variable.dims != dims:
        return f"{name!r} must have dimensions ({', '.join(dims)}), has ({', '.join(map(str, variable.dims))})"
    if name in _FLOATING and not np.issubdtype(variable.dtype, np.floating):
        return f"{name!r} must hold floating-point numbers, holds {variable.dtype}"
    if name in _NUMERIC and not np.issubdtype(variable.dtype, np.number):
        return f"{name!r} must hold numbers, holds {variable.dtype}"
    if name == "subset" and (variable.dtype.kind not in "UOT" or name not in ds.coords):
        return "'subset' must be a coordinate of text: the name of the set that a sample is from"
    if name == "label" and not np.issubdtype(variable.dtype, np.integer):
        return f"'label' must hold whole numbers (the index of the true class), holds {variable.dtype}"
    return None


def _dataset_problems(ds: xr.Dataset, on_disk: bool) -> Iterator[str]:
    if on_disk and {*PREDICTIONS} <= {*ds.variables}:
        yield "there are both 'probs' and 'log_probs', which may contradict each other: keep one of them"
    if not on_disk and "log_probs" in ds.variables:
        yield "'log_probs' are for files only: give probabilities as 'probs', and save them with store='log_probs'"
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
            yield f"{name!r} is not finite at {_checkpoints(ds, bad)}"
    if "seed" in sound:
        bad = np.flatnonzero([np.isfinite(seed) and not is_int64(seed) for seed in ds["seed"].values.tolist()])
        if bad.size:
            yield f"'seed' is no whole number of 64 bits at {_checkpoints(ds, bad)}"
    if "run" not in sound:
        return
    columns = {name: ds[name].values for name in ("task", "method", "seed") if name in sound}
    times = {name: ds[name].values for name in ("step", "epoch") if name in sound}
    for run, rows in rows_of_runs(ds).items():
        for name, column in columns.items():
            different = dict.fromkeys(map(str, column[rows]))
            if len(different) > 1:
                yield f"run {run!r} has more than one {name}: {', '.join(different)}"
        for name, time in times.items():
            yield from _order_problems(ds, rows, name, time)


def _attribute_problems(ds: xr.Dataset, sound: set[str]) -> Iterator[str]:
    """Attributes of runs that are neither text nor numbers, or no attribute of the whole run."""
    runs = rows_of_runs(ds) if "run" in sound else {}
    for name in attributes_of(ds):
        if ds[name].dtype.kind not in "UOTiuf":
            yield f"{name!r} must hold text or numbers, as attributes of runs do, holds {ds[name].dtype}"
            continue
        values = np.array(texts_of(ds[name].values))
        bad = {run: list(dict.fromkeys(values[rows].tolist())) for run, rows in runs.items()}
        bad = {run: different for run, different in bad.items() if len(different) > 1}
        if bad:
            places = (
                f"run {run!r} has {_listed(map(repr, different), len(different))}" for run, different in bad.items()
            )
            yield f"{name!r} must be the same along a run, as attributes of runs are: {_listed(places, len(bad))}"


def _order_problems(ds: xr.Dataset, rows: NDArray[np.intp], name: str, time: NDArray[Any]) -> Iterator[str]:
    """Steps that do not rise along the checkpoints of a run, and epochs that fall."""
    before, after = time[rows[:-1]], time[rows[1:]]
    doubled = rows[1:][before == after]
    if name == "step" and doubled.size:
        places = (f"{describe_checkpoint(ds, int(row))}, step {time[row]}" for row in doubled)
        yield f"duplicate checkpoints: {_listed(places, doubled.size)}"
    backwards = rows[1:][before > after]
    if backwards.size:
        yield f"{name!r} falls within a run at {_checkpoints(ds, backwards)}"


def is_int64(value: Any) -> bool:
    """Whether a number is whole and can be stored as one of 64 bits.

    Examples
    --------
    >>> is_int64(3.0), is_int64(0.5), is_int64(2**63)
    (True, False, False)
    """
    return isinstance(value, int | float) and value == value // 1 and -(2**63) <= value < 2**63


def _name_problems(ds: xr.Dataset) -> Iterator[str]:
    """Names that numpy's fixed-length text would shorten without a word."""
    for name in (*_NAMES, *attributes_of(ds)):
        if name not in ds.variables or ds[name].dtype.kind not in "OT" or ds[name].ndim != 1:
            continue
        bad = np.flatnonzero([str(value).endswith("\0") for value in ds[name].values.tolist()])
        if bad.size:
            of_checkpoints = ds[name].dims == ("checkpoint",)
            places = _checkpoints(ds, bad) if of_checkpoints else _listed((f"{name} {i}" for i in bad), bad.size)
            yield f"{name!r} ends in a NUL character, which cannot be stored, at {places}"


def _sample_problems(ds: xr.Dataset, sound: set[str], predictions: str) -> Iterator[str]:
    for name in ("sample", "class"):
        if name in ds.coords:
            doubled = _doubled(ds[name].values)
            if doubled:
                names = _listed((repr(str(value)) for value in doubled), len(doubled))
                yield f"{name!r} names must be unique, these are not: {names}"
    if {predictions, "label"} <= sound:
        labels, n_classes = ds["label"].values, ds.sizes["class"]
        bad = np.flatnonzero((labels < 0) | (labels >= n_classes))
        if bad.size:
            places = (f"sample {_sample_name(ds, int(i))} has {labels[i]}" for i in bad)
            yield f"'label' must lie in [0, {n_classes}): {_listed(places, bad.size)}"


def _embedding_problems(ds: xr.Dataset, sound: set[str]) -> Iterator[str]:
    """Coordinates and eigenvalues that are no numbers, or contradict each other.

    The squares of the coordinates of axis i add up to the absolute eigenvalue i over all points of a picture, which
    are centred. Centred anew, some of them add up to less. So more is always wrong, and less is wrong where the points
    are centred on every axis as they are, as all points are and a choice of them hardly ever is.
    """
    if not {"embedding", "eigenvalue"} <= sound:
        return
    coordinates = ds["embedding"].values.astype(np.float64)  # (T, k)
    eigenvalues = ds["eigenvalue"].values.astype(np.float64)  # (k,)
    bad = np.flatnonzero(~np.isfinite(coordinates).all(axis=1))
    if bad.size:
        yield f"'embedding' is not finite (NaN or infinity) at {_checkpoints(ds, bad)}"
    bad_axes = np.flatnonzero(~np.isfinite(eigenvalues))
    if bad_axes.size:
        yield f"'eigenvalue' is not finite (NaN or infinity) of {_listed(map(_axis, bad_axes), bad_axes.size)}"
    if bad.size or bad_axes.size or not coordinates.size:
        return
    mean = coordinates.mean(axis=0)  # (k,)
    sums = np.square(coordinates - mean).sum(axis=0)
    size = np.abs(eigenvalues)
    is_whole = bool((np.abs(mean) <= _CENTRED * np.sqrt(np.square(coordinates).mean(axis=0))).all())
    wrong = sums > (1 + _SQUARE_SUM_TOLERANCE) * size
    if is_whole:
        wrong |= sums < (1 - _SQUARE_SUM_TOLERANCE) * size
    axes = np.flatnonzero(wrong)
    if axes.size:
        farthest = np.abs(coordinates - mean).argmax(axis=0)  # the checkpoint to look at first
        places = (
            f"{_axis(k)} (squares add up to {sums[k]:.4g}, the eigenvalue is {eigenvalues[k]:.4g}; farthest out is "
            f"{describe_checkpoint(ds, int(farthest[k]))})"
            for k in axes
        )
        yield f"'embedding' and 'eigenvalue' contradict each other on {_listed(places, axes.size)}"


def _spectrum_problems(ds: xr.Dataset, sound: set[str]) -> Iterator[str]:
    """A spectrum of all axes that contradicts the eigenvalues of those with coordinates, or their sum."""
    total = ds.attrs.get("eigenvalue_square_sum")
    if total is not None and not (isinstance(total, int | float | np.number) and 0 <= total < np.inf):
        yield f"the attribute 'eigenvalue_square_sum' must be a number, not {str(total)[:40]!r}"
        return
    known = [name for name in ("spectrum", "eigenvalue") if name in sound]
    if known and total is not None and np.square(ds[known[0]].values).sum() > (1 + _SQUARE_SUM_TOLERANCE) * total:
        yield f"the squares of {known[0]!r} add up to more than the attribute 'eigenvalue_square_sum', {total:.6g}"
    if len(known) < 2:
        return
    spectrum, eigenvalues = (ds[name].values.astype(np.float64) for name in ("spectrum", "eigenvalue"))
    first = spectrum[: len(eigenvalues)]
    if not np.isfinite(spectrum).all():
        yield "'spectrum' is not finite (NaN or infinity)"
    elif not np.allclose(first, eigenvalues[: len(first)], rtol=_SQUARE_SUM_TOLERANCE) or len(first) < len(eigenvalues):
        yield "'spectrum' does not begin with the eigenvalues of the axes"


def _prediction_problems(ds: xr.Dataset, name: str) -> list[str]:
    """What is wrong with the values of predictions, read a block of samples at a time."""
    check = _probability_checks if name == "probs" else _logarithm_checks
    counts: Counter[str] = Counter()
    named: dict[str, list[str]] = {}  # the first places only: of wrong input, every row may be one
    for start, block in sample_blocks(ds[name]):
        for problem, bad in check(block.astype(np.promote_types(block.dtype, np.float32), copy=False)).items():
            if not bad.any():
                continue
            counts[problem] += int(np.count_nonzero(bad))
            named.setdefault(problem, []).extend(
                f"{describe_checkpoint(ds, checkpoint)}, sample {_sample_name(ds, start + sample)}"
                for checkpoint, sample in np.argwhere(bad)[:_SHOWN].tolist()
            )
    return [f"{problem} at {_listed(places, counts[problem])}" for problem, places in named.items()]


def _probability_checks(probs: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """For each problem, the rows (T, n) of probabilities (T, n, C) that have it."""
    finite = np.isfinite(probs).all(axis=-1)  # (T, n)
    negative = (probs < 0).any(axis=-1)
    with np.errstate(invalid="ignore"):  # NaN is looked for by itself
        off = np.abs(probs.sum(axis=-1, dtype=np.float64) - 1)
    return {
        "'probs' is not finite (NaN or infinity)": ~finite,
        "'probs' is negative (logits need a softmax first)": finite & negative,
        "rows of 'probs' do not sum to 1": finite & ~negative & (off > ROW_SUM_TOLERANCE),
    }


def _logarithm_checks(logs: NDArray[Any]) -> dict[str, NDArray[np.bool_]]:
    """The same for logarithms, of which each row may lack a constant."""
    finite = np.isfinite(logs).all(axis=-1)  # (T, n)
    return {
        "'log_probs' is not finite (NaN or infinity)": ~finite,
        "'log_probs' is positive, as no logarithm of a probability is": finite & (logs > 0).any(axis=-1),
    }


def sample_blocks(probs: xr.DataArray) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs of (first sample, predictions of a block of samples), following the chunks of a lazy array.

    Read in this process, whatever cluster there is.
    """
    sizes = probs.chunksizes.get("sample") or (probs.sizes["sample"],)
    start = 0
    for size in sizes:
        yield start, probs.isel(sample=slice(start, start + size)).compute(scheduler="threads").values
        start += size


def _checkpoints(ds: xr.Dataset, rows: NDArray[np.intp]) -> str:
    """How messages name several checkpoints."""
    return _listed((describe_checkpoint(ds, int(row)) for row in rows), rows.size)


def _axis(index: Any) -> str:
    return f"axis {index + 1}"


def _sample_name(ds: xr.Dataset, index: int) -> Hashable:
    return str(ds["sample"].values[index]) if "sample" in ds.coords else str(index)


def _doubled(values: np.ndarray) -> list[Hashable]:
    unique, counts = np.unique(values.astype(str), return_counts=True)
    return list(unique[counts > 1])


def _listed(names: Iterable[str], count: int) -> str:
    """The first of so many names; the others are not even made."""
    more = count - _SHOWN
    return "; ".join(itertools.islice(names, _SHOWN)) + (f"; and {more} more" if more > 0 else "")
