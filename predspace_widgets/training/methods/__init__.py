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
    """

    train: Callable[..., Iterator[Snapshot]]
    settings: type[Any]


#: The methods that a recipe can name.
METHODS = {
    "supervised": Method(train_supervised, SupervisedSettings),
    "fine-tuning": Method(train_fine_tuning, FineTuningSettings),
    "simclr": Method(train_simclr, SimCLRSettings),
    "barlow-twins": Method(train_barlow_twins, BarlowTwinsSettings),
    "fixmatch": Method(train_fixmatch, FixMatchSettings),
    "prototypical": Method(train_prototypical, PrototypicalSettings),
}

__all__ = ["METHODS", "Method"]
