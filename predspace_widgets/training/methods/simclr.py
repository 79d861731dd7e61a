"""SimCLR: two views of an image are to be more alike than views of different images; labels are not used.

Chen, Kornblith, Norouzi and Hinton, "A simple framework for contrastive learning of visual representations",
ICML 2020, arXiv:2002.05709. As there, features before the projection are what is read afterwards. Unlike there,
the optimiser is Adam, which at batches of hundreds does what LARS does at thousands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from predspace_widgets.training.augment import STRONG, Augmentation
from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.optimisation import AdamSettings
from predspace_widgets.training.methods.two_views import train_on_two_views
from predspace_widgets.training.networks import Network, seeded
from predspace_widgets.training.snapshots import Snapshot

#: Twice the noise of `STRONG`, and more accurate for it; recipes/README.md has what was tried.
NOISY = replace(STRONG, noise=0.2)


@dataclass(frozen=True)
class SimCLRSettings(AdamSettings):
    """Hyper-parameters of `train_simclr`.

    Parameters
    ----------
    steps, learning_rate, weight_decay
        See `AdamSettings`.
    batch_size : int
        Images a step, N in the paper; each is seen in two views.
    temperature : float
        Of the similarities, tau in the paper.
    projection : int
        Outputs of the two-layer perceptron between features and loss, g in the paper; 0 is none: the loss is that of
        the features themselves.
    augmentation : Augmentation
        What makes the views.

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    batch_size: int = 128
    temperature: float = 0.1
    projection: int = 0
    augmentation: Augmentation = NOISY

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2 or self.projection < 0:
            raise ValueError(
                "batch_size must be at least 2 and projection not negative, got "
                f"{self.batch_size} and {self.projection}"
            )
        if not self.temperature > 0:
            raise ValueError(f"temperature must be positive, got {self.temperature}")


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Normalised temperature-scaled cross-entropy: to find the other view of an image among all other views.

    Equation 1 of the paper, in the mean over all 2N views: -log(exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau)) with
    s the cosine similarity and j the other view of i.

    Parameters
    ----------
    first, second : tensor, shape (N, D)
        Row n of both comes from image n.
    temperature : float

    Returns
    -------
    tensor, shape ()

    Examples
    --------
    >>> views = torch.eye(3)  # pairs alike, all else orthogonal: log(1 + 4 exp(-1))
    >>> nt_xent(views, views, temperature=1.0).round(decimals=4)
    tensor(0.9048)
    """
    n_images = len(first)
    views = normalize(torch.cat([first, second]), dim=1)  # (2N, D)
    similarity = views @ views.T / temperature  # (2N, 2N)
    itself = torch.eye(2 * n_images, dtype=torch.bool, device=views.device)
    partner = torch.arange(2 * n_images, device=views.device).roll(n_images)  # (2N,)
    return cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)


def train_simclr(
    network: Network,
    images: LabelledImages,
    checkpoints: Collection[int],
    seed: int,
    settings: SimCLRSettings | None = None,
) -> Iterator[Snapshot]:
    """Train the features of a network to know an image again, and yield it at some steps.

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
    settings : SimCLRSettings, optional

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
    >>> settings = SimCLRSettings(steps=2, batch_size=32)
    >>> [snapshot.step for snapshot in train_simclr(network, load_images("digits"), [0, 2], 0, settings)]
    [0, 2]
    """
    settings = settings or SimCLRSettings()
    projection = _projection(network.head.in_features, settings.projection, seed)

    def loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return nt_xent(first, second, settings.temperature)

    yield from train_on_two_views(network, images, checkpoints, seed, settings, projection, loss)


def _projection(n_features: int, n_outputs: int, seed: int) -> nn.Module:
    """The paper's projection head, a hidden layer as wide as the features; the identity if it has no outputs."""
    if n_outputs == 0:
        return nn.Identity()
    with seeded(seed):
        return nn.Sequential(nn.Linear(n_features, n_features), nn.ReLU(), nn.Linear(n_features, n_outputs))
