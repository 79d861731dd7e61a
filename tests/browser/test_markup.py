"""Nothing in a dataset is markup or script on a page: its letters are what is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from playwright.sync_api import Browser, Page, expect

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.trajectories import save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views.style import short_names
from tests.browser.conftest import Stage, opened

SCRIPT = "<script>window.hacked=1</script>"
IMAGE = '"><img src=x onerror=window.hacked=1>'
TEMPLATE = "%{x} & $y$"
BOLD = "<b>bold</b>"
METHOD = "<i>supervised</i>"
END = "</script><script>window.hacked=1</script>"
LINES = "one\ntwo <br> three"
LONG = f"{BOLD} {'long ' * 38}end"
TASKS = (BOLD, SCRIPT, IMAGE, TEMPLATE, END, LINES, LONG)
CURVES = [f"{task} · {METHOD}" for task in TASKS]


def hostile() -> xr.Dataset:
    """A dataset whose every name tries to be more than a name."""
    ds = random_trajectories(TASKS, n_checkpoints=3, methods=(METHOD,))
    classes = [f"{number} {IMAGE}" for number in range(ds.sizes["class"])]
    samples = [f"{number} {SCRIPT}" for number in range(ds.sizes["sample"])]
    runs = [f"{IMAGE} {run}" for run in ds["run"].values]
    named = ds.assign_coords({"class": classes, "sample": samples, "run": ("checkpoint", runs)})
    return named.assign_attrs(title=f"{SCRIPT} {IMAGE} {BOLD}")


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
    page.wait_for_timeout(400)  # an image that is not there fails a moment later
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("img[src=x]").count() == 0
    assert page.locator(".stage .mark").all_inner_texts() == ["predspace"]
    assert page.locator(".stage b:not(.tip > b, .mark), .stage i, .stage script, .stage img").all_inner_texts() == []


def letters_are_seen(stage: Stage) -> None:
    """In the list, the choices of two curves, the ticks of bars and above the bars."""
    page = stage.page
    names = page.locator("[data-curve] .name").all_inner_texts()
    assert [lines_of(name) for name in names] == [lines_of(curve) for curve in CURVES]
    options = page.locator('[data-control="compared 1"] option').all_text_contents()
    # Long ones without their middle, every other letter as it is.
    assert [lines_of(option) for option in options] == [lines_of(name) for name in short_names(CURVES)]
    ticks = page.locator("[data-view=lengths] .ytick text").all_text_contents()
    assert any("<script>" in tick for tick in ticks)
    assert any(tick.startswith("%{x} & $y$") for tick in ticks)
    bars = page.locator("[data-view=lengths] .bars .point path")
    for number in range(bars.count()):
        box = bars.nth(number).bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 6, box["y"] + box["height"] / 2)
        page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
        tip = page.locator(".tip b")
        expect(tip).to_be_visible()
        assert lines_of(tip.text_content() or "") in [lines_of(curve) for curve in CURVES]
    stage.page.mouse.move(2, 2)


def test_the_served_page_shows_letters(page: Page, address: str) -> None:
    page.goto(address)
    stage = Stage(page)
    nothing_ran(page)
    assert page.title() == f"{SCRIPT} {IMAGE} {BOLD} · predspace"
    letters_are_seen(stage)
    stage.set(dimensions="2-D", selected=[0])
    stage.set(curves=CURVES[1:3], pinned=[CURVES[1]], compared=[CURVES[2], CURVES[1]])
    nothing_ran(page)
    datasets = page.locator('[data-control="dataset"]')
    options = datasets.locator("option").all_text_contents()
    assert len(options) == 2
    assert options[1].startswith(f"%{{x}} & {IMAGE}")
    datasets.select_option(index=1)
    page.wait_for_url("**%25%7Bx%7D**")
    Stage(page)
    nothing_ran(page)


def test_a_message_shows_letters(page: Page, address: str) -> None:
    from urllib.parse import urlencode

    page.goto(f"{address}?{urlencode({IMAGE: SCRIPT, 'curves': END, 'dimensions': IMAGE})}")
    Stage(page)
    notice = page.locator(".notice")
    for text in (f"“{IMAGE}”", f"“{END}”"):
        expect(notice).to_contain_text(text)
    nothing_ran(page)


def test_the_file_shows_letters(browser: Browser, tmp_path: Path) -> None:
    path = Explorer(hostile(), curves=CURVES[:6], pinned=[CURVES[4]]).save(tmp_path / "one.html")
    with opened(browser) as page:
        page.context.set_offline(True)
        page.goto(path.as_uri())
        stage = Stage(page)
        assert stage.state["pinned"] == [CURVES[4]]
        nothing_ran(page)
        stage.set(curves=CURVES, pinned=[])
        letters_are_seen(stage)
        nothing_ran(page)
