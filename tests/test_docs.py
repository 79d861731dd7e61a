"""The documentation says what is so: the names in it exist, its examples run, and its numbers are measured."""

from __future__ import annotations

import gzip
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

import predspace_widgets as pw
from predspace_widgets.analysis import Analysis
from predspace_widgets.cli import app
from predspace_widgets.explorers.choices import READERS
from predspace_widgets.explorers.session import MOST_SENT, Session
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "predspace_widgets"
PAGES = sorted(
    page
    for folder in (
        "",
        "benchmarks",
        "data",
        "docs",
        "docs/howto",
        "docs/reference",
        "predspace_widgets/trajectories",
        "predspace_widgets/training/recipes",
    )
    for page in (ROOT / folder).glob("*.md")
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
STAGE = (ROOT / "docs" / "stage.md").read_text(encoding="utf-8")
WHERE = (ROOT / "docs" / "where.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)

#: What the README says of the demo dataset.
COUNTED = {"run": 65, "task": 7, "method": 7, "seed": 5}


# -- names ------------------------------------------------------------------------------------------------------------


def wrong_names(page: str) -> list[str]:
    """Words in backticks that are no file, or no name that the file before them on their line defines."""
    wrong = []
    for line in page.splitlines():
        file: Path | None = None
        for word in re.findall(r"`([^`]+)`", line):
            if "/" in word or word.endswith(".py"):
                file = next((folder / word for folder in (PACKAGE, ROOT) if (folder / word).exists()), None)
                if file is None:
                    wrong.append(word)
            elif file is None or not _defines(file, word):
                wrong.append(word)
    return wrong


def _defines(file: Path, name: str) -> bool:
    """Whether a module of the package defines `function`, `CONSTANT` or `Class.method` itself, not by an import."""
    if file.suffix != ".py":
        return False
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    if not hasattr(found, "__qualname__"):  # a constant
        return re.search(rf"^{re.escape(name)}\b.*=", file.read_text(encoding="utf-8"), re.MULTILINE) is not None
    return bool(found.__module__ == module.__name__)


def test_every_name_of_the_map_exists() -> None:
    assert len(re.findall(r"`[^`]+`", WHERE)) > 100
    assert wrong_names(WHERE) == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("| overlap | `geometry/distance.py` | `overlaps`; `geometry/probabilities.py`: `FLOOR` |", []),
        ("| overlap | `geometry/distances.py` | `overlaps` |", ["geometry/distances.py", "overlaps"]),
        ("| overlap | `geometry/distance.py` | `overlap` |", ["overlap"]),
        ("| landmarks | `geometry/inpca.py` | `choose_landmarks` |", ["choose_landmarks"]),  # only imports it
        ("| projection | `geometry/inpca.py` | `InPCA.transform`, `InPCA.project` |", ["InPCA.project"]),
        ("| the floor | `geometry/geodesic.py` | `FLOOR` |", ["FLOOR"]),
        ("| overlap | `overlaps` |", ["overlaps"]),
    ],
)
def test_a_wrong_name_is_found(line: str, wrong: list[str]) -> None:
    assert wrong_names(line) == wrong


def test_the_map_names_every_panel_by_its_title() -> None:
    rows = re.findall(r"^\| ([^|]+) \| `views/(\w+)\.py` \|", WHERE, re.MULTILINE)
    assert sorted(rows) == sorted((view.title, name) for name, view in VIEWS.items())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_tree_of_the_package_exists() -> None:
    tree = re.search(r"^    predspace_widgets/\n((?:    .*\n)+)", README, re.MULTILINE)
    assert tree is not None
    inside, beside = (
        re.findall(r"^ {6}(\S+)", tree[1], re.MULTILINE),
        re.findall(r"^ {4}(\S.*)$", tree[1], re.MULTILINE),
    )
    assert [name for name in inside if not (PACKAGE / name).exists()] == []
    folders = [word for line in beside for word in line.split() if word.endswith("/")]
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
    parts = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {name.rstrip("/") for name in inside} == parts - {"__init__.py", "__main__.py"}


def test_commands_and_their_options_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    lines = [line for page in pages for line in re.findall(r"^ {4}(?:\.venv/bin/)?predspace (.*)$", page, re.MULTILINE)]
    assert len(lines) >= 15
    for line in lines:
        name, *words = shlex.split(line.removesuffix("\\"), comments=True)
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_the_page_on_the_stage_names_what_there_is() -> None:
    """Its choices, its views and its arrays; what the browser offers, tests/browser asks it itself."""
    rows = dict(re.findall(r"^\| `([\w-]+)`[^|]*\| (.*) \|$", STAGE, re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows["state"])) == set(READERS)
    assert set(re.findall(r"`(\w+)`", rows["data-view"])) == set(VIEWS)
    session = Session(Analysis(random_trajectories(n_checkpoints=2)))
    _, arrays = unpack(gzip.decompress(session.payload()))
    [held] = re.findall(r"^## What a stage is sent\n(.*?)^## ", STAGE, re.DOTALL | re.MULTILINE)
    assert set(arrays) <= set(re.findall(r"`([^`]+)`", held.replace("\n", " ").replace("  ", " ")))
    assert f"{MOST_SENT:,} checkpoints" in held


def test_the_stage_offers_what_its_page_names() -> None:
    source = (PACKAGE / "explorers" / "stage" / "stage.js").read_text(encoding="utf-8")
    [face] = re.findall(r"^  face\(\) \{\n(.*?)^  \}$", source, re.DOTALL | re.MULTILINE)
    offered = set(re.findall(r"^      (?:get )?(\w+)(?:\(\) \{|:)", face, re.MULTILINE))
    [members] = re.findall(r"^\| member \|.*?\n((?:\|.*\n)+)", STAGE, re.MULTILINE)
    named = {name for row in members.splitlines()[1:] for name in re.findall(r"`(\w+)", row.split("|")[1])}
    assert offered == named


# -- examples ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples of the README define, one after the other in a folder of their own."""
    folder = tmp_path_factory.mktemp("readme")
    small = random_trajectories()
    defined: dict[str, Any] = {
        "labels": small["label"].values,
        "names": [str(name) for name in small["class"].values],
        "images": None,
        "network": lambda images: small["probs"].values[0],
        "n_epochs": 3,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for example in EXAMPLES:
            exec(compile(example, "README.md", "exec"), defined)
    return defined | {"folder": folder}


def test_examples_run(names: dict[str, Any]) -> None:
    assert len(EXAMPLES) == 3
    assert names["recorder"].run == "my task/supervised/0"
    assert pw.open_trajectories(names["folder"] / "mine.zarr").sizes["checkpoint"] == 3


def test_numbers_beside_the_examples(names: dict[str, Any]) -> None:
    demo = pw.demo()
    stress = demo.predspace.inpca()["explained_stress"].values
    assert f"three axes explain {stress[2]:.0%} of the distances" in README
    for number in ("mean_distance", "floor_mean_distance", "p_value"):
        assert f"compared.{number}  # {names['compared'].attrs[number]:.3f}" in README
    assert {name: len(np.unique(demo[name])) for name in COUNTED} == COUNTED
    assert "Sixty-five networks" in README
    assert "65 small networks on real 8x8 digits: seven\ntasks, seven ways to learn, five seeds" in README
