"""The mean of several predictions: of their probabilities, or the point that is nearest to all of them."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.geometry.probabilities import Array, as_probabilities

Mean = Literal["arithmetic", "bhattacharyya"]


def bhattacharyya_mean(
    P: ArrayLike, weights: ArrayLike | None = None, tolerance: float = 1e-10, max_iterations: int = 200
) -> Array:
    """The point whose weighted mean d_B to some points is least.

    Samples are independent of each other. Of one, with unit vectors r_m = sqrt(p_m) and s = sqrt(q), the mean d_B is
    f(s) = -sum_m w_m log(r_m . s). With g = sum_m w_m r_m / (r_m . s), minus its gradient in space, g . s = 1, so that
    the gradient on the sphere is s - g, and the mean is where q = (sum_m w_m sqrt(p_m) / b_m)^2, b_m the overlap of p_m
    with q. Along any great circle f bends by 1 or more: there is one minimum, and s is within ``|g - s|`` of it.

    Stepping from s to g may swing for ever (two predictions that share no class change places). The step here is to
    sqrt(s g), which minimises a bound of f that touches it at s, as in expectation maximisation: f never rises, the sum
    of q stays 1, and near the mean what is left halves with each step or better.

    Parameters
    ----------
    P : array, shape (M, ..., N, C)
        Probabilities of M points.
    weights : array, shape (M,), optional
        Not negative; by default equal. Their scale does not matter.
    tolerance : float
        How long the gradient of a sample may be at the end, in radians: so far from the mean it is at most.
    max_iterations : int

    Returns
    -------
    array, shape (..., N, C)
        Probabilities. The mean of two points is halfway on their geodesic.

    Raises
    ------
    ValueError
        P holds no points of probabilities, weights do not fit, are negative or all 0.
    RuntimeError
        A sample has not come within the tolerance.

    Examples
    --------
    >>> bhattacharyya_mean([[[1.0, 0.0, 0.0]], [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]]).round(6)
    array([[0.666667, 0.333333, 0.      ]])
    """
    points = _read_points(P)
    shares = _shares(weights, len(points))
    roots = np.sqrt(points).reshape(len(points), -1, points.shape[-1])  # (M, S, C)
    from predspace_widgets.geometry import kernel  # late: numba takes a while to import

    taken = shares > 0
    mean, left = kernel.mean_of_roots(roots[taken], shares[taken], tolerance, max_iterations)  # (S, C), (S,)
    furthest = int(left.argmax())
    if not left[furthest] <= tolerance:
        raise RuntimeError(
            f"the Bhattacharyya mean of sample {furthest % points.shape[-2]} is not found within {max_iterations} "
            f"iterations: its gradient is {left[furthest]:.2g}, above the tolerance of {tolerance:.2g}; allow more of "
            "either"
        )
    return np.square(mean).reshape(points.shape[1:])


def mean_prediction(P: ArrayLike, kind: Mean = "arithmetic", weights: ArrayLike | None = None) -> Array:
    """The arithmetic mean of the probabilities of some points, or their Bhattacharyya mean.

    Parameters
    ----------
    P : array, shape (M, ..., N, C)
    kind : {"arithmetic", "bhattacharyya"}
    weights : array, shape (M,), optional
        Not negative; by default equal.

    Returns
    -------
    array, shape (..., N, C)

    Raises
    ------
    ValueError
        An unknown kind; see also `bhattacharyya_mean`.

    Examples
    --------
    >>> points = [[[0.5, 0.5]], [[1.0, 0.0]]]
    >>> mean_prediction(points).round(4), mean_prediction(points, "bhattacharyya").round(4)
    (array([[0.75, 0.25]]), array([[0.8536, 0.1464]]))
    """
    check_mean(kind)
    if kind == "bhattacharyya":
        return bhattacharyya_mean(P, weights)
    points = _read_points(P)
    return np.asarray(np.tensordot(_shares(weights, len(points)), points, axes=1))


def check_mean(kind: str) -> None:
    """Raise ValueError, naming the known ones, unless `kind` is a mean of this module."""
    if kind not in get_args(Mean):
        raise ValueError(f"unknown mean {kind!r}: choose one of {', '.join(get_args(Mean))}")


def _read_points(P: ArrayLike) -> Array:
    points = as_probabilities(P)
    if points.ndim < 3 or len(points) == 0:
        raise ValueError(f"a mean needs points (M, ..., samples, classes), at least one, got shape {points.shape}")
    return points


def _shares(weights: ArrayLike | None, n_points: int) -> Array:
    """Weights (M,) that sum to 1."""
    values = np.ones(n_points) if weights is None else np.asarray(weights, dtype=np.float64)
    if values.shape != (n_points,):
        raise ValueError(f"{n_points} points need as many weights, got shape {values.shape}")
    if not (np.all(values >= 0) and 0 < values.sum() < np.inf):
        raise ValueError("weights must be finite numbers, none negative and one of them above 0")
    return np.asarray(values / values.sum())
