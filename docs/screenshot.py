"""Takes docs/explorer.png of an explorer: `docs/screenshot.py ADDRESS`, by default that of `make app`."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

address = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:5006"
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1.5)
    page.goto(address)
    page.wait_for_function("window.predspace?.stages.length")
    page.evaluate("window.predspace.stages[0].whenDrawn()")
    page.wait_for_function("window.predspace.stages[0].result('comparison')")  # measured a moment later
    page.evaluate("window.predspace.stages[0].whenDrawn()")
    page.screenshot(path=Path(__file__).parent / "explorer.png")
