"""Imprinting: predictions of any network in one prediction space, whatever it was trained on.

The last layer is replaced by class prototypes, the mean features of each class of the shared evaluation space on
training images; a sample's class is predicted from its distances to them. Used by Ramesh et al. (ICML 2023,
arXiv:2210.17011); weight imprinting is due to Qi, Brown and Lowe (CVPR 2018), the softmax of squared distances to
class means to Snell, Swersky and Zemel (NeurIPS 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

from predspace_widgets.training.settings import check_name

Scale = Literal["feature_norm", "raw"]


@dataclass(frozen=True)
class ImprintSettings:
    """How confident imprinted predictions are.

    Parameters
    ----------
    temperature : float
        Squared distances are divided by temperature * mean squared norm of the training features.
    scale : {"feature_norm", "raw"}
        "raw" is the published form, softmax(-squared distance), without temperature and norm. It depends on the
        scale of the features, which the cross-entropy fixes but self-supervised losses leave free.

    Raises
    ------
    ValueError
        The temperature is not positive, or the scale is unknown.
    """

    temperature: float = 0.03
    scale: Scale = "feature_norm"

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        check_name(self.scale, get_args(Scale), "scale")


def class_prototypes(features: ArrayLike, labels: ArrayLike, n_classes: int) -> NDArray[np.float64]:
    """Mean features of each class.

    Parameters
    ----------
    features : array, shape (M, F)
        Of training images of all classes.
    labels : array of int, shape (M,)
    n_classes : int
        C.

    Returns
    -------
    array, shape (C, F)

    Raises
    ------
    ValueError
        A class has no image.

    Examples
    --------
    >>> class_prototypes([[0.0], [2.0], [5.0]], [0, 0, 1], n_classes=2)
    array([[1.],
           [5.]])
    """
    values, classes = np.asarray(features, dtype=np.float64), np.asarray(labels)
    counts = np.bincount(classes, minlength=n_classes)  # (C,)
    if not counts.all():
        raise ValueError(f"no training image of class {np.flatnonzero(counts == 0).tolist()}: it has no prototype")
    return np.stack([values[classes == label].mean(axis=0) for label in range(n_classes)])


def imprint(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    features: ArrayLike,
    n_classes: int,
    settings: ImprintSettings | None = None,
) -> NDArray[np.float64]:
    """Predicted probabilities, softmax(-squared distance to the prototypes / (temperature * mean squared norm)).

    The norm makes the prediction independent of the scale of the features; the most probable class is that of the
    nearest prototype with any scale and temperature. The default temperature of 0.03 is one number for all
    checkpoints of all networks, found on the digits (733 of the training images for prototypes, the other 367 to
    look at): networks of random weights then start near ignorance (progress 0.02 to 0.03) and those trained on all
    classes end near the truth (0.96 to 0.97). A third of it starts them at 0.06 to 0.09 and makes the ones that
    memorised random labels as sure as others (0.55 instead of 0.3); three times as much stops the best at 0.90.
    A temperature fitted to each checkpoint would not start at ignorance at all.

    Parameters
    ----------
    train_features : array, shape (M, F)
        Features of training images of all classes of the prediction space, not only of those of the task.
    train_labels : array of int, shape (M,)
    features : array, shape (N, F)
        Features of the samples to predict.
    n_classes : int
        C.
    settings : ImprintSettings, optional

    Returns
    -------
    array, shape (N, C)

    Raises
    ------
    ValueError
        A class has no training image.
    FloatingPointError
        Features are not finite.

    Examples
    --------
    >>> imprint([[-1.0], [1.0]], [0, 1], [[0.0], [0.9]], n_classes=2).round(3)
    array([[0.5, 0.5],
           [0. , 1. ]])
    """
    return np.exp(imprint_log_probabilities(train_features, train_labels, features, n_classes, settings))


def imprint_log_probabilities(
    train_features: ArrayLike,
    train_labels: ArrayLike,
    features: ArrayLike,
    n_classes: int,
    settings: ImprintSettings | None = None,
) -> NDArray[np.float64]:
    """Logarithms of what `imprint` gives, finite where its probabilities round to 0; shape (N, C)."""
    settings = settings or ImprintSettings()
    train, values = np.asarray(train_features, dtype=np.float64), np.asarray(features, dtype=np.float64)
    if not (np.isfinite(train).all() and np.isfinite(values).all()):
        raise FloatingPointError("features are not finite: the network has diverged")
    distances = cdist(values, class_prototypes(train, train_labels, n_classes), "sqeuclidean")  # (N, C)
    if settings.scale == "feature_norm":
        mean_squared_norm = np.square(train).sum(axis=1).mean()
        # Where all features are 0, so are all distances: no division of 0 by 0.
        distances /= max(settings.temperature * mean_squared_norm, np.finfo(np.float64).tiny)
    log_probabilities: NDArray[np.float64] = log_softmax(-distances, axis=1)
    return log_probabilities
