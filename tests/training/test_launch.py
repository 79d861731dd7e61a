"""A training in a process of its own: recorded like any other, one at a time, until it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import predspace_widgets as pw
from predspace_widgets.training import load_recipe, plan_runs, train_run
from predspace_widgets.training.launch import Launcher, train_and_record
from predspace_widgets.trajectories.recording import recording_at
from predspace_widgets.trajectories.testing import random_trajectories


def until(condition: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this does not come"
        time.sleep(0.05)


def test_offers_fit_the_dataset() -> None:
    offers = Launcher("nowhere").offers(pw.demo())
    assert {"recipe": "digits", "task": "even", "method": "supervised", "seed": 5} in offers
    assert Launcher("nowhere").offers(random_trajectories()) == []


def test_a_training_is_recorded_one_at_a_time_and_stopped(tmp_path: Path) -> None:
    launcher, ds = Launcher(tmp_path / "trained"), pw.demo()
    assert launcher.state() is None
    path = launcher.start(ds, "digits", "even", "supervised", 5)
    try:
        with pytest.raises(ValueError, match="is being trained, or stopped: one at a time"):
            launcher.start(ds, "digits", "odd", "supervised", 5)
        until(lambda: (launcher.state() or {})["share"] > 0)
        state = launcher.state()
        assert state is not None
        assert state["run"] == "even/supervised/5"
        assert state["seconds_left"] is None or state["seconds_left"] >= 0
    finally:
        launcher.stop()
    until(lambda: (launcher.state() or {})["state"] == "stopped")
    assert recording_at(path) == "ended"
    recorded = pw.open_trajectories(path)
    np.testing.assert_array_equal(recorded["sample"].values, ds["sample"].values)
    with pytest.raises(ValueError, match="has even/supervised/5 already"):
        launcher.start(ds, "digits", "even", "supervised", 5)


@pytest.mark.parametrize(
    ("recipe", "task", "method", "seed", "message"),
    [
        ("nothing", "even", "supervised", 9, "no recipe 'nothing'"),
        ("digits", "even", "simclr", 9, "does not train 'even' by 'simclr'"),
        ("digits", "even", "supervised", 0, "has even/supervised/0 already"),
        ("digits", "even", "supervised", -1, "a seed"),
        ("digits", "even", "supervised", "1; rm", "a seed"),
        ("digits", "even", "supervised", True, "a seed"),
    ],
)
def test_what_cannot_be_trained(tmp_path: Path, recipe: str, task: str, method: str, seed: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Launcher(tmp_path).start(pw.demo(), recipe, task, method, seed)
    assert list(tmp_path.iterdir()) == []


def test_the_numbers_are_those_of_the_recipe(tmp_path: Path) -> None:
    recipe = load_recipe("digits")
    settings = replace(recipe.methods[0].settings, steps=3)
    recipe = replace(recipe, methods=(replace(recipe.methods[0], settings=settings),), seeds=(7,))
    [run] = [run for run in plan_runs(recipe) if run.task.name == "odd"]
    train_and_record(recipe, run, tmp_path / "odd.zarr")
    finished, recorded = train_run(recipe, run), pw.open_trajectories(tmp_path / "odd.zarr")
    assert recorded["run"].values.tolist() == [run.name] * len(finished.step)
    np.testing.assert_array_equal(recorded["step"].values, finished.step)
    np.testing.assert_allclose(recorded["loss"].values, finished.loss, rtol=1e-6)
    np.testing.assert_allclose(recorded["probs"].values, finished.probs, atol=2e-3)  # as float16 logarithms
