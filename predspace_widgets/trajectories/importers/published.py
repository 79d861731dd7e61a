"""Published InPCA pictures of the paper's authors: pickles that hold coordinates and eigenvalues, no predictions.

The family, from what was published and the program that wrote it: a dict with `inpca_embedding`, coordinates by task,
seed, checkpoint and axis; `eigen_values` of all axes (or `singular_value`, which one of the programs makes their square
roots and another does not), signed or as magnitudes; `imaginary`, flags of the negative ones; maybe `tasks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from predspace_widgets.trajectories.importers.report import Report
from predspace_widgets.trajectories.importers.schedule import epochs_of
from predspace_widgets.trajectories.importers.unpickling import MAX_BYTES, read_pickle
from predspace_widgets.trajectories.text_files import shown

Array = NDArray[np.float64]

_EMBEDDING = ("inpca_embedding",)
_EIGENVALUES = ("eigen_values", "eigenvalues", "eigen_value")
_SINGULAR = ("singular_value", "singular_values")
_MOST_CHARACTERS = 1_000  # of a name
_SHOWN = 5  # names in a message; the rest are counted

# How far sums of squared coordinates may be from the eigenvalue, as in `schema`: published numbers are rounded.
_TOLERANCE = 5e-3
# Eigenvalues below this share of the largest are rounding: their sign says nothing.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class _Picture:
    """What a file holds, before names and epochs.

    Attributes
    ----------
    runs : list of list of array (T, k)
        Coordinates of each task and seed.
    names : list of str, or None
        Of the tasks.
    eigenvalues : array, shape (n,)
        Signed, of all axes that the file has.
    """

    runs: list[list[Array]]
    names: list[str] | None
    eigenvalues: Array


def read_picture(
    path: Path,
    report: Report,
    *,
    tasks: Sequence[str] | None = None,
    epochs: Sequence[float] | str | None = None,
    seeds: Sequence[int] | None = None,
    method: str | None = None,
    signs: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> xr.Dataset:
    """The embedding-only dataset of a published picture.

    Parameters
    ----------
    path : path
        A pickle; it is read by `read_pickle`, which runs nothing of it.
    report : Report
    tasks : sequence of str, optional
        Needed where the file does not name its tasks, or not as many as it has.
    epochs : sequence of float, "checkpoints" or "paper", optional
        The epoch of each checkpoint; see `epochs_of`. Without it, runs of 61 checkpoints have those of the authors'
        training program, `SCHEDULE_OF_PAPER`, and others are refused.
    seeds : sequence of int, optional
        Numbers of the seeds of every task, by default 0, 1, 2, ...
    method : str, optional
        By default "supervised".
    signs : {"flags", "signed"}, optional
        Needed where the eigenvalues are all positive and nothing says which are imaginary.
    max_bytes : int
        A larger file is refused before it is read.

    Raises
    ------
    RefusedPickleError
        The file is no pickle of arrays and plain containers.
    ValueError
        It is no picture, or contradicts itself, or leaves open what an option must say: the message names it.
    """
    content = read_pickle(path, report, max_bytes)
    try:
        picture = _picture_of(content, report, signs)
        names = _task_names(picture, tasks, report)
        return _dataset(picture, names, report.method(method), seeds, epochs, report)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _picture_of(content: Any, report: Report, signs: str | None) -> _Picture:
    if not isinstance(content, dict):
        raise ValueError(f"holds a {type(content).__name__}, a published picture is a dict with {_EMBEDDING[0]!r}")
    entries = {str(key): value for key, value in content.items()}
    embedding = _entry(entries, _EMBEDDING, "the coordinates")
    values = _entry(entries, (*_EIGENVALUES, *_SINGULAR), "the eigenvalues")
    are_eigenvalues = any(key in entries for key in _EIGENVALUES)
    known = {*_EMBEDDING, *_EIGENVALUES, "imaginary", "tasks", *(() if are_eigenvalues else _SINGULAR)}
    others = [key for key in entries if key not in known]
    if others:
        report.note(f"not read: {_listed(others)}")
    runs, names = _runs_of_tasks(embedding, report)
    if names is None and "tasks" in entries:
        names = _texts(entries["tasks"], "tasks")
    numbers = _real(_as_array(values, "the eigenvalues"), "the eigenvalues", report)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError(f"the eigenvalues must be a list of finite numbers, they have the shape {numbers.shape}")
    flags = _flags(entries["imaginary"], len(numbers)) if "imaginary" in entries else None
    if not are_eigenvalues:
        numbers = _of_singular(numbers, runs, report)
    runs, names = _checked(runs, names, np.abs(numbers), report)
    return _Picture(runs, names, _signed(numbers, flags, signs, report))


def _entry(entries: Mapping[str, Any], keys: Sequence[str], what: str) -> Any:
    found = next((key for key in keys if key in entries), None)
    if found is None:
        there = _listed(list(entries)) or "none"
        raise ValueError(
            f"{what} are missing: there is no {' or '.join(map(repr, keys))} among its keys, which are {there}"
        )
    return entries[found]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(shown, names[:_SHOWN])) + more


# -- coordinates -------------------------------------------------------------------------------------------------------


def _runs_of_tasks(value: Any, report: Report) -> tuple[list[list[Array]], list[str] | None]:
    """Coordinates (T, k) of each seed of each task, and the names of the tasks where the file has them as keys."""
    names = _texts(list(value), "inpca_embedding") if isinstance(value, dict) else None
    each = list(value.values()) if isinstance(value, dict) else value
    if isinstance(each, np.ndarray):
        if each.ndim != 4:
            raise ValueError(
                f"the coordinates have the shape {each.shape}: they must have four dimensions (task, seed, checkpoint, "
                "axis) or be a list of a task each"
            )
        each = list(each)
    if not isinstance(each, list | tuple) or not each:
        raise ValueError("the coordinates must be an array or a list, of one task or more")
    runs = [_runs_of_task(task, f"task {number}", report) for number, task in enumerate(each, start=1)]
    n_axes = {run.shape[1] for task in runs for run in task}
    if len(n_axes) > 1:
        raise ValueError(f"runs have different numbers of axes: {', '.join(map(str, sorted(n_axes)))}")
    if not n_axes.pop():
        raise ValueError("the coordinates are on no axis")
    return runs, names


def _runs_of_task(value: Any, where: str, report: Report) -> list[Array]:
    try:
        array = _as_array(value, where)
    except ValueError:
        if not isinstance(value, list | tuple):
            raise
        arrays = [_as_array(run, where) for run in value]  # of different lengths
    else:
        if array.ndim == 2:
            report.note(f"{where} is one array (checkpoint, axis): read as one seed")
            array = array[None]
        arrays = list(np.atleast_1d(array))
    runs = []
    for seed, run in enumerate(arrays, start=1):
        if run.ndim != 2:
            raise ValueError(f"{where} must have the dimensions (seed, checkpoint, axis)")
        padding = np.isnan(run).all(axis=1)
        length = len(run) - int(padding[::-1].argmin()) if len(run) and not padding.all() else 0
        if length < len(run):
            report.note(
                f"{where}, seed {seed}: the last {len(run) - length} of {len(run)} checkpoints are NaN: dropped"
            )
        if length:
            runs.append(_real(run[:length], f"{where}, seed {seed}", report))
    if not runs:
        raise ValueError(f"{where} has no checkpoint")
    return runs


def _as_array(value: Any, what: str) -> NDArray[Any]:
    if not _are_numbers(value):  # as an array, each text would be as long as the longest
        raise ValueError(f"{what}: numbers are expected, it holds something else")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{what}: lists of different lengths, which are no array") from error


def _are_numbers(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_are_numbers, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fciub"
    return isinstance(value, int | float | complex | np.number | np.bool_)


def _real(array: NDArray[Any], what: str, report: Report) -> Array:
    """Numbers without the imaginary part, which must be 0."""
    if array.dtype.kind == "c":
        if np.any(array.imag != 0):
            axes = "" if array.ndim != 2 else f" on axis {int(np.argmax((array.imag != 0).any(axis=0))) + 1}"
            raise ValueError(f"{what}: complex numbers with an imaginary part other than 0{axes}")
        whose = "the coordinates" if what.startswith("task") else what
        report.note(f"{whose} are complex numbers with imaginary part 0: their real part is read")
        array = array.real
    return array.astype(np.float64)


# -- eigenvalues -------------------------------------------------------------------------------------------------------


def _flags(value: Any, length: int) -> NDArray[np.bool_]:
    flags = _as_array(value, "'imaginary'")
    if flags.shape != (length,) or not np.isin(flags, (0, 1)).all():
        raise ValueError(f"'imaginary' must hold true or false for each of the {length} eigenvalues")
    return flags.astype(bool)


def _of_singular(numbers: Array, runs: Sequence[Sequence[Array]], report: Report) -> Array:
    """Eigenvalues of what is called singular values: the same, or their squares with a sign. The coordinates tell."""
    squared = np.sign(numbers) * numbers**2
    each_sums = (_sums(runs), _sums(_distinct(runs)))
    fits = [any(_agree(sums, np.abs(values)) for sums in each_sums) for values in (numbers, squared)]
    if fits == [True, False]:
        report.note("'singular_value' holds eigenvalues: squared coordinates add up to them")
        return numbers
    if fits == [False, True]:
        report.note("'singular_value' holds square roots of eigenvalues: squared coordinates add up to their squares")
        return squared
    raise ValueError(
        "'singular_value' may hold eigenvalues or their square roots: squared coordinates add up to "
        + ("either" if all(fits) else "neither")
    )


def _signed(values: Array, flags: NDArray[np.bool_] | None, signs: str | None, report: Report) -> Array:
    """Eigenvalues with their signs."""
    if signs not in (None, "flags", "signed"):
        raise ValueError(f"signs must be 'flags' or 'signed', not {signs!r}")
    matter = np.abs(values) > _ROUNDING * np.abs(values).max(initial=0)
    negative = values < 0
    if signs == "signed" or (flags is None and (negative & matter).any()):
        report.note("eigenvalues have the signs that they stand with" + (", as --signs says" if signs else ""))
        return values
    if flags is None:
        raise ValueError(
            "no eigenvalue is negative, and nothing says which are imaginary: --signs signed takes them as they stand"
            if signs is None
            else "--signs flags needs 'imaginary', which is missing"
        )
    if signs == "flags" or not (negative & matter).any():
        report.note(
            f"eigenvalues are magnitudes: negative where 'imaginary' is set, {np.count_nonzero(flags)} of {len(flags)}"
        )
        return np.where(flags, -np.abs(values), np.abs(values))
    wrong = np.flatnonzero((negative != flags) & matter)
    if wrong.size:
        raise ValueError(
            f"signs and flags of eigenvalues contradict each other on axis {wrong[0] + 1}"
            f"{f' and {wrong.size - 1} more' if wrong.size > 1 else ''}: --signs says which hold"
        )
    report.note(
        f"eigenvalues have the signs that they stand with, {np.count_nonzero(negative)} negative; the flags agree"
    )
    return values


# -- checks ------------------------------------------------------------------------------------------------------------


def _sums(runs: Iterable[Sequence[Array]]) -> Array:
    """Sums of squared coordinates of each axis, (k,)."""
    return np.sum([np.square(run).sum(axis=0) for task in runs for run in task], axis=0, dtype=np.float64)


def _agree(sums: Array, magnitudes: Array) -> bool:
    k = len(sums)
    return k <= len(magnitudes) and bool(np.allclose(sums, magnitudes[:k], rtol=_TOLERANCE, atol=0))


def _first_of(runs: Sequence[Sequence[Array]]) -> list[int]:
    """For each task, the first that has the same coordinates."""

    def same(one: Sequence[Array], other: Sequence[Array]) -> bool:
        return one is other or (len(one) == len(other) and all(map(np.array_equal, one, other)))  # NaN is not NaN

    return [next(n for n, other in enumerate(runs) if same(task, other)) for task in runs]


def _distinct(runs: Sequence[Sequence[Array]]) -> list[Sequence[Array]]:
    return [runs[n] for n in sorted(set(_first_of(runs)))]


def _checked(
    runs: list[list[Array]], names: list[str] | None, magnitudes: Array, report: Report
) -> tuple[list[list[Array]], list[str] | None]:
    """The tasks that the eigenvalues speak of, without those that repeat another."""
    k, first = runs[0][0].shape[1], _first_of(runs)
    if k > len(magnitudes):
        raise ValueError(f"there are coordinates on {k} axes and only {len(magnitudes)} eigenvalues")
    repeated = [n for n, other in enumerate(first) if n != other]
    kept = [n for n in range(len(runs)) if n not in repeated]
    if repeated and _agree(_sums(runs), magnitudes) and not _agree(_sums([runs[n] for n in kept]), magnitudes):
        for n in repeated:
            report.note(f"array {n + 1} repeats array {first[n] + 1}: kept, the eigenvalues count both")
        repeated, kept = [], list(range(len(runs)))
    for n in repeated:
        named = f" ({names[n]!r})" if names is not None and len(names) == len(runs) else ""
        report.note(f"array {n + 1}{named} repeats array {first[n] + 1}: dropped")
    if names is not None and len(names) == len(runs):
        names = [names[n] for n in kept]
    left = [runs[n] for n in kept]
    _check_sums(left, magnitudes, report)
    return left, names


def _check_sums(runs: Sequence[Sequence[Array]], magnitudes: Array, report: Report) -> None:
    sums, k = _sums(runs), runs[0][0].shape[1]
    n_points = sum(len(run) for task in runs for run in task)
    size = magnitudes[:k]
    wrong = np.abs(sums - size) > _TOLERANCE * size
    if len(magnitudes) > n_points and wrong.any():  # a part of the picture: its squares add up to less
        wrong &= sums > size
        report.note(f"the file holds {n_points:,} of the {len(magnitudes):,} points of the picture")
    if wrong.any():
        axis = int(np.argmax(wrong))
        raise ValueError(
            f"coordinates and eigenvalues contradict each other on axis {axis + 1}: squares add up to "
            f"{sums[axis]:.6g}, the eigenvalue is {size[axis]:.6g}"
        )
    if len(magnitudes) < n_points:
        report.note(
            f"the file has {len(magnitudes):,} of {n_points:,} eigenvalues: the explained stress "
            "counts them as all, and is too large"
        )


# -- names -------------------------------------------------------------------------------------------------------------


def _texts(values: Any, what: str) -> list[str]:
    given = list(values) if isinstance(values, list | tuple | np.ndarray) else None
    if given is None or not all(isinstance(name, str | bytes | int) for name in given):
        raise ValueError(f"{what!r} must be a list of names")
    if any(isinstance(name, str | bytes) and len(name) > _MOST_CHARACTERS for name in given):
        raise ValueError(f"a name in {what!r} has more than {_MOST_CHARACTERS:,} characters")
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in given]


def _task_names(picture: _Picture, given: Sequence[str] | None, report: Report) -> list[str]:
    n = len(picture.runs)
    names = list(map(str, given)) if given is not None else picture.names
    if names is None:
        raise ValueError(f"the file does not name its {n} tasks: --tasks must, as in --tasks a,b,c")
    if len(names) != n:
        whose = "--tasks" if given is not None else "the file"
        raise ValueError(f"there are {n} tasks, and {whose} names {len(names)}: --tasks must name {n}")
    if len(set(names)) < n or not all(name.strip() and "\0" not in name for name in names):
        raise ValueError(f"names of tasks must differ and not be empty, not {_listed(names)}: see --tasks")
    if given is not None:
        report.note(f"tasks, as --tasks says: {', '.join(names)}")
    return names


def _seeds_of(
    runs: Sequence[Sequence[Array]], names: Sequence[str], given: Sequence[int] | None, report: Report
) -> list[int]:
    """Numbers of the seeds of the task that has most."""
    most = max(map(len, runs))
    for name, task in zip(names, runs, strict=True):
        if len(task) < most:
            report.note(f"{name!r} has {len(task)} seeds, others have {most}")
    if given is None:
        numbers = "0 is" if most == 1 else f"0 to {most - 1} are"
        report.note(f"seeds: the file has no numbers of them, {numbers} assumed (--seeds gives others)")
        return list(range(most))
    if len(given) != most:
        raise ValueError(f"--seeds gives {len(given)} seeds, there are {most}")
    seeds = list(map(int, given))
    if len(set(seeds)) < most:
        raise ValueError("--seeds must differ")
    report.note(f"seeds, as --seeds says: {', '.join(map(str, seeds))}")
    return seeds


def _dataset(
    picture: _Picture,
    names: Sequence[str],
    method: str,
    seeds: Sequence[int] | None,
    epochs: Sequence[float] | str | None,
    report: Report,
) -> xr.Dataset:
    numbers = _seeds_of(picture.runs, names, seeds, report)
    lengths = [len(run) for task in picture.runs for run in task]
    times = epochs_of(epochs, lengths, report, by_paper=True)
    report.note("step: the file has none, checkpoints of a run are numbered from 0")
    columns: dict[str, list[Any]] = {name: [] for name in ("run", "task", "method", "seed", "epoch", "step")}
    for name, task in zip(names, picture.runs, strict=True):
        for seed, run in zip(numbers, task, strict=False):
            n = len(run)
            columns["run"] += [f"{name}/{method}/{seed}"] * n
            columns["task"] += [name] * n
            columns["method"] += [method] * n
            columns["seed"] += [seed] * n
            columns["epoch"] += times[:n]
            columns["step"] += range(n)
    embedding = np.concatenate([run for task in picture.runs for run in task])  # (T, k)
    is_whole = len(picture.eigenvalues) >= len(embedding)
    total = {"eigenvalue_square_sum": float(np.square(picture.eigenvalues).sum())} if is_whole else {}
    return xr.Dataset(
        {
            "embedding": (("checkpoint", "component"), embedding),
            "eigenvalue": ("component", picture.eigenvalues[: embedding.shape[1]]),
            "spectrum": ("axis", picture.eigenvalues),
        },
        coords={name: ("checkpoint", np.array(column)) for name, column in columns.items()},
        attrs=total,
    )
