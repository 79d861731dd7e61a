"""The mathematics of prediction space: arrays in, arrays out."""

from typing import TYPE_CHECKING

import lazy_loader

from predspace_widgets.geometry.contributions import contributions
from predspace_widgets.geometry.curves import (
    TrajectoryDistance,
    progress_records,
    reindex,
    riemann_length,
    trajectory_distance,
)
from predspace_widgets.geometry.dimension import participation_ratio, sloppiness
from predspace_widgets.geometry.distance import (
    angles,
    bhattacharyya,
    euclidean,
    great_circle,
    overlaps,
    pairwise,
    symmetric_kl,
)
from predspace_widgets.geometry.floor import matched_floor, seed_floor
from predspace_widgets.geometry.frechet import discrete_frechet
from predspace_widgets.geometry.geodesic import distance_to_geodesic, geodesic, progress
from predspace_widgets.geometry.landmarks import choose_landmarks
from predspace_widgets.geometry.mean import bhattacharyya_mean, mean_prediction
from predspace_widgets.geometry.probabilities import FLOOR, as_probabilities, ignorance, truth
from predspace_widgets.geometry.relabelling import holm, relabelled_difference

if TYPE_CHECKING:
    from predspace_widgets.geometry.inpca import InPCA, align_signs, explained_stress, spectrum

__all__ = [
    "FLOOR",
    "InPCA",
    "TrajectoryDistance",
    "align_signs",
    "angles",
    "as_probabilities",
    "bhattacharyya",
    "bhattacharyya_mean",
    "choose_landmarks",
    "contributions",
    "discrete_frechet",
    "distance_to_geodesic",
    "euclidean",
    "explained_stress",
    "geodesic",
    "great_circle",
    "holm",
    "ignorance",
    "matched_floor",
    "mean_prediction",
    "overlaps",
    "pairwise",
    "participation_ratio",
    "progress",
    "progress_records",
    "reindex",
    "relabelled_difference",
    "riemann_length",
    "seed_floor",
    "sloppiness",
    "spectrum",
    "symmetric_kl",
    "trajectory_distance",
    "truth",
]

# scipy takes a while to import: a page or a command can answer before it.
__getattr__, _, _ = lazy_loader.attach(
    __name__, submod_attrs={"inpca": ["InPCA", "align_signs", "explained_stress", "spectrum"]}
)
