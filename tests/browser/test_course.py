"""Each notebook of the course in a real JupyterLab, without the internet: it runs, it is seen, and it can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nbformat import NotebookNode
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Stage, opened
from tests.browser.jupyter import Notebook, n_colours, until

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
WIDGET, FIGURE = "application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"
# The curves of all explorers of a kernel.
ALL_CURVES = """[sorted(widget._state.curves) for widget in __import__("ipywidgets").widgets.widget._instances.values()
 if hasattr(widget, "_state")]"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One JupyterLab for all, which open there one after the other."""
    with opened(browser) as page:
        yield page


def outputs_of(saved: NotebookNode) -> list[NotebookNode]:
    return [output for cell in saved.cells if cell.cell_type == "code" for output in cell.outputs]


def see(notebook: Notebook, kind: str, places: str, n_expected: int, n_least: int) -> None:
    """All that was shown of a kind is drawn once it is scrolled to, in so many colours at least."""
    drawn = notebook.page.locator(places)
    assert drawn.count() == n_expected, kind
    for place in drawn.all():
        place.scroll_into_view_if_needed()
        until(notebook.page, lambda place=place: n_colours(place) >= n_least, f"nothing is seen of {kind}")


def check_outputs(outputs: list[Any]) -> None:
    """No cell failed or warned, nothing comes from a CDN, and every widget leaves a picture where it cannot run."""
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    shown = [output.get("data", {}) for output in outputs]
    for before, data in zip([{}, *shown], shown, strict=False):
        assert "<script src" not in data.get("text/html", "")
        assert WIDGET not in data or "<svg" in before.get("text/html", "")


def use(stage: Stage, notebook: Notebook) -> None:
    """Hide a curve by its button: the picture changes, and so do the choices in Python."""
    before, curves = stage.read("stage.drawing('inpca').figure"), stage.state["curves"]
    assert sorted(curves) in notebook.ask(ALL_CURVES)
    card = notebook.page.locator(".stage [data-view=inpca]").first
    seen = card.screenshot()
    notebook.page.locator(f".stage [data-curve='{curves[-1]}'] .eye").first.click()
    stage.wait("stage.state.curves.length === argument", len(curves) - 1)
    stage.drawn()
    assert stage.read("stage.drawing('inpca').figure") != before
    assert card.screenshot() != seen
    until(notebook.page, lambda: sorted(curves[:-1]) in notebook.ask(ALL_CURVES), "Python does not follow")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_of_the_course(path: Path, open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(path)
    notebook.run_all()
    outputs = outputs_of(notebook.save())
    check_outputs(outputs)
    n_of = {kind: sum(kind in output.get("data", {}) for output in outputs) for kind in (WIDGET, FIGURE)}
    assert sum(n_of.values()) > 0, "a notebook without a picture"
    see(notebook, WIDGET, ".jp-OutputArea-output.lm-Panel", n_of[WIDGET], 100)
    see(notebook, FIGURE, ".jp-RenderedPlotly:has(.main-svg)", n_of[FIGURE], 10)  # an 8 by 8 digit has 17 greys
    assert notebook.page.get_by_text("Error displaying widget").count() == 0
    if notebook.page.locator(".stage [data-view=inpca]").count():
        use(Stage(notebook.page), notebook)


def test_a_notebook_that_asks_for_another_machine_fails(open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(("import urllib.request; urllib.request.urlopen('http://example.org')",))
    notebook.run_all()
    with pytest.raises(AssertionError, match="must work offline"):
        check_outputs(outputs_of(notebook.save()))
