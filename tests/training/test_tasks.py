"""Tasks select and relabel; those that cannot be trained are refused."""

from __future__ import annotations

import numpy as np
import pytest

from predspace_widgets.training import Task, load_images, load_recipe

DIGITS = load_images("digits")


def test_the_tasks_of_the_demo() -> None:
    tasks = {task.name: task.class_names(DIGITS.class_names) for task in load_recipe("digits").tasks}
    assert {name: "".join(classes) for name, classes in tasks.items()} == {
        "all digits": "0123456789",
        "0-4": "01234",
        "5-9": "56789",
        "even": "02468",
        "odd": "13579",
        "three random digits": "569",
        "random labels": "0123456789",
    }


@pytest.mark.parametrize("classes", [("1", "3"), ("7", "2", "5")])
def test_a_subset_keeps_its_images_and_relabels_them(classes: tuple[str, ...]) -> None:
    images = Task("some", classes=classes).training_set(DIGITS)
    assert images.class_names == classes
    expected = [index for index, label in enumerate(DIGITS.labels) if str(label) in classes]
    np.testing.assert_array_equal(images.sample_ids, expected)
    assert [classes[label] for label in images.labels] == [str(DIGITS.labels[index]) for index in expected]
    np.testing.assert_array_equal(images.images, DIGITS.images[expected])


def test_all_classes_change_nothing() -> None:
    images = Task("all").training_set(DIGITS)
    np.testing.assert_array_equal(images.labels, DIGITS.labels)
    np.testing.assert_array_equal(images.images, DIGITS.images)


def test_random_classes_depend_on_their_seed_only() -> None:
    drawn = {seed: Task("three", random_classes=3, seed=seed).class_names(DIGITS.class_names) for seed in range(8)}
    assert all(len(set(classes)) == 3 for classes in drawn.values())
    assert drawn[4] == Task("another name", random_classes=3, seed=4).class_names(DIGITS.class_names)
    assert len(set(drawn.values())) > 1


def test_random_labels_have_nothing_to_do_with_the_images() -> None:
    images = Task("random", random_labels=True, seed=3).training_set(DIGITS)
    assert abs((images.labels == DIGITS.labels).mean() - 0.1) < 0.03
    assert set(images.labels) == set(range(10))
    again = Task("random", random_labels=True, seed=3).training_set(DIGITS)
    np.testing.assert_array_equal(images.labels, again.labels)
    other = Task("random", random_labels=True, seed=4).training_set(DIGITS)
    assert (images.labels != other.labels).mean() > 0.8
    np.testing.assert_array_equal(images.images, DIGITS.images)


def test_random_labels_of_some_classes() -> None:
    images = Task("random", classes=("1", "7"), random_labels=True).training_set(DIGITS)
    assert set(images.labels) == {0, 1}
    assert set(DIGITS.labels[images.sample_ids]) == {1, 7}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ("1",)}, "task 'bad' needs at least two classes"),
        ({"classes": ()}, "task 'bad' needs at least two classes"),
        ({"random_classes": 1}, "task 'bad' needs at least two classes"),
        ({"classes": ("1", "1", "2")}, "names a class twice"),
        ({"classes": ("1", "2"), "random_classes": 2}, "choose one of the two"),
    ],
)
def test_tasks_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task("bad", **settings)


def test_tasks_that_do_not_fit_the_dataset() -> None:
    with pytest.raises(ValueError, match=r"unknown class of task 'bad' 'ten'.*Known: 0, 1"):
        Task("bad", classes=("1", "ten")).training_set(DIGITS)
    with pytest.raises(ValueError, match="draws 11 classes of 10"):
        Task("bad", random_classes=11).training_set(DIGITS)
    with pytest.raises(ValueError, match="no training image of class 3"):
        Task("bad").training_set(DIGITS.take(np.flatnonzero(DIGITS.labels != 3)))
    with pytest.raises(ValueError, match="the dataset has 1"):
        Task("bad").class_names(["only"])
