"""Training: tasks, networks, methods and imprinting; sweeps that record them as trajectories."""

from predspace_widgets.training.datasets import LabelledImages, load_images, split_images
from predspace_widgets.training.imprint import ImprintSettings, class_prototypes, imprint, imprint_log_probabilities
from predspace_widgets.training.methods import METHODS
from predspace_widgets.training.networks import NETWORKS, Network, SmallCNN, extract_features, make_network
from predspace_widgets.training.recipe import Recipe, built_in_recipes, load_recipe, parse_recipe
from predspace_widgets.training.snapshots import CheckpointSchedule, Snapshot, TrainingDiverged
from predspace_widgets.training.sweep import (
    FinishedRun,
    Run,
    plan_runs,
    record_recipe,
    to_trajectories,
    train_run,
    train_runs,
)
from predspace_widgets.training.tasks import Task

__all__ = [
    "METHODS",
    "NETWORKS",
    "CheckpointSchedule",
    "FinishedRun",
    "ImprintSettings",
    "LabelledImages",
    "Network",
    "Recipe",
    "Run",
    "SmallCNN",
    "Snapshot",
    "Task",
    "TrainingDiverged",
    "built_in_recipes",
    "class_prototypes",
    "extract_features",
    "imprint",
    "imprint_log_probabilities",
    "load_images",
    "load_recipe",
    "make_network",
    "parse_recipe",
    "plan_runs",
    "record_recipe",
    "split_images",
    "to_trajectories",
    "train_run",
    "train_runs",
]
