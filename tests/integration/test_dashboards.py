"""Every query of every dashboard, on the stores that execute it, fed by the example ingestor by every way in."""

import json
import math
import subprocess
import time
from urllib.parse import urlsplit

import pytest
import yaml

from otel_ha import (
    Attribute,
    Catalog,
    Counter,
    Gauge,
    Histogram,
    Objective,
    ObservableUpDownCounter,
    TelemetryConfig,
    setup_telemetry,
)
from otel_ha.render.catalogs import NamedCatalog, service_catalogs
from otel_ha.render.dashboards.files import dashboard_files
from tests.integration.feed import SERVICE, feed
from tests.promtool import Case, rules_give
from tests.servers.browser import opened
from tests.servers.running import eventually, instant_query

# One feed serves all tests, so that they run in one process.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("dashboards")]

GRAFANA = dashboard_files(service_catalogs(), "grafana")
VMUI = dashboard_files(service_catalogs(), "vmui")
# Panels whose description says when they are empty, for which the example ingestor has no data.
UNFED = {
    "Alerts",
    "CPU limit of the container",
    "Circuit breakers",
    "Failed events by error",
    "Failed to queue",
    "Failed to send",
    "Firing alerts",
    "Lost points by error",
    "Memory of the container",
    "Memory use of the container",
    "Recording problems",
    "Resynchronized",
}
WAYS = {"scrape": "scrape", "collector": "collector", "otlp": ""}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboards")
    for name, text in VMUI.items():
        (folder / name).write_text(text)
    with feed(tmp_path_factory.mktemp, folder) as running:
        yield running


def for_grafana(expr: str, via: str = ".*", job: str = SERVICE) -> str:
    """Return what Grafana asks the store for, once its variables have their values."""
    chosen = {"$__rate_interval": "1m", "$job": job, "$instance": ".*", "$via": via, "$collector": "otelcol"}
    for name, value in chosen.items():
        expr = expr.replace(name, value)
    return expr


def grafana_panels(files=GRAFANA):
    for name, text in files.items():
        for panel in json.loads(text)["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']}", panel["description"], target["expr"]


def vmui_panels(files=VMUI):
    for name, text in files.items():
        for row in json.loads(text)["rows"]:
            for panel in row["panels"]:
                for expr in panel["expr"]:
                    yield f"{name}: {panel['title']}", panel["description"], expr


def has_data(url, expr, **parameters) -> bool:
    return any(not math.isnan(value) for _, value in instant_query(url, expr, **parameters))


def _nothing(empty) -> bool:
    return empty == []


def without_data(url, panels, **parameters) -> list[str]:
    """Return the panels without data, except those that say so and cannot be fed here; an invalid query raises."""
    empty = []
    for which, description, expr in panels:
        title = which.partition(": ")[2]
        if not has_data(url, expr, **parameters) and ("Empty " not in description or title not in UNFED):
            empty.append(f"{which}: {expr}")
    return empty


@pytest.mark.parametrize("way", WAYS)
def test_every_query_has_data_in_prometheus_by_each_way(stores, way):
    panels = [(which, about, for_grafana(expr, WAYS[way])) for which, about, expr in grafana_panels()]
    eventually(lambda: without_data(stores.prometheus.url, panels), _nothing)


@pytest.mark.parametrize("store", ["by_scrape", "by_otlp"])
def test_every_query_has_data_in_victoriametrics_by_each_way(stores, store):
    url = getattr(stores, store).url
    eventually(lambda: without_data(url, vmui_panels()), _nothing)
    panels = [(which, about, for_grafana(expr)) for which, about, expr in grafana_panels()]
    assert without_data(url, panels) == []


def test_promtool_accepts_every_expression(promtool, tmp_path):
    marks = [each["expr"] for text in GRAFANA.values() for each in json.loads(text)["annotations"]["list"]]
    every = [for_grafana(expr) for expr in (*marks, *(expr for _, _, expr in grafana_panels()))]
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(every)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(every)} rules found" in done.stdout


LOADED = {'ALERTS{alertname="Watchdog", alertstate="firing", severity="info"}': "1x9"}
PAGE = {'ALERTS{alertname="ServerDown", alertstate="firing", severity="page", job="otelcol"}': "1x9"}
PENDING = {'ALERTS{alertname="CpuHigh", alertstate="pending", severity="ticket", job="other"}': "1x9"}


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ({}, {}),
        (LOADED, {"{}": 0}),
        (LOADED | PENDING, {"{}": 0}),
        (LOADED | PAGE, {"{}": 1}),
        (PAGE, {"{}": 1}),
    ],
    ids=["no rules", "no alert", "pending", "another job", "no watchdog"],
)
def test_firing_alerts_are_0_only_where_rules_are_loaded(promtool, tmp_path, series, expected):
    (expr,) = (for_grafana(expr) for which, _, expr in grafana_panels() if which.endswith(": Firing alerts"))
    rules_give(promtool, tmp_path, [], Case(series, [(expr, "1m", expected)]))


ROOM = Attribute("acme.room", "The room.", budget=50)
OPENINGS = Counter("acme.window.openings", unit="{opening}", description="Opened windows.", attributes=(ROOM,))
OPEN = ObservableUpDownCounter("acme.window.open", unit="{window}", description="Open windows.", attributes=(ROOM,))
WARMTH = Gauge("acme.room.warmth", unit="Cel", description="Warmth of a room.", attributes=(ROOM,))
HEATING = Histogram("acme.heating.duration", unit="s", description="Time to heat a room.", buckets=(60.5, 900.5))
QUICK = Objective(HEATING, bound=900.5, target=0.95, description="95 % of rooms are warm within 15 minutes.")
ACME = Catalog(OPENINGS, OPEN, WARMTH, HEATING, objectives=[QUICK])


def test_the_dashboard_of_a_users_catalog_has_data(stores):
    named = NamedCatalog("acme.metrics", "CATALOG", "About.", ACME, {}, {})
    vmui, grafana = (dashboard_files([named], form) for form in ("vmui", "grafana"))
    config = TelemetryConfig(environ={}, metrics_exporters=("prometheus",), prometheus_port=0, system_metrics=False)
    with setup_telemetry("acme", config=config, catalog=ACME) as telemetry, OPEN.observe(lambda: 2, room="kitchen"):
        stores.prometheus.scrape("acme", urlsplit(telemetry.metrics_url).netloc)
        stores.by_scrape.scrape("acme", urlsplit(telemetry.metrics_url).netloc)

        def empty() -> list[str]:
            OPENINGS.add(1, room="kitchen")
            WARMTH.set(21, room="kitchen")
            HEATING.record(600)
            asked = [for_grafana(expr, job="acme") for _, _, expr in grafana_panels(grafana)]
            in_prometheus = [expr for expr in asked if not has_data(stores.prometheus.url, expr)]
            in_store = [expr for _, _, expr in vmui_panels(vmui) if not has_data(stores.by_scrape.url, expr)]
            return in_prometheus + in_store

        eventually(empty, lambda found: found == [])


def test_a_service_that_is_scraped_and_pushed_counts_once(stores):
    """Every number is that of one way in; a sum of ways is none of them."""

    def asked(expr, via, at):
        found = instant_query(stores.prometheus.url, for_grafana(expr, via), time=at)
        return {tuple(sorted(labels.items())): value for labels, value in found if not math.isnan(value)}

    def summed() -> list[str]:
        at = str(time.time() - 3)
        wrong = []
        for which, _, expr in grafana_panels():
            by_way = [asked(expr, via, at) for via in WAYS.values()]
            for labels, value in asked(expr, ".*", at).items():
                if value not in [found.get(labels) for found in by_way]:
                    wrong.append(f"{which}: {dict(labels)} is {value}, not one of {by_way}")
        return wrong

    eventually(summed, lambda wrong: wrong == [])


# Chooses a dashboard, opens its rows, then scrolls to one panel after the other: the page draws only what can be seen.
# Each line has a color of its own; that of a limit is none of data.
DRAWN = """(() => {
  const tab = document.querySelectorAll('.vm-predefined-panels-tabs__tab')[%d];
  if (!tab) return false;
  if (!window.step) {
    tab.click();
    window.step = 1;
    return false;
  }
  if (window.step === 1) {
    [...document.querySelectorAll('.vm-predefined-dashboard')].slice(1)
      .forEach(row => row.querySelector('.vm-accordion-header').click());
    window.step = 2;
    window.found = [];
    return false;
  }
  const panels = document.querySelectorAll('.vm-predefined-panel');
  const panel = panels[window.found.length];
  if (!panel) return panels.length && window.found;
  panel.scrollIntoView({block: 'center'});
  const title = panel.querySelector('h3').textContent.trim();
  const error = (panel.querySelector('.vm-alert_error, .vm-alert_warning') || {}).textContent || '';
  const canvas = panel.querySelector('canvas');
  const mayBeEmpty = %s.includes(title);
  const colored = canvas ? (() => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      const [r, g, b, a] = pixels.subarray(i, i + 4);
      if (a >= 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) count += 1;
    }
    return count;
  })() : 0;
  if (error || colored > 20 || (canvas && mayBeEmpty)) window.found.push({title, error});
  return false;
})()"""


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("number", range(len(VMUI)), ids=list(VMUI))
def test_vmui_draws_a_line_in_every_panel(stores, browser, number, width):
    panels = [panel for row in json.loads(list(VMUI.values())[number])["rows"] for panel in row["panels"]]
    # The page asks once, when it is opened, and draws a line only between points. The limit of a panel is a line too:
    # that its other queries have data is checked here.
    url = stores.by_scrape.url
    moments = (lambda: str(time.time() - 20), lambda: str(time.time()))
    eventually(lambda: [each for at in moments for each in without_data(url, vmui_panels(), time=at())], _nothing, 60)
    with opened(browser, f"{url}/vmui/#/dashboards?g0.range_input=1m", width=width) as sight:
        drawn = DRAWN % (number, json.dumps(sorted(UNFED)))
        found = sight.page.wait_for_function(drawn, polling=100, timeout=30_000).json_value()
        assert [each["title"] for each in found] == [panel["title"] for panel in panels]
        assert [each["error"] for each in found if each["error"]] == []
        assert sight.errors == []
