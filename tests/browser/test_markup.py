"""Nothing in a dataset is markup or script on a page: its letters are what is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from playwright.sync_api import Page, expect

from predspace_widgets.trajectories import save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Plots

SCRIPT = "<script>window.hacked=1</script>"
IMAGE = '"><img src=x onerror=window.hacked=1>'
TEMPLATE = "%{x} & $y$"
BOLD = "<b>bold</b>"
METHOD = "<i>supervised</i>"
TASKS = (BOLD, SCRIPT, IMAGE, TEMPLATE)


def hostile() -> xr.Dataset:
    """A dataset whose every name tries to be more than a name."""
    ds = random_trajectories(TASKS, n_checkpoints=3, methods=(METHOD,))
    classes = [f"{number} {IMAGE}" for number in range(ds.sizes["class"])]
    samples = [f"{number} {SCRIPT}" for number in range(ds.sizes["sample"])]
    return ds.assign_coords({"class": classes, "sample": samples}).assign_attrs(title=f"{SCRIPT} {IMAGE} {BOLD}")


@pytest.fixture(scope="module")
def address(start: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    names = [f"{IMAGE}{BOLD.replace('/', '')}", f"%{{x}} & {IMAGE}"]  # a file's name has no slash
    paths = [str(save_trajectories(hostile(), Path(folder) / f"{name}.zarr.zip")) for name in names]
    return start("predspace_widgets", "serve", *paths, "--port", "PORT")


def lines_of(text: str) -> str:
    """Text as a browser shows it, with each run of blanks as one."""
    return " ".join(text.split())


def nothing_ran(page: Page) -> None:
    page.wait_for_timeout(500)  # an image that is not there fails a moment later
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("img[src=x]").count() == 0


def test_the_served_page_shows_letters(page: Page, address: str) -> None:
    page.goto(address)
    lengths = Plots(page, ".view-lengths")
    lengths.wait("plots.length === 1")
    nothing_ran(page)
    title = f"predspace · {SCRIPT} {IMAGE} {BOLD}"
    assert page.title() == title
    expect(page.locator("#header")).to_contain_text(title)
    tasks = page.locator(".choose-tasks label")
    assert [text.strip() for text in tasks.all_inner_texts()] == list(TASKS)
    [labels] = lengths.read("[...plot.querySelectorAll('.ytick text')].map((text) => text.textContent)")
    assert {lines_of(label) for label in labels} >= {f"{SCRIPT} · {METHOD}", f"{BOLD} · {METHOD}"}
    assert any(lines_of(label).startswith(TEMPLATE) for label in labels)
    page.locator(".links a").click()  # the other dataset
    lengths.wait("plots.length === 1")
    assert "%25%7Bx%7D" in page.url
    nothing_ran(page)


@pytest.mark.parametrize("number", [1, 2, 3])  # buttons cover the first
def test_hovering_shows_letters(page: Page, address: str, number: int) -> None:
    page.goto(address)
    Plots(page, ".view-lengths").wait("plots.length === 1")
    bar = page.locator(".view-lengths .bars .point path").nth(number)
    label = page.locator(".view-lengths .hovertext text.nums")
    for _ in range(20):  # a plot that is just being drawn does not feel the mouse
        box = bar.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
        page.mouse.move(box["x"] + 6, box["y"] + box["height"] / 2)
        page.wait_for_timeout(500)
        if label.count():
            break
    expect(label).to_contain_text(TASKS[number])
    expect(label).to_contain_text(METHOD)
    nothing_ran(page)
