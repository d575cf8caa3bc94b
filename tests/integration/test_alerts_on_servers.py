"""The metrics of real servers that alerts read, and a Collector whose upstream refuses data for good."""

from __future__ import annotations

import json
import re

import pytest

from otel_ha.render.alerts.groups import alerts_by_group, render_alerts
from otel_ha.render.catalogs import service_catalogs, united
from tests.integration.signals import send
from tests.receivers import answer, receiving
from tests.servers.prometheus import Scrape
from tests.servers.running import eventually, get, post

CATALOG = united(service_catalogs())
# The Collector has these only once they have happened, and Thanos is another stack's.
ITEMS = ("metric_points", "spans", "log_records")
LATER = {*(f"otelcol_exporter_enqueue_failed_{each}_total" for each in ITEMS), "thanos_build_info"}
POINT = {"timeUnixNano": "1795667140000000000", "asDouble": 1}
PUSHED = {
    "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "acme.level", "gauge": {"dataPoints": [POINT]}}]}]}]
}
pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture
def collector(make_otelcol):
    """A Collector whose upstream answers as Thanos does to one series with the same labels twice."""
    with receiving(answer("409 Conflict")) as upstream:
        signals = {"OTELCOL_TRACES_UPSTREAM": upstream.url, "OTELCOL_LOGS_UPSTREAM": upstream.url}
        variables = {"OTELCOL_EXPORTERS": "[prometheus, otlp_http]", **signals}
        yield make_otelcol(upstream=upstream.url, variables=variables).start()


@pytest.fixture
def rules(tmp_path):
    """The alerts, with times of seconds."""
    file = tmp_path / "alerts.yml"
    file.write_text(render_alerts(CATALOG, ["for=1s", "window=4s"]), encoding="utf-8")
    return file


def push(collector) -> None:
    post(f"{collector.otlp_http_endpoint}/v1/metrics", json.dumps(PUSHED), "application/json")


def read_by(group: str) -> set[str]:
    """Return the names of the servers' metrics that the alerts of a group read."""
    text = " ".join(alert.expr for alert in alerts_by_group(CATALOG)[group])
    own = "otelcol|prometheus|alertmanager|thanos|vmalert|vm"
    return set(re.findall(rf"\b(?:{own})_[a-z_]+", text))


def test_servers_have_the_metrics_that_alerts_read(
    collector, make_prometheus, alertmanager, victoria_metrics, make_vmalert, rules
):
    vmalert = make_vmalert(store=victoria_metrics.url, rules=[rules], notifier=alertmanager.url).start()
    prometheus = make_prometheus(
        [Scrape("otelcol", collector.telemetry_target)], alertmanager=alertmanager.target
    ).start()
    push(collector)
    send(collector.otlp_grpc_endpoint, [1])
    servers = [each.url for each in (prometheus, alertmanager, victoria_metrics, vmalert)]

    def missing() -> set[str]:
        pages = [get(collector.telemetry_url), *(get(f"{url}/metrics") for url in servers)]
        return read_by("otel_ha_servers") - set(re.findall(r"^(\w+)", "\n".join(pages), re.MULTILINE)) - LATER

    eventually(missing, lambda names: not names)


def test_data_that_an_upstream_refuses_for_good_fires_an_alert(collector, make_prometheus, rules):
    prometheus = make_prometheus([Scrape("otelcol", collector.telemetry_target)], rules=[rules]).start()
    eventually(lambda: prometheus.query("count_over_time(up[8s]) > 5"))
    push(collector)

    def dropped() -> list[str]:
        return [
            alert["annotations"]["summary"]
            for alert in prometheus.alerts()
            if alert["labels"]["alertname"] == "CollectorDropsData" and alert["state"] == "firing"
        ]

    assert eventually(dropped) == ["The Collector otelcol drops data for otlp_http"]
