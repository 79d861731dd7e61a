"""`ds.predspace` on synthetic trajectories whose answers are known in closed form."""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.accessor import PredspaceAccessor
from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.uncertainty import Over
from predspace_widgets.trajectories import (
    EmptySelectionError,
    TrajectoriesError,
    open_trajectories,
    save_trajectories,
)
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, meeting_runs, random_trajectories
from tests.trajectories.samples import two_runs

METRICS = ("bhattacharyya", "great_circle")
REINDEXED = ("distance_to_mean", "tangents", "inpca_of_trajectories", "tree")


# -- points on one geodesic -------------------------------------------------------------------------------------------

# Every sample turns by this angle from ignorance to truth.
ANGLE = np.arccos(1 / np.sqrt(4))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_checkpoints", [2, 5, 70])
def test_progress_on_the_geodesic(metric: Any, n_checkpoints: int) -> None:
    progress = geodesic_run(n_checkpoints).predspace.progress(metric)
    np.testing.assert_allclose(progress.values, np.linspace(0, 1, n_checkpoints), rtol=0, atol=1e-7)
    assert progress.dims == ("checkpoint",)
    assert progress["epoch"].values.tolist() == np.linspace(0, 1, n_checkpoints).tolist()


def test_distances_on_the_geodesic() -> None:
    times = np.linspace(0, 1, 6)
    turns = np.abs(times[:, None] - times) * ANGLE  # (T, T)
    accessor = geodesic_run(6).predspace
    np.testing.assert_allclose(accessor.distances("great_circle").values, turns, rtol=0, atol=1e-7)
    np.testing.assert_allclose(accessor.distances().values, -np.log(np.cos(turns)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_checkpoints", [1, 2, 9])
def test_length_of_the_geodesic(n_checkpoints: int) -> None:
    steps = n_checkpoints - 1
    expected = 2 * steps * np.sqrt(-np.log(np.cos(ANGLE / steps))) if steps else 0.0
    length = geodesic_run(n_checkpoints).predspace.riemann_length()
    assert length.dims == ("run",)
    assert length["run"].values.tolist() == ["geodesic/synthetic/0"]
    np.testing.assert_allclose(length.values, [expected], rtol=1e-12)


def test_checkpoints_on_the_geodesic_lie_on_the_line_that_is_drawn() -> None:
    picture = geodesic_run(5).predspace.inpca()
    on_line = picture["geodesic"].sel(point=[0, 0.25, 0.5, 0.75, 1]).values
    np.testing.assert_allclose(picture["embedding"].values, on_line, rtol=0, atol=1e-4)


# -- a run that stays -------------------------------------------------------------------------------------------------


def test_a_constant_run() -> None:
    accessor = constant_run().predspace
    assert accessor.riemann_length().values.tolist() == [0.0]
    assert accessor.progress().values.tolist() == [0.0] * 4
    assert (accessor.distances().values == 0).all()
    picture = accessor.inpca()
    assert (picture["embedding"].values == 0).all()
    assert (picture["eigenvalue"].values == 0).all()
    assert picture["explained_stress"].values.tolist() == [1.0] * 3
    assert np.isfinite(picture["geodesic"].values).all()


# -- two runs that part and meet --------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_runs_that_meet(metric: str) -> None:
    result = meeting_runs().predspace.trajectory_distance("left", "right", metric=metric, n_points=21)
    distance, progress = result["distance"].values, result["progress"].values
    assert progress[[0, -1]].tolist() == [0.0, 1.0]
    np.testing.assert_allclose(distance[[0, -1]], 0, rtol=0, atol=1e-6)
    assert (distance[1:-1] > 1e-3).all()
    np.testing.assert_allclose(result.attrs["d_traj"], np.trapezoid(distance, progress), rtol=1e-12)
    assert (result.attrs["first"], result.attrs["second"]) == ("left · synthetic", "right · synthetic")
    assert set(result.data_vars) == {"distance"}  # one seed each: nothing to compare with itself


def test_runs_that_meet_are_equally_long_and_far() -> None:
    accessor = meeting_runs().predspace
    left, right = accessor.riemann_length().values
    np.testing.assert_allclose(left, right, rtol=1e-9)
    left, right = accessor.progress().values.reshape(2, 9)
    np.testing.assert_allclose(left, right, rtol=0, atol=1e-8)


def test_the_distance_of_two_curves_does_not_depend_on_their_order() -> None:
    accessor = random_trajectories().predspace
    there = accessor.trajectory_distance("red", "blue")
    back = accessor.trajectory_distance("blue", "red")
    np.testing.assert_allclose(there["distance"].values, back["distance"].values, rtol=1e-12)
    np.testing.assert_allclose(there["floor"].values, back["floor"].values, rtol=1e-12)
    assert there.attrs["p_value"] == back.attrs["p_value"]


# -- real-looking trainings -------------------------------------------------------------------------------------------


def test_the_task_that_learns_the_truth_comes_furthest() -> None:
    ds = random_trajectories(n_samples=60)
    last = ds.predspace.progress().isel(checkpoint=ds["epoch"].values == 10)
    furthest = last.groupby("task").mean()
    assert furthest.sel(task="red") > furthest.sel(task="green") > furthest.sel(task="blue")
    assert float(ds.predspace.progress().isel(checkpoint=ds["epoch"].values == 0).max()) < 0.01


def test_synthetic_data_follows_its_seed() -> None:
    xr.testing.assert_identical(random_trajectories(seed=3), random_trajectories(seed=3))
    assert not random_trajectories(seed=3)["probs"].equals(random_trajectories(seed=4)["probs"])
    assert (random_trajectories()["probs"].values > 0).all()


def test_lengths_carry_the_names_of_their_runs() -> None:
    ds = random_trajectories(n_checkpoints=4, methods=("sgd", "adam"))
    length = ds.predspace.riemann_length()
    assert length.name == "riemann_length"
    assert length["run"].values.tolist() == list(dict.fromkeys(ds["run"].values.tolist()))
    for run in length["run"].values:
        one = length.sel(run=run)
        assert run == f"{one.task.item()}/{one.method.item()}/{one.seed.item()}"
        assert one.n_checkpoints.item() == 4
        assert one.item() > 0


# -- what the accessor itself does ------------------------------------------------------------------------------------


def test_results_are_those_of_the_analysis() -> None:
    ds = random_trajectories(n_checkpoints=3, n_samples=6)
    analysis = Analysis(ds)
    xr.testing.assert_identical(ds.predspace.inpca(2), analysis.picture(n_components=2))
    xr.testing.assert_identical(ds.predspace.distances("symmetric_kl"), analysis.distances("symmetric_kl"))
    xr.testing.assert_identical(ds.predspace.progress("great_circle"), analysis.progress("great_circle"))
    options: dict[str, Any] = {"metric": "great_circle", "n_points": 7}
    xr.testing.assert_identical(
        ds.predspace.trajectory_distance("red", "blue", **options), analysis.comparison("red", "blue", **options)
    )


def test_the_analysis_is_kept() -> None:
    ds = two_runs()
    assert ds.predspace.analysis is ds.predspace.analysis
    assert ds.copy().predspace.analysis is not ds.predspace.analysis


def test_a_dataset_of_something_else_is_refused() -> None:
    with pytest.raises(TrajectoriesError, match="variable 'step'"):
        two_runs().drop_vars("step").predspace.inpca()
    with pytest.raises(TrajectoriesError):
        xr.Dataset().predspace.progress()


def test_bad_probabilities_in_memory_are_refused() -> None:
    ds = two_runs()
    ds["probs"].values[2, 1] = [0.9, 0.9, 0.9]
    for measure in (ds.predspace.inpca, ds.predspace.distances, ds.predspace.progress, ds.predspace.riemann_length):
        with pytest.raises(ValueError, match="must sum to 1"):
            measure()


def test_select_names_what_it_does_not_know() -> None:
    with pytest.raises(EmptySelectionError, match="no task 'mauve' in this dataset; it has animals, birds"):
        two_runs().predspace.select(tasks=["mauve"])
    with pytest.raises(EmptySelectionError):
        two_runs().predspace.select(epochs=(7, 8))
    with pytest.raises(ValueError, match="checkpoints are chosen by tasks="):
        two_runs().predspace.select(task="animals")


def test_select_takes_any_collection_of_names() -> None:
    ds = random_trajectories(n_checkpoints=2)
    for some in (["red", "blue"], ("blue", "red"), iter(["red", "blue"]), np.array(["red", "blue"])):
        assert set(ds.predspace.select(tasks=some)["task"].values) == {"red", "blue"}
    assert ds.predspace.select(seeds=range(1))["seed"].values.tolist() == [0] * 6


def test_a_choice_that_is_none_is_named() -> None:
    ds = random_trajectories(n_checkpoints=3)
    assert ds.predspace.select(seeds=0).identical(ds.predspace.select(seeds=[0]))
    for epochs in (3, (3,), (0, 1, 2), ("a", "b")):
        with pytest.raises(ValueError, match="epochs must be two numbers, first and last, not"):
            ds.predspace.select(epochs=epochs)
    for name in (*REINDEXED, "matrix", "compare", "spectrum", "frechet", "tube", "outliers", "stress_by_metric"):
        for wrong in ({}, {"tasks": ["red"]}, "red"):
            with pytest.raises(TypeError, match=r"selection must be a pw.Selection, such as pw.Selection\("):
                getattr(ds.predspace, name)(selection=wrong)
    chosen = ds.predspace.compare(selection=pw.Selection(seeds=(1,)))
    assert set(chosen.seed.values.tolist()) == {1}


def test_a_range_of_progress_is_two_numbers() -> None:
    ds = random_trajectories(n_checkpoints=3)
    for measure in (
        ds.predspace.matrix,
        partial(ds.predspace.mean_trajectory, "red"),
        partial(ds.predspace.trajectory_distance, "red", "blue"),
    ):
        for wrong in ((0,), 0.5, (0, 0.1, 0.2)):
            with pytest.raises(ValueError, match="progress_range must be two numbers, first and last, not"):
                measure(progress_range=wrong)


def test_what_is_drawn_belongs_to_error_bars() -> None:
    ds = random_trajectories(n_checkpoints=2)
    with pytest.raises(ValueError, match="over='tasks': what is drawn is one of samples, seeds, runs"):
        ds.predspace.inpca(over="tasks")
    with pytest.raises(ValueError, match="say how many draws, bootstrap=200"):
        ds.predspace.inpca(over="seeds")


@pytest.mark.parametrize(
    "name",
    [
        *REINDEXED,
        "inpca",
        "spectrum",
        "samples_needed",
        "matrix",
        "temperature_band",
        "compare",
        "mean_trajectory",
        "frechet",
    ],
)
def test_help_names_every_parameter_and_the_values_of_each_choice(name: str) -> None:
    method = getattr(PredspaceAccessor, name)
    told = re.sub(r"\s+", " ", inspect.getdoc(method) or "")
    choices = get_type_hints(method, localns={"Over": Over})
    for parameter, hint in choices.items():
        if parameter == "return":
            continue
        assert re.search(rf"\b{parameter}( :|, \w+ :)", told), parameter
        of_hint = [value for part in (hint, *get_args(hint)) if get_origin(part) is Literal for value in get_args(part)]
        for value in of_hint:
            assert f'"{value}"' in told, (parameter, value)


def test_a_choice_of_an_opened_dataset_stays_lazy(tmp_path: Any) -> None:
    ds = open_trajectories(save_trajectories(random_trajectories(), tmp_path / "some.zarr"))
    chosen = ds.predspace.select(tasks=["red"], epochs=(0, 5))
    assert chosen["probs"].chunks is not None
    memory = random_trajectories().predspace.select(tasks=["red"], epochs=(0, 5))
    np.testing.assert_allclose(chosen.predspace.progress().values, memory.predspace.progress().values, atol=1e-8)


def test_explore_shows_this_dataset() -> None:
    ds = two_runs()
    explorer = ds.predspace.explore()
    assert explorer.session.analysis is ds.predspace.analysis
    assert explorer.settings() == {}


@pytest.mark.parametrize("n_components", [0, -1, 99_999])
def test_a_picture_has_no_more_axes_than_checkpoints(n_components: int) -> None:
    ds = random_trajectories(n_checkpoints=3)
    with pytest.raises(ValueError, match=r"18 checkpoints have 1 to 18 axes"):
        ds.predspace.inpca(n_components)
