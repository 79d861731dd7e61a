"""A notebook as its reader has it: opened, run and asked in JupyterLab or Notebook 7."""

from __future__ import annotations

import ast
import io
import json
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from PIL import Image
from playwright.sync_api import Locator, Page

# A startup file of IPython: whatever asks for another machine is an error in the kernels.
NO_INTERNET = """
import socket

_HERE = ("localhost", "127.0.0.1", "::1", "0.0.0.0", None, "")


def _refusing(real):
    def call(*arguments, **options):
        host = next((a[0] if isinstance(a, tuple) else a for a in arguments if not isinstance(a, socket.socket)), None)
        if isinstance(host, str) and host not in _HERE and not host.startswith("/"):
            raise OSError(f"a notebook must work offline, and asked for {host}")
        return real(*arguments, **options)

    return call


socket.getaddrinfo = _refusing(socket.getaddrinfo)
socket.socket.connect = _refusing(socket.socket.connect)
socket.socket.connect_ex = _refusing(socket.socket.connect_ex)
"""

_IS_CONNECTED = """(path) => {
  const { context, sessionContext } = jupyterapp.shell.currentWidget ?? {};
  return context?.path === path && sessionContext?.session?.kernel?.connectionStatus === "connected";
}"""

_ASK = """async (expression) => {
  const { kernel } = jupyterapp.shell.currentWidget.sessionContext.session;
  const { done } = kernel.requestExecute({ code: "", user_expressions: { it: expression }, store_history: false });
  return (await done).content.user_expressions.it;
}"""


class Notebook:
    """A notebook in the folder of a server, opened in a page.

    Parameters
    ----------
    page : Page
    address : str
        Of the server, which has the kernels.
    path : Path
        In its root folder.
    face : str
        "lab" or "notebooks": JupyterLab or Notebook 7.
    """

    def __init__(self, page: Page, address: str, path: Path, face: str = "lab") -> None:
        self.page, self.address, self.path = page, address, path
        if page.url.startswith(f"{address}/lab/"):  # JupyterLab is there: as by a double click in its list of files
            open_it = "async (path) => void (await jupyterapp.commands.execute('docmanager:open', { path }))"
            page.evaluate(open_it, path.name)
        else:
            place = f"lab/workspaces/{uuid.uuid4().hex}/tree" if face == "lab" else face
            page.goto(f"{address}/{place}/{path.name}")
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
        page.wait_for_function("window.jupyterapp?.commands.hasCommand('notebook:run-cell')")
        page.wait_for_function(_IS_CONNECTED, arg=path.name)

    def run(self, *numbers: int) -> None:
        """Run some cells."""
        for number in numbers:
            self.page.evaluate(
                """async (number) => {
                  jupyterapp.shell.currentWidget.content.activeCellIndex = number;
                  await jupyterapp.commands.execute("notebook:run-cell");
                }""",
                number,
            )

    def run_all(self, seconds: float = 900) -> None:
        """Run all cells, as the menu does; it ends at the first that fails."""
        run = "jupyterapp.commands.execute('notebook:run-all-cells')"
        self.page.evaluate(f"() => {{ window.isRun = false; {run}.finally(() => (window.isRun = true)); }}")
        self.page.wait_for_function("window.isRun", timeout=1000 * seconds)

    def ask(self, expression: str) -> Any:
        """What an expression is in the kernel: plain numbers, texts and lists of them."""
        answer = self.page.evaluate(_ASK, expression)
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def save(self) -> NotebookNode:
        """Save it; what the file holds then."""
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
        return nbformat.read(self.path, as_version=4)

    def end(self) -> None:
        """Close it, where it is still open, whatever is not saved, and end all kernels."""
        self.page.evaluate("globalThis.jupyterapp?.shell.currentWidget?.dispose()")
        with urllib.request.urlopen(f"{self.address}/api/kernels") as answer:
            kernels = [kernel["id"] for kernel in json.load(answer)]
        for kernel in kernels:
            urllib.request.urlopen(urllib.request.Request(f"{self.address}/api/kernels/{kernel}", method="DELETE"))


def until(page: Page, condition: Callable[[], bool], what: str) -> None:
    """Wait for what no script of the page can tell: what is seen, or what the kernel has."""
    for _ in range(600):
        if condition():
            return
        page.wait_for_timeout(200)
    raise AssertionError(what)


def n_colours(element: Locator) -> int:
    """How many colours are seen: of an empty place one, of a word few, of a picture hundreds."""
    image = Image.open(io.BytesIO(element.screenshot())).convert("RGB")
    return len(image.getcolors(image.width * image.height))


def write(folder: Path, *cells: str) -> Path:
    """A notebook of these cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = folder / f"{uuid.uuid4().hex}.ipynb"
    nbformat.write(notebook, path)
    return path
