"""The paper's prediction store: small files in its format, and everything that can be wrong with them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from predspace_widgets import cli
from predspace_widgets.trajectories import import_trajectories, make_trajectories, open_trajectories, save_trajectories
from predspace_widgets.trajectories.importers import report_of, rows
from predspace_widgets.trajectories.importers.rows import RowReader, rounding_tolerance
from predspace_widgets.trajectories.samples import classes_of_tasks
from predspace_widgets.trajectories.temperature import temperature_of
from tests.trajectories.samples import random_probs

N, C = 30, 12
LABEL = np.arange(N) % C
CLASSES = Path(__file__).resolve().parents[3] / "shared" / "paper" / "classes"  # beside the repository


def write(file: Path, probs: np.ndarray, decimals: int = 4, **how: Any) -> None:
    """As the authors' program writes it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as stored:
        stored.create_dataset(
            "data", data=np.round(probs.astype(float), decimals).astype(np.float16), **hdf5plugin.LZ4(), **how
        )


def knowing(n_checkpoints: int, seed: int) -> np.ndarray:
    """Predictions of a run that has learned some of the labels at its end."""
    return 0.5 * random_probs(n_checkpoints, N, C, seed=seed) + 0.5 * np.eye(C)[LABEL]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "predictions"
    for place, task in enumerate(("imagenet_all", "imagenet_vert")):
        for seed in (0, 2, 10):
            write(folder / task / f"preds_{seed}.h5", knowing(4, 100 * place + seed))
        (folder / "classes").mkdir(exist_ok=True)
        (folder / "classes" / f"{task}.json").write_text(json.dumps({"labels": list(range(0, C, place + 1))}))
    (folder / "labels").mkdir()
    np.save(folder / "labels" / "imagenet_val_labels.npy", LABEL)
    return folder


def refused(store: Path, **options: Any) -> str:
    """What the error says, in one line; of an import that nothing else is wrong with."""
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        import_trajectories(store, **{"epochs": "checkpoints"} | options)
    problems = getattr(caught.value, "problems", [str(caught.value)])
    assert all("\n" not in problem for problem in problems)
    return "; ".join(problems)


# -- what is right ----------------------------------------------------------------------------------------------------


def test_what_was_written_comes_back(store: Path, tmp_path: Path) -> None:
    probs = [knowing(4, 100 * place + seed) for place in (0, 1) for seed in (0, 2, 10)]
    made = make_trajectories(
        np.concatenate(probs),
        LABEL,
        task=["imagenet_all"] * 12 + ["imagenet_vert"] * 12,
        seed=np.tile(np.repeat([0, 2, 10], 4), 2),
        epoch=np.tile([0.0, 0.2, 1, 3], 6),
    )
    ds = import_trajectories(store, epochs=[0, 0.2, 1, 3])
    xr.testing.assert_equal(ds.drop_vars("probs"), made.drop_vars("probs"))
    np.testing.assert_allclose(ds["probs"].astype(float), made["probs"], rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(ds["probs"].astype(float).sum("class"), 1, rtol=0, atol=1e-3)
    save_trajectories(ds, tmp_path / "a.zarr.zip")
    again = open_trajectories(tmp_path / "a.zarr.zip")
    np.testing.assert_allclose(again["probs"], ds["probs"], rtol=1e-3, atol=1e-6)
    assert report_of(again) == report_of(ds)
    assert again["probs"].encoding["dtype"] == np.float16


def test_a_folder_of_one_task_names_it(store: Path) -> None:
    ds = import_trajectories(store / "imagenet_vert", epochs="checkpoints", method="episodic")
    assert np.unique(ds["run"]).tolist() == [f"imagenet_vert/episodic/{seed}" for seed in (0, 10, 2)]
    assert list(dict.fromkeys(ds["seed"].values.tolist())) == [0, 2, 10]  # by number, not by name


def test_lists_of_classes_become_those_of_the_tasks(store: Path) -> None:
    ds = import_trajectories(store, epochs="checkpoints")
    assert classes_of_tasks(ds) == {
        "imagenet_all": list(map(str, range(C))),
        "imagenet_vert": list(map(str, range(0, C, 2))),
    }
    with pytest.raises(ValueError, match="temperature 'unknown'"):  # the lists say nothing of it
        temperature_of(ds)
    moved = store.parent / "elsewhere"
    shutil.move(store / "classes", moved)
    assert "no list of classes of imagenet_all, imagenet_vert" in str(
        report_of(import_trajectories(store, epochs="checkpoints"))
    )
    assert len(classes_of_tasks(import_trajectories(store, epochs="checkpoints", classes=moved))) == 2


@pytest.mark.skipif(not CLASSES.is_dir(), reason="the paper's published data lie beside the repository only")
def test_the_published_lists_are_read(tmp_path: Path) -> None:
    tasks = sorted(file.stem for file in CLASSES.glob("*.json"))
    label = np.arange(1000)
    for place, task in enumerate(tasks):
        write(tmp_path / "store" / task / "preds_0.h5", random_probs(1, 1000, 1000, seed=place, sharpness=0.05))
    np.save(tmp_path / "imagenet_val_labels.npy", label)
    ds = import_trajectories(tmp_path / "store", epochs=[40], classes=CLASSES)
    for task, names in classes_of_tasks(ds).items():
        assert set(map(int, names)) == set(json.loads((CLASSES / f"{task}.json").read_text())["labels"])
    assert list(classes_of_tasks(ds)) == tasks


def test_epochs_of_the_paper(store: Path) -> None:
    for file in store.glob("*/preds_*.h5"):
        write(file, knowing(61, hash(file.name) % 100 + len(file.parent.name)))
    ds = import_trajectories(store, epochs="paper")
    epochs = ds["epoch"].values[:61]
    np.testing.assert_allclose(epochs[:26], np.arange(26) / 5, rtol=1e-12)
    np.testing.assert_array_equal(epochs[26:], np.arange(6, 41))
    assert "--epochs paper" in refused(store, epochs=None)  # offered, never taken


def test_runs_of_different_lengths(store: Path) -> None:
    write(store / "imagenet_vert" / "preds_2.h5", knowing(3, 7))
    ds = import_trajectories(store, epochs=[0, 1, 2, 5])
    assert ds["epoch"].values[ds["run"].values == "imagenet_vert/supervised/2"].tolist() == [0, 1, 2]
    assert "runs have 3 to 4 checkpoints: shorter ones have the first epochs" in report_of(ds)


def test_a_table_says_what_the_names_of_files_do_not(store: Path) -> None:
    table = store.parent / "runs.csv"
    lines = [f"{task},{seed},fixmatch,{seed / 10}" for task in ("imagenet_vert", "imagenet_all") for seed in (10, 0, 2)]
    table.write_text("\n".join(["task,seed,method,rate", *lines]))
    ds = import_trajectories(store, epochs="checkpoints", runs=table)
    assert set(ds["method"].values.tolist()) == {"fixmatch"}
    np.testing.assert_allclose(ds["rate"], ds["seed"] / 10)
    table.write_text("\n".join(["task,seed,method,rate", *lines[1:]]))
    assert "has no row of task 'imagenet_vert' and seed 10" in refused(store, runs=table)


# -- rows -------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 400), st.sampled_from([4, 5]), st.floats(0.001, 100), st.integers(0, 2**31))
def test_the_tolerance_admits_every_rounded_row(n_classes: int, decimals: int, sharpness: float, seed: int) -> None:
    probs = np.random.default_rng(seed).dirichlet(np.full(n_classes, sharpness), size=50)
    stored = np.round(probs[np.isfinite(probs).all(axis=1)], decimals).astype(np.float16)
    off = np.abs(stored.astype(float).sum(axis=1) - 1)
    assert off.max(initial=0) <= rounding_tolerance(n_classes)


@pytest.mark.parametrize("n_classes", [10, 100, 1000])
def test_the_tolerance_is_needed(n_classes: int) -> None:
    """Rows that rounding takes that far exist: almost half of a step lost in all classes but one."""
    small = np.full(n_classes - 1, 0.49e-4)
    stored = np.round(np.append(small, 1 - small.sum()), 4).astype(np.float16)
    off = abs(stored.astype(float).sum() - 1)
    assert 0.9 * 0.5e-4 * (n_classes - 1) < off + 2.0**-12
    assert off <= rounding_tolerance(n_classes)
    assert (off > 2e-3) == (n_classes >= 100)  # where the tolerance of float16 alone refuses them


def test_the_largest_correction_is_reported(store: Path) -> None:
    probs = knowing(4, 5)
    probs[2, 7] *= 1.0005
    write(store / "imagenet_all" / "preds_2.h5", probs, decimals=9)
    stored = [h5py.File(file)["data"][:].astype(float) for file in store.glob("*/*.h5")]
    worst = max(np.abs(part.sum(axis=-1) - 1).max() for part in stored)
    assert f"the one farthest from 1 missed it by {worst:.4g}" in str(
        report_of(import_trajectories(store, epochs="checkpoints"))
    )


Broken = Callable[[np.ndarray], None]


def _set(place: Any, value: Any) -> Broken:
    return lambda probs: probs.__setitem__(place, value)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        (_set((3, 7, 2), np.nan), "checkpoint 3, sample 7: a probability is NaN or infinite"),
        (_set((0, 29, 0), np.inf), "checkpoint 0, sample 29: a probability is NaN or infinite"),
        (_set((1, 0, 11), -0.01), "checkpoint 1, sample 0: a probability is negative"),
        (_set((2, 5), 0), "checkpoint 2, sample 5: all probabilities are 0"),
        (_set((2, 5), 1.1 / C), "the worst is predictions/imagenet_all/preds_10.h5 (task imagenet_all, seed 10), che"),
    ],
)
def test_a_wrong_row_is_named(store: Path, broken: Broken, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_PART_BYTES", 5 * C * 2)  # few rows at a time
    monkeypatch.setattr(rows, "_ROWS_BYTES", 2 * C * 8)
    probs = knowing(4, 1)
    broken(probs)
    write(store / "imagenet_all" / "preds_10.h5", probs)
    text = refused(store)
    assert problem in text
    assert "preds_10.h5 (task imagenet_all, seed 10)" in text


def test_the_tolerance_can_be_raised(store: Path) -> None:
    probs = knowing(4, 1)
    probs[2, 5] *= 1.1
    write(store / "imagenet_all" / "preds_10.h5", probs)
    assert "1 of 720 rows miss the sum 1 by more than --row-tolerance 0.001" in refused(store)
    ds = import_trajectories(store, epochs="checkpoints", row_tolerance=0.11)
    np.testing.assert_allclose(ds["probs"].astype(float).sum("class"), 1, rtol=0, atol=1e-3)
    assert "rows may miss the sum 1 by 0.11, as --row-tolerance says" in report_of(ds)


@pytest.mark.parametrize("chunks", [None, (1, N, C), (2, 7, 5), (4, 1, C)])
def test_each_piece_of_a_file_is_read_once(store: Path, chunks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the check once, and once more by the saving of blocks that are as large as pieces are."""
    for file in store.glob("*/preds_*.h5"):
        probs = h5py.File(file)["data"][:]
        write(file, probs, decimals=9, chunks=chunks)
    monkeypatch.setattr(rows, "_PART_BYTES", 7 * C * 2)
    read: dict[tuple[str, int, int], int] = {}
    true_look = rows._look

    def count(run: rows.RunRows, checkpoints: slice, samples: slice) -> None:
        for checkpoint in range(checkpoints.start, checkpoints.stop, run.pieces[0]):
            for sample in range(samples.start, samples.stop):
                piece = (run.name, checkpoint // run.pieces[0], sample)
                read[piece] = read.get(piece, 0) + 1

    def look(run: Any, reader: Any, label: Any, checkpoints: slice, samples: slice) -> Any:
        assert checkpoints.start % run.pieces[0] == samples.start % run.pieces[1] == 0
        count(run, checkpoints, samples)
        return true_look(run, reader, label, checkpoints, samples)

    monkeypatch.setattr(rows, "_look", look)
    ds = import_trajectories(store, epochs="checkpoints")
    assert set(read.values()) == {1}
    together = 1 if chunks is None else chunks[1]
    starts = np.cumsum((0, *ds["probs"].chunksizes["sample"]))[:-1]
    assert not (starts % together).any()


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 80), st.integers(1, 100))
def test_blocks_fit_in_memory_and_start_with_pieces(n_samples: int, together: int, most: int) -> None:
    sizes = list(rows._block_sizes(n_samples, together, most))
    assert sum(sizes) == n_samples
    assert max(sizes) <= most
    starts = set(np.cumsum([0, *sizes]).tolist())
    assert set(range(0, n_samples, together)) <= starts or together < most


def test_no_row_is_read_before_it_is_needed_nor_twice_on_saving(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[int] = []
    true = RowReader.probabilities
    monkeypatch.setattr(
        rows.RowReader, "probabilities", lambda self, x: (blocks.append(x[..., 0].size), true(self, x))[1]
    )
    ds = import_trajectories(store, epochs="checkpoints")
    assert blocks == []
    save_trajectories(ds, tmp_path / "a.zarr")
    assert sum(blocks) == 6 * 4 * N


def test_a_file_that_changes_meanwhile_is_noticed(store: Path) -> None:
    ds = import_trajectories(store, epochs="checkpoints")
    write(store / "imagenet_all" / "preds_0.h5", knowing(4, 77))
    with pytest.raises(ValueError, match=r"preds_0\.h5 has changed since it was opened"):
        ds["probs"].compute()


# -- files ------------------------------------------------------------------------------------------------------------


def test_a_repeated_file_is_dropped_and_said(store: Path) -> None:
    shutil.copy(store / "imagenet_all" / "preds_0.h5", store / "imagenet_all" / "preds_3.h5")
    ds = import_trajectories(store, epochs="checkpoints")
    assert set(ds["seed"].values.tolist()) == {0, 2, 10}
    assert [line for line in report_of(ds) if "repeats" in line] == [
        "predictions/imagenet_all/preds_3.h5 (task imagenet_all, seed 3) repeats "
        "predictions/imagenet_all/preds_0.h5 (task imagenet_all, seed 0): dropped"
    ]
    shutil.copy(store / "imagenet_all" / "preds_2.h5", store / "imagenet_vert" / "preds_0.h5")
    assert "hold the same predictions: leave out the one that is wrong" in refused(store)


def test_labels_that_do_not_fit_the_predictions(store: Path) -> None:
    assert "chance" not in str(report_of(import_trajectories(store, epochs="checkpoints")))
    turned = store.parent / "turned.npy"
    np.save(turned, (LABEL + 1) % C)
    ds = import_trajectories(store, epochs="checkpoints", labels=turned)
    assert any("in the same order?" in line for line in report_of(ds))


def test_reindexed_trajectories_are_not_taken_for_runs(store: Path) -> None:
    write(store / "imagenet_all" / "reindex_preds_0.h5", knowing(4, 1))
    assert "not read: 1 files reindex_preds_*.h5, of reindexed trajectories" in report_of(
        import_trajectories(store, epochs="checkpoints")
    )


def _remove_labels(store: Path) -> None:
    shutil.rmtree(store / "labels")


def _labels(values: Any) -> Callable[[Path], None]:
    return lambda store: np.save(store / "labels" / "imagenet_val_labels.npy", values)


def _file(name: str, change: Callable[[Path], Any]) -> Callable[[Path], None]:
    return lambda store: change(store / name)


def _other_dataset(file: Path) -> None:
    with h5py.File(file, "w") as stored:
        stored["probs"] = knowing(4, 0)


def _huge(file: Path) -> None:
    with h5py.File(file, "w") as stored:
        stored.create_dataset("data", shape=(61, 10**9, 10**6), dtype="f2", chunks=(1, 100, 100))


def _huge_chunk(file: Path) -> None:
    with h5py.File(file, "w") as stored:
        data = stored.create_dataset("data", shape=(1, 2**19, C), maxshape=(None, None, None), dtype="f8",
                                     chunks=(1, 2**20, 100), compression="gzip")  # fmt: skip
        del data


def _outside(file: Path) -> None:
    file.unlink()
    other = file.parents[2] / "other.h5"
    write(other, knowing(4, 0))
    with h5py.File(file, "w") as stored:
        layout = h5py.VirtualLayout((4, N, C), "f2")
        layout[:] = h5py.VirtualSource(other, "data", shape=(4, N, C))
        stored.create_virtual_dataset("data", layout)


def _link(file: Path) -> None:
    other = file.parents[2] / "other.h5"
    shutil.move(file, other)
    file.symlink_to(other)


def _pipe(file: Path) -> None:
    import os

    file.unlink()
    os.mkfifo(file)


def _device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


ONE = "imagenet_vert/preds_2.h5"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_remove_labels, "--labels must name the file"),
        (_labels(LABEL[:-1]), "must be 30 whole numbers"),
        (_labels(LABEL.astype(float)), "must be 30 whole numbers"),
        (_labels(LABEL + 1), "must lie in [0, 12), that of sample 11 is 12"),
        (_labels(LABEL.astype(object)), "cannot be read as .npy"),
        (_file(ONE, lambda file: write(file, knowing(4, 0)[:, 1:])), "has 29 and 12"),
        (_file(ONE, lambda file: write(file, random_probs(4, N, C + 1))), "has 30 and 13"),
        (_file(ONE, lambda file: write(file, knowing(4, 0)[0])), "must be floating-point of shape"),
        (_file(ONE, lambda file: file.rename(file.with_name("preds_best.h5"))), "must be preds_<seed>.h5"),
        (_file(ONE, lambda file: shutil.copy(file, file.with_name("preds_02.h5"))), "are the same run"),
        (_file(ONE, lambda file: shutil.copy(file, file.parents[1])), "name the folder of a task, or of all"),
        (_file(ONE, lambda file: file.write_bytes(b"")), "preds_2.h5 cannot be read as .h5"),
        (_file(ONE, lambda file: file.write_bytes(file.read_bytes()[:-3000])), "preds_2.h5 cannot be read as .h5"),
        (_file(ONE, _other_dataset), "has no dataset 'data'"),
        (_file(ONE, _huge), "declares 122,000,000,000,000,000 bytes in 0"),
        (_file(ONE, _huge_chunk), "too large to unpack"),
        (_file(ONE, _outside), "lies in other files"),
        (_file(ONE, _link), "is a link out of"),
        (_file(ONE, _pipe), "is no regular file"),
        (_file(ONE, _device), "is a link out of"),
        (_file("classes/imagenet_vert.json", lambda file: file.write_text("[" * 100_000)), "nested deeper"),
        (_file("classes/imagenet_vert.json", lambda file: file.write_text('{"labels": [0, 12]}')), "from 0 to 11"),
        (_file("classes/imagenet_vert.json", lambda file: file.write_text('{"labels": [0, 0]}')), "none twice"),
        (_file("classes/imagenet_vert.json", lambda file: file.write_text('{"classes": [0]}')), "numbers from 0"),
    ],
)
def test_what_is_wrong_is_one_line(store: Path, change: Callable[[Path], None], problem: str) -> None:
    change(store)
    assert problem in refused(store)


def test_epochs_are_asked_for(store: Path) -> None:
    assert "--epochs must give them" in refused(store, epochs=None)
    assert "--epochs gives 3 epochs" in refused(store, epochs=[0, 1, 2])
    assert "for runs of 61 checkpoints, these have 4" in refused(store, epochs="paper")
    assert "'epoch' falls within a run" in refused(store, epochs=[0, 2, 1, 3])


def test_without_what_unpacks_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number < 32_000)
    assert "lz4" in refused(store).lower()
    assert 'pip install "predspace-widgets[import]"' in refused(store)


def test_options_of_another_kind_of_data(store: Path) -> None:
    assert "tasks means nothing for a prediction store" in refused(store, tasks=["a"])
    assert "logits means nothing for a prediction store, but for an array of predictions" in refused(store, logits=True)


def test_the_command(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """With the right options it writes the dataset and prints the report; a wrong row leaves nothing at DATA."""

    def predspace(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["predspace", *map(str, words)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    out = tmp_path / "out"
    out.mkdir()
    assert predspace("import", store, out / "a.zarr.zip", "--epochs", "0,0.5,1:2", "--classes", store / "classes") == 0
    ds = open_trajectories(out / "a.zarr.zip")
    assert ds["epoch"].values[:4].tolist() == [0, 0.5, 1, 2]
    assert len(classes_of_tasks(ds)) == 2
    printed = capsys.readouterr().out
    assert all(f"- {line}" in printed.replace("\n", " ") for line in report_of(ds))
    probs = knowing(4, 1)
    probs[3, 7, 2] = np.nan
    write(store / "imagenet_all" / "preds_10.h5", probs)
    assert predspace("import", store, out / "b.zarr.zip", "--epochs", "0:3") == 2
    assert "checkpoint 3, sample 7: a probability is NaN" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["a.zarr.zip"]
