"""What a user has chosen: one plain state, whatever face draws it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import param
import xarray as xr

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.trajectories import Selection
from predspace_widgets.views.inpca import COLORINGS, N_AXES

#: So many seeds have a checkbox each; more are a list to select from.
MOST_CHECKBOXES = 12

PROGRESS_METRICS = {"Bhattacharyya": "bhattacharyya", "great circle": "great_circle"}


class ExplorerState(param.Parameterized):
    """The choices of one user on one dataset.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        A trajectories dataset; several states (sessions) can share an `Analysis`.
    choices : values of the parameters below
        An unknown name or value is an error that says what there is.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> state = ExplorerState(random_trajectories())
    >>> state.tasks = ["red", "blue"]
    >>> state.selection.tasks
    ('red', 'blue')
    """

    tasks = param.ListSelector(default=[], check_on_set=True, doc="Tasks whose runs are shown.")
    methods = param.ListSelector(default=[], check_on_set=True, doc="Methods whose runs are shown.")
    seeds = param.ListSelector(default=[], check_on_set=True, doc="Seeds whose runs are shown.")
    epochs = param.Range(default=(0.0, 1.0), doc="First and last epoch, both included.")
    dimensions: Any = param.Selector(default="3-D", objects=["3-D", "2-D"], doc="Axes 1 to 3, or two chosen ones.")
    horizontal: Any = param.Selector(default=1, objects=[1], doc="The InPCA axis drawn to the right in 2-D.")
    vertical: Any = param.Selector(default=2, objects=[1, 2], doc="The InPCA axis drawn upwards in 2-D.")
    color_by: Any = param.Selector(default="task", objects=list(COLORINGS), doc="What colours mean in the picture.")
    progress_metric: Any = param.Selector(
        default="bhattacharyya", objects=PROGRESS_METRICS, doc="The distance that geometric progress minimises."
    )
    first: Any = param.Selector(default=None, objects=[None], doc="One of the two curves that are compared.")
    second: Any = param.Selector(default=None, objects=[None], doc="The other one.")

    def __init__(self, data: xr.Dataset | Analysis, **choices: Any) -> None:
        self.analysis: Analysis = data if isinstance(data, Analysis) else analysis_of(data)
        self.epoch_values: list[float] = sorted({float(epoch) for epoch in self.analysis.ds["epoch"].values})
        super().__init__()
        self._offer()
        self._check_names(choices)
        self.param.update(**choices)

    @property
    def selection(self) -> Selection:
        """The chosen checkpoints."""
        return Selection(tuple(self.tasks), tuple(self.methods), tuple(self.seeds), self.epochs)

    @property
    def epoch_slots(self) -> tuple[int, int]:
        """Places of the first and last recorded epoch in the chosen range, which sliders run over: epochs are dense in
        the beginning. Setting them chooses those epochs."""
        low, high = self.epochs
        inside = [number for number, epoch in enumerate(self.epoch_values) if low <= epoch <= high]
        return (inside[0], inside[-1]) if inside else (0, 0)

    @epoch_slots.setter
    def epoch_slots(self, slots: tuple[int, int]) -> None:
        if slots != self.epoch_slots:  # a range between recorded epochs stays as it was set
            low, high = (self.epoch_values[min(slot, len(self.epoch_values) - 1)] for slot in slots)
            self.epochs = (low, high)

    def on_change(self, seen: Callable[[ExplorerState], Any], react: Callable[[], None]) -> None:
        """Call `react` after each change of choices that changes what `seen` tells of them."""
        last = seen(self)

        def compare(*_: Any) -> None:
            nonlocal last
            now = seen(self)
            if now != last:
                last = now
                react()

        self.param.watch(compare, [name for name in self.param if name != "name"])

    def _offer(self) -> None:
        """Let the parameters know what this dataset has, everything chosen."""
        ds, curves = self.analysis.ds, self.analysis.curve_names
        for name in ("task", "method", "seed"):
            known = list(dict.fromkeys(ds[name].values.tolist()))
            self.param[f"{name}s"].objects = known
            setattr(self, f"{name}s", known)
        # A dataset with a single curve has nothing to compare with: both are the same, and the view says so.
        for name, number in (("first", 0), ("second", min(1, len(curves) - 1))):
            self.param[name].objects = curves
            setattr(self, name, curves[number])
        for name in ("horizontal", "vertical"):
            self.param[name].objects = list(range(1, N_AXES + 1))
        bounds = (self.epoch_values[0], self.epoch_values[-1])
        self.param.epochs.bounds = bounds
        self.epochs = bounds

    def _check_names(self, choices: dict[str, Any]) -> None:
        known = [name for name in self.param if name != "name"]
        unknown = [name for name in choices if name not in known]
        if unknown:
            raise TypeError(f"no choice {unknown[0]!r}; an explorer has {', '.join(known)}")
