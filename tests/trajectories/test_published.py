"""Published pictures: what is made of a file of the family, and what is refused or asked for."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.trajectories import find_problems, import_trajectories, open_trajectories, save_trajectories
from predspace_widgets.trajectories.importers import numbers_of, report_of
from predspace_widgets.trajectories.importers.schedule import SCHEDULE_OF_PAPER
from tests.trajectories.samples import KINDS


@dataclass
class Known:
    """A picture whose signs are known: coordinates (T, k), all eigenvalues, and how many checkpoints each run has."""

    coordinates: np.ndarray
    eigenvalues: np.ndarray
    lengths: list[list[int]]

    def runs(self) -> list[list[np.ndarray]]:
        """Coordinates of each seed of each task."""
        ends = np.cumsum([length for task in self.lengths for length in task])
        runs = iter(np.split(self.coordinates, ends[:-1]))
        return [[next(runs) for _ in task] for task in self.lengths]

    def file(self, **changes: Any) -> dict[str, Any]:
        """A file of it, with signed eigenvalues and all that is needed."""
        content = {
            "inpca_embedding": [task if len({*map(len, task)}) > 1 else np.stack(task) for task in self.runs()],
            "eigen_values": self.eigenvalues,
            "imaginary": self.eigenvalues < 0,
            "tasks": [f"task {number}" for number in range(len(self.lengths))],
        }
        return {name: value for name, value in (content | changes).items() if value is not None}


def known(lengths: list[list[int]], k: int = 3, seed: int = 5) -> Known:
    """InPCA of random squared distances, which no points in space have: some of its axes are imaginary."""
    n = sum(map(sum, lengths))
    distances = np.random.default_rng(seed).uniform(0, 1, (n, n)) ** 3
    distances = np.triu(distances, 1) + np.triu(distances, 1).T
    centre = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-centre @ distances @ centre / 2)
    order = np.argsort(-np.abs(values))
    values, vectors = values[order], vectors[:, order]
    return Known((vectors * np.sqrt(np.abs(values)))[:, :k], values, lengths)


SMALL = known([[4, 4], [4, 4], [4, 4]])
assert (SMALL.eigenvalues[:3] < 0).any()
assert (SMALL.eigenvalues[:3] > 0).any()


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., xr.Dataset]:
    def read(content: Any, **options: Any) -> xr.Dataset:
        return imported(tmp_path, content, **options)

    return read


def imported(folder: Path, content: Any, **options: Any) -> xr.Dataset:
    (folder / "figure.pkl").write_bytes(pickle.dumps(content))
    return import_trajectories(folder / "figure.pkl", **({"epochs": "checkpoints"} | options))


def check(ds: xr.Dataset, picture: Known) -> None:
    np.testing.assert_allclose(ds["embedding"], picture.coordinates)
    np.testing.assert_allclose(ds["spectrum"], picture.eigenvalues)
    np.testing.assert_allclose(ds["eigenvalue"], picture.eigenvalues[: picture.coordinates.shape[1]])
    assert ds.attrs["eigenvalue_square_sum"] == pytest.approx(np.square(picture.eigenvalues).sum())
    assert find_problems(ds) == []


def as_array(picture: Known) -> Any:
    return np.array(picture.runs())


def as_complex(picture: Known) -> Any:
    return np.array(picture.runs()).astype(complex)


def as_dict(picture: Known) -> Any:
    return {f"task {number}": np.stack(task) for number, task in enumerate(picture.runs())}


def as_lists(picture: Known) -> Any:
    return [[run.tolist() for run in task] for task in picture.runs()]


def as_objects(picture: Known) -> Any:
    tasks = np.empty(len(picture.lengths), dtype=object)
    for number, task in enumerate(picture.runs()):
        tasks[number] = np.stack(task)
    return tasks


def test_coordinates_that_are_no_numbers(read: Callable[..., xr.Dataset]) -> None:
    runs = as_array(SMALL)
    runs[1, 0, 2, 1] = np.nan
    with pytest.raises(ValueError, match=r"axis 2|not finite"):
        read(SMALL.file(inpca_embedding=runs))


@pytest.mark.parametrize("form", [as_array, as_complex, as_dict, as_lists, as_objects])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "magnitudes"])
def test_each_form_gives_the_same_picture(form: Any, signed: bool, read: Callable[..., xr.Dataset]) -> None:
    values = SMALL.eigenvalues if signed else np.abs(SMALL.eigenvalues)
    ds = read(SMALL.file(inpca_embedding=form(SMALL), eigen_values=values))
    check(ds, SMALL)
    assert ds["run"].values[::4].tolist() == [
        f"task {task}/supervised/{seed}" for task in range(3) for seed in range(2)
    ]
    assert ds["epoch"].values.tolist() == [0, 1, 2, 3] * 6
    assert any("imaginary" in line or "signs" in line for line in report_of(ds))
    assert (form is as_complex) == any("complex" in line for line in report_of(ds))


@given(
    lengths=st.lists(st.lists(st.integers(2, 5), min_size=1, max_size=3), min_size=2, max_size=4),
    k=st.integers(1, 4),
    signed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_runs_and_tasks_of_any_lengths(
    lengths: list[list[int]], k: int, signed: bool, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    picture = known(lengths, k, seed)
    values = picture.eigenvalues if signed else np.abs(picture.eigenvalues)
    content = picture.file(inpca_embedding=picture.runs(), eigen_values=values)
    ds = imported(tmp_path_factory.getbasetemp(), content)
    check(ds, picture)
    assert [len(rows) for rows in ds.groupby("run").groups.values()] == [n for task in lengths for n in task]
    n_seeds = set(map(len, lengths))
    assert (len(n_seeds) > 1) == any("seeds, others have" in line for line in report_of(ds))


@pytest.mark.parametrize("root", [True, False])
def test_singular_values_are_known_by_the_coordinates(root: bool, read: Callable[..., xr.Dataset]) -> None:
    """One of the published programs writes eigenvalues under this name, another their square roots."""
    values = np.sqrt(np.abs(SMALL.eigenvalues)) if root else SMALL.eigenvalues
    ds = read(SMALL.file(eigen_values=None, singular_value=values))
    check(ds, SMALL)
    assert any("square roots" in line for line in report_of(ds)) == root


@pytest.mark.parametrize(
    ("values", "word"), [(SMALL.eigenvalues * 1.1, "neither"), (np.sign(SMALL.eigenvalues), "either")]
)
def test_singular_values_that_the_coordinates_do_not_tell(
    values: np.ndarray, word: str, read: Callable[..., xr.Dataset]
) -> None:
    coordinates = [task / np.sqrt(np.abs(SMALL.eigenvalues[:3])) for task in SMALL.file()["inpca_embedding"]]
    changes = {"inpca_embedding": coordinates} if word == "either" else {}
    with pytest.raises(ValueError, match=f"squared coordinates add up to {word}$"):
        read(SMALL.file(eigen_values=None, singular_value=values, **changes))


def test_runs_that_are_padded_with_nan(read: Callable[..., xr.Dataset]) -> None:
    picture = known([[4, 2], [4]])
    padded = np.full((2, 2, 4, 3), np.nan)
    for task, runs in enumerate(picture.runs()):
        for seed, run in enumerate(runs):
            padded[task, seed, : len(run)] = run
    ds = read(picture.file(inpca_embedding=padded))
    check(ds, picture)
    assert "task 1, seed 2: the last 2 of 4 checkpoints are NaN: dropped" in report_of(ds)
    assert "'task 1' has 1 seeds, others have 2" in report_of(ds)


# -- signs ------------------------------------------------------------------------------------------------------------


def test_signs_that_nothing_tells_are_asked_for(read: Callable[..., xr.Dataset]) -> None:
    content = SMALL.file(eigen_values=np.abs(SMALL.eigenvalues), imaginary=None)
    with pytest.raises(ValueError, match="--signs signed takes them as they stand"):
        read(content)
    assert (read(content, signs="signed")["spectrum"] >= 0).all()
    with pytest.raises(ValueError, match="'imaginary', which is missing"):
        read(content, signs="flags")
    check(read(SMALL.file(imaginary=None)), SMALL)


def test_signs_and_flags_that_contradict_each_other(read: Callable[..., xr.Dataset]) -> None:
    flags = SMALL.eigenvalues < 0
    flags[1] = not flags[1]
    with pytest.raises(ValueError, match=r"contradict each other on axis 2: --signs"):
        read(SMALL.file(imaginary=flags))
    check(read(SMALL.file(imaginary=flags), signs="signed"), SMALL)
    by_flags = read(SMALL.file(imaginary=flags), signs="flags")["spectrum"].values
    assert ((by_flags < 0) == flags).all()


def test_the_sign_of_an_eigenvalue_of_the_size_of_rounding_is_nothing(read: Callable[..., xr.Dataset]) -> None:
    flags = SMALL.eigenvalues < 0
    assert abs(SMALL.eigenvalues[-1]) < 1e-12
    flags[-1] = not flags[-1]
    check(read(SMALL.file(imaginary=flags)), SMALL)


# -- arrays that repeat, names, contradictions ------------------------------------------------------------------------


def test_an_array_that_repeats_another_is_dropped(read: Callable[..., xr.Dataset]) -> None:
    tasks = SMALL.file()["inpca_embedding"]
    more = [tasks[0], tasks[1], tasks[0], tasks[2]]
    ds = read(SMALL.file(inpca_embedding=more))  # four arrays, three names
    check(ds, SMALL)
    assert "array 3 repeats array 1: dropped" in report_of(ds)
    named = read(SMALL.file(inpca_embedding=more, tasks=["a", "b", "c", "d"]))
    assert list(dict.fromkeys(named["task"].values.tolist())) == ["a", "b", "d"]
    assert "array 3 ('c') repeats array 1: dropped" in report_of(named)


def test_an_array_that_the_eigenvalues_count_twice_is_kept(read: Callable[..., xr.Dataset]) -> None:
    tasks = SMALL.file()["inpca_embedding"]
    twice = [*tasks, tasks[0]]
    points = np.concatenate([task.reshape(-1, 3) for task in twice])
    values = np.zeros(len(points))
    values[:3] = np.sign(SMALL.eigenvalues[:3]) * np.square(points).sum(axis=0)
    content = SMALL.file(inpca_embedding=twice, eigen_values=values, imaginary=values < 0, tasks=list("abcd"))
    ds = read(content)
    assert ds.sizes["checkpoint"] == len(points)
    assert "array 4 repeats array 1: kept, the eigenvalues count both" in report_of(ds)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"tasks": None}, {}, "does not name its 3 tasks: --tasks must"),
        ({"tasks": ["a", "b"]}, {}, "there are 3 tasks, and the file names 2: --tasks must name 3"),
        ({"tasks": list("abcd")}, {}, "the file names 4"),
        ({}, {"tasks": ["a"]}, "--tasks names 1"),
        ({}, {"tasks": ["a", "b", "a"]}, "must differ and not be empty"),
        ({"tasks": ["a", "b", "b\0"]}, {}, "must differ and not be empty"),
        ({}, {"epochs": None}, "--epochs must give them"),
        ({}, {"epochs": [0, 1]}, "--epochs gives 2 epochs, runs have up to 4 checkpoints"),
        ({}, {"epochs": "paper"}, "--epochs paper is for runs of 61 checkpoints, these have 4"),
        ({}, {"epochs": [0, 3, 2, 5]}, "--epochs must be numbers that do not fall"),
        ({}, {"seeds": [1]}, "--seeds gives 1 seeds, there are 2"),
        ({}, {"seeds": [1, 1]}, "--seeds must differ"),
        ({}, {"signs": "minus"}, "must be 'flags' or 'signed'"),
        ({"inpca_embedding": None}, {}, "keys, which are 'eigen_values', 'imaginary', 'tasks'"),
        ({"eigen_values": None}, {}, "the eigenvalues are missing"),
        ({"eigen_values": SMALL.eigenvalues * 1.1}, {}, "contradict each other on axis 1: squares add up to"),
        ({"eigen_values": SMALL.eigenvalues[::-1]}, {}, "contradict each other on axis 1"),
        ({"eigen_values": SMALL.eigenvalues[:2], "imaginary": None}, {}, "on 3 axes and only 2 eigenvalues"),
        ({"eigen_values": np.full(24, np.nan)}, {}, "finite numbers"),
        ({"eigen_values": SMALL.eigenvalues[None]}, {}, "a list of finite numbers"),
        ({"eigen_values": ["a"]}, {}, "numbers are expected"),
        ({"imaginary": [True, False]}, {}, "true or false for each of the 24 eigenvalues"),
        ({"imaginary": np.full(24, 2)}, {}, "true or false for each"),
        ({"inpca_embedding": as_complex(SMALL) + 1e-9j}, {}, "imaginary part other than 0 on axis 1"),
        ({"inpca_embedding": np.zeros((3, 4, 3))}, {}, "four dimensions (task, seed, checkpoint, axis)"),
        ({"inpca_embedding": []}, {}, "of one task or more"),
        ({"inpca_embedding": [np.zeros((2, 4, 3)), np.zeros((2, 4, 2))]}, {}, "different numbers of axes: 2, 3"),
        ({"inpca_embedding": np.full((3, 2, 4, 3), np.nan)}, {}, "task 1 has no checkpoint"),
        ({"inpca_embedding": [["a"]]}, {}, "numbers are expected"),
        ({"inpca_embedding": [7]}, {}, "must have the dimensions (seed, checkpoint, axis)"),
        ({"tasks": "abc"}, {}, "'tasks' must be a list of names"),
        ({"tasks": [None, 1.5, "c"]}, {}, "'tasks' must be a list of names"),
        ({"tasks": ["a", "b", "c" * 1001]}, {}, "a name in 'tasks' has more than 1,000 characters"),
        ({"eigen_values": ["a" * 10**6] * 10**5}, {}, "numbers are expected"),  # as an array of text 400 GB
        ({"eigen_values": None, "c" * 10**6: 1, **{str(n): n for n in range(99)}}, {}, "and 98 more"),
    ],
)
def test_what_is_wrong_or_open_is_said_in_one_line(
    changes: dict[str, Any], options: dict[str, Any], message: str, read: Callable[..., xr.Dataset]
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read(SMALL.file(**changes), **options)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("content", [[1, 2], "text", None, np.zeros(3), {}])
def test_what_is_no_picture(content: Any, read: Callable[..., xr.Dataset]) -> None:
    with pytest.raises(ValueError, match=r"figure\.pkl: "):
        read(content)


def test_a_part_of_a_picture(read: Callable[..., xr.Dataset]) -> None:
    """Without one of its tasks: squares add up to less than the eigenvalues, which are those of the whole."""
    content = SMALL.file(tasks=["a", "b"])
    content["inpca_embedding"] = content["inpca_embedding"][:2]
    ds = read(content)
    assert "the file holds 16 of the 24 points of the picture" in report_of(ds)
    np.testing.assert_allclose(ds["spectrum"], SMALL.eigenvalues)


def test_without_the_rest_of_the_spectrum_the_stress_is_said_to_be_too_large(read: Callable[..., xr.Dataset]) -> None:
    values = SMALL.eigenvalues[:5]
    ds = read(SMALL.file(eigen_values=values, imaginary=values < 0))
    assert "eigenvalue_square_sum" not in ds.attrs
    assert any("5 of 24 eigenvalues" in line and "too large" in line for line in report_of(ds))


def test_other_keys_are_named(read: Callable[..., xr.Dataset]) -> None:
    assert "not read: 'progress'" in report_of(read(SMALL.file(progress=np.zeros(3))))


# -- epochs, options, files -------------------------------------------------------------------------------------------


def test_of_61_checkpoints_epochs_are_those_of_the_published_program(read: Callable[..., xr.Dataset]) -> None:
    """Five in each of the first five of 40 epochs: at its start and after each fifth; then one after each."""
    assert len(SCHEDULE_OF_PAPER) == 61
    assert [sum(1 for epoch in SCHEDULE_OF_PAPER if number <= epoch < number + 1) for number in range(41)] == (
        [5] * 5 + [1] * 36
    )
    picture = known([[61]])
    ds = read(picture.file(), epochs=None)
    assert ds["epoch"].values.tolist() == list(SCHEDULE_OF_PAPER)
    assert any("the file has no epochs" in line and "--epochs gives others" in line for line in report_of(ds))
    assert read(picture.file(), epochs="paper")["epoch"].values.tolist() == list(SCHEDULE_OF_PAPER)
    assert read(picture.file(), epochs=list(range(61)))["epoch"].values.tolist() == list(range(61))


def test_what_options_say_stands_in_the_report(read: Callable[..., xr.Dataset]) -> None:
    ds = read(SMALL.file(), tasks=["a", "b", "c"], seeds=[3, 7], method="sgd", epochs=[0, 0.5, 1, 2], title="mine")
    assert ds["run"].values[4] == "a/sgd/7"
    assert ds.attrs["title"] == "mine"
    assert "tasks, as --tasks says: a, b, c" in report_of(ds)
    assert "epochs, as --epochs says: 0 to 2" in report_of(ds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_lines", [1, 2])
def test_the_report_survives_a_file(kind: str, n_lines: int, read: Callable[..., xr.Dataset], tmp_path: Path) -> None:
    ds = read(SMALL.file())
    ds.attrs["import_report"] = ["µ: one line", "another"][:n_lines]
    opened = open_trajectories(save_trajectories(ds, tmp_path / f"picture{kind}"))
    assert report_of(opened) == ["µ: one line", "another"][:n_lines]
    xr.testing.assert_equal(opened.compute(), ds)
    assert opened.attrs["eigenvalue_square_sum"] == ds.attrs["eigenvalue_square_sum"]


def test_a_spectrum_that_contradicts_the_eigenvalues_is_no_dataset(read: Callable[..., xr.Dataset]) -> None:
    ds = read(SMALL.file())
    assert "does not begin with" in " ".join(find_problems(ds.assign(spectrum=-ds["spectrum"])))
    assert "not finite" in " ".join(find_problems(ds.assign(spectrum=ds["spectrum"] * np.nan)))
    for total, words in ((0.5, "add up to more"), (np.nan, "must be a number"), ("much", "must be a number")):
        assert words in " ".join(find_problems(ds.assign_attrs(eigenvalue_square_sum=total)))


def test_numbers_of_an_option() -> None:
    assert numbers_of("0:4.8:0.2,5:40", "--epochs") == list(SCHEDULE_OF_PAPER)
    for text in ("", "a", "1:2:3:4", "3:1", "0:1:0", "nan", "0:inf"):
        with pytest.raises(ValueError, match="--epochs must be numbers"):
            numbers_of(text, "--epochs")
    for text, count in (("0:100000000000", "100,000,000,001"), ("0:1e99", r"1e\+99"), ("0:999999,5", "1")):
        with pytest.raises(ValueError, match=rf"--epochs has {count} numbers in .* no more than 1,000,000 are read"):
            numbers_of(text, "--epochs")


def test_what_is_assumed_of_a_picture_is_said(read: Callable[..., xr.Dataset]) -> None:
    assumed = {
        "method: supervised is assumed (--method gives another)",
        "seeds: the file has no numbers of them, 0 to 1 are assumed (--seeds gives others)",
        "step: the file has none, checkpoints of a run are numbered from 0",
    }
    assert assumed <= {*report_of(read(SMALL.file()))}
    assert len(assumed & {*report_of(read(SMALL.file(), method="simclr", seeds=[3, 4]))}) == 1


def test_seeds_are_whole_numbers() -> None:
    assert numbers_of("7,0:2", "--seeds", whole=True) == [7, 0, 1, 2]
    with pytest.raises(ValueError, match="--seeds must be whole numbers"):
        numbers_of("0:1:0.5", "--seeds", whole=True)


def test_what_lies_there_decides(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(ValueError, match="is nothing that can be imported"):
        import_trajectories(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="there is nothing at"):
        import_trajectories(tmp_path / "nothing.pkl")
