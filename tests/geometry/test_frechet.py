"""The discrete Frechet distance: against all couplings of tiny trajectories, and what holds of any."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from predspace_widgets.geometry import discrete_frechet

distances = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(float, shape, elements=st.integers(0, 4).map(float), fill=st.nothing())
)


def couplings(n: int, m: int) -> Iterator[list[tuple[int, int]]]:
    """All ways to walk from (0, 0) to (n - 1, m - 1)."""
    if n == m == 1:
        yield [(0, 0)]
        return
    for before in ((n - 1, m), (n, m - 1), (n - 1, m - 1)):
        if min(before) > 0:
            for way in couplings(*before):
                yield [*way, (n - 1, m - 1)]


@given(D=distances)
@example(D=np.array([[0.0, 1.0], [1.0, 0.0]]))  # both go on together
def test_it_is_the_least_of_all_couplings(D: np.ndarray) -> None:
    expected = min(max(D[cell] for cell in way) for way in couplings(*D.shape))
    assert discrete_frechet(D) == expected


@given(D=distances)
def test_it_is_symmetric_and_the_same_backwards(D: np.ndarray) -> None:
    assert discrete_frechet(D) == discrete_frechet(D.T) == discrete_frechet(D[::-1, ::-1])


@given(D=distances)
def test_its_bounds(D: np.ndarray) -> None:
    """No less than either end, than any point's way to the nearest of the other; no more than the largest."""
    least = max(D[0, 0], D[-1, -1], D.min(axis=0).max(), D.min(axis=1).max())
    assert least <= discrete_frechet(D) <= D.max()


@given(D=distances, data=st.data())
def test_a_repeated_checkpoint_changes_nothing(D: np.ndarray, data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(D) - 1))
    assert discrete_frechet(np.insert(D, row, D[row], axis=0)) == discrete_frechet(D)


def test_of_a_trajectory_with_itself_it_is_0() -> None:
    places = np.random.default_rng(0).normal(size=(9, 3))
    D = np.square(places[:, None] - places).sum(axis=-1)
    assert discrete_frechet(D) == 0
    assert discrete_frechet(D[:, ::-1]) >= D[0, -1]  # it goes along the trajectory, not to the nearest point


@pytest.mark.parametrize(
    ("D", "message"), [([1.0], "matrix"), (np.empty((0, 3)), "matrix"), ([[np.nan]], "finite"), ([[np.inf]], "finite")]
)
def test_wrong_input(D: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        discrete_frechet(D)
