"""Training: tasks, networks, methods and imprinting; sweeps that record them as trajectories."""

from typing import TYPE_CHECKING

from predspace_widgets.late import late
from predspace_widgets.training.imprint import ImprintSettings, class_prototypes, imprint, imprint_log_probabilities

if TYPE_CHECKING:
    from predspace_widgets.training.datasets import (
        DatasetSettings,
        LabelledImages,
        download,
        load_images,
        load_split,
        split_images,
    )
    from predspace_widgets.training.methods import METHODS
    from predspace_widgets.training.networks import (
        NETWORKS,
        Network,
        ResNet18,
        SmallCNN,
        WideResNet,
        extract_features,
        make_network,
        replace_head,
    )
    from predspace_widgets.training.recipe import MethodPlan, Recipe, built_in_recipes, load_recipe, parse_recipe
    from predspace_widgets.training.run import FinishedRun, Run, train_run
    from predspace_widgets.training.snapshots import CheckpointSchedule, Snapshot, TrainingDiverged
    from predspace_widgets.training.sweep import (
        folder_of_runs,
        forget_runs,
        plan_runs,
        record_recipe,
        record_to,
        to_trajectories,
        train_runs,
    )
    from predspace_widgets.training.tasks import Task

__all__ = [
    "METHODS",
    "NETWORKS",
    "CheckpointSchedule",
    "DatasetSettings",
    "FinishedRun",
    "ImprintSettings",
    "LabelledImages",
    "MethodPlan",
    "Network",
    "Recipe",
    "ResNet18",
    "Run",
    "SmallCNN",
    "Snapshot",
    "Task",
    "TrainingDiverged",
    "WideResNet",
    "built_in_recipes",
    "class_prototypes",
    "download",
    "extract_features",
    "folder_of_runs",
    "forget_runs",
    "imprint",
    "imprint_log_probabilities",
    "load_images",
    "load_recipe",
    "load_split",
    "make_network",
    "parse_recipe",
    "plan_runs",
    "record_recipe",
    "record_to",
    "replace_head",
    "split_images",
    "to_trajectories",
    "train_run",
    "train_runs",
]

# Late: most of it needs torch, which the recorder does not.
_NAMES = {
    "datasets": ("DatasetSettings", "LabelledImages", "download", "load_images", "load_split", "split_images"),
    "methods": ("METHODS",),
    "networks": (
        "NETWORKS",
        "Network",
        "ResNet18",
        "SmallCNN",
        "WideResNet",
        "extract_features",
        "make_network",
        "replace_head",
    ),
    "recipe": ("MethodPlan", "Recipe", "built_in_recipes", "load_recipe", "parse_recipe"),
    "run": ("FinishedRun", "Run", "train_run"),
    "snapshots": ("CheckpointSchedule", "Snapshot", "TrainingDiverged"),
    "sweep": (
        "folder_of_runs",
        "forget_runs",
        "plan_runs",
        "record_recipe",
        "record_to",
        "to_trajectories",
        "train_runs",
    ),
    "tasks": ("Task",),
}
__getattr__, __dir__ = late(__name__, {name: module for module, names in _NAMES.items() for name in names}, "training")
