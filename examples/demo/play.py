"""play(): the demo from its beginning to its end."""

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
from examples.demo.figures import Figures, figures
from examples.demo.home import Home
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


async def play(options: DemoSettings, console: Console) -> dict[str, Any]:
    """Run the demo and return its accounting."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    config, otlp = await asyncio.to_thread(telemetry_config, options.port, console)
    async with contextlib.AsyncExitStack() as stack:
        broker = await stack.enter_async_context(broker_for(options))
        base = f"otel-ha-demo/{uuid.uuid4().hex[:8]}" if options.home else "homeassistant"
        home = Home(broker, base, options.seed, options.rate) if options.home and broker else None
        if home is not None:
            await home.move_in()
            stack.push_async_callback(home.move_out)
        telemetry = await stack.enter_async_context(setup_telemetry("ha-ingestor-demo", config=config))
        settings = settings_for(options, broker, base)
        console.print(f"Metrics: {telemetry.metrics_url or 'no port could be opened'}", highlight=False)
        console.print(f"Points:  {destination(settings)}", highlight=False, soft_wrap=True)
        await run(telemetry, settings, home, View(console, options.duration), stopping)
        verdict = await account_for(telemetry, settings, home)
        served = {"metrics": telemetry.metrics_url, "otlp": otlp, "mqtt": str(broker) if broker else None}
    conclude(console, verdict, served, destination(settings))
    return {**verdict.as_json(), "seed": options.seed, "served": served}


@contextlib.asynccontextmanager
async def broker_for(options: DemoSettings) -> AsyncIterator[Address | None]:
    """Give the broker to use: the one that was named, an embedded one, or none where Home Assistant is read."""
    if options.mqtt is not None or options.home_assistant is not None:
        yield options.mqtt
    else:
        async with embedded_broker() as address:
            yield address


def settings_for(options: DemoSettings, broker: Address | None, base: str) -> Settings:
    """Return the ingestor's settings."""
    to_file = options.influxdb is None and options.victoriametrics is None
    return Settings(
        mqtt_url=broker,
        mqtt_base=base,
        mqtt_discovery=base,
        home_assistant_url=options.home_assistant,
        home_assistant_token=options.home_assistant_token,
        exclude=(EXCLUDED,),
        influxdb=options.influxdb,
        influxdb_database=options.influxdb_database,
        victoriametrics=options.victoriametrics,
        file=Path(mkdtemp(prefix="otel-ha-demo-")) / "points.txt" if to_file else None,
    )


def destination(settings: Settings) -> str:
    """Return where the points go."""
    return str(settings.file or settings.influxdb or settings.victoriametrics)


async def run(telemetry: Telemetry, settings: Settings, home: Home | None, view: View, stopping: asyncio.Event) -> None:
    """Run the ingestor, the home and the view for the time that the view shows, or until told to stop."""
    ingestor = Ingestor(settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ingestor.run())
        living: asyncio.Task[None] | None = None
        if home is not None:
            # Were the home to begin before the ingestor listens, nobody would have sent what it then says.
            await received(telemetry, home.sent.retained)
            living = tasks.create_task(home.live(stopping))
        with view:
            await watch(telemetry, view, stopping)
        stopping.set()
        if home is not None and living is not None:
            await living
            await received(telemetry, home.sent.retained + home.sent.live)
        ingestor.stop()


async def watch(telemetry: Telemetry, view: View, stopping: asyncio.Event) -> None:
    """Show the metrics until the time is up."""
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < view.duration and not stopping.is_set():
        view.show(await asyncio.to_thread(read, telemetry), elapsed)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), min(REFRESH, view.duration - elapsed))
    view.show(await asyncio.to_thread(read, telemetry), min(elapsed, view.duration), last=True)


def read(telemetry: Telemetry) -> Figures:
    """Read the figures; takes milliseconds, so not within the event loop."""
    return figures(telemetry.prometheus_text())


async def received(telemetry: Telemetry, count: int) -> None:
    """Wait until the ingestor has received that many events, or until that will not happen any more."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (await asyncio.to_thread(read, telemetry)).accounting.received >= count:
            return
        await asyncio.sleep(0.05)


async def account_for(telemetry: Telemetry, settings: Settings, home: Home | None) -> Verdict:
    """Return the accounting, once the ingestor has ended."""
    account = accounting(await asyncio.to_thread(telemetry.prometheus_text))
    lines = await asyncio.to_thread(lines_in, settings.file) if settings.file else None
    return Verdict(account, home.sent if home else None, settings.file, lines)


def conclude(console: Console, verdict: Verdict, served: dict[str, str | None], points: str) -> None:
    """Print the accounting and where everything was."""
    console.print(f"\n{verdict.accounting}", highlight=False, soft_wrap=True)
    for check in verdict.checks:
        console.print(f"  {'✓' if check.holds else '✗'} {check.claim}", highlight=False, soft_wrap=True)
    console.print("It adds up." if verdict.adds_up else "IT DOES NOT ADD UP.", style="bold")
    console.print(f"Metrics were at {served['metrics'] or '(no port of their own)'}", highlight=False)
    console.print(f"OTLP went to {served['otlp'] or 'nobody'}", highlight=False)
    if served["mqtt"]:
        console.print(f"MQTT was at {served['mqtt']}", highlight=False)
    console.print(f"Points went to {points}", highlight=False, soft_wrap=True)
