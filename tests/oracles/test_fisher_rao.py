"""geomstats: distances, geodesics, lengths and means of the Fisher-Rao metric, which is our sphere with radius 2."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from predspace_widgets import geometry

N_SAMPLES, N_CLASSES = 7, 5


@pytest.fixture
def space(categorical: ModuleType) -> Any:
    """One sample: the simplex of categorical distributions."""
    return categorical.CategoricalDistributions(dim=N_CLASSES - 1)


@pytest.fixture
def product(space: Any) -> Any:
    """All samples at once: the product of their simplices, whose squared distances add."""
    product_manifold = import_module("geomstats.geometry.product_manifold").ProductManifold
    return product_manifold([space] * N_SAMPLES)


def some_predictions(*shape: int, seed: int = 0, concentration: float = 0.5) -> np.ndarray:
    """Random predictions (*shape, N, C)."""
    return np.random.default_rng(seed).dirichlet([concentration] * N_CLASSES, size=(*shape, N_SAMPLES))


def test_great_circle_distance_is_half_of_theirs_in_the_mean_over_samples(space: Any) -> None:
    first, second = some_predictions(20), some_predictions(20, seed=1)
    theirs = space.metric.dist(first.reshape(-1, N_CLASSES), second.reshape(-1, N_CLASSES)).reshape(20, N_SAMPLES)
    assert_allclose(geometry.great_circle(first, second), theirs.mean(axis=1) / 2, rtol=1e-10)
    assert_allclose(geometry.angles(first, second), theirs / 2, rtol=1e-10)


def test_geodesics_are_theirs_sample_by_sample(space: Any) -> None:
    first, second = some_predictions(), some_predictions(seed=1)
    places = np.linspace(0, 1, 6)
    ours = geometry.geodesic(first, second, places)  # (place, N, C)
    for n in range(N_SAMPLES):
        assert_allclose(ours[:, n], space.metric.geodesic(first[n], second[n])(places), atol=1e-12)


def test_length_by_angles_is_theirs_of_the_product_over_the_root_of_twice_the_samples(product: Any) -> None:
    run = some_predictions(9)  # (T, N, C)
    theirs = product.metric.dist(run[:-1], run[1:]).sum()
    assert_allclose(geometry.riemann_length(run, method="angle"), theirs / np.sqrt(2 * N_SAMPLES), rtol=1e-10)


def test_length_by_bhattacharyya_tends_to_theirs_when_steps_are_refined(product: Any) -> None:
    ends = some_predictions(2)
    theirs = float(product.metric.dist(*ends)) / np.sqrt(2 * N_SAMPLES)
    off = [
        geometry.riemann_length(geometry.geodesic(*ends, np.linspace(0, 1, n_steps + 1))) / theirs - 1
        for n_steps in (10, 100, 1000)
    ]
    assert 0 < off[2] < off[1] / 50 < off[0] / 2500
    assert off[2] < 1e-5


def test_progress_and_distance_to_the_geodesic_by_great_circles_are_the_least_of_theirs(space: Any) -> None:
    """Their distances to many points of their geodesic: ours is nearest to the nearest of these."""
    start, end, points = some_predictions(), some_predictions(seed=1), some_predictions(5, seed=2)
    places = np.linspace(0, 1, 2001)
    lines = np.stack([space.metric.geodesic(start[n], end[n])(places) for n in range(N_SAMPLES)], axis=1)
    for point, ours in zip(points, geometry.progress(points, start, end, metric="great_circle"), strict=True):
        apart = np.mean([space.metric.dist(point[n], lines[:, n]) for n in range(N_SAMPLES)], axis=0)  # (place,)
        assert abs(ours - places[apart.argmin()]) <= 1 / 2000


def frechet_mean(space: Any, points: np.ndarray) -> np.ndarray:
    """Their mean (C,) of points (M, C): the least sum of squared distances."""
    estimator = import_module("geomstats.learning.frechet_mean").FrechetMean(space)
    return np.asarray(estimator.set(epsilon=1e-12, max_iter=100).fit(points).estimate_)


def test_the_middle_of_two_is_their_mean(space: Any) -> None:
    first, second = some_predictions(), some_predictions(seed=1)
    middle = geometry.geodesic(first, second, 0.5)
    assert_allclose(geometry.bhattacharyya_mean([first, second]), middle, atol=1e-9)
    for n in range(N_SAMPLES):
        assert_allclose(middle[n], frechet_mean(space, np.stack([first[n], second[n]])), atol=1e-9)


def test_the_bhattacharyya_mean_of_near_points_is_theirs(space: Any) -> None:
    """d_B = angle^2 / 2 + angle^4 / 12 + ...: the two means part with the third power of how far points are apart."""
    centre, others = some_predictions(), some_predictions(6, seed=1)
    off = []
    for width in (0.3, 0.03):
        points = np.stack([geometry.geodesic(centre, other, width) for other in others])  # (M, N, C)
        theirs = np.stack([frechet_mean(space, points[:, n]) for n in range(N_SAMPLES)])
        off.append(geometry.great_circle(geometry.bhattacharyya_mean(points), theirs))
    assert off[0] < 0.02
    assert off[1] < off[0] / 500
