"""What a declaration hands its measurements to: the protocols of recorders, and the words that they have in common."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

if TYPE_CHECKING:
    from opentelemetry.context import Context

AttributeValue = str | bool | int | float
"""What OpenTelemetry takes as an attribute's value; None leaves the attribute out."""

Attributes = Mapping[str, AttributeValue | None]
"""Attributes by the Python keyword of their declaration."""

Point = tuple[float, Attributes]
"""One observed value and the attributes that are its own."""

Source = Callable[[], float | Iterable[Point] | None]
"""What an observable is read from: a value, several points, or None for nothing to report now."""

Change = tuple[Any, float, Attributes]
"""One measurement of a group that belongs together: on what declaration, how much, with which attributes."""

Step = Literal["received", "started", "ended"]
"""The steps of work, each of which has the one before it as its cause."""

_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = 200


class Generation:
    """Stands for the recorders of all declarations: `current` is another object whenever some of them changed.

    Who prepares something for the recorders of now keeps the object, and prepares it anew when it is the current one no
    more. That is one comparison, however many declarations are looked at.
    """

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current = object()

    def end(self) -> None:
        """Make what was prepared out of date."""
        self.current = object()


GENERATION = Generation()


class Waiting(Protocol):
    """Where amounts wait for a collection: what is appended is recorded."""

    amounts: list[Any]
    """The amounts; or anything, where each time stands for the same ones."""

    limit: int
    """How long `amounts` may be before it is to be shortened, where nothing is collected."""

    def shorten(self) -> None:
        """Add up what waits, unless somebody is at it."""


class Batch(Waiting, Protocol):
    """Measurements that belong together, resolved so that they can be recorded again and again."""

    generation: object
    """The generation that they belong to, set by who keeps the group for it: in another one it is out of date."""

    def samples(self, context: Context) -> bool:
        """Whether what is recorded in this context may become an exemplar, and is not to be appended."""

    def record(self, amount: float) -> bool:
        """Record an amount, and return True; not where it may become an exemplar, which is recorded otherwise."""


class Line(Waiting, Protocol):
    """One series, resolved: it takes plain numbers from `least` to below `most`, outside of sampled spans."""

    least: float
    """The least amount that it takes."""

    most: float
    """What every amount that it takes is below."""

    @property
    def recorder(self) -> Recorder:
        """Whose series it is: the line is of no use any more when its declaration has another recorder."""


class Recorder(Protocol):
    """What a synchronous declaration hands its measurements to while telemetry runs. Nothing in it raises."""

    def record(self, amount: float, attributes: Attributes) -> None:
        """Take one measurement."""

    def record_together(self, changes: Sequence[Change], step: Step, *, later: bool) -> None:
        """Take measurements that belong together, so that every collection sees all or none of them.

        A collection that sees a step of some work sees the steps before it. With `later` no lock is taken and the next
        collection sees them: for finalizers, which can interrupt anything.
        """

    def prepare(self, changes: Sequence[Change], step: Step, *, varies: bool) -> Batch | None:
        """Return measurements that belong together as a group; None where that cannot be.

        It can be where all of them were recorded before and nothing was wrong with them. If it `varies`, the first
        amount is another each time.
        """

    def samples(self, context: Context) -> bool:
        """Whether a measurement in this context may become an exemplar: no group and no line takes it."""

    def open_line(self, amount: float, attributes: Attributes) -> Line | None:
        """Take one measurement, and return the line for those that follow; None where each has to be recorded."""

    def forget(self, attributes: Attributes) -> None:
        """Give up series that have these attributes, where series can be."""

    def report(self, reason: str, what: str, *, attribute: str = "") -> None:
        """Count something that is wrong with a measurement; the first of its kind is logged."""


class Observing:
    """One source that is being read; a context manager that ends with the block."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading the source."""
        self.stop()


class Observer(Protocol):
    """What an observable declaration hands its sources to while telemetry runs."""

    def observe(self, source: Source, attributes: Attributes) -> Observing:
        """Read `source` at every collection; never raises."""

    def report(self, reason: str, what: str, *, attribute: str = "") -> None:
        """Count something that is wrong with a measurement; the first of its kind is logged."""


def shown(value: object) -> str:
    """Return a value as a message shows it: shortened, and also where its own repr fails."""
    try:
        return _SHORT.repr(value)
    except Exception:  # noqa: BLE001 - an integer may have more digits than Python is willing to write
        return f"<{type(value).__name__}>"
