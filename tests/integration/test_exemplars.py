"""A real Prometheus stores the exemplars of a scrape and of a push, and finds the span of measured work by them."""

import time
from urllib.parse import urlencode

import pytest

from otel_ha import TelemetryConfig, measured, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.servers.running import eventually, get_json
from tests.traced import Traced, id_of

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

DURATION = f"{ingest.EVENT_DURATION.prometheus_name}_bucket"
RECEIVED = ingest.RECEIVED.prometheus_name


def exemplars(prometheus, name: str, via: str) -> set[tuple[str, str]]:
    """Return the trace and the span of each exemplar of a metric that came on this way."""
    asked = urlencode({"query": name, "start": time.time() - 600, "end": time.time() + 60})
    found = get_json(f"{prometheus.url}/api/v1/query_exemplars?{asked}")["data"]
    of_way = [series["exemplars"] for series in found if series["seriesLabels"].get("via", "") == via]
    return {(each["labels"]["trace_id"], each["labels"]["span_id"]) for of_series in of_way for each in of_series}


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
            eventually(lambda name=name: exemplars(prometheus, name, via), {ids(traced.one)}.__eq__)
        # Another bucket of the duration, and a newer exemplar of the counter.
        work(0.02)
        first, second = map(ids, traced.spans)
        for name in (DURATION, RECEIVED):
            eventually(lambda name=name: exemplars(prometheus, name, via), {first, second}.__eq__)
    log = prometheus.log.read_text(encoding="utf-8")
    assert not [line for line in log.splitlines() if "xemplar" in line and "level=WARN" in line]
