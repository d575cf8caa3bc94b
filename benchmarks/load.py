"""Load: the example ingestor at work within one event loop, without a broker.

The MQTT source gets each message when it is due, at most a millisecond late, as its client library would deliver it.
Messages come from the demo's simulated home, and go through parsing, intake, filter, de-duplication, line protocol and
batches to a file.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiomqtt
import psutil

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

Result = TypeVar("Result")

BASE = "homeassistant"
MESSAGES = 20_000
WARM_UP = 1.5
"""Seconds; the first scrape, the first push and the first collection of the history are over by then."""
FOREVER = 3600.0
TICK = 0.001
BLOCKED = 0.1
"""Seconds, longer than the period in which the delay of the event loop is read."""
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
    """A sink that notes the time of each event since the intake, and the number of points written."""

    SIZE = 500

    def __init__(self, path: Path, intake: TimedIntake, seconds: float) -> None:
        super().__init__(FileWriter(path), self.SIZE, seconds)
        self._intake = intake
        self.taken: list[float] = []
        self.written = 0

    async def put(self, point: Point) -> None:
        """Hand over a point."""
        await super().put(point)
        self.taken.append(time.perf_counter() - self._intake.came.pop((point.event.entity_id, point.event.timestamp)))

    async def _write(self, batch: list[Point]) -> int:
        number = await super()._write(batch)
        self.written += number
        return number


@dataclass(frozen=True)
class Flow:
    """The parts of the ingestor at work: messages go in at the source, and points arrive at the sink."""

    source: MqttSource
    intake: TimedIntake
    sink: TimedSink


@asynccontextmanager
async def flowing(*, queue: int = 10_000, repeats: float = 1.0, batches: float = 1.0) -> AsyncIterator[Flow]:
    """Run the ingestor until the block ends and every event is processed.

    `queue` is the capacity of the intake; a state that follows within `repeats` seconds is a repetition; a batch waits
    for `batches` seconds at most.
    """
    with tempfile.TemporaryDirectory() as directory:
        intake = TimedIntake(queue)
        sink = TimedSink(Path(directory) / "points", intake, batches)
        wanted = Filter((), (), frozenset({"unknown", "unavailable"}))
        processor = Processor(intake, wanted, Deduplicator(repeats), Transformer(), sink)
        source = MqttSource(Address("mqtt", "127.0.0.1", 1883), Layout(BASE, BASE), 0, intake)
        async with asyncio.TaskGroup() as tasks:
            work = tasks.create_task(processor.run())
            tasks.create_task(sink.run())
            for message in announcements():
                source.take(message)
            yield Flow(source, intake, sink)
            intake.close()
            await work
            await sink.close()


async def run(rate: float, seconds: float, warm: Callable[[], object]) -> dict[str, float]:
    """Feed the ingestor after a warm-up; return CPU, throughput, latency and memory of the following seconds.

    `warm` is called during the warm-up, in another thread. CPU is that of the whole process; memory is what is resident
    at the end, in bytes.
    """
    async with flowing() as flow:
        messages = stream()
        warming = asyncio.create_task(asyncio.to_thread(warm))
        await feed(flow.source, messages, rate, WARM_UP)
        await warming
        flow.sink.taken.clear()
        gc.collect()  # a full collection takes 20 ms: each run is as far from the next one
        waiting = len(flow.intake)
        began, cpu = time.perf_counter(), time.process_time()
        sent = await feed(flow.source, messages, rate, seconds)
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
        return {
            "cpu": cpu / elapsed,
            "rate": (waiting + sent - len(flow.intake)) / elapsed,
            "p99": quantile(flow.sink.taken or [0.0], 0.99),
            "resident": float(psutil.Process().memory_info().rss),
        }


async def feed(source: MqttSource, messages: Iterator[aiomqtt.Message], rate: float, seconds: float) -> int:
    """Give the source messages at a rate, each when it is due but at most once per TICK; return their number."""
    sent, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        while sent < elapsed * rate:
            source.take(next(messages))
            sent += 1
        due = sent / rate - (time.perf_counter() - began)
        await asyncio.sleep(min(max(due, TICK), seconds - elapsed))
    return sent


async def until(is_true: Callable[[], bool]) -> None:
    """Let the ingestor work until a condition is true."""
    while not is_true():  # noqa: ASYNC110 - nothing notifies of it
        await asyncio.sleep(TICK)


async def replay(look: Callable[[], Result]) -> Result:
    """Feed the same messages at every call; return what `look` returns while some of the last ones are queued.

    Nothing depends on time: a queue overflows because it gets more than it can hold at once, every repetition of a
    state counts, batches wait until they are full, and the event loop is blocked for long enough to be noticed.
    """
    async with flowing(queue=500, repeats=FOREVER, batches=FOREVER) as flow:
        messages = stream()
        for burst in (600, 400, 450, 500, 350):
            for message in itertools.islice(messages, burst):
                flow.source.take(message)
            await until(lambda: not len(flow.intake))
        await until(lambda: len(flow.sink.taken) - flow.sink.written < TimedSink.SIZE)
        time.sleep(BLOCKED)  # noqa: ASYNC251 - this is what the delay of the event loop shows
        await asyncio.sleep(BLOCKED)
        for message in itertools.islice(messages, 100):
            flow.source.take(message)
        return look()


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
