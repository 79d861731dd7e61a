"""Tests of the labelled trajectories: the schema, the files, selections and measurements."""
