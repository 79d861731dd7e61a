"""Several datasets as one, so that their trainings can be compared: lazily, and with the images once."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS, SOURCE
from predspace_widgets.trajectories.divergence import NAMES, REASONS, diverged, diverged_attrs
from predspace_widgets.trajectories.importers.report import REPORT, report_of
from predspace_widgets.trajectories.schema import SCHEMA_VERSION, TrajectoriesError, find_problems
from predspace_widgets.trajectories.source import source_of
from predspace_widgets.trajectories.temperature import temperature_of
from predspace_widgets.trajectories.text_files import load_json

#: Which samples count: those of all datasets, which must be the same, or those that all of them have.
Samples = Literal["same", "common"]

# A picture of one dataset says nothing of the others.
_OF_ONE = ("embedding", "eigenvalue", "spectrum")
_SHOWN = 3  # names in a message; the rest are counted
_Places = NDArray[np.intp]


def join(
    datasets: Iterable[xr.Dataset], *, samples: Samples = "same", names: Sequence[str] | None = None
) -> xr.Dataset:
    """Several datasets of the same samples and classes as one, whose curves are told apart by where they came from.

    Samples are found by their ids and classes by their names, in whatever order each dataset has them; the result has
    the order of the first. Nothing is computed: lazy predictions stay lazy, and those in another order are reordered
    when they are read.

    Parameters
    ----------
    datasets : iterable of xarray.Dataset
        Trajectories with predictions. The same one may come twice, and one that was joined before may be joined again.
    samples : {"same", "common"}
        Whether all must have the same samples, or those count that all of them have.
    names : sequence of str, optional
        What each dataset is called. By default its title, or else "dataset 1". Equal names get numbers.

    Returns
    -------
    xarray.Dataset
        All checkpoints, dataset by dataset. The coordinate `source` (checkpoint) is the name of the dataset that each
        came from; of one that was joined before the names of its parts stay, after its own where `names` gives one.
        Runs of the same name are told apart by it: "mine: even/supervised/0". Metrics that one has not are NaN there,
        attributes of runs "" or NaN. Images, and what else belongs to samples or classes, are those of the first that
        has them. A stored picture (`embedding`) is left out. `recipe` is the common one; where they differ, `recipes`
        has each by its name, as JSON.

    Raises
    ------
    TypeError
        What is given is no list of datasets.
    TrajectoriesError
        One of them is not valid; its name is in the message.
    ValueError
        Samples, labels, classes, subsets or images differ, or one has no predictions; the message says how, with counts
        and the first names.

    Warns
    -----
    UserWarning
        All that the samples are called is 0 to N-1, in all datasets, as where nobody named them: they are paired by
        their places, right or wrong. Not where the images are the same, or the datasets are parts of one.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories(tasks=("red",))
    >>> both = join([ds, ds.isel(sample=slice(None, None, -1))], names=["mine", "theirs"])
    >>> sorted(set(both.source.values.tolist())), both.sizes["checkpoint"]
    (['mine', 'theirs'], 32)
    >>> join([ds, ds.isel(sample=slice(5, None))])
    Traceback (most recent call last):
    ValueError: samples differ: 5 of 30 are only in 'synthetic trainings 1' (0, 1, 2 and 2 more); ...
    """
    parts = _checked(datasets, names)
    if samples not in ("same", "common"):
        raise ValueError(f"samples must be 'same' or 'common', got {samples!r}")
    titles = [name for name, _ in parts]
    ids = _common_samples(parts) if samples == "common" else _same_samples(parts)
    aligned = [_aligned(part, ids, *parts[0]) for part in parts]
    _check_labels(titles, aligned)
    _check_subsets(titles, aligned)
    _check_images(titles, aligned)
    _warn_of_no_ids(parts)
    sources = _sources([ds for _, ds in parts], titles, given=names is not None)
    runs = _names_of_runs([ds["run"].values for _, ds in parts], sources)
    marked = [
        ds.assign_coords({SOURCE: ("checkpoint", source), "run": ("checkpoint", run)})
        for ds, source, run in zip(aligned, sources, runs, strict=True)
    ]
    joined = along_checkpoints(marked, titles)
    joined.attrs = _attributes([ds for _, ds in parts], sources, runs)
    return joined


def _checked(datasets: Iterable[xr.Dataset], names: Sequence[str] | None) -> list[tuple[str, xr.Dataset]]:
    """Names, each once, and datasets, each valid and with predictions."""
    if isinstance(datasets, xr.Dataset):
        raise TypeError("join takes a list of datasets, not one: pw.join([a, b])")
    every = list(datasets)
    for ds in every:
        if not isinstance(ds, xr.Dataset):
            raise TypeError(f"join takes a list of trajectories datasets, not of {type(ds).__name__}")
    if not every:
        raise ValueError("there is no dataset to join")
    if isinstance(names, str) or (names is not None and len(names) != len(every)):
        raise ValueError(f"names must be a list of {len(every)}, one for each dataset, got {names!r}")
    given = names or [ds.attrs.get("title") or f"dataset {number}" for number, ds in enumerate(every, start=1)]
    titles = _numbered([str(name) for name in given])
    for title, ds in zip(titles, every, strict=True):
        problems = find_problems(ds, values=False)
        if problems:
            raise TrajectoriesError(problems, repr(title))
        if "probs" not in ds:
            raise ValueError(f"{title!r} holds an embedding but no predictions: joining needs predictions of each")
    return list(zip(titles, every, strict=True))


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that are not the only ones: no two are the same."""
    counts, seen, taken = Counter(names), Counter[str](), set(names)
    numbered = []
    for name in names:
        new = name
        while counts[name] > 1 and new in taken:
            seen[name] += 1
            new = f"{name} {seen[name]}"
        taken.add(new)
        numbered.append(new)
    return numbered


# -- samples, classes, labels and images ------------------------------------------------------------------------------


def _names_along(ds: xr.Dataset, dim: str) -> list[str]:
    """Ids of samples or names of classes, as text; numbers where a dataset has none."""
    return [str(name) for name in ds[dim].values.tolist()]


def _same_samples(parts: list[tuple[str, xr.Dataset]]) -> list[str]:
    """The ids of all samples, which must be the same in all datasets."""
    (title, first), *others = parts
    ids = _names_along(first, "sample")
    for other_title, other in others:
        other_ids = _names_along(other, "sample")
        _check_shared(title, ids, other_title, other_ids)
        different = [
            _only(title, ids, set(other_ids)),
            _only(other_title, other_ids, set(ids)),
        ]
        if any(different):
            n_common = len(set(ids) & set(other_ids))
            common = f'samples="common" joins the {n_common:,} that both have'
            raise ValueError(f"samples differ: {', '.join(filter(None, different))}; {common}")
    return ids


def _common_samples(parts: list[tuple[str, xr.Dataset]]) -> list[str]:
    """The ids of the samples that all datasets have, in the order of the first."""
    title, first = parts[0]
    ids = _names_along(first, "sample")
    common = ids
    for other_title, other in parts[1:]:
        other_ids = _names_along(other, "sample")
        _check_shared(title, ids, other_title, other_ids)
        known = set(other_ids)
        common = [name for name in common if name in known]
    if not common:
        raise ValueError(f"no sample is in all of {', '.join(repr(title) for title, _ in parts)}")
    return common


def _check_shared(title: str, ids: list[str], other_title: str, other_ids: list[str]) -> None:
    if set(ids).isdisjoint(other_ids):
        both = f"{_listed(ids)} against {_listed(other_ids)}"
        raise ValueError(
            f"{title!r} ({len(ids):,} samples) and {other_title!r} ({len(other_ids):,}) share no sample: {both}"
        )


def _only(title: str, names: list[str], others: set[str]) -> str:
    """Which names only one dataset has; empty where there is none."""
    alone = [name for name in names if name not in others]
    return f"{len(alone):,} of {len(names):,} are only in {title!r} ({_listed(alone)})" if alone else ""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _aligned(part: tuple[str, xr.Dataset], ids: list[str], first_title: str, first: xr.Dataset) -> xr.Dataset:
    """A dataset with these samples in this order, and the classes in the order of the first."""
    title, ds = part
    own, wanted = _names_along(ds, "class"), _names_along(first, "class")
    different = [_only(first_title, wanted, set(own)), _only(title, own, set(wanted))]
    if any(different):
        raise ValueError(f"classes differ: {', '.join(filter(None, different))}")
    samples, classes = _order(_names_along(ds, "sample"), ids), _order(own, wanted)
    labels = np.empty(len(classes), dtype=np.intp)
    labels[classes] = np.arange(len(classes))  # the new number of each class
    new = labels[ds["label"].values].astype(ds["label"].dtype)
    ds = ds.assign_coords(label=("sample", new)) if "label" in ds.coords else ds.assign(label=("sample", new))
    for dim, order in (("sample", samples), ("class", classes)):
        if not np.array_equal(order, np.arange(ds.sizes[dim])):
            ds = ds.isel({dim: order})
    return ds.assign_coords(
        {dim: first[dim].values if dim == "class" else _ids(first, ids) for dim in ("sample", "class")}
    )


def _order(names: list[str], wanted: list[str]) -> _Places:
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[name] for name in wanted], dtype=np.intp)


def _ids(first: xr.Dataset, ids: list[str]) -> NDArray[Any]:
    """The ids as the first dataset has them, numbers or texts."""
    values: NDArray[Any] = first["sample"].values[_order(_names_along(first, "sample"), ids)]
    return values


def _check_labels(titles: list[str], aligned: list[xr.Dataset]) -> None:
    first, classes, ids = aligned[0], _names_along(aligned[0], "class"), _names_along(aligned[0], "sample")
    labels = first["label"].values
    for title, other in zip(titles[1:], aligned[1:], strict=True):
        different = np.flatnonzero(labels != other["label"].values)
        if different.size:
            place = int(different[0])
            one, two = (classes[int(ds["label"].values[place])] for ds in (first, other))
            raise ValueError(
                f"{different.size:,} of {len(ids):,} labels differ, first: sample {ids[place]} is {one!r} in "
                f"{titles[0]!r} and {two!r} in {title!r}"
            )


def _check_subsets(titles: list[str], aligned: list[xr.Dataset]) -> None:
    told = {title: ds["subset"].values.tolist() for title, ds in zip(titles, aligned, strict=True) if "subset" in ds}
    ids = _names_along(aligned[0], "sample")
    for title, subsets in told.items():
        mine, before = next(iter(told.items()))
        different = [place for place, subset in enumerate(subsets) if subset != before[place]]
        if different:
            place = different[0]
            raise ValueError(
                f"{len(different):,} of {len(ids):,} samples are of another subset, first: sample {ids[place]} is of "
                f"{before[place]!r} in {mine!r} and of {subsets[place]!r} in {title!r}; drop those of one with "
                "ds.drop_vars('subset')"
            )


def _check_images(titles: list[str], aligned: list[xr.Dataset]) -> None:
    shapes = {title: ds["image"].shape[1:] for title, ds in zip(titles, aligned, strict=True) if "image" in ds}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{' x '.join(map(str, shape))} in {title!r}" for title, shape in shapes.items())
        raise ValueError(f"images differ in size: {told}; drop those of one with ds.drop_vars('image')")


def _warn_of_no_ids(parts: list[tuple[str, xr.Dataset]]) -> None:
    """Warn where samples are paired by nothing but their places."""
    if any(_names_along(ds, "sample") != [str(n) for n in range(ds.sizes["sample"])] for _, ds in parts):
        return
    (first_title, first), *others = parts
    for title, other in others:
        if not _of_one(first, other) and not _same_images(first, other):
            warnings.warn(
                f"samples of {first_title!r} and {title!r} have no names but 0 to N-1 and are paired by their places: "
                "if their order may differ, name them, by make_trajectories(..., sample=ids) or "
                "Recorder(..., sample_ids=ids)",
                stacklevel=3,  # where `join` is called
            )
            return


def _of_one(one: xr.Dataset, other: xr.Dataset) -> bool:
    """Whether two datasets are parts of one, or were opened from one file."""
    if np.may_share_memory(one["label"].values, other["label"].values):
        return True
    from_files = [source_of(ds["probs"]) for ds in (one, other)]
    return None not in from_files and len({str(known.source.url) for known in from_files if known}) == 1


def _same_images(one: xr.Dataset, other: xr.Dataset) -> bool:
    there = "image" in one and "image" in other and one["image"].shape == other["image"].shape
    return there and np.array_equal(one["image"].values, other["image"].values)


# -- checkpoints ------------------------------------------------------------------------------------------------------


def _sources(datasets: list[xr.Dataset], titles: list[str], given: bool) -> list[NDArray[np.str_]]:
    """The source of each checkpoint (T,) of each dataset; no two datasets have one in common."""
    named: list[tuple[int, str]] = []  # each source once: the dataset and the name
    for number, (ds, title) in enumerate(zip(datasets, titles, strict=True)):
        inner = dict.fromkeys(ds[SOURCE].values.astype(str).tolist()) if SOURCE in ds.coords else {}
        if len(inner) > 1:
            named += [(number, f"{title}: {name}" if given else name) for name in inner]
        else:
            named.append((number, title))
    unique = _numbered([name for _, name in named])
    of_each: list[NDArray[np.str_]] = []
    for number, ds in enumerate(datasets):
        mine = [name for (place, _), name in zip(named, unique, strict=True) if place == number]
        if len(mine) == 1:
            of_each.append(np.full(ds.sizes["checkpoint"], mine[0]))
            continue
        renamed = dict(zip(dict.fromkeys(ds[SOURCE].values.astype(str).tolist()), mine, strict=True))
        of_each.append(np.array([renamed[str(name)] for name in ds[SOURCE].values.tolist()]))
    return of_each


def _names_of_runs(runs: list[NDArray[Any]], sources: list[NDArray[np.str_]]) -> list[NDArray[np.str_]]:
    """Names of the runs of each dataset, those that two datasets have told apart by the source."""
    counts = Counter(name for column in runs for name in dict.fromkeys(column.astype(str).tolist()))
    pairs = [
        (number, run, source)
        for number, (column, of_rows) in enumerate(zip(runs, sources, strict=True))
        for run, source in dict(zip(column.astype(str).tolist(), of_rows.tolist(), strict=True)).items()
    ]
    unique = _numbered([f"{source}: {run}" if counts[run] > 1 else run for _, run, source in pairs])
    named = {(number, run): name for (number, run, _), name in zip(pairs, unique, strict=True)}
    return [np.array([named[number, run] for run in column.astype(str).tolist()]) for number, column in enumerate(runs)]


def along_checkpoints(aligned: list[xr.Dataset], titles: list[str]) -> xr.Dataset:
    """One dataset of all checkpoints; what does not belong to them is that of the first dataset that has it."""
    every = {str(name): None for ds in aligned for name in ds.variables if name not in _OF_ONE}
    shared = {name: next(ds[name] for ds in aligned if name in ds.variables) for name in every}
    growing = [name for name, variable in shared.items() if "checkpoint" in variable.dims and name != "checkpoint"]
    coords = _coordinates(growing, aligned, titles)
    texts = {name for name in growing for ds in aligned if name in ds.variables and ds[name].dtype.kind in "UOT"}
    rows = [_with_all(ds, growing, coords, texts, shared) for ds in aligned]
    lazy = next((ds["probs"].chunksizes["sample"] for ds in rows if ds["probs"].chunks is not None), None)
    if lazy is not None:  # the same blocks of samples in all: a block of the result is a block of each
        rows = [ds.assign(probs=ds["probs"].chunk({"sample": lazy})) for ds in rows]
    joined = xr.concat(
        rows,
        dim="checkpoint",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        combine_attrs="override",
    )
    fixed = {name: variable for name, variable in shared.items() if name not in growing and name != "checkpoint"}
    of_samples = {name: variable for name, variable in fixed.items() if name in _coords_of(aligned)}
    joined = joined.assign_coords({name: variable.variable for name, variable in of_samples.items()})
    joined = joined.assign({name: value.variable for name, value in fixed.items() if name not in of_samples})
    read_as = [{key: ds["probs"].encoding.get(key) for key in ("dtype", "store")} for ds in aligned]
    same = all(one == read_as[0] for one in read_as)
    joined["probs"].encoding = {key: value for key, value in read_as[0].items() if value is not None} if same else {}
    return joined[[name for name in every if name in joined.data_vars]]


def _coords_of(datasets: list[xr.Dataset]) -> set[str]:
    return {str(name) for ds in datasets for name in ds.coords}


def _coordinates(names: list[str], datasets: list[xr.Dataset], titles: list[str]) -> set[str]:
    """Which variables along checkpoints are coordinates: those that name a checkpoint, and attributes of runs."""
    coords = set()
    for name in names:
        is_coord = {
            title: name in ds.coords for title, ds in zip(titles, datasets, strict=True) if name in ds.variables
        }
        if name in (*CHECKPOINT_COORDS, SOURCE) or all(is_coord.values()):
            coords.add(name)
        elif any(is_coord.values()):
            one, other = (next(title for title, value in is_coord.items() if value is kind) for kind in (True, False))
            raise ValueError(f"{name!r} is an attribute of runs in {one!r} and a metric in {other!r}: rename one")
    return coords


def _with_all(
    ds: xr.Dataset, names: list[str], coords: set[str], texts: set[str], shared: dict[str, xr.DataArray]
) -> xr.Dataset:
    """The variables along checkpoints of a dataset, with "" or NaN in those that it has not."""
    columns: dict[str, xr.Variable] = {}
    for name in names:
        if name in ds.variables:
            columns[name] = ds[name].variable
        else:
            like, sizes = shared[name], {**shared[name].sizes, "checkpoint": ds.sizes["checkpoint"]}
            empty = "" if name in texts else np.nan
            columns[name] = xr.Variable(like.dims, np.full([sizes[dim] for dim in like.dims], empty))
        if name in texts:
            columns[name] = columns[name].astype(str)  # it may be numbers in another dataset
    return xr.Dataset(
        {name: column for name, column in columns.items() if name not in coords},
        {name: column for name, column in columns.items() if name in coords},
        ds.attrs,
    )


# -- attributes -------------------------------------------------------------------------------------------------------


def _attributes(
    datasets: list[xr.Dataset], sources: list[NDArray[np.str_]], runs: list[NDArray[np.str_]]
) -> dict[str, Any]:
    """What is said of the whole: what all share, and what each says of itself by the names of the sources."""
    first, *others = (dict(ds.attrs) for ds in datasets)
    attrs = {name: value for name, value in first.items() if all(_same(value, other.get(name)) for other in others)}
    for name in ("eigenvalue_square_sum", NAMES, REASONS, "recipes", "imprint_temperature", REPORT):
        attrs.pop(name, None)
    titles = list(dict.fromkeys(source for column in sources for source in column.tolist()))
    origins = dict.fromkeys(str(ds.attrs["source"]) for ds in datasets if ds.attrs.get("source"))
    attrs |= {
        "schema_version": SCHEMA_VERSION,
        "title": " + ".join(titles),
        "source": " + ".join(origins),
        "created_by": f"predspace_widgets {version('predspace_widgets')}: join of {', '.join(titles)}",
    }
    recipes: dict[str, str] = {}
    for ds, column in zip(datasets, sources, strict=True):
        recipes |= _recipes_of(ds, list(dict.fromkeys(column.tolist())))
    if recipes and "recipe" not in attrs:
        attrs["recipes"] = json.dumps(recipes, ensure_ascii=False)
    with suppress(ValueError):  # where one says none, or they differ, it is not known
        temperatures = {temperature_of(ds) for ds in datasets}
        if len(temperatures) == 1:
            attrs["imprint_temperature"] = temperatures.pop()
    reports = [
        f"{' + '.join(dict.fromkeys(column.tolist()))}: {line}"
        for ds, column in zip(datasets, sources, strict=True)
        for line in report_of(ds)
    ]
    return attrs | diverged_attrs(_diverged(datasets, runs)) | ({REPORT: reports} if reports else {})


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(np.array_equal(one, other))


def _recipes_of(ds: xr.Dataset, names: list[str]) -> dict[str, str]:
    """The recipe of each source of a dataset that has one; `names` are those of the sources in the result."""
    if "recipe" in ds.attrs:
        return dict.fromkeys(names, str(ds.attrs["recipe"]))
    try:
        before = load_json(str(ds.attrs.get("recipes", "")))
    except ValueError:
        return {}
    if not isinstance(before, dict) or SOURCE not in ds.coords:
        return {}
    renamed = zip(dict.fromkeys(ds[SOURCE].values.astype(str).tolist()), names, strict=True)
    return {new: str(before[old]) for old, new in renamed if old in before}


def _diverged(datasets: list[xr.Dataset], runs: list[NDArray[np.str_]]) -> dict[str, str]:
    """The runs that diverged, as they are called now, and why."""
    reasons: dict[str, str] = {}
    for ds, column in zip(datasets, runs, strict=True):
        renamed = dict(zip(ds["run"].values.astype(str).tolist(), column.tolist(), strict=True))
        reasons |= {renamed.get(name, name): reason for name, reason in diverged(ds).items()}
    return reasons
