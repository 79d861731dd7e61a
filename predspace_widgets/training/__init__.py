"""Training: tasks, networks, methods and imprinting; sweeps that record them as trajectories."""

from typing import Any

import lazy_loader

from predspace_widgets.extras import needs

# Most of it needs torch, which the recorder does not: it comes when it is used. The names are in __init__.pyi.
_getattr, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    with needs("training"):
        return _getattr(name)
