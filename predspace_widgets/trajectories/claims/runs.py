"""The runs of a dataset, which the measurements of this folder go through one by one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

#: What names a run, beside its name.
RUN_COORDS = ("task", "method", "seed")


def run_coords(ds: xr.Dataset, rows: Mapping[str, NDArray[np.intp]]) -> dict[str, tuple[str, NDArray[np.generic]]]:
    """Name, task, method and seed of runs, as coordinates along "run"."""
    first = [members[0] for members in rows.values()]
    return {name: ("run", ds[name].values[first]) for name in ("run", *RUN_COORDS)}


def with_predictions(ds: xr.Dataset, probs: ArrayLike) -> xr.Dataset:
    """The dataset with other predictions of the same checkpoints; what was measured on the old ones is left out."""
    return xr.Dataset({"probs": (ds["probs"].dims, np.asarray(probs))}, coords=ds.coords, attrs=ds.attrs)
