"""InPCA of reindexed trajectories: whole trainings as points, or trainings at equal progress."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.common_range import By, check_option
from predspace_widgets.analysis.frame import MOST_EXACT
from predspace_widgets.analysis.large.blocks import threads_of_a_task
from predspace_widgets.analysis.matrix import all_pairs
from predspace_widgets.analysis.measurements import squareform
from predspace_widgets.analysis.reindexed import Reindexed, reindexed
from predspace_widgets.geometry.distance import pairwise
from predspace_widgets.geometry.geodesic import ProgressMetric, geodesic
from predspace_widgets.geometry.mean import Mean
from predspace_widgets.geometry.probabilities import Array, ignorance, truth
from predspace_widgets.trajectories.selection import Selection

#: What a point of the picture is: a whole trajectory, or one at a value of progress.
PointOf = Literal["trajectory", "progress"]


def inpca_of_trajectories(
    data: xr.Dataset | Analysis,
    point: PointOf = "trajectory",
    by: By = "curve",
    n_components: int = 3,
    mean: Mean = "arithmetic",
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
) -> xr.Dataset:
    """InPCA of trajectories that were reindexed by progress: when a network was where counts no more, only the way.

    Of whole trajectories the distance is the mean of d_B over progress, that of d_traj: it is the d_B of trajectories
    as one prediction of all samples at all values of progress, so that InPCA of it is what it is of predictions.

    The geodesic from ignorance to truth is a trajectory, too, whose progress is how far along it is: read at the same
    values of progress, it is projected into the picture, and no axis is fitted to it.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    point : {"trajectory", "progress"}
        Whether a point of the picture is a whole trajectory, or a trajectory at one value of progress.
    by : {"curve", "run"}
        Trajectories are means over the seeds of each curve, or each run by itself.
    n_components : int
        Axes, at most the number of points.
    mean, selection, n_points, metric, progress_range
        See `predspace_widgets.analysis.mean_trajectory.distance_to_mean`.

    Returns
    -------
    xarray.Dataset
        `embedding`, (curve or run, component), or (curve or run, progress, component); `eigenvalue` (component),
        signed, the largest magnitude first, `explained_stress` of the first 1, 2, ... axes and `axis_stress`, what each
        adds; `geodesic`, (component) or (progress, component); of whole trajectories also `distance` (curve or run,
        other). Who does not share the range of progress is not in it; the attribute `note` says so.

    Raises
    ------
    ValueError
        Fewer than two curves or runs, no range of progress that two share, fewer points than axes, more points than
        `frame.MOST_EXACT`, or a wrong option.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> dict(inpca_of_trajectories(random_trajectories(), by="run", n_components=2).embedding.sizes)
    {'run': 6, 'component': 2}
    >>> dict(inpca_of_trajectories(random_trajectories(), "progress", n_points=5).embedding.sizes)
    {'curve': 3, 'progress': 5, 'component': 3}
    """
    check_option("point", point, PointOf)
    analysis = analysis_of(data)
    compared = reindexed(analysis, by, mean, selection, n_points, metric, progress_range)
    whole = point == "trajectory"
    shape = (len(compared.labels),) if whole else (len(compared.labels), n_points)
    _check_size(int(np.prod(shape)), n_components, by)
    distances, to_geodesic = _distances(analysis, compared, whole)
    from predspace_widgets.geometry.inpca import InPCA  # late: scikit-learn takes a second to import

    inpca = InPCA(n_components, metric="precomputed").fit(distances)
    line = inpca.transform(to_geodesic)
    dims = (by,) if whole else (by, "progress")
    variables: dict[str, Any] = {
        "embedding": ((*dims, "component"), inpca.embedding_.reshape(*shape, n_components)),
        "eigenvalue": ("component", inpca.eigenvalues_),
        "explained_stress": ("component", inpca.explained_stress_),
        "axis_stress": ("component", np.diff(inpca.explained_stress_, prepend=0.0)),
        "geodesic": ((*dims[1:], "component"), line[0] if whole else line),
    }
    coords = compared.coords | {"component": np.arange(1, n_components + 1)}
    if whole:
        variables["distance"], coords = ((by, "other"), distances), coords | compared.others
    else:
        coords["progress"] = compared.grid
    return xr.Dataset(variables, coords=coords, attrs={"point": point, "n_points": n_points, **compared.attrs})


def _check_size(n: int, n_components: int, by: By) -> None:
    if not 1 <= n_components <= n:
        raise ValueError(f"n_components={n_components}: {n} points have 1 to {n} axes")
    if n > MOST_EXACT:
        advice = " or by='curve'" if by == "run" else ""
        raise ValueError(f"{n:,} points are more than {MOST_EXACT:,}: take fewer values of progress (n_points){advice}")


def _distances(analysis: Analysis, compared: Reindexed, whole: bool) -> tuple[Array, Array]:
    """Between whole trajectories (M, M), or between them at all values of progress (M K, M K); and from the geodesic.

    The latter is one more trajectory: (1, M), or (K, M K).
    """
    weights, n = compared.places.weights, len(compared.labels)
    n, size = (n, n + 1) if whole else (n * len(weights), (n + 1) * len(weights))

    def of_points(points: Array, labels: NDArray[Any]) -> Array:
        n_classes = points.shape[-1]
        line = geodesic(ignorance(len(labels), n_classes), truth(labels, n_classes), compared.grid)
        ways = np.concatenate([compared.means(points), line[None]])  # (M + 1, K, n, C)
        if whole:
            return all_pairs(ways, weights)
        flat = ways.reshape(size, *ways.shape[2:])
        return squareform(pairwise(flat, threads=threads_of_a_task()))

    shape = (size * (size - 1) // 2,)
    values = squareform(analysis.measured.mean_at(compared.places, of_points, shape, with_labels=True))
    return values[:n, :n], values[n:, :n]
