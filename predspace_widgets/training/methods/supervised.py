"""Supervised training: cross-entropy of the true class, stochastic gradient descent with Nesterov momentum."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.networks import Network
from predspace_widgets.training.snapshots import Snapshot, TrainingDiverged, shuffled_batches


@dataclass(frozen=True)
class SupervisedSettings:
    """Hyper-parameters of `train_supervised`.

    Parameters
    ----------
    steps : int
        Optimiser steps.
    batch_size : int
        Images a step.
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
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0005

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 2:
            raise ValueError(f"needs at least one step of two images, got {self.steps} of {self.batch_size}")
        if not (self.learning_rate > 0 and 0 < self.momentum < 1 and self.weight_decay >= 0):
            raise ValueError(
                "learning_rate must be positive, momentum between 0 and 1 and weight_decay not negative, got "
                f"{self.learning_rate}, {self.momentum} and {self.weight_decay}"
            )


def train_supervised(
    network: Network,
    images: LabelledImages,
    checkpoints: Collection[int],
    seed: int,
    settings: SupervisedSettings | None = None,
) -> Iterator[Snapshot]:
    """Train a network to tell classes apart, and yield it at some steps.

    Parameters
    ----------
    network : Network
        With one output a class. It is trained in place.
    images : LabelledImages
        Training images of the task.
    checkpoints : collection of int
        Steps to yield a snapshot at; 0 is the network as it comes.
    seed : int
        Of the order of the images, the only chance here.
    settings : SupervisedSettings, optional

    Yields
    ------
    Snapshot

    Raises
    ------
    TrainingDiverged
        The loss is not finite.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> from predspace_widgets.training.networks import make_network
    >>> digits = load_images("digits")
    >>> network = make_network("small-cnn", n_channels=1, n_classes=10, seed=0, width=8)
    >>> for snapshot in train_supervised(network, digits, [0, 2], seed=0, settings=SupervisedSettings(steps=2)):
    ...     print(snapshot.step, round(snapshot.epoch, 3))
    0 0.0
    2 0.071
    """
    settings = settings or SupervisedSettings()
    device = next(network.parameters()).device
    optimizer = SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=True,
        weight_decay=settings.weight_decay,
    )
    learning_rate = CosineAnnealingLR(optimizer, T_max=settings.steps)
    batches = shuffled_batches(len(images), settings.batch_size, torch.Generator().manual_seed(seed))

    if 0 in checkpoints:
        yield Snapshot(0, 0.0, network, None)
    for step, batch in zip(range(1, settings.steps + 1), batches, strict=False):
        network.train()
        inputs, targets = images.tensor(batch), torch.from_numpy(images.labels[batch])
        loss = cross_entropy(network(inputs.to(device)), targets.to(device))
        if not torch.isfinite(loss):
            raise TrainingDiverged(f"the loss is {loss.item()} at step {step}: try a smaller learning rate")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        learning_rate.step()
        if step in checkpoints:
            yield Snapshot(step, step * settings.batch_size / len(images), network, loss.item())
