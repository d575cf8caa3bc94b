"""The doctor on the stacks of this repository: a healthy one has no finding, though metrics come by several ways."""

import pytest

from otel_ha.cli.client import Access
from otel_ha.cli.doctor.store import Store
from tests.integration.doctor import SCRAPE_ONLY, SERVICE, doctor, service, target_of, url_of
from tests.servers.running import eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

EVENTS = "homeassistant_event_received_total"


def test_the_standard_stack_has_no_finding(prometheus, make_otelcol):
    otelcol = make_otelcol(upstream=prometheus.otlp_endpoint).start()
    push = {"otlp_endpoint": f"{otelcol.otlp_http_endpoint}/v1/metrics", "export_interval": 1.0}
    with service(metrics_exporters=("otlp", "prometheus"), **push) as telemetry:
        prometheus.scrape(SERVICE, target_of(telemetry))
        prometheus.scrape("otelcol-exporter", otelcol.prometheus_target)
        prometheus.scrape("otelcol", otelcol.telemetry_target)
        prometheus.scrape("prometheus", prometheus.target)
        eventually(lambda: len(prometheus.query(f'{EVENTS}{{job="{SERVICE}"}}')) == 3, timeout=60)
        report = doctor(
            *("--service-url", url_of(telemetry), "--prometheus", prometheus.url),
            *("--collector-metrics", otelcol.prometheus_url),
            canary=True,
            OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint,
        )
    assert report.causes == []
    assert {way["via"] for way in report.step("prometheus.ways")["facts"]["ways"]} == {"scrape", "collector", ""}
    assert [report.step(f"canary.{name}")["result"] for name in ("push", "collector", "prometheus")] == ["ok"] * 3


def test_the_home_stack_has_no_finding(victoria_metrics):
    with service() as telemetry:
        victoria_metrics.scrape(SERVICE, target_of(telemetry))
        victoria_metrics.scrape("victoria-metrics", victoria_metrics.address)
        store = Store.at(victoria_metrics.url, Access())  # it asks at this moment, as the doctor does
        eventually(lambda: store.query(f'{EVENTS}{{job="{SERVICE}"}}'))
        report = doctor(
            *("--service-url", url_of(telemetry), "--prometheus", victoria_metrics.url), canary=True, **SCRAPE_ONLY
        )
    assert report.causes == []
    assert report.step("prometheus.ways")["facts"]["ways"][0]["via"] == "scrape"
