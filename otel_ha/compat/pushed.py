"""Readings that the caller pushes: only the last one of each series counts.

A queue's size, a breaker's state and the machine's totals are stored here for observable instruments to read. The
number of connections is an up-down counter, so the last number of each kind is stored here to add the difference. Both
store as many series as the instrument declares; further ones are ignored and counted as a problem.

As with any other measurement, readings pushed before set-up are lost, and shutdown discards the others.
"""

from __future__ import annotations

from otel_ha.compat.process_lock import ProcessLock
from otel_ha.compat.words import amount, breaker_state, report, text
from otel_ha.declare.instruments import Gauge, Observable, state_set
from otel_ha.declare.keys import Key, key_of
from otel_ha.declare.ports import Attributes, Observer, Observing, Point, Recorder
from otel_ha.vocabulary import ha_ingestor, ingest

_Readings = dict[Key, list[Point]]


class Pushed:
    """The last readings of one observable instrument, for as many series as it declares."""

    def __init__(self, instrument: Observable) -> None:
        self.instrument = instrument
        self._observing: Observing | None = None
        self._readings: dict[Observer, _Readings] = {}
        """By the observer of the running telemetry: one entry. No lock: another thread could hold it at a fork."""

    def put(self, series: Attributes, points: list[Point]) -> None:
        """Replace the points of a series."""
        observer = self.instrument.recorder
        if observer is None:
            return
        readings = self._of(observer)
        key = key_of(series)
        if key in readings or len(readings) < self.instrument.series // len(points):
            readings[key] = points
        else:
            report(self.instrument, "series_exceeded", _exceeded(len(readings)))

    def put_if_alone(self, series: Attributes, points: list[Point]) -> None:
        """Replace the points of a series; if the service observes the instrument itself, give them up instead."""
        observer = self.instrument.recorder
        readings = {} if observer is None else self._of(observer)
        if getattr(observer, "number", 1) > 1:
            readings.pop(key_of(series), None)
        else:
            self.put(series, points)

    def _of(self, observer: Observer) -> _Readings:
        mine: _Readings = {}
        readings = self._readings.setdefault(observer, mine)  # atomic: of several threads only one starts observing
        if readings is mine:
            if self._observing is not None:
                self._observing.stop()
            for gone in self._readings.keys() - {observer}:
                self._readings.pop(gone, None)
            self._observing = self.instrument.observe(lambda: [p for points in list(mine.values()) for p in points])
        return readings


class Level:
    """The number of active connections, pushed as a level and recorded as changes of an up-down counter.

    Stores the last number of each kind, for as many kinds as the counter has series, until telemetry is replaced.
    """

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        self._last: dict[str | None, float] = {}
        self._lock = ProcessLock()

    def put(self, kind: str | None, number: float) -> None:
        """Set the number of active connections of a kind."""
        counter = ingest.CONNECTIONS
        with self._lock():
            if counter.recorder is not self._recorder:
                self._recorder, self._last = counter.recorder, {}
            last = self._last
            if kind not in last and len(last) >= counter.series:
                report(counter, "series_exceeded", _exceeded(len(last)))
                return
            last.setdefault(kind, 0)
            # One statement without a call, so that a signal handler that pushes as well cannot run in between.
            before, last[kind] = last[kind], number
            counter.add(number - before, kind=kind)


def _exceeded(most: int) -> str:
    return f"more than {most} attribute sets; further ones are ignored"


_queues = Pushed(ingest.QUEUE_SIZE)
_breakers = Pushed(ingest.CIRCUIT_BREAKER)
_disk_io = Pushed(ha_ingestor.DISK_IO)
_network_io = Pushed(ha_ingestor.NETWORK_IO)
_connections = Level()


def reading(gauge: Gauge, value: object, most: float | None = None, **of: object) -> None:
    """Set a gauge of the vocabulary for calls of the earlier API, to a value from 0 to `most`."""
    limit = {} if most is None else {"most": most}
    if (number := amount(gauge, "a value", value, **limit)) is not None:
        gauge.set(number, **{keyword: text(gauge, keyword, name) for keyword, name in of.items()})


def queue_depth(depth: object, queue: object) -> None:
    """Set the depth of a queue."""
    on = ingest.QUEUE_SIZE
    if (size := amount(on, "a depth", depth)) is not None:
        of: Attributes = {"queue": text(on, "queue", queue)}
        _queues.put(of, [(size, of)])


def pipeline_queue_size(size: object) -> None:
    """Set the size of the pipeline's queue, unless the service observes its queues itself."""
    on = ingest.QUEUE_SIZE
    if (items := amount(on, "a size", size)) is not None:
        of: Attributes = {"queue": "pipeline"}
        _queues.put_if_alone(of, [(items, of)])


def active_connections(number: object, kind: object) -> None:
    """Set the number of active connections of a kind."""
    on = ingest.CONNECTIONS
    if (size := amount(on, "a number of connections", number)) is not None:
        _connections.put(text(on, "kind", kind), size)


def circuit_breaker(state: object, component: object) -> None:
    """Set the state of a circuit breaker; an unknown state changes nothing."""
    on = ingest.CIRCUIT_BREAKER
    if (current := breaker_state(on, state)) is not None:
        of: Attributes = {"component": text(on, "component", component)}
        points: list[Point] = [(value, {**of, **own}) for value, own in state_set(ingest.CIRCUIT_STATE, current)]
        _breakers.put(of, points)


def disk_io(total: object, **of: object) -> None:
    """Set the total of bytes that a machine read from or wrote to its disks."""
    _machine_total(_disk_io, total, of)


def network_io(total: object, **of: object) -> None:
    """Set the total of bytes that a machine's network interface sent or received."""
    _machine_total(_network_io, total, of)


def _machine_total(pushed: Pushed, total: object, of: dict[str, object]) -> None:
    on = pushed.instrument
    if (size := amount(on, "a total of bytes", total)) is not None:
        series: Attributes = {keyword: text(on, keyword, value) for keyword, value in of.items()}
        pushed.put(series, [(size, series)])
