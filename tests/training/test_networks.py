"""Networks: their published sizes, features before the head, and weights that depend on a seed only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.networks import NETWORKS, check_network, extract_features, make_network, replace_head
from predspace_widgets.training.torchvision_import import import_torchvision

#: Name, width, channels and size of the images.
SMALL = [
    ("small-cnn", 4, 1, 8),
    ("wide-resnet-16-4", 2, 3, 32),
    ("wide-resnet-16-4", 2, 1, 28),
    ("resnet-18", 4, 3, 32),
    ("resnet-18", 4, 1, 28),
    ("torchvision/mobilenet_v3_small", None, 3, 48),
    ("torchvision/shufflenet_v2_x0_5", None, 3, 48),
]


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "n_classes", "published"),
    [
        ("wide-resnet-16-4", 10, 2.7e6),  # Zagoruyko and Komodakis 2016, table 4: 2.7M
        ("resnet-18", 10, 11.2e6),
        ("torchvision/resnet18", 1000, 11.7e6),  # torchvision's table of its models: 11.7M
        ("torchvision/mobilenet_v2", 1000, 3.5e6),
    ],
)
def test_sizes_are_those_published(name: str, n_classes: int, published: float) -> None:
    assert n_parameters(make_network(name, 3, n_classes, seed=0)) == pytest.approx(published, abs=0.0501e6)


def test_sizes_to_the_parameter() -> None:
    assert n_parameters(make_network("wide-resnet-16-4", 3, 10, seed=0)) == 2_748_890
    assert n_parameters(make_network("resnet-18", 3, 10, seed=0)) == 11_173_962


@pytest.mark.parametrize(("name", "width", "n_channels", "size"), SMALL)
def test_the_head_reads_the_features(name: str, width: int | None, n_channels: int, size: int) -> None:
    network = make_network(name, n_channels, n_classes=5, seed=0, width=width).eval()
    images = torch.rand(3, n_channels, size, size)
    features = network.features(images)
    assert features.shape == (3, network.head.in_features)
    assert network(images).shape == (3, 5)
    torch.testing.assert_close(network(images), features @ network.head.weight.T + network.head.bias)
    features.sum().backward()  # the features depend on every layer but the head
    silent = [part for part, parameter in network.named_parameters() if parameter.grad is None]
    assert silent == ["head.weight", "head.bias"]


@pytest.mark.parametrize(("name", "n_features"), [("small-cnn", 64), ("wide-resnet-16-4", 256), ("resnet-18", 512)])
def test_every_network_has_a_width_of_its_own(name: str, n_features: int) -> None:
    assert make_network(name, 3, 2, seed=0).head.in_features == n_features
    first = next(layer for layer in make_network(name, 3, 2, 0, width=6).modules() if isinstance(layer, nn.Conv2d))
    assert first.out_channels == 6


def test_resnet_18_is_that_of_torchvision_but_for_its_start() -> None:
    ours = make_network("resnet-18", 3, 10, seed=0).eval()
    theirs = import_torchvision().models.resnet18(weights=None, num_classes=10).eval()
    theirs.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    weights = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))  # layer by layer, in the same order
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images))


def test_a_group_of_the_wide_resnet_by_its_formula() -> None:
    network = make_network("wide-resnet-16-4", 3, 10, seed=0, width=2).eval()
    block = network.backbone[3]  # the first of the second group: it halves the resolution
    images = torch.randn(2, 8, 16, 16)
    relu, conv, norm = torch.relu, nn.functional.conv2d, 1 / np.sqrt(1 + 1e-5)  # batch norm of running mean 0, var 1
    first, _, _, second = block.convolutions
    activated = relu(images * norm)
    inner = relu(conv(activated, first.weight, stride=2, padding=1) * norm)
    expected = conv(activated, block.shortcut.weight, stride=2) + conv(inner, second.weight, padding=1)
    torch.testing.assert_close(block(images), expected)
    assert block(images).shape == (2, 16, 8, 8)
    kept = network.backbone[4]  # no change of shape: the input itself is added
    for parameter in kept.convolutions.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(kept(block(images)), block(images))


@pytest.mark.parametrize("name", ["small-cnn", "wide-resnet-16-4", "resnet-18", "torchvision/shufflenet_v2_x0_5"])
def test_weights_depend_on_their_seed_only(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        return nn.utils.parameters_to_vector(make_network(name, 3, 4, seed).parameters())

    torch.manual_seed(5)
    first, state = weights(1), torch.random.get_rng_state()
    torch.manual_seed(6)
    assert torch.equal(weights(1), first)
    assert not torch.equal(weights(2), first)
    torch.manual_seed(5)
    assert torch.equal(torch.random.get_rng_state(), state)  # as it was


def test_a_new_head() -> None:
    network = make_network("small-cnn", 1, 3, seed=0, width=4).double().eval()
    before = {part: weights.clone() for part, weights in network.backbone.state_dict().items()}
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    replace_head(network, n_classes=7, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert network(torch.rand(2, 1, 8, 8, dtype=torch.float64)).shape == (2, 7)
    assert all(torch.equal(weights, before[part]) for part, weights in network.backbone.state_dict().items())
    first = network.head.weight.detach()
    replace_head(network, n_classes=7, seed=1)
    assert torch.equal(network.head.weight, first)
    replace_head(network, n_classes=7, seed=2)
    assert not torch.equal(network.head.weight, first)


@pytest.mark.parametrize(
    "name",
    ["googlenet", "densenet121", "efficientnet_b0", "mnasnet0_5", "vit_b_32", "swin_t", "convnext_tiny", "vgg11"],
)
def test_the_last_layer_of_every_family_of_torchvision(name: str) -> None:
    with torch.device("meta"):  # shapes only
        network = make_network(f"torchvision/{name}", 3, 6, seed=0)
        images = torch.zeros(2, 3, 224, 224)
        for mode in (True, False):
            assert network.train(mode).features(images).shape == (2, network.head.in_features)
            assert network(images).shape == (2, 6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_network("resnet18", 3, 2, 0), "unknown network 'resnet18': did you mean 'resnet-18'?"),
        (
            lambda: make_network("torchvision/resnet5", 3, 2, 0),
            "unknown network of torchvision 'resnet5': did you mean",
        ),
        (lambda: make_network("torchvision/fcn_resnet50", 3, 2, 0), "unknown network of torchvision"),  # it segments
        (lambda: make_network("torchvision/resnet18", 1, 2, 0), "images of 3 channels, these have 1"),
        (lambda: make_network("torchvision/resnet18", 3, 2, 0, width=8), "the width of torchvision/resnet18 is fixed"),
        (lambda: make_network("torchvision/squeezenet1_1", 3, 2, 0), "has no linear last layer"),
        (lambda: make_network("resnet-18", 3, 2, 0, width=0), "width must be at least 1, got 0"),
    ],
)
def test_networks_that_cannot_be(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_names_of_networks() -> None:
    for name in (*NETWORKS, "torchvision/resnet50"):
        check_network(name)


def test_features_do_not_depend_on_the_batches() -> None:
    network = make_network("wide-resnet-16-4", 3, 2, seed=0, width=1).train()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    images = LabelledImages(pixels, np.zeros(5, np.int64), ("a",), np.arange(5))
    whole = extract_features(network, images)
    assert whole.shape == (5, 16)
    assert network.training
    np.testing.assert_allclose(extract_features(network, images, batch_size=2), whole, atol=1e-6)
