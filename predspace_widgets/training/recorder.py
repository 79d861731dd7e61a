"""Record the predictions of any training loop, one checkpoint after the other, as trajectories on disk.

Nothing here needs torch; tensors are welcome, and so are the ranks of `torch.distributed`.
"""

from __future__ import annotations

import operator
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import zarr
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from predspace_widgets.geometry.probabilities import ROW_SUM_TOLERANCE
from predspace_widgets.trajectories import check_path, make_trajectories
from predspace_widgets.trajectories.appending import append_checkpoints, array_of, open_grown
from predspace_widgets.trajectories.schema import CHECKPOINT_COORDS

Kind = Literal["logits", "probs"]

#: What the dataset calls something else.
_TAKEN = {
    *CHECKPOINT_COORDS,
    *("probs", "label", "sample", "class", "checkpoint", "embedding", "eigenvalue", "component"),
    *("image", "row", "column", "channel"),
}
_SMALLEST = 1e-45  # of float32: a true class of probability 0 counts as this in the loss
_LOCK_SECONDS = 60.0
_SHOWN = 5  # sample ids named in one message; the rest are counted


class Recorder:
    """Records the predictions of one training as a run of a trajectories dataset.

    The dataset is a Zarr directory that can be opened after every recorded checkpoint, also while the training goes
    on: `predspace_widgets.open_trajectories(path)` or `predspace serve path`. A crash loses at most the checkpoint
    that is being recorded.

    Parameters
    ----------
    path : path
        Ends in .zarr. It appears with the first checkpoint. To ship it as one file, open it when all is recorded and
        give it to `predspace_widgets.save_trajectories` with a path that ends in .zarr.zip.
    labels : array or tensor of int, shape (N,)
        Index of the true class of each of the N evaluation samples.
    classes : C names, optional
        By default numbers.
    task : str
        What the network is trained on.
    method : str
        How it is trained.
    seed : int
        Task, method and seed name the run, "task/method/seed". Trainings on other tasks, by other methods or with
        other seeds can be recorded into the same path, one after the other or at the same time from several
        processes (a lock file beside it lets one write at a time), if labels, classes and sample ids are the same.
        Task and method have no "/".
    sample_ids : N unique int or str, optional
        By default 0, 1, 2, ... in the order of `labels`.
    images : array of uint8, shape (N, rows, columns[, channels]), optional
        Thumbnails, for looking.
    inputs : {"auto", "logits", "probs"}
        What `record` is given: probabilities, or logits that a softmax turns into probabilities. "auto" looks at all
        samples of a checkpoint: rows that are non-negative and sum to 1 are probabilities; other rows are logits,
        unless they could be probabilities gone wrong (all of them between 0 and 1, or most of them probabilities),
        or the checkpoints before held the other thing: then it is an error, never a guess. A run that is resumed
        forgets what the checkpoints before held: "auto" finds it anew.
    dtype : {"float16", "float32", "float64"}, optional
        How probabilities are stored: by default float16, or as the path has it.
    resume : bool
        Go on with a run that the path holds already, after its last checkpoint. Without it such a run is an error.
    gather : bool
        Where `torch.distributed` is initialised, every rank calls `record` and the parts of all are put together.
        False: what is given to this recorder is everything; for loops in which one rank alone has a recorder.
    title, source : str
        Stored with the dataset: what it is, and where it came from. Those of the first run stay.

    Attributes
    ----------
    run : str
        Name of the run.
    sample_ids : array, shape (N,)
    last_epoch : float or None
        Epoch of the latest complete checkpoint of this run; None before the first.
    last_step : int or None
        Step of the latest complete checkpoint of this run; None before the first.

    Raises
    ------
    ValueError
        Another ending than .zarr; what is at the path has other labels, classes or sample ids, holds this run
        already, or was not recorded. A task or method with "/", a seed that is no whole number.
    TrajectoriesError
        Labels, sample ids, classes or images that do not make a dataset, every problem named.

    Examples
    --------
    >>> import tempfile
    >>> import predspace_widgets as pw
    >>> logits = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Recorder(f"{folder}/run.zarr", labels=[0, 1, 1], classes=["cat", "dog"], task="pets") as recorder:
    ...         for epoch in range(3):
    ...             recorder.record(epoch * logits, epoch=epoch)
    ...     pw.open_trajectories(f"{folder}/run.zarr").accuracy.values.round(2)
    array([0.33, 0.67, 0.67])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        labels: Any,
        classes: Sequence[str] | None = None,
        task: str,
        method: str = "supervised",
        seed: int = 0,
        sample_ids: Any = None,
        images: Any = None,
        inputs: Literal["auto", "logits", "probs"] = "auto",
        dtype: Literal["float16", "float32", "float64"] | None = None,
        resume: bool = False,
        gather: bool = True,
        title: str = "",
        source: str = "",
    ) -> None:
        self.path = Path(path)
        if check_path(self.path) != ".zarr":
            raise ValueError(
                f"a recorder writes a directory that ends in .zarr, not {self.path.name}: record into .zarr, then "
                "open it with open_trajectories and save it under this name with save_trajectories"
            )
        if inputs not in ("auto", "logits", "probs"):
            raise ValueError(f"inputs must be 'auto', 'logits' or 'probs', got {inputs!r}")
        for what, name in (("task", task), ("method", method)):
            if "/" in str(name):
                raise ValueError(f"{what} must have no '/', got {name!r}: a run is named task/method/seed")
        try:
            seed = operator.index(seed)
        except TypeError as error:
            raise ValueError(f"seed must be a whole number, got {seed!r}") from error
        self.run = f"{task}/{method}/{seed}"
        self.last_epoch: float | None = None
        self.last_step: int | None = None
        self._auto = inputs == "auto"
        self._kind: Kind | None = None if inputs == "auto" else inputs
        self._dtype: str | None = dtype
        self._gather, self._closed = gather, False
        self._labels = _to_numpy(labels)
        self._described: dict[str, Any] = {
            "label": self._labels,
            "task": task,
            "method": method,
            "seed": seed,
            "sample": np.arange(len(self._labels)) if sample_ids is None else _to_numpy(sample_ids),
            "classes": None if classes is None else [str(name) for name in classes],
            "image": None if images is None else _to_numpy(images),
            "title": title,
            "source": source,
        }
        self._n_classes = None if classes is None else len(classes)
        self._check_description()
        self.sample_ids: NDArray[Any] = self._described["sample"]
        self._row_of = {sample: row for row, sample in enumerate(self.sample_ids.tolist())}
        self._pending: _Checkpoint | None = None
        self._same_as_stored = False
        self._find_run(resume)

    # -- in a training loop -------------------------------------------------------------------------------------------

    def record(
        self,
        predictions: Any,
        *,
        epoch: float,
        step: int | None = None,
        sample_ids: Any = None,
        **metrics: float,
    ) -> None:
        """Record a checkpoint, or a part of its samples.

        A checkpoint is written when the predictions of all samples are there; until then, calls with the same epoch
        and step add to it. Accuracy and loss are those of the unrounded predictions. An error leaves the recorder as
        it was before the call.

        With `torch.distributed` all ranks must call this equally often, each with its own samples (or none): each
        call waits for all of them. Rank 0 writes, and its metrics are stored. Errors are raised on every rank.

        Parameters
        ----------
        predictions : array or tensor, shape (n, C)
            Probabilities or logits (see `inputs`): of any floating-point type, on any device. The network should be
            in evaluation mode.
        epoch : float
            Training images seen, in multiples of their number.
        step : int, optional
            Optimiser steps done. By default the number of the checkpoint.
        sample_ids : n ids, optional
            Which samples these are, in any order. By default all, in the order of `labels`.
        **metrics : float
            Further numbers to store with the checkpoint; `accuracy` and `loss` replace the recorder's own. No "/"
            in their names, and no "." at the start.

        Raises
        ------
        ValueError
            Values that are not finite, neither probabilities nor logits, or of a wrong number of samples or classes;
            unknown, doubled or missing samples; an epoch or a step that does not follow the last one; a metric whose
            name cannot be stored.
        OSError
            It cannot be written, for example for lack of space. What was recorded before stays valid.
        """
        part: _Part | Exception
        try:
            part = self._make_part(predictions, epoch, step, sample_ids, metrics)
        except Exception as error:  # where others wait for this rank's part, they have to hear of it
            part = error
        self._hand_in(part)

    def fail(self, error: Exception) -> None:
        """Raise an error that came before `record` could be called: with `torch.distributed` on every rank.

        Without it the other ranks, which call `record`, would wait for this one for ever.
        """
        self._hand_in(error)

    def _hand_in(self, part: _Part | Exception) -> None:
        if self._closed:
            raise ValueError(f"the recorder of run {self.run!r} is closed")
        distributed = _distributed() if self._gather else None
        if distributed is None:
            self._take([part])
        else:
            self._take_from_all_ranks(part, distributed)

    def close(self) -> None:
        """End the recording. Everything complete is on disk already.

        Raises
        ------
        ValueError
            Samples of the latest checkpoint are missing; it is not recorded. They are named.
        """
        if self._closed:
            return
        self._closed = True
        if self._pending is not None:
            raise ValueError(self._missing(self._pending))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        self._closed = True  # an error inside is the one to see

    @property
    def share(self) -> tuple[int, int]:
        """Rank of this process and number of ranks whose predictions are put together."""
        distributed = _distributed() if self._gather else None
        return (0, 1) if distributed is None else (distributed.get_rank(), distributed.get_world_size())

    # -- the parts of a checkpoint ------------------------------------------------------------------------------------

    def _make_part(
        self, predictions: Any, epoch: float, step: int | None, sample_ids: Any, metrics: dict[str, float]
    ) -> _Part:
        values = _as_floats(predictions)  # (n, C)
        rows = self._rows(sample_ids, len(values))  # (n,)
        bad = ~np.isfinite(values).all(axis=1)  # (n,)
        if bad.any():
            samples = _listed(self.sample_ids[rows[bad]])
            raise ValueError(f"predictions are not finite (NaN or infinity) for {samples}: nothing is recorded")
        epoch = _as_number("epoch", epoch)
        if not np.isfinite(epoch):
            raise ValueError(f"epoch must be finite, got {epoch}")
        if step is not None and not _as_number("step", step).is_integer():
            raise ValueError(f"step must be a whole number, got {step}")
        for name in metrics:
            _check_name(name)
        numbers = {name: _as_number(f"metric {name!r}", value) for name, value in metrics.items()}
        return _Part(epoch, None if step is None else int(step), rows, values, numbers)

    def _rows(self, sample_ids: Any, n_given: int) -> NDArray[np.intp]:
        """Where the samples of a part belong."""
        if sample_ids is None:
            if n_given != len(self.sample_ids):
                raise ValueError(
                    f"predictions of {n_given} samples, but there are {len(self.sample_ids)} labels: name the samples "
                    "of a part with sample_ids"
                )
            return np.arange(n_given)
        ids = np.atleast_1d(_to_numpy(sample_ids))
        if ids.shape != (n_given,):
            raise ValueError(f"sample_ids must name each of {n_given} predictions, got shape {ids.shape}")
        unknown = [sample for sample in ids.tolist() if sample not in self._row_of]
        if unknown:
            raise ValueError(f"unknown {_listed(unknown)}: the recorder knows {_listed(self.sample_ids)}")
        return np.array([self._row_of[sample] for sample in ids.tolist()], dtype=np.intp)

    def _take_from_all_ranks(self, part: _Part | Exception, distributed: Any) -> None:
        first = distributed.get_rank() == 0
        own = part if isinstance(part, Exception) else None
        if own is not None:  # as text: not every error can travel
            kind = "" if isinstance(own, ValueError) else f"{type(own).__name__}: "
            part = ValueError(f"rank {distributed.get_rank()}: {kind}{own}")
        parts: list[Any] | None = [None] * distributed.get_world_size() if first else None
        distributed.gather_object(part, parts, dst=0)
        failure: Exception | None = None
        if parts is not None:
            try:
                self._take(parts)
            except Exception as error:
                failure = error
        # Nobody goes on while rank 0 has an error: the others would wait for it for ever.
        told = [(None if failure is None else str(failure), self.last_epoch, self.last_step)]
        distributed.broadcast_object_list(told, src=0)
        message, self.last_epoch, self.last_step = told[0]
        if failure is None and message is not None:
            failure = ValueError(message)
        if failure is not None:
            failure.__cause__ = failure.__cause__ or own  # with the place where it arose
            raise failure

    def _take(self, parts: Sequence[_Part | Exception]) -> None:
        """Put parts of one checkpoint where they belong, and write it if it is complete."""
        for part in parts:
            if isinstance(part, Exception):
                raise part
        sound = [part for part in parts if isinstance(part, _Part)]
        names = {(part.epoch, part.step) for part in sound}
        if len(names) > 1:
            raise ValueError(f"the ranks record different checkpoints at the same time: (epoch, step) {sorted(names)}")
        checkpoint = self._checkpoint_of(sound)
        rows = np.concatenate([part.rows for part in sound])
        self._check_new(checkpoint, rows)
        metrics = _merged(checkpoint, sound)
        checkpoint.add(sound)
        if checkpoint.seen.all():
            try:
                self._write(checkpoint, metrics)
            except BaseException:
                checkpoint.seen[rows] = False
                raise
            self._pending = None
        else:
            checkpoint.metrics = metrics
            self._pending = checkpoint

    def _checkpoint_of(self, parts: Sequence[_Part]) -> _Checkpoint:
        """The checkpoint to which parts belong: the one that is being collected, or a new one."""
        epoch, step, pending = parts[0].epoch, parts[0].step, self._pending
        if pending is not None and (pending.epoch, pending.step) != (epoch, step):
            raise ValueError(f"{_named(epoch, step)} begins before the last one is complete: {self._missing(pending)}")
        sizes = {part.values.shape[1] for part in parts if len(part.rows)}
        known = pending.values.shape[1] if pending is not None else self._n_classes
        n_classes = known or min(sizes, default=0)
        if sizes - {n_classes}:
            raise ValueError(f"predictions of {max(sizes - {n_classes})} classes, expected {n_classes}")
        if n_classes <= int(self._labels.max()):
            raise ValueError(f"predictions of {n_classes} classes, but there is a label {int(self._labels.max())}")
        if pending is not None:
            return pending
        self._check_follows(epoch, step)
        values = np.zeros((len(self.sample_ids), n_classes), dtype=np.float32)  # (N, C)
        return _Checkpoint(epoch, step, values, np.zeros(len(self.sample_ids), dtype=bool))

    def _check_follows(self, epoch: float, step: int | None) -> None:
        if self.last_epoch is None or self.last_step is None:
            return
        last = f"the last checkpoint of run {self.run!r}, epoch {self.last_epoch:g}, step {self.last_step}"
        same = epoch == self.last_epoch and step in (None, self.last_step)
        again = " (were samples of it given twice?)" if same else ""
        if epoch < self.last_epoch or (step is None and epoch == self.last_epoch):
            raise ValueError(f"epoch {epoch:g} does not come after {last}{again}")
        if step is not None and step <= self.last_step:
            raise ValueError(f"step {step} does not come after {last}{again}")

    def _check_new(self, checkpoint: _Checkpoint, rows: NDArray[np.intp]) -> None:
        unique, counts = np.unique(rows, return_counts=True)
        doubled = unique[(counts > 1) | checkpoint.seen[unique]]
        if doubled.size:
            advice = (
                ". A DistributedSampler repeats samples so that all ranks have equally many: let each rank evaluate "
                "torch.utils.data.Subset(dataset, range(rank, len(dataset), world_size)) instead"
            )
            raise ValueError(
                f"{_listed(self.sample_ids[doubled])} given twice for {_named(checkpoint.epoch, checkpoint.step)}"
                + (advice if self.share[1] > 1 else "")
            )

    def _missing(self, checkpoint: _Checkpoint) -> str:
        missing = self.sample_ids[~checkpoint.seen]
        return f"{_named(checkpoint.epoch, checkpoint.step)} is not recorded, it lacks {_listed(missing)}"

    # -- the dataset --------------------------------------------------------------------------------------------------

    def _check_description(self) -> None:
        """What can be found out before the first prediction: let the dataset itself say what is wrong."""
        if self._labels.ndim != 1 or not self._labels.size or self._labels.dtype.kind not in "iu":
            raise ValueError(
                "labels must be a list of whole numbers, the index of the true class of each sample; "
                f"got shape {self._labels.shape} of {self._labels.dtype}"
            )
        n_classes = self._n_classes or int(self._labels.max()) + 1
        nothing_known = np.broadcast_to(np.float32(1 / n_classes), (1, len(self._labels), n_classes))
        make_trajectories(nothing_known, **self._described, epoch=0.0)

    def _find_run(self, resume: bool) -> None:
        """Look at what is at the path before the training begins, not after its first epoch."""
        group = self._open_stored()
        if group is None:
            return
        end = _end_of(group, self.run)
        if end is not None and not resume:
            raise ValueError(
                f"{self.path} holds run {self.run!r} already, up to epoch {end[0]:g}, step {end[1]}: go on after "
                "that with resume=True, or choose another seed or path"
            )
        if end is not None:
            self.last_epoch, self.last_step = end

    def _open_stored(self) -> zarr.Group | None:
        if not self.path.exists():
            return None
        group = open_grown(self.path)
        if not self._same_as_stored:
            self._compare_with(group)
        return group

    def _compare_with(self, group: zarr.Group) -> None:
        given, probs = self._described, array_of(group, "probs")
        mine = {
            "labels": ("label", self._labels),
            "sample ids": ("sample", given["sample"]),
            "classes": ("class", np.arange(probs.shape[2]) if given["classes"] is None else given["classes"]),
            **({} if given["image"] is None else {"images": ("image", given["image"])}),
        }
        different = [
            what
            for what, (name, values) in mine.items()
            if name not in group or not _same(np.asarray(values), array_of(group, name)[...])
        ]
        if self._dtype not in (None, str(probs.dtype)):
            different.append("dtype")
        if different:
            raise ValueError(
                f"{self.path} was recorded with other {', '.join(different)}, which all of its runs must share: "
                "record into another path"
            )
        self._dtype, self._n_classes, self._same_as_stored = str(probs.dtype), probs.shape[2], True

    def _write(self, checkpoint: _Checkpoint, metrics: dict[str, float]) -> None:
        kind = self._kind_of(checkpoint)
        if kind == "probs":
            self._check_probabilities(checkpoint)
        probs, accuracy, loss = _evaluate(checkpoint.values, self._labels, kind)
        stored = probs.astype(self._dtype or "float16")  # (N, C)
        sums = stored.sum(axis=1, dtype=np.float64)  # (N,)
        if np.abs(sums - 1).max() > ROW_SUM_TOLERANCE:
            raise ValueError(f"{stored.dtype} is too coarse for {stored.shape[1]} classes: record with dtype='float32'")
        step = checkpoint.step
        if step is None:
            step = 0 if self.last_step is None else self.last_step + 1
        ds = make_trajectories(
            stored[None],
            **self._described,
            epoch=checkpoint.epoch,
            step=step,
            metrics={"accuracy": accuracy, "loss": loss, **metrics},
        )
        with self._locked():
            group = self._open_stored()
            end = None if group is None else _end_of(group, self.run)
            if end != (None if self.last_epoch is None else (self.last_epoch, self.last_step)):
                raise ValueError(
                    f"run {self.run!r} in {self.path} is not as this recorder left it: does another process record "
                    "the same run? Give each a seed of its own"
                )
            append_checkpoints(ds, self.path)
        self.last_epoch, self.last_step = checkpoint.epoch, step
        self._kind, self._n_classes = kind, probs.shape[1]

    def _kind_of(self, checkpoint: _Checkpoint) -> Kind:
        """Whether a checkpoint holds probabilities or logits."""
        seen = _seen_as(checkpoint.values) if self._auto else self._kind
        kind = seen or self._kind
        if kind is None or (self._kind is not None and kind != self._kind):
            problem = (
                "these predictions could be logits as well as probabilities gone wrong"
                if kind is None
                else f"these predictions look like {kind}, those of the checkpoints before were {self._kind}"
            )
            raise ValueError(f"{problem}: say which with Recorder(..., inputs='logits') or inputs='probs'")
        return kind

    def _check_probabilities(self, checkpoint: _Checkpoint) -> None:
        bad = ~_on_simplex(checkpoint.values)  # (N,)
        if bad.any():
            raise ValueError(
                f"these are no probabilities, which are non-negative and sum to 1: {_listed(self.sample_ids[bad])}"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the path; what goes wrong with the disk is said with its name."""
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


@dataclass(frozen=True)
class _Part:
    """Predictions of some samples of a checkpoint."""

    epoch: float
    step: int | None
    rows: NDArray[np.intp]  # (n,)
    values: NDArray[Any]  # (n, C)
    metrics: dict[str, float]


@dataclass
class _Checkpoint:
    """A checkpoint whose samples are being collected."""

    epoch: float
    step: int | None
    values: NDArray[Any]  # (N, C)
    seen: NDArray[np.bool_]  # (N,)
    metrics: dict[str, float] = field(default_factory=dict)

    def add(self, parts: Sequence[_Part]) -> None:
        for part in parts:
            if len(part.rows):
                self.values = self.values.astype(np.result_type(self.values, part.values), copy=False)
                self.values[part.rows] = part.values
                self.seen[part.rows] = True


def _merged(checkpoint: _Checkpoint, parts: Sequence[_Part]) -> dict[str, float]:
    """The metrics of a checkpoint with those of a further part: of rank 0, where there are several."""
    for name, value in parts[0].metrics.items():
        before = checkpoint.metrics.get(name, value)
        if not np.array_equal(before, value, equal_nan=True):
            raise ValueError(
                f"metric {name!r} of {_named(checkpoint.epoch, checkpoint.step)} is given as {before:g} and as "
                f"{value:g}: metrics belong to the whole checkpoint, give them with one part"
            )
    return {**checkpoint.metrics, **parts[0].metrics}


def _seen_as(values: NDArray[Any]) -> Kind | None:
    """What all predictions (N, C) of a checkpoint are; None if that cannot be told."""
    if _on_simplex(values).all():
        return "probs"
    if not values.any():
        return "logits"  # of a last layer that starts at zero
    between = bool(((values >= 0) & (values <= 1)).all())  # also sigmoids, roots of probabilities, coarse ones
    near = np.mean(_on_simplex(values, smallest=-ROW_SUM_TOLERANCE))
    return None if between or near > 0.5 else "logits"


def _on_simplex(values: NDArray[Any], smallest: float = 0.0) -> NDArray[np.bool_]:
    """Which rows (N,) are probabilities, also after rounding to float16 or bfloat16."""
    sums = values.sum(axis=1, dtype=np.float64)
    return (values >= smallest).all(axis=1) & (np.abs(sums - 1) <= ROW_SUM_TOLERANCE)


def _evaluate(values: NDArray[Any], labels: NDArray[Any], kind: Kind) -> tuple[NDArray[np.float64], float, float]:
    """Probabilities (N, C) in float64, accuracy and mean loss in nats."""
    every = np.arange(len(labels))
    accuracy = float(np.mean(values.argmax(axis=1) == labels))
    probs = values.astype(np.float64)  # (N, C)
    if kind == "logits":
        probs -= probs.max(axis=1, keepdims=True)
        true = probs[every, labels]  # (N,)
        np.exp(probs, out=probs)
        sums = probs.sum(axis=1)  # (N,)
        loss = float(np.mean(np.log(sums) - true))
    else:
        sums = probs.sum(axis=1)
        loss = float(-np.mean(np.log(np.maximum(probs[every, labels] / sums, _SMALLEST))))
    probs /= sums[:, None]
    return probs, accuracy, loss


def _to_numpy(values: Any) -> NDArray[Any]:
    """An array of an array, list or tensor."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _as_floats(predictions: Any) -> NDArray[Any]:
    """Predictions (n, C) in float32 or float64."""
    coarse = "bfloat16" in str(getattr(predictions, "dtype", ""))
    if coarse and hasattr(predictions, "detach"):
        predictions = predictions.detach().float()  # numpy has no such type
    values = _to_numpy(predictions)
    if values.ndim != 2:
        raise ValueError(f"predictions must have shape (samples, classes), got {values.shape}")
    if values.dtype.kind == "c":
        raise ValueError("predictions must be real numbers, got complex ones")
    return values.astype(np.float32 if coarse or values.dtype in (np.float16, np.float32) else np.float64, copy=False)


def _as_number(what: str, value: Any) -> float:
    number = _to_numpy(value)
    if number.size != 1 or number.dtype.kind not in "fiub":
        raise ValueError(f"{what} must be one number, got {value!r}")
    return float(number.reshape(()))


def _check_name(metric: str) -> None:
    """A metric is stored as a folder of its name, beside what else a dataset holds."""
    if metric in _TAKEN:
        problem, instead = "trajectories use this name for something else", f"{metric}_metric"
    elif not metric or metric.startswith(".") or re.search(r"[/\\]", metric) or metric == "zarr.json":
        problem, instead = "it is stored as a folder of this name", re.sub(r"[./\\]+", "_", metric).strip("_")
    else:
        return
    raise ValueError(f"a metric cannot be named {metric!r}: {problem}: call it {instead or 'metric'}")


def _distributed() -> Any:
    """`torch.distributed`, if several ranks are at work."""
    if "torch" not in sys.modules:
        return None
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    return distributed if distributed.get_world_size() > 1 else None


def _end_of(group: zarr.Group, run: str) -> tuple[float, int] | None:
    """Epoch and step of the last checkpoint of a run."""
    rows = np.flatnonzero(array_of(group, "run")[...].astype(object) == run)
    if not rows.size:
        return None
    return float(array_of(group, "epoch")[rows[-1]]), int(array_of(group, "step")[rows[-1]])


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    if "T" in (first.dtype.kind, second.dtype.kind):  # text as Zarr gives it
        first, second = first.astype(object).astype(str), second.astype(object).astype(str)
    return np.array_equal(first, second)


def _named(epoch: float, step: int | None) -> str:
    return f"the checkpoint of epoch {epoch:g}" + ("" if step is None else f", step {step}")


def _listed(samples: list[Any] | NDArray[Any]) -> str:
    """How messages name samples: the first few, and the count."""
    names = [repr(sample) for sample in (samples if isinstance(samples, list) else samples.tolist())]
    more = len(names) - _SHOWN
    return f"sample{'s'[: len(names) > 1]} {', '.join(names[:_SHOWN])}" + (
        f" and {more} more ({len(names)} in all)" if more > 0 else ""
    )
