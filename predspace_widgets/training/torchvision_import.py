"""Import torchvision, also where its compiled operators do not load."""

from __future__ import annotations

import importlib
import re
import sys
from types import ModuleType

import torch

#: Kept, because torch forgets a schema when its library is deleted.
_LIBRARIES: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """The torchvision module: its datasets, transforms and models work whatever build of torch is beside it.

    Beside another build of torch than its own, torchvision's compiled operators do not load, and its import ends with
    "operator torchvision::nms does not exist", since it describes some of them to torch nevertheless. Here each
    missing one gets an empty schema to describe; no dataset, transform or classification model calls it.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        torchvision is not installed.
    RuntimeError
        It cannot be imported for another reason.

    Examples
    --------
    >>> import_torchvision().datasets.CIFAR10.base_folder
    'cifar-10-batches-py'
    """
    declared: set[str] = set()
    while True:
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None or missing[1] in declared:
                raise
            declared.add(missing[1])
            _declare(missing[1])
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]  # half imported


def _declare(operator: str) -> None:
    """Tell torch of an operator of torchvision that nothing implements."""
    # A fragment adds to a namespace that may exist already; the whole of one can be defined only once.
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(f"{operator}() -> ()")
    _LIBRARIES.append(library)
