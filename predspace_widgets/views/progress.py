"""How far has each curve come at each epoch?"""

from __future__ import annotations

from predspace_widgets.views.marks import Mark, head
from predspace_widgets.views.style import axis, common_layout
from predspace_widgets.views.summary import COUNTS, Clause
from predspace_widgets.views.view import PROGRESS_METRIC, CheckpointView

_PROGRESS = "progress {progress_metric}"
_SEEDS = (f"low {_PROGRESS}", f"high {_PROGRESS}", "n_seeds")

VIEW = CheckpointView(
    name="progress",
    place=20,
    deck="below left",
    tab="Progress",
    title="Progress along training",
    needs_predictions=True,
    how_to_read=(
        "Where on the shortest path from ignorance (0) to truth (1) the nearest point lies. Line: mean of seeds; "
        "band: lowest to highest."
    ),
    controls=(PROGRESS_METRIC,),
    marks=(
        Mark(
            role="band",
            table="means",
            kind="band",
            place={"x": "log epoch", "low": _SEEDS[0], "high": _SEEDS[1]},
            trace={
                "type": "scatter",
                "mode": "lines",
                "fill": "toself",
                "fillcolor": "@faint",
                "line": {"width": 0},
                "hoverinfo": "skip",
                "name": "@name",
            },
        ),
        Mark(
            role="mean",
            table="means",
            place={"x": "log epoch", "y": _PROGRESS},
            trace={
                "type": "scatter",
                "mode": "lines",
                "line": {"color": "@color", "width": 2.5, "dash": "@dash"},
                "name": "@name",
                "hovertemplate": (
                    "<b>%{fullData.name}</b><br>epoch %{customdata[0]:.3g}: %{y:.3f}<br>"
                    "%{customdata[1]:.3f} to %{customdata[2]:.3f} over %{customdata[3]} seeds<extra></extra>"
                ),
            },
            hover=("epoch", *_SEEDS),
        ),
        head({"x": "log epoch", "y": _PROGRESS}),
    ),
    layouts=(
        (
            {},
            common_layout(
                xaxis=axis("", column="log epoch"),
                yaxis=axis("", column=_PROGRESS, range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1]),
                meta={"cursors": [{"axis": "x", "at": "log epoch"}, {"axis": "y", "at": _PROGRESS}]},
            ),
        ),
    ),
    table="means",
    columns=("step", "epoch", _PROGRESS, *_SEEDS),
    summary=(
        COUNTS,
        Clause("“{curve}” ends furthest, at progress {value}", "means", _PROGRESS, take="highest end"),
        Clause("“{curve}” least far, at {value}", "means", _PROGRESS, take="lowest end"),
    ),
)
