"""The paper's published pictures, as embedding-only datasets: the explained stress that it reports."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.trajectories import NoPredictionsError, find_problems, open_trajectories, save_trajectories

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper"  # beside the repository

pytestmark = pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's published data lie beside the repository only")


def published(name: str, embeddings: list[np.ndarray], signed: np.ndarray) -> xr.Dataset:
    """A dataset of an embedding a task, each (seed, checkpoint, axis), and the signed eigenvalues of all axes."""
    n_seeds, n_checkpoints, n_axes = embeddings[0].shape
    each_run = [(task, seed) for task in range(len(embeddings)) for seed in range(n_seeds)]
    tasks, seeds = (np.repeat(column, n_checkpoints) for column in zip(*each_run, strict=True))
    steps = np.tile(np.arange(n_checkpoints), len(each_run))
    columns = {
        "task": [f"task {task}" for task in tasks],
        "method": ["supervised"] * len(tasks),
        "seed": seeds,
        "epoch": steps.astype(float),
        "step": steps,
        "run": [f"{task}/{seed}" for task, seed in zip(tasks, seeds, strict=True)],
    }
    return xr.Dataset(
        {
            "embedding": (("checkpoint", "component"), np.stack(embeddings).reshape(-1, n_axes)),
            "eigenvalue": ("component", signed[:n_axes]),
        },
        coords={key: ("checkpoint", column) for key, column in columns.items()},
        attrs={"schema_version": "1", "title": name, "eigenvalue_square_sum": float(np.square(signed).sum())},
    )


@pytest.fixture(scope="module")
def figure() -> xr.Dataset:
    with (PAPER / "fig_1a.pkl").open("rb") as file:
        data = pickle.load(file)
    magnitudes = data["eigen_values"]
    assert (magnitudes >= 0).all()  # the sign stands beside them
    signed = np.where(data["imaginary"], -magnitudes, magnitudes)
    return published("fig_1a", list(data["inpca_embedding"].real), signed)


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


@pytest.mark.parametrize(
    "measure",
    [
        lambda face, path: face.progress(),
        lambda face, path: face.distances(),
        lambda face, path: face.riemann_length(),
        lambda face, path: face.save_distances(path),
        lambda face, path: face.trajectory_distance("task 0", "task 1"),
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
    with (PAPER / "imagenet_inpca.pkl").open("rb") as file:
        data = pickle.load(file)
    embeddings = [np.asarray(task).real for task in data["inpca_embedding"]]
    signed = np.asarray(data["eigen_values"])
    np.testing.assert_array_equal(signed < 0, data["imaginary"])  # they have their signs already
    return published("imagenet", embeddings, signed)


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
