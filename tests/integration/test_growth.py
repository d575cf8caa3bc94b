"""Growth at a real Collector: many series in one push, and several services."""

from benchmarks import growth_services
from otel_ha import Attribute, Catalog, Histogram, TelemetryConfig, setup_telemetry
from tests.servers.fixtures import needed
from tests.servers.otelcol import Collector
from tests.servers.running import get

SERIES = 13_000
"""Histograms whose encoding is larger than the 4 MiB that a Collector accepts by gRPC."""
NUMBER = Attribute("test.number", "A number.")
DURATION = Histogram("test.work.duration", unit="s", description="Time.", attributes=(NUMBER,), series=SERIES)


def test_a_push_that_is_too_large_for_one_request_arrives(otelcol: Collector) -> None:
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("otlp",),
        otlp_protocol="grpc",
        otlp_endpoint=otelcol.otlp_grpc_endpoint,
        otlp_timeout=60,
        export_timeout=60,
        export_interval=3600,
        history_length=0,
    )
    with setup_telemetry("test", config=config, catalog=Catalog(DURATION)) as telemetry:
        for number in range(SERIES):
            DURATION.record(0.1, number=str(number))
        assert telemetry.flush(60)
        lines = get(otelcol.prometheus_url).splitlines()
        telemetry.pipeline.silence()  # the last push says nothing new
    assert sum(line.startswith("test_work_duration_seconds_count{") for line in lines) == SERIES


def test_a_collector_has_every_event_of_several_services() -> None:
    found = growth_services.one_fleet(needed("otelcol"), 2, 0.5)
    assert found[growth_services.LOST] == [0]
    assert found[growth_services.PUSHED][0] > 0
    assert len(found[growth_services.SERVICE]) == 2
