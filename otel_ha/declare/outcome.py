"""Outcomes: the ways in which work can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeGuard, cast

Outcome = Literal["ok", "error", "cancelled"]
OK: Outcome = "ok"


@dataclass(frozen=True, slots=True)
class Discarded:
    """The outcome of work that was given up, with the reason."""

    reason: str


def is_discarded(outcome: object) -> TypeGuard[Discarded]:
    """Whether an outcome is that of work that was given up; never raises, unlike isinstance() for a dead weak proxy."""
    return issubclass(type(outcome), Discarded)


Way = Outcome | tuple[str] | tuple[None, object]
"""How work ended, as a key that is cheap to make and to look up: an outcome, or (the reason of a discard,).

Anything else, which a function of the service may have given, is (None, that).
"""


def way_of(outcome: object) -> Way:
    """Return how work with this outcome ended; never raises."""
    if type(outcome) is str:
        return cast("Outcome", outcome)
    try:
        return (outcome.reason,) if is_discarded(outcome) else (None, outcome)
    except Exception:  # noqa: BLE001 - a subclass may do anything
        return None, outcome


def outcome_of(way: Way) -> Outcome | Discarded:
    """Return the outcome of work that ended in this way."""
    if isinstance(way, str):
        return way
    return Discarded(way[0]) if len(way) == 1 else cast("Outcome", way[1])
