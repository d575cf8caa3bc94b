"""Intake: checks the amounts of one instrument's measurements and resolves their attributes."""

from __future__ import annotations

from otel_ha.declare.amounts import cannot_record, least_of, plain_amount
from otel_ha.declare.instruments import Instrument
from otel_ha.declare.ports import shown
from otel_ha.record.resolver import Resolver, Shared


class Intake:
    """The checks that all recorders and observers of an instrument have in common."""

    def __init__(self, instrument: Instrument, shared: Shared) -> None:
        self.instrument = instrument
        self.least = least_of(instrument)
        self.resolver = Resolver(instrument, shared)
        self._problems = shared.problems

    def accepted(self, amount: object) -> float | None:
        """Return an amount as Python's own int or float, or None if the instrument cannot record it."""
        return plain_amount(amount, self.least)

    def reject(self, amount: object) -> None:
        """Report an amount that is not accepted."""
        self.report("invalid_amount", cannot_record(amount, self.instrument))

    def failed(self, action: str, error: Exception) -> None:
        """Report an exception: recording never raises into the measured code."""
        self.report("failed", f"{action} failed: {shown(error)}")

    def report(self, reason: str, message: str, *, attribute: str = "") -> None:
        """Count a problem with a measurement; the first one of its kind is logged."""
        self._problems.report(self.instrument, reason, message, attribute=attribute)
