"""The sentence on a figure is true of the numbers that the figure is drawn from."""

from __future__ import annotations

import re

import numpy as np
import pytest

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.notebook import still
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from tests.views.conftest import with_recipe


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analysis_of(with_recipe(random_trajectories(n_seeds=3, n_checkpoints=7, methods=("supervised", "simclr"))))


@pytest.fixture(params=[{}, {"tasks": ["red", "blue"], "seeds": [0, 2]}, {"curves": ["green"]}], ids=str)
def explorer(analysis: Analysis, request: pytest.FixtureRequest) -> Explorer:
    return Explorer(analysis, **request.param)


def numbers(sentence: str) -> list[float]:
    return [float(text) for text in re.findall(r"[0-9]+(?:\.[0-9]+)?", re.sub(r"“.*?”", "", sentence))]


def names(sentence: str) -> list[str]:
    return re.findall(r"“(.*?)”", sentence)


@pytest.mark.parametrize("view", ["inpca", "progress", "tube", "lengths", "stress"])
def test_it_counts_what_is_shown(explorer: Explorer, view: str) -> None:
    shown = explorer.data("lengths")
    n_curves = len(shown.groupby(["task", "method"]))
    assert numbers(explorer.summary(view))[:2] == [n_curves, len(shown)]


def test_lengths_name_the_longest_and_the_shortest(explorer: Explorer) -> None:
    means = explorer.data("lengths").groupby(["task", "method"])["length"].mean()
    labels = [task if method == "supervised" else f"{task} · {method}" for task, method in means.index]
    sentence = explorer.summary("lengths")
    assert names(sentence) == [labels[means.argmax()], labels[means.argmin()]]
    assert numbers(sentence)[-2:] == pytest.approx([means.max(), means.min()], rel=6e-3)


def test_progress_names_who_ends_furthest_whatever_the_time_is(explorer: Explorer) -> None:
    table = explorer.data("progress")
    ends = table.groupby(["task", "method"], sort=False)["progress bhattacharyya"].last()
    sentence = explorer.summary("progress")
    assert numbers(sentence)[-2:] == pytest.approx([ends.max(), ends.min()], rel=6e-3)
    assert numbers(explorer.summary("inpca"))[-1] == pytest.approx(ends.max(), rel=6e-3)
    explorer.state.time = 0.1
    assert explorer.summary("progress") == sentence


def test_the_axes_that_are_seen_are_those_that_explain(explorer: Explorer) -> None:
    shares = explorer.data("stress")["stress"].to_numpy()
    assert f"three axes explain {100 * shares[:3].sum():.0f}%" in explorer.summary("inpca")
    explorer.state.param.update(dimensions="2-D", horizontal=2, vertical=4)
    share = 100 * (shares[1] + shares[3])
    said = re.search(r"axes 2 and 4 explain ([0-9.]+)%", explorer.summary("inpca"))
    assert said is not None
    assert float(said[1]) == pytest.approx(share, abs=0.5)
    assert f"the first three together {100 * shares[:3].sum():.0f}%" in explorer.summary("stress")


def test_the_tube_names_who_strays_furthest(analysis: Analysis) -> None:
    explorer = Explorer(analysis, seeds=[1])  # one run a curve: their checkpoints are the means
    table = explorer.data("tube")
    sentence = explorer.summary("tube")
    furthest = table.loc[table["tube distance"].idxmax()]
    assert names(sentence)[0].split(" · ")[0] == furthest["task"]
    ends = table.groupby("run")["tube distance"].last()
    assert numbers(sentence)[-2:] == pytest.approx([furthest["tube distance"], ends.min()], rel=6e-3)


def test_results_name_their_extremes(explorer: Explorer) -> None:
    if len(explorer.state.curves) == 1:  # which has no pairs
        return
    table = explorer.data("matrix").dropna(subset="distance")
    sentence = explorer.summary("matrix")
    near, far = (table.loc[place] for place in (table["distance"].idxmin(), table["distance"].idxmax()))
    assert names(sentence) == [near["first"], near["second"], far["first"], far["second"]]
    compared = explorer.data("comparison")["distance"].to_numpy()
    mean = numbers(explorer.summary("comparison"))[0]
    assert compared.min() - 5e-4 <= mean <= compared.max() + 5e-4
    gains = explorer.data("transfer")
    best = gains.loc[gains["gain"].idxmax()]
    assert names(explorer.summary("transfer"))[:2] == [best["curve"], best["classes"]]


def test_of_a_checkpoint_and_of_a_pair(analysis: Analysis) -> None:
    explorer = Explorer(analysis, selected=[9])
    assert str(analysis.ds["run"].values[9]) in explorer.summary("inspector")
    explorer.state.selected = [9, 30]
    assert all(str(analysis.ds["run"].values[row]) in explorer.summary("inspector") for row in (9, 30))


@pytest.mark.parametrize("view", VIEWS)
def test_it_is_one_plain_sentence(analysis: Analysis, view: str) -> None:
    sentence = Explorer(analysis, selected=[3]).summary(view)
    assert sentence.endswith(".")
    assert not set("<>&{}\n") & set(sentence)
    assert "nan" not in sentence


def test_without_predictions_it_says_what_is_known(analysis: Analysis) -> None:
    picture = analysis.picture(n_components=3)
    ds = analysis.ds.drop_vars(["probs", "label"], errors="ignore").drop_dims("sample", errors="ignore")
    coordinates = (("checkpoint", "component"), picture["embedding"].values)
    ds = ds.assign(embedding=coordinates, eigenvalue=("component", picture["eigenvalue"].values))
    sentence = Explorer(ds).summary()
    assert "progress" not in sentence
    assert re.fullmatch(r"6 curves of 18 runs; three axes explain [0-9.]+% of the stress\.", sentence)


def test_names_of_data_are_no_markup_in_the_static_picture() -> None:
    explorer = Explorer(random_trajectories(("<script>a</script>", "{curve} & {b}"), n_checkpoints=5))
    assert np.any([name in explorer.summary() for name in ("<script>a</script>", "{curve} & {b}")])
    svg = still(explorer.session.analysis, explorer.state)
    assert "<script" not in svg
    title = re.search(r"<title>(.*?)</title>", svg)
    assert title is not None
    assert title[1].startswith("2 curves of 4 runs; axes 1 and 2 explain")
