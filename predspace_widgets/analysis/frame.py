"""The axes of a picture: fitted to some checkpoints, with the signs of the picture of the whole dataset.

Other checkpoints, and the geodesic, are projected into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis.groups import Curves
from predspace_widgets.analysis.measurements import N_GEODESIC_POINTS, Measurements
from predspace_widgets.geometry.distance import Metric, squared_intervals
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS
from predspace_widgets.trajectories.selection import EmptySelectionError

if TYPE_CHECKING:
    from predspace_widgets.geometry import InPCA

#: A picture of more checkpoints than these has its axes from this many landmarks.
MOST_EXACT = 8_000
N_LANDMARKS = 1_500

# With fewer landmarks among the chosen checkpoints, these are measured among each other, unless they are too many.
_ENOUGH_LANDMARKS = 200
_ENOUGH_SAMPLED = 50
# Distances that are held to project checkpoints, where they are measured for this alone.
_DISTANCES_AT_A_TIME = 2**26


@dataclass(frozen=True)
class Frame:
    """Axes fitted to some checkpoints of a dataset, as InPCA has them: their signs are still arbitrary.

    Attributes
    ----------
    rows : array of int, shape (n,)
        The checkpoints.
    inpca : InPCA
        Fitted to their precomputed distances.
    landmarks : array of int, or None
        Rows that the axes come from; None where all of the checkpoints are measured with each other.
    metric : str
        Of these distances.
    """

    rows: NDArray[np.intp]
    inpca: InPCA
    landmarks: NDArray[np.intp] | None
    metric: Metric = "bhattacharyya"

    @property
    def measured_from(self) -> NDArray[np.intp]:
        """Rows to which other points need distances to be projected."""
        return self.rows if self.landmarks is None else self.landmarks


@dataclass(frozen=True)
class Axes:
    """A frame with its signs, and what is drawn of it whichever checkpoints are shown.

    Attributes
    ----------
    frame : Frame
    signs : array, shape (k,)
        Of the coordinates that `frame.inpca` gives.
    explained_stress : array, shape (k,)
    line : array, shape (point, k)
        The geodesic from ignorance to truth.
    """

    frame: Frame
    signs: Array
    explained_stress: Array
    line: Array

    @property
    def nbytes(self) -> int:
        """Roughly, for a cache: coordinates and eigenvectors."""
        return 3 * int(self.frame.inpca.embedding_.nbytes)

    @property
    def fitted(self) -> Array:
        """Coordinates of the checkpoints that the axes were fitted to, (n, k)."""
        return np.asarray(self.frame.inpca.embedding_ * self.signs)

    def of_all(self, measured: Measurements) -> Array:
        """Coordinates of all checkpoints of the dataset, (T, k): those that are not fitted are projected."""
        coordinates = np.empty((measured.ds.sizes["checkpoint"], len(self.signs)))
        coordinates[self.frame.rows] = self.fitted
        others = np.setdiff1d(np.arange(len(coordinates)), self.frame.rows)
        n = max(1, _DISTANCES_AT_A_TIME // len(self.frame.measured_from))
        for start in range(0, len(others), n):
            rows = others[start : start + n]
            coordinates[rows] = self.frame.inpca.transform(distances_to(self.frame, measured, rows)) * self.signs
        return coordinates


def measure_for_frames(measured: Measurements) -> None:
    """Compute all that frames are fitted to, and the geodesic that is projected into them."""
    if measured.ds.sizes["checkpoint"] > MOST_EXACT:
        measured.landmark_distances(N_LANDMARKS)
        measured.held_out_distances()
    else:
        measured.distances()
    measured.geodesic_distances()


def fit(measured: Measurements, rows: NDArray[np.intp], n_components: int, metric: Metric = "bhattacharyya") -> Frame:
    """Axes of some checkpoints.

    Raises
    ------
    EmptySelectionError
        Too many checkpoints with fewer than two landmarks among them.
    ValueError
        Another metric than Bhattacharyya's in a dataset of too many checkpoints.
    """
    from predspace_widgets.geometry import InPCA  # late: scikit-learn takes a second to import

    exact = InPCA(min(n_components, len(rows)), metric="precomputed")
    n_checkpoints = measured.ds.sizes["checkpoint"]
    if n_checkpoints <= MOST_EXACT:
        distances = squared_intervals(measured.distances(metric)[np.ix_(rows, rows)], metric)
        return Frame(rows, exact.fit(distances), None, metric)
    if metric != "bhattacharyya":
        raise ValueError(
            f"of {n_checkpoints:,} checkpoints there are pictures by metric 'bhattacharyya' only, from landmarks: "
            f"select at most {MOST_EXACT:,} for {metric!r}"
        )
    landmarks, distances = measured.landmark_distances(N_LANDMARKS)
    _, among, columns = np.intersect1d(rows, landmarks, assume_unique=True, return_indices=True)
    if len(among) < _ENOUGH_LANDMARKS and len(rows) <= MOST_EXACT:
        return Frame(rows, exact.fit(measured.distances_among(rows)), None)
    if len(among) < 2:
        raise EmptySelectionError(
            f"of the {len(rows):,} chosen {len(among)} are landmarks: choose more, or at most {MOST_EXACT:,}"
        )
    inpca = InPCA(min(n_components, len(among)), metric="precomputed", landmarks=among)
    if len(rows) < len(distances):  # all of them are not copied
        distances = distances[np.ix_(rows, columns)]
    return Frame(rows, inpca.fit(distances), rows[among])


def distances_to(frame: Frame, measured: Measurements, rows: NDArray[np.intp]) -> Array:
    """Squared intervals from some checkpoints to those that a frame projects by, (n, m)."""
    if measured.ds.sizes["checkpoint"] <= MOST_EXACT:
        return squared_intervals(measured.distances(frame.metric)[np.ix_(rows, frame.measured_from)], frame.metric)
    if frame.landmarks is None:
        return measured.distances_between(rows, frame.measured_from)
    landmarks, distances = measured.landmark_distances(N_LANDMARKS)
    return distances[np.ix_(rows, np.searchsorted(landmarks, frame.landmarks))]


def axes_of(
    measured: Measurements, rows: NDArray[np.intp], n_components: int, whole: Array, metric: Metric = "bhattacharyya"
) -> Axes:
    """Axes fitted to some checkpoints, with the signs of the embedding (T, k') of the whole dataset.

    Raises
    ------
    EmptySelectionError
        See `fit`.
    """
    frame = fit(measured, rows, n_components, metric)
    signs = signs_like(frame.inpca.embedding_, rows, whole)
    to_geodesic = squared_intervals(measured.geodesic_distances(metric)[:, frame.measured_from], metric)
    line = frame.inpca.transform(to_geodesic)  # (point, k)
    return Axes(frame, signs, explained_stress_of(frame, measured), line * signs)


def signs_like(embedding: Array, rows: NDArray[np.intp], whole: Array) -> Array:
    """Signs (k,) that bring the embedding of some rows closest to that of the whole dataset, on these rows.

    Eigenvectors have no sign of their own. The whole picture has its by a fixed rule (see `InPCA`) and every other one
    takes them from it, so that the same choice looks the same whatever was looked at before.
    """
    from predspace_widgets.geometry import align_signs  # late: see above

    signs = np.ones(embedding.shape[1])
    n_axes = min(embedding.shape[1], whole.shape[1])
    signs[:n_axes] = align_signs(embedding[:, :n_axes], whole[rows, :n_axes])
    return signs


def explained_stress_of(frame: Frame, measured: Measurements) -> Array:
    """Explained stress (k,) of a frame: where its axes come from landmarks, that of checkpoints drawn from all."""
    inpca = frame.inpca
    if frame.landmarks is None:
        return np.asarray(inpca.explained_stress_)
    from predspace_widgets.geometry import explained_stress  # late: see above

    drawn, distances = measured.held_out_distances()
    _, among, columns = np.intersect1d(frame.rows, drawn, return_indices=True)
    if len(among) < _ENOUGH_SAMPLED:
        return np.asarray(inpca.explained_stress_)
    return explained_stress(inpca.embedding_[among], inpca.signature_, distances[np.ix_(columns, columns)])


def make_picture(
    ds: xr.Dataset,
    curves: Curves,
    rows: NDArray[np.intp],
    embedding: Array,
    eigenvalues: Array,
    explained_stress: Array,
    line: Array | None,
) -> xr.Dataset:
    """The labelled picture of some checkpoints; see `Analysis.picture`."""
    means = curves.by_step(rows, dict(enumerate(embedding.T))).mean()
    coords: dict[str, Any] = {name: ("checkpoint", ds[name].values[rows]) for name in CHECKPOINT_COORDS}
    picture = xr.Dataset(
        {
            "embedding": (("checkpoint", "component"), embedding),
            "mean": (("mean_point", "component"), means[[*range(embedding.shape[1])]].to_numpy()),
            "eigenvalue": ("component", eigenvalues),
            "explained_stress": ("component", explained_stress),
            "axis_stress": ("component", np.diff(explained_stress, prepend=0.0)),
        },
        coords={
            **coords,
            "curve": ("checkpoint", np.array(curves.labels)[curves.of_checkpoint[rows]]),
            "row": ("checkpoint", rows),
            "component": np.arange(1, embedding.shape[1] + 1),
            "mean_curve": ("mean_point", means.index.get_level_values("curve").to_numpy(dtype=str)),
            "mean_step": ("mean_point", means.index.get_level_values("step").to_numpy()),
            "mean_epoch": ("mean_point", means["epoch"].to_numpy()),
        },
    )
    if line is not None:
        picture["geodesic"] = (("point", "component"), line)
        picture = picture.assign_coords(point=np.linspace(0, 1, N_GEODESIC_POINTS))
    return picture


def stored_spectrum(ds: xr.Dataset) -> Array:
    """The signed eigenvalues (n,) of all axes that an embedding-only dataset knows, with coordinates or without."""
    return np.asarray(ds["spectrum" if "spectrum" in ds else "eigenvalue"].values, dtype=np.float64)


def knows_all_axes(ds: xr.Dataset) -> bool:
    """Whether an embedding-only dataset says what the squares of all eigenvalues add up to."""
    return "eigenvalue_square_sum" in ds.attrs


def stored_picture(ds: xr.Dataset, curves: Curves, rows: NDArray[np.intp], n_components: int) -> xr.Dataset:
    """The picture that an embedding-only dataset brings; its axes do not change with the selection."""
    k = min(n_components, ds.sizes["component"])
    embedding, eigenvalues = ds["embedding"].values[rows, :k], ds["eigenvalue"].values[:k]
    return make_picture(ds, curves, rows, embedding, eigenvalues, stored_stress(ds)[:k], None)


def stored_stress(ds: xr.Dataset) -> Array:
    """The explained stress (n,), cumulative, of all axes that an embedding-only dataset knows."""
    squares = stored_spectrum(ds) ** 2
    total = float(ds.attrs.get("eigenvalue_square_sum", squares.sum()))
    shares = np.clip(np.cumsum(squares) / total, 0, 1) if total > 0 else np.ones(len(squares))
    return np.asarray(1 - np.sqrt(1 - shares))
