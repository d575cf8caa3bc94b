"""The state of a service in words, as the screen and the plain lines show it."""

from __future__ import annotations

from collections.abc import Iterator

from otel_ha.cli.top import parts
from otel_ha.cli.top.reading import SCHEMA, Reading
from otel_ha.cli.top.watch import Service
from otel_ha.serve.summary import words

__all__ = ["GONE", "NO_DATA", "WAITING", "brief", "messages", "status", "uncapitalized"]

GONE = "gone"
"""The state of a service that answered before."""

NO_DATA = "no data"
"""The state of a service that has never sent a summary: it does not answer, or with something else."""

WAITING = "waiting"
"""The state of a service whose first answer is still missing."""

_NEWS = 60.0
"""Seconds for which a restart is news."""

_LATE = 10.0
"""Seconds after which a missing answer is worth a message."""


def brief(seconds: float | None) -> str:
    """Return a time in one unit, for columns: 3 h instead of 3 h 20 min."""
    return " ".join(words.duration(seconds).split(" ")[:2])


def status(service: Service) -> tuple[str, str]:
    """Return the state in a word, and its style."""
    if service.problem:
        return (GONE if service.reading else NO_DATA), parts.TROUBLE
    if service.reading is None:
        return WAITING, parts.DIM
    return service.reading.status or words.NOTHING, parts.state_style(service.reading.status)


def messages(service: Service, now: float) -> list[tuple[str, str]]:
    """Return what there is to say about a service, each text with its style, the most important first."""
    return list(_messages(service, now))


def _messages(service: Service, now: float) -> Iterator[tuple[str, str]]:
    reading = service.reading
    if service.problem:
        since = f"since {words.duration(float(int(now - service.problem_since)))}"
        yield f"{GONE if reading else NO_DATA} {since}: {uncapitalized(service.problem)}", parts.TROUBLE
    elif service.asked is not None and now - service.asked > _LATE:
        yield f"no reply for {words.duration(float(int(now - service.asked)))}", parts.TROUBLE
    if service.restarted is not None and now - service.restarted < _NEWS:
        yield f"restarted {words.duration(float(int(now - service.restarted)))} ago", parts.WARNING
    if reading is not None:
        yield from _own(reading)


def _own(reading: Reading) -> Iterator[tuple[str, str]]:
    if not reading.is_understood:
        schemas = f"it answers with schema {reading.schema}, but this otel-ha reads {SCHEMA}"
        yield f"{schemas}: figures may be wrong or missing", parts.WARNING
    for reason in reading.reasons:
        yield reason, parts.state_style(reading.status)
    for note in reading.notes:
        yield note, parts.DIM


def uncapitalized(text: str) -> str:
    """Return a text that starts with a small letter, unless its first word is an abbreviation."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
