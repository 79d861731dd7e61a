"""Validation: every way in which a dataset can be wrong is named, with the variable, the checkpoint and the sample."""

from __future__ import annotations

import time
from collections.abc import Callable

import dask.array
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.trajectories import TrajectoriesError, find_problems, make_trajectories, validate
from predspace_widgets.trajectories.attributes import CHECKPOINT_COORDS
from predspace_widgets.trajectories.schema import sample_blocks
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, meeting_runs, random_trajectories
from tests.trajectories.samples import embedding_only, random_probs, two_runs


def with_probs(changes: dict[tuple[int, int], list[float]]) -> xr.Dataset:
    """`two_runs` with other rows of probabilities at some (checkpoint, sample)."""
    ds = two_runs()
    for (checkpoint, sample), row in changes.items():
        ds["probs"].values[checkpoint, sample] = row
    return ds


def with_column(name: str, values: object) -> xr.Dataset:
    """`two_runs` with another column of the checkpoints."""
    return two_runs().assign_coords({name: ("checkpoint", np.asarray(values))})


def only_problem(ds: xr.Dataset) -> str:
    problems = find_problems(ds)
    assert len(problems) == 1, problems
    return problems[0]


# -- valid ones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ds",
    [
        two_runs(),
        two_runs("float16"),
        two_runs().drop_vars(["sample", "class", "image"]),
        two_runs().reset_coords(["label", "run"]),
        embedding_only(),
        embedding_only().assign_attrs(schema_version=1),
        embedding_only().drop_attrs(),
        constant_run(),
        geodesic_run(),
        meeting_runs(),
        random_trajectories(),
    ],
    ids=lambda ds: ds.attrs.get("title") or "no attrs",
)
def test_valid_datasets_have_no_problem(ds: xr.Dataset) -> None:
    assert find_problems(ds) == []
    validate(ds)


def test_runs_may_share_steps_tasks_and_seeds() -> None:
    ds = two_runs().assign_coords(task=("checkpoint", ["same"] * 7), step=("checkpoint", [0, 1, 2, 3, 0, 1, 2]))
    assert find_problems(ds) == []


def test_the_rows_of_a_run_may_lie_apart() -> None:
    assert find_problems(two_runs().isel(checkpoint=[0, 4, 1, 5, 2, 6, 3])) == []


def test_predictions_and_an_embedding_may_come_together() -> None:
    ds = two_runs().assign(
        embedding=(("checkpoint", "component"), np.ones((7, 2))), eigenvalue=("component", [2.0, 1.0])
    )
    assert find_problems(ds) == []


# -- the structure ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CHECKPOINT_COORDS, "label"])
def test_a_missing_variable_is_named_with_its_dimension(name: str) -> None:
    dimension = "sample" if name == "label" else "checkpoint"
    assert only_problem(two_runs().drop_vars(name)) == f"variable {name!r} ({dimension}) is missing"


def test_predictions_or_an_embedding_are_needed() -> None:
    problem = only_problem(two_runs().drop_vars("probs"))
    assert problem == "variable 'probs' (checkpoint, sample, class) is missing, and there is no 'embedding' instead"


def test_an_embedding_needs_eigenvalues() -> None:
    assert only_problem(embedding_only().drop_vars("eigenvalue")) == "variable 'eigenvalue' (component) is missing"


def test_everything_that_is_missing_is_named() -> None:
    problems = find_problems(xr.Dataset())
    assert len(problems) == 7
    for name in ("probs", *CHECKPOINT_COORDS):
        assert sum(f"variable {name!r}" in problem for problem in problems) == 1


@pytest.mark.parametrize("name", CHECKPOINT_COORDS)
def test_wrong_dimensions_of_a_checkpoint_column(name: str) -> None:
    ds = two_runs().drop_vars(name)
    ds[name] = ("sample", np.zeros(5) if name in ("seed", "epoch", "step") else ["a"] * 5)
    assert only_problem(ds) == f"{name!r} must have dimensions (checkpoint), has (sample)"


@pytest.mark.parametrize(
    ("name", "dims", "shape", "wanted"),
    [
        ("probs", ("sample", "checkpoint", "class"), (5, 7, 3), "checkpoint, sample, class"),
        ("probs", ("checkpoint", "sample", "class", "draw"), (7, 5, 3, 2), "checkpoint, sample, class"),
        ("probs", ("checkpoint", "class"), (7, 3), "checkpoint, sample, class"),
        ("embedding", ("component", "checkpoint"), (2, 7), "checkpoint, component"),
        ("eigenvalue", ("component", "checkpoint"), (2, 7), "component"),
    ],
)
def test_wrong_dimensions_of_numbers(name: str, dims: tuple[str, ...], shape: tuple[int, ...], wanted: str) -> None:
    ds = two_runs().assign(
        embedding=(("checkpoint", "component"), np.ones((7, 2))), eigenvalue=("component", [2.0, 1.0])
    )
    problem = only_problem(ds.drop_vars(name).assign({name: (dims, np.ones(shape))}))
    assert problem == f"{name!r} must have dimensions ({wanted}), has ({', '.join(dims)})"


def test_wrong_dimensions_of_labels() -> None:
    ds = two_runs().drop_vars("label").assign(label=("checkpoint", np.zeros(7, dtype=int)))
    assert only_problem(ds) == "'label' must have dimensions (sample), has (checkpoint)"


@pytest.mark.parametrize(
    ("name", "dtype", "wanted"),
    [
        ("probs", "int64", "'probs' must hold floating-point numbers, holds int64"),
        ("probs", "complex128", "'probs' must hold floating-point numbers, holds complex128"),
        ("embedding", "int64", "'embedding' must hold floating-point numbers, holds int64"),
        ("eigenvalue", "int64", "'eigenvalue' must hold floating-point numbers, holds int64"),
        ("seed", "str", "'seed' must hold numbers, holds <U"),
        ("epoch", "str", "'epoch' must hold numbers, holds <U"),
        ("step", "str", "'step' must hold numbers, holds <U"),
        ("step", "bool", "'step' must hold numbers, holds bool"),
        ("step", "object", "'step' must hold numbers, holds object"),
        ("label", "float64", "'label' must hold whole numbers (the index of the true class), holds float64"),
        ("label", "str", "'label' must hold whole numbers (the index of the true class), holds <U"),
    ],
)
def test_wrong_kinds_of_values(name: str, dtype: str, wanted: str) -> None:
    ds = two_runs().assign(
        embedding=(("checkpoint", "component"), np.ones((7, 2))), eigenvalue=("component", [2.0, 1.0])
    )
    ds[name] = ds[name].astype(dtype)
    assert only_problem(ds).startswith(wanted)


@pytest.mark.parametrize("dimension", ["checkpoint", "sample", "class"])
def test_an_empty_dimension(dimension: str) -> None:
    ds = two_runs().isel({dimension: slice(0, 0)})
    assert f"dimension {dimension!r} is empty" in find_problems(ds)


@pytest.mark.parametrize(
    ("dims", "shape", "dtype"),
    [
        (("sample", "column", "row"), (5, 2, 3), "uint8"),
        (("sample", "row"), (5, 2), "uint8"),
        (("row", "column", "sample"), (2, 3, 5), "uint8"),
        (("sample", "row", "column", "colour"), (5, 2, 3, 3), "uint8"),
        (("sample", "row", "column", "channel", "time"), (5, 2, 3, 3, 2), "uint8"),
        (("sample", "row", "column"), (5, 2, 3), "float32"),
        (("sample", "row", "column"), (5, 2, 3), "int64"),
    ],
)
def test_images_of_another_form(dims: tuple[str, ...], shape: tuple[int, ...], dtype: str) -> None:
    ds = two_runs().drop_vars("image").assign(image=(dims, np.zeros(shape, dtype=dtype)))
    assert only_problem(ds) == "'image' must be uint8 with dimensions (sample, row, column[, channel])"


@pytest.mark.parametrize("version", ["2", 2, "1.1", ""])
def test_another_schema_version(version: object) -> None:
    problem = only_problem(two_runs().assign_attrs(schema_version=version))
    assert problem == f"schema_version is {version!r}, this package reads '1': update predspace_widgets"


# -- names and numbers of checkpoints and samples ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["seed", "epoch", "step"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite(name: str, value: float) -> None:
    column = two_runs()[name].values.astype(float)
    column[6] = value
    epoch = f"{value:g}" if name == "epoch" else "1"
    problems = find_problems(with_column(name, column))
    assert f"{name!r} is not finite at checkpoint 6 (run 'B', epoch {epoch})" in problems


@pytest.mark.parametrize(("name", "value"), [("task", "animals"), ("method", "other"), ("seed", 3)])
def test_a_run_with_two_of_something(name: str, value: object) -> None:
    column = two_runs()[name].values.astype(object)
    column[5] = value
    problem = only_problem(with_column(name, column.astype(type(value))))
    first = two_runs()[name].values[4]
    assert problem == f"run 'B' has more than one {name}: {first}, {value}"


def test_duplicate_checkpoints() -> None:
    problem = only_problem(with_column("step", [0, 1, 1, 1, 0, 1, 1]).isel(checkpoint=[0, 1, 2, 3, 4, 5]))
    assert problem == (
        "duplicate checkpoints: checkpoint 2 (run 'A', epoch 1), step 1; checkpoint 3 (run 'A', epoch 1.5), step 1"
    )


def test_duplicates_of_every_run_are_named() -> None:
    problems = find_problems(with_column("step", [0, 1, 1, 2, 7, 7, 8]))
    assert problems == [
        "duplicate checkpoints: checkpoint 2 (run 'A', epoch 1), step 1",
        "duplicate checkpoints: checkpoint 5 (run 'B', epoch 0.5), step 7",
    ]


def test_steps_that_fall() -> None:
    problem = only_problem(with_column("step", [0, 2, 1, 3, 5, 6, 4]).isel(checkpoint=[0, 1, 2, 3, 4, 5]))
    assert problem == "'step' falls within a run at checkpoint 2 (run 'A', epoch 1)"


def test_rows_of_a_run_that_lie_apart_are_compared_with_each_other() -> None:
    assert find_problems(two_runs().isel(checkpoint=[1, 4, 0, 5, 2, 6, 3])) == [
        "'step' falls within a run at checkpoint 2 (run 'A', epoch 0)",
        "'epoch' falls within a run at checkpoint 2 (run 'A', epoch 0)",
    ]


def test_epochs_that_fall() -> None:
    problem = only_problem(with_column("epoch", [0, 1, 0.5, 1.5, 0, 0, 1]))  # those that stay are no problem
    assert problem == "'epoch' falls within a run at checkpoint 2 (run 'A', epoch 0.5)"


@pytest.mark.parametrize("seed", [0.5, -1.25, 2.0**63, 1e30, np.uint64(2**63)])
def test_seeds_that_are_no_whole_numbers_of_64_bits(seed: float) -> None:
    problem = only_problem(with_column("seed", np.full(7, seed)).isel(checkpoint=[5]))
    assert problem == "'seed' is no whole number of 64 bits at checkpoint 0 (run 'B', epoch 0.5)"


@pytest.mark.parametrize("seed", [3.0, -(2.0**63), np.uint64(2**63 - 1), np.int8(-3)])
def test_seeds_may_be_stored_in_any_numbers(seed: float) -> None:
    assert find_problems(with_column("seed", np.full(7, seed))) == []


@pytest.mark.parametrize("name", ["run", "task", "method"])
def test_names_of_checkpoints_that_numpy_would_shorten(name: str) -> None:
    values = two_runs()[name].values.astype(object)
    values[:4] = "A\0"
    place = f"checkpoint 0 (run {str(values[0] if name == 'run' else 'A')!r}, epoch 0)"
    problem = only_problem(with_column(name, values))
    assert problem.startswith(f"{name!r} ends in a NUL character, which cannot be stored, at {place}; checkpoint 1 ")
    assert find_problems(with_column(name, values.astype(str))) == []  # there it is lost already


@pytest.mark.parametrize("name", ["sample", "class"])
def test_names_of_samples_and_classes_that_numpy_would_shorten(name: str) -> None:
    values = two_runs()[name].values.astype(object)
    values[1] = "x\0\0"
    problem = only_problem(two_runs().assign_coords({name: values}))
    assert problem == f"{name!r} ends in a NUL character, which cannot be stored, at {name} 1"


# -- embeddings -------------------------------------------------------------------------------------------------------


def with_coordinates(change: Callable[[np.ndarray], object]) -> xr.Dataset:
    """`embedding_only` with other coordinates."""
    ds = embedding_only()
    change(ds["embedding"].values)
    return ds


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_coordinate_or_an_eigenvalue_that_is_not_finite(value: float) -> None:
    def spoil(coordinates: np.ndarray) -> None:
        coordinates[4, 1] = value

    assert only_problem(with_coordinates(spoil)) == (
        "'embedding' is not finite (NaN or infinity) at checkpoint 4 (run 'x/1', epoch 1)"
    )
    ds = embedding_only()
    ds["eigenvalue"].values[2] = value
    assert only_problem(ds) == "'eigenvalue' is not finite (NaN or infinity) of axis 3"


@pytest.mark.parametrize("factor", [1.01, 2.0, 0.99, 0.5, 0.0])
def test_coordinates_that_contradict_their_eigenvalue(factor: float) -> None:
    def spoil(coordinates: np.ndarray) -> None:
        coordinates[:, 1] *= factor

    ds = with_coordinates(spoil)
    farthest = int(np.abs(embedding_only()["embedding"].values[:, 1]).argmax()) if factor else 0
    problem = only_problem(ds)
    assert problem.startswith(
        f"'embedding' and 'eigenvalue' contradict each other on axis 2 (squares add up to {2 * factor**2:.4g}, the "
        f"eigenvalue is -2; farthest out is checkpoint {farthest} "
    )
    assert find_problems(ds, values=False) == []


def test_a_point_far_away_is_named() -> None:
    def spoil(coordinates: np.ndarray) -> None:
        coordinates[7, 0] += 9

    assert "on axis 1 " in (problem := only_problem(with_coordinates(spoil)))
    assert problem.endswith("farthest out is checkpoint 7 (run 'y/0', epoch 1))")


@given(st.lists(st.integers(0, 11), min_size=1, max_size=11, unique=True), st.sampled_from(["float16", "float64"]))
def test_any_part_of_a_picture_is_valid(rows: list[int], dtype: str) -> None:
    ds = embedding_only()
    ds["embedding"] = ds["embedding"].astype(dtype)
    assert find_problems(ds.isel(checkpoint=sorted(rows))) == []


# -- as they lie on disk ----------------------------------------------------------------------------------------------


def as_logarithms(ds: xr.Dataset) -> xr.Dataset:
    return ds.drop_vars("probs").assign(log_probs=np.log(ds["probs"]))


def test_logarithms_are_for_files() -> None:
    ds = as_logarithms(two_runs())
    assert find_problems(ds, on_disk=True) == []
    both = two_runs().assign(log_probs=ds["log_probs"])
    assert any("'log_probs' are for files only" in problem for problem in find_problems(ds))
    assert only_problem(both).startswith("'log_probs' are for files only")
    [problem] = find_problems(both, on_disk=True)
    assert problem.startswith("there are both 'probs' and 'log_probs'")


def test_either_form_or_an_embedding_is_needed_on_disk() -> None:
    [problem] = find_problems(two_runs().drop_vars("probs"), on_disk=True)
    assert problem == (
        "variable 'probs' or 'log_probs' (checkpoint, sample, class) is missing, and there is no 'embedding' instead"
    )
    assert find_problems(embedding_only(), on_disk=True) == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (np.nan, "'log_probs' is not finite (NaN or infinity)"),
        (-np.inf, "'log_probs' is not finite (NaN or infinity)"),
        (0.5, "'log_probs' is positive, as no logarithm of a probability is"),
    ],
)
def test_values_that_are_no_logarithms(value: float, problem: str) -> None:
    ds = as_logarithms(two_runs())
    ds["log_probs"].values[5, 3, 1] = value
    assert find_problems(ds, on_disk=True) == [f"{problem} at checkpoint 5 (run 'B', epoch 0.5), sample s3"]
    assert find_problems(ds, on_disk=True, values=False) == []


def test_the_form_of_logarithms_is_checked_too() -> None:
    ds = as_logarithms(two_runs())
    [problem] = find_problems(ds.assign(log_probs=ds["log_probs"].astype(int)), on_disk=True)
    assert problem == "'log_probs' must hold floating-point numbers, holds int64"
    [problem] = find_problems(ds.assign_coords(label=("sample", [0, 1, 7, 0, 1])), on_disk=True)
    assert problem == "'label' must lie in [0, 3): sample s2 has 7"


@pytest.mark.parametrize(
    ("name", "values", "doubled"),
    [
        ("sample", ["a", "b", "a", "b", "c"], "'a'; 'b'"),
        ("sample", [4, 4, 4, 1, 2], "'4'"),
        ("class", ["cat", "owl", "owl"], "'owl'"),
    ],
)
def test_names_that_are_not_unique(name: str, values: list[object], doubled: str) -> None:
    problem = only_problem(two_runs().assign_coords({name: values}))
    assert problem == f"{name!r} names must be unique, these are not: {doubled}"


def test_labels_out_of_range() -> None:
    ds = two_runs().assign_coords(label=("sample", [0, 3, 2, -1, 1]))
    assert only_problem(ds) == "'label' must lie in [0, 3): sample s1 has 3; sample s3 has -1"


def test_samples_without_ids_are_named_by_number() -> None:
    ds = two_runs().drop_vars("sample").assign_coords(label=("sample", [0, 0, 0, 0, 9]))
    assert only_problem(ds) == "'label' must lie in [0, 3): sample 4 has 9"


# -- probabilities ----------------------------------------------------------------------------------------------------

NOT_FINITE = "'probs' is not finite (NaN or infinity)"
NEGATIVE = "'probs' is negative (logits need a softmax first)"
WRONG_SUM = "rows of 'probs' do not sum to 1"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ([np.nan, 0.5, 0.5], NOT_FINITE),
        ([np.inf, 0.0, 0.0], NOT_FINITE),
        ([np.inf, -np.inf, 1.0], NOT_FINITE),
        ([np.nan, -0.5, 0.5], NOT_FINITE),
        ([1.5, -0.5, 0.0], NEGATIVE),
        ([-0.1, 0.5, 0.5], NEGATIVE),
        ([0.5, 0.25, 0.2], WRONG_SUM),
        ([0.0, 0.0, 0.0], WRONG_SUM),
        ([2.0, 1.0, 3.0], WRONG_SUM),
        ([0.5, 0.3, 0.2025], WRONG_SUM),
        ([0.5, 0.3, 0.1975], WRONG_SUM),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_row_that_is_no_probabilities(row: list[float], problem: str) -> None:
    assert only_problem(with_probs({(5, 3): row})) == f"{problem} at checkpoint 5 (run 'B', epoch 0.5), sample s3"


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_values_too_large_for_float32() -> None:
    problem = only_problem(with_probs({(0, 0): [1e300, 0.0, 0.0]}))
    assert problem.endswith("at checkpoint 0 (run 'A', epoch 0), sample s0")


def test_places_of_a_problem_are_counted_not_made() -> None:
    probs = np.full((2000, 200, 2), 0.4)
    ds = random_trajectories(("a",), n_seeds=1, n_checkpoints=2000, n_samples=200, n_classes=2).chunk(sample=100)
    ds["probs"] = ds["probs"].dims, dask.array.from_array(probs, chunks=(2000, 100, 2))
    start = time.process_time()
    assert only_problem(ds).endswith("; and 399997 more")
    assert time.process_time() - start < 5  # naming all of them takes minutes


@pytest.mark.parametrize("last", [0.2018, 0.1982])
def test_float16_rounding_of_a_row_is_accepted(last: float) -> None:
    assert find_problems(with_probs({(0, 0): [0.5, 0.3, last]})) == []


def test_values_are_left_alone_when_asked() -> None:
    ds = with_probs({(0, 0): [np.nan, 0.5, 0.5]})
    assert find_problems(ds, values=False) == []
    validate(ds, values=False)
    with pytest.raises(TrajectoriesError):
        validate(ds)


def test_more_than_three_places_are_counted() -> None:
    ds = with_probs({(checkpoint, 2): [0.1, 0.1, 0.1] for checkpoint in range(6)})
    assert only_problem(ds) == (
        f"{WRONG_SUM} at checkpoint 0 (run 'A', epoch 0), sample s2; checkpoint 1 (run 'A', epoch 0.5), sample s2; "
        "checkpoint 2 (run 'A', epoch 1), sample s2; and 3 more"
    )


def test_three_places_are_all_named() -> None:
    ds = two_runs().assign_coords(label=("sample", [3, 3, 3, 0, 0]))
    assert only_problem(ds) == "'label' must lie in [0, 3): sample s0 has 3; sample s1 has 3; sample s2 has 3"


def test_four_places_are_three_and_one_more() -> None:
    ds = two_runs().assign_coords(label=("sample", [3, 3, 3, 3, 0]))
    assert only_problem(ds).endswith("sample s2 has 3; and 1 more")


ROWS: dict[str, list[float]] = {
    NOT_FINITE: [np.nan, 0.5, 0.5],
    NEGATIVE: [1.5, -0.5, 0.0],
    WRONG_SUM: [0.5, 0.25, 0.2],
}


@given(
    st.dictionaries(st.tuples(st.integers(0, 6), st.integers(0, 4)), st.sampled_from(sorted(ROWS)), max_size=12),
    st.sampled_from([None, (5,), (1, 1, 1, 1, 1), (2, 2, 1), (1, 4)]),
)
def test_every_bad_row_is_found_whatever_the_chunks(
    damage: dict[tuple[int, int], str], chunks: tuple[int, ...] | None
) -> None:
    ds = with_probs({place: ROWS[problem] for place, problem in damage.items()})
    if chunks is not None:
        ds = ds.chunk(checkpoint=3, sample=chunks)
    problems = find_problems(ds)
    assert {text.split(" at ")[0] for text in problems} == set(damage.values())
    for text in problems:
        problem, listed = text.split(" at ", 1)
        places = {
            f"checkpoint {checkpoint} (run {str(ds.run.values[checkpoint])!r}, "
            f"epoch {ds.epoch.values[checkpoint]:g}), sample s{sample}"
            for (checkpoint, sample), kind in damage.items()
            if kind == problem
        }
        named, _, more = listed.partition("; and ")
        shown = named.split("; ")
        assert set(shown) <= places
        assert len(set(shown)) == len(shown) == min(len(places), 3)
        assert more == (f"{len(places) - 3} more" if len(places) > 3 else "")


def test_values_are_read_a_block_of_samples_at_a_time() -> None:
    computations: list[int] = []  # blocks read by each

    def read(block: np.ndarray) -> np.ndarray:
        computations[-1] += 1
        return block

    ds = two_runs()
    blocks = dask.array.from_array(ds["probs"].values, chunks=(7, 2, 3)).map_blocks(read, meta=np.empty((0, 0, 0)))
    ds["probs"] = (("checkpoint", "sample", "class"), blocks)
    with Callback(start=lambda graph: computations.append(0)):
        assert find_problems(ds) == []
    assert computations == [1, 1, 1]


def test_blocks_follow_the_chunks() -> None:
    probs = two_runs()["probs"].chunk(checkpoint=2, sample=(2, 2, 1))
    found = list(sample_blocks(probs))
    assert [start for start, _ in found] == [0, 2, 4]
    np.testing.assert_array_equal(np.concatenate([block for _, block in found], axis=1), probs.values)
    [(start, whole)] = sample_blocks(two_runs()["probs"])
    assert (start, whole.shape) == (0, (7, 5, 3))


# -- several at once --------------------------------------------------------------------------------------------------


def test_all_structural_problems_are_named_at_once() -> None:
    ds = two_runs().drop_vars(["seed", "label", "image"]).assign_attrs(schema_version="9")
    ds["image"] = (("sample", "column", "row"), np.zeros((5, 2, 3), dtype=np.uint8))
    ds["probs"] = ds["probs"].astype(int)
    ds = ds.assign_coords(step=("checkpoint", ["a"] * 7))
    problems = find_problems(ds)
    assert len(problems) == 6
    for part in ("'seed'", "'label'", "'image'", "'probs'", "'step'", "schema_version"):
        assert any(part in problem for problem in problems), part


def test_all_problems_of_values_are_named_at_once() -> None:
    ds = with_probs({(1, 0): ROWS[NOT_FINITE], (2, 1): ROWS[NEGATIVE], (6, 4): ROWS[WRONG_SUM]})
    ds = ds.assign_coords(
        label=("sample", [0, 1, 5, 0, 1]),
        step=("checkpoint", [0, 0, 2, 1, 0, 1, 2]),
        task=("checkpoint", ["animals", "birds"] + ["animals"] * 5),
        epoch=("checkpoint", [0, 0.5, 1, 1.5, np.nan, 0.5, 1]),
        sample=["a", "b", "c", "d", "a"],
    )
    ds = ds.assign_coords({"class": ["x", "x", "y"]})
    with pytest.raises(TrajectoriesError) as raised:
        validate(ds)
    expected = [
        "'epoch' is not finite at checkpoint 4 (run 'B', epoch nan)",
        "run 'A' has more than one task: animals, birds",
        "duplicate checkpoints: checkpoint 1 (run 'A', epoch 0.5), step 0",
        "'step' falls within a run at checkpoint 3 (run 'A', epoch 1.5)",
        "'sample' names must be unique, these are not: 'a'",
        "'class' names must be unique, these are not: 'x'",
        "'label' must lie in [0, 3): sample c has 5",
        f"{NOT_FINITE} at checkpoint 1 (run 'A', epoch 0.5), sample a",
        f"{NEGATIVE} at checkpoint 2 (run 'A', epoch 1), sample b",
        f"{WRONG_SUM} at checkpoint 6 (run 'B', epoch 1), sample a",
    ]
    assert sorted(raised.value.problems) == sorted(expected)
    assert str(raised.value).startswith("this dataset is not a valid trajectories dataset:")
    for problem in expected:
        assert f"\n  - {problem}" in str(raised.value)


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda ds: ds.drop_vars("seed"), "variable 'seed' (checkpoint) is missing"),
        (lambda ds: ds.assign_coords(step=("checkpoint", ["a"] * 7)), "'step' must hold numbers"),
        (lambda ds: ds.assign(image=ds["image"].astype(float)), "'image' must be uint8"),
        (lambda ds: ds.assign(embedding=(("checkpoint", "component"), np.ones((7, 1)))), "variable 'eigenvalue'"),
    ],
    ids=["missing", "dtype", "image", "eigenvalue"],
)
def test_a_problem_of_structure_hides_none_of_values(spoil: Callable[[xr.Dataset], xr.Dataset], part: str) -> None:
    ds = with_probs({(5, 3): ROWS[NEGATIVE]}).assign_coords(label=("sample", [0, 1, 5, 0, 1]))
    problems = find_problems(spoil(ds))
    assert any(part in problem for problem in problems)
    assert "'label' must lie in [0, 3): sample s2 has 5" in problems
    assert any(NEGATIVE in problem and "sample s3" in problem for problem in problems)


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (lambda ds: ds.drop_vars("run"), "checkpoint 5 (epoch 0.5)"),
        (lambda ds: ds.drop_vars("run").assign(run=("sample", ["a"] * 5)), "checkpoint 5 (epoch 0.5)"),
        (lambda ds: ds.drop_vars("epoch"), "checkpoint 5 (run 'B')"),
        (lambda ds: ds.assign_coords(epoch=("checkpoint", ["a"] * 7)), "checkpoint 5 (run 'B')"),
        (lambda ds: ds.drop_vars(["run", "epoch"]), "checkpoint 5"),
    ],
    ids=["no run", "run of samples", "no epoch", "epochs in words", "neither"],
)
def test_a_checkpoint_is_named_by_what_it_has(spoil: Callable[[xr.Dataset], xr.Dataset], place: str) -> None:
    problems = find_problems(spoil(with_probs({(5, 3): ROWS[NEGATIVE]})))
    assert f"{NEGATIVE} at {place}, sample s3" in problems


def test_the_error_is_a_value_error_that_says_what_it_is_about() -> None:
    error = TrajectoriesError(["one thing", "another"], "x.nc")
    assert isinstance(error, ValueError)
    assert str(error) == "x.nc is not a valid trajectories dataset:\n  - one thing\n  - another"


def test_many_classes_in_float16_are_valid() -> None:
    probs = random_probs(3, 20, 1000, sharpness=0.05).astype(np.float16)
    assert find_problems(make_trajectories(probs, np.arange(20), task="many", epoch=[0, 1, 2])) == []


def test_text_as_xarray_reads_it_from_zarr() -> None:
    ds = geodesic_run()
    text = ds["run"].astype(np.dtypes.StringDType())
    with pytest.raises(TrajectoriesError, match=r"run: text as xr\.open_zarr reads it"):
        validate(ds.assign_coords(run=text))
