"""What is measured on all checkpoints of a dataset, once: in memory, or block by block where they do not fit."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import psutil
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.geometry import (
    TrajectoryDistance,
    angles,
    bhattacharyya,
    geodesic,
    ignorance,
    pairwise,
    progress,
    seed_floor,
    trajectory_distance,
    truth,
)
from predspace_widgets.geometry.curves import common_grid
from predspace_widgets.geometry.distance import Metric, check_metric
from predspace_widgets.geometry.geodesic import ProgressMetric, nearest_by_overlaps, overlaps_with_ends
from predspace_widgets.geometry.landmarks import choose_landmarks, draw_evenly
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.blocks import (
    OfBlock,
    active_client,
    mean_over_samples,
    of_each_sample,
    threads_of_a_task,
)
from predspace_widgets.trajectories.kept import Results, StoreChangedError, source_of
from predspace_widgets.trajectories.selection import rows_of_runs

#: Points of the geodesic from ignorance to truth, both ends included.
N_GEODESIC_POINTS = 33

# Predictions up to this size are read into memory once; larger ones are read block by block for each measurement, whose
# result is then kept on disk beside them.
_IN_MEMORY = 2**28
_FLOAT64_AT_A_TIME = 2**20  # probabilities of neighbouring checkpoints
_Result = TypeVar("_Result")
_Rows = NDArray[np.intp]
_log = logging.getLogger(__name__)


class NoPredictionsError(ValueError):
    """The dataset holds an embedding but no predictions, so this cannot be measured on it."""


class Measurements:
    """Results on all checkpoints of one dataset, each computed once.

    Results on predictions too large for memory are also kept on disk beside them (see `kept`), where they are found
    when the dataset is opened again.

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self.ds = ds
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._lock = threading.RLock()  # several sessions of one server share the results

    def keep(self, key: tuple[Any, ...], compute: Callable[[], _Result]) -> _Result:
        """A result in memory, computed when it is first asked for."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = compute()
            result: _Result = self._kept[key]
            return result

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
        name = f"distances-{metric}"

        def compute() -> Array:
            _check_memory(n_points)
            of_block = partial(_condensed_distances, metric=metric, device=device)
            condensed = self._mean(name, of_block, (n_points * (n_points - 1) // 2,), keep, show_progress)
            return _squareform(condensed)

        return self.keep((name, bool(keep)), compute)

    def landmark_distances(self, n_landmarks: int) -> tuple[_Rows, Array]:
        """Landmarks (m,), rows of the dataset in order, and Bhattacharyya distances from all to them, (T, m)."""
        n_points = self.ds.sizes["checkpoint"]

        def measure(rows: _Rows) -> Array:
            of_block = partial(distances_of_block, columns=rows)
            return self._mean(f"distances-to-{_digest(rows)}", of_block, (n_points, len(rows)))

        def compute() -> tuple[_Rows, Array]:
            landmarks, distances = choose_landmarks(measure, n_points, n_landmarks)
            order = np.argsort(landmarks)
            return landmarks[order], distances[:, order]

        return self.keep(("landmarks", n_landmarks), compute)

    def held_out_distances(self) -> tuple[_Rows, Array]:
        """Checkpoints drawn evenly from all, as rows of the dataset (n,), and distances among them, (n, n)."""

        def compute() -> tuple[_Rows, Array]:
            rows = draw_evenly(self.ds.sizes["checkpoint"])
            of_block = partial(distances_of_block, rows=rows)
            return rows, self._mean(f"distances-among-{_digest(rows)}", of_block, (len(rows), len(rows)))

        return self.keep(("held out",), compute)

    def distances_among(self, rows: _Rows) -> Array:
        """Bhattacharyya distances among some checkpoints, (n, n)."""
        return self._mean("", partial(distances_of_block, rows=rows), (len(rows), len(rows)), keep=False)

    def geodesic_distances(self) -> Array:
        """Distances from points of the geodesic from ignorance to truth to all checkpoints, (point, T)."""
        shape = (N_GEODESIC_POINTS, self.ds.sizes["checkpoint"])
        of_block = partial(_geodesic_distances, labels=self._labels())
        return self.keep(("geodesic",), lambda: self._mean("distances-to-geodesic", of_block, shape))

    def progress(self, metric: ProgressMetric = "bhattacharyya") -> Array:
        """Geometric progress of all checkpoints from ignorance to truth, (T,)."""

        def compute() -> Array:
            probs, labels = self.probs(), self._labels()
            n_samples, n_classes = probs.shape[1:]
            if probs.chunks is None:
                return progress(probs.values, ignorance(n_samples, n_classes), truth(labels, n_classes), metric)
            # All that progress depends on, 2 numbers of each sample instead of one a class.
            of_block = partial(_overlaps_with_ends, labels=labels)
            overlaps = self._unchanged(lambda: of_each_sample(probs, of_block, 2))  # (T, N, 2)
            angle = angles(ignorance(1, n_classes), truth([0], n_classes))  # the same for all samples
            n = max(1, _FLOAT64_AT_A_TIME // n_samples)
            blocks = [overlaps[k : k + n] for k in range(0, len(overlaps), n)]
            return np.concatenate([nearest_by_overlaps(b[..., 0], b[..., 1], angle, metric) for b in blocks])

        name = f"progress-{metric}"
        return self.keep((name,), lambda: self._stored(name, (self.ds.sizes["checkpoint"],), None, lambda _: compute()))

    def accuracy(self) -> Array:
        """Share of samples whose most probable class is the true one, (T,)."""
        of_block = partial(_accuracy, labels=self._labels())
        return self.keep(("accuracy",), lambda: self._mean("accuracy", of_block, (self.ds.sizes["checkpoint"],)))

    def step_lengths(self) -> Array:
        """Riemann length of the step from the checkpoint before it in its run to each checkpoint, (T,)."""

        def compute() -> Array:
            runs = rows_of_runs(self.ds).values()
            before = np.concatenate([rows[:-1] for rows in runs])
            after = np.concatenate([rows[1:] for rows in runs])
            lengths = np.zeros(self.ds.sizes["checkpoint"])
            if len(after):
                of_block = partial(_step_distances, before=before, after=after)
                lengths[after] = 2 * np.sqrt(self._mean("steps", of_block, (len(after),)))
            return lengths

        return self.keep(("steps",), compute)

    def trajectory_distance(
        self, us: Sequence[_Rows], vs: Sequence[_Rows], metric: ProgressMetric, n_points: int
    ) -> TrajectoryDistance:
        """Distance of two curves, runs given as rows; see `predspace_widgets.geometry.trajectory_distance`."""
        reached = self.progress(metric)
        at_u, at_v = [reached[rows] for rows in us], [reached[rows] for rows in vs]
        grid = common_grid([*at_u, *at_v], n_points)
        of_block = partial(_curve, us=us, vs=vs, at_u=at_u, at_v=at_v, n_points=n_points)
        curve = self._mean("", of_block, (n_points,), keep=False)
        return TrajectoryDistance.along(grid, curve)

    def seed_floor(self, runs: Sequence[_Rows], metric: ProgressMetric, n_points: int) -> TrajectoryDistance:
        """How far the runs of a curve are apart, given as rows; see `predspace_widgets.geometry.seed_floor`."""
        reached = self.progress(metric)
        progress_of_runs = [reached[rows] for rows in runs]
        grid = common_grid(progress_of_runs, n_points)
        of_block = partial(_floor, runs=runs, progress_of_runs=progress_of_runs, n_points=n_points)
        curve = self._mean("", of_block, (n_points,), keep=False)
        return TrajectoryDistance.along(grid, curve)

    # -- how they are computed -----------------------------------------------------------------------------------------

    def probs(self) -> xr.DataArray:
        """The predictions (checkpoint, sample, class), in memory if they fit."""
        self._check_predictions()
        probs = self.ds["probs"].transpose("checkpoint", "sample", "class")
        if probs.chunks is None:
            return probs
        if probs.nbytes <= _IN_MEMORY and active_client() is None:
            return self.keep(("probs",), lambda: self._unchanged(probs.compute))
        source = source_of(self.ds["probs"])
        return probs if source is None else source[1]  # whatever reads probabilities normalises their rows

    def _unchanged(self, read: Callable[[], _Result]) -> _Result:
        """What a function reads of predictions on disk, if they are still those that were opened."""
        found = source_of(self.ds["probs"])
        if found is None:
            return read()
        found[0].check_unchanged()
        result = read()
        found[0].check_unchanged()
        return result

    def _labels(self) -> NDArray[Any]:
        self._check_predictions()  # without them there need be no labels
        return self.keep(("labels",), lambda: np.asarray(self.ds["label"].values))

    def _check_predictions(self) -> None:
        if "probs" not in self.ds:
            raise NoPredictionsError("this dataset holds an embedding but no predictions: this needs predictions")

    def _mean(
        self, name: str, of_block: OfBlock, shape: tuple[int, ...], keep: bool | None = None, show_progress: bool = True
    ) -> Array:
        """The mean over samples of what a function gives for blocks of them."""

        def compute(results: Results | None) -> Array:
            probs = self.probs()
            if probs.chunks is None:
                return mean_over_samples(probs, of_block, shape)
            return self._unchanged(lambda: mean_over_samples(probs, of_block, shape, name, results, show_progress))

        return self._stored(name, shape, keep, compute)

    def _stored(
        self, name: str, shape: tuple[int, ...], keep: bool | None, compute: Callable[[Results | None], Array]
    ) -> Array:
        """A result, taken from disk if it is there; computed, and written there, if it is to be kept."""
        self._check_predictions()
        results = self._results(name, int(np.prod(shape)), keep)
        if results is None:
            return compute(None)
        found = results.part(name)
        if found is None:
            found = compute(results).ravel()
            try:
                results.write(name, found)
            except StoreChangedError:
                raise
            except OSError as error:
                if keep:
                    raise
                _log.warning("a result is not kept: %s", error)
        return found.reshape(shape)

    def _results(self, name: str, size: int, keep: bool | None) -> Results | None:
        """Where a result is kept on disk, ready to be written; None where it is not kept."""
        found = source_of(self.ds["probs"])
        if found is None and keep:
            raise ValueError("keep=True needs a dataset as it was opened from disk: not in memory, not a choice of it")
        if found is None or keep is False:
            return None
        # By default no results that are larger than what they were computed from, which is quicker to read.
        n_bytes = self.ds["probs"].nbytes
        if keep is None and (n_bytes <= _IN_MEMORY or 16 * size > n_bytes):
            return None
        try:
            depends_on = [self.ds[name].values for name in ("label", "run", "step")]
            results = self.keep(("results",), lambda: Results(found[0], depends_on))
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


def _digest(rows: _Rows) -> str:
    return hashlib.blake2b(rows.tobytes(), digest_size=8).hexdigest()


def _condensed_distances(block: NDArray[Any], samples: slice, metric: Metric, device: str) -> Array:
    """The distances above the diagonal, row by row: half of the numbers."""
    return _squareform(distances_of_block(block, samples, metric=metric, device=device))


def _squareform(distances: Array) -> Array:
    """A matrix of distances from those above its diagonal, or these from the matrix."""
    from scipy.spatial.distance import squareform  # late: it takes a while to import

    return np.asarray(squareform(distances, checks=False))


def _geodesic_distances(block: NDArray[Any], samples: slice, labels: NDArray[Any]) -> Array:
    n_classes = block.shape[2]
    ends = ignorance(block.shape[1], n_classes), truth(labels[samples], n_classes)
    line = geodesic(*ends, np.linspace(0, 1, N_GEODESIC_POINTS))  # (point, n, C)
    return pairwise(line, block, threads=threads_of_a_task())


def _overlaps_with_ends(block: NDArray[Any], samples: slice, labels: NDArray[Any]) -> Array:
    n_samples, n_classes = block.shape[1:]
    ends = np.sqrt(ignorance(n_samples, n_classes)), np.sqrt(truth(labels[samples], n_classes))
    return np.stack(overlaps_with_ends(block, *ends), axis=-1)  # (T, n, 2)


def _accuracy(block: NDArray[Any], samples: slice, labels: NDArray[Any]) -> Array:
    if np.isnan(block).any():
        raise ValueError("P holds values that are not finite (NaN or infinity)")
    found: Array = (block.argmax(axis=-1) == labels[samples]).mean(axis=-1)
    return found


def _step_distances(block: NDArray[Any], samples: slice, before: _Rows, after: _Rows) -> Array:
    """d_B from checkpoints `before` to those `after`, which is tiny: hence in float64, a few at a time."""
    n = max(1, _FLOAT64_AT_A_TIME // (block.shape[1] * block.shape[2]))
    parts = [bhattacharyya(block[before[k : k + n]], block[after[k : k + n]]) for k in range(0, len(after), n)]
    return np.concatenate(parts)


def _curve(
    block: NDArray[Any],
    samples: slice,
    us: Sequence[_Rows],
    vs: Sequence[_Rows],
    at_u: Sequence[Array],
    at_v: Sequence[Array],
    n_points: int,
) -> Array:
    u, v = [block[rows] for rows in us], [block[rows] for rows in vs]
    return trajectory_distance(u, v, at_u, at_v, n_points).curve


def _floor(
    block: NDArray[Any], samples: slice, runs: Sequence[_Rows], progress_of_runs: Sequence[Array], n_points: int
) -> Array:
    return seed_floor([block[rows] for rows in runs], progress_of_runs, n_points).curve


def _check_memory(n_points: int) -> None:
    needed = 3 * 8 * n_points**2  # a block's distances, their sum, and a copy on the way
    available = psutil.virtual_memory().available
    if needed > available:
        raise MemoryError(
            f"all distances between {n_points:,} checkpoints need {needed / 1e9:.0f} GB of memory, "
            f"{available / 1e9:.0f} GB are free: write them to disk with save_distances, or take a picture by landmarks"
        )
