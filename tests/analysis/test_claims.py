"""What is measured of the paper's claims on runs: stress and its nulls, separations, lengths."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from predspace_widgets.trajectories.claims import (
    at_equal_progress,
    between_groups,
    distances_of_runs,
    distances_to_reference,
    end_points,
    explained_stress,
    length_ratios,
    lengths_by_stride,
    random_geodesics,
    stress_of_nulls,
    turned_curves,
)

from predspace_widgets.geometry import (
    bhattacharyya,
    ignorance,
    pairwise,
    progress,
    riemann_length,
    trajectory_distance,
    truth,
)
from predspace_widgets.trajectories import make_trajectories, validate
from predspace_widgets.trajectories.schema import CHECKPOINT_COORDS
from predspace_widgets.trajectories.testing import geodesic_run, meeting_runs, random_trajectories

N_CHECKPOINTS = 6
# 3 tasks x 3 seeds x 6 checkpoints on 20 samples and 4 classes.
TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=N_CHECKPOINTS, n_samples=20, n_classes=4)
PROBS = TRAININGS["probs"].values
RUNS = list(dict.fromkeys(TRAININGS["run"].values.tolist()))
each_null = pytest.mark.parametrize("null", [turned_curves, random_geodesics])


def run_of(ds: xr.Dataset, run: str) -> np.ndarray:
    """Predictions (T, N, C) of a run."""
    return ds["probs"].values[ds["run"].values == run]


# -- random curves ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds_together", [False, True])
def test_turned_curves_have_the_recorded_lengths(seeds_together: bool) -> None:
    turned = turned_curves(TRAININGS, np.random.default_rng(0), seeds_together)
    for run in RUNS:
        before, after = run_of(TRAININGS, run), run_of(turned, run)
        assert not np.allclose(before, after)
        np.testing.assert_allclose(pairwise(after), pairwise(before), atol=1e-6)
        assert riemann_length(after) == pytest.approx(riemann_length(before), rel=1e-12)


def test_turned_curves_start_in_ignorance_and_make_the_recorded_progress() -> None:
    ds = geodesic_run(n_checkpoints=5, n_samples=4000, n_classes=4)
    turned = turned_curves(ds, np.random.default_rng(0))["probs"].values
    P_0 = ignorance(4000, 4)
    np.testing.assert_allclose(turned[0], P_0)
    labelling = turned[-1].argmax(axis=-1)
    np.testing.assert_allclose(progress(turned, P_0, truth(labelling, 4)), [0, 0.25, 0.5, 0.75, 1], atol=1e-6)
    # Every class for every true class a quarter of the time: 250 of 1000, give or take 5 standard deviations.
    counts = np.array([np.bincount(labelling[ds["label"].values == label], minlength=4) for label in range(4)])
    np.testing.assert_allclose(counts / counts.sum(axis=1, keepdims=True), 0.25, atol=5 * 0.014)


def test_seeds_turned_together_stay_as_near_as_they_were() -> None:
    red = TRAININGS["task"].values == "red"
    before = pairwise(PROBS)
    together = pairwise(turned_curves(TRAININGS, np.random.default_rng(0), seeds_together=True)["probs"].values)
    apart = pairwise(turned_curves(TRAININGS, np.random.default_rng(0))["probs"].values)
    inside, between = np.ix_(red, red), np.ix_(red, ~red)
    np.testing.assert_allclose(together[inside], before[inside], atol=1e-6)
    assert apart[inside].mean() > 1.5 * before[inside].mean()
    assert together[between].mean() > before[between].mean()


def test_random_geodesics_go_straight_at_the_recorded_progress() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=2, n_checkpoints=N_CHECKPOINTS, n_samples=50)
    straight = random_geodesics(ds, np.random.default_rng(0))
    reached = ds.predspace.progress().values
    labellings = []
    for run in dict.fromkeys(ds["run"].values.tolist()):
        rows = ds["run"].values == run
        labellings.append(run_of(straight, run)[-1].argmax(axis=-1))
        found = progress(run_of(straight, run), ignorance(50, 5), truth(labellings[-1], 5))
        np.testing.assert_allclose(found, reached[rows], atol=1e-6)
    assert 0 < (labellings[0] == labellings[1]).mean() < 0.5  # a fifth of the samples, by chance


@each_null
def test_a_null_is_a_valid_dataset_of_the_same_checkpoints(null: object) -> None:
    first, again, other = (null(TRAININGS, np.random.default_rng(seed)) for seed in (0, 0, 1))  # type: ignore[operator]
    validate(first)
    assert list(first.data_vars) == ["probs"]  # the recorded accuracy is not that of the null
    for name in CHECKPOINT_COORDS:
        assert first[name].values.tolist() == TRAININGS[name].values.tolist()
    xr.testing.assert_identical(first, again)
    assert not np.allclose(first["probs"], other["probs"])


# -- explained stress -------------------------------------------------------------------------------------------------


def test_explained_stress_of_all_and_of_each_seed() -> None:
    table = explained_stress(TRAININGS, n_axes=2).set_index("seed")
    assert table["n_runs"].to_dict() == {"all": 9, "0": 3, "1": 3, "2": 3}
    for name, ds in (("all", TRAININGS), ("1", TRAININGS.predspace.select(seeds=[1]))):
        picture = ds.predspace.inpca(2)
        assert table.loc[name, "explained_stress"] == float(picture["explained_stress"][-1])
        assert table.loc[name, "n_imaginary"] == (picture["eigenvalue"] < 0).sum()
        assert table.loc[name, "n_checkpoints"] == ds.sizes["checkpoint"]


def test_random_curves_need_more_axes() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=10, n_samples=60)
    nulls = stress_of_nulls(ds, n_draws=3)
    measured = explained_stress(ds)["explained_stress"][0]
    assert nulls.groupby("curves").size().to_dict() == {
        "each run turned": 3,
        "geodesics": 3,
        "seeds turned together": 3,
    }
    by_kind = {kind: table["explained_stress"] for kind, table in nulls.groupby("curves")}
    assert by_kind["each run turned"].between(0, 0.8 * measured).all()
    assert by_kind["geodesics"].between(0, 0.8 * measured).all()
    # All runs are seeds of one task: turned together they are the same picture.
    np.testing.assert_allclose(by_kind["seeds turned together"], measured, atol=1e-6)
    assert by_kind["each run turned"].nunique() == by_kind["geodesics"].nunique() == 3
    assert stress_of_nulls(ds, n_draws=3).equals(nulls)
    assert not stress_of_nulls(ds, n_draws=3, seed=1).equals(nulls)


# -- separation -------------------------------------------------------------------------------------------------------


def test_end_points_are_the_last_checkpoints() -> None:
    ends = end_points(TRAININGS)
    assert ends["run"].values.tolist() == RUNS
    assert ends["task"].values.tolist() == ["red"] * 3 + ["green"] * 3 + ["blue"] * 3
    assert ends["seed"].values.tolist() == [0, 1, 2] * 3
    np.testing.assert_array_equal(ends, PROBS[N_CHECKPOINTS - 1 :: N_CHECKPOINTS])


def test_distances_of_runs_are_symmetric_and_those_of_the_geometry() -> None:
    distances = distances_of_runs(end_points(TRAININGS))
    ends = end_points(TRAININGS).values
    np.testing.assert_allclose(distances, pairwise(ends, dtype="float64"), atol=1e-12)
    assert distances["other_task"].values.tolist() == distances["task"].values.tolist()


def test_d_traj_is_that_of_the_geometry() -> None:
    ds = TRAININGS.predspace.select(tasks=["red", "green"], seeds=[1])
    d_traj = distances_of_runs(at_equal_progress(ds, n_points=21)).integrate("progress")
    reached = ds.predspace.progress().values
    red, green = (ds["task"].values == task for task in ("red", "green"))
    expected = trajectory_distance([PROBS[6:12]], [PROBS[24:30]], [reached[red]], [reached[green]], n_points=21)
    assert d_traj.values[0, 1] == pytest.approx(expected.distance, rel=1e-9)
    assert d_traj.values[0, 0] == 0


def test_runs_that_meet_at_both_ends() -> None:
    curve = distances_of_runs(at_equal_progress(meeting_runs(), n_points=5)).isel(run=0, other=1)
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
        at_equal_progress(both)
    with pytest.raises(ValueError, match="n_points must be at least 2"):
        at_equal_progress(whole, n_points=1)


def test_between_groups_counts_pairs_of_different_runs() -> None:
    distances = distances_of_runs(end_points(TRAININGS))
    groups = between_groups(distances)
    values = distances.values
    assert groups["mean"].sel(task="red", other="red").item() == pytest.approx(values[[0, 0, 1], [1, 2, 2]].mean())
    assert groups["mean"].sel(task="red", other="blue").item() == pytest.approx(values[:3, 6:].mean())
    assert groups["low"].sel(task="blue", other="red").item() == values[:3, 6:].min()
    assert groups["high"].sel(task="blue", other="red").item() == values[:3, 6:].max()
    assert groups["n_pairs"].values.tolist() == [[3, 9, 9], [9, 3, 9], [9, 9, 3]]
    single = between_groups(distances_of_runs(end_points(TRAININGS.predspace.select(seeds=[0]))))
    assert np.isnan(np.diag(single["mean"])).all()


def test_a_twin_of_the_reference_is_at_the_floor() -> None:
    red = TRAININGS.predspace.select(tasks=["red"])
    twin = red.assign_coords(
        method=("checkpoint", ["twin"] * 18), run=("checkpoint", [f"{run} twin" for run in red["run"].values])
    )
    points = at_equal_progress(xr.concat([red, twin], "checkpoint", data_vars="minimal"), n_points=5)
    found = distances_to_reference(points, "supervised")
    assert found.sizes == {"comparison": 12, "progress": 5}
    floor = found[(found["method"] == "supervised").values]
    assert floor["run"].values.tolist() == floor["left_out"].values.tolist() == RUNS[:3]
    twins = found[[f"{one.left_out.item()} twin" == one.run.item() for one in found]]
    np.testing.assert_allclose(floor, twins, rtol=1e-12)
    mean = points.values[1:3].mean(axis=0)
    np.testing.assert_allclose(floor.values[0], bhattacharyya(points.values[0], mean), rtol=1e-12)


def test_a_reference_needs_two_runs() -> None:
    ends = end_points(TRAININGS.predspace.select(seeds=[0]))
    with pytest.raises(ValueError, match="'red' has 1 runs, at least 2 are needed; there is red, green, blue"):
        distances_to_reference(ends, "red", by="task")
    with pytest.raises(ValueError, match="'pink' has 0 runs"):
        distances_to_reference(ends, "pink", by="task")


# -- lengths ----------------------------------------------------------------------------------------------------------


def zigzag(n_checkpoints: int = 9, task: str = "zigzag") -> xr.Dataset:
    """A run that goes to and fro between two points."""
    points = np.array([[[0.5, 0.5]], [[0.8, 0.2]]])
    return make_trajectories(points[np.arange(n_checkpoints) % 2], label=[0], task=task, epoch=np.arange(n_checkpoints))


def test_lengths_at_strides() -> None:
    table = lengths_by_stride(TRAININGS, strides=[1, 2])
    np.testing.assert_allclose(table[table["stride"] == 1]["length"], TRAININGS.predspace.riemann_length())
    second = table[table["stride"] == 2]
    assert second["n_checkpoints"].tolist() == [4] * 9  # 0, 2, 4 and the last
    assert second["length"].iloc[0] == pytest.approx(riemann_length(PROBS[[0, 2, 4, 5]]))


def test_noise_is_length_that_strides_lose() -> None:
    table = lengths_by_stride(zigzag(), strides=[1, 2]).set_index("stride")["length"]
    assert table[1] == pytest.approx(16 * np.sqrt(bhattacharyya([[0.5, 0.5]], [[0.8, 0.2]])))
    assert table[2] == 0


def test_lengths_compare_on_equal_schedules_only() -> None:
    short = zigzag(5, task="short")
    both = xr.concat([zigzag(), short], "checkpoint", data_vars="minimal")
    with pytest.raises(ValueError, match="short/supervised/0 has other steps than zigzag/supervised/0"):
        lengths_by_stride(both)
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        lengths_by_stride(zigzag(), strides=[1, 0])


def test_length_ratios() -> None:
    lengths = lengths_by_stride(TRAININGS, strides=[1, 2])
    table = length_ratios(lengths, "green", by="task").set_index(["stride", "task"])
    by_hand = {task: part["length"].to_numpy() for task, part in lengths[lengths["stride"] == 2].groupby("task")}
    row = table.loc[(2, "red")]
    assert row["ratio"] == pytest.approx(by_hand["red"].mean() / by_hand["green"].mean())
    assert row["low"] == pytest.approx(by_hand["red"].min() / by_hand["green"].max())
    assert row["high"] == pytest.approx(by_hand["red"].max() / by_hand["green"].min())
    assert (table.xs("green", level="task")["ratio"] == 1).all()
    with pytest.raises(ValueError, match="no task 'pink' among these lengths: red, green, blue"):
        length_ratios(lengths, "pink", by="task")
