"""Spans: whether measured work opens one, and by which tracer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_ha.declare.ports import GENERATION

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


class Spans:
    """The tracer that opens a span for each piece of measured work; None while traces are off."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None

    def open_by(self, tracer: Tracer | None) -> None:
        """Open spans by this tracer from now on; None opens no more. Work under way ends as it began."""
        self.tracer = tracer
        GENERATION.end()


SPANS = Spans()
"""The one of this process."""
