"""The measured program: an asyncio service that handles events at a rate, and counts them for itself.

Run as `python -m tests.faults.service DIRECTORY`; the environment configures telemetry. DIRECTORY gets `tally`, the
counts (tests.faults.tally), and at the end `account.json`. Of ten events one is discarded and one raises.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from otel_ha import measured, setup_telemetry
from otel_ha.vocabulary import ingest
from tests.faults.tally import CANCELLED, DISCARDED, ERROR, OK, Tally

SLICE = 0.01
"""Seconds between two handfuls of events."""
SAMPLE = 0.005
"""Seconds between two looks at the delay of the loop."""


class Refused(Exception):  # noqa: N818  it is the name of an error.type, which reads like this
    """An event that the service cannot process."""


class Service:
    """Handles events until it is stopped, or until it has handled as many as it was given."""

    def __init__(self, tally: Tally, rate: int, events: int | None) -> None:
        self.tally = tally
        self.rate = rate
        self.events = events
        self.stopping = asyncio.Event()
        self.paused: Path | None = None
        self.handled = 0
        self.loop_delay = 0.0

    async def run(self) -> None:
        """Handle the events that are due, again and again; events that fell behind are caught up with."""
        begin = time.perf_counter()
        while not self.stopping.is_set():
            if self.paused:
                self.paused.touch()
                await self.stopping.wait()
                return
            due = int((time.perf_counter() - begin) * self.rate)
            if self.events is not None:
                due = min(due, self.events)
            for _ in range(min(due - self.handled, 200)):
                await self.handle_next()
            if self.handled == self.events:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), SLICE)

    async def handle_next(self) -> None:
        """Handle one event, and count it before and after."""
        outcome = {3: ERROR, 7: DISCARDED}.get(self.handled % 10, OK)
        self.handled += 1
        self.tally.begin(outcome)
        try:
            await handle(outcome)
        except Refused:
            pass
        except asyncio.CancelledError:  # Ctrl-C without a handler
            outcome = CANCELLED
            self.tally.begin(outcome)
            raise
        finally:
            self.tally.end(outcome)

    def pause(self, sign: Path) -> None:
        """Stop handling events, and make this file when the last one is over."""
        self.paused = sign

    async def sample(self) -> None:
        """Keep the longest time by which the loop was late."""
        while True:
            due = time.perf_counter() + SAMPLE
            await asyncio.sleep(SAMPLE)
            self.loop_delay = max(self.loop_delay, time.perf_counter() - due)


async def handle(outcome: str) -> None:
    """Process one event; every event lets the others run while it is in flight."""
    with measured(ingest.EVENT, source="mqtt", domain="sensor") as event:
        await asyncio.sleep(0)
        if outcome == DISCARDED:
            event.discard("duplicate")
        if outcome == ERROR:
            raise Refused


async def serve(arguments: argparse.Namespace) -> None:
    """Serve, and write the account when telemetry has ended."""
    service = Service(Tally(arguments.directory / "tally"), arguments.rate, arguments.events)
    listen(service, arguments)
    sampler = asyncio.create_task(service.sample())
    end = time.perf_counter()
    try:
        async with setup_telemetry("faults") as telemetry:
            print("ready", telemetry.metrics_url, flush=True)
            try:
                await service.run()
            finally:
                end = time.perf_counter()
    finally:
        account = {"shutdown": time.perf_counter() - end, "loop_delay": service.loop_delay}
        sampler.cancel()
        (arguments.directory / "account.json").write_text(json.dumps(account), encoding="utf-8")


def listen(service: Service, arguments: argparse.Namespace) -> None:
    """Stop at SIGTERM and SIGINT, unless they keep their default action; stop handling events at SIGUSR1."""
    loop = asyncio.get_running_loop()
    if not arguments.default_action:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stopping.set)
    loop.add_signal_handler(signal.SIGUSR1, service.pause, arguments.directory / "paused")


def main() -> None:
    """Log as a service does, to standard error, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--events", type=int, help="end after so many events")
    parser.add_argument("--default-action", action="store_true", help="leave SIGTERM and SIGINT their default action")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
