"""Functions of predictions, applied now or later, as the predictions are in memory or on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from dask.base import is_dask_collection
from numpy.typing import DTypeLike, NDArray


def map_rows(
    predictions: xr.DataArray, function: Callable[[NDArray[Any], DTypeLike], NDArray[Any]], dtype: DTypeLike
) -> xr.DataArray:
    """The array that a function of all classes of a sample gives: block by block, and later, if it is lazy.

    Parameters
    ----------
    predictions : xarray.DataArray (checkpoint, sample, class)
    function : function of an array (T, n, C) and a dtype
        Gives an array of the same shape and of this dtype.
    dtype : dtype

    Returns
    -------
    xarray.DataArray
        With the same names, coordinates, attributes and encoding.

    Examples
    --------
    >>> probs = xr.DataArray([[[0.25, 0.75]]], dims=("checkpoint", "sample", "class"))
    >>> map_rows(probs, lambda block, dtype: block.astype(dtype), "float32").dtype
    dtype('float32')
    """
    if not is_dask_collection(predictions.data):
        return predictions.copy(data=function(predictions.values, dtype))
    whole = predictions.chunk({"class": -1}).data
    return predictions.copy(data=whole.map_blocks(function, dtype, dtype=dtype, meta=np.empty((0, 0, 0), dtype)))
