"""Colours, dashes, fonts and the layout that all figures share; names from data as plain text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"
INK = "#1f2933"
MUTED = "#6b7785"
GRID = "#e4e8ee"

#: Okabe and Ito's colours without the yellow, which vanishes on white, then Tol's muted ones. The colour-blind can tell
#: those of one set apart, but not of both: so the second set has another dash, too.
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"),
    *("#882255", "#44AA99", "#332288", "#999933", "#AA4499", "#117733"),
)
#: How many of them are of the first set.
N_FIRST = 7
#: What plotly draws in two and in three dimensions.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
#: For values along a scale: perceptually even, and safe for the colour-blind.
COLOR_SCALE = "Cividis"

# An empty template: for none at all, `go.Figure` would take plotly's own.
_NO_TEMPLATE = {"data": {"scatter": [{"type": "scatter"}]}}


@dataclass(frozen=True)
class Style:
    """How the lines of a curve are drawn: a colour '#rrggbb' and one of `DASHES`."""

    color: str
    dash: str = "solid"


def curve_styles(
    pairs: Sequence[tuple[str, ...]], coordinates: Sequence[str] = ("task", "method", "source")
) -> tuple[list[Style], str]:
    """A style for each curve of a dataset by its place in it, so that a choice of curves changes no style.

    Parameters
    ----------
    pairs : sequence of (task, method, ...)
        All curves of the dataset, in its order.
    coordinates : sequence of str
        What the parts are called, for the sentence.

    Returns
    -------
    styles : list of Style
        One for each curve. Up to 13 curves have a colour each, from the eighth on with a dash. Of more, the colour
        tells the task and the dash the method, or the other way round. Where curves have a source, or what else tells
        them apart, that is the dash, and the colour tells task and method, if there are not too many. Where nothing
        suffices, colours come again with other dashes.
    meaning : str
        One sentence on what colour and dash mean; empty where each curve has its colour.

    Examples
    --------
    >>> curve_styles([("all", "supervised"), ("even", "supervised")])
    ([Style(color='#0072B2', dash='solid'), Style(color='#D55E00', dash='solid')], '')
    >>> curve_styles([("all", "supervised", "mine"), ("all", "supervised", "theirs")])[1]
    'A colour is a task, a dash a source.'
    """
    n_colors, n_dashes, n_curves = len(PALETTE), len(DASHES), len(pairs)
    if n_curves <= n_colors and len(pairs[0]) == 2:
        return [next_style(place) for place in range(n_curves)], ""
    several_methods = len({key[1] for key in pairs}) > 1
    words = ["task and method" if several_methods else "task", " and ".join(coordinates[2 : len(pairs[0])])]
    if len(pairs[0]) == 2:
        words = ["task", "method"]
    parts = [(key[0], key[1]) if len(key) == 2 else (key[:2], key[2:]) for key in pairs]
    firsts, seconds = (list(dict.fromkeys(values)) for values in zip(*parts, strict=True))
    if len(firsts) <= n_colors and len(seconds) <= n_dashes:
        places = [(firsts.index(first), seconds.index(second)) for first, second in parts]
        meaning = f"A colour is a {words[0]}, a dash a {words[1]}."
    elif len(seconds) <= n_colors and len(firsts) <= n_dashes:
        places = [(seconds.index(second), firsts.index(first)) for first, second in parts]
        meaning = f"A colour is a {words[1]}, a dash a {words[0]}."
    elif n_curves <= n_colors:
        return [next_style(place) for place in range(n_curves)], ""
    else:
        styles = [next_style(place) for place in range(n_curves)]
        meaning = "Colours come again with other dashes: both together tell a curve."
        if n_curves > n_colors * n_dashes:
            meaning = f"Some curves look alike: {n_curves} share {n_colors * n_dashes} pairs of a colour and a dash."
        return styles, meaning
    return [Style(PALETTE[color], DASHES[dash]) for color, dash in places], meaning


def next_style(place: int) -> Style:
    """A style by the place of a curve among others, where colours mean nothing else.

    Examples
    --------
    >>> next_style(1), next_style(7), next_style(14)
    (Style(color='#D55E00', dash='solid'), Style(color='#882255', dash='dash'), Style(color='#D55E00', dash='dash'))
    """
    times, color = divmod(place, len(PALETTE))
    return Style(PALETTE[color], DASHES[(times + (color >= N_FIRST)) % len(DASHES)])


def plain(text: object) -> str:
    """A name from data for plotly, which shows it letter by letter.

    plotly reads tags and entities in names, titles and hover texts, templates `%{...}` in names, and TeX between
    dollars.

    Examples
    --------
    >>> plain("<b>odd & even</b>"), plain("%{x} costs $1$")
    ('&lt;b&gt;odd &amp; even&lt;/b&gt;', '&#37;{x} costs &#36;1&#36;')
    """
    return escape(str(text), quote=False).replace("%", "&#37;").replace("$", "&#36;")


def short(name: str, most: int = 28) -> str:
    """A long name with its middle left out.

    Examples
    --------
    >>> short("even"), short("a name of more than twenty-eight letters")
    ('even', 'a name of more…eight letters')
    """
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - most // 2 + 1 :]}"


def short_names(names: Sequence[str], most: int = 28) -> list[str]:
    """Names that tell each other apart, with no more letters than need be where some are long.

    Parameters
    ----------
    names : sequence of str
        Labels of curves or runs, all different.
    most : int
        Letters of a name.

    Returns
    -------
    list of str
        As they are where none is longer. Else without the parts between "·", "@" and "/" that all share, and then
        without those that most share, but for the first, until all fit or two would be the same. What is too long still
        has its middle left out, and a number where that would be the same as another.

    Examples
    --------
    >>> short_names(["even", "odd · simclr"], most=12)
    ['even', 'odd · simclr']
    >>> short_names(["digits @ cnn · sgd · none", "digits @ cnn · adam · none", "digits @ mlp · sgd · none"], most=12)
    ['cnn · sgd', 'cnn · adam', 'mlp · sgd']
    """
    if max(map(len, names), default=0) <= most:
        return list(names)
    shorter = _without_common_parts(names, most)
    cut = [short(name, most) for name in shorter]
    times = Counter(cut)
    place = Counter[str]()
    for n, name in enumerate(cut):
        if times[name] > 1:
            place[name] += 1
            cut[n] = f"{name} {place[name]}"
    return cut


def names_on_axis(names: Sequence[str], most: int, *, after: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """Names along an axis as they fit into a small card, and as they are shown where there is more room.

    Parameters
    ----------
    names : sequence of str
        Labels of curves or runs, all different.
    most : int
        Letters of a name in a small card.
    after : sequence of str
        What stands behind each name.

    Returns
    -------
    ticktext : list of str
    roomier : list of list of str
        The same with more letters, and whole: for `layout["meta"]["names"]`, by the letter of the axis.

    Examples
    --------
    >>> names_on_axis(["odd", "a name of more than twenty-eight letters"], 12, after=[" 1", " 2"])[0]
    ['odd 1', 'a name…tters 2']
    """
    ends = after or [""] * len(names)
    short_, *roomier = (
        [f"{plain(name)}{end}" for name, end in zip(some, ends, strict=True)]
        for some in (short_names(names, most), short_names(names), names)
    )
    return short_, roomier


def _without_common_parts(names: Sequence[str], most: int) -> list[str]:
    rows = [re.split(r" · | @ |/", name) for name in names]
    if len({len(row) for row in rows}) > 1:
        return list(names)
    usual = [Counter(column).most_common(1)[0] for column in zip(*rows, strict=True)]  # (value, how often), by part
    left = [part for part, (_, times) in enumerate(usual) if times < len(names)]  # what all share goes
    can_go = sorted(left[1:], key=lambda part: usual[part][1])  # the first is what a name begins with

    def without(gone: set[int]) -> list[str]:
        return [" · ".join(row[k] for k in left if k not in gone or row[k] != usual[k][0]) for row in rows]

    gone: set[int] = set()
    while can_go and max(map(len, without(gone))) > most and len(set(without({*gone, can_go[-1]}))) == len(names):
        gone.add(can_go.pop())
    return without(gone)


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


def common_layout(**layout: Any) -> dict[str, Any]:
    """A plotly layout in the common style; zoom and camera survive a new figure, since `uirevision` is constant.

    Examples
    --------
    >>> common_layout(showlegend=True)["showlegend"]
    True
    """
    return {
        "template": _NO_TEMPLATE,
        "font": {"family": FONT, "size": 14, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 54, "r": 12, "t": 6, "b": 38},
        "hoverlabel": {"font": {"family": FONT, "size": 14}},
        "uirevision": "keep",
        "autosize": True,
        "showlegend": False,
        **layout,
    }


def axis(title: str, **options: Any) -> dict[str, Any]:
    """A plain axis with a title, light grid lines and no box."""
    return {
        "title": {"text": title, "font": {"size": 13}, "standoff": 6},
        "tickfont": {"size": 12},
        "ticklabelstandoff": 3,  # else the zeros of two axes touch
        "gridcolor": GRID,
        "zeroline": False,
        "showline": False,
        "ticks": "",
        "nticks": 6,
        "automargin": True,
        **options,
    }


def color_bar(title: str) -> dict[str, Any]:
    """A scale of colours as high as the matrix beside it, with its title along it."""
    return {
        "title": {"text": title, "side": "right", "font": {"size": 11}},
        "thickness": 10,
        "len": 1.0,
        "nticks": 5,
        "outlinewidth": 0,
        "tickfont": {"size": 11},
    }


class EpochScale:
    """A logarithmic scale of epochs with room for epoch 0: much happens in the first steps, and little later.

    Parameters
    ----------
    epochs : array
        All epochs that are drawn.

    Attributes
    ----------
    unit : float
        The first epoch after 0, and at most 1: the scale is log(1 + epoch / unit).

    Examples
    --------
    >>> EpochScale(np.array([0.0, 0.1, 1.0, 10.0])).ticktext
    ['0', '0.3', '1', '3', '10']
    """

    def __init__(self, epochs: np.ndarray) -> None:
        self.unit = epochs[epochs > 0].min(initial=1.0)
        ticks = [0.0] + [digit * 10.0**power for power in range(-3, 6) for digit in (1, 3)]
        room = [tick for tick in ticks if tick == 0 or tick >= 2 * self.unit]
        shown = np.array([tick for tick in room if epochs.min() <= tick <= epochs.max()])
        self.tickvals = self(shown).tolist()
        self.ticktext = [f"{tick:g}" for tick in shown]

    def __call__(self, epochs: np.ndarray) -> np.ndarray:
        """Places of epochs on the scale."""
        return np.log1p(epochs / self.unit)
