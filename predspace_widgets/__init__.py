"""See and measure how deep networks learn: trajectories in prediction space.

>>> import predspace_widgets as pw
>>> ds = pw.demo()
>>> ds.predspace.inpca().explained_stress.values.shape
(3,)
"""

from typing import Any

from predspace_widgets import geometry, trajectories
from predspace_widgets.geometry import InPCA
from predspace_widgets.trajectories import demo, make_trajectories, open_trajectories, save_trajectories, validate

__all__ = [
    "Explorer",
    "InPCA",
    "demo",
    "geometry",
    "make_trajectories",
    "open_trajectories",
    "save_trajectories",
    "trajectories",
    "validate",
]


def __getattr__(name: str) -> Any:
    # The notebook explorer brings ipywidgets and plotly along, which a training script does not need.
    if name == "Explorer":
        from predspace_widgets.explorers import Explorer

        return Explorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
