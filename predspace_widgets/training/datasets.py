"""Labelled images to train and to be evaluated on."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from predspace_widgets.training.mapped_images import MappedImages, decoded
from predspace_widgets.training.settings import check_name
from predspace_widgets.training.torchvision_import import import_torchvision


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with the class of each.

    Parameters
    ----------
    images : array of uint8, shape (N, rows, columns) or (N, rows, columns, channels)
        Brightness from 0 to 255. Those of an image folder stay on disk until they are asked for.
    labels : array of int64, shape (N,)
        Index of the true class of each image.
    class_names : tuple of str, length C
    sample_ids : array of int64, shape (N,)
        Numbers of the images in their dataset; they stay with them in every selection. Of training and test images
        together, where both are numbered from 0: texts, "train 17".
    source : str
        Where the images come from.
    subset : array of str, shape (N,), optional
        Of training and test images together: "train" or "test" of each.

    Raises
    ------
    ValueError
        The lengths differ, the images are not uint8, or a label names no class.

    Examples
    --------
    >>> load_images("digits").images.shape
    (1797, 8, 8)
    """

    images: NDArray[np.uint8] | MappedImages
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    sample_ids: NDArray[np.int64] | NDArray[np.str_]
    source: str = ""
    subset: NDArray[np.str_] | None = None

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
        images = self.images.take(at) if isinstance(self.images, MappedImages) else self.images[at]
        subset = None if self.subset is None else self.subset[at]
        return LabelledImages(images, self.labels[at], self.class_names, self.sample_ids[at], self.source, subset)

    def tensor(self, index: ArrayLike | slice = slice(None)) -> torch.Tensor:
        """Images as a network reads them: shape (n, channels, rows, columns), float32 from 0 to 1.

        All of them, or those at some positions: a large dataset is converted batch by batch only.
        """
        images = self.images[index if isinstance(index, slice) else np.asarray(index, dtype=np.intp)]
        channels_last = images.reshape(*images.shape[:3], self.n_channels)  # (n, rows, columns, channels)
        return torch.from_numpy(np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2)) / np.float32(255))


#: Parts of a dataset that networks can be evaluated on.
Part = Literal["train", "test"]


@dataclass(frozen=True)
class DatasetSettings:
    """Which images to train on and which to be evaluated on (see `load_split`).

    Parameters
    ----------
    name : str
        "digits", "cifar10", "cifar100", "mnist", "fashion-mnist" or "image-folder".
    n_train : int, optional
        How many images to train on, the same share of every class; by default the whole official training part.
        "digits", which has no parts, needs it.
    n_evaluation : int, optional
        How many images to be evaluated on, the same share of every class; by default the whole official test part,
        and of "digits" all that are not trained on.
    split_seed : int
        Which ones, where not all are used.
    folder : str, optional
        Where the dataset is; by default in the folder that `dataset_folder` names.
    image_size : int, optional
        Rows and columns of the images of "image-folder", which needs it.
    evaluate_on : tuple of {"train", "test"}
        Whether networks are evaluated on test images, or on images that they may be trained on, or on both.
    n_train_evaluated : int, optional
        How many of the training images they are evaluated on, the same share of every class; by default all.

    Raises
    ------
    ValueError
        An unknown name, a number below 1, or one that this dataset needs or has no use for; nothing to evaluate on, or
        a part of it twice.

    Examples
    --------
    >>> DatasetSettings("cifar10", n_train=5000).split_seed
    0
    """

    name: str
    n_train: int | None = None
    n_evaluation: int | None = None
    split_seed: int = 0
    folder: str | None = None
    image_size: int | None = None
    evaluate_on: tuple[Part, ...] = ("test",)
    n_train_evaluated: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name, DATASETS, "dataset")
        for part in self.evaluate_on:
            check_name(part, get_args(Part), "value", "evaluate_on")
        if not self.evaluate_on or len(set(self.evaluate_on)) < len(self.evaluate_on):
            raise ValueError(f"evaluate_on needs train or test or both, none twice, got {list(self.evaluate_on)}")
        for part, key in (("train", "n_train_evaluated"), ("test", "n_evaluation")):
            if part not in self.evaluate_on and getattr(self, key) is not None:
                raise ValueError(f"{key} is for evaluate_on: [{part}]")
        for key in ("n_train", "n_evaluation", "image_size", "n_train_evaluated"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ValueError(f"{key} must be at least 1, got {value}")
        if self.split_seed < 0:
            raise ValueError(f"split_seed must be at least 0, got {self.split_seed}")
        if self.name == "digits" and self.n_train is None:
            raise ValueError("digits has no official training part: n_train, how many to train on, is needed")
        if self.name == "digits" and self.folder is not None:
            raise ValueError("digits ships inside scikit-learn: it has no folder")
        if self.name == "image-folder" and self.image_size is None:
            raise ValueError("the images of image-folder differ in size: image_size, that of all of them, is needed")
        if self.name != "image-folder" and self.image_size is not None:
            raise ValueError(f"the images of {self.name} have one size: image_size is for image-folder")


def load_images(name: str) -> LabelledImages:
    """All images of a dataset that has no official parts.

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
        No dataset has this name, or it has a training and a test part (see `load_split`).

    Examples
    --------
    >>> load_images("digits").class_names
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    check_name(name, DATASETS, "dataset")
    if name != "digits":
        raise ValueError(f"{name} has a training and an evaluation part: use load_split")
    return _digits()


def load_split(settings: DatasetSettings) -> tuple[LabelledImages, LabelledImages]:
    """Training and evaluation images of a dataset.

    "cifar10" and "cifar100" (colour, 32 x 32), "mnist" and "fashion-mnist" (grey, 28 x 28) are read from the files
    that `download` gets, with torchvision. "image-folder" is a folder like ImageNet's, ``train/CLASS/*.jpg`` and
    ``val/CLASS/*.jpg``: each image is cut to the largest square at its centre and resized; only those drawn are read.
    They are decoded once, into a file in the folder .predspace there, which all processes map into memory: 1.3 million
    of 64 x 64 pixels are 16 GB on disk (see `predspace_widgets.training.mapped_images`). Images of other datasets are
    held in memory, as bytes. Nothing is downloaded.

    Parameters
    ----------
    settings : DatasetSettings

    Returns
    -------
    train, evaluation : LabelledImages
        In the order of the dataset. Their sample ids are positions in the official part; of "digits" in the whole. With
        `evaluate_on` the images for evaluation are those of each part that it names, one part after the other; their
        `subset` says which, and training images among them are trained on all the same.

    Raises
    ------
    FileNotFoundError
        The dataset is not there; the message says the command that gets it.
    ValueError
        A file of it is corrupted, or it has fewer images than asked for.

    Examples
    --------
    >>> train, evaluation = load_split(DatasetSettings("digits", n_train=1100, n_evaluation=100))
    >>> len(train), len(evaluation)
    (1100, 100)
    """
    train, test = DATASETS[settings.name](settings)
    return train, _evaluated(settings, train, test)


def _evaluated(settings: DatasetSettings, train: LabelledImages, test: LabelledImages) -> LabelledImages:
    """The images to be evaluated on: of the test part, or of the parts that the settings name."""
    if settings.evaluate_on == ("test",):
        return test
    what = f"training images of {settings.name} to be evaluated on"
    drawn = _draw(train.labels, settings.n_train_evaluated, settings.split_seed, what)
    of_parts = {"train": train.take(drawn), "test": test}
    parts = {part: of_parts[part] for part in settings.evaluate_on}
    ids = np.concatenate([images.sample_ids for images in parts.values()])
    if len(np.unique(ids)) < len(ids):  # each part has numbers of its own
        ids = np.array([f"{part} {number}" for part, images in parts.items() for number in images.sample_ids])
    return LabelledImages(
        np.concatenate([images.images[:] for images in parts.values()]),
        np.concatenate([images.labels for images in parts.values()]),
        train.class_names,
        ids,
        " + ".join(dict.fromkeys(images.source for images in parts.values())),
        np.repeat(list(parts), [len(images) for images in parts.values()]),
    )


def dataset_folder(name: str, folder: str | Path | None = None) -> Path:
    """Where a dataset is looked for, and put by `download`.

    Parameters
    ----------
    name : str
    folder : str or path, optional
        By default ``~/.cache/predspace_widgets/NAME``, or ``$PREDSPACE_DATA/NAME`` where that variable is set.

    Returns
    -------
    Path

    Examples
    --------
    >>> dataset_folder("cifar10", "my/images").as_posix()
    'my/images'
    """
    if folder is not None:
        return Path(folder).expanduser()
    return Path(os.environ.get("PREDSPACE_DATA") or "~/.cache/predspace_widgets").expanduser() / name


def download(name: str, folder: str | Path | None = None) -> Path:
    """Download a dataset, with torchvision, unless it is there.

    Parameters
    ----------
    name : str
        "cifar10", "cifar100", "mnist" or "fashion-mnist".
    folder : str or path, optional
        Where to (see `dataset_folder`).

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        No dataset has this name, or it cannot be downloaded.
    OSError
        It could not be downloaded or written.

    Examples
    --------
    >>> download("digits")
    Traceback (most recent call last):
    ...
    ValueError: digits ships inside scikit-learn: there is nothing to download
    """
    check_name(name, DATASETS, "dataset")
    if name == "digits":
        raise ValueError("digits ships inside scikit-learn: there is nothing to download")
    if name == "image-folder":
        raise ValueError(f"image-folder is a folder of your own images: {_FOLDER_LAYOUT}")
    path = dataset_folder(name, folder)
    dataset = getattr(import_torchvision().datasets, _PUBLISHED[name].class_name)
    try:
        dataset(str(path), download=True)
    except (OSError, RuntimeError) as error:  # torchvision's own: a wrong checksum, or no mirror that answers
        raise OSError(f"{name} could not be downloaded to {path}: {' '.join(str(error).split())}") from error
    return path


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


def _split_digits(settings: DatasetSettings) -> tuple[LabelledImages, LabelledImages]:
    assert settings.n_train is not None  # the settings were checked
    train, evaluation = split_images(_digits(), settings.n_train, settings.split_seed)
    drawn = _draw(evaluation.labels, settings.n_evaluation, settings.split_seed, "evaluation images of digits")
    return train, evaluation.take(drawn)


class _Published(NamedTuple):
    """A dataset that torchvision downloads and reads."""

    class_name: str
    #: The folder that is there when it was downloaded.
    holds: str
    source: str
    #: By default those that torchvision knows.
    class_names: tuple[str, ...] | None = None


_CIFAR = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
_PUBLISHED = {
    "cifar10": _Published("CIFAR10", "cifar-10-batches-py", f"CIFAR-10 ({_CIFAR})"),
    "cifar100": _Published("CIFAR100", "cifar-100-python", f"CIFAR-100 ({_CIFAR})"),
    "mnist": _Published(
        "MNIST",
        "MNIST/raw",
        "MNIST (Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-based learning applied to document "
        "recognition, Proc. IEEE 1998)",
        tuple("0123456789"),
    ),
    "fashion-mnist": _Published(
        "FashionMNIST", "FashionMNIST/raw", "Fashion-MNIST (H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747)"
    ),
}


def _split_published(settings: DatasetSettings) -> tuple[LabelledImages, LabelledImages]:
    train, evaluation = (_read_published(settings.name, settings.folder, train) for train in (True, False))
    return (
        train.take(_draw(train.labels, settings.n_train, settings.split_seed, f"training images of {settings.name}")),
        evaluation.take(
            _draw(evaluation.labels, settings.n_evaluation, settings.split_seed, f"test images of {settings.name}")
        ),
    )


def _read_published(name: str, folder: str | None, train: bool) -> LabelledImages:
    """The training or the test part of a dataset that torchvision reads."""
    root, published = dataset_folder(name, folder), _PUBLISHED[name]
    command = f"predspace download {name}" + (f" --folder {shlex.quote(folder)}" if folder is not None else "")
    if not (root / published.holds).is_dir():
        raise FileNotFoundError(f"{name} is not in {root}: get it with `{command}`")
    try:
        data = getattr(import_torchvision().datasets, published.class_name)(str(root), train=train)
        labels = np.asarray(data.targets, dtype=np.int64)  # (N,)
        class_names = published.class_names or tuple(data.classes)
        images = np.asarray(data.data)  # (N, rows, columns[, channels])
        return LabelledImages(images, labels, class_names, np.arange(len(images)), published.source)
    except (RuntimeError, ValueError, AssertionError, LookupError, EOFError) as error:
        raise ValueError(
            f"{name} in {root / published.holds} is incomplete or corrupted ({error}): "
            f"delete that folder and get it again with `{command}`"
        ) from error


_FOLDER_LAYOUT = (
    "it must hold train/CLASS/*.jpg and val/CLASS/*.jpg, with one folder for each class, of the same names in both"
)


def _split_folder(settings: DatasetSettings) -> tuple[LabelledImages, LabelledImages]:
    root, seed = dataset_folder(settings.name, settings.folder), settings.split_seed
    parts = {part: _list_folder(root / part) for part in ("train", "val")}
    classes = {part: class_names for part, (_, _, class_names) in parts.items()}
    differing = sorted(set(classes["train"]) ^ set(classes["val"]))
    if differing:
        raise ValueError(
            f"train and val in {root} differ in {len(differing)} classes, {', '.join(differing[:5])} among them: "
            f"{_FOLDER_LAYOUT}"
        )
    drawn = {
        part: _draw(labels, n_wanted, seed, f"images in {root / part}")
        for (part, (_, labels, _)), n_wanted in zip(
            parts.items(), (settings.n_train, settings.n_evaluation), strict=True
        )
    }
    assert settings.image_size is not None  # the settings were checked
    train, evaluation = (
        LabelledImages(
            images=decoded(
                [paths[index] for index in drawn[part]],
                settings.image_size,
                root,
                part if len(drawn[part]) == len(paths) else f"{part}-{len(drawn[part])}-of-split-{seed}",
            ),
            labels=labels[drawn[part]],
            class_names=class_names,
            sample_ids=drawn[part],
            source=f"the images of the folder {root.name}/{part}, at {settings.image_size} x {settings.image_size}",
        )
        for part, (paths, labels, class_names) in parts.items()
    )
    return train, evaluation


def _list_folder(folder: Path) -> tuple[list[str], NDArray[np.int64], tuple[str, ...]]:
    """Files, labels and class names of a part, sorted by class and name."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}: {_FOLDER_LAYOUT}")
    try:
        listing = import_torchvision().datasets.ImageFolder(str(folder))
    except FileNotFoundError as error:  # no class, or one without an image
        raise FileNotFoundError(f"{error}: {_FOLDER_LAYOUT}") from None
    return [path for path, _ in listing.samples], np.asarray(listing.targets, np.int64), tuple(listing.classes)


def _draw(labels: NDArray[np.int64], n_wanted: int | None, seed: int, what: str) -> NDArray[np.int64]:
    """Sorted positions of a random subset with the same share of every class, and at least one image of each.

    A smaller subset of the same seed lies within a larger one.
    """
    if n_wanted is None:
        return np.arange(len(labels))
    counts = np.bincount(labels)
    n_classes = np.count_nonzero(counts)
    if not n_classes <= n_wanted <= len(labels):
        raise ValueError(f"{n_wanted} {what} cannot be drawn: choose {n_classes} (one of each class) to {len(labels)}")
    shuffled = np.random.default_rng(seed).permutation(len(labels))  # (N,) positions
    by_class = np.argsort(labels[shuffled], kind="stable")  # (N,) places in `shuffled`, class after class
    share = np.empty(len(labels))  # (N,) of its class that comes before an image
    share[by_class] = np.concatenate([np.arange(count) / max(count, 1) for count in counts])
    return np.sort(shuffled[np.argsort(share, kind="stable")[:n_wanted]])


#: How to load the training and the evaluation part of each dataset.
DATASETS: dict[str, Callable[[DatasetSettings], tuple[LabelledImages, LabelledImages]]] = {
    "digits": _split_digits,
    **dict.fromkeys(_PUBLISHED, _split_published),
    "image-folder": _split_folder,
}
