"""The explorer in somebody else's Panel page: numbers and plotly.js come through the connection."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from tests.browser.conftest import Servers, Stage

SCRIPT = """
import sys
import panel as pn
from predspace_widgets import Explorer
from predspace_widgets.trajectories.testing import random_trajectories

ds = random_trajectories()

def page():
    explorer = Explorer(ds, views=["inpca", "progress"])
    told = pn.pane.Str("", name="told")
    explorer.state.param.watch(lambda event: setattr(told, "object", "told " + "+".join(event.new)), "curves")
    return pn.Column(pn.Row(explorer, height=600, sizing_mode="stretch_width"), told, sizing_mode="stretch_width")

pn.serve(page, port=int(sys.argv[1]), show=False)
"""


def test_an_explorer_in_a_row_of_others(page: Page, start: Servers, tmp_path: Path) -> None:
    script = tmp_path / "app.py"
    script.write_text(SCRIPT)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(start(str(script), "PORT", module=False))
    stage = Stage(page)
    assert stage.shown("inpca")
    assert stage.shown("progress")
    assert page.locator("[data-view]").count() == 2
    plot = page.locator("[data-view=progress] .main-svg").first
    assert plot.evaluate("(node) => node.getRootNode() instanceof ShadowRoot")
    assert plot.evaluate("(node) => getComputedStyle(node).position") == "absolute"  # plotly's own rules reach it
    assert [url for url in requests if "plotly" in url and not url.startswith("blob:")] == []
    stage.set(curves=["red", "blue"])
    page.get_by_text("told red+blue").wait_for()
    assert "curves" not in page.url  # the address is not ours
