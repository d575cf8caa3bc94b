"""Run the ingestor: `python -m examples.ingestor --help`."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from examples.ingestor.accounting import accounting
from examples.ingestor.command_line import SettingsError
from examples.ingestor.service import Ingestor
from examples.ingestor.settings import Settings, read_settings
from otel_ha import Telemetry, TelemetryError, setup_telemetry


async def serve(settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT, then print the accounting of its events."""
    async with setup_telemetry("ha-ingestor") as telemetry:
        ingestor = Ingestor(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, ingestor.stop)
        print(f"metrics: {telemetry.metrics_url or 'not served on a port'}", file=sys.stderr)
        await ingestor.run()
        print(account(telemetry), flush=True)


def account(telemetry: Telemetry) -> str:
    """Return the accounting of the events, in a line."""
    if not telemetry.config.business_metrics:
        return "no accounting: business metrics are off (OTEL_HA_BUSINESS_METRICS)"
    try:
        return str(accounting(telemetry.prometheus_text()))
    except TelemetryError as error:
        return f"no accounting: {error}"


def main() -> int:
    """Run the service; return its exit status."""
    try:
        settings = read_settings(sys.argv[1:], os.environ)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        asyncio.run(serve(settings))
    except (SettingsError, TelemetryError, OSError) as error:
        print(f"ingestor: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
