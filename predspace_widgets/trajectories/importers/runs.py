"""What the checkpoints of imported predictions are: from options, and from a CSV or YAML of the runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from predspace_widgets.trajectories.importers.report import OptionsNeededError, Report
from predspace_widgets.trajectories.importers.schedule import asked_for, epochs_of
from predspace_widgets.trajectories.text_files import load_yaml, read_text, shown

#: A line of a table of runs, by the names of its columns.
Row = Mapping[str, Any]

_KNOWN = ("run", "task", "method", "seed", "epoch", "step")
_NUMBERS = ("seed", "epoch", "step")


def read_runs(path: Path) -> list[Row]:
    """The rows of a CSV file with a line of names, or the mappings that a YAML file lists.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    ValueError
        It is neither, or its rows do not have the same columns.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "runs.csv"
    ...     _ = file.write_text("task,seed,width\\neven,0,8\\n")
    ...     read_runs(file)
    [{'task': 'even', 'seed': 0.0, 'width': 8.0}]
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file of runs {path}")
    text = read_text(path)
    if path.suffix in (".yaml", ".yml"):
        try:
            rows = load_yaml(text)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    elif path.suffix == ".csv":
        rows = _read_csv(text, path)
    else:
        raise ValueError(f"{path} must be a .csv or a .yaml of the runs")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} must list the runs: a mapping each, of task, seed and so on")
    for number, row in enumerate(rows, start=1):
        if row.keys() != rows[0].keys():
            odd = shown(sorted(map(str, row.keys() ^ rows[0].keys())))
            raise ValueError(f"{path}: run {number} and the first do not have the same columns: {odd}")
    return rows


def _read_csv(text: str, path: Path) -> list[Row]:
    try:
        names, *lines = [line for line in csv.reader(io.StringIO(text), strict=True) if line]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path} is no CSV with a line of names and one or more of values: {error}") from None
    for number, line in enumerate(lines, start=1):
        if len(line) != len(names):
            raise ValueError(f"{path}: run {number} has {len(line)} values, there are {len(names)} columns")
    if len(set(names)) < len(names):
        raise ValueError(f"{path} has a column twice: {', '.join(names)}")
    columns = [_numbers_if_all(column) for column in zip(*lines, strict=True)]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _numbers_if_all(texts: Sequence[str]) -> Sequence[Any]:
    """A column of numbers, NaN where one is empty; or the texts if any is no number."""
    try:
        return [float(text) if text.strip() else np.nan for text in texts]
    except ValueError:
        return texts


def rows_of_runs(rows: Sequence[Row], lengths: Sequence[int], where: str) -> list[Sequence[Row]]:
    """The rows of each run, given in its order: one a run, or one a checkpoint.

    Examples
    --------
    >>> rows_of_runs([{"task": "a"}, {"task": "b"}], [3, 3], "runs.csv")
    [[{'task': 'a'}], [{'task': 'b'}]]
    """
    if len(rows) == len(lengths):
        return [[row] for row in rows]
    ends = np.cumsum(lengths)
    if len(rows) != ends[-1]:
        raise ValueError(
            f"{where} lists {len(rows):,}: it must have a row for each of {len(lengths):,} runs, or for each of "
            f"{ends[-1]:,} checkpoints"
        )
    return [rows[end - length : end] for end, length in zip(ends.tolist(), lengths, strict=True)]


def checkpoint_columns(
    lengths: Sequence[int],
    given: Mapping[str, Sequence[Any]],
    rows: Sequence[Sequence[Row]] | None,
    epochs: Sequence[float] | str | None,
    report: Report,
    where: str = "--runs",
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """What `make_trajectories` needs to know of the checkpoints of all runs, one after the other.

    Parameters
    ----------
    lengths : sequence of int
        Number of checkpoints of each run.
    given : mapping of str to sequence
        A value for each run, of task, seed, method: what options or files say.
    rows : sequence of rows for each run, optional
        See `rows_of_runs`. What has a column there is taken from it; columns besides task, method, seed, epoch, step
        and run are attributes of runs.
    epochs : sequence of float, "checkpoints" or "paper", optional
        Where no column names them: of the longest run, of which shorter ones have the first; numbers of checkpoints; or
        those of the authors' training program, `SCHEDULE_OF_PAPER`.
    report : Report
    where : str
        How messages call the table.
    missing : sequence of str
        What else options must say, which is asked for with what is missing here.

    Raises
    ------
    ValueError
        Something is missing (OptionsNeededError), is said twice, or does not fit.
    """
    columns = {
        name: [value for value, length in zip(values, lengths, strict=True) for _ in range(length)]
        for name, values in given.items()
    }
    for name in rows[0][0] if rows else ():
        if name in given and name != "method":
            raise ValueError(f"{name!r} is a column of {where} and is known besides: leave out one of them")
        columns[str(name)] = _column(str(name), rows or (), lengths, where)
    if epochs is not None and "epoch" in columns:
        raise ValueError(f"'epoch' is a column of {where}, and --epochs gives epochs too: leave out one of them")
    others = [name for name in columns if name not in _KNOWN]
    missing = [*missing, *_missing(columns, len(lengths), where, list(map(str, rows[0][0])) if rows else [])]
    if epochs is None and "epoch" not in columns:
        missing.append(asked_for(max(lengths)))
    if missing:
        raise OptionsNeededError(missing)
    if others:
        report.note(f"attributes of runs, from columns of {Path(where).name}: {', '.join(map(shown, others))}")
    if "method" not in columns:
        columns["method"] = [report.method(None)] * sum(lengths)
    if "step" not in columns:
        report.note("step: nothing gives it, checkpoints of a run are numbered from 0")
    if "epoch" not in columns:
        times = epochs_of(epochs, lengths, report)
        columns["epoch"] = [time for length in lengths for time in times[:length]]
    attrs = {name: columns[name] for name in others}
    if "run" not in columns:
        _check_told_apart([columns[name] for name in ("task", "method", "seed")] + [*attrs.values()], lengths)
    return {name: column for name, column in columns.items() if name in _KNOWN} | {"attrs": attrs}


def _missing(columns: Mapping[str, Any], n_runs: int, where: str, found: Sequence[str]) -> list[str]:
    """What neither options nor the columns that were found in a table say of runs."""
    problems = []
    if "seed" not in columns:
        problems.append(f"the seeds of {n_runs} runs are not known: --seeds must name them, or a column of --runs")
    if "task" not in columns:
        there = f" (columns: {', '.join(map(shown, found))})" if found else ""
        problems.append(f"no task is named: --tasks must, or a column 'task' of {where}{there}")
    return problems


def _check_told_apart(columns: Sequence[Sequence[Any]], lengths: Sequence[int]) -> None:
    """Raise ValueError if two runs have the same values in all columns, which give them their names."""
    start, named = 0, dict[tuple[str, ...], int]()
    for number, length in enumerate(lengths):
        values = tuple(str(column[start]) for column in columns)
        other = named.setdefault(values, number)
        if other != number:
            raise ValueError(
                f"runs {other} and {number} are both {'/'.join(values)}: --seeds or --runs must tell them apart"
            )
        start += length


def _column(name: str, rows: Sequence[Sequence[Row]], lengths: Sequence[int], where: str) -> list[Any]:
    """The values of a column for all checkpoints; a list in a row that stands for a run names those of its own."""
    values: list[Any] = []
    for run, length in zip(rows, lengths, strict=True):
        here = [row[name] for row in run]
        if len(run) == 1:
            here = here[0] if isinstance(here[0], list) else here * length
        if len(here) != length:
            raise ValueError(f"{where} names {len(here)} values of {name!r} for a run of {length} checkpoints")
        values += here
    if name in _NUMBERS:
        bad = [value for value in values if isinstance(value, bool) or not isinstance(value, int | float)]
        if bad or not np.isfinite(np.array(values, dtype=np.float64)).all():
            raise ValueError(f"column {name!r} of {where} must hold numbers, got {shown(bad[0] if bad else 'nan')}")
    elif name in ("run", "task", "method"):
        values = [name_of(value) for value in values]
    return values


def name_of(value: Any) -> str:
    """A name that a table may hold as a number: 3, not 3.0."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
