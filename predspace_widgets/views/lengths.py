"""How long was the way of each run?"""

from __future__ import annotations

from predspace_widgets.views.marks import Mark
from predspace_widgets.views.style import INK, axis, common_layout
from predspace_widgets.views.summary import COUNTS, Clause
from predspace_widgets.views.view import CheckpointView

VIEW = CheckpointView(
    name="lengths",
    place=40,
    deck="right top",
    tab="Lengths",
    title="Riemann length",
    needs_predictions=True,
    how_to_read="How long the way was. Bar: mean of seeds; dots: runs.",
    marks=(
        Mark(
            role="mean",
            table="curves",
            place={"x": "length", "y": "place"},
            trace={
                "type": "bar",
                "orientation": "h",
                "marker": {"color": "@faint"},
                "name": "@name",
                "hovertemplate": "<b>%{fullData.name}</b><br>mean %{x:.3g}<extra></extra>",
            },
        ),
        Mark(
            role="runs",
            table="runs",
            place={"x": "length", "y": "place"},
            trace={
                "type": "scatter",
                "mode": "markers",
                "marker": {"color": "@color", "size": 7, "line": {"color": "white", "width": 1}},
                "name": "@name",
                "hovertemplate": "<b>%{fullData.name}</b>, seed %{customdata[0]}<br>%{x:.3g}<extra></extra>",
            },
            hover=("seed",),
        ),
        Mark(
            role="beyond",
            table="beyond",
            place={"x": "reach", "y": "place", "text": "text"},
            trace={
                "type": "scatter",
                "mode": "text",
                "textposition": "middle left",
                "textfont": {"size": 11, "color": INK},
                "hoverinfo": "skip",
                "name": "past the axis",
            },
        ),
    ),
    layouts=(
        (
            {},
            common_layout(
                xaxis=axis("", column="length", rangemode="tozero"),
                yaxis=axis("", column="place", showgrid=False) | {"tickfont": {"size": 11}, "ticklabelstandoff": 4},
                bargap=0.3,
                barmode="overlay",
                margin={"l": 62, "r": 12, "t": 4, "b": 40},
                meta={"row_height": 16},
            ),
        ),
    ),
    table="runs",
    columns=("length", "n_checkpoints", "first step", "last step"),
    facts=("beyond", "schedule"),
    summary=(
        COUNTS,
        Clause("the mean way of “{curve}” is the longest, {value}", "curves", "length", take="highest"),
        Clause("that of “{curve}” the shortest, {value}", "curves", "length", take="lowest"),
    ),
)
