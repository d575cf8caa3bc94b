"""From a fault in a real service to a message about it, and to a message that it is over, on every engine."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from otel_ha.render.__main__ import main
from otel_ha.render.alertmanager import alertmanager_file
from otel_ha.render.alerts.thresholds import THRESHOLDS
from tests.integration.flow import Home, Service, ingestor
from tests.integration.inboxes import Inboxes, inboxes
from tests.servers.prometheus import Scrape
from tests.servers.running import HOST, eventually, free_ports
from tests.servers.victoria_metrics import VictoriaMetrics

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

JOB = "ha-ingestor"
# Seconds instead of minutes; and a busy machine is not a fault here.
TIMES = ("for=1s", "window=10s", "slow_window=15s", "absent=4s", "silence=5s", "min_events=5", "failed_writes=2")
MACHINE = [f"{each.name}=1" for each in THRESHOLDS if each.name.startswith(("cpu_", "memory_"))]


class Traffic(threading.Thread):
    """Publishes states of a sensor, 40 each second: of numbers, or of a number and a poison in turn, or none."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(daemon=True)
        self.kind = "numbers"
        self._ended = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.connect(host, port)
        self._client.loop_start()

    def run(self) -> None:
        for number in itertools.count():
            if self._ended.wait(0.025):
                return
            if self.kind != "none":
                poisoned = self.kind == "poison" and number % 2
                self._client.publish(f"homeassistant/sensor/{number % 7}/state", "poison" if poisoned else str(number))

    def end(self) -> None:
        self._ended.set()
        self.join()
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Stage:
    """A service with its surroundings."""

    traffic: Traffic
    sink: VictoriaMetrics
    start: Callable[[], Service]
    service: Service

    def restart(self) -> None:
        self.service = self.start()


@dataclass(frozen=True)
class Fault:
    """How to disturb the service, how to repair it, and the alerts that must be notified, with their summaries."""

    begin: Callable[[Stage], object]
    end: Callable[[Stage], object]
    alerts: Mapping[str, str]


def traffic(kind: str) -> Callable[[Stage], None]:
    return lambda stage: setattr(stage.traffic, "kind", kind)


FAULTS = [
    Fault(traffic("poison"), traffic("numbers"), {"ErrorShareCritical": rf"[\d.]+% of the events of {JOB} fail"}),
    Fault(
        lambda stage: stage.sink.stop(),
        lambda stage: stage.sink.start(),
        {
            "SinkFails": f"All operations of {JOB} fail: victoriametrics at {HOST}, write",
            "EventsOverflow": f"{JOB} loses events: a queue is full",
        },
    ),
    Fault(
        traffic("none"),
        traffic("numbers"),
        {"SourceSilent": f"No events from mqtt for {JOB}, although it is connected"},
    ),
    Fault(lambda stage: stage.service.process.kill(), Stage.restart, {"ServiceDown": f"{JOB} is down"}),
]


@pytest.fixture
def arrived() -> Iterator[Inboxes]:
    with inboxes() as opened:
        yield opened


@pytest.fixture
def alertmanager(make_alertmanager, arrived: Inboxes, tmp_path: Path):
    """An Alertmanager that sends to the inboxes."""
    arrived.write_secrets(tmp_path)
    values = {**arrived.settings, "wait": "1s", "interval": "1s"}
    return make_alertmanager(alertmanager_file(arrived.to, values, str(tmp_path))).start()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """The rendered alerts, with times of seconds."""
    changes = [f"--set={change}" for change in (*TIMES, *MACHINE)]
    main(["alerts", "--out", str(tmp_path), *changes])
    return tmp_path / "otel_ha.alerts.yml"


@pytest.fixture
def port() -> int:
    """The port of the service, which it keeps when it is started again."""
    return free_ports(1)[0]


@pytest.fixture(params=["prometheus", "vmalert"])
def engine(request: pytest.FixtureRequest, alertmanager, rules: Path, port: int):
    """A server that scrapes the service, evaluates the alerts and hands them to Alertmanager."""
    scrapes = [Scrape(JOB, f"{HOST}:{port}")]
    if request.param == "prometheus":
        make = request.getfixturevalue("make_prometheus")
        return make(scrapes, rules=[rules], alertmanager=alertmanager.target).start()
    store = request.getfixturevalue("make_victoria_metrics")(scrapes).start()
    return request.getfixturevalue("make_vmalert")(store=store.url, rules=[rules], notifier=alertmanager.url).start()


@pytest.fixture
def stage(mosquitto, make_victoria_metrics, port: int) -> Iterator[Stage]:
    """An ingestor that writes to a VictoriaMetrics, under traffic."""
    sink = make_victoria_metrics().start()
    home = Home(mosquitto)
    home.leave_retained()
    home.close()
    options = [f"--victoriametrics={sink.url}", "--batch-size=10", "--batch-seconds=0.2", "--queue-capacity=20"]
    with ExitStack() as services:

        def start() -> Service:
            faulty = "tests.integration.faulty_ingestor"
            return services.enter_context(ingestor(mosquitto, sink.url, *options, module=faulty, port=port))

        flowing = Traffic(mosquitto.host, mosquitto.port)
        service = start()
        flowing.start()
        yield Stage(flowing, sink, start, service)
        flowing.end()


def missing(arrived: Inboxes, *lines: str) -> dict[str, list[str]]:
    """The inboxes without a message that has lines like these, and what they have."""
    patterns = [re.compile(f"^{line}$", re.MULTILINE) for line in lines]
    return {
        name: texts[-3:]
        for name, texts in arrived.texts().items()
        if not any(all(pattern.search(text) for pattern in patterns) for text in texts)
    }


def test_each_fault_is_notified_with_its_words_and_so_is_its_end(engine, stage, arrived):
    eventually(engine.alerts, lambda alerts: "Watchdog" in str(alerts))
    for fault in FAULTS:
        fault.begin(stage)
        for alert, summary in fault.alerts.items():
            lines = (f"(page: |ticket: )?{summary}", f"(Runbook: )?docs/runbooks/{alert}.md")
            eventually(partial(missing, arrived, *lines), lambda inboxes: not inboxes, timeout=30)
        fault.end(stage)
        for summary in fault.alerts.values():
            eventually(partial(missing, arrived, f"Resolved: {summary}"), lambda inboxes: not inboxes, timeout=40)
