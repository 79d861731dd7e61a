"""The explorer's state and its views, without a browser."""

from __future__ import annotations

import json

import numpy as np
import panel as pn
import plotly.graph_objects as go
import pytest

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers import app
from predspace_widgets.explorers.notebook import Explorer
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, random_trajectories
from predspace_widgets.views import VIEWS, Drawing, inpca
from predspace_widgets.views.view import styles_of


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return Analysis(random_trajectories(n_seeds=2, n_checkpoints=6))


@pytest.fixture(scope="module")
def crowded() -> Analysis:
    """Two tasks of 13 seeds, too many for checkboxes."""
    return Analysis(random_trajectories(tasks=("red", "blue"), n_seeds=13, n_checkpoints=2, n_samples=4))


@pytest.fixture
def state(analysis: Analysis) -> ExplorerState:
    return ExplorerState(analysis)


def test_everything_is_chosen_at_first(state: ExplorerState, analysis: Analysis) -> None:
    assert len(state.selection.rows(analysis.ds)) == analysis.ds.sizes["checkpoint"]
    assert (state.first, state.second) == ("red", "green")


def draw(view: str, state: ExplorerState) -> Drawing:
    return VIEWS[view].draw(state.analysis, state)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws(state: ExplorerState, view: str) -> None:
    drawing = draw(view, state)
    assert drawing.figure is not None
    assert drawing.message == ""
    assert drawing.caption


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"tasks": []}, "no task is chosen"),
        ({"seeds": []}, "no seed is chosen"),
        ({"tasks": ["red"], "seeds": [0], "epochs": (0.0, 1.0)}, "only one checkpoint"),
        ({"epochs": (0.5, 0.6)}, "no checkpoint is chosen between epoch 0.5 and 0.6"),
    ],
)
def test_choices_that_leave_nothing_are_a_message(state: ExplorerState, choices: dict, message: str) -> None:
    state.param.update(**choices)
    drawing = draw("inpca", state)
    assert drawing.figure is None
    assert message in drawing.message
    state.param.update(tasks=["red", "blue"], seeds=[0, 1], epochs=(0.0, 10.0))
    assert draw("inpca", state).figure is not None


def test_the_caption_says_what_the_picture_leaves_out(state: ExplorerState, monkeypatch: pytest.MonkeyPatch) -> None:
    assert draw("inpca", state).caption.endswith("dashed: the shortest path.")
    monkeypatch.setattr(inpca, "notes", lambda picture, _: f"Of {picture.sizes['checkpoint']}.")
    state.tasks = ["red"]
    assert draw("inpca", state).caption.endswith("thick: mean of seeds. Of 12.")
    assert any(
        "mean of seeds. Of 12." in text.value for text in _find(Explorer(state.analysis, tasks=["red"]).widget, "HTML")
    )


class TestManySeeds:
    def test_the_page_has_a_list_to_select_from(self, analysis: Analysis, crowded: Analysis) -> None:
        state = ExplorerState(crowded)
        [heading, chooser] = app._seed_list(state)
        assert isinstance(chooser, pn.widgets.MultiSelect)
        assert chooser.value == list(range(13))
        chooser.value = [3, 4]
        assert state.seeds == [3, 4]
        state.seeds = [7]
        assert chooser.value == [7]
        [toggle] = heading.select(pn.widgets.Button)
        toggle.clicks += 1
        assert state.seeds == chooser.value == list(range(13))
        toggle.clicks += 1
        assert state.seeds == []
        assert isinstance(app._seed_list(ExplorerState(analysis))[1], pn.widgets.CheckBoxGroup)

    def test_the_notebook_has_a_list_to_select_from(self, analysis: Analysis, crowded: Analysis) -> None:
        explorer = Explorer(crowded, seeds=[1, 2])
        [chooser] = _find(explorer.widget, "SelectMultiple")
        assert chooser.value == (1, 2)
        chooser.value = (3, 4)
        assert explorer.state.seeds == [3, 4]
        explorer.state.seeds = [7]
        assert chooser.value == (7,)
        assert len(_find(explorer.widget, "Checkbox")) == 2  # the tasks
        assert not _find(Explorer(analysis).widget, "SelectMultiple")

    def test_twelve_seeds_still_have_checkboxes(self) -> None:
        state = ExplorerState(random_trajectories(n_seeds=12, n_checkpoints=2, n_samples=4))
        assert isinstance(app._seed_list(state)[1], pn.widgets.CheckBoxGroup)
        assert len(_find(Explorer(state.analysis).widget, "Checkbox")) == 3 + 12


def test_comparing_a_curve_with_itself_is_a_message(state: ExplorerState) -> None:
    state.second = state.first
    assert "two different" in draw("comparison", state).message
    assert draw("inpca", state).figure is not None


def test_a_defect_becomes_a_message_and_is_logged(
    state: ExplorerState, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("oh")

    monkeypatch.setattr(state.analysis, "riemann_lengths", fail, raising=False)
    assert "This view failed (KeyError" in draw("lengths", state).message
    assert "Traceback" in caplog.text


def test_unknown_choices_name_what_there_is(analysis: Analysis) -> None:
    with pytest.raises(TypeError, match=r"no choice 'task'; an explorer has .*tasks"):
        ExplorerState(analysis, task=["red"])
    with pytest.raises(ValueError, match="violet"):
        ExplorerState(analysis, tasks=["violet"])


def test_progress_metric_and_color_reach_the_figures(state: ExplorerState) -> None:
    by_default = draw("progress", state).figure
    state.progress_metric = "great_circle"
    by_angle = draw("progress", state).figure
    assert by_default is not None
    assert by_angle is not None
    assert not np.allclose(by_default["data"][1]["y"], by_angle["data"][1]["y"])
    state.color_by = "progress"
    picture = draw("inpca", state).figure
    assert picture is not None
    [points] = [trace for trace in picture["data"] if trace["meta"] == "values"]
    np.testing.assert_allclose(points["marker"]["color"], state.analysis.progress("great_circle").values)


class TestWhatIsDrawnAgain:
    """A view is drawn again only where a choice has changed that it depends on."""

    def drawn(self, state: ExplorerState, view: str) -> list[str]:
        calls: list[str] = []
        state.on_change(VIEWS[view].seen, lambda: calls.append(view))
        return calls

    def test_the_picture_is_not_for_another_progress_unless_it_shows_progress(self, state: ExplorerState) -> None:
        picture, progress = self.drawn(state, "inpca"), self.drawn(state, "progress")
        state.progress_metric = "great_circle"
        assert (picture, progress) == ([], ["progress"])
        state.color_by = "progress"
        assert len(picture) == 1
        state.progress_metric = "bhattacharyya"
        assert (len(picture), len(progress)) == (2, 2)

    def test_axes_count_in_two_dimensions(self, state: ExplorerState) -> None:
        picture, stress = self.drawn(state, "inpca"), self.drawn(state, "stress")
        state.horizontal = 3
        assert picture == []
        state.dimensions = "2-D"
        state.horizontal = 4
        assert len(picture) == 2
        assert stress == []

    def test_compared_curves_are_compared_again_and_nothing_else(self, state: ExplorerState) -> None:
        calls = {view: self.drawn(state, view) for view in VIEWS}
        state.second = "blue"
        assert [view for view, seen in calls.items() if seen] == ["comparison"]
        state.tasks = ["red"]
        assert [view for view, seen in calls.items() if len(seen) == 1] == list(VIEWS)

    def test_once_for_choices_that_change_together(self, state: ExplorerState) -> None:
        picture = self.drawn(state, "inpca")
        state.param.update(tasks=["red"], seeds=[0], color_by="epoch")
        assert picture == ["inpca"]


def test_an_error_in_one_dataset_does_not_end_the_preparation_of_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepared = []

    def prepare(self: Analysis) -> None:
        if self.ds.attrs["title"] == "broken":
            raise OSError("the disk is gone")
        prepared.append(self.ds.attrs["title"])

    monkeypatch.setattr(Analysis, "prepare", prepare)
    titles = ("first", "broken", "last")
    app._prepare({title: Analysis(constant_run().assign_attrs(title=title)) for title in titles})
    assert prepared == ["first", "last"]
    assert "'broken'" in caplog.text
    assert "the disk is gone" in caplog.text


def test_datasets_with_one_run_can_be_explored() -> None:
    for ds in (geodesic_run(), constant_run()):
        state = ExplorerState(ds)
        assert draw("inpca", state).figure is not None
        assert "two different" in draw("comparison", state).message


def test_several_methods_are_several_curves() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=2, methods=("supervised", "contrastive"))
    state = ExplorerState(ds)
    assert len({style.color for style in styles_of(state.analysis)[0].values()}) == 2
    state.methods = ["contrastive"]
    assert set(inpca.picture_of(state.analysis, state)["curve"].values) == {"red · contrastive"}
    assert draw("comparison", state).figure is not None


class TestNotebookExplorer:
    def test_widgets_and_state_follow_each_other(self, analysis: Analysis) -> None:
        explorer = Explorer(analysis, tasks=["red", "blue"], dimensions="2-D")
        boxes = {box.description: box for box in _find(explorer.widget, "Checkbox")}
        assert (boxes["red"].value, boxes["green"].value) == (True, False)
        boxes["green"].value = True
        assert explorer.state.tasks == ["red", "green", "blue"]
        explorer.state.tasks = ["blue"]
        assert (boxes["red"].value, boxes["blue"].value) == (False, True)
        [slider] = _find(explorer.widget, "SelectionRangeSlider")
        slider.value = (0.0, 4.0)
        assert explorer.state.epochs == (0.0, 4.0)
        explorer.state.epochs = (1.5, 10.0)  # between two recorded epochs
        assert slider.value == (2.0, 10.0)
        assert explorer.state.epochs == (1.5, 10.0)

    def test_views_are_drawn_again(self, analysis: Analysis) -> None:
        explorer = Explorer(analysis)
        picture, compared = _find(explorer.widget, "FigureWidget")
        n_traces, n_points = len(picture.data), len(picture.data[0].x)
        explorer.state.tasks = ["red", "blue"]
        assert len(picture.data) == n_traces - 2  # the runs of a task, and their mean
        explorer.state.epochs = (0.0, 6.0)
        assert len(picture.data[0].x) < n_points
        name = compared.data[0].name
        explorer.state.second = "blue"
        assert compared.data[0].name != name

    def test_what_is_shown_is_the_figure_and_nothing_left_over(self, analysis: Analysis) -> None:
        explorer = Explorer(analysis)
        picture, _ = _find(explorer.widget, "FigureWidget")
        changes = [{"tasks": ["blue"]}, {"color_by": "epoch"}, {"dimensions": "2-D"}, {"tasks": ["red", "green"]}]
        for change in [*changes, {"color_by": "task"}, {"dimensions": "3-D"}]:
            explorer.state.param.update(**change)
            assert _content(picture) == _content(explorer.figure())

    def test_camera_stays(self, analysis: Analysis) -> None:
        explorer = Explorer(analysis)
        picture, _ = _find(explorer.widget, "FigureWidget")
        picture.layout.scene.camera.eye = {"x": 2.0, "y": 1.0, "z": 0.5}
        explorer.state.tasks = ["red"]
        assert picture.layout.scene.camera.eye.x == 2.0

    def test_message_in_place_of_an_error(self, analysis: Analysis) -> None:
        explorer = Explorer(analysis)
        explorer.state.tasks = []
        assert any("no task is chosen" in text.value for text in _find(explorer.widget, "HTML"))
        explorer.state.tasks = ["red"]
        assert not any("no task is chosen" in text.value for text in _find(explorer.widget, "HTML"))

    def test_it_shows_itself_and_gives_plain_figures(self, analysis: Analysis) -> None:
        explorer = Explorer(analysis)
        assert "application/vnd.jupyter.widget-view+json" in explorer._repr_mimebundle_()
        assert type(explorer.figure("comparison")).__name__ == "Figure"
        with pytest.raises(ValueError, match="an explorer has inpca, "):
            explorer.figure("inpac")
        explorer.state.tasks = []
        with pytest.raises(ValueError, match="no task is chosen"):
            explorer.figure()

    def test_accessor_opens_it(self, analysis: Analysis) -> None:
        assert isinstance(analysis.ds.predspace.explore(), Explorer)


def _content(figure: go.Figure) -> list[dict]:
    """The traces of a figure, without the names that plotly gives them and what is empty."""
    traces = json.loads(figure.to_json())["data"]
    return [{key: value for key, value in trace.items() if key != "uid" and value != {}} for trace in traces]


def _find(widget, kind: str) -> list:  # type: ignore[no-untyped-def]
    """All widgets of a class below a widget."""
    found = [widget] if type(widget).__name__ == kind else []
    for child in getattr(widget, "children", ()):
        found += _find(child, kind)
    return found
