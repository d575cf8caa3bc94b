"""Servers that are killed or away while a service records, pushes and is scraped."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import pytest

from tests.faults.running import Account, Service
from tests.faults.stored import Stored, in_store, in_text
from tests.servers.otelcol import Collector
from tests.servers.prometheus import Prometheus, Scrape
from tests.servers.running import HOST, eventually

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

MIB = 1 << 20
WAYS = {"scraped": 'via="scrape"', "pushed": 'via=""', "through the Collector's exporter": 'via="collector"'}
"""The ways to one Prometheus, and the label that separates their series."""
BY_ALL_WAYS = f"the same counts by each way: {', '.join(WAYS)}"


def all_stored(read: Callable[[], Stored], account: Account) -> Stored:
    """The stored events once none is missing."""
    return eventually(read, lambda found: account.lost(found) == 0, timeout=60)


@pytest.fixture
def stack(make_otelcol, make_prometheus):
    """A Prometheus that scrapes, and receives what a Collector sends from its queue on disk."""
    prometheus = make_prometheus([Scrape("unused", f"{HOST}:1")]).start()
    collector = make_otelcol(upstream=prometheus.otlp_endpoint).start()
    prometheus.scrape("otelcol-exporter", collector.prometheus_target)
    return collector, prometheus


def wait_until_stored(service: Service, prometheus: Prometheus) -> None:
    """Wait until each way has brought what was recorded until now; none may ever have brought more."""
    goal = service.recorded()
    for selector in WAYS.values():
        service.wait_for(lambda where=selector: read_now(service, prometheus, where).received >= goal)


def read_now(service: Service, prometheus: Prometheus, selector: str) -> Stored:
    return service.check_now(lambda: in_store(prometheus.url, selector))


def kill_collector(collector: Collector, prometheus: Prometheus) -> list[Collector | Prometheus]:
    collector.kill()
    return [collector]


def kill_prometheus(collector: Collector, prometheus: Prometheus) -> list[Collector | Prometheus]:
    prometheus.kill()
    return [prometheus]


def kill_both(collector: Collector, prometheus: Prometheus) -> list[Collector | Prometheus]:
    prometheus.kill()
    collector.kill()
    return [collector, prometheus]


@pytest.mark.parametrize(
    ("name", "kill"),
    [("Collector", kill_collector), ("Prometheus", kill_prometheus), ("Collector and Prometheus", kill_both)],
)
def test_killed_servers_that_start_again_have_every_event_once(stack, start, table, name, kill):
    collector, prometheus = stack
    service = start("--rate=2000", OTEL_EXPORTER_OTLP_ENDPOINT=collector.otlp_http_endpoint)
    prometheus.scrape("ha-ingestor", service.target)
    wait_until_stored(service, prometheus)
    dead = kill(collector, prometheus)
    service.wait_for_events(3000)
    for server in dead:
        server.start()
    wait_until_stored(service, prometheus)
    service.pause()
    wait_until_stored(service, prometheus)
    account = service.stop()
    stored = []
    for selector in WAYS.values():
        stored.append(all_stored(lambda where=selector: in_store(prometheus.url, where), account))
        assert prometheus.query(f"sum(resets(homeassistant_event_received_total{{{selector}}}[10m])) > 0") == []
    worst = max(stored, key=lambda found: account.lost(found) + account.duplicated(found))
    fault = f"{name} killed with -9 and started again"
    table.add(account.outcome(fault, "Servers", worst, log_lines=len(service.log_lines()), note=BY_ALL_WAYS))


def test_an_outage_of_a_minute_costs_two_log_lines_and_no_memory(otelcol, start, table):
    service = start("--rate=1000", OTEL_EXPORTER_OTLP_ENDPOINT=otelcol.otlp_http_endpoint)
    service.wait_for(lambda: service.check_now(lambda: in_text(otelcol.prometheus_url)).received > 3000)
    otelcol.kill()
    service.wait_for_log("failed")
    before = psutil.Process(service.pid).memory_info().rss
    service.wait_for_events(60_000, timeout=180)  # a thousand in a second
    grown = psutil.Process(service.pid).memory_info().rss - before
    assert grown < 4 * MIB, f"the outage made the service grow by {grown / MIB:.1f} MiB"
    assert len(service.log_lines()) == 1
    otelcol.start()
    service.wait_for_log("works again")
    service.check_now(lambda: in_text(otelcol.prometheus_url))
    account = service.stop()
    stored = all_stored(lambda: in_text(otelcol.prometheus_url), account)
    lines = service.log_lines()
    assert len(lines) == 2
    note = f"memory of the service: {max(grown, 0) / MIB:.1f} MiB more at the end of the minute"
    table.add(account.outcome("Collector away for a minute", "Servers", stored, log_lines=len(lines), note=note))
