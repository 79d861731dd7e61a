"""The spectrum beside its null: families with a known number of dimensions are found; metrics beside each other."""

from __future__ import annotations

import functools
from typing import Any, get_args

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, dimension
from predspace_widgets.analysis.dimension import spectrum, stress_by_metric
from predspace_widgets.analysis.nulls import NULLS
from predspace_widgets.geometry import ignorance, pairwise, participation_ratio, progress, riemann_length, truth
from predspace_widgets.geometry.distance import Metric, squared_intervals
from predspace_widgets.trajectories import NoPredictionsError, Selection, make_trajectories
from predspace_widgets.trajectories.selection import rows_of_runs
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, random_trajectories
from tests.geometry import plain
from tests.trajectories.samples import embedding_only

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=6, n_samples=20, n_classes=4)  # 54 checkpoints
PART = Selection(tasks=("red", "blue"), epochs=(2, 10))
each_null = pytest.mark.parametrize("null", NULLS)


@functools.cache
def family(n_dimensions: int, size: float = 1.0, n_runs: int = 20, n_steps: int = 5, seed: int = 0) -> xr.Dataset:
    """Predictions softmax(sum_k theta_k f_k(x)) with f_k random smooth functions of 150 inputs x in a square.

    Runs go straight from ignorance, theta = 0, in random directions, to theta of length `size`. True labels have
    nothing to do with it.
    """
    random = np.random.default_rng(seed)
    n_samples, n_classes, n_waves = 150, 5, 6
    inputs = random.uniform(-1, 1, (n_samples, 2))
    waves = random.normal(0, 1.5, (n_dimensions, n_waves, 2, n_classes))
    phases = random.uniform(0, 2 * np.pi, (n_dimensions, n_waves, 1, n_classes))
    heights = random.normal(0, np.sqrt(2 / n_waves), (n_dimensions, n_waves, 1, n_classes))
    functions = (heights * np.cos(inputs @ waves + phases)).sum(axis=1)  # (d, N, C)
    directions = random.normal(size=(n_runs, 1, n_dimensions))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    theta = size * np.linspace(0, 1, n_steps)[:, None] * directions  # (R, T, d)
    weights = np.exp(np.tensordot(theta.reshape(-1, n_dimensions), functions, 1))  # (R * T, N, C)
    return make_trajectories(
        weights / weights.sum(axis=-1, keepdims=True),
        random.integers(n_classes, size=n_samples),
        task="family",
        method="straight",
        seed=np.repeat(np.arange(n_runs), n_steps),
        epoch=np.tile(np.arange(n_steps), n_runs),
    )


# -- a known number of dimensions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_a_family_with_a_known_number_of_dimensions_is_found(n_dimensions: int, size: float) -> None:
    """By real axes above the null; the participation ratio, which weighs them, is as near as its axes are even."""
    of_data = spectrum(family(n_dimensions, size))
    assert of_data.attrs["n_real_above_null"] == n_dimensions
    assert 0.6 * n_dimensions < float(of_data["participation_ratio"]) < n_dimensions + 0.1
    assert (of_data["null_participation_ratio"] > 1.5 * of_data["participation_ratio"]).all()
    assert of_data.attrs["p_participation_ratio"] == 1 / 20


def test_bends_that_outgrow_an_unrelated_run_are_imaginary() -> None:
    """What the docstring says of Bhattacharyya distances: one dimension fills two axes above the null, one of them."""
    bent = spectrum(family(1, 2.0))
    assert (bent.attrs["n_axes_above_null"], bent.attrs["n_real_above_null"]) == (2, 1)
    assert bent["eigenvalue"][1] < 0


@pytest.mark.parametrize("size", [0.3, 2.0])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_by_symmetrised_kl_each_parameter_of_a_softmax_has_two_axes(n_dimensions: int, size: float) -> None:
    """One real and one imaginary, and nothing else is left but rounding."""
    eigenvalues = spectrum(family(n_dimensions, size), n_draws=0, metric="symmetric_kl")["eigenvalue"].values
    first, others = np.split(eigenvalues, [2 * n_dimensions])
    assert (first > 0).sum() == (first < 0).sum() == n_dimensions
    assert np.abs(others).max() < 1e-9 * np.abs(first).min()


def test_runs_that_share_nothing_do_not_stand_above_the_null() -> None:
    """They are such a draw: about one data set of twenty has an axis above all 19 draws."""
    random = np.random.default_rng(0)
    n_above = []
    for _ in range(8):
        bends = random.normal(size=(6, 2, 1, 40, 3))  # of 6 runs
        times = np.linspace(0, 1, 4)[:, None, None]
        weights = np.exp(times * bends[:, 0] + times**2 * bends[:, 1]).reshape(-1, 40, 3)
        probs = weights / weights.sum(axis=-1, keepdims=True)
        labels, runs = random.integers(3, size=40), np.repeat(np.arange(6), 4)
        epochs = np.tile(np.arange(4), 6)
        ds = make_trajectories(probs, labels, task="none", method="none", seed=runs, epoch=epochs)
        n_above.append(spectrum(ds).attrs["n_axes_above_null"])
    assert sum(np.array(n_above) > 0) <= 2  # a binomial of 8 draws with p = 1/20 exceeds 2 once in 170 times


def test_a_bend_that_all_runs_share_is_found_beside_the_way_to_the_truth() -> None:
    """The null keeps the way and makes its eigenvalue no smaller; its share is."""
    of_data = spectrum(random_trajectories(tasks=("red",), n_seeds=10, n_samples=60))
    assert of_data["eigenvalue"][0] < of_data["null_eigenvalue"][:, 0].min()
    assert of_data.attrs["n_axes_above_null"] == 2


def test_of_runs_on_the_geodesic_the_null_is_the_data() -> None:
    """Nothing beyond their ends: no axis counts, and every p is 1."""
    runs = [geodesic_run(n_checkpoints=6, n_samples=20) for _ in range(3)]
    probs = np.concatenate([run["probs"].values for run in runs])
    seeds, epochs = np.repeat(np.arange(3), 6), np.tile(np.arange(6), 3)
    ds = make_trajectories(probs, runs[0]["label"].values, task="way", method="way", seed=seeds, epoch=epochs)
    of_data = spectrum(ds)
    assert of_data.attrs["n_axes_above_null"] == 0
    np.testing.assert_allclose(of_data["null_mean"], of_data["share"], atol=1e-6)


# -- the null ---------------------------------------------------------------------------------------------------------


@each_null
def test_the_null_keeps_ignorance_truth_progress_and_lengths(null: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To rounding, in the very predictions that spectra are made of: distances of a run to both ends, and within."""
    drawn: list[np.ndarray] = []

    def kept(P: np.ndarray, **options: Any) -> np.ndarray:
        drawn.append(P.copy())
        return pairwise(P, **options)

    monkeypatch.setattr(dimension, "pairwise", kept)
    spectrum(TRAININGS, null=null)
    probs, labels = TRAININGS["probs"].values, TRAININGS["label"].values
    ends = np.stack([ignorance(20, 4), truth(labels, 4)])
    runs = rows_of_runs(TRAININGS).values()
    assert len(drawn) == 19
    for shuffled in (drawn[0], drawn[-1]):
        assert not np.allclose(shuffled, probs)
        to_ends = [pairwise(values, ends, dtype="float64") for values in (shuffled, probs)]
        np.testing.assert_allclose(*to_ends, rtol=0, atol=1e-12)
        np.testing.assert_allclose(progress(shuffled, *ends), progress(probs, *ends), rtol=0, atol=1e-9)
        for rows in runs:
            assert riemann_length(shuffled[rows]) == pytest.approx(riemann_length(probs[rows]), rel=1e-12)
            within = [pairwise(values[rows], dtype="float64") for values in (shuffled, probs)]
            np.testing.assert_allclose(*within, rtol=0, atol=1e-12)


# -- what is in the result --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", get_args(Metric))
def test_the_spectrum_is_that_of_the_plain_definition(metric: Any) -> None:
    """All eigenvalues, by rotations, and what is made of them."""
    few = TRAININGS.predspace.select(seeds=[0]).isel(checkpoint=slice(None, None, 2), sample=slice(6))
    of_data = spectrum(few, n_draws=0, metric=metric)
    points = few["probs"].values.tolist()
    D = squared_intervals(np.array(plain.pairwise(points, points, metric)), metric)
    expected = np.array([value for value, _ in plain.eigenpairs(plain.centred(D.tolist()))])
    np.testing.assert_allclose(of_data["eigenvalue"], expected, rtol=0, atol=3e-6)
    np.testing.assert_allclose(of_data["explained_stress"], plain.explained_stress(expected, len(expected)), atol=2e-4)
    np.testing.assert_allclose(of_data["share"], abs(expected) / expected.sum(), rtol=0, atol=1e-5)
    assert float(of_data["participation_ratio"]) == pytest.approx(float(participation_ratio(expected)), rel=1e-4)
    of_magnitudes = np.abs(expected).sum() ** 2 / np.square(expected).sum()
    assert float(of_data["participation_ratio_of_magnitudes"]) == pytest.approx(of_magnitudes, rel=1e-4)
    assert {"n_draws": 0, "metric": metric, "n_checkpoints": 9, "n_runs": 3}.items() <= of_data.attrs.items()
    assert "null_mean" not in of_data


def test_the_null_is_told_of_axis_by_axis() -> None:
    of_data = spectrum(TRAININGS, PART, n_draws=24)
    n = of_data.attrs["n_checkpoints"]
    assert n == len(PART.rows(TRAININGS)) < 54
    assert of_data.attrs["n_runs"] == 6
    shares = of_data["null_share"]
    assert shares.sizes == {"draw": 24, "component": n}
    totals = of_data["null_eigenvalue"].sum("component")
    np.testing.assert_allclose(shares, abs(of_data["null_eigenvalue"]) / totals, rtol=1e-12)
    for name, expected in {"mean": shares.mean("draw"), "low": shares.min("draw"), "high": shares.max("draw")}.items():
        np.testing.assert_allclose(of_data[f"null_{name}"], expected, rtol=1e-12)
    as_large = (shares.values >= of_data["share"].values).sum(axis=0)
    np.testing.assert_allclose(of_data["p_value"], (1 + as_large) / 25)
    assert of_data.attrs["n_axes_above_null"] == of_data["above_null"].sum() > 0
    first_below = np.flatnonzero(of_data["p_value"] > 0.05)[0]
    assert of_data.attrs["n_axes_above_null"] == first_below
    assert of_data.attrs["smallest_p"] == 1 / 25
    for name in ("participation_ratio", "decades_per_axis", "decades", "residual"):
        assert of_data[name].dims == ()
        assert of_data[f"null_{name}"].dims == ("draw",)


def test_draws_hang_on_the_seed_alone() -> None:
    """And what is returned is a copy."""
    first = TRAININGS.predspace.spectrum()
    first["eigenvalue"][:] = 0
    again = TRAININGS.predspace.spectrum()
    assert (again["eigenvalue"] != 0).any()
    xr.testing.assert_identical(again, spectrum(Analysis(TRAININGS)))
    assert not again["null_eigenvalue"].equals(spectrum(TRAININGS, seed=1)["null_eigenvalue"])
    assert not again["null_eigenvalue"].equals(spectrum(TRAININGS, null="wrong classes")["null_eigenvalue"])


def test_metrics_beside_each_other() -> None:
    """Each as its picture has it."""
    table = TRAININGS.predspace.stress_by_metric(n_axes=7)
    assert table["metric"].values.tolist() == list(get_args(Metric))
    for metric in get_args(Metric):
        picture, row = TRAININGS.predspace.inpca(7, metric), table.sel(metric=metric)
        np.testing.assert_allclose(row["explained_stress"], picture["explained_stress"], atol=1e-7)
        np.testing.assert_allclose(row["eigenvalue"], picture["eigenvalue"], rtol=1e-7)
        assert row["n_imaginary"] == (picture["eigenvalue"] < 0).sum()
        of_all = spectrum(TRAININGS, n_draws=0, metric=metric, n_axes=7)
        for name in ("participation_ratio", "decades_per_axis"):
            assert float(row[name]) == float(of_all[name])
    assert table["n_imaginary"].sel(metric="euclidean") == 0
    part = stress_by_metric(TRAININGS, PART, ("euclidean",))
    assert part.sizes["metric"] == 1
    assert part.attrs["n_checkpoints"] == len(PART.rows(TRAININGS))


def test_checkpoints_that_coincide() -> None:
    """No dimension and nothing above a null, rather than NaN."""
    of_data = spectrum(constant_run())
    assert float(of_data["participation_ratio"]) == of_data.attrs["n_axes_above_null"] == 0
    assert (of_data["share"] == 0).all()
    assert (of_data["p_value"] == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 18}, "n_draws=18: at least 19 draws can show p = 0.05, or 0"),
        ({"n_draws": -1}, "n_draws=-1"),
        ({"null": "nothing"}, "unknown null 'nothing': choose one of 'samples within a class', 'wrong classes'"),
        ({"metric": "euclid"}, "unknown metric 'euclid'"),
        ({"n_axes": 1}, "n_axes of at least 2, got 1"),
        ({"selection": Selection(tasks=("red",), seeds=(0,), epochs=(0, 0))}, "only one checkpoint is chosen"),
    ],
)
def test_what_cannot_be_told_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TRAININGS.predspace.spectrum(**options)


def test_what_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is a picture without predictions."""
    for measure in (spectrum, stress_by_metric):
        with pytest.raises(NoPredictionsError):
            measure(embedding_only())  # type: ignore[operator]
    monkeypatch.setattr(dimension, "MOST_EXACT", 53)
    with pytest.raises(ValueError, match="all eigenvalues of 54 checkpoints are too many: select at most 53"):
        spectrum(Analysis(TRAININGS))
    monkeypatch.undo()
    monkeypatch.setattr(dimension.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 10**4}))
    with pytest.raises(MemoryError, match=r"in memory twice, 0.0 GB.*of_samples"):
        spectrum(Analysis(TRAININGS))
