"""Cost of an instrumented library: a message through paho-mqtt's client, bare and instrumented, in turn.

Run as a module, it measures in its own process and prints the samples.
"""

from __future__ import annotations

import argparse
import socket
import struct
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

from benchmarks import children, targets
from benchmarks.tables import Table, ratios
from otel_ha import TelemetryConfig, setup_telemetry
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor

CALLS = 500
DAY = 86_400.0
TOPIC, PAYLOAD = b"homeassistant/sensor/kitchen_temperature/state", b"21.5"
WHOLE = targets.PAHO_MESSAGE
HANDED_OVER = "paho-mqtt: the way to the callback alone (_handle_on_message)"
BARE, INSTRUMENTED, RATIO = "bare, µs", "instrumented, µs", targets.RATIO

Samples = dict[str, dict[str, list[float]]]
"""Microseconds per message, by row and column, one sample per round."""


def measure(receiver: str, *, quick: bool) -> list[Table]:
    """Measure and return the table."""
    found: Samples = children.run("instrumented", receiver, 1.2 if quick else 12.0)
    about = (
        f"A message of {len(PAYLOAD)} bytes with QoS 0, whose callback does nothing, with telemetry that has two "
        f"readers. Bare and instrumented clients take turns of {CALLS} messages in one process; ratios are taken "
        "within a round. Metrics are collected between rounds, outside the timing."
    )
    table = Table("instrumented", "Instrumented libraries", about, (BARE, INSTRUMENTED, RATIO))
    for row, samples in found.items():
        for column, taken in samples.items():
            table.put(row, column, taken)
        table.put(row, RATIO, ratios(samples[INSTRUMENTED], samples[BARE]))
    return [table]


class Reading:
    """A client that reads messages from a socket, as its loop does."""

    def __init__(self, client: paho.Client) -> None:
        self._client = client
        self._broker, client._sock = socket.socketpair()
        client._sock.settimeout(0)
        body = struct.pack("!H", len(TOPIC)) + TOPIC + PAYLOAD
        self._packets = bytes([paho.PUBLISH, len(body)]) + body

    def prepare(self) -> None:
        """Send the messages of a round."""
        self._broker.sendall(self._packets * CALLS)

    def run(self) -> None:
        """Read them."""
        read = self._client.loop_read
        for _ in range(CALLS):
            read()


class Handing:
    """A client that hands a message to its callback."""

    def __init__(self, client: paho.Client) -> None:
        self._client = client
        self._message = paho.MQTTMessage(0, TOPIC)
        self._message.payload = PAYLOAD
        self._message.timestamp = time.monotonic()

    def prepare(self) -> None:
        """Do nothing."""

    def run(self) -> None:
        """Hand the message over."""
        hand_over, message = self._client._handle_on_message, self._message
        for _ in range(CALLS):
            hand_over(message)


def _ignore(*_: object) -> None:
    """Stand in for the program's callback."""


def client(kind: type[paho.Client]) -> paho.Client:
    """Return a client with a callback."""
    made = kind(paho.CallbackAPIVersion.VERSION2)
    made.on_message = _ignore
    return made


def samples_of(receiver: str, seconds: float) -> Samples:
    """Measure in this process, for so many seconds."""
    # The methods as they are now, which patches of the base class do not reach.
    bare: Any = type("Client", (paho.Client,), {k: v for k, v in vars(paho.Client).items() if callable(v)})
    config = TelemetryConfig(
        environ={},
        metrics_exporters=("prometheus", "otlp"),
        otlp_endpoint=receiver,
        export_interval=DAY,
        prometheus_port=0,
        system_metrics=False,
    )
    with setup_telemetry("benchmark", config=config) as telemetry:
        PahoMqttInstrumentor().instrument()
        ways = deque(
            (row, column, way(client(kind)))
            for row, way in ((WHOLE, Reading), (HANDED_OVER, Handing))
            for column, kind in ((BARE, bare), (INSTRUMENTED, paho.Client))
        )
        return _rounds(ways, seconds, telemetry.prometheus_text)


def _rounds(ways: deque[tuple[str, str, Reading | Handing]], seconds: float, collect: Callable[[], object]) -> Samples:
    found: Samples = defaultdict(lambda: defaultdict(list))
    end = time.perf_counter() + seconds
    is_warm = False
    while time.perf_counter() < end:
        for row, column, way in ways:
            way.prepare()
            started = time.perf_counter()
            way.run()
            if is_warm:
                found[row][column].append((time.perf_counter() - started) * 1e6 / CALLS)
        is_warm = True
        collect()
        # Side effects of one way, such as cold caches, must not always hit the same other way.
        ways.rotate(1)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("receiver")
    parser.add_argument("seconds", type=float)
    arguments = parser.parse_args()
    children.say(samples_of(arguments.receiver, arguments.seconds))
