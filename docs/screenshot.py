"""Takes explorer.png, here, of an explorer: `docs/screenshot.py ADDRESS`, by default that of `make app`."""

import shutil
import sys

from playwright.sync_api import Page, sync_playwright


def wait_until(page: Page, condition: str) -> None:
    """Wait as `page.wait_for_function` would, whose eval the page's content security policy forbids."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise TimeoutError(condition)


address = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:5006"
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1.5)
    page.goto(address)
    wait_until(page, "window.predspace?.stages.length > 0")
    page.evaluate("window.predspace.stages[0].whenDrawn()")
    wait_until(page, "window.predspace.stages[0].result('comparison') !== null")  # measured a moment later
    page.evaluate("window.predspace.stages[0].whenDrawn()")
    page.screenshot(path="explorer.png")
