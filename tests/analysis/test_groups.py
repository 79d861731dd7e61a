"""A curve is a task and a method; its label follows from the two alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.groups import Curves, label_of
from predspace_widgets.trajectories.testing import meeting_runs, random_trajectories

BOTH = random_trajectories(tasks=("red", "blue"), n_seeds=1, n_checkpoints=2, methods=("supervised", "sgd"))
names = st.text(st.sampled_from("ab ·'\\\""), min_size=1, max_size=6) | st.sampled_from(["supervised", "a · b"])


def test_a_curve_is_named_by_its_task_and_method() -> None:
    analysis = Analysis(BOTH)
    assert analysis.curve_names == ["red", "red · sgd", "blue", "blue · sgd"]
    assert analysis.curve_pairs == [(task, method) for task in ("red", "blue") for method in ("supervised", "sgd")]
    assert analysis.curves.tolist() == [name for name in analysis.curve_names for _ in range(2)]


def test_a_label_does_not_depend_on_what_else_is_there() -> None:
    for method in ("supervised", "sgd"):
        part = BOTH.predspace.select(methods=method)
        assert Curves(part).labels == [label_of(*pair) for pair in Curves(part).pairs]
        assert set(Curves(part).labels) <= set(Curves(BOTH).labels)


@given(st.tuples(names, names), st.tuples(names, names))
def test_two_curves_never_share_a_label(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert (label_of(*first) == label_of(*second)) == (first == second)


def test_a_curve_is_found_by_label_by_pair_and_by_a_task_with_one_method() -> None:
    curves = Curves(BOTH)
    assert curves.find("red · sgd") == curves.find(("red", "sgd")) == 1
    assert curves.find("red") == 0
    assert Curves(meeting_runs()).find("right") == 1
    with pytest.raises(ValueError, match="no curve 'mauve' in this dataset; it has red, red · sgd, blue, blue · sgd"):
        curves.find("mauve")
    with pytest.raises(ValueError, match=r"no curve \('red', 'adam'\)"):
        curves.find(("red", "adam"))


def test_a_task_with_several_methods_is_ambiguous() -> None:
    curves = Curves(random_trajectories(tasks=("red",), n_seeds=1, methods=("adam", "sgd")))
    with pytest.raises(ValueError, match="the task 'red' has several curves, name one of them: red · adam, red · sgd"):
        curves.find("red")
