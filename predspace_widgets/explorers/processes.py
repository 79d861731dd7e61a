"""Several processes that serve one port. Each is a fresh one: none is forked from a process that has threads."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tornado.netutil import bind_sockets

#: Names the sockets that a process takes over, by their numbers.
SOCKETS = "PREDSPACE_SOCKETS"
_LOOK_EVERY = 0.2  # seconds
_SOON = 60.0  # a process that fails in so many seconds would fail again
_WAIT_FOR_END = 10.0
_log = logging.getLogger(__name__)


def bound(port: int, address: str) -> list[socket.socket]:
    """Sockets that listen at an address, for processes to take over.

    Raises
    ------
    OSError
        The port is taken; the message names it.
    """
    try:
        return bind_sockets(port, address)
    except OSError as error:
        raise OSError(error.errno, f"port {port} of {address} cannot be used: {error.strerror or error}") from error


def serve_in_processes(
    arguments: Sequence[str],
    n_processes: int,
    port: int,
    address: str,
    cache: Path | None,
    ready: Callable[[], None],
) -> int:
    """Serve an address by several processes until this one is told to end; see `run`.

    Parameters
    ----------
    arguments : sequence of str
        Of `predspace` in each process.
    n_processes, port : int
    address : str
    cache : path, optional
        Where they share what is measured ahead; by default a folder that goes away with them.
    ready : function
        Called once one of them answers: whoever comes before waits for it.

    Raises
    ------
    OSError
        The port is taken.
    """
    command = [sys.executable, "-m", "predspace_widgets", *arguments]
    sockets = bound(port, address)
    threading.Thread(target=call_when_answered, args=(sockets[0], ready), daemon=True).start()
    if cache is not None:
        return run(command, n_processes, sockets)
    with tempfile.TemporaryDirectory(prefix="predspace-") as folder:
        return run([*command, "--cache", folder], n_processes, sockets)


def call_when_answered(listening: socket.socket, ready: Callable[[], None]) -> None:
    """Wait until whoever takes over a listening socket answers on it, whatever the answer is; then call `ready`."""
    answer = b""
    while not answer:
        with suppress(OSError), socket.socket(listening.family) as asking:
            asking.connect(listening.getsockname())
            asking.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            answer = asking.recv(1)
        if not answer:
            time.sleep(_LOOK_EVERY)
    ready()


def inherited() -> list[socket.socket]:
    """The sockets that this process takes over; none where it was not started by `run`."""
    numbers = [int(number) for number in os.environ.get(SOCKETS, "").split()]
    if numbers:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    return [socket.socket(fileno=number) for number in numbers]


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def run(command: Sequence[str], n_processes: int, sockets: Sequence[socket.socket]) -> int:
    """Run a command in several processes that share sockets, until it is told to end.

    A process that ends is replaced, unless it ended soon after its start: then all end.

    Returns
    -------
    int
        Exit code: 0, or that of the process that ended soon.
    """
    numbers = [one.fileno() for one in sockets]
    environment = {**os.environ, SOCKETS: " ".join(map(str, numbers))}
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())

    def start() -> tuple[subprocess.Popen[bytes], float]:
        # Its standard input ends when this process does, however that happens.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=numbers)
        return process, time.monotonic()

    running = [start() for _ in range(n_processes)]
    try:
        while not ended.wait(_LOOK_EVERY):
            for place, (process, since) in enumerate(running):
                code = process.poll()
                if code is None:
                    continue
                if time.monotonic() - since < _SOON:
                    return abs(code) or 1
                _log.warning("process %d ended with code %d and is started again", process.pid, code)
                running[place] = start()
        return 0
    finally:
        for process, _ in running:
            process.terminate()
        for process, _ in running:
            try:
                process.wait(_WAIT_FOR_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
