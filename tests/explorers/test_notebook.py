"""The explorer in a notebook, without a browser: traits both ways, and what stays where no widget is shown."""

from __future__ import annotations

import gzip
import re
import time
from typing import Any
from xml.etree import ElementTree

import anywidget
import pytest

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.notebook import StageWidget
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.explorers.still import still
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import embedding_only

HOSTILE = "</svg><script>window.hacked=1</script>"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def explorer() -> Explorer:
    return Explorer(random_trajectories(n_checkpoints=3), dimensions="2-D", height="400px")


def wait_for(condition: Any) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not come")


def test_the_widget_has_numbers_choices_and_height(explorer: Explorer) -> None:
    widget = explorer.widget
    assert isinstance(widget, anywidget.AnyWidget)
    assert widget is explorer.widget
    assert (widget.choices, widget.height) == ({"dimensions": "2-D"}, "400px")
    about, _ = unpack(gzip.decompress(widget.payload))
    assert about["n_checkpoints"] == 18


def test_choices_go_both_ways(explorer: Explorer) -> None:
    widget = explorer.widget
    widget.choices = {"curves": ["red"], "selected": [2]}
    assert explorer.settings() == {"curves": ["red"]}
    assert explorer.selection == [2]
    explorer.state.color_by = "epoch"
    assert widget.choices == {"curves": ["red"], "color_by": "epoch", "selected": [2]}
    widget.choices = {"curves": ["mauve"], "zebra": 1}  # not trusted: what cannot be is left as it is
    assert explorer.settings() == widget.choices == {"curves": ["red"]}
    assert explorer.selection == []


def test_questions_are_answered(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(StageWidget, "send", lambda self, message, buffers=None: told.append((message, buffers)))
    request = {"number": 1, "kind": "picture", "choices": {}}
    explorer.widget._handle_custom_msg(request, [])
    wait_for(lambda: len(told) == 2)
    heard, (message, [content]) = told
    assert heard == ({"heard": 1, "stage": None}, None)
    assert message == {"packed": True, "bytes": False, "number": 1, "stage": ""}
    assert unpack(content)[1]["embedding"].shape[0] == 18
    explorer.widget._handle_custom_msg({"number": 2, "kind": "nonsense"}, [])
    wait_for(lambda: len(told) == 4)
    assert "error" in told[3][0]
    assert told[3][1] is None


def test_two_widgets_share_a_state(explorer: Explorer) -> None:
    other = Explorer(explorer.session.analysis, state=explorer.state)
    explorer.widget.choices = {"dimensions": "pairs"}
    assert other.widget.choices == {"dimensions": "pairs"}


def html_of(explorer: Explorer) -> str:
    data, *_ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    return str(data["text/html"])


def test_the_bundle_has_a_static_picture_without_a_script() -> None:
    ds = random_trajectories((HOSTILE, "blue"), n_checkpoints=3).assign_attrs(title=HOSTILE)
    html = html_of(Explorer(ds))
    assert "run this cell for the explorer" in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html.count("</svg>") == 1
    assert not re.search(r"\son\w+=|href|src=|javascript:|<foreignObject", html)


# -- the static picture -----------------------------------------------------------------------------------------------


def parsed(analysis: Analysis, **choices: Any) -> ElementTree.Element:
    return ElementTree.fromstring(still(analysis, ExplorerState(analysis, **choices)))


def test_the_still_picture_holds_runs_means_and_references() -> None:
    analysis = analysis_of(random_trajectories(n_checkpoints=5))
    svg = parsed(analysis)
    lines = svg.findall(f"{SVG}polyline")
    lengths = [len(line.attrib["points"].split()) for line in lines]
    assert lengths[:6] == [5] * 6  # runs
    assert lengths[-3:] == [6] * 3  # means, with their heads
    widths = [float(line.attrib["stroke-width"]) for line in lines]
    assert min(widths[-3:]) > 2 * max(widths[:6])
    texts = [text.text for text in svg.findall(f"{SVG}text")]
    assert {"★", "ignorance", "truth", "red", "green", "blue"} <= set(texts)
    assert texts[-2].startswith("InPCA 1 · ")
    assert texts[-1].startswith("InPCA 2 · ")


def test_the_still_picture_is_similar_to_the_picture() -> None:
    analysis = analysis_of(random_trajectories(n_checkpoints=5))
    first = parsed(analysis, tasks="red").find(f"{SVG}polyline")
    assert first is not None
    drawn = [tuple(map(float, point.split(","))) for point in first.attrib["points"].split()]
    there = analysis.picture(n_components=5)["embedding"].values[:5, :2]
    scales = [
        (drawn[k][axis] - drawn[0][axis]) / (there[k][axis] - there[0][axis]) for k in range(1, 5) for axis in (0, 1)
    ]
    assert scales[0] > 0
    assert [sign * scale for sign, scale in zip([1, -1] * 4, scales, strict=True)] == pytest.approx(
        [scales[0]] * 8, rel=0.05
    )


@pytest.mark.parametrize(
    ("choices", "titles"),
    [
        ({"dimensions": "2-D", "horizontal": 4, "vertical": 3}, ["InPCA 4", "InPCA 3"]),
        ({"dimensions": "3-D", "horizontal": 4, "vertical": 3}, ["InPCA 1", "InPCA 2"]),
        ({"dimensions": "pairs", "color_by": "epoch"}, ["InPCA 1", "InPCA 2"]),
    ],
)
def test_the_still_picture_is_on_the_axes_that_are_chosen(choices: dict[str, Any], titles: list[str]) -> None:
    analysis = analysis_of(random_trajectories(n_checkpoints=3))
    texts = [str(text.text) for text in parsed(analysis, **choices).findall(f"{SVG}text")]
    assert [text.split(" · ")[0] for text in texts[-2:]] == titles


def test_names_in_the_still_picture_are_letters() -> None:
    analysis = analysis_of(random_trajectories(("<b>&", '"><img src=x>'), n_checkpoints=3))
    svg = parsed(analysis)
    assert {"<b>&", '"><img src=x>'} <= {text.text for text in svg.findall(f"{SVG}text")}
    names = ("svg", "title", "polyline", "circle", "text")
    assert {element.tag for element in svg.iter()} <= {f"{SVG}{name}" for name in names}


def test_where_there_is_no_picture_it_says_why() -> None:
    analysis = analysis_of(random_trajectories(n_checkpoints=3))
    assert still(analysis, ExplorerState(analysis, curves=[])) == "<p>no curve is chosen: choose at least one</p>"
    one = Analysis(random_trajectories(("red",), 1, 1))
    assert "only one checkpoint" in still(one, ExplorerState(one))


def test_a_published_picture_and_a_constant_run_are_drawn() -> None:
    published = Analysis(embedding_only())
    assert "★" not in still(published, ExplorerState(published))
    constant = Analysis(random_trajectories(("red",), 1, 2).isel(checkpoint=[0, 0]))
    assert not re.search(r"\bnan\b", still(constant, ExplorerState(constant)))


def test_new_checkpoints_are_told_unasked() -> None:
    ds = random_trajectories()
    new = [(probs, epoch) for epoch, probs in enumerate(ds["probs"].values[:3])]
    before, after = Explorer(ds), Explorer(ds)
    shown = before.widget
    assert shown.news == b""
    for explorer in (before, after):
        explorer.follow(iter(new), task="mine")
        explorer.wait()
    for widget in (shown, after.widget):  # shown while they came, and afterwards
        about, arrays = unpack(widget.news)
        assert (about["first"], about["n_new"], about["generation"]) == (0, 3, 0)
        assert arrays["epoch"].tolist() == [0, 1, 2]
