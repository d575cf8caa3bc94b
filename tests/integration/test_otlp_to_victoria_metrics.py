"""A service that pushes straight into VictoriaMetrics has the same series there as one that is scraped."""

import pytest

from otel_ha import Catalog, Histogram, TelemetryConfig, setup_telemetry
from tests.integration.flow import Home, counts_at, counts_in, ingestor
from tests.servers.running import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

# Only a scrape has these.
OF_A_SCRAPE = "up|scrape_.*|target_info"


def series_in(store, way: str) -> set[frozenset[tuple[str, str]]]:
    """Every series of the service that came this way, without the labels that tell the ways apart."""
    found = store.query(f'last_over_time({{job="ha-ingestor", {way}, __name__!~"{OF_A_SCRAPE}"}}[1h])')
    assert found
    return {
        frozenset(
            (name, text) for name, text in labels.items() if not name.startswith(("instance", "via", "otel_scope_"))
        )
        for labels, _ in found
    }


def test_names_labels_and_counts_are_those_of_a_scrape(mosquitto, victoria_metrics):
    home = Home(mosquitto)
    home.leave_retained()
    target = f"--victoriametrics={victoria_metrics.url}"
    with ingestor(mosquitto, f"{victoria_metrics.url}/opentelemetry", target) as service:
        victoria_metrics.scrape("ha-ingestor", service.metrics_url.split("/")[2])
        home.publish(500)
        home.close()
        expected = home.expected_counts("victoriametrics")
        eventually(lambda: counts_at(service.metrics_url), lambda found: found == expected)
        for via in ("scrape", ""):
            eventually(lambda via=via: counts_in(victoria_metrics, via), lambda found: found == expected)
        eventually(
            lambda: (series_in(victoria_metrics, 'via="scrape"'), series_in(victoria_metrics, 'via=""')),
            lambda ways: ways[0] == ways[1],
        )
        ids = {labels["instance"] for labels, _ in victoria_metrics.query('homeassistant_event_received_total{via=""}')}
        assert len(ids) == 1


def test_small_bounds_of_histograms_are_spelled_as_in_a_scrape(victoria_metrics):
    bounds = (0.0000025, 0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.5, 2.5)
    histogram = Histogram("test.duration", unit="s", description="Made up.", buckets=bounds)
    endpoint = f"{victoria_metrics.url}/opentelemetry"
    environ = {"OTEL_METRICS_EXPORTER": "otlp,prometheus", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    config = TelemetryConfig(environ=environ, prometheus_port=0, system_metrics=False)
    with setup_telemetry("test", config=config, catalog=Catalog(histogram)) as telemetry:
        histogram.record(1)
        assert telemetry.flush()
        victoria_metrics.scrape("test", telemetry.metrics_url.split("/")[2])
        spelled = {
            way: eventually(
                lambda way=way: {
                    labels["le"] for labels, _ in victoria_metrics.query(f"test_duration_seconds_bucket{{{way}}}")
                }
            )
            for way in ('instance=~"127.*"', 'instance!~"127.*"')
        }
    pushed, scraped = spelled.values()
    assert pushed == scraped
    assert len(pushed) == len(bounds) + 1
