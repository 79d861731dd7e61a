"""Predictions as logarithms: what float16 makes of them, and that nothing is lost on the way there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from predspace_widgets.geometry import symmetric_kl
from predspace_widgets.trajectories.logarithms import SMALLEST, from_logarithms, to_logarithms, without_zeros

FLOAT32 = 8 * float(np.finfo(np.float32).eps)  # what the softmax in float32 adds


def logits(shape: tuple[int, ...], spread: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=spread, size=shape)


def error_bound(logs: np.ndarray) -> np.ndarray:
    """Of the logarithm of what is read, for exact logarithms (..., C) relative to the largest; see `to_logarithms`."""
    of_each = 2.0**-11 * np.abs(logs) + 2.0**-21
    weights = np.exp(logs) / np.exp(logs).sum(axis=-1, keepdims=True)
    return of_each + np.log((weights * np.exp(of_each)).sum(axis=-1, keepdims=True)) + FLOAT32


@given(st.integers(0, 10**6), st.sampled_from([0.001, 0.1, 1, 5, 15]), st.sampled_from([2, 3, 10, 200]))
def test_what_is_read_is_within_the_bound_of_float16(seed: int, spread: float, n_classes: int) -> None:
    values = logits((20, n_classes), spread, seed)
    values = np.maximum(values, values.max(axis=-1, keepdims=True) - 80)  # float32 has fewer digits below exp(-87)
    exact = log_softmax(values, axis=-1)
    stored = to_logarithms(np.exp(exact), np.float16)
    assert stored.dtype == np.float16
    assert np.isfinite(stored).all()
    np.testing.assert_array_equal(stored.max(axis=-1), 0)
    found = from_logarithms(stored, np.float32)
    np.testing.assert_allclose(found.sum(axis=-1, dtype=np.float64), 1, rtol=0, atol=1e-6)
    bound = error_bound(exact - exact.max(axis=-1, keepdims=True))
    assert (found > 0).all()
    assert (np.abs(np.log(found.astype(np.float64)) - exact) <= bound).all()
    # The most probable class stays the most probable, but where the bound lets two of them meet.
    best = found.argmax(axis=-1)[:, None]
    behind = exact.max(axis=-1, keepdims=True) - np.take_along_axis(exact, best, axis=-1)
    assert (behind <= 2 * np.take_along_axis(bound, best, axis=-1)).all()


@given(st.integers(0, 10**6), st.sampled_from([1e-5, 1e-4, 1e-3, 0.01, 1, 25]), st.sampled_from([2, 3, 10, 1000]))
def test_what_is_stored_stays_the_same_bit_for_bit(seed: int, spread: float, n_classes: int) -> None:
    values = np.maximum(logits((50, n_classes), spread, seed), -87)
    stored = to_logarithms(np.exp(np.maximum(log_softmax(values, axis=-1), -87)), np.float16)
    again = to_logarithms(from_logarithms(stored, np.float32), np.float16)
    assert again.tobytes() == stored.tobytes()


def test_every_logarithm_that_is_stored_is_found_again() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every) & (every <= 0) & (every >= -87)]
    stored = np.unique(to_logarithms(np.stack([np.ones(len(every)), np.exp(every.astype(float))], axis=-1), np.float16))
    assert len(stored) > 15_000
    assert stored.min() == -87
    pairs = np.stack([np.zeros_like(stored), stored], axis=-1)
    assert to_logarithms(from_logarithms(pairs, np.float32), np.float16).tobytes() == pairs.tobytes()


@pytest.mark.parametrize(("dtype", "logarithm"), [("float16", -16.6355), ("float32", -103.2789), ("float64", -744.44)])
def test_a_zero_is_the_smallest_number_of_its_type(dtype: str, logarithm: float) -> None:
    probs = np.array([[1, 0]], dtype=dtype)
    assert to_logarithms(probs, np.float64)[0, 1] == pytest.approx(logarithm, rel=1e-5)
    assert np.isfinite(to_logarithms(probs, np.float16)).all()
    # and where the type is another one than that of the array
    assert to_logarithms(probs.astype("float64"), np.float64, zero_of=dtype)[0, 1] == pytest.approx(logarithm, rel=1e-5)


def test_equal_predictions_are_equal_bytes() -> None:
    nearly = to_logarithms(np.array([[0.5, 0.5 * (1 - 1e-9), 0.0]]), np.float16)
    equal = to_logarithms(np.array([[0.5, 0.5, 0.0]]), np.float16)
    assert nearly.tobytes() == equal.tobytes()  # no -0.0


def test_symmetric_kl_does_not_hang_on_the_floor() -> None:
    # Two networks that are sure of different classes, the others at about 1e-8: float16 has 0 there.
    first, second = (np.exp(log_softmax(logits((40, 10), 0.2, k) + 18 * np.eye(10)[k], axis=-1)) for k in (1, 2))
    exact = float(symmetric_kl(first, second))
    logs = [from_logarithms(to_logarithms(probs, np.float16), np.float32) for probs in (first, second)]
    halves = [probs.astype(np.float16) for probs in (first, second)]
    assert float(symmetric_kl(*logs)) == pytest.approx(exact, rel=0.01)
    assert float(symmetric_kl(*halves)) > 1.1 * exact


def test_zeros_are_raised_and_nothing_else() -> None:
    probs = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 1e-30], [0.25, 0.5, 0.25], [0.0, 0.0, 0.0]])
    expected = [[0.5, 0.5, SMALLEST], [1.0, 1e-30, 1e-30], [0.25, 0.5, 0.25], [SMALLEST] * 3]
    for dtype in (np.float32, np.float64):
        found = without_zeros(probs.astype(dtype))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.array(expected, dtype=dtype))
