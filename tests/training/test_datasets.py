"""The embedded digits: what they hold, and how they are split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from predspace_widgets.training import LabelledImages, load_images, split_images


def test_digits_are_those_of_scikit_learn() -> None:
    digits = load_images("digits")
    assert digits.images.shape == (1797, 8, 8)
    assert digits.images.dtype == np.uint8
    assert digits.images.max() == 255
    np.testing.assert_array_equal(np.round(digits.images * (16 / 255)), load_digits().images)
    np.testing.assert_array_equal(digits.labels, load_digits().target)


def test_unknown_dataset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown dataset 'faces': Known: digits"):
        load_images("faces")


def test_split_is_disjoint_complete_and_stratified() -> None:
    digits = load_images("digits")
    train, evaluation = split_images(digits, n_train=1100, seed=1)
    assert (len(train), len(evaluation)) == (1100, 697)
    assert sorted([*train.sample_ids, *evaluation.sample_ids]) == list(range(1797))
    for part in (train, evaluation):
        share = np.bincount(part.labels, minlength=10) / len(part)
        np.testing.assert_allclose(share, np.bincount(digits.labels) / 1797, atol=2 / len(part))
        np.testing.assert_array_equal(part.images, digits.images[part.sample_ids])
        np.testing.assert_array_equal(part.labels, digits.labels[part.sample_ids])


def test_split_depends_on_its_seed_only() -> None:
    digits = load_images("digits")
    np.random.seed(0)  # noqa: NPY002  the global generator must not matter
    first = split_images(digits, 1100, seed=1)[0].sample_ids
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(first, split_images(digits, 1100, seed=1)[0].sample_ids)
    assert not np.array_equal(first, split_images(digits, 1100, seed=2)[0].sample_ids)


@pytest.mark.parametrize("n_train", [0, 9, 1788, 1797])
def test_split_that_leaves_a_class_without_images(n_train: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        split_images(load_images("digits"), n_train, seed=0)


def test_tensor_of_grey_and_coloured_images() -> None:
    grey = load_images("digits").take([0, 5])
    assert grey.tensor().shape == (2, 1, 8, 8)
    assert grey.tensor().dtype == torch.float32
    assert grey.tensor().max() == 1
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    coloured = LabelledImages(pixels, np.array([0, 1]), ("a", "b"), np.array([7, 8]))
    assert coloured.n_channels == 3
    assert coloured.tensor().shape == (2, 3, 4, 5)
    assert coloured.tensor()[1, 2, 3, 4] == np.float32(pixels[1, 3, 4, 2]) / np.float32(255)


def test_images_that_do_not_fit_together() -> None:
    pixels, labels, ids = np.zeros((2, 4, 4), np.uint8), np.array([0, 1]), np.array([0, 1])
    with pytest.raises(ValueError, match="equally many"):
        LabelledImages(pixels, labels[:1], ("a", "b"), ids)
    with pytest.raises(ValueError, match="uint8"):
        LabelledImages(pixels.astype(float), labels, ("a", "b"), ids)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels must lie in"):
        LabelledImages(pixels, labels, ("a",), ids)
