"""The form of the notebooks that ship; tests/browser/test_course.py runs them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


def read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / name, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each_notebook
def test_saved_without_outputs(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert [cell.id for cell in code_cells(notebook) if cell.outputs or cell.execution_count] == []


@each_notebook
def test_asks_and_answers(name: str) -> None:
    """A question after a picture, its answer folded away, and a formula: what every notebook of the course has."""
    texts = [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]
    answers = re.findall(r"<details><summary>Answer</summary>\n\n.+?\n\n</details>", "\n\n".join(texts), re.DOTALL)
    assert answers
    assert all("?" in text or "**Question.**" in text for text in "".join(texts).split("<details>")[:-1])
    assert any(re.search(r"\$[^$]+\$", text) for text in texts)


def test_every_claim_of_the_paper_gets_a_verdict() -> None:
    # The verdicts are computed: no text of the notebook may say what the data do not.
    source = "".join(cell.source for cell in code_cells(read("05_claims.ipynb")))
    for number in ("1", "2", "3a", "3b", "4", "5a", "5b", "6", "7a", "7b", "8a", "8b"):
        assert source.count(f'"{number}. ') == 1
