"""What every training method yields, and when: snapshots of a network, at the steps of a schedule.

A method is a generator; recording, live views and tests consume it. Nothing is called back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from predspace_widgets.training.networks import Network


@dataclass(frozen=True)
class Snapshot:
    """A network during its training.

    Parameters
    ----------
    step : int
        Optimiser steps done.
    epoch : float
        Training images seen, in multiples of their number.
    network : Network
        The network itself, which goes on changing: read it before asking for the next snapshot, or copy it.
    loss : float or None
        The method's own loss at the latest step, before that step; None before the first one.
    """

    step: int
    epoch: float
    network: Network
    loss: float | None


class TrainingDiverged(FloatingPointError):
    """The loss or the network of a training is not finite any more: the training ends."""


@dataclass(frozen=True)
class CheckpointSchedule:
    """Steps at which a training is looked at: every one at first, then ever wider apart, up to the last.

    Parameters
    ----------
    count : int
        Number of checkpoints.
    dense : int
        Number of checkpoints at the steps 0, 1, 2, ...; the steps of the others are a geometric series.

    Raises
    ------
    ValueError
        Not at least one dense checkpoint, and one that is not.

    Examples
    --------
    >>> CheckpointSchedule(count=7, dense=3).steps(last=100)
    (0, 1, 2, 5, 14, 38, 100)
    """

    count: int = 30
    dense: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.dense < self.count:
            raise ValueError(f"of {self.count} checkpoints at least one and not all must be dense, got {self.dense}")

    def steps(self, last: int) -> tuple[int, ...]:
        """The steps of the checkpoints, from 0 to the last; all steps where there are no more than checkpoints.

        Parameters
        ----------
        last : int
            Number of steps of the training.

        Returns
        -------
        tuple of int
            Strictly rising.
        """
        if last < self.count:
            return tuple(range(last + 1))
        wide = np.geomspace(max(self.dense - 1, 1), last, self.count - self.dense + 1)[1:]
        steps = np.concatenate([np.arange(self.dense), np.round(wide).astype(int)])
        number = np.arange(self.count)
        steps = np.maximum.accumulate(steps - number) + number  # at least one step apart
        return tuple(np.minimum(steps, last - number[::-1]).tolist())


def shuffled_batches(n_samples: int, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Positions of the samples of one batch after the other, without end.

    The samples pass in a new random order each epoch; a batch at the border of two epochs holds samples of both, so
    that every batch has the same size, also for datasets smaller than a batch.

    Parameters
    ----------
    n_samples, batch_size : int
    generator : torch.Generator
        Source of the orders.

    Yields
    ------
    tensor of int64, shape (batch_size,)

    Examples
    --------
    >>> batches = shuffled_batches(4, 2, torch.Generator().manual_seed(0))
    >>> sorted([*next(batches).tolist(), *next(batches).tolist()])
    [0, 1, 2, 3]
    """
    queue = torch.empty(0, dtype=torch.int64)
    while True:
        while len(queue) < batch_size:
            queue = torch.cat([queue, torch.randperm(n_samples, generator=generator)])
        yield queue[:batch_size]
        queue = queue[batch_size:]
