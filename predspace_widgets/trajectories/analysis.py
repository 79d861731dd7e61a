"""Everything that is measured on a trajectories dataset, with labels.

Costly results are computed once, for all checkpoints (see `measurements`); a selection of checkpoints then only picks
from them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.geometry.distance import Metric
from predspace_widgets.geometry.geodesic import ProgressMetric
from predspace_widgets.trajectories.measurements import N_GEODESIC_POINTS, Measurements
from predspace_widgets.trajectories.schema import CHECKPOINT_COORDS
from predspace_widgets.trajectories.selection import EmptySelectionError, Selection, rows_of_runs

#: A picture of more checkpoints than these has its axes from this many landmarks.
MOST_EXACT = 8_000
N_LANDMARKS = 1_500

_EVERYTHING = Selection()
# With fewer landmarks among the chosen checkpoints, these are measured among each other, unless they are too many.
_ENOUGH_LANDMARKS = 200
_ENOUGH_HELD_OUT = 50


class Analysis:
    """The measurements on one trajectories dataset.

    A *curve* is what is drawn in one colour: all seeds of a task and method. It is named by its task, and by its method
    unless that is the first of the dataset: "all", "all · simclr".

    Parameters
    ----------
    ds : xarray.Dataset
        A valid trajectories dataset.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> analysis = Analysis(random_trajectories())
    >>> analysis.curve_names
    ['red', 'green', 'blue']
    >>> analysis.picture(Selection(tasks=("red", "blue"))).sizes["checkpoint"]
    32
    """

    def __init__(self, ds: xr.Dataset) -> None:
        self.ds = ds
        self.curves = _curve_names(ds)  # (T,)
        self.curve_names: list[str] = list(dict.fromkeys(self.curves.tolist()))
        self.measured = Measurements(ds)

    # -- on all checkpoints, computed once -----------------------------------------------------------------------------

    @property
    def has_predictions(self) -> bool:
        """False for an embedding-only dataset."""
        return "probs" in self.ds

    def distances(self, metric: Metric = "bhattacharyya", **options: Any) -> xr.DataArray:
        """Pairwise distances of all checkpoints, (checkpoint, other); see `PredspaceAccessor.distances`."""
        values = self.measured.distances(metric, **options)
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
            if self.ds.sizes["checkpoint"] > MOST_EXACT:
                self.measured.landmark_distances(N_LANDMARKS)
                self.measured.held_out_distances()
            else:
                self.measured.distances()
            self.measured.geodesic_distances()
            self.measured.progress()
            self.measured.step_lengths()

    # -- on a selection ------------------------------------------------------------------------------------------------

    def picture(
        self, selection: Selection = _EVERYTHING, n_components: int = 3, align_to: xr.Dataset | None = None
    ) -> xr.Dataset:
        """InPCA of the selected checkpoints, with ignorance, truth and the geodesic between them projected into it.

        Parameters
        ----------
        selection : Selection
        n_components : int
        align_to : xarray.Dataset, optional
            An earlier picture, whose signs of axes are taken over so that nothing flips.

        Returns
        -------
        xarray.Dataset
            `embedding` (checkpoint, component) and its `mean` over seeds (mean_point, component); `geodesic`
            (point, component), from ignorance to truth; `eigenvalue` (signed), `explained_stress` (cumulative) and
            `axis_stress` (of each axis), all (component,). In a dataset of more than `MOST_EXACT` checkpoints the
            axes come from landmarks, whose number is the attribute `landmarks`, and the stress is estimated on up to
            1,000 checkpoints that are none.

        Raises
        ------
        ValueError
            The selection is empty or holds a single checkpoint.
        """
        rows = selection.rows(self.ds)
        if not self.has_predictions:
            return self._stored_picture(rows, n_components)
        if len(rows) < 2:
            raise EmptySelectionError("only one checkpoint is chosen: a picture needs at least two")
        inpca, landmarks = self._fit(rows, n_components)
        measured_from = rows if landmarks is None else landmarks
        line = inpca.transform(self.measured.geodesic_distances()[:, measured_from])  # (point, component)
        signs = np.ones(len(inpca.eigenvalues_))
        if align_to is not None:
            signs = _signs_like(align_to, rows, inpca.embedding_)
        stress = inpca.explained_stress_ if landmarks is None else self._held_out_stress(rows, inpca)
        picture = self._picture_dataset(rows, inpca.embedding_ * signs, inpca.eigenvalues_, stress, line * signs)
        if landmarks is not None:
            picture.attrs["landmarks"] = len(landmarks)
        return picture

    def _fit(self, rows: NDArray[np.intp], n_components: int) -> tuple[Any, NDArray[np.intp] | None]:
        """InPCA of some checkpoints, and the landmarks that its axes come from, or None where it is exact."""
        from predspace_widgets.geometry import InPCA  # late: see there

        exact = InPCA(min(n_components, len(rows)), metric="precomputed")
        if self.ds.sizes["checkpoint"] <= MOST_EXACT:
            return exact.fit(self.measured.distances()[np.ix_(rows, rows)]), None
        landmarks, distances = self.measured.landmark_distances(N_LANDMARKS)
        _, among, columns = np.intersect1d(rows, landmarks, assume_unique=True, return_indices=True)
        if len(among) < _ENOUGH_LANDMARKS and len(rows) <= MOST_EXACT:
            return exact.fit(self.measured.distances_among(rows)), None
        if len(among) < 2:
            raise EmptySelectionError(
                f"of the {len(rows):,} chosen {len(among)} are landmarks: choose more, or at most {MOST_EXACT:,}"
            )
        inpca = InPCA(min(n_components, len(among)), metric="precomputed", landmarks=among)
        if len(rows) < len(distances):  # all of them are not copied
            distances = distances[np.ix_(rows, columns)]
        return inpca.fit(distances), rows[among]

    def _held_out_stress(self, rows: NDArray[np.intp], inpca: Any) -> np.ndarray:
        """Explained stress of the chosen among evenly drawn checkpoints; that of the landmarks if these are too few."""
        from predspace_widgets.geometry import explained_stress

        held_out, distances = self.measured.held_out_distances()
        _, among, columns = np.intersect1d(rows, held_out, return_indices=True)
        if len(among) < _ENOUGH_HELD_OUT:
            return np.asarray(inpca.explained_stress_)
        return explained_stress(inpca.embedding_[among], inpca.signature_, distances[np.ix_(columns, columns)])

    def progress_curves(
        self, selection: Selection = _EVERYTHING, metric: ProgressMetric = "bhattacharyya"
    ) -> pd.DataFrame:
        """Progress along training: mean, lowest and highest over the seeds of each curve, one row a step.

        Columns: curve, step, epoch, mean, low, high, n_seeds.
        """
        return self.over_seeds(self.progress(metric).values, selection.rows(self.ds))

    def riemann_lengths(self, selection: Selection = _EVERYTHING) -> pd.DataFrame:
        """Riemann length of the selected part of each run.

        Columns: run, curve, task, method, seed, length, n_checkpoints, first_step, last_step. Lengths grow with the
        number of checkpoints: compare those on equal schedules.
        """
        rows = selection.rows(self.ds)
        steps = self.measured.step_lengths()
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
        first: str,
        second: str,
        selection: Selection = _EVERYTHING,
        metric: ProgressMetric = "bhattacharyya",
        n_points: int = 51,
    ) -> xr.Dataset:
        """Distance between two curves at equal progress, and between the seeds of each as the floor.

        Parameters
        ----------
        first, second : str
            Names of curves (`curve_names`).
        selection : Selection
            Its seeds and epochs count; the curves need not be among its tasks.
        metric : {"bhattacharyya", "great_circle"}
            Of progress.
        n_points : int
            Grid points over the common range of progress.

        Returns
        -------
        xarray.Dataset
            `distance` (progress,): d_B at equal progress, seeds averaged; attrs `d_traj`, its integral, `first`,
            `second`. For each side with several seeds `floor_first`, `floor_second` (floor_progress,): one seed
            against the mean of the others, averaged over seeds; their integral is their attribute `d_traj`.

        Raises
        ------
        ValueError
            An unknown curve, twice the same one, or no common range of progress.
        """
        if first == second:
            raise ValueError(f"choose two different curves to compare, both are {first!r}")
        sides = self._runs_of(first, selection), self._runs_of(second, selection)
        between = self.measured.trajectory_distance(sides[0], sides[1], metric, n_points)
        result = xr.Dataset(
            {"distance": ("progress", between.curve)},
            coords={"progress": between.grid},
            attrs={"first": first, "second": second, "d_traj": between.distance},
        )
        for side, curve, runs in zip(("first", "second"), (first, second), sides, strict=True):
            if len(runs) > 1:
                rows = tuple(int(row) for run in runs for row in run)
                floor = self.measured.keep(
                    ("floor", curve, rows, metric, n_points), partial(self._floor, runs, metric, n_points)
                )
                result[f"floor_{side}"] = floor.rename({"progress": f"floor_progress_{side}"})
        return result

    def over_seeds(self, values: NDArray[Any], rows: NDArray[np.intp]) -> pd.DataFrame:
        """Mean, lowest and highest over seeds of a value a checkpoint, at each step of each curve."""
        grouped = self._by_step(rows, {"epoch": self.ds["epoch"].values[rows], "value": values[rows]})
        result = grouped.agg(
            epoch=("epoch", "mean"),
            mean=("value", "mean"),
            low=("value", "min"),
            high=("value", "max"),
            n_seeds=("value", "size"),
        )
        return result.reset_index().astype({"curve": str})

    # -- the pieces ----------------------------------------------------------------------------------------------------

    def _by_step(self, rows: NDArray[np.intp], columns: dict[Any, NDArray[Any]]) -> Any:
        """Values of some checkpoints by curve, in the order of the dataset, and step: what seeds are averaged over."""
        curve = pd.Categorical(self.curves[rows], self.curve_names)
        table = pd.DataFrame({"curve": curve, "step": self.ds["step"].values[rows], **columns})
        return table.groupby(["curve", "step"], observed=True)

    def _runs_of(self, curve: str, selection: Selection) -> list[NDArray[np.intp]]:
        """Rows of each run of a curve, in the seeds and epochs of a selection."""
        if curve not in self.curve_names:
            raise ValueError(f"no curve {curve!r} in this dataset; it has {', '.join(self.curve_names)}")
        rows = Selection(seeds=selection.seeds, epochs=selection.epochs).rows(self.ds)
        runs = [members for _, members in rows_of_runs(self.ds, rows[self.curves[rows] == curve]).items()]
        if not runs:
            raise EmptySelectionError(f"no checkpoint of {curve!r} is chosen")
        return runs

    def _floor(self, runs: list[NDArray[np.intp]], metric: ProgressMetric, n_points: int) -> xr.DataArray:
        floor = self.measured.seed_floor(runs, metric, n_points)
        return xr.DataArray(
            floor.curve, dims="progress", coords={"progress": floor.grid}, attrs={"d_traj": floor.distance}
        )

    def _labelled(self, values: np.ndarray, name: str) -> xr.DataArray:
        coords = {key: ("checkpoint", self.ds[key].values) for key in CHECKPOINT_COORDS}
        return xr.DataArray(values, dims="checkpoint", coords=coords, name=name)

    def _picture_dataset(
        self,
        rows: NDArray[np.intp],
        embedding: np.ndarray,
        eigenvalues: np.ndarray,
        explained_stress: np.ndarray,
        line: np.ndarray | None,
    ) -> xr.Dataset:
        means = self._by_step(rows, {"epoch": self.ds["epoch"].values[rows], **dict(enumerate(embedding.T))}).mean()
        coords = {name: ("checkpoint", self.ds[name].values[rows]) for name in CHECKPOINT_COORDS}
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
                "curve": ("checkpoint", self.curves[rows]),
                "row": ("checkpoint", rows),
                "component": np.arange(1, embedding.shape[1] + 1),
                "mean_curve": ("mean_point", means.index.get_level_values("curve").to_numpy(dtype=str)),
                "mean_epoch": ("mean_point", means["epoch"].to_numpy()),
            },
        )
        if line is not None:
            picture["geodesic"] = (("point", "component"), line)
            picture = picture.assign_coords(point=np.linspace(0, 1, N_GEODESIC_POINTS))
        return picture

    def _stored_picture(self, rows: NDArray[np.intp], n_components: int) -> xr.Dataset:
        """The picture that an embedding-only dataset brings; its axes do not change with the selection."""
        eigenvalues = self.ds["eigenvalue"].values
        total = float(self.ds.attrs.get("eigenvalue_square_sum", np.square(eigenvalues).sum()))
        shares = np.clip(np.cumsum(eigenvalues**2) / total, 0, 1) if total > 0 else np.ones(len(eigenvalues))
        found = min(n_components, len(eigenvalues))
        embedding = self.ds["embedding"].values[rows, :found]
        return self._picture_dataset(rows, embedding, eigenvalues[:found], (1 - np.sqrt(1 - shares))[:found], None)


def _curve_names(ds: xr.Dataset) -> np.ndarray:
    tasks, methods = ds["task"].values.astype(str), ds["method"].values.astype(str)
    pairs = zip(tasks, methods, strict=True)
    return np.array([task if method == methods[0] else f"{task} · {method}" for task, method in pairs], dtype=str)


def _signs_like(earlier: xr.Dataset, rows: NDArray[np.intp], embedding: np.ndarray) -> np.ndarray:
    """Signs that bring an embedding closest to an earlier picture on the checkpoints that both show."""
    from predspace_widgets.geometry import align_signs

    _, new, old = np.intersect1d(rows, earlier["row"].values, return_indices=True)
    signs = np.ones(embedding.shape[1])
    n_axes = min(embedding.shape[1], earlier.sizes["component"])
    if len(new) > 1:
        signs[:n_axes] = align_signs(embedding[new, :n_axes], earlier["embedding"].values[old, :n_axes])
    return signs
