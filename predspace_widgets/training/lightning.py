"""Record the trainings of Lightning: `pip install "predspace-widgets[lightning]"`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from predspace_widgets.extras import needs
from predspace_widgets.training.recorder import Recorder

with needs("recording from Lightning", "lightning"):
    import torch

    from predspace_widgets.training.evaluation import check_interval, check_start, record_network
    from predspace_widgets.training.torchvision_import import import_torchvision

with suppress(ImportError):
    import_torchvision()  # lightning imports torchvision where it is installed, which may need help

with needs("recording from Lightning"):
    from lightning.pytorch import Callback, LightningModule, Trainer


class RecorderCallback(Callback):
    """A Lightning callback that records the network's predictions while it trains.

    The network is evaluated on all batches of a dataloader, in evaluation mode and with the precision of the trainer.
    The training goes on as if nothing had happened: modes and torch's random numbers are as before. With several
    devices each evaluates some of the batches.

    Parameters
    ----------
    recorder : predspace_widgets.Recorder
        Its labels are those of the dataloader's samples, in the same order. Give it `resume=True` where the training
        goes on from a checkpoint of Lightning's; steps that are recorded already are left out.
    dataloader : iterable
        The samples to evaluate, not shuffled. A batch is the input of the network or a tuple that begins with it.
    every_n_steps : int, optional
        Record at the start, at every n-th optimiser step and at the end. By default at the start, after each
        validation and after each epoch.
    predict : callable (module, batch) -> tensor of shape (n, C), optional
        How a batch becomes logits or probabilities, for other batches or networks.

    Raises
    ------
    ValueError
        The dataloader shuffles; `every_n_steps` is no positive number; a training starts at step 0 with a recorder
        that has recorded one.

    Examples
    --------
    >>> import tempfile, warnings
    >>> import lightning
    >>> import predspace_widgets as pw
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> warnings.simplefilter("ignore")  # that so small a DataLoader has no workers
    >>> class Linear(lightning.LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(2, 3)
    ...     def forward(self, inputs):
    ...         return self.layer(inputs)
    ...     def training_step(self, batch):
    ...         return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> samples = TensorDataset(torch.eye(2), torch.tensor([0, 2]))
    >>> quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"], False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recorder = pw.Recorder(f"{folder}/run.zarr", labels=[0, 2], task="corners", inputs="logits")
    ...     callback = RecorderCallback(recorder, DataLoader(samples))
    ...     trainer = lightning.Trainer(max_epochs=2, accelerator="cpu", callbacks=[callback], **quiet)
    ...     trainer.fit(Linear(), DataLoader(samples))
    ...     pw.open_trajectories(recorder.path).epoch.values
    array([0., 1., 2.])
    """

    def __init__(
        self,
        recorder: Recorder,
        dataloader: Any,
        *,
        every_n_steps: int | None = None,
        predict: Callable[[LightningModule, Any], torch.Tensor] | None = None,
    ) -> None:
        if isinstance(getattr(dataloader, "sampler", None), torch.utils.data.RandomSampler):
            raise ValueError(
                "the dataloader shuffles its samples: they must come in the order of the recorder's labels"
            )
        check_interval(every_n_steps)
        self.recorder = recorder
        self.dataloader = dataloader
        self.every_n_steps = every_n_steps
        self.predict = predict or _forward

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        check_start(self.recorder, trainer.global_step)
        self._record(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0:
            self._record(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.every_n_steps is None and trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._record(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.every_n_steps is None:
            self._record(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._record(trainer, pl_module)

    def _record(self, trainer: Trainer, module: LightningModule) -> None:
        step = trainer.global_step
        if self.recorder.last_step is not None and step <= self.recorder.last_step:
            return  # recorded by this training, or by the one that it continues

        def predict(batch: Any) -> torch.Tensor:
            batch = trainer.strategy.batch_to_device(batch, module.device)
            with trainer.precision_plugin.forward_context():
                return self.predict(module, batch)

        record_network(self.recorder, module, self.dataloader, predict, epoch=_epoch(trainer), step=step)


def _forward(module: LightningModule, batch: Any) -> torch.Tensor:
    return module(batch[0] if isinstance(batch, (tuple, list)) else batch)


def _epoch(trainer: Trainer) -> float:
    """Share of epochs done, also in the midst of one."""
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress
    if trainer.num_training_batches != float("inf"):
        return batches.total.processed / trainer.num_training_batches
    epochs = trainer.fit_loop.epoch_progress.current  # an iterable dataset has no known length
    return float(epochs.completed + (batches.is_last_batch and epochs.ready > epochs.completed))
