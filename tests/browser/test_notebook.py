"""The notebook explorer in JupyterLab, in a real browser."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable

import nbformat
import pytest
from playwright.sync_api import Page

from predspace_widgets.trajectories import save_trajectories
from tests.browser.conftest import REPOSITORY, Plots
from tests.browser.test_app import POINTS
from tests.browser.test_markup import BOLD, IMAGE, SCRIPT, hostile, nothing_ran

N_CHECKPOINTS = 8
CODE = f"""
from predspace_widgets import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
Explorer(random_trajectories(n_seeds=2, n_checkpoints={N_CHECKPOINTS}))
"""
HOSTILE = """
from predspace_widgets import Explorer, open_trajectories
Explorer(open_trajectories("hostile.zarr.zip"))
"""


@pytest.fixture(scope="module")
def lab(start: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a JupyterLab, without token, on a folder with three notebooks."""
    folder = tmp_path_factory.mktemp("notebooks")
    save_trajectories(hostile(), folder / "hostile.zarr.zip")
    for name, code in (("explorer", CODE), ("hostile", HOSTILE)):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, folder / f"{name}.ipynb")
    shutil.copy(REPOSITORY / "notebooks" / "01_first_picture.ipynb", folder)
    options = ["--no-browser", "--allow-root", "--ServerApp.port=PORT", "--IdentityProvider.token="]
    options += [f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    return start("jupyterlab", *options, path="/lab")


def run_notebook(page: Page, lab: str, name: str) -> None:
    """Open a notebook in a workspace of its own and run all of its cells."""
    page.goto(f"{lab}/workspaces/{uuid.uuid4().hex}/tree/{name}")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    page.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-all-cells')", timeout=60_000)
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.connectionStatus === 'connected'",
        timeout=60_000,
    )
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")


def test_task_and_epochs_change_the_picture(page: Page, lab: str) -> None:
    run_notebook(page, lab, "explorer.ipynb")
    plots = Plots(page, ".jp-OutputArea")
    plots.wait("plots.length === 2", timeout=90_000)
    everything = 2 * N_CHECKPOINTS
    assert plots.runs() == dict.fromkeys(["red", "green", "blue"], everything)

    page.locator(".widget-checkbox").filter(has_text="green").locator("input").click()
    plots.wait("plots[0].data.every((trace) => trace.name !== 'green')")
    assert plots.runs() == dict.fromkeys(["red", "blue"], everything)

    handle = page.locator(".noUi-handle-upper").first
    handle.focus()
    handle.press("ArrowLeft")
    plots.wait(f"{POINTS} === {everything - 2}")
    assert set(plots.runs().values()) == {everything - 2}


def test_names_in_a_dataset_are_letters(page: Page, lab: str) -> None:
    run_notebook(page, lab, "hostile.ipynb")
    plots = Plots(page, ".jp-OutputArea")
    plots.wait("plots.length === 2", timeout=90_000)
    nothing_ran(page)
    labels = [text.strip() for text in page.locator(".jp-OutputArea .widget-checkbox").all_inner_texts()]
    assert {SCRIPT, IMAGE, BOLD} <= set(labels)
    options = page.locator(".jp-OutputArea .widget-dropdown option").all_text_contents()
    assert any(option.startswith(BOLD) for option in options)


def test_first_notebook_shows_its_pictures(page: Page, lab: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 4000})  # JupyterLab draws what is in sight
    run_notebook(page, lab, "01_first_picture.ipynb")
    plots = Plots(page, ".jp-OutputArea")
    plots.wait("plots.length === 3", timeout=120_000)  # the explorer's two, and the plain figure
    page.locator(".jp-OutputArea").filter(has_text="array([0. ").first.wait_for(timeout=60_000)  # the last cell's
    assert page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
