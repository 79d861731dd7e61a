"""Which checkpoints of very many are drawn: every k-th of every run, by one rule that the page states."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predspace_widgets.trajectories.selection import places_by_name

#: So many points of lines a browser still turns smoothly.
MOST_DRAWN = 20_000


def thin(lines: ArrayLike, most: int = MOST_DRAWN) -> tuple[NDArray[np.intp], int]:
    """Choose every k-th point of each line, counted along the line, always with its first and its last.

    k is the same for all lines and the smallest that leaves at most `most` points. Where even the first and the last
    point of all lines are more than that, these are what is left: every line is drawn, however many there are.

    Parameters
    ----------
    lines : array of str, shape (T,)
        Name of the line of each point, in the order in which each line runs.
    most : int
        Points to draw at most.

    Returns
    -------
    drawn : array of int
        Places of the points to draw, rising.
    k : int
        1 where all are drawn.

    Examples
    --------
    >>> thin(["a", "a", "a", "a", "a", "b", "b", "b", "b"], most=6)
    (array([0, 2, 4, 5, 7, 8]), 2)
    """
    members = list(places_by_name(lines).values())
    lengths = np.array([len(places) for places in members], dtype=np.intp)
    last = max(1, lengths.max(initial=1) - 1)  # leaves nothing between the first and the last points
    k = 1 + bisect_left(range(1, last), True, key=lambda k: _n_left(lengths, k) <= most)
    drawn = np.zeros(lengths.sum(), dtype=bool)
    for places in members:
        drawn[places[::k]] = True
        drawn[places[-1]] = True
    return np.flatnonzero(drawn), k


def _n_left(lengths: NDArray[np.intp], k: int) -> int:
    """Points that are left of lines with at least one point each."""
    return int((1 + -(-(lengths - 1) // k)).sum())


def ordinal(number: int) -> str:
    """A number that counts in a row.

    Examples
    --------
    >>> [ordinal(number) for number in (2, 3, 8, 11, 21, 112)]
    ['2nd', '3rd', '8th', '11th', '21st', '112th']
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
