"""Numbers of runs between groups: equal to what is measured elsewhere, spread, p over a family, and what is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from scipy.stats import t

from predspace_widgets.analysis import group_comparison
from predspace_widgets.analysis.classes import progress_on, progress_on_unseen
from predspace_widgets.analysis.group_comparison import what_so_few_decide
from predspace_widgets.analysis.runs import distances_to_reference
from predspace_widgets.geometry import bhattacharyya
from predspace_widgets.geometry.relabelling import holm, relabelled_difference
from predspace_widgets.trajectories import NoPredictionsError, Selection, make_trajectories
from predspace_widgets.trajectories.selection import rows_of_runs
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import embedding_only

RECIPE = "tasks: {red: {classes: [class 0, class 1]}, green: {classes: [class 2, class 3]}, blue: {}}"
TRAININGS = random_trajectories(n_seeds=4, n_checkpoints=6, n_samples=35).assign_attrs(recipe=RECIPE)
CURVES = ["red", "green", "blue"]


def of_group(compared: xr.Dataset, group: str) -> np.ndarray:
    return compared["value"].values[compared["of_group"].values == group]


# -- which numbers -----------------------------------------------------------------------------------------------------


def test_progress_and_length_are_those_of_the_runs() -> None:
    last = [rows[-1] for rows in rows_of_runs(TRAININGS).values()]
    ends = TRAININGS.predspace.compare()
    np.testing.assert_array_equal(ends.value, TRAININGS.predspace.progress().values[last])
    lengths = TRAININGS.predspace.compare("length")
    np.testing.assert_array_equal(lengths.value, TRAININGS.predspace.riemann_length())
    assert lengths.run.values.tolist() == TRAININGS.predspace.riemann_length().run.values.tolist()


def test_the_chosen_part_of_each_run_counts() -> None:
    selection = Selection(seeds=(0, 2), epochs=(0, 4))
    part = TRAININGS.predspace.select(seeds=[0, 2], epochs=(0, 4))
    for of in ("end_progress", "length"):
        chosen = TRAININGS.predspace.compare(of, selection=selection)
        np.testing.assert_allclose(chosen.value, part.predspace.compare(of).value, rtol=1e-12)
        assert chosen.n_runs.values.tolist() == [2, 2, 2]


def test_distances_are_to_the_mean_of_the_reference() -> None:
    ends = TRAININGS["probs"].values[5::6].reshape(3, 4, 35, 5)
    compared = TRAININGS.predspace.compare("mean_distance", reference="green", at="end")
    expected = bhattacharyya(ends[[0, 2]].reshape(8, 35, 5), ends[1].mean(axis=0))
    np.testing.assert_allclose(compared.value, expected, rtol=1e-9)
    assert compared.of_group.values.tolist() == ["red"] * 4 + ["blue"] * 4
    assert compared.attrs["reference"] == "green"
    assert "mean of 4 runs of green. Compared at the end." in compared.attrs["note"]


def test_distances_at_equal_progress_are_near_those_to_means_of_all_but_one() -> None:
    compared = TRAININGS.predspace.compare("mean_distance", reference="red", n_points=11, progress_range=(0.05, 0.2))
    to_others = distances_to_reference(TRAININGS, "red", n_points=11, progress_range=(0.05, 0.2))
    mean = to_others.mean("progress").groupby("run").mean()
    for run, value in zip(compared.run.values, compared.value.values, strict=True):
        assert value == pytest.approx(float(mean.sel(run=run)), rel=0.1)
    assert compared.attrs["progress_range"] == (0.05, 0.2)


def test_runs_that_do_not_share_the_range_are_named() -> None:
    late = TRAININGS.isel(checkpoint=(TRAININGS["run"].values != "blue/supervised/1") | (TRAININGS["step"].values < 1))
    compared = late.predspace.compare("mean_distance", reference="red", n_points=5)
    assert compared.n_runs.sel(curve=["green", "blue"]).values.tolist() == [4, 3]
    assert "blue/supervised/1" not in compared.run
    assert "Not compared, for they do not share it: blue/supervised/1 (" in compared.attrs["note"]


def test_transfer_is_progress_on_classes_that_were_not_trained_on() -> None:
    unseen = TRAININGS.predspace.compare("transfer")
    sets = {"red": ["class 0", "class 1"], "green": ["class 2", "class 3"]}
    expected = progress_on_unseen(TRAININGS, sets)
    np.testing.assert_allclose(unseen.value, expected["trained"], rtol=1e-12)
    assert unseen.of_group.values.tolist() == ["red"] * 4 + ["green"] * 4
    assert "differ between tasks" in unseen.attrs["note"]
    some = TRAININGS.predspace.compare("transfer", classes=["class 3", "class 1"])
    np.testing.assert_allclose(some.value, progress_on(TRAININGS, ["class 1", "class 3"])["trained"], rtol=1e-12)
    assert some.attrs["note"].endswith("within the classes class 1, class 3.")


# -- spread and p ------------------------------------------------------------------------------------------------------


def test_spread_and_interval_of_each_group() -> None:
    compared = TRAININGS.predspace.compare("length")
    for curve in CURVES:
        values, group = of_group(compared, curve), compared.sel(curve=curve)
        assert float(group["mean"]) == pytest.approx(values.mean())
        assert float(group["sd"]) == pytest.approx(values.std(ddof=1))
        low, high = t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
        assert (float(group["low"]), float(group["high"])) == pytest.approx((low, high))


def test_every_pair_is_relabelled_and_corrected_in_its_family() -> None:
    compared = TRAININGS.predspace.compare("length")
    pairs = list(itertools.combinations(CURVES, 2))
    tests = [relabelled_difference(of_group(compared, one), of_group(compared, other)) for one, other in pairs]
    for (one, other), tested, corrected in zip(pairs, tests, holm([of.p_value for of in tests]), strict=True):
        pair, turned = compared.sel(curve=one, other=other), compared.sel(curve=other, other=one)
        assert float(pair.difference) == pytest.approx(tested.difference)
        assert float(pair.difference) == pytest.approx(float(pair["mean"] - turned["mean"]))
        assert float(turned.difference) == -float(pair.difference)
        for name, expected in (("p_value", tested.p_value), ("p_holm", corrected), ("smallest_p", 1 / 35)):
            assert float(pair[name]) == float(turned[name]) == pytest.approx(expected)
        assert float(pair.smallest_p_holm) == pytest.approx(3 / 35)
        assert (bool(pair.can_decide), bool(pair.can_decide_holm), bool(pair.p_is_exact)) == (True, False, True)
    for name in ("difference", "p_value", "p_holm", "smallest_p"):
        assert np.isnan(compared[name].values.diagonal()).all()
    assert not compared.can_decide.values.diagonal().any()


def test_fewer_groups_or_pairs_are_a_smaller_family() -> None:
    two = TRAININGS.predspace.compare(groups=["red", "blue"])
    assert two.attrs["n_pairs"] == 1
    assert bool(two.can_decide_holm.sel(curve="red", other="blue"))
    xr.testing.assert_equal(two.p_holm, two.p_value.rename("p_holm"))
    against = TRAININGS.predspace.compare(against="green")
    everything = TRAININGS.predspace.compare()
    assert against.attrs["n_pairs"] == 2
    assert np.isnan(float(against.p_value.sel(curve="red", other="blue")))
    for curve in ("red", "blue"):
        pair = {"curve": curve, "other": "green"}
        assert float(against.p_value.sel(pair)) == float(everything.p_value.sel(pair))
        assert float(against.smallest_p_holm.sel(pair)) == pytest.approx(2 / 35)


def test_runs_are_grouped_by_what_they_were_given() -> None:
    width = np.where(TRAININGS["seed"].values < 2, 8, 16)
    ds = TRAININGS.assign_coords(width=("checkpoint", width))
    compared = ds.predspace.compare(by="width")
    assert compared.width.values.tolist() == ["8", "16"]
    assert compared.n_runs.values.tolist() == [6, 6]
    assert float(compared.smallest_p.sel(width="8", other="16")) == pytest.approx(1 / 462)
    assert ds.predspace.compare(by="task").task.values.tolist() == CURVES


def test_single_runs_have_no_spread_and_no_p_among_each_other() -> None:
    ds = TRAININGS.isel(checkpoint=(TRAININGS["seed"].values == 0) | (TRAININGS["task"].values == "red"))
    compared = ds.predspace.compare()
    assert compared.n_runs.values.tolist() == [4, 1, 1]
    assert np.isnan(compared.sd.values).tolist() == np.isnan(compared.low.values).tolist() == [False, True, True]
    assert np.isnan(float(compared.p_value.sel(curve="green", other="blue")))
    assert float(compared.smallest_p_holm.sel(curve="red", other="blue")) == pytest.approx(2 / 5)
    assert compared.attrs["says"] == (
        "4 runs against 1 cannot give p below .2, 1 run against 1 not below 1, after Holm's correction over 2 pairs "
        "not below .4: nothing here can be decided at .05. 5 against 5 could (.024)."
    )


def test_under_the_null_a_family_is_wrong_with_chance_a_at_most() -> None:
    """Two tasks whose runs differ by chance alone, 200 times: p <= .1, which 3 runs against 3 can give, in 10%."""
    generator, n_wrong = np.random.default_rng(0), 0
    for _ in range(200):
        logits = generator.normal(size=(6, 10, 3))
        probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        tasks, seeds = np.repeat(["one", "two"], 3).tolist(), [0, 1, 2] * 2
        ds = make_trajectories(probs, np.arange(10) % 3, task=tasks, seed=seeds, epoch=[0.0] * 6)
        n_wrong += float(ds.predspace.compare().p_value[0, 1]) <= 0.1
    assert 0.1 - 4 * 0.0213 < n_wrong / 200 < 0.1 + 4 * 0.0213


# -- what is said ------------------------------------------------------------------------------------------------------


def test_what_so_few_runs_decide_is_said() -> None:
    assert what_so_few_decide([(4, 4)], [1 / 35]).endswith(
        "4 cannot give p below .029: every pair can be decided at .05."
    )
    mixed = what_so_few_decide([(5, 5), (5, 2), (2, 5)], [1 / 126, 1 / 21, 1 / 21])
    assert mixed == (
        "5 runs against 5 cannot give p below .0079, 5 runs against 2 not below .048, after Holm's correction over 3 "
        "pairs not below .024: 1 of 3 pairs can be decided at .05. 5 against 5 could (.024)."
    )
    assert what_so_few_decide([(1, 1)], [1.0]).startswith("1 run against 1 cannot give p below 1: nothing here can be")
    drawn = what_so_few_decide([(9, 9)] * 78, [0.001] * 78, most_relabellings=1000)
    assert drawn == (
        "9 runs against 9, with 1,000 relabellings drawn, cannot give p below .001, after Holm's correction over 78 "
        "pairs not below .078: nothing here can be decided at .05. More relabellings could, or at most 50 pairs."
    )
    exact = what_so_few_decide([(9, 9)] * 78, [1 / 24310] * 78)
    assert exact.startswith("9 runs against 9 cannot give p below 4.1e-05,")
    alone = what_so_few_decide([(4, 4)] * 3, [1 / 35] * 3)
    assert alone.endswith("nothing here can be decided at .05. 5 against 5 could (.024), or one pair alone.")


def test_a_large_family_has_more_relabellings_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    ds = random_trajectories(n_seeds=6, n_checkpoints=2, n_samples=12)
    monkeypatch.setattr(group_comparison, "MOST_OF_NUMBERS", 40)
    compared = ds.predspace.compare()
    assert float(compared.smallest_p.sel(curve="red", other="blue")) == pytest.approx(1 / 60)  # .05 over 3 pairs
    assert not compared.p_is_exact.any()
    assert compared.can_decide_holm.values.sum() == 6
    assert compared.attrs["says"] == (
        "6 runs against 6, with 60 relabellings drawn, cannot give p below .017, after Holm's correction over 3 pairs "
        "not below .05: every pair can be decided at .05."
    )
    monkeypatch.setattr(group_comparison, "_MOST_DRAWN", 50)
    assert float(ds.predspace.compare().smallest_p.sel(curve="red", other="blue")) == pytest.approx(1 / 50)


def test_coordinates_are_text() -> None:
    compared = TRAININGS.predspace.compare()
    assert [compared[name].dtype.kind for name in ("of_group", "task", "method", "seed")] == ["U", "U", "U", "i"]
    assert TRAININGS.predspace.compare(by="task").curve.dtype.kind == "U"


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "speed"}, "of must be one of end_progress, length, mean_distance, transfer, not 'speed'"),
        ({"by": "width"}, "runs are grouped by one of curve, task, method, not by 'width'"),
        ({"by": "seed"}, "not by 'seed'"),
        ({"groups": ["red", "pink"]}, "no curve 'pink' among these runs; they have red, green, blue"),
        ({"against": "pink"}, "no curve 'pink' among these runs"),
        ({"groups": ["red"]}, "only one curve, 'red': two are needed to compare"),
        ({"groups": "red"}, r"only one curve, 'red': two are needed to compare, groups=\['red', ...\]"),
        ({"of": "mean_distance"}, "mean_distance is to a curve: name it, reference="),
        ({"reference": "red"}, "reference belongs to 'mean_distance': 'end_progress' has none"),
        ({"of": "length", "classes": ["class 1"]}, "classes belongs to 'transfer': 'length' has none"),
        ({"of": "mean_distance", "reference": "pink"}, "no curve 'pink' in this dataset"),
        (
            {"of": "mean_distance", "reference": "red", "selection": Selection(tasks=("green", "blue"))},
            "the reference 'red' is not among the chosen curves",
        ),
        (
            {"of": "mean_distance", "reference": "red", "selection": Selection(tasks=("red",))},
            "only the reference 'red' is chosen",
        ),
        (
            {"of": "mean_distance", "reference": "blue", "progress_range": (0.3, 0.45)},
            "'blue' shares no range of progress with the runs that share one",
        ),
        ({"of": "transfer", "classes": ["class 9", "class 1"]}, "class 9"),
        ({"of": "transfer", "selection": Selection(tasks=("blue",))}, "no chosen run has a task that leaves out two"),
    ],
)
def test_errors_say_what_to_do(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TRAININGS.predspace.compare(**options)


def test_lengths_of_unequal_schedules_do_not_compare() -> None:
    ds = TRAININGS.isel(checkpoint=np.arange(1, TRAININGS.sizes["checkpoint"]))
    with pytest.raises(ValueError, match="lengths compare on equal schedules only: red/supervised/1 has other steps"):
        ds.predspace.compare("length")


def test_there_must_be_predictions() -> None:
    with pytest.raises(NoPredictionsError):
        embedding_only().predspace.compare()
