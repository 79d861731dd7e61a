"""Error bars in figures: ellipses that are those of the bootstrap, bands that are its percentiles."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from predspace_widgets.analysis import Analysis, analysis_of, uncertainty
from predspace_widgets.analysis.uncertainty import bootstrap
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.session import Session
from predspace_widgets.explorers.sharing import from_query, to_query
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.explorers.still import still
from predspace_widgets.geometry.ellipses import region_radius
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import geodesic_run, random_trajectories
from predspace_widgets.views import VIEWS, error_bars
from predspace_widgets.views.error_bars import N_SPECTRUM, OVER, chosen_along
from tests.trajectories.samples import embedding_only
from tests.views.conftest import figure_of, traces

#: The axes of a picture, by the choices that draw it.
DRAWN: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"dimensions": "3-D"}, (1, 2, 3)),
    ({"dimensions": "2-D", "horizontal": 4, "vertical": 2}, (4, 2)),
]


N_DRAWS = 24


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(error_bars, "N_DRAWS", N_DRAWS)
        yield


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analysis_of(random_trajectories(("red", "green"), n_seeds=3, n_checkpoints=6, n_samples=20))


def outlines(trace: dict[str, Any]) -> np.ndarray:
    """The outlines of a trace, between its gaps, without the last point, which is the first: (outline, point, d)."""
    columns = np.stack([trace[letter] for letter in "xyz" if letter in trace], axis=1)
    ends = np.flatnonzero(np.isnan(columns[:, 0]))
    return np.stack([columns[end - ends[0] : end - 1] for end in ends])


def regions(trace: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The centre of each ellipse or ellipsoid of a trace, and the covariance that its outlines tell."""
    found = outlines(trace)
    d = found.shape[-1]
    found = found.reshape(-1, d * (d - 1) // 2, *found.shape[1:])  # (region, outline, point, d)
    centres = found.mean(axis=(1, 2))
    away = found - centres[:, None, None]
    # Half of the squares of two half axes is the mean along an outline of them; each is in d - 1 outlines.
    moments = 2 * np.einsum("ropi,ropj->rij", away, away) / found.shape[2] / (d - 1)
    return centres, moments / region_radius(d) ** 2


@pytest.mark.parametrize("over", OVER)
@pytest.mark.parametrize(("choices", "axes"), DRAWN)
@pytest.mark.parametrize("fitted_on", ["everything", "shown", "frozen"])
def test_ellipses_are_those_of_the_bootstrap(
    analysis: Analysis, over: str, choices: dict[str, Any], axes: tuple[int, ...], fitted_on: str
) -> None:
    shown = {"seeds": [0, 1]} if fitted_on == "everything" else {"curves": ["red"]} if fitted_on == "shown" else {}
    frozen = {"curves": ["red"], "seeds": [0, 1, 2], "epochs": [0.0, 6.0]} if fitted_on == "frozen" else None
    choices = {**choices, **shown, "axes_fitted_on": fitted_on, "frozen": frozen, "uncertainty": over}
    state = ExplorerState(analysis, **choices)
    drawn = bootstrap(analysis, state.selection, N_SPECTRUM, N_DRAWS, over, fitted_on=state.fitted_on)  # type: ignore[arg-type]
    places = np.array(axes) - 1
    ellipses = traces(figure_of(analysis, **choices), "ellipse")
    assert [trace["name"] for trace in ellipses] == state.curves
    for trace in ellipses:
        centres, covariances = regions(trace)
        own = np.flatnonzero(drawn["mean_curve"].values == trace["name"])
        means = drawn["mean"].values[own][:, places]
        nearest = np.linalg.norm(centres[:, None] - means, axis=-1).argmin(axis=1)
        np.testing.assert_allclose(centres, means[nearest], atol=1e-9)
        assert nearest[-1] == len(own) - 1
        assert 3 <= len(nearest) <= 6
        wanted = drawn["mean_covariance"].values[own[nearest]][:, places][:, :, places]
        np.testing.assert_allclose(covariances, wanted, rtol=1e-6, atol=1e-12)
        assert np.abs(wanted).max() > 1e-9


def test_three_panels_have_their_own_ellipses(analysis: Analysis) -> None:
    ellipses = traces(figure_of(analysis, dimensions="pairs", uncertainty="samples"), "ellipse")
    flat = {}
    for panel, (horizontal, vertical) in (("", (1, 2)), ("2", (1, 3)), ("3", (2, 3))):
        choices = {"dimensions": "2-D", "horizontal": horizontal, "vertical": vertical, "uncertainty": "samples"}
        flat[f"x{panel}"] = traces(figure_of(analysis, **choices), "ellipse")
    assert len(ellipses) == 6
    for trace in ellipses:
        [alone] = [one for one in flat[trace.get("xaxis", "x")] if one["name"] == trace["name"]]
        np.testing.assert_array_equal(trace["x"], alone["x"])
        np.testing.assert_array_equal(trace["y"], alone["y"])


def test_the_bands_are_percentiles_of_the_draws(analysis: Analysis) -> None:
    drawn = bootstrap(analysis, n_components=N_SPECTRUM, n_draws=N_DRAWS, fitted_on=Selection())
    for spectrum, name, n_axes in (("share", "drawn_explained_stress", 5), ("eigenvalues", "drawn_eigenvalue", 8)):
        role = "whiskers" if spectrum == "share" else "band"
        [band] = traces(figure_of(analysis, "stress", spectrum=spectrum, uncertainty="samples"), role)
        low, high = np.percentile(np.abs(drawn[name].values), [2.5, 97.5], axis=0)[:, :n_axes]
        ends = np.stack([low, high], axis=1).ravel() if role == "whiskers" else np.concatenate([high, low[::-1]])
        np.testing.assert_allclose(band["y"][np.isfinite(band["y"])], ends, rtol=1e-12)
    assert traces(figure_of(analysis, "stress", spectrum="eigenvalues"), "band") == []


def table_of(analysis: Analysis, view: str, **choices: Any) -> pd.DataFrame:
    table = VIEWS[view].draw(analysis, ExplorerState(analysis, **choices)).table
    assert table is not None
    return table


def test_numbers_of_the_picture_hold_the_error_bars(analysis: Analysis) -> None:
    choices = {"seeds": [0, 2], "uncertainty": "seeds", "axes_fitted_on": "shown"}
    table = table_of(analysis, "inpca", **choices)
    state = ExplorerState(analysis, **choices)
    drawn = bootstrap(analysis, state.selection, N_SPECTRUM, N_DRAWS, "seeds", fitted_on=state.fitted_on)
    deviations = np.sqrt(np.diagonal(drawn["mean_covariance"].values, axis1=1, axis2=2))
    names, epochs = drawn["mean_curve"].values, drawn["mean_epoch"].values
    for row in table.itertuples():
        [own] = deviations[(names == row.task) & (epochs == row.epoch)]
        found = table.loc[row.Index, [f"spread of mean inpca {axis}" for axis in range(1, 6)]]
        np.testing.assert_allclose(found.astype(float), own[:5], rtol=1e-3)
    assert set(table) - set(table_of(analysis, "inpca")) == {f"spread of mean inpca {axis}" for axis in range(1, 6)}


def test_numbers_of_the_spectrum_hold_the_band(analysis: Analysis) -> None:
    drawn = bootstrap(analysis, n_components=N_SPECTRUM, n_draws=N_DRAWS, fitted_on=Selection())
    table = table_of(analysis, "stress", uncertainty="samples")
    of = {"cumulative": "drawn_explained_stress", "magnitude": "drawn_eigenvalue"}
    for name, values in of.items():
        ends = np.percentile(np.abs(drawn[values].values), [2.5, 97.5], axis=0)[:, :5]
        np.testing.assert_allclose(table[[f"{name} low", f"{name} high"]].T, ends, rtol=1e-12)
    assert not any("low" in name for name in table_of(analysis, "stress"))


def test_percents_stand_above_the_band(analysis: Analysis) -> None:
    figure = figure_of(analysis, "stress", uncertainty="samples")
    [percents], [whiskers] = traces(figure, "percent"), traces(figure, "whiskers")
    assert (np.array(percents["y"]) >= np.array(whiskers["y"]).reshape(5, 3)[:, 1]).all()  # low, high and a gap
    assert "text" not in traces(figure, "own")[0]
    np.testing.assert_array_equal(percents["text"], traces(figure_of(analysis, "stress"), "own")[0]["text"])


@pytest.mark.parametrize("over", OVER)
def test_captions_say_what_error_bars_are(analysis: Analysis, over: str) -> None:
    picture, stress = (
        VIEWS[view].draw(analysis, ExplorerState(analysis, uncertainty=over)).caption for view in ("inpca", "stress")
    )
    kind = "Normal" if over == "seeds" else "95%"
    assert (
        f"{kind} ellipses over {N_DRAWS} draws of {over}, around means at their last epoch and along" in picture[:160]
    )
    spectrum = caption(analysis, "stress", uncertainty=over, spectrum="eigenvalues")
    for said in (stress, spectrum):  # of more a narrow card has no room
        assert f"2.5th to 97.5th percentile over {N_DRAWS} draws of {over}." in said[:112]
    assert "Participation ratio (tr W)² / |W|²: " in stress
    assert "ellipses" not in VIEWS["inpca"].draw(analysis, ExplorerState(analysis)).caption


def caption(analysis: Analysis, view: str = "inpca", **choices: Any) -> str:
    return VIEWS[view].draw(analysis, ExplorerState(analysis, **choices)).caption


def test_of_few_seeds_the_caption_says_how_often_ellipses_hold_the_mean(analysis: Analysis) -> None:
    in_plane, in_space, flat = "hold the mean 50 times in 100, not 95", "hold the mean", "are flat and all but never"
    assert f"of 3 seeds they {in_plane}" in caption(analysis, uncertainty="seeds", dimensions="2-D")
    assert f"of 3 seeds they {in_plane}" in caption(analysis, uncertainty="seeds", dimensions="pairs")
    assert f"of 3 seeds they {flat} {in_space}" in caption(analysis, uncertainty="seeds", dimensions="3-D")
    two = {"uncertainty": "seeds", "dimensions": "2-D", "seeds": [0, 2]}
    assert f"of 2 seeds they {flat} {in_space}" in caption(analysis, **two)
    assert "hold the mean" not in caption(analysis, uncertainty="samples") + caption(analysis, uncertainty="runs")


def test_the_caption_names_the_ellipses_that_are_drawn() -> None:
    tasks = tuple(f"task {number}" for number in range(20))
    ds = random_trajectories(tasks, n_seeds=1, n_checkpoints=4, n_samples=6)
    figure = figure_of(ds, dimensions="2-D", uncertainty="samples")
    assert {len(outlines(trace)) for trace in traces(figure, "ellipse")} == {1}
    said = caption(analysis_of(ds), uncertainty="samples")
    assert "at their last epoch." in said
    assert "along" not in said


def test_a_ratio_from_which_imaginary_axes_subtract_is_no_dimension(analysis: Analysis) -> None:
    few = {"curves": ["red"], "seeds": [0], "epochs": [0.0, 2.0], "axes_fitted_on": "shown"}
    for choices, has_imaginary in (({}, True), (few, False)):
        state = ExplorerState(analysis, **choices)
        eigenvalues = analysis.picture(state.selection, N_SPECTRUM, state.fitted_on)["eigenvalue"].values
        assert (eigenvalues < 0).any() == has_imaginary
        said = caption(analysis, "stress", uncertainty="samples", **choices)
        assert "imension" not in said
        assert ("imaginary axes subtract" in said) == has_imaginary


def test_they_are_measured_once_for_all_views(analysis: Analysis, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: Any, **options: Any) -> xr.Dataset:
        calls.append(options["over"])
        return bootstrap(*arguments, **options)

    monkeypatch.setattr(uncertainty, "bootstrap", counted)
    choices = {"curves": ["green"], "epochs": [1, 5]}
    for dimensions in ("3-D", "2-D", "pairs"):
        figure_of(analysis, **choices, dimensions=dimensions, uncertainty="samples")
        figure_of(analysis, "stress", **choices, uncertainty="samples")
    assert calls == ["samples"]
    figure_of(analysis, **choices, uncertainty="runs")
    assert calls == ["samples", "runs"]


def test_without_them_nothing_is_measured(analysis: Analysis, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise AssertionError("nobody asked for error bars")

    monkeypatch.setattr(uncertainty, "bootstrap", fail)
    figure_of(analysis, epochs=[1, 4])
    figure_of(analysis, "stress", epochs=[1, 4])
    figure_of(analysis, "lengths", epochs=[1, 4], uncertainty="runs")
    state = ExplorerState(analysis, epochs=[1, 4], uncertainty="samples")
    assert still(analysis, state).startswith("<svg")  # a cell does not wait


def test_what_has_no_error_bars_says_why(analysis: Analysis) -> None:
    with pytest.raises(ValueError, match="seeds"):
        figure_of(analysis, seeds=[1], uncertainty="seeds")
    with pytest.raises(ValueError, match="no predictions"):
        figure_of(embedding_only(), uncertainty="samples")
    with pytest.raises(ValueError, match="at least two"):
        figure_of(geodesic_run(1), uncertainty="samples")
    frozen = {"curves": ["red"], "seeds": [0], "epochs": [0.0, 6.0]}
    with pytest.raises(ValueError, match="a draw of runs has less than two checkpoints that axes are fitted on"):
        figure_of(analysis, axes_fitted_on="frozen", frozen=frozen, uncertainty="runs")


def test_few_checkpoints_have_few_axes(analysis: Analysis) -> None:
    choices = {"curves": ["red"], "epochs": [0.0, 2.0], "axes_fitted_on": "shown", "uncertainty": "seeds"}
    state = ExplorerState(analysis, **choices)
    assert analysis.picture(state.selection, N_SPECTRUM).sizes["component"] < N_SPECTRUM
    for horizontal, vertical in ((1, 2), (2, 5)):
        [trace] = traces(
            figure_of(analysis, dimensions="2-D", horizontal=horizontal, vertical=vertical, **choices), "ellipse"
        )
        assert np.isfinite(regions(trace)[1]).all()


def test_a_curve_with_a_single_seed_has_none_over_seeds() -> None:
    ds = random_trajectories(("red", "green"), n_seeds=2, n_checkpoints=5)
    ds = ds.isel(checkpoint=np.flatnonzero(~((ds["task"] == "red") & (ds["seed"] == 1)).values))
    [ellipse] = traces(figure_of(ds, uncertainty="seeds"), "ellipse")
    assert ellipse["name"] == "green"
    table = table_of(analysis_of(ds), "inpca", uncertainty="seeds")
    np.testing.assert_array_equal(table["spread of mean inpca 1"].isna(), table["task"] == "red")


def test_many_curves_have_few_each() -> None:
    tasks = tuple(f"task {number}" for number in range(14))
    ds = random_trajectories(tasks, n_seeds=1, n_checkpoints=8, n_samples=10)
    ellipses = traces(figure_of(ds, dimensions="2-D", uncertainty="samples"), "ellipse")
    assert len(ellipses) == 14
    assert all(1 <= len(outlines(trace)) <= 2 for trace in ellipses)


@given(
    progress=arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)),
    most=st.integers(1, 6),
)
def test_the_chosen_points_end_at_the_last(progress: np.ndarray, most: int) -> None:
    places = chosen_along(progress, most)
    assert places[-1] == len(progress) - 1
    assert 1 <= len(places) <= most
    assert (np.diff(places) > 0).all()


# -- the choice, wherever choices are kept ----------------------------------------------------------------------------


def test_settings_address_and_code_have_it() -> None:
    ds = random_trajectories(n_checkpoints=4)
    explorer = Explorer(ds, uncertainty="seeds")
    assert explorer.settings() == {"uncertainty": "seeds"}
    assert from_query(to_query(explorer.settings())) == {"uncertainty": "seeds"}
    with pytest.raises(ValueError, match="uncertainty must be 'none', 'samples', 'seeds' or 'runs'"):
        Explorer(ds, uncertainty="weather")
    *_, making, drawing = ast.parse(explorer.code()).body
    scope = {"pw": __import__("predspace_widgets"), "ds": ds}
    exec(compile(ast.Module([making], []), "code", "exec"), scope)
    figure = eval(compile(ast.Expression(drawing.value), "code", "eval"), scope)  # type: ignore[attr-defined]
    assert sum(trace.meta["role"] == "ellipse" for trace in figure.data) == 3


def test_a_session_answers_with_plain_numbers(analysis: Analysis) -> None:
    session = Session(analysis)
    choices = {"uncertainty": "samples", "curves": ["red"], "samples": {"classes": ["class 1", "class 2"]}}
    plain = session.answer({"kind": "error bars", "choices": choices}).plain
    state = ExplorerState(analysis, **choices)
    assert plain == error_bars.error_bars(state.on_samples, state)
    assert set(plain["curve"]) == {0}
    assert np.array(plain["covariance"]).shape[1:] == (N_SPECTRUM, N_SPECTRUM)
    whole = session.answer({"kind": "error bars", "choices": {**choices, "samples": None}}).plain
    assert plain["covariance"] != whole["covariance"]
    assert session.answer({"kind": "error bars", "choices": {}}).plain is None


def test_what_measures_them_is_not_loaded_at_the_start() -> None:
    code = "import sys, predspace_widgets.explorers.page; print({'torch', 'sklearn', 'numba'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
