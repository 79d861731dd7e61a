"""`ds.predspace` is there whenever xarray is, whichever is imported first, and xarray only once it is used.

Its import takes half a second, most of it pandas; distances of plain arrays need neither.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from itertools import dropwhile
from types import ModuleType
from typing import Any


def register_accessor() -> None:
    """Give datasets `.predspace`: now, or where nobody has imported xarray yet, whenever somebody does."""
    if "xarray" in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _BesideXarray())


def _register() -> None:
    import xarray as xr

    if hasattr(xr.Dataset, "predspace"):  # after a reload
        return

    @xr.register_dataset_accessor("predspace")  # type: ignore[no-untyped-call]
    def _predspace(ds: xr.Dataset) -> Any:
        """`ds.predspace`; see `accessor.PredspaceAccessor`."""
        from predspace_widgets.accessor import PredspaceAccessor

        return PredspaceAccessor(ds)


class _BesideXarray(MetaPathFinder):
    """Leaves the finding of xarray to those who would find it without this, and registers once it is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "xarray":
            return None
        others = [*dropwhile(lambda finder: finder is not self, sys.meta_path)][1:]
        spec = next((spec for other in others if (spec := other.find_spec(fullname, path, target))), None)
        if spec is None or spec.loader is None:
            return spec
        loader, execute = spec.loader, spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)  # xarray keeps its loader as it was, whoever else waited for it
            execute(module)
            _register()

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
