"""pyproject.toml says what is needed, requirements/ and environment.yml which versions: here they stay together.

And what is imported is declared: a dependency that only another package brings along goes away when that one does.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.pages import code_cells

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT, CONDA, MAKEFILE = (
    (ROOT / name).read_text(encoding="utf-8") for name in ("pyproject.toml", "environment.yml", "Makefile")
)
#: What is installed for the app, the notebooks and the tests, and torch, for all of them.
LISTS = {file.stem: file.read_text(encoding="utf-8") for file in sorted((ROOT / "requirements").glob("*.txt"))}
TORCH = LISTS.pop("torch")
PINS = LISTS["test"] + TORCH

#: Packages that conda-forge calls otherwise.
CONDA_NAMES = {"torch": "pytorch", "playwright": "playwright-python", "lazy-loader": "lazy_loader"}
#: What environment.yml needs besides: the interpreter, and pip for this package itself.
CONDA_ONLY = {"python", "pip"}
#: What conda-forge does not have, and pip installs there too.
PIP_ONLY = {"axe-playwright-python", "sphinx-mathjax-offline"}
ITSELF = "--editable ."

#: Packages that are imported by another name than they are installed by.
IMPORT_NAMES = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
#: Folder with Python code -> the extras it needs, besides those that a file or a folder is named after.
FOLDERS: dict[str, set[str]] = {
    "predspace_widgets": set(),
    "benchmarks": set(),
    "docs": {"train"},
    "notebooks": {"lab", "train", "cluster", "lightning", "huggingface"},
    "tests": {"dev", "train", "cluster"},
}
#: Files, and folders within those, that need more: these train, drive the browser of the tests, encrypt, unpack.
FILES: dict[str, set[str]] = {
    "predspace_widgets/training": {"train", "cluster"},
    "predspace_widgets/geometry/estimator.py": {"train"},
    "predspace_widgets/geometry/on_torch.py": {"train"},
    "predspace_widgets/analysis/large/blocks.py": {"cluster"},
    "benchmarks/bench.py": {"train"},
    "benchmarks/bench_large.py": {"cluster"},
    "benchmarks/bench_served.py": {"dev"},
    "benchmarks/bench_ui.py": {"dev"},
    "docs/moving_picture.py": {"dev"},
    "predspace_widgets/explorers/login.py": {"oauth"},
    "predspace_widgets/trajectories/importers/files.py": {"import", "train"},
    "tests/torture/specimens.py": {"dev", "import"},
}
#: Dependencies that other dependencies import, for us: xarray writes NetCDF with them.
NOT_IMPORTED = {"h5netcdf", "h5py"}


def declared(pyproject: str) -> dict[str, Requirement]:
    """The dependencies and those of all extras, by name."""
    project = tomllib.loads(pyproject)["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    requirements = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    return {name: requirement for name, requirement in requirements.items() if name != project["name"]}


def pin_problems(pyproject: str, pins: str) -> list[str]:
    """How the pins of everything fall short of pyproject.toml, one sentence each."""
    found, versions = [], {}
    for line in pins.replace("\\\n", " ").splitlines():
        text = re.split(r"\s+#|^#", line.strip())[0].strip()
        if not text:
            continue
        text, *hashes = re.split(r"\s+--hash=", text)
        try:
            pin = Requirement(text)
        except InvalidRequirement:
            found.append(f"requirements: {text!r} is no pin")
            continue
        specifiers = list(pin.specifier)
        if pin.url or len(specifiers) != 1 or specifiers[0].operator != "==" or "*" in specifiers[0].version:
            found.append(f"requirements: {text!r} is no pin")
            continue
        name = canonicalize_name(pin.name)
        if name in versions:
            found.append(f"requirements pin {name} twice")
        versions[name] = specifiers[0].version
        # How torch was built hangs on where it comes from: it alone has no hashes.
        if bool(hashes) == (name in ("torch", "torchvision")):
            found.append(f"requirements: {name} has {'hashes' if hashes else 'no hash'}")
        if not all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in hashes):
            found.append(f"requirements: {name} has a hash that is none")
    for name, requirement in declared(pyproject).items():
        if name not in versions:
            found.append(f"requirements lack {name}")
        elif not requirement.specifier.contains(versions[name], prereleases=True):
            found.append(f"requirements pin {name}=={versions[name]}, outside {requirement.specifier}")
    return found


def lines_of(pins: str) -> set[str]:
    """Each pin of a list, with its hashes."""
    return {
        line for line in pins.replace("\\\n", "").splitlines() if "==" in line and not line.lstrip().startswith("#")
    }


def conda_problems(pyproject: str, pins: str, conda: str) -> list[str]:
    """How environment.yml differs from the pins of what pyproject.toml declares, one sentence each."""
    found, versions = [], {}
    environment = yaml.safe_load(conda)
    if environment["channels"] != ["conda-forge"]:
        found.append(f"environment.yml takes channels {environment['channels']}")
    for entry in environment["dependencies"]:
        if isinstance(entry, dict):
            pips = entry["pip"]
            versions.update(re.findall(r"^([\w-]+)==(\S+)$", "\n".join(pips), re.MULTILINE))
            if [line.partition("==")[0] for line in pips] != [*sorted(PIP_ONLY), ITSELF]:
                found.append(f"environment.yml asks pip for more or less than this package and {PIP_ONLY}: {entry}")
            continue
        name, _, version = entry.partition("=")
        if name in versions:
            found.append(f"environment.yml names {name} twice")
        versions[name] = version
    pinned = {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", pins, re.MULTILINE)
    }
    wanted = {CONDA_NAMES.get(name, name): pinned.get(name) for name in declared(pyproject)}
    found += [f"environment.yml lacks {name}" for name in sorted({*wanted, *CONDA_ONLY} - versions.keys())]
    found += [f"environment.yml names {name} besides" for name in sorted(versions.keys() - wanted.keys() - CONDA_ONLY)]
    for name in sorted(wanted.keys() & versions.keys()):
        if versions[name] != wanted[name]:
            found.append(f"environment.yml has {name}={versions[name]}, pinned is {wanted[name]}")
    allowed = SpecifierSet(tomllib.loads(pyproject)["project"]["requires-python"])
    python = versions.get("python", "")
    if not re.fullmatch(r"3\.\d+", python) or not allowed.contains(Version(python)):
        found.append(f"environment.yml takes python={python}, outside {allowed}")
    return found


def imported(source: str) -> Iterator[tuple[int, str]]:
    """(line, package) of every import from another project, however deep in a function it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module and not node.level else []
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            names = [argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)]
        else:
            continue
        for name in names:
            package = str(name).split(".")[0]
            if package not in sys.stdlib_module_names and package not in FOLDERS:
                yield node.lineno, canonicalize_name(IMPORT_NAMES.get(package, package))


def _is_dynamic_import(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in ("import_module", "__import__", "importorskip")


def import_problems(pyproject: str, file: Path, source: str) -> list[str]:
    """What a file (its path from the root of the repository) imports and does not declare, one sentence each."""
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"]
    words = {*file.parts[:-1], *file.stem.split("_")}
    named_after = {extra for extra in extras if extra != "dev" and extra in words}
    more = [FILES.get(place.as_posix(), set()) for place in (file, *file.parents)]
    places = ["dependencies", *sorted(FOLDERS[file.parts[0]].union(named_after, *more))]
    lines = [*project["dependencies"], *(line for place in places[1:] for line in extras[place])]
    declared_here = {canonicalize_name(Requirement(line).name) for line in lines}
    return [
        f"{file}, line {number}, imports {name}: pyproject.toml must name it in {' or '.join(places)}"
        for number, name in imported(source)
        if name not in declared_here and not (ROOT / file.parent / f"{name}.py").exists()
    ]


def sources() -> Iterator[tuple[Path, str]]:
    """Every file with Python code, from the root of the repository, and its code."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file.relative_to(ROOT), file.read_text(encoding="utf-8")
        for file in sorted((ROOT / folder).glob("*.ipynb")):
            cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
            code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
            yield file.relative_to(ROOT), "\n".join(code)
        for file in sorted((ROOT / folder).glob("*.md")):
            code = code_cells(file.read_text(encoding="utf-8"))
            yield file.relative_to(ROOT), "\n".join(code)


def place_problems(text: str) -> list[str]:
    """Whatever ties a list of packages to one index, one machine or one build."""
    marks = [
        (r"https?:|ftp:|file:|git\+|//", "an address"),
        (r"--(extra-)?index|--find-links|--trusted-host|^\s*-[if]\s", "an index"),
        (r"@", "a direct reference"),
        (r"(^|[\s'\"=])(\.{0,2}/|~/|[A-Za-z]:\\)", "a path"),
        (r"(^|\s)(-e|--editable)\s", "a path"),
    ]
    return [
        f"{what} in {line.strip()!r}"
        for line in text.splitlines()
        if line.strip() != f"- {ITSELF}"
        for pattern, what in marks
        if re.search(pattern, line.partition("#")[0])
    ]


def test_every_dependency_is_pinned_within_its_range() -> None:
    assert pin_problems(PYPROJECT, PINS) == []


def test_the_conda_environment_has_the_same_versions() -> None:
    assert conda_problems(PYPROJECT, PINS, CONDA) == []


@pytest.mark.parametrize("name", ["app", "lab"])
def test_the_lists_are_parts_of_that_of_the_tests(name: str) -> None:
    assert lines_of(LISTS[name]) < lines_of(LISTS["test"])


def test_each_list_has_what_it_is_for() -> None:
    project = tomllib.loads(PYPROJECT)["project"]
    needed = {"app": project["dependencies"]}
    extras = project["optional-dependencies"]
    needed["lab"] = needed["app"] + extras["lab"] + extras["train"] + extras["cluster"]
    for name, lines in needed.items():
        listed = {canonicalize_name(pin) for pin in re.findall(r"^([\w.-]+)==", LISTS[name] + TORCH, re.MULTILINE)}
        assert {canonicalize_name(Requirement(line).name) for line in lines} - listed == set()
        assert "pytest" not in listed
    for name in ("torch", "scikit-learn", "distributed", "jupyterlab", "jupyter-server"):
        assert f"\n{name}==" not in LISTS["app"], name


@pytest.mark.parametrize("text", [*LISTS.values(), TORCH, CONDA], ids=[*LISTS, "torch", "environment.yml"])
def test_the_lists_name_no_place(text: str) -> None:
    assert place_problems(text) == []


def test_what_is_imported_is_declared() -> None:
    files = dict(sources())
    assert {file.parts[0] for file in files} == {*FOLDERS}
    assert [problem for file, source in files.items() for problem in import_problems(PYPROJECT, file, source)] == []


def test_what_the_app_installs_is_imported() -> None:
    package = [source for file, source in sources() if file.parts[0] == "predspace_widgets"]
    used = {name for source in package for _, name in imported(source)} | NOT_IMPORTED
    wanted = {canonicalize_name(Requirement(line).name) for line in tomllib.loads(PYPROJECT)["project"]["dependencies"]}
    assert wanted - used == set()


def test_the_tests_are_installed_with_every_extra() -> None:
    # A test of an extra that is not there is skipped, which nobody would notice.
    extras = tomllib.loads(PYPROJECT)["project"]["optional-dependencies"]
    [listed] = re.findall(r"\$\(ITSELF\) '\.\[(.*\bdev\b.*)\]'", MAKEFILE)
    assert {*listed.split(","), *every(extras)} == {*extras}


def every(extras: dict[str, list[str]]) -> set[str]:
    """The extras that `all` stands for."""
    [itself] = extras["all"]
    return Requirement(itself).extras


def test_all_is_every_extra_that_is_of_use_without_the_repository() -> None:
    extras = tomllib.loads(PYPROJECT)["project"]["optional-dependencies"]
    assert every(extras) == {*extras} - {"all", "docs", "oracles", "dev"}


def test_every_dependency_has_a_lower_bound() -> None:
    for name, requirement in declared(PYPROJECT).items():
        assert any(specifier.operator in (">=", "~=", "==") for specifier in requirement.specifier), name
        assert requirement.url is None


def test_the_typed_python_is_the_oldest_supported() -> None:
    settings = tomllib.loads(PYPROJECT)
    assert settings["project"]["requires-python"] == f">={settings['tool']['mypy']['python_version']}"


# -- drift that must be noticed ---------------------------------------------------------------------------------------


def changed(text: str, pattern: str, replacement: str) -> str:
    after = re.sub(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert after != text
    return after


@pytest.mark.parametrize(
    ("pattern", "replacement", "problem"),
    [
        (r"^zarr==.*\n(    .*\n)+", "", "requirements lack zarr"),
        (r"^torch==.*", "torch==1.0.0", "requirements pin torch==1.0.0, outside >=2.6"),
        (r"^numpy==", "numpy>=", "is no pin"),
        (r"^ruff==\S+", "ruff", "requirements: 'ruff' is no pin"),
        (r"^ruff==\S+", "ruff==0.*", "requirements: 'ruff==0.*' is no pin"),
        (r"^rich==\S+", "rich @ https://example.org/rich.whl", "is no pin"),
        (r"^dask==", "--pre\ndask==", "requirements: '--pre' is no pin"),
        (r"^(scipy==.*)", r"SciPy==1.17.0\n\1", "requirements pin scipy twice"),
        (r"^(scipy==\S+)( \\\n    --hash=\S+)+", r"\1", "requirements: scipy has no hash"),
        (r"^torch==.*", r"\g<0> --hash=sha256:00", "requirements: torch has hashes"),
        (r"--hash=sha256:..", "--hash=sha256:", "has a hash that is none"),
    ],
)
def test_drift_of_the_pins_is_noticed(pattern: str, replacement: str, problem: str) -> None:
    assert any(problem in found for found in pin_problems(PYPROJECT, changed(PINS, pattern, replacement)))


@pytest.mark.parametrize(
    ("pattern", "replacement", "problem"),
    [
        (r"^  - zarr=.*\n", "", "environment.yml lacks zarr"),
        (r"^  - pytorch=.*\n", "", "environment.yml lacks pytorch"),
        (r"^  - pip\n", "", "environment.yml lacks pip"),
        (r"^  - pytorch=", "  - torch=", "environment.yml names torch besides"),
        (r"^  - numpy=.*", "  - numpy=2.0.0", "environment.yml has numpy=2.0.0, pinned is"),
        (r"^  - numpy=.*", "  - numpy", "environment.yml has numpy=, pinned is"),
        (r"^  - (numpy=.*)", r"  - \1\n  - \1", "environment.yml names numpy twice"),
        (r"^  - rich=", "  - seaborn=1.0\n  - rich=", "environment.yml names seaborn besides"),
        (r"^  - python=.*", "  - python=3.10", "environment.yml takes python=3.10, outside >=3.11"),
        (r"^  - python=.*", "  - python", "environment.yml takes python=, outside"),
        (r"^      - --editable.*", r"\g<0>\n      - flask", "asks pip for more or less than this package"),
        (r"^      - axe-playwright-python.*\n", "", "asks pip for more or less than this package"),
        (r"^      - axe-playwright-python==.*", "      - axe-playwright-python==0.1", "python=0.1, pinned is"),
        (r"^  - conda-forge", "  - conda-forge\n  - defaults", "environment.yml takes channels"),
    ],
)
def test_drift_of_the_conda_environment_is_noticed(pattern: str, replacement: str, problem: str) -> None:
    assert any(problem in found for found in conda_problems(PYPROJECT, PINS, changed(CONDA, pattern, replacement)))


def test_a_new_dependency_is_noticed_in_both() -> None:
    pyproject = changed(PYPROJECT, r'^    "zarr>=', '    "Flask-Like>=3",\n    "zarr>=')
    assert pin_problems(pyproject, PINS) == ["requirements lack flask-like"]
    assert "environment.yml lacks flask-like" in conda_problems(pyproject, PINS, CONDA)


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        ("predspace_widgets/views/inpca.py", "import seaborn", "imports seaborn: pyproject.toml must name it in dep"),
        ("predspace_widgets/views/inpca.py", "import numpy, seaborn.x as s", "line 1, imports seaborn"),
        ("predspace_widgets/views/inpca.py", "\nfrom seaborn.axis import f", "line 2, imports seaborn"),
        ("predspace_widgets/views/inpca.py", "def f():\n    import seaborn", "line 2, imports seaborn"),
        ("predspace_widgets/views/inpca.py", "import_module('seaborn.axis')", "imports seaborn"),
        ("predspace_widgets/views/inpca.py", "if TYPE_CHECKING:\n    import jupyterlab", "imports jupyterlab"),
        ("predspace_widgets/views/inpca.py", "import ipywidgets", "imports ipywidgets"),
        ("predspace_widgets/views/inpca.py", "import torch", "imports torch"),
        ("predspace_widgets/explorers/trainings.py", "import torch", "imports torch"),
        ("predspace_widgets/analysis/runs.py", "import sklearn, numpy", "imports scikit-learn"),
        ("predspace_widgets/cli.py", "def f():\n    from distributed import Client", "imports distributed"),
        ("predspace_widgets/training/lightning.py", "import transformers", "in dependencies or cluster or lightning"),
        ("predspace_widgets/training/dev.py", "import pytest", "imports pytest"),
        ("predspace_widgets/cli.py", "import hypothesis", "imports hypothesis"),
        ("predspace_widgets/cli.py", "import Flask_Like", "imports flask-like"),
        ("benchmarks/bench.py", "import numcodecs", "imports numcodecs"),
        ("notebooks/01_first_picture.ipynb", "import matplotlib", "must name it in dependencies or cluster or hug"),
        ("tests/test_cli.py", "import requests", "must name it in dependencies or cluster or dev"),
        ("tests/test_cli.py", "import geomstats", "must name it in dependencies or cluster or dev"),
        ("docs/figures.md", "import seaborn", "must name it in dependencies or docs"),
        ("tests/test_cli.py", "lightning = pytest.importorskip('lightning')", "imports lightning"),
    ],
)
def test_an_undeclared_import_is_noticed(file: str, source: str, problem: str) -> None:
    [found] = import_problems(PYPROJECT, Path(file), source)
    assert problem in found


@pytest.mark.parametrize("name", sorted(IMPORT_NAMES.values()))
def test_an_import_by_another_name_is_noticed(name: str) -> None:
    pyproject = changed(PYPROJECT, rf'"{name}>=[\d.]+",? *', "")
    assert any(
        f"imports {name}" in found for file, text in sources() for found in import_problems(pyproject, file, text)
    )


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("predspace_widgets/cli.py", "import json, os.path\nimport xarray as xr\nfrom . import seaborn"),
        ("predspace_widgets/cli.py", "from predspace_widgets.views import seaborn\nimport_module(name)"),
        ("predspace_widgets/training/lightning.py", "from lightning.pytorch import Callback"),
        ("predspace_widgets/explorers/notebook.py", "import traitlets, anywidget"),
        ("notebooks/01_first_picture.ipynb", "import sklearn, torch"),
        ("tests/training/test_recorder_lightning.py", "pytest.importorskip('lightning')"),
        ("tests/conftest.py", "import hypothesis, sklearn, tests.samples"),
        ("tests/oracles/test_distance.py", "import geomstats, pytest"),
        ("docs/figures.md", "import IPython, plotly"),
    ],
)
def test_what_may_be_imported(file: str, source: str) -> None:
    assert import_problems(PYPROJECT, Path(file), source) == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "--extra-index-url example",
        "-i example",
        "rich @ file:rich.whl",
        "-e ../rich",
        "  - /opt/rich.whl",
        "  - ./rich",
        "  - https://example.org/channel",
        "  - --editable ../other",
        "prefix: /opt/conda",
    ],
)
def test_a_place_is_noticed(line: str) -> None:
    assert place_problems(f"# packages\nrich==1.0\n{line}\n")
