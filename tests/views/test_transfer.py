"""Transfer as a heat map of what is gained over untrained networks; where nothing says which classes, a sentence."""

from __future__ import annotations

import numpy as np

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from tests.views.conftest import figure_of, traces


def test_cells_are_coloured_by_the_gain_and_hold_the_progress(analysis: Analysis) -> None:
    taught = analysis.ds.predspace.transfer()
    [heat] = traces(figure_of(analysis, "transfer"), "transfer")
    np.testing.assert_array_equal(heat["z"], taught["gain"].values)
    [numbers] = traces(figure_of(analysis, "transfer"), "progress")
    assert numbers["text"] == [f"{value:.2f}" for value in taught["progress"].values.ravel()]
    assert (numbers["x"], numbers["y"]) == ([0, 1, 2] * 3, [0, 0, 0, 1, 1, 1, 2, 2, 2])
    is_dark = np.abs(taught["gain"].values.ravel()) > 0.9 * heat["zmax"]
    assert [color == "rgb(255, 255, 255)" for color in numbers["textfont"]["color"]] == is_dark.tolist()
    assert heat["zmin"] == -heat["zmax"]


def test_without_a_recipe_it_says_what_is_missing() -> None:
    ds = random_trajectories(n_checkpoints=3)
    message = VIEWS["transfer"].draw(analysis_of(ds), ExplorerState(ds)).message
    assert message.startswith("nothing says which classes the tasks have")
    assert "ds.predspace.transfer(task_classes)" in message
    odd = ds.assign_attrs(recipe="tasks: [1, {")
    assert VIEWS["transfer"].draw(analysis_of(odd), ExplorerState(odd)).message == message
