"""The served page: what is seen, what hands do to it, and what its address keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.trajectories import Selection, open_trajectories, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Servers, Stage, opened

N_CHECKPOINTS = 60
VIEWS = ("inpca", "stress", "progress", "comparison", "lengths")  # that are in front at first
#: Of the largest coordinate of an axis.
CLOSE = 1e-3
RED = "red"
#: How many pixels of a card's topmost canvas have nearly this colour.
PIXELS = """
(card, color) => {
  const wanted = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  const canvas = [...card.querySelectorAll("canvas")].at(-1);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let n = 0; n < data.length; n += 4) {
    if (data[n + 3] > 200 && wanted.every((part, k) => Math.abs(data[n + k] - part) < 12)) found += 1;
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ds = random_trajectories(n_checkpoints=N_CHECKPOINTS, methods=("supervised", "simclr"))
    return save_trajectories(ds, tmp_path_factory.mktemp("data") / "trained.zarr.zip")


@pytest.fixture(scope="module")
def address(start: Servers, path: Path) -> str:
    return start("predspace_widgets", "serve", str(path), "--port", "PORT")


@pytest.fixture(scope="module")
def shared(browser: Browser, address: str) -> Iterator[tuple[Stage, dict[str, Any]]]:
    with opened(browser) as page:
        page.goto(address)
        stage = Stage(page)
        yield stage, stage.state


@pytest.fixture
def stage(shared: tuple[Stage, dict[str, Any]]) -> Stage:
    """One page for all tests that only choose: each finds it as it was opened."""
    stage, first = shared
    stage.page.set_viewport_size({"width": 1280, "height": 720})
    stage.page.mouse.move(2, 2)
    stage.read("stage.pause()")
    stage.set(**first)
    return stage


def row_of(stage: Stage, curve: str) -> Any:
    return stage.page.locator(f'[data-curve="{curve}"]')


def control(stage: Stage, name: str) -> Any:
    return stage.page.locator(f'[data-control="{name}"]')


def color_of(stage: Stage, curve: str) -> str:
    return str(row_of(stage, curve).locator(".swatch path").get_attribute("stroke"))


def inside(page: Page) -> list[str]:
    """What is wrong with the place of the cards."""
    return page.evaluate(
        """(views) => {
          const root = document.documentElement;
          const find = (node) => node.querySelector(".stage") ??
            [...node.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
          const stage = find(document);
          const wrong = [];
          if (root.scrollWidth > innerWidth || root.scrollHeight > innerHeight) wrong.push("the page scrolls");
          for (const view of views) {
            for (const part of ["", " .drawing", " .caption"]) {
              const box = stage.querySelector(`[data-view=${view}]${part}`).getBoundingClientRect();
              const fits = box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
              if (!fits) wrong.push(`${view}${part} is not on the page`);
              const small = box.width < 120 || (part !== " .caption" && box.height < 90);
              if (small) wrong.push(`${view}${part} is too small`);
            }
          }
          const aside = stage.querySelector("aside");
          if (aside.scrollWidth > aside.clientWidth) wrong.push("the list scrolls sideways");
          return wrong;
        }""",
        list(VIEWS),
    )


# ---- what is seen ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_everything_is_seen_without_scrolling(stage: Stage, size: tuple[int, int]) -> None:
    stage.page.set_viewport_size({"width": size[0], "height": size[1]})
    stage.drawn()
    assert inside(stage.page) == []
    for view in VIEWS:
        assert stage.shown(view), view


def test_controls_of_the_picture_are_as_wide_as_what_they_say(stage: Stage) -> None:
    stage.set(dimensions="2-D")  # all of them
    widths = {}
    for width in (1920, 1280, 1130, 1100):
        stage.page.set_viewport_size({"width": width, "height": 720})
        stage.drawn()
        widths[width] = stage.page.evaluate(
            """[...document.querySelectorAll("[data-view=inpca] .head select")]
              .filter((node) => node.checkVisibility()).map((node) => Math.round(node.getBoundingClientRect().width))"""
        )
    assert len(widths[1920]) == 7
    assert [widths[width] for width in (1280, 1130, 1100)] == [widths[1920]] * 3
    assert inside(stage.page) == []


def test_a_narrow_page_is_stacked(stage: Stage) -> None:
    stage.page.set_viewport_size({"width": 800, "height": 720})
    stage.drawn()
    boxes = [stage.page.locator(f"[data-view={view}]").bounding_box() for view in VIEWS]
    assert all(box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 800 for box in boxes)
    scrolled = "[...document.querySelectorAll('html, body')].every((node) => node.scrollWidth <= innerWidth)"
    assert stage.page.evaluate(scrolled)
    large, *others = (box for box in boxes if box)
    assert large["width"] > 700
    assert all(box["y"] >= large["y"] + large["height"] for box in others)  # beneath the picture
    for view in VIEWS:
        assert stage.shown(view), view


def test_the_dark_page(browser: Browser, address: str) -> None:
    with opened(browser, color_scheme="dark") as page:
        page.goto(address)
        Stage(page)
        body = page.locator(".stage")
        ground, ink = body.evaluate(
            "(node) => [getComputedStyle(node).backgroundColor, getComputedStyle(node).color]"
            ".map((color) => color.match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3)"
        )
        assert ground < 60 < 180 < ink
        tick = page.locator("[data-view=progress] .xtick text").first
        fill = tick.evaluate("(node) => getComputedStyle(node).fill.match(/\\d+/g).slice(0, 3).map(Number)")
        assert min(fill) > 120


@pytest.mark.parametrize("system", ["light", "dark"])
def test_each_click_on_the_theme_changes_the_look(
    browser: Browser, address: str, system: Literal["light", "dark"]
) -> None:
    with opened(browser, color_scheme=system) as page:
        page.goto(address)
        stage = Stage(page)
        looks = []
        for _ in range(3):
            looks.append("dark" in (page.locator(".stage").get_attribute("class") or "").split())
            control(stage, "theme").click()
            stage.drawn()
        assert looks == [system == "dark", system != "dark", system == "dark"]
        page.emulate_media(color_scheme="dark" if system == "light" else "light")  # the second click went back to it
        control(stage, "theme").click()
        assert ("dark" in (page.locator(".stage").get_attribute("class") or "").split()) == (system == "light")


# ---- which curves ---------------------------------------------------------------------------------------------------


def test_the_eyes_hide_and_show(stage: Stage) -> None:
    everything = stage.state["curves"]
    row_of(stage, RED).locator(".eye").click()
    stage.drawn()
    assert stage.state["curves"] == [curve for curve in everything if curve != RED]
    result = stage.result()
    assert ("red", "supervised") not in set(zip(result["task"], result["method"], strict=True))
    assert len(result["row"]) == 2 * N_CHECKPOINTS * 5
    stage.page.locator('[data-task="green"] .eye').click()
    stage.drawn()
    assert [curve for curve in stage.state["curves"] if curve.startswith("green")] == []
    assert len(stage.result()["row"]) == 2 * N_CHECKPOINTS * 3
    row_of(stage, RED).locator(".eye").click()
    stage.page.locator('[data-task="green"] .eye').click()
    stage.drawn()
    assert stage.state["curves"] == everything


def test_a_click_pins_and_a_double_click_isolates(stage: Stage) -> None:
    everything, pin = stage.state["curves"], row_of(stage, RED).locator(".pin")
    pin.click()
    assert stage.state["pinned"] == [RED]
    expect(pin).to_have_attribute("aria-pressed", "true")
    stage.page.mouse.move(2, 2)
    pin.click()
    assert stage.state["pinned"] == []
    pin.dblclick()
    stage.drawn()
    assert stage.state["curves"] == [RED]
    assert len(stage.result()["row"]) == 2 * N_CHECKPOINTS
    pin.dblclick()
    stage.drawn()
    assert stage.state["curves"] == everything


def test_hovering_on_a_row_lights_the_curve_everywhere(stage: Stage) -> None:
    color = color_of(stage, RED)
    lit = [view for view in VIEWS if view not in ("stress", "comparison")]  # these have no curves

    def pixels() -> dict[str, int]:
        stage.drawn()
        return {view: stage.page.locator(f"[data-view={view}]").evaluate(PIXELS, color) for view in lit}

    row_of(stage, RED).hover()
    expect(row_of(stage, RED)).to_have_class(re.compile(r"\blit\b"))
    during = pixels()
    row_of(stage, "blue · simclr").hover()
    expect(row_of(stage, RED)).not_to_have_class(re.compile(r"\blit\b"))
    other = pixels()
    for view in lit:
        assert during[view] > 50, during
        assert during[view] > 2 * other[view], (view, during, other)


def test_hiding_a_curve_under_the_mouse_leaves_nothing_pale(stage: Stage) -> None:
    pale = "document.querySelectorAll('.drawing.dim').length"
    row_of(stage, RED).locator(".eye").hover()
    stage.drawn()
    assert stage.read(pale) > 0
    ink = stage.page.locator("[data-view=inpca]").evaluate(PIXELS, color_of(stage, "blue · simclr"))
    row_of(stage, RED).locator(".eye").click()
    stage.drawn()
    assert stage.read(pale) == 0
    assert stage.page.locator("[data-view=inpca]").evaluate(PIXELS, color_of(stage, "blue · simclr")) > 2 * ink


def test_hiding_moves_nothing(stage: Stage) -> None:
    before = stage.result()
    kept = dict(zip(before["row"], before["embedding"], strict=True))
    row_of(stage, RED).locator(".eye").click()
    stage.drawn()
    after = stage.result()
    assert len(after["row"]) == len(before["row"]) - 2 * N_CHECKPOINTS
    for row, place in zip(after["row"], after["embedding"], strict=True):
        assert place == kept[row]
    # Where the axes follow, it moves: the check above can tell.
    stage.set(axes_fitted_on="shown")
    assert stage.result()["embedding"] != after["embedding"]


# ---- epochs and time ------------------------------------------------------------------------------------------------


def test_quick_keys_all_count(stage: Stage) -> None:
    epochs = sorted({float(epoch) for epoch in np.linspace(0, 1, N_CHECKPOINTS) * 10})
    handle = stage.page.get_by_label("last epoch")
    handle.focus()
    for _ in range(40):
        stage.page.keyboard.press("ArrowLeft")
    stage.drawn()
    assert handle.input_value() == str(N_CHECKPOINTS - 1 - 40)
    assert stage.state["epochs"] == pytest.approx([0, epochs[N_CHECKPOINTS - 1 - 40]])
    assert len(stage.result()["row"]) == 6 * 2 * (N_CHECKPOINTS - 40)
    stage.page.keyboard.press("Home")
    stage.drawn()
    assert stage.state["epochs"] == [0, 0]
    stage.page.wait_for_timeout(400)  # what the server echoes comes by now
    assert handle.input_value() == "0"
    assert stage.state["epochs"] == [0, 0]


def test_play_advances_and_pauses_where_it_is(stage: Stage) -> None:
    top = stage.page.locator("[data-view=inpca] canvas").last
    picture = "(canvas) => canvas.toDataURL()"
    end = top.evaluate(picture)
    control(stage, "time").fill("300")
    stage.drawn()
    here = stage.state["time"]
    assert 0 < here < 10
    middle = top.evaluate(picture)
    assert middle != end  # the heads stand elsewhere
    play = control(stage, "play")
    play.click()
    stage.wait("stage.state.time > argument * 1.2", here)
    seen = stage.state["time"]
    play.click()
    expect(play).to_have_attribute("aria-label", "play")
    stopped = stage.state["time"]
    assert seen <= stopped < 10
    assert top.evaluate(picture) != middle
    stage.page.wait_for_timeout(300)
    assert stage.state["time"] == stopped


def test_play_ends_at_the_end(stage: Stage) -> None:
    control(stage, "speed").select_option("4")
    control(stage, "time").fill("950")
    control(stage, "play").click()
    expect(control(stage, "play")).to_have_attribute("aria-label", "play")
    assert stage.state["time"] is None


# ---- the address ----------------------------------------------------------------------------------------------------


def test_the_address_keeps_everything(browser: Browser, page: Page, address: str) -> None:
    page.goto(address)
    stage = Stage(page)
    camera = {
        "eye": {"x": 0.5, "y": -1.5, "z": 1.25},
        "center": {"x": 0, "y": 0, "z": 0},
        "up": {"x": 0, "y": 0, "z": 1},
    }
    curves = stage.state["curves"][1:]
    stage.set(curves=curves, axes_fitted_on="shown", seeds=[1], camera=camera, progress_metric="great_circle")
    page.wait_for_function("location.search.includes('axes_fitted_on')")
    assert "time" not in page.url  # defaults are left out
    wanted, state = stage.result(), stage.state
    page.reload()
    again = Stage(page)
    assert (again.result(), again.state) == (wanted, state)
    with opened(browser) as other:
        other.goto(page.url)
        elsewhere = Stage(other)
        assert (elsewhere.result(), elsewhere.state) == (wanted, state)
    again.set(**{name: value for name, value in again.state.items() if name == "time"}, curves=[curves[0]])
    page.wait_for_function("(label) => decodeURIComponent(location.search).includes(label)", arg=f'["{curves[0]}"]')


def test_impossible_choices_are_told_and_the_rest_is_applied(page: Page, address: str) -> None:
    wrong = {"colour": "red", "curves": '["nobody"]', "epochs": "[3]", "time": '"soon"', "camera": "1", "frozen": "{}"}
    page.goto(f"{address}?{urlencode({**wrong, 'seeds': '[1]', 'dimensions': '2-D'})}")
    stage = Stage(page)
    for name in ("colour", "nobody", "epochs", "time", "camera", "frozen"):
        expect(page.locator(".notice")).to_contain_text(name)
    assert (stage.state["seeds"], stage.state["dimensions"], stage.state["time"]) == ([1], "2-D", None)
    assert len(stage.state["curves"]) == 6
    assert stage.shown("inpca")


# ---- the keyboard ---------------------------------------------------------------------------------------------------


def test_every_control_is_reached_by_tab_and_shows_it(stage: Stage) -> None:
    page = stage.page
    stage.set(dimensions="2-D")  # all controls of the picture
    count = """() => {
      const find = (node) => node.querySelector(".stage") ??
        [...node.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
      // Of tabs the one in front: arrows go on to the others, see test_accessibility.
      window.wanted = [...find(document).querySelectorAll("button, select, input, summary, [role=tab]")]
        .filter((node) => node.role !== "tab" || node.ariaSelected === "true")
        .filter((node) => !node.disabled && node.checkVisibility({ visibilityProperty: true }));
      window.reached = new Map();
      document.activeElement?.blur();
      return wanted.length;
    }"""
    look = """() => {
      let node = document.activeElement;
      while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(node);
      const seen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
      if (wanted.includes(node)) reached.set(node, reached.get(node) || seen);
    }"""
    n_controls = page.evaluate(count)
    assert n_controls > 30
    for _ in range(n_controls + 15):
        page.keyboard.press("Tab")
        page.evaluate(look)
    name = "(node) => node.ariaLabel || node.textContent"
    assert page.evaluate(f"wanted.filter((node) => !reached.has(node)).map({name})") == []
    handles = page.evaluate(f"wanted.filter((node) => !reached.get(node)).map({name})")
    assert handles == ["first epoch", "last epoch"]  # two on one track: not the track is outlined but the handle
    track = page.locator(".epochs .range")
    looks = [track.screenshot()]
    for handle in handles:
        page.get_by_label(handle, exact=True).focus()
        looks.append(track.screenshot())
    assert len(set(looks)) == 3


# ---- what asks Python -----------------------------------------------------------------------------------------------


def test_the_last_of_quick_clicks_is_drawn(stage: Stage) -> None:
    eyes = [row_of(stage, curve).locator(".eye") for curve in stage.state["curves"][:4]]
    stage.read(
        """(async (eyes) => {
          window.drawn = [];
          window.reading = setInterval(() => drawn.push(stage.result("inpca").row.length), 20);
        })()"""
    )
    for eye in eyes:
        eye.evaluate("(button) => button.click()")
    stage.drawn()
    wanted = 2 * N_CHECKPOINTS * 2
    assert len(stage.result()["row"]) == wanted
    assert stage.page.locator(".row.hidden").count() == 4
    stage.page.wait_for_timeout(600)  # what is stale would come by now
    lengths = stage.page.evaluate("(clearInterval(reading), drawn)")
    assert lengths[lengths.index(wanted) :] == [wanted] * (len(lengths) - lengths.index(wanted))
    bars = stage.page.locator("[data-view=lengths] .bars .point")
    assert bars.count() == 2


def test_only_the_newest_answer_of_python_is_shown(stage: Stage, path: Path) -> None:
    """Seeds and epochs change four times before Python answers: the comparison is that of the last."""
    ds = open_trajectories(path)
    first, second = stage.state["compared"]
    lasts = [2.0, 4.0, 6.0, 8.0]
    stage.read("argument.forEach((last) => stage.set({ seeds: [last % 4 / 2], epochs: [0, last] }))", lasts)
    stage.drawn()
    stage.page.wait_for_timeout(500)
    wanted = analysis_of(ds).comparison(first, second, Selection(seeds=(0,), epochs=(0.0, 8.0)))
    caption = stage.page.locator("[data-view=comparison] .caption")
    expect(caption).to_contain_text(f"Mean {wanted.attrs['mean_distance']:.3f}")
    table = stage.result("comparison")
    np.testing.assert_allclose(table["distance"], wanted["distance"].values, rtol=1e-6)


# ---- the server is stopped ------------------------------------------------------------------------------------------


def test_without_its_server_the_page_goes_on(browser: Browser, start: Servers, path: Path) -> None:
    address = start("predspace_widgets", "serve", str(path), "--port", "PORT")
    analysis = Analysis(open_trajectories(path))
    with opened(browser) as page:
        page.goto(address)
        stage = Stage(page)
        stage.wait('stage.result("comparison") !== null')
        labels = stage.state["curves"]
        start.stop(address)
        page.wait_for_timeout(300)  # the page hears of it
        stage.set(curves=labels[1:], epochs=[0, 8.0])
        chosen = Selection(curves=tuple(analysis.curve_pairs[1:]), epochs=(0.0, 8.0))
        check_picture(stage, analysis, chosen, Selection())
        stage.set(axes_fitted_on="shown")
        check_picture(stage, analysis, chosen, None)
        assert stage.shown("inpca")
        stage.set(dimensions="2-D", seeds=[0])
        assert stage.shown("inpca")
        check_picture(stage, analysis, Selection(curves=chosen.curves, epochs=chosen.epochs, seeds=(0,)), None)
        assert stage.shown("progress")
        control(stage, "time").fill("200")
        before = stage.state["time"]
        control(stage, "play").click()
        stage.wait("stage.state.time > argument * 1.1", before)
        control(stage, "play").click()
        message = page.locator("[data-view=comparison] .message")
        expect(message).to_contain_text("the connection is lost")


def check_picture(stage: Stage, analysis: Analysis, chosen: Selection, fitted_on: Selection | None) -> None:
    """The stage's numbers are those of Python, axis by axis."""
    result = stage.result()
    picture = analysis.picture(chosen, 5, fitted_on=fitted_on)
    theirs, ours = np.array(result["embedding"]), picture["embedding"].values
    assert theirs.shape[0] == ours.shape[0]
    for axis in range(3):
        assert np.abs(theirs[:, axis] - ours[:, axis]).max() <= CLOSE * np.abs(ours[:, axis]).max(), axis
