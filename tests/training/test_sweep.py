"""Small sweeps from recipe to dataset: they learn, repeat bit for bit, and go on when a run diverges."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import torch
import xarray as xr
from distributed import LocalCluster

import predspace_widgets as pw
from predspace_widgets.training import (
    FinishedRun,
    Recipe,
    Task,
    folder_of_runs,
    load_images,
    load_recipe,
    plan_runs,
    record_recipe,
    record_to,
    split_images,
    sweep,
    to_trajectories,
    train_run,
    train_runs,
)
from predspace_widgets.training.imprint import ImprintSettings
from predspace_widgets.training.methods.fine_tuning import FineTuningSettings
from predspace_widgets.training.methods.fixmatch import FixMatchSettings
from predspace_widgets.training.methods.prototypical import PrototypicalSettings
from predspace_widgets.training.methods.supervised import SupervisedSettings
from predspace_widgets.training.recipe import MethodPlan, NetworkSettings, parse_recipe
from predspace_widgets.training.snapshots import CheckpointSchedule
from predspace_widgets.training.sweep import fingerprint
from predspace_widgets.training.workers import start_workers
from predspace_widgets.trajectories import open_trajectories, save_trajectories
from predspace_widgets.trajectories.divergence import diverged
from predspace_widgets.trajectories.storage import Store


def supervised(**settings: Any) -> MethodPlan:
    return MethodPlan("supervised", "supervised", SupervisedSettings(**settings))


def tiny_recipe(**changes: object) -> Recipe:
    """Two tasks, a narrow network, 60 steps, one seed."""
    digits = load_recipe("digits")
    return replace(
        digits,
        name="tiny",
        tasks=(digits.tasks[0], digits.tasks[3]),
        network=NetworkSettings(width=8),
        methods=(supervised(steps=60),),
        checkpoints=CheckpointSchedule(count=6, dense=2),
        seeds=(0,),
        **changes,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def recorded(calls: list[tuple[str, int, int]]) -> xr.Dataset:
    return record_recipe(tiny_recipe(), on_progress=lambda *call: calls.append(call))


def test_a_sweep_is_a_dataset(recorded: xr.Dataset, calls: list[tuple[str, int, int]]) -> None:
    assert dict(recorded.sizes) == {"checkpoint": 12, "sample": 697, "class": 10, "row": 8, "column": 8}
    assert list(dict.fromkeys(recorded.run.values)) == ["all digits/supervised/0", "even/supervised/0"]
    assert recorded.step.values[:6].tolist() == list(tiny_recipe().checkpoints.steps(60))
    np.testing.assert_allclose(recorded.epoch.values[6:], recorded.step.values[6:] * 64 / 545, rtol=0.01)
    assert calls == [("", 0, 2), ("all digits/supervised/0", 1, 2), ("even/supervised/0", 2, 2)]
    _, evaluation = split_images(load_images("digits"), 1100, 1)
    np.testing.assert_array_equal(recorded["sample"], evaluation.sample_ids)
    np.testing.assert_array_equal(recorded["label"], evaluation.labels)
    np.testing.assert_array_equal(recorded["image"], evaluation.images)
    assert "load_digits" in recorded.attrs["source"]
    assert "learning_rate: 0.05" in recorded.attrs["recipe"]
    assert recorded.attrs["created_by"].endswith("predspace record tiny")
    assert "diverged" not in recorded.attrs


def test_methods_are_paired_with_tasks() -> None:
    plan = replace(supervised(), name="briefly", tasks=("even",))
    runs = plan_runs(replace(tiny_recipe(), methods=(supervised(), plan)))
    assert [run.name for run in runs] == ["all digits/supervised/0", "even/supervised/0", "even/briefly/0"]


def test_metrics_are_those_of_the_predictions(recorded: xr.Dataset) -> None:
    probs, label = recorded["probs"].values.astype(np.float64), recorded["label"].values  # (T, N, C), (N,)
    np.testing.assert_allclose(recorded["accuracy"], (probs.argmax(axis=2) == label).mean(axis=1))
    of_truth = probs[:, np.arange(len(label)), label]
    np.testing.assert_allclose(recorded["loss"], -np.log(of_truth).mean(axis=1), rtol=1e-5)


def test_training_beats_the_untrained_network(recorded: xr.Dataset) -> None:
    for _, run in recorded.groupby("run"):
        assert run["accuracy"][-1] > run["accuracy"][0] + 0.1
        assert run["loss"][-1] < run["loss"][0] - 0.5


def assert_same(first: FinishedRun, second: FinishedRun) -> None:
    assert first.probs.tobytes() == second.probs.tobytes()
    assert first.accuracy.tobytes() == second.accuracy.tobytes()
    assert first.loss.tobytes() == second.loss.tobytes()


def test_runs_repeat_bit_for_bit_whatever_else_runs() -> None:
    recipe = tiny_recipe()
    first, second = train_runs(recipe)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)  # the recipe says 1
    torch.manual_seed(12)
    try:
        (alone,) = train_runs(recipe, [plan_runs(recipe)[1]])
    finally:
        torch.set_num_threads(threads)
    assert_same(second, alone)
    widened = replace(recipe, seeds=(0, 1), tasks=(*recipe.tasks, Task("odd", classes=("1", "3", "5"))))
    same = next(run for run in plan_runs(widened) if run.name == first.run.name)
    assert_same(first, train_run(widened, same))


def test_runs_differ_in_task_seed_and_purpose() -> None:
    recipe = tiny_recipe()
    runs = plan_runs(replace(recipe, seeds=(0, 1)))
    seeds = [run.derived_seed(purpose) for run in runs for purpose in ("weights", "training")]
    assert len(set(seeds)) == len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    first, second = (train_run(recipe, run) for run in runs[:2])
    assert first.probs[0].tobytes() != second.probs[0].tobytes()


def test_settings_of_torch_come_back() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    recipe = tiny_recipe(threads=2 if before[0] == 1 else 1)
    train_run(replace(recipe, methods=(supervised(steps=1),)), plan_runs(recipe)[0])
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_seeds_can_be_chosen() -> None:
    recipe = replace(tiny_recipe(), methods=(supervised(steps=1),))
    ds = record_recipe(recipe, seeds=[5, 7])
    assert sorted(set(ds["seed"].values)) == [5, 7]
    assert "seeds: [5, 7]" in ds.attrs["recipe"]


def test_a_diverging_run_is_recorded_up_to_there_and_the_sweep_goes_on() -> None:
    good = tiny_recipe()
    bad = replace(good, methods=(supervised(steps=60, learning_rate=1e30),))
    broken, fine = train_run(bad, plan_runs(bad)[0]), train_run(good, plan_runs(good)[1])
    assert broken.diverged is not None
    assert 1 <= len(broken.step) < 6
    assert np.isfinite(broken.probs).all()
    assert fine.diverged is None
    ds = to_trajectories(good, [broken, fine])
    assert ds.attrs["diverged"] == ["all digits/supervised/0"]
    assert ds.sizes["checkpoint"] == len(broken.step) + 6
    assert [done.diverged is None for done in train_runs(bad)] == [False, False]


def test_tasks_are_checked_before_the_first_training() -> None:
    recipe = replace(tiny_recipe(), tasks=(Task("all"), Task("bad", classes=("1", "eleven"))))
    done: list[str] = []
    with pytest.raises(ValueError, match=r"unknown class of task 'bad' 'eleven'"):
        record_recipe(recipe, on_progress=lambda name, *_: done.append(name))
    assert done == []


# -- fine-tuning -------------------------------------------------------------------------------------------------------


def fine_tuning_recipe(**source_settings: Any) -> Recipe:
    digits = load_recipe("digits")
    plan = MethodPlan("on even", "fine-tuning", FineTuningSettings(steps=5), ("odd",), source="even")
    return replace(
        tiny_recipe(), tasks=(digits.task("even"), digits.task("odd")), methods=(supervised(**source_settings), plan)
    )


def test_fine_tuning_starts_where_its_source_ended() -> None:
    recipe = fine_tuning_recipe(steps=20)
    by_name = {run.name: run for run in plan_runs(recipe)}
    source, tuned = train_run(recipe, by_name["even/supervised/0"]), train_run(recipe, by_name["odd/on even/0"])
    # Predictions come from the features, which a new last layer does not change.
    np.testing.assert_array_equal(tuned.probs[0], source.probs[-1])
    assert tuned.step[0] == 0
    assert np.abs(tuned.probs[-1] - tuned.probs[0]).max() > 0.01


def test_a_source_that_diverges_ends_the_run_and_not_the_sweep(tmp_path: Path) -> None:
    recipe = fine_tuning_recipe(steps=20, learning_rate=1e30)
    tuned = train_run(recipe, plan_runs(recipe)[-1])
    assert tuned.diverged is not None
    assert tuned.diverged.startswith("the source even/supervised/0 diverged")
    assert len(tuned.step) == 0
    ds = record_recipe(recipe, folder=tmp_path)
    assert sorted(ds.attrs["diverged"]) == ["even/supervised/0", "odd/on even/0", "odd/supervised/0"]
    assert diverged(ds)["odd/on even/0"].startswith("the source even/supervised/0 diverged: the loss is nan")
    assert set(ds.run.values) == {"even/supervised/0", "odd/supervised/0"}


# -- going on ----------------------------------------------------------------------------------------------------------


class Stopped(Exception):
    pass


def stop_after(n_runs: int) -> Callable[[str, int, int], None]:
    def on_progress(_: str, done: int, of: int) -> None:
        if done == n_runs < of:
            raise Stopped

    return on_progress


def test_a_sweep_that_was_stopped_goes_on_and_ends_with_the_same_numbers(
    tmp_path: Path, recorded: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        record_recipe(tiny_recipe(), on_progress=stop_after(1), folder=tmp_path)
    trained: list[str] = []
    monkeypatch.setattr(sweep, "train_run", lambda recipe, run: trained.append(run.name) or train_run(recipe, run))
    ds = record_recipe(tiny_recipe(), folder=tmp_path)
    assert trained == ["even/supervised/0"]
    xr.testing.assert_identical(ds.load(), recorded)
    assert record_recipe(tiny_recipe(), folder=tmp_path).identical(recorded)
    assert trained == ["even/supervised/0"]


@pytest.mark.parametrize(
    "changed",
    [
        lambda recipe: replace(recipe, imprint=ImprintSettings(temperature=0.04)),
        lambda recipe: replace(recipe, methods=(supervised(steps=59),)),
        lambda recipe: replace(recipe, dataset=replace(recipe.dataset, split_seed=9)),
        lambda recipe: replace(recipe, tasks=(recipe.tasks[0], replace(recipe.tasks[1], classes=("0", "2")))),
    ],
)
def test_runs_of_another_recipe_are_not_taken_for_this_one(changed: Callable[[Recipe], Recipe]) -> None:
    recipe = tiny_recipe()
    assert [run.name for run in plan_runs(recipe)] == [run.name for run in plan_runs(changed(recipe))]
    assert fingerprint(recipe, plan_runs(recipe)[1]) != fingerprint(changed(recipe), plan_runs(changed(recipe))[1])


def test_a_full_disk_is_said_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sweep, "save_trajectories", no_room)
    recipe = replace(tiny_recipe(), methods=(supervised(steps=1),))
    with pytest.raises(OSError, match=f"no space left on the disk of {tmp_path}; the runs recorded so far are kept"):
        record_recipe(recipe, folder=tmp_path)


# -- workers -----------------------------------------------------------------------------------------------------------


def test_workers_give_the_same_numbers(tmp_path: Path, recorded: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit; what fails there reaches the caller, and one that is killed loses nothing but time."""
    saved_by: list[str] = []

    def save(*arguments: Any, **options: Any) -> Path:
        saved_by.append(dask.config.get("scheduler"))
        return save_trajectories(*arguments, **options)

    monkeypatch.setattr(sweep, "save_trajectories", save)
    with start_workers(tiny_recipe(), workers=2) as client:
        assert client is not None
        assert len(client.scheduler_info()["workers"]) == 2
        ds = record_recipe(tiny_recipe(), folder=tmp_path / "undisturbed", client=client)
        xr.testing.assert_identical(ds.load(), recorded)
        # By this process: the workers would do it when they have nothing left to train, and on their own disks.
        assert saved_by == ["threads", "threads"]

        with pytest.raises(ValueError, match="device 'cuda:99' is not there"):
            record_recipe(tiny_recipe(device="cuda:99"), folder=tmp_path / "elsewhere", client=client)

        victim = next(iter(client.run(os.getpid).values()))

        def kill_one(_: str, done: int, of: int) -> None:
            if done == 0:  # both have just begun, or are about to
                os.kill(victim, signal.SIGKILL)

        ds = record_recipe(tiny_recipe(), folder=tmp_path / "killed", client=client, on_progress=kill_one)
        xr.testing.assert_identical(ds.load(), recorded)


def test_workers_of_a_scheduler_that_there_is(tmp_path: Path, recorded: xr.Dataset) -> None:
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        start_workers(tiny_recipe(), scheduler=cluster.scheduler_address) as client,
    ):
        ds = record_recipe(tiny_recipe(), folder=tmp_path, client=client)
    xr.testing.assert_identical(ds.load(), recorded)


def test_one_worker_is_this_process() -> None:
    with start_workers(tiny_recipe(), workers=1) as client:
        assert client is None


def test_threads_of_one_worker_do_not_disturb_each_other(tmp_path: Path, recorded: xr.Dataset) -> None:
    """`dask worker` has as many threads as there are cores, unless it is told."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=":0") as cluster,
        start_workers(tiny_recipe(), scheduler=cluster.scheduler_address) as client,
    ):
        ds = record_recipe(tiny_recipe(), folder=tmp_path, client=client)
    xr.testing.assert_identical(ds.load(), recorded)


def test_a_broken_run_is_trained_again(tmp_path: Path, recorded: xr.Dataset) -> None:
    record_recipe(tiny_recipe(), folder=tmp_path)
    first, second = sorted(tmp_path.glob("*.zarr"))
    next(path for path in first.glob("log_probs/c/**/*") if path.is_file()).write_bytes(b"no chunk")
    (second / "zarr.json").unlink()
    assert record_recipe(tiny_recipe(), folder=tmp_path).identical(recorded)


def test_an_error_names_the_run() -> None:
    plan = MethodPlan("fixmatch", "fixmatch", FixMatchSettings(steps=1, n_labelled=5000))
    recipe = replace(tiny_recipe(), methods=(plan,))
    with pytest.raises(ValueError, match="all digits/fixmatch/0: n_labelled must be at least 1 for each"):
        train_run(recipe, plan_runs(recipe)[0])


def test_methods_that_do_not_fit_are_named_before_the_first_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "train_run", lambda *_: pytest.fail("trained"))
    few = MethodPlan("few labels", "fixmatch", FixMatchSettings(steps=1, n_labelled=7))
    episodes = MethodPlan("episodes", "prototypical", PrototypicalSettings(steps=1, n_way=7))
    recipe = replace(tiny_recipe(), methods=(supervised(steps=1), few, episodes))
    with pytest.raises(ValueError, match="does not fit") as error:
        record_to(recipe, tmp_path / "x.zarr", workers=1)
    assert str(error.value) == (
        "all digits/few labels: method 'few labels' does not fit task 'all digits': n_labelled must be at least 1 for "
        "each of 10 classes and at most the 1100 images, got 7; even/episodes: method 'episodes' does not fit task "
        "'even': an episode of 7 classes needs as many, the task has 5. Change the numbers of the method, or name the "
        "tasks that it is for (tasks: [...])"
    )
    with pytest.raises(ValueError, match="an episode needs 1002 images of each class"):
        PrototypicalSettings(n_way=2, k_shot=1000, n_query=2).check_fits(np.repeat([0, 1], 1001))


def test_fine_tuning_depends_on_the_classes_of_its_source(tmp_path: Path) -> None:
    listed = tmp_path / "classes.json"
    listed.write_text("[0, 1, 2]")
    plan = MethodPlan("tuned", "fine-tuning", FineTuningSettings(steps=5), ("odd",), source="listed")
    tasks = (Task("listed", classes_file=str(listed)), load_recipe("digits").task("odd"))
    recipe = replace(tiny_recipe(), tasks=tasks, methods=(supervised(), plan))
    run = plan_runs(recipe)[-1]
    before = fingerprint(recipe, run)
    listed.write_text("[6, 7, 8]")
    assert fingerprint(recipe, run) != before


def test_a_recipe_that_trains_nothing(tmp_path: Path) -> None:
    recipe = replace(tiny_recipe(), methods=(replace(supervised(), tasks=()),))
    with pytest.raises(ValueError, match="the recipe trains nothing"):
        record_recipe(recipe, folder=tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"device 'cuda' is not there \(.*CUDA.*\): train on another, such as 'cpu'"):
        record_recipe(tiny_recipe(device="cuda"))


# -- to a path ---------------------------------------------------------------------------------------------------------


def brief_recipe() -> Recipe:
    """Two runs of one step each."""
    return replace(tiny_recipe(), methods=(supervised(steps=1),))


def never(*_: object) -> FinishedRun:
    pytest.fail("trained")


@pytest.mark.parametrize("name", ["brief.zarr.zip", "brief.zarr", "brief.nc"])
def test_recorded_to_a_path_it_is_the_dataset_itself(name: str, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    path = tmp_path / name
    ds = record_to(brief_recipe(), path, workers=1, on_progress=lambda *call: calls.append(call))
    assert calls == [("", 0, 2), ("", 0, 2), ("all digits/supervised/0", 1, 2), ("even/supervised/0", 2, 2)]
    assert [file.name for file in tmp_path.iterdir()] == [name]  # no run is kept, nothing is locked
    expected = record_recipe(brief_recipe())
    xr.testing.assert_allclose(ds.drop_vars("probs").compute(), expected.drop_vars("probs"))
    np.testing.assert_allclose(ds["probs"], expected["probs"], rtol=2e-3, atol=1e-6)  # float16
    assert ds.attrs == expected.attrs
    with pw.open_trajectories(path) as again:
        xr.testing.assert_equal(again.compute(), ds.compute())


def test_what_is_there_is_replaced_only_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.zarr.zip"
    path.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "train_run", never)
        with pytest.raises(ValueError, match=r"mine\.zarr\.zip is there already: .* replace it with overwrite=True"):
            record_to(brief_recipe(), path, workers=1)
    assert path.read_text() == "mine"
    assert record_to(brief_recipe(), path, workers=1, overwrite=True).sizes["checkpoint"] == 4


def test_another_process_that_records_to_the_same_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "brief.zarr"
    code = "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held'); input()"
    command = [sys.executable, "-uc", code, str(tmp_path / ".brief.zarr.runs.lock")]
    monkeypatch.setattr(sweep, "train_run", never)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OSError, match=r"another process is recording: it holds .*\.brief\.zarr\.runs\.lock"):
            record_to(brief_recipe(), path, workers=1)
        other.communicate("\n")
    assert not path.exists()


def test_finished_runs_stay_after_an_interruption_and_are_forgotten_after_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "brief.zarr"

    def interrupt(_: str, done: int, of: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_to(brief_recipe(), path, workers=1, on_progress=interrupt)
    assert [file.name for file in tmp_path.iterdir()] == ["brief.zarr.runs"]
    assert len(list(folder_of_runs(path).iterdir())) == 1
    foreign = folder_of_runs(path) / "other.zarr"
    foreign.mkdir()
    trained: list[str] = []
    monkeypatch.setattr(sweep, "train_run", lambda recipe, run: trained.append(run.name) or train_run(recipe, run))
    ds = record_to(brief_recipe(), path, workers=1)
    assert trained == ["even/supervised/0"]
    assert ds.sizes["checkpoint"] == 4
    assert list(folder_of_runs(path).iterdir()) == [foreign]


def test_what_a_killed_process_left_beside_a_finished_run_goes_with_the_runs(tmp_path: Path) -> None:
    """Killed between the rename that puts a run in its place and the removal of the folder it was written in."""
    path = tmp_path / "brief.zarr"
    kept = folder_of_runs(path)
    record_recipe(brief_recipe(), folder=kept)
    for file in list(kept.iterdir()):
        left = kept / f".{file.name}.saving-0123abcd"
        left.mkdir()
        (left / "lock").touch()
    record_to(brief_recipe(), path, workers=1)
    assert [file.name for file in tmp_path.iterdir()] == ["brief.zarr"]


@pytest.mark.parametrize("name", ["brief.zarr", "brief.nc"])
def test_one_run_that_diverged_is_a_list_of_one(name: str, tmp_path: Path) -> None:
    recipe = tiny_recipe()
    recipe = replace(recipe, tasks=recipe.tasks[1:], methods=(supervised(steps=40, learning_rate=1e30),))
    recorded = record_to(recipe, tmp_path / name, workers=1)
    for ds in (recorded, open_trajectories(tmp_path / name)):
        assert ds.attrs["diverged"] == ["even/supervised/0"]
        assert diverged(ds) == {"even/supervised/0": "features are not finite: the network has diverged"}


@pytest.mark.parametrize(
    ("changed", "name", "message"),
    [({"device": "cuda:99"}, "brief.zarr", "device 'cuda:99' is not there"), ({}, "brief.txt", "must end in one of")],
)
def test_what_can_be_checked_is_checked_before_anything_is_made(
    changed: dict[str, Any], name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        record_to(tiny_recipe(**changed), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("store", ["log_probs", "probs"])
def test_a_recipe_says_how_predictions_are_stored(tmp_path: Path, recorded: xr.Dataset, store: Store) -> None:
    record_to(replace(tiny_recipe(), store=store), tmp_path / "stored.zarr", workers=1)
    assert (tmp_path / "stored.zarr" / store).is_dir()
    np.testing.assert_allclose(open_trajectories(tmp_path / "stored.zarr")["probs"], recorded["probs"], atol=1e-3)
    assert parse_recipe(replace(tiny_recipe(), store=store).to_yaml(), "tiny").store == store
    with pytest.raises(ValueError, match="form of predictions 'roots'"):
        replace(tiny_recipe(), store="roots")
