"""Recipes: YAML files that say which networks are trained on what, how, and when they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from predspace_widgets.training.datasets import DATASETS
from predspace_widgets.training.imprint import ImprintSettings
from predspace_widgets.training.methods import METHODS
from predspace_widgets.training.networks import NETWORKS
from predspace_widgets.training.settings import check_name, read_settings
from predspace_widgets.training.snapshots import CheckpointSchedule
from predspace_widgets.training.tasks import Task

_BUILT_IN = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class DatasetSettings:
    """Which images, how many of them to train on, and the seed that draws these (see `split_images`)."""

    name: str
    n_train: int
    split_seed: int = 0

    def __post_init__(self) -> None:
        check_name(self.name, DATASETS, "dataset")


@dataclass(frozen=True)
class NetworkSettings:
    """Which network, and its width (see `make_network`)."""

    name: str = "small-cnn"
    width: int = 16

    def __post_init__(self) -> None:
        check_name(self.name, NETWORKS, "network")
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")


@dataclass(frozen=True)
class Recipe:
    """All that determines a recorded dataset: every task is trained by every method with every seed.

    Parameters
    ----------
    name : str
        Of the built-in recipe or the file.
    dataset : DatasetSettings
    tasks : tuple of Task
    methods : mapping of str to settings
        The name of each method and its hyper-parameters.
    seeds : tuple of int
    title : str
    network : NetworkSettings
    checkpoints : CheckpointSchedule
    imprint : ImprintSettings
    threads : int
        Number of threads of one training. Part of the recipe, since the rounding of sums depends on how many threads
        share them. Networks this small gain little from a second one, and wait long for it on a busy machine.

    Raises
    ------
    ValueError
        No task, method or seed, one of them twice, or fewer than one thread.
    """

    name: str
    dataset: DatasetSettings
    tasks: tuple[Task, ...]
    methods: Mapping[str, Any]
    seeds: tuple[int, ...] = (0, 1, 2)
    title: str = ""
    network: NetworkSettings = field(default_factory=NetworkSettings)
    checkpoints: CheckpointSchedule = field(default_factory=CheckpointSchedule)
    imprint: ImprintSettings = field(default_factory=ImprintSettings)
    threads: int = 1

    def __post_init__(self) -> None:
        for what, values in (("task", [task.name for task in self.tasks]), ("seed", self.seeds)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"a recipe needs at least one {what} and none twice, got {list(values)}")
        if not self.methods:
            raise ValueError(f"a recipe needs at least one method: {', '.join(METHODS)}")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")

    def to_yaml(self) -> str:
        """The recipe as the text of a YAML file, with every hyper-parameter that it leaves at its default."""
        content = {
            "title": self.title,
            "dataset": asdict(self.dataset),
            "network": asdict(self.network),
            "checkpoints": asdict(self.checkpoints),
            "imprint": asdict(self.imprint),
            "tasks": {task.name: _task_settings(task) for task in self.tasks},
            "methods": {name: asdict(settings) for name, settings in self.methods.items()},
            "seeds": list(self.seeds),
            "threads": self.threads,
        }
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


def built_in_recipes() -> dict[str, str]:
    """Names and titles of the recipes that ship with the package.

    Examples
    --------
    >>> "digits" in built_in_recipes()
    True
    """
    return {path.stem: load_recipe(path).title for path in sorted(_BUILT_IN.glob("*.yaml"))}


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A built-in recipe by its name, or one from a file.

    Parameters
    ----------
    name_or_path : str or path
        A name of `built_in_recipes`, or a YAML file of the same keys as theirs.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        There is no such recipe, or something in it is wrong: a misspelt key is named with the nearest one that exists.

    Examples
    --------
    >>> len(load_recipe("digits").tasks)
    7
    """
    built_in = [path.stem for path in sorted(_BUILT_IN.glob("*.yaml"))]
    path = _BUILT_IN / f"{name_or_path}.yaml" if str(name_or_path) in built_in else Path(name_or_path)
    if not path.is_file():
        if path.suffix in (".yaml", ".yml"):
            raise ValueError(f"there is no recipe file {path}")
        check_name(str(name_or_path), built_in, "recipe")
    return parse_recipe(path.read_text(encoding="utf-8"), path.stem)


def parse_recipe(text: str, name: str) -> Recipe:
    """A recipe from the text of a YAML file (see `load_recipe`).

    Parameters
    ----------
    text : str
    name : str
        What the recipe is called.

    Returns
    -------
    Recipe

    Raises
    ------
    ValueError
        The text is no YAML, or something in it is wrong.

    Examples
    --------
    >>> recipe = load_recipe("digits")
    >>> parse_recipe(recipe.to_yaml(), "digits") == recipe
    True
    """
    where = f"recipe {name!r}"
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where} is no YAML: {' '.join(str(error).split())}") from None
    for section in ("tasks", "methods"):
        if isinstance(content, Mapping) and section in content:
            if not isinstance(content[section], Mapping):
                raise ValueError(f"{where}, {section} must be a mapping of names to settings")
            content = {**content, section: _read_named(section, content[section], f"{where}, {section}")}
    return read_settings(Recipe, content, where, name=name)


def _read_named(section: str, entries: Mapping[Any, Any], where: str) -> Any:
    """Settings of the tasks, or of the methods, by their names."""
    if section == "tasks":
        return [read_settings(Task, entry, f"{where}, {name}", name=str(name)) for name, entry in entries.items()]
    for name in entries:
        check_name(name, METHODS, "method", where)
    return {name: read_settings(METHODS[name].settings, entry, f"{where}, {name}") for name, entry in entries.items()}


def _task_settings(task: Task) -> dict[str, Any]:
    """The settings of a task as a recipe file holds them: those that it uses."""
    settings: dict[str, Any] = {}
    if task.classes is not None:
        settings["classes"] = list(task.classes)
    if task.random_classes is not None:
        settings["random_classes"] = task.random_classes
    if task.random_labels:
        settings["random_labels"] = True
    if task.random_classes is not None or task.random_labels:
        settings["seed"] = task.seed
    return settings
