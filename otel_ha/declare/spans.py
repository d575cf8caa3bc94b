"""Spans: whether measured work opens one, and by which tracer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from otel_ha.declare.ports import GENERATION

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from otel_ha.declare.work_span import WorkSpan

OpenSpan = Callable[..., "WorkSpan | None"]
"""Opens the span of a piece of work; see otel_ha.declare.work_span.opened."""

LONGEST = 255
"""The default of OTEL_HA_ATTRIBUTE_VALUE_LENGTH_LIMIT."""


class Spans:
    """The tracer that opens a span for each piece of measured work; None while traces are off."""

    def __init__(self) -> None:
        self.tracer: Tracer | None = None
        self.open: OpenSpan | None = None
        """Opens the span of a piece of work, given its operation; None while traces are off."""

    def open_by(self, tracer: Tracer | None, longest: int = LONGEST) -> None:
        """Open spans by this tracer from now on; None stops that. Work under way ends as it began.

        The text of an attribute is cut after `longest` characters, as in metrics.
        """
        self.end_late()
        opening = None
        if tracer is not None:
            # Loaded only if it is used: the tracing API is not part of what `import otel_ha` loads.
            from otel_ha.declare.work_span import opener  # noqa: PLC0415

            opening = opener(tracer, longest)
        self.tracer, self.open = tracer, opening
        GENERATION.end()

    def end_late(self) -> None:
        """End the spans that a finalizer could not end where it interrupted; a flush calls this first."""
        if self.open is not None:
            from otel_ha.declare.work_span import end_late  # noqa: PLC0415 - as above

            end_late()


SPANS = Spans()
"""The one of this process."""
