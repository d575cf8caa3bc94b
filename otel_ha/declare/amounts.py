"""Amounts: which numbers an instrument accepts."""

from __future__ import annotations

from otel_ha.declare.instruments import Counter, Histogram, Instrument, ObservableCounter
from otel_ha.declare.plain import LIMIT, plain_number
from otel_ha.declare.ports import shown


def least_of(instrument: Instrument) -> float:
    """Return the least amount that an instrument accepts; comparisons with NaN are false, so NaN is never accepted."""
    return 0.0 if isinstance(instrument, Counter | Histogram | ObservableCounter) else -LIMIT


def plain_amount(amount: object, least: float) -> float | None:
    """Return an amount as Python's own int or float; None if it is not a number from `least` to below LIMIT."""
    kind = type(amount)
    if (kind is float or kind is int) and least <= amount < LIMIT:  # type: ignore[operator]  # it is a number
        return amount  # type: ignore[return-value]  # as above
    number = plain_number(amount)
    if number is None or not least <= number < LIMIT:
        return None
    return int(number) if isinstance(number, bool) else number


def plain_duration(duration: object) -> float | None:
    """Return a duration in seconds as Python's own number, or None if it is not a valid one. Never raises."""
    return plain_amount(duration, 0.0)


def cannot_record(value: object, instrument: Instrument) -> str:
    """Return the message for a value that the instrument cannot record."""
    return f"cannot record {shown(value)} on a {type(instrument).__name__}; ignored"
