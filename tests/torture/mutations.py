"""What is done to files: damage that happens, and what somebody may send on purpose to harm whoever opens it."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import socket
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

#: Damages something in a list of files and directories; the folder outside holds `other`, another good copy of all of
#: them, and `same`, one of the same content. Says what it did, or None where it fits nothing there.
Mutation = Callable[["Place"], str | None]


class Place:
    """The files that one mutation may damage.

    Parameters
    ----------
    folder : Path
        All that belongs to the specimen.
    main : str
        The one of them that is opened.
    damaged : tuple of str
        Glob patterns in it of what may be damaged.
    outside : Path
    rng : numpy.random.Generator
    """

    def __init__(
        self, folder: Path, main: str, damaged: tuple[str, ...], outside: Path, rng: np.random.Generator
    ) -> None:
        self.folder, self.main, self.outside, self.rng = folder, folder / main, outside, rng
        roots = sorted(root for pattern in damaged for root in folder.glob(pattern))
        self.all = [path for root in roots for path in (root, *sorted(root.rglob("*")))]
        self.files = [path for path in self.all if path.is_file()]

    def name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def one(self, paths: list[Path]) -> Path | None:
        return paths[int(self.rng.integers(len(paths)))] if paths else None

    def file(self, *endings: str) -> Path | None:
        """A file with any content. Half of the time a large one, as disks damage more of these."""
        files = [file for file in self.files if file.stat().st_size and file.name.endswith(endings or "")]
        if files and self.rng.random() < 0.5:
            sizes = np.array([file.stat().st_size for file in files], dtype=float)
            return files[int(self.rng.choice(len(files), p=sizes / sizes.sum()))]
        return self.one(files)


# -- bytes -------------------------------------------------------------------------------------------------------------


def flip_bits(place: Place) -> str | None:
    if (file := place.file()) is None:
        return None
    content = bytearray(file.read_bytes())
    count = int(place.rng.choice([1, 1, 1, 8]))
    where = [int(index) for index in place.rng.integers(len(content), size=count)]
    for index in where:
        content[index] ^= 1 << int(place.rng.integers(8))
    file.write_bytes(content)
    return f"flip bits at {where} of {len(content)} bytes of {place.name(file)}"


def overwrite_run(place: Place) -> str | None:
    if (file := place.file()) is None:
        return None
    content = bytearray(file.read_bytes())
    start = int(place.rng.integers(len(content)))
    stop = start + int(place.rng.integers(1, len(content) - start + 1))
    kind = str(place.rng.choice(["zeros", "noise", "from elsewhere"]))
    if kind == "zeros":
        run = bytes(stop - start)
    elif kind == "noise":
        run = place.rng.bytes(stop - start)
    else:
        other = int(place.rng.integers(len(content)))
        run = bytes((content + content)[other : other + stop - start])
    content[start:stop] = run
    file.write_bytes(content)
    return f"bytes {start} to {stop} of {len(content)} of {place.name(file)}: {kind}"


def blow_up_number(place: Place) -> str | None:
    """A number huge: digits of a text, or bytes, mostly near the beginning, where files say how large they are."""
    if (file := place.file()) is None:
        return None
    content = bytearray(file.read_bytes())
    digits = [found.span() for found in re.finditer(rb"\d+", bytes(content[:2000]))]
    if digits and place.rng.random() < 0.5:
        start, stop = digits[int(place.rng.integers(len(digits)))]
        content[start:stop] = b"9" * (stop - start)
    else:
        start = 0 if place.rng.random() < 0.3 else int(place.rng.integers(min(len(content), 512)))
        stop = min(start + int(place.rng.choice([2, 4, 8])), len(content))
        content[start:stop] = bytes([255] * (stop - start - 1) + [int(place.rng.choice([0, 15, 127, 255]))])
    file.write_bytes(content)
    return f"bytes {start} to {stop} of {len(content)} of {place.name(file)}: a huge number"


def truncate(place: Place) -> str | None:
    if (file := place.file()) is None:
        return None
    size = file.stat().st_size
    length = int(place.rng.choice([0, size - 1, int(place.rng.integers(size)), size // 4096 * 4096]))
    os.truncate(file, length)
    return f"{place.name(file)} cut from {size} to {length} bytes"


def lengthen(place: Place) -> str | None:
    if (file := place.file()) is None:
        return None
    content = file.read_bytes()
    more = [bytes(4096), content, place.rng.bytes(100)][int(place.rng.integers(3))]
    file.write_bytes(content + more)
    return f"{len(more)} bytes more at the end of {place.name(file)}"


# -- files -------------------------------------------------------------------------------------------------------------


def delete(place: Place) -> str | None:
    if (path := place.one(place.all)) is None:
        return None
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"deleted {place.name(path)}"


def swap(place: Place) -> str | None:
    """Mostly two of the same array, or two chunks: what a mixed-up copy of files would do."""
    first = place.one(place.files)
    others = [path for path in place.files if path != first]
    if first is None or not others:
        return None
    near = [path for path in others if path.parent == first.parent or path.name == first.name]
    second = place.one(near if near and place.rng.random() < 0.8 else others)
    assert second is not None
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    return f"swapped {place.name(first)} and {place.name(second)}"


def replace_by_another(place: Place) -> str | None:
    first, second = place.one(place.files), place.one(place.files)
    if first is None or second is None or first == second:
        return None
    shutil.copyfile(second, first)
    return f"{place.name(first)} replaced by {place.name(second)}"


def replace_by_that_of_another_dataset(place: Place) -> str | None:
    """A file of another dataset of the same form, as from two copies that were mixed."""
    file = place.one(place.files)
    if file is None or file == place.main:  # which would be another dataset, in order
        return None
    other = place.outside / "other" / place.name(file)
    if not other.is_file():
        return None
    shutil.copyfile(other, file)
    return f"{place.name(file)} replaced by that of another dataset"


def rename(place: Place) -> str | None:
    if (path := place.one(place.all[1:])) is None:
        return None
    new = path.with_name(str(place.rng.choice(["0", "1", "9", "c", "probs", "x", ".hidden", f"{path.name}.partial"])))
    if new.exists():
        return None
    path.rename(new)
    return f"{place.name(path)} renamed {new.name}"


def duplicate(place: Place) -> str | None:
    if (path := place.one(place.all)) is None:
        return None
    new = path.with_name(str(place.rng.choice([f"{path.name} (copy)", "7", "extra", ".DS_Store"])))
    if new.exists():
        return None
    shutil.copytree(path, new) if path.is_dir() else shutil.copyfile(path, new)
    return f"{place.name(path)} copied to {new.name}"


def replace_by_something_else(place: Place) -> str | None:
    """A link, a FIFO, a device, a socket, a directory, an empty file."""
    if (path := place.one(place.all)) is None:
        return None
    kinds = ("link", "link out", "/dev/zero", "loop", "fifo", "device", "socket", "directory", "empty", "dangling")
    kind = str(place.rng.choice(kinds))
    if kind == "link out" and path == place.main:  # another dataset, in order
        return None
    is_dir, name = path.is_dir(), place.name(path)
    shutil.rmtree(path) if is_dir else path.unlink()
    if kind == "link":
        path.symlink_to(place.outside / "same" / name)
    elif kind == "link out":
        path.symlink_to(place.outside / "other" / name)
    elif kind == "/dev/zero":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path.parent if place.rng.random() < 0.5 else path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        try:
            os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))  # a character device: /dev/zero
        except OSError:
            return None
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            here = os.getcwd()
            os.chdir(path.parent)  # the name of a socket is short
            try:
                made.bind(path.name)
            finally:
                os.chdir(here)
    elif kind == "directory":
        path.mkdir() if not is_dir else path.write_bytes(b"a file")
    elif kind == "empty":
        path.touch()
    else:
        path.symlink_to("nowhere")
    return f"{name} replaced: {kind}"


# -- JSON --------------------------------------------------------------------------------------------------------------

_DEEP = "a deep list"
_ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**53, 2**63, 2**64, 10**30, 0.5, 1e308, -1e-300, "", "0", "NaN", [], {}),
    *([0], [[]], {"name": "bytes"}, "../../outside", "/etc/passwd", "x" * 100_000, [1] * 100_000, _DEEP),
    *("float16", "float32", "float64", "int8", "int64", "uint64", "bool", "string", "complex128", "r8", "object"),
    *("crc32c", "gzip", "zstd", "blosc", "bytes", "transpose", "sharding_indexed", "vlen-utf8", "pickle"),
    *("checkpoint", "sample", "class", "probs", "label", "run"),
]


def change_json(place: Place) -> str | None:
    """A value of JSON text replaced, removed, moved, or scaled."""
    if (file := place.file(".json")) is None:
        return None
    changed = _changed_json(file.read_text("utf-8"), place.rng)
    if changed is None:
        return None
    file.write_text(changed[0], "utf-8")
    return f"{place.name(file)}: {changed[1]}"


def _changed_json(text: str, rng: np.random.Generator) -> tuple[str, str] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    nodes = list(_nodes(content, "$"))
    if not nodes:
        return None
    parent, key, path = nodes[int(rng.integers(len(nodes)))]
    before, how = parent[key], str(rng.choice(["replace", "delete", "copy", "scale"], p=[0.55, 0.1, 0.15, 0.2]))
    if how == "scale" and type(before) in (int, float):
        parent[key] = before * [2, 10, 1000, 10**9, -1][int(rng.integers(5))]
    elif how == "copy":
        from_parent, from_key, path_from = nodes[int(rng.integers(len(nodes)))]
        parent[key] = json.loads(json.dumps(from_parent[from_key]))
        return json.dumps(content), f"{path} becomes {path_from}"
    elif how == "delete":
        del parent[key]
        return json.dumps(content), f"{path} is gone"
    else:
        parent[key] = _ODD[int(rng.integers(len(_ODD)))]
    said = str(parent[key])[:60]
    return json.dumps(content).replace(f'"{_DEEP}"', "[" * 100_000 + "]" * 100_000), f"{path} becomes {said}"


def _nodes(content: Any, path: str) -> Any:
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield content, key, f"{path}.{key}"
        yield from _nodes(value, f"{path}.{key}")


def replace_json(place: Place) -> str | None:
    """The whole text replaced by other JSON."""
    if (file := place.file(".json")) is None:
        return None
    texts = [
        "null",
        "[]",
        "{}",
        "0",
        '"text"',
        "[" * 100_000,
        '{"a":' * 100_000,
        "NaN",
        "1" * 100_000,
        "\x00",
        "\ufeff{}",
    ]
    index = int(place.rng.integers(len(texts)))
    file.write_text(texts[index], "utf-8")
    return f"{place.name(file)} becomes {texts[index][:20]!r}"


# -- zip ---------------------------------------------------------------------------------------------------------------


def change_entries(place: Place) -> str | None:
    """Entries of a zip file dropped, swapped, renamed, doubled, blown up; the file itself is in order."""
    if (file := place.file(".zip", ".npz", ".pt")) is None:
        return None
    with zipfile.ZipFile(file) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    rng, n = place.rng, len(entries)
    i, j = int(rng.integers(n)), int(rng.integers(n))
    kinds = ("drop", "swap", "swap near", "rename", "double", "bomb", "many", "deflate", "json", "other", "reorder")
    kind = str(rng.choice(kinds))
    said = f"{entries[i][0]}"
    compression = zipfile.ZIP_STORED
    if kind == "drop":
        del entries[i]
    elif kind in ("swap", "swap near"):
        if kind == "swap near":
            alike = [k for k in range(n) if len(entries[k][1]) == len(entries[i][1]) and k != i]
            j = int(rng.choice(alike)) if alike else j
        entries[i], entries[j] = (entries[i][0], entries[j][1]), (entries[j][0], entries[i][1])
        said += f" and {entries[j][0]}"
    elif kind == "rename":
        odd = ["../../outside/up", "/absolute", "a" * 5000, "", "nul\x00", "probs/c/9/9/9", "x/../zarr.json", "c:\\x"]
        new = odd[int(rng.integers(len(odd)))]
        entries[i] = (new, entries[i][1])
        said += f" becomes {new[:30]!r}"
    elif kind == "double":
        entries.append((entries[i][0], entries[j][1]))
        said += f" again, as {entries[j][0]}"
    elif kind == "many":
        entries += [(f"extra/{k}", b"") for k in range(20_000)]
    elif kind == "deflate":
        compression = zipfile.ZIP_DEFLATED
    elif kind == "json":
        texts = [k for k in range(n) if entries[k][0].endswith(".json")]
        if not texts:
            return None
        i = int(rng.choice(texts))
        changed = _changed_json(entries[i][1].decode(), rng)
        if changed is None:
            return None
        entries[i] = (entries[i][0], changed[0].encode())
        said = f"{entries[i][0]}: {changed[1]}"
    elif kind == "other":
        with zipfile.ZipFile(place.outside / "other" / place.name(file)) as archive:
            entries[i] = (entries[i][0], archive.read(entries[i][0]))
    elif kind == "reorder":
        entries = [entries[k] for k in rng.permutation(n)]
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of doubled names
        for k, (name, content) in enumerate(entries):
            if kind == "bomb" and k == i:
                _write_bomb(archive, name)
            else:
                archive.writestr(zipfile.ZipInfo(name) if compression == zipfile.ZIP_STORED else name, content)
    return f"zip, {kind}: {said}"


def _write_bomb(archive: zipfile.ZipFile, name: str, n_bytes: int = 600 * 2**20) -> None:
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w") as entry:
        for _ in range(n_bytes // 2**20):
            entry.write(bytes(2**20))


def change_directory_of_zip(place: Place) -> str | None:
    """A field of the central directory: sizes, offsets, methods, flags, checksums that are not so."""
    if (file := place.file(".zip", ".npz", ".pt")) is None:
        return None
    content = bytearray(file.read_bytes())
    starts, at = [], content.find(b"PK\x01\x02")
    while at >= 0:
        starts.append(at)
        at = content.find(b"PK\x01\x02", at + 4)
    if not starts:
        return None
    start = starts[int(place.rng.integers(len(starts)))]
    fields = {"flags": (8, 2), "method": (10, 2), "crc": (16, 4), "packed": (20, 4), "size": (24, 4)}
    fields |= {"name length": (28, 2), "extra length": (30, 2), "attributes": (38, 4), "offset": (42, 4)}
    name = str(place.rng.choice(list(fields)))
    offset, width = fields[name]
    values = [0, 1, 8, 2**15, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), int(place.rng.integers(2 ** (8 * width)))]
    value = values[int(place.rng.integers(len(values)))] % 2 ** (8 * width)
    content[start + offset : start + offset + width] = value.to_bytes(width, "little")
    file.write_bytes(content)
    return f"zip, central directory at {start} of {place.name(file)}: {name} becomes {value}"


# -- HDF5 --------------------------------------------------------------------------------------------------------------


def change_hdf5(place: Place) -> str | None:
    """Huge, deep or linked things in a NetCDF file that is in order."""
    if (file := place.file(".nc", ".h5")) is None:
        return None
    rng = place.rng
    other = place.outside / "other" / place.name(file)
    with h5py.File(file, "r+") as content:
        names = sorted(name for name, item in content.items() if isinstance(item, h5py.Dataset))
        name = str(rng.choice(names))
        kinds = ("huge", "external link", "soft loop", "virtual", "external bytes", "deep", "huge attribute", "text")
        kind = str(rng.choice(kinds))
        shape, dtype = content[name].shape, content[name].dtype
        if (kind == "virtual" and not shape) or (kind == "external bytes" and (dtype.kind not in "iuf" or not shape)):
            return None
        if kind in ("huge", "external link", "soft loop", "virtual", "external bytes", "text"):
            del content[name]
        if kind == "huge":
            huge = (10**6,) * max(len(shape), 1)
            content.create_dataset(name, huge, "f4", chunks=(100,) * len(huge), fillvalue=0.1, compression="gzip")
        elif kind == "external link":
            content[name] = h5py.ExternalLink(str(other), f"/{name}")
        elif kind == "soft loop":
            content[name] = h5py.SoftLink(f"/{name}")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource(str(other), name, shape)
            content.create_virtual_dataset(name, layout)
        elif kind == "external bytes":
            content.create_dataset(name, shape, dtype, external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
        elif kind == "text":
            content.create_dataset(name, data="text")
        elif kind == "deep":
            content.create_group("/".join("d" * 2000))
        else:
            content.attrs.create("huge", np.zeros(60_000, dtype=np.int8))
            content.attrs["title"] = "y" * 60_000
    return f"{place.name(file)}, {name}: {kind}"


# -- pickles -----------------------------------------------------------------------------------------------------------


class _Made:
    """What a pickle makes when it is loaded: any call."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> Any:
        return self.reduced


def change_pickle(place: Place) -> str | None:
    """A pickle of another kind: one that runs something, that is endless, deep or huge."""
    if (file := place.file(".pkl")) is None:
        return None
    outside = place.outside / "touched"
    endless: list[Any] = []
    for _ in range(40):
        endless = [endless, endless]
    huge = (1, (10**11,), np.dtype("f8"), False, b"")
    content = pickle.loads(file.read_bytes())  # our own
    one_key = str(place.rng.choice(sorted(content)))
    pickles = {
        "runs a command": pickle.dumps(_Made(os.system, (f"touch {outside}",))),
        "runs a command, in a value": pickle.dumps({**content, one_key: _Made(os.system, (f"touch {outside}",))}),
        "opens a file": pickle.dumps({**content, "more": _Made(open, (str(outside), "w"))}),
        "evaluates": pickle.dumps(_Made(eval, (f"open({str(outside)!r}, 'w')",))),
        "endless": pickle.dumps({**content, one_key: endless}),
        "deep": b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".",
        "many marks": b"\x80\x04" + b"(" * 1_000_000 + b".",
        "huge bytes": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b".",
        "huge number": b"\x80\x02\x8b" + (2**31 - 1).to_bytes(4, "little") + b".",
        "huge array": pickle.dumps(
            {**content, one_key: _Made(np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), huge)}
        ),
        "huge memo": b"\x80\x04]r" + (2**31 - 1).to_bytes(4, "little") + b".",
        "objects": pickle.dumps({**content, one_key: np.array([{}, None, "x"], dtype=object)}),
        "lacks a key": pickle.dumps({key: value for key, value in content.items() if key != one_key}),
        "other values": pickle.dumps({**content, one_key: -1}),
    }
    kind = str(place.rng.choice(sorted(pickles)))
    file.write_bytes(pickles[kind])
    return f"{place.name(file)}: a pickle that is or has: {kind} ({one_key})"


# -- text that people write --------------------------------------------------------------------------------------------


def change_text(place: Place) -> str | None:
    """Lines of YAML or JSON text made deep, endless, doubled, or mixed up."""
    if (file := place.file(".yaml", "classes.json")) is None:
        return None
    text, rng = file.read_text("utf-8"), place.rng
    words = text.replace(":", " ").replace(",", " ").split()
    word = str(rng.choice(words))
    odd = ["[" * 3000, "{a: " * 3000, "&a [*a]", "!!python/object:os.system [x]", "1" * 5000, "-1", "1e400", ".nan"]
    odd += ["null", "''", "[]", "{}", "*b", "? x", "\t", "\x00", "é\u202e", "1_000_000_000_000", "/dev/zero", "0o777"]
    odd += ["[" + ", ".join(map(str, range(20_000))) + "]", "2024-01-01", "yes", "~", "<<", "{<<: {a: 1}}"]
    kind = str(rng.choice(["word", "line doubled", "line gone", "aliases", "bytes"]))
    if kind == "word":
        new = odd[int(rng.integers(len(odd)))]
        text = text.replace(word, new, 1)
        said = f"{word} becomes {new[:30]!r}"
    elif kind == "aliases":
        levels = "\n".join(f"b{k}: &b{k} [{', '.join([f'*b{k - 1}'] * 9)}]" for k in range(1, 12))
        text = str(
            rng.choice([f"b0: &b0 x\n{levels}\n{text}", f"title: &b0 x\n{levels}\ntasks: *b11\nmethods: *b11\n"])
        )
        said = kind
    elif kind == "bytes":
        file.write_bytes(text.encode() + b"\xff\xfe")
        return f"{place.name(file)}: no text at its end"
    else:
        lines = text.splitlines()
        index = int(rng.integers(len(lines)))
        lines[index : index + 1] = [lines[index]] * (2 if kind == "line doubled" else 0)
        text = "\n".join(lines)
        said = f"{kind}, {index + 1}"
    file.write_text(text, "utf-8")
    return f"{place.name(file)}: {said}"


#: Each with how often it is tried.
MUTATIONS: dict[Mutation, float] = {
    flip_bits: 4,
    overwrite_run: 2,
    blow_up_number: 2,
    truncate: 2,
    lengthen: 1,
    delete: 2,
    swap: 3,
    replace_by_another: 1,
    replace_by_that_of_another_dataset: 1,
    rename: 1,
    duplicate: 1,
    replace_by_something_else: 3,
    change_json: 4,
    replace_json: 0.5,
    change_entries: 4,
    change_directory_of_zip: 2,
    change_hdf5: 2,
    change_text: 4,
    change_pickle: 4,
}


def mutate(place: Place) -> str:
    """Do one of these that fits; says which."""
    names = list(MUTATIONS)
    weights = np.array(list(MUTATIONS.values()))
    while True:
        said = names[int(place.rng.choice(len(names), p=weights / weights.sum()))](place)
        if said is not None:
            return said
