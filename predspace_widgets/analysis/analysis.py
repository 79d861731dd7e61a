"""The handle of a dataset: everything that is measured on it, with labels.

Costly results are computed once, for all checkpoints (see `measurements`); a selection of checkpoints then only picks
from them.
"""

from __future__ import annotations

import itertools
import operator
import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.cache import Cache
from predspace_widgets.analysis.frame import (
    Axes,
    axes_of,
    fit,
    make_picture,
    measure_for_frames,
    signs_like,
    stored_picture,
)
from predspace_widgets.analysis.groups import Curves
from predspace_widgets.analysis.measurements import ComparedCurves, Measurements, PartOf, Places, Sides, digest
from predspace_widgets.analysis.points import Points
from predspace_widgets.geometry.curves import LengthMethod
from predspace_widgets.geometry.distance import Metric, check_metric
from predspace_widgets.geometry.floor import p_value
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS, attribute, attributes_of
from predspace_widgets.trajectories.samples import Samples, class_names
from predspace_widgets.trajectories.schema import validate
from predspace_widgets.trajectories.selection import (
    CurveKey,
    EmptySelectionError,
    Selection,
    pair_of,
    rows_of_runs,
)

_EVERYTHING = Selection()
_Result = TypeVar("_Result")
# The signs of so many axes come from one fit of the whole dataset, whatever number of them is asked for.
_SIGNED_AXES = 8
# Results of selections that are held, and how large they may be together.
_MOST_SELECTIONS = 64
_MOST_SELECTION_BYTES = 2**28
# Axes that are held: what is shown changes more often than what they are fitted on.
_MOST_AXES = 16
# Choices of samples whose measurements are held.
_MOST_SAMPLES = 4


def analysis_of(data: xr.Dataset | Analysis) -> Analysis:
    """The measurements on a dataset, which keep what they computed until one of its variables is set anew.

    Parameters
    ----------
    data : xarray.Dataset or Analysis

    Returns
    -------
    Analysis
        The same one whenever it is called with this dataset; an analysis itself.

    Raises
    ------
    TrajectoriesError
        It is no valid trajectories dataset.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories()
    >>> analysis_of(ds) is analysis_of(ds)
    True
    """
    if isinstance(data, Analysis):
        return data
    ds, variables = data, _parts_of(data)
    with _lock:
        known = _analyses.get(id(ds))
    if known is not None and len(known[0]) == len(variables) and all(map(operator.is_, known[0], variables)):
        return known[1]
    validate(ds, values=False)
    # Of a copy, which shares the variables: the analysis must not keep the dataset itself alive.
    analysis = Analysis(ds.copy(deep=False))
    _remember(ds, analysis)
    return analysis


def dataset_of_samples(ds: xr.Dataset, samples: Samples) -> xr.Dataset:
    """The dataset of some samples, whose `analysis_of` is the `Analysis.of_samples` of that of `ds`.

    Raises
    ------
    NoPredictionsError
    ValueError
        See `predspace_widgets.trajectories.Samples.places`.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> dataset_of_samples(random_trajectories(), Samples(rows=(0, 2))).sizes["sample"]
    2
    """
    analysis = analysis_of(ds).of_samples(samples)
    part = analysis.ds.copy(deep=False)
    _remember(part, analysis)
    return part


def _remember(ds: xr.Dataset, analysis: Analysis) -> None:
    with _lock:
        if id(ds) not in _analyses:
            weakref.finalize(ds, _analyses.pop, id(ds), None)
        _analyses[id(ds)] = _parts_of(ds), analysis


def _parts_of(ds: xr.Dataset) -> list[object]:
    """What a dataset is made of: with another part it is another dataset."""
    return [*ds.variables.values(), ds.attrs.get("curves_by")]


_lock = threading.Lock()
_analyses: dict[int, tuple[list[object], Analysis]] = {}


@dataclass(frozen=True)
class _Side:
    """A curve, or a run, that is compared: its runs, and those of its curve, whose differences are chance."""

    label: str
    runs: list[NDArray[np.intp]]
    seeds: list[NDArray[np.intp]]
    is_run: bool

    def without(self, other: _Side) -> _Side:
        """Without a run that it is compared with: a mean that holds a run is near to it for that reason alone."""
        if not other.is_run or self.is_run:
            return self
        first = int(other.runs[0][0])
        runs = [rows for rows in self.runs if int(rows[0]) != first]
        if not runs:
            raise ValueError(f"{self.label!r} has no other run than {other.label!r} to compare with")
        return replace(self, runs=runs)


class Analysis:
    """The measurements on one trajectories dataset.

    A *curve* is what is drawn in one colour: all seeds of a task and method, of one source where datasets were joined.
    See `groups.label_of` for its name.

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.
    measured : Measurements, optional
        On this dataset.
    like : Analysis, optional
        Of the same checkpoints: signs of axes are those of its pictures.

    Attributes
    ----------
    curve_names : list of str
        Labels of the curves, in the order of the dataset.
    curve_coordinates : tuple of str
        Names of what tells curves apart: "task", "method", and what else does, such as "source".
    curve_pairs : list of (task, method, ...)
        What the curves are, in the same order: the values of these.
    curve_numbers : array of int, shape (T,)
        Place in `curve_names` of each checkpoint's curve.
    curves : array of str, shape (T,)
        Label of each checkpoint's curve.
    attributes : dict of str to Attribute
        The attributes of runs and their values.
    measured : Measurements
        What is computed on all checkpoints.
    points : Points
        Predictions of single checkpoints.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> analysis = Analysis(random_trajectories())
    >>> analysis.curve_names
    ['red', 'green', 'blue']
    >>> analysis.picture(Selection(tasks=("red", "blue"))).sizes["checkpoint"]
    32
    """

    def __init__(self, ds: xr.Dataset, measured: Measurements | None = None, like: Analysis | None = None) -> None:
        self.ds = ds
        self._like = like
        self._curves = Curves(ds)
        self.curve_names: list[str] = self._curves.labels
        self.curve_coordinates: tuple[str, ...] = self._curves.coordinates
        self.curve_pairs: list[CurveKey] = self._curves.pairs
        self.curve_numbers: NDArray[np.intp] = self._curves.of_checkpoint
        self.curves: NDArray[np.str_] = np.array(self.curve_names)[self.curve_numbers]
        self.attributes = {name: attribute(ds, name) for name in attributes_of(ds)}
        self.measured = measured or Measurements(ds)
        self.points = Points(self.measured)
        self._whole = Cache()
        self._selections = Cache(_MOST_SELECTIONS, _MOST_SELECTION_BYTES)
        self._axes = Cache(_MOST_AXES, _MOST_SELECTION_BYTES)
        self._samples = Cache(_MOST_SAMPLES)

    # -- on all checkpoints, computed once -----------------------------------------------------------------------------

    @property
    def has_predictions(self) -> bool:
        """False for an embedding-only dataset."""
        return "probs" in self.ds

    def distances(
        self,
        metric: Metric = "bhattacharyya",
        device: str = "cpu",
        keep: bool | None = None,
        show_progress: bool = True,
    ) -> xr.DataArray:
        """Pairwise distances of all checkpoints, (checkpoint, other); see `PredspaceAccessor.distances`."""
        values = self.measured.distances(metric, device, keep, show_progress)
        coords = {name: ("checkpoint", self.ds[name].values) for name in CHECKPOINT_COORDS}
        others = {f"other_{name}": ("other", self.ds[name].values) for name in CHECKPOINT_COORDS}
        return xr.DataArray(values, dims=("checkpoint", "other"), coords=coords | others, name=f"{metric} distance")

    def progress(self, metric: ProgressMetric = "bhattacharyya") -> xr.DataArray:
        """Geometric progress of all checkpoints from ignorance to truth, (checkpoint,)."""
        return self._labelled(self.measured.progress(metric), "progress")

    def accuracy(self) -> xr.DataArray:
        """Share of samples whose most probable class is the true one, (checkpoint,); the recorded one if there is."""
        recorded = "accuracy" in self.ds
        return self._labelled(self.ds["accuracy"].values if recorded else self.measured.accuracy(), "accuracy")

    def prepare(self) -> None:
        """Compute all that is kept, so that selections are quick from now on."""
        if self.has_predictions:
            measure_for_frames(self.measured)
            self.measured.progress()
            self.measured.step_lengths()
            if self.ds.sizes["checkpoint"] > 1:
                self._whole_embedding(_SIGNED_AXES)

    def of_samples(self, samples: Samples | None) -> Analysis:
        """The measurements of the same checkpoints on some samples only, or predicted among some classes.

        Parameters
        ----------
        samples : Samples or None
            None gives this analysis itself.

        Returns
        -------
        Analysis
            The last four choices are kept. Signs of axes are those of the pictures of all samples, so that nothing
            flips. Of predictions on disk, whole classes are answered from what the first pass kept of each class (see
            `predspace_widgets.analysis.large.by_class`), without reading them again.

        Raises
        ------
        NoPredictionsError
        ValueError
            See `predspace_widgets.trajectories.Samples.places`.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> of_two = Analysis(random_trajectories()).of_samples(Samples(classes=("class 1", "class 4")))
        >>> of_two.ds.sizes["sample"], of_two.picture().sizes["checkpoint"]
        (11, 48)
        """
        if samples is None:
            return self

        def make() -> Analysis:
            samples.places(self.ds)  # before anything is read
            here = self.measured.probs()
            ds = samples.apply(self.ds if here.chunks is not None else self.ds.assign(probs=here))
            names = class_names(self.ds)
            classes = tuple(names.index(name) for name in samples.classes or ())
            part_of = PartOf(self.measured, classes) if samples.by_class_alone else None
            return Analysis(ds, Measurements(ds, part_of), like=self)

        return self._samples.get(samples, make)

    # -- on a selection ------------------------------------------------------------------------------------------------

    def picture(
        self,
        selection: Selection = _EVERYTHING,
        n_components: int = 3,
        fitted_on: Selection | None = None,
        metric: Metric = "bhattacharyya",
    ) -> xr.Dataset:
        """InPCA of the selected checkpoints, with ignorance, truth and the geodesic between them projected into it.

        Parameters
        ----------
        selection : Selection
            What is shown.
        n_components : int
        fitted_on : Selection, optional
            The checkpoints that the axes come from, by default those that are shown. Others that are shown are
            projected, so that axes can stay while curves come and go.
        metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean"}
            Of the distances that are embedded, great-circle distances squared; see `InPCA`. Its name is an attribute.

        Returns
        -------
        xarray.Dataset
            `embedding` (checkpoint, component) and its `mean` over the seeds that are shown (mean_point, component),
            each at one step of a curve (`mean_curve`, `mean_step`; `mean_epoch` is rounded);
            `geodesic` (point, component), from ignorance to truth; `eigenvalue` (signed), `explained_stress`
            (cumulative) and `axis_stress` (of each axis), all (component,) and of the checkpoints that the axes come
            from, whose number is the attribute `fitted_on`. In a dataset of more than `frame.MOST_EXACT` checkpoints
            the axes come from landmarks, whose number is the attribute `landmarks`, and the stress is estimated on up
            to 1,000 checkpoints drawn from all. Signs of axes are those of the picture of the whole dataset on the
            checkpoints that the axes come from, and that of another metric has those of the default one: the same
            selections are the same picture, whatever was looked at before. An embedding-only dataset has its stored
            axes whatever is asked for: no attribute `fitted_on`, for what they were fitted on is not recorded.

        Raises
        ------
        ValueError
            The selection is empty, the axes would come from no or a single checkpoint, the metric is unknown, or is
            another one than Bhattacharyya's in a dataset of more than `frame.MOST_EXACT` checkpoints.
        NoPredictionsError
            Another metric of an embedding-only dataset.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> picture = Analysis(random_trajectories()).picture(Selection(tasks=("red",)), fitted_on=Selection())
        >>> picture.sizes["checkpoint"], picture.attrs["fitted_on"]
        (16, 48)
        """
        rows = selection.rows(self.ds)
        check_metric(metric)
        if metric != "bhattacharyya":
            self.measured.check_predictions()
        if not self.has_predictions:
            return self._selections.get(
                ("stored", digest(rows), n_components),
                lambda: stored_picture(self.ds, self._curves, rows, n_components),
            )
        fitted = rows if fitted_on is None else self._fitted_rows(fitted_on)
        return self._selections.get(
            ("picture", digest(rows), digest(fitted), n_components, metric),
            lambda: self._picture(rows, fitted, n_components, metric),
        )

    def _fitted_rows(self, fitted_on: Selection) -> NDArray[np.intp]:
        try:
            return fitted_on.rows(self.ds)
        except EmptySelectionError as error:
            raise EmptySelectionError(f"the axes have nothing to be fitted on: {error}") from error

    def _picture(
        self, rows: NDArray[np.intp], fitted: NDArray[np.intp], n_components: int, metric: Metric
    ) -> xr.Dataset:
        if len(fitted) < 2:
            what = "is chosen: a picture needs" if fitted is rows else "is what the axes are fitted on: they need"
            raise EmptySelectionError(f"only one checkpoint {what} at least two")
        key = (digest(fitted), n_components, metric)
        axes = self._axes_of(fitted, n_components, metric)
        if np.isin(rows, fitted).all():
            embedding = axes.fitted[np.searchsorted(fitted, rows)]
        else:  # of all at once, so that whatever is shown next is there
            embedding = self._axes.get(("coordinates", *key), lambda: axes.of_all(self.measured))[rows]
        eigenvalues = axes.frame.inpca.eigenvalues_
        picture = make_picture(self.ds, self._curves, rows, embedding, eigenvalues, axes.explained_stress, axes.line)
        picture.attrs |= {"fitted_on": len(fitted), "metric": metric}
        if axes.frame.landmarks is not None:
            picture.attrs["landmarks"] = len(axes.frame.landmarks)
        return picture

    def mean_points(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which of the means over seeds, as a picture of some checkpoints has them, each of these counts in, (n,)."""
        return np.asarray(self._curves.by_step(rows, {}).ngroup())

    def axes_of_everything(self, n_components: int = 3) -> Axes:
        """The axes of the picture of all checkpoints.

        Raises
        ------
        ValueError
            There is a single checkpoint.
        """
        return self._axes_of(np.arange(self.ds.sizes["checkpoint"]), n_components)

    def _axes_of(self, fitted: NDArray[np.intp], n_components: int, metric: Metric = "bhattacharyya") -> Axes:
        def compute() -> Axes:
            whole = self._whole_embedding(max(n_components, _SIGNED_AXES), metric)
            return axes_of(self.measured, fitted, n_components, whole, metric)

        return self._axes.get(("axes", digest(fitted), n_components, metric), compute)

    def _whole_embedding(self, n_components: int, metric: Metric = "bhattacharyya") -> Array:
        """Coordinates of all checkpoints, (T, component), with signs by the rule of `InPCA` or those of `like`.

        Of another metric, with those of Bhattacharyya distances.
        """
        every = np.arange(self.ds.sizes["checkpoint"])

        def compute() -> Array:
            embedding = fit(self.measured, every, n_components, metric).inpca.embedding_
            if self._like is not None:
                whole = self._like._whole_embedding(n_components, metric)
            elif metric != "bhattacharyya":
                whole = self._whole_embedding(n_components)
            else:
                return embedding
            return np.asarray(embedding * signs_like(embedding, every, whole))

        return self._whole.get((n_components, metric), compute)

    def progress_curves(
        self, selection: Selection = _EVERYTHING, metric: ProgressMetric = "bhattacharyya"
    ) -> pd.DataFrame:
        """Progress along training: mean, lowest and highest over the seeds of each curve, one row a step.

        Columns: curve, step, epoch, mean, low, high, n_seeds.
        """
        return self._curves.over_seeds(selection.rows(self.ds), self.measured.progress(metric))

    def riemann_lengths(
        self, selection: Selection = _EVERYTHING, method: LengthMethod = "bhattacharyya"
    ) -> pd.DataFrame:
        """Riemann length of the selected part of each run.

        Columns: run, curve, task, method, seed, length, n_checkpoints, first_step, last_step. Lengths grow with the
        number of checkpoints: compare those on equal schedules.
        """
        rows = selection.rows(self.ds)
        steps = self.measured.step_lengths(method)
        records = []
        for run, members in rows_of_runs(self.ds, rows).items():
            first, last = members[0], members[-1]
            records.append(
                {
                    "run": run,
                    "curve": self.curves[first],
                    **{name: self.ds[name].values[first] for name in ("task", "method", "seed")},
                    "length": float(steps[members[1:]].sum()),
                    "n_checkpoints": len(members),
                    "first_step": int(self.ds["step"].values[first]),
                    "last_step": int(self.ds["step"].values[last]),
                }
            )
        return pd.DataFrame.from_records(records)

    def comparison(
        self,
        first: str | CurveKey,
        second: str | CurveKey,
        selection: Selection = _EVERYTHING,
        metric: ProgressMetric = "bhattacharyya",
        n_points: int = 51,
        progress_range: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """Distance between two curves at equal progress, and what chance between their seeds makes of it.

        Parameters
        ----------
        first, second : str or (task, method, ...)
            Curves: a label (`curve_names`), what it is (`curve_pairs`), or a task that has one curve. Or runs by their
            names: a run is compared with a curve of its own without itself, and its floor is that of all runs of its
            curve.
        selection : Selection
            Its seeds and epochs count; the curves are named. A named run counts whatever its seed.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        n_points : int
            Values of progress.
        progress_range : pair of float, optional
            Compare over this range, so that several pairs share one. By default all that the runs of both cover, and
            those that the floor is measured on.

        Returns
        -------
        xarray.Dataset
            `distance` (progress), d_B between the means over the seeds of each, and, where a side has two seeds,
            `floor` (progress), what it would be if chance between seeds alone made it, for means over as many seeds
            (see `predspace_widgets.geometry.matched_floor`).

            Attributes: `first`, `second` (labels) and `n_first`, `n_second` (numbers of runs); `d_traj`, the area
            under the distance; `progress_range`; `mean_distance`, d_traj over the width of the range, which alone
            ranks pairs with ranges of their own; with a floor also `floor_mean_distance`, `p_value`, the share of
            relabellings of the runs that are as far apart, `p_is_exact`, 1 where all relabellings were tried (of more
            than 1,000 so many are drawn), and `smallest_p`, the smallest there can be: 1 over the number that is tried.

        Raises
        ------
        ValueError
            An unknown curve, twice the same one, no common range of progress or one that does not hold the given one.
        NoPredictionsError
        """
        one, other = self._two_sides(first, second, selection)
        runs = [*one.runs, *other.runs]
        places_of: dict[int, int] = {int(rows[0]): place for place, rows in enumerate(runs)}
        for rows in (*one.seeds, *other.seeds):  # a run is one of the seeds of its curve, whose floor is its own
            if int(rows[0]) not in places_of:
                places_of[int(rows[0])] = len(runs)
                runs.append(rows)
        of_sides = [tuple(places_of[int(rows[0])] for rows in side.seeds) for side in (one, other)]
        sides = Sides(len(one.runs), len(other.runs), *of_sides)
        if progress_range is not None:
            progress_range = pair_of("progress_range", progress_range)
        places = self.measured.places(runs, metric, n_points, progress_range)
        compared = self._selections.get(
            ("comparison", *map(digest, runs), sides, metric, n_points, progress_range),
            lambda: self.measured.compare(places, sides),
        )
        return self._comparison((one.label, other.label), sides, places, compared)

    def comparisons(
        self, selection: Selection = _EVERYTHING, metric: ProgressMetric = "bhattacharyya", n_points: int = 51
    ) -> dict[tuple[int, int], xr.Dataset | str]:
        """`comparison` of each pair of curves, over the range of progress that the two share, in one go.

        Parameters
        ----------
        selection : Selection
            Its seeds and epochs count, of all curves.
        metric : {"bhattacharyya", "great_circle"}
        n_points : int

        Returns
        -------
        dict
            By the places (i, j) of two curves in `curve_names`, i < j: the comparison, or the text of its error where
            there is none (no common range of progress, or no checkpoint of one of them is chosen).

        Raises
        ------
        ValueError
            Fewer than two points, an unknown metric, or no checkpoint is chosen at all.
        NoPredictionsError

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> compared = Analysis(random_trajectories()).comparisons(n_points=5)
        >>> [(pair, round(result.attrs["mean_distance"], 3)) for pair, result in compared.items()]
        [((0, 1), 0.158), ((0, 2), 0.232), ((1, 2), 0.23)]
        """
        rows = selection.of_all_curves().rows(self.ds)
        self.measured.progress(metric)
        if n_points < 2:
            raise ValueError(f"n_points must be at least 2, got {n_points}")
        return dict(
            self._selections.get(
                ("comparisons", digest(rows), metric, n_points), lambda: self._comparisons(selection, metric, n_points)
            )
        )

    def _comparisons(
        self, selection: Selection, metric: ProgressMetric, n_points: int
    ) -> dict[tuple[int, int], xr.Dataset | str]:
        results: dict[tuple[int, int], xr.Dataset | str] = {}
        pairs: dict[tuple[int, int], tuple[Places, Sides]] = {}
        for pair in itertools.combinations(range(len(self.curve_names)), 2):
            try:
                sides = [self._runs_of(curve, selection) for curve in pair]
                runs = [run for side in sides for run in side]
                pairs[pair] = self.measured.places(runs, metric, n_points), Sides.whole(*map(len, sides))
            except ValueError as error:
                results[pair] = str(error)
        if pairs:
            compared = self.measured.compare_all(list(pairs.values()))
            for ((one, other), (places, of_both)), of_pair in zip(pairs.items(), compared, strict=True):
                labels = self.curve_names[one], self.curve_names[other]
                results[one, other] = self._comparison(labels, of_both, places, of_pair)
        return {pair: results[pair] for pair in sorted(results)}

    def _comparison(
        self, labels: tuple[str, str], sides: Sides, places: Places, compared: ComparedCurves
    ) -> xr.Dataset:
        assert places.grid is not None
        grid, d_traj = places.grid, float(compared.relabelled[0])
        width = float(grid[-1] - grid[0])
        result = xr.Dataset(
            {"distance": ("progress", compared.distance)},
            coords={"progress": grid},
            attrs={
                "first": labels[0],
                "second": labels[1],
                "n_first": sides.n_first,
                "n_second": sides.n_second,
                "d_traj": d_traj,
                "mean_distance": d_traj / width,
                "progress_range": (float(grid[0]), float(grid[-1])),
            },
        )
        if compared.floor is not None:
            result["floor"] = ("progress", compared.floor)
            result.attrs["floor_mean_distance"] = float(np.trapezoid(compared.floor, grid)) / width
        if sides.n_first + sides.n_second > 2:
            result.attrs |= {
                "p_value": p_value(compared.relabelled),
                "smallest_p": 1 / len(compared.relabelled),
                "p_is_exact": int(compared.exact),  # NetCDF knows no bool
            }
        return result

    def two_curves(
        self, first: str | CurveKey, second: str | CurveKey, selection: Selection = _EVERYTHING
    ) -> tuple[int, int, list[NDArray[np.intp]], list[NDArray[np.intp]]]:
        """Places of two different curves, and rows of the runs of each; for the errors see `comparison`."""
        self.measured.check_predictions()
        one, other = self._curves.find(first), self._curves.find(second)
        if one == other:
            raise ValueError(f"choose two different curves to compare, both are {self.curve_names[one]!r}")
        return one, other, self._runs_of(one, selection), self._runs_of(other, selection)

    def find_curve(self, curve: str | CurveKey) -> int:
        """Place of a curve in `curve_names`, by its label, its task and method, or a task that has one method.

        Raises
        ------
        ValueError
            There is no such curve, or the task has several methods.
        """
        return self._curves.find(curve)

    def curve_of(self, name: str) -> int:
        """Place in `curve_names` of a curve, named as in `comparison`, or of a run's curve."""
        rows = np.flatnonzero(self.ds["run"].values == name)
        if name not in self.curve_names and len(rows):
            return int(self.curve_numbers[rows[0]])
        return self._curves.find(name)

    def once(self, key: tuple[Hashable, ...], compute: Callable[[], _Result]) -> _Result:
        """A result on a selection, computed where nobody has asked for this key yet, and held for a while."""
        return self._selections.get(key, compute)

    # -- the pieces ----------------------------------------------------------------------------------------------------

    def _two_sides(self, first: str | CurveKey, second: str | CurveKey, selection: Selection) -> tuple[_Side, _Side]:
        """Two different curves or runs; for the errors see `comparison`."""
        self.measured.check_predictions()
        one, other = self._side(first, selection), self._side(second, selection)
        if one.label == other.label:
            what = "runs" if one.is_run else "curves"
            raise ValueError(f"choose two different {what} to compare, both are {one.label!r}")
        return one.without(other), other.without(one)

    def _side(self, name: str | CurveKey, selection: Selection) -> _Side:
        if isinstance(name, str) and name not in self.curve_names:
            rows = np.flatnonzero(self.ds["run"].values == name)
            if len(rows):
                seeds = self._runs_of(int(self.curve_numbers[rows[0]]), Selection(epochs=selection.epochs))
                runs = [run for run in seeds if run[0] in rows]
                if not runs:
                    raise EmptySelectionError(f"no checkpoint of {name!r} is chosen")
                return _Side(name, runs, seeds, True)
        curve = self._curves.find(name)
        runs = self._runs_of(curve, selection)
        return _Side(self.curve_names[curve], runs, runs, False)

    def _runs_of(self, curve: int, selection: Selection) -> list[NDArray[np.intp]]:
        """Rows of each run of a curve, in the seeds and epochs of a selection."""
        rows = selection.of_all_curves().rows(self.ds)
        runs = list(rows_of_runs(self.ds, rows[self._curves.of_checkpoint[rows] == curve]).values())
        if not runs:
            raise EmptySelectionError(f"no checkpoint of {self.curve_names[curve]!r} is chosen")
        return runs

    def _labelled(self, values: np.ndarray, name: str) -> xr.DataArray:
        coords = {key: ("checkpoint", self.ds[key].values) for key in CHECKPOINT_COORDS}
        return xr.DataArray(values, dims="checkpoint", coords=coords, name=name)
