"""play(): the demo from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from rich.console import Console

from examples.demo.broker import embedded_broker
from examples.demo.home import Home
from examples.demo.reading import Reading, reading
from examples.demo.settings import DemoSettings
from examples.demo.surroundings import telemetry_config
from examples.demo.verdict import Verdict, lines_in
from examples.demo.view import View
from examples.ingestor.accounting import accounting
from examples.ingestor.service import Ingestor
from examples.ingestor.settings import Settings
from examples.ingestor.urls import Address
from otel_ha import Telemetry, setup_telemetry

REFRESH = 0.5
PATIENCE = 5.0
EXCLUDED = "*_linkquality"


async def play(settings: DemoSettings, console: Console) -> dict[str, Any]:
    """Run the demo and return its accounting as a JSON object."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    config, otlp = await asyncio.to_thread(telemetry_config, settings.port, console)
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(broker_for(settings))
        base = f"otel-ha-demo/{uuid.uuid4().hex[:8]}" if settings.home else "homeassistant"
        home = Home(broker, base, settings.seed, settings.rate) if settings.home and broker else None
        if home is not None:
            await home.publish_retained()
            stack.push_async_callback(home.clear_retained)
        telemetry = await stack.enter_async_context(setup_telemetry("ha-ingestor-demo", config=config))
        ingestor = ingestor_settings(settings, broker, base)
        console.print(f"Metrics: {telemetry.metrics_url or 'no port could be opened'}", highlight=False)
        console.print(f"Points:  {store_of(ingestor)}", highlight=False, soft_wrap=True)
        await run(telemetry, ingestor, home, View(console, settings.duration), stopping)
        verdict = await account_for(telemetry, ingestor, home)
        served = {"metrics": telemetry.metrics_url, "otlp": otlp, "mqtt": str(broker) if broker else None}
    conclude(console, verdict, served, store_of(ingestor))
    return {**verdict.as_json(), "seed": settings.seed, "served": served}


@contextlib.asynccontextmanager
async def broker_for(settings: DemoSettings) -> AsyncIterator[Address | None]:
    """Yield the address of the given or an embedded broker; None if the demo reads from Home Assistant alone."""
    if settings.mqtt is not None or settings.home_assistant is not None:
        yield settings.mqtt
    else:
        async with embedded_broker() as address:
            yield address


def ingestor_settings(settings: DemoSettings, broker: Address | None, base: str) -> Settings:
    """Return the settings of the ingestor."""
    to_file = settings.influxdb is None and settings.victoriametrics is None
    return Settings(
        mqtt_url=broker,
        mqtt_base=base,
        mqtt_discovery=base,
        home_assistant_url=settings.home_assistant,
        home_assistant_token=settings.home_assistant_token,
        exclude=(EXCLUDED,),
        influxdb=settings.influxdb,
        influxdb_database=settings.influxdb_database,
        victoriametrics=settings.victoriametrics,
        file=Path(mkdtemp(prefix="otel-ha-demo-")) / "points.txt" if to_file else None,
    )


def store_of(settings: Settings) -> str:
    """Return the file or the URL that the points are written to."""
    return str(settings.file or settings.influxdb or settings.victoriametrics)


async def run(telemetry: Telemetry, settings: Settings, home: Home | None, view: View, stopping: asyncio.Event) -> None:
    """Run the ingestor, the home and the view for the duration of the view, or until `stopping` is set."""
    ingestor = Ingestor(settings)
    with view:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ingestor.run())
            publishing: asyncio.Task[None] | None = None
            if home is not None:
                # The ingestor must listen before the home starts, or it misses the first live messages.
                await received(telemetry, home.sent.retained)
                publishing = tasks.create_task(home.publish_live(stopping))
            elapsed = await watch(telemetry, view, stopping)
            stopping.set()
            if home is not None and publishing is not None:
                await publishing
                await received(telemetry, home.sent.retained + home.sent.live)
            ingestor.stop()
        view.show(await read(telemetry), elapsed, last=True)


async def watch(telemetry: Telemetry, view: View, stopping: asyncio.Event) -> float:
    """Show the metrics for the duration of the view, or until `stopping` is set; return the elapsed seconds."""
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < view.duration and not stopping.is_set():
        view.show(await read(telemetry), elapsed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), min(REFRESH, view.duration - elapsed))
    return min(elapsed, view.duration)


async def read(telemetry: Telemetry) -> Reading:
    """Take a reading; it takes milliseconds, so it runs outside the event loop."""
    return await asyncio.to_thread(lambda: reading(telemetry.prometheus_text()))


async def received(telemetry: Telemetry, count: int) -> None:
    """Wait until the ingestor has received `count` events, but no longer than PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (await read(telemetry)).accounting.received >= count:
            return
        await asyncio.sleep(0.05)


async def account_for(telemetry: Telemetry, settings: Settings, home: Home | None) -> Verdict:
    """Return the verdict, after the ingestor has ended."""
    account = accounting(await asyncio.to_thread(telemetry.prometheus_text))
    lines = await asyncio.to_thread(lines_in, settings.file) if settings.file else None
    return Verdict(account, home.sent if home else None, settings.file, lines)


def conclude(console: Console, verdict: Verdict, served: dict[str, str | None], store: str) -> None:
    """Print the verdict and the addresses that were in use."""
    console.print(f"\n{verdict}", highlight=False, soft_wrap=True)
    console.print("It adds up." if verdict.adds_up else "IT DOES NOT ADD UP.", style="bold")
    lines = [
        f"Metrics were served at {served['metrics']}" if served["metrics"] else "Metrics had no port",
        f"Metrics were pushed to {served['otlp']}" if served["otlp"] else "Metrics were not pushed",
    ]
    if served["mqtt"]:
        lines.append(f"The broker was at {served['mqtt']}")
    console.print("\n".join([*lines, f"The points are in {store}"]), highlight=False, soft_wrap=True)
