"""Explorers: one state, two faces (a served page, a notebook)."""

from predspace_widgets.explorers.notebook import Explorer
from predspace_widgets.explorers.state import ExplorerState

__all__ = ["Explorer", "ExplorerState"]
