"""The regions of normal distributions that error bars are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from predspace_widgets.geometry.ellipses import coverage, ellipses, half_axes, region_radius


def covariances(d: int, seed: int, shape: tuple[int, ...] = ()) -> np.ndarray:
    factor = np.random.default_rng(seed).standard_normal((*shape, d, d))
    return factor @ np.swapaxes(factor, -1, -2)


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_the_radius_is_that_of_chi_squared(d: int, share: float) -> None:
    assert region_radius(d, share) == pytest.approx(np.sqrt(chi2.ppf(share, d)), rel=1e-12)


@given(d=st.sampled_from([2, 3]), seed=seeds)
def test_every_point_of_an_outline_is_equally_far_in_standard_deviations(d: int, seed: int) -> None:
    covariance = covariances(d, seed)
    points = ellipses(covariance, 25)  # (m, 25, d)
    assert points.shape == (1 if d == 2 else 3, 25, d)
    squares = np.einsum("mni,ij,mnj->mn", points, np.linalg.inv(covariance), points)
    np.testing.assert_allclose(squares, chi2.ppf(0.95, d), rtol=1e-6)
    np.testing.assert_allclose(points[:, 0], points[:, -1], atol=1e-12 * np.abs(points).max())


@pytest.mark.parametrize("d", [2, 3])
def test_of_normal_draws_95_percent_are_inside(d: int) -> None:
    covariance = covariances(d, 3)
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(d), covariance, size=40_000)
    axes = half_axes(covariance)
    lengths = np.linalg.norm(axes, axis=1)
    inside = (((draws @ axes.T) / lengths**2) ** 2).sum(axis=1) <= 1  # in half axes
    assert inside.mean() == pytest.approx(0.95, abs=0.005)  # 4.6 standard errors


@pytest.mark.parametrize(("n", "d"), [(5, 2), (5, 3), (4, 3), (12, 2)])
def test_of_few_points_the_ellipse_holds_the_mean_as_often_as_the_law_says(n: int, d: int) -> None:
    points = np.random.default_rng(n + d).standard_normal((20_000, n, d))
    means = points.mean(axis=1)
    away = points - means[:, None]
    axes = half_axes(np.einsum("rni,rnj->rij", away, away) / (n - 1) / n)  # (r, axis, d)
    in_half_axes = np.einsum("rad,rd->ra", axes, means) / (axes**2).sum(axis=-1)
    inside = (in_half_axes**2).sum(axis=1) <= 1
    assert inside.mean() == pytest.approx(coverage(n, d), abs=0.015)  # 4 standard errors


def test_the_ellipse_of_no_more_points_than_dimensions_holds_nothing_and_that_of_many_its_share() -> None:
    assert [coverage(n, 3) for n in (1, 2, 3)] == [0, 0, 0]
    assert coverage(10**6, 3, 0.8) == pytest.approx(0.8, abs=1e-5)
    with pytest.raises(ValueError, match="needs points"):
        coverage(0, 2)


def test_half_axes_are_sorted_at_right_angles_and_have_a_sign() -> None:
    axes = half_axes(covariances(3, 1, (50,)))
    lengths = np.linalg.norm(axes, axis=-1)
    assert (np.diff(lengths, axis=-1) <= 0).all()
    between = axes @ np.swapaxes(axes, -1, -2) * ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(between, 0, atol=1e-12 * lengths.max() ** 2)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(-1)[..., None], -1) > 0).all()


def test_what_does_not_vary_is_a_point() -> None:
    np.testing.assert_array_equal(ellipses(np.zeros((4, 3, 3)), 10), np.zeros((4, 3, 10, 3)))


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (np.eye(4), "2 or 3 coordinates"),
        (np.ones(3), "2 or 3 coordinates"),
        (np.ones((2, 3)), "2 or 3 coordinates"),
        (np.full((2, 2), np.nan), "not finite"),
    ],
)
def test_what_is_no_covariance_is_named(covariance: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ellipses(covariance)
