"""Error bars: equal to pictures of what was drawn, fitted from scratch; as wide as pictures of new data differ."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import orthogonal_procrustes

import predspace_widgets as pw
from predspace_widgets.analysis import analysis_of, measurements, uncertainty
from predspace_widgets.analysis.uncertainty import bootstrap, draw_samples
from predspace_widgets.geometry import InPCA
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import embedding_only

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=5, n_samples=40, n_classes=4)
N_DRAWS, SEED = 12, 3


def procrustes(X: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Turned by scipy's solution, all axes being real."""
    centre, X = like.mean(axis=0), X - X.mean(axis=0)
    return np.asarray(X @ orthogonal_procrustes(X, like - centre)[0] + centre)


def best_axes(inpca: InPCA, embedding: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The two real axes, of those found, that are most like those of a picture, in its order: all pairs are tried."""
    pairs = itertools.permutations(np.flatnonzero(inpca.signature_ > 0), 2)

    def agreement(pair: tuple[int, ...]) -> float:
        return sum(abs(np.corrcoef(embedding[:, axis], like[:, k])[0, 1]) for k, axis in enumerate(pair))

    return embedding[:, max(pairs, key=agreement)]


def refitted(over: str, draws: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates (draw, T, 2), their means over the seeds, and eigenvalues, by a plain loop over the draws."""
    P = TRAININGS["probs"].values.astype(np.float64)
    like = TRAININGS.predspace.inpca(2)["embedding"].values
    runs = TRAININGS["run"].values
    points = list(dict.fromkeys(zip(TRAININGS["task"].values, TRAININGS["step"].values, strict=True)))
    coordinates, means, eigenvalues = [], [], []
    for draw in draws:
        if over == "samples":
            times = np.ones(len(P), dtype=int)
            inpca = InPCA(4).fit(np.repeat(P, draw, axis=1))
            embedding = inpca.embedding_
        else:
            times = np.array([draw[run] for run in runs])
            # Two of three seeds count 3 / 2 times each: three times, of twice as many points.
            inpca = InPCA(4).fit(np.repeat(P, times * (3 if over == "seeds" else 1), axis=0))
            embedding = inpca.transform(P)
        turned = procrustes(best_axes(inpca, embedding, like), like)
        coordinates.append(turned)
        eigenvalues.append(inpca.eigenvalues_[:2] / (2 if over == "seeds" else 1))
        counted = times if over == "seeds" else np.ones_like(times)
        of_point = [(TRAININGS["task"].values == task) & (TRAININGS["step"].values == step) for task, step in points]
        means.append([np.average(turned[members], axis=0, weights=counted[members]) for members in of_point])
    return np.array(coordinates), np.array(means), np.array(eigenvalues)


def drawn(over: str) -> list[Any]:
    """What `bootstrap` draws, by the rule that its documentation states."""
    generator = np.random.default_rng(SEED)
    if over == "samples":
        return [np.rint(weights * 40).astype(int) for weights in draw_samples(40, N_DRAWS, generator)]
    runs = list(dict.fromkeys(TRAININGS["run"].values.tolist()))
    if over == "runs":
        times = generator.multinomial(9, np.full(9, 1 / 9), N_DRAWS)
        return [dict(zip(runs, draw, strict=True)) for draw in times]
    parts = [generator.multinomial(2, np.full(3, 1 / 3), N_DRAWS) for _ in range(3)]
    return [dict(zip(runs, draw, strict=True)) for draw in np.concatenate(parts, axis=1)]


@pytest.mark.parametrize("over", ["samples", "seeds", "runs"])
def test_it_equals_refitting_from_scratch(over: Any) -> None:
    picture = bootstrap(analysis_of(TRAININGS), n_components=2, n_draws=N_DRAWS, over=over, seed=SEED)
    assert (picture["eigenvalue"] > 0).all()
    coordinates, means, eigenvalues = refitted(over, drawn(over))
    np.testing.assert_allclose(picture["spread"], coordinates.std(axis=0, ddof=1), atol=1e-6)
    np.testing.assert_allclose(picture["drawn_eigenvalue"], eigenvalues, rtol=1e-6)
    for point in (0, 7, len(coordinates[0]) - 1):
        np.testing.assert_allclose(picture["covariance"][point], np.cov(coordinates[:, point].T), atol=1e-6)
    for point in range(means.shape[1]):
        np.testing.assert_allclose(picture["mean_covariance"][point], np.cov(means[:, point].T), atol=1e-6)


def test_the_picture_is_the_one_without_error_bars() -> None:
    picture = TRAININGS.predspace.inpca(2)
    drawn = TRAININGS.predspace.inpca(2, bootstrap=4, seed=1)
    xr.testing.assert_equal(drawn[list(picture.data_vars)], picture)
    assert (drawn.attrs["over"], drawn.attrs["n_draws"], drawn.attrs["seed"]) == ("samples", 4, 1)
    xr.testing.assert_identical(drawn, TRAININGS.predspace.inpca(2, bootstrap=4, seed=1))
    assert not np.allclose(drawn["spread"], TRAININGS.predspace.inpca(2, bootstrap=4, seed=2)["spread"])


def test_alike_seeds_and_alike_samples_have_no_spread() -> None:
    alike = TRAININGS.isel(sample=[0] * 5).assign_coords(sample=range(5))
    assert bootstrap(analysis_of(alike), n_draws=5)["spread"].max() < 1e-5
    one_seed = TRAININGS.predspace.select(seeds=[0])
    parts = [
        one_seed.assign_coords(
            seed=("checkpoint", np.full(one_seed.sizes["checkpoint"], k)),
            run=("checkpoint", [f"{run}-{k}" for run in one_seed["run"].values]),
        )
        for k in range(3)
    ]
    spread = bootstrap(analysis_of(xr.concat(parts, "checkpoint")), n_draws=5, over="seeds")["spread"]
    assert spread.max() < 1e-5


def test_draws_of_seeds_are_about_the_picture_where_curves_have_more_and_fewer() -> None:
    trainings = random_trajectories(n_seeds=5, n_checkpoints=6, n_samples=60)
    many = (trainings["task"].values == "red") | (trainings["seed"].values < 2)
    drawn = bootstrap(analysis_of(trainings.isel(checkpoint=np.flatnonzero(many))), over="seeds", n_draws=100)
    for name, of_draws in (
        ("eigenvalue", drawn["drawn_eigenvalue"]),
        ("explained_stress", drawn["drawn_explained_stress"]),
        ("participation_ratio", drawn["drawn_participation_ratio"]),
    ):
        off = np.abs(of_draws.mean("draw") - drawn[name])
        assert (off < 2 * of_draws.std("draw")).all(), name


@pytest.mark.parametrize("over", ["samples", "seeds"])
def test_of_a_selection_on_axes_of_another(over: Any) -> None:
    analysis, shown = analysis_of(TRAININGS), Selection(tasks=("red",))
    picture = bootstrap(analysis, shown, 2, 30, over, fitted_on=Selection(tasks=("green", "blue")))
    assert picture.sizes["checkpoint"] == 15
    assert np.isfinite(picture["spread"]).all()
    assert (picture["spread"] > 0).all()
    # Axes fitted on all of them have all others in their turn too, so only about as wide.
    whole = bootstrap(analysis, n_components=2, n_draws=30, over=over)
    of_red = whole["spread"].values[whole["task"].values == "red"]
    assert 0.3 < float(picture["spread"].mean()) / of_red.mean() < 3


def test_few_draws_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = bootstrap(analysis_of(TRAININGS), n_draws=7)
    monkeypatch.setattr(uncertainty, "_BYTES_AT_A_TIME", 2 * 4 * 45 * 44 // 2)
    monkeypatch.setattr(uncertainty, "_DRAWS_AT_A_TIME", 3)
    xr.testing.assert_allclose(bootstrap(analysis_of(TRAININGS), n_draws=7), expected)


def test_large_predictions_are_read_in_blocks(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pw.save_trajectories(TRAININGS, tmp_path / "large.zarr")
    monkeypatch.setattr(measurements, "_IN_MEMORY", 0)
    lazy = pw.open_trajectories(tmp_path / "large.zarr").chunk(sample=9)
    found = bootstrap(analysis_of(lazy), n_draws=5)
    monkeypatch.undo()
    expected = bootstrap(analysis_of(TRAININGS), n_draws=5)
    np.testing.assert_allclose(found["spread"], expected["spread"], atol=1e-5)


def test_ellipses_cover_what_new_samples_make_of_the_picture() -> None:
    """Of data drawn anew 150 times, 95% ellipses hold where the picture of ever more samples has its points."""
    generator = np.random.default_rng(0)
    slopes = np.array([[0.0, 0.0], [0.8, 0.0], [1.6, 0.5], [0.0, 0.9], [0.5, 1.8], [2.0, 2.0]])  # 2-D, of 6 points

    def samples(n: int) -> np.ndarray:
        """Predictions (6, n, 3): each sample follows the same slopes more or less readily."""
        readiness = generator.gamma(4, 0.25, (n, 2)) * generator.choice([1, 1, 1, -1], (n, 2))
        logits = np.zeros((6, n, 3))
        logits[..., :2] = slopes[:, None] * readiness
        return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True))

    known = InPCA(2).fit(samples(100_000)).embedding_
    inside = []
    for seed in range(150):
        P = samples(150)
        ds = pw.make_trajectories(
            P, label=np.zeros(150, dtype=int), run=["run"] * 6, task=["task"] * 6, seed=[0] * 6, epoch=np.arange(6.0)
        )
        picture = bootstrap(analysis_of(ds), n_components=2, n_draws=60, seed=seed)
        off = procrustes(known, picture["embedding"].values) - picture["embedding"].values  # (6, 2)
        distances = np.einsum("tk,tkl,tl->t", off, np.linalg.inv(picture["covariance"].values), off)
        inside.append(distances <= 5.991)  # of chi-squared with 2 degrees of freedom 95% lie below
    covered = np.mean(inside, axis=0)
    assert ((covered >= 0.9) & (covered <= 0.99)).all(), covered


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"over": "epochs"}, "over='epochs': what is drawn is one of samples, seeds, runs"),
        ({"n_draws": 1}, "1 draws: a spread needs a whole number of at least two"),
        ({"n_draws": 2.5}, "2.5 draws"),
        ({"over": "seeds", "selection": Selection(seeds=(0,))}, "no chosen curve has two seeds"),
        ({"over": "runs", "selection": Selection(tasks=("red",), seeds=(0,))}, "a single run is chosen"),
    ],
)
def test_what_cannot_be_drawn_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap(analysis_of(TRAININGS), **{"n_draws": 3, **options})


def test_without_predictions_or_with_too_many_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="predictions"):
        bootstrap(analysis_of(embedding_only()))
    with pytest.raises(ValueError, match="a single sample"):
        bootstrap(analysis_of(TRAININGS.isel(sample=[0])))
    monkeypatch.setattr(uncertainty, "MOST_EXACT", 10)
    with pytest.raises(ValueError, match="45 checkpoints have too many: choose at most 10"):
        bootstrap(analysis_of(TRAININGS))
