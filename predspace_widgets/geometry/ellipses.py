"""Regions of a normal distribution in the plane and in space: what error bars of a point are."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.geometry.probabilities import Array


def region_radius(n_dimensions: int, share: float = 0.95) -> float:
    """How many standard deviations from its mean, in all directions, a normal distribution has a share within.

    The square is the quantile of chi squared with as many degrees of freedom as there are dimensions.

    Parameters
    ----------
    n_dimensions : int
    share : float
        Between 0 and 1, both excluded.

    Raises
    ------
    ValueError
        No dimension, or no such share.

    Examples
    --------
    >>> [round(region_radius(n), 3) for n in (1, 2, 3)]
    [1.96, 2.448, 2.795]
    """
    from scipy.special import gammaincinv  # late, as all of scipy

    if n_dimensions < 1 or not 0 < share < 1:
        raise ValueError(f"a region needs a dimension and a share between 0 and 1, got {n_dimensions} and {share}")
    return float(np.sqrt(2 * gammaincinv(n_dimensions / 2, share)))


def coverage(n_points: int, n_dimensions: int, share: float = 0.95) -> float:
    """How often the ellipse of a share holds the mean of a normal distribution that only a few points tell of.

    The ellipse is that of `half_axes` around the mean of the points, of their own covariance divided by how many they
    are. It is drawn as if that covariance were known: from few points it is not, and the ellipse is too small.

    Parameters
    ----------
    n_points : int
        Independent draws of the distribution, such as seeds.
    n_dimensions : int
    share : float
        Between 0 and 1, both excluded; what it is for many points.

    Returns
    -------
    float
        Between 0 and `share`; 0 of no more points than dimensions, whose ellipse is flat.

    Raises
    ------
    ValueError
        No points, no dimension, or no such share.

    References
    ----------
    H. Hotelling (1931), "The generalization of Student's ratio": the squared distance from the mean of the points, in
    the metric of the ellipse, is p (n - 1) / (n - p) times an F of p and n - p degrees of freedom.

    Examples
    --------
    >>> [round(coverage(n, 2), 2) for n in (2, 3, 5, 10, 1000)]
    [0.0, 0.5, 0.75, 0.87, 0.95]
    """
    from scipy.special import fdtr  # late, as all of scipy

    if n_points < 1:
        raise ValueError(f"an ellipse needs points, got {n_points}")
    square = region_radius(n_dimensions, share) ** 2
    free = n_points - n_dimensions
    if free <= 0:
        return 0.0
    return float(fdtr(n_dimensions, free, square * free / (n_dimensions * (n_points - 1))))


def half_axes(covariance: ArrayLike, share: float = 0.95) -> Array:
    """The half axes of the ellipse, or ellipsoid, around the mean that holds a share of a normal distribution.

    Parameters
    ----------
    covariance : array, shape (..., d, d)
        Symmetric; d is 2 or 3.
    share : float

    Returns
    -------
    array, shape (..., d, d)
        A half axis a row, the longest first, in the units of the coordinates. Its sign is such that its largest
        component is positive.

    Raises
    ------
    ValueError
        No such matrix, or one with values that are not finite.

    Examples
    --------
    >>> np.round(half_axes([[4.0, 0.0], [0.0, 1.0]]), 2).tolist()
    [[4.9, 0.0], [0.0, 2.45]]
    """
    matrices = np.asarray(covariance, dtype=np.float64)
    d = matrices.shape[-1] if matrices.ndim >= 2 else 0
    if d not in (2, 3) or matrices.shape[-2] != d:
        raise ValueError(f"a covariance is of 2 or 3 coordinates, (..., d, d), got the shape {matrices.shape}")
    if not np.isfinite(matrices).all():
        raise ValueError("a covariance has values that are not finite")
    variances, directions = np.linalg.eigh(matrices)  # (..., d) from the smallest on, (..., d, d) as columns
    lengths = region_radius(d, share) * np.sqrt(np.maximum(variances, 0))  # rounding may leave less than nothing
    axes = np.swapaxes(directions * lengths[..., None, :], -1, -2)[..., ::-1, :]  # (..., axis, d)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=-1)[..., None], axis=-1)
    return np.asarray(axes * np.where(largest < 0, -1.0, 1.0))


def ellipses(covariance: ArrayLike, n_points: int = 48, share: float = 0.95) -> Array:
    """Outlines of the region around the mean that holds a share of a normal distribution.

    Parameters
    ----------
    covariance : array, shape (..., d, d)
        Symmetric; d is 2 or 3.
    n_points : int
        Of each outline; the last is the first again.
    share : float

    Returns
    -------
    array, shape (..., m, n_points, d)
        Around 0. In the plane m is 1, the boundary of the region. In space m is 3: the ellipses in which the planes of
        two half axes cut its boundary.

    Raises
    ------
    ValueError
        See `half_axes`.

    Examples
    --------
    >>> np.abs(ellipses([[4.0, 0.0], [0.0, 1.0]])[0]).max(axis=0).round(2).tolist()
    [4.9, 2.45]
    """
    axes = half_axes(covariance, share)
    turn = np.linspace(0, 2 * np.pi, n_points)[:, None]  # (n_points, 1)
    pairs = itertools.combinations(range(axes.shape[-1]), 2)
    outlines = [
        np.cos(turn) * axes[..., one, None, :] + np.sin(turn) * axes[..., other, None, :] for one, other in pairs
    ]
    return np.stack(outlines, axis=-3)
