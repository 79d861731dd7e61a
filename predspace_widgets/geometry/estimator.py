"""What an estimator stands on: the base classes of scikit-learn where it is installed, else the same in short.

Where scikit-learn is there, `InPCA` is one of its estimators, for `clone` and pipelines; it needs nothing else of it.
"""

from __future__ import annotations

import inspect
from typing import Any, Self

__all__ = ["BaseEstimator", "NotFittedError", "TransformerMixin"]

try:
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.exceptions import NotFittedError
except ModuleNotFoundError:

    class NotFittedError(ValueError, AttributeError):  # type: ignore[no-redef]
        """An estimator is asked before it was fitted."""

    class BaseEstimator:  # type: ignore[no-redef]
        """Parameters are the arguments of `__init__`, which keeps each under its name."""

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """Parameters by name."""
            return {name: getattr(self, name) for name in sorted(inspect.signature(type(self)).parameters)}

        def set_params(self, **params: Any) -> Self:
            """Set parameters by name.

            Raises
            ------
            ValueError
                A name is none of a parameter.
            """
            for name, value in params.items():
                if name not in self.get_params():
                    known = ", ".join(self.get_params())
                    raise ValueError(f"{type(self).__name__} has no parameter {name!r}: it has {known}")
                setattr(self, name, value)
            return self

        def __repr__(self) -> str:
            defaults = inspect.signature(type(self)).parameters
            changed = {k: v for k, v in self.get_params().items() if repr(v) != repr(defaults[k].default)}
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    class TransformerMixin:  # type: ignore[no-redef]
        """Fits and transforms at once."""

        def fit_transform(self, X: Any, y: Any = None) -> Any:
            """Fit to data, then transform them."""
            return self.fit(X, y).transform(X)  # type: ignore[attr-defined]
