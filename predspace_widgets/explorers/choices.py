"""What each choice of an explorer can be: values that anybody sends, read as plain JSON values or told what is wrong.

Choices come from Python, from an address and from a browser. Whatever is there is read here, once, for all of them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, get_args

import numpy as np

from predspace_widgets.analysis.common_range import By, Of
from predspace_widgets.trajectories.attributes import text_of
from predspace_widgets.views.comparison import SIDES
from predspace_widgets.views.error_bars import OVER
from predspace_widgets.views.inpca import COLORINGS
from predspace_widgets.views.tables import N_AXES

AXES_FITTED_ON = ("everything", "shown", "frozen")
DIMENSIONS = ("3-D", "2-D", "pairs")
PROGRESS_METRICS = ("bhattacharyya", "great_circle")
TIMES = ("epoch", "step", "progress")
SPECTRA = ("share", "eigenvalues")
UNCERTAINTIES = ("none", *OVER)
#: Curves or runs that are compared at a time.
MOST_COMPARED = len(SIDES)

#: What those choices can be that are one of a few.
OPTIONS: dict[str, Collection[Any]] = {
    "axes_fitted_on": AXES_FITTED_ON,
    "dimensions": DIMENSIONS,
    "horizontal": range(1, N_AXES + 1),
    "vertical": range(1, N_AXES + 1),
    "progress_metric": PROGRESS_METRICS,
    "time_by": TIMES,
    "matrix_of": get_args(Of),
    "matrix_by": get_args(By),
    "spectrum": SPECTRA,
    "uncertainty": UNCERTAINTIES,
}

# Of a name that somebody sent: the most characters that a message repeats.
_MOST_REPEATED = 60


@dataclass(frozen=True)
class Known:
    """What a dataset has to choose from: labels of curves, seeds, classes, attributes, and how much there is."""

    curves: list[str]
    seeds: list[int]
    n_checkpoints: int
    classes: list[str] = field(default_factory=list)
    n_samples: int = 0
    runs: Collection[str] = ()
    attributes: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def colorings(self) -> tuple[str, ...]:
        """What colours can mean: what every dataset has, and attributes of runs."""
        return (*COLORINGS, *(name for name in self.attributes if name not in COLORINGS))


@dataclass(frozen=True)
class Problem:
    """What is wrong with a value, in one short sentence; and what there is instead, which may be long."""

    sentence: str
    there_is: str = ""

    def __str__(self) -> str:
        return self.sentence + self.there_is


class ImpossibleError(ValueError):
    """Nothing of a value can be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read(name: str, value: Any, known: Known) -> tuple[Any, list[Problem]]:
    """The plain value of a choice, and what of it cannot be: members of a list that the dataset does not have.

    Parameters
    ----------
    name : str
        One of `READERS`.
    value : anything
    known : Known

    Raises
    ------
    ImpossibleError
        Nothing of it can be used.

    Examples
    --------
    >>> known = Known(["red", "blue"], [0, 1], 8)
    >>> read("curves", ("blue", "red", "mauve"), known)[0]
    ['red', 'blue']
    >>> [str(problem) for problem in read("curves", ("blue", "mauve"), known)[1]]
    ["no curve 'mauve' in this dataset; it has red, blue"]
    """
    problems: list[Problem] = []
    return READERS[name](value, known, problems), problems


def repeated(value: Any) -> str:
    """A value for a message: a name that is not too long, or what kind of thing it is."""
    if isinstance(value, str):
        return repr(str(value)) if len(value) <= _MOST_REPEATED else f"{str(value[:_MOST_REPEATED])!r}…"
    if value is None or isinstance(value, bool | float):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else "a large number"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def unknown_name(name: Any, known: Iterable[str]) -> str:
    """A sentence on a choice that there is not, with the name that is nearest to it."""
    names = list(known)
    near = difflib.get_close_matches(name[:_MOST_REPEATED], names, n=1) if isinstance(name, str) else []
    return f"no choice {repeated(name)}" + (f", did you mean {near[0]!r}?" if near else "")


# -- one kind of value each -----------------------------------------------------------------------------------------


def _plain_list(name: str, value: Any) -> list[Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str | int | np.integer):
        return [value]
    if isinstance(value, Mapping) or not isinstance(value, Collection | range):
        raise ImpossibleError(Problem(f"{name} must be a list, not {repeated(value)}"))
    return list(value)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value  # numpy's strings too


def _whole(value: Any) -> Any:
    """A whole number as an int; anything else as it is."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if isinstance(value, int) and is_number:
        return int(value)
    return int(value) if is_number and math.isfinite(value) and int(value) == value else value


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise TypeError
        number = float(value)
    except (TypeError, OverflowError):
        raise ImpossibleError(Problem(f"{name} must be a number, not {repeated(value)}")) from None
    if not math.isfinite(number):
        raise ImpossibleError(Problem(f"{name} must be a finite number, not {number}"))
    return number


def members_of(name: str, value: Any, what: str, known: Collection[Any], problems: list[Problem]) -> list[Any]:
    """Members of a list that are known, each once, in the order in which they are given.

    Raises
    ------
    ImpossibleError
        It is no list, or none of its members is known.
    """
    given = [_whole(_text(member)) for member in _plain_list(name, value)]
    some = f"{known[0]} to {known[-1]}" if isinstance(known, range) else ", ".join(map(str, known))
    members, there_is = [], f"; it has {some}"
    for member in given:
        # Only what may be known is looked up: others need have no hash, and True is not 1.
        if type(member) in (str, int) and member in known:
            members.append(member)
        else:
            problems.append(Problem(f"no {what} {repeated(member)} in this dataset", there_is))
    if given and not members:
        raise ImpossibleError(problems.pop())
    return list(dict.fromkeys(members))


def _curves(value: Any, known: Known, problems: list[Problem]) -> list[str]:
    """In the order of the dataset, so that the same curves are the same choice."""
    chosen = set(members_of("curves", value, "curve", known.curves, problems))
    return [curve for curve in known.curves if curve in chosen]


def _seeds(value: Any, known: Known, problems: list[Problem]) -> list[int]:
    chosen = set(members_of("seeds", value, "seed", known.seeds, problems))
    return [seed for seed in known.seeds if seed in chosen]


def _pinned(value: Any, known: Known, problems: list[Problem]) -> list[str]:
    return members_of("pinned", value, "curve", known.curves, problems)


def _selected(value: Any, known: Known, problems: list[Problem]) -> list[int]:
    return members_of("selected", value, "checkpoint", range(known.n_checkpoints), problems)


def _compared(value: Any, known: Known, problems: list[Problem]) -> list[str]:
    given = [_text(member) for member in _plain_list("compared", value)]
    if not 2 <= len(given) <= MOST_COMPARED:
        raise ImpossibleError(Problem(f"compared must be 2 to {MOST_COMPARED} curves or runs, not {len(given)}"))
    for member in given:
        if not isinstance(member, str) or (member not in known.curves and member not in known.runs):
            there_is = f"; it has {', '.join(known.curves)}"
            raise ImpossibleError(Problem(f"no curve {repeated(member)} in this dataset", there_is))
    return given


def _epochs(value: Any, known: Known, problems: list[Problem]) -> list[float]:
    ends = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        raise ImpossibleError(Problem(f"epochs must be two numbers, not {repeated(value)}"))
    first, last = (_number("an end of epochs", end) for end in ends)
    if first > last:
        raise ImpossibleError(Problem(f"epochs must be two numbers, the first not above the last: {first:g}, {last:g}"))
    return [first, last]


def _where(value: Any, known: Known, problems: list[Problem]) -> dict[str, list[str]]:
    """Values of attributes that count, as text, in the order of the dataset; an attribute of which all do is left out.

    Raises
    ------
    ImpossibleError
        It is no mapping, or none of its attributes or of their values is known.
    """
    if not isinstance(value, Mapping):
        raise ImpossibleError(Problem(f"where must be a mapping of attributes to values, not {repeated(value)}"))
    chosen: dict[str, list[str]] = {}
    for name, wanted in value.items():
        if not isinstance(name, str) or name not in known.attributes:
            there_is = f"; it has {', '.join(known.attributes)}" if known.attributes else ", which has none"
            problems.append(Problem(f"no attribute {repeated(name)} of runs in this dataset", there_is))
            continue
        single = isinstance(wanted, bool | float | np.generic) or wanted is None
        given = [wanted] if single else _plain_list(name, wanted)
        texts = [text_of(member) if _is_plain(member) else member for member in given]
        try:
            chosen[str(name)] = members_of(name, texts, name, known.attributes[name], problems)
        except ImpossibleError as error:
            problems.append(error.problem)
    if value and problems and not chosen:
        raise ImpossibleError(problems.pop())
    every = known.attributes
    ordered = {name: [text for text in every[name] if text in chosen[name]] for name in every if name in chosen}
    return {name: texts for name, texts in ordered.items() if texts != every[name]}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float | np.generic)


def _one_of(name: str) -> Callable[[Any, Known, list[Problem]], Any]:
    return partial(_option, name=name, options=OPTIONS[name])


def _option(value: Any, known: Known, problems: list[Problem], name: str, options: Collection[Any]) -> Any:
    given = _whole(_text(value))
    if type(given) not in (str, int) or given not in options:
        *most, last = map(repr, options)
        raise ImpossibleError(Problem(f"{name} must be {', '.join(most)} or {last}, not {repeated(value)}"))
    return given


def _time(value: Any, known: Known, problems: list[Problem]) -> float | None:
    return None if value is None else _number("time", value)


def _frozen(value: Any, known: Known, problems: list[Problem]) -> dict[str, Any] | None:
    """What was shown when the axes were frozen."""
    if value is None:
        return None
    parts: dict[str, Any] = {"curves": _curves, "seeds": _seeds, "epochs": _epochs}
    if not isinstance(value, Mapping) or {*value} - {"where"} != {*parts}:
        raise ImpossibleError(Problem(f"frozen must be a mapping of {', '.join(parts)}, not {repeated(value)}"))
    frozen = {name: of_part(value[name], known, problems) for name, of_part in parts.items()}
    where = _where(value.get("where", {}), known, problems)
    return {**frozen, "where": where} if where else frozen


def _samples(value: Any, known: Known, problems: list[Problem]) -> dict[str, list[Any]] | None:
    """Which samples count: of some classes, some by their places, or all that are predicted among some classes."""
    if value is None:
        return None
    parts = {"classes": known.classes, "rows": range(known.n_samples), "among": known.classes}
    if not isinstance(value, Mapping) or not value or not set(value) <= set(parts):
        raise ImpossibleError(Problem(f"samples must be a mapping of {', '.join(parts)}, not {repeated(value)}"))
    what = {"classes": "class", "rows": "sample", "among": "class"}
    chosen = {name: members_of(name, value[name], what[name], parts[name], problems) for name in parts if name in value}
    for name, least in (("classes", 1), ("rows", 1), ("among", 2)):
        if name in chosen and len(chosen[name]) < least:
            raise ImpossibleError(Problem(f"{name} of samples must be {least} or more, got {len(chosen[name])}"))
    return {name: sorted(members, key=parts[name].index) for name, members in chosen.items()}


def _sample(value: Any, known: Known, problems: list[Problem]) -> int | None:
    if value is None:
        return None
    place = _whole(value)
    if type(place) is not int or place not in range(known.n_samples):
        raise ImpossibleError(Problem(f"no sample {repeated(value)} in this dataset, which has {known.n_samples}"))
    return place


def _tabs(value: Any, known: Known, problems: list[Problem]) -> list[str]:
    names = [_text(member) for member in _plain_list("tabs", value)]
    if not all(isinstance(name, str) and len(name) <= _MOST_REPEATED for name in names):
        raise ImpossibleError(Problem(f"tabs must be names of views, not {repeated(value)}"))
    return list(dict.fromkeys(names))


def _camera(value: Any, known: Known, problems: list[Problem]) -> dict[str, dict[str, float]] | None:
    if value is None:
        return None
    wrong = Problem(f"camera must be a mapping of eye, center and up to x, y and z, not {repeated(value)}")
    if not isinstance(value, Mapping) or not value or not set(value) <= {"eye", "center", "up"}:
        raise ImpossibleError(wrong)
    if not all(isinstance(point, Mapping) and set(point) == {"x", "y", "z"} for point in value.values()):
        raise ImpossibleError(wrong)
    return {
        name: {axis: _number(f"camera {name}.{axis}", value[name][axis]) for axis in ("x", "y", "z")}
        for name in ("eye", "center", "up")
        if name in value
    }


#: How each choice is read, in the order in which they are told: (value, what there is, problems) -> plain value.
READERS: dict[str, Callable[[Any, Known, list[Problem]], Any]] = {
    "curves": _curves,
    "seeds": _seeds,
    "epochs": _epochs,
    "where": _where,
    "axes_fitted_on": _one_of("axes_fitted_on"),
    "frozen": _frozen,
    "dimensions": _one_of("dimensions"),
    "horizontal": _one_of("horizontal"),
    "vertical": _one_of("vertical"),
    "color_by": lambda value, known, problems: _option(value, known, problems, "color_by", known.colorings),
    "progress_metric": _one_of("progress_metric"),
    "compared": _compared,
    "time": _time,
    "time_by": _one_of("time_by"),
    "pinned": _pinned,
    "camera": _camera,
    "samples": _samples,
    "sample": _sample,
    "tabs": _tabs,
    "selected": _selected,
    "matrix_of": _one_of("matrix_of"),
    "matrix_by": _one_of("matrix_by"),
    "spectrum": _one_of("spectrum"),
    "uncertainty": _one_of("uncertainty"),
}
