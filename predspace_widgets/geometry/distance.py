"""Distances between points of prediction space.

Square roots of probabilities are points on a product of spheres; the overlap of two predictions of one sample is the
cosine of the angle between them. Definitions as in Ramesh et al. (ICML 2023, arXiv:2210.17011) and Mao et al. (PNAS
2024, arXiv:2305.01604): means over samples.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from predspace_widgets.geometry.probabilities import FLOOR, Array, as_probabilities, check_same_space

Metric = Literal["bhattacharyya", "great_circle", "symmetric_kl", "euclidean"]


def check_metric(metric: str) -> None:
    """Raise ValueError, naming the known ones, unless `metric` is a distance of this module."""
    if metric not in get_args(Metric):
        raise ValueError(f"unknown metric {metric!r}: choose one of {', '.join(get_args(Metric))}")


def squared_intervals(distances: Array, metric: str) -> Array:
    """What InPCA embeds of distances in a metric: of great-circle distances, which are lengths, the squares.

    All other distances here are squared intervals as they are, and are given back uncopied.
    """
    return np.square(distances) if metric == "great_circle" else distances


def overlaps(P: ArrayLike, Q: ArrayLike) -> Array:
    """Bhattacharyya coefficient of each sample, b_n = sum_c sqrt(P_nc Q_nc).

    Computed as ``1 - |sqrt(P_n) - sqrt(Q_n)|^2 / 2``, which keeps its digits where P and Q are close.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.

    Returns
    -------
    array, shape (..., N)
        In [0, 1].

    Raises
    ------
    ValueError
        P or Q are no probabilities (see `as_probabilities`), or differ in samples or classes.

    Examples
    --------
    >>> overlaps([[0.5, 0.5]], [[1.0, 0.0]]).round(4)
    array([0.7071])
    """
    return 1 - _overlap_deficits(P, Q)


def bhattacharyya(P: ArrayLike, Q: ArrayLike) -> Array:
    """Bhattacharyya distance, d_B = -(1/N) sum_n log max(b_n, FLOOR), in nats.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.

    Returns
    -------
    array, shape (...)
        In [0, -log FLOOR]; 0 only where P equals Q. Not a metric: the triangle inequality does not hold.

    Raises
    ------
    ValueError
        P or Q are no probabilities, or differ in samples or classes.

    Examples
    --------
    >>> float(bhattacharyya([[0.5, 0.5]], [[1.0, 0.0]]).round(6))  # -log(1 / sqrt(2))
    0.346574
    """
    p, q = _read_pair(P, Q)
    return bhattacharyya_of_roots(np.sqrt(p), np.sqrt(q))


def bhattacharyya_of_roots(root_p: Array, root_q: Array) -> Array:
    """`bhattacharyya` of probabilities that were read already, by their square roots (..., N, C)."""
    return minus_log_overlaps(_deficits_of_roots(root_p, root_q)).mean(axis=-1) + 0.0  # (..., N) -> (...)


def minus_log_overlaps(deficits: Array) -> Array:
    """-log max(b_n, FLOOR) from deficits 1 - b_n of overlaps, of any shape."""
    return -np.log1p(-np.minimum(deficits, 1 - FLOOR))


def great_circle(P: ArrayLike, Q: ArrayLike) -> Array:
    """Great-circle (geodesic) distance, d_G = (1/N) sum_n arccos(b_n), in radians.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.

    Returns
    -------
    array, shape (...)
        In [0, pi/2]. A metric.

    Raises
    ------
    ValueError
        P or Q are no probabilities, or differ in samples or classes.

    Examples
    --------
    >>> float(great_circle([[0.5, 0.5]], [[1.0, 0.0]]).round(6))  # pi / 4
    0.785398
    """
    return angles(P, Q).mean(axis=-1)  # (..., N) -> (...)


def symmetric_kl(P: ArrayLike, Q: ArrayLike) -> Array:
    """Symmetrised Kullback-Leibler divergence, d_J = (1/2N) sum_nc (P_nc - Q_nc)(log P_nc - log Q_nc), in nats.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities, raised to FLOOR where they are smaller; the leading dimensions broadcast.

    Returns
    -------
    array, shape (...)

    Raises
    ------
    ValueError
        P or Q are no probabilities, or differ in samples or classes.

    Examples
    --------
    >>> float(symmetric_kl([[0.5, 0.5]], [[0.25, 0.75]]).round(6))
    0.137327
    """
    p, q = (np.maximum(values, FLOOR) for values in _read_pair(P, Q))
    return ((p - q) * (np.log(p) - np.log(q))).sum(axis=-1).mean(axis=-1) / 2  # (..., N, C) -> (...)


def euclidean(P: ArrayLike, Q: ArrayLike) -> Array:
    """Squared Euclidean distance between square roots, (1/N) sum_nc (sqrt(P_nc) - sqrt(Q_nc))^2 = 2 - 2 mean_n b_n.

    Its InPCA is the principal component analysis of the roots. It is twice the squared Hellinger distance.

    Parameters
    ----------
    P, Q : array, shape (..., N, C)
        Probabilities; the leading dimensions broadcast.

    Returns
    -------
    array, shape (...)
        In [0, 2]. Twice `bhattacharyya` where P and Q are close; its root is a metric.

    Raises
    ------
    ValueError
        P or Q are no probabilities, or differ in samples or classes.

    Examples
    --------
    >>> float(euclidean([[0.5, 0.5]], [[1.0, 0.0]]).round(6))  # 2 - sqrt(2)
    0.585786
    """
    return 2 * _overlap_deficits(P, Q).mean(axis=-1)  # (..., N) -> (...)


def angles(P: ArrayLike, Q: ArrayLike) -> Array:
    """Angle arccos(b_n) between the predictions of each sample, shape (..., N), in radians (see `great_circle`)."""
    return angles_of_deficits(_overlap_deficits(P, Q))


def angles_of_deficits(deficits: Array) -> Array:
    """Angles arccos(b_n) from deficits 1 - b_n of overlaps, of any shape."""
    # arccos(1 - x) = 2 arcsin(sqrt(x / 2)) keeps its digits where the angle is small.
    return 2 * np.arcsin(np.sqrt(deficits / 2))


def _overlap_deficits(P: ArrayLike, Q: ArrayLike) -> Array:
    """1 - b_n, shape (..., N), in [0, 1]."""
    p, q = _read_pair(P, Q)
    return _deficits_of_roots(np.sqrt(p), np.sqrt(q))


def _deficits_of_roots(root_p: Array, root_q: Array) -> Array:
    return np.minimum(np.square(root_p - root_q).sum(axis=-1) / 2, 1.0)


def _read_pair(P: ArrayLike, Q: ArrayLike) -> tuple[Array, Array]:
    p, q = as_probabilities(P, "P"), as_probabilities(Q, "Q")
    check_same_space(p.shape, q.shape)
    return p, q


def pairwise(
    P: ArrayLike,
    Q: ArrayLike | None = None,
    metric: Metric = "bhattacharyya",
    *,
    dtype: Literal["float32", "float64"] | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Array:
    """Matrix of distances between all checkpoints of P, or from those of P to those of Q.

    Parameters
    ----------
    P : array, shape (T, N, C)
        Probabilities of T checkpoints. float16 and float32 are read tile by tile, never copied whole to float64.
    Q : array, shape (S, N, C), optional
        Probabilities in the same prediction space. Left out, distances are within P, and only half are computed.
    metric : {"bhattacharyya", "great_circle", "symmetric_kl", "euclidean"}
        Which distance; see the functions of these names.
    dtype : {"float32", "float64"}, optional
        Precision of the arithmetic. By default float32 for "bhattacharyya" and float64 for the others: an arc cosine
        near 1 and differences of overlaps from 1 or of logarithms lose too many digits in float32 (see Notes).
    device : str
        "cpu", or where torch computes, such as "cuda", which needs the extra `train`.
    threads : int, optional
        On "cpu"; by default one for each core that the process may use, or NUMBA_NUM_THREADS.

    Returns
    -------
    array, shape (T, T) or (T, S), float64
        Symmetric with a zero diagonal where Q is left out.

    Raises
    ------
    ValueError
        P or Q are not (T, N, C) probabilities or differ in samples or classes; unknown metric.
    RuntimeError
        The device is not there.
    ImportError
        Another device than "cpu" is asked for where torch is not installed.

    Notes
    -----
    The largest errors measured on a CPU, of pairs near and far: of "bhattacharyya" in float32 6e-7 up to 100 classes,
    1.1e-6 up to 200, 1.1e-5 from there to 2,000; in float64 1e-13, and 2e-11 of "symmetric_kl". Of "great_circle" in
    float64 1e-8, but for angles that are smaller than what counts as 0. Of "euclidean" in float64 1e-14.

    Points that coincide are 0 apart, with Q given too: what rounding can make of coinciding points counts as 0. With
    eps the last digit of the precision, and r(n) = (4 + n / 4) eps in float64, (4 + sqrt(n)) eps in float32, these are
    distances below r(C) of "bhattacharyya" (in float32 up to 200 classes below 4 eps, 5e-7), distances below
    -log(FLOOR) r(N C) of "symmetric_kl" and 2 r(N C) of "euclidean", and angles of a sample below sqrt(2 r(C)) of
    "great_circle".

    Examples
    --------
    >>> P = [[[0.5, 0.5]], [[1.0, 0.0]]]
    >>> pairwise(P).round(4)
    array([[0.    , 0.3466],
           [0.3466, 0.    ]])
    """
    check_metric(metric)
    # Late: numba takes a while to import, which little else in this package needs.
    from predspace_widgets.geometry import engine

    return engine.pairwise(P, Q, metric, dtype, device, threads)
