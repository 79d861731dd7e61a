"""Scenes of a lecture: read from a file or refused in one line, and sent where they are shown."""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.hosting import answer_to
from predspace_widgets.explorers.scenes import LONGEST, MOST_SCENES, scenes_of
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.trajectories.demo import is_demo
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS

TALK = """
- title: All
  say: >-
    Three tasks,
    and a <b>star</b>.
- say: "Red: alone."
  view: comparison
  settings: {tasks: red, compared: [red, blue], epochs: [0, 3.5]}
  play: true
- say: Two of them.
  view: inspector
  settings: {selected: [0, 3]}
"""


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return Analysis(random_trajectories())


def read(source: Any, analysis: Analysis) -> list[dict[str, Any]]:
    return scenes_of(source, analysis, list(VIEWS.values()))


def test_scenes_of_a_file(analysis: Analysis, tmp_path: Path) -> None:
    path = tmp_path / "talk.yaml"
    path.write_text(TALK)
    first, second, third = read(path, analysis)
    assert first == {
        "title": "All",
        "say": "Three tasks, and a <b>star</b>.",  # as it is written: no markup, on one line
        "view": "inpca",
        "settings": {},
        "play": False,
    }
    assert (second["view"], second["play"], second["title"]) == ("comparison", True, "")
    assert second["settings"] == {"curves": ["red"], "epochs": [0.0, 3.5], "compared": ["red", "blue"]}
    assert third["settings"] == {"selected": [0, 3]}
    assert read([first, second, third], analysis) == [first, second, third]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "talk.yaml, a list of scenes is needed"),
        ("{}", "talk.yaml, a list of scenes is needed"),
        ("[]", "talk.yaml, a list of scenes is needed"),
        ("- say: [", "talk.yaml: it is no YAML: "),
        ("- say: A\n- B", "talk.yaml, scene 2: a scene has names and values, such as say: ..., not 'B'"),
        ("- title: A", "scene 1: nothing to say: it needs a sentence"),
        ("- say: A\n  setings: {}", "scene 1: no 'setings' in a scene; it has say, title, view, settings, play"),
        ("- say: 2024-01-01", "scene 1: say is a text, not datetime.date(2024, 1, 1): put it between quotes"),
        (f"- say: {'A' * (LONGEST['say'] + 1)}", "scene 1: say has 401 characters, 400 at most"),
        ("- say: A\n  view: inpcA", "scene 1: no view 'inpcA'; there are inpca, "),
        ("- say: A\n  view: [1]", "scene 1: no view [1]; there are inpca, "),
        ("- say: A\n  view: inspector", "scene 1: the view 'inspector' shows a checkpoint or two"),
        ("- say: A\n  play: 1", "scene 1: play is true or false, not 1"),
        ("- say: A\n  settings: [1]", "scene 1: settings are names and values"),
        ("- say: A\n  settings: {1: 2}", "scene 1: settings are names and values"),
        ("- say: A\n  settings: {colour: x}", "scene 1: no choice 'colour', did you mean 'color_by'?"),
        ("- say: A\n  settings: {curves: [mauve]}", "scene 1: no curve 'mauve' in this dataset"),
        ("- say: A\n  settings: {dimensions: 4-D}", "scene 1: dimensions must be '3-D', '2-D' or 'pairs', not '4-D'"),
        ("\n".join(["- say: A"] * (MOST_SCENES + 1)), "101 scenes, 100 at most"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_line(text: str, wrong: str, analysis: Analysis, tmp_path: Path) -> None:
    path = tmp_path / "talk.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(wrong)) as raised:
        read(path, analysis)
    assert str(raised.value).count("\n") == 0
    assert str(raised.value).count("talk.yaml") == 1


def test_a_page_is_sent_the_scenes_of_its_explorer(analysis: Analysis, tmp_path: Path) -> None:
    explorer = Explorer(analysis, scenes=[{"say": "Red.", "settings": {"tasks": "red"}}])
    about, _ = unpack(gzip.decompress(explorer.session.payload()))
    assert about["scenes"] == explorer.session.scenes
    assert not about["present"]  # in a notebook nothing begins by itself
    about, _ = unpack(gzip.decompress(explorer.session.payload(ahead=True, scenes=explorer.session.scenes)))
    assert about["scenes"] == explorer.session.scenes
    assert about["present"]
    with pytest.raises(ValueError, match="scene 1: no curve 'mauve'"):
        Explorer(analysis, scenes=[{"say": "Mauve.", "settings": {"curves": "mauve"}}])


def test_a_file_holds_the_results_and_bars_that_its_scenes_show(analysis: Analysis) -> None:
    session = Session(analysis)
    settings = {"compared": ["red", "blue"], "seeds": [1]}
    scenes = read(
        [
            {"say": "One seed.", "view": "comparison", "settings": settings},
            {"say": "Bars.", "settings": {"uncertainty": "samples"}},
        ],
        analysis,
    )
    about, _ = unpack(gzip.decompress(session.payload(ahead=True, scenes=scenes)))
    *others, shown = about["ahead"]["comparison"]
    assert shown["choices"]["seeds"] == [1]
    assert all(other["choices"]["seeds"] == [0, 1] for other in others)
    asked = {"kind": "view", "view": "comparison", "choices": settings}
    assert shown["drawing"] == session.answer(asked).plain
    assert [bars["choices"]["uncertainty"] for bars in about["bars"]] == ["samples"]
    assert len(session.ahead()["comparison"]) == len(others)  # of the session they are not


def test_a_stage_saves_its_scenes_and_nothing_else(analysis: Analysis) -> None:
    session = Session(analysis)
    good = [{"say": "Red.", "settings": {"curves": ["red"]}}]
    message, content = answer_to({"kind": "save", "choices": {}, "scenes": good}, session)
    assert message == {"bytes": True}
    [payload] = re.findall(rb'id="predspace-payload">([^<]+)<', content or b"")
    about, _ = unpack(gzip.decompress(base64.b64decode(payload)))
    assert about["scenes"] == read(good, analysis)
    message, content = answer_to({"kind": "save", "choices": {}, "scenes": [{"say": 1}]}, session)
    assert (message, content) == ({"error": "scene 1: say is a text, not 1: put it between quotes"}, None)
    few = [{"say": "Some samples.", "settings": {"samples": {"rows": [1, 2, 3]}}}]
    message, _ = answer_to({"kind": "save", "choices": {}, "scenes": few}, session)
    assert message["error"].startswith("scene 1 counts some samples only")


def test_the_talk_that_ships_is_of_the_demo_alone(analysis: Analysis) -> None:
    assert not is_demo(analysis.ds)
    with pytest.raises(ValueError, match=r"^scene 2: no curve 'all digits' in this dataset"):
        read("digits", analysis)
