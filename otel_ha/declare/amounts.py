"""Amounts: which numbers an instrument accepts, and how a number becomes Python's own."""

from __future__ import annotations

from otel_ha.declare.instruments import Counter, Histogram, Instrument, ObservableCounter
from otel_ha.declare.ports import shown

LIMIT = 2**63
"""Every amount is below this: OTLP has 64 bits for an integer, and a larger one would make the whole push fail."""


def least_of(instrument: Instrument) -> float:
    """Return the least amount that an instrument accepts; comparisons with NaN are false, so NaN is never accepted."""
    return 0.0 if isinstance(instrument, Counter | Histogram | ObservableCounter) else -LIMIT


def plain(amount: float) -> float:
    """Return an amount as Python's own int or float; a subclass could do anything when it is added up."""
    if type(amount) in {int, float}:
        return amount
    return float(amount) if isinstance(amount, float) else int(amount)


def plain_duration(duration: float) -> float | None:
    """Return a duration in seconds as Python's own number, or None if it is not a valid one. Never raises."""
    try:
        return plain(duration) if isinstance(duration, int | float) and 0 <= duration < LIMIT else None
    except Exception:  # noqa: BLE001 - a subclass may do anything, and recording never raises
        return None


def cannot_record(value: object, instrument: Instrument) -> str:
    """Return the message for a value that the instrument cannot record."""
    return f"cannot record {shown(value)} on a {type(instrument).__name__}; ignored"
