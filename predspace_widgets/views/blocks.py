"""Blocks: what a card shows that is more than one figure, as plain data; stage/blocks.js draws them.

A text of a block is a text on the page, whatever stands in it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.views.marks import Figure

#: A plain dict with a "kind": facts, links, figure, samples or text.
Block = dict[str, Any]
#: A link: what it says, and what is chosen where it is clicked.
Link = tuple[str, Mapping[str, Any]]

# Thumbnails are sent in so many pixels a side, at most.
_MOST_PIXELS = 64


def facts(title: str, rows: Sequence[tuple[str, str]], links: Sequence[Link] = ()) -> Block:
    """Names and values, one below another, and links beside the title.

    Examples
    --------
    >>> facts("digits", [("epoch", "3")])["rows"]
    [('epoch', '3')]
    """
    return {"kind": "facts", "title": title, "rows": list(rows), "links": _links(links)}


def links(title: str, several: Sequence[Link]) -> Block:
    """Ways on, one beside another."""
    return {"kind": "links", "title": title, "links": _links(several)}


def text(words: str) -> Block:
    """A sentence."""
    return {"kind": "text", "text": words}


def figure(title: str, drawn: Figure, height: int) -> Block:
    """A plotly figure, of a height in pixels."""
    return {"kind": "figure", "title": title, "figure": drawn, "height": height}


def samples(title: str, several: Sequence[Mapping[str, Any]], sides: Sequence[str] = ()) -> Block:
    """Samples with their images and bars.

    Parameters
    ----------
    title : str
    several : sequence of mappings
        `name`, `note`, `image` (of `thumbnail`, or None), `bars` (class, then a share for each side) and `choices`,
        what is chosen where it is clicked.
    sides : sequence of str
        What the bars of each class stand for.
    """
    return {"kind": "samples", "title": title, "samples": list(several), "sides": list(sides)}


def thumbnail(image: NDArray[np.uint8]) -> dict[str, Any]:
    """An image (row, column[, channel]) to be sent: its shape, and its pixels in base64.

    Examples
    --------
    >>> thumbnail(np.zeros((2, 2), dtype=np.uint8))
    {'shape': [2, 2, 1], 'pixels': 'AAAAAA=='}
    """
    step = -(-max(image.shape[:2]) // _MOST_PIXELS)
    small = image[::step, ::step]
    small = small[..., None] if small.ndim == 2 else small
    return {"shape": list(small.shape), "pixels": base64.b64encode(np.ascontiguousarray(small).tobytes()).decode()}


def _links(several: Sequence[Link]) -> list[dict[str, Any]]:
    return [{"text": says, "choices": dict(choices)} for says, choices in several]
