"""N events through broker and ingestor: the store and every way to read the counts agree, even after outages."""

import subprocess
import threading
from pathlib import Path

import pytest

from tests.integration.flow import Home, agree, balance, counts_at, counts_in, ingestor
from tests.servers.prometheus import Scrape
from tests.servers.running import HOST, eventually, get

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

N = 2000


@pytest.fixture
def home(mosquitto):
    home = Home(mosquitto)
    home.leave_retained()
    yield home
    home.close()


@pytest.fixture
def servers(make_otelcol, make_prometheus):
    """A Prometheus that receives OTLP and scrapes the Collector, and a stopped Collector that pushes to it."""
    prometheus = make_prometheus([Scrape("unused", f"{HOST}:1")]).start()
    collector = make_otelcol(upstream=prometheus.otlp_endpoint)
    prometheus.scrape("otelcol-exporter", collector.prometheus_target)
    return prometheus, collector


def watch(prometheus, service) -> None:
    prometheus.scrape("ha-ingestor", service.metrics_url.split("/")[2])


@pytest.fixture(params=["file", "influxdb", "victoriametrics"])
def sink(request, tmp_path):
    """The name of a store, the options for it, and a function that returns its number of points."""
    if request.param == "file":
        path = tmp_path / "points"
        return "file", [f"--file={path}"], lambda: lines(path)
    if request.param == "influxdb":
        influxdb = request.getfixturevalue("influxdb")
        influxdb.create_database("homeassistant")
        return "influxdb", [f"--influxdb={influxdb.url}"], lambda: stored(influxdb)
    victoria_metrics = request.getfixturevalue("victoria_metrics")
    options = [f"--victoriametrics={victoria_metrics.url}"]
    return "victoriametrics", options, lambda: sum(len(s) for _, s in victoria_metrics.export('{__name__=~"sensor.*"}'))


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def stored(influxdb) -> int:
    return sum(row["count"] for row in influxdb.query("SELECT count(value) FROM sensor", "homeassistant"))


def test_sink_scrape_collector_and_otlp_agree_by_source_outcome_and_reason(home, servers, sink, mosquitto):
    prometheus, collector = servers
    collector.start()
    name, options, count = sink
    with ingestor(mosquitto, collector.otlp_http_endpoint, *options) as service:
        watch(prometheus, service)
        home.publish(N)
        expected = home.expected_counts(name)
        agree(expected, service, collector, prometheus)
        assert count() == home.expected["processed", "ok"]


def test_received_events_are_accounted_for_at_every_scrape_under_load(home, servers, mosquitto, tmp_path):
    _, collector = servers
    collector.start()
    with ingestor(mosquitto, collector.otlp_http_endpoint, f"--file={tmp_path / 'points'}") as service:
        load = threading.Thread(target=home.publish, args=(2 * N,))
        load.start()
        scrapes = []
        while load.is_alive():
            scrapes.append(counts_at(service.metrics_url))
        load.join()
    assert len({found["received", "mqtt", ""] for found in scrapes}) > 10, "too few scrapes happened during the load"
    assert [balance(found) for found in scrapes] == [0] * len(scrapes)


def test_sigterm_under_load_loses_neither_events_nor_counts(home, servers, sink, mosquitto):
    prometheus, collector = servers
    collector.start()
    name, options, count = sink
    with ingestor(mosquitto, collector.otlp_http_endpoint, *options) as service:
        load = threading.Thread(target=home.publish, args=(N,))
        load.start()
        eventually(lambda: counts_at(service.metrics_url)["received", "mqtt", ""] > N / 4)
        service.end()
        load.join()
    found = counts_at(collector.prometheus_url)
    assert balance(found) == 0
    assert found["in flight", "mqtt", ""] == 0
    assert found["processed", "mqtt", "ok"] == found["points", name, "ok"] == count()
    assert found["received", "mqtt", ""] < home.expected.total()
    agree(found, None, collector, prometheus)


def collector_starts_late(home, prometheus, collector) -> None:
    home.publish(N)
    collector.start()


def collector_is_killed_and_restarted(home, prometheus, collector) -> None:
    collector.start()
    home.publish(N // 2)
    collector.kill()
    home.publish(N // 2)
    collector.start()


def prometheus_is_away_for_a_while(home, prometheus, collector) -> None:
    collector.start()
    home.publish(N // 2)
    prometheus.stop()
    home.publish(N // 2)
    prometheus.start()


@pytest.mark.parametrize(
    "outage", [collector_starts_late, collector_is_killed_and_restarted, prometheus_is_away_for_a_while]
)
def test_after_an_outage_every_way_agrees_again(home, servers, sink, mosquitto, outage):
    prometheus, collector = servers
    name, options, count = sink
    with ingestor(mosquitto, collector.otlp_http_endpoint, *options) as service:
        watch(prometheus, service)
        outage(home, prometheus, collector)
        agree(home.expected_counts(name), service, collector, prometheus)
        assert count() == home.expected["processed", "ok"]


def test_promtool_accepts_the_metrics_page(home, servers, mosquitto, tmp_path, promtool):
    _, collector = servers
    with ingestor(mosquitto, collector.otlp_http_endpoint, f"--file={tmp_path / 'points'}") as service:
        home.publish(200)
        page = get(service.metrics_url)
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_prometheus_has_each_count_once_per_way(home, servers, mosquitto, tmp_path):
    prometheus, collector = servers
    collector.start()
    with ingestor(mosquitto, collector.otlp_http_endpoint, f"--file={tmp_path / 'points'}") as service:
        watch(prometheus, service)
        home.publish(100)
        expected = home.expected_counts("file")
        agree(expected, service, collector, prometheus)
        assert counts_in(prometheus, "scrape") == counts_in(prometheus, "collector") == expected
