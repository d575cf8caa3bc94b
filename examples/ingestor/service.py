"""Ingestor: connects the parts of the service, runs them, and ends them in order."""

from __future__ import annotations

import asyncio
import logging
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
from examples.ingestor.text_labels import TextLabels
from examples.ingestor.topics import Layout
from examples.ingestor.transformer import Transformer
from examples.ingestor.websocket import WebSocketSource

logger = logging.getLogger(__name__)

LEARNED_WITHIN = 2.0
"""Seconds. If Home Assistant is away for longer, its devices' states are worth more than their units."""


class Source(Protocol):
    """Puts events into the intake."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Take events until `stopping` is set."""


class Ingestor:
    """Takes events from its sources to its sink. Create and run it in the same event loop.

    Before `run`, append a source of your own to `sources`; it puts its events into `intake`.
    """

    def __init__(self, settings: Settings) -> None:
        """Create the parts; raise OSError if the file to write to cannot be opened."""
        self._settings = settings
        self._stopping = asyncio.Event()
        self.intake = Intake(settings.queue_capacity)
        self._sink = BatchSink(
            make_writer(settings),
            settings.batch_size,
            settings.batch_seconds,
            overflowed=lambda: self.intake.overflowed,
        )
        transformer = make_transformer(settings)
        self._processor = Processor(
            self.intake,
            Filter(settings.include, settings.exclude, frozenset(settings.ignore_states)),
            Deduplicator(settings.dedup_window, transformer.names),
            transformer,
            self._sink,
        )
        self.sources = make_sources(settings, self.intake)

    def stop(self) -> None:
        """Take no further events, finish the received ones, and end. A signal handler may call this."""
        self._stopping.set()

    async def run(self) -> None:
        """Run until `stop` is called; an error in one part ends all parts."""
        try:
            await self._run()
        finally:
            self.intake.abandon()
            self._sink.abandon()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            sources = [tasks.create_task(source.run(self._stopping)) for source in self.sources]
            work = [tasks.create_task(self._process()), tasks.create_task(self._sink.run())]
            await self._stopping.wait()
            try:
                async with asyncio.timeout(self._settings.drain_timeout):
                    # A source may wait for a dead peer; the received events must not wait with it.
                    await asyncio.wait(sources, timeout=self._settings.drain_timeout / 2)
                    for source in sources:
                        source.cancel()
                    self.intake.close()
                    await asyncio.wait(work)
            except TimeoutError:
                for task in sources + work:
                    task.cancel()

    async def _process(self) -> None:
        """Process the events until the intake is closed, then let the sink write the rest.

        With two sources, the first events wait for the attributes of all entities: without its unit, an event of MQTT
        would start a series of its own.
        """
        if len(self.sources) > 1:
            try:
                await asyncio.wait_for(self.intake.descriptions.learned.wait(), LEARNED_WITHIN)
            except TimeoutError:
                logger.warning(
                    "Home Assistant has not reported its entities within %.0f s; until it does, states of MQTT may be "
                    "written to series without unit",
                    LEARNED_WITHIN,
                )
        await self._processor.run()
        await self._sink.close()


def make_sources(settings: Settings, intake: Intake) -> list[Source]:
    """Return the sources in the settings."""
    sources: list[Source] = []
    if settings.mqtt_url is not None:
        if settings.attributes and settings.home_assistant_url is None:
            # mqtt_statestream publishes them after the state, so a point would have those of the state before.
            logger.warning(
                "--attributes adds attributes of JSON messages alone; for those of mqtt_statestream's entities, "
                "give --home-assistant-url too"
            )
        layout = Layout(settings.mqtt_base, settings.mqtt_discovery, settings.mqtt_json)
        sources.append(MqttSource(settings.mqtt_url, layout, settings.mqtt_qos, intake))
    if settings.home_assistant_url is not None:
        sources.append(WebSocketSource(settings.home_assistant_url, settings.token or "", intake))
    return sources


def make_transformer(settings: Settings) -> Transformer:
    """Return the transformer for the store in the settings."""
    return Transformer(
        settings.attributes,
        settings.tags,
        text=settings.victoriametrics is None,
        labels=TextLabels(settings.text_labels) if settings.text_as_label else None,
    )


def make_writer(settings: Settings) -> Writer:
    """Return the writer for the store in the settings."""
    if settings.file is not None:
        return FileWriter(settings.file)
    if settings.influxdb is not None:
        name, address, database = "influxdb", settings.influxdb, settings.influxdb_database
    elif settings.victoriametrics is not None:
        name, address, database = "victoriametrics", settings.victoriametrics, ""
    else:
        raise AssertionError("Settings requires a store")
    return HttpWriter(name, address, database, timeout=settings.write_timeout)
