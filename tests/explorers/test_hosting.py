"""Choices and questions of a stage: the newest only, errors are answers, and nothing that comes in raises."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.hosting import Answers
from predspace_widgets.explorers.session import Answer, Session
from predspace_widgets.explorers.stage.packing import unpack
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories
from tests.explorers.test_session import JSON

SESSION = Session(Analysis(random_trajectories(n_seeds=1, n_checkpoints=2, n_samples=3)))
KINDS = st.sampled_from(["payload", "view", "picture", "quantity", "error bars", "ahead"]) | JSON


def answers_to(*requests: Any, answers: Answers | None = None) -> list[tuple[dict[str, Any], bytes | None]]:
    """What is sent when these are asked, one after the other."""
    answers = answers or Answers(SESSION, ExplorerState(SESSION.analysis))
    told: list[tuple[dict[str, Any], bytes | None]] = []
    for request in requests:
        answers.answer(request, lambda message, content: told.append((message, content)))
    return told


# -- choices ----------------------------------------------------------------------------------------------------------


def test_what_is_told_are_the_settings_and_what_is_selected() -> None:
    state = ExplorerState(SESSION.analysis, dimensions="2-D")
    answers = Answers(SESSION, state)
    assert answers.settings() == {"dimensions": "2-D"}
    state.selected, state.sample = [1], 0
    assert answers.settings() == {"dimensions": "2-D", "selected": [1], "sample": 0}


def test_what_is_not_told_is_the_first_choice_again() -> None:
    state = ExplorerState(SESSION.analysis, dimensions="2-D", tasks="red", selected=[1])
    answers = Answers(SESSION, state)
    answers.choose({"color_by": "epoch"})
    assert answers.settings() == {"color_by": "epoch"}
    answers.choose({})
    assert answers.settings() == {}


def test_what_is_chosen_already_sets_nothing() -> None:
    """Or two stages would tell each other for ever."""
    state = ExplorerState(SESSION.analysis, dimensions="2-D")
    heard: list[Any] = []
    state.param.watch(heard.append, list(state.choices()))
    Answers(SESSION, state).choose({"dimensions": "2-D"})
    assert heard == []


@given(st.dictionaries(st.sampled_from(["curves", "epochs", "frozen", "camera", "zebra", "time"]), JSON) | JSON)
def test_no_choice_that_comes_in_raises(settings: Any) -> None:
    state = ExplorerState(SESSION.analysis)
    Answers(SESSION, state).choose(settings)
    assert ExplorerState(SESSION.analysis, **state.settings()).choices() == state.choices()


# -- questions --------------------------------------------------------------------------------------------------------


def test_answers_carry_the_number_of_their_question_and_the_stage_that_asked() -> None:
    [(packed, picture), (plain, nothing), (whole, payload)] = answers_to(
        {"number": 3, "stage": "a", "kind": "picture", "choices": {}},
        {"number": 4, "kind": "view", "view": "comparison", "choices": {}},
        {"number": 5, "kind": "payload"},
    )
    assert packed == {"packed": True, "bytes": False, "number": 3, "stage": "a"}
    assert picture is not None
    assert unpack(picture)[1]["embedding"].shape[0] == 6
    assert (plain["number"], nothing) == (4, None)
    assert plain["answer"]["figure"]["data"]
    assert (whole, payload) == ({"bytes": True, "number": 5, "stage": ""}, SESSION.payload())


def test_plotly_and_the_whole_page_can_be_asked_for() -> None:
    [(_, plotly), (_, page)] = answers_to(
        {"number": 1, "kind": "plotly"},
        {"number": 2, "kind": "save", "choices": {"curves": ["red"], "zebra": 1, "dimensions": "9-D"}},
    )
    assert plotly is not None
    assert b"plotly.js" in gzip.decompress(plotly)[:200]
    assert page is not None
    assert '<script type="application/json" id="predspace-choices">{"curves": ["red"]}</script>' in page.decode()


def test_an_error_is_an_answer_too() -> None:
    [(message, content)] = answers_to({"number": 8, "kind": "picture", "choices": {"curves": []}})
    assert message == {"error": "no curve is chosen: choose at least one", "number": 8, "stage": ""}
    assert content is None


def test_a_defect_is_an_answer_and_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SESSION, "answer", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR):
        [(message, _)] = answers_to({"number": 1, "kind": "picture"})
    assert "ZeroDivisionError" in message["error"]
    assert "a question of the stage failed" in caplog.text


class Slow(Session):
    """Answers views when it is told to, and says which choices it has begun with."""

    def __init__(self) -> None:
        super().__init__(SESSION.analysis)
        self.begun: list[Any] = []
        self.busy, self.go_on = threading.Event(), threading.Event()

    def answer(self, request: Any, state: ExplorerState) -> Answer:
        self.begun.append(request["choices"])
        self.busy.set()
        assert self.go_on.wait(20)
        return Answer(plain=request["choices"])


def test_only_the_newest_of_the_questions_that_wait_is_answered() -> None:
    session = Slow()
    answers = Answers(session, ExplorerState(session.analysis))
    told: list[Any] = []
    asked = []

    def ask(number: int, view: str, stage: str = "a") -> None:
        request = {"number": number, "stage": stage, "kind": "view", "view": view, "choices": number}
        thread = threading.Thread(target=answers.answer, args=(request, lambda message, _: told.append(message)))
        thread.start()
        asked.append(thread)

    ask(1, "comparison")
    assert session.busy.wait(20)
    for number in (2, 3, 4):
        ask(number, "comparison")
    ask(5, "matrix")  # of another kind: it is not older than itself
    ask(1, "comparison", "b")  # another stage of the same explorer, such as its second view in JupyterLab
    newest = {("a", "view", "comparison"): 4, ("a", "view", "matrix"): 5, ("b", "view", "comparison"): 1}
    for _ in range(1000):
        if answers._newest == newest:
            break
        threading.Event().wait(0.01)
    session.go_on.set()
    for thread in asked:
        thread.join()
    assert sorted((message["stage"], message["number"]) for message in told) == [("a", 1), ("a", 4), ("a", 5), ("b", 1)]
    assert sorted(session.begun) == [1, 1, 4, 5]  # 2 and 3 were never begun


def test_error_bars_hold_up_no_other_question() -> None:
    session = Slow()
    answers = Answers(session, ExplorerState(session.analysis))
    told: list[Any] = []
    request = {"number": 1, "kind": "error bars", "choices": 1}
    slow = threading.Thread(target=answers.answer, args=(request, lambda message, _: told.append(message)))
    slow.start()
    assert session.busy.wait(20)
    session.answer = lambda request, state: Answer(plain="at once")  # type: ignore[method-assign]
    other = threading.Thread(
        target=answers.answer,
        args=({"number": 2, "kind": "view", "view": "matrix"}, lambda message, _: told.append(message)),
    )
    other.start()
    other.join(20)
    assert [message["number"] for message in told] == [2]
    session.go_on.set()
    slow.join()
    other.join()
    assert [message["number"] for message in told] == [2, 1]


@pytest.mark.parametrize(
    "request_", [None, 1, "payload", [], {}, {"kind": "payload"}, {"number": "1", "kind": "payload"}]
)
def test_what_has_no_number_is_not_answered(request_: Any) -> None:
    assert answers_to(request_) == []


@given(st.fixed_dictionaries({"number": st.integers(1), "kind": KINDS, "view": JSON, "name": JSON, "choices": JSON}))
def test_no_question_that_comes_in_raises(request_: dict[str, Any]) -> None:
    [(message, content)] = answers_to(request_)
    assert message["number"] == request_["number"]
    json.dumps(message, allow_nan=False)
    assert content is None or message["bytes"] or message["packed"]
