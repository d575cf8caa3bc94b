"""Run the demo: `python -m examples.demo --help`."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys

import aiomqtt
from rich.console import Console
from rich.logging import RichHandler

from examples.demo.play import play
from examples.demo.settings import COMMAND_LINE, DemoSettings
from examples.ingestor.command_line import SettingsError
from otel_ha import TelemetryError


def main() -> int:
    """Run the demo; return 0 if the accounting adds up, 1 if it does not, 2 if the demo cannot run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ and µ gets question marks
    try:
        settings = COMMAND_LINE.read(sys.argv[1:], os.environ)
    except SettingsError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return run(settings)


def run(settings: DemoSettings) -> int:
    """Run the demo with these settings; return the exit status."""
    console = Console(stderr=settings.json)
    # On a terminal, log lines go through rich, which keeps the live table intact.
    handler = RichHandler(console=console, show_path=False) if console.is_terminal else logging.StreamHandler()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    verdict = None
    try:
        verdict = asyncio.run(play(settings, console))
    except* (OSError, aiomqtt.MqttError, TelemetryError) as errors:
        for error in errors.exceptions:
            print(f"demo: {error}", file=sys.stderr)
    if verdict is None:
        return 2
    if settings.json:
        print(json.dumps(verdict), flush=True)
    return 0 if verdict["adds_up"] else 1


if __name__ == "__main__":
    sys.exit(main())
