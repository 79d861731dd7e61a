"""The explorer as a page: Panel, served to many browsers at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import panel as pn
import xarray as xr
from bokeh.models import CustomJSTickFormatter

from predspace_widgets.explorers.drawings import COMPARISON, LENGTHS, PICTURE, PROGRESS, STRESS, View
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories import Analysis

_CSS = (Path(__file__).parent / "app.css").read_text(encoding="utf-8")
_PLOT_CONFIG = {"displaylogo": False, "displayModeBar": "hover", "responsive": True}


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
    return pn.template.BootstrapTemplate(
        title=f"predspace · {title}",
        header_background="white",
        header_color="#1f2933",
        sidebar_width=230,
        sidebar=_sidebar(state, others or {}),
        main=[_main(state)],
        raw_css=[_CSS],
        collapsed_sidebar=False,
    )


def serve(
    datasets: Mapping[str, xr.Dataset], port: int = 5006, address: str = "localhost", open_browser: bool = False
) -> None:
    """Serve explorers until interrupted, one page a dataset.

    Parameters
    ----------
    datasets : mapping of name to xarray.Dataset
        The first is also the page at "/"; each has its own at "/name".
    port, address : where to listen
    open_browser : bool

    Raises
    ------
    OSError
        The port is taken.
    """
    pn.extension("plotly", throttled=True)
    analyses = {name: Analysis(ds) for name, ds in datasets.items()}
    pn.serve(_routes(analyses), port=port, address=address, show=open_browser, title="predspace", verbose=False)


def _routes(analyses: Mapping[str, Analysis]) -> dict[str, Callable[[], Any]]:
    def page_of(name: str) -> Callable[[], Any]:
        others = {other: f"/{other}" for other in analyses if other != name}
        return lambda: page(analyses[name], others)

    first = next(iter(analyses))
    return {"/": page_of(first), **{f"/{name}": page_of(name) for name in analyses}}


# -- the sidebar: which checkpoints -------------------------------------------------------------------------------------


def _sidebar(state: ExplorerState, others: Mapping[str, str]) -> list[Any]:
    items = [_summary(state.analysis.ds), *_checkbox_list(state, "tasks", "Tasks")]
    if len(state.param.methods.objects) > 1:
        items += _checkbox_list(state, "methods", "Methods")
    items += [
        _heading("Seeds"),
        pn.widgets.CheckBoxGroup.from_param(state.param.seeds, inline=True, stylesheets=[_CHECKBOXES], margin=0),
        _heading("Epochs"),
        _epoch_slider(state),
        _heading("Colour of the picture"),
        pn.widgets.Select.from_param(state.param.color_by, name="", sizing_mode="stretch_width", margin=0),
    ]
    if others:
        links = "".join(f'<a href="{address}">{name}</a><br>' for name, address in others.items())
        items += [_heading("Other datasets"), pn.pane.HTML(links, margin=0)]
    return items


_CHECKBOXES = """
:host { font-size: 14px; }
.bk-input-group { gap: 1px; }
label { display: flex; align-items: center; gap: 6px; }
"""


def _checkbox_list(state: ExplorerState, name: str, title: str) -> list[Any]:
    known = state.param[name].objects
    swatches = ""
    if name == "tasks" and len(state.param.methods.objects) == 1:  # a task is a colour
        swatches = "".join(
            f"label:nth-of-type({number}) span {{ border-left: 12px solid {state.colors[task]}; padding-left: 7px; }}\n"
            for number, task in enumerate(known, start=1)
        )
    boxes = pn.widgets.CheckBoxGroup.from_param(
        state.param[name], stylesheets=[_CHECKBOXES + swatches], margin=0, css_classes=[f"choose-{name}"]
    )
    toggle = pn.widgets.Button(name="all / none", button_type="light", stylesheets=[_LINK], margin=0, align="end")
    toggle.on_click(lambda _: state.param.update(**{name: [] if len(getattr(state, name)) == len(known) else known}))
    return [pn.Row(_heading(title), pn.HSpacer(), toggle, sizing_mode="stretch_width", margin=0), boxes]


_LINK = """
.bk-btn { border: none; background: none; padding: 0; font-size: 12.5px; color: #0072B2; min-height: 0; }
"""


def _epoch_slider(state: ExplorerState) -> pn.widgets.IntRangeSlider:
    """A slider over the recorded epochs, which are dense in the beginning, rather than over all numbers."""
    epochs = state.epoch_values
    last = max(len(epochs) - 1, 1)
    slider = pn.widgets.IntRangeSlider(
        start=0,
        end=last,
        value=(0, last),
        disabled=len(epochs) < 2,
        format=CustomJSTickFormatter(
            args={"epochs": epochs},
            code="return epochs[tick] === undefined ? '' : String(+epochs[tick].toPrecision(3))",
        ),
        show_value=True,
        name="epoch",
        sizing_mode="stretch_width",
        margin=(0, 6, 0, 6),
        css_classes=["choose-epochs"],
    )

    def to_state(event: Any) -> None:
        low, high = event.new
        state.epochs = (epochs[low], epochs[min(high, len(epochs) - 1)])

    def to_slider(event: Any) -> None:
        low, high = event.new
        inside = [number for number, epoch in enumerate(epochs) if low <= epoch <= high]
        if inside:
            slider.value = (inside[0], inside[-1])

    slider.param.watch(to_state, "value_throttled")
    state.param.watch(to_slider, "epochs")
    return slider


def _summary(ds: xr.Dataset) -> pn.pane.HTML:
    sizes = dict(ds.sizes)
    parts = [f"{len(set(ds['run'].values.tolist()))} networks", f"{sizes['checkpoint']} checkpoints"]
    parts += [
        f"{sizes[name]} {plural}" for name, plural in (("sample", "samples"), ("class", "classes")) if name in sizes
    ]
    return pn.pane.HTML(f'<div style="font-size:13px;color:#5a6675">{" · ".join(parts)}</div>', margin=(0, 0, 4, 0))


def _heading(text: str) -> pn.pane.HTML:
    return pn.pane.HTML(f'<div style="font-weight:650;font-size:14px">{text}</div>', margin=(8, 0, 2, 0))


# -- the main area: the views -------------------------------------------------------------------------------------------


def _main(state: ExplorerState) -> pn.Row:
    left = pn.Column(
        _card(PICTURE, state, _picture_controls(state), flex=2.3),
        pn.Row(_card(LENGTHS, state, flex=1.5), _card(STRESS, state, flex=1), styles=_flex(1), margin=0),
        styles=_flex(1.45),
        margin=0,
    )
    right = pn.Column(
        _card(PROGRESS, state, _select(state.param.progress_metric, 125)),
        _card(COMPARISON, state, pn.Row(_select(state.param.first, 112), _select(state.param.second, 112), margin=0)),
        styles=_flex(1),
        margin=0,
    )
    return pn.Row(
        left,
        right,
        styles={"height": "calc(100vh - 74px)", "min-height": "560px"},
        margin=0,
        sizing_mode="stretch_width",
    )


def _flex(share: float) -> dict[str, str]:
    return {"flex": f"{share} 1 0", "min-width": "0", "min-height": "0"}


def _card(view: View, state: ExplorerState, controls: Any = None, flex: float = 1) -> pn.Column:
    """A view in a card, drawn again whenever something that it depends on changes."""
    plot = pn.pane.Plotly(config=_PLOT_CONFIG, sizing_mode="stretch_both", margin=0, min_height=0)
    message = pn.pane.Alert(alert_type="warning", visible=False, margin=8, sizing_mode="stretch_width")
    caption = pn.pane.HTML(margin=0, sizing_mode="stretch_width")

    def draw(*_: Any) -> None:
        drawing = view.draw(state)
        if drawing.figure is not None:
            plot.object = drawing.figure
        plot.visible = drawing.figure is not None
        message.object, message.visible = drawing.message, bool(drawing.message)
        caption.object = f'<div style="font-size:12.5px;line-height:1.3;color:#5a6675">{drawing.caption}</div>'

    draw()
    state.param.watch(draw, list(view.depends))
    title = pn.pane.HTML(f'<div style="font-weight:650;font-size:15px">{view.title}</div>', margin=(2, 0, 0, 0))
    header = pn.Row(
        title, pn.HSpacer(), *([controls] if controls is not None else []), margin=0, sizing_mode="stretch_width"
    )
    look = {
        "background": "white",
        "border": "1px solid #dfe4ea",
        "border-radius": "8px",
        "padding": "8px 12px",
        "margin": "4px",
        **_flex(flex),
    }
    return pn.Column(header, plot, message, caption, styles=look, css_classes=[f"view-{view.name}"])


def _select(parameter: Any, width: int) -> pn.widgets.Select:
    return pn.widgets.Select.from_param(parameter, name="", width=width, margin=(0, 0, 0, 6), stylesheets=[_SELECT])


_SELECT = ":host { font-size: 13px; } select.bk-input { height: 26px; padding: 0 22px 0 6px; min-height: 0; }"


def _picture_controls(state: ExplorerState) -> pn.Row:
    dimensions = pn.widgets.RadioButtonGroup.from_param(
        state.param.dimensions,
        button_type="default",
        margin=0,
        stylesheets=[".bk-btn { padding: 1px 10px; font-size: 13px; }"],
    )
    flat = state.param.dimensions.rx() == "2-D"
    axes = pn.Row(_select(state.param.horizontal, 56), _select(state.param.vertical, 56), visible=flat, margin=0)
    return pn.Row(axes, dimensions, margin=0)
