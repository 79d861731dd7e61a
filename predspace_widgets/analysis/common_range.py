"""Where several curves or runs can be compared: the progress, or the steps, that as many as possible of them share.

A mean distance ranks pairs only over one range. Where no range is shared by all, the one that most share is chosen,
the others are left out, and a sentence says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.measurements import Places
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import Selection, pair_of, rows_of_runs

Of = Literal["progress", "end", "step"]
By = Literal["curve", "run"]

#: A range of progress narrower than this says little of the way: a wider one that fewer share is chosen before it.
LEAST_WIDTH = 0.1
#: Steps that are shared, at least: step 0 alone is the untrained network.
LEAST_STEPS = 2
# Labels that a sentence names, at most.
_MOST_NAMED = 4


@dataclass(frozen=True)
class Member:
    """What is compared: a curve with its runs, or a run alone.

    Attributes
    ----------
    label : str
        Of the curve, or the name of the run.
    curve : int
        Place of the curve in the dataset.
    runs : list of arrays of int
        Rows of the chosen checkpoints of each run.
    """

    label: str
    curve: int
    runs: list[NDArray[np.intp]]


@dataclass(frozen=True)
class Shared:
    """Where members are compared, and which of them can be.

    Attributes
    ----------
    taking_part : array of bool, shape (M,)
    places : Places
        Of the runs of those that take part, one member after the other.
    note : str
        What is compared and over which range, in words, with what bounds it and what is left out.
    bounded_by : list of str
        Labels of the members with which the range starts and ends; empty where nothing bounds it.
    """

    taking_part: NDArray[np.bool_]
    places: Places
    note: str
    bounded_by: list[str]

    def taking(self, members: Sequence[Member]) -> list[Member]:
        """Those of the members that take part."""
        return [member for member, part in zip(members, self.taking_part, strict=True) if part]


def check_option(name: str, value: object, options: Any) -> None:
    """Raise ValueError, naming the known ones, unless a value is one of the options, which a `Literal` lists."""
    if value not in get_args(options):
        raise ValueError(f"{name} must be one of {', '.join(get_args(options))}, not {value!r}")


def check_of_and_by(of: str, by: str) -> None:
    """Raise ValueError unless it is known what is compared, and of what."""
    check_option("of", of, Of)
    check_option("by", by, By)


def members_of(analysis: Analysis, selection: Selection, by: By) -> list[Member]:
    """The chosen curves, or their runs, in the order of the dataset.

    Raises
    ------
    EmptySelectionError
        Nothing is chosen.
    """
    runs = rows_of_runs(analysis.ds, selection.rows(analysis.ds))
    curve_of = {run: int(analysis.curve_numbers[rows[0]]) for run, rows in runs.items()}
    if by == "run":
        return [Member(run, curve_of[run], [rows]) for run, rows in sorted(runs.items(), key=lambda x: curve_of[x[0]])]
    of_curve: dict[int, list[NDArray[np.intp]]] = {}
    for run, rows in runs.items():
        of_curve.setdefault(curve_of[run], []).append(rows)
    return [Member(analysis.curve_names[curve], curve, of_curve[curve]) for curve in sorted(of_curve)]


def members_to_compare(analysis: Analysis, selection: Selection, by: By) -> list[Member]:
    """`members_of`, at least two.

    Raises
    ------
    ValueError
        There is only one, or nothing is chosen.
    """
    members = members_of(analysis, selection, by)
    if len(members) < 2:
        raise ValueError(f"only one {by} is chosen, {members[0].label!r}: two are needed to compare")
    return members


def places_of_runs(members: Sequence[Member]) -> list[NDArray[np.intp]]:
    """Of each member the places of its runs, where those of all are read one member after the other."""
    sizes = [len(member.runs) for member in members]
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])


def share(
    analysis: Analysis,
    members: Sequence[Member],
    of: Of,
    metric: ProgressMetric = "bhattacharyya",
    n_points: int = 51,
    progress_range: tuple[float, float] | None = None,
) -> Shared:
    """Where some members are compared.

    Parameters
    ----------
    analysis : Analysis
    members : sequence of Member
    of : {"progress", "end", "step"}
    metric, n_points, progress_range
        Of progress; see `Analysis.comparison`.

    Raises
    ------
    ValueError
        No two of them share a range or a step, or cover the given range.
    """
    if of == "end":
        return Shared(np.ones(len(members), dtype=bool), Places(_runs(members)), "Compared at the end.", [])
    if of == "step":
        return _at_steps(analysis, members)
    return _along_progress(analysis, members, metric, n_points, progress_range)


def widest_range(
    lows: Array, highs: Array, least: float = LEAST_WIDTH
) -> tuple[float, float, NDArray[np.bool_]] | None:
    """The range that most of some ranges cover, of those the widest; None where no two overlap.

    Parameters
    ----------
    lows, highs : arrays, shape (M,)
    least : float
        Narrower ranges are chosen only where two share none so wide.

    Returns
    -------
    low, high : float
    covers : array of bool, shape (M,)
        Which of the ranges cover it.

    Examples
    --------
    >>> low, high, covers = widest_range(np.array([0.0, 0.1, 0.7]), np.array([1.0, 0.6, 0.9]))
    >>> low, high, covers.tolist()
    (0.1, 0.6, [True, True, False])
    """
    starts, ends = np.unique(lows), np.unique(highs)
    counts = (lows[None, :] <= starts[:, None]).astype(int) @ (highs[:, None] >= ends[None, :]).astype(int)
    widths = ends[None, :] - starts[:, None]  # (start, end)
    for allowed in (widths >= least, widths > 0):
        candidates = np.argwhere(allowed & (counts >= 2))
        if len(candidates):
            rank = [(counts[i, j], widths[i, j]) for i, j in candidates]
            i, j = candidates[max(range(len(rank)), key=rank.__getitem__)]
            low, high = float(starts[i]), float(ends[j])
            return low, high, (lows <= low) & (highs >= high)
    return None


def _along_progress(
    analysis: Analysis,
    members: Sequence[Member],
    metric: ProgressMetric,
    n_points: int,
    progress_range: tuple[float, float] | None,
) -> Shared:
    reached = analysis.measured.progress(metric)
    lows = np.array([max(reached[rows[0]] for rows in member.runs) for member in members])
    highs = np.array([min(reached[rows].max() for rows in member.runs) for member in members])
    if progress_range is None:
        found = widest_range(lows, highs)
        if found is None:
            raise ValueError(_why_none(members, lows, highs))
        low, high, covers = found
    else:
        low, high = pair_of("progress_range", progress_range)
        if not 0 <= low < high <= 1:
            raise ValueError(f"progress_range must be two numbers in [0, 1], the first below the last: {low}, {high}")
        covers = (lows <= low) & (highs >= high)
        if covers.sum() < 2:
            there = ", ".join(_range_of(members, lows, highs, k) for k in range(min(len(members), _MOST_NAMED)))
            raise ValueError(f"fewer than two cover progress {low:.3g} to {high:.3g}: {there}")
    taking = [member for member, covered in zip(members, covers, strict=True) if covered]
    places = analysis.measured.places(_runs(taking), metric, n_points, (low, high))
    bounds = [
        members[int(np.where(covers, lows, -1).argmax())].label,
        members[int(np.where(covers, highs, 2).argmin())].label,
    ]
    note = f"Compared over progress {low:.2f} to {high:.2f}"
    bounded = progress_range is None
    note += f", bounded by the start of {bounds[0]} and the end of {bounds[1]}." if bounded else "."
    without = [_range_of(members, lows, highs, k) for k in np.flatnonzero(~covers).tolist()]
    return Shared(covers, places, _with_left_out(note, without), bounds if bounded else [])


def _at_steps(analysis: Analysis, members: Sequence[Member]) -> Shared:
    steps = analysis.ds["step"].values
    recorded = [set.intersection(*(set(steps[rows].tolist()) for rows in member.runs)) for member in members]
    inside = list(range(len(members)))
    common = set.intersection(*recorded)
    # Who shares least with the others goes first, until the rest share enough.
    while len(common) < LEAST_STEPS and len(inside) > 2:
        shared = [set.intersection(*(recorded[k] for k in inside if k != one)) for one in inside]
        most = max(range(len(inside)), key=lambda n: len(shared[n]))
        common = shared[most]
        del inside[most]
    if not common:
        raise ValueError("no two share a step: they were recorded on other schedules")
    taking_part = np.isin(np.arange(len(members)), inside)
    rows = [run[np.isin(steps[run], list(common))] for k in inside for run in members[k].runs]
    first, last = min(common), max(common)
    note = f"Compared at the {len(common)} steps that are shared, {first} to {last}."
    if len(common) == 1:
        note = f"Compared at step {first}, the only one that is shared."
    without = [members[k].label for k in np.flatnonzero(~taking_part).tolist()]
    return Shared(taking_part, Places(rows, each=True), _with_left_out(note, without), [])


def _runs(members: Sequence[Member]) -> list[NDArray[np.intp]]:
    return [rows for member in members for rows in member.runs]


def _range_of(members: Sequence[Member], lows: Array, highs: Array, k: int) -> str:
    covered = f"{lows[k]:.2f} to {highs[k]:.2f}" if lows[k] < highs[k] else "its runs share none"
    return f"{members[k].label} ({covered})"


def _why_none(members: Sequence[Member], lows: Array, highs: Array) -> str:
    """Why no two share a range of progress."""
    some = np.flatnonzero(lows < highs)
    if len(some) > 1:
        apart = some[[lows[some].argmax(), highs[some].argmin()]].tolist()
        named = " and ".join(_range_of(members, lows, highs, k) for k in apart)
        return f"no two share a range of progress, such as {named}"
    without = np.flatnonzero(lows >= highs).tolist()
    named = _first_few([members[k].label for k in without])
    return (
        f"no two share a range of progress: that of {named} is empty, with one checkpoint or with runs that overlap "
        "nowhere; compare at the end or record more checkpoints"
    )


def _with_left_out(note: str, without: Sequence[str]) -> str:
    if not without:
        return note
    return f"{note} Not compared, for they do not share it: {_first_few(without)}."


def _first_few(labels: Sequence[str]) -> str:
    more = len(labels) - _MOST_NAMED
    return ", ".join(labels[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
