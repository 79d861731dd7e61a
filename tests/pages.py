"""Pages of docs/ that are notebooks: their code."""

from __future__ import annotations

import re


def code_cells(page: str) -> list[str]:
    """The code of each cell of a page, in order, without its options (`:tags: [...]`)."""
    return re.findall(r"^```\{code-cell\}\n(?::[\w-]+:.*?\n)*(.*?)^```$", page, re.DOTALL | re.MULTILINE)
