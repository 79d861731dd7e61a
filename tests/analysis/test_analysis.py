"""The measurements: pictures, progress, lengths and comparisons, against the geometry called by hand."""

from __future__ import annotations

import itertools
import sys
import threading
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from predspace_widgets.analysis import Analysis
from predspace_widgets.geometry import (
    InPCA,
    align_signs,
    bhattacharyya,
    geodesic,
    ignorance,
    pairwise,
    progress,
    reindex,
    riemann_length,
    trajectory_distance,
    truth,
)
from predspace_widgets.trajectories import (
    EmptySelectionError,
    NoPredictionsError,
    Selection,
    make_trajectories,
)
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, meeting_runs, random_trajectories
from tests.trajectories.samples import embedding_only, random_probs

# 3 tasks x 3 seeds x 9 checkpoints: 81 rows, so that progress takes two blocks.
TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=9, n_samples=12, n_classes=4)
PROBS = TRAININGS["probs"].values
LABELS = TRAININGS["label"].values

SELECTIONS = [
    Selection(),
    Selection(tasks=("red", "blue")),
    Selection(seeds=(2,), epochs=(0, 5)),
    Selection(tasks=("green",), seeds=(0, 1), epochs=(2.5, 10)),
]
each_selection = pytest.mark.parametrize("selection", SELECTIONS, ids=["all", "two tasks", "one seed", "a part"])


KEPT = Analysis(TRAININGS)


@pytest.fixture
def analysis() -> Analysis:
    return KEPT


def rows_of(run: str, ds: xr.Dataset = TRAININGS) -> list[int]:
    return [row for row, name in enumerate(ds["run"].values.tolist()) if name == run]


def ends() -> np.ndarray:
    return np.stack([ignorance(12, 4), truth(LABELS, 4)])  # (2, N, C)


def assert_checkpoints_named(labelled: xr.DataArray | xr.Dataset, rows: Any) -> None:
    for name in CHECKPOINT_COORDS:
        assert labelled[name].values.tolist() == TRAININGS[name].values[rows].tolist()


# -- distances --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["bhattacharyya", "great_circle", "symmetric_kl", "euclidean"])
def test_distances_are_labelled(analysis: Analysis, metric: Any) -> None:
    distances = analysis.distances(metric)
    assert distances.dims == ("checkpoint", "other")
    assert distances.name == f"{metric} distance"
    np.testing.assert_array_equal(distances.values, pairwise(PROBS, metric=metric))
    assert_checkpoints_named(distances, slice(None))
    for name in CHECKPOINT_COORDS:
        assert distances[f"other_{name}"].dims == ("other",)
        assert distances[f"other_{name}"].values.tolist() == TRAININGS[name].values.tolist()


def test_an_unknown_metric_is_named(analysis: Analysis) -> None:
    for _ in range(2):  # a failure is not kept as a result
        with pytest.raises(ValueError, match="unknown metric 'euclid'"):
            analysis.distances("euclid")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="unknown metric of progress 'euclid'"):
            analysis.progress("euclid")  # type: ignore[arg-type]


# -- progress and accuracy --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["bhattacharyya", "great_circle"])
def test_progress_is_that_of_the_geometry(analysis: Analysis, metric: Any) -> None:
    found = analysis.progress(metric)
    assert found.dims == ("checkpoint",)
    assert found.name == "progress"
    assert_checkpoints_named(found, slice(None))
    np.testing.assert_allclose(found.values, progress(PROBS, *ends(), metric), rtol=0, atol=1e-12)


def test_progress_of_float16_predictions() -> None:
    ds = TRAININGS.assign(probs=TRAININGS["probs"].astype(np.float16))
    np.testing.assert_allclose(Analysis(ds).progress().values, progress(PROBS, *ends()), rtol=0, atol=1e-3)


def test_progress_curves_are_mean_and_band_over_seeds(analysis: Analysis) -> None:
    values = analysis.progress("great_circle").values
    table = analysis.progress_curves(Selection(tasks=("red", "blue"), epochs=(0, 5)), "great_circle")
    expected = []
    for task in ("red", "blue"):
        for step in range(5):
            rows = np.flatnonzero((TRAININGS["task"] == task).values & (TRAININGS["step"] == step).values)
            of_seeds = values[rows]
            expected.append((task, step, step * 1.25, of_seeds.mean(), of_seeds.min(), of_seeds.max(), 3))
    assert list(table.columns) == ["curve", "step", "epoch", "mean", "low", "high", "n_seeds"]
    assert table["curve"].tolist() == [row[0] for row in expected]
    np.testing.assert_allclose(table.drop(columns="curve").to_numpy(float), [row[1:] for row in expected], rtol=1e-12)


def test_curves_go_in_order_of_steps_when_seeds_have_different_ones() -> None:
    ds = make_trajectories(
        random_probs(5, 2, 2), [0, 1], task="a", seed=[0, 0, 1, 1, 1], step=[0, 2, 0, 1, 2], epoch=[0, 2, 0, 1, 4]
    )
    analysis = Analysis(ds)
    table = analysis.progress_curves()
    assert table["step"].tolist() == [0, 1, 2]
    assert table["n_seeds"].tolist() == [2, 1, 2]
    assert table["epoch"].tolist() == [0.0, 1.0, 3.0]
    assert analysis.picture()["mean_epoch"].values.tolist() == [0.0, 1.0, 3.0]


def test_accuracy_is_counted() -> None:
    ds = TRAININGS.drop_vars("accuracy")
    expected = [
        sum(int(np.argmax(PROBS[t, n]) == LABELS[n]) for n in range(len(LABELS))) / len(LABELS)
        for t in range(len(PROBS))
    ]
    found = Analysis(ds).accuracy()
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)
    assert_checkpoints_named(found, slice(None))


def test_a_recorded_accuracy_is_taken() -> None:
    recorded = np.linspace(0, 1, 81)
    assert Analysis(TRAININGS.assign(accuracy=("checkpoint", recorded))).accuracy().values.tolist() == recorded.tolist()


# -- the picture ------------------------------------------------------------------------------------------------------


@each_selection
def test_the_picture_is_inpca_of_the_selected_predictions(analysis: Analysis, selection: Selection) -> None:
    rows = selection.rows(TRAININGS)
    picture = analysis.picture(selection)
    inpca = InPCA(3).fit(PROBS[rows])
    np.testing.assert_allclose(picture["eigenvalue"].values, inpca.eigenvalues_, rtol=0, atol=1e-5)
    np.testing.assert_allclose(picture["explained_stress"].values, inpca.explained_stress_, rtol=0, atol=1e-5)
    signs = align_signs(inpca.embedding_, picture["embedding"].values)
    np.testing.assert_allclose(picture["embedding"].values, inpca.embedding_ * signs, rtol=0, atol=1e-4)
    line = geodesic(*ends(), picture["point"].values)
    np.testing.assert_allclose(picture["geodesic"].values, inpca.transform(line) * signs, rtol=0, atol=1e-4)
    assert picture["row"].values.tolist() == rows.tolist()
    assert picture["curve"].values.tolist() == TRAININGS["task"].values[rows].tolist()
    assert picture["component"].values.tolist() == [1, 2, 3]
    assert_checkpoints_named(picture, rows)


def test_the_picture_against_plain_formulas(analysis: Analysis) -> None:
    selection = Selection(tasks=("red", "green"), epochs=(0, 7.5))
    points = np.sqrt(PROBS[selection.rows(TRAININGS)])  # (T, N, C)
    D = -np.log(np.einsum("tnc,snc->tsn", points, points)).mean(axis=-1)
    L = np.eye(len(D)) - 1 / len(D)
    W = -L @ D @ L / 2
    eigenvalues, vectors = np.linalg.eigh(W)
    order = np.argsort(-np.abs(eigenvalues))[:4]
    expected = vectors[:, order] * np.sqrt(np.abs(eigenvalues[order]))
    stress = 1 - np.sqrt(1 - np.cumsum(eigenvalues[order] ** 2) / (W**2).sum())

    picture = analysis.picture(selection, n_components=4)
    found = picture["embedding"].values
    np.testing.assert_allclose(found * np.sign((found * expected).sum(axis=0)), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(picture["eigenvalue"].values, eigenvalues[order], rtol=0, atol=1e-5)
    np.testing.assert_allclose(picture["explained_stress"].values, stress, rtol=0, atol=1e-4)
    np.testing.assert_allclose(picture["axis_stress"].values, np.diff(stress, prepend=0), rtol=0, atol=1e-4)


@each_selection
def test_the_geodesic_goes_from_ignorance_to_truth(analysis: Analysis, selection: Selection) -> None:
    picture = analysis.picture(selection)
    inpca = InPCA(3).fit(PROBS[selection.rows(TRAININGS)])
    projected = inpca.transform(ends()) * align_signs(inpca.embedding_, picture["embedding"].values)
    assert picture["point"].values[[0, -1]].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(picture["geodesic"].values[[0, -1]], projected, rtol=0, atol=1e-4)


@each_selection
def test_the_mean_over_seeds(analysis: Analysis, selection: Selection) -> None:
    picture = analysis.picture(selection)
    curves, steps = picture["curve"].values.tolist(), picture["step"].values.tolist()
    members: dict[tuple[str, int], list[int]] = {}
    for point, key in enumerate(zip(curves, steps, strict=True)):
        members.setdefault(key, []).append(point)
    means = zip(picture["mean_curve"].values.tolist(), picture["mean_step"].values.tolist(), strict=True)
    assert list(means) == list(members)
    for number, points in enumerate(members.values()):
        np.testing.assert_allclose(
            picture["mean"].values[number], picture["embedding"].values[points].mean(axis=0), rtol=0, atol=1e-12
        )
        assert picture["mean_epoch"].values[number] == picture["epoch"].values[points].mean()


@settings(max_examples=25)
@given(data=st.data())
def test_signs_are_those_of_the_whole_picture_whatever_came_before(data: st.DataObject) -> None:
    tasks = st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1, unique=True).map(tuple)
    epochs = st.tuples(st.sampled_from([0, 2.5]), st.sampled_from([5, 10]))
    choices = st.builds(Selection, tasks=tasks, epochs=epochs, seeds=st.sampled_from([None, (1,), (0, 2)]))
    before, choice, n_axes = data.draw(choices), data.draw(choices), data.draw(st.integers(1, 5))
    fresh = Analysis(TRAININGS)
    fresh.picture(before, n_axes)
    picture = fresh.picture(choice, n_axes)
    xr.testing.assert_identical(picture, KEPT.picture(choice, n_axes))
    whole = KEPT.picture(n_components=n_axes)["embedding"].values[picture["row"].values]
    here = picture["embedding"].values
    k = here.shape[1]
    agreement = ((here - here.mean(axis=0)) * (whole - whole.mean(axis=0))[:, :k]).sum(axis=0)
    assert (agreement >= 0).all()


def test_the_whole_picture_has_its_signs_from_the_estimator(analysis: Analysis) -> None:
    embedding = InPCA(3, metric="precomputed").fit_transform(analysis.distances().values)
    np.testing.assert_allclose(analysis.picture()["embedding"].values, embedding, rtol=0, atol=1e-12)


def test_points_leave_when_the_epochs_are_narrowed(analysis: Analysis) -> None:
    picture = analysis.picture(Selection(epochs=(2.5, 5)))
    assert sorted(set(picture["epoch"].values.tolist())) == [2.5, 3.75, 5.0]
    assert picture.sizes["checkpoint"] == 27
    assert sorted(set(picture["mean_epoch"].values.tolist())) == [2.5, 3.75, 5.0]
    assert picture.sizes["mean_point"] == 9


def test_a_single_checkpoint_makes_no_picture(analysis: Analysis) -> None:
    with pytest.raises(EmptySelectionError, match="only one checkpoint is chosen: a picture needs at least two"):
        analysis.picture(Selection(tasks=("red",), seeds=(0,), epochs=(5, 5)))
    with pytest.raises(EmptySelectionError, match="no checkpoint is chosen between epoch 11 and 12"):
        analysis.picture(Selection(epochs=(11, 12)))


def test_two_checkpoints_make_a_picture_of_two_axes(analysis: Analysis) -> None:
    picture = analysis.picture(Selection(tasks=("red",), seeds=(0,), epochs=(5, 6.25)))
    assert picture.sizes["component"] == 2
    first, second = picture["embedding"].values
    rows = picture["row"].values
    distance = KEPT.distances().values[rows[0], rows[1]]
    np.testing.assert_allclose((first[0] - second[0]) ** 2, distance, rtol=1e-6)
    assert np.isfinite(picture["geodesic"].values).all()


# -- axes fitted on other checkpoints than are shown ------------------------------------------------------------------


def choices() -> st.SearchStrategy[Selection]:
    tasks = st.none() | st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1, unique=True).map(tuple)
    seeds = st.sampled_from([None, (1,), (0, 2)])
    epochs = st.sampled_from([None, (0, 5), (2.5, 10), (5, 10)])
    return st.builds(Selection, tasks=tasks, seeds=seeds, epochs=epochs)


@settings(max_examples=25)
@given(shown=choices(), fitted_on=choices(), n_axes=st.integers(1, 5))
def test_what_is_shown_lies_where_the_fitted_axes_have_it(shown: Selection, fitted_on: Selection, n_axes: int) -> None:
    """Fitted checkpoints at their fitted coordinates, others where the estimator projects them."""
    picture, whole = KEPT.picture(shown, n_axes, fitted_on), KEPT.picture(fitted_on, n_axes)
    rows, fitted = shown.rows(TRAININGS), fitted_on.rows(TRAININGS)
    assert picture["row"].values.tolist() == rows.tolist()
    assert picture.attrs["fitted_on"] == whole.attrs["fitted_on"] == len(fitted)
    for name in ("eigenvalue", "explained_stress", "axis_stress", "geodesic"):
        np.testing.assert_array_equal(picture[name].values, whole[name].values)

    inside = np.isin(rows, fitted)
    np.testing.assert_array_equal(
        picture["embedding"].values[inside], whole["embedding"].values[np.searchsorted(fitted, rows[inside])]
    )
    D = KEPT.distances().values
    inpca = InPCA(min(n_axes, len(fitted)), metric="precomputed").fit(D[np.ix_(fitted, fitted)])
    signs = align_signs(inpca.embedding_, whole["embedding"].values)
    projected = inpca.transform(D[np.ix_(rows[~inside], fitted)]) * signs if (~inside).any() else np.empty((0, n_axes))
    np.testing.assert_allclose(picture["embedding"].values[~inside], projected, rtol=0, atol=1e-9)


@each_selection
def test_a_part_on_the_axes_of_everything_is_that_part_of_the_whole_picture(
    analysis: Analysis, selection: Selection
) -> None:
    part, whole = analysis.picture(selection, fitted_on=Selection()), analysis.picture()
    rows = selection.rows(TRAININGS)
    for name in ("embedding", "curve", *CHECKPOINT_COORDS):
        np.testing.assert_array_equal(part[name].values, whole[name].values[rows])
    assert part.attrs["fitted_on"] == 81


@each_selection
def test_axes_are_fitted_on_what_is_shown_unless_told_otherwise(analysis: Analysis, selection: Selection) -> None:
    xr.testing.assert_identical(analysis.picture(selection), analysis.picture(selection, fitted_on=selection))
    assert analysis.picture(selection).attrs["fitted_on"] == len(selection.rows(TRAININGS))


def test_means_are_over_the_seeds_that_are_shown(analysis: Analysis) -> None:
    picture = analysis.picture(Selection(tasks=("red",), seeds=(0, 2)), fitted_on=Selection(tasks=("blue",)))
    embedding = picture["embedding"].values.reshape(2, 9, 3)  # (seed, step, component)
    np.testing.assert_allclose(picture["mean"].values, embedding.mean(axis=0), rtol=0, atol=1e-12)
    assert set(picture["mean_curve"].values.tolist()) == {"red"}


def test_one_checkpoint_may_be_shown_on_the_axes_of_others(analysis: Analysis) -> None:
    one = Selection(tasks=("red",), seeds=(0,), epochs=(5, 5))
    assert analysis.picture(one, fitted_on=Selection()).sizes["checkpoint"] == 1
    with pytest.raises(EmptySelectionError, match="only one checkpoint is what the axes are fitted on: they need at"):
        analysis.picture(fitted_on=one)
    with pytest.raises(EmptySelectionError, match="the axes have nothing to be fitted on: no checkpoint is chosen"):
        analysis.picture(fitted_on=Selection(epochs=(11, 12)))


def test_axes_are_fitted_once_whatever_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    analysis, fits = Analysis(TRAININGS), []
    module = sys.modules["predspace_widgets.analysis.frame"]
    original = module.fit
    monkeypatch.setattr(module, "fit", lambda *args: fits.append(1) or original(*args))
    projections = []
    transform = InPCA.transform
    monkeypatch.setattr(InPCA, "transform", lambda self, X: projections.append(len(X)) or transform(self, X))
    for shown in SELECTIONS:
        analysis.picture(shown, fitted_on=Selection())
        analysis.picture(shown, fitted_on=Selection(tasks=("red",)))
    assert len(fits) == 2
    assert sorted(projections) == [33, 33, 54]  # the geodesic twice, and once all that are not red


def test_many_axes_leave_memory_as_it_was() -> None:
    analysis = Analysis(TRAININGS)
    epochs = np.unique(TRAININGS["epoch"].values)
    for first, last in itertools.islice(itertools.combinations(epochs, 2), 30):
        analysis.picture(Selection(), fitted_on=Selection(epochs=(first, last)))
    assert len(analysis._axes) == 16
    axes = [future.result() for future in analysis._axes._results.values() if hasattr(future.result(), "frame")]
    assert axes
    assert all(size.frame.inpca._fit_points is None for size in axes)  # the matrix that they were fitted to


# -- lengths ----------------------------------------------------------------------------------------------------------


def test_lengths_are_those_of_the_geometry(analysis: Analysis) -> None:
    table = analysis.riemann_lengths().set_index("run")
    assert table.index.tolist() == list(dict.fromkeys(TRAININGS["run"].values.tolist()))
    for run, line in table.iterrows():
        rows = rows_of(str(run))
        np.testing.assert_allclose(line["length"], riemann_length(PROBS[rows]), rtol=1e-12)
        assert line["n_checkpoints"] == 9
        assert f"{line['task']}/{line['method']}/{line['seed']}" == run
        assert line["curve"] == line["task"]


def test_lengths_of_a_part_of_each_run(analysis: Analysis) -> None:
    table = analysis.riemann_lengths(Selection(tasks=("red", "blue"), epochs=(2.5, 7.5))).set_index("run")
    assert len(table) == 6
    for run, line in table.iterrows():
        rows = [row for row in rows_of(str(run)) if 2.5 <= TRAININGS["epoch"].values[row] <= 7.5]
        steps = [riemann_length(PROBS[[a, b]]) for a, b in itertools.pairwise(rows)]
        np.testing.assert_allclose(line["length"], sum(steps), rtol=1e-12)
        np.testing.assert_allclose(line["length"], riemann_length(PROBS[rows]), rtol=1e-12)
        assert (line["n_checkpoints"], line["first_step"], line["last_step"]) == (5, 2, 6)


def test_a_single_checkpoint_has_no_length(analysis: Analysis) -> None:
    assert analysis.riemann_lengths(Selection(epochs=(10, 10)))["length"].tolist() == [0.0] * 9


def test_lengths_do_not_depend_on_how_runs_lie_among_each_other(analysis: Analysis) -> None:
    mixed = TRAININGS.isel(checkpoint=np.argsort(TRAININGS["epoch"].values, kind="stable"))
    assert len(set(mixed["run"].values[:9].tolist())) == 9
    found = Analysis(mixed).riemann_lengths().set_index("run")["length"]
    expected = analysis.riemann_lengths().set_index("run")["length"]
    for run in expected.index:
        np.testing.assert_allclose(found[run], expected[run], rtol=1e-12)


def test_runs_of_different_lengths() -> None:
    ds = TRAININGS.isel(checkpoint=[row for row in range(81) if row not in (3, 4, 8)])
    table = Analysis(ds).riemann_lengths().set_index("run")
    run = str(TRAININGS["run"].values[0])
    assert table["n_checkpoints"].tolist() == [6] + [9] * 8
    np.testing.assert_allclose(table.loc[run, "length"], riemann_length(PROBS[[0, 1, 2, 5, 6, 7]]), rtol=1e-12)


# -- comparing --------------------------------------------------------------------------------------------------------


def by_hand(first: list[list[int]], second: list[list[int]], metric: Any, n_points: int) -> Any:
    """`trajectory_distance` of runs given by their rows."""
    reached = progress(PROBS, *ends(), metric)
    return trajectory_distance(
        [PROBS[rows] for rows in first],
        [PROBS[rows] for rows in second],
        [reached[rows] for rows in first],
        [reached[rows] for rows in second],
        n_points,
    )


def runs_of(task: str, seeds: tuple[int, ...] = (0, 1, 2), last_epoch: float = 10) -> list[list[int]]:
    return [
        [row for row in rows_of(f"{task}/supervised/{seed}") if TRAININGS["epoch"].values[row] <= last_epoch]
        for seed in seeds
    ]


@pytest.mark.parametrize(("metric", "n_points"), [("bhattacharyya", 51), ("great_circle", 11)])
def test_the_comparison_is_that_of_the_geometry(analysis: Analysis, metric: Any, n_points: int) -> None:
    expected = by_hand(runs_of("red"), runs_of("blue"), metric, n_points)
    result = analysis.comparison("red", "blue", metric=metric, n_points=n_points)
    assert result["distance"].dims == ("progress",)
    np.testing.assert_allclose(result["progress"].values, expected.grid, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["distance"].values, expected.curve, rtol=0, atol=1e-10)
    np.testing.assert_allclose(result.attrs["d_traj"], expected.distance, rtol=0, atol=1e-10)
    assert (result.attrs["first"], result.attrs["second"]) == ("red", "blue")


def test_the_points_default_to_51(analysis: Analysis) -> None:
    assert analysis.comparison("red", "blue").sizes["progress"] == 51


@pytest.mark.parametrize(("seeds", "n_points"), [((0, 1, 2), 21), ((0, 2), 5)])
def test_the_floor_is_that_of_the_line_above_it(analysis: Analysis, seeds: tuple[int, ...], n_points: int) -> None:
    """On its range, of means over as many seeds: each side's seeds one against the others, scaled."""
    result = analysis.comparison("red", "blue", Selection(seeds=seeds), n_points=n_points)
    grid, reached, n = result["progress"].values, progress(PROBS, *ends()), len(seeds)
    expected = np.zeros(n_points)
    for task in ("red", "blue"):
        points = np.stack([reindex(PROBS[rows], reached[rows], grid) for rows in runs_of(task, seeds)])
        apart = [bhattacharyya(points[k], np.delete(points, k, axis=0).mean(axis=0)) for k in range(n)]
        expected += np.mean(apart, axis=0) / (1 + 1 / (n - 1)) / n
    np.testing.assert_allclose(result["floor"].values, expected, rtol=0, atol=1e-10)
    width = grid[-1] - grid[0]
    assert result.attrs["floor_mean_distance"] == pytest.approx(np.trapezoid(expected, grid) / width)
    assert result.attrs["mean_distance"] == pytest.approx(result.attrs["d_traj"] / width)
    assert result.attrs["progress_range"] == (grid[0], grid[-1])
    assert (result.attrs["n_first"], result.attrs["n_second"]) == (n, n)


def test_p_is_the_share_of_relabellings_that_are_as_far_apart(analysis: Analysis) -> None:
    result = analysis.comparison("red", "green", n_points=9)
    reached, runs = progress(PROBS, *ends()), [*runs_of("red"), *runs_of("green")]
    points = [reindex(PROBS[rows], reached[rows], result["progress"].values) for rows in runs]
    distances = []
    for first in itertools.combinations(range(6), 3):
        second = [k for k in range(6) if k not in first]
        means = (np.mean([points[k] for k in side], axis=0) for side in (first, second))
        distances.append(np.trapezoid(bhattacharyya(*means), result["progress"].values))
    assert result.attrs["p_value"] == np.mean(np.array(distances) >= distances[0] - 1e-12)
    assert result.attrs["smallest_p"] == 2 / 20
    assert result.attrs["p_is_exact"] == 1


def test_several_comparisons_share_a_range(analysis: Analysis) -> None:
    own = analysis.comparison("red", "blue").attrs["progress_range"]
    shared = (own[0] + 0.1, own[1] - 0.1)
    result = analysis.comparison("red", "blue", n_points=7, progress_range=shared)
    np.testing.assert_allclose(result["progress"].values, np.linspace(*shared, 7))
    with pytest.raises(ValueError, match="which all runs cover"):
        analysis.comparison("red", "blue", progress_range=(0, 1))
    assert analysis.comparison("red", "blue", n_points=7, progress_range=[*shared]).identical(result)


def test_the_selection_chooses_seeds_and_epochs_of_both_curves(analysis: Analysis) -> None:
    selection = Selection(tasks=("green",), seeds=(1,), epochs=(0, 7.5))
    result = analysis.comparison("red", "blue", selection, n_points=9)
    expected = by_hand(runs_of("red", (1,), 7.5), runs_of("blue", (1,), 7.5), "bhattacharyya", 9)
    np.testing.assert_allclose(result["progress"].values, expected.grid, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["distance"].values, expected.curve, rtol=0, atol=1e-10)
    assert set(result.data_vars) == {"distance"}
    assert "p_value" not in result.attrs


def test_one_side_may_have_one_seed_only() -> None:
    ds = TRAININGS.isel(checkpoint=(TRAININGS["task"] != "red").values | (TRAININGS["seed"] == 1).values)
    result = Analysis(ds).comparison("red", "blue")
    assert set(result.data_vars) == {"distance", "floor"}
    assert (result.attrs["n_first"], result.attrs["n_second"]) == (1, 3)
    assert result.attrs["smallest_p"] == 1 / 4


def test_a_curve_is_not_compared_with_itself(analysis: Analysis) -> None:
    with pytest.raises(ValueError, match="choose two different curves to compare, both are 'red'"):
        analysis.comparison("red", "red")


@pytest.mark.parametrize("curves", [("mauve", "red"), ("red", "mauve")])
def test_an_unknown_curve_is_named(analysis: Analysis, curves: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="no curve 'mauve' in this dataset; it has red, green, blue"):
        analysis.comparison(*curves)


def test_a_curve_without_a_chosen_checkpoint() -> None:
    ds = TRAININGS.isel(checkpoint=(TRAININGS["task"] != "red").values | (TRAININGS["seed"] == 1).values)
    with pytest.raises(EmptySelectionError, match="no checkpoint of 'red' is chosen"):
        Analysis(ds).comparison("blue", "red", Selection(seeds=(0,)))


def test_curves_that_share_no_progress() -> None:
    early, late = geodesic_run(9).isel(checkpoint=slice(0, 3)), geodesic_run(9).isel(checkpoint=slice(6, 9))
    late = late.assign_coords(task=("checkpoint", ["late"] * 3), run=("checkpoint", ["late"] * 3))
    with pytest.raises(
        ValueError, match=r"share no range of progress: 0\.75 is where the last starts, 0\.25 the first"
    ):
        Analysis(xr.concat([early, late], "checkpoint")).comparison("geodesic", "late")
    with pytest.raises(ValueError, match="n_points must be at least 2, got 1"):
        Analysis(meeting_runs()).comparison(("left", "synthetic"), "right", n_points=1)


# -- all pairs at once ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "metric", "n_points"),
    [
        (Selection(), "bhattacharyya", 51),
        (Selection(tasks=("green",), seeds=(0, 2), epochs=(0, 7.5)), "great_circle", 7),
        (Selection(seeds=(1,)), "bhattacharyya", 3),
    ],
)
@pytest.mark.parametrize("chunks", [None, {"sample": 5}])
def test_all_comparisons_are_those_of_each_pair(
    selection: Selection, metric: Any, n_points: int, chunks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["predspace_widgets.analysis.measurements"], "_IN_MEMORY", 0)
    monkeypatch.setattr(sys.modules["predspace_widgets.analysis.measurements"], "_PROBABILITIES_AT_A_TIME", 500)
    ds = TRAININGS if chunks is None else TRAININGS.chunk(chunks)
    together = Analysis(ds).comparisons(selection, metric, n_points)
    assert list(together) == [(0, 1), (0, 2), (1, 2)]
    for (i, j), result in together.items():
        alone = Analysis(ds).comparison(KEPT.curve_names[i], KEPT.curve_names[j], selection, metric, n_points)
        assert isinstance(result, xr.Dataset)
        xr.testing.assert_allclose(result, alone, rtol=1e-12, atol=0)
        assert set(result.data_vars) == set(alone.data_vars)
        assert result.attrs.keys() == alone.attrs.keys()
        for name, value in alone.attrs.items():
            assert result.attrs[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12)), name


def test_a_pair_that_shares_no_progress_has_the_text_of_its_error() -> None:
    def part(task: str, start: int, stop: int) -> xr.Dataset:
        run = geodesic_run(9).isel(checkpoint=slice(start, stop))
        names = [task] * (stop - start)
        return run.assign_coords(task=("checkpoint", names), run=("checkpoint", names))

    analysis = Analysis(xr.concat([part("early", 0, 3), part("late", 6, 9), part("whole", 0, 9)], "checkpoint"))
    together = analysis.comparisons(n_points=5)
    assert list(together) == [(0, 1), (0, 2), (1, 2)]
    with pytest.raises(ValueError, match="the runs share no range of progress") as raised:
        analysis.comparison(("early", "synthetic"), ("late", "synthetic"), n_points=5)
    assert together[0, 1] == str(raised.value)
    for other in (0, 1):
        xr.testing.assert_identical(
            together[other, 2], analysis.comparison(*(analysis.curve_pairs[k] for k in (other, 2)), n_points=5)
        )


def test_a_pair_without_a_chosen_checkpoint_has_the_text_of_its_error() -> None:
    ds = TRAININGS.isel(checkpoint=(TRAININGS["task"] != "green").values | (TRAININGS["seed"] == 1).values)
    together = Analysis(ds).comparisons(Selection(seeds=(0, 2)), n_points=5)
    assert together[0, 1] == together[1, 2] == "no checkpoint of 'green' is chosen"
    xr.testing.assert_identical(
        together[0, 2], Analysis(ds).comparison("red", "blue", Selection(seeds=(0, 2)), n_points=5)
    )


def test_what_no_pair_can_have_is_an_error(analysis: Analysis) -> None:
    with pytest.raises(ValueError, match="n_points must be at least 2, got 1"):
        analysis.comparisons(n_points=1)
    with pytest.raises(ValueError, match="unknown metric of progress 'euclid'"):
        analysis.comparisons(metric="euclid")  # type: ignore[arg-type]
    with pytest.raises(EmptySelectionError, match="no seed 9"):
        analysis.comparisons(Selection(seeds=(9,)))
    with pytest.raises(NoPredictionsError):
        Analysis(embedding_only()).comparisons()
    assert Analysis(geodesic_run()).comparisons() == {}


def test_all_comparisons_read_the_predictions_once_and_are_kept(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["predspace_widgets.analysis.measurements"], "_IN_MEMORY", 0)
    reads: list[int] = []
    ds = TRAININGS.chunk({"sample": 4})
    ds["probs"] = ds["probs"].copy(
        data=ds["probs"].data.map_blocks(lambda block: reads.append(1) or block, meta=np.empty((0, 0, 0)))
    )
    analysis = Analysis(ds)
    analysis.measured.progress()
    reads.clear()
    for _ in range(2):
        analysis.comparisons(n_points=5)["not", "kept"] = ""  # type: ignore[index]
    assert len(reads) == 3  # blocks of samples
    assert calls.count("relabelled_distances") == 9
    assert len(analysis.comparisons(n_points=5)) == 3


# -- an embedding without predictions ---------------------------------------------------------------------------------


def test_the_picture_of_an_embedding_is_the_stored_one() -> None:
    ds = embedding_only()
    picture = Analysis(ds).picture()
    np.testing.assert_array_equal(picture["embedding"].values, ds["embedding"].values)
    assert picture["eigenvalue"].values.tolist() == [4.0, -2.0, 1.0]
    shares = np.cumsum([16, 4, 1]) / 21
    np.testing.assert_allclose(picture["explained_stress"].values, 1 - np.sqrt(1 - shares), rtol=1e-12)
    np.testing.assert_allclose(picture["axis_stress"].sum(), 1, rtol=1e-12)
    assert "geodesic" not in picture
    assert picture["curve"].values.tolist() == ["x"] * 6 + ["y"] * 6
    np.testing.assert_allclose(picture["mean"].values[0], ds["embedding"].values[[0, 3]].mean(axis=0), rtol=1e-12)


def test_a_choice_of_an_embedding_keeps_its_axes() -> None:
    ds = embedding_only(4)
    picture = Analysis(ds).picture(Selection(tasks=("y",), epochs=(1, 2)), n_components=2)
    np.testing.assert_array_equal(picture["embedding"].values, ds["embedding"].values[[7, 8, 10, 11], :2])
    shares = np.cumsum([16, 4]) / 21.25
    np.testing.assert_allclose(picture["explained_stress"].values, 1 - np.sqrt(1 - shares), rtol=1e-12)
    assert picture["row"].values.tolist() == [7, 8, 10, 11]
    assert Analysis(ds).picture(n_components=9).sizes["component"] == 4
    with pytest.raises(EmptySelectionError):
        Analysis(ds).picture(Selection(epochs=(7, 8)))


def test_stored_axes_are_fitted_on_nothing_else() -> None:
    analysis = Analysis(embedding_only())
    shown = Selection(tasks=("y",))
    for fitted_on in (None, Selection(), Selection(tasks=("x",))):
        picture = analysis.picture(shown, fitted_on=fitted_on)
        xr.testing.assert_identical(picture, analysis.picture(shown))
        assert "fitted_on" not in picture.attrs


def test_the_stress_of_axes_that_are_not_stored_counts() -> None:
    ds = embedding_only().assign_attrs(eigenvalue_square_sum=42.0)
    shares = np.cumsum([16, 4, 1]) / 42
    np.testing.assert_allclose(Analysis(ds).picture()["explained_stress"].values, 1 - np.sqrt(1 - shares), rtol=1e-12)


def test_an_embedding_of_points_that_coincide() -> None:
    ds = embedding_only().assign(eigenvalue=("component", np.zeros(3)))
    assert Analysis(ds).picture()["explained_stress"].values.tolist() == [1.0] * 3


def test_what_needs_predictions_says_so() -> None:
    analysis = Analysis(embedding_only())
    assert not analysis.has_predictions
    for measure in (
        analysis.distances,
        analysis.progress,
        analysis.progress_curves,
        analysis.riemann_lengths,
        analysis.accuracy,
        lambda: analysis.comparison("x", "y"),
    ):
        with pytest.raises(NoPredictionsError, match="holds an embedding but no predictions"):
            measure()


def test_a_recorded_accuracy_needs_no_predictions() -> None:
    ds = embedding_only().assign(accuracy=("checkpoint", np.linspace(0, 1, 12)))
    assert Analysis(ds).accuracy().values.tolist() == np.linspace(0, 1, 12).tolist()


def test_predictions_come_before_a_stored_embedding() -> None:
    ds = TRAININGS.assign(embedding=(("checkpoint", "component"), np.ones((81, 1))), eigenvalue=("component", [1.0]))
    xr.testing.assert_identical(Analysis(ds).picture(), Analysis(TRAININGS).picture())


# -- once -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the costly functions of the geometry, one each time that the analysis calls one."""
    made: list[str] = []
    module = sys.modules["predspace_widgets.analysis.measurements"]

    def counted(name: str) -> Any:
        original = getattr(module, name)

        def call(*args: Any, **options: Any) -> Any:
            made.append(name if name != "pairwise" or args[1] is None else "pairwise to the geodesic")
            time.sleep(0.01)  # lets another thread in
            return original(*args, **options)

        return call

    for name in ("pairwise", "progress_and_distance", "squared_step_lengths", "relabelled_distances", "matched_floor"):
        monkeypatch.setattr(module, name, counted(name))
    return made


def test_distances_are_computed_once_for_all_pictures(calls: list[str]) -> None:
    analysis = Analysis(TRAININGS)
    for selection in SELECTIONS:
        analysis.picture(selection)
        analysis.picture(selection, n_components=2)
        analysis.distances()
    assert sorted(calls) == ["pairwise", "pairwise to the geodesic"]
    analysis.distances("great_circle")
    assert sorted(calls) == ["pairwise", "pairwise", "pairwise to the geodesic"]


def test_progress_is_computed_once_for_each_metric(calls: list[str]) -> None:
    analysis = Analysis(TRAININGS)
    for _ in range(2):
        analysis.progress()
        analysis.progress_curves(Selection(tasks=("red",)))
        analysis.comparison("red", "blue", n_points=2)
    assert calls.count("progress_and_distance") == 1
    analysis.progress("great_circle")
    assert calls.count("progress_and_distance") == 2


def test_lengths_are_computed_once(calls: list[str]) -> None:
    analysis = Analysis(TRAININGS.isel(checkpoint=slice(9)))
    for selection in (Selection(), Selection(epochs=(0, 5)), Selection(epochs=(5, 10))):
        analysis.riemann_lengths(selection)
    assert calls == ["squared_step_lengths"]  # of all steps at once


def test_comparisons_are_computed_once_for_each_choice(calls: list[str]) -> None:
    analysis = Analysis(TRAININGS)
    for _ in range(2):
        analysis.comparison("red", "blue", n_points=5)
        analysis.comparison("red", "blue", Selection(tasks=("green",)), n_points=5)  # the curves are named
    assert (calls.count("relabelled_distances"), calls.count("matched_floor")) == (1, 1)
    analysis.comparison("red", "green", n_points=5)
    assert (calls.count("relabelled_distances"), calls.count("matched_floor")) == (2, 2)


def test_comparisons_of_other_choices_are_others() -> None:
    analysis = Analysis(TRAININGS)

    def floor(selection: Selection = SELECTIONS[0], metric: Any = "bhattacharyya", n_points: int = 5) -> list[float]:
        return list(analysis.comparison("red", "blue", selection, metric, n_points)["floor"].values)

    first = floor()
    assert floor(Selection(seeds=(0, 1))) != first
    assert floor(Selection(epochs=(0, 7.5))) != first
    assert floor(metric="great_circle") != first
    assert len(floor(n_points=7)) == 7
    assert floor() == first


def test_many_selections_leave_memory_as_it_was() -> None:
    ds = random_trajectories(n_seeds=1, n_checkpoints=20, n_samples=4, n_classes=3)
    analysis, sizes = Analysis(ds), []
    epochs = np.unique(ds["epoch"].values)
    analysis.picture()  # what is imported and compiled for the first one is no result
    tracemalloc.start()
    # Mixed, so that the later pictures are as large as the first.
    for first, last in np.random.default_rng(0).permutation(list(itertools.combinations(epochs, 2)))[:140]:
        analysis.picture(Selection(epochs=(first, last)))
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert len(analysis._selections) == 64
    assert sizes[-1] < 1.2 * sizes[80]


def test_once_from_several_threads(calls: list[str]) -> None:
    analysis = Analysis(TRAININGS)
    start = threading.Barrier(6)
    pictures: list[xr.Dataset] = []

    def session(number: int) -> None:
        start.wait()
        pictures.append(analysis.picture(SELECTIONS[number % 2]))
        analysis.progress()

    threads = [threading.Thread(target=session, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(calls) == ["pairwise", "pairwise to the geodesic", "progress_and_distance"]
    assert sorted(picture.sizes["checkpoint"] for picture in pictures) == [54] * 3 + [81] * 3


def test_the_dataset_is_read_once() -> None:
    reads: list[int] = []
    ds = TRAININGS.chunk()
    ds["probs"] = ds["probs"].copy(
        data=ds["probs"].data.map_blocks(lambda block: reads.append(1) or block, meta=np.empty((0, 0, 0)))
    )
    analysis = Analysis(ds)
    assert reads == []
    analysis.picture()
    analysis.progress()
    analysis.riemann_lengths()
    assert reads == [1]


def test_points_that_coincide_give_no_nan() -> None:
    ds = constant_run()
    picture = Analysis(ds).picture(n_components=9)
    assert picture.sizes["component"] == 4
    for name in picture.data_vars:
        assert np.isfinite(picture[name].values).all(), name
