"""Run the tests that state a property on fresh examples, round after round: `make fuzz`, or `make fuzz MINUTES=60`.

`make test` tries the same examples every time, so that it never fails by chance. Here each round draws others from a
seed of its own, with the profile "fuzz" of conftest.py. A test that fails is printed with its smallest example and how
to see it again, and is left out of later rounds. Exit code 1 if there was one.
"""

from __future__ import annotations

import argparse
import functools
import random
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parent
OPTIONS = ["-q", "--no-header", "--no-summary", "--tb=short", "-p", "no:cacheprovider", "--hypothesis-profile=fuzz"]


class Fuzzer:
    """A plugin of pytest that keeps the properties only, counts their examples and stops when time is over."""

    def __init__(self, stop_at: float) -> None:
        self.stop_at = stop_at
        self.seed = 0
        self.n_examples = 0
        self.tried: set[str] = set()
        self.findings: dict[str, str] = {}
        self.is_interrupted = False

    @property
    def is_over(self) -> bool:
        return self.is_interrupted or time.monotonic() >= self.stop_at

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        properties = [item for item in items if getattr(item, "obj", None) and hasattr(item.obj, "hypothesis")]
        items[:] = [item for item in properties if item.nodeid not in self.findings]
        random.Random(self.seed).shuffle(items)  # the last round is cut short, anywhere
        for item in items:
            self._count_examples_of(item.obj.hypothesis)  # type: ignore[attr-defined]

    def _count_examples_of(self, handle: Any) -> None:
        test = handle.inner_test
        if hasattr(test, "is_counted"):  # a function stands for all its parameters, in all rounds
            return

        @functools.wraps(test)
        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.n_examples += 1
            return test(*arguments, **keywords)

        counted.is_counted = True  # type: ignore[attr-defined]
        handle.inner_test = counted

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if self.is_over:
            return True  # done with it, without running it
        self.tried.add(item.nodeid)
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._found(report.nodeid, report.longreprtext)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._found(report.nodeid, report.longreprtext)

    def _found(self, name: str, what: str) -> None:
        self.findings[name] = what
        again = f'python -m pytest "{name}" --hypothesis-profile=fuzz --hypothesis-seed={self.seed}'
        print(f"\n\n{'=' * 100}\nFOUND: {name}\n\n{what}\n\nSee it again: {again}\n{'=' * 100}", flush=True)

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.is_interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)  # which is an error of pytest

    def summary(self, n_rounds: int, seconds: float) -> str:
        lines = [
            f"\n{self.n_examples:,} examples of {len(self.tried)} properties, {n_rounds} rounds in {seconds:.0f} s"
            f"{', interrupted' if self.is_interrupted else ''}: {len(self.findings) or 'no'} findings"
        ]
        return "\n".join([*lines, *(f"  {name}" for name in self.findings)])


def fuzz(minutes: float, seed: int, files: list[str]) -> int:
    """Run rounds for some minutes; the exit code."""
    start = time.monotonic()
    fuzzer = Fuzzer(start + 60 * minutes)
    n_rounds = 0
    while not fuzzer.is_over:
        fuzzer.seed, n_rounds = seed + n_rounds, n_rounds + 1
        print(f"round {n_rounds}, seed {fuzzer.seed}", flush=True)
        code = pytest.main([*OPTIONS, f"--hypothesis-seed={fuzzer.seed}", *files], plugins=[fuzzer])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            break  # interrupted, nothing left, or an error that pytest has told
    print(fuzzer.summary(n_rounds, time.monotonic() - start), flush=True)
    if fuzzer.findings:
        return 1
    if not fuzzer.tried:
        return int(pytest.ExitCode.NO_TESTS_COLLECTED)
    return 0 if fuzzer.is_over else int(code)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="test files, folders or tests; by default all files with properties")
    parser.add_argument("--minutes", type=float, default=5.0, help="after which no further test starts (default 5)")
    parser.add_argument("--seed", type=int, help="of the first round; the next ones follow (default: a fresh one)")
    options = parser.parse_args()
    files = options.files or sorted(
        str(file) for file in TESTS.rglob("test_*.py") if "from hypothesis import" in file.read_text(encoding="utf-8")
    )
    return fuzz(options.minutes, secrets.randbelow(2**32) if options.seed is None else options.seed, files)


if __name__ == "__main__":
    sys.exit(main())
