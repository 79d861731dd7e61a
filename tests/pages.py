"""Pages of docs/ that are notebooks: their code."""

from __future__ import annotations

import re


def code_cells(page: str) -> list[str]:
    """The code of each cell of a page, in order."""
    return re.findall(r"^```\{code-cell\}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
