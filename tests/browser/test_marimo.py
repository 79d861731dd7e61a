"""The explorer and the octant in marimo: as the last expression of a cell, and as elements that other cells follow."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Servers, Stage
from tests.browser.jupyter import n_colours

APP = """
import marimo

app = marimo.App(width="full")


@app.cell
def _():
    import marimo as mo

    import predspace_widgets as pw
    from predspace_widgets.trajectories.testing import random_trajectories

    explorer = pw.Explorer(random_trajectories())
    explorer
    return explorer, mo, pw


@app.cell
def _(explorer, mo):
    chosen = mo.ui.anywidget(explorer.widget)
    flat = mo.ui.button(label="make it flat", on_click=lambda _: setattr(explorer.state, "dimensions", "2-D"))
    mo.vstack([chosen, flat])
    return (chosen,)


@app.cell
def _(chosen, explorer, mo):
    mo.md(f"told {chosen.value['choices'].get('curves')} and so {'+'.join(explorer.state.curves)}")
    return


@app.cell
def _(mo, pw):
    octant = mo.ui.anywidget(pw.Octant(classes=["3", "5", "8"]))
    octant
    return (octant,)


@app.cell
def _(mo, octant):
    mo.md(f"first {octant.value['first'][0]:.3f}")
    return


if __name__ == "__main__":
    app.run()
"""


def test_choices_travel_both_ways(page: Page, start: Servers, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    page.set_viewport_size({"width": 1280, "height": 2400})
    page.goto(start("marimo", "run", "--headless", "--port", "PORT", str(tmp_path / "app.py")))
    stages = [Stage(page), Stage(page, 1)]  # the same explorer twice
    for stage in stages:
        for view in ("inpca", "stress", "progress", "comparison", "lengths"):
            assert stage.shown(view), view
    plot = page.locator("[data-view=progress] .main-svg").first
    assert plot.evaluate("(node) => getComputedStyle(node).position") == "absolute"  # plotly's own rules reach it

    page.locator("[data-curve=green] .eye").nth(1).click()
    expect(page.get_by_text("told ['red', 'blue'] and so red+blue")).to_be_visible()
    stages[0].wait("stage.state.curves.length === 2")
    page.get_by_role("button", name="make it flat").click()
    for stage in stages:
        stage.wait("stage.state.dimensions === '2-D'")
        assert stage.drawn().shown("inpca")

    expect(page.get_by_text("first 0.500")).to_be_visible()
    assert n_colours(page.locator(".predspace-octant")) > 100
    page.locator(".handle.first").press("End")  # to the truth
    expect(page.get_by_text("first 1.000")).to_be_visible()
