"""Do groups of runs differ in a number? Its spread over runs, p by relabelling, and what so few runs cannot decide."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.run_values import Asked, values_of_runs
from predspace_widgets.geometry.floor import n_relabellings
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.geometry.relabelling import MOST_OF_NUMBERS, holm, relabelled_difference, runs_needed
from predspace_widgets.trajectories.selection import Selection

#: p at most so large counts as decided; intervals hold with one less this.
LEVEL = 0.05
_MOST_DRAWN = 1_000_000  # relabellings of a pair, which must fit in memory


def compare(
    analysis: Analysis,
    asked: Asked,
    by: str = "curve",
    groups: str | Sequence[str] | None = None,
    against: str | None = None,
    selection: Selection = Selection(),  # noqa: B008, which is frozen
    seed: int = 0,
) -> xr.Dataset:
    """One number a run, compared between all pairs of groups of runs.

    Parameters
    ----------
    analysis : Analysis
    asked : Asked
        Which number, see `predspace_widgets.analysis.run_values.Asked`. In distances to a reference its own runs are in
        no group, for the mean is theirs: whether a curve differs from it, `matrix` and `Analysis.comparison` say.
    by : str
        What the runs of a group share: "curve", "task", "method", or an attribute of runs.
    groups : str or sequence of str, optional
        Which groups are compared, by default all; one alone with another one that is named as `against`. The fewer, the
        more so few runs can decide.
    against : str, optional
        Only pairs with this group, a smaller family.
    selection : Selection
        Which runs count, and which part of each.
    seed : int
        Of relabellings that are drawn, where a pair has more than 100,000 (more than twenty times the number of pairs,
        of families that this would limit, up to a million).

    Returns
    -------
    xarray.Dataset
        Of the runs `value` (run), with coordinates of_group, curve, task, method and seed, without the one that names
        the groups. Of groups `n_runs`, `mean`, `sd` (over runs, with n - 1), `low` and `high` (Student's 95% interval
        of the mean, over runs); sd and interval are NaN of a single run.

        Of pairs, (group, other): `difference` of the means; `p_value`, two-sided, by relabelling runs, which are taken
        as unpaired; `p_is_exact`, whether all relabellings were tried; `p_holm`, after Holm's correction over the pairs
        that are compared; `smallest_p` and `smallest_p_holm`, the smallest there can be before and after it, by so few
        runs, or, where `p_is_exact` is False, by so few relabellings drawn; `can_decide` and `can_decide_holm`, whether
        these are at most .05. NaN and False where a pair is not compared; p is NaN where both have one run.

        The group dimension has the name of `by`. Attributes: `of`, `by`; `n_pairs`, which have a p and are the family;
        `says`, what so few runs can and cannot decide; `note`, what the numbers are.

    Raises
    ------
    NoPredictionsError
    ValueError
        No such attribute or group, fewer than two groups, or a number that the runs do not have; see
        `predspace_widgets.analysis.run_values.values_of_runs`.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> compared = compare(analysis_of(random_trajectories(n_seeds=4)), Asked(), groups=["red", "blue"])
    >>> compared.difference.sel(curve="red", other="blue").round(2).item()
    0.78
    >>> compared.attrs["says"]
    '4 runs against 4 cannot give p below .029: every pair can be decided at .05.'
    """
    values = values_of_runs(analysis, asked, selection)
    table = values.table
    of_run = values.groups(by)
    names = _chosen(list(dict.fromkeys(of_run.tolist())), groups, against, by)
    inside = np.isin(of_run, names)
    members = [table["value"].to_numpy()[of_run == name] for name in names]
    pairs = [(i, j) for i, j in itertools.combinations(range(len(names)), 2) if against in (None, names[i], names[j])]
    of_groups = {name: (by, column) for name, column in _spread(members).items()}
    of_pairs, says = _pairs(members, pairs, seed)
    kept = table[inside]
    # A coordinate along runs cannot have the name of the dimension of groups.
    about = {"of_group": by, **{name: name for name in ("curve", "task", "method", "seed") if name != by}}
    texts = {name: ("run", kept[column].to_numpy(dtype=str)) for name, column in about.items() if name != "seed"}
    coords: dict[str, Any] = {**texts, "seed": ("run", kept["seed"].to_numpy())}
    return xr.Dataset(
        {
            "value": ("run", kept["value"].to_numpy()),
            **of_groups,
            **{name: ((by, "other"), square) for name, square in of_pairs.items()},
        },
        coords={"run": kept["run"].to_numpy(dtype=str), **coords, by: names, "other": names},
        attrs={
            "of": asked.of,
            "by": by,
            "n_pairs": int(np.isfinite(of_pairs["p_value"]).sum()) // 2,
            "says": says,
            "note": f"{values.what} {values.where}".strip(),
            **values.attrs,
        },
    )


def _chosen(there: list[str], groups: str | Sequence[str] | None, against: str | None, by: str) -> list[str]:
    wanted = [groups] if isinstance(groups, str) else list(there if groups is None else groups)
    for name in (*wanted, *([] if against is None else [against])):
        if name not in there:
            raise ValueError(f"no {by} {name!r} among these runs; they have {', '.join(there)}")
    names = [name for name in there if name in wanted or name == against]
    if len(names) < 2:
        name = names[0]
        raise ValueError(f"only one {by}, {name!r}: two are needed to compare, groups=[{name!r}, ...]")
    return names


def _spread(members: Sequence[Array]) -> dict[str, NDArray[Any]]:
    """Number of runs, mean, standard deviation and interval of each group."""
    from scipy.stats import t  # late: it takes a while to import

    n_runs, mean = np.array([len(values) for values in members]), np.array([values.mean() for values in members])
    sd = np.array([values.std(ddof=1) if len(values) > 1 else np.nan for values in members])
    half = t.ppf(1 - LEVEL / 2, np.maximum(n_runs - 1, 1)) * sd / np.sqrt(n_runs)
    return {"n_runs": n_runs, "mean": mean, "sd": sd, "low": mean - half, "high": mean + half}


def _pairs(
    members: Sequence[Array], pairs: Sequence[tuple[int, int]], seed: int
) -> tuple[dict[str, NDArray[Any]], str]:
    """What is known of pairs of groups, (group, other) each, and what so few runs decide."""
    sizes = [(len(members[i]), len(members[j])) for i, j in pairs]
    # As many are drawn as the family needs for a p that counts.
    most = max(MOST_OF_NUMBERS, min(math.ceil(len(pairs) / LEVEL), _MOST_DRAWN))
    tests = [relabelled_difference(members[i], members[j], seed, most) for i, j in pairs]
    difference, p, smallest, exact = (np.array(column) for column in zip(*tests, strict=True))
    of_pairs = {"difference": _square(difference, pairs, len(members), sign=-1)}
    of_pairs |= p_of_pairs(p, smallest, exact.astype(bool), pairs, len(members))
    return of_pairs, what_so_few_decide(sizes, smallest, most)


def p_of_pairs(
    p: Array, smallest: Array, exact: NDArray[np.bool_], pairs: Sequence[tuple[int, int]], n: int
) -> dict[str, NDArray[Any]]:
    """p of some pairs of n groups, before and after Holm's correction, beside the smallest there can be, (n, n) each.

    Symmetric; NaN or False where a pair is not compared, and on the diagonal.
    """
    best = holm(np.where(np.isnan(p), np.nan, smallest))
    columns = {
        "p_value": p,
        "p_holm": holm(p),
        "smallest_p": smallest,
        "smallest_p_holm": best,
        "p_is_exact": exact,
        "can_decide": smallest <= LEVEL,
        "can_decide_holm": best <= LEVEL,
    }
    return {name: _square(column, pairs, n) for name, column in columns.items()}


def _square(column: NDArray[Any], pairs: Sequence[tuple[int, int]], n: int, sign: int = 1) -> NDArray[Any]:
    """What is known of some pairs, (n, n), with a sign the other way round; NaN or False of all others."""
    square = np.full((n, n), False if column.dtype == bool else np.nan)
    i, j = np.array(pairs).T
    square[i, j], square[j, i] = column, sign * column
    return square


def what_so_few_decide(
    sizes: Sequence[tuple[int, int]], smallest_p: ArrayLike, most_relabellings: int = MOST_OF_NUMBERS
) -> str:
    """What numbers of runs, and of relabellings drawn, can and cannot decide in a family of pairs, in words.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Numbers of runs of each pair.
    smallest_p : array
        The smallest p that each pair can have.
    most_relabellings : int
        That are tried of a pair: of one that has more, so many are drawn.

    Examples
    --------
    >>> what_so_few_decide([(3, 3)], [0.1])
    '3 runs against 3 cannot give p below .1: nothing here can be decided at .05. 4 against 4 could (.029).'
    >>> print(*what_so_few_decide([(5, 5)] * 78, [1 / 126] * 78).split(": "), sep="\\n")
    5 runs against 5 cannot give p below .0079, after Holm's correction over 78 pairs not below .62
    nothing here can be decided at .05. 7 against 7 could (.045), or at most 6 pairs.
    """
    smallest = np.asarray(smallest_p, dtype=np.float64)
    n_pairs, best = len(sizes), holm(np.where(smallest < 1, smallest, np.nan))  # one run against one has no p
    n_decided, n_tested = int((best <= LEVEL).sum()), int(np.isfinite(best).sum())
    limits = _limits(sizes, smallest, most_relabellings)
    if n_tested > 1:
        limits.append(f"after Holm's correction over {n_tested} pairs not below {_short(np.nanmin(best))}")
    pairs = {0: "nothing here", n_pairs: "every pair"}.get(n_decided, f"{n_decided} of {n_pairs} pairs")
    said = f"{', '.join(limits)}: {pairs} can be decided at {_short(LEVEL)}."
    if n_decided == n_pairs:
        return said
    enough, most_pairs = runs_needed(n_pairs, LEVEL, most_relabellings), int(LEVEL / smallest.min())
    could = []
    if enough:
        p = n_pairs / min(n_relabellings(enough, enough), most_relabellings)
        could.append(f"{enough} against {enough} could ({_short(p)})")
    elif any(n_relabellings(*pair) > most_relabellings for pair in sizes):
        could.append("More relabellings could")
    if 1 <= most_pairs < n_pairs:
        few = "one pair alone" if most_pairs == 1 else f"at most {most_pairs} pairs"
        could.append(few if could else f"It could be with {few}")
    return f"{said} {', or '.join(could)}." if could else said


def _limits(sizes: Sequence[tuple[int, int]], smallest: Array, most: int) -> list[str]:
    """The smallest p of pairs of each size, in words, the smallest first, and whether draws or runs limit it."""
    of_size = {(max(pair), min(pair)): p for pair, p in zip(sizes, smallest.tolist(), strict=True)}
    ordered = sorted(of_size.items(), key=lambda item: item[1])
    limits = []
    for place, ((n, m), p) in enumerate(ordered):
        drawn = f", with {most:,} relabellings drawn," if n_relabellings(n, m) > most else ""
        cannot = "not" if place else "cannot give p"
        limits.append(f"{n} {'run' if n == 1 else 'runs'} against {m}{drawn} {cannot} below {_short(p)}")
    return limits


def _short(p: float) -> str:
    return f"{p:.2g}".removeprefix("0")
