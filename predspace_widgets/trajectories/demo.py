"""The embedded demo dataset."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from predspace_widgets.trajectories.storage import open_trajectories

_PACKAGE = Path(__file__).resolve().parents[1]


def demo_path() -> Path:
    """Where data/digits.zarr.zip lies: in the repository, or inside an installed package.

    Raises
    ------
    FileNotFoundError
        Neither is there.
    """
    places = [_PACKAGE.parent / "data" / "digits.zarr.zip", _PACKAGE / "data" / "digits.zarr.zip"]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError("the demo dataset data/digits.zarr.zip is missing: record it with 'make demo-data'")


def demo() -> xr.Dataset:
    """Small convolutional networks learning real 8x8 digits: the dataset that ships with the package.

    See data/README.md for how it was recorded.

    Returns
    -------
    xarray.Dataset
        Lazy; see `open_trajectories`.

    Examples
    --------
    >>> demo().sizes["class"]
    10
    """
    return open_trajectories(demo_path())
