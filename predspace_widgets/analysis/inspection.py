"""Why two predictions differ, sample by sample, and what one checkpoint gets right and wrong."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.frame import MOST_EXACT
from predspace_widgets.analysis.points import Place, Point, place_at_progress
from predspace_widgets.geometry.contributions import (
    contributions,
    deficits,
    n_for_share,
    sums_by_group,
    sums_by_pair,
    true_probabilities,
)
from predspace_widgets.geometry.distance import angles_of_deficits, minus_log_overlaps
from predspace_widgets.geometry.geodesic import nearest_by_overlaps
from predspace_widgets.geometry.probabilities import FLOOR, Array, ignorance
from predspace_widgets.trajectories.samples import class_names
from predspace_widgets.trajectories.selection import rows_of_runs

#: A run or a curve by its name; a curve also as its task and method.
Named = str | tuple[str, str]
#: What `why` compares: a row, a run or a curve at its end, or one of these at {"step": 100} or {"progress": 0.5}.
Side = SupportsIndex | Named | tuple[Named, Mapping[str, float]]

#: Of the least certain correct samples, and of the most certain errors, so many are listed.
N_LISTED = 12

_AT_A_TIME = 2**21  # probabilities of ignorance that are held
_NEAR = 3  # names that an error offers in the place of an unknown one


def why(data: xr.Dataset | Analysis, first: Side, second: Side) -> xr.Dataset:
    """How much each sample contributes to the Bhattacharyya distance of two predictions.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    first, second : int, str, (task, method), or one of the names with a moment
        - a number is a row of the dataset, one checkpoint;
        - a name of a run is its last checkpoint;
        - a label of a curve, or its (task, method), is the mean of the predictions of its runs at their ends;
        - (name, {"step": 100}) is the checkpoint of the run, or of each run of the curve, at this step;
        - (name, {"progress": 0.5}) is where the run, or each run of the curve, has made this much progress (see
          `predspace_widgets.geometry.reindex`).

    Returns
    -------
    xarray.Dataset
        - `contribution` (sample): -log max(overlap, FLOOR) of each sample; their mean is the distance. `order` (rank):
          places of the samples, the largest contribution first.
        - `share_of_class` (class): share of each true class in the distance, which sum to 1; 0 of a class without a
          sample. `contribution_by_pair` (side, true, predicted): what the samples of a true class that a side predicts
          as a class add to the distance; of each side they sum to the distance.
        - `probs_first`, `probs_second` (sample, class), the predictions; `predicted` (side, sample), the number of the
          most probable class, as `label` (sample) is that of the true one.

        Attributes: `distance`, d_B in nats; `great_circle`, d_G in radians; `n_for_half`, how many samples make half
        of the distance; `first` and `second`, what the two are. Of predictions that coincide all numbers are 0.

    Raises
    ------
    ValueError
        A row, run, curve, step or progress that is not there, or a name that is both a run and a curve.
    NoPredictionsError
    StoreChangedError
        The files of the dataset are not those that it was opened from.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories()
    >>> found = why(ds, "red/supervised/0", ("blue", {"progress": 0.3}))
    >>> found.attrs["second"], found.attrs["n_for_half"]
    ('blue at progress 0.3 (mean of 2 runs)', 7)
    >>> bool(abs(found.contribution.mean() - found.attrs["distance"]) < 1e-12)
    True
    """
    analysis = analysis_of(data)
    analysis.measured.check_predictions()
    sides = point_of(analysis, first), point_of(analysis, second)
    p, q = analysis.points.read(*sides)  # (N, C)
    missed = deficits(p, q)  # (N,)
    values = minus_log_overlaps(missed)
    labels, n_classes = analysis.ds["label"].values, p.shape[1]
    predicted = np.stack([p.argmax(axis=-1), q.argmax(axis=-1)])  # (side, N)
    total = float(values.sum())
    by_pair = [sums_by_pair(values, labels, of_side, n_classes) / len(values) for of_side in predicted]
    names = class_names(analysis.ds)
    return xr.Dataset(
        {
            "contribution": ("sample", values),
            "order": ("rank", _largest_first(values)),
            "share_of_class": ("class", sums_by_group(values, labels, n_classes) / (total or 1.0)),
            "contribution_by_pair": (("side", "true", "predicted_as"), np.stack(by_pair)),
            "probs_first": (("sample", "class"), p),
            "probs_second": (("sample", "class"), q),
            "predicted": (("side", "sample"), predicted),
            "label": ("sample", labels),
        },
        coords={
            "sample": _sample_ids(analysis.ds),
            "class": names,
            "true": names,
            "predicted_as": names,
            "side": ["first", "second"],
        },
        attrs={
            "first": sides[0].name,
            "second": sides[1].name,
            "distance": float(values.mean()),
            "great_circle": float(angles_of_deficits(missed).mean()),
            "n_for_half": n_for_share(values),
        },
    )


def checkpoint(data: xr.Dataset | Analysis, row: SupportsIndex) -> xr.Dataset:
    """What one checkpoint is, where it lies, and which samples it gets right and wrong.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    row : int
        Of the dataset.

    Returns
    -------
    xarray.Dataset
        - `contribution` (sample) to the Bhattacharyya distance to the truth: what holds the checkpoint back; `order`
          (rank): places of the samples, the largest first.
        - `confusion` (true, predicted_as): counts of samples. `probs` (sample, class), `predicted` and `label`
          (sample,), numbers of classes.
        - `least_certain_correct` (correct) and `most_certain_error` (error): places of up to 12 samples each, by the
          probability of the class that is predicted; `correct_sample` and `error_sample` are their ids.
        - Where the run has a checkpoint before: `change` (sample), 1 of a sample that became right in this step, -1 of
          one that became wrong; `step_contribution` (sample) to the distance of the step.

        Attributes: `row`, `run`, `task`, `method`, `curve`, `seed`, `epoch`, `step`; `accuracy`; `loss`, the mean of
        -log p of the true class, with p raised to FLOOR; `progress` (by d_B); `to_truth` and `to_ignorance`, distances
        in nats; `nearest_row`, `nearest_run` and `nearest_distance` of the nearest checkpoint of another run, where
        all distances can be had (up to 8,000 checkpoints, more than one run), else a sentence `nearest` says why not;
        `before`, a sentence on what changed; with a checkpoint before also `before_row`, `step_distance`,
        `n_became_right` and `n_became_wrong`.

    Raises
    ------
    ValueError
        There is no such row.
    NoPredictionsError
    StoreChangedError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> found = checkpoint(random_trajectories(), 7)
    >>> found.attrs["run"], found.attrs["accuracy"], found.attrs["nearest_run"]
    ('red/supervised/0', 1.0, 'red/supervised/1')
    """
    analysis = analysis_of(data)
    analysis.measured.check_predictions()
    if not hasattr(row, "__index__"):
        raise ValueError(f"a checkpoint is named by its row, a whole number, got {row!r}")
    ds, here = analysis.ds, point_of(analysis, operator.index(row))
    number = here.rows[0]
    run = rows_of_runs(ds)[str(ds["run"].values[number])]
    place = int(np.searchsorted(run, number))
    points = [here] if place == 0 else [here, point_of(analysis, run[place - 1])]
    p, *before = analysis.points.read(*points)  # (N, C)
    labels, predicted = ds["label"].values, p.argmax(axis=-1)
    names = class_names(ds)
    of_true = true_probabilities(p, labels)  # (N,)
    values = minus_log_overlaps(1 - np.sqrt(np.minimum(of_true, 1.0)))
    result = xr.Dataset(
        {
            "contribution": ("sample", values),
            "order": ("rank", _largest_first(values)),
            "confusion": (("true", "predicted_as"), _counts(labels, predicted, len(names))),
            "probs": (("sample", "class"), p),
            "predicted": ("sample", predicted),
            "label": ("sample", labels),
        },
        coords={"sample": _sample_ids(ds), "class": names, "true": names, "predicted_as": names},
        attrs=_what_it_is(analysis, number) | _where_it_is(p, labels, of_true, values) | _nearest(analysis, number),
    )
    result = result.assign(_extremes(result, p, predicted == labels, predicted))
    if not before:
        return result.assign_attrs(before="the first checkpoint of its run: nothing came before it")
    return _with_change(result, run[place - 1], before[0], p, predicted == labels)


def point_of(analysis: Analysis, side: Side) -> Point:
    """What a side of `why` names, as a point that can be read; see there for the errors."""
    moment: Mapping[str, float] | None = None
    name: Any = side
    if isinstance(side, tuple) and len(side) == 2 and isinstance(side[1], Mapping):
        name, moment = side
    if isinstance(name, str) or (isinstance(name, tuple) and len(name) == 2):
        label, runs = _runs_of(analysis, name)
        places = [_place(analysis, run, rows, moment) for run, rows in runs.items()]
        mean = "" if label in runs else f" (mean of {len(runs)} run{'s' if len(runs) > 1 else ''})"
        return Point(f"{label}{_when(moment)}{mean}", tuple(places))
    if moment is None and not isinstance(name, bool):
        try:
            return _checkpoint(analysis, operator.index(name))
        except TypeError:
            pass
    raise ValueError(
        f"{side!r} names nothing: give a row, the name of a run or of a curve, (task, method), or one of the names "
        'with a moment, such as (name, {"step": 100}) or (name, {"progress": 0.5})'
    )


# -- what a side names -------------------------------------------------------------------------------------------------


def _checkpoint(analysis: Analysis, row: int) -> Point:
    n_rows = analysis.ds.sizes["checkpoint"]
    if not 0 <= row < n_rows:
        raise ValueError(f"there is no checkpoint {row}: rows of this dataset are 0 to {n_rows - 1}")
    run, epoch = (analysis.ds[name].values[row] for name in ("run", "epoch"))
    return Point(f"{run} at epoch {epoch:g}", (Place((row,)),))


def _runs_of(analysis: Analysis, name: Named) -> tuple[str, dict[str, NDArray[np.intp]]]:
    """The label of a run or a curve, and the rows of its runs by their names."""
    runs = rows_of_runs(analysis.ds)
    known = {*analysis.curve_names, *(task for task, *_ in analysis.curve_pairs)}
    if isinstance(name, str):
        if name in runs and name in known:
            raise ValueError(f"{name!r} is both a run and a curve: name the curve as (task, method)")
        if name in runs:
            return name, {name: runs[name]}
        if name not in known:
            near = difflib.get_close_matches(name, [*known, *runs], _NEAR, cutoff=0.0)
            raise ValueError(f"no run or curve {name!r} in this dataset; near it are {', '.join(map(repr, near))}")
    curve = analysis.find_curve(name)
    members = {run: rows for run, rows in runs.items() if analysis.curve_numbers[rows[0]] == curve}
    return analysis.curve_names[curve], members


def _place(analysis: Analysis, run: str, rows: NDArray[np.intp], moment: Mapping[str, float] | None) -> Place:
    """Where a run is read at a moment, by default at its end."""
    if moment is None:
        return Place((int(rows[-1]),))
    if len(moment) != 1 or not {*moment} <= {"step", "progress"}:
        raise ValueError(f'a moment is {{"step": number}} or {{"progress": number}}, not {dict(moment)!r}')
    if "step" in moment:
        steps, wanted = analysis.ds["step"].values[rows], float(moment["step"])
        if wanted in steps:
            return Place((int(rows[np.flatnonzero(steps == wanted)[0]]),))
        near = np.sort(steps[np.argsort(np.abs(steps - wanted), kind="stable")[:2]])
        raise ValueError(f"{run} has no checkpoint at step {wanted:g}; near it are {' and '.join(map(str, near))}")
    try:
        return place_at_progress(rows, analysis.measured.progress()[rows], float(moment["progress"]))
    except ValueError as error:
        raise ValueError(f"{error}, the progress that {run} makes") from error


def _when(moment: Mapping[str, float] | None) -> str:
    return " at the end" if moment is None else "".join(f" at {name} {value:g}" for name, value in moment.items())


# -- what a checkpoint is ----------------------------------------------------------------------------------------------


def _what_it_is(analysis: Analysis, row: int) -> dict[str, Any]:
    named = {name: analysis.ds[name].values[row].item() for name in ("run", "task", "method", "seed", "epoch", "step")}
    return {"row": row, **named, "curve": str(analysis.curves[row])}


def _where_it_is(p: NDArray[Any], labels: NDArray[Any], of_true: Array, to_truth: Array) -> dict[str, float]:
    """Accuracy, loss, progress and distances to both ends, all from the predictions (N, C) of the checkpoint alone."""
    n_samples, n_classes = p.shape
    n = max(1, _AT_A_TIME // n_classes)
    missed = np.concatenate(
        [deficits(p[k : k + n], ignorance(len(p[k : k + n]), n_classes)) for k in range(0, n_samples, n)]
    )
    angle = np.array([np.arccos(1 / np.sqrt(n_classes))])  # between ignorance and truth, of every sample
    reached = nearest_by_overlaps((1 - missed)[None], np.sqrt(of_true)[None], angle, "bhattacharyya")
    return {
        "accuracy": float((p.argmax(axis=-1) == labels).mean()),
        "loss": float(-np.log(np.maximum(of_true, FLOOR)).mean() + 0.0),
        "progress": float(reached[0]),
        "to_truth": float(to_truth.mean()),
        "to_ignorance": float(minus_log_overlaps(missed).mean()),
    }


def _nearest(analysis: Analysis, row: int) -> dict[str, Any]:
    """The nearest checkpoint of another run, or why it is not known."""
    runs = analysis.ds["run"].values.astype(str)
    others = np.flatnonzero(runs != runs[row])
    if not len(others):
        return {"nearest": "the dataset has no other run"}
    if len(runs) > MOST_EXACT:
        return {"nearest": f"not measured: distances between all of {len(runs):,} checkpoints are too many"}
    distances = analysis.measured.distances(show_progress=False)[row, others]
    nearest = int(others[distances.argmin()])
    return {"nearest_row": nearest, "nearest_run": str(runs[nearest]), "nearest_distance": float(distances.min())}


def _extremes(
    result: xr.Dataset, p: NDArray[Any], is_right: NDArray[np.bool_], predicted: NDArray[np.intp]
) -> dict[str, Any]:
    """Places and ids of the least certain samples that are right, and of the most certain that are wrong."""
    certainty, ids = p[np.arange(len(p)), predicted], result["sample"].values
    right, wrong = np.flatnonzero(is_right), np.flatnonzero(~is_right)
    right = right[np.argsort(certainty[right], kind="stable")][:N_LISTED]
    wrong = wrong[np.argsort(-certainty[wrong], kind="stable")][:N_LISTED]
    return {
        "least_certain_correct": ("correct", right),
        "correct_sample": ("correct", ids[right]),
        "most_certain_error": ("error", wrong),
        "error_sample": ("error", ids[wrong]),
    }


def _with_change(
    result: xr.Dataset, row: int, before: NDArray[Any], p: NDArray[Any], is_right: NDArray[np.bool_]
) -> xr.Dataset:
    """The result of a checkpoint with what changed since the one before it in its run."""
    was_right = before.argmax(axis=-1) == result["label"].values
    change = is_right.astype(np.int8) - was_right.astype(np.int8)
    steps = contributions(before, p)
    n_right, n_wrong = int((change == 1).sum()), int((change == -1).sum())
    return result.assign({"change": ("sample", change), "step_contribution": ("sample", steps)}).assign_attrs(
        before=f"since checkpoint {row}, {n_right} samples became right and {n_wrong} became wrong",
        before_row=int(row),
        step_distance=float(steps.mean()),
        n_became_right=n_right,
        n_became_wrong=n_wrong,
    )


def _counts(labels: NDArray[Any], predicted: NDArray[np.intp], n_classes: int) -> NDArray[np.int64]:
    return sums_by_pair(np.ones(len(labels)), labels, predicted, n_classes).astype(np.int64)


def _largest_first(values: Array) -> NDArray[np.intp]:
    """Places of values, the largest first; equal ones in their order."""
    return np.argsort(-values, kind="stable")


def _sample_ids(ds: xr.Dataset) -> NDArray[Any]:
    return np.asarray(ds["sample"].values)  # their numbers where they have no ids
