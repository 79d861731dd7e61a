"""Recipes: YAML files that say which networks are trained on what, how, and when they are looked at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

import yaml

from predspace_widgets.training.datasets import DatasetSettings
from predspace_widgets.training.imprint import ImprintSettings
from predspace_widgets.training.methods import METHODS
from predspace_widgets.training.networks import check_network
from predspace_widgets.training.settings import check_name, read_settings
from predspace_widgets.training.snapshots import CheckpointSchedule
from predspace_widgets.training.tasks import Task
from predspace_widgets.trajectories.attributes import of_one_run
from predspace_widgets.trajectories.storage import Store
from predspace_widgets.trajectories.text_files import BoundedLoader, load_yaml, read_text, shown

_PLAN_KEYS = ("method", "tasks", "source", "source_method", "attrs")


@dataclass(frozen=True)
class NetworkSettings:
    """Which network, and its width (see `make_network`)."""

    name: str = "small-cnn"
    width: int | None = None

    def __post_init__(self) -> None:
        check_network(self.name, self.width)


@dataclass(frozen=True)
class MethodPlan:
    """How a recipe uses a method.

    Parameters
    ----------
    name : str
        What the recipe and the dataset call it.
    method : str
        Which one of `METHODS`.
    settings
        Its hyper-parameters, of the type that the method has for them.
    tasks : tuple of str, optional
        Names of the tasks that are trained so; by default all.
    source : str, optional
        For fine-tuning: the task on which the network was trained before, with the same seed.
    source_method : str
        Name of the method by which it was.
    attrs : mapping of str to str, number or bool, optional
        Attributes of its runs in the dataset, such as {"augmented": true}; they change no training.

    Raises
    ------
    ValueError
        Fine-tuning without a source, or a source for another method; an attribute that cannot be stored.
    """

    name: str
    method: str
    settings: Any
    tasks: tuple[str, ...] | None = None
    source: str | None = None
    source_method: str = "supervised"
    attrs: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        of_one_run(self.attrs)
        if (self.method == "fine-tuning") != (self.source is not None):
            raise ValueError(
                f"{self.name!r} needs a source, the task that its network was trained on before"
                if self.source is None
                else f"a source is for fine-tuning, {self.name!r} is {self.method}"
            )

    def to_mapping(self) -> dict[str, Any]:
        """The plan as the mapping of a recipe file."""
        optional = {
            "method": self.method if self.method != self.name else None,
            "tasks": None if self.tasks is None else list(self.tasks),
            "source": self.source,
            "attrs": None if self.attrs is None else dict(self.attrs),
            "source_method": self.source_method if self.source and self.source_method != "supervised" else None,
        }
        return {key: value for key, value in optional.items() if value is not None} | asdict(self.settings)


@dataclass(frozen=True)
class Recipe:
    """All that determines a recorded dataset: every task is trained by the methods that name it, with every seed.

    Parameters
    ----------
    name : str
        Of the built-in recipe or the file.
    dataset : DatasetSettings
    tasks : tuple of Task
    methods : tuple of MethodPlan
    seeds : tuple of int
    title : str
    network : NetworkSettings
    checkpoints : CheckpointSchedule
    imprint : ImprintSettings
    threads : int
        Number of threads of one training. Part of the recipe, since the rounding of sums depends on how many threads
        share them. Networks this small gain little from a second one, and wait long for it on a busy machine.
    device : str
        Where torch trains, "cpu" or "cuda".
    store : {"log_probs", "probs"}
        Whether predictions are recorded as float16 logarithms or probabilities. Logarithms are never 0, and can be read
        at another imprint temperature (`ds.predspace.at_temperature`).

    Raises
    ------
    ValueError
        No task, method or seed, one of them twice, a method of a task or a source that there is not, or fewer than
        one thread.
    """

    name: str
    dataset: DatasetSettings
    tasks: tuple[Task, ...]
    methods: tuple[MethodPlan, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    title: str = ""
    network: NetworkSettings = field(default_factory=NetworkSettings)
    checkpoints: CheckpointSchedule = field(default_factory=CheckpointSchedule)
    imprint: ImprintSettings = field(default_factory=ImprintSettings)
    threads: int = 1
    device: str = "cpu"
    store: Store = "log_probs"

    def __post_init__(self) -> None:
        tasks, methods = [task.name for task in self.tasks], [plan.name for plan in self.methods]
        for what, values in (("task", tasks), ("seed", self.seeds)):
            if not values or len(set(values)) < len(values):
                raise ValueError(f"a recipe needs at least one {what} and none twice, got {list(values)}")
        if not methods:
            raise ValueError(f"a recipe needs at least one method: {', '.join(METHODS)}")
        for plan in self.methods:
            for task in plan.tasks or ():
                check_name(task, tasks, "task", f"method {plan.name!r}")
            if plan.source is not None:
                check_name(plan.source, tasks, "task", f"the source of method {plan.name!r}")
                others = [other.name for other in self.methods if other.source is None]
                check_name(plan.source_method, others, "method", f"the source of method {plan.name!r}")
        check_name(self.store, get_args(Store), "form of predictions", "store")
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")

    def task(self, name: str) -> Task:
        """The task of a name."""
        return next(task for task in self.tasks if task.name == name)

    def plan(self, name: str) -> MethodPlan:
        """The method of a name."""
        return next(plan for plan in self.methods if plan.name == name)

    def to_yaml(self) -> str:
        """The recipe as the text of a YAML file, with every hyper-parameter that it leaves at its default."""
        content = {
            "title": self.title,
            "dataset": asdict(self.dataset),
            "network": asdict(self.network),
            "checkpoints": asdict(self.checkpoints),
            "imprint": asdict(self.imprint),
            "tasks": {task.name: _task_settings(task) for task in self.tasks},
            "methods": {plan.name: plan.to_mapping() for plan in self.methods},
            "seeds": list(self.seeds),
            "threads": self.threads,
            "device": self.device,
            "store": self.store,
        }
        return yaml.safe_dump(content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)


def built_in_recipes() -> dict[str, str]:
    """Names and titles of the recipes that ship with the package.

    Examples
    --------
    >>> "digits" in built_in_recipes()
    True
    """
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))["title"] for path in _built_in()}


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
    built_in = [path.stem for path in _built_in()]
    path = next((file for file in _built_in() if file.stem == str(name_or_path)), Path(name_or_path))
    if not path.exists():
        if path.suffix in (".yaml", ".yml"):
            raise ValueError(f"there is no recipe file {path}")
        check_name(str(name_or_path), built_in, "recipe")
    return parse_recipe(read_text(path), path.stem)


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
        content = load_yaml(text, _Loader)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    for section in ("tasks", "methods"):
        if isinstance(content, Mapping) and section in content:
            if not isinstance(content[section], Mapping):
                raise ValueError(f"{where}, {section} must be a mapping of names to settings")
            content = {**content, section: _read_named(section, content[section], f"{where}, {section}")}
    return read_settings(Recipe, content, where, name=name)


class _Loader(BoundedLoader):
    """Keys stay the texts that are written (5_9 is not 59), and a key that is there twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        doubled = next((key for key, count in Counter(keys).items() if count > 1), None)
        if doubled is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {doubled!r} is there twice", node.start_mark)
        self.flatten_mapping(node)  # keys merged by << come first: the mapping's own replace them
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


def _built_in() -> list[Path]:
    return sorted((Path(__file__).parent / "recipes").glob("*.yaml"))


def _read_named(section: str, entries: Mapping[Any, Any], where: str) -> Any:
    """Settings of the tasks, or of the methods, by their names."""
    read = _read_task if section == "tasks" else _read_method
    return [read(str(name), entry, f"{where}, {name}") for name, entry in entries.items()]


def _read_task(name: str, entry: Any, where: str) -> Task:
    return read_settings(Task, entry, where, name=name)


def _read_method(name: str, entry: Any, where: str) -> MethodPlan:
    """A method's plan: its own keys, and beside them the hyper-parameters of the method."""
    entry = {} if entry is None else entry
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be a mapping of keys to values, got {shown(entry)}")
    method = str(entry.get("method", name))
    check_name(method, METHODS, "method", where if "method" in entry else where.removesuffix(f", {name}"))
    own = {key: value for key, value in entry.items() if key in _PLAN_KEYS}
    settings = read_settings(
        METHODS[method].settings, {key: value for key, value in entry.items() if key not in _PLAN_KEYS}, where
    )
    return read_settings(MethodPlan, {**own, "method": method}, where, name=name, settings=settings)


def _task_settings(task: Task) -> dict[str, Any]:
    """The settings of a task as a recipe file holds them: those that it uses."""
    settings = {
        field.name: getattr(task, field.name)
        for field in fields(task)
        if field.name not in ("name", "seed") and getattr(task, field.name) != field.default
    }
    if task.random_classes is not None or task.random_labels:
        settings["seed"] = task.seed
    plain: dict[str, Any] = json.loads(json.dumps(settings))  # lists, where the task has tuples
    return plain
