"""InPCA: intensive principal component analysis of points of prediction space.

Quinn, Clement, De Bernardis, Niemack and Sethna, "Visualizing probabilistic models and data with intensive principal
component analysis" (PNAS 2019); used on trainings in Ramesh et al. (ICML 2023) and Mao et al. (PNAS 2024).
"""

from __future__ import annotations

import contextlib
import itertools
from typing import Any, Self

import numpy as np
import scipy.linalg
import scipy.linalg.blas
import scipy.sparse.linalg
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from predspace_widgets.geometry.distance import check_metric, pairwise
from predspace_widgets.geometry.probabilities import Array

# Eigenvalues below this share of the norm of W are rounding: their axes hold nothing.
_NOISE = 1e-12
# From this many points on a few axes come faster from Lanczos iterations than from the full spectrum.
_ITERATIVE_FROM = 300
# Of an eigenvalue: what the iterations may leave, and what the check of their result lets pass, of the largest.
_TOLERANCE = 1e-9
_RESIDUAL = 1e-6
# Points to a side of a block that fits a core's cache.
_BLOCK = 128


class InPCA(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Embedding of checkpoints by their pairwise distances, real and imaginary axes ordered by magnitude.

    W = -1/2 L D L with L = I - 11'/T and D the pairwise distances; W = U diag(lambda) U'; the coordinates are
    sqrt(abs(lambda_i)) U_i, the largest abs(lambda_i) first. An axis with lambda_i < 0 is imaginary: squared intervals
    add with the sign of lambda_i. Signs are fixed: the coordinate of largest magnitude of each axis is positive.

    Parameters
    ----------
    n_components : int
        Number of axes, at most the number of points.
    metric : {"bhattacharyya", "great_circle", "symmetric_kl", "precomputed"}
        Distance between points. With "precomputed", `fit` takes D (T, T) and `transform` distances (n, T).

    Attributes
    ----------
    embedding_ : array, shape (T, n_components)
        Coordinates of the fitted points.
    eigenvalues_ : array, shape (n_components,)
        Signed, by magnitude.
    signature_ : array of int, shape (n_components,)
        +1 for a real axis, -1 for an imaginary one.
    explained_stress_ : array, shape (n_components,)
        Of the first 1, 2, ... axes: 1 - sqrt(1 - sum_{i<=k} lambda_i^2 / |W|_F^2). 1 where all points coincide.

    Examples
    --------
    >>> from predspace_widgets.geometry import geodesic, ignorance, truth
    >>> P = geodesic(ignorance(2, 3), truth([0, 2], 3), [0.0, 0.3, 0.6, 1.0])
    >>> inpca = InPCA(n_components=2).fit(P)
    >>> inpca.embedding_.shape
    (4, 2)
    """

    def __init__(self, n_components: int = 3, metric: str = "bhattacharyya") -> None:
        self.n_components = n_components
        self.metric = metric

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find the axes.

        Parameters
        ----------
        X : array, shape (T, N, C), or (T, T) with metric="precomputed"
            Probabilities, or distances.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            Fewer than two points, more axes than points, an unknown metric, distances that are not finite or not
            symmetric, or X is no array of probabilities.
        """
        if self.metric == "precomputed":
            distances = _check_distances(X)
        else:
            check_metric(self.metric)
            distances = pairwise(X, metric=self.metric)  # type: ignore[arg-type]
            self._fit_points = X
        n_points = len(distances)
        if n_points < 2:
            raise ValueError(f"InPCA needs at least two checkpoints, got {n_points}")
        if not (isinstance(self.n_components, int | np.integer) and 1 <= self.n_components <= n_points):
            raise ValueError(
                f"n_components must be a whole number from 1 to the {n_points} points, got {self.n_components}"
            )

        self._row_means = distances.mean(axis=1)  # (T,)
        centred = _double_centre(distances, self._row_means)  # W, (T, T)
        total = float(np.vdot(centred, centred))
        eigenvalues, vectors = _largest_eigenpairs(centred, self.n_components)
        eigenvalues[np.abs(eigenvalues) <= _NOISE * np.sqrt(total)] = 0.0
        explained = np.cumsum(eigenvalues**2) / total if total > 0 else np.ones(self.n_components)

        self.eigenvalues_ = eigenvalues
        self.signature_ = np.where(eigenvalues < 0, -1, 1)
        self.explained_stress_ = 1 - np.sqrt(np.clip(1 - explained, 0.0, 1.0))
        self._vectors = _fix_signs(vectors)  # (T, k)
        self.embedding_ = self._vectors * np.sqrt(np.abs(eigenvalues))  # (T, k)
        return self

    def fit_transform(self, X: ArrayLike, y: Any = None, **fit_params: Any) -> Array:
        """`fit`, and the coordinates of the fitted points, shape (T, n_components)."""
        return self.fit(X, y).embedding_

    def transform(self, X: ArrayLike) -> Array:
        """Coordinates of further points in the fitted picture; a fitted point lands on itself.

        With d the distances to the T fitted points, m the row means of D and mm their mean:
        x_i = sign(lambda_i) abs(lambda_i)^(-1/2) sum_j U_ji * (-1/2)(d_j - mean(d) - m_j + mm).

        Parameters
        ----------
        X : array, shape (n, N, C), or (n, T) with metric="precomputed"
            Probabilities, or distances to the fitted points.

        Returns
        -------
        array, shape (n, n_components)

        Raises
        ------
        ValueError
            The points lie in another prediction space, or the distances are not those to all fitted points.
        sklearn.exceptions.NotFittedError
            Before `fit`.
        """
        check_is_fitted(self, "embedding_")
        if self.metric == "precomputed":
            distances = np.asarray(X, dtype=np.float64)
            if distances.ndim != 2 or distances.shape[1] != len(self.embedding_):
                raise ValueError(f"expected distances to {len(self.embedding_)} points, got shape {distances.shape}")
        else:
            distances = pairwise(X, self._fit_points, metric=self.metric)  # type: ignore[arg-type]
        centred = -0.5 * (
            distances - distances.mean(axis=1, keepdims=True) - self._row_means + self._row_means.mean()
        )  # (n, T)
        scale = np.sqrt(np.abs(self.eigenvalues_))
        inverse = np.divide(self.signature_, scale, out=np.zeros_like(scale), where=scale > 0)
        coordinates: Array = centred @ self._vectors * inverse  # (n, k)
        return coordinates


def align_signs(embedding: ArrayLike, reference: ArrayLike) -> Array:
    """The embedding with its axes flipped, where that brings it closer to a reference picture of the same points.

    Eigenvectors have no sign of their own; a live picture takes the signs of the one before, so that nothing flips.

    Parameters
    ----------
    embedding, reference : array, shape (T, k)
        Coordinates of the same points, old and new.

    Returns
    -------
    array, shape (k,)
        +1 or -1 an axis: multiply the embedding with it.

    Raises
    ------
    ValueError
        The shapes differ.

    Examples
    --------
    >>> align_signs([[1.0, 2.0], [-1.0, -2.0]], [[-1.0, 2.0], [1.0, -2.0]])
    array([-1.,  1.])
    """
    new, old = np.asarray(embedding, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if new.shape != old.shape:
        raise ValueError(f"embedding and reference differ in shape: {new.shape} and {old.shape}")
    agreement = ((new - new.mean(axis=0)) * (old - old.mean(axis=0))).sum(axis=0)
    return np.where(agreement < 0, -1.0, 1.0)


def _check_distances(X: ArrayLike) -> Array:
    distances = np.asarray(X, dtype=np.float64)
    if distances.ndim != 2 or distances.shape[0] != distances.shape[1]:
        raise ValueError(f"precomputed distances must be a square matrix, got shape {distances.shape}")
    if not np.all(np.isfinite(distances)):
        raise ValueError("precomputed distances must be finite")
    if not _is_symmetric(distances):
        raise ValueError("precomputed distances must be symmetric")
    return distances


def _is_symmetric(distances: Array) -> bool:
    """Up to rounding. Square blocks, since both they and their transpose must fit a cache to be read quickly."""
    starts = range(0, len(distances), _BLOCK)
    for i, j in itertools.combinations_with_replacement(starts, 2):
        block, other = distances[i : i + _BLOCK, j : j + _BLOCK], distances[j : j + _BLOCK, i : i + _BLOCK].T
        if not (np.array_equal(block, other) or np.allclose(block, other, rtol=1e-6, atol=1e-9)):
            return False
    return True


def _double_centre(distances: Array, row_means: Array) -> Array:
    centred = np.empty_like(distances)
    mean = row_means.mean()
    for start in range(0, len(distances), _BLOCK):  # rows that stay in a cache from the first step to the last
        rows = slice(start, start + _BLOCK)
        np.subtract(distances[rows], row_means, out=centred[rows])
        centred[rows] -= (row_means[rows] - mean)[:, None]
        centred[rows] *= -0.5
    return centred


def _largest_eigenpairs(matrix: Array, k: int) -> tuple[Array, Array]:
    """The k eigenvalues of largest magnitude of a symmetric matrix, in that order, and their vectors (T, k)."""
    n_points = len(matrix)
    found = None
    if n_points >= _ITERATIVE_FROM and k <= n_points // 10:
        start = np.random.default_rng(0).standard_normal(n_points)
        # Products by scipy read half of the matrix, and numpy's threads would wait for those of eigsh.
        product = scipy.sparse.linalg.LinearOperator(
            matrix.shape, matvec=lambda vector: scipy.linalg.blas.dsymv(1.0, matrix.T, vector), dtype=matrix.dtype
        )
        with contextlib.suppress(scipy.sparse.linalg.ArpackError):  # all points coincide, or no convergence
            found = scipy.sparse.linalg.eigsh(product, k, which="LM", v0=start, tol=_TOLERANCE)
    if found is None or not _are_eigenpairs(matrix, *found):
        found = scipy.linalg.eigh(matrix)  # the full spectrum always comes
    eigenvalues, vectors = found
    order = np.argsort(-np.abs(eigenvalues), kind="stable")[:k]
    return eigenvalues[order], vectors[:, order]


def _are_eigenpairs(matrix: Array, eigenvalues: Array, vectors: Array) -> bool:
    """Whether vectors (T, k) of length 1 at right angles to each other are what the matrix only stretches."""
    residuals = np.linalg.norm(matrix @ vectors - vectors * eigenvalues, axis=0)
    overlaps = np.abs(vectors.T @ vectors - np.eye(len(eigenvalues)))
    return bool(residuals.max() <= _RESIDUAL * np.abs(eigenvalues).max() and overlaps.max() <= _RESIDUAL)


def _fix_signs(vectors: Array) -> Array:
    """The vectors (T, k) with the entry of largest magnitude of each made positive."""
    largest = np.argmax(np.abs(vectors), axis=0)
    signs = np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return vectors * signs
