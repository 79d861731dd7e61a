"""The served explorer in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from predspace_widgets.trajectories import save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Plots, at_rest

N_CHECKPOINTS = 8
#: How many checkpoints the runs of the first curve show.
POINTS = "Array.from(plots[0].data[0].x).filter((x) => x !== null && !Number.isNaN(x)).length"
VIEWS = ("inpca", "stress", "progress", "comparison", "lengths")


@pytest.fixture(scope="module")
def address(start: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    first = save_trajectories(random_trajectories(n_seeds=2, n_checkpoints=N_CHECKPOINTS), folder / "first.zarr.zip")
    second = save_trajectories(random_trajectories(tasks=("one", "two")), folder / "second.zarr.zip")
    return start("predspace_widgets", "serve", str(first), str(second), "--port", "PORT")


@pytest.fixture
def picture(page: Page, address: str) -> Plots:
    page.goto(address)
    for view in VIEWS:
        Plots(page, f".view-{view}").wait("plots.length === 1")
    return Plots(page, ".view-inpca")


def test_all_views_are_drawn_in_one_screen(page: Page, picture: Plots) -> None:
    parts = [f".view-{view}{part}" for view in VIEWS for part in ("", " .js-plotly-plot", " .caption")]
    boxes = at_rest(page, lambda: {part: page.locator(part).bounding_box() for part in parts})
    for view in VIEWS:
        box, plot, caption = (boxes[f".view-{view}{part}"] for part in ("", " .js-plotly-plot", " .caption"))
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 150
        assert box["x"] + box["width"] <= 1280
        assert box["y"] + box["height"] <= 720
        assert plot is not None
        assert caption is not None
        assert plot["y"] + plot["height"] <= caption["y"] + 1  # neither lies on the other
        assert caption["y"] + caption["height"] <= box["y"] + box["height"]
    assert page.evaluate("document.documentElement.scrollHeight <= 720 && document.documentElement.scrollWidth <= 1280")
    assert picture.runs() == dict.fromkeys(["red", "green", "blue"], 2 * N_CHECKPOINTS)


def test_unticking_a_task_takes_its_runs_away(page: Page, picture: Plots) -> None:
    [before] = picture.read("plot.data.length")
    page.locator(".choose-tasks").get_by_text("green").click()
    picture.wait(f"plots[0].data.length === {before - 2}")
    assert set(picture.runs()) == {"red", "blue"}
    Plots(page, ".view-lengths").wait("plots[0].data.every((trace) => trace.name !== 'green')")


def test_narrowing_the_epochs_takes_points_away(page: Page, picture: Plots) -> None:
    handle = page.locator(".choose-epochs .noUi-handle-upper")
    handle.focus()
    for _ in range(3):
        handle.press("ArrowLeft")
    picture.wait(f"{POINTS} === {2 * (N_CHECKPOINTS - 3)}")
    assert set(picture.runs().values()) == {2 * (N_CHECKPOINTS - 3)}


def test_the_camera_stays_where_it_was_turned(page: Page, picture: Plots) -> None:
    eye = "Object.values(plot._fullLayout.scene._scene.getCamera().eye)"
    size = "[plot._fullLayout.width, plot._fullLayout.height]"
    page.wait_for_load_state("networkidle")
    narrow = picture.at_rest(size)[0] - 20
    first = turned = picture.at_rest(eye)
    box = page.locator(".view-inpca .js-plotly-plot").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for _ in range(5):  # a picture that is just being drawn does not feel the mouse
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 120, y + 30, steps=8)
        page.mouse.up()
        turned = picture.at_rest(eye)
        if turned != first:
            break
    assert max(abs(new - old) for new, old in zip(turned, first, strict=True)) > 0.1
    page.set_viewport_size({"width": 1180, "height": 720})  # plotly's own memory of a camera ends with a change of size
    picture.wait(f"plots[0]._fullLayout.width < {narrow}")
    picture.at_rest(size)
    for task in ("green", "blue"):
        [before] = picture.read("plot.data.length")
        page.locator(".choose-tasks").get_by_text(task).click()
        picture.wait(f"plots[0].data.length === {before - 2}")
        assert picture.at_rest(eye) == pytest.approx(turned, abs=1e-6)


def test_two_dimensions_and_colors(page: Page, picture: Plots) -> None:
    page.get_by_role("button", name="2-D").click()
    picture.wait("plots[0].data.every((trace) => trace.type === 'scatter')")
    page.locator(".choose-vertical select").select_option("3")
    picture.wait("plots[0].layout.yaxis.title.text.startsWith('InPCA 3')")
    page.locator(".choose-color_by select").select_option("accuracy")
    picture.wait("plots[0].data.some((trace) => trace.meta === 'values')")


def test_progress_metric_and_compared_tasks(page: Page, picture: Plots) -> None:
    progress, compared = Plots(page, ".view-progress"), Plots(page, ".view-comparison")
    ends = "plots[0].data.filter((trace) => trace.meta === 'mean').map((trace) => trace.y[trace.y.length - 1])"
    [before] = progress.read(ends.replace("plots[0]", "plot"))
    page.locator(".choose-progress_metric select").select_option("great circle")
    progress.wait(f"{ends}.some((end, number) => Math.abs(end - {before}[number]) > 0.01)")
    page.locator(".choose-second select").select_option("blue")
    compared.wait("plots[0].data.some((trace) => trace.meta === 'distance' && trace.text[0] === 'red | blue')")


def test_an_empty_choice_is_a_message_and_the_rest_goes_on(page: Page, picture: Plots) -> None:
    page.get_by_role("button", name="all / none").click()
    expect(page.locator(".view-inpca .message")).to_have_text("no task is chosen: choose at least one")
    expect(page.locator(".view-comparison .message")).to_be_hidden()
    page.locator(".choose-tasks").get_by_text("red").click()
    expect(page.locator(".view-inpca .message")).to_be_hidden()
    picture.wait("plots.length === 1 && plots[0].data.every((trace) => trace.name !== 'green')")
    assert set(picture.runs()) == {"red"}


def test_other_datasets_are_a_click_away(page: Page, picture: Plots) -> None:
    page.get_by_role("link", name="second").click()
    picture.wait("plots.length === 1 && plots[0].data.some((trace) => trace.name === 'one')")
    assert set(picture.runs()) == {"one", "two"}


def test_sessions_have_their_own_choices(page: Page, picture: Plots, address: str) -> None:
    page.locator(".choose-tasks").get_by_text("green").click()
    picture.wait("plots[0].data.every((trace) => trace.name !== 'green')")
    other = page.context.new_page()
    other.goto(address)
    plots = Plots(other, ".view-inpca")
    plots.wait("plots.length === 1")
    assert set(plots.runs()) == {"red", "green", "blue"}


def test_the_demo_opens(start: Callable[..., str], page: Page) -> None:
    page.goto(start("predspace_widgets", "serve", "--port", "PORT"))
    picture = Plots(page, ".view-inpca")
    picture.wait("plots.length === 1")
    assert len(picture.runs()) == 13
