"""What hypothesis draws: points of prediction space with the corners that break formulas, and true labels."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

shapes = st.tuples(st.integers(1, 4), st.integers(2, 5))  # (samples, classes)
fractions = st.floats(0.0, 1.0)
seeds = st.integers(0, 2**32 - 1)


def rows(n_classes: int) -> st.SearchStrategy[np.ndarray]:
    """One sample's probabilities: any weights (exact zeros among them), one-hot, uniform or nearly certain."""
    weights = st.lists(st.integers(0, 20), min_size=n_classes, max_size=n_classes).filter(any)
    one_hot = st.integers(0, n_classes - 1).map(lambda c: np.eye(n_classes)[c])
    sharp = st.builds(
        lambda c, k: np.where(np.arange(n_classes) == c, 1.0, 10.0**-k),
        st.integers(0, n_classes - 1),
        st.integers(1, 30),
    )
    drawn = st.one_of(weights.map(lambda w: np.array(w, dtype=float)), one_hot, st.just(np.ones(n_classes)), sharp)
    return drawn.map(lambda row: row / row.sum())


@st.composite
def points(draw: st.DrawFn, count: int | None = None, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Array (count, N, C) of points of one prediction space; some repeat the one before, exactly or nearly.

    Without a count, the array is one point (N, C).
    """
    n_samples, n_classes = shape or draw(shapes)
    drawn: list[np.ndarray] = []
    for _ in range(count or 1):
        kind = draw(st.sampled_from(["fresh", "fresh", "near", "same"])) if drawn else "fresh"
        if kind == "fresh":
            point = np.stack([draw(rows(n_classes)) for _ in range(n_samples)])  # (N, C)
        elif kind == "near":
            shift = 10.0 ** -draw(st.integers(2, 15))
            noise = np.random.default_rng(draw(seeds)).uniform(-1, 1, (n_samples, n_classes))
            point = drawn[-1] * (1 + shift * noise)
            point = point / point.sum(axis=-1, keepdims=True)
        else:
            point = drawn[-1].copy()
        drawn.append(point)
    return np.stack(drawn) if count else drawn[0]


@st.composite
def labelled_spaces(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """True labels (N,) of some samples, and the number of classes."""
    n_samples, n_classes = draw(shapes)
    return np.array(draw(st.lists(st.integers(0, n_classes - 1), min_size=n_samples, max_size=n_samples))), n_classes
