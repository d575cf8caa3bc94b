"""Growth by services: several services that push to one Collector.

Run as a module, it is one of these services: it records at a steady rate until its standard input ends.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import children, ways
from benchmarks.tables import Table
from otel_ha import TelemetryConfig, setup_telemetry

if TYPE_CHECKING:
    from tests.servers.otelcol import Collector

SERVICES, QUICK = (1, 2, 4, 8), (1, 2)
RATE = 200
"""Events per second of each service."""
TICK = 0.005
"""Seconds between two times at which a service records the events that are due."""
POLL = 0.02
WARM_UP = 2.5
ARRIVES_WITHIN = 30.0
NAME = "homeassistant_event_received_total"

COLLECTOR, SERVICE = "Collector, % of a core", "each service, % of a core"
AGE, LOST = "from record to arrival, s", "events lost"
PUSHED = "events in all"


def measure(*, quick: bool) -> Table | None:
    """Measure and return the table; None without a Collector."""
    from tests.servers.locate import Missing, find  # noqa: PLC0415 - an installed package has no tests

    program = find("otelcol")
    if isinstance(program, Missing):
        children.progress(f"growth: the services on one Collector are left out: {program.reason}")
        return None
    seconds = 2.0 if quick else 5.0
    about = (
        f"Services that record {RATE} full events per second each and push every second by HTTP to one Collector with "
        "the repository's agent.yaml, each with default settings otherwise, system metrics included. CPU is that of "
        f"{seconds:g} s. In the same time again, the Collector's own page for Prometheus is read every "
        f"{POLL * 1e3:g} ms, to find out when each event appears there. The services end, and lost are the events that "
        "the Collector does not have then."
    )
    table = Table("growth_services", "Growth: services", about, (COLLECTOR, SERVICE, AGE, PUSHED, LOST))
    for count in QUICK if quick else SERVICES:
        row = f"{count} service{'s' * (count > 1)}"
        children.progress(f"growth: {row}")
        for column, samples in one_fleet(program, count, seconds).items():
            if samples:
                table.put(row, column, samples)
    return table


def one_fleet(program: Path, count: int, seconds: float) -> dict[str, list[float]]:
    """Run services and their Collector, and return the samples by column."""
    with tempfile.TemporaryDirectory() as directory, _collector(program, Path(directory)) as collector:
        with ExitStack() as stack:
            services = [children.start("growth_services", name, collector.otlp_http_endpoint) for name in _names(count)]
            for service in services:
                stack.callback(service.kill)
            began = {name: _started(service) for name, service in zip(_names(count), services, strict=True)}
            time.sleep(WARM_UP)
            processes = [psutil.Process(each.pid) for each in (collector, *services) if each.pid is not None]
            used = [_cpu(each) for each in processes]
            time.sleep(seconds)
            used = [100 * (_cpu(each) - before) / seconds for each, before in zip(processes, used, strict=True)]
            ages = ages_of(_seen(collector, seconds), began)
            recorded = {name: children.finish(each) for name, each in zip(_names(count), services, strict=True)}
        lost = sum(recorded.values()) - _arrived(collector, recorded)
    return {COLLECTOR: used[:1], SERVICE: used[1:], AGE: ages, PUSHED: [sum(recorded.values())], LOST: [lost]}


def ages_of(seen: list[tuple[float, Mapping[str, float]]], began: Mapping[str, float]) -> list[float]:
    """Return the age of each event when it was first seen at the Collector.

    `seen` are times with the number of events by service. Event number n is recorded n / RATE seconds after its service
    `began`.
    """
    return [
        time_seen - (began[name] + number / RATE)
        for (_, before), (time_seen, now) in itertools.pairwise(seen)
        for name in now.keys() & before.keys()
        for number in range(int(before[name]), int(now[name]))
    ]


@contextmanager
def _collector(program: Path, directory: Path) -> Iterator[Collector]:
    from tests.servers.otelcol import Collector  # noqa: PLC0415 - as above

    collector = Collector(program, directory)
    try:
        yield collector.start()
    finally:
        collector.stop()


def _names(count: int) -> list[str]:
    return [f"service-{number}" for number in range(count)]


def _started(service: subprocess.Popen[str]) -> float:
    return float(children.heard(service))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _seen(collector: Collector, seconds: float) -> list[tuple[float, dict[str, float]]]:
    """Return the numbers of events at the Collector, again and again, each with its time."""
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        numbers = _numbers(collector)
        found.append((time.monotonic(), numbers))
        time.sleep(POLL)
    return found


def _arrived(collector: Collector, recorded: Mapping[str, float]) -> float:
    """Return the number of events at the Collector, once it has all, or after a long wait."""
    end = time.monotonic() + ARRIVES_WITHIN
    while (numbers := _numbers(collector)) != recorded and time.monotonic() < end:
        time.sleep(POLL)
    return sum(numbers.values())


def _numbers(collector: Collector) -> dict[str, float]:
    """Return the number of events that the Collector has from each service."""
    from tests.servers.running import get  # noqa: PLC0415 - as above

    found: dict[str, float] = {}
    for line in get(collector.prometheus_url).splitlines():
        if line.startswith(NAME):
            (family,) = text_string_to_metric_families(f"{line}\n")
            for sample in family.samples:
                found[sample.labels["job"]] = found.get(sample.labels["job"], 0) + sample.value
    return found


# ---- The service


def _serve(name: str, receiver: str) -> int:
    """Record events until the standard input ends, and return their number."""
    config = TelemetryConfig(environ={}, otlp_endpoint=receiver, export_interval=1.0, metrics_exporters=("otlp",))
    with setup_telemetry(name, config=config):
        event = ways.ours()[ways.OURS]
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        began, events = time.monotonic(), 0
        children.say(began)
        while not ended.wait(TICK):
            while events < (time.monotonic() - began) * RATE:
                event()
                events += 1
    return events


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("receiver")
    arguments = parser.parse_args()
    children.say(_serve(arguments.name, arguments.receiver))
