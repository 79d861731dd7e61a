"""Which differ, in a browser: each new panel draws, and what is compared can be several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Servers, Stage, opened


@pytest.fixture(scope="module")
def stage(browser: Browser, start: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    path = tmp_path_factory.mktemp("which") / "small.zarr"
    random_trajectories(n_seeds=3, n_checkpoints=6).pipe(_save, path)
    with opened(browser) as page:
        page.goto(start("predspace_widgets", "serve", str(path), "--port", "PORT"))
        yield Stage(page)


def _save(ds: object, path: Path) -> None:
    import predspace_widgets as pw

    pw.save_trajectories(ds, path)  # type: ignore[arg-type]


def test_each_panel_draws(stage: Stage) -> None:
    stage.set(tabs=["matrix", "tube"])
    for view in ("matrix", "tube", "stress"):
        assert stage.drawn().read("stage.drawing(argument).message", view) == ""
    stage.page.locator("[data-view=matrix] .heatmaplayer image").first.wait_for(state="attached")
    assert stage.shown("tube")
    for choices in ({"matrix_of": "end"}, {"matrix_of": "step", "matrix_by": "run"}, {"spectrum": "eigenvalues"}):
        assert stage.set(**choices) == []
        assert stage.read("stage.drawing('matrix').message") == ""
    assert len(stage.read("stage.drawing('matrix').figure.data[0].z")) == 9
    assert stage.read("stage.drawing('stress').figure.layout.yaxis.type") == "log"


def test_curves_are_added_to_a_comparison_and_taken_away(stage: Stage) -> None:
    stage.set(compared=["red", "green"])
    third, fourth = (stage.page.locator(f'[data-control="compared {place}"]') for place in (3, 4))
    assert third.is_visible()
    assert fourth.is_hidden()
    third.select_option(label="blue")
    stage.drawn()
    assert stage.state["compared"] == ["red", "green", "blue"]
    assert fourth.is_visible()
    assert len(stage.read("stage.drawing('comparison').figure.data")) == 4
    assert stage.set(compared=["red/supervised/0", "red/supervised/1"]) == []
    first = stage.page.locator('[data-control="compared 1"]')
    assert first.evaluate("(list) => list.selectedOptions[0].textContent") == "red/supervised/0"
    stage.set(compared=["red", "green", "blue"])
    third.select_option(index=0)
    stage.drawn()
    assert stage.state["compared"] == ["red", "green"]
    assert stage.set(compared=["red", "mauve"]) != []
    assert stage.set(compared=["red"] * 7) != []
    assert stage.state["compared"] == ["red", "green"]


def test_one_file_holds_the_matrices(browser: Browser, tmp_path: Path) -> None:
    path = Explorer(random_trajectories(n_checkpoints=4)).save(tmp_path / "one.html")
    with opened(browser) as page:
        page.goto(path.as_uri())
        stage = Stage(page)
        stage.set(matrix_by="run", matrix_of="end")
        assert len(stage.read("stage.drawing('matrix').figure.data[0].z")) == 6
