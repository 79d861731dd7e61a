"""The distance between two curves at equal progress."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import xarray as xr

from predspace_widgets.views.style import INK, axis, new_figure

TITLE = "At equal progress"
HOW_TO_READ = (
    "How differently the two predict when they have come equally far; d_traj is the area. Dotted: one seed against "
    "the others of its task, the floor that chance makes."
)


def comparison_figure(comparison: xr.Dataset, colors: Mapping[str, str]) -> go.Figure:
    """Draw the curve d_B(t) between two curves, and the floor between the seeds of each.

    Parameters
    ----------
    comparison : xarray.Dataset
        From `Analysis.comparison`.
    colors : mapping of curve name to colour

    Returns
    -------
    plotly.graph_objects.Figure
    """
    first, second = comparison.attrs["first"], comparison.attrs["second"]
    grid, distance = comparison["progress"].values, comparison["distance"].values
    figure = new_figure(
        xaxis=axis("progress from ignorance to truth", range=[0, 1]),
        yaxis=axis("Bhattacharyya<br>distance", range=[0, 1.5 * float(distance.max()) or 1.0]),  # room for the legend
        showlegend=True,
        legend={"x": 0.01, "y": 1.0, "bgcolor": "rgba(255, 255, 255, 0)", "font": {"size": 12.5}},
    )
    figure.add_trace(
        go.Scatter(
            x=grid,
            y=distance,
            mode="lines",
            line={"color": INK, "width": 3.5},
            fill="tozeroy",
            fillcolor="rgba(31, 41, 51, 0.08)",
            name=f"d_traj {comparison.attrs['d_traj']:.3f} over progress {grid[0]:.2f} to {grid[-1]:.2f}",
            hovertemplate=f"{first} | {second}<br>at progress %{{x:.2f}}: %{{y:.3f}}<extra></extra>",
            meta="distance",
        )
    )
    for side, curve in (("first", first), ("second", second)):
        if f"floor_{side}" not in comparison:
            continue
        floor = comparison[f"floor_{side}"]
        figure.add_trace(
            go.Scatter(
                x=floor[f"floor_progress_{side}"].values,
                y=floor.values,
                mode="lines",
                line={"color": colors[curve], "width": 3, "dash": "dot"},
                name=f"between seeds of {curve}",
                hovertemplate=f"between seeds of {curve}<br>at progress %{{x:.2f}}: %{{y:.3f}}<extra></extra>",
                meta=f"floor_{side}",
            )
        )
    return figure
