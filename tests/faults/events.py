"""Events that any process and any thread of a program can handle, each with a tally of its own."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from otel_ha import measured
from otel_ha.vocabulary import ingest
from tests.faults.service import Refused
from tests.faults.tally import DISCARDED, ERROR, OK, Tally

DIRECTORY = "FAULTS_DIRECTORY"
"""The variable that names the directory of the tallies, for processes that a server starts."""


@cache
def _tally(directory: str, thread: int) -> Tally:
    return Tally(Path(directory) / f"tally-{thread}")


def handle_events(count: int) -> None:
    """Handle so many events: of ten, one is discarded and one raises."""
    tally = _tally(os.environ[DIRECTORY], threading.get_native_id())
    for number in range(count):
        outcome = {3: ERROR, 7: DISCARDED}.get(number % 10, OK)
        tally.begin(outcome)
        with suppress(Refused), measured(ingest.EVENT, source="mqtt", domain="sensor") as event:
            if outcome == DISCARDED:
                event.discard("duplicate")
            if outcome == ERROR:
                raise Refused
        tally.end(outcome)
