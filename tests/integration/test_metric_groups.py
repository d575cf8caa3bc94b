"""With some metric groups off, events arrive on each of the ways to Prometheus, and the accounts hold there."""

import pytest

from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.integration.flow import counts_in
from tests.servers.running import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

WAYS = ("scrape", "collector", "")
BUCKETS = f"{ingest.EVENT_DURATION.prometheus_name}_bucket"


@pytest.fixture
def prometheus(make_otelcol, make_prometheus):
    """A Prometheus that gets some events, measured without buckets, by a scrape, through the Collector and by OTLP."""
    prometheus = make_prometheus().start()
    collector = make_otelcol(upstream=prometheus.otlp_endpoint).start()
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("otlp", "prometheus"),
        otlp_endpoint=collector.otlp_http_endpoint,
        prometheus_port=0,
        system_metrics=False,
        performance_metrics=False,
        export_interval=1,
    )
    with setup_telemetry("ha-ingestor", config=config) as running:
        prometheus.scrape("ha-ingestor", running.metrics_url.split("/")[2])
        prometheus.scrape("otelcol-exporter", collector.prometheus_target)
        with measured(ingest.EVENT, source="mqtt"):
            pass
        ingest.EVENT.receive(source="mqtt")
        for _ in range(21):  # twenty of them were not received
            ingest.EVENT.discard("filtered", source="mqtt")
        yield prometheus


def test_without_buckets_and_receipts_the_accounts_hold_on_every_way(prometheus):
    expected = {
        ("received", "mqtt", ""): 22,
        ("processed", "mqtt", "ok"): 1,
        ("discarded", "mqtt", "filtered"): 21,
        ("in flight", "mqtt", ""): 0,
    }
    for way in WAYS:
        assert eventually(lambda way=way: counts_in(prometheus, way), expected.__eq__)


def test_a_duration_without_buckets_has_the_bucket_of_infinity_on_every_way(prometheus):
    for way in WAYS:
        found = eventually(lambda way=way: prometheus.query(f'{BUCKETS}{{via="{way}"}}'))
        assert [(labels["le"], value) for labels, value in found] == [("+Inf", 1)]
