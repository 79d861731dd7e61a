"""What a user has chosen: one plain state, whatever face draws it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from typing import Any

import param
import xarray as xr

from predspace_widgets.analysis import Analysis, analysis_of
from predspace_widgets.analysis.groups import label_of
from predspace_widgets.explorers.choices import (
    READERS,
    ImpossibleError,
    Known,
    Problem,
    members_of,
    read,
    unknown_name,
)
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.samples import Samples, class_names
from predspace_widgets.trajectories.selection import CurveKey

# Choices that last for a look, not to be kept in an address or in code.
_FLEETING = ("selected", "sample")
# Ways to choose curves by what they share.
_WAYS_TO_CURVES = {"tasks": "task", "methods": "method"}
# Sentences on what is wrong, at most: they come from outside and are shown.
_MOST_SENTENCES = 10


class _Choice(param.Parameter):
    """A choice whose value is read, and refused if it cannot be, whoever sets it."""

    def __set__(self, state: ExplorerState, value: Any) -> None:
        super().__set__(state, state.read_strictly(str(self.name), value))


class ExplorerState(param.Parameterized):
    """The choices of one user on one dataset, all plain JSON values.

    Parameters
    ----------
    data : xarray.Dataset or Analysis
        A trajectories dataset; several states (sessions) can share an `Analysis`.
    choices : values of the parameters below
        A string where a list is expected is a list of one; numpy's numbers and tuples become plain ones. `tasks` and
        `methods` are ways to choose curves: those of these tasks, by these methods.

    Raises
    ------
    TypeError
        No such choice; the message names those there are, and the nearest.
    ValueError
        A value that cannot be; the message says what there is.

    Notes
    -----
    Two rules hold whoever sets what. The horizontal axis is never the vertical one: where one is set to the other, the
    two change places. Where axes become frozen without being told on what, they are on what is shown then; `frozen` is
    forgotten when they are frozen no longer.

    Examples
    --------
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> state = ExplorerState(random_trajectories(), tasks=["red", "blue"], dimensions="2-D")
    >>> state.selection.curves
    (('red', 'supervised'), ('blue', 'supervised'))
    >>> state.settings()
    {'curves': ['red', 'blue'], 'dimensions': '2-D'}
    >>> state.apply({"dimensions": "pairs", "curves": ["mauve", "red"], "colour": 1})
    ["no curve 'mauve' in this dataset", "no choice 'colour', did you mean 'color_by'?"]
    >>> state.dimensions, state.curves
    ('pairs', ['red'])
    """

    curves: Any = _Choice([], doc="Labels of the curves that are shown, in the order of the dataset.")
    seeds: Any = _Choice([], doc="Seeds whose runs are shown.")
    epochs: Any = _Choice([0.0, 1.0], doc="First and last epoch, both included.")
    where: Any = _Choice({}, doc="Values of attributes of runs that are shown, by name; of others all are.")
    axes_fitted_on: Any = _Choice("everything", doc="What the axes come from: everything, what is shown, or frozen.")
    frozen: Any = _Choice(None, doc="Curves, seeds, epochs and attributes that were shown when axes froze.")
    dimensions: Any = _Choice("3-D", doc="Axes 1 to 3, two chosen ones, or all pairs.")
    horizontal: Any = _Choice(1, doc="The InPCA axis drawn to the right in 2-D.")
    vertical: Any = _Choice(2, doc="The InPCA axis drawn upwards in 2-D.")
    color_by: Any = _Choice("curve", doc="What colours mean in the picture.")
    progress_metric: Any = _Choice("bhattacharyya", doc="The distance that geometric progress minimises.")
    compared: Any = _Choice(
        [], doc="Curves by their labels, or runs by their names: the first is compared with each other."
    )
    time: Any = _Choice(None, doc="How far training has come, in units of `time_by`; None is the end.")
    time_by: Any = _Choice("epoch", doc="What time is counted in.")
    pinned: Any = _Choice([], doc="Labels of curves that stand out.")
    camera: Any = _Choice(None, doc="From where the picture in 3-D is seen, as plotly has it.")
    samples: Any = _Choice(None, doc="Which samples count: a mapping of classes, rows and among; None are all.")
    sample: Any = _Choice(None, doc="Place of the sample that is looked at.")
    tabs: Any = _Choice([], doc="Names of the views that are in front of those at the same place.")
    selected: Any = _Choice([], doc="Rows of the dataset that are looked at.")
    matrix_of: Any = _Choice("progress", doc="Where all pairs are compared: at equal progress, the end, equal steps.")
    matrix_by: Any = _Choice("curve", doc="What all pairs are of: curves, or runs.")
    spectrum: Any = _Choice("share", doc="Of each axis, the stress that it explains, or its eigenvalue.")
    uncertainty: Any = _Choice("none", doc="What is drawn anew for error bars: samples, seeds, runs, or none.")

    def __init__(self, data: xr.Dataset | Analysis, **choices: Any) -> None:
        self._learn(data if isinstance(data, Analysis) else analysis_of(data))
        super().__init__()
        self.param.update(**self.defaults())
        # The first who are told of a change: nobody sees a state that breaks the rules.
        self.param.watch(self._keep_axes_apart, ["horizontal", "vertical"])
        self.param.watch(self._keep_frozen, ["axes_fitted_on", "frozen"])
        self.param.update(**self._read_all(choices))

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name.startswith("_") or name in ("analysis", "known") or hasattr(type(self), name)):
            raise AttributeError(unknown_name(name, [*READERS, *_WAYS_TO_CURVES]))
        super().__setattr__(name, value)

    # -- what there is to choose from ----------------------------------------------------------------------------------

    def _learn(
        self,
        analysis: Analysis,
        new_curves: Sequence[CurveKey] = (),
        seeds: Sequence[int] | None = None,
        epochs: tuple[float, float] | None = None,
        n_new: int = 0,
    ) -> None:
        ds = analysis.ds
        self.analysis = analysis
        pairs = [*analysis.curve_pairs, *new_curves]
        self._pairs = {label_of(*pair): pair for pair in pairs}
        if seeds is None:
            seeds = list(dict.fromkeys(int(seed) for seed in ds["seed"].values))
        n_samples = ds.sizes.get("sample", 0)
        classes = class_names(ds) if "class" in ds.sizes else []
        runs = dict.fromkeys(ds["run"].values.astype(str).tolist())
        attributes = {name: known.values for name, known in analysis.attributes.items()}
        n_checkpoints = ds.sizes["checkpoint"] + n_new
        self.known = Known(list(self._pairs), list(seeds), n_checkpoints, classes, n_samples, runs, attributes)
        self._epochs = epochs or (float(ds["epoch"].values.min()), float(ds["epoch"].values.max()))

    def grow(
        self,
        analysis: Analysis,
        new_curves: Sequence[CurveKey] = (),
        seeds: Sequence[int] | None = None,
        epochs: tuple[float, float] | None = None,
        n_new: int = 0,
    ) -> None:
        """Go on while a dataset grows: who sees everything goes on seeing everything, and other choices stay.

        Parameters
        ----------
        analysis : Analysis
            Of what is measured.
        new_curves : sequence of (task, method, ...)
            Curves that it does not have yet.
        seeds : sequence of int, optional
            All that there are; by default those of the analysis.
        epochs : pair of float, optional
            The first and the last of all; by default those of the analysis.
        n_new : int
            Checkpoints that it does not have yet.
        """
        before = self.defaults()
        follows = [name for name in ("curves", "seeds", "epochs") if getattr(self, name) == before[name]]
        self._learn(analysis, new_curves, seeds, epochs, n_new)
        after = self.defaults()
        with param.parameterized.discard_events(self):  # nothing was chosen
            for name in follows:
                setattr(self, name, after[name])

    # -- choices as plain values ---------------------------------------------------------------------------------------

    def choices(self) -> dict[str, Any]:
        """All choices, as JSON has them."""
        return {name: copy.deepcopy(getattr(self, name)) for name in READERS}

    def defaults(self) -> dict[str, Any]:
        """What is chosen at first on this dataset."""
        curves = self.known.curves
        fixed = {name: copy.deepcopy(type(self).param[name].default) for name in READERS}
        return fixed | {
            "curves": list(curves),
            "seeds": list(self.known.seeds),
            "epochs": list(self._epochs),
            # A dataset with a single curve has nothing to compare with: both are the same, and the view says so.
            "compared": [curves[0], curves[min(1, len(curves) - 1)]],
        }

    def settings(self, looked_at: bool = False) -> dict[str, Any]:
        """The choices that are not the first ones of this dataset: `ExplorerState(ds, **settings)` has them again.

        Parameters
        ----------
        looked_at : bool
            Also what is looked at, which does not last.
        """
        defaults = self.defaults()
        left_out = () if looked_at else _FLEETING
        return {
            name: value for name, value in self.choices().items() if value != defaults[name] and name not in left_out
        }

    def apply(self, choices: Any) -> list[str]:
        """Choose what an address or a browser says, as far as it can be; nothing that it may hold is an error.

        Parameters
        ----------
        choices : dict
            Values by the names of choices. Of a list, the members that are known are chosen.

        Returns
        -------
        list of str
            What could not be chosen, one short sentence each.
        """
        if not isinstance(choices, dict):
            return ["choices must be given by their names"]
        problems: list[Problem] = []
        values: dict[str, Any] = {}
        for name, value in self._by_curves(choices, problems).items():
            if name not in READERS:
                problems.append(Problem(unknown_name(name, READERS)))
                continue
            try:
                values[name], left_out = read(name, value, self.known)
                problems += left_out
            except ImpossibleError as error:
                problems.append(error.problem)
        try:
            _check_axes_apart(values)
        except ImpossibleError as error:
            problems.append(error.problem)
            del values["horizontal"], values["vertical"]
        self.param.update(**values)
        more = len(problems) - _MOST_SENTENCES
        told = [problem.sentence for problem in problems[:_MOST_SENTENCES]]
        return [*told, f"and {more} more"] if more > 0 else told

    # -- what they choose ----------------------------------------------------------------------------------------------

    @property
    def selection(self) -> Selection:
        """The checkpoints that are shown."""
        return self._selection(self.curves, self.seeds, self.epochs, self.where)

    @property
    def fitted_on(self) -> Selection | None:
        """The checkpoints that the axes come from; None are those that are shown."""
        if self.axes_fitted_on == "shown":
            return None
        return Selection() if self.axes_fitted_on == "everything" else self._selection(**self.frozen)

    @property
    def on_samples(self) -> Analysis:
        """The analysis of the samples that count.

        Raises
        ------
        ValueError
            They cannot be analysed, and why; or the dataset holds an embedding only.
        """
        return self.analysis.of_samples(self._which_samples)

    @property
    def of_what(self) -> str:
        """Which samples count and how many they are, in words; nothing where all do."""
        which = self._which_samples
        return "" if which is None else which.describe(self.analysis.ds)

    @property
    def _which_samples(self) -> Samples | None:
        if self.samples is None:
            return None
        chosen: dict[str, Any] = {name: tuple(members) for name, members in self.samples.items()}
        return Samples(**chosen)

    @property
    def tasks(self) -> list[str]:
        """Tasks of the curves that are shown; setting them shows the curves of these tasks, by whatever method."""
        return list(dict.fromkeys(self._pairs[curve][0] for curve in self.curves))

    @tasks.setter
    def tasks(self, tasks: str | Collection[str]) -> None:
        self.param.update(**self._read_all({"tasks": tasks}))

    @property
    def methods(self) -> list[str]:
        """Methods of the curves that are shown; setting them shows the curves by these methods, of whatever task."""
        return list(dict.fromkeys(self._pairs[curve][1] for curve in self.curves))

    @methods.setter
    def methods(self, methods: str | Collection[str]) -> None:
        self.param.update(**self._read_all({"methods": methods}))

    def on_change(self, seen: Callable[[ExplorerState], Any], react: Callable[[], None]) -> None:
        """Call `react` after each change of choices that changes what `seen` tells of them."""
        last = seen(self)

        def compare(*_: Any) -> None:
            nonlocal last
            now = seen(self)
            if now != last:
                last = now
                react()

        self.param.watch(compare, list(READERS))

    # -- the pieces ----------------------------------------------------------------------------------------------------

    def read_strictly(self, name: str, value: Any) -> Any:
        """The plain value of a choice; ValueError, with what there is, where a part of it cannot be."""
        plain, problems = read(name, value, self.known)
        if problems:
            raise ValueError(str(problems[0]))
        return plain

    def _read_all(self, choices: dict[str, Any]) -> dict[str, Any]:
        names = [*READERS, *_WAYS_TO_CURVES]
        for name in choices:
            if name not in names:
                raise TypeError(f"{unknown_name(name, names)}; an explorer has {', '.join(names)}")
        problems: list[Problem] = []
        by_curves = self._by_curves(choices, problems)
        if problems:
            raise ValueError(str(problems[0]))
        values = {name: self.read_strictly(name, value) for name, value in by_curves.items()}
        _check_axes_apart(values)
        return values

    def _by_curves(self, choices: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """The choices with curves in place of tasks and methods: those that have one of each, and are chosen."""
        ways = {name: choices[name] for name in _WAYS_TO_CURVES if name in choices}
        if not ways:
            return choices
        rest = {name: value for name, value in choices.items() if name not in ways}
        wanted: dict[str, list[str]] = {}
        for place, (name, what) in enumerate(_WAYS_TO_CURVES.items()):
            there = list(dict.fromkeys(pair[place] for pair in self._pairs.values()))
            try:
                wanted[name] = members_of(name, ways[name], what, there, problems) if name in ways else there
            except ImpossibleError as error:
                problems.append(error.problem)
                return rest
        curves = [
            label
            for label, (task, method, *_) in self._pairs.items()
            if task in wanted["tasks"] and method in wanted["methods"]
        ]
        if "curves" in rest:
            try:
                chosen, left_out = read("curves", rest.pop("curves"), self.known)
            except ImpossibleError as error:
                problems.append(error.problem)
                return rest
            problems += left_out
            wanted["curves"], curves = chosen, [curve for curve in curves if curve in chosen]
        if not curves and all(wanted.values()):
            problems.append(Problem(f"no curve has these {' and '.join(name for name in choices if name in wanted)}"))
            return rest
        return {**rest, "curves": curves}

    def _selection(
        self, curves: list[str], seeds: list[int], epochs: list[float], where: dict[str, list[str]] | None = None
    ) -> Selection:
        """Of everything there is, nothing is said: a dataset that grows is shown as it grows."""
        every, (first, last) = self.defaults(), epochs
        return Selection(
            seeds=None if seeds == every["seeds"] else tuple(seeds),
            epochs=None if epochs == every["epochs"] else (first, last),
            curves=None if curves == every["curves"] else tuple(self._pairs[curve] for curve in curves),
            where=tuple((name, tuple(values)) for name, values in (where or {}).items()) or None,
        )

    def _keep_axes_apart(self, *changes: Any) -> None:
        if self.horizontal == self.vertical:
            changed = changes[0]
            setattr(self, "vertical" if changed.name == "horizontal" else "horizontal", changed.old)

    def _keep_frozen(self, *changes: Any) -> None:
        told = {change.name: change for change in changes}
        if self.axes_fitted_on == "frozen" and self.frozen is None:
            shown = {name: getattr(self, name) for name in ("curves", "seeds", "epochs")}
            self.frozen = {**shown, "where": self.where} if self.where else shown
        elif "axes_fitted_on" in told and told["axes_fitted_on"].old == "frozen" and "frozen" not in told:
            self.frozen = None


def _check_axes_apart(values: dict[str, Any]) -> None:
    if "horizontal" in values and values["horizontal"] == values.get("vertical"):
        raise ImpossibleError(Problem("horizontal and vertical must be two different axes"))
