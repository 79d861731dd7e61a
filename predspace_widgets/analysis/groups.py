"""Curves: all seeds of a task and method, which are drawn in one colour and averaged over.

Where several datasets were joined the source tells curves apart too, and so do the attributes that `curves_by` names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.trajectories.selection import CurveKey, curve_coordinates, curve_keys

_SEPARATOR, _OF = " · ", " @ "
#: The method that a curve's label leaves out: what `make_trajectories` and the recorder call a training by default.
PLAIN_METHOD = "supervised"


def label_of(task: str, method: str, *further: str) -> str:
    """What a curve is called: its task, its method unless that is "supervised", and what else tells it apart.

    The label follows from these alone, so it is the same in every selection. Two curves never share one.

    Parameters
    ----------
    task, method : str
    further : str
        The source and attributes of its runs, where they tell curves apart; "" for none.

    Examples
    --------
    >>> label_of("even", "supervised"), label_of("even", "simclr"), label_of("even", "supervised", "mine")
    ('even', 'even · simclr', 'even @ mine')
    >>> label_of("even · simclr", "supervised")
    "'even · simclr' · 'supervised'"
    """
    separators = (_SEPARATOR, _OF) if further else (_SEPARATOR,)
    if any(separator in f" {part} " for part in (task, method, *further) for separator in separators):
        task, method, further = repr(task), repr(method), tuple(map(repr, further))
    name = task if method == PLAIN_METHOD else f"{task}{_SEPARATOR}{method}"
    return f"{name}{_OF}{_SEPARATOR.join(further)}" if any(further) else name


def within_task(method: str, *further: str) -> str:
    """What a curve is called among those of its task.

    Examples
    --------
    >>> within_task("simclr"), within_task("simclr", "mine")
    ('simclr', 'simclr @ mine')
    """
    return f"{method}{_OF}{_SEPARATOR.join(further)}" if any(further) else method


class Curves:
    """The curves of a dataset, in the order in which it has them.

    A curve is a task and a method, and what else tells curves apart: see `curve_coordinates` in
    `predspace_widgets.trajectories.selection`.

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.

    Attributes
    ----------
    coordinates : tuple of str
        Names of what tells curves apart: "task", "method", "source" ...
    pairs : list of (task, method, ...)
        Their values.
    labels : list of str
        In the same order; see `label_of`.
    of_checkpoint : array of int, shape (T,)
        Place in `pairs` of each checkpoint's curve.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> curves = Curves(random_trajectories(methods=("supervised", "simclr")))
    >>> curves.labels[:2], curves.find("red · simclr"), curves.find(("red", "simclr"))
    (['red', 'red · simclr'], 1, 1)
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._step, self._epoch = ds["step"].values, ds["epoch"].values
        self.coordinates = curve_coordinates(ds)
        numbers: dict[CurveKey, int] = {}
        self.of_checkpoint: NDArray[np.intp] = np.array(
            [numbers.setdefault(key, len(numbers)) for key in curve_keys(ds)], dtype=np.intp
        )
        self.pairs: list[CurveKey] = list(numbers)
        self.labels = [label_of(*key) for key in self.pairs]

    def find(self, curve: str | CurveKey) -> int:
        """Place of a curve.

        It is named by its label, by its task, method and so on, or by the first of these where only one curve has
        them: "even", "even · simclr", ("even", "simclr").

        Raises
        ------
        ValueError
            There is no such curve, or there are several.
        """
        if curve in self.labels:
            return self.labels.index(str(curve))
        if isinstance(curve, str):
            named = [place for place, key in enumerate(self.pairs) if curve in (key[0], label_of(*key[:2]))]
            exact = [place for place in named if label_of(*self.pairs[place][:2]) == curve]
            named = exact or named
        else:
            named = [place for place, key in enumerate(self.pairs) if key[: len(curve)] == tuple(curve)]
        if len(named) == 1:
            return named[0]
        if named:
            several = ", ".join(self.labels[place] for place in named)
            what = f"the task {curve!r}" if isinstance(curve, str) else repr(curve)
            raise ValueError(f"{what} has several curves, name one of them: {several}")
        raise ValueError(f"no curve {curve!r} in this dataset; it has {', '.join(self.labels)}")

    def by_step(self, rows: NDArray[np.intp], columns: dict[Any, NDArray[Any]]) -> Any:
        """Values of some checkpoints grouped by curve, in the order of the dataset, and step: the seeds of a moment."""
        curve = pd.Categorical.from_codes(self.of_checkpoint[rows], pd.Index(self.labels))
        table = pd.DataFrame({"curve": curve, "step": self._step[rows], "epoch": self._epoch[rows], **columns})
        return table.groupby(["curve", "step"], observed=True)

    def over_seeds(self, rows: NDArray[np.intp], values: NDArray[Any]) -> pd.DataFrame:
        """Mean, lowest and highest over seeds of a value a checkpoint, at each step of each curve.

        Parameters
        ----------
        rows : array of int, shape (n,)
        values : array, shape (T,)
            Of all checkpoints.

        Returns
        -------
        pandas.DataFrame
            A row a step and curve, columns curve, step, epoch, mean, low, high, n_seeds.
        """
        table = self.by_step(rows, {"value": values[rows]}).agg(
            epoch=("epoch", "mean"),
            mean=("value", "mean"),
            low=("value", "min"),
            high=("value", "max"),
            n_seeds=("value", "size"),
        )
        return table.reset_index().astype({"curve": str})
