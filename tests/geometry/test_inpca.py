"""InPCA: the picture, its imaginary axes, its place in scikit-learn."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.sparse.linalg
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from predspace_widgets import geometry
from predspace_widgets.geometry import InPCA, align_signs, explained_stress, inpca
from tests.geometry import plain
from tests.geometry.strategies import points, seeds, shapes

METRICS = ["bhattacharyya", "great_circle", "symmetric_kl", "euclidean"]

every_metric = pytest.mark.parametrize("metric", METRICS)


def distances_with_spectrum(spectrum: np.ndarray, n_points: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Distances D (T, T) whose W has these signed eigenvalues (and zeros), and the eigenvectors (T, k)."""
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(n_points), rng.standard_normal((n_points, len(spectrum)))])
    vectors = np.linalg.qr(columns)[0][:, 1:]  # (T, k), orthogonal to 1
    return distances_of((vectors * spectrum) @ vectors.T), vectors


def distances_of(W: np.ndarray) -> np.ndarray:
    """Distances D (T, T) that are centred to this W."""
    D = np.diag(W)[:, None] + np.diag(W)[None, :] - 2 * W
    return (D + D.T) / 2


def embedded(metric: str, distances: ArrayLike) -> np.ndarray:
    """The squared intervals that a picture shows: of a metric that is a length, its square."""
    return np.square(distances) if metric == "great_circle" else np.asarray(distances)


def squared_distances(metric: str, P: np.ndarray) -> np.ndarray:
    """The same (T, T) of points (T, N, C)."""
    return embedded(metric, geometry.pairwise(P, metric=metric))  # type: ignore[arg-type]


def squared_intervals(model: InPCA) -> np.ndarray:
    """Squared intervals (T, T) between the fitted points, imaginary axes counted negative."""
    difference = model.embedding_[:, None] - model.embedding_[None, :]  # (T, T, k)
    return (difference**2 * model.signature_).sum(axis=-1)


def up_to_signs(embedding: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The embedding with axes flipped towards the reference."""
    return embedding * np.where((embedding * reference).sum(axis=0) < 0, -1, 1)


spectra = st.tuples(
    st.lists(st.integers(1, 60), min_size=2, max_size=5, unique=True),
    st.lists(st.sampled_from([-1, 1]), min_size=5, max_size=5),
).map(lambda drawn: np.array([size * sign / 10 for size, sign in zip(*drawn, strict=False)]))


# ---------------------------------------------------------------------------------------------------------------------
# The picture
# ---------------------------------------------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_plain_definition(metric: str, seed: int) -> None:
    """Eigenvalues, coordinates up to sign, explained stress, and new points, from loops and Jacobi rotations."""
    rng = np.random.default_rng(seed)
    P, new = rng.dirichlet(np.full(3, 0.3), (6, 4)), rng.dirichlet(np.full(3, 0.3), (2, 4))
    D = embedded(metric, plain.pairwise(P.tolist(), P.tolist(), metric)).tolist()
    pairs = plain.eigenpairs(plain.centred(D))
    model = InPCA(n_components=4, metric=metric).fit(P)
    np.testing.assert_allclose(model.eigenvalues_, [pair[0] for pair in pairs[:4]], rtol=0, atol=3e-6)
    embedding = np.array([np.sqrt(abs(value)) * np.array(vector) for value, vector in pairs[:4]]).T
    np.testing.assert_allclose(up_to_signs(embedding, model.embedding_), model.embedding_, rtol=0, atol=3e-5)
    np.testing.assert_allclose(
        model.explained_stress_, plain.explained_stress([pair[0] for pair in pairs], 4), rtol=0, atol=1e-5
    )
    d = embedded(metric, plain.pairwise(new.tolist(), P.tolist(), metric)).tolist()
    landed = np.array([[plain.transform(row, D, *pair) for pair in pairs[:4]] for row in d])
    signs = np.where((embedding * model.embedding_).sum(axis=0) < 0, -1, 1)
    np.testing.assert_allclose(model.transform(new), landed * signs, rtol=0, atol=3e-5)


@pytest.mark.parametrize(("n_points", "n_features"), [(8, 3), (5, 10), (400, 6)])
def test_of_squared_euclidean_distances_is_pca(n_points: int, n_features: int) -> None:
    """Up to the signs of axes; new points land where PCA puts them; eigenvalues are those of the covariance."""
    rng = np.random.default_rng(0)
    X, new = (rng.standard_normal((n, n_features)) * np.arange(1, n_features + 1) + 3 for n in (n_points, 7))
    D, d = (np.square(rows[:, None] - X[None]).sum(axis=-1) for rows in (X, new))
    pca, model = PCA(n_components=3, svd_solver="full").fit(X), InPCA(n_components=3, metric="precomputed").fit(D)
    expected = pca.transform(X)
    np.testing.assert_allclose(up_to_signs(model.embedding_, expected), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.eigenvalues_, pca.explained_variance_ * (n_points - 1), rtol=1e-10)
    np.testing.assert_array_equal(model.signature_, 1)
    signs = np.where((model.embedding_ * expected).sum(axis=0) < 0, -1, 1)
    np.testing.assert_allclose(model.transform(d) * signs, pca.transform(new), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", [(8, 3, 4), (5, 10, 2), (60, 7, 250)])
def test_of_euclidean_distances_is_pca_of_the_roots(shape: tuple[int, int, int]) -> None:
    """Up to the signs of axes; new points too. No axis is imaginary."""
    rng = np.random.default_rng(0)
    P, new = (rng.dirichlet(np.full(shape[2], 0.3), (n, shape[1])) for n in (shape[0], 4))
    roots, new_roots = (np.sqrt(points / shape[1]).reshape(len(points), -1) for points in (P, new))  # (T, N * C)
    pca, model = PCA(n_components=4, svd_solver="full").fit(roots), InPCA(n_components=4, metric="euclidean").fit(P)
    expected = pca.transform(roots)
    np.testing.assert_allclose(up_to_signs(model.embedding_, expected), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.eigenvalues_, pca.explained_variance_ * (shape[0] - 1), rtol=1e-10)
    np.testing.assert_array_equal(model.signature_, 1)
    signs = np.where((model.embedding_ * expected).sum(axis=0) < 0, -1, 1)
    np.testing.assert_allclose(model.transform(new) * signs, pca.transform(new_roots), rtol=0, atol=1e-10)


@given(spectrum=spectra, seed=seeds)
def test_finds_a_known_spectrum(spectrum: np.ndarray, seed: int) -> None:
    """Signed eigenvalues by magnitude; the largest stays first if it is imaginary; axes are the eigenvectors."""
    D, vectors = distances_with_spectrum(spectrum, n_points=len(spectrum) + 2, seed=seed)
    order = np.argsort(-np.abs(spectrum))
    for k in range(1, len(spectrum) + 1):
        model = InPCA(n_components=k, metric="precomputed").fit(D)
        np.testing.assert_allclose(model.eigenvalues_, spectrum[order][:k], rtol=1e-10)
        np.testing.assert_array_equal(model.signature_, np.sign(spectrum[order][:k]))
        expected = (vectors * np.sqrt(np.abs(spectrum)))[:, order][:, :k]
        np.testing.assert_allclose(up_to_signs(model.embedding_, expected), expected, rtol=0, atol=1e-10)
        np.testing.assert_allclose(
            model.explained_stress_, plain.explained_stress(spectrum[order], k), rtol=0, atol=1e-7
        )


@given(spectrum=spectra, seed=seeds)
def test_the_whole_spectrum_is_that_of_the_fit(spectrum: np.ndarray, seed: int) -> None:
    """And ends in zeros, with nothing that rounding made."""
    D, _ = distances_with_spectrum(spectrum, n_points=len(spectrum) + 3, seed=seed)
    order = np.argsort(-np.abs(spectrum))
    found = geometry.spectrum(D)
    np.testing.assert_allclose(found[: len(spectrum)], spectrum[order], rtol=1e-10)
    np.testing.assert_array_equal(found[len(spectrum) :], 0.0)
    with pytest.raises(ValueError, match="symmetric"):
        geometry.spectrum(np.triu(D + 1))


def test_the_largest_imaginary_axis_is_not_dropped() -> None:
    """Sorting by sign instead of by magnitude would lose it."""
    D, _ = distances_with_spectrum(np.array([2.0, -5.0, 1.0, -0.5]), n_points=7)
    model = InPCA(n_components=2, metric="precomputed").fit(D)
    np.testing.assert_allclose(model.eigenvalues_, [-5.0, 2.0], rtol=1e-12)
    np.testing.assert_array_equal(model.signature_, [-1, 1])
    np.testing.assert_allclose(np.square(model.embedding_).sum(axis=0), [5.0, 2.0], rtol=1e-12)


@every_metric
@given(P=points(count=5, shape=(3, 3)))
def test_distances_are_rebuilt_from_all_signed_coordinates(metric: str, P: np.ndarray) -> None:
    """With as many axes as points, nothing is lost."""
    model = InPCA(n_components=5, metric=metric).fit(P)
    D = squared_distances(metric, P)
    np.testing.assert_allclose(squared_intervals(model), D, rtol=0, atol=1e-10 * max(D.max(), 1e-3))


@given(spectrum=spectra, seed=seeds)
def test_precomputed_distances_are_rebuilt_from_all_signed_coordinates(spectrum: np.ndarray, seed: int) -> None:
    """Also the negative ones that come of large imaginary axes."""
    D, _ = distances_with_spectrum(spectrum, n_points=len(spectrum) + 2, seed=seed)
    model = InPCA(n_components=len(D), metric="precomputed").fit(D)
    np.testing.assert_allclose(squared_intervals(model), D, rtol=0, atol=1e-11 * np.abs(D).max())


@every_metric
@given(P=points(count=5))
def test_what_holds_of_every_picture(metric: str, P: np.ndarray) -> None:
    """Order, signature, centre, lengths and orthogonality of axes, stress; nothing is ever NaN."""
    D = squared_distances(metric, P)
    model = InPCA(n_components=5, metric="precomputed").fit(D)
    size = np.abs(model.eigenvalues_)
    assert np.all(np.diff(size) <= 0)
    np.testing.assert_array_equal(model.signature_, np.where(model.eigenvalues_ < 0, -1, 1))
    gram = model.embedding_.T @ model.embedding_
    np.testing.assert_allclose(gram, np.diag(size), rtol=0, atol=1e-12 * max(size.max(), 1e-6))
    assert np.all(np.abs(model.embedding_.mean(axis=0)) * np.sqrt(size) <= 1e-13 * size.max())
    stress = model.explained_stress_
    assert np.all((stress >= 0) & (stress <= 1))
    assert np.all(np.diff(stress) >= 0)
    assert stress[-1] == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.isfinite(model.transform(D)))
    assert np.all(np.isfinite(InPCA(n_components=5, metric=metric).fit(P).transform(P)))


@every_metric
@pytest.mark.parametrize("n_points", [20, 320])
def test_explained_stress_is_of_the_full_spectrum(metric: str, n_points: int) -> None:
    """Few axes are asked for; the sum runs over all, whichever solver found them."""
    P = np.random.default_rng(0).dirichlet(np.full(3, 0.5), (n_points, 10))
    model = InPCA(n_components=3, metric=metric).fit(P)
    L = np.eye(n_points) - 1 / n_points
    spectrum = scipy.linalg.eigvalsh(-0.5 * L @ squared_distances(metric, P) @ L)
    spectrum = spectrum[np.argsort(-np.abs(spectrum))]
    np.testing.assert_allclose(model.eigenvalues_, spectrum[:3], rtol=0, atol=1e-8 * abs(spectrum[0]))
    np.testing.assert_allclose(model.explained_stress_, plain.explained_stress(spectrum, 3), rtol=0, atol=1e-9)
    assert model.explained_stress_[-1] < 0.9


# ---------------------------------------------------------------------------------------------------------------------
# Two solvers, one picture
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spectrum", [[9.0, 5.0, 3.0, 1.0, 0.5], [-9.0, 5.0, -3.0, 1.0, -0.5], [4.0, -9.0, 0.2]])
def test_the_iterative_solver_gives_what_the_full_spectrum_gives(
    monkeypatch: pytest.MonkeyPatch, spectrum: list[float]
) -> None:
    """The same picture with the same signs, imaginary axes included."""
    D, _ = distances_with_spectrum(np.array(spectrum), n_points=320)
    noise = np.random.default_rng(1).uniform(0, 1e-3, D.shape)
    D = D + noise + noise.T
    models = []
    for iterative_from in (10, 10**9):
        monkeypatch.setattr(inpca, "_ITERATIVE_FROM", iterative_from)
        models.append(InPCA(n_components=3, metric="precomputed").fit(D))
    for name in ("eigenvalues_", "embedding_", "explained_stress_", "signature_"):
        np.testing.assert_allclose(getattr(models[0], name), getattr(models[1], name), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(models[0].eigenvalues_, sorted(spectrum, key=abs)[:-4:-1], rtol=0, atol=0.1)


def test_the_iterative_solver_takes_over_at_300_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a few axes only; a picture of many axes comes from the full spectrum."""
    calls = []
    original = scipy.sparse.linalg.eigsh
    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", lambda *args, **kw: calls.append(1) or original(*args, **kw))
    for n_points, n_components, expected in ((299, 3, 0), (300, 3, 1), (300, 31, 1)):
        D, _ = distances_with_spectrum(np.arange(1.0, 41.0), n_points)
        model = InPCA(n_components=n_components, metric="precomputed").fit(D)
        np.testing.assert_allclose(model.eigenvalues_, np.arange(40.0, 40.0 - n_components, -1), rtol=1e-9)
        assert len(calls) == expected


def test_the_iterative_solver_that_gives_up_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No convergence is no error: the full spectrum always comes."""

    def gives_up(*args: object, **keywords: object) -> None:
        raise scipy.sparse.linalg.ArpackNoConvergence("no convergence", np.empty(0), np.empty((320, 0)))

    D, _ = distances_with_spectrum(np.array([3.0, -2.0, 1.0]), n_points=320)
    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", gives_up)
    np.testing.assert_allclose(InPCA(metric="precomputed").fit(D).eigenvalues_, [3.0, -2.0, 1.0], rtol=1e-10)


def _turned(eigenvalues: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two vectors mixed: a thousandth of the one in the other."""
    mixed = vectors.copy()
    mixed[:, 0] += 1e-3 * vectors[:, 1]
    return eigenvalues, mixed / np.linalg.norm(mixed, axis=0)


WRONG = {
    "other vectors": lambda values, vectors: (values, np.roll(vectors, 1, axis=0)),
    "slightly turned": _turned,
    "another eigenvalue": lambda values, vectors: (values * [1, 1, 1 + 1e-4], vectors),
    "one vector twice": lambda values, vectors: (values[[0, 2, 2]], vectors[:, [0, 2, 2]]),
    "too long": lambda values, vectors: (values, vectors * (1 + 1e-3)),
    "not a number": lambda values, vectors: (values, vectors * [1, 1, np.nan]),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_the_iterative_solver_that_is_wrong_is_replaced(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    """Its result is put to the test: only eigenvectors of length 1 at right angles pass."""
    D, vectors = distances_with_spectrum(np.array([3.0, -2.0, 1.0]), n_points=320)
    original, full = scipy.sparse.linalg.eigsh, scipy.linalg.eigh
    calls = []
    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", lambda *args, **kw: WRONG[mistake](*original(*args, **kw)))
    monkeypatch.setattr(scipy.linalg, "eigh", lambda *args: calls.append(1) or full(*args))
    model = InPCA(metric="precomputed").fit(D)
    assert len(calls) == 1
    np.testing.assert_allclose(model.eigenvalues_, [3.0, -2.0, 1.0], rtol=1e-10)
    expected = vectors * np.sqrt([3.0, 2.0, 1.0])
    np.testing.assert_allclose(up_to_signs(model.embedding_, expected), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("spread", [0.0, 1e-7])
def test_the_iterative_solver_that_is_right_is_believed(monkeypatch: pytest.MonkeyPatch, spread: float) -> None:
    """The full spectrum is not computed too, nor where distances are symmetric but for rounding in float32."""
    D, _ = distances_with_spectrum(np.array([3.0, -2.0, 1.0]), n_points=320)
    D = D * (1 + spread * np.random.default_rng(0).standard_normal(D.shape))
    monkeypatch.setattr(scipy.linalg, "eigh", lambda *args: pytest.fail("the full spectrum"))
    np.testing.assert_allclose(InPCA(metric="precomputed").fit(D).eigenvalues_, [3.0, -2.0, 1.0], rtol=1e-5)


@pytest.mark.parametrize(("row", "column"), [(5, 3), (299, 0), (299, 290), (130, 127)])
@pytest.mark.parametrize("error", [2e-6, np.nan, np.inf])
def test_one_distance_that_is_not_symmetric_is_found(row: int, column: int, error: float) -> None:
    """In any block; what is rounding passes."""
    D = distances_with_spectrum(np.array([3.0, -2.0]), n_points=300)[0] + 1.0
    D[row, column] *= 1 + 5e-7
    InPCA(n_components=1, metric="precomputed").fit(D)
    D[row, column] *= 1 + error
    with pytest.raises(ValueError, match="finite" if not np.isfinite(error) else "symmetric"):
        InPCA(n_components=1, metric="precomputed").fit(D)


@pytest.mark.parametrize("n_points", [3, 130, 300])
def test_centred_distances_have_means_of_zero(n_points: int) -> None:
    """In all rows and columns: W = -1/2 L D L, whatever the blocks."""
    D = np.random.default_rng(0).uniform(0, 1, (n_points, n_points))
    D = D + D.T
    L = np.eye(n_points) - 1 / n_points
    np.testing.assert_allclose(inpca._double_centre(D, D.mean(axis=1)), -0.5 * L @ D @ L, rtol=0, atol=1e-14)


@pytest.mark.parametrize("n_points", [40, 320])
def test_equal_eigenvalues_are_all_found(n_points: int) -> None:
    """Four groups at equal distances span three equal axes; one start vector alone would find one of them."""
    group = np.arange(n_points) % 4
    D = (group[:, None] != group[None, :]).astype(float)
    model = InPCA(n_components=4, metric="precomputed").fit(D)
    np.testing.assert_allclose(model.eigenvalues_, [n_points / 8] * 3 + [0.0], rtol=1e-12)
    np.testing.assert_allclose(squared_intervals(model), D, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(InPCA(n_components=4, metric="precomputed").fit(D).embedding_, model.embedding_)


# ---------------------------------------------------------------------------------------------------------------------
# Permutations, signs, points that coincide
# ---------------------------------------------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize("n_points", [12, 310])
def test_permutations(metric: str, n_points: int) -> None:
    """Samples and classes in any order give the same picture, signs included; checkpoints move their rows along."""
    rng = np.random.default_rng(0)
    scale = np.linspace(0, 1, n_points)[:, None, None]
    P = (1 - scale) / 4 + scale * rng.dirichlet(np.full(4, 0.3), (n_points, 20))
    picture = InPCA(n_components=2, metric=metric).fit_transform(P)
    shuffled = P[:, rng.permutation(20)][:, :, rng.permutation(4)]
    np.testing.assert_allclose(InPCA(2, metric).fit_transform(shuffled), picture, rtol=0, atol=1e-5)
    order = rng.permutation(n_points)
    np.testing.assert_allclose(InPCA(2, metric).fit_transform(P[order]), picture[order], rtol=0, atol=1e-5)


@given(P=points(count=5))
def test_signs_are_fixed(P: np.ndarray) -> None:
    """The coordinate of largest magnitude of every axis is positive, and a second fit is the first again."""
    model = InPCA(n_components=5).fit(P)
    largest = np.argmax(np.abs(model.embedding_), axis=0)
    assert np.all(model.embedding_[largest, range(5)] >= 0)
    np.testing.assert_array_equal(InPCA(n_components=5).fit(P).embedding_, model.embedding_)


@pytest.mark.parametrize("spectrum", [[3.0, -2.0, 1.0], [-3.0, 2.0, -1.0]])
@pytest.mark.parametrize("n_points", [10, 320])
def test_signs_of_either_solver_are_fixed(spectrum: list[float], n_points: int) -> None:
    """Whatever the solver returns."""
    for seed in range(4):
        D, vectors = distances_with_spectrum(np.array(spectrum), n_points, seed)
        model = InPCA(metric="precomputed").fit(D)
        largest = np.argmax(np.abs(vectors), axis=0)
        expected = vectors * np.sign(vectors[largest, range(3)]) * np.sqrt(np.abs(spectrum))
        np.testing.assert_allclose(model.embedding_, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n_points", [2, 5, 320])
def test_distances_that_are_all_zero(n_points: int) -> None:
    """One point many times: every coordinate 0, all stress explained, never NaN; new points land there."""
    model = InPCA(n_components=2, metric="precomputed").fit(np.zeros((n_points, n_points)))
    np.testing.assert_array_equal(model.embedding_, 0.0)
    np.testing.assert_array_equal(model.eigenvalues_, 0.0)
    np.testing.assert_array_equal(model.signature_, 1)
    np.testing.assert_array_equal(model.explained_stress_, 1.0)
    np.testing.assert_array_equal(model.transform(np.ones((3, n_points))), 0.0)


SAME_POINTS = {
    "halves": np.full((4, 2), 0.5),
    "certain": np.eye(3)[[0, 2, 1]],
    "thirds": np.full((4, 3), 1 / 3),
    "tenths": np.full((4, 10), 0.1),
    "hundredths": np.full((4, 100), 0.01),
    "any": np.random.default_rng(0).dirichlet(np.ones(10), 50),
}


@every_metric
@pytest.mark.parametrize(("kind", "n_points"), [*((kind, 8) for kind in SAME_POINTS), ("tenths", 320)])
def test_checkpoints_that_coincide_stay_together(metric: str, kind: str, n_points: int) -> None:
    """An untrained start that all seeds share is one spot: no NaN, and no distance that could be seen."""
    model = InPCA(n_components=2, metric=metric).fit(np.repeat(SAME_POINTS[kind][None], n_points, axis=0))
    assert np.all(np.isfinite(model.explained_stress_))
    assert np.abs(model.embedding_).max() < 1e-3
    assert np.all(np.isfinite(model.transform(SAME_POINTS[kind][None])))


def test_checkpoints_that_coincide_are_one_point() -> None:
    """Distances of exactly 0 and, as the docstring says, an explained stress of 1."""
    for point in SAME_POINTS.values():
        P = np.repeat(point[None], 8, axis=0)
        np.testing.assert_array_equal(geometry.pairwise(P), 0.0)
        np.testing.assert_array_equal(InPCA(n_components=2).fit(P).explained_stress_, 1.0)


@every_metric
def test_some_checkpoints_that_coincide(metric: str) -> None:
    """A shared start among others: its copies get one place."""
    P = np.random.default_rng(0).dirichlet(np.full(4, 0.3), (9, 6))
    P[[0, 3, 6]] = 0.25
    picture = InPCA(n_components=2, metric=metric).fit_transform(P)
    np.testing.assert_allclose(picture[[3, 6]], picture[[0, 0]], rtol=0, atol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Lengths and squares
# ---------------------------------------------------------------------------------------------------------------------


@st.composite
def geodesics(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, N, C) of one geodesic, unequally spaced, and the great-circle distances (T,) from the first.

    Some samples stay where they are, one at least goes far.
    """
    n_samples, n_classes = draw(shapes)
    rng = np.random.default_rng(draw(seeds))
    start, end = rng.dirichlet(np.ones(n_classes), (2, n_samples))
    stays = np.array([False, *draw(st.lists(st.booleans(), min_size=n_samples - 1, max_size=n_samples - 1))])
    end[0] = np.eye(n_classes)[start[0].argmin()]
    end[stays] = start[stays]
    gaps = draw(st.lists(st.floats(0.05, 1.0), min_size=1, max_size=12))
    times = np.cumsum([0.0, *gaps]) / sum(gaps)
    P = geometry.geodesic(start, end, np.minimum(times, 1.0))
    return P, times * geometry.great_circle(start, end)


@given(drawn=geodesics())
def test_a_geodesic_is_a_straight_line_of_great_circle_distances(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """One real axis, true to scale, explains everything; every point lands on it."""
    P, places = drawn
    model = InPCA(n_components=2, metric="great_circle").fit(P)
    assert model.signature_[0] == 1
    np.testing.assert_allclose(model.explained_stress_, 1.0, rtol=0, atol=1e-6)
    line = model.embedding_[:, 0] - model.embedding_[0, 0]
    np.testing.assert_allclose(np.abs(line), places, rtol=0, atol=1e-9)
    np.testing.assert_allclose(squared_intervals(model), np.subtract.outer(places, places) ** 2, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.transform(P)[:, 0], model.embedding_[:, 0], rtol=0, atol=1e-9)


@given(drawn=geodesics(), seed=seeds)
def test_landmarks_of_a_geodesic_show_the_straight_line(drawn: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """Two of its points are enough."""
    P, places = drawn
    assume(len(P) > 2)
    model = InPCA(n_components=1, metric="great_circle", landmarks=2, random_state=seed).fit(P)
    np.testing.assert_allclose(squared_intervals(model), np.subtract.outer(places, places) ** 2, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.transform(P), model.embedding_, rtol=0, atol=1e-9)
    np.testing.assert_allclose([model.explained_stress_, model.held_out_stress_], 1.0, rtol=0, atol=1e-6)


def test_given_distances_are_embedded_as_they_are() -> None:
    """Points of a line: their distances squared give the line, the distances themselves something else."""
    places = np.array([0.0, 1.0, 3.0, 7.0])
    lengths = np.abs(np.subtract.outer(places, places))
    model = InPCA(n_components=1, metric="precomputed").fit(lengths**2)
    np.testing.assert_allclose(np.abs(np.diff(model.embedding_[:, 0])), [1, 2, 4], rtol=1e-12)
    assert model.explained_stress_[0] == pytest.approx(1.0, abs=1e-7)
    assert InPCA(n_components=1, metric="precomputed").fit(lengths).explained_stress_[0] < 0.9


# ---------------------------------------------------------------------------------------------------------------------
# What is rounding
# ---------------------------------------------------------------------------------------------------------------------

#: 1e-12 to 1e6. By powers of 4 distances are multiplied, and roots of them taken, without any rounding.
scales = st.integers(-20, 10).map(lambda exponent: 4.0**exponent)


@every_metric
@given(P=points(count=6), scale=scales)
def test_what_distances_are_multiplied_by_changes_no_stress(metric: str, P: np.ndarray, scale: float) -> None:
    """Large ones, tiny ones and none, by either way to the stress, with landmarks too."""
    D = squared_distances(metric, P)
    for landmarks, columns in ((None, slice(None)), ([0, 2, 3, 5], [0, 2, 3, 5])):
        one = InPCA(n_components=4, metric="precomputed", landmarks=landmarks).fit(D[:, columns])
        other = InPCA(n_components=4, metric="precomputed", landmarks=landmarks).fit(scale * D[:, columns])
        # LAPACK may sum in another order; a root of what is left of 1 makes 1e-8 of the last digit.
        np.testing.assert_allclose(other.explained_stress_, one.explained_stress_, rtol=0, atol=3e-7)
        largest = np.abs(one.eigenvalues_).max()
        np.testing.assert_allclose(other.eigenvalues_ / scale, one.eigenvalues_, rtol=0, atol=1e-8 * largest)
        again = explained_stress(other.embedding_, other.signature_, scale * D)
        np.testing.assert_allclose(again, explained_stress(one.embedding_, one.signature_, D), rtol=0, atol=3e-7)


@given(spectrum=spectra, seed=seeds, scale=scales, tiny=st.integers(0, 18))
def test_a_tiny_axis_beside_large_ones(spectrum: np.ndarray, seed: int, scale: float, tiny: int) -> None:
    """Either it is there, or it counts as 0: both ways to the stress say the same, and points land on themselves."""
    size = 10.0**-tiny
    D = scale * distances_with_spectrum(np.append(spectrum, size), n_points=len(spectrum) + 3, seed=seed)[0]
    model = InPCA(n_components=len(spectrum) + 1, metric="precomputed").fit(D)
    least = scale * np.sort(np.abs(np.append(spectrum, size)))[0]
    largest = np.abs(D).max()
    if least > 1e-13 * largest:
        assert np.all(model.eigenvalues_ != 0)
    if least < 1e-16 * largest:
        assert model.eigenvalues_[-1] == 0.0
        np.testing.assert_array_equal(model.embedding_[:, -1], 0.0)
    stress = explained_stress(model.embedding_, model.signature_, D)
    np.testing.assert_allclose(stress, model.explained_stress_, rtol=0, atol=3e-7)
    landed = model.transform(D)
    assert np.all(np.isfinite(landed))
    np.testing.assert_allclose(landed, model.embedding_, rtol=0, atol=1e-6 * math.sqrt(largest))


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1.0, 1e6])
@pytest.mark.parametrize("n_points", [3, 7, 320])
def test_equal_distances_from_everywhere_to_everywhere_are_one_point(size: float, n_points: int) -> None:
    """Also from a point to itself. W is rounding then: a stress of 1, coordinates of 0, with landmarks too."""
    D = np.full((n_points, n_points), 0.1 * size)
    D *= 1 + 2e-16 * (np.arange(n_points) % 3)
    for landmarks in (None, [0, 2]):
        model = InPCA(n_components=2, metric="precomputed", landmarks=landmarks).fit(D[:, landmarks or slice(None)])
        np.testing.assert_array_equal(model.embedding_, 0.0)
        np.testing.assert_array_equal(model.eigenvalues_, 0.0)
        np.testing.assert_array_equal(model.explained_stress_, 1.0)
        np.testing.assert_array_equal(explained_stress(model.embedding_, [1, 1], D), 1.0)


@every_metric
@pytest.mark.parametrize("n_classes", [2, 3, 10, 200, 201, 500])
def test_points_that_coincide_but_for_rounding_are_one_point(metric: str, n_classes: int) -> None:
    """Within P, to Q and to landmarks: distances of exactly 0, coordinates of 0, a stress of 1."""
    rng = np.random.default_rng(0)
    point = rng.dirichlet(np.full(n_classes, 0.3), 20)
    point[:5], point[5:8] = 1 / n_classes, np.eye(n_classes)[rng.integers(0, n_classes, 3)]
    P = point * (1 + 2e-16 * rng.integers(-1, 2, (9, *point.shape)))
    np.testing.assert_array_equal(geometry.pairwise(P, metric=metric), 0.0)
    np.testing.assert_array_equal(geometry.pairwise(P, P[::2], metric=metric), 0.0)
    for landmarks in (None, 4):
        model = InPCA(n_components=2, metric=metric, landmarks=landmarks).fit(P)
        np.testing.assert_array_equal(model.embedding_, 0.0)
        np.testing.assert_array_equal(model.explained_stress_, 1.0)
        np.testing.assert_array_equal(model.transform(P), 0.0)


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1.0, 1e6])
def test_how_symmetric_distances_must_be_is_relative_to_their_size(scale: float) -> None:
    """An error of a millionth is found in small distances, and rounding beside large ones passes."""
    D = scale * distances_with_spectrum(np.array([3.0, -2.0, 1.0]), 6)[0]
    InPCA(n_components=1, metric="precomputed").fit(D + np.triu(np.full(D.shape, 1e-10 * np.abs(D).max())))
    with pytest.raises(ValueError, match="symmetric"):
        InPCA(n_components=1, metric="precomputed").fit(D + np.triu(np.full(D.shape, 1e-5 * np.abs(D).max())))


# ---------------------------------------------------------------------------------------------------------------------
# New points
# ---------------------------------------------------------------------------------------------------------------------


@given(spectrum=spectra, seed=seeds)
def test_a_fitted_point_lands_on_itself(spectrum: np.ndarray, seed: int) -> None:
    """On real and on imaginary axes, to rounding."""
    D, _ = distances_with_spectrum(spectrum, n_points=len(spectrum) + 2, seed=seed)
    model = InPCA(n_components=len(spectrum), metric="precomputed").fit(D)
    np.testing.assert_allclose(model.transform(D), model.embedding_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.transform(D[1:2]), model.embedding_[1:2], rtol=0, atol=1e-10)


@every_metric
@pytest.mark.parametrize("n_points", [12, 310])
def test_a_fitted_checkpoint_lands_on_itself(metric: str, n_points: int) -> None:
    """From predictions; some of the axes are imaginary."""
    P = np.random.default_rng(1).dirichlet(np.full(3, 0.2), (n_points, 1))
    model = InPCA(n_components=11, metric=metric).fit(P)
    assert metric in ("great_circle", "euclidean") or -1 in model.signature_
    np.testing.assert_allclose(model.transform(P), model.embedding_, rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.transform(P[3:5]), model.embedding_[3:5], rtol=0, atol=1e-5)


def test_fitting_again_forgets_the_points_before() -> None:
    """Other points, another metric, another kind of input."""
    rng = np.random.default_rng(0)
    P, Q = rng.dirichlet(np.ones(3), (2, 6, 5))
    model = InPCA(n_components=2).fit(P).fit(Q)
    np.testing.assert_array_equal(model.embedding_, InPCA(n_components=2).fit(Q).embedding_)
    np.testing.assert_allclose(model.transform(Q), model.embedding_, rtol=0, atol=1e-5)
    D = geometry.pairwise(P)
    model.set_params(metric="precomputed").fit(D)
    np.testing.assert_allclose(model.transform(D), InPCA(n_components=2).fit(P).embedding_, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 5), (6,), (1, 2, 6)])
def test_transform_wants_distances_to_all_fitted_points(shape: tuple[int, ...]) -> None:
    """The message says to how many."""
    model = InPCA(n_components=2, metric="precomputed").fit(distances_with_spectrum(np.array([2.0, 1.0]), 6)[0])
    with pytest.raises(ValueError, match="distances to 6 points"):
        model.transform(np.ones(shape))


def test_transform_wants_points_of_the_same_space() -> None:
    """Samples and classes as fitted."""
    model = InPCA(n_components=2).fit(np.random.default_rng(0).dirichlet(np.ones(3), (4, 5)))
    with pytest.raises(ValueError, match="different prediction spaces"):
        model.transform(np.full((2, 5, 2), 0.5))


# ---------------------------------------------------------------------------------------------------------------------
# Signs of a live picture
# ---------------------------------------------------------------------------------------------------------------------


@given(seed=seeds, flips=st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3), shift=st.floats(-5, 5))
def test_align_signs_undoes_any_flip(seed: int, flips: list[float], shift: float) -> None:
    """Also of a picture that moved a little and whose centre lies elsewhere."""
    rng = np.random.default_rng(seed)
    reference = rng.standard_normal((12, 3))
    moved = reference * flips + 0.05 * rng.standard_normal((12, 3)) + shift
    np.testing.assert_array_equal(align_signs(moved, reference), flips)


def test_align_signs_leaves_empty_axes_alone() -> None:
    """An axis without extent has no sign to find: +1, not 0."""
    np.testing.assert_array_equal(align_signs(np.zeros((4, 2)), np.ones((4, 2))), [1.0, 1.0])


@pytest.mark.parametrize("other", [(4, 2), (5, 3), (4,)])
def test_align_signs_wants_the_same_points(other: tuple[int, ...]) -> None:
    """Other shapes are errors; numpy would broadcast some."""
    with pytest.raises(ValueError, match="differ in shape"):
        align_signs(np.ones((4, 3)), np.ones(other))


# ---------------------------------------------------------------------------------------------------------------------
# A scikit-learn estimator
# ---------------------------------------------------------------------------------------------------------------------


def test_parameters_are_read_set_and_cloned() -> None:
    """clone gives an unfitted estimator with the same parameters."""
    model = InPCA()
    landmarks = {"landmarks": None, "random_state": 0}
    assert model.get_params() == {"n_components": 3, "metric": "bhattacharyya"} | landmarks
    assert model.set_params(n_components=2, metric="great_circle") is model
    assert model.get_params() == {"n_components": 2, "metric": "great_circle"} | landmarks
    P = np.random.default_rng(0).dirichlet(np.ones(3), (4, 5))
    copy = clone(model.fit(P))
    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "embedding_")
    assert repr(copy) == "InPCA(metric='great_circle', n_components=2)"
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(components=2)


def test_fit_returns_the_estimator_and_fit_transform_the_picture() -> None:
    """y is ignored."""
    P = np.random.default_rng(0).dirichlet(np.ones(3), (4, 5))
    model = InPCA(n_components=2)
    assert model.fit(P, y=[0, 1, 0, 1]) is model
    picture = InPCA(n_components=2).fit_transform(P, y=[0, 1, 0, 1])
    np.testing.assert_array_equal(picture, model.embedding_)
    assert model.embedding_.shape == (4, 2)
    assert model.eigenvalues_.shape == model.signature_.shape == model.explained_stress_.shape == (2,)
    assert np.issubdtype(model.signature_.dtype, np.integer)


@pytest.mark.parametrize("metric", [*METRICS, "precomputed"])
def test_transform_before_fit_is_an_error(metric: str) -> None:
    """scikit-learn's own."""
    with pytest.raises(NotFittedError, match="not fitted"):
        InPCA(metric=metric).transform(np.ones((1, 1)))


@every_metric
def test_precomputed_distances_give_the_same_picture(metric: str) -> None:
    """The metric is only a way to the distances."""
    P = np.random.default_rng(0).dirichlet(np.ones(3), (7, 5))
    D = squared_distances(metric, P)
    model, other = InPCA(metric=metric).fit(P), InPCA(metric="precomputed").fit(D.tolist())
    np.testing.assert_array_equal(other.embedding_, model.embedding_)


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"metric": "euclid"}, np.full((4, 2, 2), 0.5), "unknown metric 'euclid'"),
        ({"n_components": 0}, np.full((4, 2, 2), 0.5), "from 1 to the 4 points, got 0"),
        ({"n_components": 5}, np.full((4, 2, 2), 0.5), "from 1 to the 4 points, got 5"),
        ({"n_components": 2.0}, np.full((4, 2, 2), 0.5), "a whole number from 1 to the 4 points, got 2.0"),
        ({"n_components": 1}, np.full((1, 2, 2), 0.5), "at least two checkpoints, got 1"),
        ({}, np.full((4, 2), 0.5), r"\(checkpoints, samples, classes\)"),
        ({}, np.full((4, 2, 2), 0.7), "must sum to 1"),
        ({"metric": "precomputed"}, np.zeros((4, 3)), r"square matrix, got shape \(4, 3\)"),
        ({"metric": "precomputed"}, np.full((4, 2, 2), 0.5), "square matrix"),
        ({"metric": "precomputed"}, np.full((4, 4), np.nan), "finite"),
        ({"metric": "precomputed"}, np.full((4, 4), np.inf), "finite"),
        ({"metric": "precomputed"}, np.triu(np.ones((4, 4)), 1), "symmetric"),
        ({"metric": "precomputed", "n_components": 1}, np.zeros((1, 1)), "at least two checkpoints, got 1"),
    ],
)
def test_fit_refuses_what_it_cannot_picture(parameters: dict, X: np.ndarray, message: str) -> None:
    """With a message that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        InPCA(**parameters).fit(X)


# ---------------------------------------------------------------------------------------------------------------------
# The published pictures
# ---------------------------------------------------------------------------------------------------------------------

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper"
EXPLAINED = {"fig_1a": [0.6651, 0.7519, 0.8003], "imagenet_inpca": [0.4828, 0.6431, 0.7119]}
IMAGINARY = {"fig_1a": [1, 1, 1, 1], "imagenet_inpca": [1, 1, 1, -1]}


def published(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Signed eigenvalues, and the coordinates (points, axes) of all runs and checkpoints."""
    path = PAPER / f"{name}.pkl"
    if not path.exists():
        pytest.skip("the paper's published data is not beside the repository")
    with path.open("rb") as file:
        stored = pickle.load(file)
    eigenvalues = np.where(stored["imaginary"], -1, 1) * np.abs(stored["eigen_values"])
    runs = [np.reshape(task, (-1, np.shape(task)[-1])) for task in stored["inpca_embedding"]]
    return eigenvalues, np.concatenate(runs).real


@pytest.mark.parametrize("name", EXPLAINED)
def test_published_explained_stress(name: str) -> None:
    """From the published eigenvalues: by the formula, and by a fit of distances that have this spectrum."""
    eigenvalues, _ = published(name)
    np.testing.assert_allclose(plain.explained_stress(eigenvalues.tolist(), 3), EXPLAINED[name], rtol=0, atol=5e-5)
    vectors = scipy.fft.idct(np.eye(len(eigenvalues) + 1), axis=0, norm="ortho")[:, 1:]  # orthogonal to 1
    model = InPCA(n_components=4, metric="precomputed").fit(distances_of((vectors * eigenvalues) @ vectors.T))
    np.testing.assert_allclose(model.eigenvalues_, eigenvalues[:4], rtol=1e-9)
    np.testing.assert_array_equal(model.signature_, IMAGINARY[name])
    np.testing.assert_allclose(model.explained_stress_[:3], EXPLAINED[name], rtol=0, atol=5e-5)


@pytest.mark.parametrize("name", EXPLAINED)
def test_published_picture(name: str) -> None:
    """The sum of squares of an axis is its eigenvalue; a fit of the picture's own intervals gives the picture."""
    eigenvalues, coordinates = published(name)
    n_axes = coordinates.shape[1]
    np.testing.assert_allclose(np.square(coordinates).sum(axis=0), np.abs(eigenvalues[:n_axes]), rtol=1e-10)
    some = coordinates[::4]  # (points / 4, axes)
    some = some - some.mean(axis=0)
    some = some @ np.linalg.svd(some, full_matrices=False)[2].T  # its own axes
    D = np.square(some[:, None] - some[None]).sum(axis=-1)
    model = InPCA(n_components=n_axes, metric="precomputed").fit(D)
    np.testing.assert_allclose(up_to_signs(model.embedding_, some), some, rtol=0, atol=1e-9 * np.abs(some).max())
    np.testing.assert_allclose(np.square(model.embedding_).sum(axis=0), np.abs(model.eigenvalues_), rtol=1e-10)


def test_every_axis_of_the_published_picture_is_centred() -> None:
    """So that nothing but the choice of signs is left open."""
    for name in EXPLAINED:
        _, coordinates = published(name)
        assert math.isclose(np.abs(coordinates.mean(axis=0)).max(), 0, abs_tol=1e-12)
