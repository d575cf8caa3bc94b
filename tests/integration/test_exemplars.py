"""A real Prometheus stores the exemplars of a scrape and of a push, and finds the span of measured work by them."""

import time

import pytest

from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.servers.prometheus import Prometheus
from tests.servers.running import eventually
from tests.traced import Traced, id_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

DURATION = f"{ingest.EVENT_DURATION.prometheus_name}_bucket"
RECEIVED = ingest.RECEIVED.prometheus_name
WITHIN = 60.0


def exemplars(prometheus: Prometheus, name: str, via: str) -> set[tuple[str, str]]:
    """Return the trace and the span of each exemplar of a metric that came on this way."""
    found = prometheus.exemplars(name)
    return {(labels["trace_id"], labels["span_id"]) for series, labels in found if series.get("via", "") == via}


def ids(span) -> tuple[str, str]:
    return f"{span.get_span_context().trace_id:032x}", f"{id_of(span):016x}"


@pytest.mark.parametrize(("exporters", "via"), [(("prometheus",), "scrape"), (("prometheus", "otlp"), "")])
def test_prometheus_finds_the_span_of_measured_work_by_its_exemplar(make_prometheus, exporters, via):
    prometheus = make_prometheus().start()
    config = TelemetryConfig(
        environ={},
        metrics_exporters=exporters,
        otlp_endpoint=prometheus.otlp_metrics_endpoint,
        prometheus_port=0,
        export_interval=1,
    )
    with setup_telemetry("ha-ingestor", config=config) as running, Traced() as traced:
        prometheus.scrape("ha-ingestor", running.metrics_url.split("/")[2])
        work = measured(ingest.EVENT, source="mqtt")(time.sleep)
        work(0.002)
        for name in (DURATION, RECEIVED):
            eventually(lambda name=name: exemplars(prometheus, name, via), {ids(traced.one)}.__eq__, WITHIN)
        # Another bucket of the duration, and a newer exemplar of the counter.
        work(0.02)
        first, second = map(ids, traced.spans)
        for name in (DURATION, RECEIVED):
            eventually(lambda name=name: exemplars(prometheus, name, via), {first, second}.__eq__, WITHIN)
    log = prometheus.log.read_text(encoding="utf-8")
    assert not [line for line in log.splitlines() if "xemplar" in line and "level=WARN" in line]
