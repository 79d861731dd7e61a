"""Which points of lines are drawn when there are too many."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.views.thinning import thin

# Lines of different lengths whose points may lie in any order among each other.
LINES = st.lists(st.sampled_from("abcdef"), max_size=80)
MOST = st.integers(0, 60)


def places_of(lines: list[str]) -> dict[str, list[int]]:
    return {line: [place for place, of in enumerate(lines) if of == line] for line in lines}


def left(lines: list[str], k: int) -> set[int]:
    """Every k-th place of each line and its last, by the plainest means."""
    return {places[j] for places in places_of(lines).values() for j in {*range(0, len(places), k), len(places) - 1}}


@given(LINES, MOST)
def test_every_kth_point_of_each_line_its_first_and_its_last(lines: list[str], most: int) -> None:
    drawn, k = thin(lines, most)
    assert drawn.tolist() == sorted(left(lines, k))  # their order is kept
    for places in places_of(lines).values():
        kept = [number for number, place in enumerate(places) if place in drawn]
        assert kept[0] == 0
        assert kept[-1] == len(places) - 1
        assert set(np.diff(kept[:-1]).tolist()) <= {k}
        assert all(0 < step <= k for step in np.diff(kept))


@given(LINES, MOST)
def test_k_is_the_smallest_that_fits(lines: list[str], most: int) -> None:
    drawn, k = thin(lines, most)
    if k > 1:
        assert len(left(lines, k - 1)) > most
    ends = {places[end] for places in places_of(lines).values() for end in (0, -1)}
    assert len(drawn) <= most or set(drawn.tolist()) == ends  # more only where first and last points are more


@given(LINES, st.integers(0, 20))
def test_what_fits_is_drawn_whole(lines: list[str], room: int) -> None:
    drawn, k = thin(lines, len(lines) + room)
    assert drawn.tolist() == list(range(len(lines)))
    assert k == 1
