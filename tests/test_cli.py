"""The `predspace` command, as a process would run it."""

from __future__ import annotations

import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from predspace_widgets import cli
from predspace_widgets.explorers.access import Access
from predspace_widgets.trajectories import demo_path, open_trajectories, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Exit code of a command."""
    monkeypatch.setattr(sys, "argv", ["predspace", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_info_says_what_the_demo_holds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert run(monkeypatch, "info", demo_path()) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if " " in line.strip())
    assert lines["tasks"].startswith("7: all digits, 0-4, 5-9, even, odd, three random digits, random labels")
    assert lines["seeds"].startswith("5: 0, 1, 2, 3, 4")
    assert lines["runs"].strip() == "65"
    assert lines["problems"].strip() == "none"
    stress = open_trajectories(demo_path()).predspace.inpca(5).explained_stress.values
    for share in stress:
        assert f"{share:.4f}" in lines["explained"]


def test_info_names_every_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    ds = random_trajectories(n_checkpoints=3)
    path = save_trajectories(ds, tmp_path / "broken.zarr")
    broken = ds.copy(deep=True)
    broken["probs"][1, 2, 0] = np.nan
    broken["label"][0] = 99
    broken.to_zarr(path, mode="w", consolidated=False, zarr_format=3)
    assert run(monkeypatch, "info", path) == 2
    captured = capsys.readouterr()
    problems = captured.err.strip().splitlines()
    assert len(problems) == 2
    assert f"error: {path}: 'label' must lie in [0, 5): sample 0 has 99" in problems[0]
    assert problems[1].startswith(f"error: {path}: ")
    assert "checkpoint 1 (run 'red/supervised/0'" in problems[1]
    assert "Traceback" not in captured.err


def test_a_damaged_dataset_is_one_line_of_a_real_process(tmp_path: Path) -> None:
    """Zarr reads chunks side by side: when one fails, the process ends while others are being read."""
    damaged = tmp_path / "damaged.zarr.zip"
    content = bytearray(demo_path().read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content)
    command = [sys.executable, "-c", "from predspace_widgets.cli import main; main()", "info", str(damaged)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"error: .*'log_probs' cannot be read: Bad CRC-32 for file 'log_probs/c/0/3/0'\n", ended.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nothing.zarr.zip"], "there is no dataset at"),
        (["info", "text.txt"], "must end in one of .zarr.zip, .zarr, .nc"),
        (["info", "text.zarr.zip"], "it cannot be read as .zarr.zip"),
        (["serve", "text.nc"], "/text.nc: it cannot be read as .nc"),
        (["serve", "--password-file", "nothing.txt"], "error: No such file or directory: 'nothing.txt'"),
        (["serve", "--scenes", "talk.yaml"], "error: talk.yaml, scene 2: no curve 'mauve' in this dataset; it has "),
        (["serve", "--scenes", "no.yaml"], "error: No such file or directory: 'no.yaml'"),
        (["serve", "a/same.zarr", "b/same.zarr"], "two datasets are named 'same'"),
        (["serve", "a.zarr", "b.zarr", "--together"], "2 of 4 are only in 'a' (0, 1), 2 of 4 are only in 'b' (4, 5)"),
        (["record", "digit", "--out", "x.zarr.zip"], "digits"),
        (["record", "digits", "--out", "x.txt"], "must end in one of"),
        (["record", "digits", "--out", "x.zarr.zip", "--seeds", "0"], "--seeds"),
        (["record", "digits"], "predspace record RECIPE --out DATA"),
        (["record", "digits", "--out", "x.zarr.zip", "--device", "cuda:99"], "device 'cuda:99' is not there"),
        (["record", "cifar10-tasks", "--out", "x.zarr.zip"], "predspace download cifar10"),
        (["download", "cifar"], "cifar10"),
        (["import", "nothing.pkl", "x.zarr.zip"], "there is nothing at nothing.pkl"),
        (["import", "text.txt", "x.zarr.zip"], "is nothing that can be imported"),
        (["import", "text.pkl", "x.zarr.zip"], "text.pkl cannot be read as a pickle"),
        (["import", "text.pkl", "x.txt"], "must end in one of .zarr.zip, .zarr, .nc"),
        (["import", "text.pkl", "text.nc"], "is there already: --overwrite replaces it"),
        (["import", "text.pkl", "x.nc", "--epochs", "a"], "--epochs must be numbers as in"),
        (["import", "text.pkl"], "Missing argument"),
        (["serve", "--port", "99999999"], "--port"),
        (["sevre"], "sevre"),
    ],
)
def test_bad_input_is_exit_code_2_and_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("text.txt", "text.zarr.zip", "text.nc", "text.pkl"):
        Path(name).write_text("hello")
    Path("talk.yaml").write_text("- say: All.\n- {say: Mauve., settings: {curves: mauve}}")
    if "--together" in arguments:
        ds = random_trajectories(n_samples=6, n_checkpoints=1)
        for name, samples in (("a", slice(4)), ("b", slice(2, 6))):
            save_trajectories(ds.isel(sample=samples), f"{name}.zarr")
    monkeypatch.setenv("COLUMNS", "400")
    assert run(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.glob("x.*")) == []


def test_what_an_import_needs_is_asked_for_at_once_a_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.save(tmp_path / "probs.npy", np.full((5, 50, 4), 0.25))
    assert run(monkeypatch, "import", tmp_path / "probs.npy", tmp_path / "x.zarr.zip") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["error:"] * 3
    assert ["--labels" in lines[0], "--tasks" in lines[1], "--epochs" in lines[2]] == [True] * 3


def test_a_published_picture_is_imported_and_described(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Four checkpoints on a cross: the first eigenvalue is 2, the second, which is imaginary, -0.5, the third 0."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.chdir(tmp_path)
    coordinates = np.array([[[[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]]]])
    content = {"inpca_embedding": coordinates, "eigen_values": [2, 0.5, 0, 0], "imaginary": [False, True, False, False]}
    Path("cross.pkl").write_bytes(pickle.dumps(content))
    arguments = ("import", "cross.pkl", "cross.zarr.zip", "--epochs", "0:3")
    assert run(monkeypatch, *arguments) == 2
    assert "--tasks must, as in --tasks a,b,c" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["cross.pkl"]
    assert run(monkeypatch, *arguments, "--tasks", '"all, and more"') == 0
    printed = capsys.readouterr().out
    assert "1 runs imported into cross.zarr.zip" in printed
    assert run(monkeypatch, "info", "cross.zarr.zip") == 0
    described = capsys.readouterr().out
    lines = [line.removeprefix("- ") for line in printed.splitlines() if line.startswith("- ")]
    assert len(lines) == 6
    for line in lines:
        assert line in described
    for fact in (
        "1: all, and more",
        "1 positive, 1 imaginary; of the first ten, imaginary: 2",
        "1: 0.7575, 2: 1.0000",
    ):
        assert fact in described, fact


@pytest.mark.parametrize("data", ["mine.zarr", "the demo"])
def test_a_lecture_without_a_file_is_the_talk_on_the_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: str
) -> None:
    """On another dataset one card is shown, and why is said."""
    asked: list[Any] = []
    monkeypatch.setattr("predspace_widgets.explorers.page.make_server", lambda *all_of_it: asked.extend(all_of_it))
    monkeypatch.setenv("COLUMNS", "400")
    save_trajectories(random_trajectories(n_checkpoints=2), tmp_path / "mine.zarr")
    with pytest.raises(AttributeError):  # None serves nothing
        run(monkeypatch, "serve", *([tmp_path / data] if data == "mine.zarr" else []), "--present")
    *_, scenes, present = asked
    assert present
    assert len(scenes) == (0 if data == "mine.zarr" else 9)
    said = capsys.readouterr().err
    assert said.count("no scenes: the talk that ships is about the demo") == (data == "mine.zarr")


def test_datasets_are_served_together_by_the_names_of_their_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served: dict[str, Any] = {}
    monkeypatch.setattr("predspace_widgets.explorers.page.make_server", lambda datasets, *_: served.update(datasets))
    for name in ("mine", "theirs"):
        save_trajectories(random_trajectories(n_checkpoints=1), tmp_path / f"{name}.zarr")
    with pytest.raises(AttributeError):  # None serves nothing
        run(monkeypatch, "serve", tmp_path / "mine.zarr", tmp_path / "theirs.zarr", "--together")
    [(title, ds)] = served.items()
    assert title == ds.attrs["title"] == "mine + theirs"
    assert list(dict.fromkeys(ds["source"].values.tolist())) == ["mine", "theirs"]


def test_what_ships_is_served_by_its_name_unless_a_file_has_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    served: dict[str, Any] = {}
    monkeypatch.setattr("predspace_widgets.explorers.page.make_server", lambda datasets, *_: served.update(datasets))
    monkeypatch.chdir(tmp_path)
    mine = open_trajectories(demo_path()).predspace.select(tasks="even", seeds=[0])
    save_trajectories(mine, "mine.zarr")
    for arguments in (["demo", "mine.zarr", "--together"], ["sweep"]):
        with pytest.raises(AttributeError):  # None serves nothing
            run(monkeypatch, "serve", *arguments)
    together, sweep = served.values()
    assert list(dict.fromkeys(together["source"].values.tolist())) == ["demo", "mine"]
    assert sweep.attrs["title"] == open_trajectories(demo_path("sweep")).attrs["title"]
    save_trajectories(random_trajectories(n_checkpoints=2), "other.zarr")
    Path("other.zarr").rename("demo")
    assert run(monkeypatch, "info", "demo") == 2  # the file, whose ending says nothing
    assert "demo" in capsys.readouterr().err


def test_samples_without_names_are_a_warning_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("predspace_widgets.explorers.page.make_server", lambda *_: None)
    for name in ("mine", "theirs"):
        save_trajectories(random_trajectories(n_checkpoints=1), tmp_path / f"{name}.zarr")
    with pytest.raises(AttributeError):  # None serves nothing
        run(monkeypatch, "serve", tmp_path / "mine.zarr", tmp_path / "theirs.zarr", "--together")
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: samples of 'mine' and 'theirs' have no names but 0 to N-1")


def test_a_taken_port_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        assert run(monkeypatch, "serve", demo_path(), "--port", taken.getsockname()[1]) == 2
    captured = capsys.readouterr()
    assert re.match(r"error: port \d+ of localhost cannot be used: .*in use", captured.err)
    assert captured.err.count("\n") == 1
    assert "The explorer is at" not in captured.out


def test_others_are_let_in_only_where_somebody_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        "predspace_widgets.explorers.page.make_server",
        lambda *arguments: made.append(next(one for one in arguments if isinstance(one, Access))),
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run(monkeypatch, "serve", "--address", "0.0.0.0") == 2
    assert "--no-login" in capsys.readouterr().err
    assert made == []
    for options in (["--no-login"], ["--password", "geheim", "--allow-host", "lab.example.org:80"]):
        with pytest.raises(AttributeError):  # None serves nothing
            run(monkeypatch, "serve", "--address", "0.0.0.0", *options)
        assert ("asks for no login" in capsys.readouterr().err) is (options[0] == "--no-login")
    everybody, by_password = made
    assert everybody.login is None
    assert by_password.answers_to("lab.example.org", 5006)
    assert by_password.login.options["auth_provider"].is_right("geheim")
    monkeypatch.setenv("PREDSPACE_PASSWORD", "offen")
    with pytest.raises(AttributeError):
        run(monkeypatch, "serve")
    assert made[2].login.options["auth_provider"].is_right("offen")


@pytest.fixture
def short_recipe(tmp_path: Path) -> Path:
    """The supervised part of the demo's recipe, with narrow networks and few steps."""
    text = """
dataset: {name: digits, n_train: 1100}
network: {width: 4}
checkpoints: {count: 3, dense: 2}
tasks:
  even: {classes: [0, 2, 4, 6, 8]}
  odd: {classes: [1, 3, 5, 7, 9]}
methods: {supervised: {steps: 40}}
"""
    recipe = tmp_path / "short.yaml"
    recipe.write_text(text)
    return recipe


def test_record_trains_and_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, short_recipe: Path
) -> None:
    out = tmp_path / "short.zarr.zip"
    assert run(monkeypatch, "record", short_recipe, "--out", out, "--seeds", 1, "--workers", 1) == 0
    assert "2 runs recorded" in capsys.readouterr().out
    ds = open_trajectories(out)
    assert ds.sizes["checkpoint"] == 6
    assert set(ds["seed"].values) == {0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.yaml", "short.zarr.zip"]


#: `predspace record` whose processes are all killed once the first run is kept.
KILLED = """
import os, signal
from predspace_widgets import cli
from predspace_widgets.training import sweep
save = sweep.save_trajectories

def save_and_die(*arguments, **options):
    save(*arguments, **options)
    os.killpg(0, signal.SIGKILL)

sweep.save_trajectories = save_and_die
cli.main()
"""


def test_record_that_is_killed_goes_on_and_ends_with_the_same_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, short_recipe: Path
) -> None:
    """The whole family of processes, with no chance to clean up; then another number of workers."""
    whole, broken = tmp_path / "whole.zarr.zip", tmp_path / "broken.zarr.zip"
    kept = broken.with_name("broken.zarr.zip.runs")
    arguments = ["record", short_recipe, "--seeds", "2", "--out"]
    command = [sys.executable, "-c", KILLED, *map(str, arguments), str(broken), "--workers", "2"]
    assert subprocess.run(command, start_new_session=True, capture_output=True).returncode == -signal.SIGKILL
    assert not broken.exists()
    assert len(list(kept.glob("*.zarr"))) == 1
    for path in (broken, whole):
        assert run(monkeypatch, *arguments, path, "--workers", 1) == 0
    assert broken.read_bytes() == whole.read_bytes()
    assert not kept.exists()


@pytest.mark.parametrize(("workers", "send"), [(1, os.kill), (2, os.killpg)])
def test_sigterm_ends_a_recording_as_ctrl_c_does(tmp_path: Path, short_recipe: Path, workers: int, send: Any) -> None:
    """To the process alone, or to all of them, as a queue of jobs does it."""
    out, temporary = tmp_path / "x.zarr.zip", tmp_path / "temporary"
    temporary.mkdir()
    # So many seeds that it has not ended when the signal comes, however late that is.
    arguments = ["record", str(short_recipe), "--seeds", "100", "--out", str(out), "--workers", str(workers)]
    process = subprocess.Popen(
        [sys.executable, "-m", "predspace_widgets", *arguments],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    kept = out.with_name("x.zarr.zip.runs")
    while not list(kept.glob("*.zarr")):
        assert process.poll() is None
        time.sleep(0.02)
    send(process.pid, signal.SIGTERM)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 143
    assert "stopped: the same command goes on with the runs that are not finished" in said
    assert "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.yaml", "temporary", kept.name]
    assert all(path.suffix == ".zarr" and open_trajectories(path) for path in kept.iterdir())
    assert not [path for path in temporary.rglob("*") if "worker-" in path.name]


def test_record_replaces_only_what_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, short_recipe: Path
) -> None:
    out, kept = tmp_path / "mine.zarr", tmp_path / "mine.zarr.runs"
    for folder in (out, kept / "other.zarr"):
        folder.mkdir(parents=True)
        (folder / "notes.txt").write_text("mine")
    arguments = ("record", short_recipe, "--out", out, "--seeds", 1, "--workers", 1)
    assert run(monkeypatch, *arguments) == 2
    assert "is there already: choose another name, or replace it with --overwrite" in " ".join(
        capsys.readouterr().err.split()
    )
    assert (out / "notes.txt").read_text() == "mine"
    assert run(monkeypatch, *arguments, "--overwrite") == 0
    assert "runs of another recipe are still in" in capsys.readouterr().err
    assert open_trajectories(out).sizes["checkpoint"] == 6
    assert [path.name for path in kept.iterdir()] == ["other.zarr"]
    assert (kept / "other.zarr" / "notes.txt").read_text() == "mine"


def test_two_recordings_of_one_dataset_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, short_recipe: Path
) -> None:
    with FileLock(tmp_path / ".x.zarr.runs.lock"):
        assert run(monkeypatch, "record", short_recipe, "--out", tmp_path / "x.zarr", "--workers", 1) == 2
    assert "another process is recording" in capsys.readouterr().err


def test_a_recording_that_is_stopped_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, short_recipe: Path
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("predspace_widgets.training.sweep.train_run", stop)
    assert run(monkeypatch, "record", short_recipe, "--out", tmp_path / "x.zarr", "--workers", 1) == 130
    assert "stopped: the same command goes on with the runs that are not finished" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said_before_the_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, short_recipe: Path
) -> None:
    monkeypatch.setattr("predspace_widgets.training.sweep.train_run", lambda *_: pytest.fail("trained"))
    assert run(monkeypatch, "record", short_recipe, "--out", short_recipe / "x.zarr", "--workers", 1) == 2
    assert re.search("Not a directory|File exists", capsys.readouterr().err)


def test_info_of_a_single_checkpoint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = save_trajectories(random_trajectories(n_checkpoints=3).isel(checkpoint=[0]), tmp_path / "one.zarr")
    assert run(monkeypatch, "info", path) == 0
    assert "one checkpoint makes no picture" in capsys.readouterr().out


def test_record_lists_recipes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "record", "--list") == 0
    printed = capsys.readouterr().out
    for name in ("digits", "digits-methods", "cifar10-tasks", "cifar10-methods", "imagenet-tasks", "sweep"):
        assert f"\n{name} " in f"\n{printed}"


def test_record_says_which_runs_diverged(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, short_recipe: Path
) -> None:
    short_recipe.write_text(short_recipe.read_text().replace("steps: 40", "steps: 40, learning_rate: 1e30"))
    out = tmp_path / "short.zarr.zip"
    assert run(monkeypatch, "record", short_recipe, "--out", out, "--seeds", 1, "--workers", 1) == 0
    # Where it is noticed first, in the loss or in the features of a checkpoint, hangs on the rounding of the machine.
    why = r"(the loss is \w+ at step \d+|features are not finite)"
    assert re.search(rf"diverged: odd/supervised/0 is recorded up to there: {why}", capsys.readouterr().err)
    assert open_trajectories(out).attrs["diverged"] == ["even/supervised/0", "odd/supervised/0"]
    assert run(monkeypatch, "info", out) == 0
    assert re.search(f"odd/supervised/0: {why}", capsys.readouterr().out)
