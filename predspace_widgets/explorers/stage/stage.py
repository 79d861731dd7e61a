"""The front end as it is sent: its modules joined, its style sheet, and plotly.js out of plotly's own wheel."""

from __future__ import annotations

import gzip
import re
from functools import cache
from importlib.resources import files

#: In the order in which they build on each other.
MODULES = (
    *("packing", "inpca", "ellipses", "tables", "picture", "fill", "summary", "choices", "theme", "motion", "turning"),
    *("ink", "space", "scene", "chart", "controls", "tabs", "numbers", "sharing", "lecture", "live", "blocks", "bars"),
    *("card", "stage", "hosts"),
)
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./\w+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|class|const|let)", re.MULTILINE)
#: What a host calls.
_OFFERED = "export { open, render, served };\nexport default { render };\n"


@cache
def module() -> str:
    """All modules as one ES module, which exports `render` for widgets, `served` for the served page and `open` for a
    page that holds everything.

    Examples
    --------
    >>> "import {" in module(), module().endswith("export default { render };\\n")
    (False, True)
    """
    folder = files(__package__)
    parts = [folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in MODULES]
    return "\n".join([*(_EXPORT.sub("", _IMPORT.sub("", part)) for part in parts), _OFFERED])


@cache
def style() -> str:
    """The style sheet."""
    folder = files(__package__)
    return "".join(folder.joinpath(f"{name}.css").read_text(encoding="utf-8") for name in ("stage", "lecture"))


@cache
def plotly_script() -> bytes:
    """plotly.js, compressed by gzip."""
    return gzip.compress(files("plotly").joinpath("package_data", "plotly.min.js").read_bytes(), 9, mtime=0)
