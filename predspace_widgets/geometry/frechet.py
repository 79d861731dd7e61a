"""The discrete Frechet distance of two trajectories, from the distances between their checkpoints alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def discrete_frechet(distances: ArrayLike) -> float:
    """The longest leash that two walkers need who go along two trajectories, each at a pace of its own.

    Over all couplings, in which either walker or both go on by one checkpoint and nobody ever turns back, the least of
    the largest distances (Eiter and Mannila, "Computing discrete Frechet distance", 1994), by dynamic programming. It
    needs no progress and no schedule, and so is a second opinion to d_traj, which is a mean where this is a maximum.

    Parameters
    ----------
    distances : array, shape (n, m)
        From each checkpoint of one trajectory to each of the other, in order of training.

    Returns
    -------
    float
        In the units of the distances: at least that of the first and that of the last checkpoints.

    Raises
    ------
    ValueError
        No matrix, an empty one, or a distance that is not finite.

    Examples
    --------
    >>> discrete_frechet([[0.0, 2.0, 3.0], [2.0, 1.0, 0.0]])
    1.0
    """
    values = np.ascontiguousarray(distances, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"distances must be a matrix of checkpoints by checkpoints, got shape {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ValueError("distances must be finite")
    from predspace_widgets.geometry import kernel  # late: numba takes a while to import

    return float(kernel.longest_leash(values))
