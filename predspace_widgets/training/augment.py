"""Random changes of images that leave their class as it is: what self-supervised and semi-supervised methods need.

Every image of a batch gets its own change: an affine map, other brightness and colours, noise, a part cut out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch.nn.functional import affine_grid, grid_sample

from predspace_widgets.training.settings import check_name

Padding = Literal["zeros", "border", "reflection"]


@dataclass(frozen=True)
class Augmentation:
    """How strongly images are changed at random; by default not at all.

    Each strength is the largest change, and the changes are uniform from minus to plus that. What a recipe does not
    name stays off, so that it says all that is done.

    Parameters
    ----------
    rotation : float
        In degrees.
    scale : float
        The size of what is shown is multiplied by 1 - scale to 1 + scale.
    shear : float
        Pixels sideways for each pixel upwards.
    shift : float
        Along rows and along columns, in pixels.
    crop : float
        Smallest share of the area that a random crop keeps, in (0, 1]; it is enlarged to the size of the image.
    flip : bool
        Mirror every other image left to right.
    contrast : float
        Differences to the mean of the image are multiplied by 1 - contrast to 1 + contrast.
    brightness : float
        All values are multiplied by 1 - brightness to 1 + brightness.
    colour : float
        As brightness, and each channel by itself.
    grey : float
        Share of the images that lose their colour: each channel becomes the mean of all.
    noise : float
        Standard deviation of what is added to each value; values go from 0 to 1.
    cut_out : int
        Side, in pixels, of a square that is set to 0. It may reach over the border.
    padding : {"zeros", "border", "reflection"}
        What comes into view from outside the image.

    Raises
    ------
    ValueError
        A strength is out of range.

    Examples
    --------
    >>> Augmentation(rotation=20, shift=1.2).rotation
    20
    """

    rotation: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    shift: float = 0.0
    crop: float = 1.0
    flip: bool = False
    contrast: float = 0.0
    brightness: float = 0.0
    colour: float = 0.0
    grey: float = 0.0
    noise: float = 0.0
    cut_out: int = 0
    padding: Padding = "zeros"

    def __post_init__(self) -> None:
        for name in ("rotation", "shear", "shift", "noise", "cut_out"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("contrast", "brightness", "colour", "grey"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {getattr(self, name)}")
        if not 0 <= self.scale < 1:
            raise ValueError(f"scale must be at least 0 and below 1, got {self.scale}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must be above 0 and at most 1, got {self.crop}")
        check_name(self.padding, get_args(Padding), "padding")

    @property
    def moves(self) -> bool:
        """Whether pixels change their places."""
        return self.flip or self.crop < 1 or any((self.rotation, self.scale, self.shear, self.shift))


#: Images stay as they are.
NONE = Augmentation()
#: For images of 8 x 8 grey pixels.
WEAK = Augmentation(shift=0.5)
STRONG = Augmentation(rotation=20.0, scale=0.2, shear=0.2, shift=1.2, brightness=0.4, noise=0.1)


def augment(images: torch.Tensor, augmentation: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Change each image of a batch at random.

    Parameters
    ----------
    images : tensor, shape (N, channels, rows, columns)
        Values from 0 to 1, on any device.
    augmentation : Augmentation
        How strongly.
    generator : torch.Generator
        Source of all chance, on the CPU, so that a seed means the same changes on every device.

    Returns
    -------
    tensor, shape (N, channels, rows, columns)
        Values from 0 to 1.

    Examples
    --------
    >>> image = torch.tensor([[[[0.0, 1.0]]]])  # one of 1 x 2 pixels
    >>> augment(image, Augmentation(flip=True), torch.Generator().manual_seed(0)).round(decimals=3)
    tensor([[[[1., 0.]]]])
    """
    if augmentation.moves:
        images = warp(
            images, *_random_maps(len(images), images.shape[-2:], augmentation, generator), augmentation.padding
        )
    images = _recolour(images, augmentation, generator)
    if augmentation.noise:
        images = images + augmentation.noise * torch.randn(images.shape, generator=generator).to(images.device)
    images = images.clamp(0, 1)
    return _cut_out(images, augmentation.cut_out, generator) if augmentation.cut_out else images


def warp(
    images: torch.Tensor, matrices: torch.Tensor, shifts: torch.Tensor, padding: Padding = "zeros"
) -> torch.Tensor:
    """Images seen through affine maps, between pixels by bilinear interpolation.

    Parameters
    ----------
    images : tensor, shape (N, channels, rows, columns)
    matrices : tensor, shape (N, 2, 2)
        They take a place (x to the right, y down, in pixels from the centre) of the result to the place shown there.
    shifts : tensor, shape (N, 2)
        Added to that, in pixels.
    padding : {"zeros", "border", "reflection"}
        What is outside the image.

    Returns
    -------
    tensor, shape (N, channels, rows, columns)

    Examples
    --------
    >>> warp(torch.tensor([[[[0.0, 1.0, 2.0]]]]), torch.eye(2)[None], torch.tensor([[1.0, 0.0]]))
    tensor([[[[1., 2., 0.]]]])
    """
    rows, columns = images.shape[-2:]
    size = torch.tensor([columns, rows])
    # affine_grid measures each axis in halves of the size of the image.
    linear, offset = matrices * size / size[:, None], 2 * shifts / size  # (N, 2, 2), (N, 2)
    maps = torch.cat([linear, offset[:, :, None]], dim=2).to(images)  # (N, 2, 3)
    grid = affine_grid(maps, list(images.shape), align_corners=False)  # (N, rows, columns, 2)
    return grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _random_maps(
    n_images: int, size: torch.Size, augmentation: Augmentation, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices (N, 2, 2) and shifts (N, 2) for `warp`, of images with so many rows and columns."""
    angle = math.radians(augmentation.rotation) * _uniform(generator, n_images)
    shear = augmentation.shear * _uniform(generator, n_images)
    magnification = 1 + augmentation.scale * _uniform(generator, n_images)
    kept = 1 - (1 - augmentation.crop) * torch.rand(n_images, generator=generator)
    mirror = 1 - 2.0 * (augmentation.flip & (torch.rand(n_images, generator=generator) < 0.5))
    one, zero = torch.ones(n_images), torch.zeros(n_images)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=1).reshape(-1, 2, 2)
    slant = torch.stack([mirror, shear, zero, one], dim=1).reshape(-1, 2, 2)
    side = kept.sqrt()  # of the crop, in sides of the image
    matrices = (side / magnification)[:, None, None] * (turn @ slant)
    room = (1 - side)[:, None] * torch.tensor([size[1], size[0]]) / 2  # (N, 2), for the centre of the crop
    return matrices, (augmentation.shift * _uniform(generator, n_images, 2)) + room * _uniform(generator, n_images, 2)


def _recolour(images: torch.Tensor, augmentation: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Other contrast, brightness and colours, not yet limited to values from 0 to 1."""
    n_images, n_channels = images.shape[:2]
    if augmentation.contrast:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        factor = 1 + augmentation.contrast * _uniform(generator, n_images, 1, 1, 1)
        images = mean + factor.to(images.device) * (images - mean)
    if augmentation.brightness:
        images = images * (1 + augmentation.brightness * _uniform(generator, n_images, 1, 1, 1)).to(images.device)
    if augmentation.colour:
        images = images * (1 + augmentation.colour * _uniform(generator, n_images, n_channels, 1, 1)).to(images.device)
    if augmentation.grey:
        grey = torch.rand(n_images, 1, 1, 1, generator=generator) < augmentation.grey
        images = torch.where(grey.to(images.device), images.mean(dim=1, keepdim=True), images)
    return images


def _cut_out(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Set a square around a random pixel of each image to 0."""
    n_images, _, rows, columns = images.shape
    inside = []
    for length in (rows, columns):
        first = torch.randint(length, (n_images, 1), generator=generator) - side // 2
        pixel = torch.arange(length)
        inside.append((pixel >= first) & (pixel < first + side))  # (N, length)
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]  # (N, 1, rows, columns)
    return images.masked_fill(square.to(images.device), 0.0)


def _uniform(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Numbers from -1 to 1."""
    return 2 * torch.rand(shape, generator=generator) - 1
