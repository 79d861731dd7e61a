"""Other temperatures: what imprinting at them would have recorded, and clear errors where nobody knows that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from predspace_widgets.geometry import ignorance
from predspace_widgets.training.imprint import ImprintSettings, imprint, imprint_log_probabilities
from predspace_widgets.trajectories import (
    NoPredictionsError,
    at_temperature,
    make_trajectories,
    open_trajectories,
    retemper,
    save_trajectories,
    validate,
)
from predspace_widgets.trajectories.logarithms import SMALLEST
from predspace_widgets.trajectories.temperature import DEFAULT_SCALE, DEFAULT_TEMPERATURE, temperature_of
from tests.trajectories.samples import embedding_only, two_runs

RECIPE = "title: some\nimprint: {temperature: 0.03, scale: feature_norm}\n"
LABELS = np.arange(30) % 4


def features(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of training images, one cluster a class, and of samples, (40, 6) and (30, 6)."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(4, 6))
    return tuple(centres[np.arange(n) % 4] + 0.7 * random.normal(size=(n, 6)) for n in (40, 30))  # type: ignore[return-value]


def imprinted(temperature: float) -> np.ndarray:
    """Predictions (3, 30, 4) of three networks."""
    settings = ImprintSettings(temperature)
    train_labels = np.arange(40) % 4
    return np.stack([imprint(train, train_labels, values, 4, settings) for train, values in map(features, range(3))])


def exact_logarithms(temperature: float) -> np.ndarray:
    settings = ImprintSettings(temperature)
    train_labels = np.arange(40) % 4
    each = map(features, range(3))
    return np.stack([imprint_log_probabilities(train, train_labels, values, 4, settings) for train, values in each])


def recorded(temperature: float = 0.03) -> xr.Dataset:
    probs = imprinted(temperature)
    metrics = {"accuracy": (probs.argmax(axis=-1) == LABELS).mean(axis=-1), "loss": [0.3, 0.2, 0.1]}
    return make_trajectories(probs, LABELS, task="one", epoch=[0, 1, 2], metrics=metrics, recipe=RECIPE)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Predictions recorded at 0.03, as float16 logarithms."""
    path = tmp_path_factory.mktemp("imprinted") / "some.zarr.zip"
    return open_trajectories(save_trajectories(recorded(), path, store="log_probs", dtype="float16"))


# -- arrays -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.floats(0.01, 3), st.floats(0.01, 3))
def test_retempering(seed: int, first: float, second: float) -> None:
    distances = np.random.default_rng(seed).uniform(0, 1.5, size=(6, 4))
    probs = softmax(-distances, axis=-1)
    np.testing.assert_allclose(retemper(probs, 1.0), probs, rtol=1e-12)
    np.testing.assert_allclose(retemper(probs, 0.0), ignorance(6, 4), rtol=1e-12)
    np.testing.assert_allclose(retemper(probs, first), softmax(-first * distances, axis=-1), rtol=1e-9)
    np.testing.assert_allclose(retemper(retemper(probs, first), second), retemper(probs, first * second), rtol=1e-9)
    np.testing.assert_array_equal(retemper(probs, [first, second])[1], retemper(probs, second))


def test_retempering_of_tiny_probabilities() -> None:
    distances = np.random.default_rng(3).uniform(0, 300, size=(6, 4))
    np.testing.assert_allclose(
        retemper(softmax(-distances, axis=-1), 0.01), softmax(-0.01 * distances, axis=-1), rtol=1e-9
    )


def test_retempering_of_zeros_and_of_nonsense() -> None:
    np.testing.assert_allclose(retemper([[1.0, 0.0]], 1.0), [[1 / (1 + SMALLEST), SMALLEST / (1 + SMALLEST)]])
    assert np.isfinite(retemper([[1.0, 0.0]], 1e6)).all()
    with pytest.raises(ValueError, match="none negative"):
        retemper([[0.5, 0.5]], -1.0)
    with pytest.raises(ValueError, match="rows of probs must sum to 1"):
        retemper([[0.5, 0.6]], 1.0)


# -- datasets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.004, 0.01, 0.03, 0.09, 0.5, 10.0])
def test_it_is_what_imprinting_anew_gives(temperature: float, opened: xr.Dataset) -> None:
    expected = imprinted(temperature)
    in_memory = at_temperature(recorded(), temperature)["probs"].values
    np.testing.assert_allclose(in_memory, expected, rtol=1e-9, atol=1e-300)
    # float16 logarithms l at 0.03 miss by 2**-11 abs(l) + 2**-21, which the ratio of the temperatures scales.
    ratio = 0.03 / temperature
    logs = exact_logarithms(0.03)
    of_each = ratio * (2.0**-11 * (logs.max(axis=-1, keepdims=True) - logs) + 2.0**-21)
    bound = of_each + np.log((expected * np.exp(of_each)).sum(axis=-1, keepdims=True)) + 1e-5
    found = at_temperature(opened, temperature)["probs"].values.astype(np.float64)
    seen = exact_logarithms(temperature) > -100  # what float32 holds
    assert seen.mean() > 0.3
    error = np.abs(np.log(np.where(seen, found, 1)) - np.where(seen, exact_logarithms(temperature), 0))
    assert (error <= bound).all()
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-6)


def test_there_are_probabilities_that_only_their_logarithms_know(opened: xr.Dataset) -> None:
    assert exact_logarithms(0.0003).min() < -200
    cold = at_temperature(opened, 0.0003)
    assert (cold["probs"].values == 0).any()
    np.testing.assert_allclose(at_temperature(cold, 0.03)["probs"], opened["probs"], rtol=2e-5)


@pytest.mark.parametrize("first", [0.0003, 0.01, 0.2])
def test_one_temperature_after_another_is_the_last(first: float, opened: xr.Dataset) -> None:
    twice, once = at_temperature(at_temperature(opened, first), 0.1), at_temperature(opened, 0.1)
    xr.testing.assert_allclose(twice.compute(), once.compute(), rtol=2e-5)
    assert twice.attrs == once.attrs
    in_memory = at_temperature(at_temperature(recorded(), max(first, 0.01)), 0.1)
    xr.testing.assert_allclose(in_memory, at_temperature(recorded(), 0.1), rtol=1e-9)


def test_what_depends_on_the_temperature_goes_and_the_rest_stays(opened: xr.Dataset) -> None:
    extra = opened.assign(
        learning_rate=("checkpoint", [3.0, 2.0, 1.0]),
        embedding=(("checkpoint", "component"), np.ones((3, 1))),
        eigenvalue=("component", [2.0]),
    ).assign_attrs(eigenvalue_square_sum=4.0)
    found = extra.predspace.at_temperature(0.1)
    validate(found)
    assert {"loss", "embedding", "eigenvalue"}.isdisjoint(found.variables)
    expected = opened.drop_vars(["loss", "probs"]).assign(learning_rate=extra["learning_rate"])
    xr.testing.assert_identical(found.drop_vars("probs").drop_attrs(), expected.drop_attrs())
    assert found.attrs == {**opened.attrs, "imprint_temperature": 0.1}
    accuracy = (found["probs"].values.argmax(axis=-1) == LABELS).mean(axis=-1)
    np.testing.assert_array_equal(accuracy, found["accuracy"].values)


def test_it_is_lazy_where_the_dataset_is(opened: xr.Dataset) -> None:
    computed: list[object] = []
    with Callback(start=computed.append):
        found = at_temperature(opened, 0.1)
    assert computed == []
    assert found["probs"].chunks is not None
    assert found["probs"].dtype == np.float32
    split = at_temperature(opened.chunk({"class": 1}), 0.1)
    np.testing.assert_allclose(split["probs"], found["probs"], rtol=1e-5, atol=1e-13)  # float32 has lost the tails
    assert at_temperature(recorded(), 0.1)["probs"].chunks is None


def test_a_choice_of_an_opened_dataset(opened: xr.Dataset) -> None:
    found = at_temperature(opened.isel(checkpoint=[2, 0], sample=slice(1, None)), 0.1)
    expected = at_temperature(opened, 0.1).isel(checkpoint=[2, 0], sample=slice(1, None))
    assert (opened["probs"].values[[2, 0], 1:] == 0).any()
    np.testing.assert_allclose(found["probs"], expected["probs"], rtol=1e-5, atol=1e-13)
    np.testing.assert_allclose(
        at_temperature(opened.compute(), 0.1)["probs"], at_temperature(opened, 0.1)["probs"], rtol=1e-5, atol=1e-13
    )


def test_it_can_be_saved_at_its_temperature(opened: xr.Dataset, tmp_path: Path) -> None:
    found = open_trajectories(save_trajectories(at_temperature(opened, 0.1), tmp_path / "some.zarr"))
    assert temperature_of(found) == 0.1
    # Logarithms down to those of float32's smallest number, -104, were rounded once more.
    np.testing.assert_allclose(at_temperature(found, 0.03)["probs"], opened["probs"], rtol=0.06, atol=1e-44)


def test_defaults_are_those_of_imprinting() -> None:
    assert ImprintSettings(DEFAULT_TEMPERATURE, DEFAULT_SCALE) == ImprintSettings()  # type: ignore[arg-type]
    for recipe in ("title: some", "imprint:", "imprint: {scale: feature_norm}"):
        assert temperature_of(xr.Dataset(attrs={"recipe": recipe})) == ImprintSettings().temperature


@pytest.mark.parametrize(
    ("attrs", "match"),
    [
        ({}, r"no recipe that says .* ds\.assign_attrs\(imprint_temperature="),
        ({"recipe": "imprint: {scale: raw}"}, r"imprinted with scale 'raw', without a temperature: record them"),
        ({"recipe": "imprint: {temperature: 0}"}, r"the recipe's imprint says temperature 0, which is not positive"),
        ({"recipe": "imprint: {temperature: -1}"}, r"temperature -1, which is not positive"),
        ({"recipe": "imprint: {temperature: warm}"}, r"temperature 'warm', which is not positive"),
        ({"recipe": "imprint: {temperature: .nan}"}, r"temperature nan, which is not positive"),
        ({"recipe": RECIPE, "imprint_temperature": 0.0}, r"the attribute 'imprint_temperature' says temperature 0"),
        ({"recipe": "toss"}, r"'recipe' of the dataset is no recipe that can be read"),
        ({"recipe": "imprint: 3"}, r"is no recipe that can be read"),
        ({"recipe": "a: ["}, r"is no recipe that can be read"),
        ({"recipe": "[" * 5000}, r"is no recipe that can be read"),
        ({"recipe": 3}, r"is no recipe that can be read"),
        ({"recipe": "!!python/object/apply:os.getcwd []"}, r"is no recipe that can be read"),
    ],
)
def test_nobody_knows_the_temperature(attrs: dict[str, Any], match: str) -> None:
    ds = two_runs()
    ds.attrs = attrs
    with pytest.raises(ValueError, match=match):
        at_temperature(ds, 0.1)


@pytest.mark.parametrize("temperature", [0, -0.1, float("nan"), float("inf")])
def test_no_temperature(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be positive and finite, got"):
        at_temperature(recorded(), temperature)


def test_predictions_are_needed() -> None:
    with pytest.raises(NoPredictionsError):
        at_temperature(embedding_only().assign_attrs(recipe=RECIPE), 0.1)
