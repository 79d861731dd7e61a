"""All pairs of curves and of runs: equal to what pairwise calls say, over one range that is chosen and told."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.analysis.common_range import widest_range
from predspace_widgets.analysis.matrix import matrix
from predspace_widgets.analysis.runs import compare_ends, distances_of_runs, mean_over_progress
from predspace_widgets.geometry import bhattacharyya
from predspace_widgets.geometry.relabelling import holm
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import geodesic_run, random_trajectories
from tests.trajectories.samples import embedding_only

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=6, n_samples=35, n_classes=4)
CURVES = ["red", "green", "blue"]


def test_it_equals_comparisons_pair_by_pair() -> None:
    differ = TRAININGS.predspace.matrix(n_points=11)
    shared = differ.attrs["progress_range"]
    for one, other in itertools.permutations(CURVES, 2):
        pair = differ.sel(curve=one, other=other)
        compared = TRAININGS.predspace.trajectory_distance(one, other, n_points=11, progress_range=shared)
        assert float(pair.distance) == pytest.approx(compared.attrs["mean_distance"], rel=1e-9)
        assert float(pair.floor) == pytest.approx(compared.attrs["floor_mean_distance"], rel=1e-9)
        assert float(pair.p_value) == compared.attrs["p_value"]
        assert bool(pair.within_floor) == (float(pair.distance) <= float(pair.floor))


def test_without_p_the_rest_is_the_same() -> None:
    for of in ("progress", "end", "step"):
        differ, without = (TRAININGS.predspace.matrix(of=of, n_points=11, with_p=with_p) for with_p in (True, False))
        xr.testing.assert_allclose(
            differ.drop_vars([name for name in differ if name not in without]), without, rtol=1e-9, atol=1e-12
        )
        assert "p_value" not in without
        assert "says" not in without.attrs


def test_p_is_corrected_over_the_pairs() -> None:
    differ = random_trajectories(("a", "b", "c", "d"), n_seeds=3, n_checkpoints=4).predspace.matrix(of="end")
    above = np.triu_indices(4, 1)
    np.testing.assert_array_equal(differ.p_holm.values[above], holm(differ.p_value.values[above]))
    np.testing.assert_array_equal(differ.p_holm, differ.p_holm.T)
    assert (differ.smallest_p.values[above] == 0.1).all()
    assert np.isnan([differ[name].values.diagonal() for name in ("p_value", "p_holm", "smallest_p")]).all()
    assert "over 6 pairs not below .6: nothing here can be decided" in differ.attrs["says"]


def test_relabellings_that_are_drawn_are_told_from_few_runs() -> None:
    many = random_trajectories(tuple("abcdefghijkl"), n_seeds=12, n_checkpoints=2, n_samples=10)
    some = many.isel(checkpoint=(many["task"].values != "a") | (many["seed"].values < 2))
    differ = some.predspace.matrix(of="end")
    few, drawn = differ.sel(curve="a", other="b"), differ.sel(curve="b", other="c")
    assert (float(few.smallest_p), bool(few.p_is_exact)) == (pytest.approx(1 / 91), True)
    assert (float(drawn.smallest_p), bool(drawn.p_is_exact)) == (0.001, False)
    assert float(drawn.smallest_p_holm) == pytest.approx(0.066)
    assert bool(drawn.can_decide)
    assert not differ.can_decide_holm.any()
    assert not [differ[name].values.diagonal().any() for name in ("p_is_exact", "can_decide")].count(True)
    assert differ.attrs["says"] == (
        "12 runs against 12, with 1,000 relabellings drawn, cannot give p below .001, 12 runs against 2 not below "
        ".011, after Holm's correction over 66 pairs not below .066: nothing here can be decided at .05. More "
        "relabellings could, or at most 50 pairs."
    )


def test_a_curve_that_is_left_out_is_in_no_family() -> None:
    differ = TRAININGS.predspace.matrix(n_points=5, progress_range=[0.2, 0.4])
    assert differ.compared.values.tolist() == [True, True, False]
    assert np.isfinite(differ.p_holm).sum() == 2
    xr.testing.assert_equal(differ.p_holm.drop_vars("curve"), differ.p_value.drop_vars("curve"))
    assert "pairs" not in differ.attrs["says"]


def test_at_the_end_it_equals_comparisons_of_ends() -> None:
    differ = TRAININGS.predspace.matrix(of="end")
    for one, other in itertools.combinations(CURVES, 2):
        pair, compared = differ.sel(curve=one, other=other), compare_ends(TRAININGS, one, other)
        for name in ("distance", "floor", "p_value"):
            assert float(pair[name]) == pytest.approx(float(compared[name]), rel=1e-9)
    assert "progress_range" not in differ.attrs


def test_at_equal_steps_it_is_the_mean_over_them() -> None:
    differ = TRAININGS.predspace.matrix(of="step")
    probs = TRAININGS["probs"].values.reshape(3, 3, 6, 35, 4).mean(axis=1)  # (curve, step, N, C)
    expected = bhattacharyya(probs[:, None], probs[None]).mean(axis=-1)
    np.testing.assert_allclose(differ.distance, expected, atol=1e-12)
    assert differ.attrs["steps"] == sorted(set(TRAININGS["step"].values.tolist()))


def test_run_by_run_it_equals_the_distances_of_runs() -> None:
    differ = TRAININGS.predspace.matrix(by="run", n_points=11)
    expected = mean_over_progress(distances_of_runs(TRAININGS, n_points=11))
    np.testing.assert_allclose(differ.distance, expected, rtol=1e-9, atol=1e-12)
    assert differ["run"].values.tolist() == expected["run"].values.tolist()
    assert differ["curve"].values.tolist() == expected["curve"].values.tolist()
    assert "p_value" not in differ


def test_the_floor_of_two_runs_is_that_of_a_comparison_of_one_seed_with_one() -> None:
    by_curve, by_run = (TRAININGS.predspace.matrix(of="end", by=by) for by in ("curve", "run"))
    np.testing.assert_allclose(by_run.floor.values[::3, ::3], 3 * by_curve.floor, rtol=1e-9)


def test_the_diagonal_has_the_floor_of_each_curve() -> None:
    differ = TRAININGS.predspace.matrix(of="end")
    ends = TRAININGS["probs"].values[5::6].reshape(3, 3, 35, 4)
    for curve, runs in zip(CURVES, ends, strict=True):
        others = [np.delete(runs, one, axis=0).mean(axis=0) for one in range(3)]
        variance = bhattacharyya(runs, np.stack(others)).mean() / (1 + 1 / 2)
        assert float(differ.floor.sel(curve=curve, other=curve)) == pytest.approx(2 * variance / 3, rel=1e-9)
        assert float(differ.distance.sel(curve=curve, other=curve)) == 0


@pytest.mark.parametrize("of", ["progress", "end", "step"])
@pytest.mark.parametrize("by", ["curve", "run"])
def test_it_is_symmetric_and_its_order_holds_everybody_once(of: str, by: str) -> None:
    differ = TRAININGS.predspace.matrix(of=of, by=by, n_points=5)
    for name in ("distance", "floor", "within_floor"):
        np.testing.assert_array_equal(differ[name], differ[name].values.T)
    assert sorted(differ["order"].values.tolist()) == list(range(differ.sizes["other"]))
    assert differ["linkage"].shape == (differ.sizes["other"] - 1, 4)


def test_seeds_of_a_curve_stand_next_to_each_other() -> None:
    differ = TRAININGS.predspace.matrix(of="end", by="run")
    curves = differ["curve"].values[differ["order"]].tolist()
    assert len([name for name, _ in itertools.groupby(curves)]) == 3


def test_the_order_of_samples_changes_nothing() -> None:
    shuffled = TRAININGS.isel(sample=np.random.default_rng(0).permutation(35))
    for by in ("curve", "run"):
        one, other = (ds.predspace.matrix(by=by, n_points=5) for ds in (TRAININGS, shuffled))
        np.testing.assert_allclose(one.distance, other.distance, rtol=1e-9, atol=1e-12)


# -- runs among what is compared ---------------------------------------------------------------------------------------


def test_two_seeds_of_a_curve_are_compared_with_the_floor_of_one_run_and_another() -> None:
    one, other = "red/supervised/0", "red/supervised/2"
    compared = TRAININGS.predspace.trajectory_distance(one, other, n_points=11)
    shared = compared.attrs["progress_range"]
    differ = TRAININGS.predspace.matrix(by="run", n_points=11, progress_range=shared).sel(run=one, other=other)
    assert compared.attrs["mean_distance"] == pytest.approx(float(differ.distance), rel=1e-9)
    assert compared.attrs["floor_mean_distance"] == pytest.approx(float(differ.floor), rel=1e-9)
    assert (compared.attrs["n_first"], compared.attrs["n_second"]) == (1, 1)
    assert "p_value" not in compared.attrs


def test_a_run_is_compared_with_its_own_curve_without_itself() -> None:
    rest = TRAININGS.isel(checkpoint=np.flatnonzero(TRAININGS["run"].values != "red/supervised/0"))
    compared = TRAININGS.predspace.trajectory_distance("red/supervised/0", "red", n_points=11)
    assert (compared.attrs["n_first"], compared.attrs["n_second"]) == (1, 2)
    assert compared.attrs["smallest_p"] == pytest.approx(1 / 3)
    turned = TRAININGS.predspace.trajectory_distance("red", "red/supervised/0", n_points=11)
    np.testing.assert_allclose(turned.distance, compared.distance, rtol=1e-9)
    assert rest.sizes["checkpoint"] == 48
    with pytest.raises(ValueError, match="two different runs"):
        TRAININGS.predspace.trajectory_distance("red/supervised/0", "red/supervised/0")
    alone = TRAININGS.predspace.select(tasks=["red"], seeds=[0])
    with pytest.raises(ValueError, match="'red' has no other run than 'red/supervised/0'"):
        alone.predspace.trajectory_distance("red", "red/supervised/0")


# -- one range ---------------------------------------------------------------------------------------------------------


def test_who_does_not_share_the_range_is_left_out_and_the_rest_compared() -> None:
    is_late = np.tile(np.arange(6), 9) > 2
    is_red = TRAININGS["task"].values == "red"
    ds = TRAININGS.isel(checkpoint=np.flatnonzero(is_late | ~is_red))
    reached = ds.predspace.progress().values
    assert reached[ds["task"].values == "red"].min() > reached[ds["task"].values == "blue"].max()
    differ = ds.predspace.matrix(n_points=5)
    assert differ.compared.values.tolist() == [False, True, True]
    assert np.isfinite(differ.distance.sel(curve="blue", other="green"))
    assert np.isnan(differ.distance.sel(curve="red")).all()
    assert np.isnan(differ.distance.sel(other="red")).all()
    assert not differ.within_floor.sel(curve="red").any()
    assert differ["order"].values[-1] == 0
    assert "Not compared, for they do not share it: red (" in differ.attrs["note"]


def test_a_given_range_is_the_range() -> None:
    low, high = TRAININGS.predspace.matrix(n_points=5).attrs["progress_range"]
    middle = (low + high) / 2
    differ = TRAININGS.predspace.matrix(n_points=5, progress_range=(middle, high))
    assert differ.attrs["progress_range"] == (middle, high)
    assert differ.attrs["bounded_by"] == []
    with pytest.raises(ValueError, match=r"fewer than two cover progress 0 to 1: red \("):
        TRAININGS.predspace.matrix(progress_range=(0, 1))
    with pytest.raises(ValueError, match="two numbers in"):
        TRAININGS.predspace.matrix(progress_range=(0.5, 0.4))


@pytest.mark.parametrize("seed", range(20))
def test_the_widest_range_is_the_best_of_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    lows = random.uniform(0, 0.6, 6)
    highs = lows + random.uniform(0.05, 0.4, 6)
    low, high, covers = widest_range(lows, highs)  # type: ignore[misc]
    assert ((lows <= low) & (highs >= high)).tolist() == covers.tolist()
    others = [(a, b) for a in lows for b in highs if b - a >= 0.1]
    counts = [(int(((lows <= a) & (highs >= b)).sum()), b - a) for a, b in others]
    assert (int(covers.sum()), high - low) == max(
        (pair for pair in counts if pair[0] > 1), default=(covers.sum(), high - low)
    )


def test_ranges_that_do_not_meet_are_none() -> None:
    assert widest_range(np.array([0.0, 0.5]), np.array([0.4, 0.9])) is None
    narrow = widest_range(np.array([0.0, 0.38]), np.array([0.4, 0.9]))
    assert narrow is not None
    assert narrow[:2] == (0.38, 0.4)


# -- outliers ----------------------------------------------------------------------------------------------------------


def test_the_run_that_is_far_from_its_curve_is_listed() -> None:
    ds = random_trajectories(("red", "blue"), n_seeds=5, n_checkpoints=4, n_samples=60)
    is_odd = ds["run"].values == "red/supervised/3"
    ds = ds.copy(deep=True)
    ds["probs"].values[is_odd] = ds["probs"].values[ds["run"].values == "blue/supervised/3"]
    far = ds.predspace.outliers(at="end")
    assert far["run"].tolist() == ["red/supervised/3"]
    ends = ds["probs"].values[ds["task"].values == "red"].reshape(5, 4, 60, -1)[:, -1]
    rest = np.delete(ends, 3, axis=0)
    assert far["to_others"][0] == pytest.approx(float(bhattacharyya(ends[3], rest.mean(axis=0))), rel=1e-9)
    among = np.mean([bhattacharyya(rest[k], np.delete(rest, k, axis=0).mean(axis=0)) for k in range(4)])
    assert far["among_others"][0] == pytest.approx(among * (1 + 1 / 4) / (1 + 1 / 3), rel=1e-9)
    assert far["ratio"][0] == pytest.approx(far["to_others"][0] / far["among_others"][0])


def test_seeds_that_differ_by_chance_have_ratios_around_one() -> None:
    ds = random_trajectories(n_seeds=6, n_checkpoints=4, n_samples=300)
    for at in ("progress", "end"):
        ratios = ds.predspace.outliers(at=at, at_least=0)["ratio"]
        assert len(ratios) == 18
        assert ratios.mean() == pytest.approx(1, abs=0.1)


def test_few_runs_cannot_tell() -> None:
    table = random_trajectories(n_seeds=2).predspace.outliers(at_least=0)
    assert len(table) == 0
    assert table.attrs["cannot_tell"] == CURVES
    with pytest.raises(ValueError, match="at must be one of progress, end"):
        TRAININGS.predspace.outliers(at="start")


# -- what a user can ask for -------------------------------------------------------------------------------------------


def test_a_selection_is_that_of_the_dataset_without_the_rest() -> None:
    chosen = Selection(seeds=(0, 2), curves=(("red", "supervised"), ("blue", "supervised")))
    part = TRAININGS.predspace.select(tasks=["red", "blue"], seeds=[0, 2])
    one, other = matrix(TRAININGS, selection=chosen, n_points=5), matrix(part, n_points=5)
    xr.testing.assert_allclose(one, other)


def test_one_seed_has_no_floor_and_takes_that_of_the_other_side() -> None:
    alone = matrix(TRAININGS, "end", selection=Selection(seeds=(0,)))
    assert np.isnan(alone.floor).all()
    assert np.isnan(alone.p_value).all()
    assert not alone.within_floor.any()
    rows = (TRAININGS["task"].values != "red") | (TRAININGS["seed"].values == 0)
    mixed = TRAININGS.isel(checkpoint=np.flatnonzero(rows)).predspace.matrix(of="end")
    compared = compare_ends(TRAININGS.isel(checkpoint=np.flatnonzero(rows)), "red", "blue")
    assert float(mixed.floor.sel(curve="red", other="blue")) == pytest.approx(float(compared.floor), rel=1e-9)


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="of must be one of progress, end, step, not 'start'"):
        TRAININGS.predspace.matrix(of="start")
    with pytest.raises(ValueError, match="by must be one of curve, run, not 'task'"):
        TRAININGS.predspace.matrix(by="task")
    with pytest.raises(ValueError, match="only one curve is chosen, 'geodesic · synthetic': two are needed"):
        geodesic_run().predspace.matrix()
    with pytest.raises(ValueError, match="n_points must be at least 2"):
        TRAININGS.predspace.matrix(n_points=1)
    with pytest.raises(ValueError, match="predictions"):
        embedding_only().predspace.matrix()
    single = random_trajectories(n_checkpoints=1)
    with pytest.raises(ValueError, match="that of red, green, blue is empty, with one checkpoint or"):
        single.predspace.matrix()
    late = TRAININGS["task"].values == "red"
    first = np.tile(np.arange(6), 9) < 2
    parts = TRAININGS.isel(checkpoint=(late ^ first) & (TRAININGS["task"].values != "green"))
    with pytest.raises(ValueError, match=r"such as red \(0.\d+ to 0.\d+\) and blue \(0.\d+ to 0.\d+\)$"):
        parts.predspace.matrix()


def test_what_is_given_back_is_the_callers() -> None:
    first = TRAININGS.predspace.matrix(of="end")
    first["distance"][:] = 7
    assert float(TRAININGS.predspace.matrix(of="end").distance.max()) < 7


def test_of_the_demo_random_labels_are_not_the_nearest_to_all_digits() -> None:
    demo = pw.demo()
    differ = demo.predspace.matrix(n_points=11, selection=Selection(seeds=(0, 1)))
    from_all = differ.distance.sel(curve="all digits").drop_sel(other="all digits")
    assert from_all["other"].values[np.nanargmin(from_all.values)] != "random labels"
    assert np.isfinite(from_all.sel(other="random labels"))
    assert sum("fine-tuning" in name for name in differ.curve.values[~differ.compared.values]) == 2
