"""Problems: what is wrong with measurements, counted, and each kind of it told once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from otel_ha.declare.instruments import Instrument

_logger = logging.getLogger("otel_ha")


class Problems:
    """Counts what is wrong with measurements, and warns of each kind of it once."""

    MOST_WARNINGS = 1000
    """Kinds that are warned of at the most: an undeclared attribute can have any name."""

    def __init__(self, count: Callable[..., None]) -> None:
        self._count = count
        self._counts = threading.local()
        self._warned: dict[tuple[str, str, str], object] = {}

    def report(self, instrument: Instrument, reason: str, what: str, *, attribute: str = "") -> None:
        """Count one problem; the first one of its kind is logged with `what`, which says what was wrong."""
        self._count_once(instrument=instrument.name, reason=reason, attribute=attribute or None)
        kind, mine = (instrument.name, attribute, reason), object()
        # One step, so that of several threads one warns.
        if len(self._warned) < self.MOST_WARNINGS and self._warned.setdefault(kind, mine) is mine:
            _logger.warning("%s: %s (further ones are counted, not logged)", instrument.name, what)

    def _count_once(self, **attributes: str | None) -> None:
        """Count, unless the problem is one of the counter's own: that would go round in circles."""
        if not getattr(self._counts, "counting", False):
            self._counts.counting = True
            try:
                self._count(1, **attributes)
            finally:
                self._counts.counting = False
