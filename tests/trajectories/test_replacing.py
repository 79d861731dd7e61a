"""What is replaced is there, the old or the new, at any moment: with errors, kills, other processes, full disks."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from predspace_widgets.trajectories import open_trajectories, replacing, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories

KINDS = [".zarr", ".zarr.zip", ".nc"]
# Processes that begin with what takes long to import.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["predspace_widgets.trajectories.storage", "tests.trajectories.test_replacing"])


def content(path: Path) -> Any:
    return {file.name: content(file) for file in path.iterdir()} if path.is_dir() else path.read_text()


def write(path: Path, value: Any) -> None:
    if isinstance(value, str):
        path.write_text(value)
        return
    path.mkdir()
    for name, member in value.items():
        write(path / name, member)


@pytest.fixture(params=["exchanged", "by two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "by two renames":
        monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    return str(request.param)


FOLDER = {"a": "1", "b": {"c": "2", "d": {}}}


@pytest.mark.parametrize("new", ["new", {}, FOLDER])
@pytest.mark.parametrize("old", [None, "old", {}, {"a": "0", "e": {"f": "3"}}])
def test_anything_takes_the_place_of_anything(tmp_path: Path, way: str, old: Any, new: Any) -> None:
    if old is not None:
        write(tmp_path / "it", old)
    with replacing.replacing(tmp_path / "it") as place:
        write(place, new)
    assert content(tmp_path) == {"it": new}


@pytest.mark.parametrize("old", [None, "old", FOLDER])
def test_an_error_changes_nothing(tmp_path: Path, way: str, old: Any) -> None:
    if old is not None:
        write(tmp_path / "it", old)
    before = content(tmp_path)
    with pytest.raises(ZeroDivisionError), replacing.replacing(tmp_path / "it") as place:
        write(place, {"half": str(1 // len(content(place.parent)["lock"]))})
    assert content(tmp_path) == before


def test_a_move_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "it", FOLDER)
    monkeypatch.setattr(replacing, "_exchange", lambda *_: False)
    rename = os.rename

    def fail(one: Path, other: Path) -> None:
        if Path(other) == tmp_path / "it" and Path(one).name == "it":
            raise OSError(5, "the disk is broken")
        rename(one, other)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="broken"), replacing.replacing(tmp_path / "it") as place:
        write(place, {"new": "1"})
    assert content(tmp_path) == {"it": FOLDER}


def test_a_link_is_replaced_and_not_what_it_leads_to(tmp_path: Path) -> None:
    write(tmp_path / "far", FOLDER)
    (tmp_path / "it").symlink_to(tmp_path / "far")
    with replacing.replacing(tmp_path / "it") as place:
        write(place, {"new": "1"})
    assert content(tmp_path) == {"far": FOLDER, "it": {"new": "1"}}
    assert not (tmp_path / "it").is_symlink()


def test_all_is_on_the_disk_before_it_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Path] = []
    sync, move = replacing._sync, replacing._move
    monkeypatch.setattr(replacing, "_sync", lambda path: (done.append(path), sync(path)))
    monkeypatch.setattr(replacing, "_move", lambda new, where: (done.append(Path("moved")), move(new, where)))
    with replacing.replacing(tmp_path / "it") as place:
        write(place, FOLDER)
    at = done.index(Path("moved"))
    names = ["", "a", "b", "b/c", "b/d"]
    assert sorted(done[:at]) == sorted(place / name for name in names)
    assert done[at + 1 :] == [tmp_path]


def killed(target: Any, *arguments: Any, after: float | None = None) -> None:
    """Run a function in a process, until a moment or until it kills itself."""
    process = FORKS.Process(target=target, args=arguments, daemon=True)
    process.start()
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL


def write_and_die(path: Path) -> None:
    with replacing.replacing(path) as place:
        write(place, {"half": "of it"})
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_save_left_is_removed_by_the_next_and_nothing_else_is(tmp_path: Path) -> None:
    others = {".it.saving-note": "mine", ".its.saving-01234567": {"lock": ""}, ".it-abc": {"old": "mine"}}
    write(tmp_path / "it", FOLDER)
    for name, value in others.items():
        write(tmp_path / name, value)
    write(tmp_path / "far", FOLDER)
    (tmp_path / ".it.saving-00000000").symlink_to(tmp_path / "far")
    killed(write_and_die, tmp_path / "it")
    (tmp_path / ".it.saving-11111111").mkdir()  # of one that was killed before it had a lock
    assert len(list(tmp_path.glob(".it.saving-????????"))) == 3
    with replacing.replacing(tmp_path / "it") as theirs:  # still being written when the next save looks
        write(theirs, {"theirs": "1"})
        with replacing.replacing(tmp_path / "it") as ours:
            write(ours, "ours")
        assert content(tmp_path / "it") == "ours"
    left = content(tmp_path)
    assert left.pop(".it.saving-00000000") == FOLDER  # a link, not ours
    assert left == {"it": {"theirs": "1"}, "far": FOLDER, **others}


def swap_and_die(path: Path) -> None:
    rename = os.rename

    def rename_and_die(one: Path, other: Path) -> None:
        rename(one, other)
        os.kill(os.getpid(), signal.SIGKILL)

    replacing._exchange = lambda *_: False
    os.rename = rename_and_die
    save_trajectories(random_trajectories(n_samples=7), path)


def test_a_kill_between_two_renames_is_mended_when_the_path_is_opened(tmp_path: Path) -> None:
    path = save_trajectories(random_trajectories(n_samples=5), tmp_path / "it.zarr")
    killed(swap_and_die, path)
    assert not path.exists()
    assert open_trajectories(path).sizes["sample"] == 7
    assert [file.name for file in tmp_path.iterdir()] == ["it.zarr"]


def replace_for_ever(path: Path, seed: int) -> None:
    for number in range(10**6):
        with replacing.replacing(path) as place:
            write(place, {str(part): f"{seed} {number}" for part in range(20)})


def test_killed_at_any_moment_one_or_the_other_is_there(tmp_path: Path) -> None:
    moments = random.Random(0)
    write(tmp_path / "it", dict.fromkeys(map(str, range(20)), "old"))
    for seed in range(12):
        killed(replace_for_ever, tmp_path / "it", seed, after=moments.uniform(0.02, 0.15))
        parts = content(tmp_path / "it")
        assert len(parts) == 20
        assert len(set(parts.values())) == 1
    with replacing.replacing(tmp_path / "it") as place:
        write(place, "last")
    assert content(tmp_path) == {"it": "last"}


def test_something_is_there_while_processes_replace_it(tmp_path: Path) -> None:
    path = tmp_path / "it"
    write(path, {"part": "old"})
    processes = [FORKS.Process(target=replace_for_ever, args=(path, seed), daemon=True) for seed in range(3)]
    for process in processes:
        process.start()
    seen, changes = 0, 0
    try:
        until = time.monotonic() + 300
        while changes < 30 and time.monotonic() < until:
            folder = os.open(path, os.O_RDONLY)  # one of them, whatever takes its place now
            before, seen = seen, os.fstat(folder).st_ino
            changes += seen != before
            os.close(folder)
        assert all(process.is_alive() for process in processes)
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert changes > 2
    assert len(content(path)) in (1, 20)


def save_for_ever(path: Path) -> None:
    for number in range(10**6):
        save_trajectories(random_trajectories(n_samples=5 + number % 2, seed=number % 2), path)


@pytest.mark.parametrize("kind", KINDS)
def test_saves_that_are_killed_leave_a_dataset_and_then_nothing_else(tmp_path: Path, kind: str) -> None:
    moments = random.Random(kind)
    path = save_trajectories(random_trajectories(n_samples=5, seed=0), tmp_path / f"it{kind}")
    for _ in range(4):
        killed(save_for_ever, path, after=moments.uniform(0.1, 0.6))
        ds = open_trajectories(path)
        number = ds.sizes["sample"] - 5
        wanted = random_trajectories(n_samples=5 + number, seed=number)
        xr.testing.assert_allclose(ds["probs"].load(), wanted["probs"].astype("float32"), atol=1e-3)
        ds.close()
    save_trajectories(random_trajectories(n_samples=9), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("no small disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


FILL = """
import os, sys
from predspace_widgets.trajectories import save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
path, rooms = sys.argv[1], sys.argv[2:]
disk = os.path.dirname(path)
large = random_trajectories(n_samples=100, n_classes=10, n_checkpoints=50, seed=1)
for room in map(int, rooms):
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with open(disk + "/fill", "wb") as file:
        file.write(bytes(max(0, free - room)))
    try:
        save_trajectories(large, path)
        print("saved")
    except OSError as error:
        print(error)
    os.unlink(disk + "/fill")
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_an_error_that_leaves_the_old_and_nothing_else(small_disk: Path, kind: str) -> None:
    old = save_trajectories(random_trajectories(n_samples=5), small_disk / f"it{kind}")
    rooms = [0, 4096, 40_000, 40_000, 150_000, 250_000]  # bytes; it needs more
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(old), *map(str, rooms)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr  # a crash at the end of the process, too, would be seen here
    for line in done.stdout.splitlines():
        assert f"no space left on the disk to write {old}: what was there is there still" in line
    assert len(done.stdout.splitlines()) == len(rooms)
    assert [file.name for file in small_disk.iterdir()] == [old.name]
    assert open_trajectories(old).sizes["sample"] == 5
