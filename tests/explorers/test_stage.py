"""The front end as it is sent: one module that stands alone, and nothing that is left out."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from predspace_widgets.explorers.stage import stage
from predspace_widgets.explorers.stage.stage import MODULES, module, plotly_script, style

FOLDER = Path(stage.__file__).parent
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js")}
_TOP_LEVEL = re.compile(r"^(?:export )?(?:async )?(?:function\*?|class|const|let) +(\w+|[{\[][^=]*[}\]])", re.MULTILINE)


def top_level_names(source: str) -> list[str]:
    """What a module defines for itself and for others: lines that begin with a definition."""
    return [name for found in _TOP_LEVEL.findall(source) for name in re.findall(r"\w+", found)]


def twice(sources: dict[str, str]) -> list[str]:
    counts = Counter(name for source in sources.values() for name in top_level_names(source))
    return sorted(name for name, count in counts.items() if count > 1)


def imports(source: str) -> list[str]:
    return re.findall(r"^import .* from \"\./(\w+)\.js\"", source, re.MULTILINE)


def test_every_file_is_sent() -> None:
    assert sorted(SOURCES) == sorted(MODULES)
    assert len(SOURCES) > 10


def test_each_module_comes_after_those_it_builds_on() -> None:
    for place, name in enumerate(MODULES):
        assert set(imports(SOURCES[name])) <= set(MODULES[:place]), name


def test_the_joined_module_stands_alone() -> None:
    joined = module()
    assert not re.search(r"^\s*import\b(?!\.)", joined, re.MULTILINE)
    assert "import(" not in joined
    assert re.findall(r"^export .*$", joined, re.MULTILINE) == [
        "export { open, render, served };",
        "export default { render };",
    ]
    names = top_level_names(joined)
    assert {"open", "render", "mount", "fill", "unpack"} <= set(names)


def test_all_names_are_unique_over_all_modules() -> None:
    assert twice(SOURCES) == []


def test_what_a_module_imports_the_other_one_exports() -> None:
    for name, source in SOURCES.items():
        for names, other in re.findall(r"^import \{([^}]*)\} from \"\./(\w+)\.js\"", source, re.MULTILINE):
            offered = re.findall(
                r"^export (?:async )?(?:function\*?|class|const|let) +(\w+)", SOURCES[other], re.MULTILINE
            )
            assert set(re.findall(r"\w+", names)) <= set(offered), (name, other)


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name, text in (*SOURCES.items(), ("style", style())):
        addresses = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", text)
        assert [address for address in addresses if "www.w3.org" not in address] == [], name
        assert "@import" not in text


def test_plotly_is_that_of_its_own_wheel() -> None:
    assert gzip.decompress(plotly_script()) == files("plotly").joinpath("package_data", "plotly.min.js").read_bytes()


# -- the checkers themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("export function fill(a) {}\n  const inner = 1;\n", ["fill"]),
        ("const A = 1;\nlet b;\nexport class C {}\nasync function d() {}\n", ["A", "b", "C", "d"]),
        ("const [one, two] = pair;\nexport const { three } = all;\n", ["one", "two", "three"]),
        ("// const no = 1\nfunctional();\n", []),
    ],
)
def test_names_are_found(source: str, names: list[str]) -> None:
    assert top_level_names(source) == names


def test_a_name_of_two_modules_is_found() -> None:
    assert twice({"a": "const x = 1;\n", "b": "export function x() {}\nconst y = 2;\n"}) == ["x"]
