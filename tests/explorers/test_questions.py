"""Many visitors at one desk: the same is worked out once, nobody waits for another one's slow or failing work."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from predspace_widgets.analysis import Analysis
from predspace_widgets.explorers.explorer import Explorer
from predspace_widgets.explorers.news import Arrived
from predspace_widgets.explorers.questions import Desk, Reply, Turns
from predspace_widgets.explorers.session import Answer, Session
from predspace_widgets.explorers.state import ExplorerState
from predspace_widgets.trajectories.testing import random_trajectories

ANALYSIS = Analysis(random_trajectories(n_seeds=1, n_checkpoints=3, n_samples=4))
PATIENCE = 60


def asked(**question: Any) -> bytes:
    return json.dumps(question).encode()


SLOW, QUICK, BROKEN = (asked(kind="view", view=name) for name in ("slow", "quick", "broken"))


class Scripted(Session):
    """Answers by what is asked: at once, when it is let go, or with an error of its own."""

    def __init__(self) -> None:
        super().__init__(ANALYSIS)
        self.go_on = threading.Event()
        self.begun: list[str] = []

    def answer(self, request: Any, state: ExplorerState | None = None) -> Answer:
        name = str(request.get("view"))
        self.begun.append(name)
        if name == "slow" or request["kind"] == "ahead":
            assert self.go_on.wait(PATIENCE)
        if name == "broken":
            raise ZeroDivisionError("of one visitor")
        return Answer(plain=name)


def at_desk(session: Session, act: Callable[[Desk], Awaitable[Any]], most: int = 3, each: int = 2) -> Any:
    """What some visitors do at a desk, with an end to it."""

    async def with_desk() -> Any:
        with ThreadPoolExecutor(most) as threads:
            try:
                return await asyncio.wait_for(act(Desk(session, Turns(most, each), threads)), PATIENCE)
            finally:
                if isinstance(session, Scripted):
                    session.go_on.set()

    return asyncio.run(with_desk())


# -- turns ------------------------------------------------------------------------------------------------------------


def order_of(turns: Turns, visitors: str, leaving: tuple[int, ...] = ()) -> str:
    """In which order visitors, a letter each, are let in, who all come before the first of them leaves."""
    inside: list[str] = []

    async def visit(visitor: str) -> None:
        async with turns.of(visitor):
            inside.append(visitor)
            await asyncio.sleep(0.001)

    async def all_of_them() -> None:
        tasks = [asyncio.ensure_future(visit(visitor)) for visitor in visitors]
        await asyncio.sleep(0)
        for place in leaving:
            tasks[place].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(all_of_them())
    return "".join(inside)


def test_visitors_take_turns() -> None:
    assert order_of(Turns(1, 1), "aaaabbc") == "abcabaa"


def test_one_visitor_does_not_take_all_places() -> None:
    assert order_of(Turns(3, 2), "aaaab")[:3] == "aab"


@pytest.mark.parametrize("leaving", [(0,), (1, 2), (0, 1, 2, 3, 4)])
def test_whoever_gives_up_leaves_no_trace(leaving: tuple[int, ...]) -> None:
    turns = Turns(1, 1)
    order_of(turns, "aabbc", leaving)
    assert not turns._waiting
    assert not turns._inside
    assert order_of(turns, "ab") == "ab"


# -- a desk -----------------------------------------------------------------------------------------------------------


def test_slow_work_of_one_visitor_holds_nobody_up() -> None:
    session = Scripted()

    async def act(desk: Desk) -> Reply:
        # Different questions, so that none is the answer to another.
        busy = [
            asyncio.ensure_future(desk.reply(asked(kind="view", view="slow", choices={"n": n}), "slow one"))
            for n in range(20)
        ]
        reply = await desk.reply(QUICK, "another")
        assert not any(task.done() for task in busy)
        session.go_on.set()
        await asyncio.gather(*busy)
        assert session.begun.count("slow") == 20
        return reply

    assert json.loads(at_desk(session, act).content) == "quick"


def test_what_all_wait_for_takes_nobodys_turn() -> None:
    session = Scripted()

    async def act(desk: Desk) -> Reply:
        waiting = [asyncio.ensure_future(desk.reply(asked(kind="ahead"), number)) for number in range(50)]
        await asyncio.sleep(0)
        reply = await desk.reply(QUICK, 0)
        assert not any(task.done() for task in waiting)
        session.go_on.set()
        await asyncio.gather(*waiting)
        assert session.begun == ["None", "quick"]
        return reply

    assert json.loads(at_desk(session, act).content) == "quick"


def test_what_many_ask_is_worked_out_once() -> None:
    session = Scripted()

    async def act(desk: Desk) -> list[Reply]:
        waiting = [asyncio.ensure_future(desk.reply(SLOW, number)) for number in range(40)]
        await asyncio.sleep(0.01)
        session.go_on.set()
        return [*await asyncio.gather(*waiting), await desk.reply(SLOW, 41)]

    assert len({id(reply) for reply in at_desk(session, act)}) == 1
    assert session.begun == ["slow"]


def test_who_leaves_takes_the_answer_from_nobody() -> None:
    session = Scripted()

    async def act(desk: Desk) -> Reply:
        first, second = (asyncio.ensure_future(desk.reply(SLOW, number)) for number in (1, 2))
        await asyncio.sleep(0.01)
        first.cancel()
        session.go_on.set()
        return await second

    assert json.loads(at_desk(session, act).content) == "slow"
    assert session.begun == ["slow"]


def test_an_error_is_of_one_question_alone_and_not_kept(caplog: pytest.LogCaptureFixture) -> None:
    session = Scripted()

    async def act(desk: Desk) -> list[Reply]:
        with caplog.at_level(logging.ERROR):
            return list(await asyncio.gather(*(desk.reply(one, 1) for one in (BROKEN, QUICK)), desk.reply(BROKEN, 2)))

    broken, quick, _ = at_desk(session, act)
    assert "ZeroDivisionError" in json.loads(broken.kind)["error"]
    assert json.loads(quick.content) == "quick"
    at_desk(session, act)
    assert session.begun.count("broken") == 2


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        at_desk(Scripted(), lambda desk: desk.reply(body, 1))


def test_answers_to_a_dataset_that_has_grown_are_others() -> None:
    """A curve that has come is refused in words; before it was none, and the first ones were compared."""
    session = Session(Analysis(random_trajectories(n_seeds=1, n_checkpoints=3, n_samples=4)))
    question = asked(kind="view", view="comparison", choices={"compared": ["red", "mauve"]})
    probs = session.analysis.ds["probs"].values[:1]
    news = session.follow()

    async def act(desk: Desk) -> list[Reply]:
        before = await desk.reply(question, 1)
        news.add(Arrived(probs, ["mauve/supervised/0"], ["mauve"], ["supervised"], [0], [0.5], [1]))
        return [before, await desk.reply(question, 1)]

    before, after = at_desk(session, act)
    assert not before.is_error
    assert "is new: fit the axes anew" in json.loads(after.kind)["error"]


def test_answers_are_those_of_the_session() -> None:
    session = Session(ANALYSIS)
    choices = {"compared": ["blue", "green"]}
    reply = at_desk(session, lambda desk: desk.reply(asked(kind="view", view="comparison", choices=choices), 1))
    expected = Analysis(ANALYSIS.ds).comparison("blue", "green")["distance"].values
    np.testing.assert_allclose(json.loads(reply.content)["table"]["distance"], expected)


def test_only_so_much_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("predspace_widgets.explorers.questions._MOST_BYTES", 20)
    session = Scripted()

    async def act(desk: Desk) -> int:
        for number in range(30):
            await desk.reply(asked(kind="view", view="quick", choices={"n": number}), 1)
        assert desk._n_bytes == sum(len(reply.content) for reply in desk._replies.values()) <= 20
        assert not desk._asked
        return len(desk._replies)

    assert 1 <= at_desk(session, act) <= 3


# -- who is gone ------------------------------------------------------------------------------------------------------


def test_a_component_whose_page_is_closed_is_freed() -> None:
    """Though the session that it shared with others goes on, and is followed."""
    session = Session(ANALYSIS)
    session.follow()
    component = Explorer(random_trajectories(n_checkpoints=3)).panel()
    component._answers._session = session
    component._answers.follow(component._answers._grow)
    gone = weakref.ref(component)
    del component
    gc.collect()
    assert gone() is None
    assert session.news is not None
    session.news.listeners.tell()
    assert session.news.listeners._methods == session.on_follow._methods == []


def test_a_page_that_fails_keeps_no_other_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    session = Session(ANALYSIS)

    class Page:
        told = 0

        def hears(self) -> None:
            self.told += 1

        def fails(self) -> None:
            raise ZeroDivisionError

    page = Page()
    session.on_follow.add(page.fails)
    session.on_follow.add(page.hears)
    session.follow()
    assert page.told == 1
    assert "could not be told" in caplog.text
