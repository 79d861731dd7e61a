"""Arrays of predictions in files of every kind, and files that lie."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from predspace_widgets.trajectories import import_trajectories, make_trajectories, open_trajectories, save_trajectories
from predspace_widgets.trajectories.importers import files, report_of, rows
from tests.trajectories.samples import random_probs

T, N, C = 3, 20, 4
LABEL = np.arange(N) % C


def save(file: Path, **arrays: np.ndarray) -> None:
    """Arrays by name, in the kind of file that its ending says; a .npy holds the first alone."""
    if file.suffix == ".npy":
        np.save(file, next(iter(arrays.values())))
    elif file.suffix == ".npz":
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    elif file.suffix == ".h5":
        with h5py.File(file, "w") as stored:
            for name, array in arrays.items():
                stored.create_dataset(f"group/{name}", data=array, chunks=True, compression="gzip")
    elif file.suffix == ".pt":
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, file)
    else:
        save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, file)


SUFFIXES = (".npy", ".npz", ".h5", ".pt", ".safetensors")


def refused(path: Path, **options: Any) -> str:
    """What the error says, in one line; of an import that nothing else is wrong with."""
    usual = {"tasks": ["a"], "seeds": [0], "epochs": "checkpoints", "labels": path.with_name("label.npy")}
    np.save(path.with_name("label.npy"), LABEL)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        import_trajectories(path, **usual | options)
    problems = getattr(caught.value, "problems", [str(caught.value)])
    assert all("\n" not in problem for problem in problems)
    return "; ".join(problems)


# -- what is right ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(2, 6), st.integers(0, 2**20))
def test_every_kind_of_file_comes_back(
    suffix: str, dtype: str, tmp_path: Path, n_runs: int, t: int, n: int, c: int, seed: int
) -> None:
    """As `make_trajectories` makes it of the same arrays, one of all runs or one of several."""
    probs = random_probs(n_runs, t, n, c, seed=seed).astype(dtype)
    label = np.random.default_rng(seed).integers(c, size=n)
    file, labels = tmp_path / f"preds{suffix}", tmp_path / "label.npy"
    save(file, probs=probs, label=label)
    np.save(labels, label)
    epochs = [0.5 * number for number in range(t)]
    ds = import_trajectories(file, labels=labels, tasks=["red"], seeds=range(n_runs), epochs=epochs, method="simclr")
    made = make_trajectories(
        probs.reshape(-1, n, c),
        label,
        task="red",
        method="simclr",
        seed=np.repeat(range(n_runs), t),
        epoch=np.tile(epochs, n_runs),
    )
    xr.testing.assert_equal(ds.drop_vars("probs"), made.drop_vars("probs"))
    assert ds["probs"].dtype == dtype
    exact = made["probs"].astype(float) / made["probs"].astype(float).sum("class")
    np.testing.assert_allclose(ds["probs"].astype(float), exact, rtol=2 * float(np.finfo(dtype).eps), atol=1e-7)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_logits_are_read_as_their_softmax(suffix: str, dtype: str, tmp_path: Path) -> None:
    logits = (30 * np.random.default_rng(0).normal(size=(T, N, C))).astype(dtype)
    logits[1, 2, 3] = -np.inf  # a class that is ruled out
    file = tmp_path / f"preds{suffix}"
    save(file, logits=logits)
    np.save(tmp_path / "label.npy", LABEL)
    ds = import_trajectories(file, labels=tmp_path / "label.npy", logits=True, tasks=["a"], epochs=range(T))
    expected = torch.softmax(torch.from_numpy(logits.astype(np.float64)), -1).numpy()
    np.testing.assert_allclose(ds["probs"], expected, rtol=1e-5 if dtype == "float16" else 1e-12, atol=1e-30)
    assert ds["probs"].dtype == ("float32" if dtype == "float16" else "float64")
    save_trajectories(ds, tmp_path / "a.zarr")
    np.testing.assert_allclose(open_trajectories(tmp_path / "a.zarr")["probs"], ds["probs"], rtol=1e-6, atol=1e-30)


def test_the_ending_of_bfloat16(tmp_path: Path) -> None:
    logits = torch.randn(T, N, C, generator=torch.Generator().manual_seed(0)).bfloat16()
    expected = torch.softmax(logits.float(), -1).numpy()
    np.save(tmp_path / "label.npy", LABEL)
    torch.save(logits, tmp_path / "a.pt")
    save_file({"logits": logits}, tmp_path / "a.safetensors")
    for name in ("a.pt", "a.safetensors"):
        ds = import_trajectories(
            tmp_path / name, labels=tmp_path / "label.npy", logits=True, tasks=["a"], epochs=range(T)
        )
        np.testing.assert_allclose(ds["probs"], expected, rtol=1e-5)


def test_small_blocks_and_pieces_make_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probs = random_probs(2, T, N, C)
    np.save(tmp_path / "label.npy", LABEL)
    options: dict[str, Any] = {"tasks": ["a"], "seeds": [0, 1], "epochs": range(T), "labels": tmp_path / "label.npy"}
    with h5py.File(tmp_path / "a.h5", "w") as stored:
        stored.create_dataset("probs", data=probs, chunks=(1, 2, 7, 3))
    whole = import_trajectories(tmp_path / "a.h5", **options)["probs"].values
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 2 * T * C * 8 * 3)
    monkeypatch.setattr(rows, "_PART_BYTES", 2 * C * 8)
    ds = import_trajectories(tmp_path / "a.h5", **options)
    assert max(ds["probs"].chunksizes["sample"]) == 3
    np.testing.assert_array_equal(ds["probs"].values, whole)
    monkeypatch.setattr(rows, "_BLOCK_BYTES", 0)
    monkeypatch.setattr(rows, "_PIECES_READ", 3)
    assert "each piece was read 7 times" in str(report_of(import_trajectories(tmp_path / "a.h5", **options)))


def test_an_npz_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    save(tmp_path / "a.npz", probs=random_probs(T, N, C), label=LABEL)
    ds = import_trajectories(tmp_path / "a.npz", tasks=["a"], epochs=range(T))
    save_trajectories(ds, tmp_path / "a.zarr")
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    del ds
    import gc

    gc.collect()
    assert list((tmp_path / "scratch").iterdir()) == []


# -- runs -------------------------------------------------------------------------------------------------------------


def _table(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_a_table_with_a_row_for_each_run(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", probs=random_probs(2, T, N, C), label=LABEL)
    csv = _table(tmp_path, "a.csv", "task,seed,method,width,network\neven,3,simclr,8,cnn\nodd,4,barlow,,mlp\n")
    yaml = _table(
        tmp_path,
        "a.yaml",
        "- {task: even, seed: 3, method: simclr, width: 8, network: cnn, epoch: [0, 1, 2]}\n"
        "- {task: odd, seed: 4, method: barlow, width: .nan, network: mlp, epoch: [0, 1, 2]}\n",
    )
    ds = import_trajectories(tmp_path / "a.npz", runs=csv, epochs=[0, 1, 2])
    xr.testing.assert_identical(ds.drop_attrs(), import_trajectories(tmp_path / "a.npz", runs=yaml).drop_attrs())
    assert ds["run"].values[[0, T]].tolist() == ["even/simclr/3/width=8/network=cnn", "odd/barlow/4/width=/network=mlp"]
    np.testing.assert_array_equal(ds["width"], [8.0] * T + [np.nan] * T)


def test_a_table_with_a_row_for_each_checkpoint(tmp_path: Path) -> None:
    """Runs of different lengths can be one array (T, N, C)."""
    save(tmp_path / "a.npz", probs=random_probs(T, N, C), label=LABEL)
    table = _table(tmp_path, "a.csv", "task,seed,epoch,step,run\na,0,0,0,one\na,0,1.5,70,one\n7,1,0,0,two\n")
    ds = import_trajectories(tmp_path / "a.npz", runs=table)
    assert ds["run"].values.tolist() == ["one", "one", "two"]
    assert ds["epoch"].values.tolist() == [0, 1.5, 0]
    assert ds["step"].values.tolist() == [0, 70, 0]
    assert ds["task"].values.tolist() == ["a", "a", "7"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "task,seed\na,0\nb,1\n", "lists 2: it must have a row for each of 1 runs, or for each of 3"),
        ("a.csv", "task,seed\na\n", "run 1 has 1 values, there are 2 columns"),
        ("a.csv", "task,task\na,b\n", "has a column twice"),
        ("a.csv", "", "is no CSV"),
        ("a.csv", "task,seed\n", "must list the runs"),
        ("a.csv", "task,seed\na,one\n", "column 'seed' of"),
        ("a.csv", "task,seed\na,0.5\n", "whole numbers"),
        ("a.csv", "task,seed,learning rate\na,0,1\n", "must have a Python name"),
        ("a.csv", "seed\n0\n", "a column 'task' of"),
        ("a.csv", "task,seed,epoch\na,0,1\n", "leave out one of them"),
        ("a.txt", "task,seed\na,0\n", "must be a .csv or a .yaml"),
        ("a.yaml", "[" * 3000, "nested deeper"),
        ("a.yaml", "&a [*a]", "contains itself"),
        ("a.yaml", "{task: a}", "must list the runs"),
        ("a.yaml", "[{task: a, seed: 0}, {task: b}]", "run 2 and the first do not have the same columns: ['seed']"),
        ("a.yaml", "[{task: [a, b], seed: 0}]", "names 2 values of 'task' for a run of 3 checkpoints"),
        ("a.yaml", "[{task: a, seed: {}}]", "must hold numbers, got {}"),
        ("a.yaml", "!!python/object/apply:os.system [true]", "is no YAML"),
    ],
)
def test_a_wrong_table(tmp_path: Path, name: str, text: str, problem: str) -> None:
    save(tmp_path / "p.npy", probs=random_probs(T, N, C))
    assert problem in refused(tmp_path / "p.npy", runs=_table(tmp_path, name, text), tasks=None, seeds=None)


def test_tables_without_an_end(tmp_path: Path) -> None:
    save(tmp_path / "p.npy", probs=random_probs(T, N, C))
    (tmp_path / "a.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "b.csv")
    for name in ("a.csv", "b.csv"):
        assert "is no file with text in it" in refused(tmp_path / "p.npy", runs=tmp_path / name)


def test_what_is_not_known_is_asked_for(tmp_path: Path) -> None:
    save(tmp_path / "p.npy", probs=random_probs(2, T, N, C))
    file = tmp_path / "p.npy"
    assert "--tasks must" in refused(file, tasks=None)
    assert "--seeds must name them" in refused(file, seeds=None)
    assert "--tasks names 3, there are 2 runs" in refused(file, tasks=["a", "b", "c"], seeds=[0, 1])
    assert "--epochs must give them" in refused(file, epochs=None, seeds=[0, 1])
    assert "--epochs gives 2 epochs" in refused(file, epochs=[0, 1], seeds=[0, 1])
    assert "runs 0 and 1 are both a/supervised/0: --seeds or" in refused(file, seeds=[0, 0])
    assert "no labels of 20 samples in" in refused(file, labels=None)
    assert "there is no file" in refused(file, labels="nothing.npy")


# -- which array ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".pt", ".safetensors"])
def test_one_of_several_arrays_is_named(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"preds{suffix}"
    first, other = random_probs(T, N, C), random_probs(T, N, C, seed=1)
    save(file, first=first, other=other, weights=np.ones((2, 2)), y=LABEL, z=LABEL[::-1].copy())
    inside = "group/" if suffix == ".h5" else ""
    text = refused(file)
    assert "leaves open which array: --array names it" in text
    assert f"{inside}first (3, 20, 4) float64" in text
    assert f"{inside}weights (2, 2) float64" in text
    assert "has no array 'none'" in refused(file, array="none")
    assert "(T, N, C)" in refused(file, array=f"{inside}weights")
    assert "the labels can be" in refused(file, array=f"{inside}other", labels=None)
    ds = import_trajectories(file, array=f"{inside}other", labels=f"{inside}z", tasks=["a"], epochs=range(T))
    np.testing.assert_allclose(ds["probs"], other, rtol=1e-12)
    np.testing.assert_array_equal(ds["label"], LABEL[::-1])


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".pt", ".safetensors"])
def test_the_only_labels_of_a_file_are_taken_and_said(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"preds{suffix}"
    save(file, probs=random_probs(T, N, C), y=LABEL, step=np.arange(T))
    ds = import_trajectories(file, tasks=["a"], epochs=range(T))
    np.testing.assert_array_equal(ds["label"], LABEL)
    assert any(line.startswith("labels: array '") for line in report_of(ds))


# -- rows -------------------------------------------------------------------------------------------------------------


def test_logits_are_not_taken_for_probabilities(tmp_path: Path) -> None:
    file = tmp_path / "p.npy"
    save(file, p=np.random.default_rng(0).normal(size=(T, N, C)))
    assert "give --logits if these are logits" in refused(file)
    assert "logits if" not in refused(file, logits=False)
    save(file, p=np.sqrt(random_probs(T, N, C)))
    assert "give --logits if these are logits" in refused(file)


def test_what_looks_like_probabilities_is_said(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", probs=random_probs(T, N, C), label=LABEL)
    ds = import_trajectories(tmp_path / "a.npz", logits=True, tasks=["a"], epochs=range(T))
    assert any(line.startswith("read as logits, though") for line in report_of(ds))
    save(tmp_path / "a.npz", probs=10 * random_probs(T, N, C), label=LABEL)
    ds = import_trajectories(tmp_path / "a.npz", logits=True, tasks=["a"], epochs=range(T))
    assert not any(line.startswith("read as logits, though") for line in report_of(ds))


def test_the_tolerance(tmp_path: Path) -> None:
    file = tmp_path / "p.npy"
    probs = random_probs(T, N, C)
    probs[1, 2] *= 1.003
    save(file, p=probs)
    assert "p.npy, checkpoint 1, sample 2, by 0.003" in refused(file)
    ds = import_trajectories(
        file, row_tolerance=0.0031, labels=file.with_name("label.npy"), tasks=["a"], epochs=range(T)
    )
    np.testing.assert_allclose(ds["probs"].sum("class"), 1, rtol=1e-12)
    assert "means nothing for logits" in refused(file, logits=True, row_tolerance=0.1)


@pytest.mark.parametrize(
    ("value", "problem"), [(np.nan, "a logit is NaN or infinite"), (np.inf, "a logit is NaN or infinite")]
)
def test_wrong_logits_are_named(tmp_path: Path, value: float, problem: str) -> None:
    logits = np.zeros((2, T, N, C))
    logits[1, 2, 5, 0] = value
    save(tmp_path / "p.npy", p=logits)
    assert f"p.npy, run 1, checkpoint 2, sample 5: {problem}" in refused(tmp_path / "p.npy", logits=True, seeds=[0, 1])
    logits[1, 2, 5] = -np.inf
    save(tmp_path / "p.npy", p=logits)
    assert "every logit is minus infinity" in refused(tmp_path / "p.npy", logits=True, seeds=[0, 1])


# -- files that lie ---------------------------------------------------------------------------------------------------


def _npy(shape: tuple[int, ...], content: bytes = b"", descr: str = "<f4") -> bytes:
    stored = io.BytesIO()
    np.lib.format.write_array_header_1_0(stored, {"descr": descr, "fortran_order": False, "shape": shape})
    return stored.getvalue() + content


def _npz(member: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", compression) as archive:
        archive.writestr("probs.npy", member)
    return stored.getvalue()


def _safetensors(header: bytes, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + content


HUGE = (10**6, 10**6, 10**6)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("/tmp/predspace-was-here",)


def _saved(content: Any, **how: Any) -> bytes:
    stored = io.BytesIO()
    torch.save(content, stored, **how)
    return stored.getvalue()


def _objects() -> bytes:
    stored = io.BytesIO()
    np.save(stored, np.full((T, N, C), None), allow_pickle=True)
    return stored.getvalue()


def _flipped() -> bytes:
    """One bit of a packed array."""
    content = bytearray(_npz(_npy((T, N, C), random_probs(T, N, C).astype("<f4").tobytes()), zipfile.ZIP_STORED))
    content[400] ^= 1
    return bytes(content)


LIES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "no npy": ("a.npy", lambda: b"\0" * 100, "cannot be read as .npy"),
    "nothing": ("a.npy", lambda: b"", "cannot be read as .npy"),
    "huge npy": ("a.npy", lambda: _npy(HUGE), "more than the file has"),
    "wrapping npy": ("a.npy", lambda: _npy((2**32, 2**32, 4)), "more than the file has"),
    "short npy": ("a.npy", lambda: _npy((T, N, C), b"\0" * 99), "more than the file has"),
    "objects npy": ("a.npy", _objects, "holds Python objects"),
    "empty npy": ("a.npy", lambda: _npy((0, N, C)), "not empty"),
    "integers": ("a.npy", lambda: _npy((T, N, C), b"\0" * 4 * T * N * C, "<i4"), "no floating-point array"),
    "two dimensions": ("a.npy", lambda: _npy((N, C), b"\0" * 4 * N * C), "no floating-point array"),
    "no zip": ("a.npz", lambda: b"PK" + b"\0" * 100, "cannot be read as .npz"),
    "bomb": ("a.npz", lambda: _npz(_npy((1000, 1000, 40), b"\0" * 160_000_000)), "more than predictions can be packed"),
    "huge npz": ("a.npz", lambda: _npz(_npy(HUGE)), "which is not what its bytes hold"),
    "objects npz": ("a.npz", lambda: _npz(_objects()), "holds Python objects"),
    "flipped npz": ("a.npz", _flipped, "Bad CRC-32"),
    "no h5": ("a.h5", lambda: b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "cannot be read as .h5"),
    "evil pt": ("a.pt", lambda: _saved(_Evil()), "cannot be read as .pt"),
    "old pt": ("a.pt", lambda: _saved(torch.ones(2), _use_new_zipfile_serialization=False), "save it again"),
    "huge pt": ("a.pt", lambda: _saved(torch.ones(1).expand(HUGE)), "more than the file has"),
    "no tensor": ("a.pt", lambda: _saved({"epoch": 3}), "must hold a tensor or a dict of tensors"),
    "huge safetensors": (
        "a.safetensors",
        lambda: _safetensors(json.dumps({"p": {"dtype": "F32", "shape": HUGE, "data_offsets": [0, 4]}}).encode()),
        "cannot be read as .safetensors",
    ),
    "long header": ("a.safetensors", lambda: struct.pack("<Q", 2**60) + b"{}", "its list of arrays is said to have"),
    "deep header": ("a.safetensors", lambda: _safetensors(b"[" * 100_000), "cannot be read as .safetensors"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_one_line(lie: str, tmp_path: Path) -> None:
    name, content, problem = LIES[lie]
    (tmp_path / name).write_bytes(content())
    assert problem in refused(tmp_path / name)
    assert not Path("/tmp/predspace-was-here").exists()


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("zero.npy", "pipe.npy"):
        assert "that can be imported" in refused(tmp_path / name)
    save(tmp_path / "p.npy", p=random_probs(T, N, C))
    for name in ("zero.npy", "pipe.npy"):
        assert "is no regular file" in refused(tmp_path / "p.npy", labels=tmp_path / name)


def test_a_lie_costs_no_memory(tmp_path: Path) -> None:
    """Each of those that declare much, one after the other in one process."""
    paths = []
    for lie in ("huge npy", "bomb", "huge npz", "huge pt", "huge safetensors", "long header"):
        name, content, _ = LIES[lie]
        paths.append(tmp_path / f"{lie}{Path(name).suffix}")
        paths[-1].write_bytes(content())
    np.save(tmp_path / "label.npy", LABEL)
    code = (
        "import resource, sys, torch, safetensors, predspace_widgets as pw\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[2:]:\n"
        "    try: pw.import_trajectories(path, labels=sys.argv[1], tasks=['a'], epochs='checkpoints')\n"
        "    except ValueError: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "label.npy"), *map(str, paths)]
    grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert len(grown) == len(paths)
    assert int(grown[-1]) < 100_000  # KB; the smallest of them declares 160 MB


def test_what_is_assumed_is_said(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", probs=random_probs(2, T, N, C), label=LABEL)
    assumed = [
        "method: supervised is assumed (--method gives another)",
        "step: nothing gives it, checkpoints of a run are numbered from 0",
    ]
    options: dict[str, Any] = {"tasks": ["a"], "seeds": [3, 4], "epochs": "checkpoints"}
    lines = report_of(import_trajectories(tmp_path / "a.npz", **options))
    assert {*assumed, "tasks, as --tasks says: a", "seeds, as --seeds says: 3, 4"} <= {*lines}
    (tmp_path / "runs.csv").write_text("task,seed,method,width\na,0,simclr,3\na,1,simclr,4\n")
    lines = report_of(import_trajectories(tmp_path / "a.npz", runs=tmp_path / "runs.csv", epochs="checkpoints"))
    assert "attributes of runs, from columns of runs.csv: 'width'" in lines
    assert assumed[0] not in lines
    save(tmp_path / "one.npz", probs=random_probs(1, T, N, C)[0], label=LABEL)
    lines = report_of(import_trajectories(tmp_path / "one.npz", tasks=["a"], epochs="checkpoints", method="simclr"))
    assert "seed: 0 is assumed (--seeds gives another)" in lines
    assert assumed[0] not in lines


def test_all_that_is_missing_is_asked_for_at_once(tmp_path: Path) -> None:
    save(tmp_path / "a.npy", probs=random_probs(2, T, N, C))
    (tmp_path / "runs.csv").write_text("tsk\na\nb\n")
    with pytest.raises(ValueError, match="--labels") as caught:
        import_trajectories(tmp_path / "a.npy", runs=tmp_path / "runs.csv")
    assert [problem.split(":")[0] for problem in getattr(caught.value, "problems", [])] == [
        f"there are no labels of {N} samples in {tmp_path / 'a.npy'}",
        "the seeds of 2 runs are not known",
        "no task is named",
        "the epochs of 3 checkpoints are not in the file",
    ]
    assert "(columns: 'tsk')" in str(caught.value)
