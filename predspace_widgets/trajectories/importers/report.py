"""What was odd about imported data, one line each: shown to the user, and kept in the dataset's attributes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

#: Attribute of a dataset with the lines of the report.
REPORT = "import_report"
_MOST_NUMBERS = 1_000_000
_METHOD = "supervised"


class OptionsNeededError(ValueError):
    """Data leave open what options must say.

    Attributes
    ----------
    problems : list of str
        All of that, a sentence each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = [*problems]
        super().__init__("; ".join(problems))


class Report:
    """Lines that say what an importer found, dropped, changed or was told.

    Examples
    --------
    >>> report = Report()
    >>> report.note("array 3 repeats array 1: dropped")
    >>> report.lines
    ['array 3 repeats array 1: dropped']
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, line: str) -> None:
        """Add a line, unless it was said already."""
        if line not in self.lines:
            self.lines.append(line)

    def method(self, given: str | None) -> str:
        """The method that `--method` gives, or the one that is assumed and said to be."""
        if given is None:
            self.note(f"method: {_METHOD} is assumed (--method gives another)")
        return given or _METHOD


def report_of(ds: xr.Dataset) -> list[str]:
    """Lines of the report of an imported dataset; none of another one. NetCDF makes one text of a list of one.

    Examples
    --------
    >>> report_of(xr.Dataset(attrs={"import_report": "array 3 repeats array 1: dropped"}))
    ['array 3 repeats array 1: dropped']
    """
    return [str(line) for line in np.atleast_1d(ds.attrs.get(REPORT, []))]


def numbers_of(text: str, option: str, *, whole: bool = False) -> list[float]:
    """Numbers as an option of the command has them: separated by commas, and first:last or first:last:step.

    Raises
    ------
    ValueError
        It is something else, or not `whole` where they must be.

    Examples
    --------
    >>> numbers_of("0:1:0.5,2:4", "--epochs")
    [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]
    """
    numbers: list[float] = []
    for part in text.split(","):
        try:
            first, *more = map(float, part.split(":"))
            last, step = (*more, 1.0)[:2] if more else (first, 1.0)
            count = int(round((last - first) / step, 9)) + 1
        except (ValueError, ZeroDivisionError, OverflowError):
            count = 0
        if count + len(numbers) > _MOST_NUMBERS:
            raise ValueError(
                f"{option} has {count:,.15g} numbers in {part[:80]!r}: no more than {_MOST_NUMBERS:,} are read"
            )
        if count <= 0 or part.count(":") > 2:
            raise ValueError(f"{option} must be numbers as in 0,0.5,1:40 or 0:4.8:0.2,5:40, not {text[:80]!r}")
        numbers += [round(first + n * step, 9) for n in range(count)]
    if whole and not all(number.is_integer() for number in numbers):
        raise ValueError(f"{option} must be whole numbers as in 0,1,2 or 0:4, not {text[:80]!r}")
    return numbers
