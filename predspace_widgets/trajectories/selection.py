"""Which checkpoints of a dataset are looked at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.trajectories.attributes import SOURCE, attribute, check_known_attribute, text_of, texts_of

#: What a curve is: its task, its method, and what else tells curves apart; see `curve_coordinates`.
CurveKey = tuple[str, ...]


class EmptySelectionError(ValueError):
    """No checkpoint is left; the message says which choice left none."""


@dataclass(frozen=True)
class Selection:
    """A choice of checkpoints; None chooses all.

    Attributes
    ----------
    tasks, methods : tuple of str, optional
    seeds : tuple of int, optional
    epochs : pair of float, optional
        First and last epoch, both included.
    curves : tuple of (task, method, ...), optional
        What `curve_coordinates` names, in this order. One with fewer parts is all curves that begin with these.
    where : tuple of (name, values), optional
        Attributes of runs, each with the values that count.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> Selection(tasks=("red",), seeds=(1,)).rows(random_trajectories(n_checkpoints=3))
    array([3, 4, 5])
    >>> Selection(curves=(("blue", "supervised"),)).rows(random_trajectories(n_checkpoints=1))
    array([4, 5])
    """

    tasks: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    epochs: tuple[float, float] | None = None
    curves: tuple[CurveKey, ...] | None = None
    where: tuple[tuple[str, tuple[Any, ...]], ...] | None = None

    def of_all_curves(self) -> Selection:
        """The same choice of seeds, epochs and attributes, of whatever curve."""
        return replace(self, tasks=None, methods=None, curves=None)

    def rows(self, ds: xr.Dataset) -> NDArray[np.intp]:
        """Indices of the chosen checkpoints, in the order of the dataset.

        Raises
        ------
        EmptySelectionError
            None is left, or a task, method, seed, curve or value is not in the dataset.
        ValueError
            It has no such attribute, or `epochs` is no pair.
        """
        chosen = np.ones(ds.sizes["checkpoint"], dtype=bool)
        for name, wanted in (("task", self.tasks), ("method", self.methods), ("seed", self.seeds)):
            if wanted is None:
                continue
            values = ds[name].values
            _check_known(name, wanted, values)
            chosen &= np.isin(values, np.asarray(wanted))
        if self.curves is not None:
            chosen &= _of_curves(ds, self.curves)
        for attribute_name, of_attribute in self.where or ():
            chosen &= _of_attribute(ds, attribute_name, of_attribute)
        if not chosen.any():
            what = "task, method and seed" if self.curves is None else "task, method, seed and curve"
            if self.where:
                what = f"task, method, seed, curve and {', '.join(name for name, _ in self.where)}"
            raise EmptySelectionError(f"no checkpoint has this combination of {what}")
        if self.epochs is not None:
            epoch, (first, last) = ds["epoch"].values, pair_of("epochs", self.epochs)
            chosen &= (epoch >= first) & (epoch <= last)
            if not chosen.any():
                raise EmptySelectionError(f"no checkpoint is chosen between epoch {first:g} and {last:g}")
        return np.flatnonzero(chosen)


def checked_selection(selection: Selection | None) -> Selection:
    """A selection that was given, or that of everything.

    Raises
    ------
    TypeError
        It is no Selection.
    """
    if selection is None:
        return Selection()
    if not isinstance(selection, Selection):
        raise TypeError(f"selection must be a pw.Selection, such as pw.Selection(seeds=(0, 1)), not {selection!r}")
    return selection


def pair_of(name: str, values: Any) -> tuple[float, float]:
    """Two numbers that were given, first and last.

    Raises
    ------
    ValueError
        They are not two numbers.

    Examples
    --------
    >>> pair_of("epochs", [0, 2.5])
    (0.0, 2.5)
    """
    try:
        first, last = map(float, values)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be two numbers, first and last, not {values!r}") from None
    return first, last


def rows_of_runs(ds: xr.Dataset, rows: NDArray[np.intp] | None = None) -> dict[str, NDArray[np.intp]]:
    """Rows of the checkpoints of each run, in order of training.

    Parameters
    ----------
    ds : xarray.Dataset
    rows : array of int, optional
        The rows to sort by run; by default all.

    Returns
    -------
    dict of str to array of int

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> rows_of_runs(geodesic_run(n_checkpoints=3))
    {'geodesic/synthetic/0': array([0, 1, 2])}
    """
    rows = np.arange(ds.sizes["checkpoint"]) if rows is None else rows
    places = places_by_name(ds["run"].values[rows].astype(str))
    return {run: rows[members] for run, members in places.items()}


def places_by_name(names: ArrayLike) -> dict[str, NDArray[np.intp]]:
    """Places of each name in a column of names, in order of its first appearance.

    One pass over the column: comparing it with each name would take hours where both are many.

    Examples
    --------
    >>> places_by_name(["a", "b", "a"])
    {'a': array([0, 2]), 'b': array([1])}
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(np.asarray(names).tolist()):
        places.setdefault(name, []).append(place)
    return {name: np.array(rows, dtype=np.intp) for name, rows in places.items()}


def curve_coordinates(ds: xr.Dataset) -> tuple[str, ...]:
    """Names of the coordinates that tell curves apart.

    These are task and method, the source where several datasets were joined, and the attributes of runs that
    `ds.attrs["curves_by"]` names. An attribute of which all runs have the same value tells nothing apart.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> curve_coordinates(random_trajectories())
    ('task', 'method')
    """
    given = ds.attrs.get("curves_by", ())
    names = dict.fromkeys((SOURCE, *([given] if isinstance(given, str) else given)))
    further = [name for name in names if name in ds.coords and ds[name].dims == ("checkpoint",)]
    return ("task", "method", *(name for name in further if len(set(texts_of(ds[name].values))) > 1))


def curve_keys(ds: xr.Dataset) -> list[CurveKey]:
    """What the curve of each checkpoint is: the values of `curve_coordinates`, as text.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> curve_keys(geodesic_run(n_checkpoints=2))
    [('geodesic', 'synthetic'), ('geodesic', 'synthetic')]
    """
    return list(zip(*(texts_of(ds[name].values) for name in curve_coordinates(ds)), strict=True))


def _of_attribute(ds: xr.Dataset, name: str, wanted: Collection[Any]) -> NDArray[np.bool_]:
    """Which checkpoints (T,) have one of some values of an attribute."""
    check_known_attribute(ds, name)
    known = attribute(ds, name)
    texts = [text_of(value) for value in ([wanted] if isinstance(wanted, str) else wanted)]
    _check_known(name, texts, np.array(known.values))
    return np.isin(known.codes, [place for place, value in enumerate(known.values) if value in texts])


def _of_curves(ds: xr.Dataset, curves: Collection[CurveKey]) -> NDArray[np.bool_]:
    """Which checkpoints (T,) are of one of some curves."""
    if not curves:
        raise EmptySelectionError("no curve is chosen: choose at least one")
    label = curves if isinstance(curves, str) else next((curve for curve in curves if isinstance(curve, str)), None)
    if label is not None:
        raise ValueError(f"curves of a selection come as ((task, method), ...), not by their labels, such as {label!r}")
    # One pass over the names, however many curves there are.
    keys = curve_keys(ds)
    known = dict.fromkeys(keys)
    beginnings = {key[:n]: None for key in known for n in range(2, len(key) + 1)}
    unknown = [curve for curve in curves if tuple(curve) not in beginnings]
    if unknown:
        raise EmptySelectionError(
            f"no curve {_named(unknown[0])} in this dataset; it has {', '.join(map(_named, known))}"
        )
    wanted = {tuple(curve) for curve in curves}
    chosen = {key for key in known if any(key[:n] in wanted for n in range(2, len(key) + 1))}
    return np.fromiter((key in chosen for key in keys), dtype=bool, count=len(keys))


def _named(curve: CurveKey) -> str:
    task, method, *further = curve
    return " of ".join([f"{task!r} by {method!r}", *map(repr, further)])


def _check_known(name: str, wanted: Collection[object], values: np.ndarray) -> None:
    if isinstance(wanted, str):
        raise ValueError(f"{name}s of a selection come as a tuple, even of one: ({wanted!r},), not {wanted!r}")
    if not wanted:
        raise EmptySelectionError(f"no {name} is chosen: choose at least one")
    known = dict.fromkeys(values.tolist())
    unknown = [value for value in wanted if value not in known]
    if unknown:
        raise EmptySelectionError(f"no {name} {unknown[0]!r} in this dataset; it has {', '.join(map(str, known))}")
