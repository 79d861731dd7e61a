"""The explorer in a notebook: ipywidgets and plotly's FigureWidget."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.state import MOST_CHECKBOXES, PROGRESS_METRICS, ExplorerState
from predspace_widgets.views import VIEWS, View
from predspace_widgets.views.inpca import COLORINGS, N_AXES
from predspace_widgets.views.view import Figure, colors_of

try:
    import anywidget  # noqa: F401  # plotly's FigureWidget needs it
    import ipywidgets as widgets
except ImportError as error:
    raise ImportError(
        'the explorer in a notebook needs ipywidgets and anywidget: pip install "predspace-widgets[notebook]"'
    ) from error


class Explorer:
    """Explore a trajectories dataset in a notebook: the last expression of a cell shows it.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        A trajectories dataset.
    choices : values of the parameters of `ExplorerState`
        What is chosen at first, such as `tasks=["even", "odd"]`; also to be set later through `state`.

    Attributes
    ----------
    state : ExplorerState
        The choices; setting one draws the views again.

    Raises
    ------
    TypeError
        An unknown choice; the message names those there are.
    ValueError
        A value that the dataset does not have, or no valid trajectories dataset.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> explorer = Explorer(random_trajectories(), tasks=["red", "blue"])
    >>> explorer.state.dimensions = "2-D"
    >>> len(explorer.figure("lengths").data)
    4
    """

    def __init__(self, data: xr.Dataset | Analysis, **choices: Any) -> None:
        self.state = ExplorerState(data, **choices)
        picture = widgets.VBox([_picture_choices(self.state), _view(VIEWS["inpca"], self.state, height=480)])
        compared = widgets.VBox([_compared_choices(self.state), _view(VIEWS["comparison"], self.state, height=300)])
        picture.layout.flex, picture.layout.min_width = "1 1 auto", "0"
        self.widget = widgets.VBox([widgets.HBox([_checkpoint_choices(self.state), picture]), compared])

    def figure(self, view: str = "inpca") -> go.Figure:
        """A view as a plain plotly figure, which stays a picture in a notebook that is saved and reopened.

        Parameters
        ----------
        view : {"inpca", "stress", "progress", "comparison", "lengths"}

        Returns
        -------
        plotly.graph_objects.Figure

        Raises
        ------
        ValueError
            An unknown view, or choices that leave nothing to draw.
        """
        if view not in VIEWS:
            raise ValueError(f"no view {view!r}; an explorer has {', '.join(VIEWS)}")
        figure, _ = VIEWS[view].compose(self.state.analysis, self.state)
        return go.Figure(figure)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


def _view(view: View, state: ExplorerState, height: int) -> widgets.VBox:
    """A view with its title and caption, drawn again whenever something that it depends on changes."""
    plot = go.FigureWidget(layout={"height": height, "autosize": True})
    caption = widgets.HTML()

    def draw() -> None:
        drawing = view.draw(state.analysis, state)
        if drawing.figure is not None:
            _replace(plot, drawing.figure)
        plot.layout.height = height if drawing.figure is not None else 10
        text, color = (drawing.message, "#b45309") if drawing.message else (drawing.caption, "#5a6675")
        caption.value = f'<div style="line-height:1.35;color:{color}">{escape(text)}</div>'

    draw()
    state.on_change(view.seen, draw)
    return widgets.VBox([widgets.HTML(f"<b>{view.title}</b>"), plot, caption])


def _replace(plot: go.FigureWidget, figure: Figure) -> None:
    """Show another figure in place: a new widget would lose the camera, and browsers allow few 3-D canvases."""
    layout, traces = dict(figure["layout"]), figure["data"]
    if plot.layout.scene.camera.eye.x is not None and "scene" in layout:
        layout["scene"] = {name: value for name, value in layout["scene"].items() if name != "camera"}  # may be turned
    kinds = [trace["type"] for trace in traces]
    n_kept = min(len(kinds), len(plot.data)) if {trace.type for trace in plot.data} == set(kinds) else 0
    with plot.batch_update():
        for shown, new in zip(plot.data[:n_kept], traces, strict=False):
            left_over = dict.fromkeys(set(shown.to_plotly_json()) - set(new))
            shown.update({**left_over, **new}, overwrite=True)
        plot.update_layout(layout)
    # Traces that are too many go last: otherwise the picture would be empty for a moment.
    plot.add_traces(traces[n_kept:])
    plot.data = plot.data[-len(kinds) :] if n_kept == 0 else plot.data[: len(kinds)]


# -- choices ------------------------------------------------------------------------------------------------------


def _checkpoint_choices(state: ExplorerState) -> widgets.VBox:
    parts = [_heading("Tasks"), _checkboxes(state, "tasks", colors_of(state.analysis, "task"))]
    if len(state.param.methods.objects) > 1:
        parts += [_heading("Methods"), _checkboxes(state, "methods", colors_of(state.analysis, "method"))]
    epochs = widgets.SelectionRangeSlider(
        options=[(f"{epoch:.3g}", epoch) for epoch in state.epoch_values],
        index=(0, len(state.epoch_values) - 1),
        continuous_update=False,
        layout={"width": "210px"},
    )

    def to_state(change: Any) -> None:
        state.epoch_slots = tuple(change.new)

    def to_slider(_: Any) -> None:
        epochs.index = state.epoch_slots

    epochs.observe(to_state, "index")
    state.param.watch(to_slider, "epochs")
    many_seeds = len(state.param.seeds.objects) > MOST_CHECKBOXES
    seeds = _list_box(state, "seeds") if many_seeds else _checkboxes(state, "seeds")
    parts += [_heading("Seeds"), seeds, _heading("Epochs"), epochs]
    return widgets.VBox(parts, layout={"width": "230px", "flex": "0 0 auto"})


def _picture_choices(state: ExplorerState) -> widgets.HBox:
    axes = [_dropdown(state, name, range(1, N_AXES + 1), width="60px") for name in ("horizontal", "vertical")]

    def show_axes(*_: Any) -> None:
        for dropdown in axes:
            dropdown.layout.display = None if state.dimensions == "2-D" else "none"

    show_axes()
    state.param.watch(show_axes, "dimensions")
    dimensions = widgets.ToggleButtons(options=["3-D", "2-D"], style={"button_width": "50px"})
    _bind(dimensions, state, "dimensions")
    return widgets.HBox([dimensions, *axes, widgets.Label("colour by"), _dropdown(state, "color_by", COLORINGS)])


def _compared_choices(state: ExplorerState) -> widgets.HBox:
    curves = state.analysis.curve_names
    return widgets.HBox(
        [
            widgets.Label("compare"),
            _dropdown(state, "first", curves, width="180px"),
            widgets.Label("with"),
            _dropdown(state, "second", curves, width="180px"),
            widgets.Label("progress by"),
            _dropdown(state, "progress_metric", PROGRESS_METRICS.items(), width="150px"),
        ]
    )


def _checkboxes(state: ExplorerState, name: str, colors: dict[str, list[str]] | None = None) -> widgets.VBox:
    known = state.param[name].objects
    boxes = [widgets.Checkbox(description=str(value), indent=False, layout={"width": "auto"}) for value in known]

    def to_state(_: Any) -> None:
        chosen = [value for value, box in zip(known, boxes, strict=True) if box.value]
        if chosen != getattr(state, name):
            setattr(state, name, chosen)

    def to_boxes(*_: Any) -> None:
        chosen = list(getattr(state, name))  # boxes report one by one while they are set
        for value, box in zip(known, boxes, strict=True):
            box.unobserve(to_state, "value")
            box.value = value in chosen
            box.observe(to_state, "value")

    to_boxes()
    state.param.watch(to_boxes, name)
    rows = [
        widgets.HBox([*(widgets.HTML(_swatch(color)) for color in colors[value]), box]) if colors else box
        for value, box in zip(known, boxes, strict=True)
    ]
    return (widgets.HBox if name == "seeds" else widgets.VBox)(rows)


def _list_box(state: ExplorerState, name: str) -> widgets.SelectMultiple:
    """Many values to select from; as everywhere else, Ctrl and Shift take several."""
    box = widgets.SelectMultiple(options=state.param[name].objects, rows=6, layout={"width": "210px"})

    def to_state(change: Any) -> None:
        if list(change.new) != getattr(state, name):
            setattr(state, name, list(change.new))

    def to_box(*_: Any) -> None:
        box.value = tuple(getattr(state, name))

    to_box()
    box.observe(to_state, "value")
    state.param.watch(to_box, name)
    return box


def _dropdown(state: ExplorerState, name: str, options: Any, width: str = "120px") -> widgets.Dropdown:
    dropdown = widgets.Dropdown(options=list(options), layout={"width": width})
    _bind(dropdown, state, name)
    return dropdown


def _bind(widget: Any, state: ExplorerState, name: str) -> None:
    """Keep a widget and a choice of the state equal; each is set only where it differs, so there is no loop."""

    def assign(target: Any, attribute: str) -> Callable[[Any], None]:
        def set_value(change: Any) -> None:
            if getattr(target, attribute) != change.new:
                setattr(target, attribute, change.new)

        return set_value

    widget.value = getattr(state, name)
    widget.observe(assign(state, name), "value")
    state.param.watch(assign(widget, "value"), name)


def _heading(text: str) -> widgets.HTML:
    return widgets.HTML(f"<b>{text}</b>")


def _swatch(color: str) -> str:
    return f'<div style="width:12px;height:18px;margin-top:6px;background:{color}"></div>'
