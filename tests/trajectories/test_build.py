"""`make_trajectories`: what it fills in, and what it refuses."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import pytest

from predspace_widgets.trajectories import TrajectoriesError, find_problems, make_trajectories
from tests.trajectories.samples import random_probs

PROBS = random_probs(4, 3, 2)
LABELS = [0, 1, 0]


def test_defaults() -> None:
    ds = make_trajectories(PROBS, LABELS, task="coin", epoch=[0, 1, 2, 3])
    assert dict(ds.sizes) == {"checkpoint": 4, "sample": 3, "class": 2}
    np.testing.assert_array_equal(ds["probs"].values, PROBS)
    assert ds["run"].values.tolist() == ["coin/supervised/0"] * 4
    assert ds["task"].values.tolist() == ["coin"] * 4
    assert ds["method"].values.tolist() == ["supervised"] * 4
    assert ds["seed"].values.tolist() == [0] * 4
    assert ds["epoch"].values.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert ds["step"].values.tolist() == [0, 1, 2, 3]
    assert ds["label"].values.tolist() == LABELS
    assert ds["sample"].values.tolist() == [0, 1, 2]
    assert ds["class"].values.tolist() == [0, 1]
    assert list(ds.data_vars) == ["probs"]
    assert ds.attrs == {
        "schema_version": "1",
        "title": "",
        "source": "",
        "created_by": f"predspace_widgets {version('predspace_widgets')}",
    }
    assert find_problems(ds) == []


def test_everything_given() -> None:
    image = np.zeros((3, 5, 6, 3), dtype=np.uint8)
    ds = make_trajectories(
        PROBS,
        LABELS,
        task=["a", "a", "b", "b"],
        epoch=[0, 0.5, 0, 0.5],
        seed=[7, 7, 8, 8],
        method=["x", "x", "y", "y"],
        run=["one", "one", "two", "two"],
        step=[0, 50, 0, 60],
        sample=["p", "q", "r"],
        classes=["head", "tail"],
        image=image,
        metrics={"accuracy": [0, 1, 0, 1], "loss": 0.5},
        title="coins",
        source="a purse",
        recipe="toss",
        created_by="me",
    )
    assert ds["run"].values.tolist() == ["one", "one", "two", "two"]
    assert ds["task"].values.tolist() == ["a", "a", "b", "b"]
    assert ds["method"].values.tolist() == ["x", "x", "y", "y"]
    assert ds["seed"].values.tolist() == [7, 7, 8, 8]
    assert ds["step"].values.tolist() == [0, 50, 0, 60]
    assert ds["sample"].values.tolist() == ["p", "q", "r"]
    assert ds["class"].values.tolist() == ["head", "tail"]
    assert ds["image"].dims == ("sample", "row", "column", "channel")
    assert ds["accuracy"].dims == ds["loss"].dims == ("checkpoint",)
    assert ds["accuracy"].values.tolist() == [0.0, 1.0, 0.0, 1.0]
    assert ds["loss"].values.tolist() == [0.5] * 4
    assert ds.attrs == {
        "schema_version": "1",
        "title": "coins",
        "source": "a purse",
        "created_by": "me",
        "recipe": "toss",
    }


def test_steps_are_counted_within_each_run() -> None:
    ds = make_trajectories(PROBS, LABELS, task=["a", "b", "a", "a"], epoch=[0, 0, 1, 2])
    assert ds["run"].values.tolist() == ["a/supervised/0", "b/supervised/0", "a/supervised/0", "a/supervised/0"]
    assert ds["step"].values.tolist() == [0, 0, 1, 2]


def test_many_runs_take_no_longer() -> None:
    n_runs = 20_000
    start = time.process_time()
    ds = make_trajectories(np.full((5 * n_runs, 1, 2), 0.5), [0], task="a", epoch=0, seed=np.repeat(range(n_runs), 5))
    assert time.process_time() - start < 10  # looking for each run among all checkpoints takes minutes
    assert ds["step"].values.reshape(n_runs, 5).tolist() == [[0, 1, 2, 3, 4]] * n_runs


def test_seeds_and_methods_make_runs_of_their_own() -> None:
    ds = make_trajectories(PROBS, LABELS, task="a", epoch=0, seed=[0, 0, 1, 1], method=["x", "y", "x", "y"])
    assert ds["run"].values.tolist() == ["a/x/0", "a/y/0", "a/x/1", "a/y/1"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_precision_of_probabilities_is_kept(dtype: str) -> None:
    ds = make_trajectories(PROBS.astype(dtype), LABELS, task="a", epoch=range(4))
    assert ds["probs"].dtype == dtype


def test_whole_numbers_are_probabilities_too() -> None:
    ds = make_trajectories([[[0, 1]], [[1, 0]]], [1], task="a", epoch=[0, 1])
    assert ds["probs"].dtype == np.float64
    assert ds["probs"].values.tolist() == [[[0.0, 1.0]], [[1.0, 0.0]]]


def test_one_value_counts_for_all_checkpoints() -> None:
    ds = make_trajectories(PROBS, LABELS, task="a", epoch=3.5, seed=2)
    assert ds["epoch"].values.tolist() == [3.5] * 4
    assert ds["seed"].values.tolist() == [2] * 4


def make(**changes: Any) -> Any:
    wanted: dict[str, Any] = {"probs": PROBS, "label": LABELS, "task": "a", "epoch": range(4)}
    return make_trajectories(**wanted | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probs": PROBS[0]}, r"probs must have shape \(checkpoints, samples, classes\), got \(3, 2\)"),
        ({"probs": PROBS[None]}, r"probs must have shape .* got \(1, 4, 3, 2\)"),
        ({"task": ["a", "b"]}, r"task must be one value or 4 of them, got shape \(2,\)"),
        ({"method": ["a"] * 5}, r"method must be one value or 4 of them, got shape \(5,\)"),
        ({"seed": [[1]]}, r"seed must be one value or 4 of them, got shape \(1, 1\)"),
        ({"epoch": [0, 1]}, r"epoch must be one value or 4 of them"),
        ({"run": ["r"]}, r"run must be one value or 4 of them"),
        ({"step": range(3)}, r"step must be one value or 4 of them"),
        ({"label": [0, 1]}, r"label must be one value or 3 of them"),
        ({"sample": ["p", "q"]}, r"sample must name each of the 3, got shape \(2,\)"),
        ({"classes": ["p"]}, r"classes must name each of the 2, got shape \(1,\)"),
        ({"metrics": {"loss": [1, 2]}}, r"loss must be one value or 4 of them"),
        ({"image": np.zeros((2, 5, 5), dtype=np.uint8)}, r"sample"),
        ({"image": np.zeros((3, 5, 5, 3, 1), dtype=np.uint8)}, r"image"),
        ({"epoch": "soon"}, r"could not convert"),
    ],
)
def test_lengths_that_do_not_fit(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"probs": PROBS * 2}, "rows of 'probs' do not sum to 1"),
        ({"probs": np.log(PROBS)}, "'probs' is negative"),
        ({"probs": PROBS * np.nan}, "'probs' is not finite"),
        ({"probs": PROBS[:0], "epoch": []}, "dimension 'checkpoint' is empty"),
        ({"probs": PROBS[:, :0], "label": np.zeros(0, dtype=int)}, "dimension 'sample' is empty"),
        ({"probs": PROBS[:, :, :0]}, "dimension 'class' is empty"),
        ({"label": [0, 1, 2]}, "'label' must lie in [0, 2): sample 2 has 2"),
        ({"label": [0.0, 1.0, 1.0]}, "'label' must hold whole numbers"),
        ({"label": ["a", "b", "a"]}, "'label' must hold whole numbers"),
        ({"step": [0, 1, 1, 2]}, "duplicate checkpoints: checkpoint 2"),
        ({"step": 0}, "duplicate checkpoints: checkpoint 1"),
        ({"step": [0, 2, 1, 3]}, "'step' falls within a run at checkpoint 2"),
        ({"epoch": [0, 2, 1, 3]}, "'epoch' falls within a run at checkpoint 2"),
        ({"run": "r", "task": ["a", "a", "b", "b"]}, "has more than one task: a, b"),
        ({"sample": ["p", "p", "q"]}, "'sample' names must be unique"),
        ({"classes": ["p", "p"]}, "'class' names must be unique"),
        ({"epoch": [0, 1, np.nan, 2]}, "'epoch' is not finite at checkpoint 2"),
        ({"image": np.zeros((3, 5, 5))}, "'image' must be uint8"),
        ({"image": np.zeros((3, 5), dtype=np.uint8)}, "'image' must be uint8"),
    ],
)
def test_what_makes_no_valid_dataset(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(TrajectoriesError) as raised:
        make(**changes)
    assert any(problem in text for text in raised.value.problems), raised.value.problems


@pytest.mark.parametrize("changes", [{"seed": 0.5}, {"seed": [0, 0, 1.5, 1.5]}, {"step": [0, 1, 2.5, 3]}])
def test_seeds_and_steps_are_not_rounded(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"seed|step"):
        make(**changes)


@pytest.mark.parametrize("name", ["seed", "step"])
@pytest.mark.parametrize("number", [1e30, 2**70, 2**63, -(2**63) - 1, float("inf"), float("nan")])
def test_numbers_that_64_bits_do_not_hold(name: str, number: float) -> None:
    with pytest.raises(ValueError, match=rf"{name} must hold whole numbers of 64 bits, got"):
        make(**{name: number})
    with pytest.raises(ValueError, match=rf"{name} must hold whole numbers of 64 bits, got"):
        make(**{name: [0, 1, 2, number]})


@pytest.mark.parametrize("seed", [7, 7.0, -(2**63), 2**63 - 1, np.uint64(7), np.array(7, dtype=object)])
def test_whole_numbers_of_any_kind_are_seeds(seed: Any) -> None:
    assert make(seed=seed)["seed"].values.tolist() == [int(seed)] * 4


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"task": "a\0"}, "'task' ends in a NUL character, which cannot be stored, at checkpoint 0"),
        ({"method": ["a", "a", "b", "b\0"], "run": list("ppqr")}, "'method' ends in a NUL character"),
        ({"run": ["p", "p", "q\0", "q\0"]}, "cannot be stored, at checkpoint 2 (run 'q\\x00', epoch 2)"),
        ({"sample": ["p", "q", "r\0"]}, "'sample' ends in a NUL character, which cannot be stored, at sample 2"),
        ({"classes": ["p\0", "q"]}, "'class' ends in a NUL character, which cannot be stored, at class 0"),
    ],
)
def test_names_that_numpy_would_shorten(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(TrajectoriesError) as raised:
        make(**changes)
    assert any(problem in text for text in raised.value.problems), raised.value.problems


def test_all_problems_at_once() -> None:
    with pytest.raises(TrajectoriesError) as raised:
        make(probs=-PROBS, label=[5, 0, 0], step=[0, 0, 1, 2], sample=["p", "p", "q"])
    assert len(raised.value.problems) == 4
