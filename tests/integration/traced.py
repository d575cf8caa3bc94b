"""A service whose settings come from the environment: it handles each line of its standard input as one event.

Run as a program by test_one_trace.py. It ends by a signal only.
"""

import logging
import signal
import sys

from otel_ha import measured, setup_telemetry
from otel_ha.vocabulary import ingest

logger = logging.getLogger("traced")


@measured(ingest.EVENT, source="test", domain="light")
def handle(text: str) -> None:
    """Write one log record within the span of the work."""
    logger.warning("handling %s", text)


def say(line: str) -> None:
    """Write a line for the test to read."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Say where the endpoint is, and after each line that it was handled."""
    telemetry = setup_telemetry("traced")
    say(telemetry.metrics_url)
    for line in sys.stdin:
        handle(line.strip())
        say("handled")
    signal.pause()


if __name__ == "__main__":
    main()
