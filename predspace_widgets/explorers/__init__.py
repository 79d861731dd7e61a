"""Explorers: one state, two faces (a served page, a notebook)."""
