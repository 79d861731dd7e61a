"""Several datasets as one: nothing is lost, nothing is computed, and what does not fit is said."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from dask.base import is_dask_collection
from hypothesis import given, settings
from hypothesis import strategies as st

import predspace_widgets as pw
from predspace_widgets.geometry import pairwise
from predspace_widgets.trajectories import TrajectoriesError, validate
from predspace_widgets.trajectories.divergence import diverged, diverged_attrs
from predspace_widgets.trajectories.testing import random_trajectories
from tests.trajectories.samples import KINDS, datasets, embedding_only, two_runs


def shuffled(ds: xr.Dataset, seed: int = 0, classes: bool = True) -> xr.Dataset:
    """The same trainings, with samples and classes in another order."""
    random = np.random.default_rng(seed)
    samples, places = random.permutation(ds.sizes["sample"]), np.arange(ds.sizes["class"])
    if classes:
        places = random.permutation(places)
    other = ds.isel(sample=samples, **{"class": places})
    return other.assign_coords(label=("sample", np.argsort(places)[other["label"].values]))


def named(ds: xr.Dataset) -> xr.Dataset:
    """With ids and names that are texts and tell their old places."""
    return ds.assign_coords(
        sample=[f"s{k}" for k in range(ds.sizes["sample"])], **{"class": [f"c{k}" for k in range(ds.sizes["class"])]}
    )


def small(ds: xr.Dataset) -> xr.Dataset:
    """Its first sample among two classes, so that any two can be joined."""
    part = named(ds.isel(sample=slice(1), **{"class": slice(2)}))
    probs = part["probs"] + 1e-3
    return part.assign(probs=probs / probs.sum("class")).assign_coords(label=("sample", [0]))


def of_source(ds: xr.Dataset, name: str) -> xr.Dataset:
    return ds.isel(checkpoint=ds["source"].values == name)


@settings(deadline=None, max_examples=25)
@given(ds=datasets(), other=datasets(), seed=st.integers(0, 2**16))
def test_each_source_is_the_dataset_that_was_given(ds: xr.Dataset, other: xr.Dataset, seed: int) -> None:
    one, other = (small(part) for part in (ds, other))
    two = shuffled(named(ds), seed)
    joined = pw.join([named(ds), two], names=["a", "b"])
    both = pw.join([one.drop_vars("image", errors="ignore"), other], names=["a", "b"])
    validate(joined)
    validate(both)
    for whole, parts in ((joined, (named(ds), two)), (both, (one, other))):
        for name, part in zip("ab", parts, strict=True):
            mine = of_source(whole, name).sel(sample=part["sample"], **{"class": part["class"]})
            for variable in ("probs", "task", "method", "seed", "epoch", "step"):
                np.testing.assert_array_equal(mine[variable].values, part[variable].values)
            for metric in ("accuracy", "loss"):
                if metric in part:
                    np.testing.assert_array_equal(mine[metric].values, part[metric].values)
                elif metric in mine:
                    assert mine[metric].isnull().all()
            classes = whole["class"].values[mine["label"].values]
            np.testing.assert_array_equal(classes, part["class"].values[part["label"].values])
            # Runs stay apart where they were, and together.
            pairs = set(zip(mine["run"].values.tolist(), part["run"].values.astype(str).tolist(), strict=True))
            assert len(pairs) == len(set(part["run"].values.tolist())) == len({name for name, _ in pairs})


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**16))
def test_distances_are_those_of_the_predictions_one_after_the_other(seed: int) -> None:
    one, two = random_trajectories(n_checkpoints=3), random_trajectories(n_checkpoints=2, seed=1)
    two["label"] = one["label"]
    expected = pairwise(np.concatenate([one["probs"].values, two["probs"].values]), dtype="float64")
    joined = pw.join([one, shuffled(two, seed)])
    np.testing.assert_allclose(joined.predspace.distances().values, expected, rtol=1e-6, atol=1e-7)


def test_common_samples_only() -> None:
    ds = random_trajectories(n_checkpoints=2)
    joined = pw.join([ds.isel(sample=slice(0, 20)), shuffled(ds.isel(sample=slice(10, 30)))], samples="common")
    assert joined["sample"].values.tolist() == list(range(10, 20))
    np.testing.assert_array_equal(joined["probs"].values, np.tile(ds["probs"].values[:, 10:20], (2, 1, 1)))


def test_samples_that_nobody_named_are_paired_with_a_warning(tmp_path: Path) -> None:
    ds = two_runs().assign_coords(sample=range(5))
    bare = ds.drop_vars("image")
    other = bare.copy(deep=True)
    with pytest.warns(UserWarning, match=r"'a' and 'b' have no names but 0 to N-1 .* sample=ids") as told:
        pw.join([bare, other], names=["a", "b"])
    assert told[0].filename == __file__
    assert "\n" not in str(told[0].message)
    moved = ds.copy(deep=True)
    moved["image"] = ds["image"].copy(data=ds["image"].values[::-1])
    with pytest.warns(UserWarning, match="are paired by their places"):
        pw.join([ds, moved])

    path = pw.save_trajectories(bare, tmp_path / "one.zarr")
    of_one_file = [pw.open_trajectories(path), pw.open_trajectories(path)]
    proven = [[ds, ds.copy(deep=True)], [bare, bare.isel(checkpoint=[0])], [bare, shuffled(other)], of_one_file]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for parts in [*proven, [named(bare), named(other)]]:
            pw.join(parts)


# -- nothing is computed, nothing is repeated -------------------------------------------------------------------------


def test_lazy_stays_lazy_and_images_come_once(tmp_path: Path) -> None:
    ds = two_runs()
    for number, part in enumerate((ds, shuffled(ds))):
        pw.save_trajectories(part, tmp_path / f"{number}.zarr")
    parts = [pw.open_trajectories(tmp_path / f"{number}.zarr") for number in range(2)]

    def refuse(*_: Any) -> None:
        raise AssertionError("something is computed")

    with dask.config.set(scheduler=refuse):
        joined = pw.join(parts)
    assert is_dask_collection(joined["probs"].data)
    assert joined["image"].dims == ("sample", "row", "column")
    assert joined["image"].nbytes == ds["image"].nbytes
    np.testing.assert_array_equal(joined["image"].values, ds["image"].values)


def test_blocks_of_samples_are_those_of_the_first() -> None:
    ds = random_trajectories(n_samples=30)
    one, two = ds.chunk(sample=10, checkpoint=-1), shuffled(ds).chunk(sample=7, checkpoint=-1)
    assert pw.join([one, two])["probs"].chunksizes["sample"] == (10, 10, 10)


def test_images_are_those_of_the_dataset_that_has_them() -> None:
    ds = two_runs()
    joined = pw.join([ds.drop_vars("image"), shuffled(ds)])
    np.testing.assert_array_equal(joined["image"].values, ds["image"].values)


@pytest.mark.parametrize("store", ["probs", "log_probs"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_joined_can_be_saved_and_opened(tmp_path: Path, kind: str, store: Any) -> None:
    ds = two_runs()
    joined = pw.join([ds, shuffled(ds).assign_attrs(title="other", recipe="b: 1")])
    path = pw.save_trajectories(joined, tmp_path / f"both{kind}", store=store)
    again = pw.open_trajectories(path)
    assert again["source"].values.tolist() == ["two runs"] * 7 + ["other"] * 7
    assert "source" in again.coords
    assert again.attrs == joined.attrs
    np.testing.assert_allclose(again["probs"].values, joined["probs"].values, atol=2e-3)
    assert again["run"].values.tolist() == joined["run"].values.tolist()
    # Joined once more with another one, as it was opened.
    more = pw.join([again, ds], names=["old", "new"])
    validate(more)
    assert list(dict.fromkeys(more["source"].values.tolist())) == ["old: two runs", "old: other", "new"]


def test_what_is_read_from_logarithms_stays_so(tmp_path: Path) -> None:
    ds = random_trajectories()
    path = pw.save_trajectories(ds, tmp_path / "logs.zarr", store="log_probs")
    logs = pw.open_trajectories(path)
    assert pw.join([logs, logs])["probs"].encoding == {"dtype": np.dtype("float16"), "store": "log_probs"}
    assert pw.join([logs, ds])["probs"].encoding == {}


# -- names ------------------------------------------------------------------------------------------------------------


def test_one_dataset_with_itself_and_twice_joined() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=1, n_checkpoints=1)
    twice = pw.join([ds, ds])
    assert twice["source"].values.tolist() == ["synthetic trainings 1", "synthetic trainings 2"]
    assert twice["run"].values.tolist() == [f"{source}: red/supervised/0" for source in twice["source"].values]
    three = pw.join([twice, ds])
    validate(three)
    assert three["source"].values.tolist() == [
        "synthetic trainings 1",
        "synthetic trainings 2",
        "synthetic trainings",
    ]
    assert len(set(pw.join([twice, twice])["source"].values.tolist())) == 4
    assert pw.join([ds], names=["alone"])["source"].values.tolist() == ["alone"]


@pytest.mark.parametrize(
    ("given_names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a"], ["a 1", "a 2"]),
        (["a", "a", "a 1"], ["a 2", "a 3", "a 1"]),
        (["", ""], ["", ""]),
    ],
)
def test_names_are_told_apart(given_names: list[str], expected: list[str]) -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=1, n_checkpoints=1)
    joined = pw.join([ds] * len(given_names), names=given_names)
    sources = joined["source"].values.tolist()
    assert len(set(sources)) == len(sources)
    if all(given_names):
        assert sources == expected
    assert joined.attrs["title"] == " + ".join(sources)


def test_runs_of_other_names_keep_them() -> None:
    red, blue = random_trajectories(tasks=("red",)), random_trajectories(tasks=("blue",))
    joined = pw.join([red, blue])
    assert set(joined["run"].values) == {*red["run"].values, *blue["run"].values}


def test_a_name_that_a_run_has_already() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=2, n_checkpoints=1)
    odd = ds.assign_coords(run=("checkpoint", ["red/supervised/0", "a: red/supervised/0"]))
    joined = pw.join([ds, odd], names=["a", "b"])
    validate(joined)
    assert len(set(joined["run"].values.tolist())) == 4


def test_recipes_and_temperatures() -> None:
    ds = random_trajectories().assign_attrs(recipe="imprint: {temperature: 0.03}")
    other = ds.assign_attrs(recipe="seeds: 3\nimprint: {temperature: 0.03}")
    assert pw.join([ds, ds]).attrs["recipe"] == ds.attrs["recipe"]
    joined = pw.join([ds, other], names=["a", "b"])
    assert json.loads(joined.attrs["recipes"]) == {"a": ds.attrs["recipe"], "b": other.attrs["recipe"]}
    assert joined.attrs["imprint_temperature"] == 0.03
    assert "imprint_temperature" not in pw.join([ds, ds.assign_attrs(recipe="imprint: {temperature: 1}")]).attrs
    more = pw.join([joined, ds], names=["x", "y"])
    assert json.loads(more.attrs["recipes"]) == {
        "x: a": ds.attrs["recipe"],
        "x: b": other.attrs["recipe"],
        "y": ds.attrs["recipe"],
    }
    assert (
        json.loads(pw.join([of_source(joined, "b"), ds], names=["p", "q"]).attrs["recipes"])["p"]
        == (other.attrs["recipe"])
    )


def test_runs_that_diverged_are_named_anew() -> None:
    ds = random_trajectories(tasks=("red",)).assign_attrs(diverged=["red/supervised/1"])
    assert pw.join([ds, ds], names=["a", "b"]).attrs["diverged"] == ["a: red/supervised/1", "b: red/supervised/1"]
    why = ds.assign_attrs(diverged_attrs({"red/supervised/1": "the loss is nan"}))
    assert diverged(pw.join([ds, why], names=["a", "b"])) == {
        "a: red/supervised/1": "",
        "b: red/supervised/1": "the loss is nan",
    }


# -- what one has and the other has not -------------------------------------------------------------------------------


def test_metrics_and_attributes_that_one_lacks() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=1, n_checkpoints=2)
    rich = ds.assign(margin=("checkpoint", [1.0, 2.0])).assign_coords(
        network=("checkpoint", ["cnn", "cnn"]), rate=("checkpoint", [0.5, 0.5]), group=("checkpoint", ["1", "1"])
    )
    plain = ds.assign_coords(group=("checkpoint", [2.0, 2.0]))
    joined = pw.join([plain, rich])
    validate(joined)
    np.testing.assert_array_equal(joined["margin"].values, [np.nan, np.nan, 1, 2])
    assert joined["network"].values.tolist() == ["", "", "cnn", "cnn"]
    np.testing.assert_array_equal(joined["rate"].values, [np.nan, np.nan, 0.5, 0.5])
    assert joined["group"].values.tolist() == ["2.0", "2.0", "1", "1"]
    assert {"network", "rate", "group"} <= {*joined.coords}
    with pytest.raises(ValueError, match="'rate' is an attribute of runs in 'b' and a metric in 'a': rename one"):
        pw.join([ds.assign(rate=("checkpoint", [1.0, 2.0])), rich], names=["a", "b"])


def test_a_metric_of_each_class_goes_with_its_class() -> None:
    ds = random_trajectories(tasks=("red",), n_seeds=1, n_checkpoints=2)
    recall = ds.assign(recall=(("checkpoint", "class"), np.arange(10.0).reshape(2, 5)))
    joined = pw.join([ds, shuffled(recall)])
    np.testing.assert_array_equal(joined["recall"].values[2:], recall["recall"].values)
    assert np.isnan(joined["recall"].values[:2]).all()


# -- what cannot be joined --------------------------------------------------------------------------------------------


def broken(change: str) -> list[xr.Dataset]:
    ds = random_trajectories(n_checkpoints=1)
    labels = ds["label"].values.copy()
    labels[[5, 7]] = (labels[[5, 7]] + 1) % 5
    other = {
        "samples": ds.isel(sample=slice(2, 30)).assign_coords(sample=[*range(2, 29), 99]),
        "shared": ds.assign_coords(sample=np.arange(100, 130)),
        "labels": ds.assign_coords(label=("sample", labels)),
        "classes": ds.assign_coords({"class": [f"class {k}" for k in (0, 1, 2, 3, 7)]}),
        "fewer classes": pw.trajectories.restrict_classes(ds, ["class 0", "class 1"]),
        "predictions": embedding_only(),
        "nothing": ds.drop_vars("epoch"),
    }
    return [ds, other[change]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "samples",
            "samples differ: 3 of 30 are only in 'a' (0, 1, 29), 1 of 28 are only in 'b' (99); samples=\"common\" "
            "joins the 27 that both have",
        ),
        (
            "shared",
            "'a' (30 samples) and 'b' (30) share no sample: 0, 1, 2 and 27 more against 100, 101, 102 and 27 more",
        ),
        ("labels", "2 of 30 labels differ, first: sample 5 is 'class 1' in 'a' and 'class 2' in 'b'"),
        ("classes", "classes differ: 1 of 5 are only in 'a' (class 4), 1 of 5 are only in 'b' (class 7)"),
        ("predictions", "'b' holds an embedding but no predictions: joining needs predictions of each"),
    ],
)
def test_what_differs_is_said(change: str, message: str) -> None:
    ds, other = broken(change)
    if change == "labels":
        values = ds["label"].values
        message = message.replace("class 1", f"class {values[5]}").replace("class 2", f"class {(values[5] + 1) % 5}")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        pw.join([ds, other], names=["a", "b"])
    if change == "shared":
        with pytest.raises(ValueError, match="share no sample"):
            pw.join([ds, other], samples="common")


def test_other_things_that_cannot_be_joined() -> None:
    ds, other = broken("nothing")
    with pytest.raises(TrajectoriesError, match=r"'mine' is not a valid.*\n.*'epoch'"):
        pw.join([ds, other], names=["theirs", "mine"])
    with pytest.raises(TypeError, match="takes a list of datasets, not one"):
        pw.join(ds)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not of str"):
        pw.join(["a.zarr"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="no dataset to join"):
        pw.join([])
    with pytest.raises(ValueError, match="names must be a list of 2"):
        pw.join([ds, ds], names=["a"])
    with pytest.raises(ValueError, match="samples must be 'same' or 'common', got 'all'"):
        pw.join([ds, ds], samples="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="images differ in size: 2 x 3 in 'a', 2 x 2 in 'b'"):
        pw.join([two_runs(), two_runs().isel(column=slice(2))], names=["a", "b"])
    parts = [ds.isel(sample=part) for part in ([0, 1], [1, 2], [2, 0])]
    with pytest.raises(ValueError, match="no sample is in all of 'a', 'b', 'c'"):
        pw.join(parts, samples="common", names=["a", "b", "c"])
    with pytest.raises(ValueError, match="classes differ: 3 of 5 are only in 'a'"):
        pw.join(broken("fewer classes"), samples="common", names=["a", "b"])


def test_reports_of_imports_are_kept_with_the_name_of_their_source() -> None:
    ds = random_trajectories(tasks=("red",))
    one, other = (ds.assign_attrs(import_report=lines) for lines in (["dropped", "kept"], "alone"))
    expected = ["a: dropped", "a: kept", "b: alone"]
    assert pw.join([one, other], names=["a", "b"]).attrs["import_report"] == expected
    assert "import_report" not in pw.join([ds, ds]).attrs
