"""The stage on a touch screen: a tap selects, a finger turns the picture in space, two enlarge it."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from predspace_widgets import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Stage, fingers, opened

# Where a checkpoint is drawn in 2-D, in pixels of the page.
_PLACE = """(() => {
  const plot = document.querySelector("[data-view=inpca] .js-plotly-plot");
  const { xaxis, yaxis } = plot._fullLayout;
  const [x, y] = stage.result("inpca").embedding[argument];
  const { left, top } = plot.getBoundingClientRect();
  return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y)];
})()"""


def test_fingers(browser: Browser, tmp_path: Path) -> None:
    file = Explorer(random_trajectories()).save(tmp_path / "one.html")
    screen = {"width": 820, "height": 1180}
    with opened(browser, bypass_csp=True, has_touch=True, is_mobile=True, viewport=screen) as page:
        page.goto(file.as_uri())
        stage = Stage(page)
        touch = fingers(page)
        box = page.locator("[data-view=inpca] canvas").last.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch("touchStart", (x, y))
        for step in range(10):
            touch("touchMove", (x + 8 * step, y))
        touch("touchEnd")
        stage.wait("stage.state.camera !== null")
        turned = stage.state["camera"]["eye"]
        assert page.evaluate("scrollY") == 0  # it is turned, and the page stays
        touch("touchStart", (x - 40, y), (x + 40, y))
        for step in range(8):
            touch("touchMove", (x - 40 - 8 * step, y), (x + 40 + 8 * step, y))
        touch("touchEnd")
        stage.wait("Math.abs(stage.state.camera.eye.y) < argument", 0.7 * abs(turned["y"]))

        stage.set(dimensions="2-D")
        page.touchscreen.tap(*stage.read(_PLACE, 26))
        stage.wait("stage.state.selected.length === 1")
        assert stage.state["selected"] == [26]
