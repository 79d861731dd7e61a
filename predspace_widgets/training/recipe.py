"""Recipes: YAML files that say which networks are trained on what, how, and when they are looked at."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml

from predspace_widgets.training.datasets import DatasetSettings
from predspace_widgets.training.grid import Block, combinations, read_grid, to_plain
from predspace_widgets.training.imprint import ImprintSettings
from predspace_widgets.training.methods import METHODS
from predspace_widgets.training.methods.corner import CornerSettings
from predspace_widgets.training.networks import check_network
from predspace_widgets.training.settings import check_name, read_settings
from predspace_widgets.training.snapshots import CheckpointSchedule
from predspace_widgets.training.tasks import Task
from predspace_widgets.trajectories.attributes import of_one_run
from predspace_widgets.trajectories.storage import Store
from predspace_widgets.trajectories.text_files import BoundedLoader, load_yaml, read_text, shown

_PLAN_KEYS = ("method", "tasks", "source", "source_method", "attrs", "initialization", "corner")

#: Where in prediction space a training starts: near ignorance, with weights as they are drawn, or at a corner, a
#: network that has learned random labels.
Initialization = Literal["ignorance", "corner"]
#: What the predictions of a checkpoint are: of prototypes of all classes, or of the network's own last layer.
Predictions = Literal["imprinted", "softmax"]


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
    initialization : {"ignorance", "corner"}
        At a corner the network first learns random labels of the images of its task, the same for all runs of a seed,
        and goes on from there, last layer included (as in arXiv:2305.01604).
    corner : CornerSettings
        How it learns these.
    grid : tuple of mappings
        What runs differ in, see `predspace_widgets.training.grid`: hyper-parameters of the method, "architecture"
        (values are networks) and "initialization". Each becomes an attribute of the runs.

    Raises
    ------
    ValueError
        Fine-tuning without a source, or a source for another method; fine-tuning with an architecture or a start of its
        own; an attribute that cannot be stored, or that the grid gives too.
    """

    name: str
    method: str
    settings: Any
    tasks: tuple[str, ...] | None = None
    source: str | None = None
    source_method: str = "supervised"
    attrs: Mapping[str, Any] | None = field(default=None, hash=False)
    initialization: Initialization = "ignorance"
    corner: CornerSettings = field(default_factory=CornerSettings)
    grid: tuple[Block, ...] = field(default=(), hash=False)

    def __post_init__(self) -> None:
        of_one_run(self.attrs)
        check_name(self.initialization, get_args(Initialization), "initialization")
        factors = dict.fromkeys(factor for block in self.grid for factor in block)
        of_one_run(dict.fromkeys(factors, 0))
        twice = [factor for factor in factors if factor in (self.attrs or {})]
        if twice:
            raise ValueError(f"{twice[0]!r} is in the grid, which makes it an attribute: leave it out of attrs")
        own = [name for name in ("architecture", "initialization") if name in factors]
        own += ["initialization"] if self.initialization != "ignorance" else []
        if self.source is not None and own:
            raise ValueError(f"{self.name!r} starts from its source, which has its {own[0]}: leave {own[0]!r} out")
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
            "initialization": self.initialization if self.initialization != "ignorance" else None,
            "corner": asdict(self.corner) if self._has_corners else None,
            "grid": to_plain(self.grid) if self.grid else None,
        }
        return {key: value for key, value in optional.items() if value is not None} | asdict(self.settings)

    @property
    def _has_corners(self) -> bool:
        started = {self.initialization}.union(*(block.get("initialization", ()) for block in self.grid))
        return "corner" in started or self.corner != CornerSettings()


@dataclass(frozen=True, eq=False)
class Variant:
    """One combination of the grid of a method; of a method without a grid, the method itself.

    Attributes
    ----------
    names : dict of str to str or number
        What the values of the grid's factors are called: attributes of its runs.
    network : NetworkSettings
    initialization : {"ignorance", "corner"}
    settings
        Hyper-parameters of the method.
    """

    names: dict[str, Any]
    network: NetworkSettings
    initialization: Initialization
    settings: Any


def _variants(plan: MethodPlan, network: NetworkSettings) -> list[Variant]:
    """All combinations of a method's grid, for networks of this kind where it does not vary them."""
    if not plan.grid:
        return [Variant({}, network, plan.initialization, plan.settings)]
    of_method = {field.name: getattr(plan.settings, field.name) for field in fields(plan.settings)}
    own = {**of_method, "architecture": network, "initialization": plan.initialization}
    return [
        Variant(
            names,
            values.get("architecture", network),
            values.get("initialization", plan.initialization),
            replace(plan.settings, **{name: value for name, value in values.items() if name in of_method}),
        )
        for names, values in combinations(plan.grid, own)
    ]


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
    predictions : {"imprinted", "softmax"}
        Of prototypes of all classes (see `predspace_widgets.training.imprint`), or of the network's own last layer,
        for which every task must have all classes, and no method may be without labels.

    Raises
    ------
    ValueError
        No task, method or seed, one of them twice, a method of a task or a source that there is not, a combination of a
        grid that the method refuses, a method that has no last layer to read, or fewer than one thread.
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
    predictions: Predictions = "imprinted"

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
                others = [other.name for other in self.methods if other.source is None and not other.grid]
                check_name(plan.source_method, others, "method", f"the source of method {plan.name!r}")
        check_name(self.store, get_args(Store), "form of predictions", "store")
        check_name(self.predictions, get_args(Predictions), "kind of predictions", "predictions")
        headless = [plan.name for plan in self.methods if not METHODS[plan.method].has_head]
        if self.predictions == "softmax" and headless:
            raise ValueError(f"method {headless[0]!r} trains no last layer: its predictions can only be imprinted")
        _ = self._variants  # a combination that a method refuses is found here
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")

    def task(self, name: str) -> Task:
        """The task of a name."""
        return next(task for task in self.tasks if task.name == name)

    def plan(self, name: str) -> MethodPlan:
        """The method of a name."""
        return next(plan for plan in self.methods if plan.name == name)

    def variants(self, method: str) -> list[Variant]:
        """All combinations of the grid of a method, in its order; one where it has none.

        Examples
        --------
        >>> [variant.network.width for variant in load_recipe("digits").variants("supervised")]
        [16]
        """
        return list(self._variants[method].values())

    def variant(self, method: str, names: tuple[tuple[str, Any], ...] = ()) -> Variant:
        """The combination of a method's grid whose values are called so."""
        return self._variants[method][names]

    @cached_property
    def _variants(self) -> dict[str, dict[tuple[tuple[str, Any], ...], Variant]]:
        """Of each method: combinations of its grid by the names of their values."""
        of_methods = {}
        for plan in self.methods:
            try:
                variants = _variants(plan, self.network)
            except ValueError as error:
                raise ValueError(f"method {plan.name!r}, grid: {error}") from None
            of_methods[plan.name] = {tuple(variant.names.items()): variant for variant in variants}
        return of_methods

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
            "predictions": self.predictions,
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
    kind = METHODS[method].settings
    of_method = {key: value for key, value in entry.items() if key not in (*_PLAN_KEYS, "grid")}
    settings = read_settings(kind, of_method, where)
    grid: tuple[Block, ...] = ()
    if "grid" in entry:
        kinds = {"architecture": NetworkSettings, "initialization": Initialization, **get_type_hints(kind)}
        grid = read_grid(entry["grid"], kinds, f"{where}, grid")
    return read_settings(MethodPlan, {**own, "method": method}, where, name=name, settings=settings, grid=grid)


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
