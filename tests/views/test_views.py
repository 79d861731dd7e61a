"""Figures as data: which traces there are, what they hold, what axes and colours say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, random_trajectories
from predspace_widgets.views import inpca, lengths, progress, stress
from predspace_widgets.views.inpca import notes
from predspace_widgets.views.lengths import schedule
from predspace_widgets.views.style import Style, curve_styles
from predspace_widgets.views.view import styles_of

MARKS = "● knows nothing (all classes equally likely), ★ knows every label; dashed: the shortest path."


def drawn_by(draw: Callable[..., dict[str, Any]], *arguments: Any, **options: Any) -> go.Figure:
    """A figure as plotly's own classes check it."""
    return go.Figure(draw(*arguments, **options))


def inpca_figure(*arguments: Any, **options: Any) -> go.Figure:
    return drawn_by(inpca.inpca_figure, *arguments, **options)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return Analysis(random_trajectories(n_seeds=2, n_checkpoints=6))


@pytest.fixture(scope="module")
def styles(analysis: Analysis) -> dict[str, Style]:
    return styles_of(analysis)[0]


def styled(n_curves: int) -> dict[str, Style]:
    """Styles of the curves "task 0", "task 1", ..."""
    names = [f"task {number}" for number in range(n_curves)]
    return dict(zip(names, curve_styles([(name, "supervised") for name in names])[0], strict=True))


def traces(figure: go.Figure, meta: str) -> list:
    return [trace for trace in figure.data if trace.meta == meta]


@pytest.mark.parametrize("axes", [(1, 2, 3), (1, 2), (3, 5)])
def test_picture_holds_every_run_and_mean(analysis: Analysis, styles: dict[str, Style], axes: tuple[int, ...]) -> None:
    picture = analysis.picture(n_components=5)
    figure = inpca_figure(picture, styles, axes)
    runs, means = traces(figure, "runs"), traces(figure, "mean")
    assert [trace.name for trace in runs] == [trace.name for trace in means] == analysis.curve_names
    coordinates = "xyz"[: len(axes)]
    for trace in runs:
        points = np.stack([trace[letter] for letter in coordinates], axis=1)
        gaps = np.isnan(points).all(axis=1)
        assert gaps.sum() == 2  # after each of two seeds
        wanted = picture["embedding"].sel(component=list(axes)).values[picture["curve"].values == trace.name]
        np.testing.assert_array_equal(points[~gaps], wanted)
    for trace in means:
        assert trace.line.color == styles[trace.name].color
        assert len(trace.x) == 6
        assert trace.line.width > 2 * runs[0].line.width


def test_mean_is_the_mean_over_seeds(analysis: Analysis, styles: dict[str, Style]) -> None:
    figure = inpca_figure(analysis.picture(), styles)
    for runs, mean in zip(traces(figure, "runs"), traces(figure, "mean"), strict=True):
        x = np.asarray(runs.x)
        by_seed = x[~np.isnan(x)].reshape(2, 6)
        np.testing.assert_allclose(mean.x, by_seed.mean(axis=0))


@pytest.mark.parametrize("axes", [(1, 2, 3), (2, 1)])
def test_references_lie_where_the_projection_puts_them(
    analysis: Analysis, styles: dict[str, Style], axes: tuple[int, ...]
) -> None:
    picture = analysis.picture()
    figure = inpca_figure(picture, styles, axes)
    [line], [start], [end] = (traces(figure, name) for name in ("geodesic", "ignorance", "truth"))
    path = picture["geodesic"].sel(component=list(axes)).values
    np.testing.assert_array_equal(np.stack([line.x, line.y], axis=1), path[:, :2])
    assert (start.x[0], start.y[0]) == tuple(path[0, :2])
    assert (end.x[0], end.y[0]) == tuple(path[-1, :2])
    assert line.line.dash == "dash"
    named = [trace.name for trace in figure.data if trace.showlegend is not False]
    assert len(named) == 3
    for word in ("geodesic", "ignorance", "truth"):
        assert any(word in name for name in named)


def test_axes_say_what_they_are(analysis: Analysis, styles: dict[str, Style]) -> None:
    picture = analysis.picture(n_components=3)
    figure = inpca_figure(picture, styles, (2, 1))
    share = float(picture["axis_stress"][1])
    assert figure.layout.xaxis.title.text.startswith("InPCA 2, ")
    assert figure.layout.xaxis.title.text.endswith("% of stress")
    assert abs(float(figure.layout.xaxis.title.text.split(", ")[1].split("%")[0]) / 100 - share) < 0.006
    imaginary = picture.assign(eigenvalue=-abs(picture["eigenvalue"]))
    assert "imaginary" in inpca_figure(imaginary, styles, (1, 2)).layout.yaxis.title.text
    assert "imaginary" not in inpca_figure(picture, styles, (1, 2)).layout.xaxis.title.text


@pytest.mark.parametrize("axes", [(1, 2, 3), (1, 2)])
@pytest.mark.parametrize("what", ["epoch", "progress", "accuracy"])
def test_values_color_every_checkpoint(
    analysis: Analysis, styles: dict[str, Style], what: str, axes: tuple[int, ...]
) -> None:
    values = {"epoch": analysis.ds["epoch"], "progress": analysis.progress(), "accuracy": analysis.accuracy()}[what]
    rows = Selection(tasks=("green",))
    figure = inpca_figure(analysis.picture(rows), styles, axes, values)
    [points] = traces(figure, "values")
    assert points.marker.colorbar.title.text == what
    shown = points.customdata[:, 2]
    assert set(points.text) == {"green"}
    np.testing.assert_allclose(shown, values.values[rows.rows(analysis.ds)])
    order = np.argsort(shown, kind="stable")
    assert np.all(np.diff(np.asarray(points.marker.color)[order]) >= 0)


# -- more checkpoints than are drawn ----------------------------------------------------------------------------------


def many(n_runs: int, n_curves: int, n_checkpoints: int = 60) -> xr.Dataset:
    """A picture of many runs, whose checkpoints alternate between the runs."""
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
    ds = xr.Dataset(
        {"embedding": (("checkpoint", "component"), embedding), "eigenvalue": ("component", [3.0, 2.0, 1.0])},
        coords={name: ("checkpoint", column) for name, column in columns.items()},
    )
    return Analysis(ds).picture()


@pytest.fixture(scope="module")
def crowd() -> xr.Dataset:
    """500 runs of 60 checkpoints, 30,000: every 2nd of each run and its last are 31 x 500."""
    return many(500, 2)


@pytest.mark.parametrize("axes", [(1, 2, 3), (1, 2)])
def test_of_very_many_checkpoints_every_kth_of_each_run_is_drawn(crowd: xr.Dataset, axes: tuple[int, ...]) -> None:
    figure = inpca_figure(crowd, styled(2), axes)
    seen = 0
    for trace in traces(figure, "runs"):
        gaps = np.flatnonzero(np.isnan(trace.x))
        for start, end in zip([0, *(gaps[:-1] + 1)], gaps, strict=True):
            assert trace.y[start:end].tolist() == [*range(0, 60, 2), 59]
            [number] = set(trace.x[start:end].tolist())
            names = [(int(number) // 2, float(epoch)) for epoch in trace.y[start:end]]
            assert [tuple(note) for note in trace.customdata[start:end]] == names
            assert trace.name == f"task {int(number) % 2}"
            seen += 1
    assert seen == 500
    assert [len(trace.x) for trace in traces(figure, "mean")] == [60, 60]


PUBLISHED = "The axes and the stress are those of the whole published set, whatever is chosen."


def said(picture: xr.Dataset) -> str:
    """What notes say beside the marks."""
    return notes(picture).removeprefix(MARKS).removeprefix(PUBLISHED).strip()


def test_the_caption_says_what_is_not_drawn(crowd: xr.Dataset) -> None:
    assert said(crowd) == (
        "Drawn: every 2nd checkpoint of each run, with its first and last (15,500 of 30,000); everything is computed "
        "from all of them."
    )
    assert said(crowd.isel(checkpoint=slice(20_000))) == ""
    assert said(crowd.isel(checkpoint=slice(20_001))) != ""


def test_colored_checkpoints_are_the_drawn_ones_on_the_scale_of_all(crowd: xr.Dataset) -> None:
    values = xr.DataArray(-np.abs(crowd["epoch"].values - 31.0), dims="checkpoint", name="accuracy")  # highest at 31
    figure = inpca_figure(crowd, styled(2), values=values)
    [points] = traces(figure, "values")
    lines = traces(figure, "runs")
    drawn = np.concatenate([np.stack([line.x, line.y], axis=1)[~np.isnan(line.x)] for line in lines])
    assert sorted(zip(points.x, points.y, strict=True)) == sorted(map(tuple, drawn))
    np.testing.assert_array_equal(points.marker.color, -np.abs(np.asarray(points.y) - 31))
    assert (points.marker.cmin, points.marker.cmax) == (-31, 0)
    assert max(points.marker.color) == -1


def test_the_scale_of_epochs_is_that_of_all_checkpoints(crowd: xr.Dataset) -> None:
    epochs = xr.DataArray(crowd["epoch"].values / 10, dims="checkpoint", name="epoch")
    [points] = traces(inpca_figure(crowd, styled(2), values=epochs), "values")
    np.testing.assert_allclose(points.marker.color, np.log1p(points.y))  # in units of 0.1, which is not drawn
    assert points.marker.cmax == pytest.approx(np.log1p(59))


def test_values_that_are_not_there_leave_the_scale_to_the_others(crowd: xr.Dataset) -> None:
    few = crowd.isel(checkpoint=slice(4))
    for values, bounds in (([np.nan, 0.25, 0.75, np.nan], (0.25, 0.75)), ([np.nan] * 4, (None, None))):
        column = xr.DataArray(values, dims="checkpoint", name="accuracy")
        [points] = traces(inpca_figure(few, styled(2), values=column), "values")
        assert (points.marker.cmin, points.marker.cmax) == bounds


def test_what_hovering_tells_is_json(crowd: xr.Dataset) -> None:
    """A notebook refuses NaN, which JSON does not know."""
    values = xr.DataArray([np.nan, 0.25, 0.75, np.nan], dims="checkpoint", name="accuracy")
    for axes in ((1, 2), (1, 2, 3)):
        figure = inpca.inpca_figure(crowd.isel(checkpoint=slice(4)), styled(2), axes, values)
        for trace in figure["data"]:
            json.dumps(trace["customdata"].tolist(), allow_nan=False)


def test_very_many_points_of_means_are_thinned_too() -> None:
    picture = many(70, 70, n_checkpoints=300)  # a curve a run
    figure = inpca_figure(picture, styled(70))
    for mean in traces(figure, "mean"):
        assert mean.y.tolist() == [*range(0, 300, 2), 299]
        assert mean.customdata.tolist() == mean.y.tolist()
    assert notes(picture).endswith("Of the means: every 2nd point (10,570 of 21,000).")


def test_the_caption_says_that_axes_come_from_landmarks(analysis: Analysis, crowd: xr.Dataset) -> None:
    sentence = "The axes come from 1,500 landmark checkpoints; the rest are projected."
    assert said(analysis.picture()) == ""
    assert said(analysis.picture().assign_attrs(landmarks=1500)) == sentence
    assert said(crowd.assign_attrs(landmarks=1500)) == f"{sentence} {said(crowd)}"


def test_a_published_picture_promises_nothing_that_is_not_drawn(analysis: Analysis, crowd: xr.Dataset) -> None:
    measured, published = analysis.picture(), crowd
    drawn = [
        {trace.meta for trace in inpca_figure(picture, styled(2) | styles_of(analysis)[0]).data}
        for picture in (measured, published)
    ]
    references = {"geodesic", "ignorance", "truth"}
    assert (drawn[0] & references, drawn[1] & references) == (references, set())
    for view in (inpca.VIEW, stress.VIEW):
        assert not set("●★") & set(view.how_to_read)
        assert "dashed" not in view.how_to_read
    assert notes(measured) == MARKS
    assert notes(published).startswith(PUBLISHED)
    assert "●" not in notes(published)
    assert "whole published set" in stress.VIEW.notes(published, "")
    assert stress.VIEW.notes(measured, "") == ""


def test_the_caption_says_what_dashes_mean(analysis: Analysis) -> None:
    assert (
        notes(analysis.picture(), "A colour is a task, a dash a method.")
        == f"{MARKS} A colour is a task, a dash a method."
    )


def test_unknown_axes_are_an_error(analysis: Analysis, styles: dict[str, Style]) -> None:
    with pytest.raises(ValueError, match="axes 1 to 3"):
        inpca_figure(analysis.picture(n_components=3), styles, (1, 4))
    with pytest.raises(ValueError, match="cannot draw"):
        inpca_figure(analysis.picture(n_components=3), styles, (1,))


def test_zoom_and_camera_survive_a_new_figure(analysis: Analysis, styles: dict[str, Style]) -> None:
    pictures = [inpca_figure(analysis.picture(Selection(tasks=tasks)), styles) for tasks in (("red",), ("blue", "red"))]
    for figure in pictures:
        assert figure.layout.uirevision == figure.layout.scene.uirevision == "keep"


def test_progress_draws_mean_and_band(analysis: Analysis, styles: dict[str, Style]) -> None:
    curves = analysis.progress_curves()
    figure = drawn_by(progress.progress_figure, curves, styles)
    by_seed = analysis.progress().values.reshape(3, 2, 6)  # (task, seed, step)
    for number, (band, mean) in enumerate(zip(traces(figure, "band"), traces(figure, "mean"), strict=True)):
        np.testing.assert_allclose(mean.y, by_seed[number].mean(axis=0))
        np.testing.assert_allclose(band.y[:6], by_seed[number].max(axis=0))
        np.testing.assert_allclose(band.y[6:], by_seed[number].min(axis=0)[::-1])
        assert mean.line.color == styles[mean.name].color
        assert np.all(np.diff(mean.x) > 0)
        np.testing.assert_allclose([note[0] for note in mean.customdata], np.linspace(0, 10, 6))
    assert "ignorance to truth" in figure.layout.yaxis.title.text
    assert figure.layout.xaxis.ticktext[0] == "0"


def test_lengths_show_each_run_and_the_mean(analysis: Analysis, styles: dict[str, Style]) -> None:
    table = analysis.riemann_lengths()
    figure = drawn_by(lengths.lengths_figure, table, styles)
    for bar, dots in zip(traces(figure, "mean"), traces(figure, "seeds"), strict=True):
        wanted = table.loc[table["curve"] == bar.name, "length"]
        np.testing.assert_allclose(sorted(dots.x), sorted(wanted))
        np.testing.assert_allclose(bar.x, wanted.mean())
        assert dots.marker.color == styles[bar.name].color


def test_schedule_warns_where_lengths_do_not_compare(analysis: Analysis) -> None:
    table = analysis.riemann_lengths()
    assert schedule(table) == "6 checkpoints a run, steps 0 to 5."
    table.loc[0, "n_checkpoints"] = 4
    assert "do not compare" in schedule(table)


def test_stress_bars_add_up(analysis: Analysis) -> None:
    picture = analysis.picture(n_components=4)
    below, own = drawn_by(stress.stress_figure, picture).data
    np.testing.assert_allclose(np.add(below.y, own.y), picture["explained_stress"].values)
    np.testing.assert_allclose(own.y, picture["axis_stress"].values)


@pytest.mark.parametrize("make", [geodesic_run, constant_run])
def test_single_runs_draw_everywhere(make) -> None:  # type: ignore[no-untyped-def]
    analysis = Analysis(make())
    styles, _ = styles_of(analysis)
    picture = analysis.picture(n_components=3)
    figures = [
        inpca_figure(picture, styles),
        drawn_by(stress.stress_figure, picture),
        drawn_by(progress.progress_figure, analysis.progress_curves(), styles),
        drawn_by(lengths.lengths_figure, analysis.riemann_lengths(), styles),
    ]
    for figure in figures:
        assert "NaN" not in str(figure.layout.to_plotly_json())
        figure.to_json()
