"""The ways to measure a call, each in its best honest form: with otel-ha, with peers, and by hand."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from benchmarks import targets
from otel_ha import measured
from otel_ha.vocabulary import ingest

Ways = dict[str, Callable[[], object]]
"""By name: a function to call, or one that returns a coroutine to await."""

BARE = "a bare call"
WRAPPER = targets.WRAPPER
BARE_COROUTINE = "a bare coroutine"
OURS = targets.MEASURED
OURS_COMPUTED = targets.COMPUTED
OURS_COROUTINE = "otel-ha: measured(), a coroutine"
OURS_RAISING = targets.RAISING
OURS_BOUND_BLOCK = targets.BOUND_BLOCK
OURS_BOUND_DISCARDED = targets.DISCARDED_BLOCK
OURS_BOUND_LATE = "otel-ha: with bound.measured() and set()"
OURS_BLOCK = targets.BLOCK
OURS_REUSED_BLOCK = "otel-ha: with measured(), reused"
OURS_QUEUED = "otel-ha: receive(), then with measured() and discard()"
OURS_RECEIVED = "otel-ha: receive() and discard()"
OURS_RECEIVED_BOUND = "otel-ha: receive() and discard(), bound"
OURS_COUNTER = targets.COUNTER
OURS_BOUND = "otel-ha: a counter, bound"
OTEL = targets.OTEL
OTEL_USUAL = "OpenTelemetry by hand, attributes made per call"
OTEL_COUNTER = "OpenTelemetry: a counter, attributes made once"
PROMETHEUS = targets.HELD
PROMETHEUS_USUAL = targets.CLIENT
PROMETHEUS_COUNTER = "prometheus_client: a counter, labels()"
COROUTINES = frozenset({BARE_COROUTINE, OURS_COROUTINE})


def bare() -> None:
    """Stand in for the work."""


async def bare_coroutine() -> None:
    """Stand in for the work."""


def clocked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` timed, with the time discarded: the lower limit for a decorator that measures a duration."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            _ = time.perf_counter() - started

    return wrapper


def limits() -> Ways:
    """Return the lower limits: a bare call, and a wrapper that only reads the clock."""
    return {BARE: bare, WRAPPER: clocked(bare), BARE_COROUTINE: bare_coroutine}


def ours() -> Ways:
    """Return the ways of otel-ha, which are inert while no telemetry runs.

    Each has a domain of its own, and so a list of the journal: a list that grows long is emptied by the call that finds
    it so, and one way would pay for all others.
    """
    return {**_decorated(), **_blocks(), **_counts()}


def _decorated() -> Ways:
    both = measured(ingest.EVENT, source="mqtt", domain="light")
    coroutine = measured(ingest.EVENT, source="mqtt", domain="switch")(bare_coroutine)
    computed: Callable[[str], None] = measured(ingest.EVENT, source="mqtt", domain=lambda domain: domain)(_of_domain)
    failing = both(_failing)

    def raising() -> None:
        with suppress(ValueError):
            failing()

    found: Ways = {OURS: both(bare), OURS_COMPUTED: functools.partial(computed, "sensor")}
    return found | {OURS_COROUTINE: coroutine, OURS_RAISING: raising}


def _blocks() -> Ways:
    bound = ingest.EVENT.bind(source="mqtt", domain="climate")
    of_mqtt = ingest.EVENT.bind(source="mqtt")
    reused = measured(ingest.EVENT, source="mqtt", domain="fan")

    def bound_block() -> None:
        with bound.measured():
            bare()

    def bound_discarded() -> None:
        with bound.measured() as event:
            bare()
            event.discard("duplicate")

    def bound_late() -> None:
        with of_mqtt.measured() as event:
            bare()
            event.set(domain="cover")

    def reused_block() -> None:
        with reused:
            bare()

    def block() -> None:
        with measured(ingest.EVENT, source="mqtt", domain="lock"):
            bare()

    def queued() -> None:
        ingest.EVENT.receive(source="mqtt")
        with measured(ingest.QUEUED_EVENT, source="mqtt", domain="light") as event:
            event.discard("duplicate")

    found = {OURS_BOUND_BLOCK: bound_block, OURS_BOUND_DISCARDED: bound_discarded, OURS_BOUND_LATE: bound_late}
    return {**found, OURS_REUSED_BLOCK: reused_block, OURS_BLOCK: block, OURS_QUEUED: queued}


def _counts() -> Ways:
    discarded = ingest.DISCARDED
    of_mqtt = ingest.EVENT.bind(source="mqtt")
    held = discarded.bind(source="mqtt", reason="duplicate")

    def received() -> None:
        ingest.EVENT.receive(source="mqtt")
        ingest.EVENT.discard("overflow", source="mqtt")

    def received_bound() -> None:
        of_mqtt.receive()
        of_mqtt.discard("overflow")

    def count() -> None:
        discarded.add(1, source="mqtt", reason="duplicate")

    found: Ways = {OURS_RECEIVED: received, OURS_RECEIVED_BOUND: received_bound}
    return found | {OURS_COUNTER: count, OURS_BOUND: lambda: held.add(1)}


def _of_domain(domain: str) -> None:
    """Stand in for the work."""


def _failing() -> None:
    """Stand in for work that fails."""
    raise ValueError("failed")


def opentelemetry(readers: int) -> Ways:
    """Return an event measured in full with the SDK: received, in flight, duration by outcome, no longer in flight."""
    return opentelemetry_to([InMemoryMetricReader() for _ in range(readers)])


def opentelemetry_to(readers: Sequence[InMemoryMetricReader]) -> Ways:
    """Return the same for these readers."""
    meter = MeterProvider(readers, shutdown_on_exit=False).get_meter("benchmark")
    duration = meter.create_histogram("duration", explicit_bucket_boundaries_advisory=ingest.PROCESSING)
    received, in_flight = meter.create_counter("received"), meter.create_up_down_counter("in_flight")
    discarded = meter.create_counter("discarded")
    source, why = {"source": "mqtt"}, {"source": "mqtt", "reason": "duplicate"}
    active, ended = {"source": "mqtt", "state": "active"}, {"source": "mqtt", "domain": "light", "outcome": "ok"}

    def held() -> None:
        start = time.perf_counter()
        received.add(1, source)
        in_flight.add(1, active)
        bare()
        duration.record(time.perf_counter() - start, ended)
        in_flight.add(-1, active)

    def usual() -> None:
        start = time.perf_counter()
        received.add(1, {"source": "mqtt"})
        in_flight.add(1, {"source": "mqtt", "state": "active"})
        bare()
        duration.record(time.perf_counter() - start, {"source": "mqtt", "domain": "light", "outcome": "ok"})
        in_flight.add(-1, {"source": "mqtt", "state": "active"})

    return {OTEL: held, OTEL_USUAL: usual, OTEL_COUNTER: lambda: discarded.add(1, why)}


def prometheus() -> Ways:
    """Return the same with prometheus_client, which has no readers."""
    return prometheus_to(prometheus_client.CollectorRegistry())


def prometheus_to(registry: prometheus_client.CollectorRegistry) -> Ways:
    """Return the same for this registry."""
    names, states = ("source", "domain", "outcome"), ("source", "state")
    duration = prometheus_client.Histogram("duration", "", names, registry=registry, buckets=ingest.PROCESSING)
    received = prometheus_client.Counter("received", "", names[:1], registry=registry)
    in_flight = prometheus_client.Gauge("in_flight", "", states, registry=registry)
    held_received, held_in_flight = received.labels("mqtt"), in_flight.labels("mqtt", "active")
    held_duration = duration.labels("mqtt", "light", "ok")
    discarded = prometheus_client.Counter("discarded", "", ("source", "reason"), registry=registry)

    def held() -> None:
        start = time.perf_counter()
        held_received.inc()
        held_in_flight.inc()
        bare()
        held_duration.observe(time.perf_counter() - start)
        held_in_flight.dec()

    def usual() -> None:
        start = time.perf_counter()
        received.labels("mqtt").inc()
        in_flight.labels("mqtt", "active").inc()
        bare()
        duration.labels("mqtt", "light", "ok").observe(time.perf_counter() - start)
        in_flight.labels("mqtt", "active").dec()

    count = lambda: discarded.labels("mqtt", "duplicate").inc()  # noqa: E731 - no longer than the call itself
    return {PROMETHEUS: held, PROMETHEUS_USUAL: usual, PROMETHEUS_COUNTER: count}
