"""Outage: the time in which a store takes no writes, from the first failed one to the next that succeeds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from otel_ha.vocabulary import ingest

logger = logging.getLogger(__name__)


class UnavailableError(Exception):
    """A store takes no writes now, but may take the same batch later.

    `error_type` is for the metrics, the message is a sentence for people. `refused` means that the store answered, but
    somebody has to correct a setting or the store.
    """

    def __init__(self, error_type: str, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.refused = refused


class Outage:
    """Counts failures in a row, and logs one line when they begin and one when they are over.

    `lost` returns the number of events that were lost since the start of the service, because no queue had room.
    """

    def __init__(self, store: str, lost: Callable[[], int]) -> None:
        self._store = store
        self._lost = lost
        self._lost_before = 0
        self._since = 0.0
        self._logged: set[bool] = set()
        self.failures = 0

    def failed(self, error: UnavailableError) -> None:
        """Count a failure. Log the first one, and the first refusal, because waiting does not end it."""
        ingest.ERRORS.add(1, component=self._store, error_type=error.error_type, severity="error")
        if not self.failures:
            self._since, self._lost_before = time.monotonic(), self._lost()
        self.failures += 1
        if error.refused not in self._logged:
            self._logged.add(error.refused)
            logger.error("%s: cannot write: %s; points wait until it can", self._store, error)

    def over(self) -> None:
        """Note that the store takes writes."""
        if not self.failures:
            return
        logger.info(
            "%s: writes succeed again after %.1f s and %d failed attempts; %d events were lost meanwhile",
            self._store,
            time.monotonic() - self._since,
            self.failures,
            self._lost() - self._lost_before,
        )
        self.failures = 0
        self._logged.clear()
