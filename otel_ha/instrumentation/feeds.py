"""Feeds: connections to Home Assistant whose frames a program receives itself.

An event is received, and active, when receive() returns its frame. It ends when the program asks for the next frame, or
closes the connection: as an error if it handles an exception by then that was raised meanwhile, as with `async with`.
It also ends with the task: by its exception, or cancelled. If the connection is garbage before, nobody knows: the event
is cancelled.

So the account adds up whatever the program does, but it measures what happens until the next receive(). A program that
only puts frames into a queue, or has asked for the next frame already, is measured until then; one that catches an
exception and goes on has handled its event.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from otel_ha.instrumentation.frames import SOURCE, Frame, events_in, head_of, size_of
from otel_ha.instrumentation.turns import Turn
from otel_ha.instrumentation.watching import Connections, Silence
from otel_ha.vocabulary import ingest

__all__ = ["SILENCE", "Feed", "Feeds", "feed_of", "known_feed"]

_logger = logging.getLogger("otel_ha")

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
        self.connections = Connections(SOURCE)
        self.left: list[Feed] = []
        """Feeds whose connection is garbage, while the task that had the last frame goes on."""
        self._feeds: weakref.WeakSet[Feed] = weakref.WeakSet()

    @contextmanager
    def attempt(self, address: str) -> Iterator[None]:
        """Note that the program connects, in a block."""
        self._begin()
        self.connections.attempt(address)
        try:
            yield
        except BaseException:
            self.connections.failed(address)
            raise

    def add(self, connection: Any, address: str) -> Feed:
        """Return the feed of a connection that was not seen before."""
        self._begin()
        feed = Feed(self, connection, address)
        self._feeds.add(feed)
        weakref.finalize(connection, feed.gone).atexit = False
        return feed

    def end(self) -> None:
        """Forget every connection: the library is not instrumented any more."""
        for feed in [*self._feeds, *self.left]:
            feed.forget()
        self.left.clear()
        self.connections.end()
        _users.discard(self)
        if not _users:
            SILENCE.end()

    def _begin(self) -> None:
        _users.add(self)
        SILENCE.begin()


class Feed:
    """The frames of one connection, and the turn of the program that handles the last one."""

    def __init__(self, feeds: Feeds, connection: Any, address: str) -> None:
        self.address = address
        self.receiver: Any = None
        """The task that waits in receive(), where the library tells no other way who closes a connection."""
        self._feeds = feeds
        self._connection = weakref.ref(connection)
        self._is_forgotten = False
        """Whether the library is not instrumented any more, while receive() of a program still waits."""
        self._is_known = False
        """Whether it was up or is over, so that frames say nothing more about that."""
        self._was_refused = False
        self._turn: Turn | None = None
        self._asker: Callable[[], Any] = lambda: None
        """The task or thread that asked for the last frame, unless it is garbage."""
        self._watched: Callable[[], Any] = lambda: None

    def asks(self, asker: Any) -> None:
        """Note that a task or thread asks for the next frame."""
        self._end_turn()
        if self._asker() is not asker:
            self._asker = weakref.ref(asker)
        for feed in tuple(self._feeds.left):
            feed.left_by(asker)

    def takes(self, frame: Frame) -> None:
        """Note a frame that the program takes; never raises."""
        if self._is_forgotten:
            return
        try:
            _BYTES.add(size_of(frame))
            if not self._is_known:
                self._look_at(head_of(frame))
            if self._feeds.opens_turns and (events := events_in(frame)):
                SILENCE.broken()
                self._end_turn()
                self._turn = Turn(events)
                self._watch(self._asker())
        except Exception:
            _logger.debug("A frame cannot be measured", exc_info=True)

    def closes(self, closer: Any) -> None:
        """Note that a task or thread is about to close the connection; another one may still handle the last frame."""
        asker = self._asker()
        if asker is None or asker is closer or _is_over(asker):
            self._end_turn()

    def is_down(self, code: int | None, *, by_program: bool = False) -> None:
        """Note that the connection has ended, with a close code; may be repeated."""
        if self._is_forgotten or (connection := self._connection()) is None:
            return
        reason = "auth_invalid" if self._was_refused else "stopped" if by_program else str(code or 1006)
        was_known, self._is_known = self._is_known, True
        connections = self._feeds.connections
        lost = self._was_refused or not by_program
        if not connections.down(connection, self.address, reason, lost=lost) and not was_known:
            if lost:
                connections.failed(self.address)
            ingest.CONNECTIONS_CLOSED.add(1, kind=SOURCE, reason=reason)

    def gone(self) -> None:
        """Note that the connection is garbage; the end of the task that had the last frame may tell more."""
        if self._turn is None:
            return
        if (asker := self._asker()) is None or asker is not self._watched() or _is_over(asker):
            self._end_turn_by(GeneratorExit())
        else:
            self._feeds.left.append(self)

    def left_by(self, asker: Any) -> None:
        """Note that a task asks for a frame of another connection, after this one was garbage."""
        if self._asker() in {asker, None}:
            self._end_turn_by(GeneratorExit())

    def forget(self) -> None:
        """End the turn without its outcome, and look at the connection as new if it is seen again."""
        self._is_forgotten = True
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.discard("unobserved")
        if (connection := self._connection()) is not None:
            vars(connection).pop(_FEED, None)

    def _look_at(self, head: str) -> None:
        """Note whether Home Assistant has accepted the token: any frame but these two says so."""
        if '"auth_invalid"' in head:
            self._was_refused = True
        elif '"auth_required"' not in head and (connection := self._connection()) is not None:
            self._is_known = True
            self._feeds.connections.up(connection, self.address)

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
    """Return the feed of a connection; None if it is none. `first` finds it when the connection is first seen."""
    attributes = vars(connection)
    feed: Feed | None
    try:
        feed = attributes[_FEED]
    except KeyError:
        pass
    else:
        return feed
    try:
        feed = first(connection)
    except Exception:
        _logger.debug("A connection cannot be looked at", exc_info=True)
        feed = None
    attributes[_FEED] = feed
    return feed


def known_feed(connection: Any) -> Feed | None:
    """Return the feed of a connection that was seen before."""
    return vars(connection).get(_FEED)


def _is_over(asker: Any) -> bool:
    """Whether a task or thread has ended."""
    return bool(asker.done()) if hasattr(asker, "done") else not asker.is_alive()


def _cancelled() -> BaseException:
    import asyncio  # noqa: PLC0415 - a program without tasks need not load it

    return asyncio.CancelledError()
