"""What is measured on all checkpoints of a dataset, once: in memory, or block by block where they do not fit."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import psutil
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.cache import Cache
from predspace_widgets.analysis.large.blocks import (
    OfBlock,
    active_client,
    in_slices,
    in_threads,
    mean_over_samples,
    of_each_sample,
    threads_of_a_task,
    whole_rows,
)
from predspace_widgets.analysis.large.by_class import SumsByClass, edges_of_blocks, is_small_enough
from predspace_widgets.analysis.large.kept import Results
from predspace_widgets.geometry import (
    angles,
    as_probabilities,
    geodesic,
    ignorance,
    pairwise,
    reindex,
    truth,
)
from predspace_widgets.geometry.curves import LengthMethod, check_length_method, common_grid, squared_step_lengths
from predspace_widgets.geometry.distance import Metric, check_metric
from predspace_widgets.geometry.floor import matched_floor, relabelled_distances, relabellings
from predspace_widgets.geometry.geodesic import (
    ProgressMetric,
    along_geodesic,
    check_progress_metric,
    overlaps_with_ends,
    progress_and_distance,
)
from predspace_widgets.geometry.landmarks import choose_landmarks, draw_evenly
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.schema import NoPredictionsError
from predspace_widgets.trajectories.selection import rows_of_runs
from predspace_widgets.trajectories.source import StoreChangedError, source_of

#: Points of the geodesic from ignorance to truth, both ends included.
N_GEODESIC_POINTS = 33

# Predictions up to this size are read into memory once; larger ones are read block by block for each measurement, whose
# result is then kept on disk beside them.
_IN_MEMORY = 2**28
_FLOAT64_AT_A_TIME = 2**20  # probabilities of neighbouring checkpoints
_PROBABILITIES_AT_A_TIME = 2**22  # of runs at equal progress
# Means that a first pass over large predictions keeps by class.
_OF_FIRST_PASS = ("distances-bhattacharyya", "distances-to-geodesic", "accuracy", "squared-steps-bhattacharyya")
_Result = TypeVar("_Result")
_Rows = NDArray[np.intp]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where runs are read: at values of progress, at their last checkpoints, or at each of them.

    Attributes
    ----------
    runs : list of arrays of int
        Rows of the checkpoints of each of R runs.
    grid : array, shape (K,), or None
        Values of progress; None reads the last checkpoints, K = 1.
    progress : list of arrays of float, or None
        Of the checkpoints of each run.
    each : bool
        Read each of the K checkpoints of every run, which all have as many, rather than the last.
    """

    runs: Sequence[_Rows]
    grid: Array | None = None
    progress: Sequence[Array] | None = None
    each: bool = False

    @property
    def size(self) -> int:
        """K."""
        if self.grid is None:
            return len(self.runs[0]) if self.each else 1
        return len(self.grid)

    @property
    def weights(self) -> Array:
        """Of each place (K,) in a mean over them, which over progress is the integral over the width of the range."""
        weights = np.ones(self.size)
        if self.grid is not None:
            weights[[0, -1]] = 0.5  # trapezoids; the values are equally spaced
        return weights / weights.sum()

    def read(self, block: NDArray[Any]) -> Array:
        """Predictions there, (R, K, n, C), of a block of samples (T, n, C)."""
        if self.each:
            return np.stack([as_probabilities(block[rows]) for rows in self.runs])
        if self.grid is None or self.progress is None:
            return as_probabilities(block[[rows[-1] for rows in self.runs]])[:, None]
        pairs = zip(self.runs, self.progress, strict=True)
        grid = self.grid
        return np.stack(in_threads([partial(reindex, block[rows], reached, grid) for rows, reached in pairs]))

    def total(self, distances: Array) -> Array:
        """The integral over progress of distances (..., K); of last checkpoints the distances themselves."""
        return distances[..., 0] if self.grid is None else np.asarray(np.trapezoid(distances, self.grid, axis=-1))


@dataclass(frozen=True)
class Sides:
    """Which of the runs at some places are compared: the first so many with so many that follow.

    Attributes
    ----------
    n_first, n_second : int
    of_first, of_second : tuple of int
        Places, among all runs that are read, of those on which is measured what chance makes of a run of either side.
    """

    n_first: int
    n_second: int
    of_first: tuple[int, ...]
    of_second: tuple[int, ...]

    @classmethod
    def whole(cls, n_first: int, n_second: int) -> Self:
        """Two curves, with what chance makes measured on the very runs that are compared."""
        return cls(n_first, n_second, tuple(range(n_first)), tuple(range(n_first, n_first + n_second)))


class ComparedCurves(NamedTuple):
    """Two curves, at equal progress or at their ends.

    Attributes
    ----------
    distance : array, shape (K,)
        d_B between the means of the runs of either side.
    floor : array, shape (K,), or None
        What chance between seeds makes of it; see `predspace_widgets.geometry.matched_floor`.
    relabelled : array, shape (S,)
        The integral of the distance for each way to split the runs, the given one first.
    exact : bool
        Whether these are all the ways there are.
    """

    distance: Array
    floor: Array | None
    relabelled: Array
    exact: bool


@dataclass(frozen=True)
class PartOf:
    """That a dataset holds all samples of some classes of another one, and nothing else of it is changed.

    Attributes
    ----------
    whole : Measurements
        On the other dataset.
    classes : tuple of int
    """

    whole: Measurements
    classes: tuple[int, ...]

    @property
    def places(self) -> _Rows:
        """Places of the samples in the other dataset."""
        return np.flatnonzero(np.isin(self.whole.labels(), self.classes))

    def mean(self, name: str) -> Array | None:
        """A mean over these samples from what is kept of each class; None where it is not."""
        sums = self.whole.sums_by_class()
        shares = None if sums is None else sums.shares(name, self.classes)
        return None if shares is None else shares * (len(self.whole.labels()) / len(self.places))


class Measurements:
    """Results on all checkpoints of one dataset, each computed once.

    Results on predictions too large for memory are also kept on disk beside them (see `kept`), where they are found
    when the dataset is opened again.

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.
    part_of : PartOf, optional
        Where results are looked for before they are computed.
    """

    def __init__(self, ds: xr.Dataset, part_of: PartOf | None = None) -> None:
        self.ds = ds
        self._part_of = part_of
        self._cache = Cache()  # several sessions of one server share the results

    # -- results -------------------------------------------------------------------------------------------------------

    def distances(
        self,
        metric: Metric = "bhattacharyya",
        device: str = "cpu",
        keep: bool | None = None,
        show_progress: bool = True,
    ) -> Array:
        """Pairwise distances, (T, T); `keep` on disk by default where the predictions do not fit in memory."""
        check_metric(metric)
        n_points = self.ds.sizes["checkpoint"]
        n_condensed = n_points * (n_points - 1) // 2
        name = f"distances-{metric}"

        def compute() -> Array:
            _check_memory(n_points)
            if metric == "bhattacharyya" and self._part_of is not None:
                self._part_of.whole.distances(metric, device, show_progress=show_progress)  # its first pass
            elif metric == "bhattacharyya":
                self._first_pass(name, n_condensed, device, keep, show_progress)
            of_block = partial(_condensed_distances, metric=metric, device=device)
            return squareform(self._mean(name, of_block, (n_condensed,), keep, show_progress))

        matrix = self._cache.get((name,), compute)
        if keep:  # also where an earlier call did not
            results = self._results(name, n_condensed, keep)
            if results is not None and not results.has(name):
                results.write(name, squareform(matrix))
        return matrix

    def landmark_distances(self, n_landmarks: int) -> tuple[_Rows, Array]:
        """Landmarks (m,), rows of the dataset in order, and Bhattacharyya distances from all to them, (T, m)."""
        n_points = self.ds.sizes["checkpoint"]

        def measure(rows: _Rows) -> Array:
            of_block = partial(distances_of_block, columns=rows)
            return self._mean(f"distances-to-{digest(rows)}", of_block, (n_points, len(rows)))

        def compute() -> tuple[_Rows, Array]:
            landmarks, distances = choose_landmarks(measure, n_points, n_landmarks)
            order = np.argsort(landmarks)
            return landmarks[order], distances[:, order]

        return self._cache.get(("landmarks", n_landmarks), compute)

    def held_out_distances(self) -> tuple[_Rows, Array]:
        """Checkpoints drawn evenly from all, as rows of the dataset (n,), and distances among them, (n, n)."""

        def compute() -> tuple[_Rows, Array]:
            rows = draw_evenly(self.ds.sizes["checkpoint"])
            of_block = partial(distances_of_block, rows=rows)
            return rows, self._mean(f"distances-among-{digest(rows)}", of_block, (len(rows), len(rows)))

        return self._cache.get(("drawn",), compute)

    def distances_among(self, rows: _Rows) -> Array:
        """Bhattacharyya distances among some checkpoints, (n, n)."""
        return self._mean("", partial(distances_of_block, rows=rows), (len(rows), len(rows)), keep=False)

    def distances_between(self, rows: _Rows, columns: _Rows) -> Array:
        """Bhattacharyya distances from some checkpoints to others, (n, m)."""
        of_block = partial(distances_of_block, rows=rows, columns=columns)
        return self._mean("", of_block, (len(rows), len(columns)), keep=False)

    def weighted_distances(self, rows: _Rows, weights: Array) -> Array:
        """Bhattacharyya distances among some checkpoints, of several weightings (B, N) of the samples, (B, pairs)."""
        of_block = partial(_weighted_distances, rows=rows, weights=weights)
        return self._mean("", of_block, (len(weights), len(rows) * (len(rows) - 1) // 2), keep=False)

    def distances_from(self, points: NDArray[Any], columns: _Rows) -> Array:
        """Bhattacharyya distances from points (n, N, C), of the same samples, to some checkpoints, (n, m)."""
        of_block = partial(_distances_from, points=points, columns=columns)
        return self._mean("", of_block, (len(points), len(columns)), keep=False, show_progress=False)

    def geodesic_distances(self, metric: Metric = "bhattacharyya") -> Array:
        """Distances from points of the geodesic from ignorance to truth to all checkpoints, (point, T)."""
        shape = (N_GEODESIC_POINTS, self.ds.sizes["checkpoint"])
        of_block = partial(_geodesic_distances, labels=self.labels(), metric=metric)
        name = "distances-to-geodesic" + ("" if metric == "bhattacharyya" else f"-{metric}")
        return self._cache.get(("geodesic", metric), lambda: self._mean(name, of_block, shape))

    def progress(self, metric: ProgressMetric = "bhattacharyya") -> Array:
        """Geometric progress of all checkpoints from ignorance to truth, (T,)."""
        return self._along_geodesic(metric)[0]

    def tube_distance(self) -> Array:
        """d_B of all checkpoints to the geodesic from ignorance to truth, (T,): to its point at their own progress."""
        return self._along_geodesic("bhattacharyya")[1]

    def _along_geodesic(self, metric: ProgressMetric) -> Array:
        """Progress and d_B to the point of the geodesic there, (2, T), of one pass."""

        def compute() -> Array:
            n_samples, n_classes = self.ds.sizes["sample"], self.ds.sizes["class"]
            overlaps: NDArray[Any] | None = self._kept_overlaps()
            if overlaps is None:
                probs, labels = self.probs(), self.labels()
                if probs.chunks is None:
                    ends = ignorance(n_samples, n_classes), truth(labels, n_classes)
                    return np.stack(progress_and_distance(probs.values, *ends, metric))
                # All that both depend on, 2 numbers of each sample instead of one a class.
                of_block = partial(_overlaps_with_ends, labels=labels)
                overlaps = self.unchanged(lambda: of_each_sample(probs, of_block, 2))  # (T, N, 2)
            angle = angles(ignorance(1, n_classes), truth([0], n_classes))  # the same for all samples
            n = max(1, _FLOAT64_AT_A_TIME // n_samples)
            blocks = [overlaps[k : k + n].astype(np.float64) for k in range(0, len(overlaps), n)]
            return np.concatenate([along_geodesic(b[..., 0], b[..., 1], angle, metric) for b in blocks], axis=1)

        check_progress_metric(metric)
        name, shape = f"along-geodesic-{metric}", (2, self.ds.sizes["checkpoint"])
        return self._cache.get((name,), lambda: self._stored(name, shape, None, lambda _: compute()))

    def accuracy(self) -> Array:
        """Share of samples whose most probable class is the true one, (T,)."""
        of_block = partial(_accuracy, labels=self.labels())
        return self._cache.get(("accuracy",), lambda: self._mean("accuracy", of_block, (self.ds.sizes["checkpoint"],)))

    def step_lengths(self, method: LengthMethod = "bhattacharyya") -> Array:
        """Riemann length of the step from the checkpoint before it in its run to each checkpoint, (T,)."""
        check_length_method(method)

        def compute() -> Array:
            before, after = self._steps()
            lengths = np.zeros(self.ds.sizes["checkpoint"])
            if len(after):
                lengths[after] = np.sqrt(self.squared_steps(before, after, method, f"squared-steps-{method}"))
            return lengths

        return self._cache.get(("steps", method), compute)

    def places(
        self,
        runs: Sequence[_Rows],
        metric: ProgressMetric,
        n_points: int,
        progress_range: tuple[float, float] | None = None,
    ) -> Places:
        """Equally spaced values of progress over a range, or over all that every one of some runs covers."""
        reached = self.progress(metric)
        progress_of_runs = [reached[rows] for rows in runs]
        return Places(runs, common_grid(progress_of_runs, n_points, progress_range), progress_of_runs)

    def compare(self, places: Places, sides: Sides) -> ComparedCurves:
        """Two curves or runs, whose runs are at these places."""
        return self.compare_all([(places, sides)])[0]

    def compare_all(self, pairs: Sequence[tuple[Places, Sides]]) -> list[ComparedCurves]:
        """Several pairs, as `compare` has each. A block of samples is read once for all of them."""
        splits = [relabellings(sides.n_first, sides.n_second) for _, sides in pairs]
        of_blocks = [
            self._of_places(places, partial(_compared, places=places, sides=sides, is_first=split.is_first))
            for (places, sides), split in zip(pairs, splits, strict=True)
        ]
        sizes = [2 * places.size + len(split.is_first) for (places, _), split in zip(pairs, splits, strict=True)]
        values = self._mean("", partial(_concatenated, of_blocks=of_blocks), (sum(sizes),), keep=False)
        results = []
        for (places, sides), split, size in zip(pairs, splits, sizes, strict=True):
            of_pair, values = values[:size], values[size:]
            distance, floor, relabelled = np.split(of_pair, [places.size, 2 * places.size])
            has_floor = max(len(sides.of_first), len(sides.of_second)) > 1
            results.append(ComparedCurves(distance, floor if has_floor else None, relabelled, split.exact))
        return results

    def mean_at(
        self, places: Places, of_points: Callable[..., Array], shape: tuple[int, ...], with_labels: bool = False
    ) -> Array:
        """The mean over samples of what a function gives for predictions (R, K, n, C) of runs at some places.

        It may be given the labels (n,) of the samples, too.
        """
        return self._mean("", self._of_places(places, of_points, with_labels), shape, keep=False)

    def _of_places(self, places: Places, of_points: Callable[..., Array], with_labels: bool = False) -> OfBlock:
        """What is computed of a block, a few samples at a time: all may need more memory than all checkpoints."""
        n_rows = len(places.runs) * places.size * self.ds.sizes["class"]
        return partial(
            in_slices,
            of_block=partial(
                _of_points, places=places, of_points=of_points, labels=self.labels() if with_labels else None
            ),
            n_samples=max(1, _PROBABILITIES_AT_A_TIME // n_rows),
        )

    def squared_steps(self, before: _Rows, after: _Rows, method: LengthMethod, name: str = "") -> Array:
        """Squares of the Riemann lengths of steps from checkpoints to others, (n,); kept on disk by a name."""
        of_block = partial(_squared_steps, before=before, after=after, method=method)
        return self._mean(name, of_block, (len(after),), keep=None if name else False)

    # -- by class ------------------------------------------------------------------------------------------------------

    def sums_by_class(self) -> SumsByClass | None:
        """What is kept of each class, of predictions that do not fit in memory; None where it is not to be kept."""

        def find() -> SumsByClass | None:
            n_points, probs = self.ds.sizes["checkpoint"], self.ds["probs"]
            n_pairs, n_steps = n_points * (n_points - 1) // 2, len(self._steps()[1])
            numbers = (n_pairs, N_GEODESIC_POINTS * n_points, n_points, n_steps)
            sizes = dict(zip(_OF_FIRST_PASS, numbers, strict=True))
            results = self._results("accuracy", n_points, None) if probs.nbytes > _IN_MEMORY else None
            if results is None or not is_small_enough(self.labels(), n_points, sizes, probs.nbytes):
                return None
            return SumsByClass(results, self.labels(), n_points, sizes, edges_of_blocks(whole_rows(self.probs())))

        return self._cache.get(("sums by class",), find)

    def _first_pass(self, name: str, size: int, device: str, keep: bool | None, show_progress: bool) -> None:
        """Measure all that is kept by class in one pass, where it is to be kept and nothing is there yet.

        What fails here is measured without it.
        """
        self.check_predictions()
        if active_client() is not None or keep is False or self.ds.sizes["checkpoint"] < 2:
            return
        results = self._results(name, size, keep)
        sums = None if results is None else self.sums_by_class()
        if results is None or sums is None or results.has(name) or sums.is_complete:
            return
        labels = self.labels()
        before, after = self._steps()
        of_members = partial(_of_first_pass, labels=labels, before=before, after=after, device=device)
        ends = partial(_overlaps_with_ends, labels=labels)
        try:
            self.unchanged(lambda: sums.measure(whole_rows(self.probs()), of_members, ends, show_progress))
        except StoreChangedError:
            raise
        except OSError as error:
            _log.warning("sums by class are not kept: %s", error)

    def _kept_overlaps(self) -> NDArray[np.float32] | None:
        """Overlaps (T, N, 2) with ignorance and truth that a first pass has kept, or None."""
        self.check_predictions()
        part = self._part_of
        sums = (self if part is None else part.whole).sums_by_class()
        if sums is None or not sums.is_complete:
            return None
        return sums.overlaps_with_ends(np.arange(self.ds.sizes["sample"]) if part is None else part.places)

    def _steps(self) -> tuple[_Rows, _Rows]:
        """Rows of the checkpoints before and after each step of a run."""
        runs = rows_of_runs(self.ds).values()
        return np.concatenate([rows[:-1] for rows in runs]), np.concatenate([rows[1:] for rows in runs])

    # -- how they are computed -----------------------------------------------------------------------------------------

    def probs(self) -> xr.DataArray:
        """The predictions (checkpoint, sample, class), in memory if they fit."""
        self.check_predictions()
        probs = self.ds["probs"].transpose("checkpoint", "sample", "class")
        if probs.chunks is None:
            return probs
        if probs.nbytes <= _IN_MEMORY and active_client() is None:
            return self._cache.get(("probs",), lambda: self.unchanged(probs.compute))
        stored = source_of(self.ds["probs"])
        # float16 probabilities are quicker to read as they are, and whatever reads them normalises their rows.
        return probs if stored is None or stored.are_logarithms else stored.values

    def unchanged(self, read: Callable[[], _Result]) -> _Result:
        """What a function reads of predictions on disk, if they are still those that were opened.

        Raises
        ------
        StoreChangedError
        """
        stored = source_of(self.ds["probs"])
        if stored is None:
            return read()
        stored.source.check_unchanged()
        try:
            return read()
        finally:  # whatever it made of files that changed meanwhile, an error too
            stored.source.check_unchanged()

    def labels(self) -> NDArray[Any]:
        """Index of the true class of each sample, (N,)."""
        self.check_predictions()  # without them there need be no labels
        return self._cache.get(("labels",), lambda: np.asarray(self.ds["label"].values))

    def check_predictions(self) -> None:
        """Raise NoPredictionsError where the dataset holds an embedding only."""
        if "probs" not in self.ds:
            raise NoPredictionsError

    def _mean(
        self, name: str, of_block: OfBlock, shape: tuple[int, ...], keep: bool | None = None, show_progress: bool = True
    ) -> Array:
        """The mean over samples of what a function gives for blocks of them."""

        def compute(results: Results | None) -> Array:
            sums = self.sums_by_class() if results is not None and name in _OF_FIRST_PASS else None
            kept = None if sums is None else sums.shares(name)
            if kept is not None:
                return kept.reshape(shape)
            probs = self.probs()
            if probs.chunks is None:
                return mean_over_samples(probs, of_block, shape)
            return self.unchanged(lambda: mean_over_samples(probs, of_block, shape, name, results, show_progress))

        return self._stored(name, shape, keep, compute)

    def _stored(
        self, name: str, shape: tuple[int, ...], keep: bool | None, compute: Callable[[Results | None], Array]
    ) -> Array:
        """A result, taken from disk if it is there; computed, and written there, if it is to be kept."""
        self.check_predictions()
        of_classes = self._part_of.mean(name) if self._part_of is not None and name else None
        if of_classes is not None:
            return of_classes.reshape(shape)
        results = self._results(name, int(np.prod(shape)), keep)
        if results is None:
            return compute(None)
        values = results.part(name)
        if values is None:
            values = compute(results).ravel()
            try:
                results.write(name, values)
            except StoreChangedError:
                raise
            except OSError as error:
                if keep:
                    raise
                _log.warning("a result is not kept: %s", error)
        return values.reshape(shape)

    def _results(self, name: str, size: int, keep: bool | None) -> Results | None:
        """Where a result is kept on disk, ready to be written; None where it is not kept."""
        stored = source_of(self.ds["probs"])
        if stored is None and keep:
            raise ValueError("keep=True needs a dataset as it was opened from disk: not in memory, not a choice of it")
        if stored is None or keep is False:
            return None
        # By default no results that are larger than what they were computed from, which is quicker to read.
        n_bytes = self.ds["probs"].nbytes
        if keep is None and (n_bytes <= _IN_MEMORY or 16 * size > n_bytes):
            return None
        try:
            depends_on = [self.ds[name].values for name in ("label", "run", "step")]
            results = self._cache.get(("results",), lambda: Results(stored.source, depends_on))
            results.begin(name, 1, size)
        except StoreChangedError:
            raise
        except OSError as error:
            if keep:
                raise
            _log.warning("results are not kept: %s", error)
            return None
        return results


# -- of one block of samples -------------------------------------------------------------------------------------------


def distances_of_block(
    block: NDArray[Any],
    samples: slice,
    rows: _Rows | None = None,
    columns: _Rows | None = None,
    metric: Metric = "bhattacharyya",
    device: str = "cpu",
) -> Array:
    """Distances of a block of samples from some checkpoints to others, or among some; see `blocks.OfBlock`."""
    chosen = block if rows is None else block[rows]
    others = None if columns is None else block[columns]
    return pairwise(chosen, others, metric=metric, device=device, threads=threads_of_a_task())


def _weighted_distances(block: NDArray[Any], samples: slice, rows: _Rows, weights: Array) -> NDArray[Any]:
    from predspace_widgets.geometry.bootstrap import weighted_distances  # late: scikit-learn takes a while to import

    every = len(rows) == len(block)  # all checkpoints are not copied
    # Means over blocks are added by how many samples they have.
    shares = weights[:, samples] * (weights.shape[1] / block.shape[1])
    return weighted_distances(block if every else block[rows], shares, threads_of_a_task())


def _distances_from(block: NDArray[Any], samples: slice, points: NDArray[Any], columns: _Rows) -> Array:
    every = len(columns) == len(block)  # all checkpoints are not copied
    return pairwise(points[:, samples], block if every else block[columns], threads=threads_of_a_task())


def digest(rows: _Rows) -> str:
    """A short name of some rows of a dataset."""
    return hashlib.blake2b(rows.tobytes(), digest_size=8).hexdigest()


def _condensed_distances(block: NDArray[Any], samples: slice, metric: Metric, device: str) -> Array:
    """The distances above the diagonal, row by row: half of the numbers."""
    return squareform(distances_of_block(block, samples, metric=metric, device=device))


def squareform(distances: Array) -> Array:
    """A matrix of distances from those above its diagonal, or these from the matrix."""
    from scipy.spatial import distance  # late: it takes a while to import

    return np.asarray(distance.squareform(distances, checks=False))


def _geodesic_distances(block: NDArray[Any], samples: slice, labels: NDArray[Any], metric: Metric) -> Array:
    return pairwise(_line(labels[samples], block.shape[2]), block, metric=metric, threads=threads_of_a_task())


def _line(labels: NDArray[Any], n_classes: int) -> Array:
    """Points of the geodesic from ignorance to truth, (point, n, C)."""
    ends = ignorance(len(labels), n_classes), truth(labels, n_classes)
    return geodesic(*ends, np.linspace(0, 1, N_GEODESIC_POINTS))


def _of_first_pass(
    block: NDArray[Any], members: _Rows, labels: NDArray[Any], before: _Rows, after: _Rows, device: str
) -> dict[str, Array]:
    """All means that a first pass keeps, of some samples (T, n, C), which are read once for all of them."""
    some = block.astype(np.promote_types(block.dtype, np.float32), copy=False)
    line = _line(labels[members], some.shape[2]).astype(some.dtype)  # (point, n, C)
    distances = distances_of_block(np.concatenate([line, some]), slice(0), device=device)  # (point + T, point + T)
    n = len(line)
    values = (
        squareform(distances[n:, n:]),
        distances[:n, n:],
        (some.argmax(axis=-1) == labels[members]).mean(axis=-1),
        _squared_steps(some, slice(0), before, after, "bhattacharyya"),
    )
    return dict(zip(_OF_FIRST_PASS, values, strict=True))


def _overlaps_with_ends(block: NDArray[Any], samples: slice, labels: NDArray[Any]) -> Array:
    n_samples, n_classes = block.shape[1:]
    ends = np.sqrt(ignorance(n_samples, n_classes)), np.sqrt(truth(labels[samples], n_classes))
    return np.stack(overlaps_with_ends(block, *ends), axis=-1)  # (T, n, 2)


def _accuracy(block: NDArray[Any], samples: slice, labels: NDArray[Any]) -> Array:
    if np.isnan(block).any():
        raise ValueError("P holds values that are not finite (NaN or infinity)")
    accuracy: Array = (block.argmax(axis=-1) == labels[samples]).mean(axis=-1)
    return accuracy


def _squared_steps(block: NDArray[Any], samples: slice, before: _Rows, after: _Rows, method: LengthMethod) -> Array:
    """Squared lengths of steps, which are tiny: hence in float64, a few at a time."""
    n = max(1, _FLOAT64_AT_A_TIME // (block.shape[1] * block.shape[2]))
    pairs = ((block[before[k : k + n]], block[after[k : k + n]]) for k in range(0, len(after), n))
    return np.concatenate([squared_step_lengths(*pair, method) for pair in pairs])


def _of_points(
    block: NDArray[Any],
    samples: slice,
    places: Places,
    of_points: Callable[..., Array],
    labels: NDArray[Any] | None = None,
) -> Array:
    points = places.read(block)
    return of_points(points) if labels is None else of_points(points, labels[samples])


def _concatenated(block: NDArray[Any], samples: slice, of_blocks: Sequence[OfBlock]) -> Array:
    """What several functions give of a block, one after the other. Each thread holds the predictions of one."""
    return np.concatenate(in_threads([partial(of_block, block, samples) for of_block in of_blocks]))


def _compared(points: Array, places: Places, sides: Sides, is_first: NDArray[np.bool_]) -> Array:
    """Distance (K,), floor (K,) and total for each relabelling (S,), one after the other."""
    distances = relabelled_distances(points[: sides.n_first + sides.n_second], is_first)  # (S, K)
    of_first, of_second = (points[list(runs)] for runs in (sides.of_first, sides.of_second))
    floor = matched_floor(of_first, of_second, sides.n_first, sides.n_second)
    nothing = np.zeros(places.size)
    return np.concatenate([distances[0], nothing if floor is None else floor, places.total(distances)])


def _check_memory(n_points: int) -> None:
    needed = 3 * 8 * n_points**2  # a block's distances, their sum, and a copy on the way
    available = psutil.virtual_memory().available
    if needed > available:
        raise MemoryError(
            f"all distances between {n_points:,} checkpoints need {needed / 1e9:.0f} GB of memory, "
            f"{available / 1e9:.0f} GB are free: write them to disk with save_distances, or take a picture by landmarks"
        )
