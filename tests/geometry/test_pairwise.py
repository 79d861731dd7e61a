"""The pairwise engine: the same numbers as the formulas, whatever the tiles, the types, the threads and the device."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import given
from threadpoolctl import threadpool_info, threadpool_limits

from predspace_widgets import geometry
from predspace_widgets.geometry import engine, kernel, on_cpu, on_torch
from predspace_widgets.geometry.threads import blas_on_one_thread
from tests.geometry import plain
from tests.geometry.strategies import points, seeds

METRICS = list(plain.METRICS)
# Arithmetic in float32 costs about 1e-7 a logarithm; an arc cosine near overlap 1 costs half of the digits.
ERROR = {
    ("bhattacharyya", "float32"): 2e-6,
    ("great_circle", "float32"): 2e-3,
    ("symmetric_kl", "float32"): 2e-5,
    ("euclidean", "float32"): 3e-6,
    ("bhattacharyya", "float64"): 1e-13,
    ("great_circle", "float64"): 1e-7,
    ("symmetric_kl", "float64"): 1e-12,
    ("euclidean", "float64"): 1e-14,
}
DEFAULT = {"bhattacharyya": "float32", "great_circle": "float64", "symmetric_kl": "float64", "euclidean": "float64"}

every_metric = pytest.mark.parametrize("metric", METRICS)


def set_threads(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """By default as many."""
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", threads)


@pytest.fixture(params=["compiled loop", "matrix products"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few classes take the one, many the other: few classes by either must be the same."""
    if request.param == "matrix products":
        monkeypatch.setattr(kernel, "MOST_CLASSES", 0)


def set_tiles(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(on_cpu, "TILE", size)
    monkeypatch.setattr(kernel, "TILE", size)


def dirichlet(*shape: int, seed: int = 0, spread: float = 0.3) -> np.ndarray:
    """Random points, some of them nearly certain."""
    return np.random.default_rng(seed).dirichlet(np.full(shape[-1], spread), shape[:-1])


@every_metric
@given(P=points(count=4), seed=seeds)
def test_equals_the_plain_formula(metric: str, P: np.ndarray, seed: int) -> None:
    """Within P and from P to Q, in both precisions; by default in the one that the metric needs."""
    Q = dirichlet(3, *P.shape[1:], seed=seed)
    expected_within = plain.pairwise(P.tolist(), P.tolist(), metric)
    expected_between = plain.pairwise(P.tolist(), Q.tolist(), metric)
    for dtype in (None, "float32", "float64"):
        error = ERROR[metric, dtype or DEFAULT[metric]]
        within = geometry.pairwise(P, metric=metric, dtype=dtype)
        np.testing.assert_allclose(within, expected_within, rtol=1e-6, atol=error)
        between = geometry.pairwise(P, Q, metric=metric, dtype=dtype)
        np.testing.assert_allclose(between, expected_between, rtol=1e-6, atol=error)


@every_metric
@given(P=points(count=4))
def test_is_symmetric_with_zero_diagonal_and_not_negative(metric: str, P: np.ndarray) -> None:
    """A float64 matrix in any case; the diagonal is 0 to the last digit."""
    D = geometry.pairwise(P, metric=metric)
    assert D.dtype == np.float64
    np.testing.assert_array_equal(D, D.T)
    np.testing.assert_array_equal(np.diag(D), 0.0)
    assert np.all(D >= 0)
    assert np.all(geometry.pairwise(P, P, metric=metric) >= 0)


def test_is_symmetric_to_the_last_digit() -> None:
    """As the docstring promises, whatever the metric and the precision."""
    P = dirichlet(200, 100, 10)
    for metric in METRICS:
        for dtype in ("float32", "float64"):
            D = geometry.pairwise(P, metric=metric, dtype=dtype)
            np.testing.assert_array_equal(D, D.T)


@pytest.mark.parametrize(("size", "is_seen"), [(1e-10, False), (3e-7, False), (7e-7, True), (1e-5, True)])
def test_distances_that_are_rounding_in_float32_count_as_zero(size: float, is_seen: bool) -> None:
    """Below 5e-7; float64 sees them all, and so do the metrics that are in float64 by default."""
    P = np.full((2, 5, 2), 0.5)
    P[1] += [math.sqrt(2 * size), -math.sqrt(2 * size)]  # d_B is (2 x)^2 / 8, nearly
    assert float(geometry.bhattacharyya(P[0], P[1])) == pytest.approx(size, rel=1e-3)
    assert geometry.pairwise(P)[0, 1] == pytest.approx(size if is_seen else 0.0, abs=1.5e-7 if is_seen else 0.0)
    assert geometry.pairwise(P, dtype="float64")[0, 1] == pytest.approx(size, rel=1e-3)
    for metric in ("great_circle", "symmetric_kl", "euclidean"):
        expected = plain.METRICS[metric](P[0].tolist(), P[1].tolist())
        assert geometry.pairwise(P, metric=metric)[0, 1] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("n_classes", "error"), [(2, 6e-7), (10, 6e-7), (100, 6e-7), (200, 1.1e-6), (201, 1.1e-5), (2000, 1.1e-5)]
)
def test_the_error_in_float32_of_far_pairs_is_what_the_docstring_says(n_classes: int, error: float) -> None:
    """From certainty to ignorance and between; with many classes terms of one sign of rounding add up."""
    rng = np.random.default_rng(0)
    P = np.concatenate([rng.dirichlet(np.full(n_classes, spread), (5, 3)) for spread in (3.0, 0.3, 0.05)])
    sharp = np.where(np.arange(n_classes) == 0, 1.0, 10.0 ** -np.arange(1, 13)[:, None, None]) * np.ones((1, 3, 1))
    P = np.nan_to_num(np.concatenate([P, np.full((1, 3, n_classes), 1 / n_classes), sharp]), nan=1.0)
    P /= P.sum(axis=-1, keepdims=True)
    exact = geometry.pairwise(P, dtype="float64")
    for second in (None, P.copy()):
        np.testing.assert_allclose(geometry.pairwise(P, second), exact, rtol=0, atol=error)


@every_metric
def test_the_default_precision_is_enough_for_the_metric(metric: str) -> None:
    """Neighbours at 1e-4: an arc cosine in float32 would be off by as much."""
    P = dirichlet(1, 20, 5)[0]
    Q = P * (1 + 1e-4 * np.random.default_rng(1).choice([-1, 1], P.shape))
    Q = Q / Q.sum(axis=-1, keepdims=True)
    expected = plain.METRICS[metric](P.tolist(), Q.tolist())
    assert geometry.pairwise([P, Q], metric=metric)[0, 1] == pytest.approx(expected, rel=1e-6, abs=3e-7)


@every_metric
@pytest.mark.parametrize("tile", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("block", [1, 20, 10**6])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.usefixtures("_both_ways")
def test_tiles_and_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, metric: str, tile: int, block: int, threads: int
) -> None:
    """Even and uneven tiles, blocks with a remainder, one thread and several."""
    set_threads(monkeypatch, threads)
    set_tiles(monkeypatch, tile)
    monkeypatch.setattr(on_cpu, "BLOCK_ELEMENTS", block)
    P, Q = dirichlet(7, 13, 4), dirichlet(5, 13, 4, seed=1)
    error = ERROR[metric, DEFAULT[metric]]
    np.testing.assert_allclose(
        geometry.pairwise(P, metric=metric), plain.pairwise(P.tolist(), P.tolist(), metric), rtol=1e-6, atol=error
    )
    np.testing.assert_allclose(
        geometry.pairwise(P, Q, metric=metric), plain.pairwise(P.tolist(), Q.tolist(), metric), rtol=1e-6, atol=error
    )


@every_metric
@pytest.mark.parametrize("n_tiles", [1.1, 2.1])
@pytest.mark.usefixtures("_both_ways")
def test_more_checkpoints_than_one_tile(metric: str, n_tiles: float) -> None:
    """The tile as it is; broadcasting is the other way to the same numbers."""
    n_checkpoints = int(n_tiles * max(on_cpu.TILE, kernel.TILE))
    P = dirichlet(n_checkpoints, 6, 3)
    one_by_one = getattr(geometry, metric)(P[:, None], P[None])  # (T, T)
    D = geometry.pairwise(P, metric=metric)
    np.testing.assert_allclose(D, one_by_one, rtol=1e-6, atol=ERROR[metric, DEFAULT[metric]])
    np.testing.assert_allclose(geometry.pairwise(P, P[:190], metric=metric), D[:, :190], rtol=1e-6, atol=2e-7)


@every_metric
@pytest.mark.usefixtures("_both_ways")
def test_more_samples_than_are_held_at_a_time(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within P and from P to Q, in blocks of a sample and of several with a shorter last one."""
    P, Q = dirichlet(5, 11, 4), dirichlet(3, 11, 4, seed=1)
    whole, between = geometry.pairwise(P, metric=metric), geometry.pairwise(P, Q, metric=metric)
    for elements in (1, 5 * 4 * 4, (5 + 3) * 4 * 3):
        monkeypatch.setattr(engine, "_ROOT_ELEMENTS", elements)
        np.testing.assert_allclose(geometry.pairwise(P, metric=metric), whole, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(geometry.pairwise(P, Q, metric=metric), between, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_samples", [1000, 1001, 1002, 1008, 1024])  # halved evenly some times, then not
@pytest.mark.parametrize("overlap", [0.0, 1e-6, 1e-3, 0.5])
def test_products_of_many_small_overlaps_do_not_underflow(
    monkeypatch: pytest.MonkeyPatch, dtype: str, n_samples: int, overlap: float
) -> None:
    """One thread multiplies as many overlaps as it can before the logarithm; 1,000 at the floor make 1e-9000."""
    set_threads(monkeypatch, 1)
    P = np.tile([1.0, 0.0], (2, n_samples, 1))
    P[1] = [overlap**2, 1 - overlap**2]
    expected = -math.log(max(overlap, 1e-9))
    assert geometry.pairwise(P, dtype=dtype)[0, 1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.usefixtures("_both_ways")
def test_products_of_mixed_overlaps_do_not_underflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few samples at the floor among many that agree, in any place."""
    set_threads(monkeypatch, 1)
    P = np.tile([1.0, 0.0], (12, 1024, 1))
    rng = np.random.default_rng(0)
    for k in range(1, 12):
        P[k, rng.choice(1024, 90 * k, replace=False)] = [0.0, 1.0]
    expected = geometry.bhattacharyya(P[:, None], P[None])
    np.testing.assert_allclose(geometry.pairwise(P), expected, rtol=1e-6, atol=1e-6)


@every_metric
@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("tile", [16, 1000])
def test_the_number_of_threads_does_not_matter(monkeypatch: pytest.MonkeyPatch, metric: str, tile: int) -> None:
    """One, two and four threads agree to 1e-6, with many tiles to share or one."""
    set_tiles(monkeypatch, tile)
    P = dirichlet(60, 96, 10)
    results = []
    for threads in (1, 2, 4):
        set_threads(monkeypatch, threads)
        results.append(geometry.pairwise(P, metric=metric))
    np.testing.assert_allclose(results[1], results[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(results[2], results[0], rtol=0, atol=1e-6)


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_matrix_products_have_their_threads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """While tiles are shared among threads they have one each; then as many as before, also after an error."""
    set_tiles(monkeypatch, 2)
    seen = []
    sums = on_cpu._sum_squares
    monkeypatch.setattr(on_cpu, "_sum_squares", lambda p, q: (seen.append(blas_threads()), sums(p, q))[1])
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        assert set(before) == {2}
        geometry.pairwise(dirichlet(7, 5, 3), metric="euclidean", threads=3)
        assert {n for threads in seen for n in threads} == {1}
        assert blas_threads() == before
        with pytest.raises(ValueError, match="not finite"):
            geometry.pairwise(dirichlet(7, 5, 3), np.full((7, 5, 3), np.nan), threads=3)
        assert blas_threads() == before


def test_whoever_leaves_last_gives_the_threads_back() -> None:
    """Two that overlap in time, the first to come being the first to go."""
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = blas_on_one_thread(), blas_on_one_thread()
        for step in (first.__enter__, second.__enter__):
            step()
            assert set(blas_threads()) == {1}
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before


@pytest.mark.parametrize("n_classes", [1, 2, 3, 9, 10, 11, 19, 20, 21, 99, 200, 201])
@pytest.mark.parametrize(("n_checkpoints", "n_samples"), [(1, 1), (5, 4), (17, 7), (32, 6)])
def test_loops_that_are_filled_up_change_nothing(n_classes: int, n_checkpoints: int, n_samples: int) -> None:
    """Classes, samples and checkpoints that are no whole number of loops, on both sides of the change of engine."""
    P, Q = dirichlet(n_checkpoints, n_samples, n_classes), dirichlet(3, n_samples, n_classes, seed=1)
    for second in (None, Q):
        expected = geometry.bhattacharyya(P[:, None], (P if second is None else second)[None])
        np.testing.assert_allclose(geometry.pairwise(P, second), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_samples", [7, 8, 9, 40])
@pytest.mark.parametrize("n_classes", [2, 10, 20])
def test_a_group_of_samples_neither_underflows_nor_overflows(n_samples: int, n_classes: int) -> None:
    """All overlaps at the floor, or all 1: the ends of what is multiplied before exponents are taken off."""
    P = geometry.truth([0] * n_samples, n_classes), geometry.truth([1] * n_samples, n_classes)
    tile = kernel.pack(np.stack(P).astype(np.float32))
    expected = -n_samples * math.log(1e-9) * (1 - np.eye(2))
    for other in (tile, tile.copy()):
        np.testing.assert_allclose(kernel.sum_log_overlaps(tile, other)[:2, :2], expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("n_classes", [10, 20])
def test_a_tile_with_itself_is_that_with_its_copy(n_classes: int) -> None:
    """Half of it is computed, and mirrored."""
    tile = kernel.pack(np.sqrt(dirichlet(50, 9, n_classes)).astype(np.float32))
    within, between = kernel.sum_log_overlaps(tile, tile), kernel.sum_log_overlaps(tile, tile.copy())
    np.testing.assert_array_equal(within, within.T)
    np.testing.assert_allclose(within[:50, :50], between[:50, :50], rtol=0, atol=2e-6)


@pytest.mark.parametrize(("content", "size"), [("1024K\n", 2**20), ("48K", 48 * 1024), ("unknown", 2**19)])
def test_tiles_are_as_large_as_the_cache_allows(tmp_path: Path, content: str, size: int) -> None:
    """It is read from a file of Linux; where there is none, or another text, it counts as small."""
    file = tmp_path / "size"
    assert kernel._cache_size(file) == 2**19
    file.write_text(content)
    assert kernel._cache_size(file) == size
    tile = kernel._largest_tile(size)
    assert tile % 16 == 0
    assert 8 * tile**2 <= 2 * size < 8 * (tile + 16) ** 2
    assert kernel._largest_tile(0) == 16


@pytest.mark.parametrize(
    ("n_checkpoints", "n_threads", "lengths"),
    [
        (0, 4, []),
        (100, 1, [100]),
        (200, 2, [100, 100]),
        (201, 1, [67, 67, 67]),
        (100, 4, [100]),  # of four each would be small
        (256, 4, [64] * 4),
        (520, 4, [65] * 8),
        (410, 3, [68, 68, 69, 68, 68, 69]),
        (330, 3, [82, 83, 82, 83]),
    ],
)
def test_tiles_are_as_many_for_each_thread(n_checkpoints: int, n_threads: int, lengths: list[int]) -> None:
    """Equally long, not more than the largest (here 100), and not small for the sake of the threads."""
    tiles = engine._tiles(n_checkpoints, 100, n_threads)
    assert [tile.stop - tile.start for tile in tiles] == lengths
    assert [tile.start for tile in tiles] == [0, *np.cumsum(lengths)][: len(lengths)]


def test_threads_asked_for_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of a cluster asks for one; else there are as many as cores."""
    set_threads(monkeypatch, 3)
    P = dirichlet(200, 4, 3)
    seen = []
    tiles = engine._tiles
    monkeypatch.setattr(engine, "_tiles", lambda *args: seen.append(args[2]) or tiles(*args))
    for threads, expected in ((1, 1), (2, 2), (None, 3)):
        engine.pairwise(P, None, "bhattacharyya", None, "cpu", threads)
        assert set(seen) == {expected}
        seen.clear()


INPUTS = {
    "list": (np.ndarray.tolist, 0.0),
    "float16": (lambda P: P.astype(np.float16), 2e-3),
    "float32": (lambda P: P.astype(np.float32), 1e-6),
    "objects": (lambda P: P.astype(object), 0.0),
    "fortran order": (np.asfortranarray, 0.0),
    "stepped view": (lambda P: np.repeat(P, 2, axis=0)[::2], 0.0),
    "tensor": (torch.from_numpy, 0.0),
    "tensor float32": (lambda P: torch.from_numpy(P).float(), 1e-6),
    "tensor bfloat16": (lambda P: torch.from_numpy(P).bfloat16(), 2e-2),
    "tensor float16": (lambda P: torch.from_numpy(P).half(), 2e-3),
    "tensor that requires a gradient": (lambda P: torch.from_numpy(P).requires_grad_(), 0.0),
}


@every_metric
@pytest.mark.parametrize("kind", INPUTS)
def test_any_array_of_probabilities_is_read(metric: str, kind: str) -> None:
    """And gives what the float64 array gives, up to the rounding of its type."""
    convert, error = INPUTS[kind]
    P = dirichlet(5, 6, 4, spread=2.0)
    expected = geometry.pairwise(P, metric=metric)
    np.testing.assert_allclose(geometry.pairwise(convert(P), metric=metric), expected, rtol=0, atol=error)
    np.testing.assert_allclose(geometry.pairwise(P, convert(P), metric=metric), expected, rtol=0, atol=error + 2e-7)


@pytest.mark.parametrize(
    "convert", [lambda P: P[::-1].copy()[::-1], lambda P: P.astype(">f8")], ids=["reversed view", "big-endian"]
)
def test_arrays_of_other_layouts_are_read(convert) -> None:
    """A run backwards, a file of another machine: the other functions read both."""
    P = dirichlet(5, 6, 4)
    np.testing.assert_array_equal(geometry.pairwise(convert(P)), geometry.pairwise(P))


@every_metric
def test_whole_numbers_are_read(metric: str) -> None:
    """One-hot predictions, as an array and as a tensor of integers."""
    P = np.eye(3, dtype=int)[[[0, 1], [2, 1]]]
    expected = geometry.pairwise(P.astype(float), metric=metric)
    assert expected[0, 1] > 0.7
    np.testing.assert_array_equal(geometry.pairwise(P, metric=metric), expected)
    np.testing.assert_array_equal(geometry.pairwise(torch.from_numpy(P), metric=metric), expected)


@every_metric
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_the_arrays_given_are_left_alone(metric: str, dtype: type, as_tensor: bool) -> None:
    """Nothing is written into them, whichever type the arithmetic has; a read-only array is read without a warning."""
    P = dirichlet(3, 6, 4).astype(dtype)
    before = P.copy()
    if not as_tensor:
        P.flags.writeable = False
    for work in ("float32", "float64"):
        geometry.pairwise(torch.from_numpy(P) if as_tensor else P, metric=metric, dtype=work)
    np.testing.assert_array_equal(P, before)


@every_metric
def test_float16_rows_are_renormalised(metric: str) -> None:
    """Rounded rows miss 1 by 1e-3; their distances are those of the renormalised rows, and none to themselves."""
    P = (dirichlet(4, 6, 5, spread=2.0) * 1.001).astype(np.float16)
    Q = geometry.as_probabilities(P)
    expected = plain.pairwise(Q.tolist(), Q.tolist(), metric)
    np.testing.assert_allclose(
        geometry.pairwise(P, P, metric=metric), expected, rtol=0, atol=ERROR[metric, DEFAULT[metric]]
    )


@every_metric
@given(P=points(count=4), seed=seeds)
def test_permutations(metric: str, P: np.ndarray, seed: int) -> None:
    """Of samples and classes: nothing changes. Of checkpoints: rows and columns move along."""
    rng = np.random.default_rng(seed)
    D = geometry.pairwise(P, metric=metric)
    shuffled = P[:, rng.permutation(P.shape[1])][:, :, rng.permutation(P.shape[2])]
    np.testing.assert_allclose(
        geometry.pairwise(shuffled, metric=metric), D, rtol=1e-6, atol=ERROR[metric, DEFAULT[metric]]
    )
    order = rng.permutation(len(P))
    np.testing.assert_allclose(
        geometry.pairwise(P[order], metric=metric),
        D[order][:, order],
        rtol=1e-6,
        atol=ERROR[metric, DEFAULT[metric]],
    )


@every_metric
def test_disjoint_certainties_are_held_by_the_floor(metric: str) -> None:
    """The same floor as in the formulas, in float32 too."""
    P = np.stack([geometry.truth([0] * 5, 3), geometry.truth([1] * 5, 3)])
    expected = {"great_circle": math.pi / 2, "euclidean": 2.0}.get(metric, -math.log(1e-9))
    assert geometry.pairwise(P, metric=metric)[0, 1] == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(0, None), (0, 3), (3, 0)])
def test_no_checkpoints_are_an_empty_matrix(n_rows: int, n_columns: int | None) -> None:
    """On either side."""
    Q = None if n_columns is None else dirichlet(n_columns, 2, 3)
    D = geometry.pairwise(dirichlet(n_rows, 2, 3), Q)
    assert D.shape == (n_rows, n_rows if n_columns is None else n_columns)


def _with(value: float | list[float], where: int = 0) -> np.ndarray:
    P = dirichlet(9, 4, 2)
    P[where, 3] = value
    return P


@every_metric
@pytest.mark.parametrize("where", [0, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([np.nan, 1.0], "not finite"),
        ([np.inf, 0.0], "not finite"),
        ([2.0, -1.0], "negative values.*logits"),
        ([0.6, 0.5], "must sum to 1, one misses it by 0.1"),
    ],
)
def test_other_values_are_errors_in_every_tile(
    monkeypatch: pytest.MonkeyPatch, metric: str, where: int, dtype: type, row: list[float], message: str
) -> None:
    """Of P and of Q, in the first tile and in the last."""
    set_tiles(monkeypatch, 4)
    bad, good = _with(row, where).astype(dtype), dirichlet(5, 4, 2)
    with pytest.raises(ValueError, match=message):
        geometry.pairwise(bad, metric=metric)
    with pytest.raises(ValueError, match=f"P.*{message}"):
        geometry.pairwise(bad, good, metric=metric)
    with pytest.raises(ValueError, match=f"Q.*{message}"):
        geometry.pairwise(good, bad, metric=metric)


def test_an_error_within_p_does_not_speak_of_q() -> None:
    """The caller gave no Q."""
    with pytest.raises(ValueError, match="not finite") as caught:
        geometry.pairwise(_with(np.nan))
    assert "Q" not in str(caught.value)


@pytest.mark.parametrize(
    ("P", "Q", "message"),
    [
        ([[0.5, 0.5]], None, r"P must have shape \(checkpoints, samples, classes\), got \(1, 2\)"),
        (np.ones((2, 0, 3)), None, r"P must have shape"),
        (np.ones((2, 3, 0)), None, r"P must have shape"),
        (np.full((2, 3, 2), 0.5), [[0.5, 0.5]], r"Q must have shape.*got \(1, 2\)"),
        (np.full((2, 3, 2), 0.5), np.full((2, 4, 2), 0.5), r"different prediction spaces.*\(3, 2\) and \(4, 2\)"),
        (np.full((2, 3, 2), 0.5), np.full((2, 3, 4), 0.25), r"different prediction spaces.*\(3, 2\) and \(3, 4\)"),
        (np.full((2, 3, 2), 0.5), np.full((2, 1, 2), 0.5), r"different prediction spaces"),
    ],
)
def test_other_shapes_are_errors(P, Q, message: str) -> None:
    """The message says which shape was met."""
    with pytest.raises(ValueError, match=message):
        geometry.pairwise(P, Q)


def test_an_unknown_metric_is_an_error_that_names_the_known_ones() -> None:
    """All of them."""
    with pytest.raises(ValueError, match=r"'euclid'.*bhattacharyya, great_circle, symmetric_kl, euclidean"):
        geometry.pairwise(dirichlet(2, 3, 2), metric="euclid")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_missing_device_is_an_error_that_names_the_way_out(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """Not an error deep in torch."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match=f"'{device}' is not there.*device='cpu'"):
        geometry.pairwise(dirichlet(2, 3, 2), device=device)


@every_metric
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tile", [3, 2048])
def test_torch_gives_what_numpy_gives(monkeypatch: pytest.MonkeyPatch, metric: str, dtype: str, tile: int) -> None:
    """Its device here is the processor, which takes the same way as a GPU."""
    monkeypatch.setattr(on_torch, "TILE", tile)
    P, Q = dirichlet(8, 11, 5), dirichlet(4, 11, 5, seed=1)
    for first, second in ((P, None), (P, Q), (torch.from_numpy(P), P[::-1]), (P.astype(">f8"), None)):
        there = geometry.pairwise(first, second, metric=metric, dtype=dtype, device="cpu:0")
        here = geometry.pairwise(first, second, metric=metric, dtype=dtype)
        np.testing.assert_allclose(there, here, rtol=1e-6, atol=2 * ERROR[metric, dtype])
    with pytest.raises(ValueError, match=r"Q holds.*not logits"):
        geometry.pairwise(P, Q - 1, metric=metric, device="cpu:0")


def test_another_device_without_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what to install."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "predspace_widgets.geometry.on_torch")
    monkeypatch.delattr(geometry, "on_torch")
    with pytest.raises(ImportError, match=r"^device 'cuda' needs torch: pip install \"predspace-widgets\[train\]\"$"):
        geometry.pairwise(dirichlet(2, 3, 2), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_metric
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("tile", [70, 2048])
def test_cuda_gives_what_the_cpu_gives(monkeypatch: pytest.MonkeyPatch, metric: str, dtype: str, tile: int) -> None:
    """Within P and from P to Q, of arrays and of tensors that are there already."""
    monkeypatch.setattr(on_torch, "TILE", tile)
    P, Q = dirichlet(200, 64, 10), dirichlet(90, 64, 10, seed=1)
    error = 2 * ERROR[metric, dtype]
    for first, second in ((P, None), (P, Q), (torch.from_numpy(P).cuda(), torch.from_numpy(Q).cuda())):
        there = geometry.pairwise(first, second, metric=metric, dtype=dtype, device="cuda")
        here = geometry.pairwise(P, None if second is None else Q, metric=metric, dtype=dtype)
        np.testing.assert_allclose(there, here, rtol=1e-6, atol=error)
