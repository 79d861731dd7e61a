"""Which samples and classes of a dataset count."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import DTypeLike, NDArray

from predspace_widgets.trajectories.lazy import map_rows
from predspace_widgets.trajectories.logarithms import without_zeros
from predspace_widgets.trajectories.schema import check_predictions
from predspace_widgets.trajectories.source import zero_of

# What was measured on all samples and classes, and is wrong for some of them.
_OF_ALL_SAMPLES = ("accuracy", "loss", "embedding", "eigenvalue")


def restrict_classes(ds: xr.Dataset, classes: Collection[str]) -> xr.Dataset:
    """The samples of some classes, predicted among these classes only.

    The probabilities of these classes are divided by their sum; zeros are raised before, see
    `predspace_widgets.trajectories.logarithms.without_zeros`. For imprinted networks this is what imprinting on these
    classes alone would give, up to the rounding of storage.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    classes : collection of str
        At least two class names of the dataset.

    Returns
    -------
    xarray.Dataset
        Trajectories of all checkpoints, on fewer samples and classes; lazy where `ds` is. Images, attributes (the
        recipe) and all that belongs to checkpoints or samples stay. `accuracy`, `loss` and a picture of the
        predictions (`embedding`) are those of all samples, and are left out; other metrics stay, since only who
        recorded them knows what they were measured on.

    Raises
    ------
    NoPredictionsError
    ValueError
        Fewer than two classes, one that the dataset has not, or no sample of them.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> part = restrict_classes(random_trajectories(), ["class 1", "class 4"])
    >>> part["class"].values.tolist(), sorted(set(part.label.values.tolist()))
    (['class 1', 'class 4'], [0, 1])
    """
    check_predictions(ds)
    kept = _places(ds, classes)
    labels = ds["label"].values
    inside = np.flatnonzero(np.isin(labels, kept))
    if len(inside) == 0:
        raise ValueError(f"no sample of the classes {', '.join(sorted(classes))}")
    numbers = {name: ds[name] for name in ("sample", "class")}  # what has no names keeps its number
    named = ds.drop_vars([name for name in _OF_ALL_SAMPLES if name in ds]).assign_coords(numbers)
    part = named.isel({"sample": inside, "class": kept})
    part["label"] = part["label"].copy(data=np.searchsorted(kept, labels[inside]).astype(labels.dtype))
    dtype = np.promote_types(part["probs"].dtype, np.float32)
    part["probs"] = map_rows(part["probs"], partial(_normalised, smallest=zero_of(part["probs"])), dtype)
    names = class_names(ds)
    part.attrs["title"] = f"{ds.attrs.get('title', '')}: among {', '.join(names[index] for index in kept)}"
    part.attrs.pop("eigenvalue_square_sum", None)
    return part


def class_names(ds: xr.Dataset) -> list[str]:
    """Names of the classes of a dataset, as text; numbers where it has none.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import constant_run
    >>> class_names(constant_run(n_classes=3))
    ['0', '1', '2']
    """
    return [str(name) for name in ds["class"].values.tolist()]


def classes_of_tasks(ds: xr.Dataset) -> dict[str, list[str]]:
    """Classes of each task of a dataset that its recipe tells, in the order of the dataset; empty without a recipe.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories().assign_attrs(recipe="tasks: {red: {classes: [class 1, class 0]}, blue: {}}")
    >>> classes_of_tasks(ds)["red"], len(classes_of_tasks(ds)["blue"])
    (['class 0', 'class 1'], 5)
    """
    import yaml  # late: few need it

    try:
        recipe = yaml.safe_load(str(ds.attrs.get("recipe") or ""))
    except (yaml.YAMLError, RecursionError):
        return {}
    tasks = recipe.get("tasks") if isinstance(recipe, dict) else None
    known, found = class_names(ds), {}
    for task in dict.fromkeys(ds["task"].values.astype(str).tolist()):
        about = tasks.get(task) if isinstance(tasks, dict) else None
        chosen = _classes_of_task(about, known) if isinstance(about, dict) else set()
        if chosen:
            found[task] = [name for name in known if name in chosen]
    return found


def _classes_of_task(about: dict[Any, Any], known: list[str]) -> set[str]:
    """Classes that the entry of a task in a recipe names or draws, all where it does neither; empty where it is odd."""
    if isinstance(about.get("classes"), list):
        return set(map(str, about["classes"])) & set(known)
    if isinstance(about.get("groups"), dict):
        groups = [names for names in about["groups"].values() if isinstance(names, list)]
        return {str(name) for names in groups for name in names} & set(known)
    n_drawn, seed = about.get("random_classes"), about.get("seed", 0)
    if isinstance(n_drawn, int) and isinstance(seed, int) and 0 < n_drawn <= len(known) and seed >= 0:
        return set(drawn_classes(known, n_drawn, seed))
    return set(known) if not {"classes", "groups", "classes_file", "random_classes"} & set(about) else set()


def drawn_classes(known: Sequence[str], n_classes: int, seed: int) -> list[str]:
    """Some classes, drawn at random as tasks of random classes draw them."""
    drawn = np.random.default_rng(seed).choice(len(known), size=n_classes, replace=False)
    return [known[index] for index in np.sort(drawn)]


def _places(ds: xr.Dataset, classes: Collection[str]) -> list[int]:
    """Places of some classes among those of the dataset, in its order."""
    known = class_names(ds)
    unknown = sorted(set(classes) - set(known))
    if unknown:
        raise ValueError(f"no class {unknown[0]!r} in this dataset; it has {', '.join(known)}")
    kept = [index for index, name in enumerate(known) if name in classes]
    if len(kept) < 2:
        raise ValueError(f"at least two classes are needed to tell apart, got {len(kept)}")
    return kept


def _normalised(probs: NDArray[Any], dtype: DTypeLike, smallest: float) -> NDArray[Any]:
    values = without_zeros(probs.astype(dtype), smallest)
    normal: NDArray[Any] = values / values.sum(axis=-1, keepdims=True)
    return normal
