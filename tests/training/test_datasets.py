"""Datasets: the embedded digits, those that torchvision reads, and folders of images; how they are split."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from predspace_widgets.training.datasets import (
    DATASETS,
    DatasetSettings,
    LabelledImages,
    dataset_folder,
    download,
    load_images,
    load_split,
    split_images,
)
from predspace_widgets.training.settings import read_settings
from predspace_widgets.training.torchvision_import import import_torchvision


def test_digits_are_those_of_scikit_learn() -> None:
    digits = load_images("digits")
    assert digits.images.shape == (1797, 8, 8)
    assert digits.images.dtype == np.uint8
    assert digits.images.max() == 255
    np.testing.assert_array_equal(np.round(digits.images * (16 / 255)), load_digits().images)
    np.testing.assert_array_equal(digits.labels, load_digits().target)


def test_unknown_dataset_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown dataset 'faces': Known: digits"):
        load_images("faces")


def test_split_is_disjoint_complete_and_stratified() -> None:
    digits = load_images("digits")
    train, evaluation = split_images(digits, n_train=1100, seed=1)
    assert (len(train), len(evaluation)) == (1100, 697)
    assert sorted([*train.sample_ids, *evaluation.sample_ids]) == list(range(1797))
    for part in (train, evaluation):
        share = np.bincount(part.labels, minlength=10) / len(part)
        np.testing.assert_allclose(share, np.bincount(digits.labels) / 1797, atol=2 / len(part))
        np.testing.assert_array_equal(part.images, digits.images[part.sample_ids])
        np.testing.assert_array_equal(part.labels, digits.labels[part.sample_ids])


def test_split_depends_on_its_seed_only() -> None:
    digits = load_images("digits")
    np.random.seed(0)  # noqa: NPY002  the global generator must not matter
    first = split_images(digits, 1100, seed=1)[0].sample_ids
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(first, split_images(digits, 1100, seed=1)[0].sample_ids)
    assert not np.array_equal(first, split_images(digits, 1100, seed=2)[0].sample_ids)


@pytest.mark.parametrize("n_train", [0, 9, 1788, 1797])
def test_split_that_leaves_a_class_without_images(n_train: int) -> None:
    with pytest.raises(ValueError, match="too few"):
        split_images(load_images("digits"), n_train, seed=0)


def test_tensor_of_grey_and_coloured_images() -> None:
    grey = load_images("digits").take([0, 5])
    assert grey.tensor().shape == (2, 1, 8, 8)
    assert grey.tensor().dtype == torch.float32
    assert grey.tensor().max() == 1
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    coloured = LabelledImages(pixels, np.array([0, 1]), ("a", "b"), np.array([7, 8]))
    assert coloured.n_channels == 3
    assert coloured.tensor().shape == (2, 3, 4, 5)
    assert coloured.tensor()[1, 2, 3, 4] == np.float32(pixels[1, 3, 4, 2]) / np.float32(255)


def test_images_that_do_not_fit_together() -> None:
    pixels, labels, ids = np.zeros((2, 4, 4), np.uint8), np.array([0, 1]), np.array([0, 1])
    with pytest.raises(ValueError, match="equally many"):
        LabelledImages(pixels, labels[:1], ("a", "b"), ids)
    with pytest.raises(ValueError, match="uint8"):
        LabelledImages(pixels.astype(float), labels, ("a", "b"), ids)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels must lie in"):
        LabelledImages(pixels, labels, ("a",), ids)


def random_images(n: int, *shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def write_cifar(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A tiny CIFAR in the files of the real one; torchvision verifies checksums: these are set to theirs."""
    dataset = getattr(import_torchvision().datasets, {"cifar10": "CIFAR10", "cifar100": "CIFAR100"}[name])
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    train, test = random_images(40, 3, 32, 32), random_images(20, 3, 32, 32, seed=1)
    key = "labels" if name == "cifar10" else "fine_labels"

    def write(file: str, content: dict[str, Any]) -> str:
        (folder / file).write_bytes(pickle.dumps(content, protocol=2))
        return hashlib.md5((folder / file).read_bytes()).hexdigest()

    def write_part(files: list[str], images: NDArray[np.uint8]) -> list[list[str]]:
        parts = zip(files, np.array_split(np.arange(len(images)), len(files)), strict=True)
        return [
            [file, write(file, {"data": images[at].reshape(len(at), -1), key: (at % 10).tolist()})]
            for file, at in parts
        ]

    monkeypatch.setattr(dataset, "train_list", write_part([file for file, _ in dataset.train_list], train))
    monkeypatch.setattr(dataset, "test_list", write_part([file for file, _ in dataset.test_list], test))
    names = {dataset.meta["key"]: [f"class {index}" for index in range(10)]}
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": write(dataset.meta["filename"], names)})
    return train.transpose(0, 2, 3, 1), test.transpose(0, 2, 3, 1)  # (N, rows, columns, channels)


def idx(values: NDArray[np.uint8]) -> bytes:
    """An array in the format of the MNIST files."""
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def mnist_files() -> dict[str, NDArray[np.uint8]]:
    return {
        "train-images-idx3-ubyte": random_images(30, 28, 28),
        "train-labels-idx1-ubyte": np.arange(30, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": random_images(20, 28, 28, seed=1),
        "t10k-labels-idx1-ubyte": np.arange(20, dtype=np.uint8) // 2,
    }


def write_mnist(root: Path, name: str) -> dict[str, NDArray[np.uint8]]:
    folder = root / {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[name] / "raw"
    folder.mkdir(parents=True)
    for file, values in mnist_files().items():
        (folder / file).write_bytes(idx(values))
    return mnist_files()


COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def write_folder(root: Path) -> None:
    """Wide and high images, whose squares at the centre have the colour of the class; the rest is white."""
    for part, n_images in (("train", 6), ("val", 4)):
        for name, colour in COLOURS.items():
            (root / part / name).mkdir(parents=True)
            for number in range(n_images):
                size, at = ((60, 40), (10, 0)) if number % 2 else ((40, 60), (0, 10))
                image = Image.new("RGB", size, "white")
                image.paste(Image.new("RGB", (40, 40), colour), at)
                image.save(root / part / name / f"{number}.{'jpg' if number < 5 else 'png'}")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_cifar(tmp_path, name, monkeypatch)
    parts = load_split(DatasetSettings(name, folder=str(tmp_path)))
    for part, expected in zip(parts, images, strict=True):
        np.testing.assert_array_equal(part.images, expected)
        np.testing.assert_array_equal(part.labels, np.arange(len(expected)) % 10)
        np.testing.assert_array_equal(part.sample_ids, np.arange(len(expected)))
        assert part.class_names == tuple(f"class {index}" for index in range(10))
        assert part.source.startswith("CIFAR-10")
        assert part.tensor(slice(2)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize(("name", "first"), [("mnist", "0"), ("fashion-mnist", "T-shirt/top")])
def test_mnist(name: str, first: str, tmp_path: Path) -> None:
    files = write_mnist(tmp_path, name)
    parts = load_split(DatasetSettings(name, folder=str(tmp_path)))
    for part, file in zip(parts, ("train", "t10k"), strict=True):
        np.testing.assert_array_equal(part.images, files[f"{file}-images-idx3-ubyte"])
        np.testing.assert_array_equal(part.labels, files[f"{file}-labels-idx1-ubyte"])
        assert (part.class_names[0], len(part.class_names), part.n_channels) == (first, 10, 1)
        assert "MNIST" in part.source


def test_folder_of_images(tmp_path: Path) -> None:
    write_folder(tmp_path)
    train, evaluation = load_split(DatasetSettings("image-folder", folder=str(tmp_path), image_size=16))
    for part, n_images in ((train, 6), (evaluation, 4)):
        assert part.class_names == ("blue", "green", "red")
        assert part.images.shape == (3 * n_images, 16, 16, 3)
        np.testing.assert_array_equal(part.labels, np.repeat([0, 1, 2], n_images))
        np.testing.assert_array_equal(part.sample_ids, np.arange(3 * n_images))
        colours = np.array(list(COLOURS.values()))[part.labels][:, None, None]  # (N, 1, 1, 3)
        inside = part.images[:, 1:-1, 1:-1].astype(int)  # the compression blurs the edge towards the white
        assert np.abs(inside - colours).max() < 12
        assert tmp_path.name in part.source
        assert str(tmp_path) not in part.source  # a recording must not tell where a machine keeps its files
    drawn, _ = load_split(DatasetSettings("image-folder", 3, folder=str(tmp_path), image_size=16))
    assert sorted(drawn.labels) == [0, 1, 2]
    np.testing.assert_array_equal(drawn.images, train.images[drawn.sample_ids])


def test_subsets_of_official_parts_are_stratified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = write_cifar(tmp_path, "cifar10", monkeypatch)

    def split(seed: int, n_train: int = 20, n_evaluation: int = 10) -> tuple[LabelledImages, LabelledImages]:
        return load_split(DatasetSettings("cifar10", n_train, n_evaluation, seed, str(tmp_path)))

    for part, whole, per_class in zip(split(seed=3), images, (2, 1), strict=True):
        np.testing.assert_array_equal(np.bincount(part.labels), np.full(10, per_class))
        np.testing.assert_array_equal(part.images, whole[part.sample_ids])
        assert (np.diff(part.sample_ids) > 0).all()
    np.testing.assert_array_equal(split(seed=3)[0].sample_ids, split(seed=3)[0].sample_ids)
    assert not np.array_equal(split(seed=3)[0].sample_ids, split(seed=4)[0].sample_ids)
    assert set(split(seed=3)[0].sample_ids) < set(split(seed=3, n_train=25)[0].sample_ids)
    assert len(split(seed=3, n_train=40, n_evaluation=20)[0]) == 40
    for n_train in (9, 41):
        message = rf"{n_train} training images of cifar10 cannot be drawn: choose 10 \(one of each class\) to 40"
        with pytest.raises(ValueError, match=message):
            split(seed=3, n_train=n_train)


def test_a_part_of_the_digits() -> None:
    train, evaluation = load_split(DatasetSettings("digits", n_train=1100, split_seed=1))
    expected = split_images(load_images("digits"), n_train=1100, seed=1)
    np.testing.assert_array_equal(train.sample_ids, expected[0].sample_ids)
    np.testing.assert_array_equal(evaluation.sample_ids, expected[1].sample_ids)
    train, some = load_split(DatasetSettings("digits", n_train=1100, n_evaluation=50, split_seed=1))
    np.testing.assert_array_equal(train.sample_ids, expected[0].sample_ids)
    assert set(some.sample_ids) < set(evaluation.sample_ids)
    counts, share = np.bincount(some.labels), 50 * np.bincount(evaluation.labels) / len(evaluation)
    assert counts.sum() == 50
    np.testing.assert_array_less(np.abs(counts - share), 1)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion-mnist"])
def test_a_dataset_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDSPACE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"{name} is not in .*{name}: get it with `predspace download {name}`"):
        load_split(DatasetSettings(name))
    with pytest.raises(FileNotFoundError, match=rf"`predspace download {name} --folder {tmp_path}`"):
        load_split(DatasetSettings(name, folder=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []  # nothing was made or downloaded


def test_where_datasets_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PREDSPACE_DATA", raising=False)
    assert dataset_folder("mnist") == tmp_path / ".cache" / "predspace_widgets" / "mnist"
    assert dataset_folder("mnist", "~/images") == tmp_path / "images"
    monkeypatch.setenv("PREDSPACE_DATA", "~/data")
    assert dataset_folder("mnist") == tmp_path / "data" / "mnist"
    write_mnist(tmp_path / "data" / "mnist", "mnist")
    assert len(load_split(DatasetSettings("mnist"))[0]) == 30


def test_changed_and_missing_files_of_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, "cifar10", monkeypatch)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    content = bytearray(file.read_bytes())
    content[500] ^= 1  # one bit of one pixel
    file.write_bytes(content)
    message = "cifar10 in .*cifar-10-batches-py is incomplete or corrupted .*`predspace download cifar10 --folder"
    with pytest.raises(ValueError, match=message):
        load_split(DatasetSettings("cifar10", folder=str(tmp_path)))
    file.unlink()
    with pytest.raises(ValueError, match=message):
        load_split(DatasetSettings("cifar10", folder=str(tmp_path)))


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", idx(np.zeros((30, 28, 28), np.uint8))[:-1], idx(np.zeros(7, np.uint8))]
)
def test_changed_and_missing_files_of_mnist(content: bytes, tmp_path: Path) -> None:
    write_mnist(tmp_path, "mnist")
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"mnist in .*raw is incomplete or corrupted"):
        load_split(DatasetSettings("mnist", folder=str(tmp_path)))
    file.unlink()
    with pytest.raises(ValueError, match=r"mnist in .*raw is incomplete or corrupted"):
        load_split(DatasetSettings("mnist", folder=str(tmp_path)))


def test_folders_of_images_that_do_not_fit(tmp_path: Path) -> None:
    settings = DatasetSettings("image-folder", folder=str(tmp_path), image_size=8)
    with pytest.raises(FileNotFoundError, match=r"no folder .*train: it must hold train/CLASS/\*.jpg and val/CLASS"):
        load_split(settings)
    write_folder(tmp_path)
    broken = tmp_path / "train" / "green" / "3.jpg"
    whole = broken.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match=r"green.3\.jpg cannot be read"):
            load_split(settings)
    broken.write_bytes(whole)
    (tmp_path / "val" / "red").rename(tmp_path / "val" / "rot")
    with pytest.raises(ValueError, match=r"differ in 2 classes, red, rot among them"):
        load_split(settings)
    (tmp_path / "val" / "none").mkdir()
    with pytest.raises(FileNotFoundError, match="no valid file for the classes none"):
        load_split(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "cifar"}, "unknown dataset 'cifar': did you mean 'cifar10'?"),
        ({"name": "digits"}, "n_train, how many to train on, is needed"),
        ({"name": "digits", "n_train": 1100, "folder": "x"}, "it has no folder"),
        ({"name": "mnist", "n_train": 0}, "n_train must be at least 1, got 0"),
        ({"name": "mnist", "n_evaluation": -1}, "n_evaluation must be at least 1, got -1"),
        ({"name": "mnist", "split_seed": -1}, "split_seed must be at least 0, got -1"),
        ({"name": "mnist", "image_size": 28}, "image_size is for image-folder"),
        ({"name": "image-folder"}, "image_size, that of all of them, is needed"),
        ({"name": "mnist", "n_trian": 5}, "did you mean 'n_train'?"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_settings(DatasetSettings, settings, "dataset")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address at which this machine serves the folder `tmp_path / "server"`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "server"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()


def test_download_of_cifar(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path / "server", "cifar10", monkeypatch)
    archive = tmp_path / "server" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / "server" / "cifar-10-batches-py", "cifar-10-batches-py")
    dataset = import_torchvision().datasets.CIFAR10
    monkeypatch.setattr(dataset, "url", f"{server}nothing.tar.gz")
    with pytest.raises(OSError, match=r"cifar10 could not be downloaded to .*here: .*404"):
        download("cifar10", tmp_path / "here")
    monkeypatch.setattr(dataset, "url", f"{server}{archive.name}")
    monkeypatch.setattr(dataset, "tgz_md5", "0" * 32)
    with pytest.raises(OSError, match=r"cifar10 could not be downloaded to .*here: File not found or corrupted"):
        download("cifar10", tmp_path / "here")
    monkeypatch.setattr(dataset, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert download("cifar10", tmp_path / "here") == tmp_path / "here"
    assert len(load_split(DatasetSettings("cifar10", folder=str(tmp_path / "here")))[0]) == 40
    archive.unlink()
    download("cifar10", tmp_path / "here")  # it is there


def test_download_of_mnist(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = []
    (tmp_path / "server").mkdir()
    for file, values in mnist_files().items():
        packed = gzip.compress(idx(values))
        (tmp_path / "server" / f"{file}.gz").write_bytes(packed)
        resources.append((f"{file}.gz", hashlib.md5(packed).hexdigest()))
    dataset = import_torchvision().datasets.MNIST
    monkeypatch.setattr(dataset, "resources", resources)
    monkeypatch.setattr(dataset, "mirrors", [f"{server}nothing/"])
    with pytest.raises(OSError, match=r"mnist could not be downloaded to .*404"):
        download("mnist", tmp_path / "here")
    monkeypatch.setattr(dataset, "mirrors", [server])
    monkeypatch.setenv("PREDSPACE_DATA", str(tmp_path / "data"))
    assert download("mnist") == tmp_path / "data" / "mnist"
    assert len(load_split(DatasetSettings("mnist"))[1]) == 20


def test_downloads_that_cannot_be() -> None:
    for name, message in (
        ("digits", "nothing to download"),
        ("image-folder", r"must hold train/CLASS/\*.jpg and val/CLASS/\*.jpg"),
        ("cifar", "did you mean 'cifar10'?"),
    ):
        with pytest.raises(ValueError, match=message):
            download(name)


def test_images_of_datasets_with_parts() -> None:
    assert list(DATASETS) == ["digits", "cifar10", "cifar100", "mnist", "fashion-mnist", "image-folder"]
    with pytest.raises(ValueError, match="cifar10 has a training and an evaluation part: use load_split"):
        load_images("cifar10")
