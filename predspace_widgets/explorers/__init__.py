"""Explorers: one state (state.py), one front end (stage/), and where it lives: page.py, notebook.py, sharing.py."""
