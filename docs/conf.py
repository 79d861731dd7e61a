"""How Sphinx builds the pages of this folder (`make docs`): strict, offline, with every code cell run."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import plotly

project = "predspace_widgets"
release = importlib.metadata.version("predspace-widgets")

extensions = ["myst_nb"]
# These are read where they lie: their links lead out of this folder.
exclude_patterns = ["serving.md", "stage.md", "torture.md", "where.md"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"  # a page is as new as the package
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # of a cell, in seconds
nb_output_stderr = "error"
# Kernels show figures as this file says; see there.
os.environ["PYTHONSTARTUP"] = str(Path(__file__).with_name("kernel.py"))

html_theme = "furo"
html_title = "predspace_widgets"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
# plotly.js from the package that is installed: no page loads anything from elsewhere.
html_static_path = ["pages.css", str(Path(plotly.__file__).parent / "package_data" / "plotly.min.js")]
html_css_files = ["pages.css"]
html_js_files = ["plotly.min.js"]
