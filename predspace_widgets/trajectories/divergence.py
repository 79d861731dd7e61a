"""Which runs of a dataset diverged, and why: two attributes, `diverged` with their names and `diverged_because`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from predspace_widgets.trajectories.text_files import load_json

NAMES = "diverged"
REASONS = "diverged_because"


def diverged(ds: xr.Dataset) -> dict[str, str]:
    """Runs that diverged, and the reason of each; "" where the dataset does not say it.

    NetCDF makes one text of a list that holds one.

    Examples
    --------
    >>> diverged(xr.Dataset(attrs={"diverged": "all/supervised/0"}))
    {'all/supervised/0': ''}
    """
    names = [str(name) for name in np.atleast_1d(np.asarray(ds.attrs.get(NAMES, []), dtype=object)).ravel()]
    try:
        reasons = load_json(str(ds.attrs.get(REASONS, "{}")))
    except ValueError:
        reasons = {}
    return {name: str(reasons.get(name, "")) if isinstance(reasons, dict) else "" for name in names}


def diverged_attrs(reasons: Mapping[str, str]) -> dict[str, Any]:
    """The attributes that say which runs diverged and why; none where none did.

    The reasons are JSON, a text, which every format of files keeps as it is.

    Examples
    --------
    >>> diverged_attrs({"all/supervised/0": "the loss is nan"})
    {'diverged': ['all/supervised/0'], 'diverged_because': '{"all/supervised/0": "the loss is nan"}'}
    """
    if not reasons:
        return {}
    known = {name: reason for name, reason in reasons.items() if reason}
    return {NAMES: list(reasons)} | ({REASONS: json.dumps(known, ensure_ascii=False)} if known else {})
