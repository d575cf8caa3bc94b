"""ApiRecorder: records through the OpenTelemetry API."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opentelemetry.context import Context

from otel_ha.declare.amounts import LIMIT, least_of, no_amount
from otel_ha.declare.instruments import Synchronous
from otel_ha.declare.ports import Attributes, AttributeValue, Batch, Change, Line, Step, shown
from otel_ha.record.resolver import Resolver, Shared

Write = Callable[[float, dict[str, AttributeValue], Context | None], None]
"""The API instrument's own verb."""


class ApiRecorder:
    """Records one synchronous instrument's measurements through the OpenTelemetry API."""

    def __init__(self, instrument: Synchronous, write: Write, shared: Shared) -> None:
        self._gate = shared.gate
        self.instrument = instrument
        self.write = write
        self._problems = shared.problems
        self.resolver = Resolver(instrument, shared)
        self.least = least_of(instrument)

    def record(self, amount: float, attributes: Attributes, context: Context | None = None) -> None:
        """Take one measurement; never raises."""
        try:
            if self.takes(amount):
                self.write(amount, self.resolver.resolve(attributes), context)
            else:
                self.report("invalid_amount", no_amount(amount, self.instrument))
        except Exception as error:  # noqa: BLE001 - recording never raises into the measured code
            self.report("failed", f"recording failed: {shown(error)}")

    def takes(self, amount: object) -> bool:
        """Whether this is an amount that the instrument can take."""
        # A tuple: a union takes twice as long.
        return isinstance(amount, (int, float)) and self.least <= amount < LIMIT

    def record_together(self, changes: Sequence[Change], step: Step, *, later: bool) -> None:  # noqa: ARG002 - the cut sees steps as they come
        """Take measurements that belong together; see Recorder."""
        (self._gate.defer if later else self._gate.apply)(changes)

    def prepare(self, changes: Sequence[Change], step: Step, *, varies: bool) -> Batch | None:  # noqa: ARG002 - the API resolves at each call
        """Return None: nothing can be prepared here."""
        return None

    def samples(self, context: Context) -> bool:  # noqa: ARG002 - as above
        """Return True: the SDK sees to exemplars itself."""
        return True

    def open_line(self, amount: float, attributes: Attributes) -> Line | None:
        """Take one measurement, and return None: the API resolves at each call."""
        self.record(amount, attributes)
        return None

    def forget(self, attributes: Attributes) -> None:
        """Do nothing: a series of the SDK's stays."""

    def report(self, reason: str, what: str, *, attribute: str = "") -> None:
        """Count something that is wrong with a measurement."""
        self._problems.report(self.instrument, reason, what, attribute=attribute)
