"""Do three axes hold the trainings? Explained stress of the recorded runs, and of random curves in their place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry import InPCA, geodesic, ignorance, pairwise, truth
from predspace_widgets.trajectories.selection import rows_of_runs


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
    seeds = ds["seed"].values
    parts = {"all": ds} | {str(seed): ds.isel(checkpoint=seeds == seed) for seed in dict.fromkeys(seeds.tolist())}
    records = []
    for seed, part in parts.items():
        inpca = _fit(part, n_axes)
        records.append(
            {
                "seed": seed,
                "n_runs": len(rows_of_runs(part)),
                "n_checkpoints": part.sizes["checkpoint"],
                "n_imaginary": int((inpca.signature_ < 0).sum()),
                "explained_stress": float(inpca.explained_stress_[-1]),
            }
        )
    return pd.DataFrame.from_records(records)


def turned_curves(ds: xr.Dataset, generator: np.random.Generator, seeds_together: bool = False) -> xr.Dataset:
    """Random curves of exactly the recorded lengths, between ignorance and independent random labellings.

    Each run is carried elsewhere as a whole by a random symmetry of prediction space: for every sample its own random
    permutation of the classes, the same at all checkpoints. This keeps every distance within a run, so the Riemann
    length of each of its steps; keeps ignorance where it is; and turns the truth, towards which the run makes the
    progress that it made, into a labelling in which every sample has a uniformly random class, independent of those of
    all other runs. Only what runs have in common is gone, so this null keeps more of the trainings than a random walk
    would.

    Parameters
    ----------
    ds : xarray.Dataset
    generator : numpy.random.Generator
    seeds_together : bool
        Turn all runs of a task and method alike, which keeps how near its seeds are; by default each by itself.

    Returns
    -------
    xarray.Dataset
        The same checkpoints with other predictions. `label` is still the recorded one.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories()
    >>> turned = turned_curves(ds, np.random.default_rng(0))
    >>> bool(np.allclose(turned.predspace.riemann_length(), ds.predspace.riemann_length()))
    True
    """
    probs = ds["probs"].values  # (T, N, C)
    n_samples, n_classes = probs.shape[1:]
    turned, turns = np.empty_like(probs), dict[tuple[str, ...], NDArray[np.int64]]()
    for run, rows in rows_of_runs(ds).items():
        name = tuple(str(ds[part].values[rows[0]]) for part in ("task", "method")) if seeds_together else (run,)
        if name not in turns:
            turns[name] = generator.permuted(np.tile(np.arange(n_classes), (n_samples, 1)), axis=1)  # (N, C)
        turned[rows] = np.take_along_axis(probs[rows], turns[name][None], axis=2)
    return _with_predictions(ds, turned)


def random_geodesics(ds: xr.Dataset, generator: np.random.Generator) -> xr.Dataset:
    """The straightest random curves: geodesics from ignorance to independent random labellings, one a run.

    Each checkpoint lies where the recorded one's progress is, on the geodesic of its run. They are shorter than the
    runs, which do not go straight.

    Parameters
    ----------
    ds : xarray.Dataset
    generator : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        The same checkpoints with other predictions. `label` is still the recorded one.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> random_geodesics(random_trajectories(), np.random.default_rng(0)).probs.shape
    (48, 30, 5)
    """
    n_samples, n_classes = ds.sizes["sample"], ds.sizes["class"]
    reached = ds.predspace.progress().values  # (T,)
    probs = np.empty(ds["probs"].shape)
    for rows in rows_of_runs(ds).values():
        labelling = truth(generator.integers(n_classes, size=n_samples), n_classes)
        probs[rows] = geodesic(ignorance(n_samples, n_classes), labelling, reached[rows])
    return _with_predictions(ds, probs)


def stress_of_nulls(ds: xr.Dataset, n_axes: int = 3, n_draws: int = 5, seed: int = 0) -> pd.DataFrame:
    """Explained stress of random curves in place of the runs, several times over.

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
        Columns curves ("geodesics", "each run turned", "seeds turned together"; see `random_geodesics` and
        `turned_curves`), draw and explained_stress.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> len(stress_of_nulls(random_trajectories(), n_draws=2))
    6
    """
    generator = np.random.default_rng(seed)
    records = []
    for draw in range(n_draws):
        curves = {
            "geodesics": random_geodesics(ds, generator),
            "each run turned": turned_curves(ds, generator),
            "seeds turned together": turned_curves(ds, generator, seeds_together=True),
        }
        for name, null in curves.items():
            explained = float(_fit(null, n_axes).explained_stress_[-1])
            records.append({"curves": name, "draw": draw, "explained_stress": explained})
    return pd.DataFrame.from_records(records)


def _fit(ds: xr.Dataset, n_axes: int) -> InPCA:
    """The axes alone, without what a picture shows beside them."""
    return InPCA(n_axes, metric="precomputed").fit(pairwise(ds["probs"].values))


def _with_predictions(ds: xr.Dataset, probs: ArrayLike) -> xr.Dataset:
    """The dataset with other predictions of the same checkpoints; what was measured on the old ones is left out."""
    return xr.Dataset({"probs": (ds["probs"].dims, np.asarray(probs))}, coords=ds.coords, attrs=ds.attrs)
