"""Sweeps: a recipe's trainings, one after the other, and the dataset of all their checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import product

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.training.datasets import LabelledImages, load_images, split_images
from predspace_widgets.training.imprint import imprint_log_probabilities
from predspace_widgets.training.methods import METHODS
from predspace_widgets.training.networks import extract_features, make_network
from predspace_widgets.training.recipe import Recipe
from predspace_widgets.training.tasks import Task
from predspace_widgets.trajectories import make_trajectories


@dataclass(frozen=True)
class Run:
    """One training of a recipe.

    Parameters
    ----------
    task : Task
    method : str
    seed : int
    """

    task: Task
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Unique name within a recipe, task/method/seed."""
        return f"{self.task.name}/{self.method}/{self.seed}"

    def derived_seed(self, purpose: str) -> int:
        """A seed for one purpose of this run, from its name: no run depends on which others there are, or on order."""
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
        Imprinted.
    accuracy : array of float, shape (T,)
        Share of samples whose most probable class is the true one.
    loss : array of float, shape (T,)
        Mean negative logarithm of the imprinted probability of the true class, in nats.
    diverged : str, optional
        Why the training ended early; it is recorded up to there.
    """

    run: Run
    step: NDArray[np.int64]
    epoch: NDArray[np.float64]
    probs: NDArray[np.float32]
    accuracy: NDArray[np.float64]
    loss: NDArray[np.float64]
    diverged: str | None = None


def load_data(recipe: Recipe) -> tuple[LabelledImages, LabelledImages]:
    """Training and evaluation images of a recipe, all classes of them."""
    return split_images(load_images(recipe.dataset.name), recipe.dataset.n_train, recipe.dataset.split_seed)


def plan_runs(recipe: Recipe) -> list[Run]:
    """All trainings of a recipe: every task by every method with every seed.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    list of Run

    Examples
    --------
    >>> from predspace_widgets.training import load_recipe
    >>> runs = plan_runs(load_recipe("digits"))
    >>> len(runs), runs[0].name
    (21, 'all digits/supervised/0')
    """
    return [Run(*parts) for parts in product(recipe.tasks, recipe.methods, recipe.seeds)]


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
        The task does not fit the dataset.
    """
    train, evaluation = load_data(recipe)
    task_images = run.task.training_set(train)
    method, settings = METHODS[run.method], recipe.methods[run.method]
    step, epoch, log_probs, diverged = [], [], [], None
    with _reproducible(recipe.threads):
        network = make_network(
            recipe.network.name,
            train.n_channels,
            len(task_images.class_names),
            run.derived_seed("weights"),
            recipe.network.width,
        )
        checkpoints = recipe.checkpoints.steps(settings.steps)
        snapshots = method.train(network, task_images, checkpoints, run.derived_seed("training"), settings)
        try:
            for snapshot in snapshots:
                prediction = imprint_log_probabilities(
                    extract_features(snapshot.network, train),
                    train.labels,
                    extract_features(snapshot.network, evaluation),
                    len(train.class_names),
                    recipe.imprint,
                )  # (N, C)
                step.append(snapshot.step)
                epoch.append(snapshot.epoch)
                log_probs.append(prediction)
        except FloatingPointError as error:
            diverged = str(error)
    logs = np.array(log_probs).reshape(len(step), len(evaluation), len(train.class_names))  # (T, N, C)
    probs = np.exp(logs).astype(np.float32)
    return FinishedRun(
        run,
        np.array(step, dtype=np.int64),
        np.array(epoch, dtype=np.float64),
        probs,
        # Before float16 storage, whose rounding makes ties near ignorance.
        accuracy=(probs.argmax(axis=-1) == evaluation.labels).mean(axis=-1),
        loss=-logs[:, np.arange(len(evaluation)), evaluation.labels].mean(axis=-1),
        diverged=diverged,
    )


def train_runs(recipe: Recipe, runs: Iterable[Run] | None = None) -> Iterator[FinishedRun]:
    """Train a recipe's networks one after the other.

    Parameters
    ----------
    recipe : Recipe
    runs : iterable of Run, optional
        By default all of them.

    Yields
    ------
    FinishedRun

    Raises
    ------
    ValueError
        A task does not fit the dataset; before the first training.
    """
    planned = list(plan_runs(recipe) if runs is None else runs)
    train, _ = load_data(recipe)
    for run in planned:
        run.task.training_set(train)
    for run in planned:
        yield train_run(recipe, run)


def to_trajectories(recipe: Recipe, finished: Sequence[FinishedRun], created_by: str | None = None) -> xr.Dataset:
    """The dataset of finished runs.

    Parameters
    ----------
    recipe : Recipe
    finished : sequence of FinishedRun
    created_by : str, optional
        Versions and command; by default those of this package and torch, and the command that records this recipe.

    Returns
    -------
    xarray.Dataset
        Trajectories with the metrics `accuracy` and `loss`, the images, and the recipe as YAML in the attribute
        `recipe`; the names of runs that diverged are in the attribute `diverged`, if there are any.
    """
    _, evaluation = load_data(recipe)
    checkpoints = [(done, index) for done in finished for index in range(len(done.step))]
    ds = make_trajectories(
        np.concatenate([done.probs for done in finished]),  # (all T, N, C)
        evaluation.labels,
        task=[done.run.task.name for done, _ in checkpoints],
        method=[done.run.method for done, _ in checkpoints],
        seed=[done.run.seed for done, _ in checkpoints],
        run=[done.run.name for done, _ in checkpoints],
        epoch=np.concatenate([done.epoch for done in finished]),
        step=np.concatenate([done.step for done in finished]),
        sample=evaluation.sample_ids,
        classes=evaluation.class_names,
        image=evaluation.images,
        metrics={
            "accuracy": np.concatenate([done.accuracy for done in finished]),
            "loss": np.concatenate([done.loss for done in finished]),
        },
        title=recipe.title or recipe.name,
        source=evaluation.source,
        recipe=recipe.to_yaml(),
        created_by=created_by or f"{_versions()}: predspace record {recipe.name}",
    )
    diverged = [done.run.name for done in finished if done.diverged]
    return ds.assign_attrs(diverged=diverged) if diverged else ds


def _versions() -> str:
    return f"predspace_widgets {version('predspace_widgets')}, torch {version('torch')}"


def record_recipe(
    recipe: Recipe,
    seeds: Sequence[int] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    created_by: str | None = None,
) -> xr.Dataset:
    """Train all networks of a recipe and record them as one dataset.

    Parameters
    ----------
    recipe : Recipe
    seeds : sequence of int, optional
        Instead of the recipe's.
    on_progress : callable (name of a run, runs done, runs in all), optional
        Called after each run. An exception that it raises ends the recording.
    created_by : str, optional
        See `to_trajectories`.

    Returns
    -------
    xarray.Dataset
        Trajectories; save them with `predspace_widgets.trajectories.save_trajectories`.

    Raises
    ------
    ValueError
        A task does not fit the dataset; before the first training.
    """
    if seeds is not None:
        recipe = replace(recipe, seeds=tuple(seeds))
    runs = plan_runs(recipe)
    finished = []
    for done in train_runs(recipe, runs):
        finished.append(done)
        if on_progress is not None:
            on_progress(done.run.name, len(finished), len(runs))
    return to_trajectories(recipe, finished, created_by)


@contextmanager
def _reproducible(threads: int) -> Iterator[None]:
    """A fixed number of torch threads and deterministic algorithms only; what was set before comes back."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
