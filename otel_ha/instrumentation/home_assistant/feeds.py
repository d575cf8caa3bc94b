"""Feeds: connections to Home Assistant whose frames a program receives itself.

An event is received, and active, when receive() returns its frame. It ends when the program asks for the next frame, or
closes the connection: as an error if it handles an exception by then that was raised meanwhile, as it does when
`async with` is left by one. It also ends with the task: by its exception, or cancelled. If the connection is garbage
before that, nobody knows: the event is cancelled.

So the account adds up whatever the program does, and it is measured what happens until the next receive(). The handling
of an event by other code is not: of a program that puts frames into a queue, or asks for the next frame before it
handles one, only that shows. An exception that the program catches before it asks for the next frame is its own affair.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from otel_ha.instrumentation.home_assistant.frames import SOURCE, Frame, events_in, head_of, size_of
from otel_ha.instrumentation.home_assistant.links import Link, attempt
from otel_ha.instrumentation.home_assistant.turns import Turn
from otel_ha.instrumentation.patches import quietly
from otel_ha.instrumentation.watching import Connections, Silence
from otel_ha.vocabulary import ingest

__all__ = ["SILENCE", "Feed", "Feeds", "feed_of", "forget_feed", "known_feed"]

SILENCE = Silence(SOURCE)
"""The age of the last event, of whichever client."""
_users: set[Feeds] = set()
_BYTES = ingest.DATA_RECEIVED.bind(source=SOURCE, type="frame")
_FEED = "_otel_ha_feed"


class Feeds:
    """The connections to Home Assistant of one library.

    `opens_turns` is False for a library that calls the program's functions, which are measured instead.
    """

    def __init__(self, *, opens_turns: bool = True) -> None:
        self.opens_turns = opens_turns
        self.left: list[Feed] = []
        """Feeds whose connection is garbage, while the task that has the last frame goes on."""
        self._connections = Connections(SOURCE)
        self._feeds: weakref.WeakSet[Feed] = weakref.WeakSet()

    @contextmanager
    def attempt(self, address: str) -> Iterator[None]:
        """Note that the program connects, in a block."""
        self._begin()
        with attempt(self._connections, address):
            yield

    def add(self, connection: Any, address: str) -> Feed:
        """Return the feed of a connection that was not seen before."""
        self._begin()
        feed = Feed(self, connection, Link(self._connections, connection, address))
        self._feeds.add(feed)
        weakref.finalize(connection, feed.gone).atexit = False
        return feed

    def end(self) -> None:
        """Forget every connection: the library is not instrumented any more."""
        for feed in [*self._feeds, *self.left]:
            feed.forget()
        self.left.clear()
        self._connections.end()
        _users.discard(self)
        if not _users:
            SILENCE.end()

    def _begin(self) -> None:
        _users.add(self)
        SILENCE.begin()


class Feed:
    """The frames of one connection, and the turn of the program that handles the last one."""

    def __init__(self, feeds: Feeds, connection: Any, link: Link) -> None:
        self.link = link
        self.receiver: Any = None
        """The task that waits in receive(), where the library tells no other way who closes a connection."""
        self._feeds = feeds
        self._connection = weakref.ref(connection)
        self._is_forgotten = False
        self._turn: Turn | None = None
        self._asker: Callable[[], Any] = lambda: None
        """The task or thread that asked for the last frame, unless it is garbage."""
        self._watched: Callable[[], Any] = lambda: None

    def asks(self, asker: Any) -> None:
        """Note that a task or thread asks for the next frame."""
        self._end_turn()
        if self._asker() is not asker:
            self._asker = _reference(asker)
        for feed in tuple(self._feeds.left):
            feed.is_left_by(asker)

    def takes(self, frame: Frame) -> None:
        """Note a frame that the program takes."""
        if self._is_forgotten:  # meanwhile, while receive() waited
            return
        _BYTES.add(size_of(frame))
        if not self.link.is_judged:
            self.link.judge(head_of(frame))
        if self._feeds.opens_turns and (events := events_in(frame)):
            SILENCE.broken()
            self._end_turn()
            self._turn = Turn(events)
            self._watch(self._asker())

    def closes(self, closer: Any) -> None:
        """Note that a task or thread is about to close the connection; another one may still handle the last frame."""
        asker = self._asker()
        if asker is None or asker is closer or _is_over(asker):
            self._end_turn()
        self.link.end(None, by_program=True)

    def gone(self) -> None:
        """Note that the connection is garbage; the end of the task that has the last frame may tell more."""
        quietly(self.link.settle)
        if self._turn is None:
            return
        if (asker := self._asker()) is None or asker is not self._watched() or _is_over(asker):
            self._end_turn_by(GeneratorExit())
        else:
            self._feeds.left.append(self)

    def is_left_by(self, asker: Any) -> None:
        """Note that a task asks for a frame of another connection, after this one was garbage."""
        if self._asker() in {asker, None}:
            self._end_turn_by(GeneratorExit())

    def forget(self) -> None:
        """End the turn without its outcome, and look at the connection as new if it is seen again."""
        self._is_forgotten = True
        self.link.forget()
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.discard("uninstrumented")
        if (connection := self._connection()) is not None:
            forget_feed(connection)

    def _watch(self, task: Any) -> None:
        """End the turn with its task. A thread cannot be watched."""
        if task is not self._watched() and hasattr(task, "add_done_callback"):
            self._watched = weakref.ref(task)
            task.add_done_callback(self._task_ended)

    def _task_ended(self, task: Any) -> None:
        if self._turn is None or self._asker() is not task:
            return
        if task.cancelled():
            self._end_turn_by(_cancelled())
        # By exception(), the loop would not log it any more.
        elif (error := getattr(task, "_exception", None)) is not None:
            self._end_turn_by(error)
        elif task.result() is None:
            self._end_turn_by(None)
        # Otherwise it has handed the frame to the task that waits for it, as in asyncio.wait_for(receive()).

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()

    def _end_turn_by(self, error: BaseException | None) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end_by(error)
        if self in self._feeds.left:
            self._feeds.left.remove(self)


def feed_of(connection: Any, first: Callable[[Any], Feed | None]) -> Feed | None:
    """Return the feed of a connection; None if it has none. `first` finds it when the connection is first seen."""
    attributes = vars(connection)
    feed: Feed | None
    try:
        feed = attributes[_FEED]
    except KeyError:
        feed = attributes[_FEED] = quietly(first, connection)
    return feed


def known_feed(connection: Any) -> Feed | None:
    """Return the feed of a connection that was seen before."""
    feed: Feed | None = vars(connection).get(_FEED)
    return feed


def forget_feed(connection: Any) -> None:
    """Look at a connection as new when it is seen again."""
    vars(connection).pop(_FEED, None)


def _reference(asker: Any) -> Callable[[], Any]:
    return weakref.ref(asker) if asker is not None else lambda: None


def _is_over(asker: Any) -> bool:
    """Whether a task or thread has ended."""
    return bool(asker.done()) if hasattr(asker, "done") else not asker.is_alive()


def _cancelled() -> BaseException:
    import asyncio  # noqa: PLC0415 - a program without tasks need not load it

    return asyncio.CancelledError()
