"""The embedded datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import xarray as xr

from predspace_widgets.trajectories.source import source_of
from predspace_widgets.trajectories.storage import open_trajectories

#: Datasets that ship with the package.
Demo = Literal["digits", "sweep"]

_PACKAGE = Path(__file__).resolve().parents[1]


def demo_path(name: Demo = "digits") -> Path:
    """Where data/NAME.zarr.zip lies: in the repository, or inside an installed package.

    Raises
    ------
    ValueError
        No dataset of this name ships.
    FileNotFoundError
        It is in neither place.
    """
    if name not in get_args(Demo):
        raise ValueError(f"no dataset {name!r} ships with this package; these do: {', '.join(get_args(Demo))}")
    file = f"{name}.zarr.zip"
    for place in (_PACKAGE.parent / "data" / file, _PACKAGE / "data" / file):
        if place.exists():
            return place
    raise FileNotFoundError(f"the demo dataset data/{file} is missing: record it with 'make demo-data'")


def demo(name: Demo = "digits") -> xr.Dataset:
    """Small networks learning real 8x8 digits: the datasets that ship with the package.

    See data/README.md for how they were recorded.

    Parameters
    ----------
    name : {"digits", "sweep"}
        "digits": one network, seven tasks and seven ways to learn. "sweep": one task, five networks, with different
        optimisers, learning rates, batch sizes, weight decay, augmentation and starts; on test and training samples.

    Returns
    -------
    xarray.Dataset
        Lazy; see `open_trajectories`.

    Raises
    ------
    ValueError
        No dataset of this name ships.
    FileNotFoundError
        It is not there.

    Examples
    --------
    >>> demo().sizes["class"]
    10
    >>> demo("sweep").predspace.of_samples(subset="train").sizes["sample"]
    100
    """
    return open_trajectories(demo_path(name))


def is_demo(ds: xr.Dataset) -> bool:
    """Whether a dataset is the one of `demo`, as it was opened.

    Examples
    --------
    >>> is_demo(demo()), is_demo(demo("sweep"))
    (True, False)
    """
    stored = source_of(ds["probs"]) if "probs" in ds else None
    return stored is not None and Path(stored.source.url) == demo_path()
