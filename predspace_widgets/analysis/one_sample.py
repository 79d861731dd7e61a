"""One sample along a training: what each checkpoint of a run predicts of it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.geometry.probabilities import as_probabilities
from predspace_widgets.trajectories.samples import class_names
from predspace_widgets.trajectories.selection import rows_of_runs


def probabilities_along(data: xr.Dataset | Analysis, row: int, sample: int) -> xr.DataArray:
    """Probabilities of a sample at all checkpoints of the run that a checkpoint belongs to.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    row : int
        A checkpoint of the run.
    sample : int
        Place of the sample.

    Returns
    -------
    xarray.DataArray (checkpoint, class)
        With coordinates `epoch` and `step`; attributes `run`, `sample` (its id) and `label` (number of the true class).

    Raises
    ------
    NoPredictionsError
    ValueError
        There is no such row or sample.
    StoreChangedError
        The files of the dataset are not those that it was opened from.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> probabilities_along(geodesic_run(3), 0, 0).values.max(axis=1).round(2)
    array([0.25, 0.75, 1.  ])
    """
    analysis = analysis_of(data)
    measured, ds = analysis.measured, analysis.ds
    measured.check_predictions()
    for name, place, size in (("checkpoint", row, ds.sizes["checkpoint"]), ("sample", sample, ds.sizes["sample"])):
        if not 0 <= place < size:
            raise ValueError(f"there is no {name} {place}: they are 0 to {size - 1}")
    run = str(ds["run"].values[row])
    rows = rows_of_runs(ds)[run]
    probs = measured.probs().isel(checkpoint=rows, sample=sample)
    values = as_probabilities(measured.unchanged(lambda: np.asarray(probs.values))[:, None])[:, 0]  # (K, C)
    return xr.DataArray(
        values,
        dims=("checkpoint", "class"),
        coords={name: ("checkpoint", ds[name].values[rows]) for name in ("epoch", "step")} | {"class": class_names(ds)},
        attrs={"run": run, "sample": ds["sample"].values[sample].item(), "label": int(ds["label"].values[sample])},
    )
