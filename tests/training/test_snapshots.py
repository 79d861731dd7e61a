"""When networks are looked at, and what training yields there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.training import (
    METHODS,
    CheckpointSchedule,
    Network,
    Task,
    TrainingDiverged,
    load_images,
    make_network,
)
from predspace_widgets.training.methods.supervised import SupervisedSettings, train_supervised
from predspace_widgets.training.snapshots import shuffled_batches


def test_schedule_of_the_demo() -> None:
    steps = CheckpointSchedule().steps(last=300)
    assert len(steps) == 30
    assert steps[:12] == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13)
    ratios = np.array(steps[12:], dtype=float)[1:] / np.array(steps[12:], dtype=float)[:-1]
    assert ratios.min() > 1.1
    assert ratios.max() < 1.3


@given(data=st.data())
def test_schedules_rise_strictly_from_0_to_the_last_step(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 60))
    dense = data.draw(st.integers(1, count - 1))
    last = data.draw(st.integers(1, 5000))
    steps = CheckpointSchedule(count, dense).steps(last)
    assert (steps[0], steps[-1]) == (0, last)
    assert all(np.diff(steps) > 0)
    assert len(steps) == min(count, last + 1)
    assert steps[:dense] == tuple(range(min(dense, last + 1)))
    assert all(type(step) is int for step in steps)


@pytest.mark.parametrize(("count", "dense"), [(1, 1), (5, 5), (5, 0), (0, 0)])
def test_schedules_that_cannot_be(count: int, dense: int) -> None:
    with pytest.raises(ValueError, match="must be dense"):
        CheckpointSchedule(count, dense)


@given(n_samples=st.integers(1, 40), batch_size=st.integers(1, 50), seed=st.integers(0, 100))
def test_batches_show_every_sample_once_an_epoch(n_samples: int, batch_size: int, seed: int) -> None:
    batches = shuffled_batches(n_samples, batch_size, torch.Generator().manual_seed(seed))
    n_batches = 3 * n_samples // batch_size + 3
    seen = torch.stack([next(batches) for _ in range(n_batches)])
    assert seen.shape == (n_batches, batch_size)
    epochs = seen.flatten()[: 3 * n_samples].reshape(3, n_samples)
    assert all(sorted(epoch.tolist()) == list(range(n_samples)) for epoch in epochs)


def small_network(n_classes: int = 10, seed: int = 0) -> Network:
    return make_network("small-cnn", n_channels=1, n_classes=n_classes, seed=seed, width=8)


def test_training_yields_the_steps_asked_for_and_learns() -> None:
    images = Task("even", classes=("0", "2", "4", "6", "8")).training_set(load_images("digits"))
    settings = SupervisedSettings(steps=40)
    network = small_network(n_classes=5)
    snapshots, weights = [], []
    for snapshot in train_supervised(network, images, [0, 1, 7, 40], seed=0, settings=settings):
        snapshots.append(snapshot)
        weights.append(network.head.weight.detach().clone())
    assert [snapshot.step for snapshot in snapshots] == [0, 1, 7, 40]
    assert [snapshot.epoch for snapshot in snapshots] == pytest.approx([0, 64 / 891, 7 * 64 / 891, 40 * 64 / 891])
    assert all(snapshot.network is network for snapshot in snapshots)
    assert snapshots[0].loss is None
    assert snapshots[1].loss == pytest.approx(np.log(5), abs=0.3)
    assert snapshots[3].loss is not None
    assert snapshots[3].loss < 1.1
    assert all(not a.equal(b) for a, b in itertools.pairwise(weights))


def test_training_does_nothing_before_it_is_asked() -> None:
    network = small_network()
    before = network.head.weight.detach().clone()
    steps = train_supervised(network, load_images("digits"), [0, 1], seed=0)
    next(steps)
    assert network.head.weight.equal(before)
    next(steps)
    assert not network.head.weight.equal(before)


def test_a_network_left_in_evaluation_mode_by_its_reader_trains_on() -> None:
    ends = []
    for reader in (lambda network: None, lambda network: network.eval()):
        network = small_network()
        for snapshot in train_supervised(network, load_images("digits"), [0, 2, 4], 0, SupervisedSettings(steps=4)):
            reader(snapshot.network)
        ends.append(network.state_dict())
    assert all(value.equal(ends[1][name]) for name, value in ends[0].items())


def test_chance_comes_from_the_seeds_only() -> None:
    def weights(seed: int, training_seed: int, of_the_world: int) -> torch.Tensor:
        torch.manual_seed(of_the_world)
        network = small_network(seed=seed)
        list(train_supervised(network, load_images("digits"), [3], training_seed, SupervisedSettings(steps=3)))
        return network.head.weight.detach()

    assert weights(1, 2, of_the_world=0).equal(weights(1, 2, of_the_world=1))
    assert not weights(1, 2, of_the_world=0).equal(weights(2, 2, of_the_world=0))
    assert not weights(1, 2, of_the_world=0).equal(weights(1, 3, of_the_world=0))


def test_making_a_network_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    small_network()
    assert torch.rand(3).equal(expected)


def test_diverging_training_ends_and_says_so() -> None:
    steps = train_supervised(
        small_network(), load_images("digits"), range(300), 0, SupervisedSettings(learning_rate=1e30)
    )
    with pytest.raises(TrainingDiverged, match=r"the loss is (nan|inf) at step \d+"):
        list(steps)


@pytest.mark.parametrize(
    "settings", [{"steps": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"momentum": 1.0}, {"weight_decay": -1.0}]
)
def test_hyper_parameters_out_of_range(settings: dict) -> None:
    with pytest.raises(ValueError, match="got"):
        SupervisedSettings(**settings)


def test_every_method_has_the_number_of_its_steps_in_its_settings() -> None:
    assert all(method.settings().steps > 0 for method in METHODS.values())
