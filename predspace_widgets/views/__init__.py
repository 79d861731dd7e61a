"""Views, one a file: what it asks of a dataset, what it measures, how it is drawn, how to read it.

A file in this folder that has a `VIEW` is a panel; nothing else names it.
"""

from importlib import import_module
from pkgutil import iter_modules

from predspace_widgets.views.view import CheckpointView, Drawing, ResultView, View


def _find() -> dict[str, View]:
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    views = [module.VIEW for module in modules if hasattr(module, "VIEW")]
    return {view.name: view for view in sorted(views, key=lambda view: view.place)}


#: All views by name, in their order: the first is the large one.
VIEWS: dict[str, View] = _find()

__all__ = ["VIEWS", "CheckpointView", "Drawing", "ResultView", "View"]
