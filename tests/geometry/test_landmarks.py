"""Landmarks: which are chosen, the pictures whose axes come from them, and how much these explain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from predspace_widgets import demo
from predspace_widgets.geometry import InPCA, choose_landmarks, explained_stress, inpca
from predspace_widgets.geometry.landmarks import check_landmarks, draw_evenly
from tests.geometry.strategies import points, seeds
from tests.geometry.test_inpca import (
    METRICS,
    distances_with_spectrum,
    every_metric,
    spectra,
    squared_distances,
    up_to_signs,
)


def dirichlet(n_points: int, n_samples: int = 5, n_classes: int = 3, seed: int = 0) -> np.ndarray:
    """Points (T, N, C) in no order."""
    return np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.4), (n_points, n_samples))


def euclidean(n_points: int, n_axes: int, seed: int = 0) -> np.ndarray:
    """Squared Euclidean distances (T, T) among points of a space of some axes, none as long as another."""
    X = np.random.default_rng(seed).standard_normal((n_points, n_axes)) * np.arange(1, n_axes + 1)
    return np.square(X[:, None] - X[None]).sum(axis=-1)


def intervals(model: InPCA, coordinates: np.ndarray | None = None) -> np.ndarray:
    """Squared intervals (T, T) between points of a picture, imaginary axes counted negative."""
    X = model.embedding_ if coordinates is None else coordinates
    return (np.square(X[:, None] - X[None]) * model.signature_).sum(axis=-1)


def choose(D: np.ndarray, n_landmarks: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Landmarks, the distances to them, and what was asked for in each round."""
    asked: list[np.ndarray] = []

    def distances_to(chosen: np.ndarray) -> np.ndarray:
        asked.append(chosen.copy())
        return D[:, chosen]

    return *choose_landmarks(distances_to, len(D), n_landmarks, seed), asked


def on_a_line(places: list[float] | np.ndarray) -> np.ndarray:
    """Distances (T, T) between places on a line."""
    return np.abs(np.subtract.outer(np.array(places, dtype=float), np.array(places, dtype=float)))


# Places on a line, many of which coincide, and a number of landmarks among them.
crowds = st.lists(st.integers(0, 5), min_size=2, max_size=60).flatmap(
    lambda places: st.tuples(st.just(places), st.integers(1, len(places) - 1))
)


# ---------------------------------------------------------------------------------------------------------------------
# Choosing landmarks
# ---------------------------------------------------------------------------------------------------------------------


@given(crowd=crowds, seed=seeds, rounding=st.sampled_from([0.0, 1e-8]))
@example(crowd=([0] * 30, 20), seed=0, rounding=1e-8)
def test_landmarks_are_different_points_measured_once_each(
    crowd: tuple[list[int], int], seed: int, rounding: float
) -> None:
    """Their distances are columns of the matrix, however many points coincide, if rounding shows that or not."""
    D, n_landmarks = on_a_line(crowd[0]) + rounding, crowd[1]
    landmarks, distances, asked = choose(D, n_landmarks, seed)
    assert landmarks.shape == (n_landmarks,)
    assert len(np.unique(landmarks)) == n_landmarks
    assert landmarks.min() >= 0
    assert landmarks.max() < len(D)
    np.testing.assert_array_equal(distances, D[:, landmarks])
    np.testing.assert_array_equal(np.concatenate(asked), landmarks)
    np.testing.assert_array_equal(check_landmarks(landmarks, len(D)), landmarks)


@given(crowd=crowds, seed=seeds)
def test_points_away_from_every_landmark_are_drawn_first(crowd: tuple[list[int], int], seed: int) -> None:
    """In each round: a point that coincides with a landmark comes only once no other is left."""
    D, n_landmarks = on_a_line(crowd[0]), crowd[1]
    *_, asked = choose(D, n_landmarks, seed)
    for done in range(1, len(asked)):
        before = np.concatenate(asked[:done])
        nearest = D[:, before].min(axis=1)  # 0 at the landmarks themselves
        assert np.count_nonzero(nearest[asked[done]]) == min(len(asked[done]), np.count_nonzero(nearest))


@pytest.mark.parametrize("n_landmarks", [1, 2, 4, 5, 16, 17, 64, 65, 99])
def test_rounds_are_few(n_landmarks: int) -> None:
    """One more for four times the landmarks: each may read all predictions."""
    *_, asked = choose(on_a_line(np.arange(100)), n_landmarks)
    assert len(asked) == 1 + math.ceil(math.log(n_landmarks, 4))


def test_the_seed_decides() -> None:
    """The same one chooses the same landmarks, another one others."""
    D = euclidean(200, 3)
    first, again, other = (choose(D, 20, seed)[0] for seed in (3, 3, 4))
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(np.sort(other), np.sort(first))


def test_a_point_is_drawn_as_often_as_it_is_far() -> None:
    """The first landmark is any point; from 0, the place 3 comes three times as often as 1."""
    pairs = np.array([choose(on_a_line([0, 1, 3]), 2, seed)[0] for seed in range(2000)])
    np.testing.assert_allclose(np.bincount(pairs[:, 0]) / 2000, 1 / 3, rtol=0, atol=0.04)
    assert np.mean(pairs[pairs[:, 0] == 0, 1] == 2) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_every_lonely_point_far_off_is_found(seed: int) -> None:
    """Landmarks drawn evenly would nearly all lie in the crowd; with two clusters, two landmarks find both."""
    crowd = np.random.default_rng(seed).uniform(0, 1e-3, 300)
    landmarks, *_ = choose(on_a_line(np.append(crowd, 1e4 * np.arange(1, 9))), 16, seed)
    assert set(range(300, 308)) <= set(landmarks.tolist())
    two, *_ = choose(on_a_line(np.append(crowd, 1e6 + crowd[:5])), 2, seed)
    assert np.count_nonzero(two < 300) == 1


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        ([], "a number or a list of indices"),
        ([0.0, 1.0], "a number or a list of indices"),
        ([True, False], "a number or a list of indices"),
        ([[0, 1]], "a number or a list of indices"),
        ([0, 1, 0], "different indices from 0 to 4"),
        ([0, 5], "different indices from 0 to 4"),
        ([-1, 2], "different indices from 0 to 4"),
        ([0, 1, 2, 3, 4], "fewer than the 5 there are, got 5"),
    ],
)
def test_given_landmarks_are_fewer_than_the_points_different_and_there(landmarks: list, message: str) -> None:
    """Of 5 points; the same message from `check_landmarks` and from a fit."""
    with pytest.raises(ValueError, match=message):
        check_landmarks(landmarks, 5)
    with pytest.raises(ValueError, match=message):
        InPCA(n_components=1, landmarks=landmarks).fit(dirichlet(5))


@pytest.mark.parametrize("n_landmarks", [0, -1, 5, 6, 2.0, "two", False])
def test_the_number_of_landmarks_is_whole_and_smaller_than_that_of_points(n_landmarks: object) -> None:
    """Of 5 points; with all of them as landmarks there would be nothing to save."""
    with pytest.raises(ValueError, match=f"fewer than the 5 there are, got {n_landmarks}: leave them out"):
        choose_landmarks(lambda chosen: np.zeros((5, len(chosen))), 5, n_landmarks)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"fewer than the 5 there are, got {n_landmarks}: leave them out"):
        InPCA(n_components=1, landmarks=n_landmarks).fit(dirichlet(5))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------------------
# Explained stress
# ---------------------------------------------------------------------------------------------------------------------


@every_metric
@given(P=points(count=6, shape=(3, 3)))
def test_of_fitted_points_it_is_that_of_the_fit(metric: str, P: np.ndarray) -> None:
    """By 1, 2, ... axes, some of them imaginary."""
    D = squared_distances(metric, P)
    model = InPCA(n_components=5, metric="precomputed").fit(D)
    stress = explained_stress(model.embedding_, model.signature_, D)
    np.testing.assert_allclose(stress, model.explained_stress_, rtol=0, atol=3e-7)


@given(
    seed=seeds, size=st.sampled_from([0.1, 1.0, 10.0]), shift=st.floats(-3, 3), signs=st.tuples(*3 * [st.booleans()])
)
def test_is_what_the_docstring_says(seed: int, size: float, shift: float, signs: tuple[bool, ...]) -> None:
    """1 - |W - XSX'| / |W|, of any coordinates; a shift or a flipped axis changes nothing."""
    X, S = size * np.random.default_rng(seed).standard_normal((7, 3)), np.where(signs, 1, -1)
    D, L = euclidean(7, 4, seed), np.eye(7) - 1 / 7
    W = -0.5 * L @ D @ L
    gaps = [W - L @ (X[:, :k] * S[:k]) @ X[:, :k].T @ L for k in (1, 2, 3)]
    expected = [1 - np.linalg.norm(gap) / np.linalg.norm(W) for gap in gaps]
    np.testing.assert_allclose(explained_stress(X, S, D), expected, rtol=0, atol=1e-9 * max(size**2, 1))
    np.testing.assert_allclose(explained_stress((X + shift) * [1, -1, 1], S, D), expected, atol=1e-7)


def test_none_everything_and_worse_than_none() -> None:
    """0 of coordinates that are all the same, 1 of points that coincide, negative of others that lie far off."""
    D, X = euclidean(8, 2), np.random.default_rng(1).standard_normal((8, 2))
    np.testing.assert_allclose(explained_stress(np.full((8, 2), 3.0), [1, 1], D), 0, atol=1e-12)
    np.testing.assert_array_equal(explained_stress(X, [1, 1], np.zeros((8, 8))), 1.0)
    assert explained_stress(100 * X, [1, 1], D)[0] < -10


@pytest.mark.parametrize(
    ("embedding", "signature", "distances", "message"),
    [
        (np.ones((3, 2)), [1, 1], np.zeros((4, 4)), r"do not fit: their shapes are \(3, 2\), \(2,\), \(4, 4\)"),
        (np.ones((4, 2)), [1], np.zeros((4, 4)), "do not fit"),
        (np.ones(4), [1], np.zeros((4, 4)), "do not fit"),
        (np.ones((4, 1)), [1], np.zeros((4, 3)), "square matrix"),
        (np.ones((4, 1)), [1], np.full((4, 4), np.nan), "finite"),
        (np.ones((4, 1)), [1], np.triu(np.ones((4, 4)), 1), "symmetric"),
    ],
)
def test_wants_coordinates_of_the_points_whose_distances_these_are(
    embedding: np.ndarray, signature: list, distances: np.ndarray, message: str
) -> None:
    """Errors that say what does not fit."""
    with pytest.raises(ValueError, match=message):
        explained_stress(embedding, signature, distances)


# ---------------------------------------------------------------------------------------------------------------------
# Pictures by landmarks
# ---------------------------------------------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize("landmarks", [8, [17, 3, 0, 25, 9, 12, 29, 4]])
def test_points_lie_where_the_picture_of_the_landmarks_puts_them(metric: str, landmarks: int | list[int]) -> None:
    """But for a turn, which keeps all intervals; those among landmarks are the distances. Each row is a `transform`."""
    P = dirichlet(30)
    model = InPCA(n_components=8, metric=metric, landmarks=landmarks).fit(P)
    alone = InPCA(n_components=8, metric=metric).fit(P[model.landmarks_])
    assert model.embedding_.shape == (30, 8)
    D = squared_distances(metric, P[model.landmarks_])
    np.testing.assert_allclose(intervals(model)[np.ix_(*2 * [model.landmarks_])], D, rtol=0, atol=1e-5)
    np.testing.assert_allclose(intervals(model), intervals(alone, alone.transform(P)), rtol=0, atol=5e-5)
    for rows in (slice(None), slice(5, 6)):
        np.testing.assert_allclose(model.transform(P[rows]), model.embedding_[rows], rtol=0, atol=1e-5)


@every_metric
@pytest.mark.parametrize("n_landmarks", [3, 12, 30])
def test_axes_are_those_of_all_points(metric: str, n_landmarks: int) -> None:
    """Centred, at right angles, as long as their eigenvalue says, the longest first, and no others if fewer are drawn.

    The stress is that of the landmarks.
    """
    P = dirichlet(40)
    model = InPCA(n_components=3, metric=metric, landmarks=n_landmarks).fit(P)
    size = np.abs(model.eigenvalues_)
    assert np.all(np.diff(size) <= 0)
    np.testing.assert_array_equal(model.signature_, np.where(model.eigenvalues_ < 0, -1, 1))
    np.testing.assert_allclose(model.embedding_.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(model.embedding_.T @ model.embedding_, np.diag(size), rtol=0, atol=1e-9)
    largest = np.abs(model.embedding_).argmax(axis=0)
    assert np.all(model.embedding_[largest, range(3)] >= 0)
    D = squared_distances(metric, P[model.landmarks_])
    stress = explained_stress(model.embedding_[model.landmarks_], model.signature_, D)
    np.testing.assert_allclose(model.explained_stress_, stress, rtol=0, atol=1e-5)
    if n_landmarks == 12:  # of 3 all axes are projected on, of 12 half
        first = InPCA(n_components=1, metric=metric, landmarks=n_landmarks).fit(P)
        np.testing.assert_allclose(first.embedding_, model.embedding_[:, :1], rtol=0, atol=1e-9)


@given(spectrum=spectra, seed=seeds)
def test_nothing_is_lost_where_landmarks_span_the_space(spectrum: np.ndarray, seed: int) -> None:
    """The picture is the exact one, also of imaginary axes: landmark MDS is exact there."""
    k = len(spectrum)
    D, _ = distances_with_spectrum(spectrum, n_points=3 * k, seed=seed)
    landmarks = np.argsort(np.random.default_rng(seed).random(3 * k))[: 2 * k]
    model = InPCA(n_components=k, metric="precomputed", landmarks=landmarks).fit(D[:, landmarks])
    exact = InPCA(n_components=k, metric="precomputed").fit(D)
    np.testing.assert_allclose(model.eigenvalues_, exact.eigenvalues_, rtol=1e-6)
    np.testing.assert_array_equal(model.signature_, exact.signature_)
    aligned = up_to_signs(model.embedding_, exact.embedding_)
    np.testing.assert_allclose(aligned, exact.embedding_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(intervals(model), D, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.transform(D[:, landmarks]), model.embedding_, rtol=0, atol=1e-8)


def test_a_real_and_an_imaginary_axis_that_cancel_leave_nothing() -> None:
    """All points have the same place on both: W is rounding, and counts as 0."""
    x = np.random.default_rng(0).standard_normal(30)
    eigenvalues, turn = inpca._turned(np.column_stack([x, x / 3 * 3]), np.array([2.0, -2.0]), 2, rounding=1e-12)
    np.testing.assert_array_equal(eigenvalues, 0.0)
    np.testing.assert_array_equal(turn(np.column_stack([x, x])), 0.0)


@pytest.mark.parametrize(("n_axes", "n_landmarks"), [(1, 2), (2, 3), (3, 4), (3, 20)])
def test_chosen_landmarks_rebuild_squared_euclidean_distances(n_axes: int, n_landmarks: int) -> None:
    """One more than axes are enough, and the points held out say so."""
    D = euclidean(60, n_axes)
    model = InPCA(n_components=n_axes, metric="precomputed", landmarks=n_landmarks).fit(D)
    np.testing.assert_allclose(intervals(model), D, rtol=0, atol=1e-9 * D.max())
    assert model.held_out_stress_[-1] == pytest.approx(1.0, abs=1e-6)


@every_metric
def test_all_points_but_one_explain_nearly_what_the_exact_picture_explains(metric: str) -> None:
    """Few landmarks do not."""
    P = dirichlet(40)
    D = squared_distances(metric, P)
    models = [InPCA(n_components=3, metric=metric, landmarks=m).fit(P) for m in (None, 39, 4)]
    exact, nearly, poor = (explained_stress(model.embedding_, model.signature_, D)[-1] for model in models)
    assert nearly == pytest.approx(exact, abs=0.01)
    assert poor < exact - 0.05


@pytest.mark.parametrize("metric", [*METRICS, "precomputed"])
def test_indices_give_what_their_number_gave(metric: str) -> None:
    """From all distances or from predictions, and from the distances to landmarks, of which no others are known."""
    P = dirichlet(25)
    D = squared_distances("bhattacharyya" if metric == "precomputed" else metric, P)
    model = InPCA(n_components=3, metric=metric, landmarks=7).fit(D if metric == "precomputed" else P)
    columns = D[:, model.landmarks_]
    given = InPCA(n_components=3, metric="precomputed", landmarks=model.landmarks_.tolist()).fit(columns)
    np.testing.assert_array_equal(given.landmarks_, model.landmarks_)
    np.testing.assert_allclose(given.embedding_, model.embedding_, rtol=0, atol=1e-5)
    np.testing.assert_allclose(given.transform(columns), given.embedding_, rtol=0, atol=1e-12)
    assert given.held_out_stress_ is None
    if metric != "precomputed":
        again = InPCA(n_components=3, metric=metric, landmarks=model.landmarks_).fit(P)
        np.testing.assert_allclose(again.embedding_, model.embedding_, rtol=0, atol=1e-5)
        np.testing.assert_allclose(again.held_out_stress_, model.held_out_stress_, rtol=0, atol=1e-5)


@every_metric
@pytest.mark.parametrize("most", [1000, 6])
def test_held_out_stress_is_that_of_points_drawn_from_all(
    monkeypatch: pytest.MonkeyPatch, metric: str, most: int
) -> None:
    """Of all of them or of some, by the exact distances."""
    monkeypatch.setattr("predspace_widgets.geometry.landmarks._DRAWN", most)
    P = dirichlet(30)
    model = InPCA(n_components=4, metric=metric, landmarks=[2, 3, 5, 7, 11, 13], random_state=3).fit(P)
    drawn = draw_evenly(30, 3)
    D = squared_distances(metric, P[drawn])
    expected = explained_stress(model.embedding_[drawn], model.signature_, D)
    np.testing.assert_allclose(model.held_out_stress_, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("n_points", "expected"), [(1100, 1000), (20, 20)])
def test_at_most_1000_points_are_drawn(n_points: int, expected: int) -> None:
    """In order, none twice; the seed decides which."""
    rows = draw_evenly(n_points, 1)
    np.testing.assert_array_equal(rows, np.unique(rows))
    assert len(rows) == expected
    assert 0 <= rows.min() <= rows.max() < n_points
    np.testing.assert_array_equal(rows, draw_evenly(n_points, 1))
    assert np.array_equal(rows, draw_evenly(n_points, 2)) == (expected < 1000)


def test_every_point_is_drawn_as_often_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in 250 of 1000 draws of a quarter of them, but for chance: 4 standard deviations."""
    monkeypatch.setattr("predspace_widgets.geometry.landmarks._DRAWN", 10)
    drawn = np.bincount(np.concatenate([draw_evenly(40, seed) for seed in range(1000)]), minlength=40)
    np.testing.assert_allclose(drawn, 250, rtol=0, atol=4 * np.sqrt(1000 * 0.25 * 0.75))


def test_held_out_stress_of_the_demo_is_the_exact_one() -> None:
    """At 9, 17 and 34% landmarks. Of other points only it would be .004 to .02 too high: landmarks lie far out."""
    P = demo()["probs"].values
    exact = InPCA().fit(P).explained_stress_[-1]
    for share in (0.09, 0.17, 0.34):
        held_out = InPCA(landmarks=round(share * len(P))).fit(P).held_out_stress_[-1]
        assert held_out == pytest.approx(exact, abs=0.002), share


def test_held_out_stress_tells_of_a_direction_that_landmarks_miss() -> None:
    """Landmarks differ in the first sample only, the others in the second: a fine picture of the wrong thing."""
    steps = np.linspace(0.05, 0.95, 20)
    P = np.full((40, 2, 2), 0.5)
    P[:20, 0], P[20:, 1] = np.column_stack([steps, 1 - steps]), np.column_stack([steps, 1 - steps])
    missing = InPCA(n_components=2, landmarks=range(20)).fit(P)
    assert missing.explained_stress_[-1] > 0.95
    assert missing.held_out_stress_[-1] < InPCA(n_components=2).fit(P).explained_stress_[-1] - 0.5
    spread = InPCA(n_components=3, landmarks=16).fit(P)
    assert spread.held_out_stress_[-1] > 0.9


def test_many_points_are_projected_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts change nothing."""
    D, model = euclidean(11, 2), InPCA(n_components=2, metric="precomputed", landmarks=4)
    whole = model.fit_transform(D)
    monkeypatch.setattr(inpca, "_ROWS", 3)
    np.testing.assert_allclose(model.fit_transform(D), whole, rtol=0, atol=1e-13 * np.abs(whole).max())


@every_metric
@given(seed=seeds)
def test_points_in_another_order_are_rows_in_another_order(metric: str, seed: int) -> None:
    """The landmarks being the same points, named in any order."""
    P, landmarks = dirichlet(16), np.arange(6)
    order = np.random.default_rng(seed).permutation(16)
    model = InPCA(n_components=3, metric=metric, landmarks=landmarks).fit(P)
    other = InPCA(n_components=3, metric=metric, landmarks=np.flatnonzero(order < 6)).fit(P[order])
    np.testing.assert_allclose(
        up_to_signs(other.embedding_, model.embedding_[order]), model.embedding_[order], atol=1e-5
    )
    np.testing.assert_allclose(other.held_out_stress_, model.held_out_stress_, rtol=0, atol=1e-5)


def test_points_that_coincide_are_no_obstacle() -> None:
    """All of them: no extent, all explained. A few places with many points each: these places."""
    model = InPCA(n_components=2, landmarks=5).fit(np.repeat(dirichlet(1), 12, axis=0))
    np.testing.assert_allclose(model.embedding_, 0, atol=1e-6)
    np.testing.assert_array_equal([model.explained_stress_, model.held_out_stress_], 1.0)
    picture = InPCA(n_components=2, landmarks=6).fit_transform(np.tile(dirichlet(3), (7, 1, 1)))
    assert len(np.unique(picture.round(5), axis=0)) == 3


@pytest.mark.parametrize("landmarks", [6, [1, 3, 5, 7, 9, 11]])
@pytest.mark.parametrize("kind", [np.array, torch.tensor, np.ndarray.tolist])
def test_predictions_of_any_kind(landmarks: int | list[int], kind: Callable[[np.ndarray], Any]) -> None:
    """float16, tensors and nested lists; none is changed, and what becomes of them later changes nothing."""
    P = dirichlet(20).astype(np.float16)
    X = kind(P)
    model = InPCA(n_components=3, landmarks=landmarks).fit(P.astype(np.float64))
    other = InPCA(n_components=3, landmarks=landmarks).fit(X)
    np.testing.assert_array_equal(np.asarray(X), P)
    np.testing.assert_array_equal(other.landmarks_, model.landmarks_)
    np.testing.assert_allclose(other.embedding_, model.embedding_, rtol=0, atol=1e-5)
    X[:] = X[:1] * 20 if isinstance(X, list) else 1 / 3
    np.testing.assert_allclose(other.transform(P), model.embedding_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("landmarks", [4, [0, 2, 4, 6]])
def test_distances_are_not_changed(landmarks: int | list[int]) -> None:
    """Precomputed ones, by a fit and a transform."""
    D = euclidean(9, 2)[:, landmarks if isinstance(landmarks, list) else slice(None)]
    before = D.copy()
    model = InPCA(n_components=2, metric="precomputed", landmarks=landmarks).fit(D)
    model.transform(D[:, :4])
    np.testing.assert_array_equal(D, before)


def test_parameters_of_landmarks_are_read_set_and_cloned() -> None:
    """Indices too; the seed is that of the choice."""
    model = InPCA(n_components=2, metric="precomputed", landmarks=np.array([4, 0, 2]), random_state=5)
    D = euclidean(40, 2)
    copy = clone(model.fit(D[:, [4, 0, 2]]))
    np.testing.assert_array_equal(copy.get_params()["landmarks"], [4, 0, 2])
    assert copy.get_params()["random_state"] == 5
    assert not hasattr(copy, "landmarks_")
    assert repr(copy).startswith("InPCA(landmarks=array([4, 0, 2])")
    first, again, other = (copy.set_params(landmarks=9, random_state=s).fit(D).landmarks_ for s in (1, 1, 2))
    np.testing.assert_array_equal(again, first)
    assert not np.array_equal(other, first)
    np.testing.assert_array_equal(first, choose(D, 9, 1)[0])


NAN, ASYMMETRIC = np.full((6, 6), np.nan), np.triu(np.ones((6, 6)), 1)


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"landmarks": 3, "n_components": 4}, euclidean(6, 2), "from 1 to the 3 landmarks, got 4"),
        ({"landmarks": 1, "n_components": 1}, euclidean(6, 2), "at least two .*, got 1"),
        ({"landmarks": 3}, euclidean(6, 2)[:, :3], r"square matrix, got shape \(6, 3\)"),
        ({"landmarks": [0, 1, 2]}, euclidean(6, 2), r"from all points to 3 landmarks, got shape \(6, 6\)"),
        ({"landmarks": [0, 1, 2]}, np.zeros(6), r"from all points to 3 landmarks, got shape \(6,\)"),
        ({"landmarks": [0, 1, 6]}, euclidean(6, 2)[:, :3], "different indices from 0 to 5"),
        ({"landmarks": 3}, NAN, "must be finite"),
        ({"landmarks": [0, 1, 2]}, NAN[:, :3], "must be finite"),
        ({"landmarks": 3}, ASYMMETRIC, "must be symmetric"),
        ({"landmarks": 3, "metric": "euclid"}, dirichlet(6), "unknown metric 'euclid'"),
        ({"landmarks": 3, "metric": "bhattacharyya"}, 3 * dirichlet(6), "must sum to 1"),
    ],
)
def test_refuses_what_it_cannot_picture(parameters: dict, X: np.ndarray, message: str) -> None:
    """With a message that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        InPCA(**{"n_components": 2, "metric": "precomputed"} | parameters).fit(X)


def test_transform_wants_distances_to_the_landmarks_of_a_fit() -> None:
    """Not to all points."""
    model = InPCA(n_components=2, metric="precomputed", landmarks=[0, 2, 4])
    with pytest.raises(NotFittedError, match="not fitted"):
        model.transform(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"distances to 3 points, got shape \(6, 6\)"):
        model.fit(euclidean(6, 2)[:, [0, 2, 4]]).transform(euclidean(6, 2))


@pytest.mark.parametrize("n_landmarks", [10, 23])
def test_few_landmarks_are_better_than_none(n_landmarks: int) -> None:
    """Of 183 points: some stress is explained, if not all that could be."""
    model = InPCA(n_components=2, landmarks=n_landmarks)
    assert min(model.fit(dirichlet(183, seed=seed)).held_out_stress_[-1] for seed in range(10)) > 0


def test_great_circle_distances_among_held_out_points_that_coincide() -> None:
    """Or nearly do: rounding leaves 1e-8 of an arc cosine, one here and another there."""
    for seed in range(8):
        P = np.repeat(dirichlet(1, n_samples=3, n_classes=130, seed=seed), 60, axis=0)
        InPCA(n_components=2, metric="great_circle", landmarks=5).fit(P)


def test_held_out_points_that_coincide_are_explained() -> None:
    """Not by minus 1e15."""
    model = InPCA(n_components=2, metric="symmetric_kl", landmarks=5)
    for seed in range(8):
        P = np.repeat(dirichlet(1, n_samples=3, n_classes=10, seed=seed), 150, axis=0)
        assert model.fit(P).held_out_stress_.min() >= -1


def test_landmarks_are_chosen_by_negative_distances_too() -> None:
    """The exact picture takes them, and the picture of given landmarks does."""
    D, _ = distances_with_spectrum(np.array([3.0, -2.0]), 12)
    assert InPCA(n_components=2, metric="precomputed", landmarks=8).fit(D).signature_.tolist() == [1, -1]


def test_columns_in_another_order_than_the_landmarks_are_refused() -> None:
    """As asymmetric distances: the picture would be wrong."""
    with pytest.raises(ValueError, match="symmetric"):
        InPCA(n_components=2, metric="precomputed", landmarks=[3, 1, 2]).fit(euclidean(9, 2)[:, [1, 2, 3]])


def test_an_exact_fit_forgets_the_landmarks_of_the_one_before() -> None:
    """landmarks_ and held_out_stress_ are there "only with landmarks"."""
    model = InPCA(n_components=2, landmarks=4).fit(dirichlet(9)).set_params(landmarks=None).fit(dirichlet(9))
    assert not hasattr(model, "landmarks_")
    assert not hasattr(model, "held_out_stress_")


def test_true_is_no_number_of_landmarks() -> None:
    """False is refused already, as 0."""
    with pytest.raises(ValueError, match="landmarks"):
        InPCA(n_components=1, landmarks=True).fit(dirichlet(9))
