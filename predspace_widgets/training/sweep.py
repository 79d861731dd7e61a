"""Sweeps: a recipe's trainings, in this process or on Dask workers, and the dataset of all their checkpoints."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import dask
import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.training.datasets import DatasetSettings, LabelledImages, load_split
from predspace_widgets.training.imprint import imprint_log_probabilities
from predspace_widgets.training.methods import METHODS
from predspace_widgets.training.networks import Network, extract_features, make_network, replace_head
from predspace_widgets.training.recipe import Recipe
from predspace_widgets.training.snapshots import Snapshot, TrainingDiverged
from predspace_widgets.training.tasks import Task
from predspace_widgets.trajectories import (
    TrajectoriesError,
    make_trajectories,
    open_trajectories,
    save_trajectories,
)

if TYPE_CHECKING:
    from distributed import Client


# Threads, random numbers and determinism are settings of a whole process: of a worker's threads, one trains.
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
    return _load(recipe.dataset)


@lru_cache(maxsize=1)
def _load(dataset: DatasetSettings) -> tuple[LabelledImages, LabelledImages]:
    return load_split(dataset)


def plan_runs(recipe: Recipe) -> list[Run]:
    """All trainings of a recipe: every task, by the methods for it, with every seed.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    list of Run

    Examples
    --------
    >>> from predspace_widgets.training import load_recipe
    >>> plan_runs(load_recipe("digits"))[0].name
    'all digits/supervised/0'
    """
    return [
        Run(task, plan.name, seed)
        for plan in recipe.methods
        for task in recipe.tasks
        if plan.tasks is None or task.name in plan.tasks
        for seed in recipe.seeds
    ]


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
    check_device(recipe.device)
    train, evaluation = load_data(recipe)
    step, epoch, log_probs, diverged = [], [], [], None
    with _ONE_AT_A_TIME, _reproducible(recipe), _about(run):
        try:
            for snapshot in train_network(recipe, run, train):
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


def check_device(device: str) -> None:
    """Raise ValueError unless torch can train on a device."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"device {device!r} is not there ({reason}): train on another, such as 'cpu'") from None


def train_network(recipe: Recipe, run: Run, train: LabelledImages) -> Iterator[Snapshot]:
    """Train the network of a run on images of all classes, from which its task takes its own.

    A network to fine-tune is first trained on its source, as the run of that task, method and seed is: the same
    numbers again, rather than a run that must wait for another.

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
    weights, n_classes = run.derived_seed("weights"), len(images.class_names)
    if plan.source is None:
        network = make_network(recipe.network.name, train.n_channels, n_classes, weights, recipe.network.width)
        network.to(recipe.device)
    else:
        network = _trained(recipe, Run(recipe.task(plan.source), plan.source_method, run.seed), train)
        replace_head(network, n_classes, weights)
    checkpoints = recipe.checkpoints.steps(plan.settings.steps)
    yield from METHODS[plan.method].train(network, images, checkpoints, run.derived_seed("training"), plan.settings)


def _trained(recipe: Recipe, run: Run, train: LabelledImages) -> Network:
    try:
        for snapshot in train_network(recipe, run, train):
            network = snapshot.network
    except TrainingDiverged as error:
        raise TrainingDiverged(f"the source {run.name} diverged: {error}") from error
    return network


def train_runs(
    recipe: Recipe, runs: Iterable[Run] | None = None, client: Client | None = None
) -> Iterator[FinishedRun]:
    """Train a recipe's networks, one after the other or on Dask workers.

    Parameters
    ----------
    recipe : Recipe
    runs : iterable of Run, optional
        By default all of them.
    client : distributed.Client, optional
        Whose workers train, one run at a time each. A run that loses its worker starts again on another, some times.

    Yields
    ------
    FinishedRun
        As they finish.

    Raises
    ------
    ValueError
        A task does not fit the dataset; before the first training. A method does not fit a task; the recipe's device
        is not there.
    OSError
        The workers are lost.
    """
    planned = list(plan_runs(recipe) if runs is None else runs)
    train, _ = load_data(recipe)
    for task in {run.task.name: run.task for run in planned}.values():
        task.training_set(train)
    if client is None:
        for run in planned:
            yield train_run(recipe, run)
        return
    from distributed import KilledWorker, as_completed
    from distributed.client import FutureCancelledError

    futures = client.map(partial(train_run, recipe), planned, pure=False)
    try:
        for future in as_completed(futures):
            yield future.result()
            future.release()
    except (FutureCancelledError, KilledWorker) as error:
        raise OSError(f"the workers are lost ({type(error).__name__}): finished runs are kept, start again") from error
    finally:
        with suppress(Exception):  # there may be nobody left to tell
            client.cancel(futures)


def record_recipe(
    recipe: Recipe,
    seeds: Sequence[int] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
    created_by: str | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    client: Client | None = None,
) -> xr.Dataset:
    """Train all networks of a recipe and record them as one dataset.

    Parameters
    ----------
    recipe : Recipe
    seeds : sequence of int, optional
        Instead of the recipe's.
    on_progress : callable (name of the last run, runs done, runs in all), optional
        Called at the start and after each run. An exception that it raises ends the recording.
    created_by : str, optional
        See `to_trajectories`.
    folder : path, optional
        Where finished runs are kept. Those that are there already, of the same recipe and the same versions, are not
        trained again. By default nothing is kept.
    client : distributed.Client, optional
        Whose workers train, each run on one of them; the numbers do not depend on how many there are.

    Returns
    -------
    xarray.Dataset
        Trajectories; save them with `predspace_widgets.trajectories.save_trajectories`. They are read from `folder`
        when they are used.

    Raises
    ------
    ValueError
        A task does not fit the dataset; before the first training.
    OSError
        The folder cannot be written to, or no space is left; what was recorded before is kept.
    """
    if seeds is not None:
        recipe = replace(recipe, seeds=tuple(seeds))
    # A client has all dask arrays computed by its workers: what is saved would wait behind the trainings, and be
    # written to disks of theirs.
    here = dask.config.set(scheduler="threads")
    with here, nullcontext(folder) if folder is not None else tempfile.TemporaryDirectory() as place:
        runs = plan_runs(recipe)
        if not runs:
            raise ValueError("the recipe trains nothing: no method has a task, or there is no seed")
        files = _files_of_runs(recipe, Path(place))
        _check_writable(Path(place))
        missing = [run for run in runs if not _is_kept(files[run.name])]
        progress = on_progress or (lambda name, done, of: None)
        progress("", len(runs) - len(missing), len(runs))
        nothing = []  # names of runs of which there is nothing to record
        for done, finished in enumerate(train_runs(recipe, missing, client), start=len(runs) - len(missing) + 1):
            if len(finished.step):
                with _room_for(files[finished.run.name].parent):
                    single = to_trajectories(recipe, [finished], created_by)
                    save_trajectories(single, files[finished.run.name], dtype="float32")
            else:
                nothing.append(finished.run.name)
            progress(finished.run.name, done, len(runs))
        ds = _join([open_trajectories(file) for name, file in files.items() if name not in nothing], nothing)
        return ds if folder is not None else ds.load()


def forget_runs(recipe: Recipe, folder: str | os.PathLike[str]) -> None:
    """Delete the runs of a recipe that `record_recipe` keeps in a folder; those of another recipe stay."""
    for file in _files_of_runs(recipe, Path(folder)).values():
        shutil.rmtree(file, ignore_errors=True)


def _files_of_runs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Where each run of a recipe is kept, by its name."""
    return {run.name: folder / f"{fingerprint(recipe, run)}.zarr" for run in plan_runs(recipe)}


def fingerprint(recipe: Recipe, run: Run) -> str:
    """Names what a run's numbers depend on: the recipe as far as it concerns the run, and versions.

    Parameters
    ----------
    recipe : Recipe
    run : Run

    Returns
    -------
    str
        Of 16 hexadecimal digits.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from predspace_widgets.training import load_recipe
    >>> recipe = load_recipe("digits")
    >>> run = plan_runs(recipe)[0]
    >>> fingerprint(recipe, run) == fingerprint(replace(recipe, seeds=(0,), title="mine"), run)
    True
    >>> fingerprint(recipe, run) == fingerprint(replace(recipe, threads=2), run)
    False
    """
    plan = recipe.plan(run.method)
    source = (recipe.task(plan.source), recipe.plan(plan.source_method)) if plan.source is not None else ()
    shared = (recipe.dataset, recipe.network, recipe.checkpoints, recipe.imprint)
    known = load_data(recipe)[0].class_names
    tasks = [run.task] if plan.source is None else [run.task, recipe.task(plan.source)]
    parts = [
        run.name,
        [task.class_names(known) for task in tasks],  # what a file of classes held, and the order of groups
        _versions(),
        recipe.threads,
        recipe.device,
        *(asdict(part) for part in (*shared, run.task, plan, *source)),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


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


def _join(parts: list[xr.Dataset], nothing: list[str]) -> xr.Dataset:
    """One dataset of those of the runs, in their order; `nothing` are more runs that diverged."""
    ds = xr.concat(
        parts,
        dim="checkpoint",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="exact",
        combine_attrs="override",
    )[list(parts[0].data_vars)]  # concat puts last what it joined
    diverged = [name for part in parts for name in part.attrs.get("diverged", ())] + nothing
    attrs = {name: value for name, value in ds.attrs.items() if name != "diverged"}
    ds.attrs = attrs | ({"diverged": diverged} if diverged else {})
    return ds


def _check_writable(folder: Path) -> None:
    """Raise OSError before the first training, not after it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _is_kept(file: Path) -> bool:
    try:
        open_trajectories(file).close()
    except (FileNotFoundError, TrajectoriesError):
        return False
    return True


def _versions() -> str:
    return f"predspace_widgets {version('predspace_widgets')}, torch {version('torch')}"


@contextmanager
def _about(run: Run) -> Iterator[None]:
    """Say which run an error is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{run.name}: {error}") from error


@contextmanager
def _room_for(folder: Path) -> Iterator[None]:
    """Say what to do where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        message = f"no space left on the disk of {folder}; the runs recorded so far are kept there: make room, go on"
        raise OSError(errno.ENOSPC, message) from error


@contextmanager
def _reproducible(recipe: Recipe) -> Iterator[None]:
    """A fixed number of torch threads and deterministic algorithms; what was set before comes back."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(recipe.threads)
    # On a GPU some operations have no deterministic form: a warning there, an error here.
    torch.use_deterministic_algorithms(True, warn_only=recipe.device != "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
