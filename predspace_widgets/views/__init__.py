"""Views, one a file: what it asks of a dataset, what it measures, how it is drawn, how to read it."""

from predspace_widgets.views import comparison, inpca, lengths, progress, stress
from predspace_widgets.views.view import Choices, Drawing, View

#: All views by name, in their order.
VIEWS = {view.name: view for view in (inpca.VIEW, stress.VIEW, progress.VIEW, comparison.VIEW, lengths.VIEW)}

__all__ = ["VIEWS", "Choices", "Drawing", "View"]
