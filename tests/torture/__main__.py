"""Damage files, kill writers, fill disks, and count what comes of it: `make torture`, or `make torture MINUTES=60`.

Exit code 1 if anything comes of it that must not, each printed with how to see it again.
"""

from __future__ import annotations

import argparse
import itertools
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path

# One thread: a fork leaves threads behind, and the trials are to cost as little as they can.
os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np

from tests.torture.children import Ended
from tests.torture.files import Known, know, try_file
from tests.torture.judging import BAD, OUTCOMES
from tests.torture.kills import Rehearsed, rehearse, small_disk, try_disk, try_kill
from tests.torture.specimens import Specimen, make_specimens
from tests.torture.writers import Writer, make_writers

KINDS = ("file", "kill", "disk")
WRITERS = list(make_writers())


class Report:
    """Counts of outcomes, by what was tried."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts: dict[str, Counter[str]] = {}
        self.n_bad = 0

    def note(self, case: str, row: str, did: str, ended: Ended, loud: bool = False) -> None:
        """Count the outcome of a case; print it if it must not be."""
        self.counts.setdefault(row, Counter())[ended.outcome] += 1
        is_bad = ended.outcome in BAD
        self.n_bad += is_bad
        if is_bad or loud:
            again = f"python -m tests.torture --seed {self.seed} --only {case}"
            how = f"{ended.seconds:.1f} s, {ended.peak / 1e6:.0f} MB"
            print(f"{ended.outcome.upper()}: {row}: {did}\n    {ended.message} ({how})\n    {again}", flush=True)

    def table(self) -> str:
        """Markdown, one row for each thing that was tried."""
        total: Counter[str] = Counter()
        for counts in self.counts.values():
            total += counts
        lines = [["tried", "trials", *OUTCOMES], ["---"] * (2 + len(OUTCOMES))]
        for name, counts in [*sorted(self.counts.items()), ("all", total)]:
            lines.append([name, str(counts.total()), *(str(counts[outcome]) for outcome in OUTCOMES)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Torture:
    """All that can be tried, by number."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.report = place, Report(seed)

    @cached_property
    def specimens(self) -> list[tuple[Specimen, Specimen]]:
        """Each with another one, of other values."""
        return list(zip(*(make_specimens(self.place / str(seed), seed) for seed in (0, 1)), strict=True))

    @cache  # noqa: B019 - there is one Torture
    def known(self, number: int) -> Known:
        return know(*self.specimens[number])

    @cache  # noqa: B019
    def rehearsed(self, writer: Writer) -> Rehearsed:
        with tempfile.TemporaryDirectory(dir=self.place) as folder:
            return rehearse(writer, Path(folder))

    @cached_property
    def has_disks(self) -> bool:
        try:
            with tempfile.TemporaryDirectory(dir=self.place) as folder, small_disk(Path(folder, "disk"), 2**20):
                return True
        except OSError as error:
            print(f"full disks are left out: {error}", flush=True)
            return False

    def try_one(self, kind: str, number: int, loud: bool = False) -> None:
        """A case, such as ("file", 17)."""
        if kind == "disk" and not self.has_disks:
            return
        rng = np.random.default_rng([self.report.seed, KINDS.index(kind), number])
        with tempfile.TemporaryDirectory(dir=self.place) as folder:
            if kind == "file":
                known = self.known(int(rng.integers(len(self.specimens))))
                row, tried = known.specimen.name, try_file(known, Path(folder), rng)
            else:
                writer = self._draw_writer(kind, rng)
                row = f"{kind}: {writer.name}"
                tried = {"kill": try_kill, "disk": try_disk}[kind](self.rehearsed(writer), Path(folder), rng)
        self.report.note(f"{kind}-{number}", row, *tried, loud)

    def _draw_writer(self, kind: str, rng: np.random.Generator) -> Writer:
        """A slow one takes as long as thirty of the others, and is drawn seldom."""
        slow = [writer for writer in WRITERS if writer.is_slow]
        quick = [writer for writer in WRITERS if not writer.is_slow]
        drawn = slow if rng.random() < 0.04 and kind == "kill" else quick
        return drawn[int(rng.integers(len(drawn)))]


def cases(numbers: dict[str, int], seconds: float) -> Iterator[tuple[str, int]]:
    """As many of each kind as are asked for, or ten files to a kill and half a full disk until the time is over."""
    for kind, number in numbers.items():
        yield from ((kind, k) for k in range(number))
    end = time.monotonic() + seconds
    for number in itertools.count():
        for kind, start, count in (("file", 10 * number, 10), ("kill", number, 1), ("disk", number // 2, number % 2)):
            for k in range(start, start + count):
                if time.monotonic() >= end:
                    return
                yield kind, numbers[kind] + k


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="go on for so long (default: 5, or 0 where numbers are given)")
    for kind, what in (("file", "damaged files"), ("kill", "kills"), ("disk", "full disks")):
        parser.add_argument(f"--{kind}s", type=int, default=0, metavar="N", help=f"try N {what}")
    parser.add_argument("--seed", type=int, help="what is tried follows from it (default: a fresh one)")
    parser.add_argument("--only", nargs="*", metavar="CASE", help="try these, such as file-17, and tell of each")
    options = parser.parse_args()
    numbers = {"file": options.files, "kill": options.kills, "disk": options.disks}
    minutes = options.minutes if options.minutes is not None else 0.0 if any(numbers.values()) else 5.0
    chosen = [(case.partition("-")[0], int(case.partition("-")[2])) for case in options.only or ()]
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    start = time.monotonic()
    for by in (signal.SIGINT, signal.SIGTERM):  # the table is printed then, too
        signal.signal(by, signal.default_int_handler)
    print(f"seed {seed}", flush=True)
    place = Path(tempfile.mkdtemp(prefix="torture-"))
    torture = Torture(place, seed)
    try:
        for case in chosen or cases(numbers, 60 * minutes):
            torture.try_one(*case, loud=bool(chosen))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    report = torture.report
    print(f"\n{report.table()}\n\nseed {seed}, {time.monotonic() - start:.0f} s: {report.n_bad or 'no'} findings")
    return int(report.n_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
