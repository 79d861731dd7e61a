"""Which networks predict alike? The InPCA picture: every run a line, in three dimensions or any two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from predspace_widgets.views.error_bars import OVER
from predspace_widgets.views.marks import Mark, When
from predspace_widgets.views.style import COLOR_SCALE, FONT, GRID, INK, MUTED, axis, common_layout
from predspace_widgets.views.summary import COUNTS, Clause
from predspace_widgets.views.tables import N_AXES
from predspace_widgets.views.view import CheckpointView, Control

#: What colours can mean.
COLORINGS = ("curve", "epoch", "progress", "accuracy")
#: The axes of three pictures side by side.
PAIRS = ((1, 2), (1, 3), (2, 3))

# What `fill` makes of the choice `color_by`: attributes of runs are known with the dataset only.
_BY_CURVE: When = {"coloring": ("curve",)}
_BY_VALUE: When = {"coloring": ("number", "text")}
_WITH_BARS: When = {"uncertainty": OVER}
# Error bars are small: lines and dots beside them are too.
_WIDTHS = ((1.0, {"uncertainty": ("none",)}), (0.5, _WITH_BARS))


def _marks(place: dict[str, str], when: When, panel: str = "") -> list[Mark]:
    """All marks of a picture on two or three axes; of several panels side by side, the one with this number."""
    in_space = "z" in place
    kind: dict[str, Any] = {"type": "scatter3d"} if in_space else {"type": "scatter"}
    if panel:
        kind |= {"xaxis": f"x{panel}", "yaxis": f"y{panel}"}

    def mark(role: str, table: str, trace: dict[str, Any], also: When | None = None, **options: Any) -> Mark:
        options["place"] = place | options.pop("place", {})
        typed = {} if options.get("kind") == "label" else kind
        return Mark(role, table, trace={**typed, **trace}, when={**when, **(also or {})}, **options)

    hover = "<b>%{fullData.name}</b><br>seed %{customdata[0]}, epoch %{customdata[1]:.3g}<extra></extra>"
    runs = {"mode": "lines", "name": "@name", "hovertemplate": hover}
    width = 2.0 if in_space else 1.5
    mean = {
        "mode": "lines",
        "name": "@name",
        "hovertemplate": "<b>%{fullData.name}</b>, mean of seeds<br>epoch %{customdata[0]:.3g}<extra></extra>",
    }
    marks = [
        mark(
            "runs", "checkpoints", {**runs, "line": {"color": color, "width": share * width}}, {**also, **bars}, **_RUNS
        )
        for color, also in (("@pale", _BY_CURVE), (GRID, _BY_VALUE))
        for share, bars in _WIDTHS
    ]
    marks += [
        mark("values", "checkpoints", _colored(in_space, said, scale=not panel), {"coloring": (coloring,)}, **_VALUES)
        for coloring, said in (("number", "<br>%{marker.color:.3g}"), ("text", ""))
    ]
    marks.append(_outlines(place, {**when, **_WITH_BARS}, kind))
    marks.append(mark("geodesic", "geodesic", _line(MUTED, 4 if in_space else 2, "dash"), each=False))
    marks += [
        mark("mean", "past", {**mean, "line": {**_LIKE_CURVE, "width": share * wide}}, {**also, **bars}, **_MEAN)
        for wide, also in ((7 if in_space else 4, _BY_CURVE), (3 if in_space else 1.5, _BY_VALUE))
        for share, bars in _WIDTHS
    ]
    for size, bars in ((6 if in_space else 9, _WIDTHS[0][1]), (4 if in_space else 5, _WITH_BARS)):
        dot = {"color": "@color", "size": size, "line": {"color": "white", "width": 1}}
        trace = {"mode": "markers", "name": "@name", "marker": dot, **_SILENT}
        marks.append(mark("head", "heads", trace, bars, over=True))
    marks += _references(mark, in_space)
    options: dict[str, Any] = {"kind": "label", "over": True}
    if when is not _THREE:  # small panels have no room for names
        for role in ("ignorance", "truth"):
            text = {"text": role, "font": {"color": INK, "size": 13}, **_POINTING}
            marks.append(mark("reference", role, text, each=False, **options))
        text = {"font": {"color": "@color", "size": 12}, **_POINTING}
        marks.append(mark("label", "heads", text, place={"text": "curve short name"}, **options))
    return marks


def _outlines(place: dict[str, str], when: When, kind: dict[str, Any]) -> Mark:
    """Error bars of some means on the axes of a picture: ellipses, and in space three of each ellipsoid."""
    axes = " ".join(column.removeprefix("inpca ") for column in place.values())
    at = {letter: f"outline {axes} {number}" for number, letter in enumerate(place, start=1)}
    line: dict[str, Any] = {"color": "@color", "width": 2 if "z" in place else 1}
    look: dict[str, Any] = {"mode": "lines", "line": line, "name": "@name", **_SILENT}
    if "z" not in place:
        line["simplify"] = False  # else small ellipses have corners
        look |= {"fill": "toself", "fillcolor": "@faint"}
    return Mark("ellipse", "ellipsoids" if "z" in place else "ellipses", at, {**kind, **look}, when=when)


_SILENT: dict[str, Any] = {"hoverinfo": "skip"}
_POINTING: dict[str, Any] = {"showarrow": False, "xanchor": "left", "xshift": 8}
_LIKE_CURVE: dict[str, Any] = {"color": "@color", "dash": "@dash"}
_RUNS: dict[str, Any] = {"hover": ("seed", "epoch")}
_MEAN: dict[str, Any] = {"hover": ("epoch",), "over": True}
_VALUES: dict[str, Any] = {"each": False, "place": {"marker.color": "{color}"}, "hover": ("seed", "epoch")}


def _line(color: str, width: float, dash: str) -> dict[str, Any]:
    return {"mode": "lines", "line": {"color": color, "width": width, "dash": dash}, **_SILENT}


def _colored(in_space: bool, said: str, *, scale: bool) -> dict[str, Any]:
    """Checkpoints on a scale of colours from the lowest to the highest value of all, or with a colour for each text."""
    bar = {
        "title": {"side": "top", "font": {"size": 13}},
        "tickfont": {"size": 12},
        "thickness": 12,
        "len": 0.7,
        "outlinewidth": 0,
    }
    return {
        "mode": "markers",
        "marker": {
            "size": 4 if in_space else 6,
            "colorscale": COLOR_SCALE,
            "colorbar": bar,
            **({} if scale else {"showscale": False}),  # of panels side by side the first has it
            "column": "{color}",
        },
        "hovertemplate": f"seed %{{customdata[0]}}, epoch %{{customdata[1]:.3g}}{said}<extra></extra>",
    }


def _references(mark: Any, in_space: bool) -> list[Mark]:
    """Ignorance and truth, always in front."""
    dot = {"mode": "markers", "marker": {"symbol": "circle", "size": 7 if in_space else 12, "color": INK}}
    # plotly's 3-D traces know no star: there it is a letter.
    star: dict[str, Any] = {"mode": "markers", "marker": {"symbol": "star", "size": 18, "color": INK}}
    if in_space:
        font = {"size": 30, "color": INK, "family": FONT}
        star = {"mode": "text", "text": ["★"], "textfont": font, "textposition": "middle center"}  # not above its place
    marks = []
    for role, trace in (("ignorance", dot), ("truth", star)):
        trace = {**trace, "name": role, "hovertemplate": f"<b>{role}</b><extra></extra>"}
        # In space the stage knows them, and draws them in front.
        marks.append(mark(role, role, trace, each=False, over=not in_space))
    return marks


def _layout_in_space() -> dict[str, Any]:
    axes = {
        f"{letter}axis": {
            "column": f"inpca {number}",
            "title": {"font": {"size": 14}},
            "tickfont": {"size": 11, "color": MUTED},
            "nticks": 5,
            "gridcolor": GRID,
            "zeroline": False,
            "showbackground": False,
            "showspikes": False,
        }
        for number, letter in enumerate("xyz", start=1)
    }
    camera = {"eye": {"x": 1.05, "y": -1.75, "z": 0.8}, "center": {"x": 0.05, "y": 0, "z": -0.16}}
    scene = {**axes, "aspectmode": "data", "camera": camera, "uirevision": "keep", "dragmode": "turntable"}
    return common_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, scene=scene)


def _layout_in_panels(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Panels side by side, in which distances look as long in both directions."""
    layout = common_layout(margin={"l": 60, "r": 12, "t": 12, "b": 46})
    gap = 0.13 if len(pairs) > 1 else 0.0
    width = (1 - gap * (len(pairs) - 1)) / len(pairs)
    for number, (horizontal, vertical) in enumerate(pairs):
        panel = "" if number == 0 else str(number + 1)
        start = number * (width + gap)
        domain = {"domain": [round(start, 4), round(start + width, 4)]} if len(pairs) > 1 else {}
        layout[f"xaxis{panel}"] = axis("", column=f"inpca {horizontal}", anchor=f"y{panel}", **domain)
        layout[f"yaxis{panel}"] = axis(
            "", column=f"inpca {vertical}", anchor=f"x{panel}", scaleanchor=f"x{panel}", scaleratio=1
        )
        if len(pairs) > 1:  # panels as high as what is in them, and not axes as long as the panels
            for letter in "xy":
                layout[f"{letter}axis{panel}"]["constrain"] = "domain"
            layout[f"xaxis{panel}"] |= {"tickangle": 0, "tickfont": {"size": 10}}  # else plotly turns them
    return layout


_SPACE, _PLANE, _THREE = ({"dimensions": (kind,)} for kind in ("3-D", "2-D", "pairs"))
_IN_SPACE = {letter: f"inpca {number}" for number, letter in enumerate("xyz", start=1)}
_IN_PLANE = {"x": "inpca {horizontal}", "y": "inpca {vertical}"}

VIEW = CheckpointView(
    name="inpca",
    place=10,
    title="InPCA picture",
    how_to_read=(
        "A point is a network at a checkpoint; near means predicting alike. Thin: runs; thick: mean of seeds up to now."
    ),
    controls=(
        Control(
            "axes_fitted_on",
            "axes fitted on",
            (("everything", "everything"), ("shown", "what is shown"), ("frozen", "frozen")),
            prefix="axes on: ",
        ),
        Control("dimensions", "dimensions", (("3-D", "3-D"), ("2-D", "2-D"), ("pairs", "three pairs"))),
        Control("horizontal", "axis to the right", "axes", when=_PLANE, prefix="→ "),
        Control("vertical", "axis upwards", "axes", when=_PLANE, prefix="↑ "),
        Control("color_by", "colour", "colorings", prefix="colour: "),
        Control(
            "uncertainty",
            "error bars",
            (("none", "no error bars"), *((over, f"± {over}") for over in OVER)),
        ),
    ),
    readings=((_WITH_BARS, "Near: predicting alike. Thin: runs; thick: mean of seeds."),),
    marks=(
        *_marks(_IN_SPACE, _SPACE),
        *_marks(_IN_PLANE, _PLANE),
        *(
            mark
            for number, (horizontal, vertical) in enumerate(PAIRS)
            for mark in _marks(
                {"x": f"inpca {horizontal}", "y": f"inpca {vertical}"}, _THREE, "" if number == 0 else str(number + 1)
            )
        ),
    ),
    layouts=(
        (_SPACE, _layout_in_space()),
        (_PLANE, _layout_in_panels([("{horizontal}", "{vertical}")])),
        (_THREE, _layout_in_panels([(str(one), str(other)) for one, other in PAIRS])),
    ),
    columns=("epoch", "step", *(f"inpca {number}" for number in range(1, N_AXES + 1))),
    columns_of_bars=tuple(f"spread of mean inpca {number}" for number in range(1, N_AXES + 1)),
    facts=("ellipses", "fitted", "landmarks", "references", "meaning", "draws", "thinned"),
    summary=(
        COUNTS,
        Clause(
            "three axes explain {percent} of the stress",
            table="axes",
            column="stress",
            rows=("1", "2", "3"),
            when={"dimensions": ("3-D", "pairs")},
        ),
        Clause(
            "axes {horizontal} and {vertical} explain {percent} of the stress",
            table="axes",
            column="stress",
            rows=("{horizontal}", "{vertical}"),
            when=_PLANE,
        ),
        Clause(
            "“{curve}” ends with the most progress to the truth, {value}",
            table="means",
            column="progress {progress_metric}",
            take="highest end",
        ),
    ),
)
