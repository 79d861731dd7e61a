"""See and measure how deep networks learn: trajectories in prediction space.

>>> import predspace_widgets as pw
>>> ds = pw.demo()
>>> ds.predspace.inpca().explained_stress.values.shape
(3,)
"""

from typing import TYPE_CHECKING, Any

from predspace_widgets import accessor, analysis, geometry, trajectories  # the accessor registers ds.predspace
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

if TYPE_CHECKING:
    from predspace_widgets.explorers.explorer import Explorer
    from predspace_widgets.explorers.octant import Octant
    from predspace_widgets.geometry import InPCA
    from predspace_widgets.training.recorder import Recorder

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


def __getattr__(name: str) -> Any:
    # Late, for what they bring along: ipywidgets, scikit-learn, and the trainer.
    if name == "Explorer":
        from predspace_widgets.explorers.explorer import Explorer

        return Explorer
    if name == "Octant":
        from predspace_widgets.explorers.octant import Octant

        return Octant
    if name == "InPCA":
        return geometry.InPCA
    if name == "Recorder":
        from predspace_widgets.training.recorder import Recorder

        return Recorder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # What is there, with what comes late: nothing that is only needed here.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
