"""What predictions are, probabilities or logits, and what they score: their probabilities, accuracy and loss."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE

Kind = Literal["logits", "probs"]

_SMALLEST = 1e-45  # of float32: a true class of probability 0 counts as this in the loss


def kind_of(values: NDArray[Any], before: Kind | None = None) -> Kind:
    """Whether the predictions of a checkpoint are probabilities or logits, never by guessing.

    Parameters
    ----------
    values : array, shape (N, C)
        Predictions of all samples.
    before : {"logits", "probs"}, optional
        What the checkpoints before held.

    Returns
    -------
    {"logits", "probs"}

    Raises
    ------
    ValueError
        They could be either, and there are no checkpoints before; or they are not what those are.

    Examples
    --------
    >>> kind_of(np.array([[0.25, 0.75]])), kind_of(np.array([[-1.0, 2.0]]))
    ('probs', 'logits')
    """
    kind = _kind_alone(values) or before
    if kind is None or before not in (None, kind):
        problem = (
            "these predictions could be logits as well as probabilities gone wrong"
            if kind is None
            else f"these predictions look like {kind}, those of the checkpoints before were {before}"
        )
        raise ValueError(f"{problem}: say which with Recorder(..., inputs='logits') or inputs='probs'")
    return kind


def _kind_alone(values: NDArray[Any]) -> Kind | None:
    """What predictions (N, C) are, whatever came before them; None if they could be either."""
    if on_simplex(values).all():
        return "probs"
    if not values.any():
        return "logits"  # of a last layer that starts at zero
    between = bool(((values >= 0) & (values <= 1)).all())  # also sigmoids, roots of probabilities, coarse ones
    near = np.mean(on_simplex(values, smallest=-ROW_SUM_TOLERANCE))
    return None if between or near > 0.5 else "logits"


def on_simplex(values: NDArray[Any], smallest: float = 0.0) -> NDArray[np.bool_]:
    """Which rows are probabilities, also after rounding to float16 or bfloat16.

    Parameters
    ----------
    values : array, shape (N, C)
    smallest : float
        Smallest value that a row may hold.

    Returns
    -------
    array of bool, shape (N,)

    Examples
    --------
    >>> on_simplex(np.array([[0.25, 0.75], [0.5, 0.75], [-0.5, 1.5]]))
    array([ True, False, False])
    """
    sums = values.sum(axis=1, dtype=np.float64)  # (N,)
    return (values >= smallest).all(axis=1) & (np.abs(sums - 1) <= ROW_SUM_TOLERANCE)


def evaluate(values: NDArray[Any], labels: NDArray[Any], kind: Kind) -> tuple[NDArray[np.float64], float, float]:
    """Probabilities of predictions, and how good they are.

    Parameters
    ----------
    values : array, shape (N, C)
    labels : array of int, shape (N,)
        Index of the true class of each sample.
    kind : {"logits", "probs"}
        What the values are; a softmax turns logits into probabilities.

    Returns
    -------
    probs : array of float64, shape (N, C)
        Each row sums to 1.
    accuracy : float
        Share of samples whose largest value is that of the true class.
    loss : float
        Mean negative logarithm of the probability of the true class, in nats: the cross-entropy.

    Examples
    --------
    >>> evaluate(np.log([[1.0, 3.0]]), np.array([1]), "logits")[0]
    array([[0.25, 0.75]])
    >>> evaluate(np.array([[0.25, 0.75]]), np.array([1]), "probs")[1:] == (1.0, -np.log(0.75))
    True
    """
    every = np.arange(len(labels))
    accuracy = float(np.mean(values.argmax(axis=1) == labels))
    probs = values.astype(np.float64)  # (N, C)
    if kind == "logits":
        probs -= probs.max(axis=1, keepdims=True)
        true = probs[every, labels]  # (N,)
        np.exp(probs, out=probs)
        sums = probs.sum(axis=1)  # (N,)
        loss = float(np.mean(np.log(sums) - true))
    else:
        sums = probs.sum(axis=1)
        loss = float(-np.mean(np.log(np.maximum(probs[every, labels] / sums, _SMALLEST))))
    probs /= sums[:, None]
    return probs, accuracy, loss


def to_numpy(values: Any) -> NDArray[Any]:
    """An array of an array, list or tensor."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def as_floats(predictions: Any) -> NDArray[Any]:
    """Predictions as an array of float32 or float64.

    Parameters
    ----------
    predictions : array, list or tensor, shape (n, C)

    Returns
    -------
    array, shape (n, C)
        float32 of float32 and of what is coarser, else float64.

    Raises
    ------
    ValueError
        Another number of dimensions; complex numbers.

    Examples
    --------
    >>> as_floats([[1, 2]])
    array([[1., 2.]])
    """
    coarse = "bfloat16" in str(getattr(predictions, "dtype", ""))
    if coarse and hasattr(predictions, "detach"):
        predictions = predictions.detach().float()  # numpy has no such type
    values = to_numpy(predictions)
    if values.ndim != 2:
        raise ValueError(f"predictions must have shape (samples, classes), got {values.shape}")
    if values.dtype.kind == "c":
        raise ValueError("predictions must be real numbers, got complex ones")
    return values.astype(np.float32 if coarse or values.dtype in (np.float16, np.float32) else np.float64, copy=False)


def as_number(what: str, value: Any) -> float:
    """One number as a float: of a number, or of an array or tensor that holds one.

    Raises
    ------
    ValueError
        More than one, or none; the message calls it `what`.

    Examples
    --------
    >>> as_number("epoch", np.array([3]))
    3.0
    """
    number = to_numpy(value)
    if number.size != 1 or number.dtype.kind not in "fiub":
        raise ValueError(f"{what} must be one number, got {value!r}")
    return float(number.reshape(()))
