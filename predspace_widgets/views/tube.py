"""How far does training stray from the shortest path from ignorance to truth?"""

from __future__ import annotations

from predspace_widgets.views.marks import Mark, head
from predspace_widgets.views.style import axis, common_layout
from predspace_widgets.views.summary import COUNTS, Clause
from predspace_widgets.views.view import CheckpointView

# The distance is to the point at this progress, whatever else progress is counted by elsewhere.
_PLACE = {"x": "progress bhattacharyya", "y": "tube distance"}
_HOVER = "<b>%{fullData.name}</b><br>at progress %{x:.3f}: %{y:.3f}<extra></extra>"

VIEW = CheckpointView(
    name="tube",
    place=45,
    deck="below left",
    tab="Tube",
    title="Distance to the shortest path",
    needs_predictions=True,
    how_to_read=(
        "How far each network is from the nearest point of the shortest path from ignorance (0) to truth (1). "
        "Thin: runs; thick: mean of seeds."
    ),
    marks=(
        Mark(
            role="runs",
            table="checkpoints",
            place=_PLACE,
            trace={
                "type": "scatter",
                "mode": "lines",
                "line": {"color": "@pale", "width": 1},
                "name": "@name",
                "hovertemplate": _HOVER,
            },
        ),
        Mark(
            role="mean",
            table="means",
            place=_PLACE,
            trace={
                "type": "scatter",
                "mode": "lines",
                "line": {"color": "@color", "width": 2.5, "dash": "@dash"},
                "name": "@name",
                "hovertemplate": _HOVER,
            },
        ),
        head(_PLACE),
    ),
    layouts=(
        (
            {},
            common_layout(
                xaxis=axis("", column="progress bhattacharyya", range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1]),
                yaxis=axis("", column="tube distance", rangemode="tozero"),
                meta={"cursors": [{"axis": "x", "at": "progress bhattacharyya"}]},
            ),
        ),
    ),
    table="checkpoints",
    columns=("step", "epoch", "progress bhattacharyya", "tube distance"),
    summary=(
        COUNTS,
        Clause(
            "“{curve}” strays furthest from the shortest path, by {value}", "means", "tube distance", take="highest"
        ),
        Clause("“{curve}” ends nearest to it, at {value}", "means", "tube distance", take="lowest end"),
    ),
)
