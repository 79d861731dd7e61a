"""Some classes only: the samples of these, predicted among these, with all else that belongs to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from scipy.special import softmax

from predspace_widgets.trajectories import (
    NoPredictionsError,
    Samples,
    make_trajectories,
    open_trajectories,
    restrict_classes,
    save_trajectories,
    validate,
)
from predspace_widgets.trajectories.testing import constant_run, random_trajectories
from tests.trajectories.samples import embedding_only, random_probs, two_runs

NAMES = [f"class {index}" for index in range(5)]
TRAININGS = random_trajectories(n_seeds=2, n_checkpoints=4, n_samples=40)


def test_restricted_predictions_are_a_dataset_on_the_simplex() -> None:
    part = restrict_classes(TRAININGS, ["class 3", "class 1"])
    validate(part)
    inside = np.isin(TRAININGS["label"], [1, 3])
    assert part["sample"].values.tolist() == TRAININGS["sample"].values[inside].tolist()
    assert part["class"].values.tolist() == ["class 1", "class 3"]
    np.testing.assert_array_equal(part["label"], TRAININGS["label"].values[inside] == 3)
    np.testing.assert_allclose(part["probs"].sum("class"), 1)
    both = TRAININGS["probs"].values[:, inside][:, :, [1, 3]]
    np.testing.assert_allclose(part["probs"], both / both.sum(axis=-1, keepdims=True), atol=1e-12)
    assert part["run"].values.tolist() == TRAININGS["run"].values.tolist()


def test_restriction_to_all_classes_changes_no_prediction() -> None:
    whole = restrict_classes(TRAININGS, NAMES)
    np.testing.assert_allclose(whole["probs"], TRAININGS["probs"], atol=1e-12)
    np.testing.assert_array_equal(whole["label"], TRAININGS["label"])


def test_imprinted_predictions_are_those_of_an_imprint_on_these_classes() -> None:
    distances = np.random.default_rng(0).uniform(0, 60, size=(3, 6, 5))
    ds = make_trajectories(softmax(-distances, axis=-1), [0, 1, 2, 3, 4, 4], task="one", epoch=[0, 1, 2])
    part = restrict_classes(ds, ["2", "4"])
    np.testing.assert_allclose(part["probs"], softmax(-distances[:, [2, 4, 5]][:, :, [2, 4]], axis=-1), rtol=1e-9)


def test_a_sample_of_which_storage_left_nothing_is_not_known() -> None:
    probs = np.array([[[1, 0, 0], [0.5, 0.5, 0]]], dtype=np.float16)
    ds = make_trajectories(probs, label=[1, 2], task="one", epoch=[0], classes=["a", "b", "c"])
    rows = restrict_classes(ds, ["b", "c"])["probs"].values[0]
    np.testing.assert_allclose(rows, [[0.5, 0.5], [1, 0]], atol=1e-6)


def test_a_zero_that_was_read_from_logarithms_is_far_smaller(tmp_path: Path) -> None:
    distances = np.array([[[0.0, 60.0, 140.0]]])
    ds = make_trajectories(softmax(-distances, axis=-1), label=[1], task="one", epoch=[0], classes=["a", "b", "c"])
    with open_trajectories(save_trajectories(ds, tmp_path / "some.zarr", store="log_probs")) as opened:
        assert opened["probs"].values[0, 0, 2] == 0
        assert restrict_classes(opened, ["b", "c"])["probs"].values[0, 0, 1] < 1e-15


def test_what_belongs_to_checkpoints_and_samples_stays() -> None:
    ds = two_runs().assign(
        accuracy=("checkpoint", np.ones(7)),
        learning_rate=("checkpoint", np.arange(7.0)),
        embedding=(("checkpoint", "component"), np.ones((7, 1))),
        eigenvalue=("component", [2.0]),
    )
    ds = ds.assign_attrs(recipe="epochs: 3", eigenvalue_square_sum=4.0)
    before = ds.copy(deep=True)
    part = restrict_classes(ds, ["owl", "cat"])
    validate(part)
    xr.testing.assert_identical(ds, before)
    xr.testing.assert_identical(part["image"].drop_vars("label"), ds["image"].isel(sample=[0, 2, 3]).drop_vars("label"))
    xr.testing.assert_identical(part["learning_rate"], ds["learning_rate"])
    assert {"accuracy", "loss", "embedding", "eigenvalue"}.isdisjoint(part.variables)
    title = "two runs: among cat, owl"
    assert part.attrs == {**two_runs().attrs, "recipe": "epochs: 3", "title": title}


def test_samples_and_classes_without_names_keep_their_numbers() -> None:
    part = restrict_classes(two_runs().drop_vars(["sample", "class"]), ["1", "2"])
    assert (part["sample"].values.tolist(), part["class"].values.tolist()) == ([1, 2, 4], [1, 2])
    assert part["label"].values.tolist() == [0, 1, 0]


def test_nothing_is_read_before_it_is_used(tmp_path: Path) -> None:
    with open_trajectories(save_trajectories(TRAININGS, tmp_path / "some.zarr")) as opened:
        computed: list[object] = []
        with Callback(start=computed.append):
            part = restrict_classes(opened, NAMES[:2])
        assert computed == []
        assert part["probs"].chunks is not None
        expected = restrict_classes(opened.compute(), NAMES[:2])
        np.testing.assert_array_equal(part["probs"].values, expected["probs"].values)
        split = restrict_classes(opened.chunk({"class": 1, "sample": 7}), NAMES[:2])
        np.testing.assert_array_equal(split["probs"].values, expected["probs"].values)


def test_classes_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="no class 'cat' in this dataset; it has class 0"):
        restrict_classes(TRAININGS, ["class 0", "cat"])
    with pytest.raises(ValueError, match="at least two classes are needed to tell apart, got 1"):
        restrict_classes(TRAININGS, ["class 0"])
    ds = make_trajectories(random_probs(1, 2, 3), label=[0, 0], task="one", epoch=[0])
    with pytest.raises(ValueError, match="no sample of the classes 1, 2"):
        restrict_classes(ds, ["1", "2"])
    with pytest.raises(NoPredictionsError):
        restrict_classes(embedding_only(), ["1", "2"])


# -- a choice of samples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "places", "described"),
    [
        (Samples(), range(5), "all 5 samples"),
        (Samples(classes=("owl",)), [2], "1 sample of owl"),
        (Samples(classes=("owl", "cat")), [0, 2, 3], "3 samples of owl and cat"),
        (Samples(rows=(4, 1, 4)), [1, 4], "2 chosen samples"),
        (Samples(rows=(0, 1), classes=("dog",)), [1], "1 chosen sample of dog"),
        (Samples(among=("cat", "owl")), [0, 2, 3], "among cat, owl (3 samples)"),
        (Samples(among=("cat", "owl"), rows=(0, 1)), [0], "among cat, owl (1 chosen sample)"),
        (Samples(among=("cat", "owl"), classes=("owl",)), [2], "among cat, owl (1 sample of owl)"),
    ],
)
def test_a_choice_of_samples(samples: Samples, places: list[int], described: str) -> None:
    ds = two_runs()
    part = samples.apply(ds)
    validate(part)
    assert samples.describe(ds) == described
    assert part.attrs["title"] == f"two runs: {described}"
    assert part["sample"].values.tolist() == ds["sample"].values[list(places)].tolist()
    np.testing.assert_array_equal(part["image"], ds["image"].values[list(places)])
    names, labels = ds["class"].values, ds["label"].values[list(places)]
    assert part["class"].values[part["label"].values].tolist() == names[labels].tolist()
    assert "loss" not in part
    whole = ds["probs"].values[:, list(places)]
    among = np.isin(names, samples.among or names)
    expected = whole[:, :, among] / whole[:, :, among].sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(part["probs"], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (Samples(classes=("cow",)), "no class 'cow' in this dataset; it has cat, dog, owl"),
        (Samples(classes=()), "at least one class is needed, got 0"),
        (Samples(among=("cat",)), "at least two classes are needed to tell apart, got 1"),
        (Samples(rows=(5,)), "there is no sample at place 5: places are 0 to 4"),
        (Samples(rows=(-1,)), "there is no sample at place -1"),
        (Samples(rows=()), "no sample is left: 0 were chosen"),
        (Samples(rows=(0,), classes=("owl",)), "no sample is left: 1 were chosen, of the class owl"),
        (
            Samples(among=("cat", "dog"), classes=("owl",)),
            "no sample is left: of the class owl, predicted among cat, dog",
        ),
    ],
)
def test_choices_that_leave_nothing(samples: Samples, message: str) -> None:
    for use in (samples.apply, samples.describe, samples.places):
        with pytest.raises(ValueError, match=message):
            use(two_runs())


def test_a_choice_needs_predictions_and_is_lazy(tmp_path: Path) -> None:
    with pytest.raises(NoPredictionsError):
        Samples(rows=(0,)).apply(embedding_only())
    with open_trajectories(save_trajectories(TRAININGS, tmp_path / "some.zarr")) as opened:
        computed: list[object] = []
        with Callback(start=computed.append):
            part = Samples(classes=("class 1",), among=("class 1", "class 2")).apply(opened)
        assert computed == []
        assert part["probs"].chunks is not None


def test_a_class_that_is_named_by_a_number_is_meant_by_it() -> None:
    ds = constant_run(n_classes=3)
    assert Samples.of(ds, classes=1) == Samples.of(ds, classes="1") == Samples.of(ds, classes=[1])
    assert restrict_classes(ds, [0, 1]).identical(restrict_classes(ds, ["0", "1"]))
