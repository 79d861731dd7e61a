"""Progress on classes that a network was not trained on, and what training on more classes adds."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.analysis import Analysis, analysis_of
from predspace_widgets.analysis.runs import RUN_COORDS
from predspace_widgets.geometry import ignorance, progress, truth
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.samples import class_names, classes_of_tasks, restrict_classes
from predspace_widgets.trajectories.selection import Selection, checked_selection, rows_of_runs
from predspace_widgets.trajectories.temperature import retemper

_LARGEST_POWER = 10  # sharpness is sought between 2**-10 and 2**10
_ZOOMS = 3
_MOST_UNTRAINED = 5  # networks that have learned nothing: a mean over so many is enough


def progress_on(ds: xr.Dataset, classes: Collection[str], metric: ProgressMetric = "bhattacharyya") -> pd.DataFrame:
    """Progress within some classes: of each run's first and last checkpoint, as they are and re-tempered to their best.

    An untrained network is unsure of everything, and being surer alone makes progress. So the first checkpoint is also
    read at the one temperature, for all samples, at which it makes most progress: what is beyond that was learned.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    classes : collection of str
        Samples of these are predicted among these only (see `predspace_widgets.trajectories.restrict_classes`).
    metric : {"bhattacharyya", "great_circle"}
        Of progress.

    Returns
    -------
    pandas.DataFrame
        A row a run, columns task, method, seed, classes, n_samples and, for untrained (first checkpoint) and trained
        (last): `untrained` the progress, `untrained_best` that at the best temperature, `untrained_sharpness` where it
        is (see `predspace_widgets.trajectories.retemper`), and `untrained_accuracy`, which no temperature changes.

    Raises
    ------
    ValueError
        See `predspace_widgets.trajectories.restrict_classes`.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> table = progress_on(geodesic_run(), ["0", "1"])
    >>> table[["untrained", "trained"]].round(3).values.tolist()
    [[0.0, 1.0]]
    """
    part = restrict_classes(ds, classes)
    label, runs = part["label"].values, rows_of_runs(part)
    outer = np.array([[rows[0], rows[-1]] for rows in runs.values()])  # (R, 2)
    probs = part["probs"].isel(checkpoint=outer.ravel()).values  # (2R, n, c)
    ends = ignorance(*probs.shape[1:]), truth(label, probs.shape[2])
    records = []
    for number, rows in enumerate(runs.values()):
        record = {name: part[name].values[rows[0]] for name in RUN_COORDS}
        record |= {"classes": ", ".join(class_names(part)), "n_samples": len(label)}
        for name, row in (("untrained", 2 * number), ("trained", 2 * number + 1)):
            best, sharpness = _most_progress(probs[row], *ends, metric)
            record[name] = float(progress(probs[row], *ends, metric))
            record[f"{name}_best"], record[f"{name}_sharpness"] = best, sharpness
            record[f"{name}_accuracy"] = float((probs[row].argmax(axis=-1) == label).mean())
        records.append(record)
    return pd.DataFrame.from_records(records)


def progress_on_unseen(
    ds: xr.Dataset, task_classes: Mapping[str, Collection[str]], metric: ProgressMetric = "bhattacharyya"
) -> pd.DataFrame:
    """Progress of each run within the classes that its task leaves out; see `progress_on`.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories of networks that saw the classes of their task only.
    task_classes : mapping of task to class names
        Tasks that leave out one class or none are passed over, and so are those not in the mapping.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.

    Returns
    -------
    pandas.DataFrame
        Those of `progress_on`.

    Raises
    ------
    ValueError
        No task of the dataset leaves out two classes.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> classes = {"red": {"class 0", "class 1"}, "green": {f"class {k}" for k in range(5)}}
    >>> progress_on_unseen(random_trajectories(), classes)["classes"].unique().tolist()
    ['class 2, class 3, class 4']
    """
    everything = set(class_names(ds))
    tables = []
    for task in dict.fromkeys(ds["task"].values.tolist()):
        unseen = everything - set(task_classes.get(task, everything))
        if len(unseen) > 1:
            tables.append(progress_on(ds.isel(checkpoint=ds["task"].values == task), unseen, metric))
    if not tables:
        raise ValueError("no task of this dataset leaves out two classes")
    return pd.concat(tables, ignore_index=True)


def progress_of_nested_tasks(
    ds: xr.Dataset, task_classes: Mapping[str, Collection[str]], metric: ProgressMetric = "bhattacharyya"
) -> pd.DataFrame:
    """What more classes add for classes that are in neither task: tasks of which one contains the other.

    Progress on all classes grows with the number of classes trained on for a plain reason, that more of them were
    trained on. Here both tasks of a pair are read within the classes that both leave out.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories of networks that saw the classes of their task only.
    task_classes : mapping of task to class names
    metric : {"bhattacharyya", "great_circle"}
        Of progress.

    Returns
    -------
    pandas.DataFrame
        Those of `progress_on`, with columns pair ("smaller < larger") and n_classes (trained on); empty where no
        task that leaves out two classes contains another.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> classes = {"red": ["class 0", "class 1"], "green": ["class 0", "class 1", "class 2"]}
    >>> progress_of_nested_tasks(random_trajectories(), classes)["pair"].unique().tolist()
    ['red < green']
    """
    sets = {task: set(classes) for task, classes in task_classes.items() if task in ds["task"].values}
    everything = set(class_names(ds))
    tables = []
    for small, large in _nested(sets):
        outside = everything - sets[large]
        if len(outside) < 2:
            continue
        for task in (small, large):
            table = progress_on(ds.isel(checkpoint=ds["task"].values == task), outside, metric)
            tables.append(table.assign(pair=f"{small} < {large}", n_classes=len(sets[task])))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def progress_at_end(
    ds: xr.Dataset, task_classes: Mapping[str, Collection[str]], metric: ProgressMetric = "bhattacharyya"
) -> pd.DataFrame:
    """Progress on all classes at the end of each run, beside the number of classes that its task has.

    Parameters
    ----------
    ds : xarray.Dataset
        Trajectories with predictions.
    task_classes : mapping of task to class names
        Tasks not in it are left out.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.

    Returns
    -------
    pandas.DataFrame
        A row a run, columns task, method, seed, n_classes, progress.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> progress_at_end(random_trajectories(), {"red": ["class 0", "class 3"]})["n_classes"].tolist()
    [2, 2]
    """
    reached = analysis_of(ds).measured.progress(metric)
    records = []
    for rows in rows_of_runs(ds).values():
        record = {name: ds[name].values[rows[-1]] for name in RUN_COORDS}
        if record["task"] in task_classes:
            n_classes = len(set(task_classes[record["task"]]))
            records.append(record | {"n_classes": n_classes, "progress": float(reached[rows[-1]])})
    return pd.DataFrame.from_records(records)


def transfer(
    data: xr.Dataset | Analysis,
    task_classes: Mapping[str, Collection[str]] | None = None,
    selection: Selection | None = None,
    metric: ProgressMetric = "bhattacharyya",
) -> xr.Dataset:
    """What training on one task teaches of the classes of another: progress within these classes.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        Trajectories with predictions.
    task_classes : mapping of task to class names, optional
        By default what the dataset's recipe says (see `predspace_widgets.trajectories.samples.classes_of_tasks`).
    selection : Selection, optional
        Whose last checkpoints are read; by default of everything.
    metric : {"bhattacharyya", "great_circle"}
        Of progress.

    Returns
    -------
    xarray.Dataset
        `progress` (curve, classes): of the last checkpoints, the mean over seeds, within the classes of a task,
        predicted among these only. `untrained` (classes): the most that untrained networks make of the same with one
        temperature for all samples, for being surer alone makes progress; the mean over up to five of them. `gain`,
        the one less the other. `seen` (curve, classes): the share of these classes that are among those of the
        curve's task, NaN where nothing says which those are. `n_runs` (curve), `n_classes` (classes).

    Raises
    ------
    NoPredictionsError
    ValueError
        Nothing says which classes a task has, a class that the dataset has not, or nothing is chosen.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> classes = {"red": ["class 0", "class 1"], "blue": ["class 2", "class 3"]}
    >>> transfer(random_trajectories(), classes).progress.dims
    ('curve', 'classes')
    """
    analysis = analysis_of(data)
    analysis.measured.check_predictions()
    ds, known = analysis.ds, class_names(analysis.ds)
    if task_classes is not None and not isinstance(task_classes, Mapping):
        raise ValueError(f"task_classes must map tasks to names of classes, got {task_classes!r}")
    sets = {task: set(map(str, names)) for task, names in (task_classes or classes_of_tasks(ds)).items()}
    columns = _different_sets({task: names for task, names in sets.items() if len(names) > 1}, known)
    if not columns:
        raise ValueError("nothing says which classes the tasks have: the recipe of this dataset does not; give them")
    runs = list(rows_of_runs(ds, checked_selection(selection).rows(ds)).values())
    last, first = np.array([rows[-1] for rows in runs]), _untrained(analysis)
    curve = analysis.curve_numbers[last]
    rows = np.concatenate([last, first])
    part = checkpoints(analysis, rows)
    made, untrained = [], []
    for names in columns.values():
        probs, start, end = predicted_among(part, names)
        made.append(progress(probs[: len(last)], start, end, metric))
        untrained.append(np.mean([_most_progress(one, start, end, metric)[0] for one in probs[len(last) :]]))
    shown = np.unique(curve)
    means = np.array([[of_class[curve == number].mean() for of_class in made] for number in shown])  # (curve, classes)
    tasks = [analysis.curve_pairs[number][0] for number in shown]
    seen = [
        [len(sets[task] & names) / len(names) if task in sets else np.nan for names in columns.values()]
        for task in tasks
    ]
    return xr.Dataset(
        {
            "progress": (("curve", "classes"), means),
            "untrained": ("classes", np.array(untrained)),
            "gain": (("curve", "classes"), means - np.array(untrained)),
            "seen": (("curve", "classes"), np.array(seen, dtype=float)),
            "n_runs": ("curve", np.array([int((curve == number).sum()) for number in shown])),
            "n_classes": ("classes", np.array([len(names) for names in columns.values()])),
        },
        coords={"curve": [analysis.curve_names[number] for number in shown], "classes": list(columns)},
        attrs={"metric": metric, "n_untrained": len(first)},
    )


def checkpoints(analysis: Analysis, rows: Sequence[int] | NDArray[np.intp]) -> xr.Dataset:
    """Some checkpoints of a dataset, with predictions from memory where they are held there."""
    part = analysis.ds.isel(checkpoint=rows)
    return part.assign(probs=part["probs"].copy(data=analysis.measured.probs().isel(checkpoint=rows).data))


def predicted_among(part: xr.Dataset, classes: Collection[str]) -> tuple[Array, Array, Array]:
    """Predictions (T, n, c) of some classes among these only, and their ignorance and truth, (n, c) each."""
    among = restrict_classes(part, classes)
    probs = among["probs"].values
    return probs, ignorance(*probs.shape[1:]), truth(among["label"].values, probs.shape[2])


def _different_sets(sets: Mapping[str, set[str]], known: Collection[str]) -> dict[str, set[str]]:
    """Sets of classes by the first task that has them, once each; a class that is not known is an error."""
    different: dict[str, set[str]] = {}
    for task, names in sets.items():
        unknown = sorted(names - set(known))
        if unknown:
            raise ValueError(f"no class {unknown[0]!r} in this dataset; it has {', '.join(known)}")
        if names not in different.values():
            different[task] = names
    return different


def _untrained(analysis: Analysis) -> NDArray[np.intp]:
    """First checkpoints, of those of each seed the one with least progress: fine-tuning starts from trained ones."""
    reached, seeds = analysis.measured.progress(), analysis.ds["seed"].values
    first = np.array([rows[0] for rows in rows_of_runs(analysis.ds).values()])
    of_seeds = [first[seeds[first] == seed] for seed in np.unique(seeds)[:_MOST_UNTRAINED]]
    return np.array([rows[reached[rows].argmin()] for rows in of_seeds])


def _nested(sets: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Pairs of tasks, the classes of the first all among those of the second."""
    return ((small, large) for small, large in itertools.permutations(sets, 2) if sets[small] < sets[large])


def _most_progress(probs: Array, start: Array, end: Array, metric: ProgressMetric) -> tuple[float, float]:
    """Most progress that one sharpness for all samples makes, and that sharpness."""
    low, high = -float(_LARGEST_POWER), float(_LARGEST_POWER)
    for _ in range(_ZOOMS):
        powers = np.linspace(low, high, 4 * _LARGEST_POWER + 1)
        made = progress(retemper(probs, 2.0**powers), start, end, metric)  # (K,)
        best = int(made.argmax())
        low, high = powers[max(best - 1, 0)], powers[min(best + 1, len(powers) - 1)]
    return float(made[best]), float(2.0 ** powers[best])
