"""Grids of recipes: every combination is a run of its own, whose attributes say which."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import predspace_widgets as pw
from predspace_widgets.training import (
    DatasetSettings,
    Recipe,
    datasets,
    load_images,
    load_recipe,
    load_split,
    make_network,
    parse_recipe,
    plan_runs,
    record_to,
)
from predspace_widgets.training.methods.corner import CornerSettings, go_to_corner, random_labels
from predspace_widgets.training.methods.supervised import SupervisedSettings
from predspace_widgets.training.networks import log_probabilities
from predspace_widgets.training.run import load_data
from predspace_widgets.training.sweep import fingerprint
from predspace_widgets.trajectories import Samples

RECIPE = """
dataset: {name: digits, n_train: 1100, evaluate_on: [train, test], n_train_evaluated: 20, n_evaluation: 30}
checkpoints: {count: 3, dense: 2}
predictions: softmax
tasks: {all: }
methods:
  supervised:
    steps: 2
    corner: {steps: 3}
    grid:
      - architecture: {cnn: {name: small-cnn, width: 4}, mlp: {name: mlp, width: 8}}
        augmentation: {none: {}, moved: {shift: 1}}
      - {architecture: {mlp: {name: mlp, width: 8}}, optimizer: [adam], learning_rate: [5e-3, 0.002]}
      - {architecture: {mlp: {name: mlp, width: 8}}, initialization: [ignorance, corner]}
seeds: [0, 1]
"""


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return parse_recipe(RECIPE, "grid")


@pytest.fixture(scope="module")
def recorded(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return record_to(recipe, tmp_path_factory.mktemp("grid") / "grid.zarr.zip", workers=1)


def test_every_combination_of_each_block_is_there_once(recipe: Recipe) -> None:
    names = [tuple(variant.names.values()) for variant in recipe.variants("supervised")]
    assert [*recipe.variants("supervised")[0].names] == [
        "architecture",
        "augmentation",
        "optimizer",
        "learning_rate",
        "initialization",
    ]
    assert names == [
        ("cnn", "none", "sgd", 0.05, "ignorance"),
        ("cnn", "moved", "sgd", 0.05, "ignorance"),
        ("mlp", "none", "sgd", 0.05, "ignorance"),
        ("mlp", "moved", "sgd", 0.05, "ignorance"),
        ("mlp", "none", "adam", 0.005, "ignorance"),
        ("mlp", "none", "adam", 0.002, "ignorance"),
        ("mlp", "none", "sgd", 0.05, "corner"),  # its start from ignorance is in the first block
    ]
    runs = plan_runs(recipe)
    assert len(runs) == 14
    assert runs[0].name == (
        "all/supervised/0/architecture=cnn/augmentation=none/optimizer=sgd/learning_rate=0.05/initialization=ignorance"
    )
    assert len({run.name for run in runs} | {fingerprint(recipe, run) for run in runs}) == 28


def test_a_combination_is_what_it_is_called(recipe: Recipe) -> None:
    _, moved, *_, slow, corner = recipe.variants("supervised")
    assert (moved.network.name, moved.network.width, moved.settings.augmentation.shift) == ("small-cnn", 4, 1.0)
    assert (slow.settings.optimizer, slow.settings.learning_rate, slow.network.width) == ("adam", 0.002, 8)
    assert (corner.initialization, slow.initialization) == ("corner", "ignorance")
    assert all(variant.settings.steps == 2 for variant in recipe.variants("supervised"))


def test_a_recipe_with_a_grid_survives_being_written(recipe: Recipe) -> None:
    assert parse_recipe(recipe.to_yaml(), "grid") == recipe
    at_a_worker = pickle.loads(pickle.dumps(recipe))
    assert at_a_worker.to_yaml() == recipe.to_yaml()
    assert [run.name for run in plan_runs(at_a_worker)] == [run.name for run in plan_runs(recipe)]
    assert parse_recipe(load_recipe("sweep").to_yaml(), "sweep") == load_recipe("sweep")


def test_a_run_is_trained_anew_only_if_its_own_combination_changes(recipe: Recipe) -> None:
    run = plan_runs(recipe)[0]
    other = parse_recipe(RECIPE.replace("0.002", "0.001"), "grid")
    assert fingerprint(other, run) == fingerprint(recipe, run)
    assert fingerprint(replace(recipe, predictions="imprinted"), run) != fingerprint(recipe, run)
    wide = parse_recipe(RECIPE.replace("width: 4", "width: 5"), "grid")
    assert fingerprint(wide, run) != fingerprint(recipe, run)


def test_attributes_of_runs_are_those_of_the_grid(recorded: xr.Dataset, recipe: Recipe) -> None:
    first = recorded.isel(checkpoint=~recorded["run"].to_series().duplicated().to_numpy())
    of_runs = [dict(run.names) for run in plan_runs(recipe)]
    for name in of_runs[0]:
        assert first[name].values.tolist() == [names[name] for names in of_runs]
    assert recorded["learning_rate"].dtype == np.float64
    assert len(recorded.predspace.analysis.curve_names) == 7
    assert recorded.predspace.curves_by("architecture").predspace.analysis.curve_names == ["all @ cnn", "all @ mlp"]
    assert recorded.predspace.select(optimizer="adam").sizes["checkpoint"] == 2 * 2 * 3
    assert parse_recipe(recorded.attrs["recipe"], "grid") == recipe


def test_training_and_test_samples_are_in_one_dataset(recorded: xr.Dataset, recipe: Recipe) -> None:
    train, evaluation = load_data(recipe)
    assert recorded["subset"].values.tolist() == ["train"] * 20 + ["test"] * 30
    assert set(recorded["sample"].values[:20]) <= set(train.sample_ids)
    assert not set(recorded["sample"].values[20:]) & set(train.sample_ids)
    np.testing.assert_array_equal(recorded["image"], evaluation.images)
    assert np.bincount(recorded["label"].values[:20]).tolist() == [2] * 10  # the same share of every class
    for subset in ("train", "test"):
        assert Samples(subset=subset).apply(recorded)["probs"].chunks is not None
        part = recorded.predspace.of_samples(subset=subset)
        assert "accuracy" not in part  # that of all samples
        np.testing.assert_allclose(
            part.predspace.analysis.accuracy(), recorded[f"{subset}_accuracy"], atol=1.5 / part.sizes["sample"]
        )
        assert part.predspace.inpca().sizes["checkpoint"] == recorded.sizes["checkpoint"]


def test_softmax_is_what_the_network_itself_predicts(recorded: xr.Dataset, recipe: Recipe) -> None:
    """A network at step 0 is that of its seed, so its predictions can be made anew."""
    run = plan_runs(recipe)[0]
    network = make_network("small-cnn", 1, 10, run.derived_seed("weights"), width=4)
    expected = np.exp(log_probabilities(network, load_data(recipe)[1]))
    np.testing.assert_allclose(recorded["probs"].values[0], expected, atol=1e-3)


def test_a_corner_is_where_the_random_labels_of_its_seed_are() -> None:
    images = load_images("digits").take(range(100))
    labels = random_labels(100, 10, 3)
    network = make_network("mlp", 1, 10, seed=0, width=32)
    go_to_corner(network, images, corner=3, seed=0, settings=CornerSettings(steps=150))
    predicted = log_probabilities(network, images).argmax(axis=1)
    assert (predicted == labels).mean() > 0.9
    assert (predicted == images.labels).mean() < 0.3


def test_a_run_that_starts_at_a_corner_is_there_at_its_first_checkpoint(recipe: Recipe, recorded: xr.Dataset) -> None:
    run = plan_runs(recipe)[-1]
    assert dict(run.names)["initialization"] == "corner"
    train, evaluation = load_data(recipe)
    network = make_network("mlp", 1, 10, run.derived_seed("weights"), width=8)
    go_to_corner(network, train, run.seed, run.derived_seed("corner"), recipe.plan("supervised").corner)
    expected = np.exp(log_probabilities(network, evaluation))
    start = recorded.isel(checkpoint=(recorded["run"] == run.name).values)["probs"].values[0]
    np.testing.assert_allclose(start, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        (
            "optimizer: [adam]",
            "optimiser: [adam]",
            r"unknown setting 'optimiser' in .*grid: did you mean 'optimizer'\?",
        ),
        ("[adam]", "[adm]", r"unknown value 'adm' in .*supervised, grid, optimizer: did you mean 'adam'\?"),
        ("[adam]", "adam", "grid, optimizer must be a list of values, or a mapping of names to values, got 'adam'"),
        ("[5e-3, 0.002]", "[5e-3, 0.005]", "grid, learning_rate needs at least one value and none twice"),
        ("[5e-3, 0.002]", "[]", "grid, learning_rate needs at least one value and none twice"),
        ("[5e-3, 0.002]", "[fast]", "grid, learning_rate must be a number, got 'fast'"),
        ("[5e-3, 0.002]", "[-1]", "method 'supervised', grid: learning_rate must be positive"),
        ("{shift: 1}", "{shft: 1}", r"unknown key 'shft' in .*grid, augmentation: did you mean 'shift'\?"),
        ("{name: small-cnn, width: 4}", "{name: small-cn}", r"unknown network 'small-cn': did you mean 'small-cnn'\?"),
        ("augmentation: {none: {}, moved: {shift: 1}}", "augmentation: [1]", "must be a mapping of names to settings"),
        ("augmentation: {none: {}, moved", "augmentation: {moved", "every block of the grid must say 'augmentation'"),
        ("corner]}", "edge]}", r"unknown value 'edge' in .*initialization: Known: ignorance, corner"),
        (
            "    steps: 2",
            "    steps: 2\n    attrs: {optimizer: mine}",
            "'optimizer' is in the grid, .*leave it out of attrs",
        ),
        ("  supervised:", "  simclr: {steps: 2}\n  supervised:", "method 'simclr' trains no last layer"),
        (
            "predictions: softmax",
            "predictions: soft",
            r"unknown value 'soft' in recipe 'grid', predictions: did you mean",
        ),
        ("[train, test]", "[train, tests]", r"unknown value 'tests' in .*evaluate_on: did you mean 'test'\?"),
        ("[train, test]", "[test]", r"n_train_evaluated is for evaluate_on: \[train\]"),
        ("[train, test]", "[]", "evaluate_on needs train or test or both"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(replaced: str, by: str, message: str) -> None:
    assert replaced in RECIPE
    with pytest.raises(ValueError, match=message) as error:
        parse_recipe(RECIPE.replace(replaced, by), "grid")
    assert len(str(error.value).splitlines()) == 1


def test_a_grid_without_end_is_refused_before_it_is_made() -> None:
    rates = [0.001 * k for k in range(1, 101)]
    grid = f"{{learning_rate: {rates}, weight_decay: {rates}, momentum: {rates[:90]}}}"
    with pytest.raises(ValueError, match="the grid has more than 10,000 combinations"):
        parse_recipe(RECIPE[: RECIPE.index("    grid:")] + f"    grid: {grid}\n", "grid")


def test_softmax_needs_all_classes(tmp_path: Path) -> None:
    recipe = parse_recipe(RECIPE.replace("{all: }", "{all: , low: {classes: [0, 1]}}"), "grid")
    with pytest.raises(ValueError, match=r"task 'low' has other classes than the dataset: .* can only be imprinted"):
        record_to(recipe, tmp_path / "grid.zarr", workers=1)


def test_softmax_has_no_temperature_of_imprinting(recorded: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="its predictions are not imprinted"):
        pw.trajectories.at_temperature(recorded, 0.1)


@pytest.mark.parametrize("own", ["initialization: corner", "grid: {architecture: {mlp: {name: mlp}}}"])
def test_fine_tuning_goes_on_with_the_network_of_its_source(own: str) -> None:
    text = RECIPE.replace("seeds:", f"  after: {{method: fine-tuning, source: all, steps: 2, {own}}}\nseeds:")
    with pytest.raises(
        ValueError, match=r"'after' starts from its source, which has its (architecture|initialization)"
    ):
        parse_recipe(text, "grid")


def test_images_of_two_parts_that_are_numbered_alike_have_other_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = load_images("digits")
    parts = tuple(replace(digits.take(range(at, at + 50)), sample_ids=np.arange(50)) for at in (0, 50))
    monkeypatch.setitem(datasets.DATASETS, "cifar10", lambda settings: parts)
    of_both = DatasetSettings("cifar10", evaluate_on=("test", "train"), n_train_evaluated=20)
    train, evaluation = load_split(of_both)
    assert (len(train), len(evaluation)) == (50, 70)
    assert evaluation.sample_ids[[0, 49]].tolist() == ["test 0", "test 49"]
    ids = [int(name.removeprefix("train ")) for name in evaluation.sample_ids[50:]]
    np.testing.assert_array_equal(evaluation.images[50:], train.images[ids])
    np.testing.assert_array_equal(evaluation.labels[50:], train.labels[ids])
    assert evaluation.take([49, 50]).subset.tolist() == ["test", "train"]  # type: ignore[union-attr]
    assert load_split(DatasetSettings("cifar10"))[1] is parts[1]


def test_a_method_cannot_be_tuned_from_one_with_a_grid() -> None:
    text = RECIPE.replace("seeds:", "  after: {method: fine-tuning, source: all, steps: 2}\nseeds:")
    with pytest.raises(ValueError, match="unknown method 'supervised' in the source of method 'after'"):
        parse_recipe(text, "grid")


def test_the_optimiser_of_a_training_is_the_one_that_is_named() -> None:
    parameters = [torch.nn.Parameter(torch.ones(2))]
    sgd = SupervisedSettings(learning_rate=0.1).make_optimizer(parameters)
    adam = SupervisedSettings(learning_rate=0.1, weight_decay=0.3, optimizer="adam").make_optimizer(parameters)
    assert type(sgd) is torch.optim.SGD
    assert sgd.defaults["nesterov"]
    assert type(adam) is torch.optim.Adam
    assert (adam.defaults["lr"], adam.defaults["weight_decay"]) == (0.1, 0.3)
    with pytest.raises(ValueError, match=r"unknown optimizer 'adm': did you mean 'adam'\?"):
        SupervisedSettings(optimizer="adm")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mlp", "small-resnet"])
def test_the_other_networks_for_small_images(name: str) -> None:
    """Their last layer sees as many features as it should, and all pixels reach it."""
    network = make_network(name, n_channels=1, n_classes=3, seed=0, width=8)
    images = torch.rand(5, 1, 8, 8, requires_grad=True)
    assert network(images).shape == (5, 3)
    assert network.features(images).shape[1] == network.head.in_features == {"mlp": 8, "small-resnet": 16}[name]
    network.eval()
    network(images)[:, 0].sum().backward()
    assert images.grad is not None
    assert (images.grad.abs().amax(dim=0) > 0).float().mean() > 0.9
    other = make_network(name, n_channels=3, n_classes=3, seed=0)
    assert other(torch.rand(2, 3, 12, 12)).shape == (2, 3)
