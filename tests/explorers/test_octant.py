"""The octant in Python: what it takes and refuses, its still picture, and the page that it saves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import predspace_widgets as pw
from predspace_widgets.explorers.octant import NotAPredictionError, Octant, _placed

HOSTILE = ("</script><script>window.hacked=1</script>", '"><img src=x onerror=hack()>', "& <b>")
SVG = "{http://www.w3.org/2000/svg}"


def still(octant: Octant) -> str:
    return str(octant._repr_mimebundle_()[0]["text/html"])


def test_it_is_a_public_name() -> None:
    assert pw.Octant is Octant
    assert "Octant" in dir(pw)


@pytest.mark.parametrize("values", [[0.25, 0.25, 0.5], (1, 0, 0), np.array([0.2, 0.3, 0.5], dtype=np.float32)])
def test_predictions_are_plain_lists(values: Any) -> None:
    octant = Octant(second=values)
    octant.first = values
    for kept in (octant.first, octant.second):
        assert [type(value) for value in kept] == [float] * 3
        np.testing.assert_array_equal(kept, np.asarray(values, dtype=float))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([0.5, 0.5], r"first must be 3 probabilities, of A, B, C, got \[0.5, 0.5\]"),
        ([[1.0, 0.0, 0.0]], "first must be 3 probabilities"),
        ([0.8, 0.8, 0.1], "rows of first must sum to 1, one misses it by 0.7"),
        ([1.5, -0.5, 0.0], "first holds negative values"),
        ([np.nan, 0.5, 0.5], "first holds values that are not finite"),
        (["cat", "dog", "bird"], "could not convert string to float"),
        (None, "first must be 3 probabilities"),
    ],
)
def test_what_is_no_prediction_is_refused(values: Any, why: str) -> None:
    octant = Octant([0.2, 0.3, 0.5])
    with pytest.raises(ValueError, match=why):
        octant.first = values
    with pytest.raises(NotAPredictionError):
        octant.set_state({"first": values})  # as a message of a browser does
    assert octant.first == [0.2, 0.3, 0.5]
    with pytest.raises(ValueError, match=why):
        Octant(values)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"classes": ["a", "b"]}, "three classes of different names, got a, b"),
        ({"classes": ["a", "b", "a"]}, "three classes of different names"),
        ({"truth": "D"}, "no class 'D': there are A, B, C"),
        ({"path": [[0.5, 0.5]]}, r"path must have shape \(T, 3\), got \(1, 2\)"),
        ({"path": [[0.5, 0.6, 0.5]]}, "rows of path must sum to 1"),
    ],
)
def test_other_wrong_options_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Octant(**options)


def test_the_still_picture_has_no_markup_of_names_and_no_script() -> None:
    html = still(Octant(classes=HOSTILE, truth=HOSTILE[1]))
    tree = ElementTree.fromstring(f"<div>{html}</div>")
    assert {element.tag.removeprefix(SVG) for element in tree.iter()} == {
        "div",
        "svg",
        "polyline",
        "circle",
        "text",
        "p",
    }
    assert "Two predictions of" in str(tree.find(f"{SVG}svg").attrib["aria-label"])  # type: ignore[union-attr]


def test_the_still_picture_tells_the_numbers() -> None:
    p, q = [0.7, 0.2, 0.1], [0.05, 0.15, 0.8]
    d_b, d_g = pw.geometry.bhattacharyya([p], [q]), pw.geometry.great_circle([p], [q])
    assert f"d_B {d_b:.3f}, d_G {d_g:.3f}" in still(Octant(p, q))
    assert "Overlap 0.000, d_B ∞, d_G 1.571" in still(Octant([1, 0, 0], [0, 1, 0]))


@pytest.mark.parametrize("true", range(3))
def test_places_of_predictions(true: int) -> None:
    """The sphere seen along its diagonal: ignorance in the middle, the truth above it, all corners equally far."""
    corners, [middle] = _placed(np.eye(3), true), _placed(np.full((1, 3), 1 / 3), true)
    away = corners - middle
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 190 * np.sqrt(2 / 3))
    np.testing.assert_allclose(away.sum(axis=0), 0, atol=1e-9)
    assert away[true, 1] < 0
    np.testing.assert_allclose(away[true, 0], 0, atol=1e-9)


def test_the_saved_page_holds_all_it_needs(tmp_path: Path) -> None:
    saved = Octant([0.2, 0.3, 0.5], classes=HOSTILE).save(tmp_path / "octant.html")
    text = saved.read_text(encoding="utf-8")
    assert saved.stat().st_size < 40_000
    assert "default-src 'none'" in text
    assert re.findall(r"<script[^>]*>", text) == [
        '<script type="application/json" id="values">',
        '<script type="module">',
    ]
    without_names = text[: text.index('id="values">')] + text[text.index('<script type="module">') :]
    assert not re.search(r"(src|href)=|https?://(?!www\.w3\.org/2000/svg)", without_names)
