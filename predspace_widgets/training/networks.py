"""Networks: each has `features(images)`, what its last layer sees, and that last layer, `head`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import nn

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.settings import check_name
from predspace_widgets.training.torchvision_import import import_torchvision


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

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

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


class MLP(Network):
    """Two hidden layers with batch norm and ReLU, all pixels to all units: for images of 8 x 8.

    Larger images are averaged to 8 x 8 first.

    Parameters
    ----------
    n_channels : int
        Of the images.
    n_classes : int
    width : int
        Units of each hidden layer.

    Examples
    --------
    >>> network = MLP(n_channels=1, n_classes=10)
    >>> network.features(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 64])
    """

    def __init__(self, n_channels: int, n_classes: int, width: int = 64) -> None:
        backbone = nn.Sequential(
            nn.AdaptiveAvgPool2d(8),  # leaves images of 8 x 8 as they are
            nn.Flatten(),
            *_dense(64 * n_channels, width),
            *_dense(width, width),
        )
        super().__init__(backbone, width, n_classes)


def _dense(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU()]


def _convolution(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()]


class WideResNet(Network):
    """The WideResNet-16-4 of Zagoruyko and Komodakis (BMVC 2016, arXiv:1605.07146), for images of about 32 x 32.

    Sixteen layers deep: a convolution, then three groups of two residual blocks, at full, half and a quarter of the
    resolution and four times wider than a plain ResNet's. Batch norm and ReLU come before each convolution
    (He et al. 2016, arXiv:1603.05027); no dropout.

    Parameters
    ----------
    n_channels : int
        Of the images.
    n_classes : int
    width : int
        Channels of the first convolution; the groups have 4, 8 and 16 times as many. The published network has 16.

    Examples
    --------
    >>> network = WideResNet(n_channels=3, n_classes=10, width=2)
    >>> network.features(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    def __init__(self, n_channels: int, n_classes: int, width: int = 16) -> None:
        backbone = nn.Sequential(
            nn.Conv2d(n_channels, width, kernel_size=3, padding=1, bias=False),
            _PreActivationBlock(width, 4 * width, stride=1),
            _PreActivationBlock(4 * width, 4 * width, stride=1),
            _PreActivationBlock(4 * width, 8 * width, stride=2),
            _PreActivationBlock(8 * width, 8 * width, stride=1),
            _PreActivationBlock(8 * width, 16 * width, stride=2),
            _PreActivationBlock(16 * width, 16 * width, stride=1),
            nn.BatchNorm2d(16 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        _initialise_convolutions(backbone)
        super().__init__(backbone, 16 * width, n_classes)


class _PreActivationBlock(nn.Module):
    """Two 3 x 3 convolutions, each after batch norm and ReLU, added to the input of the block."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(n_in), nn.ReLU())
        self.convolutions = nn.Sequential(
            nn.Conv2d(n_in, n_out, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, kernel_size=3, padding=1, bias=False),
        )
        # Where the shape changes, the input goes through a 1 x 1 convolution, and is activated before it too.
        self.shortcut = nn.Conv2d(n_in, n_out, kernel_size=1, stride=stride, bias=False) if n_in != n_out else None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        activated = self.activation(images)  # (N, n_in, rows, columns)
        kept = images if self.shortcut is None else self.shortcut(activated)  # (N, n_out, rows / stride, ...)
        total: torch.Tensor = kept + self.convolutions(activated)
        return total


class SmallResNet(Network):
    """A convolution and two residual blocks, the second at half the resolution: for images of 8 x 8.

    The blocks are those of `WideResNet`.

    Parameters
    ----------
    n_channels : int
        Of the images.
    n_classes : int
    width : int
        Channels of the first convolution and block; the second block has twice as many.

    Examples
    --------
    >>> network = SmallResNet(n_channels=1, n_classes=10)
    >>> network.features(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 32])
    """

    def __init__(self, n_channels: int, n_classes: int, width: int = 16) -> None:
        backbone = nn.Sequential(
            nn.Conv2d(n_channels, width, kernel_size=3, padding=1, bias=False),
            _PreActivationBlock(width, width, stride=1),
            _PreActivationBlock(width, 2 * width, stride=2),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        _initialise_convolutions(backbone)
        super().__init__(backbone, 2 * width, n_classes)


class ResNet18(Network):
    """The ResNet-18 of He et al. (CVPR 2016, arXiv:1512.03385), with the start that suits images of about 32 x 32.

    It is torchvision's, but for the first convolution, 3 x 3 at full resolution, and without the pooling after it.

    Parameters
    ----------
    n_channels : int
        Of the images.
    n_classes : int
    width : int
        Channels of the first convolution and of the first pair of blocks; the others have 2, 4 and 8 times as many.
        The published network has 64.

    Examples
    --------
    >>> network = ResNet18(n_channels=3, n_classes=10, width=4)
    >>> network.features(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    def __init__(self, n_channels: int, n_classes: int, width: int = 64) -> None:
        backbone = nn.Sequential(
            *_convolution(n_channels, width),
            *_residual_blocks(width, width, stride=1),
            *_residual_blocks(width, 2 * width, stride=2),
            *_residual_blocks(2 * width, 4 * width, stride=2),
            *_residual_blocks(4 * width, 8 * width, stride=2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        _initialise_convolutions(backbone)
        super().__init__(backbone, 8 * width, n_classes)


def _residual_blocks(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
    """Two of torchvision's blocks; the first changes the shape."""
    block = import_torchvision().models.resnet.BasicBlock
    shortcut = None
    if n_in != n_out:
        convolution = nn.Conv2d(n_in, n_out, kernel_size=1, stride=stride, bias=False)
        shortcut = nn.Sequential(convolution, nn.BatchNorm2d(n_out))
    return [block(n_in, n_out, stride, shortcut), block(n_out, n_out)]


def _initialise_convolutions(module: nn.Module) -> None:
    """Normal weights of He et al. (2015, arXiv:1502.01852), as both papers of residual networks take them."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


#: The networks that have a name of their own; `check_network` knows torchvision's as well.
NETWORKS: dict[str, Callable[..., Network]] = {
    "small-cnn": SmallCNN,
    "mlp": MLP,
    "small-resnet": SmallResNet,
    "wide-resnet-16-4": WideResNet,
    "resnet-18": ResNet18,
}

_TORCHVISION = "torchvision/"


def check_network(name: str, width: int | None = None) -> None:
    """Raise ValueError unless `make_network` knows a network, and it can have this width.

    Parameters
    ----------
    name : str
    width : int, optional

    Raises
    ------
    ValueError
        No network has this name; the width is below 1, or that of a network of torchvision, which is fixed.

    Examples
    --------
    >>> check_network("torchvision/resnet50")
    >>> check_network("torchvision/resnet50", width=8)
    Traceback (most recent call last):
    ...
    ValueError: the width of torchvision/resnet50 is fixed: leave it out
    """
    if not name.startswith(_TORCHVISION):
        check_name(name, [*NETWORKS, f"{_TORCHVISION}NAME"], "network")
    else:
        models = import_torchvision().models
        # `module` leaves those out that detect, segment or watch films.
        check_name(name.removeprefix(_TORCHVISION), models.list_models(module=models), "network of torchvision")
        if width is not None:
            raise ValueError(f"the width of {name} is fixed: leave it out")
    if width is not None and width < 1:
        raise ValueError(f"width must be at least 1, got {width}")


def make_network(name: str, n_channels: int, n_classes: int, seed: int, width: int | None = None) -> Network:
    """A network by its name, with random weights.

    Parameters
    ----------
    name : str
        "small-cnn", "mlp" and "small-resnet", for images of 8 x 8; "wide-resnet-16-4" and "resnet-18", for 32 x 32; or
        "torchvision/NAME", any of torchvision's networks that classify images and have a linear last layer, such as
        "torchvision/resnet50": most are for images of 224 x 224, and all for three channels.
    n_channels, n_classes : int
        Of the images; of the task.
    seed : int
        Of the weights. torch's global generators are left as they were.
    width : int, optional
        Channels of its first layer; by default the network's own.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        No network has this name, or it cannot have this width or these channels, or has no linear last layer.

    Examples
    --------
    >>> make_network("small-cnn", n_channels=1, n_classes=3, seed=0, width=8).head.out_features
    3
    """
    check_network(name, width)
    with seeded(seed):
        if name.startswith(_TORCHVISION):
            return _torchvision_network(name.removeprefix(_TORCHVISION), n_channels, n_classes)
        return NETWORKS[name](n_channels, n_classes, **({} if width is None else {"width": width}))


def replace_head(network: Network, n_classes: int, seed: int) -> None:
    """Give a network a new last layer with random weights, as for fine-tuning on another task.

    Parameters
    ----------
    network : Network
        Changed in place; all other layers keep their weights.
    n_classes : int
        Of the new task.
    seed : int
        Of the new weights. torch's global generators are left as they were.

    Examples
    --------
    >>> network = make_network("small-cnn", n_channels=1, n_classes=3, seed=0, width=8)
    >>> replace_head(network, n_classes=5, seed=1)
    >>> network.head
    Linear(in_features=32, out_features=5, bias=True)
    """
    with seeded(seed):
        head = nn.Linear(network.head.in_features, n_classes, bias=network.head.bias is not None)
    network.head = head.to(network.head.weight)  # its device and precision


def _torchvision_network(name: str, n_channels: int, n_classes: int) -> Network:
    """One of torchvision's networks: its last layer, a linear one, becomes the head."""
    if n_channels != 3:
        raise ValueError(f"torchvision/{name} is for images of 3 channels, these have {n_channels}")
    # These two would give the logits of auxiliary heads as well while they are trained.
    options = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    backbone = import_torchvision().models.get_model(name, weights=None, num_classes=n_classes, **options)
    linear = [part for part, layer in backbone.named_modules() if isinstance(layer, nn.Linear)]
    if not linear or backbone.get_submodule(linear[-1]).out_features != n_classes:
        raise ValueError(f"torchvision/{name} has no linear last layer to take off: choose another network")
    head = backbone.get_submodule(linear[-1])
    backbone.set_submodule(linear[-1], nn.Identity())
    network = Network(backbone, head.in_features, n_classes)
    network.head = head  # as torchvision drew its weights
    return network


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from torch's CPU generator with a seed, then give it its state back; those of GPUs are not touched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


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
    return _evaluate(network, network.features, images, batch_size)


def log_probabilities(network: Network, images: LabelledImages, batch_size: int = 1024) -> NDArray[np.float64]:
    """Logarithms of a network's own predictions, the softmax of its last layer, in evaluation mode.

    Parameters
    ----------
    network, images, batch_size
        See `extract_features`.

    Returns
    -------
    array of float64, shape (N, C)

    Raises
    ------
    FloatingPointError
        They are not finite.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> network = make_network("small-cnn", n_channels=1, n_classes=10, seed=0, width=8)
    >>> log_probabilities(network, load_images("digits")).shape
    (1797, 10)
    """
    logits = _evaluate(network, network, images, batch_size)  # (N, C)
    if not np.isfinite(logits).all():
        raise FloatingPointError("predictions are not finite: the network has diverged")
    log_probs: NDArray[np.float64] = log_softmax(logits, axis=1)
    return log_probs


@torch.no_grad()
def _evaluate(
    network: Network, layer: Callable[[torch.Tensor], torch.Tensor], images: LabelledImages, batch_size: int
) -> NDArray[np.float64]:
    """What a layer of a network gives for images, shape (N, units), in evaluation mode."""
    training = network.training
    network.eval()
    try:
        starts = range(0, len(images), batch_size)
        parts = [layer(images.tensor(slice(at, at + batch_size)).to(network.device)) for at in starts]
    finally:
        network.train(training)
    return torch.cat(parts).cpu().numpy().astype(np.float64)
