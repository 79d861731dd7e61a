"""The octant in a real browser: dragged by mouse, finger and keys; its numbers are those of Python, and go there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from predspace_widgets import geometry
from predspace_widgets.explorers.octant import Octant, _placed
from tests.browser.conftest import fingers, opened
from tests.browser.jupyter import Notebook

HOSTILE = ["</script><script>window.hacked=1</script>", '"><img src=x onerror=window.hacked=1>', "8 & <b>9</b>"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("octant") / "octant.html"
    return Octant([0.7, 0.2, 0.1], [0.05, 0.15, 0.8], classes=["3", "5", "8"], truth="5").save(path).as_uri()


@pytest.fixture
def octant(page: Page, saved: str) -> Page:
    page.goto(saved)
    page.locator(".handle.first").wait_for()
    return page


def handle(page: Page, name: str) -> Locator:
    return page.locator(f".handle.{name}")


def probabilities(page: Page, name: str) -> np.ndarray:
    column = 1 if name == "first" else 2
    cells = page.locator(f"tbody td:nth-child({column + 1}) span").all()
    return np.array([[float(cell.get_attribute("data-value") or "nan") for cell in cells]])  # (1, 3)


def number(page: Page, name: str) -> float:
    return float(page.locator(f"[data-number='{name}']").get_attribute("data-value") or "nan")


def centre(locator: Locator) -> np.ndarray:
    box = locator.bounding_box()
    assert box is not None
    return np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])


def check_numbers(page: Page) -> None:
    """All numbers are those of `predspace_widgets.geometry`, and handles are where their predictions are."""
    p, q = probabilities(page, "first"), probabilities(page, "second")
    wanted = {
        "overlap": geometry.overlaps(p, q)[0],
        "bhattacharyya": geometry.bhattacharyya(p, q),
        "angle": geometry.great_circle(p, q),
        "progress of first": geometry.progress(p, geometry.ignorance(1, 3), geometry.truth([1], 3)),
        "progress of second": geometry.progress(q, geometry.ignorance(1, 3), geometry.truth([1], 3)),
    }
    for name, value in wanted.items():
        assert number(page, name) == pytest.approx(float(value), abs=5e-9), name
    box = page.locator(".picture svg").evaluate(
        "(svg) => { const m = svg.getScreenCTM(); return [m.a, m.e, m.f]; }"
    )  # pixels to a radius, and where the middle of the picture is
    for name, probs in (("first", p), ("second", q)):
        place = (_placed(probs, 1)[0] - _placed(np.full((1, 3), 1 / 3), 1)[0]) / 190
        seen = centre(handle(page, name).locator(".shape"))
        np.testing.assert_allclose(seen, box[0] * place + box[1:], atol=1.0)


@pytest.mark.parametrize("name", ["first", "second"])
def test_dragged_by_the_mouse(octant: Page, name: str) -> None:
    check_numbers(octant)
    other = "second" if name == "first" else "first"
    others = probabilities(octant, other)
    middle = centre(octant.locator("circle.ignorance"))
    for way in ([-40, 35], [25, 60], [10, -90]):
        octant.mouse.move(*centre(handle(octant, name).locator(".shape")))
        octant.mouse.down()
        octant.mouse.move(*(middle + way), steps=4)
        octant.mouse.up()
        np.testing.assert_allclose(centre(handle(octant, name).locator(".shape")), middle + way, atol=1)
        check_numbers(octant)
    np.testing.assert_array_equal(probabilities(octant, other), others)


def test_dragged_out_it_stays_on_the_octant(octant: Page) -> None:
    octant.mouse.move(*centre(handle(octant, "first").locator(".shape")))
    octant.mouse.down()
    octant.mouse.move(*(centre(octant.locator(".picture svg")) + np.array([0, -600])), steps=3)  # above the truth
    np.testing.assert_allclose(probabilities(octant, "first"), [[0, 1, 0]], atol=1e-12)
    octant.mouse.up()
    check_numbers(octant)


def test_moved_by_keys(octant: Page) -> None:
    octant.keyboard.press("Tab")
    expect(handle(octant, "first")).to_be_focused()
    ring = handle(octant, "first").locator(".touched")
    assert ring.evaluate("(ring) => getComputedStyle(ring).stroke") != "none"  # the focus is seen
    for key, axis, sign in (("ArrowLeft", 0, -1), ("ArrowRight", 0, 1), ("ArrowUp", 1, -1), ("ArrowDown", 1, 1)):
        before = centre(handle(octant, "first").locator(".shape"))
        octant.keyboard.press(f"Shift+{key}")
        moved = centre(handle(octant, "first").locator(".shape")) - before
        assert sign * moved[axis] > 5
        assert abs(moved[1 - axis]) < 1.5
        check_numbers(octant)
    octant.keyboard.press("Home")
    np.testing.assert_allclose(probabilities(octant, "first"), 1 / 3)
    expect(handle(octant, "first")).to_have_attribute("aria-valuetext", "3 33.3%, 5 33.3%, 8 33.3%")
    assert number(octant, "progress of first") == pytest.approx(0, abs=1e-9)
    octant.keyboard.press("End")
    expect(handle(octant, "first")).to_have_attribute("aria-valuenow", "100.0")
    assert number(octant, "progress of first") == pytest.approx(1, abs=1e-9)


def test_opposite_corners_are_infinitely_far(octant: Page) -> None:
    handle(octant, "first").focus()
    octant.keyboard.press("End")
    handle(octant, "second").focus()
    for _ in range(40):
        octant.keyboard.press("Shift+ArrowDown")
        octant.keyboard.press("Shift+ArrowRight")
    np.testing.assert_allclose(probabilities(octant, "second")[0, 1], 0, atol=1e-12)
    expect(octant.locator("[data-number='bhattacharyya']")).to_have_text("∞")
    expect(octant.locator("[data-number='angle']")).to_have_text("1.571 (90.0°)")
    check_paths(octant)


def places(path: Locator) -> np.ndarray:
    numbers = re.findall(r"-?[\d.]+(?:e-?\d+)?", path.get_attribute("d") or "")
    return np.array(numbers, dtype=float).reshape(-1, 2)


def check_paths(page: Page) -> None:
    """The lines that are drawn are the geodesic of Python, and the straight line between probabilities."""
    p, q = probabilities(page, "first"), probabilities(page, "second")
    t = np.linspace(0, 1, 49)
    middle = _placed(np.full((1, 3), 1 / 3), 1)
    for name, probs in (
        ("geodesic", geometry.geodesic(p, q, t)[:, 0]),
        ("mixture", (1 - t[:, None]) * p + t[:, None] * q),
    ):
        wanted = (_placed(probs, 1) - middle) / 190
        np.testing.assert_allclose(places(page.locator(f"path.{name}")), wanted, atol=1e-4)


def test_it_begins_where_python_put_it(octant: Page) -> None:
    np.testing.assert_allclose(probabilities(octant, "first"), [[0.7, 0.2, 0.1]])
    np.testing.assert_allclose(probabilities(octant, "second"), [[0.05, 0.15, 0.8]])


def test_lines_are_those_of_python(octant: Page) -> None:
    check_paths(octant)
    handle(octant, "second").focus()
    octant.keyboard.press("Shift+ArrowLeft")
    check_paths(octant)


def test_a_path_is_drawn(page: Page, tmp_path: Path) -> None:
    path = np.array([[0.3, 0.3, 0.4], [0.0, 0.0, 1.0], [0.9, 0.1, 0.0]])
    page.goto(Octant(path=path, truth="B").save(tmp_path / "path.html").as_uri())
    wanted = (_placed(path, 1) - _placed(np.full((1, 3), 1 / 3), 1)) / 190
    np.testing.assert_allclose(places(page.locator("path.trail")), wanted, atol=1e-9)
    expect(page.locator("circle.step")).to_have_count(3)


def test_dragged_by_a_finger(browser: Browser, saved: str) -> None:
    with opened(browser, has_touch=True, viewport={"width": 360, "height": 420}) as page:  # it could be scrolled
        page.goto(saved)
        touch = fingers(page)
        start = centre(handle(page, "first").locator(".shape"))
        touch("touchStart", start)
        for share in (0.25, 0.5, 0.75, 1.0):
            touch("touchMove", start + share * np.array([30, -40]))
        touch("touchEnd")
        np.testing.assert_allclose(centre(handle(page, "first").locator(".shape")), start + np.array([30, -40]), atol=2)
        assert page.evaluate("scrollY") == 0
        check_numbers(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_handles_are_seen_by_day_and_by_night(browser: Browser, saved: str, scheme: str) -> None:
    with opened(browser, color_scheme=scheme) as page:
        page.goto(saved)
        ground = page.locator(".predspace-octant").evaluate("(node) => getComputedStyle(node).backgroundColor")
        for name in ("first", "second"):
            shape = handle(page, name).locator(".shape")
            look = shape.evaluate("(node) => getComputedStyle(node).fill")
            assert contrast(look, ground) > 2.2  # of non-text, WCAG asks for 3 of shapes; the night's are far above
            text = handle(page, name).locator("text").evaluate("(node) => getComputedStyle(node).fill")
            assert contrast(text, look) >= 4.5
        drawn = page.locator("path.geodesic").evaluate("(node) => getComputedStyle(node).stroke")
        assert contrast(drawn, ground) > 7


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    lights = []
    for color in (one, other):
        parts = np.array(re.findall(r"\d+", color)[:3], dtype=float) / 255
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(lights) / min(lights)


def test_names_are_text(page: Page, tmp_path: Path) -> None:
    page.goto(Octant(classes=HOSTILE, truth=HOSTILE[1]).save(tmp_path / "hostile.html").as_uri())
    expect(page.locator("tbody th").first).to_have_text(f"{HOSTILE[0][:13]}…")
    expect(handle(page, "first")).to_have_attribute("aria-valuetext", re.compile(re.escape("8 & <b>9</b> 10.0%")))
    assert page.evaluate(
        "globalThis.hacked === undefined && !document.querySelector('main img, main script, main b b')"
    )


CELLS = (
    """import predspace_widgets as pw
octant = pw.Octant([0.7, 0.2, 0.1], [0.05, 0.15, 0.8], classes=["3", "5", "8"], truth="5")
octant""",
    "octant.second = [0, 0.5, 0.5]",
)


def test_both_ways_between_notebook_and_python(page: Page, open_notebook: Callable[..., Notebook]) -> None:
    notebook = open_notebook(CELLS)
    notebook.run(0)
    handle(page, "first").wait_for()
    check_numbers(page)
    handle(page, "first").focus()
    page.keyboard.press("Shift+ArrowUp")
    moved = probabilities(page, "first")
    assert moved[0, 1] > 0.25
    np.testing.assert_allclose([notebook.ask("octant.first")], moved, atol=1e-15)
    notebook.run(1)
    expect(handle(page, "second")).to_have_attribute("aria-valuetext", "3 0.0%, 5 50.0%, 8 50.0%")
    np.testing.assert_allclose(probabilities(page, "first"), moved, atol=1e-12)  # it stays where it was dragged
    check_numbers(page)
