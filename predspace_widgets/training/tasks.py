"""Tasks: what a network is trained on. Each selects or relabels the classes of a dataset of labelled images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from predspace_widgets.training.datasets import LabelledImages
from predspace_widgets.training.settings import check_name
from predspace_widgets.trajectories.attributes import of_one_run
from predspace_widgets.trajectories.samples import drawn_classes
from predspace_widgets.trajectories.text_files import load_json, read_text, shown


@dataclass(frozen=True)
class Task:
    """A selection or relabelling of a dataset's classes.

    Parameters
    ----------
    name : str
    classes : tuple of str, optional
        The classes to train on; by default all.
    classes_file : str, optional
        Instead: a JSON file of the classes to train on, a list or a mapping that holds one as "classes" or "labels".
        Texts in it are names of classes, numbers are their indices in the dataset. It is read when it is needed;
        a relative path starts at the current directory.
    groups : mapping of str to tuple of str, optional
        Instead: superclasses. Each is one class of the task, which holds all images of the classes that it names;
        classes in no group are left out.
    random_classes : int, optional
        Instead: this many classes, drawn with `seed`.
    random_labels : bool
        Give every image a random one of the task's classes, drawn with `seed`: they can only be memorised.
    seed : int
        Of the draws. It belongs to the task: networks trained with different seeds see the same classes and labels.
    attrs : mapping of str to str, number or bool, optional
        Attributes of its runs in the dataset, such as {"n_digits": 5}; they change no training.

    Raises
    ------
    ValueError
        One class or none, a class twice, a group without a class, or more than one of `classes`, `classes_file`,
        `groups` and `random_classes`; an attribute that cannot be stored.

    Examples
    --------
    >>> from predspace_widgets.training.datasets import load_images
    >>> even = Task("even", classes=("0", "2", "4", "6", "8"))
    >>> images = even.training_set(load_images("digits"))
    >>> len(images), images.class_names
    (891, ('0', '2', '4', '6', '8'))
    >>> holes = Task("holes", groups={"none": ("1", "2", "3", "5", "7"), "some": ("0", "4", "6", "8", "9")})
    >>> holes.training_set(load_images("digits")).class_names
    ('none', 'some')
    """

    name: str
    classes: tuple[str, ...] | None = None
    classes_file: str | None = None
    # Not part of the hash, because a mapping has none; equality compares it.
    groups: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)
    random_classes: int | None = None
    random_labels: bool = False
    seed: int = 0
    attrs: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        of_one_run(self.attrs)
        selections = ("classes", "classes_file", "groups", "random_classes")
        given = [key for key in selections if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"task {self.name!r} has {' and '.join(given)}: choose one of them")
        if self.groups is not None:
            object.__setattr__(self, "groups", _read_groups(self.groups, self.name))
            self._check_classes([name for members in self.groups.values() for name in members], len(self.groups))
        elif self.classes is not None:
            self._check_classes(self.classes, len(self.classes))
        elif self.random_classes is not None:
            self._check_classes([], self.random_classes)

    def _check_classes(self, names: Sequence[str], n_classes: int) -> None:
        """Raise ValueError if a name is there twice, or there are too few classes to tell apart."""
        doubled = sorted(name for name, count in Counter(names).items() if count > 1)
        if doubled:
            raise ValueError(f"task {self.name!r} names a class twice: {', '.join(doubled)}")
        if n_classes < 2:
            raise ValueError(f"task {self.name!r} needs at least two classes to tell apart, got {n_classes}")

    def class_names(self, known: Sequence[str]) -> tuple[str, ...]:
        """The classes of the task, of those that a dataset has; or its groups of them.

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
            The dataset lacks a class, has fewer than were to be drawn, or has fewer than two; or the file of classes
            cannot be read.

        Examples
        --------
        >>> Task("two", random_classes=2, seed=1).class_names(["cat", "cow", "dog"])
        ('cat', 'cow')
        """
        return tuple(self._members(known))

    def _members(self, known: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The classes of the task, each with those of the dataset that it holds: itself, unless it is a group."""
        members = self.groups or {name: (name,) for name in self._select(known)}
        for names in members.values():
            for name in names:
                check_name(name, known, f"class of task {self.name!r}")
        return dict(members)

    def _select(self, known: Sequence[str]) -> Sequence[str]:
        """The classes that the task names, in a file or itself, or draws; all where it does not."""
        if self.classes is not None:
            return self.classes
        if self.classes_file is not None:
            names = _read_classes_file(self.classes_file, known, self.name)
            self._check_classes(names, len(names))
            return names
        if self.random_classes is None:
            if len(known) < 2:
                raise ValueError(f"task {self.name!r} needs at least two classes, the dataset has {len(known)}")
            return known
        if self.random_classes > len(known):
            raise ValueError(f"task {self.name!r} draws {self.random_classes} classes of {len(known)}")
        return drawn_classes(known, self.random_classes, self.seed)

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
        members = self._members(images.class_names)
        names = tuple(members)
        new_label = np.full(len(images.class_names), -1)
        for label, old_names in enumerate(members.values()):
            new_label[[images.class_names.index(name) for name in old_names]] = label
        labels = new_label[images.labels]  # (N,), -1 where the class is not in the task
        absent = [name for label, name in enumerate(names) if label not in labels]
        if absent:
            raise ValueError(f"task {self.name!r} has no training image of class {', '.join(absent)}")
        chosen = np.flatnonzero(labels >= 0)
        labels = labels[chosen]  # (n,)
        if self.random_labels:
            labels = np.random.default_rng(self.seed).integers(len(names), size=len(chosen))
        return replace(images.take(chosen), labels=labels, class_names=names)


def _read_groups(groups: Any, task: str) -> dict[str, tuple[str, ...]]:
    """Groups as a recipe file may hold them: lists of class names, some of which are written as numbers."""
    if not isinstance(groups, Mapping):
        raise ValueError(
            f"the groups of task {task!r} must be a mapping of names to lists of classes, got {shown(groups)}"
        )
    for name, members in groups.items():
        if not isinstance(members, list | tuple) or not members:
            raise ValueError(f"group {str(name)!r} of task {task!r} must be a list of classes, got {shown(members)}")
        for member in members:
            if type(member) not in (str, int):
                raise ValueError(
                    f"group {str(name)!r} of task {task!r} holds {shown(member)}, which is no name of a class"
                )
    return {str(name): tuple(map(str, members)) for name, members in groups.items()}


def _read_classes_file(file: str, known: Sequence[str], task: str) -> list[str]:
    """The names of the classes that a JSON file lists by their names or by their indices."""
    where = f"task {task!r}: the file of classes {file}"
    try:
        text = read_text(file)
    except OSError as error:
        raise ValueError(f"{where} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"task {task!r}: {error}") from None
    try:
        content = load_json(text)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if isinstance(content, Mapping):
        lists = [content[key] for key in ("classes", "labels") if key in content]
        content = lists[0] if len(lists) == 1 else None
    if not isinstance(content, list):
        raise ValueError(f'{where} must hold a list, or a mapping that holds one as either "classes" or "labels"')
    for entry in content:
        if type(entry) not in (str, int):
            raise ValueError(f"{where} holds {shown(entry)}, which is neither the name nor the index of a class")
        if type(entry) is int and not 0 <= entry < len(known):
            raise ValueError(
                f"{where} holds the index {shown(entry)}: the dataset has the classes 0 to {len(known) - 1}"
            )
    return [entry if isinstance(entry, str) else known[entry] for entry in content]
