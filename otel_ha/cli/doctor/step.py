"""Step: one thing that the doctor has looked at, with its result, the Look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Look", "Result", "Step"]


class Result(StrEnum):
    """The result of a step."""

    OK = "ok"
    FINDING = "finding"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Look:
    """The result of a look: what was tried, what came back, and, for a finding, its cause and what to do.

    `cause` is a stable word for a finding, such as connection_refused; empty if there is none. `facts` are further data
    for programs, ready for JSON.
    """

    result: Result
    tried: str
    found: str
    cause: str = ""
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step(Look):
    """A look with its heading.

    `id` is stable, for programs: the topic and the step, such as collector.connection. `seconds` is the time that it
    took, if that matters.
    """

    id: str
    title: str
    seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the step as data for JSON."""
        return {"id": self.id, "title": self.title} | asdict(self)
