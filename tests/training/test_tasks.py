"""Tasks select and relabel; those that cannot be trained are refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

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
        ({"classes": ("1", "2"), "random_classes": 2}, "has classes and random_classes: choose one of them"),
        ({"groups": {"a": ("1",), "b": ("2",)}, "classes_file": "x.json"}, "has classes_file and groups: choose one"),
        ({"groups": {"a": ("1", "2")}}, "needs at least two classes to tell apart, got 1"),
        ({"groups": {}}, "needs at least two classes to tell apart, got 0"),
        ({"groups": {"a": ("1", "2"), "b": ("3", "2")}}, "task 'bad' names a class twice: 2"),
        ({"groups": {"a": ("1", "2"), "b": ()}}, "group 'b' of task 'bad' must be a list of classes"),
        ({"groups": {"a": ("1", "2"), "b": "34"}}, "group 'b' of task 'bad' must be a list of classes, got '34'"),
        ({"groups": {"a": ("1", "2"), "b": [None]}}, "group 'b' of task 'bad' holds None"),
        ({"groups": ["1", "2"]}, "must be a mapping of names to lists of classes"),
    ],
)
def test_tasks_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Task("bad", **settings)


def test_tasks_that_do_not_fit_the_dataset() -> None:
    with pytest.raises(ValueError, match=r"unknown class of task 'bad' 'ten'.*Known: 0, 1"):
        Task("bad", classes=("1", "ten")).training_set(DIGITS)
    with pytest.raises(ValueError, match=r"unknown class of task 'bad' 'ten'.*Known: 0, 1"):
        Task("bad", groups={"a": ("1", "ten"), "b": ("2",)}).class_names(DIGITS.class_names)
    with pytest.raises(ValueError, match="draws 11 classes of 10"):
        Task("bad", random_classes=11).training_set(DIGITS)
    with pytest.raises(ValueError, match="no training image of class 3"):
        Task("bad").training_set(DIGITS.take(np.flatnonzero(DIGITS.labels != 3)))
    with pytest.raises(ValueError, match="the dataset has 1"):
        Task("bad").class_names(["only"])


GROUPS = {"no hole": ("1", "2", "3", "5", "7"), "one": ("0", "4", "6", "9"), "two": ("8",)}


def test_groups_become_classes() -> None:
    images = Task("holes", groups=GROUPS).training_set(DIGITS)
    assert images.class_names == tuple(GROUPS)
    holes = np.array([1, 0, 0, 0, 1, 0, 1, 0, 2, 1])
    np.testing.assert_array_equal(images.labels, holes[DIGITS.labels])
    np.testing.assert_array_equal(images.images, DIGITS.images)


def test_classes_in_no_group_are_left_out() -> None:
    images = Task("few", groups={"round": ("8", "0"), "straight": ("1", "7")}).training_set(DIGITS)
    old = DIGITS.labels[images.sample_ids]
    assert set(zip(old, images.labels, strict=True)) == {(8, 0), (0, 0), (1, 1), (7, 1)}
    assert len(images) == np.isin(DIGITS.labels, [0, 1, 7, 8]).sum()


def test_groups_as_a_recipe_file_holds_them() -> None:
    task = Task("holes", groups={"no hole": [1, 2, 3, 5, 7], "one": [0, 4, 6, 9], "two": [8]})  # type: ignore[dict-item]
    assert task == Task("holes", groups=GROUPS)
    assert task != Task("holes", groups={**GROUPS, "two": ("8", "b")})
    assert hash(task) == hash(Task("holes", groups=GROUPS))
    assert pickle.loads(pickle.dumps(task)) == task


def test_random_labels_of_groups() -> None:
    images = Task("random", groups=GROUPS, random_labels=True).training_set(DIGITS)
    np.testing.assert_allclose(np.bincount(images.labels) / len(images), 1 / 3, atol=0.05)


@pytest.mark.parametrize(
    "content",
    [["7", "2", "5"], {"classes": ["7", "2", "5"]}, {"labels": [7, 2, 5]}, {"labels": [7, "2", 5], "by": "us"}],
)
def test_classes_of_a_file(content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "classes.json").write_text(json.dumps(content))
    named = Task("some", classes=("7", "2", "5")).training_set(DIGITS)
    monkeypatch.chdir(tmp_path)
    for path in (str(tmp_path / "classes.json"), "classes.json"):
        images = Task("some", classes_file=path).training_set(DIGITS)
        assert images.class_names == ("7", "2", "5")
        np.testing.assert_array_equal(images.labels, named.labels)
        np.testing.assert_array_equal(images.sample_ids, named.sample_ids)


def test_numbers_in_a_file_are_indices_not_names(tmp_path: Path) -> None:
    (tmp_path / "classes.json").write_text('{"labels": [2, 0]}')
    task = Task("some", classes_file=str(tmp_path / "classes.json"))
    assert task.class_names(["1", "2", "3"]) == ("3", "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"task 'bad': the file of classes .*classes\.json cannot be read: No such file"),
        ("[1, 2", "is no JSON"),
        ("\xff", "is no text in UTF-8"),
        (100_000 * "[", "nested deeper than 50"),
        ("[" + 4_000_000 * "1, ", "longer than 4 MiB"),
        (f"[{40 * '['}1{40 * ']'}, 1]", "holds .*, which is neither"),
        (f'["1", "{1_000_000 * "x"}"]', "unknown class of task 'bad' 'xxx"),
        ('"12"', "must hold a list"),
        ('{"names": ["1", "2"]}', "must hold a list"),
        ('{"classes": ["1", "2"], "labels": [1, 2]}', 'as either "classes" or "labels"'),
        ("[1, 10]", "holds the index 10: the dataset has the classes 0 to 9"),
        ("[1, -1]", "holds the index -1"),
        ("[1, 2.0]", "holds 2.0, which is neither the name nor the index"),
        ("[true, 2]", "holds True, which is neither"),
        ('["1", "tow"]', "unknown class of task 'bad' 'tow'"),
        ('["1", "2", 1]', "names a class twice: 1"),
        ("[3]", "at least two classes to tell apart, got 1"),
        ("[]", "at least two classes to tell apart, got 0"),
    ],
)
def test_files_of_classes_that_cannot_be_used(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "classes.json"
    if text is not None:
        path.write_bytes(text.encode("latin1"))
    task = Task("bad", classes_file=str(path))  # the file is not read before it is needed
    with pytest.raises(ValueError, match=message) as error:
        task.class_names(DIGITS.class_names)
    assert len(str(error.value)) < 500


def test_a_file_of_classes_without_an_end() -> None:
    with pytest.raises(ValueError, match="task 'bad': /dev/zero is no file with text in it"):
        Task("bad", classes_file="/dev/zero").class_names(DIGITS.class_names)


PUBLISHED_CLASSES = Path(__file__).parents[3] / "shared" / "paper" / "classes"


@pytest.mark.skipif(not PUBLISHED_CLASSES.is_dir(), reason="the published lists of classes are not here")
def test_the_published_lists_of_classes() -> None:
    imagenet = [f"n{index:08d}" for index in range(1000)]
    drawn = {
        path.stem.removeprefix("imagenet_"): Task("published", classes_file=str(path)).class_names(imagenet)
        for path in PUBLISHED_CLASSES.glob("*.json")
    }
    sizes = {"all": 1000, "3rd": 334, "instr": 358, "vert": 337, "dog": 118, "bird": 59, "reptile": 36, "mammal": 218}
    assert {name: len(drawn[name]) for name in sizes} == sizes
    assert drawn["all"] == tuple(imagenet)
    assert drawn["3rd"] == tuple(imagenet[::3])
    assert set(drawn["dog"]) <= set(drawn["mammal"]) <= set(drawn["vert"])
    # By its name random labels; it holds every class once, in random order: the images keep their classes.
    assert sorted(drawn["randomlab"]) == imagenet
    assert drawn["randomlab"] != tuple(imagenet)
