"""Which checkpoints of a dataset are looked at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

#: The coordinate that says which dataset a checkpoint came from, where several were joined.
SOURCE = "source"


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
    curves : tuple of (task, method), optional

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
    curves: tuple[tuple[str, str], ...] | None = None

    def rows(self, ds: xr.Dataset) -> NDArray[np.intp]:
        """Indices of the chosen checkpoints, in the order of the dataset.

        Raises
        ------
        EmptySelectionError
            None is left, or a task, method, seed or curve is not in the dataset.
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
        if not chosen.any():
            what = "task, method and seed" if self.curves is None else "task, method, seed and curve"
            raise EmptySelectionError(f"no checkpoint has this combination of {what}")
        if self.epochs is not None:
            epoch, (first, last) = ds["epoch"].values, self.epochs
            chosen &= (epoch >= first) & (epoch <= last)
            if not chosen.any():
                raise EmptySelectionError(f"no checkpoint is chosen between epoch {first:g} and {last:g}")
        return np.flatnonzero(chosen)


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


def _of_curves(ds: xr.Dataset, curves: Collection[tuple[str, str]]) -> NDArray[np.bool_]:
    """Which checkpoints (T,) are of one of some curves, each a task and a method."""
    if not curves:
        raise EmptySelectionError("no curve is chosen: choose at least one")
    # One pass over the names, however many curves there are.
    pairs = list(zip(ds["task"].values.tolist(), ds["method"].values.tolist(), strict=True))
    wanted, known = {tuple(pair) for pair in curves}, dict.fromkeys(pairs)
    unknown = [pair for pair in curves if tuple(pair) not in known]
    if unknown:
        raise EmptySelectionError(
            f"no curve {_pair(unknown[0])} in this dataset; it has {', '.join(map(_pair, known))}"
        )
    return np.fromiter((pair in wanted for pair in pairs), dtype=bool, count=len(pairs))


def _pair(curve: tuple[str, str]) -> str:
    task, method = curve
    return f"{task!r} by {method!r}"


def _check_known(name: str, wanted: Collection[object], values: np.ndarray) -> None:
    if not wanted:
        raise EmptySelectionError(f"no {name} is chosen: choose at least one")
    known = dict.fromkeys(values.tolist())
    unknown = [value for value in wanted if value not in known]
    if unknown:
        raise EmptySelectionError(f"no {name} {unknown[0]!r} in this dataset; it has {', '.join(map(str, known))}")
