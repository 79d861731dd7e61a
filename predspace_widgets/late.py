"""Names of a package that are imported when they are asked for (PEP 562), for what their modules bring along."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from predspace_widgets.extras import needs


def late(
    package: str, names: Mapping[str, str], what: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package.

    Parameters
    ----------
    package : str
        Its `__name__`.
    names : mapping
        Name -> module that has it; a module by its own name is itself what is meant.
    what : str
        What needs the packages of an extra, in the error where they are not installed (see `extras.needs`).
    """

    def getattr_(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with needs(what) if what else nullcontext():
            module = import_module(f"{package}.{names[name]}")
        value = module if name == names[name] else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def dir_() -> list[str]:
        # What is there, with what comes late: nothing that is only needed here.
        return sorted({*names, *(name for name in vars(sys.modules[package]) if name.startswith("__"))})

    return getattr_, dir_
