"""What SimCLR and Barlow Twins share: two random views of each image, and a loss that compares them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from predspace_widgets.training.augment import Augmentation, augment
from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.optimisation import optimise
from predspace_widgets.training.networks import Network
from predspace_widgets.training.snapshots import Snapshot, shuffled_batches


class TwoViewSettings(Protocol):
    """The hyper-parameters that are needed here."""

    @property
    def steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def augmentation(self) -> Augmentation: ...

    def make_optimizer(self, parameters: list[nn.Parameter]) -> Optimizer: ...


def train_on_two_views(
    network: Network,
    images: LabelledImages,
    checkpoints: Collection[int],
    seed: int,
    settings: TwoViewSettings,
    projection: nn.Module,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Iterator[Snapshot]:
    """Train the features of a network by a loss of two views of each image (see `train_simclr`).

    Parameters
    ----------
    network, images, checkpoints, seed, settings
        Those of the method.
    projection : nn.Module
        Between features (N, F) and what is compared (N, D). It is trained with the network.
    loss : callable (first, second) -> tensor, shape ()
        Of tensors (N, D); row n of both comes from image n.

    Yields
    ------
    Snapshot
    """
    projection.to(network.device)

    def losses() -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        for batch in shuffled_batches(len(images), settings.batch_size, generator):
            inputs = images.tensor(batch).to(network.device)  # (N, channels, rows, columns)
            views = torch.cat([augment(inputs, settings.augmentation, generator) for _ in range(2)])
            yield loss(*projection(network.features(views)).chunk(2))  # (N, D) each

    optimizer = settings.make_optimizer([*network.parameters(), *projection.parameters()])
    yield from optimise(
        network, losses(), optimizer, settings.steps, checkpoints, settings.batch_size, n_images=len(images)
    )
