"""The recorder: what a loop gives is what is on disk, whatever the order, the parts and the ranks; else an error."""

from __future__ import annotations

import errno
import itertools
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
import torch
import xarray as xr
import zarr

import predspace_widgets as pw
from predspace_widgets.training import destination
from predspace_widgets.training.evaluation import _size_of, record_network, undisturbed
from predspace_widgets.training.recorder import Recorder
from predspace_widgets.trajectories import schema

LABELS = np.array([0, 2, 1, 0, 1, 2, 0])
IDS = [f"image {index}" for index in range(7)]
CLASSES = ["cat", "dog", "owl"]


def logits_of(checkpoint: int) -> np.ndarray:
    """Logits (7, 3) of a network that learns, the same at every call."""
    noise = np.random.default_rng(checkpoint).normal(size=(7, 3))
    return noise + 0.7 * checkpoint * np.eye(3)[LABELS]


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.as_tensor(logits, dtype=torch.float64), dim=1).numpy()


def a_recorder(path: Path, **options: Any) -> Recorder:
    return Recorder(path, **{"labels": LABELS, "classes": CLASSES, "sample_ids": IDS, "task": "pets", **options})


def recorded(path: Path, n_checkpoints: int = 3, **options: Any) -> Path:
    """A path to which all checkpoints of a run were recorded."""
    with a_recorder(path, **options) as recorder:
        for index in range(n_checkpoints):
            recorder.record(logits_of(index), epoch=index / 2, step=10 * index)
    return path


def no_space(*_: Any, **__: Any) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def no_memory(*_: Any) -> torch.Tensor:
    raise RuntimeError("out of memory")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.zarr"


# -- what is recorded -------------------------------------------------------------------------------------------------


def test_a_plain_loop(path: Path) -> None:
    with pw.Recorder(path, labels=torch.from_numpy(LABELS), task="pets") as recorder:
        for epoch in range(3):
            recorder.record(torch.from_numpy(logits_of(epoch)), epoch=epoch)
            with pw.open_trajectories(path) as found:  # while it goes on
                assert found.sizes["checkpoint"] == epoch + 1
    with pw.open_trajectories(path) as found:
        wanted = np.stack([softmax(logits_of(epoch)) for epoch in range(3)])
        np.testing.assert_allclose(found["probs"].values, wanted, rtol=2e-3)  # float16
        np.testing.assert_array_equal(found["epoch"], [0, 1, 2])
        np.testing.assert_array_equal(found["step"], [0, 1, 2])
        assert found["run"].values.tolist() == ["pets/supervised/0"] * 3
        np.testing.assert_array_equal(found["class"], [0, 1, 2])
        np.testing.assert_array_equal(found["sample"], range(7))


def test_everything_given_is_stored(path: Path) -> None:
    images = np.arange(7 * 4, dtype=np.uint8).reshape(7, 2, 2)
    options = {"method": "simclr", "seed": 3, "title": "Pets", "source": "the street", "dtype": "float32"}
    with a_recorder(path, images=images, **options) as recorder:
        recorder.record(logits_of(0), epoch=0.5, step=40, learning_rate=torch.tensor(0.1), n_seen=640)
    with pw.open_trajectories(path) as found:
        assert zarr.open_group(path, mode="r")["probs"].dtype == np.float32  # type: ignore[union-attr]
        assert [str(found[name].values[0]) for name in ("run", "task", "method")] == ["pets/simclr/3", "pets", "simclr"]
        assert [float(found[name][0]) for name in ("seed", "epoch", "step")] == [3, 0.5, 40]
        np.testing.assert_allclose(found["learning_rate"], [0.1])
        assert float(found["n_seen"][0]) == 640
        np.testing.assert_array_equal(found["image"], images)
        assert found["sample"].values.tolist() == IDS
        assert found["class"].values.tolist() == CLASSES
        assert (found.attrs["title"], found.attrs["source"]) == ("Pets", "the street")
        assert found.attrs["schema_version"] == "1"


@pytest.mark.parametrize("inputs", ["auto", "logits", "probs"])
@pytest.mark.parametrize(
    "given",
    [
        torch.tensor,
        np.asarray,
        np.ndarray.tolist,
        lambda values: torch.tensor(values, dtype=torch.float32, requires_grad=True),
        lambda values: torch.tensor(values, dtype=torch.float16),
        lambda values: torch.tensor(values, dtype=torch.bfloat16),
        lambda values: np.asfortranarray(values.astype(np.float32))[:, :],
    ],
    ids=["float64", "numpy", "list", "gradient", "float16", "bfloat16", "other order"],
)
def test_predictions_of_any_type(given: Any, inputs: Any, path: Path) -> None:
    values = softmax(logits_of(2)) if inputs == "probs" else logits_of(2)
    with a_recorder(path, inputs=inputs, dtype="float64") as recorder:
        recorder.record(given(values), epoch=0)
    coarse = any(isinstance(x, torch.Tensor) and x.itemsize == 2 for x in [given(values)])
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], softmax(logits_of(2)), rtol=2e-2 if coarse else 1e-6)
        np.testing.assert_allclose(found["probs"].sum("class"), 1)


def test_bfloat16_probabilities_are_told_from_logits(path: Path) -> None:
    many = torch.softmax(torch.randn(7, 1000, generator=torch.Generator().manual_seed(0)), dim=1).bfloat16()
    with Recorder(path, labels=LABELS, task="many") as recorder:
        recorder.record(many, epoch=0)
    with pw.open_trajectories(path) as found:
        wanted = many.double() / many.double().sum(dim=1, keepdim=True)
        np.testing.assert_allclose(found["probs"][0], wanted, rtol=5e-3)


def test_accuracy_and_loss_are_those_before_rounding(path: Path) -> None:
    logits = np.zeros((7, 3))
    logits[np.arange(7), LABELS] = 1e-6  # right, but the same as the others in float16
    with a_recorder(path, inputs="logits") as recorder:
        recorder.record(logits, epoch=0)
        recorder.record(logits_of(4), epoch=1)
        recorder.record(1e4 * logits_of(4), epoch=2)  # probabilities of 0
        recorder.record(logits_of(0), epoch=3, accuracy=0.25, loss=9)
    with pw.open_trajectories(path) as found:
        true = torch.from_numpy(LABELS)
        losses = [torch.nn.functional.cross_entropy(torch.tensor(scale * logits_of(4)), true) for scale in (1, 1e4)]
        assert float(found["accuracy"][0]) == 1
        np.testing.assert_allclose(found["loss"], [np.log(3) - 2e-6 / 3, *losses, 9], rtol=1e-9)
        np.testing.assert_allclose(found["accuracy"][1:], [*[np.mean(logits_of(4).argmax(1) == LABELS)] * 2, 0.25])


def test_the_loss_of_a_true_class_of_probability_zero_is_finite(path: Path) -> None:
    with a_recorder(path) as recorder:
        recorder.record(np.eye(3)[(LABELS + 1) % 3], epoch=0)
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["loss"], [-np.log(1e-45)])


def test_it_needs_no_torch() -> None:
    code = """
        import sys, tempfile
        import predspace_widgets
        with tempfile.TemporaryDirectory() as folder:
            with predspace_widgets.Recorder(f"{folder}/run.zarr", labels=[0, 1], task="coin") as recorder:
                recorder.record([[0.5, 0.5], [1.0, 0.0]], epoch=0)
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


# -- probabilities or logits ------------------------------------------------------------------------------------------

AMBIGUOUS = {
    "sigmoids": 1 / (1 + np.exp(-logits_of(1))),
    "roots": np.sqrt(softmax(logits_of(1))),
    "negative by rounding": softmax(20 * logits_of(3)) - 1e-9,
    "one row wrong": np.concatenate([softmax(logits_of(1))[:6], [[2.0, 0, -1]]]),
    "not normalised": softmax(logits_of(1)) * 0.95,
}


@pytest.mark.parametrize("values", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_what_could_be_either_is_never_guessed(values: np.ndarray, path: Path) -> None:
    with pytest.raises(ValueError, match=r"could be logits as well .* inputs='logits'\) or inputs='probs'"):
        a_recorder(path).record(values, epoch=0)
    with pytest.raises(ValueError, match="these are no probabilities, which are non-negative and sum to 1: sample"):
        a_recorder(path, inputs="probs").record(values, epoch=0)
    assert not path.exists()
    a_recorder(path, inputs="logits", dtype="float64").record(values, epoch=0)
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], softmax(values))


@pytest.mark.parametrize("scale", [0, 1e-3, 1, 30, -1])
def test_logits_are_seen_as_logits(scale: float, path: Path) -> None:
    a_recorder(path, dtype="float64").record(scale * logits_of(1), epoch=0)
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], softmax(scale * logits_of(1)), atol=1e-12)


def test_logarithms_of_probabilities_are_logits(path: Path) -> None:
    a_recorder(path, dtype="float64").record(np.log(softmax(logits_of(1))), epoch=0)
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], softmax(logits_of(1)))


def test_the_checkpoint_is_judged_as_a_whole(path: Path) -> None:
    logits = logits_of(1)
    logits[3] = [0.2, 0.3, 0.5]  # could be probabilities
    with a_recorder(path, dtype="float64") as recorder:
        for row in range(7):
            recorder.record(logits[[row]], epoch=0, sample_ids=[IDS[row]])
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], softmax(logits))


def test_one_run_holds_one_kind(path: Path) -> None:
    recorder = a_recorder(path)
    recorder.record(logits_of(0), epoch=0)
    with pytest.raises(ValueError, match="look like probs, those of the checkpoints before were logits: say which"):
        recorder.record(softmax(logits_of(1)), epoch=1)
    recorder.record(AMBIGUOUS["sigmoids"], epoch=1)  # they were logits until now


def test_a_type_too_coarse_for_so_many_classes(path: Path) -> None:
    n_classes = 818_000
    probs = np.full((1, n_classes), 1 / n_classes)
    with pytest.raises(ValueError, match="float16 is too coarse for 818000 classes: record with dtype='float32'"):
        Recorder(path, labels=[5], task="words").record(probs, epoch=0)
    Recorder(path, labels=[5], task="words", dtype="float32").record(probs, epoch=0)
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], probs, rtol=1e-5)


# -- parts of the samples ---------------------------------------------------------------------------------------------


def same(first: Path, second: Path) -> None:
    with pw.open_trajectories(first) as found, pw.open_trajectories(second) as expected:
        xr.testing.assert_identical(found.compute(), expected.compute())


@pytest.mark.parametrize("seed", range(3))
def test_order_and_parts_make_no_difference(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    with a_recorder(tmp_path / "parts.zarr") as recorder:
        for index in range(3):
            for rows in np.split(rng.permutation(7), sorted(rng.integers(0, 8, size=3))):  # some of them empty
                ids = [IDS[row] for row in rows]
                recorder.record(logits_of(index)[rows], epoch=index / 2, step=10 * index, sample_ids=ids)
    same(tmp_path / "parts.zarr", recorded(tmp_path / "whole.zarr"))


@pytest.mark.parametrize("make", [np.asarray, torch.tensor, list], ids=["array", "tensor", "list"])
def test_ids_that_are_numbers(make: Any, path: Path) -> None:
    numbers = [30, 10, 50, 20, 70, 60, 40]
    with a_recorder(path, sample_ids=numbers, dtype="float64") as recorder:
        recorder.record(logits_of(0)[::-1].copy(), epoch=0, sample_ids=make(numbers[::-1]))
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], softmax(logits_of(0)))


def test_missing_samples_are_named(path: Path) -> None:
    recorder = a_recorder(path)
    recorder.record(logits_of(0)[[0, 2]], epoch=0, sample_ids=[IDS[0], IDS[2]])
    wanted = "lacks samples 'image 1', 'image 3', 'image 4', 'image 5', 'image 6'"  # five of five
    with pytest.raises(ValueError, match=f"epoch 1 begins before the last one is complete: .*epoch 0 .*{wanted}"):
        recorder.record(logits_of(1)[[0]], epoch=1, sample_ids=[IDS[0]])
    recorder.record(logits_of(0)[[1]], epoch=0, sample_ids=[IDS[1]])  # it can still be completed
    with pytest.raises(ValueError, match=r"epoch 0 is not recorded, it lacks samples 'image 3', .*'image 6'$"):
        recorder.close()
    assert not path.exists()


def test_many_samples_are_counted(path: Path) -> None:
    recorder = Recorder(path, labels=[0] * 99 + [1], task="many")
    recorder.record([[0.5, 0.5]], epoch=0, sample_ids=[7])
    with pytest.raises(ValueError, match=r"lacks samples 0, 1, 2, 3, 4 and 94 more \(99 in all\)"):
        recorder.close()


def test_doubled_samples_are_named(path: Path) -> None:
    recorder = a_recorder(path)
    with pytest.raises(ValueError, match=r"sample 'image 2' given twice for the checkpoint of epoch 0$"):
        recorder.record(logits_of(0)[[2, 3, 2]], epoch=0, sample_ids=[IDS[2], IDS[3], IDS[2]])
    recorder.record(logits_of(0)[:3], epoch=0, sample_ids=IDS[:3])
    with pytest.raises(ValueError, match="sample 'image 2' given twice for the checkpoint of epoch 0"):
        recorder.record(logits_of(0)[2:], epoch=0, sample_ids=IDS[2:])
    recorder.record(logits_of(0)[3:], epoch=0, sample_ids=IDS[3:])  # nothing of the failed calls stayed
    with pytest.raises(ValueError, match=r"epoch 0 does not come after .*were samples of it given twice"):
        recorder.record(logits_of(0)[2:], epoch=0, sample_ids=IDS[2:])
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][0], softmax(logits_of(0)), rtol=2e-3)


def test_unknown_samples_are_named(path: Path) -> None:
    with pytest.raises(ValueError, match="unknown samples 'image 9', 7: the recorder knows samples 'image 0'"):
        a_recorder(path).record(logits_of(0)[:3], epoch=0, sample_ids=np.array(["image 9", IDS[0], 7], dtype=object))


def test_metrics_belong_to_the_whole_checkpoint(path: Path) -> None:
    recorder = a_recorder(path)
    recorder.record(logits_of(0)[:3], epoch=0, sample_ids=IDS[:3], norm=1.0)
    with pytest.raises(ValueError, match="metric 'norm' of the checkpoint of epoch 0 is given as 1 and as 2"):
        recorder.record(logits_of(0)[3:], epoch=0, sample_ids=IDS[3:], norm=2.0)
    recorder.record(logits_of(0)[3:], epoch=0, sample_ids=IDS[3:], angle=3.0)
    with pw.open_trajectories(path) as found:
        assert (float(found["norm"][0]), float(found["angle"][0])) == (1, 3)


# -- bad input --------------------------------------------------------------------------------------------------------


def with_value(value: float) -> np.ndarray:
    values = logits_of(1)
    values[[2, 4], 1] = value
    return values


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"predictions": with_value(np.nan)}, r"not finite .* for samples 'image 2', 'image 4': nothing is recorded"),
        ({"predictions": with_value(-np.inf)}, "not finite"),
        ({"predictions": logits_of(1)[:, :2]}, "predictions of 2 classes, expected 3"),
        ({"predictions": logits_of(1)[:6]}, "predictions of 6 samples, but there are 7 labels: .*sample_ids"),
        ({"predictions": logits_of(1)[0]}, r"must have shape \(samples, classes\), got \(3,\)"),
        ({"predictions": logits_of(1) + 1j}, "must be real numbers"),
        ({"sample_ids": IDS[:3]}, r"sample_ids must name each of 7 predictions, got shape \(3,\)"),
        ({"epoch": np.nan}, "epoch must be finite, got nan"),
        ({"epoch": None}, "epoch must be one number, got None"),
        ({"epoch": "1"}, "epoch must be one number, got '1'"),
        (
            {"epoch": -1},
            "epoch -1 does not come after the last checkpoint of run 'pets/supervised/0', epoch 0, step 10",
        ),
        ({"epoch": 0, "step": None}, "epoch 0 does not come after"),
        ({"step": 10}, "step 10 does not come after"),
        ({"step": 3}, "step 3 does not come after"),
        ({"step": 11.5}, "step must be a whole number, got 11.5"),
        ({"step": np.nan}, "step must be a whole number, got nan"),
        ({"step": "3"}, "step must be one number, got '3'"),
        *(
            ({name: 1.0}, f"a metric cannot be named '{name}': .*: call it {name}_metric")
            for name in ("label", "row", "column", "channel", "component")
        ),
        ({"val/loss": 1.0}, "a metric cannot be named 'val/loss': .*: call it val_loss"),
        ({"val\\loss": 1.0}, "a metric cannot be named .*: call it val_loss"),
        ({"": 1.0}, "a metric cannot be named '': .*: call it metric"),
        ({".": 1.0}, r"a metric cannot be named '\.': .*: call it metric"),
        ({".norm": 1.0}, r"a metric cannot be named '\.norm': .*: call it norm"),
        ({"zarr.json": 1.0}, r"a metric cannot be named 'zarr\.json': .*: call it zarr_json"),
        ({"norm": [1, 2]}, "metric 'norm' must be one number"),
        ({"norm": "high"}, "metric 'norm' must be one number"),
    ],
)
def test_bad_input_leaves_everything_as_it_was(call: dict[str, Any], message: str, path: Path) -> None:
    recorder = a_recorder(path)
    recorder.record(logits_of(0), epoch=0, step=10)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=message):
        recorder.record(**{"predictions": logits_of(1), "epoch": 1, "step": 11, **call})
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    recorder.record(logits_of(1), epoch=1, step=11)
    recorder.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": []}, "labels must be a list of whole numbers"),
        ({"labels": np.eye(3)[LABELS]}, r"labels must be a list of whole numbers.* got shape \(7, 3\) of float64"),
        ({"labels": LABELS + 1}, r"'label' must lie in \[0, 3\): sample image 1 has 3"),
        ({"sample_ids": IDS[:6]}, "sample must name each of the 7"),
        ({"sample_ids": [*IDS[:6], IDS[0]]}, "'sample' names must be unique.*image 0"),
        ({"classes": ["cat", "dog", "cat"]}, "'class' names must be unique.*cat"),
        ({"images": np.zeros((7, 2, 2))}, "'image' must be uint8"),
        ({"inputs": "logit"}, "inputs must be 'auto', 'logits' or 'probs', got 'logit'"),
        ({"seed": "x"}, "seed must be a whole number, got 'x'"),
        ({"seed": 0.5}, "seed must be a whole number, got 0.5"),
        ({"task": "pets/small"}, "task must have no '/', got 'pets/small': a run is named task/method/seed"),
        ({"method": "a/b"}, "method must have no '/', got 'a/b'"),
    ],
)
def test_a_bad_description_is_found_before_the_training(options: dict[str, Any], message: str, path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        a_recorder(path, **options)


@pytest.mark.parametrize("name", ["run.zarr.zip", "run.nc"])
def test_a_file_to_ship_cannot_grow(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.zarr, not run.*save_trajectories"):
        a_recorder(tmp_path / name)


def test_a_label_beyond_the_classes(path: Path) -> None:
    with pytest.raises(ValueError, match="predictions of 2 classes, but there is a label 2"):
        Recorder(path, labels=LABELS, task="pets").record(logits_of(0)[:, :2], epoch=0)


def test_after_the_end(path: Path) -> None:
    with a_recorder(path) as recorder:
        recorder.record(logits_of(0), epoch=0)
    recorder.close()
    with pytest.raises(ValueError, match="the recorder of run 'pets/supervised/0' is closed"):
        recorder.record(logits_of(1), epoch=1)


def test_an_error_of_the_loop_is_the_one_to_see(path: Path) -> None:
    def loop() -> None:
        with a_recorder(path) as recorder:
            recorder.record(logits_of(0)[:2], epoch=0, sample_ids=IDS[:2])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()


# -- the disk ---------------------------------------------------------------------------------------------------------


def test_no_space_left(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = a_recorder(recorded(path), seed=1)
    recorder.record(logits_of(0)[:3], epoch=0, sample_ids=IDS[:3])

    with monkeypatch.context() as patch:
        patch.setattr(zarr.storage._local, "_put", no_space)
        with pytest.raises(OSError, match=r"run\.zarr: No space left on device; what was .* stays valid") as raised:
            recorder.record(logits_of(0)[3:], epoch=0, sample_ids=IDS[3:])
        assert raised.value.errno == errno.ENOSPC
    with pw.open_trajectories(path) as found:
        assert set(found["run"].values) == {"pets/supervised/0"}
    recorder.record(logits_of(0)[3:], epoch=0, sample_ids=IDS[3:])  # when there is space again
    with pw.open_trajectories(path) as found:
        np.testing.assert_allclose(found["probs"][3], softmax(logits_of(0)), rtol=2e-3)


def test_another_process_that_holds_the_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination, "_LOCK_SECONDS", 0.01)
    recorder = a_recorder(path)
    with filelock.FileLock(path.with_name(".run.zarr.lock")), pytest.raises(OSError, match="another process has been"):
        recorder.record(logits_of(0), epoch=0)
    recorder.record(logits_of(0), epoch=0)


def test_a_checkpoint_is_validated_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []

    def count(ds: xr.Dataset, *, values: bool = True) -> list[str]:
        checked.append(ds.sizes["class"])
        return []

    monkeypatch.setattr(schema, "find_problems", count)
    recorder = Recorder(path, labels=LABELS % 2, task="pets")
    for index in range(3):
        recorder.record(logits_of(index), epoch=index)
    # The description for the classes that the labels have, for those of the predictions, and each checkpoint.
    assert checked == [2, 3, 3, 3, 3]


def test_shipped_as_one_file(path: Path) -> None:
    with pw.open_trajectories(recorded(path)) as found:
        shipped = pw.save_trajectories(found, path.with_name("run.zarr.zip"))
    with zarr.storage.ZipStore(shipped, mode="r") as store:
        assert zarr.open_group(store, mode="r")["probs"].chunks == (3, 7, 3)  # type: ignore[union-attr]
    with pw.open_trajectories(shipped) as again, pw.open_trajectories(path) as found:
        xr.testing.assert_allclose(again.compute(), found.compute(), rtol=2e-3)


# -- several runs and resuming ----------------------------------------------------------------------------------------


def test_several_runs_in_one_dataset(path: Path) -> None:
    recorded(path, 3)
    recorded(path, 2, seed=1)
    recorded(path, 2, method="simclr", task="cats")
    with pw.open_trajectories(path) as found:
        assert [(run, len(list(group))) for run, group in itertools.groupby(found["run"].values)] == [
            ("pets/supervised/0", 3),
            ("pets/supervised/1", 2),
            ("cats/simclr/0", 2),
        ]
        np.testing.assert_array_equal(found["step"], [0, 10, 20, 0, 10, 0, 10])
        np.testing.assert_allclose(found["probs"][3], found["probs"][0])


def test_recorders_may_take_turns(path: Path) -> None:
    recorders = [a_recorder(path, seed=seed) for seed in range(2)]
    for index, recorder in itertools.product(range(2), recorders):
        recorder.record(logits_of(index), epoch=index)
    with pw.open_trajectories(path) as found:
        np.testing.assert_array_equal(found["seed"], [0, 1, 0, 1])
        np.testing.assert_array_equal(found["step"], [0, 0, 1, 1])


def test_processes_may_record_at_the_same_time(path: Path) -> None:
    code = """
        import sys
        import predspace_widgets as pw
        with pw.Recorder(sys.argv[1], labels=[0, 1], task="coin", seed=int(sys.argv[2])) as recorder:
            for epoch in range(10):
                recorder.record([[1.0, 2.0], [3.0, 1.0]], epoch=epoch)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(path)]
    processes = [subprocess.Popen([*command, str(seed)]) for seed in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    with pw.open_trajectories(path) as found:
        for seed in range(2):
            np.testing.assert_array_equal(found["step"][found["seed"] == seed], range(10))


def test_the_same_run_again(path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'pets/supervised/0' already, up to epoch 1, step 20: .*resume=True, or .*seed"
    ):
        a_recorder(recorded(path))


def test_a_resumed_run_ends_like_one_that_was_not_stopped(tmp_path: Path) -> None:
    path = recorded(tmp_path / "resumed.zarr", 2)
    with a_recorder(path, resume=True) as recorder:
        assert (recorder.last_epoch, recorder.last_step) == (0.5, 10)
        with pytest.raises(ValueError, match="step 10 does not come after"):
            recorder.record(logits_of(1), epoch=0.5, step=10)
        recorder.record(logits_of(2), epoch=1, step=20)
    same(path, recorded(tmp_path / "whole.zarr", 3))


def test_resuming_what_is_not_there_begins_it(tmp_path: Path) -> None:
    same(recorded(tmp_path / "resumed.zarr", resume=True), recorded(tmp_path / "whole.zarr"))


@pytest.mark.parametrize(
    ("options", "different"),
    [
        ({"labels": np.roll(LABELS, 1)}, "labels"),
        ({"classes": ["cat", "dog", "cow"]}, "classes"),
        ({"classes": None}, "classes"),
        ({"sample_ids": IDS[::-1]}, "sample ids"),
        ({"sample_ids": None}, "sample ids"),
        ({"labels": LABELS[:6], "sample_ids": IDS[:6]}, "labels, sample ids"),
        ({"images": np.zeros((7, 2, 2), dtype=np.uint8)}, "images"),
        ({"dtype": "float64"}, "dtype"),
    ],
)
def test_runs_of_one_dataset_share_samples_and_classes(options: dict[str, Any], different: str, path: Path) -> None:
    recorded(path)
    with pytest.raises(ValueError, match=f"was recorded with other {different}, which all of its runs must share"):
        a_recorder(path, seed=1, **options)


def test_the_same_images_are_welcome_and_none_as_well(path: Path) -> None:
    images = np.arange(7 * 4, dtype=np.uint8).reshape(7, 2, 2)
    recorded(path, images=images)
    recorded(path, images=images, seed=1)
    recorded(path, seed=2)
    with pytest.raises(ValueError, match="other images"):
        a_recorder(path, images=images + 1, seed=3)


def test_a_dataset_that_was_saved_cannot_grow(path: Path) -> None:
    with pw.open_trajectories(recorded(path)) as found:
        loaded = found.load()
    pw.save_trajectories(loaded, path)
    with pytest.raises(ValueError, match="was not recorded checkpoint by checkpoint: record into a new path"):
        a_recorder(path, seed=1)


def test_two_recorders_of_one_run(path: Path) -> None:
    first, second = a_recorder(path), a_recorder(path)
    first.record(logits_of(0), epoch=0)
    with pytest.raises(ValueError, match="is not as this recorder left it: does another process record the same run"):
        second.record(logits_of(0), epoch=0)
    first.record(logits_of(1), epoch=1)


# -- several ranks ----------------------------------------------------------------------------------------------------

# Each rank has every second sample, and goes through all that can happen, whatever happened before.
# `sys.argv`: a folder, the rank. Written: the error of each.
RANK = """
import json, sys
from pathlib import Path
from torch import distributed
from tests.training.test_recorder import HAPPENS, as_rank

folder, rank = Path(sys.argv[1]), int(sys.argv[2])
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
errors = {}
for what in HAPPENS:
    try:
        as_rank(rank, what, folder / f"{what}.zarr")
    except (ValueError, OSError) as error:
        errors[what] = str(error)
(folder / f"{rank}.json").write_text(json.dumps(errors))
distributed.destroy_process_group()
"""
HAPPENS = ("nan", "whole checkpoints", "doubled", "batches", "disk", "alone", "none of its own", "network", "predict")


def as_rank(rank: int, what: str, path: Path) -> None:
    """Record three checkpoints; something happens at the last one."""
    if what == "alone" and rank == 1:
        return
    with a_recorder(path, gather=what != "alone") as recorder, pytest.MonkeyPatch.context() as patch:
        for index in range(3):
            rows = list(range(7)) if what == "alone" else list(range(rank, 7, 2))
            if what == "none of its own":
                rows = [] if rank else list(range(7))
            ids, predictions = [IDS[row] for row in rows], torch.from_numpy(logits_of(index)[rows])
            if index == 2 and what == "nan" and rank == 1:
                predictions[1, 0] = float("nan")
            if index == 2 and what == "doubled" and rank == 1:  # as a DistributedSampler does
                ids[-1] = IDS[0]
            if index == 2 and what == "disk":
                patch.setattr(zarr.storage._local, "_put", no_space)
            if what in ("network", "predict"):
                batches = torch.from_numpy(logits_of(index)).split(2)
                network: Any = torch.nn.Identity()
                predict = no_memory if index == 2 and what == "predict" and rank == 1 else network
                record_network(recorder, network, batches, predict, epoch=index / 2, step=10 * index)
                continue
            for part in (slice(0, 2), slice(2, None)) if what == "batches" else (slice(None),):
                recorder.record(predictions[part], epoch=index / 2, step=10 * index, sample_ids=ids[part], rank=rank)
            assert recorder.last_step == 10 * index  # on every rank


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    """What two ranks recorded, and their errors."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-c", RANK, str(folder)]
    processes = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    return folder, [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("what", ["whole checkpoints", "batches", "alone", "none of its own", "network"])
def test_ranks_put_their_samples_together(what: str, ranks: tuple[Path, list[dict[str, str]]], tmp_path: Path) -> None:
    folder, errors = ranks
    assert [found.get(what) for found in errors] == [None, None]
    with pw.open_trajectories(folder / f"{what}.zarr") as found:
        if what != "network":
            np.testing.assert_array_equal(found["rank"], 0)
        with pw.open_trajectories(recorded(tmp_path / "whole.zarr")) as expected:
            xr.testing.assert_identical(found.drop_vars("rank", errors="ignore").compute(), expected.compute())


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "rank 1: predictions are not finite (NaN or infinity) for sample 'image 3'"),
        (
            "doubled",
            "sample 'image 0' given twice for the checkpoint of epoch 1, step 20. A DistributedSampler repeats samples",
        ),
        ("predict", "rank 1: RuntimeError: out of memory"),
        ("disk", "No space left on device; what was recorded before stays valid"),
    ],
)
def test_an_error_of_one_rank_ends_all(what: str, message: str, ranks: tuple[Path, list[dict[str, str]]]) -> None:
    folder, errors = ranks
    assert all(message in found[what] for found in errors), errors
    with pw.open_trajectories(folder / f"{what}.zarr") as found:
        np.testing.assert_array_equal(found["step"], [0, 10])


# -- evaluating a network ---------------------------------------------------------------------------------------------


class Net(torch.nn.Module):
    """A network that knows its mode, with a part that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = torch.nn.BatchNorm1d(2).eval()
        self.rest = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout())

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.rest(self.frozen(inputs))


def test_the_training_does_not_notice_an_evaluation(path: Path) -> None:
    torch.manual_seed(0)
    network, inputs = Net(), torch.randn(7, 2)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    numbers = torch.get_rng_state()
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs), batch_size=3)
    recorder = a_recorder(path, dtype="float64")
    record_network(recorder, network, batches, lambda batch: network(batch[0]), epoch=0, step=0)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert [module.training for module in network.modules()] == [True, False, True, True, True]
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    with pw.open_trajectories(path) as found, torch.no_grad():
        np.testing.assert_allclose(found["probs"][0], softmax(network.eval()(inputs).numpy()), rtol=1e-6)


def test_modes_come_back_after_an_error() -> None:
    network = Net()
    with pytest.raises(ZeroDivisionError), undisturbed(network):
        raise ZeroDivisionError
    assert network.training
    assert not network.frozen.training


def test_a_network_is_evaluated_on_all_samples(path: Path) -> None:
    def batches() -> Iterator[torch.Tensor]:
        yield torch.zeros(4, 2)

    with pytest.raises(ValueError, match="4 samples to evaluate, but the recorder has 7 labels"):
        record_network(a_recorder(path), Net(), batches(), torch.nn.Linear(2, 3), epoch=0, step=0)


def test_an_error_of_the_network_is_the_one_to_see(path: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        record_network(a_recorder(path), Net(), [torch.zeros(7, 2)], no_memory, epoch=0, step=0)


TEXTS, NUMBERS = ["one sentence", "another", "a third"], torch.zeros(3, 2)


@pytest.mark.parametrize(
    "batch",
    [
        NUMBERS,
        (TEXTS, NUMBERS),
        {"names": ["a"], "more": {"scale": torch.tensor(2.0), "inputs": NUMBERS}},
        TEXTS,
        {"text": tuple(TEXTS), "label": [0, 1, 0]},
    ],
)
def test_the_size_of_a_batch(batch: Any) -> None:
    assert _size_of(batch) == 3


@pytest.mark.parametrize("batch", ["one sentence", [], [[1, 2], [3, 4]], {"text": "one sentence"}, None])
def test_a_batch_of_unknown_size(batch: Any) -> None:
    with pytest.raises(ValueError, match=r"a batch \(\w+\) with neither a tensor nor a list of texts: .* let it hold"):
        _size_of(batch)


def test_logarithms_are_recorded_and_stay_the_form_of_the_path(tmp_path: Path) -> None:
    """Predictions that float16 rounds to 0 as probabilities are there as logarithms."""
    logits = np.array([[0.0, -30.0], [0.0, 12.0]])
    options = {"labels": [0, 1], "task": "t"}
    with Recorder(tmp_path / "logs.zarr", **options, store="log_probs") as recorder:
        for epoch in range(2):
            recorder.record(logits, epoch=epoch)
    probs = pw.open_trajectories(tmp_path / "logs.zarr")["probs"].values
    np.testing.assert_allclose(np.log(probs[:, 0, 1]), -30, atol=0.01)
    with Recorder(tmp_path / "logs.zarr", **options, seed=1) as recorder:
        recorder.record(logits, epoch=0)
    assert pw.open_trajectories(tmp_path / "logs.zarr").sizes["checkpoint"] == 3
    assert not (tmp_path / "logs.zarr" / "probs").exists()
    with pytest.raises(ValueError, match="was recorded with other store"):
        Recorder(tmp_path / "logs.zarr", **options, seed=2, store="probs")
