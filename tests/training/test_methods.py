"""Every method: its loss is the formula of its paper, it repeats bit for bit, says what does not fit, and learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.training import (
    METHODS,
    LabelledImages,
    Network,
    Task,
    TrainingDiverged,
    extract_features,
    imprint,
    load_images,
    make_network,
    split_images,
)
from predspace_widgets.training.methods import fixmatch
from predspace_widgets.training.methods.barlow_twins import BarlowTwinsSettings, barlow_twins_loss
from predspace_widgets.training.methods.fixmatch import FixMatchSettings, consistency_loss, draw_labelled
from predspace_widgets.training.methods.optimisation import AdamSettings, SGDSettings, optimise
from predspace_widgets.training.methods.prototypical import PrototypicalSettings, episodes, prototypical_loss
from predspace_widgets.training.methods.simclr import SimCLRSettings, nt_xent
from predspace_widgets.training.settings import read_settings

DIGITS = load_images("digits")


@pytest.fixture(autouse=True)
def deterministic() -> Iterator[None]:
    """As sweeps do: an operation that does not repeat is an error."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


#: Each method with little to do a step.
SMALL: dict[str, dict[str, Any]] = {
    "supervised": {"batch_size": 16},
    "fine-tuning": {"batch_size": 16},
    "simclr": {"batch_size": 16},
    "barlow-twins": {"batch_size": 16},
    "fixmatch": {"batch_size": 8, "unlabelled_batch_size": 16},
    "prototypical": {"n_way": 3, "k_shot": 2, "n_query": 2},
}
#: Images that a step of these counts as seen.
SEEN = {"supervised": 16, "fine-tuning": 16, "simclr": 16, "barlow-twins": 16, "fixmatch": 24, "prototypical": 12}
WITH_HEAD = {"supervised", "fine-tuning", "fixmatch"}


def small_network(n_classes: int = 10, seed: int = 0) -> Network:
    return make_network("small-cnn", n_channels=1, n_classes=n_classes, seed=seed, width=8)


def small_settings(name: str, **changes: Any) -> Any:
    return METHODS[name].settings(**{"steps": 4, **SMALL[name], **changes})


def random_tensor(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def log_softmax_of(scores: list[float], chosen: int) -> float:
    return scores[chosen] - math.log(sum(math.exp(score) for score in scores))


# --- the losses -------------------------------------------------------------------------------------------------


@given(n_images=st.integers(2, 7), seed=st.integers(0, 1000), temperature=st.floats(0.1, 2))
def test_nt_xent_is_equation_1(n_images: int, seed: int, temperature: float) -> None:
    first, second = random_tensor(2, n_images, 3, seed=seed)
    views = np.array([view for pair in zip(first, second, strict=True) for view in pair])  # pairs side by side
    losses = []
    for i in range(2 * n_images):
        j = i + 1 if i % 2 == 0 else i - 1
        similarity = {
            k: views[i] @ views[k] / np.linalg.norm(views[i]) / np.linalg.norm(views[k]) / temperature
            for k in range(2 * n_images)
            if k != i
        }
        losses.append(-similarity[j] + math.log(sum(math.exp(value) for value in similarity.values())))
    assert nt_xent(first, second, temperature).item() == pytest.approx(np.mean(losses))


def test_identities_of_nt_xent() -> None:
    first, second = random_tensor(2, 6, 4, seed=0)
    loss, order = nt_xent(first, second, 0.5), torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(nt_xent(first[order], second[order], 0.5), loss)
    torch.testing.assert_close(nt_xent(second, first, 0.5), loss)
    torch.testing.assert_close(nt_xent(7 * first, 0.1 * second, 0.5), loss)
    assert nt_xent(first[order], second, 0.5) > nt_xent(second, second, 0.5)
    # Least where views of one image coincide and those of different ones point apart.
    apart = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    best = nt_xent(apart, apart, 0.1)
    assert best == pytest.approx(math.log(1 + 2 * math.exp(-20)), abs=1e-6)
    for seed in range(20):
        assert nt_xent(apart + 0.3 * random_tensor(2, 2, seed=seed).float(), apart, 0.1) >= best
    # Features that are all the same cannot be told apart.
    assert nt_xent(torch.ones(6, 4), torch.ones(6, 4), 0.1) == pytest.approx(math.log(11))


@given(n_images=st.integers(2, 7), seed=st.integers(0, 1000), weight=st.floats(0, 1))
def test_barlow_twins_loss_is_equation_1(n_images: int, seed: int, weight: float) -> None:
    first, second = 100 * random_tensor(2, n_images, 3, seed=seed)  # so large that the constant in the root is none
    expected = 0.0
    for i in range(3):
        for j in range(3):
            a, b = (values.numpy() - values.numpy().mean() for values in (first[:, i], second[:, j]))
            correlation = np.sum(a * b) / math.sqrt(np.sum(a**2)) / math.sqrt(np.sum(b**2))
            expected += (1 - correlation) ** 2 if i == j else weight * correlation**2
    assert barlow_twins_loss(first, second, weight).item() == pytest.approx(expected, abs=1e-4)


def test_identities_of_the_barlow_twins_loss() -> None:
    first, second = 10 * random_tensor(2, 20, 4, seed=0)
    loss, order = barlow_twins_loss(first, second, 0.1), torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(barlow_twins_loss(first[order], second[order], 0.1), loss)
    torch.testing.assert_close(barlow_twins_loss(first[:, [2, 0, 3, 1]], second[:, [2, 0, 3, 1]], 0.1), loss)
    torch.testing.assert_close(barlow_twins_loss(second, first, 0.1), loss)
    torch.testing.assert_close(barlow_twins_loss(5 * first + 3, second - 1, 0.1), loss, rtol=1e-4, atol=0)
    # 0 where views agree and features do not repeat each other, not where they do.
    orthogonal = torch.linalg.qr(first - first.mean(dim=0))[0] * 100
    assert barlow_twins_loss(orthogonal, orthogonal, 1.0) == pytest.approx(0, abs=1e-6)
    twice = orthogonal[:, [0, 0]]
    assert barlow_twins_loss(twice, twice, 0.1) == pytest.approx(0.2, abs=1e-5)


def test_a_feature_that_is_constant_has_a_finite_gradient() -> None:
    views = random_tensor(8, 3, seed=0)
    views[:, 1] = 0.7
    views.requires_grad_()
    barlow_twins_loss(views, views, 0.01).backward()
    assert views.grad is not None
    assert views.grad.isfinite().all()


@given(n_images=st.integers(1, 8), seed=st.integers(0, 1000), threshold=st.floats(0.3, 1))
def test_consistency_loss_is_equation_4(n_images: int, seed: int, threshold: float) -> None:
    weak, strong = 2 * random_tensor(2, n_images, 4, seed=seed)
    total = 0.0
    for row, taught in zip(weak.tolist(), strong.tolist(), strict=True):
        predicted = int(np.argmax(row))
        if math.exp(log_softmax_of(row, predicted)) >= threshold:
            total -= log_softmax_of(taught, predicted)
    assert consistency_loss(weak, strong, threshold).item() == pytest.approx(total / n_images)


def test_only_sure_predictions_teach_and_only_the_strong_side_learns() -> None:
    weak = torch.tensor([[9.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 9.0]], requires_grad=True)
    strong = torch.zeros(3, 3, requires_grad=True)
    consistency_loss(weak, strong, 0.95).backward()
    assert weak.grad is None
    assert strong.grad is not None
    assert (strong.grad != 0).any(dim=1).tolist() == [True, False, True]
    assert strong.grad.argmin(dim=1).tolist()[::2] == [0, 2]  # towards the predicted class
    assert consistency_loss(weak, strong, 1.0) == 0
    assert consistency_loss(weak, strong, 0.0).item() == pytest.approx(math.log(3))
    half = torch.zeros(1, 2)
    assert consistency_loss(half, half, 0.5).item() == pytest.approx(math.log(2))  # just as sure as asked for


@given(sizes=st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3)), seed=st.integers(0, 1000))
def test_prototypical_loss_is_equations_1_and_2(sizes: tuple[int, int, int], seed: int) -> None:
    n_way, k_shot, n_query = sizes
    features = random_tensor(n_way, k_shot + n_query, 5, seed=seed)
    support, query = features.split([k_shot, n_query], dim=1)
    prototypes = [sum(images) / k_shot for images in support.numpy()]
    losses = [
        -log_softmax_of([-float(np.sum((image - prototype) ** 2)) for prototype in prototypes], label)
        for label, images in enumerate(query.numpy())
        for image in images
    ]
    assert prototypical_loss(support, query).item() == pytest.approx(np.mean(losses))


def test_identities_of_the_prototypical_loss() -> None:
    support, query = random_tensor(3, 4, 5, seed=0), random_tensor(3, 6, 5, seed=1)
    loss, order = prototypical_loss(support, query), torch.tensor([2, 0, 1])
    torch.testing.assert_close(prototypical_loss(support[order], query[order]), loss)
    torch.testing.assert_close(prototypical_loss(support.flip(1), query.flip(1)), loss)
    torch.testing.assert_close(prototypical_loss(support + 9, query + 9), loss)
    far = 50 * torch.eye(3)[:, None].expand(3, 2, 3)
    assert prototypical_loss(far, far) == pytest.approx(0, abs=1e-6)
    assert prototypical_loss(torch.zeros(3, 2, 5), query.float()) == pytest.approx(math.log(3))


# --- what the steps are made of ---------------------------------------------------------------------------------


@given(n_way=st.integers(2, 10), per_class=st.integers(2, 12), seed=st.integers(0, 100))
def test_episodes_show_different_images_of_different_classes(n_way: int, per_class: int, seed: int) -> None:
    stream = episodes(DIGITS.labels, n_way, per_class, torch.Generator().manual_seed(seed))
    for _ in range(3):
        episode = next(stream).numpy()
        assert episode.shape == (n_way, per_class)
        assert len(np.unique(episode)) == episode.size  # so no query is in the support
        classes = DIGITS.labels[episode]
        assert (classes == classes[:, :1]).all()
        assert len(np.unique(classes[:, 0])) == n_way


def test_episodes_meet_all_classes_and_images() -> None:
    images = DIGITS.take(range(60))
    stream = episodes(images.labels, 3, 4, torch.Generator().manual_seed(0))
    seen = np.concatenate([next(stream).numpy().ravel() for _ in range(100)])
    assert set(seen) == set(range(60))


@given(n_labelled=st.integers(10, 100), seed=st.integers(0, 100))
def test_labelled_images_are_as_many_of_every_class(n_labelled: int, seed: int) -> None:
    drawn = draw_labelled(DIGITS.labels, n_labelled, torch.Generator().manual_seed(seed))
    assert len(np.unique(drawn)) == n_labelled
    counts = np.bincount(DIGITS.labels[drawn], minlength=10)
    assert counts.max() - counts.min() <= 1


def test_labelled_images_depend_on_the_seed_and_can_be_all() -> None:
    def drawn(seed: int, n_labelled: int = 45) -> list[int]:
        return draw_labelled(DIGITS.labels, n_labelled, torch.Generator().manual_seed(seed)).tolist()

    assert drawn(0) == drawn(0) != drawn(1)
    assert drawn(0, n_labelled=1797) == list(range(1797))
    labels = np.array([0] * 10 + [1, 1])
    assert np.bincount(labels[draw_labelled(labels, 8, torch.Generator().manual_seed(0))]).tolist() == [6, 2]


def with_labels(labels: np.ndarray) -> LabelledImages:
    return replace(DIGITS, labels=labels)


@pytest.mark.parametrize("name", ["simclr", "barlow-twins"])
def test_self_supervised_methods_use_no_label(name: str) -> None:
    assert same(trained(name), trained(name, images=with_labels((DIGITS.labels + 3) % 10)))


def test_fixmatch_uses_the_labels_of_those_drawn_only(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = draw_labelled(DIGITS.labels, 20, torch.Generator().manual_seed(0))
    # Which are drawn depends on all labels, so they are given here.
    monkeypatch.setattr(fixmatch, "draw_labelled", lambda *_: kept)
    others, drawn = (DIGITS.labels + 3) % 10, (DIGITS.labels + 3) % 10
    others[kept] = DIGITS.labels[kept]
    assert same(trained("fixmatch"), trained("fixmatch", images=with_labels(others)))
    assert not same(trained("fixmatch"), trained("fixmatch", images=with_labels(drawn)))


# --- every method -----------------------------------------------------------------------------------------------


def trained(name: str, seed: int = 0, images: LabelledImages = DIGITS, **changes: Any) -> dict[str, torch.Tensor]:
    network = small_network(len(images.class_names))
    settings = small_settings(name, **changes)
    for _ in METHODS[name].train(network, images, [settings.steps], seed, settings):
        pass
    return network.state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(value.equal(second[name]) for name, value in first.items())


def test_the_methods_of_the_paper_are_there() -> None:
    assert set(METHODS) == set(SMALL)
    for name, method in METHODS.items():
        assert method.settings().steps > 0
        assert read_settings(method.settings, asdict(small_settings(name)), name) == small_settings(name)


@pytest.mark.parametrize("name", METHODS)
def test_snapshots_come_at_the_steps_asked_for(name: str) -> None:
    network = small_network()
    snapshots = list(METHODS[name].train(network, DIGITS, [0, 1, 3], 0, small_settings(name)))
    assert [snapshot.step for snapshot in snapshots] == [0, 1, 3]
    assert [snapshot.epoch for snapshot in snapshots] == pytest.approx([0, SEEN[name] / 1797, 3 * SEEN[name] / 1797])
    assert snapshots[0].loss is None
    assert all(isinstance(snapshot.loss, float) for snapshot in snapshots[1:])
    assert all(snapshot.network is network for snapshot in snapshots)


@pytest.mark.parametrize("name", METHODS)
def test_features_learn_and_the_head_only_where_there_are_classes(name: str) -> None:
    assert METHODS[name].has_head == (name in WITH_HEAD)
    before, after = small_network().state_dict(), trained(name)
    for layer, value in before.items():
        changes = layer.startswith("backbone") or name in WITH_HEAD
        assert value.equal(after[layer]) != changes, layer


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_numbers(name: str) -> None:
    torch.manual_seed(1)
    first = trained(name)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002  the global generators must not matter
    state = torch.get_rng_state()
    assert same(trained(name), first)
    assert torch.get_rng_state().equal(state)
    assert not same(trained(name, seed=1), first)


@pytest.mark.parametrize("name", ["simclr", "barlow-twins"])
def test_projections_have_a_seed_and_stay_outside_the_network(name: str) -> None:
    torch.manual_seed(1)
    first = trained(name, projection=6)
    torch.manual_seed(2)
    assert same(trained(name, projection=6), first)
    assert not same(trained(name), first)
    assert first.keys() == small_network().state_dict().keys()


@pytest.mark.parametrize("name", METHODS)
def test_a_reader_may_leave_the_network_in_evaluation_mode(name: str) -> None:
    network, settings = small_network(), small_settings(name)
    for snapshot in METHODS[name].train(network, DIGITS, range(settings.steps + 1), 0, settings):
        snapshot.network.eval()
    assert same(network.state_dict(), trained(name))


@pytest.mark.parametrize("name", METHODS)
def test_diverging_training_ends_and_says_so(name: str) -> None:
    settings = small_settings(name, steps=60, learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match=r"the loss is (nan|inf) at step \d+: try a smaller learning rate"):
        list(METHODS[name].train(small_network(), DIGITS, [], 0, settings))


@pytest.mark.parametrize("name", METHODS)
def test_colour_images_and_few_classes(name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(60, 10, 12, 3), dtype=np.uint8)
    images = LabelledImages(pixels, np.arange(60) % 3, ("a", "b", "c"), np.arange(60))
    network = make_network("small-cnn", n_channels=3, n_classes=3, seed=0, width=4)
    settings = small_settings(name)
    (end,) = METHODS[name].train(network, images, [4], 0, settings)
    assert np.isfinite(end.loss)


def test_tasks_that_are_too_small_for_episodes() -> None:
    three = Task("three", classes=("1", "2", "3")).training_set(DIGITS)
    few = DIGITS.take(np.concatenate([np.flatnonzero(DIGITS.labels != 4), np.flatnonzero(DIGITS.labels == 4)[:7]]))
    for images, settings, message in [
        (three, PrototypicalSettings(n_way=5), "an episode of 5 classes needs as many, the task has 3"),
        (few, PrototypicalSettings(k_shot=5, n_query=5), "needs 10 images of each class, one has 7"),
    ]:
        with pytest.raises(ValueError, match=message):
            next(METHODS["prototypical"].train(small_network(), images, [1], 0, settings))
    settings = PrototypicalSettings(n_way=None, k_shot=1, n_query=1)
    (end,) = METHODS["prototypical"].train(small_network(), three, [1], 0, replace(settings, steps=1))
    assert end.epoch == pytest.approx(6 / len(three))


@pytest.mark.parametrize("n_labelled", [9, 1798])
def test_as_many_labels_as_cannot_be(n_labelled: int) -> None:
    with pytest.raises(ValueError, match=rf"n_labelled must be at least 1 .*got {n_labelled}"):
        next(METHODS["fixmatch"].train(small_network(), DIGITS, [1], 0, FixMatchSettings(n_labelled=n_labelled)))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *[(kind, {"steps": 0}) for kind in (AdamSettings, SGDSettings)],
        *[(kind, {"learning_rate": float("nan")}) for kind in (AdamSettings, SGDSettings)],
        *[(kind, {"weight_decay": -1.0}) for kind in (AdamSettings, SGDSettings)],
        *[(method.settings, {"steps": 0}) for method in METHODS.values()],
        *[(kind, {"batch_size": 1}) for kind in (SimCLRSettings, BarlowTwinsSettings)],
        *[(kind, {"projection": -1}) for kind in (SimCLRSettings, BarlowTwinsSettings)],
        (SimCLRSettings, {"temperature": 0.0}),
        (BarlowTwinsSettings, {"redundancy_weight": -0.1}),
        (FixMatchSettings, {"n_labelled": 0}),
        (FixMatchSettings, {"batch_size": 0}),
        (FixMatchSettings, {"unlabelled_batch_size": 0}),
        (FixMatchSettings, {"threshold": 1.5}),
        (FixMatchSettings, {"unlabelled_weight": -1.0}),
        (PrototypicalSettings, {"n_way": 1}),
        (PrototypicalSettings, {"k_shot": 0}),
        (PrototypicalSettings, {"n_query": 0}),
    ],
)
def test_hyper_parameters_out_of_range(kind: type, settings: dict) -> None:
    with pytest.raises(ValueError, match=r"must|at least one step") as raised:
        kind(**settings)
    (name, value) = next(iter(settings.items()))
    assert name.removesuffix("s") in str(raised.value)
    assert str(value) in str(raised.value).split("got")[1]


# --- the loop they share ----------------------------------------------------------------------------------------


def quadratic(network: Network) -> Iterator[torch.Tensor]:
    while True:
        yield network.head.weight.square().sum()


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    network = small_network()
    optimizer = SGDSettings(learning_rate=0.1).make_optimizer(network.parameters())
    rates = [0.1]
    for _ in optimise(network, quadratic(network), optimizer, 10, range(1, 11), images_per_step=1, n_images=1):
        rates.append(optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [0.05 * (1 + math.cos(math.pi * step / 10)) for step in range(11)], atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "formula"),
    [
        (SGDSettings(steps=1, learning_rate=0.1, weight_decay=0.5), lambda w: w - 0.1 * 1.9 * (2 * w + 0.5 * w)),
        (AdamSettings(steps=1, learning_rate=0.1, weight_decay=0.0), lambda w: w - 0.1 * w.sign()),
    ],
)
def test_the_first_step_of_each_optimiser(settings: Any, formula: Callable[[torch.Tensor], torch.Tensor]) -> None:
    network = small_network()
    weight, bias = (value.detach().clone() for value in (network.head.weight, network.head.bias))
    optimizer = settings.make_optimizer(network.parameters())
    list(optimise(network, quadratic(network), optimizer, 1, [], images_per_step=1, n_images=1))
    torch.testing.assert_close(network.head.weight, formula(weight), rtol=1e-5, atol=1e-5)
    assert network.head.bias.equal(bias)  # the loss does not know it: no weight decay either


def test_losses_are_asked_for_one_at_a_time() -> None:
    network, asked = small_network(), 0

    def counted() -> Iterator[torch.Tensor]:
        nonlocal asked
        for loss in quadratic(network):
            asked += 1
            yield loss

    optimizer = SGDSettings().make_optimizer(network.parameters())
    steps = optimise(network, counted(), optimizer, 5, [0, 2, 5], images_per_step=1, n_images=1)
    assert [(next(steps).step, asked) for _ in range(3)] == [(0, 0), (2, 2), (5, 5)]


# --- learning ---------------------------------------------------------------------------------------------------


def imprinted_accuracy(network: Network, train: LabelledImages, evaluation: LabelledImages) -> float:
    features = [extract_features(network, images) for images in (train, evaluation)]
    probs = imprint(features[0], train.labels, features[1], n_classes=10)
    return float((probs.argmax(axis=1) == evaluation.labels).mean())


def test_every_method_beats_its_own_untrained_network() -> None:
    train, evaluation = split_images(DIGITS, 1100, seed=1)
    source = Task("0-4", classes=("0", "1", "2", "3", "4")).training_set(train)
    gains = {}
    for name, method in METHODS.items():
        network = small_network()
        before = imprinted_accuracy(network, train, evaluation)
        images = train
        if name == "fine-tuning":  # from 0-4 to 5-9
            for _ in METHODS["supervised"].train(network, source, [], 0, METHODS["supervised"].settings(steps=60)):
                pass
            images = Task("5-9", classes=("5", "6", "7", "8", "9")).training_set(train)
            network.head.reset_parameters()
        for _ in method.train(network, images, [], 0, method.settings(steps=100)):
            pass
        gains[name] = imprinted_accuracy(network, train, evaluation) - before
    assert min(gains.values()) > 0.2, gains
