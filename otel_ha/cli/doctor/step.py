"""Step: one thing that the doctor has looked at, with its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Result", "Step"]


class Result(StrEnum):
    """The result of a step."""

    OK = "ok"
    FINDING = "finding"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what was tried, what came back, and, for a finding, its cause and what to do.

    `id` is stable, for programs: the topic and the step, such as collector.connection. `cause` is a stable word for a
    finding, such as connection_refused; empty if there is none. `seconds` is the time that it took, if that matters.
    `facts` are further data for programs, ready for JSON.
    """

    id: str
    title: str
    result: Result
    tried: str
    found: str
    cause: str = ""
    remedy: str = ""
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the step as data for JSON."""
        return asdict(self)
