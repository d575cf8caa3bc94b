"""The example ingestor in a process of its own, with otel-ha, with a peer's telemetry by hand, or without telemetry.

Run as a module, it prints the address to scrape, works, and prints its result.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from benchmarks import children, stripped
from benchmarks.by_hand.statements import OPENTELEMETRY, PROMETHEUS_CLIENT

OURS, OTEL, CLIENT, NONE = "otel-ha", "OpenTelemetry by hand", "prometheus_client by hand", "no telemetry"
MODES = (OURS, OTEL, CLIENT, NONE)
BY_HAND = {OTEL: OPENTELEMETRY, CLIENT: PROMETHEUS_CLIENT}

Started = tuple[str | None, Callable[[], object]]
"""The address to scrape, and a function that pushes now."""


@asynccontextmanager
async def telemetry(mode: str) -> AsyncIterator[Started]:
    """Run the telemetry of a mode until the block ends; the ingestor may be imported only in the block."""
    if mode == OURS:
        from otel_ha import setup_telemetry  # noqa: PLC0415 - the other modes do without

        async with setup_telemetry("ha-ingestor") as ours:
            yield ours.metrics_url, ours.flush
        return
    stripped.strip(BY_HAND.get(mode))
    if mode == NONE:
        yield None, lambda: None
        return
    metrics = importlib.import_module(f"benchmarks.by_hand.{BY_HAND[mode]}")
    try:
        yield metrics.start(), metrics.push
    finally:
        metrics.stop()


async def work(mode: str, rate: float, seconds: float) -> dict[str, float]:
    """Work at a rate for so many seconds; return the measured values."""
    async with telemetry(mode) as (url, push):
        from benchmarks import load  # noqa: PLC0415 - it imports the ingestor

        children.say(url)
        return await load.run(rate, seconds, push)


async def replay(mode: str) -> str:
    """Return the text of a scrape after the same messages as in every other mode."""
    async with telemetry(mode) as (url, push):
        from benchmarks import load  # noqa: PLC0415 - it imports the ingestor
        from benchmarks.surroundings import text  # noqa: PLC0415 - as above

        def look() -> str:
            push()
            return text(url) if url else ""

        return await load.replay(look)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("rate", type=float, nargs="?")
    parser.add_argument("seconds", type=float, nargs="?")
    arguments = parser.parse_args()
    if arguments.rate is None:
        children.say(asyncio.run(replay(arguments.mode)))
    else:
        children.say(asyncio.run(work(arguments.mode, arguments.rate, arguments.seconds)))
