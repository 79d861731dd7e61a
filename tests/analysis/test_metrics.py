"""Pictures in every metric: the same labels, the geometry called by hand, signs like the default picture."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import xarray as xr
from sklearn.decomposition import PCA

from predspace_widgets.analysis import Analysis, frame
from predspace_widgets.geometry import InPCA, align_signs, geodesic, ignorance, pairwise, truth
from predspace_widgets.geometry.distance import Metric, squared_intervals
from predspace_widgets.trajectories import NoPredictionsError, Selection
from predspace_widgets.trajectories.samples import Samples
from predspace_widgets.trajectories.testing import geodesic_run, random_trajectories
from tests.trajectories.samples import embedding_only

TRAININGS = random_trajectories(n_seeds=3, n_checkpoints=9, n_samples=12, n_classes=4)  # 81 checkpoints
PROBS, LABELS = TRAININGS["probs"].values, TRAININGS["label"].values
PART = Selection(tasks=("red", "blue"), epochs=(0, 5))
ANALYSIS = Analysis(TRAININGS)

every_metric = pytest.mark.parametrize("metric", get_args(Metric))
every_other_metric = pytest.mark.parametrize("metric", [name for name in get_args(Metric) if name != "bhattacharyya"])


@every_other_metric
@pytest.mark.parametrize("selection", [Selection(), PART], ids=["all", "a part"])
def test_the_labels_are_those_of_the_default_picture(metric: Any, selection: Selection) -> None:
    picture, default = (ANALYSIS.picture(selection, metric=name) for name in (metric, "bhattacharyya"))
    assert picture.attrs == {**default.attrs, "metric": metric}
    assert {name: values.dims for name, values in picture.items()} == {n: v.dims for n, v in default.items()}
    xr.testing.assert_identical(*(made.coords.to_dataset().drop_attrs() for made in (picture, default)))
    xr.testing.assert_identical(TRAININGS.predspace.inpca(metric=metric), ANALYSIS.picture(metric=metric))


@every_metric
@pytest.mark.parametrize("selection", [Selection(), PART], ids=["all", "a part"])
def test_the_picture_is_inpca_of_the_predictions(metric: Any, selection: Selection) -> None:
    """Coordinates, eigenvalues, stress, the geodesic, and the means over seeds."""
    rows = selection.rows(TRAININGS)
    picture, model = ANALYSIS.picture(selection, metric=metric), InPCA(metric=metric).fit(PROBS[rows])
    np.testing.assert_allclose(picture["eigenvalue"], model.eigenvalues_, rtol=1e-5)
    np.testing.assert_allclose(picture["explained_stress"], model.explained_stress_, rtol=1e-6)
    signs = align_signs(picture["embedding"].values, model.embedding_)
    np.testing.assert_allclose(picture["embedding"] * signs, model.embedding_, rtol=0, atol=1e-4)
    line = geodesic(ignorance(12, 4), truth(LABELS, 4), np.linspace(0, 1, 33))
    np.testing.assert_allclose(picture["geodesic"] * signs, model.transform(line), rtol=0, atol=1e-4)
    point = int(np.flatnonzero((picture["mean_curve"] == "blue").values & (picture["mean_epoch"] == 5).values)[0])
    of_seeds = (picture["curve"] == "blue").values & (picture["epoch"] == 5).values
    assert of_seeds.sum() == 3
    np.testing.assert_allclose(picture["mean"][point], picture["embedding"].values[of_seeds].mean(axis=0), rtol=1e-12)


@every_other_metric
def test_signs_are_those_of_the_default_picture(metric: Any) -> None:
    """Of all checkpoints, of a part of them and of some samples alone."""
    default = ANALYSIS.picture()["embedding"].values
    whole = ANALYSIS.picture(metric=metric)["embedding"].values
    np.testing.assert_array_equal(align_signs(whole, default), 1)
    part = ANALYSIS.picture(PART, metric=metric)
    np.testing.assert_array_equal(align_signs(part["embedding"].values, whole[part["row"].values]), 1)
    some = ANALYSIS.of_samples(Samples(rows=tuple(range(9)))).picture(metric=metric)["embedding"].values
    np.testing.assert_array_equal(align_signs(some, whole), 1)


@every_metric
def test_others_are_projected_into_axes_that_stay(metric: Any) -> None:
    """A fitted checkpoint lies where it was, and all are where `transform` puts them."""
    axes = Selection(tasks=("red",))
    picture = ANALYSIS.picture(fitted_on=axes, metric=metric)
    rows = axes.rows(TRAININGS)
    alone = ANALYSIS.picture(axes, metric=metric)
    np.testing.assert_allclose(picture["embedding"][rows], alone["embedding"], rtol=0, atol=1e-12)
    model = InPCA(metric=metric).fit(PROBS[rows])
    signs = align_signs(alone["embedding"].values, model.embedding_)
    np.testing.assert_allclose(picture["embedding"] * signs, model.transform(PROBS), rtol=0, atol=2e-4)


def test_a_geodesic_is_a_straight_line_by_the_great_circle() -> None:
    """Equally spaced, for the squares are embedded."""
    picture = geodesic_run(9).predspace.inpca(2, "great_circle")
    np.testing.assert_allclose(picture["explained_stress"], 1, atol=1e-6)
    steps = np.diff(picture["embedding"].values[:, 0])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_the_euclidean_picture_is_the_principal_components_of_the_roots() -> None:
    picture = ANALYSIS.picture(metric="euclidean")
    expected = PCA(3, svd_solver="full").fit_transform(np.sqrt(PROBS / 12).reshape(81, -1))
    signs = align_signs(picture["embedding"].values, expected)
    np.testing.assert_allclose(picture["embedding"] * signs, expected, rtol=0, atol=1e-10)


@every_metric
def test_distances_are_given_as_they_are(metric: Any) -> None:
    """A picture squares great-circle distances; the measurements do not change under it."""
    analysis = Analysis(TRAININGS)
    before = analysis.distances(metric).values.copy()
    analysis.picture(metric=metric)
    np.testing.assert_array_equal(analysis.distances(metric), before)
    np.testing.assert_array_equal(before, pairwise(PROBS, metric=metric))
    expected = before**2 if metric == "great_circle" else before
    np.testing.assert_array_equal(squared_intervals(before, metric), expected)


def test_what_is_not_to_be_had_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="unknown metric 'euclid'"):
        TRAININGS.predspace.inpca(metric="euclid")
    with pytest.raises(ValueError, match="error bars by metric 'bhattacharyya' only, not by 'euclidean'"):
        TRAININGS.predspace.inpca(metric="euclidean", bootstrap=20)
    with pytest.raises(NoPredictionsError):
        embedding_only().predspace.inpca(metric="great_circle")
    monkeypatch.setattr(frame, "MOST_EXACT", 80)
    with pytest.raises(ValueError, match=r"of 81 checkpoints .* 'bhattacharyya' only.* at most 80 for 'euclidean'"):
        Analysis(TRAININGS).picture(metric="euclidean")
