"""The broker and the stores of the example ingestor, killed and started again while events flow."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.faults.outcome import Outcome
from tests.integration.flow import RETAINED, Counts, Home, Service, balance, counts_at, ingestor
from tests.servers.influxdb import InfluxDB
from tests.servers.running import HOST, Server, eventually
from tests.servers.victoria_metrics import VictoriaMetrics

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

EVENTS = 3000
EVERYTHING = EVENTS + RETAINED
RECEIVED = ("received", "mqtt", "")
IN_FLIGHT = ("in flight", "mqtt", "")
PROCESSED = ("processed", "mqtt", "ok")
WRITTEN = {sink: ("points", sink, "ok") for sink in ("influxdb", "victoriametrics")}
NOWHERE = f"http://{HOST}:1"


class PatientHome(Home):
    """Waits for a broker that is away; paho sends again what the broker has not confirmed."""

    def _send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        eventually(self._client.is_connected)
        # Between the two lines the connection may end: the message is sent when there is a new one.
        with suppress(RuntimeError):
            super()._send(topic, payload, retain=retain)


@pytest.fixture
def home(mosquitto):
    home = PatientHome(mosquitto)
    home.leave_retained()
    yield home
    home.close()


Read = Callable[[Service], tuple[Counts, int]]


def staged(home: Home, option: str, fault: Callable[[Service], None], settled: Read) -> tuple[Counts, int, int]:
    """Stage a fault under the ingestor while the home publishes.

    Return the final counts and the number of stored points, as `settled` reads them, and that of bad lines in the log.
    """
    with ingestor(home.broker, NOWHERE, option, OTEL_METRICS_EXPORTER="prometheus") as service:
        load = threading.Thread(target=home.publish, args=(EVENTS,))
        load.start()
        eventually(lambda: counts_at(service.metrics_url)[RECEIVED] > EVENTS / 5)
        fault(service)
        while load.is_alive():
            assert balance(counts_at(service.metrics_url)) == 0
        load.join()
        found, stored = settled(service)
        service.end()
        return found, stored, len(bad_lines(service))


def kill_and_start(server: Server, service: Service) -> None:
    """Kill a server, and start it again once the service has noticed."""
    server.kill()
    eventually(lambda: bad_lines(service))
    server.start()


def bad_lines(service: Service) -> list[str]:
    return [line for line in service.log if re.search(r"\b(WARNING|ERROR|CRITICAL)\b", line)]


def all_written(sink: str, count: Callable[[], int], received: int = 0, *, stored: bool = True) -> Read:
    """Read the counts and the stored points once so many events are received and all points are written, and stored."""

    def is_settled(found: tuple[Counts, int]) -> bool:
        counts, points = found
        written = counts.get(WRITTEN[sink], 0)
        return (
            counts[RECEIVED] >= received
            and counts[IN_FLIGHT] == 0
            and counts[PROCESSED] == written
            and (points == written or not stored)
        )

    def read(service: Service) -> tuple[Counts, int]:
        return eventually(lambda: (counts_at(service.metrics_url), count()), is_settled, timeout=60)

    return read


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


@pytest.fixture
def homeassistant(influxdb):
    """An InfluxDB with the database of the ingestor."""
    influxdb.create_database("homeassistant")
    return influxdb


def test_a_killed_broker_leaves_every_received_event_accounted_for_and_stored(home, mosquitto, homeassistant, table):
    found, stored, lines = staged(
        home,
        f"--influxdb={homeassistant.url}",
        lambda service: kill_and_start(mosquitto, service),
        all_written("influxdb", lambda: in_influxdb(homeassistant), EVENTS // 2),
    )
    note = (
        "received = processed + discarded + in flight at every scrape, and each point is stored; the broker may drop "
        f"or repeat messages of the outage ({home.expected.total()} published, {found[RECEIVED]} received)"
    )
    fault = "Broker killed with -9 and started again, under the example ingestor"
    table.add(outcome(fault, found, found[WRITTEN["influxdb"]], stored, lines, note=note))


def test_a_killed_influxdb_has_every_point_after_its_start(home, homeassistant, table):
    found, stored, lines = staged(
        home,
        f"--influxdb={homeassistant.url}",
        lambda service: kill_and_start(homeassistant, service),
        all_written("influxdb", lambda: in_influxdb(homeassistant), EVERYTHING),
    )
    fault = "InfluxDB killed with -9 and started again, under the example ingestor"
    table.add(outcome(fault, found, home.expected["processed", "ok"], stored, lines))


def test_a_killed_victoria_metrics_loses_only_what_it_had_in_memory(home, victoria_metrics, table):
    fault = "VictoriaMetrics killed with -9 and started again, under the example ingestor"
    loses = (
        "VictoriaMetrics acknowledges points before they are on disk, and a kill takes those of its last seconds; "
        "it keeps a point twice if the kill takes the answer to a write, because the ingestor then writes again"
    )
    found, stored, lines = staged(
        home,
        f"--victoriametrics={victoria_metrics.url}",
        lambda service: kill_and_start(victoria_metrics, service),
        all_written("victoriametrics", lambda: in_victoria_metrics(victoria_metrics), EVERYTHING, stored=False),
    )
    table.add(outcome(fault, found, home.expected["processed", "ok"], stored, lines, loses=loses))
