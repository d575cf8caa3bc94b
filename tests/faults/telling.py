"""The measured program, which also logs each of its events, so that traces and logs have one item for each event."""

from __future__ import annotations

import logging

from tests.faults import service

_handle = service.handle


async def handle(outcome: str) -> None:
    """Log an event, and process it."""
    logging.getLogger("home").info("an event: %s", outcome)
    await _handle(outcome)


if __name__ == "__main__":
    service.handle = handle
    service.main()
