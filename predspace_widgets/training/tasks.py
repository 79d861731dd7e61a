"""Tasks: what a network is trained on. Each selects or relabels the classes of a dataset of labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.settings import check_name


@dataclass(frozen=True)
class Task:
    """A selection or relabelling of a dataset's classes.

    Parameters
    ----------
    name : str
    classes : tuple of str, optional
        The classes to train on; by default all.
    random_classes : int, optional
        Instead: this many classes, drawn with `seed`.
    random_labels : bool
        Give every image a random one of the task's classes, drawn with `seed`: nothing to learn but by heart.
    seed : int
        Of the draws. It belongs to the task: networks trained with different seeds see the same classes and labels.

    Raises
    ------
    ValueError
        One class or none, a class twice, or both `classes` and `random_classes`.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> even = Task("even", classes=("0", "2", "4", "6", "8"))
    >>> images = even.training_set(load_images("digits"))
    >>> len(images), images.class_names
    (891, ('0', '2', '4', '6', '8'))
    """

    name: str
    classes: tuple[str, ...] | None = None
    random_classes: int | None = None
    random_labels: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.classes is not None and self.random_classes is not None:
            raise ValueError(f"task {self.name!r} names classes and asks for random ones: choose one of the two")
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError(f"task {self.name!r} names a class twice: {', '.join(self.classes)}")
        n_classes = self.random_classes if self.classes is None else len(self.classes)
        if n_classes is not None and n_classes < 2:
            raise ValueError(f"task {self.name!r} needs at least two classes to tell apart, got {n_classes}")

    def class_names(self, known: Sequence[str]) -> tuple[str, ...]:
        """The classes of the task, of those that a dataset has.

        Parameters
        ----------
        known : sequence of str
            Class names of the dataset.

        Returns
        -------
        tuple of str
            In the order of the dataset, unless the task names them in another.

        Raises
        ------
        ValueError
            The dataset lacks a class, has fewer than were to be drawn, or has fewer than two.

        Examples
        --------
        >>> Task("two", random_classes=2, seed=1).class_names(["cat", "cow", "dog"])
        ('cat', 'cow')
        """
        if self.classes is not None:
            for name in self.classes:
                check_name(name, known, f"class of task {self.name!r}")
            return self.classes
        if self.random_classes is None:
            if len(known) < 2:
                raise ValueError(f"task {self.name!r} needs at least two classes, the dataset has {len(known)}")
            return tuple(known)
        if self.random_classes > len(known):
            raise ValueError(f"task {self.name!r} draws {self.random_classes} classes of {len(known)}")
        drawn = np.random.default_rng(self.seed).choice(len(known), size=self.random_classes, replace=False)
        return tuple(known[index] for index in np.sort(drawn))

    def training_set(self, images: LabelledImages) -> LabelledImages:
        """The training images of the task: those of its classes, labelled 0, 1, ... in the order of its class names.

        Parameters
        ----------
        images : LabelledImages
            Training images of the whole dataset.

        Returns
        -------
        LabelledImages

        Raises
        ------
        ValueError
            The classes do not fit the dataset (see `class_names`), or one of them has no image.
        """
        names = self.class_names(images.class_names)
        new_label = np.full(len(images.class_names), -1)
        new_label[[images.class_names.index(name) for name in names]] = np.arange(len(names))
        labels = new_label[images.labels]  # (N,), -1 where the class is not in the task
        absent = [name for label, name in enumerate(names) if label not in labels]
        if absent:
            raise ValueError(f"task {self.name!r} has no training image of class {', '.join(absent)}")
        chosen = np.flatnonzero(labels >= 0)
        labels = labels[chosen]  # (n,)
        if self.random_labels:
            labels = np.random.default_rng(self.seed).integers(len(names), size=len(chosen))
        return LabelledImages(images.images[chosen], labels, names, images.sample_ids[chosen], images.source)
