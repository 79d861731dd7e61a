"""How far runs are apart, at their ends and at equal progress, and how far two seeds of one training are.

The seeds are the floor: nothing that chance decides in training can count as a difference of tasks or methods.
Averaging predictions over seeds shrinks d_B, so that a mean of many may be nearer to anything than one seed is to
another: like is compared with like here, one run with one run, or one run with the mean of as many others.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.geometry import bhattacharyya, reindex
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.trajectories.selection import rows_of_runs

#: What names a run, beside its name.
RUN_COORDS = ("task", "method", "seed")


def run_coords(ds: xr.Dataset, rows: Mapping[str, NDArray[np.intp]]) -> dict[str, tuple[str, NDArray[np.generic]]]:
    """Name, task, method and seed of runs, as coordinates along "run"."""
    first = [members[0] for members in rows.values()]
    return {name: ("run", ds[name].values[first]) for name in ("run", *RUN_COORDS)}


def end_points(ds: xr.Dataset) -> xr.DataArray:
    """Predictions of the last checkpoint of each run.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.

    Returns
    -------
    xarray.DataArray
        (run, sample, class), with coordinates task, method and seed.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> end_points(random_trajectories()).sizes["run"]
    6
    """
    rows = rows_of_runs(ds)
    last = [members[-1] for members in rows.values()]
    probs = ds["probs"].isel(checkpoint=last).values
    return xr.DataArray(probs, dims=("run", "sample", "class"), coords=run_coords(ds, rows), name="probs")


def at_equal_progress(ds: xr.Dataset, n_points: int = 51, metric: ProgressMetric = "bhattacharyya") -> xr.DataArray:
    """Predictions of every run at the same values of progress, over the range that all of them cover.

    One range for all pairs: a short range flatters, so pairs with ranges of their own would not compare.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    n_points : int
        Number of values of progress.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.

    Returns
    -------
    xarray.DataArray
        (run, progress, sample, class); the first and last value of its `progress` are the range.

    Raises
    ------
    ValueError
        Fewer than two points, or no common range of progress; the runs that bound it are named.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> at_equal_progress(random_trajectories(), n_points=5).shape
    (6, 5, 30, 5)
    """
    if n_points < 2:
        raise ValueError(f"n_points must be at least 2, got {n_points}")
    rows, probs, reached = rows_of_runs(ds), ds["probs"].values, ds.predspace.progress(metric).values
    starts = {run: float(reached[members[0]]) for run, members in rows.items()}
    highest = {run: float(reached[members].max()) for run, members in rows.items()}
    last_start, first_end = max(starts, key=starts.__getitem__), min(highest, key=highest.__getitem__)
    low, high = starts[last_start], highest[first_end]
    if not low < high:
        raise ValueError(
            f"the runs share no range of progress: {last_start} starts at {low:.3g}, {first_end} ends at {high:.3g}"
        )
    grid = np.linspace(low, high, n_points)
    points = np.stack([reindex(probs[members], reached[members], grid) for members in rows.values()])  # (R, K, N, C)
    coords: dict[str, Any] = {**run_coords(ds, rows), "progress": grid}
    return xr.DataArray(points, dims=("run", "progress", "sample", "class"), coords=coords, name="probs")


def distances_of_runs(points: xr.DataArray) -> xr.DataArray:
    """d_B between all pairs of runs, one run against one run.

    Parameters
    ----------
    points : xarray.DataArray
        From `end_points` or `at_equal_progress`.

    Returns
    -------
    xarray.DataArray
        (run, other), or (run, other, progress): its `.integrate("progress")` is d_traj.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> distances_of_runs(at_equal_progress(random_trajectories(), 5)).integrate("progress").shape
    (6, 6)
    """
    values, n_runs = points.values, points.sizes["run"]
    distances = np.zeros((n_runs, n_runs, *values.shape[1:-2]))
    for first, second in itertools.combinations(range(n_runs), 2):
        distances[first, second] = distances[second, first] = bhattacharyya(values[first], values[second])
    others = {"other": ("other", points["run"].values)}
    others |= {f"other_{name}": ("other", points[name].values) for name in RUN_COORDS}
    kept = {name: points[name] for name in ("run", *RUN_COORDS, "progress") if name in points.coords}
    return xr.DataArray(
        distances, dims=("run", "other", *points.dims[1:-2]), coords={**kept, **others}, name="bhattacharyya distance"
    )


def between_groups(distances: xr.DataArray, by: str = "task") -> xr.Dataset:
    """Distances between groups of runs: mean, lowest and highest over all pairs of different runs.

    Parameters
    ----------
    distances : xarray.DataArray
        (run, other), from `distances_of_runs`.
    by : {"task", "method"}
        What a group shares.

    Returns
    -------
    xarray.Dataset
        `mean`, `low`, `high` and `n_pairs` (group, other). On the diagonal the floor, seed against seed; NaN where a
        group has one run.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> between_groups(distances_of_runs(end_points(random_trajectories()))).n_pairs.values.tolist()
    [[1, 4, 4], [4, 1, 4], [4, 4, 1]]
    """
    members = distances[by].values
    names = list(dict.fromkeys(members.tolist()))
    shape = (len(names), len(names))
    found = {name: np.full(shape, np.nan) for name in ("mean", "low", "high")}
    n_pairs = np.zeros(shape, dtype=int)
    values = distances.values
    for (i, first), (j, second) in itertools.product(enumerate(names), repeat=2):
        block = values[np.ix_(members == first, members == second)]
        pairs = block[np.triu_indices(len(block), 1)] if i == j else block.ravel()
        n_pairs[i, j] = len(pairs)
        if len(pairs):
            found["mean"][i, j], found["low"][i, j], found["high"][i, j] = pairs.mean(), pairs.min(), pairs.max()
    variables: dict[str, Any] = {name: ((by, "other"), matrix) for name, matrix in found.items()}
    return xr.Dataset({**variables, "n_pairs": ((by, "other"), n_pairs)}, coords={by: names, "other": names})


def distances_to_reference(points: xr.DataArray, reference: str, by: str = "method") -> xr.DataArray:
    """d_B of each run to the mean of the reference's runs but one, and of each reference run to the mean of the others.

    The latter is the floor, and compares with the former: one run with the mean of as many runs in both. Each run of
    another group is compared with every such mean.

    Parameters
    ----------
    points : xarray.DataArray
        From `end_points` or `at_equal_progress`; one seed a run, the predictions of one task or of one method.
    reference : str
        Which group the others are compared with.
    by : {"task", "method"}
        What a group shares.

    Returns
    -------
    xarray.DataArray
        (comparison,) or (comparison, progress), with coordinates run, `by`, seed and left_out, the reference run that
        is not in the mean. Its `.integrate("progress")` is d_traj.

    Raises
    ------
    ValueError
        The reference has fewer than two runs.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ends = end_points(random_trajectories(n_seeds=3))
    >>> distances_to_reference(ends, "red", by="task").groupby("task").count().values.tolist()
    [9, 9, 3]
    """
    runs, groups = points["run"].values, points[by].values
    chosen = np.flatnonzero(groups == reference)
    if len(chosen) < 2:
        known = ", ".join(dict.fromkeys(groups.tolist()))
        raise ValueError(f"the reference {reference!r} has {len(chosen)} runs, at least 2 are needed; there is {known}")
    values, compared = points.values, []
    total = values[chosen].sum(axis=0)  # (..., N, C)
    for left_out in chosen:
        mean = (total - values[left_out]) / (len(chosen) - 1)
        others = [left_out, *np.flatnonzero(groups != reference)]
        compared += [(run, left_out, bhattacharyya(values[run], mean)) for run in others]
    which = [run for run, _, _ in compared]
    coords: dict[str, Any] = {name: ("comparison", points[name].values[which]) for name in ("run", by, "seed")}
    coords["left_out"] = ("comparison", runs[[left_out for _, left_out, _ in compared]])
    if "progress" in points.coords:
        coords["progress"] = points["progress"].values
    distances = np.stack([distance for _, _, distance in compared])
    return xr.DataArray(
        distances, dims=("comparison", *points.dims[1:-2]), coords=coords, name="bhattacharyya distance"
    )
