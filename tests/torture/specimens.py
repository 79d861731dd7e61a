"""Good files of every kind that the package reads, how each is read, and what it then gives."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import torch
import xarray as xr
from safetensors.numpy import save_file

import predspace_widgets as pw
from predspace_widgets import cli
from predspace_widgets.analysis import measurements
from predspace_widgets.analysis.large import by_class, tiles
from predspace_widgets.training import load_recipe, plan_runs
from predspace_widgets.training.recorder import Recorder
from predspace_widgets.training.tasks import Task
from predspace_widgets.trajectories import storage
from predspace_widgets.trajectories.recording import recording_at
from predspace_widgets.trajectories.testing import random_trajectories
from tests.torture.judging import Values
from tests.trajectories.samples import embedding_only, two_runs
from tests.trajectories.test_published import known as known_picture

RECIPE = """
title: tiny
dataset: {name: digits, n_train: 1100}
network: {name: small-cnn, width: 4}
checkpoints: {count: 3, dense: 2}
tasks:
  few: {classes: [0, 1, 2]}
  pairs: {groups: {low: [0, 1], high: [8, 9]}}
  listed: {classes_file: CLASSES}
methods:
  supervised: {steps: 4}
  tuned: {method: fine-tuning, source: few, tasks: [pairs], steps: 3}
seeds: [0, 1]
store: log_probs
"""

_BLOCK_OF_LARGE = 100_000


@dataclass(frozen=True)
class Specimen:
    """Files that belong together in a folder, and how they are read.

    Attributes
    ----------
    name : str
    folder : Path
        With nothing else in it.
    main : str
        Which file or directory in the folder is read.
    read : function of the path of `main`
        Gives all that is in it.
    is_guarded : bool
        Whether other values can be told from the right ones: not in text that people write, nor in foreign formats
        without checksums.
    damaged : tuple of str
        Glob patterns in the folder of what is damaged.
    writes : bool
        Whether reading writes beside it, as kept results do.
    """

    name: str
    folder: Path
    main: str
    read: Callable[[Path], Values]
    is_guarded: bool = True
    damaged: tuple[str, ...] = ("*",)
    writes: bool = False


@contextmanager
def small_blocks(n_bytes: int = 4000) -> Iterator[None]:
    """Several blocks, tiles and strips in small files, and results that are kept on disk."""
    changed = {
        (storage, "_CHUNK_BYTES"): n_bytes,
        (storage, "_BLOCK_BYTES"): n_bytes,
        (by_class, "_BYTES"): 4 * n_bytes,
        (storage, "_LEAST_OF_A_CHECKPOINT"): 1,
        (measurements, "_IN_MEMORY"): 0,
        (tiles, "_STRIP_BYTES"): 400,
    }
    before = {(module, name): getattr(module, name) for module, name in changed}
    try:
        for (module, name), value in changed.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


def trainings(seed: int = 0, n_samples: int = 20, n_classes: int = 5) -> xr.Dataset:
    """Twelve checkpoints of two runs, with images, metrics and an attribute of runs."""
    ds = random_trajectories(("red", "blue"), 1, 6, n_samples, n_classes, seed)
    random = np.random.default_rng(seed)
    ds["image"] = (("sample", "row", "column"), random.integers(256, size=(n_samples, 3, 3)).astype(np.uint8))
    ds["loss"] = ("checkpoint", random.uniform(size=12), {"units": "nats"})
    return ds.assign_coords(architecture=("checkpoint", ["cnn"] * 6 + ["mlp"] * 6))


def save_large(path: Path, seed: int = 0) -> None:
    """A dataset with enough samples and classes that sums of each class are kept, too."""
    with small_blocks(_BLOCK_OF_LARGE):
        pw.save_trajectories(trainings(seed, n_samples=600, n_classes=20), path)


def record(path: Path, n_checkpoints: int, close: bool = True, seed: int = 0) -> Recorder:
    """Record checkpoints, or go on to so many."""
    ds = trainings(seed)
    recorder = Recorder(
        path, labels=ds["label"].values, task="red", seed=seed, inputs="probs", resume=True, attrs={"width": 8}
    )
    first = 0 if recorder.last_step is None else recorder.last_step + 1
    for step in range(first, n_checkpoints):
        recorder.record(ds["probs"].values[step], epoch=step / 2, step=step)
    if close:
        recorder.close()
    return recorder


# -- how each kind is read ---------------------------------------------------------------------------------------------


def read_trajectories(path: Path) -> Values:
    """All values, what `predspace info` says of it, and a picture."""
    ds = pw.open_trajectories(path)
    # The size on disk is no content, and neither is the order in which a disk lists files.
    no_content = ("size", "dimensions", "variables")
    facts = {name: text for name, text in cli._facts(ds, str(path)) if name not in no_content}
    whole = ds.load()
    pw.Explorer(whole).figure("inpca")
    picture = whole["embedding"] if "embedding" in whole else whole.predspace.inpca(3)["embedding"]
    return {"dataset": whole, "facts": facts, "picture": np.abs(picture.values)}  # of either sign


def read_recording(path: Path) -> Values:
    """The same of a dataset that may be growing. What is known of the recording is any of four words."""
    word = recording_at(path)
    if word not in ("recording", "ended", "killed", None):
        return {"recording": word}
    return read_trajectories(path)


def read_tiles(path: Path, seed: int = 0) -> Values:
    """Distances, as the same call finds them that wrote them."""
    with small_blocks():
        return {"distances": trainings(seed).predspace.save_distances(path, show_progress=False).values}


def read_kept(path: Path) -> Values:
    """Results of a large dataset, which lie on disk beside it, or are computed again."""
    with small_blocks(_BLOCK_OF_LARGE):
        ds = pw.open_trajectories(path)
        distances = ds.predspace.distances(keep=True, show_progress=False).values
        # What is kept of each class.
        of_class = ds.predspace.of_samples(classes=["class 1"]).predspace.distances(show_progress=False).values
        return {"distances": distances, "of a class": of_class, "progress": ds.predspace.progress().values}


def read_recipe(path: Path) -> Values:
    """The recipe, its runs, and the classes of its tasks among those of its dataset."""
    recipe = load_recipe(path)
    known = [str(index) for index in range(10)]
    classes = [task.class_names(known) for task in recipe.tasks[:20]]
    runs = [run.name for run in plan_runs(recipe)[:1000]] if len(recipe.seeds) < 10_000 else []
    return {"recipe": recipe.to_yaml(), "classes": classes, "runs": runs}


def read_classes(path: Path) -> Values:
    """The classes that a file of them lists."""
    return {"classes": Task("listed", classes_file=str(path)).class_names([str(index) for index in range(10)])}


def read_picture(path: Path) -> Values:
    """A published picture as it is imported."""
    ds = pw.import_trajectories(path, epochs="checkpoints").load()
    return {"dataset": ds, "picture": np.abs(ds.predspace.inpca(3)["embedding"].values)}


def read_arrays(path: Path) -> Values:
    """Plain arrays as they are imported."""
    labels = str(path.with_name("labels.npy")) if path.suffix == ".npy" else "labels"
    return {"dataset": pw.import_trajectories(path, labels=labels, epochs="checkpoints", tasks=["red"]).load()}


def read_store(path: Path) -> Values:
    """The paper's files of predictions as they are imported."""
    return {"dataset": pw.import_trajectories(path, epochs="checkpoints", row_tolerance=0.002).load()}


def write_arrays(path: Path, seed: int = 0) -> None:
    """Predictions of one run and the labels, in a file of one of the kinds that are imported."""
    probs, labels = trainings(seed)["probs"].values[:6].astype(np.float32), trainings(seed)["label"].values
    arrays = {"probs": probs, "labels": labels}
    if path.suffix == ".npy":
        np.save(path, probs)
        np.save(path.with_name("labels.npy"), labels)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".pt":
        torch.save({name: torch.from_numpy(values) for name, values in arrays.items()}, path)
    elif path.suffix == ".safetensors":
        save_file(arrays, path)
    else:
        with h5py.File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values


def write_store(path: Path, seed: int = 0) -> None:
    """Folders of two tasks, with files of predictions of two seeds."""
    for number, task in enumerate(("red", "blue")):
        (path / task).mkdir(parents=True)
        for run in (0, 1):
            ds = trainings(seed + 10 * number + 20 * run)
            with h5py.File(path / task / f"preds_{run}.h5", "w") as file:
                rounded = np.round(ds["probs"].values[:6].astype(np.float16), 4)
                file.create_dataset("data", data=rounded, **hdf5plugin.LZ4())
    np.save(path / "imagenet_val_labels.npy", trainings(seed)["label"].values)


# -- all of them -------------------------------------------------------------------------------------------------------


def make_specimens(place: Path, seed: int = 0) -> list[Specimen]:
    """Write all of them; another seed gives other values."""
    made: list[Specimen] = []

    def add(name: str, main: str, write: Callable[[Path], Any], read: Callable[[Path], Values], **more: Any) -> None:
        folder = place / name
        folder.mkdir(parents=True)
        write(folder / main)
        made.append(Specimen(name, folder, main, read, **more))

    def save(path: Path, ds: xr.Dataset | None = None, **form: Any) -> None:
        with small_blocks():
            pw.save_trajectories(trainings(seed) if ds is None else ds, path, **form)

    def keep(path: Path) -> None:
        save_large(path, seed)
        read_kept(path)

    for kind in (".zarr", ".zarr.zip", ".nc"):
        add(f"{kind[1:]}", f"data{kind}", save, read_trajectories)
        add(f"{kind[1:]} log_probs", f"data{kind}", partial(save, store="log_probs"), read_trajectories)
        add(f"{kind[1:]} embedding", f"data{kind}", partial(save, ds=embedding_only()), read_trajectories)
    add("zarr float16", "data.zarr", partial(save, dtype="float16", ds=two_runs()), read_trajectories)
    add("zarr.zip float32", "data.zarr.zip", partial(save, dtype="float32"), read_trajectories)
    add("recorded", "data.zarr", partial(record, n_checkpoints=6, seed=seed), read_recording)
    _going_on.append(record(_new(place / "recording") / "data.zarr", 5, close=False, seed=seed))
    made.append(Specimen("recording", place / "recording", "data.zarr", read_recording))
    made.append(Specimen("signs", place / "recording", "data.zarr", read_recording, damaged=(".data.zarr.recording",)))
    of_seed = partial(read_tiles, seed=seed)
    add("tiles", "distances.zarr", of_seed, of_seed, writes=True)
    add("results", "data.zarr", keep, read_kept, damaged=("data.zarr.results",), writes=True)
    picture = pickle.dumps(known_picture([[4, 4], [4, 4], [4, 4]], seed=seed).file())
    add("picture", "picture.pkl", lambda path: path.write_bytes(picture), read_picture, is_guarded=False)
    for kind in ("npy", "npz", "h5", "pt", "safetensors"):
        write = partial(write_arrays, seed=seed)
        add(f"arrays .{kind}", f"arrays.{kind}", write, read_arrays, is_guarded=False)
    add("prediction store", "store", partial(write_store, seed=seed), read_store, is_guarded=False)
    classes = json.dumps({"classes": [3, 4, "5", "6"]})
    add("classes", "classes.json", lambda path: path.write_text(classes), read_classes, is_guarded=False)
    listed = place / "listed.json"
    listed.write_text(classes)
    recipe = RECIPE.replace("CLASSES", str(listed))
    add("recipe", "tiny.yaml", lambda path: path.write_text(recipe), read_recipe, is_guarded=False)
    return made


def _new(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


_going_on: list[Recorder] = []  # recordings that go on, for as long as this process does
