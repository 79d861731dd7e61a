"""How long the ways of different trainings are, on one schedule of checkpoints, finer and coarser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from predspace_widgets.analysis.analysis import analysis_of
from predspace_widgets.analysis.runs import RUN_COORDS
from predspace_widgets.geometry.curves import LengthMethod
from predspace_widgets.trajectories.selection import rows_of_runs


def lengths_by_stride(
    ds: xr.Dataset, strides: Sequence[int] = (1, 2, 4, 8), method: LengthMethod = "bhattacharyya"
) -> pd.DataFrame:
    """Riemann length of each run over all of its checkpoints, every second one, and so on.

    A length grows with the number of checkpoints, the more so the noisier the way is: a ratio of lengths belongs to a
    schedule. The last checkpoint always counts.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions, all of one schedule.
    strides : sequence of int
        Every which checkpoint is kept.
    method : {"bhattacharyya", "angle"}
        See `predspace_widgets.geometry.riemann_length`.

    Returns
    -------
    pandas.DataFrame
        A row a run and stride, columns task, method, seed, stride, n_checkpoints, length.

    Raises
    ------
    ValueError
        A stride below 1, or runs whose checkpoints are at different steps, whose lengths do not compare.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> lengths_by_stride(geodesic_run(), strides=[1, 2])[["stride", "n_checkpoints"]].values.tolist()
    [[1, 5], [2, 3]]
    """
    if min(strides) < 1:
        raise ValueError(f"a stride must be at least 1, got {min(strides)}")
    rows, steps = rows_of_runs(ds), ds["step"].values
    schedules = {run: tuple(steps[members].tolist()) for run, members in rows.items()}
    first = next(iter(schedules))
    different = [run for run, schedule in schedules.items() if schedule != schedules[first]]
    if different:
        raise ValueError(f"lengths compare on equal schedules only: {different[0]} has other steps than {first}")
    ways = [(members, stride) for members in rows.values() for stride in strides]
    visited = [np.union1d(members[::stride], members[-1:]) for members, stride in ways]
    before = np.concatenate([places[:-1] for places in visited])
    after = np.concatenate([places[1:] for places in visited])
    lengths = np.zeros(0)
    if len(after):
        lengths = np.sqrt(analysis_of(ds).measured.squared_steps(before, after, method))
    last = np.cumsum([len(places) - 1 for places in visited])[:-1]
    records = [
        {
            **{name: ds[name].values[members[0]] for name in RUN_COORDS},
            "stride": stride,
            "n_checkpoints": len(places),
            "length": float(of_steps.sum()),
        }
        for (members, stride), places, of_steps in zip(ways, visited, np.split(lengths, last), strict=True)
    ]
    return pd.DataFrame.from_records(records)


def length_ratios(lengths: pd.DataFrame, reference: str, by: str = "method") -> pd.DataFrame:
    """How many times longer each method's way is than the reference's.

    Parameters
    ----------
    lengths : pandas.DataFrame
        From `lengths_by_stride`.
    reference : str
    by : {"task", "method"}
        What is compared.

    Returns
    -------
    pandas.DataFrame
        A row a stride and method, columns n_checkpoints, length (mean over seeds), ratio (of the means), and low and
        high: the shortest run over the longest reference run, and the other way round.

    Raises
    ------
    ValueError
        There is no such reference.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> lengths = lengths_by_stride(random_trajectories(), strides=[1])
    >>> length_ratios(lengths, "red", by="task").set_index("task").loc["red", "ratio"]
    np.float64(1.0)
    """
    if reference not in lengths[by].to_numpy():
        raise ValueError(f"no {by} {reference!r} among these lengths: {', '.join(lengths[by].unique())}")
    grouped = lengths.groupby(["stride", by], sort=False).agg(
        n_checkpoints=("n_checkpoints", "first"),
        length=("length", "mean"),
        shortest=("length", "min"),
        longest=("length", "max"),
    )
    table = grouped.reset_index()
    of_reference = table[table[by] == reference].set_index("stride").loc[table["stride"]].reset_index()
    table["ratio"] = table["length"] / of_reference["length"]
    table["low"] = table["shortest"] / of_reference["longest"]
    table["high"] = table["longest"] / of_reference["shortest"]
    return table.drop(columns=["shortest", "longest"])
