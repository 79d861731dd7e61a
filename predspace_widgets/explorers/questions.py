"""Answers to the pages of all visitors: each is worked out once, a few at a time, and everybody has a turn."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from predspace_widgets.explorers.hosting import answer_to
from predspace_widgets.explorers.session import Session

# More threads than cores: a short question goes on beside long ones.
_MOST = 2 * (os.cpu_count() or 1) + 2
_MOST_OF_ONE = 2  # of them for one visitor
_MOST_BYTES = 2**26  # of the answers to a dataset's questions that are held
# What is the same for everybody who asks the same, as long as the dataset is.
_KEPT = ("view", "picture", "quantity", "samples", "error bars")
# What all visitors want of a dataset at first, and wait for: none of them uses up his turn.
_WANTED_BY_ALL = ("ahead",)
# What is asked for every second and never waits for a computation.
_AT_ONCE = ("news",)
_LARGE = 2**17  # bytes of an answer that is sent compressed


class Turns:
    """Lets in so many at a time; who waits is let in one visitor after the other.

    It belongs to one event loop.

    Parameters
    ----------
    most : int
        Of all visitors together.
    each : int
        Of one visitor.

    Examples
    --------
    >>> async def ask() -> str:
    ...     async with Turns().of("somebody"):
    ...         return "answered"
    >>> asyncio.run(ask())
    'answered'
    """

    def __init__(self, most: int = _MOST, each: int = _MOST_OF_ONE) -> None:
        self.most, self.each = most, each
        self._inside: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def of(self, visitor: Hashable) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(visitor, deque()).append(turn)
        self._let_in()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._inside[visitor] -= 1
                self._inside += Counter()  # nobody who left is remembered
                if visitor in self._waiting:  # who has just had a turn comes after the others
                    self._waiting.move_to_end(visitor)
            self._let_in()

    def _let_in(self) -> None:
        for visitor in list(self._waiting):
            if self._inside.total() >= self.most:
                return
            turns = self._waiting[visitor]
            while turns and turns[0].done():  # who waited has given up
                turns.popleft()
            if turns and self._inside[visitor] < self.each:
                self._inside[visitor] += 1
                turns.popleft().set_result(None)
                self._waiting.move_to_end(visitor)
            if not turns:
                del self._waiting[visitor]


@dataclass(frozen=True)
class Reply:
    """An answer as it is sent.

    Attributes
    ----------
    kind : str
        JSON, which says what `content` is.
    content : bytes
    content_type : str
    is_error : bool
    """

    kind: str
    content: bytes
    content_type: str = "application/octet-stream"
    is_error: bool = False

    @cached_property
    def compressed(self) -> bytes | None:
        """Its content through gzip, once for all who get it; None where that saves little."""
        is_large = self.content_type == "application/json" and len(self.content) > _LARGE
        return gzip.compress(self.content, 5) if is_large else None


class Desk:
    """Where the pages of one dataset ask. All of it but the work itself happens on the server's event loop.

    Parameters
    ----------
    session : Session
    turns : Turns
        Shared by all datasets of a server.
    threads : ThreadPoolExecutor
        With a thread for each turn.
    """

    def __init__(self, session: Session, turns: Turns, threads: ThreadPoolExecutor) -> None:
        self.session = session
        self._turns, self._threads = turns, threads
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}  # what is being worked out
        self._replies: OrderedDict[Hashable, Reply] = OrderedDict()
        self._n_bytes = 0

    async def payload(self) -> bytes:
        """What a stage is sent first."""
        content: bytes = await self._once("payload", lambda: asyncio.to_thread(self.session.payload))
        return content

    async def reply(self, body: bytes, visitor: Hashable) -> Reply:
        """The reply to a question.

        Parameters
        ----------
        body : bytes
            The question as JSON. It is not trusted; see `Session.answer`.
        visitor : hashable
            Who asks.

        Raises
        ------
        ValueError, RecursionError
            It is no JSON.
        """
        question = json.loads(body)
        kind = question.get("kind") if isinstance(question, dict) else None
        if kind in _AT_ONCE:
            return await asyncio.to_thread(_reply_to, question, self.session)
        if kind not in (*_KEPT, *_WANTED_BY_ALL):
            return await self._worked_out(question, visitor)
        key = (*self.session.age, body)  # of which checkpoints it is asked
        known = self._replies.get(key)
        if known is not None:
            self._replies.move_to_end(key)
            return known
        if kind in _WANTED_BY_ALL:
            reply: Reply = await self._once(key, lambda: asyncio.to_thread(_reply_to, question, self.session))
        else:
            reply = await self._once(key, lambda: self._worked_out(question, visitor))
        if not reply.is_error and key[:2] == self.session.age:  # else something came meanwhile
            self._keep(key, reply)
        return reply

    async def _worked_out(self, question: Any, visitor: Hashable) -> Reply:
        async with self._turns.of(visitor):
            work = asyncio.get_running_loop().run_in_executor(self._threads, _reply_to, question, self.session)
            return await asyncio.shield(work)

    async def _once(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """What all who ask for it at the same time share; it goes on if some of them leave."""
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(task)

    def _keep(self, key: Hashable, reply: Reply) -> None:
        if key in self._replies:
            return
        self._replies[key] = reply
        self._n_bytes += len(reply.content)
        while self._n_bytes > _MOST_BYTES and len(self._replies) > 1:
            self._n_bytes -= len(self._replies.popitem(last=False)[1].content)


def desks(sessions: dict[str, Session]) -> dict[str, Desk]:
    """A desk for each dataset, all of which share the threads of a server."""
    turns = Turns()
    threads = ThreadPoolExecutor(turns.most, thread_name_prefix="answering")
    return {name: Desk(session, turns, threads) for name, session in sessions.items()}


def _reply_to(question: Any, session: Session) -> Reply:
    message, content = answer_to(question, session)
    plain = message.pop("answer", None)
    kind = json.dumps(message)
    if content is not None:
        return Reply(kind, content)
    reply = Reply(kind, json.dumps(plain).encode(), "application/json", "error" in message)
    _ = reply.compressed  # here, in a thread
    return reply
