"""Marks: what is drawn from which table, as data; `fill` makes a plotly figure of them, as stage/fill.js does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.trajectories.selection import places_by_name
from predspace_widgets.views.style import Style, faint, tint
from predspace_widgets.views.tables import Table, Tables

#: A plotly figure as a plain dict, `{"data": [...], "layout": {...}}`: plotly's own classes check every value, slowly.
Figure = dict[str, Any]
#: Choices with the values for which something is drawn; of other choices it does not depend.
When = Mapping[str, Sequence[Any]]

#: What colours checkpoints, as `when` of a mark names it by "coloring"; see `coloring_of`.
COLORING_KINDS = ("curve", "number", "text")


@dataclass(frozen=True)
class Mark:
    """What is drawn from a table, for each curve or once.

    In texts, `{choice}` stands for the value of a choice. In `trace`, "@color", "@faint", "@pale", "@dash" and "@name"
    stand for the style and the name of the curve, and "column" in a marker or an axis for what `Tables.info` says of
    that column.

    Attributes
    ----------
    role : str
        What it is, such as "runs", "mean" or "head".
    table : str
        One of `Tables`.
    place : mapping of plotly attribute to column
        Such as {"x": "epoch", "y": "progress {progress_metric}"}. A band has "low" and "high" instead of "y".
    trace : mapping
        All else that plotly takes.
    kind : {"trace", "band", "label"}
        A label is an annotation of the layout: of the scene where it has a "z".
    each : bool
        Whether each curve is a trace of its own.
    hover : tuple of str
        Columns that `hovertemplate` names as `customdata`.
    over : bool
        Whether it moves with the time, so that it is drawn again at each moment, above all else.
    when : mapping of choice to values
        Drawn only where each of these choices has one of these values; "coloring" is one of `COLORING_KINDS`.
    """

    role: str
    table: str
    place: Mapping[str, str]
    trace: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "trace"
    each: bool = True
    hover: tuple[str, ...] = ()
    over: bool = False
    when: When = field(default_factory=dict)


def head(place: Mapping[str, str]) -> Mark:
    """A dot where each curve is at the time that is shown.

    Examples
    --------
    >>> head({"x": "epoch", "y": "accuracy"}).over
    True
    """
    dot = {"color": "@color", "size": 7, "line": {"color": "white", "width": 1}}
    trace = {"type": "scatter", "mode": "markers", "marker": dot, "name": "@name", "hoverinfo": "skip"}
    return Mark("head", "heads", place, trace, over=True)


def applies(when: When, choices: Mapping[str, Any]) -> bool:
    """Whether all choices have one of the values.

    Examples
    --------
    >>> applies({"dimensions": ["2-D"]}, {"dimensions": "3-D"})
    False
    """
    return all(choices[name] in values for name, values in when.items())


def fill(
    marks: Sequence[Mark],
    layout: Mapping[str, Any],
    tables: Tables,
    styles: Sequence[Style],
    choices: Mapping[str, Any],
) -> Figure:
    """A plotly figure of marks.

    Parameters
    ----------
    marks : sequence of Mark
    layout : mapping
        A plotly layout, with "column" in its axes.
    tables : Tables
    styles : sequence of Style
        Of all curves of the dataset.
    choices : mapping
        Values of the choices that texts and `when` name.
    """
    texts = texts_of(choices)
    choices = {**choices, "coloring": coloring_of(choices["color_by"], tables.analysis)}
    data: list[dict[str, Any]] = []
    labels: dict[str, list[dict[str, Any]]] = {}
    for mark in marks:
        if not applies(mark.when, choices):
            continue
        table = tables[mark.table]
        place = {to: column.format_map(texts) for to, column in mark.place.items()}
        for curve, members in _groups(table, mark.each):
            tokens = _tokens(curve, styles, tables)
            if mark.kind == "label":
                labels.setdefault("scene" if "z" in place else "", []).extend(
                    _labels(mark, table, place, members, tokens)
                )
            else:
                described = _described(mark.trace, texts, tokens, tables)
                hover = [column.format_map(texts) for column in mark.hover]
                data.append(_trace(mark, table, place, hover, curve, members, described))
    filled = _described(layout, texts, {}, tables)
    for where, notes in labels.items():
        (filled[where] if where else filled)["annotations"] = notes
    return {"data": data, "layout": filled}


def texts_of(choices: Mapping[str, Any]) -> dict[str, Any]:
    """What stands for `{choice}` in texts: the choices, and "color", the column that colours the checkpoints."""
    columns = {"epoch": "log epoch", "progress": f"progress {choices['progress_metric']}"}
    known = {**dict.fromkeys(("curve", "accuracy")), **columns}
    color = choices["color_by"]
    return {**choices, "color": columns.get(color, color if color in known else f"attribute {color}")}


def coloring_of(color_by: str, analysis: Analysis) -> str:
    """What kind of thing colours the checkpoints, one of `COLORING_KINDS`; a dataset has attributes of its own."""
    if color_by == "curve":
        return "curve"
    known = analysis.attributes.get(color_by)
    return "number" if known is None or known.numbers is not None else "text"


def _groups(table: Table, each: bool) -> list[tuple[int, NDArray[np.intp]]]:
    """Places of the rows of each curve, in the order of curves; -1 for all rows together."""
    if not each or table.curve is None:
        return [(-1, np.arange(len(table.rows)))] if len(table.rows) else []
    return [(int(curve), np.flatnonzero(table.curve == curve)) for curve in np.unique(table.curve)]


def _tokens(curve: int, styles: Sequence[Style], tables: Tables) -> dict[str, str]:
    if curve < 0:
        return {}
    style = styles[curve]
    return {
        "@color": style.color,
        "@faint": faint(style.color, 0.2),
        "@pale": tint(style.color, 0.5),
        "@dash": style.dash,
        "@name": tables.names[curve],
    }


def _described(part: Any, texts: Mapping[str, Any], tokens: Mapping[str, str], tables: Tables | None) -> Any:
    """A part of a trace or a layout with its tokens and its columns filled in."""
    if isinstance(part, str):
        return tokens.get(part, part)
    if isinstance(part, list | tuple):
        return [_described(value, texts, tokens, tables) for value in part]
    if not isinstance(part, Mapping):
        return part
    filled = {key: _described(value, texts, tokens, tables) for key, value in part.items() if key != "column"}
    if "column" in part and tables is not None:
        info = tables.info(part["column"].format_map(texts))
        if "colorscale" in part:  # a marker
            filled["colorbar"] = {**filled["colorbar"], **info.get("ticks", {})}
            filled["colorbar"]["title"] = {**filled["colorbar"]["title"], "text": info["title"]}
            filled |= {"cmin": info["low"], "cmax": info["high"]}
            filled["colorscale"] = info.get("colorscale", filled["colorscale"])
        else:
            filled |= info.get("ticks", {}) | ({"range": info["range"]} if "range" in info else {})
            filled["title"] = {**filled.get("title", {}), "text": info["title"]}
    return filled


def _trace(
    mark: Mark,
    table: Table,
    place: Mapping[str, str],
    hover: Sequence[str],
    curve: int,
    members: NDArray[np.intp],
    described: dict[str, Any],
) -> dict[str, Any]:
    order = members if table.line is None else _with_gaps(table.line[members], members)
    gaps = order < 0
    columns = {to: _picked(table.column(name), order, gaps) for to, name in place.items()}
    if mark.kind == "band":
        x, low, high = (columns.pop(name) for name in ("x", "low", "high"))
        columns = {"x": np.concatenate([x, x[::-1]]), "y": np.concatenate([high, low[::-1]])}
    trace = described
    for to, values in columns.items():
        *path, name = to.split(".")
        target = trace
        for key in path:
            target = target[key]
        target[name] = values
    if hover:
        trace["customdata"] = np.stack([_picked(table.column(name), order, gaps, 0.0) for name in hover], axis=1)
    rows = np.where(gaps, -1, table.rows[order])
    trace["meta"] = {"role": mark.role, "curve": curve, "rows": rows.tolist(), "over": mark.over}
    return trace


def _with_gaps(line: NDArray[Any], members: NDArray[np.intp]) -> NDArray[np.intp]:
    """Members line by line, as the lines come, with a -1 after each."""
    return np.concatenate([np.append(members[places], -1) for places in places_by_name(line).values()])


def _picked(
    values: NDArray[Any], order: NDArray[np.intp], gaps: NDArray[np.bool_], gap: float = np.nan
) -> NDArray[Any]:
    if values.dtype == object:
        picked = values[order]
        picked[gaps] = gap
        return picked
    return np.where(gaps, gap, values[order].astype(float))


def _labels(
    mark: Mark, table: Table, place: Mapping[str, str], members: NDArray[np.intp], tokens: Mapping[str, str]
) -> list[dict[str, Any]]:
    """An annotation for each row."""
    columns = {to: table.column(name)[members] for to, name in place.items() if not to.startswith("text")}
    texts = table.column(place["text"])[members] if "text" in place else [mark.trace["text"]] * len(members)
    described = _described(mark.trace, {}, tokens, None)
    return [
        {
            **described,
            "text": str(texts[number]),
            **{to: float(values[number]) for to, values in columns.items()},
            "name": mark.role,
        }
        for number in range(len(members))
    ]
