"""The vocabulary of the earlier API, and checks of its arguments.

A wrong argument is counted in otel_ha.recording.problems and logged once: nothing here raises, and no value is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_ha.declare.instruments import OTHER, Observable, Synchronous
from otel_ha.declare.plain import LIMIT, plain_number, plain_text
from otel_ha.declare.ports import AttributeValue, shown
from otel_ha.vocabulary.ingest import CIRCUIT_STATE

Declaration = Synchronous | Observable

Meanings = Mapping[str | int, str | None]
"""The meanings of words; None means "not known"."""

OUTCOMES: Final[Meanings] = {
    "success": "ok",
    "ok": "ok",
    "error": "error",
    "failed": "error",
    "failure": "error",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "unknown": None,
}
"""The outcome of an event by its earlier status."""

WRITTEN: Final[Meanings] = {**OUTCOMES, "unknown": "ok"}
"""The outcome of points by their earlier status; points of unknown status count as written."""

SEVERITIES: Final[Meanings] = {
    "low": "warning",
    "warn": "warning",
    "warning": "warning",
    "medium": "error",
    "error": "error",
    "high": "error",
    "critical": "critical",
    "fatal": "critical",
    "unknown": None,
}
BREAKER_STATES: Final[Meanings] = {
    **dict(enumerate(CIRCUIT_STATE.values)),
    **{state: state for state in CIRCUIT_STATE.values},
    "half-open": "half_open",
}
"""The state of a circuit breaker by its number or name."""

_NO_ENTITY: Final = frozenset({"", "unknown", "all"})


def report(on: Declaration, reason: str, message: str, *, attribute: str = "") -> None:
    """Count a wrong argument, unless the declaration is inert."""
    if on.recorder is not None:
        on.recorder.report(reason, message, attribute=attribute)


def amount(on: Declaration, role: str, value: object, most: float = LIMIT) -> float | None:
    """Return `value` as Python's own number if it is from 0 to `most`; otherwise report it and return None."""
    number = plain_number(value)
    if number is not None and not isinstance(number, bool) and 0 <= number <= most and number < LIMIT:
        return number
    allowed = "a number from 0" if most == LIMIT else f"a number from 0 to {most:g}"
    report(on, "invalid_amount", f"cannot use {shown(value)} as {role}; allowed: {allowed}; ignored")
    return None


def usable_number(value: object, *, least: float = -LIMIT) -> float | None:
    """Return a value as a finite number from `least`, or None if it is something else."""
    number = plain_number(value)
    return float(number) if number is not None and least <= number < LIMIT else None


def text(on: Declaration, keyword: str, value: object) -> str | None:
    """Return a name, or None if it is empty; report anything but a string and return "_OTHER"."""
    if (name := plain_text(value)) is not None:
        return name or None
    report(on, "invalid_value", f"{keyword} is {shown(value)}; allowed: text; recorded as {OTHER}", attribute=keyword)
    return OTHER


def entity_name(on: Declaration, value: object) -> str | None:
    """Return an entity; None if the caller names none."""
    name = text(on, "entity", value)
    return None if name in _NO_ENTITY else name


def word(value: object, meanings: Meanings) -> AttributeValue | None:
    """Return the meaning of a word, or an unknown word itself: its attribute is a closed set, which reports it."""
    name = plain_text(value)
    spelt = plain_number(value) if name is None else name.strip().lower()
    if isinstance(spelt, float) and spelt.is_integer():  # prometheus_client's gauges are floats
        spelt = int(spelt)
    if isinstance(spelt, str | int) and not isinstance(spelt, bool) and spelt in meanings:
        return meanings[spelt]
    return "None" if value is None else value  # type: ignore[return-value]  # the attribute rejects a value of any type


def outcome_of(success: object) -> AttributeValue:
    """Return the outcome of work by its success, a bool, 0 or 1; anything else itself, for the attribute to reject."""
    if (known := plain_number(success)) is not None and known in {0, 1}:
        return "ok" if known else "error"
    return "None" if success is None else success  # type: ignore[return-value]  # as in word()


def has_failed(success: object) -> bool:
    """Whether work failed by its success: what is neither a success nor a failure did not."""
    return plain_text(outcome_of(success)) == "error"


def breaker_state(on: Declaration, value: object) -> str | None:
    """Return a circuit breaker's state, given by number or name; otherwise report it and return None."""
    state = plain_text(word(value, BREAKER_STATES))
    if state in BREAKER_STATES:
        return state
    known = ", ".join(map(str, BREAKER_STATES))
    report(on, "undeclared_value", f"state is {shown(value)}; allowed: {known}; unchanged", attribute="state")
    return None
