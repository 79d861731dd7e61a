"""Checkpoints that came after the axes of a dataset were fitted: what each has, and how well the axes explain it.

They are measured against the fitted checkpoints alone. So the cost of one does not grow with how many came before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.frame import Axes, distances_to
from predspace_widgets.geometry import as_probabilities, ignorance, progress, truth
from predspace_widgets.geometry.curves import squared_step_lengths
from predspace_widgets.geometry.geodesic import progress_and_distance
from predspace_widgets.geometry.probabilities import Array


@dataclass(frozen=True)
class Newcomers:
    """What n new checkpoints have.

    Attributes
    ----------
    coordinates : array, shape (n, k)
        In the picture of all fitted checkpoints.
    distances : array, shape (n, m)
        Bhattacharyya distances to the checkpoints that these axes come from.
    progress : dict from a metric to an array, shape (n,)
    tube_distance : array, shape (n,)
        d_B to the shortest path from ignorance to truth.
    accuracy : array, shape (n,)
    intervals, missed : array, shape (n,)
        Squares of the doubly centred distances to the fitted checkpoints, and of what three axes miss of them; see
        `explained_together`.
    """

    coordinates: Array
    distances: Array
    progress: dict[str, Array]
    tube_distance: Array
    accuracy: Array
    intervals: Array
    missed: Array


def measure_newcomers(analysis: Analysis, probs: NDArray[Any], n_components: int = 3) -> Newcomers:
    """Measure new checkpoints against those of a dataset, whose axes stay.

    Parameters
    ----------
    analysis : Analysis
        Of the fitted checkpoints.
    probs : array, shape (n, N, C)
        Probabilities of the same samples over the same classes.
    n_components : int

    Returns
    -------
    Newcomers
        A checkpoint that is like a fitted one has its coordinates.

    Raises
    ------
    ValueError
        Other samples or classes, values that are no probabilities, or a dataset of a single checkpoint.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> ds = geodesic_run(5)
    >>> new = measure_newcomers(Analysis(ds), ds["probs"].values[[4]])
    >>> bool(np.allclose(new.coordinates, Analysis(ds).picture()["embedding"][[4]])), new.accuracy.tolist()
    (True, [1.0])
    """
    measured = analysis.measured
    measured.check_predictions()
    expected = (analysis.ds.sizes["sample"], analysis.ds.sizes["class"])
    if np.ndim(probs) != 3 or probs.shape[1:] != expected:
        n_samples, n_classes = expected
        raise ValueError(
            f"predictions of shape {np.shape(probs)[-2:]} came, but this dataset has {n_samples:,} samples and "
            f"{n_classes:,} classes"
        )
    points = as_probabilities(probs, "the predictions")
    axes = analysis.axes_of_everything(min(n_components, analysis.ds.sizes["checkpoint"]))
    distances = measured.distances_from(points, axes.frame.measured_from)  # (n, m)
    coordinates = axes.frame.inpca.transform(distances) * axes.signs
    intervals, missed = _intervals(analysis, axes, coordinates, distances)
    labels = np.asarray(analysis.ds["label"].values)
    ends = ignorance(*expected), truth(labels, expected[1])
    reached, tube_distance = progress_and_distance(points, *ends, "bhattacharyya")
    return Newcomers(
        coordinates,
        distances,
        {"bhattacharyya": reached, "great_circle": progress(points, *ends, "great_circle")},
        tube_distance,
        (points.argmax(axis=-1) == labels).mean(axis=-1),
        intervals,
        missed,
    )


def step_to(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Riemann length of the step between two checkpoints (N, C)."""
    return float(np.sqrt(squared_step_lengths(before, after)))


def explained_together(intervals: Array, missed: Array) -> float:
    """How much of the centred distances of some points to the fitted ones the axes explain, 1 - sqrt(missed / all).

    Rows of W, the doubly centred distances, are compared with what coordinates make of them. Of all fitted points
    together these rows are W itself, and this is their explained stress.

    Parameters
    ----------
    intervals, missed : array, shape (n,)
        Of each point, as `Newcomers` has them.

    Examples
    --------
    >>> explained_together(np.array([3.0, 1.0]), np.array([1.0, 0.0]))
    0.5
    """
    total = float(intervals.sum())
    return 1.0 if total <= 0 else 1 - float(np.sqrt(missed.sum() / total))


def _intervals(analysis: Analysis, axes: Axes, coordinates: Array, distances: Array) -> tuple[Array, Array]:
    """Squares of the rows of W from points to the fitted ones, and of what up to three axes miss of them, (n,)."""
    frame, k = axes.frame, min(3, coordinates.shape[1])
    among = np.flatnonzero(np.isin(frame.rows, frame.measured_from))
    fitted = axes.fitted[among, :k]  # (m, k)
    row_means = _row_means(analysis, axes)
    rows = -0.5 * (distances - distances.mean(axis=1, keepdims=True) - row_means + row_means.mean())  # (n, m)
    signature = frame.inpca.signature_[:k]
    centre = fitted.mean(axis=0)
    by_axes = ((coordinates[:, :k] - centre) * signature) @ (fitted - centre).T  # (n, m)
    return np.square(rows).sum(axis=1), np.square(rows - by_axes).sum(axis=1)


def _row_means(analysis: Analysis, axes: Axes) -> Array:
    """Mean distances (m,) among the checkpoints that axes come from."""
    measured, rows = analysis.measured, axes.frame.measured_from
    if len(rows) == analysis.ds.sizes["checkpoint"]:
        return np.asarray(measured.distances().mean(axis=1))
    return np.asarray(distances_to(axes.frame, measured, rows).mean(axis=1))
