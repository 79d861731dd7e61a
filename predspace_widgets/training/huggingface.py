"""Record the trainings of the Hugging Face Trainer: `pip install "predspace-widgets[huggingface]"`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from predspace_widgets.extras import needs
from predspace_widgets.training.recorder import Recorder

with needs("recording from the Hugging Face Trainer", "huggingface"):
    import torch

    from predspace_widgets.training.evaluation import check_interval, check_start, record_network
    from predspace_widgets.training.torchvision_import import import_torchvision

with suppress(ImportError):
    import_torchvision()  # transformers imports torchvision where it is installed, which may need help

with needs("recording from the Hugging Face Trainer"):
    import accelerate  # noqa: F401  (the Trainer does not work without)
    from transformers import (
        DataCollatorWithPadding,
        TrainerCallback,
        TrainerControl,
        TrainerState,
        TrainingArguments,
        default_data_collator,
    )

# The recorder has the labels; without them the network computes no loss.
_LABELS = {"label", "labels", "label_ids"}


class RecorderCallback(TrainerCallback):
    """A callback of the Hugging Face Trainer that records the network's predictions while it trains.

    The network (one that classifies sequences, images or sounds: its output has `logits`, one row a sample) is
    evaluated on all samples of a dataset, in evaluation mode and with the precision of the trainer. The training goes
    on as if nothing had happened: modes and torch's random numbers are as before. With several devices each evaluates
    some of the batches; networks whose parameters are spread over devices (FSDP, DeepSpeed stage 3) are not supported.

    Parameters
    ----------
    recorder : predspace_widgets.Recorder
        Its labels are those of the dataset's samples, in the same order. Give it `resume=True` where the training
        goes on from a checkpoint of the Trainer's; steps that are recorded already are left out.
    dataset : sequence of mappings
        The samples to evaluate, as the Trainer takes them; what the network has no use for is left out.
    data_collator : callable (list of samples) -> mapping, optional
        Makes a batch. By default as the Trainer does: with padding, if the Trainer has a tokenizer.
    every_n_steps : int, optional
        Record at the start, at every n-th optimiser step and at the end. By default at the start, after each
        evaluation and after each epoch.

    Raises
    ------
    ValueError
        `every_n_steps` is no positive number; a training starts at step 0 with a recorder that has recorded one.

    Examples
    --------
    >>> import contextlib, io, tempfile
    >>> import predspace_widgets as pw
    >>> from transformers import BertConfig, BertForSequenceClassification, Trainer
    >>> sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9)
    >>> network = BertForSequenceClassification(BertConfig(num_labels=2, **sizes))
    >>> samples = [{"input_ids": [1, word], "label": word % 2} for word in range(8)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     labels = [sample["label"] for sample in samples]
    ...     recorder = pw.Recorder(f"{folder}/run.zarr", labels=labels, task="parity", inputs="logits")
    ...     arguments = TrainingArguments(
    ...         folder, num_train_epochs=2, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True
    ...     )
    ...     callback = RecorderCallback(recorder, samples)
    ...     trainer = Trainer(network, arguments, train_dataset=samples, callbacks=[callback])
    ...     with contextlib.redirect_stdout(io.StringIO()):
    ...         _ = trainer.train()
    ...     pw.open_trajectories(recorder.path).epoch.values
    array([0., 1., 2.])
    """

    def __init__(
        self,
        recorder: Recorder,
        dataset: Sequence[Mapping[str, Any]],
        *,
        data_collator: Callable[[list[Any]], Mapping[str, Any]] | None = None,
        every_n_steps: int | None = None,
    ) -> None:
        check_interval(every_n_steps)
        self.recorder = recorder
        self.dataset = dataset
        self.data_collator = data_collator
        self.every_n_steps = every_n_steps

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        check_start(self.recorder, state.global_step)
        self._record(args, state, **kwargs)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.every_n_steps is not None and state.global_step % self.every_n_steps == 0:
            self._record(args, state, **kwargs)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.every_n_steps is None:
            self._record(args, state, **kwargs)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.every_n_steps is None:
            self._record(args, state, **kwargs)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._record(args, state, **kwargs)

    def _record(self, args: TrainingArguments, state: TrainerState, **kwargs: Any) -> None:
        step = state.global_step
        if self.recorder.last_step is not None and step <= self.recorder.last_step:
            return  # recorded by this training, or by the one that it continues
        network = kwargs["model"]

        def predict(batch: Mapping[str, Any]) -> torch.Tensor:
            return network(**{name: value.to(args.device) for name, value in batch.items()}).logits

        batches = self._batches(network, args.per_device_eval_batch_size, kwargs.get("processing_class"))
        record_network(self.recorder, network, batches, predict, epoch=state.epoch or 0.0, step=step)

    def _batches(self, network: torch.nn.Module, batch_size: int, processing_class: Any) -> torch.utils.data.DataLoader:
        collate = self.data_collator
        if collate is None:
            padded = hasattr(processing_class, "pad")
            collate = DataCollatorWithPadding(processing_class) if padded else default_data_collator
        known = set(inspect.signature(network.forward).parameters) - _LABELS

        def make_batch(samples: list[Any]) -> Mapping[str, Any]:
            if self.data_collator is None:
                samples = [{name: value for name, value in sample.items() if name in known} for sample in samples]
            return {name: value for name, value in collate(samples).items() if name in known}

        return torch.utils.data.DataLoader(self.dataset, batch_size, collate_fn=make_batch)  # type: ignore[arg-type]
