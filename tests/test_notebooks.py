"""The notebooks that ship run from top to bottom on the data that ships, without the internet."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
#: tests/browser/test_notebook.py runs this one, in a browser.
IN_A_BROWSER = {"01_first_picture.ipynb"}
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
#: What a figure, an explorer and an octant are in a notebook.
PICTURES = {"application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"}
each_notebook = pytest.mark.parametrize("name", NOTEBOOKS)

# Runs first in the kernel: whatever asks for another machine is an error there.
NO_INTERNET = """
import socket

def _refuse(*address, **options):
    raise OSError(f"a notebook must work offline, and asked for {address}")

socket.getaddrinfo = socket.create_connection = _refuse
socket.socket.connect = socket.socket.connect_ex = _refuse
"""


def read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / name, as_version=4)


def run(notebook: NotebookNode) -> NotebookNode:
    """Execute a notebook, after a cell that shuts the internet."""
    notebook.cells.insert(0, nbformat.v4.new_code_cell(NO_INTERNET))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    del notebook.cells[0]
    return notebook


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each_notebook
def test_saved_without_outputs(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert [cell.id for cell in code_cells(notebook) if cell.outputs or cell.execution_count] == []


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if name not in IN_A_BROWSER])
def test_runs_from_top_to_bottom(name: str) -> None:
    notebook = run(read(name))
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    drawn = [output.data for output in outputs if PICTURES & output.get("data", {}).keys()]
    assert drawn
    for data in drawn:
        assert "<script src" not in data.get("text/html", "")  # plotly.js from a CDN


def test_every_claim_of_the_paper_gets_a_verdict() -> None:
    # The verdicts are computed: no text of the notebook may say what the data do not.
    source = "".join(cell.source for cell in code_cells(read("05_claims.ipynb")))
    for number in ("1", "2", "3a", "3b", "4", "5a", "5b", "6", "7a", "7b", "8a", "8b"):
        assert source.count(f'"{number}. ') == 1


def test_a_notebook_that_asks_for_another_machine_fails() -> None:
    cell = nbformat.v4.new_code_cell("import urllib.request; urllib.request.urlopen('http://example.org')")
    with pytest.raises(Exception, match="must work offline"):
        run(nbformat.v4.new_notebook(cells=[cell]))
