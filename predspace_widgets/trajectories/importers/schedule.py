"""The epochs of imported checkpoints, which files of predictions and pictures do not have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.text_files import shown

#: Checkpoints of the authors' training program for ImageNet (40 epochs): at the start and after each fifth of the first
#: five epochs, then after every epoch.
SCHEDULE_OF_PAPER = (*(round(fifth / 5, 1) for fifth in range(25)), *map(float, range(5, 41)))
_IN_WORDS = "0, 0.2, ... 4.8, then 5, 6, ... 40"


def epochs_of(
    epochs: Sequence[float] | str | None, lengths: Sequence[int], report: Report, *, by_paper: bool = False
) -> list[float]:
    """The epoch of each checkpoint of the longest run; a shorter one has the first of them.

    Parameters
    ----------
    epochs : sequence of float, "checkpoints" or "paper", optional
        What the user says: these, numbers of checkpoints, or `SCHEDULE_OF_PAPER`.
    lengths : sequence of int
        Numbers of checkpoints of the runs.
    report : Report
    by_paper : bool
        Whether runs of 61 checkpoints have those of the paper, if the user says nothing.

    Raises
    ------
    ValueError
        The user must say something, or something else.

    Examples
    --------
    >>> epochs_of("checkpoints", [3, 2], Report())
    [0.0, 1.0, 2.0]
    """
    longest, shortest, n_paper = max(lengths), min(lengths), len(SCHEDULE_OF_PAPER)
    if epochs is None and by_paper and longest == shortest == n_paper:
        report.note(
            f"the file has no epochs; of {n_paper} checkpoints they are those of the authors' training program: "
            f"{_IN_WORDS} (--epochs gives others)"
        )
        return list(SCHEDULE_OF_PAPER)
    if epochs is None:
        raise ValueError(asked_for(longest))
    if shortest < longest:
        report.note(f"runs have {shortest} to {longest} checkpoints: shorter ones have the first epochs")
    if isinstance(epochs, str):
        return _by_name(epochs, longest, report)
    times = [float(time) for time in epochs]
    if len(times) != longest:
        raise ValueError(f"--epochs gives {len(times)} epochs, runs have up to {longest} checkpoints")
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError("'epoch' falls within a run: --epochs must be numbers that do not fall")
    report.note(f"epochs, as --epochs says: {times[0]:g} to {times[-1]:g}")
    return times


def asked_for(n_checkpoints: int) -> str:
    """What is said where nothing gives the epochs."""
    is_of_paper = n_checkpoints == len(SCHEDULE_OF_PAPER)
    hint = ", or --epochs paper those of the paper's training program" if is_of_paper else ""
    return (
        f"the epochs of {n_checkpoints} checkpoints are not in the file: --epochs must give them, or --epochs "
        f"checkpoints take their numbers{hint}"
    )


def _by_name(name: str, longest: int, report: Report) -> list[float]:
    if name == "checkpoints":
        report.note("epochs are numbers of checkpoints, as --epochs says")
        return list(map(float, range(longest)))
    if name != "paper":
        raise ValueError(f"epochs must be numbers, 'checkpoints' or 'paper', not {shown(name)}")
    if longest != len(SCHEDULE_OF_PAPER):
        raise ValueError(f"--epochs paper is for runs of {len(SCHEDULE_OF_PAPER)} checkpoints, these have {longest}")
    report.note(f"epochs, as --epochs paper says: {_IN_WORDS}")
    return list(SCHEDULE_OF_PAPER)
