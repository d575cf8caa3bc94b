"""Holders: the same histogram with many series in otel-ha, in the SDK alone, and in prometheus_client."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from wsgiref.util import setup_testing_defaults

import prometheus_client
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View

from benchmarks.surroundings import SCRAPE_HEADERS
from otel_ha import SUB_SECOND, Attribute, Catalog, Histogram, Telemetry, TelemetryConfig, setup_telemetry

OURS, SDK, CLIENT = "otel-ha", "OpenTelemetry's SDK and exporters", "prometheus_client"
LIBRARIES = {"otel_ha": OURS, "sdk": SDK, "client": CLIENT}
WITHOUT_HISTORY = {"without_history": f"{OURS}, without its history"}
DAY = 86_400.0
SHARED = 10
"""Number of values of each of the first two attributes."""

AMOUNTS = (0.0004, 0.003, 0.003, 0.04, 0.3, 2.2)

Values = tuple[str, str, str]


@dataclass(frozen=True)
class Holder:
    """A histogram of 14 bounds and 3 attributes, as one library holds it.

    `render` returns the text, `answer` makes the response to Prometheus, `push` pushes if the library has a push, and
    `serve` starts a server and returns its address. `telemetry` is otel-ha's.
    """

    record: Callable[[float, Values], None]
    render: Callable[[], object]
    answer: Callable[[], object]
    push: Callable[[], object]
    serve: Callable[[], str]
    telemetry: Telemetry | None = None


def fill(holder: Holder, count: int, amounts: Sequence[float] = AMOUNTS) -> None:
    """Record to `count` series, by default in several buckets of each."""
    for number in range(count):
        values = (f"room-{number % SHARED}", f"kind-{number // SHARED % SHARED}", f"name-{number // SHARED**2}")
        for amount in amounts:
            holder.record(amount, values)


def holder(library: str, receiver: str) -> Holder:
    """Return an empty holder of one library, which pushes to `receiver` when `push` is called."""
    made = {"otel_ha": _ours, "without_history": partial(_ours, history_length=0), "sdk": _sdk, "client": _client}
    return made[library](receiver)


def _ours(receiver: str, history_length: int = 100) -> Holder:
    keys = tuple(Attribute(f"acme.{key}", f"The {key}.") for key in ("room", "kind", "name"))
    duration = Histogram("acme.work.duration", unit="s", description="Time.", attributes=keys, series=100_000)
    config = TelemetryConfig(
        environ={},
        otlp_endpoint=receiver,
        export_interval=DAY,
        prometheus_port=0,
        system_metrics=False,
        performance_metrics=False,
        operations_metrics=False,
        history_length=history_length,
    )
    telemetry = setup_telemetry("benchmark", config=config, catalog=Catalog(duration))

    def record(amount: float, values: Values) -> None:
        duration.record(amount, room=values[0], kind=values[1], name=values[2])

    answer = lambda: _answer(telemetry.wsgi_app)  # noqa: E731 - no longer than the call itself

    def push() -> None:
        telemetry.flush()
        if telemetry.history is not None:
            telemetry.history.collect()

    return Holder(record, telemetry.prometheus_text, answer, push, lambda: str(telemetry.metrics_url), telemetry)


def _sdk(receiver: str) -> Holder:
    registry = prometheus_client.CollectorRegistry()
    exporter = OTLPMetricExporter(endpoint=f"{receiver}/v1/metrics")
    pushing = PeriodicExportingMetricReader(exporter, export_interval_millis=DAY * 1e3)
    limit: dict[str, Any] = {}
    if "aggregation_cardinality_limit" in inspect.signature(View).parameters:
        limit["aggregation_cardinality_limit"] = 100_000
    views = [View(instrument_name="acme.work.duration", **limit)]
    scraped = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
    provider = MeterProvider([scraped, pushing], views=views)
    create = provider.get_meter("benchmark").create_histogram
    duration = create("acme.work.duration", unit="s", explicit_bucket_boundaries_advisory=SUB_SECOND)

    def record(amount: float, values: Values) -> None:
        duration.record(amount, {"acme.room": values[0], "acme.kind": values[1], "acme.name": values[2]})

    render = lambda: prometheus_client.generate_latest(registry)  # noqa: E731 - no longer than the call itself
    answer = lambda: _answer(prometheus_client.make_wsgi_app(registry))  # noqa: E731 - as above
    return Holder(record, render, answer, pushing.force_flush, lambda: _served(registry))


def _client(_: str) -> Holder:
    registry = prometheus_client.CollectorRegistry()
    names = ("acme_room", "acme_kind", "acme_name")
    duration = prometheus_client.Histogram(
        "acme_work_duration_seconds", "Time.", names, registry=registry, buckets=SUB_SECOND
    )

    def record(amount: float, values: Values) -> None:
        duration.labels(*values).observe(amount)

    render = lambda: prometheus_client.generate_latest(registry)  # noqa: E731 - no longer than the call itself
    answer = lambda: _answer(prometheus_client.make_wsgi_app(registry))  # noqa: E731 - as above
    return Holder(record, render, answer, lambda: None, lambda: _served(registry))


def _answer(app: Callable[..., Any]) -> None:
    """Request the metrics from a WSGI application, with the headers of Prometheus."""
    environ: dict[str, Any] = {"PATH_INFO": "/metrics"}
    setup_testing_defaults(environ)
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in SCRAPE_HEADERS.items()}
    for _ in app(environ, lambda *_: None):
        pass


def _served(registry: prometheus_client.CollectorRegistry) -> str:
    server, _ = prometheus_client.start_http_server(0, "127.0.0.1", registry)
    return f"http://127.0.0.1:{server.server_port}/metrics"
