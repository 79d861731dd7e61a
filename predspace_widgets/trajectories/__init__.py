"""Labelled trajectories: the dataset and its files. Nothing is measured here."""

from predspace_widgets.trajectories.build import make_trajectories
from predspace_widgets.trajectories.checksums import DamagedError
from predspace_widgets.trajectories.demo import demo, demo_path
from predspace_widgets.trajectories.importers import import_trajectories
from predspace_widgets.trajectories.join import join
from predspace_widgets.trajectories.samples import Samples, restrict_classes
from predspace_widgets.trajectories.schema import NoPredictionsError, TrajectoriesError, find_problems, validate
from predspace_widgets.trajectories.selection import EmptySelectionError, Selection
from predspace_widgets.trajectories.storage import (
    check_path,
    open_trajectories,
    save_trajectories,
    verify_trajectories,
)
from predspace_widgets.trajectories.synthetic import sloppy_family
from predspace_widgets.trajectories.temperature import at_temperature, retemper

__all__ = [
    "DamagedError",
    "EmptySelectionError",
    "NoPredictionsError",
    "Samples",
    "Selection",
    "TrajectoriesError",
    "at_temperature",
    "check_path",
    "demo",
    "demo_path",
    "find_problems",
    "import_trajectories",
    "join",
    "make_trajectories",
    "open_trajectories",
    "restrict_classes",
    "retemper",
    "save_trajectories",
    "sloppy_family",
    "validate",
    "verify_trajectories",
]
