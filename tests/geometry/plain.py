"""Every formula of the geometry once more, in plain Python loops and float64: what the tests compare with.

Written from the definitions of Ramesh et al. (ICML 2023, arXiv:2210.17011) and Quinn et al. (PNAS 2019), each in its
most direct form: slow, and with no trick that could hide a mistake. Points are lists of samples, samples lists of
probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext

FLOOR = 1e-9

Row = Sequence[float]
Point = Sequence[Row]  # (N, C)
Matrix = list[list[float]]


def overlap(p: Row, q: Row) -> float:
    return sum(math.sqrt(a * b) for a, b in zip(p, q, strict=True))


def angle(p: Row, q: Row) -> float:
    return math.acos(min(overlap(p, q), 1.0))


def bhattacharyya(P: Point, Q: Point) -> float:
    return -sum(math.log(max(overlap(p, q), FLOOR)) for p, q in zip(P, Q, strict=True)) / len(P)


def great_circle(P: Point, Q: Point) -> float:
    return sum(angle(p, q) for p, q in zip(P, Q, strict=True)) / len(P)


def symmetric_kl(P: Point, Q: Point) -> float:
    total = 0.0
    for p, q in zip(P, Q, strict=True):
        for a, b in zip(p, q, strict=True):
            a, b = max(a, FLOOR), max(b, FLOOR)
            total += (a - b) * (math.log(a) - math.log(b))
    return total / (2 * len(P))


def euclidean(P: Point, Q: Point) -> float:
    total = 0.0
    for p, q in zip(P, Q, strict=True):
        for a, b in zip(p, q, strict=True):
            total += (math.sqrt(a) - math.sqrt(b)) ** 2
    return total / len(P)


METRICS: dict[str, Callable[[Point, Point], float]] = {
    "bhattacharyya": bhattacharyya,
    "great_circle": great_circle,
    "symmetric_kl": symmetric_kl,
    "euclidean": euclidean,
}


def pairwise(P: Sequence[Point], Q: Sequence[Point], metric: str) -> Matrix:
    return [[METRICS[metric](p, q) for q in Q] for p in P]


def exact_bhattacharyya(P: Point, Q: Point) -> float:
    """d_B in 60 decimal digits, of rows that are first divided by their sums."""
    with localcontext() as context:
        context.prec = 60
        total = Decimal(0)
        for p, q in zip(P, Q, strict=True):
            a, b = [Decimal(x) for x in p], [Decimal(x) for x in q]
            total -= sum(((x * y).sqrt() for x, y in zip(a, b, strict=True)), Decimal(0)).ln()
            total += (sum(a) * sum(b)).sqrt().ln()
        return float(total / len(P))


def ignorance(n_samples: int, n_classes: int) -> Matrix:
    return [[1 / n_classes for _ in range(n_classes)] for _ in range(n_samples)]


def truth(labels: Sequence[int], n_classes: int) -> Matrix:
    return [[1.0 if c == label else 0.0 for c in range(n_classes)] for label in labels]


def geodesic(P: Point, Q: Point, t: float) -> Matrix:
    point = []
    for p, q in zip(P, Q, strict=True):
        g = angle(p, q)
        if g < 1e-7:
            point.append(list(p))
            continue
        roots = [
            (math.sin((1 - t) * g) * math.sqrt(a) + math.sin(t * g) * math.sqrt(b)) / math.sin(g)
            for a, b in zip(p, q, strict=True)
        ]
        point.append([root**2 for root in roots])
    return point


def progress(P: Point, start: Point, end: Point, metric: str) -> tuple[float, float]:
    """The argmin over t of d(P, P^t), and the minimum: a scan of the geodesic, then golden section around the best."""

    def distance(t: float) -> float:
        return METRICS[metric](P, geodesic(start, end, t))

    steps = 100
    best = min(range(steps + 1), key=lambda k: distance(k / steps))
    low, high = max(best - 1, 0) / steps, min(best + 1, steps) / steps
    shrink = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - shrink * (high - low), low + shrink * (high - low)
        if distance(left) <= distance(right):
            high = right
        else:
            low = left
    nearest = min([low, (low + high) / 2, high], key=distance)
    return nearest, distance(nearest)


def riemann_length(P: Sequence[Point]) -> float:
    return 2 * sum(math.sqrt(max(bhattacharyya(P[k], P[k + 1]), 0.0)) for k in range(len(P) - 1))


def reindex(P: Sequence[Point], progress: Sequence[float], grid: Sequence[float]) -> list[Matrix]:
    """Between the first checkpoint whose progress exceeds t and the furthest before it; no check of the range."""
    points = []
    for t in grid:
        after = next((k for k in range(len(P)) if progress[k] > t), None)
        furthest = max(progress[:after])
        before = next(k for k in range(len(P)) if progress[k] == furthest)
        if after is None:
            points.append([list(row) for row in P[before]])
        else:
            points.append(geodesic(P[before], P[after], (t - furthest) / (progress[after] - furthest)))
    return points


def trajectory_distance(
    U: Sequence[Sequence[Point]],
    V: Sequence[Sequence[Point]],
    progress_u: Sequence[Sequence[float]],
    progress_v: Sequence[Sequence[float]],
    n_points: int,
) -> tuple[float, list[float], list[float]]:
    """Distance, grid and curve."""
    everyone = [*progress_u, *progress_v]
    low, high = max(values[0] for values in everyone), min(max(values) for values in everyone)
    grid = [low + (high - low) * k / (n_points - 1) for k in range(n_points - 1)] + [high]
    means = []
    for runs, values in ((U, progress_u), (V, progress_v)):
        curves = [reindex(run, own, grid) for run, own in zip(runs, values, strict=True)]
        means.append(
            [
                [
                    [sum(curve[k][n][c] for curve in curves) / len(curves) for c in range(len(curves[0][k][n]))]
                    for n in range(len(curves[0][k]))
                ]
                for k in range(n_points)
            ]
        )
    curve = [bhattacharyya(u, v) for u, v in zip(*means, strict=True)]
    area = sum((curve[k] + curve[k + 1]) / 2 * (grid[k + 1] - grid[k]) for k in range(n_points - 1))
    return area, grid, curve


def centred(D: Matrix) -> Matrix:
    """W = -1/2 L D L with L = I - 11'/T, as two products of matrices."""
    n_points = len(D)
    everyone = range(n_points)
    L = [[(1.0 if i == j else 0.0) - 1 / n_points for j in everyone] for i in everyone]
    LD = [[sum(L[i][k] * D[k][j] for k in everyone) for j in everyone] for i in everyone]
    return [[-0.5 * sum(LD[i][k] * L[k][j] for k in everyone) for j in everyone] for i in everyone]


def eigenpairs(W: Matrix) -> list[tuple[float, list[float]]]:
    """Eigenvalues and eigenvectors of a symmetric matrix by Jacobi rotations, largest magnitude first."""
    size = len(W)
    A = [list(row) for row in W]
    V = [[1.0 if i == j else 0.0 for j in range(size)] for i in range(size)]
    scale = math.sqrt(sum(a * a for row in A for a in row))
    for _ in range(60):
        if math.sqrt(sum(A[i][j] ** 2 for i in range(size) for j in range(size) if i != j)) <= 1e-15 * scale:
            break
        for i in range(size):
            for j in range(i + 1, size):
                turn = 0.5 * math.atan2(2 * A[i][j], A[j][j] - A[i][i])
                cosine, sine = math.cos(turn), math.sin(turn)
                for k in range(size):
                    A[k][i], A[k][j] = cosine * A[k][i] - sine * A[k][j], sine * A[k][i] + cosine * A[k][j]
                for k in range(size):
                    A[i][k], A[j][k] = cosine * A[i][k] - sine * A[j][k], sine * A[i][k] + cosine * A[j][k]
                for k in range(size):
                    V[k][i], V[k][j] = cosine * V[k][i] - sine * V[k][j], sine * V[k][i] + cosine * V[k][j]
    pairs = [(A[i][i], [V[k][i] for k in range(size)]) for i in range(size)]
    return sorted(pairs, key=lambda pair: -abs(pair[0]))


def explained_stress(eigenvalues: Sequence[float], n_axes: int) -> list[float]:
    """Of the first 1, 2, ... axes; takes the full spectrum, largest magnitude first."""
    total = sum(value**2 for value in eigenvalues)
    return [1 - math.sqrt(max(1 - sum(value**2 for value in eigenvalues[: k + 1]) / total, 0.0)) for k in range(n_axes)]


def transform(d: Row, D: Matrix, eigenvalue: float, vector: Row) -> float:
    """One coordinate of a new point, whose distances to the fitted points are d."""
    n_points = len(D)
    row_means = [sum(row) / n_points for row in D]
    mean = sum(row_means) / n_points
    own = sum(d) / n_points
    projected = sum(vector[j] * -0.5 * (d[j] - own - row_means[j] + mean) for j in range(n_points))
    return math.copysign(1.0, eigenvalue) / math.sqrt(abs(eigenvalue)) * projected
