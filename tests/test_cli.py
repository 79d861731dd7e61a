"""The `predspace` command, as a process would run it."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from predspace_widgets import cli
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
    assert lines["seeds"].startswith("3: 0, 1, 2")
    assert lines["runs"].strip() == "21"
    assert lines["problems"].strip() == "none"
    stress = open_trajectories(demo_path()).predspace.inpca(5).explained_stress.values
    for share in stress:
        assert f"{share:.1%}" in lines["explained"]


def test_info_names_every_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
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
    assert "'label' must lie in [0, 5): sample 0 has 99" in problems[0]
    assert "checkpoint 1 (run 'red/supervised/0'" in problems[1]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "nothing.zarr.zip"], "there is no dataset at"),
        (["info", "text.txt"], "must end in one of .zarr.zip, .zarr, .nc"),
        (["info", "text.zarr.zip"], "it cannot be read as .zarr.zip"),
        (["serve", "text.nc"], "it cannot be read as .nc"),
        (["serve", "a/same.zarr", "b/same.zarr"], "two datasets are named 'same'"),
        (["record", "digit", "--out", "x.zarr.zip"], "digits"),
        (["record", "digits", "--out", "x.txt"], "must end in one of"),
        (["record", "digits", "--out", "x.zarr.zip", "--seeds", "0"], "--seeds"),
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
    for name in ("text.txt", "text.zarr.zip", "text.nc"):
        Path(name).write_text("hello")
    monkeypatch.setenv("COLUMNS", "400")
    assert run(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert list(tmp_path.glob("x.*")) == []


def test_a_taken_port_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        assert run(monkeypatch, "serve", demo_path(), "--port", taken.getsockname()[1]) == 2
    captured = capsys.readouterr()
    assert "in use" in captured.err
    assert "The explorer is at" not in captured.out


def test_record_trains_and_writes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from predspace_widgets.training import load_recipe

    text = load_recipe("digits").to_yaml().replace("steps: 300", "steps: 4").replace("count: 30", "count: 3")
    recipe = tmp_path / "short.yaml"
    recipe.write_text(text.replace("dense: 10", "dense: 2").replace("width: 16", "width: 4"))
    out = tmp_path / "short.zarr.zip"
    assert run(monkeypatch, "record", recipe, "--out", out, "--seeds", 1) == 0
    assert "7 runs recorded" in capsys.readouterr().out
    ds = open_trajectories(out)
    assert ds.sizes["checkpoint"] == 21
    assert set(ds["seed"].values) == {0}
