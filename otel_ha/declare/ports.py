"""Ports: the protocols between declarations and recorders, and the types that both use."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from opentelemetry.context import Context

AttributeValue = str | bool | int | float
"""The value of an attribute, as OpenTelemetry accepts it; None leaves the attribute out."""

Attributes = Mapping[str, AttributeValue | None]
"""Attributes by the Python keyword of their declaration."""

Point = tuple[float, Attributes]
"""One observed value and its own attributes."""

Source = Callable[[], float | Iterable[Point] | None]
"""A function that an observable reads: it returns a value, several points, or None if there is nothing to report."""

Change = tuple[Any, float, Attributes]
"""One measurement of a batch: the declaration, the amount, the attributes."""

Step = Literal["received", "started", "ended"]
"""The steps of work; each one is caused by the one before it."""

_NAME = type.__dict__["__name__"]  # a metaclass may have another one
_SHORT = reprlib.Repr()
_SHORT.maxother = _SHORT.maxstring = 200


class Generation:
    """Stands for the recorders of all declarations: `current` is replaced whenever one of them changes.

    Code that caches work against the current recorders remembers this object and rebuilds its cache when it changes:
    one comparison, however many declarations are involved.
    """

    CHANGING = object()
    """The generation while recorders change: nothing is recorded, as a step would reach only some of them."""

    __slots__ = ("current",)

    def __init__(self) -> None:
        self.current = object()

    def end(self) -> None:
        """Invalidate everything that was cached against the current recorders."""
        self.current = object()


GENERATION = Generation()


class Waiting(Protocol):
    """A list of amounts that wait for a collection: appending to it records a measurement."""

    amounts: list[Any]
    """The amounts; for a batch without a varying amount, one arbitrary item per measurement."""

    limit: int
    """The length of `amounts` from which it is to be shortened, in case nothing collects."""

    def shorten(self) -> None:
        """Add up the waiting amounts, unless another thread is doing so."""

    def samples(self, context: Context) -> bool:
        """Whether a measurement in this context may become an exemplar and therefore must not be appended."""


class Batch(Waiting, Protocol):
    """Measurements that are recorded together, resolved so that they can be recorded again."""

    generation: object
    """The generation that it was made for, set by the code that keeps it; in another generation it is out of date."""

    def record(self, amount: float) -> bool:
        """Record an amount and return True; return False if it may become an exemplar and must be recorded in full."""


class Line(Waiting, Protocol):
    """One resolved series: accepts plain numbers from `least` to below `most`, outside sampled spans."""

    least: float
    """The least amount that it accepts."""

    most: float
    """The bound below which every accepted amount lies."""

    @property
    def recorder(self) -> Recorder:
        """The recorder of the series; once its declaration has another recorder, the line is out of date."""


class FastRecording(Protocol):
    """Resolves measurements in advance, so that recording them again is a single append."""

    def batch(self, changes: Sequence[Change], step: Step, *, varies: bool) -> Batch | None:
        """Return a batch of these changes; None unless all of them were recorded before without a problem.

        If it `varies`, the first amount differs each time.
        """

    def open_line(self, amount: float, attributes: Attributes) -> Line | None:
        """Record one measurement, and return the line for later ones; None if there was a problem with it."""


class Queue(NamedTuple):
    """The declarations that count work in a queue, and the duration, whose name stands for the operation."""

    duration: Any
    in_flight: Any
    received: Any
    """None if the operation does not count received work."""


class Queues(Protocol):
    """Counts work that leaves a queue although nobody received it; no method raises."""

    def watch(self, queue: Queue) -> None:
        """Watch a queue from now on: work may leave it."""

    def expect(self, queue: Queue, attributes: Attributes) -> None:
        """Expect work with these attributes to leave a queue unreceived: it is not a problem."""


class Recorder(Protocol):
    """Records the measurements of one synchronous declaration while telemetry runs; no method raises."""

    @property
    def queues(self) -> Queues:
        """The queues of its telemetry."""

    @property
    def fast(self) -> FastRecording | None:
        """The way to resolve measurements in advance; None if each one has to go through the OpenTelemetry API."""

    def record(self, amount: float, attributes: Attributes) -> None:
        """Record one measurement."""

    def record_together(self, changes: Sequence[Change], step: Step, *, later: bool) -> None:
        """Record measurements together: every collection sees all or none of them, and the steps that caused them.

        With `later` no lock is taken and the next collection sees them: for finalizers, which can interrupt anything.
        """

    def report(self, reason: str, message: str, *, attribute: str = "") -> None:
        """Count a problem with a measurement; the first one of its kind is logged."""


@runtime_checkable
class Forgetting(Protocol):
    """A recorder whose series can be given up."""

    def forget(self, attributes: Attributes) -> None:
        """Give up the series that have these attributes; never raises."""


class Observing:
    """A source that is being read; as a context manager it stops at the end of the block."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.stop = stop

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading the source."""
        self.stop()


class Observer(Protocol):
    """Reads the sources of one observable declaration while telemetry runs."""

    def observe(self, source: Source, attributes: Attributes) -> Observing:
        """Read `source` at every collection; never raises."""

    def report(self, reason: str, message: str, *, attribute: str = "") -> None:
        """Count a problem with a measurement; the first one of its kind is logged."""


def call_of(function: str, attributes: Attributes) -> str:
    """Return how a function is called with these attributes, for a repr."""
    return f"{function}({', '.join(f'{keyword}={shown(value)}' for keyword, value in attributes.items())})"


def shown(value: object) -> str:
    """Return a shortened repr of a value for a message, even if its own repr fails."""
    try:
        return _SHORT.repr(value)
    except Exception:  # noqa: BLE001 - an integer may have more digits than Python is willing to write
        return f"<{_NAME.__get__(type(value))}>"
