"""Arrays in files of strangers: .npy .npz .h5 .pt .safetensors, read a part at a time and within bounds.

Nothing is unpickled but what torch calls weights. A file is refused before anything is allocated if what it declares
is more than its size can hold.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.extras import lacking

#: Endings of files with arrays.
SUFFIXES = (".npy", ".npz", ".h5", ".hdf5", ".pt", ".pth", ".safetensors")

# A file that unpacks to more than so many times its size is a bomb. Predictions that are rounded to 4 decimals, of
# 1,000 classes, become 20 to 50 times as small; LZ4 can do 255, deflate 1,032.
_MOST_UNPACKED = 300
_SMALL = 64 * 2**20  # bytes; what unpacks to less does no harm
_LARGEST_CHUNK = 512 * 2**20  # bytes of one chunk of an HDF5 file, which is unpacked as a whole
_LONGEST_HEADER = 16 * 2**20  # bytes of the list of arrays of a safetensors file
_MOST_ARRAYS = 10_000

#: Slices of all dimensions, or a number of some.
Key = tuple[slice | int, ...]


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    Attributes
    ----------
    file : pathlib.Path
    name : str
        In the file; "" if the file is the array.
    shape : tuple of int
    dtype : numpy.dtype
        Of what is read; bfloat16 is read as float32.
    pieces : tuple of int
        The shape of what lies together in the file: it is read as a whole, however little of it is needed.
    open : callable
        Gives the function that reads a part of the array, by slices of its dimensions.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: tuple[int, ...]
    open: Callable[[], Callable[[Key], NDArray[Any]]]

    def __str__(self) -> str:
        return f"{self.name or 'the array'} {self.shape} {self.dtype}"


def arrays_in(path: Path) -> list[StoredArray]:
    """The arrays of a file, of which only the shapes are read.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    ValueError
        It is no regular file, has another ending, is damaged, holds Python objects, or declares more than it can hold;
        or a package is missing that reads it.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "p.npz", probs=np.ones((1, 2, 3)), labels=[0, 1])
    ...     [str(array) for array in arrays_in(Path(folder) / "p.npz")]
    ['probs (1, 2, 3) float64', 'labels (2,) int64']
    """
    check_regular(path)
    kinds = {
        ".npy": _in_npy,
        ".npz": _in_npz,
        ".h5": _in_h5,
        ".hdf5": _in_h5,
        ".pt": _in_torch,
        ".pth": _in_torch,
        ".safetensors": _in_safetensors,
    }
    if path.suffix not in kinds:
        raise ValueError(f"{path} is no file of arrays: these end in {', '.join(SUFFIXES)}")
    with _named(path):
        return kinds[path.suffix](path.absolute())


def check_regular(path: Path) -> None:
    """Raise unless a path leads to a regular file: a pipe would be waited for, a device read without end."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file():
        raise ValueError(f"{path} is no regular file")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Whatever the libraries raise about a damaged file becomes one line that names it."""
    try:
        yield
    except MemoryError:
        raise ValueError(f"{path} declares more than fits in memory") from None
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{path} cannot be read as {path.suffix}: {lines[0]}") from error


def _check_declared(what: str, declared: int, there: int) -> None:
    if declared > max(_SMALL, _MOST_UNPACKED * there):
        raise ValueError(
            f"{what} declares {declared:,} bytes in {there:,}, more than predictions can be packed: unpack it to .npy "
            "if it is right"
        )


def _bytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    size = dtype.itemsize
    for length in shape:
        size *= int(length)  # of any length, where numpy's product would wrap
    return size


# -- numpy ------------------------------------------------------------------------------------------------------------


def _in_npy(path: Path) -> list[StoredArray]:
    with path.open("rb") as file:
        shape, dtype = _npy_header(file)
        header = file.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if header + _bytes(shape, dtype) > path.stat().st_size:
        raise ValueError(f"it declares the shape {shape}, more than the file has")
    return [StoredArray(path, "", shape, dtype, (1,) * len(shape), partial(partial, _read_npy, path))]


def _read_npy(path: Path, key: Key) -> NDArray[Any]:
    with _named(path):
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False)[key])


def _in_npz(path: Path) -> list[StoredArray]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        _check_number(len(members))
        return [_of_member(path, archive, info) for info in members if info.filename.endswith(".npy")]


def _of_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> StoredArray:
    name = info.filename.removesuffix(".npy")
    _check_declared(f"array {name!r}", info.file_size, info.compress_size)
    with archive.open(info) as file:
        shape, dtype = _npy_header(file)
        header = file.tell()
    if dtype.hasobject:
        raise ValueError(f"array {name!r} holds Python objects, which are not read")
    if header + _bytes(shape, dtype) != info.file_size:
        raise ValueError(f"array {name!r} declares the shape {shape}, which is not what its bytes hold")
    return StoredArray(path, name, shape, dtype, (1,) * len(shape), partial(_Unpacked, path, info.filename))


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    major, _ = np.lib.format.read_magic(file)
    read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    if major not in read:
        raise ValueError(f"it has version {major} of the format, which holds structured arrays")
    shape, _, dtype = read[major](file)
    return shape, dtype


class _Unpacked:
    """An array of a .npz file, unpacked to a file of its own, which goes away with this object.

    Only the whole of it can be read from the archive, one after the other; so its checksum is compared too.
    """

    def __init__(self, path: Path, member: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="predspace-")
        self._path = Path(self._folder.name) / "array.npy"
        with _named(path), zipfile.ZipFile(path) as archive, archive.open(member) as packed:
            needed, free = archive.getinfo(member).file_size, shutil.disk_usage(self._folder.name).free
            if needed > free:
                raise ValueError(f"{needed:,} bytes are needed to unpack it and {free:,} are free: set TMPDIR")
            with self._path.open("wb") as file:
                shutil.copyfileobj(packed, file, 2**20)

    def __call__(self, key: Key) -> NDArray[Any]:
        return _read_npy(self._path, key)

    def __reduce__(self) -> tuple[Any, ...]:  # another process reads the file, this one removes it
        return partial, (_read_npy, self._path)


# -- HDF5 -------------------------------------------------------------------------------------------------------------


def _in_h5(path: Path) -> list[StoredArray]:
    import h5py  # late: few need it

    arrays: list[StoredArray] = []

    def visit(name: str, item: Any) -> None:
        _check_number(len(arrays) + 1)
        if isinstance(item, h5py.Dataset) and item.shape:
            pieces = item.chunks or (1,) * item.ndim
            arrays.append(StoredArray(path, name, item.shape, item.dtype, pieces, partial(_open_h5, path, name)))

    with h5py.File(path, "r") as file:
        file.visititems(visit)  # which follows no link
    return arrays


def _open_h5(path: Path, name: str) -> Callable[[Key], NDArray[Any]]:
    import h5py

    with _named(path), h5py.File(path, "r") as file:
        dataset = file[name]
        if dataset.is_virtual or dataset.external:
            raise ValueError(f"dataset {name!r} lies in other files: copy it into one")
        if dataset.dtype.hasobject:
            raise ValueError(f"dataset {name!r} holds Python objects, which are not read")
        _check_declared(f"dataset {name!r}", _bytes(dataset.shape, dataset.dtype), dataset.id.get_storage_size())
        if dataset.chunks and _bytes(dataset.chunks, dataset.dtype) > _LARGEST_CHUNK:
            raise ValueError(f"dataset {name!r} has chunks {dataset.chunks}, too large to unpack: repack it in smaller")
        _need_filters(dataset)
    return partial(_read_h5, path, name)


def _read_h5(path: Path, name: str, key: Key) -> NDArray[Any]:
    import h5py

    with _named(path), h5py.File(path, "r") as file:  # anew each time: threads and processes share no open file
        dataset = file[name]
        _need_filters(dataset)
        return np.asarray(dataset[key])


def _need_filters(dataset: Any) -> None:
    """Load what unpacks a dataset, where HDF5 itself cannot."""
    from h5py import h5z

    listed = dataset.id.get_create_plist()
    filters = [listed.get_filter(index) for index in range(listed.get_nfilters())]
    if all(h5z.filter_avail(number) for number, *_ in filters):
        return
    try:
        import hdf5plugin  # noqa: F401  its import makes HDF5 know more filters
    except ImportError:
        names = ", ".join(_filter_name(entry) for entry in filters if not h5z.filter_avail(entry[0]))
        raise ValueError(lacking(f"it is compressed by {names}, which", "hdf5plugin")) from None
    for entry in filters:
        if not h5z.filter_avail(entry[0]):
            raise ValueError(f"it is compressed by {_filter_name(entry)}, which hdf5plugin does not have either")


def _filter_name(entry: tuple[Any, ...]) -> str:
    return entry[3].decode(errors="replace").split(";")[0] or f"filter {entry[0]}"


# -- torch and safetensors --------------------------------------------------------------------------------------------


def _in_torch(path: Path) -> list[StoredArray]:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is none of torch.save's files since PyTorch 1.6: save it again")
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():  # torch.save packs nothing
            if info.file_size > path.stat().st_size:
                raise ValueError(f"{info.filename!r} declares {info.file_size:,} bytes, more than the file has")
    tensors = _tensors(path)
    _check_number(len(tensors))
    arrays = []
    for name, tensor in tensors.items():
        dtype = _dtype_of(str(tensor.dtype))
        if dtype is None or str(tensor.layout) != "torch.strided" or tensor.device.type != "cpu":
            continue
        if tensor.numel() * tensor.element_size() > path.stat().st_size:
            raise ValueError(f"tensor {name!r} declares the shape {tuple(tensor.shape)}, more than the file has")
        shape = tuple(tensor.shape)
        arrays.append(
            StoredArray(path, name, shape, dtype, (1,) * len(shape), partial(partial, _read_torch, path, name))
        )
    return arrays


def _tensors(path: Path) -> dict[str, Any]:
    """The tensors of a file by name, mapped into memory."""
    try:
        import torch  # late: few need it
    except ImportError:
        raise ValueError(lacking("it", "torch")) from None

    content = torch.load(path, weights_only=True, mmap=True, map_location="cpu")
    if isinstance(content, torch.Tensor):
        return {"": content}
    if isinstance(content, dict):
        tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
        if tensors:
            return tensors
    raise ValueError("it must hold a tensor or a dict of tensors")


def _read_torch(path: Path, name: str, key: Key) -> NDArray[Any]:
    with _named(path):
        return _as_numpy(_tensors(path)[name][key])


def _in_safetensors(path: Path) -> list[StoredArray]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(_LONGEST_HEADER, path.stat().st_size):
        raise ValueError(f"its list of arrays is said to have {length:,} bytes")
    arrays = []
    with _safe_open(path) as file:
        names = list(file.keys())
        _check_number(len(names))
        for name in names:
            part = file.get_slice(name)
            dtype = _dtype_of(part.get_dtype())
            if dtype is None:
                continue
            if part.get_dtype() == "BF16" and not find_spec("torch"):
                raise ValueError(lacking(f"{name!r} is in bfloat16, which", "torch"))
            shape = tuple(part.get_shape())
            read = partial(partial, _read_safetensors, path, name)
            arrays.append(StoredArray(path, name, shape, dtype, (1,) * len(shape), read))
    return arrays


def _safe_open(path: Path) -> Any:
    try:
        from safetensors import safe_open
    except ImportError:
        raise ValueError(lacking("it", "safetensors")) from None
    # numpy has no bfloat16, which torch has.
    return safe_open(path, framework="pt" if find_spec("torch") else "np")


def _read_safetensors(path: Path, name: str, key: Key) -> NDArray[Any]:
    with _named(path), _safe_open(path) as file:
        return _as_numpy(file.get_slice(name)[key])


def _as_numpy(tensor: Any) -> NDArray[Any]:
    if isinstance(tensor, np.ndarray):
        return tensor
    tensor = tensor.detach()
    return np.array((tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy())


def _dtype_of(name: str) -> np.dtype[Any] | None:
    """numpy's type of numbers for one of torch ("torch.float16") or safetensors ("F16"); None where it has none."""
    short = name.removeprefix("torch.").lower()
    letters = {"f": "float", "bf": "bfloat", "i": "int", "u": "uint"}
    kind = short.rstrip("0123456789")
    long = letters.get(kind, kind) + short[len(kind) :]
    known = {f"float{bits}" for bits in (16, 32, 64)} | {f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)}
    if long == "bfloat16":
        return np.dtype(np.float32)
    return np.dtype(long) if long in known else None


def _check_number(count: int) -> None:
    if count > _MOST_ARRAYS:
        raise ValueError(f"it holds more than {_MOST_ARRAYS:,} arrays")
