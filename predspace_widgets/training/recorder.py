"""Record the predictions of any training loop, one checkpoint after the other, as trajectories on disk.

Nothing here needs torch; tensors are welcome, and so are the ranks of `torch.distributed`.
"""

from __future__ import annotations

import operator
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.training.checkpoint import Checkpoint, Part, Samples, listed, named
from predspace_widgets.training.destination import Destination
from predspace_widgets.training.logits import Kind, evaluate, kind_of, on_simplex, to_numpy
from predspace_widgets.trajectories.attributes import of_one_run, text_of
from predspace_widgets.trajectories.storage import Store, StoredDtype
from predspace_widgets.trajectories.termination import ended_by_sigterm


class Recorder:
    """Records the predictions of one training as a run of a trajectories dataset.

    The dataset is a Zarr directory that can be opened after every recorded checkpoint, also while the training goes
    on: ``predspace_widgets.open_trajectories(path)`` or ``predspace serve path``. A crash loses at most the checkpoint
    that is being recorded. In a `with` block SIGTERM, by which queues and systems end processes, ends the recording as
    Ctrl-C does, with exit code 143, unless the program has a handler of its own.

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
        In which numbers predictions are stored: by default float16, or as the path has it.
    store : {"probs", "log_probs"}, optional
        In which form: as probabilities, or as their logarithms, which float16 never rounds to 0. By default "probs", or
        as the path has it.
    resume : bool
        Go on with a run that the path holds already, after its last checkpoint. Without it such a run is an error.
    gather : bool
        Where `torch.distributed` is initialised, every rank calls `record` and the parts of all are put together.
        False: what is given to this recorder is everything; for loops in which one rank alone has a recorder.
    title, source : str
        Stored with the dataset: what it is, and where it came from. Those of the first run stay.
    attrs : mapping of str to str, number or bool, optional
        Attributes of this run, such as {"architecture": "cnn", "learning_rate": 0.1}, which colours, choices and
        curves can go by. Its name has them too, so that runs that differ in nothing else are told apart:
        "task/method/seed/architecture=cnn". Runs in the same path may have others.

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
        already, or was not recorded. A task or method with "/", a seed that is no whole number, an attribute that
        cannot be stored.
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
        dtype: StoredDtype | None = None,
        store: Store | None = None,
        resume: bool = False,
        gather: bool = True,
        title: str = "",
        source: str = "",
        attrs: Mapping[str, str | float | bool] | None = None,
    ) -> None:
        self.path = Path(path)
        if inputs not in ("auto", "logits", "probs"):
            raise ValueError(f"inputs must be 'auto', 'logits' or 'probs', got {inputs!r}")
        for what, name in (("task", task), ("method", method)):
            if "/" in str(name):
                raise ValueError(f"{what} must have no '/', got {name!r}: a run is named task/method/seed")
        try:
            seed = operator.index(seed)
        except TypeError as error:
            raise ValueError(f"seed must be a whole number, got {seed!r}") from error
        of_run = of_one_run(attrs)
        named = [f"{name}={text_of(value)}" for name, value in of_run.items()]
        self.run = "/".join([f"{task}/{method}/{seed}", *named])
        self._auto = inputs == "auto"
        self._kind: Kind | None = None if inputs == "auto" else inputs
        self._gather, self._closed, self._until_closed = gather, False, ExitStack()
        self._labels = to_numpy(labels)
        self.sample_ids: NDArray[Any] = np.arange(self._labels.size) if sample_ids is None else to_numpy(sample_ids)
        described = {
            "label": self._labels,
            "task": task,
            "method": method,
            "seed": seed,
            "sample": self.sample_ids,
            "classes": None if classes is None else [str(name) for name in classes],
            "image": None if images is None else to_numpy(images),
            "title": title,
            "source": source,
            "attrs": of_run,
        }
        self._destination = Destination(self.path, self.run, described, dtype, store)
        self._samples = Samples(self.sample_ids)
        self._pending: Checkpoint | None = None
        end = self._destination.find_run(resume)
        self.last_epoch: float | None = None if end is None else end[0]
        self.last_step: int | None = None if end is None else end[1]

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
        part: Part | Exception
        try:
            part = self._samples.part(predictions, epoch, step, sample_ids, metrics)
        except Exception as error:  # the other ranks wait for this part: they must be told
            part = error
        self._hand_in(part)

    def fail(self, error: Exception) -> None:
        """Raise an error that came before `record` could be called: with `torch.distributed` on every rank.

        Without it the other ranks, which call `record`, would wait for this one for ever.
        """
        self._hand_in(error)

    def _hand_in(self, part: Part | Exception) -> None:
        """Take a part, or the error that came instead of it, together with those of the other ranks."""
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
        self._destination.close()
        if self._pending is not None:
            raise ValueError(self._pending.what_is_missing(self.sample_ids))

    def __enter__(self) -> Self:
        self._until_closed.enter_context(ended_by_sigterm())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._until_closed.close()
        if kind is None:
            self.close()
        self._closed = True  # after an error nothing is checked: that error is the one to see
        self._destination.close()

    @property
    def share(self) -> tuple[int, int]:
        """Rank of this process and number of ranks whose predictions are put together."""
        distributed = _distributed() if self._gather else None
        return (0, 1) if distributed is None else (distributed.get_rank(), distributed.get_world_size())

    # -- the parts of a checkpoint ------------------------------------------------------------------------------------

    def _take_from_all_ranks(self, part: Part | Exception, distributed: Any) -> None:
        """Rank 0 takes the parts of all ranks; its error, or that of any rank, is raised on every one."""
        first = distributed.get_rank() == 0
        own = part if isinstance(part, Exception) else None
        if own is not None:  # as text: not every error can be pickled
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
        # Every rank learns whether rank 0 failed: one that went on would wait for it for ever.
        told = [(None if failure is None else str(failure), self.last_epoch, self.last_step)]
        distributed.broadcast_object_list(told, src=0)
        message, self.last_epoch, self.last_step = told[0]
        if failure is None and message is not None:
            failure = ValueError(message)
        if failure is not None:
            failure.__cause__ = failure.__cause__ or own  # whose traceback shows where it arose
            raise failure

    def _take(self, parts: Sequence[Part | Exception]) -> None:
        """Put parts of one checkpoint where they belong, and write it if it is complete."""
        for part in parts:
            if isinstance(part, Exception):
                raise part
        sound = [part for part in parts if isinstance(part, Part)]
        names = {(part.epoch, part.step) for part in sound}
        if len(names) > 1:
            raise ValueError(f"the ranks record different checkpoints at the same time: (epoch, step) {sorted(names)}")
        checkpoint = self._checkpoint_of(sound)
        rows = np.concatenate([part.rows for part in sound])
        self._check_new(checkpoint, rows)
        metrics = checkpoint.merged_metrics(sound)
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

    def _checkpoint_of(self, parts: Sequence[Part]) -> Checkpoint:
        """The checkpoint to which parts belong: the one that is being collected, or a new one."""
        epoch, step, pending = parts[0].epoch, parts[0].step, self._pending
        if pending is not None and (pending.epoch, pending.step) != (epoch, step):
            lacking = pending.what_is_missing(self.sample_ids)
            raise ValueError(f"{named(epoch, step)} begins before the last one is complete: {lacking}")
        sizes = {part.values.shape[1] for part in parts if len(part.rows)}
        known = pending.values.shape[1] if pending is not None else self._destination.n_classes
        n_classes = known or min(sizes, default=0)
        if sizes - {n_classes}:
            raise ValueError(f"predictions of {max(sizes - {n_classes})} classes, expected {n_classes}")
        if n_classes <= int(self._labels.max()):
            raise ValueError(f"predictions of {n_classes} classes, but there is a label {int(self._labels.max())}")
        if pending is not None:
            return pending
        self._check_follows(epoch, step)
        return Checkpoint.empty(epoch, step, len(self.sample_ids), n_classes)

    def _check_follows(self, epoch: float, step: int | None) -> None:
        """Raise ValueError unless a new checkpoint comes after the last one of the run."""
        if self.last_epoch is None or self.last_step is None:
            return
        last = f"the last checkpoint of run {self.run!r}, epoch {self.last_epoch:g}, step {self.last_step}"
        same = epoch == self.last_epoch and step in (None, self.last_step)
        again = " (were samples of it given twice?)" if same else ""
        if epoch < self.last_epoch or (step is None and epoch == self.last_epoch):
            raise ValueError(f"epoch {epoch:g} does not come after {last}{again}")
        if step is not None and step <= self.last_step:
            raise ValueError(f"step {step} does not come after {last}{again}")

    def _check_new(self, checkpoint: Checkpoint, rows: NDArray[np.intp]) -> None:
        """Raise ValueError if samples are given twice for a checkpoint."""
        doubled = checkpoint.doubled(rows)
        if doubled.size:
            advice = (
                ". A DistributedSampler repeats samples so that all ranks have equally many: let each rank evaluate "
                "torch.utils.data.Subset(dataset, range(rank, len(dataset), world_size)) instead"
            )
            raise ValueError(
                f"{listed(self.sample_ids[doubled])} given twice for {checkpoint.name}"
                + (advice if self.share[1] > 1 else "")
            )

    def _write(self, checkpoint: Checkpoint, metrics: dict[str, float]) -> None:
        """Write a checkpoint that is complete."""
        kind = kind_of(checkpoint.values, self._kind) if self._auto or self._kind is None else self._kind
        if kind == "probs":
            self._check_probabilities(checkpoint)
        probs, accuracy, loss = evaluate(checkpoint.values, self._labels, kind)
        last, step = self._last, checkpoint.step
        if step is None:
            step = 0 if last is None else last[1] + 1
        self._destination.write(
            probs, checkpoint.epoch, step, {"accuracy": accuracy, "loss": loss, **metrics}, after=last
        )
        self.last_epoch, self.last_step, self._kind = checkpoint.epoch, step, kind

    @property
    def _last(self) -> tuple[float, int] | None:
        """Epoch and step of the latest complete checkpoint."""
        return None if self.last_epoch is None or self.last_step is None else (self.last_epoch, self.last_step)

    def _check_probabilities(self, checkpoint: Checkpoint) -> None:
        """Raise ValueError, naming the samples, if rows that should be probabilities are not."""
        bad = ~on_simplex(checkpoint.values)  # (N,)
        if bad.any():
            raise ValueError(
                f"these are no probabilities, which are non-negative and sum to 1: {listed(self.sample_ids[bad])}"
            )


def _distributed() -> Any:
    """`torch.distributed`, if several ranks are at work."""
    if "torch" not in sys.modules:
        return None
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    return distributed if distributed.get_world_size() > 1 else None
