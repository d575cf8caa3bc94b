"""The SDK by itself: OpenTelemetry's own exporters, with metrics as the ingestor's that nobody records to any more."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from prometheus_client import start_http_server

from otel_ha.instrumentation.system import _READINGS
from otel_ha.vocabulary import ingest

INTERVAL = 1000
"""Milliseconds between two pushes."""
DOMAINS = 8

# Of each instrument about as many series as the ingestor has.
HISTOGRAMS = {
    ingest.EVENT_DURATION: DOMAINS,
    ingest.TRANSFORM_DURATION: 1,
    ingest.LAG_TO_WRITE: 1,
    ingest.WRITE_DURATION: 1,
    ingest.BATCH_SIZE: 1,
}
COUNTERS = {
    ingest.RECEIVED: 1,
    ingest.DISCARDED: 3,
    ingest.DATA_RECEIVED: 1,
    ingest.DATA_SENT: 1,
    ingest.POINTS_WRITTEN: DOMAINS,
    ingest.IN_FLIGHT: 2,
}
OBSERVED = (ingest.QUEUE_SIZE, ingest.QUEUE_CAPACITY, ingest.QUEUE_AGE, ingest.MESSAGE_AGE)


def start(receiver: str) -> str:
    """Serve and push from now on, host and process among it; return where to scrape."""
    server, _ = start_http_server(0, "127.0.0.1")
    exporter = OTLPMetricExporter(endpoint=f"{receiver}/v1/metrics")
    push = PeriodicExportingMetricReader(exporter, export_interval_millis=INTERVAL)
    provider = MeterProvider([PrometheusMetricReader(), push])
    system = {reading.name: reading.parts and list(reading.parts) for reading in _READINGS}
    SystemMetricsInstrumentor(config=system).instrument(meter_provider=provider)
    meter = provider.get_meter("benchmark")
    for declared, series in HISTOGRAMS.items():
        histogram = meter.create_histogram(
            declared.name, declared.unit, declared.description, explicit_bucket_boundaries_advisory=declared.buckets
        )
        for number in range(series):
            histogram.record(0.001, {"source": "mqtt", "domain": str(number), "outcome": "ok"})
    for counted, series in COUNTERS.items():
        counter = meter.create_counter(counted.name, counted.unit, counted.description)
        for number in range(series):
            counter.add(1, {"source": "mqtt", "what": str(number)})
    for watched in OBSERVED:
        meter.create_observable_gauge(watched.name, [_observe], watched.unit, watched.description)
    return f"http://127.0.0.1:{server.server_port}/metrics"


def _observe(_: CallbackOptions) -> list[Observation]:
    return [Observation(1, {"queue": "ingest"})]
