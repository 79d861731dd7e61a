"""Curves or runs at the values of progress that they share: what pictures, tangents and trees of them start from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.common_range import (
    By,
    Member,
    Of,
    check_of_and_by,
    members_of,
    members_to_compare,
    places_of_runs,
    share,
)
from predspace_widgets.analysis.large.blocks import in_threads
from predspace_widgets.analysis.measurements import Measurements, Places
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.mean import Mean, check_mean, mean_prediction
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import CurveKey, Selection, checked_selection

_PROBABILITIES_AT_A_TIME = 2**22  # of runs at their places


@dataclass(frozen=True)
class Reindexed:
    """Curves, or runs, of which each is read at the same places as the mean over its runs.

    Attributes
    ----------
    by : {"curve", "run"}
    mean : {"arithmetic", "bhattacharyya"}
    labels : list of str
        Of the M that take part.
    curves : list of str
        Label of the curve of each.
    runs_of : list of arrays of int
        Places in `places.runs` of the runs of each.
    places : Places
    note : str
        What is compared and over which range, in words, with what is left out.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.
    """

    by: By
    mean: Mean
    labels: list[str]
    curves: list[str]
    runs_of: list[NDArray[np.intp]]
    places: Places
    note: str
    metric: ProgressMetric

    def means(self, points: Array) -> Array:
        """The mean of each (M, K, n, C), of predictions of all runs (R, K, n, C)."""
        if len(self.runs_of) == len(points):  # each is a run
            return points
        return np.stack(in_threads([partial(mean_prediction, points[runs], self.mean) for runs in self.runs_of]))

    @property
    def coords(self) -> dict[str, Any]:
        """Of the dimension `by`: labels, of runs also their curves, and how many runs each has."""
        n_runs = {"n_runs": (self.by, [len(runs) for runs in self.runs_of])}
        return {self.by: self.labels} | ({"curve": ("run", self.curves)} if self.by == "run" else n_runs)

    @property
    def others(self) -> dict[str, Any]:
        """The same of the dimension `other`, of all pairs."""
        return {"other": self.labels} | ({"other_curve": ("other", self.curves)} if self.by == "run" else {})

    @property
    def grid(self) -> Array:
        """Values of progress, (K,)."""
        assert self.places.grid is not None
        return self.places.grid

    @property
    def attrs(self) -> dict[str, Any]:
        """What was done, for the attributes of a result."""
        told: dict[str, Any] = {"by": self.by, "mean": self.mean, "note": self.note}
        if self.places.grid is not None:
            told |= {"metric": self.metric, "progress_range": (float(self.grid[0]), float(self.grid[-1]))}
        return told


def reindexed(
    analysis: Analysis,
    by: By = "curve",
    mean: Mean = "arithmetic",
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
    of: Of = "progress",
) -> Reindexed:
    """The chosen curves or runs that share a range of progress, as `predspace_widgets.analysis.matrix.matrix` has it.

    Raises
    ------
    ValueError
        Fewer than two curves or runs, no range that two of them share, or a wrong option.
    NoPredictionsError
    """
    check_mean(mean)
    check_of_and_by(of, by)
    analysis.measured.check_predictions()
    members = members_to_compare(analysis, checked_selection(selection), by)
    shared = share(analysis, members, of, metric, n_points, progress_range)
    return _of_members(analysis, by, mean, shared.taking(members), shared.places, shared.note, metric)


def reindexed_curve(
    analysis: Analysis,
    curve: str | CurveKey,
    mean: Mean,
    selection: Selection | None,
    n_points: int,
    metric: ProgressMetric,
    progress_range: tuple[float, float] | None,
) -> Reindexed:
    """One curve over all progress that its runs share, or a part of it; for the errors see `reindexed`."""
    check_mean(mean)
    analysis.measured.check_predictions()
    if isinstance(curve, str) and curve not in analysis.curve_names and (analysis.ds["run"].values == curve).any():
        name = analysis.curve_names[analysis.curve_of(curve)]
        raise ValueError(
            f"{curve!r} is a run: a mean trajectory is that of a curve, such as {name!r}; selection=pw.Selection(seeds="
            "(0,)) leaves one run of it"
        )
    key = analysis.curve_pairs[analysis.find_curve(curve)]
    chosen = replace(checked_selection(selection), tasks=None, methods=None, curves=(key,))
    members = members_of(analysis, chosen, "curve")
    places = analysis.measured.places(members[0].runs, metric, n_points, progress_range)
    return _of_members(analysis, "curve", mean, members, places, "", metric)


def _of_members(
    analysis: Analysis,
    by: By,
    mean: Mean,
    members: list[Member],
    places: Places,
    note: str,
    metric: ProgressMetric,
) -> Reindexed:
    curves = [analysis.curve_names[member.curve] for member in members]
    labels = [member.label for member in members]
    return Reindexed(by, mean, labels, curves, places_of_runs(members), places, note, metric)


def of_each_sample(
    measured: Measurements, places: Places, of_points: Callable[[Array], Array], shape: tuple[int, ...], axis: int
) -> Array:
    """What a function gives for predictions (R, K, n, C) of runs at some places, some samples at a time, joined.

    Parameters
    ----------
    measured : Measurements
    places : Places
    of_points : function
        Of some samples: what it gives has them along `axis`.
    shape : tuple of int
        Of the whole.
    axis : int

    Raises
    ------
    MemoryError
        The whole does not fit.
    """
    needed, available = 2 * 8 * int(np.prod(shape)), psutil.virtual_memory().available
    if needed > available:
        raise MemoryError(
            f"the result for each of {shape[axis]:,} samples needs {needed / 1e9:.0f} GB of memory, "
            f"{available / 1e9:.0f} GB are free: take fewer samples, curves or values of progress"
        )
    probs = measured.probs()
    n_rows = len(places.runs) * places.size * measured.ds.sizes["class"]
    step = max(1, _PROBABILITIES_AT_A_TIME // n_rows)

    def read() -> Array:
        parts, start = [], 0
        for size in probs.chunksizes.get("sample", (probs.sizes["sample"],)):
            block = probs.isel(sample=slice(start, start + size)).values  # (T, n, C)
            parts += [of_points(places.read(block[:, k : k + step])) for k in range(0, size, step)]
            start += size
        return np.concatenate(parts, axis=axis)

    return measured.unchanged(read)
