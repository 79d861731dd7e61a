"""Trainings that are started from a page, and followed next to the checkpoints that are there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import xarray as xr

from predspace_widgets.explorers.live import follow_store
from predspace_widgets.explorers.session import Session
from predspace_widgets.extras import MissingExtraError


class Trainings(Protocol):
    """What starts trainings; see `predspace_widgets.training.launch.Launcher`."""

    def offers(self, ds: xr.Dataset) -> list[dict[str, Any]]:
        """What can be trained on the samples and classes of a dataset."""

    def start(self, ds: xr.Dataset, recipe: str, task: str, method: str, seed: int) -> Path:
        """Train a network; where its dataset appears with the first checkpoint."""

    def stop(self) -> None:
        """End the training that is under way."""

    def state(self) -> dict[str, Any] | None:
        """How the latest training goes."""


class NoTrainings:
    """Nothing can be trained: torch is not installed, which the pages say.

    Parameters
    ----------
    reason : MissingExtraError
    """

    def __init__(self, reason: MissingExtraError) -> None:
        self._reason = reason

    def offers(self, ds: xr.Dataset) -> list[dict[str, Any]]:
        raise self._reason

    def start(self, ds: xr.Dataset, recipe: str, task: str, method: str, seed: int) -> Path:
        raise self._reason

    def stop(self) -> None:
        """There is none."""

    def state(self) -> dict[str, Any] | None:
        return None


def allow_training(session: Session, trainings: Trainings) -> None:
    """Let the stages of a session start trainings."""
    session.follow()
    session.trainings = trainings


def answer_training(request: Mapping[str, Any], session: Session) -> Any:
    """Answer a question on trainings.

    Parameters
    ----------
    request : mapping
        `act` is "offers", "start" (with `recipe`, `task`, `method` and `seed`) or "stop". It is not trusted.
    session : Session

    Raises
    ------
    ValueError
        The server starts no trainings, or not this one.
    """
    trainings: Trainings | None = session.trainings
    if trainings is None:
        raise ValueError("trainings can be started where the server was started with --allow-training")
    act = request.get("act")
    if act == "offers":
        return trainings.offers(session.analysis.ds)
    if act == "stop":
        trainings.stop()
    elif act == "start":
        recipe, task, method = (str(request.get(name)) for name in ("recipe", "task", "method"))
        seed: Any = request.get("seed")
        path = trainings.start(session.analysis.ds, recipe, task, method, seed)
        follow_store(session, path)
    else:
        raise ValueError("a training is started or stopped")
    return trainings.state()
