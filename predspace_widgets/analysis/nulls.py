"""Do three axes hold the trainings? Explained stress of the recorded runs, and of runs that share less.

A null carries each run elsewhere as a whole by a symmetry of prediction space of its own. It keeps ignorance and truth
where they are, and with them every distance within the run: the length of each step and the progress of each
checkpoint. What trainings explain with few axes beyond such nulls is therefore not that they all lead from ignorance to
truth, nor how they progress.

Each null keeps something else besides, which runs still share. "samples within a class" keeps the mean prediction of
each class at every checkpoint, and with it all structure at the level of classes: which are learned first, or not at
all, and which are taken for which. Gone is which samples of a class go first or go wrong. "wrong classes" keeps the
probability that each sample gives to its true class at every checkpoint: gone is which classes are taken for which, of
classes and of single samples, and it is the one to ask whether runs share that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import analysis_of
from predspace_widgets.geometry import pairwise
from predspace_widgets.geometry.floor import p_value
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import rows_of_runs

if TYPE_CHECKING:
    from predspace_widgets.geometry import InPCA

Shuffle = Callable[[NDArray[np.floating], NDArray[np.integer], np.random.Generator], NDArray[np.floating]]

#: Draws of each null: 19 can show p = 1/20.
N_DRAWS = 19


def explained_stress(ds: xr.Dataset, n_axes: int = 3) -> pd.DataFrame:
    """Stress that the first axes of an InPCA picture explain, of all runs together and of each seed's alone.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    n_axes : int

    Returns
    -------
    pandas.DataFrame
        Columns seed ("all", or one), n_runs, n_checkpoints, n_imaginary (of the axes) and explained_stress.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> explained_stress(random_trajectories())["seed"].tolist()
    ['all', '0', '1']
    """
    distances, seeds = analysis_of(ds).measured.distances(), ds["seed"].values
    parts = {"all": np.arange(len(seeds))}
    parts |= {str(seed): np.flatnonzero(seeds == seed) for seed in dict.fromkeys(seeds.tolist())}
    records = []
    for seed, rows in parts.items():
        inpca = _fit(distances[np.ix_(rows, rows)], n_axes)
        records.append(
            {
                "seed": seed,
                "n_runs": len(rows_of_runs(ds, rows)),
                "n_checkpoints": len(rows),
                "n_imaginary": int((inpca.signature_ < 0).sum()),
                "explained_stress": float(inpca.explained_stress_[-1]),
            }
        )
    return pd.DataFrame.from_records(records)


def shuffle_samples(
    probs: NDArray[np.floating], labels: NDArray[np.integer], generator: np.random.Generator
) -> NDArray[np.floating]:
    """The predictions of a run with its samples shuffled within each true class, alike at all checkpoints.

    Means over the samples of a class stay what they are.

    Parameters
    ----------
    probs : array, shape (T, N, C)
    labels : array of int, shape (N,)
    generator : numpy.random.Generator

    Returns
    -------
    array, shape (T, N, C)

    Examples
    --------
    >>> probs, labels = np.eye(2)[[[0, 1, 1]]], np.array([0, 1, 1])
    >>> bool((shuffle_samples(probs, labels, np.random.default_rng(0)) == probs).all())  # those of a class are alike
    True
    """
    order = np.arange(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        order[members] = generator.permutation(members)
    return probs[:, order]


def shuffle_wrong_classes(
    probs: NDArray[np.floating], labels: NDArray[np.integer], generator: np.random.Generator
) -> NDArray[np.floating]:
    """The predictions of a run with the wrong classes of each sample shuffled, alike at all checkpoints.

    The probability of the true class of each sample stays what it is.

    Parameters, returns : see `shuffle_samples`.

    Examples
    --------
    >>> probs = np.array([[[0.7, 0.2, 0.1]]])
    >>> shuffle_wrong_classes(probs, np.array([0]), np.random.default_rng(1))[0, 0, 0]  # the true one stays
    np.float64(0.7)
    """
    n_samples, n_classes = probs.shape[1:]
    is_wrong = np.arange(n_classes) != labels[:, None]  # (N, C)
    wrong = np.broadcast_to(np.arange(n_classes), is_wrong.shape)[is_wrong].reshape(n_samples, n_classes - 1)
    order = np.tile(np.arange(n_classes), (n_samples, 1))
    order[is_wrong] = generator.permuted(wrong, axis=1).ravel()
    return np.take_along_axis(probs, order[None], axis=2)


#: The nulls, by what is shuffled for each run by itself.
NULLS: dict[str, Shuffle] = {"samples within a class": shuffle_samples, "wrong classes": shuffle_wrong_classes}


def shuffle_runs(
    shuffle: Shuffle,
    probs: NDArray[np.floating],
    labels: NDArray[np.integer],
    runs: Iterable[NDArray[np.integer]],
    generator: np.random.Generator,
    to: NDArray[np.floating],
) -> None:
    """One draw of a null, written to an array (T, N, C): each run, given by its rows, shuffled by itself."""
    for rows in runs:
        to[rows] = shuffle(probs[rows], labels, generator)


def stress_of_nulls(ds: xr.Dataset, n_axes: int = 3, n_draws: int = N_DRAWS, seed: int = 0) -> pd.DataFrame:
    """Explained stress of runs that share their ends and what each null keeps, several times over.

    All predictions are held in memory, twice: a run's samples go to places that any block of samples may hold.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    n_axes, n_draws : int
    seed : int
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        Columns shuffled (a key of `NULLS`), draw and explained_stress.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> len(stress_of_nulls(random_trajectories(), n_draws=2))
    4
    """
    generator = np.random.default_rng(seed)
    probs, labels, runs = ds["probs"].values, ds["label"].values, rows_of_runs(ds)
    shuffled = np.empty_like(probs)  # (T, N, C)
    records = []
    for draw in range(n_draws):
        for name, shuffle in NULLS.items():
            shuffle_runs(shuffle, probs, labels, runs.values(), generator, shuffled)
            stress = float(_fit(pairwise(shuffled), n_axes).explained_stress_[-1])
            records.append({"shuffled": name, "draw": draw, "explained_stress": stress})
    return pd.DataFrame.from_records(records)


def p_of_stress(measured: float, draws: pd.DataFrame) -> pd.Series:
    """Share of the draws of each null, the measured stress among them, that explain as much.

    Parameters
    ----------
    measured : float
    draws : pandas.DataFrame
        From `stress_of_nulls`.

    Returns
    -------
    pandas.Series
        By what is shuffled; at least 1 / (1 + number of draws).

    Examples
    --------
    >>> draws = pd.DataFrame({"shuffled": ["wrong classes"] * 3, "explained_stress": [0.5, 0.6, 0.9]})
    >>> p_of_stress(0.8, draws).to_dict()
    {'wrong classes': 0.5}
    """
    groups = draws.groupby("shuffled", sort=False)["explained_stress"]
    return groups.agg(lambda values: p_value([measured, *values])).rename("p_value")


def _fit(distances: Array, n_axes: int) -> InPCA:
    """The axes alone, without what a picture shows beside them."""
    from predspace_widgets.geometry import InPCA  # late: scikit-learn takes a second to import

    return InPCA(n_axes, metric="precomputed").fit(distances)
