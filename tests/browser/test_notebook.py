"""The explorer in JupyterLab, in a real browser: the whole stage, twice on a page, and both ways to the kernel."""

from __future__ import annotations

import ast
import json
import uuid
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Stage

CELLS = (
    """from predspace_widgets import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
ds = random_trajectories()
explorer = Explorer(ds)
explorer""",
    """Explorer(ds, views=["inpca", "progress"], tasks="red")""",
    """explorer.state.dimensions = "2-D"
print([explorer.state.curves, explorer.selection, explorer.selected().sizes["checkpoint"]])""",
)
VIEWS = ("inpca", "stress", "progress", "comparison", "lengths")  # that are in front at first


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "explorer.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(start: Callable[..., str], folder: Path) -> str:
    """Address of a JupyterLab, without token."""
    options = ["--no-browser", "--allow-root", "--ServerApp.port=PORT", "--IdentityProvider.token="]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    return start("jupyterlab", *options, path="/lab")


def run_cells(page: Page, *numbers: int) -> None:
    for number in numbers:
        page.evaluate(
            """async (number) => {
              jupyterapp.shell.currentWidget.content.activeCellIndex = number;
              await jupyterapp.commands.execute("notebook:run-cell");
            }""",
            number,
        )


def test_two_explorers_in_a_notebook(page: Page, lab: str, folder: Path) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.set_viewport_size({"width": 1280, "height": 2600})  # JupyterLab draws what is in sight
    page.goto(f"{lab}/workspaces/{uuid.uuid4().hex}/tree/explorer.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-cell')")
    connected = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'"
    page.wait_for_function(f"window.{connected}")
    run_cells(page, 0, 1)
    whole, other = Stage(page), Stage(page, 1)
    for view in VIEWS:
        assert whole.shown(view), view
    assert page.locator(".stage").nth(1).locator("[data-view]").count() == 2
    assert other.state["curves"] == ["red"]
    assert page.locator("script[src^='blob:']").count() <= 1  # plotly.js comes once, if JupyterLab has none

    # From the browser to Python, and back.
    whole.set(curves=["red", "blue"], selected=[2, 5, 40])
    page.wait_for_timeout(1000)
    run_cells(page, 2)
    printed = page.locator(".jp-OutputArea-output pre").last
    expect(printed).to_contain_text("[")
    assert ast.literal_eval(printed.inner_text().strip()) == [["red", "blue"], [2, 5, 40], 3]
    whole.wait("stage.state.dimensions === '2-D'")
    whole.drawn()
    assert whole.shown("inpca")
    assert other.state["dimensions"] == "3-D"  # each has its own choices

    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    saved = json.loads((folder / "explorer.ipynb").read_text())
    lasting = "".join(saved["cells"][0]["outputs"][0]["data"].get("text/html", ""))
    assert "<svg" in lasting
    assert "<script" not in lasting
    ours = [error for error in errors if "predspace" in error or "plotly" in error.lower() or "stage" in error]
    assert ours == []


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


def test_a_training_is_followed_while_cells_go_on(
    page: Page, start: Callable[..., str], lab: str, folder: Path
) -> None:
    cells = [FOLLOWING, "explorer.follow(training(), task='mine');", "explorer.stop()\nprint(explorer.state.curves)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "live.ipynb")
    page.set_viewport_size({"width": 1280, "height": 1600})
    page.goto(f"{lab}/workspaces/{uuid.uuid4().hex}/tree/live.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-cell')")
    connected = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'"
    page.wait_for_function(f"window.{connected}")
    run_cells(page, 0)
    stage = Stage(page)
    n_before = len(stage.result()["row"])
    expect(page.locator("[data-control=live]")).to_have_count(0)  # nothing is followed yet
    run_cells(page, 1)
    stage.wait("stage.result('inpca').row.length === argument", n_before + 12)
    assert stage.state["curves"][-1] == "mine"
    expect(page.locator("[data-control=live] > .text")).to_contain_text("ended, 12 checkpoints")
    run_cells(page, 2)
    expect(page.locator(".jp-OutputArea-output pre").last).to_contain_text("mine")
