"""Turns: events that a program handles between one call of receive() and the next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from otel_ha.instrumentation.home_assistant.frames import SOURCE, entity_of
from otel_ha.measure.decorator import measured
from otel_ha.vocabulary import ingest

__all__ = ["Turn"]

HANDLED = measured(
    ingest.EVENT,
    source=SOURCE,
    domain=lambda event: entity_of(event).domain,
    entity=lambda event: entity_of(event).entity,
)


class Turn:
    """The events of one frame while the program handles them: they are active until the turn ends.

    Nothing shows when the program goes from one event of the frame to the next. So each has its share of the time, all
    have the same outcome, and with traces on the program is in the span of a single event only.
    """

    __slots__ = ("_begun", "_earlier", "_number", "_under_way")

    def __init__(self, events: Sequence[Any]) -> None:
        self._earlier = id(sys.exception())
        self._number = len(events)
        self._under_way = [HANDLED.start((event,), {}) for event in events]
        for measurement in self._under_way:
            measurement.__enter__()
            if self._number > 1 and measurement.span is not None:
                measurement.span.pause()
        self._begun = perf_counter()

    def end(self) -> None:
        """End the turn where the program goes on: by the exception that it handles, if that was raised in the turn."""
        error = sys.exception()
        self.end_by(None if id(error) == self._earlier else error)

    def end_by(self, error: BaseException | None) -> None:
        """End the turn by an exception, or well; may be repeated."""
        share = (perf_counter() - self._begun) / self._number
        while self._under_way:
            try:
                measurement = self._under_way.pop()
            except IndexError:  # another thread, or a finalizer, was faster
                return
            measurement.lasted(share)
            measurement.__exit__(None if error is None else type(error), error, None)

    def discard(self, reason: str) -> None:
        """Give the turn up: its end will not be seen."""
        for measurement in tuple(self._under_way):
            measurement.discard(reason)
        self.end_by(None)
