"""ApiRecorder: records through the OpenTelemetry API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from opentelemetry.context import Context, get_current

from otel_ha.declare.instruments import Synchronous, UpDownCounter
from otel_ha.declare.ports import Attributes, AttributeValue, Change, Step
from otel_ha.record.intake import Intake
from otel_ha.record.resolver import Identity, Shared, identity

Write = Callable[[float, dict[str, AttributeValue], Context | None], None]
"""The verb of an API instrument."""


class ApiRecorder:
    """Records one synchronous instrument's measurements through the OpenTelemetry API; see Recorder."""

    fast = None
    """The API resolves every measurement again, so nothing can be resolved in advance."""

    def __init__(self, instrument: Synchronous, write: Write, shared: Shared) -> None:
        self.intake = Intake(instrument, shared)
        self.report = self.intake.report
        self.queues = shared.queues
        self.gate = shared.gate
        self._problems = shared.problems
        self._totals: dict[Identity, float] = {}
        """The sum of each series, if the instrument can be the work in flight of an operation."""
        is_in_flight = isinstance(instrument, UpDownCounter) and any(
            a.keyword == "state" for a in instrument.attributes
        )
        self._write = self._adding_up(write) if is_in_flight else write

    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None:
        """Record one measurement; a deferred one comes with the context in which it was made."""
        try:
            number = self.intake.accepted(amount)
            if number is None:
                self.intake.reject(amount)
            else:
                self._hand_over(number, self.intake.resolver.resolve(attributes), context)
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.intake.failed("recording", error)

    def _hand_over(self, amount: float, resolved: dict[str, AttributeValue], context: Context | None) -> None:
        """Write a measurement when this thread may, or at once if the gate says so by a context."""
        if context is None:
            is_count = self._problems.is_counting
            self.gate.write(partial(self._write_safely, amount, resolved, get_current(), is_count=is_count))
        else:
            self._write(amount, resolved, context)

    def _write_safely(
        self, amount: float, resolved: dict[str, AttributeValue], context: Context, *, is_count: bool
    ) -> None:
        # Another recording or a collection may call this, and the error does not concern it.
        try:
            self._write(amount, resolved, context)
        except Exception as error:  # noqa: BLE001 - see record()
            if not is_count:  # the count of a problem: counting its problem would never end
                self.intake.failed("recording", error)

    def _adding_up(self, write: Write) -> Write:
        """Return the verb that also adds up the amounts; the gate lets one thread at a time call it."""

        def write_and_add_up(amount: float, resolved: dict[str, AttributeValue], context: Context | None) -> None:
            write(amount, resolved, context)
            same = identity(resolved)
            self._totals[same] = self._totals.get(same, 0) + amount

        return write_and_add_up

    def sums(self) -> Iterable[tuple[dict[str, AttributeValue], float]]:
        """Yield the attributes of each series, by keyword, and its sum, if the instrument can be work in flight."""
        for same, total in self._totals.copy().items():
            yield self.intake.resolver.keywords_of(same), total

    def overdrawn(self) -> Iterable[tuple[dict[str, AttributeValue], float]]:
        """Yield the series whose sum is negative."""
        return ((attributes, total) for attributes, total in self.sums() if total < 0)

    def record_together(self, changes: Sequence[Change], step: Step, *, later: bool) -> None:  # noqa: ARG002 - the gate sees steps in order
        """Record measurements together; see Recorder."""
        try:
            (self.gate.defer if later else self.gate.apply)(changes)
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.intake.failed("recording", error)
