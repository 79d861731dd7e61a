"""Run against run: distances at their ends and at equal progress, to a reference, between groups."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import measurements
from predspace_widgets.analysis.runs import (
    between_groups,
    compare_ends,
    distances_of_runs,
    distances_to_reference,
    mean_over_progress,
)
from predspace_widgets.geometry import bhattacharyya, pairwise, reindex, trajectory_distance
from predspace_widgets.trajectories.testing import geodesic_run, meeting_runs, random_trajectories

N_CHECKPOINTS = 6
# 3 tasks x 3 seeds x 6 checkpoints on 20 samples and 4 classes.
TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=N_CHECKPOINTS, n_samples=20, n_classes=4)
PROBS = TRAININGS["probs"].values
ENDS = PROBS[N_CHECKPOINTS - 1 :: N_CHECKPOINTS]
RUNS = list(dict.fromkeys(TRAININGS["run"].values.tolist()))
CURVES = ["red"] * 3 + ["green"] * 3 + ["blue"] * 3


def test_distances_at_the_end_are_those_of_the_last_checkpoints() -> None:
    distances = distances_of_runs(TRAININGS, at="end")
    np.testing.assert_allclose(distances, pairwise(ENDS, dtype="float64"), atol=1e-12)
    assert distances["run"].values.tolist() == distances["other"].values.tolist() == RUNS
    assert distances["task"].values.tolist() == distances["other_task"].values.tolist() == CURVES
    assert distances["curve"].values.tolist() == CURVES
    assert distances["seed"].values.tolist() == [0, 1, 2] * 3


def test_d_traj_is_that_of_the_geometry() -> None:
    ds = TRAININGS.predspace.select(tasks=["red", "green"], seeds=[1])
    distances = distances_of_runs(ds, n_points=21)
    reached = ds.predspace.progress().values
    red, green = (ds["task"].values == task for task in ("red", "green"))
    expected = trajectory_distance([PROBS[6:12]], [PROBS[24:30]], [reached[red]], [reached[green]], n_points=21)
    np.testing.assert_allclose(distances["progress"], expected.grid)
    np.testing.assert_allclose(distances.values[0, 1], expected.curve, rtol=1e-9)
    mean = mean_over_progress(distances)
    width = expected.grid[-1] - expected.grid[0]
    assert mean.values[0, 1] == pytest.approx(expected.distance / width, rel=1e-9)
    assert mean.values[0, 0] == 0
    assert mean.attrs["progress_range"] == (expected.grid[0], expected.grid[-1])


def test_runs_that_meet_at_both_ends() -> None:
    curve = distances_of_runs(meeting_runs(), n_points=5).isel(run=0, other=1)
    assert curve["progress"].values.tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(curve.values[[0, -1]], 0, atol=1e-12)
    assert (curve.values[1:-1] > 0.01).all()


def test_runs_without_a_common_range_are_named() -> None:
    whole = geodesic_run(n_checkpoints=5)
    early, late = (
        whole.isel(checkpoint=[0, 1]),
        whole.isel(checkpoint=[3, 4]).assign_coords(run=("checkpoint", ["late", "late"])),
    )
    both = xr.concat([early, late], "checkpoint", data_vars="minimal")
    with pytest.raises(ValueError, match=r"late starts at 0.75, geodesic/synthetic/0 ends at 0.25"):
        distances_of_runs(both)
    with pytest.raises(ValueError, match="n_points must be at least 2"):
        distances_of_runs(whole, n_points=1)
    with pytest.raises(ValueError, match="not at 'start'"):
        distances_of_runs(whole, at="start")  # type: ignore[arg-type]


def test_a_few_samples_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """No array of all runs, values of progress, samples and classes is needed."""
    whole = distances_of_runs(TRAININGS, n_points=7), distances_to_reference(TRAININGS, "red", n_points=7)
    monkeypatch.setattr(measurements, "_PROBABILITIES_AT_A_TIME", 9 * 7 * 4 * 3)  # three samples
    parts = distances_of_runs(TRAININGS, n_points=7), distances_to_reference(TRAININGS, "red", n_points=7)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-15)


def test_between_groups_counts_pairs_of_different_runs() -> None:
    distances = distances_of_runs(TRAININGS, at="end")
    groups = between_groups(distances)
    values = distances.values
    assert groups["mean"].sel(task="red", other="red").item() == pytest.approx(values[[0, 0, 1], [1, 2, 2]].mean())
    assert groups["mean"].sel(task="red", other="blue").item() == pytest.approx(values[:3, 6:].mean())
    assert groups["low"].sel(task="blue", other="red").item() == values[:3, 6:].min()
    assert groups["high"].sel(task="blue", other="red").item() == values[:3, 6:].max()
    assert groups["n_pairs"].values.tolist() == [[3, 9, 9], [9, 3, 9], [9, 9, 3]]
    single = between_groups(distances_of_runs(TRAININGS.predspace.select(seeds=[0]), at="end"))
    assert np.isnan(np.diag(single["mean"])).all()


def with_twin() -> xr.Dataset:
    """The red runs, and the same once more by another method."""
    red = TRAININGS.predspace.select(tasks=["red"])
    twin = red.assign_coords(
        method=("checkpoint", ["twin"] * 18), run=("checkpoint", [f"{run} twin" for run in red["run"].values])
    )
    return xr.concat([red, twin], "checkpoint", data_vars="minimal")


@pytest.mark.parametrize("at", ["progress", "end"])
def test_a_twin_of_the_reference_is_at_the_floor(at: str) -> None:
    ds = with_twin()
    distances = distances_to_reference(ds, "red", at=at, n_points=5)  # type: ignore[arg-type]
    assert distances.sizes == {"comparison": 12} | ({"progress": 5} if at == "progress" else {})
    floor = distances[(distances["method"] == "supervised").values]
    assert floor["run"].values.tolist() == floor["left_out"].values.tolist() == RUNS[:3]
    twins = distances[[f"{one.left_out.item()} twin" == one.run.item() for one in distances]]
    np.testing.assert_allclose(floor, twins, rtol=1e-12)
    if at == "end":
        expected = bhattacharyya(ENDS[0], ENDS[1:3].mean(axis=0))
    else:
        reached = ds.predspace.progress().values.reshape(6, 6)
        grid = distances["progress"].values
        points = [reindex(PROBS[6 * k : 6 * k + 6], reached[k], grid) for k in range(3)]
        expected = bhattacharyya(points[0], (points[1] + points[2]) / 2)
    np.testing.assert_allclose(floor.values[0], expected, rtol=1e-12)


def test_a_reference_needs_two_runs() -> None:
    with pytest.raises(ValueError, match="'red' has 1 runs, at least 2 are needed"):
        distances_to_reference(TRAININGS.predspace.select(seeds=[0]), "red", at="end")
    with pytest.raises(ValueError, match="no curve 'pink' in this dataset; it has red, green, blue"):
        distances_to_reference(TRAININGS, "pink", at="end")


def test_ends_are_compared_as_means_over_seeds() -> None:
    result = compare_ends(TRAININGS, "red", "blue")
    assert float(result["distance"]) == pytest.approx(bhattacharyya(ENDS[:3].mean(axis=0), ENDS[6:].mean(axis=0)))
    runs = [0, 1, 2, 6, 7, 8]
    splits = []
    for first in itertools.combinations(runs, 3):
        second = [run for run in runs if run not in first]
        splits.append(bhattacharyya(ENDS[list(first)].mean(axis=0), ENDS[second].mean(axis=0)))
    assert float(result["p_value"]) == np.mean(np.array(splits) >= splits[0] - 1e-12)
    assert float(result["smallest_p"]) == 2 / 20
    twins = compare_ends(with_twin(), "red", ("red", "twin"))
    assert float(twins["distance"]) == pytest.approx(0, abs=1e-12)
    assert float(twins["p_value"]) == 1
    with pytest.raises(ValueError, match="choose two different curves"):
        compare_ends(TRAININGS, "red", "red")
    assert set(compare_ends(TRAININGS.predspace.select(seeds=[0]), "red", "blue").data_vars) == {"distance"}
