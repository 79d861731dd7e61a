"""Small files of text, YAML and JSON that anybody may have made: read within bounds, or refused in one line."""

from __future__ import annotations

import json
import os
import reprlib
import stat
from pathlib import Path
from typing import Any

import yaml

#: Bytes of a file of text. The longest that are needed, lists of 20,000 names of classes, have one million.
MOST_BYTES = 4 * 2**20
_MOST_NODES = 50_000  # values and keys of a YAML text; what is named by & counts again at each *
_DEEPEST = 50  # lists within lists
_LONGEST_NUMBER = 100  # characters of a YAML value that is no text; 1:1:1:..., to the base of 60, takes squares of time

_LONGEST_MESSAGE = 300
_TEXT = "tag:yaml.org,2002:str"

_shorten = reprlib.Repr()
_shorten.maxstring = _shorten.maxother = _shorten.maxlong = 80


def read_text(path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8.

    Nothing else is waited for or read without end: neither pipes nor devices, also where a link leads to one.

    Parameters
    ----------
    path : path
        "~" is the home directory.
    most_bytes : int
        A longer file is refused before it is read.

    Returns
    -------
    str
        Without the mark of byte order that some programs put in front.

    Raises
    ------
    ValueError
        It is no regular file, is too long, or is no text.
    OSError
        It is not there, or may not be read.

    Examples
    --------
    >>> read_text("/dev/zero")
    Traceback (most recent call last):
    ...
    ValueError: /dev/zero is no file with text in it
    """
    where = Path(path).expanduser()
    # A pipe without a writer would be waited for.
    with open(os.open(where, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{where} is no file with text in it")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"{where} is longer than {most_bytes / 2**20:g} MiB, too long for what it should hold")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where} is no text in UTF-8: byte {error.start} cannot be read") from None


def load_json(text: str) -> Any:
    """The value of a JSON text, of a bounded depth.

    Raises
    ------
    ValueError
        It is no JSON, or nested deeper than 50 lists or mappings.

    Examples
    --------
    >>> load_json('{"classes": [1, 2]}')
    {'classes': [1, 2]}
    >>> load_json(100_000 * "[")
    Traceback (most recent call last):
    ...
    ValueError: it is no JSON: lists or mappings are nested deeper than 50
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    except RecursionError:
        content = None
    else:
        level = [content]
        for _ in range(_DEEPEST + 1):
            level = [
                member
                for value in level
                if isinstance(value, dict | list)
                for member in (value.values() if isinstance(value, dict) else value)
            ]
            if not level:
                return content
    raise ValueError(f"it is no JSON: lists or mappings are nested deeper than {_DEEPEST}")


class BoundedLoader(yaml.SafeLoader):
    """Plain values only, as many and as deep as a person would write.

    A value that is named by `&` counts again wherever `*` takes it: few lines could make a list of billions.
    """

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = self._n_nodes = 0
        self._sizes: dict[int, int] = {}  # in nodes, of each value that is complete, by its id

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before, self._depth = self._n_nodes, self._depth + 1
        if self._depth > _DEEPEST:
            self._refuse(f"lists or mappings are nested deeper than {_DEEPEST}", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._n_nodes += 1
            self._sizes[id(node)] = self._n_nodes - before
            if isinstance(node, yaml.ScalarNode) and node.tag != _TEXT and len(node.value) > _LONGEST_NUMBER:
                self._refuse(f"a value that is no text has {len(node.value):,} characters", event)
        elif id(node) in self._sizes:
            self._n_nodes += self._sizes[id(node)]
        else:
            self._refuse("a value contains itself", event)
        if self._n_nodes > _MOST_NODES:
            self._refuse(f"there are more than {_MOST_NODES:,} values", event)
        return node

    def _refuse(self, reason: str, event: yaml.Event) -> None:
        raise yaml.MarkedYAMLError(problem=reason, problem_mark=event.start_mark)  # type: ignore[arg-type]


def load_yaml(text: str, loader: type[BoundedLoader] = BoundedLoader) -> Any:
    """The value of a YAML text, of a bounded size and depth, also where it names values and takes them again.

    Raises
    ------
    ValueError
        It is no YAML, or too deep, too long or endless.

    Examples
    --------
    >>> load_yaml("tasks: {even: {classes: [0, 2]}}")
    {'tasks': {'even': {'classes': [0, 2]}}}
    >>> load_yaml("&a [*a]")
    Traceback (most recent call last):
    ...
    ValueError: it is no YAML: a value contains itself in "<unicode string>", line 1, column 5: &a [*a] ^
    """
    try:
        return yaml.load(text, loader)
    # All but the first two of a value that is said to be a date, a number or a key, and is none.
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        reason = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        raise ValueError(f"it is no YAML: {reason}") from None


def shown(value: Any) -> str:
    """A value as an error names it, short and in one line, however long or deep it is.

    Examples
    --------
    >>> shown([1, "two", list(range(100))])
    "[1, 'two', [0, 1, 2, 3, 4, 5, ...]]"
    """
    return _shorten.repr(value)
