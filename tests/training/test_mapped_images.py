"""Decoded images: the same pixels as the files have, one copy for all processes, made again when a file changes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from predspace_widgets.training import mapped_images
from predspace_widgets.training.datasets import DatasetSettings, load_split
from predspace_widgets.training.mapped_images import MappedImages, decoded
from predspace_widgets.training.tasks import Task

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["predspace_widgets.training.datasets", "tests.training.test_mapped_images"])


def write_images(root: Path, n_images: int = 6, size: int = 8) -> list[str]:
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for index in range(n_images):
            folder = root / part / ("even", "odd")[index % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:05}.png")
    return sorted(map(str, root.glob("train/*/*.png")))


def files_of(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".predspace").glob("*.npy"))


def test_pixels_are_those_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped_images, "_AT_A_TIME", 4)
    paths = write_images(tmp_path)
    images = decoded(paths, 8, tmp_path, "train")
    wanted = np.stack([np.asarray(Image.open(path)) for path in paths])
    assert (images.shape, images.dtype, images.ndim, len(images)) == (wanted.shape, wanted.dtype, 4, 6)
    for index in (slice(None), slice(1, 4), np.array([4, 0, 4]), (slice(2), slice(3), 1)):
        np.testing.assert_array_equal(images[index], wanted[index])
    np.testing.assert_array_equal(images.take([5, 1]).take([1]), wanted[[1]])
    np.testing.assert_array_equal(np.asarray(images), wanted)


def test_they_are_decoded_once_and_again_when_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    n_decoded = []
    square = mapped_images._square
    monkeypatch.setattr(mapped_images, "_square", lambda path, size: (n_decoded.append(path), square(path, size))[1])
    paths = write_images(tmp_path)
    for _ in range(2):
        decoded(paths, 8, tmp_path, "train")
    assert len(n_decoded) == 6
    first = files_of(tmp_path)
    changes: list[Any] = [
        lambda: os.utime(paths[0], (1, 1)),
        lambda: Image.new("RGB", (8, 8), "red").save(paths[1]),
        lambda: Path(paths[2]).rename(Path(paths[2]).with_name("zz.png")),
        lambda: (tmp_path / ".predspace" / files_of(tmp_path)[0]).write_bytes(b"half"),
    ]
    for number, change in enumerate(changes, start=2):
        change()
        paths = sorted(map(str, tmp_path.glob("train/*/*.png")))
        images = decoded(paths, 8, tmp_path, "train")
        assert len(n_decoded) == 6 * number
        np.testing.assert_array_equal(images, np.stack([np.asarray(Image.open(path)) for path in paths]))
        assert len(files_of(tmp_path)) == 1
    assert files_of(tmp_path) != first


def test_tasks_and_choices_leave_them_on_disk(tmp_path: Path) -> None:
    write_images(tmp_path)
    settings = DatasetSettings("image-folder", folder=str(tmp_path), image_size=8)
    train, evaluation = load_split(settings)
    task = Task("both", classes=("odd", "even")).training_set(train)
    for part in (train, evaluation, task, task.take([1, 2])):
        assert isinstance(part.images, MappedImages)
    assert task.labels.tolist() == [1, 1, 1, 0, 0, 0]
    np.testing.assert_array_equal(task.tensor([1, 2]), train.tensor([1, 2]))
    load_split(DatasetSettings("image-folder", 4, folder=str(tmp_path), image_size=8))
    assert len(files_of(tmp_path)) == 3  # the whole parts, and a choice of one
    again = pickle.loads(pickle.dumps(evaluation))
    np.testing.assert_array_equal(again.images, evaluation.images)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_images(tmp_path / "images")
    monkeypatch.setenv("PREDSPACE_DATA", str(tmp_path / "cache"))
    (tmp_path / "images" / ".predspace").write_text("in the way")
    assert decoded(paths, 8, tmp_path / "images", "train").shape == (6, 8, 8, 3)
    assert len(list((tmp_path / "cache" / "decoded").glob("*/train-8px-*.npy"))) == 1


def test_too_little_room_and_images_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_images(tmp_path)
    Path(paths[3]).write_text("no image")
    with pytest.raises(ValueError, match=rf"{paths[3]} cannot be read"):
        decoded(paths, 8, tmp_path, "train")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(OSError, match=r"the 6 images take .* GB when they are decoded"):
        decoded(paths, 8, tmp_path, "train")
    assert files_of(tmp_path) == []


def read_all(root: Path, results: Any, go_on: Any) -> None:
    """Read all training images; then tell how much memory their file has here, and how much of it no other process."""
    settings = DatasetSettings("image-folder", folder=str(root), image_size=160)
    train, _ = load_split(settings)
    for start in range(0, len(train), 20):
        train.tensor(slice(start, start + 20))
    go_on.wait(300)  # until both have read
    [part] = [part for part in psutil.Process().memory_maps() if "/train-160px-" in part.path]
    results.put([number / 2**20 for number in (part.rss, part.private_clean + part.private_dirty, part.pss)])
    go_on.wait(300)


def test_processes_share_them(tmp_path: Path) -> None:
    """400 images, 29.3 MiB: in the memory of both processes, once."""
    write_images(tmp_path, 400)
    results, go_on = FORKS.Queue(), FORKS.Barrier(2)
    processes = [FORKS.Process(target=read_all, args=(tmp_path, results, go_on), daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for there, own, share in [results.get(timeout=300) for _ in processes]:
        assert there > 29
        assert own < 1
        assert share < 20
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    assert len(files_of(tmp_path)) == 2  # decoded by one of them, the training part and the other
