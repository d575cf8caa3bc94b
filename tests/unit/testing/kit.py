"""Declarations and helpers of the kit's own tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from otel_ha import Attribute, Catalog, Counter, Gauge, Histogram, Operation, UpDownCounter
from otel_ha.testing.question import QuestionError

ROOM = Attribute("test.room", "The room.")
STATE = Attribute("test.state", "The state.", values=("open", "closed"))
FLAG = Attribute("test.flag", "A value of any type.")
FEW = Attribute("test.few", "An attribute with a small budget.", budget=1)

OPENINGS = Counter("test.openings", unit="{opening}", description="Openings.", attributes=(ROOM, STATE, FLAG, FEW))
PEOPLE = UpDownCounter("test.people", unit="{person}", description="People.", attributes=(ROOM,))
HEAT = Gauge("test.heat", unit="Cel", description="Temperature.", attributes=(ROOM,))
WIDTH = Histogram("test.width", unit="m", description="Widths.", attributes=(ROOM,), buckets=(1.0, 10.0))
SECRET = Counter("test.secret", unit="{secret}", description="An instrument of a group that is off.", group="entity")
WORK = Histogram("test.work.duration", unit="s", description="Work.", attributes=(ROOM,))
PRINTING = Operation(
    duration=Histogram("test.print.duration", unit="s", description="Printing."),
    received=Counter("test.print.received", unit="{job}", description="Jobs."),
    in_flight=UpDownCounter(
        "test.print.in_flight",
        unit="{job}",
        description="Jobs in flight.",
        attributes=(Attribute("test.print.state", "The state."),),
    ),
)
CATALOG = Catalog(OPENINGS, PEOPLE, HEAT, WIDTH, SECRET, WORK, *PRINTING.instruments)

UNKNOWN = Counter("test.unknown", unit="{thing}", description="An instrument that is in no catalog.")
UNACCOUNTED = Operation(duration=WORK)


def failure(call: Callable[..., object], *arguments: object, **attributes: object) -> str:
    """Return the text with which a call fails."""
    with pytest.raises(AssertionError) as caught:
        call(*arguments, **attributes)
    assert type(caught.value) in {AssertionError, QuestionError}
    return str(caught.value)


def lines(text: str) -> str:
    """Return a text without the indentation that it has in a test."""
    rows = text.strip("\n").rstrip().split("\n")
    least = min(len(row) - len(row.lstrip()) for row in rows)
    return "\n".join(row[least:] for row in rows)
