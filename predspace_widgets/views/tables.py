"""The rows that marks are drawn from: checkpoints, means, runs, curves, axes; stage/tables.js is its twin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.frame import knows_all_axes, stored_spectrum, stored_stress
from predspace_widgets.geometry.ellipses import ellipses
from predspace_widgets.geometry.probabilities import Array
from predspace_widgets.trajectories.attributes import Attribute
from predspace_widgets.views.error_bars import N_SPECTRUM, error_bars
from predspace_widgets.views.style import (
    INK,
    MUTED,
    PALETTE,
    EpochScale,
    curve_styles,
    percent,
    plain,
    short,
    short_names,
)
from predspace_widgets.views.thinning import ordinal, thin

#: Axes that a picture is computed with: what the spectrum shows, and what any two axes are chosen from.
N_AXES = 5
#: Axes that the spectrum of a published picture shows, of which more are often known, up to so many.
N_PUBLISHED = 20
#: What every checkpoint has, besides its coordinates in a picture: what names it, and what is measured on its samples.
LABELS = ("epoch", "log epoch", "step", "seed")
QUANTITIES = (*LABELS, "accuracy", "step length", "tube distance")
PROGRESS = ("progress bhattacharyya", "progress great_circle")

# Of a checkpoint: the error bar of its mean over seeds, on an axis by its number.
_SPREAD = "spread of mean inpca "
# Of the extent of an axis: what is left free at either end.
_ROOM = 0.03
# Of lengths: what so many times exceeds that of three quarters of the runs is past the axis.
FAR = 2
# Points of an outline in the plane, and of each of the three in space.
_OUTLINE = {2: 49, 3: 33}
_Rows = NDArray[np.intp]


@dataclass
class Table:
    """Rows with columns that are computed when they are asked for.

    Attributes
    ----------
    compute : function from a column's name to its values (n,)
    curve : array of int, shape (n,), or None
        Place of each row's curve in the dataset; None for rows that belong to none.
    rows : array of int, shape (n,)
        The checkpoint of the dataset that each row is, -1 for none.
    line : array, shape (n,), or None
        Rows with the same value are a line; None where the curve says it.
    """

    compute: Callable[[str], NDArray[Any]]
    curve: NDArray[Any] | None
    rows: NDArray[Any]
    line: NDArray[Any] | None = None
    _known: dict[str, NDArray[Any]] = field(default_factory=dict)

    def column(self, name: str) -> NDArray[Any]:
        """Values (n,) of a column."""
        if name not in self._known:
            self._known[name] = self.compute(name)
        return self._known[name]


_EMPTY = Table(lambda name: np.zeros(0), None, np.zeros(0, dtype=int))


def _of_axes(columns: Mapping[str, NDArray[Any]]) -> Table:
    """A table of axes, which are of no curve and no checkpoint."""
    n_axes = len(next(iter(columns.values())))
    return Table(columns.__getitem__, None, np.full(n_axes, -1))


def quantity(analysis: Analysis, name: str) -> NDArray[Any]:
    """A quantity of all checkpoints, (T,).

    Raises
    ------
    NoPredictionsError
        It needs predictions, and the dataset has none.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import geodesic_run
    >>> quantity(analysis_of(geodesic_run(3)), "epoch")
    array([0. , 0.5, 1. ])
    """
    if name in ("epoch", "step", "seed"):
        return np.asarray(analysis.ds[name].values)
    if name == "log epoch":
        return epoch_scale(analysis)(analysis.ds["epoch"].values)
    if name == "accuracy":
        return np.asarray(analysis.accuracy().values)
    if name == "step length":
        return analysis.measured.step_lengths()
    if name.startswith("attribute "):
        known = analysis.attributes[name.removeprefix("attribute ")]
        return np.asarray(known.codes if known.numbers is None else known.numbers[known.codes], dtype=float)
    if name == "tube distance":
        return analysis.measured.tube_distance()
    if name in PROGRESS:
        return np.asarray(analysis.progress(name.removeprefix("progress ")).values)  # type: ignore[arg-type]
    raise ValueError(f"checkpoints have no {name!r}")


def epoch_scale(analysis: Analysis) -> EpochScale:
    """The logarithmic scale of all epochs of a dataset."""
    return EpochScale(analysis.ds["epoch"].values)


def axes_info(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """What an axis or a scale of colours says of each quantity: its title, its ticks, its lowest and highest value."""
    scale = epoch_scale(analysis)
    ticks = {"tickmode": "array", "tickvals": scale.tickvals, "ticktext": scale.ticktext}
    progress = {"title": "progress from<br>ignorance to truth", "low": 0.0, "high": 1.0}
    bounds = scale(analysis.ds["epoch"].values)
    return {
        "epoch": {"title": "epoch"},
        "log epoch": {
            "title": "epoch (logarithmic)",
            "ticks": ticks,
            "low": float(bounds.min()),
            "high": float(bounds.max()),
        },
        "step": {"title": "step"},
        "accuracy": {"title": "accuracy", "low": 0.0, "high": 1.0},
        **dict.fromkeys(PROGRESS, progress),
        "length": {"title": "Riemann length"},
        "tube distance": {"title": "distance to the<br>shortest path"},
        **{f"attribute {name}": _attribute_info(name, known) for name, known in analysis.attributes.items()},
    }


def _attribute_info(name: str, known: Attribute) -> dict[str, Any]:
    """Of an attribute of runs: numbers have a scale, text a colour for each value, which the scale's ticks name."""
    if known.numbers is not None:
        finite = known.numbers[np.isfinite(known.numbers)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        return {"title": plain(name), "low": low, "high": high}
    n = len(known.values)
    colors = [PALETTE[place % len(PALETTE)] if value else MUTED for place, value in enumerate(known.values)]
    texts = [plain(short(value)) if value else "none" for value in known.values]
    return {
        "title": plain(name),
        "low": -0.5,
        "high": n - 0.5,
        "ticks": {"tickmode": "array", "tickvals": list(range(n)), "ticktext": texts},
        "colorscale": [[(place + end) / n, color] for place, color in enumerate(colors) for end in (0, 1)],
    }


def references_of(analysis: Analysis) -> str:
    """What ignorance, truth and the way between them look like, or that a picture has none."""
    if not analysis.has_predictions:
        return "It comes without predictions: where ignorance and truth are is not known."
    return "● knows nothing (all classes equally likely), ★ knows every label; dashed: the shortest path."


def published_note(analysis: Analysis) -> str:
    """What the axes of a published picture are those of."""
    note = "Axes and stress are those of the whole published set, whatever is chosen."
    if not knows_all_axes(analysis.ds):
        note += " Nothing says which axes were left out: the stress counts those that are there as all."
    return note


class Tables:
    """All tables for the choices of one moment.

    Parameters
    ----------
    analysis : Analysis
    choices : ExplorerState or what has its attributes

    Raises
    ------
    EmptySelectionError
        Nothing is chosen.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories import Selection
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> choices = SimpleNamespace(selection=Selection(seeds=(0,)), fitted_on=None, time=None)
    >>> tables = Tables(analysis_of(random_trajectories()), choices)
    >>> tables["runs"].column("n_checkpoints")
    array([8, 8, 8])
    """

    def __init__(self, analysis: Analysis, choices: Any) -> None:
        self.analysis, self.choices = analysis, choices
        self.rows: _Rows = choices.selection.rows(analysis.ds)
        self.curve: _Rows = analysis.curve_numbers[self.rows]
        self.names = [plain(label) for label in analysis.curve_names]
        self.short_names = [plain(name) for name in short_names(analysis.curve_names)]
        self._tables: dict[str, Table] = {}

    def __getitem__(self, name: str) -> Table:
        if name not in self._tables:
            makers: Mapping[str, Callable[[], Table]] = {
                "checkpoints": self._checkpoints,
                "means": self._means,
                "past": self._past,
                "heads": self._heads,
                "runs": self._runs,
                "curves": self._curves,
                "beyond": self._beyond,
                "axes": self._axes,
                "spectrum": self._spectrum,
                "ellipses": lambda: self._ellipses(2),
                "ellipsoids": lambda: self._ellipses(3),
                "stress band": self._stress_band,
                "spectrum band": self._spectrum_band,
                "geodesic": lambda: self._geodesic(slice(None)),
                "ignorance": lambda: self._geodesic(slice(0, 1)),
                "truth": lambda: self._geodesic(slice(-1, None)),
            }
            self._tables[name] = makers[name]()
        return self._tables[name]

    @cached_property
    def picture(self) -> xr.Dataset:
        """The InPCA picture; see `Analysis.picture`."""
        return self.analysis.picture(self.choices.selection, N_AXES, fitted_on=self.choices.fitted_on)

    @cached_property
    def bars(self) -> dict[str, Any] | None:
        """What error bars are drawn from, or None; see `error_bars`."""
        return error_bars(self.analysis, self.choices)

    def info(self, column: str) -> dict[str, Any]:
        """What an axis says of a column; see `axes_info`."""
        if column.startswith("inpca "):
            number = int(column.removeprefix("inpca "))
            return {"title": self._axis_title(number), "range": self._extent(number)}
        if column == "place":
            curves = np.unique(self.curve).tolist()
            ticks = _ticks([self._name("curve short name", curve) for curve in curves])
            return {"title": "", "ticks": ticks, "range": [len(curves) - 0.5, -0.5]}  # the first at the top
        info = self._info.get(column, {"title": column})
        return info | {"range": [0.0, self._reach]} if column == "length" and self._reach else info

    @cached_property
    def _reach(self) -> float:
        """Where the axis of lengths ends when a few runs went much farther than most; 0: it has room for all."""
        lengths = np.sort(self["runs"].column("length"))
        within = lengths[lengths <= FAR * lengths[math.ceil(0.75 * len(lengths)) - 1]]
        return 1.25 * float(within[-1]) if len(within) < len(lengths) else 0.0

    @cached_property
    def _info(self) -> dict[str, dict[str, Any]]:
        return axes_info(self.analysis)

    def fact(self, name: str) -> str:
        """A sentence on what is drawn, empty where there is nothing to say."""
        return str(getattr(self, f"_fact_{name}")())

    # -- tables --------------------------------------------------------------------------------------------------------

    def _quantity(self, name: str) -> NDArray[Any]:
        """Values of a column of the chosen checkpoints, (n,)."""
        if name.startswith("inpca "):
            return _component(self.picture["embedding"].values, name)
        if name.startswith(_SPREAD):
            return self._spread_of_mean(int(name.removeprefix(_SPREAD)))
        return quantity(self.analysis, name)[self.rows]

    def _spread_of_mean(self, number: int) -> NDArray[Any]:
        """Of each chosen checkpoint (n,), the error bar on an axis of the mean over seeds at its curve and step."""
        assert self.bars is not None  # else nobody asks
        bars = self.bars["spreads"]
        spreads = dict(zip(zip(bars["curve"], bars["step"], strict=True), bars["of"], strict=True))
        steps = self.analysis.ds["step"].values[self.rows].tolist()
        own = [spreads.get(mean) for mean in zip(self.curve.tolist(), steps, strict=True)]
        return np.array([np.nan if of is None else (of[number - 1 : number] or [0.0])[0] for of in own])

    @cached_property
    def _run(self) -> _Rows:
        """A number for the run of each chosen checkpoint, (n,)."""
        return np.unique(self.analysis.ds["run"].values, return_inverse=True)[1][self.rows]

    @cached_property
    def _thinned(self) -> tuple[_Rows, int]:
        return thin(self._run)

    def _checkpoints(self) -> Table:
        drawn = self._thinned[0]
        return Table(lambda name: self._quantity(name)[drawn], self.curve[drawn], self.rows[drawn], self._run[drawn])

    @cached_property
    def _groups(self) -> tuple[_Rows, _Rows, _Rows]:
        """The chosen checkpoints by curve and step: their order, where each group starts, how many it has."""
        step = self.analysis.ds["step"].values[self.rows]
        order = np.lexsort((step, self.curve))
        changes = (np.diff(self.curve[order]) != 0) | (np.diff(step[order]) != 0)
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        return order, starts, np.diff(np.append(starts, len(order)))

    @cached_property
    def _curve_of_means(self) -> _Rows:
        order, starts, _ = self._groups
        return self.curve[order][starts]

    def _mean_column(self, name: str) -> NDArray[Any]:
        """A column of all means over seeds; "low X" and "high X" are the lowest and the highest of the seeds."""
        order, starts, counts = self._groups
        if name == "n_seeds":
            return counts
        which, _, rest = name.partition(" ")
        if which in ("low", "high"):
            return (np.minimum if which == "low" else np.maximum).reduceat(self._quantity(rest)[order], starts)
        return np.asarray(np.add.reduceat(self._quantity(name)[order].astype(float), starts) / counts)

    @cached_property
    def _thinned_means(self) -> tuple[_Rows, int]:
        return thin(self._curve_of_means)

    def _means(self) -> Table:
        drawn = self._thinned_means[0]
        curve = self._curve_of_means[drawn]
        return Table(lambda name: self._mean_column(name)[drawn], curve, np.full(len(drawn), -1))

    @cached_property
    def _moments(self) -> tuple[_Rows, _Rows, Array]:
        """The means up to the time, and where each curve is then: points before and after, and the way between."""
        means, time = self["means"], self.choices.time
        assert means.curve is not None
        parts = []
        for curve in np.unique(means.curve):
            points = np.flatnonzero(means.curve == curve)
            n_past, way = len(points), 0.0
            if time is not None:
                clock = self._clock(points)
                n_past = int(np.searchsorted(clock, time, side="right"))
                if 0 < n_past < len(points):
                    way = float((time - clock[n_past - 1]) / (clock[n_past] - clock[n_past - 1]))
            last = points[max(0, n_past - 1)]
            head = points[min(n_past, len(points) - 1)] if way > 0 else last
            before = np.append(points[:n_past], last)
            after = np.append(points[:n_past], head)
            parts.append((before, after, np.append(np.zeros(n_past), way)))
        befores, afters, ways = zip(*parts, strict=True)
        return np.concatenate(befores), np.concatenate(afters), np.concatenate(ways)

    def _clock(self, points: _Rows) -> Array:
        """When each of some means of a curve is reached; progress counts once it is reached first."""
        by = self.choices.time_by
        if by != "progress":
            return np.asarray(self["means"].column(by)[points], dtype=float)
        progress = self["means"].column(f"progress {self.choices.progress_metric}")[points]
        return np.maximum.accumulate(progress)

    def _past(self) -> Table:
        return self._at(*self._moments)

    def _heads(self) -> Table:
        before, after, way = self._moments
        curve = self["means"].curve
        assert curve is not None
        last = np.append(np.flatnonzero(np.diff(curve[before])), len(before) - 1)
        return self._at(before[last], after[last], way[last])

    def _at(self, before: _Rows, after: _Rows, way: Array) -> Table:
        """Means between means."""
        means = self["means"]
        assert means.curve is not None
        curve = means.curve[before]

        def compute(name: str) -> NDArray[Any]:
            if name in ("curve name", "curve short name"):
                return np.array([self._name(name, number) for number in curve.tolist()], dtype=object)
            values = means.column(name)
            return np.asarray(values[before] * (1 - way) + values[after] * way)

        return Table(compute, curve, np.full(len(before), -1))

    def _name(self, column: str, curve: int) -> str:
        return self.names[curve] if column == "curve name" else self.short_names[curve]

    @cached_property
    def _runs_of_rows(self) -> list[_Rows]:
        """Places of the checkpoints of each run among the chosen, runs by curve and then as they come."""
        order = np.argsort(self._run, kind="stable")
        members = np.split(order, np.flatnonzero(np.diff(self._run[order])) + 1)
        return sorted(members, key=lambda places: (self.curve[places[0]], places[0]))

    @property
    def runs_shown(self) -> NDArray[Any]:
        """A number for each run that is shown."""
        return np.unique(self._run)

    def _runs(self) -> Table:
        members = self._runs_of_rows
        first = np.array([places[0] for places in members])
        shown = {curve: place for place, curve in enumerate(np.unique(self.curve).tolist())}

        def compute(name: str) -> NDArray[Any]:
            if name == "length":  # the first chosen checkpoint starts the way
                steps = self._quantity("step length")
                return np.array([steps[places[1:]].sum() for places in members])
            if name == "n_checkpoints":
                return np.array([len(places) for places in members])
            if name == "last step":
                return np.asarray(self._quantity("step")[[places[-1] for places in members]])
            if name == "place":
                return np.array([shown[curve] for curve in self.curve[first].tolist()])
            return np.asarray(self._quantity("step" if name == "first step" else name)[first])

        last = np.array([places[-1] for places in members])
        return Table(compute, self.curve[first], self.rows[last])

    def _curves(self) -> Table:
        runs = self["runs"]
        assert runs.curve is not None
        curves, place, counts = np.unique(runs.curve, return_inverse=True, return_counts=True)

        def compute(name: str) -> NDArray[Any]:
            if name == "place":
                return np.arange(len(curves))
            if name == "n_runs":
                return counts
            return np.bincount(place, weights=runs.column(name)) / counts

        return Table(compute, curves, np.full(len(curves), -1))

    def _beyond(self) -> Table:
        """Curves with a run whose length is past the axis, and the longest."""
        runs = self["runs"]
        assert runs.curve is not None
        lengths = runs.column("length")
        longest = {
            int(curve): float(lengths[runs.curve == curve].max())
            for curve in np.unique(runs.curve[lengths > self._reach])
            if self._reach
        }
        places = np.searchsorted(np.unique(runs.curve), list(longest))
        columns = {
            "reach": np.full(len(longest), self._reach),
            "place": places,
            "text": np.array([f"→ {length:.1f}" for length in longest.values()], dtype=object),
        }
        return Table(columns.__getitem__, np.array(list(longest), dtype=int), np.full(len(longest), -1))

    def _axes(self) -> Table:
        if self.analysis.has_predictions:
            together, eigenvalues = (self.picture[name].values for name in ("explained_stress", "eigenvalue"))
        else:  # of axes without coordinates too
            together, eigenvalues = (known(self.analysis.ds)[:N_AXES] for known in (stored_stress, stored_spectrum))
        own = np.diff(together, prepend=0.0)
        names = [f"{number}{' i' if value < 0 else ''}" for number, value in enumerate(eigenvalues, start=1)]
        columns = {
            "axis": np.arange(1, len(own) + 1),
            "name": np.array(names, dtype=object),
            "eigenvalue": eigenvalues,
            "stress": own,
            "before": together - own,
            "cumulative": together,
            "top": together if self.bars is None else np.maximum(together, self.bars["stress"]["high"][: len(own)]),
            "percent": np.array([percent(share) for share in together], dtype=object),
        }
        if self.bars is not None:
            for name, band in (("cumulative", self.bars["stress"]), ("magnitude", self.bars["magnitude"])):
                columns |= {f"{name} {end}": np.array(band[end][: len(own)]) for end in ("low", "high")}
        return _of_axes(columns)

    def _spectrum(self) -> Table:
        """All axes that are known, but those with the eigenvalue 0, which a logarithm does not have."""
        if self.analysis.has_predictions:
            picture = self.analysis.picture(self.choices.selection, N_SPECTRUM, fitted_on=self.choices.fitted_on)
            eigenvalues = picture["eigenvalue"].values
        else:
            eigenvalues = stored_spectrum(self.analysis.ds)[:N_PUBLISHED]
        axes = np.flatnonzero(eigenvalues)
        imaginary = eigenvalues[axes] < 0
        columns = {
            "axis": axes + 1,
            "magnitude": np.abs(eigenvalues[axes]),
            "fill": np.where(imaginary, "white", INK).astype(object),
            "sign": np.where(imaginary, "i", "").astype(object),
        }
        return _of_axes(columns)

    def _ellipses(self, d: int) -> Table:
        """Outlines of error bars, of some means, on d axes: "outline 1 3 2" is on the second of the axes 1 and 3."""
        if self.bars is None:
            return _EMPTY
        order, starts, _ = self._groups
        steps = self.analysis.ds["step"].values[self.rows[order][starts]]
        means = {mean: place for place, mean in enumerate(zip(self._curve_of_means, steps, strict=True))}
        places = [means[mean] for mean in zip(self.bars["curve"], self.bars["step"], strict=True)]
        covariance = np.array(self.bars["covariance"])  # (mean, k, k)
        missing = (0, max(0, N_AXES - covariance.shape[-1]))  # axes that so few points do not have
        covariance = np.pad(covariance, ((0, 0), missing, missing))
        n_outlines, n_points = d * (d - 1) // 2, _OUTLINE[d]

        def compute(name: str) -> NDArray[Any]:
            *axes, number = (int(text) - 1 for text in name.removeprefix("outline ").split())
            outlines = ellipses(covariance[:, axes][:, :, axes], n_points)[..., number]  # (mean, outline, point)
            centres = self._mean_column(f"inpca {axes[number] + 1}")[places]
            return np.ravel(centres[:, None, None] + outlines)

        curve = np.repeat(self.bars["curve"], n_outlines * n_points)
        return Table(compute, curve, np.full(len(curve), -1), np.arange(len(curve)) // n_points)

    def _stress_band(self) -> Table:
        """From where to where draws have the explained stress of the first axes: two rows each."""
        if self.bars is None:
            return _EMPTY
        ends = np.array([self.bars["stress"][end][:N_AXES] for end in ("low", "high")])  # (2, axis)
        names, line = self["axes"].column("name"), np.repeat(np.arange(ends.shape[1]), 2)
        columns = {"end": ends.T.ravel(), "name": names[line]}
        return Table(columns.__getitem__, None, np.full(len(line), -1), line)

    def _spectrum_band(self) -> Table:
        """From where to where draws have the magnitude of each eigenvalue; of a logarithm nothing is below 0."""
        if self.bars is None:
            return _EMPTY
        low, high = (np.array(self.bars["magnitude"][end]) for end in ("low", "high"))
        axes = np.flatnonzero(low > 0)
        return _of_axes({"axis": axes + 1, "low": low[axes], "high": high[axes]})

    def _geodesic(self, which: slice) -> Table:
        if "geodesic" not in self.picture:
            return _EMPTY
        line = self.picture["geodesic"].values[which]
        return Table(lambda name: _component(line, name), None, np.full(len(line), -1))

    # -- what axes and captions say ------------------------------------------------------------------------------------

    def _axis_title(self, number: int) -> str:
        if number > self.picture.sizes["component"]:
            return f"InPCA {number} · 0%"
        component = self.picture.isel(component=number - 1)
        imaginary = " (imaginary)" if float(component["eigenvalue"]) < 0 else ""
        return f"InPCA {number}{imaginary} · {percent(float(component['axis_stress']))}"

    def _extent(self, number: int) -> list[float]:
        """From where to where an axis is drawn: all that it was fitted on and all that is shown, with some room.

        So hiding a curve moves nothing, unless the axes follow.
        """
        fitted_on, name = self.choices.fitted_on, f"inpca {number}"
        pictures = [self.picture]
        if fitted_on is not None and self.analysis.has_predictions:
            pictures.append(self.analysis.picture(fitted_on, N_AXES))
        shown = [picture[what].values for picture in pictures for what in ("embedding", "geodesic") if what in picture]
        values = np.concatenate([_component(coordinates, name) for coordinates in shown])
        room = _ROOM * float(values.max() - values.min()) or _ROOM
        return [float(values.min()) - room, float(values.max()) + room]

    def _fact_meaning(self) -> str:
        return curve_styles(self.analysis.curve_pairs, self.analysis.curve_coordinates)[1]

    def _fact_references(self) -> str:
        return references_of(self.analysis)

    def _fact_ellipses(self) -> str:
        return self._said_of_bars("space" if self.choices.dimensions == "3-D" else "plane")

    def _fact_draws(self) -> str:
        return self._said_of_bars("draws")

    def _fact_bands(self) -> str:
        return self._said_of_bars("spectrum")

    def _said_of_bars(self, what: str) -> str:
        return "" if self.bars is None else str(self.bars["sentences"][what])

    def _fact_fitted(self) -> str:
        if not self.analysis.has_predictions:
            return published_note(self.analysis)
        n_fitted, fitted_on = self.picture.attrs["fitted_on"], self.choices.axes_fitted_on
        what = {
            "everything": f"everything, {n_fitted:,} checkpoints",
            "shown": f"the {n_fitted:,} checkpoints shown",
            "frozen": f"the {n_fitted:,} checkpoints shown when they were frozen",
        }[fitted_on]
        return f"Axes fitted on {what}."

    def _fact_landmarks(self) -> str:
        if "landmarks" not in self.picture.attrs:
            return ""
        return f"They come from {self.picture.attrs['landmarks']:,} landmark checkpoints; the rest are projected."

    def _fact_thinned(self) -> str:
        sentences = []
        drawn, k = self._thinned
        if k > 1:
            sentences.append(
                f"Drawn: every {ordinal(k)} checkpoint of each run, with its first and last "
                f"({len(drawn):,} of {len(self.rows):,}); everything is computed from all of them."
            )
        drawn, k = self._thinned_means
        if k > 1:
            n_means = len(self._curve_of_means)
            sentences.append(f"Of the means: every {ordinal(k)} point ({len(drawn):,} of {n_means:,}).")
        return " ".join(sentences)

    def _fact_beyond(self) -> str:
        """That the axis of lengths ends before the longest."""
        return "→: the longest run there, past the axis." if self._reach else ""

    def _fact_schedule(self) -> str:
        """On the checkpoints that lengths were summed over: lengths compare on equal schedules only."""
        runs = self["runs"]
        counts, first, last = (runs.column(name) for name in ("n_checkpoints", "first step", "last step"))
        if any(len(np.unique(column)) > 1 for column in (counts, first, last)):
            return f"Schedules differ ({counts.min()} to {counts.max()} checkpoints): lengths do not compare."
        if counts[0] == 1:
            return f"1 checkpoint a run, step {first[0]}: no way yet."
        return f"{counts[0]} checkpoints a run, steps {first[0]} to {last[0]}."


def _component(coordinates: Array, name: str) -> Array:
    """Coordinates on the axis "inpca k"; 0 on an axis that so few points do not have."""
    place = int(name.removeprefix("inpca ")) - 1
    return coordinates[:, place] if place < coordinates.shape[1] else np.zeros(len(coordinates))


def _ticks(names: list[str]) -> dict[str, Any]:
    return {"tickmode": "array", "tickvals": list(range(len(names))), "ticktext": names}
