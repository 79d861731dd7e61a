"""Pictures of more checkpoints than a matrix of all distances can hold: the same picture, nearly, and what it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis, frame, measurements
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.geometry import align_signs, explained_stress, landmarks, pairwise
from predspace_widgets.trajectories import Selection, open_trajectories
from predspace_widgets.trajectories.storage import save_trajectories
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS

TRAININGS = random_trajectories(n_seeds=10, n_checkpoints=8, n_samples=60)  # 240 checkpoints, 80 of each task
RED = Selection(tasks=("red",))
BLUE = Selection(tasks=("blue",))
EARLY = Selection(epochs=(0.0, 5.0))


@pytest.fixture
def _by_landmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty landmarks, 180 checkpoints drawn evenly; a choice with fewer than ten landmarks is measured anew."""
    monkeypatch.setattr(frame, "MOST_EXACT", 100)
    monkeypatch.setattr(frame, "N_LANDMARKS", 60)
    monkeypatch.setattr(frame, "_ENOUGH_LANDMARKS", 10)
    monkeypatch.setattr(landmarks, "_DRAWN", 180)


def no_matrix(*args: Any, **options: Any) -> None:
    raise AssertionError("all distances were asked for")


def pictures(selection: Selection, monkeypatch: pytest.MonkeyPatch) -> tuple[xr.Dataset, xr.Dataset]:
    """By landmarks, and exact."""
    with monkeypatch.context() as patch:
        patch.setattr(measurements.Measurements, "distances", no_matrix)
        ours = Analysis(TRAININGS).picture(selection)
    with monkeypatch.context() as patch:
        patch.setattr(frame, "MOST_EXACT", 1000)
        return ours, Analysis(TRAININGS).picture(selection)


@pytest.mark.usefixtures("_by_landmarks")
@pytest.mark.parametrize("selection", [Selection(), RED, EARLY])
def test_the_picture_is_nearly_the_exact_one(selection: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its coordinates explain nearly as much of the distances as any can; and no matrix of all was needed."""
    ours, exact = pictures(selection, monkeypatch)
    assert ours.attrs["landmarks"] >= 10
    assert "landmarks" not in exact.attrs
    assert ours["row"].values.tolist() == exact["row"].values.tolist()
    D = pairwise(TRAININGS["probs"].values[ours["row"].values])
    reached = explained_stress(ours["embedding"], np.sign(ours["eigenvalue"]), D)
    np.testing.assert_allclose(reached, exact["explained_stress"], atol=0.02)


@pytest.mark.usefixtures("_by_landmarks")
def test_means_and_the_geodesic_lie_where_they_do_in_the_exact_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, exact = pictures(Selection(), monkeypatch)
    signs = align_signs(ours["embedding"], exact["embedding"])
    scale = np.abs(exact["embedding"].values).max()
    for name in ("embedding", "mean", "geodesic"):
        assert np.abs(ours[name].values * signs - exact[name].values).max() < 0.05 * scale, name


@pytest.mark.usefixtures("_by_landmarks")
def test_the_stress_is_that_of_checkpoints_drawn_from_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the landmarks themselves where too few of those drawn are chosen."""
    measured = Analysis(TRAININGS)
    stress = measured.picture()["explained_stress"].values
    rows, _ = measured.measured.held_out_distances()
    assert len(rows) == 180
    assert set(rows.tolist()) & set(measured.measured.landmark_distances(60)[0].tolist())
    monkeypatch.setattr(frame, "_ENOUGH_SAMPLED", 181)
    assert np.abs(Analysis(TRAININGS).picture()["explained_stress"].values - stress).max() > 1e-4


@pytest.mark.usefixtures("_by_landmarks")
def test_a_choice_with_few_landmarks_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "_ENOUGH_LANDMARKS", 60)
    ours, exact = pictures(RED, monkeypatch)
    assert "landmarks" not in ours.attrs
    np.testing.assert_allclose(ours["embedding"], exact["embedding"], atol=1e-6)


@pytest.mark.usefixtures("_by_landmarks")
def test_a_part_has_the_signs_of_the_whole() -> None:
    whole, part = Analysis(TRAININGS).picture(), Analysis(TRAININGS).picture(EARLY)
    of_part = whole["embedding"].values[part["row"].values]
    assert align_signs(part["embedding"], of_part).tolist() == [1, 1, 1]


@pytest.mark.usefixtures("_by_landmarks")
def test_the_caption_says_so() -> None:
    analysis = Analysis(TRAININGS)
    assert "60 landmark checkpoints" in VIEWS["inpca"].draw(analysis, ExplorerState(analysis)).caption


@pytest.mark.usefixtures("_by_landmarks")
def test_block_by_block_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed when the dataset is opened again."""
    monkeypatch.setattr(measurements, "_IN_MEMORY", 0)
    path = save_trajectories(TRAININGS, tmp_path / "trainings.zarr")
    first = Analysis(open_trajectories(path))
    first.prepare()
    picture = first.picture()
    np.testing.assert_allclose(picture["embedding"], Analysis(TRAININGS).picture()["embedding"], atol=1e-5)
    monkeypatch.setattr(measurements, "pairwise", no_matrix)
    again = Analysis(open_trajectories(path))
    again.prepare()
    np.testing.assert_array_equal(again.picture()["embedding"], picture["embedding"])


@pytest.mark.usefixtures("_by_landmarks")
@pytest.mark.parametrize("enough", [10, 60])
def test_others_are_projected_by_the_landmarks_or_the_few_that_are_fitted(
    enough: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "_ENOUGH_LANDMARKS", enough)
    monkeypatch.setattr(frame, "_DISTANCES_AT_A_TIME", 2_000)  # several times
    monkeypatch.setattr(measurements.Measurements, "distances", no_matrix)
    analysis = Analysis(TRAININGS)
    picture = analysis.picture(Selection(), fitted_on=BLUE)
    rows = BLUE.rows(TRAININGS)
    assert picture.attrs["fitted_on"] == len(rows) == 80
    assert ("landmarks" in picture.attrs) == (enough == 10)
    fitted = frame.fit(analysis.measured, rows, 3)
    D = pairwise(TRAININGS["probs"].values)
    signs = align_signs(fitted.inpca.embedding_, picture["embedding"].values[rows])
    np.testing.assert_allclose(picture["embedding"].values[rows], fitted.inpca.embedding_ * signs, rtol=0, atol=1e-9)
    others = np.setdiff1d(np.arange(240), rows)
    projected = fitted.inpca.transform(D[np.ix_(others, fitted.measured_from)]) * signs
    np.testing.assert_allclose(picture["embedding"].values[others], projected, rtol=0, atol=1e-4)


@pytest.mark.usefixtures("_by_landmarks")
def test_a_part_on_the_axes_of_everything_is_that_part_of_the_picture_by_landmarks() -> None:
    analysis = Analysis(TRAININGS)
    part, whole = analysis.picture(EARLY, fitted_on=Selection()), analysis.picture()
    np.testing.assert_array_equal(part["embedding"].values, whole["embedding"].values[EARLY.rows(TRAININGS)])
    assert part.attrs["landmarks"] == 60
