"""The discrete Frechet distance between runs and curves: a second opinion to d_traj, from measured distances alone."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.common_range import By, check_option, members_of
from predspace_widgets.geometry.floor import of_both_sides
from predspace_widgets.geometry.frechet import discrete_frechet
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import Selection, checked_selection


def frechet(data: xr.Dataset | Analysis, by: By = "run", selection: Selection | None = None) -> xr.Dataset:
    """The discrete Frechet distance of d_B between all pairs of runs, or its mean over pairs of runs of two curves.

    See `predspace_widgets.geometry.discrete_frechet`. It takes whole runs and the distances between their checkpoints:
    no progress, no common range and no schedule enter. It is a largest distance, where d_traj is a mean.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    by : {"run", "curve"}
        Run against run; or the mean over all pairs of a run of one curve and one of the other.
    selection : Selection, optional
        By default everything.

    Returns
    -------
    xarray.Dataset
        `distance` (run or curve, other), in nats, symmetric, 0 on the diagonal; and `floor` (run or curve, other), what
        two runs of one curve have: the mean over pairs of different runs of each side's curve, averaged over the two
        sides, or that of the one side that has two runs. It compares as it is: one run with one run on both.

    Raises
    ------
    ValueError
        Nothing is chosen, or a wrong option.
    NoPredictionsError
    MemoryError
        The distances between all checkpoints do not fit.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> compared = frechet(random_trajectories(), by="curve")
    >>> compared.distance.sel(curve="red", other="blue").round(2).item()
    0.96
    """
    check_option("by", by, By)
    analysis = analysis_of(data)
    distances = analysis.measured.distances()
    runs = members_of(analysis, checked_selection(selection), "run")
    between = np.zeros((len(runs), len(runs)))
    for i, j in itertools.combinations(range(len(runs)), 2):
        between[i, j] = between[j, i] = discrete_frechet(distances[np.ix_(runs[i].runs[0], runs[j].runs[0])])
    numbers, n_runs = np.unique([run.curve for run in runs], return_counts=True)
    curve_of = np.searchsorted(numbers, [run.curve for run in runs])
    sums = _sums_by_curve(between, curve_of, len(numbers))
    n_pairs = n_runs * (n_runs - 1)
    spread = np.divide(sums.diagonal(), n_pairs, out=np.full(len(numbers), np.nan), where=n_pairs > 0)
    curves = [analysis.curve_names[number] for number in numbers]
    if by == "curve":
        distance, labels = sums / np.outer(n_runs, n_runs), curves
        np.fill_diagonal(distance, 0.0)
        coords: dict[str, Any] = {"n_runs": ("curve", n_runs)}
    else:
        distance, labels, spread = between, [run.label for run in runs], spread[curve_of]
        of_runs = [curves[place] for place in curve_of]
        coords = {"curve": ("run", of_runs), "other_curve": ("other", of_runs)}
    floor = np.mean(of_both_sides(spread), axis=0)
    variables = {"distance": ((by, "other"), distance), "floor": ((by, "other"), floor)}
    return xr.Dataset(variables, coords={by: labels, "other": labels, **coords}, attrs={"by": by})


def _sums_by_curve(values: Array, curve_of: np.ndarray, n_curves: int) -> Array:
    """Sums over all pairs of a run of one curve and one of another, (n_curves, n_curves)."""
    is_of = np.eye(n_curves)[curve_of]  # (run, curve)
    return np.asarray(is_of.T @ values @ is_of)
