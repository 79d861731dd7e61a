"""The shape of trajectories: mean trajectories, tangents, tube, Frechet distances and InPCA of trajectories."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import measurements, reindexed
from predspace_widgets.geometry import (
    InPCA,
    bhattacharyya,
    bhattacharyya_mean,
    distance_to_geodesic,
    geodesic,
    ignorance,
    reindex,
    riemann_length,
    truth,
)
from predspace_widgets.trajectories import Selection, make_trajectories, open_trajectories, save_trajectories
from predspace_widgets.trajectories.schema import NoPredictionsError
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, meeting_runs, random_trajectories
from tests.trajectories.samples import embedding_only

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=6, n_samples=35, n_classes=4)
CURVES = ["red", "green", "blue"]
P = TRAININGS["probs"].values
MEANS = ("arithmetic", "bhattacharyya")


def means_of_curves(mean: str, n_points: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """Mean trajectories (curve, K, N, C) over the range that all share, one call each, and that range."""
    low, high = TRAININGS.predspace.matrix(n_points=n_points, with_p=False).attrs["progress_range"]
    options = {"n_points": n_points, "progress_range": (low, high)}
    ways = [TRAININGS.predspace.mean_trajectory(curve, mean, **options) for curve in CURVES]
    return np.stack([way["probs"].values for way in ways]), np.linspace(low, high, n_points)


# -- mean trajectories -------------------------------------------------------------------------------------------------


def test_distances_of_arithmetic_mean_trajectories_are_those_of_comparisons() -> None:
    ways, grid = means_of_curves("arithmetic")
    for i, j in itertools.combinations(range(3), 2):
        compared = TRAININGS.predspace.trajectory_distance(
            CURVES[i], CURVES[j], n_points=11, progress_range=(grid[0], grid[-1])
        )
        np.testing.assert_allclose(bhattacharyya(ways[i], ways[j]), compared["distance"], rtol=1e-9)


def test_a_bhattacharyya_mean_trajectory_is_the_mean_of_reindexed_runs() -> None:
    way = TRAININGS.predspace.mean_trajectory("green", "bhattacharyya", n_points=7)
    progress = TRAININGS.predspace.progress().values
    runs = [reindex(P[rows], progress[rows], way["progress"].values) for rows in np.arange(18, 36).reshape(3, 6)]
    np.testing.assert_allclose(way["probs"], bhattacharyya_mean(np.stack(runs)), rtol=0, atol=1e-9)
    arithmetic = TRAININGS.predspace.mean_trajectory("green", n_points=7)["probs"].values
    nearer = bhattacharyya(np.stack(runs), way["probs"].values).mean(axis=0)
    of_arithmetic = bhattacharyya(np.stack(runs), arithmetic).mean(axis=0)
    assert (nearer[1:] < of_arithmetic[1:]).all()  # all start at ignorance


def test_its_labels() -> None:
    way = TRAININGS.predspace.mean_trajectory(("red", "supervised"), selection=Selection(seeds=(0, 2)), n_points=4)
    assert way["probs"].dims == ("progress", "sample", "class")
    xr.testing.assert_identical(way["label"].variable, TRAININGS["label"].variable)
    assert way.attrs | {"progress_range": 0} == {
        "curve": "red",
        "mean": "arithmetic",
        "n_runs": 2,
        "metric": "bhattacharyya",
        "progress_range": 0,
    }
    assert way.attrs["progress_range"] == tuple(way["progress"].values[[0, -1]])


@pytest.mark.parametrize("mean", MEANS)
def test_of_one_run_it_is_the_run(mean: Any) -> None:
    run = geodesic_run(5)
    way = run.predspace.mean_trajectory("geodesic", mean, n_points=5)
    np.testing.assert_allclose(way["probs"], run["probs"], rtol=0, atol=1e-7)


def test_from_disk_some_samples_at_a_time_it_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [make(TRAININGS) for make in LABELLED]
    lazy = open_trajectories(save_trajectories(TRAININGS, tmp_path / "trainings.zarr")).chunk(sample=10)
    monkeypatch.setattr(measurements, "_IN_MEMORY", 0)
    monkeypatch.setattr(measurements, "_PROBABILITIES_AT_A_TIME", 9 * 11 * 4 * 3)
    monkeypatch.setattr(reindexed, "_PROBABILITIES_AT_A_TIME", 9 * 11 * 4 * 3)
    for make, expected in zip(LABELLED, here, strict=True):
        xr.testing.assert_allclose(make(lazy), expected, rtol=1e-5, atol=2e-6)


def test_what_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 1000

    monkeypatch.setattr(reindexed.psutil, "virtual_memory", Memory)
    with pytest.raises(MemoryError, match="for each of 35 samples needs"):
        TRAININGS.predspace.mean_trajectory("red")


# -- distance to the mean ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", MEANS)
def test_distances_to_the_mean_of_all(mean: Any) -> None:
    ways, grid = means_of_curves(mean)
    of_all = ways.mean(axis=0) if mean == "arithmetic" else bhattacharyya_mean(ways)
    apart = TRAININGS.predspace.distance_to_mean("curve", mean, n_points=11)
    np.testing.assert_allclose(apart["distance"], bhattacharyya(ways, of_all), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(apart["progress"], grid, rtol=1e-12)
    width = grid[-1] - grid[0]
    expected = np.trapezoid(apart["distance"].values, grid, axis=1) / width
    np.testing.assert_allclose(apart["mean_distance"], expected, rtol=1e-12)
    assert apart["n_runs"].values.tolist() == [3, 3, 3]


def test_two_that_mirror_each_other_are_as_far_from_their_mean() -> None:
    apart = meeting_runs().predspace.distance_to_mean("run", "bhattacharyya", n_points=9)
    between = meeting_runs().predspace.trajectory_distance("left", "right", n_points=9)["distance"]
    np.testing.assert_allclose(apart["distance"][0], apart["distance"][1], rtol=1e-6, atol=1e-12)
    assert apart["curve"].values.tolist() == ["left · synthetic", "right · synthetic"]
    assert (apart["distance"].values[0, 1:-1] < between.values[1:-1] / 2).all()  # d_B grows with the square


# -- tangents ----------------------------------------------------------------------------------------------------------


def along_two(n_points: int = 41) -> xr.Dataset:
    """Two runs on geodesics from ignorance, to the truth and to where every second sample is wrong."""
    labels = np.repeat([0, 1, 2, 3], 4)
    times = np.linspace(0, 1, n_points)
    targets = [truth(labels, 4), truth(np.where(np.arange(16) % 2, (labels + 1) % 4, labels), 4)]
    probs = np.concatenate([geodesic(ignorance(16, 4), target, times) for target in targets])
    tasks = ["right"] * n_points + ["half"] * n_points
    return make_trajectories(probs, labels, task=tasks, epoch=np.tile(times, 2))


def test_on_the_geodesic_the_speed_is_its_angle() -> None:
    ways = along_two().predspace.tangents(n_points=21)
    np.testing.assert_allclose(ways["speed"].sel(curve="right"), np.pi / 3, rtol=1e-6)


def test_tangents_that_part_at_a_known_angle() -> None:
    """At ignorance, tangents towards two classes of C have cosine -1 / (C - 1); half of the samples go the same way."""
    ways = along_two().predspace.tangents(n_points=81, progress_range=(0.0, 0.2))
    cosine = np.cos(ways["angle"].sel(curve="right", other="half").values[0])
    assert cosine == pytest.approx((1 - 1 / 3) / 2, abs=0.01)


def test_tangents_equal_a_plain_calculation() -> None:
    ways, grid = means_of_curves("bhattacharyya")
    found = TRAININGS.predspace.tangents("curve", "bhattacharyya", n_points=11)
    root = np.sqrt(ways)
    step = (root[:, 2:] - root[:, :-2]) / (grid[2:] - grid[:-2])[:, None, None]  # chords, to second order
    step -= (step * root[:, 1:-1]).sum(axis=-1, keepdims=True) * root[:, 1:-1]
    inner = np.einsum("iknc,jknc->ijk", step, step) / 35
    speed = np.sqrt(np.einsum("iik->ik", inner))
    np.testing.assert_allclose(found["speed"][:, 1:-1], speed, rtol=2e-2)
    angle = np.arccos(np.clip(inner / (speed[:, None] * speed[None]), -1, 1))
    np.testing.assert_allclose(found["angle"][..., 1:-1], angle, rtol=0, atol=2e-2)


def test_angles_are_symmetric_and_0_with_oneself() -> None:
    ways = TRAININGS.predspace.tangents("run", n_points=9)
    angle = ways["angle"].values
    np.testing.assert_allclose(angle, angle.swapaxes(0, 1), rtol=0, atol=1e-12)
    assert (angle[np.arange(9), np.arange(9)] == 0).all()
    assert (angle >= 0).all()
    assert (angle <= np.pi).all()
    assert ways["other_curve"].values.tolist() == np.repeat(CURVES, 3).tolist()


def test_the_speed_adds_up_to_the_length() -> None:
    ways = TRAININGS.predspace.tangents("run", n_points=801)
    speed = np.sqrt(2) * np.trapezoid(ways["speed"], ways["progress"], axis=1)
    low, high = ways.attrs["progress_range"]
    for run, length in zip(ways["run"].values, speed, strict=True):
        rows = np.flatnonzero(TRAININGS["run"].values == run)
        progress = TRAININGS.predspace.progress().values[rows]
        inside = progress[(progress > low) & (progress < high)]
        passed = reindex(P[rows], progress, [low, *inside, high])
        assert length == pytest.approx(riemann_length(passed, method="angle"), rel=1e-2)


# -- tube --------------------------------------------------------------------------------------------------------------


def test_the_tube_of_each_run() -> None:
    found = TRAININGS.predspace.tube()
    ends = ignorance(35, 4), truth(TRAININGS["label"].values, 4)
    expected = distance_to_geodesic(P, *ends)
    np.testing.assert_allclose(found["distance"], expected, rtol=1e-9)
    np.testing.assert_allclose(found["progress"], TRAININGS.predspace.progress(), rtol=1e-12)
    by_run = expected.reshape(9, 6)
    np.testing.assert_allclose(found["largest"], by_run.max(axis=1), rtol=1e-9)
    of_largest = found["progress"].values.reshape(9, 6)[np.arange(9), by_run.argmax(axis=1)]
    np.testing.assert_array_equal(found["progress_of_largest"], of_largest)
    assert found["trajectory"].values.tolist() == list(dict.fromkeys(TRAININGS["run"].values.tolist()))
    assert found["curve_of_trajectory"].values.tolist() == np.repeat(CURVES, 3).tolist()


def test_the_tube_of_some() -> None:
    chosen = Selection(tasks=("blue",), seeds=(1,))
    found, every = TRAININGS.predspace.tube(selection=chosen), TRAININGS.predspace.tube()
    assert found["trajectory"].values.tolist() == ["blue/supervised/1"]
    assert found["run"].values.tolist() == ["blue/supervised/1"] * 6
    assert float(found["largest"][0]) == float(every["largest"].sel(trajectory="blue/supervised/1"))


# -- Frechet -----------------------------------------------------------------------------------------------------------


def plain_frechet(D: np.ndarray) -> float:
    """By the recursion of Eiter and Mannila as it stands."""

    def reach(i: int, j: int) -> float:
        if i < 0 or j < 0:
            return np.inf
        before = 0.0 if i == j == 0 else min(reach(i - 1, j), reach(i, j - 1), reach(i - 1, j - 1))
        return max(D[i, j], before)

    return reach(len(D) - 1, D.shape[1] - 1)


def test_frechet_distances_of_runs_and_curves() -> None:
    D = TRAININGS.predspace.distances().values
    runs = np.arange(54).reshape(9, 6)
    expected = np.array([[plain_frechet(D[np.ix_(a, b)]) for b in runs] for a in runs])
    by_run, by_curve = (TRAININGS.predspace.frechet(by) for by in ("run", "curve"))
    np.testing.assert_array_equal(by_run["distance"], expected)
    assert (by_run["distance"].values.diagonal() == 0).all()
    groups = expected.reshape(3, 3, 3, 3)
    within = [groups[k, :, k].sum() / 6 for k in range(3)]
    for i, j in itertools.product(range(3), range(3)):
        distance = 0.0 if i == j else groups[i, :, j].mean()
        assert by_curve["distance"].values[i, j] == pytest.approx(distance, rel=1e-12)
        assert by_curve["floor"].values[i, j] == pytest.approx((within[i] + within[j]) / 2, rel=1e-12)
    np.testing.assert_allclose(by_run["floor"].values[::3, ::3], by_curve["floor"], rtol=1e-12)
    assert by_curve["curve"].values.tolist() == CURVES


def test_without_a_second_seed_the_floor_is_the_other_sides_or_not_known() -> None:
    one_has_one = TRAININGS.isel(checkpoint=(TRAININGS.task != "red") | (TRAININGS.seed == 0))
    floor = one_has_one.predspace.frechet("curve")["floor"]
    assert float(floor.sel(curve="red", other="blue")) == float(floor.sel(curve="blue", other="blue"))
    assert np.isnan(floor.sel(curve="red", other="red"))
    assert np.isnan(meeting_runs().predspace.frechet("curve")["floor"]).all()


# -- InPCA of trajectories ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["curve", "run"])
def test_whole_trajectories_have_the_distances_of_the_matrix(by: Any) -> None:
    picture = TRAININGS.predspace.inpca_of_trajectories(by=by, n_points=11, n_components=2)
    differ = TRAININGS.predspace.matrix(by=by, n_points=11, with_p=False)
    np.testing.assert_allclose(picture["distance"], differ["distance"], rtol=1e-9, atol=1e-14)
    assert picture[by].values.tolist() == differ[by].values.tolist()
    fitted = InPCA(2, metric="precomputed").fit(differ["distance"].values)
    np.testing.assert_allclose(picture["embedding"], fitted.embedding_, rtol=0, atol=1e-8)
    np.testing.assert_allclose(picture["explained_stress"], fitted.explained_stress_, rtol=0, atol=1e-9)
    assert picture.attrs["note"] == differ.attrs["note"]


@pytest.mark.parametrize("mean", MEANS)
def test_the_distance_of_whole_trajectories_is_that_of_one_prediction_of_all_their_samples(mean: Any) -> None:
    ways, _ = means_of_curves(mean)
    picture = TRAININGS.predspace.inpca_of_trajectories(mean=mean, n_points=11)
    inside = ways[:, 1:-1].reshape(3, -1, 4)  # of equal weight; the ends have half
    ends = ways[:, [0, -1]].reshape(3, -1, 4)
    expected = 0.9 * bhattacharyya(inside[:, None], inside) + 0.1 * bhattacharyya(ends[:, None], ends)
    np.testing.assert_allclose(picture["distance"], expected, rtol=1e-8, atol=1e-14)


def test_all_axes_rebuild_the_distances() -> None:
    picture = TRAININGS.predspace.inpca_of_trajectories(by="run", n_components=9, n_points=11)
    X, signs = picture["embedding"].values, np.sign(picture["eigenvalue"].values)
    rebuilt = (signs * np.square(X[:, None] - X)).sum(axis=-1)
    np.testing.assert_allclose(rebuilt, picture["distance"], rtol=0, atol=1e-12)
    assert picture["explained_stress"].values[-1] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(picture["axis_stress"].cumsum(), picture["explained_stress"], rtol=1e-12)


@pytest.mark.parametrize("mean", MEANS)
def test_trajectories_at_equal_progress_are_the_picture_of_their_means(mean: Any) -> None:
    ways, grid = means_of_curves(mean)
    picture = TRAININGS.predspace.inpca_of_trajectories("progress", mean=mean, n_points=11)
    assert picture["embedding"].dims == ("curve", "progress", "component")
    fitted = InPCA(3).fit(ways.reshape(33, 35, 4))
    np.testing.assert_allclose(picture["embedding"].values.reshape(33, 3), fitted.embedding_, rtol=0, atol=1e-4)
    np.testing.assert_allclose(picture["eigenvalue"], fitted.eigenvalues_, rtol=1e-4)
    np.testing.assert_allclose(picture["progress"], grid, rtol=1e-12)


@pytest.mark.parametrize("point", ["trajectory", "progress"])
def test_the_geodesic_lies_on_a_trajectory_along_it(point: Any) -> None:
    ds = along_two()
    picture = ds.predspace.inpca_of_trajectories(point, n_components=2, n_points=9)
    on_it = picture["embedding"].sel(curve="right").drop_vars(["curve", "n_runs"])
    np.testing.assert_allclose(picture["geodesic"], on_it, rtol=0, atol=1e-3)  # of float32 distances
    assert picture["geodesic"].dims == on_it.dims
    away = picture["embedding"].sel(curve="half").values - on_it.values
    assert np.abs(away).max() > 0.05


def test_the_geodesic_is_projected_as_any_other_trajectory() -> None:
    picture = TRAININGS.predspace.inpca_of_trajectories(by="run", n_points=11)
    grid = np.linspace(*picture.attrs["progress_range"], 11)
    line = geodesic(ignorance(35, 4), truth(TRAININGS["label"].values, 4), grid)
    progress = TRAININGS.predspace.progress().values
    runs = [reindex(P[rows], progress[rows], grid) for rows in np.arange(54).reshape(9, 6)]
    along = [0.05, *[0.1] * 9, 0.05]
    distances = np.average(bhattacharyya(np.stack(runs), line), axis=1, weights=along)
    fitted = InPCA(3, metric="precomputed").fit(picture["distance"].values)
    np.testing.assert_allclose(picture["geodesic"], fitted.transform(distances[None])[0], rtol=0, atol=1e-8)


def test_who_does_not_share_the_range_is_left_out_and_named() -> None:
    late = TRAININGS.isel(checkpoint=(TRAININGS.task != "blue") | (TRAININGS.epoch < 3))
    shared = (0.1, 0.4)
    picture = late.predspace.inpca_of_trajectories(n_components=2, progress_range=shared)
    assert picture["curve"].values.tolist() == ["red", "green"]
    assert "Not compared, for they do not share it: blue" in picture.attrs["note"]
    for make in (late.predspace.tangents, late.predspace.distance_to_mean):
        assert make(progress_range=shared)["curve"].values.tolist() == ["red", "green"]


# -- errors ------------------------------------------------------------------------------------------------------------

LABELLED: list[Callable[[xr.Dataset], xr.Dataset]] = [
    lambda ds: ds.predspace.mean_trajectory("red", n_points=11),
    lambda ds: ds.predspace.mean_trajectory("red", "bhattacharyya", n_points=11),
    lambda ds: ds.predspace.distance_to_mean(n_points=11),
    lambda ds: ds.predspace.tangents(n_points=11),
    lambda ds: ds.predspace.inpca_of_trajectories(n_points=11)[["distance", "eigenvalue", "geodesic"]],
    lambda ds: ds.predspace.inpca_of_trajectories("progress", n_points=11)[["eigenvalue"]],
    lambda ds: ds.predspace.frechet(),
    lambda ds: ds.predspace.tube(),
]


@pytest.mark.parametrize("make", LABELLED)
def test_without_predictions(make: Callable[[xr.Dataset], xr.Dataset]) -> None:
    with pytest.raises((NoPredictionsError, ValueError)):
        make(embedding_only())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: p.mean_trajectory("violet"), "no curve 'violet'"),
        (lambda p: p.mean_trajectory("red/supervised/0"), "'red/supervised/0' is a run: .* a curve, such as 'red'"),
        (lambda p: p.mean_trajectory("red", "geometric"), "unknown mean 'geometric'"),
        (lambda p: p.mean_trajectory("red", progress_range=(0.0, 1.0)), "which all runs cover"),
        (lambda p: p.mean_trajectory("red", n_points=1), "n_points must be at least 2"),
        (lambda p: p.distance_to_mean("seed"), "by must be one of curve, run, not 'seed'"),
        (lambda p: p.distance_to_mean(selection=Selection(tasks=("red",))), "only one curve is chosen, 'red'"),
        (lambda p: p.tangents(mean="median"), "unknown mean 'median'"),
        (lambda p: p.inpca_of_trajectories("run"), "point must be one of trajectory, progress, not 'run'"),
        (lambda p: p.inpca_of_trajectories(n_components=4), "n_components=4: 3 points have 1 to 3 axes"),
        (lambda p: p.inpca_of_trajectories("progress", "run", n_points=1000), "9,000 points are more than 8,000.*by="),
        (lambda p: p.frechet("seed"), "by must be one of curve, run"),
    ],
)
def test_wrong_options(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(TRAININGS.predspace)


def test_runs_that_stand_still_share_no_range() -> None:
    with pytest.raises(ValueError, match="share no range"):
        constant_run().predspace.mean_trajectory("constant")
