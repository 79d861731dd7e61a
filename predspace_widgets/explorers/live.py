"""Following what goes on: a dataset that another process records, or an iterator of predictions."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray

from predspace_widgets.explorers.news import Arrived, News
from predspace_widgets.explorers.session import Session
from predspace_widgets.trajectories import open_trajectories
from predspace_widgets.trajectories.appending import array_of, open_grown, read_checkpoints
from predspace_widgets.trajectories.join import along_checkpoints
from predspace_widgets.trajectories.recording import Recording, recording_at
from predspace_widgets.trajectories.source import is_local, source_of

#: Seconds between two looks at a dataset.
PAUSE = 0.5
# Seconds after which a recording without a new checkpoint is called slow.
_SLOW = 60.0
_AT_A_TIME = 16  # checkpoints that are read at once, and how large they may be
_BYTES_AT_A_TIME = 2**26
_log = logging.getLogger(__name__)


class Following:
    """A thread that follows something until it ends or is stopped.

    Attributes
    ----------
    error : Exception or None
        What ended it early.
    """

    def __init__(self, what: str, run: Callable[[Following], None], has_end: bool = False) -> None:
        self.error: Exception | None = None
        self._has_end = has_end
        self._what, self._stopped = what, threading.Event()
        self._ended = False

        def guarded() -> None:
            try:
                run(self)
            except Exception as error:
                self.error = error
                _log.warning("%s cannot be followed any more: %s", what, error)
            finally:
                self._ended = True

        self._thread = threading.Thread(target=guarded, daemon=True, name=f"following {what}")

    def start(self) -> Following:
        self._thread.start()
        return self

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return not self._ended

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to end."""
        return self._stopped.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait; whether it is to go on."""
        return not self._stopped.wait(seconds)

    def wait(self) -> None:
        """Wait until it has ended by itself.

        Raises
        ------
        ValueError
            It never does: a dataset on disk is looked at until `stop`.
        Exception
            What ended it early.
        """
        if not self._has_end:
            raise ValueError(f"{self._what} is followed until stop() is called: there is no end to wait for")
        self._thread.join()
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """End it, after the checkpoint that is under way, for as long as that takes.

        Raises
        ------
        Exception
            What ended it early: the error of the iterator, or a sentence on what came from it.
        """
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        if self.error is not None:
            raise self.error


# -- a dataset on disk -------------------------------------------------------------------------------------------------


def follow_source(session: Session) -> Following | None:
    """Follow the dataset of a session, if it lies on a local disk and was recorded checkpoint by checkpoint."""
    probs = session.analysis.ds.get("probs")
    stored = source_of(probs) if probs is not None else None
    if stored is None or not is_local(stored.source.url):
        return None
    try:
        open_grown(stored.source.url)
    except ValueError:
        return None
    return follow_store(session, stored.source.url, is_own=True)


def follow_store(session: Session, path: str | os.PathLike[str], is_own: bool = False) -> Following:
    """Follow a recording of the samples and classes of a session's dataset.

    Parameters
    ----------
    session : Session
    path : path
        A .zarr directory on a local disk; it may not be there yet.
    is_own : bool
        Whether it is where the session's dataset was opened from.
    """
    news = session.follow()
    watch = StoreWatch(path, session.analysis.ds, is_own)
    watches, base = session.watches, session.opened
    watches.append(watch)
    news.states.append(watch.state)
    news.reopen = lambda: _opened_anew(watches, base)

    def run(following: Following) -> None:
        while True:
            try:
                _look(watch, news)
            except (ValueError, OSError) as error:
                watch.problem = str(error)
            except Exception as error:  # what a store that is being deleted makes zarr raise
                watch.problem = f"it cannot be read: {type(error).__name__}: {error}"
            if not following.pause(PAUSE):
                return

    return Following(watch.path.name, run).start()


def _look(watch: StoreWatch, news: News) -> None:
    group = watch.look()
    while group is not None and watch.n_known < watch.n_there:
        if not news.is_due:
            before = watch.n_known
            batch = watch.read(group)
            news.add(batch)
            if watch.n_known == before:  # else all was opened anew meanwhile
                watch.n_known += len(batch.run)
        if news.is_due:
            news.refit()


def _opened_anew(watches: list[StoreWatch], base: xr.Dataset) -> xr.Dataset:
    """One dataset of all that is there now."""
    opened = {watch: open_trajectories(watch.path) for watch in watches if watch.is_own or watch.path.exists()}
    own = next((ds for watch, ds in opened.items() if watch.is_own), base)
    others = [ds for watch, ds in opened.items() if not watch.is_own]
    for watch, ds in opened.items():
        watch.begin(ds, own)
    return together(own, others) if others else own


def together(first: xr.Dataset, others: list[xr.Dataset]) -> xr.Dataset:
    """The checkpoints of several datasets of the same samples and classes, their curves not told apart by the dataset.

    All else is that of the first. A run that is there already is not there twice.
    """
    runs = set(first["run"].values.astype(str).tolist())
    parts = [first]
    for other in others:
        names = other["run"].values.astype(str)
        new = ~np.isin(names, sorted(runs))
        if new.any():
            parts.append(other.isel(checkpoint=new))
        runs |= set(names.tolist())
    titles = [str(ds.attrs.get("title", number)) for number, ds in enumerate(parts)]
    return along_checkpoints(parts, titles).assign_attrs(first.attrs)


class StoreWatch:
    """A dataset on disk that may be recorded: how many checkpoints it has, and how it stands with the recording.

    Parameters
    ----------
    path : path
    ds : xarray.Dataset
        Whose samples and classes it must have.
    is_own : bool
        Whether `ds` was opened from it.
    """

    def __init__(self, path: str | os.PathLike[str], ds: xr.Dataset, is_own: bool) -> None:
        self.path, self.is_own = Path(path), is_own
        self.problem = ""
        self.n_there = 0
        self._listed: tuple[int, ...] | None = None
        self._identity: tuple[int, ...] | None = None
        self._recording: Recording | None = None
        self._changed: float | None = None
        self.n_known = ds.sizes["checkpoint"] if is_own else 0
        self._expected = _expected_of(ds)
        if is_own:
            self._identity = _identity(self.path)

    def begin(self, ds: xr.Dataset, expected: xr.Dataset) -> None:
        """What is there was opened anew, as `ds`."""
        self.n_known = self.n_there = ds.sizes["checkpoint"]
        self._expected, self._identity, self._listed, self.problem = (
            _expected_of(expected),
            _identity(self.path),
            None,
            "",
        )

    def look(self) -> zarr.Group | None:
        """Look at the list of arrays; what it lists, if it has changed.

        Raises
        ------
        ValueError
            It was deleted or replaced, or it has other labels, samples or classes.
        """
        self._recording = recording_at(self.path)
        listed = _signature(self.path / "zarr.json")
        if listed is None:
            if self._identity is None:
                return None  # not there yet
            self._listed = None
            raise ValueError("the store was deleted: what it had stays on the page")
        if listed == self._listed:
            return None
        self._listed, self._changed = listed, (self.path / "zarr.json").stat().st_mtime
        group = open_grown(self.path)
        for what, values in self._expected.items():
            name = {"labels": "label", "sample ids": "sample", "classes": "class"}[what]
            if name in group and not _same(values, np.asarray(array_of(group, name)[...])):
                raise ValueError(f"its {what} are others now: what came before stays on the page")
        identity = _identity(self.path)
        n_there = int(array_of(group, "run").shape[0])
        if (self._identity is not None and identity != self._identity) or n_there < self.n_known:
            raise ValueError("the store was replaced: fit the axes anew to see what is there now")
        self._identity, self.n_there, self.problem = identity, n_there, ""
        return group

    def read(self, group: zarr.Group) -> Arrived:
        """Some of the checkpoints that are not known."""
        last = min(self.n_there, self.n_known + self._at_a_time())
        return Arrived.from_dataset(read_checkpoints(group, slice(self.n_known, last)))

    def _at_a_time(self) -> int:
        n_samples, n_classes = (len(self._expected[what]) for what in ("sample ids", "classes"))
        return max(1, min(_AT_A_TIME, _BYTES_AT_A_TIME // (4 * n_samples * n_classes)))

    def state(self) -> dict[str, Any]:
        """How it stands, in a word and in words."""
        if self.problem:
            return {"state": "problem", "text": self.problem}
        if self._changed is None:
            return {"state": "waiting", "text": "waiting for the first checkpoint"}
        return status_of(self._recording, self.n_there, max(0.0, time.time() - self._changed))


def status_of(recording: Recording | None, n_checkpoints: int, age: float) -> dict[str, Any]:
    """How it stands with a recording, in a word and in words.

    Parameters
    ----------
    recording : {"recording", "ended", "killed"} or None
    n_checkpoints : int
    age : float
        Seconds since the last of them.

    Examples
    --------
    >>> status_of("recording", 38, 3.2)
    {'state': 'recording', 'text': 'recording, 38 checkpoints, last 3 s ago'}
    >>> status_of("recording", 38, 200)["text"], status_of("killed", 1, 5)["text"]
    ('recording, 38 checkpoints, nothing for 3 min', 'killed (its process is gone), 1 checkpoint, last 5 s ago')
    """
    many = f"{n_checkpoints:,} checkpoint{'' if n_checkpoints == 1 else 's'}"
    if recording == "recording" and age > _SLOW:
        return {"state": "slow", "text": f"recording, {many}, nothing for {lasting(age)}"}
    words = {"recording": "recording, ", "ended": "ended, ", "killed": "killed (its process is gone), ", None: ""}
    news = f"no news for {lasting(age)}" if recording is None else f"last {lasting(age)} ago"
    return {"state": recording or "unknown", "text": f"{words[recording]}{many}, {news}"}


def lasting(seconds: float) -> str:
    """A length of time in words.

    Examples
    --------
    >>> lasting(3.2), lasting(200), lasting(9000), lasting(300_000)
    ('3 s', '3 min', '2 h', '3 days')
    """
    for unit, length, most in (("s", 1, 60), ("min", 60, 60), ("h", 3600, 48)):
        if seconds < length * most:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds // 86_400)} days"


def _signature(file: Path) -> tuple[int, ...] | None:
    """What changes of a file whenever it is replaced; None where it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _identity(path: Path) -> tuple[int, ...] | None:
    """Of a file that stays as it is while checkpoints are appended: another one, another dataset."""
    return _signature(path / "label" / "zarr.json")


def _expected_of(ds: xr.Dataset) -> dict[str, NDArray[Any]]:
    return {
        "labels": np.asarray(ds["label"].values),
        "sample ids": np.asarray(ds["sample"].values),
        "classes": np.asarray(ds["class"].values),
    }


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Whether two arrays hold the same, also where one of them is text as Zarr gives it."""
    if {first.dtype.kind, second.dtype.kind} & set("TOU"):
        first, second = first.astype(object).astype(str), second.astype(object).astype(str)
    return np.array_equal(first, second)


# -- an iterator -------------------------------------------------------------------------------------------------------


def follow_snapshots(session: Session, snapshots: Iterable[Any], task: str, method: str, seed: int) -> Following:
    """Follow an iterator of pairs (probs, epoch) in a thread; see `Explorer.follow`."""
    news = session.follow()
    run_name = f"{task}/{method}/{seed}"
    if run_name in set(session.analysis.ds["run"].values.astype(str).tolist()):
        raise ValueError(f"the dataset has a run {run_name!r} already: choose another task, method or seed")
    news.reopen = None  # what comes from an iterator is nowhere but here
    seen: dict[str, Any] = {"n": 0, "at": None, "following": None}

    def run(following: Following) -> None:
        iterator = iter(snapshots)
        last = -math.inf
        try:
            for item in iterator:
                if following.is_stopped:
                    break
                probs, epoch = _pair(item)
                if epoch < last:
                    raise ValueError(f"epoch {epoch:g} came after epoch {last:g}: checkpoints come in their order")
                last = epoch
                one = [run_name], [task], [method], [int(seed)], [epoch], [seen["n"]]
                news.add(Arrived(probs[None], *one))
                seen.update(n=seen["n"] + 1, at=time.monotonic())
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def state() -> dict[str, Any]:
        following, n = seen["following"], seen["n"]
        many = f"{n:,} checkpoint{'' if n == 1 else 's'}"
        if following.error is not None:
            return {"state": "problem", "text": f"{type(following.error).__name__}: {following.error}"}
        if not following.is_running:
            return {"state": "ended", "text": f"{'stopped' if following.is_stopped else 'ended'}, {many}"}
        if seen["at"] is None:
            return {"state": "waiting", "text": "waiting for the first checkpoint"}
        told = status_of("recording", n, time.monotonic() - seen["at"])
        return told | {"text": told["text"].replace("recording", "training", 1)}

    seen["following"] = following = Following(run_name, run, has_end=True)
    news.states.append(state)
    return following.start()


def _pair(item: Any) -> tuple[NDArray[Any], float]:
    """Predictions and epoch of what an iterator gave."""
    try:
        probs, epoch = item
        epoch = float(epoch)
    except (TypeError, ValueError):
        raise ValueError(f"what is followed must give pairs (probs, epoch), it gave {type(item).__name__}") from None
    if not math.isfinite(epoch):
        raise ValueError(f"an epoch must be a finite number, got {epoch}")
    if hasattr(probs, "detach"):  # a tensor, on whatever device
        probs = probs.detach().cpu().numpy()
    values = np.asarray(probs)
    if values.ndim != 2:
        raise ValueError(f"predictions must be of shape (samples, classes), got {values.shape}")
    return values, epoch
