"""One number a run: what groups of runs are compared by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.classes import checkpoints, predicted_among
from predspace_widgets.analysis.common_range import check_option, members_of, share
from predspace_widgets.geometry import progress
from predspace_widgets.geometry.distance import bhattacharyya_of_roots
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.attributes import attributes_of, texts_of
from predspace_widgets.trajectories.samples import class_names, classes_of_tasks
from predspace_widgets.trajectories.selection import CurveKey, Selection, rows_of_runs

#: What there is of each run.
Number = Literal["end_progress", "length", "mean_distance", "transfer"]


@dataclass(frozen=True)
class Asked:
    """Which number of each run is asked for.

    Attributes
    ----------
    of : {"end_progress", "length", "mean_distance", "transfer"}
        Progress of the last checkpoint; Riemann length; distance to the mean of a reference curve; progress of the last
        checkpoint within some classes.
    reference : str or (task, method, ...), optional
        The curve that "mean_distance" is to.
    at : {"progress", "end"}
        Where "mean_distance" is read: the mean over equal progress, or the last checkpoints.
    classes : collection of str, optional
        Those of "transfer", predicted among these only; by default those that the task of a run leaves out.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.
    n_points : int
        Values of progress.
    progress_range : pair of float, optional
        Of "mean_distance"; by default the one that most runs cover.
    """

    of: Number = "end_progress"
    reference: str | CurveKey | None = None
    at: Literal["progress", "end"] = "progress"
    classes: Collection[str] | None = None
    metric: ProgressMetric = "bhattacharyya"
    n_points: int = 51
    progress_range: tuple[float, float] | None = None


@dataclass
class RunValues:
    """Numbers of runs.

    Attributes
    ----------
    table : pandas.DataFrame
        A row a run: run, curve, task, method, seed, the attributes of runs as text, and `value`.
    what, where : str
        What the numbers are, and where runs were read, in words.
    attrs : dict
        What else there is to say.
    """

    table: pd.DataFrame
    what: str
    where: str = ""
    attrs: dict[str, Any] = field(default_factory=dict)

    def groups(self, by: str) -> NDArray[np.str_]:
        """The group of each run, by "curve", "task", "method" or an attribute of runs.

        Raises
        ------
        ValueError
            There is no such attribute.
        """
        known = [name for name in self.table.columns if name not in ("run", "seed", "value")]
        if by not in known:
            raise ValueError(f"runs are grouped by one of {', '.join(known)}, not by {by!r}")
        return self.table[by].to_numpy(dtype=str)


def values_of_runs(analysis: Analysis, asked: Asked, selection: Selection) -> RunValues:
    """One number for each chosen run.

    Parameters
    ----------
    analysis : Analysis
    asked : Asked
    selection : Selection
        The chosen part of each run counts.

    Returns
    -------
    RunValues
        Without the runs of the reference, and without those that have no such number, which `where` names.

    Raises
    ------
    NoPredictionsError
    ValueError
        An unknown number, or one that the chosen runs do not have: lengths of unequal schedules, no reference, a
        reference without range in common with the others, classes that nothing says.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> values = values_of_runs(analysis_of(random_trajectories()), Asked("length"), Selection())
    >>> values.table["value"].max().round(2).item()
    1.9
    """
    check_option("of", asked.of, Number)
    for name in ("reference", "classes"):
        owner = {"reference": "mean_distance", "classes": "transfer"}[name]
        if getattr(asked, name) is not None and asked.of != owner:
            raise ValueError(f"{name} belongs to {owner!r}: {asked.of!r} has none")
    analysis.measured.check_predictions()
    runs = rows_of_runs(analysis.ds, selection.rows(analysis.ds))
    return _OF[asked.of](analysis, asked, selection, runs)


def _table(analysis: Analysis, runs: dict[str, NDArray[np.intp]], values: Array) -> pd.DataFrame:
    ds, first = analysis.ds, [rows[0] for rows in runs.values()]
    columns = {name: ds[name].values[first] for name in ("task", "method", "seed")}
    columns |= {name: np.array(texts_of(ds[name].values[first])) for name in attributes_of(ds)}
    return pd.DataFrame({"run": list(runs), "curve": analysis.curves[first], **columns, "value": values})


def _end_progress(
    analysis: Analysis, asked: Asked, selection: Selection, runs: dict[str, NDArray[np.intp]]
) -> RunValues:
    reached = analysis.measured.progress(asked.metric)
    last = [rows[-1] for rows in runs.values()]
    return RunValues(_table(analysis, runs, reached[last]), "Progress at the end of each run.")


def _length(analysis: Analysis, asked: Asked, selection: Selection, runs: dict[str, NDArray[np.intp]]) -> RunValues:
    steps = analysis.ds["step"].values
    first, *others = runs
    other = next((run for run in others if not np.array_equal(steps[runs[run]], steps[runs[first]])), None)
    if other is not None:
        raise ValueError(f"lengths compare on equal schedules only: {other} has other steps than {first}")
    lengths = analysis.riemann_lengths(selection)["length"].to_numpy()
    n_checkpoints = len(runs[first])
    return RunValues(_table(analysis, runs, lengths), f"Riemann length over {n_checkpoints} checkpoints of each run.")


def _mean_distance(
    analysis: Analysis, asked: Asked, selection: Selection, runs: dict[str, NDArray[np.intp]]
) -> RunValues:
    if asked.reference is None:
        raise ValueError("mean_distance is to a curve: name it, reference='...'")
    reference = analysis.find_curve(asked.reference)
    name = analysis.curve_names[reference]
    members = members_of(analysis, selection, "run")
    if all(member.curve != reference for member in members):
        raise ValueError(f"the reference {name!r} is not among the chosen curves")
    if all(member.curve == reference for member in members):
        raise ValueError(f"only the reference {name!r} is chosen: choose curves whose distance to it counts")
    shared = share(analysis, members, asked.at, asked.metric, asked.n_points, asked.progress_range)
    taking = shared.taking(members)
    of_reference = np.array([member.curve == reference for member in taking])
    if not of_reference.any() or of_reference.all():
        raise ValueError(
            f"{name!r} shares no range of progress with the runs that share one: name another reference, choose fewer "
            f"runs, or compare at the end. {shared.note}"
        )
    places = shared.places
    to_mean = partial(_to_mean, of_reference=of_reference, weights=places.weights)
    distances = analysis.measured.mean_at(places, to_mean, (int((~of_reference).sum()),))
    compared = [member for member in taking if member.curve != reference]
    table = _table(analysis, {member.label: member.runs[0] for member in compared}, distances)
    attrs = {"reference": name, "n_reference": int(of_reference.sum())}
    if places.grid is not None:
        attrs["progress_range"] = (float(places.grid[0]), float(places.grid[-1]))
    n = attrs["n_reference"]
    what = f"Distance of each run to the mean of {n} {'run' if n == 1 else 'runs'} of {name}."
    return RunValues(table, what, shared.note, attrs)


def _to_mean(points: Array, of_reference: NDArray[np.bool_], weights: Array) -> Array:
    """Distances (r,) of some runs to the mean of the others, of predictions (R, K, n, C)."""
    mean = points[of_reference].mean(axis=0)  # (K, n, C)
    distances = bhattacharyya_of_roots(np.sqrt(points[~of_reference]), np.sqrt(mean))  # (r, K)
    return np.asarray(distances @ weights)


def _transfer(analysis: Analysis, asked: Asked, selection: Selection, runs: dict[str, NDArray[np.intp]]) -> RunValues:
    known, tasks = class_names(analysis.ds), analysis.ds["task"].values
    of_tasks = classes_of_tasks(analysis.ds) if asked.classes is None else {}
    together: dict[tuple[str, ...], list[str]] = {}
    for run, rows in runs.items():
        seen = of_tasks.get(str(tasks[rows[0]]), known)
        classes = [name for name in known if name not in seen] if asked.classes is None else sorted(asked.classes)
        if len(classes) > 1 or asked.classes is not None:
            together.setdefault(tuple(classes), []).append(run)
    if not together:
        raise ValueError(
            "no chosen run has a task that leaves out two classes, as far as the recipe says: name classes=[...]"
        )
    values: dict[str, float] = {}
    for among, some in together.items():
        values |= zip(some, _progress_within(analysis, [runs[run][-1] for run in some], among, asked), strict=True)
    kept = {run: rows for run, rows in runs.items() if run in values}
    what = "Progress at the end of each run within the classes that its task leaves out."
    if len(together) > 1:
        what += " These differ between tasks: name classes=[...] to compare on the same ones."
    if asked.classes is not None:
        what = f"Progress at the end of each run within the classes {', '.join(sorted(asked.classes))}."
    return RunValues(_table(analysis, kept, np.array([values[run] for run in kept])), what)


def _progress_within(analysis: Analysis, rows: list[int], classes: Collection[str], asked: Asked) -> list[float]:
    probs, start, end = predicted_among(checkpoints(analysis, rows), classes)
    return np.atleast_1d(progress(probs, start, end, asked.metric)).tolist()


_OF = {"end_progress": _end_progress, "length": _length, "mean_distance": _mean_distance, "transfer": _transfer}
