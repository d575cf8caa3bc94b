"""Problems with measurements: counted, and logged once per kind."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Protocol

from opentelemetry.context import Context

from otel_ha.declare.instruments import Instrument
from otel_ha.declare.ports import Attributes

_logger = logging.getLogger("otel_ha")


class _Counts(Protocol):
    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None: ...


class Problems:
    """Counts problems with measurements, and logs the first one of each kind."""

    MOST_WARNINGS = 10
    """Attributes for which an instrument's problem is logged: undeclared ones can have any name, without end."""

    def __init__(self) -> None:
        self.recorder: _Counts | None = None
        """The recorder that counts; not the declaration, which has none at the last collection."""
        self._counts = threading.local()
        self._warned: dict[tuple[str, str], dict[str, object]] = {}
        """The attributes and subjects that were logged, by instrument and reason."""

    def report(
        self,
        instrument: Instrument,
        reason: str,
        message: str,
        *,
        attribute: str = "",
        subject: str = "",
        times: float = 1,
        context: Context | None = None,
    ) -> None:
        """Count a problem that occurred `times` times; the first one of its kind is logged with `message`.

        A kind is an instrument, a reason, and one of the first MOST_WARNINGS attributes or other subjects. With a
        context, it is counted at once, even during a collection.
        """
        counted: Attributes = {"instrument": instrument.name, "reason": reason, "attribute": attribute or None}
        self._count_once(times, counted, context)
        warned, mine = self._warned.setdefault((instrument.name, reason), {}), object()
        # One step, so that of several threads only one logs.
        if len(warned) < self.MOST_WARNINGS and warned.setdefault(attribute or subject, mine) is mine:
            with suppress(Exception):  # a filter of the service's logging may raise
                _logger.warning("%s: %s (later ones are counted, not logged)", instrument.name, message)

    @property
    def is_counting(self) -> bool:
        """Whether this thread is counting a problem."""
        return getattr(self._counts, "counting", False)

    def _count_once(self, times: float, attributes: Attributes, context: Context | None) -> None:
        """Count, unless the problem is one of the counter itself: that would never end."""
        if self.recorder is not None and not self.is_counting:
            self._counts.counting = True
            try:
                self.recorder.record(times, attributes, context)
            finally:
                self._counts.counting = False
