"""Styles tell curves apart, and names from data stay plain text."""

from __future__ import annotations

import html
import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.views.style import DASHES, PALETTE, Style, curve_styles, plain, short, short_names

N_BOTH = len(PALETTE) * len(DASHES)


def grid(n_tasks: int, n_methods: int) -> list[tuple[str, str]]:
    return [(f"task {task}", f"method {method}") for task in range(n_tasks) for method in range(n_methods)]


def luminance(color: str) -> float:
    """Relative luminance of '#rrggbb' (WCAG)."""
    parts = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_palette_is_distinct_and_visible_on_white() -> None:
    assert len(set(PALETTE)) == 13
    assert all(1.05 / (luminance(color) + 0.05) > 2 for color in PALETTE)


#: What is left of linear red, green and blue to eyes that lack a kind of cone: Machado, Oliveira and Fernandes, "A
#: physiologically-based model for simulation of color vision deficiency" (2009), severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.412456, 0.357576, 0.180437], [0.212673, 0.715152, 0.072175], [0.019334, 0.119192, 0.950304]])


def seen(color: str, eyes: str) -> np.ndarray:
    """CIELAB of '#rrggbb' as somebody sees it: distances of it are differences between colours."""
    parts = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(EYES[eyes] @ linear, 0, 1) / TO_XYZ.sum(axis=1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("eyes", EYES)
def test_who_lacks_a_cone_tells_curves_apart_by_colour_or_by_dash(eyes: str) -> None:
    """A difference of 2.3 can just be noticed; of neighbours on a page somewhat more is needed."""
    styles, _ = curve_styles(grid(13, 1))
    pairs = list(itertools.combinations(styles, 2))
    alike = [
        (one, other) for one, other in pairs if np.linalg.norm(seen(one.color, eyes) - seen(other.color, eyes)) < 15
    ]
    assert [pair for pair in alike if pair[0].dash == pair[1].dash] == []
    if eyes != "all cones":
        assert alike  # without the dash they would be lost


@given(
    st.lists(st.text("ab ·@/", min_size=1, max_size=50), min_size=1, max_size=12, unique=True)
    | st.lists(st.tuples(*[st.sampled_from(["sgd", "adam", "a longer one"])] * 5), min_size=1, unique=True).map(
        lambda rows: [" · ".join(row) for row in rows]
    ),
    st.integers(8, 40),
)
def test_short_names_tell_each_other_apart(names: list[str], most: int) -> None:
    shorter = short_names(names, most)
    assert len(shorter) == len(names)
    if max(map(len, names)) <= most:
        assert shorter == names
    assert len(set(shorter)) == len(names)
    assert max(map(len, shorter)) <= max(most + 4, 12)  # room for a number


def test_what_most_share_is_left_out_first() -> None:
    names = [f"digits @ {network} · {optimiser} · none" for network in ("cnn", "mlp") for optimiser in ("sgd", "adam")]
    assert short_names([*names, "digits @ cnn · sgd · moved"], 17) == [
        *("cnn · sgd", "cnn · adam", "mlp · sgd", "mlp · adam", "cnn · sgd · moved"),
    ]


@given(st.integers(1, 30), st.integers(1, 30), st.randoms(use_true_random=False))
def test_no_two_curves_look_alike_unless_the_caption_says_so(n_tasks: int, n_methods: int, random) -> None:  # type: ignore[no-untyped-def]
    pairs = grid(n_tasks, n_methods)
    pairs = random.sample(pairs, random.randint(1, len(pairs)))
    styles, meaning = curve_styles(pairs)
    assert len(styles) == len(pairs)
    assert (meaning == "") == (len(pairs) <= 13)
    if not meaning:
        assert len({style.color for style in styles}) == len(pairs)
        assert [style.dash for style in styles] == ["solid"] * min(7, len(pairs)) + ["dash"] * max(0, len(pairs) - 7)
    assert ("look alike" in meaning) == (len(pairs) > N_BOTH)
    assert (len(set(styles)) == len(pairs)) == (len(pairs) <= N_BOTH)


@pytest.mark.parametrize(
    ("n_tasks", "n_methods", "meaning"),
    [
        (13, 6, "A colour is a task, a dash a method."),
        (6, 13, "A colour is a method, a dash a task."),
        (5, 4, "A colour is a task, a dash a method."),  # both would do
        (14, 1, "Colours come again with other dashes: both together tell a curve."),
        (8, 8, "Colours come again with other dashes: both together tell a curve."),
    ],
)
def test_what_colour_and_dash_mean(n_tasks: int, n_methods: int, meaning: str) -> None:
    pairs = grid(n_tasks, n_methods)
    styles, said = curve_styles(pairs)
    assert said == meaning
    if said.startswith("A colour"):
        by = 0 if "colour is a task" in said else 1
        for one, its in zip(pairs, styles, strict=True):
            for other, theirs in zip(pairs, styles, strict=True):
                assert (its.color == theirs.color) == (one[by] == other[by])
                assert (its.dash == theirs.dash) == (one[1 - by] == other[1 - by])


def test_a_dash_is_a_source_where_task_and_method_have_the_colours() -> None:
    pairs = [(*pair, source) for pair in grid(3, 4) for source in ("a", "b")]
    styles, said = curve_styles(pairs)
    assert said == "A colour is a task and method, a dash a source."
    for one, its in zip(pairs, styles, strict=True):
        for other, theirs in zip(pairs, styles, strict=True):
            assert (its.color == theirs.color) == (one[:2] == other[:2])
            assert (its.dash == theirs.dash) == (one[2] == other[2])
    assert curve_styles(pairs, ("task", "method", "width"))[1] == "A colour is a task and method, a dash a width."
    many = [("all", "supervised", str(source)) for source in range(8)]
    assert curve_styles(many)[1] == "A colour is a source, a dash a task."
    several = [(*pair, source) for pair in grid(3, 4) for source in "abcdefg"]
    assert curve_styles(several)[1].startswith("Some curves look alike" if len(several) > N_BOTH else "Colours come")
    few = [(f"task {number}", "supervised", str(number)) for number in range(7)]
    assert curve_styles(few) == ([Style(color) for color in PALETTE[:7]], "")


def shown_by_plotly(text: str) -> str:
    """What plotly makes of a name: templates are filled, tags are markup, both invisible here; entities are decoded."""
    without = re.sub(r"<[^>]*>", "", re.sub(r"%{[^}]*}", "", text))
    return html.unescape(without)


@given(st.text(alphabet="<>b/&;%{}x$'\"ltamp#37 ") | st.text())
def test_plotly_shows_a_name_letter_by_letter(name: str) -> None:
    assert not set("<>$%") & set(plain(name))
    if not re.search(r"[\0-\x1f\x80-\x9f]", name):  # `html.unescape` itself drops control characters
        assert shown_by_plotly(plain(name)) == name


@given(st.text(max_size=60), st.integers(4, 40))
def test_a_short_name_is_no_longer_than_it_may_be(name: str, most: int) -> None:
    shown = short(name, most)
    assert len(shown) <= most
    assert (shown == name) == (len(name) <= most)
    if shown != name:
        start, end = shown.split("…", 1) if "…" not in name else (shown[: most // 2], shown[most // 2 + 1 :])
        assert name.startswith(start)
        assert name.endswith(end)
