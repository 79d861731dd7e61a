"""How Sphinx builds the pages of this folder (`make docs`): strict, offline, with every code cell run."""

from __future__ import annotations

import importlib.metadata
import os
import pkgutil
import shutil
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import Any

import plotly
import typer.main
from sphinx.application import Sphinx
from sphinx.util import logging
from typer.cli import get_docs_for_click

from predspace_widgets.cli import app as command

sys.path.insert(0, str(Path(__file__).parent))
from links import problems

logger = logging.getLogger(__name__)

project = "predspace_widgets"
release = importlib.metadata.version("predspace-widgets")

exclude_patterns = ["**/.ipynb_checkpoints"]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"  # a page is as new as the package
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # of a cell, in seconds: only what hangs takes so long
nb_output_stderr = "error"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # no widget needs Python here: see kernel.py
# Cells that begin with `!` find the command of this environment.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
# Kernels show figures and explorers as this file says; see there.
os.environ["PYTHONSTARTUP"] = str(Path(__file__).with_name("kernel.py"))

# Types stand in the text of docstrings, in words: they are no names to look up. What is, in single backticks, becomes
# a link where a page has it; `predspace_widgets.NAME` and all links of pages must lead somewhere.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:(obj|class|exc)", r"(?!predspace_widgets\.).*")]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_param = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "predspace_widgets"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_favicon = "favicon.svg"
# From packages that are installed: no page loads anything from elsewhere. This MathJax is one file, fonts and all.
_mathjax = importlib.metadata.distribution("sphinx-mathjax-offline")
mathjax_path = "tex-svg.js"
html_static_path = [
    "pages.css",
    str(Path(plotly.__file__).parent / "package_data" / "plotly.min.js"),
    str(_mathjax.locate_file(f"sphinx-mathjax-offline/static/mathjax/{mathjax_path}")),
]
html_css_files = ["pages.css"]
html_js_files = ["plotly.min.js"]


def prepare(app: Sphinx) -> None:
    """Bring the notebooks here, and tell kernels where pages with live pictures go."""
    course = app.srcdir / "course"
    shutil.rmtree(course, ignore_errors=True)
    course.mkdir()
    for notebook in (app.srcdir.parent / "notebooks").glob("*.ipynb"):
        text = notebook.read_text(encoding="utf-8").replace("](../docs/", "](../")  # its links, from its new place
        (course / notebook.name).write_text(text, encoding="utf-8")
    os.environ["PREDSPACE_LIVE"] = str(app.outdir / "live")
    os.environ["PREDSPACE_MEASURED"] = str(app.doctreedir / "measured")
    (app.outdir / "live").mkdir(parents=True, exist_ok=True)


def add_to_source(app: Sphinx, page: str, source: list[str]) -> None:
    """The options of the command, as it tells them itself, and links to notebooks where they are now: see `prepare`."""
    source[0] = source[0].replace("](../../notebooks/", "](../course/").replace("](../notebooks/", "](course/")
    if page == "reference/cli":
        click_command = typer.main.get_command(command)
        options = get_docs_for_click(obj=click_command, ctx=typer.Context(click_command), name="predspace")
        source[0] += options.split("\n", 2)[2]  # without its title, which the page has


def is_there(app: Sphinx, env: Any, node: Any, shown: Any) -> Any:
    """Names of what no page describes, such as modules, stay as they are, as long as they exist."""
    if node.get("reftype") == "obj" and node["reftarget"].startswith("predspace_widgets."):
        with suppress(ImportError, AttributeError, ValueError):
            pkgutil.resolve_name(node["reftarget"])
            return shown
    return None


def is_said_already(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out fields of named tuples, which their class describes."""
    return True if str(getattr(member, "__doc__", "")).startswith("Alias for field number") else None


def place_live(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Addresses of live pictures, which kernels cannot know: they do not know how deep their page lies."""
    if "body" in context:
        context["body"] = context["body"].replace('="live:', f'="{context["pathto"]("live/", resource=True)}')


def check_links(app: Sphinx, error: Exception | None) -> None:
    """Fail where a page leads nowhere, or would load something from elsewhere."""
    if error is None and app.builder.name == "html":
        for wrong in problems(app.outdir):
            logger.warning(wrong)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", prepare)
    app.connect("source-read", add_to_source)
    app.connect("autodoc-skip-member", is_said_already)
    app.connect("missing-reference", is_there)
    app.connect("html-page-context", place_live)
    app.connect("build-finished", check_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
