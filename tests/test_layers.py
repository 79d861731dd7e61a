"""The house has an order: each layer imports only from itself and from those above it (design, section 3)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "predspace_widgets"
#: From the top down.
LAYERS = ("geometry", "trajectories", "training", "views", "explorers", "cli")
#: `python -m predspace_widgets` is the command.
MAIN = {f"{PACKAGE}.__main__": "cli"}
#: Live training reaches the explorers as an iterator of snapshots.
NEVER = {("explorers", "training")}
#: (module, function, imported layer): the shortcut from a dataset to its explorer.
EXCEPTIONS = {("predspace_widgets.trajectories.accessor", "explore", "explorers")}
#: The mathematics takes and gives arrays.
FOREIGN_TO_GEOMETRY = ("xarray", "plotly", "panel")

ROOT = Path(__file__).resolve().parents[1]


def module_name(file: Path, root: Path = ROOT) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, package: str, function: str = "") -> Iterator[tuple[int, str, str]]:
    """(line, imported name, innermost function around it) of all imports; relative names are made absolute."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(parents[: len(parents) - node.level + 1] + ([base] if base else []))
            yield from ((node.lineno, f"{base}.{alias.name}", function) for alias in node.names)
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value, function
        yield from imports(node, package, inside)


def _is_dynamic_import(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in ("import_module", "__import__") and bool(call.args)


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a module of the package imports against the rule, one sentence each."""
    if module == PACKAGE:
        return []  # the top level gathers the public names of all layers
    layer = MAIN.get(module, module.split(".")[1])
    if layer not in LAYERS:
        return [f"{module} belongs to no layer"]
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for line, name, function in imports(ast.parse(source), package):
        parts = name.split(".")
        where = f"{module}, line {line}: {layer} must not import"
        if layer == "geometry" and parts[0] in FOREIGN_TO_GEOMETRY:
            found.append(f"{where} {parts[0]}")
        if parts[0] != PACKAGE:
            continue
        target = parts[1] if len(parts) > 1 else ""
        if target not in LAYERS:  # a name of the top level, which imports every layer
            if layer != LAYERS[-1]:
                found.append(f"{where} the top level, where {name} comes from")
            continue
        if (module, function, target) in EXCEPTIONS:
            continue
        if LAYERS.index(target) > LAYERS.index(layer) or (layer, target) in NEVER:
            found.append(f"{where} {target}")
    return found


def test_every_module_keeps_to_its_layer() -> None:
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    assert {*LAYERS} <= {name.split(".")[1] for name in map(module_name, files) if name != PACKAGE}
    found = [
        problem
        for file in files
        for problem in violations(file.read_text(encoding="utf-8"), module_name(file), file.name == "__init__.py")
    ]
    assert found == []


def test_the_exception_is_still_needed() -> None:
    for module, function, target in EXCEPTIONS:
        source = (ROOT / (module.replace(".", "/") + ".py")).read_text(encoding="utf-8")
        made = imports(ast.parse(source), module.rpartition(".")[0])
        assert any((where, name.split(".")[1]) == (function, target) for _, name, where in made if PACKAGE in name)


# -- the checker itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "culprit"),
    [
        ("geometry.distance", "from predspace_widgets.trajectories import demo", "trajectories"),
        ("geometry.distance", "import predspace_widgets.views.inpca", "views"),
        ("geometry.distance", "import numpy, predspace_widgets.cli as c", "cli"),
        ("trajectories.build", "from predspace_widgets import explorers", "explorers"),
        ("trajectories.build", "def f():\n    from predspace_widgets.training import record", "training"),
        ("trajectories.accessor", "from predspace_widgets.explorers import Explorer", "explorers"),
        ("trajectories.accessor", "def explore():\n    import predspace_widgets.training", "training"),
        ("trajectories.accessor", "def other():\n    import predspace_widgets.explorers", "explorers"),
        ("trajectories.build", "def explore():\n    import predspace_widgets.explorers", "explorers"),
        ("training.methods.supervised", "from predspace_widgets.views import palette", "views"),
        ("training.methods.supervised", "from ...views import palette", "views"),
        ("training.record", "from ..cli import main", "cli"),
        ("training.record", "from .. import cli", "cli"),
        ("views.inpca", "class A:\n    def f(self):\n        import predspace_widgets.explorers.app", "explorers"),
        ("views.inpca", "if TYPE_CHECKING:\n    from predspace_widgets.explorers import State", "explorers"),
        ("views.inpca", "try:\n    import predspace_widgets.cli\nexcept ImportError:\n    pass", "cli"),
        ("views.inpca", "import_module('predspace_widgets.explorers')", "explorers"),
        ("views.inpca", "import importlib\nf = lambda: importlib.import_module('predspace_widgets.cli')", "cli"),
        ("explorers.state", "from predspace_widgets.training import sweeps", "training"),
        ("explorers.state", "async def f():\n    import predspace_widgets.training.record", "training"),
        ("explorers.state", "from predspace_widgets.cli import main", "cli"),
        ("explorers.state", "import predspace_widgets as pw", "the top level"),
        ("explorers.state", "from predspace_widgets import demo", "the top level"),
        ("geometry.inpca", "import xarray as xr", "xarray"),
        ("geometry.inpca", "from plotly.graph_objects import Figure", "plotly"),
        ("geometry.inpca", "def f():\n    import panel.widgets", "panel"),
    ],
)
def test_a_planted_violation_is_found(module: str, source: str, culprit: str) -> None:
    [problem] = violations(source, f"{PACKAGE}.{module}")
    assert problem.startswith(f"{PACKAGE}.{module}, line ")
    assert f"{module.split('.')[0]} must not import {culprit}" in problem


def test_relative_imports_of_a_package_start_at_itself() -> None:
    [problem] = violations("from ..explorers import Explorer", f"{PACKAGE}.trajectories", is_package=True)
    assert "trajectories must not import explorers" in problem
    assert violations("from .explorers import Explorer", f"{PACKAGE}.trajectories", is_package=True) == []


def test_a_module_outside_the_layers_is_found() -> None:
    assert violations("", f"{PACKAGE}.utilities") == [f"{PACKAGE}.utilities belongs to no layer"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("geometry.distance", "import numpy\nimport torch\nfrom .probabilities import truth"),
        ("geometry.distance", "from predspace_widgets.geometry import curves"),
        ("geometry.distance", "import xarrays, plotly_else"),
        (
            "trajectories.accessor",
            "class A:\n    def explore(self):\n        from predspace_widgets.explorers import E",
        ),
        ("trajectories.build", "import xarray\nimport predspace_widgets.geometry"),
        ("training.record", "from predspace_widgets.trajectories import schema\nfrom ..geometry import truth"),
        ("views.inpca", "import plotly\nfrom predspace_widgets.trajectories import Analysis"),
        ("explorers.app", "import panel\nfrom predspace_widgets import views, trajectories, geometry"),
        (
            "cli",
            "from predspace_widgets import training, explorers\nimport predspace_widgets as pw\nfrom . import demo",
        ),
        ("cli", "'import predspace_widgets.nothing'"),
        ("__main__", "from predspace_widgets.cli import main"),
    ],
)
def test_what_the_rule_allows(module: str, source: str) -> None:
    assert violations(source, f"{PACKAGE}.{module}") == []


def test_the_top_level_may_import_everything() -> None:
    assert violations("from predspace_widgets.explorers import Explorer", PACKAGE, is_package=True) == []


def test_module_names() -> None:
    assert module_name(ROOT / PACKAGE / "__init__.py") == PACKAGE
    assert module_name(ROOT / PACKAGE / "geometry" / "__init__.py") == f"{PACKAGE}.geometry"
    assert module_name(ROOT / PACKAGE / "cli.py") == f"{PACKAGE}.cli"
