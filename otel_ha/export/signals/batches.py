"""Batches: ended spans or log records wait in a queue, and a thread pushes them.

This takes the place of the SDK's batch processors, which lose a batch that does not arrive and have no time limits, and
obeys their variables, OTEL_BSP_* and OTEL_BLRP_*. The facts are in docs/architecture/decisions.md.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_ha.config.sdk import Limits
from otel_ha.delivery import Delivery
from otel_ha.export.otlp.watch import Pusher, Watch, tell


class Flush:
    """A request to push everything that waits now."""

    def __init__(self) -> None:
        self.arrived = False
        self.done = threading.Event()

    def arrived_within(self, timeout: float) -> bool:
        """Whether everything has arrived, after `timeout` seconds at most."""
        return self.done.wait(max(timeout, 0)) and self.arrived


_RING = None
"""A message that there is enough for a batch."""


class Batches:
    """The items of one signal on their way to one exporter.

    What does not arrive because the receiver is away waits for the next push; when the queue is full, new items are
    dropped. `delivery` counts items that never arrive.
    """

    def __init__(self, pusher: Pusher, watch: Watch, limits: Limits) -> None:
        self.delivery: Delivery = watch.delivery
        self._pusher = pusher
        self._watch = watch
        self._limits = limits
        self._waiting: deque[Any] = deque()
        # Its put() is reentrant: a signal handler that ends a span may interrupt it.
        self._messages: SimpleQueue[Flush | None] = SimpleQueue()
        self._counting = threading.RLock()
        self._refused = 0
        """How many items found the queue full since the last push."""
        self._noted = time.monotonic()
        """The last time at which it was noted whether the queue is full."""
        self._is_told_full = False
        """Whether the log has told that items are dropped, and not yet that this is over."""
        self._rung = False
        self._is_away = False
        """Whether the receiver did not take the last push, and may take the next one."""
        self._is_closing = False
        self._is_over = False
        self.noun = watch.noun
        self.lost = 0
        """How many items waited when it ended."""
        self.is_late = False
        """Whether the last push did not end in time."""
        self._thread = threading.Thread(target=self._work, name=f"otel-ha-{watch.noun.replace(' ', '-')}", daemon=True)

    def start(self) -> None:
        """Start pushing."""
        self._thread.start()

    def add(self, item: Any) -> None:
        """Let an item wait for the next push; never blocks. When the queue is full, it is dropped."""
        if self._is_over:
            return
        if len(self._waiting) >= self._limits.most_waiting:
            with self._counting:
                self._refused += 1
                self.delivery.dropped += 1
            return
        self._waiting.append(item)
        if len(self._waiting) >= self._limits.most_at_once and not self._rung:
            self._rung = True
            self._messages.put(_RING)

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""
        self._pusher.load()

    def flush(self, timeout: float) -> bool:
        """Push everything now; return whether it arrived within `timeout` seconds."""
        return self.begin_flush().arrived_within(timeout)

    def begin_flush(self) -> Flush:
        """Start pushing everything that waits; `done` is set when that has been tried."""
        request = Flush()
        if self._is_over or not self._thread.is_alive():
            request.arrived = not self._waiting
            request.done.set()
        else:
            self._messages.put(request)
        return request

    def close_soon(self) -> None:
        """Start the last push."""
        if not self._is_over:
            self._is_closing = self._watch.is_closing = True
            self._pusher.close_soon()
            self._messages.put(_RING)

    def close(self, timeout: float) -> None:
        """Wait for the end of the last push, for `timeout` seconds at most."""
        if self._is_over:
            return
        try:
            if self._thread.is_alive():
                self._thread.join(max(timeout, 0))
        finally:  # Ctrl-C ends the last push
            self.is_late = self._thread.is_alive()
            self._is_over = self._watch.is_over = True
            self._pusher.shutdown()
            self.lost = len(self._waiting)
            self._waiting.clear()
            self.delivery.dropped += self.lost

    def abandon(self) -> None:
        """Forget everything, without waiting: in a forked child, it is the parent's."""
        self._is_over = True
        self._waiting.clear()

    def _work(self) -> None:
        with suppress_instrumentation():  # the libraries of a push open no spans
            while not self._is_closing:
                request = self._next()
                self._push()
                self._answer(request)
            self._push()
        while not self._messages.empty():
            self._answer(self._messages.get())

    def _next(self) -> Flush | None:
        """Wait for a request, for a full batch if the receiver answers, or until a push is due."""
        due = time.monotonic() + self._limits.delay
        while True:
            try:
                request = self._messages.get(timeout=max(due - time.monotonic(), 0))
            except Empty:
                return None
            if request is not _RING or self._is_closing or not self._is_away:
                return request

    def _answer(self, request: Flush | None) -> None:
        if request is not None:
            request.arrived = not self._waiting and self.delivery.is_complete
            request.done.set()

    def _push(self) -> None:
        """Push what waits, batch by batch, until the receiver is away."""
        self._rung = False
        self._note_refused()
        one_by_one = 0
        while self._waiting and not self._is_over:
            batch = list(islice(self._waiting, 1 if one_by_one else self._limits.most_at_once))
            answer = self._watch.push(self._pusher, batch)
            if answer.error and not answer.code and not answer.retryable and len(batch) > 1:
                one_by_one = len(batch)  # nothing was sent: one of them cannot be encoded
                continue
            one_by_one = max(one_by_one - 1, 0)
            was_away, self._is_away = self._is_away, answer.skipped or (bool(answer.error) and answer.retryable)
            if self._is_away or self._is_over:
                return
            with suppress(IndexError):  # it ends just now, and they count as lost
                for _ in batch:
                    self._waiting.popleft()
            with self._counting:
                if was_away:
                    self._refused = 0
                self.delivery.dropped += len(batch) if answer.error else answer.rejected

    def _note_refused(self) -> None:
        """Note whether the queue was full since the last push; the first and the last time are logged.

        While the receiver is away, the lines about its outage tell of that.
        """
        with self._counting:
            refused, self._refused = self._refused, 0
        self.delivery.is_full = refused > 0
        before, self._noted = self._noted, time.monotonic()
        if self._is_away or self._watch.was_away(before) or bool(refused) == self._is_told_full:
            return
        self._is_told_full = bool(refused)
        if refused:
            tell(
                "%d %s are dropped, and more may follow: %d wait already for a push to %s; %s_MAX_QUEUE_SIZE lets more "
                "wait, and /healthz has the count",
                refused,
                self.noun,
                self._limits.most_waiting,
                self.delivery.target,
                self._limits.prefix,
            )
        else:
            tell("%s wait for a push again (dropped in all: %d)", self.noun, self.delivery.dropped)
