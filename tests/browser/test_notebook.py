"""The explorer in JupyterLab and Notebook 7, in a real browser: the stage, both ways to the kernel, what stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Jupyter, Stage, opened
from tests.browser.jupyter import Notebook, n_colours, until

START = """from predspace_widgets import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
ds = random_trajectories()
explorer = Explorer(ds)
explorer"""
VIEWS = ("inpca", "stress", "progress", "comparison", "lengths")  # that are in front at first
Opens = Callable[..., Notebook]


@pytest.fixture
def errors(page: Page) -> list[str]:
    """What the console says of what is ours."""
    errors: list[str] = []

    def hear(text: str) -> None:
        if "predspace" in text or "plotly" in text.lower() or "stage" in text:
            errors.append(text)

    page.on("console", lambda message: hear(message.text) if message.type == "error" else None)
    page.set_viewport_size({"width": 1280, "height": 2600})  # JupyterLab draws what is in sight
    return errors


@pytest.mark.parametrize("face", ["lab", "notebooks"])
def test_two_explorers_in_a_notebook(page: Page, errors: list[str], open_notebook: Opens, face: str) -> None:
    other_code = """Explorer(ds, views=["inpca", "progress"], tasks="red")"""
    notebook = open_notebook((START, other_code, """explorer.state.dimensions = "2-D\""""), face)
    notebook.run(0, 1)
    whole, other = Stage(page), Stage(page, 1)
    for view in VIEWS:
        assert whole.shown(view), view
    assert page.locator(".stage").nth(1).locator("[data-view]").count() == 2
    assert other.state["curves"] == ["red"]
    assert page.locator("script[src^='blob:']").count() <= 1  # plotly.js comes once, if JupyterLab has none

    # From the browser to Python, and back.
    page.locator("[data-curve=green] .eye").first.click()
    whole.set(selected=[2, 5, 40])
    known = """[explorer.state.curves, explorer.selection, explorer.selected().sizes["checkpoint"]]"""
    until(page, lambda: notebook.ask("len(explorer.selection)") == 3, "Python does not follow")
    assert notebook.ask(known) == [["red", "blue"], [2, 5, 40], 3]
    notebook.run(2)
    whole.wait("stage.state.dimensions === '2-D'")
    whole.drawn()
    assert whole.shown("inpca")
    assert other.state["dimensions"] == "3-D"  # each has its own choices
    assert errors == []


def test_an_explorer_in_two_cells_in_a_box_and_shared(page: Page, errors: list[str], open_notebook: Opens) -> None:
    boxed = "import ipywidgets\nipywidgets.VBox([ipywidgets.Label('above it'), explorer.widget])"
    shared = "Explorer(ds, views=['inpca', 'lengths'], state=explorer.state)"
    notebook = open_notebook((START, boxed, shared))
    notebook.run(0, 1, 2)
    stages = [Stage(page, number) for number in range(3)]
    expect(page.locator(".jupyter-widgets:has(.stage)").get_by_text("above it")).to_be_visible()
    for stage in stages[:2]:
        for view in VIEWS:
            assert stage.shown(view), view
    assert page.locator(".stage [data-view=lengths] .main-svg").count() >= 3
    page.locator("[data-curve=red] .eye").nth(1).click()
    for stage in stages:
        stage.wait("stage.state.curves.length === 2")
        assert sorted(stage.drawn().state["curves"]) == ["blue", "green"]
        assert stage.shown("inpca")
    assert errors == []


def test_a_panel_page_in_a_notebook(page: Page, open_notebook: Opens) -> None:
    panel = "import panel as pn\npn.extension(inline=True)"
    notebook = open_notebook((START.removesuffix("explorer"), panel, "pn.Column('# above it', explorer, height=1000)"))
    notebook.run(0, 1, 2)
    stage = Stage(page)
    expect(page.get_by_role("heading", name="above it")).to_be_visible()
    for view in VIEWS:
        assert stage.shown(view), view
    page.locator("[data-curve=red] .eye").first.click()
    until(page, lambda: notebook.ask("explorer.state.curves") == ["green", "blue"], "Python does not follow")


def test_a_picture_stays_in_a_saved_notebook(
    page: Page, browser: Browser, errors: list[str], open_notebook: Opens, tmp_path: Path
) -> None:
    notebook = open_notebook((START, "explorer.stop()"))
    notebook.run(0)
    stage = Stage(page)
    assert stage.shown("inpca")
    still = page.locator("[data-still]")
    expect(still).to_be_hidden()  # the stage takes its place
    saved = notebook.save()
    assert "<script" not in str(saved)

    # As a page, without a script.
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(notebook.path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with opened(browser, java_script_enabled=False, offline=True) as reader:
        reader.goto((tmp_path / notebook.path.name).with_suffix(".html").as_uri())
        expect(reader.locator("svg polyline")).to_have_count(10)  # six runs, three means, and the geodesic
        assert n_colours(reader.locator("[data-still] svg")) > 100
        assert reader.get_by_text("StageWidget").count() == 0

    # Opened again, without running it.
    notebook.end()
    page.goto("about:blank")
    again = open_notebook(notebook.path)
    assert again.ask("1") == 1
    expect(still).to_be_visible()
    expect(still).to_contain_text("run this cell for the explorer")
    assert n_colours(still.locator("svg")) > 100
    expect(page.get_by_text("Error displaying widget")).to_be_hidden()
    assert page.locator(".stage").count() == 0
    again.run(0)
    assert Stage(page).shown("inpca")
    expect(still).to_be_hidden()
    assert errors == []


FOLLOWING = """import time
from predspace_widgets import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
ds = random_trajectories()
new = ds["probs"].values[::-1][:12]

def training():
    for epoch, probs in enumerate(new):
        time.sleep(0.2)
        yield probs, epoch

explorer = Explorer(ds)
explorer"""


def test_a_training_is_followed_while_cells_go_on(page: Page, errors: list[str], open_notebook: Opens) -> None:
    cells = (FOLLOWING, "explorer.follow(training(), task='mine');", "explorer.stop()\nprint(explorer.state.curves)")
    notebook = open_notebook(cells)
    notebook.run(0)
    stage = Stage(page)
    n_before = len(stage.result()["row"])
    expect(page.locator("[data-control=live]")).to_have_count(0)  # nothing is followed yet
    notebook.run(1)
    stage.wait("stage.result('inpca').row.length === argument", n_before + 12)
    assert stage.state["curves"][-1] == "mine"
    expect(page.locator("[data-control=live] > .text")).to_contain_text("ended, 12 checkpoints")
    notebook.run(2)
    expect(page.locator(".jp-OutputArea-output pre").last).to_contain_text("mine")


WAITING = """import time
from pathlib import Path
from predspace_widgets import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
ds = random_trajectories()
new = ds["probs"].values[::-1][:12]

def training():
    for epoch, probs in enumerate(new):
        for _ in range(6000 if epoch == 3 else 0):  # ends by itself, so that what waits for it in vain fails
            if Path("go_on").exists():
                break
            time.sleep(0.1)
        yield probs, epoch

explorer = Explorer(ds, views=["inpca", "progress", "matrix"]).follow(training(), task="mine")
explorer"""


def test_a_cell_that_waits_for_a_training_freezes_no_card(
    page: Page, errors: list[str], jupyter: Jupyter, open_notebook: Opens
) -> None:
    notebook = open_notebook((WAITING, "explorer.wait()\nexplorer.save('mine.html')\nprint('waited')"))
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
    stage = Stage(page)
    n_before = random_trajectories().sizes["checkpoint"]
    # Three came while the second cell waits, and are drawn; Python answers meanwhile.
    stage.wait("stage.result('inpca').row.length === argument", n_before + 3)
    assert "mine" in stage.state["curves"]
    assert stage.shown("matrix")
    printed, notice = page.locator(".jp-OutputArea-output pre"), page.get_by_text("A cell is running")
    expect(notice).to_have_count(0)
    # As with an older kernel, which has one loop for all: it is said what is waited for.
    page.evaluate("jupyterapp.serviceManager.kernels.commsOverSubshells = 'disabled'")
    expect(notice).to_be_visible()
    assert printed.count() == 0
    (jupyter.folder / "go_on").touch()
    expect(printed).to_contain_text("waited")
    expect(notice).to_have_count(0)
    stage.wait("stage.result('inpca').row.length === argument", n_before + 12)
    expect(page.locator("[data-control=live] > .text")).to_contain_text("ended, 12 checkpoints")
    notebook.save()
    page.goto((jupyter.folder / "mine.html").as_uri())  # what came is saved with the rest
    saved = Stage(page)
    saved.wait("stage.result('inpca').row.length === argument", n_before + 12)
    assert "mine" in saved.state["curves"]
    assert errors == []


SCENES = [{"title": "All", "say": "Three tasks."}, {"say": "Red and blue.", "settings": {"tasks": ["red", "blue"]}}]


def test_keys_of_a_lecture_are_not_those_of_the_notebook(page: Page, errors: list[str], open_notebook: Opens) -> None:
    notebook = open_notebook((START.replace("(ds)", f"(ds, scenes={SCENES})"), "6 * 7"))
    notebook.run(0)
    stage = Stage(page)
    cells = (
        "jupyterapp.shell.currentWidget.content.widgets.map((cell) => [cell.model.type, cell.model.sharedModel.source])"
    )
    before, press, place = page.evaluate(cells), page.keyboard.press, page.locator(".lecture output")
    page.locator("[data-curve=red] .eye").first.focus()  # the lecture hides it
    press("p")
    expect(place).to_have_text("1 / 2")
    page.wait_for_function("document.fullscreenElement !== null")
    assert page.locator(".stage").bounding_box() == {"x": 0, "y": 0, **(page.viewport_size or {})}
    for key, expected in [("2", "2 / 2"), ("ArrowLeft", "1 / 2"), ("Space", "2 / 2"), ("1", "1 / 2")]:
        press(key)
        expect(place).to_have_text(expected)
    page.get_by_role("button", name="scene next").click()
    press("ArrowLeft")  # after a click too
    expect(place).to_have_text("1 / 2")
    press("2")
    assert sorted(stage.drawn().state["curves"]) == ["blue", "red"]
    assert stage.shown("inpca")
    for key in ("a", "b", "x", "d", "d", "m", "r", "y", "Shift+Enter"):
        press(key)
    press("Escape")
    expect(page.locator(".presenting")).to_have_count(0)
    page.wait_for_function("document.fullscreenElement === null")
    assert sorted(stage.drawn().state["curves"]) == ["blue", "green", "red"]
    press("m")  # the keys are still those of the stage
    assert page.evaluate(cells) == before
    assert notebook.ask("[explorer.state.curves, len(In)]") == [["red", "green", "blue"], 2]
    assert errors == []
