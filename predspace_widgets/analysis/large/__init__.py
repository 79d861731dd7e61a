"""Measurements on predictions that do not fit in memory, for `measurements` and for `ds.predspace.save_distances`.

- `blocks`: a mean over samples, computed one block of samples after the other
- `kept`: finished results in a folder on disk beside the dataset, so that they are computed once
- `tiles`: all pairwise distances, written to disk strip by strip, where a T x T matrix does not fit in memory either
"""
