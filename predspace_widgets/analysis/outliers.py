"""Outliers: runs that are further from their own curve than its other seeds are among themselves."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.common_range import Member, members_of, share
from predspace_widgets.analysis.measurements import Places
from predspace_widgets.geometry.floor import between_means
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import Selection, checked_selection

#: A run so many times further from its curve than the others are among themselves is an outlier: seeds that differ by
#: chance reach 1.9 now and then.
FAR = 2.0


def outliers(
    data: xr.Dataset | Analysis,
    at: Literal["progress", "end"] = "progress",
    at_least: float = FAR,
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
) -> pd.DataFrame:
    """Runs that are further from their own curve than its other seeds are among themselves.

    A run's d_B to the mean of the k - 1 others of its curve, beside what these have among themselves: the mean d_B of
    each of them to the mean of the k - 2 that remain. d_B of one run to a mean of j grows with the variance of a run as
    1 + 1/j (see `predspace_widgets.geometry.matched_floor`), so the latter is scaled by (1 + 1/(k - 1)) /
    (1 + 1/(k - 2)): seeds that differ by chance alone have ratios around 1.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    at : {"progress", "end"}
        The mean at equal progress, over all that the runs of the curve share, or the last checkpoints.
    at_least : float
        Runs with this ratio or more are listed; 0 lists all.
    selection : Selection, optional
        By default everything.
    n_points, metric
        Of progress; see `Analysis.comparison`.

    Returns
    -------
    pandas.DataFrame
        The largest ratio first: run, curve, n_others, `to_others`, `among_others` and `ratio`. In its `attrs`,
        `cannot_tell` names the curves that have fewer than three runs, or runs that share no range of progress.

    Raises
    ------
    ValueError
        Nothing is chosen, or a wrong option.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> outliers(random_trajectories(n_seeds=4), at="end", at_least=0).columns.tolist()
    ['run', 'curve', 'n_others', 'to_others', 'among_others', 'ratio']
    """
    if at not in ("progress", "end"):
        raise ValueError(f"at must be one of progress, end, not {at!r}")
    analysis = analysis_of(data)
    analysis.measured.check_predictions()
    tables, cannot_tell = [], []
    for curve in members_of(analysis, checked_selection(selection), "curve"):
        try:
            places = share(analysis, [Member("", 0, [run]) for run in curve.runs], at, metric, n_points).places
            if len(curve.runs) < 3 or len(places.runs) < len(curve.runs):
                raise ValueError
        except ValueError:
            cannot_tell.append(curve.label)
            continue
        to_others, among_others = analysis.measured.mean_at(
            places, partial(_apart, places=places), (2, len(curve.runs))
        )
        table = pd.DataFrame({"run": [str(analysis.ds["run"].values[rows[0]]) for rows in curve.runs]})
        table = table.assign(curve=curve.label, n_others=len(curve.runs) - 1, to_others=to_others)
        tables.append(table.assign(among_others=among_others, ratio=_ratio(to_others, among_others)))
    columns = ["run", "curve", "n_others", "to_others", "among_others", "ratio"]
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    found = found[found["ratio"] >= at_least].sort_values("ratio", ascending=False, ignore_index=True)
    found.attrs["cannot_tell"] = cannot_tell
    return found


def _apart(points: Array, places: Places) -> Array:
    """Of k runs (k, K, n, C): d_B of each to the mean of the others, and what they have among themselves, (2, k)."""
    k = len(points)
    pairs = [(one, [run for run in range(k) if run != one]) for one in range(k)]
    for one in range(k):
        rest = [run for run in range(k) if run != one]
        pairs += [(other, [run for run in rest if run != other]) for other in rest]
    first, second = (np.zeros((len(pairs), k), dtype=bool) for _ in range(2))
    for row, (one, others) in enumerate(pairs):
        first[row, one], second[row, others] = True, True
    distances = between_means(points, first, second) @ places.weights  # (k + k (k - 1),)
    among = distances[k:].reshape(k, k - 1).mean(axis=1)
    return np.stack([distances[:k], among * (1 + 1 / (k - 1)) / (1 + 1 / (k - 2))])


def _ratio(one: Array, other: Array) -> Array:
    """0 where both are 0: runs that coincide."""
    return np.divide(one, other, out=np.where(one > 0, np.inf, 0.0), where=other > 0)
