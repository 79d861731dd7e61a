"""Evaluate a network for a recorder in the middle of a training, without disturbing it; what the callbacks share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from predspace_widgets.training.recorder import Recorder


def record_network(
    recorder: Recorder,
    network: torch.nn.Module,
    batches: Iterable[Any],
    predict: Callable[[Any], torch.Tensor],
    *,
    epoch: float,
    step: int,
) -> None:
    """Evaluate a network on all samples and record its predictions; the training goes on as if it had not happened.

    With `torch.distributed` each rank evaluates some of the batches; an error of one is raised on all.

    Parameters
    ----------
    recorder : Recorder
    network : torch.nn.Module
        Evaluated in evaluation mode, without gradients; its modes and the random numbers of torch are then as before.
    batches : iterable
        All samples in the order of the recorder's labels, the same batches on every rank.
    predict : callable (batch) -> tensor of shape (n, C)
    epoch : float
    step : int
        See `Recorder.record`.
    """
    try:
        predictions, ids = _evaluate(recorder, network, batches, predict)
    except Exception as error:
        recorder.fail(error)
    else:
        recorder.record(predictions, epoch=epoch, step=step, sample_ids=ids)


def _evaluate(
    recorder: Recorder, network: torch.nn.Module, batches: Iterable[Any], predict: Callable[[Any], torch.Tensor]
) -> tuple[torch.Tensor, NDArray[Any]]:
    """Predictions (n, C) of the samples of this rank, and their ids (n,)."""
    rank, n_ranks = recorder.share
    predictions: list[torch.Tensor] = []
    rows: list[int] = []
    start = 0
    with undisturbed(network):
        for number, batch in enumerate(batches):
            n_samples = _size_of(batch)
            if number % n_ranks == rank:
                predictions.append(predict(batch).detach().cpu())  # (n, C)
                rows.extend(range(start, start + n_samples))
            start += n_samples
    if start != len(recorder.sample_ids):
        raise ValueError(f"{start} samples to evaluate, but the recorder has {len(recorder.sample_ids)} labels")
    together = torch.cat(predictions) if predictions else torch.empty(0, 1)  # a rank may be left without a batch
    return together, recorder.sample_ids[np.array(rows, dtype=np.intp)]


def check_interval(every_n_steps: int | None) -> None:
    """Raise ValueError unless the steps between two checkpoints, where they are given, are a positive number."""
    if every_n_steps is not None and every_n_steps < 1:
        raise ValueError(f"every_n_steps must be a positive number, got {every_n_steps}")


def check_start(recorder: Recorder, step: int) -> None:
    """Raise ValueError if a training that starts at a step does not continue the run of a recorder."""
    if step == 0 and recorder.last_step:
        raise ValueError(
            f"the training starts at step 0, but run {recorder.run!r} is recorded up to step {recorder.last_step}: let "
            "the training go on from a checkpoint of its own, or give the recorder another seed or path"
        )


@contextmanager
def undisturbed(network: torch.nn.Module) -> Iterator[None]:
    """A network in evaluation mode, without gradients; afterwards its modes and random numbers are as before.

    Examples
    --------
    >>> network = torch.nn.Dropout()
    >>> with undisturbed(network):
    ...     network.training
    False
    >>> network.training
    True
    """
    modes = [(module, module.training) for module in network.modules()]
    devices = sorted({value.device.index for value in network.parameters() if value.device.type == "cuda"})
    network.eval()
    try:
        # Even the start of a DataLoader draws a random number.
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            yield
    finally:
        for module, mode in modes:  # each its own: some may be frozen in evaluation mode
            module.training = mode


def _size_of(batch: Any) -> int:
    """Number of samples of a batch: the length of the first tensor in it, else of its first list of texts."""
    columns = sorted(_columns(batch), key=lambda column: not hasattr(column, "shape"))
    if not columns:
        raise ValueError(
            f"a batch ({type(batch).__name__}) with neither a tensor nor a list of texts: how many samples it holds "
            "cannot be told, let it hold one of these"
        )
    return len(columns[0])


def _columns(batch: Any) -> Iterator[Any]:
    """The parts of a batch that hold one entry a sample: tensors and lists of texts, depth first."""
    if hasattr(batch, "shape"):
        if len(batch.shape):
            yield batch
    elif callable(getattr(batch, "values", None)):
        for part in batch.values():
            yield from _columns(part)
    elif isinstance(batch, Iterable) and not isinstance(batch, (str, bytes, Iterator)):
        parts = list(batch)
        if parts and all(isinstance(part, str) for part in parts):
            yield parts
        for part in parts:
            yield from _columns(part)
