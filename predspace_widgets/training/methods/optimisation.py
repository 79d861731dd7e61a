"""What all methods share: gradient steps along the losses of a method, with snapshots at some of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from predspace_widgets.training.networks import Network
from predspace_widgets.training.snapshots import Snapshot, TrainingDiverged

_LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class AdamSettings:
    """Hyper-parameters of training with Adam (Kingma and Ba 2015, arXiv:1412.6980).

    Parameters
    ----------
    steps : int
        Optimiser steps.
    learning_rate : float
        At the first step; it falls to 0 along half a cosine.
    weight_decay : float

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    steps: int = 300
    learning_rate: float = 0.005
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"needs at least one step, got {self.steps}")
        if not (0 < self.learning_rate < _LARGEST and 0 <= self.weight_decay < _LARGEST):
            raise ValueError(
                "learning_rate must be positive and weight_decay not negative, both finite, got "
                f"{self.learning_rate} and {self.weight_decay}"
            )

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """The optimiser of these parameters, before its first step."""
        return Adam(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)

    def check_fits(self, labels: NDArray[np.int64]) -> None:
        """Raise ValueError if images of these classes, shape (N,), cannot be trained on so; these methods take any."""


@dataclass(frozen=True)
class SGDSettings:
    """Hyper-parameters of stochastic gradient descent with Nesterov momentum.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    learning_rate : float
        At the first step; it falls to 0 along half a cosine.
    momentum : float
        Nesterov momentum.
    weight_decay : float

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    steps: int = 300
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0005

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"needs at least one step, got {self.steps}")
        if not (0 < self.learning_rate < _LARGEST and 0 < self.momentum < 1 and 0 <= self.weight_decay < _LARGEST):
            raise ValueError(
                "learning_rate must be positive, momentum between 0 and 1 and weight_decay not negative, got "
                f"{self.learning_rate}, {self.momentum} and {self.weight_decay}"
            )

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """The optimiser of these parameters, before its first step."""
        return SGD(
            parameters, lr=self.learning_rate, momentum=self.momentum, nesterov=True, weight_decay=self.weight_decay
        )

    def check_fits(self, labels: NDArray[np.int64]) -> None:
        """Raise ValueError if images of these classes, shape (N,), cannot be trained on so; these methods take any."""


def optimise(
    network: Network,
    losses: Iterator[torch.Tensor],
    optimizer: Optimizer,
    steps: int,
    checkpoints: Collection[int],
    images_per_step: int,
    n_images: int,
) -> Iterator[Snapshot]:
    """Take one gradient step down each loss, and yield the network at some steps.

    Parameters
    ----------
    network : Network
        In training mode whenever a loss is asked for, whatever a reader of snapshots did to it.
    losses : iterator of tensor, shape ()
        Without end. Each is computed when it is asked for, on the network as it then is.
    optimizer : torch.optim.Optimizer
        Its learning rate falls to 0 along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983).
        What a loss does not depend on stays as it is.
    steps : int
    checkpoints : collection of int
        Steps to yield a snapshot at; 0 is the network as it comes.
    images_per_step, n_images : int
        Images that a step counts as seen, and training images in all, for `Snapshot.epoch`.

    Yields
    ------
    Snapshot

    Raises
    ------
    TrainingDiverged
        The loss is not finite.

    Examples
    --------
    >>> from predspace_widgets.training.networks import make_network
    >>> network = make_network("small-cnn", n_channels=1, n_classes=2, seed=0, width=8)
    >>> losses = iter(lambda: network.head.weight.square().sum(), None)
    >>> optimizer = SGDSettings().make_optimizer(network.parameters())
    >>> [snapshot.epoch for snapshot in optimise(network, losses, optimizer, 4, [0, 2], 50, 100)]
    [0.0, 1.0]
    """
    learning_rate = CosineAnnealingLR(optimizer, T_max=steps)
    if 0 in checkpoints:
        yield Snapshot(0, 0.0, network, None)
    for step in range(1, steps + 1):
        network.train()
        loss = next(losses)
        if not torch.isfinite(loss):
            raise TrainingDiverged(f"the loss is {loss.item()} at step {step}: try a smaller learning rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        learning_rate.step()
        if step in checkpoints:
            yield Snapshot(step, step * images_per_step / n_images, network, loss.item())
