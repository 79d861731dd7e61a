"""Other people's libraries, skipped where they are not installed; one that is installed and broken fails."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest

from predspace_widgets.training.torchvision_import import import_torchvision


def oracle(name: str) -> ModuleType:
    if find_spec(name.split(".")[0]) is None:
        pytest.skip(f"{name} is not installed: it comes with the extra oracles")
    return import_module(name)


@pytest.fixture(scope="session")
def categorical() -> ModuleType:
    """geomstats' categorical distributions with the Fisher-Rao metric."""
    with pytest.MonkeyPatch.context() as patch:
        # geomstats 2.8 asks numpy for it by the name that numpy 2.4 took away.
        patch.setattr(np, "trapz", np.trapezoid, raising=False)
        return oracle("geomstats.information_geometry.categorical")


@pytest.fixture(scope="session")
def losses() -> ModuleType:
    """lightly's losses."""
    import_torchvision()  # lightly imports torchvision, which may need help
    return oracle("lightly.loss")
