"""Figures as data: what is drawn where is what the analysis says."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.session import as_plain
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.geometry import bhattacharyya, geodesic, ignorance, truth
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, random_trajectories
from predspace_widgets.views import VIEWS, Drawing
from predspace_widgets.views.style import curve_styles
from tests.trajectories.samples import embedding_only
from tests.views.conftest import figure_of, points, traces

#: The axes of each panel, by the dimensions that are chosen.
DRAWN: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"dimensions": "3-D"}, (1, 2, 3)),
    ({"dimensions": "2-D"}, (1, 2)),
    ({"dimensions": "2-D", "horizontal": 3, "vertical": 5}, (3, 5)),
]
REFERENCES = "● knows nothing (all classes equally likely), ★ knows every label; dashed: the shortest path."


def draw(analysis: Analysis, view: str = "inpca", **choices: Any) -> Drawing:
    return VIEWS[view].draw(analysis, ExplorerState(analysis, **choices))


# -- the picture ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("choices", "axes"), DRAWN)
def test_the_picture_holds_every_run(analysis: Analysis, choices: dict[str, Any], axes: tuple[int, ...]) -> None:
    embedding = analysis.picture(n_components=5)["embedding"].values[:, np.array(axes) - 1]
    runs = traces(figure_of(analysis, **choices), "runs")
    assert [trace["name"] for trace in runs] == analysis.curve_names
    for number, trace in enumerate(runs):
        rows = np.flatnonzero(analysis.curve_numbers == number)
        np.testing.assert_array_equal(points(trace), embedding[rows])
        assert np.isnan(trace["x"]).sum() == 2  # after each of two seeds
        assert [row for row in trace["meta"]["rows"] if row >= 0] == rows.tolist()
        assert trace["customdata"][:6, 1].tolist() == analysis.ds["epoch"].values[rows[:6]].tolist()


def test_three_pairs_are_three_panels(analysis: Analysis) -> None:
    figure = figure_of(analysis, dimensions="pairs")
    embedding = analysis.picture(n_components=5)["embedding"].values[analysis.curve_numbers == 0]
    for panel, axes in (("", [0, 1]), ("2", [0, 2]), ("3", [1, 2])):
        [run] = [
            trace
            for trace in traces(figure, "runs")
            if trace["meta"]["curve"] == 0 and trace.get("xaxis", "x") == f"x{panel}"
        ]
        np.testing.assert_array_equal(points(run), embedding[:, axes])
        for letter, axis in zip("xy", axes, strict=True):
            assert figure["layout"][f"{letter}axis{panel}"]["title"]["text"].startswith(f"InPCA {axis + 1}")
    assert "annotations" not in figure["layout"]  # small panels have no room for names
    domains = [figure["layout"][f"xaxis{panel}"]["domain"] for panel in ("", "2", "3")]
    assert all(one[1] < other[0] for one, other in pairwise(domains))


@pytest.mark.parametrize(("choices", "axes"), DRAWN)
def test_means_are_means_over_seeds_in_the_colour_of_their_curve(
    analysis: Analysis, choices: dict[str, Any], axes: tuple[int, ...]
) -> None:
    figure, styles = figure_of(analysis, **choices), curve_styles(analysis.curve_pairs)[0]
    runs, means = traces(figure, "runs"), traces(figure, "mean")
    assert len(runs) == len(means) == 3
    for run, mean in zip(runs, means, strict=True):
        by_seed = points(run).reshape(2, 6, len(axes))
        np.testing.assert_allclose(points(mean)[:6], by_seed.mean(axis=0))
        style = styles[mean["meta"]["curve"]]
        assert (mean["line"]["color"], mean["line"]["dash"]) == (style.color, style.dash)
        assert mean["line"]["width"] > 2 * run["line"]["width"]


def test_the_means_of_a_picture_with_one_seed_are_its_runs(analysis: Analysis) -> None:
    figure = figure_of(analysis, seeds=1)
    for run, mean in zip(traces(figure, "runs"), traces(figure, "mean"), strict=True):
        np.testing.assert_allclose(points(mean)[:6], points(run))


@pytest.mark.parametrize(("choices", "axes"), DRAWN)
def test_references_lie_where_the_projection_puts_them(
    analysis: Analysis, choices: dict[str, Any], axes: tuple[int, ...]
) -> None:
    path = analysis.picture(n_components=5)["geodesic"].values[:, np.array(axes) - 1]
    figure = figure_of(analysis, **choices)
    [line], [start], [end] = (traces(figure, role) for role in ("geodesic", "ignorance", "truth"))
    np.testing.assert_array_equal(points(line), path)
    np.testing.assert_array_equal(points(start), path[:1])
    np.testing.assert_array_equal(points(end), path[-1:])
    if end["mode"] == "text":  # the star of a picture in space, which plotly would set above its place
        assert end["textposition"] == "middle center"
    assert line["line"]["dash"] == "dash"
    named = (figure["layout"].get("scene") or figure["layout"])["annotations"]
    assert [note["text"] for note in named if note["name"] == "reference"] == ["ignorance", "truth"]


def test_ends_of_curves_are_labelled_where_they_are(analysis: Analysis) -> None:
    figure = figure_of(analysis, dimensions="2-D", time=5.0)
    labels = [note for note in figure["layout"]["annotations"] if note["name"] == "label"]
    assert [label["text"] for label in labels] == analysis.curve_names
    for label, head in zip(labels, traces(figure, "head"), strict=True):
        assert (label["x"], label["y"]) == (head["x"][0], head["y"][0])


def test_axes_say_what_they_are(analysis: Analysis) -> None:
    picture = analysis.picture(n_components=5)
    figure = figure_of(analysis, dimensions="2-D", horizontal=2, vertical=1)
    for letter, number in (("x", 2), ("y", 1)):
        title = figure["layout"][f"{letter}axis"]["title"]["text"]
        name, share = title.split(" · ")
        assert name == f"InPCA {number}"
        assert float(share.rstrip("%")) / 100 == pytest.approx(float(picture["axis_stress"][number - 1]), abs=0.006)


def test_an_imaginary_axis_is_named_as_such() -> None:
    analysis = Analysis(published())  # its third eigenvalue is negative
    layout = figure_of(analysis, dimensions="2-D", horizontal=3, vertical=2)["layout"]
    assert layout["xaxis"]["title"]["text"].startswith("InPCA 3 (imaginary) · ")
    assert "imaginary" not in layout["yaxis"]["title"]["text"]
    assert traces(figure_of(analysis, "stress"), "own")[0]["x"].tolist() == ["1", "2", "3 i"]


@pytest.mark.parametrize("dimensions", ["3-D", "2-D"])
@pytest.mark.parametrize("color_by", ["epoch", "progress", "accuracy"])
def test_values_colour_every_checkpoint_on_the_scale_of_all(analysis: Analysis, color_by: str, dimensions: str) -> None:
    epochs = analysis.ds["epoch"].values
    values = {
        "epoch": np.log1p(epochs),
        "progress": analysis.progress("great_circle").values,
        "accuracy": analysis.accuracy().values,
    }[color_by]
    chosen = {"color_by": color_by, "dimensions": dimensions, "progress_metric": "great_circle"}
    figure = figure_of(analysis, curves="green", epochs=[0, 6], **chosen)
    [colored] = traces(figure, "values")
    rows = [row for row in colored["meta"]["rows"] if row >= 0]
    assert rows == Selection(tasks=("green",), epochs=(0, 6)).rows(analysis.ds).tolist()
    shown = colored["marker"]["color"]
    np.testing.assert_allclose(shown[~np.isnan(shown)], values[rows])
    bounds = (0, values.max()) if color_by == "epoch" else (0, 1)  # whatever is chosen
    assert (colored["marker"]["cmin"], colored["marker"]["cmax"]) == pytest.approx(bounds)
    bar = colored["marker"]["colorbar"]
    assert color_by in bar["title"]["text"]
    if color_by == "epoch":
        assert bar["ticktext"][0] == "0"
        np.testing.assert_allclose(bar["tickvals"], np.log1p(np.array(bar["ticktext"], dtype=float)))
    assert {trace["line"]["color"] for trace in traces(figure, "runs")} == {"#e4e8ee"}  # not in its own colour too


def test_a_choice_moves_nothing_unless_the_axes_follow(analysis: Analysis) -> None:
    every, chosen = figure_of(analysis), {"curves": ["red", "blue"]}
    by_name = {trace["name"]: trace["x"] for trace in traces(every, "runs")}
    for trace in traces(figure_of(analysis, **chosen), "runs"):
        np.testing.assert_array_equal(trace["x"], by_name[trace["name"]])
    followed = traces(figure_of(analysis, **chosen, axes_fitted_on="shown"), "runs")[0]
    selected = analysis.picture(Selection(tasks=("red", "blue")), 5)["embedding"].values
    np.testing.assert_array_equal(points(followed), selected[:12, :3])
    assert np.abs(points(followed) - points({"x": by_name["red"]} | traces(every, "runs")[0])).max() > 1e-3


def test_zoom_and_camera_survive_a_new_figure(analysis: Analysis) -> None:
    for curves in (["red"], ["red", "blue"]):
        layout = figure_of(analysis, curves=curves)["layout"]
        assert layout["uirevision"] == layout["scene"]["uirevision"] == "keep"


# -- time -------------------------------------------------------------------------------------------------------------


def the_mean(analysis: Analysis, **choices: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points of the mean of the first curve up to a time, and its head."""
    figure = figure_of(analysis, dimensions="2-D", **choices)
    return points(traces(figure, "mean")[0]), points(traces(figure, "head")[0])


@pytest.mark.parametrize(("time_by", "unit"), [("epoch", 2.0), ("step", 1.0)])
def test_time_clips_means_and_moves_heads_between_checkpoints(analysis: Analysis, time_by: str, unit: float) -> None:
    whole, _ = the_mean(analysis)
    mean, head = the_mean(analysis, time_by=time_by, time=2.25 * unit)
    np.testing.assert_allclose(mean[:3], whole[:3])
    np.testing.assert_allclose(head, [0.75 * whole[2] + 0.25 * whole[3]])
    np.testing.assert_allclose(mean[3:], head)


def test_time_on_a_checkpoint_is_that_checkpoint(analysis: Analysis) -> None:
    whole, _ = the_mean(analysis)
    np.testing.assert_allclose(the_mean(analysis, time=4.0)[1], whole[[2]])


def test_time_by_progress_counts_when_it_is_reached_first() -> None:
    analysis = analysis_of(geodesic_run(5))
    whole, _ = the_mean(analysis)
    for time, place in ((0.5, 2.0), (0.6, 2.4)):
        before = int(place)
        way = place - before
        _, head = the_mean(analysis, time_by="progress", time=time)
        np.testing.assert_allclose(head, [(1 - way) * whole[before] + way * whole[before + 1]], atol=1e-6)
    back = analysis.ds.isel(checkpoint=[0, 2, 1, 3, 4])  # comes to 1/2 first, falls to 1/4, and goes on
    back = back.assign_coords({name: ("checkpoint", analysis.ds[name].values) for name in ("step", "epoch")})
    whole, _ = the_mean(analysis_of(back))
    mean, _ = the_mean(analysis_of(back), time_by="progress", time=0.3)
    assert len(mean) == 2
    mean, _ = the_mean(analysis_of(back), time_by="progress", time=0.51)
    np.testing.assert_allclose(mean[:3], whole[:3])


@pytest.mark.parametrize(("time", "place"), [(-3.0, 0), (0.0, 0), (10.0, -1), (99.0, -1)])
def test_before_the_start_a_head_waits_and_beyond_the_end_it_stays(analysis: Analysis, time: float, place: int) -> None:
    whole, end = the_mean(analysis)
    np.testing.assert_array_equal(end, whole[[-1]])
    mean, head = the_mean(analysis, time=time)
    np.testing.assert_allclose(head, whole[[place]])
    assert len(mean) == (1 if time < 0 else 2 if place == 0 else 7)


def test_heads_stand_on_the_curves_of_progress_too(analysis: Analysis) -> None:
    figure = figure_of(analysis, "progress", time=5.0)
    for mean, head in zip(traces(figure, "mean"), traces(figure, "head"), strict=True):
        assert float(head["y"][0]) == pytest.approx(np.mean(mean["y"][2:4]))


# -- progress, lengths, stress ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["bhattacharyya", "great_circle"])
def test_progress_is_that_of_the_analysis(analysis: Analysis, metric: Any) -> None:
    curves = analysis.progress_curves(Selection(seeds=(0, 1), epochs=(2, 10)), metric)
    figure = figure_of(analysis, "progress", progress_metric=metric, epochs=[2, 10])
    for name, band, mean in zip(analysis.curve_names, traces(figure, "band"), traces(figure, "mean"), strict=True):
        wanted = curves[curves["curve"] == name]
        n_points = len(wanted)
        np.testing.assert_allclose(mean["y"], wanted["mean"])
        np.testing.assert_allclose(band["y"][:n_points], wanted["high"])
        np.testing.assert_allclose(band["y"][n_points:], wanted["low"][::-1])
        np.testing.assert_array_equal(band["x"][:n_points], mean["x"])
        np.testing.assert_allclose(mean["customdata"][:, 0], wanted["epoch"])
        assert np.all(np.diff(mean["x"]) > 0)
    assert "ignorance to truth" in figure["layout"]["yaxis"]["title"]["text"]
    assert figure["layout"]["xaxis"]["ticktext"][0] == "0"


def test_lengths_are_those_of_the_analysis_and_have_names(analysis: Analysis) -> None:
    table = analysis.riemann_lengths(Selection(tasks=("red", "blue"), epochs=(2, 8)))
    figure = figure_of(analysis, "lengths", curves=["red", "blue"], epochs=[2, 8])
    assert figure["layout"]["yaxis"]["ticktext"] == ["red", "blue"]
    for place, (bar, dots) in enumerate(zip(traces(figure, "mean"), traces(figure, "runs"), strict=True)):
        wanted = table.loc[table["curve"] == bar["name"], "length"]
        np.testing.assert_allclose(sorted(dots["x"]), sorted(wanted))
        np.testing.assert_allclose(bar["x"], wanted.mean())
        assert set(dots["y"]) == set(bar["y"]) == {place}
        assert dots["marker"]["color"] == curve_styles(analysis.curve_pairs)[0][2 * place].color


def test_the_axis_of_lengths_is_for_most_runs_and_the_others_have_their_number(analysis: Analysis) -> None:
    layout = figure_of(analysis, "lengths")["layout"]
    assert "range" not in layout["xaxis"]  # room for all
    ds = analysis.ds.copy(deep=True)
    there = np.flatnonzero((ds["task"] == "green") & (ds["method"] == "supervised") & (ds["seed"] == 1))
    ds["probs"][there[1::2]] = ds["probs"].values[there[0]]  # to and fro
    odd = analysis_of(ds)
    lengths = odd.riemann_lengths().set_index("run")["length"]
    figure = figure_of(odd, "lengths")
    [beyond] = traces(figure, "beyond")
    low, high = figure["layout"]["xaxis"]["range"]
    far = lengths[lengths > high]
    assert far.index.tolist() == [ds["run"].values[there[0]]]
    assert (low, beyond["text"].tolist()) == (0, [f"→ {far.iloc[0]:.1f}"])
    assert high < 0.7 * far.iloc[0]
    names = figure["layout"]["yaxis"]["ticktext"]
    assert [names[int(place)] for place in beyond["y"]] == ["green"]
    assert "past the axis" in draw(odd, "lengths").caption


def test_every_bar_has_a_name_however_many() -> None:
    many = random_trajectories(tuple(f"task {number}" for number in range(40)), 1, 2, 3)
    axis = figure_of(many, "lengths")["layout"]["yaxis"]
    assert axis["ticktext"] == [f"task {number}" for number in range(40)]
    assert axis["tickvals"] == list(range(40))


def test_the_caption_warns_where_lengths_do_not_compare(analysis: Analysis) -> None:
    assert draw(analysis, "lengths").caption.endswith("6 checkpoints a run, steps 0 to 5.")
    short = analysis_of(analysis.ds.isel(checkpoint=slice(2, None)))
    assert "Schedules differ (4 to 6 checkpoints): lengths do not compare." in draw(short, "lengths").caption
    one = draw(analysis, "lengths", epochs=[2, 2])
    assert "1 checkpoint a run, step 1: no way yet." in one.caption


@pytest.mark.parametrize("choices", [{}, {"curves": ["red"], "axes_fitted_on": "shown"}])
def test_stress_bars_add_up(analysis: Analysis, choices: dict[str, Any]) -> None:
    selection = Selection(tasks=("red",)) if choices else Selection()
    picture = analysis.picture(selection, 5)
    [before], [own] = (traces(figure_of(analysis, "stress", **choices), role) for role in ("before", "own"))
    np.testing.assert_allclose(before["y"] + own["y"], picture["explained_stress"].values)
    np.testing.assert_allclose(own["y"], picture["axis_stress"].values)


def test_the_spectrum_has_all_known_axes_and_marks_the_imaginary_ones(analysis: Analysis) -> None:
    figure = figure_of(analysis, "stress", spectrum="eigenvalues")
    [dots] = traces(figure, "eigenvalue")
    eigenvalues = analysis.picture(n_components=8)["eigenvalue"].values
    np.testing.assert_allclose(dots["y"], np.abs(eigenvalues))
    assert figure["layout"]["yaxis"]["type"] == "log"
    assert [text == "i" for text in dots["text"]] == [fill == "white" for fill in dots["marker"]["color"]]
    assert [text == "i" for text in dots["text"]] == (eigenvalues < 0).tolist()


def test_the_spectrum_of_a_published_picture_is_the_whole_one() -> None:
    ds = embedding_only()
    [dots] = traces(figure_of(ds, "stress", spectrum="eigenvalues"), "eigenvalue")
    np.testing.assert_allclose(dots["y"], np.abs(ds["eigenvalue"].values))


def test_axes_without_coordinates_are_in_the_spectrum_and_in_the_stress() -> None:
    """Of a picture of three axes whose fourth eigenvalue is known, and negative."""
    ds = embedding_only().assign(spectrum=("axis", [4.0, -2.0, 1.0, -0.5])).assign_attrs(eigenvalue_square_sum=22.0)
    [dots] = traces(figure_of(ds, "stress", spectrum="eigenvalues"), "eigenvalue")
    assert list(dots["y"]) == [4.0, 2.0, 1.0, 0.5]
    assert list(dots["text"]) == ["", "i", "", "i"]
    table = draw(Analysis(ds), "stress").table
    assert table is not None
    np.testing.assert_allclose(table["cumulative"], 1 - np.sqrt(1 - np.cumsum([16, 4, 1, 0.25]) / 22))


def test_a_stress_that_counts_too_few_axes_says_so() -> None:
    words = "Nothing says which axes were left out"
    assert words in draw(Analysis(embedding_only()), "stress").caption
    assert words not in draw(Analysis(embedding_only().assign_attrs(eigenvalue_square_sum=30.0)), "stress").caption


def test_the_tube_is_the_distance_to_the_point_at_the_same_progress(analysis: Analysis) -> None:
    ds = analysis.ds
    n_samples, n_classes = ds.sizes["sample"], ds.sizes["class"]
    line = geodesic(ignorance(n_samples, n_classes), truth(ds["label"].values, n_classes), ds.predspace.progress())
    expected = bhattacharyya(ds["probs"].values, line)
    [red, *_] = traces(figure_of(analysis, "tube"), "runs")
    rows = np.array(red["meta"]["rows"])
    np.testing.assert_allclose(red["y"][rows >= 0], expected[rows[rows >= 0]], rtol=1e-6, atol=1e-12)
    [red, *_] = traces(figure_of(analysis, "tube"), "mean")
    np.testing.assert_allclose(red["y"], expected[:12].reshape(2, 6).mean(axis=0), rtol=1e-6, atol=1e-12)


# -- captions ---------------------------------------------------------------------------------------------------------


def test_captions_say_what_the_axes_come_from(analysis: Analysis) -> None:
    some, frozen = {"curves": ["red"]}, {"curves": ["red", "blue"], "seeds": [0], "epochs": [0, 10]}
    for view in ("inpca", "stress"):
        for choices, words in (
            (some, "Axes fitted on everything, 36 checkpoints."),
            (some | {"axes_fitted_on": "shown"}, "Axes fitted on the 12 checkpoints shown."),
            (
                some | {"axes_fitted_on": "frozen", "frozen": frozen},
                "Axes fitted on the 12 checkpoints shown when they were frozen.",
            ),
        ):
            assert words in draw(analysis, view, **choices).caption
    assert REFERENCES in draw(analysis).caption


def test_the_spectrum_has_its_own_sentence_and_ticks(analysis: Analysis) -> None:
    for data in (analysis, Analysis(published())):
        drawing = draw(data, "stress", spectrum="eigenvalues")
        assert "How much each axis stretches the picture, on a logarithmic scale" in drawing.caption
        assert "1, 2, 3" not in drawing.caption
        assert drawing.figure is not None
        assert (
            "dtick" not in drawing.figure["layout"]["yaxis"]
        )  # one a power of ten is one alone, where it spans little
    assert draw(analysis, "stress").caption.startswith("How much of the centred distances the first 1, 2, 3")


def test_the_caption_says_that_axes_come_from_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predspace_widgets.analysis.frame.MOST_EXACT", 20)
    monkeypatch.setattr("predspace_widgets.analysis.frame.N_LANDMARKS", 16)
    caption = draw(Analysis(random_trajectories(n_checkpoints=6))).caption
    assert "They come from 16 landmark checkpoints; the rest are projected." in caption


# -- more checkpoints than are drawn ----------------------------------------------------------------------------------


def published(n_runs: int = 4, n_curves: int = 2, n_checkpoints: int = 6) -> xr.Dataset:
    """A picture without predictions of many runs, whose checkpoints alternate between the runs."""
    step, run = (grid.ravel() for grid in np.meshgrid(np.arange(n_checkpoints), np.arange(n_runs), indexing="ij"))
    columns = {
        "task": [f"task {number}" for number in run % n_curves],
        "method": ["supervised"] * len(run),
        "seed": run // n_curves,
        "epoch": step.astype(float),
        "step": step,
        "run": [f"run {number}" for number in run],
    }
    embedding = np.stack([run, step, run * step], axis=1).astype(float)
    return xr.Dataset(
        {"embedding": (("checkpoint", "component"), embedding), "eigenvalue": ("component", [3.0, 2.0, -1.0])},
        coords={name: ("checkpoint", column) for name, column in columns.items()},
    )


@pytest.fixture(scope="module")
def crowd() -> Analysis:
    """500 runs of 60 checkpoints, 30,000: every 2nd of each run and its last are 31 x 500."""
    return Analysis(published(500, 2, 60))


@pytest.mark.parametrize("dimensions", ["3-D", "2-D"])
def test_of_very_many_checkpoints_every_kth_of_each_run_is_drawn(crowd: Analysis, dimensions: str) -> None:
    seen = 0
    for trace in traces(figure_of(crowd, dimensions=dimensions), "runs"):
        gaps = np.flatnonzero(np.isnan(trace["x"]))
        for start, end in zip([0, *(gaps[:-1] + 1)], gaps, strict=True):
            assert trace["y"][start:end].tolist() == [*range(0, 60, 2), 59]
            assert len(set(trace["x"][start:end])) == 1
            seen += 1
    assert seen == 500


def test_the_caption_says_what_is_not_drawn(crowd: Analysis) -> None:
    words = (
        "Drawn: every 2nd checkpoint of each run, with its first and last (15,500 of 30,000); everything is computed "
        "from all of them."
    )
    assert words in draw(crowd).caption
    assert "Drawn" not in draw(crowd, epochs=[0, 39]).caption
    assert "Drawn" in draw(crowd, epochs=[0, 40]).caption


def test_coloured_checkpoints_are_those_that_are_drawn(crowd: Analysis) -> None:
    figure = figure_of(crowd, color_by="epoch")
    [colored] = traces(figure, "values")
    drawn = np.concatenate([points(run, "xy") for run in traces(figure, "runs")])
    assert sorted(map(tuple, points(colored, "xy"))) == sorted(map(tuple, drawn))
    assert colored["marker"]["cmax"] == pytest.approx(np.log1p(59))


def test_very_many_points_of_means_are_thinned_too() -> None:
    many = Analysis(published(70, 70, 300))  # a curve a run
    for mean in traces(figure_of(many), "mean"):
        assert mean["y"].tolist() == [*range(0, 300, 2), 299, 299]
    assert "Of the means: every 2nd point (10,570 of 21,000)." in draw(many).caption


# -- datasets with little in them -------------------------------------------------------------------------------------


def test_a_published_picture_draws_and_promises_nothing_more() -> None:
    analysis = Analysis(published())
    figure = figure_of(analysis)
    np.testing.assert_array_equal(points(traces(figure, "runs")[0])[:, 0], [0] * 6 + [2] * 6)
    assert not any(traces(figure, role) for role in ("geodesic", "ignorance", "truth"))
    assert "imaginary" in figure["layout"]["scene"]["zaxis"]["title"]["text"]
    caption = draw(analysis).caption
    assert "●" not in caption
    assert caption.startswith("Axes and stress are those of the whole published set, whatever is chosen.")
    assert caption.count("whole published set") == 1
    assert "whole published set" in draw(analysis, "stress").caption
    for view in ("progress", "comparison", "lengths"):
        drawing = draw(analysis, view)
        assert drawing.figure is None
        assert "predictions" in drawing.message
    assert draw(Analysis(embedding_only())).figure is not None


@pytest.mark.parametrize("make", [geodesic_run, constant_run])
@pytest.mark.parametrize("view", ["inpca", "progress", "lengths", "stress"])
def test_single_runs_draw_everywhere(make: Callable[[], xr.Dataset], view: str) -> None:
    for dimensions in ("3-D", "2-D", "pairs"):
        figure = figure_of(make(), view, dimensions=dimensions)
        text = json.dumps(as_plain(figure["layout"]), allow_nan=False)
        assert "NaN" not in text


def test_a_single_checkpoint_says_so_and_draws_what_it_can() -> None:
    analysis = Analysis(random_trajectories(n_checkpoints=3).isel(checkpoint=[1]))
    assert "only one checkpoint" in draw(analysis).message
    assert draw(analysis, "comparison").message
    assert traces(figure_of(analysis, "lengths"), "mean")[0]["x"].tolist() == [0]
    assert len(traces(figure_of(analysis, "progress"), "mean")[0]["y"]) == 1


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"curves": []}, "no curve is chosen: choose at least one"),
        ({"seeds": []}, "no seed is chosen: choose at least one"),
        ({"epochs": [0.1, 0.2]}, "no checkpoint is chosen between epoch 0.1 and 0.2"),
    ],
)
@pytest.mark.parametrize("view", ["inpca", "progress", "lengths", "stress"])
def test_an_empty_choice_is_a_message(analysis: Analysis, view: str, choices: dict[str, Any], words: str) -> None:
    drawing = draw(analysis, view, **choices)
    assert drawing.figure is None
    assert drawing.message == words
    assert drawing.caption == VIEWS[view].how_to_read


def test_a_dataset_without_accuracy_is_coloured_by_what_predictions_say() -> None:
    ds = random_trajectories(n_checkpoints=3)
    with_it, without = (
        traces(figure_of(data, color_by="accuracy"), "values") for data in (ds, ds.drop_vars("accuracy"))
    )
    np.testing.assert_allclose(with_it[0]["marker"]["color"], without[0]["marker"]["color"])


# -- numbers ----------------------------------------------------------------------------------------------------------


def test_the_tables_of_views_are_what_is_drawn(analysis: Analysis) -> None:
    picture = draw(analysis, curves=["blue"], seeds=[1]).table
    assert picture is not None
    rows = Selection(tasks=("blue",), seeds=(1,)).rows(analysis.ds)
    assert picture["row"].tolist() == rows.tolist()
    assert set(picture["task"]) == {"blue"}
    np.testing.assert_array_equal(picture["inpca 4"], analysis.picture(n_components=5)["embedding"].values[rows, 3])
    progress = draw(analysis, "progress", progress_metric="great_circle").table
    assert progress is not None
    np.testing.assert_allclose(
        progress["progress great_circle"], analysis.progress_curves(metric="great_circle")["mean"]
    )
    lengths = draw(analysis, "lengths").table
    assert lengths is not None
    np.testing.assert_allclose(lengths["length"], analysis.riemann_lengths()["length"])
