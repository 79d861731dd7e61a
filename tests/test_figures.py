"""The page of figures: every row leads to a cell or says why there is none, and no number on it is typed.

Whether its cells run, `make docs` says.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import predspace_widgets as pw
from tests.pages import code_cells

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "figures.md").read_text(encoding="utf-8")
CELLS = code_cells(PAGE)

#: Digits that are no measured numbers: of papers, of their figures and appendices, in names of files and data.
NAMES_WITH_DIGITS = r"arXiv:[\d.]+|/abs/[\d.]+|(Fig\.|App\.) [A-Z]?[\d.]+[a-z]?|`[^`]*`|CIFAR-10"


def slug(heading: str) -> str:
    """The anchor of a heading, as Sphinx makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def sections(page: str) -> dict[str, str]:
    """Anchor -> text of each section of a figure."""
    return {slug(heading): text for heading, text in re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", page, re.S | re.M)}


def rows(page: str) -> list[tuple[str, str]]:
    """(figure of a paper, what is here) of the table."""
    [table] = re.findall(r"^\| figure \| here \|\n\|.*\n((?:\|.*\n)+)", page, re.M)
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.splitlines()]
    return [(figure, here) for figure, here in cells if not figure.startswith("**")]


def typed_numbers(page: str) -> list[str]:
    """Digits of the prose outside of cells, and of the words of sentences that cells make."""
    prose = re.sub(r"^```\{code-cell\}\n.*?^```$|\A---.*?^---$", "", page, flags=re.S | re.M)
    words = [re.sub(NAMES_WITH_DIGITS, "", prose)]
    for cell in code_cells(page):
        for call in ast.walk(ast.parse(cell)):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Markdown":
                words += _literals(call)
    return [word for text in words for word in re.findall(r"\S*\d\S*", text)]


def _literals(node: ast.AST) -> Iterator[str]:
    """The strings in a sentence, without what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, ast.FormattedValue | ast.Subscript):
        for child in ast.iter_child_nodes(node):
            yield from _literals(child)


def private_names(code: str) -> list[str]:
    """Names in code that begin with an underscore, or that our package does not have."""
    wrong = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("predspace_widgets"):
            module = importlib.import_module(str(node.module))
            wrong += [alias.name for alias in node.names if not hasattr(module, alias.name)]
        if isinstance(node, ast.Attribute):
            wrong += [node.attr] if node.attr.startswith("_") else []
            if getattr(node.value, "id", "") == "pw" and not hasattr(pw, node.attr):
                wrong.append(f"pw.{node.attr}")
            inner = node.value
            if isinstance(inner, ast.Attribute) and getattr(inner.value, "id", "") == "pw":
                wrong += [] if hasattr(getattr(pw, inner.attr), node.attr) else [f"pw.{inner.attr}.{node.attr}"]
    return wrong


def test_every_row_leads_to_a_cell_or_says_why_there_is_none() -> None:
    led_to = []
    for figure, here in rows(PAGE):
        anchors = re.findall(r"\[\]\(#([\w-]+)\)", here)
        assert anchors or re.match(r"none[: ].{12}|`predspace .{20}", here), figure
        led_to += anchors
    of_figures = sections(PAGE)
    assert len(of_figures) > 12
    assert set(led_to) == set(of_figures)
    for anchor, text in of_figures.items():
        [cell] = code_cells(text)
        assert "display(" in cell, anchor
        assert "Markdown(" in cell, anchor


def test_no_number_is_typed() -> None:
    assert typed_numbers(PAGE) == []


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.split("(")[0][:30])
def test_cells_name_what_is_public(cell: str) -> None:
    assert private_names(cell) == []


@pytest.mark.parametrize(
    ("page", "numbers"),
    [
        ("Fig. 2 of arXiv:2210.17011, `inpca2.py`", []),
        ("It explains 91% of it", ["91%"]),
        ("```{code-cell}\nx = 3\nMarkdown(f'{x:.2f} of {names[\"5\"]}')\n```", []),
        ("```{code-cell}\nMarkdown(f'of 65 networks {x}')\n```", ["65"]),
        ("```{code-cell}\nMarkdown('all: ' + ', '.join(f'axis 1 {x}' for x in y))\n```", ["1"]),
    ],
)
def test_a_typed_number_is_found(page: str, numbers: list[str]) -> None:
    assert typed_numbers(page) == numbers


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("pw.geometry.pairwise(x)\nfrom predspace_widgets.analysis import runs", []),
        ("ds.predspace._ds", ["_ds"]),
        ("pw.geometry.pairwse(x)", ["pw.geometry.pairwse"]),
        ("pw.demoo()", ["pw.demoo"]),
        ("from predspace_widgets.analysis import rums", ["rums"]),
    ],
)
def test_a_private_name_is_found(code: str, names: list[str]) -> None:
    assert private_names(code) == names


def test_figures_load_nothing() -> None:
    code = (
        "import runpy, plotly.graph_objects as go\n"
        f"runpy.run_path({str(ROOT / 'docs' / 'kernel.py')!r})\n"
        "print(go.Figure(go.Scatter(y=[1, 2], name='</script>'))._repr_mimebundle_()['text/html'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.count("</script>") == 1
    assert "newPlot" in done.stdout
    assert "src=" not in done.stdout
    assert "//" not in done.stdout
