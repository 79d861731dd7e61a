"""Runs first in each kernel of a page: figures and explorers are drawn by what `conf.py` puts beside the pages."""

import os
import re
from hashlib import sha256
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import plotly.io as pio
from IPython import get_ipython
from plotly.io.base_renderers import HtmlRenderer
from plotly.io.json import to_json_plotly

# -- plotly's figures -------------------------------------------------------------------------------------------------


class BesidePage(HtmlRenderer):
    """plotly's own renderers for HTML name a CDN, and draw before the end of a page, where its scripts are read."""

    def to_mimebundle(self, fig_dict: dict[str, Any]) -> dict[str, str]:
        name, layout = f"figure-{uuid4()}", {"height": 480, **fig_dict["layout"]}
        drawn = ", ".join(map(to_json_plotly, (name, fig_dict["data"], layout, {"responsive": True})))
        script = f'addEventListener("DOMContentLoaded", () => Plotly.newPlot({drawn}))'
        return {"text/html": f'<div id="{name}"></div><script>{script}</script>'}


pio.renderers["beside_page"] = BesidePage()
pio.renderers.default = "beside_page"

# -- live pictures ----------------------------------------------------------------------------------------------------

# What many pages have in common, as `save` writes it: plotly.js, and the numbers of a dataset.
_COMMON = re.compile(r'<script type="text/plain" id="([\w-]+)">([\w+/=]{100000,})</script>')


def with_common_parts_beside(page: str, folder: Path) -> str:
    """A page in one file without its large parts, which become files of this folder that other pages have too.

    They are scripts, since a page on a disk may read nothing else that lies beside it.
    """

    def beside(part: re.Match[str]) -> str:
        name = f"{part[1]}-{sha256(part[2].encode()).hexdigest()[:12]}.js"
        write(folder / name, f'document.currentScript.text = "{part[2]}";')
        return f'<script id="{part[1]}" src="{name}"></script>'

    page, n_parts = _COMMON.subn(beside, page)
    return page.replace("script-src 'unsafe-inline'", "script-src 'unsafe-inline' 'self' file:") if n_parts else page


def write(path: Path, text: str) -> None:
    """Whole or not at all, since kernels of several pages write the same."""
    partial = path.with_name(f".{uuid4()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def page_of(shown: Any) -> str:
    """What `shown.save` writes. What is measured of a dataset for it, other pages have measured too."""
    session, measured = getattr(shown, "session", None), os.environ.get("PREDSPACE_MEASURED")
    if session is not None and session.news is None and measured is not None:
        from predspace_widgets.explorers.session import Session
        from predspace_widgets.explorers.sharing import one_file

        return one_file(Session(session.analysis, session.views, measured), shown.settings())
    with TemporaryDirectory() as folder:
        shown.save(Path(folder) / "live.html")
        return (Path(folder) / "live.html").read_text(encoding="utf-8")


def live(shown: Any) -> dict[str, str]:
    """The live picture of an explorer in a frame; conf.py completes its address."""
    if getattr(shown, "following", None) is not None:
        shown.wait()  # nothing comes to a page later
    folder = Path(os.environ["PREDSPACE_LIVE"])
    page = with_common_parts_beside(page_of(shown), folder)
    name = f"{sha256(page.encode()).hexdigest()[:12]}.html"
    write(folder / name, page)
    title = escape(f"{type(shown).__name__}, a live picture")
    frame = f'<iframe src="live:{name}" title="{title}" loading="lazy"></iframe>'
    alone = f'<figcaption><a href="live:{name}" target="_blank">Open this picture alone</a></figcaption>'
    return {"text/html": f'<figure class="live {type(shown).__name__.lower()}">{frame}{alone}</figure>'}


if (shell := get_ipython()) is not None:
    formatter = shell.display_formatter.mimebundle_formatter
    formatter.for_type_by_name("predspace_widgets.explorers.explorer", "Explorer", live)
    formatter.for_type_by_name("predspace_widgets.explorers.octant", "Octant", live)
