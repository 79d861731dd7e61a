"""Whether a dataset is being recorded: a closed recording, a killed one and one that goes on are told apart."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from predspace_widgets.training.recorder import Recorder
from predspace_widgets.trajectories import open_trajectories, recording
from predspace_widgets.trajectories.recording import SignOfLife, recording_at
from predspace_widgets.trajectories.termination import ended_by_sigterm
from tests.recording import RecordingProcess, labels_of, predictions


def test_a_process_that_records_is_seen_until_it_closes(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    with RecordingProcess(store) as process:
        assert recording_at(store) is None
        process.record(1)
        assert recording_at(store) == "recording"
        process.tell("close")
        assert recording_at(store) == "ended"


def test_a_killed_process_is_no_slow_one(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    with RecordingProcess(store) as process:
        process.record(1)
        process.kill()
    assert recording_at(store) == "killed"
    with RecordingProcess(store) as again:  # who goes on removes the signs of the dead
        again.record(1)
        assert recording_at(store) == "recording"
        again.end()
    assert recording_at(store) == "ended"  # a script that ends without closing has ended too


def test_who_looks_at_the_moment_it_ends_takes_it_for_no_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "mine.zarr"
    sign = SignOfLife(store)
    sign.begin()

    class EndsFirst(recording.FileLock):  # type: ignore[misc]
        def acquire(self, *args: Any, **options: Any) -> Any:
            sign.end()
            return super().acquire(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(recording, "FileLock", EndsFirst)
        assert recording_at(store) == "ended"
    assert recording_at(store) == "ended"


def test_of_two_processes_one_may_be_killed(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    with RecordingProcess(store) as first, RecordingProcess(store, "odd") as second:
        first.record(1)
        second.record(1)
        first.kill()
        assert recording_at(store) == "recording"
        second.tell("close")
        assert recording_at(store) == "killed"


def test_a_recorder_that_fails_has_ended(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"

    def train() -> None:
        with Recorder(store, labels=labels_of(), task="even") as recorder:
            recorder.record(predictions(0), epoch=0)
            assert recording_at(store) == "recording"
            raise RuntimeError("the training")

    with pytest.raises(RuntimeError, match="the training"):
        train()
    assert recording_at(store) == "ended"


def test_a_recorder_that_is_forgotten_has_ended(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    recorder = Recorder(store, labels=labels_of(), task="even")
    recorder.record(predictions(0), epoch=0)
    del recorder
    assert recording_at(store) == "ended"


def test_what_cannot_be_written_stops_no_recording(tmp_path: Path) -> None:
    store = tmp_path / "mine.zarr"
    (tmp_path / ".mine.zarr.recording").write_text("a file where a folder should be")
    sign = SignOfLife(store)
    sign.begin()
    sign.end()
    assert recording_at(store) is None


IN_A_BLOCK = """
import sys, time
from predspace_widgets import Recorder
with Recorder(sys.argv[1], labels=[0, 1], task="pets") as recorder:
    for epoch in range(10_000):
        recorder.record([[0.5, 0.5], [0.25, 0.75]], epoch=epoch)
        print("recorded", flush=True)
"""


def test_sigterm_closes_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "mine.zarr"
    process = subprocess.Popen([sys.executable, "-c", IN_A_BLOCK, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"recorded\n"
    assert recording_at(path) == "recording"
    process.terminate()
    process.communicate(timeout=300)
    assert process.returncode == 143
    assert recording_at(path) == "ended"
    assert open_trajectories(path).sizes["checkpoint"] >= 1
    assert not list(path.rglob("*.partial"))


def test_a_handler_of_the_program_stays() -> None:
    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with ended_by_sigterm():
            assert signal.getsignal(signal.SIGTERM) is mine
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
    with ended_by_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
