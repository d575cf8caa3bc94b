"""Outcomes: the ways in which work can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeGuard

Outcome = Literal["ok", "error", "cancelled"]
OK: Outcome = "ok"


@dataclass(frozen=True, slots=True)
class Discarded:
    """The outcome of work that was given up, with the reason."""

    reason: str


def is_discarded(outcome: object) -> TypeGuard[Discarded]:
    """Whether an outcome is that of work that was given up; never raises, unlike isinstance() for a dead weak proxy."""
    return issubclass(type(outcome), Discarded)
