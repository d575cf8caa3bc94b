"""A series has the same labels on each way to Prometheus, apart from those that name the way."""

import pytest
from opentelemetry.metrics import get_meter

from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.servers.running import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

OF_THE_WAY = {"job", "instance", "via", "host_name"}
WAYS = ("scrape", "collector", "")
LIBRARIES = {"opentelemetry.instrumentation.requests": 1, "opentelemetry.instrumentation.urllib3": 2}


@pytest.fixture
def prometheus(make_otelcol, make_prometheus):
    """A Prometheus that gets the metrics of one service by a scrape, through the Collector and by OTLP."""
    prometheus = make_prometheus().start()
    collector = make_otelcol(upstream=prometheus.otlp_endpoint).start()
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("otlp", "prometheus"),
        otlp_endpoint=collector.otlp_http_endpoint,
        prometheus_port=0,
        export_interval=1,
    )
    with setup_telemetry("ha-ingestor", config=config) as running:
        prometheus.scrape("ha-ingestor", running.metrics_url.split("/")[2])
        prometheus.scrape("otelcol-exporter", collector.prometheus_target)
        yield prometheus


def series(prometheus, name: str, via: str) -> dict[frozenset[tuple[str, str]], float]:
    """The series of a metric by their own labels."""
    found = prometheus.query(f'{name}{{via="{via}"}}')
    own = ({k: v for k, v in labels.items() if k not in OF_THE_WAY | {"__name__"}} for labels, _ in found)
    return {frozenset(labels.items()): value for labels, (_, value) in zip(own, found, strict=True)}


def test_our_metrics_have_their_attributes_as_labels_and_no_others(prometheus):
    ingest.RECEIVED.add(3, source="mqtt")
    ingest.LAG_TO_WRITE.record(0.2, source="mqtt")
    for via in WAYS:
        events = eventually(lambda via=via: series(prometheus, ingest.RECEIVED.prometheus_name, via))
        assert events == {frozenset({("homeassistant_source", "mqtt")}): 3}
        buckets = series(prometheus, f"{ingest.LAG_TO_WRITE.prometheus_name}_bucket", via)
        labels = {name for found in buckets for name, _ in found}
        assert labels == {"homeassistant_source", "le"}


@pytest.mark.parametrize("describe", ["The same.".format, "Of {}.".format], ids=["one description", "two descriptions"])
def test_what_two_libraries_measure_alike_is_two_series_on_every_way(prometheus, describe):
    for library, number in LIBRARIES.items():
        meter, said = get_meter(library), describe(library)
        meter.create_counter("http.client.calls", description=said).add(number, {"method": "GET"})
        meter.create_gauge("http.client.share", unit="1", description=said).set(number, {"method": "GET"})
        meter.create_histogram("http.client.duration", unit="s", description=said).record(number, {"method": "GET"})
    expected = {
        frozenset({("method", "GET"), ("otel_scope_name", library)}): number for library, number in LIBRARIES.items()
    }
    for via in WAYS:
        for name in ("http_client_calls_total", "http_client_share_ratio", "http_client_duration_seconds_sum"):
            eventually(lambda name=name, via=via: series(prometheus, name, via), expected.__eq__)
    log = prometheus.log.read_text(encoding="utf-8")
    assert "same timestamp" not in log
