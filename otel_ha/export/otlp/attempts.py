"""Attempts: one push, with its repetitions, within one time limit."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from otel_ha.export.otlp.answer import Answer
from otel_ha.export.otlp.proxy import Proxy

LAST_TRY = 0.5
"""Seconds into a shutdown after which a failed attempt is the last one. About a second passes before the second
attempt and two before the third: a service without a receiver ends after one second, not after five."""
MOST_ATTEMPTS = 6
LONGEST_PAUSE = 300.0
"""The most seconds for which a receiver can delay the next push."""
_LEAST = 0.01
_OF_CONTENT = {"400", "413", "422", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"}
"""The statuses by which a receiver refuses one request for good, which says nothing about others.

By the last one it refuses a request that is too large; where it limits pushes, they may be repeated.
"""

Encode = Callable[[Any], bytes]
"""A function that makes a request of a signal's data; of None, it only imports what it needs for that."""

Split = Callable[[Any], Iterable[Any]]
"""A function that splits a signal's data into parts, at least one, each of which becomes a request."""


def whole(data: Any) -> Iterable[Any]:
    """Return data as its only part."""
    return (data,)


class Sender(Protocol):
    """Sends an encoded request once."""

    def load(self) -> None:
        """Import the modules that the first attempt imports otherwise, in its thread."""

    def send(self, payload: bytes, timeout: float) -> Answer:
        """Return the receiver's answer, or a failure, within `timeout` seconds; never raises."""

    def proxy(self) -> Proxy | None:
        """Return the proxy through which pushes go, if there is one."""

    def close(self) -> None:
        """Close connections; an attempt that is waiting ends."""


class Attempts:
    """Pushes by a sender; attempts that may succeed later are repeated, all within `limit` seconds.

    `encode` makes the request of a signal, and imports what it needs for that. `split` makes several of large data.
    """

    def __init__(self, sender: Sender, limit: float, encode: Encode, split: Split = whole) -> None:
        self._sender = sender
        self._limit = limit
        self._encode = encode
        self._split = split
        self._not_before = 0.0
        self._closing_since: float | None = None
        self._closing = threading.Event()
        self._ended = threading.Event()

    def load(self) -> None:
        """Import the modules that the first push imports otherwise, in its thread."""
        self._encode(None)
        self._sender.load()

    def push(self, data: Any) -> Answer:
        """Push all parts, and return one answer for all: the failure of a part, if there is one.

        A part whose content is refused costs no other one. After another failure, the next parts are not sent.
        """
        deadline = time.monotonic() + self._limit
        is_early = time.monotonic() < self._not_before
        if is_early and self._closing_since is None:
            return Answer("the receiver has asked for a pause", skipped=True)
        # The last interval is worth one attempt during a pause: there is no later push.
        most = 1 if is_early else MOST_ATTEMPTS
        answers: list[Answer] = []
        for part in self._split(data):
            answer = self._sent(self._encode(part), deadline, most)
            if answer.error and (answer.retryable or answer.code not in _OF_CONTENT):
                return answer
            answers.append(answer)
        refused = [each for each in answers if each.error]
        answer = (refused or answers)[0]
        if refused and len(answers) > 1:
            answer = replace(answer, error=f"{answer.error} ({len(refused)} of {len(answers)} requests)")
        remark = next((each.remark for each in answers if each.remark), "")
        return replace(answer, rejected=sum(each.rejected for each in answers), remark=remark)

    def _sent(self, payload: bytes, deadline: float, most: int) -> Answer:
        """Send a request, again if that may help, and return the last attempt's answer."""
        answer = Answer("not sent")
        for attempt in range(most):
            answer = self._sender.send(payload, max(deadline - time.monotonic(), _LEAST))
            if not answer.error or not answer.retryable or attempt + 1 == most:
                break
            left = deadline - time.monotonic()
            if answer.pause is not None and answer.pause > left:
                answer = self._postponed(answer, answer.pause)
                break
            backoff = 0.0 if answer.at_once and not attempt else 2**attempt * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            if not self._waited(max(backoff, answer.pause or 0.0), left):
                break
        return answer

    def close_soon(self) -> None:
        """From now on, repeat a push at most once, and the one that is waiting not at all: the service wants to end."""
        self._closing_since = time.monotonic()
        self._closing.set()

    def shutdown(self) -> None:
        """Stop: a waiting attempt gives up."""
        self._closing.set()
        self._ended.set()
        self._sender.close()

    def _postponed(self, answer: Answer, pause: float) -> Answer:
        """Note that the next push has to wait, and return the answer with a message that says so."""
        capped = min(pause, LONGEST_PAUSE)
        self._not_before = time.monotonic() + capped
        return replace(answer, error=f"{answer.error}; no push for the next {capped:.0f} s")

    def _waited(self, seconds: float, left: float) -> bool:
        """Wait before the next attempt; return False if there is to be none."""
        if seconds > left:
            return False
        if self._closing_since is None:
            return not self._closing.wait(seconds)
        return time.monotonic() - self._closing_since <= LAST_TRY and not self._ended.wait(seconds)
