"""Datasets at the edge, and a browser without WebGL: a picture where there can be one, else a sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from playwright.sync_api import Browser, expect

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Stage, opened

VIEWS = ("inpca", "stress", "progress", "comparison", "lengths")


def published() -> xr.Dataset:
    """A picture without predictions, as it is imported."""
    ds = random_trajectories(n_seeds=2, n_checkpoints=6)
    picture = ds.predspace.inpca(n_components=4)
    bare = ds.drop_vars(["probs", "label", "accuracy", "sample", "class"])
    return bare.assign(
        embedding=(("checkpoint", "component"), picture["embedding"].values),
        eigenvalue=("component", picture["eigenvalue"].values),
    )


DATASETS = {
    "one run": lambda: random_trajectories(("red",), n_seeds=1, n_checkpoints=5),
    "one checkpoint": lambda: random_trajectories(("red",), n_seeds=1, n_checkpoints=1),
    "one seed": lambda: random_trajectories(n_seeds=1),
    "no accuracy": lambda: random_trajectories().drop_vars("accuracy"),
    "60 curves": lambda: random_trajectories(tuple(f"task {n}" for n in range(60)), n_seeds=1, n_checkpoints=4),
    "900 seeds": lambda: random_trajectories(("red",), n_seeds=900, n_checkpoints=2, n_samples=4, n_classes=3),
    "long names": lambda: random_trajectories(tuple(f"{c * 200}" for c in "abc"), methods=("m" * 200, "n" * 200)),
    "a published picture": published,
}
#: Views that can be drawn of each; of the others a sentence says why not.
DRAWN = {
    "one run": ("inpca", "stress", "progress", "lengths"),
    "one checkpoint": ("progress", "lengths"),
    "60 curves": ("inpca", "stress", "progress", "lengths"),  # so many pairs are measured when they are asked for
    "900 seeds": ("inpca", "stress", "progress", "lengths"),
    "a published picture": ("inpca", "stress"),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_at_the_edge(browser: Browser, tmp_path: Path, name: str) -> None:
    ds = DATASETS[name]()
    explorer = Explorer(ds)
    path = explorer.save(tmp_path / "one.html")
    with opened(browser) as page:
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri())
        stage = Stage(page)
        for view in VIEWS:
            message = page.locator(f"[data-view={view}] .message")
            if name == "a published picture" and view not in DRAWN[name]:
                expect(page.locator(f"[data-view={view}]")).to_have_count(0)
            elif view in DRAWN.get(name, VIEWS):
                assert stage.shown(view), (view, message.text_content())
            else:
                expect(message).not_to_be_empty()
        for choices in ({"dimensions": "2-D"}, {"dimensions": "pairs"}, {"axes_fitted_on": "shown"}, {"curves": []}):
            assert stage.set(**choices) == [], choices
        message = page.locator("[data-view=inpca] .message")
        expect(message).not_to_be_empty()  # nothing is chosen
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        boxes = page.locator("aside, header, .card").evaluate_all(
            "(nodes) => nodes.map((node) => node.getBoundingClientRect().right <= innerWidth)"
        )
        assert all(boxes)
        assert [error for error in errors if "favicon" not in error] == []


def test_pictures_in_space_need_no_webgl(browser: Browser, tmp_path: Path) -> None:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-webgl", "--disable-3d-apis"]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    bare = browser.browser_type.launch(executable_path=chromium, args=flags)
    try:
        with opened(bare) as page:
            page.goto(Explorer(random_trajectories()).save(tmp_path / "one.html").as_uri())
            stage = Stage(page)
            assert page.evaluate("document.createElement('canvas').getContext('webgl') === null")
            assert stage.state["dimensions"] == "3-D"
            for view in VIEWS:
                assert stage.shown(view), view
            stage.set(dimensions="2-D")
            assert stage.shown("inpca")
    finally:
        bare.close()


def test_all_seeds_can_be_chosen_from_a_list(browser: Browser, tmp_path: Path) -> None:
    ds = random_trajectories(("red", "blue"), n_seeds=40, n_checkpoints=3, n_samples=4)
    with opened(browser) as page:
        page.goto(Explorer(ds).save(tmp_path / "one.html").as_uri())
        stage = Stage(page)
        seeds = page.get_by_label("seeds", exact=True)
        seeds.select_option([str(seed) for seed in range(3, 9)])
        stage.drawn()
        result = stage.result()
        assert sorted(set(result["seed"])) == list(range(3, 9))
        assert len(result["row"]) == np.prod([2, 6, 3])
