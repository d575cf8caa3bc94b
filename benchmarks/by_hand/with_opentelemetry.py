"""The ingestor's instruments with OpenTelemetry's SDK: scraped by its exporter for Prometheus, pushed by OTLP.

Attributes are made once where their values are known, and once for each new value otherwise. The SDK reads the receiver
and the interval of pushes from its own variables.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import prometheus_client
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from benchmarks.by_hand import bounds, host, loop_delay

Attributes = Mapping[str, str]
Observed = list[tuple[Callable[[], float], Attributes]]

SOURCES = ("mqtt",)
KIND, SINK, ERROR_TYPE = "homeassistant.connection.kind", "homeassistant.sink", "error.type"
SOURCE = {source: {"homeassistant.source": source} for source in SOURCES}
QUEUED = {source: {**SOURCE[source], "homeassistant.event.state": "queued"} for source in SOURCES}
ACTIVE = {source: {**SOURCE[source], "homeassistant.event.state": "active"} for source in SOURCES}
LINES = {sink: {SINK: sink, "homeassistant.data.type": "line_protocol"} for sink in ("file",)}
TRANSFORMED = {"homeassistant.transformer": "line_protocol", "homeassistant.outcome": "ok"}
WRITTEN = {"db.system.name": "file", "db.operation.name": "write", "homeassistant.outcome": "ok"}

REGISTRY = prometheus_client.CollectorRegistry()
PUSHING = PeriodicExportingMetricReader(OTLPMetricExporter())
PROVIDER = MeterProvider(
    [PrometheusMetricReader(scope_info_enabled=False, registry=REGISTRY), PUSHING],
    resource=Resource.create({"service.name": "ha-ingestor"}),
)
METER = PROVIDER.get_meter("ingestor")


def _histogram(name: str, unit: str, buckets: tuple[float, ...]) -> Any:
    return METER.create_histogram(name, unit=unit, explicit_bucket_boundaries_advisory=buckets)


RECEIVED = METER.create_counter("homeassistant.event.received", unit="{event}")
RESYNCHRONIZED = METER.create_counter("homeassistant.event.resynchronized", unit="{event}")
DISCARDED = METER.create_counter("homeassistant.event.discarded", unit="{event}")
IN_FLIGHT = METER.create_up_down_counter("homeassistant.event.in_flight", unit="{event}")
DURATION = _histogram("homeassistant.event.process.duration", "s", bounds.PROCESSING)
LAG = _histogram("homeassistant.event.lag", "s", bounds.LAG)
BYTES_RECEIVED = METER.create_counter("homeassistant.data.received", unit="By")
BYTES_SENT = METER.create_counter("homeassistant.data.sent", unit="By")
TRANSFORM = _histogram("homeassistant.transform.duration", "s", bounds.PROCESSING)
POINTS = METER.create_counter("homeassistant.point.written", unit="{point}")
WRITE = _histogram("db.client.operation.duration", "s", bounds.WRITE)
BATCH = _histogram("homeassistant.batch.size", "{point}", bounds.BATCH)
CONNECTIONS = METER.create_up_down_counter("homeassistant.connection.active", unit="{connection}")
CLOSED = METER.create_counter("homeassistant.connection.closed", unit="{connection}")
RECONNECTS = METER.create_counter("homeassistant.connection.reconnects", unit="{attempt}")
BROKER_DROPPED = METER.create_counter("homeassistant.broker.message.dropped", unit="{message}")
ERRORS = METER.create_counter("homeassistant.errors", unit="{error}")
RETRIES = METER.create_counter("homeassistant.retry.attempts", unit="{attempt}")
LOOP_DELAY = _histogram("asyncio.eventloop.delay", "s", bounds.LOOP_DELAY)

QUEUE_SIZE: Observed = []
QUEUE_CAPACITY: Observed = []
QUEUE_AGE: Observed = []
MESSAGE_AGE: Observed = []


def _observing(sources: Observed) -> list[Callable[[CallbackOptions], Iterable[Observation]]]:
    return [lambda _: [Observation(read(), attributes) for read, attributes in sources]]


METER.create_observable_up_down_counter("homeassistant.queue.size", _observing(QUEUE_SIZE), unit="{item}")
METER.create_observable_up_down_counter("homeassistant.queue.capacity", _observing(QUEUE_CAPACITY), unit="{item}")
METER.create_observable_gauge("homeassistant.queue.oldest_item.age", _observing(QUEUE_AGE), unit="s")
METER.create_observable_gauge("homeassistant.message.age", _observing(MESSAGE_AGE), unit="s")


@functools.cache
def received_from(source: str, kind: str) -> Attributes:
    """Return the attributes of bytes received."""
    return {"homeassistant.source": source, "homeassistant.data.type": kind}


@functools.cache
def reason(source: str, why: str) -> Attributes:
    """Return the attributes of a discarded event."""
    return {"homeassistant.source": source, "homeassistant.discard.reason": why}


@functools.cache
def processed(source: str, domain: str) -> Attributes:
    """Return the attributes of an event that is processed."""
    return {"homeassistant.source": source, "homeassistant.domain": domain, "homeassistant.outcome": "ok"}


@functools.cache
def written(source: str, sink: str) -> Attributes:
    """Return the attributes of a written event's lag."""
    return {"homeassistant.source": source, SINK: sink}


@functools.cache
def batch(sink: str) -> Attributes:
    """Return the attributes of a batch."""
    return {SINK: sink}


@functools.cache
def points(sink: str, measurement: str | None, outcome: str, error_type: str | None) -> Attributes:
    """Return the attributes of points."""
    known = {SINK: sink, "homeassistant.measurement": measurement}
    known |= {"homeassistant.outcome": outcome, ERROR_TYPE: error_type}
    return {key: value for key, value in known.items() if value is not None}


@functools.cache
def error(component: str, error_type: str, severity: str) -> Attributes:
    """Return the attributes of an error."""
    return {"homeassistant.component": component, ERROR_TYPE: error_type, "homeassistant.error.severity": severity}


def discard(source: str, why: str) -> None:
    """Count an event that leaves the queue for a reason."""
    IN_FLIGHT.add(-1, QUEUED[source])
    DISCARDED.add(1, reason(source, why))


def broker_dropped(number: int) -> None:
    """Count messages that the broker has dropped."""
    BROKER_DROPPED.add(number, SOURCE["mqtt"])


def failed(known: Attributes, error: BaseException) -> Attributes:
    """Return the attributes of work that has raised."""
    outcome = "cancelled" if isinstance(error, asyncio.CancelledError) else "error"
    return {**known, "homeassistant.outcome": outcome, ERROR_TYPE: type(error).__name__}


def event(process: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Measure the work on an event."""

    @functools.wraps(process)
    async def measured(self: Any, event: Any, arrived: float) -> Any:
        source = event.source
        IN_FLIGHT.add(-1, QUEUED[source])
        IN_FLIGHT.add(1, ACTIVE[source])
        started = time.perf_counter()
        try:
            discarded = await process(self, event, arrived)
        except BaseException as error:
            DURATION.record(time.perf_counter() - started, failed(processed(source, event.domain), error))
            raise
        else:
            if discarded is None:
                DURATION.record(time.perf_counter() - started, processed(source, event.domain))
            else:
                DISCARDED.add(1, reason(source, discarded.reason))
            return discarded
        finally:
            IN_FLIGHT.add(-1, ACTIVE[source])

    return measured


def timed(histogram: Any, ok: Attributes) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Measure the time of a method with one argument."""

    def decorator(work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def measured(self: Any, argument: Any) -> Any:
            started = time.perf_counter()
            try:
                result = work(self, argument)
            except BaseException as error:
                histogram.record(time.perf_counter() - started, failed(ok, error))
                raise
            histogram.record(time.perf_counter() - started, ok)
            return result

        return measured

    return decorator


class _Readings:
    """Readings of the host that the instruments of one collection share."""

    SHARED = 0.05
    """Seconds, longer than a collection."""

    def __init__(self) -> None:
        self._host = host.Host()
        self._at = -1.0
        self._points: dict[str, host.Points] = {}

    def callback(self, metric: host.Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Return the callback of the instrument of a metric, which makes its attributes once."""
        made = functools.cache(lambda values: dict(zip(metric.keys, values, strict=True)))

        def observe(_: CallbackOptions) -> Iterable[Observation]:
            if time.monotonic() - self._at > self.SHARED:
                self._points = self._host.read()
                self._at = time.monotonic()
            return [Observation(value, made(values)) for values, value in self._points.get(metric.name, ())]

        return observe


def start() -> str:
    """Read the host from now on, watch the running event loop, and return the address to scrape."""
    readings = _Readings()
    for metric in host.METRICS:
        kind = "counter" if metric.is_counter else "up_down_counter" if metric.is_sum else "gauge"
        create = getattr(METER, f"create_observable_{kind}")
        create(metric.name, [readings.callback(metric)], unit=metric.unit, description=metric.help)
    loop_delay.watch(LOOP_DELAY.record)
    server, _ = prometheus_client.start_http_server(0, "127.0.0.1", REGISTRY)
    return f"http://127.0.0.1:{server.server_port}/metrics"


def push() -> None:
    """Push now."""
    PUSHING.force_flush()


def stop() -> None:
    """Push the last time."""
    PROVIDER.shutdown()
