"""The three lines: import, set up, measure. `python -m examples.quickstart [seconds]`."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys

from otel_ha import measured, setup_telemetry
from otel_ha.vocabulary import ingest


@measured(ingest.EVENT, source="simulated", domain=lambda entity_id, _: entity_id.partition(".")[0])
async def handle(entity_id: str, state: str) -> None:
    """Handle an event, as your own service would."""
    await asyncio.sleep(random.expovariate(500))
    if state == "broken":
        raise ValueError(f"{entity_id} is broken")


async def main(seconds: float) -> None:
    """Handle simulated events for this long, then print how many there were."""
    async with setup_telemetry("quickstart") as telemetry:
        print(f"metrics: {telemetry.metrics_url}", flush=True)
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            entity_id = random.choice(("sensor.kitchen", "light.hall"))  # noqa: S311 - no secret
            try:
                await handle(entity_id, random.choice(("20.5", "on", "broken")))  # noqa: S311 - no secret
            except ValueError as error:
                print(error, file=sys.stderr)
            await asyncio.sleep(0.1)
        counts = (line for line in telemetry.prometheus_text().splitlines() if "duration_seconds_count" in line)
        print(*(count for count in counts if count.startswith("homeassistant_event")), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure simulated events with otel-ha.")
    parser.add_argument("seconds", nargs="?", type=float, default=5.0, help="how long to run (default 5)")
    asyncio.run(main(parser.parse_args().seconds))
