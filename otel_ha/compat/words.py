"""What the earlier API's words mean here, and what its arguments may be.

Whatever is none of this is counted in otel_ha.recording.problems and warned of once: nothing here raises, and nothing
is recorded that was not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from otel_ha.declare.amounts import LIMIT
from otel_ha.declare.instruments import OTHER, Observable, Synchronous
from otel_ha.declare.ports import AttributeValue, shown
from otel_ha.vocabulary.ingest import CIRCUIT_STATE

Declaration = Synchronous | Observable

Meanings = Mapping[str | int, str | None]
"""What words mean; None where that is "not known"."""

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
"""The outcome of points: who counts points written, and says no more, says that they were."""

SEVERITIES: Final[Meanings] = {
    "warn": "warning",
    "warning": "warning",
    "error": "error",
    "critical": "critical",
    "fatal": "critical",
    "unknown": None,
}
BREAKER_STATES: Final[Meanings] = {
    **dict(enumerate(CIRCUIT_STATE.values)),
    **{state: state for state in CIRCUIT_STATE.values},
    "half-open": "half_open",
}
"""The state of a circuit breaker by its number (0 closed, 1 half open, 2 open) or its name."""

_NO_ENTITY: Final = frozenset({"", "unknown", "all"})


def report(on: Declaration, reason: str, what: str, *, attribute: str = "") -> None:
    """Count a wrong argument; nothing where the declaration is inert."""
    if on.recorder is not None:
        on.recorder.report(reason, what, attribute=attribute)


def amount(on: Declaration, what: str, value: object, most: float = LIMIT) -> float | None:
    """Return `value` if it is a number from 0 to `most`; None, and it is reported, if it is anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most and value < LIMIT:
        return value
    limit = "" if most == LIMIT else f" to {most:g}"
    report(on, "invalid_amount", f"{what} is a number from 0{limit}, not {shown(value)}; it is left out")
    return None


def text(on: Declaration, keyword: str, value: object) -> str | None:
    """Return a name; None where it is empty, "_OTHER" where it is no text, which is reported."""
    if isinstance(value, str):
        return value or None
    report(on, "invalid_value", f"{keyword} is a text, not {shown(value)}", attribute=keyword)
    return OTHER


def entity_name(on: Declaration, value: object) -> str | None:
    """Return an entity; None where the caller knows of none."""
    name = text(on, "entity", value)
    return None if name in _NO_ENTITY else name


def word(value: object, meanings: Meanings) -> AttributeValue | None:
    """Return what a word means, or itself where that is not known: its attribute is a closed set, which reports it."""
    spelt = value.strip().lower() if isinstance(value, str) else value
    if isinstance(spelt, str | int) and not isinstance(spelt, bool) and spelt in meanings:
        return meanings[spelt]
    return "None" if value is None else value  # type: ignore[return-value]  # whatever it is, it can be refused


def outcome_of(success: object) -> AttributeValue:
    """Return the outcome by whether it was a success; what is no bool is refused like any other wrong word."""
    if isinstance(success, bool):
        return "ok" if success else "error"
    return "None" if success is None else success  # type: ignore[return-value]


def breaker_state(on: Declaration, value: object) -> str | None:
    """Return a circuit breaker's state, given as its number or its name; None, and it is reported, for any other."""
    state = word(value, BREAKER_STATES)
    if isinstance(state, str) and state in BREAKER_STATES:
        return state
    known = ", ".join(map(str, BREAKER_STATES))
    report(
        on,
        "undeclared_value",
        f"a state is one of {known}; not {shown(value)}; it is left as it was",
        attribute="state",
    )
    return None
