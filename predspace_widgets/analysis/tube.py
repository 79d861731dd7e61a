"""How far trainings stray from the geodesic from ignorance to truth."""

from __future__ import annotations

import numpy as np
import xarray as xr

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS
from predspace_widgets.trajectories.selection import Selection, checked_selection, rows_of_runs


def tube(data: xr.Dataset | Analysis, selection: Selection | None = None) -> xr.Dataset:
    """d_B of each checkpoint to the geodesic from ignorance to truth, and how wide a tube each run needs.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    selection : Selection, optional
        By default everything.

    Returns
    -------
    xarray.Dataset
        - `distance` (checkpoint): d_B to the nearest point of the geodesic, in nats (see
          `predspace_widgets.geometry.distance_to_geodesic`); `progress` (checkpoint), where that point is;
        - `largest` (trajectory): the largest distance of a run, and `progress_of_largest`, its progress there. The
          dimension is named apart from the coordinate `run` of the checkpoints; `trajectory` holds names of runs and
          `curve_of_trajectory` their curves.

    Raises
    ------
    EmptySelectionError
        Nothing is chosen.
    NoPredictionsError

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> tube(geodesic_run()).largest.round(6).values.tolist()
    [0.0]
    """
    analysis = analysis_of(data)
    ds, rows = analysis.ds, checked_selection(selection).rows(analysis.ds)
    distance, progress = analysis.measured.tube_distance(), analysis.measured.progress()
    runs = rows_of_runs(ds, rows)
    furthest = np.array([members[distance[members].argmax()] for members in runs.values()])
    coords = {name: ("checkpoint", ds[name].values[rows]) for name in CHECKPOINT_COORDS}
    return xr.Dataset(
        {
            "distance": ("checkpoint", distance[rows]),
            "progress": ("checkpoint", progress[rows]),
            "largest": ("trajectory", distance[furthest]),
            "progress_of_largest": ("trajectory", progress[furthest]),
        },
        coords={
            **coords,
            "curve": ("checkpoint", analysis.curves[rows]),
            "trajectory": list(runs),
            "curve_of_trajectory": ("trajectory", analysis.curves[furthest]),
        },
    )
