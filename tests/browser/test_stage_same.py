"""The stage and Python make the same figures, numbers and captions of the same choices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Browser, Page

import predspace_widgets as pw
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.session import as_plain
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS, CheckpointView

N_CHOICES, AT_A_TIME = {"one dataset": 200, "joined": 75}, 25
#: Of the largest coordinate on an axis: what distances of 17 bits and a block iteration may be off.
CLOSE = 1e-3
OF_CHECKPOINTS = [view.name for view in VIEWS.values() if isinstance(view, CheckpointView)]
#: In a summary, rounded to what the last digit may differ by.
NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?")
READ = """
({ many, views }) => {
  const [stage] = predspace.stages;
  const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
  const read = (view) => ({ ...stage.drawing(view), result: stage.drawing(view).message ? null : stage.result(view) });
  const all = many.map((choices) => {
    const problems = stage.set(choices);
    return { problems, ...Object.fromEntries(views.map((view) => [view, read(view)])) };
  });
  return JSON.stringify(all, plain);
}
"""


def ragged() -> xr.Dataset:
    """Runs of several lengths, one of them to and fro, tasks with one and with two methods, and seeds that not every
    curve has."""
    ds = random_trajectories(("red", "green", "blue"), n_seeds=3, n_checkpoints=9, methods=("supervised", "simclr"))
    left_out = (ds["seed"] == 2) & (ds["task"] == "green") | (ds["task"] == "blue") & (ds["method"] == "simclr")
    short = (ds["seed"] == 1) & (ds["epoch"] > ds["epoch"].values.max() / 2)
    there = np.flatnonzero((ds["task"] == "red") & (ds["method"] == "simclr") & (ds["seed"] == 0))
    ds["probs"][there[1::2]] = ds["probs"].values[there[0]]
    return ds.isel(checkpoint=np.flatnonzero(~(left_out | short)))


def joined() -> xr.Dataset:
    """Two sources, and attributes of runs: text and numbers, of which some runs have none."""
    ds = ragged()
    width = np.where(ds["seed"] == 0, np.nan, 8.0 * ds["seed"])
    other = ds.assign_coords(
        network=("checkpoint", np.where(ds["task"] == "red", "<b>cnn</b>", "mlp")), width=("checkpoint", width)
    )
    return pw.join([ds.predspace.select(tasks=["red", "green"]), other], names=["mine", "theirs"])


@pytest.fixture(scope="module", params=[ragged, joined], ids=["one dataset", "joined"])
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return Explorer(request.param())


@pytest.fixture(scope="module")
def stage(browser: Browser, explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path: Path = explorer.save(tmp_path_factory.mktemp("same") / "one.html")
    page = browser.new_page(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    page.goto(path.as_uri())
    page.wait_for_function("globalThis.predspace?.stages?.length")
    yield page
    page.close()


def random_choices(explorer: Explorer, rng: np.random.Generator) -> dict[str, Any]:
    defaults, epochs = explorer.state.defaults(), explorer.session.about["epochs"]
    attributes = explorer.session.about["attributes"]

    def some(values: list[Any]) -> list[Any]:
        return [value for value in values if rng.random() < 0.7] or [values[int(rng.integers(len(values)))]]

    def shown(frozen: bool = False) -> dict[str, Any]:
        low, high = sorted(rng.integers(len(epochs), size=2).tolist())
        chosen = [epochs[low], epochs[high]] if rng.random() < 0.7 else defaults["epochs"]
        shown = {"curves": some(defaults["curves"]), "seeds": some(defaults["seeds"]), "epochs": chosen}
        limits = {name: some(known["values"]) for name, known in attributes.items() if rng.random() < 0.4}
        limits = {name: values for name, values in limits.items() if values != attributes[name]["values"]}
        return shown | ({"where": limits} if limits or not frozen else {})

    fitted_on = str(rng.choice(["everything", "shown", "frozen"]))
    time_by = str(rng.choice(["epoch", "step", "progress"]))
    high = explorer.session.about["clocks"][time_by]["high"]
    return {
        **shown(),
        "axes_fitted_on": fitted_on,
        "frozen": shown(frozen=True) if fitted_on == "frozen" else None,
        "dimensions": str(rng.choice(["3-D", "2-D", "pairs"])),
        "horizontal": int(rng.integers(1, 3)),
        "vertical": int(rng.integers(3, 6)),
        "color_by": str(rng.choice(explorer.session.about["options"]["color_by"])),
        "progress_metric": str(rng.choice(["bhattacharyya", "great_circle"])),
        "spectrum": str(rng.choice(["share", "eigenvalues"])),
        "time_by": time_by,
        "time": None if rng.random() < 0.3 else float(rng.uniform(-0.1, 1.1) * high),
    }


def extents(figure: dict[str, Any]) -> dict[str, float]:
    """How far a figure goes along x, y and z."""
    found = dict.fromkeys("xyz", 1e-9)
    for trace in figure["data"]:
        for letter in set("xyz") & set(trace):
            numbers = [abs(value) for value in trace[letter] if isinstance(value, float | int)]
            found[letter] = max([found[letter], *numbers])
    return found


def compare(one: Any, other: Any, where: str, differences: list[str], scales: dict[str, float] | None = None) -> None:
    """Note where two plain values differ; numbers may by a share of the largest, on their axis or beside them."""
    if isinstance(one, dict) and isinstance(other, dict):
        if set(one) != set(other):
            differences.append(f"{where}: {sorted(set(one) ^ set(other))}")
        for key in set(one) & set(other):
            compare(one[key], other[key], f"{where}.{key}", differences, scales)
    elif isinstance(one, list) and isinstance(other, list):
        numbers = [np.array([np.nan if value is None else value for value in values]) for values in (one, other)]
        if all(values.dtype.kind in "if" and values.ndim for values in numbers) and len(one) == len(other):
            gaps = [np.isnan(values.astype(float)) for values in numbers]
            scale = (scales or {}).get(where[-1], np.nanmax(np.abs(numbers[0]), initial=1e-9))
            if (gaps[0] != gaps[1]).any() or np.nanmax(np.abs(numbers[0] - numbers[1]), initial=0) > CLOSE * scale:
                differences.append(f"{where}: {one} is not {other}")
            return
        if len(one) != len(other):
            differences.append(f"{where}: {len(one)} is not {len(other)}")
        for number, pair in enumerate(zip(one, other, strict=False)):
            compare(*pair, f"{where}[{number}]", differences, scales)
    elif isinstance(one, float | int) and isinstance(other, float | int):
        if abs(one - other) > CLOSE * (scales or {}).get(where[-1], max(abs(one), 0.1)):
            differences.append(f"{where}: {one} is not {other}")
    elif one != other:
        differences.append(f"{where}: {one!r} is not {other!r}")


def test_random_choices(stage: Page, explorer: Explorer, request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(0)
    drawn = 0
    many = [random_choices(explorer, rng) for _ in range(N_CHOICES[request.node.callspec.id])]
    answers: list[Any] = []
    for number, choices in enumerate(many):
        if not answers:  # many at a time: the page draws only the last of them
            few = many[number : number + AT_A_TIME]
            answers = json.loads(stage.evaluate(READ, {"many": few, "views": OF_CHECKPOINTS}))
        read = answers.pop(0)
        explorer.state.param.update(**choices)
        assert read.pop("problems") == []
        for name in OF_CHECKPOINTS:
            drawing = VIEWS[name].draw(explorer.session.analysis, explorer.state)
            differences: list[str] = []
            if drawing.message:
                assert read[name]["message"] == drawing.message, (number, name, choices)
                continue
            assert drawing.table is not None
            drawn += 1
            wanted = json.loads(json.dumps(as_plain(drawing.figure)))
            assert read[name]["message"] == "", (number, name, choices)
            compare(wanted, read[name]["figure"], name, differences, extents(wanted))
            result = {column: as_plain(drawing.table[column].to_numpy()) for column in drawing.table}
            compare(
                result, {column: read[name]["result"].get(column) for column in result}, f"{name} numbers", differences
            )
            compare(drawing.caption, read[name]["caption"], f"{name} caption", differences)
            ours, theirs = (NUMBER.split(text) for text in (drawing.summary, read[name]["summary"]))
            compare(ours, theirs, f"{name} summary", differences)
            ours, theirs = (list(map(float, NUMBER.findall(text))) for text in (drawing.summary, read[name]["summary"]))
            close = len(ours) == len(theirs) and np.allclose(ours, theirs, rtol=0.011, atol=1e-9)
            compare(close, True, f"{name} numbers of the summary {ours} {theirs}", differences)
            assert differences == [], (number, choices)
    assert drawn > 3 * len(many)
