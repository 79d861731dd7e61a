"""Random changes of images: each kind by itself, no more than asked for, from the generator only."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.training.augment import STRONG, WEAK, Augmentation, augment, warp
from predspace_widgets.training.settings import read_settings

#: One of each kind.
KINDS = {
    "rotation": 20.0,
    "scale": 0.2,
    "shear": 0.2,
    "shift": 1.2,
    "crop": 0.3,
    "flip": True,
    "contrast": 0.4,
    "brightness": 0.4,
    "colour": 0.4,
    "grey": 0.5,
    "noise": 0.2,
    "cut_out": 3,
}
EVERYTHING = Augmentation(**KINDS)  # type: ignore[arg-type]


def some_images(n_images: int = 6, n_channels: int = 3, rows: int = 8, columns: int = 8) -> torch.Tensor:
    return torch.rand(n_images, n_channels, rows, columns, generator=torch.Generator().manual_seed(99))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def repeated(image: torch.Tensor, times: int = 500) -> torch.Tensor:
    return image.expand(times, *image.shape)


@given(
    shape=st.tuples(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(4, 12), st.integers(4, 12)),
    seed=st.integers(0, 1000),
    padding=st.sampled_from(["zeros", "border", "reflection"]),
)
def test_shape_and_range_stay(shape: tuple[int, int, int, int], seed: int, padding: str) -> None:
    images = some_images(*shape)
    before = images.clone()
    changed = augment(images, replace(EVERYTHING, padding=padding), generator(seed))  # type: ignore[arg-type]
    assert changed.shape == images.shape
    assert changed.dtype == torch.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    assert images.equal(before)


def test_nothing_asked_for_changes_nothing() -> None:
    images = some_images()
    assert augment(images, Augmentation(), generator()).equal(images)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_images_by_chance_from_the_generator_only(kind: str) -> None:
    images, augmentation = some_images(), Augmentation(**{kind: KINDS[kind]})  # type: ignore[arg-type]
    torch.manual_seed(1)
    first = augment(images, augmentation, generator(0))
    torch.manual_seed(2)
    assert augment(images, augmentation, generator(0)).equal(first)
    assert not augment(images, augmentation, generator(1)).equal(first)
    assert not first.equal(images)


def test_images_of_a_batch_change_differently() -> None:
    changed = augment(repeated(some_images(1)[0], 10), EVERYTHING, generator())
    assert len({image.numpy().tobytes() for image in changed}) == 10


def test_warps_that_need_no_interpolation() -> None:
    images = some_images()
    identity, n_images = torch.eye(2).expand(6, 2, 2), len(images)
    still = torch.zeros(n_images, 2)
    torch.testing.assert_close(warp(images, identity, still), images, atol=1e-5, rtol=0)
    right, down = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])  # what is one further right, further down
    torch.testing.assert_close(warp(images, identity, still + right)[..., :-1], images[..., 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(warp(images, identity, still + down)[..., :-1, :], images[..., 1:, :], atol=1e-5, rtol=0)
    assert warp(images, identity, still + right)[..., -1].abs().max() < 1e-5
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).expand(6, 2, 2)
    torch.testing.assert_close(warp(images, quarter, still), torch.rot90(images, 1, (2, 3)), atol=1e-5, rtol=0)
    # A mirror, of images that are not square; a half of the size in the middle.
    wide = some_images(columns=12)
    mirror = torch.tensor([[-1.0, 0.0], [0.0, 1.0]]).expand(6, 2, 2)
    torch.testing.assert_close(warp(wide, mirror, still), wide.flip(3), atol=1e-5, rtol=0)
    shrunk = warp(torch.ones(1, 1, 8, 12), 2 * torch.eye(2)[None], torch.zeros(1, 2))
    assert shrunk[0, 0, 2:6, 3:9].min() == 1
    assert shrunk.sum() == 4 * 6


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_what_comes_in_from_outside(padding: str) -> None:
    image = torch.tensor([[[[1.0, 0.5, 0.25]]]])
    moved = warp(image, torch.eye(2)[None], torch.tensor([[-2.0, 0.0]]), padding)  # type: ignore[arg-type]
    expected = {"zeros": [0, 0, 1], "border": [1, 1, 1], "reflection": [0.5, 1, 1]}[padding]
    torch.testing.assert_close(moved.flatten(), torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=0)


def test_flip_mirrors_half_of_the_images() -> None:
    image = some_images(1)[0]
    changed = augment(repeated(image), Augmentation(flip=True), generator())
    same = torch.isclose(changed, image, atol=1e-4).flatten(1).all(dim=1)
    mirrored = torch.isclose(changed, image.flip(2), atol=1e-4).flatten(1).all(dim=1)
    assert (same ^ mirrored).all()
    assert 0.4 < mirrored.float().mean() < 0.6


def centres(images: torch.Tensor) -> torch.Tensor:
    """Mean place of the brightness, x and y in pixels from the centre: shape (N, 2)."""
    weight = images.sum(dim=1)
    rows, columns = (torch.arange(n) - (n - 1) / 2 for n in weight.shape[1:])
    mass = weight.sum(dim=(1, 2))
    x, y = (weight * columns).sum(dim=(1, 2)) / mass, (weight * rows[:, None]).sum(dim=(1, 2)) / mass
    return torch.stack([x, y], dim=1)


def test_shifts_are_in_pixels_and_reach_their_limits() -> None:
    image = torch.zeros(1, 9, 15)
    image[0, 4, 7] = 1.0
    places = centres(augment(repeated(image), Augmentation(shift=2.5), generator()))
    limits = torch.full((2,), 2.5)
    torch.testing.assert_close(places.amax(dim=0), limits, atol=0.1, rtol=0)
    torch.testing.assert_close(places.amin(dim=0), -limits, atol=0.1, rtol=0)


def test_rotation_is_in_degrees_of_a_circle_also_where_images_are_not_square() -> None:
    image = torch.zeros(1, 21, 41)
    image[0, 10, 28] = 1.0  # 8 pixels right of the centre
    x, y = centres(augment(repeated(image), Augmentation(rotation=30), generator())).T
    torch.testing.assert_close(x.square() + y.square(), torch.full((500,), 64.0), atol=1.5, rtol=0)
    angles = torch.rad2deg(torch.atan2(y, x))
    assert angles.max() == pytest.approx(30, abs=1)
    assert angles.min() == pytest.approx(-30, abs=1)


def test_scale_is_relative_to_the_size() -> None:
    image = torch.zeros(1, 31, 31)
    image[0, 15, 25] = 1.0  # 10 pixels right of the centre
    x, y = centres(augment(repeated(image), Augmentation(scale=0.3), generator())).T
    assert y.abs().max() < 0.1
    assert x.max() == pytest.approx(13, abs=0.3)
    assert x.min() == pytest.approx(7, abs=0.3)


def test_shear_slants_rows() -> None:
    image = torch.zeros(1, 31, 31)
    image[0, 5, 15] = 1.0  # 10 pixels above the centre
    x, y = centres(augment(repeated(image), Augmentation(shear=0.3), generator())).T
    torch.testing.assert_close(y, torch.full_like(y, -10.0), atol=0.1, rtol=0)
    assert x.abs().max() == pytest.approx(3, abs=0.2)


def test_crops_show_a_part_of_the_image_enlarged() -> None:
    ramp = torch.arange(32.0) / 31
    image = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32)])  # (2, 32, 32)
    changed = augment(repeated(image), Augmentation(crop=0.25, padding="border"), generator())
    steps = 31 * changed[:, 0].diff(dim=2)[:, :, 4:-4].mean(dim=(1, 2))  # sides of the crop, in sides of the image
    assert steps.max() == pytest.approx(1, abs=0.01)
    assert steps.min() == pytest.approx(0.5, abs=0.01)
    # No crop looks outside: the ramp never stands still.
    assert changed[:, 0].diff(dim=2)[:, :, 1:-1].min() > 0.4 / 31
    assert changed[:, 1].diff(dim=1)[:, 1:-1].min() > 0.4 / 31


def test_contrast_brightness_colour_and_grey() -> None:
    image = 0.4 + 0.1 * some_images(1)[0]  # far from 0 and 1
    contrast = augment(repeated(image), Augmentation(contrast=0.5), generator())
    torch.testing.assert_close(contrast.mean(dim=(1, 2, 3)), image.mean().expand(500), atol=1e-5, rtol=0)
    spread = contrast.flatten(1).std(dim=1) / image.std()
    assert (spread.min().item(), spread.max().item()) == pytest.approx((0.5, 1.5), abs=0.02)

    factors = augment(repeated(image), Augmentation(brightness=0.5), generator()) / image
    torch.testing.assert_close(factors, factors[:, :1, :1, :1].expand_as(factors))
    assert (factors.min().item(), factors.max().item()) == pytest.approx((0.5, 1.5), abs=0.02)

    factors = augment(repeated(image), Augmentation(colour=0.5), generator()) / image
    torch.testing.assert_close(factors, factors[:, :, :1, :1].expand_as(factors))
    assert (factors[:, 0, 0, 0] - factors[:, 1, 0, 0]).abs().max() > 0.5

    grey = augment(repeated(image), Augmentation(grey=0.3), generator())
    colourless = torch.isclose(grey, image.mean(dim=0)).flatten(1).all(dim=1)
    assert colourless.float().mean() == pytest.approx(0.3, abs=0.07)
    assert grey[~colourless].equal(repeated(image)[~colourless])


def test_noise_has_its_standard_deviation() -> None:
    image = torch.full((3, 8, 8), 0.5)
    noise = augment(repeated(image), Augmentation(noise=0.05), generator()) - image
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("side", [1, 3, 4])
def test_cut_out_is_a_square_that_may_reach_over_the_border(side: int) -> None:
    missing = augment(torch.ones(2000, 3, 8, 10), Augmentation(cut_out=side), generator()) == 0
    assert missing.equal(missing[:, :1].expand_as(missing))  # all channels
    square = missing[:, 0]
    height, width = square.any(dim=2).sum(dim=1), square.any(dim=1).sum(dim=1)
    assert square.sum(dim=(1, 2)).equal(height * width)
    assert height.max() == width.max() == side
    assert height.min() == width.min() == (side + 1) // 2
    share = square.float().mean(dim=0)
    assert share.min() > 0  # every pixel is hit at some time


@pytest.mark.parametrize(
    "settings",
    [
        {"rotation": -1.0},
        {"noise": float("nan")},
        {"shift": float("inf")},
        {"cut_out": -1},
        {"scale": 1.0},
        {"brightness": 1.5},
        {"grey": -0.1},
        {"crop": 0.0},
        {"crop": 1.1},
    ],
)
def test_strengths_out_of_range(settings: dict) -> None:
    name, value = next(iter(settings.items()))
    with pytest.raises(ValueError, match=rf"{name} must .*got {value}"):
        Augmentation(**settings)


def test_unknown_padding_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'zeros'"):
        Augmentation(padding="zero")  # type: ignore[arg-type]


@pytest.mark.parametrize("augmentation", [WEAK, STRONG, EVERYTHING])
def test_augmentations_survive_being_written_in_a_recipe(augmentation: Augmentation) -> None:
    assert read_settings(Augmentation, asdict(augmentation), "here") == augmentation


def test_weak_is_weaker_than_strong() -> None:
    images = torch.from_numpy(np.tile(np.eye(8, dtype=np.float32), (200, 1, 1, 1)))
    weak, strong = ((augment(images, kind, generator()) - images).square().mean() for kind in (WEAK, STRONG))
    assert 0 < weak < 0.5 * strong
