"""Trainings of built-in recipes that are started one at a time, each in a process of its own, and recorded.

`python -m predspace_widgets.training.launch RECIPE TASK METHOD SEED STORE` is such a process. It ends when its standard
input is closed, as it is when the process that started it ends.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from predspace_widgets.training.recipe import Recipe, built_in_recipes, load_recipe
from predspace_widgets.training.recorder import Recorder
from predspace_widgets.training.run import Run, imprinted_checkpoints, load_data
from predspace_widgets.training.sweep import plan_runs
from predspace_widgets.trajectories.appending import array_of, open_grown

_WAIT_FOR_END = 60.0  # seconds until a training that was told to stop is killed


@dataclass
class _Job:
    recipe: Recipe
    run: Run
    path: Path
    process: subprocess.Popen[bytes]
    started: float
    stopped: bool = False


class Launcher:
    """Starts trainings and says how they go.

    Parameters
    ----------
    folder : path
        Where their datasets are recorded, one .zarr a training.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._job: _Job | None = None
        self._started: set[str] = set()
        self._lock = threading.Lock()

    def _runs_there(self, ds: xr.Dataset) -> set[str]:
        """Names of the runs of a dataset, and of those that were started: it may not have them yet."""
        return self._started | set(ds["run"].values.astype(str).tolist())

    def offers(self, ds: xr.Dataset) -> list[dict[str, Any]]:
        """What can be trained on the samples and classes of a dataset.

        Parameters
        ----------
        ds : xarray.Dataset
            A valid trajectories dataset.

        Returns
        -------
        list of dict
            `recipe`, `task`, `method`, and `seed`, the first one with which there is no such run. Recipes whose images
            are not on this machine are left out, and so are methods with a grid.
        """
        there = self._runs_there(ds)
        offers: dict[tuple[str, str], dict[str, Any]] = {}
        for recipe in _recipes_of(ds):
            for run in _startable(recipe, 0):
                seed = 0
                while replace(run, seed=seed).name in there:
                    seed += 1
                offer = {"recipe": recipe.name, "task": run.task.name, "method": run.method, "seed": seed}
                offers.setdefault((run.task.name, run.method), offer)
        return list(offers.values())

    def start(self, ds: xr.Dataset, recipe: str, task: str, method: str, seed: int) -> Path:
        """Train a network; where its dataset appears with the first checkpoint.

        Raises
        ------
        ValueError
            A training is under way, there is no such one, or the dataset has the run already.
        """
        with self._lock:
            if self._job is not None and self._job.process.poll() is None:
                raise ValueError(f"{self._job.run.name} is being trained, or stopped: one at a time")
            plan = next((plan for plan in _recipes_of(ds) if plan.name == recipe), None)
            if plan is None:
                raise ValueError(f"no recipe {str(recipe)[:60]!r} has the samples and classes of this dataset")
            if type(seed) is not int or not 0 <= seed < 2**31:
                raise ValueError("a seed must be a whole number, not negative")
            run = _run_of(plan, task, method, seed)
            if run is None:
                raise ValueError(f"the recipe {recipe!r} does not train {str(task)[:60]!r} by {str(method)[:60]!r}")
            if run.name in self._runs_there(ds):
                raise ValueError(f"the dataset has {run.name} already: choose another seed")
            path = self._free_path(run)
            command = [sys.executable, "-m", __spec__.name, recipe, task, method, str(seed), str(path)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            self._job = _Job(plan, run, path, process, time.monotonic())
            self._started.add(run.name)
            weakref.finalize(self, process.terminate)
            return path

    def _free_path(self, run: Run) -> Path:
        """Of a dataset that is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name, number = re.sub(r"[^\w.-]+", "-", run.name), 1
        path = self.folder / f"{name}.zarr"
        while path.exists():
            number += 1
            path = self.folder / f"{name}-{number}.zarr"
        return path.absolute()

    def stop(self) -> None:
        """Let the training that is under way end; what it recorded stays."""
        with self._lock:
            job = self._job
            if job is None or job.process.poll() is not None:
                return
            job.stopped = True
            job.process.terminate()
            threading.Thread(target=_end, args=(job.process,), daemon=True).start()

    def state(self) -> dict[str, Any] | None:
        """How the latest training goes; None where there was none.

        Returns
        -------
        dict
            `run`, `state` ("training", "stopping", "ended", "stopped" or "failed"), `share` of the optimiser steps that
            are done, and `seconds_left`, None where it cannot be told.
        """
        job = self._job
        if job is None:
            return None
        code, last = job.process.poll(), job.recipe.plan(job.run.method).settings.steps
        if job.stopped:
            state = "stopping" if code is None else "stopped"
        else:
            state = "training" if code is None else "ended" if code == 0 else "failed"
        step, left = _last_step(job.path), None
        if state == "training" and step:
            left = (time.time() - _created(job)) * (last - step) / step
        return {"run": job.run.name, "state": state, "share": (step or 0) / last, "seconds_left": left}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a training that was told to stop and does not."""
    try:
        process.wait(_WAIT_FOR_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run_of(recipe: Recipe, task: str, method: str, seed: int) -> Run | None:
    return next((run for run in _startable(recipe, seed) if (run.task.name, run.method) == (task, method)), None)


def _startable(recipe: Recipe, seed: int) -> list[Run]:
    """Runs of a recipe that task and method name: none of a grid, of which these name many."""
    return [run for run in plan_runs(replace(recipe, seeds=(seed,))) if not run.names]


def _created(job: _Job) -> float:
    """When the first checkpoint came: what was before is no training yet."""
    try:
        return (job.path / "label" / "zarr.json").stat().st_mtime
    except OSError:
        return time.time()


def _last_step(path: Path) -> int | None:
    try:
        return int(array_of(open_grown(path), "step")[-1])
    except (ValueError, OSError):
        return None


def _recipes_of(ds: xr.Dataset) -> Iterator[Recipe]:
    """Built-in recipes of the evaluation samples and classes of a dataset."""
    if "label" not in ds or "class" not in ds.coords:
        return
    for name in built_in_recipes():
        recipe = load_recipe(name)
        try:
            _, evaluation = load_data(recipe)
        except (OSError, ValueError, ImportError):
            continue  # its images are not here
        mine = (evaluation.labels, evaluation.sample_ids, evaluation.class_names)
        if all(
            np.array_equal(np.asarray(a), ds[of].values)
            for a, of in zip(mine, ("label", "sample", "class"), strict=True)
        ):
            yield recipe


def train_and_record(recipe: Recipe, run: Run, path: str | os.PathLike[str]) -> None:
    """Train one network of a recipe, and record each checkpoint when it is there.

    Raises
    ------
    ValueError
        See `Recorder` and `train_run`.
    TrainingDiverged
        What was recorded before stays.
    """
    _, evaluation = load_data(recipe)
    with Recorder(
        path,
        labels=evaluation.labels,
        classes=evaluation.class_names,
        sample_ids=evaluation.sample_ids,
        task=run.task.name,
        method=run.method,
        seed=run.seed,
        inputs="logits",  # logarithms of probabilities are logits too
        store=recipe.store,
        title=recipe.title or recipe.name,
        source=evaluation.source,
    ) as recorder:
        for step, epoch, log_probs in imprinted_checkpoints(recipe, run):
            recorder.record(log_probs, epoch=epoch, step=step)


def main() -> None:
    """Train what the command line says."""
    name, task, method, seed, path = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the recording is closed

    def end_with_parent() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, daemon=True).start()
    recipe = load_recipe(name)
    run = _run_of(recipe, task, method, int(seed))
    assert run is not None
    train_and_record(recipe, run, path)


if __name__ == "__main__":
    main()
