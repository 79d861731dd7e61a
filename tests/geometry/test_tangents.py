"""Tangents: exact on geodesics, at right angles to the radius, and the derivative of smooth trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from predspace_widgets.geometry import angles, geodesic
from predspace_widgets.geometry.tangents import tangents_of
from tests.geometry.strategies import points

GRID = np.linspace(0.2, 0.9, 8)


@given(P=points(count=2))
def test_on_a_geodesic_each_sample_turns_at_one_speed(P: np.ndarray) -> None:
    turn = tangents_of(geodesic(P[0], P[1], (GRID - 0.2) / 0.7), GRID)
    expected = np.broadcast_to(angles(P[0], P[1]) / 0.7, (len(GRID), P.shape[1]))
    np.testing.assert_allclose(np.linalg.norm(turn, axis=-1), expected, rtol=1e-6, atol=2e-7)


@given(P=points(count=4))
def test_they_are_at_right_angles_to_the_radius(P: np.ndarray) -> None:
    radial = (tangents_of(P, [0.0, 0.1, 0.2, 0.3]) * np.sqrt(P)).sum(axis=-1)
    np.testing.assert_allclose(radial, 0, rtol=0, atol=1e-7)


def turning(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A trajectory on one sphere of three classes that is no geodesic, and the derivative of its roots."""
    a, b = 0.3 + times, 0.5 + 0.4 * times**2
    x = np.stack([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), np.sin(b)], axis=-1)
    of_a = np.stack([-np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), 0 * b], axis=-1)
    of_b = np.stack([-np.cos(a) * np.sin(b), -np.sin(a) * np.sin(b), np.cos(b)], axis=-1)
    return np.square(x)[:, None], (of_a + 0.8 * times[:, None] * of_b)[:, None]


def test_it_is_the_derivative_to_second_order() -> None:
    errors = []
    for n in (11, 21, 41):
        times = np.linspace(0, 1, n)
        P, derivative = turning(times)
        errors.append(np.abs(tangents_of(P, times) - derivative)[1:-1].max())
    assert errors[2] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)


def test_backwards_it_is_the_opposite_and_several_go_side_by_side() -> None:
    P, _ = turning(np.linspace(0, 1, 6))
    grid = np.linspace(0, 1, 6)
    both = tangents_of(np.stack([P, P[::-1]]), grid)
    np.testing.assert_allclose(both[0], tangents_of(P, grid), rtol=1e-14)
    np.testing.assert_allclose(both[1], -both[0][::-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("P", "grid", "message"),
    [
        (np.full((1, 1, 2), 0.5), [0.0], "at least two"),
        (np.full((3, 1, 2), 0.5), [0.0, 1.0], "K values of t"),
        (np.full((3, 1, 2), 0.5), [0.0, 0.1, 1.0], "equal steps"),
        (np.full((2, 1, 2), 0.5), [1.0, 0.0], "must rise"),
    ],
)
def test_wrong_input(P: np.ndarray, grid: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tangents_of(P, grid)
