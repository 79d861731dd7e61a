"""Recipe files: read, written back, and refused with the place and the nearest key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from predspace_widgets.training import built_in_recipes, load_recipe, parse_recipe

SMALLEST = """
dataset: {name: digits, n_train: 1100}
tasks: {all: }
methods: {supervised: }
"""


def test_built_in_recipes_have_titles() -> None:
    assert list(built_in_recipes()) == [
        "cifar10-methods",
        "cifar10-tasks",
        "digits-methods",
        "digits",
        "imagenet-tasks",
        "sweep",
    ]
    assert all(built_in_recipes().values())


def test_the_digits_recipe() -> None:
    recipe = load_recipe("digits")
    assert recipe.name == "digits"
    assert recipe.seeds == (0, 1, 2, 3, 4)
    assert recipe.network.width == 16
    assert recipe.plan("supervised").settings.learning_rate == 0.05
    assert len(recipe.checkpoints.steps(recipe.plan("supervised").settings.steps)) == 30


def test_a_recipe_survives_being_written(tmp_path: Path) -> None:
    recipe = load_recipe("digits")
    file = tmp_path / "digits.yaml"
    file.write_text(recipe.to_yaml(), encoding="utf-8")
    assert load_recipe(file) == load_recipe(str(file)) == recipe
    assert parse_recipe(parse_recipe(SMALLEST, "x").to_yaml(), "x") == parse_recipe(SMALLEST, "x")


def test_defaults_are_written_out() -> None:
    written = parse_recipe(SMALLEST, "x").to_yaml()
    for setting in ("split_seed: 0", "temperature: 0.03", "momentum: 0.9", "seeds: [0, 1, 2]", "threads: 1"):
        assert setting in written


def test_numbers_without_a_point_and_class_names_that_are_numbers() -> None:
    recipe = parse_recipe(
        "dataset: {name: digits, n_train: 1100}\n"
        "tasks: {0-4: {classes: [0, 1, 2, 3, 4]}, 7: }\n"
        "methods: {supervised: {weight_decay: 5e-4, learning_rate: 1}}\n",
        "x",
    )
    assert recipe.plan("supervised").settings.weight_decay == 0.0005
    assert recipe.plan("supervised").settings.learning_rate == 1.0
    assert recipe.tasks[0].classes == ("0", "1", "2", "3", "4")
    assert recipe.tasks[1].name == "7"


def test_names_stay_as_they_are_written() -> None:
    recipe = parse_recipe(SMALLEST.replace("{all: }", "{5_9: {classes: [5, 9]}, 0x1: , yes: , 1e3: }"), "x")
    assert [task.name for task in recipe.tasks] == ["5_9", "0x1", "yes", "1e3"]


def test_parts_can_be_named_and_taken_over() -> None:
    recipe = parse_recipe(
        "dataset: {name: digits, n_train: 1100}\n"
        "tasks: {all: }\n"
        "methods:\n"
        "  supervised: &usual {steps: 7, batch_size: 8}\n"
        "  longer: {<<: *usual, method: supervised, steps: 9}\n",
        "x",
    )
    assert [(plan.settings.steps, plan.settings.batch_size) for plan in recipe.methods] == [(7, 8), (9, 8)]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "picture.yaml"
    file.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match=r"picture.yaml is no text in UTF-8"):
        load_recipe(file)


def test_a_recipe_that_is_no_file_or_has_no_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for path in (tmp_path / "pipe.yaml", "/dev/zero"):
        with pytest.raises(ValueError, match=r"is no file with text in it"):
            load_recipe(path)


@pytest.mark.parametrize(
    "text",
    [
        3000 * "[",
        "tasks: &a {b: *a}",
        SMALLEST.replace("digits", 45 * "[" + 45 * "]"),
        SMALLEST + f"title: {45 * '['}{45 * ']'}",
        SMALLEST + f"seeds: {1000 * 'x'}",
        SMALLEST + f"threads: {1000 * 'x'}",
        SMALLEST + f"{1000 * 'x'}: 1",
        SMALLEST.replace("all: ", f"all: {1000 * 'x'}"),
        SMALLEST.replace("all: ", f"all: {{classes: {1000 * 'x'}}}"),
        SMALLEST.replace("all: ", f"all: {{groups: {1000 * 'x'}}}"),
        SMALLEST.replace("all: ", f"all: {{groups: {{a: {1000 * 'x'}}}}}"),
        SMALLEST.replace("supervised: ", f"supervised: {1000 * 'x'}"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_however_much_it_is(text: str) -> None:
    with pytest.raises(ValueError, match="recipe") as error:
        parse_recipe(text, "x")
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 600


def test_methods_have_names_tasks_and_sources_of_their_own() -> None:
    recipe = parse_recipe(
        "dataset: {name: digits, n_train: 1100}\n"
        "tasks: {all: , low: {classes: [0, 1]}}\n"
        "methods:\n"
        "  supervised: {steps: 7}\n"
        "  briefly: {method: supervised, steps: 2, tasks: [low]}\n"
        "  after all: {method: fine-tuning, source: all, tasks: [low], steps: 3}\n",
        "x",
    )
    assert [(plan.name, plan.method, plan.settings.steps, plan.tasks) for plan in recipe.methods] == [
        ("supervised", "supervised", 7, None),
        ("briefly", "supervised", 2, ("low",)),
        ("after all", "fine-tuning", 3, ("low",)),
    ]
    assert (recipe.plan("after all").source, recipe.plan("after all").source_method) == ("all", "supervised")
    assert parse_recipe(recipe.to_yaml(), "x") == recipe


@pytest.mark.parametrize("name", sorted(built_in_recipes()))
def test_a_built_in_recipe_survives_being_written(name: str) -> None:
    recipe = load_recipe(name)
    assert parse_recipe(recipe.to_yaml(), name) == recipe


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        ("tasks:", "taks:", r"unknown key 'taks' in recipe 'x': did you mean 'tasks'\?"),
        ("n_train", "n_tran", r"unknown key 'n_tran' in recipe 'x', dataset: did you mean 'n_train'\?"),
        (
            "supervised: ",
            "supervised: {lerning_rate: 0.1}",
            r"unknown key 'lerning_rate' in recipe 'x', methods, supervised: did you mean 'learning_rate'\?",
        ),
        ("all: ", "all: {clases: [1, 2]}", r"unknown key 'clases' in recipe 'x', tasks, all: did you mean 'classes'\?"),
        ("all: ", "all: {name: other}", r"unknown key 'name' in recipe 'x', tasks, all"),
        ("supervised", "supervisd", r"unknown method 'supervisd' in recipe 'x', methods: did you mean 'supervised'\?"),
        ("name: digits", "name: digts", r"unknown dataset 'digts': did you mean 'digits'\?"),
        (", n_train: 1100", "", r"recipe 'x', dataset: digits has no official .*n_train.* is needed"),
        ("n_train: 1100", "n_train: many", r"recipe 'x', dataset, n_train must be a whole number, got 'many'"),
        ("n_train: 1100", "n_train: true", r"n_train must be a whole number, got True"),
        ("supervised: ", "supervised: {learning_rate: fast}", r"learning_rate must be a number, got 'fast'"),
        ("supervised: ", "supervised: {steps: 0}", r"recipe 'x', methods, supervised: needs at least one step"),
        ("all: ", "all: {classes: [1]}", r"recipe 'x', tasks, all: task 'all' needs at least two classes"),
        ("all: ", "all: {classes: 1}", r"recipe 'x', tasks, all, classes must be a list, got 1"),
        ("{all: }", "[all]", r"recipe 'x', tasks must be a mapping"),
        ("{all: }", "{}", r"at least one task"),
        ("{supervised: }", "{}", r"at least one method: supervised"),
        ("supervised: ", "mine: {method: supervisd}", r"unknown method 'supervisd' in recipe 'x', methods, mine: did"),
        ("supervised: ", "supervised: fast", r"recipe 'x', methods, supervised must be a mapping"),
        ("supervised: ", "supervised: {tasks: [al]}", r"unknown task 'al' in method 'supervised': did you mean 'all'"),
        (
            "supervised: ",
            "supervised: {source: all}",
            r"methods, supervised: a source is for fine-tuning, 'supervised'",
        ),
        ("supervised: ", "fine-tuning: ", r"methods, fine-tuning: 'fine-tuning' needs a source, the task that"),
        ("supervised: ", "fine-tuning: {source: all}", r"unknown method 'supervised' in the source of method"),
        ("supervised: ", "supervised: , t: {method: fine-tuning, source: al}", r"unknown task 'al' in the source of"),
        ("{all: }", "{all: }\nseeds: [0, 0]", r"at least one seed and none twice"),
        ("{all: }", "{all: }\nseeds: []", r"at least one seed"),
        ("{all: }", "{all: }\nthreads: 0", r"threads must be at least 1"),
        ("{all: }", "{all: }\nimprint: {scale: rw}", r"unknown value 'rw' in recipe 'x', imprint, scale: did you mean"),
        ("{all: }", "{all: }\nnetwork: {name: smal-cnn}", r"unknown network 'smal-cnn': did you mean 'small-cnn'\?"),
        ("{all: }", "{all: }\nnetwork: {width: 0}", r"recipe 'x', network: width must be at least 1"),
        ("{all: }", "{all: ", r"recipe 'x': it is no YAML"),
        ("{all: }", "{all: , all: {classes: [1, 2]}}", r"the key 'all' is there twice"),
        ("supervised: ", "supervised: {learning_rate: .inf}", r"learning_rate must be positive.*got inf"),
        ("supervised: ", "supervised: {learning_rate: 1e300}", r"learning_rate must be positive.*got 1e\+300"),
    ],
)
def test_mistakes_in_recipes(replaced: str, by: str, message: str) -> None:
    assert replaced in SMALLEST
    with pytest.raises(ValueError, match=message):
        parse_recipe(SMALLEST.replace(replaced, by, 1), "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the key 'dataset' is missing in recipe 'x'"),
        ("{}", r"the key 'dataset' is missing in recipe 'x'"),
        ("[]", r"recipe 'x' must be a mapping of keys to values, got \[\]"),
        ("digits", r"recipe 'x' must be a mapping of keys to values, got 'digits'"),
    ],
)
def test_files_that_are_no_recipes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_recipe(text, "x")


def test_recipes_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'digts': did you mean 'digits'\? Known: .*digits-methods"):
        load_recipe("digts")
    with pytest.raises(ValueError, match=r"there is no recipe file .*mine\.yaml"):
        load_recipe(tmp_path / "mine.yaml")
