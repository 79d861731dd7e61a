"""What the tests of views draw: datasets, choices, and the parts of a figure."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS


def figure_of(data: Analysis | xr.Dataset, view: str = "inpca", **choices: Any) -> dict[str, Any]:
    """The figure of some choices as a plain dict, once plotly's own classes have taken it."""
    analysis = data if isinstance(data, Analysis) else analysis_of(data)
    figure = VIEWS[view].compose(analysis, ExplorerState(analysis, **choices)).figure
    assert figure is not None
    assert len(go.Figure(figure).data) == len(figure["data"])
    return figure


def traces(figure: dict[str, Any], role: str) -> list[dict[str, Any]]:
    return [trace for trace in figure["data"] if trace["meta"]["role"] == role]


def points(trace: dict[str, Any], letters: str = "xyz") -> np.ndarray:
    """Coordinates of a trace without its gaps, (n, letters)."""
    columns = np.stack([trace[letter] for letter in letters if letter in trace], axis=1)
    return columns[~np.isnan(columns.astype(float)).any(axis=1)]


def with_recipe(ds: xr.Dataset) -> xr.Dataset:
    """Trajectories whose recipe tells that each task has two neighbouring classes."""
    names, tasks = ds["class"].values.tolist(), list(dict.fromkeys(ds["task"].values.tolist()))
    classes = {task: {"classes": [names[k % len(names)], names[(k + 1) % len(names)]]} for k, task in enumerate(tasks)}
    return ds.assign_attrs(recipe=json.dumps({"tasks": classes}))


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    """Three curves, two seeds, six checkpoints each."""
    return analysis_of(with_recipe(random_trajectories(n_checkpoints=6)))
