"""Run the demo: `python -m examples.demo --help`."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import aiomqtt
from rich.console import Console
from rich.logging import RichHandler

from examples.demo.options import read_options
from examples.demo.play import play
from otel_ha import TelemetryError


def main() -> int:
    """Run the demo; return 0 if the accounting adds up, 1 if it does not, 2 if the demo cannot run."""
    options = read_options(sys.argv[1:])
    console = Console(stderr=options.json)
    # On a terminal, what is logged must not tear the live table.
    handler = RichHandler(console=console, show_path=False) if console.is_terminal else logging.StreamHandler()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    verdict = None
    try:
        verdict = asyncio.run(play(options, console))
    except* (OSError, aiomqtt.MqttError, TelemetryError) as errors:
        for error in errors.exceptions:
            print(f"demo: {error}", file=sys.stderr)
    if verdict is None:
        return 2
    if options.json:
        print(json.dumps(verdict), flush=True)
    return 0 if verdict["adds_up"] else 1


if __name__ == "__main__":
    sys.exit(main())
