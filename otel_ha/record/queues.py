"""Queues: work that leaves a queue although nobody received it is counted as received, and reported.

Otherwise the number in flight would be negative, and received less than processed and discarded. A collection shows
which queues have lost more work than was received; until then, a step only has to be recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from opentelemetry.context import Context

from otel_ha.declare.plain import plain_text
from otel_ha.declare.ports import Attributes, AttributeValue, Queue, Recorder, shown
from otel_ha.record.gate import CollectionGate
from otel_ha.record.problems import Problems

REASON = "not_received"


class _Sums(Recorder, Protocol):
    """The recorder of an up-down counter."""

    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None: ...

    def overdrawn(self) -> Iterable[tuple[dict[str, AttributeValue], float]]: ...


class _Watched(NamedTuple):
    """A queue with its recorders, which also record the last collection, when declarations have none."""

    queue: Queue
    in_flight: _Sums
    received: _Sums | None


class WatchedQueues:
    """The queues that work may leave; see Queues."""

    MOST_EXPECTED = 1_000
    """Attribute sets of work that may leave a queue unreceived; with others, it is a problem."""

    def __init__(self) -> None:
        self._watched: dict[object, _Watched] = {}
        self._expected: dict[object, set[frozenset[tuple[str, str | None]]]] = {}

    def watch(self, queue: Queue) -> None:
        """Watch a queue from now on: work may leave it."""
        recorder = queue.in_flight.recorder
        received = None if queue.received is None else queue.received.recorder
        # Again if it is watched: while telemetry is set up, one of them may have no recorder yet.
        if recorder is not None and (received is not None or queue.in_flight not in self._watched):
            self._watched[queue.in_flight] = _Watched(queue, recorder, received)

    def expect(self, queue: Queue, attributes: Attributes) -> None:
        """Expect work with these attributes to leave a queue unreceived: it is not a problem."""
        expected = self._expected.setdefault(queue.in_flight, set())
        given = {keyword: plain_text(value) for keyword, value in attributes.items() if value is not None}
        if None not in given.values() and len(expected) < self.MOST_EXPECTED:
            expected.add(frozenset(given.items()))

    def receive_missing(self, problems: Problems, gate: CollectionGate) -> bool:
        """Count as received what left the queues unreceived, at a collection; return whether there was any."""
        if not self._watched:
            return False
        with gate.alone() as is_alone:
            if not is_alone:  # the next collection does it
                return False
            found = [
                (watched, attributes, -total)
                for watched in list(self._watched.values())
                for attributes, total in watched.in_flight.overdrawn()
                if attributes.get("state") == "queued"
            ]
            for watched, attributes, missing in found:
                self._receive(watched, attributes, missing, problems)
        return bool(found)

    def _receive(
        self, watched: _Watched, attributes: dict[str, AttributeValue], missing: float, problems: Problems
    ) -> None:
        # A context of its own: recorded at once, although a collection reads, and not as an exemplar.
        watched.in_flight.record(missing, attributes, Context())
        attributes.pop("state")
        if watched.received is not None:
            declared = {each.keyword for each in watched.queue.received.attributes}
            own = {keyword: value for keyword, value in attributes.items() if keyword in declared}
            watched.received.record(missing, own, Context())
        if not self._is_expected(watched.queue, attributes):
            _report(problems, watched.queue, attributes, missing)

    def _is_expected(self, queue: Queue, attributes: dict[str, AttributeValue]) -> bool:
        has = attributes.items()
        return any(each <= has for each in tuple(self._expected.get(queue.in_flight, ())))


def _report(problems: Problems, queue: Queue, attributes: dict[str, AttributeValue], missing: float) -> None:
    which = ", ".join(f"{keyword}={shown(value)}" for keyword, value in sorted(attributes.items()))
    message = (
        f"work {which and f'with {which} '}left the queue without receive() (number: {missing:,}); it is counted as "
        "received too; call receive() when work enters the queue, after setup_telemetry(), or discard it in a "
        "measured() block"
    )
    problems.report(queue.duration, REASON, message, subject=which, times=missing, context=Context())
