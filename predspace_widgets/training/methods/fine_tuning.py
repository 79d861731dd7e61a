"""Fine-tuning: the features of a network trained on another task go on learning, under a new last layer.

The loop is that of supervised training, from other weights and at a smaller learning rate: Yosinski, Clune, Bengio
and Lipson, "How transferable are features in deep neural networks?", NeurIPS 2014, arXiv:1411.1792.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.methods.supervised import SupervisedSettings, train_supervised
from predspace_widgets.training.networks import Network
from predspace_widgets.training.snapshots import Snapshot


@dataclass(frozen=True)
class FineTuningSettings(SupervisedSettings):
    """Hyper-parameters of `train_fine_tuning`.

    Parameters
    ----------
    steps, learning_rate, momentum, weight_decay, batch_size, augmentation, optimizer
        See `SupervisedSettings`.

    Raises
    ------
    ValueError
        A number that is out of range.
    """

    learning_rate: float = 0.01


def train_fine_tuning(
    network: Network,
    images: LabelledImages,
    checkpoints: Collection[int],
    seed: int,
    settings: FineTuningSettings | None = None,
) -> Iterator[Snapshot]:
    """Train all layers of a network that comes trained on another task, and yield it at some steps.

    Parameters
    ----------
    network : Network
        Trained on another task, its head replaced by a new one with one output a class of this task. It is trained
        in place.
    images : LabelledImages
        Training images of the task.
    checkpoints : collection of int
        Steps to yield a snapshot at; 0 is the network as it comes: all its features are those of the other task.
    seed : int
        Of the order of the images, and of their changes.
    settings : FineTuningSettings, optional

    Yields
    ------
    Snapshot
        Steps and epochs are those of this task only.

    Raises
    ------
    TrainingDiverged
        The loss is not finite.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> from predspace_widgets.training.methods.supervised import train_supervised
    >>> from predspace_widgets.training.networks import make_network
    >>> digits = load_images("digits")
    >>> network = make_network("small-cnn", n_channels=1, n_classes=10, seed=0, width=8)
    >>> last = list(train_supervised(network, digits, [2], seed=0, settings=SupervisedSettings(steps=2)))
    >>> network.head.reset_parameters()
    >>> settings = FineTuningSettings(steps=1)
    >>> [snapshot.step for snapshot in train_fine_tuning(network, digits, [0, 1], seed=0, settings=settings)]
    [0, 1]
    """
    yield from train_supervised(network, images, checkpoints, seed, settings or FineTuningSettings())
