"""The explorer as a page: Panel, served to many browsers at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from html import escape, unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import panel as pn
import xarray as xr
from bokeh.document import Document
from bokeh.models import CustomJSTickFormatter
from bokeh.server.server import Server

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.state import MOST_CHECKBOXES, ExplorerState
from predspace_widgets.views import VIEWS, View
from predspace_widgets.views.view import Figure, colors_of

_FOLDER = Path(__file__).parent
_PAGE_CSS = (_FOLDER / "page.css").read_text(encoding="utf-8")
_CSS = (_FOLDER / "components.css").read_text(encoding="utf-8")
_log = logging.getLogger(__name__)
_PLOT_CONFIG = {"displaylogo": False, "displayModeBar": "hover", "responsive": True}


class _Page(pn.template.BootstrapTemplate):
    """A template whose title is markup in the header; the browser's tab shows it as text."""

    def _init_doc(self, *arguments: Any, **options: Any) -> Document:
        document = super()._init_doc(*arguments, **options)
        document.title = unescape(self.title)
        return document


def page(analysis: Analysis, others: Mapping[str, str] | None = None) -> pn.template.BootstrapTemplate:
    """The explorer's page for one visitor.

    Parameters
    ----------
    analysis : Analysis
        Of the dataset; all visitors share it.
    others : mapping of title to address, optional
        Further datasets that this server shows.

    Returns
    -------
    panel.template.BootstrapTemplate
    """
    state = ExplorerState(analysis)
    title = analysis.ds.attrs.get("title") or "trajectories"
    return _Page(
        title=escape(f"predspace · {title}"),  # the template takes it for markup
        header_background="white",
        header_color="#1f2933",
        sidebar_width=230,
        sidebar=_sidebar(state, others or {}),
        main=[_main(state)],
        raw_css=[_PAGE_CSS],
        collapsed_sidebar=False,
    )


def make_server(datasets: Mapping[str, xr.Dataset], port: int = 5006, address: str = "localhost") -> Server:
    """A server of explorers, one page a dataset, that holds its port and waits to be started.

    Parameters
    ----------
    datasets : mapping of name to xarray.Dataset
        The first is also the page at "/"; each has its own at "/name", the name quoted as addresses quote it.
    port, address : where to listen

    Returns
    -------
    panel.io.server.Server
        Its `run_until_shutdown` serves until the process is told to end.

    Raises
    ------
    OSError
        The port is taken.
    """
    pn.extension("plotly", throttled=True)
    analyses = {name: Analysis(ds) for name, ds in datasets.items()}
    server = pn.serve(
        _routes(analyses), port=port, address=address, show=False, start=False, title="predspace", verbose=False
    )
    # The first visitor finds the costly results at hand, or waits for those under way.
    threading.Thread(target=_prepare, args=(analyses,), daemon=True).start()
    return server


def _prepare(analyses: Mapping[str, Analysis]) -> None:
    """Measure what all visitors need; what fails in one dataset is logged, and the others go on."""
    for name, analysis in analyses.items():
        try:
            analysis.prepare()
        except Exception:
            _log.exception("preparing the dataset %r failed", name)


def _routes(analyses: Mapping[str, Analysis]) -> dict[str, Callable[[], Any]]:
    addresses = {name: f"/{quote(name, safe='')}" for name in analyses}

    def page_of(name: str) -> Callable[[], Any]:
        others = {other: address for other, address in addresses.items() if other != name}
        return lambda: page(analyses[name], others)

    first = next(iter(analyses))
    return {"/": page_of(first), **{addresses[name]: page_of(name) for name in analyses}}


# -- the sidebar: which checkpoints ------------------------------------------------------------------------------------


def _sidebar(state: ExplorerState, others: Mapping[str, str]) -> list[Any]:
    items = [_html("summary", _summary(state.analysis.ds)), *_checkbox_list(state, "tasks", "Tasks")]
    if len(state.param.methods.objects) > 1:
        items += _checkbox_list(state, "methods", "Methods")
    items += [
        *_seed_list(state),
        _html("heading", "Epochs", above=10),
        _epoch_slider(state),
        _html("heading", "Colour of the picture", above=10),
        _select(state.param.color_by, sizing_mode="stretch_width"),
    ]
    if others:
        links = "<br>".join(f'<a href="{escape(to)}">{escape(name)}</a>' for name, to in others.items())
        items += [_html("heading", "Other datasets", above=14), _html("links", links)]
    return items


def _summary(ds: xr.Dataset) -> str:
    counts = [("networks", len(set(ds["run"].values.tolist()))), ("checkpoints", ds.sizes["checkpoint"])]
    counts += [
        (plural, ds.sizes[name]) for name, plural in (("sample", "samples"), ("class", "classes")) if name in ds.sizes
    ]
    return " · ".join(f"{count:,} {what}" for what, count in counts)


def _checkbox_list(state: ExplorerState, name: str, title: str) -> list[Any]:
    colors = colors_of(state.analysis, name.removesuffix("s"))
    known = state.param[name].objects
    swatches = "\n".join(_swatch_rule(number, colors[value]) for number, value in enumerate(known, start=1))
    boxes = pn.widgets.CheckBoxGroup.from_param(
        state.param[name], stylesheets=[_CSS, swatches], margin=0, css_classes=[f"choose-{name}"]
    )
    return [_heading_with_toggle(state, name, title), boxes]


def _seed_list(state: ExplorerState) -> list[Any]:
    """A checkbox a seed in rows, or a list to select from where there are many."""
    options: dict[str, Any] = {"stylesheets": [_CSS], "margin": 0, "css_classes": ["choose-seeds"]}
    if len(state.param.seeds.objects) <= MOST_CHECKBOXES:
        boxes = pn.widgets.CheckBoxGroup.from_param(state.param.seeds, inline=True, **options)
        return [_html("heading", "Seeds", above=10), boxes]
    chooser = pn.widgets.MultiSelect.from_param(
        state.param.seeds, name="", size=6, sizing_mode="stretch_width", **options
    )
    return [_heading_with_toggle(state, "seeds", "Seeds"), chooser]


def _heading_with_toggle(state: ExplorerState, name: str, title: str) -> pn.Row:
    """The heading of a list of choices, with a link that chooses all of them or none."""
    known = state.param[name].objects
    toggle = pn.widgets.Button(name="all / none", css_classes=["link"], stylesheets=[_CSS], margin=(2, 0, 0, 0))

    def turn_all(_: Any) -> None:
        setattr(state, name, [] if getattr(state, name) == known else known)

    toggle.on_click(turn_all)
    return pn.Row(_html("heading", title), pn.HSpacer(), toggle, sizing_mode="stretch_width", margin=(10, 0, 0, 0))


def _swatch_rule(number: int, colors: list[str]) -> str:
    """CSS that draws colours as stripes before the label of a checkbox."""
    width = 12 if len(colors) == 1 else 7
    stripes = ", ".join(f"{color} {width * k}px {width * (k + 1) - 1}px" for k, color in enumerate(colors))
    return (
        f"label:nth-of-type({number}) span {{ padding-left: {width * len(colors) + 6}px; "
        f"background: linear-gradient(to right, {stripes}, transparent 0) no-repeat; }}"
    )


def _epoch_slider(state: ExplorerState) -> pn.widgets.IntRangeSlider:
    """A slider over the recorded epochs, which are dense in the beginning, rather than over all numbers."""
    epochs = state.epoch_values
    last = max(len(epochs) - 1, 1)
    slider = pn.widgets.IntRangeSlider(
        name="from .. to",
        start=0,
        end=last,
        value=(0, last),
        disabled=len(epochs) < 2,
        format=CustomJSTickFormatter(
            args={"epochs": epochs}, code="return String(+(epochs[tick] ?? 0).toPrecision(3))"
        ),
        sizing_mode="stretch_width",
        margin=(0, 6, 0, 8),
        stylesheets=[_CSS],
        css_classes=["choose-epochs"],
    )

    def to_state(event: Any) -> None:
        state.epoch_slots = event.new

    def to_slider(_: Any) -> None:
        slider.value = state.epoch_slots

    slider.param.watch(to_state, "value_throttled")
    state.param.watch(to_slider, "epochs")
    return slider


# -- the main area: the views ------------------------------------------------------------------------------------------


def _main(state: ExplorerState) -> pn.Row:
    below = pn.Row(_card(VIEWS["lengths"], state, flex=1.35), _card(VIEWS["stress"], state), styles=_share(1), margin=0)
    left = pn.Column(
        _card(VIEWS["inpca"], state, _picture_controls(state), flex=1.9), below, styles=_share(1.4), margin=0
    )
    compared = [_select(state.param[side], width=112) for side in ("first", "second")]
    metric = _select(state.param.progress_metric, width=122)
    right = pn.Column(
        _card(VIEWS["progress"], state, metric),
        _card(VIEWS["comparison"], state, pn.Row(*compared, margin=0)),
        styles=_share(1),
        margin=0,
    )
    height = {"height": "calc(100vh - 58px)", "min-height": "600px"}
    return pn.Row(left, right, styles=height, margin=0, sizing_mode="stretch_both")


def _share(flex: float) -> dict[str, str]:
    return {"flex": f"{flex} 1 0", "min-width": "0", "min-height": "0"}


class _Plot(pn.pane.Plotly):
    """Sends figures as they are; Panel itself would pass each through plotly's slow validators."""

    def _to_figure(self, figure: Figure) -> Any:
        # Panel takes arrays out of what it sends: out of a copy.
        return SimpleNamespace(_data=_copy(figure["data"]), _layout=_copy(figure["layout"]))


def _copy(value: Any) -> Any:
    """A copy of all lists and dicts, but not of the arrays in them."""
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value


def _card(view: View, state: ExplorerState, controls: Any = None, flex: float = 1) -> pn.Column:
    """A view in a card, drawn again whenever something that it depends on changes."""
    plot = _Plot(config=_PLOT_CONFIG, sizing_mode="stretch_both", margin=0, min_height=0)
    message = _html("message", visible=False)
    caption = _html("caption", f"{view.how_to_read} …")
    camera: dict[str, Any] = {}

    def remember(event: Any) -> None:
        camera.update((event.new or {}).get("scene.camera", {}))

    def draw() -> None:
        drawing = view.draw(state.analysis, state)
        if drawing.figure is not None:
            if camera and "scene" in drawing.figure["layout"]:
                # plotly's own memory (`uirevision`) forgets how a scene was turned after any change of its size.
                drawing.figure["layout"]["scene"]["camera"] = dict(camera)
            plot.object = drawing.figure
        plot.visible = drawing.figure is not None
        message.visible = drawing.figure is None
        message.object = _div("message", escape(drawing.message))
        caption.object = _div("caption", escape(drawing.caption))

    plot.param.watch(remember, "relayout_data")
    pn.state.onload(draw)  # the page answers at once, and fills
    state.on_change(view.seen, draw)
    header = pn.Row(_html("title", view.title), pn.HSpacer(), controls, margin=0, sizing_mode="stretch_width")
    return pn.Column(
        header,
        plot,
        message,
        caption,
        styles=_share(flex),
        css_classes=["card", f"view-{view.name}"],
        stylesheets=[_CSS],
    )


def _picture_controls(state: ExplorerState) -> pn.Row:
    dimensions = pn.widgets.RadioButtonGroup.from_param(
        state.param.dimensions, margin=(0, 0, 0, 6), css_classes=["small"], stylesheets=[_CSS]
    )
    axes = pn.Row(
        *(_select(state.param[name], width=52) for name in ("horizontal", "vertical")),
        visible=state.param.dimensions.rx() == "2-D",
        margin=0,
    )
    return pn.Row(axes, dimensions, margin=0)


# -- pieces ------------------------------------------------------------------------------------------------------------


def _html(kind: str, text: str = "", above: int = 0, **options: Any) -> pn.pane.HTML:
    """Text in one of the styles of components.css."""
    return pn.pane.HTML(_div(kind, text), stylesheets=[_CSS], margin=(above, 0, 2, 0), **options)


def _div(kind: str, text: str) -> str:
    return f'<div class="{kind}">{text}</div>'


def _select(parameter: Any, **size: Any) -> pn.widgets.Select:
    return pn.widgets.Select.from_param(
        parameter,
        name="",
        margin=(0, 0, 0, 6),
        css_classes=["small", f"choose-{parameter.name}"],
        stylesheets=[_CSS],
        **size,
    )
