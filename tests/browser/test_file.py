"""One file opened from a disk, with the network off: live pictures, and what is taken home from them."""

from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Download, expect

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.trajectories import open_trajectories, save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Stage, opened

VIEWS = ("inpca", "stress", "progress", "comparison", "lengths")  # that are in front at first
HOSTILE = ("<script>window.hacked=1</script>", '"><img src=x onerror=window.hacked=1>', "%{x} & $y$", "</script>")


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Explorer:
    path = tmp_path_factory.mktemp("data") / "trained.zarr.zip"
    save_trajectories(random_trajectories(HOSTILE, n_seeds=2, n_checkpoints=12), path)
    return Explorer(open_trajectories(path))


@pytest.fixture(scope="module")
def file(browser: Browser, explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Any]]:
    saved = explorer.save(tmp_path_factory.mktemp("file") / "one.html")
    with opened(browser, accept_downloads=True) as page:
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.context.set_offline(True)
        page.goto(saved.as_uri())
        stage = Stage(page)
        yield stage, stage.state
        foreign = [url for url in requests if not url.startswith(("file:", "data:", "blob:"))]
        assert foreign == [], "the file asked for something"


@pytest.fixture
def stage(file: tuple[Stage, dict[str, Any]]) -> Stage:
    stage, first = file
    stage.set(**first)
    return stage


def saved(stage: Stage, view: str, item: str) -> bytes:
    """What a card's menu saves."""
    card = stage.page.locator(f"[data-view={view}]")
    card.locator(".menu summary").click()
    with stage.page.expect_download() as download:
        card.get_by_role("button", name=item).click()
    return content(download.value)


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def test_it_draws_live_pictures(stage: Stage, explorer: Explorer) -> None:
    for view in VIEWS:
        assert stage.shown(view), view
    curves = stage.state["curves"][1:]
    stage.set(curves=curves, axes_fitted_on="shown")
    explorer.state.param.update(curves=curves, axes_fitted_on="shown")
    wanted, result = explorer.data("inpca"), stage.result()
    assert result["row"] == wanted["row"].tolist()
    for axis in ("inpca 1", "inpca 2", "inpca 3"):
        ours, theirs = wanted[axis].to_numpy(), np.array(result[axis])
        assert np.abs(ours - theirs).max() <= 1e-3 * np.abs(ours).max()
    stage.set(compared=[curves[0], curves[2]], curves=stage.state["curves"])  # measured ahead: in the file too
    assert stage.shown("comparison")
    explorer.state.param.update(**explorer.state.defaults())


def test_what_needs_predictions_says_so(stage: Stage) -> None:
    stage.set(seeds=[1])
    message = stage.page.locator("[data-view=comparison] .message")
    expect(message).to_contain_text("This needs the predictions")
    stage.set(seeds=[0, 1])
    assert stage.shown("comparison")


@pytest.mark.parametrize("view", ["inpca", "progress"])
def test_a_picture_has_twice_as_many_pixels(stage: Stage, view: str) -> None:
    png = saved(stage, view, "PNG")
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    box = stage.page.locator(f"[data-view={view}] .drawing").evaluate("(node) => [node.clientWidth, node.clientHeight]")
    assert list(struct.unpack(">II", png[16:24])) == [2 * side for side in box]
    colors = stage.page.evaluate(
        """async (bytes) => {
          const image = await createImageBitmap(new Blob([Uint8Array.from(bytes)]));
          const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
          context.drawImage(image, 0, 0);
          return new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer)).size;
        }""",
        list(png),
    )
    assert colors > 50  # it is not one colour


@pytest.mark.parametrize("view", ["inpca", "lengths"])
def test_a_drawing_is_xml_without_scripts(stage: Stage, view: str) -> None:
    root = ElementTree.fromstring(saved(stage, view, "SVG"))
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names & {"path", "text"} == {"path", "text"}
    assert not names & {"script", "img", "foreignObject", "iframe"}
    attributes = [name for element in root.iter() for name in element.attrib]
    assert [name for name in attributes if name.lower().startswith("on")] == []
    texts = "\n".join("".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text"))
    assert "<script>" in texts  # as letters


@pytest.mark.parametrize("view", ["inpca", "progress", "lengths", "comparison", "stress"])
def test_numbers_read_back(stage: Stage, explorer: Explorer, view: str) -> None:
    table = pd.read_csv(io.BytesIO(saved(stage, view, "CSV")))
    wanted = explorer.data(view)
    shared = [name for name in wanted if name in table]
    assert len(shared) >= 2
    assert set(table) <= set(wanted) | {"row", "run", "seed"}, set(table) - set(wanted)
    assert len(table) == len(wanted)
    for name in shared:
        if pd.api.types.is_numeric_dtype(wanted[name]):
            ours = wanted[name].to_numpy(float)
            scale = np.nanmax(np.abs(ours), initial=1e-9)
            np.testing.assert_allclose(table[name].to_numpy(float), ours, atol=1e-3 * scale, err_msg=name)
        else:
            assert table[name].tolist() == wanted[name].tolist(), name


def test_copied_lines_make_this_figure(stage: Stage, explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    choices = {"curves": stage.state["curves"][:3], "axes_fitted_on": "shown", "dimensions": "2-D", "time": 5.5}
    stage.set(**choices)
    page = stage.page
    # Without permission to copy, the lines are shown.
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no permission')); }")
    card = page.locator("[data-view=inpca]")
    card.locator(".menu summary").click()
    card.get_by_role("button", name="Copy as Python").click()
    lines = page.locator(".notice textarea").input_value()
    source = explorer.session.analysis.ds["probs"]
    assert source is not None
    for name in HOSTILE[:3]:
        assert repr(name)[1:-1] in lines or name.replace('"', '\\"') in lines
    import predspace_widgets as pw

    monkeypatch.setattr(pw, "open_trajectories", lambda path: explorer.session.analysis.ds)
    names: dict[str, Any] = {}
    *body, last = lines.strip().splitlines()
    exec("\n".join(body), names)
    figure = eval(last, names)
    explorer.state.param.update(**choices)
    assert figure.to_dict() == explorer.figure("inpca").to_dict()
    explorer.state.param.update(**explorer.state.defaults())


def test_a_film_of_play(stage: Stage) -> None:
    page = stage.page
    if not page.evaluate("typeof MediaRecorder === 'function' && MediaRecorder.isTypeSupported('video/webm')"):
        pytest.skip("this Chromium records no films")
    page.locator('[data-control="speed"]').select_option("4")
    page.locator('[data-control="share"] summary').click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Record a film of play").click()
    film = content(download.value)
    page.locator('[data-control="speed"]').select_option("1")
    assert download.value.suggested_filename.endswith("play.webm")
    assert film[:4] == b"\x1aE\xdf\xa3"  # as WebM begins
    assert len(film) > 5_000
