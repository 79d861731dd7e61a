"""Error bars by a plain loop over draws, in numpy alone; turns by scipy's Procrustes analysis."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial import procrustes
from sklearn.manifold import ClassicalMDS

from predspace_widgets import geometry
from predspace_widgets.analysis.uncertainty import draw_samples
from predspace_widgets.geometry.bootstrap import align, embed
from predspace_widgets.trajectories.testing import random_trajectories

N_DRAWS, N_AXES = 12, 2


def plain_picture(probs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (T, 2) and all eigenvalues (T,) of predictions (T, N, C)."""
    T, N, _ = probs.shape
    D = np.zeros((T, T))
    for i in range(T):
        for j in range(T):
            D[i, j] = -sum(np.log(np.sum(np.sqrt(probs[i, n] * probs[j, n]))) for n in range(N)) / N
    L = np.eye(T) - 1 / T
    values, vectors = np.linalg.eigh(-0.5 * L @ D @ L)
    order = np.argsort(-np.abs(values))
    values, vectors = values[order], vectors[:, order]
    assert (values[:N_AXES] > 0).all()
    return np.sqrt(values[:N_AXES]) * vectors[:, :N_AXES], values


def plain_turn(coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The rotation or reflection that brings centred coordinates nearest to others."""
    U, _, V = np.linalg.svd(coordinates.T @ like)
    return coordinates @ U @ V


def test_error_bars_are_those_of_refitting_each_draw() -> None:
    ds = random_trajectories(n_checkpoints=4)
    ours = ds.predspace.inpca(N_AXES, bootstrap=N_DRAWS, seed=3)
    probs = ds["probs"].values.astype(np.float64)
    probs /= probs.sum(axis=-1, keepdims=True)
    coordinates, spectra = [], []
    for weights in draw_samples(probs.shape[1], N_DRAWS, np.random.default_rng(3)):
        times = np.rint(weights * probs.shape[1]).astype(int)
        drawn, values = plain_picture(np.repeat(probs, times, axis=1))
        coordinates.append(plain_turn(drawn, ours.embedding.values))
        spectra.append(values)
    values = np.array(spectra)
    shares = np.cumsum(values**2, axis=1)[:, :N_AXES] / np.sum(values**2, axis=1, keepdims=True)
    assert_allclose(ours.drawn_eigenvalue, values[:, :N_AXES], rtol=1e-5)
    assert_allclose(ours.drawn_explained_stress, 1 - np.sqrt(1 - shares), atol=1e-6)
    assert_allclose(ours.spread, np.std(coordinates, axis=0, ddof=1), atol=1e-6)
    for point in range(len(probs)):
        plain = np.cov(np.array(coordinates)[:, point], rowvar=False)
        assert_allclose(ours.covariance[point], plain, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_a_turn_is_that_of_procrustes_analysis(seed: int) -> None:
    """Which besides scales both to the same size."""
    generator = np.random.default_rng(seed)
    like = generator.normal(size=(20, 3)) * [3, 2, 1]
    turned = (like + 0.1 * generator.normal(size=like.shape)) @ np.linalg.qr(generator.normal(size=(3, 3)))[0] + 5
    standard, theirs, disparity = procrustes(like, turned)
    size = np.linalg.norm(turned - turned.mean(axis=0)) / np.sqrt(1 - disparity)
    ours = align(turned, [1, 1, 1], like, [1, 1, 1])
    assert_allclose(ours, theirs * size + like.mean(axis=0), atol=1e-10)
    assert_allclose(standard * np.linalg.norm(like - like.mean(axis=0)) + like.mean(axis=0), like, atol=1e-10)


def test_points_that_count_several_times_are_repeated_points() -> None:
    probs = np.random.default_rng(0).dirichlet([0.5] * 4, size=(15, 6))
    distances, times = geometry.pairwise(probs), np.arange(15) % 4
    ours = embed(distances, times, 3)
    rows = np.repeat(np.arange(15), times)
    theirs = ClassicalMDS(n_components=3, metric="precomputed").fit(np.sqrt(distances[np.ix_(rows, rows)]))
    assert_allclose(ours.eigenvalues, theirs.eigenvalues_, rtol=1e-8)
    signs = geometry.align_signs(ours.coordinates[rows], theirs.embedding_)
    assert_allclose(ours.coordinates[rows] * signs, theirs.embedding_, atol=1e-7)
