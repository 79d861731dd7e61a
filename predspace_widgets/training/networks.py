"""Networks: each has `features(images)`, what its last layer sees, and that last layer, `head`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.settings import check_name


class Network(nn.Module):
    """A network that shows the features before its last layer.

    Attributes
    ----------
    backbone : nn.Module
        From images (N, channels, rows, columns) to features (N, F).
    head : nn.Linear
        The last layer, from features (N, F) to logits (N, classes).
    """

    def __init__(self, backbone: nn.Module, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(n_features, n_classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """What the last layer sees: from (N, channels, rows, columns) to (N, F)."""
        features: torch.Tensor = self.backbone(images)
        return features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits: from (N, channels, rows, columns) to (N, classes)."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


class SmallCNN(Network):
    """Three 3 x 3 convolutions with batch norm and ReLU, and the mean over all positions: for images of 8 x 8.

    Parameters
    ----------
    n_channels : int
        Of the images.
    n_classes : int
    width : int
        Channels of the first convolution; the second has twice, the third four times as many.

    Examples
    --------
    >>> network = SmallCNN(n_channels=1, n_classes=10)
    >>> network.features(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 64])
    """

    def __init__(self, n_channels: int, n_classes: int, width: int = 16) -> None:
        backbone = nn.Sequential(
            *_convolution(n_channels, width),
            *_convolution(width, 2 * width),
            *_convolution(2 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        super().__init__(backbone, 4 * width, n_classes)


def _convolution(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]


#: The networks that a recipe can name.
NETWORKS: dict[str, Callable[..., Network]] = {"small-cnn": SmallCNN}


def make_network(name: str, n_channels: int, n_classes: int, seed: int, width: int = 16) -> Network:
    """A network by its name, with random weights.

    Parameters
    ----------
    name : str
    n_channels, n_classes : int
        Of the images; of the task.
    seed : int
        Of the weights. torch's global generator is left as it was.
    width : int
        Channels of its first layer.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        No network has this name.

    Examples
    --------
    >>> make_network("small-cnn", n_channels=1, n_classes=3, seed=0, width=8).head.out_features
    3
    """
    check_name(name, NETWORKS, "network")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name](n_channels, n_classes, width)


@torch.no_grad()
def extract_features(network: Network, images: LabelledImages, batch_size: int = 1024) -> NDArray[np.float64]:
    """Features of images in evaluation mode: batch norm uses its running statistics, as it will when deployed.

    Parameters
    ----------
    network : Network
        Left in the mode in which it was.
    images : LabelledImages
        N of them.
    batch_size : int
        Images at a time; it bounds the memory.

    Returns
    -------
    array of float64, shape (N, F)

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> network = make_network("small-cnn", n_channels=1, n_classes=3, seed=0, width=8)
    >>> extract_features(network, load_images("digits")).shape
    (1797, 32)
    """
    training, device = network.training, next(network.parameters()).device
    network.eval()
    try:
        starts = range(0, len(images), batch_size)
        parts = [network.features(images.tensor(slice(at, at + batch_size)).to(device)) for at in starts]
    finally:
        network.train(training)
    return torch.cat(parts).cpu().numpy().astype(np.float64)
