"""The temperature of imprinting as an axis of uncertainty: what numbers would be at others, and whose order changes.

Which temperature a network is imprinted at is a choice, not a measurement: an order that another choice turns round is
no result.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis
from predspace_widgets.analysis.frame import explained_stress_of, fit
from predspace_widgets.analysis.run_values import Asked, values_of_runs
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.selection import Selection
from predspace_widgets.trajectories.temperature import at_temperature, temperature_of

#: The choices that are reasonable for features whose mean squared norm is the unit.
TEMPERATURES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.09)

_MOST_NAMED = 4  # pairs whose order changes
_ROUNDING = 1e-9  # of the largest mean: smaller differences are no order
_Result = TypeVar("_Result")


def temperature_band(
    analysis: Analysis,
    asked: Asked,
    temperatures: Sequence[float] = TEMPERATURES,
    by: str = "curve",
    selection: Selection = Selection(),  # noqa: B008, which is frozen
) -> xr.Dataset:
    """A number of groups of runs at several temperatures of imprinting.

    One temperature is in memory at a time.

    Parameters
    ----------
    analysis : Analysis
        Of imprinted networks; see `predspace_widgets.trajectories.at_temperature`.
    asked : Asked
        Which number, see `predspace_widgets.analysis.run_values.Asked`. Distances at equal progress are read, at each
        temperature, over the range that most runs cover there; give a `progress_range` for one range at all.
    temperatures : sequence of float
        At least two that differ.
    by : str
        What the runs of a group share: "curve", "task", "method", or an attribute of runs.
    selection : Selection
        Which runs count, and which part of each.

    Returns
    -------
    xarray.Dataset
        `mean` and `sd` over runs and their number `n_runs`, all (temperature, group), NaN and 0 where a group has no
        such number at a temperature; `low` and `high` (group), of the means over temperatures; `rank`
        (temperature, group), 1 for the largest mean; and `flips` (group, other), whether the order of the two means is
        one way at one temperature and the other way at another. Of distances at equal progress also `progress_low` and
        `progress_high` (temperature), the range. The group dimension has the name of `by`.

        Attributes: `of`, `by`, `recorded_temperature`; `says`, whose order changes, those that part most first; `note`,
        what the numbers are.

    Raises
    ------
    NoPredictionsError
    ValueError
        Fewer than two temperatures or one that is not positive, no imprinted predictions, or a number that the runs do
        not have.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories().assign_attrs(imprint_temperature=0.03)
    >>> band = temperature_band(analysis_of(ds), Asked(), temperatures=[0.02, 0.03, 0.04])
    >>> band["mean"].sel(curve="red").round(2).values
    array([0.98, 0.91, 0.81])
    >>> band.attrs["says"]
    'No order changes between temperatures .02 and .04.'
    """
    chosen = _checked(temperatures)
    tables, ranges, where = [], [], []
    for values in _at_each(analysis, chosen, lambda other: values_of_runs(other, asked, selection)):
        tables.append(values.table.groupby(values.groups(by), sort=False)["value"].agg(["mean", "std", "size"]))
        ranges.append(values.attrs.get("progress_range"))
        where.append(values.where)
    note = where[0] if len(set(where)) == 1 else "Compared over the range that most runs cover at each temperature."
    names = list(dict.fromkeys(name for table in tables for name in table.index))
    columns = {
        column: np.stack([table[column].reindex(names) for table in tables]) for column in ("mean", "std", "size")
    }
    mean = columns["mean"]  # (temperature, group)
    depth = _depth_of_flips(mean)
    below = mean[:, None, :] > mean[:, :, None]  # (temperature, group, other): the other's is larger
    dims = ("temperature", by)
    result = xr.Dataset(
        {
            "mean": (dims, mean),
            "sd": (dims, columns["std"]),
            "n_runs": (dims, np.nan_to_num(columns["size"]).astype(int)),
            "low": (by, np.nanmin(mean, axis=0)),
            "high": (by, np.nanmax(mean, axis=0)),
            "rank": (dims, np.where(np.isnan(mean), np.nan, 1 + below.sum(axis=2))),
            "flips": ((by, "other"), depth > 0),
        },
        coords={"temperature": chosen, by: names, "other": names},
        attrs={
            "of": asked.of,
            "by": by,
            "recorded_temperature": temperature_of(analysis.ds),
            "says": _says(mean, depth, chosen, names),
            "note": f"{values.what} {note}".strip(),
        },
    )
    if ranges[0] is not None:
        low, high = np.array(ranges).T
        result = result.assign(progress_low=("temperature", low), progress_high=("temperature", high))
    return result


def stress_band(
    analysis: Analysis,
    temperatures: Sequence[float] = TEMPERATURES,
    selection: Selection = Selection(),  # noqa: B008, which is frozen
    n_components: int = 3,
) -> xr.Dataset:
    """How much of the centred distances the axes of InPCA explain at several temperatures of imprinting.

    Parameters
    ----------
    analysis, temperatures, selection
        See `temperature_band`.
    n_components : int

    Returns
    -------
    xarray.Dataset
        `explained_stress` (temperature, component), cumulative, and its `low` and `high` (component). Attributes:
        `recorded_temperature`, `says`.

    Raises
    ------
    NoPredictionsError
    ValueError
        See `temperature_band`; or fewer checkpoints than axes.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories().assign_attrs(imprint_temperature=0.03)
    >>> stress_band(analysis_of(ds), temperatures=[0.02, 0.04], n_components=2).explained_stress.shape
    (2, 2)
    """
    chosen = _checked(temperatures)
    rows = selection.rows(analysis.ds)
    if not 1 <= n_components <= len(rows) or len(rows) < 2:
        raise ValueError(f"n_components={n_components} of {len(rows)} checkpoints: they need two, and an axis each")
    of_axes = list(_at_each(analysis, chosen, lambda other: _explained_stress(other, rows, n_components)))
    stress = np.stack(of_axes)  # (temperature, component)
    low, high = stress.min(axis=0), stress.max(axis=0)
    return xr.Dataset(
        {
            "explained_stress": (("temperature", "component"), stress),
            "low": ("component", low),
            "high": ("component", high),
        },
        coords={"temperature": chosen, "component": np.arange(1, n_components + 1)},
        attrs={
            "recorded_temperature": temperature_of(analysis.ds),
            "says": f"{n_components} axes explain {low[-1]:.3f} to {high[-1]:.3f} of the stress {_span(chosen)}.",
        },
    )


def _checked(temperatures: Sequence[float]) -> Array:
    chosen = np.unique(np.asarray(temperatures, dtype=np.float64))
    if len(chosen) < 2 or not (chosen > 0).all() or not np.isfinite(chosen).all():
        raise ValueError(f"a band needs at least two different temperatures, all positive, got {temperatures!r}")
    return chosen


def _at_each(analysis: Analysis, temperatures: Array, measure: Callable[[Analysis], _Result]) -> Iterator[_Result]:
    """What is measured at one temperature after the other; the predictions of one are gone before the next."""
    for temperature in temperatures.tolist():
        yield measure(Analysis(at_temperature(analysis.ds, temperature)))


def _explained_stress(analysis: Analysis, rows: NDArray[np.intp], n_components: int) -> Array:
    return explained_stress_of(fit(analysis.measured, rows, n_components), analysis.measured)


def _depth_of_flips(mean: Array) -> Array:
    """By how much the order of two groups (group, other) is turned round between temperatures, 0 where it is not.

    The less of: how far one of them (temperature, group) is above the other somewhere, and how far below elsewhere.
    """
    apart = mean[:, :, None] - mean[:, None, :]
    depth = np.fmin(np.fmax.reduce(apart), np.fmax.reduce(-apart))
    return np.where(depth > _ROUNDING * np.nanmax(np.abs(mean)), depth, 0.0)


def _says(mean: Array, depth: Array, temperatures: Array, names: Sequence[str]) -> str:
    pairs = [(i, j) for i, j in itertools.combinations(range(len(names)), 2) if depth[i, j] > 0]
    if not pairs:
        return f"No order changes {_span(temperatures)}."
    pairs.sort(key=lambda pair: -depth[pair])
    told = [_flip(mean[:, list(pair)], temperatures, *(names[place] for place in pair)) for pair in pairs[:_MOST_NAMED]]
    more = len(pairs) - len(told)
    n_pairs = len(names) * (len(names) - 1) // 2
    said = f"{len(pairs)} of {n_pairs} orders change {_span(temperatures)}: {'; '.join(told)}"
    return said + (f"; and {more} more." if more else ".")


def _flip(means: Array, temperatures: Array, first: str, second: str) -> str:
    """Where two groups, means (temperature, 2), are furthest apart either way, in words."""
    apart = means[:, 0] - means[:, 1]
    above, below = int(np.nanargmax(apart)), int(np.nanargmin(apart))
    (a, b), (c, d) = means[above], means[below]
    high, low = _short(temperatures[above]), _short(temperatures[below])
    return f"{first} is above {second} at {high} ({a:.3g}, {b:.3g}) and below at {low} ({c:.3g}, {d:.3g})"


def _span(temperatures: Array) -> str:
    return f"between temperatures {_short(temperatures[0])} and {_short(temperatures[-1])}"


def _short(temperature: float) -> str:
    return f"{temperature:g}".removeprefix("0")
