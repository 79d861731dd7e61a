"""The trials of `make torture` themselves: each outcome is seen where it is planted, and some of all of them."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.torture.children import Result, in_child
from tests.torture.files import know, look_at, try_file
from tests.torture.judging import BAD, OUTCOMES, Values
from tests.torture.kills import Rehearsed, rehearse, small_disk, try_disk, try_kill
from tests.torture.mutations import MUTATIONS, Place
from tests.torture.specimens import Specimen
from tests.torture.writers import Writer

ROOT = Path(__file__).resolve().parents[2]
TEXT = "a text of some length, in which damage is seen"


def test_the_command(tmp_path: Path) -> None:
    """Always the same files and kills; `make torture` tries others."""
    numbers = ["--files", "15", "--kills", "4", "--disks", "2", "--seed", "11"]
    command = [sys.executable, "-m", "tests.torture", *numbers]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    [total] = re.findall(r"^\| all \| (\d+) \| (\d+) \|", ended.stdout, re.MULTILINE)
    assert int(total[0]) >= 19
    assert int(total[1]) > 5
    assert list(tmp_path.iterdir()) == []


# -- children ----------------------------------------------------------------------------------------------------------


def _raise(error: Exception) -> Result:
    raise error


def _grow() -> Result:
    memory = []
    for _ in range(100):
        memory.append(np.ones(2**21))  # 16 MB
        time.sleep(0.01)
    return "equal", ""


def _end_by(by: signal.Signals) -> Result:
    os.kill(os.getpid(), by)
    return "equal", ""


def _leave_a_process() -> Result:
    subprocess.Popen(["sleep", "60"])
    return "equal", ""


@pytest.mark.parametrize(
    ("function", "outcome", "message"),
    [
        (lambda: ("equal", "all"), "equal", "all"),
        (partial(_raise, KeyError("name")), "unclear", "KeyError: 'name'"),
        (partial(_raise, RecursionError("deep")), "unclear", "RecursionError: deep"),
        (partial(_end_by, signal.SIGSEGV), "crash", "SIGSEGV"),
        (partial(time.sleep, 60), "hang", ""),
        (_grow, "memory", "MB"),
        (lambda: os._exit(3), "unclear", "exit code 3"),
        (lambda: os.execv("/bin/false", ["false"]), "unclear", "exit code 1"),
        (lambda: os.execv("/bin/true", ["true"]), "equal", ""),
    ],
)
def test_how_a_child_ends(function: Callable[[], Result], outcome: str, message: str) -> None:
    most = 2**29 + int(np.loadtxt("/proc/self/statm")[1]) * os.sysconf("SC_PAGE_SIZE")
    ended = in_child(function, seconds=1 if outcome == "hang" else 60, most_bytes=most)
    assert ended.outcome == outcome
    assert message in ended.message


def test_a_child_that_is_killed() -> None:
    ended = in_child(partial(time.sleep, 60), kill=(0.2, signal.SIGTERM))
    assert ended.outcome == "killed"
    assert 0.2 <= ended.seconds < 30
    assert in_child(lambda: ("equal", ""), kill=(30, signal.SIGKILL)).outcome == "equal"  # it came too late


def test_processes_that_a_child_leaves() -> None:
    assert in_child(_leave_a_process, alone_after=0.3).outcome == "litter"
    assert in_child(lambda: ("equal", ""), alone_after=0.3).outcome == "equal"


# -- files -------------------------------------------------------------------------------------------------------------


def read_blindly(path: Path) -> Values:
    """Without a look at whether it is right."""
    if not path.is_file():
        raise ValueError("it is no file")
    return {"text": path.read_bytes().hex()}


def read_well(path: Path) -> Values:
    if not path.is_file() or path.read_bytes() != TEXT.encode():
        raise ValueError("it is damaged")
    return {"text": TEXT}


def read_and_leave(path: Path) -> Values:
    path.with_name(f"left by {os.getpid()}").touch()
    return read_blindly(path)


def read_and_write_outside(path: Path) -> Values:
    outside = path.parents[1] / "outside"
    if outside.exists():
        (outside / "same" / path.name).write_text("mine")
    return read_blindly(path)


def specimen(place: Path, read: Callable[[Path], Values], is_guarded: bool = True) -> Specimen:
    place.mkdir()
    (place / "data.txt").write_text(TEXT)
    return Specimen("text", place, "data.txt", read, is_guarded)


@pytest.mark.parametrize(
    ("read", "is_guarded", "outcomes"),
    [
        (read_blindly, True, {"different", "error"}),
        (read_blindly, False, {"other", "error"}),
        (read_well, True, {"equal", "error"}),
        (read_and_leave, True, {"litter"}),
        (read_and_write_outside, True, {"litter"}),
    ],
)
def test_a_reader_is_found_out(
    read: Callable[[Path], Values], is_guarded: bool, outcomes: set[str], tmp_path: Path
) -> None:
    known = know(specimen(tmp_path / "mine", read, is_guarded), specimen(tmp_path / "other", read))
    found = set()
    for number in range(8):
        place = tmp_path / str(number)
        place.mkdir()
        found.add(try_file(known, place, np.random.default_rng([5, number]))[1].outcome)
    assert found - {"equal"} == outcomes - {"equal"}


def test_a_case_is_the_same_again(tmp_path: Path) -> None:
    known = know(specimen(tmp_path / "mine", read_well), specimen(tmp_path / "other", read_well))
    said = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        said.append([])
        for number in range(8):
            (tmp_path / name / str(number)).mkdir()
            said[-1].append(try_file(known, tmp_path / name / str(number), np.random.default_rng(number))[0])
    assert said[0] == said[1]
    assert len(set(said[0])) > 4


def test_every_mutation_fits_something_and_changes_only_that(tmp_path: Path) -> None:
    good = tmp_path / "good"
    (good / "folder").mkdir(parents=True)
    (good / "folder" / "a").write_bytes(bytes(range(200)))
    (good / "folder" / "b").write_bytes(bytes(range(100)))
    (good / "zarr.json").write_text(json.dumps({"shape": [1, 2], "codecs": [{"name": "bytes"}]}))
    (good / "picture.pkl").write_bytes(pickle.dumps({"tasks": ["a"], "epochs": [0, 1]}))
    (good / "tiny.yaml").write_text("title: tiny\nseeds: [0, 1]\n")
    with zipfile.ZipFile(good / "data.zip", "w") as archive:
        archive.writestr("zarr.json", json.dumps({"shape": [1, 2]}))
        archive.writestr("c/0", b"content")
    with h5py.File(good / "data.nc", "w") as content:
        content["a"], content["b"] = np.arange(5.0), np.arange(6)
    for number, mutation in enumerate(MUTATIONS):
        changed = False
        for attempt in range(20):
            place = tmp_path / f"{number}-{attempt}"
            inside, outside = place / "inside", place / "outside"
            for copy in (inside, outside / "same", outside / "other"):
                shutil.copytree(good, copy)
            (outside / "other" / "folder" / "a").write_bytes(b"another")
            before = look_at(inside), look_at(outside)
            said = mutation(Place(inside, "folder", ("*",), outside, np.random.default_rng(attempt)))
            assert look_at(outside) == before[1]
            changed = changed or (said is not None and look_at(inside) != before[0])
            if changed and attempt >= 3:
                break
        assert changed, mutation


# -- writers -----------------------------------------------------------------------------------------------------------


def read_text(path: Path) -> Values:
    return {"text": path.read_text()}


def write_whole(folder: Path) -> None:
    (folder / "new.tmp").write_text(TEXT)
    (folder / "new.tmp").replace(folder / "data.txt")


def write_in_place(folder: Path) -> None:
    """What is there is gone before the new is there."""
    with open(folder / "data.txt", "w") as file:
        file.write(TEXT[:10])
        file.flush()
        open(folder / "data.txt", "a").close()  # a moment to be killed in
        file.write(TEXT[10:])


def write_and_leave(folder: Path) -> None:
    """What a killed one has left is never removed."""
    new = folder / f"new-{os.getpid()}"
    new.write_text(TEXT)
    new.replace(folder / "data.txt")


def write_once(folder: Path) -> None:
    """It refuses to go on."""
    (folder / "begun").touch(exist_ok=False)
    write_whole(folder)
    (folder / "begun").unlink()


def write_old(folder: Path) -> None:
    (folder / "data.txt").write_text("old")


def rehearsed(write: Callable[[Path], None], place: Path) -> Rehearsed:
    place.mkdir()
    return rehearse(Writer("text", "data.txt", write, read_text, before=write_old), place)


@pytest.mark.parametrize(
    ("write", "outcomes"),
    [
        (write_whole, {"equal"}),
        (write_in_place, {"equal", "different"}),
        (write_and_leave, {"equal", "litter"}),
        (write_once, {"equal", "unclear"}),
    ],
)
def test_a_writer_is_found_out(write: Callable[[Path], None], outcomes: set[str], tmp_path: Path) -> None:
    one = rehearsed(write, tmp_path / "rehearsal")
    found = set()
    for number in range(7):  # killed by either signal before each operation, and by the clock
        place = tmp_path / str(number)
        place.mkdir()
        found.add(try_kill(one, place, np.random.default_rng(number))[1].outcome)
    assert found == outcomes


def write_much(folder: Path) -> None:
    (folder / "new.tmp").write_text(TEXT * 1000)
    (folder / "new.tmp").replace(folder / "data.txt")


def write_much_and_clean(folder: Path) -> None:
    try:
        write_much(folder)
    except OSError:
        (folder / "new.tmp").unlink()
        raise


@pytest.mark.parametrize(("write", "outcome"), [(write_much, "litter"), (write_much_and_clean, "error")])
def test_a_full_disk(write: Callable[[Path], None], outcome: str, tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path / "disk", 2**20):
            pass
    except OSError as error:
        pytest.skip(str(error))
    one = rehearsed(write, tmp_path / "rehearsal")
    found = set()
    for number in range(6):
        (tmp_path / str(number)).mkdir()
        found.add(try_disk(one, tmp_path / str(number), np.random.default_rng(number))[1].outcome)
    assert outcome in found
    assert found <= {outcome, "equal"}
    assert not os.path.ismount(tmp_path / "0" / "folder")


def test_bad_outcomes_are_explained() -> None:
    assert {*BAD} < {*OUTCOMES}
