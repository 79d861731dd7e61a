"""Lengths of ways on one schedule, finer and coarser."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis.lengths import length_ratios, lengths_by_stride
from predspace_widgets.geometry import bhattacharyya, riemann_length
from predspace_widgets.trajectories import make_trajectories
from predspace_widgets.trajectories.testing import random_trajectories

# 3 tasks x 3 seeds x 6 checkpoints on 20 samples and 4 classes.
TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=6, n_samples=20, n_classes=4)
PROBS = TRAININGS["probs"].values


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
    by_angle = lengths_by_stride(TRAININGS, strides=[2], method="angle")
    assert by_angle["length"].iloc[0] == pytest.approx(riemann_length(PROBS[[0, 2, 4, 5]], method="angle"))


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


def test_a_single_checkpoint_has_no_length() -> None:
    assert lengths_by_stride(zigzag(1), strides=[1, 3])["length"].tolist() == [0, 0]
