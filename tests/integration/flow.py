"""The whole path: a home that publishes, the example ingestor, a store, and every way to read the same counts."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.mosquitto import Mosquitto
from tests.servers.otelcol import Collector
from tests.servers.prometheus import Prometheus
from tests.servers.running import eventually, get

RETAINED = 7
# The compared metrics: the kind of count, and the label that separates its parts.
METRICS = {
    "homeassistant_event_received_total": ("received", ""),
    "homeassistant_event_process_duration_seconds_count": ("processed", "homeassistant_outcome"),
    "homeassistant_event_discarded_total": ("discarded", "homeassistant_discard_reason"),
    "homeassistant_point_written_total": ("points", "homeassistant_outcome"),
    "homeassistant_event_in_flight": ("in flight", ""),
}

Counts = dict[tuple[str, str, str], int]


@dataclass
class Home:
    """Publishes random states and predicts how many events have each outcome."""

    broker: Mosquitto
    seed: int = 1
    expected: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._last: dict[str, bytes] = {}
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.connect(self.broker.host, self.broker.port)
        self._client.loop_start()

    def leave_retained(self) -> None:
        for number in range(RETAINED):
            self._send(f"homeassistant/sensor/old_{number}/state", b"1", retain=True)
        self.expected["discarded", "retained"] += RETAINED

    def publish(self, count: int, rate: float = 1500) -> None:
        for number in range(count):
            self._publish_one()
            if number % 50 == 49:
                time.sleep(50 / rate)

    def publish_timed(self, count: int) -> None:
        """Publish states that are followed by their own time, as mqtt_statestream does with publish_timestamps."""
        for _ in range(count):
            moment = datetime.now(UTC).isoformat().encode()
            self._send("homeassistant/sensor/timed/state", str(self._random.random()).encode())
            self._send("homeassistant/sensor/timed/last_updated", moment)
            self.expected["processed", "ok"] += 1

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def expected_counts(self, sink: str) -> Counts:
        """Return the expected counts once all events are processed."""
        counts = {
            (kind, "mqtt", part): count for (kind, part), count in self.expected.items() if kind != "received"
        } | {("received", "mqtt", ""): self.expected.total(), ("in flight", "mqtt", ""): 0}
        return counts | {("points", sink, "ok"): self.expected["processed", "ok"]}

    def _publish_one(self) -> None:
        kind = self._random.choices(["new", "same", "malformed", "excluded"], [80, 12, 4, 4])[0]
        entity = f"{kind if kind == 'excluded' else 'plain'}_{self._random.randrange(20)}"
        if kind == "malformed":
            self._send(f"homeassistant/sensor/{entity}/state", b"\xff\xfe")
            self.expected["discarded", "invalid"] += 1
            return
        state = str(self._random.random()).encode()
        if kind == "same":
            state = self._last.get(entity, state)
        self._send(f"homeassistant/sensor/{entity}/state", state)
        if kind == "excluded":
            self.expected["discarded", "filtered"] += 1
        elif self._last.get(entity) == state:
            self.expected["discarded", "duplicate"] += 1
        else:
            self.expected["processed", "ok"] += 1
        self._last[entity] = state

    def _send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)


@dataclass
class Service:
    """The process of the example ingestor."""

    process: subprocess.Popen[str]
    metrics_url: str
    log: list[str]

    @property
    def target(self) -> str:
        """The host and port to scrape."""
        return self.metrics_url.split("/")[2]

    def end(self) -> str:
        """Send SIGTERM; return the last line of the output."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, "".join(self.log)
        return out


@contextmanager
def ingestor(
    broker: Mosquitto, endpoint: str, *sink: str, module: str = "examples.ingestor", port: int = 0, **variables: str
) -> Iterator[Service]:
    environment = {
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        **variables,
    }
    options = [f"--mqtt-url=mqtt://{broker.host}:{broker.port}", "--mqtt-qos=1", "--dedup-window=3600"]
    command = [sys.executable, "-m", module, *options, "--exclude=sensor.excluded_*", *sink]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stderr.readline()
            found = re.search(r"http://\S+", line)
            assert found, line + process.stderr.read()
            service = Service(process, found[0], [])
            threading.Thread(target=lambda: service.log.extend(process.stderr), daemon=True).start()
            # The retained messages arrive, so the subscription is active.
            eventually(lambda: counts_at(service.metrics_url).get(("discarded", "mqtt", "retained")) == RETAINED)
            yield service
        finally:
            process.kill()


def counts_of(samples: Iterator[tuple[str, dict[str, str], float]]) -> Counts:
    found: Counter = Counter()
    for name, labels, value in samples:
        if name in METRICS:
            kind, label = METRICS[name]
            of = labels.get("homeassistant_source") or labels["homeassistant_sink"]
            found[kind, of, labels.get(label, "")] += int(value)
    return dict(found)


def counts_at(url: str) -> Counts:
    families = text_string_to_metric_families(get(url))
    return counts_of((s.name, s.labels, s.value) for family in families for s in family.samples)


def counts_in(prometheus: Prometheus, via: str) -> Counts:
    names = "|".join(METRICS)
    series = prometheus.query(f'last_over_time({{__name__=~"{names}", via="{via}"}}[1h])')
    return counts_of((labels["__name__"], labels, value) for labels, value in series)


def agree(expected: Counts, service: Service | None, collector: Collector, prometheus: Prometheus) -> None:
    """Fail unless all ways reach the expected counts; without a service, only those that outlive it."""
    ways = {
        "the Collector's exporter": lambda: counts_at(collector.prometheus_url),
        "Prometheus, from the Collector": lambda: counts_in(prometheus, "collector"),
        "Prometheus, by OTLP": lambda: counts_in(prometheus, ""),
    }
    if service is not None:
        ways |= {
            "the service": lambda: counts_at(service.metrics_url),
            "Prometheus, by scrape": lambda: counts_in(prometheus, "scrape"),
        }
    for way, read in ways.items():
        try:
            eventually(read, lambda found: found == expected, timeout=40)
        except AssertionError as error:
            error.add_note(f"{way} should show {expected}")
            raise


def balance(found: Counts) -> int:
    """Return received minus processed, discarded and in flight, which must be 0 at every scrape."""
    signs = {"received": 1, "processed": -1, "discarded": -1, "in flight": -1}
    return sum(signs.get(kind, 0) * count for (kind, _, _), count in found.items())
