"""Curves: all seeds of a task and method, which are drawn in one colour and averaged over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

_SEPARATOR = " · "
#: The method that a curve's label leaves out: what `make_trajectories` and the recorder call a training by default.
PLAIN_METHOD = "supervised"


def label_of(task: str, method: str) -> str:
    """What a curve is called: its task, and its method unless that is "supervised".

    The label follows from the two alone, so it is the same in every dataset and selection. Two curves never share one.

    Examples
    --------
    >>> label_of("even", "supervised"), label_of("even", "simclr")
    ('even', 'even · simclr')
    >>> label_of("even · simclr", "supervised")
    "'even · simclr' · 'supervised'"
    """
    if _SEPARATOR in task or _SEPARATOR in method:
        return f"{task!r}{_SEPARATOR}{method!r}"
    return task if method == PLAIN_METHOD else f"{task}{_SEPARATOR}{method}"


class Curves:
    """The curves of a dataset, in the order in which it has them. A curve is a pair of task and method.

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.

    Attributes
    ----------
    pairs : list of (task, method)
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
        tasks, methods = ds["task"].values.astype(str).tolist(), ds["method"].values.astype(str).tolist()
        numbers: dict[tuple[str, str], int] = {}
        self.of_checkpoint: NDArray[np.intp] = np.array(
            [numbers.setdefault(pair, len(numbers)) for pair in zip(tasks, methods, strict=True)], dtype=np.intp
        )
        self.pairs = list(numbers)
        self.labels = [label_of(*pair) for pair in self.pairs]

    def find(self, curve: str | tuple[str, str]) -> int:
        """Place of a curve, which is named by its label, by its task and method, or by a task that has one method.

        Raises
        ------
        ValueError
            There is no such curve, or the task has several methods.
        """
        if not isinstance(curve, str):
            if curve in self.pairs:
                return self.pairs.index(curve)
        elif curve in self.labels:
            return self.labels.index(curve)
        else:
            of_task = [place for place, (task, _) in enumerate(self.pairs) if task == curve]
            if len(of_task) == 1:
                return of_task[0]
            if of_task:
                several = ", ".join(self.labels[place] for place in of_task)
                raise ValueError(f"the task {curve!r} has several curves, name one of them: {several}")
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
