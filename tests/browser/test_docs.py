"""The built pages (`make docs`), from the disk, as a reader without Python and without a network has them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Locator, Page

from tests.browser.conftest import REPOSITORY, Servers, Stage, at_rest, opened

BUILT = REPOSITORY / "build" / "docs"
PAGES = sorted(path for path in BUILT.rglob("*.html") if path.parent.name not in ("live", "_static"))
#: Sizes at which pages are read: a laptop and a phone.
SIZES = {"wide": (1280, 720), "phone": (390, 844)}


@pytest.fixture(scope="session", autouse=True)
def _is_built() -> None:
    if not PAGES:
        if os.environ.get("PREDSPACE_REQUIRE_BROWSER"):
            pytest.fail("the pages are not built, and PREDSPACE_REQUIRE_BROWSER asks for them: make docs")
        pytest.skip("the pages are not built (make docs)")


@contextmanager
def read(browser: Browser, address: str, size: str = "wide", theme: str = "light") -> Iterator[Page]:
    """A page whose scripts said nothing is wrong; see `opened` for what else is asserted."""
    width, height = SIZES[size]
    said: list[str] = []
    with opened(browser, viewport={"width": width, "height": height}, color_scheme=theme) as page:
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.goto(address)
        page.wait_for_load_state("load")
        yield page
        assert said == [], "errors in the console"


def live_of(page: Path) -> list[str]:
    """Names of the live pictures of a page."""
    return re.findall(r'<iframe src="[./]*live/(\w+\.html)"', page.read_text(encoding="utf-8"))


#: Each live picture, and a page that it is on.
LIVE = {name: page for page in PAGES for name in live_of(page)}


def test_there_is_something_to_read() -> None:
    names = {str(path.relative_to(BUILT)) for path in PAGES}
    assert {"index.html", "mathematics.html", "figures.html", "course/01_first_picture.html"} <= names
    assert {path.relative_to(BUILT).parts[0] for path in LIVE.values()} >= {"index.html", "course", "howto"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(BUILT)))
def test_a_page_is_whole_and_answers(path: Path, browser: Browser) -> None:
    """As it is opened on a phone, then as wide as a laptop; each live picture on one of the pages that it is on."""
    with read(browser, path.as_uri(), "phone") as page:
        assert page.title()
        assert page.locator("h1").count() == 1 or path.name == "search.html"
        typeset = "document.querySelectorAll('.math mjx-container > svg').length"
        page.wait_for_function(f"{typeset} === document.querySelectorAll('.math').length")
        assert page.locator("[data-mml-node=merror]").count() == 0
        figures = "[...document.querySelectorAll('div[id^=figure-]')]"
        page.wait_for_function(f"{figures}.every(figure => figure.querySelector('.main-svg'))")
        for width, height in (SIZES["phone"], SIZES["wide"]):
            page.set_viewport_size({"width": width, "height": height})
            # Wide tables and code scroll by themselves, the page does not. Figures follow its width after a moment.
            page.wait_for_function("document.documentElement.scrollWidth <= innerWidth + 1")
        for name in (name for name, place in LIVE.items() if place == path):
            _live_answers(page, name)


def _live_answers(page: Page, name: str) -> None:
    """It draws where it stands, and a control of it changes what is seen."""
    element = page.locator(f"iframe[src$='live/{name}']").first
    element.scroll_into_view_if_needed()
    frame = element.element_handle().content_frame()
    assert frame is not None
    frame.wait_for_load_state("load")
    if frame.locator("#octant").count():
        _octant_answers(frame)
    else:
        _answers(page, element, frame)


def _octant_answers(frame: Frame) -> None:
    handle, number = frame.locator(".handle.first"), frame.locator("[data-number='bhattacharyya']")
    handle.wait_for()
    before, place = number.inner_text(), handle.bounding_box()
    handle.focus()
    handle.press("ArrowLeft")
    assert number.inner_text() != before
    assert handle.bounding_box() != place


def _answers(page: Page, element: Locator, frame: Frame) -> None:
    """By keys: Playwright places the mouse wrongly in a frame that is zoomed."""
    stage = Stage(frame)  # type: ignore[arg-type]  # a frame is asked as a page is
    view = str(frame.locator("[data-view]").first.get_attribute("data-view"))
    assert stage.shown(view)
    before = at_rest(page, element.screenshot)
    frame.locator("[data-control='no curves']").press("Enter")
    stage.drawn()
    assert at_rest(page, element.screenshot) != before
    frame.locator("[data-control='all curves']").press("Enter")
    stage.drawn()
    assert stage.shown(view)


def test_links_lead_from_page_to_page(browser: Browser) -> None:
    """From the first page through the list beside it to each other one, each of which is opened above."""
    with read(browser, (BUILT / "index.html").as_uri()) as page:
        listed = page.locator(".sidebar-tree a").evaluate_all("links => links.map(link => link.href)")
        assert len(listed) > 20
        assert set(listed) <= {path.as_uri() for path in PAGES}
        page.locator(".sidebar-tree a").nth(1).click()
        page.wait_for_url(listed[1])
        assert page.locator("h1").count() == 1


def test_it_reads_from_a_server_too(browser: Browser, start: Servers) -> None:
    address = start("http.server", "PORT", "--directory", str(BUILT))
    with read(browser, address, theme="dark") as page:
        element = page.locator("iframe").first
        frame = element.element_handle().content_frame()
        assert frame is not None
        _answers(page, element, frame)
        background = frame.evaluate("getComputedStyle(document.querySelector('.stage')).backgroundColor")
        assert max(int(part) for part in re.findall(r"\d+", background)[:3]) < 128  # dark, as the page is
