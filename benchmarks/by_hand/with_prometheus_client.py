"""The ingestor's instruments with prometheus_client: scraped, and not pushed.

Children are held where their labels are known, and held for each new label otherwise. Creation times, which would add a
line to every series, are off.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from benchmarks.by_hand import bounds, host, loop_delay

prometheus_client.disable_created_metrics()

SOURCES = ("mqtt",)
REGISTRY = prometheus_client.CollectorRegistry()
Counter = functools.partial(prometheus_client.Counter, registry=REGISTRY)
Gauge = functools.partial(prometheus_client.Gauge, registry=REGISTRY)
Histogram = functools.partial(prometheus_client.Histogram, registry=REGISTRY)

SOURCE, SINK, OUTCOME, ERROR_TYPE = (
    ("homeassistant_source",),
    ("homeassistant_sink",),
    "homeassistant_outcome",
    "error_type",
)
KIND, QUEUE, TYPE = ("homeassistant_connection_kind",), ("homeassistant_queue",), "homeassistant_data_type"

_received = Counter("homeassistant_event_received", "Events received.", SOURCE)
RESYNCHRONIZED = Counter("homeassistant_event_resynchronized", "Events found by a resynchronization.", SOURCE)
DISCARDED = Counter("homeassistant_event_discarded", "Events discarded.", (*SOURCE, "homeassistant_discard_reason"))
_in_flight = Gauge("homeassistant_event_in_flight", "Events in flight.", (*SOURCE, "homeassistant_event_state"))
DURATION = Histogram(
    "homeassistant_event_process_duration_seconds",
    "Time to process one event.",
    (*SOURCE, "homeassistant_domain", OUTCOME, ERROR_TYPE),
    buckets=bounds.PROCESSING,
)
LAG = Histogram("homeassistant_event_lag_seconds", "Time until the sink has it.", (*SOURCE, *SINK), buckets=bounds.LAG)
BYTES_RECEIVED = Counter("homeassistant_data_received_bytes", "Bytes received.", (*SOURCE, TYPE))
BYTES_SENT = Counter("homeassistant_data_sent_bytes", "Bytes sent.", (*SINK, TYPE))
TRANSFORM = Histogram(
    "homeassistant_transform_duration_seconds",
    "Time to transform one event.",
    ("homeassistant_transformer", OUTCOME, ERROR_TYPE),
    buckets=bounds.PROCESSING,
)
POINTS = Counter(
    "homeassistant_point_written", "Points written.", (*SINK, "homeassistant_measurement", OUTCOME, ERROR_TYPE)
)
WRITE = Histogram(
    "db_client_operation_duration_seconds",
    "Time for one operation.",
    ("db_system_name", "db_operation_name", OUTCOME, ERROR_TYPE),
    buckets=bounds.WRITE,
)
BATCH = Histogram("homeassistant_batch_size", "Points per batch.", SINK, buckets=bounds.BATCH)
CONNECTIONS = Gauge("homeassistant_connection_active", "Connections that are up.", KIND)
CLOSED = Counter(
    "homeassistant_connection_closed", "Connections that ended.", (*KIND, "homeassistant_connection_close_reason")
)
RECONNECTS = Counter("homeassistant_connection_reconnects", "Attempts to reconnect.", KIND)
BROKER_DROPPED = Counter("homeassistant_broker_message_dropped", "Messages dropped by the broker.", SOURCE)
ERRORS = Counter(
    "homeassistant_errors", "Errors.", ("homeassistant_component", ERROR_TYPE, "homeassistant_error_severity")
)
RETRIES = Counter("homeassistant_retry_attempts", "Retries.", ("homeassistant_component", "homeassistant_operation"))
QUEUE_SIZE = Gauge("homeassistant_queue_size", "Items waiting in a queue.", QUEUE)
QUEUE_CAPACITY = Gauge("homeassistant_queue_capacity", "Items that a queue can hold.", QUEUE)
QUEUE_AGE = Gauge("homeassistant_queue_oldest_item_age_seconds", "Time that the oldest item has waited.", QUEUE)
MESSAGE_AGE = Gauge("homeassistant_message_age_seconds", "Time since the last event.", SOURCE)
LOOP_DELAY = Histogram("asyncio_eventloop_delay_seconds", "Lateness of the event loop.", buckets=bounds.LOOP_DELAY)

RECEIVED = {source: _received.labels(source) for source in SOURCES}
QUEUED = {source: _in_flight.labels(source, "queued") for source in SOURCES}
ACTIVE = {source: _in_flight.labels(source, "active") for source in SOURCES}
LINES = {sink: BYTES_SENT.labels(sink, "line_protocol") for sink in ("file",)}
TRANSFORMED = TRANSFORM.labels("line_protocol", "ok", "")
WRITTEN = WRITE.labels("file", "write", "ok", "")

received_from = functools.cache(BYTES_RECEIVED.labels)
reason = functools.cache(DISCARDED.labels)
written = functools.cache(LAG.labels)
batch = functools.cache(BATCH.labels)


@functools.cache
def processed(source: str, domain: str) -> prometheus_client.Histogram:
    """Return the durations of events that are processed."""
    return DURATION.labels(source, domain, "ok", "")


@functools.cache
def points(sink: str, measurement: str | None, outcome: str, error_type: str | None) -> prometheus_client.Counter:
    """Return the counter of points."""
    return POINTS.labels(sink, measurement or "", outcome, error_type or "")


def discard(source: str, why: str) -> None:
    """Count an event that leaves the queue for a reason."""
    QUEUED[source].dec()
    reason(source, why).inc()


def broker_dropped(number: int) -> None:
    """Count messages that the broker has dropped."""
    BROKER_DROPPED.labels("mqtt").inc(number)


def outcome(error: BaseException) -> tuple[str, str]:
    """Return the outcome and the type of error of work that has raised."""
    return "cancelled" if isinstance(error, asyncio.CancelledError) else "error", type(error).__name__


def event(process: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Measure the work on an event."""

    @functools.wraps(process)
    async def measured(self: Any, event: Any, arrived: float) -> Any:
        source = event.source
        QUEUED[source].dec()
        ACTIVE[source].inc()
        started = time.perf_counter()
        try:
            discarded = await process(self, event, arrived)
        except BaseException as error:
            DURATION.labels(source, event.domain, *outcome(error)).observe(time.perf_counter() - started)
            raise
        else:
            if discarded is None:
                processed(source, event.domain).observe(time.perf_counter() - started)
            else:
                reason(source, discarded.reason).inc()
            return discarded
        finally:
            ACTIVE[source].dec()

    return measured


def timed(
    histogram: prometheus_client.Histogram, ok: prometheus_client.Histogram, *labels: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Measure the time of a method with one argument; `ok` is the child of work that succeeds."""

    def decorator(work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        def measured(self: Any, argument: Any) -> Any:
            started = time.perf_counter()
            try:
                result = work(self, argument)
            except BaseException as error:
                histogram.labels(*labels, *outcome(error)).observe(time.perf_counter() - started)
                raise
            ok.observe(time.perf_counter() - started)
            return result

        return measured

    return decorator


class _Readings(Collector):
    """The host at each scrape."""

    def __init__(self) -> None:
        self._host = host.Host()
        self._keys = {metric: tuple(key.replace(".", "_") for key in metric.keys) for metric in host.METRICS}

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        found = self._host.read()
        for metric, keys in self._keys.items():
            if not (points := found.get(metric.name)):
                continue
            name = metric.name.replace(".", "_") + metric.suffix.removesuffix("_total")
            made = (CounterMetricFamily if metric.is_counter else GaugeMetricFamily)(name, metric.help, labels=keys)
            for values, value in points:
                made.add_metric(values, value)
            yield made

    def describe(self) -> list[Metric]:
        """Name no families, so that registering reads nothing."""
        return []


def start() -> str:
    """Read the host from now on, watch the running event loop, and return the address to scrape."""
    REGISTRY.register(_Readings())
    loop_delay.watch(LOOP_DELAY.observe)
    server, _ = prometheus_client.start_http_server(0, "127.0.0.1", REGISTRY)
    return f"http://127.0.0.1:{server.server_port}/metrics"


def push() -> None:
    """Do nothing: nothing is pushed."""


def stop() -> None:
    """Do nothing: nothing is left to push."""
