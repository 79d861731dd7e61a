"""lightly: the losses of SimCLR and Barlow Twins, and what they teach, their gradients."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch

from predspace_widgets.training.methods.barlow_twins import barlow_twins_loss
from predspace_widgets.training.methods.simclr import nt_xent

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def loss_and_gradients(loss: Loss, seed: int) -> list[torch.Tensor]:
    """Of two views of 24 images as 6 features."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(24, 6, generator=generator, dtype=torch.float64)
    second = first + 0.5 * torch.randn(24, 6, generator=generator, dtype=torch.float64)
    views = [view.requires_grad_() for view in (first, second)]
    value = loss(*views)
    return [value.detach(), *torch.autograd.grad(value, views)]


@pytest.mark.parametrize("temperature", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_simclr(losses: ModuleType, temperature: float, seed: int) -> None:
    ours = loss_and_gradients(lambda first, second: nt_xent(first, second, temperature), seed)
    theirs = loss_and_gradients(losses.NTXentLoss(temperature), seed)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weight", [5e-3, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_barlow_twins(losses: ModuleType, weight: float, seed: int) -> None:
    ours = loss_and_gradients(lambda first, second: barlow_twins_loss(first, second, weight), seed)
    theirs = loss_and_gradients(losses.BarlowTwinsLoss(lambda_param=weight), seed)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
