"""How pages are built: links that lead nowhere are found, and live pictures share what they have in common."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

import predspace_widgets as pw
from predspace_widgets.trajectories.testing import random_trajectories

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def links() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "links.py"))


@pytest.fixture(scope="module")
def kernel() -> dict[str, Any]:
    return runpy.run_path(str(DOCS / "kernel.py"))


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<a href="b/other.html#there">x</a> <a href="#here">x</a><p id="here">', []),
        ('<a href="https://example.org/x">x</a> <a href="mailto:a@b">x</a> <img src="data:image/png;base64,AA">', []),
        ('<a href="b/another.html">x</a>', ["b/another.html is not there"]),
        ('<a href="b/other.html#nowhere">x</a>', ["b/other.html#nowhere has no such anchor"]),
        ('<a href="#nowhere">x</a>', ["#nowhere has no such anchor"]),
        ('<img src="picture.png">', ["picture.png is not there"]),
        ('<script src="https://example.org/x.js"></script>', ["https://example.org/x.js is loaded from elsewhere"]),
        ('<link href="//example.org/x.css">', ["//example.org/x.css is loaded from elsewhere"]),
        ('<iframe src="live/gone.html"></iframe>', ["live/gone.html is not there"]),
    ],
)
def test_links_that_lead_nowhere_are_found(body: str, wrong: list[str], links: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "other.html").write_text('<h1 id="there"><a href="../a.html">up</a></h1>')
    (tmp_path / "a.html").write_text(body)
    assert links["problems"](tmp_path) == [f"a.html: {line}" for line in wrong]


def test_live_pictures_share_their_large_parts(kernel: dict[str, Any], tmp_path: Path) -> None:
    ds = random_trajectories(n_samples=400)
    pages = {}
    for dimensions in ("2-D", "3-D"):
        whole = kernel["page_of"](pw.Explorer(ds, dimensions=dimensions))
        split = kernel["with_common_parts_beside"](whole, tmp_path)
        assert len(split) < len(whole) - 1_000_000
        pages[dimensions] = (whole, split)
    shared = {path.name: path.read_text() for path in tmp_path.glob("*.js")}
    assert any(name.startswith("predspace-plotly-") for name in shared)
    for whole, split in pages.values():
        # Put together again it is what was saved, but for where scripts may come from.
        again = re.sub(
            r'<script id="([\w-]+)" src="([\w.-]+)"></script>',
            lambda part: f'<script type="text/plain" id="{part[1]}">{shared[part[2]].split(chr(34))[1]}</script>',
            split,
        )
        assert again.replace("script-src 'unsafe-inline' 'self' file:", "script-src 'unsafe-inline'") == whole
    assert pages["2-D"][1] != pages["3-D"][1]
    assert len([name for name in shared if "plotly" in name]) == 1
