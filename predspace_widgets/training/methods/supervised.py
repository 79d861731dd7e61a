"""Supervised training: cross-entropy of the true class, down by SGD with Nesterov momentum or by Adam."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch.nn.functional import cross_entropy
from torch.optim import Adam, Optimizer

from predspace_widgets.training.augment import NONE, Augmentation, augment
from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.optimisation import SGDSettings, optimise
from predspace_widgets.training.networks import Network
from predspace_widgets.training.settings import check_name
from predspace_widgets.training.snapshots import Snapshot, shuffled_batches

OptimizerName = Literal["sgd", "adam"]


@dataclass(frozen=True)
class SupervisedSettings(SGDSettings):
    """Hyper-parameters of `train_supervised`.

    Parameters
    ----------
    steps, learning_rate, momentum, weight_decay
        See `SGDSettings`.
    batch_size : int
        Images a step.
    augmentation : Augmentation
        What changes the images at random; by default nothing does.
    optimizer : {"sgd", "adam"}
        Adam has no use for the momentum; its learning rates are about a tenth of those of SGD.

    Raises
    ------
    ValueError
        A number that is out of range, or an unknown optimiser.
    """

    batch_size: int = 64
    augmentation: Augmentation = NONE
    optimizer: OptimizerName = "sgd"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise ValueError(f"batch_size must be at least 2, got {self.batch_size}")
        check_name(self.optimizer, get_args(OptimizerName), "optimizer")

    def make_optimizer(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """The optimiser of these parameters, before its first step."""
        if self.optimizer == "adam":
            return Adam(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        return super().make_optimizer(parameters)


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
        Of the order of the images, and of their changes.
    settings : SupervisedSettings, optional

    Yields
    ------
    Snapshot
        An epoch is as many images as there are.

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

    def losses() -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        for batch in shuffled_batches(len(images), settings.batch_size, generator):
            inputs, targets = (
                images.tensor(batch).to(network.device),
                torch.from_numpy(images.labels[batch]).to(network.device),
            )
            yield cross_entropy(network(augment(inputs, settings.augmentation, generator)), targets)

    optimizer = settings.make_optimizer(network.parameters())
    yield from optimise(
        network, losses(), optimizer, settings.steps, checkpoints, settings.batch_size, n_images=len(images)
    )
