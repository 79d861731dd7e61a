"""How numbers travel to the stage: a header that says what follows, the arrays as they are in memory, and gzip."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: What arrays may hold. A browser reads them where they lie, so each starts at a multiple of the largest of them.
DTYPES = ("float32", "float64", "int32", "uint8", "uint16")
_ALIGNMENT = 8
# Of gzip. 9 takes four times as long for 0.5% less of the demo's distances: 0.8 s and 2.98 MB, not 0.2 s and 2.99 MB.
_LEVEL = 6
# A float64 has 52 bits of fraction, a float32 23, and 16 of them are sent.
_DROPPED_OF_FLOAT64 = 52 - 16
_DROPPED_OF_FLOAT32 = 23 - 16
_LARGEST = (2 - 2.0**-16) * 2.0**127
_SMALLEST = float(np.finfo(np.float32).tiny)
# Added to what is sent, so that small differences of either sign have the same high bytes: these compress to little.
_MIDDLE = 0x008080


def pack(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Facts and arrays as one sequence of bytes, which `unpack` reads here and in `packing.js`.

    Four bytes hold the length of the header, least significant first. The header is JSON in UTF-8, `{"about": ...,
    "arrays": {name: {"dtype", "shape", "start", "bytes"}}}`. The arrays begin at the first multiple of 8 bytes behind
    it; `start` counts from there and is a multiple of 8 too. Arrays are little-endian, the last axis varies fastest.

    Parameters
    ----------
    about : mapping
        What JSON can hold.
    arrays : mapping of str to array
        Of the types in `DTYPES`.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        An array of another type, or a number in `about` that is not finite, which JSON does not know.

    Examples
    --------
    >>> packed = pack({"title": "three"}, {"rows": np.array([2, 0, 1], dtype=np.int32)})
    >>> unpack(packed)
    ({'title': 'three'}, {'rows': array([2, 0, 1], dtype=int32)})
    """
    described, parts, end = {}, [], 0
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"array {name!r} is of type {array.dtype}, the stage reads {', '.join(DTYPES)}")
        content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        described[name] = {"dtype": array.dtype.name, "shape": array.shape, "start": end, "bytes": len(content)}
        parts.append(content + _padding(len(content)))
        end += len(parts[-1])
    header = json.dumps({"about": dict(about), "arrays": described}, ensure_ascii=False, allow_nan=False).encode()
    before = len(header).to_bytes(4, "little") + header
    return b"".join([before, _padding(len(before)), *parts])


def unpack(packed: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What `pack` was given: facts, and arrays that cannot be written to."""
    length = int.from_bytes(packed[:4], "little")
    header = json.loads(packed[4 : 4 + length])
    first = 4 + length + len(_padding(4 + length))
    arrays = {}
    for name, entry in header["arrays"].items():
        dtype = np.dtype(entry["dtype"]).newbyteorder("<")
        values = np.frombuffer(packed, dtype, entry["bytes"] // dtype.itemsize, first + entry["start"])
        arrays[name] = values.reshape(entry["shape"])
    return header["about"], arrays


def compress(packed: bytes) -> bytes:
    """The packed bytes through gzip, without the time: the same bytes whenever it is called.

    Examples
    --------
    >>> compress(b"distances") == compress(b"distances")
    True
    """
    return gzip.compress(packed, _LEVEL, mtime=0)


def condensed24(D: ArrayLike) -> NDArray[np.uint8]:
    """Distances in three bytes each, rounded to 17 significant bits; `squareFrom24` of `packing.js` is the way back.

    A float32 whose sign, which no distance has, and last 7 bits of fraction are left out is a whole number of 24 bits.
    Checkpoints change little from one to the next, so of each number is sent by how much it differs from what its
    neighbours tell, (above + left - above left) in the square with zeros outside, modulo 2^24 and from the middle of
    the range. That is exact, and compresses by a quarter more than the numbers themselves.

    Parameters
    ----------
    D : array, shape (T, T)
        Symmetric with a diagonal of zeros; only what is above it is read. What is smaller than any normal float32,
        1e-38, counts as 0.

    Returns
    -------
    array of uint8, shape (3, T (T - 1) / 2)
        High, middle and low bytes, which compress best apart; the distances above the diagonal, row by row.

    Raises
    ------
    ValueError
        Distances that are no square matrix, negative, not finite or too large for a float32.

    Examples
    --------
    >>> condensed24([[0.0, 1.0], [1.0, 0.0]])
    array([[127],
           [128],
           [128]], dtype=uint8)
    """
    distances = np.asarray(D, dtype=np.float64)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"distances must be a square matrix, got shape {distances.shape}")
    above = np.triu_indices(len(distances), 1)
    numbers = np.zeros(distances.shape, dtype=np.int32)
    numbers[above] = _rounded24(distances[above])
    numbers += numbers.T  # (T, T), symmetric as the receiver will have it
    differences = numbers.copy()
    differences[1:] -= numbers[:-1]
    differences[:, 1:] -= numbers[:, :-1]
    differences[1:, 1:] += numbers[:-1, :-1]
    sent = differences[above] + _MIDDLE  # (T (T - 1) / 2,), of any sign: only the last 24 bits are taken
    return np.stack([(sent >> shift).astype(np.uint8) for shift in (16, 8, 0)])


def _rounded24(distances: NDArray[np.float64]) -> NDArray[np.int32]:
    """Exponent (8 bits) and fraction (16 bits) of the nearest number that has no more; of two, the even one."""
    wrong = ~((distances >= 0) & (distances <= _LARGEST))
    if wrong.any():
        raise ValueError(
            f"distances must be from 0 to {_LARGEST:.2e}, the largest float32 of 17 bits; {wrong.sum():,} are not, "
            f"the first of them is {distances[wrong][0]}"
        )
    bits = np.where(distances < _SMALLEST, 0.0, distances).view(np.int64)
    # Rounded once, from float64: by way of float32 it would be twice. A carry rightly goes on into the exponent.
    half = (1 << (_DROPPED_OF_FLOAT64 - 1)) - 1
    bits = (bits + half + ((bits >> _DROPPED_OF_FLOAT64) & 1)) >> _DROPPED_OF_FLOAT64 << _DROPPED_OF_FLOAT64
    return bits.view(np.float64).astype(np.float32).view(np.int32) >> _DROPPED_OF_FLOAT32


def _padding(length: int) -> bytes:
    return bytes(-length % _ALIGNMENT)
