"""Several processes behind one port: the same answers from each, measured once; they end and are replaced together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from predspace_widgets import cli
from predspace_widgets.explorers.processes import bound, call_when_answered
from predspace_widgets.trajectories import save_trajectories
from predspace_widgets.trajectories.appending import append_checkpoints
from predspace_widgets.trajectories.recording import SignOfLife
from predspace_widgets.trajectories.testing import random_trajectories
from tests.explorers.serving import free_port

PATIENCE = 120


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_trajectories(random_trajectories(n_checkpoints=2), tmp_path_factory.mktemp("data") / "small.zarr.zip")


@contextmanager
def served(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = free_port()
    command = [sys.executable, "-m", "predspace_widgets", "serve", *arguments, "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        assert "The explorer is at" in process.stdout.readline()
        yield f"http://localhost:{port}", process
    finally:
        process.terminate()
        process.wait(PATIENCE)


def fetched(address: str, question: Any = None) -> bytes:
    """By a connection of its own, which any of the processes may take."""
    body = None if question is None else json.dumps(question).encode()
    with urllib.request.urlopen(urllib.request.Request(address, body), timeout=PATIENCE) as answer:
        content: bytes = answer.read()
        return content


def until(condition: Any) -> None:
    for _ in range(PATIENCE * 10):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it does not happen")


def test_all_processes_serve_the_same_numbers_measured_once(path: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    arguments = (str(path), "--cache", str(cache), "--prefix", "/some/where/")
    with served(*arguments, "--num-procs", "2") as (address, _):
        page = fetched(f"{address}/some/where").decode()
        assert 'data-numbers="stage-data/small"' in page
        ask = f"{address}/some/where/stage-data/small"
        with ThreadPoolExecutor(8) as threads:
            payloads = set(threads.map(lambda _: fetched(ask), range(16)))
            ahead = set(threads.map(lambda _: fetched(ask, {"kind": "ahead"}), range(16)))
        assert len(payloads) == len(ahead) == 1
        made = {file: file.stat().st_mtime_ns for file in cache.iterdir() if file.suffix != ".lock"}
        assert sorted(file.suffix for file in made) == [".ahead", ".numbers"]
    with served(*arguments) as (address, _):
        assert fetched(f"{address}/some/where/stage-data/small") in payloads
    assert made == {file: file.stat().st_mtime_ns for file in cache.iterdir() if file.suffix != ".lock"}


def test_an_address_is_said_once_something_answers_there() -> None:
    [listening] = bound(0, "127.0.0.1")
    listening.settimeout(PATIENCE)
    said: list[str] = []
    waiting = threading.Thread(target=call_when_answered, args=(listening, lambda: said.append("here")), daemon=True)
    waiting.start()
    first, _ = listening.accept()
    first.close()  # one that ended before it answered
    second, _ = listening.accept()
    assert not said
    second.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    waiting.join(PATIENCE)
    assert said == ["here"]
    second.close()
    listening.close()


#: Runs processes of one line each; the file that each of them appends its number to.
RUN = r"""
import sys
from predspace_widgets.explorers import processes
processes._SOON = float(sys.argv[2])
command = [sys.executable, "-c", "import os, sys\nprint(os.getpid(), file=open(sys.argv[1], 'a'))\n" + sys.argv[3]]
sys.exit(processes.run([*command, sys.argv[1]], 2, processes.bound(0, "localhost")))
"""
STAYS = "while os.read(0, 1): pass"


@contextmanager
def running(file: Path, soon: float, line: str = STAYS) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A process that runs others, once there are two of them."""
    process = subprocess.Popen([sys.executable, "-c", RUN, str(file), str(soon), line])
    try:
        until(lambda: len(numbers_in(file)) >= 2)
        yield process, numbers_in(file)
    finally:
        process.kill()
        process.wait(PATIENCE)


def numbers_in(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def is_gone(number: int) -> bool:
    return not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_they_end_with_the_one_that_started_them(how: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path / "numbers", 60) as (process, numbers):
        os.kill(process.pid, how)
        assert process.wait(PATIENCE) == (-9 if how == signal.SIGKILL else 0)
        until(lambda: all(map(is_gone, numbers)))


def test_one_that_ends_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "numbers"
    with running(file, 0) as (process, numbers):
        os.kill(numbers[0], signal.SIGKILL)
        until(lambda: len(numbers_in(file)) == 3)
        assert process.poll() is None
        assert not is_gone(numbers[1])


def test_where_one_fails_at_once_all_end_with_its_code(tmp_path: Path) -> None:
    with running(tmp_path / "numbers", 60, "sys.exit(2)") as (process, numbers):
        assert process.wait(PATIENCE) == 2
        until(lambda: all(map(is_gone, numbers)))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_one_that_ends_while_it_measures_complains_of_nothing(how: signal.Signals) -> None:
    with served() as (address, process):
        fetched(address)  # it listens; the demo is being measured
        os.kill(process.pid, how)
        said, _ = process.communicate(timeout=PATIENCE)
    assert said in ("", "Received signal SIGTERM, shutting down\n")


def test_what_lives_in_one_process_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("predspace_widgets.explorers.processes.serve_in_processes", lambda *_: pytest.fail("served"))

    def refusal(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["predspace", "serve", *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        [line] = capsys.readouterr().err.splitlines()
        return line

    assert "--allow-training needs a single process" in refusal("--num-procs", "2", "--allow-training")
    store = tmp_path / "growing.zarr"
    append_checkpoints(random_trajectories(n_checkpoints=2), store)
    sign = SignOfLife(store)
    sign.begin()
    try:
        for address in (str(store), f"{store}/", f"file://{store}"):
            assert "is being recorded, which one process alone can follow" in refusal(address, "--num-procs", "2")
    finally:
        sign.end()
