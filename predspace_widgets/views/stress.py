"""How much of the distances do the axes of the picture explain?"""

from __future__ import annotations

from predspace_widgets.views.marks import Mark
from predspace_widgets.views.style import INK, axis, common_layout, faint
from predspace_widgets.views.view import CheckpointView, Control

_SHARE, _EIGENVALUES = {"spectrum": ("share",)}, {"spectrum": ("eigenvalues",)}

VIEW = CheckpointView(
    name="stress",
    place=50,
    deck="right bottom",
    title="Explained stress",
    how_to_read="How much of all distances the first 1, 2, 3, … axes explain together; i: an imaginary axis.",
    readings=(
        (
            _EIGENVALUES,
            "How much each axis stretches the picture, on a logarithmic scale; open, i: an imaginary axis, which "
            "shortens distances.",
        ),
    ),
    controls=(
        Control("spectrum", "of each axis", (("share", "explained stress"), ("eigenvalues", "spectrum (logarithmic)"))),
    ),
    marks=(
        Mark(
            role="before",
            table="axes",
            place={"x": "name", "y": "before"},
            trace={"type": "bar", "marker": {"color": faint(INK, 0.18)}, "hoverinfo": "skip", "name": "axes before"},
            when=_SHARE,
        ),
        Mark(
            role="own",
            table="axes",
            place={"x": "name", "y": "stress", "text": "percent"},
            trace={
                "type": "bar",
                "marker": {"color": INK},
                "textposition": "outside",
                "cliponaxis": False,
                "name": "this axis",
                "hovertemplate": "axis %{x}: %{y:.1%} of stress<extra></extra>",
            },
            when=_SHARE,
        ),
        Mark(
            role="eigenvalue",
            table="spectrum",
            place={"x": "axis", "y": "magnitude", "marker.color": "fill", "text": "sign"},
            trace={
                "type": "scatter",
                "mode": "markers+text",
                "marker": {"size": 9, "line": {"color": INK, "width": 1.5}},
                "textposition": "top center",
                "cliponaxis": False,
                "name": "eigenvalue",
                "hovertemplate": "axis %{x}: %{y:.3g} %{text}<extra></extra>",
            },
            when=_EIGENVALUES,
        ),
    ),
    layouts=(
        (
            _EIGENVALUES,
            common_layout(
                margin={"l": 44, "r": 8, "t": 22, "b": 40},
                xaxis=axis("InPCA axis (open, i: imaginary)", showgrid=False, rangemode="tozero"),
                yaxis=axis("eigenvalue,<br>magnitude", type="log", tickformat="~g", nticks=4),
            ),
        ),
        (
            {},
            common_layout(
                barmode="stack",
                bargap=0.25,
                margin={"l": 44, "r": 8, "t": 22, "b": 40},
                xaxis=axis("number of InPCA axes", type="category", showgrid=False),
                yaxis=axis("", tickformat=".0%", range=[0, 1.0], nticks=3),
            ),
        ),
    ),
    table="axes",
    columns=("axis", "eigenvalue", "stress", "cumulative"),
    facts=("fitted",),
)
