"""Whether a dataset is being recorded: a closed recording, a killed one and one that goes on are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from predspace_widgets.training.recorder import Recorder
from predspace_widgets.trajectories.recording import SignOfLife, recording_at
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
