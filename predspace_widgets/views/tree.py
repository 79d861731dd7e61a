"""The tree of tasks, drawn: leaves from top to bottom, merges at their distance, beside them their support."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from predspace_widgets.views.marks import Figure
from predspace_widgets.views.style import INK, MUTED, axis, common_layout, percent, plain, short

_LETTERS = 28  # of a name
_MOST_WRITTEN = 26  # leaves; of more, supports stand in tips alone


def tree_figure(tree: xr.Dataset) -> Figure:
    """Draw a tree with the support of its splits.

    Parameters
    ----------
    tree : xarray.Dataset
        From `predspace_widgets.analysis.tree.tree`.

    Returns
    -------
    dict
        A plotly figure: `plotly.graph_objects.Figure(tree_figure(tree))`.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> figure = tree_figure(random_trajectories().predspace.tree(of="end", n_draws=100))
    >>> figure["layout"]["yaxis"]["ticktext"], figure["data"][1]["text"]
    (['blue', 'red', 'green'], ['98%'])
    """
    order, linked = tree["order"].values, tree["linkage"].values
    height = dict(zip(order.tolist(), range(len(order)), strict=True))  # of each node: leaves, then merges
    at = dict.fromkeys(order.tolist(), 0.0)
    lines: tuple[list[float | None], list[float | None]] = ([], [])
    for node, (first, second, distance, _) in enumerate(linked.tolist(), start=len(order)):
        one, other = int(first), int(second)
        lines[0].extend([at[one], distance, distance, at[other], None])
        lines[1].extend([height[one], height[one], height[other], height[other], None])
        height[node], at[node] = (height[one] + height[other]) / 2, distance  # type: ignore[assignment]
    splits = range(len(order), len(order) + len(linked) - 1)  # not the root, which every tree has
    support = tree["support"].values
    known = [node for node in splits if np.isfinite(support[node - len(order)])]
    shares = [percent(support[node - len(order)]) for node in known]
    names = tree["leaf"].values[order].tolist()
    marks: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers+text" if len(order) <= _MOST_WRITTEN else "markers",
        "x": [at[node] for node in known],
        "y": [height[node] for node in known],
        "text": shares,
        "textposition": "top right",
        "textfont": {"size": 11, "color": MUTED},
        "marker": {"size": 6, "color": INK},
        "hovertext": [_said(tree, node - len(order)) for node in known],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "name": "support",
    }
    branches = {
        "type": "scatter",
        "mode": "lines",
        "x": lines[0],
        "y": lines[1],
        "line": {"color": INK, "width": 1.5},
        "hoverinfo": "skip",
        "name": "tree",
    }
    ticks = {"tickmode": "array", "tickvals": list(range(len(order))), "showgrid": False}
    ticks["range"] = [len(order) - 0.5, -0.5]  # the first at the top
    layout = common_layout(
        xaxis=axis("distance at which they merge, d_B", range=[0, 1.05 * float(linked[:, 2].max()) or 1.0]),
        yaxis=axis("", ticktext=[plain(short(name, _LETTERS)) for name in names], **ticks),
    )
    return {"data": [branches, marks], "layout": layout}


def _said(tree: xr.Dataset, merge: int) -> str:
    """What the tip says of a split."""
    leaves = ", ".join(plain(name) for name in tree["leaf"].values[tree["is_under"].values[merge]])
    return f"in {percent(float(tree['support'].values[merge]))} of draws together:<br>{leaves}"
