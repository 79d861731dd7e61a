"""Error bars on a page: asked of Python in the background, seen, the same as in Python, and gone with their choice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.session import as_plain
from predspace_widgets.trajectories import open_trajectories, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from tests.browser.conftest import Servers, Stage, opened
from tests.browser.test_stage_same import compare, extents, random_choices
from tests.trajectories.samples import embedding_only

N_CHOICES = 8
WITH_BARS = ("inpca", "stress")
ELLIPSES = "stage.drawing('inpca').figure.data.filter(({ meta }) => meta.role === 'ellipse').length"
BANDS = "stage.drawing('stress').figure.data.filter(({ meta }) => ['band', 'whiskers'].includes(meta.role)).length"
# How many pixels of the picture in space have ink; how many filled shapes a chart has.
INK = """
(card) => [...card.querySelectorAll("canvas")].reduce((sum, canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return sum + data.reduce((count, value, n) => count + (n % 4 === 3 && value > 0 ? 1 : 0), 0);
}, 0)
"""
DRAWING = (
    "JSON.stringify(stage.drawing(argument), (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value))"
)
NUMBERS = DRAWING.replace("drawing", "result")
FILLED = "(card) => card.querySelectorAll('.js-fill').length"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ds = random_trajectories(("red", "green", "blue"), n_seeds=3, n_checkpoints=5, n_samples=20)
    return save_trajectories(ds, tmp_path_factory.mktemp("data") / "small.zarr.zip")


@pytest.fixture(scope="module")
def explorer(path: Path) -> Explorer:
    return Explorer(open_trajectories(path))


@pytest.fixture(scope="module")
def stage(browser: Browser, start: Servers, path: Path) -> Iterator[Stage]:
    with opened(browser, reduced_motion="reduce") as page:
        page.goto(start("predspace_widgets", "serve", str(path), "--port", "PORT"))
        yield Stage(page)


def test_they_are_seen_when_asked_for_and_gone_again(stage: Stage) -> None:
    picture, spectrum = (stage.page.locator(f"[data-view={view}]") for view in WITH_BARS)
    control = picture.locator("[data-control=uncertainty]")
    bare, bare_caption = picture.evaluate(INK), picture.locator(".caption").inner_text()
    assert (stage.read(ELLIPSES), stage.read(BANDS)) == (0, 0)

    control.select_option(label="± samples")
    expect(picture.locator(".note")).to_contain_text("being computed")
    assert stage.shown("inpca")  # the picture stays meanwhile
    stage.drawn()
    assert (stage.read(ELLIPSES), stage.read(BANDS)) == (3, 1)
    assert "95% ellipses over 200 draws of samples" in picture.locator(".caption").inner_text()
    expect(picture.locator(".note")).to_be_hidden()
    assert picture.evaluate(INK) != bare
    assert spectrum.evaluate(FILLED) == 1
    assert "uncertainty=samples" in stage.page.url

    stage.set(dimensions="2-D")
    assert picture.evaluate(FILLED) == 3
    stage.set(dimensions="pairs")
    assert picture.evaluate(FILLED) == 9
    stage.set(dimensions="3-D")

    control.select_option(label="no error bars")
    stage.drawn()
    assert (stage.read(ELLIPSES), stage.read(BANDS)) == (0, 0)
    assert picture.evaluate(INK) == bare
    assert spectrum.evaluate(FILLED) == 0
    assert picture.locator(".caption").inner_text() == bare_caption


def at_once(curves: list[str]) -> str:
    """How many ellipses and bands there are as soon as these curves are chosen."""
    return f"(stage.set({{ curves: {curves} }}), [{ELLIPSES}, {BANDS}])"


def test_with_another_choice_the_old_ones_vanish_at_once(stage: Stage) -> None:
    stage.set(uncertainty="samples")
    assert stage.read(ELLIPSES) == 3
    assert stage.read(at_once(["red", "green"])) == [0, 0]
    stage.drawn()
    assert stage.read(ELLIPSES) == 2
    # Those that were there before are there again, without being asked for.
    assert stage.read(at_once(["red", "green", "blue"])) == [3, 1]
    stage.set(uncertainty="none")


def test_what_has_none_says_why_beside_its_picture(stage: Stage) -> None:
    stage.set(uncertainty="seeds", seeds=[1])
    for view in WITH_BARS:
        expect(stage.page.locator(f"[data-view={view}] .note")).to_contain_text("no error bars: ")
        assert stage.shown(view)
    stage.set(uncertainty="none", seeds=[0, 1, 2])
    expect(stage.page.locator("[data-view=inpca] .note")).to_be_hidden()


def test_they_are_the_same_in_python(stage: Stage, explorer: Explorer) -> None:
    rng = np.random.default_rng(1)
    drawn = 0
    for number in range(N_CHOICES):
        choices = {**random_choices(explorer, rng), "uncertainty": str(rng.choice(["samples", "seeds", "runs"]))}
        assert stage.set(**choices) == []
        explorer.state.param.update(**choices)
        for name in WITH_BARS:
            python = VIEWS[name].draw(explorer.session.analysis, explorer.state)
            here = json.loads(stage.read(DRAWING, name))
            if python.message:
                note = stage.page.locator(f"[data-view={name}] .note").inner_text()
                assert python.message in (note.removeprefix("no error bars: "), here["message"]), (number, choices)
                continue
            drawn += 1
            wanted = json.loads(json.dumps(as_plain(python.figure)))
            differences: list[str] = []
            compare(wanted, here["figure"], name, differences, extents(wanted))
            compare(python.caption, here["caption"], f"{name} caption", differences)
            assert differences == [], (number, choices)
            numbers = json.loads(stage.read(NUMBERS, name))
            assert python.table is not None
            for column in VIEWS[name].columns_of_bars:  # type: ignore[attr-defined]
                assert numbers[column] == pytest.approx(as_plain(python.table[column].to_numpy())), (column, choices)
    assert drawn > N_CHOICES
    stage.set(**explorer.state.defaults())


def test_a_file_keeps_what_was_shown(browser: Browser, explorer: Explorer, tmp_path: Path) -> None:
    explorer.state.param.update(**explorer.state.defaults() | {"uncertainty": "samples"})
    saved = explorer.save(tmp_path / "one.html")
    with opened(browser) as page:
        page.context.set_offline(True)
        page.goto(saved.as_uri())
        alone = Stage(page)
        assert (alone.read(ELLIPSES), alone.read(BANDS)) == (3, 1)
        alone.set(uncertainty="runs")
        assert alone.read(ELLIPSES) == 0
        assert alone.shown("inpca")
        expect(page.locator("[data-view=inpca] .note")).to_contain_text("needs the predictions")
        alone.set(uncertainty="samples", dimensions="2-D")
        assert alone.read(ELLIPSES) == 3
        expect(page.locator("[data-view=inpca] .note")).to_be_hidden()


def test_a_published_picture_offers_none(browser: Browser, tmp_path: Path) -> None:
    saved = Explorer(embedding_only()).save(tmp_path / "one.html")
    with opened(browser) as page:
        page.goto(saved.as_uri())
        Stage(page)
        expect(page.locator("[data-control=uncertainty]")).to_be_hidden()
