"""The tree of tasks: its supports against plain bootstraps with the same draws, and its text against its distances."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.cluster.hierarchy import cophenet, dendrogram, linkage, to_tree
from scipy.spatial.distance import squareform

from predspace_widgets.analysis import reindexed
from predspace_widgets.analysis.tree import newick
from predspace_widgets.geometry import bhattacharyya, overlaps
from predspace_widgets.trajectories import Selection, make_trajectories
from predspace_widgets.trajectories.schema import NoPredictionsError
from tests.trajectories.samples import embedding_only

TASKS = ("red", "green", "blue", "grey")


def alike() -> xr.Dataset:
    """Four tasks of three runs that differ by chance alone, so that no split is sure."""
    random = np.random.default_rng(4)
    labels, times = random.integers(4, size=25), np.tile(np.arange(5.0), 12)
    logits = 0.7 * times[:, None, None] * (np.eye(4)[labels] + random.normal(size=(60, 25, 4)) * 0.5)
    probs = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    seeds = np.tile(np.repeat([0, 1, 2], 5), 4)
    return make_trajectories(probs, labels, task=np.repeat(TASKS, 15), seed=seeds, epoch=times)


TRAININGS = alike()
ENDS = TRAININGS["probs"].values[4::5].reshape(4, 3, 25, 4)  # (curve, seed, N, C)
N_DRAWS = 300  # more than are drawn at a time


def clades(distances: np.ndarray) -> list[frozenset[int]]:
    """Leaves under each merge, in order."""
    _, nodes = to_tree(linkage(squareform(distances, checks=False), "average"), rd=True)
    return [frozenset(node.pre_order()) for node in nodes if not node.is_leaf()]


def plain_support(whole: np.ndarray, drawn: list[np.ndarray]) -> list[float]:
    of_draws = [clades(distances) for distances in drawn]
    return [sum(clade in tree for tree in of_draws) / len(drawn) for clade in clades(whole)]


def between(points: np.ndarray) -> np.ndarray:
    return bhattacharyya(points[:, None], points)


def is_told(found: xr.Dataset, expected: list[float]) -> None:
    np.testing.assert_allclose(found["support"], expected, rtol=0, atol=1e-12)
    assert expected[-1] == 1  # of the root
    assert 0 < max(expected[:-1]) < 1


def by_counts(n: int, random: np.random.Generator) -> np.ndarray:
    return random.multinomial(n, np.full(n, 1 / n), N_DRAWS)


# -- support -----------------------------------------------------------------------------------------------------------


def test_support_of_the_ends_is_that_of_resampled_datasets() -> None:
    """Each draw a dataset of its own, measured anew."""
    found = TRAININGS.predspace.tree("end", n_draws=N_DRAWS, seed=3)
    draws = [np.repeat(np.arange(25), counts) for counts in by_counts(25, np.random.default_rng(3))]
    assert len(draws) == N_DRAWS
    means = ENDS.mean(axis=1)
    drawn = [between(means[:, rows]) for rows in draws]
    is_told(found, plain_support(between(means), drawn))
    again = TRAININGS.isel(sample=draws[0]).drop_vars("sample", errors="ignore").predspace.matrix("end", with_p=False)
    np.testing.assert_allclose(again["distance"], drawn[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("mean", ["arithmetic", "bhattacharyya"])
def test_support_along_progress(mean: Any) -> None:
    found = TRAININGS.predspace.tree(n_draws=N_DRAWS, mean=mean, n_points=5)
    options = {"n_points": 5, "progress_range": found.attrs["progress_range"]}
    ways = np.stack([TRAININGS.predspace.mean_trajectory(task, mean, **options)["probs"].values for task in TASKS])
    each = np.average(-np.log(overlaps(ways[:, None], ways)), axis=2, weights=[0.5, 1, 1, 1, 0.5])  # (4, 4, N)
    np.testing.assert_allclose(found["distance"], each.mean(axis=-1), rtol=0, atol=1e-12)
    drawn = [np.average(each, axis=-1, weights=counts) for counts in by_counts(25, np.random.default_rng(0))]
    is_told(found, plain_support(each.mean(axis=-1), drawn))


def test_support_over_seeds() -> None:
    found = TRAININGS.predspace.tree("end", n_draws=N_DRAWS, over="seeds", seed=1)
    random = np.random.default_rng(1)
    counts = np.stack([by_counts(3, random) for _ in TASKS], axis=1)  # (draw, curve, seed)
    drawn = [between(np.einsum("cs,csnk->cnk", of_draw / 3, ENDS)) for of_draw in counts]
    whole = between(ENDS.mean(axis=1))
    np.testing.assert_allclose(found["distance"], whole, rtol=0, atol=1e-12)
    is_told(found, plain_support(whole, drawn))


@pytest.mark.parametrize("of", ["progress", "end", "step"])
@pytest.mark.parametrize("over", ["samples", "seeds"])
def test_distances_are_those_of_the_matrix(of: Any, over: Any) -> None:
    found = TRAININGS.predspace.tree(of, over=over, n_draws=2, n_points=5)
    differ = TRAININGS.predspace.matrix(of, n_points=5, with_p=False)
    np.testing.assert_allclose(found["distance"], differ["distance"], rtol=1e-9, atol=1e-14)
    heights = np.sort(differ["linkage"].values[:, 2])
    np.testing.assert_allclose(found["linkage"][:, 2], heights, rtol=1e-9)


def two_far_groups() -> xr.Dataset:
    """Four tasks of two runs: two that learn the truth and two that learn a wrong labelling, almost alike in pairs."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 10)
    probs, tasks = [], []
    for number, task in enumerate(("a", "b", "c", "d")):
        target = np.eye(3)[(labels + number // 2) % 3]
        for _ in range(2):
            for share in (0.0, 0.4, 0.9):
                noisy = (1 - share) / 3 + share * target + 0.02 * random.random((30, 3))
                probs.append(noisy / noisy.sum(axis=-1, keepdims=True))
                tasks.append(task)
    seeds = np.tile(np.repeat([0, 1], 3), 4)
    return make_trajectories(np.stack(probs), labels, task=tasks, seed=seeds, epoch=np.tile([0.0, 1, 2], 8))


@pytest.mark.parametrize("over", ["samples", "seeds"])
def test_two_far_groups_have_full_support(over: Any) -> None:
    found = two_far_groups().predspace.tree("end", over=over, n_draws=100)
    nodes = {frozenset(found["leaf"].values[node].tolist()) for node in found["is_under"].values}
    assert nodes == {frozenset("ab"), frozenset("cd"), frozenset("abcd")}
    assert found["support"].values.tolist() == [1, 1, 1]


@pytest.mark.parametrize("over", ["samples", "seeds"])
def test_what_is_identical_supports_no_split(over: Any) -> None:
    random = np.random.default_rng(0)
    same, other = random.dirichlet(np.ones(3), size=(2, 1, 12))
    probs = np.concatenate([same] * 8 + [other] * 2).astype(np.float64)
    tasks, seeds = np.repeat(list("abcde"), 2), np.tile([0, 1], 5)
    ds = make_trajectories(probs, np.arange(12) % 3, task=tasks, seed=seeds, epoch=np.zeros(10))
    found = ds.predspace.tree("end", n_draws=20, over=over)
    support = {
        int(node.sum()): value for node, value in zip(found["is_under"].values, found["support"].values, strict=True)
    }
    assert support[4] == support[5] == 1  # a, b, c and d against e
    assert np.isnan(found["support"].values).sum() == 2
    assert found.attrs["newick"].count(")1:") == 1
    alike = ds.predspace.select(tasks=list("abcd")).predspace.tree("end", n_draws=20, over=over)
    np.testing.assert_array_equal(alike["support"], [np.nan, np.nan, 1])


def test_leaves_are_those_of_scipys_dendrogram() -> None:
    found = TRAININGS.predspace.tree("end", "run", n_draws=0)
    drawn = dendrogram(linkage(squareform(found["distance"].values), "average"), no_plot=True)
    assert found["order"].values.tolist() == drawn["leaves"]
    assert found["curve"].values.tolist() == np.repeat(TASKS, 3).tolist()
    assert np.isnan(found["support"]).all()
    assert found["is_under"].values.sum(axis=1).tolist() == found["linkage"].values[:, 3].tolist()


def test_another_seed_draws_otherwise_and_the_same_one_the_same() -> None:
    one, same, other = (TRAININGS.predspace.tree("end", n_draws=200, seed=seed)["support"] for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)


def test_some_samples_at_a_time_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = TRAININGS.predspace.tree("end", n_draws=20)
    monkeypatch.setattr(reindexed, "_PROBABILITIES_AT_A_TIME", 12 * 4 * 7)
    found = TRAININGS.predspace.tree("end", n_draws=20)
    xr.testing.assert_allclose(found, expected, rtol=1e-12)


# -- as text -----------------------------------------------------------------------------------------------------------


def ways_in(text: str) -> tuple[dict[frozenset[str], float], dict[frozenset[str], float]]:
    """Lengths of the ways between leaves, and supports of nodes, of a tree in Newick's format."""
    tokens = re.findall(r"'(?:[^']|'')*'|[(),:;]|[^(),:;']+", text)
    lengths: dict[frozenset[str], float] = {}
    supports: dict[frozenset[str], float] = {}

    def read(place: int) -> tuple[dict[str, float], int]:
        """Leaves of the node that starts at a place, with the ways to them, and the place behind it."""
        if tokens[place] != "(":
            return {tokens[place][1:-1].replace("''", "'"): 0.0}, place + 1
        parts, place = [], place + 1
        while True:
            leaves, place = read(place)
            assert tokens[place] == ":"
            parts.append({leaf: way + float(tokens[place + 1]) for leaf, way in leaves.items()})
            place += 2
            if tokens[place] == ")":
                break
            place += 1
        for one, other in itertools.combinations(parts, 2):
            lengths.update({frozenset((a, b)): one[a] + other[b] for a in one for b in other})
        leaves = {leaf: way for part in parts for leaf, way in part.items()}
        if tokens[place + 1] not in ":;":
            supports[frozenset(leaves)] = float(tokens[place + 1])
            place += 1
        return leaves, place + 1

    _, end = read(0)
    assert tokens[end:] == [";"]
    return lengths, supports


def test_newick_holds_the_tree() -> None:
    found = TRAININGS.predspace.tree("end", n_draws=50)
    lengths, supports = ways_in(found.attrs["newick"])
    merged_at = squareform(cophenet(found["linkage"].values))
    for (i, one), (j, other) in itertools.combinations(enumerate(TASKS), 2):
        assert lengths[frozenset((one, other))] == pytest.approx(merged_at[i, j], rel=1e-4)
    nodes = [frozenset(found["leaf"].values[node].tolist()) for node in found["is_under"].values]
    expected = dict(zip(nodes[:-1], found["support"].values[:-1].tolist(), strict=True))  # not the root
    assert supports == pytest.approx(expected, abs=1e-4)


def test_newick_quotes_names() -> None:
    names = ["it's", "a (b), c:d;", "plain"]
    lengths, supports = ways_in(newick(np.array([[0, 1, 0.5, 2], [2, 3, 2.0, 3]]), names, np.array([0.25, 1])))
    assert lengths == {frozenset(names[:2]): 0.5, frozenset(names[::2]): 2.0, frozenset(names[1:]): 2.0}
    assert supports == {frozenset(names[:2]): 0.25}
    assert newick(np.array([[0, 1, 0.5, 2]]), names[1:], np.array([np.nan])) == "('a (b), c:d;':0.25,'plain':0.25);"


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "start"}, "of must be one of progress, end, step, not 'start'"),
        ({"by": "seed"}, "by must be one of"),
        ({"over": "runs"}, "over must be one of samples, seeds, not 'runs'"),
        ({"n_draws": -1}, "n_draws must be 0 or more"),
        ({"by": "run", "over": "seeds"}, "a run has no seeds to draw from"),
        ({"mean": "bhattacharyya", "over": "seeds"}, "draws of seeds are of arithmetic means"),
        ({"over": "seeds", "selection": Selection(seeds=(1,))}, "needs a curve with two runs"),
        ({"selection": Selection(tasks=("red",))}, "only one curve is chosen"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TRAININGS.predspace.tree(**options)


def test_without_predictions() -> None:
    with pytest.raises(NoPredictionsError):
        embedding_only().predspace.tree()
