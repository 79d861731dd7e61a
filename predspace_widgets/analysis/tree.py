"""The tree of tasks: which trainings are alike, and how sure the samples, or the seeds, make each of its splits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.common_range import By, Of, check_option
from predspace_widgets.analysis.large.blocks import in_threads
from predspace_widgets.analysis.measurements import squareform
from predspace_widgets.analysis.reindexed import Reindexed, of_each_sample, reindexed
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.mean import Mean
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import Selection

#: What is drawn anew: the samples that distances are means over, or the runs of each curve.
Drawn = Literal["samples", "seeds"]

_DRAWS_AT_A_TIME = 256
# Of the largest distance, and of 1 (identical predictions are so far apart): smaller differences are rounding.
_ROUNDING = 1e-12
_NOTHING = 1e-14


def tree(
    data: xr.Dataset | Analysis,
    of: Of = "progress",
    by: By = "curve",
    n_draws: int = 1000,
    over: Drawn = "samples",
    seed: int = 0,
    mean: Mean = "arithmetic",
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
) -> xr.Dataset:
    """The tree of curves or runs by average linkage of their distances, each split with its support by bootstrap.

    The support of a split is the share of draws in whose tree the same leaves are under one node (Felsenstein, 1985).
    A distance is a mean over samples, so that a draw of samples only weighs what each sample has added. A draw of seeds
    takes, of each curve, as many runs as it has, with replacement, and averages them. In either the progress of the
    checkpoints stays that of all samples.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    of : {"progress", "end", "step"}
        What is compared; see `predspace_widgets.analysis.matrix.matrix`.
    by : {"curve", "run"}
        Leaves are means over the seeds of each curve, or each run by itself.
    n_draws : int
        0 for none.
    over : {"samples", "seeds"}
        What is drawn. A draw of seeds averages and measures anew: along progress it takes hundreds of times as long as
        one of samples.
    seed : int
        Of the draws.
    mean, selection, n_points, metric, progress_range
        See `predspace_widgets.analysis.mean_trajectory.distance_to_mean`.

    Returns
    -------
    xarray.Dataset
        - `linkage` (merge, part): the tree as scipy has it;
        - `support` (merge): in [0, 1], 1 of the root; NaN without draws, and where the node above merges at the same
          distance but for rounding: which of such leaves are together first is arbitrary. Draws in which a split is so
          do not support it;
        - `is_under` (merge, leaf): which leaves a node holds;
        - `distance` (leaf, other), d_B in nats; `order` (place), the leaves as the tree is drawn.

        Attributes: `newick`, the tree as text, with names quoted, supports, and branches by which the way between two
        leaves is as long as the distance at which they merge; `of`, `over`, `n_draws`, `seed`, and what was compared.

    Raises
    ------
    ValueError
        Fewer than two curves or runs, no range or step that two of them share, a wrong option, or seeds to be drawn
        where no curve has two runs or leaves are runs.
    NoPredictionsError
    MemoryError
        What each sample adds to each distance does not fit.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> of_tasks = tree(random_trajectories(), of="end", n_draws=100)
    >>> of_tasks.attrs["newick"]
    "('blue':0.514417,('red':0.222055,'green':0.222055)0.98:0.292363);"
    """
    _check_options(over, by, n_draws, mean)
    analysis = analysis_of(data)
    compared = reindexed(analysis, by, mean, selection, n_points, metric, progress_range, of)
    if over == "seeds" and max(map(len, compared.runs_of)) < 2:
        raise ValueError("over='seeds' needs a curve with two runs or more: draw samples")
    if over == "samples":
        condensed, drawn = _by_samples(analysis, compared, n_draws, seed)
    else:
        condensed, drawn = _by_seeds(analysis, compared, n_draws, seed)
    linked = _linkage(condensed)
    support = _support(linked, drawn)
    told = {"of": of, "over": over, "n_draws": n_draws, "seed": seed, **compared.attrs}
    return _labelled(compared, condensed, linked, support, told)


def _check_options(over: str, by: str, n_draws: int, mean: str) -> None:
    check_option("over", over, Drawn)
    if n_draws < 0:
        raise ValueError(f"n_draws must be 0 or more, got {n_draws}")
    if over == "seeds" and by == "run":
        raise ValueError("a run has no seeds to draw from: choose by='curve', or over='samples'")
    if over == "seeds" and mean != "arithmetic":
        raise ValueError("draws of seeds are of arithmetic means: choose mean='arithmetic', or over='samples'")


def _by_samples(analysis: Analysis, compared: Reindexed, n_draws: int, seed: int) -> tuple[Array, Array]:
    """Distances above the diagonal, of all samples (pairs,) and of draws of them (n_draws, pairs)."""
    from predspace_widgets.geometry import kernel  # late: numba takes a while to import

    n, n_samples, weights = len(compared.labels), analysis.ds.sizes["sample"], compared.places.weights

    def of_points(points: Array) -> Array:  # (pairs, n)
        roots = np.sqrt(compared.means(points)).transpose(1, 2, 3, 0)  # (K, n, C, M)
        parts = np.array_split(np.arange(len(weights)), min(len(weights), 8))
        tasks = [
            partial(kernel.distances_of_each_sample, np.ascontiguousarray(roots[some]), weights[some]) for some in parts
        ]
        return np.asarray(sum(in_threads(tasks)))

    shape = (n * (n - 1) // 2, n_samples)
    each = of_each_sample(analysis.measured, compared.places, of_points, shape, axis=1)
    random, drawn = np.random.default_rng(seed), np.empty((n_draws, shape[0]))
    for start in range(0, n_draws, _DRAWS_AT_A_TIME):
        size = min(_DRAWS_AT_A_TIME, n_draws - start)
        counts = random.multinomial(n_samples, np.full(n_samples, 1 / n_samples), size)
        drawn[start : start + size] = counts @ each.T / n_samples
    return each.mean(axis=1), drawn


def _by_seeds(analysis: Analysis, compared: Reindexed, n_draws: int, seed: int) -> tuple[Array, Array]:
    """The same of draws of the runs of each curve."""
    from predspace_widgets.geometry import kernel  # late: numba takes a while to import

    random, n = np.random.default_rng(seed), len(compared.labels)
    shares = []  # of each curve, of its runs (1 + n_draws, runs): first the runs as they are
    for runs in compared.runs_of:
        counts = random.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), n_draws)
        shares.append(np.concatenate([np.ones((1, len(runs))), counts]) / len(runs))
    above = np.triu_indices(n, 1)

    def of_draws(points: Array, draws: NDArray[np.intp]) -> Array:  # (draws, pairs)
        _, *shape = points.shape
        roots, distances = np.empty((*shape, n)), np.empty((len(draws), len(above[0])))
        for place, draw in enumerate(draws):
            for curve, runs in enumerate(compared.runs_of):
                roots[..., curve] = np.tensordot(shares[curve][draw], points[runs], axes=1)
            distances[place] = kernel.mean_distances(np.sqrt(roots, out=roots), compared.places.weights)[above]
        return distances

    def of_points(points: Array) -> Array:
        parts = np.array_split(np.arange(1 + n_draws), min(1 + n_draws, 8))
        return np.concatenate(in_threads([partial(of_draws, points, draws) for draws in parts]))

    values = analysis.measured.mean_at(compared.places, of_points, (1 + n_draws, len(above[0])))
    return values[0], values[1:]


def _linkage(condensed: Array) -> Array:
    from scipy.cluster.hierarchy import linkage  # late: it takes a while to import

    return np.asarray(linkage(condensed, "average"))


def _leaves_under(linked: Array) -> list[int]:
    """The leaves under each merge, as the bits of a number."""
    n = len(linked) + 1
    under = [1 << leaf for leaf in range(n)]
    for first, second in linked[:, :2].astype(int).tolist():
        under.append(under[first] | under[second])
    return under[n:]


def _support(linked: Array, drawn: Array) -> Array:
    """The share of trees, of distances (n_draws, pairs), that have each node of a tree."""
    if not len(drawn):
        return np.full(len(linked), np.nan)
    found = [_splits(_linkage(condensed)) for condensed in drawn]
    resolved = _splits(linked)
    return np.array(
        [np.mean([node in tree for tree in found]) if node in resolved else np.nan for node in _leaves_under(linked)]
    )


def _splits(linked: Array) -> set[int]:
    """The nodes of a tree, without those that the node above equals in distance, but for rounding."""
    heights, n = linked[:, 2], len(linked) + 1
    above = np.full(len(linked), np.inf)  # where the node above merges
    for merge, part in np.argwhere(linked[:, :2] >= n):
        above[int(linked[merge, part]) - n] = heights[merge]
    apart = above - heights > max(_ROUNDING * heights[-1], _NOTHING)
    return {node for node, is_apart in zip(_leaves_under(linked), apart, strict=True) if is_apart}


def _labelled(compared: Reindexed, condensed: Array, linked: Array, support: Array, told: dict[str, Any]) -> xr.Dataset:
    from scipy.cluster.hierarchy import leaves_list

    n = len(compared.labels)
    is_under = [[bool(node >> leaf & 1) for leaf in range(n)] for node in _leaves_under(linked)]
    return xr.Dataset(
        {
            "linkage": (("merge", "part"), linked),
            "support": ("merge", support),
            "is_under": (("merge", "leaf"), is_under),
            "distance": (("leaf", "other"), squareform(condensed)),
            "order": ("place", leaves_list(linked).astype(np.intp)),
        },
        coords={"leaf": compared.labels, "other": compared.labels, "curve": ("leaf", compared.curves)},
        attrs={**told, "newick": newick(linked, compared.labels, support)},
    )


def newick(linked: Array, names: Sequence[str], support: Array) -> str:
    """A tree as text in Newick's format: names quoted, the support behind each node, lengths of branches.

    Parameters
    ----------
    linked : array, shape (M - 1, 4)
        As scipy has it.
    names : sequence of str
        Of the M leaves.
    support : array, shape (M - 1,)
        NaN is left out, and so is that of the root.

    Returns
    -------
    str
        The way between two leaves along branches is as long as the distance at which they merge.

    Examples
    --------
    >>> newick(np.array([[0, 1, 0.2, 2], [2, 3, 0.5, 3]]), ["a", "b's", "c"], np.array([0.9, 1.0]))
    "('c':0.25,('a':0.1,'b''s':0.1)0.9:0.15);"
    """
    texts = ["'" + name.replace("'", "''") + "'" for name in names]
    heights = [0.0] * len(names)
    for (first, second, distance, _), share in zip(linked.tolist(), support.tolist(), strict=True):
        parts = [f"{texts[int(part)]}:{distance / 2 - heights[int(part)]:.6g}" for part in (first, second)]
        texts.append(f"({','.join(parts)}){'' if np.isnan(share) else format(share, '.4g')}")
        heights.append(distance / 2)
    root = texts[-1]
    return root[: root.rindex(")") + 1] + ";"
