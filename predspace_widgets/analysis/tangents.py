"""Which way curves go: their speed along progress, and the angles between their tangents at equal progress."""

from __future__ import annotations

import numpy as np
import xarray as xr

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.common_range import By
from predspace_widgets.analysis.reindexed import reindexed
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.mean import Mean
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.geometry.tangents import tangents_of
from predspace_widgets.trajectories.selection import Selection

# A trajectory that stands still, but for rounding, has no direction.
_STANDS = 1e-9


def tangents(
    data: xr.Dataset | Analysis,
    by: By = "curve",
    mean: Mean = "arithmetic",
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Speed of curves or runs along progress, and the angles between their tangents at equal progress.

    With X(t) = sqrt(P(t)) on the product of spheres, the tangent is dX/dt (see
    `predspace_widgets.geometry.tangents.tangents_of`), the inner product of two the mean over samples of that in space,
    <V, W> = (1/N) sum_nc V_nc W_nc. The curves are at different points, and tangents are compared as vectors in space,
    not carried along a geodesic. A mean over seeds is smoother than a run: compare like with like.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    by, mean, selection, n_points, metric, progress_range
        See `predspace_widgets.analysis.mean_trajectory.distance_to_mean`. Differences are between neighbouring values
        of progress: more of them follow each step of a run, and its noise.

    Returns
    -------
    xarray.Dataset
        - `speed` (curve or run, progress): ``|dX/dt|``, the root mean square angle that samples turn by a unit of
          progress, in radians. sqrt(2) times its integral over progress is the Riemann length of the reindexed way.
        - `angle` (curve or run, other, progress): between tangents, in radians, 0 where both go the same way, pi / 2 at
          right angles; NaN where one stands still.
        - `mean_angle` (curve or run, other): its trapezoid mean over progress.

    Raises
    ------
    ValueError
        Fewer than two curves or runs, no range of progress that two share, or a wrong option.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ways = tangents(random_trajectories(), n_points=5)
    >>> ways.mean_angle.sel(curve="red", other="blue").round(2).item()
    1.23
    """
    analysis = analysis_of(data)
    compared = reindexed(analysis, by, mean, selection, n_points, metric, progress_range)
    grid, n = compared.grid, len(compared.labels)

    def of_points(points: Array) -> Array:  # inner products (K, M, M)
        vectors = tangents_of(compared.means(points), grid)  # (M, K, n, C)
        flat = vectors.swapaxes(0, 1).reshape(len(grid), n, -1)
        return flat @ flat.swapaxes(1, 2) / vectors.shape[2]

    products = analysis.measured.mean_at(compared.places, of_points, (len(grid), n, n))
    speed = np.sqrt(np.diagonal(products, axis1=1, axis2=2))  # (K, M)
    lengths = speed[:, :, None] * speed[:, None, :]
    moves = np.minimum(speed[:, :, None], speed[:, None, :]) > _STANDS
    cosine = np.divide(products, lengths, out=np.full_like(products, np.nan), where=moves)
    angle = np.arccos(np.clip(cosine, -1, 1)).transpose(1, 2, 0)  # (M, M, K)
    angle[np.arange(n), np.arange(n)] *= 0  # the arc cosine of what rounding leaves of 1 is 1e-8
    variables = {
        "speed": ((by, "progress"), speed.T),
        "angle": ((by, "other", "progress"), angle),
        "mean_angle": ((by, "other"), angle @ compared.places.weights),
    }
    coords = compared.coords | compared.others | {"progress": grid}
    return xr.Dataset(variables, coords=coords, attrs=compared.attrs)
