"""Colours, fonts and the layout that all figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK = "#1f2933"
MUTED = "#6b7785"
GRID = "#e4e8ee"

# Okabe and Ito's colours without the yellow, which vanishes on white; then Tol's muted ones. Safe for the colour-blind.
_PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"),
    *("#882255", "#44AA99", "#332288", "#999933", "#AA4499", "#117733"),
)
#: For values along a scale: perceptually even, and safe for the colour-blind.
COLOR_SCALE = "Cividis"


def curve_colors(names: Sequence[str]) -> dict[str, str]:
    """One colour for each curve of a dataset, by its place in the dataset: the same in every view.

    Examples
    --------
    >>> curve_colors(["all", "even"])
    {'all': '#0072B2', 'even': '#D55E00'}
    """
    return {name: _PALETTE[number % len(_PALETTE)] for number, name in enumerate(names)}


def faint(color: str, opacity: float) -> str:
    """A colour '#rrggbb' with an opacity, for plotly.

    Examples
    --------
    >>> faint("#0072B2", 0.2)
    'rgba(0, 114, 178, 0.2)'
    """
    red, green, blue = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def tint(color: str, share: float) -> str:
    """A colour '#rrggbb' mixed with white, of which it is a share: 3-D lines draw their opacity wrongly.

    Examples
    --------
    >>> tint("#0072B2", 0.5)
    '#80b8d8'
    """
    parts = (int(color[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(255 - share * (255 - part)):02x}" for part in parts)


def percent(share: float) -> str:
    """A share for people: '81%', '0.4%'.

    Examples
    --------
    >>> percent(0.808), percent(0.004)
    ('81%', '0.4%')
    """
    return f"{share:.0%}" if share >= 0.095 or share == 0 else f"{share:.1%}"


def new_figure(**layout: Any) -> go.Figure:
    """An empty figure in the common style; zoom and camera survive its replacement (constant `uirevision`)."""
    figure = go.Figure()
    figure.update_layout(
        template="none",
        font={"family": FONT, "size": 14, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 62, "r": 14, "t": 8, "b": 44},
        hoverlabel={"font": {"family": FONT, "size": 14}},
        uirevision="keep",
        autosize=True,
        showlegend=False,
    )
    figure.update_layout(**layout)
    return figure


def axis(title: str, **options: Any) -> dict[str, Any]:
    """A plain axis with a title, light grid lines and no box."""
    return {
        "title": {"text": title, "font": {"size": 14}, "standoff": 8},
        "tickfont": {"size": 12.5},
        "gridcolor": GRID,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "nticks": 6,
        "automargin": True,
        **options,
    }


class EpochScale:
    """A logarithmic scale of epochs with room for epoch 0: much happens in the first steps, and little later.

    Parameters
    ----------
    epochs : array
        All epochs that are drawn.

    Examples
    --------
    >>> EpochScale(np.array([0.0, 0.1, 1.0, 10.0])).ticktext
    ['0', '0.3', '1', '3', '10']
    """

    def __init__(self, epochs: np.ndarray) -> None:
        self._unit = epochs[epochs > 0].min(initial=1.0)
        ticks = [0.0] + [digit * 10.0**power for power in range(-3, 6) for digit in (1, 3)]
        room = [tick for tick in ticks if tick == 0 or tick >= 2 * self._unit]
        shown = np.array([tick for tick in room if epochs.min() <= tick <= epochs.max()])
        self.tickvals = self(shown).tolist()
        self.ticktext = [f"{tick:g}" for tick in shown]

    def __call__(self, epochs: np.ndarray) -> np.ndarray:
        """Places of epochs on the scale."""
        return np.log1p(epochs / self._unit)
