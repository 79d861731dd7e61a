"""A server of explorers in a thread of a test, and requests to it letter by letter."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

import xarray as xr

from predspace_widgets.explorers.access import Access
from predspace_widgets.explorers.page import make_server


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return ", ".join(value for known, value in self.headers if known.lower() == name.lower())

    @property
    def cookies(self) -> dict[str, str]:
        """As a browser sends them back."""
        pairs = [value.partition(";")[0].partition("=") for name, value in self.headers if name == "Set-Cookie"]
        return {name: value for name, _, value in pairs}


@dataclass(frozen=True)
class Served:
    """A running server."""

    port: int

    @property
    def host(self) -> str:
        return f"localhost:{self.port}"

    def ask(self, path: str = "/", method: str = "GET", body: bytes = b"", **headers: str | None) -> Answer:
        """Send a request; in names of headers _ stands for -, and None leaves out Host."""
        sent = {"Host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        sent.setdefault("Connection", "close")
        if body or method == "POST":
            sent.setdefault("Content-Length", str(len(body)))
        told = [f"{name}: {value}" for name, value in sent.items() if value is not None]
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as line:
            line.sendall("\r\n".join([f"{method} {path} HTTP/1.1", *told, "", ""]).encode() + body)
            return _read(line)

    def open_websocket(self, path: str = "/ws", **headers: str | None) -> Answer:
        """Ask for a websocket."""
        return self.ask(
            path,
            Upgrade="websocket",
            Connection="Upgrade, close",
            Sec_WebSocket_Version="13",
            Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==",
            Sec_WebSocket_Protocol="bokeh, eyJ9",
            **headers,
        )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


@contextmanager
def serving(datasets: Mapping[str, xr.Dataset], access: Access | None = None, prefix: str = "") -> Iterator[Served]:
    """A server of datasets for as long as the caller wants it."""
    port = free_port()
    servers: list[Any] = []

    def serve() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        servers.append(make_server(datasets, port, "127.0.0.1", access=access, prefix=prefix))
        servers[0].start()
        servers[0].io_loop.start()

    thread = Thread(target=serve, daemon=True)
    thread.start()
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionError:
            thread.join(0.02)
    yield Served(port)
    servers[0].io_loop.add_callback(servers[0].stop)
    servers[0].io_loop.add_callback(servers[0].io_loop.stop)
    thread.join(20)


def _read(line: socket.socket) -> Answer:
    """An answer; the server holds a line that was to become a websocket, and its end does not come."""
    received = head = body = b""
    while True:
        try:
            part = line.recv(2**16)
        except ConnectionResetError:  # where it did not read a body that is too long
            break
        received += part
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        if not part or (length and len(body) >= int(length[1])):
            break
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (entry.partition(":") for entry in rest)]
    return Answer(int(first.split()[1]) if first else 0, headers, body)
