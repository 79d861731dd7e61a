"""How many dimensions do the trainings explore? The whole spectrum of InPCA beside that of a null, and by metric.

The null is that of runs which share their ends and their means over each class, and nothing of what single samples do
(see `nulls`, which has another one, too): each run is carried elsewhere by a symmetry of prediction space that keeps
ignorance, truth, its progress and its lengths. An axis stands above the null where it
holds a larger share of tr W, the sum of all eigenvalues, than that axis of the null does: it is a direction that runs
share.

This is the null for a number of dimensions. A picture of a curved family has more axes than the family has dimensions,
since curves bend into further ones. A run that is carried elsewhere keeps its bends, so that a bend counts only where
it is larger than what an unrelated run adds. Of families softmax(sum_k theta_k f_k) with random smooth functions f_k
and runs straight in 1, 2 or 3 parameters theta, the bends that do count are imaginary axes, and the real ones above
the null are the dimensions, given twenty runs or more; of ten the third is often missed. Runs that all bend alike in
their parameters have a real axis for it, and rightly so. What runs share on the way from ignorance to truth itself is
not seen: the null keeps it, and of runs that never leave that geodesic it is the data. (Checkpoints shuffled within
each sample, the permuted parallel analysis of Buja and Eyuboglu 1992, keep no run and no progress: most bends stand
above.)

By symmetrised KL no null is needed for one kind of family: softmax of a sum of d functions, each times a parameter,
has d real and d imaginary axes and no other (Teoh et al. 2020, arXiv:1912.06039), however far its members are
apart, as long as no probability is below the floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
import psutil
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.frame import MOST_EXACT
from predspace_widgets.analysis.measurements import digest
from predspace_widgets.analysis.nulls import N_DRAWS, NULLS, Shuffle, shuffle_runs
from predspace_widgets.geometry import pairwise, participation_ratio, sloppiness
from predspace_widgets.geometry.dimension import axes_above_null, p_of_axes, stress_of_axes
from predspace_widgets.geometry.distance import Metric, check_metric, squared_intervals
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.geometry.threads import blas_on_one_thread
from predspace_widgets.trajectories.selection import Selection, rows_of_runs

_EVERYTHING = Selection()
#: The largest p of an axis that counts as above the null.
LEVEL = 0.05
_SLOPPINESS = ("decades_per_axis", "decades", "residual")


def spectrum(
    data: xr.Dataset | Analysis,
    selection: Selection = _EVERYTHING,
    n_draws: int = N_DRAWS,
    null: str = "samples within a class",
    metric: Metric = "bhattacharyya",
    n_axes: int = 50,
    seed: int = 0,
) -> xr.Dataset:
    """All eigenvalues of the InPCA of some checkpoints beside those of a null, and what they say of the dimension.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions, all of which are held in memory, twice.
    selection : Selection
        By default everything.
    n_draws : int
        Of the null, at least 19, so that an axis can have p = 0.05; 0 leaves the null out.
    null : {"samples within a class", "wrong classes"}
        What is shuffled in each run by itself; see `nulls`. The first keeps the mean prediction of each class at every
        checkpoint, so that axes by which classes are learned, or taken for each other, are the null's as well and do
        not stand above it. The second keeps the probability that each sample gives to its true class, and is the one
        to ask whether runs share which classes are taken for which.
    metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean"}
    n_axes : int
        Axes that the decay is fitted to.
    seed : int
        Of the draws.

    Returns
    -------
    xarray.Dataset
        (component), as many as checkpoints: `eigenvalue`, signed, by magnitude; `explained_stress`, cumulative;
        `share`, its magnitude over tr W, the sum of all eigenvalues, from which imaginary axes take; of the null
        `null_mean`, `null_low` and `null_high`, the mean share over the draws and their whole range; `p_value`, part of
        the draws, and of the data, in which the axis has as large a share; `above_null`, true for the first axes up to
        the one whose share is not larger than the null's.

        Of the data and, by the name ``null_...``, of each draw (draw): `participation_ratio`, from which imaginary axes
        take, and `participation_ratio_of_magnitudes`, to which they add as real ones do: where the two differ much,
        neither is a number of dimensions. Of the first `n_axes` axes `decades_per_axis`, the powers of ten by which
        eigenvalues fall from one to the next, `decades`, those from the first to the last, and `residual`, what the
        line through their logarithms misses (see `predspace_widgets.geometry.sloppiness`). `null_eigenvalue` and
        `null_share` (draw, component).

        Attributes: `n_axes_above_null` and `n_real_above_null`, the real ones of these; `p_participation_ratio`, the
        share of the draws, and of the data, with as few dimensions; `smallest_p`; `null`, `n_draws`, `seed`,
        `metric`, `n_axes`, `n_checkpoints`, `n_runs`.

    Raises
    ------
    ValueError
        Fewer than two checkpoints or more than `frame.MOST_EXACT`, too few draws or axes, an unknown null or metric.
    MemoryError
        Predictions that do not fit twice.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> of_data = spectrum(random_trajectories(tasks=("red",), n_seeds=10, n_samples=60))
    >>> of_data.attrs["n_axes_above_null"], of_data.attrs["smallest_p"]  # the way to the truth, and its bend
    (2, 0.05)
    """
    analysis = analysis_of(data)
    _check(analysis, n_draws, null, metric)
    rows = _rows(analysis, selection)

    def compute() -> xr.Dataset:
        of_data = _measured(_spectra(analysis, rows, [metric]), n_axes)
        attrs = {"metric": metric, "n_axes": n_axes, "n_checkpoints": len(rows)}
        result = of_data.isel(metric=0, drop=True).assign_attrs(attrs, n_runs=len(rows_of_runs(analysis.ds, rows)))
        return _beside_null(result, _draws(analysis, rows, NULLS[null], n_draws, metric, seed), null, seed)

    key = ("spectrum", digest(rows), n_draws, null, metric, n_axes, seed)
    return analysis.once(key, compute).copy(deep=True)


def stress_by_metric(
    data: xr.Dataset | Analysis,
    selection: Selection = _EVERYTHING,
    metrics: Sequence[Metric] = get_args(Metric),
    n_axes: int = 50,
) -> xr.Dataset:
    """What the axes explain of the same checkpoints in each metric, beside each other.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    selection : Selection
        By default everything.
    metrics : sequence of str
        By default all. Great-circle distances are squared, as in pictures.
    n_axes : int
        Axes that are told of and that the decay is fitted to.

    Returns
    -------
    xarray.Dataset
        (metric, component): `eigenvalue`, signed, and `explained_stress`, cumulative. (metric,): `participation_ratio`,
        `participation_ratio_of_magnitudes`, `n_imaginary`, how many of the axes that are told of are imaginary, and
        `decades_per_axis`, `decades` and `residual` as `spectrum` has them.

    Raises
    ------
    ValueError
        Fewer than two checkpoints or more than `frame.MOST_EXACT`, too few axes, or an unknown metric.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> by_metric = stress_by_metric(random_trajectories())
    >>> by_metric.explained_stress.sel(component=3).to_series().round(2).to_dict()
    {'bhattacharyya': 0.94, 'great_circle': 0.96, 'symmetric_kl': 0.93, 'euclidean': 0.92}
    """
    analysis = analysis_of(data)
    for metric in metrics:
        check_metric(metric)
    rows = _rows(analysis, selection)

    def compute() -> xr.Dataset:
        of_metrics = _measured(_spectra(analysis, rows, metrics), n_axes).isel(component=slice(n_axes))
        of_metrics["n_imaginary"] = (of_metrics["eigenvalue"] < 0).sum("component")
        return of_metrics.assign_attrs(n_axes=n_axes, n_checkpoints=len(rows))

    return analysis.once(("stress by metric", digest(rows), tuple(metrics), n_axes), compute).copy(deep=True)


def _check(analysis: Analysis, n_draws: int, null: str, metric: str) -> None:
    check_metric(metric)
    if null not in NULLS:
        raise ValueError(f"unknown null {null!r}: choose one of {', '.join(map(repr, NULLS))}")
    least = math.ceil(1 / LEVEL) - 1
    if n_draws != 0 and n_draws < least:
        raise ValueError(f"n_draws={n_draws}: at least {least} draws can show p = {LEVEL}, or 0 leave the null out")
    analysis.measured.check_predictions()
    needed, available = 2 * analysis.ds["probs"].nbytes, psutil.virtual_memory().available
    if n_draws and needed > available:
        raise MemoryError(
            f"a null needs all predictions in memory twice, {needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB are "
            "free: take a part of the samples (of_samples)"
        )


def _rows(analysis: Analysis, selection: Selection) -> NDArray[np.intp]:
    analysis.measured.check_predictions()
    n_all = analysis.ds.sizes["checkpoint"]
    if n_all > MOST_EXACT:
        raise ValueError(f"all eigenvalues of {n_all:,} checkpoints are too many: select at most {MOST_EXACT:,}")
    rows = selection.rows(analysis.ds)
    if len(rows) < 2:
        raise ValueError("only one checkpoint is chosen: a spectrum needs at least two")
    return rows


def _spectra(analysis: Analysis, rows: NDArray[np.intp], metrics: Sequence[Metric]) -> xr.DataArray:
    """Eigenvalues (metric, component) of some checkpoints."""
    among = np.ix_(rows, rows)
    spectra = [_spectrum(analysis.measured.distances(name)[among], name) for name in metrics]
    coords = {"metric": list(metrics), "component": np.arange(1, len(rows) + 1)}
    return xr.DataArray(np.stack(spectra), dims=("metric", "component"), coords=coords)


def _draws(
    analysis: Analysis, rows: NDArray[np.intp], shuffle: Shuffle, n_draws: int, metric: Metric, seed: int
) -> xr.DataArray:
    """Eigenvalues (draw, component) of draws of a null."""
    coords = {"draw": np.arange(n_draws), "component": np.arange(1, len(rows) + 1)}
    spectra = xr.DataArray(np.empty((n_draws, len(rows))), dims=("draw", "component"), coords=coords)
    if not n_draws:
        return spectra
    probs, labels = analysis.measured.probs()[rows].values, analysis.measured.labels()
    runs = [np.searchsorted(rows, members) for members in rows_of_runs(analysis.ds, rows).values()]
    generator, shuffled = np.random.default_rng(seed), np.empty_like(probs)  # (T, N, C)
    for draw in range(n_draws):
        shuffle_runs(shuffle, probs, labels, runs, generator, shuffled)
        spectra[draw] = _spectrum(pairwise(shuffled, metric=metric), metric)
    return spectra


def _spectrum(distances: Array, metric: Metric) -> Array:
    from predspace_widgets.geometry.inpca import spectrum as spectrum_of  # late: scikit-learn takes a second to import

    with blas_on_one_thread():  # several threads wait for each other, ten times as long on a busy machine
        return spectrum_of(squared_intervals(distances, metric))


def _measured(eigenvalues: xr.DataArray, n_axes: int) -> xr.Dataset:
    """Eigenvalues (..., component) with what they say of the dimension."""
    along = [eigenvalues.dims[0]]
    fits = np.array([sloppiness(values, n_axes)[:3] for values in eigenvalues.values]).reshape(-1, 3)
    stress = eigenvalues.copy(data=stress_of_axes(eigenvalues.values))
    measured = xr.Dataset({"eigenvalue": eigenvalues, "explained_stress": stress})
    total = eigenvalues.sum("component")  # tr W, which is 0 where all points coincide
    measured["share"] = (abs(eigenvalues) / total).where(total > 0, 0.0)
    measured["participation_ratio"] = along, participation_ratio(eigenvalues.values)
    measured["participation_ratio_of_magnitudes"] = along, participation_ratio(np.abs(eigenvalues.values))
    return measured.assign({name: (along, values) for name, values in zip(_SLOPPINESS, fits.T, strict=True)})


def _beside_null(result: xr.Dataset, draws: xr.DataArray, null: str, seed: int) -> xr.Dataset:
    n_draws = draws.sizes["draw"]
    if n_draws == 0:
        return result.assign_attrs(n_draws=0)
    of_null = _measured(draws, result.attrs["n_axes"]).drop_vars("explained_stress")
    result = result.merge(of_null.rename({name: f"null_{name}" for name in of_null.data_vars}))
    shares = of_null["share"]
    result = result.assign(null_mean=shares.mean("draw"), null_low=shares.min("draw"), null_high=shares.max("draw"))
    p = p_of_axes(result["share"].values, shares.values)
    n_above = axes_above_null(p, LEVEL)
    result["p_value"] = "component", p
    result["above_null"] = "component", np.arange(len(p)) < n_above
    ratios = np.array([result["participation_ratio"], *result["null_participation_ratio"].values])
    return result.assign_attrs(
        n_axes_above_null=n_above,
        n_real_above_null=int((result["eigenvalue"][:n_above] > 0).sum()),
        p_participation_ratio=float(np.mean(ratios <= ratios[0] * (1 + 1e-9))),
        smallest_p=1 / (1 + n_draws),
        null=null,
        n_draws=n_draws,
        seed=seed,
    )
