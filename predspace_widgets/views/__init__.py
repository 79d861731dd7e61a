"""Figures: pure functions from results to plotly figures, one a file."""

from predspace_widgets.views.comparison import comparison_figure
from predspace_widgets.views.inpca import inpca_figure
from predspace_widgets.views.lengths import lengths_figure
from predspace_widgets.views.progress import progress_figure
from predspace_widgets.views.stress import stress_figure
from predspace_widgets.views.style import curve_colors

__all__ = [
    "comparison_figure",
    "curve_colors",
    "inpca_figure",
    "lengths_figure",
    "progress_figure",
    "stress_figure",
]
