"""play(): the demo from start to end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from rich.console import Console

from examples.demo.broker import embedded_broker
from examples.demo.home import Home
from examples.demo.reading import Reading, reading
from examples.demo.settings import DemoSettings
from examples.demo.surroundings import surroundings
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
NO_PAGE = "Look: nowhere, as the port of the page could not be opened; --port 0 takes a free one"


async def play(settings: DemoSettings, console: Console) -> dict[str, Any]:
    """Run the demo and return its accounting as a JSON object."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores a closed terminal
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    around = await asyncio.to_thread(surroundings, settings.port)
    async with contextlib.AsyncExitStack() as stack:
        # Telemetry starts first and ends last: the page is up as long as the demo runs.
        telemetry = await stack.enter_async_context(setup_telemetry("ha-ingestor-demo", config=around.config))
        page = f"Look: {telemetry.metrics_url.removesuffix('metrics')}" if telemetry.metrics_url else NO_PAGE
        say(console, page, *around.notes)
        file = stack.enter_context(points_file(settings))
        broker = await stack.enter_async_context(broker_for(settings))
        base = f"otel-ha-demo/{uuid.uuid4().hex[:8]}" if settings.home else "homeassistant"
        home = Home(broker, base, settings.seed, settings.rate) if settings.home and broker else None
        if home is not None:
            await home.publish_retained()
            stack.push_async_callback(home.clear_retained)
        ingestor = ingestor_settings(settings, broker, base, file)
        say(console, f"Points: {store_of(ingestor)}")
        await run(telemetry, ingestor, home, View(console, settings.duration, page), stopping)
        verdict = await account_for(telemetry, ingestor, home, kept=settings.keep)
        served = {"metrics": telemetry.metrics_url, "otlp": around.otlp, "mqtt": str(broker) if broker else None}
        conclude(console, verdict, served, store_of(ingestor))
    return {**verdict.as_json(), "seed": settings.seed, "served": served}


def say(console: Console, *lines: str) -> None:
    """Print lines as they are."""
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def points_file(settings: DemoSettings) -> Iterator[Path | None]:
    """Yield the file for the points, or None if they go to a store; remove it at the end unless it is to be kept."""
    if settings.influxdb is not None or settings.victoriametrics is not None:
        yield None
        return
    folder = Path(mkdtemp(prefix="otel-ha-demo-"))
    try:
        yield folder / "points.txt"
    finally:
        if not settings.keep:
            rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def broker_for(settings: DemoSettings) -> AsyncIterator[Address | None]:
    """Yield the address of the given or an embedded broker; None if the demo reads from Home Assistant alone."""
    if settings.mqtt is not None or settings.home_assistant is not None:
        yield settings.mqtt
    else:
        async with embedded_broker() as address:
            yield address


def ingestor_settings(settings: DemoSettings, broker: Address | None, base: str, file: Path | None) -> Settings:
    """Return the settings of the ingestor, which writes to the file unless a store is given."""
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
        file=file,
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

    def take() -> Reading:
        if telemetry.history is not None:
            telemetry.history.collect()
        return reading(telemetry.prometheus_text(), telemetry.history)

    return await asyncio.to_thread(take)


async def received(telemetry: Telemetry, count: int) -> None:
    """Wait until the ingestor has received `count` events, but no longer than PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (await read(telemetry)).accounting.received >= count:
            return
        await asyncio.sleep(0.05)


async def account_for(telemetry: Telemetry, settings: Settings, home: Home | None, *, kept: bool) -> Verdict:
    """Return the verdict, after the ingestor has ended."""
    account = accounting(await asyncio.to_thread(telemetry.prometheus_text))
    lines = await asyncio.to_thread(lines_in, settings.file) if settings.file else None
    return Verdict(account, home.sent if home else None, settings.file, lines, kept)


def conclude(console: Console, verdict: Verdict, served: dict[str, str | None], store: str) -> None:
    """Print the verdict and the addresses that were in use."""
    say(console, f"\n{verdict}")
    console.print("It adds up." if verdict.adds_up else "IT DOES NOT ADD UP.", style="bold")
    say(
        console,
        f"Metrics were served at {served['metrics']}" if served["metrics"] else "Metrics had no port",
        f"Metrics were pushed to {served['otlp']}" if served["otlp"] else "Metrics were not pushed",
    )
    if served["mqtt"]:
        say(console, f"The broker was at {served['mqtt']}")
    removed = verdict.file is not None and not verdict.kept
    say(console, "The file of points is removed; --keep keeps it" if removed else f"The points are in {store}")
