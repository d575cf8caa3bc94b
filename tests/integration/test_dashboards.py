"""Every query of every dashboard, on the stores that execute it, fed by the example ingestor by every way in."""

import json
import math
import time

import pytest

from otel_ha.render.catalogs import service_catalogs
from otel_ha.render.dashboards.files import dashboard_files
from tests.integration.feed import SERVICE, feed
from tests.servers.running import eventually, instant_query

# One feed serves all tests, so that they run in one process.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(180), pytest.mark.xdist_group("dashboards")]

GRAFANA = {name: json.loads(text) for name, text in dashboard_files(service_catalogs(), "grafana").items()}
VMUI = dashboard_files(service_catalogs(), "vmui")
# Panels whose description says when they are empty, for which the example ingestor has no data.
UNFED = {
    "Alerts",
    "CPU limit of the container",
    "Circuit breakers",
    "Failed events by error",
    "Failed to queue",
    "Failed to send",
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
    """Return the panels without data, except those that say so and cannot be fed here; an invalid query raises."""
    empty = []
    for which, description, expr in panels:
        found = [value for _, value in instant_query(url, expr) if not math.isnan(value)]
        title = which.partition(": ")[2]
        if not found and ("Empty " not in description or title not in UNFED):
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
  const line = canvas && (() => {
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let colored = 0;
    for (let i = 0; i < pixels.length; i += 4) {
      const [r, g, b, a] = pixels.subarray(i, i + 4);
      if (a && Math.max(r, g, b) - Math.min(r, g, b) > 60) colored += 1;
    }
    return colored > 20;
  })();
  if (error || line || (canvas && mayBeEmpty)) window.found.push({title, error});
  return false;
})()"""


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("number", range(len(VMUI)), ids=list(VMUI))
def test_vmui_draws_a_line_in_every_panel(stores, chromium, number, width):
    panels = [panel for row in json.loads(list(VMUI.values())[number])["rows"] for panel in row["panels"]]
    visit = chromium.visit(
        f"{stores.by_scrape.url}/vmui/#/dashboards?g0.range_input=1m",
        width=width,
        until=DRAWN % (number, json.dumps(sorted(UNFED))),
    )
    assert [each["title"] for each in visit.found] == [panel["title"] for panel in panels]
    assert [each["error"] for each in visit.found if each["error"]] == []
    assert visit.errors == []
