"""A checkpoint whose samples are being collected, from one call or from many, from one rank or from all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.training.logits import as_floats, as_number, to_numpy
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS

#: Names with a meaning of their own in a dataset: no metric can have them.
_TAKEN = {
    *CHECKPOINT_COORDS,
    *("probs", "log_probs", "label", "sample", "class", "checkpoint", "embedding", "eigenvalue", "component"),
    *("image", "row", "column", "channel"),
}
_SHOWN = 5  # sample ids named in one message; the rest are counted


@dataclass(frozen=True)
class Part:
    """Predictions of some samples of a checkpoint."""

    epoch: float
    step: int | None
    rows: NDArray[np.intp]  # (n,)
    values: NDArray[Any]  # (n, C)
    metrics: dict[str, float]


class Samples:
    """The evaluation samples, which calls name by their ids.

    Parameters
    ----------
    ids : array, shape (N,)
        Unique.

    Examples
    --------
    >>> samples = Samples(np.array(["a", "b", "c"]))
    >>> samples.rows(["c", "a"], n_given=2)
    array([2, 0])
    """

    def __init__(self, ids: NDArray[Any]) -> None:
        self.ids = ids
        self._row_of = {sample: row for row, sample in enumerate(ids.tolist())}

    def rows(self, ids: Any, n_given: int) -> NDArray[np.intp]:
        """Rows (n_given,) of the samples with these ids; of all samples, in their order, where no ids are given.

        Raises
        ------
        ValueError
            Not one id for each prediction, or an unknown one.
        """
        if ids is None:
            if n_given != len(self.ids):
                raise ValueError(
                    f"predictions of {n_given} samples, but there are {len(self.ids)} labels: name the samples "
                    "of a part with sample_ids"
                )
            return np.arange(n_given)
        given = np.atleast_1d(to_numpy(ids))
        if given.shape != (n_given,):
            raise ValueError(f"sample_ids must name each of {n_given} predictions, got shape {given.shape}")
        unknown = [sample for sample in given.tolist() if sample not in self._row_of]
        if unknown:
            raise ValueError(f"unknown {listed(unknown)}: the recorder knows {listed(self.ids)}")
        return np.array([self._row_of[sample] for sample in given.tolist()], dtype=np.intp)

    def part(
        self, predictions: Any, epoch: float, step: int | None, sample_ids: Any, metrics: Mapping[str, float]
    ) -> Part:
        """What one call of `Recorder.record` gives, checked by itself: see there for the parameters and errors."""
        values = as_floats(predictions)  # (n, C)
        rows = self.rows(sample_ids, len(values))  # (n,)
        bad = ~np.isfinite(values).all(axis=1)  # (n,)
        if bad.any():
            samples = listed(self.ids[rows[bad]])
            raise ValueError(f"predictions are not finite (NaN or infinity) for {samples}: nothing is recorded")
        epoch = as_number("epoch", epoch)
        if not np.isfinite(epoch):
            raise ValueError(f"epoch must be finite, got {epoch}")
        if step is not None and not as_number("step", step).is_integer():
            raise ValueError(f"step must be a whole number, got {step}")
        for name in metrics:
            _check_metric_name(name)
        numbers = {name: as_number(f"metric {name!r}", value) for name, value in metrics.items()}
        return Part(epoch, None if step is None else int(step), rows, values, numbers)


@dataclass
class Checkpoint:
    """A checkpoint whose samples are being collected."""

    epoch: float
    step: int | None
    values: NDArray[Any]  # (N, C)
    seen: NDArray[np.bool_]  # (N,)
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def empty(cls, epoch: float, step: int | None, n_samples: int, n_classes: int) -> Checkpoint:
        """One without any sample so far."""
        return cls(epoch, step, np.zeros((n_samples, n_classes), dtype=np.float32), np.zeros(n_samples, dtype=bool))

    @property
    def name(self) -> str:
        """How messages name it."""
        return named(self.epoch, self.step)

    def add(self, parts: Sequence[Part]) -> None:
        """Put the predictions of parts where they belong."""
        for part in parts:
            if len(part.rows):
                self.values = self.values.astype(np.result_type(self.values, part.values), copy=False)
                self.values[part.rows] = part.values
                self.seen[part.rows] = True

    def doubled(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of some rows that are among them twice, or were seen before."""
        unique, counts = np.unique(rows, return_counts=True)
        return unique[(counts > 1) | self.seen[unique]]

    def merged_metrics(self, parts: Sequence[Part]) -> dict[str, float]:
        """The metrics with those of further parts of the same call: of the first one, which is that of rank 0.

        Raises
        ------
        ValueError
            A metric was given before, with another value.
        """
        for name, value in parts[0].metrics.items():
            before = self.metrics.get(name, value)
            if not np.array_equal(before, value, equal_nan=True):
                raise ValueError(
                    f"metric {name!r} of {self.name} is given as {before:g} and as "
                    f"{value:g}: metrics belong to the whole checkpoint, give them with one part"
                )
        return {**self.metrics, **parts[0].metrics}

    def what_is_missing(self, sample_ids: NDArray[Any]) -> str:
        """A sentence that names the samples which it lacks, by their ids (N,)."""
        return f"{self.name} is not recorded, it lacks {listed(sample_ids[~self.seen])}"


def named(epoch: float, step: int | None) -> str:
    """How messages name a checkpoint.

    Examples
    --------
    >>> named(0.5, 20)
    'the checkpoint of epoch 0.5, step 20'
    """
    return f"the checkpoint of epoch {epoch:g}" + ("" if step is None else f", step {step}")


def listed(samples: list[Any] | NDArray[Any]) -> str:
    """How messages name samples: the first few, and the count.

    Examples
    --------
    >>> listed(["a"])
    "sample 'a'"
    >>> listed(np.arange(7))
    'samples 0, 1, 2, 3, 4 and 2 more (7 in all)'
    """
    names = [repr(sample) for sample in (samples if isinstance(samples, list) else samples.tolist())]
    more = len(names) - _SHOWN
    return f"sample{'s'[: len(names) > 1]} {', '.join(names[:_SHOWN])}" + (
        f" and {more} more ({len(names)} in all)" if more > 0 else ""
    )


def _check_metric_name(metric: str) -> None:
    """Raise ValueError unless a metric can be stored, as a folder of its name beside the others of a dataset."""
    if metric in _TAKEN:
        problem, instead = "trajectories use this name for something else", f"{metric}_metric"
    elif not metric or metric.startswith(".") or re.search(r"[/\\]", metric) or metric == "zarr.json":
        problem, instead = "it is stored as a folder of this name", re.sub(r"[./\\]+", "_", metric).strip("_")
    else:
        return
    raise ValueError(f"a metric cannot be named {metric!r}: {problem}: call it {instead or 'metric'}")
