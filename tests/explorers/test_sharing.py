"""Settings as an address and as code: what comes back is what was kept, and nothing in it is ever code."""

from __future__ import annotations

import ast
import base64
import gzip
import json
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.sharing import code_of, from_query, one_file, to_query
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.explorers.stage.stage import module
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories

JSON_LIKE = [
    "12",
    "-1e5",
    "true",
    "null",
    "[1]",
    '"a"',
    "{}",
    " 1 ",
    "1e999",
    "NaN",
    "Infinity",
    "",
    "+",
    "a=b&c",
    "%41",
]
TEXT = st.text(st.characters()) | st.sampled_from([*JSON_LIKE, "\ud800", "9" * 5000, "[" * 100_000])
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)
NAMES = st.text(string.ascii_lowercase + "_", min_size=1).filter(lambda name: f"{name}_".isidentifier())


@given(st.dictionaries(st.text(min_size=1), VALUES.filter(lambda value: len(str(value)) < 20_000), max_size=4))
def test_a_query_brings_back_what_was_kept(settings: dict[str, Any]) -> None:
    back = from_query(to_query(settings))
    assert back == settings
    assert json.dumps(back).replace(".0", "") == json.dumps(settings).replace(".0", "")  # True is not 1


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1))
def test_a_query_is_one_for_everybody(settings: dict[str, str]) -> None:
    query = to_query(settings)
    assert query.startswith("?")
    assert set(query[1:]) <= set(string.ascii_letters + string.digits + "-_.~!*'(),:%=&")
    names = [name for name, _ in parse_qsl(query[1:], keep_blank_values=True, strict_parsing=True)]
    assert names == list(settings)


def test_what_it_looks_like() -> None:
    settings = {"dimensions": "2-D", "curves": ["even", "all digits · barlow"], "time": 12.5, "epochs": [0.0, 3.0]}
    query = to_query(settings)
    assert (
        query
        == "?dimensions=2-D&curves=%5B%22even%22,%22all%20digits%20%C2%B7%20barlow%22%5D&time=12.5&epochs=%5B0,3%5D"
    )
    assert from_query('dimensions=2-D&curves=["even","all digits · barlow"]&time=12.5&epochs=[0,3]') == settings
    assert to_query({}) == ""
    assert from_query("") == from_query("?") == from_query("&&") == {}


@pytest.mark.parametrize("text", JSON_LIKE)
def test_a_string_stays_a_string(text: str) -> None:
    assert from_query(to_query({"a": text})) == {"a": text}


@pytest.mark.parametrize(("query", "settings"), [
    ("?a", {"a": ""}),
    ("a=1&a=2", {"a": 2}),
    ("a=b=c", {"a": "b=c"}),
    ("a+b=c+d", {"a b": "c d"}),
    ("a=%zz%", {"a": "%zz%"}),
    ("a=%ff", {"a": "\ufffd"}),
    ("a=[1,", {"a": "[1,"}),
    ("a=NaN", {"a": "NaN"}),
    ("=1", {"": 1}),
])  # fmt: skip
def test_what_is_no_query_is_read_all_the_same(query: str, settings: dict[str, Any]) -> None:
    assert from_query(query) == settings


@given(st.text() | st.sampled_from(["a=" + "[" * 90_000, "a=" + "9" * 90_000, "a=1&" * 10**6]))
def test_no_query_is_an_error(query: str) -> None:
    state = ExplorerState(random_trajectories(n_seeds=1, n_checkpoints=2, n_samples=2))
    told = state.apply(from_query(query))
    assert state.settings() == {} or told == []


def test_a_query_that_no_address_can_be_is_not_read() -> None:
    assert from_query("?a=1&b=" + "x" * 99_000) == {"a": 1, "b": "x" * 99_000}
    assert from_query("?a=1&b=" + "x" * 100_000) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_numbers_are_finite(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_query({"time": value})
    with pytest.raises(ValueError, match="no number of a setting"):
        code_of({"time": value}, None)


# -- code -----------------------------------------------------------------------------------------------------------


def arguments_of(code: str) -> tuple[str | None, dict[str, Any], str]:
    """What some code opens, chooses and draws, where it is these four statements with literals in them."""
    imported, opened, made, drawn = ast.parse(code).body
    assert ast.unparse(imported) == "import predspace_widgets as pw"
    assert isinstance(opened, ast.Assign)
    assert isinstance(opened.value, ast.Call)
    source = [ast.literal_eval(argument) for argument in opened.value.args]
    assert ast.unparse(opened.value.func) == ("pw.open_trajectories" if source else "pw.demo")
    assert isinstance(made, ast.Assign)
    assert isinstance(made.value, ast.Call)
    assert ast.unparse(made.value.func) == "pw.Explorer"
    assert [ast.unparse(argument) for argument in made.value.args] == ["ds"]
    chosen = {str(word.arg): ast.literal_eval(word.value) for word in made.value.keywords}
    assert isinstance(drawn, ast.Expr)
    assert isinstance(drawn.value, ast.Call)
    assert ast.unparse(drawn.value.func) == "explorer.figure"
    return (source[0] if source else None), chosen, ast.literal_eval(drawn.value.args[0])


HOSTILE = st.sampled_from(['"); import os #', "'''", "a\nb", "\\", "\u2028", "\u202e", "{x}", "\0", "\ud800"])


@given(
    st.dictionaries(NAMES.map(lambda name: f"{name}_"), st.recursive(
        st.none() | st.booleans() | NUMBERS | st.text() | HOSTILE,
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | HOSTILE, inner), max_leaves=8)),
    st.none() | st.text() | HOSTILE,
)  # fmt: skip
def test_code_holds_its_settings_and_nothing_else(settings: dict[str, Any], source: str | None) -> None:
    assert arguments_of(code_of(settings, source)) == (source, settings, "inpca")
    assert all(line.isprintable() for line in code_of(settings, source).split("\n"))


def test_code_makes_the_same_choices() -> None:
    ds = random_trajectories(n_checkpoints=3, n_samples=3)
    state = ExplorerState(ds, tasks=["red", "blue"], dimensions="2-D", time=3, axes_fitted_on="frozen", pinned="red")
    _, chosen, _ = arguments_of(code_of(state.settings(), None))
    assert ExplorerState(ds, **chosen).choices() == state.choices()


def test_long_code_is_folded() -> None:
    code = code_of({"curves": [f"task {k}" for k in range(10)], "color_by": "epoch"}, "a.zarr", "progress")
    assert code.splitlines()[2:] == [
        "ds = pw.open_trajectories('a.zarr')",
        "explorer = pw.Explorer(",
        "    ds,",
        f"    curves={[f'task {k}' for k in range(10)]},",
        "    color_by='epoch',",
        ")",
        "explorer.figure('progress')",
    ]
    assert arguments_of(code)[0] == "a.zarr"


@pytest.mark.parametrize("name", ["a b", "a=1,b", "class", "", "x)\nimport os\n(", "é", "__import__('os')"])
def test_names_are_keywords_of_a_call(name: str) -> None:
    with pytest.raises(ValueError, match="is no choice of an explorer"):
        code_of({name: 1}, None)


def test_values_are_plain() -> None:
    class Name(str):
        def __repr__(self) -> str:
            return "exit()"

    class Number(int):
        def __repr__(self) -> str:
            return "exit()"

    settings = {"curves": [np.str_("red"), Name("blue")], "seeds": [Number(1)], "time": np.float64(2.5)}
    assert arguments_of(code_of(settings, None))[1] == {"curves": ["red", "blue"], "seeds": [1], "time": 2.5}
    with pytest.raises(TypeError, match="a ndarray is no value of a setting"):
        code_of({"seeds": np.arange(2)}, None)


# -- one file -------------------------------------------------------------------------------------------------------

ENDS = (
    "</script><script>window.hacked=1</script>",
    "<!--<script>",
    '"><img src=x onerror=window.hacked=1>',
    "</title>&amp;",
)


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and the texts within them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = str(dict(attrs).get("id") or dict(attrs).get("type") or tag)

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._within] = self.texts.get(self._within, "") + data


@pytest.fixture(scope="module")
def hostile() -> Explorer:
    ds = random_trajectories(ENDS[:2], n_checkpoints=3, methods=ENDS[2:])
    names = [f"{number} {ENDS[0]}" for number in range(ds.sizes["class"])]
    return Explorer(ds.assign_coords({"class": names}).assign_attrs(title=" ".join(ENDS)), dimensions="2-D")


@pytest.fixture(scope="module")
def page(hostile: Explorer) -> Page:
    labels = hostile.state.known.curves
    return Page(one_file(hostile.session, {"curves": labels[:2], "pinned": labels[1:2], "dimensions": "2-D"}))


def test_no_name_is_markup_or_ends_a_script(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags == ["html", "meta", "meta", "meta", "title", "style", "div", "noscript", *["script"] * 5]
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.texts["title"] == f"{' '.join(ENDS)} · predspace"
    types = [attributes["type"] for _, attributes in page.elements[-5:]]
    assert types == ["application/json", *["text/plain"] * 3, "module"]
    for name in ENDS:
        assert name not in page.texts["module"]
        assert name not in page.texts["predspace-choices"]


def test_the_choices_are_in_the_file(page: Page, hostile: Explorer) -> None:
    labels = hostile.state.known.curves
    assert not set("<>&") & set(page.texts["predspace-choices"])
    choices = json.loads(page.texts["predspace-choices"])
    assert choices == {"curves": labels[:2], "pinned": labels[1:2], "dimensions": "2-D"}
    assert Explorer(hostile.session.analysis, **choices).settings() == choices


def test_the_file_holds_all_that_it_needs(page: Page, hostile: Explorer) -> None:
    about, arrays = unpack(gzip.decompress(base64.b64decode(page.texts["predspace-payload"])))
    assert about["title"] == " ".join(ENDS)
    assert len(arrays["distances"]) == 24 * 23 / 2
    assert len(about["ahead"]["comparison"]) == 12
    assert gzip.decompress(base64.b64decode(page.texts["predspace-plotly"])).lstrip().startswith(b"/**")
    assert module().replace("</script", "<\\/script") in page.texts["module"]


def test_the_file_holds_what_came(hostile: Explorer) -> None:
    assert "predspace-news" not in Page(one_file(hostile.session, {})).texts
    explorer = Explorer(hostile.session.analysis)
    probs = hostile.session.analysis.ds["probs"].values[:2]
    explorer.follow([(probs[0], 0), (probs[1], 1)], task="mine").wait()
    page = Page(one_file(explorer.session, explorer.settings()))
    about, arrays = unpack(base64.b64decode(page.texts["predspace-news"]))
    assert (about["generation"], about["first"], about["n_new"]) == (0, 0, 2)
    assert arrays["epoch"].tolist() == [0, 1]
    assert [curve["label"] for curve in about["curves"]] == ["mine"]


def test_the_file_can_ask_nobody(page: Page) -> None:
    [policy] = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    rules = dict(rule.split(maxsplit=1) for rule in str(policy).split(";") if rule.strip())
    assert rules["default-src"] == "'none'"
    allowed = {source for sources in rules.values() for source in sources.split()}
    assert allowed == {"'none'", "'unsafe-inline'", "blob:", "data:"}
    assert not any({"src", "href", "srcset"} & set(attributes) for _, attributes in page.elements)


def test_the_file_of_an_explorer_has_its_choices(hostile: Explorer, tmp_path: Path) -> None:
    page = Page(hostile.save(tmp_path / "one.html").read_text(encoding="utf-8"))
    assert json.loads(page.texts["predspace-choices"]) == {"dimensions": "2-D"}
