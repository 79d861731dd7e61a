"""Explorers: one state (state.py), two faces: a served page (app.py) and a notebook widget (notebook.py)."""
