"""Selections of checkpoints: the rows that a plain loop finds, and errors that say which choice left none."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st

from predspace_widgets.trajectories import EmptySelectionError, Selection, make_trajectories
from predspace_widgets.trajectories.selection import rows_of_runs
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import datasets, embedding_only, random_probs

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=5, n_samples=4, methods=("supervised", "metric"))


def plain_rows(ds: xr.Dataset, selection: Selection) -> list[int]:
    found = []
    for row in range(ds.sizes["checkpoint"]):
        if selection.tasks is not None and str(ds["task"].values[row]) not in selection.tasks:
            continue
        if selection.methods is not None and str(ds["method"].values[row]) not in selection.methods:
            continue
        if selection.seeds is not None and int(ds["seed"].values[row]) not in selection.seeds:
            continue
        if selection.epochs is not None:
            first, last = selection.epochs
            if not first <= float(ds["epoch"].values[row]) <= last:
                continue
        pair = str(ds["task"].values[row]), str(ds["method"].values[row])
        if selection.curves is not None and pair not in selection.curves:
            continue
        found.append(row)
    return found


@st.composite
def selections(draw: st.DrawFn, ds: xr.Dataset) -> Selection:
    """Any choice among what a dataset has; some leave nothing."""

    def some(name: str) -> st.SearchStrategy[tuple[object, ...] | None]:
        known = list(dict.fromkeys(ds[name].values.tolist()))
        return st.none() | st.lists(st.sampled_from(known), min_size=1).map(tuple)

    epochs = st.sampled_from(ds["epoch"].values.tolist()) | st.floats(-1, 110)
    pairs = list(dict.fromkeys(zip(ds["task"].values.tolist(), ds["method"].values.tolist(), strict=True)))
    return Selection(
        tasks=draw(some("task")),  # type: ignore[arg-type]
        methods=draw(some("method")),  # type: ignore[arg-type]
        seeds=draw(some("seed")),  # type: ignore[arg-type]
        epochs=draw(st.none() | st.tuples(epochs, epochs)),
        curves=draw(st.none() | st.lists(st.sampled_from(pairs), min_size=1).map(tuple)),
    )


def assert_rows_match(ds: xr.Dataset, selection: Selection) -> None:
    expected = plain_rows(ds, selection)
    if expected:
        rows = selection.rows(ds)
        assert rows.tolist() == expected
        assert np.issubdtype(rows.dtype, np.integer)
    else:
        with pytest.raises(EmptySelectionError):
            selection.rows(ds)


@given(st.data())
def test_rows_match_a_plain_loop(data: st.DataObject) -> None:
    assert_rows_match(TRAININGS, data.draw(selections(TRAININGS)))


@given(st.data(), datasets())
def test_rows_match_a_plain_loop_whatever_the_names(data: st.DataObject, ds: xr.Dataset) -> None:
    assert_rows_match(ds, data.draw(selections(ds)))


@given(st.data())
def test_rows_match_a_plain_loop_in_any_order_of_rows(data: st.DataObject) -> None:
    ds = TRAININGS.isel(checkpoint=data.draw(st.permutations(range(TRAININGS.sizes["checkpoint"]))))
    assert_rows_match(ds, data.draw(selections(ds)))


@given(st.data())
def test_the_dataset_of_a_choice_holds_its_rows(data: st.DataObject) -> None:
    selection = replace(data.draw(selections(TRAININGS)), curves=None)
    rows = plain_rows(TRAININGS, selection)
    assume(rows)
    chosen = TRAININGS.predspace.select(selection.tasks, selection.methods, selection.seeds, selection.epochs)
    xr.testing.assert_identical(chosen, TRAININGS.isel(checkpoint=rows))


@given(st.lists(st.sampled_from(["a", "b", "", "nan", "a\0b", "a\0c"]), min_size=1), st.data())
def test_rows_of_runs_match_a_plain_loop(runs: list[str], data: st.DataObject) -> None:
    ds = xr.Dataset(coords={"run": ("checkpoint", runs)})
    chosen = data.draw(st.none() | st.lists(st.integers(0, len(runs) - 1), unique=True).map(sorted))
    rows = range(len(runs)) if chosen is None else chosen
    expected: dict[str, list[int]] = {}
    for row in rows:
        expected[runs[row]] = [*expected.get(runs[row], []), row]
    found = rows_of_runs(ds, None if chosen is None else np.array(chosen, dtype=np.intp))
    assert [(run, members.tolist()) for run, members in found.items()] == list(expected.items())


def test_no_choice_is_everything() -> None:
    assert Selection().rows(TRAININGS).tolist() == list(range(90))
    assert Selection().rows(embedding_only()).tolist() == list(range(12))


def test_both_ends_of_the_epochs_are_in() -> None:
    ds = make_trajectories(random_probs(4, 2, 2), [0, 1], task="a", epoch=[0, 0.1, 0.2, 0.3])
    assert Selection(epochs=(0.1, 0.2)).rows(ds).tolist() == [1, 2]
    assert Selection(epochs=(0.1, 0.1)).rows(ds).tolist() == [1]
    assert Selection(epochs=(-math.inf, math.inf)).rows(ds).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(tasks=()), "no task is chosen: choose at least one"),
        (Selection(methods=()), "no method is chosen: choose at least one"),
        (Selection(seeds=()), "no seed is chosen: choose at least one"),
        (Selection(tasks=("red", "mauve")), "no task 'mauve' in this dataset; it has red, green, blue"),
        (Selection(methods=("magic",)), "no method 'magic' in this dataset; it has supervised, metric"),
        (Selection(seeds=(0, 9)), "no seed 9 in this dataset; it has 0, 1, 2"),
        (Selection(curves=()), "no curve is chosen: choose at least one"),
        (
            Selection(curves=(("red", "metric"), ("red", "magic"))),
            "no curve 'red' by 'magic' in this dataset; it has 'red' by 'supervised', 'red' by 'metric', "
            "'green' by 'supervised', 'green' by 'metric', 'blue' by 'supervised', 'blue' by 'metric'",
        ),
        (
            Selection(tasks=("red",), curves=(("blue", "metric"),)),
            "no checkpoint has this combination of task, method, seed and curve",
        ),
        (Selection(epochs=(20, 30.5)), "no checkpoint is chosen between epoch 20 and 30.5"),
        (Selection(epochs=(5, 4)), "no checkpoint is chosen between epoch 5 and 4"),
        (Selection(epochs=(math.nan, math.nan)), "no checkpoint is chosen between epoch nan and nan"),
    ],
)
def test_an_empty_choice_says_why(selection: Selection, message: str) -> None:
    with pytest.raises(EmptySelectionError) as raised:
        selection.rows(TRAININGS)
    assert str(raised.value) == message
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize("curves", ["red", ("red", "blue")])
def test_labels_are_no_curves(curves: Any) -> None:
    with pytest.raises(ValueError, match=r"\(\(task, method\), ...\), not by their labels, such as 'red'"):
        Selection(curves=curves).rows(TRAININGS)


@pytest.mark.parametrize("epochs", [None, (0.0, 10.0), (-5.0, 100.0)])
def test_a_combination_that_no_checkpoint_has(epochs: tuple[float, float] | None) -> None:
    ds = TRAININGS.isel(checkpoint=(TRAININGS["task"] != "red").values | (TRAININGS["seed"] != 2).values)
    with pytest.raises(EmptySelectionError) as raised:
        Selection(tasks=("red",), seeds=(2,), epochs=epochs).rows(ds)
    assert str(raised.value) == "no checkpoint has this combination of task, method and seed"


def test_a_name_alone_is_no_choice_of_its_letters() -> None:
    with pytest.raises(ValueError, match=r"tasks of a selection come as a tuple, even of one: \('red',\), not 'red'"):
        Selection(tasks="red").rows(TRAININGS)  # type: ignore[arg-type]


def test_equal_choices_are_one_key() -> None:
    assert len({Selection(tasks=("red",)), Selection(tasks=("red",)), Selection(tasks=("blue",))}) == 2
