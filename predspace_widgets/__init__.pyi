from . import accessor as accessor
from . import analysis as analysis
from . import geometry as geometry
from . import trajectories as trajectories
from .explorers.explorer import Explorer as Explorer
from .explorers.octant import Octant as Octant
from .geometry.inpca import InPCA as InPCA
from .training.recorder import Recorder as Recorder
from .trajectories import Selection as Selection
from .trajectories import demo as demo
from .trajectories import import_trajectories as import_trajectories
from .trajectories import join as join
from .trajectories import make_trajectories as make_trajectories
from .trajectories import open_trajectories as open_trajectories
from .trajectories import save_trajectories as save_trajectories
from .trajectories import sloppy_family as sloppy_family
from .trajectories import validate as validate

__version__: str
