"""Load: the example ingestor at work within one event loop, without a broker.

Every millisecond the MQTT source gets the messages that are due, as its client library would deliver them. They come
from the demo's simulated home, and go through parsing, intake, filter, de-duplication, line protocol and batches to a
file.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt

from benchmarks.tables import quantile
from examples.demo.household import furnish, malformed
from examples.ingestor.dedup import Deduplicator
from examples.ingestor.event import Event
from examples.ingestor.file_sink import FileWriter
from examples.ingestor.filter import Filter
from examples.ingestor.intake import Intake
from examples.ingestor.line_protocol import Point
from examples.ingestor.mqtt import MqttSource
from examples.ingestor.processing import Processor
from examples.ingestor.sink import BatchSink
from examples.ingestor.topics import Layout
from examples.ingestor.transformer import Transformer
from examples.ingestor.urls import Address

BASE = "homeassistant"
MESSAGES = 20_000
WARM_UP = 2.0
"""Seconds; the first scrape and the first push, one second after the start, import modules and fill caches."""
TICK = 0.001
MALFORMED, UNAVAILABLE, REPEATED = 0.01, 0.01, 0.04
"""Shares of the messages, as in the demo."""


class TimedIntake(Intake):
    """An intake that notes the arrival time of each event."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.came: dict[tuple[str, int], float] = {}

    def queue(self, event: Event) -> None:
        """Take an event in."""
        self.came[event.entity_id, event.timestamp] = time.perf_counter()
        super().queue(event)


class TimedSink(BatchSink):
    """A sink that notes the time of each event since the intake."""

    def __init__(self, path: Path, intake: TimedIntake) -> None:
        super().__init__(FileWriter(path), 500, 1.0)
        self._intake = intake
        self.taken: list[float] = []

    async def put(self, point: Point) -> None:
        """Hand over a point."""
        await super().put(point)
        self.taken.append(time.perf_counter() - self._intake.came.pop((point.event.entity_id, point.event.timestamp)))


async def run(rate: float, seconds: float) -> dict[str, float]:
    """Feed the ingestor after a warm-up; return CPU, throughput and latency of the following seconds.

    CPU is given for the whole process, and separately for all threads but this one.
    """
    with tempfile.TemporaryDirectory() as directory:
        intake = TimedIntake(10_000)
        sink = TimedSink(Path(directory) / "points", intake)
        wanted = Filter((), (), frozenset({"unknown", "unavailable"}))
        processor = Processor(intake, wanted, Deduplicator(1.0), Transformer(), sink)
        source = MqttSource(Address("mqtt", "127.0.0.1", 1883), Layout(BASE, BASE), 0, intake)
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(processor.run())
            tasks.create_task(sink.run())
            for message in announcements():
                source.take(message)
            messages = stream()
            await feed(source, messages, rate, WARM_UP)
            sink.taken.clear()
            began, cpu, here = time.perf_counter(), time.process_time(), time.thread_time()
            sent = await feed(source, messages, rate, seconds)
            elapsed, cpu, here = time.perf_counter() - began, time.process_time() - cpu, time.thread_time() - here
            found = {"cpu": cpu / elapsed, "elsewhere": (cpu - here) / elapsed}
            found["rate"] = (sent - len(intake)) / elapsed
            found["p99"] = quantile(sink.taken or [0.0], 0.99)
            intake.close()
            await work
            await sink.close()
    return found


async def feed(source: MqttSource, messages: Iterator[aiomqtt.Message], rate: float, seconds: float) -> int:
    """Give the source messages at a rate; return their number."""
    sent, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        while sent < elapsed * rate:
            source.take(next(messages))
            sent += 1
        await asyncio.sleep(TICK)
    return sent


def announcements(seed: int = 1) -> Iterator[aiomqtt.Message]:
    """Return the messages that announce the entities of MQTT discovery."""
    for entity in furnish(random.Random(seed)):
        if entity.by_discovery:
            topic = f"{BASE}/{entity.topic('config')}"
            yield aiomqtt.Message(topic, entity.announcement(BASE), 0, True, 0, None)  # noqa: FBT003 - retain


def stream(seed: int = 1) -> Iterator[aiomqtt.Message]:
    """Return an endless stream of messages, as the client library makes them.

    Topics and payloads are made beforehand, as objects that the garbage collector does not traverse. A service holds no
    future messages, and traversing them would take longer than everything else.
    """
    chance = random.Random(seed)
    entities = furnish(chance)
    weights = [entity.weight for entity in entities]
    topics: list[str] = []
    payloads: list[bytes] = []
    for entity in chance.choices(entities, weights, k=MESSAGES):
        entity.change(chance)
        fate, payload = chance.random(), entity.payload()
        if fate < MALFORMED:
            payload = malformed(chance)
        elif fate < MALFORMED + UNAVAILABLE:
            payload = entity.payload("unavailable")
        times = 2 if fate > 1 - REPEATED else 1
        topics += [f"{BASE}/{entity.topic()}"] * times
        payloads += [payload] * times
    for number in itertools.count():
        now = number % len(topics)
        yield aiomqtt.Message(topics[now], payloads[now], 0, False, number, None)  # noqa: FBT003 - retain
