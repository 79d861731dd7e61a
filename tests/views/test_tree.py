"""The drawn tree: merges at their distance, leaves in their order, supports at their splits."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views.tree import tree_figure

TRAININGS = random_trajectories(("<b>red</b>", "green", "blue", "grey"), n_seeds=2, n_checkpoints=4)


def test_it_is_drawn_as_it_is_linked() -> None:
    tree = TRAININGS.predspace.tree("end", n_draws=50)
    figure = tree_figure(tree)
    branches, marks = go.Figure(figure).data  # plotly checks each value
    distances = tree["linkage"].values[:, 2]
    bars = np.array([[x if x is not None else np.nan for x in branches.x]]).reshape(-1, 5)
    np.testing.assert_allclose(bars[:, 1], distances)
    np.testing.assert_allclose(bars[:, 2], distances)
    heights = [y for y, x in zip(branches.y, branches.x, strict=True) if x == 0]
    assert sorted(heights) == [0, 1, 2, 3]  # a leaf a line
    np.testing.assert_allclose(marks.x, distances[:-1])  # the root has no mark
    assert list(marks.text) == [f"{share:.0%}" for share in tree["support"].values[:-1]]


def test_leaves_stand_in_their_order_as_plain_text() -> None:
    tree = TRAININGS.predspace.tree("end", n_draws=0)
    figure = tree_figure(tree)
    names = [name.replace("<", "&lt;").replace(">", "&gt;") for name in tree["leaf"].values[tree["order"]].tolist()]
    assert figure["layout"]["yaxis"]["ticktext"] == names
    assert figure["layout"]["yaxis"]["tickvals"] == [0, 1, 2, 3]
    assert figure["data"][1]["text"] == []  # no draws, no support


def test_of_many_leaves_supports_stand_in_tips_alone() -> None:
    many = random_trajectories(tuple(map(str, range(9))), n_seeds=3, n_checkpoints=2)
    few, all_runs = (tree_figure(many.predspace.tree("end", by, n_draws=5)) for by in ("curve", "run"))
    assert few["data"][1]["mode"] == "markers+text"
    assert all_runs["data"][1]["mode"] == "markers"
    assert len(all_runs["data"][1]["hovertext"]) == 25  # 27 leaves have 26 merges, one of them the root


def test_the_tip_names_the_leaves_of_a_split() -> None:
    tree = TRAININGS.predspace.tree("end", n_draws=50)
    tips = tree_figure(tree)["data"][1]["hovertext"]
    for tip, node in zip(tips, tree["is_under"].values[:-1], strict=True):
        for name, inside in zip(("red", "green", "blue", "grey"), node, strict=True):
            assert (name in tip) == inside
