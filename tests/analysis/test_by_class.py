"""Some samples only: the geometry of these, and of whole classes without reading the predictions again."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest

from predspace_widgets.analysis import Analysis, measurements
from predspace_widgets.analysis.large import by_class, kept
from predspace_widgets.geometry import pairwise
from predspace_widgets.trajectories import Samples, open_trajectories, save_trajectories, storage
from predspace_widgets.trajectories.source import StoreChangedError
from predspace_widgets.trajectories.testing import random_trajectories

TRAININGS = random_trajectories(n_seeds=1, n_checkpoints=6, n_samples=90)  # 18 checkpoints, 90 samples, 5 classes
SIX = Analysis(TRAININGS)
NAMES = ("distances", "geodesic_distances", "accuracy", "step_lengths", "progress")
CHOICES = [("class 3",), ("class 0", "class 4"), tuple(f"class {k}" for k in range(5))]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two samples to a chunk on disk, six to a block, 24 to a block of the first pass, and nothing fits in memory."""
    of_a_sample = 18 * 5 * 8
    monkeypatch.setattr(storage, "_CHUNK_BYTES", 2 * of_a_sample)
    monkeypatch.setattr(storage, "_BLOCK_BYTES", 3 * of_a_sample)
    monkeypatch.setattr(storage, "_LEAST_OF_A_CHECKPOINT", 1)
    monkeypatch.setattr(measurements, "_IN_MEMORY", 0)
    monkeypatch.setattr(by_class, "_BYTES", 24 * of_a_sample)
    monkeypatch.setattr(by_class, "_SHARE", 1 / 2)  # overlaps with both ends are a fifth, with so few classes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save_trajectories(TRAININGS, tmp_path / "trainings.zarr")


def opened(path: Path) -> Analysis:
    return Analysis(open_trajectories(path))


def without_chunks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nobody can read the predictions; that they were opened unchanged is not asked."""
    shutil.rmtree(path / "probs" / "c")
    monkeypatch.setattr("predspace_widgets.trajectories.source.Source.check_unchanged", lambda self: None)

    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError("predictions are read again")

    monkeypatch.setattr(da.Array, "compute", refuse)


def fresh(*classes: str) -> Analysis:
    return Analysis(Samples(classes=classes).apply(TRAININGS))


@pytest.mark.parametrize("classes", CHOICES)
def test_classes_are_answered_without_reading_anything_again(
    path: Path, classes: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, again = opened(path), opened(path)
    whole.prepare()
    without_chunks(path, monkeypatch)
    for analysis in (whole, again):  # the second finds all of it on disk
        part = analysis.of_samples(Samples(classes=classes))
        expected = fresh(*classes)
        for name in NAMES:
            ours, theirs = getattr(part.measured, name)(), getattr(expected.measured, name)()
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=name)
        ours, theirs = part.picture(), expected.picture()
        signs = np.sign((ours["embedding"].values * theirs["embedding"].values).sum(axis=0))
        np.testing.assert_allclose(ours["embedding"] * signs, theirs["embedding"], atol=1e-3)
        np.testing.assert_allclose(ours["explained_stress"], theirs["explained_stress"], atol=1e-5)
        lengths, expected_lengths = part.riemann_lengths()["length"], expected.riemann_lengths()["length"]
        np.testing.assert_allclose(lengths, expected_lengths, rtol=1e-5)


def test_classes_make_the_whole(path: Path) -> None:
    analysis = opened(path)
    labels, total = TRAININGS["label"].values, np.zeros((18, 18))
    for k in range(5):
        part = analysis.of_samples(Samples(classes=(f"class {k}",)))
        total += (labels == k).mean() * part.measured.distances()
    np.testing.assert_allclose(total, analysis.measured.distances(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(total, SIX.measured.distances(), rtol=1e-6, atol=1e-6)


def test_the_first_pass_is_the_only_one(path: Path, blocks: list[int]) -> None:
    """Everything comes from it, of all samples too."""
    opened(path).prepare()
    assert sum(blocks) == 90
    n_computed = len(blocks)
    again = opened(path)
    again.prepare()
    again.of_samples(Samples(classes=("class 3",))).prepare()
    assert len(blocks) == n_computed
    for name in NAMES:
        ours, theirs = getattr(again.measured, name)(), getattr(SIX.measured, name)()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("n_done", [1, 7, 16])
def test_a_first_pass_that_was_stopped_goes_on(n_done: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the class at which it was stopped: nothing counts twice, nothing is lost."""
    done: list[int] = []

    def stopping(P: Any, *args: Any, **options: Any) -> Any:
        if len(done) == n_done:
            raise KeyboardInterrupt
        done.append(P.shape[1])
        return pairwise(P, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(measurements, "pairwise", stopping)
        with pytest.raises(KeyboardInterrupt):
            opened(path).distances()
    seen: list[int] = []
    monkeypatch.setattr(measurements, "pairwise", lambda P, *a, **o: seen.append(P.shape[1]) or pairwise(P, *a, **o))
    np.testing.assert_allclose(opened(path).distances(), SIX.distances(), rtol=1e-6, atol=1e-6)
    assert sum(seen) <= 90 - sum(done)  # what is done is not done again
    monkeypatch.setattr(measurements, "pairwise", None)
    part = opened(path).of_samples(Samples(classes=("class 2",)))
    np.testing.assert_allclose(part.distances(), fresh_distances("class 2"), rtol=1e-6, atol=1e-6)


def fresh_distances(name: str) -> np.ndarray:
    inside = TRAININGS["label"].values == int(name[-1])
    return pairwise(TRAININGS["probs"].values[:, inside])


def test_beyond_the_budget_classes_are_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(by_class, "_SHARE", 1 / 50)
    with caplog.at_level(logging.WARNING):
        part = opened(path).of_samples(Samples(classes=("class 2",)))
        np.testing.assert_allclose(part.distances(), fresh_distances("class 2"), rtol=1e-6, atol=1e-6)
    assert "sums by class are not kept" in caplog.text
    assert not list(Path(f"{path}.results").glob("*/by-class*"))


def test_what_is_kept_is_within_the_budget(path: Path) -> None:
    opened(path).prepare()
    files = [file for file in Path(f"{path}.results").glob("*/by-class*/c/**/*") if file.is_file()]
    assert 0 < sum(file.stat().st_size for file in files) < TRAININGS["probs"].nbytes / 2 + 100 * len(files)


@pytest.mark.parametrize("damage", [shutil.rmtree, lambda folder: [cut(file) for file in folder.rglob("0")]])
@pytest.mark.parametrize("name", ["first", "others", "ends.1"])
def test_damaged_sums_are_not_believed(path: Path, name: str, damage: Callable[[Path], object]) -> None:
    opened(path).prepare()
    [folder] = Path(f"{path}.results").glob(f"*/by-class.*.{name}")
    damage(folder / "c")
    part = opened(path).of_samples(Samples(classes=("class 2",)))
    expected = fresh("class 2")
    for measure in NAMES:
        ours, theirs = getattr(part.measured, measure)(), getattr(expected.measured, measure)()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=measure)


def cut(file: Path) -> None:
    if file.is_file():
        file.write_bytes(file.read_bytes()[:-9])


def test_a_full_disk_costs_no_result(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.Results, "put", full)
    np.testing.assert_allclose(opened(path).distances(), SIX.distances(), rtol=1e-6, atol=1e-6)


def test_a_dataset_that_changed_since_it_was_opened(path: Path) -> None:
    analysis = opened(path)
    save_trajectories(random_trajectories(n_seeds=1, n_checkpoints=6, n_samples=90, seed=1), path)
    with pytest.raises(StoreChangedError):
        analysis.of_samples(Samples(classes=("class 2",))).distances()


def test_too_little_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda where: SimpleNamespace(free=8 * 18 * 17 // 2))
    np.testing.assert_allclose(opened(path).distances(), SIX.distances(), rtol=1e-6, atol=1e-6)


# -- any samples -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "samples",
    [
        Samples(classes=("class 1",)),
        Samples(rows=(3, 50, 7)),
        Samples(rows=(4,)),
        Samples(among=("class 1", "class 2", "class 4")),
        Samples(rows=tuple(range(40)), among=("class 1", "class 2"), classes=("class 2",)),
    ],
)
@pytest.mark.parametrize("in_memory", [0, 2**28])
def test_a_choice_is_a_dataset_of_these_samples(
    samples: Samples, in_memory: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "_IN_MEMORY", in_memory)
    expected = Analysis(samples.apply(TRAININGS))
    for whole in (Analysis(TRAININGS), opened(path)):
        part = whole.of_samples(samples)
        np.testing.assert_allclose(part.distances(), expected.distances(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(part.progress(), expected.progress(), atol=1e-6)
        np.testing.assert_allclose(part.accuracy(), expected.accuracy(), atol=1e-6)
        lengths, expected_lengths = part.riemann_lengths()["length"], expected.riemann_lengths()["length"]
        np.testing.assert_allclose(lengths, expected_lengths, rtol=1e-4)
        if samples.rows != (4,):  # of which some runs make no progress at all
            compared, of_expected = part.comparison("red", "blue"), expected.comparison("red", "blue")
            np.testing.assert_allclose(compared["distance"], of_expected["distance"], rtol=1e-3, atol=1e-6)
        assert part.ds.attrs["title"].endswith(samples.describe(TRAININGS))
        assert part.curve_names == whole.curve_names


def test_no_axis_flips() -> None:
    whole = Analysis(random_trajectories(n_seeds=3, n_samples=200))
    of_all = whole.picture()["embedding"].values
    for k in range(5):
        of_class = whole.of_samples(Samples(classes=(f"class {k}",))).picture()["embedding"].values
        assert ((of_all * of_class).sum(axis=0) >= 0).all()


def test_choices_are_kept_and_none_is_the_whole() -> None:
    whole = Analysis(TRAININGS)
    assert whole.of_samples(None) is whole
    first = whole.of_samples(Samples(rows=(0, 1)))
    assert whole.of_samples(Samples(rows=(0, 1))) is first
    for row in range(4):
        whole.of_samples(Samples(rows=(row,)))
    assert whole.of_samples(Samples(rows=(0, 1))) is not first


def test_the_accessor_takes_names_and_ids_and_keeps_the_signs() -> None:
    ds = random_trajectories(n_samples=100)
    part = ds.predspace.of_samples(classes="class 2")
    assert part.predspace.analysis is ds.predspace.analysis.of_samples(Samples(classes=("class 2",)))
    ids = ds["sample"].values[[4, 2]]
    assert ds.predspace.of_samples(samples=ids)["sample"].values.tolist() == ids[::-1].tolist()
    with pytest.raises(ValueError, match="no sample 'nobody' in this dataset of 100 samples"):
        ds.predspace.of_samples(samples=["nobody"])
