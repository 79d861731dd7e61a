"""One training of a recipe: a network trained on a task, by a method, with a seed, and its predictions."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from predspace_widgets.training.datasets import DatasetSettings, LabelledImages, load_split
from predspace_widgets.training.grid import suffix
from predspace_widgets.training.imprint import imprint_log_probabilities
from predspace_widgets.training.methods import METHODS
from predspace_widgets.training.methods.corner import go_to_corner
from predspace_widgets.training.networks import (
    Network,
    extract_features,
    log_probabilities,
    make_network,
    replace_head,
)
from predspace_widgets.training.recipe import Recipe
from predspace_widgets.training.snapshots import Snapshot, TrainingDiverged
from predspace_widgets.training.tasks import Task

# Threads, random numbers and determinism are settings of a whole process, so only one of its threads trains at a time.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Run:
    """One training of a recipe.

    Parameters
    ----------
    task : Task
    method : str
        The recipe's name of it.
    seed : int
    names : tuple of (str, str or number)
        Which combination of the method's grid, by the names of its values; empty where it has none.
    """

    task: Task
    method: str
    seed: int
    names: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Unique name within a recipe, task/method/seed, and after it what the grid has: /optimizer=adam."""
        return f"{self.task.name}/{self.method}/{self.seed}{suffix(dict(self.names))}"

    def derived_seed(self, purpose: str) -> int:
        """A seed for one purpose of this run. It is made from the name, so it does not depend on any other run."""
        digest = hashlib.sha256(f"{self.name}/{purpose}".encode()).digest()
        return int.from_bytes(digest[:6])


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """The checkpoints of a training, as predictions on the evaluation samples.

    Parameters
    ----------
    run : Run
    step : array of int, shape (T,)
    epoch : array of float, shape (T,)
    probs : array of float32, shape (T, N, C)
        Of the kind that the recipe asks for.
    metrics : dict of str to array of float, shape (T,)
        "accuracy", the share of samples whose most probable class is the true one, and "loss", the mean negative
        logarithm of the probability of the true class, in nats. Of training and test samples together also those of
        each: "train_accuracy" ...
    diverged : str, optional
        Why the training ended early; it is recorded up to there.
    """

    run: Run
    step: NDArray[np.int64]
    epoch: NDArray[np.float64]
    probs: NDArray[np.float32]
    metrics: dict[str, NDArray[np.float64]]
    diverged: str | None = None

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """That of all samples."""
        return self.metrics["accuracy"]

    @property
    def loss(self) -> NDArray[np.float64]:
        """That of all samples."""
        return self.metrics["loss"]


def load_data(recipe: Recipe) -> tuple[LabelledImages, LabelledImages]:
    """Training and evaluation images of a recipe, of all classes of its dataset."""
    return _load(recipe.dataset)


@lru_cache(maxsize=1)
def _load(dataset: DatasetSettings) -> tuple[LabelledImages, LabelledImages]:
    return load_split(dataset)


def train_run(recipe: Recipe, run: Run) -> FinishedRun:
    """Train one network and record its predictions.

    The same recipe and run give the same numbers, bit for bit, on the same machine with the same libraries.

    Parameters
    ----------
    recipe : Recipe
    run : Run

    Returns
    -------
    FinishedRun
        Up to where it diverged, if it did.

    Raises
    ------
    ValueError
        The task does not fit the dataset, or the recipe's device is not there.
    """
    train, evaluation = load_data(recipe)
    checkpoints, diverged = [], None
    try:
        for checkpoint in imprinted_checkpoints(recipe, run):
            checkpoints.append(checkpoint)
    except FloatingPointError as error:
        diverged = str(error)
    step, epoch, log_probs = ([checkpoint[k] for checkpoint in checkpoints] for k in range(3))
    logs = np.array(log_probs).reshape(len(step), len(evaluation), len(train.class_names))  # (T, N, C)
    probs = np.exp(logs).astype(np.float32)
    return FinishedRun(
        run,
        np.array(step, dtype=np.int64),
        np.array(epoch, dtype=np.float64),
        probs,
        _metrics(logs, probs, evaluation),
        diverged,
    )


def _metrics(
    logs: NDArray[np.float64], probs: NDArray[np.float32], evaluation: LabelledImages
) -> dict[str, NDArray[np.float64]]:
    """Accuracies and losses (T,) of predictions (T, N, C): of all samples, and of those of each subset."""
    # Measured before predictions are stored as float16, whose rounding makes ties near ignorance.
    right = probs.argmax(axis=-1) == evaluation.labels  # (T, N)
    losses = -logs[:, np.arange(len(evaluation)), evaluation.labels]  # (T, N)
    metrics = {"accuracy": right.mean(axis=-1), "loss": losses.mean(axis=-1)}
    for name in dict.fromkeys([] if evaluation.subset is None else evaluation.subset.tolist()):
        inside = evaluation.subset == name
        metrics |= {
            f"{name}_accuracy": right[:, inside].mean(axis=-1),
            f"{name}_loss": losses[:, inside].mean(axis=-1),
        }
    return metrics


def imprinted_checkpoints(recipe: Recipe, run: Run) -> Iterator[tuple[int, float, NDArray[np.float64]]]:
    """Train one network, checkpoint after checkpoint; see `train_run`.

    Yields
    ------
    step : int
    epoch : float
    log_probs : array, shape (N, C)
        Logarithms of the predictions on the evaluation samples.

    Raises
    ------
    ValueError
        The task does not fit the dataset, or the recipe's device is not there.
    TrainingDiverged
    """
    check_device(recipe.device)
    train, evaluation = load_data(recipe)
    with _ONE_AT_A_TIME, _reproducible(recipe), _about(run):
        for snapshot in train_network(recipe, run, train):
            yield snapshot.step, snapshot.epoch, _predict(recipe, snapshot.network, train, evaluation)


def _predict(
    recipe: Recipe, network: Network, train: LabelledImages, evaluation: LabelledImages
) -> NDArray[np.float64]:
    """Logarithms (N, C) of the predictions of a network, of the kind that a recipe asks for."""
    if recipe.predictions == "softmax":
        return log_probabilities(network, evaluation)
    features = extract_features(network, train)
    of_evaluated = extract_features(network, evaluation)
    return imprint_log_probabilities(features, train.labels, of_evaluated, len(train.class_names), recipe.imprint)


def check_device(device: str) -> None:
    """Raise ValueError unless torch can train on a device."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {device!r} is not there ({reason}): train on another, such as 'cpu'") from None


def train_network(recipe: Recipe, run: Run, train: LabelledImages) -> Iterator[Snapshot]:
    """Train the network of a run on images of all classes, from which its task takes its own.

    A network to fine-tune is first trained on its source, with the same numbers as the run of that task, method and
    seed: so no run has to wait for another.

    Parameters
    ----------
    recipe : Recipe
    run : Run
    train : LabelledImages

    Yields
    ------
    Snapshot

    Raises
    ------
    ValueError
        The task does not fit the dataset.
    TrainingDiverged
    """
    plan, images = recipe.plan(run.method), run.task.training_set(train)
    variant = recipe.variant(run.method, run.names)
    weights, n_classes = run.derived_seed("weights"), len(images.class_names)
    if plan.source is None:
        network = make_network(variant.network.name, train.n_channels, n_classes, weights, variant.network.width)
        network.to(recipe.device)
    else:
        network = _trained(recipe, Run(recipe.task(plan.source), plan.source_method, run.seed), train)
        replace_head(network, n_classes, weights)
    if variant.initialization == "corner":
        go_to_corner(network, images, run.seed, run.derived_seed("corner"), plan.corner)
    checkpoints = recipe.checkpoints.steps(variant.settings.steps)
    yield from METHODS[plan.method].train(network, images, checkpoints, run.derived_seed("training"), variant.settings)


def _trained(recipe: Recipe, run: Run, train: LabelledImages) -> Network:
    """The network of a run at the end of its training, from which fine-tuning starts."""
    try:
        for snapshot in train_network(recipe, run, train):
            network = snapshot.network
    except TrainingDiverged as error:
        raise TrainingDiverged(f"the source {run.name} diverged: {error}") from error
    return network


@contextmanager
def _about(run: Run) -> Iterator[None]:
    """Name the run in an error that arises inside."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{run.name}: {error}") from error


@contextmanager
def _reproducible(recipe: Recipe) -> Iterator[None]:
    """The recipe's number of torch threads, and deterministic algorithms; the settings before come back."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(recipe.threads)
    # On a GPU some operations have no deterministic form: a warning there, an error here.
    torch.use_deterministic_algorithms(True, warn_only=recipe.device != "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
