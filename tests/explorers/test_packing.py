"""What is packed for the stage is what is unpacked, and distances keep 17 significant bits."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from predspace_widgets.explorers.stage.packing import DTYPES, compress, condensed24, pack, unpack

#: Of 16 bits of fraction, half of the last one.
RELATIVE_ERROR = 2.0**-17
ARRAYS = st.dictionaries(
    st.text(),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: st_numpy.arrays(dtype, st_numpy.array_shapes(min_dims=0, min_side=0))
    ),
    max_size=4,
)


def square_from_24(planes: np.ndarray, n_points: int) -> np.ndarray:
    """The distances again: `squareFrom24` of packing.js, written plainly."""
    sent = planes[0].astype(int) * 2**16 + planes[1].astype(int) * 2**8 + planes[2]
    numbers = np.zeros((n_points, n_points), dtype=int)
    for (i, j), number in zip(zip(*np.triu_indices(n_points, 1), strict=True), sent - 0x8080, strict=True):
        above, above_left = (numbers[i - 1, j], numbers[i - 1, j - 1]) if i else (0, 0)
        numbers[i, j] = numbers[j, i] = (number + above + numbers[i, j - 1] - above_left) % 2**24
    return (numbers.astype(np.uint32) << 7).view(np.float32)


def symmetric(above: list[float]) -> np.ndarray:
    n_points = (1 + math.isqrt(1 + 8 * len(above))) // 2
    D = np.zeros((n_points, n_points))
    D[np.triu_indices(n_points, 1)] = above[: n_points * (n_points - 1) // 2]
    return D + D.T


@given(ARRAYS, st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_what_is_unpacked_is_what_was_packed(arrays: dict[str, np.ndarray], about: dict) -> None:
    told, given_back = unpack(pack(about, arrays))
    assert told == about
    assert list(given_back) == list(arrays)
    for name, array in arrays.items():
        assert given_back[name].dtype == array.dtype
        assert given_back[name].shape == array.shape
        assert given_back[name].tobytes() == array.tobytes()


@given(ARRAYS, st.text())
def test_a_browser_finds_arrays_where_it_can_read_them(arrays: dict[str, np.ndarray], title: str) -> None:
    packed = pack({"title": title}, arrays)
    length = int.from_bytes(packed[:4], "little")
    first = -(-(4 + length) // 8) * 8
    for name, entry in json.loads(packed[4 : 4 + length])["arrays"].items():
        assert entry["start"] % 8 == 0
        content = packed[first + entry["start"] : first + entry["start"] + entry["bytes"]]
        assert content == arrays[name].tobytes()


def test_the_same_bytes_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack({"title": "ü"}, {"rows": np.arange(1000, dtype=np.int32)})
    now = compress(packed)
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert compress(packed) == now
    assert len(now) < len(packed)


@pytest.mark.parametrize("dtype", ["int64", "float16", "bool", "<U3"])
def test_a_type_that_the_stage_does_not_read(dtype: str) -> None:
    with pytest.raises(ValueError, match=r"array 'wrong' is of type .* the stage reads float32"):
        pack({}, {"wrong": np.zeros(2, dtype=dtype)})


def test_json_knows_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack({"stress": float("nan")}, {})


@given(st.lists(st.floats(2.0**-126, 1e38), min_size=1, max_size=60))
def test_distances_keep_17_bits(above: list[float]) -> None:
    D = symmetric(above)
    back = square_from_24(condensed24(D), len(D)).astype(float)
    np.testing.assert_array_equal(back, back.T)
    assert (np.abs(back - D) <= RELATIVE_ERROR * D).all()


def test_a_distance_is_rounded_once_to_the_nearest() -> None:
    unit = 2.0**-16
    short = 1 + unit * np.array([0, 1, 2])
    # Just above the middle, by less than a float32 can tell: by way of float32 the even neighbour would be chosen.
    cases = [*short, 1 + 0.5 * unit, 1 + 1.5 * unit, 1 + 0.5 * unit * (1 + 1e-8), 2 - 0.5 * unit, 0.0, 1e-39]
    expected = [*short, 1, 1 + 2 * unit, 1 + unit, 2, 0.0, 0.0]
    back = [square_from_24(condensed24([[0, case], [case, 0]]), 2)[0, 1] for case in cases]
    assert back == expected


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1e-9, 3.4028235e38])
def test_what_is_no_distance(wrong: float) -> None:
    with pytest.raises(ValueError, match="distances must be from 0"):
        condensed24([[0.0, wrong], [wrong, 0.0]])


def test_distances_are_square() -> None:
    with pytest.raises(ValueError, match=r"square matrix, got shape \(2, 3\)"):
        condensed24(np.zeros((2, 3)))


def test_smooth_distances_compress_by_more_than_they_would_as_they_are() -> None:
    points = np.cumsum(np.random.default_rng(0).uniform(0.5, 1, 200))
    D = np.square(points[:, None] - points) + 1e4
    bits = (D[np.triu_indices(200, 1)].astype(np.float32).view(np.uint32) >> 7).astype(np.uint32)
    as_they_are = np.stack([(bits >> shift).astype(np.uint8) for shift in (16, 8, 0)])
    np.fill_diagonal(D, 0)
    assert len(compress(condensed24(D).tobytes())) < 0.75 * len(compress(as_they_are.tobytes()))
