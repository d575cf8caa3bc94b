"""Outcomes: the ways in which work can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "error", "cancelled"]
OK: Outcome = "ok"


@dataclass(frozen=True, slots=True)
class Discarded:
    """The outcome of work that was given up, with the reason."""

    reason: str
