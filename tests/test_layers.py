"""The house has an order: a layer imports only from itself and those it stands on, and no files import in circles."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "predspace_widgets"
#: Each layer, and those that it stands on.
STANDS_ON = {
    "extras": (),
    "geometry": (),
    "trajectories": ("geometry",),
    "analysis": ("geometry", "trajectories"),
    "training": ("geometry", "trajectories"),
    "views": ("geometry", "trajectories", "analysis"),
    # Live training reaches the explorers as an iterator of snapshots.
    "explorers": ("geometry", "trajectories", "analysis", "views"),
    "accessor": ("geometry", "trajectories", "analysis", "views", "explorers"),
    "register": ("accessor",),
    "cli": ("geometry", "trajectories", "analysis", "views", "explorers", "accessor", "training"),
}
#: What all may stand on.
EVERYWHERE = ("extras",)
#: `python -m predspace_widgets` is the command.
MAIN = {f"{PACKAGE}.__main__": "cli"}
#: The mathematics takes and gives arrays.
FOREIGN_TO_GEOMETRY = ("xarray", "plotly", "panel")

ROOT = Path(__file__).resolve().parents[1]


def module_name(file: Path, root: Path = ROOT) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """(line, imported name) of all imports, also of those inside functions; relative names are made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join(parents[: len(parents) - node.level + 1] + ([base] if base else []))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node.lineno, name.value


def _is_dynamic_import(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in ("import_module", "__import__") and bool(call.args)


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a module of the package imports against the rule, one sentence each."""
    if module == PACKAGE:
        return []  # the top level gathers the public names of all layers
    layer = MAIN.get(module, module.split(".")[1])
    if layer not in STANDS_ON:
        return [f"{module} belongs to no layer"]
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for line, name in imports(ast.parse(source), package):
        parts = name.split(".")
        where = f"{module}, line {line}: {layer} must not import"
        if layer == "geometry" and parts[0] in FOREIGN_TO_GEOMETRY:
            found.append(f"{where} {parts[0]}")
        if parts[0] != PACKAGE:
            continue
        target = parts[1] if len(parts) > 1 else ""
        if target not in STANDS_ON:  # a name of the top level, which imports every layer
            if layer != "cli":
                found.append(f"{where} the top level, where {name} comes from")
        elif target not in (layer, *STANDS_ON[layer], *EVERYWHERE):
            found.append(f"{where} {target}")
    return found


def circle(sources: Mapping[str, str], packages: Collection[str] = ()) -> list[str]:
    """Modules that import each other in a circle, given all sources by name; `packages` are the __init__ files."""
    imported: dict[str, set[str]] = {}
    for module, source in sources.items():
        package = module if module in packages else module.rpartition(".")[0]
        names = (name for _, name in imports(ast.parse(source), package))
        targets = {name if name in sources else name.rpartition(".")[0] for name in names}
        imported[module] = (targets & sources.keys()) - {module}
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def test_every_module_keeps_to_its_layer() -> None:
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    assert {*STANDS_ON} <= {name.split(".")[1] for name in map(module_name, files) if name != PACKAGE}
    found = [
        problem
        for file in files
        for problem in violations(file.read_text(encoding="utf-8"), module_name(file), file.name == "__init__.py")
    ]
    assert found == []


def test_no_files_import_each_other_in_a_circle() -> None:
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    sources = {module_name(file): file.read_text(encoding="utf-8") for file in files}
    assert circle(sources, [module_name(file) for file in files if file.name == "__init__.py"]) == []


def test_below_the_faces_nobody_asks_the_accessor() -> None:
    """Code uses `analysis_of(ds)`; examples in docstrings may show what a user writes."""
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        if module_name(file).split(".")[-1] not in ("accessor", "cli"):
            names = [node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)]
            assert "predspace" not in names, file


# -- the checker itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "culprit"),
    [
        ("geometry.distance", "from predspace_widgets.trajectories import demo", "trajectories"),
        ("geometry.distance", "import predspace_widgets.views.inpca", "views"),
        ("geometry.distance", "import numpy, predspace_widgets.cli as c", "cli"),
        ("trajectories.build", "from predspace_widgets import explorers", "explorers"),
        ("trajectories.build", "def f():\n    from predspace_widgets.training import record", "training"),
        ("trajectories.build", "from predspace_widgets.analysis import analysis_of", "analysis"),
        ("trajectories.build", "from predspace_widgets import accessor", "accessor"),
        ("analysis.runs", "from predspace_widgets.views import inpca", "views"),
        ("analysis.runs", "def f():\n    from predspace_widgets.training import load_recipe", "training"),
        ("training.run", "from predspace_widgets.analysis import Analysis", "analysis"),
        ("accessor", "def f():\n    import predspace_widgets.training", "training"),
        ("trajectories.build", "def explore():\n    import predspace_widgets.explorers", "explorers"),
        ("training.methods.supervised", "from predspace_widgets.views import palette", "views"),
        ("training.methods.supervised", "from ...views import palette", "views"),
        ("training.record", "from ..cli import main", "cli"),
        ("training.record", "from .. import cli", "cli"),
        ("views.inpca", "class A:\n    def f(self):\n        import predspace_widgets.explorers.page", "explorers"),
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


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"p.a": "import p.b", "p.b": "def f():\n    from p import a"}, ["p.a", "p.b"]),
        ({"p.a": "from p.b import x", "p.b": "from .c import y", "p.c": "from . import a"}, ["p.a", "p.b", "p.c"]),
        ({"p": "from p.a import x", "p.a": "from p import y"}, ["p", "p.a"]),
        ({"p.a": "if TYPE_CHECKING:\n    from p.b import x", "p.b": "import p.a"}, ["p.a", "p.b"]),
    ],
)
def test_a_planted_circle_is_found(sources: dict[str, str], expected: list[str]) -> None:
    assert circle(sources, ["p"]) == expected


def test_what_is_no_circle() -> None:
    sources = {"p": "from p.a import x", "p.a": "from p.b import y\nfrom p import b", "p.b": "import numpy, q.p"}
    assert circle(sources, ["p"]) == []


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
        ("accessor", "class A:\n    def explore(self):\n        from predspace_widgets.explorers import E"),
        ("analysis.frame", "from predspace_widgets.analysis.groups import Curves\nfrom ..trajectories import schema"),
        ("trajectories.build", "import xarray\nimport predspace_widgets.geometry"),
        ("training.record", "from predspace_widgets.trajectories import schema\nfrom ..geometry import truth"),
        ("views.inpca", "import plotly\nfrom predspace_widgets.analysis import Analysis"),
        ("explorers.page", "import panel\nfrom predspace_widgets import views, trajectories, geometry"),
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
