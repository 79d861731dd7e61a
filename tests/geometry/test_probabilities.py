"""Reading predictions: what is repaired, what is refused; ignorance and truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets import geometry
from tests.geometry import plain
from tests.geometry.strategies import labelled_spaces, points

NOT_PROBABILITIES = {
    "logits": ([[2.0, -1.0], [0.3, 0.7]], r"negative values \(smallest -1\).*logits"),
    "sums": ([[0.5, 0.5], [0.5, 0.6]], r"must sum to 1, one misses it by 0\.1"),
    "too_little": ([[0.5, 0.5], [0.5, 0.4]], r"must sum to 1, one misses it by 0\.1"),
    "roots": (np.sqrt([[0.5, 0.5], [0.2, 0.8]]), "must sum to 1.*roots"),
    "zeros": ([[0.5, 0.5], [0.0, 0.0]], "must sum to 1"),
    "nan": ([[0.5, 0.5], [np.nan, 1.0]], "not finite"),
    "infinite": ([[0.5, 0.5], [np.inf, 0.0]], "not finite"),
    "infinite_logits": ([[0.5, 0.5], [-np.inf, np.inf]], "not finite"),
    "one_dimension": ([0.5, 0.5], r"shape \(\.\.\., samples, classes\).*got \(2,\)"),
    "scalar": (1.0, r"shape \(\.\.\., samples, classes\).*got \(\)"),
    "no_sample": (np.empty((3, 0, 2)), r"none of them 0, got \(3, 0, 2\)"),
    "no_class": (np.empty((3, 2, 0)), r"none of them 0, got \(3, 2, 0\)"),
}


@pytest.mark.parametrize("case", NOT_PROBABILITIES)
def test_other_values_are_errors_that_say_what_is_wrong(case: str) -> None:
    """The message names the array and the fault."""
    values, message = NOT_PROBABILITIES[case]
    with pytest.raises(ValueError, match=message) as caught:
        geometry.as_probabilities(values, "predictions")
    assert "predictions" in str(caught.value)


@pytest.mark.parametrize("case", NOT_PROBABILITIES)
@pytest.mark.parametrize("function", [geometry.bhattacharyya, geometry.symmetric_kl, geometry.overlaps])
def test_distances_refuse_them_on_either_side(case: str, function) -> None:
    """P and Q are read in the same way."""
    values, message = NOT_PROBABILITIES[case]
    good = np.full(np.shape(values), 0.5)
    with pytest.raises(ValueError, match=message):
        function(values, good)
    with pytest.raises(ValueError, match=message if good.ndim > 1 and good.size else "P must have shape"):
        function(good, values)


@pytest.mark.filterwarnings("error")
def test_infinities_are_an_error_without_a_warning() -> None:
    """One message, not two."""
    with pytest.raises(ValueError, match="not finite"):
        geometry.as_probabilities([[-np.inf, np.inf]])


@given(points(count=3))
def test_float16_rounding_is_undone(P: np.ndarray) -> None:
    """Rows sum to 1 again, in float64, and no probability moves by more than float16 loses."""
    read = geometry.as_probabilities(P.astype(np.float16))
    assert read.dtype == np.float64
    np.testing.assert_allclose(read.sum(axis=-1), 1.0, rtol=0, atol=1e-15)
    np.testing.assert_allclose(read, P, rtol=2e-3, atol=1e-7)


def test_float16_rounding_of_many_classes_is_undone() -> None:
    """1,000 classes, where float16 rows miss 1 visibly."""
    P = np.random.default_rng(0).dirichlet(np.full(1000, 0.05), 50).astype(np.float16)
    assert np.abs(P.astype(np.float64).sum(axis=-1) - 1).max() > 5e-5
    np.testing.assert_allclose(geometry.as_probabilities(P).sum(axis=-1), 1.0, rtol=0, atol=1e-14)


@pytest.mark.parametrize("sign", [-1, 1])
def test_row_sums_may_miss_one_by_the_tolerance(sign: int) -> None:
    """Of 0.002: just inside it is renormalised, just outside it is an error."""
    inside = np.array([[0.5, 0.5]]) * (1 + sign * 0.0019)
    np.testing.assert_allclose(geometry.as_probabilities(inside), 0.5, rtol=1e-15)
    with pytest.raises(ValueError, match="must sum to 1"):
        geometry.as_probabilities(np.array([[0.5, 0.5]]) * (1 + sign * 0.0021))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_array_given_is_left_alone(dtype: type) -> None:
    """A new array comes back; the old one keeps its values and may be read-only."""
    P = np.array([[0.1, 0.2, 0.7]], dtype=dtype) * dtype(1.001)
    before = P.copy()
    P.flags.writeable = False
    read = geometry.as_probabilities(P)
    assert not np.shares_memory(read, P)
    np.testing.assert_array_equal(P, before)
    np.testing.assert_allclose(read.sum(), 1.0, rtol=1e-15)


@pytest.mark.parametrize("convert", [np.ndarray.tolist, torch.from_numpy, lambda P: torch.from_numpy(P).float()])
def test_lists_and_tensors_are_read(convert) -> None:
    """Anything array-like will do."""
    P = np.array([[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_array_equal(geometry.as_probabilities(convert(P)), P)


@pytest.mark.filterwarnings("error")
def test_a_tensor_is_read_without_a_warning() -> None:
    """pairwise takes tensors as well, and does not warn."""
    geometry.as_probabilities(torch.full((2, 2), 0.5))


def test_no_checkpoints_are_fine() -> None:
    """An empty leading dimension is an empty result."""
    assert geometry.as_probabilities(np.empty((0, 2, 3))).shape == (0, 2, 3)


@given(st.integers(1, 5), st.integers(1, 7))
def test_ignorance_is_uniform(n_samples: int, n_classes: int) -> None:
    """P_0, and it is a point of prediction space."""
    P_0 = geometry.ignorance(n_samples, n_classes)
    np.testing.assert_array_equal(P_0, plain.ignorance(n_samples, n_classes))
    geometry.as_probabilities(P_0)


@given(labelled_spaces())
def test_truth_is_one_hot(space: tuple[np.ndarray, int]) -> None:
    """P_*, of labels in any type of whole number."""
    labels, n_classes = space
    for given_as in (labels, labels.astype(np.uint8), labels.tolist()):
        np.testing.assert_array_equal(geometry.truth(given_as, n_classes), plain.truth(labels, n_classes))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 3], r"\[0, 3\), got 0 to 3"),
        ([-1, 2], r"\[0, 3\), got -1 to 2"),
        ([0.0, 1.0], "whole numbers.*float64"),
        ([True, False], "whole numbers.*bool"),
        ([[0, 1]], r"shape \(1, 2\)"),
    ],
)
def test_labels_that_are_no_classes_are_errors(labels: list, message: str) -> None:
    """A negative label would silently count from the end."""
    with pytest.raises(ValueError, match=message):
        geometry.truth(labels, 3)
