"""Sweeps: all trainings of a recipe, in this process or on Dask workers, kept as they finish, and their dataset."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import xarray as xr
from filelock import FileLock, Timeout

from predspace_widgets.training.recipe import Recipe
from predspace_widgets.training.run import FinishedRun, Run, check_device, load_data, train_run
from predspace_widgets.training.workers import start_workers
from predspace_widgets.trajectories import (
    TrajectoriesError,
    check_path,
    make_trajectories,
    open_trajectories,
    save_trajectories,
)
from predspace_widgets.trajectories.attributes import text_of
from predspace_widgets.trajectories.divergence import NAMES, REASONS, diverged, diverged_attrs
from predspace_widgets.trajectories.replacing import clear_leftovers

if TYPE_CHECKING:
    from distributed import Client


def plan_runs(recipe: Recipe) -> list[Run]:
    """All trainings of a recipe: every task, by the methods for it, in every combination of a grid, with every seed.

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
        Run(task, plan.name, seed, tuple(variant.names.items()))
        for plan in recipe.methods
        for task in recipe.tasks
        if plan.tasks is None or task.name in plan.tasks
        for variant in recipe.variants(plan.name)
        for seed in recipe.seeds
    ]


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
        A task does not fit the dataset, or a method does not fit a task; before the first training. The recipe's
        device is not there.
    OSError
        The workers are lost.
    """
    planned = list(plan_runs(recipe) if runs is None else runs)
    _check_fits(recipe, planned)
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
        with suppress(Exception):  # the scheduler may be gone
            client.cancel(futures)


def _check_fits(recipe: Recipe, runs: Sequence[Run]) -> None:
    """Raise ValueError if a task does not fit the dataset, or methods do not fit their tasks: all of them are named."""
    train, _ = load_data(recipe)
    tasks = {run.task.name: run.task for run in runs}
    sets = {name: task.training_set(train) for name, task in tasks.items()}
    labels = {name: images.labels for name, images in sets.items()}
    other = [name for name, images in sets.items() if images.class_names != train.class_names]
    if recipe.predictions == "softmax" and other:
        raise ValueError(f"task {other[0]!r} has other classes than the dataset: its predictions can only be imprinted")
    unfit = {}
    for task, method, names in dict.fromkeys((run.task.name, run.method, run.names) for run in runs):
        try:
            recipe.variant(method, names).settings.check_fits(labels[task])
        except ValueError as error:
            unfit[f"{task}/{method}"] = f"method {method!r} does not fit task {task!r}: {error}"
    if unfit:
        named = "; ".join(f"{run}: {why}" for run, why in unfit.items())
        raise ValueError(f"{named}. Change the numbers of the method, or name the tasks that it is for (tasks: [...])")


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
        A task does not fit the dataset, or a method does not fit a task; before the first training.
    OSError
        The folder cannot be written to, or no space is left; what was recorded before is kept.
    """
    if seeds is not None:
        recipe = replace(recipe, seeds=tuple(seeds))
    # Where there is a client, dask computes on its workers. This process saves, because on the workers it would wait
    # behind the trainings, and write to their disks.
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
        nothing = {}  # runs that diverged before their first checkpoint, and why
        for done, finished in enumerate(train_runs(recipe, missing, client), start=len(runs) - len(missing) + 1):
            if len(finished.step):
                with _room_for(files[finished.run.name].parent):
                    single = to_trajectories(recipe, [finished], created_by)
                    save_trajectories(single, files[finished.run.name], dtype="float32", store=recipe.store)
            else:
                nothing[finished.run.name] = finished.diverged or ""
            progress(finished.run.name, done, len(runs))
        ds = _join([open_trajectories(file) for name, file in files.items() if name not in nothing], nothing)
        return ds if folder is not None else ds.load()


def record_to(
    recipe: Recipe,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> xr.Dataset:
    """Train all networks of a recipe and write their dataset: what `predspace record` does.

    Finished runs are kept in a folder beside the path (see `folder_of_runs`) until the dataset is there: after an
    interruption, the same call goes on with those that are missing.

    Parameters
    ----------
    recipe : Recipe
    path : path
        Ends in .zarr.zip, .zarr or .nc. Probabilities are stored as float16, in NetCDF as float32.
    overwrite : bool
        Replace what is at the path, when the new dataset is complete.
    workers : int, optional
        Number of processes on this machine; by default one a core (see `start_workers`).
    scheduler : str, optional
        Instead: address of a Dask scheduler whose workers train.
    on_progress : callable (name of the last run, runs done, runs in all), optional
        Called before the workers start, when it is known how many runs are kept, and after each run. An exception
        that it raises ends the recording.

    Returns
    -------
    xarray.Dataset
        The dataset at the path, opened. Runs that diverged are named in its attribute `diverged`, if there are any,
        and why in `diverged_because` (see `predspace_widgets.trajectories.divergence`).

    Raises
    ------
    ValueError
        The path has another ending, or something is there and `overwrite` is false; the recipe's device is not there,
        a task does not fit the dataset, or a method does not fit a task.
    OSError
        Another process records to the same path; the folder cannot be written to, or no space is left; the scheduler
        does not answer, or the workers are lost. What was recorded before is kept.

    Examples
    --------
    >>> from predspace_widgets.training import parse_recipe
    >>> text = (
    ...     "{dataset: {name: digits, n_train: 1100}, network: {width: 4}, checkpoints: {count: 3, dense: 2}, "
    ...     "tasks: {few: {classes: [0, 1, 2]}}, methods: {supervised: {steps: 5}}, seeds: [0]}"
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record_to(parse_recipe(text, "few"), f"{folder}/few.zarr", workers=1).step.values
    array([0, 1, 5])
    """
    where = Path(path)
    check_path(where)  # all that can be checked before the training
    if scheduler is None:  # its workers may have other devices than this machine
        check_device(recipe.device)
    if where.exists() and not overwrite:
        raise ValueError(
            f"{where} is there already: choose another name, or replace it with overwrite=True (on the command line, "
            "--overwrite)"
        )
    kept = folder_of_runs(where)
    with _alone(kept):
        if on_progress is not None:
            on_progress("", 0, len(plan_runs(recipe)))
        with start_workers(recipe, workers, scheduler) as client:
            ds = record_recipe(recipe, on_progress=on_progress, folder=kept, client=client)
            # This process saves, not the workers, which may have other disks. Without the method, dask would choose one
            # that needs the workers because there is a client.
            with dask.config.set({"scheduler": "threads", "array.rechunk.method": "tasks"}):
                save_trajectories(ds, where, dtype="float16", store=recipe.store)
        forget_runs(recipe, kept)
        with suppress(OSError):  # runs of another recipe are in it
            kept.rmdir()
    return open_trajectories(where)


def folder_of_runs(path: str | os.PathLike[str]) -> Path:
    """Where `record_to` keeps finished runs until the dataset of all of them is written.

    Examples
    --------
    >>> folder_of_runs("mine/digits.zarr.zip").as_posix()
    'mine/digits.zarr.zip.runs'
    """
    return Path(path).with_name(f"{Path(path).name}.runs")


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Only this process keeps runs in a folder; OSError where another one does."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    file = kept.with_name(f".{kept.name}.lock")
    try:
        with FileLock(file, timeout=0):
            try:
                yield
            finally:
                file.unlink(missing_ok=True)
    except Timeout:
        raise OSError(f"another process is recording: it holds {file}") from None


def forget_runs(recipe: Recipe, folder: str | os.PathLike[str]) -> None:
    """Delete the runs of a recipe that `record_recipe` keeps in a folder; those of another recipe stay."""
    for file in _files_of_runs(recipe, Path(folder)).values():
        clear_leftovers(file)  # of a process that was killed when the run was in its place already
        shutil.rmtree(file, ignore_errors=True)


def _files_of_runs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Where each run of a recipe is kept, by its name."""
    return {run.name: folder / f"{fingerprint(recipe, run)}.zarr" for run in plan_runs(recipe)}


def fingerprint(recipe: Recipe, run: Run) -> str:
    """A name for all that a run's numbers depend on: the recipe as far as it concerns the run, and versions.

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
    variant = recipe.variant(run.method, run.names)
    plan = replace(recipe.plan(run.method), settings=variant.settings, initialization=variant.initialization, grid=())
    source = (recipe.task(plan.source), recipe.plan(plan.source_method)) if plan.source is not None else ()
    shared = (recipe.dataset, variant.network, recipe.checkpoints, recipe.imprint)
    known = load_data(recipe)[0].class_names
    tasks = [run.task] if plan.source is None else [run.task, recipe.task(plan.source)]
    parts = [
        run.name,
        [task.class_names(known) for task in tasks],  # what a file of classes held, and the order of groups
        {name: type(value).__name__ for name, [value] in _attributes(recipe, [run]).items()},  # which columns it has
        _versions(),
        recipe.threads,
        recipe.device,
        recipe.predictions,
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
        Trajectories with the metrics `accuracy` and `loss`, and each also of the subsets if there are any
        (`train_accuracy`); the images; and the recipe as YAML in the attribute `recipe`. Which runs diverged and why is
        in the attributes `diverged` and `diverged_because`, if any did. What a grid varies tells curves apart
        (`curves_by`).
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
        subset=evaluation.subset,
        metrics={name: np.concatenate([done.metrics[name] for done in finished]) for name in finished[0].metrics},
        attrs=_attributes(recipe, [done.run for done, _ in checkpoints]),
        title=recipe.title or recipe.name,
        source=evaluation.source,
        recipe=recipe.to_yaml(),
        created_by=created_by or f"{_versions()}: predspace record {recipe.name}",
    )
    factors = dict.fromkeys(name for run in plan_runs(recipe) for name, _ in run.names)
    ds = ds.assign_attrs(curves_by=list(factors)) if factors else ds
    return ds.assign_attrs(diverged_attrs({done.run.name: done.diverged for done in finished if done.diverged}))


def _attributes(recipe: Recipe, runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What tasks, methods and grids of a recipe give to runs as attributes, all for each run; "" or NaN for none."""
    given = [*(task.attrs or {} for task in recipe.tasks), *(plan.attrs or {} for plan in recipe.methods)]
    given += [variant.names for plan in recipe.methods for variant in recipe.variants(plan.name)]
    texts = {name for attrs in given for name, value in attrs.items() if isinstance(value, str | bool)}
    of_runs = [{**(run.task.attrs or {}), **(recipe.plan(run.method).attrs or {}), **dict(run.names)} for run in runs]
    return {
        name: [text_of(attrs.get(name)) if name in texts else attrs.get(name, math.nan) for attrs in of_runs]
        for name in dict.fromkeys(name for attrs in given for name in attrs)
    }


def _join(parts: list[xr.Dataset], nothing: dict[str, str]) -> xr.Dataset:
    """One dataset of the datasets of single runs, in their order; `nothing` says why runs have no checkpoint."""
    ds = xr.concat(
        parts,
        dim="checkpoint",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="exact",
        combine_attrs="override",
    )[list(parts[0].data_vars)]  # concat puts last what it joined
    reasons = {name: reason for part in parts for name, reason in diverged(part).items()} | nothing
    attrs = {name: value for name, value in ds.attrs.items() if name not in (NAMES, REASONS)}
    ds.attrs = attrs | diverged_attrs(reasons)
    return ds


def _check_writable(folder: Path) -> None:
    """Raise OSError if nothing can be written to a folder: before the first training, not after it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _is_kept(file: Path) -> bool:
    """Whether a finished run can be read from where it is kept."""
    try:
        open_trajectories(file).close()
    except (FileNotFoundError, TrajectoriesError):
        return False
    return True


def _versions() -> str:
    """Those of the packages on which the numbers of a run depend."""
    return f"predspace_widgets {version('predspace_widgets')}, torch {version('torch')}"


@contextmanager
def _room_for(folder: Path) -> Iterator[None]:
    """Say what to do if the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        message = f"no space left on the disk of {folder}; the runs recorded so far are kept there: make room, go on"
        raise OSError(errno.ENOSPC, message) from error
