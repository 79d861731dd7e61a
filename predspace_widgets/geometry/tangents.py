"""Tangents of trajectories on the product of spheres."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.geometry.geodesic import COINCIDE
from predspace_widgets.geometry.probabilities import Array, as_probabilities


def tangents_of(P: ArrayLike, grid: ArrayLike) -> Array:
    """Tangents dX/dt of trajectories X(t) = sqrt(P(t)), from points at equally spaced values of t.

    With log_x(y) the vector at x that points along the great circle to y and is as long as it, sample by sample, the
    tangent at t is (log_x(X(t + h)) - log_x(X(t - h))) / 2h, x = X(t), and one-sided at both ends. It is exact on
    geodesics, and lies in the tangent space of each sample.

    Parameters
    ----------
    P : array, shape (..., K, N, C)
        Probabilities at K values of t, at least two.
    grid : array, shape (K,)
        These values, rising in equal steps.

    Returns
    -------
    array, shape (..., K, N, C)
        In radians by a unit of t.

    Raises
    ------
    ValueError
        P holds no such probabilities, or the grid does not rise in equal steps.

    Examples
    --------
    >>> from predspace_widgets.geometry import geodesic, ignorance, truth
    >>> turn = tangents_of(geodesic(ignorance(1, 4), truth([0], 4), [0.0, 0.5, 1.0]), [0.0, 0.5, 1.0])
    >>> np.linalg.norm(turn, axis=-1).round(4).ravel()  # arccos(1 / sqrt(4)) everywhere
    array([1.0472, 1.0472, 1.0472])
    """
    points, times = as_probabilities(P), np.asarray(grid, dtype=np.float64)
    if points.ndim < 3 or points.shape[-3] < 2 or times.shape != points.shape[-3:-2]:
        raise ValueError(
            f"P must be (..., K, N, C) at K values of t, at least two, got shapes {points.shape} and {times.shape}"
        )
    steps = np.diff(times)
    if not (np.all(steps > 0) and np.allclose(steps, steps[0], rtol=1e-6, atol=0)):
        raise ValueError("the grid must rise in equal steps")
    roots = np.sqrt(points)
    before, after = roots[..., :-1, :, :], roots[..., 1:, :, :]
    forwards, backwards = _logarithm(before, after), _logarithm(after, before)
    tangents = np.empty_like(roots)
    tangents[..., 0, :, :], tangents[..., -1, :, :] = forwards[..., 0, :, :], -backwards[..., -1, :, :]
    tangents[..., 1:-1, :, :] = (forwards[..., 1:, :, :] - backwards[..., :-1, :, :]) / 2
    return np.asarray(tangents / steps[0])


def _logarithm(x: Array, y: Array) -> Array:
    """The vectors (..., C) at unit vectors x that lead along great circles to y."""
    half_chord = np.sqrt(np.square(y - x).sum(axis=-1, keepdims=True)) / 2
    angle = 2 * np.arcsin(np.minimum(half_chord, np.sqrt(0.5)))
    apart = angle > COINCIDE
    stretch = np.divide(angle, np.sin(angle), out=np.ones_like(angle), where=apart)
    return np.asarray(stretch * (y - x + 2 * np.square(half_chord) * x))  # y - cos(angle) x
