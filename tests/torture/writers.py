"""All that writes files, as something that can be stopped at any moment: what is written, and how it is checked."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import predspace_widgets as pw
from predspace_widgets.training import parse_recipe, record_to
from tests.torture.children import Result
from tests.torture.judging import Values, difference, judge
from tests.torture.specimens import (
    RECIPE,
    read_kept,
    read_tiles,
    read_trajectories,
    record,
    save_large,
    small_blocks,
    trainings,
)
from tests.trajectories.test_published import known as known_picture

#: Nothing is at the path.
NOTHING: Values = {}


@dataclass(frozen=True)
class Writer:
    """What writes into a folder.

    Attributes
    ----------
    name : str
    main : str
        What it writes there.
    write : function of the folder
        As users call it: again, after it was stopped.
    read : function of the path of `main`
    before : function of the folder, optional
        Makes what is there before.
    partial_is_fine : bool
        Whether what is at the path may be unfinished when it was stopped, and not to be read: what only this writer
        reads, and goes on with.
    n_kept : function of the folder, optional
        How many checkpoints were written for certain, for what grows.
    keeps : str
        Beginning of the names of files that stay on purpose until it is finished.
    is_slow : bool
    """

    name: str
    main: str
    write: Callable[[Path], object]
    read: Callable[[Path], Values] = read_trajectories
    before: Callable[[Path], object] | None = None
    partial_is_fine: bool = False
    n_kept: Callable[[Path], int] | None = None
    keeps: str | None = None
    is_slow: bool = False

    def state(self, folder: Path) -> Values:
        path = folder / self.main
        return self.read(path) if os.path.lexists(path) else NOTHING

    def check_stopped(self, folder: Path, old: Values, new: Values) -> Result:
        """Whether the old or the new is there, whole; of what grows all that was recorded for certain."""
        if self.partial_is_fine:
            return "equal", ""
        path = folder / self.main
        if not os.path.lexists(path):
            n_kept = self.n_kept(folder) if self.n_kept else 0
            lost = old != NOTHING or n_kept
            return ("different", f"nothing is at the path ({n_kept} recorded)") if lost else ("equal", "nothing yet")
        if self.n_kept:
            return _check_grown(path, self.n_kept(folder), new)
        if old != NOTHING and judge(self.read, path, old)[0] == "equal":
            return "equal", "old"
        outcome, said = judge(self.read, path, new)
        # It was right before it was stopped: an error is as bad as other values.
        return ("different", f"cannot be read: {said}") if outcome == "error" else (outcome, said or "new")

    def check_finished(self, folder: Path, new: Values) -> Result:
        outcome, said = judge(self.read, folder / self.main, new)
        return ("different", f"cannot be read: {said}") if outcome == "error" else (outcome, said)


def _check_grown(path: Path, n_kept: int, new: Values) -> Result:
    """Whether the first checkpoints are there and right, at least those that were recorded for certain."""
    ds = pw.open_trajectories(path).load()
    n = ds.sizes["checkpoint"]
    if not n_kept <= n <= n_kept + 1:
        return "different", f"{n} checkpoints, {n_kept} were recorded"
    found = difference({"dataset": ds}, {"dataset": new["dataset"].isel(checkpoint=slice(n))})
    return ("different", found) if found else ("equal", f"{n} checkpoints")


def _noted(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.noted")  # on another disk than the folder, where that one is full


def _loop_and_note(n_checkpoints: int, folder: Path) -> None:
    """A training loop that records, and notes after each checkpoint, for certain, that it was recorded."""
    ds = trainings()
    with open(_noted(folder), "ab", buffering=0) as noted:
        recorder = record(folder / "data.zarr", 0, close=False)
        first = 0 if recorder.last_step is None else recorder.last_step + 1
        noted.write(b"." * (first - noted.tell()))  # one may have been recorded and not noted
        for step in range(first, n_checkpoints):
            recorder.record(ds["probs"].values[step], epoch=step / 2, step=step)
            noted.write(b".")
        recorder.close()


def _n_noted(folder: Path) -> int:
    return _noted(folder).stat().st_size if _noted(folder).exists() else 0


def _save(name: str, seed: int, folder: Path, **form: str) -> None:
    with small_blocks():
        pw.save_trajectories(trainings(seed), folder / name, **form)  # type: ignore[arg-type]


def _recipe(folder: Path) -> Path:
    """Without what it reads from another file."""
    file = folder.with_name("tiny.yaml")
    file.write_text(RECIPE.replace("  listed: {classes_file: CLASSES}\n", ""), "utf-8")
    return file


def _sweep(workers: int, folder: Path) -> None:
    """`predspace record`, in the place of this process."""
    command = [sys.executable, "-m", "predspace_widgets", "record", str(_recipe(folder))]
    os.execv(
        sys.executable, [*command, "--out", str(folder / "tiny.zarr.zip"), "--workers", str(workers), "--overwrite"]
    )


def _sweep_here(folder: Path) -> None:
    record_to(parse_recipe(_recipe(folder).read_text("utf-8"), "tiny"), folder / "tiny.zarr", workers=1, overwrite=True)


def _import(folder: Path) -> None:
    """`predspace import`."""
    source = folder.with_name("picture.pkl")
    if not source.exists():
        source.write_bytes(pickle.dumps(known_picture([[20, 20], [20, 20]]).file()))
    pw.save_trajectories(pw.import_trajectories(source, epochs="checkpoints"), folder / "picture.zarr.zip")


def make_writers() -> Iterator[Writer]:
    yield Writer("recorder", "data.zarr", partial(_loop_and_note, 8), n_kept=_n_noted)
    first = partial(_loop_and_note, 3)
    yield Writer("recorder, resumed", "data.zarr", partial(_loop_and_note, 8), before=first, n_kept=_n_noted)
    for kind in (".zarr", ".zarr.zip", ".nc"):
        for form in ("probs", "log_probs"):
            name = f"data{kind}"
            save, old = partial(_save, name, 0, store=form), partial(_save, name, 1, store=form)
            yield Writer(f"save {kind}, {form}", name, save)
            yield Writer(f"save {kind}, {form}, replaced", name, save, before=old)
    tiles = "distances.zarr"
    yield Writer("save_distances", tiles, lambda folder: read_tiles(folder / tiles), read_tiles, partial_is_fine=True)
    yield Writer(
        "results",
        "data.zarr",
        lambda folder: read_kept(folder / "data.zarr"),
        read_kept,
        before=lambda folder: save_large(folder / "data.zarr"),
        partial_is_fine=True,
    )
    yield Writer("import", "picture.zarr.zip", _import)
    yield Writer("sweep, in one process", "tiny.zarr", _sweep_here, keeps="tiny.zarr.runs")
    yield Writer(
        "predspace record, 2 workers", "tiny.zarr.zip", partial(_sweep, 2), keeps="tiny.zarr.zip.runs", is_slow=True
    )
