"""New checkpoints among those that axes were fitted to: the same numbers as if all had been there."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, frame
from predspace_widgets.analysis.newcomers import explained_together, measure_newcomers, step_to
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import random_trajectories


@pytest.fixture(scope="module")
def grown() -> xr.Dataset:
    """Runs of seeds 0 and 1; those of seed 1 are the new ones."""
    ds = random_trajectories(n_seeds=2, n_checkpoints=6)
    return ds.isel(checkpoint=np.argsort(ds["seed"].values, kind="stable"))


def parts(grown: xr.Dataset) -> tuple[Analysis, np.ndarray]:
    old = grown["seed"].values == 0
    return Analysis(grown.isel(checkpoint=old)), grown["probs"].values[~old]


def test_newcomers_have_what_the_grown_dataset_says(grown: xr.Dataset) -> None:
    analysis, new = parts(grown)
    measured, whole = measure_newcomers(analysis, new, 5), Analysis(grown)
    n = analysis.ds.sizes["checkpoint"]
    np.testing.assert_allclose(measured.distances, whole.distances().values[n:, :n], atol=1e-12)
    np.testing.assert_allclose(measured.accuracy, whole.accuracy().values[n:])
    for metric in ("bhattacharyya", "great_circle"):
        np.testing.assert_allclose(measured.progress[metric], whole.progress(metric).values[n:], atol=1e-12)  # type: ignore[arg-type]
    picture = whole.picture(n_components=5, fitted_on=Selection(seeds=(0,)))["embedding"].values
    fitted = analysis.picture(n_components=5)["embedding"].values
    signs = np.sign((picture[:n] * fitted).sum(axis=0))  # those of a picture are those of its whole dataset
    np.testing.assert_allclose(fitted * signs, picture[:n], atol=1e-6)
    np.testing.assert_allclose(measured.coordinates * signs, picture[n:], atol=1e-6)
    step = step_to(grown["probs"].values[n], grown["probs"].values[n + 1])
    np.testing.assert_allclose(step, whole.measured.step_lengths()[n + 1])


def test_a_fitted_checkpoint_lands_on_itself(grown: xr.Dataset) -> None:
    analysis, _ = parts(grown)
    measured = measure_newcomers(analysis, analysis.ds["probs"].values, 5)
    np.testing.assert_allclose(measured.coordinates, analysis.picture(n_components=5)["embedding"].values, atol=1e-9)


def test_of_the_fitted_checkpoints_the_statistic_is_their_explained_stress(grown: xr.Dataset) -> None:
    analysis, new = parts(grown)
    stress = analysis.picture(n_components=3)["explained_stress"].values[2]
    again = measure_newcomers(analysis, analysis.ds["probs"].values, 3)
    assert explained_together(again.intervals, again.missed) == pytest.approx(stress, abs=1e-9)
    measured = measure_newcomers(analysis, new, 3)
    assert explained_together(measured.intervals, measured.missed) < stress


def test_by_landmarks_too(grown: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MOST_EXACT", 10)
    monkeypatch.setattr(frame, "N_LANDMARKS", 12)
    monkeypatch.setattr(frame, "_ENOUGH_LANDMARKS", 5)
    analysis, _ = parts(grown)
    measured = measure_newcomers(analysis, analysis.ds["probs"].values, 3)
    assert measured.distances.shape == (18, 12)
    np.testing.assert_allclose(measured.coordinates, analysis.picture()["embedding"].values, atol=1e-9)
    assert 0 < explained_together(measured.intervals, measured.missed) <= 1


@pytest.mark.parametrize(
    ("probs", "message"),
    [
        (np.full((1, 4, 5), 0.2), "predictions of shape (4, 5) came, but this dataset has 30 samples and 5 classes"),
        (np.full((30, 5), 0.2), "predictions of shape (30, 5) came"),
        (np.full((1, 30, 5), 0.5), "the predictions"),
        (np.full((1, 30, 5), np.nan), "not finite"),
    ],
)
def test_what_cannot_be_a_checkpoint(grown: xr.Dataset, probs: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        measure_newcomers(parts(grown)[0], probs)
