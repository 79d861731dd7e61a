"""Two datasets as one on the served page, with attributes of their runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

import predspace_widgets as pw
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Servers, Stage, opened

ODD = "<img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def stage(browser: Browser, start: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("joined")
    ds = random_trajectories(tasks=("red", "green"), n_checkpoints=5)
    rich = ds.assign_coords(
        network=("checkpoint", np.where(ds["task"] == "red", ODD, "mlp")), width=("checkpoint", 4.0 * ds["seed"].values)
    )
    for name, part in (("mine", ds), ("theirs", rich.isel(sample=slice(None, None, -1)))):
        pw.save_trajectories(part, folder / f"{name}.zarr")
    files = [str(folder / f"{name}.zarr") for name in ("mine", "theirs")]
    address = start("predspace_widgets", "serve", *files, "--together", "--port", "PORT")
    with opened(browser) as page:
        page.goto(address)
        yield Stage(page)


def control(stage: Stage, name: str) -> Any:
    return stage.page.locator(f'[data-control="{name}"]')


def test_curves_of_two_sources_lie_in_one_picture(stage: Stage) -> None:
    labels = ["red @ mine", "green @ mine", "red @ theirs", "green @ theirs"]
    assert stage.state["curves"] == labels
    assert stage.shown("inpca")
    result = stage.result()
    assert set(result["source"]) == {"mine", "theirs"}
    mine, theirs = (
        np.array([point for point, source in zip(result["embedding"], result["source"], strict=True) if source == name])
        for name in ("mine", "theirs")
    )
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
    rows = stage.page.locator("[data-task=red] ~ [data-curve]").all_text_contents()
    assert rows[0].startswith("supervised @ mine")
    stage.set(compared=["red @ mine", "green @ theirs"])
    assert stage.shown("comparison")


def test_values_of_attributes_are_chosen_by_chips(stage: Stage) -> None:
    chips = control(stage, "where network").locator(".chip")
    assert chips.all_text_contents() == ["none", ODD, "mlp"]
    chips.nth(0).click()
    stage.drawn()
    assert stage.state["where"] == {"network": [ODD, "mlp"]}
    assert set(stage.result()["source"]) == {"theirs"}
    expect(chips.nth(0)).to_have_attribute("aria-pressed", "false")
    chips.nth(1).click()
    chips.nth(2).click()
    expect(stage.page.locator("[data-view=inpca] .message")).to_contain_text(
        "no network is chosen: choose at least one"
    )
    for number in range(3):
        chips.nth(number).click()
    stage.drawn()
    assert stage.state["where"] == {}
    assert control(stage, "where source").count() == 1
    assert stage.set(where={"net": [1]}) == ["where: this dataset has no attribute “net”."]
    assert stage.set(where={"width": [4, 5]}) == ["width: this dataset has no “5”."]
    assert stage.state["where"] == {"width": ["4"]}
    stage.set(where={})


@pytest.mark.parametrize("dimensions", ["3-D", "2-D"])
def test_colours_by_an_attribute(stage: Stage, dimensions: str) -> None:
    stage.set(dimensions=dimensions)
    colours = control(stage, "color_by")
    assert colours.locator("option").all_text_contents()[-3:] == ["colour: source", "colour: network", "colour: width"]
    for label in ("colour: network", "colour: width"):
        colours.select_option(label=label)
        stage.drawn()
        assert stage.shown("inpca")
    assert stage.state["color_by"] == "width"
    assert stage.page.evaluate("globalThis.hacked") is None
    stage.set(color_by="curve", dimensions="3-D")
