"""The broker and the stores of the example ingestor, killed and started again while events flow."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest

from tests.faults.outcome import Outcome
from tests.integration.flow import Counts, Home, Service, balance, counts_at, ingestor
from tests.servers.influxdb import InfluxDB
from tests.servers.running import HOST, Server, eventually
from tests.servers.victoria_metrics import VictoriaMetrics

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

EVENTS = 3000
RECEIVED = ("received", "mqtt", "")
IN_FLIGHT = ("in flight", "mqtt", "")
PROCESSED = ("processed", "mqtt", "ok")
WRITTEN = {sink: ("points", sink, "ok") for sink in ("influxdb", "victoriametrics")}
NOWHERE = f"http://{HOST}:1"


@pytest.fixture
def home(mosquitto):
    home = Home(mosquitto)
    home.leave_retained()
    yield home
    home.close()


def staged(home: Home, sink: str, option: str, fault: Callable[[Service], None]) -> tuple[Counts, int]:
    """Stage a fault under the ingestor while the home publishes; return the final counts and the lines of the log."""
    with ingestor(home.broker, NOWHERE, option, OTEL_METRICS_EXPORTER="prometheus") as service:
        load = threading.Thread(target=home.publish, args=(EVENTS,))
        load.start()
        eventually(lambda: counts_at(service.metrics_url)[RECEIVED] > EVENTS / 5)
        fault(service)
        while load.is_alive():
            assert balance(counts_at(service.metrics_url)) == 0
        load.join()
        found = settled(service, sink)
        service.end()
        return found, len(bad_lines(service))


def kill_and_start(server: Server, service: Service) -> None:
    """Kill a server, and start it again once the service has noticed."""
    server.kill()
    eventually(lambda: bad_lines(service))
    server.start()


def bad_lines(service: Service) -> list[str]:
    return [line for line in service.log if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]


def settled(service: Service, sink: str) -> Counts:
    """Return the counts when nothing is in flight, and every point has been written."""
    return eventually(
        lambda: counts_at(service.metrics_url),
        lambda found: found[IN_FLIGHT] == 0 and found[PROCESSED] == found.get(WRITTEN[sink]),
        timeout=60,
    )


def in_influxdb(influxdb: InfluxDB) -> int:
    return sum(row["count"] for row in influxdb.query("SELECT count(value) FROM sensor", "homeassistant"))


def in_victoria_metrics(store: VictoriaMetrics) -> int:
    return sum(len(samples) for _, samples in store.export('{__name__=~"sensor.*"}'))


def outcome(fault: str, found: Counts, points: int, stored: int, log_lines: int, **more: str) -> Outcome:
    """The row of a fault: an event is lost if it is not accounted for, or if its point is not stored."""
    return Outcome(
        fault=fault,
        topic="Servers",
        recorded=found[RECEIVED],
        lost=max(0, balance(found)) + max(0, points - stored),
        duplicated=max(0, -balance(found)) + max(0, stored - points),
        log_lines=log_lines,
        **more,
    )


def test_a_killed_broker_leaves_every_received_event_accounted_for_and_stored(home, mosquitto, influxdb, table):
    influxdb.create_database("homeassistant")
    found, lines = staged(
        home, "influxdb", f"--influxdb={influxdb.url}", lambda service: kill_and_start(mosquitto, service)
    )
    stored = eventually(lambda: in_influxdb(influxdb))
    note = (
        "received = processed + discarded + in flight at every scrape, and each point is stored; the broker may drop "
        f"or repeat messages of the outage ({home.expected.total()} published, {found[RECEIVED]} received)"
    )
    fault = "Broker killed with -9 and started again, under the example ingestor"
    table.add(outcome(fault, found, found[WRITTEN["influxdb"]], stored, lines, note=note))


def test_a_killed_influxdb_has_every_point_after_its_start(home, influxdb, table):
    influxdb.create_database("homeassistant")
    found, lines = staged(
        home, "influxdb", f"--influxdb={influxdb.url}", lambda service: kill_and_start(influxdb, service)
    )
    assert found[RECEIVED] == home.expected.total()
    fault = "InfluxDB killed with -9 and started again, under the example ingestor"
    table.add(outcome(fault, found, home.expected["processed", "ok"], in_influxdb(influxdb), lines))


def test_a_killed_victoria_metrics_loses_only_what_it_had_in_memory(home, victoria_metrics, table):
    found, lines = staged(
        home,
        "victoriametrics",
        f"--victoriametrics={victoria_metrics.url}",
        lambda service: kill_and_start(victoria_metrics, service),
    )
    assert found[RECEIVED] == home.expected.total()
    fault = "VictoriaMetrics killed with -9 and started again, under the example ingestor"
    loses = (
        "VictoriaMetrics acknowledges points before they are on disk, and a kill takes those of its last seconds; "
        "it keeps a point twice if the kill takes the answer to a write, because the ingestor then writes again"
    )
    stored = in_victoria_metrics(victoria_metrics)
    table.add(outcome(fault, found, home.expected["processed", "ok"], stored, lines, loses=loses))
