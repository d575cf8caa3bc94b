"""Every query of every dashboard, on the stores that execute it, fed by the example ingestor by every way in."""

import json
import re
import time

import pytest

from otel_ha.render.catalogs import service_catalogs
from otel_ha.render.dashboards.files import dashboard_files
from tests.integration.feed import SERVICE, feed
from tests.servers.running import eventually, instant_query

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

GRAFANA = {name: json.loads(text) for name, text in dashboard_files(service_catalogs(), "grafana").items()}
VMUI = dashboard_files(service_catalogs(), "vmui")
WAYS = {"scrape": "scrape", "collector": "collector", "otlp": ""}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboards")
    for name, text in VMUI.items():
        (folder / name).write_text(text)
    with feed(tmp_path_factory.mktemp, folder) as running:
        yield running


def for_grafana(expr: str, via: str = ".*") -> str:
    """Return what Grafana asks the store for, once its variables have their values."""
    chosen = {"$__rate_interval": "1m", "$job": SERVICE, "$instance": ".*", "$via": via, "$collector": "otelcol"}
    for name, value in chosen.items():
        expr = expr.replace(name, value)
    return expr


def grafana_panels():
    for name, dashboard in GRAFANA.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']}", panel["description"], target["expr"]


def vmui_panels():
    for name, text in VMUI.items():
        for row in json.loads(text)["rows"]:
            for panel in row["panels"]:
                for expr in panel["expr"]:
                    yield f"{name}: {panel['title']}", panel["description"], expr


def without_data(url, panels) -> list[str]:
    """Return the panels without data, except those that say when they are empty; an invalid query raises."""
    empty = []
    for which, description, expr in panels:
        found = [value for _, value in instant_query(url, expr) if value == value]
        if not found and "Empty " not in description:
            empty.append(f"{which}: {expr}")
    return empty


@pytest.mark.parametrize("way", WAYS)
def test_every_query_has_data_in_prometheus_by_each_way(stores, way):
    panels = [(which, about, for_grafana(expr, WAYS[way])) for which, about, expr in grafana_panels()]
    eventually(lambda: without_data(stores.prometheus.url, panels), lambda empty: empty == [])


@pytest.mark.parametrize("store", ["by_scrape", "by_otlp"])
def test_every_query_has_data_in_victoriametrics_by_each_way(stores, store):
    url = getattr(stores, store).url
    eventually(lambda: without_data(url, vmui_panels()), lambda empty: empty == [])
    panels = [(which, about, for_grafana(expr)) for which, about, expr in grafana_panels()]
    assert without_data(url, panels) == []
