"""The octant: two predictions of one image among three classes on an eighth of the sphere, to be dragged about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from predspace_widgets.explorers.sharing import POLICY, for_script
from predspace_widgets.explorers.still import LastingWidget
from predspace_widgets.geometry.distance import bhattacharyya, great_circle, overlaps
from predspace_widgets.geometry.geodesic import geodesic
from predspace_widgets.geometry.probabilities import Array, as_probabilities, ignorance, truth
from predspace_widgets.trajectories.replacing import replacing
from predspace_widgets.views.style import FONT, INK, MUTED, PALETTE, short

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>The octant · predspace</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; padding: 8px; }}
h1 {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); margin: 0; }}
{style}
</style>
<main id="octant"><h1>Two predictions of one image</h1></main>
<noscript>This page draws its picture by a script, which this browser does not run.</noscript>
<script type="application/json" id="values">{values}</script>
<script type="module">
{module}
open(document.getElementById("octant"), JSON.parse(document.getElementById("values").textContent));
</script>
</html>
"""
_SCALE, _MARGIN = 190, 44  # of the still picture: the radius of the sphere and the room around it, in pixels


class NotAPredictionError(traitlets.TraitError, ValueError):
    """What was set is no prediction among three classes."""


class _Prediction(traitlets.TraitType):  # type: ignore[type-arg]
    """Three probabilities, as a list."""

    def validate(self, octant: Any, value: Any) -> list[float]:
        try:
            values = np.asarray(value, dtype=np.float64)
            if values.shape != (3,):
                raise ValueError(f"{self.name} must be 3 probabilities, of {', '.join(octant.classes)}, got {value!r}")
            as_probabilities(values[None], str(self.name))
        except (TypeError, ValueError) as error:
            raise NotAPredictionError(str(error)) from None
        return [float(one) for one in values]


def _text_of(ending: str) -> str:
    return files(__package__).joinpath(f"octant.{ending}").read_text(encoding="utf-8")


class Octant(LastingWidget):
    """Two predictions of one image among three classes, as points of an eighth of the unit sphere.

    The square roots of three probabilities are the coordinates of a point on the sphere (Ramesh et al. 2023,
    arXiv:2210.17011). In a notebook, as the last expression of a cell, it shows itself, and both points can be dragged
    or moved by arrow keys; overlap, distances and progress beside them are those of `predspace_widgets.geometry`.

    Parameters
    ----------
    first, second : sequence of 3 float
        Probabilities.
    classes : sequence of 3 str
        Names of the classes, all different.
    truth : str, optional
        The true class, one of `classes`; by default the first.
    path : array, shape (T, 3), optional
        Predictions one after the other, such as those of a training, which are drawn too.

    Attributes
    ----------
    first, second : list of 3 float
        Where the predictions are now; to be set, too.

    Raises
    ------
    ValueError
        No three probabilities, no three names, or no class of this name.

    Notes
    -----
    Where two predictions share no class, their distance d_B is infinite, and is shown so; `geometry.bhattacharyya` has
    its floor there, 20.7.

    Examples
    --------
    >>> octant = Octant(first=[0.8, 0.1, 0.1], second=[0.2, 0.6, 0.2], classes=["3", "5", "8"])
    >>> octant.second = [0.0, 1.0, 0.0]
    >>> octant.first = [0.8, 0.8, 0.1]  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    predspace_widgets.explorers.octant.NotAPredictionError: rows of first must sum to 1, one misses it by 0.7: ...
    """

    _esm = _text_of("js")
    _css = _text_of("css")
    first = _Prediction().tag(sync=True)
    second = _Prediction().tag(sync=True)
    classes: traitlets.List[str] = traitlets.List(read_only=True).tag(sync=True)
    truth = traitlets.Unicode(read_only=True).tag(sync=True)
    path: traitlets.List[list[float]] = traitlets.List(read_only=True).tag(sync=True)

    def __init__(
        self,
        first: Sequence[float] = (0.5, 0.4, 0.1),
        second: Sequence[float] = (0.1, 0.3, 0.6),
        *,
        classes: Sequence[str] = ("A", "B", "C"),
        truth: str | None = None,
        path: ArrayLike | None = None,
    ) -> None:
        names = [str(name) for name in classes]
        if len(names) != 3 or len(set(names)) != 3:
            raise ValueError(f"an octant has three classes of different names, got {', '.join(names) or 'none'}")
        true = names[0] if truth is None else str(truth)
        if true not in names:
            raise ValueError(f"no class {true!r}: there are {', '.join(names)}")
        steps = np.empty((0, 3)) if path is None else as_probabilities(path, "path")
        if steps.ndim != 2 or steps.shape[1] != 3:
            raise ValueError(f"path must have shape (T, 3), got {steps.shape}")
        # Before all else: what is wrong with a prediction is said with the names of the classes.
        self.set_trait("classes", names)
        self.set_trait("truth", true)
        self.set_trait("path", steps.tolist())
        super().__init__(first=first, second=second)

    def save(self, path: str | Path) -> Path:
        """Write one HTML file that holds the octant as it is now: it works without Python and without a network.

        Parameters
        ----------
        path : str or Path
            Replaced if it is there, when the new file is complete.

        Returns
        -------
        Path
        """
        path = Path(path)
        values = {name: getattr(self, name) for name in ("first", "second", "classes", "truth", "path")}
        page = _PAGE.format(policy=POLICY, style=self._css, module=self._esm, values=for_script(json.dumps(values)))
        with replacing(path) as new:
            new.write_text(page, encoding="utf-8")
        return path

    def _still(self) -> str:
        return _still(self)


# -- what stays of it without a script --------------------------------------------------------------------------------


def _still(octant: Octant) -> str:
    """Both predictions, the geodesic and the straight mixture between them as an SVG, and the distances as text."""
    points = as_probabilities([octant.first, octant.second])  # (2, 3)
    true = octant.classes.index(octant.truth)
    times = np.linspace(0, 1, 33)
    first, second = points[:1], points[1:]
    straight = (1 - times[:, None]) * first + times[:, None] * second  # (33, 3)
    corners = np.eye(3)
    edges = [geodesic(corners[[c]], corners[[c - 1]], times)[:, 0] for c in range(3)]
    to_truth = geodesic(ignorance(1, 3), truth([true], 3), times)[:, 0]
    parts = [_line(edge, true, MUTED, 'stroke-width="1.5"') for edge in edges]
    parts.append(_line(to_truth, true, MUTED, 'stroke-dasharray="2 4"'))
    parts.append(_line(np.reshape(octant.path, (-1, 3)), true, MUTED, 'stroke-width="1"'))
    parts.append(_line(straight, true, INK, 'stroke-width="2" stroke-dasharray="7 4"'))
    parts.append(_line(geodesic(first, second, times)[:, 0], true, INK, 'stroke-width="3"'))
    [(x, y)] = _placed(ignorance(1, 3), true)
    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{MUTED}"/>')
    for c, (x, y) in enumerate(_placed(corners, true)):
        name = escape(short(octant.classes[c], 16))
        text = f"★ {name}, the truth" if c == true else name
        parts.append(f'<text x="{x:.1f}" y="{y - 10 if c == true else y + 24:.1f}" fill="{INK}">{text}</text>')
    for number, (x, y) in enumerate(_placed(points, true)):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="10" fill="{PALETTE[number]}"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 5:.1f}" fill="white">{number + 1}</text>')
    width, height = 2 * (_SCALE + _MARGIN), round(1.45 * _SCALE) + 2 * _MARGIN
    box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    style = f"background: white; max-width: 100%; font: 14px {FONT}; text-anchor: middle".replace('"', "'")
    said = escape(_said(octant))
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{said}" {box} '
    drawing += f'style="{style}">{"".join(parts)}</svg>'
    return f"{drawing}<p>{said} Run this cell to move them.</p>"


def _said(octant: Octant) -> str:
    p, q = ([values] for values in (octant.first, octant.second))
    names = ", ".join(octant.classes)
    numbers = [", ".join(f"{value:.2f}" for value in values) for values in (octant.first, octant.second)]
    overlap = float(overlaps(p, q)[0])
    distance = f"{float(bhattacharyya(p, q)):.3f}" if overlap > 0 else "∞"
    return (
        f"Two predictions of {names}: 1 is {numbers[0]}; 2 is {numbers[1]}. "
        f"Overlap {overlap:.3f}, d_B {distance}, d_G {float(great_circle(p, q)):.3f}."
    )


def _line(probs: Array, true: int, color: str, look: str) -> str:
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in _placed(probs, true))
    return f'<polyline points="{corners}" fill="none" stroke="{color}" {look}/>'


def _placed(probs: Array, true: int) -> Array:
    """Places (n, 2) of predictions (n, 3) in pixels: the sphere seen from ignorance, the truth on top, as octant.js."""
    place = np.arange(3) - true
    up = np.where(place == 0, 2, -1) / np.sqrt(6)
    right = np.array([0, -1, 1])[place % 3] / np.sqrt(2)
    return _MARGIN + _SCALE * (np.sqrt(probs) @ np.stack([right, -up], axis=1) + [1.0, 0.95])
