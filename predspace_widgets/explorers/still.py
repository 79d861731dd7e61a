"""The picture as an SVG: what stays of an explorer where neither Python nor a script runs."""

from __future__ import annotations

import uuid
from html import escape
from typing import Any

import anywidget
import numpy as np
import traitlets

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.views import VIEWS
from predspace_widgets.views.style import FONT, INK

_WIDTH, _HEIGHT, _MARGIN = 760, 460, 34
_DASHES = {"dash": "6 4", "dot": "2 3", "dashdot": "6 3 2 3", "longdash": "10 4", "longdashdot": "10 3 2 3"}


def still(analysis: Analysis, state: ExplorerState) -> str:
    """The InPCA picture of some choices on two axes, the chosen ones where it is drawn in 2-D.

    Parameters
    ----------
    analysis : Analysis
    state : ExplorerState
        It is not changed.

    Returns
    -------
    str
        An SVG element without a script; where there is no picture, a paragraph that says why.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> analysis = analysis_of(random_trajectories())
    >>> still(analysis, ExplorerState(analysis)).count("<polyline")  # six runs, three means, and the geodesic
    10
    """
    flat = {"dimensions": "2-D", "color_by": "curve", "uncertainty": "none"}  # error bars would be waited for
    axes = {} if state.dimensions == "2-D" else {"horizontal": 1, "vertical": 2}
    drawing = VIEWS["inpca"].draw(analysis, ExplorerState(analysis, **(state.settings() | flat | axes)))
    if drawing.figure is None:
        return f"<p>{escape(drawing.message)}</p>"
    data, layout = drawing.figure["data"], drawing.figure["layout"]
    points = np.concatenate([np.stack([trace["x"], trace["y"]], axis=1) for trace in data])
    middle = (np.nanmax(points, axis=0) + np.nanmin(points, axis=0)) / 2
    widths = np.nanmax(points, axis=0) - np.nanmin(points, axis=0)
    room = np.array([_WIDTH - 2 * _MARGIN - 90, _HEIGHT - 2 * _MARGIN])  # names stand to the right of the last points
    scale = float(np.min(room / np.maximum(widths, 1e-12)))  # equally long in both directions

    def placed(x: Any, y: Any) -> np.ndarray:
        centre = np.array([_MARGIN + room[0] / 2, _HEIGHT / 2])
        return np.asarray(centre + (np.stack([x, y], axis=-1) - middle) * [scale, -scale])

    parts = [part for trace in data for part in _drawn(trace, placed(trace["x"], trace["y"]))]
    for label in layout.get("annotations", []):  # names are plain text already
        x, y = placed(label["x"], label["y"])
        look = f'fill="{label["font"]["color"]}" stroke="white" stroke-width="3"'  # white behind the letters
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" {look}>{label["text"]}</text>')
    titles = [layout[axis]["title"]["text"] for axis in ("xaxis", "yaxis")]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle" fill="{INK}">{titles[0]}</text>')
    turned = f'transform="translate(14 {_HEIGHT / 2}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle" fill="{INK}">{titles[1]}</text>')
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    style = f"background: white; max-width: 100%; paint-order: stroke; font: 13px {FONT}".replace('"', "'")
    body = "\n".join([f"<title>{escape(drawing.summary)}</title>", *parts])  # what a screen reader says
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {box} style="{style}">\n{body}\n</svg>'


def _drawn(trace: dict[str, Any], points: np.ndarray) -> list[str]:
    """A trace as elements: a polyline for each stretch without a gap, or a mark at each point."""
    if trace["mode"] == "lines":
        line = trace["line"]
        dash = f' stroke-dasharray="{_DASHES[line["dash"]]}"' if line.get("dash", "solid") in _DASHES else ""
        look = f'fill="none" stroke="{line["color"]}" stroke-width="{line["width"]}"{dash}'
        ends = np.flatnonzero(np.isnan(points[:, 0]))
        stretches = [stretch[~np.isnan(stretch[:, 0])] for stretch in np.split(points, ends)]
        corners = [" ".join(f"{x:.1f},{y:.1f}" for x, y in stretch) for stretch in stretches if len(stretch)]
        return [f'<polyline points="{corner}" {look}/>' for corner in corners]
    marker = trace["marker"]
    if marker.get("symbol") == "star":
        size = f'font-size="{1.5 * marker["size"]:g}" text-anchor="middle" dominant-baseline="central"'
        return [f'<text x="{x:.1f}" y="{y:.1f}" {size} fill="{marker["color"]}">★</text>' for x, y in points]
    look = f'r="{marker["size"] / 2}" fill="{marker["color"]}" stroke="white"'
    return [f'<circle cx="{x:.1f}" cy="{y:.1f}" {look}/>' for x, y in points if not np.isnan(x)]


class LastingWidget(anywidget.AnyWidget):
    """A widget that leaves a still picture where it cannot be shown; a class of it says in `_still` which."""

    still = traitlets.Unicode(read_only=True).tag(sync=True)  # name of the pictures that it takes the place of

    @traitlets.default("still")
    def _new_name(self) -> str:
        return uuid.uuid4().hex

    def open(self) -> None:
        """Begin to speak to the page, which may ask for a loop of its own in the kernel: a subshell."""
        super().open()
        # There its messages wait for no cell; ipykernel would send them to whichever loop spoke last, often a cell's.
        self.comm._reply_subshell_for = lambda message, asked_for: asked_for

    def _still(self) -> str:
        raise NotImplementedError

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = _leave(self._still(), self.still)
        return bundle


def _leave(html: str, name: str) -> str:
    """Leave a still picture in a notebook, in an output of its own before that of the widget that carries the name.

    JupyterLab shows a saved widget as an error, whatever other formats lie beside it. So the picture comes before:
    rules of style hide it where the widget lives, and the error where it does not. What is returned is to be beside the
    widget: nothing, or, where there is no Jupyter kernel, the still picture itself.
    """
    from IPython import get_ipython
    from IPython.display import HTML, display

    if getattr(get_ipython(), "kernel", None) is None:
        return html
    display(HTML(_LEFT.format(name=name, html=html)))
    return "<!-- the picture stands above -->"


# A widget without its model has no element inside; one that lives carries the name.
_LEFT = """<style>
:root:has([data-live="{name}"]) [data-still="{name}"] {{ display: none; }}
.jp-OutputArea-child:has([data-still]) + .jp-OutputArea-child .jupyter-widgets:not(:has(*)) {{ display: none; }}
</style>
<div data-still="{name}">{html}</div>"""
