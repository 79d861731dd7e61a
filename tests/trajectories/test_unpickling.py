"""Pickles of strangers: what is read is what was written, and nothing of what they call is run."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
import subprocess
import sys
from collections import OrderedDict
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.importers.unpickling import RefusedPickleError, read_pickle

DTYPES = ("?", "i1", "u2", "<i8", ">i4", "<f2", "<f4", ">f8", "<f8", "<c8", "<c16", "<U3", "S4")
NUMBERS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary() | NUMBERS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=8,
)


def read(tmp_path: Path, data: bytes) -> Any:
    path = tmp_path / "stranger.pkl"
    path.write_bytes(data)
    return read_pickle(path)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or one != one)


@given(value=PLAIN, protocol=st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_what_is_plain_is_read_as_it_was_written(
    value: Any, protocol: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert same(read(tmp_path_factory.getbasetemp(), pickle.dumps(value, protocol)), value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_scalars_lists_of_objects_and_other_orders(protocol: int, tmp_path: Path) -> None:
    ragged = np.array([np.zeros(2), np.ones(3)], dtype=object)
    columns = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    value = {"scalar": np.float32(0.5), "ragged": ragged, "columns": columns, "ordered": OrderedDict(a=1), "z": 1 + 2j}
    content = read(tmp_path, pickle.dumps(value, protocol))
    assert content["scalar"] == 0.5
    assert isinstance(content["ragged"], list)
    assert same(content["ragged"], [np.zeros(2), np.ones(3)])
    np.testing.assert_array_equal(content["columns"], columns)
    assert content["ordered"] == {"a": 1}
    assert content["z"] == 1 + 2j


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_names_of_modules_of_numpy_1_and_2(core: bytes, tmp_path: Path) -> None:
    data = pickle.dumps({"a": np.arange(3.0)}, 2)
    mine = b"numpy._core" if b"numpy._core" in data else b"numpy.core"
    assert same(read(tmp_path, data.replace(mine, core)), {"a": np.arange(3.0)})


class Call:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("value", "refused"),
    [
        (Call(os.system, "touch ran"), f"{os.system.__module__}.system"),
        (Call(eval, "open('ran', 'w')"), ".eval"),
        (Call(getattr, "a", "upper"), ".getattr"),
        (Call(np.load, "ran"), "numpy.load"),
        ({"tasks": [Fraction(1, 2)]}, "fractions.Fraction"),
        (np.array([Fraction(1, 2)]), "fractions.Fraction"),
        ({1, 2}, "set"),
        (range(3), "range"),
    ],
)
def test_what_is_not_plain_is_named_and_not_run(
    value: Any, refused: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RefusedPickleError) as error:
        read(tmp_path, pickle.dumps({"inpca_embedding": [value]}, protocol))
    assert refused in str(error.value) or (refused == "set" and "SET" in str(error.value))
    assert "\n" not in str(error.value)
    assert not Path("ran").exists()


def globals_of(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def array_of(shape: bytes, content: bytes) -> bytes:
    """A pickle of an array of float64 that declares a shape."""
    start = globals_of("numpy.core.multiarray", "_reconstruct") + globals_of("numpy", "ndarray") + b"(I0\ntC\x01b\x87R"
    dtype = globals_of("numpy", "dtype") + b"(U\x02f8I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntb"
    return b"\x80\x03" + start + b"(I1\n" + shape + dtype + b"\x89" + content + b"tb."


EMPTY = b"C\x00"
BOMB = b"(lp0\n" + b"".join(b"(" + b"g%d\n" % n * 10 + b"lp%d\n" % (n + 1) for n in range(15)) + b"."
HOSTILE = {
    "an array of 100 GB": array_of(b"(L12500000000L\nt", EMPTY),
    "an array of 2**80 numbers": array_of(b"(" + b"L1048576L\n" * 4 + b"t", EMPTY),
    "an array of many dimensions": array_of(b"(" + b"I1\n" * 64 + b"t", b"C\x08" + bytes(8)),
    "an array of a negative size": array_of(b"(I-1\nI-1\nt", b"C\x08" + bytes(8)),
    "an array that lacks a number": array_of(b"(I2\nt", b"C\x08" + bytes(8)),
    "an array that calls for memory at once": b"\x80\x03"
    + globals_of("numpy.core.multiarray", "_reconstruct")
    + globals_of("numpy", "ndarray")
    + b"(L12500000000L\ntC\x01b\x87R.",
    "bytes of 100 GB": b"\x80\x04\x8e" + struct.pack("<Q", 10**11) + b"abc.",
    "text of 4 GB": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"abc.",
    "lists in lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "tuples in tuples": b"\x80\x02N" + b"\x85" * 100_000 + b".",
    "a deep tuple as a key": b"\x80\x02}N" + b"\x85" * 100_000 + b"Ns.",
    "a deep tuple as a shape": array_of(b"N" + b"\x85" * 100_000, EMPTY),
    "a list of ten of a list of ten of": BOMB,
    "a list in itself": b"\x80\x02]q\x00h\x00a.",
    "an array without its values": b"\x80\x03" + array_of(b"", b"")[2:].split(b"\x87R")[0] + b"\x87R.",
    "bytes of one text again and again": b"\x80\x02("
    + globals_of("_codecs", "encode")
    + b"q\x00X"
    + struct.pack("<I", 10**6)
    + b"a" * 10**6
    + b"X\x06\0\0\0latin1\x86q\x01R"
    + b"h\x00h\x01R" * 1000
    + b"l.",
    "a function by itself": b"\x80\x02" + globals_of("numpy", "dtype") + b".",
    "an array called": b"\x80\x02" + globals_of("numpy", "ndarray") + b"(I5\ntR.",
    "an object of its own class": b"\x80\x02" + globals_of("numpy", "dtype") + b")\x81.",
    "the state of a list": b"\x80\x02]}b.",
    "an empty stack": b"\x80\x02a.",
    "a mark that is not there": b"\x80\x02]e.",
    "what lies outside": b"\x80\x02P5\n.",
    "a number of a million digits": b"\x80\x02L" + b"1" * 10**6 + b"L\n.",
    "a number of 8,000 bits": b"\x80\x02\x8b" + struct.pack("<i", 1000) + b"\x7f" * 1000 + b".",
    "records": pickle.dumps(np.zeros(2, dtype=[("a", "f8")])),
    "dates": pickle.dumps(np.zeros(2, dtype="M8[s]")),
    "objects in two dimensions": pickle.dumps(np.full((2, 2), None)),
    "more instructions than a picture": b"\x80\x02" + b"N0" * 250_001 + b"N.",
    "nothing": b"",
    "text": b"tasks: dogs",
    "no end": b"\x80\x02]",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_pickles_are_refused_in_one_line(what: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedPickleError) as error:
        read(tmp_path, HOSTILE[what])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400 + len(str(tmp_path))


def test_they_are_refused_in_little_memory(tmp_path: Path) -> None:
    """All of them in one process: more than without any by less than 60 MB, and it ends by itself."""
    for n, data in enumerate(HOSTILE.values()):
        (tmp_path / f"{n}.pkl").write_bytes(data)
    code = """if True:
        import resource, sys
        from pathlib import Path
        from predspace_widgets.trajectories.importers.unpickling import RefusedPickleError, read_pickle
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        refused = 0
        for path in Path(sys.argv[1]).glob("*.pkl"):
            try:
                read_pickle(path)
            except RefusedPickleError:
                refused += 1
        print(refused, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=300, check=True
    )
    refused, megabytes = map(int, ended.stdout.split())
    assert refused == len(HOSTILE)
    assert megabytes < 60


def test_a_far_place_in_the_memory_needs_no_others(tmp_path: Path) -> None:
    assert read(tmp_path, b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b".") == []


@given(data=st.data())
def test_a_damaged_file_is_refused_or_another_plain_value(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = bytearray(pickle.dumps({"tasks": ["a", "b"], "values": np.arange(4.0), "flags": [True, False]}))
    if data.draw(st.booleans()):
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RefusedPickleError):
        read(tmp_path_factory.getbasetemp(), bytes(whole))


def test_a_file_larger_than_a_picture_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.pkl").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(RefusedPickleError, match="larger than the 134 MB that a picture may have: --max-size"):
        read_pickle(tmp_path / "large.pkl")


def test_what_is_no_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "queue.pkl")
    with pytest.raises(RefusedPickleError, match="is no file"):
        read_pickle(tmp_path / "queue.pkl")


def test_what_follows_is_said(tmp_path: Path) -> None:
    report = Report()
    (tmp_path / "two.pkl").write_bytes(pickle.dumps([1]) + pickle.dumps([2]))
    assert read_pickle(tmp_path / "two.pkl", report) == [1]
    assert report.lines == [f"{len(pickle.dumps([2]))} bytes follow the pickle and are not read"]


def test_hostile_pickles_are_what_they_are_named() -> None:
    """Those that only lie of a size are right otherwise."""
    for what, size in {"an array of 100 GB": 12_500_000_000, "an array that lacks a number": 2}.items():
        assert size in [argument for _, argument, _ in pickletools.genops(HOSTILE[what])]
