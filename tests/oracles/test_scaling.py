"""scikit-learn and scipy: classical scaling, principal components, trees."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.cluster.hierarchy import fcluster
from scipy.spatial.distance import cdist
from sklearn.cluster import AgglomerativeClustering
from sklearn.decomposition import PCA
from sklearn.manifold import ClassicalMDS

from predspace_widgets import InPCA, geometry
from predspace_widgets.geometry import align_signs
from predspace_widgets.trajectories.testing import random_trajectories


def some_predictions(n_points: int, seed: int = 0) -> np.ndarray:
    """Random predictions (T, 6 samples, 4 classes)."""
    return np.random.default_rng(seed).dirichlet([0.5] * 4, size=(n_points, 6))


@pytest.mark.parametrize("seed", range(5))
def test_real_axes_are_those_of_classical_scaling(seed: int) -> None:
    """Which keeps the largest eigenvalues, not those of largest magnitude: it has our real axes only."""
    distances = geometry.pairwise(some_predictions(30, seed))
    ours = InPCA(n_components=30, metric="precomputed").fit(distances)
    real = np.flatnonzero(ours.eigenvalues_ > 1e-9 * ours.eigenvalues_[0])[:8]
    theirs = ClassicalMDS(n_components=8, metric="precomputed").fit(np.sqrt(distances))
    assert (ours.eigenvalues_ < -1e-9).any()
    assert_allclose(ours.eigenvalues_[real], theirs.eigenvalues_, rtol=1e-9)
    embedding = ours.embedding_[:, real]
    assert_allclose(theirs.embedding_ * align_signs(theirs.embedding_, embedding), embedding, atol=1e-9)


def test_of_euclidean_distances_it_is_principal_components() -> None:
    points = np.random.default_rng(0).normal(size=(40, 6)) * [6, 5, 4, 3, 2, 1]
    ours = InPCA(n_components=6, metric="precomputed").fit(cdist(points, points, "sqeuclidean"))
    pca = PCA(n_components=6).fit(points)
    scores = pca.transform(points)
    assert_allclose(scores * align_signs(scores, ours.embedding_), ours.embedding_, atol=1e-9)
    assert_allclose(ours.eigenvalues_, pca.singular_values_**2, rtol=1e-9)
    shares = pca.explained_variance_**2 / np.sum(pca.explained_variance_**2)
    assert_allclose(ours.explained_stress_[:-1], 1 - np.sqrt(1 - np.cumsum(shares)[:-1]), rtol=1e-9)


def test_new_points_are_placed_as_principal_components_place_them() -> None:
    generator = np.random.default_rng(1)
    points, new = generator.normal(size=(40, 4)), generator.normal(size=(5, 4))
    ours = InPCA(n_components=4, metric="precomputed").fit(cdist(points, points, "sqeuclidean"))
    pca = PCA(n_components=4).fit(points)
    signs = align_signs(pca.transform(points), ours.embedding_)
    assert_allclose(ours.transform(cdist(new, points, "sqeuclidean")), pca.transform(new) * signs, atol=1e-9)


@pytest.mark.parametrize("n_clusters", [2, 3, 4])
def test_the_tree_of_a_matrix_joins_what_agglomerative_clustering_does(n_clusters: int) -> None:
    differ = random_trajectories(tasks=tuple("abcdef"), n_seeds=2).predspace.matrix(of="end", with_p=False)
    clustering = AgglomerativeClustering(
        n_clusters, metric="precomputed", linkage="average", compute_full_tree=True, compute_distances=True
    ).fit(differ.distance.values)
    assert_allclose(differ.linkage[:, 2], clustering.distances_, rtol=1e-12)
    ours = fcluster(differ.linkage.values, n_clusters, "maxclust")
    assert len(set(zip(ours.tolist(), clustering.labels_.tolist(), strict=True))) == n_clusters
