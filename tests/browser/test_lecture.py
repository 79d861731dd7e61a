"""The lecture: one card fills the screen, in type for the back row, through scenes by keys, buttons and a clicker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.scenes import scenes_of
from predspace_widgets.trajectories import save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Servers, Stage, opened

SCENES: list[dict[str, Any]] = [
    {"title": "All", "say": "Three tasks & <b>a star</b>."},
    {"say": "Red and blue, seed 1.", "settings": {"tasks": ["red", "blue"], "seeds": [1], "dimensions": "2-D"}},
    {"say": "Their progress.", "view": "progress", "settings": {"curves": ["red", "green"], "time": 3}},
    {"say": "Two of them, compared.", "view": "comparison", "settings": {"compared": ["red", "green"]}},
    {"say": "It goes on. " * 30, "view": "stress"},
    {"say": "Once from the start.", "settings": {"tasks": "green"}, "play": True},
]
LARGE, SMALL = {"width": 1920, "height": 1080}, {"width": 1280, "height": 720}


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    return Explorer(random_trajectories(n_checkpoints=12), scenes=SCENES)


@pytest.fixture(scope="module")
def file(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explorer.save(tmp_path_factory.mktemp("file") / "talk.html")


@pytest.fixture(scope="module")
def shared(browser: Browser, file: Path) -> Iterator[Stage]:
    """The talk from a disk, without a network; nothing plays by itself."""
    with opened(browser, reduced_motion="reduce", viewport=LARGE) as page:
        page.context.set_offline(True)
        page.add_init_script(LETTERS)
        page.goto(file.as_uri())
        yield Stage(page)


@pytest.fixture
def talk(shared: Stage) -> Stage:
    """At its first scene; each test leaves it on."""
    shared.page.set_viewport_size(LARGE)  # type: ignore[arg-type]
    shared.page.mouse.move(2, 2)
    shared.page.keyboard.press("1")
    return shared.drawn()


def at(stage: Stage) -> str:
    return str(stage.drawn().page.locator(".lecture output").text_content())


def cards(stage: Stage) -> list[str]:
    """Views whose cards can be seen."""
    seen = "(all) => all.filter((node) => node.checkVisibility()).map((node) => node.dataset.view)"
    return list(stage.page.locator("[data-view]").evaluate_all(seen))


def test_a_file_opens_as_a_lecture(talk: Stage) -> None:
    page = talk.page
    assert at(talk) == "1 / 6"
    expect(page.locator(".lecture h1")).to_have_text("All")
    expect(page.locator(".lecture p").first).to_have_text("Three tasks & <b>a star</b>.")  # never markup
    assert cards(talk) == ["inpca"]
    assert talk.shown("inpca")
    for part in (".stage > header", "aside", "[data-view=inpca] .choices"):
        expect(page.locator(part)).to_be_hidden()
    box = page.locator(".stage").bounding_box()
    assert box == {"x": 0, "y": 0, **LARGE}


def test_keys_go_through_the_scenes(talk: Stage) -> None:
    press = talk.page.keyboard.press
    for key, place in [
        ("ArrowRight", 2),
        ("Space", 3),
        ("PageDown", 4),
        ("PageUp", 3),
        ("ArrowLeft", 2),
        ("6", 6),
        ("ArrowRight", 6),  # it does not begin again
        ("7", 6),
        ("1", 1),
        ("ArrowLeft", 1),
        ("End", 6),
        ("Home", 1),
    ]:
        press(key)
        assert at(talk) == f"{place} / 6", key


def test_a_scene_has_the_settings_and_the_card_that_it_names(talk: Stage, explorer: Explorer) -> None:
    for number, scene in enumerate(explorer.session.scenes, start=1):
        talk.page.keyboard.press(str(number))
        talk.drawn()
        assert talk.state == {**explorer.state.defaults(), **scene["settings"]}, number
        assert cards(talk) == [scene["view"]]
        assert talk.shown(scene["view"]), number
        expect(talk.page.locator(".lecture p").first).to_have_text(scene["say"])
    talk.page.get_by_role("button", name="scene back").click()
    assert at(talk) == "5 / 6"
    assert cards(talk) == ["stress"]
    talk.page.keyboard.press("Space")  # for the lecture, not for the button that was clicked
    assert at(talk) == "6 / 6"
    expect(talk.page.get_by_role("button", name="scene next")).to_be_disabled()


# Pixels of all letters that are drawn on canvases, before they are enlarged.
LETTERS = """
const drawText = CanvasRenderingContext2D.prototype.fillText;
window.letters = [];
CanvasRenderingContext2D.prototype.fillText = function (...text) {
  window.letters.push(parseFloat(/([\\d.]+)px/.exec(this.font)[1]));
  return drawText.apply(this, text);
};
"""

# Of the texts of a card: pixels of their letters on the screen.
SIZES = """
() => {
  const drawing = [...document.querySelectorAll(".drawing")].find((node) => node.checkVisibility());
  const zoom = drawing.getBoundingClientRect().width / drawing.offsetWidth;
  const letters = [...drawing.querySelectorAll(".main-svg text")].filter((node) => node.textContent.trim());
  const say = document.querySelector(".lecture p");
  const size = (node) => parseFloat(getComputedStyle(node).fontSize);
  return {
    zoom, say: size(say), title: size(document.querySelector(".lecture h1")),
    least: zoom * Math.min(...letters.map(size), ...window.letters),
    bottoms: [".lecture", ".stage main"].map((name) => document.querySelector(name).getBoundingClientRect().bottom),
    tops: [".stage main"].map((name) => document.querySelector(name).getBoundingClientRect().top),
    cut: [...document.querySelectorAll(".lecture p, .lecture h1, .card.whole .head h2, .names, .time select")]
      .filter((node) => node.checkVisibility())
      .filter((node) => node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 2)
      .map((node) => node.outerHTML.slice(0, 80)),
    drawing: drawing.getBoundingClientRect().height,
  };
}
"""


@pytest.mark.parametrize(("size", "letters", "say"), [(LARGE, 26, 28), (SMALL, 18, 20)], ids=["1080", "720"])
def test_it_is_read_from_the_back_row(talk: Stage, size: dict[str, Any], letters: float, say: float) -> None:
    talk.page.set_viewport_size(size)  # type: ignore[arg-type]
    talk.page.keyboard.press("End")
    for number in range(1, len(SCENES) + 1):
        talk.drawn().page.evaluate("window.letters = []")
        talk.page.keyboard.press(str(number))
        talk.drawn()
        sizes = talk.page.evaluate(SIZES)
        assert sizes["least"] is not None, number
        assert round(sizes["least"], 1) >= letters, number
        assert sizes["say"] >= say, number
        assert sizes["title"] > sizes["say"], number
        assert sizes["cut"] == [], number
        assert sizes["bottoms"][0] <= sizes["tops"][0] + 1, number
        assert sizes["bottoms"][1] <= size["height"] + 1, number
        assert sizes["drawing"] > 0.35 * size["height"], number


def test_what_the_hidden_controls_say_is_named(talk: Stage) -> None:
    talk.page.keyboard.press("3")
    talk.drawn()
    assert talk.page.locator(".names span").all_text_contents() == ["red", "green"]
    talk.page.keyboard.press("4")
    talk.drawn()
    assert talk.page.locator(".names span").all_text_contents() == ["red against green"]
    talk.page.keyboard.press("1")  # here the picture names them
    talk.drawn()
    expect(talk.page.locator(".names")).to_have_count(0)


def test_escape_gives_back_what_was_there_before(talk: Stage, explorer: Explorer) -> None:
    page = talk.page
    page.keyboard.press("Escape")
    talk.drawn()
    assert talk.state == explorer.state.defaults()
    before = cards(talk)
    assert len(before) > 3
    assert all(talk.shown(view) for view in before)
    assert talk.set(curves=["red", "blue"], dimensions="pairs", pinned=["red"], tabs=["tube"]) == []
    page.wait_for_timeout(400)  # longer than the address waits
    chosen, shown, address = talk.state, cards(talk), page.url
    assert "pairs" in address
    assert "tube" in shown
    for begin, end in (("p", "Escape"), ("P", "p")):
        page.keyboard.press(begin)
        for key in ("1", "2", "3", "4"):
            page.keyboard.press(key)
            talk.drawn()
        page.wait_for_timeout(400)
        assert page.url == address
        page.keyboard.press(end)
        talk.drawn()
        assert talk.state == chosen
        assert cards(talk) == shown
        assert all(talk.shown(view) for view in shown)
        page.wait_for_timeout(400)
        assert page.url == address
    page.keyboard.press("p")
    assert at(talk) == "4 / 6"  # where it was left
    page.keyboard.press("Escape")
    talk.set(**explorer.state.defaults())
    page.keyboard.press("p")


def test_letters_in_a_field_are_letters(talk: Stage) -> None:
    page = talk.page
    page.keyboard.press("Escape")
    talk.drawn()
    page.locator("[data-view=lengths] .menu summary").click()
    page.locator("[data-view=lengths]").get_by_role("button", name="Add as a scene").click()
    page.keyboard.type("p 1 Pp")
    expect(page.locator(".notice textarea")).to_have_value("p 1 Pp")
    assert len(cards(talk)) > 3
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".notice")).to_be_hidden()
    expect(page.locator("[data-view=lengths] .menu summary")).to_be_focused()  # from where it was asked
    page.keyboard.press("p")
    assert at(talk) == "1 / 6"  # none was added


def test_the_picture_turns_and_is_hit_where_it_is_seen(talk: Stage) -> None:
    page = talk.page
    page.mouse.move(900, 600)
    page.mouse.down()
    page.mouse.move(980, 620, steps=4)
    page.mouse.up()
    talk.drawn()
    assert talk.state["camera"] is not None
    assert at(talk) == "1 / 6"
    turned = talk.state["camera"]
    page.keyboard.press("Shift+ArrowRight")
    talk.wait("JSON.stringify(stage.state.camera) !== JSON.stringify(argument)", turned)
    page.keyboard.press("ArrowRight")  # also while the picture has the focus
    assert at(talk) == "2 / 6"
    page.keyboard.press("3")
    talk.drawn()
    # The place of a checkpoint of a drawn curve, in pixels of the screen.
    x, y = page.evaluate(
        """() => {
          const plot = document.querySelector("[data-view=progress] .plot");
          const box = plot.getBoundingClientRect();
          const zoom = box.width / plot.offsetWidth;
          const { xaxis, yaxis } = plot._fullLayout;
          const mean = plot.data.find(({ meta }) => meta?.role === "mean" && meta.curve === 0);
          const n = Math.floor(mean.x.length / 2);
          const [across, up] = [xaxis._offset + xaxis.d2p(mean.x[n]), yaxis._offset + yaxis.d2p(mean.y[n])];
          return [box.left + zoom * across, box.top + zoom * up];
        }"""
    )
    page.mouse.move(x, y - 3)
    page.mouse.move(x, y)
    expect(page.locator(".tip")).to_contain_text("red")


def test_a_scene_plays_once(browser: Browser, file: Path) -> None:
    with opened(browser) as page:
        page.goto(file.as_uri())
        stage = Stage(page)
        page.keyboard.press("6")
        stage.wait("stage.state.time !== null && stage.state.time > 0")
        page.keyboard.press("1")
        stage.drawn()
        page.wait_for_timeout(300)
        assert stage.state["time"] is None  # it does not play on
        page.keyboard.press("6")
        stage.wait("stage.state.time !== null && stage.state.time > 0")
        stage.wait("stage.state.time === null")


def test_what_is_not_to_move_stands_at_its_end(talk: Stage) -> None:
    talk.page.keyboard.press("6")
    talk.drawn()
    assert talk.state["time"] is None
    expect(talk.page.locator("[data-control=play]")).to_have_text("▶")


def test_scenes_that_are_clicked_together_are_a_file(browser: Browser, tmp_path: Path) -> None:
    explorer = Explorer(random_trajectories(("yes", 'a "b": #c', "é😀\x7f"), n_checkpoints=4))
    with opened(browser, accept_downloads=True, viewport=SMALL) as page:
        page.goto(explorer.save(tmp_path / "one.html").as_uri())
        stage = Stage(page)
        assert len(cards(stage)) > 3  # without scenes no lecture
        chosen: dict[str, Any] = {
            "curves": ['a "b": #c', "é😀\x7f"],
            "time": 1e-7,
            "dimensions": "2-D",
            "selected": [1],
        }
        camera = {part: {"x": 0.5, "y": -2.0, "z": 1e-7} for part in ("eye", "center", "up")}
        says = ["yes: 'no' # \\ é", "- \ttwo\nlines", "12"]
        views, choices = ["lengths", "inspector", "inpca"], [{}, chosen, {"camera": camera}]
        for view, say, settings in zip(views, says, choices, strict=True):
            stage.set(**{**explorer.state.defaults(), **settings})
            card = page.locator(f"[data-view={view}]")
            card.locator(".menu summary").click()
            card.get_by_role("button", name="Add as a scene").click()
            page.locator(".notice textarea").fill(say)
            page.get_by_role("button", name="Add this scene").click()
        page.locator('[data-control="share"] summary').click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download scenes").click()
        path = Path(download.value.path())
        scenes = scenes_of(path, explorer.session.analysis, explorer.session.views)
        assert [scene["say"] for scene in scenes] == [" ".join(say.split()) for say in says]
        assert [scene["view"] for scene in scenes] == views
        assert [scene["settings"] for scene in scenes] == choices
        page.keyboard.press("p")
        assert at(stage) == "1 / 3"
        assert cards(stage) == ["lengths"]


def test_without_scenes_one_card_is_there_with_its_controls(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, viewport=LARGE) as page:
        page.goto(Explorer(random_trajectories(n_checkpoints=4)).save(tmp_path / "one.html").as_uri())
        stage = Stage(page)
        page.locator('[data-control="present"]').click()
        stage.drawn()
        assert cards(stage) == ["inpca"]
        expect(page.locator(".lecture")).to_be_hidden()
        page.locator('[data-control="dimensions"]').select_option(label="2-D")
        stage.drawn()
        enlarged = "(node) => node.getBoundingClientRect().width / node.offsetWidth"
        assert page.locator("[data-view=inpca] .drawing").evaluate(enlarged) >= 2 - 1e-3
        page.keyboard.press("Escape")
        stage.drawn()
        assert len(cards(stage)) > 3
        assert stage.state["dimensions"] == "2-D"  # what was chosen there stays
        assert page.evaluate("document.fullscreenElement") is None


def test_a_served_page_opens_as_a_lecture(page: Page, start: Servers, tmp_path: Path) -> None:
    save_trajectories(random_trajectories(), tmp_path / "mine.zarr.zip")
    chosen = {"title": "One of them", "say": "A checkpoint.", "view": "inspector", "settings": {"selected": [5]}}
    (tmp_path / "talk.yaml").write_text(json.dumps([*SCENES, chosen]))
    options = ["--present", "--scenes", str(tmp_path / "talk.yaml")]
    page.goto(start("predspace_widgets", "serve", str(tmp_path / "mine.zarr.zip"), "--port", "PORT", *options))
    title, count = page.locator(".lecture h1"), page.locator(".lecture output")
    expect(page.locator("[data-view=inpca] canvas").first).to_be_visible()
    expect(title).to_have_text("All")
    page.keyboard.press("PageDown")
    expect(count).to_have_text("2 / 7")
    page.evaluate("predspace.stages[0].whenDrawn()")
    assert page.evaluate("predspace.stages[0].state.curves") == ["red", "blue"]
    page.keyboard.press("4")
    expect(page.locator("[data-view=comparison] .main-svg").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(title).to_be_hidden()
    page.evaluate("predspace.stages[0].whenDrawn()")
    assert page.evaluate("predspace.stages[0].state.curves") == ["red", "green", "blue"]
    assert page.url.endswith("/")
    page.keyboard.press("p")
    expect(count).to_have_text("4 / 7")
    page.keyboard.press("End")
    expect(title).to_have_text("One of them")
    card = page.locator("[data-view=inspector]")
    expect(card.locator(".main-svg").first).to_be_visible()
    stage = Stage(page)
    assert cards(stage) == ["inspector"]
    assert stage.state["selected"] == [5]
    assert card.evaluate(OVERLAPPING) == []
    assert card.evaluate(SMALLEST) >= 18
    page.keyboard.press("Home")
    expect(title).to_have_text("All")


# Blocks of a card whose figures reach into others.
OVERLAPPING = """
(card) => [...card.querySelectorAll(".block")].flatMap((block, n, all) => {
  const inside = [block, ...block.querySelectorAll(".plot")].map((node) => node.getBoundingClientRect());
  const next = all[n + 1]?.getBoundingClientRect().top ?? Infinity;
  const reaches = ({ top, bottom }) => bottom > next + 1 || top < inside[0].top - 1;
  return inside.filter(reaches).map(({ top }) => [n, top, next]);
})
"""

# Pixels of the smallest letters of a card on the screen.
SMALLEST = """
(card) => {
  const drawing = card.querySelector(".drawing");
  const zoom = drawing.getBoundingClientRect().width / drawing.offsetWidth;
  const texts = [...drawing.querySelectorAll("*")].filter(
    (node) => node.checkVisibility() && [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim()),
  );
  return zoom * Math.min(...texts.map((node) => parseFloat(getComputedStyle(node).fontSize)));
}
"""
