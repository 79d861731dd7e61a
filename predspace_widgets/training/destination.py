"""The dataset on disk that a recorder writes to: what is there already, the lock around it, one more checkpoint."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE
from predspace_widgets.trajectories import check_path, make_trajectories
from predspace_widgets.trajectories.appending import append_checkpoints, array_of, open_grown
from predspace_widgets.trajectories.recording import SignOfLife
from predspace_widgets.trajectories.replacing import clear_partial
from predspace_widgets.trajectories.schema import predictions_name
from predspace_widgets.trajectories.storage import Store, StoredDtype

_LOCK_SECONDS = 60.0


class Destination:
    """A dataset on disk to which the checkpoints of one run are written.

    Parameters
    ----------
    path : path
        Ends in .zarr. It appears with the first checkpoint.
    run : str
        Name of the run.
    described : mapping
        What all checkpoints of the run share: `label`, `task`, `method`, `seed`, `sample`, `classes`, `image`,
        `title`, `source` and `attrs`, as `make_trajectories` takes them.
    dtype : str, optional
        In which numbers predictions are stored: by default float16, or as the path has it.
    store : {"probs", "log_probs"}, optional
        In which form: by default "probs", or as the path has it.

    Attributes
    ----------
    n_classes : int or None
        C, as soon as it is known.

    Raises
    ------
    ValueError
        Another ending than .zarr; labels that are no list of whole numbers.
    TrajectoriesError
        A description that does not make a dataset, every problem named.
    """

    def __init__(
        self,
        path: Path,
        run: str,
        described: Mapping[str, Any],
        dtype: StoredDtype | None = None,
        store: Store | None = None,
    ) -> None:
        if check_path(path) != ".zarr":
            raise ValueError(
                f"a recorder writes a directory that ends in .zarr, not {path.name}: record into .zarr, then "
                "open it with open_trajectories and save it under this name with save_trajectories"
            )
        self.path = path
        self.run = run
        self._described = described
        self._dtype, self._store = dtype, store
        self._same_as_stored = self._is_clear = False
        self._sign = SignOfLife(path)
        weakref.finalize(self, self._sign.end)  # also of a training that ends without closing its recorder
        self.n_classes = None if described["classes"] is None else len(described["classes"])
        # Bad descriptions are found before the first prediction: the dataset itself says what is wrong.
        labels = described["label"]
        if labels.ndim != 1 or not labels.size or labels.dtype.kind not in "iu":
            raise ValueError(
                "labels must be a list of whole numbers, the index of the true class of each sample; "
                f"got shape {labels.shape} of {labels.dtype}"
            )
        self._template = self._describe(self.n_classes or int(labels.max()) + 1)

    def find_run(self, resume: bool) -> tuple[float, int] | None:
        """Epoch and step of the last checkpoint that the path holds of this run; None if it holds none.

        Asked before the training begins, so that an error does not come after its first epoch.

        Raises
        ------
        ValueError
            What is at the path was not recorded, has other labels, classes or sample ids, or holds this run already
            and `resume` is false.
        """
        end = _end_of(self._open(), self.run)
        if end is not None and not resume:
            raise ValueError(
                f"{self.path} holds run {self.run!r} already, up to epoch {end[0]:g}, step {end[1]}: go on after "
                "that with resume=True, or choose another seed or path"
            )
        return end

    def write(
        self,
        probs: NDArray[np.float64],
        epoch: float,
        step: int,
        metrics: Mapping[str, float],
        after: tuple[float, int] | None,
    ) -> None:
        """Add a checkpoint.

        Parameters
        ----------
        probs : array, shape (N, C)
        epoch : float
        step : int
        metrics : mapping of str to float
        after : (epoch, step), optional
            Those of the checkpoint of this run that this one follows.

        Raises
        ------
        ValueError
            The type is too coarse for so many classes; the path has changed since it was looked at.
        OSError
            It cannot be written, or another process holds the lock; what was there stays valid.
        """
        dtype, store = self._dtype or "float16", self._store or "probs"
        stored = probs.astype(dtype) if store == "probs" else probs  # (N, C)
        sums = stored.sum(axis=1, dtype=np.float64)  # (N,)
        if np.abs(sums - 1).max() > ROW_SUM_TOLERANCE:
            raise ValueError(
                f"{stored.dtype} is too coarse for {stored.shape[1]} classes: record with dtype='float32', or "
                "logarithms with store='log_probs'"
            )
        ds = self._dataset(stored, epoch, step, metrics)
        with self._locked():
            self._sign.begin()
            if not self._is_clear:
                clear_partial(self.path)
                self._is_clear = True
            group = self._open()
            if _end_of(group, self.run) != after:
                raise ValueError(
                    f"run {self.run!r} in {self.path} is not as this recorder left it: does another process record "
                    "the same run? Give each a seed of its own"
                )
            append_checkpoints(ds, self.path, store=store, dtype=dtype, group=group)
        self.n_classes = stored.shape[1]

    def close(self) -> None:
        """Show that no more is written: see `predspace_widgets.trajectories.recording`."""
        self._sign.end()

    def _describe(self, n_classes: int) -> xr.Dataset:
        """A valid dataset of one checkpoint that has all but the predictions."""
        shape = (1, len(self._described["label"]), n_classes)
        return make_trajectories(np.broadcast_to(np.float32(1 / n_classes), shape), **self._described, epoch=0.0)

    def _dataset(self, probs: NDArray[Any], epoch: float, step: int, metrics: Mapping[str, float]) -> xr.Dataset:
        """The dataset of one checkpoint, not validated: that is left to `append_checkpoints`."""
        if self._template.sizes["class"] != probs.shape[1]:  # without names of classes, the predictions tell how many
            self._template = self._describe(probs.shape[1])
        for name in metrics:
            if name in self._template.coords:
                raise ValueError(f"{name!r} is an attribute of the run: give the metric another name")
        values = {
            "probs": (("checkpoint", "sample", "class"), probs[None]),  # (1, N, C)
            **{name: ("checkpoint", [np.float64(metric)]) for name, metric in metrics.items()},
        }
        return self._template.assign(values).assign_coords(
            epoch=("checkpoint", [np.float64(epoch)]), step=("checkpoint", [np.int64(step)])
        )

    def _open(self) -> zarr.Group | None:
        """What is at the path, after it was compared with the description."""
        if not self.path.exists():
            return None
        group = open_grown(self.path)
        if not self._same_as_stored:
            self._compare_with(group)
        return group

    def _compare_with(self, group: zarr.Group) -> None:
        """Raise ValueError if what is stored cannot hold this run; else take its type and number of classes."""
        described, store = self._described, predictions_name(group)
        probs = array_of(group, store)
        mine = {
            "labels": ("label", described["label"]),
            "sample ids": ("sample", described["sample"]),
            "classes": ("class", np.arange(probs.shape[2]) if described["classes"] is None else described["classes"]),
            **({} if described["image"] is None else {"images": ("image", described["image"])}),
        }
        different = [
            what
            for what, (name, values) in mine.items()
            if name not in group or not _same(np.asarray(values), array_of(group, name)[...])
        ]
        if self._dtype not in (None, str(probs.dtype)):
            different.append("dtype")
        if self._store not in (None, store):
            different.append("store")
        if different:
            raise ValueError(
                f"{self.path} was recorded with other {', '.join(different)}, which all of its runs must share: "
                "record into another path"
            )
        self._dtype, self._store = str(probs.dtype), store  # type: ignore[assignment]  # they were checked
        self.n_classes, self._same_as_stored = probs.shape[2], True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Only this process writes to the path; an error of the disk says which path and what is still valid."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise OSError(
                f"another process has been writing to {self.path} for {_LOCK_SECONDS:g} s: this checkpoint is not "
                "recorded"
            ) from error
        except OSError as error:
            kept = "what was recorded before stays valid" if self.path.exists() else "nothing is recorded yet"
            reason = error.strerror or str(error)
            raise OSError(error.errno, f"cannot write a checkpoint to {self.path}: {reason}; {kept}") from error


def _end_of(group: zarr.Group | None, run: str) -> tuple[float, int] | None:
    """Epoch and step of the last checkpoint of a run; None where there is none."""
    if group is None:
        return None
    rows = np.flatnonzero(array_of(group, "run")[...].astype(object) == run)
    if not rows.size:
        return None
    return float(array_of(group, "epoch")[rows[-1]]), int(array_of(group, "step")[rows[-1]])


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether two arrays hold the same, also where one of them is text as Zarr gives it."""
    if "T" in (first.dtype.kind, second.dtype.kind):
        first, second = first.astype(object).astype(str), second.astype(object).astype(str)
    return np.array_equal(first, second)
