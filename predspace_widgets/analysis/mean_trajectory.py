"""The mean trajectory of a curve's runs, and how far curves or runs are from the mean of all."""

from __future__ import annotations

import numpy as np
import xarray as xr

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.common_range import By
from predspace_widgets.analysis.reindexed import of_each_sample, reindexed, reindexed_curve
from predspace_widgets.geometry.distance import bhattacharyya_of_roots
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.mean import Mean, mean_prediction
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import CurveKey, Selection


def mean_trajectory(
    data: xr.Dataset | Analysis,
    curve: str | CurveKey,
    mean: Mean = "arithmetic",
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Predictions of a curve along progress: its runs, reindexed by progress, then averaged.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    curve : str or (task, method, ...)
        See `Analysis.find_curve`.
    mean : {"arithmetic", "bhattacharyya"}
        Of probabilities, which is what comparisons of curves use, or the point whose mean d_B to the runs is least (see
        `predspace_widgets.geometry.bhattacharyya_mean`).
    selection : Selection, optional
        Its seeds, epochs and attributes count; the curve is named.
    n_points : int
        Values of progress.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.
    progress_range : pair of float, optional
        By default all progress that the runs share.

    Returns
    -------
    xarray.Dataset
        `probs` (progress, sample, class), float64, with the samples, labels and classes of the dataset. Attributes:
        curve, mean, n_runs, metric, progress_range.

    Raises
    ------
    ValueError
        No such curve, a wrong option, or runs that share no range of progress or do not cover the given one.
    NoPredictionsError
    MemoryError
        The predictions do not fit.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> way = mean_trajectory(random_trajectories(), "red", n_points=5)
    >>> dict(way.probs.sizes)
    {'progress': 5, 'sample': 30, 'class': 5}
    """
    analysis = analysis_of(data)
    one = reindexed_curve(analysis, curve, mean, selection, n_points, metric, progress_range)
    ds = analysis.ds
    shape = (len(one.grid), ds.sizes["sample"], ds.sizes["class"])
    probs = of_each_sample(analysis.measured, one.places, lambda points: one.means(points)[0], shape, axis=1)
    coords = {name: ds[name].variable for name in ("sample", "class") if name in ds.coords}
    variables = {"probs": (("progress", "sample", "class"), probs), "label": ds["label"].variable}
    told = {"curve": one.labels[0], "mean": mean, "n_runs": len(one.places.runs), "metric": metric}
    told["progress_range"] = one.attrs["progress_range"]
    return xr.Dataset(variables, coords={"progress": one.grid, **coords}, attrs=told)


def distance_to_mean(
    data: xr.Dataset | Analysis,
    by: By = "curve",
    mean: Mean = "arithmetic",
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
) -> xr.Dataset:
    """How far each curve, or each run, is from the mean trajectory of all of them, at equal progress.

    The mean counts each curve once, or each run once. It holds the very curve that is compared, and so is nearer to it
    than the mean of the others is.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    by : {"curve", "run"}
        Means over the seeds of each curve, or each run by itself.
    mean : {"arithmetic", "bhattacharyya"}
        Over seeds, and over curves or runs; see `predspace_widgets.geometry.mean_prediction`.
    selection : Selection, optional
        By default everything.
    n_points, metric, progress_range
        Of progress; see `predspace_widgets.analysis.matrix.matrix`.

    Returns
    -------
    xarray.Dataset
        `distance` (curve or run, progress), d_B in nats, and `mean_distance` (curve or run), its trapezoid mean over
        progress. Who does not share the range of progress is not in it; the attribute `note` says so.

    Raises
    ------
    ValueError
        Fewer than two curves or runs, no range of progress that two share, or a wrong option.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> apart = distance_to_mean(random_trajectories(), n_points=5)
    >>> apart.mean_distance.round(3).values.tolist()
    [0.039, 0.039, 0.088]
    """
    analysis = analysis_of(data)
    compared = reindexed(analysis, by, mean, selection, n_points, metric, progress_range)

    def of_points(points: Array) -> Array:
        means = compared.means(points)  # (M, K, n, C)
        return bhattacharyya_of_roots(np.sqrt(means), np.sqrt(mean_prediction(means, mean)))

    shape = (len(compared.labels), len(compared.grid))
    distance = analysis.measured.mean_at(compared.places, of_points, shape)
    variables = {"distance": ((by, "progress"), distance), "mean_distance": (by, distance @ compared.places.weights)}
    return xr.Dataset(variables, coords=compared.coords | {"progress": compared.grid}, attrs=compared.attrs)
