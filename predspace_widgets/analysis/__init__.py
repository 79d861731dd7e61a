"""All that is measured on a dataset, labelled. `analysis_of(ds)` is the handle; `ds.predspace` is its public face.

- on all checkpoints, once: `measurements`, held in memory by `cache`; what does not fit there: `large`
- pictures and curves: `frame` (axes and their signs), `groups` (a curve is all seeds of a task and method)
- run against run: `runs` (distances between runs, to a reference, between groups), `lengths`
- sample by sample: `inspection` (why two predictions differ, what a checkpoint gets wrong), read by `points`
- which differ: `matrix` (all pairs over one range, see `common_range`, with floors and p), `outliers`
- groups of runs: `run_values` (one number a run), `group_comparison` (spread, p by relabelling, Holm's correction),
  `temperature_band` (the same numbers at several temperatures of imprinting)
- the shape of trajectories: `reindexed` (curves at equal progress), `mean_trajectory`, `tangents`, `tube`, `frechet`,
  `inpca_of_trajectories` (a point a trajectory), `tree` (of curves, with support)
- within classes: `classes` (progress on classes not trained on), `overlap` (of the class sets of tasks)
- against chance: `nulls` (stress of trainings that share less); floors and p-values are in `geometry.floor`
"""

from predspace_widgets.analysis.analysis import Analysis, analysis_of

__all__ = ["Analysis", "analysis_of"]
