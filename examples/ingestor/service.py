"""Ingestor: the service, put together from its parts, from its start to its orderly end."""

from __future__ import annotations

import asyncio
from typing import Protocol

from examples.ingestor.dedup import Deduplicator
from examples.ingestor.file_sink import FileWriter
from examples.ingestor.filter import Filter
from examples.ingestor.http_sink import HttpWriter
from examples.ingestor.intake import Intake
from examples.ingestor.mqtt import MqttSource
from examples.ingestor.processing import Processor
from examples.ingestor.settings import Settings
from examples.ingestor.sink import BatchSink, Writer
from examples.ingestor.topics import Layout
from examples.ingestor.websocket import WebSocketSource


class Source(Protocol):
    """Puts events into the intake."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Take events until told to stop."""


class Ingestor:
    """Takes events from its sources to its sink. To be made and run within one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Put the parts together; raises OSError if the file to write to cannot be opened."""
        self._settings = settings
        self._stopping = asyncio.Event()
        self._intake = Intake(settings.queue_capacity)
        self._sink = BatchSink(make_writer(settings), settings.batch_size, settings.batch_seconds)
        self._processor = Processor(
            self._intake,
            Filter(settings.include, settings.exclude, frozenset(settings.ignore_states)),
            Deduplicator(settings.dedup_window),
            self._sink,
        )
        self._sources = make_sources(settings, self._intake)

    def stop(self) -> None:
        """Take nothing more, work off what there is, and end; to be called by a signal's handler."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop` is called; an error in any part ends all of it."""
        try:
            await self._run()
        finally:
            self._intake.abandon()
            self._sink.abandon()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            sources = [tasks.create_task(source.run(self._stopping)) for source in self._sources]
            work = [tasks.create_task(self._process()), tasks.create_task(self._sink.run())]
            await self._stopping.wait()
            try:
                async with asyncio.timeout(self._settings.drain_timeout):
                    await asyncio.wait(sources)
                    self._intake.close()
                    await asyncio.wait(work)
            except TimeoutError:
                for task in sources + work:
                    task.cancel()

    async def _process(self) -> None:
        """Process what there is, then let the sink write the rest."""
        await self._processor.run()
        await self._sink.close()


def make_sources(settings: Settings, intake: Intake) -> list[Source]:
    """Return the sources that the settings name."""
    sources: list[Source] = []
    if settings.mqtt_url is not None:
        layout = Layout(settings.mqtt_base, settings.mqtt_discovery)
        sources.append(MqttSource(settings.mqtt_url, layout, settings.mqtt_qos, intake))
    if settings.home_assistant_url is not None:
        sources.append(WebSocketSource(settings.home_assistant_url, settings.home_assistant_token or "", intake))
    return sources


def make_writer(settings: Settings) -> Writer:
    """Return what writes to the place that the settings name."""
    if settings.file is not None:
        return FileWriter(settings.file)
    if settings.influxdb is not None:
        name, address, database = "influxdb", settings.influxdb, settings.influxdb_database
    elif settings.victoriametrics is not None:
        name, address, database = "victoriametrics", settings.victoriametrics, ""
    else:
        raise AssertionError("Settings makes sure that there is one")
    return HttpWriter(name, address, database, settings.retries, settings.write_timeout)
