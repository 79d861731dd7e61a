"""Bootstrap of InPCA as arrays: equal to InPCA of what was drawn, written out; turned without changing an interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from predspace_widgets.geometry import InPCA, pairwise
from predspace_widgets.geometry.bootstrap import align, embed, weighted_distances

SEEDS = st.integers(0, 2**32 - 1)


def predictions(n_points: int, n_samples: int, n_classes: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.5), (n_points, n_samples))


def condensed(distances: np.ndarray) -> np.ndarray:
    return distances[np.triu_indices(len(distances), 1)]


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 5), SEEDS)
def test_weights_are_how_often_a_sample_counts(n_points: int, n_samples: int, n_classes: int, seed: int) -> None:
    P = predictions(n_points, n_samples, n_classes, seed)
    times = np.random.default_rng(seed).multinomial(n_samples, np.full(n_samples, 1 / n_samples), 3)
    expected = [condensed(pairwise(np.repeat(P, of_draw, axis=1), dtype="float64")) for of_draw in times]
    np.testing.assert_allclose(weighted_distances(P, times / n_samples), expected, atol=2e-6)


def test_tiles_and_blocks_of_samples_join(monkeypatch: pytest.MonkeyPatch) -> None:
    P, weights = predictions(300, 7, 3, 0), np.random.default_rng(0).random((2, 7))
    monkeypatch.setattr("predspace_widgets.geometry.bootstrap._OVERLAPS", 2 * 128 * 300)  # 2 samples at a time
    expected = [condensed(sum(w * pairwise(P[:, [n]], dtype="float64") for n, w in enumerate(row))) for row in weights]
    for threads in (1, 2):
        np.testing.assert_allclose(weighted_distances(P, weights, threads), expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((2, 4)), r"weights must have shape \(draws, 5 samples\), got \(2, 4\)"),
        (np.ones(5), "weights must have shape"),
        (np.full((1, 5), np.nan), "finite and not negative"),
        (np.full((1, 5), -1.0), "finite and not negative"),
    ],
)
def test_wrong_weights_are_named(weights: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weighted_distances(predictions(2, 5, 3, 0), weights)


@given(st.integers(4, 40), st.integers(1, 3), SEEDS)
def test_points_that_count_several_times_are_inpca_of_them_repeated(n_points: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    distances = pairwise(predictions(n_points, 4, 3, seed), dtype="float64")
    times = generator.integers(0, 4, n_points)
    times[generator.permutation(n_points)[: k + 1]] += 1
    drawn = np.repeat(np.arange(n_points), times)
    expected = InPCA(k, metric="precomputed").fit(distances[np.ix_(drawn, drawn)])
    embedded = embed(distances, times, k)
    np.testing.assert_allclose(embedded.eigenvalues, expected.eigenvalues_, atol=1e-7 * abs(expected.eigenvalues_[0]))
    np.testing.assert_allclose(embedded.explained_stress, expected.explained_stress_, atol=1e-7)
    # Where eigenvalues are apart, axes are the same but for their signs, of points that do not count too.
    others = InPCA(min(k + 1, len(drawn)), metric="precomputed").fit(distances[np.ix_(drawn, drawn)]).eigenvalues_
    if np.abs(np.diff(np.abs(others))).min(initial=1.0) > 1e-2 * abs(others[0]) and abs(others[k - 1]) > 1e-2:
        projected = expected.transform(distances[:, drawn])
        np.testing.assert_allclose(np.abs(embedded.coordinates), np.abs(projected), atol=1e-6)


def test_from_a_near_start_the_axes_are_the_same() -> None:
    distances = pairwise(predictions(120, 6, 3, 1), dtype="float64")
    nearby = pairwise(predictions(120, 6, 3, 1)[:, :5], dtype="float64")
    ones = np.ones(120)
    cold, warm = embed(distances, ones, 3), embed(distances, ones, 3, embed(nearby, ones, 3).vectors)
    np.testing.assert_allclose(np.abs(warm.coordinates), np.abs(cold.coordinates), atol=1e-7)
    W = -0.5 * (distances - distances.mean(0) - distances.mean(1)[:, None] + distances.mean())
    assert warm.participation_ratio == pytest.approx(np.trace(W) ** 2 / np.square(W).sum())


def test_coinciding_points_are_explained_and_nowhere_far() -> None:
    embedded = embed(np.zeros((5, 5)), np.ones(5), 2)
    assert embedded.coordinates.tolist() == [[0.0, 0.0]] * 5
    assert (embedded.explained_stress.tolist(), embedded.participation_ratio) == ([1.0, 1.0], 0.0)
    with pytest.raises(ValueError, match="2 points have fewer than 3 axes"):
        embed(np.zeros((5, 5)), [1, 1, 0, 0, 0], 3)


@given(st.integers(5, 30), st.integers(1, 3), st.integers(0, 2), SEEDS)
def test_a_turned_picture_is_found_again(n_points: int, n_real: int, n_imaginary: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    signature = generator.permutation([1] * n_real + [-1] * n_imaginary)
    k = len(signature)
    like = generator.standard_normal((n_points, k)) * np.arange(1, k + 1)
    turned = np.empty_like(like)
    for sign in {*signature}:
        axes = np.flatnonzero(signature == sign)
        # A small turn, then axes in any order and either way up.
        turn = np.linalg.qr(np.eye(len(axes)) + 0.1 * generator.standard_normal((len(axes), len(axes))))[0]
        turned[:, axes] = (like[:, axes] @ turn * generator.choice([-1, 1], len(axes)))[
            :, generator.permutation(len(axes))
        ]
    order = generator.permutation(k)
    found = align((turned + 3)[:, order], signature[order], like, signature)
    np.testing.assert_allclose(found, like, atol=1e-9)


def test_signed_squared_intervals_stay() -> None:
    generator = np.random.default_rng(0)
    X, like = generator.standard_normal((2, 9, 3))
    signature = np.array([1, -1, 1])

    def intervals(points: np.ndarray) -> np.ndarray:
        return np.square(points[:, None] - points) @ signature

    found = align(X, signature, like, signature)
    np.testing.assert_allclose(intervals(found), intervals(X))
    assert not np.allclose(found, X)


def test_of_real_axes_alone_it_is_procrustes() -> None:
    generator = np.random.default_rng(0)
    like = generator.standard_normal((9, 3))
    X = like + 0.2 * generator.standard_normal((9, 3))
    centred = X - X.mean(axis=0)
    rotation, _ = orthogonal_procrustes(centred, like - like.mean(axis=0))
    np.testing.assert_allclose(align(X, [1] * 3, like, [1] * 3), centred @ rotation + like.mean(axis=0))


def test_axes_that_changed_places_with_one_beyond_the_last_are_found() -> None:
    like = np.random.default_rng(0).standard_normal((20, 2)) * [3, 1]
    other = np.random.default_rng(1).standard_normal((20, 1)) * 1.1
    found = align(np.hstack([-like[:, :1], other, like[:, 1:]]), [1, 1, 1], like, [1, 1])
    np.testing.assert_allclose(found, like, atol=1e-9)
    # One of the other sign is no replacement.
    found = align(np.hstack([like[:, :1], like[:, 1:]]), [1, -1], like, [1, 1])
    np.testing.assert_allclose(found, np.stack([like[:, 0], np.full(20, like[:, 1].mean())], axis=1), atol=1e-9)


@pytest.mark.parametrize(
    ("X", "signature", "like", "like_signature", "message"),
    [
        (np.ones((4, 2)), [1, 1], np.ones((5, 2)), [1, 1], "cannot be turned onto"),
        (np.ones((4, 1)), [1], np.ones((4, 2)), [1, 1], "no fewer axes"),
        (np.ones((4, 2)), [1], np.ones((4, 2)), [1, 1], "signatures of 1 and 2 axes for 2 and 2"),
    ],
)
def test_what_does_not_fit_is_named(
    X: np.ndarray, signature: list, like: np.ndarray, like_signature: list, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        align(X, signature, like, like_signature)
