"""The callback of the Hugging Face Trainer, with the Trainer itself; networks are made from a configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import predspace_widgets as pw
from predspace_widgets.training.torchvision_import import import_torchvision

os.environ["HF_HUB_OFFLINE"] = "1"
import_torchvision()  # before transformers does it without help
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from predspace_widgets.training.huggingface import RecorderCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

LABELS = [0, 1, 2, 1, 0, 2, 1, 0, 2, 2, 1]
EVALUATION = [{"input_ids": [1, 3 + label, 7, 4], "label": label, "text": "unused"} for label in LABELS]
TRAIN = [{"input_ids": [1, 3 + number % 3, 4, 5 + number % 2], "label": number % 3} for number in range(16)]


def a_network() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.BertConfig(vocab_size=10, num_labels=3, hidden_dropout_prob=0.2, **sizes)
    return transformers.BertForSequenceClassification(config)


def a_recorder(folder: Path, **options: Any) -> pw.Recorder:
    return pw.Recorder(folder / "run.zarr", labels=LABELS, task="words", inputs="logits", dtype="float64", **options)


class Keep(transformers.TrainerCallback):  # type: ignore[misc,name-defined]
    """Keeps the weights of each step."""

    def __init__(self) -> None:
        self.history: dict[int, dict[str, torch.Tensor]] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.history[state.global_step] = {name: value.clone() for name, value in kwargs["model"].state_dict().items()}

    on_step_end = on_train_begin


def train(folder: Path, callbacks: list[Any], resume: bool = False, **options: Any) -> Any:
    arguments = transformers.TrainingArguments(
        str(folder / "trainer"),
        **{
            "num_train_epochs": 2,
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 4,
            "learning_rate": 0.01,
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            "save_strategy": "no",
            **options,
        },
    )
    trainer = transformers.Trainer(
        a_network(), arguments, train_dataset=TRAIN, eval_dataset=EVALUATION, callbacks=callbacks
    )
    trainer.train(resume_from_checkpoint=resume or None)
    return trainer


def predictions(network: Any, state: dict[str, torch.Tensor]) -> np.ndarray:
    network.load_state_dict(state)
    inputs = torch.tensor([sample["input_ids"] for sample in EVALUATION])
    with torch.no_grad():
        return torch.softmax(network.eval()(inputs).logits.double(), dim=1).numpy()


@pytest.mark.parametrize(
    ("options", "every_n_steps", "steps"),
    [
        ({}, None, [0, 4, 8]),
        ({"eval_strategy": "epoch"}, None, [0, 4, 8]),
        ({"eval_strategy": "steps", "eval_steps": 3}, None, [0, 3, 4, 6, 8]),
        ({}, 3, [0, 3, 6, 8]),
    ],
)
def test_what_is_recorded_is_what_the_network_predicted_then(
    options: dict[str, Any], every_n_steps: int | None, steps: list[int], tmp_path: Path
) -> None:
    recorder, keep = a_recorder(tmp_path), Keep()
    trainer = train(tmp_path, [keep, RecorderCallback(recorder, EVALUATION, every_n_steps=every_n_steps)], **options)
    with pw.open_trajectories(recorder.path) as found:
        np.testing.assert_array_equal(found["step"], steps)
        np.testing.assert_allclose(found["epoch"], np.array(steps) / 4)
        wanted = np.stack([predictions(trainer.model, keep.history[step]) for step in steps])
        np.testing.assert_allclose(found["probs"], wanted, rtol=1e-5)
        assert float(np.abs(np.diff(wanted, axis=0)).max()) > 1e-3


def test_the_training_does_not_notice(tmp_path: Path) -> None:
    with_it = train(tmp_path, [RecorderCallback(a_recorder(tmp_path), EVALUATION, every_n_steps=1)])
    without = train(tmp_path, [])
    for first, second in zip(with_it.model.parameters(), without.model.parameters(), strict=True):
        assert torch.equal(first, second)


def test_a_collator_of_ones_own(tmp_path: Path) -> None:
    ragged = [{"words": [1, 3 + label] + [7] * (number % 3)} for number, label in enumerate(LABELS)]

    def pad(batch: list[Any]) -> dict[str, torch.Tensor]:
        rows = [torch.tensor(sample["words"]) for sample in batch]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return {"input_ids": ids, "attention_mask": (ids > 0).long(), "unknown": ids}

    recorder, keep = a_recorder(tmp_path), Keep()
    trainer = train(tmp_path, [keep, RecorderCallback(recorder, ragged, data_collator=pad)])
    trainer.model.load_state_dict(keep.history[8])
    with pw.open_trajectories(recorder.path) as found, torch.no_grad():
        for number, sample in enumerate(ragged):
            logits = trainer.model.eval()(torch.tensor([sample["words"]])).logits.double()
            np.testing.assert_allclose(found["probs"][-1, number], torch.softmax(logits, dim=1)[0], rtol=1e-4)


def test_labels_that_the_network_does_not_know_are_left_to_the_recorder(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    samples = [{**sample, "label": 100} for sample in EVALUATION]
    train(tmp_path, [RecorderCallback(recorder, samples, data_collator=transformers.default_data_collator)])
    assert recorder.last_step == 8


def test_a_training_that_goes_on(tmp_path: Path) -> None:
    saving = {"save_strategy": "epoch", "num_train_epochs": 1}
    train(tmp_path, [RecorderCallback(a_recorder(tmp_path), EVALUATION)], **saving)
    again = a_recorder(tmp_path, resume=True)
    train(tmp_path, [RecorderCallback(again, EVALUATION)], resume=True, save_strategy="epoch", num_train_epochs=3)
    with pw.open_trajectories(again.path) as found:
        np.testing.assert_array_equal(found["step"], [0, 4, 8, 12])
        np.testing.assert_array_equal(found["epoch"], [0, 1, 2, 3])


def test_another_training_is_not_recorded_as_the_same_run(tmp_path: Path) -> None:
    callback = RecorderCallback(a_recorder(tmp_path), EVALUATION)
    train(tmp_path, [callback])
    with pytest.raises(ValueError, match=r"starts at step 0, but run 'words/supervised/0' is recorded up to step 8"):
        train(tmp_path, [callback])


def test_an_evaluation_before_and_after_the_training(tmp_path: Path) -> None:
    recorder = a_recorder(tmp_path)
    trainer = train(tmp_path, [RecorderCallback(recorder, EVALUATION)], num_train_epochs=1)
    trainer.evaluate()
    with pw.open_trajectories(recorder.path) as found:
        np.testing.assert_array_equal(found["step"], [0, 4])


def test_samples_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="10 samples to evaluate, but the recorder has 11 labels"):
        train(tmp_path, [RecorderCallback(a_recorder(tmp_path), EVALUATION[:10])])


def test_a_step_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every_n_steps must be a positive number, got -1"):
        RecorderCallback(a_recorder(tmp_path), EVALUATION, every_n_steps=-1)


@pytest.mark.parametrize("package", ["transformers", "accelerate"])
def test_without_the_libraries(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "predspace_widgets.training.huggingface")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r'pip install "predspace-widgets\[huggingface\]"'):
        import predspace_widgets.training.huggingface  # noqa: F401
