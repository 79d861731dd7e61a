"""The paper's published pictures, as embedding-only datasets: the explained stress that it reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.trajectories import (
    NoPredictionsError,
    find_problems,
    import_trajectories,
    open_trajectories,
    save_trajectories,
)
from predspace_widgets.trajectories.importers import report_of

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper"  # beside the repository

pytestmark = pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's published data lie beside the repository only")


TASKS = ("all ImageNet classes", "a random third of them", "instrumentality", "vertebrates")


@pytest.fixture(scope="module")
def figure() -> xr.Dataset:
    return import_trajectories(PAPER / "fig_1a.pkl")


def test_the_explained_stress_is_the_published_one(figure: xr.Dataset) -> None:
    picture = figure.predspace.inpca()
    np.testing.assert_allclose(picture["explained_stress"].values, [0.6651, 0.7519, 0.8003], rtol=0, atol=5e-5)


def test_all_published_points_are_in_the_picture(figure: xr.Dataset) -> None:
    picture = figure.predspace.inpca(n_components=9)
    assert picture.sizes["checkpoint"] == 6 * 5 * 61
    assert picture.sizes["component"] == 5
    assert picture.sizes["mean_point"] == 6 * 61
    np.testing.assert_allclose((picture["embedding"] ** 2).sum("checkpoint"), abs(picture["eigenvalue"]), rtol=1e-6)
    seeds = figure["embedding"].values.reshape(6, 5, 61, 5)
    np.testing.assert_allclose(picture["mean"].values, seeds.mean(axis=1).reshape(-1, 5), rtol=0, atol=1e-12)


def test_it_survives_a_file(figure: xr.Dataset, tmp_path: Path) -> None:
    found = open_trajectories(save_trajectories(figure, tmp_path / "figure.zarr.zip"))
    xr.testing.assert_identical(found.compute(), figure)
    assert report_of(found)


@pytest.mark.parametrize(
    "measure",
    [
        lambda face, path: face.progress(),
        lambda face, path: face.distances(),
        lambda face, path: face.riemann_length(),
        lambda face, path: face.save_distances(path),
        lambda face, path: face.trajectory_distance("Dogs", "Vertebrates"),
        lambda face, path: face.at_temperature(0.1),
    ],
)
def test_what_needs_predictions_says_so(
    measure: Callable[[Any, Path], Any], figure: xr.Dataset, tmp_path: Path
) -> None:
    with pytest.raises(NoPredictionsError):
        measure(figure.predspace, tmp_path / "distances.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def imagenet() -> xr.Dataset:
    return import_trajectories(PAPER / "imagenet_inpca.pkl", tasks=TASKS)


def test_signs_are_those_of_the_flags_or_of_the_values(figure: xr.Dataset, imagenet: xr.Dataset) -> None:
    """One file stores magnitudes, the other signed values; of the first ten axes the fourth there is imaginary."""
    assert (figure["spectrum"].values[:10] > 0).all()
    assert np.flatnonzero(imagenet["spectrum"].values[:10] < 0).tolist() == [3]
    assert [int((ds["spectrum"] < 0).sum()) for ds in (figure, imagenet)] == [115, 147]


def test_the_file_without_names_asks_for_them() -> None:
    with pytest.raises(ValueError, match="does not name its 4 tasks: --tasks must"):
        import_trajectories(PAPER / "imagenet_inpca.pkl")


def test_the_imagenet_picture(imagenet: xr.Dataset) -> None:
    found = imagenet.predspace.inpca()["explained_stress"].values
    np.testing.assert_allclose(found, [0.4828, 0.6431, 0.7119], rtol=0, atol=5e-5)


@pytest.mark.parametrize("name", ["figure", "imagenet"])
def test_published_pictures_and_their_parts_are_valid(name: str, request: pytest.FixtureRequest) -> None:
    ds = request.getfixturevalue(name)
    for dtype in ("float64", "float32", "float16"):
        stored = ds.assign(embedding=ds["embedding"].astype(dtype), eigenvalue=ds["eigenvalue"].astype(dtype))
        assert find_problems(stored) == []
        assert find_problems(stored.predspace.select(seeds=[0, 3])) == []
        assert find_problems(stored.predspace.select(epochs=(30, 60))) == []
    assert find_problems(ds.assign(eigenvalue=ds["eigenvalue"][::-1])) != []
    assert find_problems(ds.assign(embedding=ds["embedding"] / np.sqrt(abs(ds["eigenvalue"])))) != []
