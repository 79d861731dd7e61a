"""Which of many points to measure all others from, where all pairwise distances would be too many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry.probabilities import Array

# Landmarks after a round for each one before it: few rounds, each of which may have to read all predictions again.
_GROWTH = 4
_DRAWN = 1000


def choose_landmarks(
    distances_to: Callable[[NDArray[np.intp]], Array], n_points: int, n_landmarks: int, random_state: int = 0
) -> tuple[NDArray[np.intp], Array]:
    """Landmarks spread over all points, and the distances from every point to them.

    As k-means++ spreads its first centres: a point is drawn with a probability proportional to its distance to the
    nearest landmark there is (d_B is locally a squared distance). Drawn in rounds that grow, as in k-means|| (Bahmani
    et al., VLDB 2012), since every round costs a pass over the predictions.

    Parameters
    ----------
    distances_to : function
        Of indices (m,) of points: distances from all points to these, shape (T, m).
    n_points, n_landmarks : int
        T, and how many of them are chosen.
    random_state : int
        Seed: the same one chooses the same landmarks.

    Returns
    -------
    landmarks : array of int, shape (n_landmarks,)
        Different points.
    distances : array, shape (T, n_landmarks)

    Raises
    ------
    ValueError
        Not fewer landmarks than points, or none.

    Examples
    --------
    >>> line = np.array([0.0, 0.1, 5.0, 5.1])
    >>> landmarks, distances = choose_landmarks(lambda chosen: abs(line[:, None] - line[chosen]), 4, 2)
    >>> sorted(line[landmarks].round().tolist())
    [0.0, 5.0]
    """
    _check_number(n_landmarks, n_points)
    random = np.random.default_rng(random_state)
    landmarks = np.empty(n_landmarks, dtype=np.intp)
    distances = np.empty((n_points, n_landmarks))
    is_free, nearest = np.ones(n_points, dtype=bool), np.ones(n_points)
    done = 0
    while done < n_landmarks:
        stop = min(max(done * _GROWTH, 1), n_landmarks)
        landmarks[done:stop] = _draw(random, nearest * is_free, is_free, stop - done)
        is_free[landmarks[done:stop]] = False
        distances[:, done:stop] = distances_to(landmarks[done:stop])
        new = np.abs(distances[:, done:stop]).min(axis=1)  # given ones may be squared intervals of either sign
        nearest = np.minimum(nearest, new) if done else new
        done = stop
    return landmarks, distances


def draw_evenly(n_points: int, random_state: int = 0) -> NDArray[np.intp]:
    """Up to 1,000 of all points, in order, each as likely as any other: by them the stress of all is estimated.

    One is drawn from each of as many equal stretches of the points. Neighbours are mostly checkpoints of one training,
    so every training has its share, and the estimate varies a third as much as that by points drawn from anywhere.

    Landmarks count as any other point. They lie far out, where most of the distances are explained, so that without
    them the others would stand for a smaller cloud than there is.
    """
    random = np.random.default_rng([random_state, 1])  # not the numbers that landmarks were drawn by
    edges = np.linspace(0, n_points, min(_DRAWN, n_points) + 1).astype(np.intp)
    return np.asarray(random.integers(edges[:-1], edges[1:]), dtype=np.intp)


def check_landmarks(landmarks: ArrayLike, n_points: int) -> NDArray[np.intp]:
    """Given landmarks as an array (m,), or ValueError unless they are fewer than the points, different and there."""
    indices = np.asarray(landmarks)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ValueError(f"landmarks must be a number or a list of indices, got {landmarks!r}")
    _check_number(len(indices), n_points)
    if indices.min() < 0 or indices.max() >= n_points or len(np.unique(indices)) < len(indices):
        raise ValueError(f"landmarks must be different indices from 0 to {n_points - 1}")
    return indices.astype(np.intp)


def _check_number(n_landmarks: int, n_points: int) -> None:
    is_number = isinstance(n_landmarks, int | np.integer) and not isinstance(n_landmarks, bool)
    if not (is_number and 1 <= n_landmarks < n_points):
        raise ValueError(
            f"landmarks must be a whole number of points, fewer than the {n_points} there are, got {n_landmarks}: "
            "leave them out to measure all distances"
        )


def _draw(random: np.random.Generator, weights: Array, is_free: NDArray[np.bool_], n: int) -> NDArray[np.intp]:
    """Different free points, by their weights for as long as any has one: points that coincide have none."""
    n_drawn = min(n, int(np.count_nonzero(weights)))
    chosen = np.empty(0, dtype=np.intp)
    if n_drawn:
        chosen = random.choice(len(weights), n_drawn, replace=False, p=weights / weights.sum())
    rest = np.setdiff1d(np.flatnonzero(is_free), chosen)
    return np.concatenate([chosen, random.choice(rest, n - len(chosen), replace=False)])
