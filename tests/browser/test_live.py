"""A dataset that another process records: on every visitor's page, in axes that stay until they are fitted anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

import predspace_widgets as pw
from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.newcomers import measure_newcomers
from predspace_widgets.trajectories.testing import random_trajectories
from tests.browser.conftest import Servers, Stage, opened
from tests.recording import RecordingProcess

N_FIRST = 24


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """As for all tests, but they end with the test: each would go on looking for news."""
    servers = Servers(lambda: tmp_path_factory.mktemp("server"))
    yield servers
    servers.stop_all()


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[tuple[Path, RecordingProcess]]:
    store = tmp_path / "mine.zarr"
    with RecordingProcess(store) as process:
        process.record(N_FIRST)
        yield store, process


def says(page: Page, *words: str) -> None:
    for word in words:
        expect(page.locator("[data-control=live] > .text")).to_contain_text(word)


def n_points(stage: Stage) -> int:
    return len(stage.result()["row"])


def test_two_visitors_see_what_another_process_records(
    browser: Browser, start: Servers, recording: tuple[Path, RecordingProcess]
) -> None:
    store, process = recording
    address = start("predspace_widgets", "serve", str(store), "--port", "PORT")
    with ExitStack() as pages:
        visitors = [pages.enter_context(opened(browser)) for _ in range(2)]
        for page in visitors:
            page.goto(address)
        stages = [Stage(page) for page in visitors]
        before = stages[0].result()
        says(visitors[0], "recording", f"{N_FIRST} checkpoints")
        process.record(3)
        for page, stage in zip(visitors, stages, strict=True):
            stage.wait("stage.result('inpca').row.length === argument", N_FIRST + 3)
            says(page, f"{N_FIRST + 3} checkpoints")
            expect(page.locator("header .summary")).to_contain_text(f"{N_FIRST + 3} checkpoints")
            assert stage.drawn().shown("inpca")
        after = stages[0].result()
        np.testing.assert_array_equal(after["embedding"][:N_FIRST], before["embedding"])  # they stay where they are
        ds = pw.open_trajectories(store)
        old, new = ds.isel(checkpoint=slice(N_FIRST)), ds["probs"].values[N_FIRST:]
        expected = measure_newcomers(Analysis(old), new, 5)
        np.testing.assert_allclose(after["embedding"][N_FIRST:], expected.coordinates, atol=1e-5)
        progress = stages[0].result("progress")
        assert max(progress["epoch"]) == (N_FIRST + 2) / 4
        assert stages[0].result("lengths")["length"] == pytest.approx(
            Analysis(ds).riemann_lengths()["length"], rel=1e-5
        )
        assert stages[0].state["epochs"] == [0, (N_FIRST + 2) / 4]

        # Axes on what is shown come from the fitted checkpoints alone, until they are fitted anew by anybody.
        stages[0].set(axes_fitted_on="shown", dimensions="2-D")
        np.testing.assert_allclose(np.abs(stages[0].result()["embedding"]), np.abs(after["embedding"]), atol=1e-4)
        visitors[1].locator("[data-control=refit]").click()
        whole = Analysis(ds).picture(n_components=5)["embedding"].values
        for stage in stages:
            stage.wait("Math.abs(stage.result('inpca').embedding[0][0] - argument) < 1e-5", float(whole[0, 0]))
            np.testing.assert_allclose(stage.drawn().result()["embedding"], whole, atol=1e-4)
        assert stages[0].state["dimensions"] == "2-D"  # choices stay
        process.record(1)
        for stage in stages:
            stage.wait("stage.result('inpca').row.length === argument", N_FIRST + 4)


def test_new_curves_are_shown_to_whoever_sees_all(
    page: Page, start: Servers, recording: tuple[Path, RecordingProcess]
) -> None:
    store, _ = recording
    page.goto(start("predspace_widgets", "serve", str(store), "--port", "PORT"))
    stage = Stage(page)
    with RecordingProcess(store, "odd", 3) as other:
        other.record(2)
        stage.wait("stage.result('inpca').row.length === argument", N_FIRST + 2)
        assert stage.state["curves"] == ["even", "odd"]
        assert stage.state["seeds"] == [0, 3]
        expect(page.locator("[data-curve=odd]")).to_have_count(1)
        stage.set(curves=["odd"])
        assert n_points(stage) == 2
        assert stage.result()["run"] == ["odd/supervised/3"] * 2
        stage.set(axes_fitted_on="shown")
        expect(page.locator("[data-view=inpca] .message")).to_contain_text("fitted anew")
        stage.set(axes_fitted_on="everything", compared=["even", "odd"])
        expect(page.locator("[data-view=comparison] .message")).to_contain_text("odd is new: fit the axes anew")
        other.record(1)
        stage.wait("stage.result('inpca').row.length === 3")


def test_pause_and_how_it_stands(page: Page, start: Servers, recording: tuple[Path, RecordingProcess]) -> None:
    store, process = recording
    page.goto(start("predspace_widgets", "serve", str(store), "--port", "PORT"))
    stage = Stage(page)
    says(page, "recording")
    page.locator("[data-control='pause following']").click()
    says(page, "paused")
    process.record(2)
    page.wait_for_timeout(3000)
    assert n_points(stage) == N_FIRST
    page.locator("[data-control='pause following']").click()
    stage.wait("stage.result('inpca').row.length === argument", N_FIRST + 2)
    process.kill()
    says(page, "killed", "its process is gone")
    with RecordingProcess(store) as again:
        again.record(1)
        says(page, "recording", f"{N_FIRST + 3} checkpoints")
        again.tell("close")
        says(page, "ended")
    shutil.rmtree(store)
    says(page, "deleted")
    assert n_points(stage) == N_FIRST + 3  # what it had stays
    stage.set(dimensions="2-D")
    assert stage.shown("inpca")


def test_from_a_single_checkpoint(page: Page, start: Servers, tmp_path: Path) -> None:
    store = tmp_path / "early.zarr"
    with RecordingProcess(store) as process:
        process.record(1)
        page.goto(start("predspace_widgets", "serve", str(store), "--port", "PORT"))
        stage = Stage(page)
        expect(page.locator("[data-view=inpca] .message")).to_contain_text("at least two")
        for n in (2, 3, 14):
            process.record(n - (1 if n == 2 else 2 if n == 3 else 3))
            stage.wait("stage.drawing('inpca').figure && stage.result('inpca').row.length === argument", n)
        assert stage.drawn().shown("inpca")


def test_a_training_is_started_from_the_page_and_stopped(page: Page, start: Servers, tmp_path: Path) -> None:
    store, trained = tmp_path / "digits.zarr", tmp_path / "trained"
    pw.save_trajectories(pw.demo().predspace.select(tasks=["even"], methods="supervised"), store)
    options = ["--allow-training", "--trained", str(trained), "--port", "PORT"]
    address = start("predspace_widgets", "serve", str(store), *options)
    page.goto(address)
    stage = Stage(page)
    n_before = n_points(stage)
    page.locator("[data-control=train] summary").click()
    what = page.locator("[data-control='train what']")
    expect(what.locator("option", has_text="even · supervised")).to_have_count(1)
    what.select_option("even · supervised")
    expect(page.locator("[data-control='train seed']")).to_have_value("5")
    page.locator("[data-control='train start']").click()
    state = page.locator("[data-control='train state']")
    expect(state).to_contain_text("training even/supervised/5")
    stage.wait("stage.result('inpca').row.length > argument + 2", n_before)
    assert stage.state["seeds"] == [0, 1, 2, 3, 4, 5]
    assert stage.result()["run"][-1] == "even/supervised/5"
    page.locator("[data-control='train stop']").click()
    expect(state).to_contain_text("stopped even/supervised/5")
    says(page, "ended")
    page.locator("[data-control=refit]").click()
    expect(page.locator("header .summary")).to_contain_text("6 networks")
    n_now = n_points(stage)
    assert n_now > n_before
    stage.wait("stage.drawing('inpca').caption.includes(`fitted on everything, ${argument} `)", n_now)
    assert stage.drawn().shown("inpca")
    start.stop(address)  # at once: it still measures for the page


def test_without_the_flag_nobody_trains(page: Page, start: Servers, tmp_path: Path) -> None:
    pw.save_trajectories(random_trajectories(), tmp_path / "small.zarr")
    address = start("predspace_widgets", "serve", str(tmp_path / "small.zarr"), "--port", "PORT")
    page.goto(address)
    Stage(page)
    expect(page.locator("[data-control=train]")).to_have_count(0)
    ask = """async (address) => {
      const question = JSON.stringify({ kind: "training", act: "start", recipe: "digits", task: "even", seed: 9 });
      return (await fetch(address, { method: "POST", body: question })).headers.get("X-Stage-Answer");
    }"""
    assert "--allow-training" in page.evaluate(ask, f"{address}stage-data/small")
