"""How much of the centred distances do the axes of the picture explain?"""

from __future__ import annotations

from predspace_widgets.views.error_bars import OVER
from predspace_widgets.views.marks import Mark, When
from predspace_widgets.views.style import INK, PALETTE, axis, common_layout, faint
from predspace_widgets.views.summary import COUNTS, Clause
from predspace_widgets.views.view import CheckpointView, Control

_SHARE: When = {"spectrum": ("share",)}
_EIGENVALUES: When = {"spectrum": ("eigenvalues",)}
_SHARE_WITHOUT_BARS: When = {**_SHARE, "uncertainty": ("none",)}
_SHARE_WITH_BARS: When = {**_SHARE, "uncertainty": OVER}
_EIGENVALUES_WITH_BARS: When = {**_EIGENVALUES, "uncertainty": OVER}
_OWN = {
    "type": "bar",
    "marker": {"color": INK},
    "name": "this axis",
    "hovertemplate": "axis %{x}: %{y:.1%} of stress<extra></extra>",
}
_OUTSIDE = {"textposition": "outside", "cliponaxis": False}
_ABOVE = {"type": "scatter", "mode": "text", "textposition": "top center", "cliponaxis": False, "hoverinfo": "skip"}
_BAND = {
    "type": "scatter",
    "mode": "lines",
    "fill": "toself",
    "fillcolor": faint(PALETTE[1], 0.3),
    "line": {"color": PALETTE[1], "width": 1},
    "name": "95% of draws",
    "hoverinfo": "skip",
}
# A line for each axis: a band would strike through the numbers.
_WHISKERS = {
    "type": "scatter",
    "mode": "lines+markers",
    "line": {"color": PALETTE[1], "width": 2},
    "marker": {"symbol": "line-ew-open", "size": 9, "color": PALETTE[1], "line": {"width": 2}},
    "cliponaxis": False,
    "name": "95% of draws",
    "hoverinfo": "skip",
}

VIEW = CheckpointView(
    name="stress",
    place=50,
    deck="right bottom",
    title="Explained stress",
    how_to_read="How much of the centred distances the first 1, 2, 3, … axes explain together; i: an imaginary axis.",
    readings=(
        (_SHARE_WITH_BARS, "What the first axes explain together; i: imaginary."),
        (_EIGENVALUES_WITH_BARS, "How much each axis stretches; open, i: shortens."),
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
        Mark("own", "axes", {"x": "name", "y": "stress", "text": "percent"}, _OWN | _OUTSIDE, when=_SHARE_WITHOUT_BARS),
        Mark("own", "axes", {"x": "name", "y": "stress"}, _OWN, when=_SHARE_WITH_BARS),
        Mark("whiskers", "stress band", {"x": "name", "y": "end"}, _WHISKERS, each=False, when=_SHARE_WITH_BARS),
        Mark("percent", "axes", {"x": "name", "y": "top", "text": "percent"}, _ABOVE, when=_SHARE_WITH_BARS),
        Mark(
            role="band",
            table="spectrum band",
            place={"x": "axis", "low": "low", "high": "high"},
            trace=_BAND,
            kind="band",
            when=_EIGENVALUES_WITH_BARS,
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
                xaxis=axis("InPCA axis (open, i: imaginary)", showgrid=False, nticks=9),
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
    columns_of_bars=("cumulative low", "cumulative high", "magnitude low", "magnitude high"),
    facts=("bands", "fitted"),
    summary=(
        COUNTS,
        Clause("the first axis explains {percent} of the stress", "axes", "stress", rows=("1",)),
        Clause("the first three together {percent}", "axes", "stress", rows=("1", "2", "3")),
    ),
)
