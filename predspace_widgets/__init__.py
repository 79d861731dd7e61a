"""See and measure how deep networks learn: trajectories in prediction space.

>>> import predspace_widgets as pw
>>> ds = pw.demo()
>>> ds.predspace.inpca().explained_stress.values.shape
(3,)
"""

from typing import Any

import lazy_loader

from predspace_widgets.register import register_accessor

# All comes when it is used: xarray, numba, scipy, dask, zarr, pandas, ipywidgets. The names are in __init__.pyi.
_come, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    return _come(name)


register_accessor()
