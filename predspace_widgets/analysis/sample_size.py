"""How many samples are enough: how far pictures and distances of so many are off, beside what other seeds change.

More samples than make a picture change by less than its seeds do tell nothing about trainings in general, only about
these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.matrix import matrix
from predspace_widgets.analysis.uncertainty import Resampled, bootstrap, check_draws, means_of_groups
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.samples import Samples
from predspace_widgets.trajectories.selection import EmptySelectionError, Selection

#: Numbers of samples that are tried, as far as there are more.
SIZES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
#: What changes with them.
QUANTITIES = ("stress", "coordinates", "distances")


def samples_needed(
    analysis: Analysis,
    selection: Selection = Selection(),  # noqa: B008, which is frozen
    sizes: Sequence[int] | int | None = None,
    n_draws: int = 10,
    n_components: int = 3,
    seed: int = 0,
) -> xr.Dataset:
    """How far a picture and its curves' distances are off with so many samples, and from how many on that is little.

    A choice of n of the N samples differs from all N by less than from ever more such samples, since it is a part of
    them: by the root of 1 - n / N, by which what is measured is divided (Cochran, "Sampling techniques", 1977).

    Parameters
    ----------
    analysis : Analysis
    selection : Selection
        Checkpoints; at least one of its curves has two seeds.
    sizes : int or sequence of int, optional
        Numbers of samples, by default 10, 20, 50, 100 ... as far as there are more.
    n_draws : int
        Random choices of samples of each number, without replacement; of one draw the larger hold the smaller.
    n_components : int
    seed : int
        Of the draws.

    Returns
    -------
    xarray.Dataset
        `explained_stress` (n_samples, draw) of the axes together; `change` (quantity, n_samples), how far so many
        samples are off, root mean square over draws, and `change_by_seeds` (quantity), what other seeds make of the
        same: of "stress"; of "coordinates", of the means over seeds, in units of the root mean square coordinate; of
        "distances", the mean d_B at equal progress of each pair of curves (see
        `predspace_widgets.analysis.matrix.matrix`), in units of their root mean square. Seeds are drawn anew for stress
        and coordinates (see `bootstrap`), and left out one at a time for distances (jackknife, Efron 1979). NaN where a
        draw has no range of progress that curves share, or there is one curve. `enough` (quantity): the smallest number
        of samples from which on the change is no larger than that by seeds; NaN where none of those tried is.
        Attribute `says`: the same as a sentence.

    Raises
    ------
    NoPredictionsError
    ValueError
        Numbers that are not whole, below 2 or not below that of all samples; see `bootstrap`.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> samples_needed(analysis_of(random_trajectories()), sizes=[5, 10], n_draws=2).change.sizes
    Frozen({'quantity': 3, 'n_samples': 2})
    """
    check_draws("samples", n_draws)
    analysis.measured.check_predictions()
    n_all = analysis.ds.sizes["sample"]
    numbers = _checked(sizes, n_all)
    generator = np.random.default_rng(seed)
    orders = np.stack([generator.permutation(n_all) for _ in range(n_draws)])  # (draw, N)
    chosen = [np.sort(order[:n]) for n in numbers for order in orders]  # (size * draw) of (n,)

    picture = bootstrap(analysis, selection, n_components, over="seeds", seed=seed)
    weights = np.stack([np.bincount(places, minlength=n_all) / len(places) for places in chosen])
    coordinates, draws = Resampled(analysis, picture).of_weights(weights)
    groups = analysis.mean_points(picture["row"].values)
    means = means_of_groups(groups, coordinates, np.ones(coordinates.shape[:2]))  # (B, mean_point, k)
    last = n_components - 1
    stress = np.array([draw.explained_stress[last] for draw in draws])
    scale = np.sqrt(np.mean(picture["mean"].values ** 2))
    variances = picture["mean_covariance"].values.diagonal(axis1=1, axis2=2)
    differ = _distances(analysis, selection)
    of_distances, by_seeds_of_distances = np.full(len(chosen), np.nan), np.nan
    if differ is not None:
        of_all = _pairs(differ, differ)  # (pairs,)
        parts = [_pairs(_distances(_of_places(analysis, places), selection, differ), differ) for places in chosen]
        height = _root_mean_square(of_all) or np.nan  # NaN where all coincide
        of_distances = np.array([_root_mean_square(part - of_all) for part in parts]) / height
        by_seeds_of_distances = _root_mean_square(_jackknife(analysis, selection, differ)) / height

    by_seeds = [
        float(picture["drawn_explained_stress"].values[:, last].std(ddof=1)),
        float(np.sqrt(np.mean(variances)) / scale),
        by_seeds_of_distances,
    ]
    differences = [
        stress - float(picture["explained_stress"][last]),
        np.sqrt(np.mean((means - picture["mean"].values) ** 2, axis=(1, 2))) / scale,
        of_distances,
    ]
    squares = np.square(differences).reshape(len(QUANTITIES), len(numbers), n_draws)
    change = np.sqrt(squares.mean(axis=2) / (1 - np.array(numbers) / n_all))
    enough = [_enough(of_one, limit, numbers) for of_one, limit in zip(change, by_seeds, strict=True)]
    is_known = np.isfinite(change).all(axis=1) & np.isfinite(by_seeds)
    return xr.Dataset(
        {
            "explained_stress": (("n_samples", "draw"), stress.reshape(len(numbers), n_draws)),
            "change": (("quantity", "n_samples"), change),
            "change_by_seeds": ("quantity", by_seeds),
            "enough": ("quantity", enough),
        },
        coords={"quantity": list(QUANTITIES), "n_samples": numbers},
        attrs={"says": _says(enough, is_known, numbers), "n_draws": n_draws, "seed": seed},
    )


def _checked(sizes: Sequence[int] | int | None, n_all: int) -> list[int]:
    if n_all < 3:
        raise ValueError(f"{n_all} sample{'s have' if n_all > 1 else ' has'} no smaller numbers to compare with")
    if sizes is None:
        numbers = [n for n in SIZES if n < n_all] or [n_all // 2]
    else:
        numbers = sorted({*(sizes if isinstance(sizes, Iterable) else [sizes])})
    wrong = [n for n in numbers if not isinstance(n, int | np.integer) or isinstance(n, bool) or not 2 <= n < n_all]
    if wrong or not numbers:
        what = ", ".join(map(str, wrong)) or "none"
        raise ValueError(f"numbers of samples must be whole, from 2 to {n_all - 1:,} (there are {n_all:,}): {what}")
    return [int(n) for n in numbers]


def _of_places(analysis: Analysis, places: Array) -> Analysis:
    return analysis.of_samples(Samples(rows=tuple(places.tolist())))


def _distances(analysis: Analysis, selection: Selection, like: xr.Dataset | None = None) -> xr.Dataset | None:
    """All pairs of curves at equal progress, over the range of others like them; None where no two can be compared."""
    try:
        progress_range = None if like is None else like.attrs["progress_range"]
        return matrix(analysis, selection=selection, progress_range=progress_range, with_p=False)
    except EmptySelectionError:
        raise
    except ValueError:  # fewer than two curves, or no range that two share
        return None


def _pairs(differ: xr.Dataset | None, like: xr.Dataset) -> Array:
    """Mean d_B of each pair of curves (pairs,), NaN where it is not measured."""
    above = np.triu_indices(like.sizes["curve"], 1)
    if differ is None:
        return np.full(len(above[0]), np.nan)
    return np.asarray(differ["distance"].reindex(curve=like["curve"], other=like["other"]).values[above])


def _root_mean_square(values: Array) -> float:
    """Of those that are finite; NaN where none is."""
    squares = np.square(values[np.isfinite(values)])
    return float(np.sqrt(squares.mean())) if len(squares) else np.nan


def _jackknife(analysis: Analysis, selection: Selection, like: xr.Dataset) -> Array:
    """Standard errors (pairs,) of distances over seeds, of which one is left out at a time."""
    seeds = np.unique(analysis.ds["seed"].values[selection.rows(analysis.ds)]).tolist()
    if len(seeds) < 2:
        return np.full(like.sizes["curve"] * (like.sizes["curve"] - 1) // 2, np.nan)
    without = [
        _pairs(_distances(analysis, replace(selection, seeds=tuple(s for s in seeds if s != seed)), like), like)
        for seed in seeds
    ]
    return np.asarray(np.sqrt((len(seeds) - 1) * np.var(without, axis=0)))


def _enough(change: Array, by_seeds: float, numbers: Sequence[int]) -> float:
    """The smallest number from which on the change is no larger than that by seeds, or NaN."""
    small = change <= by_seeds
    from_here_on = np.logical_and.accumulate(small[::-1])[::-1]
    return float(np.asarray(numbers)[from_here_on].min()) if from_here_on.any() else np.nan


def _says(enough: Sequence[float], is_known: Array, numbers: Sequence[int]) -> str:
    known = {name: number for name, number, is_one in zip(QUANTITIES, enough, is_known, strict=True) if is_one}
    parts = [
        f"from {number:,.0f} samples on {name} change{'s' if name == 'stress' else ''} by no more than other seeds do"
        if np.isfinite(number)
        else f"with up to {max(numbers):,} samples {name} still change{'s' if name == 'stress' else ''} by more"
        for name, number in known.items()
    ]
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."
