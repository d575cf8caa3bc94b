"""Problems with measurements: counted, and logged once per kind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from otel_ha.declare.instruments import Instrument

_logger = logging.getLogger("otel_ha")


class Problems:
    """Counts problems with measurements, and logs the first one of each kind."""

    MOST_WARNINGS = 1000
    """Kinds that are logged: an undeclared attribute can have any name."""

    def __init__(self, count: Callable[..., None]) -> None:
        self._count = count
        self._counts = threading.local()
        self._warned: dict[tuple[str, str, str], object] = {}

    def report(self, instrument: Instrument, reason: str, message: str, *, attribute: str = "") -> None:
        """Count a problem; the first one of its kind is logged with `message`."""
        self._count_once(instrument=instrument.name, reason=reason, attribute=attribute or None)
        kind, mine = (instrument.name, attribute, reason), object()
        # One step, so that of several threads only one logs.
        if len(self._warned) < self.MOST_WARNINGS and self._warned.setdefault(kind, mine) is mine:
            with suppress(Exception):  # a filter of the service's logging may raise
                _logger.warning("%s: %s (later ones are counted, not logged)", instrument.name, message)

    @property
    def is_counting(self) -> bool:
        """Whether this thread is counting a problem."""
        return getattr(self._counts, "counting", False)

    def _count_once(self, **attributes: str | None) -> None:
        """Count, unless the problem is one of the counter itself: that would never end."""
        if not self.is_counting:
            self._counts.counting = True
            try:
                self._count(1, **attributes)
            finally:
                self._counts.counting = False
