"""Run against run: how far trainings are apart, at their ends and at equal progress, and how far two seeds are.

The seeds are the floor: nothing that chance decides in training can count as a difference of tasks or methods.
Averaging predictions over seeds shrinks d_B, so that a mean of many may be nearer to anything than one seed is to
another: like is compared with like here, one run with one run, or one run with the mean of as many others.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import analysis_of
from predspace_widgets.analysis.groups import Curves
from predspace_widgets.analysis.large.blocks import threads_of_a_task
from predspace_widgets.analysis.measurements import Measurements, Places, Sides
from predspace_widgets.geometry import pairwise
from predspace_widgets.geometry.distance import bhattacharyya_of_roots
from predspace_widgets.geometry.floor import p_value
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import CurveKey, rows_of_runs

At = Literal["end", "progress"]

#: What names a run, beside its name.
RUN_COORDS = ("task", "method", "seed")


def distances_of_runs(
    ds: xr.Dataset,
    at: At = "progress",
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
) -> xr.DataArray:
    """d_B between all pairs of runs, one run against one run.

    At equal progress all pairs are compared over one range: a short one flatters, so that pairs with ranges of their
    own would not compare.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    at : {"progress", "end"}
        Compare at equal progress, or the last checkpoints.
    n_points : int
        Number of values of progress.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.
    progress_range : pair of float, optional
        By default all that every run covers.

    Returns
    -------
    xarray.DataArray
        (run, other), or (run, other, progress): see `mean_over_progress`. Runs have coordinates task, method, seed and
        curve.

    Raises
    ------
    ValueError
        Fewer than two points, or no common range of progress; the runs that bound it are named.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> mean_over_progress(distances_of_runs(random_trajectories(), n_points=5)).shape
    (6, 6)
    """
    measured, runs = analysis_of(ds).measured, rows_of_runs(ds)
    places = _places(measured, runs, at, n_points, metric, progress_range)
    shape = (places.size, len(runs), len(runs))
    values = measured.mean_at(places, _pairwise_at_each, shape)  # (K, R, R)
    coords = _run_coords(ds, runs)
    others = {f"other_{name}" if name != "run" else "other": ("other", values) for name, (_, values) in coords.items()}
    return _labelled(values, ("run", "other"), coords | others, places)


def distances_to_reference(
    ds: xr.Dataset,
    reference: str | CurveKey,
    at: At = "progress",
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
) -> xr.DataArray:
    """d_B of each run to the mean of the reference's runs but one, and of each reference run to the mean of the others.

    The latter is the floor, and compares with the former: one run with the mean of as many runs in both. Each run of
    another curve is compared with every such mean.

    Parameters
    ----------
    ds, at, n_points, metric, progress_range
        See `distances_of_runs`.
    reference : str or (task, method, ...)
        The curve that the others are compared with; see `Analysis.comparison`.

    Returns
    -------
    xarray.DataArray
        (comparison,) or (comparison, progress), with coordinates run, task, method, seed, curve and left_out, the
        reference run that is not in the mean.

    Raises
    ------
    ValueError
        The reference is no curve, or has fewer than two runs; see also `distances_of_runs`.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> distances_to_reference(random_trajectories(n_seeds=3), "red", at="end").groupby("curve").count().values.tolist()
    [9, 9, 3]
    """
    measured, runs, curves = analysis_of(ds).measured, rows_of_runs(ds), Curves(ds)
    curve_of_run = np.array([curves.of_checkpoint[rows[0]] for rows in runs.values()])
    place = curves.find(reference)
    chosen = np.flatnonzero(curve_of_run == place)
    if len(chosen) < 2:
        raise ValueError(f"the reference {curves.labels[place]!r} has {len(chosen)} runs, at least 2 are needed")
    others = np.flatnonzero(curve_of_run != place)
    compared = [(run, left_out) for left_out in chosen.tolist() for run in (left_out, *others.tolist())]
    places = _places(measured, runs, at, n_points, metric, progress_range)
    of_points = partial(_to_means, chosen=chosen, others=others)
    values = measured.mean_at(places, of_points, (places.size, len(compared)))  # (K, comparison)
    coords = _run_coords(ds, runs)
    which, left_out = (list(column) for column in zip(*compared, strict=True))
    along: dict[str, Any] = {name: ("comparison", column[which]) for name, (_, column) in coords.items()}
    along["left_out"] = ("comparison", coords["run"][1][left_out])
    return _labelled(values, ("comparison",), along, places)


def compare_ends(ds: xr.Dataset, first: str | CurveKey, second: str | CurveKey) -> xr.Dataset:
    """Distance between the last checkpoints of two curves, and what chance between their seeds makes of it.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    first, second : str or (task, method, ...)
        Curves; see `Analysis.comparison`.

    Returns
    -------
    xarray.Dataset
        The numbers `distance`, d_B between the means over seeds, and, where a side has two seeds, `floor`, `p_value`
        and `smallest_p` (see `Analysis.comparison`).

    Raises
    ------
    ValueError
        An unknown curve, or twice the same one.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> float(compare_ends(random_trajectories(n_seeds=3), "red", "blue").p_value)
    0.1
    """
    analysis = analysis_of(ds)
    one, other, runs_of_one, runs_of_other = analysis.two_curves(first, second)
    sides = Sides.whole(len(runs_of_one), len(runs_of_other))
    compared = analysis.measured.compare(Places([*runs_of_one, *runs_of_other]), sides)
    result = {"distance": compared.distance[0]}
    if compared.floor is not None:
        result |= {
            "floor": compared.floor[0],
            "p_value": p_value(compared.relabelled),
            "smallest_p": 1 / len(compared.relabelled),
        }
    return xr.Dataset(result, attrs={"first": analysis.curve_names[one], "second": analysis.curve_names[other]})


def mean_over_progress(distances: xr.DataArray) -> xr.DataArray:
    """Mean height of distances along progress: their integral, d_traj, divided by the width of the range.

    Parameters
    ----------
    distances : xarray.DataArray
        With a dimension `progress`.

    Returns
    -------
    xarray.DataArray
        Without it; the attribute `progress_range` is the range.
    """
    low, high = distances["progress"].values[[0, -1]]
    mean = distances.integrate("progress") / (high - low)
    return mean.rename("mean distance").assign_attrs(progress_range=(float(low), float(high)))


def between_groups(distances: xr.DataArray, by: Literal["task", "method", "curve"] = "task") -> xr.Dataset:
    """Distances between groups of runs: mean, lowest and highest over all pairs of different runs.

    Parameters
    ----------
    distances : xarray.DataArray
        (run, other), from `distances_of_runs`.
    by : {"task", "method", "curve"}
        What a group shares.

    Returns
    -------
    xarray.Dataset
        `mean`, `low`, `high` and `n_pairs` (group, other). On the diagonal the floor, seed against seed; NaN where a
        group has one run.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> between_groups(distances_of_runs(random_trajectories(), at="end")).n_pairs.values.tolist()
    [[1, 4, 4], [4, 1, 4], [4, 4, 1]]
    """
    members = distances[by].values
    names = list(dict.fromkeys(members.tolist()))
    shape = (len(names), len(names))
    statistics = {name: np.full(shape, np.nan) for name in ("mean", "low", "high")}
    n_pairs = np.zeros(shape, dtype=int)
    values = distances.values
    for (i, first), (j, second) in itertools.product(enumerate(names), repeat=2):
        block = values[np.ix_(members == first, members == second)]
        pairs = block[np.triu_indices(len(block), 1)] if i == j else block.ravel()
        n_pairs[i, j] = len(pairs)
        if len(pairs):
            for name, statistic in (("mean", np.mean), ("low", np.min), ("high", np.max)):
                statistics[name][i, j] = statistic(pairs)
    variables: dict[str, Any] = {name: ((by, "other"), matrix) for name, matrix in statistics.items()}
    return xr.Dataset({**variables, "n_pairs": ((by, "other"), n_pairs)}, coords={by: names, "other": names})


# -- where runs are read -----------------------------------------------------------------------------------------------


def _places(
    measured: Measurements,
    runs: dict[str, NDArray[np.intp]],
    at: At,
    n_points: int,
    metric: ProgressMetric,
    progress_range: tuple[float, float] | None,
) -> Places:
    if at == "end":
        return Places(list(runs.values()))
    if at != "progress":
        raise ValueError(f"runs are compared at 'progress' or at their 'end', not at {at!r}")
    try:
        return measured.places(list(runs.values()), metric, n_points, progress_range)
    except ValueError as error:
        raise ValueError(f"{error} ({_bounds(measured.progress(metric), runs)})") from error


def _bounds(reached: Array, runs: dict[str, NDArray[np.intp]]) -> str:
    """Which runs bound the common range of progress."""
    last = max(runs, key=lambda run: float(reached[runs[run][0]]))
    first = min(runs, key=lambda run: float(reached[runs[run]].max()))
    return f"{last} starts at {reached[runs[last][0]]:.3g}, {first} ends at {reached[runs[first]].max():.3g}"


def _run_coords(ds: xr.Dataset, runs: dict[str, NDArray[np.intp]]) -> dict[str, tuple[str, NDArray[Any]]]:
    """Name, task, method, seed and curve of runs, as coordinates along "run"."""
    first = [rows[0] for rows in runs.values()]
    named = {name: ("run", ds[name].values[first]) for name in ("run", *RUN_COORDS)}
    return {**named, "curve": ("run", analysis_of(ds).curves[first])}


def _labelled(values: Array, dims: Sequence[str], coords: dict[str, Any], places: Places) -> xr.DataArray:
    """Distances (K, ...) as an array of their dimensions, with progress last where they were read along it."""
    array = xr.DataArray(values, dims=("progress", *dims), coords=coords, name="bhattacharyya distance")
    if places.grid is None:
        return array.isel(progress=0)
    return array.assign_coords(progress=places.grid).transpose(*dims, "progress")


# -- of predictions (R, K, n, C) of runs -------------------------------------------------------------------------------


def _pairwise_at_each(points: Array) -> Array:
    at_each = points.swapaxes(0, 1)  # (K, R, n, C)
    return np.stack([pairwise(runs, dtype="float64", threads=threads_of_a_task()) for runs in at_each])  # (K, R, R)


def _to_means(points: Array, chosen: NDArray[np.intp], others: NDArray[np.intp]) -> Array:
    roots, distances = np.sqrt(points), []  # (R, K, n, C)
    for left_out in chosen:
        mean = points[chosen[chosen != left_out]].mean(axis=0)  # (K, n, C)
        runs = [left_out, *others]
        distances.append(bhattacharyya_of_roots(roots[runs], np.sqrt(mean)))  # (run, K)
    return np.concatenate(distances).T  # (K, comparison)
