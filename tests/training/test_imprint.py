"""Imprinting: identities that hold for any features, and the start of real networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.geometry import ignorance, progress, truth
from predspace_widgets.training import (
    ImprintSettings,
    class_prototypes,
    extract_features,
    imprint,
    imprint_log_probabilities,
    load_images,
    make_network,
    split_images,
)

N_CLASSES = 4


def some_features(seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training features (40, 6), their labels (40,) and features to predict (15, 6)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(40) % N_CLASSES
    train = rng.standard_normal((40, 6)) + labels[:, None]
    return scale * train, labels, scale * (rng.standard_normal((15, 6)) + rng.integers(N_CLASSES, size=(15, 1)))


def plain_imprint(train: np.ndarray, labels: np.ndarray, features: np.ndarray, temperature: float | None) -> np.ndarray:
    """The definition in loops; a temperature of None is the raw form."""
    prototypes = [train[labels == label].mean(axis=0) for label in range(N_CLASSES)]
    norm = 1.0 if temperature is None else temperature * np.mean([row @ row for row in train])
    rows = []
    for sample in features:
        weights = [np.exp(-((sample - prototype) @ (sample - prototype)) / norm) for prototype in prototypes]
        rows.append(np.array(weights) / sum(weights))
    return np.array(rows)


@given(seed=st.integers(0, 10**6), temperature=st.floats(0.05, 10))
def test_imprint_is_its_definition(seed: int, temperature: float) -> None:
    train, labels, features = some_features(seed)
    probs = imprint(train, labels, features, N_CLASSES, ImprintSettings(temperature))
    np.testing.assert_allclose(probs, plain_imprint(train, labels, features, temperature), atol=1e-10)
    raw = imprint(train, labels, features, N_CLASSES, ImprintSettings(scale="raw"))
    np.testing.assert_allclose(raw, plain_imprint(train, labels, features, None), atol=1e-10)


@given(seed=st.integers(0, 10**6), temperature=st.floats(1e-3, 10), scale=st.sampled_from(["feature_norm", "raw"]))
def test_most_probable_class_is_that_of_the_nearest_prototype(seed: int, temperature: float, scale: str) -> None:
    train, labels, features = some_features(seed)
    settings = ImprintSettings(temperature, scale)  # type: ignore[arg-type]
    logs = imprint_log_probabilities(train, labels, features, N_CLASSES, settings)
    distances = [[np.linalg.norm(x - p) for p in class_prototypes(train, labels, N_CLASSES)] for x in features]
    np.testing.assert_array_equal(logs.argmax(axis=1), np.argmin(distances, axis=1))


@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
def test_only_the_raw_form_depends_on_the_scale_of_features(seed: int, scale: float) -> None:
    small, large = some_features(seed), some_features(seed, scale)
    np.testing.assert_allclose(imprint(*small, N_CLASSES), imprint(*large, N_CLASSES), atol=1e-8)
    if not 0.5 < scale < 2:
        raw = ImprintSettings(scale="raw")
        assert np.abs(imprint(*small, N_CLASSES, raw) - imprint(*large, N_CLASSES, raw)).max() > 0.01


@pytest.mark.parametrize("scale", ["feature_norm", "raw"])
def test_far_features_stay_finite(scale: str) -> None:
    train, labels, features = some_features(0, scale=1e4)
    settings = ImprintSettings(1e-4, scale)  # type: ignore[arg-type]
    logs = imprint_log_probabilities(train, labels, features, N_CLASSES, settings)
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1)


def test_features_that_tell_nothing_are_ignorance() -> None:
    nothing = np.zeros((8, 3))
    np.testing.assert_array_equal(imprint(nothing, np.arange(8) % 4, nothing, 4), ignorance(8, 4))


def test_errors() -> None:
    train, labels, features = some_features(0)
    with pytest.raises(ValueError, match=r"no training image of class \[2\]"):
        imprint(train[labels != 2], labels[labels != 2], features, N_CLASSES)
    features[3, 1] = np.nan
    with pytest.raises(FloatingPointError, match="diverged"):
        imprint(train, labels, features, N_CLASSES)
    with pytest.raises(ValueError, match="temperature must be positive"):
        ImprintSettings(temperature=0)
    with pytest.raises(ValueError, match="did you mean 'raw'"):
        ImprintSettings(scale="rw")  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(3))
def test_untrained_networks_start_near_ignorance(seed: int) -> None:
    train, evaluation = split_images(load_images("digits"), n_train=1100, seed=1)
    network = make_network("small-cnn", n_channels=1, n_classes=10, seed=seed)
    features = [extract_features(network, images) for images in (train, evaluation)]
    start, end = ignorance(len(evaluation), 10), truth(evaluation.labels, 10)
    assert progress(imprint(features[0], train.labels, features[1], 10), start, end) < 0.05
    raw = imprint(features[0], train.labels, features[1], 10, ImprintSettings(scale="raw"))
    assert progress(raw, start, end) < 0.01


def test_features_are_taken_in_evaluation_mode_and_leave_the_network_as_it_was() -> None:
    network = make_network("small-cnn", n_channels=1, n_classes=10, seed=0, width=8).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = load_images("digits")
    whole = extract_features(network, images.take(range(100)))
    assert network.training
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    # Each image by itself: no statistics of a batch.
    np.testing.assert_allclose(
        extract_features(network, images.take(range(100)), batch_size=7), whole, rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(extract_features(network, images.take([3])), whole[3:4], rtol=1e-5, atol=1e-7)
