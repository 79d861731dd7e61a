"""How many dimensions a spectrum has: even shares, geometric decay, axes above a null."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.geometry.dimension import (
    axes_above_null,
    p_of_axes,
    participation_ratio,
    sloppiness,
    stress_of_axes,
)
from tests.geometry import plain
from tests.geometry.strategies import seeds

spectra = st.lists(st.integers(-60, 60).filter(bool), min_size=1, max_size=8).map(np.array)


@given(n=st.integers(1, 9), scale=st.sampled_from([1e-300, -3.0, 1e200]), zeros=st.integers(0, 5))
def test_axes_that_share_equally_all_count(n: int, scale: float, zeros: int) -> None:
    """Whatever their size, and zeros do not."""
    assert participation_ratio([scale] * n + [0.0] * zeros) == pytest.approx(n, rel=1e-12)


@given(spectrum=spectra, seed=seeds)
def test_participation_ratio_is_that_of_the_matrix(spectrum: np.ndarray, seed: int) -> None:
    """(tr W)^2 / |W|_F^2 with signed eigenvalues; of several spectra at once the same."""
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(spectrum), len(spectrum))))[0]
    W = (basis * spectrum) @ basis.T
    ratio = float(participation_ratio(spectrum))
    assert ratio == pytest.approx(np.trace(W) ** 2 / np.square(W).sum(), rel=1e-9, abs=1e-12)
    assert 0 <= ratio <= len(spectrum) * (1 + 1e-12)
    np.testing.assert_allclose(participation_ratio([spectrum, 2 * spectrum]), [ratio] * 2, rtol=1e-12)


@given(spectrum=spectra)
def test_stress_of_axes_equals_the_plain_formula(spectrum: np.ndarray) -> None:
    """Of several spectra at once, too, and of none of any size."""
    ordered = spectrum[np.argsort(-np.abs(spectrum))]
    expected = plain.explained_stress(ordered.tolist(), len(ordered))
    np.testing.assert_allclose(stress_of_axes([ordered, 1e-200 * ordered]), [expected] * 2, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(stress_of_axes([0.0, 0.0]), 1.0)


def test_points_that_coincide_have_no_dimension() -> None:
    """0, not NaN."""
    assert participation_ratio(np.zeros(4)) == 0.0
    assert np.isnan(sloppiness(np.zeros(4))[:3]).all()


@given(decay=st.floats(0.01, 2.0), n=st.integers(2, 60), seed=seeds)
def test_sloppiness_finds_a_geometric_decay(decay: float, n: int, seed: int) -> None:
    """Whatever the signs and the order, of the axes that count."""
    rng = np.random.default_rng(seed)
    eigenvalues = 5 * 10 ** (-decay * np.arange(n)) * rng.choice([-1, 1], n)
    fit = sloppiness(np.append(rng.permutation(eigenvalues), 0.0), n_axes=20)
    counted = min(n, 20)
    assert fit.n_axes == counted
    assert fit.decades_per_axis == pytest.approx(decay, rel=1e-9)
    assert fit.decades == pytest.approx(decay * (counted - 1), rel=1e-9)
    assert fit.residual == pytest.approx(0, abs=1e-9)


def test_sloppiness_says_what_a_line_misses() -> None:
    """Root mean square about the line, in plain arithmetic."""
    fit = sloppiness([100.0, 10.0, 1.0])
    assert fit.residual == pytest.approx(0, abs=1e-12)
    fit = sloppiness([1000.0, 10.0, 1.0])  # logarithms 3, 1, 0; slope -1.5, mean 4/3
    assert fit.decades_per_axis == pytest.approx(1.5)
    misses = [3 - (4 / 3 + 1.5), 1 - 4 / 3, 0 - (4 / 3 - 1.5)]
    assert fit.residual == pytest.approx(np.sqrt(np.mean(np.square(misses))))


def test_p_of_an_axis_counts_the_draws_that_are_as_large() -> None:
    """By magnitude, axis by axis, the axis itself among them."""
    draws = [[5.0, -4.0], [3.0, 1.0], [-9.0, 2.0]]
    np.testing.assert_allclose(p_of_axes([6.0, -3.0], draws), [2 / 4, 2 / 4])
    np.testing.assert_allclose(p_of_axes([10.0, 5.0], draws), [1 / 4, 1 / 4])
    np.testing.assert_allclose(p_of_axes([0.0, 0.0], draws), [1.0, 1.0])


def test_axes_count_up_to_the_first_that_is_not_above() -> None:
    """Also where none, or all, are."""
    assert [axes_above_null(p) for p in ([0.05, 0.1, 0.05], [0.1, 0.05], [0.05] * 3)] == [1, 0, 3]
    assert axes_above_null([0.05, 0.1], level=0.1) == 2
    assert axes_above_null([1 / 20], level=0.05) == 1


@pytest.mark.parametrize("values", [[], 3.0, [np.nan, 1.0], [np.inf]])
def test_what_is_no_spectrum_is_an_error(values: object) -> None:
    """With a message, not a number."""
    for measure in (participation_ratio, sloppiness):
        with pytest.raises(ValueError, match="eigenvalue"):
            measure(values)  # type: ignore[operator]


def test_spectra_that_do_not_fit_are_an_error() -> None:
    """As is a line through one point."""
    with pytest.raises(ValueError, match=r"do not fit: their shapes are \(2,\) and \(1, 3\)"):
        p_of_axes([1.0, 2.0], [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="at least 2, got 1"):
        sloppiness([1.0, 2.0], n_axes=1)
