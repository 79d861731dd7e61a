"""The Lightning callback, with Lightning itself."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import predspace_widgets as pw
from predspace_widgets.training.torchvision_import import import_torchvision

import_torchvision()  # before lightning does it without help
lightning = pytest.importorskip("lightning")

from predspace_widgets.training.lightning import RecorderCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

QUIET: dict[str, Any] = dict.fromkeys(["logger", "enable_progress_bar", "enable_checkpointing"], False)
N_BATCHES = 4


def samples(n_samples: int, seed: int) -> TensorDataset:
    inputs = torch.randn(n_samples, 5, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(inputs, inputs[:, :3].argmax(dim=1))


TRAIN, EVALUATION = samples(4 * N_BATCHES, 0), samples(11, 1)


class Net(lightning.LightningModule):  # type: ignore[misc,name-defined]
    """A network whose training draws random numbers, and that keeps its weights at each step."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Dropout(), torch.nn.Linear(8, 3))
        self.history: dict[int, dict[str, torch.Tensor]] = {}

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs)

    def on_train_start(self) -> None:
        self.keep()

    def training_step(self, batch: Any) -> torch.Tensor:
        assert self.training
        return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])

    def on_train_batch_end(self, *_: Any) -> None:
        self.keep()

    def keep(self) -> None:
        self.history[self.global_step] = {name: value.clone() for name, value in self.state_dict().items()}

    def validation_step(self, batch: Any) -> None:
        assert not self.training

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def predictions(self, step: int) -> np.ndarray:
        self.load_state_dict(self.history[step])
        with torch.no_grad():
            return torch.softmax(self.eval()(EVALUATION.tensors[0]).double(), dim=1).numpy()


def a_recorder(path: Path, **options: Any) -> pw.Recorder:
    return pw.Recorder(path, labels=EVALUATION.tensors[1], task="argmax", inputs="logits", dtype="float64", **options)


def fit(callbacks: list[Any], validate: bool = True, **options: Any) -> Net:
    net = Net()
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        callbacks=callbacks,
        enable_model_summary=False,
        **{**QUIET, "max_epochs": 2, **options},
    )
    torch.manual_seed(1)
    validation = DataLoader(EVALUATION, batch_size=4) if validate else None
    trainer.fit(
        net, DataLoader(TRAIN, batch_size=4, shuffle=True), validation, ckpt_path=options.pop("ckpt_path", None)
    )
    return net


@pytest.mark.parametrize(
    ("options", "every_n_steps", "steps"),
    [
        ({}, None, [0, 4, 8]),
        ({"validate": False}, None, [0, 4, 8]),
        ({"val_check_interval": 0.5}, None, [0, 2, 4, 6, 8]),
        ({"check_val_every_n_epoch": 2}, None, [0, 4, 8]),
        ({"accumulate_grad_batches": 2}, None, [0, 2, 4]),
        ({}, 3, [0, 3, 6, 8]),
        ({"max_steps": 6}, None, [0, 4, 6]),
    ],
)
def test_what_is_recorded_is_what_the_network_predicted_then(
    options: dict[str, Any], every_n_steps: int | None, steps: list[int], tmp_path: Path
) -> None:
    recorder = a_recorder(tmp_path / "run.zarr")
    loader = DataLoader(EVALUATION, batch_size=4)
    net = fit([RecorderCallback(recorder, loader, every_n_steps=every_n_steps)], **options)
    with pw.open_trajectories(recorder.path) as found:
        np.testing.assert_array_equal(found["step"], steps)
        per_epoch = N_BATCHES // options.get("accumulate_grad_batches", 1)
        np.testing.assert_allclose(found["epoch"], np.array(steps) / per_epoch)
        wanted = np.stack([net.predictions(step) for step in steps])
        np.testing.assert_allclose(found["probs"], wanted, rtol=1e-5)
        assert float(np.abs(np.diff(wanted, axis=0)).max()) > 1e-3


def test_the_training_does_not_notice(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path / "run.zarr")
    with_it = fit([RecorderCallback(recorder, DataLoader(EVALUATION, batch_size=4), every_n_steps=1)])
    without = fit([])
    for first, second in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.equal(first, second)


def test_batches_of_another_form(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path / "run.zarr")
    batches = [{"x": EVALUATION.tensors[0][:6]}, {"x": EVALUATION.tensors[0][6:]}]
    callback = RecorderCallback(recorder, batches, predict=lambda module, batch: module(batch["x"]))
    net = fit([callback])
    with pw.open_trajectories(recorder.path) as found:
        np.testing.assert_allclose(found["probs"][-1], net.predictions(8), rtol=1e-5)


def test_an_iterable_dataset_without_a_length(tmp_path: Path) -> None:
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(TRAIN)

    recorder = a_recorder(tmp_path / "run.zarr")
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=[RecorderCallback(recorder, DataLoader(EVALUATION))], **QUIET
    )
    trainer.fit(Net(), DataLoader(Stream(), batch_size=4), DataLoader(EVALUATION))
    with pw.open_trajectories(recorder.path) as found:
        np.testing.assert_array_equal(found["epoch"], [0, 1, 2])


def test_a_training_that_goes_on(tmp_path: Path) -> None:
    loader = DataLoader(EVALUATION, batch_size=4)
    first = a_recorder(tmp_path / "run.zarr")
    saving = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path, filename="last", every_n_epochs=1)
    fit([RecorderCallback(first, loader), saving], max_epochs=1, enable_checkpointing=True)
    again = a_recorder(tmp_path / "run.zarr", resume=True)
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", callbacks=[RecorderCallback(again, loader)], **QUIET)
    trainer.fit(Net(), DataLoader(TRAIN, batch_size=4), loader, ckpt_path=tmp_path / "last.ckpt", weights_only=False)
    with pw.open_trajectories(again.path) as found:
        np.testing.assert_array_equal(found["step"], [0, 4, 8, 12])
        np.testing.assert_array_equal(found["epoch"], [0, 1, 2, 3])


def test_another_training_is_not_recorded_as_the_same_run(tmp_path: Path) -> None:
    callback = RecorderCallback(a_recorder(tmp_path / "run.zarr"), DataLoader(EVALUATION))
    fit([callback])
    with pytest.raises(ValueError, match=r"starts at step 0, but run 'argmax/supervised/0' is recorded up to step 8"):
        fit([callback])


def test_samples_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10 samples to evaluate, but the recorder has 11 labels"):
        fit([RecorderCallback(a_recorder(tmp_path / "run.zarr"), DataLoader(samples(10, 0)))])


def test_a_shuffled_dataloader(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the dataloader shuffles its samples"):
        RecorderCallback(a_recorder(tmp_path / "run.zarr"), DataLoader(EVALUATION, shuffle=True))


def test_a_step_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every_n_steps must be a positive number, got 0"):
        RecorderCallback(a_recorder(tmp_path / "run.zarr"), DataLoader(EVALUATION), every_n_steps=0)


def test_without_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "predspace_widgets.training.lightning")
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    with warnings.catch_warnings(), pytest.raises(ImportError, match=r'pip install "predspace-widgets\[lightning\]"'):
        import predspace_widgets.training.lightning  # noqa: F401
