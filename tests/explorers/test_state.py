"""The explorer's choices: what they choose, what they refuse, and what comes from an address or a browser."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers import choices as kinds
from predspace_widgets.explorers.choices import READERS
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.sharing import from_query, to_query
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories import EmptySelectionError, Selection
from predspace_widgets.trajectories.testing import constant_run, geodesic_run, random_trajectories
from predspace_widgets.views.inpca import COLORINGS

TRAININGS = random_trajectories(
    tasks=("red", "green"), n_seeds=3, n_checkpoints=4, n_samples=4, methods=("supervised", "simclr")
)
ANALYSIS = Analysis(TRAININGS)
CLASSES = [f"class {number}" for number in range(5)]
N_SAMPLES = ANALYSIS.ds.sizes["sample"]
CURVES = ["red", "red · simclr", "green", "green · simclr"]


@pytest.fixture
def state() -> ExplorerState:
    return ExplorerState(ANALYSIS)


def values_of_choices() -> dict[str, st.SearchStrategy[Any]]:
    """Possible values of each choice, as they are when they are read."""

    def ordered(members: list[Any]) -> st.SearchStrategy[list[Any]]:
        return st.sets(st.sampled_from(members)).map(lambda chosen: [member for member in members if member in chosen])

    epochs = st.lists(st.floats(-5, 20), min_size=2, max_size=2).map(sorted)
    point = st.fixed_dictionaries(dict.fromkeys("xyz", st.floats(-3, 3)))
    shown = {"curves": ordered(CURVES), "seeds": ordered([0, 1, 2]), "epochs": epochs}
    some_classes = [ordered(CLASSES).filter(lambda chosen, least=least: len(chosen) >= least) for least in (1, 2)]  # type: ignore[misc]
    rows = st.sets(st.integers(0, N_SAMPLES - 1), min_size=1).map(sorted)
    parts = {"classes": some_classes[0], "rows": rows, "among": some_classes[1]}
    return {
        **shown,
        "axes_fitted_on": st.sampled_from(kinds.AXES_FITTED_ON),
        "frozen": st.none() | st.fixed_dictionaries(shown),
        "dimensions": st.sampled_from(kinds.DIMENSIONS),
        "horizontal": st.integers(1, 5),
        "vertical": st.integers(1, 5),
        "color_by": st.sampled_from(kinds.COLORINGS),
        "progress_metric": st.sampled_from(kinds.PROGRESS_METRICS),
        "compared": st.lists(st.sampled_from(CURVES), min_size=2, max_size=6),
        "time": st.none() | st.floats(-1, 1e6),
        "time_by": st.sampled_from(kinds.TIMES),
        "pinned": st.lists(st.sampled_from(CURVES), unique=True),
        "camera": st.none() | st.fixed_dictionaries(dict.fromkeys(("eye", "center", "up"), point)),
        "samples": st.none() | st.fixed_dictionaries({}, optional=parts).filter(bool),
        "sample": st.none() | st.integers(0, N_SAMPLES - 1),
        "tabs": st.lists(st.sampled_from(["matrix", "tube"]), unique=True),
        "matrix_of": st.sampled_from(["progress", "end", "step"]),
        "matrix_by": st.sampled_from(["curve", "run"]),
        "spectrum": st.sampled_from(["share", "eigenvalues"]),
        "selected": st.lists(st.integers(0, 47), unique=True),
    }


def possible() -> st.SearchStrategy[dict[str, Any]]:
    """Some choices that are possible together."""
    some = st.fixed_dictionaries({}, optional=values_of_choices())
    return some.filter(lambda chosen: "horizontal" not in chosen or chosen["horizontal"] != chosen.get("vertical"))


def anything() -> st.SearchStrategy[Any]:
    """What JSON can hold, and more."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400) | st.binary()
    plain |= st.sampled_from([*CURVES, "3-D", "frozen", 0, 1, 2])
    names = st.text() | st.sampled_from(["curves", "seeds", "epochs", "eye", "x"])
    return st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=8)


# -- what is chosen -------------------------------------------------------------------------------------------------


def test_everything_is_chosen_at_first(state: ExplorerState) -> None:
    assert state.selection == state.fitted_on == Selection()
    assert state.choices() == state.defaults()
    assert state.settings() == {}
    assert state.curves == ANALYSIS.curve_names == CURVES
    assert state.seeds == [0, 1, 2]
    assert state.epochs == [0.0, 10.0]
    assert state.compared == ["red", "red · simclr"]
    assert set(state.choices()) == {name for name in state.param if name != "name"}


@given(possible())
def test_the_selection_is_that_of_curves_seeds_and_epochs(chosen: dict[str, Any]) -> None:
    state = ExplorerState(ANALYSIS, **chosen)
    expected = [
        row
        for row in range(48)
        if ANALYSIS.curves[row] in state.curves
        and int(TRAININGS["seed"].values[row]) in state.seeds
        and state.epochs[0] <= float(TRAININGS["epoch"].values[row]) <= state.epochs[1]
    ]
    if expected:
        assert state.selection.rows(TRAININGS).tolist() == expected
    else:
        with pytest.raises(EmptySelectionError):
            state.selection.rows(TRAININGS)


def test_no_curve_and_no_seed_may_be_chosen(state: ExplorerState) -> None:
    state.curves = []
    with pytest.raises(EmptySelectionError, match="no curve is chosen"):
        state.selection.rows(TRAININGS)
    state.param.update(curves=CURVES, seeds=[])
    with pytest.raises(EmptySelectionError, match="no seed is chosen"):
        state.selection.rows(TRAININGS)
    assert ExplorerState(ANALYSIS, tasks=[]).curves == []


def test_a_dataset_of_one_curve_compares_it_with_itself() -> None:
    for ds in (geodesic_run(), constant_run()):
        state = ExplorerState(ds)
        assert state.compared == state.curves * 2


@pytest.mark.parametrize(
    ("chosen", "curves"),
    [
        ({"tasks": ["green"]}, ["green", "green · simclr"]),
        ({"tasks": "green"}, ["green", "green · simclr"]),
        ({"methods": ("simclr",)}, ["red · simclr", "green · simclr"]),
        ({"tasks": ["green", "red"], "methods": ["simclr"]}, ["red · simclr", "green · simclr"]),
        ({"tasks": ["green"], "methods": ["simclr"], "curves": ["red", "green · simclr"]}, ["green · simclr"]),
    ],
)
def test_tasks_and_methods_are_ways_to_choose_curves(chosen: dict, curves: list[str], state: ExplorerState) -> None:
    assert ExplorerState(ANALYSIS, **chosen).curves == curves
    assert state.apply(chosen) == []
    assert state.curves == curves


def test_tasks_and_methods_can_be_set(state: ExplorerState) -> None:
    state.tasks = ["green"]
    assert (state.curves, state.tasks, state.methods) == (CURVES[2:], ["green"], ["supervised", "simclr"])
    state.methods = "simclr"
    assert (state.curves, state.tasks, state.methods) == (CURVES[1::2], ["red", "green"], ["simclr"])


def test_values_of_numpy_and_tuples_become_plain(state: ExplorerState) -> None:
    state.param.update(
        curves=np.array(["green", "red"]),
        seeds=(np.int64(2), 0.0),
        epochs=(np.float32(1.5), np.int16(3)),
        horizontal=np.int8(3),
        time=np.float64(2),
        compared=("red", np.str_("green")),
        selected=np.array([5, 3]),
        camera={"eye": dict.fromkeys("xyz", np.float32(1))},
    )
    chosen = state.choices()
    assert json.loads(json.dumps(chosen)) == chosen
    assert chosen["curves"] == ["red", "green"]
    assert (chosen["seeds"], chosen["epochs"], chosen["selected"]) == ([0, 2], [1.5, 3.0], [5, 3])

    def leaves(value: Any) -> list[Any]:
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return [value] if members is None else [leaf for member in members for leaf in leaves(member)]

    assert {type(leaf) for leaf in leaves(chosen)} <= {str, int, float, type(None)}


@given(possible())
def test_settings_make_the_same_choices_again(chosen: dict[str, Any]) -> None:
    state = ExplorerState(ANALYSIS, **chosen)
    settings = json.loads(json.dumps(state.settings()))
    assert not {"selected", "sample"} & set(settings)  # for a look
    again = ExplorerState(ANALYSIS, **settings)
    state.selected, state.sample = [], None
    assert again.choices() == state.choices()
    defaults = state.defaults()
    assert all(settings[name] != defaults[name] for name in settings)


def test_what_is_given_out_is_a_copy(state: ExplorerState) -> None:
    for values in (state.choices(), state.defaults()):
        values["curves"].clear()
        values["pinned"].append("red")
    assert state.choices() == ExplorerState(ANALYSIS).choices()


# -- axes -----------------------------------------------------------------------------------------------------------


def test_axes_are_fitted_on_what_is_said(state: ExplorerState) -> None:
    state.param.update(curves=["red"], seeds=[1], epochs=[0, 5])
    shown = state.selection
    assert state.fitted_on == Selection()
    state.axes_fitted_on = "shown"
    assert state.fitted_on is None
    state.axes_fitted_on = "frozen"
    state.curves = ["green"]
    assert state.frozen == {"curves": ["red"], "seeds": [1], "epochs": [0.0, 5.0]}
    assert state.fitted_on == shown != state.selection
    assert shown.rows(TRAININGS).size


def test_frozen_axes_are_forgotten_unless_told(state: ExplorerState) -> None:
    earlier = {"curves": ["red"], "seeds": [0], "epochs": [0.0, 5.0]}
    state.param.update(axes_fitted_on="frozen", frozen=earlier)
    assert state.frozen == earlier
    state.axes_fitted_on = "everything"
    assert state.frozen is None
    state.param.update(axes_fitted_on="frozen", curves=["green"])
    assert state.frozen == {"curves": ["green"], "seeds": [0, 1, 2], "epochs": [0.0, 10.0]}
    state.frozen = None  # frozen axes come from something
    assert state.frozen["curves"] == ["green"]
    state.param.update(axes_fitted_on="shown", frozen=earlier)
    assert state.frozen == earlier


def test_the_axes_of_a_plane_differ(state: ExplorerState) -> None:
    state.horizontal = 2
    assert (state.horizontal, state.vertical) == (2, 1)
    state.vertical = 2
    assert (state.horizontal, state.vertical) == (1, 2)
    state.param.update(horizontal=2, vertical=1)
    assert (state.horizontal, state.vertical) == (2, 1)
    with pytest.raises(ValueError, match="horizontal and vertical must be two different axes"):
        ExplorerState(ANALYSIS, horizontal=3, vertical=3)
    assert state.apply({"horizontal": 3, "vertical": 3, "dimensions": "2-D"}) == [
        "horizontal and vertical must be two different axes"
    ]
    assert (state.horizontal, state.vertical, state.dimensions) == (2, 1, "2-D")


# -- what is told ---------------------------------------------------------------------------------------------------


def test_who_reacts_sees_each_change_once_and_no_state_that_breaks_a_rule(state: ExplorerState) -> None:
    seen: list[Any] = []
    state.on_change(
        lambda s: (s.horizontal, s.vertical, s.axes_fitted_on, s.frozen),
        lambda: seen.append((state.horizontal, state.vertical, state.axes_fitted_on, state.frozen is None)),
    )
    state.horizontal = 2
    state.axes_fitted_on = "frozen"
    state.axes_fitted_on = "shown"
    assert seen == [(2, 1, "everything", True), (2, 1, "frozen", False), (2, 1, "shown", True)]


def test_choices_that_nobody_sees_tell_nothing(state: ExplorerState) -> None:
    seen: list[str] = []
    state.on_change(lambda s: s.curves, lambda: seen.append("curves"))
    state.param.update(seeds=[0], time=3, color_by="epoch")
    assert seen == []
    state.param.update(curves=["red"], seeds=[1])
    assert seen == ["curves"]


@given(possible())
def test_equal_values_fire_nothing(chosen: dict[str, Any]) -> None:
    state = ExplorerState(ANALYSIS, **chosen)
    fired: list[Any] = []
    state.param.watch(lambda *events: fired.extend(events), list(READERS))
    now = state.choices()
    for name, value in now.items():
        setattr(state, name, value)
    state.param.update(**{**now, "curves": [*reversed(now["curves"])], "epochs": tuple(now["epochs"])})
    assert state.apply(now) == []
    assert fired == []


# -- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("curve", "curves"), ("task", "tasks"), ("colour_by", "color_by"), ("horizontl", "horizontal")],
)
def test_an_unknown_choice_names_those_there_are_and_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(TypeError) as raised:
        ExplorerState(ANALYSIS, **{name: 1})
    told = str(raised.value)
    assert told.startswith(f"no choice {name!r}, did you mean {nearest!r}?; an explorer has ")
    assert all(known in told for known in [*READERS, "tasks", "methods"])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"curves": ["red", "mauve"]}, "no curve 'mauve' in this dataset; it has red, red · simclr, green, green · s"),
        ({"tasks": ["mauve"]}, "no task 'mauve' in this dataset; it has red, green"),
        ({"methods": "magic"}, "no method 'magic' in this dataset; it has supervised, simclr"),
        ({"tasks": "green", "curves": "red"}, "no curve has these tasks and curves"),
        ({"seeds": [0, 9]}, "no seed 9 in this dataset; it has 0, 1, 2"),
        ({"seeds": [True]}, "no seed True in this dataset; it has 0, 1, 2"),
        ({"seeds": 1.5}, "seeds must be a list, not 1.5"),
        ({"pinned": ["mauve"]}, "no curve 'mauve' in this dataset"),
        ({"compared": ["red"]}, "compared must be 2 to 6 curves or runs, not 1"),
        ({"compared": ["red", "mauve"]}, "no curve 'mauve' in this dataset"),
        ({"selected": [47, 48]}, "no checkpoint 48 in this dataset; it has 0 to 47"),
        ({"epochs": (5, 4)}, "epochs must be two numbers, the first not above the last: 5, 4"),
        ({"epochs": [0, float("nan")]}, "an end of epochs must be a finite number, not nan"),
        ({"epochs": 3}, "epochs must be two numbers, not 3"),
        ({"dimensions": "4-D"}, "dimensions must be '3-D', '2-D' or 'pairs', not '4-D'"),
        ({"horizontal": 6}, "horizontal must be 1, 2, 3, 4 or 5, not 6"),
        ({"vertical": True}, "vertical must be 1, 2, 3, 4 or 5, not True"),
        ({"color_by": ["curve"]}, "color_by must be 'curve', 'epoch', 'progress' or 'accuracy', not a list"),
        ({"time": "3"}, "time must be a number, not '3'"),
        ({"time": 10**400}, "time must be a number, not a large number"),
        ({"frozen": {"curves": ["red"]}}, "frozen must be a mapping of curves, seeds, epochs, not a mapping"),
        ({"samples": {"classes": ["class 9"]}}, "no class 'class 9' in this dataset"),
        ({"samples": {"classes": []}}, "classes of samples must be 1 or more, got 0"),
        ({"samples": {"among": ["class 1"]}}, "among of samples must be 2 or more, got 1"),
        ({"samples": {"rows": [N_SAMPLES]}}, f"no sample {N_SAMPLES} in this dataset"),
        ({"samples": {}}, "samples must be a mapping of classes, rows, among, not a mapping"),
        ({"samples": ["class 1"]}, "samples must be a mapping of classes, rows, among, not a list"),
        ({"sample": -1}, "no sample -1 in this dataset"),
        ({"tabs": [1]}, "tabs must be names of views, not a list"),
        ({"camera": {"eye": {"x": 1, "y": 1}}}, "camera must be a mapping of eye, center and up to x, y and z"),
        ({"camera": {"eye": {"x": 1, "y": 1, "z": float("inf")}}}, "camera eye.z must be a finite number, not inf"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(chosen: dict[str, Any], message: str, state: ExplorerState) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        ExplorerState(ANALYSIS, **chosen)
    assert message in str(raised.value)
    for name, value in chosen.items() if len(chosen) == 1 else ():
        with pytest.raises(ValueError) as raised:  # noqa: PT011
            setattr(state, name, value)
        assert message in str(raised.value)
    assert state.settings() == {}


def test_a_combination_that_no_curve_has() -> None:
    ds = TRAININGS.isel(checkpoint=ANALYSIS.curves != "green · simclr")
    with pytest.raises(ValueError, match="no curve has these tasks and methods"):
        ExplorerState(ds, tasks=["green"], methods=["simclr"])


# -- from an address or a browser -----------------------------------------------------------------------------------


@given(possible())
def test_what_is_possible_is_applied(chosen: dict[str, Any]) -> None:
    state = ExplorerState(ANALYSIS)
    assert state.apply(json.loads(json.dumps(chosen))) == []
    assert state.choices() == ExplorerState(ANALYSIS, **chosen).choices()


def test_what_is_not_is_said_and_the_rest_applied(state: ExplorerState) -> None:
    calls: list[int] = []
    state.param.watch(lambda *events: calls.append(len(events)), list(READERS))
    told = state.apply(
        {
            "curves": ["x", "green", "red"],
            "seeds": [7],
            "foo": 1,
            "colour_by": "epoch",
            "time": "soon",
            "tasks": "mauve",
            "dimensions": "2-D",
        }
    )
    assert told == [
        "no task 'mauve' in this dataset",
        "no curve 'x' in this dataset",
        "no seed 7 in this dataset",
        "no choice 'foo'",
        "no choice 'colour_by', did you mean 'color_by'?",
        "time must be a number, not 'soon'",
    ]
    assert state.settings() == {"curves": ["red", "green"], "dimensions": "2-D"}
    assert calls == [2]  # at once


@given(anything())
def test_nothing_from_outside_raises(choices: Any) -> None:
    state = ExplorerState(ANALYSIS)
    for told in (state.apply(choices), state.apply(dict.fromkeys([*READERS, "tasks", "methods"], choices))):
        assert sum(map(len, told)) < 10_000
    assert json.loads(json.dumps(state.choices(), allow_nan=False)) == state.choices()
    assert set(state.curves) <= set(CURVES)
    assert state.horizontal != state.vertical


@given(name=st.sampled_from([*READERS, "tasks", "methods"]), data=st.data())
def test_nothing_like_a_choice_raises(name: str, data: st.DataObject) -> None:
    inner = anything()
    value = data.draw(
        st.lists(inner)
        | st.fixed_dictionaries({"curves": inner, "seeds": inner, "epochs": inner})
        | st.dictionaries(st.sampled_from(["eye", "up"]), st.fixed_dictionaries(dict.fromkeys("xyz", inner)))
    )
    state = ExplorerState(ANALYSIS)
    state.apply({name: value})
    assert json.loads(json.dumps(state.choices(), allow_nan=False)) == state.choices()


def test_sentences_are_bounded(state: ExplorerState) -> None:
    told = state.apply({"x" * 10**6: 1, "curves": ["y" * 10**6] * 1000 + ["red"], **{f"z{k}": k for k in range(1000)}})
    assert len(told) == 11
    assert told[-1] == "and 1991 more"
    assert max(map(len, told)) < 200
    assert state.curves == ["red"]


def test_a_number_too_long_to_be_written_is_said(state: ExplorerState) -> None:
    number = 10**5000
    told = state.apply({name: [number] if name == "seeds" else number for name in (*READERS, "tasks", 7)})
    assert len(told) == 11
    assert "no seed a large number in this dataset" in told
    assert state.settings() == {}


@pytest.mark.parametrize("choices", [None, [], "curves", 3])
def test_what_has_no_names_is_said(state: ExplorerState, choices: Any) -> None:
    assert state.apply(choices) == ["choices must be given by their names"]


# -- attributes of runs -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attributed() -> xr.Dataset:
    """Two seeds a task; the second has width 8, the first 0.5 or none; a network for each task, "" for blue."""
    ds = random_trajectories(n_checkpoints=3)
    width = np.where(ds["seed"] == 1, 8.0, np.where(ds["task"] == "red", np.nan, 0.5))
    network = ds["task"].to_series().map({"red": "cnn", "green": "mlp", "blue": ""}).to_numpy(dtype=str)
    return ds.assign_coords(width=("checkpoint", width), network=("checkpoint", network))


def test_attributes_choose_what_is_shown(attributed: xr.Dataset) -> None:
    state = ExplorerState(attributed, where={"width": [8.0, None], "network": "cnn"})
    assert state.where == {"width": ["8", ""], "network": ["cnn"]}
    assert set(attributed["task"].values[state.selection.rows(attributed)]) == {"red"}
    assert ExplorerState(attributed, **state.settings()).choices() == state.choices()
    assert from_query(to_query(state.settings())) == state.settings()
    state.where = {"width": ["", "0.5", 8], "network": ["mlp", "cnn"]}
    assert state.where == {"network": ["cnn", "mlp"]}  # all widths are no choice
    state.where = {}
    assert state.settings() == {}
    assert state.selection == Selection()


def test_frozen_axes_remember_attributes(attributed: xr.Dataset) -> None:
    state = ExplorerState(attributed, where={"network": ["mlp"]}, axes_fitted_on="frozen")
    assert state.frozen is not None
    assert state.frozen["where"] == {"network": ["mlp"]}
    state.where = {}
    assert state.fitted_on is not None
    assert set(attributed["task"].values[state.fitted_on.rows(attributed)]) == {"green"}
    assert state.apply({"frozen": {**state.frozen, "where": {"network": ["cnn"]}}}) == []
    assert state.frozen["where"] == {"network": ["cnn"]}


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"net": ["cnn"]}, "no attribute 'net' of runs in this dataset"),
        ({"network": ["rnn"]}, "no network 'rnn' in this dataset"),
        ({"network": [{}]}, "no network a mapping in this dataset"),
        ({"network": {"cnn": 1}}, "network must be a list, not a mapping"),
        ([1], "where must be a mapping of attributes to values, not a list"),
        ("cnn", "where must be a mapping of attributes to values, not 'cnn'"),
        ({1: 2}, "no attribute 1 of runs in this dataset"),
    ],
)
def test_attributes_that_are_not_there(attributed: xr.Dataset, where: Any, told: str) -> None:
    state = ExplorerState(attributed)
    assert state.apply({"where": where}) == [told]
    assert state.where == {}
    with pytest.raises(ValueError, match=told):
        state.where = where


def test_of_attributes_what_is_known_is_applied(attributed: xr.Dataset) -> None:
    state = ExplorerState(attributed)
    assert state.apply({"where": {"network": ["mlp", "rnn"], "net": 1}}) == [
        "no network 'rnn' in this dataset",
        "no attribute 'net' of runs in this dataset",
    ]
    assert state.where == {"network": ["mlp"]}
    state.where = {"network": []}
    with pytest.raises(ValueError, match="no network is chosen: choose at least one"):
        state.selection.rows(attributed)
    with pytest.raises(ValueError, match="no attribute 'width' of runs in this dataset, which has none"):
        ExplorerState(random_trajectories(n_checkpoints=1), where={"width": 1})


def test_colours_can_be_attributes(attributed: xr.Dataset) -> None:
    explorer = Explorer(attributed, color_by="network", dimensions="2-D")
    [values] = [trace for trace in explorer.figure().data if trace.meta["role"] == "values"]
    assert list(values.marker.colorbar.ticktext) == ["cnn", "mlp", "none"]
    codes = np.array(values.marker.color)
    np.testing.assert_array_equal(codes[np.isfinite(codes)], np.repeat([0, 1, 2], 6))
    assert values.marker.colorbar.title.text == "network"
    explorer.state.color_by = "width"
    [values] = [trace for trace in explorer.figure().data if trace.meta["role"] == "values"]
    assert (values.marker.cmin, values.marker.cmax) == (0.5, 8.0)
    assert set(explorer.session.about["options"]["color_by"]) == {*COLORINGS, "width", "network"}
    with pytest.raises(ValueError, match=r"color_by must be 'curve', .* or 'network', not 'depth'"):
        explorer.state.color_by = "depth"


def test_a_comparison_counts_the_chosen_runs_only(attributed: xr.Dataset) -> None:
    explorer = Explorer(attributed, compared=["green", "blue"], where={"width": "8"})
    expected = attributed.predspace.select(width=8).predspace.trajectory_distance("green", "blue")
    np.testing.assert_allclose(explorer.data("comparison")["distance"], expected["distance"], rtol=1e-6)
