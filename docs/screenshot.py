"""Takes docs/explorer.png of the explorer that `make app` runs in another terminal."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

address = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:5006"
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 720}, device_scale_factor=1.5)
    page.goto(address)
    page.locator(".view-inpca canvas").first.wait_for()
    page.wait_for_timeout(5000)
    page.screenshot(path=Path(__file__).parent / "explorer.png")
