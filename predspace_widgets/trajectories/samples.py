"""Which samples and classes of a dataset count."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Samples:
    """A choice of samples, and of the classes that predictions are read among; None chooses all.

    Attributes
    ----------
    classes : tuple of str, optional
        Samples of these true classes.
    rows : tuple of int, optional
        Places of samples. With `classes` those that are in both.
    among : tuple of str, optional
        Samples of these classes, predicted among these only (see `restrict_classes`); with the others those in all.
    subset : str, optional
        Samples of this set, "train" or "test", of a dataset whose coordinate `subset` says so.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories()
    >>> Samples(classes=("class 1", "class 4")).describe(ds)
    '11 samples of class 1 and class 4'
    >>> Samples(rows=(3, 17), among=("class 1", "class 2")).apply(ds).sizes["class"]
    2
    """

    classes: tuple[str, ...] | None = None
    rows: tuple[int, ...] | None = None
    among: tuple[str, ...] | None = None
    subset: str | None = None

    @classmethod
    def of(
        cls,
        ds: xr.Dataset,
        classes: str | Iterable[str] | None = None,
        samples: Iterable[Any] | None = None,
        among: Iterable[str] | None = None,
        subset: str | None = None,
    ) -> Samples:
        """The choice by names of classes, ids of samples and the name of their set.

        Raises
        ------
        ValueError
            The dataset has no sample of this id.
        """
        rows = None
        if samples is not None:
            places = {name: place for place, name in enumerate(ds["sample"].values.tolist())}
            wanted = np.asarray(list(samples)).tolist()
            unknown = [name for name in wanted if name not in places]
            if unknown:
                raise ValueError(f"no sample {unknown[0]!r} in this dataset of {len(places):,} samples")
            rows = tuple(places[name] for name in wanted)
        return cls(_names(classes), rows, _names(among), subset)

    @property
    def by_class_alone(self) -> bool:
        """Whether whole classes are chosen, and nothing else about the predictions changes."""
        return self.classes is not None and self.rows is None and self.among is None and self.subset is None

    def places(self, ds: xr.Dataset) -> NDArray[np.intp]:
        """Places of the chosen samples, in the order of the dataset.

        Raises
        ------
        NoPredictionsError
        ValueError
            An unknown class or subset, a place that is not there, fewer than two classes to predict among, or no sample
            left.
        """
        check_predictions(ds)
        labels = ds["label"].values
        chosen = np.ones(len(labels), dtype=bool)
        if self.subset is not None:
            chosen &= _is_in_subset(ds, self.subset)
        if self.classes is not None:
            chosen &= np.isin(labels, _places(ds, self.classes))
        if self.among is not None:
            chosen &= np.isin(labels, _places(ds, self.among, at_least=2))
        if self.rows is not None:
            outside = [row for row in self.rows if not 0 <= row < len(labels)]
            if outside:
                raise ValueError(f"there is no sample at place {outside[0]}: places are 0 to {len(labels) - 1}")
            there = np.zeros_like(chosen)
            there[list(self.rows)] = True
            chosen &= there
        if not chosen.any():
            raise ValueError("no sample is left: " + self._conditions())
        return np.flatnonzero(chosen)

    def apply(self, ds: xr.Dataset) -> xr.Dataset:
        """Trajectories of all checkpoints on the chosen samples; lazy where `ds` is.

        What was measured on all samples is left out, see `restrict_classes`; images and attributes stay. The title
        says which samples these are.

        Raises
        ------
        NoPredictionsError
        ValueError
            See `places`.
        """
        places = self.places(ds)
        if self.among is None:
            part = _without_metrics(ds).isel(sample=places)
        else:
            part = restrict_classes(ds, self.among)
            of_part = np.flatnonzero(np.isin(ds["label"].values, _places(ds, self.among)))
            part = part.isel(sample=np.searchsorted(of_part, places))
        return part.assign_attrs(title=f"{ds.attrs.get('title', '')}: {self.describe(ds)}")

    def describe(self, ds: xr.Dataset) -> str:
        """How titles name the chosen samples, with their number: "120 samples of 5 and 6".

        Raises
        ------
        NoPredictionsError
        ValueError
            See `places`.
        """
        n = len(self.places(ds))
        chosen = "chosen " if self.rows is not None else ""
        of_subset = f"{self.subset} " if self.subset is not None else ""
        number = f"{n:,} {chosen}{of_subset}sample{'s' if n > 1 else ''}"
        if self.classes is not None:
            number += f" of {_and(self.classes)}"
        if self.among is None:
            of_some = (self.classes, self.rows, self.subset) != (None, None, None)
            return number if of_some else f"all {number}"
        return f"among {', '.join(self.among)} ({number})"

    def _conditions(self) -> str:
        parts = []
        if self.rows is not None:
            parts.append(f"{len(self.rows):,} were chosen")
        if self.classes is not None:
            parts.append(f"of the class {' or '.join(self.classes)}")
        if self.among is not None:
            parts.append(f"predicted among {', '.join(self.among)}")
        if self.subset is not None:
            parts.append(f"of the subset {self.subset}")
        return ", ".join(parts)


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
    kept = _places(ds, classes, at_least=2)
    labels = ds["label"].values
    inside = np.flatnonzero(np.isin(labels, kept))
    if len(inside) == 0:
        raise ValueError(f"no sample of the classes {', '.join(sorted(classes))}")
    part = _without_metrics(ds).isel({"sample": inside, "class": kept})
    part["label"] = part["label"].copy(data=np.searchsorted(kept, labels[inside]).astype(labels.dtype))
    dtype = np.promote_types(part["probs"].dtype, np.float32)
    part["probs"] = map_rows(part["probs"], partial(_normalised, smallest=zero_of(part["probs"])), dtype)
    names = class_names(ds)
    part.attrs["title"] = f"{ds.attrs.get('title', '')}: among {', '.join(names[index] for index in kept)}"
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
    from predspace_widgets.trajectories.text_files import load_yaml  # late: few need it

    try:
        recipe = load_yaml(str(ds.attrs.get("recipe") or ""))
    except ValueError:
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


def _without_metrics(ds: xr.Dataset) -> xr.Dataset:
    """The dataset without what was measured on all samples and classes; what has no names keeps its number."""
    part = ds.drop_vars([name for name in _OF_ALL_SAMPLES if name in ds])
    part.attrs.pop("eigenvalue_square_sum", None)
    return part.assign_coords({name: ds[name] for name in ("sample", "class")})


def _places(ds: xr.Dataset, classes: Collection[str], at_least: int = 1) -> list[int]:
    """Places of some classes among those of the dataset, in its order."""
    known, wanted = class_names(ds), set(map(str, classes))  # a class may be named 3, and meant by 3 and "3"
    unknown = sorted(wanted - set(known))
    if unknown:
        raise ValueError(f"no class {unknown[0]!r} in this dataset; it has {', '.join(known)}")
    kept = [index for index, name in enumerate(known) if name in wanted]
    if len(kept) < at_least:
        needed = "at least two classes are needed to tell apart" if at_least > 1 else "at least one class is needed"
        raise ValueError(f"{needed}, got {len(kept)}")
    return kept


def subsets_of(ds: xr.Dataset) -> list[str]:
    """Names of the sets that the samples of a dataset are from, such as "train" and "test"; empty where it says none.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import constant_run
    >>> subsets_of(constant_run(n_samples=2).assign_coords(subset=("sample", ["train", "test"])))
    ['train', 'test']
    """
    there = "subset" in ds.coords and ds["subset"].dims == ("sample",)
    return list(dict.fromkeys(map(str, ds["subset"].values.tolist()))) if there else []


def _is_in_subset(ds: xr.Dataset, subset: str) -> NDArray[np.bool_]:
    """Which samples (N,) are of a set."""
    known = subsets_of(ds)
    if subset not in known:
        there = f"it has {', '.join(known)}" if known else "its samples have no coordinate 'subset'"
        raise ValueError(f"no subset {subset!r} in this dataset; {there}")
    return np.array([str(name) == subset for name in ds["subset"].values.tolist()])


def _names(given: Any) -> tuple[str, ...] | None:
    """One name or several, as text."""
    if given is None:
        return None
    return (str(given),) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(map(str, given))


def _and(names: Collection[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _normalised(probs: NDArray[Any], dtype: DTypeLike, smallest: float) -> NDArray[Any]:
    values = without_zeros(probs.astype(dtype), smallest)
    normal: NDArray[Any] = values / values.sum(axis=-1, keepdims=True)
    return normal
