"""What the stage is sent, and what it asks of Python: the numbers of a dataset, and results for some choices."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.frame import stored_spectrum, stored_stress
from predspace_widgets.analysis.groups import label_of, within_task
from predspace_widgets.explorers.choices import OPTIONS
from predspace_widgets.explorers.news import N_AXES as _MOST_AXES
from predspace_widgets.explorers.news import Listeners, News
from predspace_widgets.explorers.prepared import Prepared
from predspace_widgets.explorers.stage.packing import compress, condensed24, pack
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.demo import is_demo
from predspace_widgets.trajectories.selection import CurveKey
from predspace_widgets.trajectories.source import is_local, source_of
from predspace_widgets.views import VIEWS, ResultView, View
from predspace_widgets.views.error_bars import N_SPECTRUM, error_bars
from predspace_widgets.views.style import Style, curve_styles, faint, next_style, plain, short, short_names, tint
from predspace_widgets.views.tables import (
    LABELS,
    N_AXES,
    N_PUBLISHED,
    PROGRESS,
    QUANTITIES,
    axes_info,
    epoch_scale,
    published_note,
    quantity,
    references_of,
)
from predspace_widgets.views.thinning import MOST_DRAWN
from predspace_widgets.views.view import Drawing

#: Of up to so many checkpoints all distances are sent, and the stage computes any picture itself.
MOST_SENT = 3_000
# Of up to so many, as float32: their picture may be of late checkpoints alone, which are close. Of more, in 24 bits.
_MOST_WHOLE = 1_000

# What of the numbers of a stage is another on other samples.
_MEASURED = [name for name in (*QUANTITIES, *PROGRESS) if name not in LABELS]
_MEASURED += ["everything", "geodesic", "distances", "geodesic distances"]


@dataclass(frozen=True)
class Answer:
    """What Python tells the stage: something plain, or bytes."""

    plain: Any = None
    content: bytes | None = None
    packed: bool = False


class Session:
    """Everything that stages on one dataset are sent; many stages share one.

    Parameters
    ----------
    analysis : Analysis
    views : sequence of View, optional
        Those that are shown, in their order. By default all that the dataset has something for.
    cache : path, optional
        Folder in which servers share what is measured before anyone asks.

    Examples
    --------
    >>> from predspace_widgets.analysis import analysis_of
    >>> from predspace_widgets.trajectories.testing import random_trajectories
    >>> session = Session(analysis_of(random_trajectories()))
    >>> session.about["summary"]
    '6 networks · 48 checkpoints · 30 samples · 5 classes'
    """

    def __init__(
        self,
        analysis: Analysis,
        views: Sequence[View] | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        if views is None:
            views = [view for view in VIEWS.values() if analysis.has_predictions or not view.needs_predictions]
        self.analysis, self.views = analysis, list(views)
        self._prepared = None if cache is None else Prepared(cache, analysis.ds, [view.name for view in self.views])
        self.opened = analysis.ds  # before anything came
        self.news: News | None = None
        self.on_follow = Listeners()  # called when it begins to be followed
        self.trainings: Any = None  # see `trainings`
        self.watches: list[Any] = []  # of what is followed, see `live`
        self.scenes: list[dict[str, Any]] = []  # what a lecture goes through, see `scenes`
        self.presents = False  # whether pages open as a lecture
        self._generation = 0
        self._kept: dict[str, Any] = {}
        self._locks = {name: threading.Lock() for name in ("numbers", "ahead")}  # who comes meanwhile waits for it

    def payload(
        self,
        ahead: bool = False,
        settings: Mapping[str, Any] | None = None,
        scenes: Sequence[Mapping[str, Any]] = (),
    ) -> bytes:
        """What a stage is sent first, packed and compressed.

        Parameters
        ----------
        ahead : bool
            With all results that are measured ahead, which may take a while: for a stage that cannot ask.
        settings : mapping, optional
            What is chosen there: the error bars of these choices are sent along.
        scenes : sequence of mapping, optional
            With `ahead`: the lecture as which it opens, and what its scenes show is sent along. Without, the scenes are
            those of the session.
        """
        prepared = self._prepared
        measure = self._arrays if prepared is None else lambda: prepared.numbers(self._arrays)
        numbers, everything = self._once("numbers", measure)
        about = self.about | {"everything": everything, "ahead": {}}
        about |= {"live": self.news is not None and not ahead, "generation": self._generation}
        about |= {"can_train": self.trainings is not None and not ahead}
        about |= {"scenes": self.scenes, "present": self.presents}
        if ahead:
            chosen = [settings or {}, *(scene["settings"] for scene in scenes)]
            about["bars"] = [bars for choices in chosen for bars in self._bars(choices)]
            about |= {"ahead": self._ahead_of(scenes), "scenes": list(scenes), "present": bool(scenes)}
            return compress(pack(about, numbers))
        return bytes(self._once("numbers", lambda: compress(pack(about, numbers)), "payload"))

    def _bars(self, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
        state = ExplorerState(self.analysis, **settings)
        try:
            bars = error_bars(state.on_samples, state)
        except ValueError:  # the stage says why when it asks
            return []
        return [] if bars is None else [{"choices": state.choices(), "bars": bars}]

    def ahead(self) -> dict[str, list[dict[str, Any]]]:
        """Results that are measured before anyone asks, by view: drawings and the choices that they are of."""
        prepared = self._prepared
        return dict(self._once("ahead", self._ahead if prepared is None else lambda: prepared.ahead(self._ahead)))

    def _ahead_of(self, scenes: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """Results that are measured ahead, with those that scenes show."""
        ahead = {name: list(results) for name, results in self.ahead().items()}
        for scene in scenes:
            view = next(view for view in self.views if view.name == scene["view"])
            if isinstance(view, ResultView):
                state = ExplorerState(self.analysis, **scene["settings"])
                drawing = _sent(view.draw(state.on_samples, state))
                ahead.setdefault(view.name, []).append({"choices": _choices_of(view, state), "drawing": drawing})
        return ahead

    def _once(self, lock: str, make: Callable[[], Any], name: str = "") -> Any:
        with self._locks[lock]:
            name = name or lock
            if name not in self._kept:
                self._kept[name] = make()
            return self._kept[name]

    # -- what comes later ----------------------------------------------------------------------------------------------

    def follow(self) -> News:
        """Be ready for new checkpoints: stages ask for them from now on.

        Raises
        ------
        NoPredictionsError
            The dataset holds an embedding only: nothing can be placed in it.
        """
        if self.news is None:
            self.analysis.measured.check_predictions()
            few = self.analysis.ds.sizes["checkpoint"] <= MOST_SENT
            with self._locks["numbers"]:
                self.news = News(self.analysis, few, self.renew)
                self._kept.pop("payload", None)
            self.on_follow.tell()
        return self.news

    def renew(self, analysis: Analysis, generation: int) -> None:
        """Go on with another dataset; its numbers are measured before anybody waits for them."""
        fresh = Session(analysis, self.views)
        fresh.news, fresh.trainings, fresh._generation = self.news, self.trainings, generation
        fresh.scenes, fresh.presents = self.scenes, self.presents
        if "others" in self.about:
            fresh.about["others"] = self.about["others"]
        fresh.about["source"] = self.about["source"]
        fresh.payload()
        with self._locks["ahead"], self._locks["numbers"]:
            for name in ("about", "_runs"):
                self.__dict__[name] = fresh.__dict__[name]
            self.analysis, self._kept, self._generation = analysis, fresh._kept, generation
            self._prepared = None  # it is of the dataset before

    def _tell_news(self, request: Mapping[str, Any]) -> Answer:
        if self.news is None:
            raise ValueError("nothing is recorded into this dataset")
        if request.get("kind") == "refit":
            self.news.refit(self._generation_of(request))
        facts, arrays = self.news.since(request.get("since"), request.get("generation"))
        if self.trainings is not None:
            facts["training"] = self.trainings.state()
        if arrays:
            pairs, n_known = facts.pop("pairs"), len(self.analysis.curve_names)
            styles = [next_style(n_known + place) for place in range(len(pairs))]
            facts["curves"] = [
                curve_of(label_of(*pair), pair, style, self.analysis.curve_coordinates)
                for pair, style in zip(pairs, styles, strict=True)
            ]
            facts["summary"] = summary_of(self.analysis, len(facts["runs"]), facts["n_new"])
        return Answer(content=pack(facts, arrays), packed=True)

    def news_so_far(self) -> bytes:
        """All checkpoints that came since the axes were fitted, as stages hear of them unasked; empty without any."""
        if self.news is None or not self.news.n_new:
            return b""
        content = self._tell_news({"kind": "news", "since": 0, "generation": self._generation}).content
        assert content is not None
        return content

    @property
    def age(self) -> tuple[int, int]:
        """How often the axes were fitted anew, and how many checkpoints came since: answers hold as long as it does."""
        return self._generation, self.news.n_new if self.news is not None else 0

    def _generation_of(self, request: Mapping[str, Any]) -> int:
        generation = request.get("generation")
        return generation if type(generation) is int else self._generation

    def _check_measured(self, wanted: Mapping[str, Any]) -> None:
        """Raise ValueError where choices name what came after the axes were fitted: its predictions are not kept."""
        if self.news is None or not self.news.n_new:
            return
        new = {label_of(*pair) for pair in self.news.new_curves}
        named = wanted.get("compared")
        for label in named if isinstance(named, list) else []:
            if label in new:
                raise ValueError(f"{label} is new: fit the axes anew to compare it")
        rows = wanted.get("selected")
        n_fitted = self.analysis.ds.sizes["checkpoint"]
        if isinstance(rows, list) and any(type(row) is int and row >= n_fitted for row in rows):
            raise ValueError("this checkpoint is new: fit the axes anew to look into it")

    # -- questions -----------------------------------------------------------------------------------------------------

    def answer(self, request: Mapping[str, Any], state: ExplorerState | None = None) -> Answer:
        """Answer a question of a stage, whose choices are not trusted.

        Parameters
        ----------
        request : mapping
            `kind` is "view" (with `view` and the `choices` it depends on), "picture", "error bars" or "samples" (with
            `choices`), "quantity" (with `name`, and `choices` of samples), "ahead", or "news" and "refit" (with
            `since`, the number of new checkpoints that the stage knows, and its `generation`).
        state : ExplorerState, optional
            Of the stage, where the question does not say all of it; it is not changed.

        Raises
        ------
        ValueError
            No such question, or choices that leave nothing.
        """
        kind = request.get("kind")
        if kind == "ahead":
            return Answer(plain=self.ahead())
        if kind in ("news", "refit"):
            return self._tell_news(request)
        choices = ExplorerState(self.analysis, **(state.settings() if state else {}))
        wanted = request.get("choices") or {}
        if not isinstance(wanted, Mapping):
            raise ValueError("choices must be given by their names")
        self._check_measured(wanted)
        choices.apply(dict(wanted))
        if kind == "quantity":
            name = request.get("name")
            if name not in (*QUANTITIES, *PROGRESS):
                raise ValueError(f"checkpoints have no {str(name)[:80]!r}")
            return Answer(content=pack({}, {name: _number(quantity(choices.on_samples, name))}), packed=True)
        if kind == "samples":
            return Answer(content=self._of_samples(choices), packed=True)
        if kind == "error bars":
            return Answer(plain=error_bars(choices.on_samples, choices))
        if kind == "picture":
            return Answer(content=self._picture(choices), packed=True)
        view = next((view for view in self.views if view.name == request.get("view")), None)
        if kind != "view" or view is None:
            raise ValueError("the page asks for what this version does not know: load it again")
        return Answer(plain=_sent(view.draw(choices.on_samples, choices)))

    # -- what is sent --------------------------------------------------------------------------------------------------

    @cached_property
    def about(self) -> dict[str, Any]:
        """Facts of the dataset and of the views, as plain data."""
        analysis, ds = self.analysis, self.analysis.ds
        state = ExplorerState(analysis)
        styles, meaning = curve_styles(analysis.curve_pairs, analysis.curve_coordinates)
        labels = analysis.curve_names
        named = zip(labels, analysis.curve_pairs, styles, short_names(labels), strict=True)
        coordinates = analysis.curve_coordinates
        curves = [curve_of(label, key, style, coordinates, name) for label, key, style, name in named]
        for task in {key[0] for key in analysis.curve_pairs}:  # below its task each is told apart from the others there
            members = [curve for curve in curves if curve["task"] == task]
            for curve, name in zip(members, short_names([curve["within"] for curve in members], 30), strict=True):
                curve["within"] = name
        return {
            "title": str(ds.attrs.get("title") or "trajectories"),
            "summary": summary_of(analysis),
            "source": self._source(),
            "curves": curves,
            "curve_coordinates": analysis.curve_coordinates,
            "meaning": meaning,
            "references": references_of(analysis),
            "runs": self._runs[0].tolist(),
            "seeds": state.defaults()["seeds"],
            "epochs": sorted({float(epoch) for epoch in ds["epoch"].values}),
            "clocks": self._clocks(),
            "n_checkpoints": ds.sizes["checkpoint"],
            "n_samples": state.known.n_samples,
            "classes": state.known.classes,
            "n_axes": N_AXES,
            "n_spectrum": N_SPECTRUM,
            "most_drawn": MOST_DRAWN,
            "published": "" if analysis.has_predictions else published_note(analysis),
            "offered": self._offered(state),
            "defaults": state.defaults(),
            "options": {name: list(options) for name, options in OPTIONS.items()}
            | {"color_by": list(state.known.colorings)},
            "attributes": {
                name: {"values": known.values, "numbers": as_plain(known.numbers)}
                for name, known in analysis.attributes.items()
            },
            "info": axes_info(analysis),
            "views": [view.describe() for view in self.views],
        }

    def _offered(self, state: ExplorerState) -> dict[str, list[Any]]:
        """What a published picture offers of some choices; of all others, and all else, there is everything."""
        ds = self.analysis.ds
        if self.analysis.has_predictions:
            return {}
        unknown = ("progress",) if "accuracy" in ds else ("progress", "accuracy")
        axes = [*range(1, min(N_AXES, ds.sizes["component"]) + 1)]
        return {
            "axes_fitted_on": ["everything"],
            "uncertainty": ["none"],
            "horizontal": axes,
            "vertical": axes,
            "time_by": ["epoch", "step"],
            "color_by": [name for name in state.known.colorings if name not in unknown],
        }

    def _source(self) -> str | None:
        """Where code finds the dataset: None is the demo.

        Of a path only what lies below the working folder, or the name of the file: the rest is nobody's business.
        """
        if is_demo(self.analysis.ds):
            return None
        probs = self.analysis.ds.get("probs")
        stored = source_of(probs) if probs is not None else None
        if stored is None or not is_local(stored.source.url):
            return "DATA.zarr.zip" if stored is None else stored.source.url
        path = Path(stored.source.url)
        return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else path.name

    @cached_property
    def _runs(self) -> tuple[NDArray[Any], NDArray[Any]]:
        names, numbers = np.unique(self.analysis.ds["run"].values.astype(str), return_inverse=True)
        return names, numbers

    def _clocks(self) -> dict[str, dict[str, float | None]]:
        """What the time bar runs over; epochs and steps are logarithmic, in units of the first after 0."""
        clocks: dict[str, dict[str, float | None]] = {"progress": {"unit": None, "low": 0.0, "high": 1.0}}
        for name in ("epoch", "step"):
            values = self.analysis.ds[name].values.astype(float)
            unit = epoch_scale(self.analysis).unit if name == "epoch" else float(values[values > 0].min(initial=1.0))
            clocks[name] = {"unit": unit, "low": float(values.min()), "high": float(values.max())}
        return clocks

    def _arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any] | None]:
        """What every checkpoint has, and the picture of everything with what is known of its axes."""
        named: dict[str, NDArray[Any]] = {
            "curve": self.analysis.curve_numbers.astype(np.uint16),
            "run": self._runs[1].astype(np.int32),
            **{name: _number(quantity(self.analysis, name)) for name in LABELS},
        }
        named |= {f"attribute {name}": known.codes.astype(np.int32) for name, known in self.analysis.attributes.items()}
        measured, everything = _measured(self.analysis)
        return named | measured, everything

    def _of_samples(self, choices: ExplorerState) -> bytes:
        """What of it is another on the samples that count."""
        measured, everything = _measured(choices.on_samples)
        n_samples = choices.on_samples.ds.sizes["sample"]
        about = {"everything": everything, "samples": choices.of_what, "n_of_samples": n_samples, "replaces": _MEASURED}
        return compress(pack(about, measured))

    def _ahead(self) -> dict[str, list[dict[str, Any]]]:
        state = ExplorerState(self.analysis)
        ahead: dict[str, list[dict[str, Any]]] = {}
        for view in self.views:
            if not isinstance(view, ResultView) or view.ahead is None or not self.analysis.has_predictions:
                continue
            defaults = _choices_of(view, state)
            ahead[view.name] = [
                {"choices": defaults | choices, "drawing": _sent(self._drawing(view, result, state))}
                for choices, result in view.ahead(self.analysis, state)
            ]
        return ahead

    def _drawing(self, view: ResultView, result: Any, state: ExplorerState) -> Drawing:
        if isinstance(result, str):  # why there is none
            return Drawing(None, view.how_to_read, result)
        return view.drawing(result, self.analysis, state)

    def _picture(self, choices: ExplorerState) -> bytes:
        picture = choices.on_samples.picture(choices.selection, _MOST_AXES, fitted_on=choices.fitted_on)
        return pack(_about_picture(picture), _coordinates(picture, "embedding"))


def _measured(analysis: Analysis) -> tuple[dict[str, NDArray[Any]], dict[str, Any] | None]:
    """What is measured on the samples of every checkpoint, and the picture of everything."""
    ds = analysis.ds
    arrays: dict[str, NDArray[Any]] = {}
    everything, few = None, ds.sizes["checkpoint"] <= MOST_SENT
    # Of large datasets the rest is measured when a choice asks for it.
    names = [name for name in QUANTITIES if name not in LABELS] + [*(PROGRESS if few else PROGRESS[:1])]
    if analysis.has_predictions:
        arrays |= {name: _number(quantity(analysis, name)) for name in names}
    if "accuracy" in ds:
        arrays["accuracy"] = _number(ds["accuracy"].values)
    if ds.sizes["checkpoint"] > 1 or not analysis.has_predictions:
        picture = analysis.picture(n_components=_MOST_AXES)
        everything = _about_picture(picture)
        if not analysis.has_predictions:  # of axes without coordinates too
            together = stored_stress(ds)[:N_PUBLISHED]
            everything |= {
                "eigenvalues": stored_spectrum(ds)[:N_PUBLISHED].tolist(),
                "explained_stress": together.tolist(),
                "axis_stress": np.diff(together, prepend=0.0).tolist(),
            }
        arrays |= _coordinates(picture, "everything")
        if few and analysis.has_predictions:
            distances = analysis.measured.distances()
            small = len(distances) <= _MOST_WHOLE
            arrays["distances"] = _condensed(distances) if small else condensed24(distances)
            arrays["geodesic distances"] = analysis.measured.geodesic_distances().astype(np.float32)
    return arrays, everything


def curve_of(
    label: str, key: CurveKey, style: Style, coordinates: Sequence[str], short_name: str | None = None
) -> dict[str, Any]:
    """A curve as the stage has it: its names, what tells it apart, how it is drawn."""
    return {
        "label": label,
        "name": plain(label),
        "short": plain(short_name or short(label)),
        "task": key[0],
        "method": key[1],
        "apart": dict(zip(coordinates, key, strict=True)),
        "within": within_task(*key[1:]),
        "color": style.color,
        "faint": faint(style.color, 0.2),
        "pale": tint(style.color, 0.5),
        "dash": style.dash,
    }


def summary_of(analysis: Analysis, more_runs: int = 0, more_checkpoints: int = 0) -> str:
    """How much there is, in words; with what came after the dataset was opened."""
    ds = analysis.ds
    counts = [
        (len(set(ds["run"].values.tolist())) + more_runs, "network"),
        (ds.sizes["checkpoint"] + more_checkpoints, "checkpoint"),
    ]
    counts += [(ds.sizes[name], name) for name in ("sample", "class") if name in ds.sizes]
    return " · ".join(f"{number:,} {_plural(noun) if number != 1 else noun}" for number, noun in counts)


def _plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _about_picture(picture: Any) -> dict[str, Any]:
    about = {name: picture[name].values.tolist() for name in ("eigenvalue", "explained_stress", "axis_stress")}
    about["eigenvalues"] = about.pop("eigenvalue")
    return about | {name: int(picture.attrs[name]) for name in ("fitted_on", "landmarks") if name in picture.attrs}


def _coordinates(picture: Any, name: str) -> dict[str, NDArray[Any]]:
    """Coordinates of a picture's checkpoints, by this name, and of its geodesic where it has one."""
    names = {name: "embedding", "geodesic": "geodesic"}
    return {to: picture[of].values.astype(np.float32) for to, of in names.items() if of in picture}


def _condensed(distances: NDArray[Any]) -> NDArray[np.float32]:
    """Distances above the diagonal, row by row."""
    return distances[np.triu_indices(len(distances), 1)].astype(np.float32)


def _number(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.int32) if values.dtype.kind in "iu" else values.astype(np.float64)


def _choices_of(view: ResultView, state: ExplorerState) -> dict[str, Any]:
    """Those that a result depends on: the samples that are looked at change all of them."""
    choices = state.choices()
    return {name: choices[name] for name in (*view.depends, "samples")}


def _sent(drawing: Drawing) -> dict[str, Any]:
    """A drawing as plain data."""
    return {
        "figure": None if drawing.figure is None else as_plain(drawing.figure),
        "caption": drawing.caption,
        "message": drawing.message,
        "summary": drawing.summary,
        "table": None if drawing.table is None else _columns(drawing.table),
        "blocks": None if drawing.blocks is None else as_plain(drawing.blocks),
    }


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    return {str(name): as_plain(table[name].to_numpy()) for name in table}


def as_plain(value: Any) -> Any:
    """Lists, dicts, texts and finite numbers, of which JSON is made; what is not finite becomes None.

    Examples
    --------
    >>> as_plain({"x": np.array([1.5, np.nan]), "n": np.int64(2)})
    {'x': [1.5, None], 'n': 2}
    """
    if isinstance(value, Mapping):
        return {str(key): as_plain(part) for key, part in value.items()}
    if (
        isinstance(value, np.ndarray)
        and value.dtype.kind in "biufU"
        and (value.dtype.kind != "f" or np.isfinite(value).all())
    ):
        return value.tolist()  # as below, many times faster
    if isinstance(value, np.ndarray | list | tuple):
        return [as_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
