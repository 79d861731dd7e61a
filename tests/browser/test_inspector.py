"""What is selected, in a browser: a checkpoint, two that differ, samples of their own, and tabs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

import predspace_widgets as pw
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Servers, Stage, opened

N_SAMPLES = 30


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    ds = random_trajectories(n_seeds=2, n_checkpoints=6, n_samples=N_SAMPLES)
    images = np.random.default_rng(0).integers(0, 255, (N_SAMPLES, 8, 8)).astype(np.uint8)
    return Explorer(ds.assign(image=(("sample", "row", "column"), images)))


@pytest.fixture(scope="module")
def address(start: Servers, explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("inspector") / "small.zarr.zip"
    pw.save_trajectories(explorer.session.analysis.ds, path)
    return start("predspace_widgets", "serve", str(path), "--port", "PORT")


@pytest.fixture(scope="module")
def shared(browser: Browser, address: str) -> Iterator[tuple[Stage, dict[str, Any]]]:
    with opened(browser) as page:
        page.goto(address)
        stage = Stage(page)
        yield stage, stage.state


@pytest.fixture
def stage(shared: tuple[Stage, dict[str, Any]]) -> Stage:
    """One page for all tests: each finds it as it was opened."""
    stage, first = shared
    stage.page.mouse.move(2, 2)
    stage.set(**first)
    return stage


def test_a_checkpoint_and_then_two(stage: Stage, explorer: Explorer) -> None:
    card = stage.page.locator("[data-view=inspector]")
    expect(card).to_be_hidden()
    stage.set(selected=[5])
    stage.drawn()
    expect(card).to_be_visible()
    expect(stage.page.locator("[data-view=lengths]")).to_be_hidden()
    expect(card).to_contain_text("red/supervised/0")
    expect(card.locator(".sample")).to_have_count(12)
    wanted = explorer.session.analysis.ds.predspace.checkpoint(5)
    first = wanted["sample"].values[wanted["order"].values[0]]
    expect(card.locator(".sample .name").first).to_contain_text(f"({first})")
    pixels = card.locator("canvas.thumbnail").first.evaluate(
        "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data].filter((_, n) => n % 4 === 0)"
    )
    image = explorer.session.analysis.ds["image"].values[wanted["order"].values[0]]
    assert pixels == image.ravel().tolist()
    stage.set(selected=[5, 30])
    stage.drawn()
    expect(card).to_contain_text("Why these two differ")
    pair = explorer.session.analysis.ds.predspace.why(5, 30)
    table = stage.result("inspector")
    assert table["contribution"] == pytest.approx(pair["contribution"].values[pair["order"].values].tolist())
    shown = card.locator(".small .barlayer .point")
    assert shown.count() == 5  # classes
    card.get_by_role("button", name="close").click()
    stage.drawn()
    expect(card).to_be_hidden()
    expect(stage.page.locator("[data-view=lengths]")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_of_errors_stand_out_from_their_cells(stage: Stage, scheme: Literal["light", "dark"]) -> None:
    """Those of few errors have nearly the colour of the page."""
    page = stage.page
    page.emulate_media(color_scheme=scheme)
    try:
        stage.set(selected=[1])
        is_dark = "document.querySelector('.stage').classList.contains('dark')"
        assert page.evaluate(is_dark) == (scheme == "dark")
        # Each number with what plotly draws below it: the lightness, 0 to 255, of the letters and of the cell.
        pairs = page.evaluate(
            """async () => {
              const plot = document.querySelector("[data-view=inspector] .heatmap-label").closest(".plot");
              const image = new Image();
              image.src = plot.querySelector(".hm image").getAttribute("href");
              await image.decode();
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [image.width, image.height];
              const ctx = canvas.getContext("2d");
              ctx.fillStyle = getComputedStyle(document.querySelector("[data-view=inspector]")).backgroundColor;
              ctx.fillRect(0, 0, canvas.width, canvas.height);
              ctx.drawImage(image, 0, 0);
              const light = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue;
              const { left, top, width, height } = plot.querySelector(".hm image").getBoundingClientRect();
              return [...plot.querySelectorAll(".heatmap-label text")].map((text) => {
                const box = text.getBoundingClientRect();
                const x = ((box.left - 2 - left) / width) * canvas.width;
                const y = ((box.top + box.height / 2 - top) / height) * canvas.height;
                const letters = getComputedStyle(text).fill.match(/[\\d.]+/g).map(Number);
                return [light(letters), light(ctx.getImageData(x, y, 1, 1).data)];
              });
            }"""
        )
        assert len(pairs) > 5
        assert min(abs(letters - cell) for letters, cell in pairs) > 55
    finally:
        page.emulate_media(color_scheme="light")


def test_a_click_adds_a_second_and_a_third_takes_its_place(stage: Stage) -> None:
    stage.set(dimensions="2-D", curves=["red"])
    stage.drawn()
    rows = []
    for row, x, y in stage.page.evaluate(PLACES):
        stage.page.mouse.move(x, y)
        stage.page.mouse.down()
        stage.page.wait_for_timeout(80)  # as long as a hand takes: plotly covers the page meanwhile
        stage.page.mouse.up()
        stage.page.wait_for_timeout(500)  # two clicks, not a double one
        rows.append(row)
    stage.wait("stage.state.selected.length === 2")
    assert stage.state["selected"] == [rows[0], rows[2]]


PLACES = """() => {
  const find = (node) => node.querySelector("[data-view=inpca] .drawing") ??
    [...node.querySelectorAll("*")].map((one) => one.shadowRoot && find(one.shadowRoot)).find(Boolean);
  const drawing = find(document);
  const bounds = drawing.getBoundingClientRect();
  const plot = drawing.querySelector(".plot");
  const trace = plot.data.find(({ meta }) => meta?.rows?.some((row) => row >= 0));
  const { xaxis, yaxis } = plot._fullLayout;
  const at = (n) => [xaxis._offset + xaxis.d2p(trace.x[n]), yaxis._offset + yaxis.d2p(trace.y[n])];
  return [1, 3, 5].map((n) => [trace.meta.rows[n], bounds.left + at(n)[0], bounds.top + at(n)[1]]);
}"""


def test_an_image_shows_its_sample_along_both_trainings(stage: Stage) -> None:
    stage.set(selected=[5, 30])
    stage.drawn()
    card = stage.page.locator("[data-view=inspector]")
    before = card.locator(".small").count()
    card.locator(".sample").nth(2).click()
    stage.drawn()
    assert card.locator(".small").count() == before + 2
    assert card.locator(".small .scatterlayer .trace").count() > 2
    expect(card.locator(".sample[aria-pressed=true]")).to_have_count(1)


def test_the_geometry_of_some_samples_and_back(stage: Stage, explorer: Explorer) -> None:
    whole = np.array(stage.result()["embedding"])
    stage.page.locator('[data-control="samples by"]').select_option("classes")
    stage.page.locator('[data-class="class 1"]').click()
    stage.page.locator('[data-class="class 4"]').click()
    stage.drawn()
    assert stage.state["samples"] == {"classes": ["class 1", "class 4"]}
    of_two = Explorer(explorer.session.analysis, samples={"classes": ["class 1", "class 4"]})
    result, wanted = stage.result(), of_two.data("inpca")
    got = np.array(result["embedding"])
    assert not np.allclose(got, whole)
    for axis in range(3):
        assert got[:, axis] == pytest.approx(wanted[f"inpca {axis + 1}"].values, abs=1e-3)
    for view, column in (("progress", "progress bhattacharyya"), ("lengths", "length")):
        assert stage.result(view)[column] == pytest.approx(of_two.data(view)[column].values, abs=1e-3)
    assert stage.result("comparison")["distance"] == pytest.approx(of_two.data("comparison")["distance"].values)
    n = of_two.state.on_samples.ds.sizes["sample"]
    for view in ("inpca", "progress", "comparison", "lengths", "stress"):
        expect(stage.page.locator(f"[data-view={view}] h2")).to_contain_text(f"{n} samples")
    expect(stage.page).to_have_url(re.compile("samples="))
    stage.page.locator('[data-control="all samples"]').click()
    stage.drawn()
    assert stage.state["samples"] is None
    assert np.array(stage.result()["embedding"]) == pytest.approx(whole)


def test_predictions_among_some_classes(stage: Stage, explorer: Explorer) -> None:
    assert stage.set(samples={"among": ["class 0", "class 3"]}) == []
    stage.drawn()
    among = Explorer(explorer.session.analysis, samples={"among": ["class 0", "class 3"]})
    assert stage.result("progress")["progress bhattacharyya"] == pytest.approx(
        among.data("progress")["progress bhattacharyya"].values, abs=1e-6
    )
    assert stage.set(samples={"among": ["class 0"]}) != []
    assert stage.set(samples={"rows": [N_SAMPLES]}) != []
    assert stage.state["samples"] == {"among": ["class 0", "class 3"]}


def test_a_class_without_samples_is_a_sentence_and_the_rest_goes_on(browser: Browser, start: Servers, tmp_path) -> None:  # type: ignore[no-untyped-def]
    ds = random_trajectories(n_checkpoints=4, n_samples=4)
    ds["label"] = ds["label"].copy(data=np.array([0, 1, 1, 0]))
    pw.save_trajectories(ds, tmp_path / "few.zarr.zip")
    with opened(browser) as page:
        page.goto(start("predspace_widgets", "serve", str(tmp_path / "few.zarr.zip"), "--port", "PORT"))
        stage = Stage(page).drawn()
        before = stage.result()["embedding"]
        stage.set(samples={"classes": ["class 4"]})
        stage.drawn()
        expect(page.locator(".notice")).to_contain_text("no sample")
        assert stage.state["samples"] is None
        assert stage.result()["embedding"] == before


def test_tabs_bring_views_to_the_front(stage: Stage) -> None:
    matrix, lengths = (stage.page.locator(f"[data-view={name}]") for name in ("matrix", "lengths"))
    expect(matrix).to_be_hidden()
    lengths.locator('[data-tab="matrix"]').click()
    stage.drawn()
    expect(matrix).to_be_visible()
    expect(lengths).to_be_hidden()
    matrix.locator(".heatmaplayer image").first.wait_for(state="attached")
    expect(stage.page).to_have_url(re.compile("tabs="))
    stage.page.reload()
    Stage(stage.page).drawn()
    expect(matrix).to_be_visible()


def test_a_click_on_a_pair_compares_it(stage: Stage) -> None:
    stage.set(tabs=["matrix"])
    stage.drawn()
    plot = stage.page.locator("[data-view=matrix] .plot")
    box = plot.locator(".heatmaplayer image").first.bounding_box()
    assert box is not None
    n = len(stage.read("stage.drawing('matrix').figure.data[0].z"))
    choose = stage.read("stage.drawing('matrix').figure.data[0].meta.choose[0][1]")
    low, high = stage.read("stage.drawing('matrix').figure.layout.yaxis.range")
    assert low > high  # the first is above
    stage.page.mouse.click(box["x"] + box["width"] * 1.5 / n, box["y"] + box["height"] * 0.5 / n)
    stage.wait("JSON.stringify(stage.state.compared) === JSON.stringify(argument)", choose["compared"])
    stage.drawn()
    assert stage.shown("comparison")
