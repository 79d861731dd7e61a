"""What the stage is sent is what the analysis says; what it asks is not trusted."""

from __future__ import annotations

import gzip
import json
import threading
import time
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers import session as session_module
from predspace_widgets.explorers.session import Session, as_plain, summary_of
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories import Selection
from predspace_widgets.trajectories.testing import random_trajectories
from predspace_widgets.views import VIEWS
from tests.explorers.test_packing import square_from_24
from tests.trajectories.samples import embedding_only


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(Analysis(random_trajectories(n_checkpoints=5)))


def sent(session: Session, **options: bool) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return unpack(gzip.decompress(session.payload(**options)))


def squared(above: np.ndarray, n_points: int) -> np.ndarray:
    D = np.zeros((n_points, n_points))
    D[np.triu_indices(n_points, 1)] = above
    return D + D.T


# -- what is sent -----------------------------------------------------------------------------------------------------


def test_the_payload_holds_all_that_a_checkpoint_has(session: Session) -> None:
    about, arrays = sent(session)
    analysis, ds = session.analysis, session.analysis.ds
    for name in ("epoch", "step", "seed", "accuracy"):
        np.testing.assert_array_equal(arrays[name], ds[name].values)
    for metric in ("bhattacharyya", "great_circle"):
        np.testing.assert_array_equal(arrays[f"progress {metric}"], analysis.progress(metric).values)  # type: ignore[arg-type]
    assert [about["curves"][curve]["label"] for curve in arrays["curve"]] == ds["task"].values.tolist()
    assert [about["runs"][run] for run in arrays["run"]] == ds["run"].values.tolist()
    steps = arrays["step length"].reshape(6, 5)
    np.testing.assert_allclose(steps[:, 1:].sum(axis=1), analysis.riemann_lengths()["length"])
    assert about["n_checkpoints"] == 30
    assert about["defaults"] == ExplorerState(analysis).defaults()


def test_the_payload_holds_the_distances_and_the_picture_of_everything(session: Session) -> None:
    about, arrays = sent(session)
    distances = session.analysis.distances().values
    np.testing.assert_allclose(squared(arrays["distances"], 30), distances, rtol=1e-6, atol=1e-9)
    picture = session.analysis.picture(n_components=8)
    np.testing.assert_allclose(arrays["everything"], picture["embedding"].values, rtol=1e-6)
    np.testing.assert_allclose(arrays["geodesic"], picture["geodesic"].values, rtol=1e-6)
    np.testing.assert_array_equal(about["everything"]["eigenvalues"], picture["eigenvalue"].values)
    np.testing.assert_array_equal(about["everything"]["explained_stress"], picture["explained_stress"].values)
    assert about["everything"]["fitted_on"] == 30


def test_more_distances_are_sent_in_24_bits_and_very_many_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    ds = random_trajectories(n_checkpoints=5)
    monkeypatch.setattr(session_module, "_MOST_WHOLE", 29)
    _, arrays = sent(Session(Analysis(ds)))
    assert arrays["distances"].dtype == np.uint8
    back = square_from_24(arrays["distances"], 30)
    np.testing.assert_allclose(back, Analysis(ds).distances().values, rtol=2.0**-16, atol=1e-9)
    monkeypatch.setattr(session_module, "MOST_SENT", 29)
    _, arrays = sent(Session(Analysis(ds)))
    assert "distances" not in arrays
    assert "progress bhattacharyya" in arrays
    assert "progress great_circle" not in arrays  # measured when it is asked for
    assert len(arrays["everything"]) == 30


def test_results_ahead_are_those_of_the_analysis(session: Session) -> None:
    about, _ = sent(session, ahead=True)
    results = about["ahead"]["comparison"]
    assert {tuple(result["choices"]["compared"]) for result in results} >= {("red", "green"), ("green", "red")}
    for result in results:
        choices = result["choices"]
        assert set(choices) == {"compared", "seeds", "epochs", "where", "samples", "progress_metric"}
        comparison = session.analysis.comparison(*choices["compared"])
        np.testing.assert_allclose(result["drawing"]["table"]["distance"], comparison["distance"].values)
        state = ExplorerState(session.analysis, **choices)
        assert result["drawing"]["caption"] == VIEWS["comparison"].draw(session.analysis, state).caption
    assert sent(session)[0]["ahead"] == {}


def test_everything_that_is_sent_is_json_without_nan(session: Session) -> None:
    json.dumps(session.about, allow_nan=False)
    json.dumps(session.ahead(), allow_nan=False)


def test_many_visitors_measure_once(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(Analysis(random_trajectories(n_checkpoints=3)))
    calls = []
    arrays = session._arrays

    def slowly() -> Any:
        calls.append(1)
        time.sleep(0.2)  # the others come meanwhile
        return arrays()

    monkeypatch.setattr(session, "_arrays", slowly)
    payloads: list[bytes] = []
    visitors = [threading.Thread(target=lambda: payloads.append(session.payload())) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert len(calls) == 1
    assert len(set(payloads)) == 1


def test_a_published_picture_is_sent_with_what_it_has() -> None:
    session = Session(Analysis(embedding_only()))
    about, arrays = sent(session, ahead=True)
    assert about["published"]
    assert about["ahead"] == {}
    assert "without predictions" in about["references"]
    assert "whole published set" in about["published"]
    assert [view["name"] for view in about["views"]] == ["inpca", "stress"]
    assert about["offered"]["horizontal"] == [1, 2, 3]
    assert about["offered"]["color_by"] == ["curve", "epoch"]
    assert not {"distances", "geodesic", "step length", "tube distance", "progress bhattacharyya"} & set(arrays)
    k = arrays["everything"].shape[1]
    np.testing.assert_allclose(arrays["everything"], session.analysis.ds["embedding"].values[:, :k], rtol=1e-6)


def test_of_the_axes_of_a_published_picture_all_are_sent_that_are_known() -> None:
    eigenvalues = np.array([4.0, -2.0, 1.0, 0.5, -0.25])
    ds = embedding_only().assign(spectrum=("axis", eigenvalues)).assign_attrs(eigenvalue_square_sum=25.0)
    about, _ = sent(Session(Analysis(ds)))
    assert about["everything"]["eigenvalues"] == eigenvalues.tolist()
    expected = 1 - np.sqrt(1 - np.cumsum(eigenvalues**2) / 25)
    np.testing.assert_allclose(about["everything"]["explained_stress"], expected)
    np.testing.assert_allclose(np.cumsum(about["everything"]["axis_stress"]), expected)


def test_a_dataset_of_one_checkpoint_is_sent() -> None:
    about, arrays = sent(Session(Analysis(random_trajectories(("red",), 1, 1))), ahead=True)
    assert about["everything"] is None
    assert arrays["epoch"].shape == (1,)
    [transfer] = about["ahead"].pop("transfer")
    assert transfer["drawing"]["message"].startswith("nothing says which classes")
    assert about["ahead"] == {"comparison": [], "matrix": []}


def test_a_summary_in_words() -> None:
    assert summary_of(Analysis(random_trajectories())) == "6 networks · 48 checkpoints · 30 samples · 5 classes"
    one = random_trajectories(("red",), 1, 1)
    assert summary_of(Analysis(one)) == "1 network · 1 checkpoint · 30 samples · 5 classes"


# -- questions --------------------------------------------------------------------------------------------------------


def test_a_picture_is_that_of_the_choices_and_not_of_the_state(session: Session) -> None:
    state = ExplorerState(session.analysis, tasks="blue")
    choices = {"curves": ["red", "green"], "axes_fitted_on": "shown"}
    answer = session.answer({"kind": "picture", "choices": choices}, state)
    assert answer.packed
    assert answer.content is not None
    about, arrays = unpack(answer.content)
    picture = session.analysis.picture(Selection(tasks=("red", "green")), 8)
    np.testing.assert_allclose(arrays["embedding"], picture["embedding"].values, rtol=1e-6)
    assert about["fitted_on"] == 20
    assert state.settings() == {"curves": ["blue"]}
    of_everything = session.answer({"kind": "picture", "choices": {"curves": ["red"]}}, state).content
    assert of_everything is not None
    about, arrays = unpack(of_everything)
    assert about["fitted_on"] == 30
    np.testing.assert_allclose(
        arrays["embedding"], session.analysis.picture(n_components=8)["embedding"].values[:10], rtol=1e-6
    )


def test_a_view_is_drawn_for_the_choices(session: Session) -> None:
    request = {"kind": "view", "view": "comparison", "choices": {"compared": ["blue", "red"], "seeds": [0]}}
    answer = session.answer(request, ExplorerState(session.analysis)).plain
    comparison = session.analysis.comparison("blue", "red", Selection(seeds=(0,)))
    np.testing.assert_allclose(answer["table"]["distance"], comparison["distance"].values)
    assert answer["message"] == ""
    json.dumps(answer, allow_nan=False)
    nothing = session.answer(request | {"choices": {"compared": ["red", "red"]}}, ExplorerState(session.analysis)).plain
    assert nothing["figure"] is None
    assert nothing["message"]


def test_a_quantity_is_measured_when_it_is_asked_for(session: Session) -> None:
    request = {"kind": "quantity", "name": "progress great_circle"}
    content = session.answer(request, ExplorerState(session.analysis)).content
    assert content is not None
    _, arrays = unpack(content)
    np.testing.assert_array_equal(arrays["progress great_circle"], session.analysis.progress("great_circle").values)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "load it again"),
        ({"kind": "shell"}, "load it again"),
        ({"kind": ["view"]}, "load it again"),
        ({"kind": "view", "view": "nothing"}, "load it again"),
        ({"kind": "view", "view": {"a": 1}}, "load it again"),
        ({"kind": "quantity", "name": "__class__"}, "checkpoints have no '__class__'"),
        ({"kind": "quantity", "name": ["epoch"]}, "checkpoints have no"),
        ({"kind": "quantity", "name": "x" * 10**6}, "checkpoints have no 'x{80}'$"),
        ({"kind": "picture", "choices": {"curves": []}}, "no curve is chosen"),
        ({"kind": "picture", "choices": {"epochs": [0.1, 0.2]}}, "no checkpoint is chosen between"),
        ({"kind": "picture", "choices": "curves"}, "choices must be given by their names"),
        ({"kind": "picture", "choices": [1]}, "choices must be given by their names"),
        ({"kind": "picture", "choices": {"curves": ["red"], "seeds": [0], "epochs": [0, 0], "axes_fitted_on": "shown"}},
         "only one checkpoint"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_a_value_error(session: Session, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        session.answer(request_, ExplorerState(session.analysis))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CHOICES = st.dictionaries(
    st.sampled_from(["curves", "seeds", "epochs", "axes_fitted_on", "frozen", "compared", "time", "selected"]), JSON
)


@given(
    st.fixed_dictionaries({
        "kind": st.sampled_from(["view", "picture", "quantity"]) | JSON,
        "view": st.sampled_from(list(VIEWS)) | JSON,
        "name": JSON,
        "choices": CHOICES | JSON,
    })
)  # fmt: skip
def test_whatever_is_asked_is_answered_or_a_value_error(request_: dict[str, Any]) -> None:
    state = ExplorerState(SMALL.analysis)
    try:
        answer = SMALL.answer(request_, state)
    except ValueError:
        return
    assert (answer.content is None) != (answer.plain is None)
    assert state.settings() == {}


SMALL = Session(Analysis(random_trajectories(n_seeds=1, n_checkpoints=2, n_samples=3)))


# -- plain ------------------------------------------------------------------------------------------------------------


@given(JSON)
def test_plain_values_are_json_and_stay_what_they_are(value: Any) -> None:
    plain = as_plain(value)
    text = json.dumps(plain, allow_nan=False)
    assert as_plain(json.loads(text)) == plain
    if "NaN" not in json.dumps(value) and "Infinity" not in json.dumps(value):
        assert plain == value


def test_numpy_becomes_plain() -> None:
    values = {"a": np.float32(0.5), "b": np.array([[1, 2]]), "c": (np.bool_(True), np.inf), 1: np.str_("x")}
    plain = as_plain(values)
    assert plain == {"a": 0.5, "b": [[1, 2]], "c": [True, None], "1": "x"}
    assert type(plain["c"][0]) is bool
    assert type(plain["b"][0][0]) is int


def test_names_are_sent_plain_for_figures_and_as_they_are_for_the_page() -> None:
    name = "<b>bold</b>"
    ds: xr.Dataset = random_trajectories((name,), n_checkpoints=2)
    [curve] = Session(Analysis(ds)).about["curves"]
    assert curve["label"] == curve["task"] == name
    assert curve["name"] == curve["short"] == "&lt;b&gt;bold&lt;/b&gt;"
