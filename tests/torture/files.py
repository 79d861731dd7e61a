"""Trials of damaged files: a copy of a good one is damaged and read, each in a process of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.torture.children import Ended, Result, in_child
from tests.torture.judging import Values, judge
from tests.torture.mutations import Place, mutate
from tests.torture.specimens import Specimen

#: Beyond what reading the undamaged file takes.
MORE_BYTES = 300 * 2**20
SECONDS = 30.0


@dataclass(frozen=True)
class Known:
    """A specimen, what it holds, and another one of the same form whose values are others."""

    specimen: Specimen
    expected: Values
    most_bytes: float
    other: Path


def know(specimen: Specimen, other: Specimen) -> Known:
    """Read an undamaged specimen here, and once more in a child, which must give the same."""
    expected = specimen.read(specimen.folder / specimen.main)
    known = Known(specimen, expected, float("inf"), other.folder)
    ended = in_child(partial(_read, known, specimen.folder), seconds=10 * SECONDS)
    if ended.outcome != "equal":
        raise AssertionError(f"{specimen.name}, undamaged: {ended.outcome} {ended.message}")
    return replace(known, most_bytes=ended.peak + MORE_BYTES)


def _read(known: Known, folder: Path) -> Result:
    specimen = known.specimen
    return judge(specimen.read, folder / specimen.main, known.expected, specimen.is_guarded)


def try_file(one: Known, place: Path, rng: np.random.Generator) -> tuple[str, Ended]:
    """Damage one file and read it.

    Parameters
    ----------
    one : Known
    place : path
        An empty folder to work in.
    rng : numpy.random.Generator
        What is done follows from it.

    Returns
    -------
    tuple
        What was done, and how reading it ended.
    """
    inside, outside = place / "inside", place / "outside"
    # The copy of a recording that goes on is not locked: it looks like one that was killed, and reads the same.
    shutil.copytree(one.specimen.folder, inside)
    shutil.copytree(one.specimen.folder, outside / "same")
    shutil.copytree(one.other, outside / "other")
    said = mutate(Place(inside, one.specimen.main, one.specimen.damaged, outside, rng))
    before = look_at(inside), look_at(outside)
    ended = in_child(partial(_read, one, inside), seconds=SECONDS, most_bytes=one.most_bytes)
    litter = _litter(before, (look_at(inside), look_at(outside)), one.specimen.writes)
    if litter:
        ended = replace(ended, outcome="litter", message=f"{litter} (it ended as {ended.outcome} {ended.message})")
    return said, ended


def _litter(before: tuple[dict[str, Any], ...], after: tuple[dict[str, Any], ...], writes: bool) -> str:
    """What reading has left or changed in the folder, and outside it."""
    for where, was, now in zip(("", "outside/"), before, after, strict=True):
        changed = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        if writes and not where:  # into files of its own names, whole ones
            changed = [name for name in changed if ".partial" in name or Path(name).name.startswith(".")]
        if changed:
            return f"{where}{changed[0]}" + (f" and {len(changed) - 1} more" if len(changed) > 1 else "")
    return ""


def look_at(folder: Path) -> dict[str, Any]:
    """What lies in a folder, by its path: the digest of a file, else the kind. Links are not followed."""
    found: dict[str, Any] = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(root, name)
            if path.is_symlink():
                found[str(path.relative_to(folder))] = os.readlink(path)
            elif path.is_file():
                found[str(path.relative_to(folder))] = hashlib.sha1(path.read_bytes()).hexdigest()
            else:
                found[str(path.relative_to(folder))] = path.lstat().st_mode
    return found
