"""Programs in which things come and go without end, and whose size is measured after each cycle.

Run as `python -m tests.faults.churning KIND SECONDS CYCLES`, which are the least of both; the environment configures
telemetry. It prints lines of JSON: the URL of the metrics, or null; and after each cycle "paused", upon which it waits
for a line, and then its size.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import paho.mqtt.client as paho
import psutil

from otel_ha import Discarded, measured, setup_telemetry
from otel_ha.instrumentation.paho_mqtt import PahoMqttInstrumentor
from otel_ha.telemetry import Telemetry
from otel_ha.vocabulary import ingest

Cycle = Callable[[], Awaitable[int]]
"""Lets things come and go, and returns their number."""


class Refused(Exception):  # noqa: N818  it is the name of an error.type
    """An event that the program cannot process."""


def report(data: object) -> None:
    """Print a line of JSON."""
    print(json.dumps(data), flush=True)


async def size(came: int) -> dict[str, int]:
    """Return the fields of a flatness.Size: the least of several moments, as collections need memory too."""
    gc.collect()
    process, found = psutil.Process(), []
    for _ in range(10):
        found.append((sys.getallocatedblocks(), process.memory_info().rss, process.num_fds(), process.num_threads()))
        await asyncio.sleep(0.03)
    least = map(min, zip(*found, strict=True))
    return {"came": came, **dict(zip(("blocks", "resident", "descriptors", "threads"), least, strict=True))}


def outcome_of(result: Discarded | None) -> Discarded | None:
    """Return the outcome that the function has given itself."""
    return result


@measured(
    ingest.EVENT,
    outcome_of=outcome_of,
    source="mqtt",
    domain=lambda number: f"domain_{number}",
    entity=lambda number: f"sensor.entity_{number}",
)
async def handle(number: int) -> Discarded | None:
    """Handle an event of an entity; each kind of error and each reason to discard one exists once."""
    if number % 10 == 0:
        raise type(f"Refused{number}", (Refused,), {})
    return Discarded(f"reason {number}") if number % 10 == 1 else None


def record_values_without_end(number: int) -> None:
    """Record values that come once, for attributes of all kinds of instruments; budgets limit them. Two are events."""
    text = f"value {number}"
    ingest.RETRIES.add(1, component="mqtt", **{f"undeclared_{number}": text})
    ingest.ERRORS.add(1, component=text, error_type=text, severity=text)
    ingest.POINTS_WRITTEN.bind(sink="influxdb", measurement=text, outcome="ok").add(1)
    ingest.CONNECTIONS.add(0, kind=text * 30)
    ingest.WRITE_DURATION.record(0.01, system="influxdb", server_address=text)
    ingest.EVENT.record(0.001, source=text, domain=text, entity=f"other.{number}")
    ingest.QUEUED_EVENT.receive(source=text)
    ingest.QUEUED_EVENT.discard(text, source=text)
    with ingest.QUEUE_SIZE.observe(lambda: number, queue=text), measured(ingest.TRANSFORM, transformer=text):
        pass


class Entities:
    """Entities of which each comes for a moment, in a crowd or one after another; some are forgotten."""

    CROWD, ROW = 1_000, 50

    def __init__(self, telemetry: Telemetry) -> None:
        self.number = 0
        self._telemetry = telemetry

    async def cycle(self) -> int:
        for _ in range(self.CROWD):
            await self._come()
        for _ in range(self.ROW):
            await self._come()
            await asyncio.sleep(0.005)
            if self.number % 2:
                ingest.ENTITY_EVENTS.forget(entity=f"sensor.entity_{self.number}")
        ingest.ENTITY_EVENTS.forget(domain=f"domain_{self.number}")
        await self._until_gone()
        return self.CROWD + self.ROW

    async def _until_gone(self) -> None:
        """Wait until the entities have expired for every reader, and no kept collection has one of them."""
        # Nothing tells when a series is gone, or a collection.
        while "homeassistant_entity_events_total{" in self._telemetry.prometheus_text():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.to_thread(self._telemetry.flush)
        gone = time.time()
        while self._telemetry.history.timestamps[0] < gone:  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _come(self) -> None:
        self.number += 1
        with suppress(Refused):
            await handle(self.number)
        record_values_without_end(self.number)


@asynccontextmanager
async def entities() -> AsyncIterator[Cycle]:
    """Entities come and go."""
    with setup_telemetry("churn") as telemetry:
        report(telemetry.metrics_url)
        yield Entities(telemetry).cycle


@asynccontextmanager
async def connections() -> AsyncIterator[Cycle]:
    """Clients of the broker BROKER (host:port) come and go, and one of them connects again and again."""
    host, port = os.environ["BROKER"].split(":")
    lasting = paho.Client(paho.CallbackAPIVersion.VERSION2)

    def visit(client: paho.Client) -> None:
        done = threading.Event()
        client.on_message = lambda *_: done.set()
        client.on_connect = lambda own, *_: own.subscribe("homeassistant/#")
        client.on_subscribe = lambda own, *_: own.publish("homeassistant/light/kitchen/state", b"on")
        client.connect(host, int(port))
        client.loop_start()
        assert done.wait(30), "no message came"
        client.disconnect()
        client.loop_stop()

    async def cycle() -> int:
        for _ in range(10):
            visit(lasting)
            visit(paho.Client(paho.CallbackAPIVersion.VERSION2))
        return 20

    PahoMqttInstrumentor().instrument()
    with setup_telemetry("churn") as telemetry:
        report(telemetry.metrics_url)
        yield cycle
    PahoMqttInstrumentor().uninstrument()


@asynccontextmanager
async def setups() -> AsyncIterator[Cycle]:
    """Telemetry is set up and shut down again and again, with events in between."""
    report(None)

    async def cycle() -> int:
        for _ in range(10):
            with setup_telemetry("churn") as telemetry:
                for number in range(2, 10):
                    await handle(number)
                telemetry.prometheus_text()
            # The loop forgets the watch of its delay.
            await asyncio.sleep(0)
        return 10

    yield cycle


@asynccontextmanager
async def forks() -> AsyncIterator[Cycle]:
    """Children are forked that record, and end in an orderly way."""
    with setup_telemetry("churn") as telemetry:
        report(telemetry.metrics_url)

        async def cycle() -> int:
            for _ in range(5):
                child = os.fork()
                if not child:
                    ingest.EVENT.record(0.001, source="mqtt")
                    telemetry.shutdown()
                    os._exit(0)
                _, status = await asyncio.to_thread(os.waitpid, child, 0)
                assert status == 0
                ingest.EVENT.record(0.001, source="mqtt")
            return 5

        yield cycle


async def main(kind: str, seconds: float, cycles: int) -> None:
    """Let things come and go for so many seconds and cycles, at least."""
    ending = time.monotonic() + seconds
    came = number = 0
    async with KINDS[kind]() as cycle:
        while time.monotonic() < ending or number < cycles:
            number += 1
            came += await cycle()
            # Others, who ask for pages, shall pause as well.
            report("paused")
            await asyncio.to_thread(sys.stdin.readline)
            report(await size(came))


KINDS = {made.__name__: made for made in (entities, connections, setups, forks)}

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
