"""See and measure how deep networks learn: trajectories in prediction space.

>>> import predspace_widgets as pw
>>> ds = pw.demo()
>>> ds.predspace.inpca().explained_stress.values.shape
(3,)
"""

from typing import TYPE_CHECKING, Any

import xarray as xr

from predspace_widgets.late import late

if TYPE_CHECKING:
    from predspace_widgets import accessor, analysis, geometry, trajectories
    from predspace_widgets.explorers.explorer import Explorer
    from predspace_widgets.explorers.octant import Octant
    from predspace_widgets.geometry import InPCA
    from predspace_widgets.training.recorder import Recorder
    from predspace_widgets.trajectories import (
        Selection,
        demo,
        import_trajectories,
        join,
        make_trajectories,
        open_trajectories,
        save_trajectories,
        sloppy_family,
        validate,
    )

__all__ = [
    "Explorer",
    "InPCA",
    "Octant",
    "Recorder",
    "Selection",
    "accessor",
    "analysis",
    "demo",
    "geometry",
    "import_trajectories",
    "join",
    "make_trajectories",
    "open_trajectories",
    "save_trajectories",
    "sloppy_family",
    "trajectories",
    "validate",
]

# All but xarray comes when it is used: numba, scipy, dask, zarr, pandas' tables, ipywidgets.
_MODULES = {
    "Explorer": "explorers.explorer",
    "InPCA": "geometry.inpca",
    "Octant": "explorers.octant",
    "Recorder": "training.recorder",
    **{name: name for name in ("accessor", "analysis", "geometry", "trajectories")},
}
__getattr__, __dir__ = late(__name__, {name: _MODULES.get(name, "trajectories") for name in __all__})


@xr.register_dataset_accessor("predspace")  # type: ignore[no-untyped-call]
def _predspace(ds: xr.Dataset) -> Any:
    """`ds.predspace`; see `accessor.PredspaceAccessor`."""
    from predspace_widgets.accessor import PredspaceAccessor

    return PredspaceAccessor(ds)
