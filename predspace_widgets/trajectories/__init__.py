"""Labelled trajectories: the dataset, its files and the measurements on it."""

from predspace_widgets.trajectories import accessor  # registers Dataset.predspace
from predspace_widgets.trajectories.analysis import Analysis
from predspace_widgets.trajectories.build import make_trajectories
from predspace_widgets.trajectories.demo import demo, demo_path
from predspace_widgets.trajectories.measurements import NoPredictionsError
from predspace_widgets.trajectories.schema import TrajectoriesError, find_problems, validate
from predspace_widgets.trajectories.selection import EmptySelectionError, Selection
from predspace_widgets.trajectories.storage import check_path, open_trajectories, save_trajectories

__all__ = [
    "Analysis",
    "EmptySelectionError",
    "NoPredictionsError",
    "Selection",
    "TrajectoriesError",
    "accessor",
    "check_path",
    "demo",
    "demo_path",
    "find_problems",
    "make_trajectories",
    "open_trajectories",
    "save_trajectories",
    "validate",
]
