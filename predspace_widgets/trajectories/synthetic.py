"""A synthetic sloppy family: trainings in a prediction space whose number of dimensions is known."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.geometry import truth
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.build import make_trajectories


def sloppy_family(
    n_dimensions: int = 4,
    decay: float = 0.5,
    n_runs: int = 12,
    n_checkpoints: int = 16,
    n_samples: int = 60,
    n_classes: int = 5,
    seed: int = 0,
    *,
    n_tasks: int = 3,
    scale: float = 1.0,
) -> xr.Dataset:
    """Trainings of a model with so many parameters, of which each tells less than the one before.

    The predictions are softmax(sum_i theta_i decay^i f_i(x)), i = 0, ..., n_dimensions - 1. The functions f_i are
    orthonormal over samples and classes, and f_0 leads to the truth. Each run is a smooth path of theta from 0, which
    is ignorance; runs of one task go to neighbouring ends. Over all checkpoints the theta_i are uncorrelated and of
    variance scale^2, so the covariance of the logits has n_dimensions eigenvalues, which fall by decay^2 from one to
    the next: a hyper-ribbon (Transtrum, Machta and Sethna, PRL 104 (2010) 060201; Quinn et al., PRL 122 (2019)
    158302). Predictions are a curved image of that: distances between them need some more axes.

    Parameters
    ----------
    n_dimensions : int
    decay : float
        Of the width of the ribbon from one dimension to the next, in (0, 1].
    n_runs : int
        Over all tasks, one seed after the other.
    n_checkpoints : int
        Of each run.
    n_samples, n_classes : int
    seed : int
    n_tasks : int
    scale : float
        Standard deviation of each theta_i. Logits of f_i have root mean square theta_i decay^i.

    Returns
    -------
    xarray.Dataset
        Trajectories, of tasks "end 1", "end 2", ...

    Raises
    ------
    ValueError
        A number is out of range; samples, classes, runs or checkpoints are too few to span so many dimensions.

    Examples
    --------
    >>> ds = sloppy_family(n_dimensions=2)
    >>> dict(ds.sizes)
    {'checkpoint': 192, 'sample': 60, 'class': 5}
    >>> np.log(ds.probs.values)[0].std().round(6)
    np.float64(0.0)
    """
    _check(n_dimensions, decay, n_runs, n_checkpoints, n_samples, n_classes, n_tasks, scale)
    random = np.random.default_rng(seed)
    labels = random.integers(n_classes, size=n_samples)
    functions = _functions(labels, n_dimensions, n_classes, random)  # (n_dimensions, N, C)
    times = np.linspace(0, 1, n_checkpoints)
    tasks = np.arange(n_runs, dtype=np.int64) % n_tasks
    theta = scale * _uncorrelated(_paths(times, tasks, n_dimensions, random))  # (n_runs * T, n_dimensions)
    logits = np.einsum("ti,inc->tnc", theta * decay ** np.arange(n_dimensions), functions)
    probs = np.exp(logits - logits.max(axis=-1, keepdims=True))  # (n_runs * T, N, C)
    probs /= probs.sum(axis=-1, keepdims=True)
    return make_trajectories(
        probs,
        labels,
        task=[f"end {task + 1}" for task in np.repeat(tasks, n_checkpoints)],
        method="synthetic",
        seed=np.repeat(np.arange(n_runs) // n_tasks, n_checkpoints),
        epoch=np.tile(10 * times, n_runs),
        metrics={"accuracy": (probs.argmax(axis=-1) == labels).mean(axis=-1)},
        classes=[f"class {index}" for index in range(n_classes)],
        title=f"a sloppy family of {n_dimensions} dimensions, decay {decay:g}",
        source="predspace_widgets.trajectories.sloppy_family",
    )


def _check(
    n_dimensions: int,
    decay: float,
    n_runs: int,
    n_checkpoints: int,
    n_samples: int,
    n_classes: int,
    n_tasks: int,
    scale: float,
) -> None:
    """Raise ValueError unless so many dimensions can be spanned."""
    if not (0 < decay <= 1 and 0 < scale < np.inf):
        raise ValueError(f"decay must lie in (0, 1] and scale be positive, got {decay} and {scale}")
    if min(n_dimensions, n_runs, n_samples, n_tasks) < 1 or min(n_checkpoints, n_classes) < 2:
        raise ValueError("needs a dimension, a run, a sample and a task, and two checkpoints and two classes, or more")
    if n_dimensions > n_samples * (n_classes - 1):
        raise ValueError(
            f"{n_samples} samples of {n_classes} classes have {n_samples * (n_classes - 1)} dimensions, not "
            f"{n_dimensions}: ask for more samples"
        )
    if n_dimensions > n_runs * (n_checkpoints - 1):
        raise ValueError(
            f"{n_runs} runs of {n_checkpoints} checkpoints span at most {n_runs * (n_checkpoints - 1)} dimensions, not "
            f"{n_dimensions}: ask for more of them"
        )


def _functions(labels: NDArray[np.int64], n_dimensions: int, n_classes: int, random: np.random.Generator) -> Array:
    """Orthogonal functions (n_dimensions, N, C) of root mean square 1 and sum 0 over classes; truth comes first."""
    drawn = random.normal(size=(n_dimensions, len(labels), n_classes))
    drawn[0] = truth(labels, n_classes)
    drawn -= drawn.mean(axis=-1, keepdims=True)  # what all classes share, a softmax does not see
    columns, triangle = np.linalg.qr(drawn.reshape(n_dimensions, -1).T)  # (N * C, n_dimensions)
    columns *= np.sign(np.diag(triangle))  # the first leads to the truth, not away from it
    functions: Array = (columns.T * np.sqrt(columns.shape[0])).reshape(drawn.shape)
    return functions


def _paths(times: Array, tasks: NDArray[np.int64], n_dimensions: int, random: np.random.Generator) -> Array:
    """Smooth paths from 0 of runs, one after the other, shape (n_runs * T, n_dimensions): runs of a task end nearby."""
    ends = random.normal(size=(tasks.max() + 1, n_dimensions))
    ends[:, 0] = 2.0
    of_runs = ends[tasks] + 0.3 * random.normal(size=(len(tasks), n_dimensions))  # (n_runs, n_dimensions)
    frequencies = np.arange(1, min(n_dimensions, len(times) - 2) + 1)
    waves = np.sin(np.pi * times[:, None] * frequencies) / frequencies  # (T, F), 0 at both ends
    bends = random.normal(size=(len(tasks), len(frequencies), n_dimensions))
    paths = times[:, None] * of_runs[:, None, :] + waves @ bends  # (n_runs, T, n_dimensions)
    return paths.reshape(-1, n_dimensions)


def _uncorrelated(theta: Array) -> Array:
    """Paths (T, n) under the symmetric linear map that makes their covariance the identity; 0 stays 0."""
    values, vectors = np.linalg.eigh(np.cov(theta.T, bias=True).reshape(theta.shape[1], -1))
    white: Array = theta @ (vectors / np.sqrt(values)) @ vectors.T
    return white
