"""Prototypical networks: episodes of few classes and few images, told apart by the nearest class mean of features.

Snell, Swersky and Zemel, "Prototypical networks for few-shot learning", NeurIPS 2017, arXiv:1703.05175. This is
episodic meta-learning: no step knows more classes than those of its episode, and no last layer is learned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from predspace_widgets.training.augment import NONE, Augmentation, augment
from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.optimisation import SGDSettings, optimise
from predspace_widgets.training.networks import Network
from predspace_widgets.training.snapshots import Snapshot


@dataclass(frozen=True)
class PrototypicalSettings(SGDSettings):
    """Hyper-parameters of `train_prototypical`.

    Parameters
    ----------
    steps, learning_rate, momentum, weight_decay
        See `SGDSettings`; a step is an episode.
    n_way : int or None
        Classes an episode; None is all of the task.
    k_shot : int
        Images of each class that make its prototype, the support.
    n_query : int
        Images of each class that are told apart.
    augmentation : Augmentation
        What changes all of them at random; by default nothing does.

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    n_way: int | None = 5
    k_shot: int = 5
    n_query: int = 10
    augmentation: Augmentation = NONE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_way is not None and self.n_way < 2:
            raise ValueError(f"n_way must be at least 2, got {self.n_way}")
        if min(self.k_shot, self.n_query) < 1:
            raise ValueError(f"k_shot and n_query must be at least 1, got {self.k_shot} and {self.n_query}")

    def check_fits(self, labels: NDArray[np.int64]) -> None:
        """Raise ValueError unless there are the classes and images of an episode."""
        n_way = len(np.unique(labels)) if self.n_way is None else self.n_way
        _check_episode(labels, n_way, self.k_shot + self.n_query)


def prototypical_loss(support: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of softmax(-squared distance to the class means of the support), in the mean over all queries.

    Equations 1 and 2 of the paper with the squared Euclidean distance.

    Parameters
    ----------
    support : tensor, shape (W, K, F)
        Features of K images of each of W classes.
    query : tensor, shape (W, Q, F)
        Features of Q other images of each of the same classes.

    Returns
    -------
    tensor, shape ()

    Examples
    --------
    >>> support = torch.tensor([[[0.0], [0.2]], [[2.0], [2.2]]])  # prototypes at 0.1 and 2.1
    >>> prototypical_loss(support, torch.tensor([[[1.1]], [[1.1]]])).round(decimals=4)  # half way: log(2)
    tensor(0.6931)
    """
    n_way, n_query, n_features = query.shape
    prototypes = support.mean(dim=1)  # (W, F)
    differences = query.reshape(-1, 1, n_features) - prototypes  # (W Q, W, F)
    targets = torch.arange(n_way, device=query.device).repeat_interleave(n_query)  # (W Q,)
    return cross_entropy(-differences.square().sum(dim=2), targets)


def episodes(
    labels: NDArray[np.int64], n_way: int, n_images: int, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Positions of the images of one episode after the other, without end.

    Parameters
    ----------
    labels : array of int, shape (N,)
    n_way : int
        Classes an episode.
    n_images : int
        Different images of each of them.
    generator : torch.Generator

    Yields
    ------
    tensor of int64, shape (n_way, n_images)
        A row for each class, in random order.

    Raises
    ------
    ValueError
        There are fewer classes than that, or one of them has fewer images.

    Examples
    --------
    >>> labels = np.array([0, 0, 1, 1, 2, 2])
    >>> episode = next(episodes(labels, n_way=2, n_images=2, generator=torch.Generator().manual_seed(0)))
    >>> labels[episode]
    array([[2, 2],
           [0, 0]])
    """
    classes = _check_episode(labels, n_way, n_images)
    members = [torch.from_numpy(np.flatnonzero(labels == label)) for label in classes]
    while True:
        chosen = torch.randperm(len(classes), generator=generator)[:n_way].tolist()
        orders = [torch.randperm(len(members[label]), generator=generator)[:n_images] for label in chosen]
        yield torch.stack([members[label][order] for label, order in zip(chosen, orders, strict=True)])


def _check_episode(labels: NDArray[np.int64], n_way: int, n_images: int) -> NDArray[np.int64]:
    """The classes of these images; ValueError if they are too few for an episode, or have too few images."""
    classes, counts = np.unique(labels, return_counts=True)
    if n_way > len(classes):
        raise ValueError(f"an episode of {n_way} classes needs as many, the task has {len(classes)}")
    if counts.min() < n_images:
        raise ValueError(f"an episode needs {n_images} images of each class, one has {counts.min()}")
    return classes


def train_prototypical(
    network: Network,
    images: LabelledImages,
    checkpoints: Collection[int],
    seed: int,
    settings: PrototypicalSettings | None = None,
) -> Iterator[Snapshot]:
    """Train the features of a network on episodes, and yield it at some steps.

    Parameters
    ----------
    network : Network
        Trained in place; its head stays as it is.
    images : LabelledImages
        Training images of the task.
    checkpoints : collection of int
        Steps to yield a snapshot at; 0 is the network as it comes.
    seed : int
        Of the classes and images of the episodes, and of their changes.
    settings : PrototypicalSettings, optional

    Yields
    ------
    Snapshot
        An epoch is as many images, of support and query together, as there are.

    Raises
    ------
    ValueError
        The task has fewer classes than an episode, or a class too few images for support and query.
    TrainingDiverged
        The loss is not finite.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> from predspace_widgets.training.networks import make_network
    >>> network = make_network("small-cnn", n_channels=1, n_classes=10, seed=0, width=8)
    >>> settings = PrototypicalSettings(steps=2)
    >>> [snapshot.step for snapshot in train_prototypical(network, load_images("digits"), [0, 2], 0, settings)]
    [0, 2]
    """
    settings = settings or PrototypicalSettings()
    n_way = len(images.class_names) if settings.n_way is None else settings.n_way
    per_class = settings.k_shot + settings.n_query

    def losses() -> Iterator[torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        for episode in episodes(images.labels, n_way, per_class, generator):
            inputs = images.tensor(episode.flatten()).to(network.device)  # (W (K + Q), channels, rows, columns)
            features = network.features(augment(inputs, settings.augmentation, generator))  # (W (K + Q), F)
            features = features.reshape(n_way, per_class, -1)  # (W, K + Q, F)
            yield prototypical_loss(features[:, : settings.k_shot], features[:, settings.k_shot :])

    optimizer = settings.make_optimizer(network.parameters())
    yield from optimise(
        network, losses(), optimizer, settings.steps, checkpoints, n_way * per_class, n_images=len(images)
    )
