"""What the paper found, as measurements that can be made on any trajectories dataset.

Ramesh et al., "A picture of the space of typical learnable tasks" (ICML 2023, arXiv:2210.17011). Each function measures
and says nothing of what should come out; notebooks/02_claims.ipynb puts the numbers beside what the paper reports.

- `stress`: few dimensions hold many trainings; random curves of the same lengths need more.
- `unseen`: progress on classes that a network was not trained on, and what training on more classes adds.
- `separation`: how far trainings are apart, at their ends and at equal progress, and how far two seeds are.
- `overlap`: whether tasks that share classes are near each other.
- `lengths`: how long the ways of two methods are.
"""

from predspace_widgets.trajectories.claims.lengths import length_ratios, lengths_by_stride
from predspace_widgets.trajectories.claims.overlap import MantelTest, class_overlap, mantel_test
from predspace_widgets.trajectories.claims.separation import (
    at_equal_progress,
    between_groups,
    distances_of_runs,
    distances_to_reference,
    end_points,
)
from predspace_widgets.trajectories.claims.stress import (
    explained_stress,
    random_geodesics,
    stress_of_nulls,
    turned_curves,
)
from predspace_widgets.trajectories.claims.unseen import (
    progress_at_end,
    progress_of_nested_tasks,
    progress_on,
    progress_on_unseen,
    restrict,
    retemper,
)

__all__ = [
    "MantelTest",
    "at_equal_progress",
    "between_groups",
    "class_overlap",
    "distances_of_runs",
    "distances_to_reference",
    "end_points",
    "explained_stress",
    "length_ratios",
    "lengths_by_stride",
    "mantel_test",
    "progress_at_end",
    "progress_of_nested_tasks",
    "progress_on",
    "progress_on_unseen",
    "random_geodesics",
    "restrict",
    "retemper",
    "stress_of_nulls",
    "turned_curves",
]
