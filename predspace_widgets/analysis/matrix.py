"""Which differ? Distances between all pairs of curves or runs over one range, each beside what chance makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.common_range import (
    By,
    Member,
    Of,
    Shared,
    check_of_and_by,
    members_to_compare,
    places_of_runs,
    share,
)
from predspace_widgets.analysis.group_comparison import p_of_pairs, what_so_few_decide
from predspace_widgets.analysis.large.blocks import in_threads
from predspace_widgets.analysis.measurements import digest, squareform
from predspace_widgets.geometry.floor import (
    MOST_RELABELLINGS,
    n_relabellings,
    of_both_sides,
    one_against_others,
    p_value,
    relabelled_distances,
    relabellings,
)
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import Selection, checked_selection, pair_of

#: Leaves of a tree that are put into their best order; more would take too long.
_MOST_IN_BEST_ORDER = 300
_PARTS = 16  # of the places where runs are read, for the threads to share


def matrix(
    data: xr.Dataset | Analysis,
    of: Of = "progress",
    by: By = "curve",
    selection: Selection | None = None,
    n_points: int = 51,
    metric: ProgressMetric = "bhattacharyya",
    progress_range: tuple[float, float] | None = None,
    with_p: bool = True,
) -> xr.Dataset:
    """Distances between all pairs of curves, or of runs, over one range, each beside what chance between seeds makes.

    A short range flatters: pairs compare only over a range that all of them cover. Where there is none of a tenth or
    more, the range is the one that most cover, and the others are left out.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    of : {"progress", "end", "step"}
        The mean distance at equal progress, the distance of the last checkpoints, or the mean distance at the steps
        that all have.
    by : {"curve", "run"}
        Means over the seeds of each curve, or each run by itself.
    selection : Selection, optional
        By default everything.
    n_points : int
        Values of progress.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.
    progress_range : pair of float, optional
        Compare over this range; who does not cover it is left out.
    with_p : bool
        Whether runs are relabelled, which with five seeds takes ten times as long as all else.

    Returns
    -------
    xarray.Dataset
        (curve, other) or (run, other), symmetric: `distance`, d_B, 0 on the diagonal, along progress its trapezoid mean
        over the values of progress; `floor`, what chance between seeds makes of it on average, for means of as many
        runs, on the diagonal of two such means of the one curve (see `predspace_widgets.geometry.matched_floor`). NaN
        where a curve is left out, or where no side has two runs. `within_floor`, whether the distance is no larger than
        what chance makes on average: two trainings that differ by chance alone are often above it, and p is the test.
        It is False, too, where nothing was compared or there is no floor.

        Of curves also `p_value` by relabelling runs, as `Analysis.comparison` has it, and `p_is_exact`, whether all
        relabellings were tried: of more than 1,000 so many are drawn; `p_holm`, after Holm's correction over all pairs
        that have a p; `smallest_p` and `smallest_p_holm`, the smallest there can be before and after it, by so few
        runs, or, where p is not exact, by 1,000 relabellings; `can_decide` and `can_decide_holm`, whether these are at
        most .05. NaN or False on the diagonal and where there is no p.

        `order` (place), in which neighbours are near, those left out last, and `linkage` (merge, part), the tree that
        it is from, as scipy has it: average linkage, its leaves those that are compared, in the order of the dataset.
        `n_runs` and `compared` tell of each how many runs it has and whether it takes part.

        Attributes: `of`, `by`, `n_points`, `metric`; `progress_range`, or `steps`; `bounded_by`, where the range was
        chosen, the labels with which it starts and ends; `note`, all this in words; `says`, where there is a p, what so
        few runs, and relabellings drawn, can and cannot decide.

    Raises
    ------
    ValueError
        Fewer than two curves or runs, no range or step that two of them share, or a wrong option.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> differ = matrix(random_trajectories(n_seeds=3), n_points=11)
    >>> differ.distance.sel(curve="red", other="blue").round(3).item()
    0.221
    >>> differ.curve.values[differ.order].tolist()
    ['blue', 'red', 'green']
    """
    check_of_and_by(of, by)
    analysis = analysis_of(data)
    analysis.measured.check_predictions()
    selection = checked_selection(selection)
    rows = selection.rows(analysis.ds)
    if progress_range is not None:
        progress_range = pair_of("progress_range", progress_range)

    def compute() -> xr.Dataset:
        members = members_to_compare(analysis, selection, by)
        shared = share(analysis, members, of, metric, n_points, progress_range)
        options = {"of": of, "by": by, "metric": metric, "n_points": n_points}
        return _labelled(analysis, members, shared, _measure(analysis, members, shared, with_p), options)

    return analysis.once(("matrix", digest(rows), of, by, metric, n_points, progress_range, with_p), compute).copy(
        deep=True
    )


@dataclass(frozen=True)
class _Measured:
    """Of the M members that take part: distances and floors, (M, M); p of all pairs and the smallest p, (pairs,)."""

    distance: Array
    floor: Array
    p_value: Array | None
    smallest_p: Array


def _measure(analysis: Analysis, members: Sequence[Member], shared: Shared, with_p: bool) -> _Measured:
    taking = shared.taking(members)
    sizes = [len(member.runs) for member in taking]
    places_of = places_of_runs(taking)
    groups = _runs_of_curves(taking, places_of)
    pairs = list(itertools.combinations(range(len(taking)), 2))
    relabels = with_p and any(size > 1 for size in sizes)
    splits = [relabellings(sizes[i], sizes[j]).is_first for i, j in pairs] if relabels else []
    n_values = [len(is_first) for is_first in splits] if relabels else [len(pairs)]
    weights = shared.places.weights  # (K,)

    def of_points(points: Array) -> Array:  # (R, K, n, C)
        def spread(runs: NDArray[np.intp]) -> Array:
            return np.atleast_1d(one_against_others(points[runs]) @ weights)

        def relabelled(pair: tuple[int, int], is_first: NDArray[np.bool_]) -> Array:
            runs = np.concatenate([places_of[place] for place in pair])
            return relabelled_distances(points[runs], is_first) @ weights

        values = in_threads([partial(spread, runs) for runs in groups])
        if not relabels:
            means = np.stack([points[runs].mean(axis=0) for runs in places_of])  # (M, K, n, C)
            return np.concatenate([*values, all_pairs(means, weights)])
        values += in_threads([partial(relabelled, *task) for task in zip(pairs, splits, strict=True)])
        return np.concatenate(values)

    shape = (len(groups) + sum(n_values),)
    values = analysis.measured.mean_at(shared.places, of_points, shape)
    spread, values = np.split(values, [len(groups)])
    if not relabels:
        distance, p = squareform(values), np.full(len(pairs), np.nan) if with_p else None
    else:
        relabelled = np.split(values, np.cumsum(n_values)[:-1])
        distance = squareform(np.array([of_pair[0] for of_pair in relabelled]))
        known = [sizes[i] + sizes[j] > 2 for i, j in pairs]
        p = np.array([p_value(of_pair) if one else np.nan for of_pair, one in zip(relabelled, known, strict=True)])
    smallest = 1 / np.array([len(is_first) for is_first in splits]) if relabels else np.ones(len(pairs))
    return _Measured(distance, _floors(taking, spread, groups, places_of), p, smallest)


def all_pairs(points: Array, weights: Array) -> Array:
    """Weighted sums over K of d_B between all pairs of runs, those above the diagonal, of predictions (R, K, n, C)."""
    from predspace_widgets.geometry import kernel  # late: numba takes a while to import

    def of_some(some: NDArray[np.intp]) -> Array:
        roots = np.sqrt(points[:, some].transpose(1, 2, 3, 0))  # (k, n, C, R)
        return np.asarray(kernel.mean_distances(np.ascontiguousarray(roots), weights[some]))

    parts = np.array_split(np.arange(len(weights)), min(len(weights), _PARTS))
    total = sum(in_threads([partial(of_some, some) for some in parts]))  # (R, R)
    return np.asarray(total)[np.triu_indices(len(points), 1)]


def _runs_of_curves(taking: Sequence[Member], places_of: Sequence[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """Places of the runs of each curve that has several: what chance makes is measured on them."""
    of_curve: dict[int, list[int]] = {}
    for member, places in zip(taking, places_of, strict=True):
        of_curve.setdefault(member.curve, []).extend(places.tolist())
    return [np.array(places) for places in of_curve.values() if len(places) > 1]


def _floors(
    taking: Sequence[Member], spread: Array, groups: Sequence[NDArray[np.intp]], places_of: Sequence[NDArray[np.intp]]
) -> Array:
    """What chance makes of the distance of each pair, (M, M), by how far one run of a curve is from the others' mean.

    See `geometry.floor.matched_floor`, whose arithmetic this is.
    """
    variance = np.full(len(taking), np.nan)
    for group, apart in zip(groups, spread, strict=True):
        for place, runs in enumerate(places_of):
            if np.isin(runs, group).any():
                variance[place] = apart / (1 + 1 / (len(group) - 1))
    of_row, of_column = of_both_sides(variance)
    n_runs = np.array([len(member.runs) for member in taking])
    return np.asarray(of_row / n_runs[:, None] + of_column / n_runs[None, :])


def _labelled(
    analysis: Analysis, members: Sequence[Member], shared: Shared, measured: _Measured, options: dict[str, Any]
) -> xr.Dataset:
    by = options["by"]
    inside = np.flatnonzero(shared.taking_part)

    def whole(values: Array) -> Array:
        square = np.full((len(members), len(members)), np.nan)
        square[np.ix_(inside, inside)] = values
        return square

    distance, floor = whole(measured.distance), whole(measured.floor)
    tree, leaves = _tree(measured.distance)
    outside = np.flatnonzero(~shared.taking_part)
    labels = [member.label for member in members]
    variables: dict[str, Any] = {
        "distance": ((by, "other"), distance),
        "floor": ((by, "other"), floor),
        "within_floor": ((by, "other"), distance <= floor),
        "order": ("place", np.concatenate([inside[leaves], outside])),
        "linkage": (("merge", "part"), tree),
        "n_runs": (by, np.array([len(member.runs) for member in members])),
        "compared": (by, shared.taking_part),
    }
    places, attrs = shared.places, {**options, "note": shared.note, "bounded_by": shared.bounded_by}
    if by == "curve" and measured.p_value is not None:
        p, smallest = measured.p_value, measured.smallest_p
        pairs = list(itertools.combinations(inside.tolist(), 2))
        sizes = [(len(members[i].runs), len(members[j].runs)) for i, j in pairs]
        exact = np.array([n_relabellings(*pair) <= MOST_RELABELLINGS for pair in sizes])
        of_pairs = p_of_pairs(p, smallest, exact & np.isfinite(p), pairs, len(members))
        variables |= {name: ((by, "other"), square) for name, square in of_pairs.items()}
        attrs["says"] = what_so_few_decide(sizes, smallest, MOST_RELABELLINGS)
    if places.grid is not None:
        attrs["progress_range"] = (float(places.grid[0]), float(places.grid[-1]))
    if places.each:
        attrs["steps"] = analysis.ds["step"].values[places.runs[0]].tolist()
    coords: dict[str, Any] = {by: labels, "other": labels}
    if by == "run":
        curves = [analysis.curve_names[member.curve] for member in members]
        coords |= {"curve": ("run", curves), "other_curve": ("other", curves)}
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _tree(distances: Array) -> tuple[Array, NDArray[np.intp]]:
    """Average linkage (M - 1, 4) of distances (M, M), and an order of the leaves in which neighbours are near."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # late: they take a while to import

    tree = linkage(squareform(distances), "average", optimal_ordering=len(distances) <= _MOST_IN_BEST_ORDER)
    return tree, leaves_list(tree).astype(np.intp)
