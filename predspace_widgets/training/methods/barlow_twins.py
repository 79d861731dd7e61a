"""Barlow Twins: features are to agree between two views of an image and not to repeat each other; without labels.

Zbontar, Jing, Misra, LeCun and Deny, "Barlow Twins: self-supervised learning via redundancy reduction", ICML 2021,
arXiv:2103.03230. Unlike there, the optimiser is Adam instead of LARS, and both views of a batch pass the network
together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from predspace_widgets.training.augment import STRONG, Augmentation
from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.optimisation import AdamSettings
from predspace_widgets.training.methods.two_views import train_on_two_views
from predspace_widgets.training.networks import Network, seeded
from predspace_widgets.training.snapshots import Snapshot


@dataclass(frozen=True)
class BarlowTwinsSettings(AdamSettings):
    """Hyper-parameters of `train_barlow_twins`.

    Parameters
    ----------
    steps, learning_rate, weight_decay
        See `AdamSettings`.
    batch_size : int
        Images a step; each is seen in two views.
    redundancy_weight : float
        Of the correlations between different features, lambda in the paper.
    projection : int
        Width of the three-layer perceptron between features and loss; 0 is none: the loss is that of the features
        themselves.
    augmentation : Augmentation
        What makes the views.

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    batch_size: int = 128
    redundancy_weight: float = 0.05
    projection: int = 0
    augmentation: Augmentation = STRONG

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2 or self.projection < 0:
            raise ValueError(
                "batch_size must be at least 2 and projection not negative, got "
                f"{self.batch_size} and {self.projection}"
            )
        if not self.redundancy_weight >= 0:
            raise ValueError(f"redundancy_weight must not be negative, got {self.redundancy_weight}")


def barlow_twins_loss(first: torch.Tensor, second: torch.Tensor, redundancy_weight: float) -> torch.Tensor:
    """How far the correlations of features between two views are from the identity matrix.

    Equation 1 of the paper: sum_i (1 - c_ii)^2 + lambda sum_{i != j} c_ij^2, with c_ij the correlation, over the
    batch, of feature i of the first views with feature j of the second.

    Parameters
    ----------
    first, second : tensor, shape (N, D)
        Row n of both comes from image n.
    redundancy_weight : float

    Returns
    -------
    tensor, shape ()

    Examples
    --------
    >>> views = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # two features, uncorrelated
    >>> barlow_twins_loss(views, views, redundancy_weight=0.1).round(decimals=4)
    tensor(0.)
    >>> barlow_twins_loss(views, views[:, [1, 0]], redundancy_weight=0.1).round(decimals=4)  # 2 + 0.1 * 2
    tensor(2.2000)
    """
    correlation = _standardise(first).T @ _standardise(second) / len(first)  # (D, D)
    on_diagonal = correlation.diagonal()  # (D,)
    redundancy = correlation.square().sum() - on_diagonal.square().sum()
    return (1 - on_diagonal).square().sum() + redundancy_weight * redundancy


def _standardise(values: torch.Tensor) -> torch.Tensor:
    """Each column (N,) with mean 0 and variance 1; one that is constant becomes 0."""
    centred = values - values.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + 1e-5).rsqrt()  # as in batch norm, which the paper uses here


def train_barlow_twins(
    network: Network,
    images: LabelledImages,
    checkpoints: Collection[int],
    seed: int,
    settings: BarlowTwinsSettings | None = None,
) -> Iterator[Snapshot]:
    """Train the features of a network to agree between views and to differ from each other; yield it at some steps.

    Parameters
    ----------
    network : Network
        Trained in place; its head stays as it is.
    images : LabelledImages
        Training images of the task. Their labels are not used.
    checkpoints : collection of int
        Steps to yield a snapshot at; 0 is the network as it comes.
    seed : int
        Of the order of the images, the views, and the weights of the projection.
    settings : BarlowTwinsSettings, optional

    Yields
    ------
    Snapshot
        An epoch is as many images as there are; the two views of one count once.

    Raises
    ------
    TrainingDiverged
        The loss is not finite.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> from predspace_widgets.training.networks import make_network
    >>> network = make_network("small-cnn", n_channels=1, n_classes=10, seed=0, width=8)
    >>> settings = BarlowTwinsSettings(steps=2, batch_size=32)
    >>> [snapshot.step for snapshot in train_barlow_twins(network, load_images("digits"), [0, 2], 0, settings)]
    [0, 2]
    """
    settings = settings or BarlowTwinsSettings()
    projection = _projection(network.head.in_features, settings.projection, seed)

    def loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return barlow_twins_loss(first, second, settings.redundancy_weight)

    yield from train_on_two_views(network, images, checkpoints, seed, settings, projection, loss)


def _projection(n_features: int, width: int, seed: int) -> nn.Module:
    """The paper's projector: three layers, the first two with batch norm and ReLU; the identity if the width is 0."""
    if width == 0:
        return nn.Identity()
    with seeded(seed):
        layers: list[nn.Module] = []
        for n_inputs in (n_features, width):
            layers += [nn.Linear(n_inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, width, bias=False))
