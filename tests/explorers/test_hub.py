"""What JupyterLab is told of the explorer: a command that exists, and its function where the package says it is."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer.main

from predspace_widgets.cli import app
from predspace_widgets.explorers.hub import server

ROOT = Path(__file__).resolve().parents[2]


def test_the_package_names_the_function() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    [(name, value)] = points["jupyter_serverproxy_servers"].items()
    assert EntryPoint(name, value, "jupyter_serverproxy_servers").load() is server


def test_its_command_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDSPACE_DATA", os.pathsep.join(["a b.zarr.zip", "", "b.zarr"]))
    _, module, package, name, *words = server()["command"]
    assert (module, package) == ("-m", "predspace_widgets")
    serve = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    chosen = serve.make_context(name, [word.replace("{port}", "5007") for word in words]).params
    assert (chosen["data"], chosen["port"]) == (["a b.zarr.zip", "b.zarr"], 5007)
    assert chosen["address"] == "localhost"
