"""`ds.predspace`: a face of `analysis`, on any trajectories dataset."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import xarray as xr

from predspace_widgets.analysis import inspection
from predspace_widgets.analysis.analysis import Analysis, analysis_of, dataset_of_samples
from predspace_widgets.analysis.classes import transfer
from predspace_widgets.analysis.common_range import By, Of
from predspace_widgets.analysis.dimension import spectrum, stress_by_metric
from predspace_widgets.analysis.frechet import frechet
from predspace_widgets.analysis.group_comparison import compare
from predspace_widgets.analysis.inpca_of_trajectories import PointOf, inpca_of_trajectories
from predspace_widgets.analysis.large.tiles import save_distances
from predspace_widgets.analysis.matrix import matrix
from predspace_widgets.analysis.mean_trajectory import distance_to_mean, mean_trajectory
from predspace_widgets.analysis.nulls import N_DRAWS
from predspace_widgets.analysis.outliers import FAR, outliers
from predspace_widgets.analysis.run_values import Asked, Number
from predspace_widgets.analysis.tangents import tangents
from predspace_widgets.analysis.temperature_band import TEMPERATURES, stress_band, temperature_band
from predspace_widgets.analysis.tree import Drawn, tree
from predspace_widgets.analysis.tube import tube
from predspace_widgets.geometry.curves import LengthMethod
from predspace_widgets.geometry.distance import Metric
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.geometry.mean import Mean
from predspace_widgets.trajectories.attributes import check_known_attribute
from predspace_widgets.trajectories.samples import Samples
from predspace_widgets.trajectories.schema import validate
from predspace_widgets.trajectories.selection import CurveKey, Selection, checked_selection
from predspace_widgets.trajectories.temperature import at_temperature

if TYPE_CHECKING:
    from predspace_widgets.analysis.uncertainty import Over
    from predspace_widgets.explorers.explorer import Explorer


class PredspaceAccessor:
    """Labelled measurements on a trajectories dataset; see `predspace_widgets.analysis.Analysis`.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> ds = random_trajectories()
    >>> ds.predspace.select(tasks=["red"], epochs=(0, 5)).predspace.inpca(n_components=2).embedding.shape
    (8, 2)
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self._ds = ds

    @property
    def analysis(self) -> Analysis:
        """The measurements, which keep what they computed until a variable of this dataset is set anew."""
        return analysis_of(self._ds)

    def select(
        self,
        tasks: str | Iterable[str] | None = None,
        methods: str | Iterable[str] | None = None,
        seeds: int | Iterable[int] | None = None,
        epochs: tuple[float, float] | None = None,
        where: Mapping[str, Any] | None = None,
        **attributes: Any,
    ) -> xr.Dataset:
        """The dataset of these checkpoints only.

        Parameters
        ----------
        tasks, methods, seeds : a value or several, optional
        epochs : pair of float, optional
            First and last, both included.
        where : mapping, optional
            Values of attributes of runs, one or several of each: {"architecture": ["cnn", "mlp"]}.
        attributes
            The same as keywords: `architecture="cnn"`, `source="mine"`.

        Raises
        ------
        EmptySelectionError
            None is left, or there is no such value.
        ValueError
            There is no such attribute, or `epochs` is no pair.
        """
        chosen = {**(where or {}), **attributes}
        for name in chosen:
            if name in ("task", "method", "seed", "epoch"):
                raise ValueError(f"checkpoints are chosen by {name}s=..., not by {name}=...")
        selection = Selection(
            None if tasks is None else _several(tasks),
            None if methods is None else _several(methods),
            None if seeds is None else _values(seeds),
            epochs,
            where=tuple((name, _values(values)) for name, values in chosen.items()) or None,
        )
        return self._ds.isel(checkpoint=selection.rows(self._ds))

    def curves_by(self, *names: str) -> xr.Dataset:
        """The dataset with curves that are also told apart by attributes of runs, not by task and method alone.

        Parameters
        ----------
        names : str
            Coordinates (checkpoint) that are constant within a run, such as "architecture". None takes back what was
            told before.

        Raises
        ------
        ValueError
            There is no such attribute; the message names those there are.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> ds = random_trajectories(tasks=("red",))
        >>> ds = ds.assign_coords(width=("checkpoint", ds.seed.values + 4))
        >>> ds.predspace.curves_by("width").predspace.analysis.curve_names
        ['red @ 4', 'red @ 5']
        """
        for name in names:
            check_known_attribute(self._ds, name)
        ds = self._ds.copy(deep=False)
        ds.attrs = {name: value for name, value in ds.attrs.items() if name != "curves_by"}
        return ds.assign_attrs(curves_by=list(names)) if names else ds

    def of_samples(
        self,
        classes: str | Iterable[str] | None = None,
        samples: Iterable[Any] | None = None,
        among: Iterable[str] | None = None,
        subset: str | None = None,
    ) -> xr.Dataset:
        """The dataset of all checkpoints on some samples only: their geometry is that of these samples.

        Pictures have the signs of axes of those of all samples. See `predspace_widgets.analysis.Analysis.of_samples`.

        Parameters
        ----------
        classes : str or iterable of str, optional
            Samples of these true classes.
        samples : iterable, optional
            Ids of samples.
        among : iterable of str, optional
            Samples of these classes, predicted among these classes only.
        subset : str, optional
            Samples of one set, "train" or "test", of a dataset that has a coordinate `subset` (sample).

        Returns
        -------
        xarray.Dataset
            Of the samples that fit all that is given, lazy where this one is.

        Raises
        ------
        NoPredictionsError
        ValueError
            An unknown class, id or subset, fewer than two classes to predict among, or no sample is left.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> random_trajectories().predspace.of_samples(classes="class 4").predspace.progress().sizes
        Frozen({'checkpoint': 48})
        """
        return dataset_of_samples(self._ds, Samples.of(self._ds, classes, samples, among, subset))

    def at_temperature(self, temperature: float) -> xr.Dataset:
        """The dataset that imprinting at another temperature would have recorded, lazy where this one is.

        See `predspace_widgets.trajectories.at_temperature` for what is kept and for the errors.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> ds = random_trajectories().assign_attrs(imprint_temperature=0.03)
        >>> ds.predspace.at_temperature(0.1).attrs["imprint_temperature"]
        0.1
        """
        return at_temperature(self._ds, temperature)

    def inpca(
        self,
        n_components: int = 3,
        metric: Metric = "bhattacharyya",
        *,
        bootstrap: int | None = None,
        over: Over = "samples",
        seed: int = 0,
    ) -> xr.Dataset:
        """InPCA picture, with error bars where `bootstrap` says of how many draws.

        See `Analysis.picture` for the result, and `predspace_widgets.analysis.uncertainty.bootstrap` for what error
        bars add to it, for the parameters and for the errors.

        Parameters
        ----------
        n_components : int
        metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean"}
            Of the distances that are embedded, great-circle distances squared. The symmetric KL divergence has the
            factor 1/2: its eigenvalues are half those of the sum over classes of (p - q) log(p / q).
        bootstrap : int, optional
            Number of draws, of Bhattacharyya distances only.
        over : {"samples", "seeds", "runs"}
            What is drawn anew, of error bars only.
        seed : int
            Of the draws.

        Raises
        ------
        ValueError
            Fewer checkpoints than axes, no axis at all, a metric that is unknown or not to be had, error bars of
            another metric than Bhattacharyya's, an unknown `over`, or one without `bootstrap`.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> random_trajectories().predspace.inpca(bootstrap=20, over="seeds").spread.sizes
        Frozen({'checkpoint': 48, 'component': 3})
        """
        n_checkpoints = self.analysis.ds.sizes["checkpoint"]
        if not 1 <= n_components <= n_checkpoints:
            raise ValueError(f"n_components={n_components}: {n_checkpoints} checkpoints have 1 to {n_checkpoints} axes")
        from predspace_widgets.analysis import uncertainty  # late: it brings scikit-learn along

        uncertainty.check_over(over)
        if bootstrap is None and over != "samples":
            raise ValueError(f"over={over!r} is what error bars draw: say how many draws, bootstrap=200")
        if bootstrap is not None:
            if metric != "bhattacharyya":
                raise ValueError(f"there are error bars by metric 'bhattacharyya' only, not by {metric!r}")
            return uncertainty.bootstrap(
                self.analysis, n_components=n_components, n_draws=bootstrap, over=over, seed=seed
            )
        picture = self.analysis.picture(n_components=n_components, metric=metric)
        return picture.copy(deep=True)  # the analysis keeps its own

    def spectrum(
        self,
        n_draws: int = N_DRAWS,
        null: str = "samples within a class",
        *,
        selection: Selection | None = None,
        metric: Metric = "bhattacharyya",
        n_axes: int = 50,
        seed: int = 0,
    ) -> xr.Dataset:
        """All eigenvalues of InPCA beside those of a null, and what they say of the dimension.

        See `predspace_widgets.analysis.dimension.spectrum` for the result and the errors.

        Parameters
        ----------
        n_draws : int
            Of the null: 0, or at least 19.
        null : {"samples within a class", "wrong classes"}
            What is shuffled in each run by itself. The first keeps what each run makes of each class on average, so
            that what runs share of classes does not count; the second the probability that each sample gives to its
            true class, and is the one to ask whether runs share which classes are taken for which.
        selection : pw.Selection, optional
            By default everything.
        metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean"}
            Of the distances that are embedded.
        n_axes : int
            That the decay is fitted to.
        seed : int
            Of the draws.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> random_trajectories(n_seeds=4, n_samples=60).predspace.spectrum().attrs["n_axes_above_null"]
        3
        """
        return spectrum(self.analysis, checked_selection(selection), n_draws, null, metric, n_axes, seed)

    def stress_by_metric(self, *, selection: Selection | None = None, n_axes: int = 50) -> xr.Dataset:
        """What the first axes explain in each metric, beside each other.

        See `predspace_widgets.analysis.dimension.stress_by_metric` for the result and the errors.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> random_trajectories().predspace.stress_by_metric().metric.values.tolist()
        ['bhattacharyya', 'great_circle', 'symmetric_kl', 'euclidean']
        """
        return stress_by_metric(self.analysis, checked_selection(selection), n_axes=n_axes)

    def samples_needed(
        self,
        sizes: Sequence[int] | int | None = None,
        *,
        selection: Selection | None = None,
        n_draws: int = 10,
        n_components: int = 3,
        seed: int = 0,
    ) -> xr.Dataset:
        """How many samples are enough: what pictures and distances of fewer change by, beside what other seeds do.

        See `predspace_widgets.analysis.sample_size.samples_needed` for the result and the errors.

        Parameters
        ----------
        sizes : int or sequence of int, optional
            Numbers of samples, by default some up to all.
        selection : pw.Selection, optional
            By default everything.
        n_draws : int
            Of each size.
        n_components : int
            Axes.
        seed : int
            Of the draws.
        """
        from predspace_widgets.analysis.sample_size import samples_needed  # late: it brings scikit-learn along

        return samples_needed(self.analysis, checked_selection(selection), sizes, n_draws, n_components, seed)

    def distances(
        self,
        metric: Metric = "bhattacharyya",
        *,
        device: str = "cpu",
        keep: bool | None = None,
        show_progress: bool = True,
    ) -> xr.DataArray:
        """Pairwise distances (checkpoint, other); see `predspace_widgets.geometry.pairwise`.

        Predictions that are larger than 256 MB are read block by block, on the workers of the active
        `distributed.Client` if there is one. What was computed is kept in a folder DATA.results beside the dataset, so
        that a call that was stopped goes on where it ended, and the next one only reads.

        Parameters
        ----------
        metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean"}
        device : str
            "cpu", or where torch computes, such as "cuda", which needs the extra `train`.
        keep : bool, optional
            Whether results are kept on disk; by default those of predictions larger than 256 MB.
        show_progress : bool
            Of work that takes more than a few seconds.

        Raises
        ------
        ValueError
            An unknown metric, chunks that split the classes of a sample, or nothing on disk to keep results beside.
        OSError
            The dataset on disk has changed since it was opened, a worker lacks this package, or `keep` is True and
            results cannot be kept.
        MemoryError
            All distances do not fit: see `save_distances`.
        RuntimeError
            The device is not there.
        """
        return self.analysis.distances(metric, device=device, keep=keep, show_progress=show_progress)

    def save_distances(
        self,
        path: str | os.PathLike[str],
        metric: Metric = "bhattacharyya",
        *,
        device: str = "cpu",
        show_progress: bool = True,
    ) -> xr.DataArray:
        """Pairwise distances of any number of checkpoints on disk, in tiles of a Zarr directory, as float32.

        Strip by strip, each a pass over the predictions, on the workers of the active `distributed.Client` if there is
        one. A call that was stopped goes on with the strips that are missing.

        Parameters
        ----------
        path : path or address
            A new directory whose name ends in .zarr, or the one that an earlier call has begun.
        metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean"}
        device : str
        show_progress : bool

        Returns
        -------
        xarray.DataArray (checkpoint, other)
            Opened lazily from there.

        Raises
        ------
        NoPredictionsError
        ValueError
            An unknown metric, another ending, or something else is there.
        OSError
            The disk has too little room, or a worker lacks this package.
        """
        validate(self._ds, values=False)
        return save_distances(self._ds, path, metric, device, show_progress)

    def progress(self, metric: ProgressMetric = "bhattacharyya") -> xr.DataArray:
        """Geometric progress (checkpoint,); see `predspace_widgets.geometry.progress`."""
        return self.analysis.progress(metric)

    def riemann_length(self, method: LengthMethod = "bhattacharyya") -> xr.DataArray:
        """Riemann length of each run, (run,); compare on equal schedules only (`n_checkpoints`).

        Parameters
        ----------
        method : {"bhattacharyya", "angle"}
            See `predspace_widgets.geometry.riemann_length`.
        """
        table = self.analysis.riemann_lengths(method=method)
        coords = {name: ("run", table[name].to_numpy()) for name in ("task", "method", "seed", "n_checkpoints")}
        return xr.DataArray(
            table["length"].to_numpy(),
            dims="run",
            coords={"run": table["run"].to_numpy(dtype=str), **coords},
            name="riemann_length",
        )

    def trajectory_distance(
        self,
        first: str | CurveKey,
        second: str | CurveKey,
        *,
        metric: ProgressMetric = "bhattacharyya",
        n_points: int = 51,
        progress_range: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """Distance of two curves at equal progress, and what chance between seeds makes of it.

        See `Analysis.comparison` for the parameters, the result and the errors.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> compared = random_trajectories(n_seeds=3).predspace.trajectory_distance("red", "blue")
        >>> compared.attrs["p_value"], compared.attrs["smallest_p"]
        (0.1, 0.1)
        """
        return self.analysis.comparison(first, second, metric=metric, n_points=n_points, progress_range=progress_range)

    def why(self, first: inspection.Side, second: inspection.Side) -> xr.Dataset:
        """How much each sample contributes to the distance of two predictions.

        See `predspace_widgets.analysis.inspection.why` for what can be compared, the result and the errors.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> found = random_trajectories().predspace.why(7, ("blue", {"step": 7}))
        >>> found.share_of_class.sum().round(12).item()
        1.0
        """
        return inspection.why(self.analysis, first, second)

    def checkpoint(self, row: int) -> xr.Dataset:
        """What one checkpoint is, where it lies, and which samples it gets right and wrong.

        See `predspace_widgets.analysis.inspection.checkpoint` for the result and the errors.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> random_trajectories().predspace.checkpoint(0).attrs["before"]
        'the first checkpoint of its run: nothing came before it'
        """
        return inspection.checkpoint(self.analysis, row)

    def matrix(
        self,
        of: Of = "progress",
        by: By = "curve",
        *,
        selection: Selection | None = None,
        metric: ProgressMetric = "bhattacharyya",
        n_points: int = 51,
        progress_range: tuple[float, float] | None = None,
        with_p: bool = True,
    ) -> xr.Dataset:
        """Which differ? Distances between all pairs of curves or runs, over one range, beside what chance makes.

        See `predspace_widgets.analysis.matrix.matrix` for the result and the errors.

        Parameters
        ----------
        of : {"progress", "end", "step"}
            The mean distance at equal progress, that of the last checkpoints, or the mean at the steps that all have.
        by : {"curve", "run"}
            Means over the seeds of each curve, or each run by itself.
        selection : pw.Selection, optional
            By default everything.
        n_points : int
            Values of progress.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        progress_range : pair of float, optional
            By default the one that most share.
        with_p : bool
            Whether runs of curves are relabelled, which takes most of the time.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> differ = random_trajectories(n_seeds=3).predspace.matrix(of="end")
        >>> bool(differ.within_floor.sel(curve="red", other="blue"))
        False
        """
        return matrix(self.analysis, of, by, selection, n_points, metric, progress_range, with_p)

    def temperature_band(
        self,
        of: Number | Literal["stress"] = "end_progress",
        temperatures: Sequence[float] = TEMPERATURES,
        by: str = "curve",
        *,
        selection: Selection | None = None,
        reference: str | CurveKey | None = None,
        at: Literal["progress", "end"] = "progress",
        classes: Collection[str] | None = None,
        metric: ProgressMetric = "bhattacharyya",
        n_points: int = 51,
        progress_range: tuple[float, float] | None = None,
        n_components: int = 3,
    ) -> xr.Dataset:
        """A number, or the stress that axes explain, at several temperatures of imprinting, and whose order changes.

        See `predspace_widgets.analysis.temperature_band.temperature_band`, and `stress_band` there, for the result and
        the errors.

        Parameters
        ----------
        of : {"end_progress", "length", "mean_distance", "transfer", "stress"}
            Of each run: progress of its last checkpoint, Riemann length, distance to the mean of a reference curve,
            progress of its last checkpoint within some classes, or, of all together, what axes explain.
        temperatures : sequence of float
            At least two that differ.
        by : str
            What the runs of a group share: "curve", "task", "method", or an attribute of runs.
        selection : pw.Selection, optional
            By default everything.
        reference : str or (task, method, ...), optional
            The curve that "mean_distance" is to, which needs one.
        at : {"progress", "end"}
            Where "mean_distance" is read: the mean over equal progress, or the last checkpoints.
        classes : collection of str, optional
            Of "transfer"; by default those that the task of each run leaves out.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        n_points : int
            Values of progress.
        progress_range : pair of float, optional
            Of "mean_distance"; by default the one that most runs cover.
        n_components : int
            Axes, of "stress".

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> ds = random_trajectories().assign_attrs(imprint_temperature=0.03)
        >>> ds.predspace.temperature_band(temperatures=[0.02, 0.04]).low.sel(curve="red").round(2).item()
        0.81
        """
        if of == "stress":
            return stress_band(self.analysis, temperatures, checked_selection(selection), n_components)
        asked = Asked(of, reference, at, classes, metric, n_points, progress_range)
        return temperature_band(self.analysis, asked, temperatures, by, checked_selection(selection))

    def compare(
        self,
        of: Number = "end_progress",
        by: str = "curve",
        *,
        groups: str | Sequence[str] | None = None,
        against: str | None = None,
        selection: Selection | None = None,
        reference: str | CurveKey | None = None,
        at: Literal["progress", "end"] = "progress",
        classes: Collection[str] | None = None,
        metric: ProgressMetric = "bhattacharyya",
        n_points: int = 51,
        progress_range: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> xr.Dataset:
        """One number a run between all pairs of groups of runs: spread, p by relabelling, Holm's correction.

        See `predspace_widgets.analysis.group_comparison.compare` for the result and the errors.

        Parameters
        ----------
        of : {"end_progress", "length", "mean_distance", "transfer"}
            Of each run: progress of its last checkpoint, Riemann length, distance to the mean of a reference curve,
            progress of its last checkpoint within some classes.
        by : str
            What the runs of a group share: "curve", "task", "method", or an attribute of runs.
        groups : str or sequence of str, optional
            Which groups are compared, by default all; one alone with another one that is named as `against`.
        against : str, optional
            Only pairs with this group.
        selection : pw.Selection, optional
            By default everything.
        reference : str or (task, method, ...), optional
            The curve that "mean_distance" is to, which needs one.
        at : {"progress", "end"}
            Where "mean_distance" is read: the mean over equal progress, or the last checkpoints.
        classes : collection of str, optional
            Of "transfer"; by default those that the task of each run leaves out.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        n_points : int
            Values of progress.
        progress_range : pair of float, optional
            Of "mean_distance"; by default the one that most runs cover.
        seed : int
            Of relabellings that are drawn, where a pair has too many.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> compared = random_trajectories(n_seeds=3).predspace.compare("length")
        >>> print(*compared.attrs["says"].split(": "), sep="\\n")
        3 runs against 3 cannot give p below .1, after Holm's correction over 3 pairs not below .3
        nothing here can be decided at .05. 5 against 5 could (.024).
        """
        asked = Asked(of, reference, at, classes, metric, n_points, progress_range)
        return compare(self.analysis, asked, by, groups, against, checked_selection(selection), seed)

    def mean_trajectory(
        self,
        curve: str | CurveKey,
        mean: Mean = "arithmetic",
        *,
        selection: Selection | None = None,
        n_points: int = 51,
        metric: ProgressMetric = "bhattacharyya",
        progress_range: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """Predictions of a curve along progress: its runs, reindexed by progress, then averaged.

        See `predspace_widgets.analysis.mean_trajectory.mean_trajectory` for the result and the errors.

        Parameters
        ----------
        curve : str or (task, method, ...)
            A curve, not a run.
        mean : {"arithmetic", "bhattacharyya"}
            Of probabilities, or the point whose mean d_B to the runs is least.
        selection : pw.Selection, optional
            By default everything.
        n_points : int
            Values of progress.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        progress_range : pair of float, optional
            By default all progress that its runs share.

        Examples
        --------
        >>> from predspace_widgets.trajectories.testing import random_trajectories
        >>> random_trajectories().predspace.mean_trajectory("red", "bhattacharyya", n_points=5).attrs["n_runs"]
        2
        """
        return mean_trajectory(self.analysis, curve, mean, selection, n_points, metric, progress_range)

    def distance_to_mean(
        self,
        by: By = "curve",
        mean: Mean = "arithmetic",
        *,
        selection: Selection | None = None,
        n_points: int = 51,
        metric: ProgressMetric = "bhattacharyya",
        progress_range: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """How far each curve, or each run, is from the mean trajectory of all of them, at equal progress.

        See `predspace_widgets.analysis.mean_trajectory.distance_to_mean` for the result and the errors.

        Parameters
        ----------
        by : {"curve", "run"}
            Means over the seeds of each curve, or each run by itself.
        mean : {"arithmetic", "bhattacharyya"}
            Over seeds, and over curves or runs.
        selection : pw.Selection, optional
            By default everything.
        n_points : int
            Values of progress.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        progress_range : pair of float, optional
            By default the one that most share.
        """
        return distance_to_mean(self.analysis, by, mean, selection, n_points, metric, progress_range)

    def tangents(
        self,
        by: By = "curve",
        mean: Mean = "arithmetic",
        *,
        selection: Selection | None = None,
        n_points: int = 51,
        metric: ProgressMetric = "bhattacharyya",
        progress_range: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """Speed of curves or runs along progress, and the angles between their tangents at equal progress.

        See `predspace_widgets.analysis.tangents.tangents` for the result and the errors.

        Parameters
        ----------
        by : {"curve", "run"}
            Means over the seeds of each curve, or each run by itself.
        mean : {"arithmetic", "bhattacharyya"}
            Over seeds, and over curves or runs.
        selection : pw.Selection, optional
            By default everything.
        n_points : int
            Values of progress.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        progress_range : pair of float, optional
            By default the one that most share.
        """
        return tangents(self.analysis, by, mean, selection, n_points, metric, progress_range)

    def inpca_of_trajectories(
        self,
        point: PointOf = "trajectory",
        by: By = "curve",
        n_components: int = 3,
        *,
        mean: Mean = "arithmetic",
        selection: Selection | None = None,
        n_points: int = 51,
        metric: ProgressMetric = "bhattacharyya",
        progress_range: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """InPCA of trajectories at equal progress: a point is a whole one, or one at a value of progress.

        See `predspace_widgets.analysis.inpca_of_trajectories.inpca_of_trajectories` for the result and the errors.

        Parameters
        ----------
        point : {"trajectory", "progress"}
            A point of the picture is a whole trajectory, or one at a value of progress.
        by : {"curve", "run"}
            Means over the seeds of each curve, or each run by itself.
        n_components : int
            Axes.
        mean : {"arithmetic", "bhattacharyya"}
            Over seeds, and over curves or runs.
        selection : pw.Selection, optional
            By default everything.
        n_points : int
            Values of progress.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        progress_range : pair of float, optional
            By default the one that most share.
        """
        return inpca_of_trajectories(
            self.analysis, point, by, n_components, mean, selection, n_points, metric, progress_range
        )

    def frechet(self, by: By = "run", *, selection: Selection | None = None) -> xr.Dataset:
        """The discrete Frechet distance of runs, or its mean over runs of curves: a second opinion to d_traj.

        See `predspace_widgets.analysis.frechet.frechet` for the result and the errors.

        Parameters
        ----------
        by : {"run", "curve"}
            Run against run, or the mean over all pairs of a run of one curve and one of the other.
        selection : pw.Selection, optional
            By default everything.
        """
        return frechet(self.analysis, by, selection)

    def tube(self, *, selection: Selection | None = None) -> xr.Dataset:
        """d_B of each checkpoint to the geodesic from ignorance to truth, and how wide a tube each run needs.

        See `predspace_widgets.analysis.tube.tube` for the result and the errors.
        """
        return tube(self.analysis, selection)

    def tree(
        self,
        of: Of = "progress",
        by: By = "curve",
        *,
        n_draws: int = 1000,
        over: Drawn = "samples",
        seed: int = 0,
        mean: Mean = "arithmetic",
        selection: Selection | None = None,
        n_points: int = 51,
        metric: ProgressMetric = "bhattacharyya",
        progress_range: tuple[float, float] | None = None,
    ) -> xr.Dataset:
        """The tree of curves or runs by average linkage, each split with its support by bootstrap.

        See `predspace_widgets.analysis.tree.tree` for the result and the errors; drawn by
        `predspace_widgets.views.tree.tree_figure`.

        Parameters
        ----------
        of : {"progress", "end", "step"}
            The mean distance at equal progress, that of the last checkpoints, or the mean at the steps that all have.
        by : {"curve", "run"}
            Means over the seeds of each curve, or each run by itself.
        n_draws : int
            Of the bootstrap, 0 for none.
        over : {"samples", "seeds"}
            What is drawn.
        seed : int
            Of the draws.
        mean : {"arithmetic", "bhattacharyya"}
            Over seeds, and over curves or runs.
        selection : pw.Selection, optional
            By default everything.
        n_points : int
            Values of progress.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        progress_range : pair of float, optional
            By default the one that most share.
        """
        return tree(self.analysis, of, by, n_draws, over, seed, mean, selection, n_points, metric, progress_range)

    def transfer(
        self,
        task_classes: Mapping[str, Collection[str]] | None = None,
        *,
        selection: Selection | None = None,
        metric: ProgressMetric = "bhattacharyya",
    ) -> xr.Dataset:
        """What training on one task teaches of the classes of another, beside what untrained networks make of them.

        See `predspace_widgets.analysis.classes.transfer` for the parameters, the result and the errors.
        """
        return transfer(self.analysis, task_classes, selection, metric)

    def outliers(
        self,
        at: Literal["progress", "end"] = "progress",
        at_least: float = FAR,
        *,
        selection: Selection | None = None,
        metric: ProgressMetric = "bhattacharyya",
        n_points: int = 51,
    ) -> pd.DataFrame:
        """Runs that are further from their own curve than its other seeds are among themselves.

        See `predspace_widgets.analysis.outliers.outliers` for the parameters, the result and the errors.
        """
        return outliers(self.analysis, at, at_least, selection, n_points, metric)

    def explore(self) -> Explorer:
        """The interactive explorer of this dataset, in a notebook."""
        from predspace_widgets.explorers.explorer import Explorer  # late: it brings ipywidgets along

        return Explorer(self._ds)


def _values(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, Iterable) and not isinstance(values, str) else (values,)


def _several(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
