"""InPCA: intensive principal component analysis of points of prediction space.

Quinn, Clement, De Bernardis, Niemack and Sethna, "Visualizing probabilistic models and data with intensive principal
component analysis" (PNAS 2019); used on trainings in Ramesh et al. (ICML 2023) and Mao et al. (PNAS 2024).
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.linalg
import scipy.linalg.blas
import scipy.sparse.linalg
from numpy.typing import ArrayLike

from predspace_widgets.geometry.distance import check_metric, pairwise, squared_intervals
from predspace_widgets.geometry.estimator import BaseEstimator, NotFittedError, TransformerMixin
from predspace_widgets.geometry.landmarks import check_landmarks, choose_landmarks, draw_evenly
from predspace_widgets.geometry.probabilities import Array

# Doubly centred distances are sums and differences of a few distances, each rounded to its last digit, and the rounding
# of T x T of them adds up to no more than T times this share of the largest.
_ROUNDING = 16 * float(np.finfo(np.float64).eps)
# Of the largest distance: by how much two distances that are the same may differ.
_ASYMMETRY = 1e-9
# From this many points on a few axes come faster from Lanczos iterations than from the full spectrum.
_ITERATIVE_FROM = 300
# Of an eigenvalue: what the iterations may leave, and what the check of their result lets pass, of the largest.
_TOLERANCE = 1e-9
_RESIDUAL = 1e-6
# Axes that are fitted to landmarks beyond those wanted: some matter more to all points than to the landmarks.
_MORE_AXES = 20
# Points that are projected at a time.
_ROWS = 4096
# Points to a side of a block that fits a core's cache.
_BLOCK = 128


class InPCA(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Embedding of checkpoints by their pairwise distances, real and imaginary axes ordered by magnitude.

    W = -1/2 L D L with L = I - 11'/T and D the pairwise distances; W = U diag(lambda) U'; the coordinates are
    sqrt(abs(lambda_i)) U_i, the largest abs(lambda_i) first. An axis with lambda_i < 0 is imaginary: squared intervals
    add with the sign of lambda_i. Signs are fixed: the coordinate of largest magnitude of each axis is positive.

    D holds squared intervals. Bhattacharyya distances and symmetrised divergences are such, and so are "euclidean"
    distances, between square roots of probabilities, whose picture is their principal component analysis. Great-circle
    distances are lengths, and are squared, so that a geodesic is a straight line. An eigenvalue that may come from the
    rounding of D, which is relative to the largest distance, counts as 0: a factor of D changes no stress.

    Parameters
    ----------
    n_components : int
        Number of axes, at most the number of points.
    metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean", "precomputed"}
        Distance between points; "great_circle" embeds its square. With "precomputed", `fit` takes D (T, T) and
        `transform` (n, T), squared distances that are embedded as they are.
    landmarks : int or array of int, shape (m,), optional
        For more points than a T x T matrix can hold: axes are fitted to m of them, to which alone all others are
        measured and projected (see `transform`); then they are turned to where the coordinates of all points have
        theirs (landmarks are spread out, so their own axes are others). A number chooses that many (see
        `choose_landmarks`); indices name them, and then `fit` and `transform` take precomputed distances to these,
        (T, m) and (n, m).
    random_state : int
        Seed of the choice of landmarks.

    Attributes
    ----------
    embedding_ : array, shape (T, n_components)
        Coordinates of the fitted points.
    eigenvalues_ : array, shape (n_components,)
        Signed, by magnitude.
    signature_ : array of int, shape (n_components,)
        +1 for a real axis, -1 for an imaginary one.
    explained_stress_ : array, shape (n_components,)
        Of the first 1, 2, ... axes: ``1 - sqrt(1 - sum_{i<=k} lambda_i^2 / |W|_F^2)``. 1 where all points coincide.
    landmarks_ : array of int, shape (m,)
        Only with landmarks: their indices. The eigenvalues are then those of all points, as far as the coordinates go,
        and the explained stress is that of the landmarks' distances by their coordinates (see `explained_stress`).
    held_out_stress_ : array, shape (n_components,), or None
        Only with landmarks: the explained stress of all points (see `explained_stress`), or of 1,000 drawn evenly from
        all of them, landmarks included, whose distances to each other no axis was fitted to. Where it falls behind
        `explained_stress_`, the landmarks miss something. None where distances among others are not given.

    Examples
    --------
    >>> from predspace_widgets.geometry import geodesic, ignorance, truth
    >>> P = geodesic(ignorance(2, 3), truth([0, 2], 3), [0.0, 0.3, 0.6, 1.0])
    >>> inpca = InPCA(n_components=2).fit(P)
    >>> inpca.embedding_.shape
    (4, 2)
    """

    def __init__(
        self,
        n_components: int = 3,
        metric: str = "bhattacharyya",
        landmarks: int | ArrayLike | None = None,
        random_state: int = 0,
    ) -> None:
        self.n_components = n_components
        self.metric = metric
        self.landmarks = landmarks
        self.random_state = random_state

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
            Fewer than two points, more axes than points (or landmarks), landmarks that are not fewer than the points,
            an unknown metric, distances that are not finite or not symmetric, or X is no array of probabilities.
        """
        if self.metric != "precomputed":
            check_metric(self.metric)
        if self.landmarks is not None:
            self._fit_landmarks(X)
        else:
            distances = _check_distances(X) if self.metric == "precomputed" else self._squared_distances(X)
            self._fit_points = None if self.metric == "precomputed" else X
            self._axes = self._fit_axes(distances)
            self._turn: _Turn | None = None
            self.eigenvalues_ = self._axes.eigenvalues
            self.explained_stress_ = self._axes.explained_stress
            for name in ("landmarks_", "held_out_stress_"):  # of an earlier fit with landmarks
                self.__dict__.pop(name, None)
            self.embedding_ = self._axes.vectors * np.sqrt(np.abs(self.eigenvalues_))  # (T, k)
        self.signature_ = np.where(self.eigenvalues_ < 0, -1, 1)
        return self

    def _fit_axes(self, distances: Array) -> _Axes:
        """Axes from the distances (T, T) among points, as many as are wanted, or among landmarks, some more."""
        n_points, what = len(distances), "points" if self.landmarks is None else "landmarks"
        if n_points < 2:
            raise ValueError(f"InPCA needs at least two checkpoints, got {n_points} {what}")
        if not (isinstance(self.n_components, int | np.integer) and 1 <= self.n_components <= n_points):
            raise ValueError(
                f"n_components must be a whole number from 1 to the {n_points} {what}, got {self.n_components}"
            )
        if self.landmarks is None:
            return _fit_axes(distances, self.n_components)
        # Not the axes of the smallest eigenvalues, which are noise that a projection magnifies.
        return _fit_axes(distances, max(self.n_components, min(self.n_components + _MORE_AXES, n_points // 2)))

    def _fit_landmarks(self, X: ArrayLike) -> None:
        """Axes from landmarks, turned to those of all points, and what this costs."""
        values: Any = X if hasattr(X, "shape") else np.asarray(X)
        are_given, are_distances = np.ndim(self.landmarks) > 0, self.metric == "precomputed"  # type: ignore[arg-type]
        if are_distances:
            n_given = np.size(self.landmarks)  # type: ignore[arg-type]
            values = _check_distances_to(values, n_given) if are_given else _check_distances(values)

        def among(rows: Any, columns: Any) -> Array:
            if are_distances:
                given: Array = values[rows][:, columns]
                return given
            return self._squared_distances(values[rows], values[columns])

        every = slice(None)  # a view of all points, not a copy
        if are_given:
            self.landmarks_ = check_landmarks(self.landmarks, len(values))  # type: ignore[arg-type]
            distances = values if are_distances else among(every, self.landmarks_)
        else:
            n_landmarks: Any = self.landmarks
            self.landmarks_, distances = choose_landmarks(
                lambda chosen: among(every, chosen), len(values), n_landmarks, self.random_state
            )
        of_landmarks = distances[self.landmarks_]
        # Of predictions the two halves are rounded differently; given ones may be wrong.
        of_landmarks = _check_distances(of_landmarks) if are_distances else (of_landmarks + of_landmarks.T) / 2
        self._axes = self._fit_axes(of_landmarks)
        self._fit_points = None if are_distances else values[self.landmarks_]
        projected = self._axes.project(distances)  # (T, k'), of more axes than are wanted
        self.eigenvalues_, turn = _turned(projected, self._axes.eigenvalues, self.n_components, rounding_of(distances))
        self.embedding_ = turn(projected)
        self._turn = turn

        signature = np.sign(self.eigenvalues_)
        self.explained_stress_ = explained_stress(self.embedding_[self.landmarks_], signature, of_landmarks)
        self.held_out_stress_ = None
        if not (are_given and are_distances):
            drawn = draw_evenly(len(values), self.random_state)
            of_drawn = among(drawn, drawn) if are_distances else self._squared_distances(values[drawn])
            self.held_out_stress_ = explained_stress(self.embedding_[drawn], signature, of_drawn)

    def _squared_distances(self, P: ArrayLike, Q: ArrayLike | None = None) -> Array:
        """The distances (T, T) or (T, S) that are embedded: squared intervals, whatever the metric."""
        return squared_intervals(pairwise(P, Q, metric=self.metric), self.metric)  # type: ignore[arg-type]

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
        if not hasattr(self, "embedding_"):
            raise NotFittedError("this InPCA is not fitted yet: call fit before transform")
        if self.metric == "precomputed":
            distances = np.asarray(X, dtype=np.float64)
            n_fitted = len(self._axes.row_means)
            if distances.ndim != 2 or distances.shape[1] != n_fitted:
                raise ValueError(f"expected distances to {n_fitted} points, got shape {distances.shape}")
        else:
            distances = self._squared_distances(X, self._fit_points)
        projected = self._axes.project(distances)
        return projected if self._turn is None else self._turn(projected)


@dataclass(frozen=True)
class _Axes:
    """Axes of some points: eigenvalues (k,) and eigenvectors (T, k) of W, and the row means (T,) of D."""

    row_means: Array
    eigenvalues: Array
    vectors: Array
    explained_stress: Array

    def project(self, distances: Array) -> Array:
        """Coordinates (n, k) of points by their distances (n, T) to these."""
        scale = np.sqrt(np.abs(self.eigenvalues))
        inverse = np.divide(np.sign(self.eigenvalues), scale, out=np.zeros_like(scale), where=scale > 0)
        coordinates = np.empty((len(distances), len(scale)))
        for start in range(0, len(distances), _ROWS):
            rows = distances[start : start + _ROWS]
            centred = -0.5 * (rows - rows.mean(axis=1, keepdims=True) - self.row_means + self.row_means.mean())
            coordinates[start : start + _ROWS] = centred @ self.vectors * inverse  # (n, T) @ (T, k)
        return coordinates


@dataclass(frozen=True)
class _Turn:
    """From coordinates (n, k') of landmark axes to those of all points, (n, k)."""

    centre: Array
    matrix: Array

    def __call__(self, coordinates: Array) -> Array:
        return (coordinates - self.centre) @ self.matrix


def _fit_axes(distances: Array, k: int) -> _Axes:
    row_means = distances.mean(axis=1)  # (T,)
    centred = _double_centre(distances, row_means)  # W, (T, T)
    # All large products are by scipy: numpy's threads and scipy's would wait for each other.
    total = float(scipy.linalg.blas.ddot(centred.ravel(), centred.ravel()))
    eigenvalues, vectors = _largest_eigenpairs(centred, k)
    rounding = rounding_of(distances)
    eigenvalues[np.abs(eigenvalues) <= rounding] = 0.0
    explained = np.cumsum(eigenvalues**2) / total if np.sqrt(total) > rounding else np.ones(k)
    stress = 1 - np.sqrt(np.clip(1 - explained, 0.0, 1.0))
    return _Axes(row_means, eigenvalues, vectors * _signs(vectors), stress)


def rounding_of(distances: Array) -> float:
    """What rounding of distances (T, m) can make, at most, of the norm of W (T, T) and of its eigenvalues."""
    return _ROUNDING * len(distances) * _largest(distances)


def _largest(distances: Array) -> float:
    """The largest absolute value, or one that is not finite if there is any."""
    return max(float(distances.max(initial=0.0)), -float(distances.min(initial=0.0)))


def _turned(projected: Array, eigenvalues: Array, k: int, rounding: float) -> tuple[Array, _Turn]:
    """The k largest eigenvalues of W = X S X', X the centred coordinates (T, k') of all points, and their axes.

    With G = X'X, W and sqrt(G) S sqrt(G) have the same eigenvalues, and U = X G^(-1/2) V where V are the eigenvectors
    of the latter: so (k', k') matrices are enough.
    """
    centre = projected.mean(axis=0)
    X = projected - centre
    squares, basis = scipy.linalg.eigh(X.T @ X)
    root = np.sqrt(np.maximum(squares, 0))
    inverse = np.divide(1, root, out=np.zeros_like(root), where=squares > rounding)
    turned_eigenvalues, vectors = scipy.linalg.eigh((basis * root).T @ (np.sign(eigenvalues)[:, None] * (basis * root)))
    turned_eigenvalues[np.abs(turned_eigenvalues) <= rounding] = 0.0
    order = np.argsort(-np.abs(turned_eigenvalues), kind="stable")[:k]
    matrix = (basis * inverse) @ vectors[:, order] * np.sqrt(np.abs(turned_eigenvalues[order]))  # (k', k)
    return turned_eigenvalues[order], _Turn(centre, matrix * _signs(X @ matrix))


def explained_stress(embedding: ArrayLike, signature: ArrayLike, distances: ArrayLike) -> Array:
    """How much of the centred distances among points their coordinates explain, by the first 1, 2, ... axes.

    1 - |W - X S X'|_F / |W|_F, with W the doubly centred distances, X the centred coordinates and S the signature. Of
    the points that InPCA was fitted to it is `explained_stress_`; of others it tells how well they are projected.

    Parameters
    ----------
    embedding : array, shape (n, k)
        Coordinates of the points.
    signature : array, shape (k,)
        +1 for a real axis, -1 for an imaginary one.
    distances : array, shape (n, n)
        Among the same points.

    Returns
    -------
    array, shape (k,)
        At most 1; 1 where all points coincide. Negative where the coordinates are worse than none.

    Raises
    ------
    ValueError
        Shapes that do not fit, or distances that are not finite or not symmetric.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    >>> squares = np.square(points[:, None] - points[None]).sum(axis=-1)
    >>> explained_stress(points, [1, 1], squares).round(2)
    array([0.89, 1.  ])
    """
    D = _check_distances(distances)
    X, signs = np.asarray(embedding, dtype=np.float64), np.asarray(signature, dtype=np.float64)
    if X.ndim != 2 or X.shape != (len(D), len(signs)):
        raise ValueError(
            f"embedding, signature and distances do not fit: their shapes are {X.shape}, {signs.shape}, {D.shape}"
        )
    W = _double_centre(D, D.mean(axis=1))  # (n, n)
    X = X - X.mean(axis=0)
    # |W - XSX'|^2 = |W|^2 - 2 tr(S X'WX) + |XSX'|^2, whose last two terms are sums over axes and over pairs of them.
    total = float(np.square(W).sum())
    if np.sqrt(total) <= rounding_of(D):  # all points coincide
        return np.ones(len(signs))
    crossed = np.cumsum(signs * np.einsum("nk,nk->k", X, W @ X))
    squares = np.square(X.T @ X) * np.outer(signs, signs)
    own = np.array([squares[:k, :k].sum() for k in range(1, len(signs) + 1)])
    return 1 - np.sqrt(np.maximum(total - 2 * crossed + own, 0) / total)


def spectrum(distances: ArrayLike) -> Array:
    """All eigenvalues of W, of which `InPCA` gives the first: signed, by magnitude.

    Parameters
    ----------
    distances : array, shape (T, T)
        Squared intervals, as InPCA embeds them with metric="precomputed".

    Returns
    -------
    array, shape (T,)
        What may come from the rounding of the distances is 0.

    Raises
    ------
    ValueError
        They are not square, not finite or not symmetric.

    Examples
    --------
    >>> points = np.array([0.0, 3.0, 6.0])
    >>> spectrum(np.square(points[:, None] - points)).round(6)
    array([18.,  0.,  0.])
    """
    D = _check_distances(distances)
    eigenvalues = scipy.linalg.eigvalsh(_double_centre(D, D.mean(axis=1)), overwrite_a=True)
    eigenvalues[np.abs(eigenvalues) <= rounding_of(D)] = 0.0
    return np.asarray(eigenvalues[np.argsort(-np.abs(eigenvalues), kind="stable")])


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
    largest = _largest(distances)
    if not np.isfinite(largest):
        raise ValueError("precomputed distances must be finite")
    if not _is_symmetric(distances, _ASYMMETRY * largest):
        raise ValueError("precomputed distances must be symmetric")
    return distances


def _is_symmetric(distances: Array, rounding: float) -> bool:
    """Up to rounding, of float32 or what is given. Square blocks, which fit a cache together with their transpose."""
    starts = range(0, len(distances), _BLOCK)
    for i, j in itertools.combinations_with_replacement(starts, 2):
        block, other = distances[i : i + _BLOCK, j : j + _BLOCK], distances[j : j + _BLOCK, i : i + _BLOCK].T
        if not (np.array_equal(block, other) or np.allclose(block, other, rtol=1e-6, atol=rounding)):
            return False
    return True


def _check_distances_to(X: ArrayLike, n_landmarks: int) -> Array:
    distances = np.asarray(X, dtype=np.float64)
    if distances.ndim != 2 or distances.shape[1] != n_landmarks:
        raise ValueError(f"expected distances from all points to {n_landmarks} landmarks, got shape {distances.shape}")
    if not np.isfinite(_largest(distances)):
        raise ValueError("precomputed distances must be finite")
    return distances


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
    eigenpairs = None
    if n_points >= _ITERATIVE_FROM and k <= n_points // 10:
        start = np.random.default_rng(0).standard_normal(n_points)
        # By scipy, which reads half of the matrix. numpy's own threads would keep those of eigsh waiting.
        product = scipy.sparse.linalg.LinearOperator(
            matrix.shape, matvec=lambda vector: scipy.linalg.blas.dsymv(1.0, matrix.T, vector), dtype=matrix.dtype
        )
        with contextlib.suppress(scipy.sparse.linalg.ArpackError):  # all points coincide, or no convergence
            eigenpairs = scipy.sparse.linalg.eigsh(product, k, which="LM", v0=start, tol=_TOLERANCE)
    if eigenpairs is None or not _are_eigenpairs(matrix, *eigenpairs):
        eigenpairs = scipy.linalg.eigh(matrix)  # the full spectrum always comes
    eigenvalues, vectors = eigenpairs
    order = np.argsort(-np.abs(eigenvalues), kind="stable")[:k]
    return eigenvalues[order], vectors[:, order]


def _are_eigenpairs(matrix: Array, eigenvalues: Array, vectors: Array) -> bool:
    """Whether vectors (T, k) of length 1 at right angles to each other are what the matrix only stretches."""
    residuals = np.linalg.norm(scipy.linalg.blas.dsymm(1.0, matrix.T, vectors) - vectors * eigenvalues, axis=0)
    overlaps = np.abs(vectors.T @ vectors - np.eye(len(eigenvalues)))
    return bool(residuals.max() <= _RESIDUAL * np.abs(eigenvalues).max() and overlaps.max() <= _RESIDUAL)


def _signs(vectors: Array) -> Array:
    """Signs (k,) that make the entry of largest magnitude of each of the vectors (T, k) positive."""
    largest = np.argmax(np.abs(vectors), axis=0)
    return np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
