"""Predictions at another temperature: surer or less sure of themselves, with the same order of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from dask.base import is_dask_collection
from numpy.typing import ArrayLike, DTypeLike, NDArray

from predspace_widgets.geometry.probabilities import Array, as_probabilities
from predspace_widgets.trajectories.lazy import map_rows
from predspace_widgets.trajectories.logarithms import from_logarithms, without_zeros
from predspace_widgets.trajectories.schema import check_predictions
from predspace_widgets.trajectories.source import source_of, zero_of
from predspace_widgets.trajectories.text_files import load_yaml

#: What an imprint has where its recipe does not say it (see `predspace_widgets.training.imprint.ImprintSettings`).
DEFAULT_TEMPERATURE, DEFAULT_SCALE = 0.03, "feature_norm"

_ATTRIBUTE = "imprint_temperature"  # goes before the recipe, which says how the predictions were recorded
_NOTE = "logarithms"


def retemper(probs: ArrayLike, sharpness: ArrayLike) -> Array:
    """The same predictions, surer or less sure: softmax(sharpness * log probs).

    Of predictions that are softmax(-distance / temperature) this is the softmax at temperature / sharpness, up to the
    rounding of storage.

    Parameters
    ----------
    probs : array, shape (N, C)
        Probabilities; zeros are raised, see `predspace_widgets.trajectories.logarithms.without_zeros`.
    sharpness : float or array, shape (K,)
        Not negative; 1 changes nothing, 0 is ignorance.

    Returns
    -------
    array, shape (N, C), or (K, N, C)

    Raises
    ------
    ValueError
        Negative sharpness, or no probabilities.

    Examples
    --------
    >>> retemper([[0.2, 0.8]], 2.0).round(4)
    array([[0.0588, 0.9412]])
    """
    factors = np.asarray(sharpness, dtype=np.float64)
    if factors.ndim > 1 or not np.all(factors >= 0):
        raise ValueError(f"sharpness must be a number or a list of numbers, none negative, got {sharpness!r}")
    logs = np.log(without_zeros(as_probabilities(probs, "probs")))  # (N, C)
    # Relative to the largest: 0 times anything finite is finite.
    scaled = factors[..., None, None] * (logs - logs.max(axis=-1, keepdims=True))  # (K, N, C)
    return from_logarithms(scaled, np.float64)


def at_temperature(ds: xr.Dataset, temperature: float) -> xr.Dataset:
    """The dataset that imprinting at another temperature would have recorded.

    Imprinted predictions are softmax(-squared distance / (temperature * mean squared norm)), so at another temperature
    they are softmax(log probs * recorded temperature / temperature). Nothing is lost where a file holds logarithms
    (`save_trajectories(..., store="log_probs")`) and `ds` is as it was opened, or another temperature of it: choose
    checkpoints afterwards. Otherwise probabilities that were rounded to 0 are lost, which tells at a higher
    temperature.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories of imprinted networks. Their temperature is in `ds.attrs["imprint_temperature"]`, or in the recipe
        that made them, `ds.attrs["recipe"]`.
    temperature : float
        Positive.

    Returns
    -------
    xarray.Dataset
        Lazy where `ds` is. Its attribute `imprint_temperature` is the new temperature. Accuracy stays; the loss, and a
        picture of the predictions that `ds` may hold (`embedding`), belong to the old one and are left out.

    Raises
    ------
    NoPredictionsError
    ValueError
        The temperature is not positive, the dataset does not say at which temperature it was recorded, or it was
        recorded without one (`scale: raw`).

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories().assign_attrs(recipe="imprint: {temperature: 0.03}")
    >>> unsure = at_temperature(ds, 0.3)
    >>> bool(unsure.probs.max() < ds.probs.max()), unsure.attrs["imprint_temperature"]
    (True, 0.3)
    """
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature!r}")
    check_predictions(ds)
    probs = ds["probs"]
    scaled = _logarithms_of(probs) * (temperature_of(ds) / temperature)
    changed = probs.copy(data=map_rows(scaled, from_logarithms, scaled.dtype).data)
    if is_dask_collection(changed.data):
        changed.encoding[_NOTE] = _Logarithms(scaled, changed.data.name)
    old = [name for name in ("loss", "embedding", "eigenvalue") if name in ds]
    result = ds.drop_vars(old).assign(probs=changed).assign_attrs({_ATTRIBUTE: float(temperature)})
    result.attrs.pop("eigenvalue_square_sum", None)
    return result


def temperature_of(ds: xr.Dataset) -> float:
    """The temperature at which the networks of a dataset were imprinted.

    Raises
    ------
    ValueError
        The dataset does not say it, or there was none.

    Examples
    --------
    >>> temperature_of(xr.Dataset(attrs={"recipe": "imprint: {temperature: 0.5}"}))
    0.5
    """
    if _ATTRIBUTE in ds.attrs:
        return _checked(ds.attrs[_ATTRIBUTE], f"the attribute {_ATTRIBUTE!r}")
    if "recipe" not in ds.attrs:
        raise ValueError(
            "the dataset has no recipe that says at which temperature its predictions were imprinted: if they were, "
            f"say it with ds.assign_attrs({_ATTRIBUTE}=...)"
        )
    imprint = _imprint_settings(ds.attrs["recipe"])
    scale = imprint.get("scale", DEFAULT_SCALE)
    if scale != DEFAULT_SCALE:
        raise ValueError(
            f"these predictions were imprinted with scale {scale!r}, without a temperature: record them with "
            f"'scale: {DEFAULT_SCALE}' to read them at others"
        )
    return _checked(imprint.get("temperature", DEFAULT_TEMPERATURE), "the recipe's imprint")


def _imprint_settings(recipe: Any) -> Mapping[str, Any]:
    try:
        content = load_yaml(recipe) if isinstance(recipe, str) else None
    except ValueError:
        content = None
    if isinstance(content, Mapping) and content.get("predictions") == "softmax":
        raise ValueError(
            "its predictions are not imprinted (predictions: softmax): there is no temperature of imprinting"
        )
    imprint = content.get("imprint") or {} if isinstance(content, Mapping) else None
    if not isinstance(imprint, Mapping):
        raise ValueError(
            "the attribute 'recipe' of the dataset is no recipe that can be read: if the predictions were imprinted, "
            f"say at which temperature with ds.assign_attrs({_ATTRIBUTE}=...)"
        )
    return imprint


def _checked(temperature: Any, where: str) -> float:
    try:
        value = float(temperature)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 < value < float("inf"):
        raise ValueError(
            f"{where} says temperature {temperature!r}, which is not positive: say which it was with "
            f"ds.assign_attrs({_ATTRIBUTE}=...)"
        )
    return value


@dataclass(frozen=True)
class _Logarithms:
    """Logarithms of lazy predictions at another temperature: the predictions may have rounded them to 0.

    Attributes
    ----------
    values : xarray.DataArray (checkpoint, sample, class)
    name : str
        Of the lazy array that they belong to; whatever is derived from that has another name.
    """

    values: xr.DataArray
    name: str


def _logarithms_of(probs: xr.DataArray) -> xr.DataArray:
    """Logarithms of predictions in float32 or wider, up to a constant of each row: the exact ones if they are known."""
    noted = probs.encoding.get(_NOTE)
    if noted is not None and getattr(probs.data, "name", None) == noted.name:
        known: xr.DataArray = noted.values
        return known
    dtype = np.promote_types(probs.dtype, np.float32)
    stored = source_of(probs)
    if stored is not None and stored.are_logarithms:
        return stored.values.astype(dtype)
    return map_rows(probs, partial(_logarithms, smallest=zero_of(probs)), dtype)


def _logarithms(probs: NDArray[Any], dtype: DTypeLike, smallest: float) -> NDArray[Any]:
    values = probs.astype(dtype)
    values /= values.sum(axis=-1, keepdims=True)
    logs: NDArray[Any] = np.log(without_zeros(values, smallest))
    logs -= logs.max(axis=-1, keepdims=True)
    return logs
