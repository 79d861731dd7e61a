"""Texts that anybody may have made: what a person writes is read, all else is refused, soon and in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.trajectories.text_files import MOST_BYTES, load_json, load_yaml, read_text, shown

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
TEN = 10 * "*{0}, "
BOMB = "a: &a [1, 2]\n" + "".join(
    f"{name}: &{name} [{TEN.format(before)}]\n" for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@given(PLAIN)
def test_what_is_written_is_read(value: object) -> None:
    assert load_json(json.dumps(value)) == value
    assert load_yaml(yaml.safe_dump(value)) == value
    assert len(shown(value)) < 5000


@given(st.text(alphabet="[]{}:,-?&*!<>|'\"# \n\tax19.~%@_"))
def test_whatever_a_text_is_the_error_is_one(text: str) -> None:
    for load in (load_json, load_yaml):
        reason = ""
        try:
            load(text)
        except ValueError as error:
            reason = str(error)
        assert "\n" not in reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (3000 * "[", "nested deeper than 50"),
        (100_000 * "[", "nested deeper than 50"),
        (3000 * "{a: ", "nested deeper than 50"),
        (3000 * "- " + "a", "nested deeper than 50"),
        ("&a [*a]", "a value contains itself"),
        ("a: &a {b: {<<: *a}}", "a value contains itself"),
        (BOMB, "more than 50,000 values"),
        (BOMB.replace("[", "{<<: [").replace("]", "]}").replace("[1, 2]", "{}"), "more than 50,000 values"),
        (60_000 * "- a\n", "more than 50,000 values"),
        ("1" + 100_000 * ":1", "a value that is no text has 200,001 characters"),
        ("[1, 2", "is no YAML"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("2020-99-99", "month must be"),
        ("!!int x", "is no YAML"),
        ("!!int ''", "is no YAML"),
        ("!!timestamp x", "is no YAML"),
        ("!!bool x", "is no YAML"),
        ("? [a]\n: b", "unhashable"),
    ],
)
def test_yaml_that_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_yaml(text)


@pytest.mark.parametrize("text", [100_000 * "[", 60 * "[" + 60 * "]", 100_000 * '{"a":', "[1, 2", "", "\0"])
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it is no JSON"):
        load_json(text)


def test_a_value_that_is_named_can_be_taken_again() -> None:
    assert load_yaml("usual: &usual {steps: 7}\nlonger: {<<: *usual, batch: 2}") == {
        "usual": {"steps": 7},
        "longer": {"steps": 7, "batch": 2},
    }


def test_files_of_text(tmp_path: Path) -> None:
    path = tmp_path / "text.csv"
    path.write_bytes("\ufeffrun,naïve\n".encode())
    assert read_text(path) == "run,naïve\n"
    (tmp_path / "link").symlink_to(path)
    assert read_text(tmp_path / "link") == "run,naïve\n"
    path.write_bytes(b"a" * MOST_BYTES)
    assert len(read_text(path)) == MOST_BYTES
    path.write_bytes(b"a" * (MOST_BYTES + 1))
    with pytest.raises(ValueError, match=r"text.csv is longer than 4 MiB"):
        read_text(path)
    path.write_bytes(b"abc\xff")
    with pytest.raises(ValueError, match=r"text.csv is no text in UTF-8: byte 3"):
        read_text(path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nothing")


def test_no_file_at_all(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is no file with text in it"):
            read_text(path)
    with pytest.raises((ValueError, OSError), match=r"is no file|directory"):
        read_text(tmp_path)


READ_ALL = """
import resource, sys
from predspace_widgets.trajectories.text_files import *
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    for load in (load_json, load_yaml):
        try:
            load(read_text(path))
        except ValueError:
            continue
        sys.exit(f"{path} was read")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_stays_small(tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(2**30)
    for name, text in {
        "flat": "[" + "1," * 2_000_000,
        "mappings": "{},\n" * 1_000_000,
        "bomb": BOMB,
        "deep": 2_000_000 * "[",
    }.items():
        (tmp_path / name).write_text(text)
    paths = ["/dev/zero", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run([sys.executable, "-c", READ_ALL, *paths], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 180  # MB beside the imports, which take 120
