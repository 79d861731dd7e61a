"""Training methods, one file each: generators of snapshots of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from predspace_widgets.training.methods.barlow_twins import BarlowTwinsSettings, train_barlow_twins
from predspace_widgets.training.methods.fine_tuning import FineTuningSettings, train_fine_tuning
from predspace_widgets.training.methods.fixmatch import FixMatchSettings, train_fixmatch
from predspace_widgets.training.methods.prototypical import PrototypicalSettings, train_prototypical
from predspace_widgets.training.methods.simclr import SimCLRSettings, train_simclr
from predspace_widgets.training.methods.supervised import SupervisedSettings, train_supervised
from predspace_widgets.training.snapshots import Snapshot


class Method(NamedTuple):
    """A training method.

    Attributes
    ----------
    train : callable (network, images, checkpoints, seed, settings) -> iterator of Snapshot
    settings : dataclass
        Its hyper-parameters; `steps` is one of them.
    has_head : bool
        Whether it trains the last layer, which then predicts the classes of its task.
    """

    train: Callable[..., Iterator[Snapshot]]
    settings: type[Any]
    has_head: bool = True


#: The methods that a recipe can name.
METHODS = {
    "supervised": Method(train_supervised, SupervisedSettings),
    "fine-tuning": Method(train_fine_tuning, FineTuningSettings),
    "simclr": Method(train_simclr, SimCLRSettings, has_head=False),
    "barlow-twins": Method(train_barlow_twins, BarlowTwinsSettings, has_head=False),
    "fixmatch": Method(train_fixmatch, FixMatchSettings),
    "prototypical": Method(train_prototypical, PrototypicalSettings, has_head=False),
}

__all__ = ["METHODS", "Method"]
