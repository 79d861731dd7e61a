"""What the inspector shows of a checkpoint and of two: the numbers of the analysis, and images as they are."""

from __future__ import annotations

import base64

import numpy as np
import pytest
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from predspace_widgets.views.blocks import thumbnail

INSPECTOR = VIEWS["inspector"]


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    ds = random_trajectories(n_checkpoints=4)
    images = np.random.default_rng(0).integers(0, 255, (ds.sizes["sample"], 6, 5)).astype(np.uint8)
    return Analysis(ds.assign(image=(("sample", "row", "column"), images)))


def blocks_of(analysis: Analysis, **choices: object) -> list[dict]:  # type: ignore[type-arg]
    state = ExplorerState(analysis, **choices)
    drawing = INSPECTOR.compose(state.on_samples, state)
    assert drawing.blocks is not None
    return list(drawing.blocks)


def of_kind(blocks: list[dict], kind: str) -> list[dict]:  # type: ignore[type-arg]
    return [block for block in blocks if block["kind"] == kind]


def test_the_images_that_hold_a_checkpoint_back(analysis: Analysis) -> None:
    wanted = analysis.ds.predspace.checkpoint(3)
    (shown,) = of_kind(blocks_of(analysis, selected=[3]), "samples")
    order = wanted["order"].values[:12]
    assert [tile["choices"]["sample"] for tile in shown["samples"]] == order.tolist()
    for tile, place in zip(shown["samples"], order, strict=True):
        pixels = np.frombuffer(base64.b64decode(tile["image"]["pixels"]), np.uint8).reshape(tile["image"]["shape"])
        np.testing.assert_array_equal(pixels[..., 0], analysis.ds["image"].values[place])
        true_class, share = tile["bars"][0]
        assert true_class == str(analysis.ds["class"].values[analysis.ds["label"].values[place]])
        assert share == pytest.approx(
            float(wanted["probs"].values[place, analysis.ds["label"].values[place]]), abs=1e-4
        )


def test_half_of_a_distance_is_that_of_the_samples_that_are_linked(analysis: Analysis) -> None:
    blocks = blocks_of(analysis, selected=[0, 13])
    (choices,) = [link["choices"] for block in of_kind(blocks, "links") for link in block["links"]]
    pair = analysis.ds.predspace.why(0, 13)
    contribution = pair["contribution"].values
    chosen = contribution[choices["samples"]["rows"]]
    assert chosen.sum() >= contribution.sum() / 2 > np.sort(chosen)[1:].sum()
    assert choices["samples"]["rows"] == sorted(choices["samples"]["rows"])


def test_places_are_those_of_the_whole_dataset_where_some_samples_count(analysis: Analysis) -> None:
    (shown,) = of_kind(blocks_of(analysis, selected=[3], samples={"classes": ["class 2"]}), "samples")
    labels = analysis.ds["label"].values
    assert {int(labels[tile["choices"]["sample"]]) for tile in shown["samples"]} == {2}


def test_a_sample_has_a_strip_for_each_side(analysis: Analysis) -> None:
    without = of_kind(blocks_of(analysis, selected=[3, 13]), "figure")
    figures = of_kind(blocks_of(analysis, selected=[3, 13], sample=4), "figure")
    assert len(figures) == len(without) + 2
    for figure in figures[-2:]:
        layers = np.stack([trace["y"] for trace in figure["figure"]["data"]])
        np.testing.assert_allclose(layers.sum(axis=0), 1, atol=1e-6)
    assert not of_kind(blocks_of(analysis, selected=[3], sample=4, samples={"rows": [5]}), "figure")[1:]


def test_a_checkpoint_and_itself_do_not_differ(analysis: Analysis) -> None:
    same = Analysis(xr.concat([analysis.ds.isel(checkpoint=[0]), analysis.ds], "checkpoint", data_vars="minimal"))
    texts = [block["text"] for block in of_kind(blocks_of(same, selected=[0, 1]), "text")]
    assert texts == ["They predict the same on every sample."]


@pytest.mark.parametrize(
    ("selected", "message"), [([], "click a checkpoint"), ([0, 1, 2], "3 checkpoints are selected: click one of them")]
)
def test_what_is_neither_one_nor_two(analysis: Analysis, selected: list[int], message: str) -> None:
    drawing = INSPECTOR.draw(analysis, ExplorerState(analysis, selected=selected))
    assert drawing.figure is None
    assert message in drawing.message


def test_a_thumbnail_is_no_larger_than_is_seen() -> None:
    image = np.random.default_rng(0).integers(0, 255, (300, 200, 3)).astype(np.uint8)
    sent = thumbnail(image)
    pixels = np.frombuffer(base64.b64decode(sent["pixels"]), np.uint8).reshape(sent["shape"])
    assert sent["shape"] == [60, 40, 3]
    np.testing.assert_array_equal(pixels, image[::5, ::5])
