"""A served page within its content security policy, and the way in with a password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from predspace_widgets.trajectories import save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from tests.browser.conftest import Stage, opened
from tests.browser.test_markup import IMAGE, SCRIPT

PASSWORD = "corréct horse"


@pytest.fixture(scope="module")
def address(start: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    ds = random_trajectories(n_checkpoints=8, methods=("supervised", "simclr"))
    path = save_trajectories(ds, folder / "mine.zarr.zip")
    password = folder / "password"
    password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        return start("predspace_widgets", "serve", str(path), "--port", "PORT", "--password-file", str(password))


def log_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


@pytest.fixture(scope="module")
def stage(browser: Browser, address: str) -> Iterator[Stage]:
    """What it draws and does must not be forbidden to it: `opened` sees to that."""
    with opened(browser, accept_downloads=True) as page:
        page.goto(address)
        log_in(page)
        yield Stage(page)


def test_the_password_leads_to_the_page_that_was_asked_for(page: Page, address: str) -> None:
    page.goto(f"{address}mine?dimensions=2-D")
    expect(page).to_have_title("Log in · predspace")
    log_in(page, "a guess")
    expect(page.get_by_role("alert")).to_have_text("This is not the password.")
    log_in(page)
    page.wait_for_url("**/mine?dimensions=2-D")
    assert Stage(page).state["dimensions"] == "2-D"
    page.goto(f"{address}logout")
    page.get_by_role("link", name="Log in again").click()
    page.goto(address)
    expect(page).to_have_title("Log in · predspace")


def to_front(stage: Stage, view: str) -> bool:
    """Let a panel be seen, by a click on its name if it stands behind another one: whether it did."""
    tab = stage.page.locator(f'[data-tab="{view}"]:visible')
    if not tab.count():
        return False
    tab.first.click()
    stage.drawn()
    expect(stage.page.locator(f"[data-view={view}]")).to_be_visible()
    return True


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_all_panels_are_drawn(stage: Stage, scheme: Literal["light", "dark"]) -> None:
    stage.page.emulate_media(color_scheme=scheme)
    came = [name for name in VIEWS if to_front(stage, name)]
    assert len(came) > 1
    stage.set(selected=[3], sample=0, dimensions="pairs", compared=stage.state["curves"][:2], seeds=[0, 1])
    stage.set(dimensions="3-D", axes_fitted_on="shown", samples=[0, 1, 2, 3], color_by="epoch")
    assert stage.shown("inpca")
    stage.set(selected=[], sample=None)  # which has hidden what stands at its place


@pytest.mark.parametrize("view", ["inpca", "progress", "lengths"])
def test_pictures_and_numbers_are_saved(stage: Stage, view: str) -> None:
    to_front(stage, view)
    card = stage.page.locator(f"[data-view={view}]")
    for kind in ("PNG", "SVG", "CSV"):
        card.locator(".menu summary").click()
        with stage.page.expect_download() as download:
            card.get_by_role("button", name=kind).click()
        assert Path(download.value.path()).stat().st_size > 200


@pytest.mark.parametrize("what", ["Save as one file", "Record a film of play"])
def test_files_and_films_are_saved(stage: Stage, what: str) -> None:
    page = stage.page
    if "film" in what and not page.evaluate("globalThis.MediaRecorder?.isTypeSupported('video/webm') ?? false"):
        pytest.skip("this Chromium records no films")
    page.locator('[data-control="speed"]').select_option("4")
    page.locator('[data-control="share"] summary').click()
    with page.expect_download() as download:
        page.get_by_role("button", name=what).click()
    assert Path(download.value.path()).stat().st_size > 5_000


def test_markup_that_got_in_would_not_run(browser: Browser, address: str) -> None:
    """The policy is the second wall: here the first one is broken on purpose."""
    context = browser.new_context()
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(address)
    log_in(page)
    Stage(page)
    put = "(markup) => document.body.append(document.createRange().createContextualFragment(markup))"
    framed = f'<iframe srcdoc="{SCRIPT.replace("window", "parent")}"></iframe>'
    for markup in (SCRIPT, IMAGE, framed, "<svg onload=hacked=1>"):
        with page.expect_console_message(lambda said: "Content Security Policy" in said.text):
            page.evaluate(put, markup)
        page.wait_for_timeout(200)  # what ran all the same would have by now
        assert page.evaluate("window.hacked === undefined"), markup
    context.close()


def test_a_hostile_address_at_the_door_shows_letters(page: Page, address: str) -> None:
    page.goto(f"{address}{quote(IMAGE, safe='')}?{quote(SCRIPT)}")
    expect(page).to_have_title("Log in · predspace")
    page.wait_for_timeout(400)
    assert page.evaluate("window.hacked === undefined")
    log_in(page)
    expect(page.locator("body")).to_have_text("404: Not Found")
