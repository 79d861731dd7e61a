"""Makes docs/explorer.webp: the explorer on the demo dataset plays its trainings (`make picture`)."""

import io
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import predspace_widgets as pw

WIDTH, HEIGHT = 1280, 720
N_FRAMES, MILLISECONDS = 64, 130  # of a frame; the last one stays longer
LAST = 2_000
MOST_BYTES = 2_000_000


def frames_of(page: Page) -> list[Image.Image]:
    """Play once. The page's clock goes on by a frame at a time, however long drawing takes."""
    page.evaluate("window.predspace.stages[0].play()")
    frames = []
    for _ in range(N_FRAMES):
        page.clock.run_for(MILLISECONDS)
        frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    return frames


with TemporaryDirectory() as folder, sync_playwright() as playwright:
    file = pw.Explorer(pw.demo()).save(Path(folder) / "explorer.html")
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.goto(file.as_uri())
    page.wait_for_function("window.predspace?.stages.length > 0")
    page.evaluate("window.predspace.stages[0].whenDrawn()")
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 60_000)
    frames = frames_of(page)

target = Path(__file__).with_name("explorer.webp")
durations = [MILLISECONDS] * (len(frames) - 1) + [LAST]
frames[0].save(target, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=60, method=6)
size = target.stat().st_size
print(f"{target.name}: {len(frames)} frames, {size / 1e6:.2f} MB")
assert size < MOST_BYTES, "too large for a README: take fewer frames"
