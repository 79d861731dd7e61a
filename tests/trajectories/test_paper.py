"""The paper's published pictures, as embedding-only datasets: the explained stress that it reports."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.trajectories import NoPredictionsError, open_trajectories, save_trajectories

PAPER = Path(__file__).resolve().parents[3] / "shared" / "paper"  # beside the repository

pytestmark = pytest.mark.skipif(not PAPER.is_dir(), reason="the paper's published data lie beside the repository only")


def published(name: str, embeddings: list[np.ndarray], spectrum: np.ndarray, imaginary: np.ndarray) -> xr.Dataset:
    """A dataset of an embedding a task, each (seed, checkpoint, axis), and the eigenvalues of all axes."""
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
    signed = np.where(imaginary, -spectrum, spectrum)
    return xr.Dataset(
        {
            "embedding": (("checkpoint", "component"), np.stack(embeddings).reshape(-1, n_axes)),
            "eigenvalue": ("component", signed[:n_axes]),
        },
        coords={key: ("checkpoint", column) for key, column in columns.items()},
        attrs={"schema_version": "1", "title": name, "eigenvalue_square_sum": float(np.square(spectrum).sum())},
    )


@pytest.fixture(scope="module")
def figure() -> xr.Dataset:
    with (PAPER / "fig_1a.pkl").open("rb") as file:
        data = pickle.load(file)
    return published("fig_1a", list(data["inpca_embedding"].real), data["eigen_values"], data["imaginary"])


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


def test_what_needs_predictions_says_so(figure: xr.Dataset) -> None:
    with pytest.raises(NoPredictionsError):
        figure.predspace.progress()


def test_the_imagenet_picture() -> None:
    with (PAPER / "imagenet_inpca.pkl").open("rb") as file:
        data = pickle.load(file)
    embeddings = [np.asarray(task).real for task in data["inpca_embedding"]]
    ds = published("imagenet", embeddings, np.asarray(data["eigen_values"]), np.asarray(data["imaginary"]))
    found = ds.predspace.inpca()["explained_stress"].values
    np.testing.assert_allclose(found, [0.4828, 0.6431, 0.7119], rtol=0, atol=5e-5)
