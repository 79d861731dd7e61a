"""Tests of what is measured on a dataset: pictures, curves, runs, and what does not fit in memory."""
