"""What was odd about imported data, one line each: shown to the user, and kept in the dataset's attributes."""

from __future__ import annotations

#: Attribute of a dataset with the lines of the report.
REPORT = "import_report"


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
