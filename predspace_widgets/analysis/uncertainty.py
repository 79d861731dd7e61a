"""Error bars: how far a picture would be another one with other samples, other seeds or other runs.

Each draw of a bootstrap is a picture of its own, turned onto the one of all by a signed Procrustes rotation (see
`predspace_widgets.geometry.bootstrap`): which way its axes point, and which of two nearly equal ones comes first, is no
difference between pictures.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Literal, get_args

import numpy as np
import psutil
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.frame import MOST_EXACT
from predspace_widgets.analysis.large.blocks import in_threads
from predspace_widgets.analysis.measurements import Measurements, squareform
from predspace_widgets.geometry.bootstrap import N_CANDIDATES, Embedding, align, embed
from predspace_widgets.geometry.inpca import align_signs
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.geometry.threads import blas_on_one_thread
from predspace_widgets.trajectories.selection import Selection, rows_of_runs

#: What is drawn anew.
Over = Literal["samples", "seeds", "runs"]
OVERS: tuple[Over, ...] = get_args(Over)
N_DRAWS = 200

# Of all distances of several draws, which are held at a time.
_BYTES_AT_A_TIME = 2**31
_DRAWS_AT_A_TIME = 20


def bootstrap(
    analysis: Analysis,
    selection: Selection = Selection(),  # noqa: B008, which is frozen
    n_components: int = 3,
    n_draws: int = N_DRAWS,
    over: Over = "samples",
    seed: int = 0,
    fitted_on: Selection | None = None,
) -> xr.Dataset:
    """An InPCA picture with what other samples, seeds or runs would have made of it.

    Parameters
    ----------
    analysis : Analysis
    selection, n_components, fitted_on
        Of the picture; see `Analysis.picture`.
    n_draws : int
        At least 2.
    over : {"samples", "seeds", "runs"}
        What is drawn, with replacement. "samples": as many as there are; the picture is that of those. "seeds": of the
        n runs of each curve n - 1, each counted n / (n - 1) times, whose mean varies as the mean of n independent runs
        does, not less (Rao and Wu, "Resampling inference with complex survey data", JASA 1988); the axes are those of
        the drawn runs, and so is the mean over the seeds. "runs": of all runs as many as there are, whatever their
        curve; the axes are those of the drawn runs.
    seed : int
        Of the draws.

    Returns
    -------
    xarray.Dataset
        The picture (see `Analysis.picture`), and besides `spread` (checkpoint, component), the standard deviation over
        draws of each coordinate, `covariance` (checkpoint, component, other_component) and `mean_covariance`
        (mean_point, component, other_component) of the means over the seeds; `drawn_eigenvalue` and
        `drawn_explained_stress`, both (draw, component), and `drawn_participation_ratio` (draw), a dimension (see
        `predspace_widgets.geometry.participation_ratio`, whose imaginary axes subtract), which for the picture is
        `participation_ratio` ().
        Coordinates of draws are turned onto the picture before they are compared. Attributes: `over`, `n_draws`,
        `seed`.

    Raises
    ------
    NoPredictionsError
    ValueError
        See `Analysis.picture`; fewer than two draws, an unknown `over`, one sample, no curve with two seeds or no two
        runs to draw from, or more than 8,000 checkpoints, for which all distances of each draw are too many.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> picture = bootstrap(analysis_of(random_trajectories()), n_draws=20)
    >>> picture.spread.dims, picture.drawn_eigenvalue.sizes
    (('checkpoint', 'component'), Frozen({'draw': 20, 'component': 3}))
    """
    check_draws(over, n_draws)
    picture = analysis.picture(selection, n_components, fitted_on)
    resampled = Resampled(analysis, picture, fitted_on)
    generator = np.random.default_rng(seed)
    if over == "samples":
        coordinates, draws = resampled.of_weights(draw_samples(analysis.ds.sizes["sample"], n_draws, generator))
        often = np.ones(coordinates.shape[:2])  # (B, n)
    else:
        times = _draw_runs(analysis, resampled.rows, over, n_draws, generator)
        if resampled.fewest(times) < 2:
            raise ValueError(
                f"a draw of {over} has less than two checkpoints that axes are fitted on: fit them on more runs"
            )
        coordinates, draws = resampled.of_times(times)
        often = times[:, resampled.shown] if over == "seeds" else np.ones(coordinates.shape[:2])
    means = means_of_groups(analysis.mean_points(picture["row"].values), coordinates, often)  # (B, mean_point, k)
    k = slice(n_components)
    dims = ("component", "other_component")
    error_bars = {
        "spread": (("checkpoint", "component"), coordinates.std(axis=0, ddof=1)),
        "covariance": (("checkpoint", *dims), _covariance(coordinates)),
        "mean_covariance": (("mean_point", *dims), _covariance(means)),
        "drawn_eigenvalue": (("draw", "component"), np.stack([d.eigenvalues[k] for d in draws])),
        "drawn_explained_stress": (("draw", "component"), np.stack([d.explained_stress[k] for d in draws])),
        "drawn_participation_ratio": ("draw", np.array([d.participation_ratio for d in draws])),
        "participation_ratio": ((), resampled.whole.participation_ratio),
    }
    return picture.copy(deep=True).assign(error_bars).assign_attrs(over=over, n_draws=n_draws, seed=seed)


class Resampled:
    """Pictures of what is drawn from that of a picture, turned onto it.

    Parameters
    ----------
    analysis : Analysis
    picture : xarray.Dataset
        From `Analysis.picture`.
    fitted_on : Selection, optional
        What its axes are fitted on, by default the checkpoints that it shows.

    Attributes
    ----------
    rows : array of int, shape (n,)
        The checkpoints that it shows or is fitted on.
    shown : array of int
        Places among these of those that it shows.
    whole : Embedding
        Of all that is drawn from.

    Raises
    ------
    NoPredictionsError
    ValueError
        More than 8,000 checkpoints.
    """

    def __init__(self, analysis: Analysis, picture: xr.Dataset, fitted_on: Selection | None = None) -> None:
        analysis.measured.check_predictions()
        shown = picture["row"].values
        fitted = shown if fitted_on is None else fitted_on.rows(analysis.ds)
        self.rows: NDArray[np.intp] = np.union1d(shown, fitted)
        if len(self.rows) > MOST_EXACT:
            raise ValueError(
                f"error bars need all distances of each draw, and {len(self.rows):,} checkpoints have too many: choose "
                f"at most {MOST_EXACT:,}"
            )
        self.shown = np.searchsorted(self.rows, shown)
        self._measured = analysis.measured
        self._fitted = np.isin(self.rows, fitted).astype(float)  # (n,), how often each counts in the axes
        self._distances = _distances_among(self._measured, self.rows)
        self._n_components = picture.sizes["component"]
        self.whole = embed(self._distances, self._fitted, self._n_components)
        signs = align_signs(self.whole.coordinates[self.shown], picture["embedding"].values)
        self._like = self.whole.coordinates * signs  # (n, k)

    def of_weights(self, weights: Array) -> tuple[Array, list[Embedding]]:
        """Coordinates (B, shown, k) for several weightings (B, N) of the samples, and what they were before a turn."""
        distances = _distances_of_draws(self._measured, self.rows, weights)
        return self._turned(distances, np.broadcast_to(self._fitted, (len(weights), len(self.rows))))

    def of_times(self, times: Array) -> tuple[Array, list[Embedding]]:
        """The same where checkpoints count so often, (B, n)."""
        return self._turned(itertools.repeat(self._distances, len(times)), self._fitted * times)

    def fewest(self, times: Array) -> int:
        """How many of the checkpoints that axes are fitted on count at least, where they count so often, (B, n)."""
        return int((self._fitted * times > 0).sum(axis=1).min())

    def _turned(self, distances: Iterable[Array], times: Array) -> tuple[Array, list[Embedding]]:
        n_axes = min(self._n_components + N_CANDIDATES, int(self._fitted.sum()))
        draws = _embed_all(distances, times, n_axes, self.whole.vectors)
        signature = np.sign(self.whole.eigenvalues)
        turned = (align(d.coordinates, np.sign(d.eigenvalues), self._like, signature)[self.shown] for d in draws)
        return np.stack(list(turned)), draws


def check_over(over: str) -> None:
    """Raise a ValueError, naming what can be drawn, unless `over` is such."""
    if over not in OVERS:
        raise ValueError(f"over={over!r}: what is drawn is one of {', '.join(OVERS)}")


def check_draws(over: str, n_draws: int) -> None:
    """Raise a ValueError for what cannot be drawn."""
    check_over(over)
    if isinstance(n_draws, bool) or not isinstance(n_draws, int | np.integer) or n_draws < 2:
        raise ValueError(f"{n_draws!r} draws: a spread needs a whole number of at least two")


def draw_samples(n_samples: int, n_draws: int, generator: np.random.Generator) -> Array:
    """Weights (draw, N) of samples that are drawn with replacement, as many as there are; each draw adds up to 1.

    Raises
    ------
    ValueError
        There is a single sample.

    Examples
    --------
    >>> draw_samples(4, 3, np.random.default_rng(0)).sum(axis=1)
    array([1., 1., 1.])
    """
    if n_samples < 2:
        raise ValueError("a single sample: error bars over samples need at least two")
    return generator.multinomial(n_samples, np.full(n_samples, 1 / n_samples), n_draws) / n_samples


def _distances_of_draws(measured: Measurements, rows: NDArray[np.intp], weights: Array) -> Iterator[Array]:
    """Distances among some checkpoints, above the diagonal, of one weighting (N,) of the samples after the other.

    As many are computed at a time as fit in memory: predictions are read again for the next.
    """
    n_pairs = len(rows) * (len(rows) - 1) // 2
    held = min(_BYTES_AT_A_TIME, psutil.virtual_memory().available // 4)
    n = max(1, held // max(1, 4 * n_pairs))
    for start in range(0, len(weights), n):
        yield from measured.weighted_distances(rows, weights[start : start + n])


def _embed_all(distances: Iterable[Array], times: Array, n_components: int, start: Array) -> list[Embedding]:
    """Pictures of several draws."""

    def picture(of_draw: Array, counts: Array) -> Embedding:
        square = of_draw if of_draw.ndim == 2 else squareform(of_draw.astype(np.float64))
        return _with_axes(embed(square, counts, min(n_components, int((counts > 0).sum())), start), n_components)

    draws = zip(distances, times, strict=True)
    pictures: list[Embedding] = []
    while some := list(itertools.islice(draws, _DRAWS_AT_A_TIME)):
        with blas_on_one_thread():
            pictures += in_threads([partial(picture, *draw) for draw in some])
    return pictures


def _with_axes(picture: Embedding, n_components: int) -> Embedding:
    """With axes on which all points are 0, as many as a picture of few points lacks."""
    missing = (0, n_components - len(picture.eigenvalues))
    return picture._replace(
        coordinates=np.pad(picture.coordinates, ((0, 0), missing)),
        eigenvalues=np.pad(picture.eigenvalues, missing),
        explained_stress=np.pad(picture.explained_stress, missing, mode="edge"),
    )


def _distances_among(measured: Measurements, rows: NDArray[np.intp]) -> Array:
    if measured.ds.sizes["checkpoint"] > MOST_EXACT:
        return measured.distances_among(rows)
    return measured.distances()[np.ix_(rows, rows)]


def _draw_runs(
    analysis: Analysis, rows: NDArray[np.intp], over: Over, n_draws: int, generator: np.random.Generator
) -> Array:
    """How often each draw (B, n) has the run of each of some checkpoints."""
    runs = list(rows_of_runs(analysis.ds, rows).values())
    curves = analysis.curve_numbers[[members[0] for members in runs]]
    together = [np.arange(len(runs))] if over == "runs" else [np.flatnonzero(curves == c) for c in np.unique(curves)]
    if max(map(len, together)) < 2:
        what = "a single run is chosen" if over == "runs" else "no chosen curve has two seeds"
        raise ValueError(f"{what}: error bars over {over} need at least two to draw from")
    times = np.zeros((n_draws, len(rows)))
    for members in together:
        n_drawn = len(members) if over == "runs" else max(1, len(members) - 1)
        drawn = generator.multinomial(n_drawn, np.full(len(members), 1 / len(members)), n_draws)  # (B, members)
        for place, often in zip(members, drawn.T, strict=True):
            times[:, np.searchsorted(rows, runs[place])] = often[:, None] * (len(members) / n_drawn)
    return times


def means_of_groups(groups: NDArray[np.intp], coordinates: Array, often: Array) -> Array:
    """Means (B, group, k) of coordinates (B, n, k) over points of a group, each counted so often (B, n).

    NaN where a draw has none of a group.
    """
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))  # of each group, none of which is empty
    sums = np.add.reduceat((often[..., None] * coordinates)[:, order], starts, axis=1)
    counts = np.add.reduceat(often[:, order], starts, axis=1)[..., None]
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)


def _covariance(drawn: Array) -> Array:
    """Covariance (n, k, k) over draws (B, n, k) of points, of those draws that have them."""
    deviations = drawn - np.nanmean(drawn, axis=0)
    n_drawn = np.isfinite(deviations[..., 0]).sum(axis=0)[:, None, None]
    deviations = np.nan_to_num(deviations)
    return np.asarray(np.einsum("bnk,bnl->nkl", deviations, deviations) / np.maximum(n_drawn - 1, 1))
