"""Labelled images to train and to be evaluated on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from predspace_widgets.training.settings import check_name


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with the class of each.

    Parameters
    ----------
    images : array of uint8, shape (N, rows, columns) or (N, rows, columns, channels)
        Brightness from 0 to 255.
    labels : array of int64, shape (N,)
        Index of the true class of each image.
    class_names : tuple of str, length C
    sample_ids : array of int64, shape (N,)
        Numbers of the images in their dataset; they stay with them in every selection.
    source : str
        Where the images come from.

    Raises
    ------
    ValueError
        The lengths differ, the images are not uint8, or a label names no class.

    Examples
    --------
    >>> load_images("digits").images.shape
    (1797, 8, 8)
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sample_ids: NDArray[np.int64]
    source: str = ""

    def __post_init__(self) -> None:
        if self.images.ndim not in (3, 4) or self.images.dtype != np.uint8:
            raise ValueError(
                "images must be uint8 of shape (N, rows, columns) or (N, rows, columns, channels), got "
                f"{self.images.dtype} of shape {self.images.shape}"
            )
        lengths = len(self.images), len(self.labels), len(self.sample_ids)
        if len(set(lengths)) > 1:
            raise ValueError(f"images, labels and sample ids must be equally many, got {lengths}")
        if len(self) and not 0 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise ValueError(f"labels must lie in [0, {len(self.class_names)}), the number of class names")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def n_channels(self) -> int:
        """Number of colours: 1 for images without a dimension for them."""
        return 1 if self.images.ndim == 3 else self.images.shape[3]

    def take(self, index: ArrayLike) -> LabelledImages:
        """The images at some positions, in the order of these."""
        at = np.asarray(index, dtype=np.intp)
        return LabelledImages(self.images[at], self.labels[at], self.class_names, self.sample_ids[at], self.source)

    def tensor(self, index: ArrayLike | slice = slice(None)) -> torch.Tensor:
        """Images as a network reads them: shape (n, channels, rows, columns), float32 from 0 to 1.

        All of them, or those at some positions: a large dataset is converted batch by batch only.
        """
        images = self.images[index if isinstance(index, slice) else np.asarray(index, dtype=np.intp)]
        channels_last = images.reshape(*images.shape[:3], self.n_channels)  # (n, rows, columns, channels)
        return torch.from_numpy(np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2)) / np.float32(255))


def load_images(name: str) -> LabelledImages:
    """A dataset by its name.

    "digits" is scikit-learn's `load_digits`: 1,797 handwritten digits of 8 x 8 pixels, which ship inside that
    library. Its values 0, 1, ..., 16 are stored as round(255/16 * value), so 0 is background and 255 is full ink.

    Parameters
    ----------
    name : str

    Returns
    -------
    LabelledImages

    Raises
    ------
    ValueError
        No dataset has this name.

    Examples
    --------
    >>> load_images("digits").class_names
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    check_name(name, DATASETS, "dataset")
    return DATASETS[name]()


def split_images(images: LabelledImages, n_train: int, seed: int) -> tuple[LabelledImages, LabelledImages]:
    """Training and evaluation images; every class has the same share of both.

    Parameters
    ----------
    images : LabelledImages
    n_train : int
        Number of training images; all others are for evaluation.
    seed : int
        Which ones.

    Returns
    -------
    train, evaluation : LabelledImages
        In the order of the dataset.

    Raises
    ------
    ValueError
        One side would have no image of a class.

    Examples
    --------
    >>> train, evaluation = split_images(load_images("digits"), n_train=1100, seed=0)
    >>> len(train), len(evaluation)
    (1100, 697)
    """
    n_classes = len(images.class_names)
    if not n_classes <= n_train <= len(images) - n_classes:
        raise ValueError(
            f"of {len(images)} images of {n_classes} classes, {n_train} to train on are too few or leave too few: "
            f"choose {n_classes} to {len(images) - n_classes}"
        )
    parts = train_test_split(np.arange(len(images)), train_size=n_train, stratify=images.labels, random_state=seed)
    train, evaluation = (images.take(np.sort(part)) for part in parts)
    return train, evaluation


def _digits() -> LabelledImages:
    digits = load_digits()
    return LabelledImages(
        images=np.round(digits.images * (255 / 16)).astype(np.uint8),
        labels=digits.target.astype(np.int64),
        class_names=tuple(map(str, digits.target_names)),
        sample_ids=np.arange(len(digits.target)),
        source=(
            "scikit-learn's load_digits: the test set of Optical Recognition of Handwritten Digits "
            "(E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998)"
        ),
    )


#: How to load each dataset.
DATASETS: dict[str, Callable[[], LabelledImages]] = {"digits": _digits}
