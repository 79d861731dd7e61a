"""FixMatch: few labels; for all other images, confident predictions on weak changes become the labels of strong ones.

Sohn et al., "FixMatch: simplifying semi-supervised learning with consistency and confidence", NeurIPS 2020,
arXiv:2001.07685. Unlike there, the network that is trained is the one that is read, not a moving average of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from predspace_widgets.training.augment import STRONG, WEAK, Augmentation, augment
from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.optimisation import SGDSettings, optimise
from predspace_widgets.training.networks import Network
from predspace_widgets.training.snapshots import Snapshot, shuffled_batches


@dataclass(frozen=True)
class FixMatchSettings(SGDSettings):
    """Hyper-parameters of `train_fixmatch`.

    Parameters
    ----------
    steps, learning_rate, momentum, weight_decay
        See `SGDSettings`.
    n_labelled : int
        Images whose labels are used, of all classes together.
    batch_size : int
        Labelled images a step, B in the paper.
    unlabelled_batch_size : int
        Images a step whose labels are not used, mu B in the paper.
    threshold : float
        Smallest probability of the predicted class that teaches, tau in the paper.
    unlabelled_weight : float
        Of the loss of the unlabelled images, lambda_u in the paper.
    weak, strong : Augmentation
        What changes the images that are predicted, and those that are taught.

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    n_labelled: int = 40
    batch_size: int = 32
    unlabelled_batch_size: int = 96
    threshold: float = 0.95
    unlabelled_weight: float = 1.0
    weak: Augmentation = WEAK
    strong: Augmentation = STRONG

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.n_labelled, self.batch_size, self.unlabelled_batch_size) < 1:
            raise ValueError(
                "n_labelled, batch_size and unlabelled_batch_size must be at least 1, got "
                f"{self.n_labelled}, {self.batch_size} and {self.unlabelled_batch_size}"
            )
        if not (0 <= self.threshold <= 1 and self.unlabelled_weight >= 0):
            raise ValueError(
                "threshold must lie between 0 and 1 and unlabelled_weight not be negative, got "
                f"{self.threshold} and {self.unlabelled_weight}"
            )

    def check_fits(self, labels: NDArray[np.int64]) -> None:
        """Raise ValueError unless there are as many images as labels, and a label for each class."""
        n_classes = len(np.unique(labels))
        if not n_classes <= self.n_labelled <= len(labels):
            raise ValueError(_labelled_message(n_classes, len(labels), self.n_labelled))


def consistency_loss(weak: torch.Tensor, strong: torch.Tensor, threshold: float) -> torch.Tensor:
    """Cross-entropy of the classes that are sure for weakly changed images, at the same images strongly changed.

    Equation 4 of the paper, in the mean over all images: those below the threshold count as 0. No gradient passes
    through the weak side.

    Parameters
    ----------
    weak, strong : tensor, shape (N, C)
        Logits; row n of both comes from image n.
    threshold : float

    Returns
    -------
    tensor, shape ()

    Examples
    --------
    >>> weak = torch.tensor([[5.0, 0.0], [0.1, 0.0]])  # sure of class 0, not sure
    >>> consistency_loss(weak, torch.zeros(2, 2), threshold=0.95).round(decimals=4)  # log(2) / 2
    tensor(0.3466)
    """
    probability, predicted = weak.detach().softmax(dim=1).max(dim=1)  # (N,), (N,)
    sure = (probability >= threshold).to(strong.dtype)  # (N,)
    return (sure * cross_entropy(strong, predicted, reduction="none")).mean()


def draw_labelled(labels: NDArray[np.int64], n_labelled: int, generator: torch.Generator) -> NDArray[np.int64]:
    """Choose which images keep their labels, from every class as many as from any other, or one more.

    Parameters
    ----------
    labels : array of int, shape (N,)
    n_labelled : int
    generator : torch.Generator

    Returns
    -------
    array of int, shape (n_labelled,)
        Positions, rising. A class with too few images gives all it has, and the others more.

    Raises
    ------
    ValueError
        More than there are, or not one a class.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> labels[draw_labelled(labels, 4, torch.Generator().manual_seed(0))]
    array([0, 0, 1, 1])
    """
    n_classes = len(np.unique(labels))
    if not n_classes <= n_labelled <= len(labels):
        raise ValueError(_labelled_message(n_classes, len(labels), n_labelled))
    order = torch.randperm(len(labels), generator=generator).numpy()
    turn = np.empty(len(labels), dtype=np.int64)  # of each image among those of its class, in random order
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    return np.sort(order[np.argsort(turn[order], kind="stable")][:n_labelled])


def _labelled_message(n_classes: int, n_images: int, n_labelled: int) -> str:
    least = f"at least 1 for each of {n_classes} classes"
    return f"n_labelled must be {least} and at most the {n_images} images, got {n_labelled}"


def train_fixmatch(
    network: Network,
    images: LabelledImages,
    checkpoints: Collection[int],
    seed: int,
    settings: FixMatchSettings | None = None,
) -> Iterator[Snapshot]:
    """Train a network with few labels and many images, and yield it at some steps.

    Parameters
    ----------
    network : Network
        With one output a class. It is trained in place.
    images : LabelledImages
        Training images of the task. The labels of a few are used; as in the paper, these few are among those that
        are used without labels, too.
    checkpoints : collection of int
        Steps to yield a snapshot at; 0 is the network as it comes.
    seed : int
        Of the choice of the labelled images, the order of all, and their changes.
    settings : FixMatchSettings, optional

    Yields
    ------
    Snapshot
        An epoch is as many images, labelled and unlabelled ones together, as there are; the weak and the strong
        change of one count once.

    Raises
    ------
    ValueError
        There are fewer images than labelled ones are asked for, or more classes.
    TrainingDiverged
        The loss is not finite.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> from predspace_widgets.training.networks import make_network
    >>> network = make_network("small-cnn", n_channels=1, n_classes=10, seed=0, width=8)
    >>> settings = FixMatchSettings(steps=2, batch_size=8, unlabelled_batch_size=16)
    >>> [snapshot.step for snapshot in train_fixmatch(network, load_images("digits"), [0, 2], 0, settings)]
    [0, 2]
    """
    settings = settings or FixMatchSettings()
    generator = torch.Generator().manual_seed(seed)
    labelled = images.take(draw_labelled(images.labels, settings.n_labelled, generator))

    def losses() -> Iterator[torch.Tensor]:
        batches = shuffled_batches(len(labelled), settings.batch_size, generator)
        unlabelled_batches = shuffled_batches(len(images), settings.unlabelled_batch_size, generator)
        for batch, unlabelled in zip(batches, unlabelled_batches, strict=True):
            targets = torch.from_numpy(labelled.labels[batch]).to(network.device)
            few, many = labelled.tensor(batch).to(network.device), images.tensor(unlabelled).to(network.device)
            inputs = [
                augment(few, settings.weak, generator),
                augment(many, settings.weak, generator),
                augment(many, settings.strong, generator),
            ]
            # All together, so that batch norm sees the same mixture everywhere.
            logits, weak, strong = network(torch.cat(inputs)).split([len(part) for part in inputs])
            consistency = consistency_loss(weak, strong, settings.threshold)
            yield cross_entropy(logits, targets) + settings.unlabelled_weight * consistency

    images_per_step = settings.batch_size + settings.unlabelled_batch_size
    optimizer = settings.make_optimizer(network.parameters())
    yield from optimise(
        network, losses(), optimizer, settings.steps, checkpoints, images_per_step, n_images=len(images)
    )
