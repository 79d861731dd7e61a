"""What is prepared is measured once and read by all: the same numbers, also when files are damaged or cannot be."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.prepared import Prepared
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.trajectories import open_trajectories, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories

DS = random_trajectories(n_checkpoints=3)


def counted(session: Session) -> list[str]:
    """What a session measures from now on."""
    measured: list[str] = []

    def noted(name: str) -> Callable[[], Any]:
        make = getattr(session, name)
        return lambda: (measured.append(name), make())[1]

    for name in ("_arrays", "_ahead"):
        setattr(session, name, noted(name))
    return measured


def test_the_second_one_measures_nothing_and_sends_the_same(tmp_path: Path) -> None:
    first, second, alone = (Session(Analysis(DS), cache=cache) for cache in (tmp_path, tmp_path, None))
    measured = [counted(session) for session in (first, second)]
    for session in (first, second):
        assert session.payload() == alone.payload()
        assert session.payload(ahead=True) == alone.payload(ahead=True)
    assert measured == [["_arrays", "_ahead"], []]


def test_arrays_are_as_they_were_measured(tmp_path: Path) -> None:
    for _ in range(2):
        about, arrays = unpack(gzip.decompress(Session(Analysis(DS), cache=tmp_path).payload()))
        known_about, known = unpack(gzip.decompress(Session(Analysis(DS)).payload()))
        assert about == known_about
        for name, values in known.items():
            np.testing.assert_array_equal(arrays[name], values)


def with_value(name: str, place: int, value: Any) -> xr.Dataset:
    changed = DS[name].copy()
    changed[place] = value
    return DS.assign({name: changed}) if name in DS.data_vars else DS.assign_coords({name: changed})


OTHERS = {
    "one label": with_value("label", 0, (int(DS["label"][0]) + 1) % DS.sizes["class"]),
    "one epoch": with_value("epoch", 0, -1.0),
    "one prediction": with_value("probs", 0, DS["probs"][1]),
    "one name": with_value("run", 0, "red/other/0"),
    "the title": DS.assign_attrs(title="another"),
    "fewer": DS.isel(checkpoint=slice(1, None)),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_another_dataset_has_its_own(other: xr.Dataset, tmp_path: Path) -> None:
    Prepared(tmp_path, DS, []).ahead(lambda: {"of": "this"})
    assert Prepared(tmp_path, other, []).ahead(lambda: {"of": "that"}) == {"of": "that"}
    assert Prepared(tmp_path, DS, ["another view"]).ahead(lambda: {"of": "those"}) == {"of": "those"}
    assert Prepared(tmp_path, DS.copy(deep=True), []).ahead(dict) == {"of": "this"}


def test_a_file_that_is_replaced_is_another_dataset(tmp_path: Path) -> None:
    for number in (1, 2):
        path = save_trajectories(random_trajectories(n_checkpoints=2, seed=number), tmp_path / "a.zarr")
        prepared = Prepared(tmp_path / "cache", open_trajectories(path), [])
        assert prepared.ahead(lambda number=number: {"number": number}) == {"number": number}  # type: ignore[misc]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_what_is_damaged_is_measured_again(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Prepared(tmp_path, DS, []).ahead(lambda: {"measured": 1})
    [file] = tmp_path.glob("*.ahead")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes({"flip": content, "cut": content[:-9], "empty": b""}[damage])
    assert Prepared(tmp_path, DS, []).ahead(lambda: {"measured": 2}) == {"measured": 2}
    assert "is damaged and is made again" in caplog.text
    assert Prepared(tmp_path, DS, []).ahead(dict) == {"measured": 2}


def test_what_fails_is_not_kept(tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, DS, [])
    with pytest.raises(ZeroDivisionError):
        prepared.ahead(lambda: {"a": 1 // 0})
    assert prepared.ahead(lambda: {"a": 1}) == {"a": 1}


def test_what_cannot_be_written_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "replace", full)
    assert Prepared(tmp_path, DS, []).ahead(lambda: {"a": 1}) == {"a": 1}
    assert "cannot be written" in caplog.text
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_of_processes_that_begin_together_one_measures(tmp_path: Path) -> None:
    """Each says what it has and appends a line where it measures."""
    program = f"""
import time
from pathlib import Path
from predspace_widgets.explorers.prepared import Prepared
from predspace_widgets.trajectories.testing import random_trajectories

def measure():
    with Path({str(tmp_path / "measured")!r}).open("a") as file:
        file.write("once\\n")
    time.sleep(0.5)
    return {{"a": 1}}

print(Prepared({str(tmp_path / "cache")!r}, random_trajectories(n_checkpoints=2), []).ahead(measure))
"""
    command = [sys.executable, "-c", program]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=300)[0] for process in processes] == ["{'a': 1}\n"] * 2
    assert (tmp_path / "measured").read_text() == "once\n"
