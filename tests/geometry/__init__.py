"""Tests of the mathematics, against formulas in plain Python (`plain.py`)."""
