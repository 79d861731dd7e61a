"""Who cannot see the page, has no mouse, or wants no motion: axe-core's rules, the keyboard, and what is spoken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.trajectories import open_trajectories, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from predspace_widgets.views.style import short_names
from tests.browser.conftest import Stage, at_rest, opened
from tests.views.conftest import with_recipe

PASSWORD = "correct horse"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LONG = "blue, in a name that is longer than a card has room for"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
FINDINGS = """
async (rules) => (await axe.run(document, { runOnly: { type: "tag", values: rules } })).violations
  .filter(({ impact }) => ["serious", "critical"].includes(impact))
  .flatMap(({ id, help, nodes }) => nodes.map(({ target, html, failureSummary }) =>
    [id, help, target.join(" "), html.slice(0, 200), failureSummary].join("\\n    ")))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ds = with_recipe(random_trajectories(("red", "green", LONG), n_checkpoints=8, methods=("supervised", "simclr")))
    images = np.random.default_rng(0).integers(255, size=(ds.sizes["sample"], 4, 4), dtype=np.uint8)
    path = tmp_path_factory.mktemp("data") / "mine.zarr.zip"
    save_trajectories(ds.assign(image=(("sample", "row", "column"), images)), path)
    return path


@pytest.fixture(scope="module")
def explorer(data: Path) -> Explorer:
    return Explorer(open_trajectories(data))


@pytest.fixture(scope="module")
def file(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return explorer.save(tmp_path_factory.mktemp("file") / "one.html").as_uri()


@pytest.fixture(scope="module")
def address(start: Callable[..., str], data: Path) -> str:
    password = data.parent / "password"
    password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(data.parent / "state"))
        return start("predspace_widgets", "serve", str(data), "--port", "PORT", "--password-file", str(password))


@pytest.fixture(scope="module")
def shared(browser: Browser, file: str) -> Iterator[Stage]:
    with opened(browser) as page:
        page.goto(file)
        yield Stage(page)


@pytest.fixture
def stage(shared: Stage, explorer: Explorer) -> Stage:
    shared.page.keyboard.press("Escape")
    shared.set(**explorer.state.defaults())
    return shared


def check(page: Page, where: str) -> list[str]:
    """What axe-core calls serious or critical."""
    page.wait_for_timeout(100)  # until what was clicked last is painted
    return [f"{where}: {finding}" for finding in page.evaluate(FINDINGS, RULES)]


def with_axe(page: Page) -> Page:
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    return page


# -- axe-core -------------------------------------------------------------------------------------------------------


def everything_opened(stage: Stage) -> list[str]:
    """What axe-core finds while all that can be opened is open, one after another.

    It takes a while, so it is done by night on the served page and by day in the file, whose stage is the same.
    """
    page = with_axe(stage.page)
    found = check(page, "as it is opened")
    for name in VIEWS:
        tab = page.locator(f'[data-tab="{name}"]:visible')
        if tab.count():
            tab.first.click()
            stage.drawn()
            found += check(page, f"the tab {name}")
    for menu in page.locator(".menu summary:visible").all():
        menu.click()
        found += check(page, f"the menu {menu.get_attribute('aria-label')}")
        page.keyboard.press("Escape")
    with table_of(page, "inpca"):
        found += check(page, "the table")
    states: dict[str, dict[str, Any]] = {
        "a selected checkpoint": {"selected": [3], "sample": 0},
        "a selected pair": {"selected": [3, 20]},
        "samples of some classes": {"selected": [], "samples": {"classes": ["class 1", "class 2"]}},
        "pairs of axes": {"samples": None, "dimensions": "pairs", "color_by": "progress"},
        "a message": {"curves": []},
    }
    for name, choices in states.items():
        stage.set(**choices)
        found += check(page, name)
    return found


@contextmanager
def table_of(page: Page, view: str) -> Iterator[Any]:
    """The dialog with the numbers of a view."""
    card = page.locator(f"[data-view={view}]")
    card.locator(".menu summary").click()
    card.get_by_role("button", name="Table").click()
    yield page.get_by_role("dialog")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_on_the_login_and_the_served_page(
    browser: Browser, address: str, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, color_scheme=scheme) as page:
        page.goto(address)
        found = check(with_axe(page), "login")
        page.get_by_label("Password").fill("a guess")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        found += check(with_axe(page), "login, refused")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        stage = Stage(page)
        found += everything_opened(stage) if scheme == "dark" else check(with_axe(page), "as it is opened")
    assert found == [], "\n".join(found)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious_in_the_file(browser: Browser, file: str, scheme: Literal["light", "dark"]) -> None:
    with opened(browser, color_scheme=scheme) as page:
        page.goto(file)
        stage = Stage(page)
        found = everything_opened(stage) if scheme == "light" else check(with_axe(page), "as it is opened")
    assert found == [], "\n".join(found)


# -- the keyboard ---------------------------------------------------------------------------------------------------

CONTROLS = ".stage :is(button, select, input, summary, canvas[tabindex], [role=tab])"
REACHED = """
(controls) => {
  const { activeElement: node } = document;
  if (!node || !node.closest(".stage")) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(node);
  const hasRing = node.type === "range" || (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2);
  return [[...document.querySelectorAll(controls)].indexOf(node), hasRing, node.outerHTML.slice(0, 120)];
}
"""
NAMES = """
(controls) => Object.fromEntries([...document.querySelectorAll(controls)].entries().toArray()
  .filter(([, node]) => node.checkVisibility() && !node.disabled && !node.closest("details:not([open]) .items"))
  .filter(([, node]) => node.getAttribute("role") !== "tab" || node.getAttribute("aria-selected") === "true")
  .map(([place, node]) => [place, node.outerHTML.slice(0, 120)]))
"""


def test_every_control_is_reached_by_tab_with_a_visible_focus(stage: Stage) -> None:
    page = stage.page
    wanted = page.evaluate(NAMES, CONTROLS)
    assert len(wanted) > 40
    page.evaluate("document.activeElement.blur()")
    page.mouse.click(2, 2)
    reached: dict[str, str] = {}
    for _ in range(len(wanted) + 20):
        page.keyboard.press("Tab")
        seen = page.evaluate(REACHED, CONTROLS)
        if seen is None:
            continue
        place, has_ring, html = seen
        assert has_ring, f"no ring is seen around {html}"
        reached[str(place)] = html
    assert {name for place, name in wanted.items() if place not in reached} == set()


@pytest.mark.parametrize("name", ["first epoch", "last epoch", "time"])
def test_the_focus_of_a_slider_is_seen(stage: Stage, name: str) -> None:
    slider = stage.page.get_by_label(name, exact=True)
    box = slider.bounding_box()
    assert box is not None
    clip: Any = {"x": box["x"] - 4, "y": box["y"] - 4, "width": box["width"] + 8, "height": box["height"] + 8}
    stage.page.keyboard.press("Tab")  # from now on the focus is that of a keyboard
    stage.page.evaluate("document.activeElement.blur()")
    bare = stage.page.screenshot(clip=clip)
    slider.focus()
    assert stage.page.screenshot(clip=clip) != bare


def test_tabs_follow_the_arrows(stage: Stage) -> None:
    page = stage.page
    deck = page.locator("[data-view=lengths] [role=tab]")
    names = [tab.get_attribute("data-tab") for tab in deck.all()]
    assert names[0] == "lengths"
    assert len(names) > 2
    own = page.locator("[role=tab][aria-selected=true]:visible")
    page.locator("[data-view=lengths] [role=tab][aria-selected=true]").focus()
    keys = {"ArrowRight": names[1], "ArrowLeft": names[0], "End": names[-1], "Home": names[0]}
    for key, name in keys.items():
        page.keyboard.press(key)
        stage.drawn()
        expect(page.locator(f"[data-view={name}]")).to_be_visible()
        focused = page.evaluate("[document.activeElement.dataset.tab, document.activeElement.ariaSelected]")
        assert focused == [name, "true"]
    for tab in own.all():
        panel = page.locator(f"#{tab.get_attribute('aria-controls')}")
        expect(panel).to_have_attribute("role", "tabpanel")
        expect(panel).to_be_visible()


def test_a_menu_closes_by_escape_and_gives_the_focus_back(stage: Stage) -> None:
    page = stage.page
    stage.set(pinned=stage.state["curves"][:1])
    summary = page.locator("[data-view=inpca] .menu summary")
    summary.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == "Picture (PNG)"
    page.keyboard.press("Escape")
    expect(page.locator("[data-view=inpca] .menu .items")).to_be_hidden()
    expect(summary).to_be_focused()
    assert stage.state["pinned"]  # one Escape does one thing
    page.keyboard.press("Escape")
    assert not stage.state["pinned"]


def test_a_curve_is_shown_alone_by_the_keyboard(stage: Stage) -> None:
    label = stage.state["curves"][1]
    stage.page.locator(f'[data-curve="{label}"] .pin').focus()
    stage.page.keyboard.press("Shift+Enter")
    stage.drawn()
    assert stage.state["curves"] == [label]


def test_keys_turn_the_picture_and_bring_it_back(stage: Stage) -> None:
    page = stage.page
    picture = page.locator("[data-view=inpca] canvas.scene-over")
    pixels = "(node) => node.getContext('2d').getImageData(0, 0, node.width, node.height).data.join()"
    home = stage.read("stage.drawing('inpca').figure.layout.scene.camera")
    for key in ("ArrowLeft", "ArrowUp", "+", "-"):
        before = picture.evaluate(pixels)
        picture.press(key)
        assert at_rest(page, lambda: picture.evaluate(pixels)) != before, key
    picture.press("Home")
    at_rest(page, lambda: stage.state["camera"])
    for name in ("eye", "center"):
        assert stage.state["camera"][name] == pytest.approx(home[name], abs=2e-3)
    keys = page.locator(f"#{str(picture.get_attribute('aria-describedby')).split()[0]}")
    assert "Arrow keys turn it" in str(keys.text_content())


# -- what is spoken -------------------------------------------------------------------------------------------------


def test_sliders_are_spoken_as_what_they_choose(stage: Stage) -> None:
    page, about = stage.page, stage.state
    first = page.get_by_label("first epoch", exact=True)
    expect(first).to_have_attribute("aria-valuetext", f"epoch {about['epochs'][0]:g}")
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(first).to_have_attribute("aria-valuetext", f"epoch {stage.state['epochs'][0]:.3g}")
    assert stage.state["epochs"][0] > about["epochs"][0]
    time = page.get_by_label("time", exact=True)
    for by, value, spoken in (("epoch", 1.0, "epoch 1"), ("step", 4.0, "step 4"), ("progress", 0.4, "progress 0.4")):
        stage.set(time_by=by, time=value)
        expect(time).to_have_attribute("aria-valuetext", spoken)


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "inspector"])  # of that a file knows nothing
def test_a_figure_is_called_what_python_says_of_it(stage: Stage, explorer: Explorer, view: str) -> None:
    stage.set(tabs=[view])
    explorer.state.param.update(**explorer.state.defaults())
    figure = stage.page.locator(f"[data-view={view}] [role=img]")
    sentence = explorer.summary(view)
    expect(figure).to_have_attribute("aria-label", sentence)
    assert any(letter.isdigit() for letter in sentence)
    if view in ("inpca", "lengths"):  # it follows what is shown
        curves = stage.state["curves"][2:4]
        stage.set(curves=curves)
        explorer.state.curves = curves
        assert explorer.summary(view) != sentence
        expect(figure).to_have_attribute("aria-label", explorer.summary(view))
        explorer.state.param.update(**explorer.state.defaults())


@pytest.mark.parametrize("view", ["inpca", "lengths", "comparison", "matrix"])
def test_the_table_behind_a_figure_has_the_numbers_of_python(stage: Stage, explorer: Explorer, view: str) -> None:
    stage.set(tabs=[view])
    explorer.state.param.update(**explorer.state.defaults())
    wanted = explorer.data(view)
    with table_of(stage.page, view) as dialog:
        expect(dialog.locator("caption")).to_have_text(explorer.summary(view))
        expect(dialog.locator(".words")).to_contain_text(f"{len(wanted):,} rows")
        table = dialog.locator("table")
        heads = table.locator("thead th[scope=col]").all_inner_texts()
        rows = table.locator("tbody tr").evaluate_all(
            "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
        assert table.locator("tbody th[scope=row]").count() == len(rows)
    names = [name for name in heads if name != "look"]
    assert len(rows) == min(200, len(wanted))
    shown = pd.DataFrame(rows, columns=heads)
    if "row" in names:  # the curve by its name, before the parts that it is made of
        first = [name for name in ("curve", "seed", "epoch") if name in names]  # lengths are of no epoch
        assert names[: len(first)] == first
        assert names[-2:] == ["row", "run"]
        places = explorer.session.analysis.curve_numbers[wanted["row"].iloc[: len(rows)]]
        short = short_names(explorer.session.analysis.curve_names)
        assert shown["curve"].tolist() == [short[place] for place in places]
        assert LONG in set(shown["task"])  # whole
        names.remove("curve")
    assert set(names) <= set(wanted.columns) | {"row"}
    for name in names:
        ours = wanted[name].iloc[: len(rows)]
        if ours.dtype.kind in "fi":
            np.testing.assert_allclose(pd.to_numeric(shown[name]), ours, rtol=2e-3, atol=2e-3 * np.nanmax(np.abs(ours)))
        elif ours.dtype.kind != "b":
            assert shown[name].tolist() == ours.astype(str).tolist()


def test_a_checkpoint_is_chosen_from_the_table_by_the_keyboard(stage: Stage) -> None:
    page = stage.page
    card = page.locator("[data-view=inpca]")
    card.locator(".menu summary").focus()
    for key in ("Enter", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.get_by_role("dialog").get_by_role("button", name="look").nth(5).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert stage.state["selected"] == [5]


# -- motion and colours ---------------------------------------------------------------------------------------------


#: The time at each of thirty frames.
TIMES = """
new Promise((done) => {
  const seen = [];
  const look = () => (seen.push(stage.state.time), seen.length < 30 ? requestAnimationFrame(look) : done(seen));
  look();
})
"""


def test_who_wants_no_motion_sees_play_jump(browser: Browser, file: str) -> None:
    with opened(browser, reduced_motion="reduce") as page:
        page.goto(file)
        stage = Stage(page)
        play = page.locator('[data-control="play"]')
        play.click()
        start = stage.state["time"]
        assert start is not None
        assert set(stage.read(TIMES)) == {start}
        play.click()
        assert set(stage.read(TIMES)) == {None}
        stage.set(time=1.0)
        stage.read("stage.play()")
        assert set(stage.read(TIMES)) == {None}


def test_play_moves_for_everybody_else(stage: Stage) -> None:
    stage.page.locator('[data-control="play"]').click()
    stage.wait("stage.state.time > 0.1")
    stage.page.evaluate(SPOKEN)
    stage.wait("stage.state.time > 0.3")
    assert stage.page.evaluate("window.spoken") == []  # nothing is said all the while
    stage.read("stage.pause()")


SPOKEN = """
() => {
  window.spoken = [];
  const said = (changes) => window.spoken.push(...changes.map(({ target }) => target.textContent));
  const live = document.querySelectorAll(".stage :is([role=status], [role=alert], output):not([aria-live=off])");
  const changes = { childList: true, characterData: true, subtree: true };
  for (const node of live) new MutationObserver(said).observe(node, changes);
}
"""


def test_a_name_that_is_cut_is_whole_below_the_pointer(stage: Stage) -> None:
    page = stage.page
    for view in ("matrix", "lengths"):
        stage.set(tabs=[view])
        plot = page.locator(f"[data-view={view}] .plot")
        cut = plot.locator(".ytick text").filter(has_text="…").first
        cut.scroll_into_view_if_needed()
        box = cut.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        assert LONG in str(plot.get_attribute("title"))
        page.mouse.move(x + box["width"], y)
        expect(plot).to_have_attribute("title", "")


def test_what_is_chosen_is_seen_where_the_system_forces_its_colours(stage: Stage) -> None:
    page, label = stage.page, stage.state["curves"][0]
    page.emulate_media(forced_colors="active")
    stage.set(pinned=[label])
    look = "(node) => [getComputedStyle(node).outlineStyle, getComputedStyle(node).outlineWidth]"
    pinned, other = (page.locator(f'[data-curve="{name}"]') for name in (label, stage.state["curves"][1]))
    assert pinned.evaluate(look) == ["solid", "2px"]
    assert other.evaluate(look)[0] == "none"
    page.emulate_media(forced_colors="none")


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_nothing_scrolls_sideways(stage: Stage, size: tuple[int, int]) -> None:
    stage.page.set_viewport_size({"width": size[0], "height": size[1]})
    for tabs in (["lengths"], ["matrix"], ["transfer"], ["tube"]):
        stage.set(tabs=tabs)
        wide = stage.page.evaluate(
            "[document.documentElement, document.querySelector('.stage')]"
            ".map((node) => node.scrollWidth - node.clientWidth)"
        )
        assert wide == [0, 0], tabs
    for dimensions in ("3-D", "2-D", "pairs"):
        stage.set(dimensions=dimensions)
        head = stage.page.locator("[data-view=inpca] .head").evaluate("(node) => node.clientHeight")
        assert head < 40, dimensions  # a line of controls
    stage.page.set_viewport_size({"width": 1280, "height": 720})
