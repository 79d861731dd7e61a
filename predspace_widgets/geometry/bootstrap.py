"""Bootstrap of InPCA: pictures of resampled samples or points, turned onto the picture of all of them.

Samples enter a distance as a mean. A picture of resampled samples is therefore that of a weighted mean of the distances
of each sample, which are computed once for all draws. A point that is drawn several times counts as often.
Efron, "Bootstrap methods: another look at the jackknife" (Annals of Statistics 1979).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.linalg.blas
import scipy.optimize
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.geometry import on_cpu
from predspace_widgets.geometry.inpca import rounding_of
from predspace_widgets.geometry.probabilities import FLOOR, Array
from predspace_widgets.geometry.threads import map_threads, n_threads_or_all

# Checkpoints that are compared with all later ones at a time, and overlaps that are held then.
_TILE = 64
_OVERLAPS = 2**22
# Axes that are iterated beyond those wanted: the more, the fewer iterations.
_MORE_AXES = 20
# Iterations before all eigenvalues are computed at once: axes that hardly fall apart would take very many.
_MOST_ITERATIONS = 40
# Rows of distances that are squared at a time: of 8,000 checkpoints 8 MB, which stay in a cache.
_ROWS = 128
# What the iterations may leave of an eigenvalue, relative to the largest.
_RESIDUAL = 1e-8
# Axes that a draw may have in another order than the picture that it is turned onto.
N_CANDIDATES = 2


def weighted_distances(P: ArrayLike, weights: ArrayLike, threads: int | None = None) -> NDArray[np.float32]:
    """Bhattacharyya distances between all pairs, of several weighted means over the samples.

    Parameters
    ----------
    P : array, shape (T, N, C)
        Probabilities.
    weights : array, shape (B, N)
        Of the samples in each of B means: of a bootstrap how often each was drawn, divided by how many were drawn.
    threads : int, optional

    Returns
    -------
    array, shape (B, T (T - 1) / 2), float32
        sum_n w_n d_B(P_n, Q_n), above the diagonal, row by row, as `scipy.spatial.distance.squareform` takes them. Off
        by some 3e-7 of the largest distance, since sums are in float32.

    Raises
    ------
    ValueError
        P is no array of probabilities, or the weights are not of as many samples, negative or not finite.

    Examples
    --------
    >>> P = np.array([[[0.5, 0.5], [0.5, 0.5]], [[0.5, 0.5], [1.0, 0.0]]])
    >>> weighted_distances(P, [[0.5, 0.5], [1.0, 0.0]]).round(3) + 0.0
    array([[0.173],
           [0.   ]], dtype=float32)
    """
    values = np.asarray(weights, dtype=np.float64)
    roots = on_cpu.read_roots(P)  # (N, T, C)
    n_samples, n_points = roots.shape[:2]
    if values.ndim != 2 or values.shape[1] != n_samples:
        raise ValueError(f"weights must have shape (draws, {n_samples} samples), got {values.shape}")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ValueError("weights must be finite and not negative")
    of_samples = values.astype(np.float32)  # (B, N)
    distances = np.empty((len(values), n_points * (n_points - 1) // 2), dtype=np.float32)
    before = np.arange(n_points) * (2 * n_points - np.arange(n_points) - 1) // 2  # pairs of all earlier rows

    def fill(start: int) -> None:
        stop = min(start + _TILE, n_points)
        left, right = roots[:, start:stop], roots[:, start:].transpose(0, 2, 1)
        shape = (stop - start, n_points - start)
        total = np.zeros((len(values), shape[0] * shape[1]), dtype=np.float32)
        n = max(1, _OVERLAPS // (shape[0] * shape[1]))
        overlaps = np.empty((min(n, n_samples), *shape), dtype=np.float32)
        for k in range(0, n_samples, n):
            logs = np.matmul(left[k : k + n], right[k : k + n], out=overlaps[: n_samples - k])  # (n, t, s)
            np.log(np.clip(logs, FLOOR, 1.0, out=logs), out=logs)
            # total -= weights @ logs, which `sgemm` alone adds in place: it wants columns first.
            by_pair = logs.reshape(len(logs), -1).T
            scipy.linalg.blas.sgemm(-1.0, by_pair, of_samples[:, k : k + n].T, 1.0, total.T, overwrite_c=True)
        of_draws = total.reshape(len(values), *shape)
        for row in range(start, stop):
            n_others = n_points - row - 1
            distances[:, before[row] : before[row] + n_others] = of_draws[:, row - start, row - start + 1 :]

    map_threads(fill, range(0, n_points, _TILE), n_threads_or_all(threads))
    return distances


class Embedding(NamedTuple):
    """Result of `embed`.

    Attributes
    ----------
    coordinates : array, shape (T, k)
    eigenvalues : array, shape (k,)
        Signed, by magnitude.
    explained_stress : array, shape (k,)
    participation_ratio : float
        (tr W)^2 / |W|_F^2, of all axes; 0 where all points coincide.
    vectors : array, shape (T, k')
        Of more axes, where an `embed` of similar distances may begin.
    """

    coordinates: Array
    eigenvalues: Array
    explained_stress: Array
    participation_ratio: float
    vectors: Array


def embed(distances: Array, times: ArrayLike, n_components: int, start: Array | None = None) -> Embedding:
    """InPCA of points that count several times, or not at all: those are projected.

    It is `InPCA` of a matrix in which each point is repeated as often, without that matrix: with M the sum of the times
    m, the means in the double centring are weighted by m / M, and the eigenvectors are those of sqrt(m_i m_j) W_ij.

    Parameters
    ----------
    distances : array, shape (T, T)
        Squared intervals.
    times : array, shape (T,)
        How often each point counts.
    n_components : int
    start : array, shape (T, k'), optional
        Vectors from which the axes are found by iteration: those of similar distances are near. By default random.

    Returns
    -------
    Embedding
        Signs of axes are arbitrary.

    Raises
    ------
    ValueError
        Fewer points count than axes are wanted.

    Examples
    --------
    >>> points = np.array([0.0, 1.0, 3.0])
    >>> np.abs(embed(np.square(points[:, None] - points), [1, 1, 0], 1).coordinates[:, 0]).round(6)
    array([0.5, 0.5, 2.5])
    """
    counts = np.asarray(times, dtype=np.float64)
    n_fitted = int((counts > 0).sum())
    if n_fitted < max(2, n_components):
        raise ValueError(f"{n_fitted} points have fewer than {max(2, n_components)} axes")
    n_all, roots = counts.sum(), np.sqrt(counts)[:, None]
    means = distances @ counts / n_all  # (T,)
    mean = float(counts @ means) / n_all

    def centred(vectors: Array) -> Array:
        """-1/2 L D L of what the points that count, each as often as it does, are multiplied with."""
        weighted = roots * vectors  # (T, k)
        sums = weighted.sum(axis=0)
        products = scipy.linalg.blas.dgemm(1.0, distances.T, weighted)  # quicker than dsymm
        return np.asarray(-0.5 * (products - means[:, None] * sums - (means - mean) @ weighted))

    squares = _sum_of_squares(distances, counts) - 2 * n_all * float(counts @ means**2)
    squares = (squares + (n_all * mean) ** 2) / 4  # |W|_F^2
    if start is None:
        n_axes = min(n_components + _MORE_AXES, n_fitted)
        start = np.random.default_rng(0).standard_normal((len(counts), n_axes))
    eigenvalues, vectors, products = _axes(centred, roots, roots * start, n_components)
    rounding = rounding_of(distances) * n_all / len(counts)
    eigenvalues[np.abs(eigenvalues) <= rounding] = 0.0
    k = slice(n_components)
    scale = np.sqrt(np.abs(eigenvalues[k]))
    inverse = np.divide(np.sign(eigenvalues[k]), scale, out=np.zeros_like(scale), where=scale > 0)
    differs = np.sqrt(max(squares, 0)) > rounding  # else all points coincide
    explained = np.cumsum(eigenvalues[k] ** 2) / squares if differs else np.ones(n_components)
    return Embedding(
        products[:, k] * inverse,
        eigenvalues[k],
        1 - np.sqrt(np.clip(1 - explained, 0, 1)),
        (n_all * mean / 2) ** 2 / squares if differs else 0.0,
        np.divide(vectors, roots, out=np.zeros_like(vectors), where=roots > 0),
    )


def _sum_of_squares(distances: Array, counts: Array) -> float:
    """sum_ij m_i m_j D_ij^2."""
    starts = range(0, len(distances), _ROWS)
    return float(sum(counts[k : k + _ROWS] @ (np.square(distances[k : k + _ROWS]) @ counts) for k in starts))


def _axes(centred: Callable[[Array], Array], roots: Array, start: Array, k: int) -> tuple[Array, Array, Array]:
    """Eigenvalues (k',) by magnitude and vectors (T, k') of roots * centred, the first k of them exactly.

    Subspace iteration with Rayleigh-Ritz: from a start that is near, a few products are enough. What `centred` makes of
    the vectors comes third.
    """
    vectors = scipy.linalg.qr(start, mode="economic")[0]
    for _ in range(_MOST_ITERATIONS):
        products = centred(vectors)  # (T, k')
        multiplied = roots * products
        values, turn = scipy.linalg.eigh(vectors.T @ multiplied)
        order = np.argsort(-np.abs(values), kind="stable")
        values, turn = values[order], turn[:, order]
        residuals = multiplied @ turn[:, :k] - vectors @ (turn[:, :k] * values[:k])
        if np.abs(residuals).max() <= _RESIDUAL * max(np.abs(values).max(), np.finfo(float).tiny):
            return values, vectors @ turn, products @ turn
        vectors = scipy.linalg.qr(multiplied, mode="economic")[0]
    # Eigenvalues that hardly fall: all of them at once.
    values, vectors = scipy.linalg.eigh(roots * centred(np.eye(len(start))))
    order = np.argsort(-np.abs(values), kind="stable")[: start.shape[1]]
    return values[order], vectors[:, order], centred(vectors[:, order])


def align(coordinates: ArrayLike, signature: ArrayLike, like: ArrayLike, like_signature: ArrayLike) -> Array:
    """Coordinates turned onto those of another picture of the same points, by a signed Procrustes rotation.

    Axes are first put into the order of the other picture's, each beside the one of its sign that it is most like, for
    axes of nearly equal eigenvalues come in any order. Then real axes are turned among each other, reflections
    included, imaginary ones among each other, which leaves every squared interval as it is, and the whole is moved.
    Schoenemann, "A generalized solution of the orthogonal Procrustes problem" (Psychometrika 1966), for each sign.

    Parameters
    ----------
    coordinates : array, shape (T, k')
        On at least as many axes as the other picture has: those that agree with none are left out.
    signature : array, shape (k',)
        +1 for a real axis, -1 for an imaginary one.
    like : array, shape (T, k)
    like_signature : array, shape (k,)

    Returns
    -------
    array, shape (T, k)
        Where there are fewer axes of a sign than in the other picture, the others are 0.

    Raises
    ------
    ValueError
        Shapes that do not fit.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    >>> align(points[:, ::-1] * [1, -1], [1, 1], points, [1, 1]).round(6) + 0.0
    array([[0., 0.],
           [3., 0.],
           [0., 1.]])
    """
    X, to = np.asarray(coordinates, dtype=np.float64), np.asarray(like, dtype=np.float64)
    signs, to_signs = np.sign(np.asarray(signature)), np.sign(np.asarray(like_signature))
    if X.ndim != 2 or to.ndim != 2 or len(X) != len(to) or X.shape[1] < to.shape[1]:
        raise ValueError(f"coordinates {X.shape} cannot be turned onto {to.shape}: as many points, no fewer axes")
    if signs.shape != X.shape[1:] or to_signs.shape != to.shape[1:]:
        raise ValueError(f"signatures of {signs.size} and {to_signs.size} axes for {X.shape[1]} and {to.shape[1]}")
    centre = to.mean(axis=0)
    X, to = X - X.mean(axis=0), to - centre
    aligned = np.zeros_like(to)
    for sign in (1, -1):
        mine, others = np.flatnonzero(signs == sign), np.flatnonzero(to_signs == sign)
        agreement = np.abs(_of_unit_length(X[:, mine]).T @ _of_unit_length(to[:, others]))  # (k1, k2)
        chosen, places = scipy.optimize.linear_sum_assignment(agreement, maximize=True)
        rotation = scipy.linalg.orthogonal_procrustes(X[:, mine[chosen]], to[:, others[places]])[0]
        aligned[:, others[places]] = X[:, mine[chosen]] @ rotation
    return aligned + centre


def _of_unit_length(vectors: Array) -> Array:
    lengths = np.linalg.norm(vectors, axis=0)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
