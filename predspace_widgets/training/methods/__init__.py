"""Training methods, one file each: generators of snapshots of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from predspace_widgets.training.methods import supervised
from predspace_widgets.training.snapshots import Snapshot


class Method(NamedTuple):
    """A training method.

    Attributes
    ----------
    train : callable (network, images, checkpoints, seed, settings) -> iterator of Snapshot
    settings : dataclass
        Its hyper-parameters; `steps` is one of them.
    """

    train: Callable[..., Iterator[Snapshot]]
    settings: type[Any]


#: The methods that a recipe can name.
METHODS = {"supervised": Method(supervised.train_supervised, supervised.SupervisedSettings)}

__all__ = ["METHODS", "Method"]
