"""What came after a stage was sent its numbers: new checkpoints on axes that stay, measured once for all visitors."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.analysis import Analysis
from predspace_widgets.analysis.newcomers import explained_together, measure_newcomers, step_to
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.selection import CurveKey, rows_of_runs
from predspace_widgets.views.style import EpochScale, percent
from predspace_widgets.views.tables import epoch_scale

#: Axes of the picture of everything on which new checkpoints are placed.
N_AXES = 8
# What is known of a new checkpoint and stays here.
_NOT_SENT = ("run name", "intervals", "missed")
# With fewer fitted checkpoints the axes are fitted anew at each new one: they say little yet, and it takes no time.
_FEW = 10
# By how much the axes may explain new checkpoints less well before it is said.
_LESS_WELL = 0.05
# Seconds that somebody who asks for new axes waits for others.
_PATIENCE = 2.0
_log = logging.getLogger(__name__)


class Listeners:
    """Methods that are called together. They keep nobody alive: who is gone is not called any more.

    Examples
    --------
    >>> class Page:
    ...     def told(self) -> None:
    ...         print("told")
    >>> listeners, page = Listeners(), Page()
    >>> listeners.add(page.told)
    >>> listeners.tell()
    told
    >>> del page
    >>> listeners.tell()
    """

    def __init__(self) -> None:
        self._methods: list[weakref.WeakMethod[Callable[[], None]]] = []

    def add(self, method: Callable[[], None]) -> None:
        """Call a method of an object from now on."""
        self._methods.append(weakref.WeakMethod(method, self._methods.remove))

    def tell(self) -> None:
        """Call them all; what one of them raises is logged, and the others go on."""
        for known in list(self._methods):
            method = known()
            try:
                if method is not None:
                    method()
            except Exception:
                _log.exception("a page could not be told of new checkpoints")


@dataclass(frozen=True)
class Arrived:
    """New checkpoints: predictions (n, N, C), and by name what each of them is, (n,)."""

    probs: NDArray[Any]
    run: list[str]
    task: list[str]
    method: list[str]
    seed: list[int]
    epoch: list[float]
    step: list[int]
    accuracy: list[float] | None = None

    @classmethod
    def from_dataset(cls, ds: xr.Dataset) -> Arrived:
        """Of checkpoints as `read_checkpoints` gives them."""
        text = {name: ds[name].values.astype(str).tolist() for name in ("run", "task", "method")}
        numbers = {name: ds[name].values.tolist() for name in ("seed", "epoch", "step")}
        accuracy = ds["accuracy"].values.tolist() if "accuracy" in ds else None
        return cls(ds["probs"].values, **text, **numbers, accuracy=accuracy)

    def part(self, chosen: list[int]) -> Arrived:
        """Some of them."""
        columns: dict[str, Any] = {
            name: None if values is None else [values[place] for place in chosen]
            for name, values in vars(self).items()
            if name != "probs"
        }
        return Arrived(self.probs[chosen], **columns)


@dataclass
class _Told:
    """All that is known of the checkpoints that came since the axes were fitted; lists grow, and nothing else changes.

    Attributes
    ----------
    analysis : Analysis
        Of the fitted checkpoints.
    generation : int
        How often the axes were fitted anew.
    rows : list of dict
        A checkpoint each: numbers, and arrays of them.
    """

    analysis: Analysis
    generation: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        ds = self.analysis.ds
        names = ds["run"].values.astype(str).tolist()
        self.pairs: list[CurveKey] = list(self.analysis.curve_pairs)
        self.pair_of_run = dict(zip(names, map(self.pairs.__getitem__, self.analysis.curve_numbers), strict=True))
        self.runs: list[str] = np.unique(names).tolist()
        self.n_fitted_runs = len(self.runs)
        self.seeds = list(dict.fromkeys(int(seed) for seed in ds["seed"].values))
        self.known = set(zip(names, ds["step"].values.tolist(), strict=True))
        self.last: dict[str, NDArray[Any]] = {}  # predictions (N, C) of the latest checkpoint of a run
        self.last_row = {run: int(rows[-1]) for run, rows in rows_of_runs(ds, Selection().rows(ds)).items()}
        self.scale = epoch_scale(self.analysis)


class News:
    """New checkpoints of a dataset that stages are told of.

    Parameters
    ----------
    analysis : Analysis
        Of the checkpoints that the axes are fitted to.
    keep_distances : bool
        Whether stages compute pictures themselves, for which they need distances to all fitted checkpoints.
    renew : function of an Analysis and the number of its generation
        What is to happen when the axes are fitted anew.
    """

    def __init__(self, analysis: Analysis, keep_distances: bool, renew: Callable[[Analysis, int], None]) -> None:
        self._told = _Told(analysis, 0)
        self._keep_distances, self._renew = keep_distances, renew
        self._working = threading.Lock()  # one at a time measures or fits
        self.listeners = Listeners()  # called by the thread that has learnt something
        #: Opens all that is there now; None where it cannot be had again.
        self.reopen: Callable[[], xr.Dataset] | None = None
        self.states: list[Callable[[], dict[str, Any]]] = []

    # -- what is learnt ------------------------------------------------------------------------------------------------

    @property
    def n_new(self) -> int:
        """Checkpoints that are not fitted to."""
        return len(self._told.rows)

    @property
    def n_fitted(self) -> int:
        """Checkpoints that the axes are fitted to."""
        return int(self._told.analysis.ds.sizes["checkpoint"])

    @property
    def is_due(self) -> bool:
        """Whether the axes are to be fitted anew without being asked: they say little, or of the lesser part."""
        return self.reopen is not None and (self.n_fitted < _FEW or self.n_new > self.n_fitted)

    def add(self, arrived: Arrived) -> int:
        """Measure checkpoints and tell all stages of them; how many were not there already.

        Raises
        ------
        ValueError
            Predictions of other samples or classes, or no probabilities; axes of a single checkpoint.
        """
        with self._working:
            told = self._told
            places = zip(arrived.run, arrived.step, strict=True)
            fresh = [place for place, key in enumerate(places) if key not in told.known]
            if not fresh:
                return 0
            if self.n_fitted < 2:
                raise ValueError(
                    "new checkpoints cannot be placed: the axes of a picture need at least two checkpoints"
                )
            rows = self._measured(told, arrived.part(fresh))
            told.known.update((row["run name"], row["step"]) for row in rows)
            told.rows += rows
        self.listeners.tell()
        return len(fresh)

    def _measured(self, told: _Told, arrived: Arrived) -> list[dict[str, Any]]:
        new = measure_newcomers(told.analysis, arrived.probs, N_AXES)
        rows = []
        for place, run in enumerate(arrived.run):
            # What else tells curves apart is not known of a new run.
            unknown = ("",) * (len(told.analysis.curve_coordinates) - 2)
            pair = told.pair_of_run.get(run, (arrived.task[place], arrived.method[place], *unknown))
            for names, name in ((told.pairs, pair), (told.runs, run), (told.seeds, int(arrived.seed[place]))):
                if name not in names:
                    names.append(name)  # type: ignore[arg-type]
            epoch, recorded = float(arrived.epoch[place]), arrived.accuracy
            row = {
                "run name": run,
                "curve": told.pairs.index(pair),
                "run": told.runs.index(run),
                "epoch": epoch,
                "log epoch": float(told.scale(np.array(epoch))),
                "step": int(arrived.step[place]),
                "seed": int(arrived.seed[place]),
                "accuracy": float(new.accuracy[place] if recorded is None else recorded[place]),
                **{f"progress {metric}": float(values[place]) for metric, values in new.progress.items()},
                "tube distance": float(new.tube_distance[place]),
                "step length": self._step(told, run, arrived.probs[place]),
                "everything": new.coordinates[place].astype(np.float32),
                "intervals": float(new.intervals[place]),
                "missed": float(new.missed[place]),
            }
            if self._keep_distances:
                row["new distances"] = new.distances[place].astype(np.float32)
            rows.append(row)
        return rows

    def _step(self, told: _Told, run: str, probs: NDArray[Any]) -> float:
        """Length of the step to a checkpoint from the one before it in its run, 0 for the first."""
        before = told.last.get(run)
        if before is None and run in told.last_row:
            before = told.analysis.ds["probs"].transpose("checkpoint", "sample", "class")[told.last_row[run]].values
        told.last[run] = np.array(probs, dtype=np.float32)
        return 0.0 if before is None else step_to(before, probs)

    # -- new axes ------------------------------------------------------------------------------------------------------

    def refit(self, generation: int | None = None) -> None:
        """Fit the axes to all that is there now; stages load their numbers anew.

        Parameters
        ----------
        generation : int, optional
            Of the one who asks. Where the axes are newer already, nothing happens.

        Raises
        ------
        ValueError
            Somebody else is at it, or there is nothing that could be opened again.
        """
        if self.reopen is None:
            raise ValueError("these checkpoints are not on disk, so the axes cannot be fitted to them: record them")
        if not self._working.acquire(timeout=-1 if generation is None else _PATIENCE):
            raise ValueError("new checkpoints are being measured, or the axes fitted: in a moment they are there")
        try:
            if generation is not None and generation < self._told.generation:
                return
            analysis = Analysis(self.reopen())
            following = self._told.generation + 1
            self._renew(analysis, following)
            self._told = _Told(analysis, following)
        finally:
            self._working.release()
        self.listeners.tell()

    # -- what is told --------------------------------------------------------------------------------------------------

    def since(self, n: Any, generation: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What a stage does not know yet: facts and, of checkpoints that came meanwhile, arrays.

        Parameters
        ----------
        n : int
            New checkpoints that the stage knows. It is not trusted.
        generation : int
            Of the numbers that it was sent. With another one it is told to load them anew, and no more.
        """
        told = self._told
        facts: dict[str, Any] = {
            "generation": told.generation,
            "sources": [state() for state in list(self.states)],
            "can_refit": self.reopen is not None,
        }
        if generation != told.generation:
            return facts, {}
        n_new = len(told.rows)  # it may grow meanwhile
        first = n if type(n) is int and 0 <= n <= n_new else 0
        facts |= {"first": first, "n_new": n_new, "note": self.note(told)}
        rows = told.rows[first:n_new]
        return facts | (self._names(told) if rows else {}), _columns(rows)

    @property
    def new_curves(self) -> list[CurveKey]:
        """What tells apart the curves that no fitted checkpoint is of."""
        return self._told.pairs[len(self._told.analysis.curve_pairs) :]

    @property
    def seeds(self) -> list[int]:
        """All seeds."""
        return list(self._told.seeds)

    @property
    def epochs(self) -> tuple[float, float]:
        """The first and the last epoch of all."""
        told = self._told
        epochs = [*(row["epoch"] for row in list(told.rows)), *told.analysis.ds["epoch"].values.tolist()]
        return min(epochs), max(epochs)

    def _names(self, told: _Told) -> dict[str, Any]:
        """Curves, runs and seeds that the fitted checkpoints do not have, and the scale of all epochs."""
        epochs = np.array([row["epoch"] for row in list(told.rows)])
        fitted = told.analysis.ds["epoch"].values.astype(float)
        whole = EpochScale(np.concatenate([fitted, epochs]))
        whole.unit = told.scale.unit  # what is drawn already stays where it is
        ends = told.scale(np.array([min(fitted.min(), *epochs), max(fitted.max(), *epochs)]))
        ticks = told.scale(np.array(list(map(float, whole.ticktext)))).tolist()
        return {
            "pairs": told.pairs[len(told.analysis.curve_pairs) :],
            "runs": told.runs[told.n_fitted_runs :],
            "seeds": list(told.seeds),
            "info": {
                "log epoch": {
                    "title": "epoch (logarithmic)",
                    "ticks": {"tickmode": "array", "tickvals": ticks, "ticktext": whole.ticktext},
                    "low": float(ends[0]),
                    "high": float(ends[1]),
                }
            },
        }

    def note(self, told: _Told | None = None) -> str:
        """A sentence where the axes explain the new checkpoints less well than the fitted; empty otherwise."""
        told = told or self._told
        rows = list(told.rows)
        if not rows:
            return ""
        new = explained_together(*(np.array([row[name] for row in rows]) for name in ("intervals", "missed")))
        n_components = min(N_AXES, told.analysis.ds.sizes["checkpoint"])
        fitted = float(told.analysis.axes_of_everything(n_components).explained_stress[:3][-1])
        if new > fitted - _LESS_WELL:
            return ""
        return f"the axes explain the new checkpoints less well: {percent(max(new, 0.0))} against {percent(fitted)}"


def _columns(rows: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """Rows as arrays, of the types in which a stage has them."""
    if not rows:
        return {}
    whole = {"curve": np.uint16, "run": np.int32, "step": np.int32, "seed": np.int32}
    columns = {name: np.stack([row[name] for row in rows]) for name in rows[0] if name not in _NOT_SENT}
    return {name: values.astype(whole.get(name, values.dtype)) for name, values in columns.items()}
