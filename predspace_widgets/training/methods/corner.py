"""Corners of prediction space: networks that have learned random labels, from which a training then starts.

Mao et al., "The training process of many deep networks explores the same low-dimensional manifold", PNAS 121 (2024)
e2310002121, arXiv:2305.01604: a network is first trained on random labels of all training images; then a new optimiser
trains the same weights, last layer included, on the true ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.supervised import OptimizerName, SupervisedSettings, train_supervised
from predspace_widgets.training.networks import Network


@dataclass(frozen=True)
class CornerSettings(SupervisedSettings):
    """How a network learns the random labels of its corner.

    Parameters
    ----------
    steps, learning_rate, momentum, weight_decay, batch_size, augmentation, optimizer
        See `SupervisedSettings`. With the defaults, of 1,100 random labels of digits an "mlp" and a "small-resnet" of
        width 8 learn all but a few, a "small-cnn" of width 16 gives them a probability of 0.8, one of width 8 of 0.3.

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    steps: int = 600
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    batch_size: int = 128
    optimizer: OptimizerName = "adam"


def go_to_corner(
    network: Network,
    images: LabelledImages,
    corner: int | Sequence[int],
    seed: int,
    settings: CornerSettings | None = None,
) -> None:
    """Train a network on random labels.

    Parameters
    ----------
    network : Network
        With one output a class. It is trained in place.
    images : LabelledImages
        Their own labels are not used.
    corner : int or sequence of int
        Seed of the random labels, which are the corner: networks of the same one start at the same.
    seed : int
        Of the order of the images, and of their changes.
    settings : CornerSettings, optional

    Raises
    ------
    TrainingDiverged
        The loss is not finite.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> from predspace_widgets.training.networks import make_network
    >>> network = make_network("mlp", n_channels=1, n_classes=10, seed=0, width=8)
    >>> go_to_corner(network, load_images("digits"), corner=0, seed=0, settings=CornerSettings(steps=2))
    """
    settings = settings or CornerSettings()
    labels = random_labels(len(images), len(images.class_names), corner)
    for _ in train_supervised(network, replace(images, labels=labels), [], seed, settings):
        pass


def random_labels(n_images: int, n_classes: int, corner: int | Sequence[int]) -> np.ndarray:
    """The random labels of a corner, shape (n_images,).

    Examples
    --------
    >>> random_labels(5, 10, corner=0)
    array([8, 6, 5, 2, 3])
    """
    return np.random.default_rng(corner).integers(n_classes, size=n_images)
