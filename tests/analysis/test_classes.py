"""What is measured of the paper's claims on tasks: progress on unseen classes, and the overlap of class sets."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis.classes import (
    progress_at_end,
    progress_of_nested_tasks,
    progress_on,
    progress_on_unseen,
)
from predspace_widgets.analysis.overlap import class_overlap, mantel_test
from predspace_widgets.geometry import ignorance, progress, truth
from predspace_widgets.training.tasks import Task
from predspace_widgets.trajectories import restrict_classes, retemper
from predspace_widgets.trajectories.samples import classes_of_tasks
from predspace_widgets.trajectories.testing import geodesic_run, random_trajectories

NAMES = [f"class {index}" for index in range(5)]
TRAININGS = random_trajectories(n_seeds=2, n_checkpoints=4, n_samples=40)
# The first two leave out three and two classes, the third none; red's are among green's.
CLASSES = {"red": NAMES[:2], "green": NAMES[:3], "blue": NAMES}


# -- progress on them -------------------------------------------------------------------------------------------------


def test_progress_from_ignorance_to_truth() -> None:
    [row] = progress_on(geodesic_run(), ["1", "2", "3"]).to_dict("records")
    assert row["untrained"] == row["untrained_best"] == 0  # no temperature makes ignorance know anything
    assert row["trained"] == pytest.approx(1, abs=1e-3)
    assert row["trained_accuracy"] == 1


def test_the_best_temperature_is_the_best() -> None:
    table = progress_on(TRAININGS, NAMES[2:])
    part = restrict_classes(TRAININGS, NAMES[2:])
    ends = ignorance(*part["probs"].shape[1:]), truth(part["label"].values, 3)
    powers = 2.0 ** np.linspace(-10, 10, 4001)
    for number, row in enumerate(table.to_dict("records")):
        for name, checkpoint in (("untrained", 0), ("trained", 3)):
            probs = part["probs"].values[4 * number + checkpoint]
            assert row[name] == pytest.approx(float(progress(probs, *ends)), abs=1e-9)
            made = progress(retemper(probs, powers), *ends)
            assert row[f"{name}_best"] == pytest.approx(made.max(), abs=1e-4)
            at_it = progress(retemper(probs, row[f"{name}_sharpness"]), *ends)
            assert row[f"{name}_best"] == pytest.approx(float(at_it), abs=1e-9)
            assert row[f"{name}_best"] >= row[name] - 1e-6


def test_being_unsure_costs_progress_but_not_at_the_best_temperature() -> None:
    sure = TRAININGS.isel(checkpoint=[1])
    unsure = sure.assign(probs=(sure["probs"].dims, retemper(sure["probs"].values[0], 1 / 8)[None]))
    [a], [b] = (progress_on(ds, NAMES).to_dict("records") for ds in (sure, unsure))
    assert b["untrained"] < 0.5 * a["untrained"]
    assert b["untrained_best"] == pytest.approx(a["untrained_best"], abs=1e-5)
    assert b["untrained_sharpness"] == pytest.approx(8 * a["untrained_sharpness"], rel=1e-2)
    assert b["untrained_accuracy"] == a["untrained_accuracy"]


def test_unseen_classes_are_those_that_a_task_leaves_out() -> None:
    table = progress_on_unseen(TRAININGS, CLASSES)
    assert table.groupby("task", sort=False)["classes"].first().to_dict() == {
        "red": "class 2, class 3, class 4",
        "green": "class 3, class 4",
    }
    by_hand = progress_on(TRAININGS.predspace.select(tasks=["green"]), NAMES[3:])
    assert table[table["task"] == "green"].reset_index(drop=True).equals(by_hand)
    with pytest.raises(ValueError, match="no task of this dataset leaves out two classes"):
        progress_on_unseen(TRAININGS, {"red": NAMES[:4], "blue": NAMES})


def test_nested_tasks_are_read_on_what_both_leave_out() -> None:
    table = progress_of_nested_tasks(TRAININGS, CLASSES | {"absent": NAMES[:1]})
    assert table["pair"].unique().tolist() == ["red < green"]  # blue leaves nothing out
    assert table["classes"].unique().tolist() == ["class 3, class 4"]
    assert table[["task", "n_classes"]].drop_duplicates().values.tolist() == [["red", 2], ["green", 3]]
    assert progress_of_nested_tasks(TRAININGS, {"red": NAMES[:2], "green": NAMES[1:3]}).empty


def test_progress_at_the_end() -> None:
    table = progress_at_end(TRAININGS, {"green": NAMES[:3], "blue": NAMES})
    assert table["task"].tolist() == ["green", "green", "blue", "blue"]
    assert table["n_classes"].tolist() == [3, 3, 5, 5]
    np.testing.assert_array_equal(table["progress"], TRAININGS.predspace.progress().values[[11, 15, 19, 23]])


# -- the overlap of class sets ----------------------------------------------------------------------------------------


def test_overlap_of_class_sets() -> None:
    overlap = class_overlap({"low": "01234", "high": "56789", "even": "02468", "all": "0123456789"})
    assert overlap.sel(task="low").values.round(3).tolist() == [1, 0, 0.429, 0.5]  # 3 shared of 7
    assert overlap.values.tolist() == overlap.values.T.tolist()
    assert overlap["other"].values.tolist() == ["low", "high", "even", "all"]
    with pytest.raises(ValueError, match="task 'none' has no class"):
        class_overlap({"none": []})


def symmetric(n_things: int, seed: int = 0) -> np.ndarray:
    matrix = np.random.default_rng(seed).uniform(size=(n_things, n_things))
    return matrix + matrix.T


def test_a_matrix_and_itself() -> None:
    same = mantel_test(symmetric(6), symmetric(6))
    assert same.correlation == pytest.approx(1)
    assert same[1:] == (1 / 720, 720, True)
    opposite = mantel_test(symmetric(6), -symmetric(6))
    assert opposite.correlation == pytest.approx(-1)
    assert opposite.p_value == 1
    many = mantel_test(symmetric(12), symmetric(12), n_permutations=200)
    assert many[1:] == (1 / 200, 200, False)  # never 0: the order that was given is one of those tried


def test_the_test_sees_ranks_and_pairs_only() -> None:
    first, second = symmetric(6, 1), symmetric(6, 2)
    expected = mantel_test(first, second)
    assert mantel_test(np.exp(first), second**3) == expected
    order = [3, 0, 5, 1, 4, 2]
    turned = mantel_test(first[np.ix_(order, order)], second[np.ix_(order, order)])
    assert turned.correlation == pytest.approx(expected.correlation)
    assert turned.p_value == expected.p_value
    np.fill_diagonal(first, np.nan)  # the distance of one seed to itself is not known
    assert mantel_test(first, second) == expected
    assert mantel_test(xr.DataArray(first), xr.DataArray(second)) == expected


def test_exact_p_value_by_hand() -> None:
    first, second = symmetric(4, 3), symmetric(4, 5)
    above = np.triu_indices(4, 1)
    ranks = [np.argsort(np.argsort(matrix[above])) for matrix in (first, second)]
    shuffled = np.zeros((4, 4))
    shuffled[above] = ranks[1]
    shuffled += shuffled.T
    orders = list(itertools.permutations(range(4)))
    sums = [(ranks[0] * shuffled[np.ix_(order, order)][above]).sum() for order in orders]
    found = mantel_test(first, second)
    assert found.p_value == np.mean([value >= sums[0] for value in sums])
    assert found.n_permutations == math.factorial(4)
    assert found.correlation == pytest.approx(np.corrcoef(*ranks)[0, 1])


def test_unrelated_matrices_have_any_p_value() -> None:
    p_values = [mantel_test(symmetric(5, seed), symmetric(5, 1000 + seed)).p_value for seed in range(60)]
    assert 0.35 < np.mean(p_values) < 0.65


@pytest.mark.parametrize(
    ("first", "second", "match"),
    [
        (np.zeros((3, 4)), symmetric(3), "square, of at least three things, got shape \\(3, 4\\)"),
        (symmetric(2), symmetric(2), "at least three things"),
        (symmetric(3), symmetric(4), "of different things: shapes \\(3, 3\\) and \\(4, 4\\)"),
        (np.arange(9.0).reshape(3, 3), symmetric(3), "symmetric"),
        (np.full((3, 3), np.nan), symmetric(3), "finite off the diagonal"),
        (np.ones((3, 3)), symmetric(3), "all entries of a matrix are equal"),
    ],
)
def test_matrices_that_cannot_be_compared(first: Any, second: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        mantel_test(first, second)


# -- transfer ----------------------------------------------------------------------------------------------------------


def test_transfer_is_the_mean_over_seeds_of_progress_on_the_classes() -> None:
    ds = random_trajectories(n_seeds=2)
    classes = {"red": ["class 0", "class 1"], "blue": ["class 2", "class 3", "class 4"]}
    taught = ds.predspace.transfer(classes)
    for task, names in classes.items():
        table = progress_on(ds, names)
        for curve in ("red", "green", "blue"):
            expected = table.loc[table["task"] == curve, "trained"].mean()
            assert float(taught.progress.sel(curve=curve, classes=task)) == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(taught.gain, taught.progress - taught.untrained)
    assert taught.seen.sel(classes="red").fillna(-1).values.tolist() == [1, -1, 0]
    assert taught.n_runs.values.tolist() == [2, 2, 2]


def test_untrained_networks_are_read_at_their_best_temperature() -> None:
    ds = random_trajectories(n_seeds=2)
    names = ["class 0", "class 1"]
    untrained = float(ds.predspace.transfer({"red": names}).untrained.sel(classes="red"))
    best = progress_on(ds, names)["untrained_best"]
    assert best.min() - 1e-9 <= untrained <= best.max() + 1e-9
    assert untrained >= progress_on(ds, names)["untrained"].min()


def test_the_recipe_says_which_classes_a_task_has() -> None:
    recipe = "tasks: {red: {classes: [class 1, class 0]}, green: {}, blue: {random_classes: 2, seed: 1}}"
    ds = random_trajectories().assign_attrs(recipe=recipe)
    known = [f"class {k}" for k in range(5)]
    drawn = Task("blue", random_classes=2, seed=1).class_names(known)
    assert classes_of_tasks(ds) == {"red": known[:2], "green": known, "blue": list(drawn)}
    assert classes_of_tasks(ds.assign_attrs(recipe="tasks: {red: {classes_file: names.json}}")) == {}
    for odd in ("", "[", "tasks: 3", "tasks: {red: 1}", "just text", 7):
        assert classes_of_tasks(ds.assign_attrs(recipe=odd)) == {}


def test_the_same_classes_are_one_column() -> None:
    names = ["class 0", "class 1"]
    assert random_trajectories().predspace.transfer({"red": names, "blue": names[::-1]}).sizes["classes"] == 1


def test_transfer_needs_to_know_classes() -> None:
    with pytest.raises(ValueError, match="nothing says which classes the tasks have"):
        random_trajectories().predspace.transfer()
    with pytest.raises(ValueError, match="no class 'cow' in this dataset"):
        random_trajectories().predspace.transfer({"red": ["cow", "class 0"]})


def test_classes_of_tasks_must_be_a_mapping() -> None:
    with pytest.raises(ValueError, match="must map tasks to names of classes, got 3"):
        random_trajectories().predspace.transfer(3)
