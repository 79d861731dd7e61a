"""See and measure how deep networks learn: trajectories in prediction space.

>>> import predspace_widgets as pw
>>> ds = pw.demo()
>>> ds.predspace.inpca().explained_stress.values.shape
(3,)
"""

import lazy_loader

from predspace_widgets.register import register_accessor

# All comes when it is used: xarray, numba, scipy, dask, zarr, pandas, ipywidgets. The names are in __init__.pyi.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_accessor()
